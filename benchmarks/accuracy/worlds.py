"""Eight planted worlds, and what really happens in them to the events of a schedule."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from evload.sandbox.delay import DelayDistribution, Lognormal, Uniform
from evload.sandbox.settings import SandboxSettings
from evload.sandbox.world import World

MS: Final = 1_000_000
S: Final = 1_000 * MS

_CHANGES: Final = 60
"""Steps in which a world drifts."""


@dataclass(frozen=True, slots=True)
class Pareto(DelayDistribution):
    """P(X > x) = (smallest / x) ** shape, x in nanoseconds."""

    smallest: int
    shape: float

    def quantile(self, u: float) -> int:
        return round(self.smallest * float((1 - u) ** (-1 / self.shape)))


@dataclass(frozen=True, slots=True)
class Mixture(DelayDistribution):
    """One of two: the slow one for a share of the cases. The same uniform number chooses and draws."""

    fast: DelayDistribution
    slow: DelayDistribution
    slow_share: float

    def quantile(self, u: float) -> int:
        fast_share = 1 - self.slow_share
        if u < fast_share:
            return self.fast.quantile(u / fast_share)
        return self.slow.quantile((u - fast_share) / self.slow_share)


@dataclass(frozen=True, slots=True)
class Planted:
    """One world: what is planted in it, and what changes while it runs (nanoseconds from the start, patch).

    `rate` is that of its load, in events per second, and `lasting_s` how long it lasts.
    """

    settings: SandboxSettings
    lasting_s: int
    rate: int = 100
    changes: tuple[tuple[int, Mapping[str, Any]], ...] = ()

    def seeded(self, seed: int) -> SandboxSettings:
        """The settings for one run."""
        return self.settings.model_copy(update={"seed": seed})


_USUAL: Final = Lognormal(100 * MS, 250 * MS)


NAMES: Final = (
    "lognormal", "bimodal", "heavy tail", "2 % loss", "lagging replica", "regressions", "stall of 5 s", "drift",
)  # fmt: skip


def worlds(events: int) -> tuple[Planted, ...]:
    """The worlds by number, as in NAMES, each with a load of so many events."""

    def plant(visibility: DelayDistribution = _USUAL, *, rate: int = 100, **planted: Any) -> Planted:
        settings = SandboxSettings.model_validate({"workers": 20, "visibility": visibility, **planted})
        return Planted(settings, events // rate, rate)

    follower = {"name": "follower", "lag": Lognormal(100 * MS, 250 * MS)}
    hidden = {"share": "4%", "after": Uniform(S // 5, 3 * S // 2), "lasting": Uniform(21 * S // 10, 3 * S)}
    stall = {"what": "workers-down", "at": f"{events // 160}s", "lasting": "5s"}
    return (
        plant(),
        plant(Mixture(Lognormal(50 * MS, 80 * MS), Lognormal(800 * MS, 1_500 * MS), 0.12)),
        plant(Pareto(60 * MS, 1.3)),
        plant(loss="2%"),
        plant(Lognormal(30 * MS, 60 * MS), replicas=[{"name": "leader"}, follower]),
        plant(regressions=hidden),
        plant(rate=40, faults=[stall]),
        _drifting(plant(Lognormal(50 * MS, 125 * MS))),
    )


def _drifting(world: Planted) -> Planted:
    """Four times as slow at the end as at the beginning."""
    changes = []
    for step in range(1, _CHANGES):
        factor = 4 ** (step / _CHANGES)
        slower = {"visibility": Lognormal(round(50 * MS * factor), round(125 * MS * factor))}
        changes.append((step * world.lasting_s * S // _CHANGES, slower))
    return replace(world, changes=tuple(changes))


def typical_ns(world: Planted) -> list[int | None]:
    """Sorted times from publish to stable visibility of many events, never (None) last: the quantiles of a world."""
    times: list[int | None] = []
    for seed in range(1_000_000, 1_000_005):
        pipeline = World(world.seeded(seed))
        rng = random.Random(seed)
        changes = list(reversed(world.changes))
        at = 0
        while at < world.lasting_s * S:
            while changes and changes[-1][0] <= at:
                pipeline.change(*changes.pop())
            pipeline.accept(at, f"{at}")
            at += 1 + round(rng.expovariate(world.rate) * S)
        pipeline.queue(at + 60 * S)
        times += [
            None if truth.stable_visible_ns is None else truth.stable_visible_ns - truth.received_ns
            for truth in pipeline.truths()
        ]
    return sorted(times, key=lambda time: (time is None, time or 0))
