"""Objectives on the checks that answers are held against, by the step and by the journey: as a config says them, and
against a shop in virtual time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evload.judging.judge import judge
from evload.ledger.reader import LedgerReader
from evload.model.iteration import End, Iteration
from evload.model.report import Result
from evload.objectives.grammar import from_data, parse
from evload.report.build import build_again
from evload.report.document import document
from evload.summary.fold_plan import ScenarioPlan
from evload.summary.recorder import Recorder
from tests.config.test_bad_config import Bad, lines_of, load
from tests.rigs.watched_orders import Shop, run_shop

S = 1_000_000_000
STEPS = """\
      - again:
          to: shop
          post: /orders
          json: {}
          expect: [201]
          check: {own: "body.own", named: "body.id", other: "body.id != vars.order"}
"""
GOOD = f"""\
producers:
  shop: {{kind: http, url: "http://localhost:8080"}}
journeys:
  order:
    steps:
      - make: {{to: shop, post: /orders, check: {{own: body.own}}, capture: {{order: body.id}}}}
{STEPS}
  look:
    steps: [{{see: {{to: shop, get: /x, check: {{seen: body.x}}}}}}]
scenarios:
  buyers: {{journeys: [order, look], load: [{{users: 5, for: 1m}}]}}
slos:
  - {{objective: rate(failed) < 1%, check: own, step: again}}
  - {{objective: failed == 0, check: own}}
"""


def test_an_objective_on_a_check_is_read_as_it_is_meant() -> None:
    one, other = load(GOOD).config.slos
    assert (one.check, one.step, one.journey, one.event, one.subject) == ("own", "again", "order", None, "failed")
    assert one.title == "rate(failed) < 1% [journey=order,step=again,check=own]"
    assert (other.check, other.step, other.journey) == ("own", None, None)
    assert from_data(one.as_data(), {}).check == "own"


@pytest.mark.parametrize(
    "bad",
    [
        Bad("check: own, step: again", "check: onw, step: again", "19:43", "unknown check 'onw' of step 'again'",
            "did you mean 'own'?"),
        Bad("check: own, step: again", "check: seen, step: again", "19:43", "unknown check 'seen' of step 'again'",
            "what there is: own, named, other"),
        Bad("failed == 0, check: own", "failed == 0, check: x", "20:37", "unknown check 'x' of a step",
            "what there is: own, named, other, seen"),
        Bad("rate(failed) < 1%", "rate(refused) < 1%", "19:17", "a check holds or fails, and has no refused",
            "write failed == 0 or rate(failed) < 1%"),
        Bad("rate(failed) < 1%", "p95(publish) < 1s", "19:17", "a check holds or fails, and has no publish",
            "write failed == 0"),
        Bad("rate(failed) < 1%", "rate(failed) < 1% in any 30s", "19:17", "a check isn't counted over time",
            "leave 'in any' out"),
        Bad("rate(failed) < 1%,", "rate(failed) < 1%, abort: true,", "19:5",
            "of iterations under way nobody knows yet how they end", "leave abort out"),
        Bad("check: own, step: again", "check: own, step: agian", "19:54", "no journey has a step 'agian'",
            "did you mean 'again'?"),
    ],
    ids=lambda bad: bad.new,
)  # fmt: skip
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert GOOD.count(bad.old) == 1, "the change must be one"
    (line,) = lines_of(GOOD.replace(bad.old, bad.new))
    assert bad.what in line, line
    assert bad.cure in line, line
    assert f":{bad.where}: " in line, line


def summary_of(*checks: tuple[tuple[str, bool], ...], journey: int = 0) -> Any:
    """What a run amounts to, whose iterations held answers against these checks."""
    recorder = Recorder([ScenarioPlan("main", False, 0, journeys=((0, "order"), (1, "other")))], 0)
    for number, made in enumerate(checks):
        end = End.COMPLETED if all(held for _, held in made) else End.FAILED
        recorder.iterated([Iteration(0, journey, number, None, 0, 0, S, end, checks=made)])
    return recorder.summary()


PAID, UNPAID, SHIPPED = ("pay: same", True), ("pay: same", False), ("ship: same", True)
RUN = [(PAID, SHIPPED)] * 6 + [(PAID,)] * 2 + [(UNPAID,)] * 2 + [()] * 90


@pytest.mark.parametrize(
    ("text", "more", "result", "observed"),
    [
        ("failed == 0", {}, Result.FAIL, (2.0, 2.0)),
        ("failed <= 2", {"step": "pay", "journey": "order"}, Result.WARN, (2.0, 2.0)),
        ("failed == 0", {"step": "ship", "journey": "order"}, Result.PASS, (0.0, 0.0)),
        ("rate(failed) < 20%", {"step": "pay", "journey": "order"}, Result.FAIL, (0.2, 0.2)),
        ("rate(failed) < 20%", {"journey": "order"}, Result.PASS, (0.125, 0.125)),
        ("rate(failed) < 20%", {}, Result.PASS, (0.125, 0.125)),
    ],
)
def test_a_check_is_counted_by_itself_among_the_answers_that_were_held_against_it(
    text: str, more: dict[str, Any], result: Result, observed: tuple[float, float]
) -> None:
    judged = judge(parse(text, check="same", **more), summary_of(*RUN))
    assert (judged.result, judged.observed) == (result, observed)


@pytest.mark.parametrize("text", ["failed == 0", "rate(failed) < 1%"])
@pytest.mark.parametrize("more", [{"check": "other"}, {"check": "same", "journey": "other"}])
def test_a_check_that_was_never_made_passes_nothing(text: str, more: dict[str, Any]) -> None:
    judged = judge(parse(text, **more), summary_of(*RUN))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note.startswith("no answer was held against this check")


def test_of_every_four_answers_one_fails_a_check_and_none_the_others(tmp_path: Path) -> None:
    """The second order of each iteration; every fourth that is made isn't the caller's own."""
    slos = [
        {"objective": "rate(failed) <= 50%", "check": "own"},
        {"objective": "failed == 0", "check": "named", "step": "again"},
        {"objective": "failed == 0", "check": "other"},
        {"objective": "failed == 0", "journey": "order"},
    ]
    ran = run_shop(Shop(), tmp_path, STEPS, slos)
    assert [(one.result.value, one.observed) for one in ran.report.objectives] == [
        ("warn", (0.5, 0.5)), ("pass", (0.0, 0.0)), ("pass", (0.0, 0.0)), ("fail", (10.0, 10.0)),
    ]  # fmt: skip
    rows = ran.rows("SELECT checks FROM iterations WHERE ended_as = 3")
    assert {row["checks"] for row in rows} == {'{"again: own":false,"again: named":true,"again: other":true}'}
    with LedgerReader(ran.ledger) as ledger:
        again = build_again(ledger, ran.ledger.parent)
    assert document(again)["objectives"] == document(ran.report)["objectives"]
