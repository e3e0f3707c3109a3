"""Runs of the real command against peers that mean harm, and against the same peers while they are well."""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from tests.rigs import hostile, peak
from tests.rigs.commands import Ended, started
from tests.rigs.hostile import Hostile, Speech, said
from tests.rigs.redis_scripted import scripted_redis
from tests.servers.aws_server import ENVIRONMENT
from tests.servers.collector import GrpcCollector, collecting_grpc
from tests.servers.httpserver import Request, Script, answer, json_answer, serving

DIFFERENCE_KIB: Final = 20 * 1024
"""What a hostile peer may cost in memory."""
_LENIENT: Final = {"offered_rate": "warn", "lateness": "warn", "headroom": "warn", "resolution": "warn"}


@dataclass(frozen=True)
class Protocol:
    """Something that evload speaks, and with whom.

    section, settings  where it stands in a config, and what there is beside its address; no section: it is an option
    address            key and text of the address, with `{port}`; or the option and its value
    speech             what its peer says when it is hostile
    well               makes a peer that is well, and gives its port
    greetings, unasked  as `Hostile` has them
    calls              it is evload that listens there
    """

    section: str
    settings: Mapping[str, Any]
    address: tuple[str, str]
    speech: Speech
    well: Callable[[], AbstractAsyncContextManager[int]] = lambda: nullcontext(0)
    greetings: int = 0
    unasked: bool = False
    calls: bool = False


@dataclass
class Told:
    """How a run ended, and how much memory it had at most, in KiB."""

    way: str
    ended: Ended
    peak_kib: int
    spoke: int = 0
    """How often a peer was hostile."""


_COUNTS: Final = (
    "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
)  # fmt: skip
_NO_VALUES: Final = (
    b"<GetMetricDataResponse><GetMetricDataResult><MetricDataResults><member><Timestamps/><Values/></member>"
    b"</MetricDataResults></GetMetricDataResult></GetMetricDataResponse>"
)


def _aws(request: Request) -> Sequence[bytes | float]:
    answers: dict[str, Any] = {
        "DescribeEventBus": {"Name": "b", "Arn": "arn:aws:events:eu-west-1:123456789012:event-bus/b"},
        "PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}] * request.body.count(b'"Detail"')},
        "DescribeTable": {
            "Table": {
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            }
        },
        "BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}},
        "GetQueueUrl": {"QueueUrl": f"http://{request.headers['host']}/123456789012/q"},
        "GetQueueAttributes": {"Attributes": dict.fromkeys(_COUNTS, "0")},
        "ReceiveMessage": {},
    }
    operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
    if b"Action=GetMetricData" in request.body:
        return [answer(200, _NO_VALUES, "Content-Type: text/xml")]
    if not operation:  # S3 has addresses instead.
        return [answer(200) if request.target.count("/") == 1 else b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"]
    pause: list[bytes | float] = [0.2] if operation == "ReceiveMessage" else []
    return [*pause, json_answer(json.dumps(answers[operation]).encode())]


_SAMPLED: Final = {"every": "100ms", "timeout": "1s"}
_STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n"
_AT: Final = ("url", "http://127.0.0.1:{port}/")
_AWS: Final = ("endpoint", "http://127.0.0.1:{port}")


def _over_http(section: str, settings: Mapping[str, Any], speech: Speech, well: Script, path: str = "") -> Protocol:
    return Protocol(section, settings, ("url", "http://127.0.0.1:{port}/" + path), speech, by_script(well))


def by_script(script: Script) -> Callable[[], AbstractAsyncContextManager[int]]:
    """Makes an HTTP server that is well, and gives its port."""

    @asynccontextmanager
    async def well() -> AsyncIterator[int]:
        async with serving(script) as server:
            yield urlsplit(server.url).port or 0

    return well


@asynccontextmanager
async def _grpc() -> AsyncIterator[int]:
    collector = GrpcCollector()
    with collecting_grpc(collector):
        yield urlsplit(collector.url).port or 0


@asynccontextmanager
async def _redis() -> AsyncIterator[int]:
    async with scripted_redis() as scripted:
        yield scripted.port


def of_rabbitmq(port: int) -> dict[str, Protocol]:
    """With a broker at that port, which has a queue `q`."""
    url = "amqp://guest:guest@127.0.0.1:{port}/"
    managed = {"kind": "rabbitmq-queue", "queue": "q", "url": url.format(port=port), **_SAMPLED}
    figures = b'{"messages_unacknowledged": 0}'
    management = Protocol(
        "gauges", managed, ("management", "http://127.0.0.1:{port}"), hostile.IN_JSON,
        by_script(lambda _: [json_answer(figures)]),
    )  # fmt: skip
    return {"rabbitmq-management": management} | {
        name: Protocol(
            section, settings, ("url", url), hostile.IN_AMQP,
            lambda: nullcontext(port), greetings, unasked,
        )
        for name, section, settings, greetings, unasked in (
            ("rabbitmq", "producers", {"kind": "rabbitmq", "routing_key": "q"}, 5, False),
            ("rabbitmq-tap", "probes", {"kind": "rabbitmq-tap", "exchange": "amq.topic"}, 7, True),
            ("rabbitmq-queue", "gauges", {"kind": "rabbitmq-queue", "queue": "q", **_SAMPLED}, 6, False),
        )
    }  # fmt: skip


def of_postgres(port: int) -> dict[str, Protocol]:
    """With a server at that port that lets in whoever comes, and has a table `t`."""
    url = ("url", "postgresql://owner@127.0.0.1:{port}/postgres")
    asking = {"kind": "postgres", "query": "SELECT id FROM t WHERE id = ANY(:ids)", "statement_timeout": "1s"}
    listening = {"kind": "postgres-listen", "channel": "c"}
    return {
        name: Protocol("probes", settings, url, speech, lambda: nullcontext(port), greetings, unasked)
        for name, settings, speech, greetings, unasked in (
            ("postgres", asking, hostile.IN_POSTGRES, 3, False),
            ("postgres-listen", listening, hostile.IN_POSTGRES, 4, True),
            # Asked for TLS it says that it has none.
            ("postgres-login", asking, hostile.IN_POSTGRES_LOGIN, 1, False),
            ("postgres-listen-login", listening, hostile.IN_POSTGRES_LOGIN, 1, True),
        )
    }


def of_mysql(port: int) -> dict[str, Protocol]:
    """With a server at that port that lets in whoever comes, and has a table `shop.t`."""
    settings = {"kind": "mysql", "query": "SELECT id FROM t WHERE id IN (:ids)", "statement_timeout": "1s"}
    url = ("url", "mysql://root@127.0.0.1:{port}/shop")
    return {
        "mysql": Protocol("probes", settings, url, hostile.IN_MYSQL, lambda: nullcontext(port), 5),
        "mysql-login": Protocol(
            "probes", settings, url, hostile.IN_MYSQL_LOGIN, lambda: nullcontext(port), unasked=True
        ),
    }


def protocols() -> dict[str, Protocol]:
    """All that need no server of others."""
    json_said, ok = hostile.IN_JSON, lambda _: [answer(202)]
    region = {"region": "eu-west-1"}
    return {
        "http": _over_http("producers", {"kind": "http", "timeout": "1s"}, json_said, ok),
        "http-probe": _over_http(
            "probes", {"kind": "http", "timeout": "1s"}, json_said, lambda _: [answer(404)], "{{correlation_id}}"
        ),
        "http-feed": _over_http(
            "probes", {"kind": "http-feed", "timeout": "1s", "items": "body.items", "next": "body.next"},
            json_said, lambda _: [json_answer(b'{"items": [], "next": "1"}')], "?since={{cursor}}",
        ),
        "sse": Protocol(
            "probes", {"kind": "sse"}, _AT, hostile.IN_SSE, by_script(lambda _: [_STREAM, 3600.0]),
            greetings=1, unasked=True,
        ),
        "webhook-probe": Protocol(
            "probes", {"kind": "webhook"}, ("listen", "127.0.0.1:{port}"), hostile.IN_REQUESTS, calls=True
        ),
        "http-json": _over_http(
            "gauges", {"kind": "http-json", "value": "body.value", **_SAMPLED},
            json_said, lambda _: [json_answer(b'{"value": 1}')],
        ),
        "prometheus": _over_http(
            "gauges", {"kind": "prometheus", "metric": "depth", **_SAMPLED},
            hostile.IN_METRICS, lambda _: [answer(200, b"depth 1\n", "Content-Type: text/plain")],
        ),
        "otlp": _over_http(
            "reports", {"kind": "otlp", "every": "1s", "timeout": "1s"}, hostile.IN_JSON, lambda _: [answer(200)]
        ),
        "webhook": _over_http(
            "reports", {"kind": "webhook", "timeout": "1s"}, hostile.IN_JSON, lambda _: [answer(200)]
        ),
        "eventbridge": Protocol(
            "producers", {"kind": "eventbridge", "bus": "b", "timeout": "1s", **region}, _AWS, json_said,
            by_script(_aws),
        ),
        "dynamodb": Protocol(
            "probes",
            {"kind": "dynamodb", "table": "table", "key": {"pk": "{correlation_id}"}, "timeout": "1s", **region},
            _AWS, json_said, by_script(_aws),
        ),
        "s3": Protocol(
            "probes", {"kind": "s3", "bucket": "bucket", "key": "{correlation_id}", "timeout": "1s", **region},
            _AWS, hostile.IN_XML, by_script(_aws),
        ),
        "sqs": Protocol(
            "probes", {"kind": "sqs-tap", "queue": "q", "pollers": 1, **region}, _AWS, json_said, by_script(_aws)
        ),
        "sqs-queue": Protocol(
            "gauges", {"kind": "sqs-queue", "queue": "q", "every": "1s", **region}, _AWS,
            json_said, by_script(_aws),
        ),
        "sqs-age": Protocol(
            "gauges", {"kind": "sqs-queue", "queue": "q", "oldest_age": True, "every": "1s", **region}, _AWS,
            hostile.IN_METRIC_DATA, by_script(_aws),
        ),
        "cloudwatch": Protocol(
            "gauges",
            {"kind": "cloudwatch", "namespace": "n", "metric": "m", "period": "1s", "every": "1s", **region}, _AWS,
            hostile.IN_METRIC_DATA, by_script(_aws),
        ),
        "otlp-grpc": Protocol(
            "reports", {"kind": "otlp", "protocol": "grpc", "every": "1s", "timeout": "1s"}, _AT, hostile.IN_GRPC,
            _grpc, greetings=1,
        ),
        "http-bulk": _over_http(
            "probes", {"kind": "http", "timeout": "1s", "ids": {"in": "body"}, "items": "body.items"}, json_said,
            lambda _: [json_answer(b'{"items": []}')],
        ),
        "rabbitmq-api": _over_http(
            "producers", {"kind": "http", "timeout": "5s", "rabbitmq_api": {"routing_key": "q"}}, json_said,
            lambda _: [json_answer(b'{"routed": true}')], "api/exchanges/%2F/x/publish",
        ),
        "scraped": Protocol(
            "reports", {"kind": "prometheus"}, ("listen", "127.0.0.1:{port}"), hostile.IN_REQUESTS, calls=True
        ),
        "live-page": Protocol("", {}, ("--ui-port", "{port}"), hostile.IN_REQUESTS, calls=True),
    } | {
        name: Protocol(
            "probes", {"kind": "redis", "timeout": "1s", **settings}, ("url", "redis://127.0.0.1:{port}/0"), speech,
            _redis, greetings=4,
        )
        for name, settings, speech in (
            ("redis", {"key": "{correlation_id}"}, hostile.IN_REDIS),
            ("redis-hash", {"hash": "h", "field": "{correlation_id}"}, hostile.IN_REDIS_AT_ONCE),
            ("redis-hashes", {"hash": "{correlation_id}", "field": "f"}, hostile.IN_REDIS_AT_ONCE),
            ("redis-stream", {"stream": "s", "field": "f"}, hostile.IN_REDIS),
        )
    } | {
        name: Protocol(section, settings, ("url", "redis://127.0.0.1:{port}/0"), speech, _redis, greetings=2)
        for name, section, settings, speech in (
            ("redis-stream-producer", "producers", {"kind": "redis-stream", "stream": "s", "timeout": "1s"},
             hostile.IN_REDIS_AT_ONCE),
            ("redis-stream-tap", "probes", {"kind": "redis-stream-tap", "stream": "s", "timeout": "1s"},
             hostile.IN_REDIS),
            ("redis-group", "gauges", {"kind": "redis-group", "stream": "s", "group": "g", **_SAMPLED},
             hostile.IN_REDIS_THREE),
        )
    }  # fmt: skip


def run(spoken: Mapping[str, Protocol], ways: Sequence[str], lasting_s: int, cwd: Path) -> list[Told]:
    """At the same time: a run that speaks all of these while they are well, and one in each of the ways."""

    async def main() -> list[Told]:
        return await asyncio.gather(*(_run(spoken, way, lasting_s, cwd) for way in (hostile.QUIET, *ways)))

    return asyncio.run(main())


async def _run(spoken: Mapping[str, Protocol], way: str, lasting_s: int, cwd: Path) -> Told:
    began = asyncio.Event()
    directory = cwd / way.replace(" ", "-").replace(",", "")
    directory.mkdir()

    def quiet(request: Request) -> Sequence[bytes]:
        began.set()
        return [answer(200)]

    async with AsyncExitStack() as opened:
        well = await opened.enter_async_context(serving(quiet))
        peers: dict[str, Hostile] = {}
        config = _beginning(well.url)
        config["scenarios"]["s"] = _scenario("well", lasting_s)
        options: list[str] = []
        callers: list[Caller] = []
        for name, protocol in spoken.items():
            if protocol.calls:
                port = _free_port()
                callers.append(Caller(port, protocol.speech, way))
            else:
                peer = await opened.enter_async_context(_peer(protocol, way))
                peers[name], port = peer, peer.port
            if protocol.section:
                _add(config, name, protocol, port, lasting_s)
            else:
                options += [text.format(port=port) for text in protocol.address]
        turning = asyncio.create_task(_turn(began, peers, callers))
        try:
            (directory / "c.yaml").write_text(yaml.safe_dump(config))
            ended, kib = await asyncio.to_thread(_command, directory, options, lasting_s)
        finally:
            turning.cancel()
            await asyncio.gather(turning, return_exceptions=True)
    spoke = sum(peer.spoke for peer in peers.values()) + sum(caller.spoke for caller in callers)
    return Told(way, ended, kib, spoke)


def _command(directory: Path, options: Sequence[str], lasting_s: int) -> tuple[Ended, int]:
    through = [sys.executable, "-S", peak.__file__, str(directory / "peak")]
    environment = {**ENVIRONMENT, "NO_PROXY": "*"}
    with started(
        "run", "c.yaml", "--out", "out", *options, cwd=directory, env=environment, through=through
    ) as running:
        try:
            out, err = running.process.communicate(timeout=lasting_s + 120)
        finally:
            # The one in between ends the command, which its own end would leave running.
            running.process.terminate()
            code = running.process.wait()
    return Ended(code, out, err), int((directory / "peak").read_text())


def _beginning(url: str) -> dict[str, Any]:
    return {
        "producers": {"well": {"kind": "http", "url": f"{url}/events"}},
        "probes": {"well": {"kind": "http", "url": f"{url}/{{correlation_id}}", "deadline": "2s"}},
        "events": {"e": {"type": "t", "source": "/tests"}},
        "gauges": {},
        "reports": {},
        "scenarios": {},
        "settle": "5s",
        "self_checks": _LENIENT,
    }


def _add(config: dict[str, Any], name: str, protocol: Protocol, port: int, lasting_s: int) -> None:
    key, address = protocol.address
    settings = {**copy.deepcopy(dict(protocol.settings)), key: address.format(port=port)}
    if protocol.section == "probes":
        settings["deadline"] = "2s"
    config[protocol.section][name] = settings
    if protocol.section == "producers":
        config["scenarios"].pop("s", None)
        config["scenarios"][name] = _scenario(name, lasting_s)
    elif protocol.section == "probes":
        config["scenarios"]["s"]["probes"].append(name)


def _scenario(producer: str, lasting_s: int) -> dict[str, Any]:
    load = [{"rate": "10/s", "for": f"{lasting_s}s"}]
    return {"producer": producer, "probes": ["well"], "events": {"e": 1}, "load": load}


@asynccontextmanager
async def _peer(protocol: Protocol, way: str) -> AsyncIterator[Hostile]:
    async with AsyncExitStack() as opened:
        port = await opened.enter_async_context(protocol.well())
        behind = Hostile(port, protocol.speech, way, greetings=protocol.greetings, unasked=protocol.unasked)
        yield await opened.enter_async_context(behind)


async def _turn(began: asyncio.Event, peers: Mapping[str, Hostile], callers: Sequence[Caller]) -> None:
    """All are hostile once the run has begun."""
    await began.wait()
    for peer in peers.values():
        peer.turn()
    await asyncio.gather(*(caller.call() for caller in callers))


class Caller:
    """Calls at a port in a way, two at a time, or in all at the same time."""

    def __init__(self, port: int, speech: Speech, way: str) -> None:
        self.spoke = 0
        self._port = port
        self._speech = speech
        self._ways = hostile.WAYS if way == hostile.IN_TURN else () if way == hostile.QUIET else (way, way)

    async def call(self) -> None:
        """Call until cancelled."""
        await asyncio.gather(*(self._again_and_again(way) for way in self._ways))

    async def _again_and_again(self, way: str) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            self.spoke += 1
            try:
                await said(self._speech[way](), writer)
                await asyncio.sleep(0.1)
            finally:
                writer.transport.abort()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
