"""Every installed kind says whom it speaks to, so that a guard can be held."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import TypeAdapter

from evload.spi import registry
from evload.spi.context import AdapterSettings
from evload.spi.guard import NOBODY, Reach

_KINDS: Final = [
    (group, kind) for group in registry._BASES for kind in sorted(registry.kinds(group)) if group != "evload.formats"
]
_QUERY: Final = "SELECT id FROM t WHERE id IN (:ids)"
_ANY: Final = "SELECT id FROM t WHERE id = ANY(:ids)"
_HTTP: Final = {"url": "https://user:pw@Shop.example:8443/x"}
_SHOP: Final = Reach(("shop.example",))
_ARN: Final = "arn:aws:%s:eu-west-1:123456789012:%s"
_OWNED: Final = Reach(aws=True, accounts=("123456789012",))


@pytest.mark.parametrize(("group", "kind"), _KINDS)
def test_every_kind_declares_its_reach(group: registry.Group, kind: str) -> None:
    model = registry.load(group, kind)
    assert model.reach is not AdapterSettings.reach, "say whom it speaks to: `reach`, a property of its settings"


@pytest.mark.parametrize(
    ("group", "kind", "settings", "reach"),
    [
        ("producers", "http", _HTTP, _SHOP),
        ("producers", "rabbitmq", {"url": "amqps://u:p@[fd00::1]:5671/v", "exchange": "e"}, Reach(("fd00::1",))),
        ("producers", "redis-stream", {"url": "rediss://u:p@shop.example:1/0", "stream": "s"}, _SHOP),
        ("probes", "redis-stream-tap", {"url": "redis://u:p@shop.example", "stream": "s"}, _SHOP),
        ("gauges", "redis-group", {"url": "unix:///run/r.sock", "stream": "s", "group": "g"}, Reach(("localhost",))),
        ("producers", "eventbridge", {}, Reach(aws=True)),
        ("producers", "eventbridge", {"bus": _ARN % ("events", "event-bus/orders")}, _OWNED),
        ("producers", "eventbridge", {"endpoint": "http://localhost:4566"}, Reach(("localhost",))),
        ("producers", "eventbridge", {"endpoint": "https://vpce-1.events.eu-west-1.vpce.amazonaws.com"},
         Reach(aws=True)),
        ("probes", "http", {"url": "http://shop.example/{correlation_id}"}, _SHOP),
        ("probes", "http-feed", {"url": "http://shop.example/{cursor}", "items": "body", "next": "body"}, _SHOP),
        ("probes", "sse", {"url": "http://shop.example/"}, _SHOP),
        ("probes", "webhook", {"listen": "0.0.0.0:0"}, NOBODY),
        ("probes", "postgres", {"url": "postgresql://r@a.example:1,[::1]:2,c.example/x", "query": _ANY},
         Reach(("a.example", "::1", "c.example"))),
        ("probes", "postgres", {"url": "postgresql:///x?host=b.example:5433", "query": _ANY},
         Reach(("b.example",))),
        ("probes", "postgres", {"url": "postgresql:///x?host=/run/postgresql", "query": _ANY},
         Reach(("localhost",))),
        ("probes", "postgres", {"url": "postgresql://%61.example/x?host=b.example", "query": _ANY},
         Reach(("a.example",))),
        ("probes", "postgres-listen", {"url": "postgresql://r:p@a.example/x", "channel": "c"}, Reach(("a.example",))),
        ("probes", "mysql", {"url": "mysql://r@Shop.example:1/x", "query": _QUERY}, _SHOP),
        ("probes", "mysql", {"url": "mysql://r@shop.example/x?socket=/run/m.sock", "query": _QUERY},
         Reach(("localhost",))),
        ("probes", "redis", {"url": "rediss://:p@shop.example:1/0", "key": "{correlation_id}"}, _SHOP),
        ("probes", "redis", {"url": "redis:///0?host=shop.example", "key": "{correlation_id}"}, _SHOP),
        ("probes", "redis", {"url": "unix:///run/r.sock", "key": "{correlation_id}"}, Reach(("localhost",))),
        ("probes", "sqlite", {"path": "x.db", "query": _QUERY}, NOBODY),
        ("probes", "rabbitmq-tap", {"url": "amqp://shop.example", "exchange": "e"}, _SHOP),
        ("probes", "sqs-tap", {"queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/q"}, _OWNED),
        ("probes", "sqs-tap", {"queue": "q"}, Reach(aws=True)),
        ("probes", "s3", {"bucket": "b-1", "key": "{correlation_id}"}, Reach(aws=True)),
        ("probes", "s3", {"bucket": _ARN % ("s3", "accesspoint/p"), "key": "{correlation_id}"}, _OWNED),
        ("probes", "dynamodb", {"table": _ARN % ("dynamodb", "table/t"), "key": {"pk": "{correlation_id}"}}, _OWNED),
        ("gauges", "http-json", {**_HTTP, "value": "body"}, _SHOP),
        ("gauges", "prometheus", {"url": "http://shop.example/metrics", "metric": "up"}, _SHOP),
        ("gauges", "rabbitmq-queue", {"url": "amqp://a.example", "queue": "q", "management": "http://b.example"},
         Reach(("a.example", "b.example"))),
        ("gauges", "sqs-queue", {"queue": "q", "dead_letters": "https://sqs.x.amazonaws.com/123456789012/d"}, _OWNED),
        ("gauges", "cloudwatch", {"namespace": "N", "metric": "M", "dimensions": {}}, Reach(aws=True)),
        ("gauges", "command", {"run": "true"}, Reach(opaque="a command")),
        ("gauges", "process", {"pid": 1}, NOBODY),
        ("gauges", "generator", {}, NOBODY),
        ("activities", "post", {"post": "https://shop.example/{capture}"}, _SHOP),
        ("activities", "get", {"get": "http://u:{secrets.x}@shop.example/"}, _SHOP),
        ("activities", "sql", {"sql": "DELETE FROM t", "on": "postgresql://u@shop.example/x"}, _SHOP),
        ("activities", "sql", {"sql": "DELETE FROM t", "on": "mysql://u@shop.example/x"}, _SHOP),
        ("activities", "sql", {"sql": "DELETE FROM t", "on": "sqlite:///x.db"}, NOBODY),
        ("activities", "shell", {"shell": "true"}, Reach(opaque="a command")),
        ("activities", "sandbox", {"sandbox": {"workers": 0}}, NOBODY),
        ("activities", "sandbox", {"sandbox": {"workers": 0}, "at": "http://shop.example:1"}, _SHOP),
        ("activities", "rabbitmq", {"rabbitmq": "http://u:p@shop.example:15672", "purge": "q"}, _SHOP),
        ("sinks", "webhook", _HTTP, _SHOP),
        ("sinks", "otlp", _HTTP, _SHOP),
        ("sinks", "html", {}, NOBODY),
        ("sinks", "csv", {}, NOBODY),
        ("sinks", "prometheus", {"listen": "0.0.0.0:9464"}, NOBODY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_whom_they_speak_to(group: str, kind: str, settings: Mapping[str, Any], reach: Reach) -> None:
    model = registry.load(f"evload.{group}", kind)  # type: ignore[arg-type]
    kind_of_it = {} if group == "activities" else {"kind": kind}
    found = TypeAdapter(model).validate_python({**kind_of_it, **settings}).reach
    assert found == reach


@pytest.mark.parametrize(
    ("group", "kind", "settings", "told"),
    [
        ("producers", "eventbridge", {"bus": "{data.bus}"}, "differs from one event to the next"),
        ("probes", "postgres", {"url": "postgresql:///x?service=prod", "query": _ANY}, "names no host"),
        ("probes", "postgres", {"url": "postgresql:///x", "query": _ANY}, "names no host"),
    ],
    ids=["bus", "service", "nothing"],
)
def test_what_nobody_can_tell_is_said(group: str, kind: str, settings: Mapping[str, Any], told: str) -> None:
    model = registry.load(f"evload.{group}", kind)  # type: ignore[arg-type]
    assert told in TypeAdapter(model).validate_python({"kind": kind, **settings}).reach.unknown


def test_a_collector_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = registry.load("evload.sinks", "otlp")(kind="otlp")
    for name in ("", "METRICS_", "TRACES_"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", raising=False)
    assert set(settings.reach.hosts) == {"localhost"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector.example:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/x")
    assert settings.reach.hosts == ("collector.example", "traces.example")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://nowhere:0")
    assert "the environment says where it is" in settings.reach.unknown


def test_that_of_the_example_is_declared() -> None:
    code = (Path(__file__).parents[2] / "examples/evload-mqtt/src/evload_mqtt/settings.py").read_text()
    assert "def reach(self) -> Reach:" in code
