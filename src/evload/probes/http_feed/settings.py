"""Settings of the feed probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from ...clients.jmes import check_expression
from ...clients.web import Url, reach_of, unchecked
from ...spi.context import Capabilities
from ...spi.guard import Reach
from ...spi.probe import ProbeSettings
from ...units import Duration
from .._shared.fact_expressions import ConsumedAt, Position, ProcessedAt, told_by
from .._shared.http_settings import HttpTargetSettings, MaxBody, ReadStatuses, placeholders_in

_ANSWER: Final = ("status", "headers", "body")
_ABOUT_ANSWER: Final = ("items", "next", "more")


class HttpFeedSettings(HttpTargetSettings, ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

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
    next: Annotated[
        str, Field(description="JMESPath: the next cursor or address; null or the same one if there is nothing new")
    ]
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
    def reach(self) -> Reach:
        return reach_of(self.url)

    @property
    def remarks(self) -> Sequence[str]:
        return unchecked(self.verify, self.url)

    @property
    def capabilities(self) -> Capabilities:
        # As far as the reading plan is concerned it is told: nothing is asked about single events.
        return Capabilities(pushes=True, tells=told_by(self, "effects", "position", "consumed_at", "processed_at"))

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
