"""Performs activities as a config has them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from evload.clock import SystemClock
from evload.spi import registry
from evload.spi.activity import Activity, ActivitySettings, Outcome, Values
from evload.spi.context import Surroundings
from evload.spi.secrets import Secrets
from evload.testing import Peer

TIMEOUT: Final[Mapping[Peer, str]] = {"slow": "30s", "clogged": "3s", "closing": "30s"}
"""For what is done to a peer at fault: only who says nothing more is waited for to the end."""


def activity(**written: Any) -> ActivitySettings:
    """The settings of what is written, found by its kind."""
    (kind,) = written.keys() & registry.kinds("evload.activities").keys()
    model: type[ActivitySettings] = registry.load("evload.activities", kind)
    return model.model_validate(written)


def opened(
    settings: ActivitySettings, base_dir: Path = Path(), secrets: Secrets | None = None
) -> AbstractAsyncContextManager[Activity]:
    return settings.open(Surroundings(SystemClock(), "run", base_dir, secrets=secrets or {}))


def performed(
    values: Values | None = None,
    base_dir: Path = Path(),
    secrets: Secrets | None = None,
    **written: Any,
) -> Outcome:
    """What comes of doing it once."""

    async def main() -> Outcome:
        async with opened(activity(**written), base_dir, secrets) as one:
            return await one.perform(values or {})

    return asyncio.run(main())


def captured(outcome: Outcome) -> Mapping[str, Any]:
    """What it captured, of one that is done."""
    assert not outcome.error, outcome
    return outcome.captured
