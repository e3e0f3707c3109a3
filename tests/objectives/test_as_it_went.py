"""A scenario's schedule as it came to be, where phases ended early."""

from __future__ import annotations

import pytest

from evload.model.phases import Course, Ending
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria, without_warmup

S = 1_000_000_000
PLANNED = ScenarioCriteria(
    0, 100 * S, arrival_step_ns=S, expected=(2.0,) * 50 + (3.0,) * 50, steady=(50 * S, 100 * S),
    rates=((0, 50 * S, 2, 2), (50 * S, 100 * S, 3, 3)), bursts=(50 * S,),
)  # fmt: skip


def at(second: int, planned: ScenarioCriteria = PLANNED) -> ScenarioCriteria:
    """The first phase ended then, instead of after 50 s."""
    return planned.as_it_went(Course("main", [Ending("main", 0, "x == 0", 0, 50 * S, second * S)]))


def test_what_comes_after_a_phase_that_ended_early_moves() -> None:
    found = at(20)
    assert (found.start_ns, found.end_ns, found.steady) == (0, 70 * S, (20 * S, 70 * S))
    assert found.rates == ((0, 20 * S, 2, 2), (20 * S, 70 * S, 3, 3))
    assert found.bursts == (20 * S,)
    # Where the burst falls arrivals say nothing of their spread.
    assert found.expected == (*(2.0,) * 20, 0.0, *(3.0,) * 49)


def test_the_warm_up_does_not_move() -> None:
    """What would have come in it, or after it, is in it by when it was due."""
    warm = ScenarioCriteria(**{**PLANNED.as_data(), "warmup_ns": 30 * S + S // 2, "bursts": (), "expected": ()})
    found = at(20, warm)
    assert found.expected == (0.0,) * 31 + (3.0,) * 39
    assert found.steady == (30 * S + S // 2, 70 * S)


def test_where_arrivals_are_even_and_nothing_is_steady_there_is_as_little_to_move() -> None:
    plain = ScenarioCriteria(5 * S, 100 * S, rates=((5 * S, 50 * S, 2, 2), (50 * S, 100 * S, 3, 3)), warmup_ns=S)
    found = at(20, plain)
    assert (found.end_ns, found.expected, found.steady) == (70 * S, (), None)
    assert (found.start_ns, found.judged_ns, found.load_ns) == (5 * S, 6 * S, 5 * S)


def test_what_is_expected_before_events_are_judged_is_nothing() -> None:
    even = (1.0, 2.0, 3.0)
    assert without_warmup(even, None, 2 * S) == even
    assert [without_warmup(even, S, ns) for ns in (0, 1, S, S + 1, 9 * S)] == [
        even, (0, 2, 3), (0, 2, 3), (0, 0, 3), (0, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "bursts", "begins_s"),
    [
        ((), (), 5),
        (((5, 9, 0, 0), (9, 20, 4, 4)), (), 9),
        (((5, 9, 0, 3), (9, 20, 4, 4)), (), 5),
        (((5, 7, 0, 0), (7, 9, 3, 0)), (), 7),
        (((5, 9, 3, 0),), (), 5),
        (((5, 9, 0, 0),), (7,), 7),
        (((5, 9, 0, 0), (9, 20, 4, 4)), (12, 8), 8),
        (((5, 9, 0, 0),), (), 5),
    ],
)
def test_it_asks_for_events_from_the_first_phase_that_has_some(
    rates: tuple[tuple[int, int, float, float], ...], bursts: tuple[int, ...], begins_s: int
) -> None:
    one = ScenarioCriteria(
        5 * S, 20 * S, rates=tuple((start * S, end * S, low, high) for start, end, low, high in rates),
        bursts=tuple(at * S for at in bursts),
    )  # fmt: skip
    assert one.load_ns == begins_s * S


def test_all_scenarios_of_a_run_go_as_they_went() -> None:
    criteria = Criteria((), SelfCheckPolicy(), {}, {"main": PLANNED, "other": PLANNED})
    went = criteria.as_it_went(iter([Ending("main", 0, "x == 0", 0, 50 * S, 20 * S)]))
    assert went.scenarios == {"main": at(20), "other": PLANNED}
    assert criteria.as_it_went([]) is criteria


def test_without_an_early_end_nothing_changes() -> None:
    assert PLANNED.as_it_went(Course("main", [Ending("main", 0, "x == 0", 0, 50 * S)])) is PLANNED
    assert PLANNED.as_it_went(Course("main", [Ending("other", 0, "x == 0", 0, 50 * S, 20 * S)])) is PLANNED
