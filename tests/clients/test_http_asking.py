"""The client that waits for each answer: kept connections, hang-ups, limits, compression, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evload.clients.http_asking import Asker, NoAnswer, open_asker
from evload.clients.web import parse_url
from evload.clock import SystemClock
from evload.errors import TargetError
from tests.servers.httpserver import Request, Script, Server, Step, always, answer, serving

LIMIT = 2000


def asking(
    script: Script,
    task: Callable[[Asker, Server], Awaitable[Any]],
    *,
    tls: ssl.SSLContext | None = None,
    ca_file: Path | None = None,
    verify: bool = True,
    timeout: float = 5.0,
    max_body: int = LIMIT,
) -> Any:
    async def run() -> Any:
        async with (
            serving(script, tls) as server,
            open_asker(
                parse_url(server.url), Path("/"), SystemClock(), {"accept": "text/x"}, ca_file=ca_file, verify=verify,
                timeout_ns=int(timeout * 1e9), max_body=max_body,
            ) as asker,
        ):  # fmt: skip
            return await task(asker, server)

    return asyncio.run(run())


def body_of(*steps: bytes | float | Step, **settings: Any) -> bytes | str:
    """The body of the answer, or why there is none."""

    async def task(asker: Asker, server: Server) -> bytes | str:
        try:
            return asker.body_of(await asker.ask("GET", "/"))
        except NoAnswer as error:
            return str(error)

    found: bytes | str = asking(always(*steps), task, **settings)
    return found


# -- connections -----------------------------------------------------------------------------------------------


def in_turn(*scripts: Sequence[bytes | float | Step]) -> Script:
    """The first request gets the first script, and so on; the last one all others."""
    asked = 0

    def script(request: Request) -> Sequence[bytes | float | Step]:
        nonlocal asked
        asked += 1
        return scripts[min(asked, len(scripts)) - 1]

    return script


@pytest.mark.parametrize(
    ("method", "scripts", "statuses", "connections"),
    [
        ("GET", [[answer(200)]], [200, 200, 200], 1),
        # The second request meets the hang-up, and the third connection is another one.
        ("GET", [[answer(200)], [Step.CLOSE], [answer(204)]], [200, 204, 204], 2),
        ("GET", [[answer(200)], [Step.RESET], [answer(204)]], [200, 204, 204], 2),
        ("POST", [[answer(200)], [Step.CLOSE], [answer(204)]], [200, "connection closed without an answer", 204], 2),
        # Once is enough, and a new connection that is closed is no passing thing.
        (
            "GET",
            [[answer(200)], [Step.CLOSE], [Step.CLOSE], [answer(204)]],
            [200, "connection closed without", 204],
            3,
        ),
        ("GET", [[Step.CLOSE], [answer(200)]], ["connection closed without an answer", 200, 200], 2),
        ("GET", [[answer(200)], [b"<html>\r\n\r\n", Step.STALL], [answer(204)]], [200, "not HTTP", 204], 2),
        # What had begun to answer has seen the request.
        (
            "GET",
            [[answer(200)], [b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}", Step.CLOSE], [answer(204)]],
            [200, "the answer is cut off or garbled", 204],
            2,
        ),
        (
            "GET",
            [[answer(200)], [b"HTTP/1.1 20", Step.CLOSE], [answer(204)]],
            [200, "connection closed in the", 204],
            2,
        ),
        ("GET", [[answer(200, b"", "Connection: close")]], [200, 200, 200], 3),
        ("GET", [[b"HTTP/1.0 200 X\r\n\r\nall of it", Step.CLOSE]], [200, 200, 200], 3),
    ],
)
def test_which_connection_is_used_and_what_a_hang_up_means(
    method: str, scripts: Sequence[Sequence[bytes | float | Step]], statuses: Sequence[int | str], connections: int
) -> None:
    async def task(asker: Asker, server: Server) -> int:
        for expected in statuses:
            try:
                found: int | str = (await asker.ask(method, "/")).status
            except NoAnswer as error:
                found = str(error)[: len(str(expected))]
            assert found == expected
        return server.connections

    assert asking(in_turn(*scripts), task) == connections


def test_a_server_that_hangs_up_between_two_requests_is_not_noticed() -> None:
    async def task(asker: Asker, server: Server) -> int:
        for _ in range(3):
            assert (await asker.ask("POST", "/", b"x")).status == 200
            await asyncio.sleep(0.02)
        return server.connections

    assert asking(always(answer(200), Step.CLOSE), task) == 3


def test_a_server_that_hangs_up_right_before_a_request_is_not_noticed_either() -> None:
    async def task(asker: Asker, server: Server) -> int:
        await asker.ask("GET", "/")
        for connection in tuple(asker._open):
            connection.eof_received()
        assert (await asker.ask("GET", "/")).status == 200
        return server.connections

    assert asking(always(answer(200)), task) == 2


def test_requests_of_one_turn_go_out_together() -> None:
    async def task(asker: Asker, server: Server) -> Sequence[int]:
        for _ in range(2):
            answers = await asyncio.gather(*(asker.ask("GET", f"/{n}") for n in range(3)))
        assert server.connections == 3
        return [one.status for one in answers]

    assert asking(always(answer(200)), task) == [200, 200, 200]


def test_whoever_gives_up_waiting_leaves_no_answer_behind_for_the_next() -> None:
    async def task(asker: Asker, server: Server) -> int:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        first = asyncio.ensure_future(asker.ask("GET", "/slow"))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await asker.ask("GET", "/quick")).body == b"/quick"
        await asyncio.sleep(0.1)
        assert (await asker.ask("GET", "/again")).body == b"/again"
        assert errors == []
        return server.connections

    def script(request: Request) -> Sequence[bytes | float | Step]:
        return [0.05 if request.target == "/slow" else 0.0, answer(200, request.target.encode())]

    assert asking(script, task) == 2


def test_the_time_counts_from_the_question() -> None:
    async def task(asker: Asker, server: Server) -> None:
        assert (await asker.ask("GET", "/")).status == 200
        with pytest.raises(NoAnswer, match=r"^no answer within 60 ms$"):
            await asker.ask("GET", "/")
        assert (await asker.ask("GET", "/")).status == 204, "on another connection"

    asking(in_turn([answer(200)], [b"HTTP/1.1 200 X\r\n", Step.STALL], [answer(204)]), task, timeout=0.06)


# -- requests --------------------------------------------------------------------------------------------------


def test_what_is_sent() -> None:
    async def task(asker: Asker, server: Server) -> None:
        await asker.ask("GET", "/a?b=c")
        await asker.ask("POST", "/q", b'{"ids":[]}', "x-one: ä\r\n")
        await asker.ask("DELETE", "/q")
        authority = server.url.partition("//")[2]
        common = {
            "host": authority, "user-agent": "evload", "accept-encoding": "gzip, deflate", "accept": "text/x",
        }  # fmt: skip
        assert [(one.method, one.target, one.body) for one in server.requests] == [
            ("GET", "/a?b=c", b""), ("POST", "/q", b'{"ids":[]}'), ("DELETE", "/q", b"")
        ]  # fmt: skip
        assert [one.headers for one in server.requests] == [
            common, common | {"x-one": "ä", "content-length": "10"}, common | {"content-length": "0"}
        ]  # fmt: skip

    asking(always(answer(200)), task)


# -- bodies ----------------------------------------------------------------------------------------------------

TEXT = b"a text that goes on " * 50
TOO_LONG = "HTTP 200 with a body longer than 2000 bytes"
GARBLED = "the answer is cut off or garbled"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "headers", "found"),
    [
        (TEXT, [], TEXT),
        (gzip.compress(TEXT, mtime=0), ["Content-Encoding: gzip"], TEXT),
        (gzip.compress(TEXT, mtime=0), ["content-encoding: GZIP"], TEXT),
        (gzip.compress(TEXT, mtime=0), ["content-encoding: x-gzip"], TEXT),
        (gzip.compress(zlib.compress(TEXT), mtime=0), ["content-encoding: deflate, gzip"], TEXT),
        (gzip.compress(zlib.compress(TEXT), mtime=0), ["content-encoding: deflate", "content-encoding: gzip"], TEXT),
        (zlib.compress(TEXT), ["content-encoding: br, deflate"], TEXT),
        (TEXT, ["content-encoding: identity"], TEXT),
        (zlib.compress(TEXT), ["Content-Encoding: deflate"], TEXT),
        (raw_deflate(TEXT), ["Content-Encoding: deflate"], TEXT),
        # Only what says so is compressed, and nothing is made of an unknown coding.
        (gzip.compress(TEXT, mtime=0), [], gzip.compress(TEXT, mtime=0)),
        (TEXT, ["Content-Encoding: identity"], TEXT),
        (b"", ["Content-Encoding: gzip"], b""),
        (TEXT, ["Content-Encoding: gzip"], GARBLED),
        (gzip.compress(TEXT, mtime=0)[:-9], ["Content-Encoding: gzip"], GARBLED),
        (b"x" * LIMIT, [], b"x" * LIMIT),
        (b"x" * (LIMIT + 1), [], TOO_LONG),
        (b"x" * (50 * LIMIT), [], TOO_LONG),
        (gzip.compress(b"x" * LIMIT, mtime=0), ["Content-Encoding: gzip"], b"x" * LIMIT),
        (gzip.compress(b"x" * (LIMIT + 1), mtime=0), ["Content-Encoding: gzip"], TOO_LONG),
        (gzip.compress(b"x" * 10_000_000, mtime=0), ["Content-Encoding: gzip"], TOO_LONG),
    ],
)
def test_bodies(body: bytes, headers: Sequence[str], found: bytes | str) -> None:
    assert body_of(answer(200, body, *headers)) == found


@pytest.mark.parametrize(("count", "failed"), [(2, 0), (3, 1), (6, 4)])
def test_what_is_kept_of_all_answers_under_way_has_a_limit(count: int, failed: int) -> None:
    """Of 12 MiB where 8 MiB are the longest body: 5 MB of each have come when more is to come of any."""

    async def task(asker: Asker, server: Server) -> list[int | str]:
        async def one() -> int | str:
            try:
                return len(asker.body_of(await asker.ask("GET", "/")))
            except NoAnswer as error:
                return str(error)

        tracemalloc.start()
        try:
            return await asyncio.gather(*(one() for _ in range(count)))
        finally:
            # With what the server itself has of it.
            assert tracemalloc.get_traced_memory()[1] < 40e6
            tracemalloc.stop()

    def script(request: Request) -> Sequence[bytes | float | Step]:
        return [b"HTTP/1.1 200 X\r\nContent-Length: 5000010\r\n\r\n", *[b"x" * 100_000] * 50, 0.5, b"x" * 10]

    found = asking(script, task, max_body=8 << 20, timeout=30)
    assert sorted(map(str, found)) == sorted(
        ["5000010"] * (count - failed) + ["the answers under way are together longer than 12582912 bytes"] * failed
    )


CHUNKED = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"


# The parser puts a trailer that never ends together anew with each piece of it.
TRAILERS = [b"".join(b"t-%d: x\r\n" % number for number in range(10_000))] * 80
ONE_TRAILER = [b"t: ", *[b"x" * 100_000] * 80]
LONG_CHUNK_EXTENSION = [b"3;a=", *[b"x" * 100_000] * 80]
TOO_MUCH_BESIDE = "not HTTP: trailers longer than 65536 bytes"


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([CHUNKED, b"3\r\nabc\r\n0\r\n", *TRAILERS], TOO_MUCH_BESIDE),
        ([CHUNKED, b"3\r\nabc\r\n0\r\n", *ONE_TRAILER], TOO_MUCH_BESIDE),
        ([CHUNKED, *LONG_CHUNK_EXTENSION], TOO_MUCH_BESIDE),
        ([b"HTTP/1.1 200 X\r\n", *TRAILERS], "not HTTP: headers longer than 65536 bytes"),
        ([b"HTTP/1.1 200 X\r\n", *ONE_TRAILER], "not HTTP: headers longer than 65536 bytes"),
        (
            [*[b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 1000] * 200],
            "not HTTP: headers longer than 65536 bytes",
        ),
        # Controls: what may stand there.
        ([CHUNKED, b"3;a=b\r\nabc\r\n0\r\n", b"t: " + b"x" * 30_000 + b"\r\n", b"u: y\r\n\r\n"], b"abc"),
        ([CHUNKED, *[b"1;%b\r\na\r\n" % (b"x" * 1000)] * 200, b"0\r\n\r\n"], b"a" * 200),
        ([CHUNKED[:-2], b"h: " + b"x" * 60_000 + b"\r\n\r\n", 0.01, b"1\r\na\r\n0\r\n", b"t: x\r\n\r\n"], b"a"),
    ],
)
def test_what_is_sent_beside_a_body_has_a_limit(steps: Sequence[bytes | float | Step], found: bytes | str) -> None:
    """In bytes, and with it in memory."""
    tracemalloc.start()
    try:
        assert body_of(*steps) == found
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("steps", [[b"HTTP/1.1 200 X\r\n", *TRAILERS], [b"HTTP/1.1 200 X\r\n\r\n", b"x" * 10**6]])
def test_nothing_is_left_of_an_answer_that_is_given_up(steps: Sequence[bytes | float | Step]) -> None:
    """Not until somebody looks for what nobody needs any more, which takes its time where memory isn't counted."""

    async def task(asker: Asker, server: Server) -> int:
        for _ in range(20):
            with contextlib.suppress(NoAnswer):
                asker.body_of(await asker.ask("GET", "/"))
        return tracemalloc.get_traced_memory()[0]

    gc.disable()
    tracemalloc.start()
    try:
        assert asking(always(*steps), task) < 8e6
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([CHUNKED, b"3\r\nabc\r\n", 0.01, b"2\r\nde\r\n0\r\n\r\n"], b"abcde"),
        ([CHUNKED, b"3\r\nabc\r\n", Step.CLOSE], GARBLED),
        ([CHUNKED, b"3\r\nabcdefg\r\n", Step.STALL], GARBLED),
        ([CHUNKED, *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 4, Step.STALL], TOO_LONG),
        ([b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 4000, Step.STALL], TOO_LONG),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", answer(200, b"abc")], b"abc"),
        ([b"HTTP/1.0 200 X\r\n\r\nabc", 0.01, b"de", Step.CLOSE], b"abcde"),
    ],
)
def test_bodies_in_parts(steps: Sequence[bytes | float | Step], found: bytes | str) -> None:
    assert body_of(*steps) == found


# -- TLS -------------------------------------------------------------------------------------------------------


def test_tls(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    refused = "TLS: certificate not accepted: self-signed certificate"
    assert body_of(answer(200, b"ok"), tls=context) == refused
    assert body_of(answer(200, b"ok"), tls=context, verify=False) == b"ok"
    assert body_of(answer(200, b"ok"), tls=context, ca_file=certificate) == b"ok"
    with pytest.raises(TargetError, match=r"can't use ca_file none\.pem: no such file or directory; name a PEM file"):
        body_of(tls=context, ca_file=Path("none.pem"))
