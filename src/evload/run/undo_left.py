"""Undoes what a run has left: its guardian does, and so does `evload undo`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from ..clock import Clock
from ..engine.performing import Bounded
from ..engine.undoing import Retries, Undo
from ..spi import registry
from ..spi.activity import ActivitySettings
from ..spi.context import Surroundings
from ..units import NS_PER_S
from .undo_journal import Key, Step

_AGAIN: Final = Retries(altogether_ns=3 * NS_PER_S)
"""What was undone once may fail the second time because there is nothing to undo: that is not tried for minutes."""


class BadStepError(ValueError):
    """A step that can't be read: what is wrong with it."""


def settings_of(step: Step) -> ActivitySettings:
    """The settings of a step, all variables resolved. Raises BadStepError."""
    kinds = [key for key in step if key in registry.kinds("evload.activities")]
    if len(kinds) != 1:
        known = ", ".join(sorted(registry.kinds("evload.activities"))) or "none"
        raise BadStepError(
            f"nothing that is installed does {', '.join(map(str, step)) or 'nothing'} (installed: {known})"
        )
    try:
        model = registry.load("evload.activities", kinds[0])
        settings: ActivitySettings = model.model_validate(dict(step))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadStepError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except LookupError as error:
        raise BadStepError(str(error)) from None
    return settings


@dataclass(slots=True)
class Left:
    """One undo that is to be done.

    again_ns  a reading of the clock: before it something of the doing may be under way, which the undo would come too
              early for; then it is done once more; None: there is nothing
    reason    why it isn't done, after a try
    """

    key: Key
    steps: Sequence[ActivitySettings]
    values: Mapping[str, Any] = field(default_factory=dict)
    again_ns: int | None = None
    reason: str = ""


async def undo_all(
    left: Sequence[Left],
    surroundings: Surroundings,
    retries: Retries,
    *,
    kept: Callable[[Left], None],
    failed: Callable[[Left, int | None], None],
) -> None:
    """Undo them, the newest first; those that fail are tried again when all others have had their turn.

    `kept` is told of each that is undone, `failed` of each try that failed and of the pause before the next one;
    None: it is given up.
    """
    clock: Clock = surroundings.clock
    begun_ns = clock.now_ns()
    waiting = [(one, _undo(one, surroundings)) for one in reversed(left)]
    again: list[asyncio.Task[None]] = []
    tries = 0
    while waiting:
        failing = []
        for one, undo in waiting:
            one.reason = await undo.attempt(one.values)
            if one.reason:
                failing.append((one, undo))
            elif one.again_ns is not None:
                again.append(asyncio.create_task(_once_more(one, surroundings, kept)))
            else:
                kept(one)
        waiting, tries = failing, tries + 1
        if waiting:
            pause_ns = retries.pause_ns(tries, clock.now_ns() - begun_ns)
            for one, _ in waiting:
                failed(one, pause_ns)
            if pause_ns is None:
                break
            await clock.sleep_until_ns(clock.now_ns() + pause_ns)
    await asyncio.gather(*again)


async def _once_more(one: Left, surroundings: Surroundings, kept: Callable[[Left], None]) -> None:
    clock, undo, tries = surroundings.clock, _undo(one, surroundings), 0
    begun_ns = one.again_ns or 0
    await clock.sleep_until_ns(begun_ns)
    while await undo.attempt(one.values):
        tries += 1
        pause_ns = _AGAIN.pause_ns(tries, clock.now_ns() - begun_ns)
        if pause_ns is None:
            break
        await clock.sleep_until_ns(clock.now_ns() + pause_ns)
    kept(one)


def _undo(one: Left, surroundings: Surroundings) -> Undo:
    return Undo([Bounded.opened_each_time(settings, surroundings) for settings in one.steps])
