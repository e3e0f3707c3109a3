"""Paces the load of a producer that is `ordered`: one event of each key at a time, whatever the other keys do.

The schedule goes on. What is due joins the line of its key, and a task of its own sends whatever has its turn: what
waits for its key holds no other, and nobody looks for its effects before it is sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Final

from ..clock import Clock
from ..model.travel import Event, Receipt
from ..spi.producer import Producer, ProducerSettings
from ..tracking.tracker import Tracker
from ..workload.turns import Turn, Turns
from .bookkeeping import Bookkeeping
from .control import RunControl
from .failures import Failures
from .pacing import BATCH, NOT_SENT, Pacer, Waits
from .plan import ScenarioRun

_NO_TURN: Final = "its turn had not come when the run was stopped: one of its key before it was without an answer"


class KeyOrder:
    """The order that the scenarios keep which share a producer."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.pacers: dict[int, OrderedPacer] = {}
        """By the numbers of their scenarios."""


class OrderedPacer(Pacer):
    """As a Pacer, of a scenario whose producer is ordered. What its events waited for their turn is neither evload's
    own delay nor a wait for the target: it goes with their receipts."""

    def __init__(
        self,
        order: KeyOrder,
        index: int,
        run: ScenarioRun,
        producer: Producer,
        settings: ProducerSettings,
        *,
        start_ns: int,
        clock: Clock,
        control: RunControl,
        tracker: Tracker,
        books: Bookkeeping,
        failures: Failures,
        due: Callable[[Iterable[int]], None],
    ) -> None:
        super().__init__(
            index, run, producer, settings, start_ns=start_ns, clock=clock, control=control, tracker=tracker,
            books=books, failures=failures, due=due,
        )  # fmt: skip
        order.pacers[index] = self
        self._order = order
        self._held_sending = Waits()
        self._ready: deque[tuple[Event, int]] = deque()
        """Events that have their turn, and since when."""
        self._news = asyncio.Event()
        self._waited: dict[int, int] = {}
        """How long those waited for their turn that had to and have no answer, by their numbers."""
        self._unsent = 0
        """Events that are due, and neither handed over nor given up."""

    @property
    def done(self) -> bool:
        """Nothing is left to send, no copy either."""
        return super().done and not self._unsent

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What it has to do, each at the same time as the others: all but `pace` until cancelled."""
        yield from super().tasks()
        yield self._send()

    def give_up(self) -> None:
        """Count what was due before the run ended and had to wait: nothing is skipped silently."""
        super().give_up()
        self._leave_line()
        self._leave_ready()

    def call(self, turn: Turn, now_ns: int) -> None:
        """It's the turn of an event."""
        self._waited[turn.event.seq] = turn.waited_ns
        self._ready.append((turn.event, now_ns))
        self._news.set()

    def _stop(self) -> None:
        super()._stop()
        self._leave_line()
        self._news.set()

    def _is_held(self) -> bool:
        # Without the second a producer that makes its sender wait would fill the memory with what it can't take.
        return super()._is_held() or len(self._ready) >= BATCH

    async def _publish(self, events: list[Event], now: int) -> None:
        """Have them join the lines of their keys."""
        self._unsent += len(events)
        self._ready.extend([(event, now) for event in self._order.turns.join(events, now)])
        self._news.set()
        if self._control.stopped_ns is not None:
            self._leave_line()

    async def _send(self) -> None:
        """Send what has its turn, until cancelled."""
        while True:
            if not self._ready:
                self._news.clear()
                await self._news.wait()
            elif super()._is_held():
                if self._control.stopped_ns is not None:
                    self._leave_ready()
                else:
                    await self._wait_for_room(self._held_sending)
            else:
                await self._send_some()
                # As in `pace`: without a turn for the answers a producer that has them at once would starve others.
                await asyncio.sleep(0)

    async def _send_some(self) -> None:
        now = self._clock.now_ns()
        taken = [self._ready.popleft() for _ in range(min(len(self._ready), self._most()))]
        self._room.set()
        events = [event for event, _ in taken]
        for event, own_delay in zip(
            events, self._held_sending.own_delays([since_ns for _, since_ns in taken], now), strict=True
        ):
            event.own_delay = (event.own_delay or 0) + own_delay
        self._unsent -= len(events)
        await super()._publish(events, now)

    def _leave_line(self) -> None:
        """Give up what still waits for its turn."""
        now = self._clock.now_ns()
        turns = self._order.turns.leave(self._index, now)
        self._waited.update((turn.event.seq, turn.waited_ns) for turn in turns)
        self._give_up([turn.event for turn in turns], _NO_TURN, now)

    def _leave_ready(self) -> None:
        """Give up what has its turn and was not sent."""
        events = [event for event, _ in self._ready]
        self._ready.clear()
        self._give_up(events, NOT_SENT, self._clock.now_ns())

    def _give_up(self, events: Sequence[Event], reason: str, now: int) -> None:
        if events:
            self._unsent -= len(events)
            self._follow(events, now)
            self._leave_unsent(events, reason)

    def _settle(self, receipts: Sequence[Receipt]) -> None:
        super()._settle([self._with_wait(receipt) for receipt in receipts])
        now, order = self._clock.now_ns(), self._order
        for receipt in receipts:
            turn = order.turns.answered(receipt.seq, now)
            if turn is not None:
                order.pacers[turn.event.scenario].call(turn, now)

    def _with_wait(self, receipt: Receipt) -> Receipt:
        waited_ns = self._waited.pop(receipt.seq, None)
        if waited_ns is None:
            return receipt
        return receipt._replace(facts={**(receipt.facts or {}), "order_wait": waited_ns})
