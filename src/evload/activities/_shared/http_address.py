"""Addresses of requests by which something is done, how they get there, and their JSON. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, Field

from ...clients.proxies import ProxyKey
from ...clients.web import Endpoint, parse_url, unchecked
from ...spi.activity import ActivitySettings
from ...spi.guard import Reach
from ...spi.secrets import is_in_login

_LOGIN: Final = re.compile(r"^(\w+://)([^/?#]*)@")


class Address(NamedTuple):
    """An address, and the login in it where that holds secrets that may change."""

    endpoint: Endpoint
    login: tuple[str, str] | None


def parse_address(text: str) -> Address:
    """Take it apart. Raises ValueError, `what is wrong; what would be right`."""
    if "{secrets." not in text:
        return Address(parse_url(text), None)
    if not is_in_login(text):
        raise ValueError(
            "a secret can stand in the login of an address alone; write http://user:{secrets.NAME}@host, or a header"
        )
    found = _LOGIN.match(text)
    endpoint = parse_url(_LOGIN.sub(r"\1", text, count=1))
    user, _, password = found[2].partition(":") if found else ("", "", "")
    return Address(endpoint, (user, password))


def _check(text: str) -> str:
    parse_address(text)
    return text


ActionUrl = Annotated[str, AfterValidator(_check)]
"""An http(s) address as text. Its path and query may hold placeholders, its login secrets that may change."""


class Asking(ActivitySettings):
    """For activities to inherit that make requests: how they get to the server."""

    proxy: ProxyKey = None
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the server's certificate")] = True

    @property
    def url(self) -> str:
        """The address as it is written."""
        raise NotImplementedError

    @property
    def address(self) -> Address:
        """The address, taken apart."""
        return parse_address(self.url)

    @property
    def reach(self) -> Reach:
        return Reach((self.address.endpoint.host,))

    @property
    def remarks(self) -> Sequence[str]:
        return unchecked(self.verify, self.address.endpoint.shown)


def json_body(document: Any) -> bytes:
    """A JSON text. Raises ValueError for what JSON has no way to write."""
    return json.dumps(document, allow_nan=False).encode()
