"""The connections of a service to its database, of which there are so many and not more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from leases.knobs import LeaseKnobs
from stand_in.web import Unusable


class Pool:
    """Gives them out in the order in which they are asked for.

    used    connections that are held now
    held_s  seconds for which any was held, so far
    """

    def __init__(self, knobs: LeaseKnobs) -> None:
        self._knobs = knobs
        self._queue: deque[asyncio.Future[None]] = deque()
        self.used = 0
        self.held_s = 0.0

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._queue)

    @asynccontextmanager
    async def connection(self, held_ms: float) -> AsyncIterator[None]:
        """Hold one for so long, and then do what the block does. Raises Unusable where none gets free in time."""
        await self._acquire()
        try:
            await asyncio.sleep(held_ms / 1000)
            yield
        finally:
            self.held_s += held_ms / 1000
            self.used -= 1
            self._pass_on()

    async def _acquire(self) -> None:
        if self.used < self._knobs.pool and not self._queue:
            self.used += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._pass_on()
        try:
            await asyncio.wait_for(asyncio.shield(turn), self._knobs.patience_ms / 1000)
        except (TimeoutError, asyncio.CancelledError) as gone:
            if turn.done():
                # It was given to somebody who has gone.
                self.used -= 1
                self._pass_on()
            else:
                with suppress(ValueError):
                    self._queue.remove(turn)
            if isinstance(gone, asyncio.CancelledError):
                raise
            raise Unusable("no connection to the database got free in time", status=503) from gone

    def _pass_on(self) -> None:
        while self._queue and self.used < self._knobs.pool:
            self.used += 1
            self._queue.popleft().set_result(None)
