"""Every example in docs/objectives.md is one that evload reads, and its tables are complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from evload.judging.checks import run as selfcheck
from evload.model.facts import COUNTER_NAMES, METRICS
from evload.model.summary import Summary
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.objective import Measure, Objective
from evload.objectives.policy import SelfCheckPolicy
from evload.units import parse_duration

PAGE: Final = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text()
GAUGES: Final = {
    "work-queue": ["queue_depth", "dead_letters", "handled"], "pods": ["replicas"], "server": ["memory"]
}  # fmt: skip
_FROM_A_MOMENT: Final = ("drain", "recovery", "reach")
_BLOCKS: Final = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
_WRITTEN: Final = [entry for block in _BLOCKS for entry in block.get("slos", ())]
_CODE: Final = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
_INLINE: Final = [code for code in _CODE if re.search(r"\w\)? (==|<=?|>=?) \w", code)]


def _parsed(entry: str | Mapping[str, Any]) -> Objective:
    given = {"objective": entry} if isinstance(entry, str) else dict(entry)
    abort = given.pop("abort", False)
    delay = parse_duration(abort["after"]) if isinstance(abort, dict) else 0 if abort else None
    texts: dict[str, Any] = {name: str(value) for name, value in given.items() if name != "objective"}
    return parse(str(given["objective"]), abort_after_ns=delay, gauges=GAUGES, **texts)


@pytest.mark.parametrize("entry", _WRITTEN, ids=str)
def test_examples_in_blocks_are_objectives(entry: str | Mapping[str, Any]) -> None:
    _parsed(entry)


@pytest.mark.parametrize("text", sorted(set(_INLINE)))
def test_examples_in_the_text_are_objectives(text: str) -> None:
    parse(text, gauges=GAUGES, after="spike" if text.startswith(_FROM_A_MOMENT) else None)


def test_there_is_an_example_of_every_kind() -> None:
    shown = [_parsed(entry) for entry in _WRITTEN]
    shown += [parse(text, gauges=GAUGES, after="s" if text.startswith(_FROM_A_MOMENT) else None) for text in _INLINE]
    assert {objective.measure for objective in shown} == set(Measure)
    assert {objective.window.stretch for objective in shown if objective.window} == {True, False}


def test_every_name_is_told() -> None:
    names = set(re.findall(r"[a-z_]+", " ".join(_CODE)))
    assert set(METRICS) <= names
    assert {*COUNTER_NAMES} - names == {"duplicated"}


def _rows() -> Iterator[list[str]]:
    for line in PAGE.partition("## Self-checks")[2].splitlines():
        if re.match(r"\| \d", line):
            yield [cell.strip(" `") for cell in line.strip("|").split("|")]


def test_all_self_checks_are_told_in_their_order() -> None:
    checks, _ = selfcheck.run(Summary(), Criteria([], SelfCheckPolicy(), {}))
    assert [row[1] for row in _rows()] == [check.name for check in checks]
    assert [row[2] for row in _rows() if row[2]] == list(SelfCheckPolicy.model_fields)
    assert all(SelfCheckPolicy.model_validate(block["self_checks"]) for block in _BLOCKS if "self_checks" in block)
