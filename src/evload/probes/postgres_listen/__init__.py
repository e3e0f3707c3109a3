"""Listens to a PostgreSQL channel instead of polling."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import PushProbe
from .settings import PostgresListenSettings


class PostgresListenConfig(PostgresListenSettings):
    """Settings of the NOTIFY probe.

    The system says `NOTIFY channel, 'payload'` (or `pg_notify`, as in a trigger) where an event takes effect. The
    payload is the correlation id, or JSON that holds it. An event is there when its notification arrives,
    which is after the commit; each notification is one effect, and they come in the order of the commits.
    PostgreSQL itself sends equal payloads of one transaction only once.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Connect and listen, yield the probe, disconnect. Raises TargetError."""
        from .listener import open_listener

        return open_listener(self, surroundings)
