"""Looks at a run while it goes on: whether an objective is past keeping, and which self-checks begin to fail."""

from __future__ import annotations

from ..summary import Result, Summary
from . import selfcheck
from .abort import reason_to_abort
from .objective import GaugeValues
from .terms import Terms
from .watching import Watches


class Vigil:
    """The gate's view of a run that hasn't ended. `gauges` has the names of each gauge's values."""

    def __init__(self, terms: Terms, gauges: GaugeValues) -> None:
        self._terms = terms
        self.watches = Watches(terms.objectives, terms.scenarios, gauges)

    def hopeless(self, summary: Summary, offset_ns: int) -> tuple[str, str] | None:
        """The title of an objective that may end the run and can't be kept any more, and why; None: go on."""
        found = reason_to_abort(self._terms.objectives, summary, offset_ns, self._terms.scenarios)
        return None if found is None else (found[0].title, found[1])

    def worries(self, summary: Summary) -> list[str]:
        """The self-checks that would fail if the run ended now, each with its figures."""
        checks = selfcheck.run(summary, self._terms)
        return [f"{check.name}: {check.note}" for check in checks if check.result in (Result.INVALID, Result.WARN)]
