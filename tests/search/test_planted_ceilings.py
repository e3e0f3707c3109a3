"""Searches in virtual time against pipelines of known capacity: the interval holds the truth, and is narrow.

A rate is bad from the one on at which what waits grows by 1 % of it: that is capacity / 0.99.
"""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from evload.model.ceiling import Outcome
from evload.search.bisection import Plan
from evload.search.directory import SearchDirectory
from tests.rigs.ceilings import Planted
from tests.rigs.shares import seeds
from tests.rigs.virtual_searches import assert_it_holds

PIPELINES: Final[tuple[tuple[float, dict[str, Any]], ...]] = (
    (10, {"workers": 1, "service": "100ms"}),
    (40, {"workers": 4, "service": "100ms"}),
    (25, {"workers": 10, "service": "400ms", "visibility": "200ms"}),
    (30, {"workers": 3, "service": {"uniform": {"from": "90ms", "to": "110ms"}}}),
    (36, {"workers": 9, "service": "250ms", "replicas": [{"name": "a"}, {"name": "b", "lag": "100ms"}]}),
)
"""Events per second, and what makes them."""
SLOS: Final = ("p95(consistency) < 20s", "errors == 0")


@pytest.mark.parametrize("seed", seeds(100, {1}))
def test_the_interval_holds_the_ceiling_and_is_five_percent_wide_at_most(seed: int, tmp_path: Path) -> None:
    """Every other one shows its backlog by the depth of a queue alone, and not by any objective.

    Where events are followed as well it takes thirty times as long.
    """
    rng = random.Random(seed)
    capacity, sandbox = PIPELINES[seed // 2 % len(PIPELINES)]
    hidden = seed % 2 == 1
    planted = Planted(
        capacity, sandbox, slos=("errors == 0",) if hidden else SLOS, watched=not hidden, gauged=hidden, seed=seed
    )
    first = Fraction(f"{capacity * rng.uniform(0.3, 1.6):.4g}")
    ceiling = planted.search(tmp_path / "search", Plan(first, Fraction(5000), 0.05))
    assert_it_holds(ceiling, capacity, "1.05")
    if hidden:
        # All publishes were confirmed: whoever asks the broker alone finds no ceiling at all.
        bad = [one for one in ceiling.trials if one.outcome is Outcome.BAD]
        assert all(one.judged.reasons[0].startswith("work-queue ") for one in bad)


def test_a_backlog_of_events_that_are_followed_bounds_it_too(tmp_path: Path) -> None:
    planted = Planted(40, {"workers": 4, "service": "100ms"}, slos=SLOS)
    ceiling = planted.search(tmp_path / "search", Plan(Fraction(28), Fraction(5000), 1.0), length_s=20)
    assert_it_holds(ceiling, 40, "2")
    bad = [one for one in ceiling.trials if one.outcome is Outcome.BAD]
    assert all(one.judged.reasons[0].startswith("events not seen yet ") for one in bad)


def test_a_search_goes_on_from_its_notes_and_comes_to_the_same(tmp_path: Path) -> None:
    """As if it had been killed after its third trial, and again in its fourth, which was over and not yet noted."""
    plan = Plan(Fraction(20), Fraction(5000), 0.2)
    planted = Planted(40, {"workers": 4, "service": "100ms"}, watched=False, gauged=True)
    whole = planted.search(tmp_path / "whole", plan)
    made = SearchDirectory(tmp_path / "whole").read().made()
    assert made == list(whole.trials)
    (tmp_path / "left").mkdir()
    (tmp_path / "whole" / "trial-04").rename(tmp_path / "left" / "trial-04")
    (tmp_path / "left" / "trial-04" / "summary.json").write_text("{}")
    before = planted.runs
    again = planted.search(tmp_path / "left", plan, made=made[:3])
    assert [one.rate for one in again.trials] == [one.rate for one in whole.trials]
    assert again.bounds == whole.bounds
    assert again.trials[3] == whole.trials[3]
    # What was over was not made again.
    assert planted.runs - before == len(whole.trials) - 4
