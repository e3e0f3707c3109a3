"""Settings of the webhook probe."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from ...clients.host_port import ListenAddress
from ...clients.jmes import check_expression
from ...clients.web import check_header
from ...spi.context import SECRET, AdapterSettings, Capabilities
from ...spi.guard import NOBODY, Reach
from ...spi.probe import ProbeSettings
from ...units import Size
from .._shared.fact_expressions import ConsumedAt, Position, ProcessedAt, Version, told_by

_PLACES: Final = (
    'body.correlationid || headers."ce-correlationid" || body.correlation_id || body.detail.correlationid'
    " || body.detail.correlation_id || body.data.correlationid || body.data.correlation_id || body.id"
)


class Secret(AdapterSettings):
    """A header that only the system knows. A delivery without it is refused."""

    header: Annotated[str, Field(description="its name, such as X-Token")]
    value: Annotated[
        str,
        Field(
            min_length=1,
            description='its value, best from the environment: "${HOOK_TOKEN}"',
            json_schema_extra=SECRET,
        ),
    ]

    @field_validator("header")
    @classmethod
    def _header_can_be_sent(cls, header: str) -> str:
        check_header(header, "")
        return header


class WebhookProbeSettings(ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["webhook"]
    listen: Annotated[
        ListenAddress,
        Field(
            description="address and port, such as 127.0.0.1:8099, or 0.0.0.0:8099 for other machines; port 0: any"
        ),
    ]
    path: Annotated[str, Field(pattern=r"^/[^?#]*$", description="path that the system calls")] = "/"
    secret: Annotated[Secret | None, Field(description="header that a delivery must have")] = None
    max_body: Annotated[Size, Field(ge=1, description="a longer delivery is refused")] = 8 << 20
    match: Annotated[
        str,
        Field(description="JMESPath over {headers, body}: the correlation id; default: where CloudEvents have it"),
    ] = _PLACES
    visible: Annotated[
        str | None, Field(description="JMESPath: does the delivery show its event? default: it does")
    ] = None
    position: Position = None
    version: Version = None
    consumed_at: ConsumedAt = None
    processed_at: ProcessedAt = None
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @property
    def reach(self) -> Reach:
        return NOBODY

    @property
    def capabilities(self) -> Capabilities:
        # Each sighting is a side effect.
        told = told_by(self, "position", "version", "consumed_at", "processed_at")
        return Capabilities(pushes=True, tells=told | {"effects"})

    @field_validator("match", "visible", "position", "version", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, ("headers", "body"))
