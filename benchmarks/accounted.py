"""One trial of evload at a rate, held against its ledger and against what the receiver saw."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from .rig import config, evload_run, receiver

_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a trial. `growth` is how fast the events without an answer grew, as a share of the rate."""

    rate: int
    scheduled: int
    acked: int
    arrived: int
    requests: int
    sent_rate: float
    growth: float
    late_p99_ns: int
    receiver_busy: float

    @property
    def complete(self) -> bool:
        """Every event is in the ledger, acked, and at the receiver."""
        return self.acked == self.scheduled == self.arrived

    @property
    def sustained(self) -> bool:
        """Complete, sent at the rate that was asked for, and nothing piled up."""
        return self.complete and self.sent_rate >= self.rate * (1 - _TOLERANCE) and self.growth <= _TOLERANCE

    def __str__(self) -> str:
        verdict = "sustained" if self.sustained else "not sustained" if self.complete else "EVENTS MISSING"
        return (
            f"evload {self.rate:6}/s: {verdict}; {self.acked} of {self.scheduled} acked, {self.arrived} arrived, "
            f"sent at {self.sent_rate:.0f}/s, p99 late {self.late_p99_ns / 1e6:.2f} ms, backlog grows by "
            f"{max(self.growth, 0):.1%} of the rate, receiver {self.receiver_busy:.0%} busy"
        )


def trial(mode: str, rate: int, seconds: int, **producer: Any) -> Trial:
    """A real run with its ledger file, on one core. Raises BenchmarkError."""
    with (
        receiver() as received,
        evload_run(config(received.url, mode, rate, seconds, **producer), timeout_s=60) as out,
        closing(sqlite3.connect(out / "events.sqlite")) as ledger,
    ):
        rows = ledger.execute("SELECT intended_ns, sent_ns, acked_ns FROM events").fetchall()
    intended = sorted(row[0] for row in rows)
    sent = sorted(row[1] for row in rows if row[1] is not None)
    acked = sorted(row[2] for row in rows if row[2] is not None)
    length = seconds * 1_000_000_000
    early, late = length // 3, length * 99 // 100
    backlog = [_until(intended, at) - _until(acked, at) for at in (early, late)]
    lateness = sorted(row[1] - row[0] for row in rows if row[1] is not None)
    return Trial(
        rate=rate,
        scheduled=rate * seconds,
        acked=len(acked),
        arrived=received.events or len(received.stamps),
        requests=len(received.stamps),
        sent_rate=(len(sent) - 1) / (sent[-1] - sent[0]) * 1e9,
        growth=(backlog[1] - backlog[0]) / ((late - early) / 1e9) / rate,
        late_p99_ns=lateness[len(lateness) * 99 // 100],
        receiver_busy=received.busy(),
    )


def _until(stamps: list[int], at_ns: int) -> int:
    return sum(stamp <= at_ns for stamp in stamps)
