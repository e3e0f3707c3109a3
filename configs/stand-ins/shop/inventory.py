"""Inventory: what there is of an item, who has reserved how much of it, and what has left."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from shop.contexts import SKU, TEXT, TOKEN, Context, Refused, body_of, there
from shop.knobs import ShopKnobs
from shop.store import Look, Store, Work
from stand_in.knobs import Planted

_UNITS: Final = """
SELECT coalesce(sum(quantity) FILTER (WHERE status = 'reserved'), 0)::int AS reserved,
    coalesce(sum(quantity) FILTER (WHERE status = 'committed'), 0)::int AS committed
FROM reservations WHERE item = $1
"""
"""Counted, and not what the item says of itself."""


class Inventory(Context):
    """An item has so many units; each reservation is for an order, and is released or committed as a whole."""

    name = "inventory"

    def __init__(self, store: Store, knobs: ShopKnobs) -> None:
        super().__init__(store, knobs)
        self._overselling = Planted()

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/inventory", self._stock),
            web.get("/inventory/{id}", self._read),
            web.post("/inventory/{id}/reserve", self._reserve),
            web.put("/inventory/{id}/release", self._released),
            web.put("/inventory/{id}/commit", self._committed),
        ]

    async def _stock(self, request: web.Request) -> web.Response:
        """POST {"sku", "name", "price", "quantity"}: 409 where that SKU is known."""
        body = await body_of(request)
        sku, name = body.text("sku", SKU), body.text("name", TEXT)
        price, quantity = body.amount("price"), body.count("quantity", 1, 1_000_000)

        async def create(work: Work, made: str) -> dict[str, Any]:
            sql = "INSERT INTO items (id, sku, name, price, total, available) VALUES ($1, $2, $3, $4, $5, $5)"
            await work.run(sql, made, sku, name, price, quantity)
            work.tell(self.name, made, 1, "inventory.stocked", "stocked")
            return await self._shown(work, made)

        return await self._once(request, create, self._shown)

    async def _reserve(self, request: web.Request) -> web.Response:
        """POST {"order", "quantity": 1}: 201; 409 where there are not as many."""
        body = await body_of(request)
        order, quantity = body.text("order", TOKEN), body.count("quantity", 1, 100)
        if self._overselling.due(self._knobs.oversell):
            return await self._reserve_unlocked(request, order, quantity)
        async with self._work(request) as work:
            item = await self._locked(work, request.match_info["id"])
            if item["available"] < quantity:
                raise Refused(f"there are {item['available']} left")
            reserved = await self._take(work, item, item["available"] - quantity, order, quantity)
        return web.json_response(reserved, status=201)

    async def _reserve_unlocked(self, request: web.Request, order: str, quantity: int) -> web.Response:
        """A bug: what others take between the read and the write is sold once more."""
        async with self._work(request) as work:
            sql = "SELECT * FROM items WHERE id = $1"
            item = there(await work.row(sql, request.match_info["id"]), "item")
        await asyncio.sleep(self._knobs.race_ms / 1000)
        if item["available"] < quantity:
            raise Refused(f"there are {item['available']} left")
        async with self._work(request) as work:
            before = await self._locked(work, item["id"])
            reserved = await self._take(work, before, item["available"] - quantity, order, quantity)
        return web.json_response(reserved, status=201)

    async def _take(self, work: Work, item: Any, left: int, order: str, quantity: int) -> dict[str, Any]:
        if self._knobs.oversell:
            # What one writes that had read too early others sell again, however careful they are.
            units = await work.row(_UNITS, item["id"])
            over = quantity - max(0, item["total"] - units["reserved"] - units["committed"])
            if over > 0:
                self._store.note("oversold", item=item["id"], units=over, order=order)
        version = item["version"] + 1
        await work.run("UPDATE items SET available = $2, version = $3 WHERE id = $1", item["id"], left, version)
        made = f"reservation-{item['id'].partition('-')[2]}-{version}"
        await work.run("INSERT INTO reservations VALUES ($1, $2, $3, $4)", made, item["id"], order, quantity)
        work.tell(self.name, item["id"], version, "inventory.reserved", "reserved", order=order, quantity=quantity)
        return {"id": made, "item_id": item["id"], "order": order, "quantity": quantity}

    async def _released(self, request: web.Request) -> web.Response:
        """PUT {"order"}: what was reserved for it is there again; 409 where nothing is."""
        return await self._settle(request, "released")

    async def _committed(self, request: web.Request) -> web.Response:
        """PUT {"order"}: what was reserved for it leaves; 409 where nothing is."""
        return await self._settle(request, "committed")

    async def _settle(self, request: web.Request, state: str) -> web.Response:
        order = (await body_of(request)).text("order", TOKEN)
        async with self._work(request) as work:
            item = await self._locked(work, request.match_info["id"])
            if not await self._end(work, item, order, state):
                raise Refused(f"nothing of it is reserved for the order {order}")
            shown = await self._shown(work, item["id"])
        return web.json_response(shown)

    async def release(self, work: Work, order: str) -> None:
        """Give back all that is reserved for an order, of whatever item."""
        sql = "SELECT DISTINCT item FROM reservations WHERE order_id = $1 AND status = 'reserved' ORDER BY item"
        for row in await work.rows(sql, order):
            await self._end(work, await self._locked(work, row["item"]), order, "released")

    async def _end(self, work: Work, item: Any, order: str, state: str) -> int:
        """End the reservations of an item for an order; how many units they were."""
        sql = (
            "UPDATE reservations SET status = $3 WHERE item = $1 AND order_id = $2 AND status = 'reserved'"
            " RETURNING quantity"
        )
        units: int = sum(row["quantity"] for row in await work.rows(sql, item["id"], order, state))
        if units:
            back, version = units if state == "released" else 0, item["version"] + 1
            sql = "UPDATE items SET available = available + $2, version = $3 WHERE id = $1"
            await work.run(sql, item["id"], back, version)
            work.tell(self.name, item["id"], version, f"inventory.{state}", state, order=order, quantity=units)
        return units

    async def _read(self, request: web.Request) -> web.Response:
        """GET: `total` = `available` + `reserved` + `committed`, unless something was oversold."""
        async with self._store.look() as look:
            return web.json_response(await self._shown(look, request.match_info["id"]))

    async def _locked(self, work: Work, item_id: str) -> Any:
        return there(await work.row("SELECT * FROM items WHERE id = $1 FOR UPDATE", item_id), "item")

    async def _shown(self, look: Look, item_id: str) -> dict[str, Any]:
        # One statement for both, so that they are of one moment.
        sql = f"SELECT * FROM items, ({_UNITS}) AS units WHERE id = $1"
        return dict(there(await look.row(sql, item_id), "item"))
