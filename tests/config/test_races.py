"""Races are read as they are meant, and those that the docs show load."""

from __future__ import annotations

import re
from pathlib import Path

from evload.workload.journeys.settings import Capture, EventStep, RequestStep, Think
from evload.workload.races.settings import Contender, RaceSettings, Rule
from evload.workload.schedule import describe, duration_ns, expected_events
from tests.config.test_bad_config import load
from tests.config.test_bad_races import GOOD

MS, S = 1_000_000, 1_000_000_000
DOCS = Path(__file__).parents[2] / "docs" / "races.md"


def test_a_whole_race_is_read_as_it_is_meant() -> None:
    config = load(GOOD).config
    assert config.races["flash-sale"] == RaceSettings(
        steps=(
            RequestStep(
                "item", "shop", "POST", "/inventory", json={"quantity": 10}, has_json=True,
                capture={"item": Capture("body.id")},
            ),
            Think(10 * MS, 10 * MS),
        ),
        vars={"key": "{uuid}"},
        contenders=(
            Contender(
                RequestStep(
                    "reserve", "shop", "POST", "/inventory/{item}/reserve", json={"key": "{key}"}, has_json=True,
                    refused=frozenset({409}),
                ),
                50,
            ),
            Contender(RequestStep("cancel", "shop", "DELETE", "/inventory/{item}"), 1, (0, 5 * MS)),
            Contender(EventStep("tell", "bus", "placed"), 3),
        ),
        reads=(
            RequestStep("stock", "shop", "GET", "/inventory/{item}"),
            RequestStep("sold", "shop", "GET", "/sold", query={"item": "{item}"}),
        ),
        rules=(
            Rule("never oversold", "always", "stock.available >= `0`"),
            Rule("books agree", "holds", "stock.reserved == won.reserve"),
            Rule("one side", "holds", "sum([won.reserve, won.cancel]) == `1` && vars.item == sold.item"),
        ),
        within=10 * S,
        confirm=5 * S,
    )  # fmt: skip
    assert config.races["flash-sale"].most == 54
    assert config.events_of("flash-sale") == [
        f"flash-sale.{name}" for name in ("item", "reserve", "cancel", "tell", "stock", "sold")
    ]


def test_what_is_not_said_is_ten_seconds_and_five() -> None:
    race = load(GOOD.replace("      within: 10s\n      confirm: 5s\n", "")).config.races["flash-sale"]
    assert (race.within, race.confirm) == (10 * S, 5 * S)


def test_rounds_are_the_load_of_a_race() -> None:
    load_of = load(GOOD).config.scenarios["flash-sale"].load
    assert (expected_events(load_of), duration_ns(load_of)) == (60, 180 * S)
    assert [str(one.text) for one in describe(load_of)] == ["60 rounds, one each 3 s"]
    one = load(GOOD.replace("count: 60", "count: 1")).config.scenarios["flash-sale"].load
    assert [one.text for one in describe(one)] == ["1 round"]


def test_the_race_that_the_docs_show_loads() -> None:
    (piece,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    config = load(piece).config
    assert config.races["flash-sale"].most == 50
    assert len(config.slos) == 3


def test_where_nothing_is_asked_no_rule_may_be_broken() -> None:
    config = load(GOOD.replace("slos: [violations == 0]\n", "")).config
    assert [(one.title, one.implied) for one in config.slos] == [("errors == 0", True), ("violations == 0", True)]
