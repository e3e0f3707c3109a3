"""All of it: five contexts behind one address, engine, projectors, saga, and the figures of the platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import web

from shop import servers
from shop.contexts import correlation
from shop.customers import Customers
from shop.inventory import Inventory
from shop.knobs import QUICK, ShopKnobs
from shop.orders import Orders
from shop.outbox import Engine
from shop.payments import Payments
from shop.platform import Platform
from shop.projectors import ReadModel, Saga
from shop.shipping import Shipping
from shop.store import Store, database
from shop.streams import streams
from stand_in.clock import Clock
from stand_in.command import StandIn
from stand_in.knobs import Planted
from stand_in.record import Record
from stand_in.resources import Resources
from stand_in.web import Admin, Handler, Unusable, application, late, own, serving

_UNMEASURED: Final = "/metrics"


class Entrance:
    """Through which each request comes, and stands in the record before it is answered."""

    def __init__(self, store: Store, knobs: ShopKnobs) -> None:
        self._store, self._knobs = store, knobs
        self._refusing = Planted()

    @web.middleware
    async def passed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer it, and note how."""
        if own(request) or request.path == _UNMEASURED:
            return await handler(request)
        status = 500
        try:
            await late(self._knobs.latency_ms)
            if self._refusing.due(self._knobs.refuse):
                raise Unusable("the shop is busy", status=503)
            response = await handler(request)
            status = response.status
            return response
        except (Unusable, web.HTTPException) as told:
            status = told.status
            raise
        finally:
            resource = request.match_info.route.resource
            route = request.path if resource is None else resource.canonical
            self._store.note("request", method=request.method, route=route, status=status, id=correlation(request))


@asynccontextmanager
async def running(
    knobs: ShopKnobs, record: Record, port: int = 0, *, postgres: str | None = None, redis: str | None = None
) -> AsyncIterator[Mapping[str, str]]:
    """The shop on loopback, until the block ends; yields the variables by which evload finds it.

    Where no address of a PostgreSQL or a Redis is given it starts one of its own. What it keeps in one that is given
    goes when it ends. Raises Missing.
    """
    clock = Clock()
    async with AsyncExitStack() as stack:
        if postgres is None:
            postgres = await stack.enter_async_context(servers.postgres())
        if redis is None:
            redis = await stack.enter_async_context(servers.redis_server())
        store = await stack.enter_async_context(database(postgres, knobs.pool, record, clock))
        broker = await stack.enter_async_context(streams(redis))
        inventory = Inventory(store, knobs)
        orders = Orders(store, knobs, inventory)
        contexts = (
            Customers(store, knobs), inventory, orders, Payments(store, knobs, orders), Shipping(store, knobs, orders)
        )  # fmt: skip
        engine, read_model = Engine(store, broker, knobs), ReadModel(store, broker, knobs)
        saga = Saga(store, broker, knobs, orders)
        platform = Platform(store, broker, engine, read_model, Resources())
        store.committed = engine.wake
        workers = asyncio.gather(engine.run(), read_model.run(), saga.run())
        try:
            app = application()
            app.middlewares.append(Entrance(store, knobs).passed)
            routes: list[Any] = [route for one in (*contexts, read_model, platform) for route in one.routes()]
            app.add_routes([*routes, *Admin(knobs, record, clock).routes()])
            async with serving(app, port) as served:
                yield {"SHOP": served.url, "SHOP_METRICS": f"{served.url}/metrics"}
            if not workers.done():
                await platform.drained()
                store.note("totals", **await platform.totals())
        finally:
            workers.cancel()
            with suppress(asyncio.CancelledError):
                await workers


STAND_IN: Final = StandIn(
    "shop", ShopKnobs, QUICK, 8795, running,
    {
        "postgres": "a PostgreSQL to use; default: one of its own, by Debian's package postgresql",
        "redis": "a Redis to use, 7 or later; default: one of its own, by Debian's package redis-server",
    },
)  # fmt: skip
