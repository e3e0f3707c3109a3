"""Every event is settled once, and rightly, whatever a Redis does: a scripted peer, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event
from evload.producers.redis_stream import RedisStreamProducerConfig
from evload.producers.redis_stream.entries import described
from evload.spi import Message
from evload.testing import virtual_clock
from tests.rigs.memory_network import run
from tests.rigs.redis_stream_peer import PeerLink, StreamPeer, stream_peer
from tests.rigs.redis_traffic import traffic
from tests.rigs.traffic import Traffic

ACCEPTED, REJECTED, IN_DOUBT, UNSENT = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IN_DOUBT, Outcome.UNSENT
MS: Final = 1_000_000
OOM: Final = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"


@asynccontextmanager
async def publishing(**options: Any) -> AsyncIterator[tuple[Traffic[Any], StreamPeer]]:
    async with stream_peer() as peer:
        url = f"redis://127.0.0.1:{peer.port}/0"
        async with traffic(url, virtual_clock(), timeout="2s", **options) as load:
            yield load, peer


async def publish(load: Traffic[Any], count: int) -> None:
    """In one batch, and until it has arrived."""
    await load.publish(load.make(count), count)
    await asyncio.sleep(0.005)


def entry(number: int) -> bytes:
    text = b"17-%d" % number
    return b"$%d\r\n%b\r\n" % (len(text), text)


def settled(load: Traffic[Any]) -> list[tuple[int, Outcome, str]]:
    return [(seq, receipt.outcome, receipt.detail or receipt.capture or "") for seq, receipt in load.receipts.items()]


def test_replies_are_about_the_oldest_in_turn() -> None:
    async def main() -> None:
        async with publishing() as (load, peer):
            await publish(load, 4)
            (link,) = peer.links
            assert len(link.added) == 4
            link.say(entry(1) + OOM + entry(2)[:3])
            await asyncio.sleep(0.01)
            assert settled(load) == [(0, ACCEPTED, "17-1"), (1, REJECTED, OOM[1:-2].decode())]
            link.say(entry(2)[3:] + b"-MOVED 99 10.0.0.2:6379\r\n")
            await asyncio.sleep(0.01)
            moved = "MOVED 99 10.0.0.2:6379: another node of this cluster has the stream"
            assert settled(load)[2:] == [(2, ACCEPTED, "17-2"), (3, REJECTED, moved)]
            receipt = load.receipts[0]
            assert receipt.sent_ns is not None
            assert receipt.acked_ns is not None
            # Five until the test goes on, and one for the way back; a millisecond each way.
            assert receipt.acked_ns - receipt.sent_ns == 6 * MS

    run(main())


def test_an_answer_that_is_late_is_not_taken_for_one_to_somebody_else() -> None:
    async def main() -> None:
        async with publishing() as (load, peer):
            await publish(load, 2)
            (link,) = peer.links
            await asyncio.sleep(2.5)
            assert settled(load) == [(seq, IN_DOUBT, "no answer within 2 s") for seq in (0, 1)]
            await publish(load, 2)
            link.say(entry(1) + OOM + entry(3))
            await asyncio.sleep(0.01)
            assert settled(load)[2:] == [(2, ACCEPTED, "17-3")]
            link.say(entry(4))
            await asyncio.sleep(0.01)
            assert settled(load)[3:] == [(3, ACCEPTED, "17-4")]

    run(main())


def test_a_redis_that_says_nothing_for_long_is_given_up_for_another_connection() -> None:
    async def main() -> None:
        async with publishing() as (load, peer):
            await asyncio.sleep(60)
            await publish(load, 1)
            await asyncio.sleep(5.5)
            assert len(peer.links) == 1
            await asyncio.sleep(2.5)
            assert len(peer.links) == 2
            await publish(load, 1)
            peer.links[1].say(entry(1))
            await asyncio.sleep(0.01)
            assert settled(load) == [(0, IN_DOUBT, "no answer within 2 s"), (1, ACCEPTED, "17-1")]

    run(main())


def test_what_is_on_its_way_when_the_connection_is_lost_is_in_doubt_and_the_rest_unsent() -> None:
    async def main() -> None:
        async with publishing() as (load, peer):
            await publish(load, 3)
            peer.links[0].say(entry(1))
            await asyncio.sleep(0.002)
            peer.shut = True
            peer.links[0].hang_up()
            await asyncio.sleep(0.005)
            await publish(load, 1)
            lost = "Redis closed the connection"
            assert settled(load) == [
                (0, ACCEPTED, "17-1"), (1, IN_DOUBT, f"connection lost: {lost}"),
                (2, IN_DOUBT, f"connection lost: {lost}"), (3, UNSENT, f"no connection: {lost}"),
            ]  # fmt: skip
            await asyncio.sleep(3)
            await publish(load, 1)
            assert settled(load)[4:] == [(4, UNSENT, "no connection: connection lost")]
            peer.shut = False
            await asyncio.sleep(4)
            await publish(load, 1)
            peer.links[-1].say(entry(2))
            await asyncio.sleep(0.005)
            assert settled(load)[5:] == [(5, ACCEPTED, "17-2")]

    run(main())


def test_what_waits_for_room_is_written_when_there_is_some_or_unsent_after_the_timeout() -> None:
    async def main() -> None:
        async with publishing(window=2) as (load, peer):
            publishes = asyncio.create_task(load.publish(load.make(4), 4))
            await asyncio.sleep(0.01)
            (link,) = peer.links
            assert len(link.added) == 2
            assert not publishes.done()
            link.say(entry(1))
            await asyncio.sleep(0.01)
            assert len(link.added) == 3
            link.say(entry(2))
            await asyncio.sleep(0.01)
            assert len(link.added) == 4
            assert publishes.done()
        assert settled(load) == [
            (0, ACCEPTED, "17-1"), (1, ACCEPTED, "17-2"),
            (2, IN_DOUBT, "no answer before the end"), (3, IN_DOUBT, "no answer before the end"),
        ]  # fmt: skip

    run(main())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b":5\r\n", "what answers there isn't Redis: XADD was answered with 5"),
        (b"+OK\r\n", "what answers there isn't Redis: XADD was answered with b'OK'"),
        (b"$-1\r\n", "what answers there isn't Redis: XADD was answered with None"),
        (b"*1\r\n+17-1\r\n", "what answers there isn't Redis: XADD was answered with [b'17-1']"),
        (b"HTTP/1.1 400 Bad Request\r\n", "what answers there isn't Redis: it says b'HTTP/1.1 400 Bad Request'"),
        (b"$x\r\n", "what answers there isn't Redis: it says b'$x'"),
        (b"$1_0\r\n", "what answers there isn't Redis: it says b'$1_0'"),
        (b"*1\r\n" * 20, "what answers there isn't Redis: it says b'*1'"),
        (b"$9000000000\r\nx", "an answer is longer than 8388608 bytes"),
        (entry(1) + entry(2), "what answers there isn't Redis: it answers what nobody asked"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_an_answer_that_is_none_accepts_nothing(said: bytes, reason: str) -> None:
    async def main() -> None:
        async with publishing() as (load, peer):
            await publish(load, 1)
            peer.links[0].say(said)
            await asyncio.sleep(0.005)
            if said.startswith(entry(1)):
                assert settled(load) == [(0, ACCEPTED, "17-1")]
                await publish(load, 1)
                assert settled(load)[1:] == [(1, UNSENT, f"no connection: {reason}")]
            else:
                assert settled(load) == [(0, IN_DOUBT, f"connection lost: {reason}")]
            await asyncio.sleep(1)
            assert len(peer.links) == 2

    run(main())


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (
            b"-MOVED 99 10.0.0.2:6379\r\n",
            "this is a node of a cluster, and the stream is on another one; name 10.0.0.2:6379 in url",
        ),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "Redis is loading its data; wait until it is done"),
        (b"-NOAUTH Authentication required.\r\n", "login refused: NOAUTH Authentication required; correct user and"),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", "NOREPLICAS Not enough good replicas to write; see"),
        (b"-ERR unknown command 'XADD'\r\n", "ERR unknown command 'XADD'; see Redis's log"),
    ],
    ids=lambda value: value[1:9].decode() if isinstance(value, bytes) else "",
)
def test_a_redis_to_which_nothing_can_be_added_is_no_target(says: bytes, told: str) -> None:
    async def main() -> str:
        async with stream_peer() as peer:
            peer.says = says
            url = f"redis://127.0.0.1:{peer.port}/0"
            with pytest.raises(TargetError) as refused:
                async with traffic(url, virtual_clock()):
                    pass
        return str(refused.value).removeprefix(f"can't add to stream 'orders' of {url}: ")

    assert run(main()).startswith(told)


@pytest.mark.parametrize("says", [b"$3\r\n1-1\r\n", b":1\r\n", b"+OK\r\n"])
def test_what_takes_an_entry_that_can_not_be_is_no_redis(says: bytes) -> None:
    async def main() -> str:
        async with stream_peer() as peer:
            peer.says = says
            with pytest.raises(TargetError) as refused:
                async with traffic(f"redis://127.0.0.1:{peer.port}/0", virtual_clock()):
                    pass
        return str(refused.value)

    said = run(main())
    assert ": XADD was answered with " in said
    assert said.endswith(", not as Redis does; name a Redis in url")


STEPS: Final = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 9)),
    st.tuples(st.just("accept"), st.integers(1, 5)),
    st.tuples(st.just("reject"), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.sampled_from([1, 400, 2500, 9000])),
    st.tuples(st.sampled_from(["cut", "hang up", "nonsense", "shut", "open"]), st.just(0)),
)


class _Script:
    """Does what it is told, and keeps what every event really met."""

    def __init__(self, load: Traffic[Any], peer: StreamPeer) -> None:
        self._load = load
        self._peer = peer
        self._number = 0
        self._answered: dict[int, int] = {}
        self.accepted: dict[str, str] = {}
        """By correlation id the ids of entries that the peer has said."""
        self.rejected: set[str] = set()
        self.publishing: set[asyncio.Task[None]] = set()

    async def do(self, what: str, count: int) -> None:
        link = self._peer.links[-1] if self._peer.links else None
        match what:
            case "publish":
                self.publishing.add(asyncio.create_task(self._load.publish(self._load.make(count), count)))
            case "wait":
                await asyncio.sleep(count / 1000)
            case "shut" | "open":
                self._peer.shut = what == "shut"
            case "hang up" if link is not None:
                link.hang_up()
            case "nonsense" if link is not None:
                link.say(b"+QUEUED\r\n")
            case "cut" if link is not None and (words := self._next(link, True)):
                link.say(words[: len(words) // 2])
                await asyncio.sleep(0.003)
                link.say(words[len(words) // 2 :])
            case "accept" | "reject" if link is not None:
                link.say(b"".join([self._next(link, what == "accept") for _ in range(count)]))
        await asyncio.sleep(0.003)

    def _next(self, link: PeerLink, accepts: bool) -> bytes:
        """The answer to the oldest that has none; nothing if there is none."""
        at = self._answered.get(id(link), 0)
        if at >= len(link.added):
            return b""
        self._answered[id(link)] = at + 1
        fields = link.added[at]
        correlation_id = fields[fields.index(b"correlationid") + 1].decode()
        if not accepts:
            self.rejected.add(correlation_id)
            return OOM
        self._number += 1
        self.accepted[correlation_id] = f"17-{self._number}"
        return entry(self._number)


def assert_settles(steps: list[tuple[str, int]], window: int) -> None:
    """Each event has one receipt, which says nothing that isn't so."""

    async def main() -> None:
        async with publishing(window=window) as (load, peer):
            script = _Script(load, peer)
            for what, count in steps:
                await script.do(what, count)
            for task in script.publishing:
                task.cancel()
            await asyncio.gather(*script.publishing, return_exceptions=True)
        # `traffic` holds that each is settled, and Traffic that none is twice.
        arrived = {
            fields[fields.index(b"correlationid") + 1].decode() for link in peer.links for fields in link.added
        }
        for seq, receipt in load.receipts.items():
            correlation_id = load.events[seq].correlation_id
            match receipt.outcome:
                case Outcome.ACCEPTED:
                    assert receipt.capture == script.accepted[correlation_id]
                case Outcome.REJECTED:
                    assert correlation_id in script.rejected
                    assert receipt.detail == OOM[1:-2].decode()
                case Outcome.UNSENT:
                    assert correlation_id not in arrived
                case _:
                    assert receipt.outcome is IN_DOUBT
            assert (receipt.acked_ns is not None) == (receipt.outcome in (ACCEPTED, REJECTED))

    run(main())


@given(steps=st.lists(STEPS, max_size=25), window=st.sampled_from([1, 3, 5000]))
@settings(max_examples=60)
def test_every_event_is_settled_once_whatever_redis_does(steps: list[tuple[str, int]], window: int) -> None:
    assert_settles(steps, window)


# -- what is told to people ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "head"),
    [
        ({"stream": "orders"}, "XADD orders *\nce-type: placed\ndata:"),
        ({"stream": "{key}", "mode": "plain", "field": "body"}, "XADD k1 *\nbody:"),
        (
            {"stream": "{key}", "maxlen": 9, "fields": {"of": "{type}", "by": "evload"}},
            "XADD k1 MAXLEN ~ 9 *\nce-type: placed\nby: evload\nof: order.created\ndata:",
        ),
        ({"stream": "s", "mode": "plain", "maxlen": 9, "trim": "exact"}, "XADD s MAXLEN = 9 *\ndata:"),
    ],
)
def test_what_is_sent_is_told_to_people(options: dict[str, Any], head: str) -> None:
    config = RedisStreamProducerConfig.model_validate({"kind": "redis-stream", "url": "redis://localhost", **options})
    texts = {"{key}": "k1", "{type}": "order.created"}
    extras = tuple(texts[text] for text in config.encoding().extras)
    event = Event(7, "c-7", 0, 0, 0, "k1", b'{"a":1}', (("ce-type", "placed"),), extras)
    assert described(config, event) == Message(head, b'{"a":1}')
