"""Objectives about races in a config: what they may name, what is asked where none is written, and of a part."""

from __future__ import annotations

import pytest

from evload.config import load_text
from evload.config.part import part_of
from tests.config.test_bad_config import Bad, assert_told

RACE = """\
    race:
      contenders: {{pay: {{times: 2, to: shop, post: /pay}}, {other}: {{to: shop, post: /other}}}}
      reads: {{stock: {{to: shop, get: /stock}}}}
      always: {{never both: "stock.a >= `0`"}}
      holds: {{{rule}: "stock.a == won.pay"}}
    rounds: {{count: 9, every: 20s}}
"""
GOOD = f"""\
producers: {{shop: {{kind: http, url: "http://localhost:8080"}}}}
events: {{seen: {{type: seen, source: /e}}}}
scenarios:
  flash:
{RACE.format(other="cancel", rule="sold out")}\
  other:
{RACE.format(other="refund", rule="books agree")}\
  plain: {{producer: shop, events: [seen], load: [{{rate: 1/s, for: 9s}}]}}
slos: [violations == 0]
"""
SLO = "[violations == 0]"
TABLE = [
    Bad(SLO, "[{objective: violations == 0, scenario: plain}]",
        "19:47", "scenario 'plain' has no race", "write one of flash, other"),
    Bad(SLO, "[{objective: violations == 0, scenario: flash, rule: books agree}]",
        "19:60", "unknown rule 'books agree'", "what there is: never both, sold out"),
    Bad(SLO, "[{objective: won == 0, scenario: other, contender: cancel}]",
        "19:58", "unknown contender 'cancel'", "what there is: pay, refund"),
    Bad(SLO, "[{objective: refused == 0, scenario: flash}]",
        "19:44", "'refused == 0' is about journeys, and 'flash' is a race", "add contender: NAME"),
    Bad(SLO, "[{objective: completed == 9, scenario: flash}]",
        "19:46", "'completed == 9' is about journeys, and 'flash' is a race", "leave scenario out, or"),
    Bad(SLO, "[rounds(violatd) == 0]",
        "19:8", "there are no rounds(violatd)", "did you mean 'violated'?"),
    Bad(SLO, "[{objective: contention >= 80%, abort: true}]",
        "19:8", "of rounds that are still to come nobody knows yet how they end", "leave abort out, or"),
]  # fmt: skip


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: f"{bad.where} {bad.what}")
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert_told(GOOD, bad)


def test_without_a_race_nothing_can_be_asked_of_rounds() -> None:
    plain = GOOD[: GOOD.index("  flash:")] + GOOD[GOOD.index("  plain:") :]
    bad = Bad(
        SLO, "[violations == 0]", "5:8", "'violations == 0' is about rounds of a race, and there is none",
        "add a scenario with race:",
    )  # fmt: skip
    assert_told(plain, bad)


def asked(slos: str, *parts: str) -> list[str]:
    loaded = load_text(GOOD.replace(f"slos: {SLO}\n", slos), "load.yaml", environ={})
    return [one.title for one in (part_of(loaded, parts) if parts else loaded).config.slos]


def test_where_nothing_is_written_no_rule_may_be_broken() -> None:
    assert asked("") == ["errors == 0", "violations == 0"]
    assert asked("slos: []\n") == []
    assert asked("", "plain") == ["errors == 0"]
    assert asked("", "other") == ["errors == 0", "violations == 0"]


def test_of_a_part_only_its_own_races_are_asked() -> None:
    slos = """\
slos:
  - violations == 0
  - {objective: violations == 0, rule: sold out}
  - {objective: violations == 0, rule: never both}
  - {objective: won >= 3, contender: refund}
  - {objective: p95(settle) < 2s, scenario: flash}
  - contention >= 80%
"""
    assert asked(slos, "flash") == [
        "violations == 0", "violations == 0 [rule=sold out]", "violations == 0 [rule=never both]",
        "p95(settle) < 2s [flash]", "contention >= 80%",
    ]  # fmt: skip
    assert asked(slos, "other") == [
        "violations == 0", "violations == 0 [rule=never both]", "won >= 3 [contender=refund]", "contention >= 80%",
    ]  # fmt: skip
    assert asked(slos, "plain") == []
