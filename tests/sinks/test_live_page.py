"""The live page: who may see it, what it shows while a run goes on, its buttons, and that nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from evload.errors import TargetError
from evload.model.marker import Marker
from evload.model.progress import Progress, Standing, actions_now
from evload.model.report import ObjectiveResult, Result
from evload.run.controls import Controls
from evload.sinks.live_page import words
from evload.sinks.live_page.sink import LivePage, served
from tests.rigs.shares import looks
from tests.rigs.sink_reports import NASTY, finished, moment
from tests.rigs.summaries import S
from tests.servers.browser import Chromium, barriers, drag, show, until

GAUGE: Final = "work <b>&amp; queue_depth"
DONE: Final = (
    Marker("slow <b>", 0, (10 * S, 10 * S)),
    Marker("db-down", 0, (20 * S, 20 * S), (25 * S, 30 * S)),
    Marker("block", 0, (31 * S, 31 * S), (32 * S, None), undo_error="HTTP 500"),
)
"""To the system: of the three two are still on."""
FILES: Final = ("/", "/page.css", "/library.js", "/charts.js", "/look.js", "/live.js", "/events")


def instant(elapsed: float, **more: Any) -> Progress:
    """A moment with everything that the page shows."""
    return replace(
        moment(elapsed),
        total=130.0,
        states={"acked": 480, "visible": 360, "lost": 21},
        spans={"main": [(0, 10, 0, 200), (10, 130, 200, 200)], "spike": [(30, 30, 0, 0), (30, 60, 100, 100)]},
        recent={"p50": (0.112, 0.121), "p95": (0.91, 1.3)},
        limits={"consistency": 1.0, "schedule_delay": 0.02},
        lateness=0.034,
        gauges={GAUGE: 1234.0},
        worries=["lateness: main: p99 34 ms, limit 20 ms"],
        incidents=[("read-model: <b>connection refused</b>", 1.0, 120)],
        actions=actions_now(DONE, {"slow <b>": 300 * S}) if elapsed > 10 else (),
        **more,
    )


def outage(elapsed: float) -> Progress:
    """A moment at which 400 events wait, 312 of them for longer than the limit."""
    slow = ObjectiveResult("p99(consistency) < 1s", Result.PASS, (0.05, 0.055), 1.0, subject="consistency")
    late = replace(slow, expression="max(consistency) < 5s <b>")
    return instant(
        elapsed, waiting=400, oldest=3.9, overdue=312, shown=52,
        objectives=[Standing("broken", slow, "too many"), Standing("holds", late)],
    )  # fmt: skip


@contextmanager
def page(controls: Controls | None = None, *, report: Path = Path("/nowhere"), port: int = 0) -> Iterator[LivePage]:
    with served(
        controls or Controls(), name=NASTY, run_id="20260131-120000-4f1c", gauges=[GAUGE], lasts_ns=130 * 10**9,
        report=report, port=port,
    ) as opened:  # fmt: skip
        yield opened


def still_served() -> bool:
    return any(thread.name == "live page" for thread in threading.enumerate())


def ask(
    url: str, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, token: str | None = None
) -> HTTPResponse:
    """One request to the page's server; its body isn't read."""
    parts = urlsplit(url)
    query = parts.query if token is None else f"token={token}"
    connection = HTTPConnection(parts.netloc, timeout=10)
    connection.putrequest(method, f"{path}?{query}", skip_host="Host" in (headers or {}))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def events(answer: HTTPResponse, last: str) -> list[tuple[str, Any]]:
    """The events of a stream up to the first one with that name."""
    found: list[tuple[str, Any]] = []
    while not found or found[-1][0] != last:
        name = answer.readline().decode().removeprefix("event: ").strip()
        found.append((name, json.loads(answer.readline().decode().removeprefix("data: "))))
        assert answer.readline() == b"\n"
    return found


# -- who may ask -------------------------------------------------------------------------------------


def test_only_who_has_the_address_is_answered() -> None:
    stopped: list[str] = []
    controls = Controls()

    async def main() -> None:
        controls.begin(lambda: stopped.append("stop"), lambda: stopped.append("abort"))
        with page(controls) as live:
            port = urlsplit(live.url).port
            good = f"127.0.0.1:{port}"
            for path in (*FILES, "/report", "/nothing"):
                assert ask(live.url, path, token="").status == 403, path
                assert ask(live.url, path, token="x" * 43).status == 403, path
                assert ask(live.url, path, token="%ff").status == 403, path
            for method, path in (("POST", "/stop"), ("POST", "/abort")):
                assert ask(live.url, path, method=method, token="wrong").status == 403
                for origin in ("http://evil.example", "null", f"https://{good}", f"http://127.0.0.1:{port}1", ""):
                    assert ask(live.url, path, method=method, headers={"Origin": origin}).status == 403, origin
            hosts = (
                "", "[", "0.0.0.0", "127.0.0.1/x", "evil.example", "evil.example:{}", "127.0.0.1.evil.example:{}",
                "127.0.0.1@evil.example:{}", "evil.example/127.0.0.1:{}", "evil.example@127.0.0.1:{}",
                "a:b@localhost:{}",
            )  # fmt: skip
            for host in hosts:
                assert ask(live.url, "/", headers={"Host": host.format(port)}).status in (400, 403), host
            assert (
                ask(live.url, "/", headers={"Host": "localhost:9000", "Origin": "http://localhost:9000"}).status
                == 200
            )
            assert ask(live.url, "/stop").status == 405
            assert ask(live.url, "/", method="POST").status == 405
            assert ask(live.url, "/nothing").status == 404
            await asyncio.sleep(0)
            assert stopped == []
            assert ask(live.url, "/stop", method="POST", headers={"Origin": f"http://{good}"}).status == 204
            assert ask(live.url, "/abort", method="POST").status == 204
            await asyncio.sleep(0)
            assert stopped == ["stop", "abort"]

    asyncio.run(main())
    assert not still_served()


def test_the_tokens_differ_and_nothing_else_of_this_machine_leads_there() -> None:
    with page() as one:
        parts = urlsplit(one.url)
        assert parts.hostname == "127.0.0.1"
        assert len(parts.query) > len("token=") + 40
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", parts.port or 0), 5):
            pass
    with page() as other:
        assert urlsplit(other.url).query != parts.query


def test_a_browser_is_told_to_ask_nobody_else() -> None:
    with page() as live:
        for path in FILES:
            answer = ask(live.url, path)
            assert answer.status == 200, path
            policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == policy["connect-src"] == "'self'"
            assert policy["frame-ancestors"] == "'none'"
            assert "http" not in " ".join(policy.values())
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            answer.close()


def test_without_a_run_nothing_can_be_stopped() -> None:
    controls = Controls()

    async def main() -> None:
        with page(controls) as live:
            assert ask(live.url, "/stop", method="POST").status == 409
            controls.begin(lambda: None, lambda: None)
            assert ask(live.url, "/stop", method="POST").status == 204
            controls.end()
            assert ask(live.url, "/abort", method="POST").status == 409

    asyncio.run(main())
    assert not controls.stop()


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TargetError) as told, page(port=port):
            pass
    assert str(told.value) == (
        f"can't listen on 127.0.0.1:{port}: address already in use; end what listens there, or leave out --ui-port"
    )
    with page(port=port) as live:
        assert urlsplit(live.url).port == port


# -- what it is told ---------------------------------------------------------------------------------


def test_who_comes_late_gets_the_last_minutes_and_then_what_comes() -> None:
    with page() as live:
        for number in range(1000):
            live.progress(instant(number / 2))
        answer = ask(live.url, "/events")
        (_, plan), (_, past) = events(answer, "moments")
        assert plan["total"] == 130
        assert plan["spans"]["spike"] == [[30, 30, 0, 0], [30, 60, 100, 100]]
        assert plan["limits"] == {"consistency": 1.0, "schedule_delay": 0.02}
        assert [one["at"] for one in past] == [number / 2 for number in range(400, 1000)]
        assert past[-1]["recent"]["p95"] == [0.91, 1.3]
        live.progress(instant(600, watched="p99"))
        ((_, (now,)),) = events(answer, "moments")
        assert (now["at"], now["watched"], now["percentiles"]["p99"]) == (600, "p99", [2.0, None])
        asyncio.run(live.finish(finished()))
        ((_, told),) = events(answer, "ended")
        assert (told["verdict"], told["report"]) == ("fail", False)
        assert [one["result"] for one in told["objectives"]] == ["pass", "warn", "fail", "inconclusive"]
    assert answer.read() == b""


def test_nothing_waits_for_a_page_that_is_stuck() -> None:
    with page() as live, ExitStack() as stack:
        parts = urlsplit(live.url)
        stuck = stack.enter_context(socket.socket())
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect((parts.hostname, parts.port))
        stuck.sendall(f"GET /events?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        assert stuck.recv(8) == b"HTTP/1.1"
        for number in range(20_000):
            live.progress(instant(number / 2))
        answer = ask(live.url, "/events")
        asyncio.run(live.finish(finished()))
        assert events(answer, "ended")[1][1][-1]["at"] == 9999.5
    assert not still_served()


def test_too_many_pages_and_pages_that_go_away() -> None:
    with page() as live:
        opened = [ask(live.url, "/events") for _ in range(16)]
        assert [answer.status for answer in opened] == [200] * 16
        assert ask(live.url, "/events").status == 503
        for answer in opened:
            answer.close()
        for number in range(100):
            live.progress(instant(number))
            if ask(live.url, "/events").status == 200:
                break
        else:
            pytest.fail("pages that are gone are still counted")


def test_a_run_goes_on_where_the_page_is_gone() -> None:
    """Nobody can reach it any more, nobody is told, and the run that tells it all the same is none the worse."""
    stopped: list[str] = []

    async def main() -> None:
        controls = Controls()
        with page(controls) as live:
            answer = ask(live.url, "/events")
            live.progress(instant(1))
            assert [name for name, _ in events(answer, "moments")] == ["plan", "moments"]
        assert not still_served()
        controls.begin(lambda: stopped.append("stop"), lambda: stopped.append("abort"))
        controls.say("stop")
        live.progress(instant(2))
        await live.finish(finished())
        assert answer.read() == b""
        with pytest.raises(ConnectionRefusedError):
            ask(live.url, "/")
        assert controls.stop()
        await asyncio.sleep(0)
        assert stopped == ["stop"]
        controls.end()
        assert not controls.stop()

    asyncio.run(main())


def test_a_page_is_told_what_waits_and_how_each_objective_stands() -> None:
    told = json.loads(words.moment(outage(9)))
    # Of 480 that are settled and 52 that are looked after 412 are visible; those over the limit count, too.
    assert told["visible"] == pytest.approx(412 / (480 + 52 + 312))
    assert told["waiting"] == "400 not seen yet, the oldest for 3.9 s, 312 over the limit already"
    assert told["overdue"] == 312
    assert told["objectives"] == [
        ["broken", "p99(consistency) < 1s: broken; too many; 50 … 55 ms by what is settled"],
        ["holds", "max(consistency) < 5s <b>: met so far; 50 … 55 ms by what is settled"],
    ]
    quiet = json.loads(words.moment(instant(9)))
    assert (quiet["visible"], quiet["waiting"], quiet["overdue"], quiet["objectives"]) == (0.75, "", 0, [])


def test_a_page_is_told_what_is_done() -> None:
    told = json.loads(words.moment(instant(52)))["actions"]
    assert told == [
        {"name": "slow <b>", "number": 0, "since": 10, "until": None, "kind": "warning",
         "text": "slow <b> on for 0:42 of 5:00"},
        {"name": "db-down", "number": 0, "since": 20, "until": 30, "kind": "warning", "text": ""},
        {"name": "block", "number": 0, "since": 31, "until": None, "kind": "bad",
         "text": "block can't be undone: HTTP 500"},
    ]  # fmt: skip


# -- in a browser ------------------------------------------------------------------------------------


def test_it_shows_the_run_and_its_end_and_keeps_the_report(chromium: Chromium, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    own: set[str] = set()

    async def look(tab: Page) -> None:
        controls = Controls()
        done: list[str] = []
        sure = tab.locator("#sure")
        with page(controls, report=report) as live:
            own.add(urlsplit(live.url).netloc)
            await show(tab, live.url)
            await expect(tab.locator("#state")).to_have_text("waiting")
            await expect(tab.locator("#stop")).to_be_disabled()
            controls.begin(lambda: done.append("stop"), lambda: done.append("abort"))
            live.progress(instant(5))
            await expect(tab.locator("#clock")).to_have_text("0:05 of 2:10, 2:05 left")
            live.progress(instant(52))
            shown = {"clock": "0:52 of 2:10, 1:18 left", "offered": "100/s", "in_flight": "3", "outstanding": "40",
                     "visible": "75 %", "visible-remark": "21 lost", "window": "910 ms … 1.3 s", "late": "34 ms",
                     "window-remark": "! above the limit of 1 s", "phase": "main: 100/s"}  # fmt: skip
            for name, text in shown.items():
                await expect(tab.locator(f"#{name}")).to_have_text(text)
            await expect(tab.locator("#troubles li")).to_have_text(
                [
                    "read-model: <b>connection refused</b>, since 51 s, 120 ×",
                    "lateness: main: p99 34 ms, limit 20 ms",
                ]
            )
            drawn = "Bokeh.documents[0].get_model_by_name('live').data"
            await until(tab, f"{drawn}.at.length === 2")
            assert await tab.evaluate(f"[...{drawn}.high, ...{drawn}.gauge0, ...{drawn}.at]") == [
                1300, 1300, 1234, 1234, 5000, 52000,
            ]  # fmt: skip
            await expect(tab.locator("#actions li")).to_have_text(
                ["slow <b> on for 0:42 of 5:00", "block can't be undone: HTTP 500"]
            )
            bands = "Bokeh.documents[0].get_model_by_name('actions-band').data"
            assert await tab.evaluate(f"[...{bands}.from, ...{bands}.to]") == [
                10_000, 20_000, 31_000, 52_000, 30_000, 52_000,
            ]  # fmt: skip
            assert await tab.evaluate("Bokeh.documents[0].get_model_by_name('actions-left').data.name") == []
            names = "Bokeh.documents[0].get_model_by_name('actions-name').data"
            assert await tab.evaluate(f"[...{names}.name, ...{names}.at, ...{names}.lower]") == [
                "slow <b>", "db-down", "block", 10_000, 20_000, 31_000, 0, 17, 34,
            ]  # fmt: skip
            late = Marker("late", 0, (70 * S, 70 * S))
            live.progress(replace(instant(71), actions=actions_now([late])))
            left = "Bokeh.documents[0].get_model_by_name('actions-left').data"
            await until(tab, f"{left}.name.length === 1")
            assert await tab.evaluate(f"[...{left}.name, ...{left}.at]") == ["late", 70_000]
            await expect(tab.locator("#spans svg")).to_have_count(2)
            await expect(tab.locator("#standings")).to_be_hidden()
            live.progress(outage(53))
            await expect(tab.locator("#visible")).to_have_text("48.81 %")
            await expect(tab.locator("#visible-remark")).to_have_text(
                "21 lost, 400 not seen yet, the oldest for 3.9 s, 312 over the limit already"
            )
            await expect(tab.locator("#standings li")).to_have_text(
                [
                    "p99(consistency) < 1s: broken; too many; 50 … 55 ms by what is settled",
                    "max(consistency) < 5s <b>: met so far; 50 … 55 ms by what is settled",
                ]
            )

            await tab.locator("#theme").press("Tab")
            await expect(tab.locator("#stop")).to_be_focused()
            await tab.keyboard.press("Enter")
            await expect(sure).to_be_visible()
            await expect(tab.locator("#no")).to_be_focused()
            await tab.keyboard.press("Enter")
            await expect(sure).to_be_hidden()
            assert done == []
            for button in ("stop", "abort"):
                await tab.locator(f"#{button}").press("Enter")
                await expect(sure).to_be_visible()
                await tab.keyboard.press("Tab")
                await tab.keyboard.press("Enter")
                await expect(tab.locator(f"#{button}")).to_be_disabled()
                assert done[-1] == button
            assert done == ["stop", "abort"]
            await expect(tab.locator("#state")).to_have_text("aborting")
            controls.end()
            await expect(tab.locator("#headline")).to_have_text("making the report")
            report.write_text("<!doctype html><title>kept</title>" + "x" * 1_500_000)
            await live.finish(replace(finished(), directory=tmp_path))
        # The block waits for no answer of the page, which runs beside it all the same.
        assert not still_served()
        link = tab.locator("#report-place a")
        await expect(link).to_have_attribute("data-kept", "true")
        assert await tab.title() == f"FAIL: {NASTY.replace(chr(10), ' ')} – evload"
        await expect(tab.locator("#objectives tbody tr")).to_have_count(4)
        await expect(tab.locator("#report-place")).to_have_text(f"Open the report, or find it in {tmp_path}")
        assert await barriers(tab) == []
        await link.click()
        await expect(tab).to_have_title("kept")

    assert {urlsplit(url).netloc for url in chromium.visit(look)} == own


@pytest.mark.parametrize(("width", "dark"), looks(375, 1280, 2560))
def test_everybody_can_read_it_at_every_width_in_light_and_dark(width: int, dark: bool, chromium: Chromium) -> None:
    with page() as live:

        async def look(tab: Page) -> None:
            for number in range(120):
                live.progress(outage(number / 2))
            await show(tab, live.url, width=width, dark=dark)
            await expect(tab.locator("#state")).to_have_text("running")
            assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await expect(tab.locator("html")).to_have_attribute("data-theme", "dark" if dark else "light")
            assert await barriers(tab) == []

        asked = chromium.visit(look)
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(live.url).netloc}


def test_whoever_looks_back_is_left_there_until_they_follow_again(chromium: Chromium) -> None:
    with page() as live:

        async def look(tab: Page) -> None:
            for number in range(120):
                live.progress(outage(number / 2))
            await show(tab, live.url)
            follow = tab.locator("#follow")
            end = "Bokeh.documents[0].get_model_by_name('time').end"
            await tab.locator(".plot").first.scroll_into_view_if_needed()
            await drag(tab.locator(".plot").first, 0.3, 0.5, f"{end} < 100_000")
            live.progress(instant(60))
            await expect(follow).to_have_attribute("aria-pressed", "false")
            assert await tab.evaluate(end) < 100_000
            await follow.click()
            await expect(follow).to_have_attribute("aria-pressed", "true")
            assert await tab.evaluate(end) == 130_000

        asked = chromium.visit(look)
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(live.url).netloc}
