"""The connections of the RabbitMQ producer to a scripted broker, in virtual time: greeted, blocked, lost, silent."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from pamqp import commands

from evload.errors import TargetError
from evload.model.states import Outcome
from evload.testing import virtual_clock
from tests.rigs.memory_network import memory_loop, run
from tests.rigs.rabbitmq_scripted import MS, S, made, moment, numbers, outcomes, publish, publishing, settled
from tests.rigs.rabbitmq_traffic import traffic
from tests.servers.amqp_peer import amqp_peer

ACCEPTED = Outcome.ACCEPTED
IN_DOUBT, UNSENT = Outcome.IN_DOUBT, Outcome.UNSENT
HELD_UP = "accepted, but it had to wait until the broker no longer blocked publishing"


class TestBlocked:
    def test_events_wait_and_say_so_and_the_schedule_goes_on(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                link = peer.link
                link.block()
                await moment()
                await publish(load, 2)  # returns, though nothing can be sent
                await asyncio.sleep(1)
                assert link.published == []
                link.unblock()
                await moment(3)
                await publish(load, 1)
                assert numbers(load, link.published) == [0, 1, 2]
                link.ack(3, multiple=True)
                await moment()
                assert settled(load) == [(0, ACCEPTED, HELD_UP), (1, ACCEPTED, HELD_UP), (2, ACCEPTED, "")]
                blocked = load.producer.blocked  # type: ignore[attr-defined]
                assert (blocked.times, blocked.duration_ns, blocked.reason) == (1, 1003 * MS + MS, "low on memory")

        run(main())

    def test_what_waits_longer_than_the_timeout_is_unsent_on_each_of_several_channels(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s", channels=2) as (load, peer):
                await asyncio.sleep(10)
                peer.link.block("low on disk")
                await moment()
                await publish(load, 2)
                await asyncio.sleep(1.9)
                assert load.receipts == {}
                await asyncio.sleep(0.2)
                why = "the broker blocked publishing (low on disk) for 2 s"
                assert sorted(settled(load)) == [(0, UNSENT, why), (1, UNSENT, why)]

        run(main())

    def test_what_waits_longer_than_the_timeout_is_unsent(self) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                await publish(load, 1)
                peer.link.block("low on disk")
                await moment()
                await publish(load, 2)
                await asyncio.sleep(1)
                await publish(load, 1)
                peer.link.ack(1)
                await asyncio.sleep(1.2)
                why = "the broker blocked publishing (low on disk) for 2 s"
                assert settled(load) == [(0, ACCEPTED, ""), (1, UNSENT, why), (2, UNSENT, why)]
                assert load.receipts[1].sent_ns is None
                peer.link.unblock()
                await moment(5)
                assert numbers(load, peer.link.published) == [0, 3]
                peer.link.ack(2)
                await moment()
                assert settled(load)[3:] == [(3, ACCEPTED, HELD_UP)]

        run(main())

    @pytest.mark.parametrize(
        ("reason", "told"),
        [("", "no reason given"), ("overload", "overload")],
        ids=["none", "one that makes the frame as long as a confirm"],
    )
    def test_a_broker_may_block_for_any_reason(self, reason: str, told: str) -> None:
        async def main() -> None:
            async with publishing(timeout="2s") as (load, peer):
                peer.link.block(reason)
                await moment()
                await publish(load, 1)
                assert peer.link.published == []
                await load.all_settled()
                assert settled(load) == [(0, UNSENT, f"the broker blocked publishing ({told}) for 2 s")]

        run(main())

    def test_each_time_counts_once_with_its_length_and_the_end_counts_too(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                blocked = load.producer.blocked  # type: ignore[attr-defined]
                peer.link.unblock()  # of what never began
                await moment()
                assert (blocked.times, blocked.duration_ns, blocked.reason) == (0, 0, "")
                peer.link.block("memory")
                await asyncio.sleep(0.5)
                peer.link.block("disk")
                await asyncio.sleep(0.5)
                peer.link.unblock()
                await asyncio.sleep(3)
                assert (blocked.times, blocked.duration_ns, blocked.reason) == (1, 1000 * MS, "memory")
                peer.link.unblock()
                await moment()
                assert blocked.duration_ns == 1000 * MS
                peer.link.block("disk")
                await moment(251)
                assert (blocked.times, blocked.reason) == (2, "disk")
            assert blocked.duration_ns == 1250 * MS

        run(main())

    def test_a_connection_that_is_lost_no_longer_blocks(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                blocked = load.producer.blocked  # type: ignore[attr-defined]
                peer.link.block()
                await moment(501)
                peer.link.hang_up()
                await asyncio.sleep(1)
                assert blocked.duration_ns == 501 * MS
                assert len(peer.links) == 2
                await publish(load, 1)
                peer.link.ack(1)
                await moment()
                assert settled(load) == [(0, ACCEPTED, "")]
            assert blocked.duration_ns == 501 * MS

        run(main())

    def test_events_without_a_key_go_where_nothing_blocks(self) -> None:
        async def main() -> None:
            async with publishing(connections=2) as (load, peer):
                first, second = peer.links
                first.block()
                await moment()
                await publish(load, 6)
                assert (len(first.published), numbers(load, second.published)) == (0, [0, 1, 2, 3, 4, 5])
                second.ack(6, multiple=True)
                second.block()
                await moment()
                await publish(load, 2)  # nowhere to go: they wait
                first.unblock()
                second.unblock()
                await moment()
                assert (len(first.published), len(second.published)) == (1, 7)
                first.ack(1)
                second.ack(7)
                await moment()

        run(main())


class TestConnectionLost:
    def test_what_was_sent_is_in_doubt_and_what_comes_next_is_unsent_until_there_is_a_connection_again(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                began = load.clock.now_ns()
                await publish(load, 2)
                peer.link.ack(1)
                await moment()
                peer.stop_listening()
                peer.link.hang_up()
                await moment()
                await publish(load, 1)
                tried = load.clock.now_ns() - 2 * MS
                await asyncio.sleep(1)
                await publish(load, 1)
                lost = "the broker closed the connection"
                assert settled(load) == [
                    (0, ACCEPTED, ""),
                    (1, IN_DOUBT, f"connection lost: {lost}"),
                    (2, UNSENT, f"no connection: {lost}"),
                    (3, UNSENT, "no connection: connection refused"),
                ]  # fmt: skip
                assert (load.receipts[1].sent_ns, load.receipts[1].acked_ns) == (began, None)
                assert (load.receipts[2].sent_ns, load.receipts[2].acked_ns) == (tried, None)
                await peer.listen()
                await asyncio.sleep(4)
                await publish(load, 1)
                peer.link.ack(1)
                await moment()
                assert settled(load)[4:] == [(4, ACCEPTED, "")]
                assert len(peer.links) == 2

        run(main())

    def test_a_reset_is_told(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                await publish(load, 1)
                peer.link.hang_up(reset=True)
                await moment()
                assert settled(load) == [(0, IN_DOUBT, "connection lost: connection reset")]

        run(main())

    def test_the_brokers_own_words_are_told(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                await publish(load, 1)
                link = peer.link
                link.close(320, "CONNECTION_FORCED - going down")
                await moment()
                assert settled(load) == [(0, IN_DOUBT, "connection lost: CONNECTION_FORCED - going down")]
                assert link.heard[-1] == "Connection.CloseOk"

        run(main())

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (TimeoutError(110, "Connect call failed"), "connection timed out"),
            (OSError("of its own kind"), "of its own kind"),
            (None, "no answer within 15 s"),
        ],
    )
    def test_why_there_is_no_connection_is_said(self, error: OSError | None, said: str) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                port = int(peer.url.rpartition(":")[2].rstrip("/"))
                if error is None:
                    memory_loop().silent.add(port)
                else:
                    memory_loop().broken[port] = error
                peer.link.hang_up()
                await asyncio.sleep(20)
                await publish(load, 1)
                assert settled(load) == [(0, UNSENT, f"no connection: {said}")]

        run(main())

    def test_a_broker_that_lets_nobody_in_any_more_says_why(self) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                peer.manners.mechanisms = "AMQPLAIN"
                peer.link.hang_up()
                await asyncio.sleep(2)
                await publish(load, 1)
                said = "it doesn't offer to log in by PLAIN, only by AMQPLAIN"
                assert settled(load) == [(0, UNSENT, f"no connection: {said}")]
                peer.manners.mechanisms = "PLAIN"
                await asyncio.sleep(5)
                await publish(load, 1)
                peer.link.ack(1)
                await moment()
                assert settled(load)[1:] == [(1, ACCEPTED, "")]

        run(main())

    @pytest.mark.parametrize(("drawn", "jitter"), [(0, 0.5), (1, 1.5)])
    def test_attempts_to_come_back_are_ever_longer_apart_up_to_two_seconds(
        self, drawn: int, jitter: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Give or take a half, so that no two clients come back in step."""
        monkeypatch.setattr("random.uniform", lambda *between: between[drawn])

        async def main() -> None:
            async with publishing() as (_, peer):
                peer.stop_listening()
                peer.link.hang_up()
                await moment()
                lost, before = memory_loop().time() - 0.001, len(memory_loop().dials)
                await asyncio.sleep(30)
                dials = [lost, *memory_loop().dials[before:]]
                refused_s = 0.002
                pauses = [later - earlier - refused_s for earlier, later in pairwise(dials)]
                pauses[0] += refused_s
                usual = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0)
                assert [round(pause, 6) for pause in pauses[:8]] == [round(each * jitter, 6) for each in usual]

        run(main())

    def test_with_pause_they_are_sent_as_soon_as_there_is_a_connection(self) -> None:
        async def main() -> None:
            async with publishing(on_connection_lost="pause", timeout="1h") as (load, peer):
                peer.link.hang_up()
                await moment()
                waiting = asyncio.create_task(load.publish(made(load, 2), 2))
                while len(peer.links) < 2:
                    await moment(1)
                await moment(5)  # and not when it looks after timeouts the next time
                assert numbers(load, peer.link.published) == [0, 1]
                assert waiting.done()
                peer.link.ack(2, multiple=True)
                await moment()

        run(main())

    def test_what_waited_is_unsent_at_once(self) -> None:
        async def main() -> None:
            async with publishing(window=1, timeout="1h") as (load, peer):
                waiting = asyncio.create_task(load.publish(made(load, 2), 2))
                await moment(10)
                peer.link.hang_up()
                await moment(1)
                lost = load.clock.now_ns()
                assert settled(load) == [
                    (0, IN_DOUBT, "connection lost: the broker closed the connection"),
                    (1, UNSENT, "no connection: the broker closed the connection"),
                ]
                assert load.receipts[1].sent_ns == lost
                await moment(1)
                assert waiting.done()

        run(main())

    def test_nothing_is_sent_before_all_channels_are_open_again(self) -> None:
        async def main() -> None:
            async with publishing(on_connection_lost="pause", timeout="1h", channels=3) as (load, peer):
                peer.manners.opens_after_s = 1
                peer.link.hang_up()
                await moment()
                waiting = asyncio.create_task(load.publish(made(load, 6), 6))
                while len(peer.links) < 2:
                    await moment(1)
                for _ in range(19):
                    await asyncio.sleep(0.1)
                    assert peer.link.published == []
                await asyncio.sleep(0.2)
                assert sorted(m.channel for m in peer.link.published) == [1, 1, 2, 2, 3, 3]
                assert waiting.done()
                for channel in (1, 2, 3):
                    peer.link.ack(2, multiple=True, channel=channel)
                await moment()
                assert {outcome for _, outcome in outcomes(load)} == {ACCEPTED}

        run(main())

    def test_with_pause_events_wait_and_are_sent_in_order_however_long_it_takes(self) -> None:
        """They are not overdue for having waited: their time begins when there is a connection again."""

        async def main() -> None:
            async with publishing(on_connection_lost="pause", timeout="2s", window=2) as (load, peer):
                peer.stop_listening()
                peer.link.hang_up()
                await moment()
                waiting = asyncio.create_task(load.publish(load.make(5), 5))
                await asyncio.sleep(10)
                assert not waiting.done()
                assert not load.receipts
                await peer.listen()
                while len(peer.links) < 2 or not peer.link.published:
                    await moment()
                back = load.clock.now_ns()
                for tag in range(1, 6):
                    await asyncio.sleep(0.35)
                    peer.link.ack(tag)
                await waiting
                await moment()
                assert outcomes(load) == [(seq, ACCEPTED) for seq in range(5)]
                assert numbers(load, peer.link.published) == [0, 1, 2, 3, 4]
                assert all((r.sent_ns or 0) >= back - 5 * MS for r in load.receipts.values())

        run(main())

    def test_with_pause_what_the_broker_then_does_not_take_is_unsent(self) -> None:
        async def main() -> None:
            async with publishing(on_connection_lost="pause", timeout="2s", window=1) as (load, peer):
                peer.stop_listening()
                peer.link.hang_up()
                await moment()
                waiting = asyncio.create_task(load.publish(load.make(2), 2))
                await asyncio.sleep(10)
                await peer.listen()
                while len(peer.links) < 2:
                    await moment(1)
                back = load.clock.now_ns()
                await waiting
                assert 2 * S - 10 * MS <= load.clock.now_ns() - back <= 2 * S + 110 * MS
                assert settled(load) == [
                    (0, IN_DOUBT, "no confirm within 2 s"),
                    (1, UNSENT, "the broker took nothing more for 2 s"),
                ]  # fmt: skip

        run(main())

    def test_one_of_two_connections_is_enough_for_what_has_no_key(self) -> None:
        async def main() -> None:
            async with publishing(connections=2) as (load, peer):
                first, second = peer.links
                peer.stop_listening()
                first.hang_up()
                await moment()
                await publish(load, 4)
                assert numbers(load, second.published) == [0, 1, 2, 3]
                second.ack(4, multiple=True)
                await moment()
                assert {receipt.outcome for receipt in load.receipts.values()} == {ACCEPTED}

        run(main())

    def test_what_was_unconfirmed_takes_no_room_in_the_window_afterwards(self) -> None:
        async def main() -> None:
            async with publishing(window=2) as (load, peer):
                await publish(load, 2)
                peer.link.hang_up()
                await asyncio.sleep(1)
                await publish(load, 2)
                peer.link.ack(2, multiple=True)
                await moment()
                assert outcomes(load) == [(0, IN_DOUBT), (1, IN_DOUBT), (2, ACCEPTED), (3, ACCEPTED)]

        run(main())

    def test_the_confirms_of_the_next_connection_are_stamped_anew(self) -> None:
        """Even if the last confirm came together with the farewell."""

        async def main() -> None:
            async with publishing() as (load, peer):
                first = load.clock.now_ns()
                await publish(load, 2)
                farewell = commands.Connection.Close(320, "CONNECTION_FORCED", 0, 0)
                peer.link.say((1, commands.Basic.Ack(1)), (0, farewell))
                await asyncio.sleep(1)
                began = load.clock.now_ns()
                await publish(load, 1)
                peer.link.ack(1)
                await moment()
                assert settled(load) == [
                    (0, ACCEPTED, ""), (1, IN_DOUBT, "connection lost: CONNECTION_FORCED"), (2, ACCEPTED, ""),
                ]  # fmt: skip
                assert [load.receipts[seq].acked_ns for seq in (0, 2)] == [first + 3 * MS, began + 3 * MS]

        run(main())


class TestChannels:
    def test_events_of_one_key_go_over_one_channel_and_the_others_take_turns(self) -> None:
        async def main() -> None:
            async with publishing({"confirms": lambda _: True}, connections=2, channels=2) as (load, peer):
                events = load.make(40)
                for event in events:
                    event.key = f"key-{event.seq % 5}"
                await load.publish(events)
                await moment()
                where: dict[str, set[tuple[int, int]]] = {}
                keys = {event.correlation_id: event.key or "" for event in events}
                for number, link in enumerate(peer.links):
                    for message in link.published:
                        where.setdefault(keys[message.id], set()).add((number, message.channel))
                assert {key: len(places) for key, places in where.items()} == {f"key-{n}": 1 for n in range(5)}
                assert len({place for places in where.values() for place in places}) > 1
                before = [len(link.published) for link in peer.links]
                await publish(load, 8)
                for link, count in zip(peer.links, before, strict=True):
                    assert sorted(m.channel for m in link.published[count:]) == [1, 1, 2, 2]

        run(main())

    def test_a_key_goes_over_the_same_channel_in_every_run(self) -> None:
        async def main() -> list[int]:
            async with publishing({"confirms": lambda _: True}, channels=4) as (load, peer):
                events = load.make(6)
                for event in events:
                    event.key = f"key-{event.seq}"
                await load.publish(events)
                await moment()
                ids = [event.correlation_id for event in events]
                return [m.channel for m in sorted(peer.link.published, key=lambda m: ids.index(m.id))]

        # One more than CRC-32 of the key, modulo the number of channels.
        assert run(main()) == [1, 3, 1, 3, 2, 4]


class TestHandshake:
    def test_who_comes_and_what_is_agreed(self) -> None:
        async def main() -> None:
            manners = {"channel_max": 16, "frame_max": 8192, "heartbeat": 0}
            async with amqp_peer(**manners) as peer:
                url = peer.url.replace("127.0.0.1", "me:p%40ss@127.0.0.1") + "v%2Fhost"
                async with traffic(url, virtual_clock(), channels=3) as load:
                    link = peer.link
                    assert link.start is not None
                    assert link.tune is not None
                    assert (link.start.mechanism, link.start.response) == ("PLAIN", "\0me\0p@ss")
                    properties = link.start.client_properties or {}
                    assert (properties["product"], properties["connection_name"]) == ("evload", "evload conformance")
                    assert properties["capabilities"] == {
                        "authentication_failure_close": True, "basic.nack": True, "connection.blocked": True,
                        "publisher_confirms": True,
                    }  # fmt: skip
                    assert (link.tune.channel_max, link.tune.frame_max, link.tune.heartbeat) == (16, 8192, 0)
                    assert link.vhost == "v/host"
                    assert link.heard[4:] == [
                        "Channel.Open 1", "Channel.Open 2", "Channel.Open 3",
                        "Confirm.Select 1", "Confirm.Select 2", "Confirm.Select 3",
                    ]  # fmt: skip
                    assert not load.receipts

        run(main())

    def test_it_is_open_when_all_its_channels_are(self) -> None:
        async def main() -> None:
            async with publishing({"opens_after_s": 0.1, "confirms": lambda _: True}, channels=3) as (load, peer):
                await publish(load, 6)
                assert sorted(message.channel for message in peer.link.published) == [1, 1, 2, 2, 3, 3]
                await moment()
                assert len(load.receipts) == 6

        run(main())

    @pytest.mark.parametrize(
        ("offered", "agreed"),
        [((0, 0), (65_535, 131_072)), ((3, 200_000), (3, 131_072)), ((2047, 4096), (2047, 4096))],
    )
    def test_no_limit_of_the_brokers_means_our_own(self, offered: tuple[int, int], agreed: tuple[int, int]) -> None:
        async def main() -> None:
            manners = {"channel_max": offered[0], "frame_max": offered[1]}
            async with publishing(manners, channels=3) as (_, peer):
                tune = peer.link.tune
                assert tune is not None
                assert (tune.channel_max, tune.frame_max) == agreed

        run(main())

    @pytest.mark.parametrize(
        ("manners", "settings", "said"),
        [
            (
                {"mechanisms": "AMQPLAIN EXTERNAL"},
                {},
                "it doesn't offer to log in by PLAIN, only by AMQPLAIN EXTERNAL",
            ),
            ({"channel_max": 2}, {"channels": 3}, "it allows 2 channels in a connection, not 3"),
            ({"tunes": False}, {}, "no answer within 15 s"),
        ],
    )
    def test_a_broker_that_can_not_be_used_is_one_line(
        self, manners: dict[str, Any], settings: dict[str, Any], said: str
    ) -> None:
        async def main() -> str:
            async with amqp_peer(**manners) as peer:
                with pytest.raises(TargetError) as caught:
                    async with traffic(peer.url, virtual_clock(), **settings):
                        pass
                await moment()
                assert all(link.lost for link in peer.connections)
                return str(caught.value).replace(peer.url, "URL")

        assert run(main()) == f"can't connect to URL: {said}; start the broker, or correct url"

    def test_a_broker_that_comes_up_a_moment_too_late_is_told_all_the_same(self) -> None:
        """What is declared goes over a connection of its own, which might succeed by then."""

        async def main() -> str:
            async with amqp_peer() as peer:
                port = int(peer.url.rpartition(":")[2].rstrip("/"))
                memory_loop().broken[port] = ConnectionRefusedError(111, "Connection refused")
                memory_loop().call_later(0.003, memory_loop().broken.clear)
                declared = {"queue": {"name": "q"}}
                with pytest.raises(TargetError) as caught:
                    async with traffic(peer.url, virtual_clock(), routing_key="q", declare=declared):
                        pass
                assert len(memory_loop().dials) == 1
                return str(caught.value).replace(peer.url, "URL")

        assert run(main()) == "can't connect to URL: connection refused; start the broker, or correct url"

    def test_one_that_hangs_up_says_nothing_of_itself(self) -> None:
        async def main() -> str:
            listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
            url = f"amqp://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
            with pytest.raises(TargetError) as caught:
                async with traffic(url, virtual_clock()):
                    pass
            return str(caught.value).replace(url, "URL")

        said = "it closed the connection without a word of AMQP"
        assert run(main()) == f"can't connect to URL: {said}; start the broker, or correct url"

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it doesn't speak AMQP 0-9-1"),
            (b"\x04\x00\x00\x00\x00\x00\x00\xce", "it doesn't speak AMQP 0-9-1"),
            (b"\x01\x00\x00\x00\x00\x00\x01\x00\x00", "a frame without an end arrived"),
        ],
    )
    def test_one_that_babbles_is_left(self, data: bytes, said: str) -> None:
        async def main() -> None:
            async with publishing() as (load, peer):
                await publish(load, 1)
                link = peer.link
                link.babble(data)
                await moment()
                assert settled(load) == [(0, IN_DOUBT, f"connection lost: {said}")]
                await moment()
                assert link.lost

        run(main())

    @pytest.mark.parametrize(
        ("code", "text", "said"),
        [
            (403, "ACCESS_REFUSED", "login of user 'guest' refused; correct user and password in url"),
            (530, "NOT_ALLOWED - vhost / not found", "there is no virtual host '/'; create it, or correct url"),
            (541, "INTERNAL_ERROR", "INTERNAL_ERROR; start the broker, or correct url"),
        ],
    )
    def test_a_broker_that_closes_in_the_middle_says_why(self, code: int, text: str, said: str) -> None:
        async def main() -> str:
            async with amqp_peer(tunes=False) as peer:

                async def close() -> None:
                    while not peer.connections or peer.connections[0].start is None:
                        await moment(1)
                    peer.connections[0].close(code, text)

                closing = asyncio.create_task(close())
                with pytest.raises(TargetError) as caught:
                    async with traffic(peer.url, virtual_clock()):
                        pass
                await closing
                await moment()
                assert peer.connections[0].heard[-1] == "Connection.CloseOk"
                return str(caught.value).replace(peer.url, "URL")

        assert run(main()) == f"can't connect to URL: {said}"


class TestHeartbeat:
    def test_a_silent_publisher_beats_twice_in_each_interval(self) -> None:
        async def main() -> None:
            async with publishing({"heartbeat": 10}) as (_, peer):
                link = peer.link
                began = memory_loop().time()
                for _ in range(12):
                    await asyncio.sleep(2)
                    link.beat()
                beats = [at - began for at in link.beats_s]
                # Nothing in the first five seconds: the handshake itself was said in them.
                assert [round(at) for at in beats] == [10, 15, 20]

        run(main())

    def test_one_that_publishes_need_not_beat(self) -> None:
        async def main() -> None:
            async with publishing({"heartbeat": 10, "confirms": lambda _: True}) as (load, peer):
                for _ in range(20):
                    await publish(load, 1)
                    await asyncio.sleep(2)
                assert peer.link.beats_s == []

        run(main())

    @pytest.mark.parametrize(
        ("manners", "query", "agreed", "given_up_s"),
        [({"heartbeat": 10}, "", 10, 25), ({"heartbeat": 60}, "?heartbeat=2", 2, 5)],
    )
    def test_a_broker_that_falls_silent_is_given_up_after_two_intervals_and_a_half(
        self, manners: dict[str, Any], query: str, agreed: int, given_up_s: float
    ) -> None:
        async def main() -> None:
            async with publishing(manners, query, timeout="1h") as (load, peer):
                began = load.clock.now_ns()
                assert peer.link.tune is not None
                assert peer.link.tune.heartbeat == agreed
                await publish(load, 1)
                await load.all_settled(within_s=600)
                assert abs(load.clock.now_ns() - began - given_up_s * S) < 20 * MS
                assert settled(load) == [
                    (0, IN_DOUBT, f"connection lost: nothing was heard of the broker for {given_up_s:g} s")
                ]  # fmt: skip

        run(main())

    def test_a_broker_that_says_anything_is_alive(self) -> None:
        async def main() -> None:
            async with publishing({"heartbeat": 10}, timeout="1h") as (load, peer):
                link = peer.link
                for _ in range(10):
                    await asyncio.sleep(20)
                    link.beat()
                assert peer.links == [link]
                assert not link.lost
                assert not load.receipts

        run(main())

    @pytest.mark.parametrize(("manners", "query"), [({"heartbeat": 0}, ""), ({"heartbeat": 10}, "?heartbeat=0")])
    def test_it_can_be_switched_off(self, manners: dict[str, Any], query: str) -> None:
        async def main() -> None:
            async with publishing(manners, query) as (_, peer):
                link = peer.link
                await asyncio.sleep(300)
                assert link.tune is not None
                assert (link.tune.heartbeat, link.beats_s, link.lost) == (0, [], False)

        run(main())
