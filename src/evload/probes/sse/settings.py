"""Settings of the SSE probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...clients.jmes import check_expression
from ...clients.web import Url, reach_of, unchecked
from ...spi.context import Capabilities
from ...spi.guard import Reach
from ...spi.probe import ProbeSettings
from ...units import Duration
from .._shared.fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT, ConsumedAt, Position, ProcessedAt, Version, told_by
from .._shared.http_settings import HttpTargetSettings, placeholders_in


class SseProbeSettings(HttpTargetSettings, ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["sse"]
    url: Annotated[Url, Field(description="address of the stream")]
    match: Annotated[
        str, Field(description="JMESPath over the JSON data: the correlation id; default: where CloudEvents have it")
    ] = WHERE_CLOUDEVENTS_HAVE_IT
    event: Annotated[str | None, Field(min_length=1, description="only messages of this event type")] = None
    visible: Annotated[
        str | None, Field(description="JMESPath: does the message show its event? default: it does")
    ] = None
    position: Position = None
    version: Version = None
    consumed_at: ConsumedAt = None
    processed_at: ProcessedAt = None
    replays: Annotated[
        Duration | None,
        Field(gt=0, description="the server replays what was missed, in this time; default: it doesn't"),
    ] = None
    heartbeat: Annotated[
        Duration | None, Field(ge=1_000_000, description="longest silence of a server that is well")
    ] = None
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @property
    def reach(self) -> Reach:
        return reach_of(self.url)

    @property
    def remarks(self) -> Sequence[str]:
        return unchecked(self.verify, self.url)

    @property
    def capabilities(self) -> Capabilities:
        # Each sighting is a side effect.
        told = told_by(self, "position", "version", "consumed_at", "processed_at")
        return Capabilities(pushes=True, tells=told | {"effects"})

    @field_validator("url")
    @classmethod
    def _url_is_no_template(cls, url: str) -> str:
        placeholders_in(url, ())
        return url

    @field_validator("match", "visible", "position", "version", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, None)
