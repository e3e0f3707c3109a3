"""Compares runs of a build with runs of another, or a new run with the ones before."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median_low, mode
from typing import Final

from ..errors import UsageError
from ..model.facts import METRICS
from ..objectives.change import FIGURES
from ..stats.comparison import runs_needed, trend
from ..texts import near
from ..units import parse_duration
from . import history, journeys, nights, regression
from .figures import RunFigures, Scope, started
from .limits import FigureLimit, Standing
from .limits import judge as judge_limit
from .regression import Figure, FigureResult
from .rules import Options, rules_of

_METRICS: Final = ("consistency", "end_to_end", "publish")
"""What is compared if nobody says: the first that every run has."""
_FEWEST: Final = 5
"""Runs on each side below which even what can be told is told on thin ice."""
_SCHEDULE: Final = 0.05
_TREND_RUNS: Final = 8
_TREND_FIGURES: Final = ("p99", "p50")
_WEEK_S: Final = 7 * 86_400.0
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Drift:
    """How a figure goes over weeks. `weekly` as a share of it."""

    figure: str
    runs: int
    weeks: float
    weekly: float
    p_value: float


@dataclass(slots=True)
class Comparison:
    """What came of it, for whoever shows it."""

    name: str
    metric: str
    scenario: str | None
    base: list[RunFigures]
    new: list[RunFigures]
    left_out: list[tuple[RunFigures, str]]
    figures: list[FigureResult]
    limits: list[FigureLimit] = field(default_factory=list)
    """What NEW may not be worse than, whatever BASE is."""
    weekly: list[FigureResult] = field(default_factory=list)
    """The last seven days against the seven before."""
    nights: int = 0
    """NEW is one run, ranked among so many before it; 0: it is compared otherwise."""
    drift: Drift | None = None
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def regressions(self) -> list[FigureResult]:
        """Gated figures that are worse by more than is tolerated."""
        return [judged for judged in (*self.figures, *self.weekly) if judged.regression]

    @property
    def undecided(self) -> list[FigureResult]:
        """Gated figures that can't be told."""
        return [judged for judged in (*self.figures, *self.weekly) if judged.undecided]

    @property
    def broken(self) -> list[FigureLimit]:
        """Limits that are broken for sure."""
        return [one for one in self.limits if one.standing is Standing.BROKEN]

    @property
    def open_limits(self) -> list[FigureLimit]:
        """Limits of which nobody can tell whether they are kept."""
        return [one for one in self.limits if one.standing is Standing.UNKNOWN]

    def exit_code(self, *, strict: bool) -> int:
        """1 for a regression or a broken limit; 4 where one can't be told, if that counts; else 0."""
        if self.regressions or self.broken:
            return 1
        return 4 if strict and (self.undecided or self.open_limits) else 0


def compare(
    base: str,
    new: str,
    *,
    rules: Sequence[str] = (),
    weekly: Sequence[str] = (),
    limits: Sequence[str] = (),
    warn_above: str | None = None,
    metric: str | None = None,
    scenario: str | None = None,
    within: str | None = None,
    force: bool = False,
) -> Comparison:
    """What the runs that two arguments name say about one another, by rules as the options of the command have them,
    beside those of NEW's config. `force`: also where they had different profiles.

    Raises UsageError if they say nothing.
    """
    options = Options(rules, weekly, limits, warn_above)
    rules_of({}, options, _unheard)
    if metric is not None and metric not in METRICS:
        raise UsageError(f"--metric {metric}: no such metric; {_suggest(metric, METRICS)}")
    warnings: list[str] = []
    found = history.find(new, warnings.append)
    name = _one_name(new, found)
    notes: list[str] = []
    before = _before(base, name, found, within, warnings.append, notes.append)
    left_out = [(each, each.flaw) for each in (*before, *found) if each.flaw]
    warnings += [f"{each.id} is left out: {flaw}" for each, flaw in left_out]
    base_runs, new_runs = [[each for each in side if not each.flaw] for side in (before, found)]
    for label, argument, runs in (("BASE", base, base_runs), ("NEW", new, new_runs)):
        if not runs:
            raise UsageError(no_evidence(label, argument, warnings))
    if not force:
        _refuse_a_mix(base_runs, new_runs)
    scopes = [_scopes(side, scenario) for side in (base_runs, new_runs)]
    every = [scope for side in scopes for scope in side]
    metric = _metric(metric, every)
    warnings += _differences(base_runs, new_runs, scopes, scenario)
    found_rules = rules_of(max(new_runs, key=started).compare, options, warnings.append)
    tolerated = found_rules.tolerated
    _check_journeys(options, every)
    named = (*found_rules.journeyed, *found_rules.byte_rated, *found_rules.gauged)
    names = dict.fromkeys([*FIGURES, *journeys.figures_of(every), *named])
    figures = [Figure(each, *([scope.figure(each, metric) for scope in side] for side in scopes)) for each in names]
    shown = [f for f in figures if f.name in tolerated or any(span is not None for span in (*f.base, *f.new))]
    readings = {each.reading for each in (*base_runs, *new_runs)}
    exact = all(span is None or span.low == span.high for figure in shown for span in (*figure.base, *figure.new))
    same_plan = len(readings) == 1 and "" not in readings
    if not same_plan and not exact:
        warnings.append(
            "some runs were read by another plan, or don't say by which (config.yaml): "
            "a change counts only beyond what the brackets of the reads allow"
        )
    one_night = nights.applies(len(base_runs), len(new_runs))
    judge = nights.judge if one_night else regression.judge
    judged = judge(shown, tolerated, same_plan=same_plan)
    if min(len(base_runs), len(new_runs)) < _FEWEST and not one_night:
        warnings.append(_too_few(len(base_runs), len(new_runs), regression.alpha_of(shown, tolerated)))
    held = [
        judge_limit(name, limit, figure.new, found_rules.warn_above)
        for name, limit in found_rules.limits.items()
        for figure in figures
        if figure.name == name
    ]
    by_week = _weekly([*base_runs, *new_runs], found_rules.weekly, metric, scenario, same_plan=same_plan)
    drift = _drift(base_runs, new_runs, metric, scenario) if len(base_runs) >= _TREND_RUNS else None
    return Comparison(
        name, metric, scenario, base_runs, new_runs, left_out, judged, held, by_week,
        len(base_runs) if one_night else 0, drift, warnings, notes,
    )  # fmt: skip


def _unheard(_: str) -> None:
    """Nobody has read a config yet that could be warned about."""


def _weekly(
    runs: Sequence[RunFigures],
    tolerated: Mapping[str, float],
    metric: str,
    scenario: str | None,
    *,
    same_plan: bool,
) -> list[FigureResult]:
    """The runs of the last seven days, up to the newest, against those of the seven days before."""
    newest = max(run.started_at for run in runs)
    week = timedelta(seconds=_WEEK_S)
    last = [run for run in runs if run.started_at > newest - week]
    before = [run for run in runs if newest - 2 * week < run.started_at <= newest - week]
    sides = [_scopes(side, scenario) for side in (before, last)]
    figures = [
        Figure(name, *([scope.figure(name, metric) for scope in side] for side in sides)) for name in tolerated
    ]
    if before:
        return regression.judge(figures, tolerated, same_plan=same_plan)
    reason = "there is no run of the week before"
    return [
        FigureResult(one.name, one.kind, None, None, None, tolerated[one.name], regression.Outcome.UNKNOWN, reason)
        for one in figures
    ]


def no_evidence(side: str, argument: str, warnings: Sequence[str]) -> str:
    return f"{side} ({argument}) has no run that counts as evidence: {'; '.join(warnings)}; name sound runs"


def _before(
    base: str,
    name: str,
    new: Sequence[RunFigures],
    within: str | None,
    warn: Callable[[str], None],
    note: Callable[[str], None],
) -> list[RunFigures]:
    """The runs of BASE that NEW is compared with: not its own; where BASE holds many, those of the same config."""
    own = {each.id for each in new}
    found = [each for each in history.find(base, warn) if each.id not in own]
    if not found:
        raise UsageError(f"BASE ({base}) holds no run besides those of NEW; name the runs before")
    alike = [each for each in found if each.name == name]
    if not alike:
        others = ", ".join(sorted({each.name for each in found}))
        raise UsageError(
            f"BASE ({base}) has no run of {name}, which NEW is, but of {others}; name runs of one config"
        )
    if len(alike) < len(found):
        note(f"{len(found) - len(alike)} runs of other configs in BASE are not looked at")
    if within is None:
        return alike
    try:
        window = parse_duration(within)
    except ValueError as error:
        raise UsageError(f"--within {within}: {error}") from error
    newest = max(each.started_at for each in new)
    oldest = newest - timedelta(microseconds=window / 1000)
    recent = [each for each in alike if oldest <= each.started_at <= newest]
    if not recent:
        raise UsageError(f"BASE ({base}) has no run within {within} before {newest:%Y-%m-%d %H:%M}; allow for longer")
    return recent


def _one_name(argument: str, runs: Sequence[RunFigures]) -> str:
    names = sorted({each.name for each in runs})
    if not names:
        raise UsageError(f"NEW ({argument}) has no run that can be read; name sound runs")
    if len(names) > 1:
        raise UsageError(f"NEW ({argument}) has runs of several configs: {', '.join(names)}; name those of one")
    return names[0]


def _refuse_a_mix(base: Sequence[RunFigures], new: Sequence[RunFigures]) -> None:
    """Runs with different profiles are of different configs, whatever their name."""
    used = {each.profiles: each.id for each in reversed((*base, *new))}
    if len(used) > 1:
        told = ", ".join(f"{run} with {' and '.join(names) or 'none'}" for names, run in sorted(used.items()))
        raise UsageError(f"these runs had different profiles: {told}; name runs of the same, or use --force")


def _scopes(runs: Sequence[RunFigures], scenario: str | None) -> list[Scope]:
    scopes = []
    for each in runs:
        scope = each.scope(scenario)
        if scope is None:
            assert scenario is not None
            raise UsageError(f"--scenario {scenario}: {each.id} has none; {_suggest(scenario, each.scenarios)}")
        scopes.append(scope)
    return scopes


def _metric(wanted: str | None, scopes: Sequence[Scope]) -> str:
    for metric in _METRICS if wanted is None else (wanted,):
        if all(metric in scope.distributions for scope in scopes):
            return metric
    common = [each for each in METRICS if all(each in scope.distributions for scope in scopes)]
    cure = f"they share {', '.join(common)}; choose with --metric" if common else "name runs that measured the same"
    raise UsageError(f"not every run has {wanted or ' or '.join(_METRICS)}; {cure}")


def _suggest(wrong: str, known: Collection[str]) -> str:
    close = near(wrong, known)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(known)}"


def _check_journeys(options: Options, scopes: Sequence[Scope]) -> None:
    """An option that is about a journey or a step is about one that some run has."""
    for name, texts in (
        ("max-regression", options.max_regression),
        ("week-over-week", options.week_over_week),
        ("limit", options.limit),
    ):
        for text in texts:
            try:
                journeys.check_named(text, scopes)
            except ValueError as error:
                raise UsageError(f"--{name} {text}: {error}") from error


def _differences(
    base: Sequence[RunFigures],
    new: Sequence[RunFigures],
    scopes: Sequence[Sequence[Scope]],
    scenario: str | None,
) -> list[str]:
    """Runs to whose systems something else was done, or whose schedule or journeys are others, than with most of
    NEW."""
    return [
        *_other_actions(base, new),
        *journeys.differences(base, new),
        *_other_schedules(base, new, scopes, scenario),
    ]


def _other_actions(base: Sequence[RunFigures], new: Sequence[RunFigures]) -> list[str]:
    usual = mode(each.actions for each in new)
    odd = [f"{each.id} ({_done(each.actions)})" for each in (*base, *new) if each.actions != usual]
    if not odd:
        return []
    return [f"other actions: with NEW {_done(usual)} was done to the system, and not so with {', '.join(odd)}"]


def _done(actions: Sequence[str]) -> str:
    return ", ".join(actions) or "nothing"


def _other_schedules(
    base: Sequence[RunFigures],
    new: Sequence[RunFigures],
    scopes: Sequence[Sequence[Scope]],
    scenario: str | None,
) -> list[str]:
    """How many events users send follows from the system as well: they have another load if it took another time,
    too."""
    usual = median_low(scope.ledger.scheduled for scope in scopes[1])
    usual_span = median_low(scope.span or 0.0 for scope in scopes[1])
    odd = [
        f"{each.id} ({scope.ledger.scheduled:,})"
        for each, scope in zip((*base, *new), (*scopes[0], *scopes[1]), strict=True)
        if abs(scope.ledger.scheduled - usual) > _SCHEDULE * usual
        and (not _by_users(each, scenario) or abs((scope.span or 0.0) - usual_span) > _SCHEDULE * usual_span)
    ]
    if not odd:
        return []
    return [f"another schedule: NEW has {usual:,} events, and not so {', '.join(odd)}"]


def _by_users(run: RunFigures, scenario: str | None) -> bool:
    """Whether users send some of the events of a scenario, or of the run; what a step waits for is one as well."""
    return any(scenario is None or scenario == name or scenario.startswith(f"{name}: ") for name in run.users)


def _too_few(base: int, new: int, alpha: float) -> str:
    each = max(_FEWEST, runs_needed(alpha))
    return f"{base} against {new} runs are few; take {each} of each build at least, in turns"


def _drift(base: Sequence[RunFigures], new: Sequence[RunFigures], metric: str, scenario: str | None) -> Drift | None:
    """The trend over all runs of the first figure that has one; None if they lie within a day."""
    runs = sorted((*base, *new), key=started)
    times = [(each.started_at - runs[0].started_at).total_seconds() for each in runs]
    if times[-1] < _DAY_S:
        return None
    for name in _TREND_FIGURES:
        spans = [scope.figure(name, metric) for scope in _scopes(runs, scenario)]
        values = [math.inf if s is None or s.high is None else (s.low + s.high) / 2 for s in spans]
        if all(0 < value < math.inf for value in values):
            seen = trend([time / _WEEK_S for time in times], [math.log(value) for value in values])
            return Drift(name, len(runs), times[-1] / _WEEK_S, math.expm1(seen.slope), seen.p_value)
    return None
