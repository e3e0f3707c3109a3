"""The timeline of a run: counts per interval from the ledger alone, however many rows it has."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.ledger.reader import LedgerReader
from evload.ledger.timeline import INTERVALS, read_timeline, step_for
from evload.model.states import State
from evload.model.timeline import EDGES_NS, LatencyOverTime, Stage, Timeline
from evload.model.travel import Observation, Part
from evload.stats.histogram import rank_of
from ledgers import begun
from summaries import MS, S, bucket_of
from worlds import run

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


def timeline_of(
    directory: Path,
    events: Sequence[Observation],
    *,
    names: Sequence[str] = ("main",),
    samples: Sequence[tuple[str, int, dict[str, float]]] = (),
    intervals: int = INTERVALS,
    **meta: object,
) -> Timeline:
    path = directory / "events.sqlite"
    path.unlink(missing_ok=True)
    ledger = begun(path, 0, meta, threaded=False)
    ledger.append(events)
    for gauge, at, values in samples:
        ledger.sampled(gauge, at, at, values)
    ledger.close()
    with LedgerReader(path) as reader:
        return read_timeline(reader, names, intervals=intervals)


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
        ("q", 3500 * MS, {"queue_depth": 1.0}),
    ]  # fmt: skip
    told = timeline_of(tmp_path, [], samples=samples, intervals=4)
    depth = told.gauges["q", "queue_depth"]
    assert depth.minimum == [4.0, None, None, 1.0]
    assert depth.mean == [6.0, None, None, 1.0]
    assert depth.maximum == [8.0, None, None, 1.0]
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


def test_stages_come_from_the_ledger(tmp_path: Path) -> None:
    told = timeline_of(tmp_path, [], stages=[["main", 0, S, "hold 5/s"]])
    assert told.stages == [Stage("main", 0, S, "hold 5/s")]


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
    assert total.latency.count() == ledger["acked"]
    consistency = ended.report.summary.total().distributions["consistency"]
    bounds, exact = total.latency.bounds(MEDIAN), consistency.bracket(MEDIAN)
    assert bounds is not None
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert exact[0] is not None
    assert exact[1] is not None
    assert exact[0] / 1.13 <= bounds[0] <= exact[0]
    assert exact[1] <= bounds[1] <= exact[1] * 1.13
