"""What a trial has left over is waited for: until a queue is back at its level, or as long as it may take unseen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Literal

import pytest

from evload.config import load_text
from evload.errors import TargetError
from evload.search.draining import NotDrainedError, drained, owed_ns
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample
from evload.testing import run_virtual, virtual_clock
from evload.units import NS_PER_S

CONFIG = load_text(
    """\
producers: {api: {kind: http, url: "http://localhost:8080/events"}}
events: {order: {type: order, source: /tests}}
scenarios: {base: {producer: api, events: [order], load: [{burst: 1}]}}
""",
    "c.yaml",
    environ={},
).config


class Emptying(GaugeSettings):
    """A queue of which ten events go every second, down to what others keep in it."""

    kind: Literal["emptying"] = "emptying"
    holds: float
    keeps: float = 0.0
    blind_s: float = 0.0
    away: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("queue_depth", "consumers")

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        if self.away:
            raise TargetError("no such queue")
        yield _Emptying(self)


class _Emptying:
    def __init__(self, settings: Emptying) -> None:
        self._settings = settings
        self._begun_ns = virtual_clock().now_ns()

    async def sample(self) -> Sample:
        passed_s = (virtual_clock().now_ns() - self._begun_ns) / NS_PER_S
        if passed_s < self._settings.blind_s:
            return Sample({}, "no answer")
        left = max(self._settings.keeps, self._settings.holds - 10 * passed_s)
        return Sample({"queue_depth": left, "consumers": 1.0})


def waited(
    gauges: Mapping[str, GaugeSettings],
    levels: Mapping[str, float],
    owed_s: float,
    say: Callable[[str], None] = print,
) -> float:
    """For how many seconds it waits. Raises NotDrainedError."""

    async def wait() -> float:
        clock = virtual_clock()
        begun_ns = clock.now_ns()
        around = Surroundings(clock, "between", Path())
        owed = round(owed_s * NS_PER_S)
        await drained(CONFIG, gauges, levels, owed, around, lambda *_: None, say)
        return (clock.now_ns() - begun_ns) / NS_PER_S

    return run_virtual(wait())


@pytest.mark.parametrize(
    ("before", "following", "owed_s"), [(200, 100, 60.0), (150, 100, 30.0), (100, 100, 0.0), (100, 200, 0.0)]
)
def test_what_a_system_owes_at_most_is_what_it_could_not_do_meanwhile(
    before: int, following: int, owed_s: float
) -> None:
    """After a minute at twice the rate that it sustains there is a minute's work left."""
    assert owed_ns(Fraction(before), 60 * NS_PER_S, Fraction(following)) == owed_s * NS_PER_S


def test_where_nobody_can_look_it_waits_for_what_is_owed_and_says_so() -> None:
    said: list[str] = []
    assert waited({}, {}, 30.0, said.append) == 30.0
    assert said == ["waiting 30 s for what the trial has left over"]
    assert waited({}, {}, 0.0, said.append) == 0.0
    assert len(said) == 1


def test_a_queue_that_went_with_its_run_holds_nothing_to_look_at() -> None:
    assert waited({"work": Emptying(holds=500, away=True)}, {"work": 0.0}, 20.0) == 20.0


@pytest.mark.parametrize(("level", "seconds"), [(0.0, 40.0), (100.0, 30.0), (400.0, 0.0)])
def test_a_queue_is_waited_for_until_it_is_back_where_it_was_before_the_first_trial(
    level: float, seconds: float
) -> None:
    """Longer or shorter than what is owed: it is seen when it is over."""
    said: list[str] = []
    gauge = Emptying(holds=400, every="1s")
    assert waited({"work": gauge}, {"work": level}, 3.0, said.append) == seconds
    if seconds:
        assert said[0] == "waiting: work still holds 350 events"


def test_all_queues_have_to_be_back() -> None:
    gauges = {"work": Emptying(holds=50, every="1s"), "other": Emptying(holds=120, every="1s")}
    assert waited(gauges, {"work": 0.0}, 0.0) == 12.0, "a queue without a level had nothing in it"


def test_a_queue_that_can_not_be_looked_at_is_not_taken_for_an_empty_one() -> None:
    assert waited({"work": Emptying(holds=0, blind_s=7.0, every="1s")}, {"work": 0.0}, 0.0) == 7.0


def test_a_queue_that_stays_full_ends_the_search() -> None:
    """Three times what it should take, and a minute: here nine seconds and sixty."""
    gauge = Emptying(holds=400, keeps=25, every="1s")
    with pytest.raises(NotDrainedError) as caught:
        waited({"work": gauge}, {"work": 0.0}, 3.0)
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        "work still holds 25 events 69 s after the trial; empty it, or see who else fills it, then go on"
    )
    with pytest.raises(NotDrainedError, match=r"^work can't be looked at \(no answer\) 60 s after the trial; "):
        waited({"work": Emptying(holds=0, blind_s=900, every="1s")}, {}, 0.0)
