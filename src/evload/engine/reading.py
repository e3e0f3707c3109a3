"""Reads the read model when the tracker says so, within each probe's budget, and takes what is pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final, cast

from ..clock import Alarm, Clock
from ..model.states import Seen
from ..model.travel import Read, ReadResult, Target
from ..model.vitals import ReadVitals, Vitals
from ..spi.probe import BatchProbe, Probe, ProbeSettings, PushProbe
from ..tracking.budget import ReadBudget
from ..tracking.tracker import Tracker
from ..units import NS_PER_S
from .bookkeeping import Bookkeeping
from .failures import Failures
from .plan import AFTER_TICK_NS, BULK_TICK_NS, PIN_TICK_NS, PINS_EVERY_NS, TICK_NS, ReaderPlan
from .read_times import ReadTimes
from .watching import Turn, Watching

_COUNT_NS: Final = 20_000_000
"""Where reads are limited, what is due is counted this often."""
_MOST_REPLICAS: Final = 100
"""More names than that in the answers of one reader are no replicas, unless the config lists them."""
_LONGEST_NAME: Final = 256
_ABSENT: Final = Seen.ABSENT
_SEEN: Final = itemgetter(Read._fields.index("seen"))
_REPLICA: Final = itemgetter(Read._fields.index("replica"))
_UNREAD_STAMP: Final = itemgetter(Read._fields.index("unread_stamp"))
_REPLICA_CURE: Final = "let replica give the name of the replica that answers, not of the request"


class _Reader:
    """A probe, or a replica of it, while it runs. The budget and the vitals are those of the whole probe."""

    def __init__(
        self,
        index: int,
        plan: ReaderPlan,
        probe: Probe,
        budget: ReadBudget,
        requests: ReadBudget,
        vitals: ReadVitals,
        times: ReadTimes,
        take: Callable[[_Reader, ReadResult], None],
    ) -> None:
        settings = plan.settings
        self.index = index
        self.plan = plan
        self.name = plan.name
        self.probe = probe
        self.bulk = settings.bulk
        self.free = settings.parallel
        self.budget = budget
        self.vitals = vitals
        self.times = times
        self.limited = settings.most_reads is not None
        self.names = set(settings.replicas)
        """Replicas that are known."""
        self.requests = requests
        self.waiting = 0
        """Events due for a read when they were last counted, less those read since; where reads are limited."""
        self.counted_ns = -NS_PER_S
        self.alarm: Alarm
        self.armed_ns: int | None = None
        self.pumped_ns = 0
        self.paid_ns = 0
        """Until when reads off the grid are paid for, at `PINS_EVERY_NS` each."""
        # Settings work out anew what they are capable of each time that they are asked.
        capabilities = settings.capabilities
        self.asks = not capabilities.pushes
        self.begins = capabilities.begins_many
        self.turn: Turn | None = None
        """Makes of its reads what they say to whoever watches."""
        self.take: Callable[[ReadResult], None] = partial(take, self)
        """Takes what was begun with one call."""


class Reading:
    """All readers of a run. `probes` are open, in the order of `plans`; `spawn` starts a task of the run."""

    def __init__(
        self,
        plans: Sequence[ReaderPlan],
        probes: Sequence[Probe],
        *,
        clock: Clock,
        tracker: Tracker,
        books: Bookkeeping,
        failures: Failures,
        vitals: Vitals,
        watching: Watching,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._clock = clock
        self._tracker = tracker
        self._books = books
        self._failures = failures
        self._vitals = vitals
        self._spawn = spawn
        self._closed = False
        settings: dict[str, ProbeSettings] = {plan.probe: plan.settings for plan in reversed(plans)}
        budgets = {name: ReadBudget(one.most_reads) for name, one in settings.items()}
        requests = {name: ReadBudget(one.max_requests) for name, one in settings.items()}
        self._budgets = list(budgets.values())
        vitals.probes = {
            name: ReadVitals(bytes_in=0 if one.capabilities.counts_bytes else None) for name, one in settings.items()
        }
        self._times = {name: ReadTimes() for name in budgets}
        self._readers = [
            _Reader(
                index, plan, probe, budgets[plan.probe], requests[plan.probe], vitals.probes[plan.probe],
                self._times[plan.probe], self._take_begun,
            )
            for index, (plan, probe) in enumerate(zip(plans, probes, strict=True))
        ]  # fmt: skip
        for reader in self._readers:
            pump = partial(self._pump, reader)
            reader.turn = watching.turn(reader.index, reader.plan.origin.replica)
            reader.alarm = clock.alarm(pump) if reader.bulk > 1 else _OnTicks(clock, pump)

    def listeners(self) -> list[Coroutine[Any, Any, None]]:
        """What takes the sightings that are pushed, until cancelled: one for each probe that listens."""
        pushed = [reader for reader in self._readers if reader.plan.settings.capabilities.pushes]
        return [self._listen(reader, cast(PushProbe, reader.probe)) for reader in pushed]

    def due(self, readers: Iterable[int]) -> None:
        """Something may be due earlier than was known, for these readers by their numbers."""
        for index in readers:
            self._arm(self._readers[index])

    def close(self) -> None:
        """Start no more reads."""
        self._closed = True
        for reader in self._readers:
            reader.alarm.close()

    def strained(self, now_ns: int, share: float) -> None:
        """The generator used this share of its core in the last second: above a limit it reads less."""
        for budget in self._budgets:
            budget.strained(now_ns, share)

    def note(self, *, final: bool = False) -> None:
        """Bring the vitals up to date, and write down how much was read when."""
        known: dict[str, list[str]] = {}
        before_ns = self._clock.now_ns() + final * NS_PER_S
        for probe, budget in {reader.plan.probe: reader.budget for reader in self._readers}.items():
            if slots := budget.take_slots(before_ns):
                self._books.read(probe, slots)
        for probe, times in self._times.items():
            if final or times.is_time(self._clock.now_ns()):
                self._books.read_times(probe, times.take())
        for reader in self._readers:
            reader.vitals.busiest = reader.budget.busiest
            reader.vitals.stretch = reader.budget.widest
            own = reader.plan.origin.replica
            known.setdefault(reader.plan.probe, []).extend([own] if own else self._tracker.replicas(reader.index))
        self._vitals.replicas = known

    def _arm(self, reader: _Reader) -> None:
        """Have `_pump` called when the probe's next read is due."""
        due = self._tracker.next_due(reader.index)
        if due is None or not reader.free or self._closed:
            return
        if reader.armed_ns is not None and reader.armed_ns <= due:
            return  # It isn't read before it is due.
        due = reader.budget.next_ns(due)
        if reader.limited:
            due = max(due, reader.requests.next_ns(due))
        due = -(-due // TICK_NS) * TICK_NS + AFTER_TICK_NS if reader.bulk == 1 else self._gathered(reader, due)
        if reader.armed_ns is None or due < reader.armed_ns:
            reader.armed_ns = due
            reader.alarm.set(due)

    def _gathered(self, reader: _Reader, due: int) -> int:
        """When to read in bulk what is due then: on the grid, and off it what can't wait, as long as that is rare."""
        due = max(due, reader.pumped_ns + PIN_TICK_NS)
        return due if reader.paid_ns <= due + NS_PER_S else -(-due // BULK_TICK_NS) * BULK_TICK_NS

    def _pump(self, reader: _Reader) -> None:
        """Start the reads that are due, as many as may run at a time."""
        armed, reader.armed_ns = reader.armed_ns, None
        now = self._clock.now_ns()
        if reader.begins:
            if targets := self._choose(reader, now, reader.free):
                reader.free -= len(targets)
                cast(BatchProbe, reader.probe).begin(targets, reader.take)
        else:
            while reader.free and (targets := self._choose(reader, now, reader.bulk)):
                reader.free -= 1
                reader.pumped_ns = now
                self._spawn(self._read(reader, targets))
        if reader.bulk > 1:
            if reader.pumped_ns == now and armed is not None and armed % BULK_TICK_NS:
                reader.paid_ns = max(reader.paid_ns, now) + PINS_EVERY_NS
            self._tracker.late[reader.index] = PIN_TICK_NS if reader.paid_ns <= now + NS_PER_S else BULK_TICK_NS
        self._tracker.stretch[reader.index] = reader.budget.stretch
        self._arm(reader)

    def _choose(self, reader: _Reader, now: int, most: int) -> list[Target]:
        """What to read next, as far as the budget goes."""
        budget, tracker = reader.budget, self._tracker
        until = now if reader.bulk > 1 else now - now % TICK_NS
        if now < budget.paused_until_ns:
            return []
        if not reader.limited:
            targets = tracker.due(reader.index, until, most)
            if targets:
                budget.allow(now, len(targets))
            return targets
        if reader.requests.next_ns(now) > now:
            return []
        if not reader.waiting or now - reader.counted_ns >= _COUNT_NS:
            reader.counted_ns, reader.waiting = now, tracker.backlog(reader.index, until)
        targets = tracker.due(reader.index, until, budget.allow(now, reader.waiting, most))
        reader.waiting = max(0, reader.waiting - len(targets))
        if targets:
            reader.requests.allow(now, len(targets) if reader.begins else 1)
        return targets

    async def _read(self, reader: _Reader, targets: list[Target]) -> None:
        start = self._clock.now_ns()
        result = await reader.probe.read(targets)
        if not _about(result.reads, targets):
            raise RuntimeError(f"probe {reader.name!r} did not answer about the {len(targets)} events asked for")
        now = self._clock.now_ns()
        self._take(reader, result, now, now - start, 1, None)

    def _take_begun(self, reader: _Reader, result: ReadResult) -> None:
        """Some of the reads that were begun are done. What goes wrong here is a bug, and ends the run as one."""
        if self._closed:
            return
        try:
            reads = result.reads
            if not reads or reader.free + len(reads) > reader.plan.settings.parallel:
                raise RuntimeError(f"probe {reader.name!r} answered about other events than it was asked for")
            if len(reads) == 1:
                _, _, start_ns, end_ns, *_ = reads[0]
                took_ns = slowest_ns = end_ns - start_ns
            else:
                took = [read.end_ns - read.start_ns for read in reads]
                # A read has to end before a threshold: of those that were answered together the slowest counts.
                took_ns, slowest_ns = sum(took) // len(took), max(took)
            now = self._clock.now_ns()
            self._take(reader, result, now, took_ns, len(reads), None if result.error else slowest_ns)
        except Exception as error:
            self._spawn(_fail(error))

    def _take(
        self, reader: _Reader, result: ReadResult, now: int, took_ns: int, requests: int, slowest_ns: int | None
    ) -> None:
        """So many requests were answered, after this time on average."""
        vitals, own, budget = self._vitals, reader.vitals, reader.budget
        reads: Sequence[Read] = result.reads
        events, alike = len(reads), result.alike
        if alike:
            absent = events if reads[0].seen is _ABSENT else 0
        else:
            absent = [*map(_SEEN, reads)].count(_ABSENT)
            if {*map(_REPLICA, reads)} != {None}:
                _know_replicas(reader, result)
            if result.strange or result.example or any(map(_UNREAD_STAMP, reads)):
                self._count_odd(reader, result)
        if reader.asks:
            reader.times.count(result, requests)
        vitals.read_requests += requests
        vitals.event_reads += events
        vitals.unexpected_ids += result.unexpected
        own.requests += requests
        own.events += events
        if own.bytes_in is not None:
            own.bytes_in += result.bytes_in
        if result.error:
            vitals.failed_reads += requests
            own.failed += requests
            self._failures.look_failed(reader.name, result.error)
        elif absent == events or requests == events:
            # Either each read is a request of its own, or all are one, which shows something or not.
            own.blank(result.instead or "nothing of it", absent if requests == events else 1)
        if result.throttled:
            own.throttled += requests
            budget.throttled(now, result.retry_ns)
        elif not result.error:
            budget.answered(now, took_ns, events // requests)
        self._tracker.stretch[reader.index] = budget.stretch
        if reader.turn is not None:
            reads, alike = reader.turn(reads), False
        self._tracker.observe(reader.index, reads, now, slowest_ns, alike)
        reader.free += requests
        self._arm(reader)
        self._books.collect_many(now)

    def _count_odd(self, reader: _Reader, result: ReadResult) -> None:
        reader.vitals.strange += result.strange
        reader.vitals.example = reader.vitals.example or self._failures.shown(result.example)
        unread = [read.unread_stamp for read in result.reads if read.unread_stamp]
        if unread:
            reader.vitals.unread_stamps += len(unread)
            reader.vitals.unread_stamp = reader.vitals.unread_stamp or self._failures.shown(unread[0])

    async def _listen(self, reader: _Reader, probe: PushProbe) -> None:
        def report(result: ReadResult) -> None:
            self._vitals.unexpected_ids += result.unexpected
            reader.vitals.throttled += result.throttled
            self._count_odd(reader, result)
            if result.error:
                self._failures.look_failed(reader.name, result.error)
            self._tracker.push(reader.index, result.reads)
            self._arm(reader)

        await probe.listen(report)


class _OnTicks:
    """An alarm on the loop's own timers, which are cheap, and exact enough for what is due on ticks."""

    def __init__(self, clock: Clock, call: Callable[[], None]) -> None:
        self._clock = clock
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when_ns: int) -> None:
        self.close()
        self._timer = self._loop.call_later(max(0, when_ns - self._clock.now_ns()) / NS_PER_S, self._call)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _fail(error: Exception) -> None:
    raise error


def _know_replicas(reader: _Reader, result: ReadResult) -> None:
    """Reads that name one replica too many say nothing: each is followed by itself, in every event."""
    names, most = reader.names, max(_MOST_REPLICAS, len(reader.plan.settings.replicas))
    for at, read in enumerate(result.reads):
        name = read.replica
        if name is None or name in names:
            continue
        if len(name) > _LONGEST_NAME:
            result.error = f"a replica's name is longer than {_LONGEST_NAME} letters; {_REPLICA_CURE}"
        elif len(names) >= most:
            result.error = f"more than {most} replicas were named; {_REPLICA_CURE}"
        else:
            names.add(name)
            continue
        result.reads[at] = Read(read.seq, Seen.FAILED, read.start_ns, read.end_ns)


def _about(reads: Sequence[Read], targets: Sequence[Target]) -> bool:
    """Whether there is one read for each target."""
    answered, asked = [read[0] for read in reads], [target[0] for target in targets]
    return answered == asked or sorted(answered) == sorted(asked)
