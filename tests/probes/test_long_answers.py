"""Peers that answer without an end: the read fails for that reason, and what is well is read as ever."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any, Final

import pytest

from evload.errors import TargetError
from evload.gauges.rabbitmq_queue import RabbitmqQueueGaugeConfig
from evload.gauges.rabbitmq_queue.asker import Asker
from evload.gauges.redis_group import RedisGroupConfig
from evload.model.states import Seen
from evload.model.travel import Target
from evload.probes.mysql import MysqlProbeConfig
from evload.probes.postgres import PostgresProbeConfig
from evload.probes.rabbitmq_tap import RabbitmqTapConfig
from evload.probes.rabbitmq_tap.listener import Listener
from evload.probes.redis import RedisProbeConfig
from tests.rigs.asking import RUN, A, read_from
from tests.rigs.hostile import ENDLESS, LONG, MANY, Hostile, Saying, said
from tests.rigs.hostile_runs import Protocol, of_mysql, of_postgres, of_rabbitmq, protocols
from tests.servers.mysql_server import MysqlServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.rabbitmq_node import RabbitNode


def told(protocol: Protocol, way: str, kind: type[Any], **more: str) -> tuple[str, str, str]:
    """Why a look failed while the peer was well, when it was hostile, and later on a connection that it let in."""

    async def run() -> tuple[str, str, str]:
        async with protocol.well() as port, Hostile(port, protocol.speech, way, greetings=99) as peer:
            key, address = protocol.address
            settings = {**protocol.settings, key: address.format(port=peer.port), **more}
            async with kind.model_validate(settings).open(RUN) as adapter:

                async def looked() -> str:
                    result = await (adapter.read([A]) if hasattr(adapter, "read") else adapter.sample())
                    return str(result.error)

                well = await looked()
                peer.turn()
                return well, await looked(), await looked()

    return asyncio.run(run())


LIMIT: Final = "the answers under way are together longer than {} bytes"
PATIENT: Final = {"statement_timeout": "20s"}


@pytest.mark.parametrize("way", [LONG, MANY, ENDLESS])
def test_redis(way: str) -> None:
    reason = LIMIT.format(6 << 20)
    assert told(protocols()["redis"], way, RedisProbeConfig, timeout="20s") == ("", reason, "")


@pytest.mark.parametrize("way", [LONG, MANY, ENDLESS])
def test_a_group_of_redis(way: str) -> None:
    reason = "connection lost: an answer is longer than 8388608 bytes"
    assert told(protocols()["redis-group"], way, RedisGroupConfig, timeout="20s") == ("", reason, "")


@pytest.mark.parametrize("way", [LONG, MANY, ENDLESS])
def test_postgres(postgres: PostgresServer, way: str) -> None:
    postgres.execute("CREATE TABLE IF NOT EXISTS t (id text)")
    reason = LIMIT.format(3 << 19)
    assert told(of_postgres(postgres.port)["postgres"], way, PostgresProbeConfig, **PATIENT) == ("", reason, "")


@pytest.mark.parametrize("way", [LONG, MANY, ENDLESS])
def test_mysql(mysql: MysqlServer, way: str) -> None:
    mysql.execute("CREATE DATABASE IF NOT EXISTS shop", "CREATE TABLE IF NOT EXISTS shop.t (id varchar(99))")
    reason = "an answer has more than 4096 columns" if way == MANY else LIMIT.format(3 << 19)
    assert told(of_mysql(mysql.port)["mysql"], way, MysqlProbeConfig, **PATIENT) == ("", reason, "")


def test_an_answer_about_many_events_is_none_that_is_too_long(postgres: PostgresServer) -> None:
    """A thousand ids with all that a row may say."""
    targets = [Target(seq, RUN.ids.id_of(seq)) for seq in range(1000)]
    query = (
        "SELECT id, 5.0::float8 AS effects, now() AS consumed_at, now() AS processed_at, true AS visible, "
        "repeat('r', 60) AS replica, 7 AS version, 7 AS position FROM unnest(CAST(:ids AS text[])) AS id"
    )
    config = PostgresProbeConfig.model_validate({"kind": "postgres", "url": postgres.owner, "query": query})
    result = read_from(config, targets)
    assert (result.error, {read.seen for read in result.reads}) == ("", {Seen.PRESENT})


@pytest.mark.parametrize("way", [LONG, ENDLESS])
def test_a_queue_of_rabbitmq(rabbitmq: RabbitNode, way: str) -> None:
    rabbitmq.management("/api/queues/%2F/q", "PUT", {})
    well, hostile, afterwards = told(
        of_rabbitmq(rabbitmq.port)["rabbitmq-queue"], way, RabbitmqQueueGaugeConfig, timeout="20s"
    )
    assert (well, afterwards) == ("", "")
    assert hostile == "can't look at queue 'q': the broker answered Basic.Deliver where Queue.DeclareOk was due"


@pytest.mark.parametrize("way", [LONG, MANY, ENDLESS])
def test_what_is_said_in_place_of_rabbitmq_is_not_kept(rabbitmq: RabbitNode, way: str) -> None:
    """A closed connection is a cycle, so that it is there for as long as nobody collects it."""
    rabbitmq.management("/api/queues/%2F/q", "PUT", {})
    protocol = of_rabbitmq(rabbitmq.port)["rabbitmq-queue"]

    async def run() -> None:
        async with Hostile(rabbitmq.port, protocol.speech, way, greetings=6) as peer:
            url = f"amqp://guest:guest@127.0.0.1:{peer.port}/"
            config = RabbitmqQueueGaugeConfig.model_validate({**protocol.settings, "url": url, "timeout": "20s"})
            async with config.open(RUN) as gauge:
                peer.turn()
                for _ in range(20):
                    await gauge.sample()
                assert peer.spoke >= 5

    gc.collect()
    gc.disable()
    try:
        asyncio.run(run())
        left = [one for one in gc.get_objects() if type(one) is Asker]
    finally:
        gc.enable()
    assert len(left) >= 5, "not of the connections that this is about"
    assert sum(len(vars(one)["_rest"]) for one in left) < 10_000
    del left
    gc.collect()
    assert [one for one in gc.get_objects() if type(one) is Asker] == []


def test_who_talks_on_and_on_in_place_of_rabbitmq() -> None:
    """A frame of four gigabytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1000)
            await said(chain([b"\1\0\0\xff\xff\xff\xff"], repeat(bytes(5000))), writer)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()

    async def run() -> str:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            config = RabbitmqQueueGaugeConfig.model_validate({"kind": "rabbitmq-queue", "queue": "q", "url": url})
            with pytest.raises(TargetError) as refused:
                async with config.open(RUN):
                    pass
        return str(refused.value)

    assert ": more than 262144 bytes came; " in asyncio.run(run())


def test_a_message_that_is_too_long_may_have_been_about_any_event(rabbitmq: RabbitNode) -> None:
    """Also before it has come to its end."""
    protocol = of_rabbitmq(rabbitmq.port)["rabbitmq-tap"]

    async def run() -> None:
        async with Hostile(rabbitmq.port, protocol.speech, ENDLESS, unasked=True) as peer:
            values = {**protocol.settings, "url": f"amqp://guest:guest@127.0.0.1:{peer.port}/"}
            async with RabbitmqTapConfig.model_validate(values).open(RUN) as tap:
                assert isinstance(tap, Listener)
                listening = asyncio.create_task(tap.listen(lambda _: None))
                await asyncio.sleep(0)
                result = await tap.read([A])
                assert (result.error, [read.seen for read in result.reads]) == ("", [Seen.ABSENT])
                peer.turn()
                while not (result := await tap.read([A])).error:
                    await asyncio.sleep(0.01)
                assert result.error == "a message is longer than 8 MiB, and isn't looked at"
                assert [read.seen for read in result.reads] == [Seen.FAILED]
                listening.cancel()

    asyncio.run(run())


def _postgres_says(kind: bytes, head: bytes, tail: bytes = b"") -> tuple[Callable[[], Saying], Callable[[], Saying]]:
    """One of ten megabytes, and short ones without an end."""

    def message(size: int) -> bytes:
        said = head + b"x" * size + tail
        return kind + (4 + len(said)).to_bytes(4, "big") + said

    return lambda: iter([message(10_000_000)]), lambda: repeat(message(1000) * 100)


SAID_FOR_A_LOGIN: Final = {
    "AuthenticationSASL": _postgres_says(b"R", b"\0\0\0\x0a", b"\0\0"),
    "AuthenticationOk": _postgres_says(b"R", b"\0\0\0\0"),
    "AuthenticationMD5Password": _postgres_says(b"R", b"\0\0\0\5"),
    "ErrorResponse": _postgres_says(b"E", b"SFATAL\0C28000\0M", b"\0\0"),
    "NoticeResponse": _postgres_says(b"N", b"SNOTICE\0M", b"\0\0"),
    "ParameterStatus": _postgres_says(b"S", b"name\0", b"\0"),
    "BackendKeyData": _postgres_says(b"K", b"\0\0\0\1"),
    "NotificationResponse": _postgres_says(b"A", b"\0\0\0\1c\0", b"\0"),
    "of no kind": _postgres_says(b"?", b""),
}


NO_LOGIN: Final = "more than 65536 bytes came in place of a login; name a PostgreSQL in url"


@pytest.mark.parametrize("endless", [False, True], ids=["long", "endless"])
@pytest.mark.parametrize("what", SAID_FOR_A_LOGIN)
def test_a_login_of_postgres(what: str, endless: bool) -> None:
    """Before anything is known of who listens there, and whichever message it is."""
    refused = asyncio.run(_login_refused(SAID_FOR_A_LOGIN[what][endless]))
    # Of some the first one is an answer.
    answers = {"AuthenticationSASL": "unsupported SASL Authentication", "ErrorResponse": "login refused: xxx"}
    assert f": {answers.get(what, NO_LOGIN) if endless else NO_LOGIN}" in refused


async def _login_refused(say: Callable[[], Saying]) -> str:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(8)  # for TLS
            writer.write(b"N")
            await reader.read(1000)
            await said(say(), writer)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        values = {"kind": "postgres", "url": f"postgresql://u@127.0.0.1:{port}/d", "query": "SELECT :ids", **PATIENT}
        with pytest.raises(TargetError) as refused:
            async with PostgresProbeConfig.model_validate(values).open(RUN):
                pass
    return str(refused.value)
