"""Order statistics from histograms, brackets of percentiles, and the merging of summaries."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.model.facts import LEDGER_KEYS
from evload.model.summary import ScenarioSummary, merged
from evload.stats.histogram import Histogram, bracket, coarse, rank_of
from tests.rigs.summaries import MS, distribution, scenario

values = st.lists(st.one_of(st.none(), st.integers(0, 10**12)), min_size=1, max_size=60)


def _filled(of: Sequence[int | None]) -> Histogram:
    histogram = Histogram()
    for value in of:
        histogram.record(value)
    return histogram


def _state(histogram: Histogram) -> tuple[object, ...]:
    return tuple(getattr(histogram, name) for name in Histogram.__slots__)


@given(st.lists(values, max_size=4))
def test_many_at_once_are_counted_like_one_by_one(batches: list[list[int | None]]) -> None:
    at_once = Histogram()
    for batch in batches:
        at_once.record_all(batch)
    at_once.record_all([])
    assert _state(at_once) == _state(_filled([value for batch in batches for value in batch]))


@pytest.mark.parametrize(
    ("value", "edges"),
    [(0, (0, 0)), (255, (255, 255)), (256, (256, 257)), (257, (256, 257)), (1000, (1000, 1003)), (1003, (1000, 1003)),
     (1_000_000_000, (998_244_352, 1_002_438_655))],
)  # fmt: skip
def test_a_coarse_bucket_is_a_little_less_than_a_hundredth_wide(value: int, edges: tuple[int, int]) -> None:
    assert coarse(value) == edges


def test_histograms_are_alike_if_all_that_they_counted_is() -> None:
    one = _filled([5, 5_000, None])
    assert one == _filled([None, 5_000, 5])
    # In the same buckets, but not the same values: the smallest, the largest or one between them.
    for other in ([5, 5_000], [5, 5_001, None], [5, 5_000, None, None], [5, 5, 5_000, None]):
        assert one != _filled(other)
    assert _filled([1, 5_000, 9_000]) != _filled([1, 5_001, 9_000])
    assert one != [5, 5_000, None]


def test_a_bracket_goes_from_the_lower_edge_of_the_one_to_the_upper_edge_of_the_other() -> None:
    """Two values in one bucket of a thousandth."""
    both = _filled([5_000_000, 5_000_100])
    for p in (Fraction(1, 2), Fraction(1)):
        assert bracket(p, both, both) == (5_000_000, 5_000_100)
    assert bracket(Fraction(1), _filled([None]), _filled([None])) == (None, None)


@given(values)
def test_a_copy_has_all_and_goes_its_own_way(of: Sequence[int | None]) -> None:
    first = _filled(of)
    copied = first.copy()
    assert _state(copied) == _state(first)
    copied.record(5)
    copied.record(None)
    assert _state(copied) == _state(_filled([*of, 5, None]))
    assert _state(first) == _state(_filled(of))


@given(values, st.data())
def test_each_order_statistic_lies_between_its_edges(recorded: list[int | None], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(recorded)))
    true = sorted(recorded, key=lambda v: float("inf") if v is None else v)[rank - 1]
    edges = _filled(recorded).at_rank(rank)
    if true is None:
        assert edges is None
    else:
        assert edges is not None
        low, high = edges
        assert low <= true <= high
        assert high - low <= true / 1000


@given(values)
def test_sums_and_extremes_are_exact(recorded: list[int | None]) -> None:
    histogram = _filled(recorded)
    finite = [v for v in recorded if v is not None]
    assert histogram.total == len(recorded)
    assert histogram.never == len(recorded) - len(finite)
    assert histogram.value_sum == sum(finite)
    assert histogram.minimum == min(finite, default=None)
    assert histogram.maximum == max(finite, default=None)


@given(values, values)
def test_merged_is_the_same_as_recorded_together(one: list[int | None], other: list[int | None]) -> None:
    merged = _filled(one)
    merged.merge(_filled(other))
    assert _state(merged) == _state(_filled(one + other))


def test_merging_with_an_empty_one_changes_nothing() -> None:
    histogram = _filled([5, None])
    histogram.merge(Histogram())
    assert _state(histogram) == _state(_filled([5, None]))


def test_negative_value_is_refused_and_not_counted() -> None:
    histogram = _filled([5])
    with pytest.raises(ValueError, match="negative"):
        histogram.record(-1)
    assert _state(histogram) == _state(_filled([5]))


@pytest.mark.parametrize("rank", [0, 3])
def test_ranks_outside_are_refused(rank: int) -> None:
    with pytest.raises(ValueError, match="rank"):
        _filled([1, 2]).at_rank(rank)


@pytest.mark.parametrize(
    ("p", "n", "rank"),
    [("0.5", 1, 1), ("0.5", 2, 1), ("0.5", 3, 2), ("0.99", 100, 99), ("0.99", 101, 100), ("0.999", 1000, 999)],
)
def test_rank_is_the_smallest_that_covers_the_share(p: str, n: int, rank: int) -> None:
    assert rank_of(Fraction(p), n) == rank


@given(
    st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**10), st.integers(0, 10**10)), min_size=1),
    st.fractions(Fraction(1, 100), Fraction(99, 100)),
)
def test_bracket_contains_the_percentile_of_the_unknown_truth(
    events: list[tuple[int, int, int]], p: Fraction
) -> None:
    truth = sorted(low + inside for low, inside, _ in events)
    lower = _filled([low for low, _, _ in events])
    upper = _filled([low + inside + rest for low, inside, rest in events])
    low_end, high_end = bracket(p, lower, upper)
    assert low_end is not None
    assert high_end is not None
    assert low_end <= truth[rank_of(p, len(truth)) - 1] <= high_end


def test_events_never_seen_stay_in_the_denominator() -> None:
    """98 fast events and two that never came: the p99 is unknown upwards, not 'fast'."""
    lower = _filled([1 * MS] * 98 + [15_000 * MS] * 2)
    upper = _filled([2 * MS] * 98 + [None] * 2)
    assert bracket(Fraction("0.98"), lower, upper)[1] == 2 * MS
    low, high = bracket(Fraction("0.99"), lower, upper)
    assert low is not None
    assert 14_990 * MS < low <= 15_000 * MS
    assert high is None


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rank"):
        bracket(Fraction("0.5"), Histogram(), Histogram())


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40))
def test_hdr_histogram_holds_the_same_values(recorded: list[int]) -> None:
    hdr = _filled(recorded).to_hdr()
    assert hdr.get_total_count() == len(recorded)
    assert hdr.get_max_value() == pytest.approx(max(recorded), rel=1e-3)


def test_summaries_merge_key_by_key() -> None:
    one = scenario({"publish": distribution([(1 * MS, 2 * MS), (9 * MS, None)], 5 * MS)}, visible=2, duplicated=1)
    other = scenario({"publish": distribution([(1 * MS, 2 * MS)] * 3, 5 * MS, windows=2)}, visible=3, lost=1)
    one.offered, other.offered = {0: [10, 9]}, {0: [1, 1], 4: [2, 3]}
    one.first_intended_ns, one.last_intended_ns = 100, 200
    other.first_intended_ns, other.last_intended_ns = 50, 150
    one.early_sends, one.late_sightings, other.late_sightings = 1, 2, 3
    one.known["effects"], other.known["effects"] = 1, 2
    one.known["position"], other.known["position"] = 0, 4

    whole = merged([one, ScenarioSummary(), other])

    assert whole.ledger == dict.fromkeys(LEDGER_KEYS, 0) | {
        "scheduled": 6,
        "acked": 6,
        "visible": 5,
        "lost": 1,
        "duplicated": 1,
    }
    counts = whole.distributions["publish"].thresholds[5 * MS]
    assert (whole.distributions["publish"].count, whole.distributions["publish"].censored) == (5, 1)
    assert (counts.within, counts.beyond) == (4, 1)
    assert counts.intervals == {0: [4, 3, 1], 1: [1, 1, 0]}
    assert whole.offered == {0: [11, 10], 4: [2, 3]}
    assert (whole.first_intended_ns, whole.last_intended_ns) == (50, 200)
    assert (whole.early_sends, whole.late_sightings, whole.sampled) == (1, 5, 6)
    assert (whole.known["effects"], whole.known["position"]) == (3, 4)


def test_merging_leaves_the_parts_alone() -> None:
    one = scenario({"publish": distribution([(1 * MS, 2 * MS)], 5 * MS)}, visible=1)
    merged([one, one])
    assert one.distributions["publish"].count == 1
    assert one.distributions["publish"].thresholds[5 * MS].intervals == {0: [1, 1, 0]}
    assert one.ledger["visible"] == 1
