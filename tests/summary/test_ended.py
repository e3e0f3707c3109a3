"""Events that came to another end, in counts, percentiles and objectives: they are never seen, and that is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from evload.judging.count import count
from evload.judging.judge import judge
from evload.model.report import Result
from evload.model.states import State
from evload.model.summary import ScenarioSummary, Summary
from evload.model.travel import Observation, Part
from evload.objectives.grammar import parse
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from evload.summary.recorder import Recorder

MS = 1_000_000
S = 1_000 * MS


def observed(seq: int, state: State, **more: Any) -> Observation:
    at = seq * 100 * MS
    usual: dict[str, Any] = {
        "sent_ns": at, "acked_ns": at + MS, "sampled": True, "settled_ns": at + 3 * S, "stable_lower_ns": at + S,
        "first_lower_ns": at + S,
    }  # fmt: skip
    if state is State.VISIBLE:
        usual |= {"first_upper_ns": at + 2 * S, "stable_upper_ns": at + 2 * S}
    return Observation(seq, 0, 0, state, at, **(usual | more))


def folded(*events: Observation, plan: ScenarioPlan | None = None) -> ScenarioSummary:
    plan = plan or ScenarioPlan("main", True, 10 * S, Counted((("consistency", 5 * S), ("end_to_end", 5 * S))))
    recorder = Recorder([plan], 0)
    recorder.expect(0, [(seen.seq, seen.intended_ns, seen.key, seen.type) for seen in events])
    recorder.settle(events)
    return recorder.summary().scenarios["main"]


def visible_and_ended(visible: int, ended: int) -> ScenarioSummary:
    states = [State.VISIBLE] * visible + [State.ENDED] * ended
    return folded(*(observed(seq, state) for seq, state in enumerate(states)))


def test_it_is_a_state_of_its_own_and_both_sums_close() -> None:
    ledger = visible_and_ended(7, 3).ledger
    assert {name: events for name, events in ledger.items() if events} == {
        "scheduled": 10, "acked": 10, "visible": 7, "ended": 3
    }  # fmt: skip


@pytest.mark.parametrize("metric", ["consistency", "first_seen", "end_to_end"])
def test_it_stays_in_every_percentile_and_is_beyond_all_of_them(metric: str) -> None:
    found = visible_and_ended(7, 3).distributions[metric]
    assert (found.count, found.censored) == (10, 3)
    assert found.bracket(Fraction(7, 10))[1] is not None
    assert found.bracket(Fraction(8, 10)) == (None, None)
    if metric != "first_seen":
        at_limit = found.thresholds[5 * S]
        assert (at_limit.within, at_limit.beyond) == (7, 3)


def test_one_that_was_seen_before_it_ended_was_first_seen_then() -> None:
    shown = {"first_upper_ns": 2 * S, "regressions": 1}
    distributions = folded(observed(0, State.ENDED, **shown), observed(1, State.ENDED)).distributions
    lower, upper = distributions["first_seen"].bracket(Fraction(1, 2))
    assert lower is not None
    assert upper is not None
    assert lower < S < upper < 2 * S
    assert distributions["first_seen"].bracket(Fraction(1)) == (None, None)
    assert distributions["consistency"].bracket(Fraction(1, 2)) == (None, None)


def test_a_probe_that_saw_it_end_has_a_view_of_it_of_its_own() -> None:
    plan = ScenarioPlan(
        "main", True, 10 * S, probes=((0, "status"), (1, "video")),
        slices=(Slice("probe=video", probe=1), Slice("probe=status", probe=0)),
    )  # fmt: skip
    status = Part(0, None, State.VISIBLE, S, 2 * S, S, 2 * S)
    video = Part(1, None, State.ENDED, S, None, S, None)
    slices = folded(observed(0, State.ENDED, parts=(status, video)), plan=plan).slices
    told = {name: (one.ledger["visible"], one.ledger["ended"]) for name, one in slices.items()}
    assert told == {"probe=status": (1, 0), "probe=video": (0, 1)}
    assert slices["probe=video"].distributions["consistency"].bracket(Fraction(1, 2)) == (None, None)
    assert slices["probe=status"].distributions["consistency"].bracket(Fraction(1, 2))[1] is not None


@pytest.mark.parametrize(
    ("text", "ended", "result"),
    [
        ("ended == 0", 0, Result.PASS), ("ended == 0", 1, Result.FAIL), ("rate(ended) <= 10%", 40, Result.PASS),
        ("rate(ended) <= 10%", 41, Result.FAIL), ("ended >= 5", 5, Result.PASS), ("lost == 0", 9, Result.PASS),
        ("rate(visible) >= 90%", 40, Result.PASS), ("rate(visible) >= 90%", 41, Result.FAIL),
        ("p95(consistency) < 5s", 60, Result.FAIL),
    ],
)  # fmt: skip
def test_objectives_ask_for_it(text: str, ended: int, result: Result) -> None:
    judged = judge(parse(text), Summary({"main": visible_and_ended(400 - ended, ended)})).result
    assert (Result.PASS if judged is Result.WARN else judged) is result


def test_what_is_not_settled_may_come_to_another_end_yet() -> None:
    scope = visible_and_ended(5, 2)
    scope.ledger["pending"] = 3
    assert (count(scope, "ended").low, count(scope, "ended").high) == (2, 5)
    assert (count(scope, "visible").low, count(scope, "visible").high) == (5, 8)


def test_a_run_of_nothing_else_was_watched_to_the_end(tmp_path: Path) -> None:
    assert count(visible_and_ended(0, 4), "lost").blind == ""
