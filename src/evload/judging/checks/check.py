"""What a self-check found, and what that makes of a run."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.report import CheckResult, Result
from ...objectives.policy import Policy


@dataclass(frozen=True, slots=True)
class Check:
    """What a self-check found. `ok` is None where it doesn't apply. Times in seconds."""

    ok: bool | None
    value: float | None = None
    limit: float | None = None
    note: str = ""


def result_of(name: str, policy: Policy, checked: Check) -> CheckResult:
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
