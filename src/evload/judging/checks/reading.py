"""Self-checks of the reads: are they fine, gentle, many and long enough to decide the objectives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from ...model.summary import Distribution, Summary
from ...model.vitals import ReadVitals
from ...objectives.objective import Objective
from ...stats.binomial import smallest_n
from ...stats.evidence import weigh
from ...stats.thresholds import ThresholdCount
from ...units import NS_PER_S, format_duration, format_share
from .check import Check

_RESOLUTION: Final = Fraction(1, 10)
_FAILED: Final = 0.001
_HORIZON: Final = 3
_VISIBILITY: Final = ("first_seen", "consistency", "end_to_end")


def resolution(summary: Summary, objectives: Sequence[Objective]) -> Check:
    """At each threshold the events that can't be told are a tenth of those that may be bad, at most.

    Or they change nothing: counted for the objective or against it, it is decided all the same.
    """
    worst: tuple[bool, float, Check] | None = None
    for objective, p, threshold_ns, distribution in _share_questions(summary, objectives):
        n = distribution.count
        if not n:
            continue
        counts = distribution.thresholds[threshold_ns]
        undecided = max(0, n - counts.within - counts.beyond)
        value, allowed = Fraction(undecided, n), _RESOLUTION * (1 - p)
        note = f"{objective.title}: {undecided} of {n} events can't be told" if undecided else ""
        fine = value <= allowed
        if not fine and _is_decided(objective, p, counts, n):
            fine, note = True, f"{note}, which changes nothing"
        if worst is None or (not fine, float(value / allowed)) > worst[:2]:
            worst = (not fine, float(value / allowed), Check(fine, float(value), float(allowed), note))
    return worst[2] if worst else Check(None, note="no objective that has data asks for a share of the events")


def _is_decided(objective: Objective, p: Fraction, counts: ThresholdCount, n: int) -> bool:
    """Whether even the events that can't be told leave no doubt. What is asked of windows is not inferred."""
    if objective.window is not None or objective.inner is not None:
        return False
    weighed = weigh(counts, n)
    return weighed.highest < float(1 - p) or weighed.lowest > float(1 - p)


def observer_effect(summary: Summary, max_reads: Mapping[str, float | None]) -> Check:
    """Each probe stays within its budget of event reads per second, and fewer than 0.1 % of its requests fail.

    What the read model refused because it was too much counts as failed.
    """
    probes = {name: reads for name, reads in summary.vitals.probes.items() if reads.requests}
    if not probes:
        return Check(None, note="nothing was read")
    worst: tuple[float, Check] | None = None
    for name, reads in probes.items():
        for value, limit, ok in _readings(reads, max_reads.get(name)):
            if worst is None or (not ok, value / limit) > (not worst[1].ok, worst[0]):
                worst = (value / limit, Check(ok, value, limit, _tell(name, reads, max_reads.get(name))))
    assert worst is not None
    return worst[1]


def _readings(reads: ReadVitals, budget: float | None) -> Iterator[tuple[float, float, bool]]:
    """(value, limit, whether it holds) of one probe."""
    failed = reads.failed / reads.requests
    yield failed, _FAILED, failed < _FAILED
    if budget:
        yield float(reads.busiest), budget, reads.busiest <= budget


def _tell(name: str, reads: ReadVitals, budget: float | None) -> str:
    told = [f"{reads.failed} of {reads.requests} reads failed ({format_share(reads.failed / reads.requests)})"]
    if reads.throttled:
        told.append(f"{reads.throttled} of them throttled")
    of_budget = f", {budget:g} allowed" if budget else ""
    told.append(f"{reads.busiest} event reads in the busiest second{of_budget}")
    if reads.stretch > 1:
        told.append(f"gaps were widened up to {reads.stretch:.2g} x")
    return f"{name}: {'; '.join(told)}"


def evidence(summary: Summary, objectives: Sequence[Objective]) -> Check:
    """Events, counted by what they are worth, are enough for each objective to pass if none is bad.

    Objectives over time are exact for the run: any number decides them.
    """
    worst: tuple[float, Check] | None = None
    inferred = [objective for objective in objectives if objective.window is None and objective.inner is None]
    for objective, p, threshold_ns, distribution in _share_questions(summary, inferred):
        n, needed = distribution.count, smallest_n(p, 0)
        size, shared = 0.0, ""
        if n:
            weighed = weigh(distribution.thresholds[threshold_ns], n)
            size, shared = weighed.size, weighed.dependence_note(n)
        note = f"{objective.title}: {shared or f'{n} events'}"
        if worst is None or size / needed < worst[0]:
            worst = (size / needed, Check(size >= needed, size, needed, note))
    return worst[1] if worst else Check(None, note="no objective asks for a share of the events")


def horizon(summary: Summary, objectives: Sequence[Objective], deadlines_ns: Mapping[str, int]) -> Check:
    """Deadlines are three times the largest limit on visibility, and nothing is first seen in their last third."""
    if not deadlines_ns:
        return Check(None, note="nothing was probed")
    late = sum(scenario.late_sightings for scenario in summary.scenarios.values())
    if late:
        return Check(False, late, 0, f"{late} events were first seen in the last third of the deadline")
    limits = [
        objective.latency_limit_ns
        for objective in objectives
        if objective.subject in _VISIBILITY and objective.latency_limit_ns is not None
    ]
    if not limits:
        return Check(True, 0, 0)
    probe = min(deadlines_ns, key=deadlines_ns.__getitem__)
    deadline_ns, needed_ns = deadlines_ns[probe], _HORIZON * max(limits)
    note = f"{probe}: deadline {format_duration(deadline_ns)}, needs {format_duration(needed_ns)}"
    return Check(deadline_ns >= needed_ns, deadline_ns / NS_PER_S, needed_ns / NS_PER_S, note)


def _share_questions(
    summary: Summary, objectives: Sequence[Objective]
) -> Iterator[tuple[Objective, Fraction, int, Distribution]]:
    """(objective, share, threshold in ns, distribution) of each share objective, for each of its thresholds."""
    for objective in objectives:
        asked = objective.inner or objective
        if asked.share is None:
            continue
        distribution = asked.distribution(summary)
        for _, threshold_ns in asked.thresholds:
            yield objective, asked.share, threshold_ns, distribution
