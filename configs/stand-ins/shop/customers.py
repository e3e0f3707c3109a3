"""Customers: who they are, where they live, and how much they are worth."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from shop.contexts import EMAIL, NAME, PHONE, TEXT, ZIP, Body, Context, Refused, body_of, there
from shop.store import Look, Work

_MOST_ADDRESSES: Final = 5


class Customers(Context):
    """A customer is registered, has a profile, up to five addresses, and with one of these a tier."""

    name = "customers"

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/customers", self._register),
            web.get("/customers/{id}", self._read),
            web.put("/customers/{id}/profile", self._profile),
            web.post("/customers/{id}/addresses", self._address),
            web.put("/customers/{id}/tier", self._tier),
        ]

    async def _register(self, request: web.Request) -> web.Response:
        """POST {"email", "name", "phone"}: 409 where somebody has that address."""
        body = await body_of(request)
        email, name, phone = body.text("email", EMAIL), *_person(body)

        async def create(work: Work, made: str) -> dict[str, Any]:
            sql = "INSERT INTO customers (id, email, name, phone) VALUES ($1, $2, $3, $4)"
            await work.run(sql, made, email, name, phone)
            work.tell(self.name, made, 1, "customer.registered", "registered")
            return await self._shown(work, made)

        return await self._once(request, create, self._shown)

    async def _profile(self, request: web.Request) -> web.Response:
        """PUT {"name", "phone"}."""
        name, phone = _person(await body_of(request))
        async with self._work(request) as work:
            customer = await self._next(work, request, "name = $2, phone = $3, ", name, phone)
            work.tell(self.name, customer["id"], customer["version"], "customer.profile-updated", "registered")
            shown = await self._shown(work, customer["id"])
        return web.json_response(shown)

    async def _address(self, request: web.Request) -> web.Response:
        """POST {"kind", "street", "city", "zip"}: 409 beyond five of them."""
        body = await body_of(request)
        kind = body.one_of("kind", "billing", "shipping")
        street, city, code = body.text("street", TEXT), body.text("city", TEXT), body.text("zip", ZIP)
        async with self._work(request) as work:
            customer = await self._next(work, request)
            (count,) = await work.row("SELECT count(*) FROM addresses WHERE customer = $1", customer["id"])
            if count >= _MOST_ADDRESSES:
                raise Refused(f"a customer has {_MOST_ADDRESSES} addresses at most")
            made = f"address-{customer['id'].partition('-')[2]}-{count}"
            sql = "INSERT INTO addresses VALUES ($1, $2, $3, $4, $5, $6)"
            await work.run(sql, made, customer["id"], kind, street, city, code)
            work.tell(self.name, customer["id"], customer["version"], "customer.address-added", "registered")
        return web.json_response({"id": made, "customer_id": customer["id"], "kind": kind}, status=201)

    async def _tier(self, request: web.Request) -> web.Response:
        """PUT {"tier"}: 409 without an address."""
        tier = (await body_of(request)).one_of("tier", "bronze", "silver", "gold")
        async with self._work(request) as work:
            customer = await self._next(work, request, "tier = $2, ", tier)
            if await work.row("SELECT 1 FROM addresses WHERE customer = $1", customer["id"]) is None:
                raise Refused("who has no address has no tier")
            work.tell(self.name, customer["id"], customer["version"], "customer.tier-changed", tier)
            shown = await self._shown(work, customer["id"])
        return web.json_response(shown)

    async def _read(self, request: web.Request) -> web.Response:
        async with self._store.look() as look:
            return web.json_response(await self._shown(look, request.match_info["id"]))

    async def _next(self, work: Work, request: web.Request, change: str = "", *values: Any) -> Any:
        """Change a customer, whom nobody else changes until the transaction is over. Raises Unusable."""
        sql = f"UPDATE customers SET {change}version = version + 1 WHERE id = $1 RETURNING *"
        return there(await work.row(sql, request.match_info["id"], *values), "customer")

    async def _shown(self, look: Look, customer_id: str) -> dict[str, Any]:
        customer = there(await look.row("SELECT * FROM customers WHERE id = $1", customer_id), "customer")
        sql = "SELECT id, kind, street, city, zip FROM addresses WHERE customer = $1 ORDER BY id"
        addresses = await look.rows(sql, customer_id)
        return {**customer, "addresses": [dict(one) for one in addresses]}


def _person(body: Body) -> tuple[str, str]:
    return body.text("name", NAME), body.text("phone", PHONE)
