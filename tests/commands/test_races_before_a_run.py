"""What is said of races before a run: `plan`, `try`, the guard, a part of a config, a ceiling."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from evload.clock import SystemClock
from evload.commands.doctor import _speed
from evload.commands.plan import print_plan
from evload.config import load_text
from evload.config.guard import held
from evload.config.part import part_of
from evload.errors import ConfigError, UsageError
from evload.run.prepare import build, prepare
from evload.search.runs import Runs, Written
from evload.workload.segment import Segment
from tests.commands.test_try_journeys import tried
from tests.rigs.racing_shop import CONFIG
from tests.servers.httpserver import Request, json_answer

SLOS = (
    "slos: [violations == 0, p95(settle) < 2s, {objective: p95(publish) < 1s, event: flash-sale.reserve}, "
    "{objective: errors == 0, scenario: flash-sale}]"
)


def planned(text: str) -> list[str]:
    out = io.StringIO()
    print_plan(Console(file=out, width=160), load_text(text, "races.yaml", environ={}))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_plan_counts_rounds_and_how_often_contenders_are_sent() -> None:
    lines = planned(CONFIG.replace("slos: [violations == 0]", SLOS))
    assert lines[0] == "flash: 8 rounds in 24 s"
    assert "0 s 24 s flash-sale 8 rounds, one each 3 s 12 × reserve" in lines
    assert "violations == 0 yes exact, over 8 rounds" in lines
    assert "p95(settle) < 2s no needs 59 rounds, has 8" in lines
    assert "p95(publish) < 1s [event=flash-sale.reserve] yes 96 events; 1 may be bad" in lines
    told = "yes nobody knows how often races read, and how often their set-up is done to its end"
    assert any(line.startswith("errors == 0") and line.endswith(told) for line in lines)


def test_plan_names_all_who_contend() -> None:
    both = 'refused: [409]}\n        cancel: {to: shop, delete: "/inventory/{item}"}\n'
    lines = planned(CONFIG.replace("refused: [409]}\n", both))
    assert any(line.endswith("12 × reserve against cancel") for line in lines)


def test_the_guard_counts_all_contenders_of_a_second_and_the_reads() -> None:
    # One set-up, 12 contenders, and reads: 50 in the first second, 50 in that after the last answer, 10 in any second
    # for the round before, as rounds of up to 2.5 s begin each 3 s.
    allowed = "guard: {allow: [127.0.0.1], most: 123/s}\n"
    held(load_text(allowed + CONFIG, "races.yaml", environ={}), {})
    with pytest.raises(ConfigError) as refused:
        held(load_text(allowed.replace("123", "122") + CONFIG, "races.yaml", environ={}), {})
    (problem,) = refused.value.problems
    assert str(problem) == (
        "races.yaml:18:13: the schedule offers up to 123/s, and the guard of this config allows 122/s at most; "
        "write fewer times:, or a longer every:"
    )


def test_several_processes_cannot_share_a_race() -> None:
    with pytest.raises(UsageError, match="scenario 'flash-sale' has a race, which 2 senders can't share yet"):
        prepare(load_text(CONFIG, "races.yaml", environ={}).config, "r", Segment(0, 2))


def test_a_part_of_a_config_keeps_what_is_asked_of_its_race() -> None:
    two = CONFIG.replace("slos:", "  calm: {producer: shop, events: [x], load: [{rate: 1/s, for: 1m}]}\nslos:")
    two = two.replace("scenarios:", "events: {x: {type: a, source: /b}}\nscenarios:")
    loaded = load_text(two, "races.yaml", environ={})
    assert [one.title for one in part_of(loaded, ["flash-sale"]).config.slos] == ["violations == 0"]
    assert [one.title for one in part_of(loaded, ["calm"]).config.slos] == []


RACE = """\
scenarios:
  sale:
    race:
      setup: [{item: {to: shop, post: /items, capture: {item: body.id}}}]
      contenders:
        buy: {times: 20, to: shop, post: "/items/{item}/buy", refused: [409]}
        drop: {to: shop, delete: "/items/{item}"}
      reads: {stock: {to: shop, get: "/items/{item}"}}
      always: {never oversold: "stock.left >= `0`", one: "won.buy == `1` && won.drop == `1`"}
      holds: {known: "stock.item == vars.item", gone: "stock.gone"}
    rounds: {count: 3, every: 1s}
"""


def shop(gone: bool | None, buying: int = 200) -> Callable[[Request], bytes]:
    def answers(request: Request) -> bytes:
        status = buying if request.target.endswith("/buy") else 200
        return json_answer(json.dumps({"id": 7, "item": 7, "left": 9, "gone": gone}).encode(), status)

    return answers


def test_try_goes_once_through_a_race_and_shows_what_rules_give() -> None:
    found = tried("", shop(gone=False), scenarios="  none: {steps: [{a: {to: shop, get: /a}}]}\n" + RACE)
    assert found.code == 0
    assert found.targets == [
        "POST /api/items", "POST /api/items/7/buy", "DELETE /api/items/7", "GET /api/items/7"
    ]  # fmt: skip
    (race,) = found.document["journeys"]
    assert (race["journey"], race["end"], race["good"]) == ("sale", "completed", True)
    assert [(one["name"], one["value"]) for one in race["rules"]] == [
        ("never oversold", "true"), ("one", "true"), ("known", "true"), ("gone", "false"),
    ]  # fmt: skip


def test_try_fails_where_a_rule_gives_null() -> None:
    found = tried(
        "", shop(gone=None), scenarios="  none: {steps: [{a: {to: shop, get: /a}}]}\n" + RACE, as_json=False
    )
    assert found.code == 1
    lines = found.text.splitlines()
    assert lines[0].startswith("sale, a race, one of each contender: completed after ")
    assert lines[0].endswith(", and rule 'gone' gives neither true nor false")
    assert "  gone: stock.gone  gives  null" in lines


def test_a_contender_that_is_refused_is_no_end_of_the_try() -> None:
    found = tried("", shop(False, 409), scenarios="  none: {steps: [{a: {to: shop, get: /a}}]}\n" + RACE)
    (race,) = found.document["journeys"]
    assert (race["end"], [step["said"] for step in race["steps"]]) == ("completed", ["ok", "refused", "ok", "ok"])
    assert next(one["value"] for one in race["rules"] if one["name"] == "one") == "false"


def test_a_ceiling_is_that_of_a_rate_and_not_of_a_race(tmp_path: Path) -> None:
    path = tmp_path / "races.yaml"
    path.write_text(CONFIG)
    written = Written.of(path, sets=(), profiles=(), scenario=None, may_load=(), environ={})

    def execute(*_: object) -> NoReturn:
        raise AssertionError("nothing is run")

    with pytest.raises(UsageError) as refused:
        Runs(written, execute, print)
    assert str(refused.value) == (
        "scenario 'flash-sale' makes a race, and a ceiling is that of a rate; name one with events or journeys, or "
        "write more times: for its contenders"
    )


def test_doctor_says_how_many_requests_go_at_one_instant() -> None:
    config = load_text(CONFIG, "races.yaml", environ={}).config
    found = _speed(config, build(config, "doctor"), SystemClock())
    asked = "the config asks for races with up to 12 requests at an instant"
    assert found.said == f"{asked}, whose steps are sent as the answers allow"
