"""What evload itself spends on an event, without a transport: schedule, render, track, record, ledger row.

    python -m benchmarks.engine_share

The rooms are driven as the engine drives them, in batches, with receipts and reads that are there at once.
Unwatched events, and events that are seen in one read each; what it takes to plan and to understand that read
comes on top. CPU time, that of the thread which writes the ledger file included.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import TypeAdapter

from evload.clock import rfc3339
from evload.ledger.writer import LedgerFile
from evload.model.correlation import CorrelationIds
from evload.model.states import Outcome, Seen
from evload.model.travel import Encoding, Read, Receipt
from evload.summary.fold_plan import Counted, ScenarioPlan
from evload.summary.recorder import Recorder
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.tracker import Tracker
from evload.units import NS_PER_S
from evload.workload.events import EventSettings, EventType, Renderer
from evload.workload.schedule import Arrivals, Load

from .rig import CLIENT_CORE

_BATCH: Final = 64
_EVENTS: Final = 100_000
_ROUNDS: Final = 5
_TARGET_US: Final = 12.0
_RATE: Final = 10_000
_ROOMS: Final = ("schedule", "render", "track", "read", "record", "ledger")


class _Split:
    """CPU nanoseconds spent in each room."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(_ROOMS, 0)

    @contextmanager
    def room(self, name: str) -> Iterator[None]:
        began = time.thread_time_ns()
        yield
        self.spent[name] += time.thread_time_ns() - began

    def us_per_event(self) -> dict[str, float]:
        return {name: spent / _EVENTS / 1e3 for name, spent in self.spent.items()}


def main() -> None:
    os.sched_setaffinity(0, {CLIENT_CORE})
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)  # As in a run.
    rounds: dict[str, list[dict[str, float]]] = {"unwatched": [], "watched": []}
    for _ in range(_ROUNDS):
        for variant, splits in rounds.items():
            splits.append(_drive(watched=variant == "watched"))
    shares = []
    for variant, splits in rounds.items():
        rooms = {room: median(split[room] for split in splits) for room in _ROOMS}
        read = rooms.pop("read")
        total = sum(rooms.values())
        shares.append(f"{variant} {total / _TARGET_US:.2f}")
        split = ", ".join(f"{room} {spent:.2f}" for room, spent in rooms.items())
        print(
            f"{variant:9} {total:5.2f} µs an event, medians of {_ROUNDS}: {split}"
            + f"; its read {read:.2f}" * (read > 0)
        )
    print(f"ratio: {', '.join(shares)} of the budget of {_TARGET_US:.0f} µs an event (target: at most 1)")


def _drive(*, watched: bool) -> dict[str, float]:
    split = _Split()
    reading = ReadingPlan(5 * NS_PER_S, 20_000_000, 0.1, None, 1.0, 0, 0, (("acked", NS_PER_S),))
    counted = Counted((("consistency", NS_PER_S), ("end_to_end", 2 * NS_PER_S)))
    fold = ScenarioPlan("main", watched, 5 * NS_PER_S, counted)
    tracker = Tracker([{0: reading} if watched else {}], int(watched))
    recorder = Recorder([fold], 0)
    load = TypeAdapter[Load](Load).validate_python([{"rate": f"{_RATE}/s", "for": f"{_EVENTS // _RATE}s"}])
    arrivals = Arrivals(load, "constant", "seed")
    renderer = _renderer()
    now = 0
    wall = datetime(2026, 1, 1, tzinfo=UTC)
    settled = 0
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        ledger = LedgerFile(Path(directory) / "events.sqlite", {})
        others_ns = time.process_time_ns() - time.thread_time_ns()
        while settled < _EVENTS:
            now += _BATCH * NS_PER_S // _RATE
            with split.room("schedule"):
                offsets = arrivals.take_until(now, _BATCH)
            with split.room("render"):
                events = renderer.render(offsets, rfc3339(wall))
            with split.room("record"):
                recorder.expect(0, [(event.seq, event.intended_ns, event.key, event.type) for event in events])
            with split.room("track"):
                tracker.expect(events, now)
            receipts = [Receipt(event.seq, Outcome.ACCEPTED, now, now + 500_000) for event in events]
            with split.room("track"):
                tracker.settle(receipts, now)
            if watched:
                with split.room("read"):
                    targets = tracker.due(0, now + 30_000_000, 10 * _BATCH)
                reads = [Read(t.seq, Seen.PRESENT, now + 30_000_000, now + 31_000_000) for t in targets]
                with split.room("read"):
                    tracker.observe(0, reads, now + 31_000_000)
            with split.room("track"):
                observations = tracker.take()
            settled += len(observations)
            with split.room("record"):
                recorder.settle(observations)
            with split.room("ledger"):
                ledger.append(observations)
        with split.room("ledger"):
            ledger.close()
        split.spent["ledger"] += time.process_time_ns() - time.thread_time_ns() - others_ns
    assert recorder.summary().total().ledger["acked"] == _EVENTS
    return split.us_per_event()


def _renderer() -> Renderer:
    settings = EventSettings(
        type="placement.created",
        source="/evload/bench",
        data={"video_id": "{uuid}", "product_id": "{choice:p-1,p-2,p-3}"},
    )
    return Renderer(
        scenario=0, scenarios=1, types=[EventType(0, "placed", settings, 1, None)], encoding=Encoding(),
        ids=CorrelationIds.for_run("benchmark"), run_id="benchmark", seed="1",
    )  # fmt: skip


if __name__ == "__main__":
    main()
