"""Requests of which it is said what the body of their answer has to be: it is counted and hashed, and not kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...clients import bodies
from ...clients.body_digest import BodyDigest
from ...model.travel import Download, RequestEvent, Wanted
from .answers import CODING, RequestAnswer
from .requests import RequestExchange

SHOWN: Final = 1024
"""So many bytes of a body are kept for whoever looks on."""


class DownloadExchange(RequestExchange):
    """The exchange of such a request.

    keeps   so many bytes of the beginning of the body are kept
    hashes  the body is hashed, also where nothing is said of its hash
    """

    __slots__ = ("_digest", "_hashes", "_keeps", "wanted")

    def __init__(
        self,
        request: Sequence[bytes],
        own_headers: Sequence[str],
        event: RequestEvent,
        into: Any,
        queued_ns: int,
        wanted: Wanted,
        *,
        keeps: int,
        hashes: bool,
    ) -> None:
        super().__init__(request, own_headers, event, into, queued_ns)
        self.wanted = wanted
        self._keeps = keeps
        self._hashes = hashes or wanted.sha256 is not None
        self._digest: BodyDigest | None = None

    def body_of(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """See `Exchange`."""
        if status not in self.asks.expect:
            return []
        self._digest = self._new_digest(headers)
        return self._digest

    def _new_digest(self, headers: Sequence[tuple[bytes, bytes]]) -> BodyDigest:
        codings = bodies.field(headers, CODING)
        return BodyDigest(codings, keep=self._keeps, most=self.wanted.most, hashes=self._hashes)

    def answer(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, reads: bool
    ) -> RequestAnswer:
        """What was answered, with what came as its body."""
        if status not in self.asks.expect:
            return RequestAnswer(status, headers, body, self.body_size, reads=reads)
        digest = self._digest if self.body_size and self._digest is not None else self._new_digest(())
        came = Download(digest.size, digest.sha256, _wrong(self.wanted, digest))
        return _DownloadAnswer(status, headers, body, self.body_size, came, reads=reads)


class _DownloadAnswer(RequestAnswer):
    """An answer of whose body something is known."""

    __slots__ = ("download",)

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        size: int,
        download: Download,
        *,
        reads: bool,
    ) -> None:
        super().__init__(status, headers, body, size, reads=reads)
        self.download = download


def _wrong(wanted: Wanted, digest: BodyDigest) -> str:
    """Why a body isn't what was wanted; empty: it is. The same words for each body that isn't."""
    if wanted.problem or digest.problem:
        return wanted.problem or f"{'size' if wanted.size_text else 'sha256'} can't be told: {digest.problem}"
    size = digest.size
    if digest.is_beyond or (wanted.least is not None and size is not None and size < wanted.least):
        return f"size is not {wanted.size_text}"
    if wanted.sha256 is not None and digest.sha256 != wanted.sha256:
        return f"sha256 is not {wanted.sha256_text}"
    return ""
