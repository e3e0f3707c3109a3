"""The Redis probe against a real server."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis

from evload.clock import SystemClock
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import ReadResult, Target
from evload.probes._shared.id_template import KeyTemplate
from evload.probes.redis import RedisProbeConfig
from evload.spi.context import Surroundings
from evload.spi.probe import Probe
from evload.testing import check_probe
from tests.rigs.asking import A, B, C, failed, read_from, refused, use
from tests.rigs.small_system import measure
from tests.rigs.starts import probe_of
from tests.servers.redis_server import RedisServer

STREAM: Final = {"stream": "done", "field": "correlation_id"}
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    redis.client.flushall()


def config_of(server: RedisServer, **settings: Any) -> RedisProbeConfig:
    return RedisProbeConfig.model_validate({"kind": "redis", "url": server.url, **settings})


def told(result: ReadResult) -> list[tuple[Seen, int | None]]:
    assert result.error == ""
    return [(read.seen, read.effects) for read in result.reads]


# --- keys and hashes ----------------------------------------------------------------------------------------


def test_keys(redis: RedisServer) -> None:
    redis.client.set(f"p:{A.correlation_id}", '{"state": "done", "n": 2}')
    redis.client.set(f"p:{B.correlation_id}", "half done")
    key = "p:{correlation_id}"
    assert told(read_from(config_of(redis, key=key))) == [(PRESENT, None), (PRESENT, None), (ABSENT, None)]
    by_state = config_of(redis, key=key, visible="state == 'done'", effects="n")
    assert told(read_from(by_state)) == [(PRESENT, 2), (ABSENT, None), (ABSENT, None)]
    by_text = config_of(redis, key=key, visible="@ == 'half done'")
    assert told(read_from(by_text)) == [(ABSENT, None), (PRESENT, None), (ABSENT, None)]


def test_the_probe_that_init_writes_finds_what_is_there(redis: RedisServer) -> None:
    redis.client.set(f"order:{A.correlation_id}", "paid")
    written = RedisProbeConfig.model_validate(probe_of("redis", url=redis.url))
    assert told(read_from(written)) == [(PRESENT, None), (ABSENT, None), (ABSENT, None)]


@pytest.mark.parametrize(
    ("hash_key", "field"), [("items", "p:{correlation_id}"), ("p:{correlation_id}", "state")]
)  # fmt: skip
def test_hashes(redis: RedisServer, hash_key: str, field: str) -> None:
    for target, value in ((A, "[1, 2, 3]"), (B, "[]")):
        name, key = (text.format(correlation_id=target.correlation_id) for text in (hash_key, field))
        redis.client.hset(name, key, value)
    config = config_of(redis, hash=hash_key, field=field, visible="@", effects="length(@)")
    assert told(read_from(config)) == [(PRESENT, 3), (ABSENT, None), (ABSENT, None)]


def test_conformance_and_special_characters(redis: RedisServer) -> None:
    odd = ["it's", 'say "hi"', "a b\r\n$3", "{x}", "%s", "\\", "ü☃", "*", ""]
    for text in odd:
        redis.client.set(f"{{x}}:{text}", b"\xff")
    targets = [Target(number, text) for number, text in enumerate([*odd, "missing"])]
    reads = asyncio.run(check_probe(config_of(redis, key="{{x}}:{correlation_id}", bulk=4), SystemClock(), targets))
    assert [reads[number].seen for number in range(len(odd))] == [PRESENT] * len(odd)
    assert reads[len(odd)].seen is ABSENT


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"key": "{correlation_id}"}, "a key is no string; write hash and field for a hash, stream and field"),
        ({"hash": "s:{correlation_id}", "field": "x"}, "a key isn't of the type that the probe asks for"),
        ({"key": "s:{correlation_id}", "visible": "length(@)"}, "In function length(), invalid type for value: 5"),
        ({"key": "s:{correlation_id}", "effects": "'many'"}, "effects \"'many'\" gives text, not a number"),
        ({"key": "b:{correlation_id}", "visible": "a"}, "a value is neither JSON nor UTF-8 text"),
    ],
)
def test_values_that_say_nothing(redis: RedisServer, settings: dict[str, str], reason: str) -> None:
    redis.client.hset(A.correlation_id, "field", "x")
    redis.client.set(f"s:{A.correlation_id}", "5")
    redis.client.set(f"b:{A.correlation_id}", b"\xff\x00")
    assert failed(read_from(config_of(redis, **settings))).startswith(reason)


# --- streams ------------------------------------------------------------------------------------------------


def test_a_stream_is_read_on_from_where_it_ended(redis: RedisServer) -> None:
    def add(target: Target) -> None:
        redis.client.xadd("done", {"correlation_id": target.correlation_id})

    add(A)

    async def what(probe: Probe) -> None:
        assert told(await probe.read([A])) == [(ABSENT, None)]
        add(B)
        redis.client.xadd("done", {"other": "x"})
        redis.client.xadd("done", {"correlation_id": "someone else's"})
        add(A)
        add(B)
        redis.client.xadd("done", {"correlation_id": CorrelationIds.for_run("r-2").id_of(1)})
        result = await probe.read([A, B, C])
        assert told(result) == [(PRESENT, 1), (PRESENT, 2), (ABSENT, None)]
        assert (result.strange, result.example) == (2, "{b'other': b'x'}")
        assert (await probe.read([A])).strange == 0
        assert [read.position for read in result.reads] == [4, 1, None]
        for _ in range(6000):
            add(C)
        results = await asyncio.gather(*(probe.read([C]) for _ in range(3)))
        assert [told(result) for result in results] == [[(PRESENT, 6000)]] * 3

    use(config_of(redis, **STREAM), what)


def test_entries_are_judged_by_their_fields(redis: RedisServer) -> None:
    async def what(probe: Probe) -> None:
        for state, n in (("begun", 1), ("done", 2), ("done", 3)):
            redis.client.xadd("done", {"correlation_id": A.correlation_id, "state": state, "body": f'{{"n": {n}}}'})
        assert told(await probe.read([A])) == [(PRESENT, 5)]

    use(config_of(redis, **STREAM, visible="state == 'done'", effects="body.n"), what)


def test_a_stream_that_does_not_exist_yet(redis: RedisServer) -> None:
    async def what(probe: Probe) -> None:
        assert told(await probe.read([A])) == [(ABSENT, None)]
        redis.client.xadd("done", {"correlation_id": A.correlation_id})
        assert told(await probe.read([A, B])) == [(PRESENT, 1), (ABSENT, None)]
        redis.client.delete("done")
        result = await probe.read([A, B])
        assert [read.seen for read in result.reads] == [PRESENT, FAILED]
        assert result.error == "the stream is gone"

    use(config_of(redis, **STREAM), what)


def test_entries_that_were_trimmed_unread_may_have_been_anybodys(redis: RedisServer) -> None:
    redis.client.xadd("done", {"before": "the run"})

    async def what(probe: Probe) -> None:
        redis.client.xadd("done", {"correlation_id": A.correlation_id})
        assert told(await probe.read([A])) == [(PRESENT, 1)]
        redis.client.xtrim("done", 0)
        assert told(await probe.read([A, B])) == [(PRESENT, 1), (ABSENT, None)]
        redis.client.xadd("done", {"correlation_id": B.correlation_id})
        redis.client.xtrim("done", 0)
        result = await probe.read([A, B])
        assert [read.seen for read in result.reads] == [PRESENT, FAILED]
        assert result.error == "entries of the stream were trimmed or deleted before they could be read"

    use(config_of(redis, **STREAM), what)


def test_what_is_no_longer_asked_about_is_forgotten(redis: RedisServer) -> None:
    class Later(SystemClock):
        ahead_ns = 0

        def now_ns(self) -> int:
            return super().now_ns() + self.ahead_ns

    clock = Later()

    async def run() -> None:
        async with config_of(redis, **STREAM).open(Surroundings(clock, "r-1", Path())) as probe:
            redis.client.xadd("done", {"correlation_id": A.correlation_id})
            redis.client.xadd("done", {"correlation_id": B.correlation_id})
            for _ in range(3):
                clock.ahead_ns += 601 * 10**9
                assert told(await probe.read([A])) == [(PRESENT, 1)]
            assert told(await probe.read([A, B])) == [(PRESENT, 1), (ABSENT, None)]

    asyncio.run(run())


# --- runs and failures --------------------------------------------------------------------------------------

SOURCES: Final[dict[str, dict[str, Any]]] = {
    "key": {"key": "p:{correlation_id}", "effects": "@"},
    "stream": STREAM,
}


@pytest.mark.parametrize("source", SOURCES)
def test_redis_down_in_the_middle_hides_but_never_lies(tmp_path: Path, redis: RedisServer, source: str) -> None:
    async def write(correlation_id: str, copies: int) -> None:
        client = Redis(port=redis.port)
        try:
            if source == "key":
                await client.incr(f"p:{correlation_id}", copies)
                return
            async with client.pipeline(transaction=True) as pipeline:
                for _ in range(copies):
                    pipeline.xadd("done", {"correlation_id": correlation_id})
                await pipeline.execute()
        finally:
            await client.aclose()

    def outage() -> None:
        redis.kill()
        time.sleep(1)
        redis.start()

    probe = {"kind": "redis", "url": redis.url, "deadline": "12s", "confirm": {"reads": 2, "over": "500ms"}}
    run = measure(tmp_path, probe | SOURCES[source], write, outage)
    run.assert_counts()
    run.assert_brackets()
    run.assert_duplicates()
    assert run.summary["reads"]["failed_requests"] > 5
    assert "read-model: can't connect: connection refused" in run.summary["errors"]


def test_failures_in_the_middle_are_failed_reads_and_pass(redis: RedisServer) -> None:
    redis.client.set(f"p:{A.correlation_id}", "x")
    redis.client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"])

    async def what(probe: Probe) -> None:
        assert told(await probe.read([A, B])) == [(PRESENT, None), (ABSENT, None)]
        redis.client.acl_setuser("reader", enabled=True, reset_keys=True, keys=["other:*"])
        assert failed(await probe.read([A, B])).startswith("permission denied: ")
        redis.client.acl_setuser("reader", enabled=True, keys=["*"])
        assert told(await probe.read([A])) == [(PRESENT, None)]
        redis.client.client_kill_filter(_type="normal", skipme=True)
        results = [await probe.read([A]) for _ in range(2)]
        assert results[0].error in ("", "connection lost")
        assert told(results[-1]) == [(PRESENT, None)]
        redis.freeze(True)
        try:
            results = await asyncio.gather(*(probe.read([A]) for _ in range(3)))
        finally:
            redis.freeze(False)
        assert {failed(result) for result in results} <= {
            "no answer within 1 s", "pool exhausted: none of 2 connections was free within 1 s",
        }  # fmt: skip
        assert told(await probe.read([A])) == [(PRESENT, None)]

    url = f"redis://reader:secret@127.0.0.1:{redis.port}/0"
    use(config_of(redis, url=url, key="p:{correlation_id}", timeout="1s", pool=2), what)


def test_addresses_that_lead_nowhere(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "p:{correlation_id}"
    assert refused(config_of(redis, url="redis://u:secret@127.0.0.1:1/0", key=key)) == (
        "can't ask redis://127.0.0.1:1/0: can't connect: connection refused; start Redis, or correct url"
    )
    wrong = refused(config_of(redis, url=f"redis://reader:wrong@127.0.0.1:{redis.port}/0", key=key))
    assert "login refused: " in wrong
    assert "wrong@" not in wrong
    assert "out of range" in refused(config_of(redis, url=f"redis://127.0.0.1:{redis.port}/99", key=key))
    redis.client.set("text", "x")
    assert "isn't of the type" in refused(config_of(redis, stream="text", field="id"))
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    assert refused(config_of(redis, key=key)) == "kind redis needs redis; pip install 'evload[redis]'"


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "the probe looks at nothing; give it one of key, hash with field, or stream with field"),
        ({"key": "{correlation_id}", "stream": "s"}, "the probe looks at key and stream; give it one of"),
        ({"key": "p"}, "'p' is the same for every event; put {correlation_id} into it"),
        (
            {"key": "{correlation}"},
            "unknown placeholder {correlation} in '{correlation}'; did you mean {correlation_id}?",
        ),
        ({"key": "{seq}-{correlation_id}"}, "unknown placeholder {seq} in '{seq}-{correlation_id}'; write {{ and }}"),
        ({"key": "{correlation_id"}, "a lone { in '{correlation_id'; write {{ for the brace itself"),
        (
            {"key": "{correlation_id}", "field": "x"},
            "field belongs to a hash or a stream, not to a key; leave it out",
        ),
        ({"hash": "p:{correlation_id}"}, "hash without field; say which field"),
        ({"hash": "p", "field": "x"}, "hash and field are the same for every event; put {correlation_id} into one"),
        ({"stream": "s", "field": "{correlation_id}"}, "field of a stream names where the id is"),
        ({"key": "{correlation_id}", "visible": "a ="}, "is not JMESPath"),
        (
            {"key": "{correlation_id}", "url": "localhost"},
            "'localhost' has no scheme; write an address such as redis://",
        ),
        ({"key": "{correlation_id}", "url": "http://u:secret@h"}, "'http://h' is no redis address; write an address"),
        ({"key": "{correlation_id}", "timeout": "5"}, "is not a duration"),
    ],
)
def test_bad_settings(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RedisProbeConfig.model_validate({"kind": "redis", "url": "redis://localhost", **settings})
    (problem,) = caught.value.errors()
    assert what in problem["msg"]
    assert "secret" not in problem["msg"]


def test_templates_fill_in_the_id_wherever_it_stands() -> None:
    assert KeyTemplate("{{a}}:{correlation_id}/{ correlation_id }.x").fill("i-1") == "{a}:i-1/i-1.x"
    assert not KeyTemplate("{{correlation_id}}").names_event
