"""The tracker and made-up read models, in whatever order: brackets hold, and every event is settled once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Observation, Read, Receipt
from evload.tracking.tracker import Tracker
from tests.rigs.following import event_of, plan_of

MS = 1_000_000
S = 1_000 * MS
ABSENT, PRESENT, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED


@dataclass
class Life:
    """What is planned for one event. Times from its publish; `visible` and `hidden` per replica."""

    outcome: Outcome
    answer_after_ns: int
    visible: Sequence[int | None]
    hidden: tuple[int, int] | None
    ended: int | None = None
    """From when on reads that don't show it say that it came to another end."""
    sent_ns: int = 0

    def shows(self, replica: int, at_ns: int) -> bool:
        since = self.visible[replica]
        if since is None or at_ns - self.sent_ns < since:
            return False
        return self.hidden is None or not self.hidden[0] <= at_ns - self.sent_ns < self.hidden[1]

    def has_ended(self, at_ns: int) -> bool:
        return self.ended is not None and at_ns - self.sent_ns >= self.ended

    def rises(self) -> list[int]:
        """When some replica begins to show it."""
        times = [since for since in self.visible if since is not None]
        if self.hidden is not None and times:
            times.append(self.hidden[1])
        return [self.sent_ns + time for time in times]


@dataclass
class ReadModel:
    """A read model in front of which the tracker is played through, to the end or to `close_ns`."""

    lives: Sequence[Life]
    names: Sequence[str | None]
    rng: random.Random
    failing: float = 0.0
    close_ns: int | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)

    def play(self) -> list[Observation]:
        known = tuple(name for name in self.names if name is not None)
        tracker = Tracker([{0: plan_of(replicas=known, **self.plan)}], 1)
        turn = count()
        agenda: list[tuple[int, int, Callable[[int], None]]] = []
        settled: list[Observation] = []
        for seq, life in enumerate(self.lives):

            def publish(now: int, seq: int = seq, life: Life = life) -> None:
                life.sent_ns = now
                tracker.expect([event_of(seq, now)], now)
                heappush(agenda, (now + life.answer_after_ns, next(turn), lambda at: answer(at, seq, life)))

            heappush(agenda, (seq * 3 * MS, next(turn), publish))

        def answer(now: int, seq: int, life: Life) -> None:
            answered = life.outcome in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED)
            sent = None if life.outcome is Outcome.UNSENT else life.sent_ns
            tracker.settle([Receipt(seq, life.outcome, sent, now if answered else None)], now)

        def read(now: int) -> None:
            targets = tracker.due(0, now, self.rng.choice((1, 7, 500)))
            if not targets:
                return
            looked, ends = now + self.rng.randrange(2 * MS), now + 2 * MS + self.rng.randrange(2 * MS)
            replica = self.rng.randrange(len(self.names))
            failed = self.rng.random() < self.failing
            reads = []
            for target in targets:
                life = self.lives[target.seq]
                absent = Seen.ENDED if life.has_ended(looked) else ABSENT
                seen = FAILED if failed else PRESENT if life.shows(replica, looked) else absent
                reads.append(Read(target.seq, seen, now, ends, replica=None if failed else self.names[replica]))
            self.rng.shuffle(reads)
            heappush(agenda, (ends, next(turn), lambda at: tracker.observe(0, reads, at)))

        now = 0
        while agenda or tracker.outstanding:
            due = tracker.next_due(0)
            if due is not None and (not agenda or due <= agenda[0][0]):
                now = max(now, due)
                if self.close_ns is None or now < self.close_ns:
                    read(now)
                    continue
            if self.close_ns is not None and (not agenda or agenda[0][0] >= self.close_ns):
                tracker.close(self.close_ns)
                settled += tracker.take()
                break
            now, _, action = heappop(agenda)
            action(now)
            settled += tracker.take()
        assert tracker.outstanding == tracker.unanswered == 0
        return settled


def lives(
    replicas: int, *, hidden: bool, outcomes: Sequence[Outcome], ended: bool = False
) -> st.SearchStrategy[list[Life]]:
    times = st.integers(0, 3 * S) | st.integers(0, 40 * MS)
    return st.lists(
        st.builds(
            Life,
            outcome=st.sampled_from(outcomes),
            answer_after_ns=st.integers(0, 12 * S) | st.integers(0, 60 * MS),
            visible=st.lists(times, min_size=replicas, max_size=replicas) | st.just([None] * replicas),
            hidden=st.tuples(st.integers(3 * S, 4 * S), st.integers(4 * S, 20 * S)) if hidden else st.none(),
            ended=st.none() | st.integers(0, 5 * S) if ended else st.none(),
        ),
        min_size=1,
        max_size=8,
    )


QUICK: Mapping[str, Any] = {"deadline_ns": 4 * S, "confirm_over_ns": 2 * S, "confirm_reads": 3}
ANY = list(Outcome)
SENT = [Outcome.ACCEPTED, Outcome.IN_DOUBT]


@settings(max_examples=60, deadline=None)
@given(
    lives(2, hidden=True, outcomes=ANY, ended=True), st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 1.0]),
    st.none() | st.integers(0, 20 * S), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([("a", "b"), (None, None)]),
)  # fmt: skip
def test_every_event_is_settled_once_whatever_comes_in_which_order(
    planned: list[Life], seed: int, failing: float, close_ns: int | None, sample: float, names: Sequence[str | None]
) -> None:
    model = ReadModel(planned, names, random.Random(seed), failing, close_ns, {**QUICK, "sample": sample})
    settled = model.play()
    published = [seq for seq in range(len(planned)) if close_ns is None or seq * 3 * MS < close_ns]
    assert sorted(seen.seq for seen in settled) == published
    decided = {
        Outcome.REJECTED: State.REJECTED, Outcome.RETURNED: State.RETURNED, Outcome.UNSENT: State.UNSENT,
        Outcome.IN_DOUBT: State.IN_DOUBT,
    }  # fmt: skip
    followed = {State.VISIBLE, State.ENDED, State.LOST, State.REGRESSED, State.UNOBSERVED}
    for seen in settled:
        life = planned[seen.seq]
        answered = close_ns is None or life.sent_ns + life.answer_after_ns < close_ns
        if not answered:
            assert seen.state is State.IN_DOUBT
        elif life.outcome is Outcome.ACCEPTED:
            assert seen.state in (followed if close_ns is None else followed | {State.PENDING})
            assert seen.acked_ns == life.sent_ns + life.answer_after_ns
        else:
            assert seen.state is decided[life.outcome]
        if seen.state is State.LOST:
            last = seen.stable_lower_ns
            assert last is not None
            assert seen.acked_ns is not None
            assert last >= seen.acked_ns + QUICK["deadline_ns"], "lost needs a read at or after the deadline"
        if seen.state is State.ENDED:
            assert life.ended is not None
            assert (seen.stable_lower_ns or life.sent_ns - 1) < life.sent_ns + life.ended <= seen.settled_ns
            assert seen.stable_upper_ns is None
        if failing == 1.0:
            assert seen.state not in (State.VISIBLE, State.ENDED, State.LOST, State.REGRESSED)
            assert (seen.first_lower_ns, seen.stable_upper_ns) == (None, None)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3).flatmap(lambda n: lives(n, hidden=False, outcomes=SENT)), st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3]), st.none() | st.integers(0, 10 * S),
)  # fmt: skip
def test_brackets_contain_the_truth(planned: list[Life], seed: int, failing: float, close_ns: int | None) -> None:
    """Named replicas, and a single one without a name: first and stable contain what they are about."""
    replicas = {len(life.visible) for life in planned}.pop()
    names = ["a", "b", "c"][:replicas] if replicas > 1 or seed % 2 else [None]
    for seen in ReadModel(planned, names, random.Random(seed), failing, close_ns, QUICK).play():
        life = planned[seen.seq]
        rises = life.rises()
        low, high = seen.first_lower_ns or life.sent_ns - 1, seen.first_upper_ns
        stable_low, stable_high = seen.stable_lower_ns or life.sent_ns - 1, seen.stable_upper_ns
        if not rises:
            assert high is None
            assert stable_high is None
            continue
        assert low < min(rises)
        assert stable_low < max(rises)
        assert high is None or min(rises) <= high
        assert stable_high is None or max(rises) <= stable_high
        assert seen.regressions == 0
        if seen.state is State.VISIBLE:
            assert high is not None
            assert stable_high is not None


@settings(max_examples=60, deadline=None)
@given(lives(2, hidden=True, outcomes=SENT), st.integers(0, 2**32), st.sampled_from([("a", "b"), (None, None)]))
def test_a_stable_bracket_contains_a_moment_from_which_reads_found_it(
    planned: list[Life], seed: int, names: Sequence[str | None]
) -> None:
    """Also where events disappear, and where replicas can't be told apart: within (L, R] one began to show it.

    Without names more can't be said: that it is the last one to do so would need to know who answered.
    """
    for seen in ReadModel(planned, names, random.Random(seed), 0.0, None, QUICK).play():
        life = planned[seen.seq]
        low, high = seen.stable_lower_ns or life.sent_ns - 1, seen.stable_upper_ns
        rises = life.rises()
        if rises:
            assert low < max(rises)
            assert seen.first_upper_ns is None or min(rises) <= seen.first_upper_ns
            if high is not None:
                assert any(low < rise for rise in rises)
                assert min(rises) <= high
        if seen.regressions:
            assert life.hidden is not None or names[0] is None
        if names[0] is not None and high is not None:
            assert any(low < rise <= high for rise in rises)


def test_outcomes_are_spread_over_all_states() -> None:
    """The random plays above are worth something: together they meet every state."""
    met: Counter[State] = Counter()
    for seed in range(60):
        rng = random.Random(seed)
        planned = [
            Life(
                rng.choice(ANY), rng.randrange(2 * S),
                [rng.choice((None, rng.randrange(3 * S))), rng.choice((None, rng.randrange(3 * S)))],
                (3 * S, rng.choice((4 * S, 90 * S))) if rng.random() < 0.4 else None,
                rng.randrange(3 * S) if rng.random() < 0.3 else None,
            )
            for _ in range(6)
        ]  # fmt: skip
        close_ns = rng.choice((None, None, 2 * S))
        met.update(s.state for s in ReadModel(planned, "ab", rng, rng.choice((0, 0.9)), close_ns, QUICK).play())
    assert met.keys() == set(State)
