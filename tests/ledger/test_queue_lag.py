"""The time in a queue as `evload report` tells it: from a ledger file with events and samples written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evload.ledger import replay
from evload.model.states import State
from evload.model.summary import Distribution, Summary
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.stats.histogram import Histogram
from evload.summary.fold_plan import ScenarioPlan
from tests.rigs.ledgers import begun, read_back

START = 1_000
"""All times here are nanoseconds, so short that a histogram keeps them exactly."""

Sample = tuple[str, int, int, dict[str, float]]


def acked(seq: int, at: int, *, sent: int | None = None, **facts: Any) -> Observation:
    """An event that the broker took at that moment since the schedule began."""
    sent = at - 1 if sent is None else sent
    return Observation(
        seq, state=State.VISIBLE, intended_ns=START + sent, sent_ns=START + sent, acked_ns=START + at,
        settled_ns=START + 900, **{"scenario": 0, "type": 0, **facts},
    )  # fmt: skip


def settled(seq: int, state: State, sent: int | None, answered: int | None) -> Observation:
    return Observation(
        seq, 0, 0, state, START + seq, sent_ns=None if sent is None else START + sent,
        acked_ns=None if answered is None else START + answered, settled_ns=START + 900,
    )  # fmt: skip


def reported(
    directory: Path,
    events: Sequence[Observation],
    samples: Sequence[Sample],
    *,
    objectives: Sequence[str] = (),
    passing: Sequence[str] = (),
    warm_until: Mapping[str, int] = MappingProxyType({}),
) -> Summary:
    """The summary of a run with two scenarios, a and b; through the queue `work` pass those of `passing`, or all.
    What comes before `warm_until`, by scenario, is the warm-up."""
    path = directory / "events.sqlite"
    path.unlink(missing_ok=True)
    asked = [parse(text) for text in objectives]
    gauges = {
        "work": {"metrics": ["queue_depth", "age"], "scenarios": list(passing)},
        "other": {"metrics": ["queue_depth"], "scenarios": []},
        "cpu": {"metrics": ["load"], "scenarios": []},
    }
    facts = replay.meta(
        "r-1", "queues", Criteria(asked, SelfCheckPolicy(), {}), events=["e"], segment=(0, 1),
        plans=[ScenarioPlan(name, False, 0, warmup=(0, warm_until[name]) if warm_until else None) for name in "ab"],
        probes=(), gauges={}, stages=(),
    )  # fmt: skip
    ledger = begun(
        path, START, {**facts, "gauges": gauges, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False
    )
    ledger.append(events)
    for gauge, start, end, values in samples:
        ledger.sampled(gauge, START + start, START + end, values)
    ledger.close()
    return read_back(path).summary


def depths(gauge: str, *taken: tuple[int, int, int]) -> list[Sample]:
    """Samples from when to when, and what they showed."""
    return [(gauge, start, end, {"queue_depth": float(depth)}) for start, end, depth in taken]


def ends(lag: Distribution | None) -> tuple[list[int | None], list[int | None]]:
    """Both ends of the brackets, in order each; None is never."""
    assert lag is not None

    def of(values: Histogram) -> list[int | None]:
        return [*sorted(edge for edge, n in values.counts.items() for _ in range(n)), *[None] * values.never]

    return of(lag.lower), of(lag.upper)


THREE = [acked(0, 10), acked(2, 20), acked(4, 30)]


def test_events_leave_between_the_samples_that_had_them_and_those_that_had_not(tmp_path: Path) -> None:
    summary = reported(tmp_path, THREE, depths("work", (40, 42, 3), (50, 53, 2), (70, 74, 0)))
    # The first left between 40 and 53, the others between 50 and 74.
    assert ends(summary.gauges["work"].lag) == ([20, 30, 30], [43, 44, 54])


def test_what_is_still_in_it_at_the_end_never_left(tmp_path: Path) -> None:
    summary = reported(tmp_path, THREE, depths("work", (40, 42, 3), (50, 53, 2), (70, 74, 2)))
    assert ends(summary.gauges["work"].lag) == ([30, 40, 50], [43, None, None])


def test_what_came_after_the_last_sample_is_not_forgotten(tmp_path: Path) -> None:
    late = acked(6, 80)
    summary = reported(tmp_path, [*THREE, late], depths("work", (40, 42, 0)))
    assert ends(summary.gauges["work"].lag) == ([0, 0, 0, 0], [12, 22, 32, None])


def test_a_sample_that_could_not_be_taken_says_nothing_of_the_queue(tmp_path: Path) -> None:
    gaps: list[Sample] = [("work", 45, 46, {}), ("work", 60, 61, {"age": 3.0})]
    summary = reported(tmp_path, THREE, [*gaps, *depths("work", (40, 42, 3), (70, 74, 0))])
    assert ends(summary.gauges["work"].lag) == ([10, 20, 30], [44, 54, 64])
    assert summary.gauges["work"].failed == 1


def test_an_event_in_doubt_may_be_the_one_in_the_queue(tmp_path: Path) -> None:
    """Nobody knows whether the broker has it: the depth of 1 at 20 may be either of the two."""
    doubtful = settled(2, State.IN_DOUBT, 12, None)
    samples = depths("work", (20, 21, 1), (30, 31, 0))
    for events, lag in (([acked(0, 10)], ([10], [21])), ([acked(0, 10), doubtful], ([0], [21]))):
        assert ends(reported(tmp_path, events, samples).gauges["work"].lag) == lag
    # It is not forgotten: it may be there still, and what has come since may be gone.
    earlier = settled(2, State.IN_DOUBT, 3, None)
    summary = reported(tmp_path, [acked(0, 10), earlier], [*depths("work", (6, 7, 1)), *samples])
    assert ends(summary.gauges["work"].lag) == ([0], [21])


def test_an_event_without_an_answer_yet_may_be_the_one_in_the_queue(tmp_path: Path) -> None:
    slow = acked(2, 22, sent=12)
    summary = reported(tmp_path, [acked(0, 10), slow], depths("work", (20, 21, 1), (30, 31, 0)))
    # Until 31 the slow one is gone as well: it was sent by 21 and acked at 22.
    assert ends(summary.gauges["work"].lag) == ([0, 0], [9, 21])


def test_what_came_while_the_depth_was_read_may_be_in_it_or_not(tmp_path: Path) -> None:
    """Acked, or only sent, between the start and the end of a read: one of them may be what is in the queue."""
    samples = depths("work", (20, 25, 1), (30, 31, 0))
    for late in (acked(2, 23, sent=18), acked(2, 25, sent=25), settled(2, State.IN_DOUBT, 22, None)):
        lag = ends(reported(tmp_path, [acked(0, 10), late], samples).gauges["work"].lag)
        assert (lag[0][0], lag[1][-1]) == (0, 21), "the first may have left before 20"
    after = acked(2, 26, sent=26)
    assert ends(reported(tmp_path, [acked(0, 10), after], samples).gauges["work"].lag) == ([0, 10], [5, 21])


def test_a_queue_into_which_nothing_came(tmp_path: Path) -> None:
    summary = reported(tmp_path, [settled(0, State.REJECTED, 1, 2)], depths("work", (20, 25, 3)))
    assert ends(summary.gauges["work"].lag) == ([], [])


def test_what_the_broker_refused_was_never_in_the_queue(tmp_path: Path) -> None:
    refused = [
        settled(2, State.REJECTED, 11, 12), settled(4, State.RETURNED, 12, 13), settled(6, State.UNSENT, 13, None),
        settled(8, State.UNSENT, None, None),
    ]  # fmt: skip
    summary = reported(tmp_path, [acked(0, 10), *refused], depths("work", (20, 21, 1), (30, 31, 0)))
    assert ends(summary.gauges["work"].lag) == ([10], [21])


def test_only_the_scenarios_whose_events_pass_a_queue_count(tmp_path: Path) -> None:
    events = [acked(0, 10), acked(1, 15, scenario=1), acked(2, 20)]
    samples = [*depths("work", (30, 31, 1), (40, 41, 0)), *depths("other", (32, 33, 2), (50, 51, 0))]
    summary = reported(tmp_path, events, samples, passing=["b"])
    assert ends(summary.gauges["work"].lag) == ([15], [26])
    # No scenario is named for the other queue: all pass it.
    assert ends(summary.gauges["other"].lag) == ([0, 12, 17], [23, 31, 36])
    assert ends(summary.queue_lag()) == ([0, 12, 15, 17], [23, 26, 31, 36])


def test_a_queue_counts_from_when_the_first_of_those_that_use_it_is_warm(tmp_path: Path) -> None:
    events = [acked(0, 10), acked(1, 15, scenario=1), acked(2, 20)]
    samples = depths("work", (30, 31, 3), (40, 41, 0))
    for warm_until, stays in (({}, 3), ({"a": 12, "b": 18}, 2), ({"a": 18, "b": 12}, 2), ({"a": 18, "b": 17}, 1)):
        summary = reported(tmp_path, events, samples, warm_until=warm_until)
        lag = summary.gauges["work"].lag
        assert lag is not None
        assert lag.count == stays, warm_until


def test_objectives_about_it_are_counted_at_their_limits(tmp_path: Path) -> None:
    asked = ["p95(queue_lag) < 43ns", "share(queue_lag < 30ns) >= 90%", "p95(consistency) < 54ns"]
    asked.append("share(consistency < 54ns) >= 90% in any 2s")
    summary = reported(tmp_path, THREE, depths("work", (40, 42, 3), (50, 53, 2), (70, 74, 0)), objectives=asked)
    lag = summary.gauges["work"].lag
    assert lag is not None
    # Brackets: 30 to 43, 30 to 54, 20 to 44.
    assert {x: (n.within, n.beyond, n.intervals) for x, n in lag.thresholds.items()} == {
        30: (0, 2, {0: [3, 0, 2]}), 43: (1, 0, {0: [3, 1, 0]}),
    }  # fmt: skip
    assert lag.steps == {}


def test_a_gauge_that_shows_no_depth_has_no_lag(tmp_path: Path) -> None:
    summary = reported(tmp_path, THREE, [("cpu", 20, 21, {"load": 1.0}), ("work", 20, 21, {"age": 2.0})])
    assert summary.gauges["cpu"].lag is summary.gauges["work"].lag is summary.queue_lag() is None
