"""Through an HTTP proxy: absolute requests, TLS through a tunnel, its login, and what is said when it fails."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evload.clients.proxies import ignored
from evload.clients.web import parse_url
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.travel import Event, Receipt, Target
from evload.probes.http import HttpProbeConfig
from evload.probes.sse import SseProbeConfig
from evload.producers.http import HttpProducerConfig
from evload.run.proxies import unused
from evload.spi.context import Surroundings
from tests.rigs.commands import started
from tests.servers.httpserver import always, answer, json_answer, serving

LOGIN = "Basic " + base64.b64encode(b"me:pa:ss").decode()


@dataclass
class ProxyServer:
    """A proxy that hands bytes on to one server, whatever it is asked for; and what it was asked."""

    port: int
    refuses: bytes = b""
    url: str = ""
    lines: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            first, *rest = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in rest if line)
            self.lines.append(first)
            self.logins.append(next((line[21:] for line in rest if line.startswith("proxy-authorization: ")), None))
            assert "host" in headers
            if self.refuses:
                writer.write(self.refuses)
                await writer.drain()
                writer.close()
                return
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
            if first.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n")
            else:
                to_writer.write(head)
            await asyncio.gather(_hand_on(reader, to_writer), _hand_on(to_reader, writer))
        writer.close()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxying(port: int, refuses: bytes = b"") -> AsyncIterator[ProxyServer]:
    proxy = ProxyServer(port, refuses)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def surroundings() -> Surroundings:
    return Surroundings(SystemClock(), "r-1", Path("/"))


def with_login(proxy: ProxyServer) -> str:
    return proxy.url.replace("http://", "http://me:pa%3Ass@")


async def publish(**settings: Any) -> Receipt:
    receipts: list[Receipt] = []
    config = HttpProducerConfig.model_validate({"kind": "http", "timeout": "5s", **settings})
    async with config.open(surroundings()) as producer:
        await producer.publish([Event(0, "c", 0, 0, 0, None, b"{}", (), ())], receipts.extend)
        async with asyncio.timeout(20):
            while not receipts:
                await asyncio.sleep(0.01)
    return receipts[0]


async def read(**settings: Any) -> str:
    config = HttpProbeConfig.model_validate({"kind": "http", "timeout": "5s", **settings})
    async with config.open(surroundings()) as probe:
        return (await probe.read([Target(1, "a")])).error


@pytest.mark.parametrize("login", [False, True])
def test_plain_requests_name_the_whole_address(*, login: bool) -> None:
    """A name that only the proxy can resolve; its login goes to the proxy, the target's own to the target."""

    async def main() -> None:
        async with serving(always(json_answer(b"{}"))) as server, proxying(port_of(server.url)) as proxy:
            via = with_login(proxy) if login else proxy.url
            target = "http://u:p@api.invalid:8080"
            assert (await publish(url=f"{target}/events?x=1", proxy=via)).detail == ""
            assert await read(url=f"{target}/items/{{correlation_id}}", proxy=via) == ""
            asked = [line for line in proxy.lines if line]
            assert asked == [
                "POST http://api.invalid:8080/events?x=1 HTTP/1.1", "GET http://api.invalid:8080/items/a HTTP/1.1"
            ]  # fmt: skip
            assert proxy.logins == [LOGIN if login else None] * 2
            for request in server.requests:
                assert request.headers["host"] == "api.invalid:8080"
                assert request.headers["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()

    asyncio.run(main())


@pytest.mark.parametrize("login", [False, True])
def test_tls_goes_through_a_tunnel(certificate: Path, *, login: bool) -> None:
    """The certificate is looked at as always, and the proxy sees neither requests nor their login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def main() -> None:
        async with serving(always(json_answer(b"{}")), context) as server, proxying(port_of(server.url)) as proxy:
            via = with_login(proxy) if login else proxy.url
            assert (await publish(url=f"{server.url}/events", proxy=via, ca_file=str(certificate))).detail == ""
            address = f"{server.url}/items/{{correlation_id}}"
            assert await read(url=address, proxy=via, ca_file=str(certificate)) == ""
            assert set(proxy.lines) == {f"CONNECT 127.0.0.1:{port_of(server.url)} HTTP/1.1"}
            assert set(proxy.logins) == {LOGIN if login else None}
            assert [request.target for request in server.requests] == ["/events", "/items/a"]
            assert "proxy-authorization" not in server.requests[0].headers
            with pytest.raises(TargetError, match=r"TLS: certificate not accepted"):
                await publish(url=f"{server.url}/events", proxy=via)

    asyncio.run(main())


def test_server_sent_events_go_through_it() -> None:
    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        async with serving(always(head, 5.0)) as server, proxying(port_of(server.url)) as proxy:
            settings = {
                "kind": "sse",
                "url": "http://api.invalid/stream",
                "proxy": with_login(proxy),
                "timeout": "3s",
            }
            async with SseProbeConfig.model_validate(settings).open(surroundings()):
                assert proxy.lines == ["GET http://api.invalid/stream HTTP/1.1"]
                assert server.requests[0].headers["proxy-authorization"] == LOGIN

    asyncio.run(main())


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "answers HTTP 407 (the login is missing or wrong)"),
        (b"HTTP/1.1 503 No\r\n\r\n", "answers HTTP 503"),
        (b"SSH-2.0-x\r\n\r\n", "doesn't answer as an HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000, "doesn't answer as an HTTP proxy"),
    ],
)
def test_a_proxy_that_lets_nobody_through_is_named_without_its_login(refuses: bytes, said: str) -> None:
    async def main() -> None:
        async with proxying(1, refuses) as proxy:
            for go in (publish, read):
                url = "https://api.invalid/{correlation_id}" if go is read else "https://api.invalid/events"
                with pytest.raises(TargetError) as caught:
                    await go(url=url, proxy=with_login(proxy))
                assert said in str(caught.value)
                assert proxy.url in str(caught.value)
                assert "pa" + "%3Ass" not in str(caught.value)

    asyncio.run(main())


def test_a_proxy_that_is_not_there_is_not_the_target() -> None:
    for scheme in ("http", "https"):
        with pytest.raises(TargetError, match=r"no connection to the proxy http://127.0.0.1:1/: connection refused"):
            asyncio.run(publish(url=f"{scheme}://api.invalid/events", proxy="http://me:pw@127.0.0.1:1"))


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("https://p:3128", "is a proxy that is spoken to by TLS"),
        ("socks5://p:1080", "is not an http or https address"),
        ("p:3128", "has no scheme"),
        ("http://p:3128/path", "is more than a proxy's host and port"),
        ("http://me:s3cret@p:x", "unusable host or port"),
    ],
)
def test_what_is_no_proxy_is_said_by_validate(proxy: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpProducerConfig.model_validate({"kind": "http", "url": "http://h/", "proxy": proxy})
    assert said in caught.value.errors()[0]["msg"]
    assert "s3cret" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        ("http://api.example/", {"HTTP_PROXY": "http://p:1"}, "HTTP_PROXY"),
        ("http://api.example/", {"http_proxy": "p:1"}, "http_proxy"),
        ("https://api.example/", {"HTTPS_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ("https://api.example/", {"ALL_PROXY": "socks5://p:1"}, "ALL_PROXY"),
        ("https://api.example/", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://api.example/", {}, None),
        ("http://api.example/", {"HTTP_PROXY": ""}, None),
        ("http://api.example/", {"HTTP_PROXY": "http://p:1", "NO_PROXY": ".example"}, None),
        ("http://api.example/", {"HTTP_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ("http://api.example:81/", {"HTTP_PROXY": "http://p:1", "no_proxy": "api.example:81"}, None),
        ("http://api.example/", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "other.example"}, "HTTP_PROXY"),
        ("http://127.0.0.1:8080/", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://127.9.9.9/", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://[::1]/", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://localhost/", {"HTTP_PROXY": "http://p:1"}, None),
    ],
)
def test_which_variable_is_not_used(url: str, environment: Mapping[str, str], variable: str | None) -> None:
    assert ignored(parse_url(url), environment) == variable


def test_it_is_said_in_one_line_for_all() -> None:
    def adapters(**more: str) -> list[tuple[str, object]]:
        return [
            (
                "orders",
                HttpProducerConfig.model_validate({"kind": "http", "url": "https://api.example/", **more}),
            ),
            ("local", HttpProbeConfig.model_validate({"kind": "http", "url": "http://127.0.0.1/{correlation_id}"})),
            ("search", SseProbeConfig.model_validate({"kind": "sse", "url": "http://read.example/", **more})),
            ("other", object()),
        ]

    both = {"HTTP_PROXY": "http://me:s3cret@p:1", "HTTPS_PROXY": "http://me:s3cret@p:1"}
    assert unused(adapters(), both) == (
        "HTTPS_PROXY and HTTP_PROXY are not used: evload goes straight to the addresses of orders, search; "
        "write proxy: there to use it"
    )
    assert unused(adapters(), {"HTTP_PROXY": "p:1"}) == (
        "HTTP_PROXY is not used: evload goes straight to the addresses of search; write proxy: there to use it"
    )
    assert unused(adapters(), {}) == ""
    assert unused(adapters(proxy="http://p:1"), both) == ""


CONFIG = """
producers:
  orders: {kind: http, url: "http://api.invalid/events"}
events:
  order: {type: order, source: /shop, data: {}}
scenarios:
  short: {producer: orders, events: [order], load: [{rate: 10/s, for: 1s}]}
"""


@pytest.mark.parametrize("proxy", ["http://me:s3cret@127.0.0.1:1", ""])
def test_a_run_says_so_before_it_begins(tmp_path: Path, proxy: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    environment = {**os.environ, "HTTP_PROXY": proxy, "NO_PROXY": ""}
    with started("run", "c.yaml", "--out", "out", cwd=tmp_path, env=environment) as running:
        ended = running.ended()
    assert ended.code == 3
    assert "s3cret" not in ended.said
    said = " ".join(ended.said.split())
    assert said.count("HTTP_PROXY is not used: evload goes straight to the addresses of orders") == bool(proxy)


def test_a_run_without_a_proxy_sends_paths() -> None:
    async def main() -> None:
        async with serving(always(answer())) as server:
            await publish(url=f"{server.url}/events")
            assert server.requests[0].target == "/events"

    asyncio.run(main())


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])
