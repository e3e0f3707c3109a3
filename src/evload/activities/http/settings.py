"""Settings of what is done by an HTTP request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from ...clients.web import check_headers
from ...model.statuses import Statuses
from ...spi.secrets import without
from .._shared.capturing import Capturing
from .._shared.http_address import Asking, json_body

_BODIES: Final = ("json", "form", "body")


class HttpActivitySettings(Capturing, Asking):
    """A request. Its kind is its method, and what stands there the address."""

    sees: ClassVar = ("status", "headers", "body")
    method: ClassVar[str]

    headers: Annotated[Mapping[str, str], Field(description="further headers")] = {}
    expect: Annotated[Statuses, Field(description="statuses that say that it is done")] = ("2xx",)

    @property
    def url(self) -> str:
        return str(getattr(self, self.method.lower()))

    @property
    def title(self) -> str:
        return f"{self.method} {self.address.endpoint.shown}"

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in headers.items():
            if "{secrets." in value and "{" in without(value):
                raise ValueError(
                    f"the header {name!r} holds a secret and another placeholder; write a header for each of them"
                )
        return check_headers(headers)


class WithBody(HttpActivitySettings):
    """A request that may have a body."""

    document: Annotated[Any, Field(alias="json", description="JSON that is sent")] = None
    form: Annotated[Mapping[str, str] | None, Field(description="form that is sent")] = None
    body: Annotated[str | None, Field(description="text that is sent as it is")] = None

    @field_validator("document")
    @classmethod
    def _document_is_json(cls, document: Any) -> Any:
        try:
            json_body(document)
        except (TypeError, ValueError):
            raise ValueError("json holds what JSON has no way to write, such as .nan or .inf; write null") from None
        return document

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        given = [
            name for name in _BODIES if name in {"json" if f == "document" else f for f in self.model_fields_set}
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are {len(given)} bodies; keep one of them")
        return self

    @property
    def has_document(self) -> bool:
        """Whether JSON is sent, which may be null."""
        return "document" in self.model_fields_set
