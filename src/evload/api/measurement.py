"""What a run came to, for programs: verdict, objectives, self-checks, counts, and how long things took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import EvloadError
from ..model.report import Result, WorstEvent

if TYPE_CHECKING:
    from ..run.session import Ended

_GOOD: Final = (Result.PASS, Result.WARN)
_LISTED: Final = 3
"""So many of the worst events are named in a text for people."""


class Interval(NamedTuple):
    """The true value lies between both ends. None is an end without a bound, or one of which nothing is known."""

    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """How long something took, in seconds.

    count        of how many events
    censored     of them those that were never seen, which stay in the percentiles as infinite
    percentiles  by name: p50, p90, p95, p99, p99.9, max
    """

    count: int
    censored: int
    percentiles: Mapping[str, Interval]

    def __getitem__(self, name: str) -> Interval:
        """A percentile by its name, such as `p99`."""
        return self.percentiles[name]


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective, judged.

    name      as it is written, with what it is about: `p99(consistency) < 2s [baseline]`
    observed  what was seen, in the unit of the limit: seconds, a share, a number
    value     the same for people, with its unit: `348 … 386 ms`
    why       why it came out so; empty where the figures say it
    worst     where it isn't met, the events that weigh most against it
    """

    name: str
    expression: str
    scenario: str | None
    result: Result
    observed: Interval
    limit: float
    value: str
    why: str
    worst: tuple[WorstEvent, ...] = ()

    @property
    def passed(self) -> bool:
        """It holds, be it only just."""
        return self.result in _GOOD

    def __str__(self) -> str:
        """All that a person needs of it, in a few lines."""
        lines = [f"{self.result.value.upper()}  {self.name}", f"  value   {self.value}"]
        if self.why:
            lines.append(f"  why     {self.why}")
        lines += [f"  event   {one.correlation_id}: {one.figure or one.state}" for one in self.worst[:_LISTED]]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """One check of the measurement. `value` and `limit` are in seconds, shares or numbers; `why` is for people."""

    name: str
    result: Result
    value: float | None
    limit: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario by itself: its counts, as `scheduled` and `visible`, and how long things took, by metric."""

    counts: Mapping[str, int]
    distributions: Mapping[str, Distribution]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a run came to. A verdict is no exception: ask for it, or call `raise_for_verdict`.

    exit_code      what `evload run` would have ended with
    headline       the verdict in words
    path           the directory of the run
    counts         the sums of the ledger, such as scheduled, acked, visible, lost
    distributions  how long things took, by metric: schedule_delay, publish, first_seen, consistency, end_to_end
    remarks        what the command would have told a person while the run went on
    pages          its reports that a browser shows
    summary        all of it as plain data, as in summary.json
    """

    name: str
    run_id: str
    verdict: Result
    exit_code: int
    headline: str
    path: Path
    objectives: tuple[Objective, ...]
    self_checks: tuple[SelfCheck, ...]
    counts: Mapping[str, int]
    distributions: Mapping[str, Distribution]
    scenarios: Mapping[str, Scenario]
    interrupted: bool
    remarks: tuple[str, ...]
    pages: tuple[Path, ...]
    summary: Mapping[str, Any] = field(repr=False)

    @property
    def passed(self) -> bool:
        """The verdict is `pass` or `warn`."""
        return self.verdict in _GOOD

    def raise_for_verdict(self) -> Measurement:
        """Raise VerdictError unless the verdict is `pass` or `warn`. Returns itself."""
        __tracebackhide__ = True
        if not self.passed:
            raise VerdictError(self)
        return self

    def __str__(self) -> str:
        """The verdict, what decided it, and where the results are."""
        decisive = [str(one) for one in self.objectives if one.result not in (Result.PASS, Result.SKIPPED)]
        checks = [
            f"{one.result.value.upper()}  self-check {one.name}: {one.why}"
            for one in self.self_checks
            if one.result not in (Result.PASS, Result.SKIPPED)
        ]
        return "\n".join([self.title, *decisive, *checks, self.where])

    @property
    def title(self) -> str:
        """The verdict in a line: `FAIL  shop: 1 of 3 objectives failed: …`."""
        return f"{self.verdict.value.upper()}  {self.name}: {self.headline}"

    @property
    def where(self) -> str:
        """Where the results are, in a line or two."""
        return "\n".join([f"results in {self.path}", *(f"report in {page}" for page in self.pages)])


class VerdictError(EvloadError):
    """The verdict of a run is neither `pass` nor `warn`. `measurement` is all of it."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self.exit_code = measurement.exit_code
        super().__init__(str(measurement))


def measurement_of(ended: Ended, remarks: Sequence[str]) -> Measurement:
    """From how a run ended, and what was said meanwhile."""
    from ..report.document import document
    from ..report.wording import check_figures, headline, observed, title

    report = ended.report
    told = document(report)
    return Measurement(
        name=report.name,
        run_id=report.run_id,
        verdict=report.verdict,
        exit_code=ended.exit_code,
        headline=headline(report),
        path=ended.directory.path,
        objectives=tuple(
            Objective(
                title(one), one.expression, one.scenario, one.result, Interval(*one.observed), one.limit,
                observed(one), one.note, one.worst,
            )
            for one in report.objectives
        ),
        self_checks=tuple(
            SelfCheck(one.name, one.result, one.value, one.limit, check_figures(one)) for one in report.checks
        ),
        counts=told["ledger"],
        distributions=_distributions(told),
        scenarios={
            name: Scenario(scenario["ledger"], _distributions(scenario))
            for name, scenario in told["scenarios"].items()
        },
        interrupted=report.summary.vitals.interrupted,
        remarks=tuple(remarks),
        pages=tuple(ended.pages),
        summary=told,
    )  # fmt: skip


def _distributions(scope: Mapping[str, Any]) -> dict[str, Distribution]:
    return {
        metric: Distribution(
            one["count"],
            one["censored"],
            {name: Interval(*ends) for name, ends in one.items() if name not in ("count", "censored")},
        )
        for metric, one in scope["distributions"].items()
    }
