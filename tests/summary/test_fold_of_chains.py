"""The views of a chain of probes worked out by hand, from the fold and from the ledger: states, brackets, hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evload.model.states import State
from evload.model.summary import ScenarioSummary
from evload.summary.fold_plan import ScenarioPlan, Slice
from tests.rigs.by_hand import (
    LOST,
    NEVER,
    PENDING,
    REGRESSED,
    UNOBSERVED,
    VISIBLE,
    T,
    counted,
    ends,
    event,
    fold,
    part,
    through_the_ledger,
    told,
)

# -- a chain of two probes, the second in two regions ----------------------------------------------------------------

CHAIN = (
    event(0, VISIBLE, 0, 0, 10, (20, 30), (100, 130), 500, parts=(
        part(0, None, VISIBLE, (20, 30), (40, 50)),
        part(1, None, VISIBLE, (60, 70), (100, 130)),
        part(1, "eu", VISIBLE, (60, 70), (60, 70)),
        part(1, "us", VISIBLE, (90, 105), (100, 130)),
    )),
    # In the queue before its ack came; one region never answered.
    event(1, VISIBLE, 1_000, 1_002, 1_010, (None, 1_005), (1_020, 1_050), 1_500, parts=(
        part(0, None, VISIBLE, (None, 1_005), (None, 1_005)),
        part(1, None, VISIBLE, (None, 1_025), (1_020, 1_050)),
        part(1, "eu", VISIBLE, (1_015, 1_025), (1_020, 1_050)),
        part(1, "us", UNOBSERVED, NEVER, NEVER),
    )),
    # Lost on the way from the queue to the read model.
    event(2, LOST, 2_000, 2_000, 2_010, (2_020, 2_030), (3_500, None), 3_510, parts=(
        part(0, None, VISIBLE, (2_020, 2_030), (2_030, 2_060)),
        part(1, None, LOST, (3_500, None), (3_500, None)),
        part(1, "eu", LOST, (3_500, None), (3_500, None)),
        part(1, "us", LOST, (3_500, None), (3_500, None)),
    )),
    # Lost before the queue: nothing is known of the way behind it.
    event(3, LOST, 3_000, 3_000, 3_010, (4_500, None), (4_500, None), 4_510, parts=(
        part(0, None, LOST, (4_500, None), (4_500, None)),
        part(1, None, LOST, (4_500, None), (4_500, None)),
        part(1, "eu", LOST, (4_500, None), (4_500, None)),
        part(1, "us", LOST, (4_500, None), (4_500, None)),
    )),
    # Late, and most of it in front of the queue.
    event(4, VISIBLE, 4_000, 4_000, 4_010, (4_100, 4_120), (4_140, 4_150), 4_600, parts=(
        part(0, None, VISIBLE, (4_100, 4_120), (4_100, 4_120)),
        part(1, None, VISIBLE, (4_125, 4_130), (4_125, 4_150)),
        part(1, "eu", VISIBLE, (4_125, 4_130), (4_125, 4_130)),
        part(1, "us", VISIBLE, (4_140, 4_150), (4_140, 4_150)),
    )),
    event(5, State.IN_DOUBT, 5_000, 5_000, None, (5_020, 5_030), (5_040, 5_050), 5_600, parts=(
        part(0, None, VISIBLE, (5_020, 5_030), (5_020, 5_030)),
        part(1, None, VISIBLE, (5_040, 5_050), (5_040, 5_050)),
    )),
    event(6, PENDING, 6_000, 6_000, 6_010, (6_020, 6_030), (6_100, None), 6_110, parts=(
        part(0, None, VISIBLE, (6_020, 6_030), (6_020, 6_030)),
        part(1, None, UNOBSERVED, (6_100, None), (6_100, None)),
    )),
    event(7, VISIBLE, 7_000, 7_000, 7_010, NEVER, NEVER, 7_900, sampled=False, parts=(
        part(0, None, VISIBLE, NEVER, NEVER),
        part(1, None, VISIBLE, NEVER, NEVER),
    )),
    # Late by the tighter of the two limits alone.
    event(8, VISIBLE, 8_000, 8_000, 8_010, (8_020, 8_030), (8_100, 8_118), 8_600, parts=(
        part(0, None, VISIBLE, (None, 8_030), (8_020, 8_030)),
        part(1, None, VISIBLE, (8_100, 8_118), (8_100, 8_118)),
    )),
    # At the limit, which is not late.
    event(9, VISIBLE, 9_000, 9_000, 9_010, (9_020, 9_030), (9_100, 9_110), 9_600, parts=(
        part(0, None, VISIBLE, (9_020, 9_030), (9_020, 9_030)),
        part(1, None, VISIBLE, (9_100, 9_110), (9_100, 9_110)),
    )),
    event(10, State.IN_DOUBT, 9_100, 9_100, None, (9_120, 9_130), (9_140, 9_150), 9_600, parts=(
        part(0, None, VISIBLE, (9_120, 9_130), (9_120, 9_130)),
        part(1, None, VISIBLE, (9_140, 9_150), (9_140, 9_150)),
    )),
)  # fmt: skip

CHAIN_PLAN = ScenarioPlan(
    "main", watched=True, deadline_ns=1_500 * T,
    counted=counted(("consistency", 100), ("end_to_end", 115), ("publish", 1)),
    slices=(
        Slice("probe=read-model,replica=eu", probe=1, replica="eu"),
        Slice("probe=read-model", counted(("hop", 60), ("consistency", 100)), probe=1),
        Slice("replica=eu", counted(("consistency", 100)), replica="eu"),
        Slice("probe=queue", counted(("hop", 60), steps=[("hop", 60)]), probe=0),
    ),
    probes=((0, "queue"), (1, "read-model")),
)  # fmt: skip

QUEUE: Mapping[str, Any] = {
    "ledger": {"scheduled": 11, "acked": 9, "in_doubt": 2, "visible": 7, "lost": 1, "pending": 1},
    "ends": {
        "first_seen": ([0, 0, 10, 10, 10, 10, 90, 1490], [0, 20, 20, 20, 20, 20, 110, None]),
        "consistency": ([0, 10, 10, 10, 20, 30, 90, 1490], [0, 20, 20, 20, 40, 50, 110, None]),
        "end_to_end": ([2, 20, 20, 20, 30, 40, 100, 1500], [5, 30, 30, 30, 50, 60, 120, None]),
        "hop": ([0, 10, 10, 10, 20, 30, 90, 1490], [0, 20, 20, 20, 40, 50, 110, None]),
    },
    "thresholds": {"hop": {60: (6, 2, {0: [8, 6, 2]})}},
    "steps": {"hop": {60: {0: (4, 3, 1), 1: (2, 1, 1), 2: (2, 2, 0)}}},
    "sampled": 8,
}
READ_MODEL: Mapping[str, Any] = {
    "ledger": {"scheduled": 11, "acked": 9, "in_doubt": 2, "visible": 6, "lost": 2, "pending": 1},
    "ends": {
        "first_seen": ([0, 50, 90, 90, 90, 115, 1490, 1490], [15, 60, 100, 108, 120, None, None, None]),
        "consistency": ([10, 90, 90, 90, 90, 115, 1490, 1490], [40, 100, 108, 120, 140, None, None, None]),
        "end_to_end": ([20, 100, 100, 100, 100, 125, 1500, 1500], [50, 110, 118, 130, 150, None, None, None]),
        "hop": ([5, 15, 50, 70, 70, 70, 1440], [40, 50, 90, 90, 98, None, None]),
    },
    "thresholds": {"hop": {60: (2, 4, {0: [7, 2, 4]})}, "consistency": {100: (2, 3, {0: [8, 2, 3]})}},
    "sampled": 8,
}
EU: Mapping[str, Any] = {
    "ledger": {"scheduled": 11, "acked": 5, "visible": 3, "lost": 2},
    "ends": {
        "first_seen": ([5, 50, 115, 1490, 1490], [15, 60, 120, None, None]),
        "consistency": ([10, 50, 115, 1490, 1490], [40, 60, 120, None, None]),
        "end_to_end": ([20, 60, 125, 1500, 1500], [50, 70, 130, None, None]),
    },
    "sampled": 5,
}
US: Mapping[str, Any] = {
    "ledger": {"scheduled": 11, "acked": 5, "visible": 2, "lost": 2, "unobserved": 1},
    "ends": {
        "first_seen": ([0, 80, 130, 1490, 1490], [95, 140, None, None, None]),
        "consistency": ([0, 90, 130, 1490, 1490], [120, 140, None, None, None]),
        "end_to_end": ([2, 100, 140, 1500, 1500], [130, 150, None, None, None]),
    },
    "sampled": 5,
}
VIEWS: Mapping[str, Any] = {
    "probe=queue": QUEUE,
    "probe=read-model": READ_MODEL,
    "replica=eu": {**EU, "thresholds": {"consistency": {100: (2, 3, {0: [5, 2, 3]})}}},
    "probe=read-model,replica=eu": EU,
    # Nobody asked for it: it is told all the same.
    "replica=us": US,
}


def check_chain(summary: ScenarioSummary) -> None:
    everything = told(summary)
    assert everything["slices"] == VIEWS
    assert list(summary.slices)[:2] == ["probe=queue", "probe=read-model"], "in the order of the chain"
    assert everything["ledger"] == {
        "scheduled": 11, "acked": 9, "in_doubt": 2, "recovered": 2, "visible": 6, "lost": 2, "pending": 1,
    }  # fmt: skip
    assert everything["late_hops"] == {"read-model": 4, "queue": 2}
    assert (everything["agreeing"], everything["asked"]) == (20, 25)


def test_the_views_of_a_chain_worked_out_by_hand() -> None:
    check_chain(fold(CHAIN_PLAN, CHAIN))


def test_the_ledger_gives_the_same_views_worked_out_by_hand(tmp_path: Path) -> None:
    check_chain(through_the_ledger(tmp_path, CHAIN_PLAN, CHAIN))


@pytest.mark.parametrize(
    ("windows", "hop"),
    [
        # 60 to 62 in front of the queue and up to 120 behind it, 61 and 60 in the middle.
        ([(70, 72), (70, 190)], "queue"),
        # 60 each: the first is named.
        ([(65, 75), (75, 185)], "queue"),
        ([(65, 75), (76, 186)], "read-model"),
        # On the way to the cache 25 to 90, on that before it up to 120: 57 against 60.
        ([(10, 70), (70, 130), (155, 160)], "read-model"),
        ([(10, 70), (70, 130), (160, 167)], "cache"),
        # Where it got stuck counts, however long it took until there, and of later hops nothing is known.
        ([(500, 510), (520, None)], "read-model"),
        ([(20, 30), (40, None), (2_000, None)], "read-model"),
        ([(20, None), (90, 100), (100, 110)], "queue"),
        # A hundred after the ack is in time.
        ([(20, 30), (100, 110)], None),
        ([(20, 30), (100, 111)], "read-model"),
    ],
)
def test_the_hop_at_which_a_late_event_lost_most_time(
    windows: Sequence[tuple[int, int | None]], hop: str | None
) -> None:
    """Acked at 10 and due within a hundred of it. What has no end was seen there at first, and then no more."""
    names = ("queue", "read-model", "cache")[: len(windows)]
    plan = ScenarioPlan(
        "main", watched=True, deadline_ns=1_500 * T, counted=counted(("end_to_end", 100), ("consistency", 900)),
        probes=tuple(enumerate(names)),
    )  # fmt: skip
    parts = tuple(
        part(number, None, VISIBLE if high else REGRESSED, (low, low + 5), (low, high))
        for number, (low, high) in enumerate(windows)
    )
    last = None if any(high is None for _, high in windows) else windows[-1][1]
    seen = event(0, VISIBLE if last else REGRESSED, 0, 0, 10, (20, 30), (90, last), 5_000, parts=parts)
    assert fold(plan, [seen]).late_hops == ({} if hop is None else {hop: 1})


def test_what_a_later_probe_shows_before_an_earlier_one_took_no_time() -> None:
    plan = ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, probes=((0, "queue"), (1, "read-model")))
    events = [
        event(seq, VISIBLE, 0, 0, 10, window, window, 500, parts=(
            part(0, None, VISIBLE, (70, 80), (70, 80)), part(1, None, VISIBLE, window, window),
        ))
        for seq, window in enumerate([(60, 75), (20, 40), (90, 95)])
    ]  # fmt: skip
    hop = fold(plan, events).slices["probe=read-model"].distributions["hop"]
    assert (ends(hop.lower), ends(hop.upper)) == ([0, 0, 10], [0, 5, 25])


def test_without_a_limit_only_what_was_lost_is_late() -> None:
    plan = ScenarioPlan(
        "main", watched=True, deadline_ns=1_500 * T, counted=counted(("publish", 1), ("first_seen", 1)),
        probes=((0, "queue"), (1, "read-model")),
    )  # fmt: skip
    slow = tuple(part(number, None, VISIBLE, (900, 1_000), (900, 1_000)) for number in (0, 1))
    lost = tuple(part(number, None, LOST, (1_500, None), (1_500, None)) for number in (0, 1))
    events = [
        event(0, VISIBLE, 0, 0, 10, (900, 1_000), (900, 1_000), 5_000, parts=slow),
        event(1, LOST, 0, 0, 10, (1_500, None), (1_500, None), 5_000, parts=lost),
    ]
    assert fold(plan, events).late_hops == {"queue": 1}


# -- probes that nobody asked for ------------------------------------------------------------------------------------


def test_a_probe_alone_is_told_apart_where_it_has_replicas(tmp_path: Path) -> None:
    """Though nobody asked for it. A probe that the plan doesn't know goes by its number."""
    plan = ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, probes=((3, "items"),))
    views = (part(3, None, VISIBLE, (20, 30), (20, 30)), part(3, "eu", VISIBLE, (20, 30), (20, 30)))
    unknown = (part(7, None, LOST, (90, None), (90, None)),)
    events = [
        event(seq, VISIBLE, 0, 0, 10, (20, 30), (20, 30), 500, parts=parts)
        for seq, parts in enumerate([views, (*views, *unknown), (), views])
    ]
    gone = tuple(part(3, where, LOST, (90, None), (90, None)) for where in (None, "eu"))
    events.append(event(4, LOST, 0, 0, 10, (90, None), (90, None), 500, parts=gone))
    ledgers = {"probe=items": 4, "replica=eu": 4, "probe=7": 1}
    for summary in (fold(plan, events), through_the_ledger(tmp_path, plan, events)):
        assert {label: view.ledger["acked"] for label, view in summary.slices.items()} == ledgers
        assert {view.ledger["scheduled"] for view in summary.slices.values()} == {5}
        assert ends(summary.slices["probe=items"].distributions["hop"].upper) == [20, 20, 20, None]
        assert summary.late_hops == {}, "there is no other hop"


def test_every_probe_of_a_chain_has_its_view_though_nobody_asked_and_nothing_came() -> None:
    plan = ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, probes=((1, "b"), (0, "a")))
    summary = fold(plan, [event(0, State.REJECTED, 0, 0, 10, NEVER, NEVER, 10, type=1, key="k")])
    assert {label: told(view) for label, view in summary.slices.items()} == {
        "probe=b": {"ledger": {"scheduled": 1}}, "probe=a": {"ledger": {"scheduled": 1}},
    }  # fmt: skip
    assert list(summary.slices) == ["probe=b", "probe=a"], "in the order of the chain"


# -- views of some of the events -------------------------------------------------------------------------------------


def narrowed(*slices: Slice, probes: Sequence[tuple[int, str]]) -> ScenarioPlan:
    return ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, slices=slices, probes=tuple(probes))


def test_a_view_of_one_type_or_one_key_holds_no_other_events(tmp_path: Path) -> None:
    """An objective may be about what one probe says of one type of event."""
    plan = narrowed(
        Slice("event=note,probe=queue", counted(("consistency", 100)), event=1, probe=0),
        Slice("key=a*,replica=eu", key="a*", replica="eu"),
        probes=((0, "queue"), (1, "read-model")),
    )
    ways = [(0, "a1", 50), (1, "a2", None), (1, "b", 200), (0, "b", None), (1, None, 90)]
    events = []
    for seq, (kind, key, shown) in enumerate(ways):
        stable = (40, shown) if shown else (1_500, None)
        state = VISIBLE if shown else LOST
        parts = tuple(part(probe, where, state, stable, stable) for probe, where in ((0, None), (1, None), (1, "eu")))
        events.append(event(seq, state, 0, 0, 10, stable, stable, 5_000, type=kind, key=key, parts=parts))
    events.append(event(5, State.REJECTED, 0, 0, 10, NEVER, NEVER, 10, type=1, key="a3"))
    for summary in (fold(plan, events), through_the_ledger(tmp_path, plan, events)):
        views = {label: told(view) for label, view in summary.slices.items()}
        assert views.keys() == {
            "probe=queue", "probe=read-model", "event=note,probe=queue", "key=a*,replica=eu", "replica=eu",
        }  # fmt: skip
        assert views["event=note,probe=queue"] == {
            "ledger": {"scheduled": 4, "acked": 3, "visible": 2, "lost": 1},
            "ends": {
                "first_seen": ([30, 30, 1490], [80, 190, None]),
                "consistency": ([30, 30, 1490], [80, 190, None]),
                "end_to_end": ([40, 40, 1500], [90, 200, None]),
                "hop": ([30, 30, 1490], [80, 190, None]),
            },
            "thresholds": {"consistency": {100: (1, 1, {0: [3, 1, 1]})}},
            "sampled": 3,
        }
        ledgers = {label: view["ledger"] for label, view in views.items()}
        assert ledgers["key=a*,replica=eu"] == {"scheduled": 3, "acked": 2, "visible": 1, "lost": 1}
        for whole in ("probe=queue", "probe=read-model", "replica=eu"):
            assert ledgers[whole] == {"scheduled": 6, "acked": 5, "visible": 3, "lost": 2}


def test_the_view_of_the_only_probe_is_that_of_the_scenario(tmp_path: Path) -> None:
    """Where there is one probe without replicas, no event has parts."""
    plan = narrowed(
        Slice("probe=items", counted(("consistency", 100)), probe=4),
        Slice("event=note,probe=items", event=1, probe=4),
        probes=((4, "items"),),
    )  # fmt: skip
    events = [
        event(0, VISIBLE, 0, 0, 10, (20, 30), (90, 110), 500),
        event(1, LOST, 0, 1, 10, (1_500, None), (1_500, None), 1_510, type=1),
        event(2, PENDING, 0, 0, 10, (40, None), (40, None), 50),
        event(3, State.REJECTED, 0, 0, 10, NEVER, NEVER, 10),
        event(4, VISIBLE, 0, 0, 10, NEVER, NEVER, 500, sampled=False),
        event(5, REGRESSED, 0, 0, 10, (None, 30), (1_400, None), 1_510),
    ]
    for summary in (fold(plan, events), through_the_ledger(tmp_path, plan, events)):
        whole, view = told(summary), told(summary.slices["probe=items"])
        assert view["ledger"] == {
            "scheduled": 6, "acked": 5, "visible": 2, "lost": 1, "regressed": 1, "pending": 1, "rejected": 1,
        }  # fmt: skip
        assert view["ledger"] == whole["ledger"]
        assert view["ends"] == {
            "first_seen": ([0, 10, 30, 1490], [20, 20, None, None]),
            "consistency": ([30, 80, 1390, 1490], [100, None, None, None]),
            "end_to_end": ([40, 90, 1400, 1500], [110, None, None, None]),
            "hop": ([30, 80, 1390, 1490], [100, None, None, None]),
        }
        assert view["thresholds"] == {"consistency": {100: (1, 2, {0: [4, 1, 2]})}}
        assert summary.slices["event=note,probe=items"].ledger["lost"] == 1
        assert summary.slices["event=note,probe=items"].ledger["scheduled"] == 1
        assert (summary.agreeing, summary.asked, summary.late_hops) == (0, 0, {})
        assert summary.slices.keys() == {"probe=items", "event=note,probe=items"}
