"""The EventBridge producer and a scripted bus in virtual time: what calls it makes, when, and how each entry ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.eventbridge import EventBridgeProducerConfig
from evload.spi.context import Surroundings
from evload.spi.producer import Producer
from evload.testing import virtual_clock
from tests.rigs.memory_network import CONNECT_NS, memory_loop, run
from tests.servers.httpserver import Request, Server, Step, json_answer, serving

MS = 1_000_000
S = 1_000_000_000
ACCEPTED, REJECTED, IN_DOUBT, UNSENT = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IN_DOUBT, Outcome.UNSENT
THROTTLED = "ThrottlingException"
BUS = "bus-{choice:a}"
"""A bus that is rendered for each event isn't looked for, which would take a client of the SDK's own."""

pytestmark = pytest.mark.usefixtures("aws_environment")

Steps = Sequence[bytes | float | Step]


@pytest.fixture(autouse=True)
def _pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause is half of the longest that it may be."""
    monkeypatch.setattr("random.random", lambda: 0.5)


@dataclass
class Call:
    """One call as it arrived: the numbers of its events, its entries, and when it came (s)."""

    seqs: list[int]
    entries: list[dict[str, Any]]
    at_s: float


@dataclass
class Bus:
    """Answers calls as `reply` has it, and keeps them."""

    reply: Callable[[Call], Steps]
    calls: list[Call] = field(default_factory=list)

    def script(self, request: Request) -> Steps:
        entries = json.loads(request.body)["Entries"]
        details = [json.loads(entry["Detail"]) for entry in entries]
        seqs = [detail["data"] if isinstance(detail, dict) else detail for detail in details]
        call = Call([seq[0] if isinstance(seq, list) else seq for seq in seqs], entries, memory_loop().time())
        self.calls.append(call)
        return self.reply(call)

    @property
    def seqs(self) -> list[list[int]]:
        """The numbers of the events in each call."""
        return [call.seqs for call in self.calls]


def taken(call: Call, refused: dict[int, str] | None = None) -> bytes:
    """The answer that takes all entries but some, by the numbers of their events."""
    refused = refused or {}
    results = [{"ErrorCode": refused[seq]} if seq in refused else {"EventId": "x"} for seq in call.seqs]
    return json_answer(json.dumps({"FailedEntryCount": len(refused), "Entries": results}).encode())


def error(code: str, status: int = 400) -> bytes:
    return json_answer(json.dumps({"__type": code}).encode(), status)


class Load:
    """Events numbered from 0, on their way through one producer, and what became of them."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.clock = virtual_clock()
        self.receipts: dict[int, Receipt] = {}
        self.count = 0
        """How many there are."""
        self._news = asyncio.Event()

    def make(self, count: int) -> list[Event]:
        """Their data is their number."""
        seqs = range(self.count, self.count + count)
        self.count += count
        extras = ("bus-a", "s", "t", "", "NOW")
        kind = (("content-type", "application/json"),)
        return [Event(seq, f"c-{seq}", 0, 0, 0, None, b"%d" % seq, kind, extras) for seq in seqs]

    async def publish(self, count: int = 1) -> None:
        await self.producer.publish(self.make(count), self.settle)

    def settle(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            assert receipt.seq not in self.receipts, f"settled twice: {receipt}"
            self.receipts[receipt.seq] = receipt
        self._news.set()

    async def settled(self) -> None:
        async with asyncio.timeout(300):
            while len(self.receipts) < self.count:
                self._news.clear()
                await self._news.wait()

    def told(self) -> list[tuple[int, Outcome, str]]:
        """Number, outcome and detail, in the order in which they were settled."""
        return [(receipt.seq, receipt.outcome, receipt.detail) for receipt in self.receipts.values()]


@asynccontextmanager
async def loaded(reply: Callable[[Call], Steps], **settings: Any) -> AsyncIterator[tuple[Load, Bus, Server]]:
    """A producer and the bus that it sends to."""
    bus = Bus(reply)
    async with serving(bus.script) as server:
        given = {"kind": "eventbridge", "bus": BUS, "endpoint": server.url, "detail": "data", **settings}
        config = EventBridgeProducerConfig.model_validate(given)
        async with config.open(Surroundings(virtual_clock(), "r-1", Path())) as producer:
            load = Load(producer)
            yield load, bus, server
        assert len(load.receipts) == load.count, "all is settled once it has closed"


def take(call: Call) -> Steps:
    return [taken(call)]


async def moment(milliseconds: float = 2) -> None:
    await asyncio.sleep(milliseconds / 1000)


class TestStamps:
    def test_sent_with_its_call_and_acked_with_the_answer(self) -> None:
        async def main() -> None:
            async with loaded(lambda call: [0.1, taken(call, {1: "Bad"})], concurrency=1) as (load, _, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await load.publish(1)
                await load.settled()
                assert list(load.receipts.values()) == [
                    Receipt(0, ACCEPTED, began, began + 102 * MS, ""),
                    Receipt(1, REJECTED, began, began + 102 * MS, "Bad"),
                    Receipt(2, ACCEPTED, began + 102 * MS, began + 204 * MS, ""),
                ]

        run(main())

    def test_a_call_that_waits_for_its_connection_is_sent_when_it_has_one(self) -> None:
        async def main() -> None:
            async with loaded(lambda call: [0.1, taken(call)], batch=1, concurrency=2) as (load, _, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await load.settled()
                assert [load.receipts[seq].sent_ns for seq in (0, 1)] == [began, began + CONNECT_NS]

        run(main())

    def test_an_answer_that_is_none_leaves_its_call_in_doubt(self) -> None:
        async def main() -> None:
            async with loaded(lambda _: [json_answer(b"<html>")], batch=1, concurrency=1) as (load, _, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await load.settled()
                said = "answered with 200 and not an answer of EventBridge"
                assert list(load.receipts.values()) == [
                    Receipt(0, IN_DOUBT, began, None, said),
                    Receipt(1, IN_DOUBT, began + 2 * MS, None, said),
                ]

        run(main())

    def test_what_is_sent_again_keeps_the_stamp_of_its_first_call(self) -> None:
        async def main() -> None:
            answers = iter([error(THROTTLED), error(THROTTLED), b""])
            async with loaded(lambda call: [next(answers) or taken(call)]) as (load, bus, _):
                began = load.clock.now_ns()
                await load.publish()
                await load.settled()
                last = round(bus.calls[-1].at_s * S)
                assert list(load.receipts.values()) == [
                    Receipt(0, ACCEPTED, began, last + MS, f"accepted after {THROTTLED}, 2 times")
                ]

        run(main())

    def test_a_refusal_that_stands_is_stamped_when_it_came(self) -> None:
        async def main() -> None:
            async with loaded(lambda _: [error(THROTTLED)], retries=1) as (load, bus, _):
                began = load.clock.now_ns()
                await load.publish()
                await load.settled()
                last = round(bus.calls[-1].at_s * S)
                assert list(load.receipts.values()) == [
                    Receipt(0, REJECTED, began, last + MS, f"{THROTTLED} (after 2 attempts)")
                ]

        run(main())

    def test_a_refused_connection_is_an_attempt_that_began_when_it_was_queued(self) -> None:
        async def main() -> None:
            async with loaded(take) as (load, _, server):
                await server.stop()
                await moment()
                began = load.clock.now_ns()
                await load.publish(11)
                await load.settled()
                assert load.clock.now_ns() == began + CONNECT_NS
                assert list(load.receipts.values()) == [
                    Receipt(seq, UNSENT, began, None, "connection refused") for seq in range(11)
                ]

        run(main())

    def test_what_waits_in_vain_was_never_tried(self) -> None:
        async def main() -> None:
            async with loaded(lambda _: [Step.STALL], batch=2, concurrency=1, timeout="1s") as (load, bus, _):
                began = load.clock.now_ns()
                await load.publish(3)
                await asyncio.sleep(0.5)
                await load.publish(1)
                await asyncio.sleep(0.6)
                why = "1 calls were under way for 1 s"
                assert list(load.receipts.values()) == [
                    Receipt(0, IN_DOUBT, began, None, "no answer within 1 s"),
                    Receipt(1, IN_DOUBT, began, None, "no answer within 1 s"),
                    Receipt(2, UNSENT, None, None, why),
                ]
                assert bus.seqs == [[0, 1], [3]]

        run(main())


class TestCalls:
    def test_what_waits_for_a_free_call_is_gathered(self) -> None:
        async def main() -> None:
            async with loaded(lambda call: [0.1, taken(call)], concurrency=2, batch=3) as (load, bus, server):
                for count in (1, 1, 1, 2, 5):
                    await load.publish(count)
                    await moment()
                await load.settled()
                assert bus.seqs == [[0], [1], [2, 3, 4], [5, 6, 7], [8, 9]]
                assert server.most_open == 2

        run(main())

    def test_many_calls_are_all_made_at_once(self) -> None:
        async def main() -> None:
            async with loaded(lambda call: [0.5, taken(call)], batch=1, concurrency=40) as (load, bus, _):
                await load.publish(50)
                await moment(10)
                assert sorted(bus.seqs) == [[seq] for seq in range(40)]
                await load.settled()
                assert sorted(bus.seqs) == [[seq] for seq in range(50)]
                assert {receipt.outcome for receipt in load.receipts.values()} == {ACCEPTED}

        run(main())

    def test_a_call_that_fails_makes_room_for_the_next(self) -> None:
        async def main() -> None:
            script: Callable[[Call], Steps] = lambda call: [Step.RESET] if call.seqs == [0] else [taken(call)]  # noqa: E731
            async with loaded(script, batch=1, concurrency=1) as (load, bus, _):
                await load.publish(3)
                await load.settled()
                assert load.told() == [(0, IN_DOUBT, "connection reset"), (1, ACCEPTED, ""), (2, ACCEPTED, "")]
                assert bus.seqs == [[0], [1], [2]]

        run(main())

    def test_receipts_go_to_whoever_published(self) -> None:
        async def main() -> None:
            async with loaded(take) as (load, bus, _):
                ours: list[Receipt] = []
                theirs: list[Receipt] = []
                for event in load.make(6):
                    await load.producer.publish([event], (theirs if event.seq % 2 else ours).extend)
                await moment(20)
                assert sorted(receipt.seq for receipt in ours) == [0, 2, 4]
                assert sorted(receipt.seq for receipt in theirs) == [1, 3, 5]
                assert sorted(seq for seqs in bus.seqs for seq in seqs) == [0, 1, 2, 3, 4, 5]
                load.settle([*ours, *theirs])

        run(main())

    def test_what_is_too_large_stays_here_and_the_others_go(self) -> None:
        async def main() -> None:
            async with loaded(take, max_size="1100B", batch=3) as (load, bus, _):
                events = load.make(5)
                for event, size in zip(events, (1099, 600, 496, 1098, 10), strict=True):
                    event.body = b"[%d" % event.seq + b" " * (size - 3) + b"]"
                began = load.clock.now_ns()
                await load.producer.publish(events, load.settle)
                await load.settled()
                # Source and detail type are a byte each.
                assert bus.seqs == [[1, 2], [3], [4]]
                why = "the entry has 1101 bytes, and EventBridge takes 1100; it was not sent"
                assert load.receipts[0] == Receipt(0, REJECTED, began, began, why)
                assert [load.receipts[seq].outcome for seq in range(1, 5)] == [ACCEPTED] * 4

        run(main())

    def test_one_that_is_too_large_does_not_end_the_call(self) -> None:
        async def main() -> None:
            async with loaded(take, max_size="2KB") as (load, bus, _):
                events = load.make(6)
                for event, size in zip(events, (10, 2100, 10, 900, 900, 900), strict=True):
                    event.body = b"[%d" % event.seq + b" " * (size - 3) + b"]"
                await load.producer.publish(events, load.settle)
                await load.settled()
                assert bus.seqs == [[0, 2, 3, 4], [5]]
                assert load.receipts[1].outcome is REJECTED

        run(main())

    def test_a_call_of_nothing_is_not_made(self) -> None:
        async def main() -> None:
            async with loaded(take, max_size="2KB", concurrency=1) as (load, bus, server):
                for count in (2, 13):
                    events = load.make(count)
                    for event in events[:12]:
                        event.body = b"[%d" % event.seq + b" " * 2100 + b"]"
                    await load.producer.publish(events, load.settle)
                    await load.settled()
                assert bus.seqs == [[14]]
                assert len(server.requests) == 1
                assert [load.receipts[seq].outcome for seq in range(15)] == [*[REJECTED] * 14, ACCEPTED]

        run(main())


def published_at(call: Call) -> list[str]:
    """The stamps in the envelopes, seconds and the like."""
    return [json.loads(entry["Detail"])["timestamps"]["published_at"] for entry in call.entries]


class TestConnections:
    @pytest.mark.parametrize(("idle_s", "connections"), [(4.9, 1), (5.3, 2)])
    def test_a_connection_that_was_idle_for_five_seconds_is_not_used_again(
        self, idle_s: float, connections: int
    ) -> None:
        async def main() -> None:
            async with loaded(take) as (load, _, server):
                await load.publish()
                await load.settled()
                await asyncio.sleep(idle_s)
                await load.publish()
                await load.settled()
                assert server.connections == connections

        run(main())

    def test_nobody_there_is_one_line(self) -> None:
        async def main() -> str:
            given = {"kind": "eventbridge", "bus": BUS, "endpoint": "http://127.0.0.1:9/"}
            with pytest.raises(TargetError) as caught:
                async with EventBridgeProducerConfig.model_validate(given).open(
                    Surroundings(virtual_clock(), "r-1", Path())
                ):
                    pass
            return str(caught.value)

        assert run(main()) == (
            "can't connect to http://127.0.0.1:9/: connection refused; check the network, region and endpoint"
        )


class TestEnvelope:
    def test_it_says_when_the_entry_is_sent_and_not_when_it_was_looked_at(self) -> None:
        """The second entry doesn't fit into the first call, and waits for its answer."""

        async def main() -> None:
            reply: Callable[[Call], Steps] = lambda call: [2.0, taken(call)]  # noqa: E731
            async with loaded(reply, detail="envelope", max_size="2KB", concurrency=1) as (load, bus, _):
                events = load.make(2)
                for event in events:
                    event.body = b"[%d" % event.seq + b" " * 1200 + b"]"
                began = load.clock.now_ns()
                await load.producer.publish(events, load.settle)
                await load.settled()
                start = virtual_clock().wall(began).isoformat(timespec="microseconds")[:-6] + "Z"
                later = virtual_clock().wall(began + 2002 * MS).isoformat(timespec="microseconds")[:-6] + "Z"
                assert [published_at(call) for call in bus.calls] == [[start], [later]]

        run(main())

    def test_an_entry_that_is_sent_again_is_the_same_to_the_last_byte(self) -> None:
        async def main() -> None:
            answers = iter([error(THROTTLED), b""])
            async with loaded(lambda call: [next(answers) or taken(call)], detail="envelope") as (load, bus, _):
                await load.publish()
                await load.settled()
                first, second = bus.calls
                assert second.at_s > first.at_s
                assert second.entries == first.entries

        run(main())

    def test_even_if_it_does_not_fit_into_the_next_call(self) -> None:
        """Two entries, each alone in its call, are refused in the same moment and queued again together."""

        async def main() -> None:
            def reply(call: Call) -> Steps:
                return [error(THROTTLED)] if len(seen.calls) <= 2 else [taken(call)]

            settings: dict[str, Any] = {"detail": "envelope", "max_size": "2KB", "concurrency": 2}
            async with loaded(lambda call: reply(call), **settings) as (load, seen, _):
                events = load.make(4)
                for event in events:
                    event.body = b"[%d" % event.seq + b" " * 1200 + b"]"
                seen.calls += [Call([], [], 0.0)] * 2
                await load.producer.publish(events[:2], load.settle)  # so that both connections are open
                await moment(100)
                seen.calls.clear()
                await load.producer.publish(events[2:], load.settle)
                await load.settled()
                sent = sorted((call.seqs, call.at_s, call.entries) for call in seen.calls)
                assert [seqs for seqs, _, _ in sent] == [[2], [2], [3], [3]]
                assert sent[1][1] == sent[3][1] > sent[0][1] == sent[2][1]
                assert sent[0][2] == sent[1][2]
                assert sent[2][2] == sent[3][2]

        run(main())


class TestAgain:
    def test_the_pauses_double_up_to_twenty_seconds(self) -> None:
        async def main() -> None:
            async with loaded(lambda _: [error(THROTTLED)], retries=7, timeout="1m") as (load, bus, _):
                await load.publish()
                await load.settled()
                times = [call.at_s for call in bus.calls]
                pauses = [round(later - earlier, 3) for earlier, later in pairwise(times)]
                there_and_back, anew = 0.002, 0.002  # a connection that is idle for five seconds is not used again
                halves = (0.5, 1.0, 2.0, 4.0, 8.0 + anew, 10.0 + anew, 10.0 + anew)
                assert pauses == [round(half + there_and_back, 3) for half in halves]
                assert load.told() == [(0, REJECTED, f"{THROTTLED} (after 8 attempts)")]

        run(main())

    def test_only_the_entries_that_were_refused_are_sent_again_in_their_order_and_first(self) -> None:
        async def main() -> None:
            def reply(call: Call) -> Steps:
                if call.seqs == [0, 1, 2, 3, 4]:
                    return [taken(call, {1: THROTTLED, 2: "MalformedDetail", 4: "InternalFailure"})]
                return [0.9, taken(call)]

            async with loaded(reply, batch=5, concurrency=1) as (load, bus, _):
                await load.publish(5)
                await moment(10)
                await load.publish(1)  # the call is free, and then it isn't for as long as the pause takes
                await moment(10)
                await load.publish(4)
                await load.settled()
                assert bus.seqs == [[0, 1, 2, 3, 4], [5], [1, 4, 6, 7, 8], [9]]
                assert load.told() == [
                    (0, ACCEPTED, ""), (2, REJECTED, "MalformedDetail"), (3, ACCEPTED, ""), (5, ACCEPTED, ""),
                    (1, ACCEPTED, f"accepted after {THROTTLED}, once"),
                    (4, ACCEPTED, "accepted after InternalFailure, once"),
                    (6, ACCEPTED, ""), (7, ACCEPTED, ""), (8, ACCEPTED, ""), (9, ACCEPTED, ""),
                ]  # fmt: skip

        run(main())

    def test_the_pause_is_that_of_the_entry_that_was_refused_most_often(self) -> None:
        async def main() -> None:
            def reply(call: Call) -> Steps:
                return [0.05, taken(call)] if call.seqs == [1] else [error(THROTTLED)]

            async with loaded(reply, retries=2, concurrency=1) as (load, bus, _):
                await load.publish()  # refused, and queued again after half a second
                await moment(495)
                await load.publish()  # holds the only call then
                await moment(1)
                await load.publish()
                await load.settled()
                assert bus.seqs == [[0], [1], [0, 2], [0, 2], [2]]
                times = [round(call.at_s, 3) for call in bus.calls]
                assert round(times[3] - times[2], 3) == 1.002, "as long as its third attempt has to wait for"
                assert round(times[4] - times[3], 3) == 1.002
                refused = (REJECTED, f"{THROTTLED} (after 3 attempts)")
                assert load.told()[1:] == [(0, *refused), (2, *refused)]

        run(main())

    def test_a_refused_entry_that_gets_no_answer_the_next_time_is_in_doubt(self) -> None:
        async def main() -> None:
            steps: list[Steps] = [[error(THROTTLED)], [Step.CLOSE]]
            answers = iter(steps)
            async with loaded(lambda _: next(answers)) as (load, bus, _):
                began = load.clock.now_ns()
                await load.publish()
                await load.settled()
                assert list(load.receipts.values()) == [
                    Receipt(0, IN_DOUBT, began, None, "connection closed without an answer")
                ]
                assert len(bus.calls) == 2

        run(main())

    def test_a_refused_entry_that_can_not_be_sent_again_stays_refused(self) -> None:
        async def main() -> None:
            async with loaded(lambda _: [error(THROTTLED), Step.CLOSE]) as (load, _, server):
                began = load.clock.now_ns()
                await load.publish()
                await moment(100)
                await server.stop()
                await load.settled()
                assert list(load.receipts.values()) == [Receipt(0, REJECTED, began, began + 2 * MS, THROTTLED)]

        run(main())

    def test_a_refused_entry_that_waits_too_long_for_its_next_call_stays_refused(self) -> None:
        async def main() -> None:
            reply: Callable[[Call], Steps] = lambda call: [error(THROTTLED)] if call.seqs == [0] else [Step.STALL]  # noqa: E731
            async with loaded(reply, batch=1, concurrency=1, timeout="1s") as (load, bus, _):
                began = load.clock.now_ns()
                await load.publish()
                await moment(501)
                await load.publish()  # a millisecond before the first is queued again: it has to wait for this one
                await load.settled()
                assert load.told() == [(1, IN_DOUBT, "no answer within 1 s"), (0, REJECTED, THROTTLED)]
                assert load.receipts[0].acked_ns == began + 2 * MS
                assert bus.seqs == [[0], [1]]

        run(main())

    def test_the_time_of_an_entry_begins_anew_when_it_is_queued_again(self) -> None:
        async def main() -> None:
            def reply(call: Call) -> Steps:
                return [error(THROTTLED)] if call.seqs == [0] and len(bus_calls) == 1 else [0.9, taken(call)]

            async with loaded(lambda call: reply(call), batch=1, concurrency=1, timeout="1s") as (load, bus, _):
                bus_calls = bus.calls
                await load.publish()
                await moment(400)
                await load.publish()
                await load.settled()
                assert bus.seqs == [[0], [1], [0]]
                assert load.told() == [(1, ACCEPTED, ""), (0, ACCEPTED, f"accepted after {THROTTLED}, once")]

        run(main())

    def test_a_success_gives_back_what_it_took_from_the_quota(self) -> None:
        """The SDK's quota is 500: five for each call that is sent again, given back by its success; else one."""

        async def main() -> None:
            failing = True
            seen: set[int] = set()

            def reply(call: Call) -> Steps:
                first = call.seqs[0] not in seen
                seen.update(call.seqs)
                return [error(THROTTLED)] if failing or (first and call.seqs[0] >= 129) else [taken(call)]

            async with loaded(reply, batch=1, concurrency=1000, retries=1) as (load, bus, _):
                await load.publish(120)
                await load.settled()
                assert len(bus.calls) == 120 + 100, "the quota is used up"
                failing = False
                await load.publish(9)
                await load.settled()
                before = len(bus.calls)
                await load.producer.publish(load.make(1), load.settle)
                await moment(2000)
                assert bus.seqs[before:] == [[129], [129]], "nine successes pay for one call that is sent again"
                await load.producer.publish(load.make(1), load.settle)
                await moment(2000)
                assert bus.seqs[before + 2 :] == [[130], [130]], "which has given back its five"
                failing = True
                await load.producer.publish(load.make(1), load.settle)
                await moment(2000)
                assert bus.seqs[before + 4 :] == [[131], [131]], "and the next one keeps them"
                await load.producer.publish(load.make(1), load.settle)
                await moment(2000)
                assert bus.seqs[before + 6 :] == [[132]], "four are left of nine"

        run(main())

    def test_at_the_end_nothing_is_sent_again(self) -> None:
        async def main() -> None:
            async with loaded(lambda _: [error(THROTTLED)]) as (load, bus, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await moment(10)
                await load.publish(1)
                await moment(1)
            assert list(load.receipts.values()) == [
                Receipt(2, IN_DOUBT, began + 10 * MS, None, "no answer before the end"),
                Receipt(0, REJECTED, began, began + 2 * MS, THROTTLED),
                Receipt(1, REJECTED, began, began + 2 * MS, THROTTLED),
            ]
            await asyncio.sleep(10)
            assert len(bus.calls) == 2
            await load.publish(1)
            await moment()
            assert load.told()[3:] == [(3, UNSENT, "not sent before the end")]

        run(main())


class TestEntries:
    @pytest.mark.parametrize(
        ("kind", "as_json"),
        [
            ("application/json", True),
            ("text/json", True),
            ("Application/JSON; charset=utf-8", True),
            ("application/cloudevents+json", True),
            ("application/jsonl", False),
            ("application/x-json", False),
            ("image/json", False),
            ("text/plain", False),
        ],
    )
    def test_data_that_is_not_json_is_a_text_in_the_envelope(self, kind: str, as_json: bool) -> None:
        async def main() -> None:
            async with loaded(take, detail="envelope") as (load, bus, _):
                now = virtual_clock().wall(load.clock.now_ns()).isoformat(timespec="microseconds")
                (event,) = load.make(1)
                event.headers = (("x-other", "text/plain"), ("content-type", kind))
                event.body = b"[0]"
                await load.producer.publish([event], load.settle)
                await moment()
                # A text in place of the list fails the scripted bus, so it is looked at here.
                await load.settled()
                (entry,) = bus.calls[0].entries
                assert json.loads(entry["Detail"]) == {
                    "id": "c-0", "correlation_id": "c-0", "test_run_id": "r-1",
                    "timestamps": {"produced_at": "NOW", "published_at": now.replace("+00:00", "Z")},
                    "data": [0] if as_json else "[0]",
                }  # fmt: skip

        run(main())

    def test_bus_source_type_trace_and_resources_are_those_of_the_event(self) -> None:
        async def main() -> None:
            settings = {"resources": ["arn:{seq}", "arn:2"], "trace_header": "Root={seq}", "detail": "envelope"}
            async with loaded(take, **settings) as (load, bus, _):
                (event,) = load.make(1)
                event.extras = ("bus-b", "src", "typ", "Root=7", "arn:7", "arn:2", "THEN")
                await load.producer.publish([event], load.settle)
                await load.settled()
                (entry,) = bus.calls[0].entries
                detail = json.loads(entry.pop("Detail"))
                assert entry == {
                    "EventBusName": "bus-b", "Source": "src", "DetailType": "typ", "Resources": ["arn:7", "arn:2"],
                    "TraceHeader": "Root=7",
                }  # fmt: skip
                assert detail["timestamps"]["produced_at"] == "THEN"

        run(main())

    def test_an_entry_has_nothing_that_was_not_asked_for(self) -> None:
        async def main() -> None:
            async with loaded(take) as (load, bus, _):
                await load.publish()
                await load.settled()
                assert bus.calls[0].entries == [
                    {"EventBusName": "bus-a", "Source": "s", "DetailType": "t", "Detail": "0"}
                ]

        run(main())

    def test_the_size_is_counted_in_bytes_of_source_type_detail_and_resources(self) -> None:
        async def main() -> None:
            async with loaded(take, max_size="2KB", resources=["arn:{seq}"]) as (load, _, _):
                for extra, fits in ((0, True), (1, False)):
                    (event,) = load.make(1)
                    event.extras = ("bus-b", "ü", "typ", "Root=1", "arn:ä", "NOW")  # 2 + 3 + 6 bytes
                    event.body = b"[%d" % event.seq + b" " * (2000 - 11 - 3 + extra) + b"]"
                    await load.producer.publish([event], load.settle)
                    await load.settled()
                    assert (load.receipts[event.seq].outcome is ACCEPTED) is fits

        run(main())
