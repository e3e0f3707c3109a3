"""Numbers in a JSON answer over HTTP, by JMESPath."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.gauge import Gauge
from .settings import HttpJsonGaugeSettings


class HttpJsonGaugeConfig(HttpJsonGaugeSettings):
    """Settings of the gauge. Either `value`, under the name `as`, or several `values` by name."""

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Ask once, yield the gauge. Raises TargetError if that gives no numbers."""
        from .reader import open_reader

        return open_reader(self, surroundings)
