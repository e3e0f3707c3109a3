"""The checks that a measurement has to pass before its verdict may be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..stats.binomial import smallest_n
from ..stats.evidence import weigh
from ..stats.histogram import rank_of
from ..summary import QUEUE_LAG, CheckResult, Distribution, Result, Summary
from ..units import NS_PER_S, format_duration, format_share
from .slo import Objective

_RATE_TOLERANCE: Final = 0.01
_LATENESS: Final = Fraction(1, 100)
_LATENESS_PERCENTILE: Final = Fraction(99, 100)
_CPU_LIMIT: Final = 0.8
_STALL_LIMIT_NS: Final = 100_000_000
_RESOLUTION: Final = Fraction(1, 10)
_HORIZON: Final = 3
_NOT_LATE: Final = ("schedule_delay", QUEUE_LAG)
_VISIBILITY: Final = ("first_seen", "consistency", "end_to_end")

Policy = Literal["strict", "warn", "off"]


class SelfCheckPolicy(BaseModel):
    """What a failed check does: make the run invalid (strict), warn, or nothing because it is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ledger: Annotated[Policy, Field(description="the sums close and no unexpected id was answered")] = "strict"
    offered_rate: Annotated[Policy, Field(description="sent within 1 % of the schedule in every window")] = "strict"
    lateness: Annotated[Policy, Field(description="sends are late by 1 % of the tightest objective at most")] = (
        "strict"
    )
    headroom: Annotated[Policy, Field(description="the generator's CPU and event loop are not the limit")] = "strict"
    resolution: Annotated[Policy, Field(description="few events can't be told to be within a limit or not")] = (
        "strict"
    )
    evidence: Annotated[Policy, Field(description="enough events to decide the objectives")] = "strict"
    horizon: Annotated[Policy, Field(description="probes look long enough to call an event lost")] = "strict"


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a check found. `ok` is None where it doesn't apply. Times in seconds."""

    ok: bool | None
    value: float | None = None
    limit: float | None = None
    note: str = ""


def run(
    summary: Summary,
    objectives: Sequence[Objective],
    policy: SelfCheckPolicy,
    *,
    deadlines_ns: Mapping[str, int],
) -> list[CheckResult]:
    """All checks, each with its value and its limit, in the order in which they are documented.

    `deadlines_ns` has the deadline of each probe by name. A failed check is INVALID under the policy
    `strict` and WARN under `warn`; too little evidence is INCONCLUSIVE instead of INVALID, because it isn't
    bad evidence. A check that doesn't apply or is off is SKIPPED.
    """
    found: tuple[tuple[str, Policy, _Finding], ...] = (
        ("ledger closes", policy.ledger, _ledger_closes(summary)),
        ("offered rate", policy.offered_rate, _offered_rate(summary)),
        ("lateness", policy.lateness, _lateness(summary, objectives)),
        ("headroom", policy.headroom, _headroom(summary)),
        ("resolution", policy.resolution, _resolution(summary, objectives)),
        ("evidence", policy.evidence, _evidence(summary, objectives)),
        ("horizon", policy.horizon, _horizon(summary, objectives, deadlines_ns)),
    )
    return [_result(name, chosen, finding) for name, chosen, finding in found]


def _result(name: str, policy: Policy, finding: _Finding) -> CheckResult:
    note = finding.note
    if policy == "off":
        result, note = Result.SKIPPED, "switched off in the config"
    elif finding.ok is None:
        result = Result.SKIPPED
    elif finding.ok:
        result = Result.PASS
    elif policy == "warn":
        result = Result.WARN
    else:
        result = Result.INCONCLUSIVE if name == "evidence" else Result.INVALID
    return CheckResult(name, result, finding.value, finding.limit, note)


def _ledger_closes(summary: Summary) -> _Finding:
    residuals = 0
    for scenario in summary.scenarios.values():
        has = scenario.ledger
        unanswered = ("unsent", "acked", "rejected", "returned", "in_doubt")
        residuals += abs(has["scheduled"] - sum(has[state] for state in unanswered))
        settled = ("visible", "lost", "regressed", "pending", "unobserved")
        residuals += abs(has["acked"] - sum(has[state] for state in settled))
    unexpected = summary.vitals.unexpected_ids
    parts = ((residuals, "events missing from the sums"), (unexpected, "unexpected ids in answers"))
    note = ", ".join(f"{count} {what}" for count, what in parts if count)
    return _Finding(residuals + unexpected == 0, residuals + unexpected, 0, note)


def _offered_rate(summary: Summary) -> _Finding:
    worst, note, windows = 0.0, "", 0
    for name, scenario in summary.scenarios.items():
        for window, (scheduled, sent) in sorted(scenario.offered.items()):
            windows += 1
            apart = abs(sent - scheduled)
            deviation = apart / max(scheduled, 1) if apart > 1 else 0.0
            if deviation > worst:
                worst, note = deviation, f"{name}, window {window}: {scheduled} scheduled, {sent} sent"
    if not windows:
        return _Finding(None, note="nothing was scheduled")
    return _Finding(worst <= _RATE_TOLERANCE, worst, _RATE_TOLERANCE, note)


def lateness_limit_ns(objectives: Sequence[Objective]) -> Fraction | None:
    """How late sends may be at their 99th percentile; None without an objective about a latency.

    The time in a queue counts from the broker's ack and its bracket from the samples of a gauge, so it sets no
    limit to the generator.
    """
    limits = [
        limit
        for objective in objectives
        if (limit := objective.latency_limit_ns) is not None and objective.subject not in _NOT_LATE
    ]
    return min(limits) * _LATENESS if limits else None


def _lateness(summary: Summary, objectives: Sequence[Objective]) -> _Finding:
    early = sum(scenario.early_sends for scenario in summary.scenarios.values())
    if early:
        return _Finding(False, early, 0, f"{early} events were sent before they were due")
    limit_ns = lateness_limit_ns(objectives)
    if limit_ns is None:
        return _Finding(None, note="no objective is about a latency")
    worst_ns, where = -1, ""
    for name, scenario in summary.scenarios.items():
        delays = scenario.distributions.get("schedule_delay")
        if delays is None or not delays.count:
            continue
        edges = delays.upper.at_rank(rank_of(_LATENESS_PERCENTILE, delays.count))
        if edges is None:
            return _Finding(False, None, float(limit_ns / NS_PER_S), f"{name}: more than 1 % were never sent")
        if edges[1] > worst_ns:
            worst_ns, where = edges[1], name
    if worst_ns < 0:
        return _Finding(None, note="nothing was sent")
    note = f"{where}: p99 {format_duration(worst_ns)}"
    return _Finding(worst_ns <= limit_ns, worst_ns / NS_PER_S, float(limit_ns / NS_PER_S), note)


def _headroom(summary: Summary) -> _Finding:
    cpu, stall_ns = summary.vitals.cpu_share, summary.vitals.longest_stall_ns
    used: list[tuple[float, float, str]] = []
    if cpu is not None:
        used.append((cpu, _CPU_LIMIT, f"CPU {format_share(cpu)}"))
    if stall_ns is not None:
        used.append((stall_ns / NS_PER_S, _STALL_LIMIT_NS / NS_PER_S, f"longest stall {format_duration(stall_ns)}"))
    if not used:
        return _Finding(None, note="unknown in virtual time")
    value, limit, _ = max(used, key=lambda one: one[0] / one[1])
    return _Finding(value < limit, value, limit, ", ".join(note for *_, note in used))


def _resolution(summary: Summary, objectives: Sequence[Objective]) -> _Finding:
    worst: tuple[float, _Finding] | None = None
    for objective, p, threshold_ns, distribution in _share_questions(summary, objectives):
        n = distribution.count
        if not n:
            continue
        counts = distribution.thresholds[threshold_ns]
        undecided = max(0, n - counts.within - counts.beyond)
        value, allowed = Fraction(undecided, n), _RESOLUTION * (1 - p)
        note = f"{objective.expression}: {undecided} of {n} events can't be told" if undecided else ""
        if worst is None or value / allowed > worst[0]:
            worst = (float(value / allowed), _Finding(value <= allowed, float(value), float(allowed), note))
    return worst[1] if worst else _Finding(None, note="no objective that has data asks for a share of the events")


def _evidence(summary: Summary, objectives: Sequence[Objective]) -> _Finding:
    worst: tuple[float, _Finding] | None = None
    for objective, p, threshold_ns, distribution in _share_questions(summary, objectives):
        n, needed = distribution.count, smallest_n(p, 0)
        size, shared = 0.0, ""
        if n:
            evidence = weigh(distribution.thresholds[threshold_ns], n)
            size, shared = evidence.size, evidence.dependence_note(n)
        note = f"{objective.expression}: {shared or f'{n} events'}"
        if worst is None or size / needed < worst[0]:
            worst = (size / needed, _Finding(size >= needed, size, needed, note))
    return worst[1] if worst else _Finding(None, note="no objective asks for a share of the events")


def _share_questions(
    summary: Summary, objectives: Sequence[Objective]
) -> Iterator[tuple[Objective, Fraction, int, Distribution]]:
    """(objective, share, threshold in ns, distribution) of each share objective, for each of its thresholds."""
    for objective in objectives:
        if objective.share is None:
            continue
        distribution = objective.scope(summary).distributions.get(objective.subject, Distribution())
        for _, threshold_ns in objective.thresholds:
            yield objective, objective.share, threshold_ns, distribution


def _horizon(summary: Summary, objectives: Sequence[Objective], deadlines_ns: Mapping[str, int]) -> _Finding:
    if not deadlines_ns:
        return _Finding(None, note="nothing was probed")
    late = sum(scenario.late_sightings for scenario in summary.scenarios.values())
    if late:
        return _Finding(False, late, 0, f"{late} events were first seen in the last third of the deadline")
    limits = [
        objective.latency_limit_ns
        for objective in objectives
        if objective.subject in _VISIBILITY and objective.latency_limit_ns is not None
    ]
    if not limits:
        return _Finding(True, 0, 0)
    probe = min(deadlines_ns, key=deadlines_ns.__getitem__)
    deadline_ns, needed_ns = deadlines_ns[probe], _HORIZON * max(limits)
    note = f"{probe}: deadline {format_duration(deadline_ns)}, needs {format_duration(needed_ns)}"
    return _Finding(deadline_ns >= needed_ns, deadline_ns / NS_PER_S, needed_ns / NS_PER_S, note)
