"""What a self-check is, what it found, which results that could have changed, and what it makes of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...model.report import CheckResult, ObjectiveResult, Result
from ...model.summary import Summary
from ...objectives.criteria import Criteria
from ...objectives.objective import Objective
from ...objectives.policy import Policy, SelfCheckPolicy

GOOD = (Result.PASS, Result.WARN)


class Judged(NamedTuple):
    """An objective and what it came to."""

    objective: Objective
    result: ObjectiveResult

    @property
    def holds(self) -> bool:
        """Passed, if only just."""
        return self.result.result in GOOD

    @property
    def failed(self) -> bool:
        """Broken, and not by something that was seen to happen: that stands whatever else went wrong."""
        return self.result.result is Result.FAIL and not self.result.witnessed


Spoils = Callable[[Judged], bool]


def nothing(_: Judged) -> bool:
    """What it found could have changed no result."""
    return False


def everything(_: Judged) -> bool:
    """What it found could have changed every result."""
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """What a self-check found. `ok` is None where it doesn't apply. Times in seconds.

    spoils  whether what a failed one found could have changed a result, in the direction in which it could
    """

    ok: bool | None
    value: float | None = None
    limit: float | None = None
    note: str = ""
    spoils: Spoils = nothing


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """One self-check.

    name    as people see it
    key     in `self_checks` of a config; None: nobody can switch it off
    find    what it finds in a run whose objectives came to this
    live    the same while the run goes on and nothing is judged yet; None: it isn't cheap, or can't be told by then
    failed  what a failure makes of a run under the policy `strict`, if it could have changed a result
    """

    name: str
    key: str | None
    find: Callable[[Summary, Criteria, Sequence[Judged]], Check]
    live: Callable[[Summary, Criteria], Check] | None = None
    failed: Result = Result.INVALID

    def policy(self, chosen: SelfCheckPolicy) -> Policy:
        """What a config says of it."""
        policy: Policy = "strict" if self.key is None else getattr(chosen, self.key)
        return policy

    def settle(
        self, summary: Summary, terms: Criteria, judged: Sequence[Judged]
    ) -> tuple[CheckResult, Sequence[Judged]]:
        """What it makes of a run, and the results with those that it spoilt INVALID.

        Where what a failed check found could have changed no result, it is a warning.
        """
        policy, found = self.policy(terms.policy), self.find(summary, terms, judged)
        note = found.note
        if policy == "off":
            result, note = Result.SKIPPED, "switched off in the config"
        elif found.ok is None:
            result = Result.SKIPPED
        elif found.ok:
            result = Result.PASS
        elif policy == "warn":
            result = Result.WARN
        elif self.failed is not Result.INVALID:
            result = self.failed
        elif found.spoils is everything or any(found.spoils(one) for one in judged):
            result = Result.INVALID
            judged = [_spoilt(one, self.name) if found.spoils(one) else one for one in judged]
        else:
            result = Result.WARN
            note = f"{note}; it could have changed no result" if judged else note
        return CheckResult(self.name, result, found.value, found.limit, note), judged


def _spoilt(one: Judged, check: str) -> Judged:
    was = one.result
    if was.result is Result.INVALID:
        return one._replace(result=replace(was, note=f"{was.note}, {check}"))
    note = f"{was.result}, which could be otherwise but for: {check}"
    return one._replace(result=replace(was, result=Result.INVALID, note=note))
