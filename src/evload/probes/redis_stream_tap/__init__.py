"""Is told of the entries of a Redis stream instead of polling."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...clients.redis import missing_sdk
from ...spi.context import Surroundings
from ...spi.probe import PushProbe
from .settings import RedisStreamTapSettings


class RedisStreamTapConfig(RedisStreamTapSettings):
    """Settings of the Redis streams tap.

    It reads the stream on from where it ended when the tap opened, waiting at its end (XREAD BLOCK), and belongs to
    no consumer group: nobody gets less by it. An event is there when its entry arrives, each entry is one effect, and
    their ids are the order. After a cut it goes on from the last entry that it has had; what came meanwhile was there
    between the two moments, which is its bracket. Entries that were trimmed or deleted before it could read them are
    noticed, and said: then that nothing came of an event proves nothing.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Connect and find the end of the stream, yield the tap, disconnect. Raises TargetError."""
        try:
            import redis  # noqa: F401
        except ImportError:
            raise missing_sdk(self.kind) from None
        from .listener import open_listener

        return open_listener(self, surroundings)
