"""Asks a MySQL or MariaDB database about many events at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import Probe
from .settings import MysqlProbeSettings


class MysqlProbeConfig(MysqlProbeSettings):
    """Settings of the MySQL probe.

    `:ids` is a list, as in `WHERE correlation_id IN (:ids)`. Every query is a read-only transaction of its own,
    and the server ends it at `statement_timeout`. The address takes the parameters `ssl-mode` (DISABLED, which
    is the default, REQUIRED, VERIFY_CA or VERIFY_IDENTITY), `ssl-ca` and `socket` as the server's own client does.
    But where TLS is asked for the certificate is checked: with REQUIRED and no `ssl-ca` against the authorities of
    the system.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect and ask once, yield the probe, disconnect. Raises TargetError."""
        from .._shared.sql_reader import reading
        from .connection import MysqlDatabase

        return reading(self, MysqlDatabase(self, surroundings.base_dir, surroundings.remark), surroundings)
