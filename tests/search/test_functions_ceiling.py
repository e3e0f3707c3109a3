"""The breaking point of parser functions in virtual time: who was at its end, and from which rate on.

Beside processes and a RabbitMQ it is looked for in tests/run/test_functions.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from evload.model.ceiling import Ceiling, Outcome
from evload.search.bisection import Plan
from tests.rigs.commands import evload
from tests.rigs.functions_in_virtual_time import Broker, Ran, simulate_config
from tests.rigs.virtual_searches import CONFIGS, assert_it_holds, search

NAME: Final = "knative-ceiling.yaml"
CAPACITY: Final = 50
SLOW_FUNCTIONS: Final[Mapping[str, Any]] = {"most": 1, "concurrency": 1, "service_ms": 20.0}
SLOW_BROKER: Final[Mapping[str, Any]] = {"broker": Broker(answer_s=0.02)}
"""Both do as many events per second."""
BRIEF: Final = ("scenarios.parsing.warmup=2s", "probes.parsed.confirm={reads: 0}")


def breaking_point(
    directory: Path, plan: Plan, length_s: int, system: Mapping[str, Any]
) -> tuple[Ceiling, list[Ran]]:
    """The search, and the run of each trial with what the stand-in remembers of it."""
    runs: list[Ran] = []

    def trial(config: Any, run: Path) -> Any:
        runs.append(simulate_config(config, "parsers", run / "events.sqlite", **system))
        return runs[-1].report

    return search(NAME, directory, plan, length_s, trial, *BRIEF), runs


def first_reasons(ceiling: Ceiling) -> set[str]:
    """Who grew, in the trials that are bad: the first words of each reason that says so."""
    return {
        reason.partition(" grew by ")[0]
        for one in ceiling.trials
        if one.outcome is Outcome.BAD
        for reason in one.judged.reasons
        if " grew by " in reason
    }


def test_functions_that_dont_keep_up_are_the_breaking_point_and_named(tmp_path: Path) -> None:
    ceiling, runs = breaking_point(tmp_path, Plan(Fraction(35), Fraction(4000), 1.0), 20, SLOW_FUNCTIONS)
    assert_it_holds(ceiling, CAPACITY, "2")
    assert first_reasons(ceiling) == {"broker-queue", "unsettled"}
    (asked,) = ceiling.objectives
    assert (asked.expression, asked.result.value) == ("ceiling > 1200/s", "fail")
    # By its record the stand-in did no more in a second than it can, and in the end all of it.
    (bad,) = [run for run, one in zip(runs, ceiling.trials, strict=True) if one.outcome is Outcome.BAD]
    done = [line[0] / 1e9 for line in bad.system.record.kept if line[1] == "done"]
    assert len(done) == 70 * 22
    seconds = [sum(done[0] + n <= at < done[0] + n + 1 for at in done) for n in range(2, 20)]
    assert max(seconds) <= CAPACITY * 1.1
    assert sum(seconds) / len(seconds) == pytest.approx(CAPACITY, rel=0.05)


def test_a_broker_that_doesnt_keep_up_is_the_breaking_point_and_named(tmp_path: Path) -> None:
    ceiling, _ = breaking_point(tmp_path, Plan(Fraction(35), Fraction(4000), 1.0), 20, SLOW_BROKER)
    assert_it_holds(ceiling, CAPACITY, "2")
    assert first_reasons(ceiling) == {"unanswered publishes"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("system", "capacity"),
    [
        (SLOW_FUNCTIONS, CAPACITY),
        ({"most": 2, "concurrency": 3, "service_ms": 100.0}, 60),
        ({"most": 4, "concurrency": 1, "target": 1, "service_ms": 50.0, "cold_start_ms": 2000.0}, 80),
        (SLOW_BROKER, CAPACITY),
    ],
)
def test_the_interval_holds_what_can_be_done(system: Mapping[str, Any], capacity: int, tmp_path: Path) -> None:
    ceiling, _ = breaking_point(tmp_path, Plan(Fraction(capacity * 7, 10), Fraction(4000), 0.05), 40, system)
    assert_it_holds(ceiling, capacity, "1.05")


def test_no_rate_beyond_the_guard_is_tried_and_a_run_says_who_judges_the_ceiling(tmp_path: Path) -> None:
    ended = evload("ceiling", CONFIGS / NAME, "--to", "5000/s", cwd=tmp_path)
    assert ended.code == 2
    assert "--to 5000/s: the guard allows 4000/s at most" in ended.err
    ended = evload("plan", CONFIGS / NAME, cwd=tmp_path)
    assert ended.code == 0
    assert "not asked: ceiling > 1200/s (evload ceiling judges it)" in ended.out
