"""Settings of sinks that tell somebody over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from ...clients.web import check_headers
from ...spi.sink import SinkSettings
from ...units import NS_PER_S, Duration


class HttpSettings(SinkSettings):
    """Of a sink that tells somebody over HTTP."""

    headers: Annotated[
        Mapping[str, str], AfterValidator(check_headers), Field(description="further headers, such as a token")
    ] = {}
    timeout: Annotated[Duration, Field(ge=10_000_000, description="longest wait for an answer")] = 10 * NS_PER_S
