"""What reads say to whoever watches that something stays absent, or goes."""

from __future__ import annotations

import pytest

from evload.engine.watching import Watching
from evload.model.states import Seen, State
from evload.model.travel import Observation, Part, Read, WaitEvent

PRESENT, ABSENT, FAILED, ENDED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED, Seen.ENDED
WAITED, ABSENCE, GOING = 1, 2, 3
"""Scenarios, and readers."""


def watching() -> Watching:
    kinds = {WAITED: "wait", ABSENCE: "absent", GOING: "gone"}
    return Watching(kinds, kinds)  # type: ignore[arg-type]


def begun(*, shown: bool) -> Watching:
    """One that is to go is waited for, by the number 7."""
    all_ = watching()
    all_.begin(WaitEvent(7, "o1", GOING, 0, 0, shown))
    return all_


def turned(by: Watching, *reads: Seen | tuple[Seen, str | None], reader: int = GOING) -> list[Seen]:
    """What some reads, of replicas where these are named, say one after the other."""
    turn = by.turn(reader)
    assert turn is not None
    told = [one if isinstance(one, tuple) else (one, None) for one in reads]
    return [turn([Read(7, seen, 1, 2, replica=replica)])[0].seen for seen, replica in told]


def test_what_is_waited_for_is_read_as_it_is() -> None:
    assert watching().turn(WAITED) is None
    assert watching().turn(9) is None


def test_what_is_to_stay_absent_is_watched_on_whatever_its_probe_says_of_its_end() -> None:
    assert turned(watching(), ABSENT, FAILED, ENDED, PRESENT, reader=ABSENCE) == [ABSENT, FAILED, ABSENT, PRESENT]


@pytest.mark.parametrize(
    ("shown", "reads", "told"),
    [
        (False, [PRESENT, PRESENT, ABSENT, PRESENT], [ABSENT, ABSENT, PRESENT, ABSENT]),
        (False, [ABSENT, FAILED, ABSENT], [ABSENT, FAILED, ABSENT]),
        (False, [ABSENT, PRESENT, FAILED, ENDED], [ABSENT, ABSENT, FAILED, PRESENT]),
        (True, [FAILED, ABSENT], [FAILED, PRESENT]),
        (False, [(PRESENT, "a"), (ABSENT, "b"), (ABSENT, "a")], [ABSENT, ABSENT, PRESENT]),
        (False, [(PRESENT, "a"), (ABSENT, None)], [ABSENT, PRESENT]),
        (False, [(PRESENT, None), (ABSENT, "b")], [ABSENT, PRESENT]),
        (True, [(ABSENT, "b")], [PRESENT]),
    ],
)
def test_it_is_gone_where_it_was_there(shown: bool, reads: list[Seen], told: list[Seen]) -> None:
    assert turned(begun(shown=shown), *reads) == told


def test_nothing_else_is_told_of_it() -> None:
    full = Read(7, PRESENT, 1, 2, 3, "a", 4, 5, 6, True, 7.0, {"tags": "x=y"}, "", {"a": 1})
    for reader, seen in ((GOING, ABSENT), (ABSENCE, PRESENT)):
        turn = begun(shown=False).turn(reader)
        assert turn is not None
        assert turn([full]) == [Read(7, seen, 1, 2, replica="a")]


def settled(by: Watching, scenario: int, state: State, **more: object) -> Observation:
    seen = Observation(7, scenario, 0, state, 0, settled_ns=9, **more)  # type: ignore[arg-type]
    by.settled([seen])
    return seen


@pytest.mark.parametrize(
    ("state", "upper", "appeared", "as_"),
    [
        (State.LOST, None, 0, State.UNOBSERVED), (State.VISIBLE, 5, 1, State.VISIBLE),
        (State.REGRESSED, 5, 1, State.REGRESSED), (State.UNOBSERVED, None, 2, State.UNOBSERVED),
        (State.PENDING, None, 2, State.PENDING), (State.PENDING, 5, 1, State.PENDING),
    ],
)  # fmt: skip
def test_what_is_said_of_an_absence(state: State, upper: int | None, appeared: int, as_: State) -> None:
    part = Part(0, "a", state, None, None, None, None)
    seen = settled(watching(), ABSENCE, state, first_upper_ns=upper, first_lower_ns=3, parts=(part,))
    assert (seen.appeared, seen.state, seen.first_lower_ns, seen.parts, seen.gone) == (appeared, as_, 3, (), None)


@pytest.mark.parametrize(
    ("shown", "state", "upper", "gone", "as_", "lower"),
    [
        (True, State.VISIBLE, 5, 1, State.VISIBLE, 3), (True, State.REGRESSED, 5, 1, State.REGRESSED, 3),
        (True, State.LOST, None, 0, State.LOST, 3), (True, State.UNOBSERVED, None, 2, State.UNOBSERVED, 3),
        (False, State.LOST, None, 2, State.UNOBSERVED, None), (False, State.PENDING, None, 2, State.PENDING, None),
    ],
)  # fmt: skip
def test_what_is_said_of_a_going(
    shown: bool, state: State, upper: int | None, gone: int, as_: State, lower: int | None
) -> None:
    seen = settled(begun(shown=shown), GOING, state, first_upper_ns=upper, first_lower_ns=3, stable_lower_ns=3)
    assert (seen.gone, seen.state, seen.appeared) == (gone, as_, None)
    assert (seen.first_lower_ns, seen.stable_lower_ns) == (lower, lower)


def test_other_events_are_told_nothing() -> None:
    seen = settled(watching(), 0, State.LOST)
    assert (seen.state, seen.appeared, seen.gone) == (State.LOST, None, None)
    assert settled(watching(), WAITED, State.LOST).state is State.LOST


def test_why_an_iteration_fails() -> None:
    never, before = begun(shown=False), begun(shown=True)
    assert never.reason(GOING, 7, State.LOST) == "no read showed it before, so nobody knows that it went"
    assert before.reason(GOING, 7, State.LOST) == "it wasn't gone in time"
    assert never.reason(WAITED, 7, State.LOST) == "it wasn't shown in time"
    assert never.reason(WAITED, 7, State.ENDED) == "it came to another end"
    assert never.reason(ABSENCE, 7, None) == "it appeared"
    assert never.reason(ABSENCE, 7, State.PENDING) == never.reason(GOING, 7, State.PENDING) == "the run was stopped"
    assert [never.came(ABSENCE, True, None), never.came(ABSENCE, False, State.LOST)] == [False, True]
    assert not never.came(ABSENCE, False, State.UNOBSERVED)
    assert [never.came(GOING, True, None), never.came(GOING, False, State.LOST)] == [True, False]
