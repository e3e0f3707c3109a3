"""When an action was on, of the markers that a run leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evload.model.marker import Marker, in_order, was_on

LENGTHS = st.lists(st.tuples(*[st.integers(0, 5)] * 4), max_size=6)


@given(LENGTHS)
def test_it_was_on_where_one_of_its_markers_says_so(lengths: list[tuple[int, int, int, int]]) -> None:
    """Each begins when the one before is over, at the very instant or later, and any of it may take no time."""
    own, at = [], 0
    for number, (pause, doing, on, undoing) in enumerate(lengths):
        begun = at + pause
        at = begun + doing + on + undoing
        own.append(Marker("a", number, (begun, begun + doing), (begun + doing + on, at)))

    for moment in range(-1, at + 2):
        assert was_on(own, moment) == any(marker.covers(moment) for marker in own), moment


def test_what_is_on_stays_on_and_what_failed_never_was() -> None:
    assert was_on([Marker("a", 0, (1, 2))], 10**9)
    assert not was_on([Marker("a", 0, (1, 2))], 1)
    assert not was_on([Marker("a", 0, (1, 2), error="refused")], 5)
    assert not was_on([Marker("a", 0, (1, None))], 5)
    assert not was_on([], 5)


def test_markers_are_in_order_of_time_and_then_by_name() -> None:
    first, second, third = Marker("b", 0, (1, 2)), Marker("a", 1, (3, 4)), Marker("b", 1, (3, 4))
    assert in_order([third, second, first]) == [first, second, third]
