"""What one reader is to read, by when it is due: events by themselves, and cohorts of events that are read together.

Events of a bulk probe whose acks are a tick apart at most are due in the same moments, and nearly all that reads say
of them is the same: not yet. A cohort takes such an answer once, whatever the number of its events, and what it took
is told to an event when that leaves. An event leaves as soon as something is about itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from ..model.states import Seen
from ..model.travel import Read, Target
from .profile import VisibilityProfile
from .reading_plan import ReadingPlan

_NEVER: Final = 1 << 62
_FIRST: Final = -1 << 62
"""Cohorts are numbered from here on, so that of those that are due in one moment the oldest is read first."""


class Alike(NamedTuple):
    """What the events of a cohort have in common: all that decides when they are read next.

    due           when they are read next, on the grid of bulk reads
    scenario      number of their scenario
    last_start    start of the last read that was answered; 0: there was none
    confirm_from  end of the read that first showed them; None: they wait to be seen
    confirm_reads how many confirming reads they get; those that wait: 0
    tick          number of the tick in which they were acked, or published as long as there is no ack; those that
                  were seen: 0
    replicas      how many replicas of the probe were known by name
    explorer      they are read on the whole grid, where others are not
    """

    due: int
    scenario: int
    last_start: int
    confirm_from: int | None
    confirm_reads: int
    tick: int
    replicas: int
    explorer: bool


class Cohort:
    """Events that are alike, in the order in which they came, and that one plan is about. Times in nanoseconds.

    profile  where the plan leaves reads out; None: it doesn't, or not for these events
    """

    __slots__ = (
        "alike", "earliest", "failed", "first_intended", "last_intended", "last_start", "latest", "lowers", "members",
        "number", "plan", "profile", "reading", "reads", "waits",
    )  # fmt: skip

    def __init__(self, number: int, alike: Alike, plan: ReadingPlan, profile: VisibilityProfile | None) -> None:
        self.number = number
        self.alike = alike
        self.plan = plan
        self.profile = profile
        self.waits = alike.confirm_from is None
        """Its events were never seen."""
        self.members: dict[int, Target] = {}
        """What to ask for, by the number of the event."""
        self.earliest = self.first_intended = _NEVER
        self.latest = self.last_intended = -_NEVER
        """The first and the last moment that deadlines and the grid of a member, or limits, are counted from. Members
        that left may have been those."""
        self.reading = False
        self.reads = 0
        """Reads that it took, of which `failed` failed: all of them as long as all members are there."""
        self.failed = 0
        self.last_start = alike.last_start
        self.lowers: dict[str | None, int] | None = None
        """When the last read began that didn't show them, by the name of the replica that was read."""

    def add(self, target: Target, reference_ns: int, intended_ns: int) -> None:
        """One more event, or more of one: when times count from that are about it, and when it was due."""
        self.members[target.seq] = target
        if reference_ns < self.earliest:
            self.earliest = reference_ns
        if reference_ns > self.latest:
            self.latest = reference_ns
        if intended_ns < self.first_intended:
            self.first_intended = intended_ns
        if intended_ns > self.last_intended:
            self.last_intended = intended_ns

    def take(self, start_ns: int, replica: str | None) -> None:
        """Note a read that began then, and said of all of them what was known."""
        self.reads += 1
        self.last_start = start_ns
        if self.waits:
            if self.lowers is None:
                self.lowers = {}
            self.lowers[replica] = start_ns

    def fail(self) -> None:
        """Note a read that failed for all of them."""
        self.reads += 1
        self.failed += 1

    def needs_more(self, due: int, ahead_ns: int) -> bool:
        """Whether some of its events need a read of their own before `due`: at the deadline, or at a limit, for which
        one goes out `ahead_ns` before it; or were acked meanwhile, so that they have little in common any more."""
        plan, last = self.plan, self.last_start
        earliest, latest = self.earliest, self.latest
        if latest - earliest > plan.tick_ns:
            return True
        if last < latest + plan.deadline_ns and earliest + plan.deadline_ns < due:
            return True
        for counted_from, threshold in plan.pins:
            if counted_from == "intended":
                earliest, latest = self.first_intended, self.last_intended
            else:
                earliest, latest = self.earliest, self.latest
            if last < latest + threshold and earliest + threshold - ahead_ns < due:
                return True
        return False

    def split(self, number: int, count: int) -> Cohort:
        """Take so many of its events away, the latest, into a cohort that is like it otherwise."""
        other = Cohort(number, self.alike, self.plan, self.profile)
        other.members = dict([self.members.popitem() for _ in range(count)][::-1])
        other.earliest, other.latest = self.earliest, self.latest
        other.first_intended, other.last_intended = self.first_intended, self.last_intended
        other.reads, other.failed, other.last_start = self.reads, self.failed, self.last_start
        other.lowers = None if self.lowers is None else dict(self.lowers)
        return other


class Answer:
    """What reads that began and ended together said of their events that many can have in common, by numbers.

    absent, present, failed  those of which a read said that and no more, or no more than `is_known`
    replica  which one said it; None: that isn't told
    took_ns  how long the first took that didn't fail; None: all failed
    """

    __slots__ = ("absent", "failed", "present", "replica", "start_ns", "took_ns")

    def __init__(self, reads: Sequence[Read], is_known: Callable[[Read], bool]) -> None:
        self.absent: set[int] = set()
        self.present: set[int] = set()
        self.failed: set[int] = set()
        _, _, start_ns, end_ns, _, replica, *_ = reads[0]
        self.start_ns, self.replica = start_ns, replica
        absent = tuple(Read(0, Seen.ABSENT, start_ns, end_ns, replica=replica))[1:]
        present = (Seen.PRESENT, *absent[1:])
        failed = (Seen.FAILED, *absent[1:])
        for read in reads:
            said = read[1:]
            if said == absent:
                self.absent.add(read[0])
            elif said == present or (said[:3] == present[:3] and read.replica == replica and is_known(read)):
                self.present.add(read[0])
            elif said == failed:
                self.failed.add(read[0])
        self.took_ns = next((read.end_ns - read.start_ns for read in reads if read.seen is not Seen.FAILED), None)


class ReadingQueue:
    """What one reader is to read: events by their numbers, and cohorts, by when they are due."""

    def __init__(self) -> None:
        self.heap: list[tuple[int, int]] = []
        """(when, number of an event or, below 0, of a cohort). What is said of events may be out of date."""
        self._cohorts: dict[int, Cohort] = {}
        """Those in the heap, by their numbers."""
        self._open: dict[Alike, Cohort] = {}
        """Those of them that were not read yet: more events can come to them."""
        self._made = 0
        self.begun: dict[int, Cohort] = {}
        """Those of which a read is on its way, by their numbers."""

    def cohort(self, alike: Alike, plan: ReadingPlan, profile: VisibilityProfile | None) -> Cohort:
        """Where events belong that have this in common."""
        found = self._open.get(alike)
        if found is None:
            found = self._open[alike] = Cohort(self._next_number(), alike, plan, profile)
            self.add(found, alike.due)
        return found

    def add(self, cohort: Cohort, due: int) -> None:
        """A cohort is due then."""
        self._cohorts[cohort.number] = cohort
        heappush(self.heap, (due, cohort.number))

    def begin(self, due: int, number: int, room: int) -> Cohort:
        """A cohort is read that came out of the heap, and was due then: so many of its events at most, of which
        there may be none. The others are a cohort with another number, which is still due."""
        cohort = self._take_out(number)
        if len(cohort.members) > room:
            self.add(cohort, due)
            cohort = cohort.split(self._next_number(), room)
        if cohort.members:
            cohort.reading = True
            self.begun[cohort.number] = cohort
        return cohort

    def next_due(self) -> int | None:
        """When something is due; possibly too early, never too late. None: nothing is planned."""
        heap, cohorts = self.heap, self._cohorts
        while heap and heap[0][1] < 0 and not cohorts[heap[0][1]].members:
            # All its events left. It would be due for ever where only so much may be read as waits to be.
            self._take_out(heappop(heap)[1])
        return heap[0][0] if heap else None

    def backlog(self, now_ns: int) -> int:
        """About how many events are due; those that were planned anew may count twice."""
        heap, cohorts = self.heap, self._cohorts
        # A heap's parent is never later than its children, so only what is due has to be looked at.
        found, open_places = 0, [0] if heap else []
        while open_places:
            place = open_places.pop()
            due, number = heap[place]
            if due <= now_ns:
                found += 1 if number >= 0 else len(cohorts[number].members)
                open_places += [child for child in (2 * place + 1, 2 * place + 2) if child < len(heap)]
        return found

    def _take_out(self, number: int) -> Cohort:
        """A cohort that is no longer in the heap, and to which no more events come."""
        cohort = self._cohorts.pop(number)
        if not cohort.reads and self._open.get(cohort.alike) is cohort:
            del self._open[cohort.alike]
        return cohort

    def _next_number(self) -> int:
        self._made += 1
        return _FIRST + self._made
