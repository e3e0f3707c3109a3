"""Configs without a file: what `evload burst` and `evload sandbox` make of their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import yaml
from pydantic import ValidationError

from .config import load
from .errors import UsageError
from .sandbox.settings import SandboxSettings, explain

_KINDS = {"http": "http", "https": "http"}


def burst_config(
    url: str,
    *,
    rate: str,
    lasting: str,
    probe: str | None,
    visible: str | None,
    deadline: str,
    slos: Sequence[str],
    mode: str,
    event_type: str,
    data: str,
    arrivals: str,
) -> str:
    """The YAML text of the config that a burst amounts to. Raises UsageError for what no config can say."""
    scheme = urlsplit(url).scheme
    if scheme not in _KINDS:
        raise UsageError(f"{url}: can't send to {scheme or 'that'}; write a URL that begins with http:// or https://")
    try:
        template = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UsageError(f'--data isn\'t JSON: {error}; write for example \'{{"id": "{{uuid}}"}}\'') from error
    if visible is not None and probe is None:
        raise UsageError("--visible says when an effect is there, but nobody looks; add --probe URL")
    config: dict[str, Any] = {
        "name": "burst",
        "producers": {"target": {"kind": _KINDS[scheme], "url": url, "mode": mode}},
        "events": {"event": {"type": event_type, "source": "/evload/burst", "data": template}},
    }
    if probe is not None:
        watch = {"kind": "http", "url": probe, "deadline": deadline}
        config["probes"] = {"read-model": watch if visible is None else {**watch, "visible": visible}}
    config["scenarios"] = {
        "burst": {
            "producer": "target",
            "events": {"event": 1},
            "probes": ["read-model"] if probe is not None else [],
            "arrivals": arrivals,
            "load": [{"rate": rate, "for": lasting}],
        }
    }
    if slos:
        config["slos"] = list(slos)
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    # What came on the command line is meant as it stands.
    return text.replace("$", "$$")


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
