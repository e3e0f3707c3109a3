"""Publishes events to an EventBridge bus."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.producer import Producer
from .settings import EventBridgeProducerSettings


class EventBridgeProducerConfig(EventBridgeProducerSettings):
    """Settings of the EventBridge producer.

    `bus`, `source`, `detail_type`, `resources` and `trace_header` can hold an event's placeholders. Credentials
    and an assumed role come from the SDK's own chain; see `evload.aws`. Calls don't go through a proxy.

    What the service throttled, or answered with a failure of its own (status 500 to 504), is sent again up to
    `retries` times with the pauses of the SDK's standard mode. What got no answer is in doubt and never sent again.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Find the bus, open the first connection, yield the producer, settle what is left. Raises TargetError."""
        from .publisher import open_publisher

        return open_publisher(self, surroundings)
