"""All of it: the three services, each at a port of its own, and what the platform shows of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from leases.knobs import QUICK, LeaseKnobs
from leases.ledgers import Entry, Ledgers
from leases.services import Audit, Leases, Payments, Service
from stand_in.clock import Clock
from stand_in.command import StandIn
from stand_in.record import Record
from stand_in.resources import Resources
from stand_in.web import Admin, application, serving

_VARIABLES: Final = ("LEASES", "PAYMENTS", "AUDIT")
"""By which evload finds them, in their order."""

_OF_ALL: Final = ("connections", "requests", "slow", "rows_read")
"""Figures of the services that are added up."""


class Platform:
    """GET /status, of whichever service: what the platform shows of all."""

    def __init__(self, services: tuple[Service, ...], ledgers: Ledgers, record: Record, resources: Resources) -> None:
        self._services, self._ledgers, self._record, self._resources = services, ledgers, record, resources

    async def status(self, request: web.Request) -> web.Response:
        """All figures. Counters rise from when it was started."""
        services, ledgers = self._services, self._ledgers
        figures = {service.name: service.figures() for service in services}
        return web.json_response({
            "cpu": self._resources.cpu(),
            "memory_bytes": self._resources.memory() + sum(service.leaked for service in services),
            "queue_depth": ledgers.waiting,
            "services": figures,
            **{name: sum(one[name] for one in figures.values()) for name in _OF_ALL},
            "rows_written": ledgers.rows,
            "busy_seconds": ledgers.busy_s + sum(service.pool.held_s for service in services),
            "entries": {kind: self._record.counts[kind] for kind in ("came", "done")},
        })  # fmt: skip


@asynccontextmanager
async def running(
    knobs: LeaseKnobs,
    record: Record,
    port: int = 0,
    *,
    clock: Clock | None = None,
    resources: Resources | None = None,
) -> AsyncIterator[Mapping[str, str]]:
    """The stand-in on loopback, until the block ends; yields the variables by which evload finds it.

    Leases are at `port`, payments at the next one, the audit at the one after that; 0 are free ones.
    """
    clock = clock or Clock()
    ledgers = Ledgers(knobs, clock, record)
    leases, payments = Leases(knobs, clock, record, ledgers), Payments(knobs, clock, record, ledgers)
    services = (leases, payments, Audit(knobs, clock, record, ledgers))
    platform = Platform(services, ledgers, record, resources or Resources())

    def applied(entry: Entry) -> None:
        leases.leases.applied(entry)
        payments.payments.applied(entry)

    ledgers.applied = applied
    environment = {}
    async with AsyncExitStack() as stack:
        for number, (variable, service) in enumerate(zip(_VARIABLES, services, strict=True)):
            app = application()
            app.middlewares.append(service.timed)
            app.add_routes([
                *service.routes(), *Admin(knobs, record, clock).routes(), web.get("/status", platform.status)
            ])  # fmt: skip
            served = await stack.enter_async_context(serving(app, port + number if port else 0))
            environment[variable] = served.url
        projecting = asyncio.create_task(ledgers.project())
        try:
            yield environment
        finally:
            projecting.cancel()
            await asyncio.gather(projecting, return_exceptions=True)


STAND_IN: Final = StandIn("leases", LeaseKnobs, QUICK, 8792, running)
