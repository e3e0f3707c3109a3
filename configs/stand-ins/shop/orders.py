"""Orders: from created to completed, step by step; cancelled as long as they aren't paid."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from aiohttp import web

from shop.contexts import SKU, TOKEN, Context, Refused, body_of, correlation, there
from shop.inventory import Inventory
from shop.knobs import ShopKnobs
from shop.store import Look, Store, Work
from stand_in.knobs import Planted
from stand_in.web import Unusable


class Step(NamedTuple):
    """A command to an order, the states in which it may be, and the one in which it is then."""

    before: tuple[str, ...]
    after: str


STEPS: Final = {
    "confirm": Step(("created",), "confirmed"),
    "pending": Step(("confirmed",), "pending"),
    "paid": Step(("pending",), "paid"),
    "process": Step(("paid",), "processing"),
    "ship": Step(("processing",), "shipped"),
    "deliver": Step(("shipped",), "delivered"),
    "complete": Step(("delivered",), "completed"),
    "cancel": Step(("created", "confirmed", "pending"), "cancelled"),
}
"""With the creation eight events, from `order.created` to `order.completed`."""


class Orders(Context):
    """An order is for so many of one item."""

    name = "orders"

    def __init__(self, store: Store, knobs: ShopKnobs, inventory: Inventory) -> None:
        super().__init__(store, knobs)
        self._inventory = inventory
        self._cancelling, self._modifying = Planted(), Planted()

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/orders", self._create),
            web.get("/orders/{id}", self._read),
            web.put("/orders/{id}/quantity", self._modify),
            *(web.put(f"/orders/{{id}}/{command}", self._stepped(command)) for command in STEPS),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        """POST {"customer_id", "sku", "price", "quantity"}, with a header Idempotency-Key if it may come again."""
        body = await body_of(request)
        customer, sku = body.text("customer_id", TOKEN), body.text("sku", SKU)
        price, quantity = body.amount("price"), body.count("quantity", 1, 100)

        async def create(work: Work, made: str) -> dict[str, Any]:
            if await work.row("SELECT 1 FROM customers WHERE id = $1", customer) is None:
                raise Unusable(f"customer_id is {customer}, whom nobody knows; write that of a customer")
            sql = "INSERT INTO orders (id, customer, sku, price, quantity) VALUES ($1, $2, $3, $4, $5)"
            await work.run(sql, made, customer, sku, price, quantity)
            work.tell(self.name, made, 1, "order.created", "created")
            return await self._shown(work, made)

        return await self._once(request, create, self._shown)

    async def _modify(self, request: web.Request) -> web.Response:
        """PUT {"quantity"}: 409 where it isn't `created` any more."""
        quantity = (await body_of(request)).count("quantity", 1, 100)
        unseen = self._modifying.due(self._knobs.stale_modify)
        async with self._work(request) as work:
            order = await self._in(work, request, ("created",), unseen)
            if unseen:
                await self._late(work, order, "modify", request, "created")
            version = order["version"] + 1
            sql = "UPDATE orders SET quantity = $2, version = $3 WHERE id = $1"
            await work.run(sql, order["id"], quantity, version)
            work.tell(self.name, order["id"], version, "order.modified", "created")
            shown = await self._shown(work, order["id"])
        return web.json_response(shown)

    def _stepped(self, command: str) -> Any:
        async def handle(request: web.Request) -> web.Response:
            """PUT: 409 where the order isn't in a state for that."""
            unseen = command == "cancel" and self._cancelling.due(self._knobs.both_win)
            async with self._work(request) as work:
                order = await self._in(work, request, STEPS[command].before, unseen)
                if unseen:
                    await self._late(work, order, command, request, *STEPS[command].before)
                await self.go(work, order, command)
                shown = await self._shown(work, order["id"])
            return web.json_response(shown)

        return handle

    async def _in(self, work: Work, request: web.Request, states: tuple[str, ...], unlocked: bool) -> Any:
        """The order, if it is in one of these states, as it stays until the transaction is over. Raises Refused."""
        order = await self.found(work, request.match_info["id"], unlocked=unlocked)
        if order["status"] not in states:
            raise Refused(f"the order is {order['status']}")
        return order

    async def _late(self, work: Work, order: Any, what: str, request: web.Request, *states: str) -> None:
        """A bug: time passes between what is read and what is written."""
        await asyncio.sleep(self._knobs.race_ms / 1000)
        now = await self.found(work, order["id"], unlocked=True)
        if now["status"] not in states:
            self._store.note("unseen", what=what, aggregate=order["id"], id=correlation(request))

    async def found(self, work: Work, order_id: str, *, unlocked: bool = False) -> Any:
        """The order, which nobody else changes until the transaction is over. Raises Unusable."""
        locking = "" if unlocked else " FOR UPDATE"
        return there(await work.row(f"SELECT * FROM orders WHERE id = $1{locking}", order_id), "order")

    async def go(self, work: Work, order: Any, command: str) -> None:
        """Do a step with an order that was found in a state for it."""
        after, version = STEPS[command].after, order["version"] + 1
        confirmed = total(order) if command == "confirm" else order["confirmed_total"]
        sql = "UPDATE orders SET status = $2, version = $3, confirmed_total = $4 WHERE id = $1"
        await work.run(sql, order["id"], after, version, confirmed)
        work.tell(self.name, order["id"], version, f"order.{after}", after)
        if command == "cancel":
            await self._inventory.release(work, order["id"])

    async def _read(self, request: web.Request) -> web.Response:
        """GET: `confirmed_total` is what was agreed on, `total` what it comes to."""
        async with self._store.look() as look:
            return web.json_response(await self._shown(look, request.match_info["id"]))

    async def _shown(self, look: Look, order_id: str) -> dict[str, Any]:
        order = there(await look.row("SELECT * FROM orders WHERE id = $1", order_id), "order")
        return {**order, "total": total(order)}


def total(order: Any) -> float:
    """What an order costs."""
    return round(float(order["price"]) * int(order["quantity"]), 2)
