"""The Redis streams tap in virtual time, with a Redis made by hand: old, short of words, or too full of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.clients.bounded import TooLong
from evload.clients.redis_answers import Nonsense
from evload.clients.redis_connection import ConnectionLost, Connector, RedisAsker
from evload.clients.redis_replies import ErrorReply, Replies, command
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes.redis_stream_tap import RedisStreamTapConfig
from evload.spi.context import Surroundings
from evload.testing import virtual_clock
from tests.rigs.memory_network import run
from tests.rigs.redis_old import OldRedis, old_redis

PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED
IDS: Final = CorrelationIds.for_run("r-1")
MS: Final = 1_000_000


class Tapped:
    def __init__(self, probe: Any, redis: OldRedis) -> None:
        self.probe = probe
        self.redis = redis
        self.reads: list[Read] = []

    def __call__(self, result: ReadResult) -> None:
        self.reads += result.reads

    def add(self, *seqs: int) -> None:
        self.redis.add(*map(IDS.id_of, seqs))

    def seqs(self) -> list[int]:
        return [read.seq for read in self.reads]

    async def look(self, seq: int = 99) -> tuple[Seen, str]:
        result = await self.probe.read([Target(seq, IDS.id_of(seq))])
        return result.reads[0].seen, result.error


def tap(what: Callable[[Tapped], Awaitable[None]], before: Callable[[OldRedis], None] = lambda _: None) -> None:
    async def main() -> None:
        async with old_redis() as redis:
            before(redis)
            settings = {"kind": "redis-stream-tap", "url": f"redis://127.0.0.1:{redis.port}/0", "stream": "s"}
            surroundings = Surroundings(virtual_clock(), "r-1", Path())
            async with RedisStreamTapConfig.model_validate(settings).open(surroundings) as probe:
                tapped = Tapped(probe, redis)
                listening = asyncio.create_task(probe.listen(tapped))
                await asyncio.sleep(0.1)
                await what(tapped)
                assert not listening.done()
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    run(main())


def trimmed(first: int, come_to: int) -> str:
    return (
        f"entries of the stream may have been trimmed before they could be read: the first is {first}-0, "
        f"and the tap had come to {come_to}-0"
    )


def test_an_exact_moment_is_that_of_the_arrival() -> None:
    async def what(tapped: Tapped) -> None:
        await asyncio.sleep(0.05)
        added_ns = virtual_clock().now_ns()
        tapped.add(1)
        await asyncio.sleep(0.01)
        (read,) = tapped.reads
        assert (read.start_ns - added_ns, read.end_ns - added_ns, read.exact) == (MS, MS, True)

    tap(what)


def test_where_nobody_counts_what_is_trimmed_and_read_is_told_from_what_went_by() -> None:
    async def what(tapped: Tapped) -> None:
        tapped.add(1, 2, 3)
        await asyncio.sleep(0.1)
        tapped.redis.trim(1)  # the last that it has had is still there
        tapped.add(4)
        assert await tapped.look() == (ABSENT, "")
        tapped.add(5, 6, 7)
        tapped.redis.trim(1)
        await asyncio.sleep(0.1)
        assert await tapped.look() == (FAILED, trimmed(7, 4))
        assert tapped.seqs() == [1, 2, 3, 4, 7]

    tap(what)


def test_what_is_trimmed_during_a_cut() -> None:
    async def what(tapped: Tapped) -> None:
        tapped.add(1, 2)
        await asyncio.sleep(0.1)
        tapped.redis.hang_up()
        tapped.add(3, 4, 5)
        tapped.redis.trim(2)
        assert (await tapped.look())[0] is FAILED
        await asyncio.sleep(5)
        assert tapped.seqs() == [1, 2, 4, 5]
        assert await tapped.look() == (FAILED, trimmed(4, 2))

    tap(what)


def test_nothing_is_said_of_a_cut_in_which_nothing_was_trimmed() -> None:
    async def what(tapped: Tapped) -> None:
        tapped.add(1, 2)
        await asyncio.sleep(0.1)
        cut_ns = virtual_clock().now_ns()
        tapped.redis.hang_up()
        tapped.add(3)
        await asyncio.sleep(0.01)
        assert await tapped.look() == (FAILED, "the tap is cut off: Redis closed the connection")
        await asyncio.sleep(5)
        assert tapped.seqs() == [1, 2, 3]
        late = tapped.reads[-1]
        assert late.exact
        assert tapped.reads[1].end_ns <= late.start_ns <= cut_ns < late.end_ns
        assert await tapped.look() == (ABSENT, "")
        tapped.add(4)
        await asyncio.sleep(0.1)
        assert tapped.reads[-1].start_ns == tapped.reads[-1].end_ns

    tap(what)


def test_more_than_it_keeps_up_with_comes_as_brackets_and_none_is_lost() -> None:
    async def what(tapped: Tapped) -> None:
        tapped.add(*range(2500))
        await asyncio.sleep(0.1)
        assert tapped.seqs() == list(range(2500))
        # The first answer came when all was added; what it had no room for was there as early.
        (first,) = {read.end_ns for read in tapped.reads[:1000]}
        assert {read.start_ns for read in tapped.reads[:1000]} == {first}
        assert all(read.start_ns < first < read.end_ns for read in tapped.reads[1000:])
        assert await tapped.look() == (ABSENT, "")

    tap(what)


def test_answers_that_are_too_long_are_asked_for_in_smaller_portions() -> None:
    """A thousand entries of 100 kB are a hundred megabytes."""

    async def what(tapped: Tapped) -> None:
        tapped.add(300)
        await asyncio.sleep(1)
        tapped.redis.longer = 100_000
        tapped.add(*range(300))
        await asyncio.sleep(60)
        assert tapped.seqs() == [300, *range(300)]
        assert await tapped.look() == (ABSENT, "")

    tap(what)


def test_an_entry_that_is_longer_than_any_that_is_taken_is_a_cut() -> None:
    async def what(tapped: Tapped) -> None:
        tapped.redis.longer = 9_000_000
        tapped.add(1)
        await asyncio.sleep(30)
        assert await tapped.look() == (FAILED, "the tap is cut off: an answer is longer than 8388608 bytes")

    tap(what)


def test_a_redis_that_does_not_wait_is_not_asked_without_a_pause() -> None:
    async def what(tapped: Tapped) -> None:
        before = len(tapped.redis.asked)
        await asyncio.sleep(10)
        assert len(tapped.redis.asked) - before < 1500
        tapped.add(1)
        await asyncio.sleep(0.1)
        assert tapped.seqs() == [1]

    def hasty(redis: OldRedis) -> None:
        redis.waits = False

    tap(what, hasty)


def test_it_asks_twice_a_second_where_nothing_comes() -> None:
    async def what(tapped: Tapped) -> None:
        before = len(tapped.redis.asked)
        await asyncio.sleep(10)
        names = [words[0] for words in tapped.redis.asked[before:]]
        assert names.count(b"EXEC") in (19, 20, 21)

    tap(what)


def test_who_got_no_answer_in_time_asks_no_more_on_that_connection() -> None:
    """The answer that is late would be taken for that to the next question."""

    async def main() -> None:
        async with old_redis() as redis:
            settings = RedisStreamTapConfig(
                kind="redis-stream-tap", url=f"redis://127.0.0.1:{redis.port}/0", stream="s"
            )
            surroundings = Surroundings(virtual_clock(), "r-1", Path())
            asker = await RedisAsker.open(Connector(settings, surroundings, 1000 * MS))
            wait = command("XREAD", "COUNT", 1, "BLOCK", 5000, "STREAMS", "s", "0-0")
            with pytest.raises(TimeoutError):
                await asker.ask([wait], 1000 * MS)
            assert asker.is_over
            with pytest.raises(ConnectionLost, match="closed"):
                await asker.ask([wait], 1000 * MS)
            await asyncio.sleep(5)

    run(main())


# --- replies ------------------------------------------------------------------------------------------------

SAID: Final = (
    b"+OK\r\n:-7\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n*0\r\n-ERR no  such\tkey\r\n"
    b"*3\r\n$1\r\nx\r\n*2\r\n:1\r\n-E y\r\n$0\r\n\r\n:12345678901234567890\r\n"
)
MEANT: Final = [
    b"OK", -7, b"a\r\nbc", None, None, [], ErrorReply("ERR no such key"),
    [b"x", [1, ErrorReply("E y")], b""], 12345678901234567890,
]  # fmt: skip


@given(st.lists(st.integers(0, len(SAID))))
def test_replies_are_the_same_however_they_arrive(cuts: list[int]) -> None:
    replies, found = Replies(1000), []
    ends = sorted({0, *cuts, len(SAID)})
    for start, end in pairwise(ends):
        found += replies.feed(SAID[start:end])
    assert found == MEANT


@pytest.mark.parametrize(
    "said", [b"OK\r\n", b"\r\n", b"$ 5\r\n", b"$+5\r\n", b":1e3\r\n", b":\r\n", b"*x\r\n", b"+" * 70_000, b"%1\r\n"]
)
def test_what_is_no_reply(said: bytes) -> None:
    with pytest.raises(Nonsense, match="what answers there isn't Redis: it says b"):
        Replies(1000).feed(b"+OK\r\n" + said)


@pytest.mark.parametrize(
    "said", [b"$1001\r\n", b"*99\r\n" + b":1\r\n" * 99, b"*2\r\n$600\r\n" + b"x" * 600 + b"\r\n$600\r\n"]
)
def test_what_is_too_long_is_not_waited_for(said: bytes) -> None:
    with pytest.raises(TooLong, match="an answer is longer than 1000 bytes"):
        Replies(1000).feed(said)


def test_a_command_is_its_parts_with_their_lengths() -> None:
    assert command("XADD", "ä", b"\r\n", 17) == b"*4\r\n$4\r\nXADD\r\n$2\r\n\xc3\xa4\r\n$2\r\n\r\n\r\n$2\r\n17\r\n"
