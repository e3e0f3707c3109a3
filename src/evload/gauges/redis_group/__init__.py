"""How far a consumer group of a Redis stream is behind, and what it holds."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...clients.redis import missing_sdk
from ...spi.context import Surroundings
from ...spi.gauge import Gauge
from .settings import RedisGroupSettings


class RedisGroupConfig(RedisGroupSettings):
    """Settings of the gauge.

    `queue_depth` is the group's lag: entries that it has not handed to any consumer yet. Redis counts that since
    version 7, and can't always tell; then there is no such value. `pending` are entries that were handed out and not
    acked, `idle` is for how many seconds the oldest of these has been with its consumer (0 if there is none),
    `consumers` those that the group knows, `length` the entries of the stream. All are of one moment.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Look once, yield the gauge, hang up. Raises TargetError if there is no such stream or group."""
        try:
            import redis  # noqa: F401
        except ImportError:
            raise missing_sdk(self.kind) from None
        from .reader import open_reader

        return open_reader(self, surroundings)
