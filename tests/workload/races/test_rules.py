"""What becomes of a rule, by what was read, who has won, and of whom nobody knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from evload.clients.jmes import Expression
from evload.model.round import Held, RuleKind
from evload.workload.races.rules import MOST_WAYS, Course, Judged, Standing, Truth, WrongRule
from evload.workload.races.settings import Rule

MS, S = 1_000_000, 1_000_000_000


def judged(text: str, names: Sequence[str] = ("buy",), kind: RuleKind = "always") -> Judged:
    return Judged(Rule("rule", kind, text), Expression(text), ("stock", "sold"), names)


def truth_of(text: str, standings: Mapping[str, Standing], body: Any = None) -> Truth:
    return judged(text, list(standings)).truth({"stock": body}, standings, {"item": 7})


def truth(text: str, body: Any = None, *, buy: Standing) -> Truth:
    return truth_of(text, {"buy": buy}, body)


@pytest.mark.parametrize(
    ("reserved", "standing", "says"),
    [
        (3, Standing(won=3), Truth.TRUE),
        (4, Standing(won=3), Truth.FALSE),
        # of two in doubt none, one or both may have won
        (3, Standing(won=3, doubt=2), Truth.DEPENDS),
        (5, Standing(won=3, doubt=2), Truth.DEPENDS),
        (6, Standing(won=3, doubt=2), Truth.FALSE),
        (2, Standing(won=3, doubt=2), Truth.FALSE),
        # of two in flight the read may show any number
        (3, Standing(won=3, flying=2), Truth.TRUE),
        (5, Standing(won=3, flying=2), Truth.TRUE),
        (6, Standing(won=3, flying=2), Truth.FALSE),
        # one in flight, one in doubt: 3 or 4 if the one in doubt lost, 4 or 5 if it won
        (3, Standing(won=3, doubt=1, flying=1), Truth.DEPENDS),
        (4, Standing(won=3, doubt=1, flying=1), Truth.TRUE),
        (5, Standing(won=3, doubt=1, flying=1), Truth.DEPENDS),
        (6, Standing(won=3, doubt=1, flying=1), Truth.FALSE),
    ],
)
def test_each_way_in_which_contenders_may_have_gone_is_worked_out(
    reserved: int, standing: Standing, says: Truth
) -> None:
    assert truth("stock.reserved == won.buy", {"reserved": reserved}, buy=standing) is says


def test_those_in_doubt_that_did_not_win_count_as_refused() -> None:
    standing = Standing(won=3, refused=6, failed=1, doubt=2)
    assert truth("sum([won.buy, refused.buy]) == `11` && failed.buy == `1` && doubt.buy == `2`", buy=standing) is (
        Truth.TRUE
    )
    assert truth("refused.buy >= `6`", buy=standing) is Truth.TRUE
    assert truth("refused.buy == `6`", buy=standing) is Truth.DEPENDS
    assert truth("refused.buy == `9`", buy=standing) is Truth.FALSE


def test_a_rule_that_looks_at_no_contender_does_not_depend_on_any() -> None:
    assert truth("stock.left >= `0`", {"left": 0}, buy=Standing(won=3, doubt=9)) is Truth.TRUE
    assert truth("stock.left >= `0`", {"left": -1}, buy=Standing(won=3, doubt=9)) is Truth.FALSE


def test_contenders_of_several_names_go_each_in_their_own_way() -> None:
    both = {"pay": Standing(won=1, doubt=1), "cancel": Standing(won=0, doubt=1)}
    assert truth_of("won.pay == `1` || won.cancel == `0`", both) is Truth.DEPENDS
    assert truth_of("sum([won.pay, won.cancel]) == `4`", both) is Truth.FALSE
    assert truth_of("sum([won.pay, won.cancel]) <= `3`", both) is Truth.TRUE
    assert truth_of("sum(values(won)) == `1`", both) is Truth.DEPENDS
    assert truth_of("sum(values(won)) >= `1`", both) is Truth.TRUE
    assert truth_of('won."pay" == `2` && stock.a', both, {"a": True}) is Truth.DEPENDS


def test_what_is_known_of_the_round_can_be_compared_with() -> None:
    assert truth("stock.item == vars.item", {"item": 7}, buy=Standing()) is Truth.TRUE


def test_more_ways_than_can_be_worked_out_are_never_called_certain() -> None:
    many = {name: Standing(doubt=20) for name in ("a", "b", "c")}
    assert MOST_WAYS < 21**3
    assert truth_of("sum([won.a, won.b, won.c]) == `99`", many) is Truth.DEPENDS
    flying = {name: Standing(flying=20) for name in ("a", "b", "c")}
    assert truth_of("sum([won.a, won.b, won.c]) == `99`", flying) is Truth.NOTHING


@pytest.mark.parametrize(
    ("text", "body", "what"),
    [
        ("stock.left >= `0`", {}, "it gives null, and neither true nor false"),
        ("stock.left", {"left": 3}, "it gives 3, and neither true nor false"),
        ("length(stock.left) == `1`", {"left": 3}, "In function length(), invalid type for value: 3"),
    ],
)
def test_a_rule_that_gives_neither_true_nor_false_is_wrong(text: str, body: Any, what: str) -> None:
    with pytest.raises(WrongRule) as wrong:
        truth(text, body, buy=Standing())
    assert str(wrong.value).startswith(what)


def course(kind: RuleKind, text: str = "stock.ok", *, within: int = 2 * S, confirm: int = 1 * S) -> Course:
    return Course(judged(text, kind=kind), within, confirm)


ONE = Standing(won=1)


def look(one: Course, at_ns: int | None, ok: Any, standing: Standing = ONE) -> Truth:
    return one.look(at_ns, {"stock": {"ok": ok}}, {"buy": standing}, {}, f"read at {at_ns}")


HOLDS = [
    # when, and whether it was true; what becomes of it
    ([(0, True), (500 * MS, True), (1 * S, True)], Held.HELD),
    ([(0, False), (1 * S, True), (2 * S, True)], Held.HELD),
    ([(0, False), (2 * S, True), (3 * S, True)], Held.HELD),  # the very end of its time is in time
    ([(0, False), (1 * S, False), (2 * S, False)], Held.VIOLATED),
    ([(0, True), (500 * MS, False), (1 * S, True)], Held.VIOLATED),  # it came undone
    ([(0, True), (1 * S, False)], Held.VIOLATED),  # the very end of the confirming is part of it
    ([(0, True), (1 * S, True), (1 * S + 1, False)], Held.HELD),  # what comes after that is not
    ([(0, False), (1_900 * MS, False), (2 * S + 1, True)], Held.UNKNOWN),  # in time or not, nobody knows
    ([(0, False), (1_900 * MS, False), (2 * S + 1, False)], Held.VIOLATED),
    ([(0, False), (1_900 * MS, False)], Held.UNKNOWN),  # no read at its end
    ([(0, True), (1 * S + 1, True)], Held.HELD),  # as between any two reads nobody looked in between
    ([(0, True), (1 * S + 1, False)], Held.UNKNOWN),  # it may have come undone after the confirming
    ([(0, True), (500 * MS, False), (1 * S + 1, True)], Held.VIOLATED),
    ([(0, True)], Held.UNKNOWN),  # seen once, and confirmed by nothing
    ([], Held.UNKNOWN),
]


@pytest.mark.parametrize(("reads", "held"), HOLDS)
def test_what_has_to_hold_in_the_end_comes_true_once_in_time_and_stays_so(
    reads: list[tuple[int, bool]], held: Held
) -> None:
    one = course("holds")
    for at_ns, ok in reads:
        look(one, at_ns, ok)
    assert one.result().held is held
    assert (one.result().told == "") is (held is Held.HELD)


def test_what_has_to_hold_in_the_end_is_not_asked_for_before() -> None:
    one = course("holds")
    assert look(one, None, False) is Truth.NOTHING
    for at_ns in (0, 500 * MS, 1 * S):
        look(one, at_ns, True)
    assert one.result().held is Held.HELD


ALWAYS = [
    ([(None, True), (0, True)], Held.HELD),
    ([(None, False), (0, True)], Held.VIOLATED),
    ([(None, True), (0, True), (900 * MS, False)], Held.VIOLATED),
    ([(None, True)], Held.UNKNOWN),  # no read said anything when all were answered
    ([], Held.UNKNOWN),
]


@pytest.mark.parametrize(("reads", "held"), ALWAYS)
def test_what_has_to_hold_always_is_held_against_every_read(reads: list[tuple[int | None, bool]], held: Held) -> None:
    one = course("always")
    for at_ns, ok in reads:
        look(one, at_ns, ok)
    assert one.result().held is held


@pytest.mark.parametrize("kind", ["always", "holds"])
def test_what_depends_on_contenders_in_doubt_is_possible(kind: RuleKind) -> None:
    one = course(kind, "stock.ok == won.buy")
    doubt = Standing(won=1, doubt=1)
    for at_ns in (0, 1 * S, 2 * S, 3 * S):
        assert look(one, at_ns, 2, doubt) is Truth.DEPENDS
    assert one.result().held is Held.POSSIBLE
    assert one.result().told.endswith('stock = {"ok":2}; buy: 1 won, 1 in doubt')
    for at_ns in (0, 1 * S, 2 * S, 3 * S):
        look(one, at_ns, 3, doubt)
    assert one.result().held is Held.VIOLATED


def test_a_wrong_rule_is_unknown_unless_it_was_broken_before() -> None:
    one = course("always")
    look(one, 0, True)
    look(one, 1, None)
    assert one.result().held is Held.UNKNOWN
    assert (
        one.result().told == 'it gives null, and neither true nor false (read at 1: stock = {"ok":null}; buy: 1 won)'
    )
    two = course("always")
    look(two, 0, False)
    look(two, 1, None)
    assert two.result().held is Held.VIOLATED
    assert two.result().told == 'read at 0: stock = {"ok":false}; buy: 1 won'


def test_of_a_long_body_that_is_shown_which_the_rule_names() -> None:
    one = course("always", "stock.available >= `0`")
    one.look(0, {"stock": {"name": "x" * 400, "available": -3}}, {"buy": ONE}, {}, "read at 0")
    assert one.result().told.startswith('read at 0: stock = {"available":-3,"name":"xxx')
