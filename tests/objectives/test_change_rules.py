"""What a comparison may find worse and by how much: the rules, how they are read, and how others are refused."""

from __future__ import annotations

import pytest

from evload.objectives.change import (
    RULES,
    ChangeRules,
    Kind,
    check_gauge,
    check_journey,
    kind_of,
    limit,
    tolerance,
    warning,
    with_rules,
)

GAUGES = {"work": ["queue_depth", "age"], "other": ["queue_depth"]}
MINE = "max(work.queue_depth)"
JOURNEYS = {"order": ["order.create", "order.pay"], "two words (old)": ["two words (old).look"]}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("p99=10%", ("p99", 0.1)), ("p99 = 12.5 %", ("p99", 0.125)), ("p50=.5%", ("p50", 0.005)),
        ("p99=0", ("p99", 0.0)), ("p99=off", ("p99", None)), ("p99=250%", ("p99", 2.5)), ("cost=100%", ("cost", 1.0)),
        ("throughput=99.9%", ("throughput", 0.999)), ("lost=0.1%", ("lost", 0.001)), (f"{MINE}=300%", (MINE, 3.0)),
        ("completed(order)=1%", ("completed(order)", 0.01)), ("p95(order.pay)=off", ("p95(order.pay)", None)),
        ("p99(two words (old))=150%", ("p99(two words (old))", 1.5)),
    ],
)  # fmt: skip
def test_by_how_much_a_figure_may_be_worse(text: str, rule: tuple[str, float | None]) -> None:
    name, share = tolerance(text)
    assert (name, share) == (rule[0], rule[1] if rule[1] is None else pytest.approx(rule[1]))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("p99=250ms", ("p99", 0.25)), ("throughput=100/s", ("throughput", 100.0)), ("errors=0.5%", ("errors", 0.005)),
        ("lost=0%", ("lost", 0.0)), ("cost=0.05", ("cost", 0.05)), (f"{MINE}=500", (MINE, 500.0)),
        (f"{MINE}=0", (MINE, 0.0)), (f"{MINE}=0.5", (MINE, 0.5)), ("p99=off", ("p99", None)),
        ("completed(order)=99%", ("completed(order)", 0.99)), ("p90(order.pay)=250ms", ("p90(order.pay)", 0.25)),
    ],
)  # fmt: skip
def test_what_a_figure_may_not_be_worse_than(text: str, rule: tuple[str, float | None]) -> None:
    assert limit(text) == rule


@pytest.mark.parametrize(
    ("rule", "text", "message"),
    [
        ("max_regression", "p98=10%", "'p98' isn't a figure; did you mean p9"),
        ("max_regression", "speed=10%", "'speed' isn't a figure; choose one of p50, p90, p95, p99, mean, throughput"),
        ("max_regression", "p99=10", "'10' isn't a tolerance; write for example p99=10%, lost=0.1% or p50=off"),
        ("max_regression", "p99", "'' isn't a tolerance; write for example"),
        ("max_regression", "p99=-1%", "'-1%' isn't a tolerance; write for example"),
        ("max_regression", "completed(order)=100%", "nothing can be worse than that; write less than 100%"),
        ("max_regression", "cut_off(order)=1%", "or a journey's, such as completed(order) or p95(order.pay)"),
        (
            "limit",
            "completed(order)=much",
            "'much' is no limit of completed(order); write for example completed(order)=99%",
        ),
        ("max_regression", "lost=100%", "nothing can be worse than that; write less than 100%"),
        ("week_over_week", "throughput=100%", "nothing can be worse than that; write less than 100%"),
        ("limit", "p99=fast", "'fast' is no limit of p99; write for example p99=250ms or p99=off"),
        ("limit", "cost=1/0", "'1/0' is no limit of cost; write for example cost=0.05 or cost=off"),
        ("limit", "cost=-1", "no cost is below 0; write for example cost=0.05"),
        ("limit", f"{MINE}=-0.5", f"no {MINE} is below 0; write for example {MINE}=500"),
    ],
)
def test_what_is_no_rule_is_refused_with_a_cure(rule: str, text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        RULES[rule](text)
    assert message in str(raised.value)


def test_above_which_share_of_its_limit_a_figure_is_warned_about() -> None:
    assert ChangeRules().warn_above == 0.9
    assert [warning(text) for text in ("90%", "1%", "99.9%", " off ")] == [0.9, 0.01, 0.999, None]
    for text in ("0%", "100%"):
        with pytest.raises(ValueError, match="is no part of a limit; write for example 90%, or off"):
            warning(text)


def test_rules_are_replaced_added_and_taken_away_and_those_that_are_known_stay() -> None:
    known = {"p50": 0.2, "p99": 0.5}
    assert with_rules(known, ["p99=10%", "lost=1%", "p50=off", "p90=off"], tolerance) == {"p99": 0.1, "lost": 0.01}
    assert with_rules(known, [], tolerance) == known == {"p50": 0.2, "p99": 0.5}


def test_the_figures_of_gauges_among_the_rules_are_named_once() -> None:
    rules = ChangeRules({"p99": 0.1, MINE: 0.5}, {MINE: 0.1, "min(age)": 0.1}, {"last(age)": 5, "lost": 0.1})
    assert rules.gauged == [MINE, "min(age)", "last(age)"]
    assert ChangeRules().gauged == []
    assert (kind_of(MINE), kind_of("cost")) == (Kind.VALUE, Kind.COST)


def test_the_figures_of_journeys_among_the_rules_and_what_is_worse_of_them() -> None:
    rules = ChangeRules({"p99": 0.1, "p90(order)": 0.5}, {"completed(order)": 0.1}, {"p90(order)": 5, MINE: 0.1})
    assert rules.journeyed == ["p90(order)", "completed(order)"]
    kinds = [kind_of(f"{name}(order)") for name in ("completed", "refused", "failed", "p90")]
    assert kinds == [Kind.SUCCESS, Kind.SHARE, Kind.SHARE, Kind.TIME]
    assert [kind.sign for kind in kinds] == [-1, 1, 1, 1]
    assert [kind.is_share for kind in kinds] == [True, True, True, False]


@pytest.mark.parametrize(
    "figure", ["completed(order)", "p95(order)", "p95(order.pay)", "p50(two words (old))", "p99", "max(x.y)"]
)
def test_a_figure_of_a_journey_or_a_step_that_there_is(figure: str) -> None:
    check_journey(figure, JOURNEYS)


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("p95(ordr)", "there is no journey and no step 'ordr'; did you mean 'order'?"),
        ("p95(order.pya)", "there is no journey and no step 'order.pya'; did you mean 'order.pay'?"),
        ("failed(order.pay)", "order.pay is a step, and only a journey is failed; write for example p95(order.pay)"),
        ("failed(x)", "there is no journey and no step 'x'; there are order, two words (old)"),
    ],
)
def test_a_figure_of_no_journey_and_no_step_is_refused(figure: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        check_journey(figure, JOURNEYS)
    assert str(raised.value) == message
    with pytest.raises(ValueError, match="; there are no journeys"):
        check_journey("p95(order)", {})


@pytest.mark.parametrize(
    "figure", ["max(work.queue_depth)", "mean(age)", "last(work.age)", "p99", "min(other.queue_depth)"]
)
def test_a_figure_of_one_gauge_that_there_is(figure: str) -> None:
    check_gauge(figure, GAUGES)


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("max(queue_depth)", "work and other both have queue_depth; write max(work.queue_depth)"),
        ("min(other.age)", "there is no gauge with 'other.age'; "),
        ("max(queue_dept)", "there is no gauge with 'queue_dept'; "),
        ("max(nothing.like_it)", "gauges have work.queue_depth, work.age, other.queue_depth"),
    ],
)
def test_a_figure_of_none_or_of_several_gauges_is_refused(figure: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        check_gauge(figure, GAUGES)
    assert message in str(raised.value)
    with pytest.raises(ValueError, match="add a gauge under gauges:"):
        check_gauge(figure, {})
