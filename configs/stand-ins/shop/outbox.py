"""The engine: takes rows off the outbox, in their order, and adds each to the stream of its context."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from shop.knobs import ShopKnobs
from shop.store import CONTEXTS, Event, Store
from shop.streams import Streams
from stand_in.knobs import Planted
from stand_in.web import late

_POLL_S: Final = 0.25
_SWAPPED_FOR_S: Final = 0.5
"""How long a row waits for the next one of its aggregate before it is sent all the same."""
_TRIM_S: Final = 1.0
Row = tuple[int, Event]
"""An event with its number in the outbox."""


class Engine:
    """One of them. The rows of an aggregate are in its order: commands lock it before they write any.

    published  how many rows it has sent
    """

    def __init__(self, store: Store, streams: Streams, knobs: ShopKnobs) -> None:
        self._store, self._streams, self._knobs = store, streams, knobs
        self._woken = asyncio.Event()
        self._losing, self._swapping = Planted(), Planted()
        self._held: dict[str, tuple[float, Row]] = {}
        """Rows that wait for the next one of their aggregate, by that."""
        self.published = 0

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is in the outbox, until cancelled."""
        loop = asyncio.get_running_loop()
        trimmed_s = loop.time()
        while True:
            self._woken.clear()
            rows = await self._next()
            if rows:
                await late(self._knobs.engine_ms * len(rows))
            await self._send(self._ordered(rows, loop.time()))
            if self._knobs.trim and loop.time() - trimmed_s > _TRIM_S:
                trimmed_s = loop.time()
                await self._streams.trim()
            if not rows:
                try:
                    await asyncio.wait_for(self._woken.wait(), _POLL_S)
                except TimeoutError:
                    continue

    async def _next(self) -> list[Row]:
        """The oldest rows that wait, but for those that are held."""
        sql = "SELECT * FROM outbox WHERE status = 'PENDING' AND id <> ALL($2) ORDER BY id LIMIT $1"
        held = [number for _, (number, _) in self._held.values()]
        async with self._store.look() as look:
            return [(row["id"], _event(row)) for row in await look.rows(sql, self._knobs.batch, held)]

    def _ordered(self, rows: Sequence[Row], now_s: float) -> list[Row]:
        """In which order they are sent: as they are, but for what bugs do."""
        ordered: list[Row] = []
        for row in rows:
            event = row[1]
            _, before = self._held.pop(event.aggregate, (0.0, None))
            if before is None and self._swapping.due(self._knobs.swap):
                self._store.note("swapped", **event.named())
                self._held[event.aggregate] = (now_s, row)
                continue
            ordered += [row] if before is None else [row, before]
        for aggregate, (since_s, row) in [*self._held.items()]:
            if now_s - since_s > _SWAPPED_FOR_S:
                del self._held[aggregate]
                ordered.append(row)
        return ordered

    async def _send(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        sent = []
        for number, event in rows:
            lost = self._losing.due(self._knobs.lose)
            self._store.note("lost" if lost else "published", **event.named())
            if not lost:
                sent.append((number, event))
        await self._streams.add(sent)
        self.published += len(sent)
        async with self._store.work() as work:
            await work.run("UPDATE outbox SET status = 'SENT' WHERE id = ANY($1)", [number for number, _ in rows])


def _event(row: Any) -> Event:
    assert row["context"] in CONTEXTS
    return Event(
        row["context"], row["aggregate"], row["version"], row["type"], row["state"], json.loads(row["about"]),
        row["correlation"],
    )  # fmt: skip
