"""A run's figures counted from the rows of its ledger file alone, by what they are defined to be.

For tests of the fold that fold twice, live and from the file: what both get wrong cancels out there, and not here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_REFUSED = ("unsent", "rejected", "returned")
_ACKED = ("visible", "ended", "lost", "regressed", "pending", "unobserved")


def rows(path: Path, scenario: int = 0) -> list[Mapping[str, Any]]:
    """The settled events of a scenario in the order of its schedule, with the names of their states."""
    query = (
        "SELECT e.*, s.name AS state_name FROM events e JOIN states s USING (state) WHERE scenario = ? ORDER BY seq"
    )
    return list(_all(path, query, scenario))


def parts(path: Path, scenario: int = 0) -> list[Mapping[str, Any]]:
    """What each probe and each replica says of them."""
    query = (
        "SELECT p.*, s.name AS state_name, e.acked_ns, e.sent_ns, e.intended_ns, e.sampled FROM parts p"
        " JOIN events e USING (seq) JOIN states s ON s.state = p.state WHERE e.scenario = ? ORDER BY seq, number"
    )
    return list(_all(path, query, scenario))


def ledger(path: Path, scenario: int = 0) -> dict[str, int]:
    """The counts of a scenario that aren't 0. Every scheduled event has to have a row."""
    found: dict[str, int] = {}
    events = rows(path, scenario)
    for row in events:
        state = row["state_name"]
        placed = [
            other for other in events if other["position"] is not None and other["key"] == row["key"] is not None
        ]
        counts = {
            "scheduled": True,
            state: True,
            "acked": state in _ACKED,
            "regressions": row["regressions"] > 0,
            "recovered": state == "in_doubt" and row["first_upper_ns"] is not None,
            "duplicated": (row["effects"] or 0) > 1,
            "resent": row["resent"] == 1,
            "non_monotonic": row["non_monotonic"] == 1,
            "unread_writes": row["session"] == 0,
            # One that was sent between its ack and its last read, with the same key, was applied before it.
            "out_of_order": row in placed
            and row["acked_ns"] is not None
            and any(
                row["acked_ns"] <= other["sent_ns"] < row["settled_ns"] and other["position"] < row["position"]
                for other in placed
                if (other["sent_ns"], other["seq"]) > (row["sent_ns"], row["seq"])
            ),
            # It was sent between another one and its ack.
            "order_unknown": row in placed
            and any(
                (other["sent_ns"], other["seq"]) < (row["sent_ns"], row["seq"])
                and other["acked_ns"] is not None
                and row["sent_ns"] < other["acked_ns"]
                for other in placed
            ),
        }
        for name, counted in counts.items():
            found[name] = found.get(name, 0) + counted
    return {name: count for name, count in found.items() if count}


def around(path: Path, metric: str, threshold_ns: int, scenario: int = 0) -> tuple[int, int, int, int]:
    """(events, never seen, within, beyond) a threshold of `consistency` or `end_to_end`."""
    brackets = [bracket for row in rows(path, scenario) for bracket in _bracket(row, metric)]
    never = sum(upper is None for _, upper in brackets)
    within = sum(upper is not None and upper <= threshold_ns for _, upper in brackets)
    beyond = sum(
        (lower is None or lower >= threshold_ns) and not (upper is not None and upper <= threshold_ns)
        for lower, upper in brackets
    )
    return len(brackets), never, within, beyond


def _bracket(row: Mapping[str, Any], metric: str) -> Iterator[tuple[int | None, int | None]]:
    """From the ack or the due time until stable-visible, for an event that belongs to the metric."""
    state = row["state_name"]
    if not row["sampled"] or (metric == "consistency" and state not in _ACKED):
        return
    if state in _REFUSED:
        yield None, None
        return
    since = row["acked_ns"] if metric == "consistency" else row["intended_ns"]
    lower = row["sent_ns"] if row["stable_lower_ns"] is None else row["stable_lower_ns"]
    upper = row["stable_upper_ns"]
    yield max(0, lower - since), None if upper is None else max(0, upper - since)


def _all(path: Path, query: str, *values: object) -> Iterator[Mapping[str, Any]]:
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        for row in db.execute(query, values):
            yield dict(row)
