"""The query of a bulk read, and how many ids have room in it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from ...clients.web import encode_target, parse_url
from ...spi.secrets import PLACEHOLDER

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_HEAD: Final = 8192
"""What servers take of a request before its body, in bytes, if nobody told them otherwise: nginx of the first line
alone, Tomcat and Apache of all its lines."""
_OWN: Final = 512
"""Room for the method and the headers that every request has."""
_LEAST: Final = 1024
"""Long headers leave the query so much all the same: a server that takes them takes more than 8 KiB."""
_TOKEN: Final = 2048
"""Length of a token that is fetched only when the run begins: most are shorter."""
_ID: Final = 36
"""Length of a correlation id."""


def _longest(value: str) -> str:
    """A header's value, with room for what isn't known yet."""
    return PLACEHOLDER.sub("x" * _TOKEN, value)


class IdQuery:
    """Where ids stand in an address: in one parameter, or, with `separator` None, in a parameter each."""

    def __init__(self, url: str, name: str, separator: str | None, headers: Mapping[str, str]) -> None:
        address = encode_target(parse_url(url).target)
        self._start = f"{address}{'&' if '?' in address else '?'}{quote(name)}="
        # A repeated parameter is a list whose separator begins the next parameter.
        self._separator = f"&{quote(name)}=" if separator is None else quote(separator, safe=",;:")
        written = sum(len(header) + len(_longest(value).encode()) + 4 for header, value in headers.items())
        self._room = max(_HEAD - _OWN - written, _LEAST) - len(self._start)

    @property
    def most_ids(self) -> int:
        """So many correlation ids have room in one request, at least 1."""
        return max((self._room + len(self._separator)) // (_ID + len(self._separator)), 1)

    def target_of(self, keys: Sequence[str]) -> str:
        """What stands in the request line."""
        return self._start + self._separator.join([encoded(key) for key in keys])

    def portions(self, keys: Sequence[str]) -> Iterator[slice]:
        """The keys in as few requests as have room for them."""
        start, length = 0, -len(self._separator)
        for at, key in enumerate(keys):
            more = len(self._separator) + len(encoded(key))
            if length + more > self._room and at > start:
                yield slice(start, at)
                start, length = at, -len(self._separator)
            length += more
        if start < len(keys):
            yield slice(start, len(keys))


def encoded(value: str) -> str:
    """Percent-encoded; ids seldom need it."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe="")
