"""The report for scripts, on whatever is written to: `evload run --json`."""

from __future__ import annotations

from collections.abc import Callable

from ..model.progress import Progress
from ..model.report import Report
from ..report.document import as_json


class JsonSink:
    """Hands the finished document to `write`."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def progress(self, now: Progress) -> None:
        """Nothing is written before the end."""

    async def finish(self, report: Report) -> None:
        self._write(as_json(report))
