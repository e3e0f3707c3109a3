"""Self-checks of the reads: are they fine, gentle, many and long enough to decide the objectives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Final

from ...model.report import Result
from ...model.summary import Distribution, Summary
from ...model.vitals import ReadVitals
from ...objectives.objective import VISIBILITY, Measure, Objective
from ...objectives.scenario import ScenarioCriteria
from ...stats.binomial import smallest_n
from ...stats.evidence import weigh
from ...stats.thresholds import ThresholdCount
from ...units import format_share
from .check import Check, Judged

_RESOLUTION: Final = Fraction(1, 10)
_FAILED: Final = 0.001


def resolution(summary: Summary, objectives: Sequence[Objective]) -> Check:
    """At each threshold the events that can't be told are a tenth of those that may be bad, at most.

    Or they change nothing: counted for the objective or against it, it is decided all the same.
    """
    worst: tuple[bool, float, Check] | None = None
    coarse = set()
    for objective, p, threshold_ns, distribution in _share_questions(summary, objectives):
        n = distribution.count
        if not n or objective.of_iterations:
            continue  # No read is too coarse for iterations: those that can't be told were cut off.
        counts = distribution.thresholds[threshold_ns]
        undecided = max(0, n - counts.within - counts.beyond)
        value, allowed = Fraction(undecided, n), _RESOLUTION * (1 - p)
        note = f"{objective.title}: {undecided} of {n} events can't be told" if undecided else ""
        fine = value <= allowed
        if not fine and _is_decided(objective, p, counts, n):
            fine, note = True, f"{note}, which changes nothing"
        if not fine:
            coarse.add(objective.title)
        if worst is None or (not fine, float(value / allowed)) > worst[:2]:
            worst = (not fine, float(value / allowed), Check(fine, float(value), float(allowed), note))
    if worst is None:
        return Check(None, note="no objective that has data asks for a share of the events")
    check = worst[2]
    if any(_fails_often(reads) for reads in summary.vitals.probes.values()):
        # Where the read model didn't answer it isn't the reads that were too coarse.
        return check
    return replace(
        check, spoils=lambda one: one.objective.title in coarse and one.result.result is Result.INCONCLUSIVE
    )


def _is_decided(objective: Objective, p: Fraction, counts: ThresholdCount, n: int) -> bool:
    """Whether even the events that can't be told leave no doubt. What is asked of windows is not inferred."""
    if objective.window is not None or objective.inner is not None:
        return False
    weighed = weigh(counts, n)
    return weighed.highest < float(1 - p) or weighed.lowest > float(1 - p)


def observer_effect(summary: Summary, max_reads: Mapping[str, float | None]) -> Check:
    """Each probe stays within its budget of event reads per second, and fewer than 0.1 % of its requests fail.

    What the read model refused because it was too much counts as failed. Failed reads widen brackets, which stay
    true; only reads beyond their budget may have broken what they watched.
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
    if any(reads.busiest > (max_reads.get(name) or reads.busiest) for name, reads in probes.items()):
        return replace(worst[1], spoils=lambda one: one.failed)
    return worst[1]


def _fails_often(reads: ReadVitals) -> bool:
    return reads.requests > 0 and reads.failed / reads.requests >= _FAILED


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


def horizon(summary: Summary, deadlines_ns: Mapping[str, int]) -> Check:
    """Nothing is first seen in the last third of its deadline: else what was lost may have come later still."""
    if not deadlines_ns:
        return Check(None, note="nothing was probed")
    late = sum(scenario.late_sightings for scenario in summary.scenarios.values())
    note = f"{late} events were first seen in the last third of the deadline" if late else ""
    return Check(late == 0, late, 0, note, partial(_reaches, min(deadlines_ns.values()) * 2 // 3))


def _reaches(late_ns: int, judged: Judged) -> bool:
    """Whether it is decided by what happens that late."""
    objective = judged.objective.inner or judged.objective
    if objective.subject == "lost":
        return judged.result.result is Result.FAIL
    if objective.subject not in VISIBILITY or judged.holds:
        return False
    if objective.measure is Measure.MEAN:
        return True
    limit_ns = objective.latency_limit_ns
    return limit_ns is not None and limit_ns >= late_ns


def attribution(summary: Summary, scenarios: Mapping[str, ScenarioCriteria]) -> Check:
    """All that arrived or was answered is about an event of some run.

    What isn't may be what an event was lost for, or a second effect of one.
    """
    probes = summary.vitals.probes
    if not probes:
        return Check(None, note="nothing was probed")
    strange = {name: reads for name, reads in probes.items() if reads.strange}
    told = [
        f"{name}: {reads.strange} about no event of any run, such as {reads.example}"
        for name, reads in strange.items()
    ]

    def spoils(judged: Judged) -> bool:
        objective = judged.objective.inner or judged.objective
        if objective.subject == "lost":
            could = judged.result.result is Result.FAIL
        else:
            could = objective.subject == "duplicated" and judged.holds
        return could and any(_is_about(objective, name, scenarios) for name in strange)

    count = sum(reads.strange for reads in strange.values())
    return Check(not strange, count, 0, "; ".join(told), spoils)


def _is_about(objective: Objective, probe: str, scenarios: Mapping[str, ScenarioCriteria]) -> bool:
    """Whether what a probe saw can matter to an objective."""
    if objective.probe is not None:
        return objective.asks(probe)
    if objective.scenario not in scenarios:
        return True
    return any(probe in terms.probes for name, terms in scenarios.items() if objective.is_of(name))


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
