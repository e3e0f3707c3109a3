"""A shop whose orders its view shows when a test says, over HTTP in virtual time, and what it remembers of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from evload.config.load import load_text
from stand_in.web import serving
from tests.rigs.virtual_runs import Ran, ran_virtually

PORT: Final = 8791
_SHIPMENTS: Final = 500
Spans = Sequence[tuple[float, float]]
"""From when to when, in seconds since an order was acted on (PUT or DELETE); before that it is -1."""


@dataclass
class Shop:
    """Orders by their numbers, from 0: when the view shows each, and when it answers 503 about it; when the carrier
    knows of its shipment, which has another number.

    made, acted  when each was made, and acted on, in seconds since the epoch
    asked        how often the view was asked about each
    """

    shown: Callable[[int], Spans] = lambda number: ()
    down: Callable[[int], Spans] = lambda number: ()
    carried: Callable[[int], Spans] = lambda number: ()
    refuses: Callable[[int], bool] = lambda number: True
    view: Callable[[int], Any] = lambda number: {}
    made: dict[int, float] = field(default_factory=dict)
    acted: dict[int, float] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)

    @asynccontextmanager
    async def serve(self, wall: Callable[[], datetime]) -> AsyncIterator[None]:
        """Serve it on loopback."""

        async def make(request: web.Request) -> web.Response:
            number = len(self.made)
            self.made[number] = wall().timestamp()
            return web.json_response({"id": f"o{number}", "own": number % 4 != 3}, status=201)

        async def act(request: web.Request) -> web.Response:
            number = _number(request)
            self.acted[number] = wall().timestamp()
            return web.json_response(
                {"shipment": f"s{number + _SHIPMENTS}"}, status=409 if self.refuses(number) else 200
            )

        async def look(request: web.Request) -> web.Response:
            number = _number(request)
            since_s = wall().timestamp() - self.acted[number] if number in self.acted else -1
            self.asked[number] = self.asked.get(number, 0) + 1
            if _within(self.down(number), since_s):
                return web.Response(status=503)
            if _within(self.shown(number), since_s):
                return web.json_response(self.view(number))
            return web.Response(status=404)

        async def list_views(request: web.Request) -> web.Response:
            now_s, asked = wall().timestamp(), request.query["ids"].split(",")
            known = [one for one in asked if _within(self.shown(int(one[1:])), now_s - self.acted[int(one[1:])])]
            return web.json_response([{"id": one} for one in known])

        async def carry(request: web.Request) -> web.Response:
            number = _number(request)
            since_s = wall().timestamp() - self.acted[number]
            known = request.match_info["id"].startswith("s") and _within(self.carried(number), since_s)
            return web.json_response({}, status=200 if known else 404)

        app = web.Application()
        app.add_routes([
            web.post("/orders", make), web.put("/orders/{id}", act), web.delete("/orders/{id}", act),
            web.get("/views/{id}", look), web.get("/views", list_views), web.get("/carrier/{id}", carry),
        ])  # fmt: skip
        async with serving(app, PORT):
            yield


def _number(request: web.Request) -> int:
    """Of an order, by its own id or that of its shipment."""
    known_as = request.match_info["id"]
    return int(known_as[1:]) - _SHIPMENTS if known_as.startswith("s") else int(known_as.removeprefix("o"))


def _within(spans: Spans, at_s: float) -> bool:
    return any(start <= at_s < end for start, end in spans)


def run_shop(
    shop: Shop,
    directory: Path,
    steps: str,
    slos: Sequence[str | Mapping[str, Any]] | None = None,
    *,
    load: str = "[{rate: 2/s, for: 10s}]",
    probe: str = "",
    more: str = "",
    stop_s: float | None = None,
) -> Ran[Shop]:
    """A run of orders with these steps after each was made, as YAML; `probe` has what else its probe is told, `more`
    what else stands in the config."""
    text = f"""\
name: shop
seed: 1
producers:
  shop: {{kind: http, url: "http://localhost:{PORT}"}}
probes:
  view: {{kind: http, url: "http://localhost:{PORT}/views/{{capture}}"{probe}}}
  bulk: {{kind: http, url: "http://localhost:{PORT}/views", ids: {{in: query}}, items: body}}
  carrier: {{kind: http, url: "http://localhost:{PORT}/carrier/{{correlation_id}}"}}
{more}journeys:
  order:
    steps:
      - make: {{to: shop, post: /orders, json: {{}}, expect: [201], capture: {{order: body.id}}}}
{steps}
scenarios:
  buyers: {{journeys: [order], load: {load}}}
"""
    if slos is not None:
        text += f"slos: {list(slos)!r}\n"
    config = load_text(text, "shop.yaml", environ={}).config
    return ran_virtually(config, directory, shop.serve, shop, stop_s)
