"""A run of races and the report that is made again from its ledger say the same to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evload.ledger.reader import LedgerReader
from evload.model.report import Result
from evload.report.build import build_again
from evload.report.document import as_json
from tests.rigs.racing_shop import Shop, race
from tests.rigs.virtual_runs import Ran

SLOS = (
    "[violations == 0, {objective: violations == 0, rule: sold out}, rounds(violated) == 0, rounds(void) <= 1, "
    "rounds(judged) >= 3, rate(violated) < 50%, contention >= 80%, p50(settle) < 2s, max(settle) < 2s, "
    "{objective: won >= 3, contender: reserve}, {objective: rate(refused) < 90%, contender: reserve}, doubt == 0, "
    "errors == 0, rate(errors) < 5% in any 10s]"
)


def raced(kind: str, directory: Path, stop_s: float | None = None) -> Ran[Shop]:
    return race(Shop(kind, 0.5, 3), directory, ("[violations == 0]", SLOS), stop_s=stop_s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "stop_s"), [("right", None), ("oversells", None), ("breaks", None), ("is silent", None), ("right", 6.05)]
)
def test_a_run_and_its_report_say_the_same(kind: str, stop_s: float | None, tmp_path: Path) -> None:
    ran = raced(kind, tmp_path, stop_s)
    with LedgerReader(ran.ledger) as reader:
        again = build_again(reader, tmp_path)
    told, rebuilt = (json.loads(as_json(one)) for one in (ran.report, again))
    del told["started_at"], rebuilt["started_at"]
    assert rebuilt == told
    assert again.summary.scenarios == ran.report.summary.scenarios
    race_of = told["scenarios"]["flash-sale"]["race"]
    assert sum(race_of["rounds"][end] for end in ("judged", "void", "cut_off")) == race_of["rounds"]["due"]
    assert told["scenarios"]["flash-sale"]["race_reads"]["events"] > 0 or kind == "breaks"


def test_what_the_shop_does_wrong_decides_what_is_told(tmp_path: Path) -> None:
    ran = raced("oversells", tmp_path)
    found = {one.expression: one for one in ran.report.objectives}
    assert found["violations == 0"].result is Result.FAIL
    assert " was broken in " in found["violations == 0"].note
    assert found["rounds(judged) >= 3"].result is Result.PASS
    assert found["contention >= 80%"].result is Result.PASS
    assert found["errors == 0"].result is Result.PASS
