"""Listens to a PostgreSQL channel instead of polling: settings of the NOTIFY probe."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..clients.jmes import check_expression
from ..ports import ProbeSettings, PushProbe, Surroundings
from .database_url import PostgresUrl
from .fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT


def _check_match(match: str) -> str:
    return check_expression(match, None)


class PostgresListenConfig(ProbeSettings):
    """Settings of the NOTIFY probe.

    The system says `NOTIFY channel, 'payload'` (or `pg_notify`, as in a trigger) where an event takes effect. The
    payload is the correlation id, or JSON that holds it. An event is there when its notification arrives,
    which is after the commit; each notification is one effect, and they come in the order of the commits.
    PostgreSQL itself sends equal payloads of one transaction only once.
    """

    kind: Literal["postgres-listen"]
    url: Annotated[
        PostgresUrl,
        Field(description="address of the primary, such as postgresql://reader@localhost/shop?sslmode=require"),
    ]
    channel: Annotated[str, Field(min_length=1, max_length=63, description="channel to listen to, in its own case")]
    match: Annotated[
        Annotated[str, AfterValidator(_check_match)],
        Field(description="JMESPath over a JSON payload: the correlation id; default: where CloudEvents have it"),
    ] = WHERE_CLOUDEVENTS_HAVE_IT
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @property
    def pushes(self) -> bool:
        """It does."""
        return True

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Connect and listen, yield the probe, disconnect. Raises TargetError."""
        from .postgres_listener import open_listener

        return open_listener(self, surroundings)
