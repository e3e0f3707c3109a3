"""The RabbitMQ producer against a node that behaves: what arrives, what is answered, what is declared."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, defaultdict
from typing import Any

import orjson
import pytest
import uvloop
from aiormq.exceptions import ChannelNotFoundEntity
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Outcome
from evload.testing import check_producer
from tests.rigs.rabbitmq_traffic import broker, config, drain, drain_ids, make_queue, traffic
from tests.servers.rabbitmq_node import RabbitNode


@pytest.fixture
def name() -> str:
    """For a queue or an exchange that no other test uses."""
    return f"q-{uuid.uuid4().hex[:8]}"


async def exists(url: str, *, queue: str = "", exchange: str = "") -> bool:
    async with broker(url) as channel:
        try:
            if queue:
                await channel.queue_declare(queue, passive=True)
            else:
                await channel.exchange_declare(exchange, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


class TestWhatArrives:
    def test_structured_mode_sends_the_whole_cloud_event_with_our_ids_as_properties(
        self, rabbitmq: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name)
            async with traffic(rabbitmq.url, routing_key=name, expiration="30s", priority=3) as run:
                (event,) = run.make(1)
                await run.publish([event])
                await run.all_settled()
            (message,) = await drain(rabbitmq.url, name)
            properties = message.header.properties
            assert run.receipts[event.seq].outcome is Outcome.ACCEPTED
            assert run.receipts[event.seq].detail == ""
            assert message.body == event.body
            read = JSONFormat().read(CloudEvent, message.body)
            assert read.get_extension("correlationid") == event.correlation_id
            assert properties.content_type == "application/cloudevents+json; charset=utf-8"
            assert properties.message_id == properties.correlation_id == event.correlation_id
            assert properties.delivery_mode == 2
            assert properties.priority == 3
            assert properties.expiration == "30000"

        asyncio.run(main())

    @pytest.mark.parametrize(("settings", "prefix"), [({}, "cloudEvents:"), ({"header_prefix": "ce-"}, "ce-")])
    def test_binary_mode_sends_the_attributes_as_headers(
        self, rabbitmq: RabbitNode, name: str, settings: dict[str, Any], prefix: str
    ) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name)
            own = {"text": "größer {seq}", "number": -5, "flag": True}
            async with traffic(
                rabbitmq.url, routing_key=name, mode="binary", persistent=False, headers=own, **settings
            ) as run:
                (event,) = run.make(1)
                await run.publish([event])
                await run.all_settled()
            (message,) = await drain(rabbitmq.url, name)
            headers = message.header.properties.headers or {}
            assert message.header.properties.content_type == "application/json"
            assert message.header.properties.delivery_mode == 1
            assert orjson.loads(message.body)["text"] == "plain"
            assert {each.removeprefix(prefix) for each in headers if each.startswith(prefix)} == {
                "specversion", "id", "source", "type", "time", "partitionkey", "correlationid", "testrunid",
                "traceparent",
            }  # fmt: skip
            assert headers[f"{prefix}id"] == event.correlation_id
            assert headers[f"{prefix}type"] == "conformance.checked"
            assert headers["text"] == f"größer {event.seq}"
            assert headers["number"] == -5
            assert headers["flag"] is True

        asyncio.run(main())

    def test_exchange_and_routing_key_are_templates(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            for exchange in ("topic", "direct"):
                await make_queue(rabbitmq.url, f"{name}-{exchange}", bind=(f"amq.{exchange}", f"{name}.a"))
            async with traffic(
                rabbitmq.url, exchange="amq.{choice:topic,direct}", routing_key=f"{name}.{{data.group}}"
            ) as run:
                events = run.make(60)
                await run.publish(events)
                await run.all_settled()
            wanted = defaultdict(list)
            for event in events:
                exchange, routing_key = event.extras
                if routing_key.endswith(".a"):
                    wanted[exchange.removeprefix("amq.")].append(event.correlation_id)
            assert set(wanted) == {"topic", "direct"}
            for exchange, ids in wanted.items():
                assert await drain_ids(rabbitmq.url, f"{name}-{exchange}") == ids
            assert run.ids(Outcome.ACCEPTED) == {each for ids in wanted.values() for each in ids}
            assert run.outcomes()[Outcome.RETURNED] == 60 - sum(map(len, wanted.values()))

        asyncio.run(main())

    def test_a_body_longer_than_a_frame_and_an_empty_one_arrive_whole(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name)
            async with traffic(rabbitmq.url, routing_key=name, mode="plain") as run:
                events = run.make(4)
                events[0].body = bytes(range(256)) * 2000
                events[1].body = b"x" * (131_072 - 8)
                events[2].body = b""
                await run.publish(events)
                await run.all_settled()
            assert [message.body for message in await drain(rabbitmq.url, name)] == [event.body for event in events]

        asyncio.run(main())

    def test_events_of_one_key_keep_their_order_over_several_channels(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name)
            async with traffic(rabbitmq.url, routing_key=name, connections=2, channels=3, window=40) as run:
                events = run.make(3000)
                for i, event in enumerate(events):
                    event.key = f"key-{i % 11}"
                await run.publish(events, batch=7)
                await run.all_settled()
            keys = {event.correlation_id: event.key for event in events}
            arrived = defaultdict(list)
            for found in await drain_ids(rabbitmq.url, name):
                arrived[keys[found]].append(found)
            assert len(arrived) == 11
            for key, ids in arrived.items():
                assert ids == [event.correlation_id for event in events if event.key == key]

        uvloop.run(main())


class TestAnswers:
    @pytest.mark.parametrize(
        "settings", [{}, {"window": 7}, {"connections": 2, "channels": 3}, {"mode": "binary", "persistent": False}]
    )
    def test_conformance(self, rabbitmq: RabbitNode, name: str, settings: dict[str, Any]) -> None:
        async def main() -> None:
            declared = {"queue": {"name": name}}
            made = config(rabbitmq.url, routing_key=name, declare=declared, **settings)
            receipts = await check_producer(made, SystemClock())
            assert {receipt.outcome for receipt in receipts.values()} == {Outcome.ACCEPTED}

        asyncio.run(main())

    def test_an_event_without_a_route_is_returned_though_the_broker_confirms_it(
        self, rabbitmq: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name)
            async with traffic(rabbitmq.url, routing_key=f"{name}{{choice:,-nowhere}}") as run:
                events = run.make(500)
                await run.publish(events)
                await run.all_settled()
            astray = {event.correlation_id for event in events if event.extras[0] != name}
            assert 100 < len(astray) < 400
            assert run.ids(Outcome.RETURNED) == astray
            assert run.details(Outcome.RETURNED) == {"312 NO_ROUTE"}
            run.hold_against(await drain_ids(rabbitmq.url, name))

        asyncio.run(main())

    def test_without_mandatory_the_broker_drops_it_in_silence(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            async with traffic(rabbitmq.url, routing_key=name, mandatory=False) as run:
                await run.publish(run.make(50))
                await run.all_settled()
            assert run.outcomes() == Counter({Outcome.ACCEPTED: 50})

        asyncio.run(main())

    def test_a_full_queue_that_rejects_publishes_nacks(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            queue = {"name": name, "max_length": 50, "overflow": "reject-publish"}
            declared = {"queue": queue, "remove": False}
            async with traffic(rabbitmq.url, routing_key=name, declare=declared) as run:
                await run.publish(run.make(400))
                await run.all_settled()
            found = await drain_ids(rabbitmq.url, name)
            assert set(found) == run.ids(Outcome.ACCEPTED)
            assert run.outcomes()[Outcome.REJECTED] == 400 - len(found) > 300
            assert all(detail.startswith("nack") for detail in run.details(Outcome.REJECTED))
            run.hold_against(found)

        asyncio.run(main())

    def test_a_routing_key_that_is_too_long_is_never_sent(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name)
            async with traffic(rabbitmq.url, routing_key="{data.text}") as run:
                events = run.make(3)
                events[0].extras, events[1].extras, events[2].extras = [name], ["k" * 256], [name]
                await run.publish(events)
                await run.all_settled()
            assert [run.receipts[event.seq].outcome for event in events] == [
                Outcome.ACCEPTED, Outcome.UNSENT, Outcome.ACCEPTED,
            ]  # fmt: skip
            assert "routing key is longer than 255 bytes" in run.receipts[events[1].seq].detail
            run.hold_against(await drain_ids(rabbitmq.url, name))

        asyncio.run(main())


class TestDeclarations:
    def test_what_was_declared_is_used_and_gone_afterwards(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            queue = {
                "name": name, "type": "quorum", "max_length": 1000, "message_ttl": "60s",
                "dead_letter_exchange": "amq.fanout",
            }  # fmt: skip
            declared = {"exchange": {"type": "topic"}, "queue": queue}
            async with traffic(rabbitmq.url, exchange=name, declare=declared) as run:
                await run.publish(run.make(20))
                await run.all_settled()
                info = await asyncio.to_thread(rabbitmq.management, f"/api/queues/%2F/{name}")
                run.hold_against(await drain_ids(rabbitmq.url, name))
                assert run.outcomes() == Counter({Outcome.ACCEPTED: 20})
            assert info["type"] == "quorum"
            assert info["arguments"] == {
                "x-queue-type": "quorum", "x-max-length": 1000, "x-message-ttl": 60_000,
                "x-dead-letter-exchange": "amq.fanout",
            }  # fmt: skip
            assert not await exists(rabbitmq.url, queue=name)
            assert not await exists(rabbitmq.url, exchange=name)

        asyncio.run(main())

    def test_what_was_there_before_stays_with_all_it_holds(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name, queue_type="classic")
            declared = {"exchange": {"type": "direct"}, "queue": {"name": name}, "binding": ["k"]}
            async with traffic(rabbitmq.url, exchange=name, routing_key="k", declare=declared) as run:
                await run.publish(run.make(5))
                await run.all_settled()
            run.hold_against(await drain_ids(rabbitmq.url, name))
            assert run.outcomes() == Counter({Outcome.ACCEPTED: 5})
            assert not await exists(rabbitmq.url, exchange=name)

        asyncio.run(main())

    def test_a_queue_with_other_properties_is_an_error_that_undoes_the_rest(
        self, rabbitmq: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(rabbitmq.url, name, queue_type="classic", max_length=5)
            declared = {"exchange": {}, "queue": {"name": name}}
            with pytest.raises(
                TargetError, match=rf"can't declare queue '{name}': PRECONDITION_FAILED.*; it is there"
            ):
                async with traffic(rabbitmq.url, exchange=name, declare=declared):
                    pass
            assert await exists(rabbitmq.url, queue=name)
            assert not await exists(rabbitmq.url, exchange=name)

        asyncio.run(main())

    def test_an_exchange_that_is_not_there_is_an_error(self, rabbitmq: RabbitNode, name: str) -> None:
        async def main() -> None:
            with pytest.raises(TargetError, match=f"there is no exchange '{name}' in virtual host '/'; create it"):
                async with traffic(rabbitmq.url, exchange=name):
                    pass

        asyncio.run(main())
