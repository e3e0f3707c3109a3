"""Sends what the journeys of a scenario have due, and hands them the answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from ..clock import Clock, rfc3339
from ..model.states import Outcome, State
from ..model.travel import Event, Read, Receipt, WaitEvent
from ..spi.producer import Producer, ProducerSettings
from ..tracking.tracker import Tracker
from ..workload.journeys.pools import Pools
from ..workload.journeys.room import Due, Followed, Journeys
from .bookkeeping import Bookkeeping
from .control import RunControl
from .failures import Failures
from .pacing import BATCH, NOT_SENT
from .plan import ScenarioRun
from .watching import Watching

_TOGETHER: Final = 64
"""Settled events are recorded as soon as there are this many where users wait for their answers: nothing is due at a
time of its own, and many together take less."""


class _Line:
    """What goes to one producer: at most so many events without an answer at a time; the others wait in order."""

    def __init__(self, name: str, producer: Producer, settings: ProducerSettings) -> None:
        self.name = name
        self.producer = producer
        self.drops = settings.when_full == "drop"
        self.limit = settings.in_flight
        self.in_flight = 0
        self.waiting: deque[Event] = deque()

    def take(self, events: list[Event]) -> tuple[list[Event], list[Event]]:
        """What may be sent now, with what waited before, and what is dropped."""
        room = self.limit - self.in_flight
        if not self.waiting and len(events) <= room:
            self.in_flight += len(events)
            return events, []
        self.waiting.extend(events)
        sent = [self.waiting.popleft() for _ in range(min(room, len(self.waiting)))]
        self.in_flight += len(sent)
        dropped: list[Event] = []
        if self.drops and self.waiting:
            dropped = list(self.waiting)
            self.waiting.clear()
        return sent, dropped


class Steps(Protocol):
    """What steps are due, and what their answers make of them: see `workload.journeys.room.Journeys`."""

    @property
    def done(self) -> bool: ...

    @property
    def under_way(self) -> int: ...

    def next_ns(self) -> int | None: ...

    def take(self, now_ns: int, limit: int) -> list[Due]: ...

    def answered(self, receipts: Iterable[Receipt], now_ns: int) -> list[Receipt]: ...

    def iteration(self, seq: int) -> int | None: ...

    def own_delay(self, event: Event | WaitEvent, now_ns: int) -> int: ...

    def watched(self, seq: int, seen_ns: int | None, captured: Mapping[str, Any], why: str, now_ns: int) -> None: ...

    def followed(self) -> list[Followed]: ...

    def stop(self, at_ns: int) -> list[Receipt]: ...


R = TypeVar("R", bound=Steps)


class StepPacer(Generic[R]):
    """The steps of one scenario, as a room of these has them due. `index` is its number among the `scenarios` of the
    plan, `start_ns` when the schedule of the run begins, `pools` what journeys of the run give to one another.
    `readers` are those that look at what steps watch, by the scenario that this is; `due` is called with them when
    there is something new, and `done` with the index when as many iterations as were to be made are over."""

    def __init__(
        self,
        index: int,
        scenarios: int,
        run: ScenarioRun,
        producers: Mapping[str, Producer],
        settings: Mapping[str, ProducerSettings],
        *,
        start_ns: int,
        clock: Clock,
        control: RunControl,
        tracker: Tracker,
        books: Bookkeeping,
        failures: Failures,
        pools: Pools,
        watching: Watching,
        due: Callable[[Iterable[int]], None],
        readers: Mapping[int, Iterable[int]],
        done: Callable[[int, int], None],
    ) -> None:
        self.name = run.fold.name
        self._done = done
        self._most = None if run.journeys is None else run.journeys.course.iterations
        self._closed = run.journeys is not None and bool(run.journeys.course.ramps)
        self._index = index
        self._clock = clock
        self._control = control
        self._tracker = tracker
        self._books = books
        self._failures = failures
        self._lines = {name: _Line(name, producers[name], settings[name]) for name in run.senders}
        self._watching = watching
        self._due = due
        self._readers = readers
        self._whose: dict[int, _Line] = {}
        """By whom each event was sent that has no answer."""
        self._again: set[int] = set()
        """Of these, those that are sent once more: nothing about them is new."""
        self._room = self._opened(run, scenarios, start_ns + run.span.start_ns, pools)
        self._stamped = (-1, "")
        self._waked = asyncio.Event()
        self._alarm = clock.alarm(self.wake)
        self.pacing = True
        """There is, or may be, something left to send."""
        control.when_stopped(self._stop)

    def _opened(self, run: ScenarioRun, scenarios: int, origin_ns: int, pools: Pools) -> R:
        """Who says what is due, and takes the answers."""
        raise NotImplementedError

    @property
    def done(self) -> bool:
        """Nothing is left to send, and no iteration is under way."""
        return not self.pacing

    @property
    def now(self) -> tuple[int | None, int]:
        """How many users there are, None where there are none, and how many iterations or rounds are under way."""
        return (None, self._room.under_way)

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What it has to do."""
        yield self.pace()

    async def pace(self) -> None:
        """Send what is due until all iterations are over, or the run is stopped."""
        clock, room, lines = self._clock, self._room, self._lines.values()
        while True:
            self._waked.clear()
            now = clock.now_ns()
            due = room.take(now, BATCH)
            if due or any(line.waiting and line.in_flight < line.limit for line in lines):
                if waits := [event for who, event in due if not who and isinstance(event, WaitEvent)]:
                    self._wait(waits, now)
                await self._publish(due, now)
                # Without a turn for the answers a pacer that is always a little late would starve them.
                await asyncio.sleep(0)
                continue
            self._tell()
            if room.done and not any(line.waiting for line in lines):
                break
            if (next_ns := room.next_ns()) is not None:
                self._alarm.set(next_ns)
            await self._waked.wait()
        self.pacing = False
        if self._most is not None:
            self._done(self._index, self._most)

    def wake(self) -> None:
        """What comes next may be due at another time: after an answer, a value that was given, the end of a phase."""
        self._waked.set()

    def give_up(self) -> None:
        """What was held back and never sent is counted: nothing is skipped silently."""
        for line in self._lines.values():
            held, line.waiting = list(line.waiting), deque()
            self._leave_unsent(line, held, NOT_SENT)

    def _stop(self) -> None:
        now = self._clock.now_ns()
        self.give_up()
        stopped_ns = self._control.stopped_ns
        self._finish(self._room.stop(now if stopped_ns is None else stopped_ns), now)
        self.wake()

    def _stamp(self, at_ns: int) -> str:
        if at_ns != self._stamped[0]:
            self._stamped = (at_ns, rfc3339(self._clock.wall(at_ns)))
        return self._stamped[1]

    def _wait(self, events: Sequence[WaitEvent], now: int) -> None:
        """Look for what is waited for. Nothing is sent, so that it counts from now."""
        for event in events:
            event.own_delay = self._room.own_delay(event, now)
            self._watching.begin(event)
            self._books.expect(event.scenario, (event,))
            self._tracker.expect((event,), now)
            self._tracker.tell(event.seq, partial(self._told, event.scenario, event.seq))
            number = self._room.iteration(event.seq)
            facts = None if number is None else {"iteration": number}
            self._tracker.settle((Receipt(event.seq, Outcome.ACCEPTED, now, now, "", event.told, facts),), now)
            self._due(self._readers[event.scenario])

    def _told(self, scenario: int, seq: int, read: Read | None, state: State | None) -> None:
        """What is waited for was seen, or wasn't in time."""
        now, watching = self._clock.now_ns(), self._watching
        if watching.came(scenario, read is not None, state):
            at_ns, captured = (now, None) if read is None else (read.end_ns, read.captured)
            self._room.watched(seq, at_ns, captured or {}, "", now)
        else:
            self._room.watched(seq, None, {}, watching.reason(scenario, seq, state), now)
        self._tell()  # at the very end nobody else does: it may be what was still waited for when all was closed
        self.wake()

    async def _publish(self, due: Sequence[Due], now: int) -> None:
        lines, again = self._lines, self._again
        fresh: list[Event] = []
        by_line: dict[str, list[Event]] = {name: [] for name in lines}
        for producer, event in due:
            if not producer:
                continue
            seq = event.seq
            if seq in again:
                again.remove(seq)
            else:
                event.own_delay = self._room.own_delay(event, now)
                fresh.append(event)
            self._whose[seq] = lines[producer]
            by_line[producer].append(event)
        self._books.expect(self._index, fresh)
        self._tracker.expect(fresh, now)
        for name, line in lines.items():
            sent, dropped = line.take(by_line[name])
            if dropped:
                self._leave_unsent(line, dropped, f"dropped: {line.limit} events were without an answer")
            if sent:
                await line.producer.publish(sent, self._settle)

    def _leave_unsent(self, line: _Line, events: Sequence[Event], reason: str) -> None:
        if events:
            line.in_flight += len(events)
            self._settle([Receipt(event.seq, Outcome.UNSENT, None, None, reason) for event in events])

    def _settle(self, receipts: Sequence[Receipt]) -> None:
        now = self._clock.now_ns()
        said, names = [], {}
        for receipt in receipts:
            line = self._whose.pop(receipt.seq)
            line.in_flight -= 1
            if receipt.detail:
                names[receipt.seq] = line.name
                said.append(receipt._replace(detail=self._failures.shown_whole(receipt.detail)))
            else:
                said.append(receipt)
        final = self._room.answered(said, now)
        if len(final) < len(said):
            self._again |= {receipt.seq for receipt in said} - {receipt.seq for receipt in final}
        for receipt in final:
            if receipt.detail:
                # What is sent again hasn't failed yet.
                self._failures.publish_failed(names[receipt.seq], receipt.detail)
        self._finish(final, now)
        self.wake()

    def _finish(self, receipts: Sequence[Receipt], now: int) -> None:
        """These answers are the last ones to their events."""
        if receipts:
            self._again -= {receipt.seq for receipt in receipts}
            self._tracker.settle(receipts, now)
            self._follow(now)
            self._books.collect_many(now, _TOGETHER if self._closed else None)
        self._tell()

    def _follow(self, now: int) -> None:
        """Have probes look for the effects of what was answered as it should be."""
        for event, receipt in self._room.followed():
            self._books.expect(event.scenario, (event,))
            self._tracker.expect((event,), now)
            self._tracker.settle((receipt,), now)
            self._due(self._readers[event.scenario])

    def _tell(self) -> None:
        """Write down what is over."""
        raise NotImplementedError


class JourneyPacer(StepPacer[Journeys]):
    """The journeys of one scenario."""

    @property
    def now(self) -> tuple[int | None, int]:
        return (self._room.users if self._closed else None, self._room.under_way)

    def _opened(self, run: ScenarioRun, scenarios: int, origin_ns: int, pools: Pools) -> Journeys:
        plan = run.journeys
        assert plan is not None
        return Journeys(
            self._index, scenarios, plan.programs, plan.numbers, plan.course, origin_ns=origin_ns, seed=plan.seed,
            pools=pools, stamp=self._stamp, wake=self.wake,
        )  # fmt: skip

    def _tell(self) -> None:
        if over := self._room.over():
            self._books.iterated(over)
