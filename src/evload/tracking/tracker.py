"""Follows every outstanding event: what to read next, what a read means, and when an event is settled.

A state machine without I/O and without a clock. It is fed published events, receipts and reads; it says
which events are due for a read and hands out an Observation for each event that is settled. Nothing that
is settled stays in memory.

The reading plan of one event: a first read shortly after the publish, then a
geometric grid whose gaps keep every bracket within `resolution` of the time elapsed; at each objective's
threshold X one read that ends before X and one that starts at X, so that X is decided by reads on both
sides of it; one at the deadline; and after the first sighting a few confirming reads, because what was
seen can disappear again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ..model.states import Outcome, Seen, State
from ..model.travel import Event, FollowedEvent, Observation, Part, Read, Receipt, Target, WaitEvent
from .cohort import Alike, Answer, Cohort, ReadingQueue
from .confirmation import Calm
from .latency import Latency
from .outstanding import Outstanding
from .particulars import Particulars
from .profile import VisibilityProfile, is_explorer
from .reading_plan import ReadingPlan
from .sampling import is_chosen
from .views import WORST, Side, part_of, together

_REST: Final = Read._fields.index("effects")
_NOTHING_ELSE: Final = Read(0, Seen.ABSENT, 0, 0)[_REST:]
_NO_PARTICULARS: Final = Particulars()
_UNANSWERED: Final = "no answer when the run ended"
_RETRY_NS: Final = 100_000_000
"""Pause before a failed read is tried again, at least."""
_MAX_NS: Final = 1 << 62
_SEQ_OF: Final = attrgetter("seq")
_SETTLED_OF: Final = attrgetter("settled_ns")
# Asked for every event and every read: to look a member up in its class takes ten times as long as a name of its own.
_ABSENT: Final = Seen.ABSENT
_FAILED: Final = Seen.FAILED
_PRESENT: Final = Seen.PRESENT
_ACCEPTED: Final = Outcome.ACCEPTED
_DOUBTFUL: Final = Outcome.IN_DOUBT
_NOT_SENT: Final = Outcome.UNSENT
_IN_DOUBT: Final = State.IN_DOUBT
_LOST: Final = State.LOST
_ENDED: Final = State.ENDED
_AT_AN_END: Final = Seen.ENDED
_PENDING: Final = State.PENDING
_REGRESSED: Final = State.REGRESSED
_UNOBSERVED: Final = State.UNOBSERVED
_VISIBLE: Final = State.VISIBLE


class _Watch:
    """One probe, or one replica of it that has an address of its own, following one event."""

    __slots__ = (
        "alone", "calm", "cohort", "confirm_from", "confirm_reads", "done", "due", "ended", "failed", "first_upper",
        "item", "key_writes", "last_start", "named", "particulars", "plain", "plan", "profile", "reader", "reading",
        "reads", "regressions", "session_wanted", "vague",
    )  # fmt: skip

    def __init__(
        self, item: _Item, reader: int, plan: ReadingPlan, profile: VisibilityProfile | None, calm: Calm | None
    ) -> None:
        self.item = item
        self.reader = reader
        self.plan = plan
        self.profile = profile
        self.calm = calm
        self.confirm_reads = plan.confirm_reads
        self.cohort: Cohort | None = None
        """With which events it is read. What that took since it came isn't noted here before it leaves."""
        self.plain = False
        """It is the only one of its event, and a read that doesn't show the event says no more than that."""
        self.session_wanted = False
        """Its event is acked, and no read has begun since."""
        self.key_writes = 0
        """Writes of its key that were acked when the read on its way began."""
        self.alone: Side | None = None
        """What answers without a replica's name told."""
        self.named: dict[str, Side] | None = None
        """What each replica told that was named. Most events do without: a dict weighs more than the rest."""
        self.due = -1
        self.reading = False
        self.done = False
        self.ended = False
        """Its last read said that this probe will never show it."""
        self.last_start = 0
        self.first_upper: int | None = None
        """End of the first read that showed it, whoever answered."""
        self.vague = False
        """The last read showed it, and nobody knows which of several replicas answered."""
        self.confirm_from: int | None = None
        """When every replica had been seen present; None while one is not."""
        self.reads = 0
        self.failed = 0
        self.regressions = 0
        self.particulars: Particulars | None = None
        """What reads told beside whether it is there, if they tell such things."""

    def side(self, name: str | None) -> Side | None:
        """What was told by the replica of this name, or without a name, if anything was."""
        return self.alone if name is None else None if self.named is None else self.named.get(name)

    def side_for(self, name: str | None) -> Side:
        """The same, where something is about to be noted."""
        side = self.side(name)
        if side is None:
            side = Side()
            if name is None:
                self.alone = side
            elif self.named is None:
                self.named = {name: side}
            else:
                self.named[name] = side
        return side

    def sides(self) -> list[Side]:
        """All that was told."""
        alone = [] if self.alone is None else [self.alone]
        return alone if self.named is None else [*alone, *self.named.values()]


class _Item:
    """One outstanding event."""

    __slots__ = (
        "acked", "bytes_out", "capture", "ended", "event", "expected", "non_monotonic", "open_watches", "outcome",
        "place", "receipt", "resent", "sampled", "session", "staleness", "watches",
    )  # fmt: skip

    def __init__(self, event: Event, expected: int, sampled: bool) -> None:
        self.event = event
        self.expected = expected
        self.sampled = sampled
        self.outcome: Outcome | None = None
        self.receipt: Receipt | None = None
        self.acked: int | None = None
        self.bytes_out: int | None = None
        self.capture: str | None = None
        self.watches: tuple[_Watch, ...] = ()
        self.open_watches = 0
        self.resent = False
        self.ended = False
        """One of its probes said that it came to another end."""
        self.non_monotonic = False
        self.session: Seen | None = None
        self.staleness: int | None = None
        self.place: int | tuple[int, int] | None = None
        """Where `Outstanding` counts it."""

    def reference(self) -> int:
        """What deadlines and the grid are counted from: the ack, or the publish while there is none."""
        return self.expected if self.acked is None else self.acked


class Origin(NamedTuple):
    """Whose view a reader gives: a probe's, by its number, or that of one of its replicas."""

    probe: int
    replica: str | None = None


Told = Callable[[Read | None, State | None], None]
"""Is told once of an event: by the read that first showed it, or that it was settled in a state without one."""


class Tracker:
    """The outstanding events of a run.

    `plans[scenario]` maps the number of a reader to the ReadingPlan with which it follows the scenario's events,
    in the order of the scenario's probes; an empty mapping means that nobody reads them. `readers` says whose view
    each reader gives; a number instead: so many probes with a reader each. `resent` has the share of each scenario's
    events of which copies are sent. Those of each scenario that are due before `warm_until_ns` are of a warm-up, and
    `acked` says nothing of them. `hide` takes secrets out of keys and of the names of replicas.
    """

    def __init__(
        self,
        plans: Sequence[Mapping[int, ReadingPlan]],
        readers: Sequence[Origin] | int,
        *,
        resent: Sequence[float] = (),
        warm_until_ns: Sequence[int] = (),
        hide: Callable[[str], str] = str,
    ) -> None:
        self._hide = hide
        self._origins = [Origin(n) for n in range(readers)] if isinstance(readers, int) else list(readers)
        readers = len(self._origins)
        self._plans = [
            tuple(
                (
                    reader,
                    reading,
                    VisibilityProfile(reading.resolution) if reading.learns else None,
                    Calm(reading.confirm_reads) if reading.learns and not reading.confirm_all else None,
                )
                for reader, reading in plan.items()
            )
            for plan in plans
        ]
        self._shares = [min((p.sample for p in plan.values()), default=0.0) for plan in plans]
        self._resent = resent or [0.0] * len(plans)
        self._warm_until_ns = warm_until_ns or [0] * len(plans)
        self._versions = [any(p.versions for p in plan.values()) for plan in plans]
        self._key_writes: dict[tuple[int, str], int] = {}
        self.stretch = [1.0] * readers
        """By how much each reader's gaps are widened, to spare the read model."""
        self.late = [_MAX_NS] * readers
        """How late each reader begins a read for a pin at most; never counted with more than a plan's slack."""
        self._items: dict[int, _Item] = {}
        """The outstanding events that are followed, or of which there may be copies, by number."""
        self._unread: dict[int, tuple[Event, int]] = {}
        """The others, and when they were expected: their receipt settles them, so there is nothing else to keep."""
        self._queues = [ReadingQueue() for _ in range(readers)]
        self._replicas: list[set[str]] = [set() for _ in range(readers)]
        for plan in self._plans:
            for reader, reading, *_ in plan:
                self._replicas[reader].update(map(hide, reading.replicas))
        self._latency: list[Latency] = [Latency() for _ in range(readers)]
        self._settled: list[Observation] = []
        self._unanswered = 0
        self._told: dict[int, Told] = {}
        self.acked = Outstanding(len(plans))
        """What is known by now of the acked events that are followed and not settled."""

    @property
    def outstanding(self) -> int:
        """Events that are not settled."""
        return len(self._items) + len(self._unread)

    @property
    def unanswered(self) -> int:
        """Events without a receipt."""
        return self._unanswered + len(self._unread)

    def replicas(self, reader: int) -> list[str]:
        """Names of the replicas that a reader's answers have named so far, or that its plan names."""
        return sorted(self._replicas[reader])

    def expect(self, events: Iterable[Event], now_ns: int) -> None:
        """Start following events that are about to be published: an effect may precede the confirm."""
        items, before = self._items, len(self._items)
        for event in events:
            scenario = event.scenario
            plans, share = self._plans[scenario], self._shares[scenario]
            if not plans and not self._resent[scenario]:
                self._unread[event.seq] = (event, now_ns)
                continue
            sampled = share >= 1 or (share > 0 and is_chosen(event.seq, share, "sample"))
            item = items[event.seq] = _Item(event, now_ns, sampled)
            if self._resent[scenario]:
                item.resent = is_chosen(event.seq, self._resent[scenario], "resend")
            if plans:
                item.watches = tuple([_Watch(item, *plan) for plan in plans])
                item.open_watches = len(plans)
                if len(plans) == 1:
                    (watch,) = item.watches
                    plan = watch.plan
                    watch.plain = item.sampled and not (plan.pushed or plan.session or plan.versions)
                for watch in item.watches:
                    if not watch.plan.after_ack:
                        self._schedule(watch, self._first_due(watch))
        self._unanswered += len(items) - before

    def tell(self, seq: int, told: Told) -> None:
        """Tell somebody of an event, once: when it is first seen, or else when it is settled."""
        self._told[seq] = told

    def settle(self, receipts: Iterable[Receipt], now_ns: int) -> None:
        """Take the answers to publishes. A receipt for an event that has one already is a bug in the
        producer and raises KeyError or ValueError."""
        items, unread = self._items, self._unread
        for receipt in receipts:
            # By name each of them takes as long as all together.
            seq, outcome, _, acked_ns, _, capture, _, _ = receipt
            alone = unread.pop(seq, None)
            if alone is not None:
                self._settled.append(self._answered(alone[0], receipt, now_ns))
                continue
            item = items[seq]
            if item.receipt is not None:
                raise ValueError(f"event {seq} was settled twice")
            item.receipt = receipt
            item.outcome = outcome
            if outcome is not _NOT_SENT:
                item.bytes_out = len(item.event.body)
            # The transport is done with them, and they are most of what an outstanding event weighs.
            event = item.event
            event.body, event.headers, event.extras = b"", (), ()
            self._unanswered -= 1
            if outcome is _ACCEPTED:
                item.acked = acked_ns
                item.capture = capture
                if self._versions[event.scenario] and event.key is not None:
                    key = (event.scenario, event.key)
                    self._key_writes[key] = self._key_writes.get(key, 0) + 1
            elif outcome is not _DOUBTFUL:
                self._finish(item, _FINAL[outcome], now_ns)
                continue
            if not item.open_watches:
                self._conclude(item, now_ns)
                continue
            self._place(item)
            for watch in item.watches:
                if watch.cohort is not None:
                    if watch.cohort.reading:
                        watch.cohort.add(_target(item, watch.reader), item.reference(), event.intended_ns)
                        continue
                    self._leave(watch)
                if watch.plan.session and item.acked is not None and item.sampled and not watch.done:
                    watch.session_wanted = True
                    if not watch.reading:
                        self._schedule(watch, now_ns)
                elif not watch.done and not watch.reading and watch.confirm_from is None:
                    # Times count from the ack from here on, so what was planned before may be too late.
                    due = self._first_due(watch) if watch.last_start == 0 else self._next_due(watch)
                    self._schedule(watch, due)

    def due(self, reader: int, now_ns: int, limit: int) -> list[Target]:
        """At most `limit` events that `reader` should read now. They stay out of the queue until `observe`."""
        queue = self._queues[reader]
        targets: list[Target] = []
        items, heap = self._items, queue.heap
        while heap and heap[0][0] <= now_ns and len(targets) < limit:
            due, seq = heappop(heap)
            if seq < 0:
                cohort = queue.begin(due, seq, limit - len(targets))
                if cohort.number != seq:
                    for seq in cohort.members:
                        items[seq].watches[0].cohort = cohort
                targets += cohort.members.values()
                continue
            item = items.get(seq)
            if item is None:
                continue
            for watch in item.watches:
                if watch.reader == reader and watch.due == due and not watch.reading and not watch.done:
                    if watch.plan.pushed and watch.confirm_from is not None:
                        self._close_pushed(watch, now_ns)
                        continue
                    watch.reading = True
                    if watch.plan.versions and item.event.key is not None:
                        watch.key_writes = self._key_writes.get((item.event.scenario, item.event.key), 0)
                    targets.append(_target(item, reader))
        return targets

    def backlog(self, reader: int, now_ns: int) -> int:
        """About how many events `reader` should read now; those that were planned anew may count twice."""
        return self._queues[reader].backlog(now_ns)

    def next_due(self, reader: int) -> int | None:
        """When `reader` has something to read; possibly too early, never too late. None: nothing planned."""
        return self._queues[reader].next_due()

    def observe(
        self, reader: int, reads: Iterable[Read], now_ns: int, took_ns: int | None = None, alike: bool = False
    ) -> None:
        """Take what was read, one Read for each target of a `due`.

        `took_ns` is how long to expect a read to take by them; None: as long as the first that was answered. `alike`
        as in ReadResult.
        """
        items, known, latency = self._items, self._replicas[reader], self._latency[reader]
        if took_ns is not None:
            latency.add(took_ns)
        if self._queues[reader].begun:
            reads, took_ns = self._take_together(reader, list(reads), now_ns, took_ns)
        for read in reads:
            item = items.get(read.seq)
            if item is None:
                continue
            for watch in item.watches:
                if watch.cohort is not None and watch.cohort.reading and watch.reader == reader:
                    self._leave(watch)
                if watch.reader == reader and watch.reading:
                    watch.reading = False
                    if took_ns is None and read.seen is not _FAILED:
                        took_ns = read.end_ns - read.start_ns
                        latency.add(took_ns)
                    if watch.plain and not known and (alike or read[_REST:] == _NOTHING_ELSE):
                        self._take_plain(watch, item, read, now_ns)
                    else:
                        self._take(watch, read, now_ns)

    def push(self, reader: int, reads: Iterable[Read]) -> None:
        """Take what was pushed to a reader: each read brackets the moment of one effect, or is that moment."""
        for read in reads:
            item = self._items.get(read.seq)
            if item is None:
                continue
            for watch in item.watches:
                if watch.reader == reader and not watch.done:
                    self._take_pushed(watch, read)

    @property
    def settled(self) -> int:
        """Events settled since the last `take`."""
        return len(self._settled)

    def take(self, before_ns: int | None = None) -> list[Observation]:
        """What has been settled since the last call, by (settled_ns, seq).

        With `before_ns` what was settled at that moment or later is kept for the next call, so that the order
        holds across calls however many events are settled in one moment.
        """
        settled = self._settled
        end = len(settled) if before_ns is None else bisect_left(settled, before_ns, key=_SETTLED_OF)
        self._settled = settled[end:]
        del settled[end:]
        # One after the other, by single numbers, takes half as long as both together.
        settled.sort(key=_SEQ_OF)
        settled.sort(key=_SETTLED_OF)
        return settled

    def close(self, now_ns: int) -> None:
        """The run is over: whatever is outstanding is settled as it stands."""
        unread, self._unread = self._unread, {}
        for event, expected_ns in unread.values():
            unanswered = Receipt(event.seq, _DOUBTFUL, expected_ns, None, _UNANSWERED)
            self._settled.append(self._answered(event, unanswered, now_ns))
        for item in list(self._items.values()):
            if item.receipt is None or item.receipt.outcome is _DOUBTFUL:
                self._finish(item, _IN_DOUBT, now_ns)
            else:
                self._finish(item, _PENDING, now_ns)

    # -- cohorts -------------------------------------------------------------------------------------

    def _join(self, watch: _Watch, due: int) -> bool:
        """Have an event read, at a moment on the grid of bulk reads, with those of which the same is known."""
        item, event = watch.item, watch.item.event
        reference = item.reference()
        confirm_reads = tick = 0
        if watch.confirm_from is not None:
            if item.acked is None:
                return False
            confirm_reads = watch.confirm_reads
        elif watch.first_upper is None:
            tick = -(-reference // watch.plan.tick_ns)
        else:
            return False  # It was missed again.
        explorer = watch.profile is not None and is_explorer(event.seq)
        profile = None if explorer else watch.profile
        replicas = len(self._replicas[watch.reader])
        alike = Alike(
            due, event.scenario, watch.last_start, watch.confirm_from, confirm_reads, tick, replicas, explorer
        )
        watch.cohort = cohort = self._queues[watch.reader].cohort(alike, watch.plan, profile)
        watch.due = -1
        cohort.add(_target(item, watch.reader), reference, event.intended_ns)
        return True

    def _leave(self, watch: _Watch) -> None:
        """Take an event out of its cohort, and note what that took."""
        cohort, watch.cohort = watch.cohort, None
        assert cohort is not None
        del cohort.members[watch.item.event.seq]
        watch.reading = cohort.reading
        if cohort.reading and not cohort.members:
            del self._queues[watch.reader].begun[cohort.number]
        watch.reads += cohort.reads
        watch.failed += cohort.failed
        watch.last_start = cohort.last_start
        for replica, start_ns in (cohort.lowers or {}).items():
            side = watch.side_for(replica)
            side.first_lower = side.lower = start_ns

    def _take_together(
        self, reader: int, reads: list[Read], now_ns: int, took_ns: int | None
    ) -> tuple[list[Read], int | None]:
        """Let cohorts take what reads say of all their events; the events of which they say something else leave.

        The answer is the reads that nobody took, and `took_ns`, by them if it isn't given.
        """
        queue = self._queues[reader]
        left = {read[0] for read in reads}
        cohorts = [cohort for cohort in queue.begun.values() if next(iter(cohort.members)) in left]
        if not cohorts or len(left) < len(reads):
            return reads, took_ns
        answer = Answer(reads, self._is_known)
        if took_ns is None and answer.took_ns is not None:
            took_ns = answer.took_ns
            self._latency[reader].add(took_ns)
        start_ns, failed, known = answer.start_ns, answer.failed, self._replicas[reader]
        replica = next(iter(known), None) if answer.replica is None else self._hide(answer.replica)
        if answer.replica is None and len(known) > 1:
            # Which one it was matters, and each event makes of it what it can.
            answer.absent.clear()
            answer.present.clear()
        for cohort in cohorts:
            members = cohort.members
            agreed = answer.absent if cohort.waits else answer.present
            if failed and next(iter(members)) in failed:
                agreed = failed
            if not members.keys() <= agreed:
                self._let_go([seq for seq in members if seq not in agreed])
                if not members:
                    continue
            if agreed is not failed and replica is not None:
                known.add(replica)
            if cohort.alike.replicas != len(known):
                # One more is known than when they came together, and nobody met them there.
                self._let_go(list(members))
                continue
            if agreed is failed:
                due = self._retry_together(reader, cohort, now_ns)
                if due is None:
                    self._let_go(list(members))
                    continue
                cohort.fail()
            else:
                cohort.take(start_ns, replica)
                due = self._next_together(reader, cohort)
            cohort.reading = False
            del queue.begun[cohort.number]
            left.difference_update(members)
            if due is not None:
                queue.add(cohort, due)
                continue
            for watch in self._let_go(list(members)):
                self._after(watch, start_ns, now_ns)
        return [read for read in reads if read[0] in left] if left else [], took_ns

    def _let_go(self, seqs: Sequence[int]) -> list[_Watch]:
        """Have these events leave their cohorts."""
        watches = [self._items[seq].watches[0] for seq in seqs]
        for watch in watches:
            self._leave(watch)
        return watches

    def _is_known(self, read: Read) -> bool:
        """Whether what a read says beside that it shows an event is known of it."""
        item = self._items.get(read.seq)
        if item is None or not item.watches:
            return False
        return (item.watches[0].particulars or _NO_PARTICULARS).has(read)

    def _next_together(self, reader: int, cohort: Cohort) -> int | None:
        """When to read a cohort again whose last read said the same of all its events; None: what follows is not the
        same for all of them."""
        plan, last = cohort.plan, cohort.last_start
        elapsed = last - cohort.earliest
        confirm_from = cohort.alike.confirm_from
        if confirm_from is None:
            return None if elapsed >= plan.deadline_ns else self._grid_together(reader, cohort)
        confirmed_for = last - confirm_from
        if not plan.confirm_reads or confirmed_for >= plan.confirm_over_ns or elapsed >= plan.patience_ns:
            return None
        return plan.gathered(
            _confirm_due(confirm_from, cohort.alike.confirm_reads, confirmed_for, plan.confirm_over_ns)
        )

    def _retry_together(self, reader: int, cohort: Cohort, now_ns: int) -> int | None:
        """When to try the read of a cohort again that failed; None: not in one moment for all of its events."""
        plan = cohort.plan
        if not cohort.waits or now_ns - cohort.earliest >= plan.patience_ns:
            return None
        due = self._grid_together(reader, cohort)
        return None if due is None else _retry_due(plan, now_ns - cohort.latest, due, now_ns)

    def _grid_together(self, reader: int, cohort: Cohort) -> int | None:
        """When the grid has the next read of a cohort that waits to be seen: no later than for any of its events by
        itself. None: some need more than that."""
        plan, latest = cohort.plan, cohort.latest
        spread = latest - cohort.earliest
        due = self._grid_due(reader, plan, cohort.profile, latest, cohort.last_start, spread)
        return None if cohort.needs_more(due, self._ahead(reader, plan) if plan.pins else 0) else due

    # -- reads ---------------------------------------------------------------------------------------

    def _take_plain(self, watch: _Watch, item: _Item, read: Read, now_ns: int) -> None:
        """As `_take`, of reads that say nothing but whether the event is there, and of which there is one view.

        By far the most frequent are those before it is seen, the one that shows it, and those that show it again.
        """
        seen, start_ns = read.seen, read.start_ns
        if seen is _ABSENT and watch.first_upper is None:
            watch.reads += 1
            watch.last_start = start_ns
            side = watch.alone
            if side is None:
                side = watch.alone = Side()
            side.first_lower = side.lower = start_ns
            if start_ns - item.reference() >= watch.plan.deadline_ns and item.receipt is not None:
                self._end_watch(watch, now_ns)
            else:
                self._schedule(watch, self._next_due(watch))
        elif seen is _PRESENT and watch.confirm_from is not None:
            watch.reads += 1
            watch.last_start = start_ns
            self._after(watch, start_ns, now_ns)
        else:
            self._take(watch, read, now_ns)

    def _take(self, watch: _Watch, read: Read, now_ns: int) -> None:
        plan, item = watch.plan, watch.item
        watch.reads += 1
        if plan.pushed and watch.confirm_from is not None:
            # It came while the question was on its way, and so may have the time to look after it.
            self._schedule(watch, watch.due)
            return
        if watch.session_wanted and item.acked is not None and read.start_ns >= item.acked:
            watch.session_wanted = False
            if item.session is not _ABSENT:
                item.session = _ABSENT if read.seen is _AT_AN_END else read.seen
        if read.seen is _FAILED:
            watch.failed += 1
            elapsed = now_ns - item.reference()
            if elapsed >= self._patience(watch) and item.receipt is not None:
                self._end_watch(watch, now_ns)
            else:
                self._schedule(watch, _retry_due(plan, elapsed, self._next_due(watch), now_ns))
            return

        if read.version is not None and plan.versions and item.event.key is not None:
            self._count_staleness(item, watch.key_writes, read.version)
        particulars = watch.particulars
        if particulars is None and read[_REST:] != _NOTHING_ELSE:
            particulars = watch.particulars = Particulars()
        if particulars is not None:
            particulars.take(read)
        watch.last_start = read.start_ns
        watch.vague = False
        if read.seen is _PRESENT:
            if watch.first_upper is None:
                watch.first_upper = read.end_ns
                if self._told and (told := self._told.pop(item.event.seq, None)) is not None:
                    told(read, None)
        elif (watch.first_upper is not None or len(item.watches) > 1) and not item.non_monotonic:
            item.non_monotonic = self._was_shown_before(watch, read.start_ns)
        if read.seen is not _AT_AN_END:
            self._mark(watch, read)
        elif item.receipt is not None:
            self._came_to_an_end(watch, now_ns)
            return
        moved = False
        if not self._all_present(watch):
            if watch.confirm_from is not None:
                watch.confirm_from = None
                moved = True
        elif watch.confirm_from is None:
            watch.confirm_from = read.end_ns
            moved = True
            if watch.profile is not None and item.sampled:
                self._learn(watch, watch.profile)
            if watch.calm is not None:
                watch.confirm_reads = watch.calm.reads_for(item.event.seq)
        self._after(watch, read.start_ns, now_ns)
        if moved and item.open_watches:
            self._place(item)

    def _count_staleness(self, item: _Item, writes: int, version: float) -> None:
        """Of so many acked writes of its key an answer had applied those up to `version`; below 0 is none of them."""
        missing = max(0, writes - int(max(0, version)))
        item.staleness = missing if item.staleness is None else max(item.staleness, missing)

    def _was_shown_before(self, watch: _Watch, start_ns: int) -> bool:
        """Whether a read of the same probe, whichever replica gave it, had shown the event by then."""
        probe = self._origins[watch.reader].probe
        return any(
            other.first_upper is not None and other.first_upper <= start_ns
            for other in watch.item.watches
            if other is watch or self._origins[other.reader].probe == probe
        )

    def _take_pushed(self, watch: _Watch, read: Read) -> None:
        particulars = watch.particulars = watch.particulars or Particulars()
        if read.exact:
            particulars.effects = (particulars.effects or 0) + 1
            if read.version is not None and watch.plan.versions and watch.item.event.key is not None:
                writes = self._key_writes.get((watch.item.event.scenario, watch.item.event.key), 0)
                self._count_staleness(watch.item, writes, read.version)
        elif read.effects is not None:
            particulars.effects = max(particulars.effects or 0, read.effects)
        if read.facts:
            particulars.learn(read.facts)
        if watch.confirm_from is not None:
            return
        particulars.position = read.position
        particulars.consumed_at, particulars.processed_at = read.consumed_at, read.processed_at
        side = watch.alone = Side()
        side.seen = side.present = True
        # Whoever looks at fixed times may have looked last before the event was even published.
        side.lower = side.first_lower = max(read.start_ns, min(watch.item.expected, read.end_ns))
        side.upper = read.end_ns
        watch.first_upper = watch.confirm_from = watch.last_start = read.end_ns
        if self._told and (told := self._told.pop(watch.item.event.seq, None)) is not None:
            told(read, None)
        self._place(watch.item)
        # What was seen stays seen; the watch goes on for the sake of further effects.
        self._gather(watch, read.end_ns + self._confirm_over(watch))

    def _close_pushed(self, watch: _Watch, now_ns: int) -> None:
        if watch.item.receipt is None:
            self._schedule(watch, now_ns + _RETRY_NS)
        else:
            self._end_watch(watch, now_ns)

    def _mark(self, watch: _Watch, read: Read) -> None:
        """Note a successful read on the replica that gave it."""
        known = self._replicas[watch.reader]
        name = None if read.replica is None else self._hide(read.replica)
        if name is not None:
            known.add(name)
        elif len(known) == 1:
            (name,) = known
        elif known:
            self._mark_anonymous(watch, read, known)
            return
        side = watch.side_for(name)
        if read.seen is _PRESENT:
            if not side.present:
                side.present = side.seen = True
                side.upper = read.end_ns
        else:
            if side.present:
                side.present = False
                watch.regressions += 1
            if not side.seen:
                side.first_lower = read.start_ns
            side.lower, side.upper = read.start_ns, None

    def _mark_anonymous(self, watch: _Watch, read: Read, known: set[str]) -> None:
        """An answer without a replica's name where several have one (a 404 often can't tell).

        A negative one holds for whichever replica it came from: one of those not yet seen present, or, if all
        were, one of them that lost the event again, so that each has to be met anew. Some replica missed the
        event, which bounds stable-visible; it says nothing about the first to show it. A positive one could
        be any of them and shows no more than that the event was seen.
        """
        if read.seen is _PRESENT:
            watch.vague = True
            return
        sides = [watch.side_for(name) for name in known]
        waiting = [side for side in sides if not side.present]
        if not waiting:
            watch.regressions += 1
            waiting = sides
        for side in waiting:
            side.present = False
            side.lower, side.upper = read.start_ns, None

    def _after(self, watch: _Watch, start_ns: int, now_ns: int) -> None:
        """Decide what follows a read that succeeded: the end of the watch, or the next read."""
        plan, item = watch.plan, watch.item
        elapsed = start_ns - item.reference()
        if not item.sampled or plan.pushed:
            if elapsed >= plan.deadline_ns and item.receipt is not None:
                self._end_watch(watch, now_ns)
            else:
                # Past the deadline only the receipt is missing: no reason to read at full speed until it comes.
                self._gather(watch, max(item.reference() + plan.deadline_ns, now_ns + _RETRY_NS))
            return
        if watch.confirm_from is not None:
            confirmed_for = start_ns - watch.confirm_from
            over = self._confirm_over(watch)
            looks_again = plan.confirm_reads or item.resent
            enough = not looks_again or confirmed_for >= over or elapsed >= self._patience(watch)
            if enough and item.receipt is not None:
                self._end_watch(watch, now_ns)
            elif enough:
                self._gather(watch, now_ns + _RETRY_NS)  # Seen, but the receipt is still to come.
            else:
                self._gather(watch, _confirm_due(watch.confirm_from, watch.confirm_reads, confirmed_for, over))
            return
        end = plan.deadline_ns if watch.first_upper is None else self._patience(watch)
        if elapsed >= end and item.receipt is not None:
            self._end_watch(watch, now_ns)
        else:
            self._schedule(watch, self._next_due(watch))

    def _place(self, item: _Item) -> None:
        """Count an acked event by how long it waits, or by how long it took once everybody showed it."""
        acked = item.acked
        if acked is None or not item.sampled:
            return
        scenario = item.event.scenario
        if item.event.intended_ns < self._warm_until_ns[scenario]:
            return
        place: int | tuple[int, int]
        lower = upper = acked
        for watch in item.watches:
            if watch.confirm_from is None:
                place = self.acked.wait(scenario, acked)
                break
            for side in self._sides(watch):
                if side.lower is not None and side.lower > lower:
                    lower = side.lower
                if side.upper is not None and side.upper > upper:
                    upper = side.upper
        else:
            place = self.acked.show(scenario, lower - acked, upper - acked)
        if item.place is not None:
            self.acked.leave(scenario, item.place)
        item.place = place

    def _sides(self, watch: _Watch) -> list[Side]:
        """What counts for a watch: the named replicas as soon as any is known, else the one anonymous side."""
        known = self._replicas[watch.reader]
        if not known:
            return watch.sides()
        return [side for name, side in watch.named.items() if name in known] if watch.named else []

    def _all_present(self, watch: _Watch) -> bool:
        """Whether the event has been seen, and not missed since, on every replica that is known."""
        for name in self._replicas[watch.reader] or (None,):
            side = watch.side(name)
            if side is None or not side.present:
                return False
        return True

    def _confirm_over(self, watch: _Watch) -> int:
        """How long an event that was seen is looked after; copies may have effects until the last was sent."""
        plan = watch.plan
        return (plan.confirm_over_ns if plan.confirm_reads else 0) + (plan.resent_for_ns if watch.item.resent else 0)

    def _patience(self, watch: _Watch) -> int:
        """How long after its ack an event is watched at the very most."""
        return watch.plan.patience_ns + (watch.plan.resent_for_ns if watch.item.resent else 0)

    # -- planning ------------------------------------------------------------------------------------

    def _gather(self, watch: _Watch, due: int) -> None:
        """Schedule what doesn't matter to a few milliseconds."""
        self._schedule(watch, watch.plan.gathered(due))

    def _schedule(self, watch: _Watch, due: int) -> None:
        if watch.session_wanted and watch.item.acked is not None:
            due = watch.item.acked
        tick_ns = watch.plan.tick_ns
        groups = watch.plain and tick_ns and not (due % tick_ns or watch.item.resent or watch.vague)
        if groups and self._join(watch, due):
            return
        watch.due = due
        heappush(self._queues[watch.reader].heap, (due, watch.item.event.seq))

    def _first_due(self, watch: _Watch) -> int:
        item, plan = watch.item, watch.plan
        reference = item.reference()
        if not item.sampled or plan.pushed:
            return plan.gathered(reference + plan.deadline_ns)
        first = reference + min(plan.first_ns, plan.deadline_ns)
        if watch.profile is not None and not is_explorer(item.event.seq):
            first = self._worthwhile(watch.reader, plan, watch.profile, reference, reference, first)
        return self._pinned(watch, reference, reference, plan.gathered(first))

    def _next_due(self, watch: _Watch) -> int:
        """When to read a watch again that waits to be seen: the grid, or a pin that comes before it."""
        item, plan = watch.item, watch.plan
        reference = item.reference()
        if not item.sampled or plan.pushed:
            return plan.gathered(reference + plan.deadline_ns)
        last = watch.last_start
        profile = watch.profile
        if profile is not None and is_explorer(item.event.seq):
            profile = None
        due = self._pinned(watch, reference, last, self._grid_due(watch.reader, plan, profile, reference, last))
        deadline = reference + plan.deadline_ns
        return deadline if last < deadline < due else due

    def _grid_due(
        self, reader: int, plan: ReadingPlan, profile: VisibilityProfile | None, reference: int, last: int,
        spread: int = 0,
    ) -> int:  # fmt: skip
        """When the grid has the next read of an event whose times count from `reference`, after one at `last`; of
        several, whose times count from up to `spread` before that, when it has the first."""
        latency = self._latency[reader].high
        # The bracket from the start of the last read to the end of the next one is to be at most
        # `resolution` of the time then elapsed: next end - ref <= (last - ref) / (1 - resolution).
        elapsed = max(last - reference, 0)
        gap = int(elapsed * plan.resolution / (1 - plan.resolution))
        replicas = len(self._replicas[reader])
        if replicas > 1:
            # Each read meets one replica, and each replica has a bracket of its own.
            gap //= replicas
        smallest = int(plan.first_ns * plan.resolution)
        # Reads that are gathered begin half their slack late on average, and brackets are as wide on average.
        pause = int(max(gap - latency - plan.slack_ns // 2, smallest) * self.stretch[reader])
        due = last + pause
        if profile is not None:
            due = self._worthwhile(reader, plan, profile, reference, last, due, spread)
        if plan.max_gap_ns is not None:
            due = min(due, last + plan.max_gap_ns)
        return plan.gathered(due)

    def _worthwhile(
        self, reader: int, plan: ReadingPlan, profile: VisibilityProfile, reference: int, last: int, due: int,
        spread: int = 0,
    ) -> int:  # fmt: skip
        """`due`, or later where events were never seen to become visible in between."""
        ahead = self._latency[reader].high + plan.slack_ns // 2
        worthwhile = reference + profile.next_read(max(last - reference, 0), due - reference + ahead) - ahead
        # Earlier ones are further in what is left out, or past it, where their own grid goes on.
        return max(due, worthwhile - spread)

    def _pinned(self, watch: _Watch, reference: int, last: int, due: int) -> int:
        """`due`, or a pin between `last` and it: a read that ends before a threshold, or one that starts at it."""
        plan = watch.plan
        if not plan.pins:
            return due
        ahead = self._ahead(watch.reader, plan)
        for counted_from, threshold in plan.pins:
            at = (reference if counted_from == "acked" else watch.item.event.intended_ns) + threshold
            if last < at - ahead < due:
                due = at - ahead
            elif last < at < due:
                due = at
        return due

    def _ahead(self, reader: int, plan: ReadingPlan) -> int:
        """How long before a limit a read has to be due, to end before it."""
        late, slack_ns = self.late[reader], plan.slack_ns
        return self._latency[reader].high + (late if late < slack_ns else slack_ns)

    def _came_to_an_end(self, watch: _Watch, now_ns: int) -> None:
        """A read says that this probe will never show it; it ended after the last one that had shown nothing of it.
        Other probes may still have something to show."""
        watch.ended = watch.item.ended = True
        watch.confirm_from = None
        sides = watch.sides()
        watch.regressions += any(side.present for side in sides)
        for side in sides:
            side.present, side.upper = False, None
        self._end_watch(watch, now_ns)

    # -- settling ------------------------------------------------------------------------------------

    def _end_watch(self, watch: _Watch, now_ns: int) -> None:
        watch.done = True
        item = watch.item
        if watch.calm is not None and item.sampled and (watch.confirm_from is not None or watch.regressions):
            watch.calm.confirmed(watch.regressions)
        if watch.profile is not None and watch.first_upper is None and watch.last_start:
            watch.profile.learn(max(0, watch.last_start - item.reference()), None)
        item.open_watches -= 1
        if not item.open_watches:
            self._conclude(item, now_ns)

    def _learn(self, watch: _Watch, profile: VisibilityProfile) -> None:
        """Learn from an event that has just become visible. While it is confirmed others are planned already."""
        reference = watch.item.reference()
        for side in self._sides(watch):
            if side.upper is not None:
                lower = max(0, (side.lower or reference) - reference)
                profile.learn(lower, max(lower, side.upper - reference))

    def _conclude(self, item: _Item, now_ns: int) -> None:
        """Settle an event whose receipt is in and whose watches are done."""
        if item.outcome is _DOUBTFUL:
            state = _IN_DOUBT
        elif item.ended:
            state = _ENDED
        elif not item.watches:
            state = _UNOBSERVED
        elif len(item.watches) == 1:
            state = self._state(item.watches[0])
        else:
            state = max([self._state(watch) for watch in item.watches], key=WORST.__getitem__)
        self._finish(item, state, now_ns)

    def _state(self, watch: _Watch) -> State:
        """What one finished watch says of an acked event."""
        if watch.confirm_from is not None:
            return _VISIBLE
        if watch.ended:
            return _ENDED
        sides = self._sides(watch)
        if not watch.item.sampled and (watch.vague or any(side.present for side in sides)):
            return _VISIBLE  # Read once, and there it was.
        if watch.first_upper is not None:
            if watch.vague or all(side.present for side in sides):
                return _UNOBSERVED  # Present wherever it was looked for, but not met on every replica.
            return _REGRESSED
        if watch.item.ended:
            return _ENDED  # What came to another end elsewhere isn't missing here.
        deadline = watch.item.reference() + watch.plan.deadline_ns
        return _LOST if sides and watch.last_start >= deadline else _UNOBSERVED

    def _answered(self, event: Event, receipt: Receipt, now_ns: int) -> Observation:
        """What is told of an event that nobody reads: what its receipt says. As `_finish`, of which it is the most
        frequent case by far."""
        seq, outcome, sent_ns, acked_ns, detail, capture, facts, _ = receipt
        accepted = outcome is _ACCEPTED
        state = _UNOBSERVED if accepted else _FINAL[outcome]
        if self._told and (told := self._told.pop(seq, None)) is not None:
            told(None, state)
        seen = Observation(
            seq,
            event.scenario,
            event.type,
            state,
            event.intended_ns,
            None if event.key is None else self._hide(event.key),
            sent_ns,
            acked_ns if accepted else None,
            settled_ns=now_ns,
        )
        if detail:
            seen.detail = detail
        if event.own_delay is not None:
            seen.own_delay = event.own_delay
        if outcome is not _NOT_SENT:
            seen.bytes_out = len(event.body)
        if capture is not None and accepted:
            seen.capture = capture
        if facts:
            vars(seen).update(facts)
        return seen

    def _finish(self, item: _Item, state: State, now_ns: int) -> None:
        event, key = item.event, item.event.key
        for watch in item.watches:
            if watch.cohort is not None:
                self._leave(watch)
        if self._told and (told := self._told.pop(event.seq, None)) is not None:
            told(None, state)
        sent_ns: int | None = item.expected
        facts: Mapping[str, Any] | None = None
        detail = _UNANSWERED
        if item.receipt is None:
            self._unanswered -= 1
        else:
            _, _, sent_ns, _, detail, _, facts, _ = item.receipt
        if item.place is not None:
            self.acked.leave(event.scenario, item.place)
        del self._items[event.seq]
        seen = Observation(
            event.seq,
            event.scenario,
            event.type,
            state,
            event.intended_ns,
            None if key is None else self._hide(key),
            sent_ns,
            item.acked,
            item.sampled,
            settled_ns=now_ns,
        )
        if detail:
            seen.detail = detail
        if event.own_delay is not None:
            seen.own_delay = event.own_delay
        bytes_out = len(event.body) if item.receipt is None else item.bytes_out
        if bytes_out is not None:
            seen.bytes_out = bytes_out
        if item.capture is not None:
            seen.capture = item.capture
        if item.resent:
            seen.resent = True
        if item.non_monotonic:
            seen.non_monotonic = True
        if item.session is not None:
            seen.session = item.session
        if item.staleness is not None:
            seen.staleness = item.staleness
        if facts:
            vars(seen).update(facts)
        for watch in item.watches:
            if watch.reads:
                seen.reads += watch.reads
            if watch.failed:
                seen.failed_reads += watch.failed
            if watch.regressions:
                seen.regressions += watch.regressions
            if watch.particulars is not None or len(item.watches) > 1:
                (watch.particulars or _NO_PARTICULARS).tell(seen)
        if item.watches:
            self._brackets(item, seen)
            if len(item.watches) > 1 or len(self._replicas[item.watches[0].reader]) > 1:
                self._take_apart(item, seen)
            item.watches = ()  # They know the item too, and a circle would wait for the garbage collector.
        self._settled.append(seen)

    def _brackets(self, item: _Item, seen: Observation) -> None:
        """First seen is the earliest over all replicas and probes, stable-visible the latest.

        With T_i in (L_i, R_i] on each: min T is in (min L, min R] and max T in (max L, max R]. A lower
        end that some replica's reads don't give is the publish itself, left as None.
        """
        if len(item.watches) == 1 and not self._replicas[item.watches[0].reader]:
            (watch,) = item.watches
            seen.first_upper_ns = watch.first_upper
            if (side := watch.alone) is not None:
                seen.first_lower_ns, seen.stable_lower_ns = side.first_lower, side.lower
                if watch.confirm_from is not None:
                    seen.stable_upper_ns = side.upper
            return
        firsts: list[int | None] = []
        lowers: list[int] = []
        uppers: list[int] = []
        confirmed = True
        for watch in item.watches:
            for name in self._replicas[watch.reader] or (None,):
                asked = watch.side(name)
                firsts.append(None if asked is None else asked.first_lower)
            for side in watch.sides():
                if side.lower is not None:
                    lowers.append(side.lower)
                if side.upper is not None:
                    uppers.append(side.upper)
            if watch.confirm_from is None:
                confirmed = False
            first = watch.first_upper
            if first is not None and (seen.first_upper_ns is None or first < seen.first_upper_ns):
                seen.first_upper_ns = first
        known = [lower for lower in firsts if lower is not None]
        if len(known) == len(firsts):
            seen.first_lower_ns = min(known)
        seen.stable_lower_ns = max(lowers, default=None)
        if confirmed:
            seen.stable_upper_ns = max(uppers)

    def _take_apart(self, item: _Item, seen: Observation) -> None:
        """What each probe and each replica says by itself."""
        parts: list[Part] = []
        for probe, views in groupby(item.watches, key=lambda watch: self._origins[watch.reader].probe):
            replicas = [part for watch in views for part in self._views(watch, probe)]
            if len(replicas) > 1 or replicas[0].replica is not None:
                parts.append(together(probe, replicas))
            parts += replicas
        seen.parts = tuple(parts)

    def _views(self, watch: _Watch, probe: int) -> list[Part]:
        """What a reader says: of each replica that is known to it, or of the one that it is."""
        own = self._state(watch)
        name = self._origins[watch.reader].replica
        known = sorted(self._replicas[watch.reader]) if name is None else []
        if not known:
            side = watch.alone or next(iter(watch.sides()), None)
            return [part_of(probe, name, own, side, watch.first_upper)]
        views = []
        for replica in known:
            side = watch.side(replica)
            state = own
            if side is not None and side.present:
                state = _VISIBLE
            elif own is _ENDED:
                pass  # Nobody will show it any more.
            elif side is None:
                state = _UNOBSERVED
            elif side.seen:
                state = _REGRESSED
            elif own is not _LOST:
                state = _UNOBSERVED
            views.append(part_of(probe, replica, state, side, None))
        return views


def _target(item: _Item, reader: int) -> Target:
    """What to ask a reader for."""
    event = item.event
    if type(event) is FollowedEvent:
        asked = event.asked[reader]
        return Target(event.seq, asked, asked)
    if type(event) is WaitEvent:
        return Target(event.seq, event.correlation_id, event.correlation_id)
    return Target(event.seq, event.correlation_id, item.capture)


def _retry_due(plan: ReadingPlan, elapsed: int, next_due: int, now_ns: int) -> int:
    """When a read that failed so long after the ack is tried again, for which the grid has `next_due`."""
    pause = max(_RETRY_NS, int(elapsed * plan.resolution))
    return max(now_ns + pause, min(next_due, now_ns + plan.deadline_ns))


def _confirm_due(confirm_from: int, reads: int, confirmed_for: int, over: int) -> int:
    """When the next of so many confirming reads is due, after one that began `confirmed_for` after the event was
    seen."""
    step = max(1, -(-over // max(reads, 1)))
    return confirm_from + step * (max(confirmed_for, 0) // step + 1)


_FINAL: Final = {
    Outcome.REJECTED: State.REJECTED,
    Outcome.RETURNED: State.RETURNED,
    Outcome.UNSENT: State.UNSENT,
    Outcome.IN_DOUBT: State.IN_DOUBT,
}
