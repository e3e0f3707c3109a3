"""Stand-ins that are wrong in one way, and what fails of a config where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evload.config.load import load
from evload.config.part import part_of
from stand_in.record import Record
from tests.rigs.virtual_runs import CONFIGS, Ran
from tests.rigs.virtual_stand_ins import run_stand_in


@dataclass(frozen=True)
class Twin:
    """A stand-in with these knobs, and what fails of these parts of a config, with these changes.

    long  it takes its time, or says much the same as another
    """

    fails: set[str]
    knobs: Mapping[str, Any] = field(default_factory=dict)
    parts: Sequence[str] = ()
    sets: Sequence[str] = ()
    name: str = ""
    long: bool = False


def assert_fails_alone(twin: Twin, name: str, directory: Path) -> Ran[Record]:
    """What is wrong fails, and nothing else. Returns the run."""
    ran = run_stand_in(twin.name or name, directory, knobs=twin.knobs, sets=twin.sets, parts=twin.parts)
    assert ran.failing == twin.fails, ran.told
    assert ran.report.verdict.value == "fail"
    return ran


def never_failing(name: str, twins: Mapping[str, Twin], profile: str = "short") -> set[str]:
    """The objectives of a config that no twin has failing."""
    config = part_of(load(CONFIGS / name, profiles=[profile], environ={}), ()).config
    failed: set[str] = set().union(*(twin.fails for twin in twins.values()))
    return {objective.title for objective in config.slos} - failed
