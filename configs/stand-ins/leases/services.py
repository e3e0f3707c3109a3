"""The three services: leases, payments, and the audit of their ledgers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from leases.creations import Creations
from leases.knobs import LeaseKnobs
from leases.ledgers import Entry, Ledgers
from leases.pool import Pool
from stand_in.clock import Clock
from stand_in.knobs import Planted
from stand_in.record import Record
from stand_in.web import Handler, Unusable, json_object, late, own

_MOST_LISTED: Final = 100
_KEPT: Final = 100
"""Slow requests that the log shows."""


class Service:
    """What each of them has: a pool, a log of slow requests, health.

    slow       how many requests were slow
    requests   how many there were
    rows_read  how many rows they looked at
    leaked     bytes that a bug would have kept so far; nothing is really kept
    """

    def __init__(self, name: str, knobs: LeaseKnobs, clock: Clock, record: Record) -> None:
        self.name = name
        self.pool = Pool(knobs)
        self.slow = 0
        self.requests = 0
        self.rows_read = 0
        self._knobs, self._clock, self._record = knobs, clock, record
        self._log: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._refusing = Planted()
        self.leaked = 0

    def routes(self) -> list[web.RouteDef]:
        """What it answers, beside what it is for."""
        return [web.get("/health", self._health), web.get("/status/slow", self._slow)]

    def figures(self) -> dict[str, Any]:
        """What the platform shows of it."""
        return {
            "connections": self.pool.used, "waiting": self.pool.waiting, "requests": self.requests,
            "slow": self.slow, "rows_read": self.rows_read,
        }  # fmt: skip

    @web.middleware
    async def timed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take down what took too long, and how many there were."""
        if own(request):
            return await handler(request)
        loop, knobs = asyncio.get_running_loop(), self._knobs
        began = loop.time()
        self.requests += 1
        self.leaked += knobs.leak_kb * 1000
        try:
            await late(knobs.latency_ms)
            if self._refusing.due(knobs.refuse):
                raise Unusable("the service is busy", status=503)
            return await handler(request)
        except Unusable as wrong:
            if wrong.status == 503:
                self._record.note("refused", self._clock.now(), id=request.headers.get("X-Correlation-ID", ""))
            raise
        finally:
            took_s = loop.time() - began
            if took_s >= knobs.slow_ms / 1000:
                self._note_slow(request, took_s)

    def _note_slow(self, request: web.Request, took_s: float) -> None:
        self.slow += 1
        line = {"service": self.name, "request": f"{request.method} {request.path}", "s": round(took_s, 6)}
        self._record.note("slow", self._clock.now(), **line)
        self._log.append(line)

    async def read(self, rows: int) -> None:
        """Look at so many rows of the database."""
        async with self.pool.connection(self._knobs.read_ms + rows * self._knobs.row_ms):
            self.rows_read += rows

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": self.name})

    async def _slow(self, request: web.Request) -> web.Response:
        """GET /status/slow: the log of the last slow requests."""
        return web.json_response({"slow": [*self._log]})


class Leases(Service):
    """Leases, each with a plan of payments that has a row for every month."""

    def __init__(self, knobs: LeaseKnobs, clock: Clock, record: Record, ledgers: Ledgers) -> None:
        super().__init__("leases", knobs, clock, record)
        self._ledgers = ledgers
        self.leases = Creations("lease", knobs, clock, record, self.pool, ledgers)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/leases", self._create),
            web.get("/leases", self._list),
            web.get("/leases/{id}", self._read),
            web.get("/leases/{id}/history", self._history),
            *super().routes(),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        """POST {"tenant": TEXT, "months": NUMBER, "rent": NUMBER}, with a header Idempotency-Key."""
        body = await json_object(request)
        if not isinstance(body.get("tenant"), str) or type(body.get("months")) is not int or body["months"] < 1:
            raise Unusable("there is no tenant, or no months; write who rents, and for how many months")
        return await self.leases.create(request, body)

    async def _list(self, request: web.Request) -> web.Response:
        """GET /leases?limit=20: the newest. With ?reference=A,B those that were created by these requests."""
        asked = [one for text in request.query.getall("reference", []) for one in text.split(",")]
        found = self.leases.of_reference(asked) if asked else self.leases.newest(_limit(request))
        await self.read(len(found))
        return web.json_response({"items": [one.shown() for one in found]})

    async def _read(self, request: web.Request) -> web.Response:
        await self.read(1)
        return web.json_response(self.leases.find(request.match_info["id"]).shown())

    async def _history(self, request: web.Request) -> web.Response:
        """GET /leases/ID/history: one read that looks at a row for every month and every entry."""
        lease = self.leases.find(request.match_info["id"])
        entries = self._ledgers.entries(lease.id)
        await self.read(1 + int(lease.data["months"]) + len(entries))
        return web.json_response({"lease": lease.shown(), "entries": [_shown(one) for one in entries]})


class Payments(Service):
    """Payments of leases."""

    def __init__(self, knobs: LeaseKnobs, clock: Clock, record: Record, ledgers: Ledgers) -> None:
        super().__init__("payments", knobs, clock, record)
        self.payments = Creations("payment", knobs, clock, record, self.pool, ledgers)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/payments", self._attempt),
            web.get("/payments", self._list),
            web.get("/payments/{id}", self._read),
            *super().routes(),
        ]

    async def _attempt(self, request: web.Request) -> web.Response:
        """POST {"lease_id": TEXT, "amount": NUMBER}, with a header Idempotency-Key."""
        body = await json_object(request)
        if not isinstance(body.get("lease_id"), str) or not isinstance(body.get("amount"), int | float):
            raise Unusable("there is no lease_id, or no amount; write what is paid for, and how much")
        return await self.payments.create(request, body)

    async def _list(self, request: web.Request) -> web.Response:
        """GET /payments?reference=A,B: those that were made by these requests."""
        asked = [one for text in request.query.getall("reference", []) for one in text.split(",")]
        found = self.payments.of_reference(asked)
        await self.read(len(found))
        return web.json_response({"items": [one.shown() for one in found]})

    async def _read(self, request: web.Request) -> web.Response:
        await self.read(1)
        return web.json_response(self.payments.find(request.match_info["id"]).shown())


class Audit(Service):
    """The ledgers themselves: entries are appended to them, and read in their order."""

    def __init__(self, knobs: LeaseKnobs, clock: Clock, record: Record, ledgers: Ledgers) -> None:
        super().__init__("audit", knobs, clock, record)
        self._ledgers = ledgers

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/ledgers/{ledger}/entries", self._append),
            web.get("/ledgers/{ledger}/entries", self._read),
            web.post("/entries/query", self._query),
            *super().routes(),
        ]

    async def _append(self, request: web.Request) -> web.Response:
        """POST {"type": TEXT, ...}: 202, and it is applied later, after those that came before it."""
        body = await json_object(request)
        if not isinstance(body.get("type"), str):
            raise Unusable("there is no type; write what has happened")
        entry = Entry(
            request.headers.get("X-Correlation-ID") or str(uuid4()), request.match_info["ledger"], body["type"], body
        )
        async with self.pool.connection(self._knobs.append_ms):
            self._ledgers.append(entry)
        return web.json_response({"id": entry.id, "ledger": entry.ledger}, status=202)

    async def _read(self, request: web.Request) -> web.Response:
        """GET /ledgers/LEDGER/entries?limit=20: the last ones, in their order."""
        entries = self._ledgers.entries(request.match_info["ledger"])[-_limit(request) :]
        await self.read(len(entries))
        return web.json_response({"entries": [_shown(one) for one in entries]})

    async def _query(self, request: web.Request) -> web.Response:
        """POST {"ids": [...]}: what was applied of them, one item for each time, with its number in its ledger."""
        asked = (await json_object(request)).get("ids")
        if not isinstance(asked, list) or not all(isinstance(one, str) for one in asked):
            raise Unusable("there are no ids; write a list of them")
        places = self._ledgers.places(asked)
        await self.read(len(places))
        return web.json_response({"items": [{**_shown(one), "number": number} for one, number in places]})


def _limit(request: web.Request) -> int:
    """How many are asked for."""
    text = request.query.get("limit", "20")
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_LISTED:
        raise Unusable(f"limit is {text!r}; write a number from 1 to {_MOST_LISTED}")
    return int(text)


def _shown(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "ledger": entry.ledger, "type": entry.type}
