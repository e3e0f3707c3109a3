"""Looks at a run while it goes on: whether an objective is past keeping, and which self-checks begin to fail."""

from __future__ import annotations

from ..model.summary import Summary
from ..objectives.criteria import Criteria
from ..objectives.objective import GaugeValues
from .abort import prepare, reason_to_abort
from .checks.generator import clocks, headroom, lateness
from .checks.reading import observer_effect
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
        terms, policy = self._terms, self._terms.policy
        checks = (
            ("lateness", policy.lateness, lateness(summary, terms.objectives)),
            ("headroom", policy.headroom, headroom(summary)),
            ("observer effect", policy.observer_effect, observer_effect(summary, terms.max_reads)),
            ("clocks", policy.clocks, clocks(summary)),
        )
        return [f"{name}: {check.note}" for name, chosen, check in checks if check.ok is False and chosen != "off"]
