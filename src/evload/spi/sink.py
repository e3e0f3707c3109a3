"""What a sink is: it receives what a run has to say, while it goes on and when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .. import files
from ..clock import Clock
from ..errors import OutputError
from ..model.progress import Progress
from ..model.report import EventSample
from .context import AdapterSettings

if TYPE_CHECKING:
    from ..model.report import Report


class Sink(Protocol):
    """Receives what a run has to say."""

    def progress(self, now: Progress) -> None:
        """Called a few times a second while the run goes on. Must not block: the load is waiting.

        What takes longer is a task of the sink's own, which `open` cancels when it closes.
        """
        ...

    async def finish(self, report: Report) -> None:
        """Called once, when the report is complete, beside the other sinks; ends by itself.

        Raises OutputError if it can't be written.
        """
        ...


def write_file(path: Path, content: bytes) -> None:
    """Write a file, in place of one that was there, whole or not at all. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, content)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; free some space or choose another file") from error


@dataclass(frozen=True, slots=True)
class SinkSurroundings:
    """What a sink is given when it opens.

    directory  that of the run's results, where relative paths start
    say        a remark for a person, such as that something could not be delivered
    sample     at most so many events, spread evenly over the run; to be called when the run has ended
    base_dir   where relative paths of files to read start
    write      a file whole or not at all: a new one in the directory, or one elsewhere in place of what was there.
               Raises OutputError
    """

    clock: Clock
    run_id: str
    directory: Path
    say: Callable[[str], None]
    sample: Callable[[int], EventSample]
    base_dir: Path = Path()
    write: Callable[[Path, bytes], None] = write_file


class SinkSettings(AdapterSettings):
    """Base of the settings of all sinks that a config can name."""

    @property
    def place(self) -> Path | None:
        """What it writes among the results, a file or all files of a format; no two sinks of a run write the same."""
        return None

    def open(self, surroundings: SinkSurroundings) -> AbstractAsyncContextManager[Sink]:
        """Set up, yield the sink, close. Raises TargetError if that can't be.

        The run goes on if a report can't be delivered later: the sink says so and leaves it at that. What can't be
        written to a file raises OutputError.
        """
        raise NotImplementedError
