"""Verdicts on how long events took, in planted summaries."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import Distribution, ScenarioSummary
from evload.objectives.grammar import parse
from evload.stats.binomial import smallest_n
from tests.rigs.summaries import MS, Bracket, S, distribution, good_and_bad, run_of, scenario


def _judge(
    text: str, *scenarios: ScenarioSummary, critical: str | None = None, about: str | None = None
) -> ObjectiveResult:
    return judge(parse(text, critical=critical, scenario=about), run_of(*scenarios))


def _consistency(measured: Distribution) -> ScenarioSummary:
    return scenario({"consistency": measured}, visible=measured.count)


# -- percentiles and shares ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "bad"), [("95", 0), ("95", 1), ("95", 2), ("99", 0), ("99", 1), ("99", 2), ("99.9", 1)]
)
def test_passes_from_the_smallest_number_of_events_on(p: str, bad: int) -> None:
    n = smallest_n(Fraction(p) / 100, bad)
    for text in (f"p{p}(consistency) < 2s", f"share(consistency < 2s) >= {p}%"):
        enough = _judge(text, _consistency(good_and_bad(n - bad, bad, 2 * S)))
        too_few = _judge(text, _consistency(good_and_bad(n - bad - 1, bad, 2 * S)))
        assert enough.result is Result.PASS
        assert too_few.result is Result.INCONCLUSIVE


def test_fails_when_even_the_optimistic_count_is_too_high() -> None:
    failed = _judge("p95(consistency) < 2s", _consistency(good_and_bad(880, 120, 2 * S)))
    assert failed.result is Result.FAIL
    assert not failed.witnessed
    low, high = failed.observed
    assert low == pytest.approx(4, rel=1e-3)
    assert high == pytest.approx(6, rel=1e-3)
    assert failed.limit == 2


def test_share_is_reported_as_an_interval() -> None:
    judged = _judge("share(consistency < 2s) >= 95%", _consistency(good_and_bad(980, 10, 2 * S, undecided=10)))
    assert judged.result is Result.PASS
    assert judged.observed == (0.98, 0.99)
    assert judged.limit == 0.95


def test_events_never_seen_are_bad() -> None:
    """Dropping the 2 % that timed out would report 100 %."""
    brackets: list[Bracket] = [(1 * MS, 2 * MS)] * 980 + [(15 * S, None)] * 20
    measured = _consistency(distribution(brackets, 5 * S))
    judged = _judge("share(consistency < 5s) >= 99%", measured)
    assert judged.result is Result.FAIL
    assert judged.observed == (0.98, 0.98)
    p99 = _judge("p99(consistency) < 5s", measured)
    assert p99.result is Result.FAIL
    assert p99.observed[0] == pytest.approx(15, rel=1e-3)
    assert p99.observed[1] is None


def test_wide_brackets_decide_nothing() -> None:
    judged = _judge("p99(consistency) < 2s", _consistency(good_and_bad(891, 0, 2 * S, undecided=9)))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note == "9 of 900 events can't be told to be on either side"


def test_too_few_events_are_said_to_be_too_few() -> None:
    judged = _judge("p99(consistency) < 2s", _consistency(good_and_bad(120, 0, 2 * S)))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note == "needs 299 events, has 120"


def test_on_the_limit_it_is_too_close_to_call() -> None:
    judged = _judge("p99(consistency) < 2s", _consistency(good_and_bad(990, 10, 2 * S)))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note.startswith("too close to call: between 0.543")
    assert judged.note.endswith("1 % may be")


def test_as_many_events_as_are_needed_are_not_too_few() -> None:
    judged = _judge("p99(consistency) < 2s", _consistency(good_and_bad(298, 1, 2 * S)))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note.startswith("too close to call: between ")
    fewer = _judge("p99(consistency) < 2s", _consistency(good_and_bad(297, 1, 2 * S)))
    assert fewer.note == "needs 299 events, has 298"


def test_events_that_would_make_it_a_failure_are_the_ones_that_can_not_be_told() -> None:
    """Two are bad, which is too close to call; with the other twenty it would be missed for sure."""
    judged = _judge("p99(consistency) < 2s", _consistency(good_and_bad(378, 2, 2 * S, undecided=20)))
    assert (judged.result, judged.note) == (
        Result.INCONCLUSIVE, "20 of 400 events can't be told to be on either side"
    )  # fmt: skip
    few = _judge("p99(consistency) < 2s", _consistency(good_and_bad(397, 2, 2 * S, undecided=1)))
    assert few.note.startswith("too close to call: between ")


def test_no_data_is_never_a_pass() -> None:
    for measured in (ScenarioSummary(), _consistency(distribution([], 2 * S))):
        for text in (
            "p95(consistency) < 2s",
            "share(consistency < 2s) >= 5%",
            "max(consistency) < 2s",
            "mean(consistency) < 2s",
        ):
            judged = _judge(text, measured)
            assert judged.result is Result.INCONCLUSIVE
            assert judged.observed == (None, None)
            assert judged.note == "no event has a consistency, and no data is no pass"


def test_a_pass_close_to_the_limit_warns() -> None:
    close = _judge("p95(consistency) < 2s", _consistency(distribution([(1_800 * MS, 1_850 * MS)] * 100, 2 * S)))
    assert (close.result, close.note) == (Result.WARN, "above 90 % of the limit")
    well = _judge("p95(consistency) < 2s", _consistency(distribution([(1_700 * MS, 1_750 * MS)] * 100, 2 * S)))
    assert well.result is Result.PASS
    many_bad = _consistency(good_and_bad(95_400, 4_600, 2 * S))
    assert _judge("share(consistency < 2s) >= 95%", many_bad).result is Result.WARN
    fewer_bad = _consistency(good_and_bad(95_600, 4_400, 2 * S))
    assert _judge("share(consistency < 2s) >= 95%", fewer_bad).result is Result.PASS
    for bad, result in ((180, Result.PASS), (181, Result.WARN)):
        nine_tenths = _consistency(good_and_bad(400 - bad, bad, 2 * S))
        assert _judge("share(consistency < 2s) >= 50%", nine_tenths).result is result


def test_stalls_shared_by_events_cost_evidence() -> None:
    """40 bad of 10,000 would pass p99 if they were independent; all in 2 of 20 windows they don't."""
    spread = good_and_bad(9_960, 40, 2 * S, windows=20)
    assert _judge("p99(consistency) < 2s", _consistency(spread)).result is Result.PASS
    together = good_and_bad(9_960, 40, 2 * S)
    counts = together.thresholds[2 * S]
    counts.intervals = {number: [500, 500, 0] for number in range(20)} | {3: [500, 480, 20], 9: [500, 480, 20]}
    judged = _judge("p99(consistency) < 2s", _consistency(together))
    assert judged.result is Result.INCONCLUSIVE
    assert "events share stalls" in judged.note


def test_a_mean_with_what_will_never_be_is_broken_whatever_the_limit() -> None:
    """Such as an event that was refused: both of its ends are infinite."""
    refused = distribution([(S, S)] * 5, 2 * S)
    refused.lower.record(None)
    refused.upper.record(None)
    judged = _judge("mean(end_to_end) < 1h", scenario({"end_to_end": refused}, visible=5, rejected=1))
    assert (judged.result, judged.observed) == (Result.FAIL, (None, None))


def test_critical_makes_three_levels() -> None:
    def at(ms: int) -> Result:
        measured = distribution([(ms * MS - 10 * MS, ms * MS)] * 100, 3 * S, 10 * S)
        return _judge("p95(end_to_end) < 3s", scenario({"end_to_end": measured}, visible=100), critical="10s").result

    assert at(1_000) is Result.PASS
    assert at(2_900) is Result.WARN
    assert at(5_000) is Result.WARN
    assert at(11_000) is Result.FAIL


def test_target_makes_three_levels_around_what_is_written() -> None:
    def at(ms: int) -> ObjectiveResult:
        measured = distribution([(ms * MS - 10 * MS, ms * MS)] * 100, 1 * S, 3 * S)
        run = run_of(scenario({"end_to_end": measured}, visible=100))
        return judge(parse("p95(end_to_end) < 3s", target="1s"), run)

    assert (at(500).result, at(500).note, at(500).limit) == (Result.PASS, "", 3)
    assert (at(950).result, at(950).note) == (Result.WARN, "above 90 % of the target")
    assert (at(2_000).result, at(2_000).note) == (Result.WARN, "above the target, but within the limit")
    assert (at(4_000).result, at(4_000).note) == (Result.FAIL, "beyond the limit")


def test_critical_share_and_its_doubt() -> None:
    def with_bad(bad: int, n: int = 1000) -> ObjectiveResult:
        measured = _consistency(good_and_bad(n - bad, bad, 2 * S))
        return _judge("share(consistency < 2s) >= 99%", measured, critical="95%")

    assert with_bad(2).result is Result.PASS
    assert with_bad(10).result is Result.WARN
    assert with_bad(10).note == "not shown to keep the limit, but within the critical one"
    assert with_bad(30).result is Result.WARN
    assert with_bad(30).note == "above the limit, but within the critical one"
    assert with_bad(50).result is Result.INCONCLUSIVE
    assert with_bad(50).note.startswith("at the critical limit: too close to call")
    assert with_bad(90).result is Result.FAIL


def test_a_scenario_of_its_own_or_all_together() -> None:
    good, bad = _consistency(good_and_bad(1000, 0, 2 * S)), _consistency(good_and_bad(500, 500, 2 * S))
    text = "p95(consistency) < 2s"
    assert _judge(text, good, bad, about="s0").result is Result.PASS
    assert _judge(text, good, bad, about="s1").result is Result.FAIL
    assert _judge(text, good, bad).result is Result.FAIL
    assert _judge(text, good, bad, about="s0").scenario == "s0"
    assert _judge(text, good, about="never ran").result is Result.INCONCLUSIVE


def test_false_passes_and_fails_at_the_boundary_are_rare() -> None:
    """When exactly 5 % are bad, neither PASS nor FAIL may come more often than in 5 % of the runs."""
    rng = random.Random(5)
    results = []
    for _ in range(400):
        bad = sum(rng.random() < 0.05 for _ in range(500))
        results.append(_judge("p95(consistency) < 2s", _consistency(good_and_bad(500 - bad, bad, 2 * S))).result)
    assert results.count(Result.PASS) + results.count(Result.WARN) <= 28
    assert results.count(Result.FAIL) <= 28


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.sampled_from(["p50", "p90", "p95"]))
def test_narrower_brackets_never_turn_a_verdict_around(good: int, bad: int, undecided: int, p: str) -> None:
    """What passes with undecided events passes when they prove good, and the same for failures."""
    text = f"{p}(consistency) < 2s"
    before = _judge(text, _consistency(good_and_bad(good, bad, 2 * S, undecided=undecided))).result
    proven_good = _judge(text, _consistency(good_and_bad(good + undecided, bad, 2 * S))).result
    proven_bad = _judge(text, _consistency(good_and_bad(good, bad + undecided, 2 * S))).result
    if before in (Result.PASS, Result.WARN):
        assert {proven_good, proven_bad} <= {Result.PASS, Result.WARN}
    if before is Result.FAIL:
        assert {proven_good, proven_bad} == {Result.FAIL}


# -- extremes and means --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brackets", "most", "least", "mean"),
    [
        ([(1, 2), (3, 4)], Result.PASS, Result.PASS, Result.PASS),
        ([(1, 2), (12, 14)], Result.FAIL, Result.PASS, Result.PASS),
        ([(1, 2), (9, 14)], Result.INCONCLUSIVE, Result.PASS, Result.PASS),
        ([(8, 14), (8, 15)], Result.INCONCLUSIVE, Result.INCONCLUSIVE, Result.INCONCLUSIVE),
        ([(12, 14), (10, 15)], Result.FAIL, Result.FAIL, Result.FAIL),
        ([(1, 2), (4, None)], Result.INCONCLUSIVE, Result.PASS, Result.INCONCLUSIVE),
        ([(1, 2), (30, None)], Result.FAIL, Result.PASS, Result.FAIL),
        ([(9, 10), (9, 10)], Result.WARN, Result.WARN, Result.FAIL),
    ],
)
def test_extremes_are_judged_by_the_brackets(
    brackets: list[tuple[int, int | None]], most: Result, least: Result, mean: Result
) -> None:
    """Limits of 10 s on max and min, and of 9 s on the mean."""
    in_s: list[Bracket] = [(low * S, None if high is None else high * S) for low, high in brackets]
    measured = _consistency(distribution(in_s, 10 * S, 9 * S))
    assert _judge("max(consistency) <= 10s", measured).result is most
    assert _judge("min(consistency) <= 10s", measured).result is least
    assert _judge("mean(consistency) < 9s", measured).result is mean


def test_observed_extremes_and_means_are_exact() -> None:
    measured = _consistency(distribution([(1 * S, 2 * S), (3 * S, 7 * S)], 10 * S))
    assert _judge("max(consistency) < 10s", measured).observed == (3, 7)
    assert _judge("min(consistency) < 10s", measured).observed == (1, 2)
    assert _judge("mean(consistency) < 10s", measured).observed == (2, 4.5)
