"""Functions behind a queue, and how many pods of each there are: from zero to `most` by what is to be done, and back.

Time is that of the running loop, and what a pod is, is somebody else's business: a process, or in tests in virtual
time nothing but a timer.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final, Protocol

from knative.record import Record

TICK_S: Final = 0.2
"""How often the autoscaler looks."""
_MOST_JOBS: Final = 2_000_000
"""What the read model holds; the oldest go first."""


@dataclass
class Knobs:
    """How a function behaves, which an admin call may change at any time.

    service_ms     how long one event takes
    cold_start_ms  how long a pod takes to be ready, beside the start of its process
    concurrency    how many events a pod works on at a time
    target         how many events, waiting or worked on, there may be for each pod before another is wanted
    most           most pods
    idle_s         how long fewer pods must have been enough before one is stopped, the last one too
    lose, twice    share of the events that are thrown away, or take effect twice
    leak           bytes for each event that a pod never gives back
    """

    service_ms: float = 20.0
    cold_start_ms: float = 500.0
    concurrency: int = 10
    target: int = 5
    most: int = 10
    idle_s: float = 30.0
    lose: float = 0.0
    twice: float = 0.0
    leak: int = 0

    def turn(self, changes: Mapping[str, Any]) -> None:
        """Change some. Raises ValueError for a name that there isn't, and for what is no number from 0 on."""
        known = {name: type(value) for name, value in vars(self).items()}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no knob {name!r}; turn one of {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(f"{name} can't be {value!r}; write a number from 0 on")
        for name, value in changes.items():
            setattr(self, name, known[name](value))


@dataclass(slots=True)
class Delivery:
    """An event that a function was given. `settle` is told once: True when it is done, False to have it again."""

    id: str
    event: Mapping[str, Any]
    settle: Callable[[bool], None]
    came_ns: int = 0


@dataclass(slots=True)
class Job:
    """What the read model shows of an event."""

    id: str
    effects: int
    came_ns: int
    done_ns: int
    result: Mapping[str, Any]


class Jobs:
    """The read model: a job for each event, by its correlation id."""

    def __init__(self) -> None:
        self._found: dict[str, Job] = {}

    def show(self, job: Job) -> None:
        """Show it from now on; a second effect of the same event counts."""
        before = self._found.get(job.id)
        if before is not None:
            before.effects += job.effects
            return
        self._found[job.id] = job
        if len(self._found) > _MOST_JOBS:
            del self._found[next(iter(self._found))]

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._found

    def of(self, ids: Iterable[str]) -> list[Job]:
        """Those of the ids that are there."""
        return [self._found[each] for each in ids if each in self._found]


class Pod(Protocol):
    """One instance of a function."""

    def send(self, event_id: str, service_ms: float, leak: int, event: Mapping[str, Any]) -> None:
        """Have it work on an event, which it names by this id when it is done."""
        ...

    def stop(self) -> None:
        """End it, once it has nothing to do."""
        ...

    def kill(self) -> None:
        """End it at once, whatever it does."""
        ...

    def memory(self) -> int:
        """How many bytes it takes; 0 if nobody knows."""
        ...


class Told(Protocol):
    """Who is told by a pod: that it is ready, what it has done, and that it is gone."""

    def ready(self, number: int) -> None: ...

    def done(self, number: int, results: Iterable[tuple[str, Mapping[str, Any]]]) -> None: ...

    def gone(self, number: int) -> None: ...


StartPod = Callable[[Told, int, float], Pod]
"""Starts one: whom it tells, its number, and for how many milliseconds it starts."""


@dataclass(slots=True)
class _Slot:
    """A pod, and what is known of it here."""

    pod: Pod
    ready: bool = False
    leaving: bool = False
    work: dict[str, Delivery] = field(default_factory=dict)


class Function:
    """A function, its pods, and the autoscaler that looks after them."""

    def __init__(self, name: str, knobs: Knobs, start_pod: StartPod, record: Record, jobs: Jobs) -> None:
        self.name, self.knobs = name, knobs
        self.queued = 0
        """What is in the broker's queue and hasn't come here yet, as far as anybody knows."""
        self.came = self.finished = self.lost = self.killed = self.started = 0
        self._start_pod, self._record, self._jobs = start_pod, record, jobs
        self._waiting: deque[Delivery] = deque()
        self._pods: dict[int, _Slot] = {}
        self._lately: deque[tuple[float, int]] = deque()
        self._deepest = 0
        """The most events that waited or were worked on at a time since the autoscaler looked last."""
        self._rng = random.Random(name)
        self._ticking: asyncio.TimerHandle | None = None

    # --- what others see of it ---

    @property
    def pods(self) -> int:
        """How many are ready."""
        return sum(slot.ready for slot in self._pods.values())

    @property
    def wanted(self) -> int:
        """How many there should be, as the autoscaler has it."""
        return sum(not slot.leaving for slot in self._pods.values())

    @property
    def depth(self) -> int:
        """How many events wait or are worked on."""
        return self.queued + len(self._waiting) + sum(len(slot.work) for slot in self._pods.values())

    def memory(self) -> int:
        """What the largest of its pods takes."""
        return max((slot.pod.memory() for slot in self._pods.values() if slot.ready), default=0)

    # --- events ---

    def take(self, delivery: Delivery) -> None:
        """An event has come."""
        self.came += 1
        delivery.came_ns = self._record.now_ns()
        self._record.note("came", self.name, delivery.id)
        self._waiting.append(delivery)
        self._deepest = max(self._deepest, self.depth)
        self._hand_out()

    def _hand_out(self) -> None:
        knobs = self.knobs
        while self._waiting:
            free = [
                slot
                for slot in self._pods.values()
                if slot.ready and not slot.leaving and len(slot.work) < knobs.concurrency
            ]
            if not free:
                return
            slot = min(free, key=lambda one: len(one.work))
            delivery = self._waiting.popleft()
            if delivery.id in slot.work:  # A copy of what this pod has at this moment: the next one, then.
                self._waiting.append(delivery)
                return
            slot.work[delivery.id] = delivery
            slot.pod.send(delivery.id, knobs.service_ms * self._rng.uniform(0.8, 1.2), knobs.leak, delivery.event)

    def done(self, number: int, results: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """A pod has done some."""
        slot = self._pods.get(number)
        found = [] if slot is None else [(slot.work.pop(each), result) for each, result in results]
        shown: list[Job] = []
        for delivery, result in found:
            if self.knobs.lose and self._rng.random() < self.knobs.lose:
                self.lost += 1
                self._record.note("lost", self.name, delivery.id)
                continue
            if delivery.id in self._jobs:
                continue  # Idempotent: what was done before takes no effect again.
            effects = 2 if self.knobs.twice and self._rng.random() < self.knobs.twice else 1
            self.finished += 1
            self._record.note("done", self.name, delivery.id, effects)
            shown.append(Job(delivery.id, effects, delivery.came_ns, self._record.now_ns(), result))
        self._record.flush()
        for job in shown:
            self._jobs.show(job)
        if shown:
            self._record.note("shown", self.name, self.finished)
        for delivery, _ in found:
            delivery.settle(True)
        self._hand_out()

    # --- pods ---

    def ready(self, number: int) -> None:
        """A pod has started."""
        slot = self._pods.get(number)
        if slot is not None and not slot.leaving:
            slot.ready = True
            self._tell("ready", number)
            self._hand_out()

    def gone(self, number: int) -> None:
        """A pod has ended: what it was working on is to be had again."""
        slot = self._pods.pop(number, None)
        if slot is None:
            return
        # One that nobody asked to leave was killed, by whomever.
        killed = not slot.leaving
        self.killed += killed
        self._tell("killed" if killed else "stopped", number)
        for delivery in slot.work.values():
            delivery.settle(False)

    def kill(self, count: int) -> int:
        """Kill so many pods that are ready, at random, and return how many there were to kill."""
        able = [slot for slot in self._pods.values() if slot.ready]
        chosen = self._rng.sample(able, min(count, len(able)))
        for slot in chosen:
            slot.ready = False
            slot.pod.kill()
        return len(chosen)

    def begin(self) -> None:
        """Look after the pods from now on."""
        self._tick()

    def end(self) -> None:
        """Stop looking, and end all pods."""
        if self._ticking is not None:
            self._ticking.cancel()
        for slot in list(self._pods.values()):
            slot.leaving = True
            slot.ready = False
            slot.pod.kill()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._scale(loop.time())
        self._ticking = loop.call_later(TICK_S, self._tick)

    def _scale(self, now: float) -> None:
        knobs, lately = self.knobs, self._lately
        # What comes and is done between two looks needs a pod all the same.
        lately.append((now, ceil(max(self._deepest, self.depth) / knobs.target)))
        self._deepest = self.depth
        while lately[0][0] < now - knobs.idle_s:
            lately.popleft()
        wanted = min(knobs.most, max(pods for _, pods in lately))
        staying = [number for number, slot in self._pods.items() if not slot.leaving]
        for _ in range(wanted - len(staying)):
            self.started += 1
            number = self.started
            self._pods[number] = _Slot(self._start_pod(self, number, knobs.cold_start_ms))
            self._tell("started", number)
        for number in staying[wanted:]:
            self._pods[number].leaving = True
            self._pods[number].ready = False
            self._tell("leaving", number)
        for slot in list(self._pods.values()):
            if slot.leaving and not slot.work:
                slot.pod.stop()

    def _tell(self, what: str, number: int) -> None:
        self._record.note(what, self.name, number, self.pods)
        self._record.flush()
