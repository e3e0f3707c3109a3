"""The page of a search for the ceiling: its trials drawn, the interval, and why its ends are where they are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from bokeh.models import BoxAnnotation, ColumnDataSource, FixedTicker, Range1d, Span
from bokeh.plotting import figure

from ...model.ceiling import Ceiling, Outcome, Trial
from ...report import ceiling_wording, wording
from ...units import format_duration, format_rate, format_share
from .figures import Chart, Entry, coloured, glyph, named, new_figure, tip
from .page import embedded, packed_library, template

_MARKS: Final = {
    Outcome.GOOD: ("good", "third", "circle"),
    Outcome.BAD: ("bad", "bad", "inverted_triangle"),
    Outcome.UNDECIDED: ("undecided", "second", "diamond"),
    Outcome.GENERATOR: ("generator at fault", "muted", "square_x"),
}
"""Of each outcome what it is called, its colour, and its shape, by which it is told apart without colours."""
_CHIPS: Final = {
    Outcome.GOOD: "pass",
    Outcome.BAD: "fail",
    Outcome.UNDECIDED: "inconclusive",
    Outcome.GENERATOR: "invalid",
}
_LIMIT: Final = 0.01
_ROOM: Final = 1.25
_HIGHEST: Final = 1.0


def render(ceiling: Ceiling) -> str:
    """The page, as one file that opens offline. Links lead to the reports of the trials beside it."""
    charts = [one for one in (_trials(ceiling), _growth(ceiling), _windows(ceiling)) if one is not None]
    return template("ceiling.html.j2").render(
        ceiling=ceiling,
        answer=ceiling_wording.answer(ceiling),
        reasons=ceiling_wording.reasons(ceiling),
        objectives=[(one, wording.title(one), wording.observed(one)) for one in ceiling.objectives],
        charts=charts,
        drawn=embedded(charts),
        p95=_p95(ceiling),
        trials=[_row(trial) for trial in ceiling.trials],
        library=packed_library(),
    )


def _row(trial: Trial) -> dict[str, Any]:
    worst = _worst(trial)
    backlogs = [
        (name, ceiling_wording.growth(one), ceiling_wording.drain(one))
        for name, one in trial.judged.backlogs.items()
        if worst is None or name == worst[0]
    ]
    windows = trial.judged.windows
    return {
        "it": trial,
        "outcome": ceiling_wording.outcome(trial),
        "chip": _CHIPS[trial.outcome],
        "backlogs": backlogs,
        "windows": "" if windows is None else wording.bracket(*windows),
    }  # fmt: skip


# -- charts -----------------------------------------------------------------------------------------------------


def _trials(ceiling: Ceiling) -> Chart | None:
    """The rates in the order in which they were tried, and the interval."""
    if not ceiling.trials:
        return None
    rates = [float(trial.rate) for trial in ceiling.trials]
    low, high = min(rates) / _ROOM, max(rates) * _ROOM
    count = len(rates)
    plot = new_figure(
        height=320, y_axis_type="log", x_range=Range1d(0.5, count + 0.5), y_range=Range1d(low, high),
        x_axis_label="trial", y_axis_label=f"{_events(ceiling)} per second",
    )  # fmt: skip
    plot.xaxis.ticker = FixedTicker(ticks=list(range(1, count + 1)))
    _name_rates(plot, plot.yaxis, rates)
    bounds = ceiling.bounds
    if bounds.good is not None and bounds.bad is not None:
        band = BoxAnnotation(bottom=float(bounds.good), top=float(bounds.bad), fill_alpha=0.16, line_color=None)
        coloured(band, fill_color="accent")
        band.line_color = None
        plot.add_layout(band)
    for rate, colour in ((bounds.good, "third"), (bounds.bad, "bad")):
        if rate is not None:
            line = Span(location=float(rate), dimension="width", line_dash="dashed", line_width=1.5)
            plot.add_layout(coloured(line, line_color=colour))
    path = plot.line(list(range(1, count + 1)), rates, line_width=1.5)
    glyph(path, line_color="line")
    marked = _marked(plot, ceiling.trials, [float(trial.number) for trial in ceiling.trials], rates)
    plot.add_tools(
        tip([("trial", "@number"), ("rate", "@rate"), ("came to", "@outcome"), ("because", "@why")], marked)
    )
    said = (
        f"{count} trials from {format_rate(min(rates))} to {format_rate(max(rates))}. "
        f"The ceiling: {ceiling_wording.answer(ceiling)}."
    )
    rows = [
        [str(one.number), format_rate(one.rate), format_duration(one.length_ns), ceiling_wording.outcome(one)]
        for one in ceiling.trials
    ]
    return Chart(
        "trials", "Trials in their order", plot, said, ("trial", "rate", "length", "came to"), rows,
        "the band is the interval", _legend(ceiling.trials),
    )  # fmt: skip


def _growth(ceiling: Ceiling) -> Chart | None:
    """By how much the backlog grew, over the rate: of each trial that which grew most."""
    shown = [(trial, worst) for trial in ceiling.trials if (worst := _worst(trial)) is not None]
    if not shown:
        return None
    rates = [float(trial.rate) for trial, _ in shown]
    highest = min(_HIGHEST, max(max(high for _, (_, _, high) in shown), 3 * _LIMIT)) * 100
    lowest = max(-0.1 * highest, min(min(low for _, (_, low, _) in shown) * 100, 0))
    plot = new_figure(
        x_axis_type="log", x_range=Range1d(min(rates) / _ROOM, max(rates) * _ROOM),
        y_range=Range1d(lowest - 0.04 * highest, highest * 1.08), x_axis_label=f"{_events(ceiling)} per second",
        y_axis_label="% of the rate",
    )  # fmt: skip
    _name_rates(plot, plot.xaxis, rates)
    limit = Span(location=_LIMIT * 100, dimension="width", line_dash="dashed", line_width=1.5)
    plot.add_layout(coloured(limit, line_color="ink"))
    ends = [(max(low, -1.0) * 100, min(high, _HIGHEST) * 100) for _, (_, low, high) in shown]
    for outcome in Outcome:
        chosen = [number for number, (trial, _) in enumerate(shown) if trial.outcome is outcome]
        if chosen:
            label, colour, _ = _MARKS[outcome]
            xs = [rates[number] for number in chosen]
            bar = plot.segment(
                xs, [ends[number][0] for number in chosen], xs, [ends[number][1] for number in chosen], line_width=5,
                line_alpha=0.55, line_cap="round",
            )  # fmt: skip
            named(glyph(bar, line_color=colour), label)
    middles = [sum(pair) / 2 for pair in ends]
    marked = _marked(plot, [trial for trial, _ in shown], rates, middles, notes=[
        f"{name}: {format_share(round(low, 4))} to {format_share(round(high, 4))}" for _, (name, low, high) in shown
    ])  # fmt: skip
    plot.add_tools(tip([("trial", "@number"), ("rate", "@rate"), ("grew", "@note")], marked))
    rows = [
        [format_rate(trial.rate), name, format_share(round(low, 4)), format_share(round(high, 4))]
        for trial, (name, low, high) in sorted(shown, key=lambda one: one[0].rate)
    ]
    said = (
        f"By how much the backlog grew in each trial, as a share of the offered rate; {format_share(_LIMIT)} is the "
        "limit. " + "; ".join(f"at {rate} {low} to {high}" for rate, _, low, high in rows)
    )
    return Chart(
        "growth", "How fast the backlog grew", plot, said, ("rate", "what waits", "at least", "at most"), rows,
        f"dashed: {format_share(_LIMIT)} of the rate, the limit", _legend([trial for trial, _ in shown]),
    )  # fmt: skip


def _windows(ceiling: Ceiling) -> Chart | None:
    """p95 of the consistency window, or of how long an iteration takes, over the rate."""
    found = [(trial, *windows) for trial in ceiling.trials if (windows := trial.judged.windows) is not None]
    known = [(trial, low, high) for trial, low, high in found if low is not None and (low > 0 or high)]
    if not known:
        return None
    rates = [float(trial.rate) for trial, _, _ in known]
    tops = [high if high is not None else low * 2 for _, low, high in known]
    # A first read that saw it leaves 0 as the lower end, for which a logarithmic axis has no place.
    bottom, top = (
        min(low if low > 0 else high / 2 for (_, low, _), high in zip(known, tops, strict=True)) / 1.5,
        max(tops) * 1.5,
    )
    plot = new_figure(
        x_axis_type="log", y_axis_type="log", x_range=Range1d(min(rates) / _ROOM, max(rates) * _ROOM),
        y_range=Range1d(bottom, top), x_axis_label=f"{_events(ceiling)} per second", y_axis_label="seconds",
    )  # fmt: skip
    _name_rates(plot, plot.xaxis, rates)
    _name_rates(plot, plot.yaxis, [bottom, top])
    for outcome in Outcome:
        chosen = [number for number, (trial, _, _) in enumerate(known) if trial.outcome is outcome]
        if chosen:
            xs = [rates[number] for number in chosen]
            bar = plot.segment(
                xs, [max(bottom, known[number][1]) for number in chosen], xs, [tops[number] for number in chosen],
                line_width=5, line_alpha=0.55, line_cap="round",
            )  # fmt: skip
            named(glyph(bar, line_color=_MARKS[outcome][1]), _MARKS[outcome][0])
    marked = _marked(
        plot, [trial for trial, _, _ in known], rates, tops,
        notes=[wording.bracket(low, high) for _, low, high in known],
    )  # fmt: skip
    plot.add_tools(tip([("trial", "@number"), ("rate", "@rate"), ("p95", "@note")], marked))
    rows = [
        [format_rate(trial.rate), wording.bracket(low, high)]
        for trial, low, high in sorted(known, key=lambda one: one[0].rate)
    ]
    title = "How long an iteration takes" if ceiling.of_journeys else "How long until everybody sees it"
    what = "the time of an iteration" if ceiling.of_journeys else "the consistency window"
    said = f"p95 of {what} of each trial: " + "; ".join(f"at {rate} {told}" for rate, told in rows)
    return Chart(
        "windows", title, plot, said, ("rate", _p95(ceiling)), rows,
        "p95, as a bracket; one that begins at 0 is drawn from the lower edge",
        _legend([trial for trial, _, _ in known]),
    )  # fmt: skip


def _events(ceiling: Ceiling) -> str:
    return "iterations" if ceiling.of_journeys else "events"


def _p95(ceiling: Ceiling) -> str:
    """What the windows of trials are of."""
    return "p95(journey)" if ceiling.of_journeys else "p95(consistency)"


def _worst(trial: Trial) -> tuple[str, float, float] | None:
    found = [(name, *one.growth) for name, one in trial.judged.backlogs.items() if one.growth is not None]
    return max(found, key=lambda one: one[2], default=None)


def _marked(
    plot: figure, trials: Sequence[Trial], xs: Sequence[float], ys: Sequence[float], notes: Sequence[str] = ()
) -> list[Any]:
    """A mark for each trial, by what it came to."""
    renderers = []
    for outcome, (label, colour, shape) in _MARKS.items():
        chosen = [number for number, trial in enumerate(trials) if trial.outcome is outcome]
        if not chosen:
            continue
        source = ColumnDataSource(
            {
                "x": [xs[number] for number in chosen],
                "y": [ys[number] for number in chosen],
                "number": [trials[number].number for number in chosen],
                "rate": [format_rate(trials[number].rate) for number in chosen],
                "outcome": [ceiling_wording.outcome(trials[number]) for number in chosen],
                "why": ["; ".join(trials[number].judged.reasons)[:200] or "all holds" for number in chosen],
                "note": [notes[number] if notes else "" for number in chosen],
            }
        )
        drawn = plot.scatter("x", "y", source=source, marker=shape, size=11, line_width=2)
        renderers.append(named(glyph(drawn, line_color=colour, fill_color=colour), label))
    return renderers


def _legend(trials: Sequence[Trial]) -> list[Entry]:
    used = {trial.outcome for trial in trials}
    return [
        Entry(label, colour, "triangle" if outcome is Outcome.BAD else "point")
        for outcome, (label, colour, _) in _MARKS.items()
        if outcome in used
    ]


def _name_rates(plot: figure, axes: Any, rates: Sequence[float]) -> None:
    """Ticks at round rates on a logarithmic axis: 1, 2 and 5 of each decade, as far as there is room for them."""
    low, high = min(rates) / _ROOM, max(rates) * _ROOM
    decade = Fraction(1, 10**6)
    ticks: list[float] = []
    while decade <= high:
        ticks += [float(decade * step) for step in (1, 2, 5) if low <= decade * step <= high]
        decade *= 10
    if len(ticks) < 3:
        ticks = sorted({float(f"{low * (high / low) ** (part / 4):.2g}") for part in range(5)})
    for axis in axes:
        axis.ticker = FixedTicker(ticks=ticks)
        axis.major_label_overrides = {tick: f"{tick:,.10g}" for tick in ticks}
