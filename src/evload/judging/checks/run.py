"""The checks that a measurement has to pass before its verdict may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...model.report import CheckResult, ObjectiveResult, Result
from ...model.summary import Summary
from ...objectives.criteria import Criteria
from .check import Check, Judged, SelfCheck
from .generator import arrival_shape, clocks, headroom, late_sends, lateness, load_as_scheduled, steady_state
from .ledger import ledger_closes
from .reading import attribution, evidence, horizon, observer_effect, resolution

SELF_CHECKS: Final = (
    SelfCheck("ledger closes", "ledger", lambda run, *_: ledger_closes(run)),
    SelfCheck("load as scheduled", "offered_rate", lambda run, *_: load_as_scheduled(run)),
    SelfCheck("lateness", "lateness", lateness, live=lambda run, terms: late_sends(run, terms.objectives)),
    SelfCheck("arrival shape", "arrival_shape", lambda run, terms, _: arrival_shape(run, terms.scenarios)),
    SelfCheck("headroom", "headroom", lambda run, *_: headroom(run), live=lambda run, _: headroom(run)),
    SelfCheck("resolution", "resolution", lambda run, terms, _: resolution(run, terms.objectives)),
    SelfCheck(
        "observer effect",
        "observer_effect",
        lambda run, terms, _: observer_effect(run, terms.max_reads),
        live=lambda run, terms: observer_effect(run, terms.max_reads),
    ),
    SelfCheck("steady state", "steady_state", lambda run, terms, _: steady_state(run, terms.scenarios)),
    # Too little evidence isn't bad evidence.
    SelfCheck(
        "evidence", "evidence", lambda run, terms, _: evidence(run, terms.objectives), failed=Result.INCONCLUSIVE
    ),
    SelfCheck("horizon", "horizon", lambda run, terms, _: horizon(run, terms.deadlines_ns)),
    SelfCheck("clocks", "clocks", lambda run, *_: clocks(run), live=lambda run, _: clocks(run)),
    SelfCheck("positive control", None, lambda *_: Check(None, note="run `evload selftest`")),
    SelfCheck(
        "attribution",
        "attribution",
        lambda run, terms, _: attribution(run, terms.scenarios),
        live=lambda run, terms: attribution(run, terms.scenarios),
    ),
)
"""In the order in which they are documented and shown. One more is a row here and its function.

Where a config may have a say, it is a key of `SelfCheckPolicy` too.
"""


def run(
    summary: Summary, terms: Criteria, results: Sequence[ObjectiveResult] = ()
) -> tuple[list[CheckResult], list[ObjectiveResult]]:
    """All checks, each with its value and its limit; and `results`, which are those of the objectives in their order,
    with those INVALID that a failed check could have changed.
    """
    judged: Sequence[Judged] = [Judged(*pair) for pair in zip(terms.objectives, results, strict=False)]
    checks = []
    for check in SELF_CHECKS:
        told, judged = check.settle(summary, terms, judged)
        checks.append(told)
    return checks, [one.result for one in judged]
