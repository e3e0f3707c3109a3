"""Verdicts on the events that have a tag, where no answer told of some others whether they have it."""

from __future__ import annotations

import pytest

from evload.judging.judge import judge
from evload.judging.live_checks import LiveChecks
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import ScenarioSummary, Summary
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.tracking.outstanding import NOTHING
from tests.rigs.summaries import S, good_and_bad, run_of, scenario


def sliced(cold: ScenarioSummary, unknown: ScenarioSummary | None, tag: str = "cold") -> Summary:
    """A run of events of which some were cold, and of some nobody knows."""
    whole = scenario(visible=5_000)
    whole.slices = {f"tag={tag}": cold} | ({} if unknown is None else {f"tag={tag}?": unknown})
    return run_of(whole, scenario(visible=10))


def judged(text: str, cold: ScenarioSummary, unknown: ScenarioSummary | None) -> ObjectiveResult:
    return judge(parse(text, tag="cold"), sliced(cold, unknown))


def lost(count: int, of: int) -> ScenarioSummary:
    return scenario(visible=of - count, lost=count)


OTHERWISE = "no answer says of 1,500 events whether they are cold, and with them this is otherwise"


@pytest.mark.parametrize(
    ("text", "cold", "unknown", "result", "observed", "note"),
    [
        ("lost == 0", lost(0, 10), None, Result.PASS, 0, ""),
        ("lost == 0", lost(0, 10), lost(0, 1500), Result.PASS, 0, ""),
        ("lost == 0", lost(0, 10), lost(2, 1500), Result.INCONCLUSIVE, 0, OTHERWISE),
        ("lost == 0", lost(1, 10), lost(0, 1500), Result.FAIL, 1, ""),
        ("lost == 0", lost(1, 10), lost(3, 1500), Result.FAIL, 1, ""),
        ("visible >= 100", lost(0, 10), lost(0, 1500), Result.INCONCLUSIVE, 10, OTHERWISE),
        # Close to the limit only with them, or only without.
        ("lost < 11", lost(0, 10), lost(10, 1500), Result.WARN, 10, "above 90 % of the limit"),
        ("rate(lost) < 10%", lost(95, 1000), lost(0, 1500), Result.WARN, 0.095, "above 90 % of the limit"),
        ("rate(lost) < 10%", lost(10, 1000), lost(15, 1500), Result.PASS, 0.01, ""),
        ("rate(lost) < 10%", lost(120, 1000), lost(0, 1500), Result.INCONCLUSIVE, 0.12, OTHERWISE),
    ],
)
def test_it_has_to_come_out_alike_whether_they_have_it_or_not(
    text: str, cold: ScenarioSummary, unknown: ScenarioSummary | None, result: Result, observed: float, note: str
) -> None:
    found = judged(text, cold, unknown)
    assert (found.result, found.observed, found.note) == (result, (observed, observed), note)


def test_what_may_be_otherwise_was_not_seen_to_be_violated() -> None:
    assert judged("lost == 0", lost(1, 10), None).witnessed
    assert judged("lost == 0", lost(1, 10), lost(1, 1500)).witnessed
    assert not judged("rate(lost) < 10%", lost(120, 1000), lost(0, 1500)).witnessed


def test_what_can_not_be_told_of_those_that_have_it_stays_that() -> None:
    few = scenario({"consistency": good_and_bad(20, 0, 2 * S)}, visible=20)
    many = scenario({"consistency": good_and_bad(1480, 20, 2 * S)}, visible=1500)
    alone = judged("p99(consistency) < 2s", few, None)
    assert judged("p99(consistency) < 2s", few, many) == alone
    assert alone.result is Result.INCONCLUSIVE


def test_a_secret_among_what_an_objective_is_about_is_told_nobody() -> None:
    objective = parse("lost == 0", tag="hunter2")
    live = LiveChecks(Criteria([objective], SelfCheckPolicy(), {}), {}, lambda text: text.replace("hunter2", "***"))
    (standing,) = live.standings(sliced(lost(0, 10), lost(2, 1500), "hunter2"), 10 * S, NOTHING)
    assert standing.result.scope == "tag=***"
    assert standing.note == standing.result.note == OTHERWISE.replace("cold", "***")
