"""A guard by the real command: what is outside ends it before anybody is spoken to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.commands import Ended, assert_one_clear_line, evload, summary_of
from tests.servers.httpserver import Request, Step, answer, serving

CONFIG = """\
producers:
  api: {kind: http, url: "URL/events"}
events: {e: {type: t, source: /s}}
scenarios: {main: {producer: api, events: [e], load: [{rate: 20/s, for: 500ms}]}}
slos: [errors == 0]
guard: {allow: ["*.staging.example.com"], most: 20/s}
"""


class Shop:
    """Counts who spoke to it."""

    def __init__(self) -> None:
        self.asked = 0

    def script(self, request: Request) -> tuple[bytes | float | Step, ...]:
        self.asked += 1
        return (answer(202),)


def beside(shop: Shop, tmp_path: Path, *arguments: str, env: dict[str, str] | None = None, **change: Any) -> Ended:
    """What a command comes to while the shop is open."""

    async def main() -> Ended:
        async with serving(shop.script) as server:
            text = CONFIG
            for old, new in change.items():
                text = text.replace(old, new)
            (tmp_path / "c.yaml").write_text(text.replace("URL", server.url))
            given = [argument.replace("URL", server.url) for argument in arguments]
            return await asyncio.to_thread(lambda: evload(*given, cwd=tmp_path, env=env))

    return asyncio.run(main())


@pytest.mark.parametrize(
    "arguments",
    [("run", "c.yaml", "--out", "out"), ("try", "c.yaml"), ("doctor", "c.yaml"), ("validate", "c.yaml"),
     ("plan", "c.yaml")],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_nobody_outside_is_spoken_to(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    shop = Shop()
    ended = beside(shop, tmp_path, *arguments)
    assert_one_clear_line(
        ended, 2, "c.yaml:2:26: 127.0.0.1 is outside the guard of this config", "--i-may-load 127.0"
    )
    assert shop.asked == 0
    assert not (tmp_path / "out").exists()


def test_who_says_so_may_and_the_results_say_it(tmp_path: Path) -> None:
    shop = Shop()
    ended = beside(shop, tmp_path, "run", "c.yaml", "--out", "out", "--i-may-load", "127.0.0.1")
    assert ended.code == 0, ended
    assert shop.asked == 10
    assert summary_of(tmp_path / "out")["remarks"] == ["guard: 127.0.0.1 may be loaded because --i-may-load says so"]
    kept = (tmp_path / "out" / "config.yaml").read_text()
    assert kept.startswith('# run with --i-may-load "127.0.0.1"\n')
    assert "guard:" in kept


def test_the_machine_holds_a_burst_too(tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text('deny: ["127.*"]\n')
    shop, env = Shop(), {"EVLOAD_GUARD": str(tmp_path / "guard.yaml")}
    ended = beside(shop, tmp_path, "burst", "URL/x", "--for", "1s", "--i-may-load", "127.0.0.1", env=env)
    assert_one_clear_line(ended, 2, "URL: the guard of this machine", "denies 127.0.0.1, by 127.*")
    assert shop.asked == 0


def test_no_redirect_leads_out_of_it(tmp_path: Path) -> None:
    """Nobody follows one, so there is nobody who could be led elsewhere."""
    elsewhere = Shop()

    async def main() -> Ended:
        async with serving(elsewhere.script) as other:

            def away(request: Request) -> tuple[bytes | float | Step, ...]:
                return (answer(307, b"", f"Location: {other.url}/events"),)

            async with serving(away) as server:
                (tmp_path / "c.yaml").write_text(
                    CONFIG.replace("URL", server.url).replace('"*.staging.example.com"', "localhost")
                )
                return await asyncio.to_thread(lambda: evload("run", "c.yaml", "--out", "out", cwd=tmp_path))

    ended = asyncio.run(main())
    assert ended.code == 1, ended
    assert summary_of(tmp_path / "out")["ledger"]["rejected"] == 10
    assert elsewhere.asked == 0


def test_a_clean_up_asks_the_guards_once_more(tmp_path: Path) -> None:
    """By the time that somebody calls it, a variable may name another system, or the machine be another one."""
    asked: list[str] = []

    def script(request: Request) -> tuple[bytes | float | Step, ...]:
        asked.append(request.method)
        return (answer(202),)

    def cleaned(*arguments: str, **env: str) -> Ended:
        return evload("cleanup", "out", *arguments, cwd=tmp_path, env=env)

    async def main() -> None:
        async with serving(script) as server:
            text = CONFIG.replace('"*.staging.example.com"', "localhost").replace("URL", server.url)
            (tmp_path / "c.yaml").write_text(text + 'cleanup: [{delete: "${ADMIN}/items"}]\n')
            await asyncio.to_thread(refused_then_done, server.url)

    def refused_then_done(url: str) -> None:
        ended = evload("run", "c.yaml", "--out", "out", "--keep", cwd=tmp_path, env={"ADMIN": url})
        assert ended.code == 0, ended
        asked.clear()
        assert_one_clear_line(
            cleaned(ADMIN="http://shop.prod.example.com"), 2,
            "out/config.yaml:", "shop.prod.example.com is outside the guard of this config, which allows localhost",
            "--i-may-load shop.prod.example.com",
        )  # fmt: skip
        (tmp_path / "machine.yaml").write_text("deny: [localhost]\n")
        denied = {"ADMIN": url, "EVLOAD_GUARD": str(tmp_path / "machine.yaml")}
        for arguments in ((), ("--i-may-load", "127.0.0.1")):
            assert_one_clear_line(
                cleaned(*arguments, **denied), 2, "the guard of this machine", "denies 127.0.0.1, by localhost"
            )
        assert asked == []
        assert cleaned(ADMIN=url).code == 0
        assert asked == ["DELETE"]

    asyncio.run(main())


def test_who_may_be_loaded_by_word_may_be_cleaned_up_by_word(tmp_path: Path) -> None:
    text = 'cleanup: [{delete: "URL/items"}]\nguard:'

    async def main() -> None:
        shop = Shop()
        async with serving(shop.script) as server:
            (tmp_path / "c.yaml").write_text(CONFIG.replace("guard:", text).replace("URL", server.url))
            may = ("--i-may-load", "127.0.0.1")
            run = await asyncio.to_thread(
                lambda: evload("run", "c.yaml", "--out", "out", "--keep", *may, cwd=tmp_path)
            )
            assert run.code == 0, run
            before = shop.asked
            refused = await asyncio.to_thread(lambda: evload("cleanup", "out", cwd=tmp_path))
            assert_one_clear_line(refused, 2, "is outside the guard of this config", "say --i-may-load 127.0.0.1")
            done = await asyncio.to_thread(lambda: evload("cleanup", "out", *may, cwd=tmp_path))
            assert (done.code, shop.asked) == (0, before + 1), done

    asyncio.run(main())
