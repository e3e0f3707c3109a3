"""What Redis sends (RESP2), taken apart as it arrives. No I/O.

Not by the SDK, whose parser makes a task wait for each reply by itself: here one call takes all that has arrived, and
each reply belongs to the command that was sent so many places before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from .bounded import TooLong
from .redis_answers import Nonsense

_EACH: Final = 80
"""What a value of an array costs beside its bytes, as they are counted."""
_DEPTH: Final = 16
"""Arrays within arrays; no reply of Redis's has so many."""
_LONGEST_LINE: Final = 1 << 16
_SHOWN: Final = 80
"""Most characters of what came."""
_BULK, _ARRAY, _NUMBER, _TEXT, _ERROR = b"$*:+-"


class ErrorReply(NamedTuple):
    """Redis's answer to what it won't do, in its own words."""

    text: str


Reply = Any
"""bytes, int, None, ErrorReply, or a list of such."""


class Replies:
    """Takes replies apart. What one of them may hold, in bytes, is limited."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._open: list[tuple[int, list[Reply]]] = []
        """Arrays that are under way: how many values they have, and those that have come."""
        self._cost = 0
        """Of the reply that is under way, without the rest."""

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete with this. Raises Nonsense or TooLong, after which nothing can be told."""
        if self._rest:
            data = self._rest + data
        replies: list[Reply] = []
        at, size, opened = 0, len(data), self._open
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                if size - at > _LONGEST_LINE:
                    raise _nonsense(data[at:])
                break
            kind = data[at] if end > at else 0
            value: Reply
            if kind == _BULK:
                length = _whole(data, at, end)
                if length < 0:
                    value, stop = None, end + 2
                else:
                    stop = end + 4 + length
                    if self._cost + length > self._limit:
                        raise _too_long(self._limit)
                    if stop > size:
                        break
                    value = data[end + 2 : stop - 2]
            elif kind == _TEXT:
                value, stop = data[at + 1 : end], end + 2
            elif kind == _NUMBER:
                value, stop = _whole(data, at, end), end + 2
            elif kind == _ERROR:
                value, stop = ErrorReply(" ".join(data[at + 1 : end].decode("utf-8", "replace").split())), end + 2
            elif kind == _ARRAY:
                length, stop = _whole(data, at, end), end + 2
                if length > 0:
                    if len(opened) >= _DEPTH:
                        raise _nonsense(data[at:])
                    opened.append((length, []))
                    self._cost += _EACH
                    at = stop
                    continue
                value = None if length < 0 else []
            else:
                raise _nonsense(data[at:])
            if opened:
                self._cost += _EACH + stop - at
                if self._cost > self._limit:
                    raise _too_long(self._limit)
            at = stop
            while opened:
                length, items = opened[-1]
                items.append(value)
                if len(items) < length:
                    break
                opened.pop()
                value = items
            else:
                replies.append(value)
                self._cost = 0
        self._rest = data[at:]
        return replies


def command(*parts: bytes | str | int) -> bytes:
    """A command as Redis is sent it."""
    encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(encoded) + b"".join(map(bulk, encoded))


def bulk(part: bytes) -> bytes:
    """One part of a command."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


def fields_of(reply: Reply, asked: str) -> dict[bytes, Reply]:
    """A list of names and values in turn, as most of XINFO's. Raises Nonsense."""
    if not isinstance(reply, list) or len(reply) % 2 or not all(isinstance(name, bytes) for name in reply[::2]):
        raise Nonsense(f"{asked} wasn't answered as Redis does")
    return dict(zip(reply[::2], reply[1::2], strict=True))


def first_error(replies: Iterable[Reply]) -> ErrorReply | None:
    """The first of them that is an error."""
    return next((reply for reply in replies if isinstance(reply, ErrorReply)), None)


def _whole(data: bytes, at: int, end: int) -> int:
    digits = data[at + 1 : end]
    # int() takes more than Redis ever says: spaces, underscores, any number of digits.
    if len(digits) > 20 or not (digits[1:] if digits[:1] == b"-" else digits).isdigit():
        raise _nonsense(data[at:])
    return int(digits)


def _nonsense(came: bytes) -> Nonsense:
    line = came[:_SHOWN].partition(b"\r\n")[0]
    return Nonsense(f"what answers there isn't Redis: it says {line!r}")


def _too_long(limit: int) -> TooLong:
    return TooLong(f"an answer is longer than {limit} bytes")
