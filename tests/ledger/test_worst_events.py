"""The events that are named against an objective: which of them, in which order, and what happened to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evload.ledger.reader import LedgerReader
from evload.ledger.worst_events import worst_events
from evload.model.correlation import CorrelationIds
from evload.model.marker import Marker
from evload.model.report import WorstEvent
from evload.model.states import Seen, State
from evload.model.travel import Observation, Part
from evload.objectives.grammar import parse
from tests.rigs.ledgers import begun

MS = 1_000_000
S = 1_000 * MS
START = 3 * S
IDS = CorrelationIds.for_run("r-1")
VISIBLE, LOST, REGRESSED, PENDING, UNOBSERVED = (
    State.VISIBLE, State.LOST, State.REGRESSED, State.PENDING, State.UNOBSERVED,
)  # fmt: skip


def at(ms: float | None) -> int | None:
    return None if ms is None else START + round(ms * MS)


def event(
    seq: int,
    state: State = VISIBLE,
    *,
    due: float = 0,
    sent: float | None = 1,
    acked: float | None = 10,
    first: tuple[float | None, float | None] = (20, 30),
    stable: tuple[float | None, float | None] = (20, 30),
    settled: float = 5_000,
    **facts: Any,
) -> Observation:
    """A settled event. All times are milliseconds since the schedule began."""
    return Observation(
        seq, state=state, intended_ns=START + round(due * MS), sent_ns=at(sent), acked_ns=at(acked),
        first_lower_ns=at(first[0]), first_upper_ns=at(first[1]), stable_lower_ns=at(stable[0]),
        stable_upper_ns=at(stable[1]), settled_ns=START + round(settled * MS),
        **{"scenario": 0, "type": 0, "sampled": True, "reads": 4, **facts},
    )  # fmt: skip


def seen_at(seq: int, ms: float, **facts: Any) -> Observation:
    return event(seq, stable=(ms - 5, ms), first=(ms - 5, ms), **facts)


def never(seq: int, state: State = LOST, **facts: Any) -> Observation:
    return event(seq, state, first=(4_000, None), stable=(4_000, None), **facts)


def worst_of(
    directory: Path, events: Sequence[Observation], text: str, *, markers: Sequence[Marker] = (), **part: Any
) -> tuple[WorstEvent, ...]:
    path = directory / "events.sqlite"
    path.unlink(missing_ok=True)
    meta = {
        "run_id": "r-1", "events": ["order", "note"], "probes": ["queue", "read-model", "audit"],
        "plan": [
            {"name": "checkout", "probes": [[0, "queue"], [1, "read-model"]]},
            {"name": "returns", "probes": [[2, "audit"]]},
        ],
    }  # fmt: skip
    ledger = begun(path, START, meta, threaded=False)
    ledger.append(events)
    for marker in markers:
        ledger.marked(marker)
    ledger.close()
    with LedgerReader(path) as reader:
        return tuple(worst_events(parse(text, **part), reader))


def named(directory: Path, events: Sequence[Observation], text: str, **part: Any) -> list[int | None]:
    """The numbers of the events that are named. `part` says what the objective is about, and what was done."""
    return [IDS.seq_of(found.correlation_id) for found in worst_of(directory, events, text, **part)]


# -- which of them, and in which order -------------------------------------------------------------------------------


def test_the_latest_come_first_and_those_that_never_came_before_them(tmp_path: Path) -> None:
    events = [
        seen_at(0, 500), seen_at(1, 1_300), never(2), seen_at(3, 1_500), seen_at(4, 1_300), never(5, PENDING),
        # A second after the ack to the nanosecond, which is within.
        seen_at(6, 1_010),
        # Read once at the deadline, and in doubt: they aren't in the distribution.
        seen_at(7, 4_900, sampled=False), never(8, sampled=False), event(9, State.IN_DOUBT, acked=None),
        # Shown late for good, though it was seen early.
        event(10, first=(20, 30), stable=(1_190, 1_200), regressions=1),
    ]  # fmt: skip
    assert named(tmp_path, events, "p99(consistency) < 1s") == [2, 5, 3, 1, 4, 10]
    assert named(tmp_path, events, "share(consistency < 1400ms) >= 99%") == [2, 5, 3]
    assert named(tmp_path, events, "p99(first_seen) < 1s") == [2, 5, 3, 1, 4]
    # From the due time, which is 10 ms before the ack.
    assert named(tmp_path, events, "p99(end_to_end) < 1309ms") == [2, 5, 3]
    assert named(tmp_path, events, "mean(consistency) < 1s") == [2, 5, 3, 1, 4, 10]


def test_the_way_from_the_due_time_counts_what_was_refused(tmp_path: Path) -> None:
    events = [
        seen_at(0, 1_200, due=100), seen_at(1, 1_250, due=50), seen_at(2, 1_100, due=100),
        event(3, State.REJECTED, first=(None, None), stable=(None, None)),
        event(4, State.UNSENT, sent=None, acked=None, first=(None, None), stable=(None, None)),
        event(5, State.IN_DOUBT, acked=None, stable=(1_290, 1_300)),
        # Nobody followed it: when it came isn't known.
        seen_at(6, 4_900, sampled=False),
    ]  # fmt: skip
    assert named(tmp_path, events, "p99(end_to_end) < 1s") == [3, 4, 5, 1, 0]


def test_the_publish_counts_from_the_send_to_the_answer_of_those_that_the_broker_may_have(tmp_path: Path) -> None:
    none: dict[str, Any] = {"first": (None, None), "stable": (None, None)}
    events = [
        event(0, sent=1, acked=30), event(1, sent=20, acked=50), event(2, sent=2, acked=90, sampled=False),
        event(3, State.IN_DOUBT, acked=None), event(4, sent=5, acked=25), event(5, LOST, sent=0, acked=40),
        event(6, State.REJECTED, sent=1, acked=900, **none), event(7, State.RETURNED, sent=1, acked=900, **none),
        event(8, State.UNSENT, sent=3, acked=None, **none), event(9, State.UNSENT, sent=None, acked=None, **none),
    ]  # fmt: skip
    assert named(tmp_path, events, "p99(publish) < 20ms") == [3, 2, 5, 1, 0]


def test_lateness_is_that_of_what_was_sent(tmp_path: Path) -> None:
    none: dict[str, Any] = {"first": (None, None), "stable": (None, None)}
    events = [
        event(0, due=0, sent=30), event(1, due=10, sent=20), event(2, due=10, sent=60),
        event(3, State.REJECTED, due=0, sent=40, **none), event(4, State.UNSENT, due=0, sent=90, acked=None, **none),
        event(5, State.UNSENT, due=0, sent=None, acked=None, **none),
    ]  # fmt: skip
    assert named(tmp_path, events, "p99(schedule_delay) < 10ms") == [2, 3, 0]


COUNTED = [
    event(0),
    event(1, State.UNSENT, sent=None, acked=None),
    event(2, State.REJECTED),
    event(3, State.RETURNED),
    event(4, State.IN_DOUBT, acked=None, first=(None, None)),
    event(5, State.IN_DOUBT, acked=None),
    never(6),
    never(7, REGRESSED, regressions=1),
    never(8, PENDING),
    never(9, UNOBSERVED),
    event(10, effects=2),
    event(11, effects=5),
    event(12, effects=1, regressions=3),
    event(13, non_monotonic=True),
    event(14, session=Seen.ABSENT),
    event(15, session=Seen.PRESENT),
    event(16, session=Seen.FAILED),
    event(17, staleness=1),
    event(18, staleness=4),
    event(19, staleness=0),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errors == 0", [1, 2, 3, 4, 5]),
        ("unsent == 0", [1]),
        ("rejected == 0", [2]),
        ("returned == 0", [3]),
        ("in_doubt == 0", [4, 5]),
        ("recovered == 0", [5]),
        ("lost == 0", [6]),
        ("rate(lost) < 1%", [6]),
        ("regressed == 0", [7]),
        ("pending == 0", [8]),
        ("unobserved == 0", [9]),
        ("regressions == 0", [12, 7]),
        ("duplicates == 0", [11, 10]),
        ("non_monotonic == 0", [13]),
        ("unread_writes == 0", [14]),
        ("max(staleness) <= 0", [18, 17]),
        # Of these no single event is to blame.
        ("acked >= 99", []),
        ("visible >= 99", []),
        ("throughput(acked) >= 99/s", []),
        ("p99(queue_lag) < 1s", []),
    ],
)
def test_the_events_that_a_counter_counted(tmp_path: Path, text: str, expected: list[int]) -> None:
    assert named(tmp_path, COUNTED, text) == expected


def test_an_event_is_out_of_order_if_one_sent_after_its_ack_was_applied_before_it(tmp_path: Path) -> None:
    positions = {0: ("a", 2.0), 2: ("a", 3.0), 4: ("a", 1.0), 6: ("a", 4.0), 8: ("b", 9.0), 10: ("b", None),
                 12: (None, 5.0), 14: (None, 1.0), 16: ("b", 9.0)}  # fmt: skip

    def placed(seq: int, key: str | None, position: float | None, **facts: Any) -> Observation:
        due = 100 * seq
        return event(seq, due=due, key=key, position=position, **{"sent": due + 1, "acked": due + 10, **facts})

    events = [placed(seq, key, position) for seq, (key, position) in positions.items()]
    # The same key in another scenario is another key.
    events += [placed(7, "a", 0.5, scenario=1), placed(9, "a", 0.25, scenario=1)]
    assert named(tmp_path, events, "out_of_order == 0") == [0, 2, 7]
    # Only the first had been acked when the last was sent; then the second, too; then it had been seen for good.
    overlapping = [placed(0, "a", 3.0), placed(1, "a", 3.0, acked=202), placed(2, "a", 1.0)]
    assert named(tmp_path, overlapping, "out_of_order == 0") == [0]
    overlapping[1] = placed(1, "a", 3.0, acked=201)
    assert named(tmp_path, overlapping, "out_of_order == 0") == [0, 1]
    overlapping[1] = placed(1, "a", 3.0, settled=201)
    assert named(tmp_path, overlapping, "out_of_order == 0") == [0]
    overlapping[1] = placed(1, "a", 3.0, acked=None, state=State.IN_DOUBT)
    assert named(tmp_path, overlapping, "out_of_order == 0") == [0], "nobody knows whether it was"
    # Sent at one moment, in the order of the schedule.
    together = [placed(seq, "a", position, sent=1, acked=1) for seq, position in ((0, 1.0), (1, 2.0))]
    assert named(tmp_path, together, "out_of_order == 0") == []


def test_only_events_of_the_part_that_the_objective_is_about(tmp_path: Path) -> None:
    events = [
        never(0, key="a1"), never(1, key="a2", scenario=1), never(2, key="b", type=1), never(3, scenario=1, type=1),
    ]  # fmt: skip
    assert named(tmp_path, events, "lost == 0") == [0, 1, 2, 3]
    assert named(tmp_path, events, "lost == 0", scenario="checkout") == [0, 2]
    assert named(tmp_path, events, "lost == 0", scenario="returns") == [1, 3]
    assert named(tmp_path, events, "lost == 0", event="note") == [2, 3]
    assert named(tmp_path, events, "lost == 0", key="a*") == [0, 1]
    assert named(tmp_path, events, "lost == 0", key="a*", scenario="returns") == [1]
    assert named(tmp_path, events, "lost == 0", key="A*") == [], "keys are told apart by case"
    assert named(tmp_path, events, "p99(consistency) < 1s", event="order") == [0, 1]


def part(probe: int, replica: str | None, state: State, *, first: float | None = None, stable: float | None) -> Part:
    return Part(probe, replica, state, at(20), at(stable if first is None else first), at(20), at(stable))


def chained(seq: int, queue: float | None, eu: float | None, us: float | None, **facts: Any) -> Observation:
    """Shown by the queue, and by the read model in two regions, at those moments; None: lost."""
    whole = None if eu is None or us is None else max(eu, us)
    told = [(0, None, queue), (1, None, whole), (1, "eu", eu), (1, "us", us)]
    parts = tuple(part(probe, where, LOST if ms is None else VISIBLE, stable=ms) for probe, where, ms in told)
    lost = None in (queue, whole)
    return event(
        seq,
        LOST if lost else VISIBLE,
        stable=(20, None if lost else max(queue or 0, whole or 0)),
        parts=parts,
        **facts,
    )


CHAIN = [
    chained(0, 50, 1_200, 60),
    chained(1, 1_300, 1_400, 1_500),
    chained(2, 40, 50, None),
    chained(3, None, None, None),
    chained(4, 1_100, 1_110, 1_120),
    chained(5, 30, 40, 45),
]


def test_the_events_that_one_probe_or_one_region_showed_late_or_never(tmp_path: Path) -> None:
    text = "p99(consistency) < 1s"
    assert named(tmp_path, CHAIN, text) == [2, 3, 1, 0, 4]
    assert named(tmp_path, CHAIN, text, probe="queue") == [3, 1, 4]
    assert named(tmp_path, CHAIN, text, probe="read-model") == [2, 3, 1, 0, 4]
    assert named(tmp_path, CHAIN, text, replica="eu") == [3, 1, 0, 4]
    assert named(tmp_path, CHAIN, text, replica="us") == [2, 3, 1, 4]
    assert named(tmp_path, CHAIN, text, probe="read-model", replica="eu") == [3, 1, 0, 4]


def test_the_events_that_one_probe_or_one_region_lost(tmp_path: Path) -> None:
    assert named(tmp_path, CHAIN, "lost == 0") == [2, 3]
    assert named(tmp_path, CHAIN, "lost == 0", probe="queue") == [3]
    assert named(tmp_path, CHAIN, "lost == 0", replica="us") == [2, 3]
    assert named(tmp_path, CHAIN, "lost == 0", replica="eu") == [3]
    assert named(tmp_path, CHAIN, "regressed == 0", replica="us") == []


def test_a_region_that_several_probes_read_counts_as_late_as_the_last_of_them(tmp_path: Path) -> None:
    both = event(
        7, stable=(20, 1_200), parts=(part(0, "eu", VISIBLE, stable=1_200), part(1, "eu", VISIBLE, stable=50))
    )
    assert named(tmp_path, [both], "p99(consistency) < 1s", replica="eu") == [7]


@pytest.mark.parametrize("state", [LOST, REGRESSED, UNOBSERVED])
def test_the_events_that_ended_so_for_one_region(tmp_path: Path, state: State) -> None:
    """Whatever became of them elsewhere; but what isn't settled, or wasn't acked, ended nowhere."""
    parts = (part(1, None, VISIBLE, stable=50), part(1, "eu", VISIBLE, stable=50), part(1, "us", state, stable=None))
    events = [
        event(0), event(1, REGRESSED, parts=parts), event(2, state), event(3, LOST, parts=parts),
        event(4, PENDING, parts=parts), event(5, State.IN_DOUBT, acked=None, parts=parts), event(6, PENDING),
    ]  # fmt: skip
    assert named(tmp_path, events, f"{state.name.lower()} == 0", replica="us") == [1, 3]
    assert named(tmp_path, events, "pending == 0", replica="us") == [4]


def test_of_the_only_probe_of_a_scenario_what_is_said_of_its_events(tmp_path: Path) -> None:
    """Its events have no parts. Those of the other scenario, which it doesn't read, have nothing to do with it."""
    alone = [
        seen_at(10, 1_300, scenario=1), never(11, scenario=1), seen_at(12, 400, scenario=1),
        never(13, UNOBSERVED, scenario=1), event(14, State.REJECTED, scenario=1, stable=(None, None)),
    ]  # fmt: skip
    events = [*CHAIN, *alone]
    assert named(tmp_path, events, "p99(consistency) < 1s", probe="audit") == [11, 13, 10]
    assert named(tmp_path, events, "p99(end_to_end) < 1s", probe="audit") == [11, 13, 10]
    assert named(tmp_path, events, "lost == 0", probe="audit") == [11]
    assert named(tmp_path, events, "unobserved == 0", probe="audit") == [13]
    assert named(tmp_path, events, "p99(consistency) < 1s", probe="queue") == [3, 1, 4]
    assert named(tmp_path, events, "lost == 0", probe="queue") == [3]
    assert named(tmp_path, events, "p99(consistency) < 1s", replica="eu") == [3, 1, 0, 4]
    assert named(tmp_path, events, "p99(end_to_end) < 1s", replica="eu") == [3, 1, 0, 4]


def test_of_a_hop_the_events_that_its_probe_showed_last(tmp_path: Path) -> None:
    """How long the hop itself took isn't told of single events: all are in the order of the probe's windows."""
    assert named(tmp_path, CHAIN, "p99(hop) < 1s", probe="queue") == [3, 1, 4, 0, 2, 5]


def on(action: str, number: int, begun: float, over: float | None, **more: Any) -> Marker:
    """An action that takes 100 ms to be done at a moment, and as long to be undone at another; None: it is on.

    In milliseconds since the schedule began, as with events; markers count from there.
    """
    undone = None if over is None else (round(over * MS), round((over + 100) * MS))
    return Marker(action, number, (round(begun * MS), round((begun + 100) * MS)), undone, **more)


DUE = (999, 1_000, 1_099, 1_100, 2_000, 2_001, 2_099, 2_100, 5_099, 5_100, 9_000)


def due_at_all_of_them() -> list[Observation]:
    return [never(ms, due=ms) for ms in DUE]


def test_while_an_action_was_on_events_are_named_that_were_due_when_it_was_for_sure(tmp_path: Path) -> None:
    events, slow = due_at_all_of_them(), on("slow", 0, 1_000, 2_000)
    assert named(tmp_path, events, "lost == 0", during="slow", markers=[slow]) == [1_100, 2_000]
    again = [slow, on("slow", 1, 5_000, None), on("away", 0, 0, 9_500)]
    assert named(tmp_path, events, "lost == 0", during="slow", markers=again) == [1_100, 2_000, 5_100, 9_000]
    failed = [slow, on("slow", 1, 5_000, None, error="exit 1")]
    assert named(tmp_path, events, "lost == 0", during="slow", markers=failed) == [1_100, 2_000]
    assert named(tmp_path, events, "lost == 0", during="slow", markers=failed[1:]) == []
    assert named(tmp_path, events, "lost == 0", during="slow", markers=[on("away", 0, 0, 9_500)]) == []


def test_after_an_action_events_are_named_that_were_due_when_it_was_over_for_sure(tmp_path: Path) -> None:
    events, slow = due_at_all_of_them(), on("slow", 0, 1_000, 2_000)
    later = [slow, on("slow", 1, 4_000, 5_000), on("away", 0, 0, 8_500)]
    assert named(tmp_path, events, "lost == 0", after="slow", markers=[slow]) == [2_100, 5_099, 5_100, 9_000]
    assert named(tmp_path, events, "lost == 0", after="slow", markers=later) == [5_100, 9_000]
    assert named(tmp_path, events, "lost == 0", after="slow", markers=[slow, on("slow", 1, 4_000, None)]) == []
    assert named(tmp_path, events, "lost == 0", after="slow", markers=[on("away", 0, 0, 0)]) == []


def test_a_drain_after_an_action_is_about_no_single_event(tmp_path: Path) -> None:
    events = due_at_all_of_them()
    gauges = {"work-queue": ("depth",)}
    told = worst_of(
        tmp_path, events, "drain(depth <= 1) < 1m", after="slow", gauges=gauges, markers=[on("slow", 0, 0, 1)]
    )
    assert told == ()


def test_events_with_one_of_the_tags(tmp_path: Path) -> None:
    """A tag is a name and a value; one that begins as another is another."""
    events = [
        never(0, tags="cold=true"), never(1, tags="cold=truely\nzone=eu"), never(2),
        never(3, tags="zone=eu\ncold=true"), never(4, tags="very cold=true"),
    ]  # fmt: skip
    assert named(tmp_path, events, "lost == 0") == [0, 1, 2, 3, 4]
    assert named(tmp_path, events, "lost == 0", tag="cold=true") == [0, 3]
    assert named(tmp_path, events, "lost == 0", tag="zone=eu") == [1, 3]


def test_a_recovery_names_the_events_of_the_objective_that_had_to_hold_again(tmp_path: Path) -> None:
    events = [seen_at(0, 2_000), seen_at(1, 1_500), seen_at(2, 500)]
    assert named(tmp_path, events, "recovery(p95(consistency) < 1s) < 1m", after="10s") == [0, 1]


def test_ten_are_named(tmp_path: Path) -> None:
    events = [never(seq) for seq in range(30, 10, -1)]
    assert named(tmp_path, events, "lost == 0") == list(range(11, 21))


# -- who they are ----------------------------------------------------------------------------------------------------


def test_a_worst_event_can_be_looked_up(tmp_path: Path) -> None:
    (found,) = worst_of(tmp_path, [never(0xABCDEF, key="sku-1", scenario=1)], "lost == 0")
    assert found.correlation_id == IDS.id_of(0xABCDEF)
    assert found.traceparent == IDS.traceparent_of(0xABCDEF)
    assert (found.scenario, found.event, found.key, found.state) == ("returns", "order", "sku-1", "lost")
    (found,) = worst_of(tmp_path, [never(7, type=1)], "lost == 0")
    assert (found.scenario, found.event, found.key) == ("checkout", "note", None)


def test_the_timeline_of_an_event_that_was_seen_late(tmp_path: Path) -> None:
    seen = event(
        0, due=1_000, sent=1_005, acked=1_025, first=(1_100, 1_150), stable=(2_000, 2_100), settled=3_000, reads=9,
        failed_reads=2, effects=3, regressions=2, staleness=4, session=Seen.ABSENT,
    )  # fmt: skip
    (found,) = worst_of(tmp_path, [seen], "p99(consistency) < 1s")
    assert found.log == (
        (1.0, "due"),
        (1.005, "sent, 5 ms late"),
        (1.025, "acked after 20 ms"),
        (1.025, "its own session's read right after the ack: absent"),
        (1.15, "first seen, within the 50 ms before"),
        (2.1, "seen by everybody, within the 100 ms before"),
        (
            3.0,
            "settled as visible: 9 reads, 2 of them failed, 3 effects, disappeared 2 times, 4 writes behind at worst",
        ),
    )


def test_of_what_goes_it_is_told_that_it_went(tmp_path: Path) -> None:
    went = event(
        0, due=1_000, sent=1_000, acked=1_000, first=(1_100, 1_150), stable=(2_000, 2_100), settled=3_000, reads=9,
        regressions=2, gone=1,
    )  # fmt: skip
    (found,) = worst_of(tmp_path, [went], "max(first_seen) < 10ms")
    assert found.figure == "gone after 100 … 150 ms"
    assert [what for _, what in found.log[3:]] == [
        "gone first, within the 50 ms before", "gone for everybody, within the 100 ms before",
        "settled as visible: 9 reads, was there again 2 times",
    ]  # fmt: skip
    (again,) = worst_of(tmp_path, [went], "regressions == 0")
    assert again.figure == "was there again 2 times"
    still = event(0, LOST, due=1_000, sent=1_000, acked=1_000, stable=(6_000, None), settled=6_001, reads=3, gone=0)
    (found,) = worst_of(tmp_path, [still], "lost == 0")
    assert (6.0, "still there") in found.log


def test_the_timeline_of_an_event_on_its_way_through_a_chain(tmp_path: Path) -> None:
    parts = (
        Part(0, None, VISIBLE, at(None), at(1_040), None, at(1_040)),
        Part(1, None, LOST, at(6_000), None, at(6_000), None),
        Part(1, "eu", VISIBLE, at(1_040), at(1_050), at(1_060), at(1_090)),
        Part(1, "us", LOST, at(6_000), None, at(6_000), None),
    )
    lost = event(
        0, LOST, due=1_000, sent=1_000, acked=1_002, first=(None, 1_040), stable=(6_000, None), settled=6_001,
        parts=parts, reads=3,
    )  # fmt: skip
    (found,) = worst_of(tmp_path, [lost], "lost == 0")
    assert found.log == (
        (1.0, "due"),
        (1.0, "sent"),
        (1.002, "acked after 2 ms"),
        (1.04, "first seen"),
        (1.04, "queue shows it for good"),
        (1.09, "read-model at eu shows it for good, within the 30 ms before"),
        (6.0, "still missing"),
        (6.001, "read-model: lost"),
        (6.001, "read-model at us: lost"),
        (6.001, "settled as lost: 3 reads"),
    )


@pytest.mark.parametrize(
    ("event_", "text", "timeline"),
    [
        (
            event(0, State.REJECTED, due=5, sent=4, acked=14, first=(None, None), stable=(None, None), settled=14,
                  reads=0, detail="HTTP 503"),
            "errors == 0",
            ((0.004, "sent"), (0.005, "due"), (0.014, "answered: HTTP 503 after 10 ms"),
             (0.014, "settled as rejected: 0 reads")),
        ),
        (
            event(0, State.RETURNED, due=5, sent=5, acked=14, first=(None, None), stable=(None, None), settled=14,
                  reads=0),
            "errors == 0",
            ((0.005, "due"), (0.005, "sent"), (0.014, "answered: returned after 9 ms"),
             (0.014, "settled as returned: 0 reads")),
        ),
        (
            event(0, State.UNSENT, due=5, sent=None, acked=None, first=(None, None), stable=(None, None), settled=9,
                  reads=0),
            "unsent == 0",
            ((0.005, "due"), (0.009, "settled as unsent: 0 reads")),
        ),
        (
            # Seen for good from the first sighting on: it is told once.
            event(0, State.IN_DOUBT, due=0, sent=0, acked=None, first=(20, 30), stable=(20, 30), settled=90, reads=2,
                  effects=0),
            "in_doubt == 0",
            ((0.0, "due"), (0.0, "sent"), (0.03, "first seen, within the 10 ms before"),
             (0.09, "settled as in_doubt: 2 reads, 0 effects")),
        ),
        (
            event(0, UNOBSERVED, due=0, sent=0, acked=7, first=(None, None), stable=(None, None), settled=90, reads=0,
                  staleness=0, session=Seen.FAILED),
            "unobserved == 0",
            ((0.0, "due"), (0.0, "sent"), (0.007, "acked after 7 ms"),
             (0.007, "its own session's read right after the ack: failed"),
             (0.09, "settled as unobserved: 0 reads")),
        ),
    ],
    ids=["rejected", "returned", "unsent", "in doubt", "unobserved"],
)  # fmt: skip
def test_the_timeline_of_an_event_that_ended_otherwise(
    tmp_path: Path, event_: Observation, text: str, timeline: tuple[tuple[float, str], ...]
) -> None:
    (found,) = worst_of(tmp_path, [event_], text)
    assert found.log == timeline


# -- the figure that was judged --------------------------------------------------------------------------------------


def figures(directory: Path, events: Sequence[Observation], text: str, **part: Any) -> list[str]:
    return [found.figure for found in worst_of(directory, events, text, **part)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p99(consistency) < 1s", ["consistency 3.99 s … never", "consistency 1.9 … 2 s"]),
        ("p99(first_seen) < 1s", ["first_seen 3.99 s … never", "first_seen 1.9 … 2 s"]),
        ("share(end_to_end < 1s) >= 99%", ["end_to_end 4 s … never", "end_to_end 1.91 … 2.01 s"]),
        ("lost == 0", [""]),
    ],
)
def test_how_long_it_took_is_told_by_what_was_judged(tmp_path: Path, text: str, told: list[str]) -> None:
    assert (
        figures(tmp_path, [event(0, first=(1_910, 2_010), stable=(1_910, 2_010)), never(1), seen_at(2, 100)], text)
        == told
    )


def test_what_is_known_exactly_is_one_figure(tmp_path: Path) -> None:
    events = [event(0, due=0, sent=300, acked=1_800), event(1)]
    assert figures(tmp_path, events, "p99(publish) < 1s") == ["publish 1.5 s"]
    assert figures(tmp_path, events, "p99(schedule_delay) < 100ms") == ["schedule_delay 300 ms"]


def test_of_effects_and_of_answers_that_were_behind_the_number_is_told(tmp_path: Path) -> None:
    events = [event(0, effects=3), event(1, effects=1), event(2, effects=2, staleness=7)]
    assert figures(tmp_path, events, "duplicates == 0") == ["3 effects", "2 effects"]
    assert figures(tmp_path, events, "max(staleness) <= 2") == ["7 writes behind"]


def test_of_a_disorder_the_event_that_overtook_is_named(tmp_path: Path) -> None:
    big = 2**60
    events = [event(n, due=100 * n, sent=100 * n + 1, acked=100 * n + 10, key="a", position=position)
              for n, position in enumerate((big + 1, big + 2, big))]  # fmt: skip
    overtook = f"overtaken by {IDS.id_of(2)} at position {big}"
    assert figures(tmp_path, events, "out_of_order == 0") == [
        f"at position {big + 1}, {overtook}", f"at position {big + 2}, {overtook}",
    ]  # fmt: skip
    assert figures(tmp_path, events[:2], "out_of_order == 0") == []


def test_of_one_probe_or_one_hop_what_that_took(tmp_path: Path) -> None:
    def through(seq: int, queue: float, model: float) -> Observation:
        parts = tuple(
            Part(probe, None, VISIBLE, at(ms - 10), at(ms), at(ms - 10), at(ms))
            for probe, ms in enumerate((queue, model))
        )
        return seen_at(seq, model, parts=parts)

    # The first is seen last; most of its time went into the first hop.
    events = [through(0, 3_000, 3_200), through(1, 110, 2_010)]
    assert figures(tmp_path, events, "p99(consistency) < 1s", probe="read-model") == [
        "consistency 3.18 … 3.19 s", "consistency 1.99 … 2 s",
    ]  # fmt: skip
    assert figures(tmp_path, events, "p99(hop) < 1s", probe="queue") == ["hop 2.98 … 2.99 s", "hop 90 … 100 ms"]
    assert named(tmp_path, events, "p99(hop) < 1s", probe="read-model") == [1, 0]
    assert figures(tmp_path, events, "p99(hop) < 1s", probe="read-model") == ["hop 1.89 … 1.91 s", "hop 190 … 210 ms"]


def test_a_hop_begins_when_the_last_replica_before_it_shows_an_event(tmp_path: Path) -> None:
    shown = [(0, "eu", 110), (0, "us", 610), (0, None, 610), (1, None, 2_010)]
    parts = tuple(
        Part(probe, replica, VISIBLE, at(ms - 10), at(ms), at(ms - 10), at(ms)) for probe, replica, ms in shown
    )
    events = [seen_at(0, 2_010, parts=parts)]
    assert figures(tmp_path, events, "p99(hop) < 1s", probe="read-model") == ["hop 1.39 … 1.41 s"]


def test_a_hop_is_a_bracket_between_two_brackets(tmp_path: Path) -> None:
    """Shown by the queue between 100 and 600 ms, by the read model between 500 and 2,000: it took 1.9 s at most."""
    queue = Part(0, None, VISIBLE, at(50), at(60), at(100), at(600))
    model = Part(1, None, VISIBLE, at(50), at(60), at(500), at(2_000))
    events = [event(0, stable=(500, 2_000), parts=(queue, model))]
    assert figures(tmp_path, events, "p99(hop) < 1s", probe="read-model") == ["hop 0 … 1.9 s"]
    at_once = Part(0, None, VISIBLE, None, at(200), None, at(200))
    assert figures(tmp_path, [event(0, parts=(at_once, model))], "p99(hop) < 1s", probe="read-model") == [
        "hop 300 ms … 1.99 s"
    ]


def test_the_id_that_the_target_gave_an_event_is_kept_and_told(tmp_path: Path) -> None:
    named_by_it, unnamed = worst_of(tmp_path, [never(0, capture="order-7"), never(1)], "lost == 0")
    assert (0.01, "the target calls it order-7") in named_by_it.log
    assert not any("calls it" in what for _, what in unnamed.log)
