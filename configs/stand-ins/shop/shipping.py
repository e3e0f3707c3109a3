"""Shipping: a shipment for an order that is being processed; dispatched, and delivered."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from shop.contexts import TOKEN, Context, Refused, body_of, there
from shop.knobs import ShopKnobs
from shop.orders import Orders
from shop.store import Look, Store, Work


class Shipping(Context):
    """One shipment for an order."""

    name = "shipping"

    def __init__(self, store: Store, knobs: ShopKnobs, orders: Orders) -> None:
        super().__init__(store, knobs)
        self._orders = orders

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/shipments", self._create),
            web.get("/shipments/{id}", self._read),
            web.put("/shipments/{id}/dispatch", self._dispatched),
            web.put("/shipments/{id}/deliver", self._delivered),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        """POST {"order_id", "address_id"}: 409 where the order isn't processing."""
        body = await body_of(request)
        order_id, address = body.text("order_id", TOKEN), body.text("address_id", TOKEN)

        async def create(work: Work, made: str) -> dict[str, Any]:
            order = await self._orders.found(work, order_id)
            if order["status"] != "processing":
                raise Refused(f"the order is {order['status']}")
            await work.run(
                "INSERT INTO shipments (id, order_id, address) VALUES ($1, $2, $3)", made, order_id, address
            )
            work.tell(self.name, made, 1, "shipment.created", "created", order=order_id)
            return await self._shown(work, made)

        return await self._once(request, create, self._shown)

    async def _dispatched(self, request: web.Request) -> web.Response:
        """PUT: 409 where it has left already."""
        return await self._go(request, "created", "dispatched")

    async def _delivered(self, request: web.Request) -> web.Response:
        """PUT: 409 where it isn't on its way."""
        return await self._go(request, "dispatched", "delivered")

    async def _go(self, request: web.Request, before: str, after: str) -> web.Response:
        async with self._work(request) as work:
            sql = "SELECT * FROM shipments WHERE id = $1 FOR UPDATE"
            shipment = there(await work.row(sql, request.match_info["id"]), "shipment")
            if shipment["status"] != before:
                raise Refused(f"the shipment is {shipment['status']}")
            version = shipment["version"] + 1
            sql = "UPDATE shipments SET status = $2, version = $3 WHERE id = $1"
            await work.run(sql, shipment["id"], after, version)
            work.tell(self.name, shipment["id"], version, f"shipment.{after}", after, order=shipment["order_id"])
            shown = await self._shown(work, shipment["id"])
        return web.json_response(shown)

    async def _read(self, request: web.Request) -> web.Response:
        async with self._store.look() as look:
            return web.json_response(await self._shown(look, request.match_info["id"]))

    async def _shown(self, look: Look, shipment_id: str) -> dict[str, Any]:
        return dict(there(await look.row("SELECT * FROM shipments WHERE id = $1", shipment_id), "shipment"))
