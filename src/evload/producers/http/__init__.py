"""Publishes events as HTTP requests: CloudEvents structured, binary or batched, or the data alone."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.producer import Producer
from .settings import HttpProducerSettings


class HttpProducerConfig(HttpProducerSettings):
    """Settings of the HTTP producer.

    The path and query of `url`, `method` and the values of `headers` can hold an event's placeholders; what
    they put into the address is percent-encoded where it must be, but a `/` or `?` in it keeps its meaning.

    A Knative broker takes mode structured or binary and answers 202. RabbitMQ's management API takes events too,
    by its address `/api/exchanges/VHOST/EXCHANGE/publish` and `rabbitmq_api`.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Open the first connection, yield the producer, settle what is left. Raises TargetError."""
        from .publisher import open_publisher

        return open_publisher(self, surroundings)
