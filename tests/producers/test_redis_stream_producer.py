"""The Redis streams producer against a real server: what lies in the stream, and what the receipts say of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Outcome
from evload.producers.redis_stream import RedisStreamProducerConfig
from evload.spi.context import Surroundings
from evload.testing import check_producer
from tests.rigs.redis_traffic import config, entries, ids_in, traffic
from tests.servers.redis_server import RedisServer, running_redis

ACCEPTED: Final = Outcome.ACCEPTED


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    redis.client.flushall()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that a test may break."""
    with running_redis() as server:
        yield server


def published(redis: RedisServer, count: int = 1, **settings: Any) -> Any:
    """The traffic, once it is over."""

    async def main() -> Any:
        async with traffic(redis.url, **settings) as run:
            await run.publish(run.make(count))
            await run.all_settled()
        return run

    return uvloop.run(main())


# --- what lies in the stream --------------------------------------------------------------------------------


def test_attributes_are_fields_beside_the_data(redis: RedisServer) -> None:
    run = published(redis)
    event = run.events[0]
    ((entry_id, fields),) = entries(redis)
    assert run.receipts[0].capture == entry_id
    assert json.loads(fields.pop("data")) == json.loads(event.body)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", fields.pop("traceparent"))
    assert fields == {
        "specversion": "1.0", "id": event.correlation_id, "source": "/evload/testing", "type": "conformance.checked",
        "time": "2026-01-01T00:00:00.000000Z", "datacontenttype": "application/json", "partitionkey": event.key,
        "correlationid": event.correlation_id, "testrunid": "conformance",
    }  # fmt: skip


def test_attributes_may_have_a_prefix(redis: RedisServer) -> None:
    run = published(redis, field_prefix="ce_", field="payload")
    ((_, fields),) = entries(redis)
    assert fields["ce_correlationid"] == run.events[0].correlation_id
    assert fields["ce_datacontenttype"] == "application/json"
    assert {name for name in fields if not name.startswith("ce_")} == {"payload"}


def test_a_whole_event_in_one_field_or_its_data_alone(redis: RedisServer) -> None:
    event = published(redis, mode="structured", field="event").events[0]
    ((_, fields),) = entries(redis)
    assert fields.keys() == {"event"}
    assert json.loads(fields["event"])["correlationid"] == event.correlation_id
    redis.client.flushall()
    event = published(redis, mode="plain", fields={"id": "{correlation_id}", "from": "tests"}).events[0]
    ((_, fields),) = entries(redis)
    assert fields == {"data": event.body.decode(), "id": event.correlation_id, "from": "tests"}


def test_events_choose_their_stream(redis: RedisServer) -> None:
    run = published(redis, 40, stream="orders:{key}", fields={"n": "{seq}", "kind": "x"})
    by_key = {key: [event for event in run.events.values() if event.key == key] for key in ("a", "b")}
    for key, events in by_key.items():
        assert ids_in(redis, f"orders:{key}") == [event.correlation_id for event in events]
        assert [fields["n"] for _, fields in entries(redis, f"orders:{key}")] == [str(event.seq) for event in events]
    assert min(map(len, by_key.values())) > 5


@pytest.mark.parametrize(("trim", "sign"), [("exact", b"="), ("approximate", b"~")])
def test_streams_are_trimmed(redis: RedisServer, trim: str, sign: bytes) -> None:
    """An approximate trim leaves whole nodes of the stream, of some ten such entries each."""
    redis.client.config_set("slowlog-log-slower-than", 0)
    published(redis, 200, maxlen=35, trim=trim)
    redis.client.config_set("slowlog-log-slower-than", 10_000)
    logged: Any = redis.client.slowlog_get(50)
    assert {b" ".join(each["command"].split()[:5]) for each in logged if each["command"].startswith(b"XADD")} == {
        b"XADD orders MAXLEN " + sign + b" 35"
    }
    length = len(entries(redis))
    assert length == 35 if trim == "exact" else 35 < length < 100


def test_each_event_is_accepted_with_the_id_of_its_entry_and_in_order(redis: RedisServer) -> None:
    run = published(redis, 1000, window=100)
    assert run.outcomes() == {ACCEPTED: 1000}
    assert [run.receipts[seq].capture for seq in range(1000)] == [entry_id for entry_id, _ in entries(redis)]
    assert ids_in(redis) == [run.events[seq].correlation_id for seq in range(1000)]


def test_a_batch_is_one_write(redis: RedisServer) -> None:
    """Redis counts how often it found something to read."""

    def reads() -> int:
        info: Any = redis.client.info("stats")
        return int(info["total_reads_processed"])

    before = reads()
    published(redis, 5000, window=5000)
    # In portions of 128, which TCP may cut once more: by far fewer than events.
    assert reads() - before < 1000


def test_it_keeps_what_the_engine_relies_on(redis: RedisServer) -> None:
    async def main() -> None:
        receipts = await check_producer(config(redis.url), SystemClock())
        assert Counter(receipt.outcome for receipt in receipts.values()) == {ACCEPTED: 200}

    asyncio.run(main())


# --- what Redis refuses -------------------------------------------------------------------------------------


def test_a_full_redis_rejects_in_its_own_words(redis: RedisServer) -> None:
    async def main() -> None:
        async with traffic(redis.url) as run:
            await run.publish(run.make(3))
            await run.all_settled()
            redis.client.config_set("maxmemory", 1)
            try:
                await run.publish(run.make(4))
                await run.all_settled()
            finally:
                redis.client.config_set("maxmemory", 0)
            await run.publish(run.make(2))
            await run.all_settled()
            assert [run.receipts[seq].outcome for seq in range(9)] == (
                [ACCEPTED] * 3 + [Outcome.REJECTED] * 4 + [ACCEPTED] * 2
            )
            assert run.details(Outcome.REJECTED) == {"OOM command not allowed when used memory > 'maxmemory'."}
            assert all(receipt.acked_ns is not None for receipt in run.receipts.values())
            run.hold_against(ids_in(redis))

    uvloop.run(main())


def test_what_else_may_be_refused_in_the_middle(redis: RedisServer) -> None:
    redis.client.acl_setuser("writer", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"])

    async def main() -> None:
        url = f"redis://writer:pw@127.0.0.1:{redis.port}/0"
        async with traffic(url) as run:

            async def one() -> str:
                await run.publish(run.make(1))
                await run.all_settled()
                return run.receipts[len(run.events) - 1].detail

            assert await one() == ""
            redis.client.delete("orders")
            redis.client.set("orders", "x")
            assert await one() == "WRONGTYPE Operation against a key holding the wrong kind of value"
            redis.client.delete("orders")
            redis.client.replicaof("127.0.0.1", 1)
            assert await one() == "READONLY You can't write against a read only replica."
            redis.client.replicaof("NO", "ONE")
            redis.client.acl_setuser("writer", enabled=True, reset_keys=True, keys=["other"])
            assert (await one()).startswith("NOPERM ")
            assert run.outcomes() == {ACCEPTED: 1, Outcome.REJECTED: 3}

    uvloop.run(main())
    redis.client.acl_deluser("writer")


# --- when Redis goes away -----------------------------------------------------------------------------------


def test_the_schedule_goes_on_while_redis_is_away(own_redis: RedisServer) -> None:
    own_redis.client.config_set("appendfsync", "always")

    async def main() -> None:
        async with traffic(own_redis.url, window=500) as run:

            async def outage() -> None:
                await run.until(ACCEPTED, 300)
                await asyncio.to_thread(own_redis.kill)
                await run.until(Outcome.UNSENT, 50)
                await asyncio.to_thread(own_redis.start)
                own_redis.client.config_set("appendfsync", "always")

            broken = asyncio.create_task(outage())
            async with asyncio.timeout(60):
                while not broken.done():
                    await run.publish(run.make(20), 20)
                    await asyncio.sleep(0.01)
                back = run.outcomes()[ACCEPTED]
                while run.outcomes()[ACCEPTED] < back + 100:
                    await run.publish(run.make(20), 20)
                    await asyncio.sleep(0.01)
            await broken
            await run.all_settled()
            run.hold_against(ids_in(own_redis))
            assert run.outcomes()[Outcome.UNSENT] >= 50
            unsent = [receipt for receipt in run.receipts.values() if receipt.outcome is Outcome.UNSENT]
            assert all(receipt.sent_ns is not None for receipt in unsent)
            assert run.details(Outcome.UNSENT) <= {
                "no connection: Redis closed the connection", "no connection: connection reset",
                "no connection: can't connect: connection refused", "no connection: connection lost",
                "no connection: Redis is loading its data",
            }  # fmt: skip

    uvloop.run(main())


def test_what_a_silent_redis_was_sent_is_in_doubt_and_it_is_used_again(redis: RedisServer) -> None:
    async def main() -> None:
        async with traffic(redis.url, timeout="1s") as run:
            await run.publish(run.make(3))
            await run.all_settled()
            await asyncio.to_thread(redis.freeze, True)
            try:
                await run.publish(run.make(5))
                await run.all_settled()
            finally:
                await asyncio.to_thread(redis.freeze, False)
            assert run.details(Outcome.IN_DOUBT) == {"no answer within 1 s"}
            async with asyncio.timeout(30):
                while run.outcomes()[ACCEPTED] < 5:
                    await run.publish(run.make(1))
                    await asyncio.sleep(0.05)
            await run.all_settled()
            assert [run.receipts[seq].outcome for seq in range(8)] == [ACCEPTED] * 3 + [Outcome.IN_DOUBT] * 5
            found = ids_in(redis)
            run.hold_against(found)
            # Redis had them in its socket, and answered late.
            assert {run.events[seq].correlation_id for seq in range(3, 8)} <= set(found)
            by_id = {fields["correlationid"]: entry_id for entry_id, fields in entries(redis)}
            for seq, receipt in run.receipts.items():
                if receipt.outcome is ACCEPTED:
                    assert receipt.capture == by_id[run.events[seq].correlation_id]

    uvloop.run(main())


# --- addresses ----------------------------------------------------------------------------------------------


def refused(url: str, **settings: Any) -> str:
    async def main() -> None:
        async with config(url, **settings).open(Surroundings(SystemClock(), "r-1", Path())):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(main())
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    return str(caught.value)


def test_addresses_that_lead_nowhere(redis: RedisServer) -> None:
    at = f"127.0.0.1:{redis.port}"
    assert refused("redis://u:secret@127.0.0.1:1/0") == (
        "can't add to streams of redis://127.0.0.1:1/0: can't connect: connection refused; start Redis, or correct "
        "url"
    )
    assert refused("redis://nowhere.invalid/0") == (
        "can't add to streams of redis://nowhere.invalid/0: can't connect: the host name can't be resolved; "
        "start Redis, or correct url"
    )
    assert refused(f"redis://u:secret@{at}/0") == (
        f"can't add to streams of redis://{at}/0: login refused: invalid username-password pair or user is disabled; "
        "correct user and password in url"
    )
    assert refused(f"redis://{at}/99") == (
        f"can't add to streams of redis://{at}/99: DB index is out of range; see Redis's log"
    )
    assert refused(f"rediss://{at}/0", timeout="1s") == (
        f"can't add to streams of rediss://{at}/0: no answer to TLS within 1 s; "
        "write redis:// if no TLS is spoken there, or correct url"
    )
    redis.client.hset("orders", "a", "b")
    assert refused(redis.url) == (
        f"can't add to stream 'orders' of redis://{at}/0: it is a hash; correct stream, or remove that key"
    )


def test_an_sdk_that_is_missing(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "redis", None)
    assert refused(redis.url) == "kind redis-stream needs redis; pip install 'evload[redis]'"


def test_a_user_that_may_do_nothing_else_may_add(redis: RedisServer) -> None:
    redis.client.acl_setuser("adder", enabled=True, passwords=["+pw"], keys=["orders"], commands=["+xadd"])

    async def main() -> None:
        async with traffic(f"redis://adder:pw@127.0.0.1:{redis.port}/0") as run:
            await run.publish(run.make(1))
            await run.all_settled()
        assert run.outcomes() == {ACCEPTED: 1}

    asyncio.run(main())
    redis.client.acl_deluser("adder")


def test_what_can_not_be_written_to_is_said_before_the_run(redis: RedisServer) -> None:
    where = f"can't add to stream 'orders' of redis://127.0.0.1:{redis.port}/0: "
    redis.client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+type"])
    said = refused(f"redis://reader:secret@127.0.0.1:{redis.port}/0")
    assert said.startswith(f"{where}permission denied: this user has no permissions to run the 'xadd' command")
    assert said.endswith("; give the user in url these keys and commands: ACL SETUSER")
    redis.client.acl_deluser("reader")
    redis.client.replicaof("127.0.0.1", 1)
    try:
        assert refused(redis.url) == f"{where}this is a replica, which takes no writes; name the primary in url"
    finally:
        redis.client.replicaof("NO", "ONE")
    redis.client.config_set("maxmemory", 1)
    try:
        assert refused(redis.url) == (
            f"{where}OOM command not allowed when used memory > 'maxmemory'; free memory there, or raise maxmemory"
        )
    finally:
        redis.client.config_set("maxmemory", 0)
    assert redis.client.exists("orders") == 0


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"trim": "exact"}, "trim without a maxlen never happens; name both"),
        ({"fields": {"data": "x"}}, "field 'data' holds the event; give another one that name"),
        ({"fields": {"": "x"}}, "a field has no name; write one"),
        ({"stream": ""}, "at least 1 character"),
        ({"url": "http://u:secret@h"}, "'http://h' is no redis address; write an address such as redis://"),
        ({"maxlen": -1}, "greater than or equal to 0"),
        ({"mode": "batched"}, "'binary', 'structured' or 'plain'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RedisStreamProducerConfig.model_validate(
            {"kind": "redis-stream", "url": "redis://localhost", "stream": "s", **settings}
        )
    (problem,) = caught.value.errors()
    assert what in problem["msg"]
    assert "secret" not in problem["msg"]


def told(exchanges: Sequence[Any]) -> list[tuple[str, bytes, str]]:
    return [
        (each.sent().head if each.sent else "", each.sent().body if each.sent else b"", each.came().head)
        for each in exchanges
    ]


def test_who_looks_on_sees_the_command_and_the_answer(redis: RedisServer) -> None:
    class Onlooker:
        def __init__(self) -> None:
            self.exchanges: list[Any] = []

        def exchanged(self, exchange: Any) -> None:
            self.exchanges.append(exchange)

        def found(self, name: str, expression: str, document: Any, value: Any) -> None:
            raise AssertionError(name)

    onlooker = Onlooker()

    async def main() -> Any:
        async with traffic(redis.url, onlooker=onlooker, mode="plain", maxlen=5, fields={"n": "{seq}"}) as run:
            await run.publish(run.make(1))
            await run.all_settled()
            redis.client.delete("orders")
            redis.client.set("orders", "x")
            await run.publish(run.make(1))
            await run.all_settled()
        return run

    run = uvloop.run(main())
    assert told(onlooker.exchanges) == [
        ("XADD orders MAXLEN ~ 5 *\nn: 0\ndata:", run.events[0].body, run.receipts[0].capture),
        (
            "XADD orders MAXLEN ~ 5 *\nn: 1\ndata:",
            run.events[1].body,
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]
