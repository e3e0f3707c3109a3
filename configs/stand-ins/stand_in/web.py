"""HTTP on loopback: what serves an application, and the calls that turn knobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from aiohttp import web

from stand_in.clock import Clock
from stand_in.knobs import Knobs
from stand_in.record import Record

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LARGEST: Final = 64 << 20
"""Of a request's body, in bytes."""
_OWN: Final = ("/admin", "/status")
"""What no fault touches: by this it is looked after."""


class Unusable(Exception):
    """A request can't be used: what is answered, and with which status."""

    def __init__(self, said: str, status: int = 422) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Served:
    """An application that is served. `connections` counts those that are open."""

    url: str
    connections: Callable[[], int]


@asynccontextmanager
async def serving(application: web.Application, port: int) -> AsyncIterator[Served]:
    """Serve it on loopback until the block ends. Port 0 is a free one. Raises OSError where the port is taken."""
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        server = runner.server
        assert server is not None
        yield Served(f"http://{host}:{bound}", lambda: len(server.connections))
    finally:
        await runner.cleanup()


def application() -> web.Application:
    """One that says what is wrong with a request."""
    return web.Application(client_max_size=_LARGEST, middlewares=[_told])


def own(request: web.Request) -> bool:
    """Whether it is about the stand-in, and not about the system for which that stands."""
    return request.path.startswith(_OWN)


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Unusable as wrong:
        return web.json_response({"error": str(wrong)}, status=wrong.status)
    except ConnectionError:
        # Whoever asked has gone meanwhile, and nobody reads this.
        return web.Response(status=400)


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body, which has to be a JSON object. Raises Unusable."""
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise Unusable(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise Unusable("the body is no JSON object; write {name: value}")
    return body


async def late(ms: float) -> None:
    """Wait so many milliseconds."""
    if ms > 0:
        await asyncio.sleep(ms / 1000)


class Admin:
    """GET and POST /admin/knobs. Each change stands in the record."""

    def __init__(self, knobs: Knobs, record: Record, clock: Clock) -> None:
        self._knobs, self._record, self._clock = knobs, record, clock

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [web.get("/admin/knobs", self._shown), web.post("/admin/knobs", self._turned)]

    async def _shown(self, request: web.Request) -> web.Response:
        return web.json_response(self._all())

    async def _turned(self, request: web.Request) -> web.Response:
        values = await json_object(request)
        try:
            self._knobs.change(values)
        except ValueError as error:
            raise Unusable(str(error)) from error
        self._record.note("changed", self._clock.now(), knobs=values)
        return web.json_response(self._all())

    def _all(self) -> dict[str, Any]:
        values: dict[str, Any] = asdict(self._knobs)  # type: ignore[call-overload]  # dataclasses only
        return values
