"""A shop that sells more than it has, or not, as a test plants it: what became of each item is there to compare."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

from evload.config.load import load_text
from tests.rigs.virtual_runs import Ran, ran_virtually
from tests.servers.httpserver import Request, Script, Step, json_answer, serving

PORT = 8080
Kind = Literal["right", "oversells", "reads and writes", "breaks", "is silent", "loses", "counts late"]

CONFIG = """
name: flash
seed: 7
producers: {shop: {kind: http, url: "http://127.0.0.1:8080", timeout: 1s}}
scenarios:
  flash-sale:
    race:
      setup: [{item: {to: shop, post: /inventory, json: {quantity: 3}, expect: [201], capture: {item: body.id}}}]
      contenders:
        reserve:
          {times: 12, to: shop, post: "/inventory/{item}/reserve", json: {order: "{uuid}"}, refused: [409]}
      reads: {stock: {to: shop, get: "/inventory/{item}"}}
      always: {never oversold: "stock.available >= `0`"}
      holds: {books agree: "stock.reserved == won.reserve", sold out: "won.reserve == `3`"}
      within: 2s
      confirm: 500ms
    rounds: {count: 8, every: 3s}
slos: [violations == 0]
"""


@dataclass
class Item:
    """What the shop has of one thing. `planted`: this one is sold as the test says, and not as it should be."""

    number: int
    available: int
    planted: bool
    reserved: int = 0
    least: int = 0
    """The least that was ever there."""
    won: int = 0
    """Answers that said yes."""
    lost: bool = False


@dataclass
class Shop:
    """Sells as its kind says, in the planted share of the items.

    right             each is taken once
    oversells         one more than there are is sold
    reads and writes  reads what is there, thinks, and writes what is left: two may read the same
    breaks            can't say what it made, so that nobody contends
    is silent         takes one, and gives no answer
    loses             takes what was asked for, and forgets one of them 300 ms later
    counts late       tells what is reserved 200 ms late
    """

    kind: Kind = "right"
    share: float = 0.0
    seed: int = 1
    thinks_s: tuple[float, float] = (0.005, 0.03)
    items: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(f"shop {self.kind} {self.seed}")

    @property
    def planted(self) -> set[int]:
        """The rounds that were sold as the test says."""
        return {one.number for one in self.items if one.planted}

    def script(self, request: Request) -> Iterator[bytes | float | Step]:
        """What it does about a request."""
        if request.target == "/inventory":
            quantity = json.loads(request.body)["quantity"]
            item = Item(len(self.items), quantity, self._random.random() < self.share)
            item.least = quantity
            self.items.append(item)
            breaks = item.planted and self.kind == "breaks"
            yield _answer(503, {}) if breaks else _answer(201, {"id": item.number})
            return
        item = self.items[int(request.target.split("/")[2])]
        if request.method == "POST":
            yield from self._reserve(item)
            return
        yield 0.001
        yield _answer(200, {"available": item.available, "reserved": item.reserved})

    def _reserve(self, item: Item) -> Iterator[bytes | float | Step]:
        thinks_s = self._random.uniform(*self.thinks_s)
        if item.planted and self.kind == "reads and writes":
            there = item.available
            yield thinks_s
            if there <= 0:
                yield _answer(409, {})
                return
            item.available = there - 1
        else:
            yield thinks_s
            allowed = item.available + (item.planted and self.kind == "oversells")
            if allowed <= 0:
                yield _answer(409, {})
                return
            item.available -= 1
        if not (item.planted and self.kind == "counts late"):
            item.reserved += 1
        item.least = min(item.least, item.available)
        if item.planted and self.kind == "is silent" and item.won == 2:
            item.won += 1
            yield Step.STALL
        item.won += 1
        yield _answer(200, {})
        if item.planted and self.kind == "counts late":
            self._later(0.2, item, 1)
        if item.planted and self.kind == "loses" and item.available == 0 and not item.lost:
            item.lost = True
            self._later(0.3, item, -1)

    @staticmethod
    def _later(after_s: float, item: Item, more: int) -> None:
        """Not by a wait, as the next request over the same connection would wait with it."""

        def change() -> None:
            item.reserved += more

        asyncio.get_running_loop().call_later(after_s, change)


def _answer(status: int, body: Mapping[str, Any]) -> bytes:
    return json_answer(json.dumps(body).encode(), status)


def race(
    shop: Shop, directory: Path, *changes: tuple[str, str], stop_s: float | None = None, text: str = CONFIG
) -> Ran[Shop]:
    """A run of the config, with some of its texts changed, against a shop, in virtual time."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    config = load_text(text, "races.yaml", base_dir=directory, environ={}).config
    script: Script = shop.script  # type: ignore[assignment]

    @asynccontextmanager
    async def serve(wall: Callable[[], datetime]) -> AsyncIterator[None]:
        async with serving(script, port=PORT):
            yield

    return ran_virtually(config, directory, serve, shop, stop_s)
