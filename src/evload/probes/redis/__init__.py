"""Asks Redis about many events at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import Elsewhere, Probe
from .settings import RedisProbeSettings


class RedisProbeConfig(RedisProbeSettings):
    """Settings of the Redis probe.

    It looks at one of three things. `key`: a string of each event's own. `hash` with `field`: a field of a hash,
    where either is the event's own. `stream`: an entry whose `field` holds the correlation id; the stream is read
    on from where it ended when the run began, once for all events, each entry is one effect, and entries tell the
    order of events. `visible` and `effects` look at the value (JSON, or else text), or at the entry as an object.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect and ask once, yield the probe, disconnect. Raises TargetError."""
        from .reader import open_reader

        return open_reader(self, surroundings)

    async def elsewhere(self, surroundings: Surroundings) -> AsyncIterator[Elsewhere]:
        """The other databases of the server that hold anything. A stream is only read on from its end."""
        from .databases import other_databases

        if self.stream is None:
            for number, url in await other_databases(self, surroundings):
                there = self.model_copy(update={"url": url})
                yield Elsewhere(f"in the database {number} of the same server", there, f"end url in /{number}")
