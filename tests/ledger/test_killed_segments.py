"""A run of a part of a schedule that is killed: what is read back of it is what that part had sent by then."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evload.engine.control import RunControl
from evload.ledger.reader import LedgerReader
from evload.ledger.replay import rebuild
from evload.model.summary import Summary
from evload.report.build import build_again
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation
from evload.workload.segment import WHOLE, Segment

SCENARIOS: Mapping[str, Mapping[str, Any]] = {
    "steady": {"load": [{"rate": "59/s", "for": "8s"}], "warmup": "1s"},
    "random": {"load": [{"burst": 20}, {"rate": "30/s", "for": "6s"}], "arrivals": "poisson", "start": "1013ms"},
}


@dataclass
class Counting(MemoryWorld):
    """Knows the numbers of the events that it was sent."""

    sent: list[int] = field(default_factory=list)

    def draws_of(self, correlation_id: str) -> random.Random:
        self.sent.append(int(correlation_id[-12:], 16))
        return super().draws_of(correlation_id)


@dataclass(frozen=True)
class Killed:
    """A ledger as it was when its run was killed. How many events of each scenario had been sent by
    then, and were in the end."""

    path: Path
    sent: list[int]
    planned: list[int]
    summary: Summary
    rows: int


def killed(path: Path, segment: Segment, key: str | None, after_s: float, *, old: bool = False) -> Killed:
    """Run a part of the schedule, and keep its ledger as it is at a moment in the middle."""
    world = Counting(
        SandboxSettings.model_validate({"seed": 5, "draws": "event", "visibility": "150ms"}),
        confirm=parse_delay({"uniform": {"from": "1ms", "to": "4ms"}}), rejected=0.05,
    )  # fmt: skip
    whole, copy, sent = path / "events.sqlite", path / "killed.sqlite", []

    def kill() -> None:
        with closing(sqlite3.connect(whole)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            if old:
                target.execute("DROP TABLE scheduled")
                target.commit()
        sent.extend(world.sent)

    def planned(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(after_s, kill)

    Simulation(
        world, scenarios=SCENARIOS, key=key, segment=segment, ledger_path=whole,
        probe={"deadline": "6s", "confirm": {"reads": 3, "over": "1s"}},
        at=planned,
    ).run()  # fmt: skip
    with LedgerReader(copy) as reader:
        rows = sum(1 for number in (0, 1) for _ in reader.observations(number))
        return Killed(copy, by_scenario(sent), by_scenario(world.sent), rebuild(reader).summary, rows)


def by_scenario(numbers: list[int]) -> list[int]:
    return [sum(seq % 2 == number for seq in numbers) for number in (0, 1)]


def scheduled(summary: Summary) -> list[int]:
    return [scenario.with_warmup("scheduled") for scenario in summary.scenarios.values()]


PARTS = [Segment(0, 2), Segment(1, 2), WHOLE]
AT_A_NOTE_S = 5.0001
"""The run writes down how far it is each second, and did so just now."""
BETWEEN_NOTES_S = 4.6


@pytest.mark.parametrize(
    ("segment", "key", "old"),
    [(segment, key, False) for segment in PARTS for key in (None, "{data.group}")] + [(PARTS[1], None, True)],
)
def test_all_that_a_part_had_sent_is_read_back_and_nothing_else(
    tmp_path: Path, segment: Segment, key: str | None, old: bool
) -> None:
    """An older version wrote down how far it was with its notes alone."""
    one = killed(tmp_path, segment, key, AT_A_NOTE_S, old=old)
    assert scheduled(one.summary) == one.sent
    ledger = one.summary.total().ledger
    outstanding = sum(one.sent) - one.rows
    assert outstanding > 20, "each is looked at for a second"
    warm = [scenario.warmup.ledger["scheduled"] for scenario in one.summary.scenarios.values() if scenario.warmup]
    assert ledger["in_doubt"] == outstanding
    assert (
        ledger["scheduled"] == ledger["acked"] + ledger["rejected"] + ledger["in_doubt"] == sum(one.sent) - sum(warm)
    )
    assert one.summary.vitals.crashed
    with LedgerReader(one.path) as reader:
        report = build_again(reader, tmp_path)
    assert report.summary.total().ledger["scheduled"] == ledger["scheduled"]


@pytest.mark.parametrize("segment", PARTS[1:])
def test_what_is_sent_between_two_notes_is_known_up_to_the_last_row(tmp_path: Path, segment: Segment) -> None:
    one = killed(tmp_path, segment, "{data.group}", BETWEEN_NOTES_S)
    found = scheduled(one.summary)
    # Those of the last tenth of a second were sent after the last row was written.
    assert all(0 <= sent - known <= 6 for sent, known in zip(one.sent, found, strict=True))
    with closing(sqlite3.connect(one.path)) as db, db:
        db.execute("DROP TABLE scheduled")
    with LedgerReader(one.path) as reader:
        by_notes = scheduled(rebuild(reader).summary)
    assert sum(by_notes) < sum(found), "which the notes alone don't tell"


@pytest.mark.parametrize("segment", PARTS[:2])
def test_a_part_that_came_to_its_end_is_read_back_as_it_was(tmp_path: Path, segment: Segment) -> None:
    one = killed(tmp_path, segment, "{data.group}", AT_A_NOTE_S)
    with LedgerReader(tmp_path / "events.sqlite") as reader:
        again = rebuild(reader).summary
    assert scheduled(again) == one.planned
    assert again.total().ledger["in_doubt"] == 0
    assert not again.vitals.crashed


def test_what_the_killed_parts_say_adds_up(tmp_path: Path) -> None:
    together = Summary()
    sent = [0, 0]
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        one = killed(directory, Segment(number, 2), "{data.group}", AT_A_NOTE_S)
        together.merge(one.summary)
        sent = [before + own for before, own in zip(sent, one.sent, strict=True)]
    single = tmp_path / "single"
    single.mkdir()
    assert scheduled(together) == sent == killed(single, WHOLE, "{data.group}", AT_A_NOTE_S).sent
