"""The figures of a run that comparisons need, as `summary.json` and files of figures carry them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AliasChoices, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from ..model.costs import PER_EVENTS
from ..objectives.change import GAUGED, JOURNEYED, OF_JOURNEYS, Kind

_End = Annotated[float, Field(ge=0)] | None
_Bracket = tuple[_End, _End]
_OF_GAUGES: Final = ("max", "min", "mean", "last")


class _Stored(BaseModel):
    """Unknown keys are left alone: `summary.json` has many more."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)


class Percentiles(_Stored):
    """One metric: percentiles as [lower, upper] in seconds; None: beyond the deadline."""

    count: Annotated[int, Field(ge=0)]
    censored: Annotated[int, Field(ge=0)] = 0
    p50: _Bracket
    p90: _Bracket
    p95: _Bracket
    p99: _Bracket
    mean: _Bracket | None = None


class Ledger(_Stored):
    """The counts that comparisons need."""

    scheduled: Annotated[int, Field(ge=0)]
    acked: Annotated[int, Field(ge=0)]
    in_doubt: Annotated[int, Field(ge=0)]
    visible: Annotated[int, Field(ge=0)]
    ended: Annotated[int, Field(ge=0)] = 0
    lost: Annotated[int, Field(ge=0)]
    regressed: Annotated[int, Field(ge=0)]
    pending: Annotated[int, Field(ge=0)]
    unobserved: Annotated[int, Field(ge=0)]
    recovered: Annotated[int, Field(ge=0)]
    duplicated: Annotated[int, Field(ge=0)]


class Iterations(_Stored):
    """What became of those of a journey."""

    due: Annotated[int, Field(ge=0)]
    completed: Annotated[int, Field(ge=0)]
    refused: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]
    cut_off: Annotated[int, Field(ge=0)]


class JourneyFigures(_Stored):
    """The iterations of a journey, and the time from when one was due until it was done; None: none has any."""

    iterations: Iterations
    journey: Percentiles | None = None

    def share(self, end: str) -> Span | None:
        """Of those that were due; of those that were cut off nobody knows how they would have ended."""
        due, ended = self.iterations.due, getattr(self.iterations, end)
        return Span(ended / due, (ended + self.iterations.cut_off) / due) if due else None


class _Rounds(_Stored):
    judged: Annotated[int, Field(ge=0)]


class RaceFigures(_Stored):
    """The rounds of a race. `violated` for sure, and at most; `tried` are those that they are among."""

    rounds: _Rounds
    tried: Annotated[int, Field(ge=0)]
    violated: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]

    @property
    def share(self) -> Span | None:
        """Of rounds in which a rule was broken; None where none was judged."""
        low, high = self.violated
        return Span(low / self.tried, high / self.tried) if self.rounds.judged else None


class _RaceReads(_Stored):
    """Reads of races among the events, and those of them that failed."""

    events: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]


class Scope(_Stored):
    """The whole run, or one scenario of it.

    span     seconds from the first to the last event of the schedule; None: not known
    behind   how many seconds longer than that the broker took to answer, if it fell behind
    effects  number of effects to the number of events that were seen to have as many
    journeys by their names
    races    by the names of their scenarios
    steps    JOURNEY.STEP, or RACE.settle, to how long it took: until its answer, until what it waits for was shown,
             or until all was settled; None: no time
    """

    ledger: Ledger
    distributions: Mapping[str, Percentiles]
    span: float | None = None
    behind: Annotated[float, Field(ge=0)] = 0.0
    effects: Mapping[str, int] = {}
    journeys: Mapping[str, JourneyFigures] = {}
    races: Mapping[str, RaceFigures] = {}
    steps: Mapping[str, Percentiles | None] = {}
    race_reads: _RaceReads = _RaceReads(events=0, failed=0)

    def figure(self, name: str, metric: str) -> Span | None:
        """A figure of regression.FIGURES; None if the run doesn't say."""
        match name:
            case "throughput":
                return self._throughput()
            case "errors":
                return self._errors()
            case "lost":
                return self._lost()
            case "duplicates":
                return self._duplicates()
        if match := JOURNEYED.fullmatch(name):
            return self._of_journey(match[1], match[2])
        return _span(self.distributions.get(metric), name)

    def _of_journey(self, function: str, about: str) -> Span | None:
        """Of a journey, or of a step of one; or of a race."""
        if function == "violated":
            race = self.races.get(about)
            return None if race is None else race.share
        journey = self.journeys.get(about)
        if OF_JOURNEYS[function] is Kind.TIME:
            return _span(self.steps.get(about) if journey is None else journey.journey, function)
        return None if journey is None else journey.share(function)

    def _throughput(self) -> Span | None:
        """Acked events per second of the schedule, of which n events span n - 1 gaps, and of what the broker took
        longer."""
        scheduled, acked = self.ledger.scheduled, self.ledger.acked
        if not self.span or scheduled < 2:
            return None
        rate = acked * (scheduled - 1) / (scheduled * (self.span + self.behind))
        return Span(rate, rate)

    def _errors(self) -> Span | None:
        """Share of the scheduled events that were not acked. What fails of the reads of a race is no error."""
        ledger, reads = self.ledger, self.race_reads
        among = ledger.scheduled - reads.events
        if not among:
            return None
        share = (ledger.scheduled - ledger.acked - reads.failed) / among
        return Span(share, share)

    def _lost(self) -> Span | None:
        """Share of the scheduled events; up to all those whose end nobody saw."""
        ledger = self.ledger
        if not ledger.visible + ledger.ended + ledger.lost + ledger.regressed:
            return None
        unsettled = ledger.pending + ledger.unobserved + max(0, ledger.in_doubt - ledger.recovered)
        return Span(ledger.lost / ledger.scheduled, (ledger.lost + unsettled) / ledger.scheduled)

    def _duplicates(self) -> Span | None:
        """Share of the scheduled events that had more than one effect; up to all whose effects nobody counted."""
        ledger = self.ledger
        counted = sum(self.effects.values())
        if not counted:
            return None
        uncounted = max(0, ledger.visible + ledger.regressed - counted)
        return Span(ledger.duplicated / ledger.scheduled, (ledger.duplicated + uncounted) / ledger.scheduled)


def _span(distribution: Percentiles | None, name: str) -> Span | None:
    """A percentile, or the mean, of a distribution; None if it has none."""
    bracket = getattr(distribution, name, None)
    if bracket is None:
        return None
    low, high = bracket
    return Span(math.inf if low is None else low, high)


def _actions_of(told: Any) -> Any:
    """What was done, as `summary.json` tells it time by time: each name once, with what of it failed."""
    if not isinstance(told, list | tuple) or not all(isinstance(one, dict) for one in told):
        return told
    names = {f"{one.get('action')} (failed)" if one.get("error") else f"{one.get('action')}" for one in told}
    return tuple(sorted(names))


def _gauges_of(told: Any) -> Any:
    """What gauges showed, as `summary.json` tells it: each figure by its name, such as `max(queue.queue_depth)`."""
    if not isinstance(told, dict) or not all(isinstance(one, dict) for one in told.values()):
        return told
    return {
        f"{function}({gauge}.{value})": figure
        for gauge, values in told.items()
        for value, figures in values.items()
        if isinstance(figures, dict)
        for function, figure in figures.items()
        if function in _OF_GAUGES and isinstance(figure, int | float)
    }


def _cost_of(told: Any) -> Any:
    """What 1000 events cost, as `summary.json` tells it."""
    if not isinstance(told, dict):
        return told
    total = told.get("total")
    return total.get(f"per_{PER_EVENTS}_events") if isinstance(total, dict) else None


class RunFigures(Scope):
    """One run. `reading` is alike for runs that were read by the same plan; empty: not known.

    gauges   figures of gauges by their names, such as `max(work-queue.queue_depth)`
    cost     what 1000 events cost, in whatever money
    compare  by what its config has runs compared, as it is written there
    actions  names of what was done to the system, those that failed with a remark
    written  each journey and each scenario of journeys to a digest of how the config has it; empty: not known
    users    names of the scenarios whose events come as users send them, and not by a schedule
    """

    id: Annotated[str, Field(validation_alias=AliasChoices("id", "run_id"))]
    name: str
    started_at: AwareDatetime
    verdict: str
    interrupted: bool = False
    crashed: bool = False
    reading: str = ""
    profiles: tuple[str, ...] = ()
    actions: Annotated[tuple[str, ...], BeforeValidator(_actions_of)] = ()
    scenarios: Mapping[str, Scope] = {}
    gauges: Annotated[Mapping[str, float], BeforeValidator(_gauges_of)] = {}
    cost: Annotated[
        _Bracket | None, BeforeValidator(_cost_of), Field(validation_alias=AliasChoices("cost", "costs"))
    ] = None
    compare: Mapping[str, Any] = {}
    written: Mapping[str, str] = {}
    users: tuple[str, ...] = ()

    def figure(self, name: str, metric: str) -> Span | None:
        """Also those of the run as a whole: what it cost, and what its gauges showed."""
        if name == "cost":
            return None if self.cost is None or self.cost[0] is None else Span(self.cost[0], self.cost[1])
        gauged = GAUGED.fullmatch(name)
        if gauged is None:
            return super().figure(name, metric)
        function, value = gauged.groups()
        found = [
            figure
            for about, figure in self.gauges.items()
            if about == name or (about.startswith(f"{function}(") and about.endswith(f".{value})"))
        ]
        return Span(found[0], found[0]) if len(found) == 1 else None

    def scope(self, scenario: str | None) -> Scope | None:
        """One scenario, or the whole run; None if there is no such scenario."""
        return self if scenario is None else self.scenarios.get(scenario)

    @property
    def flaw(self) -> str:
        """Why it is no evidence; empty if it is."""
        if self.verdict == "invalid":
            return "the measurement was invalid"
        if self.crashed:
            return "it was killed or is still going on"
        return "it was interrupted" if self.interrupted else ""


class FiguresFile(_Stored):
    """A file of figures: a baseline that needs no ledgers."""

    format: int
    runs: tuple[RunFigures, ...]

    def with_runs(self, more: tuple[RunFigures, ...]) -> FiguresFile:
        """These runs added, or put in the place of those of the same id; in order of time."""
        runs = {run.id: run for run in (*self.runs, *more)}
        return FiguresFile(format=self.format, runs=tuple(sorted(runs.values(), key=started)))

    def entries(self) -> dict[str, Any]:
        """As plain data."""
        return self.model_dump(mode="json")


def started(run: RunFigures) -> datetime:
    """When it began, to sort by."""
    return run.started_at


class Span(NamedTuple):
    """One figure of one run, [low, high]: seconds, events per second, a share, money, or in the unit of a gauge.

    `high` None: without end.
    """

    low: float
    high: float | None
