"""Listens to deliveries on a RabbitMQ broker instead of polling."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import Probe
from .settings import RabbitmqTapSettings


class RabbitmqTapConfig(RabbitmqTapSettings):
    """Settings of the queue probe. Each delivery of an event is one side effect of it.

    With `exchange` it listens beside the system's own consumers: a queue of its own, bound with the
    `routing_key`s, that is gone when the run is. With `queue` it consumes an existing queue, and what it
    gets nobody else gets; so that asks for `consume: true`, and is meant for output queues that nobody else
    reads, or for one that was made for the tap.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect, bind and consume, yield the probe, close. Raises TargetError."""
        from ...clients.amqp import missing_sdk

        try:
            from .listener import open_listener
        except ModuleNotFoundError as error:
            raise missing_sdk(self.kind) from error
        return open_listener(self, surroundings)
