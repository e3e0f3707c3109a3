"""The stand-in of the functions in virtual time, and configs of it run there: hours take minutes at most.

What is measured is the config as it stands in its file; the autoscaler, the dispatcher, the read model and the record
are those of the stand-in. Only what is a process, a port or RabbitMQ there is a timer here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict

from evload.clock import Clock
from evload.config import load
from evload.config.run_config import RunConfig, Step
from evload.engine.control import RunControl
from evload.engine.engine import LEAD_NS
from evload.gauges.prometheus import PrometheusGaugeConfig
from evload.ledger.reader import LedgerReader
from evload.ledger.writer import LedgerFile
from evload.model.report import ObjectiveResult, Report
from evload.model.states import Outcome, Seen
from evload.model.summary import Summary
from evload.model.travel import Event, Read, ReadResult, Receipt, Target
from evload.report.build import About, build
from evload.run.execute import execute
from evload.run.prepare import Prepared, prepare
from evload.spi.activity import Activity, ActivitySettings, Values
from evload.spi.activity import Outcome as Done
from evload.spi.context import Capabilities, Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample
from evload.spi.probe import Probe, ProbeSettings
from evload.spi.producer import Producer, ProducerSettings, Settle
from evload.testing.virtual_time import VirtualLoop, run_virtual, virtual_clock
from knative.functions import Delivery, Function, Jobs, Knobs, Told
from knative.record import Record

_PUBLISHED_S: Final = 0.002
_ANSWERED_S: Final = 0.002
_PROCESS_S: Final = 0.1
"""How long a process takes to start, beside the cold start that the stand-in is told."""
_PROCESS_BYTES: Final = 10 << 20


class TimerPod:
    """A pod that is a timer for each event."""

    def __init__(self, told: Told, number: int, cold_start_ms: float) -> None:
        self._told, self._number = told, number
        self._leaked = 0
        self._over = False
        self._later(_PROCESS_S + cold_start_ms / 1000, lambda: told.ready(number))

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_s, lambda: None if self._over else call())

    def send(self, event_id: str, service_ms: float, leak: int, event: Mapping[str, Any]) -> None:
        """Have it work on an event."""
        self._leaked += leak
        self._later(service_ms / 1000, lambda: self._told.done(self._number, [(event_id, {})]))

    def stop(self) -> None:
        """End it."""
        self.kill()

    def kill(self) -> None:
        """End it, and be told of that in the next turn, as of a process."""
        if not self._over:
            self._over = True
            asyncio.get_running_loop().call_soon(self._told.gone, self._number)

    def memory(self) -> int:
        """What a process of its kind would take."""
        return _PROCESS_BYTES + self._leaked


@dataclass
class Broker:
    """How the broker behaves.

    backlog      events that may wait and be worked on; others are refused
    connections  how many it lets in
    refuse       share of the events that it refuses for no reason at all
    answer_s     how long it takes for each answer, one after another
    deaf         what is done to the system, and has no effect
    drops        where there is no room for an event it says yes, and throws it away
    """

    backlog: int = 100_000
    connections: int = 1000
    refuse: float = 0.0
    answer_s: float = 0.0
    deaf: Set[str] = frozenset()
    drops: bool = False


class System:
    """One function behind a broker; and its record."""

    def __init__(self, name: str, broker: Broker, **knobs: Any) -> None:
        self.record = Record(None, _now_ns)
        self.jobs = Jobs()
        self.function = Function(name, Knobs(**knobs), TimerPod, self.record, self.jobs)
        self.broker = broker
        self.refused = 0
        self._owed = 0.0
        self._room = broker.backlog

    def accept(self, event_id: str) -> int:
        """Put an event into the queue, unless it is full or nobody gets in; what HTTP calls what came of it."""
        broker = self.broker
        self._owed += broker.refuse
        if not broker.connections or self._owed >= 1:
            self._owed -= self._owed >= 1
            status = 503
        elif self.function.depth < broker.backlog or broker.drops:
            status = 202
        else:
            status = 429
        if status != 202:
            self.refused += 1
            self.record.note("refused", status, event_id)
            return status
        self.record.note("accepted", event_id)
        if self.function.depth < broker.backlog:
            self._give(event_id)
        return status

    def told(self, asked: Mapping[str, Any]) -> None:
        """An activity, as a config has it: an admin call of the stand-in, or a policy of RabbitMQ."""
        broker, function = self.broker, self.function
        what = next((name for name in ("policy", "delete_policy") if name in asked), "") or _admin_path(asked)
        self.record.note("told", what, asked)
        if what in broker.deaf:
            return
        if what == "policy":
            broker.backlog = asked["policy"]["definition"]["max-length"]
        elif what == "delete_policy":
            broker.backlog = self._room
        elif what == "broker":
            broker.connections = asked["json"]["connections"]
        elif what == f"functions/{function.name}/kill":
            function.kill(asked["json"]["count"])
        else:
            assert what == f"functions/{function.name}"
            function.knobs.turn(asked["json"])

    def _give(self, event_id: str) -> None:
        self.function.take(Delivery(event_id, {}, partial(self._settled, event_id)))

    def _settled(self, event_id: str, done: bool) -> None:
        if not done:
            asyncio.get_running_loop().call_soon(self._give, event_id)

    def value_of(self, metric: str) -> float:
        """What the stand-in's metrics say."""
        function = self.function
        values: dict[str, Callable[[], float]] = {
            "autoscaler_actual_pods": lambda: function.pods,
            "autoscaler_desired_pods": lambda: function.wanted,
            "rabbitmq_queue_messages": lambda: function.depth,
            "function_memory_bytes": function.memory,
            "function_killed_total": lambda: function.killed,
            "broker_connections": lambda: 1,
            "broker_refused_total": lambda: self.refused,
        }
        return values[metric]()


def _admin_path(asked: Mapping[str, Any]) -> str:
    path: str = asked["post"]
    return path.partition("/admin/")[2]


def _now_ns() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.now_ns


class _Settings(ProducerSettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["virtual"] = "virtual"
    system: System

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tells=frozenset({"status"}))

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        yield _Producer(self.system, surroundings.clock)


class _Producer:
    def __init__(self, system: System, clock: Clock) -> None:
        self._system, self._clock = system, clock
        self._free_s = 0.0

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        asyncio.get_running_loop().call_later(_PUBLISHED_S, self._arrive, list(batch), settle, self._clock.now_ns())

    def _arrive(self, batch: Sequence[Event], settle: Settle, sent_ns: int) -> None:
        loop = asyncio.get_running_loop()
        statuses = {event.seq: self._system.accept(event.correlation_id) for event in batch}
        self._free_s = max(self._free_s, loop.time()) + self._system.broker.answer_s * len(batch)
        loop.call_at(self._free_s + _PUBLISHED_S, self._answer, statuses, settle, sent_ns)

    def _answer(self, statuses: Mapping[int, int], settle: Settle, sent_ns: int) -> None:
        now_ns = self._clock.now_ns()
        receipts = []
        for seq, status in statuses.items():
            outcome, detail = (Outcome.ACCEPTED, "") if status == 202 else (Outcome.REJECTED, f"HTTP {status}")
            receipts.append(Receipt(seq, outcome, sent_ns, now_ns, detail, facts={"status": status}))
        settle(receipts)


class _ReadModel(ProbeSettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["virtual"] = "virtual"
    system: System

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tells=frozenset({"effects"}))

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _Reader(self.system, surroundings.clock)


class _Reader:
    def __init__(self, system: System, clock: Clock) -> None:
        self._system, self._clock = system, clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        start_ns = self._clock.now_ns()
        await asyncio.sleep(_ANSWERED_S)
        found = {job.id: job.effects for job in self._system.jobs.of(one.correlation_id for one in targets)}
        await asyncio.sleep(_ANSWERED_S)
        end_ns = self._clock.now_ns()
        reads = [
            Read(one.seq, Seen.PRESENT, start_ns, end_ns, found[one.correlation_id])
            if one.correlation_id in found
            else Read(one.seq, Seen.ABSENT, start_ns, end_ns)
            for one in targets
        ]
        return ReadResult(reads)


class _Doing(ActivitySettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    system: System
    asked: Mapping[str, Any]

    @property
    def title(self) -> str:
        return " ".join(map(str, self.asked))

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        yield _Doer(self)


class _Doer:
    def __init__(self, settings: _Doing) -> None:
        self._settings = settings

    async def perform(self, values: Values) -> Done:
        await asyncio.sleep(_ANSWERED_S)
        self._settings.system.told(self._settings.asked)
        await asyncio.sleep(_ANSWERED_S)
        return Done()


class _Metric(GaugeSettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["virtual"] = "virtual"
    system: System
    names: tuple[str, ...]
    metric: str
    counts: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.names

    @property
    def counters(self) -> tuple[str, ...]:
        return self.names if self.counts else ()

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        yield _Sampler(self)


class _Sampler:
    def __init__(self, settings: _Metric) -> None:
        self._settings = settings

    async def sample(self) -> Sample:
        await asyncio.sleep(_ANSWERED_S)
        value = self._settings.system.value_of(self._settings.metric)
        await asyncio.sleep(_ANSWERED_S)
        return Sample(dict.fromkeys(self._settings.names, value))


# --- runs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """What came of a run. Times of the record are those of `start_ns`, when the schedule began."""

    summary: Summary
    report: Report
    system: System
    start_ns: int
    prepared: Prepared

    def results(self) -> dict[str, str]:
        """What became of each objective, by its words and its scenario."""
        return {titled(one): one.result.value for one in self.report.objectives}


def titled(one: ObjectiveResult) -> str:
    """What an objective is called here: its words, and of which scenario."""
    return one.expression if one.scenario is None else f"{one.expression} [{one.scenario}]"


def simulate(
    path: Path,
    function: str,
    ledger: Path,
    *,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    broker: Broker | None = None,
    **knobs: Any,
) -> Ran:
    """Run a config against the function of that name, turned like this. `ledger` is the file to write."""
    config = load(path, sets=sets, profiles=profiles, environ={}).config
    return simulate_config(config, function, ledger, broker, **knobs)


def simulate_config(
    config: RunConfig, function: str, ledger: Path, broker: Broker | None = None, **knobs: Any
) -> Ran:
    """The same of a config that is loaded."""
    system = System(function, broker or Broker(), **knobs)
    prepared = prepare(_virtual(config, system), "virtual-run")

    async def main() -> Ran:
        clock = virtual_clock()
        start_ns = clock.now_ns() + LEAD_NS
        written = LedgerFile(
            ledger, {**prepared.meta, "started_at": clock.wall(start_ns).isoformat()}, threaded=False
        )

        async def start() -> int:
            return start_ns

        system.function.begin()
        summary = await execute(prepared, clock, written, control=RunControl(clock, config.settle), start=start)
        system.function.end()
        about = About("virtual-run", config.name, clock.wall(start_ns))
        with LedgerReader(ledger) as reader:
            report = build(summary, prepared.criteria, about, reader)
        return Ran(summary, report, system, start_ns, prepared)

    return run_virtual(main())


def _virtual(config: RunConfig, system: System) -> RunConfig:
    """The config with everything that it speaks to in virtual time."""
    kept = ProbeSettings.model_fields.keys()
    return replace(
        config,
        producers={name: _Settings(system=system) for name in config.producers},
        probes={
            name: _ReadModel(system=system).model_copy(update={key: getattr(one, key) for key in kept})
            for name, one in config.probes.items()
        },
        gauges={name: _metric(one, system) for name, one in config.gauges.items()},
        actions={
            name: replace(one, do=_doing(one.do, system), undo=_doing(one.undo, system))
            for name, one in config.actions.items()
        },
        reports={},
    )


def _doing(steps: Sequence[Step], system: System) -> tuple[Step, ...]:
    return tuple(replace(step, settings=_Doing(system=system, asked=step.given)) for step in steps)


def _metric(gauge: GaugeSettings, system: System) -> _Metric:
    metric, counts = "rabbitmq_queue_messages", False
    if isinstance(gauge, PrometheusGaugeConfig) and gauge.metric is not None:
        metric, counts = gauge.metric, gauge.metric.endswith("_total")
    names = gauge.metrics if isinstance(gauge, PrometheusGaugeConfig) else ("queue_depth",)
    return _Metric(system=system, names=names, metric=metric, counts=counts).model_copy(update={"every": gauge.every})
