"""Files in the run directory: where they may be, and who writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from os.path import normpath
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from ...errors import OutputError, TargetError
from ...model.progress import Progress
from ...model.report import Report
from ...spi.format import Format
from ...spi.guard import NOBODY, Reach
from ...spi.registry import BrokenPlugin, UnknownKind, load_format
from ...spi.sink import Sink, SinkSettings, SinkSurroundings, write_file


class FilesSink:
    """Writes a finished report in one format into a directory, the first file under a name of its own if given."""

    def __init__(
        self,
        form: Format,
        directory: Path,
        name: str | None = None,
        write: Callable[[Path, bytes], None] = write_file,
    ) -> None:
        self._format = form
        self._directory = directory
        self._write = write
        self._name = name

    def progress(self, now: Progress) -> None:
        """Nothing is written before the end."""

    async def finish(self, report: Report) -> None:
        name, failed = self._name, []
        for usual, content in self._format.files(report).items():
            try:
                self._write(self._directory / (name or usual), content)
            except OutputError as error:
                failed.append(str(error))
            name = None
        if failed:
            raise OutputError("\n".join(failed))


_OWN: Final = frozenset(
    {"events.sqlite", "events.incomplete.sqlite", "summary.json", "config.yaml", "truth.jsonl", ".evload-run"}
)


def _check_place(place: Path) -> Path:
    if place.name in _OWN:
        raise ValueError(f"{place.name} is a file of the run itself; choose another name")
    return place


Place = Annotated[Path, AfterValidator(_check_place), Field(description="where to write; relative to the results")]


class FileSettings(SinkSettings):
    """Of a sink that writes one file in the format `form`."""

    form: ClassVar[str]
    file: Place

    @property
    def reach(self) -> Reach:
        return NOBODY

    @property
    def place(self) -> Path:
        return Path(normpath(self.file))

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        yield self.file_sink(surroundings)

    def file_sink(self, surroundings: SinkSurroundings) -> Sink:
        """The sink that writes the file when the run has ended. Raises TargetError if the format can't be had."""
        path = surroundings.directory / self.file
        return FilesSink(_format(self.form), path.parent, path.name, surroundings.write)


class FilesSettings(SinkSettings):
    """Of a sink that writes all files of the format `form`."""

    form: ClassVar[str]
    directory: Place = Path()

    @property
    def reach(self) -> Reach:
        return NOBODY

    @property
    def writes(self) -> str:
        """The name of the format."""
        return self.form

    @property
    def place(self) -> Path:
        return Path(normpath(self.directory)) / f"files of {self.writes}"

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        yield FilesSink(_format(self.writes), surroundings.directory / self.directory, write=surroundings.write)


def _format(name: str) -> Format:
    try:
        return load_format(name)
    except (UnknownKind, BrokenPlugin) as error:
        raise TargetError(str(error)) from error
