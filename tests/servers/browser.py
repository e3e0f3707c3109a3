"""A headless Chromium that looks at pages: one for the whole session, and a page of its own for every visit."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import BrowserContext, Locator, Page, Position, async_playwright, expect

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_LOOPBACK_ONLY: Final = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
_PATIENCE_MS: Final = 60_000
_DRAGS: Final = 4
_DRAWN: Final = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Two frames later, what the last action led to has been asked for and complained about."""
_KEPT: Final = "(kept => (localStorage.clear(), kept.join()))([...Object.keys(localStorage), document.cookie])"
"""What the next page would find of this one, and no longer does."""


@dataclass(frozen=True)
class Chromium:
    """The running browser, with its event loop, which runs during visits only: other tests run loops of their own.

    All visits have one context, in which an empty page stays open: to open the first one costs as much as what is
    shown there. No page of ours keeps anything in a browser.
    """

    runner: asyncio.Runner
    context: BrowserContext

    def visit(self, what: Callable[[Page], Awaitable[None]]) -> set[str]:
        """Do something with a new page that may never complain. Returns every URL that it asked for."""

        async def main() -> set[str]:
            problems: list[str] = []
            requests: set[str] = set()
            async with await self.context.new_page() as page:
                page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda error: problems.append(str(error)))
                page.on("request", lambda request: requests.add(request.url))
                page.on("websocket", lambda socket: requests.add(socket.url))
                await what(page)
                await page.evaluate(_DRAWN)
                assert await page.evaluate(_KEPT) == ""
            assert problems == []
            return requests

        return self.runner.run(main())


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A browser in which each visit has a page of its own."""
    with _running() as browser:
        yield browser


@contextmanager
def _running() -> Iterator[Chromium]:
    """The system's own, which reaches this machine only. Fails with how to get it where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.fail("no Chromium to look at pages with; tests/servers/install_servers installs it", pytrace=False)
    expect.set_options(timeout=_PATIENCE_MS)

    async def context() -> BrowserContext:
        browser = await playwright.chromium.launch(executable_path=program, args=[_LOOPBACK_ONLY])
        context = await browser.new_context()
        context.set_default_timeout(_PATIENCE_MS)
        await context.new_page()
        return context

    with asyncio.Runner() as runner:
        playwright = runner.run(async_playwright().start())
        try:
            yield Chromium(runner, runner.run(context()))
        finally:
            runner.run(playwright.stop())


async def show(page: Page, url: str, *, width: int = 1280, dark: bool = False) -> None:
    """Open one of our pages in a window of that width, and wait until its charts are drawn."""
    await page.set_viewport_size({"width": width, "height": 900})
    await page.emulate_media(color_scheme="dark" if dark else "light")
    await page.goto(url)
    await expect(page.locator("html")).to_have_attribute("data-ready", "true")


async def until(page: Page, condition: str, patience_s: float = _PATIENCE_MS / 1000) -> None:
    """Wait until a JavaScript expression holds. Playwright's own way is against our pages' policy."""
    async with asyncio.timeout(patience_s):
        # By a timer: whoever asks for every frame has every frame drawn.
        await page.evaluate(f"async () => {{ while (!({condition})) await new Promise(go => setTimeout(go, 20)); }}")


async def drag(place: Locator, start: float, end: float, shows: str) -> None:
    """Drag across it, from one share of its width to another, until a JavaScript expression says that it was noticed.

    A browser that is busy takes several moves for one, of which the page makes no drag: a person tries again.
    """
    source, target = await _at(place, start), await _at(place, end)
    for _ in range(_DRAGS - 1):
        await place.drag_to(place, source_position=source, target_position=target, steps=10)
        with suppress(TimeoutError):
            return await until(place.page, shows, _PATIENCE_MS / 1000 / _DRAGS)
    await place.drag_to(place, source_position=source, target_position=target, steps=10)
    return await until(place.page, shows)


async def hover(place: Locator, share: float) -> None:
    """Put the pointer over it, at that share of its width."""
    await place.hover(position=await _at(place, share))


async def _at(place: Locator, share: float) -> Position:
    box = await place.bounding_box()
    assert box is not None
    return {"x": box["width"] * share, "y": box["height"] * 0.6}


async def barriers(page: Page) -> list[Any]:
    """What keeps some people from using it, as far as axe finds it: the rule, and what breaks it."""
    found = (await Axe().run(page)).response["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]
