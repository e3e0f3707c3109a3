"""A shop of known capacity at one place, over HTTP in virtual time, and searches for its ceiling.

Orders are made at once. What is slow is either the answer to a payment, or the view, which shows an order once a
worker has got to it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heapreplace
from pathlib import Path
from typing import Final

from aiohttp import web

from evload.config.run_config import RunConfig
from evload.model.ceiling import Ceiling, Trial
from evload.model.report import Report
from evload.search.bisection import Plan
from stand_in.web import serving
from tests.rigs.virtual_runs import ran_virtually
from tests.rigs.virtual_searches import search

PORT: Final = 8792
SHOP: Final = f"http://127.0.0.1:{PORT}"
HEAD: Final = f"""\
name: busy shop
seed: 1
producers: {{shop: {{kind: http, url: "{SHOP}", timeout: 60s, in_flight: 5000}}}}
probes:
  view: {{kind: http, url: "{SHOP}/views", ids: {{in: query}}, items: body, confirm: {{reads: 0}}, deadline: 60s}}
"""
MAKE: Final = "make: {to: shop, post: /orders, json: {}, capture: {order: body.id}}"


class Workers:
    """So many who each take so long for one of those who come, in the order in which they came.

    jitter  by which share of it that is longer or shorter, evenly
    """

    def __init__(self, count: int, service_s: float, jitter: float, seed: int) -> None:
        self._free = [0.0] * count
        heapify(self._free)
        self._service_s, self._jitter, self._random = service_s, jitter, random.Random(seed)

    def done_at(self, now: float) -> float:
        """When one who comes now is served."""
        took = self._service_s * (1 + self._jitter * (2 * self._random.random() - 1))
        at = max(now, self._free[0]) + took
        heapreplace(self._free, at)
        return at


@dataclass
class Shop:
    """Who pays, and whose order is to be shown, are served by workers each; None: at once.

    shown  when the view shows each order
    """

    paying: Workers | None = None
    viewing: Workers | None = None
    shown: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self, wall: Callable[[], datetime]) -> AsyncIterator[None]:
        """Serve it on loopback."""
        loop = asyncio.get_running_loop()

        async def make(request: web.Request) -> web.Response:
            now = loop.time()
            self.shown.append(now if self.viewing is None else self.viewing.done_at(now))
            return web.json_response({"id": len(self.shown) - 1}, status=201)

        async def pay(request: web.Request) -> web.Response:
            now = loop.time()
            if self.paying is not None:
                await asyncio.sleep(self.paying.done_at(now) - now)
            return web.json_response({})

        async def look(request: web.Request) -> web.Response:
            asked = [int(one) for one in request.query["ids"].split(",")]
            return web.json_response([{"id": one} for one in asked if self.shown[one] <= loop.time()])

        app = web.Application()
        app.add_routes([web.post("/orders", make), web.post("/payments", pay), web.get("/views", look)])
        async with serving(app, PORT):
            yield


@dataclass
class Planted:
    """A config with these steps and objectives, and the shop that each of its trials is run against."""

    shop: Callable[[int], Shop]
    """With a seed, which is another one in each trial."""
    steps: Sequence[str]
    slos: str = "[errors == 0, failed == 0]"
    also: str = ""
    """Other journeys, as YAML below `journeys:`."""
    weights: str = "[order]"
    """The journeys of the scenario."""
    seed: int = 1
    runs: int = 0

    def write(self, directory: Path) -> Path:
        """The config in a file."""
        steps = "".join(f"      - {step}\n" for step in self.steps)
        path = directory / "shop.yaml"
        path.write_text(
            f"{HEAD}journeys:\n{self.also}  order:\n    steps:\n{steps}scenarios:\n"
            f"  buyers: {{journeys: {self.weights}, load: [{{rate: 1/s, for: 1m}}]}}\nslos: {self.slos}\n"
        )
        return path

    def run(self, config: RunConfig, directory: Path) -> Report:
        """A trial against a shop of its own, in which nothing waits."""
        self.runs += 1
        shop = self.shop(self.seed * 1000 + self.runs)
        return ran_virtually(config, directory, shop.serve, shop).report

    def search(self, directory: Path, plan: Plan, length_s: int, made: Sequence[Trial] = ()) -> Ceiling:
        """Look for its ceiling, in a directory below."""
        (directory / "search").mkdir(exist_ok=True)
        return search(self.write(directory), directory / "search", plan, length_s, self.run, made=made)
