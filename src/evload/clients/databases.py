"""What clients of databases share: addresses, checked when the config is, and why one can't be asked. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..spi.guard import LOCALHOST, Reach
from ..texts import near

_CREDENTIALS: Final = re.compile(r"//.*@", re.DOTALL)
"""Up to the last @, because a password may hold what should have been escaped."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")


class Refusal(NamedTuple):
    """Why a database can't be asked, and what would be right."""

    reason: str
    cure: str


def parse_database_url(text: str, schemes: Sequence[str], example: str) -> SplitResult:
    """Take an address apart. Raises ValueError, `what is wrong; what would be right`, without the credentials."""
    shown = repr(shown_address(text))
    cure = f"write an address such as {example}"
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise ValueError(f"{shown} has no scheme; {cure}")
    if scheme not in schemes:
        close = near(scheme, schemes)
        raise ValueError(f"{shown} is no {schemes[0]} address; {f'did you mean {close[0]}://?' if close else cure}")
    if _UNPRINTABLE.search(text):
        raise ValueError(f"{shown} holds a space or a control character; write it as %20, or leave it out")
    try:
        url = urlsplit(text)
        several_hosts = "," in url.netloc
        if not several_hosts and url.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"{shown} has an unusable host or port; {cure}") from None
    if "@" not in url.netloc and "@" in url.path:
        raise ValueError(f"{shown} has a / in its user or password; write %2F for it")
    return url


def reach_of_database(text: str) -> Reach:
    """The host of an address; where it names none, or a socket, it is this machine."""
    url = urlsplit(text)
    parameters = dict(parse_qsl(url.query))
    if url.scheme == "unix" or "socket" in parameters:
        return Reach((LOCALHOST,))
    return Reach((unquote(url.hostname or parameters.get("host", LOCALHOST)),))


def shown_address(text: str) -> str:
    """The address for people: without credentials, without parameters."""
    return _CREDENTIALS.sub("//", text).partition("?")[0]
