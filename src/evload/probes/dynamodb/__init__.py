"""Asks a DynamoDB table about many events at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import Probe
from .settings import DynamodbProbeSettings


class DynamodbProbeConfig(DynamodbProbeSettings):
    """Settings of the DynamoDB probe.

    Items are read by their whole primary key, a hundred in one request. An eventually consistent read, which is
    the default as it is the SDK's, may meet a replica that doesn't have the item yet, as the system's own readers
    may; it costs half as much as a consistent one.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Look at the table and ask once, yield the probe, disconnect. Raises TargetError."""
        from .reader import open_reader

        return open_reader(self, surroundings)
