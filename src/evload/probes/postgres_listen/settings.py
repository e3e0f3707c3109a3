"""Settings of the NOTIFY probe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from ...clients.jmes import check_expression
from ...clients.postgres_url import PostgresUrl, reach_of_postgres
from ...spi.context import Capabilities
from ...spi.guard import Reach
from ...spi.probe import ProbeSettings
from .._shared.fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT


def _check_match(match: str) -> str:
    return check_expression(match, None)


class PostgresListenSettings(ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    live: ClassVar[frozenset[str]] = frozenset({"url"})

    kind: Literal["postgres-listen"]
    url: Annotated[
        PostgresUrl,
        Field(description="address of the primary, such as postgresql://reader@localhost/shop?sslmode=require"),
    ]
    verify: Annotated[bool, Field(description="check the server's certificate where TLS is asked for")] = True
    channel: Annotated[str, Field(min_length=1, max_length=63, description="channel to listen to, in its own case")]
    match: Annotated[
        Annotated[str, AfterValidator(_check_match)],
        Field(description="JMESPath over a JSON payload: the correlation id; default: where CloudEvents have it"),
    ] = WHERE_CLOUDEVENTS_HAVE_IT
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @property
    def reach(self) -> Reach:
        return reach_of_postgres(self.url)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(pushes=True, tells=frozenset({"effects"}))
