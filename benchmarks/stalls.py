"""What users that wait for their answers don't tell: a target that answers at once stands still for 5 s.

    python -m benchmarks.stalls

Twenty users that ask ten times a second for twenty seconds: by Locust, by evload in the same closed loop, by
evload at a fixed pace, and by evload in an open loop at the rate that these users would make. Of people who
come by themselves one in four would have met the stall; a closed loop asks nothing meanwhile, and has one slow
answer for each user.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from .peers import peer
from .rig import ROOT, BenchmarkError, evload_run, run

_USERS: Final = 20
_SECONDS: Final = 20
_STALL: Final = (7.0, 12.0)
"""From when to when it answers nothing, in seconds since the first request."""
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def main() -> None:
    rows = [
        ("Locust, waits 100 ms after each answer", _locust()),
        ("evload, the same", _evload({"think": "100ms", "load": [_users()]})),
        ("evload, users at a fixed pace (every: 100ms)", _evload({"every": "100ms", "load": [_users()]})),
        ("evload, open loop at 200/s", _evload({"load": [{"rate": f"{10 * _USERS}/s", "for": f"{_SECONDS}s"}]})),
    ]
    print(f"{'a target that stands still for 5 s of 20':46} {'p50':>8} {'p95':>8} {'p99':>8} {'asked':>7}")
    for name, (asked, *percentiles) in rows:
        print(f"{name:46} " + " ".join(f"{value:6.2f} s" for value in percentiles) + f" {asked:7}")


def _users() -> Mapping[str, Any]:
    return {"users": _USERS, "for": f"{_SECONDS}s"}


def _evload(scenario: Mapping[str, Any]) -> tuple[int, float, float, float]:
    with _target() as url:
        config = {
            "name": "stalls",
            "producers": {"shop": {"kind": "http", "url": url}},
            "journeys": {"look": {"steps": [{"look": {"to": "shop", "get": "/"}}]}},
            "scenarios": {"users": {"journeys": ["look"], **scenario}},
            "slos": [],
        }
        with evload_run(config, timeout_s=_SECONDS + 60) as out:
            summary = json.loads((out / "summary.json").read_text())
    told = summary["scenarios"]["users"]["journeys"]["look"]
    p50, p95, p99 = (told["journey"][name][1] for name in ("p50", "p95", "p99"))
    return told["iterations"]["started"], p50, p95, p99


def _locust() -> tuple[int, float, float, float]:
    with _target() as url, TemporaryDirectory(prefix="evload-bench-") as directory:
        script = Path(directory) / "locustfile.py"
        script.write_text(
            "from locust import FastHttpUser, constant, task\n"
            "class Looker(FastHttpUser):\n"
            "    wait_time = constant(0.1)\n"
            "    @task\n"
            "    def look(self):\n"
            "        self.client.get('/')\n"
        )
        command = [
            peer("locust"), "-f", str(script), "--headless", "--host", url, "--users", str(_USERS), "--spawn-rate",
            "1000", "--run-time", f"{_SECONDS}s", "--json", "--skip-log",
        ]  # fmt: skip
        (told,) = json.loads(run(command, timeout_s=_SECONDS + 40))
    times = sorted(float(ms) for ms, count in told["response_times"].items() for _ in range(count))
    p50, p95, p99 = (times[min(len(times) - 1, int(share * len(times)))] / 1000 for share in (0.50, 0.95, 0.99))
    return told["num_requests"], p50, p95, p99


@contextmanager
def _target() -> Iterator[str]:
    """The target, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stalls", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


async def _serve() -> None:
    began: list[float] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                now = time.monotonic()
                if not began:
                    began.append(now)
                if _STALL[0] <= now - began[0] < _STALL[1]:
                    await asyncio.sleep(_STALL[1] - (now - began[0]))
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.stalls: {error}")
