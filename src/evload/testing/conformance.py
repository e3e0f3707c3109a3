"""Checks that hold an adapter against what the engine relies on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..clock import Clock
from ..model.correlation import CorrelationIds
from ..model.progress import Progress
from ..model.report import Report
from ..model.states import Outcome, Seen
from ..model.travel import Encoding, Event, Read, Receipt, Target
from ..spi.context import Surroundings
from ..spi.gauge import GaugeSettings, Sample
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..spi.sink import Sink
from ..units import NS_PER_S
from ..workload.events import EventSettings, EventType, Renderer


def sample_events(encoding: Encoding, count: int, clock: Clock, run_id: str = "conformance") -> list[Event]:
    """Events as the engine would render them for a producer with this encoding."""
    settings = EventSettings(
        type="conformance.checked", source="/evload/testing", key="{data.group}",
        data={"group": "{choice:a,b}", "number": "{int:1..100}", "text": "plain"},
    )  # fmt: skip
    renderer = Renderer(
        scenario=0, scenarios=1, types=[EventType(0, "checked", settings, 1, None)], encoding=encoding,
        ids=CorrelationIds.for_run(run_id), run_id=run_id, seed="conformance",
    )  # fmt: skip
    return renderer.render([clock.now_ns()] * count, "2026-01-01T00:00:00.000000Z")


async def check_producer(
    settings: ProducerSettings,
    clock: Clock,
    *,
    events: int = 200,
    within_s: float = 30.0,
    base_dir: Path | None = None,
) -> Mapping[int, Receipt]:
    """Publish `events` events and hold the receipts against what the engine relies on.

    Returns the receipts by seq, for further checks. Raises AssertionError that says what is wrong: an event
    settled twice or never, a receipt for an event that wasn't published, stamps that contradict its outcome.
    """
    receipts: dict[int, Receipt] = {}
    wrong: list[str] = []
    batch = sample_events(settings.encoding(), events, clock)
    known = {event.seq for event in batch}
    began = clock.now_ns()

    def settle(settled: Sequence[Receipt]) -> None:
        for receipt in settled:
            if receipt.seq not in known:
                wrong.append(f"event {receipt.seq} was settled and never published")
            if receipt.seq in receipts:
                wrong.append(f"event {receipt.seq} was settled twice: {receipts[receipt.seq]} and {receipt}")
            receipts[receipt.seq] = receipt

    surroundings = Surroundings(clock, "conformance", base_dir or Path.cwd())
    async with settings.open(surroundings) as producer:
        for first in range(0, events, 50):
            await producer.publish(batch[first : first + 50], settle)
        deadline = clock.now_ns() + int(within_s * NS_PER_S)
        while len(receipts) < events and clock.now_ns() < deadline:
            await asyncio.sleep(0.01)
    if missing := known - receipts.keys():
        wrong.append(f"{len(missing)} of {events} events were never settled, not even when the producer closed")
    ended = clock.now_ns()
    for receipt in receipts.values():
        stamps = [at for at in (receipt.sent_ns, receipt.acked_ns) if at is not None]
        if stamps != sorted(stamps) or any(not began <= at <= ended for at in stamps):
            wrong.append(f"stamps out of order or not on the clock given: {receipt}")
        answered = receipt.outcome in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED)
        if (receipt.acked_ns is not None) != answered:
            wrong.append(f"acked_ns belongs to events with an answer, and to those alone: {receipt}")
        if receipt.sent_ns is None and receipt.outcome is not Outcome.UNSENT:
            wrong.append(f"an event that was sent has a sent_ns: {receipt}")
    if wrong:
        raise AssertionError("\n".join(wrong[:20]))
    return receipts


async def check_probe(
    settings: ProbeSettings, clock: Clock, targets: Sequence[Target], *, base_dir: Path | None = None
) -> Mapping[int, Read]:
    """Read `targets` in portions of `settings.bulk` and hold the answers against what the engine relies on.

    Returns the reads by seq. Raises AssertionError that says what is wrong: a target without a read or with
    two, a read of something else, stamps out of order.
    """
    reads: dict[int, Read] = {}
    wrong: list[str] = []
    surroundings = Surroundings(clock, "conformance", base_dir or Path.cwd())
    async with settings.open(surroundings) as probe:
        for first in range(0, len(targets), settings.bulk):
            asked = targets[first : first + settings.bulk]
            began = clock.now_ns()
            result = await probe.read(asked)
            ended = clock.now_ns()
            if sorted(read.seq for read in result.reads) != sorted(target.seq for target in asked):
                wrong.append(f"asked about {[t.seq for t in asked]}, answered about {[r.seq for r in result.reads]}")
            for read in result.reads:
                if not began <= read.start_ns <= read.end_ns <= ended:
                    wrong.append(f"stamps out of order or not on the clock given: {read}")
                if read.seen is Seen.FAILED and not result.error:
                    wrong.append(f"a failed read without a reason: {read}")
                reads[read.seq] = read
    if wrong:
        raise AssertionError("\n".join(wrong[:20]))
    return reads


async def check_gauge(
    settings: GaugeSettings, clock: Clock, *, samples: int = 3, base_dir: Path | None = None
) -> Sequence[Sample]:
    """Take `samples` samples, `settings.every` apart, and hold them against what the engine relies on.

    Returns the samples. Raises AssertionError that says what is wrong: a value that `metrics` doesn't name or
    that is no finite number, a sample that is both values and an error, or neither.
    """
    taken: list[Sample] = []
    wrong: list[str] = []
    known = set(settings.metrics)
    if len(known) != len(settings.metrics) or not known:
        wrong.append(f"metrics must be distinct names, at least one: {settings.metrics}")
    async with settings.open(Surroundings(clock, "conformance", base_dir or Path.cwd())) as gauge:
        for _ in range(samples):
            due_ns = clock.now_ns() + settings.every
            sample = await gauge.sample()
            taken.append(sample)
            if bool(sample.values) == bool(sample.error):
                wrong.append(f"a sample has either values or an error: {sample}")
            if unknown := sample.values.keys() - known:
                wrong.append(f"values that metrics doesn't name: {sorted(unknown)}")
            for name, value in sample.values.items():
                if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                    wrong.append(f"{name} is no finite number: {value!r}")
            await clock.sleep_until_ns(due_ns)
    if wrong:
        raise AssertionError("\n".join(wrong[:20]))
    return taken


def check_sink(sink: Sink, progress: Sequence[Progress], report: Report) -> None:
    """Give a sink what a run would give it. Whatever it raises is what is wrong with it."""
    for moment in progress:
        sink.progress(moment)
    sink.finish(report)
