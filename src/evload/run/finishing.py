"""Gives the finished report to all sinks, side by side: one that fails or hangs costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ..errors import OutputError
from ..model.progress import Progress
from ..model.report import Report
from ..spi.sink import Sink

_LONGEST_S: Final = 300.0
"""For a sink that never ends. Those that deliver something have limits of their own, far below this."""
_FAREWELL_S: Final = 1.0
"""What a sink that is cut short may take to clean up."""


class Guarded:
    """A sink of which a mistake in showing progress costs the run nothing.

    It is shown no more progress after that, and once it has had the report what it raised is raised.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._error: Exception | None = None

    def progress(self, now: Progress) -> None:
        if self._error is None:
            try:
                self._sink.progress(now)
            except Exception as error:
                self._error = error

    async def finish(self, report: Report) -> None:
        await self._sink.finish(report)
        if self._error is not None:
            raise self._error


async def finish(
    sinks: Sequence[tuple[str, Sink]], report: Report, enough: asyncio.Event, say: Callable[[str], None]
) -> bool:
    """Give them the report; they begin in their order. What is under way when `enough` is set is cut short.

    The names are for the remark about that. Returns whether all came to their end. Once all are done it raises what
    the first of those that failed has raised, a bug before an OutputError; what the others raised is said.
    """
    telling = [asyncio.create_task(_tell(sink, report)) for _, sink in sinks]
    everybody = asyncio.gather(*telling, return_exceptions=True)
    stop = asyncio.create_task(enough.wait())
    await asyncio.wait((everybody, stop), timeout=_LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    late = {name: task for (name, _), task in zip(sinks, telling, strict=True) if not task.done()}
    if late:
        say(f"{'interrupted again' if enough.is_set() else 'no end within 5m'}: {', '.join(late)} cut short")
        for task in late.values():
            task.cancel()
        await asyncio.wait((everybody,), timeout=_FAREWELL_S)
    errors = [
        error for task in telling if task.done() and not task.cancelled() and (error := task.exception()) is not None
    ]
    errors.sort(key=lambda error: isinstance(error, OutputError))
    for error in errors[1:]:
        say(str(error) if isinstance(error, OutputError) else repr(error))
    if errors:
        raise errors[0]
    return not late


async def _tell(sink: Sink, report: Report) -> None:
    """One sink's task, also where its `finish` is no coroutine: that is its own bug and nobody else's."""
    await sink.finish(report)
