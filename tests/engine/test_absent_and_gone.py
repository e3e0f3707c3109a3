"""Steps that watch that nothing appears, and that wait until something is gone, against a shop that remembers when it
showed what: over HTTP, in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

from evload.formats.html.render import render
from evload.formats.markdown import markdown
from evload.ledger.reader import LedgerReader
from evload.model.iteration import End
from evload.model.report import Result
from evload.model.states import State
from evload.report.build import build_again
from evload.report.document import document
from evload.report.journeys import funnels
from tests.rigs.virtual_runs import PRECISE_S, Ran
from tests.rigs.watched_orders import Shop, Spans, run_shop

NONE = """\
      - ship:
          to: shop
          put: "/orders/{order}"
          refused: [409]
          else: [{none: {absent: view, of: "{order}", for: 2s}}, {continue: true}]
"""
CLOSE = """\
      - close: {to: shop, delete: "/orders/{order}"}
      - closed: {gone: view, of: "{order}", within: 2s}
"""
SEEN = '      - seen: {wait: view, of: "{order}", within: 3s}\n'
NEVER: Spans = ()
ALWAYS: Spans = ((-9, 9),)
NOT_APPEARED = {"objective": "appeared == 0", "step": "none"}


def rows_of(ran: Ran[Shop], step: str) -> dict[int, Mapping[str, Any]]:
    """The rows of a step, by the numbers of their orders."""
    name = f"buyers: order.{step}"
    number = list(ran.report.summary.scenarios).index(name)
    rows = [row for row in ran.events() if row["scenario"] == number]
    return {int(row["capture"].removeprefix("o")): row for row in rows}


def ends_of(ran: Ran[Shop]) -> dict[int, tuple[End, str, str]]:
    """How each iteration ended, at which step and why."""
    rows = ran.rows("SELECT * FROM iterations")
    return {row["number"]: (End(row["ended_as"]), row["step"] or "", row["reason"] or "") for row in rows}


def assert_holds(ran: Ran[Shop], order: int, row: Mapping[str, Any], after_s: float) -> None:
    """The bracket holds the moment at which the view began, or ceased, to show an order."""
    at_s = ran.record.acted[order] + after_s - ran.began_s()
    lower_ns = row["sent_ns"] if row["first_lower_ns"] is None else row["first_lower_ns"]
    assert lower_ns / 1e9 - PRECISE_S <= at_s <= row["first_upper_ns"] / 1e9 + PRECISE_S
    assert row["first_upper_ns"] - lower_ns < 0.12e9


def assert_books(ran: Ran[Shop]) -> None:
    """The sums close, and the report made again from the ledger says the same."""
    assert [one.result for one in ran.report.checks if one.name == "ledger closes"] == [Result.PASS]
    with LedgerReader(ran.ledger) as ledger:
        again = build_again(ledger, ran.ledger.parent)
    assert document(again) | {"started_at": ""} == document(ran.report) | {"started_at": ""}


# -- absent ----------------------------------------------------------------------------------------------------


def test_what_appears_is_counted_and_named_with_the_bracket_of_when(tmp_path: Path) -> None:
    """Of twenty orders that were refused four appear after 700 ms. Of one all reads fail, of another those after a
    second, so that nobody knows of them."""
    shop = Shop(
        shown=lambda n: ((0.7, 9),) if n % 5 == 1 else NEVER,
        down=lambda n: ALWAYS if n == 8 else ((1, 9),) if n == 9 else NEVER,
    )
    ran = run_shop(shop, tmp_path, NONE, [NOT_APPEARED, "rate(completed) >= 70%"])
    rows = rows_of(ran, "none")
    assert {order: row["appeared"] for order, row in rows.items()} == {
        order: 1 if order % 5 == 1 else 2 if order in (8, 9) else 0 for order in range(20)
    }
    for order in (1, 6, 11, 16):
        assert_holds(ran, order, rows[order], 0.7)
        assert rows[order]["state"] == State.VISIBLE
        assert ends_of(ran)[order] == (End.FAILED, "none", "it appeared")
    for order in (8, 9):
        assert ends_of(ran)[order] == (End.FAILED, "none", "no read said at the end whether it had appeared")
    others = set(range(20)) - {1, 6, 11, 16, 8, 9}
    assert {ends_of(ran)[order] for order in others} == {(End.COMPLETED, "", "")}
    assert min(rows[order]["settled_ns"] - rows[order]["acked_ns"] for order in others) >= 2e9, "all of the time"
    assert max(rows[order]["settled_ns"] - rows[order]["acked_ns"] for order in others) < 2.1e9
    found = ran.found("appeared == 0 [event=order.none]")
    assert (found.result, found.observed, found.witnessed) == (Result.FAIL, (4.0, 6.0), True)
    assert [worst.figure.split(" … ")[1] for worst in found.worst] == ["710 ms", "730 ms", "732 ms", "732 ms"]
    assert "the target calls it o1" in [text for _, text in found.worst[0].log]
    sentences = [one.sentence for one in ran.report.insights]
    assert "4 of 20 times something appeared where nothing may (20 %): buyers: order.none." in sentences
    assert ran.found("rate(completed) >= 70%").observed == (0.7, 0.7)
    assert_books(ran)


def test_what_stays_absent_is_neither_lost_nor_late(tmp_path: Path) -> None:
    ran = run_shop(Shop(), tmp_path, NONE)
    assert [(one.expression, one.result.value) for one in ran.report.objectives] == [
        ("errors == 0", "pass"), ("failed == 0", "pass"),
    ]  # fmt: skip
    assert ran.report.verdict.value == "pass"
    ledger = ran.report.summary.total().ledger
    assert {name: ledger[name] for name in ("acked", "unobserved", "visible", "lost", "ended", "regressed")} == {
        "acked": 60, "unobserved": 60, "visible": 0, "lost": 0, "ended": 0, "regressed": 0,
    }  # fmt: skip
    assert "consistency" not in ran.report.summary.total().distributions
    (funnel,) = funnels(ran.report.summary)
    assert [(step.name, step.reached, step.ok, step.failed) for step in funnel.steps] == [
        ("make", 20, 20, 0), ("ship", 20, 0, 0), ("none", 20, 20, 0),
    ]  # fmt: skip
    assert funnel.steps[2].times is None
    assert_books(ran)


def test_a_run_that_was_asked_nothing_passes_by_what_was_looked_at(tmp_path: Path) -> None:
    assert run_shop(Shop(), tmp_path, NONE, [], load="[{burst: 2}]").report.verdict.value == "pass"


def test_a_step_may_be_named_with_its_scenario(tmp_path: Path) -> None:
    shop = Shop(shown=lambda n: (((2.5, 9),), ((0.3, 9),), NEVER)[n])
    slos = [
        {**NOT_APPEARED, "scenario": "buyers"},
        {"objective": "max(wait) < 1s", "step": "seen", "scenario": "buyers"},
    ]
    ran = run_shop(shop, tmp_path, NONE + SEEN, slos, load="[{rate: 1/s, for: 3s}]")
    appeared, wait = ran.report.objectives
    assert (appeared.result, appeared.observed) == (Result.FAIL, (1.0, 1.0))
    assert [worst.event for worst in appeared.worst] == ["order.none"]
    assert (wait.result, [worst.event for worst in wait.worst]) == (Result.FAIL, ["order.seen"])


def test_a_pass_needs_reads_that_said_something(tmp_path: Path) -> None:
    ran = run_shop(Shop(down=lambda n: ALWAYS), tmp_path, NONE, [NOT_APPEARED])
    found = ran.found("appeared == 0 [event=order.none]")
    assert (found.result, found.observed) == (Result.INCONCLUSIVE, (0.0, 20.0))
    assert found.note == "no read said whether anything appeared"
    assert ran.report.verdict.value == "inconclusive"
    assert_books(ran)


def test_one_of_which_nobody_knows_leaves_it_open(tmp_path: Path) -> None:
    shop = Shop(down=lambda n: ALWAYS if n == 3 else NEVER)
    ran = run_shop(shop, tmp_path, NONE, [NOT_APPEARED, "appeared <= 1"])
    one, other = ran.report.objectives
    assert (one.result, one.note) == (Result.INCONCLUSIVE, "of 1 no read said whether they appeared")
    assert (other.result, other.observed) == (Result.WARN, (0.0, 1.0))


def test_a_run_that_is_stopped_cuts_off_what_is_watched_and_passes_nothing_of_it(tmp_path: Path) -> None:
    minute = NONE.replace("for: 2s", "for: 1m")
    ran = run_shop(Shop(), tmp_path, minute, [NOT_APPEARED], load="[{rate: 2/s, for: 4s}]", stop_s=10)
    assert ends_of(ran) == dict.fromkeys(range(8), (End.CUT_OFF, "none", "the run was stopped"))
    assert {(row["appeared"], row["state"]) for row in rows_of(ran, "none").values()} == {(2, State.PENDING)}
    found = ran.found("appeared == 0 [event=order.none]")
    assert (found.result, found.observed) == (Result.INCONCLUSIVE, (0.0, 8.0))
    assert_books(ran)


def test_what_is_still_waited_for_when_a_stopped_run_gives_up_is_told_of(tmp_path: Path) -> None:
    wait = SEEN.replace("within: 3s", "within: 1m")
    ran = run_shop(Shop(), tmp_path, wait, load="[{rate: 2/s, for: 4s}]", stop_s=10)
    assert ends_of(ran) == dict.fromkeys(range(8), (End.CUT_OFF, "seen", "the run was stopped"))
    assert_books(ran)


def test_what_appeared_may_be_gone_on_with(tmp_path: Path) -> None:
    steps = NONE.replace("for: 2s}}", "for: 2s, on_failed: [{tell: {to: shop, post: /orders}}, {continue: true}]}}")
    ran = run_shop(Shop(shown=lambda n: ALWAYS if n == 0 else NEVER), tmp_path, steps, load="[{rate: 1/s, for: 3s}]")
    assert {end for end, _, _ in ends_of(ran).values()} == {End.COMPLETED}
    assert len(ran.record.made) == 4, "three orders, and one that tells of it"


# -- gone ------------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_gone_within_a_bracket_and_what_never_goes_stays_in_the_percentiles(
    tmp_path: Path,
) -> None:
    """Of every five orders two go after 700 ms, one never, one at once, and one after 300 ms, and is there again
    after 900 ms. Of the tenth no read says anything."""
    goes = {0: 0.7, 2: 0.0, 3: 0.3, 4: 0.7}
    shop = Shop(
        shown=lambda n: ((-9, goes.get(n % 5, 9)), *(((0.9, 9),) if n % 5 == 3 else ())),
        down=lambda n: ((0, 9),) if n == 10 else NEVER,
        refuses=lambda n: False,
    )
    slos = [
        {"objective": "p80(wait) < 1s", "step": "closed"},
        {"objective": "lost == 0", "step": "closed"},
        {"objective": "regressed <= 4", "step": "closed"},
        {"objective": "max(wait) < 100ms", "step": "seen"},
    ]
    ran = run_shop(shop, tmp_path, f"      - think: 300ms\n{SEEN}      - think: 100ms\n{CLOSE}", slos)
    rows, ends = rows_of(ran, "closed"), ends_of(ran)
    for order, row in rows.items():
        kind = order % 5
        if order == 10:
            assert (row["gone"], row["state"]) == (2, State.UNOBSERVED)
            assert ends[order] == (End.FAILED, "closed", "no read said anything of it in time")
        elif kind == 1:
            assert (row["gone"], row["state"], row["first_upper_ns"]) == (0, State.LOST, None)
            assert ends[order] == (End.FAILED, "closed", "it wasn't gone in time")
        else:
            assert (row["gone"], row["state"]) == (1, State.REGRESSED if kind == 3 else State.VISIBLE)
            assert ends[order] == (End.COMPLETED, "", "")
            if kind == 2:
                assert row["first_lower_ns"] is None, "it was gone before the first look, and had been seen before"
                assert row["first_upper_ns"] - row["acked_ns"] < 0.01e9
            else:
                assert_holds(ran, order, row, goes[kind])
    assert {order % 5 for order in rows} == set(range(5))
    closed = ran.report.summary.scenarios["buyers: order.closed"]
    wait = closed.distributions["first_seen"]
    assert (wait.count, wait.upper.total - wait.censored) == (20, 15)
    assert ran.found("p80(wait) < 1s [event=order.closed]").observed[1] is None, "a fifth never goes"
    lost, regressed, seen = ran.report.objectives[1:]
    assert (lost.result, lost.observed) == (Result.FAIL, (4.0, 5.0))
    assert (regressed.result, regressed.observed[0]) == (Result.INCONCLUSIVE, 4.0)
    assert seen.result is Result.PASS
    assert ran.report.summary.scenarios["buyers: order.seen"].ledger["regressions"] == 0, "it is to be missing again"
    sentences = " ".join(one.sentence for one in ran.report.insights)
    assert "4 of 20 times what was to go was still there (20 %) in buyers: order.closed" in sentences
    assert "4 of 20 times what had gone was there again (20 %) in buyers: order.closed" in sentences
    assert "never seen" not in sentences
    (funnel,) = funnels(ran.report.summary)
    step = funnel.steps[-1]
    assert (step.name, step.reached, step.ok, step.failed, step.metric) == ("closed", 20, 15, 5, "first_seen")
    followed = ran.report.summary.followed()
    assert (followed["acked"], followed["visible"]) == (40, 31), "of what was waited for, and not of what was sent"
    assert ran.report.timeline is not None
    percentiles = markdown(ran.report).partition("## Percentiles")[2].partition("\n## ")[0].splitlines()
    told = [line.split("|")[1].strip() for line in percentiles if "order.closed |" in line]
    assert told == ["gone", "gone for good", "end_to_end"]
    page = render(ran.report, ran.report.timeline, [])
    assert "until it wasn't there any more, and stayed away" in unescape(page)
    assert '<dt>visible</dt><dd><span class="figure">77.5 %</span>' in page
    assert_books(ran)


def test_a_funnel_has_the_steps_as_they_stand_in_the_journey(tmp_path: Path) -> None:
    """Whichever was come to first: what follows a refusal only once, what fails never."""
    alarm = SEEN.replace("3s", "3s, on_failed: [{alarm: {to: shop, post: /orders}}, {continue: true}]")
    shop = Shop(shown=lambda n: ALWAYS if n < 4 else NEVER, refuses=lambda n: n == 3)
    ran = run_shop(shop, tmp_path, alarm + NONE + CLOSE, [], load="[{rate: 1/s, for: 4s}]")
    with LedgerReader(ran.ledger) as ledger:
        again = build_again(ledger, ran.ledger.parent)
    for report in (ran.report, again):
        (funnel,) = funnels(report.summary)
        assert [(step.name, step.reached) for step in funnel.steps] == [
            ("make", 4), ("seen", 4), ("alarm", 0), ("ship", 4), ("none", 1), ("close", 3), ("closed", 3),
        ]  # fmt: skip


def test_a_wait_is_no_publish_that_was_answered_at_once(tmp_path: Path) -> None:
    """Of what is asked of all publishes each is one that was sent."""
    shop = Shop(shown=lambda n: ALWAYS, refuses=lambda n: False)
    ran = run_shop(shop, tmp_path, SEEN + CLOSE, ["min(publish) < 1s", "p50(publish) < 100ms"])
    least, _ = ran.report.objectives
    assert least.observed == (0.002, 0.002)
    distributions = ran.report.summary.total().distributions
    assert distributions["publish"].count == distributions["schedule_delay"].count == len(shop.made) + len(shop.acted)
    assert_books(ran)


def test_what_was_never_there_is_no_proof_that_it_went(tmp_path: Path) -> None:
    """Nothing is looked at before it is deleted. A third is never there, a third goes after half a second, a third
    comes and goes."""
    shop = Shop(
        shown=lambda n: (NEVER, ((-9, 0.5),), ((0.4, 0.8),))[n % 3],
        refuses=lambda n: False,
    )
    slos = [{"objective": "lost == 0", "step": "closed"}, {"objective": "unobserved == 0", "step": "closed"}]
    ran = run_shop(shop, tmp_path, CLOSE, slos, load="[{rate: 3/s, for: 5s}]")
    rows, ends = rows_of(ran, "closed"), ends_of(ran)
    for order, row in rows.items():
        if order % 3 == 0:
            assert (row["gone"], row["state"], row["first_lower_ns"]) == (2, State.UNOBSERVED, None)
            assert row["failed_reads"] == 0
            why = "no read showed it before, so nobody knows that it went"
            assert ends[order] == (End.FAILED, "closed", why)
        else:
            assert (row["gone"], row["state"]) == (1, State.VISIBLE)
            assert_holds(ran, order, row, 0.5 if order % 3 == 1 else 0.8)
    lost, unobserved = ran.report.objectives
    assert (lost.result, lost.observed, lost.note) == (Result.INCONCLUSIVE, (0.0, 5.0), "5 not observed")
    assert (unobserved.result, unobserved.observed) == (Result.FAIL, (5.0, 5.0))
    assert [one.sentence for one in ran.report.insights] == [
        "5 of 15 times no read showed what was to go, so nobody knows that it went: buyers: order.closed."
    ]
    assert_books(ran)


def test_a_probe_that_looks_in_the_wrong_place_proves_nothing(tmp_path: Path) -> None:
    ran = run_shop(Shop(refuses=lambda n: False), tmp_path, CLOSE, [{"objective": "lost == 0", "step": "closed"}])
    (found,) = ran.report.objectives
    assert (found.result, found.note) == (Result.INCONCLUSIVE, "no event was watched to the end")
    assert ran.report.verdict.value == "inconclusive"


def test_what_never_goes_is_no_blindness(tmp_path: Path) -> None:
    shop = Shop(shown=lambda n: ALWAYS, refuses=lambda n: False)
    ran = run_shop(shop, tmp_path, CLOSE, [{"objective": "lost == 0", "step": "closed"}])
    (found,) = ran.report.objectives
    assert (found.result, found.observed, found.witnessed) == (Result.FAIL, (20.0, 20.0), True)
