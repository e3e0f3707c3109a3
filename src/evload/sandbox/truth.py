"""What really happened to each event in the sandbox, and the file that keeps it.

The file is JSON lines: a header `{"format": 1, "wall_ns": ..., "monotonic_ns": ...}` (one reading of both
clocks), then one object for each event. All other times are nanoseconds on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson

from ..errors import OutputError, UsageError

_FORMAT: Final = 1


class Truth(NamedTuple):
    """One event's way through the sandbox. Times in nanoseconds on the monotonic clock.

    consumed_ns, processed_ns  when a worker began and ended with it; None if it was still queued
    visible_ns  for each replica since when it shows the event; None if lost or still queued
    hidden      intervals [from, to) in which no replica shows it although it was visible before
    effects     how often its effect is applied in the end: 0 lost or still queued, 1, or 2 duplicated
    swapped     it was applied after the event with the same key that was accepted next
    position    its place in the order of application; None if never applied
    """

    correlation_id: str
    key: str | None
    received_ns: int
    consumed_ns: int | None
    processed_ns: int | None
    visible_ns: Mapping[str, int | None]
    hidden: tuple[tuple[int, int], ...]
    lost: bool
    effects: int
    swapped: bool
    position: int | None

    @property
    def first_visible_ns(self) -> int | None:
        """When the first replica shows it."""
        return min((at for at in self.visible_ns.values() if at is not None), default=None)

    @property
    def stable_visible_ns(self) -> int | None:
        """When the last replica shows it for good: no read from then on misses it."""
        ends = [at for at in self.visible_ns.values() if at is not None]
        return max([*ends, *(to for _, to in self.hidden)]) if ends else None


class TruthFile:
    """Writes truths to a file. A context manager; raises OutputError if it can't be begun.

    One that can't be written to its end goes away again, and leaving the context raises OutputError: half of the
    truth would make a measurement look wrong.
    """

    def __init__(self, path: Path, *, wall_ns: int, monotonic_ns: int) -> None:
        self._path = path
        self._failure: OutputError | None = None
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise self._failed(error) from None
        self._lines([{"format": _FORMAT, "wall_ns": wall_ns, "monotonic_ns": monotonic_ns}])
        if self._failure is not None:
            self.__exit__(None, None, None)

    def write(self, truths: Iterable[Truth]) -> None:
        """Append `truths`."""
        self._lines(truth._asdict() for truth in truths)

    def _lines(self, records: Iterable[Mapping[str, Any]]) -> None:
        if self._failure is not None:
            return
        try:
            self._file.writelines(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
            self._file.flush()
        except OSError as error:
            self._failure = self._failed(error)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"can't write the truth to {self._path}: {error.strerror}; choose another file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:  # what was buffered when it failed is tried once more
            self._failure = self._failure or self._failed(failure)
        if self._failure is None:
            return
        if self._path.is_file():
            self._path.unlink()
        if error is None:
            raise self._failure


def read_truth(path: Path) -> list[Truth]:
    """All truths in a file, in the order in which they were written. Raises UsageError if it isn't one."""
    truths: list[Truth] = []
    try:
        with path.open("rb") as file:
            number = 1
            header = orjson.loads(file.readline())
            if header["format"] != _FORMAT:
                raise UsageError(f"{path}: truth format {header['format']} is unknown; this evload reads {_FORMAT}")
            for number, line in enumerate(file, start=2):  # noqa: B007 (named in the error)
                record = orjson.loads(line)
                record["hidden"] = tuple((since, until) for since, until in record["hidden"])
                truths.append(Truth(**record))
    except OSError as error:
        raise UsageError(f"can't read the truth in {path}: {error.strerror}; name a file a sandbox wrote") from None
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{path}:{number}: not a line of a truth file; was the sandbox killed?") from None
    return truths
