"""Listens to server-sent events instead of polling: settings of the SSE probe."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ..clients.jmes import check_expression
from ..clients.web import Url
from ..ports import ProbeSettings, PushProbe, Surroundings
from ..units import Duration
from .fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT, ConsumedAt, Position, ProcessedAt, Version
from .http_settings import HttpTargetSettings, placeholders_in


class SseProbeConfig(HttpTargetSettings, ProbeSettings):
    """Settings of the SSE probe.

    The system keeps a stream of server-sent events open and sends one where an event takes effect. Its data is the
    correlation id, or JSON that holds it. An event is there when its message arrives; each message is one
    effect. All expressions look at the JSON data.

    When the connection ends, the probe connects again, after as long as the server asks for with `retry`, and with
    the Last-Event-ID. What the server says meanwhile is missed for good, unless it replays it: then say with
    `replays` how long it may take to do so. What arrives within that time may have been visible ever since the cut,
    and after it moments are exact again. Replaying needs an `id` in every message: those without one are sent
    again and count twice. HTTP 204 means that there is no more, and ends it.

    Give `heartbeat` if the server says something (a comment is enough) at least so often. Only then is a connection
    that died without a word noticed for certain; otherwise TCP's keep-alive needs up to 20 s for it.
    """

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
    def pushes(self) -> bool:
        """It does."""
        return True

    @field_validator("url")
    @classmethod
    def _url_is_no_template(cls, url: str) -> str:
        placeholders_in(url, ())
        return url

    @field_validator("match", "visible", "position", "version", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, None)

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Connect, yield the probe, disconnect. Raises TargetError."""
        from .sse_listener import open_listener

        return open_listener(self, surroundings)
