"""Names with several addresses: none that is silent holds up a run, and none has all connections."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evload.clients.amqp import parse_url as parse_amqp_url
from evload.clients.dialing import AVOIDED_S, HEAD_START_S, Dialer, is_address
from evload.clients.web import reason_of
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt, Target
from evload.probes.http import HttpProbeConfig
from evload.probes.rabbitmq_tap.consumer import connect
from evload.probes.sse import SseProbeConfig
from evload.producers.http import HttpProducerConfig
from evload.spi.context import Surroundings
from tests.rigs.memory_network import CONNECT_NS, MemoryLoop, memory_loop, run
from tests.rigs.rabbitmq_traffic import traffic
from tests.servers.amqp_peer import amqp_peer
from tests.servers.httpserver import always, answer, json_answer, serving

CONNECT_S = CONNECT_NS / 1e9
PORT = 5000
ONE, TWO, THREE, SIX = "127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"


def dialing(
    addresses: Sequence[str], task: Callable[[Dialer, MemoryLoop], Awaitable[Any]], up: Sequence[str] | None = None
) -> Any:
    """What the task finds in a network where the name has these addresses, and a server is at those that are up."""

    async def main() -> Any:
        loop = memory_loop()
        loop.names["many.test"] = addresses
        loop.hosts = set(addresses if up is None else up)
        await loop.create_server(asyncio.Protocol, port=PORT)
        return await task(Dialer("many.test", PORT), loop)

    return run(main())


async def took(dialer: Dialer) -> tuple[str, float]:
    """The address that was reached, and after how many seconds."""
    loop = memory_loop()
    began = loop.time()
    transport, _ = await dialer.connect(asyncio.Protocol, None)
    transport.close()
    return loop.reached[-1], round(loop.time() - began, 6)


def test_an_address_that_is_silent_costs_a_quarter_of_a_second_once_and_comes_last_for_a_while() -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> None:
        loop.silent = {ONE}
        assert await took(dialer) == (TWO, HEAD_START_S + CONNECT_S)
        assert [await took(dialer) for _ in range(4)] == [(TWO, CONNECT_S)] * 4
        await asyncio.sleep(AVOIDED_S)
        assert Counter([await took(dialer) for _ in range(2)]) == {
            (TWO, HEAD_START_S + CONNECT_S): 1,
            (TWO, CONNECT_S): 1,
        }
        await asyncio.sleep(AVOIDED_S)
        loop.silent = set()
        assert Counter([await took(dialer) for _ in range(4)]) == {(ONE, CONNECT_S): 2, (TWO, CONNECT_S): 2}

    dialing([ONE, TWO], task)


def test_one_that_refuses_costs_no_more_than_the_refusal() -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> list[tuple[str, float]]:
        return [await took(dialer) for _ in range(3)]

    assert dialing([ONE, TWO, THREE], task, up=[THREE]) == [(THREE, 3 * CONNECT_S)] + [(THREE, CONNECT_S)] * 2


def test_several_that_are_silent_are_passed_one_after_the_other() -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> tuple[str, float]:
        loop.silent = {SIX, ONE}
        return await took(dialer)

    assert dialing([SIX, ONE, TWO], task) == (TWO, round(2 * HEAD_START_S + CONNECT_S, 6))


def test_a_slow_one_still_wins_if_the_others_are_worse() -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> tuple[str, float]:
        loop.silent = {ONE}
        loop.call_later(1, loop.hosts.add, TWO)
        loop.broken[THREE] = OSError(errno.EHOSTUNREACH, "no")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dialer.connect(asyncio.Protocol, None), 0.9)
        await asyncio.sleep(0.5)
        return await took(dialer)

    assert dialing([ONE, TWO, THREE], task, up=[])[0] == TWO


@pytest.mark.parametrize("turns", [False, True])
def test_connections_go_to_all_addresses_in_turn_also_if_the_resolver_turns_them(*, turns: bool) -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> Counter[str]:
        for _ in range(12):
            await took(dialer)
            if turns:
                loop.names["many.test"] = [*loop.names["many.test"][1:], loop.names["many.test"][0]]
        return Counter(loop.reached)

    assert dialing([ONE, TWO, THREE, SIX], task) == {ONE: 3, TWO: 3, THREE: 3, SIX: 3}
    assert dialing([ONE, TWO], task) == {ONE: 6, TWO: 6}


def test_the_families_take_turns_so_that_one_without_a_route_is_passed_at_once() -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> list[str]:
        return [(await took(dialer))[0] for _ in range(3)]

    assert dialing(["::2", SIX, TWO, ONE], task) == [SIX, ONE, "::2"]


def test_tls_speaks_to_the_name_and_not_to_the_address() -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> list[str | None]:
        for tls in (ssl.create_default_context(), None):
            await dialer.connect(asyncio.Protocol, tls)
        return loop.asked

    assert dialing([ONE, TWO], task) == ["many.test", None]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({}, "connection refused"),
        ({ONE: OSError(errno.ENETUNREACH, "no way")}, "connection refused"),
        ({TWO: OSError(errno.ENETUNREACH, "no way")}, "connection refused"),
        ({ONE: OSError(errno.ENETUNREACH, "a"), TWO: OSError(errno.ENETUNREACH, "b")}, "network is unreachable"),
        ({ONE: OSError(errno.EHOSTUNREACH, "a"), TWO: OSError(errno.ENETUNREACH, "b")}, "no route to host"),
    ],
)
def test_where_none_answers_it_is_said_what_the_nearest_of_them_did(
    broken: dict[int | str, OSError], reason: str
) -> None:
    async def task(dialer: Dialer, loop: MemoryLoop) -> set[str]:
        loop.broken = broken
        said = set()
        for _ in range(2):
            with pytest.raises(OSError) as failure:
                await dialer.connect(asyncio.Protocol, None)
            said.add(reason_of(failure.value))
        return said

    assert dialing([ONE, TWO], task, up=[]) == {reason}


def test_an_address_is_dialled_as_it_is() -> None:
    async def main() -> list[str]:
        loop = memory_loop()
        await loop.create_server(asyncio.Protocol, port=PORT)
        for _ in range(2):
            await Dialer(ONE, PORT).connect(asyncio.Protocol, None)
        return loop.reached

    assert run(main()) == [ONE, ONE]
    assert [is_address(host) for host in ("::1", "127.0.0.1", "fe80::1%eth0", "localhost", "1.2.3", "a.b")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


# -- on a real network: an address whose backlog is full drops what begins a connection -------------------------


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str], name: str = "many.test") -> Iterator[None]:
    """The name has these addresses."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **settings: Any) -> Any:
        if host not in (name, name.encode()):
            return resolve(host, port, *args, **settings)
        return list(itertools.chain.from_iterable(resolve(address, port, *args, **settings) for address in addresses))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@contextmanager
def deaf(port: int) -> Iterator[None]:
    """Nothing that begins a connection to 127.0.0.2 at this port is answered."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((TWO, port))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex((TWO, port))
            yield
        finally:
            for one in waiting:
                one.close()


def surroundings() -> Surroundings:
    return Surroundings(SystemClock(), "r-1", Path())


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def by_name(url: str) -> str:
    assert url.count(ONE) == 1
    return url.replace(ONE, "many.test")


@pytest.mark.parametrize("order", [[TWO, ONE], [ONE, TWO]])
def test_http_producers_and_probes_pass_an_address_that_drops_what_begins_a_connection(
    monkeypatch: pytest.MonkeyPatch, order: Sequence[str]
) -> None:
    async def main() -> None:
        async with serving(always(json_answer(b"{}"))) as server:
            with names(monkeypatch, order), deaf(port_of(server.url)):
                url = by_name(server.url)
                receipts: list[Receipt] = []
                settings = {"kind": "http", "url": url, "timeout": "5s", "requests_per_connection": 1}
                async with HttpProducerConfig.model_validate(settings).open(surroundings()) as producer:
                    for seq in range(4):
                        await producer.publish(
                            [Event(seq, f"c-{seq}", 0, 0, 0, None, b"{}", (), ())], receipts.extend
                        )
                    async with asyncio.timeout(20):
                        while len(receipts) < 4:
                            await asyncio.sleep(0.01)
                assert [receipt.outcome.name for receipt in receipts] == ["ACCEPTED"] * 4
                probe = {"kind": "http", "url": f"{url}/{{correlation_id}}", "timeout": "5s"}
                async with HttpProbeConfig.model_validate(probe).open(surroundings()) as asked:
                    assert [(await asked.read([Target(1, "a")])).error for _ in range(2)] == ["", ""]

    asyncio.run(main())


def test_a_name_in_any_script_is_sent_as_dns_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(always(json_answer(b"{}"))) as server:
            with names(monkeypatch, [ONE], "xn--bcher-kva.test"):
                url = server.url.replace(ONE, "Bücher.test")
                async with HttpProducerConfig.model_validate({"kind": "http", "url": url}).open(
                    surroundings()
                ) as producer:
                    receipts: list[Receipt] = []
                    await producer.publish([Event(0, "c", 0, 0, 0, None, b"{}", (), ())], receipts.extend)
                    async with asyncio.timeout(20):
                        while not receipts:
                            await asyncio.sleep(0.01)
                probe = HttpProbeConfig.model_validate({"kind": "http", "url": f"{url}/{{correlation_id}}"})
                async with probe.open(surroundings()) as asked:
                    assert (await asked.read([Target(1, "a")])).error == ""
                hosts = {request.headers["host"] for request in server.requests}
                assert hosts == {f"xn--bcher-kva.test:{port_of(server.url)}"}
        async with amqp_peer(confirms=lambda _: True) as peer:
            with names(monkeypatch, [ONE], "xn--bcher-kva.test"):
                async with traffic(peer.url.replace(ONE, "bücher.test"), routing_key="q") as load:
                    await load.publish(load.make(1), 1)
                    await load.all_settled(20)
                    assert load.outcomes() == {Outcome.ACCEPTED: 1}

    asyncio.run(main())


def test_server_sent_events_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        async with serving(always(head, 5.0)) as server:
            with names(monkeypatch, [TWO, ONE]), deaf(port_of(server.url)):
                config = SseProbeConfig.model_validate({"kind": "sse", "url": by_name(server.url), "timeout": "3s"})
                async with config.open(surroundings()):
                    assert len(server.requests) == 1

    asyncio.run(main())


def test_amqp_producers_taps_and_those_who_declare_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[bool]:
        async with amqp_peer(confirms=lambda _: True) as peer:
            with names(monkeypatch, [TWO, ONE]), deaf(port_of(peer.url)):
                url = by_name(peer.url)
                async with traffic(url, routing_key="q", connections=2) as load:
                    await load.publish(load.make(4), 4)
                    await load.all_settled(20)
                    assert load.outcomes() == {Outcome.ACCEPTED: 4}
                    assert len(peer.links) == 2
                address = parse_amqp_url(url)
                dialer = Dialer(address.host, address.port)
                consumer = await connect(dialer, address, None, "plain", "tap", lambda _: None)
                await consumer.close()
                return [link.farewell is not None for link in peer.connections]

    # What looked for the exchange before the producer, both of its connections, and the tap.
    assert asyncio.run(main()) == [True] * 4


def test_where_all_are_silent_it_is_said_within_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(always(answer())) as server:
            with names(monkeypatch, [TWO, TWO]), deaf(port_of(server.url)):
                config = HttpProducerConfig.model_validate(
                    {"kind": "http", "url": by_name(server.url), "timeout": "600ms"}
                )
                with pytest.raises(TargetError, match=r"no connection within 600 ms; start the target"):
                    async with config.open(surroundings()):
                        pass

    asyncio.run(main())
