"""What is answered over HTTP: the broker front on one port; read model, metrics and admin calls on another."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from knative.broker import queue_of
from knative.functions import Function, Job, Jobs
from knative.record import Record

_STRUCTURED: Final = "application/cloudevents+json"
_PREFIX: Final = "ce-"
_ATTRIBUTES: Final = ("specversion", "id", "source", "type")
Publish = Callable[[bytes, str], Awaitable[str]]
"""Publishes an event of a type; returns why it wasn't taken."""


@dataclass
class Limits:
    """What the broker front lets in, which an admin call may change.

    connections  most connections at a time; a request over another is refused
    refuse       share of the events that are refused for no reason at all
    """

    connections: int = 1000
    refuse: float = 0


class Front:
    """The broker's ingress: takes CloudEvents, structured or binary, and answers 202 once RabbitMQ has them."""

    def __init__(self, publish: Publish, record: Record) -> None:
        self.limits = Limits()
        self.connected: Callable[[], int] = lambda: 0
        """How many connections there are."""
        self.accepted = 0
        self.refused: dict[int, int] = {}
        self._publish, self._record = publish, record
        self._owed = 0.0

    async def post(self, request: web.Request) -> web.Response:
        """POST of one event."""
        body = await request.read()
        try:
            event = _event_of(request, body)
        except ValueError as error:
            return self._refuse(400, "", str(error))
        event_id = str(event.get("correlationid") or event["id"])
        if self.connected() > self.limits.connections:
            return self._refuse(503, event_id, "all connections are in use")
        self._owed += self.limits.refuse
        if self._owed >= 1:
            self._owed -= 1
            return self._refuse(503, event_id, "the broker was told to refuse some")
        why_not = await self._publish(json.dumps(event).encode(), str(event["type"]))
        if why_not:
            return self._refuse(429 if "full" in why_not else 404, event_id, why_not)
        self.accepted += 1
        self._record.note("accepted", event_id)
        self._record.flush()
        return web.Response(status=202)

    def _refuse(self, status: int, event_id: str, why: str) -> web.Response:
        self.refused[status] = self.refused.get(status, 0) + 1
        self._record.note("refused", status, event_id)
        self._record.flush()
        answer = web.json_response({"error": why}, status=status)
        if status == 429:
            answer.headers["retry-after"] = "1"
        if status == 503:
            answer.force_close()
        return answer


def _event_of(request: web.Request, body: bytes) -> dict[str, Any]:
    """The event in a request, as structured JSON has it. Raises ValueError."""
    if request.content_type == _STRUCTURED:
        event = json.loads(body)
        if not isinstance(event, dict):
            raise ValueError("this is no event")
    else:
        event = {
            name.lower().removeprefix(_PREFIX): value
            for name, value in request.headers.items()
            if name.lower().startswith(_PREFIX)
        }
        event["data"] = json.loads(body) if body else None
    for name in _ATTRIBUTES:
        if not isinstance(event.get(name), str) or not event[name]:
            raise ValueError(f"the event has no {name}")
    return event


class Api:
    """The read model, the metrics, and the admin calls."""

    def __init__(self, functions: Mapping[str, Function], jobs: Jobs, front: Front, record: Record) -> None:
        self._functions, self._jobs, self._front, self._record = functions, jobs, front, record

    def routes(self) -> list[web.RouteDef]:
        """All that it answers."""
        return [
            web.post("/items/query", self._query),
            web.get("/items/{id}", self._one),
            web.get("/metrics", self._metrics),
            web.post("/admin/functions/{name}", self._turn),
            web.post("/admin/functions/{name}/kill", self._kill),
            web.post("/admin/broker", self._limit),
        ]

    async def _query(self, request: web.Request) -> web.Response:
        """POST {"ids": [...]}: those that are there."""
        ids = (await request.json())["ids"]
        return web.json_response({"items": [_shown(job) for job in self._jobs.of(ids)]})

    async def _one(self, request: web.Request) -> web.Response:
        found = self._jobs.of([request.match_info["id"]])
        return web.json_response(_shown(found[0])) if found else web.json_response({}, status=404)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text="\n".join(self._exposition()) + "\n", content_type="text/plain")

    def _exposition(self) -> Iterator[str]:
        measures: list[tuple[str, str, Callable[[Function], int]]] = [
            ("autoscaler_actual_pods", "gauge", lambda one: one.pods),
            ("autoscaler_desired_pods", "gauge", lambda one: one.wanted),
            ("function_memory_bytes", "gauge", lambda one: one.memory()),
            ("function_events_total", "counter", lambda one: one.came),
            ("function_done_total", "counter", lambda one: one.finished),
            ("function_killed_total", "counter", lambda one: one.killed),
            ("function_started_total", "counter", lambda one: one.started),
        ]
        for name, kind, value in measures:
            yield f"# TYPE {name} {kind}"
            for function in self._functions.values():
                yield f'{name}{{configuration_name="{function.name}"}} {value(function)}'
        yield "# TYPE rabbitmq_queue_messages gauge"
        for function in self._functions.values():
            yield f'rabbitmq_queue_messages{{queue="{queue_of(function.name)}"}} {function.depth}'
        front = self._front
        for name, kind, number in (
            ("broker_connections", "gauge", front.connected()),
            ("broker_connections_limit", "gauge", front.limits.connections),
            ("broker_accepted_total", "counter", front.accepted),
            ("broker_refused_total", "counter", sum(front.refused.values())),
        ):
            yield f"# TYPE {name} {kind}"
            yield f"{name} {number}"

    def _named(self, request: web.Request) -> list[Function]:
        """The function of that name, or all of them."""
        name = request.match_info["name"]
        if name == "all":
            return list(self._functions.values())
        if name not in self._functions:
            known = ", ".join(self._functions)
            raise web.HTTPNotFound(text=json.dumps({"error": f"no function {name!r}; there are {known}, all"}))
        return [self._functions[name]]

    async def _turn(self, request: web.Request) -> web.Response:
        """Turn knobs: {"service_ms": 500}."""
        functions, asked = self._named(request), await self._told(request)
        try:
            for function in functions:
                function.knobs.turn(asked)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({function.name: vars(function.knobs) for function in functions})

    async def _kill(self, request: web.Request) -> web.Response:
        """Kill pods at random: {"count": 1}."""
        functions, asked = self._named(request), await self._told(request)
        return web.json_response({"killed": sum(one.kill(int(asked.get("count", 1))) for one in functions)})

    async def _limit(self, request: web.Request) -> web.Response:
        """What the front lets in: {"connections": 0}."""
        asked, limits = await self._told(request), self._front.limits
        if not asked.keys() <= vars(limits).keys():
            return web.json_response({"error": f"limits are {', '.join(vars(limits))}"}, status=400)
        for name, value in asked.items():
            setattr(limits, name, value)
        return web.json_response(vars(limits))

    async def _told(self, request: web.Request) -> dict[str, Any]:
        asked = json.loads(await request.read() or b"{}")
        if not isinstance(asked, dict):
            raise web.HTTPBadRequest(text=json.dumps({"error": "this is no JSON object"}))
        self._record.note("told", request.path, asked)
        self._record.flush()
        return asked


def _shown(job: Job) -> dict[str, Any]:
    return {"id": job.id, "effects": job.effects, "result": job.result}
