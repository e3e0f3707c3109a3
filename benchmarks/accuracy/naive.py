"""The naive way: clients that publish, poll every 100 ms until the first hit, and only then publish again.

What timed out is dropped. The number of clients is what keeps the intended rate while all is well.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from evload.sandbox.world import World

from .worlds import MS, Planted, S

_POLL_NS: Final = 100 * MS
_TIMEOUT_NS: Final = 5 * S
_CONFIRM_NS: Final = 2 * MS
_ANSWER_NS: Final = MS


class _Clients:
    """Clients in a closed loop around one world. `latencies_ns` is what they noted."""

    def __init__(self, world: Planted, seed: int) -> None:
        self._world = World(world.seeded(seed))
        self._rate, self._end_ns = world.rate, world.lasting_s * S
        self._queue: list[tuple[int, int, Callable[[int], None]]] = []
        self._planned = 0
        self._published = 0
        self.latencies_ns: list[int] = []
        for at, patch in world.changes:
            self._plan(at, lambda now, patch=patch: self._world.change(now, patch))  # type: ignore[misc]

    def run(self, clients: int) -> None:
        """Until the schedule's end, and for as long as something is polled for."""
        for number in range(clients):
            self._plan(number * S // self._rate, self._publish)
        while self._queue:
            now, _, action = heapq.heappop(self._queue)
            action(now)

    def _plan(self, at: int, action: Callable[[int], None]) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (at, self._planned, action))

    def _publish(self, now: int) -> None:
        if now >= self._end_ns:
            return
        self._published += 1
        name = f"{self._published}"
        self._plan(now + _CONFIRM_NS // 2, lambda at: self._world.accept(at, name))
        acked = now + _CONFIRM_NS
        self._plan(acked + _POLL_NS + _ANSWER_NS // 2, lambda at: self._poll(at, name, acked))

    def _poll(self, now: int, name: str, acked: int) -> None:
        end = now + _ANSWER_NS // 2
        if self._world.read(now, self._world.next_replica(), name) is not None:
            self.latencies_ns.append(end - acked)
        elif end - acked < _TIMEOUT_NS:
            self._plan(now + _POLL_NS, lambda at: self._poll(at, name, acked))
            return
        self._plan(end, self._publish)


def latencies_ns(world: Planted, seed: int, usual_ns: int) -> list[int]:
    """What naive clients note, sorted. `usual_ns` is how long an event usually takes."""
    polls = -(-usual_ns // _POLL_NS)
    clients = _Clients(world, seed)
    clients.run(max(1, round(world.rate * (polls * _POLL_NS + _CONFIRM_NS) / S)))
    return sorted(clients.latencies_ns)
