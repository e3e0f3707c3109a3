"""Those who read the streams: projectors, who make the read model, and the saga, which undoes what failed."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from shop.contexts import there
from shop.knobs import ShopKnobs
from shop.orders import STEPS, Orders
from shop.store import CONTEXTS, Event, Store
from shop.streams import PROJECTORS, SAGA, SAGA_OF, Streams
from stand_in.knobs import Planted
from stand_in.web import late

_APPLY = """
INSERT INTO views AS view (context, id, status, version, events, about) VALUES ($1, $2, $3, $4, ARRAY[$5], $6)
ON CONFLICT (context, id) DO UPDATE
    SET status = $3, version = $4, events = view.events || $5, about = view.about || $6
"""
"""It trusts the streams: what comes last is what holds."""


class ReadModel:
    """A projector for each context, and what they have made.

    applied  how many entries they have applied
    """

    def __init__(self, store: Store, streams: Streams, knobs: ShopKnobs) -> None:
        self._store, self._streams, self._knobs = store, streams, knobs
        self._skipping, self._doubling = Planted(), Planted()
        self.applied = 0

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [web.get("/views/{context}/{id}", self._view)]

    async def run(self) -> None:
        """Apply what comes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for context in CONTEXTS:
                group.create_task(self._project(context))

    async def _project(self, context: str) -> None:
        while True:
            # Who takes long for each doesn't wait for others before it shows one.
            most = 1 if self._knobs.project_ms else self._knobs.batch
            entries = await self._streams.read(context, PROJECTORS, most)
            if not entries:
                continue
            await late(self._knobs.project_ms)
            await self._apply([event for _, event in entries])
            await self._streams.done(context, PROJECTORS, [entry for entry, _ in entries])

    async def _apply(self, events: list[Event]) -> None:
        kept = []
        for event in events:
            if self._skipping.due(self._knobs.skip):
                self._store.note("skipped", **event.named())
                continue
            self._store.note("applied", **event.named())
            kept.append(event)
            if self._doubling.due(self._knobs.twice):
                self._store.note("doubled", **event.named())
                kept.append(event)
        async with self._store.work() as work:
            values = [
                (one.context, one.aggregate, one.state, one.version, one.type, json.dumps(one.about)) for one in kept
            ]
            await work.many(_APPLY, values)
        self.applied += len(kept)

    async def _view(self, request: web.Request) -> web.Response:
        """GET /views/CONTEXT/ID: the state, how many events there were of it, and which of them were applied."""
        sql = "SELECT * FROM views WHERE context = $1 AND id = $2"
        async with self._store.look() as look:
            view = there(await look.row(sql, request.match_info["context"], request.match_info["id"]), "view (yet)")
        return web.json_response({**view, "about": json.loads(view["about"])})


class Saga:
    """Cancels the order of which a payment failed, and gives back what was reserved for it."""

    def __init__(self, store: Store, streams: Streams, knobs: ShopKnobs, orders: Orders) -> None:
        self._store, self._streams, self._knobs, self._orders = store, streams, knobs, orders
        self._forgetting = Planted()

    async def run(self) -> None:
        """Undo what failed, until cancelled."""
        while True:
            entries = await self._streams.read(SAGA_OF, SAGA, self._knobs.batch)
            for entry, event in entries:
                if event.type == "payment.failed":
                    await self._undo(event)
                await self._streams.done(SAGA_OF, SAGA, [entry])

    async def _undo(self, event: Event) -> None:
        if self._forgetting.due(self._knobs.forget):
            self._store.note("forgotten", aggregate=event.aggregate)
            return
        async with self._store.work(event.id) as work:
            order = await self._orders.found(work, event.about["order"])
            if order["status"] in STEPS["cancel"].before:
                await self._orders.go(work, order, "cancel")
