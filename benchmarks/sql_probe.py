"""How fast the PostgreSQL probe reads in bulk, and what 100,000 outstanding events cost one core.

python -m benchmarks.sql_probe
"""

from __future__ import annotations

import asyncio
import os
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import uvloop
from pydantic import TypeAdapter
from tests.servers.postgres_server import PostgresServer, running_postgres

from evload.clock import SystemClock
from evload.config import RunConfig, Scenario
from evload.ledger.writer import LedgerFile
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.summary import Summary
from evload.model.travel import Target
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.probes.postgres import PostgresProbeConfig
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.spi.context import Surroundings
from evload.units import NS_PER_S
from evload.workload.events import EventSettings

from .instant_world import InstantProducerSettings, InstantWorld
from .rig import CLIENT_CORE, CORES, SERVER_CORE

_EVENTS: Final = 100_000
_BULKS: Final = (1000, 2000, 5000)
_READ_FOR_S: Final = 3
_VISIBLE_AFTER_S: Final = 12
_RUN: Final = "sql-probe"
_QUERY: Final = "SELECT id FROM placements WHERE id = ANY(:ids)"
_FILL: Final = """
    INSERT INTO placements SELECT ('{prefix}' || lpad(to_hex(n), 12, '0'))::uuid
    FROM generate_series(0, {events} - 1, {step}) n;
    ANALYZE placements
"""


def main() -> None:
    """Print reads per second by bulk, then the run with everything outstanding."""
    os.sched_setaffinity(0, {SERVER_CORE})
    with running_postgres() as server:
        server.execute("CREATE TABLE placements (id uuid PRIMARY KEY)")
        os.sched_setaffinity(0, {CLIENT_CORE})
        _fill(server, step=2)
        for bulk in _BULKS:
            uvloop.run(_bulk(server, bulk))
        server.execute("TRUNCATE placements")
        uvloop.run(_outstanding(server))
        os.sched_setaffinity(0, CORES)


def _fill(server: PostgresServer, step: int) -> None:
    server.execute(_FILL.format(prefix=CorrelationIds.for_run(_RUN).prefix, events=_EVENTS, step=step))


def _surroundings() -> Surroundings:
    return Surroundings(SystemClock(), _RUN, Path())


def _probe(server: PostgresServer, **settings: Any) -> PostgresProbeConfig:
    return PostgresProbeConfig.model_validate({"kind": "postgres", "url": server.owner, "query": _QUERY, **settings})


async def _bulk(server: PostgresServer, bulk: int) -> None:
    """Two reads at a time, half of whose events are there."""
    surroundings = _surroundings()
    clock, ids = surroundings.clock, surroundings.ids
    targets = [Target(seq, ids.id_of(seq)) for seq in range(bulk)]
    read = 0

    async with _probe(server, bulk=bulk).open(surroundings) as probe:
        begun, used = clock.now_ns(), _cpu_ns()

        async def reader() -> None:
            nonlocal read
            while clock.now_ns() - begun < _READ_FOR_S * NS_PER_S:
                result = await probe.read(targets)
                assert sum(one.seen is Seen.PRESENT for one in result.reads) == bulk // 2
                read += bulk

        await asyncio.gather(reader(), reader())
        spent, cpu = clock.now_ns() - begun, _cpu_ns() - used
    queries = read / bulk * NS_PER_S / spent
    print(
        f"bulk {bulk}: {read * NS_PER_S / spent:,.0f} event reads/s in {queries:.0f} queries/s, "
        f"{cpu / read / 1000:.2f} µs of CPU each, {cpu / spent:.0%} of the client's core"
    )


async def _outstanding(server: PostgresServer) -> None:
    """A burst of events that all become visible in one commit, seconds later."""
    scenario = {"producer": "instant", "events": ["event"], "probes": ["sql"], "load": [{"burst": _EVENTS}]}
    config = RunConfig(
        name="sql-probe",
        seed=1,
        sandbox=None,
        producers={"instant": InstantProducerSettings(world=InstantWorld(0, 0))},
        events={"event": EventSettings(type="placed", source="/evload/bench", data={"id": "{uuid}"})},
        probes={"sql": _probe(server, bulk=2000, first="1s", deadline="30s", confirm={"reads": 1, "over": "1s"})},
        gauges={},
        scenarios={"main": TypeAdapter(Scenario).validate_python(scenario)},
        slos=(parse("p99(end_to_end) < 20s"),),
        replicas={},
        reports={},
        self_checks=SelfCheckPolicy(),
        settle=60 * NS_PER_S,
        records={"event": None},
    )
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        clock = _surroundings().clock
        running = execute(prepare(config, _RUN), clock, LedgerFile(Path(directory) / "events.sqlite", {}))

        async def work() -> None:
            await asyncio.sleep(_VISIBLE_AFTER_S)
            await asyncio.to_thread(_fill, server, 1)

        begun, used = clock.now_ns(), _cpu_ns()
        summary, _ = await asyncio.gather(running, work())
        spent, cpu = clock.now_ns() - begun, _cpu_ns() - used
    _report(summary, spent, cpu)


def _report(summary: Summary, spent_ns: int, cpu_ns: int) -> None:
    vitals, ledger = summary.vitals, summary.total().ledger
    assert ledger["visible"] == _EVENTS, ledger
    assert not vitals.failed_reads
    lower, upper = summary.total().distributions["consistency"].bracket(Fraction(1, 2))
    queries, reads = vitals.read_requests, vitals.event_reads
    print(
        f"outstanding: {_EVENTS} events, visible in one commit after {_VISIBLE_AFTER_S} s; median bracket "
        f"{(lower or 0) / NS_PER_S:.2f} to {(upper or 0) / NS_PER_S:.2f} s; {reads} reads in "
        f"{queries} queries over {spent_ns / NS_PER_S:.1f} s, {reads / _EVENTS:.1f} an event"
    )
    print(f"ratio: {cpu_ns / spent_ns:.2f} of one core, {cpu_ns / reads / 1000:.1f} µs a read, all rooms")


def _cpu_ns() -> int:
    return SystemClock().cpu_ns() or 0


if __name__ == "__main__":
    main()
