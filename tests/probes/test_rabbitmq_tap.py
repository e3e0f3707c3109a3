"""The queue probe against a real broker: deliveries are seen at once, silence proves something only without a gap."""

from __future__ import annotations

import asyncio
import base64
import builtins
import gzip
import json
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiormq
import orjson
import pytest
from aiormq.abc import AbstractChannel
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Connection
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from pydantic import ValidationError

from evload.clients.amqp import parse_url
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes.rabbitmq_tap import RabbitmqTapConfig
from evload.probes.rabbitmq_tap.consumer import Consumer, Delivered
from evload.probes.rabbitmq_tap.delivery import DeliveryReader
from evload.spi.context import Surroundings
from evload.spi.probe import PushProbe
from evload.testing import check_probe, run_virtual
from tests.servers.rabbitmq_node import RabbitNode

IDS = CorrelationIds.for_run("r-1")
OTHERS = CorrelationIds.for_run("another run")


def config_of(url: str = "amqp://localhost/", **settings: Any) -> RabbitmqTapConfig:
    source = {} if "queue" in settings else {"exchange": "x"}
    return RabbitmqTapConfig.model_validate({"kind": "rabbitmq-tap", "url": url, **source, **settings})


# --- what a delivery says ---------------------------------------------------------------------------------


def raw(**properties: Any) -> bytes:
    """Properties as they stand in a content header."""
    return ContentHeader(0, 0, Basic.Properties(**properties)).marshal()[12:]


def seq_in(body: bytes = b"", settings: Mapping[str, Any] | None = None, **properties: Any) -> int | None:
    read = DeliveryReader(config_of(**(settings or {})), IDS).read(raw(**properties), body, 5, 1)
    return None if read is None else read.seq


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "ce-"])
def test_by_default_the_id_is_where_cloudevents_put_it(prefix: str) -> None:
    assert seq_in(headers={"a": 1, f"{prefix}correlationid": IDS.id_of(3), "z": "x"}) == 3
    assert seq_in(correlation_id=IDS.id_of(4), content_type="text/plain", reply_to="q", message_id="m") == 4
    assert seq_in(orjson.dumps({"specversion": "1.0", "correlationid": IDS.id_of(5)})) == 5


def test_a_place_with_somebody_elses_id_does_not_hide_ours() -> None:
    body = orjson.dumps({"correlationid": IDS.id_of(6)})
    assert seq_in(body, headers={"ce-correlationid": OTHERS.id_of(1)}, correlation_id="rpc-17") == 6


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"7", b'{"correlationid": 7}', b"\xff\xfe"])
def test_what_carries_no_id_of_this_run_is_none_of_ours(body: bytes) -> None:
    assert seq_in(body) is None
    assert seq_in(body, headers={"ce-correlationid": 17, "ce-id": IDS.id_of(1)}, message_id=IDS.id_of(1)) is None
    assert seq_in(body, correlation_id=OTHERS.id_of(1)) is None


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        (gzip.compress(orjson.dumps({"correlationid": IDS.id_of(7)}), mtime=0), {"content_encoding": "gzip"}),
        (gzip.compress(orjson.dumps({"correlationid": IDS.id_of(7)}), mtime=0), {}),
        (zlib.compress(orjson.dumps({"correlationid": IDS.id_of(7)}))[2:-4], {"content_encoding": "deflate"}),
        (orjson.dumps({"data_base64": base64.b64encode(orjson.dumps({"correlationid": IDS.id_of(7)})).decode()}), {}),
        (orjson.dumps({"data": {"correlationId": IDS.id_of(7).upper()}}), {}),
        (IDS.id_of(7).encode(), {}),
        (b"", {"headers": {"X-Correlation-ID": IDS.id_of(7)}}),
        (b"", {"correlation_id": "urn:uuid:" + IDS.id_of(7)}),
        (b"", {"correlation_id": IDS.id_of(7).replace("-", "")}),
    ],
)
def test_what_is_wrapped_up_or_written_otherwise_is_ours_all_the_same(
    body: bytes, properties: dict[str, Any]
) -> None:
    reader = DeliveryReader(config_of(), IDS)
    read = reader.read(raw(**properties), body, 5, 1)
    assert read is not None
    assert (read.seq, reader.attribution.take()) == (7, (0, ""))


def test_in_a_named_field_of_the_body_too_and_expressions_see_what_was_within() -> None:
    inner = {"order": {"id": IDS.id_of(7)}, "n": 5}
    body = gzip.compress(orjson.dumps({"TopicArn": "t", "Message": orjson.dumps(inner).decode()}), mtime=0)
    reader = DeliveryReader(config_of(match={"body": "order.id"}, position="body.n"), IDS)
    read = reader.read(raw(), body, 5, 1)
    assert read is not None
    assert (read.seq, read.position) == (7, 5)


@pytest.mark.parametrize(
    ("settings", "properties", "body", "told"),
    [
        ({}, {}, b'{"n": 5}', (1, '{"n":5}')),
        ({}, {}, b"", (1, "an empty text")),
        ({}, {"correlation_id": "rpc-17"}, b"hello", (1, "hello")),
        ({}, {"correlation_id": OTHERS.id_of(1)}, b"hello", (0, "")),
        ({}, {}, orjson.dumps({"correlationId": OTHERS.id_of(1).upper()}), (0, "")),
        ({"match": {"header": "x-id"}}, {"correlation_id": IDS.id_of(1)}, b"5", (1, "5")),
        ({"match": {"header": "x-id"}}, {"headers": {"x-id": OTHERS.id_of(1)}}, b"5", (0, "")),
        ({"match": {"property": "message_id"}}, {"message_id": "m-5"}, b"5", (1, "5")),
        ({"match": {"body": "order.id"}}, {}, b'{"order": {"id": 5}}', (1, '{"order":{"id":5}}')),
    ],
)
def test_what_is_about_no_event_of_any_run_is_counted(
    settings: dict[str, Any], properties: dict[str, Any], body: bytes, told: tuple[int, str]
) -> None:
    reader = DeliveryReader(config_of(**settings), IDS)
    assert reader.read(raw(**properties), body, 5, 1) is None
    assert reader.attribution.take() == told


def test_a_named_place_is_the_only_one() -> None:
    elsewhere: dict[str, Any] = {"correlation_id": IDS.id_of(9), "headers": {"ce-correlationid": IDS.id_of(9)}}
    for match in ({"header": "x-id"}, {"property": "message_id"}, {"body": "data.id"}):
        assert seq_in(settings={"match": match}, **elsewhere) is None
    assert seq_in(settings={"match": {"header": "x-id"}}, headers={"x-id": IDS.id_of(1).upper()}) == 1
    assert seq_in(settings={"match": {"header": "x-id"}}, headers={"x-id": bytearray(IDS.id_of(1).encode())}) == 1
    assert seq_in(settings={"match": {"property": "message_id"}}, message_id=IDS.id_of(2)) == 2
    assert seq_in(orjson.dumps({"data": {"id": IDS.id_of(3)}}), {"match": {"body": "data.id"}}) == 3


def test_a_header_value_that_looks_like_the_name_of_a_header() -> None:
    headers = {"a": "id", "b": "\x02id", "id": IDS.id_of(8)}
    assert seq_in(settings={"match": {"header": "id"}}, headers=headers) == 8


TEXT = st.text(max_size=20)


@given(
    st.fixed_dictionaries(
        {"correlation_id": st.just(IDS.id_of(77))},
        optional={
            "content_type": TEXT, "content_encoding": TEXT, "headers": st.dictionaries(TEXT, TEXT, max_size=4),
            "delivery_mode": st.integers(1, 2), "priority": st.integers(0, 9), "reply_to": TEXT,
            "expiration": TEXT, "message_id": TEXT, "timestamp": st.just(datetime(2026, 1, 1, tzinfo=UTC)),
            "message_type": TEXT, "user_id": TEXT, "app_id": TEXT,
        },
    )
)  # fmt: skip
def test_the_property_is_found_whatever_stands_before_it(properties: dict[str, Any]) -> None:
    assert seq_in(settings={"match": {"property": "correlation_id"}}, **properties) == 77


def test_expressions_see_headers_properties_and_body() -> None:
    config = config_of(
        position="body.offset", consumed_at='headers."x-consumed"', processed_at="properties.timestamp"
    )
    reader = DeliveryReader(config, IDS)
    properties = raw(
        correlation_id=IDS.id_of(1),
        headers={"x-consumed": "2026-01-01T00:00:00Z"},
        timestamp=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    )
    assert reader.read(properties, b'{"offset": 41}', 5, 1) == Read(
        1, Seen.PRESENT, 5, 5, None, None, 41, 1_767_225_600 * 10**9, 1_767_225_601 * 10**9, True
    )
    assert reader.complaint == ""
    seen = reader.read(raw(correlation_id=IDS.id_of(1)), b"none", 5, 2)
    assert seen == Read(1, Seen.PRESENT, 5, 5, None, None, None, None, None, True)
    assert reader.complaint == "position 'body.offset' gives no number in a delivery"


@pytest.mark.parametrize(
    ("stamp", "unread"), [("01/02/2026", "01/02/2026"), (True, "True"), ("2026-01-01T00:00:00+0000", ""), ("", "")]
)
def test_a_stamp_that_cannot_be_read_is_told(stamp: object, unread: str) -> None:
    reader = DeliveryReader(config_of(processed_at="body.at"), IDS)
    seen = reader.read(raw(correlation_id=IDS.id_of(1)), json.dumps({"at": stamp}).encode(), 5, 1)
    assert seen is not None
    assert seen.unread_stamp == unread


def test_without_a_position_deliveries_are_numbered() -> None:
    read = DeliveryReader(config_of(), IDS).read(raw(correlation_id=IDS.id_of(2)), b"", 7, 12)
    assert read == Read(2, Seen.PRESENT, 7, 7, position=12, exact=True)


# --- what comes over the wire -----------------------------------------------------------------------------


def consumer_of(arrived: Callable[[Sequence[Delivered]], None]) -> Consumer:
    return Consumer(arrived, parse_url("amqp://localhost"), external=False, name="test")


def framed(tag: int, body: bytes, *, redelivered: bool, frame_max: int) -> bytes:
    deliver = Basic.Deliver("ctag", tag, redelivered, "x", "some.key")
    header = ContentHeader(0, len(body), Basic.Properties(correlation_id=f"c-{tag}"))
    parts = [frame.marshal(deliver, 1), frame.marshal(header, 1)]
    parts += [frame.marshal(ContentBody(body[at : at + frame_max]), 1) for at in range(0, len(body), frame_max)]
    return b"".join(parts)


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.booleans()), min_size=1, max_size=8),
    st.integers(3, 50),
    st.lists(st.integers(1, 60), min_size=1, max_size=10),
)
def test_deliveries_are_whole_however_the_bytes_are_cut(
    messages: list[tuple[bytes, bool]], frame_max: int, cuts: list[int]
) -> None:
    stream = b""
    for tag, (body, redelivered) in enumerate(messages):
        stream += framed(tag, body, redelivered=redelivered, frame_max=frame_max)
        stream += frame.marshal(Heartbeat(), 0)
    got: list[Delivered] = []

    async def feed() -> None:
        consumer = consumer_of(got.extend)
        at = 0
        while at < len(stream):
            size = cuts[at % len(cuts)]
            consumer.data_received(stream[at : at + size])
            at += size
        assert not consumer.ended.done()

    asyncio.run(feed())
    assert got == [
        Delivered(tag, redelivered, raw(correlation_id=f"c-{tag}"), body)
        for tag, (body, redelivered) in enumerate(messages)
    ]


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x00\x09\x01" * 4, bytes(40)])
def test_what_is_no_amqp_ends_the_connection(nonsense: bytes) -> None:
    async def feed() -> str:
        consumer = consumer_of(lambda _: None)
        consumer.data_received(nonsense + bytes(1 << 20))
        return str(await asyncio.wait_for(consumer.ended, 5))

    assert "doesn't speak AMQP 0-9-1" in asyncio.run(feed())


def test_a_broker_that_falls_silent_is_taken_for_dead_after_two_intervals() -> None:
    async def wait(last_word_s: float) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        consumer = consumer_of(lambda _: None)
        consumer.data_received(frame.marshal(Connection.Tune(channel_max=10, frame_max=8192, heartbeat=60), 0))
        loop.call_later(last_word_s, consumer.data_received, frame.marshal(Heartbeat(), 0))
        return str(await consumer.ended), round(loop.time())

    assert run_virtual(wait(10)) == ("nothing was heard of the broker for 150 s", 150)
    assert run_virtual(wait(100)) == ("nothing was heard of the broker for 150 s", 240)


# --- with a broker ----------------------------------------------------------------------------------------


class Heard:
    """What a tap has reported."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.errors: list[str] = []

    def __call__(self, result: ReadResult) -> None:
        self.reads += result.reads
        self.errors += [result.error] if result.error else []

    @property
    def seqs(self) -> list[int]:
        return [read.seq for read in self.reads]


async def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def channel_of(node: RabbitNode) -> AsyncIterator[AbstractChannel]:
    connection = await aiormq.connect(node.url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


@asynccontextmanager
async def tapped(url: str, **settings: Any) -> AsyncIterator[tuple[PushProbe, Heard]]:
    heard = Heard()
    async with config_of(url, **settings).open(Surroundings(SystemClock(), "r-1", Path())) as opened:
        probe = cast("PushProbe", opened)
        listening = asyncio.create_task(probe.listen(heard))
        await asyncio.sleep(0)
        try:
            yield probe, heard
        finally:
            listening.cancel()


@asynccontextmanager
async def topology(node: RabbitNode) -> AsyncIterator[tuple[AbstractChannel, str, str]]:
    """A topic exchange and a queue that is bound to it, as a system would have them."""
    name = f"tap-{uuid.uuid4().hex[:8]}"
    async with channel_of(node) as channel:
        await channel.exchange_declare(f"{name}.x", exchange_type="topic")
        await channel.queue_declare(f"{name}.q")
        await channel.queue_bind(f"{name}.q", f"{name}.x", "#")
        try:
            yield channel, f"{name}.x", f"{name}.q"
        finally:
            await channel.queue_delete(f"{name}.q")
            await channel.exchange_delete(f"{name}.x")


async def send(channel: AbstractChannel, exchange: str, seqs: Sequence[int], key: str = "a.b") -> None:
    for seq in seqs:
        properties = Basic.Properties(correlation_id=IDS.id_of(seq))
        await channel.basic_publish(b"{}", exchange=exchange, routing_key=key, properties=properties)


async def depth(channel: AbstractChannel, queue: str) -> int:
    return (await channel.queue_declare(queue, passive=True)).message_count or 0


def targets(*seqs: int) -> list[Target]:
    return [Target(seq, IDS.id_of(seq)) for seq in seqs]


def test_an_exchange_is_heard_without_anybody_noticing(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with topology(rabbitmq) as (channel, exchange, queue):
            clock = SystemClock()
            before = clock.now_ns()
            async with tapped(rabbitmq.url, exchange=exchange, routing_key=["a.*", "c"]) as (probe, heard):
                await send(channel, exchange, [5, 6, 5])
                await send(channel, exchange, [7], key="c")
                await send(channel, exchange, [8], key="not.for.us")
                foreign = Basic.Properties(correlation_id=OTHERS.id_of(1))
                await channel.basic_publish(b"", exchange=exchange, routing_key="c", properties=foreign)
                await send(channel, exchange, [9], key="c")
                await until(lambda: 9 in heard.seqs)
                assert heard.seqs == [5, 6, 5, 7, 9]
                assert [read.position for read in heard.reads] == [1, 2, 3, 4, 6]
                for read in heard.reads:
                    assert before < read.start_ns == read.end_ns < clock.now_ns()
                    assert (read.seen, read.exact, read.effects) == (Seen.PRESENT, True, None)
                absent = await probe.read(targets(8, 10))
                assert [(read.seq, read.seen) for read in absent.reads] == [(8, Seen.ABSENT), (10, Seen.ABSENT)]
                assert (absent.error, heard.errors) == ("", [])
            assert await depth(channel, queue) == 7, "the system's own queue has everything"

    asyncio.run(run())
    queues = rabbitmq.management("/api/queues")
    assert not [queue for queue in queues if queue["name"].startswith("amq.gen")], "the tap's queue is gone"


def test_large_bodies_come_in_several_frames(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            topology(rabbitmq) as (channel, exchange, _),
            tapped(rabbitmq.url, exchange=exchange) as (_, heard),
        ):
            body = orjson.dumps({"correlationid": IDS.id_of(3), "padding": "x" * 400_000})
            await channel.basic_publish(body, exchange=exchange, routing_key="k")
            await send(channel, exchange, [4])
            await until(lambda: 4 in heard.seqs)
            assert heard.seqs == [3, 4]

    asyncio.run(run())


def test_a_tap_conforms_and_proves_nothing_before_it_listens(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with topology(rabbitmq) as (_, exchange, _):
            config = config_of(rabbitmq.url, exchange=exchange, bulk=2)
            reads = await check_probe(config, SystemClock(), targets(1, 2, 3))
            assert {read.seen for read in reads.values()} == {Seen.ABSENT}
            async with config.open(Surroundings(SystemClock(), "r-1", Path())) as probe:
                unheard = await probe.read(targets(1, 2))
            assert {read.seen for read in unheard.reads} == {Seen.FAILED}

    asyncio.run(run())


def test_a_queue_is_consumed_and_its_messages_are_gone(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with topology(rabbitmq) as (channel, exchange, queue):
            await send(channel, exchange, range(50))
            async with tapped(rabbitmq.url, queue=queue, consume=True, prefetch=7) as (_, heard):
                await until(lambda: len(heard.seqs) == 50)
            assert heard.seqs == list(range(50))
            assert await depth(channel, queue) == 0

    asyncio.run(run())


def test_a_queue_can_be_given_back_what_it_had(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with topology(rabbitmq) as (channel, exchange, queue):
            await send(channel, exchange, range(5))
            async with tapped(rabbitmq.url, queue=queue, consume=True, afterwards="requeue") as (_, heard):
                await until(lambda: len(heard.seqs) == 5)
                assert await depth(channel, queue) == 0
            assert await depth(channel, queue) == 5

    asyncio.run(run())


@pytest.mark.parametrize("arguments", [{}, {"x-single-active-consumer": True}])
def test_what_another_consumer_of_the_queue_may_have_had_is_not_lost(
    rabbitmq: RabbitNode, arguments: dict[str, Any]
) -> None:
    async def run() -> None:
        async with channel_of(rabbitmq) as channel, channel_of(rabbitmq) as other:
            queue = f"shared-{uuid.uuid4().hex[:8]}"
            await channel.queue_declare(queue, arguments=arguments)

            async def ignore(_: object) -> None:
                pass

            held = await other.basic_consume(queue, ignore, no_ack=True)
            async with tapped(rabbitmq.url, queue=queue, consume=True) as (probe, heard):
                await channel.basic_publish(
                    b"{}", routing_key=queue, properties=Basic.Properties(correlation_id=IDS.id_of(1))
                )
                result = await probe.read(targets(1, 2))
                assert result.error.startswith(f"another consumer of queue '{queue}' may have had it")
                assert {read.seen for read in result.reads} == {Seen.FAILED}
                assert arguments == {} or heard.seqs == []
                # It stays so when the other one has gone.
                await other.basic_cancel(str(held.consumer_tag))
                assert (await probe.read(targets(2))).reads[0].seen is Seen.FAILED
            await channel.queue_delete(queue)

    asyncio.run(run())


def test_one_that_comes_later_is_noticed_and_without_one_absence_is_proof(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            topology(rabbitmq) as (_, _, queue),
            channel_of(rabbitmq) as other,
            tapped(rabbitmq.url, queue=queue, consume=True) as (probe, heard),
        ):
            alone = await asyncio.gather(*(probe.read(targets(seq)) for seq in range(20)))
            assert {read.seen for result in alone for read in result.reads} == {Seen.ABSENT}

            async def ignore(_: object) -> None:
                pass

            await other.basic_consume(queue, ignore, no_ack=True)
            assert (await probe.read(targets(1))).reads[0].seen is Seen.FAILED
            assert heard.errors == []

    asyncio.run(run())


def close_tap(node: RabbitNode) -> bool:
    """Close the tap's connection from the broker's side, once the management API lists it."""
    for connection in node.management("/api/connections"):
        if connection.get("client_properties", {}).get("connection_name") == "evload r-1 tap":
            node.management(f"/api/connections/{quote(connection['name'])}", "DELETE")
            return True
    return False


def test_a_lost_connection_is_had_again_and_absence_is_no_proof_any_more(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            topology(rabbitmq) as (channel, exchange, _),
            tapped(rabbitmq.url, exchange=exchange) as (probe, heard),
        ):
            await send(channel, exchange, [1])
            await until(lambda: heard.seqs == [1])
            assert (await probe.read(targets(2))).reads[0].seen is Seen.ABSENT
            while not await asyncio.to_thread(close_tap, rabbitmq):
                await asyncio.sleep(0.1)
            result = await probe.read(targets(2))
            while "was cut off" not in result.error:
                assert result.error == "" or result.error.startswith("the tap is cut off: ")
                await asyncio.sleep(0.01)
                result = await probe.read(targets(2))
            assert result.reads[0].seen is Seen.FAILED
            assert "CONNECTION_FORCED" in result.error
            await send(channel, exchange, [3])
            await until(lambda: 3 in heard.seqs)
            assert (await probe.read(targets(2))).reads[0].seen is Seen.FAILED

    asyncio.run(run())


def test_a_queue_deleted_under_the_tap_is_a_cut_and_found_again(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            topology(rabbitmq) as (channel, exchange, queue),
            tapped(rabbitmq.url, queue=queue, consume=True) as (probe, heard),
        ):
            await send(channel, exchange, [1])
            await until(lambda: heard.seqs == [1])
            await channel.queue_delete(queue)
            result = await probe.read(targets(2))
            while "no queue" not in result.error:
                await asyncio.sleep(0.01)
                result = await probe.read(targets(2))
            assert result.error.startswith("the tap is cut off: the queue was deleted (NOT_FOUND - no queue")
            assert result.reads[0].seen is Seen.FAILED
            await channel.queue_declare(queue)
            await send(channel, "", [3], key=queue)
            await until(lambda: 3 in heard.seqs)
            assert "the queue was deleted" in (await probe.read(targets(2))).error

    asyncio.run(run())


def test_what_comes_again_after_a_cut_is_no_second_effect(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            topology(rabbitmq) as (channel, exchange, queue),
            tapped(rabbitmq.url, queue=queue, consume=True, afterwards="requeue") as (probe, heard),
        ):
            await send(channel, exchange, [1, 2])
            await until(lambda: heard.seqs == [1, 2])
            cast("Any", probe)._consumer.connection_lost(None)
            await send(channel, exchange, [3])
            await until(lambda: 3 in heard.seqs)
            assert heard.seqs == [1, 2, 3]

    asyncio.run(run())


def test_tls_with_an_authority_of_its_own(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with topology(rabbitmq) as (channel, exchange, _):
            settings = {"exchange": exchange, "ca_file": str(rabbitmq.ca_file)}
            async with tapped(rabbitmq.tls_url, **settings) as (_, heard):
                await send(channel, exchange, [1])
                await until(lambda: heard.seqs == [1])
            external = {
                "auth": "external", "cert_file": str(rabbitmq.client_cert), "key_file": str(rabbitmq.client_key)
            }  # fmt: skip
            async with tapped(rabbitmq.tls_url, **settings, **external) as (_, heard):
                await send(channel, exchange, [2])
                await until(lambda: heard.seqs == [2])

    asyncio.run(run())


# --- what can't be had ------------------------------------------------------------------------------------


async def refused(url: str, **settings: Any) -> str:
    with pytest.raises(TargetError) as caught:
        async with config_of(url, **settings).open(Surroundings(SystemClock(), "r-1", Path())):
            pass
    text = str(caught.value)
    assert "\n" not in text
    assert "; " in text
    assert "guest:" not in text
    return text


def test_a_broker_that_has_not_what_is_asked_for(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        text = await refused(rabbitmq.url, exchange="no-such")
        assert text.startswith("there is no exchange 'no-such' in virtual host '/'")
        text = await refused(rabbitmq.url, queue="no-such", consume=True)
        assert text.startswith("there is no queue 'no-such' in virtual host '/'")
        wrong = rabbitmq.url.replace("guest:guest", "guest:sesame")
        text = await refused(wrong)
        assert "login of user 'guest' refused" in text
        assert "sesame" not in text
        assert "virtual host 'nowhere'" in await refused(rabbitmq.url + "nowhere")
        assert "certificate" in await refused(rabbitmq.tls_url)
        assert "connection refused" in await refused("amqp://127.0.0.1:1/")
        assert "closed the connection without a word of AMQP" in await refused(
            rabbitmq.management_url.replace("http:", "amqp:")
        )
        async with channel_of(rabbitmq) as channel:
            queue = (await channel.queue_declare("", exclusive=True)).queue
            text = await refused(rabbitmq.url, queue=queue, consume=True)
            assert "can't consume queue" in text
            assert "exclusive access" in text

    asyncio.run(run())


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("pamqp", "aiormq") or name == "listener":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TargetError, match=r"kind rabbitmq-tap needs aiormq; pip install 'evload\[rabbitmq\]'"):
        config_of().open(Surroundings(SystemClock(), "r-1", Path()))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"exchange": None}, "neither exchange nor queue is given; name the exchange"),
        ({"queue": "q"}, "both exchange and queue are given; name the exchange"),
        ({"exchange": None, "queue": "q"}, "write consume: true"),
        ({"exchange": None, "queue": "q", "consume": True, "routing_key": "a"}, "routing_key binds the tap's own"),
        ({"exchange": None, "queue": "q", "consume": True, "afterwards": "requeue", "prefetch": 5}, "prefetch would"),
        ({"consume": True}, "consume is for an existing queue"),
        ({"prefetch": 10}, "prefetch is for an existing queue"),
        ({"afterwards": "ack"}, "afterwards is for an existing queue"),
        ({"exchange": ""}, "at least 1 "),
        ({"routing_key": []}, "at least 1 item"),
        ({"routing_key": "ü" * 128}, "is longer than 255 bytes"),
        ({"match": {}}, "match names nothing; name one place"),
        ({"match": {"header": "a", "body": "b"}}, "match names header and body; name one place"),
        ({"match": {"property": "user_id"}}, "'correlation_id' or 'message_id'"),
        ({"match": {"body": "data.["}}, "is not JMESPath"),
        ({"position": "boddy.offset"}, "did you mean 'body'?"),
        ({"url": "http://localhost/"}, "is not an amqp or amqps address"),
        ({"exchanges": "x"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], text: str) -> None:
    values = {"kind": "rabbitmq-tap", "url": "amqp://localhost/", "exchange": "x", **settings}
    if values["exchange"] is None:
        del values["exchange"]
    with pytest.raises(ValidationError) as caught:
        RabbitmqTapConfig.model_validate(values)
    assert text in str(caught.value)


def test_it_pushes() -> None:
    assert config_of().capabilities.pushes
