"""A search for the ceiling that is killed, at whatever moment: it goes on where it was, and comes to the same.

Trials are in virtual time, so that a search that was never killed is the same each time; all else is the command.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rigs.killed_searches import CONFIG, Moment, Went, ceiling
from tests.rigs.shares import seeds

SHORT: Final = ("--from", "4.757/s", "--to", "9/s", "--trial", "5s", "--precision", "100%")
"""Three trials."""
LONGER: Final = ("--from", "4/s", "--to", "16/s", "--trial", "5s", "--precision", "30%")
"""Nine, some of which are made twice as long."""
SHARE: Final = 1
_MOST_KILLS: Final = 3


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], tuple[Path, Went]]:
    """Searches that were never killed, by their options; each made once."""
    return {}


def whole(
    options: tuple[str, ...], made: dict[tuple[str, ...], tuple[Path, Went]], factory: pytest.TempPathFactory
) -> tuple[Path, Went]:
    if options not in made:
        directory = factory.mktemp("whole")
        (directory / "planted.yaml").write_text(CONFIG)
        made[options] = directory, ceiling(directory, "planted.yaml", *options, "--out", "found")
    return made[options]


def notes(directory: Path) -> dict[str, Any]:
    """What a search has found, but for the moment at which it began."""
    found: dict[str, Any] = json.loads((directory / "found" / "ceiling.json").read_bytes())
    del found["started_at"]
    return found


def go_on(directory: Path, options: tuple[str, ...], killed: Moment | None = None) -> Went:
    """Go on with the search, or begin it again where nothing of it can be gone on with, which one line says."""
    if (directory / "found" / "ceiling.json").exists():
        return ceiling(directory, "planted.yaml", "--resume", "found", killed=killed)
    refused = ceiling(directory, "planted.yaml", "--resume", "found")
    assert (refused.code, len(refused.said.splitlines())) == (2, 1), refused.said
    there = (directory / "found").is_dir()
    assert ("begin it with --out found" if there else "there is no search") in refused.said, refused.said
    return ceiling(directory, "planted.yaml", *options, "--out", "found", killed=killed)


@pytest.mark.parametrize("seed", seeds(40, SHARE))
def test_whenever_it_is_killed_it_goes_on_and_comes_to_the_same(
    seed: int,
    never_killed: dict[tuple[str, ...], tuple[Path, Went]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    options = SHORT if seed < SHARE else LONGER
    reference, once = whole(options, never_killed, tmp_path_factory)
    assert once.code == 0, once.said
    rng = random.Random(f"killed {seed}")
    (tmp_path / "planted.yaml").write_text(CONFIG)
    moments = [
        Moment(step=rng.randint(1, once.steps)) if rng.random() < 0.7 else Moment(cpu_s=rng.uniform(0.01, once.cpu_s))
        for _ in range(rng.randint(1, _MOST_KILLS))
    ]
    went = Went(None, "", 0, 0.0)
    if moments:
        went = ceiling(tmp_path, "planted.yaml", *options, "--out", "found", killed=moments[0])
    for moment in [*moments[1:], None]:
        if went.code is None:
            went = go_on(tmp_path, options, moment)
    assert went.code == 0, (moments, went.said)
    assert notes(tmp_path) == notes(reference), moments
    assert_whole(tmp_path / "found", reference / "found")
    # And to look at it once more runs nothing.
    assert ceiling(tmp_path, "planted.yaml", "--resume", "found", "--quiet").code == 0
    assert notes(tmp_path) == notes(reference)


def assert_whole(found: Path, reference: Path) -> None:
    """Nothing is missing that a search leaves which was never killed, and nothing lies about but what was cut off."""
    names = set(os.listdir(found))
    assert {name for name in names if "-interrupted-" not in name} == set(os.listdir(reference))
    for trial in (name for name in os.listdir(reference) if name.startswith("trial-")):
        here = {name for name in os.listdir(found / trial) if not name.startswith("unfinished-")}
        assert here == set(os.listdir(reference / trial)), trial


def test_killed_before_its_first_trial_it_is_gone_on_with_or_begun_again(tmp_path: Path) -> None:
    """Nobody has to remove anything first."""
    noted = set()
    for step in (5, 7, 11, 13):  # no claim yet, a claim, notes that are half written, notes
        directory = tmp_path / str(step)
        directory.mkdir()
        (directory / "planted.yaml").write_text(CONFIG)
        assert ceiling(directory, "planted.yaml", *SHORT, "--out", "found", killed=Moment(step=step)).code is None
        noted.add((directory / "found" / "ceiling.json").exists())
        went = go_on(directory, SHORT, Moment(step=18))
        assert went.code is None, (step, went.said)  # it was killed anew, in its first trial
        assert (directory / "found" / "ceiling.json").exists()
    assert noted == {False, True}
