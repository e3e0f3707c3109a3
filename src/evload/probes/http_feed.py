"""Follows an HTTP endpoint that lists what is new since a cursor: settings of the feed probe."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from ..clients.jmes import check_expression
from ..clients.web import Url
from ..ports import ProbeSettings, PushProbe, Surroundings
from ..units import Duration
from .fact_expressions import ConsumedAt, Position, ProcessedAt
from .http_settings import HttpTargetSettings, MaxBody, ReadStatuses, placeholders_in

_ANSWER: Final = ("status", "headers", "body")
_ABOUT_ANSWER: Final = ("items", "next", "more")


class HttpFeedConfig(HttpTargetSettings, ProbeSettings):
    """Settings of the feed probe.

    The endpoint is read once for everybody: every `every`, and then page after page to its end. An event became
    visible between the start of the last request that came to the end without it and the end of the one
    that shows it. A request that fails is made again with the same cursor, so that brackets get wider and
    nothing is missed. Status 429, and 503 with Retry-After (in seconds), are waited out.

    A page is the last one if `next` is null or the cursor that was sent, or if it has no items. Where that isn't so
    (empty pages in the middle, or always news by the time of the next request), `more` says it.

    An event that is listed again is not a new effect. `effects` tells how many it has had; the largest
    figure counts. Where each entry of the feed is an effect, write a constant, such as "`1`": those add up, also
    over pages, but not when the same page is read again.
    """

    kind: Literal["http-feed"]
    url: Annotated[Url, Field(description="address of the feed, such as http://host/changes?since={cursor}")]
    start: Annotated[
        str | int,
        Field(description="cursor to begin with, as the service understands it; what is listed then is history"),
    ] = ""
    every: Annotated[Duration, Field(ge=1_000_000, description="time between two looks at the feed")] = 100_000_000
    max_pages: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="most pages in one look, the first one at all that was there before"),
    ] = 100
    expect: ReadStatuses = ("2xx",)
    max_body: MaxBody = 8 << 20
    items: Annotated[str, Field(description="JMESPath: the list of entries in an answer")]
    id: Annotated[str, Field(description="JMESPath within an entry: the correlation id")] = "id"
    next: Annotated[str, Field(description="JMESPath: the next cursor; null or the same one if there is nothing new")]
    more: Annotated[
        str | None, Field(description="JMESPath: does another page follow at once? default: as `next` and items say")
    ] = None
    visible: Annotated[
        str | None, Field(description="JMESPath: is the event of `item` visible? default: its entry is there")
    ] = None
    effects: Annotated[
        str | None, Field(description="JMESPath: how many side effects the event of `item` has had, or a constant")
    ] = None
    position: Position = None
    consumed_at: ConsumedAt = None
    processed_at: ProcessedAt = None
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @property
    def pushes(self) -> bool:
        """It does, as far as the reading plan is concerned: nothing is asked about single events."""
        return True

    @field_validator("url")
    @classmethod
    def _url_takes_the_cursor(cls, url: str) -> str:
        if not placeholders_in(url, ("cursor",)):
            raise ValueError("url holds no {cursor}, so it would list the same again and again; put {cursor} into it")
        return url

    @field_validator("items", "next", "more", "visible", "effects", "position", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None:
            return None
        return check_expression(text, _ANSWER if info.field_name in _ABOUT_ANSWER else (*_ANSWER, "item"))

    @field_validator("id")
    @classmethod
    def _id_compiles(cls, text: str) -> str:
        return check_expression(text, None)

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Read on to the end of the feed, yield the probe. Raises TargetError."""
        from .feed_follower import open_follower

        return open_follower(self, surroundings)
