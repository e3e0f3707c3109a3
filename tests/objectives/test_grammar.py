"""Objectives: what the expressions mean, and how others are refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.model.facts import LEDGER_KEYS, METRICS
from evload.objectives.grammar import from_data, parse
from evload.objectives.objective import Measure
from evload.objectives.scenario import ScenarioCriteria
from tests.rigs.summaries import MS, S


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


def test_bytes_per_second() -> None:
    for name in ("bytes_in", "bytes_out"):
        objective = parse(f"throughput({name}) > 5MB/s", critical="300KB/min", step="load", journey="docs")
        assert (objective.measure, objective.subject) == (Measure.BYTE_RATE, name)
        assert [objective.limit, objective.critical, objective.unit] == [5_000_000, 5_000, 1]
        assert (objective.event, objective.needs_probe, objective.counter_steps) == ("docs.load", False, ())
        assert from_data(objective.as_data(), {}) == objective
    with pytest.raises(ValueError, match="bytes_in is not known of one probe; known are first_seen"):
        parse("throughput(bytes_in) > 5MB/s", probe="model")


def test_the_first_byte_needs_nobody_who_looks() -> None:
    objective = parse("p95(first_byte) < 200ms", step="load", journey="docs")
    assert (objective.subject, objective.event, objective.needs_probe) == ("first_byte", "docs.load", False)
    with pytest.raises(ValueError, match="first_byte is not known of one probe"):
        parse("p95(first_byte) < 200ms", probe="model")


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_can_have_an_objective(metric: str) -> None:
    assert parse(f"p50({metric}) < 1s", probe="index" if metric == "hop" else None).subject == metric


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
        ("rate(errors) == 0% in any 30s", "over time rate(...) can't be compared by ==; write < or <="),
        ("throughput(sent) == 100/s", "throughput(...) can't be compared by ==; write > or >="),
        ("recovery(share(publish < 2s) >= 95%) == 5s", "recovery(...) can't be compared by ==; write < or <="),
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
        ("throughput(bytes_in) > 5", "'5' is not a rate of bytes; write for example 5MB/s"),
        ("throughput(bytes_in) > 5MB", "'5MB' is not a rate of bytes; write for example 5MB/s"),
        ("throughput(bytes_in) > 5/s", "'5/s' is not a rate of bytes; write for example 5MB/s"),
        ("throughput(bytes_in) > lots", "'lots' is not a rate of bytes; write one such as 5MB/s or 300KB/min"),
        ("throughput(bytes_in) > 2000000000GiB/s", "is too high; write 1073741824GiB/s or less"),
        ("throughput(bytes_in) < 5MB/s", "throughput(...) can't be compared by <; write > or >="),
        ("throughput(byte_in) > 5MB/s", "there is no counter 'byte_in' here; did you mean 'bytes_in'?"),
        ("throughput(bytes_out) > 5MB/s in any 30s", "is about the run as a whole; leave 'in any' out"),
        ("throughput(bytes_out) > 5MB/s for 30s", "is about the run as a whole; leave 'for' out"),
        ("bytes_in > 5", "bytes_in is told per second; write throughput(bytes_in) > 5MB/s"),
        ("rate(bytes_in) > 5%", "bytes_in is told per second; write throughput(bytes_in) > 5MB/s"),
        ("max(bytes_out) < 5s", "bytes_out is told per second; write throughput(bytes_out) > 5MB/s"),
        ("first_byte < 2s", "'first_byte' is a distribution; write for example 'p99(first_byte) < 2s'"),
        ("lost < 3%", "lost is a number of events, and 3% a share of them; write rate(lost) < 3%"),
        ("lost < -3", "'-3' is not a number of events"),
        ("lost < ٣", "'٣' is not a number of events"),
        ("lost => 0", "'lost => 0' is not an objective; write for example"),
        ("lost = 0", "'lost = 0' is not an objective; write lost == 0"),
        ("rate(errors) = 1%", "is not an objective; write rate(errors) == 1%"),
        ("p99(publish) = 2s", "is not an objective; write p99(publish) <= 2s"),
        ("max(staleness)=2", "is not an objective; write max(staleness) <= 2"),
        ("p(95)<200", "'p(95)<200' doesn't say of what; write p95(end_to_end) < 200ms"),
        ("http_req_duration: p(99.9) <= 1500", "doesn't say of what; write p99.9(end_to_end) <= 1.5s"),
        ("p95 < 2s", "doesn't say of what; write p95(end_to_end) < 2s"),
        ("reach(errors) < 5s", "'errors' is not a condition; write for example reach(queue_depth > 100) < 30s"),
        ("stretch(lost) < 5s", "no stretch of lost is counted; write stretch(errors) < 30s"),
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
    with pytest.raises(ValueError, match=r"== can't have a critical limit; write rate\(errors\) <= 0%, or leave"):
        parse("rate(errors) == 0%", critical="3%")
    with pytest.raises(ValueError, match=r"== can't have a critical limit; write last\(depth\) <= 0, or leave"):
        parse("last(depth) == 0", critical="3", gauges={"work": ["depth"]})


@given(st.text(max_size=40))
def test_any_text_is_an_objective_or_one_clear_line(text: str) -> None:
    try:
        parse(text)
        message = "parsed; fine"
    except ValueError as refused:
        message = str(refused)
    assert "; " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "target", "limit", "critical"),
    [
        ("p95(end_to_end) < 3s", "1s", 1 * S, 3 * S),
        ("share(consistency < 2s) >= 95%", "99%", Fraction("0.99"), Fraction("0.95")),
        ("lost <= 5", "2", 2, 5),
        ("throughput(acked) >= 100/s", "150/s", 150, 100),
    ],
)
def test_a_target_makes_the_written_limit_the_critical_one(
    text: str, target: str, limit: Fraction, critical: Fraction
) -> None:
    objective = parse(text, target=target)
    assert (objective.expression, objective.limit, objective.critical) == (text, limit, critical)
    assert objective.written_limit == critical
    assert objective.share in (None, Fraction("0.95"), limit)


def test_a_target_has_to_be_tighter_and_excludes_a_critical_limit() -> None:
    with pytest.raises(ValueError, match="target 3s is not tighter than the objective; it has to be below the limit"):
        parse("p95(end_to_end) < 3s", target="3s")
    with pytest.raises(
        ValueError, match="target 90% is not tighter than the objective; it has to be above the limit"
    ):
        parse("share(consistency < 2s) >= 95%", target="90%")
    with pytest.raises(ValueError, match="give target or critical, not both"):
        parse("p95(end_to_end) < 3s", target="1s", critical="5s")
    with pytest.raises(ValueError, match="== can't have a target limit; write lost <= 0"):
        parse("lost == 0", target="0")


# -- gauges that come to something ----------------------------------------------------------------------------------

GAUGES = {"work": ["queue_depth", "missed", "asked"], "pods": ["replicas"]}
SPANS = {"spike": ScenarioCriteria(60 * S, 90 * S)}


def test_reach_counts_from_the_start_of_its_scenario_or_from_the_end_of_another() -> None:
    reach = parse("reach(pods.replicas >= 10) < 60s", scenario="spike", critical="2m", gauges=GAUGES)
    assert (reach.measure, reach.subject, reach.gauge) == (Measure.REACH, "replicas", "pods")
    assert (reach.compared, reach.level) == (">=", Fraction(10))
    assert reach.limits == (Fraction(60 * S), Fraction(120 * S))
    assert (reach.anchor_ns(SPANS), reach.after_named, reach.needs_probe) == (60 * S, None, False)
    after = parse("reach(replicas == 0) < 60s", after="spike", gauges=GAUGES)
    assert (after.anchor_ns(SPANS), after.after_named) == (90 * S, "spike")
    assert parse("reach(replicas == 0) < 60s", after="5m", gauges=GAUGES).anchor_ns({}) == 300 * S
    assert reach.fulfils(10)
    assert not reach.fulfils(9)


def test_counters_rise_and_gauges_add_up_and_grow() -> None:
    rise = parse("rise(missed) == 0", after="5m", gauges=GAUGES)
    assert (rise.measure, rise.subject, rise.limit, rise.anchor_ns({})) == (
        Measure.RISE,
        "missed",
        Fraction(0),
        300 * S,
    )
    assert parse("integral(replicas) < 2h", gauges=GAUGES).limit == 7200
    for limit in ("10MB", "10MB/h", "10MB / h"):
        grown = parse(f"growth(replicas) < {limit}", gauges=GAUGES)
        assert (grown.measure, grown.limit) == (Measure.GROWTH, Fraction(10_000_000)), limit
    assert parse("growth(replicas) < 1", critical="2/h", gauges=GAUGES).critical == 2


def test_one_may_be_divided_by_another() -> None:
    ratio = parse("rise(missed) / rise(work.asked) < 5%", after="spike", gauges=GAUGES)
    assert (ratio.measure, ratio.limit, ratio.is_gauged) == (Measure.RATIO, Fraction(1, 20), True)
    assert [(part.measure, part.subject, part.after) for part in ratio.parts] == [
        (Measure.RISE, "missed", "spike"), (Measure.RISE, "asked", "spike"),
    ]  # fmt: skip
    assert [part.subject for part in ratio.rising] == ["missed", "asked"]
    assert parse("max(missed)/mean(asked) < 2", gauges=GAUGES).rising == ()


def test_stretches_and_spans() -> None:
    stretch = parse("stretch(queue_depth > 100) < 30s", gauges=GAUGES)
    assert (stretch.measure, stretch.is_gauged, stretch.counter_steps) == (Measure.STRETCH, True, ())
    silence = parse("stretch(errors) < 30s", scenario="spike", event="e")
    assert (silence.is_gauged, silence.needs_probe) == (False, False)
    assert silence.counter_steps == (("acked", 100 * MS), ("errors", 100 * MS))
    span = parse("span(publish) < 10s", scenario="spike")
    assert (span.measure, span.limit) == (Measure.SPAN, Fraction(10 * S))
    assert (span.needs_probe, span.latency_limit_ns) == (False, None)


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("reach(replicas) < 5s", {"after": "5s"}, "'replicas' is not a condition; write for example reach(queue"),
        ("reach(replicas) < 5s", {"after": "5s"}, "for example reach(queue_depth > 100) < 30s\n"),
        ("reach(replicas > 5) > 5s", {"after": "5s"}, "reach(...) can't be compared by >; write < or <="),
        ("reach(replicas > 5) < 5s", {}, "has to count from one moment; write scenario: NAME, from whose start on"),
        ("reach(replicas > 5) < 5s", {"after": "5s", "scenario": "s"}, "has to count from one moment"),
        ("reach(replica > 5) < 5s", {"after": "5s"}, "no gauge with 'replica' for reach(...); did you mean 'repl"),
        ("reach(replicas > 5) < 5s", {"after": "5s", "event": "e"}, "a gauge belongs to no event"),
        ("rise(missed) < 5", {"scenario": "s"}, "a gauge belongs to no scenario; leave scenario out"),
        ("rise(miss) < 5", {}, "no gauge with 'miss' for rise(...); did you mean 'missed'"),
        ("integral(missed) == 5", {}, "integral(...) can't be compared by =="),
        ("growth(missed) > 5", {}, "growth(...) can't be compared by >; write < or <="),
        ("growth(missed) < 5/s", {}, "'5/s' is not by the hour; write for example 5/h"),
        ("growth(missed) < 5 for 10s", {}, "is about the run as a whole"),
        ("growth(missed) / growth(asked) < 5", {}, "a ratio can't have growth; functions are rise, integral, max"),
        ("rise(missed) / rise(asked) == 5%", {}, "rise(...) / rise(...) can't be compared by =="),
        ("rise(missed) / rise(ask) < 5%", {}, "there is no gauge with 'ask' for rise(...); did you mean 'asked'"),
        ("max(missed) / rise(asked) < 5%", {"after": "5m"}, "max(missed) is about the whole run; leave after out"),
        ("stretch(lost) < 5s", {}, "no stretch of lost is counted; write stretch(errors) < 30s"),
        ("stretch(errors) < 5s", {"probe": "p"}, "is about answers to publishes, not about a probe; leave it out"),
        ("stretch(queue_depth) < 5s", {}, "is not a condition; write for example stretch(queue_depth > 100) < 30s"),
        ("stretch(errors) < 5s", {"after": "5m"}, "count from a time; leave after out, or name an action"),
        ("span(publish) < 5s", {"after": "fault"}, "is about the whole run; leave after out"),
        ("max(missed) < 5", {"during": "a", "after": "b"}, "about the time after; write one of them"),
        ("drain(missed <= 5) < 5s", {"during": "a", "scenario": "s"}, "counts from a moment; write after: instead"),
        ("reach(missed > 5) < 5s", {"during": "a", "scenario": "s"}, "counts from a moment; write after: instead"),
        ("growth(missed) < 5", {"during": "a"}, "can't be told of a part of the run; leave during out"),
        ("p95(queue_lag) < 5s", {"during": "a"}, "can't be told of a part of the run; leave during out"),
        ("stretch(queue_depth) < 5s", {}, "(queue_depth > 100) < 30s or stretch(errors) < 30s\n"),
        ("span(consistency) < 5s", {}, "there is no span of consistency; write span(publish), from the first due"),
        ("span(publish) < 5s", {"replica": "r"}, "is about answers to publishes, not about a replica"),
    ],
)  # fmt: skip
def test_what_gauges_can_not_come_to_is_refused(text: str, more: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text, gauges=GAUGES, **more)  # type: ignore[arg-type]
    assert message in f"{raised.value}\n"


@pytest.mark.parametrize(
    "text",
    [
        "rise({}) < 5", "integral({}) < 5", "growth({}) < 5", "max({}) < 5", "drain({} <= 5) < 5s",
        "stretch({} > 5) < 5s",
    ],
)  # fmt: skip
def test_of_two_gauges_with_such_a_value_one_can_be_named(text: str) -> None:
    two = {"one": ["depth"], "other": ["depth"]}
    for name, gauge in (("depth", None), ("one.depth", "one"), ("other.depth", "other")):
        objective = parse(text.format(name), scenario="s" if text.startswith("drain") else None, gauges=two)
        assert (objective.gauge, objective.subject) == (gauge, "depth")


@pytest.mark.parametrize(
    "given_",
    [
        {"text": "reach(replicas >= 10) < 60s", "scenario": "spike"}, {"text": "rise(missed) == 0", "after": "5m"},
        {"text": "rise(missed) / rise(asked) < 5%"}, {"text": "growth(replicas) < 1/h", "target": "0.5"},
        {"text": "stretch(errors) < 30s", "scenario": "spike"}, {"text": "span(publish) < 10s"},
    ],
)  # fmt: skip
def test_what_gauges_come_to_survives_being_written_down(given_: dict[str, str]) -> None:
    objective = parse(gauges=GAUGES, **given_)  # type: ignore[arg-type]
    assert from_data(objective.as_data(), GAUGES) == objective
