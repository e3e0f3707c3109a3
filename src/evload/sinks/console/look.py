"""What is worth a look after a run: self-checks that failed, findings, the worst events, what failed outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from rich.text import Text

from ...model.report import Insight, ObjectiveResult, Report, Result, Severity, WorstEvent
from ...model.summary import Summary
from ...model.vitals import Incident, Vitals
from ...report.actions import Done, done
from ...report.wording import check_figures, title
from ...texts import printable
from ...units import NS_PER_S, format_duration
from .text import INDENT, indented

STYLES: Final = {
    Result.PASS: "bold green",
    Result.WARN: "bold yellow",
    Result.FAIL: "bold red",
    Result.INCONCLUSIVE: "bold yellow",
    Result.INVALID: "bold magenta",
    Result.SKIPPED: "dim",
}
_WEIGHTS: Final = {Severity.BAD: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold"}
_INSIGHTS: Final = 5
_EVENTS: Final = 3
_INCIDENTS: Final = 5
_REASONS: Final = 5
_ACTIONS: Final = 6
_OUTCOME: Final = "settled as"


def remarks(report: Report, width: int) -> list[Text]:
    """All of it, what weighs most first; nothing if there is nothing to look at."""
    vitals = report.summary.vitals
    return [
        *_checks(report, width),
        *_insights(report.insights, width),
        *_worst(report.objectives, width),
        *_late_hops(report, width),
        *_actions(report.summary, width),
        *_incidents(vitals.incidents, width),
        *_notes(vitals, width),
    ]


def _checks(report: Report, width: int) -> Iterator[Text]:
    for check in report.checks:
        if check.result in (Result.PASS, Result.SKIPPED):
            continue
        figures = check_figures(check)
        told = indented(f"self-check {check.name}: {figures}", width)
        if check.note and check.note != figures:
            told += "\n" + indented(check.note, width)
        result = (f"{check.result.value:<{INDENT}}", STYLES[check.result])
        yield from Text.assemble(result, told[INDENT:]).split("\n")


def _insights(insights: Sequence[Insight], width: int) -> Iterator[Text]:
    for insight in insights[:_INSIGHTS]:
        told = indented(insight.sentence, width)
        name = (f"{insight.severity.value:<{INDENT}}", _WEIGHTS[insight.severity])
        yield from Text.assemble(name, told[INDENT:]).split("\n")
    if len(insights) > _INSIGHTS:
        yield Text(indented(f"and {len(insights) - _INSIGHTS} more findings, in the report", width), style="dim")


def _worst(objectives: Sequence[ObjectiveResult], width: int) -> Iterator[Text]:
    """Events to look up in logs and traces; one that was named isn't named again."""
    named: set[str] = set()
    for objective in objectives:
        if objective.result is Result.PASS:
            continue
        events = [event for event in objective.worst[:_EVENTS] if event.correlation_id not in named]
        if not events:
            continue
        named.update(event.correlation_id for event in events)
        yield Text(printable(f"worst of {title(objective)}"), style="bold")
        for event in events:
            line = Text(f"  {event.correlation_id}  {_fate(event)}", no_wrap=True)
            line.truncate(width, overflow="ellipsis")
            yield line


def _fate(event: WorstEvent) -> str:
    """How it ended and what took longest, from one moment to the next."""
    moments = [moment for moment in event.log if not moment[1].startswith(_OUTCOME)]
    told = event.state.replace("_", " ")
    if event.figure:
        told += f", {event.figure}"
    if len(moments) > 1:
        (since, before), (until, after) = max(pairwise(moments), key=lambda pair: pair[1][0] - pair[0][0])
        told += f": {_brief(before)}, {format_duration((until - since) * NS_PER_S)} later {_brief(after)}"
    return printable(told)


def _brief(moment: str) -> str:
    return moment.partition(",")[0].partition(" after ")[0]


def _late_hops(report: Report, width: int) -> Iterator[Text]:
    late = report.summary.total().late_hops
    if late:
        told = ", ".join(f"{count:,} at {probe}" for probe, count in sorted(late.items(), key=lambda item: -item[1]))
        yield from Text(indented(f"late or lost, by where most time went: {told}", width, "  ")).split("\n")


def _actions(summary: Summary, width: int) -> Iterator[Text]:
    """What was done to the system, in order of time; where that is much, what failed is told before the rest."""
    told = done(summary.markers)
    chosen = sorted(told, key=lambda one: not one.failed)[:_ACTIONS]
    times = {one.name: _span_of(one) for one in told if one in chosen}
    room = max(map(len, times.values()), default=0)
    for one in told:
        if one in chosen:
            text = f"{one.name}: {one.failed}" if one.failed else one.name
            line = Text(indented(text, width, f"  {times[one.name]:<{room}}  "))
            line.stylize("bold red" if one.failed else "")
            yield from line.split("\n")
    if len(told) > len(chosen):
        yield Text(f"  and {len(told) - len(chosen)} more times that something was done, in the report", style="dim")


def _span_of(one: Done) -> str:
    return f"{one.on} – {one.off}" if one.marker.lasting else one.on


def _incidents(incidents: Sequence[Incident], width: int) -> Iterator[Text]:
    """A short timeline; where there are many, those with most failures."""
    chosen = sorted(incidents, key=lambda one: -one.count)[:_INCIDENTS]
    times = [_time_of(one) for one in incidents if one in chosen]
    room = max(map(len, times), default=0)
    for time, one in zip(times, (one for one in incidents if one in chosen), strict=True):
        told = f"{one.source}: {one.reason}, {one.count:,} ×"
        yield from Text(indented(told, width, f"  {time:<{room}}  ")).split("\n")
    if len(incidents) > len(chosen):
        yield Text(f"  and {len(incidents) - len(chosen)} more incidents, in summary.json", style="dim")


def _time_of(incident: Incident) -> str:
    first, last = (f"{ns / NS_PER_S:,.1f} s" for ns in (incident.first_ns, incident.last_ns))
    return first if first == last else f"{first} – {last}"


def _notes(vitals: Vitals, width: int) -> Iterator[Text]:
    """What else limits the figures, and failures that are part of no incident."""
    notes = []
    if vitals.crashed:
        notes.append("the run was killed or is still going on; what was outstanding counts as in doubt")
    nameless = [probe for probe, replicas in vitals.replicas.items() if not replicas]
    if nameless and vitals.event_reads:
        probes = ", ".join(nameless)
        notes.append(f"{probes}: answers name no replica; if there are several, they could not be told apart")
    if vitals.copies:
        notes.append(f"copies sent: {_listed(vitals.copies)}")
    told = {reason for one in vitals.incidents for reason in (one.reason, f"{one.source}: {one.reason}")}
    reasons = [item for item in vitals.errors.items() if item[0] not in told]
    reasons.sort(key=lambda item: -item[1])
    notes += [f"{count:,} × {reason}" for reason, count in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        notes.append(f"and {len(reasons) - _REASONS} more reasons, in summary.json")
    for note in notes:
        yield from Text(indented(note, width, "  "), style="dim").split("\n")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
