"""The RabbitMQ producer when things break: after each fault the receipts are held against the queue itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import uvloop

from evload.errors import TargetError
from evload.model.states import Outcome
from tests.rigs.rabbitmq_traffic import Traffic, broker, drain_ids, make_queue, traffic
from tests.servers.rabbitmq_node import RabbitNode


@pytest.fixture
def node(own_rabbitmq: RabbitNode) -> RabbitNode:
    return own_rabbitmq


@pytest.fixture
def name() -> str:
    """For a queue or an exchange that no other test uses."""
    return f"q-{uuid.uuid4().hex[:8]}"


async def keep_publishing(run: Traffic, enough: Callable[[], bool], batch: int = 5) -> None:
    """A steady load of some 500 events a second until `enough`, and 200 events more."""
    async with asyncio.timeout(90):
        while not enough():
            await run.publish(run.make(batch), batch)
            await asyncio.sleep(0.01)
    await run.publish(run.make(200))
    await run.all_settled()


@contextmanager
def frozen(node: RabbitNode) -> Iterator[None]:
    """The broker takes bytes and says nothing."""
    os.kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.pid, signal.SIGCONT)


class TestConnectionLost:
    @pytest.mark.parametrize("end", ["kill", "stop"])
    def test_the_schedule_goes_on_and_every_event_is_accounted_for(
        self, node: RabbitNode, name: str, end: str
    ) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            await asyncio.to_thread(node.sync)
            async with traffic(node.url, routing_key=name, window=500) as run:

                async def fault() -> None:
                    await run.until(Outcome.ACCEPTED, 300)
                    await asyncio.to_thread(getattr(node, end))
                    await run.until(Outcome.UNSENT, 50)
                    await asyncio.to_thread(node.start)

                broken = asyncio.create_task(fault())
                back = 0

                def is_back() -> bool:
                    nonlocal back
                    if broken.done() and not back:
                        back = run.outcomes()[Outcome.ACCEPTED] + 100
                    return bool(back) and run.outcomes()[Outcome.ACCEPTED] > back

                await keep_publishing(run, is_back)
                await broken
            found = await drain_ids(node.url, name)
            run.hold_against(found)
            unsent = [r for r in run.receipts.values() if r.outcome is Outcome.UNSENT]
            assert len(unsent) >= 50
            assert all(r.sent_ns is not None and r.detail.startswith("no connection: ") for r in unsent)
            if end == "stop" and run.outcomes()[Outcome.IN_DOUBT]:
                # The broker says why before it closes, unless the reset of the socket overtakes it.
                reasons = " ".join(run.details(Outcome.IN_DOUBT))
                assert "CONNECTION_FORCED" in reasons or "connection lost" in reasons

        uvloop.run(main())

    def test_the_schedule_can_wait_for_the_connection_instead(self, node: RabbitNode, name: str) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            await asyncio.to_thread(node.sync)
            async with traffic(
                node.url, routing_key=name, on_connection_lost="pause", timeout="2s", connections=2
            ) as run:

                async def fault() -> None:
                    await run.until(Outcome.ACCEPTED, 300)
                    await asyncio.to_thread(node.kill)
                    await asyncio.to_thread(node.start)

                broken = asyncio.create_task(fault())
                await keep_publishing(run, broken.done)
                await broken
            run.hold_against(await drain_ids(node.url, name))
            assert run.outcomes()[Outcome.UNSENT] == 0
            assert run.outcomes()[Outcome.ACCEPTED] > 500

        asyncio.run(main())

    def test_a_broker_that_falls_silent_is_noticed_by_its_heartbeat(self, node: RabbitNode, name: str) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            async with traffic(f"{node.url}?heartbeat=1", routing_key=name, timeout="60s") as run:
                with frozen(node):
                    await run.publish(run.make(10))
                    await run.all_settled(within_s=20)
                assert run.details(Outcome.IN_DOUBT) == {"connection lost: nothing was heard of the broker for 2.5 s"}
                await until(lambda: reconnected(run))
                await run.publish(run.make(10))
                await run.all_settled()
            assert run.outcomes()[Outcome.ACCEPTED] == 10
            run.hold_against(await drain_ids(node.url, name))

        asyncio.run(main())


async def until(condition: Callable[[], Any], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


def reconnected(run: Traffic) -> bool:
    return all(link.up for link in run.producer._links)  # type: ignore[attr-defined]


class TestChannelClosed:
    def test_an_event_for_a_missing_exchange_is_rejected_and_the_others_arrive(
        self, node: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(node.url, name, bind=("amq.direct", "k"))
            async with traffic(node.url, exchange="amq.{choice:direct,fanout}", routing_key="k") as run:
                events = run.make(2000)
                wrong = events[77::100]
                for event in events:
                    event.extras = ["amq.direct"]
                for event in wrong:
                    event.extras = ["no-such-exchange"]
                await run.publish(events, batch=100)
                await run.all_settled()
            assert run.ids(Outcome.REJECTED) == {event.correlation_id for event in wrong}
            assert run.details(Outcome.REJECTED) == {"NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'"}
            # How many were confirmed before each close is the broker's affair; what followed the last one is not.
            assert {event.correlation_id for event in events[1978:]} <= run.ids(Outcome.ACCEPTED)
            assert len(run.ids(Outcome.ACCEPTED)) + len(run.ids(Outcome.IN_DOUBT)) == 2000 - len(wrong)
            run.hold_against(await drain_ids(node.url, name))

        asyncio.run(main())

    def test_an_exchange_that_is_deleted_under_the_load_leaves_doubt_but_no_false_answer(
        self, node: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            async with broker(node.url) as channel:
                await channel.exchange_declare(name, exchange_type="fanout", durable=True)
                await channel.queue_bind(name, name)
                async with traffic(node.url, exchange=name) as run:
                    publishing = asyncio.create_task(run.publish(run.make(6000)))
                    await run.until(Outcome.ACCEPTED, 500)
                    await channel.exchange_delete(name)
                    await publishing
                    await run.all_settled()
            assert run.outcomes()[Outcome.ACCEPTED] >= 500
            assert run.outcomes()[Outcome.IN_DOUBT] > 0
            run.hold_against(await drain_ids(node.url, name))

        asyncio.run(main())


class TestAlarm:
    def test_events_wait_while_the_broker_blocks_and_are_unsent_after_the_timeout(
        self, node: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            async with traffic(node.url, routing_key=name, timeout="2s") as run, blocking(node, run):
                before = run.outcomes()[Outcome.UNSENT]
                await run.publish(run.make(300))
                await run.until(Outcome.UNSENT, before + 300)
                blocked = run.producer.blocked  # type: ignore[attr-defined]
                assert blocked.times == 1
            assert blocked.duration_ns >= 2_000_000_000
            assert run.details(Outcome.UNSENT) == {"the broker blocked publishing (low on memory) for 2 s"}
            run.hold_against(await drain_ids(node.url, name))

        asyncio.run(main())

    def test_events_that_wait_until_the_broker_takes_them_again_are_accepted(
        self, node: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            async with traffic(node.url, routing_key=name, timeout="2m") as run:
                async with blocking(node, run):
                    before = len(run.receipts)
                    await run.publish(run.make(100))
                    assert len(run.receipts) == before
                await run.all_settled()
            assert run.outcomes()[Outcome.ACCEPTED] == 101
            assert "had to wait" in " ".join(run.details(Outcome.ACCEPTED))
            run.hold_against(await drain_ids(node.url, name))

        asyncio.run(main())


@asynccontextmanager
async def blocking(node: RabbitNode, run: Traffic) -> AsyncIterator[None]:
    """The broker says that it is low on memory, which it does when it is given something."""
    await asyncio.to_thread(node.memory_alarm, True)
    try:
        await run.publish(run.make(1))
        await until(lambda: run.producer.blocked.times)  # type: ignore[attr-defined]
        yield
    finally:
        await asyncio.to_thread(node.memory_alarm, False)


class TestDeadline:
    def test_what_is_not_confirmed_in_time_is_in_doubt_and_makes_room_in_the_window(
        self, node: RabbitNode, name: str
    ) -> None:
        async def main() -> None:
            await make_queue(node.url, name)
            async with traffic(node.url, routing_key=name, timeout="2s", window=10) as run:
                with frozen(node):
                    began = time.monotonic()
                    await run.publish(run.make(25), batch=25)
                    # Two windows have to pass before the last five are written, or have waited too long.
                    assert time.monotonic() - began >= 2
                    await run.all_settled()
            outcomes = run.outcomes()
            assert outcomes[Outcome.IN_DOUBT] >= 10
            assert outcomes[Outcome.IN_DOUBT] + outcomes[Outcome.UNSENT] == 25
            assert run.details(Outcome.IN_DOUBT) == {"no confirm within 2 s"}
            waits = [r.sent_ns for r in run.receipts.values() if r.sent_ns is not None]
            assert sum(at - min(waits) < 1_900_000_000 for at in waits) == 10
            await arrived(node, name, 10)
            run.hold_against(await drain_ids(node.url, name))

        asyncio.run(main())


async def arrived(node: RabbitNode, queue: str, count: int) -> None:
    """Wait until the queue holds that many."""
    async with broker(node.url) as channel, asyncio.timeout(20):
        while ((await channel.queue_declare(queue, passive=True)).message_count or 0) < count:
            await asyncio.sleep(0.05)


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (("guest:guest", "guest:s3cret"), "login of user 'guest' refused; correct user and password in url"),
            (("guest:guest", "nobody:s3cret"), "login of user 'nobody' refused; correct user and password in url"),
        ],
    )
    def test_wrong_password(self, node: RabbitNode, change: tuple[str, str], said: str) -> None:
        error = refused(node.url.replace(*change))
        assert error == f"can't connect to amqp://127.0.0.1:{node.port}/: {said}"

    def test_wrong_virtual_host(self, node: RabbitNode) -> None:
        error = refused(f"{node.url}no%2Fwhere")
        assert error.endswith(": there is no virtual host 'no/where'; create it, or correct url")

    def test_no_permission(self, node: RabbitNode) -> None:
        node.management("/api/users/limited", "PUT", {"password": "s3cret", "tags": ""})
        error = refused(node.url.replace("guest:guest", "limited:s3cret"))
        assert "virtual host '/'" in error
        assert "user 'limited' may not use it" in error

    def test_nobody_there(self) -> None:
        error = refused("amqp://me:s3cret@127.0.0.1:1/")
        assert error == "can't connect to amqp://127.0.0.1:1/: connection refused; start the broker, or correct url"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "doesn't speak AMQP"), (b"", "without a word of AMQP")],
    )
    def test_not_a_broker(self, answer: bytes, said: str) -> None:
        async def main() -> str:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readexactly(8)
                writer.write(answer)
                writer.close()

            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                return await refusal(f"amqp://me:s3cret@127.0.0.1:{port}/")

        assert said in asyncio.run(main())

    def test_tls_with_an_unknown_authority(self, node: RabbitNode) -> None:
        error = refused(node.tls_url)
        assert "TLS: certificate not accepted" in error
        assert error.endswith("name the authority in ca_file")

    @pytest.mark.parametrize("settings", [{}, {"auth": "external"}, {"verify": False}])
    def test_tls_with_the_authority_named(self, node: RabbitNode, name: str, settings: dict[str, Any]) -> None:
        files: dict[str, Any] = {"ca_file": node.ca_file} if settings.get("verify", True) else {}
        if "auth" in settings:
            files |= {"cert_file": node.client_cert, "key_file": node.client_key}

        async def main() -> None:
            await make_queue(node.url, name)
            async with traffic(node.tls_url, routing_key=name, **files, **settings) as run:
                await run.publish(run.make(3000))
                await run.all_settled()
            assert run.outcomes()[Outcome.ACCEPTED] == 3000
            run.hold_against(await drain_ids(node.url, name))

        uvloop.run(main())


async def refusal(url: str, **settings: Any) -> str:
    """What a person is told: one line, and no password in it."""
    with pytest.raises(TargetError) as caught:
        async with traffic(url, **settings):
            pass
    text = str(caught.value)
    assert "\n" not in text
    assert "s3cret" not in text
    return text


def refused(url: str, **settings: Any) -> str:
    return asyncio.run(refusal(url, **settings))
