"""The configs of videos and of leases against their stand-ins as people run them: processes, sockets, the clock."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stand_in.command import RECORD
from stand_in.record import Record
from tests.rigs.commands import assert_closes, evload, summary_of

CONFIGS: Final = Path(__file__).parents[2] / "configs"
PATIENT: Final = ("offered_rate", "lateness", "headroom", "resolution", "horizon", "observer_effect")
LONGER: Final = 20
"""How many times as long something may take: a busy machine must not decide a test."""


def patient(name: str, directory: Path, deadline: str) -> Path:
    """A copy of a config whose limits of times are long, and that asks for no rates and of no slow requests."""
    config: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text())
    config["slos"] = [
        slo for slo in map(_patient, config["slos"]) if not re.search(r"throughput|\(slow\)|\(cpu\)", str(slo))
    ]
    config["self_checks"] = dict.fromkeys(PATIENT, "warn")
    for param in {"job", "readable"} & config["params"].keys():
        config["params"][param] = "20s"
    short = config["profiles"]["short"]
    config["profiles"]["short"] = {
        key: value for key, value in short.items() if not re.fullmatch(r"params\..*|probes\..*\.deadline", key)
    }
    for probe in config["probes"].values():
        probe["deadline"] = deadline
    for producer in config["producers"].values():
        producer["timeout"] = "2m"
    for data in CONFIGS.glob(f"{Path(name).stem}*.csv"):
        shutil.copy(data, directory)
    path = directory / name
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _patient(slo: Any) -> Any:
    if isinstance(slo, Mapping):
        return {**slo, "objective": _patient(slo["objective"])}
    return re.sub(r"\b(\d+)(ms|s)\b", lambda found: f"{int(found[1]) * LONGER}{found[2]}", slo)


def ran(path: Path, *knobs: str) -> tuple[dict[str, Any], Record]:
    """One command starts the stand-in, runs the config against it, and ends both; every objective passes."""
    directory = path.parent
    folder = CONFIGS / "stand-ins" / path.stem.partition("-")[0]
    options = [f"--set={knob}" for knob in knobs]
    through = [sys.executable, str(folder), "--quick", *options, "--directory", str(directory / "stand-in"), "--"]
    ended = evload(
        "run", path, "--profile", "short", "--out", directory / "out", "--quiet", cwd=directory, through=through,
        env={"XDG_STATE_HOME": str(directory)},
    )  # fmt: skip
    summary = summary_of(directory / "out")
    told = [(one["expression"], one["result"], one.get("note")) for one in summary["objectives"]]
    assert ended.code == 0, (ended.said, told)
    assert {one["result"] for one in summary["objectives"]} == {"pass"}, told
    assert_closes(summary)
    return summary, Record.read(directory / "stand-in" / RECORD)


@pytest.mark.long
def test_videos(tmp_path: Path) -> None:
    summary, record = ran(patient("videos.yaml", tmp_path, "1m"))
    ledgers = [summary["scenarios"][name]["ledger"] for name in ("baseline", "stress", "spike")]
    own = [line for line in record.of("came") if line["correlation_id"]]
    assert sum(one["acked"] for one in ledgers) == len(own) == 345
    done = [line for line in record.of("done") if line["correlation_id"]]
    assert sum(one["visible"] for one in ledgers) == len(done)
    assert sum(one["ended"] for one in ledgers) == record.counts["failed"] == 17
    assert sum(one["lost"] for one in ledgers) == 0
    assert [line["bytes"] for line in record.of("stored")] == [5_000_000] * 6
    # What it made is gone again, the job of the set-up with it.
    assert [(line["jobs"], line["assets"]) for line in record.of("removed")] == [(346, 6)]


@pytest.mark.long
def test_leases(tmp_path: Path) -> None:
    summary, record = ran(patient("leases.yaml", tmp_path, "2m"), "patience_ms=60000")
    of_type = Counter(line["type"] for line in record.of("came"))
    storm = summary["scenarios"]["event-storm"]["ledger"]
    assert of_type["rent.paid"] == storm["visible"] == 1000
    assert of_type["rent.due"] == summary["scenarios"]["append"]["ledger"]["visible"] == 375
    assert of_type["payment.created"] == 210
    assert record.counts["replayed"] == 80
    assert summary["ledger"]["acked"] == summary["ledger"]["scheduled"]


@pytest.mark.long
def test_creations_of_leases_and_their_cost(tmp_path: Path) -> None:
    summary, record = ran(patient("leases-capacity.yaml", tmp_path, "2m"))
    assert record.counts["done"] == summary["ledger"]["visible"] == 500
    assert summary["costs"]["total"]["run"][0] > 0
