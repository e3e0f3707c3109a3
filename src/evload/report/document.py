"""The report as plain data, and as `summary.json`. Times in seconds; the format is a contract with a number."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

import orjson

from ..model.facts import FACTS, METRICS, QUEUE_LAG
from ..model.iteration import DUE, JOURNEY
from ..model.marker import Bracket, Marker
from ..model.report import Report, WorstEvent
from ..model.round import SETTLE
from ..model.rounds import RoundsSummary, RuleSummary
from ..model.summary import RACE, Distribution, GaugeSummary, ScenarioSummary, slice_label
from ..model.vitals import ReadVitals
from ..texts import plain_json
from ..units import NS_PER_S
from . import costs
from .journeys import ENDED_AT

FORMAT: Final = 1


def as_json(report: Report) -> bytes:
    """What `summary.json` holds."""
    return plain_json(orjson.dumps(document(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def document(report: Report) -> dict[str, Any]:
    """The report as plain data. A percentile is [lower, upper] in seconds; an end that is unbounded is None."""
    vitals = report.summary.vitals
    total, events = report.summary.total(), report.summary.events()
    scheduled = total.with_warmup("scheduled")
    for name, part in events.items():
        if (label := slice_label(event=name)) in total.slices:
            total.slices[label] = part  # also of scenarios that send nothing else
    return {
        "format": FORMAT,
        "run_id": report.run_id,
        "name": report.name,
        "started_at": report.started_at.isoformat().replace("+00:00", "Z"),
        "duration": vitals.duration_ns / NS_PER_S,
        "verdict": report.verdict.value,
        **report.circumstances.as_data(),
        "interrupted": vitals.interrupted,
        "crashed": vitals.crashed,
        "aborted": {"objective": vitals.aborted, "note": vitals.abort_note} if vitals.aborted else None,
        **_scope(total),
        "gauges": {name: _gauge(gauge) for name, gauge in report.summary.gauges.items()},
        "objectives": [
            {
                "expression": objective.expression,
                "scenario": objective.scenario,
                "scope": objective.scope,
                "result": objective.result.value,
                "observed": list(objective.observed),
                "limit": objective.limit,
                "note": objective.note,
                "worst": [_event(event) for event in objective.worst],
            }
            for objective in report.objectives
        ],
        "self_checks": [
            {
                "name": check.name,
                "result": check.result.value,
                "value": check.value,
                "limit": check.limit,
                "note": check.note,
            }
            for check in report.checks
        ],
        "events": {name: _scope(part) for name, part in events.items()},
        "scenarios": {name: _scope(scenario) for name, scenario in report.summary.scenarios.items()},
        **({} if report.summary.costs is None else {"costs": costs.as_data(report.summary.costs)}),
        "reads": {
            "requests": vitals.read_requests,
            "events": vitals.event_reads,
            "per_event": vitals.event_reads / scheduled if scheduled else None,
            "per_second": vitals.event_reads * NS_PER_S / vitals.duration_ns if vitals.duration_ns else None,
            "failed_requests": vitals.failed_reads,
            "unexpected_ids": vitals.unexpected_ids,
            "probes": {name: _reads(reads, report.summary.reads.get(name)) for name, reads in vitals.probes.items()},
        },
        "replicas": vitals.replicas,
        "generator": {
            "cpu_share": vitals.cpu_share,
            "longest_stall": None if vitals.longest_stall_ns is None else vitals.longest_stall_ns / NS_PER_S,
        },
        "phases_until": [
            {
                "scenario": one.scenario,
                "phase": one.phase,
                "until": one.until,
                "start": one.start_ns / NS_PER_S,
                "planned_end": one.due_ns / NS_PER_S,
                "ended_early": None if one.at_ns is None else one.at_ns / NS_PER_S,
            }
            for one in vitals.endings
        ],
        "copies": vitals.copies,
        "remarks": vitals.remarks,
        "errors": dict(sorted(vitals.errors.items(), key=lambda item: -item[1])),
        "incidents": [
            {
                "source": incident.source,
                "reason": incident.reason,
                "first": incident.first_ns / NS_PER_S,
                "last": incident.last_ns / NS_PER_S,
                "count": incident.count,
            }
            for incident in vitals.incidents
        ],
        "actions": [_action(marker) for marker in report.summary.markers],
        "not_undone": report.not_undone or None,
    }


def _action(marker: Marker) -> dict[str, Any]:
    """When it was done and undone, as brackets in seconds since the schedule began."""
    return {
        "action": marker.action,
        "number": marker.number,
        "done": _moments(marker.done),
        "undone": None if marker.undone is None else _moments(marker.undone),
        "lasting": marker.lasting,
        "error": marker.error,
        "undo_error": marker.undo_error,
    }


def _moments(bracket: Bracket) -> list[float | None]:
    return [_seconds(end) for end in bracket]


def _event(event: WorstEvent) -> dict[str, Any]:
    return {
        "correlation_id": event.correlation_id,
        "traceparent": event.traceparent,
        "scenario": event.scenario,
        "event": event.event,
        "key": event.key,
        "state": event.state,
        **({"figure": event.figure} if event.figure else {}),
        "timeline": [{"at": at, "what": what} for at, what in event.log],
    }


def _reads(reads: ReadVitals, took: Distribution | None) -> dict[str, Any]:
    return {
        **({"latency": _distribution(took)} if took is not None and took.count else {}),
        "requests": reads.requests,
        "events": reads.events,
        "failed": reads.failed,
        "throttled": reads.throttled,
        "busiest_second": reads.busiest,
        "widened": reads.stretch,
        "strange": reads.strange,
        "unread_stamps": reads.unread_stamps,
        **({} if reads.bytes_in is None else {"bytes_in": reads.bytes_in}),
    }


def _gauge(gauge: GaugeSummary) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: {"max": series.maximum, "min": series.minimum, "mean": series.mean, "last": series.last}
        for name, series in gauge.series.items()
    }
    if gauge.lag is not None and gauge.lag.count:
        values[QUEUE_LAG] = _distribution(gauge.lag)
    return {
        **values,
        "samples": {
            "taken": max((s.count for s in gauge.series.values()), default=0),
            "failed": gauge.failed,
            **({"missing": gauge.missing} if gauge.missing else {}),
        },
    }


def _scope(scenario: ScenarioSummary) -> dict[str, Any]:
    """What there is of a scenario, of all of them, or of a part. Figures that weren't looked for are left out."""
    first, last = scenario.first_intended_ns, scenario.last_intended_ns
    told: dict[str, Any] = {
        "ledger": dict(scenario.ledger),
        "span": None if first is None or last is None else (last - first) / NS_PER_S,
        "behind": scenario.behind_ns / NS_PER_S,
        "distributions": _distributions(scenario.distributions),
    }
    # In the order of the facts, and not in that in which they came to be known.
    for fact in FACTS:
        if tally := scenario.tallies.get(fact):
            told[fact] = {str(value): events for value, events in sorted(tally.items())}
    for fact, about in FACTS.items():
        if series := scenario.ranges.get(fact):
            unit = NS_PER_S if about.timed else 1
            told[fact] = {"events": series.count, "max": series.maximum / unit, "mean": series.mean / unit}
    told.update(sorted(scenario.sums.items()))
    if scenario.known.get("session"):
        told["session_reads"] = scenario.known["session"]
    if scenario.asked:
        told["replicas_that_agree"] = scenario.agreeing / scenario.asked
    if scenario.late_hops:
        told["late_hops"] = dict(sorted(scenario.late_hops.items(), key=lambda item: -item[1]))
    if scenario.warmup is not None:
        told["warmup"] = _scope(scenario.warmup)
    whole, events, races = scenario.journeys(), scenario.portions(), scenario.races()
    if scenario.reads:
        told["race_reads"] = {"events": scenario.reads, "failed": scenario.failed_reads}
    if RACE in races:
        told["race"] = _race(races[RACE])
    if whole:
        told["journeys"] = {name: _journey(part) for name, part in whole.items()}
    told_already = {RACE, *map(_label, whole)}
    parts = {label: part for label, part in scenario.slices.items() if label not in told_already}
    if parts:
        told["slices"] = {
            label: _scope(part) if label in events else _race(part) if label in races else _journey(part)
            for label, part in parts.items()
        }
    return told


def _label(journey: str) -> str:
    return slice_label(journey=journey)


def _journey(part: ScenarioSummary) -> dict[str, Any]:
    """What became of the iterations of a journey. Those that didn't complete stay in its times, as never done."""
    counts = {DUE if name == "scheduled" else name: count for name, count in part.ledger.items()}
    first, last, took = part.first_intended_ns, part.last_intended_ns, part.distributions.get(JOURNEY)
    return {
        "iterations": counts,
        "completed_rate": counts["completed"] / counts[DUE] if counts[DUE] else None,
        "span": None if first is None or last is None else (last - first) / NS_PER_S,
        **({} if took is None or not took.count else {JOURNEY: _distribution(took)}),
        "ended_at": {
            how.replace(" ", "_"): dict(sorted(part.tallies[name].items()))
            for name, how in ENDED_AT.items()
            if name in part.tallies
        },
        "reasons": dict(sorted(part.tallies.get("reasons", {}).items(), key=lambda item: (-item[1], item[0]))),
        "checks": dict(sorted(part.tallies.get("checks", {}).items())),
    }


def _race(part: ScenarioSummary) -> dict[str, Any]:
    """What became of the rounds of a race. Those that never settled stay in its times."""
    rounds, settle = part.rounds or RoundsSummary(), part.distributions.get(SETTLE)
    counts = {DUE if name == "scheduled" else name: count for name, count in part.ledger.items()}
    broken = sum(one.violated for one in rounds.rules.values())
    open_ones = sum(one.possible + one.unknown + one.open for one in rounds.rules.values())
    judged = rounds.judged
    return {
        "rounds": counts,
        "violations": [broken, broken + open_ones],
        "violated": [rounds.violated, rounds.violated + rounds.possible + rounds.unknown + rounds.open],
        "tried": judged + rounds.broken_off + rounds.open,
        "contended": [rounds.contended, judged - rounds.apart],
        "contention": [rounds.contended / judged, (judged - rounds.apart) / judged] if judged else None,
        "decided": rounds.decided,
        "always_won_by": rounds.only_winner or None,
        **({} if settle is None or not settle.count else {SETTLE: _distribution(settle)}),
        "rules": {name: _rule(rule) for name, rule in rounds.rules.items()},
        "contenders": {
            name: {
                DUE: one.due, "won": one.won, "refused": one.refused, "failed": one.failed, "doubt": one.doubt,
                "unsent": one.unsent, "rounds_won": one.rounds,
            }
            for name, one in rounds.contenders.items()
        },
        "reasons": dict(sorted(rounds.reasons.items(), key=lambda item: (-item[1], item[0]))),
    }  # fmt: skip


def _rule(rule: RuleSummary) -> dict[str, Any]:
    """In how many rounds it held or didn't; `cut_off`: those of which nobody knows because they were."""
    return {
        "kind": rule.kind,
        "held": rule.held,
        "violated": rule.violated,
        "possible": rule.possible,
        "unknown": rule.unknown,
        "cut_off": rule.open,
        "examples": [
            {
                "result": held.name.lower(),
                "scenario": one.scenario,
                "round": one.number,
                "due": one.intended_ns / NS_PER_S,
                "told": one.told,
            }
            for held, examples in sorted(rule.examples.items())
            for one in examples
        ],
    }


def _distributions(distributions: Mapping[str, Distribution]) -> dict[str, Any]:
    return {
        metric: _distribution(distributions[metric])
        for metric in METRICS
        if metric in distributions and distributions[metric].count
    }


def _distribution(distribution: Distribution) -> dict[str, Any]:
    return {
        "count": distribution.count,
        "censored": distribution.censored,
        **{name: [_seconds(low), _seconds(high)] for name, (low, high) in distribution.figures().items()},
    }


def _seconds(ns: int | Fraction | None) -> float | None:
    return None if ns is None else float(ns / NS_PER_S)
