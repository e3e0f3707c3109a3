"""What a set-up captures is in the events that come after it, by the real command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.commands import assert_one_clear_line, evload
from tests.servers.httpserver import Request, Step, answer, serving

CONFIG = """\
producers:
  api: {kind: http, url: "URL/events"}
events:
  reserved:
    type: reserved
    source: /shop
    key: "{item}"
    data: {item: "{item}", of: {tags: "{tags}"}, text: "item {item} of {shop}", n: "{seq}"}
setup:
  - {post: "URL/items", json: {quantity: 3}, expect: [201], capture: {item: body.id, tags: body.tags}}
  - {get: "URL/items/{item}", capture: {shop: body.shop}}
scenarios: {main: {producer: api, events: [reserved], load: [{rate: 20/s, for: 200ms}]}}
reports: {}
"""

ITEM = b'{"id": 12345678901234567890, "tags": ["a", {"b": null}]}'
NAMED = json.dumps({"shop": '"Zoë" & {co}'}).encode()


class Shop:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.data: list[Any] = []

    def script(self, request: Request) -> tuple[bytes | float | Step, ...]:
        self.paths.append(request.target)
        if request.target == "/items":
            return (answer(201, body=ITEM),)
        if request.target.startswith("/items/"):
            return (answer(200, body=NAMED),)
        self.data.append(json.loads(request.body))
        return (answer(202),)


def test_events_have_what_was_captured_with_its_type(tmp_path: Path) -> None:
    shop = Shop()

    async def main() -> None:
        async with serving(shop.script) as server:
            (tmp_path / "c.yaml").write_text(CONFIG.replace("URL", server.url))
            ended = await asyncio.to_thread(lambda: evload("run", "c.yaml", "--out", "out", cwd=tmp_path))
            assert ended.code in (0, 4), ended

    asyncio.run(main())
    assert shop.paths[:2] == ["/items", "/items/12345678901234567890"]
    assert [event["partitionkey"] for event in shop.data] == ["12345678901234567890"] * 4
    assert [event["data"] for event in shop.data] == [
        {
            "item": 12345678901234567890, "of": {"tags": ["a", {"b": None}]},
            "text": 'item 12345678901234567890 of "Zoë" & {co}', "n": n,
        }
        for n in range(4)
    ]  # fmt: skip


@pytest.mark.parametrize(("verb", "code"), [("validate", 0), ("plan", 0), ("doctor", 3)])
def test_what_sends_nothing_needs_no_values(tmp_path: Path, verb: str, code: int) -> None:
    """The doctor reaches nobody here, and says so."""
    (tmp_path / "c.yaml").write_text(CONFIG.replace("URL", "http://127.0.0.1:9"))
    ended = evload(verb, "c.yaml", cwd=tmp_path)
    assert (ended.code, "Traceback" in ended.said) == (code, False), ended


def test_try_says_how_to_do_without_a_set_up(tmp_path: Path) -> None:
    shop = Shop()

    async def main() -> None:
        async with serving(shop.script) as server:
            text = CONFIG.replace("URL", server.url).replace('key: "{item}"', "key: k")
            text = text.replace('of: {tags: "{tags}"}, text: "item {item} of {shop}", ', "")
            (tmp_path / "c.yaml").write_text(text)
            ended = await asyncio.to_thread(lambda: evload("try", "c.yaml", cwd=tmp_path))
            assert_one_clear_line(
                ended, 2, "event 'reserved' needs {item}, which a step of setup captures",
                "--set events.reserved.data.item=VALUE",
            )  # fmt: skip
            assert shop.paths == []
            cure = ("--set", "events.reserved.data.item=7")
            ended = await asyncio.to_thread(lambda: evload("try", "c.yaml", *cure, cwd=tmp_path))
            assert shop.paths == ["/events"], ended

    asyncio.run(main())
    assert [event["data"]["item"] for event in shop.data] == [7]
