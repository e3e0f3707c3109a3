"""Where the next page of a feed is: at a cursor, or at an address that the feed gave. No I/O."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from yarl import URL

from ...clients.web import encode_target, parse_url
from .._shared.fact_expressions import BadAnswer
from .._shared.http_session import origin_of

_WHOLE: Final = re.compile(r"https?://", re.IGNORECASE)


class Addresses:
    """The pages of one feed. A cursor that is an address is kept as a whole one."""

    def __init__(self, url: str) -> None:
        """`url` holds `{cursor}`."""
        self._origin = origin_of(url)
        self._around = [encode_target(part) for part in parse_url(url).target.split("{cursor}")]
        self._path = self._around[0].partition("?")[0]

    def of(self, cursor: str) -> URL:
        """The address of the page at a cursor."""
        if _WHOLE.match(cursor):
            return URL(cursor, encoded=True)
        return URL(self._origin + quote(cursor, safe="").join(self._around), encoded=True)

    def cursor_of(self, following: str, cursor: str) -> str:
        """What comes after a page at `cursor`, where the feed says `following`. Raises BadAnswer."""
        if following == cursor or not self._is_address(following):
            return following
        try:
            address = self.of(cursor).join(URL(encode_target(following.partition("#")[0]), encoded=True))
            own = URL(self._origin)
            elsewhere = (address.scheme, address.host, address.port) != (own.scheme, own.host, own.port)
        except ValueError:
            raise BadAnswer(f"next gives {following[:80]!r}, which is no address") from None
        if elsewhere:
            to = address.origin()
            raise BadAnswer(f"next leads to {to}, and headers that are meant for {own} are sent nowhere else")
        return self._origin + address.raw_path_qs

    def _is_address(self, text: str) -> bool:
        """Whether it is one and not a cursor: cursors in base64 may begin with a slash too."""
        if _WHOLE.match(text) or text.startswith("?"):
            return True
        return text.startswith("/") and ("?" in text or (len(self._path) > 1 and text.startswith(self._path)))
