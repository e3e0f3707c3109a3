"""Adds events to a Redis stream, many with one write, each answered by the id of its entry."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...clients.redis import missing_sdk
from ...spi.context import Surroundings
from ...spi.producer import Producer
from .settings import RedisStreamProducerSettings


class RedisStreamProducerConfig(RedisStreamProducerSettings):
    """Settings of the Redis streams producer.

    `stream` and the values of `fields` can hold an event's placeholders. An event is accepted when Redis answers
    with the id of its entry, which is kept as the event's `{capture}`. All goes over one connection, so that the
    entries of a stream are in the order in which they were sent.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Connect, see whether entries may be added, yield the producer, settle what is left. Raises TargetError."""
        try:
            import redis  # noqa: F401
        except ImportError:
            raise missing_sdk(self.kind) from None
        from .publisher import open_publisher

        return open_publisher(self, surroundings)
