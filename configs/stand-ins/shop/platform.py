"""What the platform shows: Prometheus metrics while it runs, and what is in the database and in the streams."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from shop.outbox import Engine
from shop.projectors import ReadModel
from shop.store import Store
from shop.streams import PROJECTORS, Streams
from stand_in.resources import Resources

_DRAIN_S: Final = 10.0
_TOTALS: Final = {
    "orders": "SELECT status AS of, count(*)::int AS n FROM orders GROUP BY 1",
    "payments": "SELECT status AS of, count(*)::int AS n FROM payments GROUP BY 1",
    "shipments": "SELECT status AS of, count(*)::int AS n FROM shipments GROUP BY 1",
    "units": "SELECT status AS of, sum(quantity)::int AS n FROM reservations GROUP BY 1",
    "outbox": "SELECT status AS of, count(*)::int AS n FROM outbox GROUP BY 1",
    "events": "SELECT type AS of, count(*)::int AS n FROM outbox GROUP BY 1",
}
_WRONG: Final = {
    "oversold": """SELECT coalesce(sum(greatest(taken - total, 0)), 0)::int FROM items JOIN (SELECT item,
        sum(quantity) AS taken FROM reservations WHERE status <> 'released' GROUP BY 1) AS r ON r.item = items.id""",
    "charged_again": "SELECT count(*)::int FROM payments WHERE captures > 1",
    "both_won": "SELECT count(*)::int FROM payments AS p JOIN orders AS o ON o.id = p.order_id"
    " WHERE p.status = 'succeeded' AND o.id IN (SELECT aggregate FROM outbox WHERE type = 'order.cancelled')",
    "not_undone": "SELECT count(*)::int FROM payments AS p JOIN orders AS o ON o.id = p.order_id"
    " WHERE p.status = 'failed' AND o.status <> 'cancelled'",
    "not_as_confirmed": "SELECT count(*)::int FROM orders"
    " WHERE confirmed_total IS NOT NULL AND abs(confirmed_total - price * quantity) > 0.005",
}
"""What must never be more than none."""


class Platform:
    """GET /metrics and GET /status."""

    def __init__(
        self, store: Store, streams: Streams, engine: Engine, read_model: ReadModel, resources: Resources
    ) -> None:
        self._store, self._streams, self._engine, self._read_model = store, streams, engine, read_model
        self._resources = resources

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [web.get("/metrics", self._metrics), web.get("/status", self._status)]

    async def _metrics(self, request: web.Request) -> web.Response:
        """In the text format of Prometheus."""
        depths, stream = await self._streams.depths(), self._streams.key
        pending = [(f'{{stream="{stream(name)}",group="{PROJECTORS}"}}', one.pending) for name, one in depths.items()]
        lengths = [(f'{{stream="{stream(name)}"}}', one.length) for name, one in depths.items()]
        outbox = [('{status="PENDING"}', await self._waiting()), ('{status="SENT"}', self._engine.published)]
        metrics: dict[tuple[str, str], list[tuple[str, float]]] = {
            ("outbox_messages", "gauge"): [*outbox],
            ("stream_pending", "gauge"): [*pending],
            ("stream_length", "gauge"): [*lengths],
            ("broker_ops_per_sec", "gauge"): [("", await self._streams.operations())],
            ("projected_total", "counter"): [("", self._read_model.applied)],
            ("process_resident_memory_bytes", "gauge"): [("", self._resources.memory())],
        }
        lines = []
        for (name, kind), series in metrics.items():
            lines.append(f"# TYPE {name} {kind}")
            lines += [f"{name}{labels} {value}" for labels, value in series]
        return web.Response(text="\n".join(lines) + "\n")

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(await self.totals())

    async def totals(self) -> dict[str, Any]:
        """What there is by state, what is wrong, and how far the streams have got."""
        depths = await self._streams.depths()
        async with self._store.look() as look:
            totals: dict[str, Any] = {
                name: {row["of"]: row["n"] for row in await look.rows(sql)} for name, sql in _TOTALS.items()
            }
            totals["wrong"] = {name: (await look.row(sql))[0] for name, sql in _WRONG.items()}
        totals["added"] = {name: one.added for name, one in depths.items()}
        totals["applied"] = self._read_model.applied
        return totals

    async def drained(self) -> None:
        """Until nothing is on its way any more, ten seconds at most."""
        until = asyncio.get_running_loop().time() + _DRAIN_S
        while await self._waiting() or any(one.pending for one in (await self._streams.depths()).values()):
            if asyncio.get_running_loop().time() > until:
                return
            await asyncio.sleep(0.02)

    async def _waiting(self) -> int:
        async with self._store.look() as look:
            (count,) = await look.row("SELECT count(*)::int FROM outbox WHERE status = 'PENDING'")
        return int(count)
