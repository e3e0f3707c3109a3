"""Sends to a collector until it takes what is sent, refuses it, or the time is up."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from ...units import NS_PER_S, format_duration
from .destination import Destination, Signal
from .heard import Export, Heard

_FIRST_PAUSE_S: Final = 0.2
"""Each later one is twice as long."""


class Exporter:
    """Sends one signal, each request within a time limit. `shown` is the collector's host and port."""

    def __init__(self, to: Destination, export: Export) -> None:
        self.shown = to.shown
        self._timeout_ns = to.timeout_ns
        self._export = export

    async def send(self, request: Any) -> Heard:
        """Send a request. What came of the last attempt that was answered is what counts."""
        heard = Heard(f"no answer within {format_duration(self._timeout_ns)}")
        pause_s = _FIRST_PAUSE_S
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_ns / NS_PER_S):
                while (heard := await self._export(request)).again:
                    # Those who were turned away together don't come back together.
                    await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
                    pause_s *= 2
        return heard


@asynccontextmanager
async def open_exporter(signal: Signal, to: Destination) -> AsyncIterator[Exporter]:
    """Yield the exporter; nothing is sent yet."""
    if to.protocol == "grpc":
        # What goes wrong is said by the sink; gRPC reads this when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from .over_grpc import open_grpc as open_transport
    else:
        from .over_http import open_http as open_transport
    async with open_transport(signal, to) as export:
        yield Exporter(to, export)
