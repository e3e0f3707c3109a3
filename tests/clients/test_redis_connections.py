"""Redis streams over TLS, and over a socket of the file system."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.redis_group import RedisGroupConfig
from evload.model.states import Outcome, Seen
from evload.model.travel import ReadResult
from evload.probes.redis import RedisProbeConfig
from evload.probes.redis_stream_tap import RedisStreamTapConfig
from evload.spi.context import Surroundings
from tests.rigs.asking import read_from
from tests.rigs.redis_traffic import config, traffic
from tests.servers.redis_server import RedisServer

RUN: Final = Surroundings(SystemClock(), "conformance", Path())


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[RedisServer, int, Path]]:
    """A server that also speaks TLS, at that port, with a certificate that the file has signed; and a socket."""
    server = RedisServer()
    try:
        ca = server.self_signed()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        server.start(
            tls_port=port, tls_cert_file=ca, tls_key_file=server.directory / "server.key", tls_ca_cert_file=ca,
            tls_auth_clients="no", unixsocket=server.directory / "redis.sock", unixsocketperm=777,
        )  # fmt: skip
        yield server, port, ca
    finally:
        server.close()


def assert_all_work(url: str) -> None:
    """Events are accepted, the tap is told of them, and the group's gauge sees them."""

    async def main() -> None:
        group = {"kind": "redis-group", "url": url, "stream": "orders", "group": "g"}
        tapped: list[ReadResult] = []
        tap = RedisStreamTapConfig.model_validate({"kind": "redis-stream-tap", "url": url, "stream": "orders"})
        async with tap.open(RUN) as probe, traffic(url) as run:
            listening = asyncio.create_task(probe.listen(tapped.append))
            events = run.make(300)
            await run.publish(events)
            await run.all_settled()
            assert run.outcomes() == {Outcome.ACCEPTED: 300}
            async with asyncio.timeout(30):
                while sum(len(result.reads) for result in tapped) < 300:
                    await asyncio.sleep(0.01)
            async with RedisGroupConfig.model_validate(group).open(RUN) as gauge:
                assert (await gauge.sample()).values["queue_depth"] == 300
            listening.cancel()

    uvloop.run(main())


def fresh(server: RedisServer) -> None:
    client: Any = server.client
    client.flushall()
    client.xgroup_create("orders", "g", "0", mkstream=True)


def refused(url: str) -> str:
    async def main() -> None:
        async with config(url, timeout="2s").open(RUN):
            pass

    with pytest.raises(TargetError) as caught:
        uvloop.run(main())
    return str(caught.value)


def test_over_tls(secured: tuple[RedisServer, int, Path]) -> None:
    server, port, ca = secured
    fresh(server)
    assert_all_work(f"rediss://localhost:{port}/0?ssl_ca_certs={ca}")
    fresh(server)
    assert_all_work(f"rediss://localhost:{port}/0?ssl_cert_reqs=none")


def test_over_a_socket_of_the_file_system(secured: tuple[RedisServer, int, Path]) -> None:
    server, _, _ = secured
    fresh(server)
    url = f"unix://{server.directory}/redis.sock?db=0"
    assert_all_work(url)
    probe = RedisProbeConfig.model_validate({"kind": "redis", "url": url, "key": "{correlation_id}"})
    assert [read.seen for read in read_from(probe).reads] == [Seen.ABSENT] * 3


def test_who_signed_it_has_to_be_known(secured: tuple[RedisServer, int, Path]) -> None:
    _, port, _ = secured
    assert refused(f"rediss://localhost:{port}/0") == (
        f"can't add to streams of rediss://localhost:{port}/0: can't connect: TLS: certificate not accepted: "
        "self-signed certificate; name who signed it: ?ssl_ca_certs=FILE in url"
    )


def test_tls_where_none_is_spoken_and_none_where_it_is(secured: tuple[RedisServer, int, Path]) -> None:
    server, port, _ = secured
    assert refused(f"rediss://localhost:{server.port}/0").endswith(
        ": no answer to TLS within 2 s; write redis:// if no TLS is spoken there, or correct url"
    )
    assert refused(f"redis://localhost:{port}/0").endswith(
        ": connection lost; start Redis, or correct url; rediss:// if it wants TLS"
    )


def test_an_address_of_which_nothing_can_be_made() -> None:
    assert refused("redis://localhost/0?socket_timeout=x") == (
        "can't use redis://localhost/0: Invalid value for 'socket_timeout' in connection URL.; correct url"
    )
