"""The timeline of a run: counts per interval from the ledger alone, however many rows it has."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.ledger.reader import LedgerReader
from evload.ledger.timeline import INTERVALS, closer, read_timeline, step_for
from evload.model.marker import Marker
from evload.model.states import State
from evload.model.timeline import EDGES_NS, PUBLISH_EDGES_NS, LatencyOverTime, Stage, Standstill, Timeline
from evload.model.travel import Observation, Part
from evload.stats.histogram import rank_of
from evload.units import parse_duration
from tests.rigs.ledgers import begun
from tests.rigs.summaries import MS, S, bucket_of
from tests.rigs.worlds import run

MEDIAN = Fraction(1, 2)


def seen(seq: int, due: int, window: int | None, *, scenario: int = 0, key: str | None = None) -> Observation:
    """An event that was sent a millisecond after it was due and acked two later; None: never visible."""
    acked = due + 3 * MS
    upper = None if window is None else acked + window
    lower = acked + (8 * S if window is None else window * 9 // 10)
    settled = acked + 9 * S if upper is None else upper + S
    state = State.LOST if window is None else State.VISIBLE
    return Observation(
        seq,
        scenario,
        0,
        state,
        due,
        key,
        due + MS,
        acked,
        True,
        lower,
        upper,
        lower,
        upper,
        settled,
        reads=5,
        failed_reads=1,
    )


class Sipping(LedgerReader):
    """Reads three rows at a time, as if there were tens of thousands."""

    def portions(self, query: str, size: int, values: Sequence[object] = ()) -> Iterator[list[tuple[Any, ...]]]:
        yield from super().portions(query, min(size, 3), values)


def timeline_of(
    directory: Path,
    events: Sequence[Observation],
    *,
    names: Sequence[str] = ("main",),
    samples: Sequence[tuple[str, int, dict[str, float]]] = (),
    intervals: int = INTERVALS,
    reader: type[LedgerReader] = LedgerReader,
    markers: Sequence[Marker] = (),
    **meta: object,
) -> Timeline:
    path = directory / "events.sqlite"
    path.unlink(missing_ok=True)
    ledger = begun(path, 0, meta, threaded=False)
    ledger.append(events)
    for gauge, at, values in samples:
        ledger.sampled(gauge, at, at, values)
    ledger.close()
    with reader(path) as opened:
        return read_timeline(opened, names, markers=markers, intervals=intervals)


def test_each_count_stands_where_it_happened(tmp_path: Path) -> None:
    events = [
        seen(0, 0, 100 * MS),
        seen(1, 900 * MS, 200 * MS),
        seen(2, 1000 * MS, None, key="k"),
        Observation(3, 0, 0, State.REJECTED, 1100 * MS, sent_ns=1130 * MS, acked_ns=1140 * MS, settled_ns=1140 * MS),
        Observation(4, 0, 0, State.UNSENT, 2100 * MS, settled_ns=2100 * MS),
    ]
    told = timeline_of(tmp_path, events, intervals=20)
    main = told.scenarios["main"]
    assert (told.step_ns, told.count) == (S, 11)
    assert main.offered[:4] == [2, 2, 1, 0]
    assert main.sent[:4] == [2, 2, 0, 0]
    assert main.acked[:4] == [2, 1, 0, 0]
    assert main.visible[:4] == [1, 1, 0, 0]
    assert main.given_up == [0] * 10 + [1]
    assert main.refused[:4] == [0, 1, 1, 0]
    assert main.lost[:4] == [0, 1, 0, 0]
    assert main.outstanding == [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    assert main.late_ns[:3] == [MS, 30 * MS, 0]
    assert main.late_count[:3] == [0, 1, 0]
    assert main.failed_reads == [0, 1, 1] + [0] * 7 + [1]
    assert main.latency.never[:3] == [0, 1, 0]
    assert [sum(counts.values()) for counts in main.latency.upper[:3]] == [2, 0, 0]
    assert told.keys == {("main", "lost"): [("k", 1)]}


def told_of(
    seq: int,
    state: State,
    due: int,
    sent: int | None,
    acked: int | None,
    stable: tuple[int | None, int | None],
    settled: int,
    **facts: Any,
) -> Observation:
    """A settled event; all times in milliseconds since the schedule began."""
    times = (None if ms is None else ms * MS for ms in (sent, acked, *stable))
    sent_ns, acked_ns, lower, upper = times
    return Observation(
        seq, state=state, intended_ns=due * MS, sent_ns=sent_ns, acked_ns=acked_ns, stable_lower_ns=lower,
        stable_upper_ns=upper, settled_ns=settled * MS, **{"scenario": 0, "type": 0, "sampled": True, **facts},
    )  # fmt: skip


UNKNOWN = (None, None)
ALL_WAYS = [
    told_of(0, State.VISIBLE, 100, 105, 200, (1_100, 1_250), 2_000, failed_reads=1, effects=2),
    told_of(1, State.LOST, 900, 1_100, 1_200, (9_000, None), 9_500, failed_reads=3, effects=0),
    # Ten milliseconds late, which is not late yet.
    told_of(2, State.REGRESSED, 1_000, 1_010, 1_300, (8_000, None), 9_900, failed_reads=4, regressions=2),
    told_of(3, State.REJECTED, 2_000, 2_011, 2_100, UNKNOWN, 2_100),
    told_of(4, State.RETURNED, 2_500, 2_500, 2_600, UNKNOWN, 2_600),
    # Tried in vain, and not even tried.
    told_of(5, State.UNSENT, 3_000, 3_400, None, UNKNOWN, 3_400),
    told_of(6, State.UNSENT, 3_100, None, None, UNKNOWN, 3_100),
    told_of(7, State.IN_DOUBT, 4_000, 4_000, None, (4_500, 4_600), 5_000, failed_reads=2),
    # Read once at its deadline.
    told_of(8, State.VISIBLE, 5_000, 5_001, 5_100, (None, 9_800), 9_800, sampled=False, effects=1),
    told_of(9, State.PENDING, 6_000, 6_000, 7_100, (9_990, None), 10_000),
    # Seen before its ack.
    told_of(10, State.VISIBLE, 7_000, 7_000, 7_050, (None, 7_040), 10_000, regressions=1, effects=1),
]


@pytest.mark.parametrize("reader", [LedgerReader, Sipping])
def test_every_count_of_every_way_in_which_an_event_can_end(tmp_path: Path, reader: type[LedgerReader]) -> None:
    told = timeline_of(tmp_path, ALL_WAYS, intervals=10, reader=reader)
    main = told.scenarios["main"]
    assert (told.step_ns, told.count) == (S, 10)
    columns = {
        "offered": [2, 1, 2, 2, 1, 1, 1, 1, 0, 0],
        "sent": [1, 2, 2, 0, 1, 1, 1, 1, 0, 0],
        "acked": [1, 2, 0, 0, 0, 1, 0, 2, 0, 0],
        "followed": [1, 2, 0, 0, 0, 0, 0, 2, 0, 0],
        "visible": [0, 1, 0, 0, 0, 0, 0, 1, 0, 0],
        "given_up": [0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
        "refused": [0, 0, 2, 2, 1, 0, 0, 0, 0, 0],
        "lost": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "regressed": [0, 1, 0, 0, 0, 0, 0, 1, 0, 0],
        "duplicated": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "failed_reads": [0, 0, 1, 0, 0, 2, 0, 0, 0, 7],
        "late_ns": [200 * MS, 10 * MS, 11 * MS, 0, 0, MS, 0, 0, 0, 0],
        "late_count": [1, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        "outstanding": [1, 2, 2, 2, 2, 2, 2, 3, 3, 0],
        "in_flight": [0, 0, 2, 2, 3, 3, 4, 3, 3, 3],
    }
    assert {name: getattr(main, name) for name in columns} == columns
    assert {name: getattr(told.total, name) for name in columns} == columns
    assert {type(count) for name in columns for count in getattr(main, name)} == {int}
    lower: list[dict[int, int]] = [{} for _ in range(10)]
    upper: list[dict[int, int]] = [{} for _ in range(10)]
    lower[0] = {bucket_of(900 * MS): 1, bucket_of(7_800 * MS): 1}
    lower[1], lower[6], lower[7] = {bucket_of(6_700 * MS): 1}, {bucket_of(2_890 * MS): 1}, {0: 1}
    upper[0], upper[7] = {bucket_of(1_050 * MS): 1}, {0: 1}
    assert main.latency == LatencyOverTime(lower, upper, [1, 1, 0, 0, 0, 0, 1, 0, 0, 0])


def test_events_in_doubt_have_no_window_and_those_seen_at_once_begin_when_sent(tmp_path: Path) -> None:
    doubtful = seen(0, 0, 50 * MS)
    doubtful.state, doubtful.acked_ns = State.IN_DOUBT, None
    at_once = seen(1, 0, 50 * MS)
    at_once.stable_lower_ns = at_once.first_lower_ns = None
    main = timeline_of(tmp_path, [doubtful, at_once]).scenarios["main"]
    assert main.latency.count() == sum(main.visible) == sum(main.followed) == 1
    bounds = main.latency.bounds(MEDIAN)
    assert bounds is not None
    assert bounds[0] == 0


def test_answers_to_publishes_over_time_and_those_that_never_came(tmp_path: Path) -> None:
    """By the time at which an event was due, from its send: an ack after two milliseconds, one after a fifth of one,
    one after three seconds, and one that was waited for in vain for as long. A refusal is none, and what was never
    sent had none."""
    quick, late, doubtful = seen(1, 100 * MS, 50 * MS), seen(2, S, 50 * MS), seen(3, S, None)
    quick.acked_ns = 101 * MS + 200_000
    late.acked_ns = 4 * S + MS
    doubtful.state, doubtful.acked_ns, doubtful.settled_ns = State.IN_DOUBT, None, 4 * S + MS
    refused, unsent = seen(4, S, None), seen(5, S, None)
    refused.state, unsent.state = State.REJECTED, State.UNSENT
    events = [seen(0, 0, 50 * MS), quick, late, doubtful, refused, unsent]
    told = timeline_of(tmp_path, events, intervals=20)
    publish = told.scenarios["main"].publish
    assert told.step_ns == S
    of_two, of_a_fifth, of_three_seconds = (bisect(PUBLISH_EDGES_NS, ns) - 1 for ns in (2 * MS, 200_000, 3 * S))
    assert publish.upper[:2] == [{of_two: 1, of_a_fifth: 1}, {of_three_seconds: 1}]
    assert publish.lower[:2] == [{of_two: 1, of_a_fifth: 1}, {of_three_seconds: 2}]
    assert (publish.never[:2], publish.count()) == ([0, 1], 4)
    median, worst = publish.bounds(MEDIAN, 0, 1), publish.bounds(Fraction(1), 1, 2)
    assert median == (PUBLISH_EDGES_NS[of_a_fifth], PUBLISH_EDGES_NS[of_a_fifth + 1])
    assert worst == (PUBLISH_EDGES_NS[of_three_seconds], None)
    assert told.total.publish == publish


def test_scenarios_are_apart_and_together(tmp_path: Path) -> None:
    events = [seen(0, 0, 50 * MS), seen(1, 0, 70 * MS, scenario=1), seen(2, 2 * S, 50 * MS)]
    told = timeline_of(tmp_path, events, names=("a", "b"), intervals=4)
    assert [told.scenarios[name].offered for name in "ab"] == [[1, 0, 1, 0], [1, 0, 0, 0]]
    assert told.total.offered == [2, 0, 1, 0]
    assert told.total.latency.count() == 3
    assert told.total.outstanding == [0, 0, 0, 0]


def test_an_empty_ledger_has_an_empty_timeline(tmp_path: Path) -> None:
    told = timeline_of(tmp_path, [])
    assert told.count == 1
    assert told.total.offered == [0]
    assert told.total.latency.bounds(MEDIAN) is None
    assert timeline_of(tmp_path, [], names=()).total.offered == [0]


@given(st.integers(0, 10**16), st.integers(1, 400))
def test_intervals_are_round_and_few(end_ns: int, intervals: int) -> None:
    step = step_for(end_ns, intervals)
    assert step * intervals >= end_ns
    assert step % (50 * MS) == 0


def test_intervals_are_as_round_as_a_clock() -> None:
    """From a tenth of a second to a day, as the run grows; then whole days."""
    rounds = ["100ms", "200ms", "250ms", "500ms", "1s", "2s", "5s", "10s", "15s", "30s", "1m", "2m", "3m", "5m",
              "10m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "2d", "3d"]  # fmt: skip
    steps = [parse_duration(text) for text in rounds]
    assert [step_for(step * 10, 10) for step in steps] == steps
    assert [step_for(step * 10 + 1, 10) for step in steps[:-1]] == steps[1:]
    assert step_for(0, 10) == 100 * MS
    assert INTERVALS == 240


def test_an_hour_has_intervals_of_fifteen_seconds() -> None:
    assert step_for(3600 * S, 240) == 15 * S
    assert step_for(8 * 3600 * S, 240) == 120 * S
    assert step_for(240 * 86_400 * S + 1, 240) == 2 * 86_400 * S


WINDOWS = st.lists(st.tuples(st.integers(0, 10**14), st.integers(0, 10**13) | st.none()), min_size=1, max_size=60)


@given(WINDOWS, st.fractions(Fraction(1, 100), 1))
def test_bounds_hold_the_quantile_of_every_choice_of_true_times(
    windows: list[tuple[int, int | None]], p: Fraction
) -> None:
    """Each true time may lie anywhere in its bracket; the extremes are the two ends themselves."""
    lower: dict[int, int] = {}
    upper: dict[int, int] = {}
    for low, width in windows:
        lower[bucket_of(low)] = lower.get(bucket_of(low), 0) + 1
        if width is not None:
            upper[bucket_of(low + width)] = upper.get(bucket_of(low + width), 0) + 1
    never = sum(width is None for _, width in windows)
    bounds = LatencyOverTime([lower], [upper], [never]).bounds(p)
    assert bounds is not None
    rank = rank_of(p, len(windows)) - 1
    lows = sorted(low for low, _ in windows)
    highs = sorted((low + width for low, width in windows if width is not None))
    assert bounds[0] is not None
    assert bounds[0] <= lows[rank] or rank >= len(lows)
    if rank >= len(highs):
        assert bounds[1] is None
    else:
        assert bounds[1] is None or bounds[1] >= highs[rank]
        assert bounds[1] is not None or highs[rank] >= EDGES_NS[-1]


@given(st.integers(0, 10**15))
def test_a_bucket_holds_its_value(ns: int) -> None:
    bucket = bucket_of(ns)
    assert EDGES_NS[bucket] <= ns
    assert bucket + 1 == len(EDGES_NS) or ns < EDGES_NS[bucket + 1]


def test_buckets_are_an_eighth_wide() -> None:
    assert all(1.12 < high / low < 1.123 for low, high in pairwise(EDGES_NS[1:]))


def test_gauges_keep_their_extremes_and_their_gaps(tmp_path: Path) -> None:
    samples: list[tuple[str, int, dict[str, float]]] = [
        ("q", 100 * MS, {"queue_depth": 4.0}), ("q", 200 * MS, {"queue_depth": 8.0}), ("q", 2500 * MS, {}),
        ("q", 3500 * MS, {"queue_depth": 1.0}), ("q", 4000 * MS, {"queue_depth": 5.0}),
        ("q", -5, {"queue_depth": 0.0}), ("cpu", 10, {"load": 0.5}), ("cpu", 20, {"load": 0.25}),
    ]  # fmt: skip
    told = timeline_of(tmp_path, [], samples=samples, intervals=4)
    depth = told.gauges["q", "queue_depth"]
    # Before the schedule began and at the very end there are no other intervals.
    assert depth.minimum == [0.0, None, None, 1.0]
    assert depth.mean == [4.0, None, None, 3.0]
    assert depth.maximum == [8.0, None, None, 5.0]
    load = told.gauges["cpu", "load"]
    assert (load.minimum[0], load.mean[0], load.maximum[0]) == (0.25, 0.375, 0.5)
    assert told.failed_samples == {"q": [0, 0, 1, 0]}


def test_parts_are_told_by_probe_and_replica(tmp_path: Path) -> None:
    events = []
    for seq in range(20):
        event = seen(seq, seq * 10 * MS, 500 * MS)
        acked = event.acked_ns or 0
        brackets = {None: (450, 500), "fast": (40, 50), "slow": (450, 500)}
        event.parts = tuple(
            Part(0, replica, State.VISIBLE, None, None, acked + low * MS, acked + high * MS)
            for replica, (low, high) in brackets.items()
        )
        events.append(event)
    told = timeline_of(tmp_path, events, probes=["items"])
    assert set(told.parts) == {("main", "items", replica) for replica in ("", "fast", "slow")}
    fast, slow = (told.parts["main", "items", replica].bounds(MEDIAN) for replica in ("fast", "slow"))
    assert fast is not None
    assert slow is not None
    assert fast[1] is not None
    assert 50 * MS <= fast[1] <= 57 * MS
    assert slow[0] is not None
    assert 400 * MS <= slow[0] <= 450 * MS


@pytest.mark.parametrize("reader", [LedgerReader, Sipping])
def test_parts_are_of_followed_and_acked_events_by_their_due_time(tmp_path: Path, reader: type[LedgerReader]) -> None:
    """Two probes and a replica, in two scenarios; a part that was never seen keeps its place."""
    events = []
    for seq, (scenario, state, sampled, acked) in enumerate(
        [(0, State.VISIBLE, True, 100), (1, State.LOST, True, 2_100), (0, State.VISIBLE, False, 3_100),
         (0, State.IN_DOUBT, True, None), (0, State.VISIBLE, True, 3_500)]
    ):  # fmt: skip
        due = {0: 0, 1: 1_000, 4: 3_000}.get(seq, 2_000)
        event = told_of(seq, state, due, due + 50, acked, UNKNOWN, 4_000, scenario=scenario, sampled=sampled)
        base = (acked or 0) * MS
        event.parts = (
            # Shown at its first read, so that the send bounds it.
            Part(0, None, State.VISIBLE, None, None, None, base + 40 * MS),
            Part(1, None, State.VISIBLE, None, None, base + 300 * MS, base + 400 * MS),
            Part(1, "eu", State.LOST, None, None, base + 900 * MS, None),
        )
        events.append(event)
    told = timeline_of(tmp_path, events, names=("a", "b"), intervals=4, probes=["queue"], reader=reader)
    assert list(told.parts) == [
        ("a", "queue", ""), ("a", "probe 1", ""), ("a", "probe 1", "eu"),
        ("b", "queue", ""), ("b", "probe 1", ""), ("b", "probe 1", "eu"),
    ]  # fmt: skip
    queue, replica = told.parts["a", "queue", ""], told.parts["a", "probe 1", "eu"]
    forty = bucket_of(40 * MS)
    assert (queue.lower, queue.upper) == ([{0: 1}, {}, {}, {0: 1}], [{forty: 1}, {}, {}, {forty: 1}])
    late = bucket_of(900 * MS)
    assert replica == LatencyOverTime([{late: 1}, {}, {}, {late: 1}], [{}] * 4, [1, 0, 0, 1])
    assert told.parts["b", "probe 1", ""].upper == [{}, {bucket_of(400 * MS): 1}, {}, {}]


@pytest.mark.parametrize("reader", [LedgerReader, Sipping])
def test_the_keys_that_it_befell_most_are_named(tmp_path: Path, reader: type[LedgerReader]) -> None:
    keys = ["k1", "k2", "k3", "k2", "k4", "k4", "k4", "k3", "k3", "k3", None, None, None, None, None]
    events = [seen(2 * seq, 0, None, key=key) for seq, key in enumerate(keys)]
    events += [seen(number, 0, None, scenario=1, key=key) for number, key in ((111, "k9"), (113, "k3"), (115, "k9"))]
    events.append(seen(103, 0, 100 * MS, key="fine"))
    doubled, gone = seen(105, 0, 100 * MS, key="d"), seen(107, 0, 100 * MS, key="g", scenario=1)
    doubled.effects, gone.regressions, events[-1].effects = 2, 1, 1
    told = timeline_of(tmp_path, [*events, doubled, gone], names=("a", "b"), reader=reader)
    assert told.keys == {
        ("a", "lost"): [("k3", 4), ("k4", 3), ("k2", 2)], ("b", "lost"): [("k9", 2), ("k3", 1)],
        ("b", "regressed"): [("g", 1)], ("a", "duplicated"): [("d", 1)],
    }  # fmt: skip


def test_stages_come_from_the_ledger(tmp_path: Path) -> None:
    told = timeline_of(tmp_path, [], stages=[["main", 0, S, "hold 5/s"]])
    assert told.stages == [Stage("main", 0, S, "hold 5/s")]


def every_100_ms(count: int, held: range, *, what: str) -> list[Observation]:
    """Events that are acked, or visible, 150 ms after their due time; those of `held` all at once after them."""
    events = []
    for seq in range(count):
        due = seq * 100 + 10
        through = held.stop * 100 + 50 if seq in held else due + 150
        acked, upper = (through, through + 1) if what == "acks" else (due, through)
        events.append(told_of(seq, State.VISIBLE, due, due, acked, (acked, upper), through + 900))
    return events


@pytest.mark.parametrize("what", ["acks", "visibility"])
def test_a_standstill_counts_what_waits_at_its_end_and_at_other_times(tmp_path: Path, what: str) -> None:
    events = every_100_ms(30, range(5, 25), what=what)
    # What was refused or isn't followed waits for nothing.
    events += [
        told_of(100, State.REJECTED, 500, 500, 2_900, UNKNOWN, 2_900),
        told_of(101, State.IN_DOUBT, 500, 500, None, UNKNOWN, 2_900),
        told_of(102, State.VISIBLE, 500, 500, 510, (None, 2_900), 2_900, sampled=False),
        told_of(103, State.LOST, 500, 500, 510, (2_890, None), 2_900),
    ]
    expected = Standstill("acks" if what == "acks" else "visibility", 600 * MS, 2_500 * MS, 20, 1.0)
    assert timeline_of(tmp_path, events).standstills == [expected]


@pytest.mark.parametrize(("held", "found"), [(range(10, 15), 0), (range(10, 16), 1)])
def test_half_a_second_is_the_shortest_standstill(tmp_path: Path, held: range, found: int) -> None:
    """The first of those that are held is in time with the last before it, whose ack comes in its interval."""
    told = timeline_of(tmp_path, every_100_ms(30, held, what="acks"))
    assert [(one.start_ns, one.end_ns) for one in told.standstills] == [(1_100 * MS, 1_600 * MS)] * found


def test_the_longest_standstills_are_kept_in_order_of_time(tmp_path: Path) -> None:
    """Every three seconds an event whose ack comes after 600 ms, 700 ms and so on; of fourteen two are left out."""
    events = [
        told_of(n, State.VISIBLE, 3_000 * n, 3_000 * n, 3_000 * n + 600 + 100 * n, (None, None), 3_000 * n + 2_500)
        for n in range(14)
    ]  # fmt: skip
    told = timeline_of(tmp_path, events)
    acks = [(one.start_ns // MS, one.end_ns // MS, one.waiting, one.usual) for one in told.standstills]
    assert acks == [(3_000 * n, 3_000 * n + 600 + 100 * n, 1, 1.0) for n in range(2, 14)]


def test_standstills_of_both_kinds_are_told_in_order_of_their_beginning(tmp_path: Path) -> None:
    events = every_100_ms(30, range(10, 20), what="acks")
    for event in events:
        event.sampled = False
    events.append(told_of(100, State.VISIBLE, 600, 600, 620, (2_700, 2_850), 2_900))
    told = timeline_of(tmp_path, events)
    assert [(one.what, one.start_ns // MS, one.end_ns // MS) for one in told.standstills] == [
        ("visibility", 600, 2_800), ("acks", 1_100, 2_000),
    ]  # fmt: skip


def test_in_a_long_run_standstills_are_looked_for_in_longer_steps(tmp_path: Path) -> None:
    """Of 100 minutes in steps of 200 ms."""
    events = [
        told_of(0, State.VISIBLE, 0, 0, 900, UNKNOWN, 1_000),
        told_of(1, State.VISIBLE, 10_000, 10_000, 11_500, UNKNOWN, 12_000),
        told_of(2, State.VISIBLE, 5_999_000, 5_999_000, 5_999_100, UNKNOWN, 6_000_000),
    ]
    told = timeline_of(tmp_path, events)
    assert [(one.start_ns, one.end_ns) for one in told.standstills] == [(10 * S, 11_400 * MS)]
    (alone,) = timeline_of(tmp_path, events[:1]).standstills
    assert (alone.start_ns, alone.end_ns, alone.waiting, alone.usual) == (0, 900 * MS, 1, 0.0), "never at other times"


@pytest.mark.parametrize("what", ["acks", "visibility"])
def test_a_standstill_has_its_beginning_and_its_end(tmp_path: Path, what: str) -> None:
    fault = {"what": "workers-down"} if what == "visibility" else {"what": "slow-broker", "delay": "3s"}
    ended = run(
        tmp_path, {"faults": [{**fault, "at": "5s", "lasting": "3s"}]}, load=({"rate": "60/s", "for": "15s"},)
    )
    (found,) = [one for one in ended.timeline.standstills if one.what == what]
    assert found.start_ns == pytest.approx(5.2 * S, abs=600 * MS)
    assert found.end_ns == pytest.approx(8.1 * S, abs=300 * MS)
    assert found.waiting == pytest.approx(180, abs=20)


def test_sums_agree_with_the_summary(tmp_path: Path) -> None:
    ended = run(tmp_path, {"loss": "3%", "duplicates": {"share": "5%"}}, load=({"rate": "60/s", "for": "10s"},))
    total, ledger = ended.timeline.total, ended.report.summary.total().ledger
    for name, key in (("offered", "scheduled"), ("acked", "acked"), ("lost", "lost"), ("duplicated", "duplicated"),
                      ("visible", "visible"), ("given_up", "lost")):  # fmt: skip
        assert sum(getattr(total, name)) == ledger[key], name
    assert total.latency.count() == total.publish.count() == ledger["acked"]
    consistency = ended.report.summary.total().distributions["consistency"]
    bounds, exact = total.latency.bounds(MEDIAN), consistency.bracket(MEDIAN)
    assert bounds is not None
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert exact[0] is not None
    assert exact[1] is not None
    assert exact[0] / 1.13 <= bounds[0] <= exact[0]
    assert exact[1] <= bounds[1] <= exact[1] * 1.13
    publish = ended.report.summary.total().distributions["publish"].bracket(MEDIAN)[1]
    low, high = total.publish.bounds(MEDIAN) or (None, None)
    assert None not in (publish, low, high)
    assert low <= publish <= high <= low * 1.13  # type: ignore[operator]


# -- a close look at what was done -------------------------------------------------------------------

BRIEF = Marker("cut", 0, (5000 * S, 5000 * S + 200 * MS), (5004 * S, 5004 * S + 100 * MS))


@pytest.mark.parametrize("reader", [LedgerReader, Sipping])
def test_four_seconds_of_two_hours(tmp_path: Path, reader: type[LedgerReader]) -> None:
    """Intervals of the whole are half a minute. Events are due every half second around it."""
    events = [
        seen(
            number,
            4960 * S + number * S // 2,
            2 * S if 5000 * S <= 4960 * S + number * S // 2 <= 5004 * S else 100 * MS,
        )
        for number in range(200)
    ]
    events.append(seen(200, 7000 * S, 100 * MS, scenario=1))
    refused = Observation(201, 0, 0, State.REJECTED, 5003 * S, sent_ns=5003 * S, settled_ns=5003 * S)
    samples = [
        ("work", at * S, {"queue_depth": float(at - 4990), "messages": 9.0}) for at in (4990, 5001, 5003, 5010)
    ]
    told = timeline_of(
        tmp_path, [*events, refused], names=("main", "other"), samples=samples, markers=[BRIEF], reader=reader
    )
    assert told.step_ns == 30 * S
    closely = told.close_up
    assert closely is not None
    assert sum(closely.offered["main"]) == 201
    assert sum(closely.offered["other"]) == 1
    during = closely.within(5000 * S + 200 * MS, 5004 * S)
    (number,) = during
    assert (closely.offered["main"][number], closely.refused["main"][number]) == (8, 1)
    assert sum(closely.refused["main"]) == 1
    assert closely.latency["main"].bounds(MEDIAN, number, number + 1) == pytest.approx(
        (1.778 * S, 2.239 * S), rel=1e-3
    )
    before = closely.within(4970 * S, 5000 * S)
    assert sum(closely.offered["main"][n] for n in before) == 60
    assert closely.latency["main"].bounds(MEDIAN, before[0], before[-1] + 1) == pytest.approx(
        (89.1 * MS, 112.2 * MS), rel=1e-3
    )
    assert closely.depths["work"][number] == (11.0, 24.0, 2, 13.0)
    assert [one for one in closely.depths["work"] if one is not None] == [
        (0.0, 0.0, 1, 0.0), (11.0, 24.0, 2, 13.0), (20.0, 20.0, 1, 20.0),
    ]  # fmt: skip
    after = closely.within(5004 * S + 100 * MS, None)
    assert [closely.edges_ns[n] - 5004 * S - 100 * MS for n in after[:3]] == [0, S, 2 * S]
    assert 20 < len(after) < 120


def test_without_a_marker_nothing_is_looked_at_closely(tmp_path: Path) -> None:
    assert timeline_of(tmp_path, [seen(0, 0, 100 * MS)]).close_up is None
    assert closer([], 100 * S) == []


def test_where_a_close_look_begins_and_ends() -> None:
    one = Marker("a", 0, (50 * S, 51 * S), (60 * S, 62 * S))
    assert closer([one], 70 * S) == [0, 20 * S, 50 * S, 51 * S, 60 * S, *range(62 * S, 70 * S, S)]
    assert closer([Marker("a", 0, (5 * S, 5 * S))], 10 * S) == [0, 5 * S]
    again = Marker("a", 1, (90 * S, 90 * S), (95 * S, 95 * S))
    edges = closer([one, again], 97 * S)
    assert 63 * S not in edges
    assert {60 * S, 92 * S, 95 * S, 96 * S} <= set(edges)
    thousand = [Marker("pods", n, (n * S, n * S), lasting=False) for n in range(1000)]
    assert len(closer(thousand, 3600 * S)) < 400
    assert closer([Marker("a", 0, (500 * S, 500 * S))], 10 * S) == [0]
