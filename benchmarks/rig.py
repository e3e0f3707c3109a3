"""What the benchmarks share: a receiver on one core, a generator on the other, and how both are run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

CORES: Final = sorted(os.sched_getaffinity(0))
CLIENT_CORE: Final = CORES[0]
SERVER_CORE: Final = CORES[-1]
ROOT: Final = Path(__file__).resolve().parent.parent


class BenchmarkError(Exception):
    """A benchmark can't be run; the text says what to do."""


@dataclass(slots=True)
class Received:
    """What a receiver saw. `stamps` are the arrivals in nanoseconds, in order; the rest is known at its end."""

    port: int
    stamps: Sequence[int] = field(default_factory=list)
    events: int = 0
    cpu_s: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def steady_rate(self, trim_ns: int = 1_000_000_000) -> float:
        """Requests per second, without the first and the last `trim_ns`."""
        first, last = self.stamps[0] + trim_ns, self.stamps[-1] - trim_ns
        return sum(first <= at < last for at in self.stamps) / (last - first) * 1e9

    def busy(self) -> float:
        """Share of its core that the receiver used between its first and its last request."""
        return self.cpu_s / max(self.stamps[-1] - self.stamps[0], 1) * 1e9


@contextmanager
def receiver(*answer: str) -> Iterator[Received]:
    """A receiver on the other core, which answers with this text of JSON, if any. What is yielded is filled in when
    the block ends."""
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        stamps = Path(directory) / "stamps"
        command = [sys.executable, "-m", "benchmarks.receiver", str(stamps), *answer]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            preexec_fn=partial(os.sched_setaffinity, 0, {SERVER_CORE}),
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            received = Received(int(process.stdout.readline()))
            try:
                yield received
            finally:
                process.stdin.close()
                seen = json.loads(process.stdout.readline())
        arrivals = array("q")
        arrivals.frombytes(stamps.read_bytes())
        received.stamps = sorted(arrivals)
        received.events = seen["events"]
        received.cpu_s = seen["cpu_s"]


def run(
    command: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> str:
    """Run a generator on the client's core and return what it printed. Raises BenchmarkError if it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **(env or {})},
            preexec_fn=partial(os.sched_setaffinity, 0, {CLIENT_CORE}),
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{Path(command[0]).name} took longer than {timeout_s:.0f} s") from None
    if done.returncode not in codes:
        raise BenchmarkError(
            f"{Path(command[0]).name} ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}"
        )
    return done.stdout


@contextmanager
def evload_run(config: Mapping[str, Any], *, timeout_s: float) -> Iterator[Path]:
    """A real `evload run` of a config on the client's core; yields the run directory."""
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        path, out = Path(directory) / "bench.yaml", Path(directory) / "run"
        path.write_text(json.dumps(config))  # JSON is YAML.
        evload = str(Path(sys.executable).with_name("evload"))
        # An INVALID verdict (5) is an answer too: the generator was driven to its limit.
        run([evload, "run", str(path), "--out", str(out), "--quiet"], timeout_s=timeout_s, codes=(0, 5))
        yield out


def config(url: str, mode: str, rate: int, seconds: int, **producer: Any) -> dict[str, Any]:
    """A run of one unwatched scenario over HTTP at a constant rate."""
    load = [{"rate": f"{rate}/s", "for": f"{seconds}s"}]
    return unwatched({"kind": "http", "url": url, "mode": mode, **producer}, load)


def unwatched(producer: Mapping[str, Any], load: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A run of one unwatched scenario; a structured event is about 400 bytes."""
    return {
        "name": "benchmark",
        "producers": {"target": producer},
        "events": {
            "placed": {
                "type": "placement.created",
                "source": "/evload/bench",
                "data": {"video_id": "{uuid}", "product_id": "{choice:p-1,p-2,p-3}"},
            }
        },
        "scenarios": {
            "load": {
                "producer": "target",
                "events": {"placed": 1},
                "load": load,
            }
        },
    }


def peer_body() -> str:
    """A structured event as `config` amounts to, for peers to send: constant, so it costs them nothing."""
    ident = "01234567-89ab-8cde-8000-000000000001"
    event = {
        "specversion": "1.0", "id": ident, "source": "/evload/bench", "type": "placement.created",
        "time": "2026-01-31T12:00:00.000000Z", "datacontenttype": "application/json", "correlationid": ident,
        "testrunid": "20260131-120000-abcdef",
        "traceparent": "00-0123456789ab8cde8000000000000001-8000000000000001-01",
        "data": {"video_id": ident, "product_id": "p-1"},
    }  # fmt: skip
    return json.dumps(event, separators=(",", ":"))
