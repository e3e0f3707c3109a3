"""Looks at a run while it goes on: whether an objective is past keeping, and which self-checks begin to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..model.phases import Ending
from ..model.progress import Standing
from ..model.summary import Summary
from ..objectives.criteria import Criteria
from ..objectives.objective import GaugeValues
from ..tracking.outstanding import Moment
from . import standings
from .abort import prepare, reason_to_abort
from .checks.run import SELF_CHECKS
from .gauge_watches import GaugeWatches


class LiveChecks:
    """The gate's view of a run that hasn't ended. `gauges` has the names of each gauge's values, `redact` takes
    secrets out of what is shown of the objectives."""

    def __init__(self, terms: Criteria, gauges: GaugeValues, redact: Callable[[str], str] = str) -> None:
        self._planned = self._terms = terms
        self._redact = redact
        prepare(terms.objectives)
        self._standings: dict[int, Standing] = {}
        self._turn = 0
        self.watches = GaugeWatches(terms.objectives, terms.scenarios, gauges)

    def ended(self, endings: Sequence[Ending]) -> None:
        """Phases of the load ended early: all that did so far."""
        before, self._terms = self._terms, self._planned.as_it_went(endings)
        moved = {name: one for name, one in self._terms.scenarios.items() if one != before.scenarios[name]}
        self.watches.moved(moved)

    def prepare_standings(self) -> None:
        """Load what `standings` needs. To be called before a run that somebody watches: it takes half a second."""
        standings.prepare(self._terms.objectives)

    def hopeless(self, summary: Summary, offset_ns: int) -> tuple[str, str] | None:
        """The title of an objective that may end the run and can't be kept any more, and why; None: go on."""
        found = reason_to_abort(self._terms.objectives, summary, offset_ns, self._terms.scenarios)
        return None if found is None else (found[0].title, found[1])

    def standings(self, summary: Summary, offset_ns: int, acked: Moment) -> list[Standing]:
        """How each objective stands. Of those about several scenarios, which have to be added up first, one is looked
        at each time: the load waits meanwhile."""
        several = [place for place, one in enumerate(self._terms.objectives) if len(one.pieces(summary)) > 1]
        self._turn += 1
        waiting = [place for place in several if place != several[self._turn % len(several)]]
        for place, objective in enumerate(self._terms.objectives):
            if place not in waiting:
                found = standings.standing(objective, summary, offset_ns, self._terms.scenarios, acked)
                self._standings[place] = self._shown(found)
        return [self._standings[place] for place in sorted(self._standings)]

    def _shown(self, standing: Standing) -> Standing:
        result, redact = standing.result, self._redact
        shown = replace(
            result, expression=redact(result.expression), scope=redact(result.scope), note=redact(result.note)
        )
        return standing._replace(result=shown, note=redact(standing.note))

    def worries(self, summary: Summary) -> list[str]:
        """The self-checks that begin to fail, each with its figures: those that are cheap and can be told by now."""
        found = [
            (check.name, check.live(summary, self._terms))
            for check in SELF_CHECKS
            if check.live and check.policy(self._terms.policy) != "off"
        ]
        return [f"{name}: {check.note}" for name, check in found if check.ok is False]
