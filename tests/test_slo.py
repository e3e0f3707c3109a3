"""Objectives: what the expressions mean, how they are refused, and the verdicts on planted summaries."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.gate.slo import Measure, judge, parse
from evload.stats.binomial import smallest_n
from evload.summary import LEDGER_KEYS, METRICS, Distribution, ObjectiveResult, Result, ScenarioSummary, Summary
from summaries import MS, Bracket, S, distribution, good_and_bad, run_of, scenario


def _judge(
    text: str, *scenarios: ScenarioSummary, critical: str | None = None, about: str | None = None
) -> ObjectiveResult:
    return judge(parse(text, critical=critical, scenario=about), run_of(*scenarios))


def _consistency(measured: Distribution) -> ScenarioSummary:
    return scenario({"consistency": measured}, visible=measured.count)


# -- expressions ---------------------------------------------------------------------------------------------


def test_percentile() -> None:
    objective = parse("  p99.9( end_to_end )<5s ", critical="10s", scenario="spike")
    assert objective.expression == "p99.9( end_to_end )<5s"
    assert (objective.measure, objective.subject, objective.operator) == (Measure.PERCENTILE, "end_to_end", "<")
    assert objective.share == Fraction("0.999")
    assert objective.latency_limit_ns == 5 * S
    assert objective.thresholds == (("end_to_end", 5 * S), ("end_to_end", 10 * S))
    assert objective.scenario == "spike"
    assert objective.needs_probe


def test_share() -> None:
    objective = parse("share(consistency < 2s) >= 99.9%", critical="95%")
    assert objective.share == Fraction("0.999")
    assert objective.critical == Fraction("0.95")
    assert objective.latency_limit_ns == 2 * S
    assert objective.thresholds == (("consistency", 2 * S),)


def test_extremes_and_mean() -> None:
    assert parse("max(publish) <= 80ms", critical="1s").thresholds == (("publish", 80 * MS), ("publish", S))
    assert parse("min(publish) < 80ms").thresholds == (("publish", 80 * MS),)
    assert parse("mean(publish) < 80ms").thresholds == ()
    assert parse("mean(publish) < 80ms").latency_limit_ns == 80 * MS
    assert not parse("mean(publish) < 80ms").needs_probe


def test_counters() -> None:
    lost = parse("lost == 0")
    assert (lost.measure, lost.subject, lost.limit) == (Measure.COUNT, "lost", Fraction(0))
    assert (lost.thresholds, lost.latency_limit_ns, lost.share) == ((), None, None)
    assert parse("duplicates == 0").subject == "duplicated"
    assert parse("rate(errors) < 0.1%").limit == Fraction("0.001")
    assert parse("throughput(acked) >= 30/min").limit == Fraction(1, 2)
    assert lost.needs_probe
    assert not parse("rejected == 0").needs_probe


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_can_have_an_objective(metric: str) -> None:
    assert parse(f"p50({metric}) < 1s").subject == metric


@pytest.mark.parametrize("counter", [*LEDGER_KEYS, "errors"])
@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_each_counter_can_be_compared(counter: str, operator: str) -> None:
    assert parse(f"{counter} {operator} 3").operator == operator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p99(consistancy) < 2s", "there is no metric or gauge 'consistancy'; did you mean 'consistency'?"),
        ("max(queue_depth) < 100", "there is no metric or gauge 'queue_depth'; metrics are"),
        ("last(queue_depth) < 100", "there is no gauge 'queue_depth'; metrics are"),
        ("losst == 0", "there is no counter 'losst' here; did you mean 'lost'?"),
        ("rate(eror) < 1%", "there is no counter 'eror' here; did you mean 'errors'?"),
        ("throughput(lost) >= 1/s", "there is no counter 'lost' here; counters are sent, acked, visible"),
        ("shar(consistency < 2s) >= 95%", "unknown function 'shar'; did you mean 'share'?"),
        ("frobnicate(lost) < 1", "unknown function 'frobnicate'; functions are p95, p99, share"),
        ("consistency < 2s", "'consistency' is a distribution; write for example 'p99(consistency) < 2s'"),
        ("p99(lost) < 2s", "'lost' is a counter; write for example 'lost == 0'"),
        ("p999(publish) < 2s", "there is no percentile p999; write p50, p95, p99 or p99.9"),
        ("p0(publish) < 2s", "there is no percentile p0"),
        ("p100(publish) < 2s", "there is no percentile p100"),
        ("p99(publish) > 2s", "p99(...) can't be compared by >; write < or <="),
        ("max(publish) == 2s", "max(...) can't be compared by ==; write < or <="),
        ("share(publish < 2s) <= 95%", "share(...) can't be compared by <=; write > or >="),
        ("throughput(sent) < 100/s", "throughput(...) can't be compared by <; write > or >="),
        ("rate(errors) == 0%", "rate(...) can't be compared by =="),
        ("p99(publish) < 2", "'2' is not a duration; write a number with a unit"),
        ("p99(publish) < 0s", "no event takes no time; write a limit above 0"),
        ("share(publish < 0s) >= 95%", "no event takes no time; write a limit above 0"),
        ("share(publish) >= 95%", "'publish' is not a condition; write for example share(consistency < 2s) >= 95%"),
        ("share(publish > 2s) >= 95%", "'publish > 2s' is not a condition"),
        ("share(publish < 2s) >= 0.95", "'0.95' is not a share; write a share such as"),
        ("share(publish < 2s) >= 120%", "more than the whole; write a share between 0% and 100%"),
        ("share(publish < 2s) >= 100%", "no sample can show a share of 100%; write max(publish) < 2s"),
        ("share(publish < 2s) >= 0%", "a share of 0% asks for nothing; write"),
        ("throughput(acked) >= 100", "'100' is not a rate; write a rate such as"),
        ("lost < 3%", "'3%' is not a number of events; write a whole number"),
        ("lost < -3", "'-3' is not a number of events"),
        ("lost < ٣", "'٣' is not a number of events"),
        ("lost => 0", "'lost => 0' is not an objective; write for example"),
        ("lost", "'lost' is not an objective; write for example"),
        ("p99(publish) <", "is not an objective; write for example"),
        ("", "'' is not an objective; write for example"),
    ],
)
def test_refused_expressions_say_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text)
    assert message in str(raised.value)
    assert "; " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "critical"),
    [
        ("p95(end_to_end) < 3s", "3s"),
        ("p95(end_to_end) < 3s", "1s"),
        ("share(consistency < 2s) >= 95%", "99%"),
        ("rate(errors) < 1%", "0.1%"),
        ("rate(acked) > 99%", "99.9%"),
        ("lost <= 3", "2"),
        ("throughput(acked) >= 100/s", "200/s"),
    ],
)
def test_critical_has_to_be_looser(text: str, critical: str) -> None:
    with pytest.raises(
        ValueError, match=f"critical {critical} is not looser than the objective; it has to be (above|below)"
    ):
        parse(text, critical=critical)


def test_critical_has_to_have_the_unit_of_the_limit() -> None:
    with pytest.raises(ValueError, match="'95%' is not a duration"):
        parse("p95(end_to_end) < 3s", critical="95%")
    with pytest.raises(ValueError, match="== can't have a critical limit; write lost <= 0"):
        parse("lost == 0", critical="3")


@given(st.text(max_size=40))
def test_any_text_is_an_objective_or_one_clear_line(text: str) -> None:
    try:
        parse(text)
        message = "parsed; fine"
    except ValueError as refused:
        message = str(refused)
    assert "; " in message
    assert "\n" not in message


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


def test_stalls_shared_by_events_cost_evidence() -> None:
    """40 bad of 10,000 would pass p99 if they were independent; all in 2 of 20 windows they don't."""
    spread = good_and_bad(9_960, 40, 2 * S, windows=20)
    assert _judge("p99(consistency) < 2s", _consistency(spread)).result is Result.PASS
    together = good_and_bad(9_960, 40, 2 * S)
    counts = together.thresholds[2 * S]
    counts.windows = {number: [500, 500, 0] for number in range(20)} | {3: [500, 480, 20], 9: [500, 480, 20]}
    judged = _judge("p99(consistency) < 2s", _consistency(together))
    assert judged.result is Result.INCONCLUSIVE
    assert "events share stalls" in judged.note


def test_critical_makes_three_levels() -> None:
    def at(ms: int) -> Result:
        measured = distribution([(ms * MS - 10 * MS, ms * MS)] * 100, 3 * S, 10 * S)
        return _judge("p95(end_to_end) < 3s", scenario({"end_to_end": measured}, visible=100), critical="10s").result

    assert at(1_000) is Result.PASS
    assert at(2_900) is Result.WARN
    assert at(5_000) is Result.WARN
    assert at(11_000) is Result.FAIL


def test_critical_share_and_its_doubt() -> None:
    def with_bad(bad: int, n: int = 1000) -> ObjectiveResult:
        measured = _consistency(good_and_bad(n - bad, bad, 2 * S))
        return _judge("share(consistency < 2s) >= 99%", measured, critical="95%")

    assert with_bad(2).result is Result.PASS
    assert with_bad(10).result is Result.WARN
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


# -- counters ------------------------------------------------------------------------------------------------


def test_planted_losses_fail_and_are_witnessed() -> None:
    judged = _judge("lost == 0", scenario(visible=97, lost=3))
    assert (judged.result, judged.witnessed, judged.subject) == (Result.FAIL, True, "lost")
    assert judged.observed == (3, 3)
    assert _judge("lost == 0", scenario(visible=97)).result is Result.PASS
    fewer_than_asked = _judge("lost == 5", scenario(visible=97, lost=3))
    assert (fewer_than_asked.result, fewer_than_asked.witnessed) == (Result.FAIL, False)
    assert _judge("lost <= 3", scenario(visible=97, lost=3)).result is Result.WARN
    assert _judge("lost < 3", scenario(visible=97, lost=3)).result is Result.FAIL
    assert _judge("lost != 3", scenario(visible=97, lost=3)).result is Result.FAIL
    assert _judge("lost > 2", scenario(visible=97, lost=3)).result is Result.PASS


def test_loss_is_an_interval_while_events_are_unsettled_or_in_doubt() -> None:
    judged = _judge("lost == 0", scenario(visible=90, pending=2, unobserved=3, in_doubt=5, recovered=1))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.observed == (0, 9)
    assert judged.note == "2 still pending, 3 not observed, 4 in doubt and never seen"
    assert _judge("lost == 0", scenario(visible=90, in_doubt=5, recovered=5)).result is Result.PASS
    assert _judge("lost == 0", scenario(visible=90, lost=1, pending=2)).result is Result.FAIL
    assert _judge("lost <= 10", scenario(visible=90, pending=2)).result is Result.PASS


def test_visible_may_still_grow() -> None:
    one = scenario(visible=90, pending=10)
    assert _judge("visible >= 90", one).result is Result.PASS
    assert _judge("visible >= 95", one).result is Result.INCONCLUSIVE
    assert _judge("visible >= 101", one).result is Result.FAIL


@pytest.mark.parametrize("counter", ["duplicates", "regressions", "regressed", "out_of_order"])
def test_counters_of_what_was_seen_are_lower_bounds_until_all_is_settled(counter: str) -> None:
    key = {"duplicates": "duplicated"}.get(counter, counter)
    text = f"{counter} == 0"
    assert _judge(text, scenario(visible=90)).result is Result.PASS
    waiting = _judge(text, scenario(visible=90, pending=1))
    assert (waiting.result, waiting.observed) == (Result.INCONCLUSIVE, (0, None))
    planted = scenario(visible=90, pending=1)
    planted.ledger[key] = 2
    found = _judge(text, planted)
    assert (found.result, found.witnessed) == (Result.FAIL, True)
    assert found.observed[0] == 2


def test_counters_that_could_not_fire_do_not_pass() -> None:
    blind = scenario(visible=90)
    blind.effects_known = blind.positions_known = 0
    duplicates = _judge("duplicates == 0", blind)
    assert duplicates.result is Result.INCONCLUSIVE
    assert duplicates.note == "no read said how many effects an event had, and no data is no pass"
    order = _judge("out_of_order == 0", blind)
    assert order.result is Result.INCONCLUSIVE
    assert order.note == "no read said in which order events were applied, and no data is no pass"


def test_effects_known_for_some_only_are_a_lower_bound() -> None:
    some = scenario(visible=90)
    some.effects_known = 80
    judged = _judge("duplicates == 0", some)
    assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "effects are known for 80 of 90 events")


def test_regressions_of_events_read_once_cannot_be_seen() -> None:
    sampled = scenario(visible=90)
    sampled.sampled = 18
    for counter in ("regressions", "regressed"):
        judged = _judge(f"{counter} == 0", sampled)
        assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "18 of 90 events were followed closely")
    assert _judge("lost == 0", sampled).result is Result.PASS


@pytest.mark.parametrize("counter", ["lost", "duplicates", "regressions", "out_of_order", "recovered", "pending"])
def test_without_a_watched_event_nothing_passes(counter: str) -> None:
    rejected = scenario(rejected=50)
    judged = _judge(f"{counter} == 0", rejected)
    assert judged.result is Result.INCONCLUSIVE
    assert "no data is no pass" in judged.note
    assert _judge(f"{counter} == 0", scenario(unobserved=50)).result in (Result.INCONCLUSIVE, Result.FAIL)
    assert _judge(f"{counter} == 0").result is Result.INCONCLUSIVE


def test_publish_counters_need_no_probe_but_an_event() -> None:
    assert _judge("rejected == 0", scenario(unobserved=50)).result is Result.PASS
    assert _judge("errors == 0", scenario(unobserved=50, in_doubt=1)).result is Result.FAIL
    assert _judge("rejected == 0").result is Result.INCONCLUSIVE
    assert not _judge("rejected == 0", scenario(rejected=50)).witnessed


def test_rates_are_shares_of_what_was_scheduled() -> None:
    one = scenario(visible=990, unsent=1, rejected=2, returned=3, in_doubt=4)
    judged = _judge("rate(errors) < 1%", one)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (0.01, 0.01), 0.01)
    assert _judge("rate(errors) <= 1%", one).result is Result.WARN
    assert _judge("rate(errors) < 2%", one).result is Result.PASS
    assert _judge("rate(acked) >= 99%", one).result is Result.WARN
    assert _judge("rate(acked) > 95%", one).result is Result.PASS
    assert _judge("rate(lost) < 1%", one).result is Result.PASS
    assert _judge("rate(lost) < 1%", scenario(visible=90, lost=10)).witnessed
    assert _judge("rate(errors) < 1%").result is Result.INCONCLUSIVE


def test_critical_counts() -> None:
    results = [_judge("lost <= 2", scenario(visible=90, lost=lost), critical="5").result for lost in (0, 2, 4, 6)]
    assert results == [Result.PASS, Result.WARN, Result.WARN, Result.FAIL]
    open_ended = _judge("lost <= 2", scenario(visible=90, pending=4), critical="5")
    assert open_ended.result is Result.WARN
    assert not _judge("lost <= 2", scenario(visible=90, lost=4), critical="5").witnessed
    assert _judge("lost <= 2", scenario(visible=90, lost=6), critical="5").witnessed


def _offered(events: int, period_ns: Fraction, one: ScenarioSummary) -> ScenarioSummary:
    one.first_intended_ns, one.last_intended_ns = 1_000, 1_000 + math.ceil((events - 1) * period_ns)
    return one


@pytest.mark.parametrize("rate", [7, 100, 300, 999, 1300])
def test_throughput_of_a_run_on_schedule_is_the_schedule(rate: int) -> None:
    """n events span n - 1 gaps, and whole nanoseconds must not cost the last digit."""
    one = _offered(rate * 10, Fraction(S, rate), scenario(visible=rate * 10))
    for counter in ("sent", "acked", "visible"):
        judged = _judge(f"throughput({counter}) >= {rate}/s", one)
        assert judged.result is Result.PASS
        assert judged.observed[0] == pytest.approx(rate, rel=1e-6)
        assert _judge(f"throughput({counter}) > {rate + 1}/s", one).result is Result.FAIL


def test_throughput_counts_what_came_through() -> None:
    one = _offered(1000, Fraction(S, 100), scenario(visible=500, pending=300, rejected=100, unsent=100))
    assert _judge("throughput(sent) >= 80/s", one).observed[0] == pytest.approx(90)
    assert _judge("throughput(acked) >= 80/s", one).observed[0] == pytest.approx(80)
    visible = _judge("throughput(visible) >= 70/s", one)
    assert visible.result is Result.INCONCLUSIVE
    assert list(visible.observed) == pytest.approx([50, 80])


def test_throughput_of_a_single_burst_is_no_rate() -> None:
    burst = _offered(50, Fraction(0), scenario(visible=50))
    judged = _judge("throughput(acked) >= 1/s", burst)
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note == "all events were due at once, so there is no rate"
    assert judge(parse("throughput(acked) >= 1/s"), Summary()).result is Result.INCONCLUSIVE
