"""The workers: tasks that take messages off the queue and write placements, and what makes them more."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from placements.clock import Clock
from placements.knobs import Knobs
from placements.queues import IN_FLIGHT, VISIBLE, Message, Queue
from placements.record import Record
from placements.store import DatabaseAway, Store

_POLL_S: Final = 20.0
_FAILURES: Final = (DatabaseAway, ValueError, KeyError, TypeError)
"""Why a worker can't begin with a message: nobody can write, or it isn't an event of ours."""
_MEMORY_GB: Final = 0.5
"""What a worker is billed for, as functions are: memory times the time in which it works."""


class Workers:
    """The tasks. Figures are what a platform would show of them.

    running    tasks that take messages
    warm       those of them that had some already
    wanted     tasks that the autoscaler asked for, those that run included
    busy       messages in hand
    throttled  how often more tasks were wanted than there may be
    """

    def __init__(self, queue: Queue, store: Store, knobs: Knobs, clock: Clock, record: Record) -> None:
        self._queue = queue
        self._store = store
        self._knobs = knobs
        self._clock = clock
        self._record = record
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaked: list[bytes] = []
        self.running = 0
        self.warm = 0
        self.busy = 0
        self.throttled = 0
        self.cold_s = 0.0
        self.took_s = 0.0
        self.gb_seconds = 0.0
        self._handled = 0
        queue.arrived = self._wake

    @property
    def wanted(self) -> int:
        return len(self._tasks)

    @property
    def leaked(self) -> int:
        """Bytes that are kept for no reason."""
        return sum(map(len, self._leaked))

    @property
    def connections(self) -> int:
        """To the database: one for each task, and those that are left open for no reason."""
        every = self._knobs.leak_every
        return self.running + (self._handled // every if every else 0)

    @property
    def cpu(self) -> float:
        """What the tasks have in hand, as a share of what they could have."""
        return self.busy / (self._knobs.slots * self.running) if self.running else 0.0

    async def scale(self) -> None:
        """Look at the queue again and again, and start what is wanted, until cancelled."""
        try:
            while True:
                for _ in range(self.wanted, self._knobs.least):
                    self._start(0.0 if not self.running else self._knobs.start_ms / 1000)
                self._look()
                await asyncio.sleep(self._knobs.look_ms / 1000)
        finally:
            tasks = [*self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self) -> None:
        depth, knobs = self._queue.count(VISIBLE), self._knobs
        if depth <= knobs.backlog * max(1, self.running) or self.wanted > self.running:
            return
        wanted = math.ceil(depth / knobs.backlog)
        if wanted > knobs.most:
            self.throttled += 1
        for _ in range(self.wanted, min(wanted, knobs.most)):
            self._start(knobs.start_ms / 1000)

    def _wake(self) -> None:
        """Something came. While no task is warm, as many begin at once as it takes, and each of them is cold."""
        knobs, record = self._knobs, self._record
        record.deepest = max(record.deepest, self._queue.count(VISIBLE))
        if self.warm or knobs.least:
            return
        asked = math.ceil((self._queue.count(VISIBLE) + self._queue.count(IN_FLIGHT)) / knobs.slots)
        for _ in range(self.wanted, min(max(1, asked), knobs.most)):
            self._start(0.0)

    def _start(self, after_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._work(after_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._note()

    def _note(self) -> None:
        self._record.note("task", self._clock.now(), running=self.running, wanted=self.wanted)

    async def _work(self, after_s: float) -> None:
        """One task, from its start to its end."""
        await asyncio.sleep(after_s)
        self.running += 1
        self._note()
        try:
            await self._take_messages()
        finally:
            self.running -= 1
            self._tasks.discard(asyncio.current_task())
            self._note()

    async def _take_messages(self) -> None:
        """Warm up with the first ones, go on until there is no need for this task any more."""
        messages = await self._receive()
        if not messages:
            return
        await self._handle(messages, cold=True)
        self.warm += 1
        try:
            while messages := await self._receive():
                await self._handle(messages, cold=False)
        finally:
            self.warm -= 1

    async def _receive(self) -> list[Message]:
        """Some messages; none if this task is one too many, or has been idle for too long."""
        knobs, since = self._knobs, self._clock.now()
        while self.running <= knobs.most:
            idle_s = knobs.idle_ms / 1000 - (self._clock.now() - since)
            if idle_s <= 0 and self.wanted > knobs.least:
                break
            wait_s = min(_POLL_S, idle_s) if idle_s > 0 else _POLL_S
            messages = await self._queue.receive(knobs.slots, knobs.visibility_ms / 1000, wait_s)
            if messages:
                return messages
        return []

    async def _handle(self, messages: Sequence[Message], *, cold: bool) -> None:
        began = self._clock.now()
        self.busy += len(messages)
        try:
            if cold:
                await asyncio.sleep(self._knobs.cold_ms / 1000)
                self.cold_s = self._clock.now() - began
                self._record.note("cold_start", self._clock.now(), s=round(self.cold_s, 6))
            await self._work_off(messages, cold)
        finally:
            self.busy -= len(messages)
            self.took_s = self._clock.now() - began
            self._record.note("worked", self._clock.now(), s=round(self.took_s, 6))
            self.gb_seconds += self.took_s * _MEMORY_GB

    async def _work_off(self, messages: Sequence[Message], cold: bool) -> None:
        """A batch: begin all, work, finish all. What fails is left in the queue, which brings it again."""
        knobs = self._knobs
        begun: list[tuple[Message, str, str | None]] = []
        messages = [message for message in messages if not self._loses(message)]
        for message in messages:
            with suppress(*_FAILURES):
                begun.append((message, *self._begin(json.loads(message.body)["detail"], cold)))
        await asyncio.sleep((knobs.work_ms + knobs.delay_ms) / 1000)
        done: set[str] = set()
        for message, correlation_id, name in begun:
            with suppress(DatabaseAway):
                self._finish(message, correlation_id, name)
                done.add(message.id)
        for message in messages:
            if message.id not in done:
                self._record.note("failed", self._clock.now(), message=message.id, receives=message.receives)

    def _loses(self, message: Message) -> bool:
        """Whether it is one of those of which nobody hears again."""
        self._handled += 1
        if not self._knobs.lose or self._handled % self._knobs.lose:
            return False
        self._record.note("lost", self._clock.now(), message=message.id)
        self._queue.delete(message.handle)
        return True

    def _begin(self, event: dict[str, Any], cold: bool) -> tuple[str, str | None]:
        """The event's correlation id, and which placement is to be finished for it."""
        correlation_id = str(event["correlation_id"])
        name = self._store.begin(
            f"placement-{event['id']}", event, self._clock.stamp(), cold=cold, once=self._knobs.idempotent
        )
        self._record.note("taken", self._clock.now(), correlation_id=correlation_id)
        return correlation_id, name

    def _finish(self, message: Message, correlation_id: str, name: str | None) -> None:
        self._store.check()
        if name is None or self._store.is_done(name):
            self._record.note("refused", self._clock.now(), correlation_id=correlation_id)
        else:
            # Written before anybody can read it.
            self._record.note("done", self._clock.now(), correlation_id=correlation_id, id=name)
            self._store.finish(name, self._clock.stamp())
        self._queue.delete(message.handle)
        if self._knobs.leak:
            self._leaked.append(bytes(self._knobs.leak))


def figures(workers: Workers, queue: Queue, dead: Queue, store: Store, record: Record, memory: int) -> dict[str, Any]:
    """What the platform shows, by name."""
    return {
        "queue": {
            "visible": queue.count(VISIBLE), "in_flight": queue.count(IN_FLIGHT), "oldest_seconds": queue.oldest_s(),
            "dead_letters": dead.count(VISIBLE),
        },
        "workers": {
            "tasks": workers.running, "wanted": workers.wanted, "starting": workers.wanted - workers.running,
            "concurrency": workers.busy, "throttles": workers.throttled, "duration_seconds": workers.took_s,
            "cold_starts": record.counts["cold_start"], "cold_start_seconds": workers.cold_s,
            "gb_seconds": workers.gb_seconds, "memory_bytes": memory, "cpu": workers.cpu,
        },
        "database": {
            "up": store.up, "connections": workers.connections, "write_seconds": store.written_s,
            "read_seconds": store.read_s,
        },
        "events": record.totals(),
    }  # fmt: skip
