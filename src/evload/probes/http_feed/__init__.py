"""Follows an HTTP endpoint that lists what is new since a cursor."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import PushProbe
from .settings import HttpFeedSettings


class HttpFeedConfig(HttpFeedSettings):
    """Settings of the feed probe.

    The endpoint is read once for everybody: every `every`, and then page after page to its end. An event became
    visible between the start of the last request that came to the end without it and the end of the one
    that shows it. A request that fails is made again with the same cursor, so that brackets get wider and
    nothing is missed. Status 429, and 503 with Retry-After (in seconds), are waited out.

    A page is the last one if `next` is null or the cursor that was sent, or if it has no items. Where that isn't so
    (empty pages in the middle, or always news by the time of the next request), `more` says it.

    `next` is a cursor, or the address of the next page on the same host: a whole one, or one that begins with `/` or
    `?`. It is asked for as it is.

    An event that is listed again is not a new effect. `effects` tells how many it has had; the largest
    figure counts. Where each entry of the feed is an effect, write a constant, such as "`1`": those add up, also
    over pages, but not when the same page is read again.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Read on to the end of the feed, yield the probe. Raises TargetError."""
        from .follower import open_follower

        return open_follower(self, surroundings)
