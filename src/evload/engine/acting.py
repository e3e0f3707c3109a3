"""Acts on the system while a run goes on: does what a plan says when it is due, and undoes it, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..clock import Clock
from ..errors import OutputError
from ..model.marker import Marker
from ..objectives.condition import Condition
from ..spi.activity import Activity, ActivitySettings, Values
from ..units import NS_PER_S
from .bookkeeping import Bookkeeping
from .control import RunControl
from .failures import Failures
from .undoing import HURRIED, RETRIES, Retries, Undo, Undoing

_LOOK_NS: Final = 50_000_000
"""How often is looked whether a scenario is over."""
_CUT_OFF: Final = "the run ended before it was done"


@dataclass(frozen=True, slots=True)
class ActionRun:
    """What is done to the system, and when. Times in nanoseconds since the schedule began.

    at_ns    when it is first due; None: it waits for `after` or for `when`
    after    the scenario or the action whose end it waits for
    when     the condition that it waits for
    every_ns, until_ns  it is done again so often, before that moment
    for_ns   how long it is on; None: until the load is over
    do, undo what is done, in this order; no undo: nothing has to be undone
    lasting  it is on for a while, and not just done
    """

    name: str
    do: Sequence[ActivitySettings]
    undo: Sequence[ActivitySettings]
    lasting: bool
    at_ns: int | None = None
    after: str | None = None
    when: Condition | None = None
    every_ns: int | None = None
    until_ns: int | None = None
    for_ns: int | None = None

    @property
    def times(self) -> Iterator[int]:
        """When it is due, of an action that is due at moments known beforehand."""
        if self.at_ns is not None and self.every_ns is None:
            yield self.at_ns
        elif self.at_ns is not None and self.every_ns is not None and self.until_ns is not None:
            yield from range(self.at_ns, self.until_ns, self.every_ns)


@dataclass(frozen=True, slots=True)
class OpenAction:
    """The activities of an action, open."""

    do: Sequence[Activity]
    undo: Sequence[Activity]


@dataclass(slots=True)
class _On:
    """What is on, or may be."""

    marker: Marker
    undo: Undo
    values: dict[str, Any]
    promised: bool


class Acting:
    """The actions of one run, whose schedule begins at `start_ns`.

    `over` says whether the load of a scenario is over, or of all without a name. `values` are what placeholders stand
    for from the beginning.
    """

    def __init__(
        self,
        actions: Sequence[ActionRun],
        opened: Mapping[str, OpenAction],
        undoing: Undoing,
        *,
        start_ns: int,
        clock: Clock,
        control: RunControl,
        books: Bookkeeping,
        failures: Failures,
        over: Callable[[str | None], bool],
        values: Values,
    ) -> None:
        self._actions = actions
        self._opened = opened
        self._undoing = undoing
        self._start_ns = start_ns
        self._clock = clock
        self._control = control
        self._books = books
        self._failures = failures
        self._over = over
        self._values = values
        self._stopped = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = {action.name: asyncio.Event() for action in actions}
        self._met = {action.name: asyncio.Event() for action in actions}
        self._waiting = {action.name for action in actions if action.when is None}
        """Those that are to begin yet, at a moment that comes for sure, or are under way."""
        self._on: dict[tuple[str, int], _On] = {}
        control.when_stopped(self._stopped.set)
        control.when_aborted(self._hurry.set)

    @property
    def busy(self) -> bool:
        """Whether anything is under way, or will be for sure."""
        return bool(self._on) or (bool(self._waiting) and not self._stopped.is_set())

    @property
    def never_began(self) -> list[str]:
        """Names of the actions that were not done once."""
        return [action.name for action in self._actions if action.name not in self._books.markers]

    def sampled(self, gauge: str, values: Mapping[str, float]) -> None:
        """A gauge was looked at: something may wait for what it shows."""
        for action in self._actions:
            if action.when is not None and action.when.gauge == gauge and action.when.holds(values):
                self._met[action.name].set()

    async def act(self, action: ActionRun) -> None:
        """Do one action whenever it is due, until the load is stopped."""
        try:
            if action.when is not None:
                if not await self._event(self._met[action.name]):
                    return
                self._waiting.add(action.name)
                if not await self._once(action, 0, self._now()):
                    return
            elif action.after is not None:
                if not await self._end_of(action.after) or not await self._once(action, 0, self._now()):
                    return
            else:
                for number, due_ns in enumerate(action.times):
                    if not await self._until(due_ns):
                        return
                    if not await self._once(action, number, due_ns):
                        return
            if not self._stopped.is_set():
                self._ended[action.name].set()
        finally:
            self._waiting.discard(action.name)

    async def close(self) -> None:
        """Undo what is on, the newest first. It comes to its end also if this task is cancelled meanwhile."""
        if not self._on:
            return
        undoing = asyncio.ensure_future(self._undo_all())
        while not undoing.done():
            try:
                await asyncio.shield(undoing)
            except asyncio.CancelledError:
                self._hurry.set()
        undoing.result()

    async def _undo_all(self) -> None:
        for key, on in reversed(list(self._on.items())):
            await self._undo(key, on)

    async def _once(self, action: ActionRun, number: int, due_ns: int) -> bool:
        """Do it and undo it. False if it isn't undone: then it isn't done again, and nothing comes after it."""
        key = (action.name, number)
        opened = self._opened[action.name]
        marker = Marker(action.name, number, (self._now(), None), lasting=action.lasting)
        on = _On(marker, Undo(opened.undo), dict(self._values), bool(opened.undo))
        if on.promised:
            try:
                await self._undoing.promise(action.name, number, on.values)
            except OutputError as failure:
                # What nobody could undo is better not done.
                on.marker = replace(marker, done=(marker.done[0], self._now()), error=f"it is not done: {failure}")
                self._mark(on)
                self._failures.happened(action.name, on.marker.error)
                return True
        on.marker = replace(marker, done=(self._now(), None))
        self._on[key] = on
        self._mark(on)
        error = await self._do(opened.do, on.values)
        error = error and self._failures.shown_whole(error)
        if on.promised:
            await self._undoing.done(action.name, number, on.values)
        on.marker = replace(on.marker, done=(on.marker.done[0], self._now()), error=error)
        self._mark(on)
        if error:
            self._failures.happened(action.name, error)
        elif action.lasting:
            await self._while_on(action, due_ns)
        await self._undo(key, on)
        return not on.marker.undo_error

    async def _do(self, steps: Sequence[Activity], values: dict[str, Any]) -> str:
        """Do the steps in their order, up to the first that fails: why it did."""
        for step in steps:
            outcome = await step.perform(values)
            values.update(outcome.captured)
            if outcome.error:
                return outcome.error
        return ""

    async def _while_on(self, action: ActionRun, due_ns: int) -> None:
        """Until its time is over, or until the load is."""
        if action.for_ns is not None:
            await self._until(due_ns + action.for_ns)
        elif action.every_ns is not None:
            # Nothing undoes it: it is on until it is done again.
            assert action.until_ns is not None
            await self._until(min(due_ns + action.every_ns, action.until_ns))
        else:
            await self._end_of(None)

    async def _undo(self, key: tuple[str, int], on: _On) -> None:
        began_ns, tries = self._now(), 0
        if on.marker.done[1] is None:
            on.marker = replace(on.marker, done=(on.marker.done[0], began_ns), error=_CUT_OFF)
        if on.marker.lasting:
            on.marker = replace(on.marker, undone=(began_ns, None))
        self._mark(on)
        while on.promised:
            error = await on.undo.attempt(on.values)
            tries += 1
            if not error:
                await self._undoing.kept(*key)
                break
            error = self._failures.shown_whole(error)
            self._failures.happened(key[0], f"it is not undone: {error}")
            hurried = self._hurry.is_set()
            pause_ns = self._retries(hurried).pause_ns(tries, self._now() - began_ns)
            if pause_ns is None:
                on.marker = replace(on.marker, undo_error=error)
                await self._undoing.given_up(*key, error, goes_on=hurried)
                break
            await self._pause(pause_ns)
        if on.marker.undone is not None:
            over_ns = self._now() if on.promised else began_ns
            on.marker = replace(on.marker, undone=(began_ns, over_ns))
        self._mark(on)
        self._on.pop(key, None)

    @staticmethod
    def _retries(hurried: bool) -> Retries:
        return HURRIED if hurried else RETRIES

    def _mark(self, on: _On) -> None:
        self._books.marked(on.marker)

    def _now(self) -> int:
        return self._clock.now_ns() - self._start_ns

    async def _until(self, at_ns: int) -> bool:
        """Wait for a moment. False if the load was stopped before."""
        left_ns = at_ns - self._now()
        if left_ns > 0 and not self._stopped.is_set():
            try:
                async with asyncio.timeout(left_ns / NS_PER_S):
                    await self._stopped.wait()
            except TimeoutError:
                pass
        return not self._stopped.is_set()

    async def _pause(self, pause_ns: int) -> None:
        """Between two tries, unless somebody is in a hurry."""
        try:
            async with asyncio.timeout(pause_ns / NS_PER_S):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _event(self, event: asyncio.Event) -> bool:
        """Wait for it. False if the load was stopped before."""
        both = [asyncio.ensure_future(one.wait()) for one in (event, self._stopped)]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
        return not self._stopped.is_set()

    async def _end_of(self, name: str | None) -> bool:
        """Wait for the end of an action, of a scenario's load, or of all of it. False if it was stopped before."""
        if name in self._ended:
            return await self._event(self._ended[name])
        while not self._over(name):
            if not await self._until(self._now() + _LOOK_NS):
                return False
        return not self._stopped.is_set()
