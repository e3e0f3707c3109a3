"""Settings of the HTTP probe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ...clients.answer_tags import SEEN, TAGGED, TagName, check_tags
from ...clients.credentials.headers import check_alone, held
from ...clients.jmes import check_expression
from ...clients.web import Url, check_method, reach_of, unchecked
from ...model.tags import MOST
from ...spi.context import AdapterSettings, Capabilities
from ...spi.guard import Reach
from .._shared.asked_ids import AskedBy
from .._shared.fact_expressions import ConsumedAt, Ended, Position, ProcessedAt, Replica, Version, told_by
from .._shared.http_settings import HttpTargetSettings, MaxBody, ReadStatuses, placeholders_in
from .._shared.looked_into import LookedInto
from .id_query import IdQuery

_IN_HEADER: Final = re.compile(r"\{(\w+)\}")
_PLACEHOLDERS: Final = ("correlation_id", "capture")
_BULK: Final = 500


class IdsInBody(AdapterSettings):
    """The ids go into a JSON body, as a list under `at`."""

    place: Annotated[Literal["body"], Field(alias="in")]
    at: Annotated[
        str, Field(pattern=r"^[^.]+(\.[^.]+)*$", description="field that holds the list, such as ids or query.ids")
    ] = "ids"


class IdsInQuery(AdapterSettings):
    """The ids go into the query: into one parameter, joined by `separator`, or into a parameter each.

    A read asks for no more ids than have room in the 8 KiB that servers take of a request, whatever `bulk` says.
    """

    place: Annotated[Literal["query"], Field(alias="in")]
    name: Annotated[str, Field(min_length=1, description="query parameter")] = "ids"
    separator: Annotated[str, Field(min_length=1, description="what stands between two ids")] = ","
    repeat: Annotated[bool, Field(description="a parameter for each id instead: id=a&id=b")] = False

    @model_validator(mode="after")
    def _one_way(self) -> IdsInQuery:
        if self.repeat and "separator" in self.model_fields_set:
            raise ValueError("separator with repeat, which has nothing between two ids; leave one of them out")
        return self


class HttpProbeSettings(HttpTargetSettings, LookedInto):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["http"]
    ids: Annotated[
        Annotated[IdsInBody | IdsInQuery, Field(discriminator="place")] | None,
        Field(description="where the ids of a bulk read go"),
    ] = None
    by: AskedBy = "correlation_id"
    url: Annotated[Url, Field(description="address of the read model, with {correlation_id} or {capture}")]
    method: Annotated[str | None, Field(description="HTTP method; GET, or POST where ids go into the body")] = None
    expect: ReadStatuses = ("2xx", "404")
    max_body: MaxBody = 8 << 20
    items: Annotated[str | None, Field(description="JMESPath: the list of events in a bulk answer")] = None
    id: Annotated[str, Field(description="JMESPath within an item: its id")] = "id"
    visible: Annotated[
        str | None,
        Field(description="JMESPath: is the event visible? default: status 200, or its id in the list"),
    ] = None
    ended: Ended = None
    effects: Annotated[str | None, Field(description="JMESPath: how many side effects the event has had")] = None
    replica: Replica = None
    position: Position = None
    version: Version = None
    consumed_at: ConsumedAt = None
    processed_at: ProcessedAt = None
    tag: Annotated[Mapping[TagName, str], Field(max_length=MOST, description=TAGGED)] = {}

    def waiting(self, until: str | None, within_ns: int, captures: Mapping[str, str]) -> Self:
        roots = ("status", "headers", "body") if self.ids is None else ("status", "headers", "body", "item")
        for text in captures.values():
            check_expression(text, roots)
        changes: dict[str, Any] = self.waited(within_ns)
        if until is not None:
            check_expression(until, roots)
            # What isn't there yet is mostly a 404, whose body needn't be JSON.
            changes["visible"] = until if self.ids is not None else f"status == `200` && ({until})"
        return self._asked_by_a_step(changes, captures)

    @property
    def reach(self) -> Reach:
        return reach_of(self.url)

    @property
    def remarks(self) -> Sequence[str]:
        return unchecked(self.verify, self.url)

    @property
    def capabilities(self) -> Capabilities:
        tells = told_by(self, "ended", "effects", "position", "version", "consumed_at", "processed_at", "replica")
        if self.ids is not None:
            # A list that has an event twice tells its effects without an expression.
            tells |= {"effects"}
            return Capabilities(
                tells=tells, tags=frozenset(self.tag), asks_by_capture=self.by == "capture", counts_bytes=True
            )
        texts = (self.url, *self.headers.values())
        by_capture = any("{capture}" in text for text in texts)
        return Capabilities(
            tells=tells, tags=frozenset(self.tag), asks_by_capture=by_capture, begins_many=True, counts_bytes=True
        )

    @model_validator(mode="before")
    @classmethod
    def _bulk_follows_ids(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("ids") is None:
            return values
        bulk, room = values.get("bulk", _BULK), _room_in_query(values)
        return {**values, "bulk": min(bulk, room) if room is not None and type(bulk) is int else bulk}

    @field_validator("headers")
    @classmethod
    def _headers_ask_for_known_ids(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for header, value in headers.items():
            if held(value):
                check_alone(header, value)
            for name in _IN_HEADER.findall(value):
                if name not in _PLACEHOLDERS:
                    raise ValueError(
                        f"unknown placeholder {{{name}}} in the header {header!r}; "
                        "known: {correlation_id} and {capture}"
                    )
        return headers

    @field_validator("url")
    @classmethod
    def _url_asks_for_an_id(cls, url: str, info: ValidationInfo) -> str:
        names = placeholders_in(url, _PLACEHOLDERS)
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

    @field_validator(
        "items", "visible", "ended", "effects", "replica", "position", "version", "consumed_at", "processed_at"
    )
    @classmethod
    def _expression_compiles(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None:
            return None
        bulk = info.data.get("ids") is not None and info.field_name != "items"
        return check_expression(
            text, ("status", "headers", "body", "item") if bulk else ("status", "headers", "body")
        )

    @field_validator("tag")
    @classmethod
    def _tags_compile(cls, tags: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        return check_tags(tags, SEEN if info.data.get("ids") is None else (*SEEN, "item"))

    @field_validator("id")
    @classmethod
    def _id_compiles(cls, text: str) -> str:
        return check_expression(text, None)

    @model_validator(mode="after")
    def _bulk_is_whole(self) -> HttpProbeSettings:
        if self.ids is not None and self.items is None:
            raise ValueError("ids without items; say with items where the answer has its list, such as body.items")
        if self.ids is not None:
            for header, value in self.headers.items():
                if _IN_HEADER.search(value):
                    raise ValueError(
                        f"a bulk read has many ids, but the header {header!r} is made of one; "
                        "leave it out, or leave ids out"
                    )
        if self.ids is None:
            for name in ("items", "id", "by"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} without ids; add ids for a bulk read, or leave {name} out")
            if self.bulk != 1:
                raise ValueError(f"bulk is {self.bulk}, but a read asks for one id; add ids, or leave bulk out")
        return self


def query_of(config: HttpProbeSettings) -> IdQuery | None:
    """Where ids stand in the query; None if they don't."""
    return _query(config.ids, config.url, config.headers) if isinstance(config.ids, IdsInQuery) else None


def _query(ids: IdsInQuery, url: str, headers: Mapping[str, str]) -> IdQuery:
    return IdQuery(url, ids.name, None if ids.repeat else ids.separator, headers)


def _room_in_query(values: Mapping[str, Any]) -> int | None:
    """How many ids have room in the query; None if they go elsewhere, or what is wrong is said by others."""
    headers = values.get("headers", {})
    if not isinstance(headers, Mapping) or not all(
        isinstance(text, str) for each in headers.items() for text in each
    ):
        return None
    try:
        return _query(IdsInQuery.model_validate(values["ids"]), str(values.get("url")), headers).most_ids
    except (ValidationError, ValueError):
        return None
