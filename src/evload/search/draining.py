"""Lets the system come to rest between two trials: what one has left over is none of the next one's.

A system that sustains the next rate q gets done in so much time what a trial at a higher rate r has left: (r / q - 1)
of the time that the trial took. If it doesn't sustain q, the next trial is bad anyway, and rightly. So that is how
long is waited where nobody can look; where a gauge shows the depth of a queue, until that is back where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from typing import Final

from ..clients.credentials.opening import Learn, open_secrets
from ..config.run_config import RunConfig
from ..errors import EvloadError, TargetError
from ..run.used_secrets import secrets_of
from ..spi.context import Surroundings
from ..spi.gauge import Gauge, GaugeSettings
from ..stats.watches import is_missing
from ..units import NS_PER_S, format_duration
from .courses import QUEUE_DEPTH

_PATIENCE: Final = 3
"""A queue that is still not empty after so many times the time that it should take, and a minute, isn't drained."""
_MINUTE_NS: Final = 60 * NS_PER_S
_TELL_NS: Final = 5 * NS_PER_S


class NotDrainedError(EvloadError):
    """What trials have left over stays in the system."""

    exit_code = 4


def owed_ns(before: Fraction, lasted_ns: int, following: Fraction) -> int:
    """For how long a system that sustains the following rate works at most on what a trial at the rate before has
    left, which lasted so long."""
    return max(0, round(lasted_ns * (before / following - 1)))


async def drained(
    config: RunConfig,
    gauges: Mapping[str, GaugeSettings],
    levels: Mapping[str, float],
    owed: int,
    surroundings: Surroundings,
    learn: Learn,
    say: Callable[[str], None],
) -> None:
    """Wait until each of these queues is back at its level, or for the time owed where there is none.

    `levels` are the depths before the first trial. Raises NotDrainedError where one stays above it.
    """
    clock = surroundings.clock
    begun_ns = told_ns = clock.now_ns()
    async with AsyncExitStack() as stack:
        needed = secrets_of(list(gauges.values()), config.secrets)
        secrets = await stack.enter_async_context(open_secrets(needed, clock, surroundings.base_dir, learn))
        around = replace(surroundings, secrets=secrets)
        opened = {}
        for name, one in gauges.items():
            with suppress(TargetError):  # a queue that went with its run holds nothing
                opened[name] = await stack.enter_async_context(one.open(around))
        if not opened:
            if owed > 0:
                say(f"waiting {format_duration(owed)} for what the trial has left over")
                await clock.sleep_until_ns(begun_ns + owed)
            return
        every_ns = max(gauges[name].every for name in opened)
        until_ns = begun_ns + _PATIENCE * owed + _MINUTE_NS
        while left := await _left(opened, levels):
            now = clock.now_ns()
            if now >= until_ns:
                waited = format_duration(now - begun_ns)
                raise NotDrainedError(
                    f"{left} {waited} after the trial; empty it, or see who else fills it, then go on"
                )
            if now - told_ns >= _TELL_NS:
                told_ns = now
                say(f"waiting: {left}")
            await clock.sleep_until_ns(now + every_ns)


async def _left(opened: Mapping[str, Gauge], levels: Mapping[str, float]) -> str:
    """Which queue holds more than it did before, or can't be looked at; empty if none does."""
    for name, gauge in opened.items():
        sample = await gauge.sample()
        depth = sample.values.get(QUEUE_DEPTH)
        if sample.error:
            return f"{name} can't be looked at ({sample.error})"
        if depth is not None and not is_missing(depth) and depth > levels.get(name, 0.0):
            return f"{name} still holds {depth:,.0f} events"
    return ""
