"""The checks that a measurement has to pass before its verdict may be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..summary import CheckResult, Result, Summary
from .generator_checks import arrival_shape, clocks, headroom, lateness, offered_rate, steady_state
from .judgement import Checked
from .reading_checks import evidence, horizon, observer_effect, resolution

if TYPE_CHECKING:
    from .terms import Terms

Policy = Literal["strict", "warn", "off"]


class SelfCheckPolicy(BaseModel):
    """What a failed check does: make the run invalid (strict), warn, or nothing because it is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ledger: Annotated[Policy, Field(description="the sums close and no unexpected id was answered")] = "strict"
    offered_rate: Annotated[Policy, Field(description="sent within 1 % of the schedule in every window")] = "strict"
    lateness: Annotated[Policy, Field(description="sends are late by 1 % of the tightest objective at most")] = (
        "strict"
    )
    arrival_shape: Annotated[Policy, Field(description="random arrivals scatter as those of a Poisson process")] = (
        "strict"
    )
    headroom: Annotated[Policy, Field(description="the generator's CPU and event loop are not the limit")] = "strict"
    resolution: Annotated[Policy, Field(description="few events can't be told to be within a limit or not")] = (
        "strict"
    )
    observer_effect: Annotated[Policy, Field(description="reads stay within max_reads and hardly any fails")] = (
        "strict"
    )
    steady_state: Annotated[Policy, Field(description="where it is claimed, what is in flight doesn't grow")] = (
        "strict"
    )
    evidence: Annotated[Policy, Field(description="enough events to decide the objectives")] = "strict"
    horizon: Annotated[Policy, Field(description="probes look long enough to call an event lost")] = "strict"
    clocks: Annotated[Policy, Field(description="the clocks agree, and stamps don't contradict one another")] = (
        "strict"
    )


def run(summary: Summary, terms: Terms) -> list[CheckResult]:
    """All checks, each with its value and its limit, in the order in which they are documented.

    A failed check is INVALID under the policy `strict` and WARN under `warn`; too little evidence is INCONCLUSIVE
    instead of INVALID, because it isn't bad evidence. A check that doesn't apply or is off is SKIPPED.
    """
    policy, objectives = terms.policy, terms.objectives
    found: tuple[tuple[str, Policy, Checked], ...] = (
        ("ledger closes", policy.ledger, _ledger_closes(summary)),
        ("offered rate", policy.offered_rate, offered_rate(summary)),
        ("lateness", policy.lateness, lateness(summary, objectives)),
        ("arrival shape", policy.arrival_shape, arrival_shape(summary, terms.scenarios)),
        ("headroom", policy.headroom, headroom(summary)),
        ("resolution", policy.resolution, resolution(summary, objectives)),
        ("observer effect", policy.observer_effect, observer_effect(summary, terms.max_reads)),
        ("steady state", policy.steady_state, steady_state(summary, terms.scenarios)),
        ("evidence", policy.evidence, evidence(summary, objectives)),
        ("horizon", policy.horizon, horizon(summary, objectives, terms.deadlines_ns)),
        ("clocks", policy.clocks, clocks(summary)),
        ("positive control", "strict", Checked(None, note="run `evload selftest`")),
    )
    return [_result(name, chosen, checked) for name, chosen, checked in found]


def _result(name: str, policy: Policy, checked: Checked) -> CheckResult:
    note = checked.note
    if policy == "off":
        result, note = Result.SKIPPED, "switched off in the config"
    elif checked.ok is None:
        result = Result.SKIPPED
    elif checked.ok:
        result = Result.PASS
    elif policy == "warn":
        result = Result.WARN
    else:
        result = Result.INCONCLUSIVE if name == "evidence" else Result.INVALID
    return CheckResult(name, result, checked.value, checked.limit, note)


def _ledger_closes(summary: Summary) -> Checked:
    residuals = 0
    for scenario in summary.scenarios.values():
        has = scenario.ledger
        unanswered = ("unsent", "acked", "rejected", "returned", "in_doubt")
        residuals += abs(has["scheduled"] - sum(has[state] for state in unanswered))
        settled = ("visible", "lost", "regressed", "pending", "unobserved")
        residuals += abs(has["acked"] - sum(has[state] for state in settled))
    unexpected = summary.vitals.unexpected_ids
    parts = ((residuals, "events missing from the sums"), (unexpected, "unexpected ids in answers"))
    note = ", ".join(f"{count} {what}" for count, what in parts if count)
    return Checked(residuals + unexpected == 0, residuals + unexpected, 0, note)
