"""Payments: initiated for an order, and succeeded or failed by what the payment provider tells later."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from shop.contexts import TOKEN, Context, Refused, body_of, correlation, there
from shop.knobs import ShopKnobs
from shop.orders import STEPS, Orders, total
from shop.store import Look, Store, Work
from stand_in.knobs import Planted
from stand_in.web import Unusable


class Payments(Context):
    """A payment is about the whole of an order. Of one that failed, the saga undoes what was done before."""

    name = "payments"

    def __init__(self, store: Store, knobs: ShopKnobs, orders: Orders) -> None:
        super().__init__(store, knobs)
        self._orders = orders
        self._charging, self._unseeing = Planted(), Planted()

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/payments", self._initiate),
            web.get("/payments/{id}", self._read),
            web.post("/payments/webhook", self._told),
        ]

    async def _initiate(self, request: web.Request) -> web.Response:
        """POST {"order_id", "amount"}, with a header Idempotency-Key if it may come again: 409 where the order isn't
        pending; 422 where the amount isn't its total."""
        body = await body_of(request)
        order_id, amount = body.text("order_id", TOKEN), body.amount("amount")

        async def create(work: Work, made: str) -> dict[str, Any]:
            order = await self._orders.found(work, order_id)
            if order["status"] != "pending":
                raise Refused(f"the order is {order['status']}")
            if amount != total(order):
                raise Unusable(f"amount is {amount}, and the order costs {total(order)}")
            await work.run("INSERT INTO payments (id, order_id, amount) VALUES ($1, $2, $3)", made, order_id, amount)
            work.tell(self.name, made, 1, "payment.initiated", "initiated", order=order_id)
            return await self._shown(work, made)

        return await self._once(request, create, self._shown)

    async def _told(self, request: web.Request) -> web.Response:
        """POST {"id", "status": "succeeded" or "failed"}: what becomes of a payment. Told again it is no news: 200,
        and nothing is booked twice. 409 where it came to another end, or where the order was cancelled meanwhile."""
        body = await body_of(request)
        payment_id, status = body.text("id", TOKEN), body.one_of("status", "succeeded", "failed")
        unseen = status == "succeeded" and self._unseeing.due(self._knobs.both_win)
        async with self._work(request) as work:
            row = await work.row("SELECT order_id FROM payments WHERE id = $1", payment_id)
            # The order first, whoever reads or writes both: so nobody waits for the other in a circle.
            order = await self._orders.found(work, there(row, "payment")["order_id"], unlocked=unseen)
            locking = "" if unseen else " FOR UPDATE"
            payment = await work.row(f"SELECT * FROM payments WHERE id = $1{locking}", payment_id)
            if payment["status"] == status:
                await self._told_again(work, payment)
            elif payment["status"] != "initiated":
                raise Refused(f"the payment is {payment['status']}")
            elif order["status"] not in STEPS["paid"].before:
                raise Refused(f"the order is {order['status']}")
            else:
                if unseen:
                    await self._late(work, order, request)
                if status == "succeeded":
                    await self._orders.go(work, order, "paid")
                await self._book(work, payment, status)
            shown = await self._shown(work, payment_id)
        return web.json_response(shown)

    async def _told_again(self, work: Work, payment: Any) -> None:
        if payment["status"] == "succeeded" and self._charging.due(self._knobs.charge_again):
            self._store.note("charged", aggregate=payment["id"])
            await self._book(work, payment, "succeeded")

    async def _late(self, work: Work, order: Any, request: web.Request) -> None:
        """A bug: time passes between what is read and what is written."""
        await asyncio.sleep(self._knobs.race_ms / 1000)
        now = await self._orders.found(work, order["id"], unlocked=True)
        if now["status"] not in STEPS["paid"].before:
            self._store.note("unseen", what="pay", aggregate=order["id"], id=correlation(request))

    async def _book(self, work: Work, payment: Any, status: str) -> None:
        version, captures = payment["version"] + 1, payment["captures"] + (status == "succeeded")
        sql = "UPDATE payments SET status = $2, captures = $3, version = $4 WHERE id = $1"
        await work.run(sql, payment["id"], status, captures, version)
        work.tell(self.name, payment["id"], version, f"payment.{status}", status, order=payment["order_id"])

    async def _read(self, request: web.Request) -> web.Response:
        """GET: `captures` is how often the amount was booked."""
        async with self._store.look() as look:
            return web.json_response(await self._shown(look, request.match_info["id"]))

    async def _shown(self, look: Look, payment_id: str) -> dict[str, Any]:
        return dict(there(await look.row("SELECT * FROM payments WHERE id = $1", payment_id), "payment"))
