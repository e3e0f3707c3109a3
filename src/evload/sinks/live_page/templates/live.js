"use strict";
(() => {
  const token = new URLSearchParams(location.search).get("token");
  const path = (place) => `${place}?token=${encodeURIComponent(token)}`;
  const element = (id) => document.getElementById(id);
  const gauges = JSON.parse(document.body.dataset.gauges);
  const KEPT = 600;  // moments, as many as the server keeps
  const SHOWN_S = 300;
  const KINDS = { holds: "good", fails: "warning", open: "note", broken: "bad" };
  let plan = { total: 1, spans: {}, warmups: {}, limits: {}, recent: 5 };
  let moments = [];
  let asked = "";
  let over = false;

  // -- words -------------------------------------------------------------------------------------------

  const write = (id, text) => {
    if (element(id).textContent !== text) element(id).textContent = text;
  };
  const count = (value) => Math.round(value).toLocaleString("en");
  const round = (value) => Number(value.toPrecision(3)).toString();
  const duration = (seconds) => {
    if (seconds === null) return "never";
    if (seconds === 0) return "0 s";
    if (seconds < 0.001) return `${round(seconds * 1e6)} µs`;
    if (seconds < 1) return `${round(seconds * 1000)} ms`;
    return seconds < 120 ? `${round(seconds)} s` : `${round(seconds / 60)} min`;
  };
  const bracket = ([low, high]) => {
    const [first, last] = [duration(low), duration(high)];
    if (first === last) return last;
    const [number, unit] = first.split(" ");
    return `${last.endsWith(` ${unit}`) ? number : first} … ${last}`;
  };
  const clock = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    const two = (value) => String(value).padStart(2, "0");
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  };
  const rate = (value) => `${value < 10 ? round(value) : count(value)}/s`;
  const make = (name, className, text = "") => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  };
  const draw = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  };
  const say = (state, headline, className = state) => {
    write("state", state);
    element("state").className = `chip ${className}`;
    write("headline", headline);
  };

  // -- figures -----------------------------------------------------------------------------------------

  const spread = () => {
    const place = element("spans");
    place.replaceChildren();
    const peak = Math.max(1e-9, ...Object.values(plan.spans).flat().map((one) => Math.max(one[2], one[3])));
    for (const [name, stretches] of Object.entries(plan.spans)) {
      const row = make("div", "span");
      row.append(make("span", "", name));
      row.firstChild.title = name;
      const svg = draw("svg", { viewBox: "0 0 1000 40", preserveAspectRatio: "none", "aria-hidden": "true" });
      const x = (at) => ((at / plan.total) * 1000).toFixed(1);
      const y = (value) => (40 - (value / peak) * 38).toFixed(1);
      draw("rect", { class: "past", x: 0, y: 0, width: 0, height: 40 }, svg);
      if (plan.warmups[name]) {
        const [from, to] = plan.warmups[name];
        const warmup = { class: "warmup", x: x(from), y: 0, width: x(to - from), height: 40 };
        draw("title", {}, draw("rect", warmup, svg)).textContent = "warm-up";
      }
      let line = "";
      for (const [start, end, first, last] of stretches) {
        line += end > start
          ? `M${x(start)} 40L${x(start)} ${y(first)}L${x(end)} ${y(last)}L${x(end)} 40Z`
          : `M${x(start)} 40L${x(start)} 2`;
      }
      draw("path", { d: line }, svg);
      draw("line", { class: "cursor", x1: 0, x2: 0, y1: -2, y2: 40 }, svg);
      row.append(svg);
      place.append(row);
    }
  };

  const fact = (id, text, remark = "", isOver = false) => {
    write(id, text);
    write(`${id}-remark`, remark);
    element(id).closest("div").classList.toggle("over", isOver);
  };

  const show = (now) => {
    const left = plan.total - now.at;
    write("phase", now.phase);
    write("clock", left < 0
      ? `${clock(plan.total)} over, settled for ${clock(-left)}`
      : `${clock(now.at)} of ${clock(plan.total)}, ${clock(left)} left`);
    const x = Math.min(1000, (now.at / plan.total) * 1000);
    for (const line of document.querySelectorAll(".span .cursor")) {
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    }
    for (const past of document.querySelectorAll(".span .past")) past.setAttribute("width", x);

    fact("offered", rate(now.offered), "by the schedule");
    const behind = now.offered > 0 && now.achieved < 0.9 * now.offered;
    fact("achieved", rate(now.achieved), behind ? "! less than offered" : "answered by the target");
    fact("in_flight", count(now.in_flight), "without an answer");
    fact("outstanding", count(now.outstanding), "whose end is not known yet");
    fact("scheduled", count(now.scheduled), [`${count(now.scheduled - now.outstanding)} settled`, ...now.journeys].join("; "));
    const bad = ["lost", "regressed", "duplicated", "out_of_order", "rejected", "returned", "unsent", "in_doubt"]
      .filter((state) => now.states[state])
      .map((state) => `${count(now.states[state])} ${state.replaceAll("_", " ")}`);
    const share = now.visible === null ? null : Math.floor(now.visible * 10000) / 100;
    const waits = now.waiting ? [now.waiting] : [];
    fact("visible", share === null ? "none yet" : `${share} %`, [...bad, ...waits].join(", "),
      bad.length > 0 || now.overdue > 0);
    const watched = now.recent[now.watched];
    const limit = plan.limits.consistency;
    const slow = watched !== undefined && limit !== undefined && (watched[1] === null || watched[1] > limit);
    write("window-title", `consistency, ${now.watched}`);
    fact("window", watched ? bracket(watched) : "none yet",
      (slow ? "! above the limit of " : limit === undefined ? "" : "limit ")
      + (limit === undefined ? `last ${plan.recent} s` : duration(limit)), slow);
    const lateness = plan.limits.schedule_delay;
    const late = now.late !== null && lateness !== undefined && now.late > lateness;
    fact("late", now.late === null ? "none yet" : duration(now.late),
      lateness === undefined ? "" : `${late ? "! more than the allowed" : "allowed"} ${duration(lateness)}`, late);
    write("window-note", `${now.watched} of the last ${plan.recent} s, both ends of its bracket`);

    const troubles = [
      ...now.incidents.map(([text, since, times]) =>
        ["bad", `${text}, since ${duration(Math.max(0, now.at - since))}, ${count(times)} ×`]),
      ...now.worries.map((text) => ["warning", text]),
    ];
    list("troubles", troubles);
    list("actions", now.actions.filter(({ text }) => text).map(({ kind, text }) => [kind, text]));
    list("standings", now.objectives.map(([state, text]) => [KINDS[state], text]));
    element("standings").hidden = !now.objectives.length;
  };

  const list = (id, entries) => {
    const place = element(id);
    while (place.children.length > entries.length) place.lastChild.remove();
    entries.forEach(([kind, text], number) => {
      const entry = place.children[number] ?? place.appendChild(document.createElement("li"));
      entry.className = `is-${kind}`;
      if (entry.textContent !== text) entry.replaceChildren(make("p", "", text));
    });
  };

  // -- charts ------------------------------------------------------------------------------------------

  let following = true;
  let shown = [];
  const model = (name) => Bokeh.documents[0]?.get_model_by_name(name);

  const columns = () => {
    const of = (value) => Float64Array.from(moments, value);
    const ms = (seconds) => (seconds === null || seconds === undefined ? NaN : seconds * 1000);
    const ends = (now) => now.recent[now.watched] ?? [NaN, NaN];
    const data = {
      at: of((now) => now.at * 1000),
      zero: of(() => 0),
      low: of((now) => (ends(now)[1] === null ? NaN : ms(ends(now)[0]))),
      high: of((now) => ms(ends(now)[1])),
      never: of((now) => (ends(now)[1] === null ? ms(ends(now)[0]) : NaN)),
      limit: of(() => ms(plan.limits.consistency)),
      late: of((now) => ms(now.late)),
      late_limit: of(() => ms(plan.limits.schedule_delay)),
    };
    for (const name of ["offered", "achieved", "in_flight", "outstanding"]) data[name] = of((now) => now[name]);
    gauges.forEach((name, number) => { data[`gauge${number}`] = of((now) => now.gauges[name] ?? NaN); });
    return data;
  };

  // Each action is told of as it was done last: what was before is in earlier moments.
  const bands = (end, middle) => {
    const seen = new Map();
    for (const now of moments) for (const one of now.actions) seen.set(`${one.number} ${one.name}`, one);
    const found = [...seen.values()].sort((one, other) => one.since - other.since);
    const from = found.map((one) => one.since * 1000);
    const to = found.map((one) => (one.until === null ? end : one.until * 1000));
    const names = new Map();  // of what is done again and again the newest has the name
    found.forEach((one, number) => names.set(one.name, number));
    const named = [...names.values()].map((number, row) => ({
      at: Math.max(from[number], moments[0].at * 1000), name: found[number].name, lower: (row % 4) * 17,
    }));
    const told = (some) => ({
      at: some.map(({ at }) => at), name: some.map(({ name }) => name), lower: some.map(({ lower }) => lower),
    });
    return {
      band: { from, to },
      edge: { at: [...from, ...to.filter((_, number) => found[number].until !== null)] },
      name: told(named.filter(({ at }) => at <= middle)),
      left: told(named.filter(({ at }) => at > middle)),  // to the right there may be no room
    };
  };

  const plot = () => {
    const [source, range] = [model("live"), model("time")];
    if (!source || !range || !moments.length || document.hidden) return;
    source.data = columns();
    const warmups = Object.values(plan.warmups);
    const grey = model("warmups");
    if (grey && grey.data.from.length !== warmups.length) {
      grey.data = { from: warmups.map(([from]) => from * 1000), to: warmups.map(([, to]) => to * 1000) };
    }
    const last = moments.at(-1).at;
    const first = Math.max(0, Math.min(moments[0].at, last - SHOWN_S));
    const whole = plan.total <= SHOWN_S ? [0, Math.max(plan.total, last)] : [first, Math.max(first + SHOWN_S, last)];
    const ends = whole.map((at) => at * 1000);
    const marks = bands(last * 1000, (ends[0] + ends[1]) / 2);
    for (const [name, data] of Object.entries(marks)) model(`actions-${name}`).data = data;
    if (following && shown.length && (range.start !== shown[0] || range.end !== shown[1])) follow(false);
    if (following) {
      range.setv({ bounds: ends, start: ends[0], end: ends[1] });
      shown = ends;
    } else {
      range.setv({ bounds: ends });
    }
  };

  const follow = (wanted) => {
    following = wanted;
    shown = [];
    element("follow").setAttribute("aria-pressed", String(wanted));
  };
  element("follow").addEventListener("click", () => { follow(true); plot(); });
  document.addEventListener("visibilitychange", plot);
  for (const mark of document.querySelectorAll("[data-colour]")) {
    mark.style.setProperty("--mark", `var(--${mark.dataset.colour})`);
  }

  // -- stop and abort ----------------------------------------------------------------------------------

  const questions = {
    stop: ["Stop the run?", "Nothing more is sent. What is outstanding is waited for, then the report is made.", "Stop"],
    abort: ["Abort the run?", "Nothing more is sent or waited for. The report is made of what there is now.", "Abort"],
  };
  let question = "";
  const ask = (what) => {
    question = what;
    const [title, text, button] = questions[what];
    write("sure-title", title);
    write("sure-text", text);
    write("yes", button);
    element("sure").showModal();
  };
  const enable = () => {
    element("stop").disabled = over || !moments.length || asked !== "";
    element("abort").disabled = over || !moments.length || !["", "stop"].includes(asked);
    if (over || !moments.length || asked === "over") element("sure").close();
  };
  element("stop").addEventListener("click", () => ask("stop"));
  element("abort").addEventListener("click", () => ask("abort"));
  element("no").addEventListener("click", () => element("sure").close());
  element("yes").addEventListener("click", async () => {
    element("sure").close();
    try {
      const answer = await fetch(path(`/${question}`), { method: "POST" });
      write("remark", answer.ok ? "" : await answer.text());
    } catch {
      write("remark", "evload can't be reached");
    }
  });

  // -- the stream --------------------------------------------------------------------------------------

  const name = document.title;
  const describe = () => {
    if (asked === "over") say("over", "making the report", "running");
    else if (asked === "abort") say("aborting", "reporting what there is");
    else if (asked === "stop") say("stopping", "nothing more is sent; waiting for what is outstanding");
    else if (moments.length) say("running", "");
    else say("waiting", "for the run to begin");
    document.title = `${element("state").textContent}: ${name}`;
    enable();
  };

  const finish = (told) => {
    over = true;
    stream.close();
    say(told.verdict, told.headline);
    document.title = `${told.verdict.toUpperCase()}: ${name}`;
    list("troubles", []);
    list("actions", []);
    element("standings").hidden = true;
    element("controls").hidden = true;
    list("findings", [...told.findings, ...told.checks.map((text) => ["warning", text])]);
    const rows = element("objectives").querySelector("tbody");
    for (const one of told.objectives) {
      const row = rows.insertRow();
      const cells = ["td", "th", "td", "td"].map((kind) => row.appendChild(document.createElement(kind)));
      row.setAttribute("role", "row");
      cells.forEach((cell, number) => cell.setAttribute("role", number === 1 ? "rowheader" : "cell"));
      cells[0].append(make("span", `chip ${one.result}`, one.result));
      cells[1].scope = "row";
      cells[1].append(make("span", "mono", one.title));
      if (one.note) cells[1].append(make("p", "note", one.note));
      cells[2].className = "right";
      cells[2].textContent = one.observed;
      cells[3].className = "drawing";
      if (one.drawing) cells[3].append(against(one));
      else cells[3].append(make("span", "muted", "no data"));
    }
    element("objectives").hidden = !told.objectives.length;
    element("end").hidden = false;
    const place = element("report-place");
    if (told.report) {
      const link = make("a", "", "Open the report");
      link.href = path("/report");
      place.append(link);
      // While there still is somebody to serve it; the link then leads to the browser's own copy.
      fetch(link.href).then((answer) => answer.arrayBuffer()).then(() => { link.dataset.kept = "true"; })
        .catch(() => link.replaceWith("The report"));
    }
    if (told.directory) {
      place.append(told.report ? ", or find it in " : "The results are in ", make("span", "mono", told.directory));
    }
    enable();
  };

  const against = ({ result, drawing: [from, to, low, high, limit] }) => {
    const svg = draw("svg", {
      class: "bracket", viewBox: "0 0 240 28", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false",
    });
    draw("rect", { class: "shaded", x: from, y: 5, width: to - from, height: 18 }, svg);
    draw("line", { class: "base", x1: 0, x2: 240, y1: 23, y2: 23 }, svg);
    draw("rect", { class: `seen ${result}`, x: low, y: 10, width: high - low, height: 8, rx: 1.5 }, svg);
    draw("line", { class: "limit", x1: limit, x2: limit, y1: 2, y2: 26 }, svg);
    return svg;
  };

  const stream = new EventSource(path("/events"));
  const heed = (kind, what) => stream.addEventListener(kind, (event) => what(JSON.parse(event.data)));
  stream.addEventListener("open", () => {
    // All that is known comes again.
    moments = [];
    write("remark", "");
    describe();
  });
  stream.addEventListener("error", () => {
    if (over) return;
    moments = [];
    say("gone", "evload has ended, or can't be reached");
    enable();
  });
  heed("plan", (told) => { plan = told; spread(); });
  heed("asked", (told) => { asked = told; describe(); });
  heed("moments", (told) => {
    moments = [...moments, ...told].slice(-KEPT);
    show(moments.at(-1));
    describe();
    plot();
  });
  heed("ended", finish);
  const drawn = () => (document.documentElement.dataset.ready === "true" ? plot() : setTimeout(drawn, 50));
  drawn();
})();
