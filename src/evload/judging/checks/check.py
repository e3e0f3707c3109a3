"""What a self-check is, what it found, and what that makes of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...model.report import CheckResult, Result
from ...model.summary import Summary
from ...objectives.criteria import Criteria
from ...objectives.policy import Policy, SelfCheckPolicy


@dataclass(frozen=True, slots=True)
class Check:
    """What a self-check found. `ok` is None where it doesn't apply. Times in seconds."""

    ok: bool | None
    value: float | None = None
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """One self-check.

    name    as people see it
    key     in `self_checks` of a config; None: nobody can switch it off
    find    what it finds in a run
    live    whether it is cheap, and can be told while the run goes on
    failed  what a failure makes of a run under the policy `strict`
    """

    name: str
    key: str | None
    find: Callable[[Summary, Criteria], Check]
    live: bool = False
    failed: Result = Result.INVALID

    def policy(self, chosen: SelfCheckPolicy) -> Policy:
        """What a config says of it."""
        policy: Policy = "strict" if self.key is None else getattr(chosen, self.key)
        return policy

    def result(self, summary: Summary, terms: Criteria) -> CheckResult:
        """What it makes of a run."""
        policy, found = self.policy(terms.policy), self.find(summary, terms)
        note = found.note
        if policy == "off":
            result, note = Result.SKIPPED, "switched off in the config"
        elif found.ok is None:
            result = Result.SKIPPED
        elif found.ok:
            result = Result.PASS
        else:
            result = Result.WARN if policy == "warn" else self.failed
        return CheckResult(self.name, result, found.value, found.limit, note)
