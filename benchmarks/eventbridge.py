"""Events per second to EventBridge on one core: evload against a plain aioboto3 loop of ten entries per call.

    python -m benchmarks.eventbridge

The bus is a stub on the other core. evload is a real run: every event is rendered, sent in a signed call, settled and
in the ledger file; it is offered more than it can send. The peer sends the same ten entries again and again,
in one loop and in sixteen side by side, of which the better counts.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Final

from .rig import ROOT, SERVER_CORE, BenchmarkError, evload_run, run

_ROUNDS: Final = 3
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
    """The stub. `entries` and `cpu_s` are known at its end."""

    url: str
    entries: int = 0
    cpu_s: float = 0.0


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
            seen = json.loads(process.stdout.readline())
        bus.entries, bus.cpu_s = seen["entries"], seen["cpu_s"]


def main() -> None:
    os.environ.update(_IDENTITY)
    ours: list[float] = []
    theirs: dict[int, list[float]] = {loops: [] for loops in _LOOPS}
    for _ in range(_ROUNDS):
        ours.append(_evload())
        for loops in _LOOPS:
            theirs[loops].append(_peer(loops))
    peer = max(median(rates) for rates in theirs.values())
    print(f"evload {median(ours):.0f}/s, aioboto3 {peer:.0f}/s")
    print(f"ratio: {median(ours) / peer:.2f} x aioboto3 (target: {_TARGET:g})")


def _evload() -> float:
    with (
        stub() as bus,
        evload_run(_config(bus.url), timeout_s=120) as out,
        closing(sqlite3.connect(out / "events.sqlite")) as ledger,
    ):
        rows = ledger.execute("SELECT sent_ns, acked_ns FROM events").fetchall()
        errors = json.loads((out / "summary.json").read_bytes())["errors"]
    acked = [row[1] for row in rows if row[1] is not None]
    if not len(acked) == len(rows) == bus.entries == _OFFERED * _SECONDS:
        raise BenchmarkError(f"{len(rows)} events, {len(acked)} acked, {bus.entries} arrived: {errors}; try again")
    length_s = (max(acked) - min(row[0] for row in rows)) / 1e9
    rate: float = len(rows) / length_s
    print(
        f"evload           {rate:6.0f}/s, {len(rows)} events in the ledger, bus {bus.cpu_s / length_s:.0%} busy",
        flush=True,
    )
    return rate


def _peer(loops: int) -> float:
    with stub() as bus:
        command = [sys.executable, "-m", "benchmarks.eventbridge_peer", bus.url, str(loops), str(_SECONDS)]
        rate = float(run(command, timeout_s=60))
    print(f"aioboto3 x {loops:2}    {rate:6.0f}/s, bus {bus.cpu_s / _SECONDS:.0%} busy", flush=True)
    return rate


def _config(url: str) -> dict[str, Any]:
    """One unwatched scenario that offers more than one core can send, and waits for room."""
    return {
        "name": "benchmark",
        "producers": {"bus": {"kind": "eventbridge", "endpoint": url, "in_flight": 2_000}},
        "events": {
            "placed": {
                "type": "placement.created",
                "source": "/evload/bench",
                "data": {"video_id": "{uuid}", "product_id": "{choice:p-1,p-2,p-3}"},
            }
        },
        "scenarios": {
            "load": {
                "producer": "bus",
                "events": {"placed": 1},
                "load": [{"rate": f"{_OFFERED}/s", "for": f"{_SECONDS}s"}],
            }
        },
    }


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.eventbridge: {error}")
