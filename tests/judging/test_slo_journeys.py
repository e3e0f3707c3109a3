"""Objectives about journeys, judged on planted iterations whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from evload.judging.abort import broken_for_good, reason_to_abort
from evload.judging.judge import judge
from evload.model.iteration import End, Iteration
from evload.model.report import Result
from evload.model.states import State
from evload.model.summary import Summary
from evload.model.travel import Observation, Try
from evload.objectives.grammar import parse
from evload.objectives.objective import Objective
from evload.objectives.scenario import ScenarioCriteria
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from evload.summary.recorder import Recorder

S = 1_000_000_000


def sent_often(*statuses: int, journeys: bool = True) -> Summary:
    """Of one step, sent until its answer is one after which it isn't sent again; another one is due and has none."""
    steps = Counted(counter_steps=(("status(429)", S),))
    plan = ScenarioPlan("mixed", False, 0, steps, journeys=((0, "order"),) if journeys else ())
    recorder = Recorder([plan], 0)
    recorder.expect(0, [(0, 0, None, 0), (1, 0, None, 0)])
    seen = Observation(0, 0, 0, State.UNOBSERVED, 0, sent_ns=0, acked_ns=9, settled_ns=9, status=statuses[-1])
    seen.tries = tuple(Try(number, number + 1, status) for number, status in enumerate(statuses))
    recorder.settle([seen])
    return recorder.summary()


@pytest.mark.parametrize("text", ["rate(status(429)) < 50%", "rate(status(429)) < 50% in any 10s"])
def test_a_share_of_tries_ends_no_run_because_nobody_knows_how_many_are_to_come(text: str) -> None:
    objective, summary = parse(text, abort_after_ns=0), sent_often(429, 429, 429, 429, 200)
    terms = {"mixed": ScenarioCriteria(0, 10 * S, watched=False, events=2)}
    assert judge(objective, summary, terms).result is Result.FAIL
    assert judge(objective, summary, terms).observed == pytest.approx((4 / 6, 4 / 6))
    assert reason_to_abort([objective], summary, 9 * S, terms) is None
    assert reason_to_abort([objective], sent_often(429, 429, 429, 429, 200, journeys=False), 9 * S, terms)
    counts = parse("status(429) <= 3", abort_after_ns=0)
    assert reason_to_abort([counts], summary, 9 * S, terms) == (counts, "ended after 9s: status(429) is 4")


def ended(
    count: int, end: End, took_s: float = 1.0, journey: int = 0, first_s: float = 0.0, over_s: float | None = None
) -> list[tuple[Any, ...]]:
    """So many iterations, one due each second, or all within so many seconds."""
    each_s = 1.0 if over_s is None else over_s / count
    dues = [first_s + n * each_s for n in range(count)]
    return [(journey, round(due * S), round((due + took_s) * S), end) for due in dues]


def counted(*objectives: Objective) -> Counted:
    return Counted(
        tuple(sorted({about for one in objectives for about in one.thresholds})),
        tuple(sorted({about for one in objectives for about in one.steps})),
        tuple(sorted({about for one in objectives for about in one.counter_steps})),
    )


def run(objectives: Sequence[Objective], *planted: Sequence[tuple[Any, ...]], answers: Sequence[int] = ()) -> Summary:
    """What a run of two journeys and of the event `order.pay` amounts to, with all that the objectives need."""
    labels = {one.slice: one for one in objectives if one.slice}
    slices = [
        Slice(
            label, counted(*(other for other in objectives if other.slice == label)),
            event=0 if one.event is not None else None, journey=one.journey if one.of_iterations else None,
        )
        for label, one in labels.items()
    ]  # fmt: skip
    whole = counted(*(one for one in objectives if not one.slice))
    plan = ScenarioPlan("mixed", False, 0, whole, tuple(slices), journeys=((0, "order"), (1, "browse")))
    recorder = Recorder([plan], 0)
    for number, answer in enumerate(answers):
        seen = Observation(number, 0, 0, State.UNOBSERVED, number * S, sent_ns=number * S, acked_ns=number * S + 5)
        seen.answer = answer
        recorder.expect(0, [(number, seen.intended_ns, None, 0)])
        recorder.settle([seen])
    for number, (journey, due, over, end) in enumerate(one for some in planted for one in some):
        begun = due if end <= End.CUT_OFF else None
        recorder.iterated([Iteration(0, journey, number, None, due, begun, over, end, "pay", "why")])
    return recorder.summary()


MIXED = (
    ended(900, End.COMPLETED), ended(40, End.COMPLETED, 20, over_s=900), ended(20, End.REFUSED, over_s=900),
    ended(25, End.FAILED, over_s=900), ended(5, End.CUT_OFF, 3, over_s=900), ended(6, End.UNSENT, over_s=900),
    ended(4, End.STARVED, over_s=900), ended(100, End.COMPLETED, 2, journey=1, over_s=900),
)  # fmt: skip
"""A thousand of one journey, a hundred of the other."""


@pytest.mark.parametrize(
    ("text", "journey", "result", "observed"),
    [
        ("rate(completed) >= 94%", "order", Result.WARN, 0.94),
        ("rate(completed) >= 94.1%", "order", Result.FAIL, 0.94),
        ("rate(completed) >= 94.1%", None, Result.WARN, 1040 / 1100),
        ("completed == 100", "browse", Result.PASS, 100),
        ("completed >= 1040", None, Result.PASS, 1040),
        ("due == 1000", "order", Result.PASS, 1000),
        ("rate(started) < 99%", "order", Result.FAIL, 0.99),
        ("refused <= 20", "order", Result.WARN, 20),
        ("rate(failed) < 2.5%", "order", Result.FAIL, 0.025),
        ("rate(failed) < 2.5%", None, Result.WARN, 25 / 1100),
        ("cut_off == 0", "order", Result.FAIL, 5),
        ("cut_off == 0", "browse", Result.PASS, 0),
        ("starved == 0", None, Result.FAIL, 4),
        ("unsent == 0", "order", Result.FAIL, 6),
        ("unsent == 0", "browse", Result.PASS, 0),
    ],
)
def test_counts_and_shares_of_what_was_due_are_exact(
    text: str, journey: str | None, result: Result, observed: float
) -> None:
    objective = parse(text, journey=journey)
    judged = judge(objective, run([objective], *MIXED))
    assert (judged.result, judged.observed) == (result, (observed, observed)), judged.note
    assert judged.scope == ("" if journey is None else f"journey={journey}")


@pytest.mark.parametrize(
    ("text", "journey", "result", "observed"),
    [
        # 980 have a time or never come to it: 900 took 1 s, 40 took 20 s, 35 never complete, 5 had run for 3 s.
        ("p91(journey) < 5s", "order", Result.INCONCLUSIVE, (1.0, 1.0)),
        ("p80(journey) < 5s", "order", Result.PASS, (1.0, 1.0)),
        ("p95(journey) < 5s", "order", Result.FAIL, (20.0, 20.0)),
        ("p99(journey) < 1h", "order", Result.FAIL, (None, None)),
        ("share(journey < 5s) >= 85%", "order", Result.PASS, (900 / 980, 905 / 980)),
        ("share(journey < 5s) >= 85%", None, Result.PASS, (1000 / 1080, 1005 / 1080)),
        ("p95(journey) < 5s", "browse", Result.PASS, (2.0, 2.0)),
        ("max(journey) <= 2s", "browse", Result.WARN, (2.0, 2.0)),
        ("max(journey) < 1h", "order", Result.FAIL, (None, None)),
        ("mean(journey) < 3s", "browse", Result.PASS, (2.0, 2.0)),
    ],
)
def test_what_did_not_complete_never_came_to_its_end(
    text: str, journey: str | None, result: Result, observed: tuple[float | None, float | None]
) -> None:
    objective = parse(text, journey=journey)
    judged = judge(objective, run([objective], *MIXED))
    assert judged.result is result, judged
    assert judged.observed == (
        observed
        if None in observed
        else (pytest.approx(observed[0], rel=0.001), pytest.approx(observed[1], rel=0.001))
    )


@pytest.mark.parametrize(
    ("text", "journey"),
    [
        ("failed == 0", "browse"), ("rate(failed) < 5%", "browse"), ("completed >= 0", "browse"),
        ("failed == 0", "none"),
        ("p95(journey) < 3s", "browse"), ("max(journey) < 3s", "browse"), ("unsent == 0", "browse"),
        ("rate(failed) < 5% in any 30s", "browse"),
    ],
)  # fmt: skip
def test_where_nothing_of_a_journey_was_due_nothing_passes(text: str, journey: str) -> None:
    objective = parse(text, journey=journey)
    judged = judge(objective, run([objective], ended(500, End.COMPLETED)))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note.startswith(("no iteration", "nothing was scheduled"))


def test_a_scenario_without_journeys_passes_nothing_of_them() -> None:
    objective = parse("failed == 0")
    summary = Recorder([ScenarioPlan("main", False, 0)], 0).summary()
    assert judge(objective, summary).note == "no iteration was due, and no data is no pass"


def test_refusals_alone_have_no_time() -> None:
    objective = parse("p95(journey) < 3s")
    judged = judge(objective, run([objective], ended(500, End.REFUSED)))
    assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "no iteration has a time, and no data is no pass")


def test_too_few_iterations_are_called_iterations() -> None:
    objective = parse("p95(journey) < 3s")
    assert judge(objective, run([objective], ended(9, End.COMPLETED))).note == "needs 59 iterations, has 9"


def test_a_rate_over_time_and_how_soon_it_holds_again() -> None:
    bad = ended(100, End.COMPLETED), ended(20, End.FAILED, first_s=100), ended(300, End.COMPLETED, first_s=120)
    window = parse("rate(failed) < 50% in any 30s", journey="order")
    whole = parse("rate(failed) < 5%", journey="order")
    summary = run([window, whole], *bad)
    assert [judge(one, summary).result for one in (window, whole)] == [Result.FAIL, Result.WARN]


def test_the_answers_of_a_step_are_those_of_its_event() -> None:
    asked = [
        parse("rate(refused) <= 20%", journey="order", step="pay"), parse("failed == 0", journey="order", step="pay"),
        parse("answer(1) >= 6", event="order.pay"),
    ]  # fmt: skip
    summary = run(asked, answers=[1, 1, 2, 1, 3, 1, 2, 1, 1, 3])
    judged = [judge(one, summary) for one in asked]
    assert [one.observed for one in judged] == [(0.2, 0.2), (2, 2), (6, 6)]
    assert [one.result for one in judged] == [Result.WARN, Result.FAIL, Result.PASS]
    assert judged[0].scope == "event=order.pay"


def test_a_step_that_was_never_reached_passes_nothing() -> None:
    asked = parse("failed == 0", journey="order", step="pay")
    judged = judge(asked, run([asked], ended(500, End.COMPLETED)))
    assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "nothing told an answer, and no data is no pass")


def test_an_objective_whose_step_nobody_resolved_passes_nothing() -> None:
    asked = parse("errors == 0", step="pay")
    assert judge(asked, run([], ended(500, End.COMPLETED), answers=[1] * 9)).result is Result.INCONCLUSIVE


def test_only_what_can_only_grow_ends_a_run() -> None:
    """Iterations count when they are over, and those that fail are over soon: a share of them would be too high."""
    number = parse("failed <= 3", journey="order", abort_after_ns=0)
    longest = parse("max(journey) < 10s", journey="order", abort_after_ns=0)
    share, slow = parse("rate(failed) < 50%", journey="order"), parse("p95(journey) < 1s", journey="order")
    window = parse("rate(failed) < 5% in any 1s", journey="order")
    everything = [number, longest, share, slow, window]
    summary = run(everything, ended(500, End.FAILED))
    assert reason_to_abort([number], summary, 600 * S) == (number, "ended after 10m0s: failed is 500")
    found = reason_to_abort([longest], summary, 600 * S)
    assert found is not None
    assert found[1] == "ended after 10m0s: 500 iterations took longer than 10 s"
    assert [broken_for_good(one, summary, 600 * S, {}) for one in (share, slow, window)] == ["", "", ""]
