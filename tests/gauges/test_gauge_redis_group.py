"""The gauge of a Redis consumer group against a real server, and what is said where there is none."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.redis_group import RedisGroupConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, Sample
from evload.testing import check_gauge
from tests.rigs.redis_scripted import scripted_redis
from tests.servers.redis_server import RedisServer

GROUP: Final = b"*3\r\n*1\r\n*8\r\n+name\r\n+g\r\n+consumers\r\n:1\r\n+pending\r\n:7\r\n+lag\r\n:1\r\n"
"""The beginning of an answer that is well."""
RUN: Final = Surroundings(SystemClock(), "r-1", Path())


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    redis.client.flushall()


def client_of(server: RedisServer) -> Any:
    """The SDK's, whose types are narrower than what it takes."""
    return server.client


def config_of(server: RedisServer, **settings: Any) -> RedisGroupConfig:
    return RedisGroupConfig.model_validate(
        {"kind": "redis-group", "url": server.url, "stream": "orders", "group": "workers", **settings}
    )


def use(config: RedisGroupConfig, what: Callable[[Gauge], Awaitable[None]]) -> None:
    async def run() -> None:
        async with config.open(RUN) as gauge:
            await what(gauge)

    asyncio.run(run())


def sampled(config: RedisGroupConfig) -> Sample:
    samples = []

    async def once(gauge: Gauge) -> None:
        samples.append(await gauge.sample())

    use(config, once)
    return samples[0]


def refused(config: RedisGroupConfig) -> str:
    with pytest.raises(TargetError) as caught:
        sampled(config)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    return str(caught.value)


def lagging(server: RedisServer, entries: int, read: int, acked: int) -> list[bytes]:
    """A group that has read so many of the entries and acked so many of those; the ids of all."""
    client = client_of(server)
    ids = [client.xadd("orders", {"n": number}) for number in range(entries)]
    client.xgroup_create("orders", "workers", "0")
    if read:
        client.xreadgroup("workers", "one", {"orders": ">"}, count=read)
    for entry_id in ids[:acked]:
        client.xack("orders", "workers", entry_id)
    return ids


def test_a_group_that_lags(redis: RedisServer) -> None:
    lagging(redis, 10, read=6, acked=2)
    client_of(redis).xgroup_createconsumer("orders", "workers", "two")
    sample = sampled(config_of(redis))
    assert 0 <= sample.values["idle"] < 30
    assert {**sample.values, "idle": 0} == {"queue_depth": 4, "pending": 4, "idle": 0, "consumers": 2, "length": 10}
    assert (sample.error, sample.absent, sample.missing) == ("", (), False)


def test_nothing_is_pending_of_a_group_that_is_through(redis: RedisServer) -> None:
    lagging(redis, 3, read=3, acked=3)
    assert sampled(config_of(redis)).values == {
        "queue_depth": 0, "pending": 0, "idle": 0, "consumers": 1, "length": 3,
    }  # fmt: skip


def test_idle_is_how_long_the_oldest_pending_entry_has_been_with_its_consumer(redis: RedisServer) -> None:
    ids = lagging(redis, 3, read=2, acked=0)
    client = client_of(redis)
    client.execute_command("XCLAIM", "orders", "workers", "one", 0, ids[0], "IDLE", 90_000)
    client.execute_command("XCLAIM", "orders", "workers", "one", 0, ids[1], "IDLE", 5_000)
    assert sampled(config_of(redis)).values["idle"] == pytest.approx(90, abs=5)
    client.xack("orders", "workers", ids[0])
    assert sampled(config_of(redis)).values["idle"] == pytest.approx(5, abs=4)


def test_a_lag_that_redis_can_not_tell_is_no_value(redis: RedisServer) -> None:
    """An entry within what is still to be read was deleted: Redis doesn't count any more."""
    ids = lagging(redis, 10, read=3, acked=3)
    client_of(redis).xdel("orders", ids[6])
    sample = sampled(config_of(redis))
    assert sample.values == {"pending": 0, "idle": 0, "consumers": 1, "length": 9}
    assert (sample.absent, sample.error) == (("queue_depth",), "")


def test_it_keeps_what_the_engine_relies_on(redis: RedisServer) -> None:
    lagging(redis, 2, read=1, acked=0)
    asyncio.run(check_gauge(config_of(redis, every="10ms"), SystemClock()))


def test_what_goes_wrong_in_the_middle_is_an_error_and_passes(redis: RedisServer) -> None:
    lagging(redis, 2, read=1, acked=0)

    async def what(gauge: Gauge) -> None:
        async def told() -> str:
            sample = await gauge.sample()
            assert bool(sample.values) != bool(sample.error)
            return sample.error

        client = client_of(redis)
        assert await told() == ""
        client.xgroup_destroy("orders", "workers")
        assert await told() == "stream 'orders' has no group 'workers': it has none"
        client.delete("orders")
        assert await told() == "there is no stream 'orders'"
        client.set("orders", "x")
        assert await told() == "'orders' is no stream"
        client.delete("orders")
        lagging(redis, 2, read=1, acked=0)
        assert await told() == ""
        client.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.05)
        assert await told() in ("", "connection lost: Redis closed the connection")
        assert await told() == ""
        await asyncio.to_thread(redis.freeze, True)
        try:
            assert await told() == "no answer within 1 s"
            began = time.monotonic()
            assert await told() == "no answer within 1 s"
            assert time.monotonic() - began < 10
        finally:
            await asyncio.to_thread(redis.freeze, False)
        assert await told() == ""

    use(config_of(redis, timeout="1s"), what)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b":5\r\n", "EXEC wasn't answered as Redis does"),
        (b"*3\r\n:1\r\n*0\r\n:1\r\n", "XINFO wasn't answered as Redis does"),
        (b"*3\r\n*0\r\n*0\r\n:1\r\n", "XINFO wasn't answered as Redis does"),
        (b"*3\r\n*1\r\n*2\r\n+name\r\n+g\r\n*0\r\n:1\r\n", "XINFO wasn't answered as Redis does"),
        (GROUP + b"*1\r\n:1\r\n:1\r\n", "XPENDING wasn't answered as Redis does"),
        (GROUP + b"*0\r\n+x\r\n", "XLEN wasn't answered as Redis does"),
        (GROUP.replace(b":7", b":-7") + b"*0\r\n:1\r\n", "XINFO wasn't answered as Redis does"),
        (b"HTTP/1.1 400 Bad Request\r\n", "connection lost: what answers there isn't Redis: it says b'HTTP/1.1 400"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("slips", [False, True])
def test_an_answer_that_is_none_is_no_value(said: bytes, reason: str, slips: bool) -> None:
    async def run() -> tuple[Sample, list[Sample]]:
        async with scripted_redis() as scripted:
            url = f"redis://127.0.0.1:{scripted.port}/0"
            config = {"kind": "redis-group", "url": url, "stream": "s", "group": "g"}
            async with RedisGroupConfig.model_validate(config).open(RUN) as gauge:
                scripted.said, scripted.slips = said, slips
                wrong = await gauge.sample()
                scripted.said = None
                return wrong, [await gauge.sample() for _ in range(2)]

    wrong, later = asyncio.run(run())
    assert wrong.error.startswith(reason)
    assert not wrong.values
    assert [sample.values for sample in later if not sample.error][-1]["queue_depth"] == 0
    # Of one that is out of step nothing is believed.
    assert all(sample.values.get("length", 0) == 0 for sample in later)
    if said == b":5\r\n":
        assert not later[0].error


def test_a_redis_that_comes_back_is_looked_at_again(redis: RedisServer) -> None:
    lagging(redis, 2, read=1, acked=0)
    client_of(redis).config_set("appendfsync", "always")

    async def what(gauge: Gauge) -> None:
        await asyncio.to_thread(redis.kill)
        assert [(await gauge.sample()).error for _ in range(2)][1] == "can't connect: connection refused"
        await asyncio.to_thread(redis.start)
        assert (await gauge.sample()).values["queue_depth"] == 1

    use(config_of(redis), what)


def test_what_is_not_there_is_said_before_the_run(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    at = f"127.0.0.1:{redis.port}"
    where = f"can't look at group 'workers' of redis://{at}/0: "
    assert refused(config_of(redis)) == (
        f"{where}there is no stream 'orders'; create it, with its group: XGROUP CREATE orders workers $ MKSTREAM; "
        "or correct stream"
    )
    client = client_of(redis)
    client.xadd("orders", {"a": "b"})
    assert refused(config_of(redis)) == (
        f"{where}stream 'orders' has no group 'workers': it has none; create it, or correct group"
    )
    client.xgroup_create("orders", "billing", "$")
    client.xgroup_create("orders", "mail", "$")
    assert refused(config_of(redis)) == (
        f"{where}stream 'orders' has no group 'workers': it has billing, mail; create it, or correct group"
    )
    assert refused(config_of(redis, stream="nothing", group="mail")).startswith(
        f"can't look at group 'mail' of redis://{at}/0: there is no stream 'nothing'; create it"
    )
    client.set("text", "x")
    assert refused(config_of(redis, stream="text")) == f"{where}'text' is no stream; correct stream"
    assert refused(config_of(redis, url=f"redis://u:secret@{at}/0")) == (
        f"{where}login refused: invalid username-password pair or user is disabled; correct user and password in url"
    )
    assert refused(config_of(redis, url="redis://u:secret@127.0.0.1:1/0")) == (
        "can't look at group 'workers' of redis://127.0.0.1:1/0: can't connect: connection refused; "
        "start Redis, or correct url"
    )
    monkeypatch.setitem(sys.modules, "redis", None)
    assert refused(config_of(redis)) == "kind redis-group needs redis; pip install 'evload[redis]'"
