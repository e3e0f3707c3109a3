"""Files that steps upload: each is in memory once, however often it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any, Final

from ...model.travel import Pieces
from .settings import FileSettings

MOST: Final = 1_000_000_000
"""Bytes of a file."""
_END: Final = "\r\n"


@dataclass(frozen=True, slots=True)
class Upload:
    """What a file holds."""

    data: bytes
    sha256: str

    @property
    def known(self) -> Mapping[str, Any]:
        """What templates and expressions know of it."""
        return {"sha256": self.sha256, "size": len(self.data)}


Uploads = Mapping[FileSettings, Upload]


def load(files: Iterable[FileSettings], seed: str, read: Callable[[str], bytes]) -> Uploads:
    """The contents of files. `read` gives those of a path; those that only have a size are drawn from the seed."""
    wanted = list(dict.fromkeys(files))
    drawn = Random(f"{seed}/files").randbytes(max((one.size or 0 for one in wanted), default=0))
    contents: dict[tuple[str | None, int | None], Upload] = {}
    for one in wanted:
        about = one.path, one.size
        if about not in contents:
            data = drawn[: one.size] if one.path is None else read(one.path)
            contents[about] = Upload(data, sha256(data).hexdigest())
    return {one: contents[one.path, one.size] for one in wanted}


class Multipart:
    """A form with files as a body (RFC 7578), of which only the fields differ from one request to the next."""

    def __init__(self, files: Sequence[tuple[str, FileSettings, Upload]], fields: Sequence[str]) -> None:
        told = "/".join([*fields, *(f"{name}:{one.sha256}" for name, _, one in files)])
        # In no file by chance: it is made of what all of them hold.
        self.boundary = f"evload-{sha256(told.encode()).hexdigest()[:40]}"
        pieces: list[bytes] = []
        for name, settings, one in files:
            head = f'{self._disposition(name)}; filename="{_quoted(settings.filename)}"{_END}'
            pieces += [f"{head}content-type: {settings.type}{_END * 2}".encode(), one.data, _END.encode()]
        self._files = (*pieces, f"--{self.boundary}--{_END}".encode())

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def body(self, fields: Iterable[tuple[str, str]]) -> Pieces:
        """The body with these fields, which come first."""
        told = "".join(f"{self._disposition(name)}{_END * 2}{value}{_END}" for name, value in fields)
        return Pieces((told.encode(), *self._files) if told else self._files)

    def _disposition(self, name: str) -> str:
        return f'--{self.boundary}{_END}content-disposition: form-data; name="{_quoted(name)}"'


def _quoted(text: str) -> str:
    """As browsers write it into a header of a form."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
