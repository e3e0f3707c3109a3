"""How often an undo is tried, and that what is done of it isn't done again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from evload.engine.undoing import HURRIED, RETRIES, Retries, Undo
from evload.spi.activity import Outcome, Values
from evload.units import NS_PER_S


def series(retries: Retries, each_ns: int = 0) -> Iterator[float]:
    """When it is tried, in seconds, by somebody whose every try takes so long."""
    at_ns = tries = 0
    while True:
        yield at_ns / NS_PER_S
        at_ns, tries = at_ns + each_ns, tries + 1
        pause_ns = retries.pause_ns(tries, at_ns)
        if pause_ns is None:
            return
        at_ns += pause_ns


def test_pauses_double_up_to_ten_seconds_and_the_last_try_is_after_two_minutes() -> None:
    times = list(series(RETRIES))
    assert times[:8] == [0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 22.6]
    assert times[-2:] == [112.6, 120.0]


def test_what_tries_take_is_part_of_the_two_minutes() -> None:
    assert list(series(RETRIES, 30 * NS_PER_S)) == [0, 30.2, 60.6, 91.4]
    assert list(series(RETRIES, 300 * NS_PER_S)) == [0]


def test_in_a_hurry_there_is_one_try() -> None:
    assert list(series(HURRIED)) == [0]


@pytest.mark.parametrize("tries", [0, 1, 10**6])
def test_however_often_it_was_tried_there_is_a_pause(tries: int) -> None:
    assert RETRIES.pause_ns(tries, 0) == (10 * NS_PER_S if tries > 1 else NS_PER_S // 5)


class Step:
    """Fails so often, and writes down each time that it was done."""

    def __init__(self, name: str, done: list[str], failures: int = 0) -> None:
        self.name, self.done, self.failures = name, done, failures

    async def perform(self, values: Values) -> Outcome:
        if self.failures:
            self.failures -= 1
            return Outcome(error=f"{self.name} is away")
        self.done.append(self.name)
        return Outcome()


def test_a_step_that_fails_keeps_none_of_the_others_back_and_is_done_later() -> None:
    done: list[str] = []
    undo = Undo([Step("a", done), Step("b", done, failures=2), Step("c", done, failures=1), Step("d", done)])
    assert [asyncio.run(undo.attempt({})) for _ in range(4)] == ["b is away; c is away", "b is away", "", ""]
    assert done == ["a", "d", "c", "b"]


class Gone:
    """What it would be done to is no more."""

    async def perform(self, values: Values) -> Outcome:
        return Outcome("connection refused", gone=True)


def test_what_is_gone_needs_no_undo() -> None:
    done: list[str] = []
    undo = Undo([Gone(), Step("a", done, failures=1)])
    assert [asyncio.run(undo.attempt({})) for _ in range(2)] == ["a is away", ""]
    assert done == ["a"]
