"""Standard output and standard error, which nothing that happens to a terminal can turn against what prints.

A closed pipe, a full disk, a terminal that was hung up, an encoding without our characters: what can't be printed is
left out, and printing goes on without it. `trouble` says what went wrong, for whoever wants to know. Whatever is
printed, also by libraries, goes through here, and so nothing of it is obeyed by a terminal or a CI server but what we
mean them to obey.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Final, TextIO, cast

from .. import texts

_CLOGGED: Final = 1 << 16
"""Bytes that wait, above which nobody seems to read."""
_SPELT: Final = {
    "…": "...", "–": "-", "—": "-", "×": "x", "µ": "u", "≤": "<=", "≥": ">=", "∞": "inf", "─": "-", "│": "|",
    "┄": "-", "▲": "^", "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#", "█": "#",
}  # fmt: skip
"""Our own characters, for an encoding that has none of them."""


class Stream(io.TextIOBase):
    """Text for a file descriptor. Writing never fails, and keeps to what is printable and to line ends."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor = descriptor
        self._code = encoding
        self._started = False
        self._queue: SimpleQueue[bytes | None] | None = None
        self._queued = self._done = 0
        self.trouble: OSError | None = None
        self.styled = cast(TextIO, _Styled(self))
        """The same for texts that are free of what others have put there, with styles of ours in them."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What may be written: everything. What the terminal doesn't have is spelt in another way."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        """For bytes, as they are."""
        return _Raw(self)

    @property
    def clogged(self) -> bool:
        """Whoever reads is behind; what is of no use later had better be left out."""
        return self._queued - self._done > _CLOGGED

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.write_styled(texts.lines(text))
        return len(text)

    def write_styled(self, text: str) -> None:
        """Text that may hold escape sequences, all of them ours."""
        content = self._encoded(texts.without_commands(text, self._started))
        self._started = not texts.begins_line(text, self._started)
        self.write_bytes(content)

    def write_bytes(self, content: bytes) -> None:
        """A document for a program. Its bytes are its own affair."""
        if self._queue is None:
            self._put(content)
        else:
            self._queued += len(content)
            self._queue.put(content)

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Inside the block writing doesn't wait for whoever reads; its end does, until all is written."""
        self._queue = SimpleQueue()
        writer = threading.Thread(target=self._write_all, args=(self._queue,), daemon=True)
        writer.start()
        try:
            yield
        finally:
            queue, self._queue = self._queue, None
            queue.put(None)
            try:
                writer.join()
            except BaseException:  # enough of waiting for whoever doesn't read
                self.trouble = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                raise

    def _write_all(self, queue: SimpleQueue[bytes | None]) -> None:
        while (content := queue.get()) is not None:
            self._put(content)
            self._done += len(content)

    def _put(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest and self.trouble is None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else has made it so
                select.select((), (self._descriptor,), ())
            except OSError as error:
                self.trouble = error

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode(self._code)
        except (UnicodeError, LookupError):
            return "".join(map(self._spelt, text)).encode("ascii" if self._odd() else self._code, "backslashreplace")

    def _spelt(self, letter: str) -> str:
        try:
            letter.encode(self._code)
        except (UnicodeError, LookupError):
            return _SPELT.get(letter, letter)
        return letter

    def _odd(self) -> bool:
        """Whether the encoding doesn't know how to put something else in place of what it doesn't have."""
        try:
            "\u2026\udcff".encode(self._code, "backslashreplace")
        except (UnicodeError, LookupError):
            return True
        return False


class _Styled(io.TextIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.write_styled(text)
        return len(text)


class _Raw(io.RawIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._stream.write_bytes(bytes(content))
        return len(content)


def take_over() -> tuple[Stream, Stream]:
    """Have all that this process prints go through here from now on: standard output and standard error.

    One that was closed leads to nowhere, so that no connection or file that is opened later takes its place.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    out, err = (Stream(number, getattr(old, "encoding", None) or "utf-8") for number, old in _standard())
    sys.stdout, sys.stderr = out, err
    return out, err


def _standard() -> Iterator[tuple[int, object]]:
    for number, old in ((1, sys.stdout), (2, sys.stderr)):
        if old is not None:
            old.flush()
        yield number, old


def complain(out: Stream) -> None:
    """Say on standard error that what was printed is cut short, if it is, and anybody reads it."""
    if out.trouble is not None and not nobody_reads(out.trouble):
        print(f"standard output is cut short: {out.trouble.strerror}", file=sys.stderr)


def nobody_reads(trouble: OSError) -> bool:
    """Whether whoever read has had enough, or is gone; nothing that anybody would have to know."""
    return trouble.errno in (errno.EPIPE, errno.EIO)
