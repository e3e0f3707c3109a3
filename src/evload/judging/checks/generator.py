"""Self-checks of the load: was it what the schedule asked for, and had the generator room to spare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate
from typing import Final

from ...model.facts import MEASURED
from ...model.iteration import JOURNEY
from ...model.phases import planned_length, tolerance_ns
from ...model.summary import HOPS, ScenarioSummary, Summary
from ...objectives.criteria import Criteria, lateness_limit_ns
from ...objectives.objective import Objective
from ...objectives.scenario import ScenarioCriteria
from ...stats.dispersion import FEWEST, LEAST_EXPECTED, dispersion
from ...stats.histogram import rank_of
from ...stats.slope import least_squares
from ...units import NS_PER_S, format_duration, format_share
from ..judge import judge
from .check import GOOD, Check, Judged, everything

_LATE_SHARE: Final = 0.01

_LATENESS_PERCENTILE: Final = Fraction(99, 100)
_CPU_LIMIT: Final = 0.8
_STALL_LIMIT_NS: Final = 100_000_000

_GROWTH: Final = 0.01
_SIGNIFICANT: Final = 2.0
_FEWEST_POINTS: Final = 10
_DRIFT_LIMIT_NS: Final = 10_000_000


def load_as_scheduled(summary: Summary) -> Check:
    """In every phase at most 1 % of its events were never sent, or so late that it was another phase.

    What an event waited for the order of its key was asked for, and doesn't count: the note says what it made late.
    What depends on load was easier then than asked; and where events came bunched it may have been harder.
    """
    worst, note, counted, bunched = 0.0, "", False, False
    for name, scenario in summary.scenarios.items():
        endings = [one for one in summary.vitals.endings if one.scenario == name]
        for (start_ns, end_ns), (due, late, own) in sorted(scenario.phases.items()):
            if not due:
                continue
            counted = True
            bunched |= own / due > _LATE_SHARE
            if (share := late / due) > worst:
                worst = share
                when = "the burst at" if start_ns == end_ns else "the phase from"
                until = "" if start_ns == end_ns else f" to {format_duration(end_ns)}"
                allowed = format_duration(tolerance_ns(planned_length((start_ns, end_ns), endings)))
                note = (
                    f"{name}: {late} of {due} events of {when} {format_duration(start_ns)}{until} "
                    f"left more than {allowed} late, or never"
                )
    if not counted:
        return Check(None, note="nothing was scheduled")
    if in_order := sum(one.late_for_order for one in summary.scenarios.values()):
        told = f"{in_order:,} events left late for the order of their key alone, as was asked for"
        note = f"{note}; {told}" if note else told
    return Check(worst <= _LATE_SHARE, worst, _LATE_SHARE, note, _bunched if bunched else _easier)


def _easier(judged: Judged) -> bool:
    """What passed, passed under less load than asked for."""
    return judged.holds


def _bunched(judged: Judged) -> bool:
    """And what failed may have failed because events came all at once."""
    return judged.holds or (judged.failed and judged.objective.depends_on_load)


def lateness(summary: Summary, terms: Criteria, judged: Sequence[Judged]) -> Check:
    """Nothing sent early, and no objective about `end_to_end` fails to pass for evload's own delay alone.

    Only `end_to_end` contains that delay, and it only makes it longer: a pass stands.
    """
    scenarios = summary.scenarios.values()
    early = sum(one.early_sends + (one.warmup.early_sends if one.warmup else 0) for one in scenarios)
    if early:
        return Check(False, early, 0, f"{early} events were sent before they were due", everything)
    late = late_sends(summary, terms.objectives)
    if late.ok is None:
        return late
    on_time = _on_time(summary)
    spoilt = frozenset(
        one.objective.title
        for one in judged
        if one.objective.subject == "end_to_end"
        and not one.holds
        and judge(one.objective, on_time, terms.scenarios).result in GOOD
    )
    note = late.note
    if spoilt:
        note = f"{note}; without evload's own delay {' and '.join(sorted(spoilt))} would hold"
    elif not late.ok:
        note = f"{note}, which changes no result"
    return Check(not spoilt, late.value, late.limit, note, lambda one: one.objective.title in spoilt)


def late_sends(summary: Summary, objectives: Sequence[Objective]) -> Check:
    """The 99th percentile of the delays of sends is within 1 % of the tightest limit on `end_to_end`."""
    limit_ns = lateness_limit_ns(objectives)
    if limit_ns is None:
        return Check(None, note="no objective is about end_to_end")
    worst_ns, where = -1, ""
    for name, scenario in summary.scenarios.items():
        delays = scenario.distributions.get("schedule_delay")
        if delays is None or not delays.count:
            continue
        edges = delays.upper.at_rank(rank_of(_LATENESS_PERCENTILE, delays.count))
        if edges is not None and edges[1] > worst_ns:
            worst_ns, where = edges[1], name
    if worst_ns < 0:
        return Check(None, note="nothing was sent")
    note = f"{where}: p99 {format_duration(worst_ns)}"
    return Check(worst_ns <= limit_ns, worst_ns / NS_PER_S, float(limit_ns / NS_PER_S), note)


def _on_time(summary: Summary) -> Summary:
    """The run as it would be had evload sent each event when it was due."""

    def scope(one: ScenarioSummary) -> ScenarioSummary:
        found = dict(one.distributions)
        if one.on_time is not None:
            found["end_to_end"] = one.on_time
        return replace(one, distributions=found, slices={label: scope(part) for label, part in one.slices.items()})

    vitals = replace(summary.vitals, aborted="")
    return replace(summary, scenarios={n: scope(one) for n, one in summary.scenarios.items()}, vitals=vitals)


def arrival_shape(summary: Summary, scenarios: Mapping[str, ScenarioCriteria]) -> Check:
    """Where arrivals are random: what was sent scatters around the schedule as a Poisson process does.

    Of a run that ended before its time only the steps count that lie wholly before its last event.
    """
    worst: tuple[float, Check] | None = None
    cut_short = summary.vitals.interrupted or summary.vitals.crashed or bool(summary.vitals.aborted)
    random = False
    for name, terms in scenarios.items():
        scenario = summary.scenarios.get(name)
        if terms.arrival_step_ns is None or scenario is None or scenario.sent_steps is None:
            continue
        random = True
        expected: Sequence[float] = terms.expected
        if cut_short:
            expected = expected[: (scenario.last_intended_ns or 0) // terms.arrival_step_ns]
        sent = [*scenario.sent_steps.events[: len(expected)]]
        sent += [0] * (len(expected) - len(sent))
        found = dispersion(zip(sent, expected, strict=True))
        if found is None:
            continue
        ok = found.low <= found.ratio <= found.high
        limit = found.low if found.ratio < 1 else found.high
        note = (
            f"{name}: dispersion {found.ratio:.3g} over {found.steps} steps, "
            f"between {found.low:.3g} and {found.high:.3g} expected"
        )
        badness = abs(found.ratio - 1) / abs(limit - 1)
        if worst is None or badness > worst[0]:
            worst = (badness, Check(ok, found.ratio, limit, note, _bunched))
    if worst is not None:
        return worst[1]
    if not random:
        return Check(None, note="no scenario has random arrivals")
    return Check(None, note=f"fewer than {FEWEST} steps expect {LEAST_EXPECTED:g} events or more")


def headroom(summary: Summary) -> Check:
    """The generator's CPU below 80 % of a core, and its loop never still for 100 ms."""
    cpu, stall_ns = summary.vitals.cpu_share, summary.vitals.longest_stall_ns
    used: list[tuple[float, float, str]] = []
    if cpu is not None:
        used.append((cpu, _CPU_LIMIT, f"CPU {format_share(cpu)}"))
    if stall_ns is not None:
        used.append((stall_ns / NS_PER_S, _STALL_LIMIT_NS / NS_PER_S, f"longest stall {format_duration(stall_ns)}"))
    if not used:
        return Check(None, note="unknown in virtual time")
    value, limit, _ = max(used, key=lambda one: one[0] / one[1])
    return Check(value < limit, value, limit, ", ".join(note for *_, note in used), _stamps_of_publish)


def _stamps_of_publish(judged: Judged) -> bool:
    """An answer that was looked at late looks slow, and what follows it in a journey begins late. Brackets get wider
    by it and stay true."""
    return judged.objective.subject in ("publish", *MEASURED, JOURNEY) and not judged.holds


def steady_state(summary: Summary, scenarios: Mapping[str, ScenarioCriteria]) -> Check:
    """Where a scenario claims it: what is in the system doesn't grow by more than 1 % of what comes in.

    The slope is that of the least-squares line through the number in the system at the end of each step; it has to
    be twice its own error to count.
    """
    worst: Check | None = None
    claimed = False
    for name, terms in scenarios.items():
        scenario = summary.scenarios.get(name)
        if terms.steady is None or scenario is None or scenario.flow is None:
            continue
        claimed = True
        flow = scenario.whole_flow(scenario.flow)
        step_ns = flow.step_ns
        end_ns = terms.steady[1]
        if scenario.last_intended_ns is not None:
            end_ns = min(end_ns, scenario.last_intended_ns)
        first, end = -(-terms.steady[0] // step_ns), min(len(flow), end_ns // step_ns)
        came = flow.events[first:end]
        if end - first < _FEWEST_POINTS or not sum(came):
            continue
        inside = [*accumulate(n - gone for n, gone in zip(flow.events, flow.within, strict=True))]
        line = least_squares([float(n) for n in range(first, end)], [float(n) for n in inside[first:end]])
        growth = line.per_unit * len(came) / sum(came)
        note = (
            f"{name}: {inside[first]} in flight at {format_duration((first + 1) * step_ns)}, {inside[end - 1]} at "
            f"{format_duration(end * step_ns)}; slope {format_share(growth)} of the rate"
        )
        fine = growth <= _GROWTH or line.t <= _SIGNIFICANT
        checked = Check(fine, growth, _GROWTH, note, partial(_claims_steady, name))
        if worst is None or (not checked.ok, growth) > (not worst.ok, worst.value or 0.0):
            worst = checked
    if worst is not None:
        return worst
    return Check(None, note="its span was too short to tell" if claimed else "no scenario claims a steady state")


def _claims_steady(scenario: str, judged: Judged) -> bool:
    return judged.holds and judged.objective.scenario in (None, scenario)


def clocks(summary: Summary) -> Check:
    """The wall clock and the monotonic one part by 10 ms a minute at most, and no stamp contradicts another."""
    drift_ns = summary.vitals.wall_drift_ns
    wrong = (
        (summary.negative_hops, "were processed before they were consumed"),
        (summary.contradictions, "can't be true together with those of others"),
    )
    if count := sum(events for events, _ in wrong):
        note = ", ".join(f"{events} events {what}" for events, what in wrong if events)
        return Check(False, count, 0, f"{note}, by their own stamps", _of_hops)
    if drift_ns is None:
        return Check(None, note="unknown in virtual time")
    note = f"{format_duration(drift_ns)} apart within a minute, {format_duration(_DRIFT_LIMIT_NS)} allowed"
    return Check(drift_ns <= _DRIFT_LIMIT_NS, drift_ns / NS_PER_S, _DRIFT_LIMIT_NS / NS_PER_S, note, _of_hops)


def _of_hops(judged: Judged) -> bool:
    """What is made of foreign stamps."""
    return judged.objective.subject in HOPS
