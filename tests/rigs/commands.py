"""Runs the real `evload` command in a process of its own, and ends it whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMMAND: Final = Path(sys.executable).with_name("evload")
_PATIENCE_S: Final = 240.0
"""How long a command may take before the test is given up; never what decides one."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both streams."""
        return self.out + self.err


class Started:
    """A command that is running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def first_line(self) -> str:
        """The next line that it prints on stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ended(self) -> Ended:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=_PATIENCE_S)
        return Ended(self.process.returncode, out, err)


@contextmanager
def started(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, through: Sequence[str] = ()
) -> Iterator[Started]:
    """The command with these arguments, running inside the block and killed after it.

    `through` is a command that executes the one given to it as arguments.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    with subprocess.Popen(
        [*through, COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**environment, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Started(process)
        finally:
            process.kill()


def evload(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, through: Sequence[str] = ()
) -> Ended:
    """Run the command to its end."""
    with started(*arguments, cwd=cwd, env=env, through=through) as running:
        return running.ended()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that another process is about to do."""
    until = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def summary_of(directory: Path) -> dict[str, Any]:
    """The summary in a run directory."""
    summary: dict[str, Any] = json.loads((directory / "summary.json").read_bytes())
    return summary


def assert_closes(summary: Mapping[str, Any]) -> None:
    """Both sums of the ledger close, for the run and for each scenario, and the scenarios add up to the run."""
    ledgers = [scenario["ledger"] for scenario in summary["scenarios"].values()]
    for ledger in (summary["ledger"], *ledgers):
        published = sum(ledger[key] for key in ("unsent", "acked", "rejected", "returned", "in_doubt"))
        assert ledger["scheduled"] == published, ledger
        settled = sum(ledger[key] for key in ("visible", "lost", "regressed", "pending", "unobserved"))
        assert ledger["acked"] == settled, ledger
    assert {key: sum(ledger[key] for ledger in ledgers) for key in summary["ledger"]} == summary["ledger"]


def assert_one_clear_line(ended: Ended, code: int, *words: str) -> None:
    """It ended with this exit code and one line, on stderr, that holds the words."""
    assert (ended.code, ended.out) == (code, ""), ended
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    for word in words:
        assert word in lines[0], lines[0]


def sandboxes_of(directory: Path) -> list[int]:
    """Process ids of what is left of the sandbox of a run, which is known by its truth file. Linux only."""
    truth = str(directory / "truth.jsonl").encode()
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if truth in process.read_bytes().split(b"\0"):
                found.append(int(process.parent.name))
    return found
