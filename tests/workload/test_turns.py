"""The order of a key: who may be sent, who waits, and whose turn it is once an answer is there."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from evload.model.travel import Event
from evload.workload.turns import Turn, Turns


def event(seq: int, key: str | None, at_ns: int | None = None, scenario: int = 0) -> Event:
    return Event(seq, str(seq), scenario, 0, seq if at_ns is None else at_ns, key, b"", (), ())


def seqs(events: list[Event]) -> list[int]:
    return [one.seq for one in events]


def of(turn: Turn | None) -> tuple[int, int] | None:
    return None if turn is None else (turn.event.seq, turn.waited_ns)


def test_one_of_a_key_goes_and_the_others_wait_for_its_answer() -> None:
    turns = Turns()
    assert seqs(turns.join([event(1, "a"), event(2, "a"), event(3, "b"), event(4, "a")], 10)) == [1, 3]
    assert seqs(turns.join([event(5, "a"), event(6, "b")], 20)) == []
    assert of(turns.answered(1, 25)) == (2, 15)
    assert of(turns.answered(3, 26)) == (6, 6)
    assert of(turns.answered(2, 30)) == (4, 20)
    assert of(turns.answered(4, 40)) == (5, 20)
    assert turns.answered(5, 50) is turns.answered(6, 50) is None
    assert seqs(turns.join([event(7, "a")], 60)) == [7], "nobody is on its way"


def test_what_has_no_key_waits_for_nobody() -> None:
    turns = Turns()
    assert seqs(turns.join([event(1, None), event(2, "a"), event(3, None), event(4, "a")], 0)) == [1, 2, 3]
    assert turns.answered(1, 5) is turns.answered(3, 5) is None
    assert of(turns.answered(2, 6)) == (4, 6)


def test_an_empty_key_is_a_key() -> None:
    turns = Turns()
    assert seqs(turns.join([event(1, ""), event(2, "")], 0)) == [1]
    assert of(turns.answered(1, 3)) == (2, 3)


def test_of_those_that_wait_the_one_that_is_due_first_is_next_whatever_scenario_it_is_of() -> None:
    turns = Turns()
    turns.join([event(1, "a", at_ns=0)], 0)
    turns.join([event(3, "a", at_ns=50), event(5, "a", at_ns=70)], 100)
    turns.join([event(2, "a", at_ns=40, scenario=1), event(4, "a", at_ns=50, scenario=1)], 100)
    order = [1]
    while (turn := turns.answered(order[-1], 100)) is not None:
        order.append(turn.event.seq)
    assert order == [1, 2, 3, 4, 5]


def test_those_of_a_scenario_leave_and_those_of_others_keep_their_turn() -> None:
    turns = Turns()
    turns.join([event(0, "b"), event(1, "a"), event(2, "a", 9, 1), event(3, "a"), event(4, "a", 4, 1)], 100)
    turns.join([event(5, "a"), event(6, "b"), event(7, "a", 7, 1)], 110)
    assert [of(turn) for turn in turns.leave(0, 130)] == [(3, 30), (5, 20), (6, 20)]
    assert turns.leave(0, 140) == []
    assert [turns.answered(0, 150)] == [None]
    assert [of(turns.answered(seq, 150)) for seq in (1, 4, 7, 2)] == [(4, 50), (7, 40), (2, 50), None]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 3)), max_size=40),
    st.data(),
)
def test_each_event_gets_its_turn_once_in_order_and_none_beside_another_of_its_key(
    due: list[tuple[str | None, int]], data: st.DataObject
) -> None:
    """Whatever is answered when, before, between and after the others are due."""
    turns = Turns()
    key_of = {seq: key for seq, (key, _) in enumerate(due)}
    went: dict[str | None, list[int]] = defaultdict(list)
    on_the_way: list[int] = []

    def go(one: Event) -> None:
        assert one.key is None or one.key not in [key_of[seq] for seq in on_the_way]
        went[one.key].append(one.seq)
        on_the_way.append(one.seq)

    def answer() -> None:
        seq = on_the_way.pop(data.draw(st.integers(0, len(on_the_way) - 1)))
        if (turn := turns.answered(seq, 0)) is not None:
            assert turn.event.key == key_of[seq]
            go(turn.event)

    for seq, (key, answers) in enumerate(due):
        for one in turns.join([event(seq, key)], 0):
            go(one)
        for _ in range(min(answers, len(on_the_way))):
            answer()
    while on_the_way:
        answer()
    assert went == {key: [seq for seq in key_of if key_of[seq] == key] for key in {key for key, _ in due}}
    assert turns._lines == {}
    assert turns._key_of == {}
