"""The checks for adapters: the ones in memory pass, and broken ones are told what is wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from evload.errors import OutputError
from evload.model.progress import Progress
from evload.model.report import Report, Result
from evload.model.states import Outcome, Seen
from evload.model.summary import Summary
from evload.model.travel import Encoding, Event, Read, ReadResult, Receipt, Target
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Surroundings
from evload.spi.probe import Probe, ProbeSettings
from evload.spi.producer import Producer, ProducerSettings, Settle
from evload.testing import (
    MemoryWorld,
    check_probe,
    check_producer,
    check_sink,
    run_virtual,
    sample_events,
    virtual_clock,
)


class Broken(ProducerSettings):
    """A producer that settles its events as `receipts` says, some of them only when it closes."""

    kind: Literal["broken"] = "broken"
    receipts: Callable[[Event, int], Sequence[Receipt]]
    late: bool = False

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        producer = _Broken(self, surroundings)
        yield producer
        producer.close()


class _Broken:
    def __init__(self, settings: Broken, surroundings: Surroundings) -> None:
        self._settings = settings
        self._clock = surroundings.clock
        self._held: list[tuple[Event, Settle]] = []

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        await asyncio.sleep(0.001)
        self._held += [(event, settle) for event in batch]
        if not self._settings.late:
            self.close()

    def close(self) -> None:
        for event, settle in self._held:
            settle(self._settings.receipts(event, self._clock.now_ns()))
        self._held.clear()


def accepted(event: Event, now: int) -> list[Receipt]:
    return [Receipt(event.seq, Outcome.ACCEPTED, now, now)]


def checked(settings: ProducerSettings, **options: Any) -> dict[int, Receipt]:
    async def main() -> dict[int, Receipt]:
        return dict(await check_producer(settings, virtual_clock(), **options))

    return run_virtual(main())


def test_the_memory_producer_keeps_its_promises() -> None:
    memory = MemoryWorld(SandboxSettings(), rejected=0.2, returned=0.2, in_doubt=0.2)
    receipts = checked(memory.producer())
    assert sorted(receipts) == list(range(200))
    assert {receipt.outcome for receipt in receipts.values()} == {
        Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED, Outcome.IN_DOUBT,
    }  # fmt: skip


def test_events_settled_when_the_producer_closes_are_settled() -> None:
    assert len(checked(Broken(receipts=accepted, late=True), events=60, within_s=0.1)) == 60


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda event, now: accepted(event, now) * 2, "was settled twice"),
        (lambda event, now: accepted(event, now) if event.seq else [], "1 of 60 events were never settled"),
        (
            lambda event, now: [Receipt(event.seq + 1, Outcome.ACCEPTED, now, now)],
            "60 was settled and never published",
        ),
        (lambda event, now: [Receipt(event.seq, Outcome.ACCEPTED, now, now - 1)], "stamps out of order"),
        (lambda event, now: [Receipt(event.seq, Outcome.ACCEPTED, now + 10**12, now + 10**12)], "not on the clock"),
        (lambda event, now: [Receipt(event.seq, Outcome.ACCEPTED, -5, now)], "not on the clock"),
        (lambda event, now: [Receipt(event.seq, Outcome.ACCEPTED, now, None)], "acked_ns belongs to"),
        (lambda event, now: [Receipt(event.seq, Outcome.IN_DOUBT, now, now)], "acked_ns belongs to"),
        (lambda event, now: [Receipt(event.seq, Outcome.IN_DOUBT, None, None)], "has a sent_ns"),
    ],
)
def test_a_broken_producer_is_told_what_is_wrong(wrong: Callable[[Event, int], Sequence[Receipt]], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        checked(Broken(receipts=wrong), events=60, within_s=0.5)


class BrokenProbe(ProbeSettings):
    """A probe that answers as `answer` says."""

    kind: Literal["broken"] = "broken"
    bulk: int = 10
    answer: Callable[[Sequence[Target], int, int], ReadResult]

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _BrokenProbe(self, surroundings)


class _BrokenProbe:
    def __init__(self, settings: BrokenProbe, surroundings: Surroundings) -> None:
        self._settings = settings
        self._clock = surroundings.clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        start = self._clock.now_ns()
        await asyncio.sleep(0.001)
        return self._settings.answer(targets, start, self._clock.now_ns())


def asked(settings: ProbeSettings, count: int = 25) -> dict[int, Read]:
    async def main() -> dict[int, Read]:
        targets = [Target(seq, f"id-{seq}") for seq in range(count)]
        return dict(await check_probe(settings, virtual_clock(), targets))

    return run_virtual(main())


def reads(targets: Sequence[Target], start: int, end: int, seen: Seen = Seen.ABSENT) -> list[Read]:
    return [Read(target.seq, seen, start, end) for target in targets]


@pytest.mark.parametrize("bulk", [1, 10, 500])
def test_the_memory_probe_keeps_its_promises(bulk: int) -> None:
    memory = MemoryWorld(SandboxSettings(), broken_reads=0.3)
    found = asked(memory.probe(bulk=bulk))
    assert sorted(found) == list(range(25))
    assert {read.seen for read in found.values()} <= {Seen.ABSENT, Seen.FAILED}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda ts, a, b: ReadResult(reads(ts, a, b)[1:]), r"asked about \[0, 1.*answered about \[1, 2"),
        (lambda ts, a, b: ReadResult(reads(ts, a, b) + reads(ts[:1], a, b)), "answered about"),
        (
            lambda ts, a, b: ReadResult([read._replace(seq=read.seq + 1) for read in reads(ts, a, b)]),
            "answered about",
        ),
        (lambda ts, a, b: ReadResult(reads(ts, b, a)), "stamps out of order"),
        (lambda ts, a, b: ReadResult(reads(ts, a - 1, b)), "not on the clock"),
        (lambda ts, a, b: ReadResult(reads(ts, a, b + 1)), "not on the clock"),
        (lambda ts, a, b: ReadResult(reads(ts, a, b, Seen.FAILED)), "without a reason"),
    ],
)
def test_a_broken_probe_is_told_what_is_wrong(answer: Callable[..., ReadResult], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        asked(BrokenProbe(answer=answer))


def test_a_sink_gets_what_a_run_would_give_it_and_its_failure_shows() -> None:
    class Fragile:
        def __init__(self) -> None:
            self.moments: list[str] = []

        def progress(self, now: Progress) -> None:
            self.moments.append(now.phase)

        async def finish(self, report: Report) -> None:
            if report.run_id == "full":
                raise OutputError("no space left; free some")
            self.moments.append(report.run_id)

    moment = Progress("hold 5/s", 1.0, 2.0, 5.0, 5.0, 5, 0, 0, {"visible": 5})
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    good, full = (Report(run_id, "r", begun, Result.PASS, Summary(), [], []) for run_id in ("good", "full"))
    sink = Fragile()
    asyncio.run(check_sink(sink, [moment, moment], good))
    assert sink.moments == ["hold 5/s", "hold 5/s", "good"]
    with pytest.raises(OutputError):
        asyncio.run(check_sink(sink, [moment], full))


@pytest.mark.parametrize("mode", ["structured", "binary", "plain"])
def test_sample_events_are_rendered_as_the_encoding_asks(mode: Literal["structured", "binary", "plain"]) -> None:
    async def main() -> list[Event]:
        return sample_events(Encoding(mode=mode, extras=("{data.group}/{seq}",)), 3, virtual_clock())

    events = run_virtual(main())
    assert [event.seq for event in events] == [0, 1, 2]
    assert [list(event.extras) for event in events] == [[f"{event.key}/{event.seq}"] for event in events]
    assert ("ce-id" in dict(events[0].headers)) is (mode == "binary")
