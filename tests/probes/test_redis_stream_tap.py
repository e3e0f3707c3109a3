"""The Redis streams tap against a real server, and against a scripted one where no real one can be had."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis

from evload.clock import SystemClock
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult
from evload.probes.redis_stream_tap import RedisStreamTapConfig
from evload.probes.redis_stream_tap.entries import position_of
from evload.testing import check_probe, check_push_probe, sample_targets
from tests.rigs.asking import RUN, A, B, C, refused
from tests.rigs.small_system import measure
from tests.servers.redis_server import RedisServer, running_redis

PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED
CLOCK: Final = SystemClock()


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    client_of(redis).flushall()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that a test may break."""
    with running_redis() as server:
        yield server


def client_of(server: RedisServer) -> Any:
    """The SDK's, whose types are narrower than what it takes."""
    return server.client


def config_of(server: RedisServer, **settings: Any) -> RedisStreamTapConfig:
    return RedisStreamTapConfig.model_validate(
        {"kind": "redis-stream-tap", "url": server.url, "stream": "done", **settings}
    )


class Tapped:
    """A tap that is listened to, and what it has told."""

    def __init__(self, probe: Any) -> None:
        self.probe = probe
        self.told: list[ReadResult] = []
        self._news = asyncio.Event()

    def __call__(self, result: ReadResult) -> None:
        self.told.append(result)
        self._news.set()

    @property
    def reads(self) -> list[Read]:
        return [read for result in self.told for read in result.reads]

    async def until(self, count: int) -> list[Read]:
        """What was told, once it is so much."""
        async with asyncio.timeout(30):
            while len(self.reads) < count:
                self._news.clear()
                await self._news.wait()
        return self.reads

    async def look(self, *targets: Any) -> tuple[list[Seen], str]:
        result = await self.probe.read(targets or [A, B])
        return [read.seen for read in result.reads], result.error


def tap(config: RedisStreamTapConfig, what: Callable[[Tapped], Awaitable[None]]) -> None:
    async def run() -> None:
        async with config.open(RUN) as probe:
            tapped = Tapped(probe)
            listening = asyncio.create_task(probe.listen(tapped))
            await asyncio.sleep(0)
            try:
                await what(tapped)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    asyncio.run(run())


def add(server: RedisServer, *ids: str, **fields: str) -> list[str]:
    """An entry for each correlation id; their ids in the stream."""
    found: list[Any] = [client_of(server).xadd("done", {"correlationid": one, **fields}) for one in ids]
    return [entry_id.decode() for entry_id in found]


# --- what it sees -------------------------------------------------------------------------------------------


def test_each_entry_is_an_exact_sighting_with_its_id_as_position(redis: RedisServer) -> None:
    add(redis, A.correlation_id)  # before the tap opened

    async def what(tapped: Tapped) -> None:
        before_ns = CLOCK.now_ns()
        ids = await asyncio.to_thread(add, redis, B.correlation_id, C.correlation_id, B.correlation_id)
        reads = await tapped.until(3)
        assert [(read.seq, read.seen, read.exact) for read in reads] == [
            (2, PRESENT, True), (3, PRESENT, True), (2, PRESENT, True),
        ]  # fmt: skip
        assert [read.position for read in reads] == [
            "-".join(part.rjust(20, "0") for part in entry_id.split("-")) for entry_id in ids
        ]
        for read in reads:
            assert before_ns < read.start_ns == read.end_ns < CLOCK.now_ns()
        assert await tapped.look(A) == ([ABSENT], "")

    tap(config_of(redis), what)


def test_positions_grow_as_ids_do() -> None:
    ids = [(5, 9), (5, 10), (50, 1), (1526919030474, 0), ((1 << 64) - 1, (1 << 64) - 1)]
    assert sorted(map(position_of, reversed(ids))) == list(map(position_of, ids))


def test_the_id_is_found_wherever_producers_put_it(redis: RedisServer) -> None:
    event = {"specversion": "1.0", "correlationid": B.correlation_id}
    for fields in (
        {"correlation_id": A.correlation_id, "data": "{}"},
        {"event": json.dumps(event)},
        {"data": json.dumps({"detail": {"correlationid": C.correlation_id}})},
        {"ce_correlationid": A.correlation_id},
    ):
        client_of(redis).xadd("other", fields)

    async def what(tapped: Tapped) -> None:
        for _, fields in await asyncio.to_thread(client_of(redis).xrange, "other"):
            await asyncio.to_thread(client_of(redis).xadd, "done", fields)
        assert [read.seq for read in await tapped.until(4)] == [1, 2, 3, 1]

    tap(config_of(redis), what)


def test_what_is_about_no_event_is_counted_and_other_runs_are_not(redis: RedisServer) -> None:
    (stranger,) = sample_targets(1, "another run")

    async def what(tapped: Tapped) -> None:
        await asyncio.to_thread(client_of(redis).xadd, "done", {"greeting": "hello"})
        await asyncio.to_thread(add, redis, stranger.correlation_id, A.correlation_id)
        await tapped.until(1)
        assert sum(result.strange for result in tapped.told) == 1
        assert [result.example for result in tapped.told if result.example] == ['{"greeting":"hello"}']

    tap(config_of(redis), what)


def test_expressions_look_at_the_fields(redis: RedisServer) -> None:
    settings = {
        "match": "payload.order", "visible": "state == 'done'", "consumed_at": "payload.at", "processed_at": "at",
    }  # fmt: skip

    async def what(tapped: Tapped) -> None:
        for state in ("begun", "done"):
            payload = json.dumps({"order": A.correlation_id, "at": "2026-01-01T00:00:00Z"})
            fields = {"payload": payload, "state": state, "at": "2026-01-01T00:00:01Z"}
            await asyncio.to_thread(client_of(redis).xadd, "done", fields)
        (read,) = await tapped.until(1)
        assert (read.seq, read.exact, read.start_ns) == (1, True, read.end_ns)
        assert read.consumed_at is not None
        assert read.processed_at == read.consumed_at + 1_000_000_000
        assert read.position is not None

    tap(config_of(redis, **settings), what)


def test_a_stream_that_does_not_exist_yet_and_no_group_is_joined(redis: RedisServer) -> None:
    async def what(tapped: Tapped) -> None:
        assert await tapped.look(A) == ([ABSENT], "")
        await asyncio.to_thread(client_of(redis).xgroup_create, "done", "workers", "$", True)
        await asyncio.to_thread(add, redis, A.correlation_id)
        assert [read.seq for read in await tapped.until(1)] == [1]
        (group,) = client_of(redis).xinfo_groups("done")
        assert (group["lag"], group["pending"], group["consumers"]) == (1, 0, 0)
        assert await tapped.look(B) == ([ABSENT], "")

    tap(config_of(redis), what)


def test_it_keeps_what_the_engine_relies_on(redis: RedisServer) -> None:
    async def push(ids: Sequence[str]) -> None:
        await asyncio.to_thread(add, redis, *ids)

    asyncio.run(check_push_probe(config_of(redis), SystemClock(), push))
    asyncio.run(check_probe(config_of(redis), SystemClock(), sample_targets(5)))


# --- gaps ---------------------------------------------------------------------------------------------------


def test_entries_that_went_by_unread_are_a_gap(redis: RedisServer) -> None:
    async def what(tapped: Tapped) -> None:
        add_and_delete = client_of(redis).pipeline(transaction=True)
        await asyncio.to_thread(add, redis, A.correlation_id)
        await tapped.until(1)
        add_and_delete.xadd("done", {"correlationid": B.correlation_id}, id="9999999999999-1")
        add_and_delete.xdel("done", "9999999999999-1")
        await asyncio.to_thread(add_and_delete.execute)
        gap = "of the stream went by unread: trimmed or deleted before the tap could read them"
        assert await tapped.look(B, C) == ([FAILED, FAILED], f"an entry {gap}")
        for number in (2, 3):
            add_and_delete.xadd("done", {"correlationid": B.correlation_id}, id=f"9999999999999-{number}")
        add_and_delete.xtrim("done", 0, approximate=False)
        await asyncio.to_thread(add_and_delete.execute)
        assert await tapped.look(B) == ([FAILED], f"3 entries {gap}")
        await asyncio.to_thread(client_of(redis).xadd, "done", {"correlationid": C.correlation_id}, "9999999999999-9")
        assert [read.seq for read in await tapped.until(2)] == [1, 3]

    tap(config_of(redis), what)


def test_what_is_trimmed_or_deleted_after_it_was_read_is_none(redis: RedisServer) -> None:
    async def what(tapped: Tapped) -> None:
        for number in range(5):
            (entry_id,) = await asyncio.to_thread(add, redis, A.correlation_id)
            await tapped.until(number + 1)
            await asyncio.to_thread(client_of(redis).xdel, "done", entry_id)
        assert await tapped.look(B) == ([ABSENT], "")

    tap(config_of(redis), what)


def test_a_stream_that_is_gone_or_made_anew_is_a_gap(redis: RedisServer) -> None:
    add(redis, A.correlation_id, B.correlation_id)

    async def what(tapped: Tapped) -> None:
        await asyncio.to_thread(client_of(redis).delete, "done")
        assert await tapped.look(A) == ([FAILED], "the stream is gone")
        await asyncio.to_thread(add, redis, C.correlation_id)
        assert [read.seq for read in await tapped.until(1)] == [3]

    async def anew(tapped: Tapped) -> None:
        pipeline = client_of(redis).pipeline(transaction=True)
        pipeline.delete("done").xadd("done", {"correlationid": B.correlation_id}, id="1-1")
        await asyncio.to_thread(pipeline.execute)
        other = "the stream isn't the one that it was: it was made anew, or Redis has lost some of it"
        assert await tapped.look(A) == ([FAILED], other)
        await asyncio.to_thread(client_of(redis).xadd, "done", {"correlationid": C.correlation_id}, "1-2")
        assert [read.seq for read in await tapped.until(1)] == [3]

    tap(config_of(redis), what)
    tap(config_of(redis), anew)


def test_a_key_of_another_type_is_a_cut(redis: RedisServer) -> None:
    async def what(tapped: Tapped) -> None:
        assert await tapped.look(A) == ([ABSENT], "")
        await asyncio.to_thread(client_of(redis).set, "done", "x")
        async with asyncio.timeout(10):
            while (seen := await tapped.look(A)) == ([ABSENT], ""):
                await asyncio.sleep(0.05)
        assert seen == ([FAILED], "the tap is cut off: 'done' is no stream")
        await asyncio.to_thread(client_of(redis).delete, "done")
        async with asyncio.timeout(10):
            while (await tapped.look(A)) != ([ABSENT], ""):
                await asyncio.sleep(0.05)

    tap(config_of(redis), what)


# --- cuts ---------------------------------------------------------------------------------------------------


def test_what_came_during_a_cut_comes_after_all_as_a_bracket(redis: RedisServer) -> None:
    async def what(tapped: Tapped) -> None:
        await asyncio.to_thread(add, redis, A.correlation_id)
        first = (await tapped.until(1))[0]
        before_ns = CLOCK.now_ns()
        pipeline = client_of(redis).pipeline(transaction=True)
        pipeline.client_kill_filter(_type="normal", skipme=True)
        pipeline.xadd("done", {"correlationid": B.correlation_id})
        await asyncio.to_thread(pipeline.execute)
        added_ns = CLOCK.now_ns()
        second = (await tapped.until(2))[1]
        assert (second.seq, second.exact) == (2, True)
        assert first.end_ns <= second.start_ns <= added_ns
        assert before_ns < second.end_ns
        assert second.start_ns < second.end_ns
        assert await tapped.look(C) == ([ABSENT], "")
        await asyncio.to_thread(add, redis, C.correlation_id)
        third = (await tapped.until(3))[2]
        assert third.start_ns == third.end_ns

    tap(config_of(redis), what)


def test_a_redis_that_is_away_is_a_cut_for_so_long(own_redis: RedisServer) -> None:
    client_of(own_redis).config_set("appendfsync", "always")

    async def what(tapped: Tapped) -> None:
        await asyncio.to_thread(add, own_redis, A.correlation_id)
        await tapped.until(1)
        await asyncio.to_thread(own_redis.kill)
        seen, error = await tapped.look(B)
        assert seen == [FAILED]
        assert error.startswith("the tap is cut off: ")
        await asyncio.to_thread(own_redis.start)
        await asyncio.to_thread(add, own_redis, B.correlation_id)
        reads = await tapped.until(2)
        assert [read.seq for read in reads] == [1, 2]
        async with asyncio.timeout(10):
            while (await tapped.look(C)) != ([ABSENT], ""):
                await asyncio.sleep(0.05)

    tap(config_of(own_redis), what)


def test_a_silent_redis_is_a_cut_too(redis: RedisServer) -> None:
    async def what(tapped: Tapped) -> None:
        assert await tapped.look(A) == ([ABSENT], "")
        await asyncio.to_thread(redis.freeze, True)
        try:
            async with asyncio.timeout(20):
                while not (seen := await tapped.look(A))[1].startswith("the tap is cut off: no answer within 1 s"):
                    await asyncio.sleep(0.05)
        finally:
            await asyncio.to_thread(redis.freeze, False)
        assert seen[0] == [FAILED]
        await asyncio.to_thread(add, redis, A.correlation_id)
        assert [read.seq for read in await tapped.until(1)] == [1]

    tap(config_of(redis, timeout="1s"), what)


def test_a_run_with_an_outage(own_redis: RedisServer, tmp_path: Path) -> None:
    """Nothing is lost by it, nothing counts twice, and each sighting lies where it was written.

    Who writes tries again, and what was written without an answer is there once more.
    """
    client_of(own_redis).config_set("appendfsync", "always")

    async def write(correlation_id: str, copies: int) -> None:
        client = Redis(port=own_redis.port)
        try:
            async with client.pipeline(transaction=True) as pipeline:
                for _ in range(copies):
                    pipeline.xadd("done", {"correlationid": correlation_id})
                await pipeline.execute()
        finally:
            await client.aclose()

    def outage() -> None:
        own_redis.kill()
        time.sleep(1)
        own_redis.start()

    probe = {"kind": "redis-stream-tap", "url": own_redis.url, "stream": "done", "deadline": "8s"}
    run = measure(tmp_path, probe, write, outage)
    run.assert_counts()
    there = Counter(entry[b"correlationid"] for _, entry in client_of(own_redis).xrange("done"))
    more_than_once = sum(copies > 1 for copies in there.values())
    assert run.summary["ledger"]["duplicated"] == more_than_once >= 10
    rows = [row for row in run.rows if row["seq"] in run.truth]
    late = [row for row in rows if row["first_lower_ns"] < row["first_upper_ns"]]
    assert all(run.truth[row["seq"]][0] <= row["first_upper_ns"] for row in rows)
    # An exact one is when it arrived here, a moment after the writer knew of it.
    assert all(row["first_lower_ns"] <= run.truth[row["seq"]][1] for row in late)
    assert 0 < len(late) < len(rows)


# --- addresses and settings ---------------------------------------------------------------------------------


def test_addresses_that_lead_nowhere(redis: RedisServer) -> None:
    at = f"redis://127.0.0.1:{redis.port}/0"
    assert refused(config_of(redis, url="redis://u:secret@127.0.0.1:1/0")) == (
        "can't follow stream 'done' of redis://127.0.0.1:1/0: can't connect: connection refused; "
        "start Redis, or correct url"
    )
    client_of(redis).set("done", "x")
    assert refused(config_of(redis)) == f"can't follow stream 'done' of {at}: 'done' is no stream; correct stream"
    client_of(redis).acl_setuser("blind", enabled=True, passwords=["+pw"], keys=["other"], categories=["+@all"])
    said = refused(config_of(redis, url=f"redis://blind:pw@127.0.0.1:{redis.port}/0"))
    assert said.startswith(f"can't follow stream 'done' of {at}: permission denied: ")
    client_of(redis).acl_deluser("blind")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"stream": ""}, "at least 1 character"),
        ({"match": "a ="}, "is not JMESPath"),
        ({"url": "localhost"}, "'localhost' has no scheme; write an address such as redis://"),
        ({"timeout": "5"}, "is not a duration"),
    ],
)
def test_bad_settings(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RedisStreamTapConfig.model_validate(
            {"kind": "redis-stream-tap", "url": "redis://localhost", "stream": "s", **settings}
        )
    (problem,) = caught.value.errors()
    assert what in problem["msg"]
