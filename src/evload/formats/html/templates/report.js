"use strict";
(() => {
  const root = document.documentElement;
  const toggle = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;

  // The charts' models carry the names of their colours: ["colour", "line_color", "accent", "plain"].
  const paint = () => {
    const styles = getComputedStyle(root);
    const colour = (name) => styles.getPropertyValue(`--${name}`).trim();
    const dark = root.dataset.theme === "dark";
    for (const model of charts()?._all_models.values() ?? []) {
      const changes = {};
      for (const tag of model.tags) {
        const [what, property, name, kind] = Array.isArray(tag) ? tag : [];
        if (what === "heat") {
          const ends = dark ? [[38, 54, 77], [205, 226, 255]] : [[222, 232, 245], [16, 50, 107]];
          changes.palette = Array.from({ length: 64 }, (_, step) => {
            const parts = ends[0].map((from, i) => Math.round(from + ((ends[1][i] - from) * step) / 63));
            return ((parts[0] << 24) | (parts[1] << 16) | (parts[2] << 8) | 255) >>> 0;
          });
        }
        if (what === "colour") changes[property] = kind === "value" ? { value: colour(name) } : colour(name);
      }
      if (Object.keys(changes).length) model.setv(changes);
    }
  };
  const charts = () => (window.Bokeh ? Bokeh.documents[0] : undefined);
  const dress = (theme) => {
    root.dataset.theme = theme;
    toggle.textContent = theme === "dark" ? "Light" : "Dark";
    toggle.setAttribute("aria-label", `Switch to the ${theme === "dark" ? "light" : "dark"} theme`);
    paint();
  };
  const wanted = () => chosen ?? (system.matches ? "dark" : "light");
  dress(wanted());
  toggle.addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    dress(chosen);
  });
  system.addEventListener("change", () => dress(wanted()));
  // Paper is white and has another width, and charts can't be laid out anew in time: it gets pictures of them.
  addEventListener("beforeprint", () => {
    dress("light");
    for (const view of window.Bokeh?.index.roots ?? []) {
      if (view.model.type !== "Figure") continue;
      for (const part of view.renderer_views.values()) part.set_visuals?.();  // would be done after printing
      const picture = new Image();
      picture.className = "printed";
      picture.alt = "";
      picture.src = view.export("png", true).canvas.toDataURL();
      (view.el.getRootNode().host ?? view.el).closest(".plot").append(picture);
    }
    for (const details of document.querySelectorAll(".worst details")) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const picture of document.querySelectorAll(".printed")) picture.remove();
    dress(wanted());
  });

  // Zoom by buttons, for keyboards; dragging on a chart does the same.
  const move = (name, change) => {
    for (const range of charts()?._all_models.values() ?? []) {
      if (range.name !== name) continue;
      const [low, high] = range.bounds;
      const log = name === "seconds";
      const to = log ? Math.log : (x) => x;
      const from = log ? Math.exp : (x) => x;
      let [start, end] = change(to(range.start), to(range.end), to(low), to(high));
      const width = Math.min(end - start, to(high) - to(low));
      start = Math.max(to(low), Math.min(start, to(high) - width));
      range.setv({ start: from(start), end: from(start + width) });
    }
  };
  const steps = {
    in: (start, end) => [start + (end - start) / 4, end - (end - start) / 4],
    out: (start, end) => [start - (end - start) / 2, end + (end - start) / 2],
    left: (start, end) => [start - (end - start) / 4, end - (end - start) / 4],
    right: (start, end) => [start + (end - start) / 4, end + (end - start) / 4],
    all: (start, end, low, high) => [low, high],
  };
  for (const button of document.querySelectorAll("button[data-step]")) {
    button.addEventListener("click", () => move(button.dataset.range, steps[button.dataset.step]));
  }
  for (const button of document.querySelectorAll("button[data-from]")) {
    button.addEventListener("click", () => {
      const [first, last] = [Number(button.dataset.from), Number(button.dataset.to)];
      const room = Math.max((last - first) / 2, 1000);
      move("time", () => [first - room, last + room]);
      document.getElementById("over-time").scrollIntoView();
      document.getElementById("over-time-title").focus({ preventScroll: true });
    });
  }

  for (const button of document.querySelectorAll("button[data-series]")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      for (const renderer of charts()?.get_model_by_name(button.dataset.chart)?.renderers ?? []) {
        const ours = renderer.tags.some((tag) => tag[0] === "series" && tag[1] === button.dataset.series);
        if (ours) renderer.visible = shown;
      }
    });
  }

  // Times since the schedule began, or by the clock of the world: the axes are told other numbers to write down.
  const utc = document.getElementById("utc");
  let plain = null;
  const timed = () => [...(charts()?._all_models.values() ?? [])].filter((model) =>
    model.tags.some((tag) => tag[0] === "time"));
  utc?.addEventListener("click", () => {
    const wanted = utc.getAttribute("aria-pressed") !== "true";
    utc.setAttribute("aria-pressed", String(wanted));
    document.getElementById("since").textContent =
      wanted ? "Times of day in UTC" : "Minutes and seconds since the schedule began";
    const names = ["milliseconds", "seconds", "minsec", "minutes", "hourmin", "hours", "days"];
    for (const formatter of timed()) {
      plain ??= Object.fromEntries(names.map((name) => [name, formatter[name]]));
      const write = Object.getPrototypeOf(formatter).doFormat;
      const shift = wanted ? Number(utc.dataset.began) : 0;
      formatter.doFormat = (ticks, options) => write.call(formatter, ticks.map((tick) => tick + shift), options);
      const clock = Object.fromEntries(names.map((name) => [name, name === "milliseconds" ? "%H:%M:%S.%1N" : "%H:%M:%S"]));
      formatter.setv(wanted ? clock : plain);
    }
  });

  // One scenario alone, or all of them: charts are there for each, other things belong to one or to the whole run.
  const pick = document.getElementById("scenario");
  const search = document.getElementById("search");
  const events = [...document.querySelectorAll(".worst > li")];
  const texts = events.map((event) =>
    [...event.querySelectorAll("summary, ol, .id")].map((part) => part.textContent).join(" ").toLowerCase());
  const isOf = (part) => !pick?.value || !part.dataset.of || part.dataset.of === pick.value;
  const find = () => {
    const words = (search?.value ?? "").toLowerCase().split(/\s+/);
    let shown = 0;
    events.forEach((event, number) => {
      event.hidden = !isOf(event) || !words.every((word) => texts[number].includes(word));
      shown += event.hidden ? 0 : 1;
    });
    if (search) document.getElementById("found").textContent = `${shown} of ${events.length} events`;
  };
  search?.addEventListener("input", find);
  pick?.addEventListener("change", () => {
    for (const part of document.querySelectorAll("[data-scenario]")) part.hidden = part.dataset.scenario !== pick.value;
    for (const row of document.querySelectorAll("tr[data-of]")) row.hidden = !isOf(row);
    find();
  });

  // An address that ends in an event's id opens it.
  const open = () => {
    const event = events.find((one) => `#${one.id}` === location.hash);
    if (!event) return;
    if (event.hidden) {
      if (pick) pick.value = "";
      if (search) search.value = "";
      pick?.dispatchEvent(new Event("change"));
      find();
    }
    event.querySelector("details").open = true;
    event.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", open);

  const ready = () => {
    const drawn = charts();
    if (document.querySelector(".plot") && !drawn?.is_idle) return void setTimeout(ready, 30);
    const coarse = matchMedia("(pointer: coarse)").matches;
    for (const model of drawn?._all_models.values() ?? []) {
      if (coarse && model.type === "Toolbar") model.active_drag = null;  // a finger that scrolls shouldn't zoom
    }
    paint();
    open();
    root.dataset.ready = "true";
  };
  ready();
})();
