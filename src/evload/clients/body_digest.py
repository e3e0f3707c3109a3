"""Counts and hashes the body of an answer as it comes, and keeps no more of it than the beginning.

What is counted and hashed is what was compressed, as somebody has it who saves the answer: so it can be held against
`sha256sum` of a file, whatever the target does on the way. Memory is bounded by the beginning that is kept, and by
one piece of what is unpacked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from . import bodies

_PIECE: Final = 65_536
"""Most bytes that are unpacked at a time."""


class BodyDigest(list[bytes]):
    """Takes the pieces of a body, in their order, by `append`; as a list it holds the beginning, as it came.

    codings  those that its answer declares, as `content-encoding` has them
    keep     so many bytes of the beginning are kept
    most     no more bytes than that are of interest; None: all are
    hashes   it is hashed
    """

    __slots__ = ("_coding", "_hash", "_most", "_problem", "_room", "_size", "_stages")

    def __init__(self, codings: str, *, keep: int, most: int | None, hashes: bool) -> None:
        super().__init__()
        self._room = keep
        self._most = most
        self._size = 0
        self._hash = sha256() if hashes else None
        self._stages: list[_Unpacker] = []
        self._problem = ""
        self._coding = ""
        for coding in reversed(bodies.named(codings)):
            if coding == "identity":
                continue
            bits = bodies.WINDOW_BITS.get(coding)
            if bits is None or len(self._stages) == bodies.MOST_CODINGS:
                self._problem = f"nobody here can undo the content-encoding {codings.strip()[:60]!r}"
                break
            self._coding = coding
            self._stages.append(_Unpacker(bits))

    def append(self, piece: bytes) -> None:
        """Count and hash what comes next."""
        if self._room > 0:
            kept = piece[: self._room]
            super().append(kept)
            self._room -= len(kept)
        if self._problem:
            return
        if not self._stages:
            self._take(piece)
        elif not self.is_beyond:
            try:
                self._unpack(piece, 0)
            except bodies.Garbled:
                self._problem = self._garbled

    @property
    def _garbled(self) -> str:
        return f"the body isn't whole {self._coding}, as its content-encoding says"

    @property
    def is_beyond(self) -> bool:
        """Whether more bytes came than are of interest."""
        return self._most is not None and self._size > self._most

    @property
    def problem(self) -> str:
        """For people: why nothing can be said of a body of which all came; empty: it can."""
        if not self._problem and not self.is_beyond and not all(stage.is_whole for stage in self._stages):
            return self._garbled
        return self._problem

    @property
    def size(self) -> int | None:
        """Bytes; None where that can't be told, or nobody counted on."""
        return None if self.problem or (self._stages and self.is_beyond) else self._size

    @property
    def sha256(self) -> str | None:
        """In hexadecimal; None where it can't be told, or it wasn't hashed to its end."""
        return None if self.problem or self._hash is None or self.is_beyond else self._hash.hexdigest()

    def _unpack(self, piece: bytes, stage: int) -> None:
        if stage == len(self._stages):
            self._take(piece)
            return
        for unpacked in self._stages[stage].unpacked(piece):
            self._unpack(unpacked, stage + 1)
            if self.is_beyond:
                return

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._hash is not None and not self.is_beyond:
            self._hash.update(piece)


class _Unpacker:
    """Undoes one compression, however many members follow on one another in it."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._begun = False
        self._unpacker: zlib._Decompress | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of what was begun came to its end. An empty body needs none."""
        return self._unpacker is None

    def unpacked(self, piece: bytes) -> Iterator[bytes]:
        """What lies in the next piece. Raises Garbled."""
        more = False
        while piece or more:
            if self._unpacker is None:
                if self._begun:
                    piece = piece.lstrip(b"\0")  # padding, as gzip knows it
                    if not piece:
                        return
                self._unpacker = self._open(piece)
            try:
                found = self._unpacker.decompress(piece, _PIECE)
            except zlib.error:
                raise bodies.Garbled from None
            if self._unpacker.eof:
                piece, more = self._unpacker.unused_data, False
                self._unpacker = None
            else:
                piece, more = self._unpacker.unconsumed_tail, len(found) == _PIECE
            if found:
                yield found

    def _open(self, piece: bytes) -> zlib._Decompress:
        if not self._begun:
            self._bits = bodies.bits_for(self._bits, piece)
            self._begun = True
        return zlib.decompressobj(self._bits)
