"""Something done to a RabbitMQ through its management API."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.activity import Activity
from ...spi.context import Surroundings
from .settings import RabbitmqActivitySettings


class RabbitmqConfig(RabbitmqActivitySettings):
    """Settings of what is done to a RabbitMQ through its management API.

    One of `purge`, `close_connections`, `policy`, `delete_policy`, `limits`, `clear_limits`, and `call` for any other
    request. What takes away is done as well where there is nothing (any more), so that it can be done again.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Activity]:
        """Yield what does it; nothing is asked yet. Raises TargetError if `ca_file` is no use."""
        from .management import open_management

        return open_management(self, surroundings)
