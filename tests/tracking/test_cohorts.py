"""Events that are read together, held against each of them read by itself: the same reads come to the same, and none
comes later than it would."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Observation, Read, Receipt
from evload.tracking.latency import Latency
from evload.tracking.profile import VisibilityProfile
from evload.tracking.tracker import Tracker
from tests.rigs.following import event_of, plan_of

MS = 1_000_000
S = 1_000 * MS
TICK = 2 * MS
ABSENT, PRESENT, FAILED, ENDED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED, Seen.ENDED
ACCEPTED = Outcome.ACCEPTED
BULK: Mapping[str, Any] = {
    "tick_ns": TICK, "slack_ns": TICK, "deadline_ns": 2 * S, "confirm_reads": 3, "confirm_over_ns": 900 * MS,
}  # fmt: skip


class Alone(Tracker):
    """Reads each event by itself."""

    def _join(self, watch: Any, due: int) -> bool:
        return False


class Borrowed:
    """How long reads take by another's estimate, whatever is added to it."""

    def __init__(self, of: Latency) -> None:
        self._of = of

    @property
    def high(self) -> int:
        return self._of.high

    def add(self, sample_ns: int) -> None:
        pass


class Taught(VisibilityProfile):
    """One that has learned, and learns no more: what one tracker would have learned alone isn't what all did."""

    def __init__(self, rng: random.Random, resolution: float) -> None:
        super().__init__(resolution)
        for _ in range(rng.randrange(128, 640)):
            median_ns = rng.choice([60, 60, 400]) * MS
            seen_ns = int(rng.lognormvariate(0, 0.15) * median_ns)
            super().learn(seen_ns * 19 // 20, seen_ns)

    def learn(self, lower_ns: int, upper_ns: int | None) -> None:
        pass


class LeftOut(VisibilityProfile):
    """Nobody became visible between these times."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        super().__init__(0.1)
        self._starts, self._ends = [start_ns], [end_ns]

    def learn(self, lower_ns: int, upper_ns: int | None) -> None:
        pass


@dataclass
class Life:
    """One event: when it is published, what it is answered and how long after, from when on it is there, and when it
    is missing again; in nanoseconds."""

    sent_ns: int
    outcome: Outcome
    answer_after_ns: int
    visible_ns: int | None
    hidden: tuple[int, int] = (0, 0)
    ends: bool = False
    effects: int | None = None
    position: int | None = None

    def shows(self, at_ns: int) -> bool:
        if self.visible_ns is None or at_ns < self.visible_ns:
            return False
        return not self.hidden[0] <= at_ns < self.hidden[1]


@dataclass
class Beside:
    """Events in front of a tracker, and each in front of another that reads it alone but is told the same."""

    lives: Sequence[Life]
    rng: random.Random
    failing: float = 0.0
    limits: Sequence[int] = (500,)
    named: float = 0.0
    """Share of the answers that name a replica."""
    portions: float = 0.0
    """Share of the answers of which the second half has other times, or comes later."""
    close_ns: int | None = None
    resent: float = 0.0
    """Share of the events of which copies are sent."""
    plan: Mapping[str, Any] = field(default_factory=lambda: BULK)
    mixed: float = 0.0
    """Share of the answers in which each read has times of its own, and another replica's name, or failed."""
    profile: VisibilityProfile | None = None
    """What was learned, where the plan learns."""

    def __post_init__(self) -> None:
        plans = [{0: plan_of(**self.plan)}]
        self.tracker = Tracker(plans, 1, resent=[self.resent])
        self.alone = [Alone(plans, 1, resent=[self.resent]) for _ in self.lives]
        for one in self.alone:
            one._latency = [Borrowed(self.tracker._latency[0])]  # type: ignore[list-item]
            one._replicas = self.tracker._replicas
        if self.profile is not None:
            for tracker in (self.tracker, *self.alone):
                ((reader, plan, _, calm),) = tracker._plans[0]
                tracker._plans[0] = ((reader, plan, self.profile, calm),)
        self.turn = count()
        self.agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self.settled: dict[int, Observation] = {}
        self.reads = 0
        self.together = 0
        """Reads of events of which another one is read at the same time, in the same cohort."""

    def plan_at(self, at_ns: int, action: Callable[[int], None]) -> None:
        heappush(self.agenda, (at_ns, next(self.turn), action))

    def play(self) -> list[Observation]:
        """What the tracker says of each event, having said the same as those that read alone."""
        for seq, life in enumerate(self.lives):
            self.plan_at(life.sent_ns, lambda now, seq=seq: self.publish(seq, now))  # type: ignore[misc]
        now = 0
        while self.agenda or self.tracker.outstanding:
            due = self.tracker.next_due(0)
            reads = due is not None and (not self.agenda or due <= self.agenda[0][0])
            at_ns = max(now, due) if reads and due is not None else self.agenda[0][0]
            if self.close_ns is not None and at_ns >= self.close_ns:
                for tracker in (self.tracker, *self.alone):
                    tracker.close(self.close_ns)
                self.compare()
                break
            self.check_not_late(now, at_ns)
            now = at_ns
            if reads:
                self.read(now)
            else:
                heappop(self.agenda)[2](now)
                self.compare()
        return [self.settled[seq] for seq in sorted(self.settled)]

    def check_not_late(self, now: int, next_ns: int) -> None:
        """Nothing happens between these moments, and no event by itself would be read in between."""
        for seq, one in enumerate(self.alone):
            for item in one._items.values():
                (watch,) = item.watches
                if not (watch.reading or watch.done or watch.due < 0):
                    assert max(watch.due, now) >= next_ns, f"{seq} is read later than at {watch.due}"

    def publish(self, seq: int, now: int) -> None:
        for tracker in (self.tracker, self.alone[seq]):
            tracker.expect([event_of(seq, now)], now)
        self.plan_at(now + self.lives[seq].answer_after_ns, lambda at: self.answer(seq, at))

    def answer(self, seq: int, now: int) -> None:
        life = self.lives[seq]
        acked = None if life.outcome in (Outcome.IN_DOUBT, Outcome.UNSENT) else now
        sent = None if life.outcome is Outcome.UNSENT else life.sent_ns
        for tracker in (self.tracker, self.alone[seq]):
            tracker.settle([Receipt(seq, life.outcome, sent, acked)], now)

    def read(self, now: int) -> None:
        """All that is due is asked for, in as many requests as it takes."""
        asked: set[int] = set()
        assert self.tracker.backlog(0, now) > 0, "whoever may only read what waits would look for ever"
        while targets := self.tracker.due(0, now, self.rng.choice(self.limits)):
            seqs = [target.seq for target in targets]
            assert not asked & set(seqs)
            assert [target.correlation_id for target in targets] == [f"id-{seq}" for seq in seqs]
            asked.update(seqs)
            self.plan_answers(seqs, now)
        for seq, one in enumerate(self.alone):
            for item in one._items.values():
                (watch,) = item.watches
                if watch.due <= now and watch.due >= 0 and not watch.reading and not watch.done:
                    assert seq in asked, f"event {seq} would be read at {watch.due} by itself, and isn't at {now}"
                if seq in asked:
                    watch.reading = True
        self.reads += len(asked)
        for cohort in self.tracker._queues[0].begun.values():
            if len(cohort.members) > 1 and asked.issuperset(cohort.members):
                self.together += len(cohort.members)

    def plan_answers(self, seqs: list[int], now: int) -> None:
        rng = self.rng
        looked, ends = now + rng.randrange(MS), now + MS + rng.randrange(2 * MS)
        failed, name = rng.random() < self.failing, rng.choice("rs") if rng.random() < self.named else None
        reads = [self.look(seq, now, looked, ends, name) for seq in seqs]
        if failed:
            reads = [Read(seq, FAILED, now, ends) for seq in seqs]
        if rng.random() < self.mixed:
            reads = [self.another(read, looked) for read in reads]
        rng.shuffle(reads)
        if rng.random() < self.portions:
            half = len(reads) // 2
            if rng.random() < 0.5:
                reads[half:] = [self.look(read.seq, now + 1, looked, ends, name) for read in reads[half:]]
            else:
                self.plan_at(ends + MS, lambda at, later=reads[half:]: self.observe(later, at))  # type: ignore[misc]
                reads = reads[:half]
        self.plan_at(ends, lambda at: self.observe(reads, at))

    def another(self, read: Read, looked: int) -> Read:
        """The same read, or another one of the same event that was begun with it."""
        rng = self.rng
        name = rng.choice([None, "r", "s"]) if self.named else None
        start, end = rng.choice([(read.start_ns, read.end_ns)] * 3 + [(read.start_ns - 1, read.end_ns + 1)])
        if rng.random() < 0.1:
            return Read(read.seq, FAILED, start, end, replica=name)
        return rng.choice([read, self.look(read.seq, start, looked, end, name)])

    def look(self, seq: int, start: int, looked: int, ends: int, name: str | None) -> Read:
        life = self.lives[seq]
        if life.shows(looked):
            later = looked > life.sent_ns + 2 * S  # A copy had its effect, and it is in another place.
            effects = None if life.effects is None else life.effects + later
            position = None if life.position is None else life.position + later
            return Read(seq, PRESENT, start, ends, effects, name, position)
        return Read(seq, ENDED if life.ends and looked > life.sent_ns + S else ABSENT, start, ends, replica=name)

    def observe(self, reads: Sequence[Read], now: int) -> None:
        self.tracker.observe(0, reads, now)
        for read in reads:
            self.alone[read.seq].observe(0, [read], now)

    def compare(self) -> None:
        together = self.tracker.take()
        by_themselves = [seen for one in self.alone for seen in one.take()]
        assert together == sorted(by_themselves, key=lambda seen: (seen.settled_ns, seen.seq))
        for seen in together:
            assert self.settled.setdefault(seen.seq, seen) is seen


def played(seed: int) -> Beside:
    """What a seed makes of all that can be different."""
    rng = random.Random(seed)

    def some(*chosen: Any) -> Any:
        return rng.choice(chosen)

    visible_ns = rng.randrange(S)
    lives = [
        Life(
            sent_ns=rng.randrange(4) * MS // 2,
            outcome=some(*[ACCEPTED] * 40, *Outcome),
            answer_after_ns=rng.randrange(some(*[MS] * 12, 6 * MS, 60 * MS, 4 * S)),
            visible_ns=some(*[None] * 3, rng.randrange(60 * MS), rng.randrange(S), rng.randrange(3 * S), visible_ns),
            hidden=some(*[(0, 0)] * 6, (rng.randrange(S), S + rng.randrange(4 * S))),
            ends=rng.random() < 0.05,
            effects=some(None, None, 1, 2),
            position=some(None, 5),
        )
        for _ in range(16)
    ]
    learns, listed, named = rng.random() < 0.3, rng.random() < 0.2, some(0.0, 0.0, 0.1, 0.9, 1.0)
    # Where one answer makes names known in the middle, what was told before that counts less for some.
    mixes = listed or not named
    plan = {
        **BULK, "resent_for_ns": some(0, S), "max_gap_ns": some(None, None, 50 * MS), "learns": learns,
        "replicas": ("r", "s") if listed else (),
        "pins": some((), (("acked", 30 * MS),), (("acked", 71 * MS), ("intended", 333 * MS))),
    }  # fmt: skip
    play = Beside(
        lives, rng, failing=some(0.0, 0.0, 0.1, 1.0), limits=some((500,), (500,), (1, 3, 500)),
        named=named, portions=some(0.0, 0.0, 0.3),
        close_ns=some(None, None, rng.randrange(5 * S)), resent=some(0.0, 0.0, 0.3), plan=plan,
        mixed=some(0.0, 0.0, 0.3) if mixes else 0.0, profile=Taught(rng, plan_of().resolution) if learns else None,
    )  # fmt: skip
    for seen in play.play():
        life = lives[seen.seq]
        if life.visible_ns is not None and life.hidden == (0, 0) and play.named == 0:
            lower, upper = seen.stable_lower_ns, seen.stable_upper_ns
            assert lower is None or lower < life.visible_ns
            assert upper is None or life.visible_ns <= upper
    return play


@pytest.mark.parametrize("first", [pytest.param(n, marks=pytest.mark.long if n else ()) for n in range(0, 3000, 100)])
def test_the_same_reads_come_to_the_same_and_no_read_is_later_than_for_an_event_by_itself(first: int) -> None:
    """Whatever is acked, answered, refused, missed again, named and broken off, and when."""
    plays = [played(seed) for seed in range(first, first + 100)]
    assert sum(play.together for play in plays) > sum(play.reads for play in plays) / 4
    met = {seen.state for play in plays for seen in play.settled.values()}
    assert met == set(State)


def test_where_reads_are_left_out_up_to_between_two_events_of_a_tick_none_is_read_later() -> None:
    lives = [Life(0, ACCEPTED, acked_ns, None) for acked_ns in (1, MS, 2 * MS)]
    plan = {**BULK, "learns": True}
    for end_ns in (84_600_000, 84_900_000, 96_500_000):
        Beside(lives, random.Random(1), plan=plan, profile=LeftOut(30 * MS, end_ns)).play()


def test_of_an_answer_that_tells_of_an_event_twice_the_first_counts_and_the_others_wait_for_theirs() -> None:
    tracker = Tracker([{0: plan_of(**BULK)}], 1)
    tracker.expect([event_of(seq) for seq in range(2)], 0)
    tracker.settle([Receipt(seq, ACCEPTED, 0, MS) for seq in range(2)], MS)
    assert [target.seq for target in tracker.due(0, 22 * MS, 9)] == [0, 1]
    tracker.observe(0, [Read(0, PRESENT, 22 * MS, 23 * MS), Read(0, ABSENT, 22 * MS, 23 * MS)], 23 * MS)
    assert not tracker.due(0, 40 * MS, 9)
    tracker.observe(0, [Read(1, PRESENT, 22 * MS, 41 * MS)], 41 * MS)
    tracker.close(42 * MS)
    first, second = tracker.take()
    assert (first.first_lower_ns, first.first_upper_ns) == (None, 23 * MS)
    assert (second.first_lower_ns, second.first_upper_ns) == (None, 41 * MS)


def test_how_long_a_read_of_many_took_counts_for_when_it_has_to_begin_to_end_before_a_limit() -> None:
    tracker = Tracker([{0: plan_of(**BULK, resolution=0.5, pins=(("acked", 40 * MS),))}], 1)
    tracker.expect([event_of(seq) for seq in range(2)], 0)
    tracker.settle([Receipt(seq, ACCEPTED, 0, MS) for seq in range(2)], MS)
    tracker.due(0, 22 * MS, 9)
    tracker.observe(0, [Read(seq, ABSENT, 22 * MS, 27 * MS) for seq in range(2)], 27 * MS)
    assert tracker.next_due(0) == 41 * MS - (5 + 4 * 5 // 2) * MS - TICK, "a mean of 5 ms, and half of it"


def test_more_than_one_request_holds_share_what_they_are_asked() -> None:
    tracker = Tracker([{0: plan_of(**BULK)}], 1)
    tracker.expect([event_of(seq) for seq in range(250)], 0)
    tracker.settle([Receipt(seq, ACCEPTED, 0, MS) for seq in range(250)], MS)
    assert (tracker.backlog(0, 21 * MS), tracker.backlog(0, 22 * MS)) == (0, 250)
    assert tracker.next_due(0) == 22 * MS, "those that nobody was left in after the ack aren't due"
    asked = [tracker.due(0, 22 * MS, 100) for _ in range(4)]
    assert [len(targets) for targets in asked] == [100, 100, 50, 0]
    assert {target.seq for targets in asked for target in targets} == set(range(250))


def lives(most: int) -> st.SearchStrategy[list[Life]]:
    few_ms = st.integers(0, 12).map(lambda halves: halves * MS // 2)
    return st.lists(
        st.builds(
            Life,
            sent_ns=few_ms,
            outcome=st.sampled_from([ACCEPTED] * 8 + list(Outcome)),
            answer_after_ns=few_ms | st.integers(0, 60 * MS) | st.integers(0, 4 * S),
            visible_ns=st.none() | st.integers(0, 60 * MS) | st.integers(0, 3 * S),
            hidden=st.just((0, 0)) | st.tuples(st.integers(0, S), st.integers(S, 5 * S)),
            ends=st.sampled_from([False] * 5 + [True]),
            effects=st.sampled_from([None, None, 1, 2]),
            position=st.none() | st.integers(1, 9),
        ),
        min_size=1,
        max_size=most,
    )


def pins() -> st.SearchStrategy[tuple[tuple[str, int], ...]]:
    one = st.tuples(st.sampled_from(["acked", "intended"]), st.sampled_from([30 * MS, 71 * MS, 333 * MS, 1700 * MS]))
    return st.lists(one, max_size=2, unique=True).map(tuple)


@settings(max_examples=40, deadline=None)
@given(
    lives(14), st.integers(0, 2**32), st.sampled_from([0.0, 0.0, 0.3, 1.0]), st.sampled_from([(500,), (1, 3, 500)]),
    st.sampled_from([0.0, 0.0, 0.1, 0.9, 1.0]), st.sampled_from([0.0, 0.5]), st.none() | st.integers(0, 5 * S),
    pins(),
)  # fmt: skip
def test_whatever_is_found_to_be_different_comes_to_the_same(
    planned: list[Life], seed: int, failing: float, limits: Sequence[int], named: float, portions: float,
    close_ns: int | None, pinned: tuple[tuple[str, int], ...],
) -> None:  # fmt: skip
    plan = {**BULK, "pins": pinned}
    play = Beside(planned, random.Random(seed), failing, limits, named, portions, close_ns, plan=plan)
    settled = play.play()
    assert [seen.seq for seen in settled] == [
        seq for seq, life in enumerate(planned) if close_ns is None or life.sent_ns < close_ns
    ]
