"""One virtual run, by evload and the naive way, held against what really happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import inf
from typing import Final

from evload.engine.control import RunControl
from evload.model.correlation import CorrelationIds
from evload.model.facts import PERCENTILES
from evload.model.report import Result
from evload.model.states import State
from evload.model.travel import Observation
from evload.sandbox.truth import Truth
from evload.stats.histogram import rank_of
from evload.testing import MemoryWorld, VirtualLoop
from evload.testing.simulation import Simulated, Simulation

from . import naive
from .worlds import MS, Planted, S, typical_ns, worlds

GEOMETRIC: Final = "evload, geometric"
ADAPTIVE: Final = "evload, adaptive"
NAIVE: Final = "naive"
WAYS: Final = (GEOMETRIC, ADAPTIVE, NAIVE)
_READINGS: Final = {GEOMETRIC: "geometric", ADAPTIVE: "adaptive"}
_FEW: Final = 400
_MANY: Final = 6_000
"""Events of a short run and of a long one."""
_SHARE: Final = Fraction(95, 100)
"""Of the events, that have to be consistent within the limit."""
_AIMS: Final = (0.8, 0.88, 0.92, 0.945, 0.955, 0.97, 0.98, 0.99)
"""The share of the events that a run's limit lets pass; it goes from run to run."""
SHOWN: Final = ("p50", "p95", "p99")
_DEADLINE_S: Final = 15
_LONGEST_LIMIT_NS: Final = _DEADLINE_S * S // 3 - S // 10
"""A probe has to look three times as long as a limit."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one way of measuring said of one run. Errors are relative; infinite where one of the two is never.

    said     the verdict: PASS, FAIL, INCONCLUSIVE or INVALID
    judged   what the objective alone came to, which an invalid measurement would hide
    holds    whether the objective truly held in this run
    bounds   of evload: truths that were held against a bracket
    outside  and those that were not inside
    true_ns  how long each event truly took to be consistent; None is never
    """

    errors: tuple[float, ...]
    share_error: float
    said: Result
    judged: Result
    holds: bool
    bounds: int = 0
    outside: tuple[str, ...] = ()
    reads_per_event: float = 0.0
    true_ns: tuple[int | None, ...] = ()

    @property
    def wrong(self) -> bool:
        """It decided, and not as it was: in its verdict, or for the objective alone."""
        return (Result.FAIL if self.holds else Result.PASS) in (self.said, self.judged)


def run_one(number: int, seed: int) -> dict[str, Figures]:
    """A short run of each way, by its name, of the same world under the same limit."""
    world, limits_ns, usual_ns = _prepared(number, _FEW)
    limit_ns = limits_ns[seed % len(limits_ns)]
    figures = {way: _evload(world, seed, limit_ns, reading) for way, reading in _READINGS.items()}
    figures[NAIVE] = _naive(naive.latencies_ns(world, seed, usual_ns), figures[GEOMETRIC].true_ns, limit_ns)
    return figures


def run_long(number: int, way: str) -> Figures:
    """A run that is as long as those of users, which is what tells the reads that a plan needs that learns."""
    world, limits_ns, _ = _prepared(number, _MANY)
    return _evload(world, 1, limits_ns[-1], _READINGS[way])


@cache
def _prepared(number: int, events: int) -> tuple[Planted, tuple[int, ...], int]:
    """A world, the limits for its runs in whole milliseconds, and the median time that an event takes in it."""
    world = worlds(events)[number]
    times = typical_ns(world)
    limits = [times[int(aim * len(times))] or _LONGEST_LIMIT_NS for aim in _AIMS]
    usual = times[len(times) // 2]
    assert usual is not None
    return world, tuple(min(limit, _LONGEST_LIMIT_NS) // MS * MS for limit in limits), usual


def _simulate(
    world: Planted, seed: int, limit_ns: int, reading: str
) -> tuple[Simulated, list[tuple[Observation, Truth]]]:
    memory = MemoryWorld(world.seeded(seed))
    names = [replica.name for replica in world.settings.replicas]

    def change(_: RunControl) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for at, patch in world.changes:
            loop.call_later(at / S, lambda patch=patch: memory.world.change(loop.now_ns, patch))  # type: ignore[misc]

    simulated = Simulation(
        memory,
        [{"rate": f"{world.rate}/s", "for": f"{world.lasting_s}s"}],
        slos=[f"p{float(100 * _SHARE):g}(consistency) < {limit_ns}ns"],
        probe={"bulk": 500, "deadline": f"{_DEADLINE_S}s", "reading": reading},
        replicas={"memory": {name: {"replica": name} for name in names}} if len(names) > 1 else {},
        arrivals="poisson",
        seed=seed,
        at=change,
    ).run()
    ids, truths = CorrelationIds.for_run("simulation"), memory.truths()
    return simulated, [(seen, truths[ids.id_of(seen.seq)]) for seen in simulated.observations]


def _evload(world: Planted, seed: int, limit_ns: int, reading: str) -> Figures:
    run, events = _simulate(world, seed, limit_ns, reading)
    times = [_since_ack(seen, truth.stable_visible_ns) for seen, truth in events]
    outside = [text for seen, truth in events for text in _contradictions(seen, truth)]
    distributions = run.summary.scenarios["main"].distributions
    truths = {
        "first_seen": [_since_ack(seen, truth.first_visible_ns) for seen, truth in events],
        "consistency": times,
        "end_to_end": [_since(seen.intended_ns, truth.stable_visible_ns) for seen, truth in events],
    }
    for metric, true in truths.items():
        for name in SHOWN:
            low, high = distributions[metric].bracket(PERCENTILES[name])
            if not _holds(low, _quantile(true, name), high):
                outside.append(f"{name}({metric}): {_quantile(true, name)} is not in [{low}, {high}]")
    consistency = distributions["consistency"]
    counts = consistency.thresholds[limit_ns]
    share = Fraction(counts.within, consistency.count)
    said, judged = (
        Result.PASS if result is Result.WARN else result
        for result in (run.report.verdict, run.report.objectives[0].result)
    )
    return Figures(
        tuple(_error(consistency.bracket(PERCENTILES[name])[1], _quantile(times, name)) for name in SHOWN),
        abs(float(share - _share_within(times, limit_ns))),
        said,
        judged,
        _share_within(times, limit_ns) >= _SHARE,
        3 * len(events) + len(truths) * len(SHOWN),
        tuple(outside),
        run.summary.vitals.event_reads / len(events),
        tuple(times),
    )


def _naive(latencies: Sequence[int], times: Sequence[int | None], limit_ns: int) -> Figures:
    noted: list[int | None] = list(latencies)
    share = _share_within(noted, limit_ns)
    said = Result.PASS if share >= _SHARE else Result.FAIL
    return Figures(
        tuple(_error(_quantile(noted, name), _quantile(times, name)) for name in SHOWN),
        abs(float(share - _share_within(times, limit_ns))),
        said,
        said,
        _share_within(times, limit_ns) >= _SHARE,
    )


def _contradictions(seen: Observation, truth: Truth) -> list[str]:
    """What an event's state and brackets say that isn't so."""
    found = []
    since_ack = _since_ack(seen, truth.first_visible_ns)
    late = since_ack is None or since_ack > _DEADLINE_S * S
    if seen.state is not (State.LOST if late else State.VISIBLE):
        found.append(f"event {seen.seq} is {seen.state.name}, and visible after {since_ack}")
    if not _holds(seen.first_lower_ns, truth.first_visible_ns, seen.first_upper_ns):
        found.append(f"event {seen.seq}: first seen")
    if not _holds(seen.stable_lower_ns, truth.stable_visible_ns, seen.stable_upper_ns):
        found.append(f"event {seen.seq}: stable")
    return found


def _holds(low: int | None, true: int | None, high: int | None) -> bool:
    if true is None:
        return high is None
    return (low or 0) <= true and (high is None or true <= high)


def _since_ack(seen: Observation, at: int | None) -> int | None:
    assert seen.acked_ns is not None
    return _since(seen.acked_ns, at)


def _since(reference: int, at: int | None) -> int | None:
    return None if at is None else max(0, at - reference)


def _quantile(times: Sequence[int | None], name: str) -> int | None:
    known = sorted(time for time in times if time is not None)
    rank = rank_of(PERCENTILES[name], len(times))
    return known[rank - 1] if rank <= len(known) else None


def _share_within(times: Sequence[int | None], limit_ns: int) -> Fraction:
    return Fraction(sum(time is not None and time <= limit_ns for time in times), len(times))


def _error(said: int | None, true: int | None) -> float:
    if said is None or true is None:
        return 0.0 if said is true else inf
    return abs(said / true - 1)
