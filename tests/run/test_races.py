"""Whole runs of races, in virtual time, against shops in which it is planted what they do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evload.model.report import Result
from tests.rigs.racing_shop import Shop, race
from tests.rigs.virtual_runs import Ran
from tests.servers.httpserver import Request, Step, json_answer

VIEW = '{kind: http, url: "http://127.0.0.1:8080/inventory/{correlation_id}"}'
BUS = '{kind: http, url: "http://127.0.0.1:8080/inventory/{data.item}/reserve"}'
LOOK = '{wait: view, of: "{item}", until: "body.available == `9`"'
VIOLATED, POSSIBLE, UNKNOWN = 2, 3, 4
JUDGED, VOID, CUT_OFF = 1, 2, 3


def broken(ran: Ran[Shop], held: int = VIOLATED) -> set[tuple[int, str]]:
    """The rounds and the rules that were found so."""
    return {(row["number"], row["rule"]) for row in ran.rows(f"SELECT * FROM round_rules WHERE held = {held}")}


def rounds(ran: Ran[Shop], end: int) -> set[int]:
    """Those that ended so."""
    return {row["number"] for row in ran.rows(f"SELECT number FROM rounds WHERE round_end = {end}")}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_planted_is_found_and_nothing_else(seed: int, tmp_path: Path) -> None:
    kind = ("oversells", "reads and writes", "loses", "right")[seed % 4]
    ran = race(Shop(kind, 0.4, seed), tmp_path, ("count: 8", "count: 5"))  # type: ignore[arg-type]
    shop = ran.record
    expected = set()
    for item in shop.items:
        # What the shop itself has in the end, beside what it said.
        expected |= {(item.number, "never oversold")} if item.least < 0 else set()
        expected |= {(item.number, "books agree")} if item.reserved != item.won else set()
        expected |= {(item.number, "sold out")} if item.won != 3 else set()
    assert broken(ran) == expected
    assert {number for number, _ in expected} <= shop.planted
    if kind in ("oversells", "loses"):
        assert {number for number, _ in expected} == shop.planted
    assert (broken(ran, POSSIBLE), broken(ran, UNKNOWN)) == (set(), set())
    assert rounds(ran, JUDGED) == set(range(5))
    assert ran.report.verdict is (Result.FAIL if expected else Result.PASS)
    found = ran.found("violations == 0")
    assert found.observed == (len(expected), len(expected))


def test_a_shop_that_thinks_between_reading_and_writing_is_caught(tmp_path: Path) -> None:
    ran = race(Shop("reads and writes", 1.0), tmp_path)
    assert {number for number, rule in broken(ran) if rule == "sold out"} == set(range(8))
    assert ran.found("violations == 0").result is Result.FAIL
    (told,) = {row["told"] for row in ran.rows("SELECT told FROM round_rules WHERE number = 0 AND held = 2")}
    assert told == "read 2 s after the last answer: reserve: 12 won"


def test_a_round_whose_set_up_fails_is_void_and_takes_no_part(tmp_path: Path) -> None:
    ran = race(Shop("breaks", 0.4), tmp_path, ("[violations == 0]", "[violations == 0, rounds(void) <= 2]"))
    assert rounds(ran, VOID) == ran.record.planted
    assert rounds(ran, JUDGED) == set(range(8)) - ran.record.planted
    assert len(ran.record.planted) == 4
    assert {row["reason"] for row in ran.rows("SELECT reason FROM rounds WHERE round_end = 2")} == {
        "item: HTTP 503: {}"
    }
    assert ran.found("violations == 0").result is Result.PASS
    assert ran.found("rounds(void) <= 2").result is Result.FAIL


def test_rounds_that_all_fail_their_set_up_prove_nothing(tmp_path: Path) -> None:
    ran = race(Shop("breaks", 1.0), tmp_path)
    assert ran.report.verdict is Result.INCONCLUSIVE
    assert ran.found("violations == 0").result is Result.INCONCLUSIVE


def test_a_run_that_is_stopped_cuts_off_what_is_under_way(tmp_path: Path) -> None:
    # Round 2 is due at 6 s; 30 ms later its contenders are on their way.
    ran = race(Shop(thinks_s=(0.1, 0.2)), tmp_path, stop_s=6.05)
    assert (rounds(ran, JUDGED), rounds(ran, VOID)) == ({0, 1}, set())
    cut = ran.rows("SELECT number, started_ns, reason FROM rounds WHERE round_end = 3 ORDER BY number")
    assert [(row["number"], row["reason"]) for row in cut] == [(2, "the run was stopped")]
    assert cut[0]["started_ns"] is not None
    assert broken(ran) == set()
    assert sum(1 for row in ran.events() if row["state"] == 4) == 0  # all answers were waited for


def test_what_was_broken_for_sure_before_the_run_is_stopped_counts(tmp_path: Path) -> None:
    ran = race(Shop("oversells", 1.0), tmp_path, ("confirm: 500ms", "confirm: 2s"), stop_s=6.5)
    assert rounds(ran, CUT_OFF) == {2}
    assert (2, "never oversold") in broken(ran)
    assert ran.found("violations == 0").result is Result.FAIL


def test_without_contention_a_clean_result_is_inconclusive_and_says_why(tmp_path: Path) -> None:
    shop = Shop(thinks_s=(0.0001, 0.0002))
    ran = race(shop, tmp_path, ("{times: 12,", "{times: 12, offset: 0ms..2s,"))
    assert ran.report.verdict is Result.INCONCLUSIVE
    found = ran.found("violations == 0")
    assert (found.result, found.observed) == (Result.INCONCLUSIVE, (0, 0))
    assert "contend" in found.note or "in flight" in found.note
    assert {row["contended"] for row in ran.rows("SELECT contended FROM rounds")} == {0}


def test_contenders_in_doubt_make_an_interval(tmp_path: Path) -> None:
    # The shop takes the third one and says nothing: three are gone, and two were told that they have theirs.
    ran = race(Shop("is silent", 0.5), tmp_path)
    planted = ran.record.planted
    assert len(planted) == 3
    assert broken(ran) == set()
    assert broken(ran, POSSIBLE) == {(one, rule) for one in planted for rule in ("books agree", "sold out")}
    found = ran.found("violations == 0")
    assert (found.result, found.observed) == (Result.INCONCLUSIVE, (0, 6))
    doubt = ran.rows("SELECT number FROM round_contenders WHERE doubt = 1")
    assert {row["number"] for row in doubt} == planted
    assert [row["answer"] for row in ran.events() if row["state"] == 4] == [None] * 3


def test_a_right_shop_always_has_what_it_answered_and_what_is_on_its_way(tmp_path: Path) -> None:
    # Reads come while others are on their way: those may be in what is read, or not yet.
    agree = 'always: {agree: "stock.reserved == won.reserve", never oversold:'
    changes = (("always: {never oversold:", agree), ("{times: 12,", "{times: 12, offset: 0ms..60ms,"))
    ran = race(Shop(thinks_s=(0.005, 0.06)), tmp_path, *changes)
    assert [broken(ran, held) for held in (VIOLATED, POSSIBLE, UNKNOWN)] == [set()] * 3
    assert ran.report.verdict is Result.PASS
    (tmp_path / "planted").mkdir()
    ran = race(Shop("counts late", 0.5, thinks_s=(0.005, 0.06)), tmp_path / "planted", *changes)
    assert broken(ran) == {(number, "agree") for number in ran.record.planted}
    assert len(ran.record.planted) == 5
    told = ran.rows("SELECT told FROM round_rules WHERE held = 2")
    assert any("before all were answered" in row["told"] for row in told)


def test_a_rule_that_gives_null_is_told_once_and_is_unknown(tmp_path: Path) -> None:
    ran = race(Shop(), tmp_path, ("stock.available >= `0`", "stock.avail >= `0`"))
    assert broken(ran, UNKNOWN) == {(number, "never oversold") for number in range(8)}
    (remark,) = ran.report.summary.vitals.remarks
    assert remark.startswith(
        "race flash-sale: rule 'never oversold': it gives null, and neither true nor false (read "
    )
    assert 'stock = {"available":' in remark
    assert ran.found("violations == 0").result is Result.INCONCLUSIVE


class Unreadable(Shop):
    """Can't say what it has of the second item."""

    def script(self, request: Request) -> Iterator[bytes | float | Step]:
        if request.method == "GET" and request.target == "/inventory/1":
            yield json_answer(b'{"available": -9}', 500)
        else:
            yield from super().script(request)


def test_reads_that_fail_say_nothing_and_are_no_errors_of_the_load(tmp_path: Path) -> None:
    ran = race(Unreadable(), tmp_path, ("[violations == 0]", "[violations == 0, errors == 0]"))
    assert broken(ran) == set()
    assert broken(ran, UNKNOWN) == {(1, "never oversold"), (1, "books agree")}
    assert ran.found("errors == 0").result is Result.PASS
    assert ran.found("violations == 0").result is Result.INCONCLUSIVE
    (told,) = {row["told"] for row in ran.rows("SELECT told FROM round_rules WHERE held = 4")}
    assert told == "no read said anything"


def test_contenders_are_due_at_one_instant_and_drawn_from_the_seed(tmp_path: Path) -> None:
    due = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ran = race(Shop(seed=len(name)), tmp_path / name, ("{times: 12,", "{times: 12, offset: 0ms..5ms,"))
        started = {row["number"]: row["started_ns"] for row in ran.rows("SELECT * FROM rounds")}
        due.append([row["intended_ns"] - started[row["iteration"]] for row in ran.events() if row["type"] == 1])
    assert due[0] == due[1]
    assert len(set(due[0])) > 90
    assert all(0 <= one <= 5_000_000 for one in due[0])
    assert min(due[0]) < 200_000
    assert max(due[0]) > 4_800_000
    (tmp_path / "at once").mkdir()
    ran = race(Shop(), tmp_path / "at once")
    started = {row["number"]: row["started_ns"] for row in ran.rows("SELECT * FROM rounds")}
    assert {row["intended_ns"] - started[row["iteration"]] for row in ran.events() if row["type"] == 1} == {0}


def test_a_set_up_may_wait_and_contenders_may_be_events_to_any_producer(tmp_path: Path) -> None:
    changes = (
        ("producers: {", f"producers: {{bus: {BUS}, "),
        (
            "scenarios:\n",
            "events: {placed: {type: order.placed, source: /evload, data: {item: '{item}', who: '{user}'}}}\n"
            f"probes: {{view: {VIEW}}}\nscenarios:\n",
        ),
        (
            "capture: {item: body.id}}}]",
            "capture: {item: body.id}}}, {seen: " + LOOK.replace("9", "3") + "}}]",
        ),
        (
            'json: {order: "{uuid}"}, refused: [409]}\n',
            "refused: [409]}\n        tell: {times: 4, to: bus, event: placed}\n",
        ),
        ('sold out: "won.reserve == `3`"', 'sold out: "sum(values(won)) == `3` && sum(values(failed)) <= `4`"'),
        ("stock.reserved == won.reserve", "stock.reserved == sum(values(won))"),
    )  # fmt: skip
    ran = race(Shop(), tmp_path, *changes)
    assert ran.report.verdict is Result.PASS, ran.told
    assert rounds(ran, JUDGED) == set(range(8))
    told = ran.rows("SELECT sum(won) AS won, sum(refused) AS refused, sum(failed) AS failed FROM round_contenders")
    assert sum(told[0].values()) == 8 * 16
    assert told[0]["won"] == 24
    assert {item.reserved for item in ran.record.items} == {3}


def test_a_set_up_that_waits_in_vain_leaves_its_round_void(tmp_path: Path) -> None:
    changes = (
        ("scenarios:\n", f"probes: {{view: {VIEW}}}\nscenarios:\n"),
        ("capture: {item: body.id}}}]", "capture: {item: body.id}}}, {seen: " + LOOK + ", within: 1s}}]"),
    )  # fmt: skip
    ran = race(Shop(), tmp_path, *changes)
    assert rounds(ran, VOID) == set(range(8))
    assert {row["reason"] for row in ran.rows("SELECT reason FROM rounds")} == {"seen: it wasn't shown in time"}
    assert ran.report.verdict is Result.INCONCLUSIVE
