"""The HTML report: one file that explains a run to the person who has to find out why. It opens offline.

Text and tables are plain HTML; the charts are Bokeh's, whose script is written into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from fractions import Fraction
from itertools import accumulate
from typing import Any, Final

from ...model.facts import COUNTERS, METRICS, PERCENTILES, QUEUE_LAG, STATES
from ...model.report import Insight, ObjectiveResult, Report, Result, WorstEvent
from ...model.summary import FIGURES, Distribution, ScenarioSummary
from ...model.timeline import Timeline
from ...report import actions, costs, journeys, races, wording
from ...units import NS_PER_S, format_duration, format_share
from .drawings import WIDTH, Flow, flow, gauging, log_places
from .funnel import SHOWN, told_of
from .palette import further
from .rounds import CONTENDERS, RULES, race_of

_REASONS: Final = 20
_INCIDENTS: Final = 50
_ACTIONS: Final = 200
"""Most times that something was done."""
_EXPLAINED: Final[Mapping[str, str]] = {
    "schedule_delay": "how late evload itself sent an event",
    "publish": "from sending to the broker's answer",
    "first_byte": "from sending to the first byte of the answer",
    "first_seen": "from the ack until the first reader saw it",
    "consistency": "from the ack until no reader misses it",
    "end_to_end": "from when it was due until no reader misses it",
    "gone": "until it wasn't there any more",
    "gone for good": "until it wasn't there any more, and stayed away",
    "hop": "from one probe to the next",
    "sent_to_consumed": "from sending until a consumer took it",
    "consumed_to_processed": "from then until it was processed",
    "processed_to_visible": "from then until it was visible",
    QUEUE_LAG: "time in the queue, told from its depth",
}
_SHOWN: Final = ("p50", "p95", "p99")


def render(report: Report, timeline: Timeline, insights: Sequence[Insight], config_text: str = "") -> str:
    """The page. `config_text` is the config as run, without secrets; empty if it isn't known."""
    from .over_time import charts
    from .page import embedded, packed_library, template
    from .window import survival

    over_time = charts(report, timeline, insights)
    apart = list(dict.fromkeys(chart.scenario for chart in over_time if chart.scenario))
    curves = [survival(report), *(survival(report, scenario) for scenario in apart)]
    windows = [
        replace(chart, name=f"{chart.name}-{number}") if number else chart
        for number, chart in enumerate(curve for curve in curves if curve is not None)
    ]
    drawn = embedded([*windows, *over_time])
    total = report.summary.total()
    counters = [name for name in COUNTERS if total.ledger[name]]
    page = template(
        "report.html.j2", spaced=_spaced, clock=_clock, number="{:,}".format, evidence=_evidence,
        utc=_utc_of(timeline),
    )  # fmt: skip
    return page.render(
        report=report,
        headline=wording.headline(report),
        total=total,
        vitals=report.summary.vitals,
        circumstances=wording.circumstances(report.circumstances),
        facts=_facts(report, timeline),
        findings=insights,
        objectives=[_objective(objective) for objective in report.objectives],
        scale=WIDTH,
        windows=windows,
        over_time=over_time,
        apart=apart,
        colours=further({entry.colour for chart in over_time for entry in chart.legend}),
        began_ms=None if timeline.began_at is None else round(timeline.began_at.timestamp() * 1000),
        drawn=drawn,
        stages=timeline.stages,
        warmups=timeline.warmups,
        metrics=[line for scenario in ("", *apart) for line in _metrics(report, scenario)],
        figures=FIGURES,
        reads=[
            (name, [wording.ends(*ends) for ends in took.figures().values()], took.count, took.censored)
            for name, took in report.summary.reads.items()
            if took.count
        ],
        by_event=[
            (name, metric, [wording.ends(*ends) for ends in one.figures().values()], one.count, one.censored)
            for name, metric, one in wording.by_event(report.summary)
        ],
        parts=[_ledger(report, scenario) for scenario in ("", *apart)],
        ledger_rows=("scheduled", *STATES, *counters),
        worst=_worst(report.objectives),
        checks=[(check, wording.check_figures(check)) for check in report.checks],
        passed=sum(check.result is Result.PASS for check in report.checks),
        applied=sum(check.result is not Result.SKIPPED for check in report.checks),
        reasons=sorted(report.summary.vitals.errors.items(), key=lambda item: -item[1])[:_REASONS],
        incidents=report.summary.vitals.incidents[:_INCIDENTS],
        actions=(told := actions.done(report.summary.markers))[:_ACTIONS],
        journeys=[told_of(one) for one in journeys.funnels(report.summary)],
        races=[race_of(one) for one in races.races(report.summary)],
        of_rules=RULES,
        of_contenders=CONTENDERS,
        step_times=SHOWN,
        several=len(report.summary.scenarios) > 1,
        costs=None if report.summary.costs is None else costs.rows(report.summary.costs),
        cost_head=costs.HEAD,
        cost_basis="" if report.summary.costs is None else costs.basis(report.summary.costs),
        more_actions=len(told) - _ACTIONS,
        end_ns=timeline.count * timeline.step_ns,
        config_text=config_text,
        library=packed_library(),
    )


def _utc_of(timeline: Timeline) -> Callable[[float], str]:
    """Tells a moment, in nanoseconds since the schedule began, by the clock of the world; nothing if it isn't known.

    With the day where the run lasted until the next.
    """
    began_at = timeline.began_at
    if began_at is None:
        return lambda ns: ""
    began = began_at.astimezone(UTC)
    ended = began + timedelta(microseconds=timeline.count * timeline.step_ns // 1000)

    def told(ns: float) -> str:
        at = began + timedelta(microseconds=ns / 1000)
        text = at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
        return text if began.date() != ended.date() else text.partition(" ")[2]

    return told


def _spaced(name: str) -> str:
    return wording.spoken(name)


def _clock(ns: float) -> str:
    seconds = ns / NS_PER_S
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{minutes}:{int(rest):02d}" if not hours else f"{hours}:{minutes:02d}:{int(rest):02d}"
    return text + (f".{int(rest * 10 % 10)}" if rest % 1 >= 0.1 and not hours else "")


def _evidence(evidence: Mapping[str, float | str]) -> list[tuple[str, str]]:
    return [(_spaced(name.removesuffix("_s")), _figure(name, value)) for name, value in evidence.items()]


def _figure(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if name.endswith("_s"):
        return "never" if value == float("inf") else format_duration(value * NS_PER_S)
    return f"{value:,.0f}" if value >= 100 else f"{value:,.4g}"


def _facts(report: Report, timeline: Timeline) -> list[tuple[str, str, str]]:
    """(name, figure, remark) of what a reader wants to know first."""
    total = report.summary.total()
    facts = []
    for metric in ("consistency", "end_to_end"):
        distribution = total.distributions.get(metric)
        if distribution is not None and distribution.count:
            p99 = _told(distribution, PERCENTILES["p99"])
            facts.append((f"p99 {_spaced(metric)}", p99, f"p50 {_told(distribution, PERCENTILES['p50'])}"))
    ledger, followed = total.ledger, report.summary.followed()
    if followed.get("acked") and followed["visible"]:
        gone = followed["lost"] + followed["regressed"]
        ended = f"{followed['ended']:,} ended, " if followed["ended"] else ""
        seen = format_share(followed["visible"] / followed["acked"])
        facts.append(("visible", seen, f"{ended}{gone:,} lost or regressed"))
    facts.append(("events", f"{ledger['scheduled']:,}", f"up to {_busiest(timeline):,} in a second"))
    return facts


def _busiest(timeline: Timeline) -> int:
    """Most events that were due in a second, or of one in a longer interval; what was due at once has no rate."""
    intervals = max(1, round(NS_PER_S / timeline.step_ns))
    sums = [0, *accumulate(timeline.total.offered)]
    most = max((sums[min(n + intervals, len(sums) - 1)] - sums[n] for n in range(len(sums))), default=0)
    return round(most * NS_PER_S / max(NS_PER_S, intervals * timeline.step_ns))


def _objective(objective: ObjectiveResult) -> dict[str, Any]:
    return {
        "it": objective,
        "title": wording.title(objective),
        "observed": wording.observed(objective),
        "drawing": gauging(objective),
    }


def _of(report: Report, scenario: str) -> ScenarioSummary:
    """What is known of a scenario or, without a name, of all of them."""
    return report.summary.scenarios[scenario] if scenario else report.summary.total()


def _ledger(report: Report, scenario: str) -> tuple[str, Flow, list[tuple[str, int]], Sequence[str]]:
    """The scenario, where its events went, what else is counted of them, and what is told of that."""
    told = _of(report, scenario)
    counts = [(name, told.ledger[name]) for name in COUNTERS if told.ledger[name]]
    return scenario, flow(told.ledger), counts, wording.beside_counts(told)


def _metrics(report: Report, scenario: str) -> list[dict[str, Any]]:
    """A line for each metric of a scenario, or of all: its percentiles as text, and places on a common scale."""
    told = _of(report, scenario)
    found: dict[str, Distribution | None] = dict(told.distributions)
    if not scenario:  # what lies in a queue may be of several
        found[QUEUE_LAG] = report.summary.queue_lag()
    shown = {name: d for name in (*METRICS, QUEUE_LAG) if (d := found.get(name)) is not None and d.count}
    shown |= wording.hops(told)
    ends = [[float(end) for p in _SHOWN for end in _ends(d, PERCENTILES[p])] for d in shown.values()]
    places = log_places(ends, WIDTH)
    return [
        {
            "name": (shown_as := wording.metric_of(told, name) if scenario else name),
            "scenario": scenario,
            "explained": _EXPLAINED.get(shown_as, _EXPLAINED["hop"]),
            "cells": [wording.ends(*ends) for ends in distribution.figures().values()],
            "count": distribution.count,
            "never": distribution.censored,
            "marks": list(zip(_SHOWN, place[::2], place[1::2], strict=True)),
        }
        for (name, distribution), place in zip(shown.items(), places, strict=True)
    ]


def _ends(distribution: Distribution, p: Fraction) -> tuple[int, int]:
    """Both ends of a percentile as far as they can be drawn."""
    low, high = distribution.bracket(p)
    longest = max(distribution.upper.maximum or 0, distribution.lower.maximum or 0)
    return (longest if low is None else low), (longest if high is None else high)


def _told(distribution: Distribution, p: Fraction) -> str:
    return wording.ends(*distribution.bracket(p))


def _worst(objectives: Sequence[ObjectiveResult]) -> list[tuple[WorstEvent, list[str]]]:
    """Each event once, with the objectives that it weighs against."""
    events: dict[str, tuple[WorstEvent, list[str]]] = {}
    for objective in objectives:
        for event in objective.worst:
            told = wording.title(objective) + (f" ({event.figure})" if event.figure else "")
            events.setdefault(event.correlation_id, (event, []))[1].append(told)
    return list(events.values())
