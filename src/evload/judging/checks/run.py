"""The checks that a measurement has to pass before its verdict may be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.report import CheckResult
from ...model.summary import Summary
from ...objectives.policy import Policy
from .check import Check, result_of
from .generator import arrival_shape, clocks, headroom, lateness, offered_rate, steady_state
from .reading import evidence, horizon, observer_effect, resolution

if TYPE_CHECKING:
    from ...objectives.criteria import Criteria


def run(summary: Summary, terms: Criteria) -> list[CheckResult]:
    """All checks, each with its value and its limit, in the order in which they are documented.

    A failed check is INVALID under the policy `strict` and WARN under `warn`; too little evidence is INCONCLUSIVE
    instead of INVALID, because it isn't bad evidence. A check that doesn't apply or is off is SKIPPED.
    """
    policy, objectives = terms.policy, terms.objectives
    found: tuple[tuple[str, Policy, Check], ...] = (
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
        ("positive control", "strict", Check(None, note="run `evload selftest`")),
    )
    return [result_of(name, chosen, checked) for name, chosen, checked in found]


def _ledger_closes(summary: Summary) -> Check:
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
    return Check(residuals + unexpected == 0, residuals + unexpected, 0, note)
