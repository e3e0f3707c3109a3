"""Drives a headless Chromium through its DevTools protocol: opens a page, notes errors and requests, presses keys."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip
_PATIENCE_S: Final = 60


@dataclass
class Page:
    """An open tab. `problems` has console errors and exceptions, `requests` every URL that it asked
    for; what is in the page itself isn't asked for."""

    socket: aiohttp.ClientWebSocketResponse
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _sent: int = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol. Raises RuntimeError with the browser's words if it fails."""
        self._sent += 1
        number = self._sent
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": params})
        told = await asyncio.wait_for(answer, _PATIENCE_S)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        result: dict[str, Any] = told.get("result", {})
        return result

    async def listen(self) -> None:
        """Take in what the browser says, until the tab is closed."""
        async for message in self.socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Network.requestWillBeSent":
                if not (url := told["params"]["request"]["url"]).startswith("data:"):
                    self.requests.append(url)
            elif told["method"] == "Runtime.exceptionThrown":
                details = told["params"]["exceptionDetails"]
                self.problems.append(str(details.get("exception", details).get("description", details)))
            elif told["method"] == "Runtime.consoleAPICalled" and told["params"]["type"] in ("error", "warning"):
                self.problems.append(" ".join(str(arg.get("value", arg)) for arg in told["params"]["args"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] in ("error", "warning"):
                self.problems.append(told["params"]["entry"]["text"])

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited. Raises RuntimeError if it throws."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"]))
        return told["result"].get("value")

    async def show(self, url: str, *, width: int, dark: bool = False, ready: str = "true") -> None:
        """Open a page in a window of that width, and wait until the expression `ready` holds."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                        mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href !== 'about:blank' && ({ready})")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression holds."""
        async with asyncio.timeout(_PATIENCE_S):
            while not await self.evaluate(condition):
                await asyncio.sleep(0.02)

    async def press(self, key: str, times: int = 1) -> None:
        """Press a key, such as Tab or Enter."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
                await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                                windowsVirtualKeyCode=codes[key], **text)  # fmt: skip

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def drag(self, selector: str, start: float, end: float) -> None:
        """Drag across an element, from one share of its width to another, at half its height."""
        box = await self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
        )
        y = box[1] + box[3] / 2
        moves = [("mousePressed", start, 1), ("mouseMoved", (start + end) / 2, 1), ("mouseMoved", end, 1),
                 ("mouseReleased", end, 0)]  # fmt: skip
        for kind, share, buttons in moves:
            await self.call("Input.dispatchMouseEvent", type=kind, x=box[0] + box[2] * share, y=y, buttons=buttons,
                            button="left", clickCount=1)  # fmt: skip

    async def hover(self, selector: str, share: float) -> None:
        """Put the pointer over an element."""
        box = await self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
        )
        x, y = box[0] + box[2] * share, box[1] + box[3] * 0.6
        for shift in (-2, 0):
            await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + shift, y=y)

    async def screenshot(self, *, whole: bool = True) -> bytes:
        """The page, or what of it is in the window, as PNG."""
        told = await self.call("Page.captureScreenshot", captureBeyondViewport=whole,
                               **({"clip": await self._clip()} if whole else {}))  # fmt: skip
        return base64.b64decode(told["data"])

    async def _clip(self) -> dict[str, float]:
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    async def pdf(self) -> bytes:
        """The page as it prints."""
        told = await self.call("Page.printToPDF", printBackground=False)
        return base64.b64decode(told["data"])


def chromium() -> str:
    """The program. Raises RuntimeError that says how to get it."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError("the tests of the report need Chromium; apt-get install chromium")


@asynccontextmanager
async def open_page() -> AsyncIterator[Page]:
    """A tab of a browser of its own, which ends with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            chromium(), *_SWITCHES, f"--user-data-dir={profile}", "about:blank", stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    tabs = await answer.json()
                url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.call(f"{domain}.enable")
                    try:
                        yield page
                    finally:
                        listening.cancel()
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _port(file: Path, process: Process) -> int:
    async with asyncio.timeout(_PATIENCE_S):
        while not (lines := _lines(file)):
            if process.returncode is not None:
                raise RuntimeError(f"Chromium ended with {process.returncode} before it could be used")
            await asyncio.sleep(0.05)
    return int(lines[0])


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
