"""Configs changed at random: each ends in a config that can be run, or in problems, and soon.

A share of them in every run of the tests; `make long` tries twenty thousand.
"""

from __future__ import annotations

import io
import os
import re
import time
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, seed, settings

from evload.commands.plan import print_plan
from evload.config import load_text
from evload.config.run_config import LoadedConfig
from evload.errors import ConfigError
from evload.run.prepare import prepare
from evload.terminal.console import PlainConsole
from tests.rigs.mutated_configs import ENVIRON, SHIPPED, as_text, mutants

LONGEST_S: Final = 2.0
"""CPU time: whatever else the machine does, it isn't counted."""
FEW: Final = 60
MANY: Final = 1000
PARTS: Final = 20


def outcome(text: str, name: str) -> LoadedConfig | ConfigError:
    """What `validate` and `plan` make of it; whatever else than ConfigError is raised would be exit code 70."""
    try:
        return load_text(text, name, base_dir=SHIPPED[name].parent, environ=ENVIRON)
    except ConfigError as error:
        return error


def used(loaded: LoadedConfig) -> None:
    """Do all with it that doctor and run do before they touch a target, and a little more."""
    text = loaded.as_run()
    # What looks like a password is a variable there, which has another value here.
    hidden = {name: "s3cret" for name in re.findall(r"\$\{(\w+)\}", text) if name not in ENVIRON}
    again = load_text(text, "again.yaml", base_dir=loaded.base_dir, environ={**ENVIRON, **hidden})
    assert hidden or again.config == loaded.config
    config = loaded.at_sandbox("http://127.0.0.1:9")
    prepared = prepare(config, "20260101-000000-abcd", base_dir=loaded.base_dir, redact=loaded.redact)
    for scenario in prepared.plan.scenarios:
        if not scenario.producer:
            assert scenario.watched or scenario.journeys or scenario.race
            continue
        due = scenario.arrivals.peek()
        assert due is not None
        assert due < 2**63
        (event,) = scenario.renderer.render([due], "2026-01-01T00:00:00.000000Z")
        assert event.body is not None


LARGEST: Final = {"sandbox": {"replicas": list(range(9_900))}}
"""As many values as a config may have: a second's work where nothing else is done."""


def looked_at(text: str, name: str) -> tuple[LoadedConfig | ConfigError, float]:
    """What comes of it, and how much CPU time that took."""
    began = time.process_time()
    found = outcome(text, name)
    if isinstance(found, LoadedConfig):
        print_plan(PlainConsole(io.StringIO(), width=80), found)
    return found, time.process_time() - began


def tried(name: str, data: Any) -> None:
    text = as_text(data)
    found, took = looked_at(text, name)
    if took >= LONGEST_S:  # What is collected or imported in between has nothing to do with it.
        took = min(looked_at(text, name)[1] for _ in range(5))
    if isinstance(found, ConfigError):
        assert found.exit_code == 2
        assert found.problems
        assert len(found.problems) <= 101
        for problem in found.problems:
            assert problem.where.startswith(name)
            assert problem.what
            assert problem.cure
            assert len(str(problem)) < 1000
            assert str(problem).isprintable()
    else:
        used(found)
    if took >= LONGEST_S:  # It was slow, or the machine is.
        assert took < 2 * looked_at(as_text(LARGEST), name)[1], (name, took)


@settings(max_examples=FEW, derandomize=True, deadline=None)
@given(mutants())
def test_whatever_a_config_says_it_ends_in_a_plan_or_in_problems(mutant: tuple[str, Any]) -> None:
    tried(*mutant)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_twenty_thousand_configs(part: int) -> None:
    """`make long SEED=7` tries others."""

    @seed(int(os.environ.get("SEED", "1")) * PARTS + part)
    @settings(
        max_examples=MANY, derandomize=False, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(mutants())
    def try_all(mutant: tuple[str, Any]) -> None:
        tried(*mutant)

    try_all()


def test_one_with_what_looks_like_a_password_in_an_odd_place_can_be_used() -> None:
    text = SHIPPED["rabbitmq.yaml"].read_text()
    assert "binding: [placement.#]" in text
    odd = text.replace("[placement.#]", "['http://user:p%40ss@host/{correlation_id}?a=1#b']")
    found = outcome(odd, "rabbitmq.yaml")
    assert isinstance(found, LoadedConfig)
    assert "p%40ss" not in found.as_run()
    used(found)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_configs_themselves_are_good(name: str) -> None:
    """The control."""
    found = outcome(Path(SHIPPED[name]).read_text(), name)
    assert isinstance(found, LoadedConfig), found
    used(found)
