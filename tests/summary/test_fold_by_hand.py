"""A whole summary worked out by hand from a few settled events: every counter, every end of a bracket, every step.

Held against the fold and against the ledger file: to compare these two with each other alone would never show what
both do wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evload.model.states import Seen, State
from evload.summary.fold_plan import ScenarioPlan, Slice
from tests.rigs.by_hand import (
    LOST,
    NEVER,
    PENDING,
    REGRESSED,
    STEP,
    UNOBSERVED,
    VISIBLE,
    T,
    by_step,
    counted,
    event,
    fold,
    through_the_ledger,
    told,
)

# -- one probe: each way in which an event can end -------------------------------------------------------------------

EVENTS = (
    event(0, VISIBLE, 10, 11, 16, (60, 70), (100, 116), 2_500, key="a1", position=2, effects=1, session=Seen.PRESENT),
    # Seen at its first read, so that the send bounds it; two effects.
    event(1, VISIBLE, 1_000, 1_002, 1_010, (None, 1_020), (None, 1_020), 3_000, key="a1", position=3, effects=2),
    # Applied before both; disappeared and came back in the next step; its session missed it.
    event(2, VISIBLE, 2_000, 2_000, 2_020, (2_100, 2_110), (3_990, 4_140), 8_200, key="a1", position=1, regressions=1,
          resent=True, non_monotonic=True, session=Seen.ABSENT, staleness=2),
    # Acked in the next step.
    event(3, LOST, 3_990, 3_992, 4_004, (5_504, None), (5_504, None), 5_510, effects=0),
    event(4, REGRESSED, 5_000, 5_001, 5_005, (5_030, 5_040), (6_505, None), 6_510, regressions=2, non_monotonic=True,
          session=Seen.PRESENT, staleness=0),
    event(5, PENDING, 6_000, 6_000, 6_003, (6_100, None), (6_100, None), 8_100, session=Seen.FAILED),
    # Due in one step, sent and acked in the next.
    event(6, UNOBSERVED, 7_990, 8_010, 8_020, NEVER, NEVER, 9_500, sampled=False),
    event(7, State.REJECTED, 9_000, 9_000, 9_005, NEVER, NEVER, 9_005, key="a2", type=1),
    event(8, State.RETURNED, 9_100, 9_101, 9_108, NEVER, NEVER, 9_108, type=1),
    # Tried in vain, and not even tried.
    event(9, State.UNSENT, 7_995, 7_999, None, NEVER, NEVER, 8_100),
    event(10, State.UNSENT, 9_400, None, None, NEVER, NEVER, 9_400),
    event(11, State.IN_DOUBT, 10_000, 10_001, None, (None, 10_030), (None, 10_040), 10_900, effects=1),
    # Sent too early, and never seen.
    event(12, State.IN_DOUBT, 11_000, 10_999, None, (12_500, None), (12_500, None), 12_600),
    # Sent too early as well, seen in the last third of the deadline, with more effects than are told apart.
    event(13, VISIBLE, 20_000, 19_999, 20_010, (21_000, 21_100), (21_000, 21_100), 22_000, type=1, key="b",
          position=7, effects=250, staleness=1),
    # Only read at its deadline; applied before the one that was sent before it.
    event(14, VISIBLE, 20_500, 20_500, 20_505, NEVER, NEVER, 24_100, sampled=False, resent=True, key="b",
          position=5),
)  # fmt: skip


def test_the_order_of_a_key_is_that_of_its_sends() -> None:
    """The first was due before the second, and sent after its ack."""
    late = event(0, VISIBLE, 10, 300, 310, (320, 330), (320, 330), 900, key="a1", position=1)
    early = event(1, VISIBLE, 50, 60, 70, (320, 330), (320, 330), 900, key="a1", position=2)
    unsent = event(2, State.UNSENT, 80, None, None, NEVER, NEVER, 100, key="a1")
    ledger = fold(PLAN, (late, early, unsent)).ledger
    assert (ledger["out_of_order"], ledger["order_unknown"]) == (1, 0)


COUNTERS = (
    "sent", "acked", "visible", "ended", "lost", "regressed", "pending", "unobserved", "unsent", "rejected",
    "returned", "in_doubt", "errors", "regressions", "recovered", "duplicated", "out_of_order", "resent",
    "non_monotonic", "unread_writes",
)  # fmt: skip

PLAN = ScenarioPlan(
    "main", watched=True, deadline_ns=1_500 * T,
    counted=counted(
        ("publish", 10), ("first_seen", 100), ("consistency", 100), ("end_to_end", 120),
        steps=[("publish", 10), ("consistency", 100), ("end_to_end", 120)], counters=COUNTERS,
    ),
    slices=(
        Slice("event=note", counted(("publish", 10), steps=[("publish", 10)]), event=1),
        Slice("key=a*", counted(("consistency", 100), counters=["out_of_order"]), key="a*"),
    ),
    probes=((0, "items"),), arrival_step_ns=STEP * T, flow_step_ns=STEP * T,
)  # fmt: skip

NOTES: Mapping[str, Any] = {
    "ledger": {
        "scheduled": 3, "acked": 1, "visible": 1, "rejected": 1, "returned": 1, "duplicated": 1,
        # The last of them: the other one was sent after its ack and applied before it.
        "out_of_order": 1,
    },
    "ends": {
        "schedule_delay": ([0, 0, 1], [0, 0, 1]),
        "publish": ([11], [11]),
        "first_seen": ([990], [1090]),
        "consistency": ([990], [1090]),
        "end_to_end": ([1000, None, None], [1100, None, None]),
    },
    "exact": {"schedule_delay", "publish"},
    "thresholds": {"publish": {10: (0, 1, {2: [1, 0, 1]})}},
    "steps": {"publish": {10: {5: (1, 0, 1)}}},
    "early_sends": 1,
    "late_sightings": 1,
    "sampled": 1,
    "known": {"effects": 1, "position": 1, "staleness": 1},
    "tallies": {"effects": {100: 1}},
    "ranges": {"staleness": (1, 1, 1, 1, 1)},
    "span": (9_000, 20_000),
}  # fmt: skip
KEYED: Mapping[str, Any] = {
    "ledger": {
        "scheduled": 4, "acked": 3, "visible": 3, "rejected": 1, "regressions": 1, "duplicated": 1, "out_of_order": 2,
        "resent": 1, "non_monotonic": 1, "unread_writes": 1,
    },
    "ends": {
        "schedule_delay": ([0, 0, 1, 2], [0, 0, 1, 2]),
        "publish": ([5, 8, 20], [5, 8, 20]),
        "first_seen": ([0, 44, 80], [10, 54, 90]),
        "consistency": ([0, 84, 1970], [10, 100, 2120]),
        "end_to_end": ([2, 90, 1990, None], [20, 106, 2140, None]),
    },
    "exact": {"schedule_delay", "publish"},
    "thresholds": {"consistency": {100: (2, 1, {0: [3, 2, 1]})}},
    "sampled": 3,
    "known": {"effects": 2, "position": 3, "session": 2, "staleness": 1, "order": 2},
    "tallies": {"effects": {1: 1, 2: 1}},
    "ranges": {"staleness": (1, 2, 2, 2, 2)},
    "span": (10, 9_000),
    "counters": {"out_of_order": {0: (3, 0, 2), 2: (1, 0, 0)}},
}  # fmt: skip
WHOLE: Mapping[str, Any] = {
    "ledger": {
        "scheduled": 15, "unsent": 2, "acked": 9, "rejected": 1, "returned": 1, "in_doubt": 2,
        "visible": 5, "lost": 1, "regressed": 1, "pending": 1, "unobserved": 1,
        "regressions": 2, "recovered": 1, "duplicated": 2, "out_of_order": 3, "resent": 2, "non_monotonic": 2,
        "unread_writes": 1,
    },
    "ends": {
        "schedule_delay": ([0] * 6 + [1] * 4 + [2, 2, 20], [0] * 6 + [1] * 4 + [2, 2, 20]),
        "publish": ([3, 4, 5, 5, 8, 10, 11, 12, 20, 899, 1601], [3, 4, 5, 5, 8, 10, 11, 12, 20, None, None]),
        "first_seen": ([0, 25, 44, 80, 97, 990, 1500], [10, 35, 54, 90, 1090, None, None]),
        "consistency": ([0, 84, 97, 990, 1500, 1500, 1970], [10, 100, 1090, 2120, None, None, None]),
        "end_to_end": (
            [1, 2, 90, 100, 1000, 1500, 1505, 1514, 1990, *[None] * 4], [20, 40, 106, 1100, 2140, *[None] * 8],
        ),
    },
    "exact": {"schedule_delay", "publish"},
    "thresholds": {
        "publish": {10: (6, 5, {0: [7, 5, 2], 1: [2, 0, 2], 2: [2, 1, 1]})},
        "first_seen": {100: (4, 2, {0: [6, 4, 1], 2: [1, 0, 1]})},
        "consistency": {100: (2, 4, {0: [6, 2, 3], 2: [1, 0, 1]})},
        "end_to_end": {120: (3, 9, {0: [10, 2, 7], 1: [2, 1, 1], 2: [1, 0, 1]})},
    },
    "steps": {
        "publish": {10: {0: (4, 2, 2), 1: (3, 3, 0), 2: (2, 0, 2), 5: (2, 1, 1)}},
        "consistency": {100: {0: (4, 2, 2), 1: (2, 0, 1), 5: (1, 0, 1)}},
        "end_to_end": {120: {0: (4, 2, 2), 1: (3, 0, 2), 2: (5, 1, 4), 5: (1, 0, 1)}},
    },
    # What was tried counts as offered, whether the target could be reached or not.
    "offered": {0: [11, 10], 1: [2, 2], 2: [2, 2]},
    "early_sends": 2,
    "late_sightings": 1,
    "sampled": 7,
    "known": {"effects": 5, "position": 5, "session": 3, "staleness": 3, "order": 3},
    "tallies": {"effects": {0: 1, 1: 2, 2: 1, 100: 1}},
    # They came at no time of their own, so the largest is the last.
    "ranges": {"staleness": (3, 0, 2, 2, 3)},
    "span": (10, 20_500),
    "sent_steps": {0: (4, 0, 0), 1: (3, 0, 0), 2: (4, 0, 0), 5: (2, 0, 0)},
    "flow": {0: (3, 2, 0), 1: (3, 3, 0), 2: (1, 2, 0), 5: (2, 1, 0), 6: (0, 1, 0)},
    "slices": {"event=note": NOTES, "key=a*": KEYED},
}  # fmt: skip
SCHEDULED = {0: 4, 1: 4, 2: 5, 5: 2}
"""Step to the events that were due in it."""
COUNTED: Mapping[str, Mapping[int, int]] = {
    "sent": {0: 4, 1: 2, 2: 5, 4: 1, 5: 1},
    "acked": {0: 3, 1: 3, 2: 1, 5: 2},
    "visible": {0: 2, 1: 1, 5: 1, 6: 1},
    "ended": {},
    "lost": {0: 1},
    "regressed": {1: 1},
    "pending": {1: 1},
    "unobserved": {1: 1},
    "unsent": {1: 1, 2: 1},
    "rejected": {2: 1},
    "returned": {2: 1},
    "in_doubt": {2: 2},
    "errors": {1: 1, 2: 5},
    "regressions": {0: 1, 1: 1},
    "recovered": {2: 1},
    "duplicated": {0: 1, 5: 1},
    "out_of_order": {0: 2, 5: 1},
    "resent": {0: 1, 5: 1},
    "non_monotonic": {0: 1, 1: 1},
    "unread_writes": {0: 1},
}
"""Counter to step to what it counted: `sent`, `acked` and `visible` when it happened, the others when it was due."""
BEGAN: Mapping[str, Mapping[int, int]] = {
    "sent": COUNTED["sent"], "acked": COUNTED["acked"], "visible": {0: 3, 5: 2},
}  # fmt: skip
"""Of those that count when it happens: when that was at the earliest."""


def with_counters(whole: Mapping[str, Any]) -> dict[str, Any]:
    counters = {
        counter: {
            step: (SCHEDULED.get(step, 0), BEGAN.get(counter, {}).get(step, 0), counts.get(step, 0))
            for step in sorted(SCHEDULED.keys() | counts.keys())
        }
        for counter, counts in COUNTED.items()
    }
    return {**whole, "counters": counters}


def test_a_summary_worked_out_by_hand() -> None:
    assert told(fold(PLAN, EVENTS)) == with_counters(WHOLE)


def test_the_ledger_gives_the_same_summary_worked_out_by_hand(tmp_path: Path) -> None:
    assert told(through_the_ledger(tmp_path, PLAN, EVENTS)) == with_counters(WHOLE)


# -- as it would be had each event been sent when it was due ---------------------------------------------------------


def test_end_to_end_without_evloads_own_delay(tmp_path: Path) -> None:
    """Of each delay its own part is taken off, and all of it where nobody measured; what was held up stays."""
    plan = ScenarioPlan(
        "main", watched=True, deadline_ns=1_500 * T,
        counted=counted(("end_to_end", 100), steps=[("end_to_end", 100)], on_time=True),
        slices=(
            Slice("probe=items", counted(("end_to_end", 100), on_time=True), probe=0),
            Slice("key=a", counted(on_time=True), key="a"),
        ),
        probes=((0, "items"),),
    )  # fmt: skip
    first, stable = (40, 60), (90, 110)
    events = [
        event(0, VISIBLE, 0, 20, 30, first, stable, 500, own_delay=15 * T, key="a"),
        event(1, VISIBLE, 0, 20, 30, first, stable, 500),
        # Sent too early, so that there is no delay to take off.
        event(2, VISIBLE, 0, -2, 30, first, stable, 500, own_delay=T),
        # No more of a delay is its own than there is.
        event(3, VISIBLE, 0, 4, 30, first, stable, 500, own_delay=9 * T),
        # Bounded by its send.
        event(4, VISIBLE, 0, 50, 60, (None, 70), (None, 70), 500, own_delay=10 * T),
        event(5, LOST, 0, 30, 40, (1_540, None), (1_540, None), 1_600, own_delay=20 * T, key="a"),
        event(6, State.REJECTED, 0, 30, 40, NEVER, NEVER, 40),
        event(7, State.IN_DOUBT, 0, 30, None, (60, 80), (60, 80), 500, own_delay=10 * T),
        event(8, VISIBLE, 0, 20, 30, NEVER, NEVER, 500, sampled=False),
        # It came to another end after it had been missed at 70.
        event(9, State.ENDED, 0, 20, 30, (70, None), (70, None), 90, own_delay=5 * T),
    ]
    on_time = ([40, 50, 70, 75, 86, 90, 1_520, None, None], [60, 70, 90, 95, 106, 110, None, None, None])
    for summary in (fold(plan, events), through_the_ledger(tmp_path, plan, events)):
        whole, view = told(summary), told(summary.slices["probe=items"])
        assert whole["ends"]["end_to_end"] == (
            [50, 60, 90, 90, 90, 90, 1_540, None, None], [70, 80, 110, 110, 110, 110, None, None, None],
        )  # fmt: skip
        assert whole["on_time"] == {"ends": on_time, 100: (4, 3, {0: [9, 4, 3]})}
        assert whole["thresholds"] == {"end_to_end": {100: (2, 3, {0: [9, 2, 3]})}}
        # What a probe says of it, where it was acked.
        assert view["on_time"] == {
            "ends": ([40, 70, 75, 86, 90, 1_520, None], [60, 90, 95, 106, 110, None, None]),
            100: (3, 2, {0: [7, 3, 2]}),
        }  # fmt: skip
        assert told(summary.slices["key=a"])["on_time"] == {"ends": ([75, 1_520], [95, None])}
        assert summary.on_time is not None
        assert by_step(summary.on_time.steps[100 * T, STEP * T]) == {0: (9, 4, 3)}
