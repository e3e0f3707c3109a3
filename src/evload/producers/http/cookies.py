"""The cookies of each user who sends requests to one address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...clients.cookies import CookieJar
from ...clients.web import Endpoint
from ...clock import Clock
from ...model.travel import Request

_KEPT_AS: Final = "cookies"
"""In the memory of a user. All producers share it, as a browser does: cookies go by host, whatever the port."""


class Cookies:
    """Puts what a user's jar has for a request into its head, and what an answer sets into the jar."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._host = endpoint.host.lower()
        self._secure = endpoint.secure
        self._clock = clock

    def line(self, request: Request, target: str) -> bytes:
        """The line of a request's head, to path and query as they are sent; empty: there is none."""
        jar = None if request.memory is None else request.memory.get(_KEPT_AS)
        found = "" if jar is None else jar.header(self._host, target, self._clock.now_ns(), secure=self._secure)
        # As the bytes that came.
        return f"cookie: {found}\r\n".encode("latin-1") if found else b""

    def take(self, request: Request, target: str, headers: Sequence[tuple[bytes, bytes]], at_ns: int) -> None:
        """Keep what the answer to a request sets."""
        memory = request.memory
        lines = [
            value.decode("latin-1") for name, value in headers if len(name) == 10 and name.lower() == b"set-cookie"
        ]
        if not lines or memory is None:
            return
        jar = memory.get(_KEPT_AS)
        if jar is None:
            jar = memory[_KEPT_AS] = CookieJar()
        jar.take(lines, self._host, target, at_ns, self._clock.wall(at_ns))
