"""What people do to a RabbitMQ: purge, close connections, policies, limits, and whatever else its API has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import aiormq
import pytest
from pydantic import ValidationError

from evload.activities.rabbitmq.management import fits
from evload.activities.rabbitmq.settings import Connections
from evload.spi.activity import Outcome
from evload.testing import PEERS, Peer, SystemClock, check_activity, check_activity_peer
from tests.rigs.activities import TIMEOUT, activity, captured, opened, performed
from tests.rigs.turned_secret import TurnedSecret
from tests.servers.httpserver import always, json_answer, serving
from tests.servers.rabbitmq_node import RabbitNode

VHOST = "acts/1"


@pytest.fixture
def vhost(rabbitmq: RabbitNode) -> Iterator[str]:
    """A virtual host of its own with a queue `orders`, and its address in the API."""
    path = f"/api/vhosts/{VHOST.replace('/', '%2F')}"
    rabbitmq.management(path, "PUT", {})
    rabbitmq.management(f"{path.replace('vhosts', 'queues')}/orders", "PUT", {})
    yield VHOST.replace("/", "%2F")
    rabbitmq.management(path, "DELETE")


def at(rabbitmq: RabbitNode) -> dict[str, Any]:
    return {"rabbitmq": rabbitmq.management_url.replace("//", "//guest:guest@"), "vhost": VHOST}


def done(rabbitmq: RabbitNode, values: Mapping[str, Any] | None = None, **what: Any) -> Outcome:
    return performed(values, **at(rabbitmq), **what)


def depth(rabbitmq: RabbitNode, queue: str = "orders") -> int:
    """By AMQP: the API looks only every few seconds."""

    async def main() -> int:
        connection = await aiormq.connect(rabbitmq.url + VHOST.replace("/", "%2F"))
        try:
            channel = await connection.channel()
            return (await channel.queue_declare(queue, passive=True)).message_count or 0
        finally:
            await connection.close()

    return asyncio.run(main())


def publish(rabbitmq: RabbitNode, vhost: str, count: int) -> None:
    message = {"properties": {}, "routing_key": "orders", "payload": "x", "payload_encoding": "string"}
    for _ in range(count):
        rabbitmq.management(f"/api/exchanges/{vhost}/amq.default/publish", "POST", message)


def test_a_queue_is_purged(rabbitmq: RabbitNode, vhost: str) -> None:
    publish(rabbitmq, vhost, 3)
    assert depth(rabbitmq) == 3
    assert done(rabbitmq, {"name": "orders"}, purge="{name}") == Outcome()
    assert depth(rabbitmq) == 0
    missing = done(rabbitmq, purge="order/s")
    assert (missing.error, missing.in_doubt) == ('HTTP 404: {"error":"Object Not Found","reason":"Not Found"}', False)


def test_a_policy_is_set_and_taken_away(rabbitmq: RabbitNode, vhost: str) -> None:
    policy = {"name": "short/er", "pattern": "^{name}$", "definition": {"max-length": 2}, "priority": 7}
    assert done(rabbitmq, {"name": "orders"}, policy=policy) == Outcome()
    assert rabbitmq.management(f"/api/policies/{vhost}") == [
        {"vhost": VHOST, "name": "short/er", "pattern": "^orders$", "definition": {"max-length": 2}, "priority": 7,
         "apply-to": "queues"}
    ]  # fmt: skip
    assert done(rabbitmq, delete_policy="short/er") == Outcome()
    assert rabbitmq.management(f"/api/policies/{vhost}") == []
    assert done(rabbitmq, delete_policy="short/er") == Outcome()


def test_limits_are_set_and_taken_away(rabbitmq: RabbitNode, vhost: str) -> None:
    assert done(rabbitmq, limits={"max-connections": 0, "max-queues": 5}) == Outcome()
    assert rabbitmq.management(f"/api/vhost-limits/{vhost}") == [
        {"vhost": VHOST, "value": {"max-connections": 0, "max-queues": 5}}
    ]
    with pytest.raises(aiormq.exceptions.AMQPError):
        depth(rabbitmq)
    for _ in range(2):
        assert done(rabbitmq, clear_limits=["max-connections", "max-queues"]) == Outcome()
    assert depth(rabbitmq) == 0


def test_connections_are_closed_by_their_names(rabbitmq: RabbitNode, vhost: str) -> None:
    async def main() -> tuple[list[Outcome], list[bool]]:
        names = ("orders-1", "orders-2", "invoices", "evload run x")
        open_ones = [
            await aiormq.connect(f"{rabbitmq.url}{vhost}", client_properties={"connection_name": name})
            for name in names
        ]
        try:
            while len(rabbitmq.management(f"/api/vhosts/{vhost}/connections?columns=user_provided_name")) < 4:
                await asyncio.sleep(0.2)
            outcomes = []
            for pattern in ("orders-*", "nobody", {"user": "somebody"}, {"user": "guest", "name": "*"}):
                async with opened(activity(**at(rabbitmq), close_connections=pattern)) as one:
                    outcomes.append(await one.perform({}))
                await asyncio.sleep(0.2)
                if pattern == "orders-*":
                    first = [one.is_closed for one in open_ones]
            while not open_ones[2].is_closed:
                await asyncio.sleep(0.05)
            return outcomes, [*first, open_ones[3].is_closed]
        finally:
            for connection in open_ones:
                await connection.close()

    outcomes, closed = asyncio.run(main())
    none = Outcome("there is no such connection")
    assert outcomes == [Outcome(), none, none, Outcome()]
    assert closed == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        ({"name": "app*"}, True),
        ({"name": "127.0.0.1:*"}, True),
        ({"name": "*", "user": "guest"}, True),
        ({"user": "guest"}, True),
        ({"user": "other"}, False),
        ({"name": "ap"}, False),
        ({"name": "APP*"}, False),
    ],
    ids=["given", "own", "both", "user", "other", "part", "case"],
)
def test_which_connections_are_meant(wanted: Mapping[str, str], fit: bool) -> None:
    connection = {"name": "127.0.0.1:1 -> 127.0.0.1:2", "user": "guest", "user_provided_name": "app 1"}
    assert fits(connection, Connections(**wanted)) == fit


def test_ours_are_closed_only_if_they_are_named() -> None:
    connection = {"name": "x", "user": "guest", "user_provided_name": "evload run gauge"}
    assert not fits(connection, Connections(name="*"))
    assert not fits(connection, Connections(user="guest"))
    assert fits(connection, Connections(name="evload run *"))


def test_any_other_request(rabbitmq: RabbitNode, vhost: str) -> None:
    call = {"method": "PUT", "path": f"/api/queues/{vhost}/{{name}}", "json": {"durable": True}}
    assert done(rabbitmq, {"name": "a/b"}, call=call) == Outcome()
    asked = {"method": "GET", "path": f"/api/queues/{vhost}/a%2Fb"}
    assert captured(done(rabbitmq, call=asked, capture={"durable": "body.durable"})) == {"durable": True}
    gone = {"method": "DELETE", "path": f"/api/queues/{vhost}/none", "expect": [204, 404]}
    assert done(rabbitmq, call=gone) == Outcome()


def test_a_login_that_is_refused(rabbitmq: RabbitNode) -> None:
    url = rabbitmq.management_url.replace("//", "//guest:{secrets.pw}@")
    good = performed(
        secrets={"pw": TurnedSecret("guest")}, rabbitmq=url, call={"method": "GET", "path": "/api/whoami"}
    )
    assert good == Outcome()
    bad = performed(
        secrets={"pw": TurnedSecret("wrong")}, rabbitmq=url, call={"method": "GET", "path": "/api/whoami"}
    )
    assert bad.error.startswith("HTTP 401")
    assert not bad.in_doubt


def test_what_is_no_management_api_is_told() -> None:
    async def main() -> Outcome:
        async with (
            serving(always(json_answer(b'{"connections": 3}'))) as server,
            opened(activity(rabbitmq=server.url, close_connections="*")) as one,
        ):
            return await one.perform({})

    assert asyncio.run(main()) == Outcome("what answers there is no management API")


def test_titles_say_what_is_done() -> None:
    url = "http://guest:guest@broker:15672"
    titles = [
        activity(rabbitmq=url, **what).title
        for what in (
            {"purge": "orders"}, {"close_connections": {"user": "app"}}, {"delete_policy": "p"},
            {"policy": {"name": "p", "pattern": ".*", "definition": {"max-length": 1}}},
            {"limits": {"max-connections": 0}}, {"clear_limits": ["max-queues"]},
            {"call": {"method": "PUT", "path": "/api/x?y=1"}},
        )
    ]  # fmt: skip
    assert titles == [
        f"rabbitmq: {what} at http://broker:15672/"
        for what in (
            "purge orders", "close connections * of app", "delete policy p", "set policy p", "set max-connections 0",
            "clear max-queues", "PUT /api/x",
        )
    ]  # fmt: skip


def test_it_conforms(rabbitmq: RabbitNode, vhost: str) -> None:
    outcomes = asyncio.run(check_activity(activity(**at(rabbitmq), purge="orders"), SystemClock()))
    assert outcomes == [Outcome(), Outcome()]


@pytest.mark.parametrize("peer", PEERS)
def test_it_conforms_with_a_peer_at_fault(rabbitmq: RabbitNode, vhost: str, peer: Peer) -> None:
    outcome = asyncio.run(
        check_activity_peer(
            lambda port: activity(
                rabbitmq=f"http://guest:guest@127.0.0.1:{port}", vhost=VHOST, purge="orders", timeout=TIMEOUT[peer]
            ),
            rabbitmq.management_port,
            peer,
        )
    )
    assert bool(outcome.error) == (peer != "slow")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "nothing says what is done; write purge: QUEUE"),
        ({"purge": "a", "delete_policy": "b"}, "purge and delete_policy are 2 things to do; make them a list"),
        ({"purge": ""}, "at least 1 character"),
        ({"close_connections": {}}, "nothing says which connections; write a glob"),
        ({"policy": {"name": "a", "pattern": "b"}}, "Field required"),
        ({"policy": {"name": "a", "pattern": "b", "definition": {}}}, "at least 1 item"),
        ({"limits": {}}, "limits names no limit; write max-connections or max-queues"),
        ({"limits": {"max-conections": 1}}, "Input should be 'max-connections'"),
        ({"call": {"method": "PUT", "path": "api/x"}}, "'api/x' is no path of the API; write one such as"),
        ({"purge": "a", "capture": {"n": "body.n"}}, "purge has no answer to capture from"),
    ],
    ids=["nothing", "two", "empty", "any", "policy", "definition", "no limit", "limit", "path", "capture"],
)
def test_settings_that_make_no_sense_are_refused(written: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        activity(rabbitmq="http://localhost:15672", **written)
    assert message in str(raised.value)
