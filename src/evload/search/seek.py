"""Searches for the ceiling: makes one trial after another, judges each, and notes it down before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

from ..judging.ceiling import judge_ceiling
from ..judging.verdict import worst
from ..ledger.reader import LedgerReader
from ..model.ceiling import Bounds, Ceiling, End, Outcome, Trial
from ..model.report import Report, Result
from ..objectives.ceiling import CeilingObjective
from ..report.build import build_again
from ..run.directory import RunDirectory
from ..run.session import InterruptedEarlyError
from . import bisection
from .bisection import Next, Plan, Tried
from .directory import SearchDirectory
from .document import as_json
from .trial import blind, judge_trial

_BY_END: Final = {
    End.INTERVAL: Result.PASS,
    End.ASKED: Result.PASS,
    End.GENERATOR: Result.INCONCLUSIVE,
    End.OPEN: Result.INCONCLUSIVE,
    End.NONE: Result.FAIL,
    End.UNFINISHED: Result.INCONCLUSIVE,
}
"""The verdict where nothing is asked of the ceiling."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for.

    config      a digest of the config
    length_ns   how long the events of a trial are judged, before it is made longer
    objectives  what is asked of the ceiling of this scenario; `not_asked`: of another one
    of_journeys the scenario makes journeys, and the rates are those of their iterations
    """

    name: str
    scenario: str
    started_at: datetime
    plan: Plan
    length_ns: int
    config: str
    objectives: Sequence[CeilingObjective] = ()
    not_asked: Sequence[str] = ()
    of_journeys: bool = False


class Trials(Protocol):
    """Makes runs at a rate."""

    def __call__(self, rate: Fraction, length_ns: int, directory: Path, warmup_ns: int) -> Report:
        """The report of a run in a new directory, in which its ledger is. It warms up for so long at least, and is
        judged for `length_ns` after that. Raises EvloadError."""
        ...


Pause = Callable[[Trial, Next], None]
"""Lets the system come to rest after a trial, before the next. Raises EvloadError if it doesn't."""


class Looking(Protocol):
    """Somebody who is told how the search goes."""

    def begins(self, number: int, following: Next, length_ns: int) -> None:
        """A trial begins."""
        ...

    def over(self, trial: Trial) -> None:
        """It came to this."""
        ...

    def cut_off(self, number: int, aside: str) -> None:
        """It is made again: the one before was killed. What that has left is in this directory now."""
        ...


def seek(
    question: Question,
    directory: SearchDirectory,
    made: Sequence[Trial],
    trials: Trials,
    *,
    pause: Pause,
    looking: Looking,
) -> Ceiling:
    """Search to the end, from these trials on. Of a search that was interrupted `end` is UNFINISHED.

    Raises EvloadError where a trial can't be made; what is known by then is in the notes.
    """
    done = list(made)
    note = ""

    def told(bounds: Bounds) -> Ceiling:
        ceiling = _ceiling(question, bounds, done, note)
        directory.write(directory.notes, as_json(ceiling, question.config))
        return ceiling

    while True:
        tried = [Tried(one.rate, one.doublings, one.outcome) for one in done]
        following = bisection.step(question.plan, tried)
        if isinstance(following, Bounds):
            return told(following)
        known = told(bisection.so_far(question.plan, tried))
        number, length_ns = len(done) + 1, question.length_ns << following.doublings
        name = directory.name_of(number)
        finished = directory.finished(name)
        report = None if finished is None else _again(finished, following.rate)
        if report is None:
            if directory.cut_off(name):
                looking.cut_off(number, directory.set_aside(name))
            try:
                if done:
                    pause(done[-1], following)
                looking.begins(number, following, length_ns)
                report = trials(following.rate, length_ns, directory.path / name, _usual_ns(done))
            except (InterruptedEarlyError, KeyboardInterrupt):
                return known
        if report.summary.vitals.interrupted:
            return known
        with LedgerReader(directory.path / name / "events.sqlite") as ledger:
            judged = judge_trial(report, ledger, question.scenario, following.rate)
            unseen = "" if any(one.outcome is Outcome.GOOD for one in done) else blind(report, ledger)
        trial = Trial(number, following.rate, length_ns, following.doublings, name, judged, following.confirms)
        done.append(trial)
        looking.over(trial)
        if unseen:
            # No rate will change that, and a backlog of all events is none of the system's.
            note = f"{unseen}; see why: evload try"
            done[-1] = replace(trial, judged=replace(judged, outcome=Outcome.UNDECIDED, reasons=(unseen,)))
            return told(Bounds(End.NONE))


def _usual_ns(done: Sequence[Trial]) -> int:
    """How long iterations take, as far as these trials know: for so long the next one has to fill up."""
    return max((one.judged.usual_ns or 0 for one in done), default=0)


def _again(run: RunDirectory, rate: Fraction) -> Report | None:
    """The report of a trial that was over before anybody noted it; None if it has to be made again."""
    with LedgerReader(run.ledger) as ledger:
        report = build_again(ledger, run.path)
        rates = [one for plan in ledger.meta["terms"]["scenarios"].values() for one in plan["rates"]]
    usable = rates and all(abs(one[2] - float(rate)) < 1e-6 * float(rate) for one in rates)
    cut_short = report.summary.vitals.interrupted or report.summary.vitals.crashed
    return report if usable and not cut_short else None


def _ceiling(question: Question, bounds: Bounds, done: Sequence[Trial], note: str) -> Ceiling:
    objectives = [judge_ceiling(one, bounds) for one in question.objectives]
    verdict = worst([one.result for one in objectives] or [_BY_END[bounds.end]])
    if not objectives and bounds.end is End.NONE and bounds.bad is None:
        verdict = Result.INCONCLUSIVE
    return Ceiling(
        question.name, question.scenario, question.started_at, question.plan.first, question.plan.last,
        question.plan.precision, question.length_ns, bounds, tuple(done), verdict, objectives, question.not_asked,
        note, question.of_journeys,
    )  # fmt: skip
