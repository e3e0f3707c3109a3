"""What the report of a long run costs: eight hours and ten million events, from the end of the load to the page.

    python -m benchmarks.long_report [EVENTS]

The events are drawn and folded by the run's own recorder and written by its own ledger, without the engine that would
take an hour for them. Then a process of its own makes the report as a run does at its end, and is measured.
"""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from evload.formats.html import HtmlFormat
from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.ledger.writer import LedgerFile
from evload.model.states import State
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.report.build import About, build
from evload.summary.fold_plan import Counted, ScenarioPlan
from evload.summary.recorder import Recorder
from evload.units import NS_PER_S

_EVENTS: Final = 10_000_000
_HOURS: Final = 8
_BATCH: Final = 20_000
_LIMIT_NS: Final = 2 * NS_PER_S
_TARGETS: Final = (60.0, 500.0, 2.0)
"""Seconds, MiB of memory, MiB of the page."""


def main() -> int:
    """1 if a target is missed."""
    if sys.argv[1:2] == ["tell"]:
        return _tell(Path(sys.argv[2]))
    events = int(sys.argv[1]) if len(sys.argv) > 1 else _EVENTS
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        _write(Path(directory), events)
        made = subprocess.run(
            [sys.executable, "-m", "benchmarks.long_report", "tell", directory],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    seconds, peak, size = (float(figure) for figure in made.stdout.split()[-3:])
    print(f"{events:,} events over {_HOURS} h: report in {seconds:.1f} s, peak {peak:.0f} MiB, page {size:.2f} MiB")
    ratios = [figure / target for figure, target in zip((seconds, peak, size), _TARGETS, strict=True)]
    print(
        "ratio: " + ", ".join(f"{ratio:.2f}" for ratio in ratios) + " of 60 s, 500 MiB and 2 MiB (target: at most 1)"
    )
    return int(max(ratios) > 1)


_BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _criteria() -> Criteria:
    spans = {"soak": ScenarioCriteria(0, _HOURS * 3600 * NS_PER_S, watched=True)}
    objectives = [parse("p99(consistency) < 2s"), parse("lost == 0")]
    return Criteria(objectives, SelfCheckPolicy(), {"read-model": 15 * NS_PER_S}, spans)


def _write(directory: Path, events: int) -> None:
    plan = ScenarioPlan(
        "soak", True, 15 * NS_PER_S, Counted((("consistency", _LIMIT_NS),)), probes=((0, "read-model"),)
    )
    meta = replay.meta(
        "soak", "soak", _criteria(), plans=[plan], events=["e"], probes=["read-model"], gauges={}, segment=(0, 1),
        stages=[("soak", 0, _HOURS * 3600 * NS_PER_S, "hold")],
    )  # fmt: skip
    ledger = LedgerFile(directory / "events.sqlite", {**meta, "started_at": _BEGAN_AT.isoformat()}, threaded=False)
    ledger.begin(0, _BEGAN_AT)
    recorder = Recorder([plan], 0)
    rng = random.Random(1)
    period = _HOURS * 3600 * NS_PER_S // events
    for first in range(0, events, _BATCH):
        batch = [_event(seq, seq * period, rng) for seq in range(first, min(first + _BATCH, events))]
        recorder.expect(0, [(seen.seq, seen.intended_ns, None, 0) for seen in batch])
        recorder.settle(batch)
        ledger.append(batch)
    ledger.close()
    recorder.vitals.duration_ns = _HOURS * 3600 * NS_PER_S
    (directory / "summary.pickle").write_bytes(pickle.dumps(recorder.summary()))


def _event(seq: int, at_ns: int, rng: random.Random) -> Observation:
    acked = at_ns + 3_000_000
    if rng.random() < 0.0001:
        return Observation(
            seq, 0, 0, State.LOST, at_ns, None, at_ns + 500_000, acked, True, None, None, acked + 15 * NS_PER_S, None,
            acked + 15 * NS_PER_S, reads=40,
        )  # fmt: skip
    lower = acked + int(rng.lognormvariate(19, 0.6))
    upper = lower + (lower - acked) // 10
    return Observation(
        seq, 0, 0, State.VISIBLE, at_ns, None, at_ns + 500_000, acked, True, lower, upper, lower, upper,
        upper + 5 * NS_PER_S, reads=20,
    )  # fmt: skip


def _tell(directory: Path) -> int:
    before = time.perf_counter()
    summary = pickle.loads((directory / "summary.pickle").read_bytes())
    with LedgerReader(directory / "events.sqlite") as ledger:
        report = build(summary, _criteria(), About("soak", "soak", _BEGAN_AT, directory), ledger)
    (page,) = HtmlFormat().files(report).values()
    seconds = time.perf_counter() - before
    # Of this process alone; what getrusage says begins with the process that started it.
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(seconds, int(peak) / 1024, len(page) / 2**20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
