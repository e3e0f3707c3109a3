"""What a read over HTTP costs evload's core, the engine's share included, against a loop that does nothing but GET.

    python -m benchmarks.reads

Whole runs with a ledger, watched one id at a time, a hundred at a time, and by a feed; in turns with a bare loop of
aiohttp, and with k6 if it is installed, all against one read model on the other core. Then one id at a time at ten
times the rate of a slow run: the verdict, and how wide the brackets are of both.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
import uvloop
from pydantic import TypeAdapter

from evload.clock import SystemClock
from evload.config import RunConfig, Scenario
from evload.ledger.writer import LedgerFile
from evload.model.summary import Summary
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.probes.http import HttpProbeConfig
from evload.probes.http_feed import HttpFeedConfig
from evload.producers.http import HttpProducerConfig
from evload.report.build import About, build
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.units import NS_PER_S
from evload.workload.events import EventSettings

from .peers import peer
from .rig import CLIENT_CORE, ROOT, SERVER_CORE, BenchmarkError, run

_ROUNDS: Final = 3
_SECONDS: Final = 8
_RATES: Final = {"one id": 80, "100 ids": 1_000, "feed": 1_000}
"""Events per second. In bulk there are enough of them for a hundred to be due at a time."""
_GETS: Final = 10_000
_AT_A_TIME: Final = 8
_SLOW: Final = 30
_FAST: Final = 300
"""Events per second, one id at a time."""
_JUDGED_SECONDS: Final = 15
"""Enough for a p99 of the slow run."""
_TARGET: Final = 1 / 3
_K6: Final = """
import http from "k6/http";
export const options = {vus: USERS, iterations: GETS, discardResponseBodies: true};
export default function () { http.get("URL"); }
"""


def main() -> None:
    """Print what each costs, round by round, then the ratios of the medians."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)  # As in a run, and for all of them.
    costs: dict[str, list[float]] = {}
    with _read_model() as url:
        for number in range(_ROUNDS):
            for kind in _RATES:
                with TemporaryDirectory(prefix="evload-bench-") as directory:
                    cost, told = uvloop.run(_watched(kind, url, f"reads-{number}", Path(directory)))
                costs.setdefault(kind, []).append(cost)
                print(f"evload, {kind}: {told}", flush=True)
            costs.setdefault("aiohttp", []).append(uvloop.run(_bare(url)))
            print(f"aiohttp, nothing but GET: {costs['aiohttp'][-1]:.0f} µs", flush=True)
            try:
                costs.setdefault("k6", []).append(_k6(url))
                print(f"k6, nothing but GET: {costs['k6'][-1]:.0f} µs", flush=True)
            except BenchmarkError as error:
                costs.pop("k6", None)
                print(error)
        for rate in (_SLOW, _FAST):
            with TemporaryDirectory(prefix="evload-bench-") as directory:
                print(uvloop.run(_judged(rate, url, Path(directory))), flush=True)
    found = {name: median(of) for name, of in costs.items()}
    bare = found["aiohttp"]
    k6 = f", {found['one id'] / found['k6']:.2f} x one of k6" if "k6" in found else ""
    each = {kind: found[kind] / bare for kind in _RATES}
    print(
        f"ratio: a read of one id takes {each['one id']:.2f} x a bare GET of aiohttp (target: {_TARGET:.2f}){k6}; "
        f"one of a hundred ids {each['100 ids']:.3f} x, an event that a feed lists {each['feed']:.3f} x"
    )


@contextmanager
def _read_model() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.read_model"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=partial(os.sched_setaffinity, 0, {SERVER_CORE}),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def _probe(kind: str, url: str) -> HttpProbeConfig | HttpFeedConfig:
    if kind == "feed":
        settings = {"url": f"{url}/feed?after={{cursor}}", "start": 0, "items": "body.items", "next": "body.next"}
        return HttpFeedConfig.model_validate({"kind": "http-feed", **settings})
    settings = {"url": f"{url}/items/{{correlation_id}}"}
    if kind == "100 ids":
        settings = {"url": f"{url}/items/query", "ids": {"in": "body"}, "items": "body.items", "bulk": 100}
    return HttpProbeConfig.model_validate({"kind": "http", **settings})


def _config(kind: str, url: str, rate: int | None = None, seconds: int = _SECONDS) -> RunConfig:
    load = [{"rate": f"{rate or _RATES[kind]}/s", "for": f"{seconds}s"}]
    scenario = {"producer": "broker", "events": ["event"], "probes": ["index"], "load": load}
    return RunConfig(
        name="reads",
        seed=1,
        sandbox=None,
        producers={"broker": HttpProducerConfig.model_validate({"kind": "http", "url": f"{url}/events"})},
        events={"event": EventSettings(type="placed", source="/evload/bench", data={"id": "{uuid}"})},
        probes={"index": _probe(kind, url)},
        gauges={},
        scenarios={"main": TypeAdapter(Scenario).validate_python(scenario)},
        slos=(parse("p99(consistency) < 5s"),),
        replicas={},
        reports={},
        self_checks=SelfCheckPolicy(),
        settle=60 * NS_PER_S,
        records={"event": None},
    )


async def _watched(kind: str, url: str, run_id: str, directory: Path) -> tuple[float, str]:
    """CPU in µs of all that a run does, for each read of an event; for each event, where a feed tells of them."""
    clock = SystemClock()
    ledger = LedgerFile(directory / "events.sqlite", {})
    prepared = prepare(_config(kind, url), f"{run_id}-{kind.replace(' ', '-')}")
    used = clock.cpu_ns() or 0
    summary = await execute(prepared, clock, ledger)
    used = (clock.cpu_ns() or 0) - used
    return _cost(kind, summary, used)


async def _judged(rate: int, url: str, directory: Path) -> str:
    """The verdict on a run of this rate, what it took, and the brackets of its percentiles."""
    started_at = datetime.now(UTC)
    ledger = LedgerFile(directory / "events.sqlite", {})
    prepared = prepare(_config("one id", url, rate, _JUDGED_SECONDS), f"judged-{rate}-{started_at.timestamp():.0f}")
    summary = await execute(prepared, SystemClock(), ledger)
    report = build(summary, prepared.criteria, About(prepared.run_id, "reads", started_at))
    consistency = summary.scenarios["main"].distributions["consistency"]
    brackets = []
    for p in (Fraction(1, 2), Fraction(99, 100)):
        lower, upper = consistency.bracket(p)
        if lower is None or upper is None:
            raise BenchmarkError(f"{rate}/s: no p{float(p * 100):g}; the run went wrong: {summary.vitals.errors}")
        brackets.append(
            f"p{float(p * 100):g} {lower / 1e9:.2f} to {upper / 1e9:.2f} s ({1 - lower / upper:.1%} wide)"
        )
    stretch = max(probe.stretch for probe in summary.vitals.probes.values())
    return (
        f"{rate} events/s one by one: {report.verdict.name}, {summary.vitals.event_reads} reads, "
        f"{summary.vitals.cpu_share or 0:.0%} of the core, gaps widened {stretch:.2g} x; {', '.join(brackets)}"
    )


def _cost(kind: str, summary: Summary, used_ns: int) -> tuple[float, str]:
    vitals, ledger = summary.vitals, summary.total().ledger
    events = _RATES[kind] * _SECONDS
    if ledger["visible"] != events or vitals.failed_reads:
        raise BenchmarkError(f"{kind}: the run went wrong: {dict(ledger)}, {vitals.errors}")
    count = events if kind == "feed" else vitals.event_reads
    cost = used_ns / count / 1e3
    stretch = max(probe.stretch for probe in vitals.probes.values())
    share = f"{vitals.cpu_share or 0:.0%} of the core in the busiest ten seconds, gaps widened {stretch:.2g} x"
    reads = f"{vitals.event_reads} reads of {events} events in {vitals.read_requests} requests"
    return cost, f"{cost:.1f} µs {'an event' if kind == 'feed' else 'a read'}; {reads}, {share}"


async def _bare(url: str) -> float:
    """CPU in µs of one GET, by some workers that do nothing else."""
    left = _GETS
    address = f"{url}/items/01234567-89ab-8cde-8000-000000000001"
    clock = SystemClock()

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            async with session.get(address) as response:
                await response.read()

    async with aiohttp.ClientSession() as session:
        used = clock.cpu_ns() or 0
        await asyncio.gather(*(work(session) for _ in range(_AT_A_TIME)))
        return ((clock.cpu_ns() or 0) - used) / _GETS / 1e3


def _k6(url: str) -> float:
    """CPU in µs of one GET of k6's, its start included. Raises BenchmarkError if it isn't installed."""
    program = peer("k6")
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        script = Path(directory) / "script.js"
        values: dict[str, Any] = {"URL": f"{url}/items/1", "GETS": _GETS, "USERS": _AT_A_TIME}
        text = _K6
        for name, value in values.items():
            text = text.replace(name, str(value))
        script.write_text(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run([program, "run", "--quiet", "--no-usage-report", str(script)], timeout_s=120, env={"GOMAXPROCS": "1"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / _GETS * 1e6


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.reads: {error}")
