"""The checks that a measurement has to pass before its verdict may be believed."""

from __future__ import annotations

from typing import Final

from ...model.report import CheckResult, Result
from ...model.summary import Summary
from ...objectives.criteria import Criteria
from .check import Check, SelfCheck
from .generator import arrival_shape, clocks, headroom, lateness, offered_rate, steady_state
from .ledger import ledger_closes
from .reading import evidence, horizon, observer_effect, resolution

SELF_CHECKS: Final = (
    SelfCheck("ledger closes", "ledger", lambda run, _: ledger_closes(run)),
    SelfCheck("offered rate", "offered_rate", lambda run, _: offered_rate(run)),
    SelfCheck("lateness", "lateness", lambda run, terms: lateness(run, terms.objectives), live=True),
    SelfCheck("arrival shape", "arrival_shape", lambda run, terms: arrival_shape(run, terms.scenarios)),
    SelfCheck("headroom", "headroom", lambda run, _: headroom(run), live=True),
    SelfCheck("resolution", "resolution", lambda run, terms: resolution(run, terms.objectives)),
    SelfCheck(
        "observer effect", "observer_effect", lambda run, terms: observer_effect(run, terms.max_reads), live=True
    ),
    SelfCheck("steady state", "steady_state", lambda run, terms: steady_state(run, terms.scenarios)),
    # Too little evidence isn't bad evidence.
    SelfCheck("evidence", "evidence", lambda run, terms: evidence(run, terms.objectives), failed=Result.INCONCLUSIVE),
    SelfCheck("horizon", "horizon", lambda run, terms: horizon(run, terms.objectives, terms.deadlines_ns)),
    SelfCheck("clocks", "clocks", lambda run, _: clocks(run), live=True),
    SelfCheck("positive control", None, lambda *_: Check(None, note="run `evload selftest`")),
)
"""In the order in which they are documented and shown. One more is a row here and its function.

Where a config may have a say, it is a key of `SelfCheckPolicy` too.
"""


def run(summary: Summary, terms: Criteria) -> list[CheckResult]:
    """All checks, each with its value and its limit.

    A failed check is INVALID under the policy `strict`, or what else its row says, and WARN under `warn`. A check
    that doesn't apply or is off is SKIPPED.
    """
    return [check.result(summary, terms) for check in SELF_CHECKS]
