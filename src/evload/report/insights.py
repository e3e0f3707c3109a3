"""Says in sentences what stands out in a run, each with the numbers that show it.

A insight needs clear evidence: a run in which all is well has none. What explains another insight keeps it out:
windows that rise because the backlog does are not told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from ..model.facts import TROUBLES
from ..model.report import CheckResult, Insight, ObjectiveResult, Result, Severity
from ..model.summary import Distribution, ScenarioSummary, Summary
from ..model.timeline import Timeline
from ..model.vitals import Incident, Vitals
from ..units import NS_PER_S, format_duration, format_share
from .insights_of_actions import explains, of_actions, within_actions
from .insights_over_time import lagging_replicas, moment, rising, saturated, stalls
from .races import races
from .wording import spoken

_ORDER: Final = tuple(Severity)
_P50, _P95, _P99 = Fraction(1, 2), Fraction(95, 100), Fraction(99, 100)
_QUARTERS: Final = 4
_EVENLY: Final = 3
"""What is spread over the run befell no quarter of it less than a third as often as the events due in it would let
expect."""
_MOST: Final = 0.5
_FEW: Final = 3
"""Failures in a row that are an outage; fewer are told by their counts alone."""
_CPU: Final = 0.8
_LATE_NS: Final = 10_000_000
_HOPS: Final = {
    "sent_to_consumed": "waiting for a consumer",
    "consumed_to_processed": "being processed",
    "processed_to_visible": "reaching the read model",
}
_BEFELL: Final = (
    ("lost", "lost", Severity.BAD, "of {whole:,} acked events were never seen"),
    ("regressed", "regressions", Severity.BAD, "of {whole:,} acked events were seen and then missing again"),
    ("duplicated", "duplicated", Severity.BAD, "of {whole:,} acked events had their effect more than once"),
)
_OF_WHAT_GOES: Final = {
    "lost": "of {whole:,} times what was to go was still there",
    "regressed": "of {whole:,} times what had gone was there again",
}
"""The same of what a step waits to be gone."""
_REFUSED: Final = (
    ("unsent", "never left the generator"),
    ("rejected", "{were} rejected"),
    ("returned", "found no route and {were} returned"),
    ("in_doubt", "{were} sent and never answered"),
)


def connections(vitals: Vitals) -> Iterator[Insight]:
    """What there is to know of the connections."""
    for told in vitals.remarks:
        source, _, what = told.partition(": ")
        yield Insight("connection", Severity.NOTE, f"{source[:1].upper()}{source[1:]}: {what}.", {"source": source})


def phases(vitals: Vitals) -> Iterator[Insight]:
    """What became of the phases that were to end when a gauge says so."""
    for one in vitals.endings:
        span = (one.start_ns, one.due_ns if one.at_ns is None else one.at_ns)
        lasted, planned = (format_duration(ns) for ns in (span[1] - span[0], one.due_ns - one.start_ns))
        told = f"{one.scenario}: {one.until} "
        if one.at_ns is None:
            told += f"never came in the phase from {moment(one.start_ns)} on, which lasted all of its {planned}."
        else:
            told += f"came at {moment(one.at_ns)} and ended its phase after {lasted} of at most {planned}."
        evidence: dict[str, float | str] = {
            "scenario": one.scenario, "until": one.until, "lasted_s": (span[1] - span[0]) / NS_PER_S,
            "planned_s": (one.due_ns - one.start_ns) / NS_PER_S,
        }  # fmt: skip
        yield Insight("phase", Severity.NOTE, told, evidence, span)


def warmups(summary: Summary) -> Iterator[Insight]:
    """What is counted apart, so that nobody takes it for all that was sent."""
    for name, scenario in summary.scenarios.items():
        if scenario.warmup is None:
            continue
        ledger = scenario.warmup.ledger
        bad = [f"{ledger[state]:,} {spoken(state)}" for state in TROUBLES if ledger[state]]
        told = f"; of them {_listed(bad)}" if bad else ""
        sentence = f"{ledger['scheduled']:,} events of the warm-up of {name} are left out of all figures{told}."
        evidence: dict[str, float | str] = {"scenario": name, "events": ledger["scheduled"]}
        evidence |= {state: ledger[state] for state in TROUBLES if ledger[state]}
        yield Insight("warm-up", Severity.NOTE, sentence, evidence)


def find(
    summary: Summary, objectives: Sequence[ObjectiveResult], checks: Sequence[CheckResult], timeline: Timeline
) -> list[Insight]:
    """All that stands out, the worst first."""
    is_late = _is_late(objectives)
    outages = _read_outages(summary)
    standing = list(stalls(timeline, _usual(summary, "publish"), _usual(summary, "consistency"), outages))
    growing = saturated(timeline)
    found = [
        *_befell(summary, timeline),
        *_ended(summary),
        *_appeared(summary),
        *_never_there(summary),
        *_broken_rules(summary),
        *_out_of_order(summary),
        *_refused(summary, timeline),
        *_outages(summary),
        *standing,
        *growing,
        *([] if growing else rising(timeline, [span for one in standing if (span := one.span_ns)], outages)),
        *lagging_replicas(timeline, hurts=is_late),
        *_generator(summary, checks, standing),
        *_unread_stamps(summary),
    ]
    found += _queue_contradictions(summary)
    acted = of_actions(summary.markers, timeline)
    found = [within_actions(one, summary.markers, timeline) for one in found if not explains(acted, one)]
    felt = any(one.kind == "action" for one in acted)
    found += _slow_hop(summary) if is_late and not found and not felt else []
    found += acted
    return sorted(found, key=lambda one: _ORDER.index(one.severity))


def _ended(summary: Summary) -> Iterator[Insight]:
    for name, scenario in summary.scenarios.items():
        count, whole = scenario.ledger["ended"], scenario.ledger["acked"]
        if count:
            where = f" in {name}" if len(summary.scenarios) > 1 else ""
            told = f"{count:,} of {whole:,} acked events came to another end ({format_share(count / whole)}){where}."
            yield Insight("ended", Severity.NOTE, told, {"events": count, "acked": whole, **_named(summary, name)})


def _appeared(summary: Summary) -> Iterator[Insight]:
    """What was to stay absent; whose steps are scenarios of their own, with their names."""
    for name, scenario in summary.scenarios.items():
        count, whole = scenario.ledger["appeared"], scenario.ledger["acked"]
        if count:
            share = format_share(count / whole)
            told = f"{count:,} of {whole:,} times something appeared where nothing may ({share}): {name}."
            yield Insight("appeared", Severity.BAD, told, {"events": count, "acked": whole, "scenario": name})


def _broken_rules(summary: Summary) -> Iterator[Insight]:
    """Rules of races that were broken for sure, each with the earliest round."""
    for race in races(summary):
        for rule in race.rules:
            if not rule.violated:
                continue
            whole = race.counts["judged"] + race.rounds.broken_off
            first = rule.examples[0]
            told = (
                f"Rule {rule.name!r} of {race.scenario} was broken in {rule.violated:,} of {whole:,} rounds, "
                f"first in {first.where}: {first.what}."
            )
            evidence: dict[str, float | str] = {
                "scenario": race.scenario, "rule": rule.name, "violated": rule.violated, "rounds": whole,
            }  # fmt: skip
            yield Insight("rule", Severity.BAD, told, evidence)


def _never_there(summary: Summary) -> Iterator[Insight]:
    """What was to go, and was never seen before: that it isn't there is no proof that it went."""
    for name, scenario in summary.scenarios.items():
        count = scenario.tallies.get("gone", {}).get(2, 0) - scenario.ledger["pending"]
        if count > 0:
            whole = scenario.ledger["acked"]
            told = (
                f"{count:,} of {whole:,} times no read showed what was to go, so nobody knows that it went: {name}."
            )
            evidence: dict[str, float | str] = {"events": count, "acked": whole, "scenario": name}
            yield Insight("never_there", Severity.WARNING, told, evidence)


def _befell(summary: Summary, timeline: Timeline) -> Iterator[Insight]:
    for kind, counter, severity, told in _BEFELL:
        for name, scenario in summary.scenarios.items():
            count, whole = scenario.ledger[counter], scenario.ledger["acked"]
            if not count:
                continue
            over_time = timeline.judged(name, getattr(timeline.scenarios[name], kind))
            offered = timeline.judged(name, timeline.scenarios[name].offered)
            goes = "gone" in scenario.tallies
            sentence = f"{count:,} {(_OF_WHAT_GOES.get(kind, told) if goes else told).format(whole=whole)}"
            if whole:
                sentence += f" ({format_share(count / whole)})"
            if len(summary.scenarios) > 1:
                sentence += f" in {name}"
            when, span = _when(over_time, offered, timeline.step_ns)
            sentence += when
            evidence: dict[str, float | str] = {"events": count, "acked": whole, **_named(summary, name)}
            for key, of_key in timeline.keys.get((name, kind), ())[:1]:
                if of_key > 1 and of_key >= _MOST * count:
                    sentence += f", {of_key:,} of them with the key {key}"
                    evidence |= {"key": key, "events_of_key": of_key}
            if kind == "regressed":
                evidence["still_missing"] = scenario.ledger["regressed"]
                if scenario.ledger["regressed"]:
                    how = "there" if goes else "missing"
                    sentence += f"; {scenario.ledger['regressed']:,} were still {how} at the end"
            yield Insight(kind, severity, sentence + ".", evidence, span)


def _span(counts: Sequence[int], step_ns: int) -> tuple[int, int] | None:
    hit = [number for number, count in enumerate(counts) if count]
    return (hit[0] * step_ns, (hit[-1] + 1) * step_ns) if hit else None


def _when(befell: Sequence[int], offered: Sequence[int], step_ns: int) -> tuple[str, tuple[int, int] | None]:
    """In words, and from when to when if it is a part of the run only. Both counts are by intended time."""
    span, whole = _span(befell, step_ns), _span(offered, step_ns)
    if span is None or whole is None:
        return "", None
    if _is_spread(befell, offered):
        return ", spread over the whole run", None
    if span[0] <= whole[0] and whole[1] <= span[1]:
        return "", None
    return f", all of them due between {moment(span[0])} and {moment(span[1])}", span


def _is_spread(befell: Sequence[int], offered: Sequence[int]) -> bool:
    """Whether it befell events all the time: in each quarter of the time in which events were due about as often as
    in the others, and not in a few moments of them. A burst or two have no time over which it could be spread."""
    due = [(hit, count) for hit, count in zip(befell, offered, strict=False) if count]
    hits, events = sum(hit for hit, _ in due), sum(count for _, count in due)
    if len(due) < _QUARTERS:
        return False
    edges = [len(due) * quarter // _QUARTERS for quarter in range(_QUARTERS + 1)]
    quarters = [due[first:end] for first, end in pairwise(edges)]
    return 2 * sum(hit > 0 for hit, _ in due) > min(len(due), hits) and all(
        _EVENLY * sum(hit for hit, _ in part) * events >= hits * sum(count for _, count in part) for part in quarters
    )


def _named(summary: Summary, scenario: str) -> dict[str, float | str]:
    return {"scenario": scenario} if len(summary.scenarios) > 1 else {}


def _out_of_order(summary: Summary) -> Iterator[Insight]:
    ledger = summary.total().ledger
    if count := ledger["out_of_order"]:
        sentence = f"{count:,} events were applied after a later one of the same key."
        yield Insight("out_of_order", Severity.BAD, sentence, {"events": count})


def _refused(summary: Summary, timeline: Timeline) -> Iterator[Insight]:
    cut_off = summary.vitals.interrupted or summary.vitals.crashed
    for name, scenario in summary.scenarios.items():
        counts = {state: scenario.ledger[state] for state, _ in _REFUSED}
        if cut_off:
            counts["in_doubt"] = 0  # nobody waited for the answers
        told = [
            f"{count:,} {what.format(were='was' if count == 1 else 'were')}"
            for state, what in _REFUSED
            if (count := counts[state])
        ]
        if not told:
            continue
        refused, offered = (
            timeline.judged(name, counts)
            for counts in (timeline.scenarios[name].refused, timeline.scenarios[name].offered)
        )
        where = f" in {name}" if len(summary.scenarios) > 1 else ""
        sentence = f"Of {scenario.ledger['scheduled']:,} events{where}, {_listed(told)}"
        when, span = _when(refused, offered, timeline.step_ns)
        happened: dict[str, float | str] = {state: count for state, count in counts.items() if count}
        severity, reads = Severity.BAD, scenario.failed_reads
        if reads:
            # What a read says nothing of is unknown then, and no error of the load.
            when += f"; {'one of these was a read' if reads == 1 else f'{reads:,} of these were reads'} of its race"
            severity = Severity.NOTE if reads == sum(counts.values()) else severity
            happened["failed_reads"] = reads
        yield Insight("refused", severity, f"{sentence}{when}.", {**happened, **_named(summary, name)}, span)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _probes(summary: Summary) -> set[str]:
    """Probes whose reads failed; a producer may have the name of a probe."""
    vitals = summary.vitals
    if vitals.probes:
        return {name for name, reads in vitals.probes.items() if reads.failed}
    return set(vitals.replicas) if vitals.failed_reads else set()


def _read_outages(summary: Summary) -> list[tuple[int, int]]:
    probes = _probes(summary)
    return [(one.first_ns, one.last_ns) for one in summary.vitals.incidents
            if one.source in probes and one.count >= _FEW]  # fmt: skip


def _outages(summary: Summary) -> Iterator[Insight]:
    probes = _probes(summary)
    grouped: dict[tuple[str, str], list[Incident]] = {}
    for incident in summary.vitals.incidents:
        if incident.count >= _FEW:
            grouped.setdefault((incident.source, incident.reason), []).append(incident)
    for (source, reason), times in grouped.items():
        count = sum(one.count for one in times)
        first, last = min(one.first_ns for one in times), max(one.last_ns for one in times)
        often = "" if len(times) == 1 else f" ({len(times)} times)"
        span = f"between {moment(first)} and {moment(last)}{often}"
        if source in probes:
            kind, severity, sentence = "read_outage", Severity.WARNING, f"Reads of {source} failed {span}"
        elif source in summary.gauges:
            kind, severity, sentence = "gauge_outage", Severity.NOTE, f"The gauge {source} could not be read {span}"
        else:
            kind, severity, sentence = "publish_outage", Severity.WARNING, f"Publishing to {source} failed {span}"
        evidence: dict[str, float | str] = {"source": source, "reason": reason, "failures": count}
        yield Insight(kind, severity, f"{sentence}, {count:,} in all: {reason}.", evidence, (first, last))


def _usual(summary: Summary, metric: str) -> int:
    distribution = summary.total().distributions.get(metric)
    if distribution is None or not distribution.count:
        return 0
    return distribution.bracket(_P50)[1] or 0


def _is_late(objectives: Iterable[ObjectiveResult]) -> bool:
    """An objective about how long events take doesn't hold, or only just."""
    metrics = ("first_seen", "consistency", "end_to_end", *_HOPS)
    return any(o.subject in metrics and o.result in (Result.FAIL, Result.WARN) for o in objectives)


def _unread_stamps(summary: Summary) -> Iterator[Insight]:
    """Without them the hops between send and effect are blank, and nothing else would say why."""
    for name, reads in summary.vitals.probes.items():
        if reads.unread_stamps:
            sentence = (
                f"In {reads.unread_stamps:,} reads of {name} a stamp can't be read, such as {reads.unread_stamp!r}"
            )
            cure = "write RFC 3339, or seconds since 1970"
            evidence: dict[str, float | str] = {"probe": name, "reads": reads.unread_stamps}
            yield Insight("unread_stamps", Severity.NOTE, f"{sentence}; {cure}.", evidence)


def _queue_contradictions(summary: Summary) -> Iterator[Insight]:
    for name, gauge in summary.gauges.items():
        if gauge.contradictions:
            sentence = (
                f"{gauge.contradictions:,} samples of {name} show fewer messages gone than earlier ones: they were "
                "delivered again, or somebody else publishes to it, so queue_lag may be too short."
            )
            yield Insight("queue_contradictions", Severity.NOTE, sentence, {"samples": gauge.contradictions})


def _slow_hop(summary: Summary) -> Iterator[Insight]:
    total = summary.total()
    ends = {hop: _bounds(total.distributions.get(hop), _P95) for hop in _HOPS}
    known = {hop: bounds for hop, bounds in ends.items() if bounds is not None}
    for hop, (low, high) in known.items():
        others = sum(bounds[1] for name, bounds in known.items() if name != hop)
        if len(known) > 1 and low > 2 * others:
            sentence = (
                f"Most of the time goes into {_HOPS[hop]}: {format_duration(low)} … {format_duration(high)} at the "
                f"95th percentile, all other hops together take {format_duration(others)} at most."
            )
            evidence: dict[str, float | str] = {
                "hop": hop,
                "p95_lower_s": low / NS_PER_S,
                "others_p95_s": others / NS_PER_S,
            }
            yield Insight("slow_hop", Severity.NOTE, sentence, evidence)
    yield from _slow_probe(total)


def _slow_probe(total: ScenarioSummary) -> Iterator[Insight]:
    late = sum(total.late_hops.values())
    if late < 2 or len(total.late_hops) < 2:
        return
    hop, count = max(total.late_hops.items(), key=lambda item: item[1])
    if count > _MOST * late:
        sentence = f"{count:,} of {late:,} events that were late or lost lost most of their time at {hop}."
        yield Insight("slow_hop", Severity.NOTE, sentence, {"hop": hop, "events": count, "late": late})


def _bounds(distribution: Distribution | None, p: Fraction) -> tuple[int, int] | None:
    if distribution is None or not distribution.count:
        return None
    low, high = distribution.bracket(p)
    return None if low is None or high is None else (low, high)


def _generator(summary: Summary, checks: Iterable[CheckResult], standing: Iterable[Insight]) -> Iterator[Insight]:
    vitals = summary.vitals
    failed = {check.name for check in checks if _has_failed(check)}
    delays = summary.total().distributions.get("schedule_delay")
    late = _bounds(delays, _P99)
    signs: list[str] = []
    evidence: dict[str, float | str] = {}
    if late is not None and late[1] > _LATE_NS and failed & {"lateness", "load as scheduled"}:
        signs.append(f"one event in a hundred left {format_duration(late[1])} late or later")
        evidence["schedule_delay_p99_s"] = late[1] / NS_PER_S
    if vitals.cpu_share is not None and vitals.cpu_share >= _CPU:
        signs.append(f"it used {format_share(vitals.cpu_share)} of its core")
        evidence["cpu_share"] = vitals.cpu_share
    if vitals.longest_stall_ns is not None and "headroom" in failed and vitals.longest_stall_ns > _LATE_NS * 10:
        signs.append(f"its event loop stalled for {format_duration(vitals.longest_stall_ns)}")
        evidence["longest_stall_s"] = vitals.longest_stall_ns / NS_PER_S
    if not signs:
        return
    if "cpu_share" not in evidence and any(one.kind == "stall_acks" for one in standing):
        return  # it had to wait for the broker
    sentence = f"The generator was too slow: {_listed(signs)}; what was measured includes its own delays."
    yield Insight("generator", Severity.WARNING, sentence, evidence)


def _has_failed(check: CheckResult) -> bool:
    return check.result not in (Result.PASS, Result.SKIPPED)
