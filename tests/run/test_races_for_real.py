"""A race over HTTP as people run it: a process of evload's own, sockets, the clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.rigs.commands import assert_closes, evload, summary_of

CONTENDERS = 50
PATIENCE_S = 60.0
"""How long one waits for the others: what is to be there is there long before that."""
CONFIG = """\
name: flash
producers: {{shop: {{kind: http, url: "http://127.0.0.1:{port}", timeout: 2m}}}}
scenarios:
  flash-sale:
    race:
      setup:
        - item: {{to: shop, post: /inventory, json: {{quantity: 10}}, expect: [201], capture: {{item: body.id}}}}
      contenders:
        reserve:
          {{times: 50, to: shop, post: "/inventory/{{item}}/reserve", json: {{n: "{{uuid}}"}}, refused: [409]}}
      reads: {{stock: {{to: shop, get: "/inventory/{{item}}"}}}}
      always: {{never oversold: "stock.available >= `0`"}}
      holds: {{books agree: "stock.reserved == won.reserve", sold out: "won.reserve == `10`"}}
      within: 10s
      confirm: 200ms
    rounds: {{count: 3, every: 1s}}
slos:
  - violations == 0
  - errors == 0
  - contention >= 100%
  - {{objective: won == 30, contender: reserve}}
  - {{objective: refused == 120, contender: reserve}}
self_checks: {{offered_rate: warn, lateness: warn, headroom: warn, resolution: warn, observer_effect: warn}}
"""


@dataclass
class Item:
    """What the shop has of one thing, and who is there for it."""

    available: int
    reserved: int = 0
    under_way: int = 0
    most: int = 0
    all_there: asyncio.Event = field(default_factory=asyncio.Event)


class Shop:
    """Answers those who want one of a thing only when all of them are there: so they are there at once, or never."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    async def make(self, request: web.Request) -> web.Response:
        self.items.append(Item((await request.json())["quantity"]))
        return web.json_response({"id": len(self.items) - 1}, status=201)

    async def look(self, request: web.Request) -> web.Response:
        item = self.items[int(request.match_info["item"])]
        return web.json_response({"available": item.available, "reserved": item.reserved})

    async def reserve(self, request: web.Request) -> web.Response:
        item = self.items[int(request.match_info["item"])]
        item.under_way += 1
        item.most = max(item.most, item.under_way)
        if item.under_way == CONTENDERS:
            item.all_there.set()
        await asyncio.wait_for(item.all_there.wait(), PATIENCE_S)
        item.under_way -= 1
        if not item.available:
            return web.json_response({"error": "sold out"}, status=409)
        item.available -= 1
        item.reserved += 1
        return web.json_response({"order": item.reserved})


@contextmanager
def serving(shop: Shop) -> Iterator[int]:
    """Serves it in a thread; gives the port."""
    loop, port = asyncio.new_event_loop(), Future[int]()

    async def serve() -> None:
        app = web.Application()
        app.add_routes(
            [
                web.post("/inventory", shop.make),
                web.get("/inventory/{item}", shop.look),
                web.post("/inventory/{item}/reserve", shop.reserve),
            ]
        )
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.set_result(runner.addresses[0][1])
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    try:
        yield port.result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def test_fifty_contenders_are_in_flight_at_once(tmp_path: Path) -> None:
    shop = Shop()
    with serving(shop) as port:
        path = tmp_path / "races.yaml"
        path.write_text(CONFIG.format(port=port))
        ended = evload(
            "run", path, "--out", tmp_path / "out", "--quiet", cwd=tmp_path, env={"XDG_STATE_HOME": str(tmp_path)}
        )
    summary = summary_of(tmp_path / "out")
    told = [(one["expression"], one["result"], one.get("note")) for one in summary["objectives"]]
    assert ended.code == 0, (ended.said, told)
    assert {one["result"] for one in summary["objectives"]} == {"pass"}, told
    assert_closes(summary)
    assert [one.most for one in shop.items] == [CONTENDERS] * 3
    assert [(one.available, one.reserved) for one in shop.items] == [(0, 10)] * 3
