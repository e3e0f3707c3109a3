"""All of it behind one port: the API of placements, the AWS protocols, and what turns the knobs."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid4, uuid5

import psutil
from aiohttp import web

from placements.aws import DEAD, QUEUE, Bus, Refused, Sqs, operations
from placements.clock import Clock
from placements.knobs import Knobs
from placements.queues import VISIBLE, Message, Queue
from placements.record import Record
from placements.store import DatabaseAway, Store
from placements.workers import Workers, figures

_SWITCHES: Final[Mapping[str, Mapping[str, str]]] = {
    "worker-delay": {"ms": "delay_ms"},
    "worker-time": {"ms": "work_ms"},
    "tasks": {"least": "least", "most": "most", "idle_ms": "idle_ms"},
    "database": {"up": "database"},
    "bus": {"up": "bus", "refused": "refused"},
    "latency": {"ms": "latency_ms"},
    "idempotency": {"on": "idempotent"},
}
"""Which knobs POST /admin/NAME turns, by the keys of its body."""
_OWN: Final = ("/admin", "/status")
"""What no fault touches: by this it is looked after."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class System:
    """A stand-in that runs."""

    url: str
    knobs: Knobs
    record: Record
    queue: Queue
    dead: Queue
    store: Store
    workers: Workers


class Api:
    """The handlers."""

    def __init__(self, system: System, bus: Bus, sqs: Sqs, clock: Clock, memory: Callable[[System], int]) -> None:
        self._system = system
        self._bus = bus
        self._operations = operations(bus, sqs)
        self._clock = clock
        self._memory = memory

    def routes(self) -> list[web.RouteDef]:
        """Who answers what."""
        return [
            web.post("/", self.aws),
            web.post("/v1/placements", self.place),
            web.get("/v1/placements", self.found),
            web.get("/v1/placements/{id}", self.placement),
            web.get("/status", self.status),
            web.get("/admin/knobs", self.turned),
            web.post("/admin/knobs", self.turn),
            web.post("/admin/redrive", self.redrive),
            *(web.post(f"/admin/{name}", self.turn) for name in _SWITCHES),
        ]

    @web.middleware
    async def trouble(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer late, or with 503 while the database is away."""
        latency_ms = self._system.knobs.latency_ms
        if latency_ms and not request.path.startswith(_OWN):
            await asyncio.sleep(latency_ms / 1000)
        try:
            return await handler(request)
        except DatabaseAway as away:
            return web.json_response({"error": str(away)}, status=503)
        except ConnectionError:
            # Whoever asked has gone meanwhile, and nobody reads this.
            return web.Response(status=400)

    async def aws(self, request: web.Request) -> web.Response:
        """A call of EventBridge or SQS."""
        target = request.headers.get("X-Amz-Target", "")
        kind = "application/x-amz-json-1.1" if target.startswith("AWSEvents") else "application/x-amz-json-1.0"
        headers = {"x-amzn-RequestId": str(uuid4()), "Content-Type": kind}
        try:
            if not self._system.knobs.bus:
                raise Refused("ServiceUnavailable", "Service is unavailable.", status=503)
            if target not in self._operations:
                raise Refused("UnknownOperationException", f"There is no {target or 'X-Amz-Target'} here.")
            asked = {**json.loads(await request.read() or b"{}"), "base": f"{request.scheme}://{request.host}"}
            answer = self._operations[target](asked)
            if inspect.isawaitable(answer):
                answer = await answer
        except Refused as refused:
            prefix = "" if target.startswith("AWSEvents") else "com.amazonaws.sqs#"
            if prefix:
                headers["x-amzn-query-error"] = f"{refused.old};Sender"
            said = {"__type": prefix + refused.code, "message": refused.message}
            return web.Response(status=refused.status, headers=headers, text=json.dumps(said))
        return web.Response(headers=headers, text=json.dumps(answer))

    async def place(self, request: web.Request) -> web.Response:
        """POST /v1/placements: taken, and worked on later. Who asks with the same correlation id asks again."""
        if not self._system.knobs.bus:
            return web.json_response({"error": "the bus is unavailable"}, status=503)
        try:
            data = json.loads(await request.read())
            if not isinstance(data, dict) or not isinstance(data.get("video_id"), str):
                raise ValueError("there is no video_id; write one")
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=422)
        correlation_id = request.headers.get("X-Correlation-ID") or str(uuid4())
        if self._bus.throttles(correlation_id):
            return web.json_response({"error": "too many requests"}, status=429)
        event_id = str(uuid5(NAMESPACE_URL, correlation_id))
        now = self._clock.stamp()
        detail = {
            "id": event_id, "correlation_id": correlation_id, "data": data,
            "timestamps": {"produced_at": now, "published_at": now},
        }  # fmt: skip
        self._bus.accept(str(uuid4()), "nedlia.api", "placement.created", detail)
        return web.json_response({"data": {"id": f"placement-{event_id}", "status": "pending"}}, status=202)

    async def found(self, request: web.Request) -> web.Response:
        """GET /v1/placements?correlation_id=A,B: those that workers have begun with."""
        ids = [one for text in request.query.getall("correlation_id", []) for one in text.split(",")]
        return web.json_response({"items": self._system.store.by_correlation(ids)})

    async def placement(self, request: web.Request) -> web.Response:
        """GET /v1/placements/ID."""
        placement = self._system.store.by_id(request.match_info["id"])
        if placement is None:
            return web.json_response({"error": "there is no such placement (yet)"}, status=404)
        return web.json_response({"data": placement})

    async def status(self, request: web.Request) -> web.Response:
        """GET /status: what the platform shows."""
        one = self._system
        return web.json_response(figures(one.workers, one.queue, one.dead, one.store, one.record, self._memory(one)))

    async def turned(self, request: web.Request) -> web.Response:
        """GET /admin/knobs: as they are."""
        return web.json_response(asdict(self._system.knobs))

    async def turn(self, request: web.Request) -> web.Response:
        """POST /admin/knobs, or one of the switches."""
        try:
            values = json.loads(await request.read() or b"{}")
            if not isinstance(values, dict):
                raise ValueError("that is no mapping; write {name: value}")
            switch = _SWITCHES.get(request.path.rpartition("/")[2])
            if switch is not None:
                unknown = values.keys() - switch.keys()
                if unknown or not values:
                    what = f"there is no {sorted(unknown)[0]} here" if unknown else "nothing is said"
                    raise ValueError(f"{what}; choose of {', '.join(switch)}")
                values = {switch[key]: value for key, value in values.items()}
            self._system.knobs.change(values)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=422)
        follow(self._system)
        self._system.record.note("changed", self._clock.now(), knobs=values)
        return web.json_response(asdict(self._system.knobs))

    async def redrive(self, request: web.Request) -> web.Response:
        """POST /admin/redrive: put all dead letters back into the queue."""
        messages = self._system.dead.purge()
        for message in messages:
            self._system.queue.send(message.body, message.attributes)
            depth = self._system.queue.count(VISIBLE)
            self._system.record.note("redriven", self._clock.now(), message=message.id, depth=depth)
        return web.json_response({"redriven": len(messages)})


def follow(system: System) -> None:
    """Let the queue be as the knobs say."""
    system.queue.visibility_s = system.knobs.visibility_ms / 1000
    system.queue.attempts = system.knobs.attempts


@asynccontextmanager
async def running(
    knobs: Knobs,
    record: Record,
    *,
    port: int = 0,
    database: Path | None = None,
    clock: Clock | None = None,
    memory: Callable[[System], int] | None = None,
) -> AsyncIterator[System]:
    """The whole stand-in on loopback, until the block ends. `memory` tells what it takes, in bytes."""
    clock = clock or Clock()
    sqs = Sqs(clock)
    dead = sqs.queues[DEAD] = Queue(DEAD, clock.now)
    queue = sqs.queues[QUEUE] = Queue(QUEUE, clock.now, dead_letters=dead)

    def buried(message: Message) -> None:
        record.note("dead", clock.now(), message=message.id, correlation_id=_id_in(message))

    def returned(message: Message) -> None:
        record.note("back", clock.now(), message=message.id, depth=queue.count(VISIBLE))

    queue.buried, queue.returned = buried, returned
    with closing(Store(knobs, database)) as store:
        workers = Workers(queue, store, knobs, clock, record)
        bus = Bus(queue, knobs, clock, record)
        application = web.Application(client_max_size=1 << 20)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        system = System("", knobs, record, queue, dead, store, workers)
        api = Api(system, bus, sqs, clock, memory or _resident)
        application.middlewares.append(api.trouble)
        application.add_routes(api.routes())
        follow(system)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            host, bound = runner.addresses[0][:2]
            scaling = asyncio.create_task(workers.scale())
            try:
                yield System(f"http://{host}:{bound}", knobs, record, queue, dead, store, workers)
            finally:
                scaling.cancel()
                await asyncio.gather(scaling, return_exceptions=True)
        finally:
            await runner.cleanup()


def _resident(system: System) -> int:
    return int(psutil.Process().memory_info().rss)


def _id_in(message: Message) -> str:
    try:
        return str(json.loads(message.body)["detail"]["correlation_id"])
    except (ValueError, KeyError, TypeError):
        return ""
