"""Comparing runs of races: the share of rounds in which a rule was broken, and the time until all was settled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evload.comparing import history
from evload.comparing.compare import compare
from evload.config import load_text
from evload.errors import ConfigError, UsageError
from tests.comparing.test_compare import finding, outcomes, scaled, told, write_run
from tests.rigs.planted_races import write as write_ledger

CONFIG = """\
name: sale
scenarios: {flash: {race: {contenders: {pay: {times: TIMES}}}, rounds: {count: 60, every: 3s}}}
"""


def settle(p95: float) -> dict[str, Any]:
    ends = {name: [by * p95, by * p95] for name, by in (("p50", 0.5), ("p90", 0.8), ("p95", 1.0), ("p99", 1.5))}
    return {"count": 100, "censored": 0, **ends}


def side(
    runs: Path, build: str, by: float = 1.0, violated: int = 0, possible: int = 0, judged: int = 100, times: int = 2
) -> str:
    """Five runs whose times are so many times those of others."""
    for day, each in enumerate(scaled(by)):
        directory = write_run(runs / build, f"{build}-{day}", p99=1.0, day=day, first=None)
        stored = json.loads((directory / "summary.json").read_bytes())
        race = {
            "rounds": {"due": 110, "judged": judged, "void": 110 - judged, "cut_off": 0},
            "tried": judged, "violated": [violated, violated + possible], "settle": settle(2.0 * each),
        }  # fmt: skip
        stored["scenarios"] = {"flash": {**stored["scenarios"].pop("main"), "race": race}}
        stored["race"] = race
        (directory / "summary.json").write_text(json.dumps(stored))
        (directory / "config.yaml").write_text(CONFIG.replace("TIMES", str(times)))
    return str(runs / build)


def of_races(found: dict[str, str]) -> dict[str, str]:
    return {name: outcome for name, outcome in found.items() if "flash" in name}


def test_rules_that_are_broken_more_often_are_worse_and_so_is_what_takes_longer(tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b", 1.5, violated=7)
    compared = compare(base, new, rules=["violated(flash)=1%", "p95(flash.settle)=20%"])
    assert of_races(outcomes(compared)) == {
        "violated(flash)": "worse", "p50(flash.settle)": "worse", "p95(flash.settle)": "worse"
    }  # fmt: skip
    broken = finding(compared, "violated(flash)")
    assert (broken.base, broken.new) == ((0, 0), (0.07, 0.07))
    assert [one.name for one in compared.regressions] == ["violated(flash)", "p95(flash.settle)"]
    alone = compare(base, new, scenario="flash", rules=["violated(flash)=1%"])
    assert of_races(outcomes(alone)) == of_races(outcomes(compared))


def test_what_is_alike_claims_nothing(tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b")
    compared = compare(base, new, rules=["violated(flash)=1%"])
    assert of_races(outcomes(compared))["violated(flash)"] == "="
    assert compared.regressions == []


def test_what_depends_on_contenders_in_doubt_and_what_was_never_judged_is_not_told(tmp_path: Path) -> None:
    base = side(tmp_path, "a")
    perhaps = compare(base, side(tmp_path, "b", possible=7), rules=["violated(flash)=1%"])
    assert of_races(outcomes(perhaps))["violated(flash)"] == "~"
    never = compare(base, side(tmp_path, "c", judged=0), rules=["violated(flash)=1%"])
    assert of_races(outcomes(never)).get("violated(flash)") in (None, "~")
    assert never.regressions == []


def test_a_race_that_is_written_otherwise_is_told(tmp_path: Path) -> None:
    compared = compare(side(tmp_path, "a", times=3), side(tmp_path, "b"), rules=["violated(flash)=1%"])
    assert [one for one in compared.warnings if one.startswith("other")] == [
        "other journeys or races than with most of NEW: a-0, a-1, a-2, a-3, a-4 (scenario flash is written otherwise)"
    ]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("violated(flsh)=1%", "there is no race 'flsh'; did you mean 'flash'?"),
        ("p95(flash.setle)=1%", "there is no journey and no step 'flash.setle'; did you mean 'flash.settle'?"),
        ("completed(flash.settle)=1%", "flash.settle is a step, and only a journey is completed"),
    ],
)
def test_a_rule_about_a_race_that_no_run_has_is_refused(rule: str, said: str, tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b")
    with pytest.raises(UsageError) as refused:
        compare(base, new, rules=[rule])
    assert said in str(refused.value)


def test_rules_in_a_config_name_races_that_it_has() -> None:
    text = """\
producers: {shop: {kind: http, url: "http://localhost:8080"}}
scenarios:
  flash:
    race:
      contenders: {pay: {times: 2, to: shop, post: /pay}}
      reads: {stock: {to: shop, get: /stock}}
      always: {never both: "stock.a >= `0`"}
    rounds: {count: 9, every: 20s}
compare: {max_regression: ["violated(flash)=1%", "p95(flash.settle)=20%"]}
"""
    load_text(text, "load.yaml", environ={})
    with pytest.raises(ConfigError, match=r"there is no race .flush.; did you mean .flash."):
        load_text(text.replace("violated(flash)", "violated(flush)"), "load.yaml", environ={})


def test_figures_of_a_run_are_those_of_its_ledger_and_no_failed_read_is_an_error(tmp_path: Path) -> None:
    write_ledger(tmp_path / "events.sqlite", ["violations == 0"])
    (run,) = history.find(str(tmp_path), print)
    assert run.figure("violated(flash)", "publish") == (2 / 55, 5 / 55)
    low, high = run.figure("p50(flash.settle)", "publish") or (None, None)
    assert (low, high) == pytest.approx((0.128, 0.181), rel=1e-3)
    assert run.figure("errors", "publish") == (0, 0)
    assert run.scenarios["flash"].figure("violated(flash)", "publish") == (2 / 55, 5 / 55)
    assert run.figure("violated(other)", "publish") is None


def test_the_table_shows_them(tmp_path: Path) -> None:
    code, text = told(side(tmp_path, "a"), side(tmp_path, "b", violated=7), rules=["violated(flash)=1%"], width=110)
    assert code == 1
    assert "violated(flash)" in text
