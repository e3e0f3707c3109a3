"""CSV for spreadsheets and scripts: percentiles, and the run over time. UTF-8, a header row, times in seconds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from .. import texts
from ..model.facts import METRICS, QUEUE_LAG, READ
from ..model.iteration import JOURNEY
from ..model.marker import Marker
from ..model.report import Report
from ..model.round import SETTLE, TALLIES
from ..model.summary import Distribution, slice_label
from ..model.timeline import LatencyOverTime, Timeline
from ..report.actions import on_between
from ..report.journeys import Funnel, funnels
from ..report.races import Race, races
from ..spi.format import Files, Format
from ..units import NS_PER_S

_OVER_TIME: Final = {"p50": Fraction(50, 100), "p95": Fraction(95, 100), "p99": Fraction(99, 100)}
_COUNTS: Final = (
    "offered", "sent", "acked", "visible", "given_up", "refused", "lost", "regressed", "duplicated", "failed_reads",
    "in_flight", "outstanding",
)  # fmt: skip
_PERCENTILES: Final = ("scenario", "slice", "metric", "percentile", "lower_s", "upper_s", "count", "censored")
_SERIES: Final = (
    "start_s", "end_s", "scenario", *_COUNTS,
    *(f"{metric}_{p}_{end}_s" for metric in ("consistency", "publish") for p in _OVER_TIME
      for end in ("lower", "upper")),
    "warmup", "actions",
)  # fmt: skip
_RACES: Final = ("scenario", "about", "name", "what", "count")
_JOURNEYS: Final = (
    "scenario", "journey", "step", "requests", "failures", "refused", "ok", "median_s", "p95_s", "p99_s", "mean_s",
    "min_s", "max_s", "requests_per_s",
)  # fmt: skip
_GAUGES: Final = ("start_s", "end_s", "gauge", "value", "min", "mean", "max")


class CsvFormat(Format):
    """A table of the percentiles and, where there are any, of journeys and of races; where there is a timeline, of
    the run and of its gauges over time."""

    def files(self, report: Report) -> Files:
        found = {"percentiles.csv": percentiles(report)}
        if told := funnels(report.summary):
            found["journeys.csv"] = journeys(told)
        if raced := races(report.summary):
            found["races.csv"] = rounds(raced)
        if report.timeline is not None:
            found["series.csv"] = series(report.timeline, report.summary.markers)
            found["gauges.csv"] = gauges(report.timeline)
        return found


def percentiles(report: Report) -> bytes:
    """A row for each percentile of each metric, for its minimum, mean and maximum; of the whole run, of the events of
    each name in it, each scenario and each slice.

    An empty scenario is the whole run, an empty slice the whole scenario; the time in a queue has `gauge=NAME` for
    a slice, and the time that the reads of a probe took, metric `read`, has `probe=NAME`. `inf` is an end beyond
    every limit: never seen, or never answered.
    """
    return _csv(_PERCENTILES, _percentile_rows(report))


def journeys(found: Sequence[Funnel]) -> bytes:
    """A row for each journey of each scenario, and one for each of its steps.

    Of a journey, whose row has no step, the requests are the iterations that were started, and the times are those
    from due to done; of a step they are those from sending to the answer. `inf` is a time beyond every limit.
    """
    return _csv(_JOURNEYS, _journey_rows(found))


def rounds(found: Sequence[Race]) -> bytes:
    """A row for each count of each race: `about` its rounds, a rule or a contender by its name."""
    return _csv(_RACES, _race_rows(found))


def series(timeline: Timeline, markers: Sequence[Marker] = ()) -> bytes:
    """A row for each interval and scenario; empty percentiles are those of an interval without events.

    `warmup` is 1 where it begins in the warm-up. `actions` names those that may have been on in the interval, or were
    done in it, with semicolons between them.
    """
    return _csv(_SERIES, _series_rows(timeline, markers))


def gauges(timeline: Timeline) -> bytes:
    """A row for each interval in which a gauge was sampled, and each of its values."""
    return _csv(_GAUGES, _gauge_rows(timeline))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([texts.name(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue().encode()


def _percentile_rows(report: Report) -> Iterator[Sequence[object]]:
    summary = report.summary
    yield from _of("", "", summary.total().distributions)
    for event, of_event in summary.events().items():
        yield from _of("", slice_label(event=event), of_event.distributions)
    for name, scenario in summary.scenarios.items():
        yield from _of(name, "", scenario.distributions)
        for label, part in scenario.slices.items():
            yield from _of(name, label, part.distributions)
    for name, gauge in summary.gauges.items():
        if gauge.lag is not None:
            yield from _of("", f"gauge={name}", {QUEUE_LAG: gauge.lag})
    for probe, reads in summary.reads.items():
        yield from _of("", slice_label(probe=probe), {READ: reads})


def _of(scenario: str, part: str, distributions: Mapping[str, Distribution]) -> Iterator[Sequence[object]]:
    for metric in (*METRICS, QUEUE_LAG, READ, JOURNEY, SETTLE):
        distribution = distributions.get(metric)
        if distribution is None or not distribution.count:
            continue
        for name, ends in distribution.figures().items():
            yield (scenario, part, metric, name, *map(_seconds, ends), distribution.count, distribution.censored)


def _journey_rows(found: Sequence[Funnel]) -> Iterator[Sequence[object]]:
    for one in found:
        counts = one.counts
        answers = (counts["started"], counts["failed"], counts["refused"], counts["completed"])
        yield (one.scenario, one.journey, "", *answers, *_times(one.times), _rate(one.per_s))
        for step in one.steps:
            answers = (step.reached, step.failed, step.refused, step.ok)
            yield (one.scenario, one.journey, step.name, *answers, *_times(step.times), _rate(step.per_s))


def _race_rows(found: Sequence[Race]) -> Iterator[Sequence[object]]:
    for one in found:
        for end, count in one.counts.items():
            yield (one.scenario, "rounds", "", "due" if end == "scheduled" else end, count)
        told = one.rounds
        for what in ("violated", "possible", "unknown", "held", "contended", "apart", "decided"):
            yield (one.scenario, "rounds", "", what, getattr(told, what))
        for rule in one.rules:
            for what in ("held", "violated", "possible", "unknown"):
                yield (one.scenario, "rule", rule.name, what, getattr(rule, what))
        for who in one.contenders:
            for what in ("due", *TALLIES, "rounds"):
                name = "rounds_won" if what == "rounds" else what
                yield (one.scenario, "contender", who.name, name, getattr(who, what))


def _times(distribution: Distribution | None) -> Iterator[object]:
    """Upper ends; nothing where there is no time."""
    figures = {} if distribution is None else distribution.figures()
    for name in ("p50", "p95", "p99", "mean", "min", "max"):
        yield _seconds(figures[name][1]) if figures else ""


def _rate(per_s: float | None) -> object:
    return "" if per_s is None else per_s


def _series_rows(timeline: Timeline, markers: Sequence[Marker]) -> Iterator[Sequence[object]]:
    step_ns = timeline.step_ns
    actions = [";".join(on_between(markers, i * step_ns, (i + 1) * step_ns)) for i in range(timeline.count)]
    for name, scenario in timeline.scenarios.items():
        counts = [getattr(scenario, column) for column in _COUNTS]
        for i in range(timeline.count):
            yield (*_interval(timeline, i), name, *(column[i] for column in counts), *_latencies(scenario.latency, i),
                   *_latencies(scenario.publish, i), int(_is_warmup(timeline, name, i)), actions[i])  # fmt: skip


def _is_warmup(timeline: Timeline, scenario: str, interval: int) -> bool:
    start_ns, end_ns = timeline.warmups.get(scenario, (0, 0))
    return start_ns <= interval * timeline.step_ns < end_ns


def _latencies(latency: LatencyOverTime, interval: int) -> Iterator[object]:
    for p in _OVER_TIME.values():
        bounds = latency.bounds(p, interval, interval + 1)
        yield from ("", "") if bounds is None else map(_seconds, bounds)


def _gauge_rows(timeline: Timeline) -> Iterator[Sequence[object]]:
    for (gauge, value), over_time in timeline.gauges.items():
        figures = zip(over_time.minimum, over_time.mean, over_time.maximum, strict=True)
        for i, (low, mean, high) in enumerate(figures):
            if mean is not None:
                yield (*_interval(timeline, i), gauge, value, low, mean, high)


def _interval(timeline: Timeline, i: int) -> tuple[float, float]:
    return _seconds(i * timeline.step_ns), _seconds((i + 1) * timeline.step_ns)


def _seconds(ns: int | Fraction | None) -> float:
    return float("inf") if ns is None else float(ns / NS_PER_S)
