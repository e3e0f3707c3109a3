"""The survival curve of the HTML report: the share of events not yet visible, over the time since they were sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from bokeh.models import BasicTickFormatter, ColumnDataSource, FixedTicker, LogTicker, Range1d
from bokeh.plotting import figure

from ...model.report import ObjectiveResult, Report
from ...model.summary import Distribution
from ...report.wording import title
from ...stats.histogram import Histogram, rank_of
from ...units import NS_PER_S, format_duration, format_share, parse_duration
from .figures import Chart, Entry, glyph, named, new_figure, tip

_POINTS: Final = 300
_SHORTEST_NS: Final = 1_000_000
_TO_STAY_BELOW: Final = "objective: stay below"
_BUCKET: Final = 1 + 2**-10
"""Upper edge of a histogram's bucket over its lower one, at most."""
_FIRST: Final = Fraction(1, 10)
_CURVES: Final = (("consistency", "accent"), ("end_to_end", "second"))
_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?)\((\w+)\)\s*<=?\s*(\S+)$")
_LATENCY: Final = re.compile(r"\((\w+)\)?\s*<=?\s*([^\s)]+)")
"""The metric and the limit of `p99(consistency) < 2s`, of a share of them, and of both in any window."""
_SHARE: Final = re.compile(r"share\((\w+)\s*<=?\s*(\S+)\)\s*>=?\s*(\d+(?:\.\d+)?)%$")


@dataclass(frozen=True, slots=True)
class Demand:
    """A point that a curve has to stay below: at most `share` of the events may take longer than `limit_ns`."""

    metric: str
    limit_ns: int
    share: float
    expression: str


def demands(objectives: Sequence[ObjectiveResult]) -> Iterator[Demand]:
    """The objectives that are a point in the chart."""
    for objective in objectives:
        text = objective.expression.strip()
        if objective.scope:
            continue
        if match := _PERCENTILE.match(text):
            yield Demand(match[2], round(objective.limit * NS_PER_S), 1 - float(match[1]) / 100, text)
        elif match := _SHARE.match(text):
            try:
                yield Demand(match[1], parse_duration(match[2]), 1 - float(match[3]) / 100, text)
            except ValueError:  # it came from the environment, and its name stands in its place
                continue


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a metric may take, by an objective about a scenario or, with None, about all of them."""

    limit_ns: int
    told: str
    scenario: str | None


def latency_limits(objectives: Sequence[ObjectiveResult], metric: str) -> Iterator[Limit]:
    """The limits of what is asked of a metric, each once; `told` are the objectives that ask for it."""
    found: dict[tuple[int, str | None], list[str]] = {}
    for objective in objectives:
        if objective.subject in ("", metric) and (limit_ns := _limit_ns(objective, metric)) is not None:
            found.setdefault((limit_ns, objective.scenario), []).append(title(objective))
    for (limit_ns, scenario), titles in found.items():
        yield Limit(limit_ns, ", ".join(titles), scenario)


def _limit_ns(objective: ObjectiveResult, metric: str) -> int | None:
    match = _LATENCY.search(objective.expression)
    # How long all of them took together says nothing of one of them.
    if match is None or match[1] != metric or objective.expression.startswith("span("):
        return None
    try:
        return parse_duration(match[2])
    except ValueError:  # it came from the environment; what is judged by it in seconds, is known all the same
        alone = objective.expression[match.end() :].strip() == "" and not objective.expression.startswith("share(")
        return round(objective.limit * NS_PER_S) if alone else None


def survival(report: Report, scenario: str = "") -> Chart | None:
    """The chart of a scenario, or of the whole run; None if no event of it was followed."""
    told = report.summary.scenarios.get(scenario) if scenario else report.summary.total()
    found = {} if told is None else told.distributions
    shown = {name: found[name] for name, _ in _CURVES if name in found and found[name].count}
    if not shown:
        return None
    asked = [one for one in report.objectives if not scenario or one.scenario in (None, scenario)]
    points = [demand for demand in demands(asked) if demand.metric in shown]
    smallest = [1 / distribution.count for distribution in shown.values()] + [p.share for p in points if p.share > 0]
    least = min(smallest) / 2
    ends = [h.maximum or 0 for d in shown.values() for h in (d.lower, d.upper)] + [p.limit_ns for p in points]
    starts = [_beginning(distribution.lower) for distribution in shown.values()] + [p.limit_ns for p in points]
    first, last = max(_SHORTEST_NS, min(starts)) / NS_PER_S * 0.3, max(*ends, _SHORTEST_NS * 2) / NS_PER_S * 1.3
    grid = np.geomspace(first, last, _POINTS)
    plot = new_figure(
        height=360,
        x_axis_type="log",
        y_axis_type="log",
        x_range=Range1d(first, last, bounds=(first, last), name="seconds"),
        y_range=(least, 1.4),
        x_axis_label="seconds",
        y_axis_label="not yet visible",
    )
    for name, colour in reversed(_CURVES):
        if name in shown:
            _curve(plot, name, colour, shown[name], grid, least)
    _points(plot, points, least)
    plot.xaxis.ticker = LogTicker(mantissas=[1, 2, 5])
    plot.xaxis.formatter = BasicTickFormatter(use_scientific=False)
    shares = [10.0**-power for power in range(9) if 10.0**-power >= least]
    plot.yaxis.ticker = FixedTicker(ticks=shares)
    plot.yaxis.major_label_overrides = {share: format_share(share) for share in shares}
    legend = [Entry(name, colour) for name, colour in _CURVES if name in shown]
    legend += [Entry(_TO_STAY_BELOW, "bad", "triangle")] if points else []
    said = "Share of events not yet visible over time, on logarithmic scales. " + " ".join(
        f"{name}: {_ends(distribution)}." for name, distribution in shown.items()
    )
    rows = [[format_duration(limit), *(_share_after(d, limit) for d in shown.values())] for limit in _moments(shown)]
    return Chart(
        "window", "Survival curve", plot, said, ("after", *(f"{n}: not yet" for n in shown)), rows,
        "the share of events not yet visible after a time; the truth lies inside the band", legend, scenario,
    )  # fmt: skip


def _beginning(histogram: Histogram) -> int:
    """Where the curve leaves 100 %, to be seen."""
    edges = histogram.at_rank(rank_of(_FIRST, histogram.total))
    return edges[0] if edges else histogram.minimum or 0


def _curve(plot: figure, name: str, colour: str, distribution: Distribution, grid: object, least: float) -> None:
    # T lies in (L, R]: for sure later than t if L is, perhaps later than t if R is.
    low, high = _beyond(distribution.lower, grid, or_at=True), _beyond(distribution.upper, grid, or_at=False)
    source = ColumnDataSource({
        "at": grid, "drawn_low": np.maximum(low, least), "drawn_high": np.maximum(high, least),
        "low_percent": low * 100, "high_percent": high * 100,
    })  # fmt: skip
    band = plot.varea("at", "drawn_low", "drawn_high", source=source, fill_alpha=0.2)
    named(glyph(band, fill_color=colour), name)
    lower = plot.line("at", "drawn_low", source=source, line_width=1, line_alpha=0.6)
    line = plot.line("at", "drawn_high", source=source, line_width=2)
    for drawn in (lower, line):
        named(glyph(drawn, line_color=colour), name)
    rows = [(name, ""), ("after", "@at{0.000} s"),
            ("not yet visible", "@low_percent{0.[000]} … @high_percent{0.[000]} %")]  # fmt: skip
    plot.add_tools(tip(rows, [line]))


def _points(plot: figure, points: Sequence[Demand], least: float) -> None:
    if not points:
        return
    source = ColumnDataSource({
        "at": [point.limit_ns / NS_PER_S for point in points],
        "share": [max(point.share, 1.3 * least) for point in points],  # of nothing at all: inside the frame
        "expression": [point.expression for point in points],
    })  # fmt: skip
    marks = plot.scatter("at", "share", source=source, size=13, marker="inverted_triangle", line_width=2)
    named(glyph(marks, fill_color="surface", line_color="bad"), _TO_STAY_BELOW)
    hover = tip([("objective", "@expression")], [marks])
    hover.mode = "mouse"
    plot.add_tools(hover)


def _beyond(histogram: Histogram, grid: object, *, or_at: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Share of the values beyond each moment of the grid (in seconds), rounded towards the outside of the band."""
    edges = np.array(sorted(histogram.counts), dtype=np.float64) / NS_PER_S * (1 if or_at else _BUCKET)
    counts = np.array([histogram.counts[edge] for edge in sorted(histogram.counts)], dtype=np.float64)
    below = np.concatenate(([0.0], np.cumsum(counts)))
    place = np.searchsorted(edges, np.asarray(grid), side="left" if or_at else "right")
    return np.asarray((histogram.total - below[place]) / histogram.total, dtype=np.float64)


def _moments(shown: Mapping[str, Distribution]) -> list[int]:
    longest = max(h.maximum or 0 for d in shown.values() for h in (d.lower, d.upper))
    round_ms = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 300_000, 3_600_000)
    limits = [ms * 1_000_000 for ms in round_ms]
    return [limit for limit in limits if limit <= 2 * longest] or limits[:1]


def _share_after(distribution: Distribution, limit_ns: int) -> str:
    at = [limit_ns / NS_PER_S]
    low = format_share(float(_beyond(distribution.lower, at, or_at=True)[0]))
    high = format_share(float(_beyond(distribution.upper, at, or_at=False)[0]))
    return high if low == high else f"{low} … {high}"


def _ends(distribution: Distribution) -> str:
    seen = distribution.count - distribution.censored
    last = format_duration(distribution.upper.maximum or 0)
    return f"{seen:,} of {distribution.count:,} events were seen, the last after {last} at most"
