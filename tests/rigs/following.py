"""One event in front of the tracker: published at 0, and read whenever the tracker wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evload.model.states import Outcome, Seen
from evload.model.travel import Event, Observation, Read, Receipt
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.tracker import Tracker

MS = 1_000_000
S = 1_000 * MS
ABSENT, PRESENT, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED

USUAL: Mapping[str, Any] = {
    "deadline_ns": 10 * S, "first_ns": 20 * MS, "resolution": 0.1, "max_gap_ns": None, "sample": 1.0,
    "confirm_reads": 5, "confirm_over_ns": 5 * S,
}  # fmt: skip


def plan_of(**changes: Any) -> ReadingPlan:
    return ReadingPlan(**{**USUAL, **changes})


def event_of(seq: int, intended_ns: int = 0, scenario: int = 0, key: str | None = None) -> Event:
    return Event(seq, f"id-{seq}", scenario, 0, intended_ns, key, b"", (), ())


class Follow:
    """One event, published at 0 and read whenever the tracker wants it."""

    def __init__(self, took_ns: int = MS, sent_ns: int = 0, **plan: Any) -> None:
        self.plan = plan_of(**plan)
        self.tracker = Tracker([{0: self.plan}], 1)
        self.took_ns = took_ns
        self.sent_ns = sent_ns
        self.starts: list[int] = []
        self.tracker.expect([event_of(0)], sent_ns)

    def answered(self, outcome: Outcome, at_ns: int, capture: str | None = None) -> Follow:
        acked = at_ns if outcome not in (Outcome.IN_DOUBT, Outcome.UNSENT) else None
        sent = None if outcome is Outcome.UNSENT else self.sent_ns
        self.tracker.settle([Receipt(0, outcome, sent, acked, "", capture)], at_ns)
        return self

    def acked(self, at_ns: int = 5 * MS) -> Follow:
        return self.answered(Outcome.ACCEPTED, at_ns)

    def start(self) -> int:
        """Begin the next read; the answer is when."""
        due = self.tracker.next_due(0)
        while due is not None:
            if self.tracker.due(0, due, 10):
                self.starts.append(due)
                return due
            due = self.tracker.next_due(0)
        raise AssertionError("nothing is due any more")

    def end(self, seen: Seen, replica: str | None = None, **more: Any) -> int:
        end = self.starts[-1] + self.took_ns
        self.tracker.observe(0, [Read(0, seen, self.starts[-1], end, replica=replica, **more)], end)
        return end

    def read(self, *answers: Seen | tuple[Seen, str | None], **more: Any) -> Follow:
        """Read once for each answer."""
        for answer in answers:
            seen, replica = answer if isinstance(answer, tuple) else (answer, None)
            self.start()
            self.end(seen, replica, **more)
        return self

    def until_settled(self, answer: Callable[[int], Seen | tuple[Seen, str | None]]) -> Observation:
        """Go on reading; `answer` says what a read that starts at a time finds."""
        for _ in range(10_000):
            if self.tracker.settled:
                return self.outcome()
            at = self.start()
            found = answer(at)
            seen, replica = found if isinstance(found, tuple) else (found, None)
            self.end(seen, replica)
        raise AssertionError("never settled")

    def outcome(self) -> Observation:
        (seen,) = self.tracker.take()
        assert self.tracker.outstanding == self.tracker.unanswered == 0
        return seen


def from_time(visible_ns: int) -> Callable[[int], Seen]:
    return lambda at: PRESENT if at >= visible_ns else ABSENT
