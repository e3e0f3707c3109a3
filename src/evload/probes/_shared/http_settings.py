"""What probes that ask over HTTP can be told in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from ...clients.proxies import ProxyKey
from ...clients.web import check_headers, parse_url
from ...model.statuses import Statuses
from ...spi.context import AdapterSettings, AnswerTimeout
from ...units import Size

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def _failures_stay_failures(expect: tuple[str, ...]) -> tuple[str, ...]:
    for status in expect:
        if status[0] == "5" or status == "429":
            raise ValueError(f"status {status} says nothing about an event; leave it out of expect")
    return expect


ReadStatuses = Annotated[
    Statuses,
    AfterValidator(_failures_stay_failures),
    Field(description="statuses whose answers say something; any other is a failed read"),
]
MaxBody = Annotated[Size, Field(ge=1, description="a longer answer is a failed read")]


class HttpTargetSettings(AdapterSettings):
    """How an address is called."""

    live: ClassVar[frozenset[str]] = frozenset({"headers"})

    headers: Annotated[Mapping[str, str], AfterValidator(check_headers), Field(description="further headers")] = {}
    timeout: AnswerTimeout = 5_000_000_000
    proxy: ProxyKey = None
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the read model's certificate")] = True


def placeholders_in(url: str, known: tuple[str, ...]) -> list[str]:
    """Names of the placeholders in a url's path and query. Raises ValueError for one that isn't known."""
    names = _PLACEHOLDER.findall(parse_url(url).target)
    for name in names:
        if name not in known:
            listed = " and ".join(f"{{{known_name}}}" for known_name in known)
            cure = f"known: {listed}" if known else "write %7B and %7D for braces"
            raise ValueError(f"unknown placeholder {{{name}}} in url; {cure}")
    return names
