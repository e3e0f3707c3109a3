"""Configs without a file: what `evload burst` and `evload sandbox` make of their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import yaml
from pydantic import ValidationError

from ..config.load import load
from ..config.yaml import DataPath
from ..errors import UsageError
from ..sandbox.settings import SandboxSettings, explain
from ..spi.registry import NOT_INSTALLED

_BUS_HELP: Final = "write eventbridge://BUS, or eventbridge://default"
_MODES: Final = {
    "http": ("structured", "binary", "batched", "plain"),
    "rabbitmq": ("structured", "binary", "plain"),
    "eventbridge": ("structured", "plain"),
}
_KINDS: Final = {
    "http": "http", "https": "http", "amqp": "rabbitmq", "amqps": "rabbitmq", "eventbridge": "eventbridge",
}  # fmt: skip

OPTIONS: Final[Mapping[DataPath, str]] = {
    (): "evload burst",
    ("producers", "target"): "URL",
    ("producers", "target", "exchange"): "--exchange",
    ("producers", "target", "routing_key"): "--routing-key",
    ("producers", "target", "mode"): "--mode",
    ("events", "event", "type"): "--type",
    ("events", "event", "data"): "--data",
    ("probes", "read-model", "url"): "--probe",
    ("probes", "read-model", "visible"): "--visible",
    ("probes", "read-model", "deadline"): "--deadline",
    ("probes", "tap", "url"): "URL",
    ("probes", "tap", "exchange"): "--exchange",
    ("probes", "tap", "routing_key"): "--routing-key",
    ("probes", "tap", "deadline"): "--deadline",
    ("scenarios", "burst", "arrivals"): "--arrivals",
    ("scenarios", "burst", "load"): "--rate",
    ("scenarios", "burst", "load", 0, "for"): "--for",
    ("slos",): "--slo",
}
"""Which option of `evload burst` a value of its config comes from."""


def burst_config(
    url: str,
    *,
    rate: str,
    lasting: str,
    exchange: str | None,
    routing_key: str | None,
    probe: str | None,
    visible: str | None,
    tap: bool,
    deadline: str,
    slos: Sequence[str],
    mode: str,
    event_type: str,
    data: str,
    arrivals: str,
) -> str:
    """The YAML text of the config that a burst amounts to.

    The scheme of `url` says what kind of broker it is. `tap` listens to the exchange with a queue of its own.
    Raises UsageError for what no config can say.
    """
    scheme = urlsplit(url).scheme
    kind = _KINDS.get(scheme)
    if kind is None:
        known = ", ".join(f"{name}://" for name in _KINDS)
        cure = f"write a URL that begins with one of {known}; {NOT_INSTALLED}"
        raise UsageError(f"{url}: can't send to {scheme or 'that'}; {cure}")
    _refuse_what_does_not_fit(kind, exchange=exchange, routing_key=routing_key, tap=tap, mode=mode)
    try:
        template = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UsageError(f'--data isn\'t JSON: {error}; write for example \'{{"id": "{{uuid}}"}}\'') from error
    if visible is not None and probe is None:
        raise UsageError("--visible says when an effect is there, but nobody looks; add --probe URL")
    if probe is not None and urlsplit(probe).scheme not in ("http", "https"):
        raise UsageError(f"--probe {probe}: can't look there; write a URL that begins with http:// or https://")
    key = (routing_key or "{type}").replace("{type}", event_type)
    probes: dict[str, dict[str, Any]] = {}
    if probe is not None:
        watch = {"kind": "http", "url": probe, "deadline": deadline}
        probes["read-model"] = watch if visible is None else {**watch, "visible": visible}
    if tap:
        # A direct exchange knows no binding for everything; keys that differ from event to event need one.
        binding = "#" if "{" in key else key
        probes["tap"] = {
            "kind": "rabbitmq-tap", "url": url, "exchange": exchange, "routing_key": binding, "deadline": deadline
        }  # fmt: skip
    config: dict[str, Any] = {
        "name": "burst",
        "producers": {"target": _producer(kind, url, exchange or "", key, mode)},
        "events": {"event": {"type": event_type, "source": "/evload/burst", "data": template}},
        **({"probes": probes} if probes else {}),
        "scenarios": {
            "burst": {
                "producer": "target",
                "events": {"event": 1},
                "probes": list(probes),
                "arrivals": arrivals,
                "load": [{"rate": rate, "for": lasting}],
            }
        },
        **({"slos": list(slos)} if slos else {}),
    }
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    # What came on the command line is meant as it stands.
    return text.replace("$", "$$")


def _producer(kind: str, url: str, exchange: str, routing_key: str, mode: str) -> dict[str, Any]:
    if kind == "http":
        return {"kind": kind, "url": url, "mode": mode}
    if kind == "rabbitmq":
        return {"kind": kind, "url": url, "exchange": exchange, "routing_key": routing_key, "mode": mode}
    return {"kind": kind, "bus": _bus(url), "detail": "data" if mode == "plain" else "event"}


def _refuse_what_does_not_fit(
    kind: str, *, exchange: str | None, routing_key: str | None, tap: bool, mode: str
) -> None:
    """Raises UsageError for options that the kind of broker has no use for."""
    if kind != "rabbitmq":
        given = (("--exchange", exchange is not None), ("--routing-key", routing_key is not None), ("--tap", tap))
        for option, used in given:
            if used:
                raise UsageError(f"{option} is for RabbitMQ; leave it out, or send to amqp://HOST/VHOST")
    elif not exchange and routing_key is None:
        raise UsageError("nothing says where in the broker to; add --exchange NAME, or --routing-key QUEUE")
    elif tap and not exchange:
        raise UsageError(
            "--tap listens to an exchange, and the default one can't be listened to; add --exchange NAME"
        )
    if mode not in _MODES[kind]:
        raise UsageError(f"--mode {mode!r} is no mode of kind {kind}; choose one of {', '.join(_MODES[kind])}")


def _bus(url: str) -> str:
    """The bus of `eventbridge://BUS`, as it was written: bus names know upper and lower case."""
    rest = url.partition("://")[2]
    bus = rest.rstrip("/")
    if not bus or "?" in bus or "@" in bus:
        raise UsageError(f"{url}: there is no bus in it; {_BUS_HELP}")
    return bus


def sandbox_settings(path: Path | None, sets: Sequence[str], environ: Mapping[str, str]) -> SandboxSettings:
    """Settings of a sandbox on its own: those of a config, with single keys replaced.

    Raises ConfigError for the config, UsageError for the rest.
    """
    settings = SandboxSettings()
    if path is not None:
        configured = load(path, environ=environ).config.sandbox
        if configured is None:
            raise UsageError(f"{path} has no sandbox section; add one, or leave --config out")
        settings = configured
    values: dict[str, Any] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: there is no value; write for example --set visibility=200ms")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {text}: the value isn't YAML; quote it, or write it in JSON") from None
    try:
        changes = SandboxSettings.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"--set {explain(error)}") from None
    return settings.model_copy(update={name: getattr(changes, name) for name in changes.model_fields_set})
