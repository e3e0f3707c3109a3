"""Runs all benchmarks, one after another.

python -m benchmarks
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from .peers import ENVIRONMENT
from .rig import ROOT

_BENCHMARKS: Final = (
    "engine_share", "arrivals", "http_rate", "journeys", "stalls", "batched", "rabbitmq", "eventbridge", "sql_probe",
    "reads", "watched", "memory", "accuracy", "false_decisions", "compare_builds", "long_report", "report", "start",
)  # fmt: skip


def main() -> int:
    """1 if one of them could not be run."""
    failed = 0
    for name in (*(() if ENVIRONMENT.exists() else ("peers",)), *_BENCHMARKS):
        print(f"== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT).returncode
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
