"""Searches for the ceiling of a system by a config of ours, each trial a run in virtual time against a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

from evload.config.run_config import LoadedConfig, RunConfig
from evload.model.ceiling import Ceiling, End
from evload.model.ceiling import Trial as Made
from evload.model.report import Report
from evload.search.bisection import Plan
from evload.search.directory import SearchDirectory
from evload.search.runs import Runs, Written
from evload.search.seek import Question, seek
from tests.rigs.ceilings import Nobody, S, no_pause

CONFIGS: Final = Path(__file__).parents[2] / "configs"

Trial = Callable[[RunConfig, Path], Report]
"""Runs a config to its end in a directory, in which its ledger is then."""


def search(
    name: str | Path, directory: Path, plan: Plan, length_s: int, trial: Trial, *sets: str, made: Sequence[Made] = ()
) -> Ceiling:
    """Look for the ceiling by a config in `configs/`, or another file, with these assignments, where these trials are
    made. Each trial has a system of its own."""
    written = Written.of(CONFIGS / name, sets=sets, profiles=(), scenario=None, may_load=(), environ={})

    def execute(loaded: LoadedConfig, run: Path) -> Report:
        run.mkdir()
        return trial(loaded.config, run)

    runs = Runs(written, execute, lambda text: None)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    asked = runs.loaded.config.ceilings
    question = Question(
        str(name), runs.scenario, began, plan, length_s * S, runs.digest, asked, of_journeys=runs.of_journeys
    )
    return seek(question, SearchDirectory(directory), made, runs.make, pause=no_pause, looking=Nobody())


def assert_it_holds(ceiling: Ceiling, capacity: float, widest: str) -> None:
    """The interval holds what a system can do: from 1 % beyond that on a rate is bad."""
    bounds = ceiling.bounds
    assert (bounds.end, bounds.confirmed) == (End.INTERVAL, True)
    assert bounds.good is not None
    assert bounds.bad is not None
    assert bounds.good <= capacity / 0.99 <= bounds.bad <= bounds.good * Fraction(widest)
