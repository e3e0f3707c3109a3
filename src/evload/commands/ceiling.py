"""Looks for the highest rate that a system sustains: `evload ceiling`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console
from rich.text import Text

from ..clock import SystemClock
from ..config.run_config import LoadedConfig
from ..errors import EvloadError, NotUndoneError, UsageError
from ..formats.html.ceiling import render
from ..judging.verdict import exit_code
from ..model.ceiling import Ceiling, End, Outcome, Trial
from ..model.progress import Progress
from ..model.report import ObjectiveResult, Report, Result
from ..report import ceiling_wording, wording
from ..run import session
from ..run.unfinished import refuse_beside
from ..search import directory as directories
from ..search.bisection import Next, Plan
from ..search.directory import SearchDirectory
from ..search.document import as_json, exact
from ..search.runs import DEFAULT_LAST, Runs, Written, rate_text
from ..search.seek import Question, seek
from ..sinks.console.look import STYLES
from ..sinks.console.sink import ConsoleSink
from ..texts import printable
from ..units import NS_PER_S, format_duration, format_rate, format_share, parse_duration, parse_rate, parse_share

_FIRST: Final = Fraction(50)
_TRIAL_NS: Final = 60 * NS_PER_S
_PRECISION: Final = 0.05
_SHORTEST_NS: Final = 5 * NS_PER_S
_FINEST: Final = 0.005
_COLOURS: Final = {
    Outcome.GOOD: STYLES[Result.PASS],
    Outcome.BAD: STYLES[Result.FAIL],
    Outcome.UNDECIDED: STYLES[Result.INCONCLUSIVE],
    Outcome.GENERATOR: STYLES[Result.INVALID],
}

T = TypeVar("T")

Signals = Callable[[], AbstractContextManager[object]]
"""After the block signals are heeded as they were before it."""


def run(
    config: Path,
    *,
    scenario: str | None,
    first: str | None,
    last: str | None,
    trial: str | None,
    precision: str | None,
    out: Path | None,
    resume: Path | None,
    sets: Sequence[str],
    profiles: Sequence[str],
    may_load: Sequence[str],
    environ: Mapping[str, str],
    listed: Path | None,
    console: Console,
    quiet: bool,
    live: bool,
    document: Callable[[bytes], None] | None,
    clogged: Callable[[], bool],
    signals: Signals,
) -> int:
    """Search, print, and return the exit code.

    `live` shows the progress of each trial. `document` is given ceiling.json. `listed` is where runs are listed that
    have left something undone. Raises EvloadError: for bad arguments, where a trial can't be made.
    """
    if resume is not None and out is not None:
        raise UsageError("--resume goes on where the search was, so --out has no say; leave it out")

    def say(text: str) -> None:
        if not quiet:
            console.print(Text(printable(text)), soft_wrap=True)

    def execute(loaded: LoadedConfig, directory: Path) -> Report:
        refuse_beside(directory.parent, listed)
        shown = ConsoleSink(console, quiet=not live, clogged=clogged)
        with signals(), closing(shown):
            return session.run(loaded, out=directory, sinks=[_Progress(shown)], say=say, listed=listed).report

    written = Written.of(config, sets=sets, profiles=profiles, scenario=scenario, may_load=may_load, environ=environ)
    runs = Runs(written, execute, say)
    clock = SystemClock()
    with closing(clock):
        now = clock.wall(clock.now_ns())
    notes = None if resume is None else SearchDirectory(resume).read()
    if notes is not None and notes.config != runs.digest:
        raise UsageError(
            f"--resume {resume}: it was begun with another config, profile, scenario or --set; give what it was "
            "begun with, or begin anew with --out"
        )
    asked = None if notes is None else notes.asked
    plan = Plan(
        _rate("--from", first, _FIRST if asked is None else exact(asked.first), fixed=asked is not None),
        _rate("--to", last, _last(runs) if asked is None else exact(asked.last), fixed=asked is not None),
        _precision(precision, _PRECISION if asked is None else asked.precision, fixed=asked is not None),
    )
    length_ns = _length(trial, _TRIAL_NS if asked is None else round(asked.trial * NS_PER_S), fixed=asked is not None)
    _check(plan, runs)
    runs.check(plan.first, length_ns)
    runs.check(plan.last, length_ns)
    loaded = runs.loaded
    ceilings = loaded.config.ceilings
    question = Question(
        loaded.redact(loaded.config.name),
        runs.scenario,
        now if notes is None else notes.started_at,
        plan,
        length_ns,
        runs.digest,
        [one for one in ceilings if one.scenario in (None, runs.scenario)],
        [loaded.redact(one.title) for one in ceilings if one.scenario not in (None, runs.scenario)],
        runs.of_journeys,
    )
    parent = (Path("runs") if out is None else out.absolute().parent) if resume is None else resume.absolute().parent
    refuse_beside(parent, listed)
    opening = directories.opened(out, now) if resume is None else directories.resumed(resume)
    with opening as directory:
        made = [] if notes is None else SearchDirectory(directory.path).read().made()
        refuse_beside(directory.path, listed)
        looking = _Lines(console, quiet=quiet)
        if not quiet:
            console.print(_head(question, made, answers_alone=runs.shows_answers_alone), soft_wrap=True)
        try:
            found = seek(
                question, directory, made, runs.make,
                pause=lambda before, following: runs.pause(before, following, directory.path), looking=looking,
            )  # fmt: skip
        except EvloadError as error:
            if directory.notes.exists():
                told = [loaded.redact(str(error)), f"to go on: {_resume(config, directory)}"]
                # What isn't undone is the last line of every output.
                error.args = ("\n".join(reversed(told) if isinstance(error, NotUndoneError) else told),)
            raise
        directory.write(directory.page, render(found).encode() + b"\n")
        _show(console, found, quiet=quiet)
        console.print(Text(f"results in {directory.path}, for people {directory.page.name}"), soft_wrap=True)
        if found.bounds.end is End.UNFINISHED:
            console.print(Text(f"to go on: {_resume(config, directory)}"), soft_wrap=True)
        if document is not None:
            document(as_json(found, question.config))
    return session.INTERRUPTED if found.bounds.end is End.UNFINISHED else exit_code(found.verdict)


class _Progress:
    """Shows how a trial goes, and nothing of its end."""

    def __init__(self, shown: ConsoleSink) -> None:
        self._shown = shown

    def progress(self, now: Progress) -> None:
        self._shown.progress(now)

    async def finish(self, report: Report) -> None:
        self._shown.close()


class _Lines:
    """A line for each trial."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet

    def begins(self, number: int, following: Next, length_ns: int) -> None:
        pass

    def over(self, trial: Trial) -> None:
        if not self._quiet:
            self._console.print(_line(trial), soft_wrap=True)

    def cut_off(self, number: int, aside: str) -> None:
        if not self._quiet:
            self._console.print(Text(f"{number:>3}  was cut off and is made again; what it left is in {aside}"))


def _line(trial: Trial) -> Text:
    told = Text(f"{trial.number:>3}  {format_rate(trial.rate):>10}  {format_duration(trial.length_ns):>7}  ")
    told.append(f"{ceiling_wording.outcome(trial):<10}", style=_COLOURS[trial.outcome])
    told.append(printable("; ".join(trial.judged.reasons)))
    return told


def _head(question: Question, made: Sequence[Trial], *, answers_alone: bool) -> Text:
    plan = question.plan
    told = Text.assemble(
        (printable(question.name), "bold"),
        f": the ceiling of {printable(question.scenario)}, from {format_rate(plan.first)} to "
        f"{format_rate(plan.last)}, to {format_share(plan.precision)}, in trials of "
        f"{format_duration(question.length_ns)}",
        "; rates are those of iterations" if question.of_journeys else "",
    )
    if answers_alone:
        told.append("\nno step waits for an effect or has one followed: what waits behind an answer isn't seen")
    for trial in made:
        told.append("\n")
        told.append(_line(trial))
    return told


def _show(console: Console, ceiling: Ceiling, *, quiet: bool) -> None:
    verdict = ceiling.verdict.value.upper()
    line = Text(f"{verdict}  {printable(ceiling.name)}: ceiling {printable(ceiling_wording.answer(ceiling))}")
    line.stylize(STYLES[ceiling.verdict], 0, len(verdict))
    if not quiet:
        console.print()
    console.print(line, soft_wrap=True)
    if quiet:
        return
    for told in ceiling_wording.reasons(ceiling):
        console.print(Text(f"  {printable(told)}"), soft_wrap=True)
    for one in ceiling.objectives:
        console.print(_objective(one), soft_wrap=True)
    for title in ceiling.not_asked:
        console.print(Text(f"not asked     {printable(title)}: it is about another scenario"), soft_wrap=True)


def _objective(one: ObjectiveResult) -> Text:
    told = Text.assemble((f"{one.result.value:<14}", STYLES[one.result]), printable(wording.title(one)))
    told.append(f"  {wording.observed(one)}")
    if one.note:
        told.append(f"  ({printable(one.note)})", style="dim")
    return told


def _resume(config: Path, directory: SearchDirectory) -> str:
    return f"evload ceiling {config} --resume {directory.path}, with the same options"


# -- what was asked for -----------------------------------------------------------------------------------------


def _last(runs: Runs) -> Fraction:
    """The highest rate to try, where nobody says: no more than a guard allows."""
    return DEFAULT_LAST if runs.most is None else min(DEFAULT_LAST, runs.most)


def _rate(option: str, written: str | None, default: Fraction, *, fixed: bool) -> Fraction:
    small = "no event is no load; write a rate above 0, such as 50/s"
    return _asked(option, written, default, parse_rate, lambda rate: rate > 0, small, fixed=fixed)


def _precision(written: str | None, default: float, *, fixed: bool) -> float:
    small = "no trial tells rates so close apart; write 0.5% or more"
    return _asked("--precision", written, default, parse_share, lambda share: share >= _FINEST, small, fixed=fixed)


def _length(written: str | None, default: int, *, fixed: bool) -> int:
    small = "too short to see a backlog grow; write 5s or more"
    return _asked("--trial", written, default, parse_duration, lambda ns: ns >= _SHORTEST_NS, small, fixed=fixed)


def _asked(
    option: str,
    written: str | None,
    begun: T,
    parse: Callable[[str], T],
    is_enough: Callable[[T], bool],
    small: str,
    *,
    fixed: bool,
) -> T:
    """What an option says; of a search that goes on what it was begun with can't change. Raises UsageError."""
    if written is None:
        return begun
    try:
        value = parse(written)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if not is_enough(value):
        raise UsageError(f"{option} {written}: {small}")
    if fixed and value != begun:
        raise UsageError(f"{option} {written}: the search was begun with another one; leave it out, or begin anew")
    return value


def _check(plan: Plan, runs: Runs) -> None:
    if plan.last < plan.first:
        first, last = rate_text(plan.first), rate_text(plan.last)
        raise UsageError(f"--from {first} is above --to {last}; write a lower one")
    if runs.most is not None and plan.last > runs.most:
        raise UsageError(
            f"--to {rate_text(plan.last)}: the guard allows {format_rate(runs.most)} at most; write a lower rate"
        )
