"""The sandbox's pipeline without a network: a producer and a probe that take virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, Field

from ..clock import Clock
from ..model.states import Outcome, Seen
from ..model.travel import Event, Read, ReadResult, Receipt, Target
from ..sandbox.delay import Constant, Delay, DelayDistribution, parse_delay
from ..sandbox.settings import SandboxSettings
from ..sandbox.truth import Truth
from ..sandbox.world import Item, World
from ..spi.activity import Activity, ActivitySettings, Values
from ..spi.activity import Outcome as DoneOrNot
from ..spi.context import Capabilities, Surroundings
from ..spi.guard import NOBODY, Reach
from ..spi.probe import Probe, ProbeSettings
from ..spi.producer import Producer, ProducerSettings, Settle
from ..units import NS_PER_S


@dataclass
class MemoryWorld:
    """The sandbox's pipeline in memory, between a producer and a probe that take virtual time.

    `confirm` is how long a publish takes (it arrives half-way), `answer` how long a read takes. Of the
    publishes, the share `rejected` is refused, `returned` finds no route, and of the share `in_doubt` no
    answer comes; every other one of the latter arrives all the same. `broken_reads` of the reads fail.
    Of the events that arrive, the share `ends` comes to another end after a time `ended_after`, and reads say so.
    With `name_replicas` the answers say which replica gave them. More event reads in a second than `most_reads`
    are refused as too many.
    """

    settings: SandboxSettings = field(default_factory=SandboxSettings)
    confirm: DelayDistribution = field(default_factory=lambda: parse_delay("2ms"))
    answer: DelayDistribution = field(default_factory=lambda: parse_delay("1ms"))
    rejected: float = 0.0
    returned: float = 0.0
    in_doubt: float = 0.0
    broken_reads: float = 0.0
    ends: float = 0.0
    ended_after: DelayDistribution = field(default_factory=lambda: parse_delay("300ms"))
    name_replicas: bool = True
    most_reads: int | None = None
    publish_timeout_ns: int = 2 * NS_PER_S

    def __post_init__(self) -> None:
        self.world = World(self.settings)
        self._rng = random.Random(f"{self.settings.seed} memory")
        self._doubtful = 0
        self.ended: dict[str, int] = {}
        """When those came to another end that did, by correlation id."""
        self.arrived: list[str] = []
        """Correlation ids of the events that the broker has, in order of arrival."""
        self._second = (0, 0)
        """The current second of virtual time, and the event reads that began in it."""

    def draws_of(self, correlation_id: str) -> random.Random:
        """Where what happens to the publish of an event is drawn from."""
        if self.settings.draws == "event":
            return random.Random(f"{self.settings.seed} publish {correlation_id}")
        return self._rng

    def arrive(self, now_ns: int, event: Event) -> None:
        """The broker has it."""
        correlation_id = event.correlation_id
        self.arrived.append(correlation_id)
        if self.ends:
            rng = random.Random(f"{self.settings.seed} ends {correlation_id}")
            if rng.random() < self.ends:
                self.ended[correlation_id] = now_ns + self.ended_after.draw(rng)
                return
        self.world.accept(now_ns, correlation_id, event.key)

    def producer(self, **settings: Any) -> MemoryProducerSettings:
        """Settings of a producer for this world."""
        return MemoryProducerSettings(kind="memory", world=self, **settings)

    def probe(self, **settings: Any) -> MemoryProbeSettings:
        """Settings of a probe for this world."""
        return MemoryProbeSettings(kind="memory", world=self, **settings)

    def activity(self, change: Callable[[], object], **settings: Any) -> MemoryActivitySettings:
        """Settings of an activity that changes this world, or whatever else, by a call."""
        return MemoryActivitySettings(world=self, change=change, **settings)

    def is_too_much(self, now_ns: int, reads: int) -> bool:
        """Count event reads that begin now; whether there were too many of them in this second."""
        second, before = self._second
        self._second = (now_ns // NS_PER_S, reads + (before if second == now_ns // NS_PER_S else 0))
        return self.most_reads is not None and self._second[1] > self.most_reads

    def truths(self) -> dict[str, Truth]:
        """What really happened, by correlation id."""
        return {truth.correlation_id: truth for truth in self.world.truths()}


class MemoryProducerSettings(ProducerSettings):
    """Publishes to a MemoryWorld."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["memory"]
    world: MemoryWorld

    @property
    def reach(self) -> Reach:
        return NOBODY

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        producer = _MemoryProducer(self.world, surroundings.clock)
        yield producer
        producer.close()


class _MemoryProducer:
    def __init__(self, memory: MemoryWorld, clock: Clock) -> None:
        self._memory = memory
        self._clock = clock
        self._open: dict[int, tuple[int, Settle]] = {}

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        memory, now = self._memory, self._clock.now_ns()
        loop = asyncio.get_running_loop()
        for event in batch:
            self._open[event.seq] = (now, settle)
            rng = memory.draws_of(event.correlation_id)
            fate = rng.random()
            delay = memory.confirm.draw(rng) + memory.world.answer_delay_ns(now)
            arrives = True
            outcome = Outcome.ACCEPTED
            if fate < memory.rejected:
                outcome, arrives = Outcome.REJECTED, False
            elif (fate := fate - memory.rejected) < memory.returned:
                outcome, arrives = Outcome.RETURNED, False
            elif fate - memory.returned < memory.in_doubt:
                outcome, delay = Outcome.IN_DOUBT, memory.publish_timeout_ns
                memory._doubtful += 1
                arrives = rng.random() < 0.5 if rng is not memory._rng else memory._doubtful % 2 == 0
            elif not memory.world.broker_open(now):
                outcome, arrives = Outcome.REJECTED, False
            if arrives:
                loop.call_later(min(delay, NS_PER_S) / 2 / NS_PER_S, self._arrive, event)
            loop.call_later(delay / NS_PER_S, self._answer, event.seq, outcome)

    def _arrive(self, event: Event) -> None:
        self._memory.arrive(self._clock.now_ns(), event)

    def _answer(self, seq: int, outcome: Outcome) -> None:
        opened = self._open.pop(seq, None)
        if opened is None:
            return
        sent, settle = opened
        acked = None if outcome is Outcome.IN_DOUBT else self._clock.now_ns()
        settle([Receipt(seq, outcome, sent, acked, "" if outcome is Outcome.ACCEPTED else outcome.name.lower())])

    def close(self) -> None:
        for seq in list(self._open):
            self._answer(seq, Outcome.IN_DOUBT)


class MemoryActivitySettings(ActivitySettings):
    """Calls `change` in the middle of the time that it takes. The first `fails` times it fails instead, and where it
    is `in_doubt` it has had its effect all the same."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    world: MemoryWorld
    change: Callable[[], object]
    takes: Delay = Constant(10_000_000)
    fails: int = 0
    in_doubt: bool = False
    captures: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        return "change the world"

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        yield _MemoryActivity(self, surroundings.clock)


class _MemoryActivity:
    def __init__(self, settings: MemoryActivitySettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._fails = settings.fails

    async def perform(self, values: Values) -> DoneOrNot:
        settings, start_ns = self._settings, self._clock.now_ns()
        took_ns = settings.takes.draw(settings.world._rng)
        failed = self._fails > 0
        self._fails -= failed
        await self._clock.sleep_until_ns(start_ns + took_ns // 2)
        if not failed or settings.in_doubt:
            settings.change()
        await self._clock.sleep_until_ns(start_ns + took_ns)
        if failed:
            return DoneOrNot("the world can't be changed now", in_doubt=settings.in_doubt)
        return DoneOrNot(captured=settings.captures)


class MemoryProbeSettings(ProbeSettings):
    """Reads a MemoryWorld: whichever replica answers, or a certain one; or only whether an event was processed."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["memory"]
    world: MemoryWorld
    replica: str | None = None
    of: Literal["read-model", "effects"] = "read-model"

    @property
    def reach(self) -> Reach:
        return NOBODY

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            tells=frozenset({"ended", "effects", "position", "consumed_at", "processed_at", "replica"})
        )

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _MemoryProbe(self, surroundings.clock)


class _MemoryProbe:
    def __init__(self, settings: MemoryProbeSettings, clock: Clock) -> None:
        self._memory = settings.world
        self._replica = settings.replica
        self._of = settings.of
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        memory, start = self._memory, self._clock.now_ns()
        throttled = memory.is_too_much(start, len(targets))
        delay = memory.answer.draw(memory._rng)
        await self._clock.sleep_until_ns(start + delay // 2)
        now = self._clock.now_ns()
        replica = self._replica or memory.world.next_replica()
        broken = throttled or memory._rng.random() < memory.broken_reads or not memory.world.read_model_open(now)
        items = [None if broken else self._look(now, replica, target.correlation_id) for target in targets]
        await self._clock.sleep_until_ns(start + delay)
        end = self._clock.now_ns()
        if broken:
            reason = "too many reads" if throttled else "the read model is down"
            failed = [Read(target.seq, Seen.FAILED, start, end) for target in targets]
            return ReadResult(failed, error=reason, throttled=throttled)
        name = replica if memory.name_replicas and self._replica is None and self._of == "read-model" else None
        stamped = self._of == "read-model"
        reads = [
            Read(target.seq, self._absent(now, target.correlation_id), start, end, replica=name)
            if item is None
            else Read(
                target.seq, Seen.PRESENT, start, end, item.effects, name, *(item[1:] if stamped else ()),
            )
            for target, item in zip(targets, items, strict=True)
        ]  # fmt: skip
        return ReadResult(reads)

    def _absent(self, now: int, correlation_id: str) -> Seen:
        ended_ns = self._memory.ended.get(correlation_id)
        return Seen.ABSENT if ended_ns is None or now < ended_ns else Seen.ENDED

    def _look(self, now: int, replica: str, correlation_id: str) -> Item | None:
        world = self._memory.world
        if self._of == "read-model":
            return world.read(now, replica, correlation_id)
        effects = world.effects(now, correlation_id)
        return Item(effects, 0, 0, 0) if effects else None
