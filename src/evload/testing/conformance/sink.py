"""Holds a sink against what a run does with it."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.progress import Progress
from ...model.report import Report
from ...spi.sink import Sink


async def check_sink(sink: Sink, progress: Sequence[Progress], report: Report) -> None:
    """Give a sink what a run would give it. Whatever it raises is what is wrong with it."""
    for moment in progress:
        sink.progress(moment)
    await sink.finish(report)
