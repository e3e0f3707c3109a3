"""Holds an activity against what the engine relies on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ...clock import Clock, SystemClock
from ...spi.activity import Activity, ActivitySettings, Outcome, Values
from ...spi.context import Surroundings
from ...units import NS_PER_S
from ..relay import Relay
from .peers import Peer, disturb
from .promises import Promises
from .samples import RUN_ID

_NONE: Final[Values] = MappingProxyType({})
_MARGIN_NS: Final = 5 * NS_PER_S
"""So much longer than its timeout an activity may take: until all is let go that it held."""


async def check_activity(
    settings: ActivitySettings,
    clock: Clock,
    *,
    values: Values = _NONE,
    times: int = 2,
    base_dir: Path | None = None,
) -> Sequence[Outcome]:
    """Perform it so many times, and hold what comes of it against what the engine relies on.

    values  what placeholders stand for
    Returns the outcomes. Raises AssertionError that says what is wrong: an exception in place of an outcome, an error
    of several lines, an effect in doubt or values captured of what has (not) failed, names that aren't declared, a
    title that nobody can show.
    """
    promises = Promises()
    _check_title(settings, promises)
    async with settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as activity:
        outcomes = [await _perform(activity, settings, values, clock, promises) for _ in range(times)]
    promises.hold()
    return outcomes


async def check_activity_peer(
    settings_at: Callable[[int], ActivitySettings],
    port: int,
    peer: Peer,
    *,
    values: Values = _NONE,
    base_dir: Path | None = None,
) -> Outcome:
    """As `check_activity`, with a peer that is at fault from the second time on; the third time it is cancelled.

    settings_at  makes settings for a port on 127.0.0.1, through which the target is reached; with a short timeout
    port         where the target listens on 127.0.0.1
    Returns what came of the second time. Also wrong: that it takes much longer than its timeout, and that it goes on
    after it was cancelled.
    """
    clock, promises = SystemClock(), Promises()
    async with Relay(port) as relay:
        settings = settings_at(relay.port)
        async with settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as activity:
            first = await _perform(activity, settings, values, clock, promises)
            if first.error:
                promises.broken(f"with a peer that is well: {first.error}")
            disturb(relay, peer, refuse=True)
            outcome = await _perform(activity, settings, values, clock, promises)
            performing = asyncio.ensure_future(activity.perform(values))
            await asyncio.sleep(0.05)
            performing.cancel()
            if not (await asyncio.wait([performing], timeout=_MARGIN_NS / NS_PER_S))[0]:
                promises.broken("it goes on after it was cancelled")
            elif not performing.cancelled() and performing.exception() is not None:
                promises.broken(f"cancelled it raised {performing.exception()!r}")
    promises.hold()
    return outcome


async def _perform(
    activity: Activity, settings: ActivitySettings, values: Values, clock: Clock, promises: Promises
) -> Outcome:
    """Raises AssertionError if there is no outcome."""
    began_ns = clock.now_ns()
    try:
        outcome = await activity.perform(values)
    except Exception as error:
        raise AssertionError(f"perform raised {error!r}; a failure is an outcome") from error
    took_ns = clock.now_ns() - began_ns
    if took_ns > settings.timeout + _MARGIN_NS:
        promises.broken(f"it took {took_ns / NS_PER_S:.1f} s, with a timeout of {settings.timeout / NS_PER_S:g} s")
    if outcome.error != " ".join(outcome.error.split()) or not outcome.error.isprintable():
        promises.broken(f"an error is one line: {outcome.error!r}")
    if not outcome.error and (outcome.in_doubt or outcome.gone):
        promises.broken(f"what has not failed is neither in doubt nor gone: {outcome}")
    if outcome.in_doubt and outcome.gone:
        promises.broken(f"what is gone is not in doubt: {outcome}")
    if outcome.error and outcome.captured:
        promises.broken(f"what has failed captures nothing: {outcome}")
    if not outcome.error and (names := set(outcome.captured)) != set(settings.captured_names):
        promises.broken(f"captured {sorted(names)}, and captured_names are {sorted(settings.captured_names)}")
    return outcome


def _check_title(settings: ActivitySettings, promises: Promises) -> None:
    title = settings.title
    if not title or title != " ".join(title.split()):
        promises.broken(f"a title is a few words on one line: {title!r}")
