"""Every adapter that asks somebody over the network, with a peer that is slow, goes silent or hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiormq
import asyncpg
import pytest
from aiohttp import web

from evload.clock import SystemClock
from evload.model.states import Outcome, Seen
from evload.model.travel import Read, Receipt
from evload.probes.dynamodb import DynamodbProbeConfig
from evload.probes.http import HttpProbeConfig
from evload.probes.http_feed import HttpFeedConfig
from evload.probes.mysql import MysqlProbeConfig
from evload.probes.postgres import PostgresProbeConfig
from evload.probes.postgres_listen import PostgresListenConfig
from evload.probes.rabbitmq_tap import RabbitmqTapConfig
from evload.probes.redis import RedisProbeConfig
from evload.probes.redis_stream_tap import RedisStreamTapConfig
from evload.probes.s3 import S3ProbeConfig
from evload.probes.sqs_tap import SqsTapConfig
from evload.probes.sse import SseProbeConfig
from evload.producers.eventbridge import EventBridgeProducerConfig
from evload.producers.http import HttpProducerConfig
from evload.producers.rabbitmq import RabbitmqProducerConfig
from evload.producers.redis_stream import RedisStreamProducerConfig
from evload.spi.probe import ProbeSettings
from evload.spi.producer import ProducerSettings
from evload.testing import (
    PEERS,
    Peer,
    check_probe_peer,
    check_producer_peer,
    check_push_peer,
    check_push_probe,
    sample_targets,
)
from tests.servers.aws_server import AwsServer
from tests.servers.httpserver import Request, answer, json_answer, serving
from tests.servers.mysql_server import MysqlServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.rabbitmq_node import RabbitNode
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("aws_environment")

Place = AbstractAsyncContextManager[tuple[int, Callable[[int], Any]]]
"""Gives the port of a peer that is well, and what makes settings for a port."""


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def limit_of(peer: Peer) -> str:
    """Who is slow is waited for, however busy the machine is; who doesn't answer is given up soon."""
    return "15s" if peer == "slow" else "3s"


# --- producers --------------------------------------------------------------------------------------------


@asynccontextmanager
async def http_broker(peer: Peer) -> AsyncIterator[tuple[int, Callable[[int], ProducerSettings]]]:
    async with serving(lambda request: [answer(202)]) as server:
        yield (
            port_of(server.url),
            lambda port: HttpProducerConfig.model_validate(
                {"kind": "http", "url": f"http://127.0.0.1:{port}/", "timeout": limit_of(peer), "connections": 8}
            ),
        )


@asynccontextmanager
async def rabbitmq_queue(rabbitmq: RabbitNode, peer: Peer) -> AsyncIterator[tuple[int, Callable[[int], Any]]]:
    connection = await aiormq.connect(rabbitmq.url)
    channel = await connection.channel()
    queue = (await channel.queue_declare(f"faulty-{peer}")).queue
    yield (
        rabbitmq.port,
        lambda port: RabbitmqProducerConfig.model_validate(
            {"kind": "rabbitmq", "url": f"amqp://127.0.0.1:{port}/", "routing_key": queue, "timeout": limit_of(peer)}
        ),
    )
    await channel.queue_delete(f"faulty-{peer}")
    await connection.close()


def produced(place: Place, peer: Peer) -> dict[Outcome, int]:
    """How many events ended how."""

    async def run() -> Sequence[Receipt]:
        async with place as (port, settings_at):
            return list((await check_producer_peer(settings_at, port, peer, events=100, within_s=20)).values())

    counts: dict[Outcome, int] = {}
    for receipt in asyncio.run(run()):
        counts[receipt.outcome] = counts.get(receipt.outcome, 0) + 1
    return counts


@pytest.mark.parametrize("peer", PEERS)
def test_the_http_producer(peer: Peer) -> None:
    counts = produced(http_broker(peer), peer)
    assert counts[Outcome.ACCEPTED] >= (100 if peer == "slow" else 50)
    assert Outcome.REJECTED not in counts
    if peer == "clogged":
        # Those that were handed to a connection; the others never found one that was free.
        assert counts[Outcome.IN_DOUBT] == 8
        assert counts[Outcome.UNSENT] == 42


@pytest.mark.parametrize("peer", PEERS)
def test_the_rabbitmq_producer(peer: Peer, rabbitmq: RabbitNode) -> None:
    counts = produced(rabbitmq_queue(rabbitmq, peer), peer)
    assert counts[Outcome.ACCEPTED] >= (100 if peer == "slow" else 50)
    if peer == "clogged":
        assert counts[Outcome.IN_DOUBT] > 0


@pytest.mark.parametrize("peer", PEERS)
def test_the_redis_streams_producer(peer: Peer, redis: RedisServer) -> None:
    @asynccontextmanager
    async def stream() -> AsyncIterator[tuple[int, Callable[[int], ProducerSettings]]]:
        yield (
            redis.port,
            lambda port: RedisStreamProducerConfig.model_validate(
                {"kind": "redis-stream", "url": f"redis://127.0.0.1:{port}", "stream": f"faulty-{peer}",
                 "timeout": limit_of(peer)}
            ),
        )  # fmt: skip

    counts = produced(stream(), peer)
    assert counts[Outcome.ACCEPTED] >= (100 if peer == "slow" else 50)
    if peer == "clogged":
        assert counts[Outcome.IN_DOUBT] == 50


@pytest.mark.parametrize("peer", PEERS)
def test_the_eventbridge_producer(peer: Peer, aws: AwsServer) -> None:
    aws.client("events").create_event_bus(Name=f"faulty-{peer}")

    @asynccontextmanager
    async def bus() -> AsyncIterator[tuple[int, Callable[[int], ProducerSettings]]]:
        yield (
            port_of(aws.url),
            lambda port: EventBridgeProducerConfig.model_validate(
                {
                    "kind": "eventbridge",
                    "bus": f"faulty-{peer}",
                    "endpoint": f"http://127.0.0.1:{port}",
                    "timeout": limit_of(peer),
                }
            ),
        )

    counts = produced(bus(), peer)
    assert counts[Outcome.ACCEPTED] >= (100 if peer == "slow" else 50)
    if peer == "clogged":
        assert counts[Outcome.IN_DOUBT] > 0


# --- probes -----------------------------------------------------------------------------------------------


def probed(settings_at: Callable[[int], ProbeSettings], port: int, peer: Peer) -> set[Seen]:
    """What was read while the peer was at fault."""
    return {
        read.seen
        for read in asyncio.run(check_probe_peer(settings_at, port, peer, sample_targets(3), within_s=20)).values()
    }


def expected(peer: Peer) -> set[Seen]:
    """A peer that hangs up may have done so before anybody asked, and then a second try fails too."""
    return {Seen.ABSENT} if peer == "slow" else {Seen.FAILED}


@pytest.mark.parametrize("peer", PEERS)
def test_the_http_probe(peer: Peer) -> None:
    async def run() -> set[Seen]:
        async with serving(lambda request: [answer(404)]) as server:
            reads = await check_probe_peer(
                lambda port: HttpProbeConfig.model_validate(
                    {"kind": "http", "url": f"http://127.0.0.1:{port}/{{correlation_id}}", "timeout": "1s"}
                ),
                port_of(server.url), peer, sample_targets(3), within_s=20,
            )  # fmt: skip
        return {read.seen for read in reads.values()}

    assert asyncio.run(run()) == expected(peer)


@pytest.mark.parametrize("peer", PEERS)
def test_the_feed_probe(peer: Peer) -> None:
    def page(request: Request) -> list[bytes]:
        return [json_answer(b'{"items": [], "next": "1"}')]

    async def run() -> set[Seen]:
        async with serving(page) as server:
            reads = await check_probe_peer(
                lambda port: HttpFeedConfig.model_validate({
                    "kind": "http-feed", "url": f"http://127.0.0.1:{port}/?since={{cursor}}", "timeout": "1s",
                    "items": "body.items", "next": "body.next",
                }),
                port_of(server.url), peer, sample_targets(3), within_s=20,
            )  # fmt: skip
        return {read.seen for read in reads.values()}

    assert asyncio.run(run()) == expected(peer)


@pytest.mark.parametrize("peer", PEERS)
def test_the_postgres_probe(peer: Peer, postgres: PostgresServer) -> None:
    def settings_at(port: int) -> PostgresProbeConfig:
        url = postgres.owner.replace(str(postgres.port), str(port))
        query = "SELECT 'x' AS id WHERE 'x' = ANY(:ids)"
        return PostgresProbeConfig.model_validate(
            {"kind": "postgres", "url": url, "query": query, "statement_timeout": "1s"}
        )

    assert probed(settings_at, postgres.port, peer) == expected(peer)


@pytest.mark.parametrize("peer", PEERS)
def test_the_mysql_probe(peer: Peer, mysql: MysqlServer) -> None:
    def settings_at(port: int) -> MysqlProbeConfig:
        url = f"mysql://root@127.0.0.1:{port}/mysql"
        return MysqlProbeConfig.model_validate(
            {"kind": "mysql", "url": url, "query": "SELECT 'x' AS id FROM dual WHERE 'x' IN (:ids)",
             "statement_timeout": "1s"}
        )  # fmt: skip

    assert probed(settings_at, mysql.port, peer) == expected(peer)


@pytest.mark.parametrize("peer", PEERS)
def test_the_redis_probe(peer: Peer, redis: RedisServer) -> None:
    def settings_at(port: int) -> RedisProbeConfig:
        return RedisProbeConfig.model_validate(
            {"kind": "redis", "url": f"redis://127.0.0.1:{port}/0", "key": "{correlation_id}", "timeout": "1s"}
        )

    assert probed(settings_at, redis.port, peer) == expected(peer)


@pytest.mark.parametrize("peer", PEERS)
def test_the_dynamodb_probe(peer: Peer, aws: AwsServer) -> None:
    table = f"faulty-{peer}"
    aws.client("dynamodb").create_table(
        TableName=table, KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )  # fmt: skip

    def settings_at(port: int) -> DynamodbProbeConfig:
        return DynamodbProbeConfig.model_validate({
            "kind": "dynamodb", "endpoint": f"http://127.0.0.1:{port}", "region": "eu-west-1", "table": table,
            "key": {"pk": "{correlation_id}"}, "timeout": "1s",
        })  # fmt: skip

    assert probed(settings_at, port_of(aws.url), peer) == expected(peer)


@pytest.mark.parametrize("peer", PEERS)
def test_the_s3_probe(peer: Peer, aws: AwsServer) -> None:
    bucket = f"faulty-{peer}"
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def settings_at(port: int) -> S3ProbeConfig:
        return S3ProbeConfig.model_validate({
            "kind": "s3", "endpoint": f"http://127.0.0.1:{port}", "region": "eu-west-1", "bucket": bucket,
            "key": "{correlation_id}", "timeout": "1s",
        })  # fmt: skip

    assert probed(settings_at, port_of(aws.url), peer) == expected(peer)


# --- probes that listen -----------------------------------------------------------------------------------


Listened = tuple[int, Callable[[int], ProbeSettings], Callable[[Sequence[str]], Awaitable[None]]]
"""Port of a peer, settings for a port, and what has the peer show events."""


@asynccontextmanager
async def notifications(postgres: PostgresServer) -> AsyncIterator[Listened]:
    connection = await asyncpg.connect(postgres.owner)

    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            await connection.execute("SELECT pg_notify('done', $1)", correlation_id)

    def settings_at(port: int) -> PostgresListenConfig:
        url = postgres.owner.replace(str(postgres.port), str(port))
        return PostgresListenConfig.model_validate({"kind": "postgres-listen", "url": url, "channel": "done"})

    yield postgres.port, settings_at, push
    await connection.close()


@asynccontextmanager
async def deliveries(rabbitmq: RabbitNode) -> AsyncIterator[Listened]:
    connection = await aiormq.connect(rabbitmq.url)
    channel = await connection.channel()
    await channel.exchange_declare("faulty-tap", exchange_type="fanout", auto_delete=False)

    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            properties = aiormq.spec.Basic.Properties(correlation_id=correlation_id)
            await channel.basic_publish(b"", exchange="faulty-tap", properties=properties)

    yield rabbitmq.port, lambda port: RabbitmqTapConfig.model_validate(
        {"kind": "rabbitmq-tap", "url": f"amqp://127.0.0.1:{port}/", "exchange": "faulty-tap"}
    ), push  # fmt: skip
    await channel.exchange_delete("faulty-tap")
    await connection.close()


@asynccontextmanager
async def messages(aws: AwsServer) -> AsyncIterator[Listened]:
    # A queue of its own: a long poll that was hung up on may go on for 20 s at the server, and take what comes next.
    name = f"faulty-tap-{uuid4().hex}"
    queue = aws.queue(name)
    sqs = aws.client("sqs")

    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            body = json.dumps({"correlationid": correlation_id})
            await asyncio.to_thread(sqs.send_message, QueueUrl=queue, MessageBody=body)

    # One poller: moto may hand a message to two that ask at the same time.
    yield port_of(aws.url), lambda port: SqsTapConfig.model_validate({
        "kind": "sqs-tap", "queue": name, "endpoint": f"http://127.0.0.1:{port}",
        "region": "eu-west-1", "pollers": 1,
    }), push  # fmt: skip


@asynccontextmanager
async def stream() -> AsyncIterator[Listened]:
    open_streams: set[web.StreamResponse] = set()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b":\n\n")
        open_streams.add(response)
        await asyncio.Event().wait()
        return response

    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            for response in tuple(open_streams):
                try:
                    await response.write(f"data: {correlation_id}\n\n".encode())
                except ConnectionError:
                    open_streams.discard(response)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], lambda port: SseProbeConfig.model_validate(
        {"kind": "sse", "url": f"http://127.0.0.1:{port}/"}
    ), push  # fmt: skip
    await runner.cleanup()


@asynccontextmanager
async def entries(redis: RedisServer) -> AsyncIterator[Listened]:
    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            await asyncio.to_thread(redis.client.xadd, "faulty-tap", {"correlationid": correlation_id})

    yield redis.port, lambda port: RedisStreamTapConfig.model_validate(
        {"kind": "redis-stream-tap", "url": f"redis://127.0.0.1:{port}/0", "stream": "faulty-tap", "timeout": "3s"}
    ), push  # fmt: skip


LISTENERS = ("postgres-listen", "rabbitmq-tap", "redis-stream-tap", "sqs-tap", "sse")


@pytest.fixture
def listened(
    request: pytest.FixtureRequest,
    postgres: PostgresServer,
    rabbitmq: RabbitNode,
    redis: RedisServer,
    aws: AwsServer,
) -> AbstractAsyncContextManager[Listened]:
    match request.param:
        case "postgres-listen":
            return notifications(postgres)
        case "rabbitmq-tap":
            return deliveries(rabbitmq)
        case "redis-stream-tap":
            return entries(redis)
        case "sqs-tap":
            return messages(aws)
        case _:
            return stream()


@pytest.mark.parametrize("listened", LISTENERS, indirect=True)
def test_what_is_pushed_is_reported_and_the_rest_is_absent(
    listened: AbstractAsyncContextManager[Listened],
) -> None:
    async def run() -> Sequence[Read]:
        async with listened as (port, settings_at, push):
            return await check_push_probe(settings_at(port), SystemClock(), push, events=8)

    assert sorted(read.seq for read in asyncio.run(run())) == [0, 1, 2, 3]


@pytest.mark.parametrize("listened", LISTENERS, indirect=True)
def test_a_listener_that_is_cut_off_says_so_and_comes_back(
    listened: AbstractAsyncContextManager[Listened],
) -> None:
    async def run() -> Sequence[Read]:
        async with listened as (port, settings_at, push):
            return await check_push_peer(settings_at, port, push, events=60)

    seqs = [read.seq for read in asyncio.run(run())]
    assert set(range(20)) <= set(seqs)
    assert max(seqs) >= 20
