"""Objectives about races, judged on planted rounds whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from evload.judging.abort import reason_to_abort
from evload.judging.judge import judge
from evload.judging.standings import standing
from evload.model.marker import Marker
from evload.model.report import Result
from evload.model.round import Held, Round, RuleResult, Tally
from evload.model.states import State
from evload.model.summary import Summary
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import from_data, parse
from evload.objectives.objective import Objective
from evload.objectives.policy import SelfCheckPolicy
from evload.report.wording import observed, unit_of
from evload.summary.fold_plan import Counted, RacePlan, ScenarioPlan
from evload.summary.recorder import Recorder
from evload.tracking.outstanding import NOTHING
from tests.rigs.rounds import MS, RACE, START, S, cut_off, folded, judged, plan_of, void

BROKEN = {"never both": (Held.VIOLATED, "stock -1")}
POSSIBLE = {"books agree": (Held.POSSIBLE, "stock 9")}
UNKNOWN = {"sold out": (Held.UNKNOWN, "no read")}


def clean(
    count: int, first: int = 0, contended: int | None = None, pay: Tally | None = None, cancel: Tally | None = None
) -> list[Round]:
    """Rounds in which all rules held; so many of them were contended."""
    some = count if contended is None else contended
    return [judged(first + n, contended=n < some, pay=pay, cancel=cancel) for n in range(count)]


def both(number: int) -> Round:
    """One in which either side won once, so that no side always does."""
    return judged(number, pay=Tally(won=1), cancel=Tally(won=1))


FAIR = [*clean(9), both(9)]


def verdict(text: str, rounds: Sequence[Round], **about: Any) -> tuple[Result, Any, str]:
    objective = parse(text, **about)
    found = judge(objective, folded(rounds, plan_of(objective)))
    low, high = found.observed
    return found.result, low if low == high and low is not None else (low, high), found.note


UNTRIED = "contenders were in flight at once, and where nobody contends no rule is put to the test"
CUT_AND_BROKEN = replace(cut_off(10), rules=(RuleResult("never both", "always", Held.VIOLATED),))
CONTENDERS = [*clean(4, pay=Tally(2, 3, 1, 2, 2), cancel=Tally(1)), cut_off(4)]
"""Of pay 8 won, 12 were refused, 4 failed, 8 and 1 are in doubt, 8 unsent: 41; of cancel 4 won, 1 is unsent."""


@pytest.mark.parametrize(
    ("text", "about", "rounds", "result", "value"),
    [
        ("violations == 0", {}, FAIR, Result.PASS, 0),
        ("violations == 0", {}, [*FAIR, judged(10, BROKEN)], Result.FAIL, 1),
        ("violations == 0", {}, [*FAIR, judged(10, BROKEN | UNKNOWN)], Result.FAIL, (1, 2)),
        ("violations == 0", {}, [*FAIR, judged(10, BROKEN | {"sold out": Held.VIOLATED})], Result.FAIL, 2),
        ("violations == 0", {}, [*FAIR, judged(10, POSSIBLE)], Result.INCONCLUSIVE, (0, 1)),
        ("violations == 0", {}, [*FAIR, judged(10, UNKNOWN)], Result.INCONCLUSIVE, (0, 1)),
        ("violations == 0", {}, [*FAIR, cut_off(10)], Result.INCONCLUSIVE, (0, 3)),
        ("violations == 0", {}, [*FAIR, cut_off(10, begun=False), void(11)], Result.PASS, 0),
        ("violations == 0", {}, [void(0), void(1)], Result.INCONCLUSIVE, 0),
        ("violations == 0", {}, [cut_off(0, begun=False)], Result.INCONCLUSIVE, 0),
        ("violations == 0", {}, [], Result.INCONCLUSIVE, 0),
        ("violations <= 1", {}, [*FAIR, judged(10, POSSIBLE)], Result.WARN, (0, 1)),
        ("violations <= 10", {}, [*FAIR, judged(10, BROKEN)], Result.PASS, 1),
        ("violations < 1", {}, [*FAIR, judged(10, UNKNOWN), judged(11, BROKEN)], Result.FAIL, (1, 2)),
        ("violations == 0", {"rule": "never both"}, [*FAIR, judged(10, POSSIBLE | UNKNOWN)], Result.PASS, 0),
        ("violations == 0", {"rule": "books agree"}, [*FAIR, judged(10, BROKEN)], Result.PASS, 0),
        ("violations == 0", {"rule": "never both"}, [*FAIR, judged(10, BROKEN)], Result.FAIL, 1),
        ("violations == 0", {"rule": "never both"}, [*FAIR, cut_off(10)], Result.INCONCLUSIVE, (0, 1)),
        ("rounds(violated) == 0", {}, FAIR, Result.PASS, 0),
        ("rounds(violated) == 0", {}, [*FAIR, judged(10, BROKEN | {"sold out": Held.VIOLATED})], Result.FAIL, 1),
        ("rounds(violated) == 0", {}, [*FAIR, judged(10, POSSIBLE | UNKNOWN), cut_off(11)],
         Result.INCONCLUSIVE, (0, 2)),
        ("rounds(void) <= 2", {}, [*FAIR, void(10)], Result.PASS, 1),
        ("rounds(void) <= 2", {}, [*FAIR, void(10), void(11), void(12)], Result.FAIL, 3),
        ("rounds(void) == 0", {}, [], Result.INCONCLUSIVE, 0),
        ("rounds(cut_off) == 0", {}, [*FAIR, cut_off(10, begun=False)], Result.FAIL, 1),
        ("rounds(judged) >= 10", {}, FAIR, Result.PASS, 10),
        ("rounds(judged) >= 50", {}, FAIR, Result.FAIL, 10),
        ("rate(violated) < 20%", {}, [*FAIR, judged(10, BROKEN)], Result.PASS, 1 / 11),
        ("rate(violated) < 9%", {}, [*FAIR, judged(10, BROKEN)], Result.FAIL, 1 / 11),
        ("rate(violated) < 9%", {}, [*FAIR, judged(10, POSSIBLE), void(11)], Result.INCONCLUSIVE, (0, 1 / 11)),
        ("rate(violated) < 1%", {}, [*FAIR, cut_off(10)], Result.INCONCLUSIVE, (0, 1 / 11)),
        ("rate(violated) < 1%", {}, [void(0)], Result.INCONCLUSIVE, (None, None)),
        ("rate(void) < 20%", {}, [*FAIR[:9], void(9)], Result.PASS, 0.1),
        ("violations <= 3", {}, [cut_off(0)], Result.INCONCLUSIVE, (0, 3)),
        ("violations <= 3", {}, [*clean(9, contended=0), judged(9, POSSIBLE, contended=False)], Result.INCONCLUSIVE,
         (0, 1)),
        ("rate(violated) < 50%", {}, [*FAIR[:9], CUT_AND_BROKEN, cut_off(11)], Result.PASS, (1 / 11, 2 / 11)),
        ("doubt >= 0", {}, FAIR, Result.PASS, 0),
        ("contention >= 80%", {}, clean(10, contended=9), Result.PASS, 0.9),
        ("contention >= 80%", {}, clean(10, contended=8), Result.WARN, 0.8),
        ("contention >= 80%", {}, clean(10, contended=7), Result.FAIL, 0.7),
        ("contention >= 80%", {}, [*clean(8), *[judged(n, contended=None) for n in (8, 9)]], Result.WARN, (0.8, 1)),
        ("contention >= 80%", {}, [*clean(7), *[judged(n, contended=None) for n in (7, 8)]], Result.INCONCLUSIVE,
         (7 / 9, 1)),
        ("contention >= 80%", {}, [void(0)], Result.INCONCLUSIVE, (None, None)),
        ("won == 4", {"contender": "cancel"}, CONTENDERS, Result.PASS, 4),
        ("won == 8", {"contender": "pay"}, CONTENDERS, Result.INCONCLUSIVE, (8, 17)),
        ("won >= 8", {"contender": "pay"}, CONTENDERS, Result.PASS, (8, 17)),
        ("won <= 7", {"contender": "pay"}, CONTENDERS, Result.FAIL, (8, 17)),
        ("won == 12", {}, CONTENDERS, Result.INCONCLUSIVE, (12, 21)),
        ("refused == 12", {"contender": "pay"}, CONTENDERS, Result.INCONCLUSIVE, (12, 21)),
        ("failed == 4", {"contender": "pay"}, CONTENDERS, Result.PASS, 4),
        ("doubt <= 20", {}, CONTENDERS, Result.PASS, 9),
        ("unsent == 8", {"contender": "pay"}, CONTENDERS, Result.PASS, 8),
        ("rate(failed) < 20%", {"contender": "pay"}, CONTENDERS, Result.PASS, 4 / 41),
        ("rate(won) == 80%", {"contender": "cancel"}, CONTENDERS, Result.PASS, 0.8),
        ("won == 0", {"contender": "cancel"}, [void(0)], Result.INCONCLUSIVE, 0),
        ("rate(won) > 1%", {"contender": "cancel"}, [void(0)], Result.INCONCLUSIVE, (None, None)),
    ],
)  # fmt: skip
def test_rounds_rules_and_contenders(
    text: str, about: dict[str, Any], rounds: list[Round], result: Result, value: Any
) -> None:
    found, seen, note = verdict(text, rounds, **about)
    assert (found, seen) == (result, value if value == (None, None) else pytest.approx(value)), note
    assert note or found is Result.PASS or (found is Result.FAIL and "violat" not in text)


@pytest.mark.parametrize(
    ("rounds", "note"),
    [
        ([void(0)], "no round was judged, and no data is no pass"),
        ([], "no round was due, and no data is no pass"),
        ([*FAIR, judged(10, POSSIBLE)], "of 1 it depends on contenders in doubt, which may have won or not"),
        ([*FAIR, judged(10, UNKNOWN), cut_off(11)],
         "of 1 nobody can tell: no read said anything, or the rule gave neither true nor false; "
         "of 3 it isn't known: the round was cut off"),
        (clean(10, contended=4),
         f"only in 4 of 10 rounds {UNTRIED}"),
        (clean(1, contended=0),
         f"in none of 1 round {UNTRIED}"),
        ([*FAIR, judged(10, BROKEN), judged(11, {"never both": (Held.VIOLATED, "stock -3")})],
         "'never both' was broken in 2 rounds, first in round 10 of flash: stock -1"),
        ([*FAIR, judged(10, {"sold out": Held.VIOLATED})], "'sold out' was broken in round 10 of flash"),
        (clean(8), "pay won 8 of 8 rounds: a race that wasn't tried"),
        (clean(7), ""),
        (FAIR, ""),
    ],
)  # fmt: skip
def test_it_says_why(rounds: list[Round], note: str) -> None:
    assert verdict("violations == 0", rounds)[2] == note


@pytest.mark.parametrize(
    ("text", "rounds", "note"),
    [
        ("contention >= 80%", [*clean(7), judged(7, contended=None), judged(8, contended=None)],
         "of 2 rounds nobody can tell whether requests were in flight at once"),
        ("contention >= 80%", [*clean(3), judged(3, contended=None)],
         "of 1 round nobody can tell whether requests were in flight at once"),
        ("rate(violated) < 1%", [], "no round was due, and no data is no pass"),
        ("rate(won) < 1%", [void(0)], "no contender was due, and no data is no pass"),
        ("won == 14", CONTENDERS, "9 contenders got no answer, and may have won or not"),
        ("rounds(judged) >= 8", clean(8), ""),
        ("violations >= 3", FAIR, ""),
        ("rounds(void) == 0", [void(0)], ""),
        ("violations == 0", [*FAIR, judged(10, {"never both": (Held.VIOLATED, "x" * 301)})],
         f"'never both' was broken in round 10 of flash: {'x' * 299}…"),
        ("violations == 0", [*FAIR, judged(10, {"never both": (Held.VIOLATED, "x" * 300)})],
         f"'never both' was broken in round 10 of flash: {'x' * 300}"),
    ],
)  # fmt: skip
def test_it_says_why_it_is_so(text: str, rounds: list[Round], note: str) -> None:
    assert verdict(text, rounds)[2] == note


def test_half_of_the_rounds_have_to_be_contended_before_rules_that_held_show_anything() -> None:
    assert verdict("violations == 0", [*clean(4, contended=2), both(4)])[0] is Result.PASS
    fair = [replace(both(n), contended=n < 5) for n in range(10)]
    assert verdict("violations == 0", fair)[0] is Result.PASS
    for text in ("violations == 0", "violations <= 3", "rounds(violated) == 0", "rate(violated) < 5%"):
        assert verdict(text, [*fair, replace(both(10), contended=None)])[0] is Result.INCONCLUSIVE, text
    assert (
        verdict("violations == 0", [*clean(10, contended=0), judged(10, BROKEN, contended=False)])[0] is Result.FAIL
    )
    assert verdict("rounds(void) == 0", clean(10, contended=0))[0] is Result.PASS


def test_each_race_has_to_be_contended_by_itself() -> None:
    """What is asked of all races isn't shown by one of them."""
    objective = parse("violations == 0")
    plans = [plan_of(objective), plan_of(objective, name="other")]

    def result(*others: Round) -> tuple[Result, str]:
        rounds = [*FAIR, *(replace(one, scenario=1) for one in others)]
        found = judge(objective, folded(rounds, *plans))
        return found.result, found.note

    assert result(*FAIR)[0] is Result.PASS
    assert result() == (Result.INCONCLUSIVE, "other: no round was due, and no data is no pass")
    lame, why = result(*clean(3, contended=1))
    assert (lame, why.partition(" contenders")[0]) == (Result.INCONCLUSIVE, "other: only in 1 of 3 rounds")
    assert result(judged(0, BROKEN)) == (Result.FAIL, "'never both' was broken in round 0 of other: stock -1")
    assert judge(parse("violations == 0", scenario="flash"), folded(FAIR, *plans)).result is Result.PASS
    assert result(*(both(n) for n in range(3)))[1] == ""
    assert result(*clean(8)) == (Result.PASS, "other: pay won 8 of 8 rounds: a race that wasn't tried")


def test_of_several_races_the_one_that_leaves_it_open_is_named() -> None:
    objective = parse("won == 9")
    plans = [plan_of(objective), plan_of(objective, name="other")]
    doubtful = replace(judged(0, pay=Tally(doubt=3)), scenario=1)
    found = judge(objective, folded([*clean(8), doubtful], *plans))
    assert (found.result, found.observed) == (Result.INCONCLUSIVE, (8, 11))
    assert found.note == "other: 3 contenders got no answer, and may have won or not"


def test_of_several_races_only_those_count_that_have_the_rule_or_the_contender() -> None:
    other = RacePlan(("refund",), ("never twice",))
    rule = RuleResult("never twice", "always", Held.HELD)
    alone = replace(judged(0), scenario=1, rules=(rule,), tallies={"refund": Tally(won=1)}, contended=False)

    def result(text: str, **about: Any) -> tuple[Result, str]:
        objective = parse(text, **about)
        plans = [plan_of(objective), plan_of(objective, race=other, name="other")]
        found = judge(objective, folded([*FAIR, alone], *plans))
        return found.result, found.note

    assert result("won == 10", contender="pay") == (Result.PASS, "")
    assert result("rate(won) == 100%", contender="pay") == (Result.PASS, "")
    assert result("won == 1", contender="refund") == (Result.PASS, "")
    assert result("violations == 0", rule="never both") == (Result.PASS, "")
    assert result("violations == 0", rule="never twice")[0] is Result.INCONCLUSIVE, "nobody contended there"
    assert result("won == 0", contender="nobody")[0] is Result.INCONCLUSIVE


def test_the_example_is_the_earliest_one_of_the_rule_that_is_asked_for() -> None:
    rounds = [*FAIR, judged(10, {"sold out": (Held.VIOLATED, "won 9")}), judged(11, BROKEN)]
    sold_out, never_both = (
        "'sold out' was broken in round 10 of flash: won 9", "'never both' was broken in round 11 of flash: stock -1"
    )  # fmt: skip
    assert verdict("violations == 0", rounds)[2] == sold_out
    assert verdict("violations == 0", rounds, rule="sold out")[2] == sold_out
    assert verdict("violations == 0", rounds, rule="never both")[2] == never_both


def test_what_no_round_was_held_against_is_no_pass() -> None:
    result, _, note = verdict("violations == 0", FAIR, rule="another")
    assert (result, note) == (Result.INCONCLUSIVE, "no rule was looked at, and no data is no pass")
    assert verdict("violations == 0", [void(0)], rule="another")[2] == "no round was judged, and no data is no pass"
    nothing = judge(parse("violations == 0"), Summary())
    assert (nothing.result, nothing.observed) == (Result.INCONCLUSIVE, (0, 0))
    assert nothing.note == "no race was run, and no data is no pass"


def test_a_violation_that_was_seen_stands_whatever_self_checks_say() -> None:
    for text, rounds, witnessed in (
        ("violations == 0", [*FAIR, judged(10, BROKEN)], True),
        ("rounds(violated) <= 0", [*FAIR, judged(10, BROKEN)], True),
        ("violations == 0", [*FAIR, replace(cut_off(10), rules=(RuleResult("x", "always", Held.VIOLATED),))], True),
        ("violations == 0", FAIR, False),
        ("rounds(void) == 0", [void(0)], False),
    ):
        objective = parse(text)
        assert judge(objective, folded(rounds, plan_of(objective))).witnessed is witnessed, text


# -- the time until all is as it should be ---------------------------------------------------------------------------


def settled(count: int, low_ms: int, high_ms: int | None, first: int = 0) -> list[Round]:
    ends = (low_ms * MS, None if high_ms is None else high_ms * MS)
    return [judged(first + n, settled=ends) for n in range(count)]


@pytest.mark.parametrize(
    ("text", "rounds", "result"),
    [
        ("p95(settle) < 2s", settled(100, 100, 200), Result.PASS),
        ("p95(settle) < 2s", [*settled(80, 100, 200), *settled(20, 9000, None, 80)], Result.FAIL),
        ("p95(settle) < 2s", [*settled(80, 100, 200), *settled(20, 1900, 2100, 80)], Result.INCONCLUSIVE),
        ("p95(settle) < 2s", settled(20, 100, 200), Result.INCONCLUSIVE),
        ("p95(settle) < 2s", [void(0), judged(1, settled=None)], Result.INCONCLUSIVE),
        ("max(settle) < 2s", settled(20, 100, 200), Result.PASS),
        ("max(settle) < 2s", [*settled(20, 100, 200), *settled(1, 9000, None, 20)], Result.FAIL),
        ("mean(settle) < 2s", [*settled(20, 100, 200), *settled(1, 9000, None, 20)], Result.INCONCLUSIVE),
        ("share(settle < 1s) >= 90%", settled(100, 100, 200), Result.PASS),
        ("p95(settle) < 2s in any 30s", settled(60, 100, 200), Result.PASS),
        ("p95(settle) < 2s in any 30s", [*settled(60, 100, 200), *settled(3, 9000, None, 60)], Result.FAIL),
    ],
)
def test_the_time_to_settle(text: str, rounds: list[Round], result: Result) -> None:
    found = verdict(text, rounds)
    assert found[0] is result, found


def test_what_has_no_round_to_settle_says_so() -> None:
    note = "no round was judged in which something has to hold in the end, and no data is no pass"
    assert verdict("p95(settle) < 2s", [void(0)]) == (Result.INCONCLUSIVE, (None, None), note)
    assert verdict("p95(settle) < 2s", settled(20, 100, 200))[2] == "needs 59 rounds, has 20"


# -- parts by time, ends of runs, what is read back ------------------------------------------------------------------


def test_rounds_that_were_due_while_something_was_on() -> None:
    objective = parse("violations == 0", during="slow")
    recorder = Recorder([plan_of(objective)], START)
    recorder.marked(Marker("slow", 0, (9 * S, 10 * S), (21 * S, 22 * S)))
    recorder.rounded([*(both(n) for n in range(10)), judged(20, BROKEN)])
    found = judge(objective, recorder.summary())
    assert (found.result, found.observed, found.scope) == (Result.PASS, (0.0, 0.0), "during=slow")
    everywhere = judge(parse("violations == 0"), recorder.summary())
    assert everywhere.result is Result.FAIL


@pytest.mark.parametrize(
    ("text", "rounds", "why"),
    [
        ("violations == 0", [*FAIR, judged(10, BROKEN)], "violations is 1"),
        ("violations == 0", [*FAIR, judged(10, POSSIBLE | UNKNOWN)], None),
        ("rounds(void) <= 2", [void(0), void(1), void(2)], "rounds(void) is 3"),
        ("rounds(void) <= 2", [void(0), void(1)], None),
        ("doubt <= 8", CONTENDERS, "doubt is 9"),
        ("max(settle) < 2s", settled(2, 9000, None), "2 rounds took longer than 2 s"),
        ("max(settle) < 2s", settled(2, 1000, 2500), None),
    ],
)
def test_a_run_may_end_when_a_number_of_rounds_is_past_keeping(
    text: str, rounds: list[Round], why: str | None
) -> None:
    objective = parse(text, abort_after_ns=0)
    found = reason_to_abort([objective], folded(rounds, plan_of(objective)), 60 * S)
    assert found == (None if why is None else (objective, f"ended after 1m0s: {why}"))


def test_a_share_of_rounds_that_are_still_to_come_ends_no_run() -> None:
    """However it is asked: nobody could write it, but what is read from an older ledger might say so."""
    for text in ("rate(violated) < 1%", "contention >= 80%", "p95(settle) < 2s", "rounds(judged) >= 50"):
        objective = replace(parse(text), abort_after_ns=0)
        rounds = [judged(n, BROKEN, contended=False, settled=(9 * S, None)) for n in range(100)]
        if text != "rounds(judged) >= 50":
            assert judge(objective, folded(rounds, plan_of(objective))).result is Result.FAIL
        assert reason_to_abort([objective], folded(rounds, plan_of(objective)), 60 * S) is None, text


def test_how_it_stands_while_the_run_goes_on() -> None:
    def state(text: str, rounds: Sequence[Round]) -> str:
        objective = parse(text)
        return standing(objective, folded(rounds, plan_of(objective)), 60 * S, {}, NOTHING).state

    assert state("violations == 0", FAIR) == "holds"
    assert state("violations == 0", []) == "open"
    assert state("violations == 0", [*FAIR, judged(10, BROKEN)]) == "broken"
    assert state("rounds(judged) >= 50", FAIR) == "open"
    assert state("contention >= 80%", clean(10, contended=2)) == "open"
    assert state("p95(settle) < 2s", settled(100, 100, 200)) == "holds"


ASKED: Sequence[Objective] = [
    parse("violations == 0", rule="never both", scenario="flash"), parse("violations == 0", during="slow"),
    parse("won == 10", contender="pay"), parse("rate(refused) < 90%", contender="pay"), parse("contention >= 80%"),
    parse("rate(violated) < 1%"), parse("rounds(judged) >= 50"), parse("p95(settle) < 2s", critical="5s"),
]  # fmt: skip


def test_objectives_about_rounds_are_read_back_as_they_were_written() -> None:
    assert [from_data(one.as_data(), {}) for one in ASKED] == ASKED
    again = Criteria.from_data(Criteria(ASKED, SelfCheckPolicy(), {}).as_data(), {})
    assert again.objectives == ASKED
    assert {"rule", "contender"}.isdisjoint(parse("lost == 0").as_data())


def test_what_was_observed_is_said_in_its_own_unit() -> None:
    summary = folded(FAIR, plan_of(*ASKED))
    shown = {one.title: judge(one, summary) for one in ASKED}
    assert {title: (unit_of(one), observed(one)) for title, one in shown.items()} == {
        "violations == 0 [flash, rule=never both]": ("count", "0"),
        "violations == 0 [during=slow]": ("count", "no data"),
        "won == 10 [contender=pay]": ("count", "10"),
        "rate(refused) < 90% [contender=pay]": ("share", "0 %"),
        "contention >= 80%": ("share", "100 %"),
        "rate(violated) < 1%": ("share", "0 %"),
        "rounds(judged) >= 50": ("count", "10"),
        "p95(settle) < 2s": ("time", "100 … 200 ms"),
    }


# -- errors, among which no read counts ------------------------------------------------------------------------------


def with_reads(*objectives: Objective) -> Summary:
    """Ten contenders, of which one was refused for good by a broken server, and ten reads, of which five failed."""
    counted = Counted(counter_steps=tuple({about for one in objectives for about in one.counter_steps}))
    recorder = Recorder([ScenarioPlan("flash", False, 0, counted, race=RACE)], START)
    for n in range(20):
        at = START + n * S
        bad = n == 4 or n in (1, 3, 5, 7, 9)
        state = State.REJECTED if bad else State.UNOBSERVED
        seen = Observation(n, 0, 2 if n % 2 else 0, state, at, sent_ns=at, acked_ns=at + 5, settled_ns=at + 5)
        recorder.expect(0, [(n, at, None, seen.type)])
        recorder.settle([seen])
    return recorder.summary()


@pytest.mark.parametrize(
    ("text", "result", "value"),
    [
        ("errors <= 1", Result.WARN, 1),
        ("errors == 0", Result.FAIL, 1),
        ("rate(errors) < 11%", Result.WARN, 0.1),
        ("rate(errors) < 10%", Result.FAIL, 0.1),
        ("rejected == 6", Result.PASS, 6),
        ("rate(errors) < 21% in any 10s", Result.PASS, 0.2),
    ],
)
def test_a_read_that_failed_is_no_error_of_the_load(text: str, result: Result, value: float) -> None:
    objective = parse(text)
    found = judge(objective, with_reads(objective))
    assert found.result is result, found
    assert found.observed[0] == pytest.approx(value)
