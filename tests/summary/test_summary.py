"""Summaries by values: percentiles of what never happened, gauges' series, and what several scenarios come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import pytest

from evload.model.facts import PERCENTILES
from evload.model.summary import Distribution, GaugeSummary, ScenarioSummary, Series, Summary, merged, slice_label
from evload.model.vitals import Incident, ReadVitals, Vitals
from evload.stats.histogram import Histogram
from evload.stats.thresholds import StepCounts, ThresholdCount
from tests.rigs.contents import contents

P50, P75, P99 = Fraction(50, 100), Fraction(75, 100), Fraction(99, 100)


def histogram(*values: int | None) -> Histogram:
    made = Histogram()
    made.record_all(values)
    return made


def steps(step_ns: int, *counts: tuple[int, int, int]) -> StepCounts:
    made = StepCounts(step_ns)
    for step, (events, within, beyond) in enumerate(counts):
        made.add(step * step_ns, events, within, beyond)
    return made


def series(*values: float, since: int = 0) -> Series:
    """A value each nanosecond."""
    made = Series()
    for at, value in enumerate(values, since):
        made.add(value, at)
    return made


# -- percentiles -----------------------------------------------------------------------------------------------------


def test_a_percentile_is_bounded_by_both_ends() -> None:
    found = Distribution(histogram(100, 200, 300, 400), histogram(150, 250, 350, None))
    assert [found.bracket(p) for p in (P50, P75, P99)] == [(200, 250), (300, 350), (400, None)]
    assert (found.count, found.censored) == (4, 1)
    refused = Distribution(histogram(100, None), histogram(150, None))
    assert [refused.bracket(p) for p in (P50, P99)] == [(100, 150), (None, None)]


def test_an_exact_percentile_has_no_end_where_no_answer_came() -> None:
    """Three were acked; of the fourth it is known how long no answer had come."""
    found = Distribution(histogram(5, 6, 7, 2_000), histogram(5, 6, 7, None), exact=True)
    assert [found.bracket(p) for p in (P50, P75, P99)] == [(6, 6), (7, 7), (2_000, None)]
    nothing = Distribution(histogram(None), histogram(None), exact=True)
    assert nothing.bracket(P50) == (None, None)
    with pytest.raises(ValueError, match="of 0 values"):
        Distribution(exact=True).bracket(P50)


def test_both_ends_of_an_exact_percentile_are_the_upper_edge_of_its_bucket() -> None:
    """Two values in one bucket of a thousandth: an exact value shows as one figure and never as less than it was."""
    both = histogram(5_000_000, 5_000_100)
    assert Distribution(both, both, exact=True).bracket(P50) == (5_000_100, 5_000_100)
    assert Distribution(both, both).bracket(P50) == (5_000_000, 5_000_100)


def test_the_percentiles_that_a_report_shows_are_what_they_are_called() -> None:
    found = Distribution(histogram(*range(1, 1_001)), histogram(*range(1, 1_001)))
    assert {name: found.bracket(p) for name, p in PERCENTILES.items()} == {
        "p50": (500, 500), "p90": (900, 900), "p95": (950, 950), "p99": (990, 990), "p99.9": (999, 999),
    }  # fmt: skip


# -- gauges ----------------------------------------------------------------------------------------------------------


def told(one: Series) -> tuple[int, float, float, float, float]:
    return one.count, one.minimum, one.maximum, one.last, float(one.value_sum)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), (0, 0, 0, 0, 0)),
        ((7.0,), (1, 7, 7, 7, 7)),
        ((7.0, 9.0, 8.0), (3, 7, 9, 8, 24)),
        ((-3.0, -1.0, -2.0), (3, -3, -1, -2, -6)),
    ],
)
def test_a_series_keeps_its_extremes_and_its_last(values: Sequence[float], expected: tuple[float, ...]) -> None:
    assert told(series(*values)) == expected


def test_series_add_up_and_one_without_samples_changes_nothing() -> None:
    one = series(5.0, 7.0)
    one.merge(series())
    assert told(one) == (2, 5, 7, 7, 12)
    one.merge(series(9.0, 6.0, since=2))
    assert told(one) == (4, 5, 9, 6, 27)
    one.merge(series(1.0, since=4))
    assert told(one) == (5, 1, 9, 1, 28)
    assert one.mean == 5.6
    one.merge(series(8.0, since=3))
    assert told(one) == (6, 1, 9, 1, 36), "the last is that of the latest time, whoever is added last"
    empty = series()
    empty.merge(series(4.0, 5.0))
    assert told(empty) == (2, 4, 5, 5, 9)


# -- several scenarios -----------------------------------------------------------------------------------------------


def two_scenarios() -> tuple[ScenarioSummary, ScenarioSummary]:
    """Each with something of everything, and each with something that the other hasn't."""
    one = ScenarioSummary(
        distributions={
            "publish": Distribution(
                histogram(5, 9), histogram(5, None), {8: ThresholdCount(1, 1, {0: [2, 1, 1]})}, exact=True,
                steps={(8, 10): steps(10, (2, 1, 1))},
            ),
        },
        offered={0: [3, 2], 1: [1, 1]}, early_sends=1, late_sightings=2, sampled=3,
        known={"effects": 4, "position": 5, "session": 6}, first_intended_ns=50, last_intended_ns=70,
        slices={"key=a": ScenarioSummary(early_sends=1), "key=b": ScenarioSummary(early_sends=2)},
        counter_steps={("lost", 10): steps(10, (3, 0, 1), (1, 0, 0))}, tallies={"effects": {1: 3, 2: 1}},
        ranges={"staleness": series(2.0)}, late_hops={"queue": 1}, agreeing=7, asked=9,
    )  # fmt: skip
    one.ledger |= {name: number for number, name in enumerate(one.ledger, 1)}
    other = ScenarioSummary(
        distributions={
            "publish": Distribution(
                histogram(7), histogram(7),
                {8: ThresholdCount(1, 0, {0: [1, 1, 0], 3: [0, 0, 0]}), 9: ThresholdCount(1, 0, {0: [1, 1, 0]})},
                exact=True, steps={(8, 10): steps(10, (0, 0, 0), (1, 1, 0)), (9, 20): steps(20, (1, 1, 0))},
            ),
            "consistency": Distribution(histogram(40), histogram(60)),
        },
        offered={1: [10, 20], 2: [1, 0]}, early_sends=10, late_sightings=20, sampled=30,
        known={"effects": 40, "position": 50, "session": 60, "order": 70}, first_intended_ns=60, last_intended_ns=65,
        slices={"key=b": ScenarioSummary(early_sends=20)},
        counter_steps={("lost", 10): steps(10, (1, 0, 1)), ("lost", 20): steps(20, (1, 0, 1))},
        tallies={"effects": {2: 10, 3: 5}, "status": {202: 7}}, ranges={"staleness": series(1.0, 4.0)},
        late_hops={"queue": 10, "read-model": 5}, agreeing=70, asked=90,
    )  # fmt: skip
    other.ledger |= {name: 100 * number for number, name in enumerate(other.ledger, 1) if name != "unsent"}
    return one, other


def expected() -> ScenarioSummary:
    """Both of them, added by hand."""
    both = ScenarioSummary(
        distributions={
            "publish": Distribution(
                histogram(5, 9, 7), histogram(5, None, 7),
                {
                    8: ThresholdCount(2, 1, {0: [3, 2, 1], 3: [0, 0, 0]}),
                    9: ThresholdCount(1, 0, {0: [1, 1, 0]}),
                },
                exact=True,
                steps={(8, 10): steps(10, (2, 1, 1), (1, 1, 0)), (9, 20): steps(20, (1, 1, 0))},
            ),
            "consistency": Distribution(histogram(40), histogram(60)),
        },
        offered={0: [3, 2], 1: [11, 21], 2: [1, 0]}, early_sends=11, late_sightings=22, sampled=33,
        known={"effects": 44, "position": 55, "session": 66, "order": 70}, first_intended_ns=50, last_intended_ns=70,
        slices={"key=a": ScenarioSummary(early_sends=1), "key=b": ScenarioSummary(early_sends=22)},
        counter_steps={("lost", 10): steps(10, (4, 0, 2), (1, 0, 0)), ("lost", 20): steps(20, (1, 0, 1))},
        tallies={"effects": {1: 3, 2: 11, 3: 5}, "status": {202: 7}},
        ranges={"staleness": Series(3, 1.0, 4.0, 4.0, 1, Fraction(7))},
        late_hops={"queue": 11, "read-model": 5}, agreeing=77, asked=99,
    )  # fmt: skip
    both.ledger |= {
        "scheduled": 101, "unsent": 2, "acked": 303, "rejected": 404, "returned": 505, "in_doubt": 606,
        "visible": 707, "ended": 808, "lost": 909, "regressed": 1010, "pending": 1111, "unobserved": 1212,
        "duplicated": 1313, "regressions": 1414, "out_of_order": 1515, "order_unknown": 1616, "resent": 1717,
        "non_monotonic": 1818, "unread_writes": 1919, "retried": 2020, "appeared": 2121, "recovered": 2222,
    }  # fmt: skip
    return both


def test_scenarios_add_up_and_stay_as_they_were() -> None:
    parts = two_scenarios()
    assert contents(merged(parts)) == contents(expected())
    assert [*map(contents, parts)] == [*map(contents, two_scenarios())]


def test_the_total_of_a_run_is_that_of_its_scenarios() -> None:
    one, other = two_scenarios()
    assert contents(Summary({"a": one, "b": other}).total()) == contents(expected())
    assert contents(Summary().total()) == contents(ScenarioSummary())


def test_a_scenario_without_events_has_no_span_and_changes_none() -> None:
    one, _ = two_scenarios()
    for parts in ([ScenarioSummary(), one], [one, ScenarioSummary()]):
        whole = merged(parts)
        assert (whole.first_intended_ns, whole.last_intended_ns) == (50, 70)
    assert merged([ScenarioSummary()]).last_intended_ns is None


def test_the_time_in_all_queues_is_merged() -> None:
    gauges = {
        "a": GaugeSummary(lag=Distribution(histogram(10), histogram(20), {15: ThresholdCount(0, 0, {0: [1, 0, 0]})})),
        "b": GaugeSummary(
            lag=Distribution(histogram(30), histogram(None), {15: ThresholdCount(0, 1, {0: [1, 0, 1]})})
        ),
        "cpu": GaugeSummary(),
    }
    whole = Summary(gauges=gauges).queue_lag()
    assert contents(whole) == contents(
        Distribution(histogram(10, 30), histogram(20, None), {15: ThresholdCount(0, 1, {0: [2, 0, 1]})})
    )
    assert Summary(gauges={"cpu": GaugeSummary()}).queue_lag() is None


def test_bytes_that_one_part_counted_and_another_had_none_of_are_added_and_what_nobody_counts_stays_unknown() -> None:
    for one, other, both in ((3, 4, 7), (None, 4, 4), (3, None, 3), (None, None, None)):
        reads = ReadVitals(bytes_in=one)
        reads.merge(ReadVitals(bytes_in=other))
        assert reads.bytes_in == both


def test_nothing_is_known_of_a_run_that_did_nothing() -> None:
    """What a ledger of an older version doesn't say counts as nothing, too."""
    for empty in (Vitals(), GaugeSummary(), Summary()):
        assert not [name for name, value in asdict(empty).items() if value and name != "vitals"], empty
    nothing = asdict(ScenarioSummary())
    assert set(nothing.pop("ledger").values()) == {0}
    assert not [name for name, value in nothing.items() if value]
    assert asdict(ReadVitals()) == {
        "requests": 0, "events": 0, "failed": 0, "throttled": 0, "busiest": 0, "stretch": 1.0,
        "blanks": {}, "strange": 0, "example": "", "unread_stamps": 0, "unread_stamp": "",
        "bytes_in": None,
    }  # fmt: skip
    assert Incident("p", "down", 1, 2).count == 1


# -- names, and what is read back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "label"),
    [
        ({}, ""),
        ({"event": "order"}, "event=order"),
        ({"replica": "eu", "probe": "items"}, "probe=items,replica=eu"),
        ({"key": "a*", "event": "order"}, "event=order,key=a*"),
        ({"race": True}, "race"),
        ({"race": True, "during": "slow"}, "race,during=slow"),
        ({"rule": "never both", "contender": "pay"}, "rule=never both,contender=pay"),
    ],
)
def test_what_a_part_is_called(scope: dict[str, Any], label: str) -> None:
    assert slice_label(**scope) == label


def test_vitals_are_read_back_with_their_incidents_and_probes() -> None:
    data: dict[str, Any] = {
        "duration_ns": 5, "crashed": True,
        "incidents": [{"source": "p", "reason": "down", "first_ns": 1, "last_ns": 2, "count": 3}],
        "probes": {"p": {"requests": 4, "events": 40, "failed": 2, "throttled": 1, "busiest": 9, "stretch": 1.5}},
    }  # fmt: skip
    vitals = Vitals.from_data(data)
    (incident,) = vitals.incidents
    reads = vitals.probes["p"]
    assert (vitals.duration_ns, vitals.crashed, vitals.interrupted) == (5, True, False)
    assert (incident.source, incident.reason, incident.first_ns, incident.last_ns, incident.count) == (
        "p", "down", 1, 2, 3,
    )  # fmt: skip
    assert (reads.requests, reads.events, reads.failed, reads.throttled, reads.busiest, reads.stretch) == (
        4, 40, 2, 1, 9, 1.5,
    )  # fmt: skip
    assert Vitals.from_data({}) == Vitals()
