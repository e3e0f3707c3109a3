"""The configs of placements against their stand-in as people run them: processes, sockets, the clock on the wall."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from placements.knobs import QUICK
from placements.record import Record
from tests.rigs.commands import Ended, assert_closes, evload, summary_of
from tests.servers.placements_server import PROGRAM, running_placements
from tests.stand_ins.test_placements_costs import gigabyte_seconds, task_seconds

CONFIGS: Final = Path(__file__).parents[2] / "configs"
PATIENT: Final = ("offered_rate", "lateness", "headroom", "resolution", "horizon", "observer_effect")
LONGER: Final = 20
"""How many times as long something may take: a busy machine must not decide a test."""


def patient(name: str, directory: Path) -> Path:
    """A copy of a config whose limits of times are long, and that asks for no rates."""
    config: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text())
    config["slos"] = [slo for slo in map(_patient, config["slos"]) if "throughput" not in str(slo)]
    config["self_checks"] = {**dict.fromkeys(PATIENT, "warn"), **config.get("self_checks", {})}
    # They name objectives by their places, which are others now.
    config["profiles"]["short"] = {
        key: value for key, value in config["profiles"]["short"].items() if not key.startswith("slos.")
    }
    for probe in config["probes"].values():
        probe["deadline"] = "5m"
    for producer in config["producers"].values():
        producer["timeout"] = "2m"
    path = directory / name
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _patient(slo: Any) -> Any:
    if isinstance(slo, Mapping):
        limits = {key: _patient(slo[key]) for key in ("objective", "critical") if key in slo}
        return {**slo, **limits}
    if not isinstance(slo, str):
        return slo  # a limit without a unit
    longer = re.sub(r"\b(\d+)(ms|s)\b", lambda found: f"{int(found[1]) * LONGER}{found[2]}", slo)
    return longer.replace("(queue_depth) < 100", "(queue_depth) < 10000").replace("< 0.05", "< 1")


def run(path: Path, **knobs: Any) -> tuple[Ended, dict[str, Any], Record]:
    """One command starts the stand-in, runs the config against it, and ends both."""
    directory = path.parent
    turned = [f"--set={name}={value}" for name, value in knobs.items()]
    through = [sys.executable, str(PROGRAM), "--quick", *turned, "--directory", str(directory / "stand-in"), "--"]
    ended = evload(
        "run", path, "--profile", "short", "--out", directory / "out", "--quiet", cwd=directory,
        through=through, env={"XDG_STATE_HOME": str(directory)},
    )  # fmt: skip
    return ended, summary_of(directory / "out"), Record.read(directory / "stand-in" / "record.jsonl")


def test_an_ordinary_day(tmp_path: Path) -> None:
    ended, summary, record = run(patient("placements.yaml", tmp_path), visibility_ms=60_000)
    told = [(one["expression"], one["result"], one.get("note")) for one in summary["objectives"]]
    assert ended.code == 0, (ended.said, told)
    assert {one["result"] for one in summary["objectives"]} == {"pass"}, told
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["scheduled"] == ledger["visible"] == record.counts["done"]
    assert (record.counts["came"], record.counts["refused"]) == (ledger["acked"] + 72, 72)
    assert "placements" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.long
def test_when_something_is_wrong(tmp_path: Path) -> None:
    ended, summary, record = run(patient("placements-faults.yaml", tmp_path))
    told = [(one["expression"], one["result"], one.get("note")) for one in summary["objectives"]]
    assert ended.code == 0, (ended.said, told)
    assert {one["result"] for one in summary["objectives"]} == {"pass"}, told
    assert record.counts["done"] == summary["ledger"]["visible"] == summary["ledger"]["scheduled"]
    assert record.counts["dead"] == record.counts["redriven"] > 0
    assert [line["knobs"] for line in record.of("changed")] == [
        {"delay_ms": 500}, {"delay_ms": 0}, {"database": False}, {"database": True}
    ]  # fmt: skip


@pytest.mark.long
def test_under_load(tmp_path: Path) -> None:
    # Where workers have no time it takes more of them.
    ended, summary, record = run(patient("placements-load.yaml", tmp_path), most=1000, visibility_ms=60_000)
    assert ended.code == 0, (ended.said, summary["objectives"])
    assert record.counts["done"] == summary["ledger"]["acked"] == summary["ledger"]["scheduled"]


@pytest.mark.long
def test_what_a_night_costs(tmp_path: Path) -> None:
    """By the record, priced by hand: what the samples of a busy machine leave open is in the brackets."""
    ended, summary, record = run(patient("placements-nightly.yaml", tmp_path), visibility_ms=60_000)
    assert ended.code == 0, (ended.said, summary["objectives"])
    assert record.counts["done"] == 420
    costs = summary["costs"]["services"]
    (lasted, _), began = costs["database"]["used"], began_at(tmp_path / "out")
    for service, used in (
        ("tasks", task_seconds(record, began + lasted)),
        ("compute", gigabyte_seconds(record, 0, began + lasted)),
        ("bus", 420),
    ):
        low, high = costs[service]["used"]
        assert 0.98 * low <= used <= 1.02 * high, service
    assert summary["costs"]["hold"]["rate"] == 30


def began_at(directory: Path) -> float:
    """When the schedule of a run began, in seconds since the epoch."""
    with closing(sqlite3.connect(directory / "events.sqlite")) as ledger:
        ((text,),) = ledger.execute("SELECT value FROM meta WHERE key = 'began_at'")
    return datetime.fromisoformat(json.loads(text)).timestamp()


# --- the command ------------------------------------------------------------------------------------------


def test_it_passes_on_how_the_command_ended(tmp_path: Path) -> None:
    through = [sys.executable, str(PROGRAM), "--"]
    assert evload("validate", CONFIGS / "placements.yaml", cwd=tmp_path, through=through).code == 0
    assert evload("validate", tmp_path / "nothing.yaml", cwd=tmp_path, through=through).code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "speed=5"], "there is no knob speed; choose of work_ms"),
        (["--set", "most=0"], "most is 0; write at least 1"),
        (["--set", "database=5"], "database is 5; write true or false"),
        (["--set", "work_ms=soon"], "work_ms is 'soon'; write a number"),
        (["--set", "least=9"], "least is more than most"),
        (["--", "/nowhere/evload"], "can't run /nowhere/evload: No such file or directory; name a program"),
    ],
)
def test_what_is_wrong_is_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_ends_when_nobody_holds_it_any_more_and_its_record_stays(tmp_path: Path) -> None:
    with running_placements(tmp_path) as server:
        assert server.ask("/admin/knobs")["work_ms"] == 40
        answer = server.ask("/v1/placements", {"video_id": "v"}, X_Correlation_ID="c-1")
        assert answer == {"data": {"id": answer["data"]["id"], "status": "pending"}}
    record = Record.read(tmp_path / "record.jsonl")
    assert [line["correlation_id"] for line in record.of("came")] == ["c-1"]


def test_the_switches_turn_the_knobs_and_stand_in_the_record(tmp_path: Path) -> None:
    with running_placements(tmp_path, "idle_ms=1000") as server:
        assert server.ask("/admin/knobs")["idle_ms"] == 1000
        assert server.ask("/admin/worker-delay", {"ms": 500})["delay_ms"] == 500
        assert server.ask("/admin/database", {"up": False})["database"] is False
        assert server.ask("/status")["database"]["up"] == 0
        assert server.ask("/admin/knobs", QUICK)["look_ms"] == QUICK["look_ms"]
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [line["knobs"] for line in lines if line["kind"] == "changed"] == [
        {"delay_ms": 500}, {"database": False}, dict(QUICK)
    ]  # fmt: skip
