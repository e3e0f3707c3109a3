"""Sends each event when it is due: sleeps to the next one, takes all that are due as one batch, settles each once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from ..clock import Clock, rfc3339
from ..model.states import Outcome
from ..model.travel import Event, Receipt
from ..spi.producer import Producer, ProducerSettings
from ..tracking.tracker import Tracker
from .bookkeeping import Bookkeeping
from .control import RunControl
from .failures import Failures
from .plan import ScenarioRun
from .resending import Resender

BATCH: Final = 256
"""Most events rendered before the loop gets a turn: about 3 ms of work."""
NOT_SENT: Final = "still waiting to be sent when the run was stopped"
"""Why an event was not sent, for people."""


class Waits:
    """How long the pacer was held: by the limit of events in flight, or by a producer that makes it wait.

    What an event was late by, less what the pacer was held meanwhile, is evload's own.
    """

    def __init__(self) -> None:
        self._began: deque[int] = deque()
        self._ended: deque[int] = deque()
        self._before: deque[int] = deque()
        """What all waits before each of them came to."""
        self._total_ns = 0

    def add(self, began_ns: int, ended_ns: int) -> None:
        """The pacer was held once more, later than all times before."""
        self._began.append(began_ns)
        self._ended.append(ended_ns)
        self._before.append(self._total_ns)
        self._total_ns += ended_ns - began_ns

    def own_delays(self, intended: Sequence[int], now_ns: int) -> list[int]:
        """What events, due at these times in order, are late by now that is evload's own, in nanoseconds."""
        if not intended:
            return []
        while self._ended and self._ended[0] <= intended[0]:
            for column in (self._began, self._ended, self._before):
                column.popleft()
        if not self._ended:
            return [now_ns - at_ns for at_ns in intended]
        own = []
        number = 0
        for at_ns in intended:
            while number < len(self._ended) and self._ended[number] <= at_ns:
                number += 1
            held_ns = 0
            if number < len(self._ended):
                held_ns = self._total_ns - self._before[number] - max(0, at_ns - self._began[number])
            own.append(now_ns - at_ns - held_ns)
        return own


class Pacer:
    """The load of one scenario. `index` is its number in the plan, `start_ns` when the schedule of the run begins.

    `due` is called with the numbers of the readers that have something new to look at.
    """

    def __init__(
        self,
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
        self._index = index
        self._run = run
        self._producer = producer
        self._limit = settings.in_flight
        self._waits = settings.when_full == "wait"
        self._origin_ns = start_ns + run.span.start_ns
        self._clock = clock
        self._control = control
        self._tracker = tracker
        self._books = books
        self._failures = failures
        self._due = due
        self._in_flight = 0
        self._held = Waits()
        """Before its events were taken from the schedule."""
        self._held_sending = self._held
        """While they were handed over; here that is the same task."""
        self._room = asyncio.Event()
        self._sleeper: asyncio.Task[None] | None = None
        self._woken = False
        self._resender: Resender | None = None
        if run.resend is not None:
            self._resender = Resender(run.resend, producer, clock, books.count_copies)
        self.pacing = True
        """There is, or may be, something left to send."""
        control.when_stopped(self._stop)

    @property
    def done(self) -> bool:
        """Nothing is left to send, no copy either."""
        return not self.pacing and (self._resender is None or not self._resender.open)

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What it has to do, each at the same time as the others: all but `pace` until cancelled."""
        yield self.pace()
        if self._resender is not None:
            yield self._resender.run()

    async def pace(self) -> None:
        """Send what the schedule asks for until it is through, or stopped."""
        arrivals, clock, control, origin = self._run.arrivals, self._clock, self._control, self._origin_ns
        while (offset := arrivals.peek()) is not None:
            if control.stopped_ns is not None and origin + offset > control.stopped_ns:
                break
            if origin + offset > clock.now_ns():
                await self._sleep(origin + offset)
                continue
            if self._is_held():
                if control.stopped_ns is not None:
                    break
                await self._wait_for_room(self._held)
                continue
            now = clock.now_ns()
            until = now if control.stopped_ns is None else control.stopped_ns
            offsets = arrivals.take_until(until - origin, self._most())
            await self._publish(self._render([origin + offset for offset in offsets], now), now)
            # Without a turn for the answers a pacer that is always a little late would starve them; and what
            # comes due meanwhile goes out together.
            await asyncio.sleep(0)
        self.pacing = False

    def give_up(self) -> None:
        """Count what was due before the run was stopped and had to wait: nothing is skipped silently."""
        stopped_ns = self._control.stopped_ns
        if stopped_ns is None:
            return
        while offsets := self._run.arrivals.take_until(stopped_ns - self._origin_ns, BATCH):
            now = self._clock.now_ns()
            events = self._render([self._origin_ns + offset for offset in offsets], now)
            self._follow(events, now)
            self._leave_unsent(events, NOT_SENT)

    def wake(self) -> None:
        """What comes next is due at another time."""
        if self._sleeper is not None:
            self._woken = True
            self._sleeper.cancel()
            # Once: a task that is cancelled twice has to end.
            self._sleeper = None

    def _stop(self) -> None:
        self._room.set()
        if self._resender is not None:
            self._resender.give_up()
        self.wake()

    async def _sleep(self, until_ns: int) -> None:
        """Sleep. Stopping the load may cut it short, and so may a phase that ends early."""
        task = asyncio.current_task()
        self._sleeper, self._woken = task, False
        try:
            await self._clock.sleep_until_ns(until_ns)
        except asyncio.CancelledError:
            if not self._woken or task is None or task.uncancel() > 0:
                raise
        finally:
            self._sleeper = None

    def _is_held(self) -> bool:
        """Nothing more may be taken from the schedule for now."""
        return self._waits and self._in_flight >= self._limit

    def _most(self) -> int:
        """Most events to send at a time: as many as there is room for, where the others wait."""
        return min(BATCH, self._limit - self._in_flight) if self._waits else BATCH

    async def _wait_for_room(self, held: Waits) -> None:
        """Wait until there may be room for more, and take down in `held` how long that was."""
        self._room.clear()
        began_ns = self._clock.now_ns()
        await self._room.wait()
        held.add(began_ns, self._clock.now_ns())

    async def _publish(self, events: list[Event], now: int) -> None:
        room = self._limit - self._in_flight
        self._follow(events, now)
        self._due(self._run.reading)
        if len(events) > room:
            events, dropped = events[:room], events[room:]
            self._leave_unsent(dropped, f"dropped: {self._limit} events were without an answer")
        if events:
            if self._resender is not None:
                self._resender.plan(events, now)
            await self._hand_over(events)

    async def _hand_over(self, events: list[Event]) -> None:
        """Publish. Whether the producer made the pacer wait shows in whether the loop went on meanwhile."""
        others: list[None] = []
        turn = asyncio.get_running_loop().call_soon(others.append, None)
        began_ns = self._clock.now_ns()
        await self._producer.publish(events, self._settle)
        if others:
            self._held_sending.add(began_ns, self._clock.now_ns())
        else:
            turn.cancel()

    def _render(self, intended: list[int], now: int) -> list[Event]:
        """The events that were due at these times. From here on they are among those that were scheduled."""
        events = self._run.renderer.render(intended, rfc3339(self._clock.wall(now)))
        own_delays = self._held.own_delays([event.intended_ns for event in events], now)
        for event, own_delay in zip(events, own_delays, strict=True):
            event.own_delay = own_delay
        self._books.expect(self._index, events)
        return events

    def _follow(self, events: Sequence[Event], now: int) -> None:
        """They are about to be sent: look for their effects, which may be visible before they are confirmed."""
        self._tracker.expect(events, now)
        self._in_flight += len(events)

    def _leave_unsent(self, events: Iterable[Event], reason: str) -> None:
        self._settle([Receipt(event.seq, Outcome.UNSENT, None, None, reason) for event in events])

    def _settle(self, receipts: Sequence[Receipt]) -> None:
        self._in_flight -= len(receipts)
        self._room.set()
        if any(receipt.detail for receipt in receipts):
            say = partial(self._failures.publish_failed, self._run.producer)
            receipts = [r._replace(detail=say(r.detail)) if r.detail else r for r in receipts]
        now = self._clock.now_ns()
        self._tracker.settle(receipts, now)
        self._due(self._run.reading)
        self._books.collect_many(now)
