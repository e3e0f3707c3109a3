"""Asks an HTTP read model about one event or many: settings of the HTTP probe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ..clients.jmes import check_expression
from ..clients.web import Statuses, Url, check_header, check_method, parse_url
from ..ports import AdapterSettings, Probe, ProbeSettings, Surroundings
from ..units import Duration, Size

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDERS: Final = ("correlation_id", "capture")
_BULK: Final = 500


class IdsInBody(AdapterSettings):
    """The ids go into a JSON body, as a list under `at`."""

    place: Annotated[Literal["body"], Field(alias="in")]
    at: Annotated[
        str, Field(pattern=r"^[^.]+(\.[^.]+)*$", description="field that holds the list, such as ids or query.ids")
    ] = "ids"


class IdsInQuery(AdapterSettings):
    """The ids go into one query parameter, joined by `separator`."""

    place: Annotated[Literal["query"], Field(alias="in")]
    name: Annotated[str, Field(min_length=1, description="query parameter")] = "ids"
    separator: Annotated[str, Field(min_length=1, description="what stands between two ids")] = ","


class HttpProbeConfig(ProbeSettings):
    """Settings of the HTTP probe.

    Without `ids` each read asks about one event, whose id stands in `url` as `{correlation_id}` or
    `{capture}`. With `ids` a read asks about up to `bulk` events; `items` and `id` then find the events in
    the answer, and the other expressions see each of them as `item`. An event whose id isn't in the list is
    absent. One whose id is there several times has had as many effects; if there is an `effects`
    expression, the figures add up.
    """

    kind: Literal["http"]
    ids: Annotated[
        Annotated[IdsInBody | IdsInQuery, Field(discriminator="place")] | None,
        Field(description="where the ids of a bulk read go"),
    ] = None
    by: Annotated[
        Literal["correlation_id", "capture"],
        Field(description="what a bulk read asks for: our id, or the one that the producer captured"),
    ] = "correlation_id"
    url: Annotated[Url, Field(description="address of the read model, with {correlation_id} or {capture}")]
    method: Annotated[str | None, Field(description="HTTP method; GET, or POST where ids go into the body")] = None
    headers: Annotated[Mapping[str, str], Field(description="further headers")] = {}
    timeout: Annotated[Duration, Field(ge=1_000_000, description="longest wait for an answer")] = 5_000_000_000
    expect: Annotated[
        Statuses, Field(description="statuses whose answers say something; any other is a failed read")
    ] = ("2xx", "404")
    max_body: Annotated[Size, Field(ge=1, description="a longer answer is a failed read")] = 8 << 20
    items: Annotated[str | None, Field(description="JMESPath: the list of events in a bulk answer")] = None
    id: Annotated[str, Field(description="JMESPath within an item: its id")] = "id"
    visible: Annotated[
        str | None,
        Field(description="JMESPath: is the event visible? default: status 200, or its id in the list"),
    ] = None
    effects: Annotated[str | None, Field(description="JMESPath: how many side effects the event has had")] = None
    replica: Annotated[str | None, Field(description="JMESPath: which replica answered")] = None
    position: Annotated[str | None, Field(description="JMESPath: a number that grows in order of application")] = None
    consumed_at: Annotated[str | None, Field(description="JMESPath: when a worker took the event up")] = None
    processed_at: Annotated[str | None, Field(description="JMESPath: when a worker was done with it")] = None
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the read model's certificate")] = True

    @property
    def asks_by_capture(self) -> bool:
        return self.by == "capture" if self.ids is not None else "{capture}" in self.url

    @model_validator(mode="before")
    @classmethod
    def _bulk_follows_ids(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("ids") is not None and "bulk" not in values:
            return {**values, "bulk": _BULK}
        return values

    @field_validator("url")
    @classmethod
    def _url_asks_for_an_id(cls, url: str, info: ValidationInfo) -> str:
        names = _PLACEHOLDER.findall(parse_url(url).target)
        for name in names:
            if name not in _PLACEHOLDERS:
                raise ValueError(f"unknown placeholder {{{name}}} in url; known: {{correlation_id}} and {{capture}}")
        if "ids" not in info.data:
            return url
        if info.data["ids"] is not None and names:
            raise ValueError(
                f"a bulk read has many ids, but url holds {{{names[0]}}}; leave it out, or leave ids out"
            )
        if info.data["ids"] is None and not names:
            raise ValueError("url asks for no event; put {correlation_id} or {capture} into it, or add ids")
        return url

    @field_validator("method")
    @classmethod
    def _method_can_be_sent(cls, method: str | None) -> str | None:
        return None if method is None else check_method(method)

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in headers.items():
            check_header(name, value)
        return headers

    @field_validator("expect")
    @classmethod
    def _failures_stay_failures(cls, expect: tuple[str, ...]) -> tuple[str, ...]:
        for status in expect:
            if status[0] == "5" or status == "429":
                raise ValueError(f"status {status} says nothing about an event; leave it out of expect")
        return expect

    @field_validator("items", "visible", "effects", "replica", "position", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None:
            return None
        bulk = info.data.get("ids") is not None and info.field_name != "items"
        return check_expression(
            text, ("status", "headers", "body", "item") if bulk else ("status", "headers", "body")
        )

    @field_validator("id")
    @classmethod
    def _id_compiles(cls, text: str) -> str:
        return check_expression(text, None)

    @model_validator(mode="after")
    def _bulk_is_whole(self) -> HttpProbeConfig:
        if self.ids is not None and self.items is None:
            raise ValueError("ids without items; say with items where the answer has its list, such as body.items")
        if self.ids is None:
            for name in ("items", "id", "by"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} without ids; add ids for a bulk read, or leave {name} out")
            if self.bulk != 1:
                raise ValueError(f"bulk is {self.bulk}, but a read asks for one id; add ids, or leave bulk out")
        return self

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Try the address, yield the probe. Raises TargetError."""
        from .http_reader import open_reader

        return open_reader(self, surroundings)
