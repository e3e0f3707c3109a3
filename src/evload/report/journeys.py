"""What became of journeys: how many iterations were due, how far they came, where and why the others ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..model.iteration import JOURNEY, SUMS
from ..model.summary import Distribution, ScenarioSummary, Summary

_OK, _REFUSED, _FAILED = 1, 2, 3
"""Values of the fact `answer`."""
ENDED_AT: Final[Mapping[str, str]] = {"failed_at": "failed", "refused_at": "refused", "cut_off_at": "cut off"}
"""Under which names a summary has the steps at which iterations ended, and how they did."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that sends something, or waits for something.

    name     within its journey
    reached  how often it was sent; the rest are its answers, as the journey takes them
    metric   what its time is: from sending to the answer, or until it was seen
    ended    (how, number) of the iterations that ended at it
    per_s    how often it was sent in a second, on average; None: all at once
    again    (how many of them were sent once more, how often in all) after an answer that says so
    """

    name: str
    reached: int
    ok: int
    refused: int
    failed: int
    metric: str
    times: Distribution | None
    ended: Sequence[tuple[str, int]]
    per_s: float | None
    again: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Funnel:
    """The iterations of a journey in one scenario.

    counts   as in a summary: scheduled, started, completed, refused, failed, cut_off, unsent, starved
    times    from when they were due until their last step was done
    reasons  (why iterations ended, number), the most frequent first
    checks   (name, number of iterations that didn't pass it), the most frequent first
    """

    scenario: str
    journey: str
    counts: Mapping[str, int]
    times: Distribution | None
    per_s: float | None
    steps: Sequence[Step]
    reasons: Sequence[tuple[str, int]]
    checks: Sequence[tuple[str, int]]

    @property
    def sums(self) -> list[str]:
        """Both sums in words: `1,000 due = 990 started + 10 unsent`."""
        return [_sum(self.counts, whole, parts) for whole, parts in SUMS.items()]

    @property
    def sent_again(self) -> list[str]:
        """Of each step of which some were, in words: `pay: 3 sent again, 5 times in all`."""
        return [
            f"{step.name}: {step.again[0]:,} sent again, {step.again[1]:,} times in all"
            for step in self.steps
            if step.again[0]
        ]

    @property
    def completed(self) -> float | None:
        """The share of those that were due that completed; None where none was due."""
        due = self.counts["scheduled"]
        return self.counts["completed"] / due if due else None


def funnels(summary: Summary) -> list[Funnel]:
    """Those of all scenarios, in their order."""
    return [
        _funnel(summary, name, scenario, journey, told)
        for name, scenario in summary.scenarios.items()
        for journey, told in scenario.journeys().items()
    ]


def _funnel(summary: Summary, scenario: str, whole: ScenarioSummary, journey: str, told: ScenarioSummary) -> Funnel:
    ended: dict[str, list[tuple[str, int]]] = {}
    for name, how in ENDED_AT.items():
        for step, count in told.tallies.get(name, {}).items():
            ended.setdefault(step, []).append((how, count))
    found = dict(_events_of(summary, scenario, whole, journey))
    longer = [other for other in whole.journeys() if other.startswith(f"{journey}.")]
    own = [
        (name, part)
        for name, part in found.items()
        if not any(f"{journey}.{name}".startswith(f"{other}.") for other in longer)
    ]
    times = told.distributions.get(JOURNEY)
    return Funnel(
        scenario,
        journey,
        told.ledger,
        times if times is not None and times.count else None,
        _per_s(told),
        [_step(name, part, ended.get(name, ())) for name, part in own],
        _most_first(told.tallies.get("reasons", {})),
        _most_first(told.tallies.get("checks", {})),
    )


def _events_of(
    summary: Summary, scenario: str, whole: ScenarioSummary, journey: str
) -> list[tuple[str, ScenarioSummary]]:
    """What is known of the events of each step, in the order of the journey. Those that wait are scenarios of their
    own, and so is what is followed of a step, which is no step itself."""
    sent, waited = f"event={journey}.", f"{scenario}: {journey}."
    found = [
        (label.removeprefix(sent), part)
        for label, part in whole.slices.items()
        if label.startswith(sent) and "," not in label
    ]
    sending = {name for name, _ in found}
    found += [
        (step, part)
        for name, part in summary.scenarios.items()
        if name.startswith(waited) and (step := name.removeprefix(waited)) not in sending
    ]
    places = {step: place for place, step in enumerate(whole.steps)}
    return sorted(found, key=lambda one: places.get(f"{journey}.{one[0]}", len(places)))


def _step(name: str, part: ScenarioSummary, ended: Sequence[tuple[str, int]]) -> Step:
    ledger, answers = part.ledger, part.tallies.get("answer")
    appeared, gone = part.tallies.get("appeared"), part.tallies.get("gone")
    reached = ledger["scheduled"] - ledger["unsent"]
    metric = "publish" if answers is not None or not ledger["visible"] + ledger["lost"] else "first_seen"
    if appeared is not None:
        metric = "first_seen"
        counts = (appeared.get(0, 0), 0, appeared.get(1, 0) + appeared.get(2, 0) - ledger["pending"])
    elif gone is not None:
        metric = "first_seen"
        counts = (gone.get(1, 0), 0, gone.get(0, 0) + gone.get(2, 0) - ledger["pending"])
    elif answers is None:
        ok = ledger["visible"] + ledger["regressed"]  # what is shown once makes the iteration go on
        counts = (ok, 0, ledger["lost"] + ledger["ended"] + ledger["unobserved"] + ledger["in_doubt"])
    else:
        counts = (answers.get(_OK, 0), answers.get(_REFUSED, 0), answers.get(_FAILED, 0))
    times, retried = part.distributions.get(metric), part.tallies.get("retried", {})
    again = (sum(retried.values()), sum(times * events for times, events in retried.items()))
    known = times if times is not None and times.count else None
    return Step(name, reached, *counts, metric, known, ended, _per_s(part), again)


def _per_s(part: ScenarioSummary) -> float | None:
    """How many were due in a second, on average."""
    first, last, count = part.first_intended_ns, part.last_intended_ns, part.ledger["scheduled"]
    if first is None or last is None or last <= first:
        return None
    return (count - 1) * 1e9 / (last - first)


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _sum(counts: Mapping[str, int], whole: str, parts: Iterable[str]) -> str:
    terms = [f"{counts[part]:,} {part.replace('_', ' ')}" for part in parts if counts[part]]
    return f"{counts[whole]:,} {'due' if whole == 'scheduled' else whole} = {' + '.join(terms) or '0'}"
