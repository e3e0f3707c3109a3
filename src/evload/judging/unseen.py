"""Finds probes that never saw anything: what they say of losses and times is no evidence."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.summary import ScenarioSummary, Summary, slice_label
from ..objectives.objective import Objective, is_watched, written_name
from ..objectives.scenario import ScenarioCriteria


def unseen(summary: Summary, scenarios: Mapping[str, ScenarioCriteria], objective: Objective | None = None) -> str:
    """Why nothing can be said of what an objective, or the whole run, asks of its probes; empty if it can.

    One of them never saw any event, though events were acked: it may have looked in the wrong place.
    """
    judged = {} if objective is None else objective.judged(summary)
    for name, terms in scenarios.items():
        scenario = summary.scenarios.get(name)
        if scenario is None:
            continue
        if objective is not None and (not objective.is_of(name) or (is_watched(name) and name not in judged)):
            continue
        for probe in terms.probes:
            # The only probe of a step that waits is called as the step is, whatever probe it is a copy of.
            if objective is not None and not (objective.asks(probe) or name.endswith(f": {probe}")):
                continue
            label = slice_label(probe=written_name(probe))
            part = scenario if len(terms.probes) == 1 else scenario.slices.get(label)
            if part is not None and _is_blind(part):
                return f"{probe} never saw any of {part.ledger['acked']} events{_instead(summary, probe)}"
    return ""


def _is_blind(part: ScenarioSummary) -> bool:
    # What it saw in the warm-up shows as well that it looks in the right place.
    seen = sum(part.with_warmup(state) for state in ("visible", "ended", "regressed", "recovered"))
    return part.ledger["lost"] > 0 and seen == 0


def _instead(summary: Summary, probe: str) -> str:
    """What it was answered."""
    reads = summary.vitals.probes.get(probe)
    if reads is None or not reads.requests:
        return ": nothing arrived"
    told = [f"{count} answered {answer}" for answer, count in sorted(reads.blanks.items(), key=lambda it: -it[1])]
    if reads.failed:
        told.append(f"{reads.failed} failed")
    if not reads.failed and len(reads.blanks) == 1:
        return f": all {reads.requests} reads answered {next(iter(reads.blanks))}"
    return f": of {reads.requests} reads {', '.join(told)}" if told else ""
