"""The read budget: never more reads in a second than allowed, and a stretch that settles."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.tracking.budget import ReadBudget

MS = 1_000_000
S = 1_000 * MS

CALLS = st.lists(
    st.tuples(st.integers(0, 400 * MS) | st.integers(0, 3 * MS), st.integers(0, 2_000)), min_size=1, max_size=200
)


@given(st.fractions(Fraction(1, 5), 5_000), CALLS)
def test_no_second_sees_more_reads_than_the_budget(per_second: Fraction, calls: list[tuple[int, int]]) -> None:
    budget = ReadBudget(per_second)
    started: list[tuple[int, int]] = []
    now = 0
    for pause, wanted in calls:
        now += pause
        started.append((now, budget.allow(now, wanted)))
    most = max(Fraction(1), per_second)
    for since, _ in started:
        assert sum(reads for at, reads in started if since <= at < since + S) <= most
    assert budget.busiest <= most


@pytest.mark.parametrize("per_second", [1, 2, 7, 20, 99, 1_000])
def test_nor_does_a_second_in_which_every_read_starts_as_soon_as_it_may(per_second: int) -> None:
    budget = ReadBudget(per_second)
    started: list[int] = []
    now = 5 * S
    while now < 8 * S:
        started += [now] * budget.allow(now, 1_000_000)
        now = budget.next_ns(now)
    for first, past in zip(started, started[per_second:], strict=False):
        assert past >= first + S


@given(st.integers(1, 5_000), CALLS, st.integers(1, 50))
def test_reads_may_start_when_it_says_and_not_a_nanosecond_earlier(
    per_second: int, calls: list[tuple[int, int]], reads: int
) -> None:
    budget = ReadBudget(per_second)
    now = 0
    for pause, wanted in calls:
        now += pause
        budget.allow(now, wanted)
        then = budget.next_ns(now, reads)
        assert then >= now
        together = min(reads, max(1, per_second // 20))
        if then > now:
            early = ReadBudget(per_second)
            early.__dict__.update(budget.__dict__)
            assert early.allow(then - 1, together) < together
        late = ReadBudget(per_second)
        late.__dict__.update(budget.__dict__)
        assert late.allow(then, together) == together


@pytest.mark.parametrize("per_second", [1, 2, 5, 19, 20, 300, 10_000])
def test_nearly_all_of_the_budget_can_be_used(per_second: int) -> None:
    budget = ReadBudget(per_second)
    used = sum(budget.allow(at, 1_000_000) for at in range(0, 20 * S, MS))
    assert 0.94 * 20 * per_second <= used <= 20 * per_second + per_second


def test_a_budget_below_one_a_second_is_kept_too() -> None:
    budget = ReadBudget(Fraction(1, 4))
    assert [at // S for at in range(0, 13 * S, S) if budget.allow(at, 9)] == [0, 4, 8, 12]


def test_without_a_limit_everything_may_be_read_and_the_gaps_stay() -> None:
    budget = ReadBudget(None)
    assert [budget.allow(at * MS, 10_000) for at in range(1_000)] == [10_000] * 1_000
    assert (budget.stretch, budget.widest, budget.busiest) == (1.0, 1.0, 10_000_000)
    assert budget.next_ns(5, 100) == 5


def test_only_what_can_be_started_is_spent() -> None:
    budget = ReadBudget(100)
    assert [budget.allow(0, 50, at_most) for at_most in (2, 2, 2)] == [2, 2, 1]


def test_the_busiest_second_is_a_sliding_one() -> None:
    budget = ReadBudget(None)
    for at, reads in ((900, 9), (1_900, 7), (2_800, 6), (5_000, 12)):
        budget.allow(at * MS, reads)
    assert budget.busiest == 13


@pytest.mark.parametrize(("first_ms", "second_ms", "busiest"), [(99, 1_000, 7), (100, 1_099, 12), (105, 1_050, 12)])
def test_the_seconds_that_are_compared_begin_at_whole_tenths(first_ms: int, second_ms: int, busiest: int) -> None:
    budget = ReadBudget(None)
    budget.allow(first_ms * MS, 5)
    budget.allow(second_ms * MS, 7)
    assert budget.busiest == busiest


def test_what_was_read_in_each_tenth_of_a_second_is_told_once_when_it_is_over() -> None:
    budget = ReadBudget(None)
    for at, reads in ((5_000, 9), (5_099, 1), (5_100, 7), (5_350, 6), (5_351, 0)):
        budget.allow(at * MS, reads)
    assert budget.take_slots(5_099 * MS) == []
    assert budget.take_slots(5_100 * MS) == [(5_000 * MS, 10)]
    assert budget.take_slots(5_399 * MS) == [(5_100 * MS, 7)]
    budget.allow(5_399 * MS, 2)
    assert budget.take_slots(5_400 * MS) == [(5_300 * MS, 8)]
    assert budget.take_slots(9_000 * MS) == []


def test_what_is_read_in_a_tenth_that_was_told_already_is_told_by_itself() -> None:
    budget = ReadBudget(None)
    for reads in (3, 4):
        assert budget.allow(5_010 * MS, reads) == reads
        assert budget.take_slots(6_000 * MS) == [(5_000 * MS, reads)]
    assert budget.busiest == 7


def test_gaps_stay_wide_for_two_seconds_after_the_core_was_busy() -> None:
    """What is said of it is a second old when it is said again."""
    budget = ReadBudget(100)
    budget.strained(10 * S, 1.4)
    assert budget.stretch == pytest.approx(4.0)
    stretches = {}
    for step in range(1, 20):
        at = 10 * S + step * S // 4
        budget.allow(at, 1)
        stretches[step / 4] = budget.stretch
    assert [since for since, stretch in stretches.items() if stretch == pytest.approx(4.0)] == [
        0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75,
    ]  # fmt: skip
    assert budget.widest == pytest.approx(4.0)


# -- the stretch ----------------------------------------------------------------------------------------------


class Reader:
    """Events that are each read again after a gap times the stretch. Notes the reads and their lateness."""

    def __init__(self, budget: ReadBudget, gaps: Iterable[int]) -> None:
        self.budget = budget
        self.gaps = list(gaps)
        rng = random.Random(1)
        self._queue = [(int(rng.random() * gap), number) for number, gap in enumerate(self.gaps)]
        heapq.heapify(self._queue)
        self._waiting: list[tuple[int, int]] = []
        self.now = 0

    def drive(self, lasting: int) -> tuple[float, int]:
        """(reads per second, how late the latest read was)."""
        reads, latest, end = 0, 0, self.now + lasting
        while self.now < end:
            while self._queue and self._queue[0][0] <= self.now:
                self._waiting.append(heapq.heappop(self._queue))
            if self._waiting:
                allowed = self.budget.allow(self.now, len(self._waiting))
                for due, number in self._waiting[:allowed]:
                    latest = max(latest, self.now - due)
                    heapq.heappush(self._queue, (self.now + int(self.gaps[number] * self.budget.stretch), number))
                del self._waiting[:allowed]
                reads += allowed
            self.now += 2 * MS
        return reads * S / lasting, latest


@pytest.mark.parametrize(("events", "gap", "limit"), [(300, 100 * MS, 1_000), (3_000, S, 1_000), (60, 400 * MS, 50)])
def test_a_budget_of_a_third_of_the_demand_is_used_and_reads_are_hardly_late(
    events: int, gap: int, limit: int
) -> None:
    budget = ReadBudget(limit)
    reader = Reader(budget, [gap] * events)
    reader.drive(60 * S)
    stretches = []
    for _ in range(6):
        rate, latest = reader.drive(5 * S)
        assert 0.7 * limit <= rate <= limit
        assert latest <= max(gap / 2, 200 * MS)
        stretches.append(budget.stretch)
    assert min(stretches) > 2
    assert max(stretches) < 1.3 * min(stretches), "it has settled"
    assert budget.widest < 6, "without a large overshoot"


def test_when_there_is_less_to_read_the_gaps_narrow_again() -> None:
    budget = ReadBudget(1_000)
    reader = Reader(budget, [100 * MS] * 300)
    reader.drive(30 * S)
    wide = budget.stretch
    reader.gaps = [S] * 300
    reader.drive(5 * S)
    assert 1.0 < budget.stretch < wide, "slowly"
    reader.drive(60 * S)
    assert budget.stretch == 1.0
    assert budget.widest >= wide


def test_a_demand_within_the_budget_is_not_stretched() -> None:
    budget = ReadBudget(1_000)
    reader = Reader(budget, [100 * MS] * 85)
    reader.drive(20 * S)
    assert budget.widest == 1.0


@pytest.mark.parametrize(
    ("per_second", "interval_ns", "waiting", "stretched"),
    [
        (1_000, 1_051_525, 18, False),
        (1_000, 1_051_525, 20, True),
        (10, 100 * MS, 4, False),
        (10, 100 * MS, 5, True),
    ],
)
def test_reads_that_wait_for_long_are_too_many(
    per_second: int, interval_ns: int, waiting: int, stretched: bool
) -> None:
    """Longer than 20 ms, and than four reads take. A read goes out as soon as it may, and so many stay behind it."""
    budget, burst = ReadBudget(per_second), max(1, per_second // 20)
    assert budget.allow(0, burst + waiting) == burst
    for at in range(interval_ns, 60 * S, interval_ns):
        assert budget.allow(at, 1 + waiting) == 1
    assert (budget.widest > 1) is stretched


def test_a_small_budget_that_just_suffices_is_not_stretched_for_reads_that_fall_together() -> None:
    budget = ReadBudget(10)
    reader = Reader(budget, [(900 + 25 * number) * MS for number in range(9)])
    reader.drive(120 * S)
    assert budget.widest == 1.0


def test_a_demand_that_no_stretch_can_meet_stretches_only_so_far() -> None:
    budget = ReadBudget(10)
    for at in range(0, 600 * S, 50 * MS):
        budget.allow(at, 1_000)
    assert budget.stretch == budget.widest == 16.0


# -- refusals -------------------------------------------------------------------------------------------------


def test_a_refusal_holds_reads_back_and_doubles_the_gaps() -> None:
    budget = ReadBudget(None)
    budget.throttled(S, 3 * S)
    assert budget.stretch == 2.0
    assert budget.paused_until_ns == 4 * S
    assert budget.next_ns(2 * S) == 4 * S
    assert budget.allow(4 * S - 1, 5) == 0
    assert budget.allow(4 * S, 5) == 5


def test_refusals_of_reads_that_were_on_their_way_make_it_no_worse() -> None:
    budget = ReadBudget(None)
    budget.throttled(S, 0)
    for _ in range(63):
        budget.throttled(S + MS, 0)
    assert (budget.stretch, budget.paused_until_ns) == (2.0, S + 100 * MS)
    budget.throttled(S + 2 * MS, 500 * MS)
    assert budget.paused_until_ns == S + 502 * MS
    budget.throttled(S + 600 * MS, 0)
    assert budget.stretch == 2.0


def test_pauses_double_to_half_a_minute_and_start_anew_after_a_good_while() -> None:
    budget = ReadBudget(None)
    now, pauses = 0, []
    for _ in range(12):
        budget.throttled(now, 0)
        pauses.append(budget.paused_until_ns - now)
        now = budget.paused_until_ns
    assert pauses[:5] == [100 * MS, 200 * MS, 400 * MS, 800 * MS, 1_600 * MS]
    assert pauses[-1] == 30 * S
    budget.answered(now + S, MS, 1)
    budget.throttled(now + S, 0)
    assert budget.paused_until_ns == now + 31 * S
    now += 60 * S
    budget.answered(now, MS, 1)
    budget.throttled(now, 0)
    assert budget.paused_until_ns == now + 100 * MS


def test_a_read_model_that_asks_for_an_hour_gets_half_a_minute() -> None:
    budget = ReadBudget(None)
    budget.throttled(0, 3_600 * S)
    assert budget.paused_until_ns == 30 * S
    budget.throttled(10 * S, 3_600 * S)
    assert budget.paused_until_ns == 40 * S


def test_what_a_refusal_widened_shrinks_only_when_it_has_been_well_for_a_while() -> None:
    budget = ReadBudget(None)
    budget.throttled(0, 0)
    for at in range(0, 10 * S, 100 * MS):
        budget.allow(at, 1)
    assert budget.stretch == 2.0
    for at in range(10 * S, 15 * S, 100 * MS):
        budget.allow(at, 1)
    assert 1.2 < budget.stretch < 1.9
    for at in range(15 * S, 40 * S, 100 * MS):
        budget.allow(at, 1)
    assert (budget.stretch, budget.widest) == (1.0, 2.0)


def test_the_gaps_narrow_by_a_fiftieth_in_a_quarter_of_a_second() -> None:
    budget = ReadBudget(None)
    budget.throttled(0, 0)
    wary = 100 * MS + 10 * S
    budget.allow(0, 0)
    budget.allow(wary - 1, 0)
    assert budget.stretch == 2.0
    for step in range(1, 11):
        budget.allow(wary - 1 + step * S // 4, 0)
        assert budget.stretch == pytest.approx(2 * 0.98**step)


def test_gaps_narrow_slowly_where_nearly_as_much_is_read_as_may_be() -> None:
    """A step of a quarter of a second makes up for a tenth, in logarithms, of what is missing from 85 % to 80 %."""
    budget = ReadBudget(10)
    budget.throttled(0, 0)
    wary = 100 * MS + 10 * S
    stretches = []
    for at in range(0, wary + S, 125 * MS):
        assert budget.allow(at, 1) == (at >= 100 * MS)
        stretches.append(budget.stretch)
    *_, before, _, after = stretches
    assert 1.9 < after < before < 2.0
    assert after / before == pytest.approx((0.8 / 0.85) ** 0.1, abs=1e-4)


class Refusing(ReadBudget):
    """Of a read model that lets so many reads a second through, with a bucket of as many."""

    def __init__(self, per_second: float) -> None:
        super().__init__(None)
        self.per_second = self.tokens = per_second
        self.last = self.refused = self.served = 0

    def allow(self, now_ns: int, wanted: int, at_most: int | None = None) -> int:
        allowed = super().allow(now_ns, wanted, at_most)
        self.tokens = min(self.per_second, self.tokens + self.per_second * (now_ns - self.last) / S)
        self.last = now_ns
        for _ in range(allowed):
            if self.tokens >= 1:
                self.tokens -= 1
                self.served += 1
            else:
                self.refused += 1
                self.throttled(now_ns, 0)
        return allowed


def test_a_read_model_that_refuses_beyond_a_rate_is_not_driven_to_and_fro() -> None:
    budget = Refusing(300)
    reader = Reader(budget, [100 * MS] * 100)
    reader.drive(20 * S)
    budget.refused = budget.served = 0
    stretches = []
    for _ in range(100):
        reader.drive(S)
        stretches.append(budget.stretch)
    assert budget.served > 0.4 * 300 * 100
    assert budget.refused < 0.02 * budget.served
    assert sum(after > 1.5 * before for before, after in pairwise(stretches)) <= 6
    assert min(stretches) > 2
    assert max(stretches) <= 8


# -- slow answers ---------------------------------------------------------------------------------------------


def test_answers_that_take_three_times_as_long_as_the_best_widen_the_gaps() -> None:
    rng = random.Random(3)
    budget = ReadBudget(None)
    now = 0

    def answers(lasting: int, latency: int) -> None:
        nonlocal now
        for _ in range(lasting // (20 * MS)):
            now += 20 * MS
            budget.answered(now, int(latency * rng.uniform(0.5, 1.5)), 10)

    answers(20 * S, 20 * MS)
    answers(20 * S, 45 * MS)
    assert budget.widest == 1.0, "twice as long is no reason"
    answers(5 * S, 200 * MS)
    assert budget.stretch > 2
    answers(10 * S, 200 * MS)
    assert budget.widest < 9
    answers(60 * S, 20 * MS)
    assert budget.stretch == 1.0


@pytest.mark.parametrize(("slow_ms", "widened"), [(58, False), (64, True)])
def test_slow_is_three_times_as_long_as_the_best(slow_ms: int, widened: bool) -> None:
    budget = ReadBudget(None)
    for at in range(0, 2 * S, MS):
        budget.answered(at, (20 if at < S else slow_ms) * MS, 1)
    assert (budget.widest > 1) is widened


def test_slow_answers_widen_by_a_tenth_at_a_time_and_about_eightfold_at_most() -> None:
    budget = ReadBudget(None)
    seen = set()
    for at in range(0, 20 * S, MS):
        budget.answered(at, (20 if at < S else 400) * MS, 1)
        seen.add(round(budget.stretch, 9))
    assert sorted(seen) == [round(1.1**step, 9) for step in range(23)]


def test_what_is_slow_for_long_becomes_the_rule() -> None:
    budget = ReadBudget(None)
    for at in range(0, 10 * S, 20 * MS):
        budget.answered(at, 20 * MS, 1)
    for at in range(10 * S, 300 * S, 20 * MS):
        budget.answered(at, 100 * MS, 1)
    assert budget.widest > 4
    assert budget.stretch == 1.0


def test_large_reads_take_longer_than_small_ones_and_that_is_no_slowness() -> None:
    budget = ReadBudget(None)
    for at in range(0, 20 * S, 10 * MS):
        events = 1 if at < 10 * S else 1_000
        budget.answered(at, 10 * MS + events * MS // 10, events)
    assert budget.widest == 1.0


def test_one_answer_that_took_ages_or_jitter_far_below_the_gaps_changes_nothing() -> None:
    budget = ReadBudget(None)
    for number in range(2_000):
        latency = 5 * S if number == 1_000 else MS // 4 if number < 1_500 else 3 * MS
        budget.answered(number * 10 * MS, latency, 1)
    assert budget.widest == 1.0


# -- the generator's own core ---------------------------------------------------------------------------------


def on_a_core(reader: Reader, read_ns: int, seconds: int, others: float = 0.0) -> list[float]:
    """The share of a core used in each second, by reads that take this much of it, and by what else is done."""
    shares = []
    for _ in range(seconds):
        rate, _ = reader.drive(S)
        shares.append(min(rate * read_ns / S + others, 1.0))
        reader.budget.strained(reader.now, shares[-1])
    return shares


@pytest.mark.parametrize("limit", [None, 100_000])
def test_reads_that_fill_the_core_become_fewer_until_there_is_room(limit: int | None) -> None:
    budget = ReadBudget(limit)
    shares = on_a_core(Reader(budget, [200 * MS] * 500), 350_000, 60)
    assert shares[0] > 0.85, "as much as an aiohttp read at the usual resolution took"
    assert all(share <= 0.75 for share in shares[5:])
    assert min(shares[5:]) > 0.5, "and not fewer than need be"
    assert 1.2 < budget.stretch < 2
    assert budget.widest < 2


def test_reads_that_leave_room_on_the_core_are_not_spread() -> None:
    budget = ReadBudget(None)
    shares = on_a_core(Reader(budget, [200 * MS] * 500), 270_000, 30)
    assert 0.65 < min(shares[1:]) <= max(shares) < 0.7
    assert budget.widest == 1.0


def test_gaps_narrow_again_when_the_core_has_room() -> None:
    budget = ReadBudget(None)
    reader = Reader(budget, [200 * MS] * 500)
    on_a_core(reader, 250_000, 20, others=0.35)
    wide = budget.stretch
    assert wide > 1.3
    on_a_core(reader, 250_000, 3)
    assert 1.0 < budget.stretch < wide, "slowly"
    on_a_core(reader, 250_000, 30)
    assert (budget.stretch, budget.widest >= wide) == (1.0, True)


def test_a_core_that_reads_do_not_fill_is_not_emptied_by_fewer_of_them() -> None:
    budget = ReadBudget(None)
    on_a_core(Reader(budget, [200 * MS] * 10), 1_000, 120, others=0.95)
    assert 8 <= budget.stretch == budget.widest < 12, "there is an end to it"
