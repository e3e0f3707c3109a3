"""Files in the run directory: where they may be, and how they are written whole."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from ...errors import OutputError, TargetError
from ...model.progress import Progress
from ...model.report import Report
from ...spi.format import Format
from ...spi.registry import BrokenPlugin, UnknownKind, load_format
from ...spi.sink import Sink, SinkSettings, SinkSurroundings


class FilesSink:
    """Writes a finished report in one format into a directory, the first file under a name of its own if given."""

    def __init__(self, form: Format, directory: Path, name: str | None = None) -> None:
        self._format = form
        self._directory = directory
        self._name = name

    def progress(self, now: Progress) -> None:
        """Nothing is written before the end."""

    async def finish(self, report: Report) -> None:
        name = self._name
        for usual, content in self._format.files(report).items():
            replace(self._directory / (name or usual), content)
            name = None


def replace(path: Path, content: bytes) -> None:
    """Write a file at once, so that nobody reads half of it. Raises OutputError if it can't be."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; free some space or choose another file") from error


_OWN: Final = frozenset({"events.sqlite", "summary.json", "config.yaml", "truth.jsonl"})


def _check_place(place: Path) -> Path:
    if place.name in _OWN:
        raise ValueError(f"{place.name} is a file of the run itself; choose another name")
    return place


Place = Annotated[Path, AfterValidator(_check_place), Field(description="where to write; relative to the results")]


class FileSettings(SinkSettings):
    """Of a sink that writes one file in the format `form`."""

    form: ClassVar[str]
    file: Place

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        yield self.file_sink(surroundings)

    def file_sink(self, surroundings: SinkSurroundings) -> Sink:
        """The sink that writes the file when the run has ended. Raises TargetError if the format can't be had."""
        path = surroundings.directory / self.file
        return FilesSink(_format(self.form), path.parent, path.name)


class FilesSettings(SinkSettings):
    """Of a sink that writes all files of the format `form`."""

    form: ClassVar[str]
    directory: Place = Path()

    @property
    def writes(self) -> str:
        """The name of the format."""
        return self.form

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        yield FilesSink(_format(self.writes), surroundings.directory / self.directory)


def _format(name: str) -> Format:
    try:
        return load_format(name)
    except (UnknownKind, BrokenPlugin) as error:
        raise TargetError(str(error)) from error
