"""What is found in the course of a planted run: a backlog that grows, windows that rise, a replica that lags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any, Final

import pytest

from evload.model.report import Insight, ObjectiveResult, Result, Severity
from evload.model.timeline import LatencyOverTime, Standstill, Timeline, ValueOverTime
from tests.rigs.planted_courses import RATE, SECONDS, course, found, latency, the_only, timeline
from tests.rigs.summaries import S

LATE: Final = ObjectiveResult("p99(consistency) < 2s", Result.FAIL, (3, 4), 2, subject="consistency")
USUAL: Final = (RATE, 100, 120)


def only(kind: str, findings: list[Insight]) -> list[Insight]:
    return [finding for finding in findings if finding.kind == kind]


# -- a backlog that grows ----------------------------------------------------------------------------


def slower_from(second: int, step_ms: int = 200) -> LatencyOverTime:
    """From then on each second's events take longer than those of the second before."""
    later = [max(0, at - second + 1) * step_ms for at in range(SECONDS)]
    return latency(*[[(RATE, 100 + more, 120 + more)] for more in later])


def backlog(through: Sequence[int], *, first: int = 10, **more: Any) -> list[Insight]:
    """60 came in each second; from `first` on so many came through, as often as need be."""
    one = course(visible=[RATE] * first + [*islice(cycle(through), SECONDS - first)])
    one.latency = slower_from(first)
    return only("saturated", found(timeline(one, **more)))


def test_a_backlog_in_words() -> None:
    finding = the_only(backlog([50]))
    assert finding.sentence == (
        "The backlog began to grow at 60/s (0:09) and reached 300 events at 0:40: about 50/s came through, whatever "
        "was offered."
    )
    assert (finding.severity, finding.span_ns) == (Severity.WARNING, (9 * S, 40 * S))
    assert finding.evidence == {
        "offered_at_onset": 60, "came_through": 50, "backlog": 300, "slope": pytest.approx(300 / 31),
    }  # fmt: skip


def test_a_backlog_from_the_first_moment_on() -> None:
    finding = the_only(backlog([50], first=0))
    assert finding.sentence.startswith(
        "The backlog began to grow from the first moment, at 60/s, and reached 400 events"
    )
    assert (finding.evidence["slope"], finding.span_ns) == (10, (0, 40 * S))


def test_a_backlog_ends_where_it_was_largest() -> None:
    """It grows for fifteen seconds and is worked off afterwards."""
    one = course(visible=[60] * 10 + [40] * 15 + [80] * 15)
    one.latency = slower_from(10)
    finding = the_only(only("saturated", found(timeline(one))))
    assert "reached 300 events at 0:25: about 40/s came through" in finding.sentence
    assert finding.span_ns == (9 * S, 25 * S)


def test_what_was_there_before_it_began_to_grow_is_no_growth() -> None:
    one = course(visible=[0] + [60] * 19 + [50] * 20)
    one.latency = slower_from(20)
    finding = the_only(only("saturated", found(timeline(one))))
    assert finding.evidence["backlog"] == 260
    assert finding.evidence["slope"] == pytest.approx(200 / 21)


def test_rates_are_rounded_for_people_and_not_in_the_evidence() -> None:
    one = course(rate=123, visible=[123] * 10 + [101] * 30)
    one.latency = slower_from(10)
    finding = the_only(only("saturated", found(timeline(one))))
    assert "at 120/s (0:09)" in finding.sentence
    assert "about 100/s came through" in finding.sentence
    assert (finding.evidence["offered_at_onset"], finding.evidence["came_through"]) == (123, 101)


def test_scenarios_share_a_backlog() -> None:
    calm, behind = course(), course(visible=[60] * 10 + [50] * 30)
    behind.latency = slower_from(10)
    calm.latency = slower_from(10)
    finding = the_only(only("saturated", found(timeline(calm, behind))))
    assert "at 120/s" in finding.sentence
    assert (finding.evidence["came_through"], finding.evidence["backlog"]) == (110, 300)


@pytest.mark.parametrize(("through", "told"), [([57] * 6 + [58], 1), ([57] * 6 + [59], 0)])
def test_twenty_events_are_a_backlog(through: list[int], told: int) -> None:
    assert len(backlog(through, first=33)) == told


@pytest.mark.parametrize(("through", "told"), [(970, 0), (969, 1)])
def test_more_than_three_in_a_hundred_have_to_stay(through: int, told: int) -> None:
    one = course(rate=1000, visible=[through] * SECONDS)
    one.latency = slower_from(0)
    assert len(only("saturated", found(timeline(one)))) == told


@pytest.mark.parametrize(
    ("through", "first", "told"),
    [
        ([50], 35, 1),
        ([50], 36, 0),
        ([20, 60], 10, 0),
        ([20, 60, 20], 10, 1),
        ([0, 50, 50], 10, 0),
        ([0, 50, 50, 50, 50, 50], 10, 1),
    ],
    ids=["five seconds", "four", "every other", "two of three", "often still", "seldom still"],
)
def test_a_consumer_that_can_not_keep_up_falls_behind_all_the_time(through: list[int], first: int, told: int) -> None:
    assert len(backlog(through, first=first)) == told


def test_events_that_were_given_up_are_through() -> None:
    one = course(visible=[60] * 10 + [50] * 30, given_up=[0] * 10 + [10] * 30)
    one.latency = slower_from(10)
    assert only("saturated", found(timeline(one))) == []


@pytest.mark.parametrize(("step_ms", "told"), [(200, 1), (0, 0), (4, 0), (30, 1)])
def test_a_backlog_makes_events_slower(step_ms: int, told: int) -> None:
    one = course(visible=[60] * 10 + [50] * 30)
    one.latency = slower_from(10, step_ms)
    assert len(only("saturated", found(timeline(one)))) == told


@pytest.mark.parametrize(("lasting", "told"), [(10, 1), (11, 0)])
def test_a_standstill_of_a_third_of_the_time_explains_a_backlog(lasting: int, told: int) -> None:
    """It grows for 31 s."""
    assert len(backlog([50], standstills=[Standstill("visibility", 12 * S, (12 + lasting) * S, 0, 0)])) == told
    assert len(backlog([50], standstills=[Standstill("visibility", 0, 9 * S, 0, 0)])) == 1


def test_intervals_shorter_than_a_second_are_taken_together() -> None:
    halves = course(2 * SECONDS, RATE // 2, visible=[30] * 20 + [25] * 60)
    halves.latency = latency(*[[(30, 100 + max(0, at - 19) * 100, 120 + max(0, at - 19) * 100)] for at in range(80)])
    finding = the_only(only("saturated", found(Timeline(S // 2, 2 * SECONDS, {"s0": halves}))))
    assert "began to grow at 60/s (0:09) and reached 300 events at 0:40: about 50/s" in finding.sentence


def test_the_depth_of_queues_is_part_of_the_evidence() -> None:
    depth, age = ValueOverTime([0.0, None], [1.0, None], [7.0, None, 290.0]), ValueOverTime([], [], [900.0])
    gauges = {
        ("work", "queue_depth"): depth,
        ("work", "age"): age,
        ("idle", "queue_depth"): ValueOverTime([], [], [None]),
    }
    finding = the_only(backlog([50], gauges=gauges))
    assert finding.evidence["work.queue_depth"] == 290
    assert {name for name in finding.evidence if "." in name} == {"work.queue_depth"}


def test_windows_that_rise_with_the_backlog_are_not_told_twice() -> None:
    one = course(visible=[60] * 10 + [50] * 30)
    one.latency = slower_from(10)
    assert [finding.kind for finding in found(timeline(one))] == ["saturated"]
    one.visible = [RATE] * SECONDS
    assert [finding.kind for finding in found(timeline(one))] == ["rising_windows"]


# -- windows that rise -------------------------------------------------------------------------------


def risen(
    at: int = 20, *, share: int = RATE, before: tuple[int, int] = (100, 120), after: tuple[int, int] = (300, 330),
    until: int = SECONDS,
) -> LatencyOverTime:  # fmt: skip
    """From `at` to `until` so many of the 60 events of each second take longer."""
    usual, slow = [(RATE, *before)], [(RATE - share, *before), (share, *after)]
    if share == RATE:
        slow = [(RATE, *after)]
    return latency(*[slow if at <= second < until else usual for second in range(SECONDS)])


def rising(*latencies: LatencyOverTime, **more: Any) -> list[Insight]:
    ones = [course() for _ in latencies]
    for one, given in zip(ones, latencies, strict=True):
        one.latency = given
    return only("rising_windows", found(timeline(*ones, **more)))


def test_windows_that_rise_in_words() -> None:
    finding = the_only(rising(risen()))
    assert finding.sentence == "Windows rose after 0:20: the median went from 100 ms … 126 ms to 282 ms … 355 ms."
    assert (finding.severity, finding.span_ns) == (Severity.WARNING, (20 * S, 40 * S))
    assert finding.evidence == {
        "before_s": pytest.approx(0.1259, rel=1e-3),
        "after_s": pytest.approx(0.2818, rel=1e-3),
    }


def test_a_few_slow_events_raise_the_95th_percentile() -> None:
    """It takes more than 15 % of them."""
    finding = the_only(rising(risen(share=12, after=(500, 550))))
    assert finding.sentence == (
        "Windows rose after 0:20: the 95th percentile went from 100 ms … 126 ms to 447 ms … 562 ms."
    )
    assert len(rising(risen(share=9, after=(500, 550)))) == 1
    assert rising(risen(share=8, after=(500, 550))) == []


def test_each_scenario_has_windows_of_its_own() -> None:
    assert [one.sentence[:31] for one in rising(risen(), risen(SECONDS), risen(30))] == [
        "Windows rose after 0:20 in s0: ", "Windows rose after 0:30 in s2: ",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((100, 120), (200, 210), 1),
        ((100, 120), (199, 210), 0),
        ((5, 6), (20, 22), 0),
        ((5, 6), (40, 42), 1),
        ((100, 120), (50, 60), 0),
    ],
    ids=["half as long again", "less", "15 ms", "more than 20 ms", "faster"],
)
def test_it_takes_half_as_long_again_and_20_ms_more(
    before: tuple[int, int], after: tuple[int, int], told: int
) -> None:
    """For sure: by the lower end of the slow ones against the upper end of the others."""
    assert len(rising(risen(before=before, after=after))) == told


@pytest.mark.parametrize(("at", "seen"), [(6, "0:06"), (34, "0:34"), (20, "0:20"), (2, None), (40, None)])
def test_there_has_to_be_something_before_and_after(at: int, seen: str | None) -> None:
    told = rising(risen(at))
    assert [finding.sentence[:24] for finding in told] == ([] if seen is None else [f"Windows rose after {seen}:"])


def test_what_rises_and_falls_again_has_not_risen() -> None:
    assert rising(risen(10, until=20)) == []
    assert rising(risen(5, until=30)) == []
    assert len(rising(risen(10, until=38))) == 1


def test_with_few_events_nothing_can_be_told() -> None:
    """Twenty in each of the stretches that are compared, which are two seconds long."""
    few = [
        latency(*[[(n, 100, 120) if second < 20 else (n, 300, 330)] for second in range(SECONDS)]) for n in (9, 10)
    ]
    assert [len(rising(one)) for one in few] == [0, 1]
    assert rising(latency(*[[]] * SECONDS)) == []


def test_what_waited_for_the_end_of_a_standstill_is_told_already() -> None:
    """Also what was due as long before it, and as long after."""
    stood = Standstill("visibility", 20 * S, 30 * S, 300, 20)
    slow = risen(10, after=(3000, 3300))
    assert len(rising(slow)) == 1
    assert rising(slow, standstills=[stood]) == []
    brief = Standstill("visibility", 20 * S, 25 * S, 300, 20)
    assert len(rising(slow, standstills=[brief])) == 1


def test_what_is_slow_for_sure_counts_as_slow() -> None:
    """Of 60 events 8 are, and 4 more only may be: fewer than 15 %."""
    surely, maybe = (8, 500, 550), (4, 100, 550)
    perhaps = latency(*[[USUAL] if second < 20 else [surely, maybe] for second in range(SECONDS)])
    for lower in perhaps.lower[20:]:
        lower[next(iter(perhaps.lower[0]))] = 52
    for upper in perhaps.upper[20:]:
        upper[next(iter(perhaps.upper[0]))] = 48
    assert rising(perhaps) == []


def parts(*replicas: Mapping[str, LatencyOverTime]) -> dict[tuple[str, str, str], LatencyOverTime]:
    """Of the probe `index` in scenario s0, s1 ...; beside them what the probe says as a whole."""
    given = {
        (f"s{number}", "index", name): one for number, named in enumerate(replicas) for name, one in named.items()
    }
    return given | {(f"s{number}", "index", ""): risen(SECONDS) for number in range(len(replicas))}


def test_the_replicas_that_rise_are_named_unless_all_do() -> None:
    rises, stays = risen(), risen(SECONDS)
    for replicas, told in (
        ({"a": stays, "b": rises}, ", all on replica b."),
        ({"a": rises, "b": stays, "c": rises}, ", all on replicas a and c."),
        ({"a": rises, "b": rises}, " … 355 ms."),
        ({"a": stays, "b": stays}, " … 355 ms."),
    ):
        finding = the_only(rising(risen(), parts=parts(replicas)))
        assert finding.sentence.endswith(told), told
        assert finding.evidence.get("replica") == (
            told[:-1].partition(" replica")[2].removeprefix("s").strip() or None
        )


# -- a replica that lags -----------------------------------------------------------------------------


def lagging(*replicas: Mapping[str, LatencyOverTime], objectives: Sequence[ObjectiveResult] = ()) -> list[Insight]:
    over_time = timeline(*[course() for _ in replicas], parts=parts(*replicas))
    return only("lagging_replica", found(over_time, objectives=objectives))


def steadily(low_ms: int, high_ms: int) -> LatencyOverTime:
    return latency(*[[(RATE, low_ms, high_ms)]] * SECONDS)


FAST: Final = steadily(100, 120)


def test_a_replica_that_lags_in_words() -> None:
    finding = the_only(lagging({"a": FAST, "b": steadily(300, 330), "c": steadily(60, 70)}))
    assert finding.sentence == (
        "Replica b of index lags behind: the median until it shows an effect is 282 ms … 355 ms, on the others "
        "100 ms … 126 ms."
    )
    assert (finding.severity, finding.span_ns) == (Severity.NOTE, None)
    assert finding.evidence == {
        "replica": "b", "probe": "index", "lower_s": pytest.approx(0.2818, rel=1e-3),
        "others_upper_s": pytest.approx(0.1259, rel=1e-3),
    }  # fmt: skip


def test_it_weighs_more_where_an_objective_suffers() -> None:
    replicas = {"a": FAST, "b": steadily(300, 330)}
    assert the_only(lagging(replicas, objectives=[LATE])).severity is Severity.WARNING


def test_the_worst_of_the_others_is_told() -> None:
    finding = the_only(lagging({"a": FAST, "b": steadily(400, 440), "c": steadily(60, 150)}))
    assert finding.sentence.endswith(", on the others 56.2 ms … 158 ms.")
    assert finding.evidence["others_upper_s"] == pytest.approx(0.1585, rel=1e-3)


def test_one_slow_answer_in_twenty_lags() -> None:
    """Of 2,400 events 132 are slow, which is more than 5 % of them; 120 are not."""
    for slow, told in ((11, 1), (10, 0)):
        some = [
            [(RATE - slow, 100, 120), (slow, 500, 550)] if second % 10 < 3 else [USUAL] for second in range(SECONDS)
        ]
        assert len(lagging({"a": FAST, "b": latency(*some)})) == told


def test_in_which_scenario_a_replica_lags() -> None:
    (first, second) = lagging({"a": FAST, "b": steadily(300, 330)}, {"b": FAST, "a": steadily(300, 330)})
    assert first.sentence.startswith("Replica b of index lags behind in s0: the median")
    assert second.sentence.startswith("Replica a of index lags behind in s1: the median")
    assert len(lagging({"a": FAST}, {"b": steadily(300, 330)})) == 0


def test_a_replica_whose_slow_answers_lag() -> None:
    slow = risen(0, share=6, after=(500, 550))
    finding = the_only(lagging({"a": FAST, "b": slow}))
    assert "the 95th percentile until it shows an effect is 447 ms … 562 ms, on the others 100 ms … 126 ms" in (
        finding.sentence
    )


@pytest.mark.parametrize(
    ("replicas", "told"),
    [
        ({"a": FAST, "b": steadily(200, 210)}, 1),
        ({"a": FAST, "b": steadily(199, 210)}, 0),
        ({"a": steadily(5, 6), "b": steadily(20, 22)}, 0),
        ({"b": steadily(300, 330)}, 0),
        ({"a": FAST, "b": steadily(300, 330), "c": steadily(300, 330)}, 0),
        ({"a": FAST, "b": steadily(300, 330), "c": steadily(900, 990)}, 1),
    ],
    ids=["half as long again", "less", "15 ms", "alone", "two of three", "the slowest"],
)
def test_a_replica_lags_behind_all_others(replicas: Mapping[str, LatencyOverTime], told: int) -> None:
    assert len(lagging(replicas)) == told


def test_a_replica_that_shows_nothing_lags_and_one_that_nobody_met_does_not() -> None:
    """Of the first some were at least asked for until they were given up, of the second nobody was."""
    given_up, silent = (
        LatencyOverTime([seen] * SECONDS, [{}] * SECONDS, [RATE] * SECONDS) for seen in ({80: RATE}, {})
    )
    finding = the_only(lagging({"a": FAST, "b": given_up}))
    assert " is 8.91 s … never, on the others 100 ms … 126 ms." in finding.sentence
    assert the_only(lagging({"a": FAST, "b": silent})).sentence == (
        "Replica b of index lags behind: the median until it shows an effect is never, on the others 100 ms … 126 ms."
    )
    assert lagging({"a": FAST, "b": latency(*[[]] * SECONDS)}) == []
