"""Holds a gauge against what the engine relies on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ...clock import Clock
from ...spi.context import Surroundings
from ...spi.gauge import GaugeSettings, Sample
from .promises import Promises
from .samples import RUN_ID


async def check_gauge(
    settings: GaugeSettings, clock: Clock, *, samples: int = 3, base_dir: Path | None = None
) -> Sequence[Sample]:
    """Take `samples` samples, `settings.every` apart, and hold them against what the engine relies on.

    Returns the samples. Raises AssertionError that says what is wrong: a value that `metrics` doesn't name or
    that is no finite number, a sample that is both values and an error, or neither and not missing or unchanged.
    """
    taken: list[Sample] = []
    promises = Promises()
    known = set(settings.metrics)
    if len(known) != len(settings.metrics) or not known:
        promises.broken(f"metrics must be distinct names, at least one: {settings.metrics}")
    async with settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as gauge:
        for _ in range(samples):
            due_ns = clock.now_ns() + settings.every
            sample = await gauge.sample()
            taken.append(sample)
            if bool(sample.values) + bool(sample.error) + sample.missing + sample.unchanged != 1:
                promises.broken(f"a sample has either values or an error, or is missing or unchanged: {sample}")
            if unknown := (sample.values.keys() | set(sample.absent)) - known:
                promises.broken(f"values that metrics doesn't name: {sorted(unknown)}")
            for name, value in sample.values.items():
                if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                    promises.broken(f"{name} is no finite number: {value!r}")
            await clock.sleep_until_ns(due_ns)
    promises.hold()
    return taken
