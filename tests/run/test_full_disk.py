"""A disk that fills up: whatever is there is whole, the verdict is told, and all that is missing is named."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.rigs.full_disk import EXPECTED, Trial
from tests.rigs.shares import seeds

OVER_TIME: Final = {"tables/gauges.csv", "tables/series.csv"}
"""What is told of a run over time comes from its ledger alone."""
ROOMY: Final = (2000, 100)
_A_RUN_S: Final = 120
"""How long one of them may take before the test is given up."""


@cache
def can_mount() -> bool:
    """Whether a process here may have file systems of its own."""
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


def runs_onto(disks: Sequence[tuple[int, int]], directory: Path) -> list[Trial]:
    """What comes of a run onto each of the disks, which have so many pages and files."""
    if not can_mount():
        pytest.skip("needs file systems of its own: root, or user namespaces (unshare -rm)")
    command = ["unshare", "-rm", sys.executable, "-m", "tests.rigs.full_disk", str(directory / "disk")]
    command += [f"{pages}:{inodes}" for pages, inodes in disks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_A_RUN_S * len(disks), check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [Trial(**json.loads(line)) for line in done.stdout.splitlines()]


def test_a_disk_with_room_gets_everything(tmp_path: Path) -> None:
    (trial,) = runs_onto([ROOMY], tmp_path)
    assert (trial.code, trial.error, trial.broken) == (0, "", {})
    assert sorted(trial.whole) == sorted(EXPECTED)


def disks(seed: int) -> list[tuple[int, int]]:
    """Five disks: as a run goes on it fills some 60 pages, at its end 30 more, and with the HTML report 400."""
    rng = random.Random(seed)
    pages = (rng.randrange(1, 30), rng.randrange(30, 75), rng.randrange(75, 110), rng.randrange(110, 420))
    return [*((each, 100) for each in pages), (2000, rng.randrange(1, 16))]


@pytest.mark.parametrize("seed", seeds(40, 1))
def test_a_disk_that_fills_up_at_any_moment(seed: int, tmp_path: Path) -> None:
    for trial in runs_onto(disks(seed), tmp_path):
        assert trial.broken == {}, trial
        if not trial.printed:
            # It never began: one line, and nothing is left.
            assert (trial.code, trial.whole, trial.left) == (3, [], 0), trial
            assert len(trial.error.splitlines()) == 1, trial
            assert "No space left" in trial.error or "disk" in trial.error or "database file" in trial.error, trial
            continue
        assert any(line.startswith(("PASS  full: ", "WARN  full: ")) for line in trial.said.splitlines()), trial
        missing = set(EXPECTED) - set(trial.whole)
        assert trial.code == (3 if missing else 0), trial
        if "events.sqlite is incomplete" in trial.error:
            missing -= OVER_TIME
        for name in missing:
            assert name in trial.error + trial.said, (name, trial)
        assert ("the summary is right" in trial.error) <= ("summary.json" in trial.whole), trial
        kept = [name for name in trial.whole if name not in EXPECTED]
        assert all(name in trial.error for name in kept if not name.endswith("-wal")), trial
