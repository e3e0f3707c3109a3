"""Events per second to EventBridge on one core: evload against a plain aioboto3 loop of ten entries per call.

    python -m benchmarks.eventbridge

The bus is a stub on the other core. evload is a real run: every event is rendered, sent in a signed call, settled and
in the ledger file; it is offered more than it can send. The peer sends the same ten entries again and again,
in one loop and in sixteen side by side. What is compared is the CPU time that an event costs, of the best round of
either side, because whatever else runs on the machine only ever adds to it.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from .rig import ROOT, SERVER_CORE, BenchmarkError, evload_run, run, unwatched

_ROUNDS: Final = 4
_SECONDS: Final = 3
_OFFERED: Final = 50_000
_LOOPS: Final = (1, 16)
_TARGET: Final = 1.5
_IDENTITY: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(slots=True)
class Bus:
    """The stub. `entries` is known at its end."""

    url: str
    entries: int = 0


@contextmanager
def stub() -> Iterator[Bus]:
    """The stub on the other core. What is yielded is filled in when the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.eventbridge_stub"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=partial(os.sched_setaffinity, 0, {SERVER_CORE}),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        bus = Bus(f"http://127.0.0.1:{int(process.stdout.readline())}")
        try:
            yield bus
        finally:
            process.stdin.close()
            bus.entries = int(process.stdout.readline())


def main() -> None:
    os.environ.update(_IDENTITY)
    ours: list[float] = []
    theirs: dict[int, list[float]] = {loops: [] for loops in _LOOPS}
    for _ in range(_ROUNDS):
        ours.append(_evload())
        for loops in _LOOPS:
            theirs[loops].append(_peer(loops))
    peer = max(max(rates) for rates in theirs.values())
    print(f"evload {max(ours):.0f}, aioboto3 {peer:.0f} events per second of CPU")
    print(f"ratio: {max(ours) / peer:.2f} x aioboto3 (target: {_TARGET:g})")


def _evload() -> float:
    """Events per second of CPU, without what a run of a single event takes."""
    fixed_s, _ = _evload_cpu_s([{"burst": 1}], 1)
    count = _OFFERED * _SECONDS
    used_s, length_s = _evload_cpu_s([{"rate": f"{_OFFERED}/s", "for": f"{_SECONDS}s"}], count)
    rate = count / (used_s - fixed_s)
    print(f"evload         {rate:6.0f} per second of CPU, {count / length_s:6.0f}/s; all in the ledger", flush=True)
    return rate


def _evload_cpu_s(load: Sequence[Mapping[str, Any]], count: int) -> tuple[float, float]:
    """CPU time of a run of so many events, and how long it took from the first event to the last answer."""
    with stub() as bus:
        before_s = _children_cpu_s()
        with (
            evload_run(_config(bus.url, load), timeout_s=120) as out,
            closing(sqlite3.connect(out / "events.sqlite")) as ledger,
        ):
            used_s = _children_cpu_s() - before_s
            rows = ledger.execute("SELECT sent_ns, acked_ns FROM events").fetchall()
            errors = json.loads((out / "summary.json").read_bytes())["errors"]
    acked = [row[1] for row in rows if row[1] is not None]
    if not len(acked) == len(rows) == bus.entries == count:
        raise BenchmarkError(f"{len(rows)} events, {len(acked)} acked, {bus.entries} arrived: {errors}; try again")
    return used_s, (max(acked) - min(row[0] for row in rows)) / 1e9


def _children_cpu_s() -> float:
    """CPU time of the processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _peer(loops: int) -> float:
    """Events per second of CPU, set-up not counted."""
    with stub() as bus:
        command = [sys.executable, "-m", "benchmarks.eventbridge_peer", bus.url, str(loops), str(_SECONDS)]
        seen = json.loads(run(command, timeout_s=60))
    rate: float = seen["entries"] / seen["cpu_s"]
    print(
        f"aioboto3 x {loops:2}  {rate:6.0f} per second of CPU, {seen['entries'] / seen['length_s']:6.0f}/s",
        flush=True,
    )
    return rate


def _config(url: str, load: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One unwatched scenario that offers more than one core can send, and waits for room."""
    return unwatched({"kind": "eventbridge", "endpoint": url, "in_flight": 2_000}, load)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.eventbridge: {error}")
