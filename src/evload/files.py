"""Files of ours and of others: read within a limit, and written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from .units import format_size

PRIVATE: Final = 0o600
"""For whoever runs us alone: what a file holds may be somebody's data."""
PUBLIC: Final = 0o666
"""What the umask leaves of it."""

_PARTIAL: Final = re.compile(r"\.[0-9a-f]{16}\.partial")
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems say that can't give a file a second name."""
_CANT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def read(path: Path, most: int, *, regular: bool = True, links: bool = True) -> bytes:
    """All that is in a file of `most` bytes or less.

    Raises OSError, whose strerror a person can use, for what is longer; unless told otherwise for what is no regular
    file, which may have no end or never begin; and if `links` is false for a link, which leads to what somebody else
    has chosen.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC
    if regular:
        flags |= os.O_NONBLOCK  # a pipe that nobody writes to would hold us up
    if not links:
        flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not links:
            raise OSError(errno.ELOOP, "it is a link") from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if regular and not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is longer than {format_size(most)}, the most that is read")
    return content


def create(path: Path, mode: int = PUBLIC) -> None:
    """Make an empty file that wasn't there. Raises OSError, also where there is anything of that name, if only a link
    to nowhere."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode))


def write_new(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Write a file that wasn't there, whole or not at all. Raises OSError."""
    with _beside(path, content, mode) as partial:
        try:
            os.link(partial, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            create(path)
            try:
                os.replace(partial, path)
            except BaseException:
                path.unlink()
                raise


def replace(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Write a file whole or not at all; one that was there stays as it was until then. Raises OSError.

    What isn't a regular file, such as /dev/stdout or a pipe, is written to.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            file.write(content)
        return
    with _beside(path, content, mode) as partial:
        os.replace(partial, path)


def is_partial(name: str) -> bool:
    """Whether a file of this name is what somebody has left who was killed while writing it."""
    return _PARTIAL.fullmatch(name) is not None


@contextmanager
def _beside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A file with the content in the same directory, gone after the block unless it got another name there."""
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            try:
                os.fsync(descriptor)  # some disks say only now that they are full
            except OSError as error:
                if error.errno not in _CANT_SYNC:
                    raise
        yield partial
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
