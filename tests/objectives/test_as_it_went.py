"""A scenario's schedule as it came to be, where phases ended early."""

from __future__ import annotations

from evload.model.phases import Course, Ending
from evload.objectives.scenario import ScenarioCriteria

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


def test_without_an_early_end_nothing_changes() -> None:
    assert PLANNED.as_it_went(Course("main", [Ending("main", 0, "x == 0", 0, 50 * S)])) is PLANNED
    assert PLANNED.as_it_went(Course("main", [Ending("other", 0, "x == 0", 0, 50 * S, 20 * S)])) is PLANNED
