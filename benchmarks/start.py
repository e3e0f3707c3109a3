"""What people wait for at a terminal: help, a config that is checked, the verdict of a burst, its report.

    python -m benchmarks.start [ROUNDS]

Commands that are over at once are told by the CPU that they take, in turns with a Python that does nothing: that is
the scale, whatever else the machine does. Bursts of a second, at a sandbox on the other core, are told by the clock.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from .rig import CLIENT_CORE, ROOT, SERVER_CORE, BenchmarkError

_EVLOAD: Final = str(Path(sys.executable).with_name("evload"))
_BARE: Final = (sys.executable, "-c", "pass")
_ROUNDS: Final = 9
_BURSTS: Final = 3
_VERDICTS: Final = ("PASS  ", "WARN  ", "FAIL  ", "INCONCLUSIVE  ", "INVALID  ")
_CONFIRMING: Final = "confirming"
_MOST_OF_BARE: Final = 50 / 15
"""What help may take: 50 ms where a bare Python takes 15."""
_MOST_S: Final = (2.0, 3.0)
"""Until the verdict of an unwatched burst is there, and until its report is."""


class _Burst(NamedTuple):
    """When what it says was there, in seconds since the command was given."""

    verdict: float
    end: float
    confirming: float | None
    cpu: float


def main(rounds: int) -> int:
    """1 if a target is missed."""
    config = str(ROOT / "src" / "evload" / "starters" / "sandbox.yaml")
    completing = {"_EVLOAD_COMPLETE": "complete_bash", "COMP_WORDS": "evload re", "COMP_CWORD": "1"}
    commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
        "a bare Python": (_BARE, {}),
        "evload --help": ((_EVLOAD, "--help"), {}),
        "a verb is completed": ((_EVLOAD,), completing),
        "evload validate --help": ((_EVLOAD, "validate", "--help"), {}),
        "evload validate": ((_EVLOAD, "validate", config), {}),
    }
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, (command, environment) in commands.items():
            cpu = _cpu_of(command, environment)
            if turn:  # what is compiled and read for the first time doesn't count
                spent[name].append(cpu)
    bare = median(spent["a bare Python"])
    for name, all_of_it in spent.items():
        print(f"{name:<24}{median(all_of_it) * 1000:6.0f} ms of CPU{median(all_of_it) / bare:7.1f} × a bare Python")
    with _sandbox() as url:
        unwatched = [_burst(f"{url}/events") for _ in range(_BURSTS)]
        watched = _burst(f"{url}/events", "--probe", f"{url}/items/{{correlation_id}}")
    for name, one in (*(("unwatched", each) for each in unwatched), ("watched", watched)):
        said = "" if one.confirming is None else f"confirms from {one.confirming:.2f} s on, "
        said += f"verdict after {one.verdict:.2f} s, report after {one.end:.2f} s"
        print(f"burst, {name}: {said}; {one.cpu:.2f} s of CPU")
    of_bare = median(spent["evload --help"]) / bare
    verdict, end = median(one.verdict for one in unwatched), median(one.end for one in unwatched)
    print(
        f"ratio: help {of_bare:.1f} × a bare Python (target: at most {_MOST_OF_BARE:.1f}); unwatched, verdict after "
        f"{verdict:.2f} s (at most {_MOST_S[0]:g}), report after {end:.2f} s (at most {_MOST_S[1]:g})"
    )
    kept = of_bare <= _MOST_OF_BARE and verdict <= _MOST_S[0] and end <= _MOST_S[1]
    return int(not kept or watched.confirming is None)


def _cpu_of(command: Sequence[str], environment: Mapping[str, str] = {}) -> float:
    """The CPU that a command takes, in seconds."""
    before = _children()
    subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, env={**os.environ, **environment},
        preexec_fn=partial(os.sched_setaffinity, 0, {CLIENT_CORE}),
    )  # fmt: skip
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _sandbox() -> Iterator[str]:
    """The embedded pipeline on the other core; yields its address."""
    with subprocess.Popen(
        [_EVLOAD, "sandbox", "--port", "0", "--set", "visibility=50ms"], stdout=subprocess.PIPE, text=True,
        preexec_fn=partial(os.sched_setaffinity, 0, {SERVER_CORE}),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline().split()
        try:
            if first[:2] != ["listening", "on"]:
                raise BenchmarkError(f"the sandbox doesn't start: {' '.join(first)}")
            yield first[2]
        finally:
            process.terminate()


def _burst(url: str, *options: str) -> _Burst:
    """A burst of a second."""
    before, verdict, confirming = _children(), None, None
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        command = [_EVLOAD, "burst", url, "--rate", "200/s", "--for", "1s", "--out", f"{directory}/run", *options]
        began = time.perf_counter()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            preexec_fn=partial(os.sched_setaffinity, 0, {CLIENT_CORE}),
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                if verdict is None and line.startswith(_VERDICTS):
                    verdict = time.perf_counter() - began
                elif confirming is None and _CONFIRMING in line:
                    confirming = time.perf_counter() - began
        end = time.perf_counter() - began
        if verdict is None or not Path(directory, "run", "report.html").exists():
            raise BenchmarkError(f"a burst ended with {process.returncode} and has no verdict or no report")
    return _Burst(verdict, end, confirming, _children() - before)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS))
