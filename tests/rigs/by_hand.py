"""Settled events with their times in ticks, and all that a fold makes of them as plain numbers.

A tick is so long that whole numbers of it are exact in a histogram; so summaries can be worked out by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evload.ledger import replay
from evload.model.marker import Marker
from evload.model.states import State
from evload.model.summary import Distribution, ScenarioSummary, Series
from evload.model.travel import Observation, Part
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.stats.histogram import Histogram
from evload.stats.thresholds import StepCounts
from evload.summary.fold_plan import Counted, ScenarioPlan
from evload.summary.recorder import Recorder
from tests.rigs.ledgers import begun, read_back

T = 1 << 20
"""A tick, about a millisecond. Up to 2047 of them, and twice as many that are even, are exact in a histogram."""
START = 5_000 * T
STEP = 4_000
"""Ticks in a step. An interval of ten seconds has 9536 of them."""

VISIBLE, LOST, REGRESSED, PENDING, UNOBSERVED = (
    State.VISIBLE, State.LOST, State.REGRESSED, State.PENDING, State.UNOBSERVED,
)  # fmt: skip
Bracket = tuple[int | None, int | None]
NEVER: Bracket = (None, None)


def absolute(ticks: int | None) -> int | None:
    return None if ticks is None else START + ticks * T


def event(
    seq: int,
    state: State,
    due: int,
    sent: int | None,
    acked: int | None,
    first: Bracket,
    stable: Bracket,
    settled: int,
    **facts: Any,
) -> Observation:
    """A settled event, its times in ticks since the schedule began."""
    return Observation(
        seq=seq, scenario=0, state=state, intended_ns=START + due * T, settled_ns=START + settled * T,
        sent_ns=absolute(sent), acked_ns=absolute(acked),
        first_lower_ns=absolute(first[0]), first_upper_ns=absolute(first[1]),
        stable_lower_ns=absolute(stable[0]), stable_upper_ns=absolute(stable[1]),
        **{"type": 0, "sampled": True, **facts},
    )  # fmt: skip


def part(probe: int, replica: str | None, state: State, first: Bracket, stable: Bracket) -> Part:
    return Part(probe, replica, state, *map(absolute, first), *map(absolute, stable))


def counted(
    *thresholds: tuple[str, int],
    steps: Sequence[tuple[str, int]] = (),
    counters: Sequence[str] = (),
    on_time: bool = False,
) -> Counted:
    return Counted(
        tuple((metric, x * T) for metric, x in thresholds),
        tuple((metric, x * T, STEP * T) for metric, x in steps),
        tuple((counter, STEP * T) for counter in counters),
        on_time,
    )


# -- what there is, as plain numbers ---------------------------------------------------------------------------------


def ticks(ns: int) -> int:
    whole, rest = divmod(ns, T)
    assert rest == 0, "not exact"
    return whole


def ends(histogram: Histogram) -> list[int | None]:
    """Every value in it, in order; None is never."""
    values = [ticks(value) for value in sorted(histogram.counts) for _ in range(histogram.counts[value])]
    assert histogram.total == len(values) + histogram.never
    assert histogram.value_sum == sum(values) * T
    if values:
        assert (histogram.minimum, histogram.maximum) == (values[0] * T, values[-1] * T)
    return values + [None] * histogram.never


def by_step(steps: StepCounts | None) -> dict[int, tuple[int, int, int]]:
    """Step to its events, within and beyond, where there are any."""
    assert steps is not None
    assert steps.step_ns == STEP * T
    told = enumerate(zip(steps.events, steps.within, steps.beyond, strict=True))
    return {step: counts for step, counts in told if any(counts)}


def at_thresholds(distribution: Distribution) -> dict[int, tuple[int, int, dict[int, list[int]]]]:
    """Threshold to within, beyond, and interval to [events, within, beyond]."""
    return {ticks(x): (n.within, n.beyond, n.intervals) for x, n in distribution.thresholds.items()}


def of_series(series: Series) -> tuple[int, float, float, float, float]:
    return series.count, series.minimum, series.maximum, series.last, float(series.value_sum)


def told(summary: ScenarioSummary) -> dict[str, Any]:
    """All that is in a summary and not zero or empty."""
    distributions = summary.distributions
    steps = {
        name: {ticks(x): by_step(steps) for (x, _), steps in found.steps.items()}
        for name, found in distributions.items()
    }
    thresholds = {name: at_thresholds(found) for name, found in distributions.items()}
    everything: dict[str, Any] = {
        "ledger": {name: count for name, count in summary.ledger.items() if count},
        "ends": {name: (ends(found.lower), ends(found.upper)) for name, found in distributions.items()},
        "exact": {name for name, found in distributions.items() if found.exact},
        "thresholds": {name: counts for name, counts in thresholds.items() if counts},
        "steps": {name: counts for name, counts in steps.items() if counts},
        "offered": summary.offered,
        "phases": {(ticks(start), ticks(end)): counts for (start, end), counts in summary.phases.items()},
        "on_time": at_thresholds(summary.on_time)
        | {"ends": (ends(summary.on_time.lower), ends(summary.on_time.upper))}
        if summary.on_time
        else {},
        "early_sends": summary.early_sends,
        "late_sightings": summary.late_sightings,
        "sampled": summary.sampled,
        "known": summary.known,
        "tallies": summary.tallies,
        "ranges": {name: of_series(found) for name, found in summary.ranges.items()},
        "sums": summary.sums,
        "span": None
        if summary.first_intended_ns is None or summary.last_intended_ns is None
        else (ticks(summary.first_intended_ns), ticks(summary.last_intended_ns)),
        "counters": {counter: by_step(steps) for (counter, _), steps in summary.counter_steps.items()},
        "late_hops": summary.late_hops,
        "agreeing": summary.agreeing,
        "asked": summary.asked,
        "sent_steps": by_step(summary.sent_steps) if summary.sent_steps else None,
        "flow": by_step(summary.flow) if summary.flow else None,
        "slices": {label: told(piece) for label, piece in summary.slices.items()},
        "warmup": told(summary.warmup) if summary.warmup else {},
    }
    return {name: value for name, value in everything.items() if value}


def fold(
    plan: ScenarioPlan, events: Sequence[Observation], *, markers: Sequence[Marker] = (), at_once: int | None = None
) -> ScenarioSummary:
    """What a fold makes of them. Actions were on as their markers say, and so many events are settled at once."""
    recorder = Recorder([plan], START)
    recorder.expect(0, [(seen.seq, seen.intended_ns, seen.key, seen.type) for seen in events])
    for marker in markers:
        recorder.marked(marker)
    settled = sorted(events, key=lambda seen: seen.settled_ns)
    for first in range(0, len(settled), at_once or len(settled) or 1):
        recorder.settle(settled[first : first + (at_once or len(settled))])
    return recorder.summary().scenarios["main"]


def through_the_ledger(path: Path, plan: ScenarioPlan, events: Sequence[Observation]) -> ScenarioSummary:
    criteria = Criteria((), SelfCheckPolicy(), {})
    known = dict(plan.probes)
    seen = [part.probe for one in events for part in one.parts]
    probes = [known.get(number, f"unknown-{number}") for number in range(max([*known, *seen], default=-1) + 1)]
    names: Mapping[str, Any] = {"events": ["order", "note"], "probes": probes}
    facts = replay.meta("r-1", "by hand", criteria, plans=[plan], gauges={}, segment=(0, 1), stages=(), **names)
    facts = {**facts, "started_at": "2026-01-01T00:00:00+00:00"}
    ledger = begun(path / "events.sqlite", START, facts, threaded=False)
    ledger.append(events)
    ledger.note(START, {"scheduled": [len(events)], "vitals": {}, "final": True})
    ledger.close()
    return read_back(path / "events.sqlite").summary.scenarios["main"]
