"""Looks at a run while it goes on: whether an objective is past keeping, and which self-checks begin to fail."""

from __future__ import annotations

from ..model.summary import Summary
from ..objectives.criteria import Criteria
from ..objectives.objective import GaugeValues
from .abort import prepare, reason_to_abort
from .checks.run import SELF_CHECKS
from .gauge_watches import GaugeWatches


class LiveChecks:
    """The gate's view of a run that hasn't ended. `gauges` has the names of each gauge's values."""

    def __init__(self, terms: Criteria, gauges: GaugeValues) -> None:
        self._terms = terms
        prepare(terms.objectives)
        self.watches = GaugeWatches(terms.objectives, terms.scenarios, gauges)

    def hopeless(self, summary: Summary, offset_ns: int) -> tuple[str, str] | None:
        """The title of an objective that may end the run and can't be kept any more, and why; None: go on."""
        found = reason_to_abort(self._terms.objectives, summary, offset_ns, self._terms.scenarios)
        return None if found is None else (found[0].title, found[1])

    def worries(self, summary: Summary) -> list[str]:
        """The self-checks that begin to fail, each with its figures: those that are cheap and can be told by now."""
        live = [check for check in SELF_CHECKS if check.live and check.policy(self._terms.policy) != "off"]
        found = [(check.name, check.find(summary, self._terms)) for check in live]
        return [f"{name}: {check.note}" for name, check in found if check.ok is False]
