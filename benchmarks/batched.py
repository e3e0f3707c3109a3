"""Events per second in mode batched (a hundred CloudEvents in a request at most), all in the ledger, on one core.

python -m benchmarks.batched
"""

from __future__ import annotations

import sys
from typing import Final

from .accounted import trial
from .rig import BenchmarkError
from .search import search

_SECONDS: Final = 4
_START: Final = 40_000
_TARGET: Final = 40_000


def main() -> None:
    steps = search(_START)
    rate = next(steps)
    while True:
        done = trial("batched", rate, _SECONDS, batch=100, connections=50)
        print(f"{done}, {done.acked / max(done.requests, 1):.1f} events a request", flush=True)
        try:
            rate = steps.send(done.sustained)
        except StopIteration as end:
            print(f"ratio: {end.value}/s is {end.value / _TARGET:.2f} x the target of {_TARGET}/s")
            return


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.batched: {error}")
