"""What `evload init` writes, in parts."""

from __future__ import annotations

from typing import Any

import yaml

from evload.commands import init


def probe_of(name: str, **changes: Any) -> dict[str, Any]:
    """The probe of the start of that name, with what a person would change in it."""
    probe: dict[str, Any] = yaml.safe_load(init.start(name).text)["probes"]["read-model"]
    return {**probe, **changes}
