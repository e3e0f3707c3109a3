"""Secrets that may change while a run goes on: how settings name them, and how an adapter gets their values.

`{secrets.NAME}` stands for the value of the moment, in the settings that an adapter names in `AdapterSettings.live`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from ..errors import TargetError

PLACEHOLDER: Final = re.compile(r"\{secrets\.([^{}]*)\}")


class Secret(Protocol):
    """One of them. Its value never holds what would end a header."""

    @property
    def value(self) -> str:
        """The value of the moment."""
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Call this each time that there is another value."""
        ...

    async def renewed(self, refused: str) -> bool:
        """A target refused the value `refused`: wait for another one. False if there is none to be had now.

        However many wait, it is renewed once for all of them.
        """
        ...


Secrets = Mapping[str, Secret]
"""Those that a run has, by their names."""


def names_in(value: Any) -> Iterator[str]:
    """Names of the secrets in whatever a config says, in their order, some of them perhaps several times."""
    if isinstance(value, str):
        if "{secrets." in value:
            yield from PLACEHOLDER.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from names_in(item)


def without(text: str) -> str:
    """A text without the places where secrets go."""
    return PLACEHOLDER.sub("", text) if "{secrets." in text else text


def is_in_login(url: str) -> bool:
    """Whether secrets stand in the user and the password of an address, and nowhere else in it."""
    authority = url.partition("://")[2].partition("/")[0]
    login, at, _ = authority.rpartition("@")
    return bool(at) and len(PLACEHOLDER.findall(login)) == len(PLACEHOLDER.findall(url))


def filled(text: str, secrets: Secrets, *, quoted: bool = False) -> str:
    """A text with the values of the moment, percent-encoded if `quoted`. Raises TargetError for a secret that a run
    could not get."""
    if "{secrets." not in text:
        return text

    def value(found: re.Match[str]) -> str:
        secret = secrets.get(found[1])
        if secret is None:
            raise TargetError(f"it needs the secret {found[1]!r}, which could not be had; look after that first")
        return quote(secret.value, safe="") if quoted else secret.value

    return PLACEHOLDER.sub(value, text)
