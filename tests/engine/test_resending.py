"""Copies that are sent on purpose: of which events, how many, when, and that each is its event to the last byte."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

import pytest

from evload.engine.control import RunControl
from evload.model.travel import Event
from evload.sandbox.delay import parse_delay
from evload.spi.context import Surroundings
from evload.spi.producer import Producer, Settle
from evload.testing import MemoryProducerSettings, MemoryWorld
from evload.testing.simulation import Simulated, Simulation

MS = 1_000_000
S = 1_000_000_000


class Given:
    """What a producer was given, and when."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self.batches: list[int] = []

    def by_id(self) -> dict[str, list[tuple[int, Event]]]:
        """The event and its copies, in the order in which they were given."""
        found = defaultdict(list)
        for at_ns, event in self.events:
            found[event.correlation_id].append((at_ns, event))
        return found


class _Watched:
    """Passes on to a producer what it is given."""

    def __init__(self, producer: Producer, given: Given, now_ns: Callable[[], int]) -> None:
        self._producer = producer
        self._given = given
        self._now_ns = now_ns

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        # What the engine needs no longer of an event, it lets go of.
        self._given.events += [(self._now_ns(), copy(event)) for event in batch]
        self._given.batches.append(len(batch))
        await self._producer.publish(batch, settle)


class WatchedProducerSettings(MemoryProducerSettings):
    """Publishes to a WatchedWorld."""

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        assert isinstance(self.world, WatchedWorld)
        async with super().open(surroundings) as producer:
            yield _Watched(producer, self.world.given, surroundings.clock.now_ns)


class WatchedWorld(MemoryWorld):
    """Keeps what its producer is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.given = Given()

    def producer(self, **settings: Any) -> MemoryProducerSettings:
        return WatchedProducerSettings(kind="memory", world=self, **settings)


def resent(
    resend: dict[str, Any],
    load: Sequence[dict[str, str]] = ({"rate": "10/s", "for": "2s"},),
    at: Callable[[RunControl], None] | None = None,
    names: Sequence[str] = ("main",),
    **world: Any,
) -> tuple[Given, Simulated]:
    """A run in which copies are sent; one that doesn't end by itself is ended after a while."""
    memory = WatchedWorld(**world)

    def started(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(60, control.abort)
        if at is not None:
            at(control)

    scenarios = {name: {"load": list(load), "resend": resend} for name in names}
    return memory.given, Simulation(memory, scenarios=scenarios, key="{data.group}", at=started, watched=False).run()


def test_each_copy_comes_so_long_after_the_one_before_it() -> None:
    given, run = resent({"share": "100%", "copies": 3, "after": "700ms"})
    assert len(given.by_id()) == 20
    for sent in given.by_id().values():
        first = sent[0][0]
        assert [at_ns - first for at_ns, _ in sent] == [0, 700 * MS, 1400 * MS, 2100 * MS]
    assert run.summary.vitals.copies == {"accepted": 60}
    assert run.summary.vitals.duration_ns < 5 * S, "it ends with the last of them"


def test_a_copy_is_its_event_to_the_last_byte() -> None:
    given, _ = resent({"share": "100%", "copies": 2, "after": "50ms"}, names=("one", "two"))
    assert {event.scenario for _, event in given.events} == {0, 1}
    for (_, event), *copies in given.by_id().values():
        assert len(copies) == 2
        assert event.key
        assert event.body
        for _, again in copies:
            assert (again.body, again.headers, again.extras) == (event.body, event.headers, event.extras)
            assert (again.key, again.type, again.scenario) == (event.key, event.type, event.scenario)
            assert again.intended_ns == event.intended_ns


def test_copies_have_numbers_of_their_own_so_that_no_receipt_is_taken_for_another() -> None:
    """Not even of two scenarios that send over the same producer."""
    given, run = resent({"share": "100%", "copies": 4, "after": "30ms"}, names=("one", "two", "three"))
    numbers = [event.seq for _, event in given.events]
    assert len(numbers) == len(set(numbers)) == 3 * 20 * 5
    assert sorted(number for number in numbers if number >= 0) == list(range(60))
    assert run.summary.vitals.copies == {"accepted": 240}
    assert all(again.seq < 0 for _, *copies in given.by_id().values() for _, again in copies)


def test_the_events_that_are_resent_are_those_that_the_run_says_were() -> None:
    given, run = resent({"share": "30%", "copies": 1, "after": "100ms"}, [{"rate": "100/s", "for": "3s"}])
    twice = {sent[0][1].seq for sent in given.by_id().values() if len(sent) == 2}
    assert 60 < len(twice) < 120
    assert twice == {seen.seq for seen in run.observations if seen.resent}


def test_copies_that_come_due_together_go_out_together_in_the_order_of_their_events() -> None:
    given, _ = resent({"share": "100%", "copies": 2, "after": "100ms"}, [{"burst": "25"}, {"idle": "1s"}])
    assert given.batches == [25, 25, 25]
    ids = [event.correlation_id for _, event in given.events]
    assert ids[25:50] == ids[50:75] == ids[:25]


def test_a_copy_is_sent_before_its_event_has_an_answer() -> None:
    """It is as late as was asked for, not as late as the broker."""
    given, run = resent({"share": "100%", "copies": 1, "after": "200ms"}, confirm=parse_delay("1s"))
    for (first, _), (second, _) in given.by_id().values():
        assert second - first == 200 * MS
    assert run.summary.vitals.copies == {"accepted": 20}


def test_copies_that_wait_their_turn_are_sent_in_order_of_the_moment_at_which_they_are_due() -> None:
    """The second copy of one event comes after the first copy of a later one."""
    given, _ = resent({"share": "100%", "copies": 2, "after": "250ms"}, [{"rate": "5/s", "for": "1s"}])
    times = [at_ns for at_ns, _ in given.events]
    assert times == sorted(times)
    start = times[0]
    assert [round((at_ns - start) / MS) for at_ns in times] == sorted(
        due for event in range(5) for due in (200 * event, 200 * event + 250, 200 * event + 500)
    )


def test_the_run_waits_for_its_last_copy_and_for_the_answer_to_it() -> None:
    given, run = resent({"share": "100%", "copies": 1, "after": "20s"}, [{"rate": "10/s", "for": "1s"}])
    assert len(given.events) == 20
    assert run.summary.vitals.copies == {"accepted": 10}
    assert 20 * S < run.summary.vitals.duration_ns < 30 * S


def test_what_becomes_of_copies_is_counted_apart() -> None:
    given, run = resent(
        {"share": "100%", "copies": 4, "after": "10ms"}, [{"rate": "100/s", "for": "2s"}], rejected=0.2, returned=0.1
    )
    copies = run.summary.vitals.copies
    assert set(copies) == {"accepted", "rejected", "returned"}
    assert sum(copies.values()) == 800 == len(given.events) - 200
    assert 120 < copies["rejected"] < 200
    ledger = run.summary.total().ledger
    assert ledger["scheduled"] == 200 == ledger["acked"] + ledger["rejected"] + ledger["returned"]


@pytest.mark.parametrize("stop_s", [1.02, 1.05])
def test_a_run_that_is_stopped_sends_no_more_copies_and_waits_for_none(stop_s: float) -> None:
    """Not even of an event that is due at the very moment of the stop, and is still sent."""

    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(stop_s, control.stop)

    given, run = resent({"share": "100%", "copies": 2, "after": "500ms"}, [{"rate": "10/s", "for": "2s"}], at)
    copies = [at_ns for at_ns, event in given.events if event.seq < 0]
    assert [at_ns // MS for at_ns in copies if at_ns < 1050 * MS] == [550, 650, 750, 850, 950]
    assert [at_ns for at_ns in copies if at_ns > 1050 * MS] == []
    assert run.summary.vitals.copies == {"accepted": len(copies)}
    assert len(given.events) - len(copies) == (10 if stop_s < 1.05 else 11)
    assert run.summary.vitals.duration_ns < 2 * S
    unstopped, _ = resent({"share": "100%", "copies": 2, "after": "500ms"}, [{"rate": "10/s", "for": "2s"}])
    assert len(unstopped.events) == 60


def test_a_receipt_says_of_a_copy_which_one_it_was() -> None:
    """Nobody else's: the sums of the ledger close without the copies."""
    _, run = resent({"share": "100%", "copies": 3, "after": "10ms"}, in_doubt=0.5)
    assert sorted(seen.seq for seen in run.observations) == list(range(20))
    assert set(run.summary.vitals.copies) == {"accepted", "in_doubt"}
    assert sum(run.summary.vitals.copies.values()) == 60
