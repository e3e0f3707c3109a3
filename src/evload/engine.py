"""Runs one plan: paces the load, drives the probes, and sees to it that every event is settled.

The only owner of a TaskGroup. It knows producers, probes and sinks through their ports alone, reads time
only through its clock, and leaves all decisions to the pure rooms: when to send to `schedule`, when to
read and what a read means to `tracker`, what it amounts to to `recorder`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from .clock import Clock, rfc3339
from .errors import OutputError
from .gate.vigil import Vigil
from .incidents import IncidentLog
from .measurement.budget import ReadBudget
from .measurement.foldplan import ScenarioPlan
from .measurement.ledger import Ledger
from .measurement.readingplan import ReadingPlan
from .measurement.recorder import Recorder
from .measurement.tracker import Origin, Tracker
from .model import Event, Outcome, ReadResult, Receipt, Target
from .ports import (
    Gauge,
    GaugeSettings,
    Probe,
    ProbeSettings,
    Producer,
    ProducerSettings,
    PushProbe,
    Settle,
    Sink,
    Surroundings,
)
from .progress import Goal, ProgressMeter, Span
from .resending import Resend, Resender
from .summary import ReadVitals, Summary, Vitals
from .units import NS_PER_S
from .workload.events import Renderer
from .workload.schedule import Arrivals

_LEAD_NS: Final = 50_000_000
"""Between the end of set-up and the first event, so that the first is no later than the others."""
_BATCH: Final = 256
"""Most events rendered before the loop gets a turn: about 3 ms of work."""
_COLLECT: Final = 16
"""Settled events are recorded as soon as there are this many: work so short that it makes no event late."""
_TICK_NS: Final = 100_000_000
_NOTE_NS: Final = NS_PER_S
_PROGRESS_NS: Final = NS_PER_S // 2
BULK_TICK_NS: Final = 2_000_000
"""Least time between two bulk reads of one probe: what comes due in between goes together."""
_COUNT_NS: Final = 20_000_000
"""Where reads are limited, what is due is counted this often."""
_DRIFT_NOTES: Final = 60
"""A minute of notes, one each second."""
_REASONS: Final = 40
"""Most distinct reasons of failures that are kept."""


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """One scenario, ready to run. `reading` says how each reader, by its number, follows its events, in the order of
    the chain of probes."""

    fold: ScenarioPlan
    span: Span
    arrivals: Arrivals
    renderer: Renderer
    producer: str
    reading: Mapping[int, ReadingPlan]
    resend: Resend | None = None


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """A probe, or a replica of it that has an address of its own. `name` tells it from all others."""

    name: str
    probe: str
    origin: Origin
    settings: ProbeSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the engine needs. `readers` are numbered by their order."""

    scenarios: Sequence[ScenarioRun]
    producers: Mapping[str, ProducerSettings]
    readers: Sequence[ReaderPlan]
    gauges: Mapping[str, GaugeSettings]
    settle_ns: int
    """Longest drain after an interrupt."""
    goal: Goal = field(default_factory=Goal)
    """What a person wants to see the windows held against."""
    late_ns: float | None = None
    """How late sends may be."""


@dataclass(slots=True)
class _Load:
    """A scenario while it runs."""

    index: int
    run: ScenarioRun
    producer: Producer
    settings: ProducerSettings
    resender: Resender | None = None
    in_flight: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)
    sleeper: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Reader:
    """A probe, or a replica of it, while it runs. The budget and the vitals are those of the whole probe."""

    index: int
    name: str
    probe: Probe
    bulk: int
    free: int
    budget: ReadBudget
    vitals: ReadVitals
    limited: bool = False
    waiting: int = 0
    """Events due for a read when they were last counted, less those read since; where reads are limited."""
    counted_ns: int = -NS_PER_S
    timer: asyncio.TimerHandle | None = None
    armed_ns: int = 0
    pumped_ns: int = 0


class _FinishedError(Exception):
    """Ends the TaskGroup: all is settled, or it's time to stop."""


class Engine:
    """One run. `open_ledger` makes the ledger once the start of the schedule is known.

    `redact` takes secrets out of a text; it is applied to what adapters say of failures. `vigil` looks at the
    summary once a second, and may end the run.
    """

    def __init__(
        self,
        plan: Plan,
        surroundings: Surroundings,
        open_ledger: Callable[[int], Ledger],
        sinks: Sequence[Sink] = (),
        redact: Callable[[str], str] = str,
        vigil: Vigil | None = None,
    ) -> None:
        self._plan = plan
        self._surroundings = surroundings
        self._clock: Clock = surroundings.clock
        self._open_ledger = open_ledger
        self._sinks = sinks
        self._redact = redact
        self._vigil = vigil
        self._worries: Sequence[str] = ()
        self._tracker = Tracker(
            [s.reading for s in plan.scenarios],
            [reader.origin for reader in plan.readers],
            resent=[0.0 if s.resend is None else s.resend.share for s in plan.scenarios],
        )
        self._vitals = Vitals()
        self._incidents = IncidentLog(self._vitals.incidents)
        self._wall: deque[int] = deque(maxlen=_DRIFT_NOTES)
        self._start_ns = 0
        self.ledger_error: OutputError | None = None
        """Set at the end of a run whose ledger could not be written whole; its summary is right all the same."""
        self._pacing = 0
        self._stopped_ns: int | None = None
        self._stop_at: int | None = None
        self._loads: list[_Load] = []
        self._readers: list[_Reader] = []
        self._meter = ProgressMeter([s.span for s in plan.scenarios], plan.goal, plan.late_ns)

    @property
    def started(self) -> bool:
        """Whether all targets are open and the schedule is set."""
        return self._start_ns > 0

    def stop(self) -> None:
        """Send nothing that is due later than now, wait for what is outstanding (at most `settle`), then finish."""
        if self._stop_at is None:
            self._vitals.interrupted = True
            self._wind_up()

    def _wind_up(self) -> None:
        """Send nothing more, and finish when what is outstanding is settled or `settle` is over."""
        if self._stop_at is None:
            self._stopped_ns = self._clock.now_ns()
            self._stop_at = self._stopped_ns + self._plan.settle_ns
            for load in self._loads:
                load.room.set()
                if load.resender is not None:
                    load.resender.give_up()
                if load.sleeper is not None:
                    load.sleeper.cancel()

    def abort(self) -> None:
        """Finish now: what is outstanding is settled as it stands."""
        self.stop()
        self._stop_at = self._clock.now_ns()

    async def run(self) -> Summary:
        """Run the plan to its end and return the summary.

        Raises TargetError if a target can't be opened and OutputError if the ledger can't be created. What
        goes wrong later with a broker or a read model is data, not an exception.
        """
        async with AsyncExitStack() as stack:
            # Producers first: one may declare the exchange of a tap, or the queue that a gauge looks at.
            producer_stack = await stack.enter_async_context(AsyncExitStack())
            producers = {
                name: await producer_stack.enter_async_context(settings.open(self._surroundings))
                for name, settings in self._plan.producers.items()
            }
            budgets = {reader.probe: ReadBudget(reader.settings.max_reads) for reader in self._plan.readers}
            self._vitals.probes = {name: ReadVitals() for name in budgets}
            for index, reading in enumerate(self._plan.readers):
                settings = reading.settings
                probe = await stack.enter_async_context(settings.open(self._surroundings))
                budget, vitals = budgets[reading.probe], self._vitals.probes[reading.probe]
                self._readers.append(
                    _Reader(
                        index, reading.name, probe, settings.bulk, settings.parallel, budget, vitals,
                        limited=settings.max_reads is not None,
                    )
                )  # fmt: skip
            gauges = {
                name: await stack.enter_async_context(settings.open(self._surroundings))
                for name, settings in self._plan.gauges.items()
            }
            self._loads = [
                _Load(
                    i,
                    run,
                    producers[run.producer],
                    self._plan.producers[run.producer],
                    Resender(run.resend, producers[run.producer], self._clock, self._count_copies)
                    if run.resend is not None
                    else None,
                )
                for i, run in enumerate(self._plan.scenarios)
            ]
            self._start_ns = self._clock.now_ns() + _LEAD_NS
            folds = [s.fold for s in self._plan.scenarios]
            watching = None if self._vigil is None else self._vigil.watches
            self._recorder = Recorder(folds, self._start_ns, self._vitals, watching)
            self._ledger = self._open_ledger(self._start_ns)
            try:
                self._note()
                try:
                    async with asyncio.TaskGroup() as group:
                        self._group = group
                        for load in self._loads:
                            self._pacing += 1
                            group.create_task(self._pace(load))
                            if load.resender is not None:
                                group.create_task(load.resender.run())
                        for reader in self._readers:
                            if isinstance(reader.probe, PushProbe):
                                group.create_task(self._listen(reader, reader.probe))
                        for name, gauge in gauges.items():
                            group.create_task(self._sample(name, gauge, self._plan.gauges[name].every))
                        group.create_task(self._watch_over())
                        if self._clock.cpu_ns() is not None:
                            group.create_task(self._monitor())
                except* _FinishedError:
                    pass
                finally:
                    for reader in self._readers:
                        reader.free = 0
                        if reader.timer:
                            reader.timer.cancel()
                    for load in self._loads:
                        self._give_up(load)
                    # Closing a producer settles what it still holds, and only then is the ledger complete.
                    await producer_stack.aclose()
                    self._tracker.close(self._clock.now_ns())
                    self._collect()
                    self._note(final=True)
            finally:
                try:
                    self._ledger.close()
                except OutputError as error:
                    self.ledger_error = error
            return self._recorder.summary()

    # -- pacing --------------------------------------------------------------------------------------

    async def _pace(self, load: _Load) -> None:
        run, clock = load.run, self._clock
        origin = self._start_ns + run.span.start_ns
        waits = load.settings.when_full == "wait"
        limit = load.settings.in_flight
        settle = partial(self._settle, load)
        while (offset := run.arrivals.peek()) is not None:
            if self._stopped_ns is not None and origin + offset > self._stopped_ns:
                break
            if origin + offset > clock.now_ns():
                await self._sleep(load, origin + offset)
                continue
            room = limit - load.in_flight
            if room <= 0 and waits:
                if self._stopped_ns is not None:
                    break
                load.room.clear()
                await load.room.wait()
                continue
            now = clock.now_ns()
            until = now if self._stopped_ns is None else self._stopped_ns
            offsets = run.arrivals.take_until(until - origin, min(_BATCH, room) if waits else _BATCH)
            await self._publish(load, settle, [origin + offset for offset in offsets], now)
            # Without a turn for the answers a pacer that is always a little late would starve them; and what
            # comes due meanwhile goes out together.
            await asyncio.sleep(0)
        self._pacing -= 1

    async def _sleep(self, load: _Load, until_ns: int) -> None:
        """Sleep. `stop` may cut it short."""
        task = asyncio.current_task()
        load.sleeper = task
        try:
            await self._clock.sleep_until_ns(until_ns)
        except asyncio.CancelledError:
            if self._stop_at is None or task is None or task.uncancel() > 0:
                raise
        finally:
            load.sleeper = None

    async def _publish(self, load: _Load, settle: Settle, intended: list[int], now: int) -> None:
        room = load.settings.in_flight - load.in_flight
        events = self._expect(load, intended, now)
        for index in load.run.reading:
            self._arm(self._readers[index])
        if len(events) > room:
            events, dropped = events[:room], events[room:]
            reason = f"dropped: {load.settings.in_flight} events were without an answer"
            settle([Receipt(event.seq, Outcome.UNSENT, None, None, reason) for event in dropped])
        if events:
            if load.resender is not None:
                load.resender.plan(events, now)
            await load.producer.publish(events, settle)

    def _expect(self, load: _Load, intended: list[int], now: int) -> list[Event]:
        events = load.run.renderer.render(intended, rfc3339(self._clock.wall(now)))
        self._recorder.expect(load.index, [(e.seq, e.intended_ns, e.key, e.type) for e in events])
        self._tracker.expect(events, now)
        load.in_flight += len(events)
        return events

    def _give_up(self, load: _Load) -> None:
        """Count what was due before the run was stopped and had to wait: nothing is skipped silently."""
        if self._stopped_ns is None:
            return
        origin = self._start_ns + load.run.span.start_ns
        while offsets := load.run.arrivals.take_until(self._stopped_ns - origin, _BATCH):
            events = self._expect(load, [origin + offset for offset in offsets], self._clock.now_ns())
            reason = "still waiting to be sent when the run was stopped"
            self._settle(load, [Receipt(event.seq, Outcome.UNSENT, None, None, reason) for event in events])

    def _settle(self, load: _Load, receipts: Sequence[Receipt]) -> None:
        load.in_flight -= len(receipts)
        load.room.set()
        if any(receipt.detail for receipt in receipts):
            receipts = [r._replace(detail=self._redact(r.detail)) if r.detail else r for r in receipts]
            for receipt in receipts:
                if receipt.detail:
                    self._incident(load.run.producer, receipt.detail)
                    self._count_reason(receipt.detail)
        now = self._clock.now_ns()
        self._tracker.settle(receipts, now)
        for index in load.run.reading:
            self._arm(self._readers[index])
        if self._tracker.settled >= _COLLECT:
            self._collect(now)

    def _count_copies(self, receipts: Sequence[Receipt]) -> None:
        copies = self._vitals.copies
        for receipt in receipts:
            outcome = receipt.outcome.name.lower()
            copies[outcome] = copies.get(outcome, 0) + 1

    # -- probing -------------------------------------------------------------------------------------

    def _arm(self, reader: _Reader) -> None:
        """Have `_pump` called when the probe's next read is due."""
        due = self._tracker.next_due(reader.index)
        if due is None or not reader.free:
            return
        if reader.bulk > 1:
            due = max(due, reader.pumped_ns + BULK_TICK_NS)
        due = max(due, reader.budget.next_ns(due))
        if reader.timer is not None:
            if reader.armed_ns <= due:
                return
            reader.timer.cancel()
        reader.armed_ns = due
        delay = max(0, due - self._clock.now_ns()) / NS_PER_S
        reader.timer = asyncio.get_running_loop().call_later(delay, self._pump, reader)

    def _pump(self, reader: _Reader) -> None:
        """Start the reads that are due, as many as may run at a time."""
        reader.timer = None
        now = reader.pumped_ns = self._clock.now_ns()
        while reader.free and (targets := self._choose(reader, now)):
            reader.free -= 1
            self._group.create_task(self._read(reader, targets))
        self._tracker.stretch[reader.index] = reader.budget.stretch
        self._arm(reader)

    def _choose(self, reader: _Reader, now: int) -> list[Target]:
        """What to read next, as far as the budget goes."""
        budget, tracker = reader.budget, self._tracker
        if now < budget.paused_until_ns:
            return []
        if not reader.limited:
            targets = tracker.due(reader.index, now, reader.bulk)
            budget.allow(now, len(targets))
            return targets
        if not reader.waiting or now - reader.counted_ns >= _COUNT_NS:
            reader.counted_ns, reader.waiting = now, tracker.backlog(reader.index, now)
        targets = tracker.due(reader.index, now, budget.allow(now, reader.waiting, reader.bulk))
        reader.waiting = max(0, reader.waiting - len(targets))
        return targets

    async def _read(self, reader: _Reader, targets: list[Target]) -> None:
        start = self._clock.now_ns()
        result = await reader.probe.read(targets)
        if sorted([read.seq for read in result.reads]) != sorted([target.seq for target in targets]):
            raise RuntimeError(f"probe {reader.name!r} did not answer about the {len(targets)} events asked for")
        vitals = self._vitals
        vitals.read_requests += 1
        vitals.event_reads += len(targets)
        vitals.unexpected_ids += result.unexpected
        now = self._clock.now_ns()
        reader.vitals.requests += 1
        reader.vitals.events += len(targets)
        if result.error:
            vitals.failed_reads += 1
            reader.vitals.failed += 1
            self._note_failure(reader.name, result.error)
        if result.throttled:
            reader.vitals.throttled += 1
            reader.budget.throttled(now, result.retry_ns)
        elif not result.error:
            reader.budget.answered(now, now - start, len(targets))
        self._tracker.stretch[reader.index] = reader.budget.stretch
        self._tracker.observe(reader.index, result.reads, now)
        reader.free += 1
        self._arm(reader)
        if self._tracker.settled >= _COLLECT:
            self._collect(now)

    async def _listen(self, reader: _Reader, probe: PushProbe) -> None:
        """Take what is pushed, for as long as the run goes on."""

        def report(result: ReadResult) -> None:
            self._vitals.unexpected_ids += result.unexpected
            reader.vitals.throttled += result.throttled
            if result.error:
                self._note_failure(reader.name, result.error)
            self._tracker.push(reader.index, result.reads)
            self._arm(reader)

        await probe.listen(report)

    async def _sample(self, name: str, gauge: Gauge, every_ns: int) -> None:
        """Look at a gauge at fixed times, not at fixed pauses, until the run is over."""
        due = self._start_ns
        while True:
            await self._clock.sleep_until_ns(due)
            start = self._clock.now_ns()
            sample = await gauge.sample()
            end = self._clock.now_ns()
            if sample.error:
                self._note_failure(name, sample.error)
            self._recorder.sampled(name, start, end, sample.values)
            self._ledger.sampled(name, start, end, sample.values)
            due += every_ns * max(1, -(-(end - due) // every_ns))

    # -- keeping house -------------------------------------------------------------------------------

    async def _watch_over(self) -> None:
        """Record what is settled, keep the notes, show progress, and end the run when there is nothing left."""
        noted = shown = self._clock.now_ns()
        while True:
            now = self._clock.now_ns()
            self._collect(now)
            if now - noted >= _NOTE_NS:
                noted = now
                self._note()
                self._look_ahead(now)
            if now - shown >= _PROGRESS_NS:
                shown = now
                self._show(now)
            if not self._pacing and not self._tracker.outstanding and not self._copying():
                break
            if self._stop_at is not None and now >= self._stop_at:
                break
            await self._clock.sleep_until_ns(now + _TICK_NS)
        self._vitals.duration_ns = self._clock.now_ns() - self._start_ns
        self._show(self._clock.now_ns())
        raise _FinishedError

    def _copying(self) -> bool:
        return any(load.resender is not None and load.resender.open for load in self._loads)

    def _look_ahead(self, now: int) -> None:
        """End the run if an objective that is worth it can't be kept any more."""
        if self._vigil is None:
            return
        summary = self._recorder.summary()
        self._worries = self._vigil.worries(summary)
        if self._stop_at is not None:
            return
        hopeless = self._vigil.hopeless(summary, now - self._start_ns)
        if hopeless is not None:
            self._vitals.aborted, self._vitals.abort_note = hopeless
            self._wind_up()

    def _collect(self, now: int | None = None) -> None:
        """Record what is settled, in the order in which `evload report` will see it again."""
        settled = self._tracker.take(now)
        if settled:
            self._recorder.settle(settled)
            self._ledger.append(settled)

    def _note(self, *, final: bool = False) -> None:
        now = self._clock.now_ns()
        if not self._vitals.duration_ns or not final:
            self._vitals.duration_ns = max(0, now - self._start_ns)
        self._vitals.replicas = self._known_replicas()
        for reader in self._readers:
            reader.vitals.busiest = reader.budget.busiest
            reader.vitals.stretch = reader.budget.widest
        self._note_drift()
        scheduled = [s.ledger["scheduled"] for s in self._recorder.summary().scenarios.values()]
        facts: dict[str, Any] = {"scheduled": scheduled, "vitals": asdict(self._vitals), "final": final}
        self._ledger.note(now, facts)

    def _known_replicas(self) -> dict[str, list[str]]:
        known: dict[str, list[str]] = {}
        for reader, plan in zip(self._readers, self._plan.readers, strict=False):
            own = plan.origin.replica
            known.setdefault(plan.probe, []).extend([own] if own else self._tracker.replicas(reader.index))
        return known

    def _note_drift(self) -> None:
        """Hold the wall clock against the monotonic one."""
        offset = self._clock.wall_offset_ns()
        if offset is not None:
            self._wall.append(offset)
            drift = max(self._wall) - min(self._wall)
            self._vitals.wall_drift_ns = max(self._vitals.wall_drift_ns or 0, drift)

    def _note_failure(self, source: str, error: str) -> None:
        """Count what a probe or a gauge says of a failure, and note when it was."""
        reason = self._redact(error)
        self._incident(source, reason)
        self._count_reason(f"{source}: {reason}")

    def _incident(self, source: str, reason: str) -> None:
        self._incidents.add(source, reason, max(0, self._clock.now_ns() - self._start_ns))

    def _count_reason(self, reason: str) -> None:
        errors = self._vitals.errors
        if reason not in errors and len(errors) >= _REASONS:
            reason = "other reasons"
        errors[reason] = errors.get(reason, 0) + 1

    async def _monitor(self) -> None:
        """Watch the generator itself: the longest stall of the loop and the busiest ten seconds of its CPU."""
        clock, vitals = self._clock, self._vitals
        pause_ns = 10_000_000
        window: list[tuple[int, int]] = [(clock.now_ns(), clock.cpu_ns() or 0)]
        vitals.longest_stall_ns = 0
        while True:
            before = clock.now_ns()
            await asyncio.sleep(pause_ns / NS_PER_S)
            now = clock.now_ns()
            vitals.longest_stall_ns = max(vitals.longest_stall_ns, now - before - pause_ns)
            if now - window[-1][0] >= NS_PER_S:
                window.append((now, clock.cpu_ns() or 0))
                (then, cpu_then), (_, cpu_now) = window[max(0, len(window) - 11)], window[-1]
                del window[:-10]
                vitals.cpu_share = max(vitals.cpu_share or 0.0, (cpu_now - cpu_then) / (now - then))

    def _show(self, now: int) -> None:
        if self._sinks:
            summary = self._recorder.summary()
            tracker = self._tracker
            progress = self._meter.read(
                now - self._start_ns, summary, tracker.unanswered, tracker.outstanding, self._worries
            )
            for sink in self._sinks:
                sink.progress(progress)
