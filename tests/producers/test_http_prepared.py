"""Connections that are opened before requests come that are all to be written at one instant, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evload.model.states import Outcome
from evload.producers.http import HttpProducerConfig
from evload.producers.http.publisher import HttpPublisher
from evload.spi.context import Surroundings
from evload.spi.producer import Preparing, Producer
from evload.testing import virtual_clock
from tests.producers.test_http_requests import Told, request
from tests.rigs.memory_network import run
from tests.servers.httpserver import Server, always, answer, serving


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[tuple[Server, Producer]]:
    async with serving(always(0.05, answer(200))) as server:
        config = HttpProducerConfig(kind="http", url=server.url, **settings)
        async with config.open(Surroundings(virtual_clock(), "r", Path())) as producer:
            yield server, producer


async def sent_at_once(producer: Producer, count: int) -> list[int]:
    """When each was written, counted from when all were handed over."""
    told, now = Told(), virtual_clock().now_ns()
    await producer.publish([request(seq=seq) for seq in range(count)], told.settle)
    await told.until(count)
    assert {receipt.outcome for receipt in told.receipts} == {Outcome.ACCEPTED}
    return sorted((receipt.sent_ns or 0) - now for receipt in told.receipts)


@pytest.mark.parametrize("count", [20, 150])
def test_what_is_prepared_for_is_written_at_one_instant(count: int) -> None:
    async def main() -> None:
        async with opened() as (server, producer):
            assert isinstance(producer, Preparing)
            producer.prepare(count)
            await asyncio.sleep(0.1)
            assert (server.open_now, len(server.requests)) == (count, 0)
            assert set(await sent_at_once(producer, count)) == {0}
            await asyncio.sleep(0.1)
            assert server.connections == count

    run(main())


def test_without_that_all_but_the_first_wait_for_a_connection() -> None:
    async def main() -> None:
        async with opened() as (_, producer):
            sent = await sent_at_once(producer, 20)
            assert (sent[0], sent[1]) == (0, 2_000_000)

    run(main())


def test_connections_that_would_be_too_old_by_then_are_opened_anew() -> None:
    async def main() -> None:
        async with opened(max_idle="4s", connections=20) as (server, producer):
            assert isinstance(producer, Preparing)
            for _ in range(3):
                producer.prepare(20)
                await asyncio.sleep(0.1)
                assert set(await sent_at_once(producer, 20)) == {0}
                await asyncio.sleep(3.5)
            assert (server.connections, server.most_open) == (60, 20)

    run(main())


def test_no_more_are_opened_than_there_may_be() -> None:
    async def main() -> None:
        async with opened(connections=5) as (server, producer):
            assert isinstance(producer, Preparing)
            producer.prepare(20)
            await asyncio.sleep(1)
            assert (server.open_now, server.connections) == (5, 5)

    run(main())


def test_a_target_that_is_gone_is_not_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with opened() as (server, producer):
            assert isinstance(producer, HttpPublisher)
            tries, connect = [], producer.client._dialer.connect

            async def counted(*arguments: Any) -> Any:
                tries.append(arguments)
                return await connect(*arguments)

            monkeypatch.setattr(producer.client._dialer, "connect", counted)
            await server.stop()
            await asyncio.sleep(1)
            producer.prepare(20)
            await asyncio.sleep(60)
            assert len(tries) == 20
            told = Told()
            await producer.publish([request()], told.settle)
            await told.until(1)
            assert [receipt.outcome for receipt in told.receipts] == [Outcome.UNSENT]

    run(main())
