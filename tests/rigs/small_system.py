"""A small system behind HTTP: a worker takes events and writes them somewhere, some never and some twice."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evload.clock import SystemClock
from tests.rigs.commands import Ended, evload, summary_of
from tests.servers.httpserver import Request, Step, answer, serving

EVENTS: Final = 100
LOST: Final = 10
TWICE: Final = 10
_SERVICE_S: Final = 0.05
_PAUSE_S: Final = 0.05

_CONFIG: Final = """\
producers:
  api: {{kind: http, url: "{url}"}}
events:
  created: {{type: t.created, source: /tests}}
probes:
  read-model: {probe}
scenarios:
  main:
    producer: api
    events: [created]
    probes: [read-model]
    load: [{{rate: 100/s, for: 1s}}]
slos: {objectives}
self_checks: {{offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}}
"""

Write = Callable[[str, int], Awaitable[None]]
"""Writes an event's effect, given its correlation id, as many times over as the number says."""


@dataclass
class Measured:
    """What evload said of the run.

    truth  for each event that was written: the clock before and after that was done
    rows   the ledger's row of each event, with `*_ns` on the same clock
    again  how many events had to be written more than once, because it failed
    """

    ended: Ended
    summary: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    truth: Mapping[int, tuple[int, int]]
    again: int

    def assert_counts(self) -> None:
        """The ledger has exactly what was planted."""
        ledger = self.summary["ledger"]
        told = {name: ledger[name] for name in ("scheduled", "acked", "visible", "lost", "regressed")}
        assert told == {
            "scheduled": EVENTS, "acked": EVENTS, "visible": EVENTS - LOST, "lost": LOST, "regressed": 0,
        }, self.summary  # fmt: skip
        assert {row["seq"] for row in self.rows if row["first_upper_ns"] is not None} == self.truth.keys()

    def assert_duplicates(self) -> None:
        """Ten were written twice, and it may be some of those whose write had to be tried again."""
        assert 10 <= self.summary["ledger"]["duplicated"] <= 10 + self.again

    def assert_brackets(self) -> None:
        """Each effect was written within the bracket in which it was first seen."""
        for row in self.rows:
            if row["seq"] in self.truth:
                before, after = self.truth[row["seq"]]
                assert before <= row["first_upper_ns"], row
                assert row["first_lower_ns"] is None or row["first_lower_ns"] <= after, row


@dataclass
class _Worker:
    write: Write
    clock: SystemClock = field(default_factory=SystemClock)
    truth: dict[int, tuple[int, int]] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    """What was tried more than once."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def take(self, request: Request) -> Sequence[bytes | float | Step]:
        task = asyncio.get_running_loop().create_task(self._work(json.loads(request.body)["correlationid"]))
        self.tasks.add(task)
        return [answer(202)]

    async def _work(self, correlation_id: str) -> None:
        seq = int(correlation_id[-12:], 16)
        await asyncio.sleep(_SERVICE_S)
        if seq % 10 == 3:
            return
        self.truth[seq] = await self._write(correlation_id, 2 if seq % 10 == 7 else 1)

    async def _write(self, correlation_id: str, copies: int) -> tuple[int, int]:
        """Write until it works. What failed may have been written all the same, and is there twice then."""
        before = self.clock.now_ns()
        while True:
            try:
                await self.write(correlation_id, copies)
            except Exception:
                self.again.add(correlation_id)
                await asyncio.sleep(_PAUSE_S)
            else:
                return before, self.clock.now_ns()


def measure(
    directory: Path,
    probe: Mapping[str, Any],
    write: Write,
    outage: Callable[[], None] | None = None,
    objectives: Sequence[str] = ("lost == 10", "duplicates == 10"),
) -> Measured:
    """Publish a hundred events in a second, ten of which are lost and ten written twice, and measure that.

    `outage` runs in a thread half a second after the first event.
    """

    async def run() -> Measured:
        worker = _Worker(write)
        begun = asyncio.Event()

        def take(request: Request) -> Sequence[bytes | float | Step]:
            begun.set()
            return worker.take(request)

        async def strike() -> None:
            await begun.wait()
            await asyncio.sleep(0.5)
            if outage is not None:
                await asyncio.to_thread(outage)

        async with serving(take) as server:
            config = directory / "config.yaml"
            # JSON is YAML.
            config.write_text(
                _CONFIG.format(url=server.url, probe=json.dumps(probe), objectives=json.dumps(objectives))
            )
            out = directory / "run"
            striking = asyncio.create_task(strike())
            ended = await asyncio.to_thread(evload, "run", config, "--out", out, "--quiet", cwd=directory)
            assert begun.is_set(), ended.said
            await asyncio.gather(striking, *worker.tasks)
        assert ended.code in (0, 1, 4, 5), ended.said
        return Measured(ended, summary_of(out), _rows(out / "events.sqlite"), worker.truth, len(worker.again))

    return asyncio.run(run())


def _rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as ledger:
        ledger.row_factory = sqlite3.Row
        start = int(ledger.execute("SELECT value FROM meta WHERE key = 'start_ns'").fetchone()[0])
        return [
            {
                name: value + start if name.endswith("_ns") and value is not None else value
                for name, value in dict(row).items()
            }
            for row in ledger.execute("SELECT * FROM events")
        ]
