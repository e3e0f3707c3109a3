"""Effective sample size: independent events keep their number, events that share stalls lose it."""

from __future__ import annotations

import random

import pytest

from evload.stats.dependence import effective_size

WINDOWS = 30
PER_WINDOW = 200


def _independent(rng: random.Random, q: float) -> list[tuple[int, int]]:
    return [(PER_WINDOW, sum(rng.random() < q for _ in range(PER_WINDOW))) for _ in range(WINDOWS)]


def _stalled(rng: random.Random, stalls: int, stall_size: int) -> list[tuple[int, int]]:
    hit = set(rng.sample(range(WINDOWS), stalls))
    return [(PER_WINDOW, stall_size if window in hit else 0) for window in range(WINDOWS)]


def test_independent_events_nearly_always_keep_their_number() -> None:
    rng = random.Random(7)
    n = WINDOWS * PER_WINDOW
    reduced = sum(effective_size(_independent(rng, 0.02)) != n for _ in range(200))
    assert reduced <= 6  # 1 % is the designed rate of false alarms


def test_a_tiny_last_window_with_a_bad_event_is_no_stall() -> None:
    rng = random.Random(7)
    batches = [*_independent(rng, 0.01), (1, 1)]
    assert effective_size(batches) == WINDOWS * PER_WINDOW + 1


def test_events_that_share_stalls_count_for_much_less() -> None:
    worth = effective_size(_stalled(random.Random(7), stalls=3, stall_size=60))
    assert worth is not None
    assert worth < WINDOWS * PER_WINDOW / 20


def test_effective_size_predicts_the_spread_of_the_bad_share() -> None:
    """Runs with random stalls: the variance of q between runs is q(1-q)/n_eff, not q(1-q)/n."""
    rng = random.Random(11)
    shares, worths = [], []
    for _ in range(400):
        batches = [(PER_WINDOW, 50 if rng.random() < 0.1 else 0) for _ in range(WINDOWS)]
        shares.append(sum(bad for _, bad in batches) / (WINDOWS * PER_WINDOW))
        worth = effective_size(batches)
        assert worth is not None
        worths.append(worth)
    q = sum(shares) / len(shares)
    variance = sum((share - q) ** 2 for share in shares) / (len(shares) - 1)
    typical = sorted(worths)[len(worths) // 2]
    assert q * (1 - q) / variance == pytest.approx(typical, rel=0.3)


def test_unequal_batches_with_equal_batches_as_the_special_case() -> None:
    counts = [0, 40, 0, 0, 35, 0, 0, 0, 50, 0]
    equal = [(100, bad) for bad in counts]
    q = sum(counts) / 1000
    variance_of_mean = sum((bad / 100 - q) ** 2 for bad in counts) / 9 / 10
    assert effective_size(equal) == pytest.approx(q * (1 - q) / variance_of_mean)
    unequal = [(n + 50 * (number % 2), bad) for number, (n, bad) in enumerate(equal)]
    worth = effective_size(unequal)
    assert worth is not None
    assert worth < 100


@pytest.mark.parametrize("bad", [0, 50])
def test_without_spread_events_count_as_independent(bad: int) -> None:
    assert effective_size([(50, bad)] * 10) == 500


def test_seven_windows_give_no_estimate_and_empty_ones_do_not_count() -> None:
    assert effective_size([(50, 1)] * 7) is None
    assert effective_size([(50, 1)] * 7 + [(0, 0)] * 5) is None
    assert effective_size([(50, 1)] * 8) == 400
    assert effective_size([]) is None


def test_a_batch_of_half_the_average_stands_for_itself_and_a_smaller_one_does_not() -> None:
    """Eight batches are enough for an estimate, seven aren't. With 7 of 112 events the average is 14."""
    assert effective_size([(15, 1)] * 7 + [(7, 0)]) == 112
    assert effective_size([(15, 1)] * 7 + [(6, 0)]) is None
    assert effective_size([(6, 0)] + [(15, 1)] * 7) is None


def test_empty_batches_do_not_lower_the_average() -> None:
    """Of 111 events in eight batches half the average is 6.9; over sixteen it would be 3.5."""
    full = [(15, 1)] * 7
    assert effective_size([*full[:3], *[(0, 0)] * 8, *full[3:], (6, 0)]) is None
    assert effective_size([(0, 0), *full[:3], (0, 0), *full[3:], *[(0, 0)] * 6, (7, 0)]) == 112


def test_a_small_batch_is_joined_with_the_next_and_the_last_with_the_one_before() -> None:
    """Ten batches of 100 events, of which a stall makes 50 bad, with the small batch's own bad events in it.

    By hand: q = 0.05, X² = (9 * 100 * 0.05² + 100 * 0.45²) / (0.05 * 0.95) = 473.7, D = X² / 9 = 52.6.
    """
    quiet, worth = [(100, 0)] * 9, 1000 * 9 / ((9 * 0.25 + 20.25) / 0.0475)
    for stalled in ([(100, 50)], [(20, 20), (80, 30)], [(20, 0), (20, 20), (60, 30)], [(80, 30), (20, 20)]):
        assert effective_size([*quiet, *stalled]) == pytest.approx(worth)
    assert effective_size([*quiet[:4], (20, 20), (80, 30), *quiet[4:]]) == pytest.approx(worth)
    assert effective_size([*quiet[:4], (80, 30), (20, 20), *quiet[4:]]) != pytest.approx(worth), "with the next one"


def test_dependence_is_told_from_chance_once_in_a_hundred() -> None:
    """The 99 % limit of χ² with seven degrees is 18.48; d² / 25 is what a batch adds that has d bad of 100 more
    or less than the half that are bad."""

    def off(*ds: int) -> list[tuple[int, int]]:
        return [(100, 50 + d) for d in ds]

    assert effective_size(off(15, -15, 2, -2, 1, -1, 0, 0)) == 800  # X² = 18.4
    assert effective_size(off(15, -15, 3, -3, 0, 0, 0, 0)) == pytest.approx(800 * 7 / 18.72)


def test_even_spread_is_never_worth_more_than_the_events() -> None:
    assert effective_size([(50, 5)] * 20) == 1000
