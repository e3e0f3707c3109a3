"""Sound runs for the tests of self-checks, and what the checks say of them."""

from __future__ import annotations

from typing import Any

from evload.judging.checks.run import run
from evload.judging.judge import judge
from evload.model.report import CheckResult, Result
from evload.model.summary import ScenarioSummary, Summary
from evload.model.vitals import Vitals
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.objective import Objective
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from tests.rigs.summaries import MS, S, distribution, good_and_bad, run_of, scenario

NAMES = (
    "ledger closes", "load as scheduled", "lateness", "arrival shape", "headroom", "resolution", "observer effect",
    "steady state", "evidence", "horizon", "clocks", "positive control", "attribution",
)  # fmt: skip
OBJECTIVES = ("p99(consistency) < 2s", "share(end_to_end < 5s) >= 95%", "lost == 0")
DEADLINES = {"read-model": 15 * S}


def sound() -> ScenarioSummary:
    """1,000 events sent 1 ms late, consistent in 1 s."""
    one = scenario(
        {
            "schedule_delay": distribution([(MS, MS)] * 1000),
            "consistency": good_and_bad(1000, 0, 2 * S),
            "end_to_end": good_and_bad(1000, 0, 5 * S),
        },
        visible=1000,
    )
    one.phases = {(0, 20 * S): [1000, 0, 0]}
    return one


def checked(
    *scenarios: ScenarioSummary,
    vitals: Vitals | None = None,
    objectives: tuple[str, ...] = OBJECTIVES,
    deadlines: dict[str, int] | None = None,
    spans: dict[str, ScenarioCriteria] | None = None,
    max_reads: dict[str, float | None] | None = None,
    negative_hops: int = 0,
    **policy: Any,
) -> dict[str, CheckResult]:
    """All checks of a run of these scenarios, by name."""
    summary = run_of(*scenarios, vitals=sound_vitals() if vitals is None else vitals)
    summary.negative_hops = negative_hops
    terms = Criteria(
        [parse(text) for text in objectives],
        SelfCheckPolicy(**policy),
        DEADLINES if deadlines is None else deadlines,
        spans or {},
        max_reads or {},
    )
    checks, _ = run(summary, terms, [judge(objective, summary) for objective in terms.objectives])
    assert tuple(check.name for check in checks) == NAMES
    return {check.name: check for check in checks}


def sound_vitals(**given: Any) -> Vitals:
    """Of a generator at ease, but for what is given."""
    sound: dict[str, Any] = {"cpu_share": 0.3, "longest_stall_ns": 5 * MS, "wall_drift_ns": MS}
    return Vitals(**sound | given)


def failed(checks: dict[str, CheckResult]) -> set[str]:
    """Names of those that neither passed nor were skipped."""
    return {name for name, check in checks.items() if check.result not in (Result.PASS, Result.SKIPPED)}


def check_of(name: str, summary: Summary, objectives: list[Objective]) -> CheckResult:
    """One check of a run, with objectives of its own."""
    checks, _ = run(
        summary,
        Criteria(objectives, SelfCheckPolicy(), DEADLINES),
        [judge(objective, summary) for objective in objectives],
    )
    return next(check for check in checks if check.name == name)
