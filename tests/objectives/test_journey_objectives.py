"""What can be asked of journeys: of their iterations, and of the events that their steps are."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from evload.model.iteration import COUNTERS
from evload.objectives.grammar import from_data, parse, with_step
from evload.objectives.objective import Measure

JOURNEYS = {"order": ["register", "pay", "ship"], "browse": ["look", "pay"]}


@pytest.mark.parametrize(
    ("text", "more", "measure", "label"),
    [
        ("rate(completed) >= 90%", {"journey": "order"}, Measure.RATE, "journey=order"),
        ("failed <= 3", {"journey": "order"}, Measure.COUNT, "journey=order"),
        ("unsent == 0", {"journey": "order"}, Measure.COUNT, "journey=order"),
        ("rate(unsent) < 1%", {"journey": "order", "during": "slow"}, Measure.RATE, "journey=order,during=slow"),
        ("p95(journey) < 30s", {"journey": "order", "scenario": "mixed"}, Measure.PERCENTILE, "journey=order"),
        ("share(journey < 30s) >= 95%", {}, Measure.SHARE, ""),
        ("max(journey) < 1m", {}, Measure.MAX, ""),
        ("mean(journey) < 1m", {"after": "slow"}, Measure.MEAN, "after=slow"),
        ("due >= 100", {}, Measure.COUNT, ""),
        ("rate(failed) < 5% in any 30s", {"journey": "order"}, Measure.RATE, "journey=order"),
        (
            "recovery(p95(journey) < 3s) < 5m",
            {"journey": "order", "after": "slow"},
            Measure.RECOVERY,
            "journey=order",
        ),
    ],
)
def test_objectives_about_iterations(text: str, more: dict[str, Any], measure: Measure, label: str) -> None:
    objective = parse(text, **more)
    assert objective.of_iterations
    assert (objective.measure, objective.slice, objective.needs_probe) == (measure, label, False)
    assert from_data(json.loads(json.dumps(objective.as_data())), {}) == objective
    assert with_step(objective, JOURNEYS) is objective


def test_every_counter_of_iterations_can_be_asked_for() -> None:
    for counter in COUNTERS:
        assert parse(f"{counter} == 0").of_iterations
        assert parse(f"rate({counter}) <= 5%").subject == counter


@pytest.mark.parametrize("text", ["errors == 0", "unsent == 0", "p99(publish) < 1s", "max(journey_time) < 5"])
def test_what_is_about_events_stays_so(text: str) -> None:
    assert not parse(text, gauges={"pods": ["journey_time"]}).of_iterations


def test_a_gauge_may_be_called_what_an_iteration_has() -> None:
    objective = parse("max(journey) < 5", gauges={"pods": ["journey"]})
    assert (objective.measure, objective.of_iterations) == (Measure.GAUGE, False)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("p95(publish) < 350ms", "publish"), ("rate(status(409)) < 30%", "status(409)"), ("errors == 0", "errors"),
        # Of a step its answers are refused and failed.
        ("rate(refused) < 30%", "answer(2)"), ("failed == 0", "answer(3)"), ("unsent == 0", "unsent"),
    ],
)  # fmt: skip
def test_an_objective_about_a_step_is_about_its_event(text: str, subject: str) -> None:
    objective = parse(text, journey="order", step="pay", scenario="mixed")
    assert (objective.subject, objective.event, objective.slice) == (subject, "order.pay", "event=order.pay")
    assert (objective.of_iterations, objective.needs_probe) == (False, False)
    assert objective.title == f"{text} [mixed, event=order.pay]"
    assert from_data(json.loads(json.dumps(objective.as_data())), {}) == objective


def test_whose_step_it_is_follows_from_its_name_if_one_journey_alone_has_it() -> None:
    asked = parse("p95(publish) < 350ms", step="ship", critical="500ms")
    assert asked.slice == "event=?.ship", "of this nothing is ever counted"
    objective = with_step(asked, JOURNEYS)
    assert objective == parse("p95(publish) < 350ms", step="ship", journey="order", critical="500ms")
    assert objective.critical == Fraction(500_000_000)
    assert with_step(objective, {}) is objective
    refused = with_step(parse("refused == 0", step="look"), JOURNEYS)
    assert (refused.slice, refused.subject) == ("event=browse.look", "answer(2)")


def test_what_a_step_waits_for_is_watched_as_the_effect_of_an_event_is() -> None:
    objective = parse("p95(wait) < 2s", journey="order", step="seen", scenario="mixed")
    assert (objective.subject, objective.slice, objective.needs_probe) == ("first_seen", "event=order.seen", True)
    assert objective.thresholds == (("first_seen", 2_000_000_000),)
    assert objective.title == "p95(wait) < 2s [mixed, event=order.seen]"
    assert from_data(json.loads(json.dumps(objective.as_data())), {}) == objective
    names = ("mixed", "other", "mixed: order.seen", "other: order.seen")
    assert [name for name in names if objective.is_of(name)] == ["mixed", "mixed: order.seen"]
    recovery = parse("recovery(p95(wait) < 2s) < 5m", journey="order", step="seen", after="fault")
    assert recovery.inner is not None
    assert (recovery.inner.subject, recovery.inner.slice) == ("first_seen", "event=order.seen")


def test_a_window_on_the_answers_of_a_step_counts_them_over_time() -> None:
    objective = parse("rate(failed) < 5% in any 30s", journey="order", step="pay")
    assert objective.counter_steps == (("answer(3)", 3_000_000_000),)


@pytest.mark.parametrize(
    ("text", "more", "why"),
    [
        ("completed == 0", {"step": "pay"}, "completed is of whole iterations; leave step out"),
        ("p95(journey) < 3s", {"journey": "order", "step": "pay"}, "journey is of whole iterations; leave step out"),
        (
            "recovery(p95(journey) < 3s) < 5m",
            {"step": "pay", "after": "a"},
            "journey is of whole iterations; leave step out",
        ),
        ("errors == 0", {"step": "pay", "event": "x"}, "another; leave event or step out"),
        ("errors == 0", {"journey": "order"}, "errors isn't known of whole iterations; add step: NAME"),
        ("p99(end_to_end) < 1s", {"journey": "order"}, "or write one of due, started, completed"),
        ("completed == 0", {"event": "x"}, "an iteration of a journey has no event; leave event out"),
        ("completed == 0", {"key": "x"}, "an iteration of a journey has no key; leave key out"),
        (
            "max(journey) < 1s",
            {"replica": "x"},
            "journey is not known of one replica; known are first_seen",
        ),
        (
            "throughput(completed) >= 5/s",
            {},
            r"there is no throughput of completed; write for example rate\(completed\)",
        ),
        ("journey < 5s", {}, r"'journey' is a distribution; write for example 'p99\(journey\) < 2s'"),
        ("p99(completed) < 5s", {}, r"'completed' is a counter; write for example 'completed == 0' or 'rate"),
        ("completed == 0%", {}, r"write rate\(completed\) == 0%"),
        (
            "rate(failed) < 5%",
            {"abort_after_ns": 5},
            "nobody knows yet how they end; leave abort out, or ask for a num",
        ),
        ("max(queue) < 5", {"journey": "order"}, "a gauge belongs to no journey; leave journey out"),
        ("p95(wait) < 5s", {}, "a step of a journey has a wait; add step: NAME"),
        ("p95(wait) < 5s", {"journey": "order"}, "a step of a journey has a wait; add step: NAME"),
        ("wait < 5s", {}, r"'wait' is a distribution; write for example 'p99\(wait\) < 2s'"),
        ("cost(run) < 5", {"step": "pay"}, "is about the whole run; leave step out"),
    ],
)
def test_what_cannot_be_asked_says_what_can(text: str, more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text, gauges={"q": ["queue"]}, **more)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("pay", "'pay' is a step of order and of browse; add journey: order"),
        ("shipp", "no journey has a step 'shipp' that sends something, or waits; did you mean 'ship'?"),
        ("zzzz", "no journey has a step 'zzzz' that sends something, or waits; steps are register, pay, ship, look"),
    ],
)
def test_a_step_that_is_none_or_not_the_only_one(step: str, why: str) -> None:
    with pytest.raises(ValueError, match="^" + why.replace("?", r"\?") + "$"):
        with_step(parse("errors == 0", step=step), JOURNEYS)


def test_numbers_of_iterations_may_end_a_run() -> None:
    assert parse("failed <= 10", journey="order", abort_after_ns=0).abort_after_ns == 0
    assert parse("max(journey) < 1m", abort_after_ns=5).abort_after_ns == 5
