"""The settings of the RabbitMQ producer: what they mean, and what a person is told about bad ones."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from evload import config
from evload.clients import amqp
from evload.clock import SystemClock
from evload.config.schema import json_schema
from evload.errors import ConfigError, TargetError
from evload.producers.rabbitmq import RabbitmqProducerConfig
from evload.spi.context import Surroundings

GOOD: dict[str, Any] = {
    "producers": {"bus": {"kind": "rabbitmq", "url": "amqp://localhost/", "exchange": "events"}},
    "events": {"created": {"type": "placement.created", "source": "/evload", "data": {"id": "{uuid}"}}},
    "scenarios": {"base": {"producer": "bus", "events": ["created"], "load": [{"burst": 5}]}},
}


def load(producer: dict[str, Any]) -> RabbitmqProducerConfig:
    text = yaml.safe_dump({**GOOD, "producers": {"bus": {**GOOD["producers"]["bus"], **producer}}}, sort_keys=False)
    loaded = config.load_text(text, "load.yaml", environ={}).config.producers["bus"]
    assert isinstance(loaded, RabbitmqProducerConfig)
    return loaded


BAD: list[tuple[dict[str, Any], str]] = [
    ({"url": "localhost:5672"}, "has no scheme; write an address such as amqp://user:password@localhost:5672/vhost"),
    ({"url": "http://localhost"}, "'http://localhost' is not an amqp or amqps address; write"),
    ({"url": "amqp://me:s3cret@host:99999/"}, "'amqp://host:99999/' has an unusable host or port; write"),
    *(
        ({"url": f"amqp://me:a{sign}s3cret@host/v"}, "'amqp://host/v' has an unusable host or port; write %2F")
        for sign in "/?#"
    ),
    ({"url": "amqp:///vhost"}, "has no host; write"),
    ({"url": "amqp://host/a/b"}, "has a virtual host with a slash; write %2F for each slash in its name"),
    ({"url": "amqp://{type}/"}, "has a placeholder, but an address is the same for all events; write"),
    ({"url": "amqp://host/?frame_max=9"}, "the address has an option 'frame_max'; leave it out, and use the keys"),
    ({"url": "amqp://host/?heartbeat=1m"}, "the heartbeat in the address isn't a number; write whole seconds"),
    ({"ca_file": "ca.pem"}, "ca_file is for TLS, which amqp://localhost/ is not; write amqps://"),
    ({"url": "amqps://host", "key_file": "key.pem"}, "key_file without a cert_file is of no use; name both"),
    ({"auth": "external"}, "auth: external logs in by a certificate, and there is none; name a cert_file"),
    ({"exchange": "e" * 256}, "is longer than 255 bytes; AMQP takes no longer name"),
    ({"routing_key": "{data.nothing}"}, "data.nothing"),
    ({"routing_key": "{tpye}"}, "did you mean"),
    ({"header_prefix": ""}, "'' can't stand before names; write cloudEvents: or ce-"),
    ({"header_prefix": "x" * 201}, "can't stand before names; write cloudEvents: or ce-"),
    ({"header_prefix": "ä" * 101}, "can't stand before names; write cloudEvents: or ce-"),
    ({"mode": "binary", "headers": {"cloudEvents:id": "1"}}, "header 'cloudEvents:id' is part of mode binary; leave"),
    ({"headers": {"x": 1 << 70}}, "is too large a number; write at most 9223372036854775807"),
    ({"headers": {"x": 1.5}}, "1.5 is not a header's value; write text, a whole number, true or false"),
    ({"mode": "batched"}, "'batched' is no choice here; write 'structured', 'binary' or 'plain'"),
    ({"priority": 300}, "300 is too large; write 255 or less"),
    ({"expiration": "1us"}, "expiration is counted in whole milliseconds, at most 2^32; write a duration"),
    ({"window": 0}, "0 is too small; write 1 or more"),
    ({"on_connection_lost": "stop"}, "'stop' is no choice here; write 'go-on' or 'pause'"),
    ({"chanels": 2}, "did you mean 'channels'"),
    ({"exchange": "", "declare": {"exchange": {}}}, "exchange '' is the broker's own; name another, or leave out"),
    ({"exchange": "{type}", "declare": {"exchange": {}}}, "a template can't be declared; write the exchange's name"),
    ({"exchange": "{type}", "declare": {"queue": {"name": "q"}}}, "a queue can't be bound to a template; write"),
    ({"declare": {"exchange": {"type": "direct"}, "queue": {"name": "q"}}}, "the binding can't be guessed; write"),
    ({"declare": {"binding": ["a"]}}, "binding leads to the queue that is declared, and there is none; declare"),
    ({"exchange": "", "declare": {"queue": {"name": "q"}, "binding": "a"}}, "each queue by its name; leave out"),
    ({"declare": {"queue": {"name": "amq.q"}}}, "names that start with 'amq.' are the broker's own; rename 'amq.q'"),
    ({"declare": {"queue": {"name": "q", "overflow": "reject-publish"}}}, "overflow without a max_length never"),
    ({"declare": {"queue": {"name": "q", "type": "quorum", "durable": False}}}, "queue is always durable; leave"),
    ({"declare": {"queue": {"name": "q", "dead_letter_routing_key": "k"}}}, "without a dead_letter_exchange is"),
]  # fmt: skip


@pytest.mark.parametrize(("producer", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_one_clear_line_for_each_mistake(producer: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(producer)
    (line,) = str(caught.value).split("\n")
    assert re.fullmatch(r"load\.yaml:\d+:\d+: [^;]+; .+", line), line
    assert said in line
    assert "Input should" not in line
    assert "s3cret" not in line


def test_a_prefix_has_200_bytes_at_most() -> None:
    assert load({"header_prefix": "x" * 200}).header_prefix == "x" * 200


@pytest.mark.parametrize("number", [-(1 << 63), (1 << 63) - 1])
def test_a_number_in_a_header_has_64_bits(number: int) -> None:
    settings = {"kind": "rabbitmq", "url": "amqp://localhost/"}
    kept = RabbitmqProducerConfig.model_validate({**settings, "headers": {"x": number}})
    assert kept.headers == {"x": number}
    beyond = number + (1 if number > 0 else -1)
    with pytest.raises(ValidationError, match="header 'x' doesn't fit into 64 bits; write it as text"):
        RabbitmqProducerConfig.model_validate({**settings, "headers": {"x": beyond}})


def test_what_is_left_out_is_durable_safe_and_confirmed_by_the_thousand() -> None:
    loaded = load({})
    assert loaded.model_dump(mode="json") == {
        "kind": "rabbitmq", "url": "amqp://localhost/", "exchange": "events", "routing_key": "{type}",
        "mode": "structured", "header_prefix": "cloudEvents:", "headers": {}, "persistent": True, "mandatory": True,
        "priority": None, "expiration": None, "window": 5000, "timeout": "10s", "connections": 1, "channels": 1,
        "on_connection_lost": "go-on", "declare": None, "ca_file": None, "verify": True, "cert_file": None,
        "key_file": None, "auth": "plain", "in_flight": 100_000, "when_full": "wait", "ordered": False,
    }  # fmt: skip
    assert loaded.encoding().extras == ("{type}",)


@pytest.mark.parametrize(
    ("text", "ns"), [("1ms", 1_000_000), ("2s", 2_000_000_000), ("4294967295ms", (2**32 - 1) * 1_000_000)]
)
def test_messages_expire_after_whole_milliseconds(text: str, ns: int) -> None:
    loaded = load(
        {"expiration": text, "routing_key": "k", "declare": {"queue": {"name": "work", "message_ttl": text}}}
    )
    assert loaded.declare is not None
    assert loaded.declare.queue is not None
    assert (loaded.expiration, loaded.declare.queue.message_ttl) == (ns, ns)


@pytest.mark.parametrize(("kind", "durable"), [("classic", True), ("classic", False), ("quorum", True)])
def test_a_queue_is_as_durable_as_it_was_asked_to_be(kind: str, durable: bool) -> None:
    queue = {"name": "q", "type": kind, "durable": durable}
    declare = load({"routing_key": "k", "declare": {"queue": queue}}).declare
    assert declare is not None
    assert declare.queue is not None
    assert declare.queue.durable is durable


def test_what_is_declared_without_a_word_is_durable_and_removed_afterwards() -> None:
    declare = load({"declare": {"exchange": {}, "queue": {"name": "work"}}}).declare
    assert declare is not None
    assert declare.model_dump() == {
        "exchange": {"type": "topic", "durable": True},
        "queue": {
            "name": "work", "type": "classic", "durable": True, "max_length": None, "overflow": None,
            "message_ttl": None, "dead_letter_exchange": None, "dead_letter_routing_key": None,
        },
        "binding": None,
        "remove": True,
    }  # fmt: skip


def test_templates_are_rendered_in_the_order_in_which_the_publisher_takes_them() -> None:
    loaded = load({"exchange": "{type}", "headers": {"a": "{uuid}", "b": "fixed", "c": 5, "d": "{seq}"}})
    assert loaded.encoding().extras == ("{type}", "{type}", "{uuid}", "{seq}")


@pytest.mark.parametrize(
    ("producer", "bindings"),
    [
        ({"declare": {"exchange": {}, "queue": {"name": "q"}}}, ("#",)),
        ({"declare": {"exchange": {"type": "direct"}, "queue": {"name": "q"}}, "routing_key": "k"}, ("k",)),
        ({"declare": {"queue": {"name": "q"}, "binding": ["a", "b.*"]}}, ("a", "b.*")),
        ({"declare": {"queue": {"name": "q"}, "binding": "a"}}, ("a",)),
        ({"exchange": "", "routing_key": "q", "declare": {"queue": {"name": "q"}}}, ()),
        ({}, ()),
    ],
)
def test_a_declared_queue_gets_what_is_published(producer: dict[str, Any], bindings: tuple[str, ...]) -> None:
    ordered = {key: producer[key] for key in sorted(producer, reverse=True)}
    assert load(ordered).bindings() == bindings


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("amqp://localhost", (False, "localhost", 5672, "guest", "guest", "/", None, "amqp://localhost/")),
        ("amqp://h:1/", (False, "h", 1, "guest", "guest", "/", None, "amqp://h:1/")),
        ("amqp://h/%2F", (False, "h", 5672, "guest", "guest", "/", None, "amqp://h/%2F")),
        ("amqps://u:p%40ss@h/v?heartbeat=30", (True, "h", 5671, "u", "p@ss", "v", 30, "amqps://h/v")),
        ("amqp://u@[::1]:7/a%2Fb", (False, "::1", 7, "u", "", "a/b", None, "amqp://[::1]:7/a%2Fb")),
    ],
)
def test_addresses_are_taken_apart_as_the_uri_specification_has_it(url: str, address: tuple[Any, ...]) -> None:
    assert amqp.parse_url(url) == address


def test_without_the_library_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiormq", None)
    surroundings = Surroundings(SystemClock(), "run", Path.cwd())
    with pytest.raises(TargetError, match=r"^kind rabbitmq needs aiormq; pip install 'evload\[rabbitmq\]'$"):
        load({}).open(surroundings)


def test_the_schema_for_editors_knows_the_kind() -> None:
    assert '"rabbitmq"' in str(json_schema(print)).replace("'", '"')
