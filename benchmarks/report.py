"""What `evload report` of a million events costs, of plain ones and of those of which much is known.

    python -m benchmarks.report [EVENTS] [--beside SRC] [--formats json,html]

The ledgers are written by the run's own ledger, without the engine that would take minutes for them: `plain` events
have no more than their publish and when one probe saw them; of `rich` ones the read model has three replicas, and
tells effects, positions of keys, and stamps of its own. Then `evload report` runs in a process of its own, with the
version in the folder SRC in turns beside this one, and its CPU time counts, that of the start included.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from evload.ledger import replay
from evload.ledger.writer import LedgerFile
from evload.model.states import State
from evload.model.travel import Observation, Part
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.summary.fold_plan import Counted, ScenarioPlan
from evload.units import NS_PER_S

from .rig import ROOT

_EVENTS: Final = 1_000_000
_RATE: Final = 10_000
_BATCH: Final = 20_000
_TURNS: Final = 3
_TARGET: Final = 3.0
_MOST_MIB: Final = 600
_DEADLINE_NS: Final = 15 * NS_PER_S
_BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_OBJECTIVES: Final = ("p99(consistency) < 2s", "p95(end_to_end) < 3s", "lost == 0", "duplicates == 0", "errors == 0")
_REPLICAS: Final = ("eu-1", "eu-2", "us-1")
_KEYS: Final = 5_000
_EPOCH_NS: Final = 1_767_225_600 * NS_PER_S
_KINDS: Final = ("plain", "rich")


class Cost(NamedTuple):
    """Of one report: seconds of CPU, and MiB of memory at most."""

    cpu_s: float
    peak: float


def main() -> int:
    """1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report")
    parser.add_argument("events", nargs="?", type=int, default=_EVENTS)
    parser.add_argument("--beside", type=Path, help="the folder `src` of another version")
    parser.add_argument("--formats", default="json,html")
    parser.add_argument("--turns", type=int, default=_TURNS)
    parser.add_argument("--kinds", default=",".join(_KINDS))
    asked = parser.parse_args()
    missed = False
    for kind in asked.kinds.split(","):
        with TemporaryDirectory(prefix="evload-bench-") as name:
            directory = Path(name)
            if not os.fork():
                _write(directory, asked.events, kind == "rich")
                os._exit(0)
            os.wait()
            for form in asked.formats.split(","):
                missed |= _compare(directory, kind, form, asked.events, asked.turns, asked.beside)
    return int(missed)


def _compare(directory: Path, kind: str, form: str, events: int, turns: int, beside: Path | None) -> bool:
    """Whether a target is missed."""
    told = f"{kind}, {form}: {events:,} events"
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for _ in range(turns):
        ours.append(_report(directory, form, ROOT / "src", "ours"))
        if beside is not None:
            theirs.append(_report(directory, form, beside.absolute(), "theirs"))
    cpu_s, peak = median(one.cpu_s for one in ours), max(one.peak for one in ours)
    told += f", {cpu_s:.1f} CPU s, {cpu_s / events * 1e6:.1f} us an event, peak {peak:.0f} MiB"
    if beside is None:
        print(f"{told}\nratio: {peak / _MOST_MIB:.2f} of {_MOST_MIB} MiB (target: at most 1)", flush=True)
        return peak > _MOST_MIB
    before_s, before_peak = median(one.cpu_s for one in theirs), max(one.peak for one in theirs)
    same = filecmp.cmp(directory / "ours", directory / "theirs", shallow=False)
    print(f"{told}; beside {before_s:.1f} CPU s, peak {before_peak:.0f} MiB")
    print(f"the same to the byte: {'yes' if same else 'NO'}")
    print(f"ratio: {before_s / cpu_s:.2f} times as fast (target: {_TARGET:.0f})", flush=True)
    return before_s / cpu_s < _TARGET or not same or peak > _MOST_MIB


def _report(directory: Path, form: str, source: Path, name: str) -> Cost:
    """What it costs to write the report to a file of that name."""
    command = [sys.executable, "-m", "evload", "report", str(directory), "--format", form]
    command += ["--out", str(directory / name)]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    process = os.posix_spawn(sys.executable, command, environment)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"evload report ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


# -- the ledgers -------------------------------------------------------------------------------------------


def _write(directory: Path, events: int, rich: bool) -> None:
    length_ns = events * NS_PER_S // _RATE
    counted = Counted((("consistency", 2 * NS_PER_S), ("end_to_end", 3 * NS_PER_S)), on_time=True)
    plan = ScenarioPlan(
        "load", True, _DEADLINE_NS, counted, probes=((0, "read-model"),), phases=((0, length_ns),), event="placed"
    )
    criteria = Criteria(
        [parse(text) for text in _OBJECTIVES], SelfCheckPolicy(), {"read-model": _DEADLINE_NS},
        {"load": ScenarioCriteria(0, length_ns, watched=True, events=events, rates=((0, length_ns, _RATE, _RATE),))},
    )  # fmt: skip
    meta = replay.meta(
        "bench", "bench", criteria, plans=[plan], events=["placed"], probes=["read-model"], gauges={}, segment=(0, 1),
        stages=[("load", 0, length_ns, "hold")],
    )  # fmt: skip
    ledger = LedgerFile(directory / "events.sqlite", {**meta, "started_at": _BEGAN_AT.isoformat()}, threaded=False)
    ledger.begin(0, _BEGAN_AT)
    rng = random.Random(1)
    for first in range(0, events, _BATCH):
        ledger.append([_event(seq, rng, rich) for seq in range(first, min(first + _BATCH, events))])
    noted = {"duration_ns": length_ns + _DEADLINE_NS, "event_reads": 20 * events, "read_requests": events // 5}
    ledger.note(length_ns + _DEADLINE_NS, {"scheduled": [events], "vitals": noted, "final": True})
    ledger.close()


def _event(seq: int, rng: random.Random, rich: bool) -> Observation:
    due = seq * NS_PER_S // _RATE
    sent = due + int(rng.expovariate(1 / 200_000))
    acked = sent + int(rng.lognormvariate(14.5, 0.4))
    seen = Observation(
        seq, 0, 0, State.VISIBLE, due, f"k-{rng.randrange(_KEYS)}" if rich else None, sent, acked, True, reads=12,
        status=202, own_delay=sent - due, bytes_out=300 + seq % 7, bytes_in=20,
    )  # fmt: skip
    if rng.random() < 0.0001:
        seen.state, seen.reads = State.LOST, 40
        seen.stable_lower_ns = seen.settled_ns = acked + _DEADLINE_NS
        if rich:
            never = Part(0, None, State.LOST, None, None, seen.stable_lower_ns, None)
            seen.parts = (never, *(never._replace(replica=name) for name in _REPLICAS))
        return seen
    lower = acked + int(rng.lognormvariate(19, 0.6))
    upper = lower + (lower - acked) // 10
    seen.first_lower_ns = seen.stable_lower_ns = lower
    seen.first_upper_ns = seen.stable_upper_ns = upper
    if rich:
        seen.effects, seen.position = 1, seq + rng.randrange(40)
        seen.consumed_at = _EPOCH_NS + acked + (lower - acked) // 3
        seen.processed_at = _EPOCH_NS + acked + (lower - acked) // 2
        seen.parts = tuple(_parts(seen))
        last = seen.parts[0].stable_upper_ns
        assert last is not None
        seen.stable_lower_ns, seen.stable_upper_ns = seen.parts[0].stable_lower_ns, last
    assert seen.stable_upper_ns is not None
    seen.settled_ns = seen.stable_upper_ns + 5 * NS_PER_S
    return seen


def _parts(seen: Observation) -> Iterator[Part]:
    """What the read model as a whole says, and then each replica: one after the other has it."""
    first = seen.first_lower_ns, seen.first_upper_ns
    spans: Sequence[tuple[int, int]] = [
        (low + lag, high + lag) for lag in (0, 30_000_000, 80_000_000) for low, high in [first] if low and high
    ]
    yield Part(0, None, State.VISIBLE, *first, *spans[-1])
    for name, span in zip(_REPLICAS, spans, strict=True):
        yield Part(0, name, State.VISIBLE, *span, *span)


if __name__ == "__main__":
    sys.exit(main())
