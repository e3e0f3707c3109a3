"""Publishes events to RabbitMQ, each of them confirmed: CloudEvents structured or binary, or the data alone."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...clients.amqp import missing_sdk
from ...spi.context import Surroundings
from ...spi.producer import Producer
from .settings import RabbitmqProducerSettings


class RabbitmqProducerConfig(RabbitmqProducerSettings):
    """Settings of the RabbitMQ producer.

    `exchange`, `routing_key` and the values of `headers` can hold an event's placeholders. Events with the
    same key go over the same channel, so their order is kept.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Connect, declare, yield the producer, settle what is left, remove what was declared. Raises TargetError."""
        try:
            import aiormq  # noqa: F401
        except ImportError:
            raise missing_sdk(self.kind) from None
        from .publisher import open_publisher

        return open_publisher(self, surroundings)
