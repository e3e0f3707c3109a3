"""What is read out of HTTP answers: the words of a refusal, the id of an event, the body that a journey wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jmespath.exceptions import JMESPathError

from ...clients import bodies
from ...clients.http_wire import GARBLED
from ...clients.jmes import Expression, NoDocument
from ...clients.web import Answer, NotJson
from ...model.travel import Download

CAPTURE_LIMIT: Final = 1 << 20
"""Longest body that is looked into, in bytes."""
DETAIL_LIMIT: Final = 1024
"""How much of the body of a refusal is kept for people, in bytes."""
CODING: Final = b"content-encoding"


class RequestAnswer(Answer):
    """The answer to the request of a journey. Its body is made readable when it is first asked for.

    size   how many bytes of the body came; more than there are in `body` means that the rest wasn't kept
    reads  the body was to be kept
    download  see `model.travel.Answer`
    """

    __slots__ = ("_packed", "_reads", "_size")

    download: Download | None = None

    def __init__(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, size: int, *, reads: bool
    ) -> None:
        # As Answer does, which takes longer: there is one for each step.
        self.status = status
        self.item = None
        self._raw_headers = headers
        self._headers = None
        self._body = body
        self._parsed = False
        self._size = size
        self._reads = reads
        self._packed = True

    def _json(self) -> Any:
        """See `Answer`. Raises NoDocument also where too little is there of the body to read it."""
        if self._packed:
            self._body = self._readable()
            self._packed = False
        return super()._json()

    def _readable(self) -> bytes:
        if not self._reads:
            raise NoDocument(f"HTTP {self.status} with a body that wasn't to be kept")
        if self._size > CAPTURE_LIMIT:
            raise self._too_long()
        try:
            body = bodies.unpacked(self._body, bodies.field(self._raw_headers, CODING), CAPTURE_LIMIT)
        except bodies.Garbled:
            raise NoDocument(f"HTTP {self.status}, but {GARBLED}") from None
        if len(body) > CAPTURE_LIMIT:
            raise self._too_long()
        return body

    def _too_long(self) -> NoDocument:
        return NoDocument(f"HTTP {self.status} with a body longer than {CAPTURE_LIMIT} bytes")


def legible(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The beginning of a body, for people."""
    return bodies.beginning(body, bodies.field(headers, CODING), bodies.field(headers, b"content-type"), DETAIL_LIMIT)


def captured(
    capture: Expression, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> tuple[str | None, str]:
    """The id found in an answer, or None and why there is none."""
    too_long = f"accepted, but the capture found nothing: the answer is longer than {CAPTURE_LIMIT} bytes"
    if len(body) >= CAPTURE_LIMIT:
        return None, too_long
    try:
        readable = bodies.unpacked(body, bodies.field(headers, CODING), CAPTURE_LIMIT)
        if len(readable) > CAPTURE_LIMIT and capture.looks_at("body"):
            return None, too_long
        answer = Answer(status, headers, readable)
        found = capture.search(answer.as_dict() if capture.whole else answer)
    except bodies.Garbled:
        return None, f"accepted, but the capture found nothing: {GARBLED}"
    except (NotJson, JMESPathError) as error:
        return None, f"accepted, but the capture found nothing: {' '.join(str(error).split())}"
    if isinstance(found, str) and found:
        return found, ""
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found), ""
    return None, f"accepted, but the capture found nothing: {capture.text!r} gives no text and no number"
