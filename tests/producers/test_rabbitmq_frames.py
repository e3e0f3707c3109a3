"""What the RabbitMQ producer writes, as a scripted broker reads it."""

from __future__ import annotations

import gc
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pamqp.frame
import pytest
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.rabbitmq import RabbitmqProducerConfig
from evload.producers.rabbitmq.frames import described
from evload.spi import Message
from evload.testing import virtual_clock
from tests.rigs.memory_network import run
from tests.rigs.rabbitmq_scripted import TEMPLATED, moment, outcomes, publishing, settled
from tests.rigs.rabbitmq_traffic import traffic
from tests.servers.amqp_peer import Published, amqp_peer

ACCEPTED = Outcome.ACCEPTED
UNSENT = Outcome.UNSENT


def messages(
    change: Callable[[Event], None] = lambda _: None, manners: dict[str, Any] | None = None, **settings: Any
) -> tuple[Published, Event]:
    """One event as it arrives."""

    async def main() -> tuple[Published, Event]:
        async with publishing({"confirms": lambda _: True, **(manners or {})}, **settings) as (load, peer):
            (event,) = load.make(1)
            change(event)
            await load.publish([event])
            await moment(20)
            assert outcomes(load) == [(0, ACCEPTED)]
            (message,) = peer.link.published
            return message, event

    return run(main())


def given(message: Published) -> dict[str, Any]:
    """The properties that it has."""
    return {name: value for name, value in message.properties if value not in (None, {}, "")}


def test_what_is_sent_is_told_to_people() -> None:
    config = RabbitmqProducerConfig(
        kind="rabbitmq", url="amqp://localhost/", exchange="shop", routing_key="{type}", persistent=False,
        headers={"tenant": "a", "of": "{key}"},
    )  # fmt: skip
    event = Event(7, "c-7", 0, 0, 0, "k1", b'{"a":1}', (("ce-type", "placed"),), ("order.created", "k1"))
    head = """basic.publish exchange='shop' routing_key='order.created' mandatory
tenant: a
ce-type: placed
of: k1
delivery_mode: 1
correlation_id: c-7
message_id: c-7"""
    assert described(config, event) == Message(head, b'{"a":1}')


class TestFrames:
    def test_a_message_has_our_ids_and_what_is_asked_for_and_no_more(self) -> None:
        message, event = messages()
        assert (message.exchange, message.routing_key, message.mandatory) == ("", "q", True)
        assert message.body == event.body
        assert given(message) == {
            "content_type": "application/cloudevents+json; charset=utf-8",
            "delivery_mode": 2,
            "correlation_id": event.correlation_id,
            "message_id": event.correlation_id,
        }

    def test_every_property_and_header_arrives_as_it_was_asked_for(self) -> None:
        headers = {"text": "größer", "count": -5, "large": 1 << 62, "yes": True, "no": False, "of": "n-{seq}"}
        message, event = messages(
            headers=headers, priority=9, expiration="10h", persistent=False, mandatory=False, mode="plain"
        )
        assert message.mandatory is False
        assert given(message) == {
            "content_type": "application/json",
            "headers": {**headers, "of": f"n-{event.seq}"},
            "delivery_mode": 1,
            "priority": 9,
            "correlation_id": event.correlation_id,
            "expiration": "36000000",
            "message_id": event.correlation_id,
        }

    @pytest.mark.parametrize("plain", [True, False])
    def test_a_message_is_byte_for_byte_what_the_protocol_asks_for(self, plain: bool) -> None:
        """As pamqp, which follows the specification, puts it together."""
        headers = {"a": "größer", "b": True, "c": False, "d": -(1 << 40)}
        asked: dict[str, Any] = {
            "headers": headers,
            "priority": 0,
            "expiration": "1s",
            "persistent": False,
            "mandatory": False,
        }
        message, event = messages(manners={"frame_max": 4096}, **({} if plain else asked))
        more: dict[str, Any] = {} if plain else {"headers": headers, "priority": 0, "expiration": "1000"}
        publish = commands.Basic.Publish(exchange="", routing_key="q", mandatory=plain)
        properties = commands.Basic.Properties(
            content_type="application/cloudevents+json; charset=utf-8",
            correlation_id=event.correlation_id,
            message_id=event.correlation_id,
            delivery_mode=2 if plain else 1,
            **more,
        )
        header = ContentHeader(body_size=len(event.body), properties=properties)
        frames = [pamqp.frame.marshal(frame, 1) for frame in (publish, header)]
        assert message.raw == b"".join([*frames, pamqp.frame.marshal(ContentBody(event.body), 1)])

    def test_attributes_in_the_headers_are_those_of_each_event(self) -> None:
        async def main() -> None:
            settings: dict[str, Any] = {"mode": "binary", "headers": {"fixed": "f", "own": "{seq}"}}
            async with publishing({"confirms": lambda _: True}, **settings) as (load, peer):
                events = load.make(2)
                for event in events:
                    event.headers = [("content-type", "text/csv"), ("ce-id", f"id-{event.seq}")]
                await load.publish(events)
                await moment(10)
                assert [message.properties.content_type for message in peer.link.published] == ["text/csv"] * 2
                assert [message.properties.headers for message in peer.link.published] == [
                    {"fixed": "f", "own": "0", "ce-id": "id-0"}, {"fixed": "f", "own": "1", "ce-id": "id-1"},
                ]  # fmt: skip

        run(main())

    def test_an_event_without_a_content_type_has_none(self) -> None:
        def bare(event: Event) -> None:
            event.headers = ()

        message, _ = messages(bare)
        assert message.properties.content_type is None
        assert message.properties.headers in (None, {})

    @pytest.mark.parametrize(
        ("size", "pieces"),
        [(0, []), (1, [1]), (4088, [4088]), (4089, [4088, 1]), (8176, [4088, 4088]), (10_000, [4088, 4088, 1824])],
    )
    def test_a_body_is_cut_where_the_frame_ends(self, size: int, pieces: list[int]) -> None:
        body = bytes(range(256)) * 40

        def sized(event: Event) -> None:
            event.body = body[:size]

        message, _ = messages(sized, {"frame_max": 4096}, mode="plain")
        assert (message.size, message.pieces) == (size, pieces)
        assert message.body == body[:size]

    @pytest.mark.parametrize(
        ("extras", "headers", "what"),
        [
            (("e" * 256, "k"), [], "exchange"),
            (("e", "ü" * 128), [], "routing key"),
            (("e", "k"), [("content-type", "t" * 256)], "content type"),
            (("e", "k"), [("n" * 256, "v")], "name of a header"),
        ],
    )
    def test_what_does_not_fit_is_not_sent(
        self, extras: Sequence[str], headers: Sequence[tuple[str, str]], what: str
    ) -> None:
        async def main() -> None:
            async with amqp_peer() as peer:
                settings: dict[str, Any] = {"exchange": TEMPLATED, "routing_key": "{data.text}"}
                async with traffic(peer.url, virtual_clock(), **settings) as load:
                    (event,) = load.make(1)
                    event.extras, event.headers = extras, headers
                    await load.publish([event])
                assert settled(load)[0][1] is UNSENT
                assert settled(load)[0][2].startswith(f"the {what} is longer than 255 bytes: ")

        run(main())

    def test_what_just_fits_is_sent(self) -> None:
        def long(event: Event) -> None:
            event.extras = ["e" * 255]

        message, _ = messages(long, exchange=TEMPLATED)
        assert message.exchange == "e" * 255

    def test_memory_does_not_grow_with_the_number_of_routing_keys(self) -> None:
        """What is kept of an event for the next of its kind is kept for so many kinds only."""

        async def main() -> None:
            async with publishing({"confirms": lambda _: True}, exchange=TEMPLATED) as (load, peer):
                link, seqs = peer.link, itertools.count()

                async def publish_to_as_many(count: int) -> int:
                    receipts: list[Receipt] = []
                    for seq in itertools.islice(seqs, count):
                        event = Event(seq, f"c-{seq}", 0, 0, 0, None, b"{}", (), [f"x-{seq}"])
                        await load.producer.publish([event], receipts.extend)
                    await moment(10)
                    assert len(link.published) == len(receipts) == count
                    link.published.clear()
                    link.heard.clear()
                    receipts.clear()
                    gc.collect()
                    return sys.getallocatedblocks()

                before = await publish_to_as_many(1100)
                assert await publish_to_as_many(600) - before < 1500

        run(main())

    def test_events_that_differ_in_what_is_kept_for_them_are_not_mixed_up(self) -> None:
        """Content type, exchange and headers of templates, of one event after the other and then again."""

        async def main() -> None:
            settings: dict[str, Any] = {"exchange": TEMPLATED, "headers": {"n": "{seq}"}, "mode": "plain"}
            async with publishing({"confirms": lambda _: True}, **settings) as (load, peer):
                wanted = [("text/plain", "x-a", "1"), ("text/plain", "x-b", "1"), ("text/xml", "x-a", "1")]
                wanted += [("text/plain", "x-a", "2"), ("text/plain", "x-a", "1")]
                events = load.make(len(wanted))
                for event, (kind, exchange, header) in zip(events, wanted, strict=True):
                    event.headers = [("content-type", kind)]
                    event.extras = [exchange, header]
                await load.publish(events)
                await moment(10)
                found = [
                    (m.properties.content_type, m.exchange, (m.properties.headers or {})["n"])
                    for m in peer.link.published
                ]
                assert found == wanted

        run(main())
