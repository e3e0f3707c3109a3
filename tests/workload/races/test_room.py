"""What is due when in a round, and what its answers amount to."""

from __future__ import annotations

from itertools import pairwise

import pytest

from evload.model.round import Held, Round, RoundEnd, Tally
from evload.workload.journeys.settings import Capture, RequestStep
from evload.workload.races.room import LEAD_NS
from evload.workload.races.settings import Contender, RaceSettings, Rule
from tests.rigs.journeys import NOTHING, UNSENT, Said
from tests.rigs.raced import Asked, Raced

MS, S = 1_000_000, 1_000_000_000
ITEM = RequestStep("item", "shop", "POST", "/items", capture={"item": Capture("body.id")})
BUY = RequestStep("buy", "shop", "POST", "/items/{item}/buy", refused=frozenset({409}))
DROP = RequestStep("drop", "shop", "DELETE", "/items/{item}", refused=frozenset({409}))
STOCK = RequestStep("stock", "shop", "GET", "/items/{item}")
SOLD = RequestStep("sold", "shop", "GET", "/sold/{item}")


def always(text: str) -> Rule:
    return Rule("always", "always", text)


def holds(text: str) -> Rule:
    return Rule("holds", "holds", text)


def race(*rules: Rule, contenders: tuple[Contender, ...] = (Contender(BUY, 3),), **more: object) -> RaceSettings:
    given = {"reads": (STOCK,), "within": 1 * S, "confirm": 500 * MS, **more}
    return RaceSettings((ITEM,), contenders=contenders, rules=rules, **given)  # type: ignore[arg-type]


def only(raced: Raced) -> Round:
    (one,) = raced.rounds
    return one


def held(one: Round) -> list[Held]:
    return [rule.held for rule in one.rules]


def test_a_round_goes_from_its_set_up_over_its_contenders_to_its_last_read() -> None:
    def answers(asked: Asked) -> Said:
        match asked.name:
            case "item":
                return Said(body={"id": 7})
            case "buy":
                return Said(200 if asked.number == 0 else 409, after_ns=30 * MS)
        return Said(body={"left": 0}, after_ns=1 * MS)

    raced = Raced(race(always("stock.left >= `0`"), holds("won.buy == `1`")), answers).run()
    one = only(raced)
    assert (one.end, one.number, one.intended_ns) == (RoundEnd.JUDGED, 0, 0)
    assert one.started_ns == 10 * MS + LEAD_NS
    assert one.tallies == {"buy": Tally(won=1, refused=2)}
    assert (held(one), one.contended, one.settled) == ([Held.HELD] * 2, True, (0, 1 * MS))
    assert raced.times_of("buy") == [0, 0, 0]
    # At 20 ms; once more when all are answered, at 30 ms; then as long as it confirms, to its very end.
    times = raced.times_of("stock")
    assert times[:4] == [20, 30, 51, 72]
    assert times[-1] == 530
    assert all(20 <= after - before <= 60 for before, after in pairwise(times[1:-1]))
    assert {one.target for one in raced.asked if one.name != "item"} == {"/items/7/buy", "/items/7"}
    assert raced.ready == [("shop", 3)]
    facts = [receipt.facts or {} for receipt in raced.final]
    assert {(fact["iteration"], fact["answer"]) for fact in facts} == {(0, 1), (0, 2)}


def test_who_is_sent_when_a_read_is_over_does_not_count_for_it() -> None:
    # Two of the four are sent after the first reads: what these say is about the first two alone.
    def answers(asked: Asked) -> Said:
        if asked.name == "item":
            return Said(body={"id": 7})
        if asked.name == "stock":
            done = sum(1 for one in raced.asked if one.name == "buy" and one.at_ns + 5 * MS <= asked.at_ns)
            return Said(body={"sold": done}, after_ns=1 * MS)
        return Said(after_ns=5 * MS)

    contenders = (Contender(BUY, 4, (0, 400 * MS)),)
    raced = Raced(race(always("stock.sold == won.buy"), contenders=contenders), answers)
    assert held(only(raced.run())) == [Held.HELD]

    # The same where the first read shows more than was ever sent by then, as if there had been some before.
    def ahead(asked: Asked) -> Said:
        said = answers(asked)
        if (asked.name, asked.number) != ("stock", 0):
            return said
        assert said.body["sold"] <= 1
        return Said(body={"sold": said.body["sold"] + 2}, after_ns=1 * MS)

    raced = Raced(race(always("stock.sold <= won.buy"), contenders=contenders), ahead)
    assert held(only(raced.run())) == [Held.VIOLATED]


def test_a_read_that_began_before_the_last_answer_is_none_of_the_end() -> None:
    # It begins at 20 ms and ends at 80; all are answered at 30. What it shows may have been before.
    def answers(asked: Asked) -> Said:
        match asked.name, asked.number:
            case "item", _:
                return Said(body={"id": 7})
            case "buy", _:
                return Said(after_ns=30 * MS)
            case _, 0:
                return Said(body={"ok": True}, after_ns=60 * MS)
            case _, 1:
                return Said(body={"ok": False}, after_ns=1 * MS)
        return Said(body={"ok": True}, after_ns=1 * MS)

    raced = Raced(race(holds("stock.ok")), answers).run()
    assert raced.times_of("stock")[:3] == [20, 80, 101]
    assert held(only(raced)) == [Held.HELD]
    # From the start of the read at 80 ms to the end of that at 101.
    assert only(raced).settled == (50 * MS, 72 * MS)


def test_what_settles_is_the_last_of_all_rules_and_a_set_of_reads_begins_with_its_first() -> None:
    def answers(asked: Asked) -> Said:
        match asked.name:
            case "item":
                return Said(body={"id": 7})
            case "buy":
                return Said(after_ns=10 * MS)
            case "sold":
                return Said(body={"ok": asked.number > 1}, after_ns=9 * MS)
        return Said(body={"ok": asked.number > 0}, after_ns=2 * MS)

    rules = (holds("stock.ok"), Rule("other", "holds", "sold.ok"))
    raced = Raced(race(*rules, reads=(STOCK, SOLD)), answers).run()
    assert raced.times_of("stock") == raced.times_of("sold")
    assert raced.times_of("stock")[:3] == [10, 39, 68]
    assert only(raced).settled == (29 * MS, 67 * MS)


def test_what_came_undone_has_settled_when_it_holds_again() -> None:
    def answers(asked: Asked) -> Said:
        if asked.name == "item":
            return Said(body={"id": 7})
        return Said(body={"ok": asked.number != 1}, after_ns=10 * MS)

    raced = Raced(race(holds("stock.ok"), contenders=(Contender(BUY, 2),)), answers).run()
    assert raced.times_of("stock")[:3] == [10, 40, 70]
    assert held(only(raced)) == [Held.VIOLATED]
    assert only(raced).settled == (30 * MS, 70 * MS)


def test_what_never_settles_in_time_has_no_upper_end() -> None:
    def answers(asked: Asked) -> Said:
        if asked.name == "item":
            return Said(body={"id": 7})
        return Said(body={"ok": False}, after_ns=10 * MS)

    raced = Raced(race(holds("stock.ok")), answers).run()  # no read is under way when the last one is due
    assert held(only(raced)) == [Held.VIOLATED]
    assert only(raced).settled == (1 * S, None)
    assert raced.times_of("stock")[-1] == 1010  # a second after the last answer, and then it is over


def test_without_rules_for_the_end_there_is_nothing_to_settle() -> None:
    raced = Raced(race(always("stock.ok")), lambda asked: Said(body={"id": 7, "ok": True})).run()
    assert (held(only(raced)), only(raced).settled) == ([Held.HELD], None)
    assert raced.times_of("stock")[-1] == 510


def test_without_reads_who_has_won_decides_at_once() -> None:
    def answers(asked: Asked) -> Said:
        return Said(200 if asked.number == 0 else 409, {"id": 7})

    raced = Raced(race(always("won.buy <= `1`"), holds("refused.buy == `1`"), reads=()), answers).run()
    assert held(only(raced)) == [Held.HELD, Held.VIOLATED]
    assert only(raced).ended_ns - (only(raced).started_ns or 0) == 10 * MS


@pytest.mark.parametrize(
    ("item", "buy", "end", "reason"),
    [
        (Said(503), Said(), RoundEnd.VOID, "item: rejected"),
        (NOTHING, Said(), RoundEnd.VOID, "item: no answer"),
        (Said(body={}), Said(), RoundEnd.VOID, "item: capture item: body.id found nothing"),
        (Said(body={"id": 7}), UNSENT, RoundEnd.VOID, "no contender could be sent: connection refused"),
        (Said(body={"id": 7}), NOTHING, RoundEnd.JUDGED, ""),
    ],
)
def test_a_round_in_which_nobody_contends_is_void(item: Said, buy: Said, end: RoundEnd, reason: str) -> None:
    def answers(asked: Asked) -> Said:
        return item if asked.name == "item" else buy if asked.name == "buy" else Said(body={"ok": True})

    one = only(Raced(race(holds("stock.ok")), answers).run())
    assert (one.end, one.reason) == (end, reason)
    assert bool(one.rules) is (end is RoundEnd.JUDGED)


@pytest.mark.parametrize(
    ("stop_ns", "reasons"),
    [
        (5 * MS, ["the run was stopped"]),
        (50 * MS, ["the run was stopped"]),
        (115 * MS, ["the run was stopped"]),
        (400 * MS, ["the run was stopped"]),
    ],
)
def test_a_run_that_is_stopped_begins_nothing_and_leaves_nothing_out(stop_ns: int, reasons: list[str]) -> None:
    raced = Raced(race(always("stock.ok")), lambda asked: Said(body={"id": 7, "ok": True}), count=3)
    raced.run(stop_ns)
    assert [one.end for one in raced.rounds] == [RoundEnd.CUT_OFF] * len(raced.rounds)
    assert [one.reason for one in raced.rounds] == reasons
    assert [one.rules for one in raced.rounds] == [()] * len(raced.rounds)
    assert len(raced.final) == len(raced.asked)


def test_of_a_round_that_is_cut_off_only_what_was_broken_for_sure_is_told() -> None:
    def answers(asked: Asked) -> Said:
        return Said(body={"id": 7, "left": -1, "ok": True})

    rules = (always("stock.left >= `0`"), holds("stock.ok"), Rule("fine", "always", "stock.ok"))
    one = only(Raced(race(*rules), answers).run(300 * MS))
    assert one.end is RoundEnd.CUT_OFF
    assert [(rule.rule, rule.held) for rule in one.rules] == [("always", Held.VIOLATED)]

    # Also where what was read had to wait until it was known who has won.
    def slow(asked: Asked) -> Said:
        return Said(body={"id": 7, "left": -1, "ok": True}, after_ns=500 * MS if asked.name == "buy" else 10 * MS)

    one = only(Raced(race(*rules), slow).run(300 * MS))
    assert [(rule.rule, rule.held) for rule in one.rules] == [("always", Held.VIOLATED)]
    assert one.tallies == {"buy": Tally(won=3)}


def test_a_wrong_rule_is_told_once() -> None:
    raced = Raced(race(always("stock.nothing")), lambda asked: Said(body={"id": 7}), count=3).run()
    assert raced.remarks == [
        "race sale: rule 'always': it gives null, and neither true nor false "
        '(read 0 s after the last answer: stock = {"id":7}; buy: 3 won)'
    ]
    assert [held(one) for one in raced.rounds] == [[Held.UNKNOWN]] * 3


def test_a_secret_that_the_set_up_captures_is_told_nowhere() -> None:
    item = RequestStep("item", "shop", "POST", "/items", capture={"item": Capture("body.id", secret=True)})
    settings = RaceSettings((item,), contenders=(Contender(BUY, 2),), reads=(STOCK,), rules=(always("stock.no"),))
    raced = Raced(settings, lambda asked: Said(body={"id": "hush-1", "of": "hush-1"})).run()
    assert "hush" not in str(raced.remarks) + str(raced.rounds)
    assert 'stock = {"id":"{item}","of":"{item}"}' in raced.remarks[0]


def test_what_is_drawn_follows_from_the_seed_and_from_nothing_else() -> None:
    buy = RequestStep("buy", "shop", "POST", "/buy/{int:1..1000000000}/{user}/{iteration}")
    settings = race(always("stock.ok"), contenders=(Contender(buy, 4, (0, 9 * MS)),))

    def targets(after_ns: int, seed: str) -> list[tuple[str, int]]:
        raced = Raced(settings, lambda asked: Said(body={"id": 7}, after_ns=after_ns), count=2, seed=seed).run()
        starts = {one.number: one.started_ns or 0 for one in raced.rounds}
        found = [one for one in raced.asked if one.name == "buy"]
        return sorted((one.target, one.due_ns - starts[int(one.target[-1])]) for one in found)

    assert targets(10 * MS, "1") == targets(70 * MS, "1") != targets(10 * MS, "2")
    assert len(set(targets(10 * MS, "1"))) == 8
    assert {target.split("/")[3] for target, _ in targets(10 * MS, "1")} == {"0", "1", "2", "3"}
