"""The embedded pipeline behind HTTP: a broker, a command API, the read model, and an admin door.

| request | answer |
| --- | --- |
| `POST /events` | 202 for CloudEvents, structured, batched or binary; 400 for anything else |
| `POST /items` | 201 `{"data": {"id"}}` for a plain command; `x-correlation-id` and `x-key` are optional |
| `GET /items/{id}` | 200 with what a replica shows, or 404; `?replica=NAME` chooses the replica |
| `POST /items/query` | 200 with what one replica shows of the `{"ids": [...]}` |
| `GET /effects/{id}` | how often the event's effect was applied, whatever the replicas show |
| `GET /queue` | depth, received, consumed |
| `POST /admin` | a part of the settings, in force from now on; answers all of them |
| `GET /health` | 200 |

The stamps `consumed_at` and `processed_at` are nanoseconds since 1970 by the sandbox's wall clock, which is
read once, at the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import orjson

from ..errors import TargetError
from .envelope import read_envelopes
from .http1 import Answer, Connection, Request, response
from .settings import SandboxSettings
from .truth import TruthFile
from .world import Item, World

_SERVER_ID: Final = "item-"
"""Begins the ids that the command API gives out; the correlation id follows, or a number if there was none."""
_LET_GO_EVERY_S: Final = 1.0

_ACCEPTED: Final = Answer(response(202))
_BROKER_DOWN: Final = Answer(response(503, {"error": "the broker is down, as planned"}))
_READ_MODEL_DOWN: Final = Answer(response(503, {"error": "the read model is down, as planned"}))


class _Refused(Exception):
    """The request can't be served; its text is for people."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Pipeline:
    """Answers the requests of the sandbox out of a World."""

    def __init__(self, world: World, wall_offset_ns: int) -> None:
        """`wall_offset_ns` is the wall clock minus `time.perf_counter_ns`."""
        self._world = world
        self._wall_offset_ns = wall_offset_ns
        self._commands = 0
        self._routes: dict[tuple[str, str], Callable[[Request, dict[str, list[str]]], Answer]] = {
            ("POST", "/events"): self._events,
            ("POST", "/items"): self._command,
            ("POST", "/items/query"): self._query,
            ("GET", "/queue"): self._queue,
            ("GET", "/health"): self._health,
            ("POST", "/admin"): self._admin,
        }

    def handle(self, request: Request) -> Answer:
        """The answer to one request."""
        path, _, query_text = request.target.partition("?")
        query = parse_qs(query_text) if query_text else {}
        try:
            if route := self._routes.get((request.method, path)):
                return route(request, query)
            for prefix, read in (("/items/", self._item), ("/effects/", self._effects)):
                if request.method == "GET" and path.startswith(prefix) and len(path) > len(prefix):
                    return read(unquote(path[len(prefix) :]), query)
            if any(path == known for _, known in self._routes):
                raise _Refused(405, f"{path} doesn't take {request.method}")
            raise _Refused(404, f"there is nothing at {path}")
        except _Refused as refused:
            return Answer(response(refused.status, {"error": str(refused)}))

    # The broker and the command API

    def _events(self, request: Request, _: dict[str, list[str]]) -> Answer:
        now_ns = time.perf_counter_ns()
        world = self._world
        if not world.broker_open(now_ns):
            return _BROKER_DOWN
        try:
            envelopes = read_envelopes(request.headers, request.body)
        except ValueError as error:
            raise _Refused(400, str(error)) from None
        for correlation_id, key in envelopes:
            world.accept(now_ns, correlation_id, key)
        delay_ns = world.answer_delay_ns(now_ns)
        return _ACCEPTED._replace(delay_s=delay_ns / 1e9) if delay_ns else _ACCEPTED

    def _command(self, request: Request, _: dict[str, list[str]]) -> Answer:
        now_ns = time.perf_counter_ns()
        world = self._world
        if not world.broker_open(now_ns):
            return _BROKER_DOWN
        try:
            correlation_id = request.headers.get(b"x-correlation-id", b"").decode()
            key = request.headers.get(b"x-key", b"").decode() or None
        except UnicodeDecodeError:
            raise _Refused(400, "x-correlation-id and x-key must be UTF-8") from None
        if correlation_id:
            server_id = _SERVER_ID + correlation_id
        else:
            self._commands += 1
            server_id = correlation_id = f"{_SERVER_ID}{self._commands}"
        world.accept(now_ns, correlation_id, key)
        return Answer(response(201, {"data": {"id": server_id}}), world.answer_delay_ns(now_ns) / 1e9)

    # The read model

    def _item(self, item_id: str, query: dict[str, list[str]]) -> Answer:
        now_ns = time.perf_counter_ns()
        if not self._world.read_model_open(now_ns):
            return _READ_MODEL_DOWN
        replica = self._replica(query)
        item = self._read(now_ns, replica, item_id)
        if item is None:
            return Answer(response(404, {"replica": replica}, {"x-replica": replica}))
        return Answer(response(200, {**self._shown(item_id, item), "replica": replica}, {"x-replica": replica}))

    def _query(self, request: Request, query: dict[str, list[str]]) -> Answer:
        now_ns = time.perf_counter_ns()
        if not self._world.read_model_open(now_ns):
            return _READ_MODEL_DOWN
        asked = _json(request.body)
        ids = asked.get("ids") if isinstance(asked, dict) else None
        if not isinstance(ids, list) or not all(isinstance(item_id, str) for item_id in ids):
            raise _Refused(400, 'a query needs a list of texts; send {"ids": ["...", "..."]}')
        replica = self._replica(query)
        items = []
        for item_id in ids:
            item = self._read(now_ns, replica, item_id)
            if item is not None:
                items.append(self._shown(item_id, item))
        return Answer(response(200, {"replica": replica, "items": items}, {"x-replica": replica}))

    def _replica(self, query: dict[str, list[str]]) -> str:
        if "replica" not in query:
            return self._world.next_replica()
        names = [replica.name for replica in self._world.settings.replicas]
        name = query["replica"][-1]
        if name not in names:
            raise _Refused(400, f"there is no replica {name!r}; there are {', '.join(names)}")
        return name

    def _read(self, now_ns: int, replica: str, item_id: str) -> Item | None:
        item = self._world.read(now_ns, replica, item_id)
        if item is None and item_id.startswith(_SERVER_ID):
            item = self._world.read(now_ns, replica, item_id.removeprefix(_SERVER_ID))
        return item

    def _shown(self, item_id: str, item: Item) -> dict[str, Any]:
        return {
            "id": item_id,
            "effects": item.effects,
            "position": item.position,
            "consumed_at": item.consumed_ns + self._wall_offset_ns,
            "processed_at": item.processed_ns + self._wall_offset_ns,
        }

    def _effects(self, item_id: str, _: dict[str, list[str]]) -> Answer:
        now_ns = time.perf_counter_ns()
        effects = self._world.effects(now_ns, item_id)
        if not effects and item_id.startswith(_SERVER_ID):
            effects = self._world.effects(now_ns, item_id.removeprefix(_SERVER_ID))
        return Answer(response(200, {"id": item_id, "effects": effects}))

    # The rest

    def _queue(self, _: Request, __: dict[str, list[str]]) -> Answer:
        return Answer(response(200, self._world.queue(time.perf_counter_ns())._asdict()))

    def _health(self, _: Request, __: dict[str, list[str]]) -> Answer:
        return Answer(response(200, {"status": "ok"}))

    def _admin(self, request: Request, _: dict[str, list[str]]) -> Answer:
        try:
            self._world.change(time.perf_counter_ns(), _json(request.body))
        except ValueError as error:
            raise _Refused(400, str(error)) from None
        return Answer(response(200, self._world.settings.model_dump(mode="json")))


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _Refused(400, f"the body isn't JSON: {error}") from None


@asynccontextmanager
async def serving(
    settings: SandboxSettings, *, host: str = "127.0.0.1", port: int = 0, truth_path: Path | None = None
) -> AsyncIterator[str]:
    """Serve on `host`:`port` (0: any free port) inside the block; yields the address as `http://host:port`.

    The truth file is complete when the block has ended. Raises TargetError if the port can't be had and
    OutputError if the truth can't be written.
    """
    loop = asyncio.get_running_loop()
    wall_ns, monotonic_ns = time.time_ns(), time.perf_counter_ns()
    world = World(settings)
    pipeline = Pipeline(world, wall_ns - monotonic_ns)
    connections: set[Connection] = set()
    with TruthFile(truth_path, wall_ns=wall_ns, monotonic_ns=monotonic_ns) if truth_path else nullcontext() as truth:
        try:
            server = await loop.create_server(
                lambda: Connection(pipeline.handle, connections), host, port, backlog=4096
            )
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TargetError(f"the sandbox can't listen on {host}:{port}: {reason}; choose another port") from None
        forgetting = asyncio.create_task(_let_go(world, truth))
        try:
            bound = server.sockets[0].getsockname()[1]
            yield f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        finally:
            server.close()
            for connection in list(connections):
                connection.close()
            await server.wait_closed()
            forgetting.cancel()
            with suppress(asyncio.CancelledError):
                await forgetting
            last = world.let_go(time.perf_counter_ns())
            if truth is not None:
                truth.write(chain(last, world.truths()))


async def _let_go(world: World, truth: TruthFile | None) -> None:
    """Keep memory flat: forget what was retained long enough, after writing the truth about it."""
    while True:
        await asyncio.sleep(_LET_GO_EVERY_S)
        gone = world.let_go(time.perf_counter_ns())
        if truth is not None:
            truth.write(gone)
