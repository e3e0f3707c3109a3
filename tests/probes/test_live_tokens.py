"""Tokens that change while a run goes on, in the headers of all that asks over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from evload.errors import TargetError
from evload.gauges.http_json import HttpJsonGaugeConfig
from evload.gauges.prometheus import PrometheusGaugeConfig
from evload.gauges.rabbitmq_queue.reader import open_management
from evload.gauges.rabbitmq_queue.settings import RabbitmqQueueGaugeSettings
from evload.model.states import Seen
from evload.model.travel import ReadResult
from evload.probes.http import HttpProbeConfig
from evload.probes.http_feed import HttpFeedConfig
from evload.probes.sse import SseProbeConfig
from evload.spi.context import Surroundings
from tests.rigs.asking import RUN, A, B
from tests.rigs.turned_secret import TurnedSecret
from tests.servers.httpserver import Request, Server, Step, answer, json_answer, serving

OLD, NEW = "old-token-87", "new-token-88"
HEADERS: Final = {"Authorization": "Bearer {secrets.t}", "X-Team": "shop"}


class Kept(TurnedSecret):
    """One that is renewed by itself when it is refused. `waits` is how often somebody waited for that."""

    waits = 0

    async def renewed(self, refused: str) -> bool:
        self.waits += 1
        await asyncio.sleep(0.01)
        if self.value == OLD:
            self.turn(NEW)
        return self.value != refused


class Guarded:
    """Answers whoever has the token of the moment; 401 to all others."""

    def __init__(self, says: Callable[[Request], Any]) -> None:
        self.good = OLD
        self.says = says
        self.shown: list[str] = []

    def __call__(self, request: Request) -> Any:
        self.shown.append(request.headers["authorization"])
        assert request.headers["x-team"] == "shop"
        return self.says(request) if self.shown[-1] == f"Bearer {self.good}" else (answer(401),)


def around(secret: TurnedSecret) -> Surroundings:
    return replace(RUN, secrets={"t": secret})


def listed(request: Request) -> Any:
    return (json_answer(json.dumps({"items": [{"id": A.correlation_id}], "next": "1"}).encode()),)


@pytest.mark.parametrize("method", ["GET", "POST", "QUERY"])
@pytest.mark.parametrize("bulk", [False, True])
def test_reads_go_on_with_the_token_of_the_moment(bulk: bool, method: str) -> None:
    """With no refusal where it was turned ahead; and with one renewal and no failed read where it is refused."""
    guarded = Guarded(listed)
    secret = Kept(OLD)

    async def run() -> None:
        async with serving(guarded) as server:
            if bulk:
                config = HttpProbeConfig.model_validate(
                    {"kind": "http", "url": f"{server.url}/q", "headers": HEADERS, "items": "body.items",
                     "method": method, "ids": {"in": "query" if method == "GET" else "body"}}
                )  # fmt: skip
            else:
                config = HttpProbeConfig(
                    kind="http", url=f"{server.url}/e/{{correlation_id}}", headers=HEADERS, method=method
                )
            async with config.open(around(secret)) as probe:

                async def read() -> list[ReadResult]:
                    targets = [[A, B]] if bulk else [[A], [B]] * 10
                    return await asyncio.gather(*(probe.read(each) for each in targets))

                assert {result.error for result in await read()} == {""}
                guarded.good = NEW
                results = await read()
                assert {result.error for result in results} == {""}
                assert results[0].reads[0].seen is Seen.PRESENT
                assert (secret.waits, guarded.shown[-1]) == (1, f"Bearer {NEW}")
                guarded.good = "third-token-89"
                secret.turn("third-token-89")
                before = len(guarded.shown)
                await read()
                assert set(guarded.shown[before:]) == {"Bearer third-token-89"}
                guarded.good = "nobody"
                assert {result.error for result in await read()} == {"HTTP 401"}

    asyncio.run(run())


def test_a_feed_reads_on() -> None:
    guarded = Guarded(listed)
    secret = Kept(OLD)

    async def run() -> None:
        async with serving(guarded) as server:
            config = HttpFeedConfig.model_validate(
                {"kind": "http-feed", "url": f"{server.url}/f?c={{cursor}}", "headers": HEADERS,
                 "items": "body.items", "next": "body.next", "every": "1ms"}
            )  # fmt: skip
            async with config.open(around(secret)) as probe:
                guarded.good = NEW
                assert (await probe.read([A])).error == ""
                assert secret.waits == 1

    asyncio.run(run())


def test_a_stream_is_opened_again_with_the_token_of_the_moment() -> None:
    """At first with a refusal, and after a cut without one."""
    guarded = Guarded(
        lambda request: (
            b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n",
            f"data: {A.correlation_id}\n\n".encode(),
            0.05,
            Step.CLOSE,
        )
    )
    guarded.good = NEW
    secret = Kept(OLD)

    async def run() -> None:
        async with serving(guarded) as server:
            config = SseProbeConfig(kind="sse", url=server.url, headers=HEADERS)
            seen: list[int] = []
            async with config.open(around(secret)) as probe:
                listening = asyncio.create_task(probe.listen(lambda r: seen.extend(read.seq for read in r.reads)))
                async with asyncio.timeout(20):
                    while len(seen) < 2:
                        await asyncio.sleep(0.01)
                listening.cancel()
            assert guarded.shown[:3] == [f"Bearer {OLD}", f"Bearer {NEW}", f"Bearer {NEW}"]
            assert secret.waits == 1

    asyncio.run(run())


def test_a_stream_that_refuses_every_token_can_t_be_listened_to() -> None:
    guarded = Guarded(lambda request: (answer(401),))
    guarded.good = "nobody"

    async def run() -> None:
        async with serving(guarded) as server:
            config = SseProbeConfig(kind="sse", url=server.url, headers=HEADERS)
            with pytest.raises(TargetError, match=r"can't listen to .*: HTTP 401; correct url"):
                async with config.open(around(Kept(OLD))):
                    pass
            assert len(guarded.shown) == 2

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http-json", "prometheus"])
def test_gauges_go_on(kind: str) -> None:
    body = b'{"depth": 7}' if kind == "http-json" else b"depth 7\n"
    guarded = Guarded(lambda request: (answer(200, body, "Content-Type: application/json"),))
    secret = Kept(OLD)

    async def run() -> None:
        async with serving(guarded) as server:
            config: Any
            if kind == "http-json":
                config = HttpJsonGaugeConfig(kind="http-json", url=server.url, headers=HEADERS, value="body.depth")
            else:
                config = PrometheusGaugeConfig(kind="prometheus", url=server.url, headers=HEADERS, metric="depth")
            async with config.open(around(secret)) as gauge:
                guarded.good = NEW
                assert list((await gauge.sample()).values.values()) == [7.0]
                assert secret.waits == 1

    asyncio.run(run())


def test_the_management_api_is_asked_with_the_login_of_the_moment() -> None:
    shown: list[str] = []

    def says(request: Request) -> Any:
        shown.append(request.headers["authorization"])
        return (json_answer(b"{}"),)

    secret = TurnedSecret("one")

    async def run(server: Server) -> None:
        config = RabbitmqQueueGaugeSettings(
            kind="rabbitmq-queue", url="amqp://u:{secrets.t}@h/", queue="q", management=server.url
        )
        async with open_management(config, server.url, around(secret)) as page:
            await page.get()
            secret.turn("two")
            await page.get()

    async def main() -> None:
        async with serving(says) as server:
            await run(server)

    asyncio.run(main())
    assert shown == ["Basic dTpvbmU=", "Basic dTp0d28="]


def test_a_secret_that_isn_t_there_is_said_in_one_line() -> None:
    async def run() -> None:
        config = HttpProbeConfig(kind="http", url="http://127.0.0.1:9/{correlation_id}", headers=HEADERS)
        with pytest.raises(TargetError) as refused:
            async with config.open(RUN):
                pass
        assert str(refused.value) == "it needs the secret 't', which could not be had; look after that first"

    asyncio.run(run())


def test_a_query_leaves_room_for_a_token_that_isn_t_known_yet() -> None:
    def room(headers: dict[str, str]) -> int:
        return HttpProbeConfig.model_validate(
            {"kind": "http", "url": "http://h/q", "headers": headers, "items": "body", "ids": {"in": "query"}}
        ).bulk

    assert room({"Authorization": "Bearer {secrets.t}"}) == room({"Authorization": "Bearer " + 2048 * "x"})
