"""What a nightly job finds by its config and the two commands of docs/comparing.md: sound nights, and worse ones."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from evload import cli
from evload.comparing.compare import Comparison, compare
from evload.comparing.regression import Outcome
from evload.comparing.rules import Options, rules_of
from evload.report.document import as_json
from placements.knobs import QUICK
from tests.comparing.test_compare import write_run
from tests.rigs.virtual_placements import run_placements

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = ROOT / "configs" / "placements-nightly.yaml"
NIGHTS: Final = 20
SCHEDULED: Final = 48_000
FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
RULES: Final = {"p50": 0.2, "p99": 0.5, "throughput": 0.2, "cost": 0.2}

Night = Mapping[str, float]
"""How many times as much as usual a figure of a night is."""


def nights(directory: Path, of: Callable[[int], Night]) -> str:
    """Twenty nights and one more, which is returned; each with what the config of the job says of reads and rules."""
    rng = random.Random(11)
    for day in range(NIGHTS + 1):
        usual = {"p50": rng.gauss(1, 0.02), "p99": rng.gauss(1, 0.05), "acked": 1.0, "cost": rng.gauss(1, 0.01)}
        told = {name: usual[name] * of(day).get(name, 1.0) for name in usual}
        acked = round(SCHEDULED * told["acked"]) - rng.randint(0, 3)
        p50, p99, cost = 0.08 * told["p50"], 0.3 * told["p99"], 0.004 * told["cost"]
        write_run(
            directory, f"{FIRST + timedelta(days=day):%Y-%m-%d}", name="placements-nightly", day=day, span=960.0,
            ledger=_ledger(acked), effects={"1": acked},
            distributions={"consistency": {"count": acked, "censored": 0, **_brackets(p50, p99)}},
            costs={"services": {}, "total": {"run": [cost, cost], "per_1000_events": [cost, cost * 1.01]}},
        )  # fmt: skip
    config = yaml.safe_load(CONFIG.read_text())
    told_of = json.dumps({key: config[key] for key in ("name", "probes", "slos", "compare")})
    for run in directory.iterdir():
        (run / "config.yaml").write_text(told_of)
    return str(directory / f"{FIRST + timedelta(days=NIGHTS):%Y-%m-%d}")


def _ledger(acked: int) -> dict[str, int]:
    none = dict.fromkeys(
        ("unsent", "returned", "in_doubt", "lost", "regressed", "pending", "unobserved", "recovered", "duplicated"), 0
    )
    return {**none, "scheduled": SCHEDULED, "acked": acked, "visible": acked, "rejected": SCHEDULED - acked}


def _brackets(p50: float, p99: float) -> dict[str, list[float]]:
    between = {"p50": p50, "p90": (p50 + p99) / 2, "p95": (p50 + 2 * p99) / 3, "p99": p99}
    return {name: [value, value * 1.1] for name, value in between.items()}


def last_night(name: str, times: float) -> Callable[[int], Night]:
    return lambda day: {name: times} if day == NIGHTS else {}


def last_week(name: str, times: float) -> Callable[[int], Night]:
    """The newest night is the least odd of them: by itself it tells nothing."""
    return lambda day: {name: times if day < NIGHTS else times**0.9} if day > NIGHTS - 7 else {}


def broken(compared: Comparison) -> tuple[set[str], set[str]]:
    """The figures that are worse than is tolerated: last night, and last week."""
    weekly = {one.name for one in compared.weekly if one.regression}
    return {one.name for one in compared.figures if one.regression}, weekly


def test_the_rules_of_the_config_are_those_of_the_team() -> None:
    rules = rules_of(yaml.safe_load(CONFIG.read_text())["compare"], Options(), pytest.fail)
    assert dict(rules.tolerated) == dict(rules.weekly) == RULES


def test_nights_that_are_alike_break_no_rule_and_all_of_them_are_told(tmp_path: Path) -> None:
    compared = compare(str(tmp_path), nights(tmp_path, lambda _: {}), within="60d")
    assert broken(compared) == (set(), set())
    assert (compared.nights, compared.exit_code(strict=True)) == (NIGHTS, 0), compared.undecided
    assert {one.name for one in compared.weekly} == set(RULES)
    assert {one.outcome for one in compared.weekly} <= {Outcome.SAME, Outcome.BETTER}


@pytest.mark.parametrize(
    ("name", "figure", "times", "tolerated"),
    [
        ("p50", "p50", 1.27, 1.15),
        ("p99", "p99", 1.8, 1.35),
        ("acked", "throughput", 0.75, 0.85),
        ("cost", "cost", 1.25, 1.15),
    ],
)
def test_each_rule_is_broken_by_a_night_and_by_a_week_and_by_nothing_less(
    name: str, figure: str, times: float, tolerated: float, tmp_path: Path
) -> None:
    for when, found in ((last_night, ({figure}, set())), (last_week, (set(), {figure}))):
        compared = compare(str(tmp_path / when.__name__), nights(tmp_path / when.__name__, when(name, times)))
        assert broken(compared) == found
        assert compared.exit_code(strict=False) == 1
        less = tmp_path / f"{when.__name__}, less"
        compared = compare(str(less), nights(less, when(name, tolerated)))
        assert broken(compared) == (set(), set())


def commands(text: str) -> list[str]:
    """The two of the job."""
    return re.findall(r'^#?\s*(evload (?:run|compare) .*"nights/\$\(date \+%F\)".*)$', text, re.MULTILINE)


def test_the_commands_of_the_docs_are_those_of_the_config_and_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    docs = (ROOT / "docs" / "comparing.md").read_text()
    run, nightly, by_options = commands(docs)
    assert [run, nightly] == commands(CONFIG.read_text())
    for of, code, said in (
        (lambda _: {}, 0, "NO REGRESSION  placements-nightly: consistency, 1 run of NEW against 20 of BASE"),
        (last_week("p50", 1.27), 1, "p50 week over week: +2"),
        (last_night("p99", 1.8), 1, "p99 is worse than in all 20 runs before"),
        (last_night("acked", 0.75), 1, "throughput is worse than in all 20 runs before"),
    ):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        last = Path(nights(directory / "nights", of)).name
        monkeypatch.chdir(directory)
        assert (_code_of(nightly, last, monkeypatch), said in (out := capfd.readouterr().out)) == (code, True), out
    # The one with options of its own: the newest of these is not slower.
    assert _code_of(by_options, last, monkeypatch) == 1
    assert "Within its limit: p99 " in capfd.readouterr().out
    assert (ROOT / run.split()[2]) == CONFIG
    # After the very first night there is nothing to compare it with; after the second one nothing can be told.
    for _, first in sorted((run.name, run) for run in (directory / "nights").iterdir())[2:]:
        shutil.rmtree(first)
    shutil.move(directory / "nights" / "2026-01-02", directory / "later")
    assert _code_of(nightly, "2026-01-01", monkeypatch) == 2
    assert "holds no run besides those of NEW" in capfd.readouterr().err
    shutil.move(directory / "later", directory / "nights" / "2026-01-02")
    assert _code_of(nightly, "2026-01-02", monkeypatch) == 0
    assert "there is no run of the week before" in " ".join(capfd.readouterr().out.split())


def _code_of(command: str, last: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The exit code of a command of the docs, in which a date takes the place of today's."""
    monkeypatch.setattr(sys, "argv", command.replace('"nights/$(date +%F)"', f"nights/{last}").split())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.long
def test_nights_at_the_stand_in_are_alike_until_it_is_slower_or_refuses(
    aws_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Twenty nights of the config itself, in which the workers take a little longer or not; and three others."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8790")
    rng = random.Random(3)
    for day in range(20):
        _real_night(tmp_path / "nights", f"n-{day:02}", day, work_ms=40 * rng.gauss(1, 0.02))
    for name, knobs, worse in (
        ("sound", {"work_ms": 40.5}, set()),
        ("slow", {"work_ms": 80.0}, {"p50", "p99"}),
        ("refusing", {"refused": 0.8}, {"throughput"}),
    ):
        new = _real_night(tmp_path / "last", name, 20, **knobs)
        compared = compare(str(tmp_path / "nights"), str(new))
        assert worse <= broken(compared)[0] <= worse | {"cost"}, (name, compared.figures)
        assert bool(worse) == bool(broken(compared)[0])


def _real_night(nights: Path, name: str, day: int, **knobs: Any) -> Path:
    run = nights / name
    run.mkdir(parents=True)
    ran = run_placements(CONFIG.name, run, knobs={**QUICK, **knobs}, sets=[f"seed={day}"])
    told = json.loads(as_json(ran.report))
    told |= {"run_id": name, "started_at": (FIRST + timedelta(days=day)).isoformat()}
    (run / "summary.json").write_text(json.dumps(told))
    shutil.copy(CONFIG, run / "config.yaml")
    return run
