"""Runs Locust's FastHttpUser in a closed loop against a URL, on one core."""

from __future__ import annotations

from pathlib import Path

from .peers import peer
from .rig import run


def closed_loop(url: str, body: str, seconds: int, users: int) -> None:
    """As many requests as `users` users can do in `seconds`, all in one process. Raises BenchmarkError."""
    script = Path(__file__).with_name("locustfile.py")
    command = [
        peer("locust"), "-f", str(script), "--headless", "--host", url.rstrip("/"), "--users", str(users),
        "--spawn-rate", "1000", "--run-time", f"{seconds}s", "--only-summary",
    ]  # fmt: skip
    run(command, timeout_s=seconds + 30, env={"BENCH_BODY": body})
