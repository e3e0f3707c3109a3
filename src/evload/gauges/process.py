"""What processes of this machine take: CPU and memory of one by its number, or of all by their name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ..errors import TargetError
from ..spi.context import Surroundings
from ..spi.gauge import Gauge, GaugeSettings, Sample
from ..spi.guard import NOBODY, Reach

if TYPE_CHECKING:
    from psutil import Process


class ProcessGaugeConfig(GaugeSettings):
    """Settings of the gauge: one of `pid`, `name` and `command`.

    `cpu` is in cores, since the last sample: 1.5 is one and a half of them. `memory` is the resident bytes,
    `processes` their number. Of several they are added up; while there is none, cpu and memory have no value.
    """

    kind: Literal["process"]
    pid: Annotated[int | None, Field(ge=1, description="the number of a process")] = None
    name: Annotated[str | None, Field(min_length=1, description="of the program: all that are called so")] = None
    command: Annotated[
        str | None, Field(min_length=1, description="glob over the whole command line, such as *app.worker*")
    ] = None
    children: Annotated[bool, Field(description="with what they have started, and what that has")] = False

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        given = [one for one in ("pid", "name", "command") if getattr(self, one) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "no process is named"
            raise ValueError(f"{found}; write one of pid: 4711, name: redis-server, command: '*app.worker*'")
        return self

    @property
    def reach(self) -> Reach:
        return NOBODY

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the values."""
        return ("cpu", "memory", "processes")

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        """Look once, yield the gauge. Raises TargetError if there is no such process."""
        gauge = ProcessGauge(self)
        first = await gauge.sample()
        if not first.values.get("processes"):
            wanted = next(f"{one} {value}" for one in ("pid", "name", "command") if (value := getattr(self, one)))
            raise TargetError(f"there is no process with {wanted}; start it, or correct {wanted.partition(' ')[0]}")
        yield gauge


class ProcessGauge:
    """Looks at them anew for each sample, in a thread: a machine may have thousands of processes."""

    def __init__(self, settings: ProcessGaugeConfig) -> None:
        self._settings = settings
        self._known: dict[int, Process] = {}
        """Those of the last sample, since when each counts its CPU."""
        self._first: Process | None = None
        """The one that has the number: once it has ended, that may be given to another."""

    async def sample(self) -> Sample:
        """What all of them take."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Sample:
        from psutil import Error

        known, self._known = self._known, {}
        cpu, memory = 0.0, 0
        for found in self._chosen():
            with suppress(Error):
                before = known.get(found.pid)
                process = before if before is not None and before == found else found
                with process.oneshot():
                    # Of one that wasn't there before this begins to count: what it took so far isn't known.
                    share, resident = process.cpu_percent() / 100, process.memory_info().rss
                self._known[process.pid] = process
                cpu, memory = cpu + share, memory + resident
        if not self._known:
            return Sample({"processes": 0})
        return Sample({"cpu": cpu, "memory": memory, "processes": len(self._known)})

    def _chosen(self) -> Iterator[Process]:
        """Each once."""
        from psutil import Error

        told: set[int] = set()
        for process in self._named():
            with suppress(Error):
                for one in (process, *(process.children(recursive=True) if self._settings.children else ())):
                    if one.pid not in told:
                        told.add(one.pid)
                        yield one

    def _named(self) -> Iterator[Process]:
        from psutil import Error, Process, process_iter

        settings = self._settings
        if settings.pid is not None:
            with suppress(Error):
                if self._first is None:
                    self._first = Process(settings.pid)
                if self._first.is_running():
                    yield self._first
            return
        for process in process_iter():
            if process.pid == os.getpid():
                continue
            with suppress(Error):
                if settings.name is not None:
                    chosen = process.name() == settings.name
                else:
                    chosen = fnmatchcase(" ".join(process.cmdline()), settings.command or "")
                if chosen:
                    yield process
