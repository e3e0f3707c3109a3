"""Asks an HTTP read model about one event or many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import Elsewhere, Probe
from .settings import HttpProbeSettings


class HttpProbeConfig(HttpProbeSettings):
    """Settings of the HTTP probe.

    Without `ids` each read asks about one event, whose id stands in `url` as `{correlation_id}` or
    `{capture}`; `headers` may hold them too, such as the token of the session that wrote the event. With `ids` a
    read asks about up to `bulk` events; `items` and `id` then find the events in
    the answer, and the other expressions see each of them as `item`. An event whose id isn't in the list is
    absent. One whose id is there several times has had as many effects; if there is an `effects`
    expression, the figures add up.

    Status 429, and 503 with a Retry-After header, mean that the read model is asked too much. Retry-After is
    understood in seconds; a date in it is not.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Try the address, yield the probe. Raises TargetError."""
        from .reader import open_reader

        return open_reader(self, surroundings)

    async def elsewhere(self, surroundings: Surroundings) -> AsyncIterator[Elsewhere]:
        """Other addresses of the read model, if reading is all that the method does."""
        from .places import places_of

        if self.method in (None, "GET", "QUERY"):
            for place in places_of(self):
                yield place
