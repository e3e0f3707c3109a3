"""Publishes events as HTTP requests: CloudEvents structured, binary or batched, or the data alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from ..jmes import check_expression
from ..ports import Encoding, Producer, ProducerSettings, Surroundings
from ..units import Duration
from ..web import Statuses, Url, check_header, check_method, parse_url

Mode = Literal["structured", "binary", "batched", "plain"]


class HttpProducerConfig(ProducerSettings):
    """Settings of the HTTP producer.

    The path and query of `url`, `method` and the values of `headers` can hold an event's placeholders; what
    they put into the address is percent-encoded where it must be, but a `/` or `?` in it keeps its meaning.
    """

    kind: Literal["http"]
    mode: Annotated[
        Mode,
        Field(description="a CloudEvent in the body, in the headers, many in one body; or the data alone"),
    ] = "structured"
    url: Annotated[Url, Field(description="where to send the events")]
    method: Annotated[str, Field(description="HTTP method")] = "POST"
    headers: Annotated[Mapping[str, str], Field(description="further headers")] = {}
    expect: Annotated[Statuses, Field(description="statuses with which the target accepts an event")] = ("2xx",)
    capture: Annotated[
        str | None,
        Field(description="JMESPath over {status, headers, body}: the id that the target gave the event"),
    ] = None
    timeout: Annotated[Duration, Field(ge=1_000_000, description="longest wait for an answer")] = 10_000_000_000
    connections: Annotated[int, Field(ge=1, le=60_000, description="most connections at a time")] = 1000
    max_idle: Annotated[
        Duration,
        Field(description="an idle connection older than this is not used again; stay below the target's own limit"),
    ] = 4_000_000_000
    batch: Annotated[int, Field(ge=1, le=100_000, description="most events in one request, in mode batched")] = 100
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the target's certificate")] = True

    @field_validator("url")
    @classmethod
    def _url_fits_mode(cls, url: str, info: ValidationInfo) -> str:
        if info.data.get("mode") == "batched" and "{" in url:
            raise ValueError("url is a template, but a batch has many events; leave the placeholders out")
        return url

    @field_validator("method")
    @classmethod
    def _method_can_be_sent(cls, method: str, info: ValidationInfo) -> str:
        if "{" in method:
            if info.data.get("mode") == "batched":
                raise ValueError("method is a template, but a batch has many events; write one method")
            return method
        return check_method(method)

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        mode = info.data.get("mode")
        for name, value in headers.items():
            check_header(name, value)
            if mode == "batched" and "{" in value:
                raise ValueError(f"header {name!r} is a template, but a batch has many events; write one value")
            if mode != "plain" and (name.lower() == "content-type" or name.lower().startswith("ce-")):
                raise ValueError(f"header {name!r} is part of mode {mode}; leave it out, or use mode: plain")
        return headers

    @field_validator("capture")
    @classmethod
    def _capture_compiles(cls, capture: str | None, info: ValidationInfo) -> str | None:
        if capture is None:
            return None
        if info.data.get("mode") == "batched":
            raise ValueError("capture can't tell the events of a batch apart; use another mode, or leave it out")
        return check_expression(capture, ("status", "headers", "body"))

    def encoding(self) -> Encoding:
        """The content mode, and as extras whatever of target, method and header values holds a placeholder."""
        mode: Literal["structured", "binary", "plain"] = "structured" if self.mode == "batched" else self.mode
        texts = (parse_url(self.url).target, self.method, *self.headers.values())
        return Encoding(mode=mode, extras=tuple(text for text in texts if "{" in text))

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Open the first connection, yield the producer, settle what is left. Raises TargetError."""
        from .http_publisher import open_publisher

        return open_publisher(self, surroundings)
