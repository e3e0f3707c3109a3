"""A RabbitMQ queue's depth, unacked messages, consumers and rates."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.gauge import Gauge
from .settings import RabbitmqQueueGaugeSettings


class RabbitmqQueueGaugeConfig(RabbitmqQueueGaugeSettings):
    """Settings of the gauge.

    `queue_depth` (messages ready) and `queue_consumers` come over AMQP and are those of the moment. With
    `management` there are also `queue_unacked` and the rates per second, which the broker itself samples
    every few seconds.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Look once, yield the gauge, close. Raises TargetError if there is no such queue."""
        from ...clients.amqp import missing_sdk

        try:
            from .reader import open_reader
        except ModuleNotFoundError as error:
            raise missing_sdk(self.kind) from error
        return open_reader(self, surroundings)
