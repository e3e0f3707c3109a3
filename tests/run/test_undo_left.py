"""Undoing what a run has left: in which order, how often, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evload.engine.undoing import RETRIES, Retries
from evload.errors import TargetError
from evload.run.undo_left import BadStepError, Left, settings_of, undo_all
from evload.spi.activity import Activity, ActivitySettings, Outcome, Values
from evload.spi.context import Surroundings
from evload.testing.virtual_time import run_virtual, virtual_clock
from evload.units import NS_PER_S
from tests.rigs.switches import SwitchConfig, installed


class Turn(ActivitySettings):
    """Notes when it was done; fails so often."""

    name: str
    notes: Any
    fails: int = 0
    raises: bool = False
    hangs: bool = False

    @property
    def title(self) -> str:
        return self.name

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        if self.notes.get(self.name, 0) < self.fails and self.raises:
            self.notes[self.name] = self.notes.get(self.name, 0) + 1
            raise TargetError(f"{self.name} can't be reached")
        yield Turned(self, surroundings)


class Turned:
    def __init__(self, settings: Turn, surroundings: Surroundings) -> None:
        self.settings, self.surroundings = settings, surroundings

    async def perform(self, values: Values) -> Outcome:
        settings, clock = self.settings, self.surroundings.clock
        if settings.hangs:
            await clock.sleep_until_ns(clock.now_ns() + 10**18)
        if settings.notes.get(settings.name, 0) < settings.fails:
            settings.notes[settings.name] = settings.notes.get(settings.name, 0) + 1
            if settings.raises:
                raise RuntimeError("a bug")
            return Outcome(error=f"{settings.name} says no")
        settings.notes.setdefault("done", []).append(
            (settings.name, round(clock.now_ns() / NS_PER_S, 3), dict(values))
        )
        return Outcome()


def undone(left: list[Left], retries: Retries = RETRIES) -> dict[str, Any]:
    told: dict[str, Any] = {"kept": [], "given_up": [], "pauses": []}

    def failed(one: Left, pause_ns: int | None) -> None:
        if pause_ns is None:
            told["given_up"].append((one.key[0], one.reason))
        else:
            told["pauses"].append((one.key[0], pause_ns / NS_PER_S))

    async def run() -> None:
        surroundings = Surroundings(virtual_clock(), "r", Path())
        await undo_all(left, surroundings, retries, kept=lambda one: told["kept"].append(one.key[0]), failed=failed)

    run_virtual(run())
    return told


def test_the_newest_is_undone_first_and_the_steps_of_each_in_their_order() -> None:
    notes: dict[str, Any] = {}
    left = [
        Left(("a", 0), [Turn(name="a1", notes=notes), Turn(name="a2", notes=notes)]),
        Left(("b", 0), [Turn(name="b1", notes=notes)], {"id": 7}),
    ]
    assert undone(left)["kept"] == ["b", "a"]
    assert notes["done"] == [("b1", 0.0, {"id": 7}), ("a1", 0.0, {}), ("a2", 0.0, {})]


@pytest.mark.parametrize("raises", [False, True], ids=["fails", "raises"])
def test_one_that_fails_keeps_no_other_waiting_and_is_tried_again(raises: bool) -> None:
    notes: dict[str, Any] = {}
    left = [
        Left(("a", 0), [Turn(name="a", notes=notes)]),
        Left(("b", 0), [Turn(name="b", notes=notes, fails=3, raises=raises)]),
    ]
    told = undone(left)
    assert told["kept"] == ["a", "b"]
    assert [one[:2] for one in notes["done"]] == [("a", 0.0), ("b", 1.4)]
    assert told["pauses"] == [("b", 0.2), ("b", 0.4), ("b", 0.8)]


def test_what_never_succeeds_is_given_up_with_the_last_reason() -> None:
    notes: dict[str, Any] = {}
    left = [Left(("a", 0), [Turn(name="a", notes=notes, fails=10**6), Turn(name="c", notes=notes)])]
    told = undone(left, Retries(altogether_ns=3 * NS_PER_S))
    assert (told["kept"], told["given_up"]) == ([], [("a", "a: a says no")])
    assert [one[:2] for one in notes["done"]] == [("c", 0.0)]  # once, and not each time


def test_one_that_never_ends_is_cut_off() -> None:
    notes: dict[str, Any] = {}
    left = [Left(("a", 0), [Turn(name="a", notes=notes, hangs=True, timeout="2s")])]
    assert undone(left, Retries(altogether_ns=0))["given_up"] == [("a", "a: it was not done after 2 s")]


def test_where_the_doing_may_still_be_under_way_it_is_undone_at_once_and_when_that_must_be_over() -> None:
    notes: dict[str, Any] = {}
    left = [
        Left(("a", 0), [Turn(name="a", notes=notes)], again_ns=30 * NS_PER_S),
        Left(("b", 0), [Turn(name="b", notes=notes)]),
    ]
    assert undone(left)["kept"] == ["b", "a"]
    assert [one[:2] for one in notes["done"]] == [("b", 0.0), ("a", 0.0), ("a", 30.0)]


def test_a_step_is_read_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path))
    settings = settings_of({"switch": "slow", "to": "off", "of": "/s", "timeout": "2s"})
    assert isinstance(settings, SwitchConfig)
    assert (settings.switch, settings.timeout) == ("slow", 2 * NS_PER_S)


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"swich": "slow"}, "nothing that is installed does swich"),
        ({}, "nothing that is installed does nothing"),
        ({"switch": "slow", "to": "of", "of": "/s"}, "to: Input should be 'on' or 'off'"),
    ],
    ids=["unknown", "empty", "wrong"],
)
def test_a_step_that_cant_be_read(
    step: dict[str, str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path))
    with pytest.raises(BadStepError, match=word):
        settings_of(step)
