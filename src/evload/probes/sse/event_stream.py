"""Server-sent events: from the bytes of a stream, however they are cut, to events. No I/O.

As the HTML standard has it (WHATWG, section 9.2.6), but for one thing that browsers do too: the last event id
outlives the connection, also if the next one begins with an event that has none.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = b"\r"
_LF: Final = b"\n"
_LONGEST_RETRY_MS: Final = 10**9


class ServerEvent(NamedTuple):
    """One event. `id` is None unless the event itself has one."""

    name: str
    data: str
    id: str | None


class TooLong(ValueError):
    """An event is longer than can be right. The text says so."""


class EventStream:
    """One connection's stream.

    last_event_id  to be sent when connecting again; empty if there is none
    retry_ms       how long the server wants to be left alone before that, None if it didn't say
    """

    def __init__(self, last_event_id: str = "", longest: int = 8 << 20) -> None:
        """`longest` is the most bytes that one event may have."""
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._longest = longest
        self._begun = False
        self._after_cr = False
        self._line: list[bytes] = []
        """The pieces of a line that goes on, `_unended` bytes."""
        self._unended = 0
        self._size = 0
        """Of the data of the event so far."""
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take bytes, give the events that they complete. Raises TooLong."""
        events: list[ServerEvent] = []
        if not chunk:
            return events
        if self._after_cr:
            # The second half of a CRLF that was cut in two ends no line of its own.
            chunk = chunk.removeprefix(_LF)
        self._after_cr = chunk.endswith(_CR)
        *lines, rest = chunk.replace(b"\r\n", _LF).replace(_CR, _LF).split(_LF)
        for line in lines:
            if self._line:
                line = b"".join([*self._line, line])
                self._line.clear()
                self._unended = 0
            event = self._end_of(line)
            if event is not None:
                events.append(event)
        if rest:
            self._line.append(rest)
            self._unended += len(rest)
        self._check()
        return events

    def _check(self) -> None:
        if self._size + self._unended > self._longest:
            raise TooLong(f"an event is longer than {self._longest} bytes")

    def _end_of(self, line: bytes) -> ServerEvent | None:
        """A whole line; the event, if it was the line that ends one."""
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            return self._end_of_event()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(line)
            self._check()
        elif name == "event":
            self._name = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value) if len(value) < 10 else _LONGEST_RETRY_MS
        return None

    def _end_of_event(self) -> ServerEvent | None:
        event = None
        if self._id is not None:
            self.last_event_id = self._id
        if self._data:
            event = ServerEvent(self._name or "message", "\n".join(self._data), self._id)
        self._name, self._id, self._size = "", None, 0
        self._data.clear()
        return event
