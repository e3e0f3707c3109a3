"""What becomes of each event that is published to RabbitMQ, by the answers of a scripted broker, in virtual time.

Moments that a real broker can't be brought to on demand; test_rabbitmq_faults has those that it can.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from typing import Any

import pytest
from pamqp import commands

from evload.model.states import Outcome
from evload.model.travel import Receipt
from evload.spi.traffic import Exchange
from evload.testing import VirtualClock, virtual_clock
from tests.rigs.memory_network import MemoryLoop, memory_loop, run
from tests.rigs.rabbitmq_scripted import (
    MS,
    TEMPLATED,
    S,
    made,
    moment,
    numbers,
    outcomes,
    publish,
    publish_to,
    publishing,
    settled,
)
from tests.rigs.rabbitmq_traffic import traffic
from tests.servers.amqp_peer import amqp_peer

ACCEPTED, REJECTED, RETURNED = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED
IN_DOUBT, UNSENT = Outcome.IN_DOUBT, Outcome.UNSENT
NACKED = "nack: a queue refused it, being full or in trouble"


class _Onlooker:
    """Keeps what it is told: when it was sent and answered, what the answer was, what went wrong."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str, str, str]] = []

    def exchanged(self, exchange: Exchange) -> None:
        sent, came = (make().head if make else "" for make in (exchange.sent, exchange.came))
        self.told.append((exchange.start_ns, exchange.end_ns, sent.partition("\n")[0], came, exchange.error))

    def found(self, name: str, expression: str, document: Any, value: Any) -> None:
        raise AssertionError("this producer looks for nothing")


class _Ticking(VirtualClock):
    """Each look at it takes a nanosecond, as no look at a clock takes none."""

    def __init__(self, loop: MemoryLoop) -> None:
        super().__init__(loop)
        self._looks = 0

    def now_ns(self) -> int:
        self._looks += 1
        return super().now_ns() + self._looks


class TestConfirms:
    def test_each_event_gets_the_answer_that_was_given_to_it(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                await publish(load, 6)
                peer.link.ack(2)
                await moment()
                peer.link.nack(4, multiple=True)
                await moment()
                peer.link.ack(6, multiple=True)
                await moment()
                assert settled(load) == [
                    (1, ACCEPTED, ""),
                    (0, REJECTED, NACKED), (2, REJECTED, NACKED), (3, REJECTED, NACKED),
                    (4, ACCEPTED, ""), (5, ACCEPTED, ""),
                ]  # fmt: skip

        run(main())

    def test_who_looks_on_is_told_each_answer_and_its_reason(self) -> None:
        async def main() -> None:
            onlooker = _Onlooker()
            async with amqp_peer() as peer, traffic(peer.url, virtual_clock(), onlooker, routing_key="q") as load:
                began = load.clock.now_ns()
                await publish(load, 4)
                peer.link.give_back(peer.link.published[2])
                peer.link.ack(1)
                peer.link.nack(2)
                peer.link.ack(3)
                await moment()
            sent, at = "basic.publish exchange='' routing_key='q' mandatory", (began, began + 3 * MS)
            assert onlooker.told == [
                (*at, sent, "basic.ack", ""),
                (*at, sent, f"basic.nack: {NACKED}", ""),
                (*at, sent, "basic.return: 312 NO_ROUTE", ""),
                (began, began, sent, "", "no answer before the end"),
            ]

        run(main())

    def test_a_confirm_is_stamped_when_it_arrives(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                began = load.clock.now_ns()
                await publish(load, 3)
                for tag in (1, 2, 3):
                    peer.link.ack(tag)
                    await moment(10)
                assert [(r.sent_ns, r.acked_ns) for r in load.receipts.values()] == [
                    (began, began + 3 * MS), (began, began + 13 * MS), (began, began + 23 * MS),
                ]  # fmt: skip

        run(main())

    def test_confirms_that_arrive_together_have_arrived_at_one_time(self) -> None:
        async def main() -> None:
            async with amqp_peer() as peer, traffic(peer.url, _Ticking(memory_loop()), routing_key="q") as load:
                await publish(load, 5)
                acks = [(1, commands.Basic.Ack(tag)) for tag in (1, 2, 3)]
                peer.link.say(*acks)
                await moment()
                peer.link.ack(5, multiple=True)
                await moment()
                acked = [load.receipts[seq].acked_ns or 0 for seq in range(5)]
                assert acked == [acked[0]] * 3 + [acked[3]] * 2
                assert acked[3] - acked[0] > 2 * MS

        run(main())

    def test_a_confirm_of_what_is_not_outstanding_settles_nothing(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                await publish(load, 3)
                for tag in (2, 2, 3, 7):
                    peer.link.ack(tag)
                peer.link.ack(3, multiple=True)
                peer.link.nack(2, multiple=True)
                await moment()
                assert outcomes(load) == [(1, ACCEPTED), (2, ACCEPTED), (0, ACCEPTED)]
                await publish(load, 1)
                peer.link.ack(4)
                await moment()
                assert outcomes(load)[3:] == [(3, ACCEPTED)]

        run(main())

    def test_an_older_event_can_be_confirmed_after_a_multiple_confirm_of_newer_ones(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                await publish(load, 2)
                peer.link.ack(2, multiple=True)
                await moment()
                await publish(load, 3)
                peer.link.ack(1, multiple=True)  # older than what was confirmed already
                peer.link.ack(4, multiple=True)
                await moment()
                assert outcomes(load) == [(0, ACCEPTED), (1, ACCEPTED), (2, ACCEPTED), (3, ACCEPTED)]
                await moment(3000)
                assert settled(load)[4:] == [(4, IN_DOUBT, "no confirm within 2 s")]

        run(main())

    def test_a_message_that_comes_back_is_returned_though_it_is_confirmed(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                began = load.clock.now_ns()
                await publish(load, 3)
                peer.link.give_back(peer.link.published[1])
                peer.link.ack(3, multiple=True)
                await moment()
                assert settled(load) == [(0, ACCEPTED, ""), (1, RETURNED, "312 NO_ROUTE"), (2, ACCEPTED, "")]
                assert {r.acked_ns for r in load.receipts.values()} == {began + 3 * MS}

        run(main())

    def test_a_message_that_comes_back_is_returned_however_late_its_confirm(self) -> None:
        async def main() -> None:
            async with publishing(timeout="20s") as (load, peer):
                await publish(load, 2)
                peer.link.give_back(peer.link.published[0])
                await asyncio.sleep(10)
                peer.link.ack(2, multiple=True)
                await moment()
                assert settled(load) == [(0, RETURNED, "312 NO_ROUTE"), (1, ACCEPTED, "")]

        run(main())

    def test_a_message_that_comes_back_is_not_taken_for_what_it_holds(self) -> None:
        """Its body looks like a confirm of the one after it."""

        async def main() -> None:
            async with publishing() as (load, peer):
                events = made(load, 2)
                events[0].body = b"\x00\x3c\x00\x50" + b"\x00" * 7 + b"\x02" + b"\x00"
                await load.publish(events)
                await moment()
                peer.link.give_back(peer.link.published[0])
                await moment()
                assert load.receipts == {}
                peer.link.ack(1)
                peer.link.nack(2)
                await moment()
                assert outcomes(load) == [(0, RETURNED), (1, REJECTED)]

        run(main())

    def test_each_channel_has_returns_of_its_own(self) -> None:
        async def main() -> None:
            async with publishing(channels=3) as (load, peer):
                await publish(load, 6)
                for message in peer.link.published:
                    if message.channel != 1:
                        peer.link.give_back(message)
                for channel in (3, 2, 1):
                    peer.link.ack(2, multiple=True, channel=channel)
                await moment()
                on_first = numbers(load, [m for m in peer.link.published if m.channel == 1])
                assert [seq for seq, outcome in outcomes(load) if outcome is ACCEPTED] == on_first
                assert len([seq for seq, outcome in outcomes(load) if outcome is RETURNED]) == 4

        run(main())

    def test_a_return_is_over_with_the_confirm_that_follows_it(self) -> None:
        """A copy of the event, sent on purpose with the same id, has an answer of its own."""

        async def main() -> None:
            async with publishing() as (load, peer):
                first, _ = await publish(load, 2)
                peer.link.give_back(peer.link.published[0])
                peer.link.ack(1)
                copy = load.make(1)[0]
                copy.correlation_id = first.correlation_id
                await load.publish([copy])
                await moment()
                peer.link.ack(3, multiple=True)
                await moment()
                assert outcomes(load) == [(0, RETURNED), (1, ACCEPTED), (2, ACCEPTED)]

        run(main())

    def test_a_return_on_a_channel_that_was_closed_says_nothing_of_the_next(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                (first,) = await publish(load, 1)
                peer.link.give_back(peer.link.published[0])
                peer.link.close_channel(406, "PRECONDITION_FAILED")
                await moment()
                copy = load.make(1)[0]
                copy.correlation_id = first.correlation_id
                await load.publish([copy])
                await moment(10)
                peer.link.ack(1)
                await moment()
                assert outcomes(load) == [(0, IN_DOUBT), (1, ACCEPTED)]

        run(main())

    def test_a_return_without_a_confirm_says_nothing_of_a_later_copy(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                (first,) = await publish(load, 1)
                peer.link.give_back(peer.link.published[0])
                await moment(3000)
                assert settled(load) == [(0, IN_DOUBT, "no confirm within 2 s")]
                copy = load.make(1)[0]
                copy.correlation_id = first.correlation_id
                await load.publish([copy])
                await moment()
                peer.link.ack(2)
                await moment()
                assert outcomes(load)[1:] == [(1, ACCEPTED)]

        run(main())

    def test_receipts_go_to_whoever_published(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                ours: list[Receipt] = []
                theirs: list[Receipt] = []
                events = load.make(6)
                for event in events:
                    await load.producer.publish([event], (theirs if event.seq % 2 else ours).extend)
                await moment()
                peer.link.ack(5, multiple=True)
                await moment()
                assert ([r.seq for r in ours], [r.seq for r in theirs]) == ([0, 2, 4], [1, 3])
                peer.link.ack(6)
                await moment()
                assert [r.seq for r in theirs] == [1, 3, 5]
                load.settle([*ours, *theirs])

        run(main())


class TestWindow:
    def test_no_more_than_the_window_is_unconfirmed_and_the_rest_goes_out_in_order(self) -> None:
        async def main() -> None:
            async with publishing(window=3) as (load, peer):
                waiting = asyncio.create_task(load.publish(made(load, 8), 8))
                await moment(10)
                assert numbers(load, peer.link.published) == [0, 1, 2]
                peer.link.ack(1)
                await moment(10)
                assert numbers(load, peer.link.published) == [0, 1, 2, 3]
                peer.link.nack(3, multiple=True)
                await moment(10)
                assert numbers(load, peer.link.published) == [0, 1, 2, 3, 4, 5]
                assert not waiting.done()
                peer.link.ack(5, multiple=True)
                await moment(10)
                assert numbers(load, peer.link.published) == [0, 1, 2, 3, 4, 5, 6, 7]
                assert waiting.done()
                peer.link.ack(8, multiple=True)
                await moment()
                sent = [load.receipts[seq].sent_ns or 0 for seq in range(8)]
                assert [later - earlier for earlier, later in pairwise(sent)] == [
                    0, 0, 11 * MS, 10 * MS, 0, 10 * MS, 0,
                ]  # fmt: skip

        run(main())

    def test_whoever_publishes_waits_even_if_one_channel_alone_has_events_left(self) -> None:
        async def main() -> None:
            async with publishing(window=1, channels=2) as (load, peer):
                events = load.make(2)
                for event in events:
                    event.key = "the same"
                waiting = asyncio.create_task(load.publish(events))
                await moment(10)
                assert not waiting.done()
                peer.link.ack(1, channel=peer.link.published[0].channel)
                await moment(10)
                assert waiting.done()
                peer.link.ack(2, channel=peer.link.published[1].channel)
                await moment()

        run(main())

    def test_whoever_publishes_waits_even_if_one_connection_alone_has_events_left(self) -> None:
        async def main() -> None:
            async with publishing(window=1, connections=2) as (load, peer):
                events = load.make(2)
                for event in events:
                    event.key = "the same"
                waiting = asyncio.create_task(load.publish(events))
                await moment(10)
                assert not waiting.done()
                link = next(each for each in peer.links if each.published)
                link.ack(1)
                await moment(10)
                assert waiting.done()
                link.ack(2)
                await moment()

        run(main())

    def test_what_an_event_costs_does_not_grow_with_those_before_it(self) -> None:
        """Counted in calls, with multiple confirms and single ones."""

        async def main() -> None:
            async with publishing() as (load, peer):
                costs = []
                for _ in range(8):
                    events = made(load, 50)
                    calls = 0

                    def count(*_: object) -> None:
                        nonlocal calls
                        calls += 1

                    sys.setprofile(count)
                    await load.publish(events, 50)
                    await moment()
                    tag = peer.link.published[-1].tag
                    peer.link.ack(tag - 1, multiple=True)
                    peer.link.ack(tag)
                    await moment()
                    sys.setprofile(None)
                    costs.append(calls)
                assert len(load.receipts) == 400
                assert costs[-1] < costs[1] + 100

        run(main())

    def test_the_window_is_that_of_the_connection_over_all_its_channels(self) -> None:
        async def main() -> None:
            async with publishing(window=3, channels=2) as (load, peer):
                waiting = asyncio.create_task(load.publish(made(load, 8), 8))
                await moment(10)
                assert len(peer.link.published) == 3
                for message in list(peer.link.published):
                    peer.link.ack(message.tag, channel=message.channel)
                await moment(10)
                assert len(peer.link.published) == 6
                for message in peer.link.published[3:]:
                    peer.link.ack(message.tag, channel=message.channel)
                await moment(10)
                assert len(peer.link.published) == 8
                await waiting

        run(main())

    def test_each_connection_has_a_window_of_its_own(self) -> None:
        async def main() -> None:
            async with publishing(window=2, connections=2) as (load, peer):
                waiting = asyncio.create_task(load.publish(made(load, 8), 8))
                await moment(10)
                assert [len(link.published) for link in peer.links] == [2, 2]
                for link in peer.links:
                    link.ack(2, multiple=True)
                await waiting
                await moment()
                assert [len(link.published) for link in peer.links] == [4, 4]

        run(main())

    def test_a_returned_a_rejected_and_an_overdue_event_make_room(self) -> None:
        async def main() -> None:
            async with publishing(window=1, timeout="2s") as (load, peer):
                waiting = asyncio.create_task(load.publish(made(load, 3), 3))
                await moment(10)
                peer.link.give_back(peer.link.published[0])
                peer.link.ack(1)
                await moment(10)
                peer.link.nack(2)
                await waiting
                await asyncio.sleep(1)
                waiting = asyncio.create_task(load.publish(made(load, 1), 1))
                await asyncio.sleep(0.9)
                assert len(peer.link.published) == 3
                await waiting
                await moment()
                assert len(peer.link.published) == 4
                peer.link.ack(4)
                await moment()
                assert settled(load) == [
                    (0, RETURNED, "312 NO_ROUTE"), (1, REJECTED, NACKED),
                    (2, IN_DOUBT, "no confirm within 2 s"), (3, ACCEPTED, ""),
                ]  # fmt: skip

        run(main())

    def test_an_event_that_can_not_be_sent_takes_no_room_and_no_tag(self) -> None:
        async def main() -> None:
            async with publishing(window=2, exchange=TEMPLATED) as (load, peer):
                events = load.make(5)
                for event in events:
                    event.extras = ["x" * 256 if event.seq in (0, 2) else "x-a"]
                waiting = asyncio.create_task(load.publish(events, 5))
                await moment(10)
                assert numbers(load, peer.link.published) == [1, 3]
                assert outcomes(load) == [(0, UNSENT), (2, UNSENT)]
                assert [load.receipts[0].sent_ns, load.receipts[0].acked_ns] == [None, None]
                assert load.receipts[0].detail == f"the exchange is longer than 255 bytes: {'x' * 40}…"
                peer.link.ack(1)
                await moment(10)
                peer.link.ack(3, multiple=True)
                await waiting
                await moment()
                assert outcomes(load)[2:] == [(1, ACCEPTED), (3, ACCEPTED), (4, ACCEPTED)]

        run(main())


class TestTimeout:
    def test_an_event_is_in_doubt_once_the_timeout_is_over_and_a_late_confirm_changes_nothing(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                began = load.clock.now_ns()
                await publish(load, 3)
                peer.link.ack(2)
                await asyncio.sleep(1)
                await publish(load, 1)
                await asyncio.sleep(0.99)
                assert outcomes(load) == [(1, ACCEPTED)]
                await asyncio.sleep(0.11)
                doubtful = (IN_DOUBT, "no confirm within 2 s")
                assert settled(load)[1:] == [(0, *doubtful), (2, *doubtful)]
                assert [(r.sent_ns, r.acked_ns) for r in load.receipts.values()][1:] == [(began, None)] * 2
                peer.link.ack(3, multiple=True)
                await moment()
                peer.link.ack(4)
                await moment()
                assert settled(load)[3:] == [(3, ACCEPTED, "")]

        run(main())

    @pytest.mark.parametrize(("timeout", "steps_ms"), [("20s", 500), ("100ms", 5), ("1s", 50)])
    def test_it_looks_twenty_times_within_a_timeout_but_no_more_often_than_needed(
        self, timeout: str, steps_ms: float
    ) -> None:
        """So an event is settled no later than one step after its timeout."""

        async def main() -> None:
            async with publishing(timeout=timeout) as (load, peer):
                for wait in (0.1, 0.3, 0.7, 0.9):
                    await asyncio.sleep(wait * steps_ms / 1000)
                    began = load.clock.now_ns()
                    (event,) = await publish(load, 1)
                    await load.all_settled()
                    late_ns = load.clock.now_ns() - began - load.settings.timeout
                    assert 0 <= late_ns <= steps_ms * MS
                    assert load.receipts[event.seq].outcome is IN_DOUBT
                # It looked just now: what is sent three steps from now is overdue to the nanosecond when it looks.
                await asyncio.sleep(3 * steps_ms / 1000)
                began = load.clock.now_ns()
                await publish(load, 1)
                await load.all_settled()
                assert load.clock.now_ns() - began == load.settings.timeout
                peer.link.block()
                await asyncio.sleep(3 * steps_ms / 1000)
                began = load.clock.now_ns()
                await publish(load, 1)
                await load.all_settled()
                assert load.clock.now_ns() - began == load.settings.timeout
                assert outcomes(load)[-1][1] is UNSENT
                assert peer.link.published

        run(main())

    def test_what_the_socket_does_not_take_is_unsent_after_the_timeout(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                peer.link.stop_reading()
                big = load.make(6)
                for event in big:
                    event.body = b"x" * 100_000
                began = load.clock.now_ns()
                waiting = asyncio.create_task(load.publish(big, 2))
                await asyncio.sleep(1.5)
                assert not waiting.done()
                await asyncio.sleep(1)
                assert not [seq for seq, outcome in outcomes(load) if outcome is not IN_DOUBT and seq < 4]
                await waiting
                unsent = [receipt for receipt in load.receipts.values() if receipt.outcome is UNSENT]
                assert [receipt.seq for receipt in unsent] == [4, 5]
                assert {(r.detail, r.sent_ns) for r in unsent} == {("the broker took nothing more for 2 s", None)}
                assert [load.receipts[seq].sent_ns for seq in range(4)] == [began] * 4
                peer.link.read_on()
                await moment(100)
                assert numbers(load, peer.link.published) == [0, 1, 2, 3]
                assert [message.body for message in peer.link.published] == [event.body for event in big[:4]]

        run(main())

    @pytest.mark.parametrize(("timeout", "steps_ms"), [("20s", 500), ("1s", 50), ("100ms", 5), ("20ms", 5)])
    def test_looking_after_timeouts_costs_no_more_than_that(self, timeout: str, steps_ms: int) -> None:
        async def main() -> None:
            async with publishing(timeout=timeout) as (load, _):
                timers = memory_loop().timers
                await asyncio.sleep(100 * steps_ms / 1000)
                assert 100 <= memory_loop().timers - timers <= 102, "this sleep is one of them"
                assert not load.receipts

        run(main())

    def test_no_more_than_128_events_are_written_in_one_piece(self) -> None:
        """So what the socket doesn't take is known before all is written, and whoever publishes waits."""

        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                peer.link.stop_reading()
                events = load.make(300)
                for event in events:
                    event.body = b"x" * 8000  # the socket is full after forty of them
                waiting = asyncio.create_task(load.publish(events, 300))
                await asyncio.sleep(3)
                assert waiting.done()
                assert outcomes(load) == [(seq, IN_DOUBT if seq < 128 else UNSENT) for seq in range(300)]
                peer.link.read_on()
                await moment(100)
                assert numbers(load, peer.link.published) == list(range(128))

        run(main())

    def test_what_the_socket_takes_in_time_is_sent_then(self) -> None:
        async def main() -> None:
            async with publishing(timeout="20s") as (load, peer):
                peer.link.stop_reading()
                big = load.make(6)
                for event in big:
                    event.body = b"x" * 100_000
                began = load.clock.now_ns()
                waiting = asyncio.create_task(load.publish(big, 2))
                await asyncio.sleep(1)
                peer.link.read_on()
                await moment(20)  # at once, and not when it looks after timeouts the next time
                assert waiting.done()
                assert numbers(load, peer.link.published) == [0, 1, 2, 3, 4, 5]
                peer.link.ack(6, multiple=True)
                await moment()
                assert {r.outcome for r in load.receipts.values()} == {ACCEPTED}
                later = [load.receipts[seq].sent_ns or 0 for seq in (4, 5)]
                assert all(1000 * MS <= at - began < 1020 * MS for at in later)

        run(main())


class TestChannelClosed:
    def test_when_no_exchange_is_named_all_that_is_unconfirmed_is_in_doubt(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                await publish(load, 3)
                peer.link.ack(2)
                peer.link.close_channel(406, "PRECONDITION_FAILED - no exchange '' there")
                await moment()
                said = "channel closed: PRECONDITION_FAILED - no exchange '' there"
                assert settled(load) == [(1, ACCEPTED, ""), (0, IN_DOUBT, said), (2, IN_DOUBT, said)]
                assert load.receipts[0].acked_ns is None
                await moment(10)
                await publish(load, 1)
                assert [message.tag for message in peer.link.published] == [1, 2, 3, 1]
                peer.link.ack(1)
                await moment()
                assert settled(load)[3:] == [(3, ACCEPTED, "")]

        run(main())

    @pytest.mark.parametrize("code", [403, 404])
    def test_the_first_event_to_an_exchange_that_is_not_there_is_rejected_and_what_followed_is_sent_again(
        self, code: int
    ) -> None:
        """In its order, and before what was published since."""

        async def main() -> None:
            async with publishing(exchange=TEMPLATED, window=6) as (load, peer):
                await publish_to(load, "x-a", "x-a", "none", "x-a", "x-b", "x-a")
                later = asyncio.create_task(publish_to(load, "x-b", "x-a"))
                await moment()
                began = load.clock.now_ns()
                peer.link.ack(1)
                peer.link.close_channel(code, "NOT_FOUND - no exchange 'none' in vhost '/'")
                await moment(10)
                await later
                assert settled(load) == [
                    (0, ACCEPTED, ""),
                    (1, IN_DOUBT, "channel closed: NOT_FOUND - no exchange 'none' in vhost '/'"),
                    (2, REJECTED, "NOT_FOUND - no exchange 'none' in vhost '/'"),
                ]  # fmt: skip
                assert load.receipts[2].acked_ns == began + MS
                assert numbers(load, peer.link.published[6:]) in ([3, 4, 5, 6, 7], [6, 3, 4, 5, 7])
                peer.link.ack(5, multiple=True)
                await moment()
                assert [outcome for _, outcome in outcomes(load)[3:]] == [ACCEPTED] * 5

        run(main())

    def test_what_is_sent_again_goes_before_what_waits(self) -> None:
        async def main() -> None:
            async with publishing(exchange=TEMPLATED, window=4) as (load, peer):
                events = load.make(7)
                for event in events:
                    event.extras = ["none" if event.seq == 0 else "x-a"]
                waiting = asyncio.create_task(load.publish(events, 7))
                await moment(10)
                assert numbers(load, peer.link.published) == [0, 1, 2, 3]
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'")
                await moment(10)
                assert numbers(load, peer.link.published[4:]) == [1, 2, 3, 4]
                peer.link.ack(4, multiple=True)
                await waiting
                await moment(10)
                assert numbers(load, peer.link.published[4:]) == [1, 2, 3, 4, 5, 6]
                peer.link.ack(6, multiple=True)
                await moment()
                assert outcomes(load) == [(0, REJECTED), *((seq, ACCEPTED) for seq in range(1, 7))]

        run(main())

    def test_all_events_to_an_exchange_that_was_never_there_are_rejected_at_once(self) -> None:
        async def main() -> None:
            async with publishing(exchange=TEMPLATED) as (load, peer):
                await publish_to(load, "none", "x-a", "none", "x-b")
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'")
                await moment(10)
                assert outcomes(load) == [(0, REJECTED), (2, REJECTED)]
                assert numbers(load, peer.link.published[4:]) == [1, 3]
                peer.link.ack(2, multiple=True)
                await moment()

        run(main())

    def test_an_exchange_that_was_there_before_leaves_doubt_about_all_but_what_came_after_the_last(self) -> None:
        """Any of the events to it may have been the first one that found it gone."""

        async def main() -> None:
            async with publishing(exchange=TEMPLATED) as (load, peer):
                await publish_to(load, "x-a")
                peer.link.ack(1)
                await moment()
                await publish_to(load, "x-b", "x-a", "x-b", "x-a", "x-b", "x-b")
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'x-a' in vhost '/'")
                await moment(10)
                assert outcomes(load)[1:] == [(seq, IN_DOUBT) for seq in (1, 2, 3, 4)]
                assert numbers(load, peer.link.published[7:]) == [5, 6]
                peer.link.ack(2, multiple=True)
                await moment()
                assert outcomes(load)[5:] == [(5, ACCEPTED), (6, ACCEPTED)]

        run(main())

    def test_with_more_exchanges_than_are_remembered_any_other_may_have_been_there_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And the first event to it may have arrived before it was deleted."""
        monkeypatch.setattr("evload.producers.rabbitmq.publisher._KNOWN_LIMIT", 2)

        async def main() -> None:
            async with publishing(exchange=TEMPLATED) as (load, peer):
                await publish_to(load, "x-a")
                peer.link.ack(1)
                await publish_to(load, "none", "none")
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'")
                await moment(10)
                assert outcomes(load) == [(0, ACCEPTED), (1, REJECTED), (2, REJECTED)]
                await publish_to(load, "x-b", "x-c")
                peer.link.ack(2, multiple=True)
                await publish_to(load, "x-c", "x-c", "x-a")
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'x-c' in vhost '/'")
                await moment(10)
                assert outcomes(load)[3:] == [(3, ACCEPTED), (4, ACCEPTED), (5, IN_DOUBT), (6, IN_DOUBT)]
                assert numbers(load, peer.link.published[-1:]) == [7]
                peer.link.ack(1)
                await moment()

        run(main())

    def test_the_only_event_to_an_exchange_that_was_there_before_is_the_culprit(self) -> None:
        async def main() -> None:
            async with publishing(exchange=TEMPLATED) as (load, peer):
                await publish_to(load, "x-a")
                peer.link.ack(1)
                await moment()
                await publish_to(load, "x-b", "x-a", "x-b")
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'x-a' in vhost '/'")
                await moment(10)
                assert outcomes(load)[1:] == [(1, IN_DOUBT), (2, REJECTED)]
                assert numbers(load, peer.link.published[4:]) == [3]
                peer.link.ack(1)
                await moment()

        run(main())

    def test_a_fixed_exchange_that_is_deleted_leaves_doubt_about_all(self) -> None:
        """It was there when the run began, so any of the events may have been the first that found it gone."""

        async def main() -> None:
            async with publishing(exchange="x") as (load, peer):
                await publish(load, 3)
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'x' in vhost '/'")
                await moment(10)
                assert outcomes(load) == [(0, IN_DOUBT), (1, IN_DOUBT), (2, IN_DOUBT)]
                assert [message.exchange for message in peer.link.published] == ["x"] * 3
                await publish(load, 1)
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'x' in vhost '/'")
                await moment(10)
                assert outcomes(load)[3:] == [(3, REJECTED)], "the only one is the culprit"

        run(main())

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            (406, "PRECONDITION_FAILED - exchange 'none'"),
            (404, "NOT_FOUND"),
            (404, "NOT_FOUND - no exchange 'x-b'"),
        ],
    )
    def test_a_close_that_names_none_of_these_exchanges_leaves_doubt_about_all(self, code: int, text: str) -> None:
        async def main() -> None:
            async with publishing(exchange=TEMPLATED) as (load, peer):
                await publish_to(load, "x-a", "none", "x-a")
                peer.link.close_channel(code, text)
                await moment(10)
                assert settled(load) == [(seq, IN_DOUBT, f"channel closed: {text}") for seq in range(3)]

        run(main())

    def test_what_is_sent_again_may_wait_as_long_as_what_is_new(self) -> None:
        async def main() -> None:
            async with publishing({"reopens": False}, exchange=TEMPLATED, timeout="2s") as (load, peer):
                await asyncio.sleep(10)
                events = load.make(3)
                for event in events:
                    event.extras = ["none" if event.seq == 0 else "x-a"]
                await load.publish(events)
                await asyncio.sleep(1.5)
                peer.link.close_channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'")
                await asyncio.sleep(1.5)
                assert outcomes(load) == [(0, REJECTED)]
                peer.link.reopen()
                await moment(5)
                assert numbers(load, peer.link.published[3:]) == [1, 2]
                peer.link.ack(2, multiple=True)
                await moment()
                assert outcomes(load)[1:] == [(1, ACCEPTED), (2, ACCEPTED)]

        run(main())

    def test_nothing_is_written_on_the_channel_until_it_is_open_again(self) -> None:
        async def main() -> None:
            async with publishing({"reopens": False}) as (load, peer):
                await publish(load, 1)
                peer.link.close_channel(406, "PRECONDITION_FAILED")
                await moment()
                waiting = asyncio.create_task(load.publish(load.make(2), 2))
                await asyncio.sleep(1)
                assert len(peer.link.published) == 1
                assert not waiting.done()
                peer.link.reopen()
                await waiting
                await moment()
                assert numbers(load, peer.link.published[1:]) == [1, 2]
                peer.link.ack(2, multiple=True)
                await moment()
                assert outcomes(load) == [(0, IN_DOUBT), (1, ACCEPTED), (2, ACCEPTED)]

        run(main())

    def test_what_waits_for_a_channel_that_is_not_opened_again_is_unsent_and_the_others_go_on(self) -> None:
        async def main() -> None:
            async with publishing({"reopens": False}, channels=2, timeout="2s") as (load, peer):
                peer.link.close_channel(406, "PRECONDITION_FAILED", channel=2)
                await moment(10)
                waiting = asyncio.create_task(load.publish(made(load, 4), 4))
                await moment(10)
                sent = numbers(load, peer.link.published)
                assert [(m.channel, m.tag) for m in peer.link.published] == [(1, 1), (1, 2)]
                peer.link.ack(2, multiple=True)
                await asyncio.sleep(1.9)
                assert not waiting.done()
                await asyncio.sleep(0.2)
                assert waiting.done()
                assert sorted(settled(load)) == [
                    (seq, ACCEPTED, "") if seq in sent else (seq, UNSENT, "the broker took nothing more for 2 s")
                    for seq in range(4)
                ]
                peer.link.reopen(channel=2)
                await moment(5)
                await publish(load, 2)
                assert [(m.channel, m.tag) for m in peer.link.published[2:]] in ([(1, 3), (2, 1)], [(2, 1), (1, 3)])
                peer.link.ack(3)
                peer.link.ack(1, channel=2)
                await moment()

        run(main())

    def test_a_channel_that_is_closed_leaves_the_others_alone(self) -> None:
        async def main() -> None:
            async with publishing(channels=2) as (load, peer):
                await publish(load, 4)
                on = {c: numbers(load, [m for m in peer.link.published if m.channel == c]) for c in (1, 2)}
                assert [len(seqs) for seqs in on.values()] == [2, 2]
                peer.link.close_channel(406, "PRECONDITION_FAILED", channel=2)
                await moment(10)
                assert outcomes(load) == [(seq, IN_DOUBT) for seq in on[2]]
                peer.link.ack(2, multiple=True, channel=1)
                await moment()
                assert outcomes(load)[2:] == [(seq, ACCEPTED) for seq in on[1]]
                before = len(peer.link.published)
                await publish(load, 4)
                more = peer.link.published[before:]
                assert sorted((m.channel, m.tag) for m in more) == [(1, 3), (1, 4), (2, 1), (2, 2)]
                peer.link.ack(4, multiple=True, channel=1)
                peer.link.ack(2, multiple=True, channel=2)
                await moment()
                assert {outcome for _, outcome in outcomes(load)[4:]} == {ACCEPTED}

        run(main())


class TestEnd:
    def test_what_is_left_is_in_doubt_if_it_was_sent_and_unsent_if_it_was_not(self) -> None:
        async def main() -> None:
            async with publishing(window=2) as (load, peer):
                began = load.clock.now_ns()
                waiting = asyncio.create_task(load.publish(load.make(4), 4))
                await moment(10)
                link = peer.link
            assert settled(load) == [
                (0, IN_DOUBT, "no answer before the end"),
                (1, IN_DOUBT, "no answer before the end"),
                (2, UNSENT, "still waiting to be sent at the end"),
                (3, UNSENT, "still waiting to be sent at the end"),
            ]
            assert [(r.sent_ns, r.acked_ns) for r in load.receipts.values()] == [(began, None)] * 2 + [
                (None, None)
            ] * 2
            await waiting
            await moment()
            assert link.farewell is not None
            assert dict(link.farewell) == {"reply_code": 200, "reply_text": "done", "class_id": 0, "method_id": 0}
            assert link.lost

        run(main())

    def test_what_is_published_after_the_end_is_unsent(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                link = peer.link
            await publish(load, 1)
            assert outcomes(load) == [(0, UNSENT)]
            assert link.published == []

        run(main())

    def test_nothing_goes_on_after_the_end(self) -> None:
        async def main() -> None:
            async with publishing({"heartbeat": 10}) as (load, peer):
                peer.links[0].hang_up()  # the next one beats too
                await asyncio.sleep(7)
                await asyncio.sleep(30)  # and is given up for its silence
                assert len(peer.links) == 3
            await moment()
            timers = memory_loop().timers
            await asyncio.sleep(300)
            assert memory_loop().timers == timers + 1, "this sleep alone"
            assert not load.receipts

        run(main())

    def test_what_waits_for_a_connection_says_so(self) -> None:
        async def main() -> None:
            async with publishing(on_connection_lost="pause") as (load, peer):
                peer.stop_listening()
                peer.link.hang_up()
                await moment()
                waiting = asyncio.create_task(load.publish(load.make(1)))
                await asyncio.sleep(3)
            assert settled(load) == [(0, UNSENT, "no connection: connection refused")]
            await waiting
            dials = len(memory_loop().dials)
            await asyncio.sleep(20)
            assert len(memory_loop().dials) == dials, "it no longer tries to connect"

        run(main())

    def test_a_broker_that_does_not_answer_the_farewell_is_left_after_two_seconds(self) -> None:
        async def main() -> None:
            async with publishing({"says_farewell": False}) as (load, peer):
                link = peer.link
                # aiormq, which declares, is not of interest here.
                ended = load.clock.now_ns()
            assert load.clock.now_ns() - ended == 2 * S
            await moment()
            assert link.lost

        async def polite() -> None:
            async with publishing() as (load, _):
                ended = load.clock.now_ns()
            assert load.clock.now_ns() - ended == 2 * MS

        run(polite())
        run(main())
