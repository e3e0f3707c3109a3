"""Settings of the JSON gauge."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .._shared.http_settings import HttpGaugeSettings
from .._shared.named_values import NamedValues


class HttpJsonGaugeSettings(NamedValues, HttpGaugeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    sees: ClassVar = ("status", "headers", "body")
    example: ClassVar = "body.depth"

    kind: Literal["http-json"]
    value: Annotated[str | None, Field(description="JMESPath over {status, headers, body}: a number")] = None
