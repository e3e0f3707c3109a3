"""The finished report of a run as plain data: verdict, objectives, self-checks, insights."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .summary import Summary
from .timeline import Timeline
from .travel import Observation


@dataclass(frozen=True, slots=True)
class EventSample:
    """Some settled events of a run, with the names that belong to their numbers.

    began_at      wall time at which the schedule began; the times of the observations are relative to it
    scenarios     by Observation.scenario
    events        by Observation.type
    probes        by Part.probe
    observations  of events that were followed closely
    """

    began_at: datetime
    scenarios: Sequence[str]
    events: Sequence[str]
    probes: Sequence[str]
    observations: Iterable[Observation]


class Result(enum.StrEnum):
    """Of an objective, a self-check or a run."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    SKIPPED = "skipped"
    """Doesn't apply to this run. Only self-checks can be skipped."""


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """One objective, judged.

    observed  [lower, upper] in the unit of the limit (seconds, a share, a count); None = unbounded or no data
    note      for people: why it is what it is
    """

    expression: str
    result: Result
    observed: tuple[float | None, float | None]
    limit: float
    scenario: str | None = None
    note: str = ""
    witnessed: bool = False
    """A violation that was seen with certainty, which an invalid measurement doesn't excuse."""
    subject: str = ""
    """The metric or the counter that it is about."""
    scope: str = ""
    """The part of the events that it is about, by `slice_label`."""
    worst: tuple[WorstEvent, ...] = ()
    """Of an objective that didn't pass: the events that weigh most against it."""


@dataclass(frozen=True, slots=True)
class WorstEvent:
    """One event by name, so that a person can find it in logs and traces.

    log     (seconds since the schedule began, what happened), in order of time
    figure  what was judged, of this event: how long it took, how many effects it had, what overtook it; empty if it
            is how it ended
    """

    correlation_id: str
    traceparent: str
    scenario: str
    event: str
    key: str | None
    state: str
    log: tuple[tuple[float, str], ...]
    figure: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One self-check. `value` and `limit` are numbers in base units (seconds, shares, counts) or None."""

    name: str
    result: Result
    value: float | None
    limit: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What reports show of how a run was meant, beside its name.

    labels  whatever tells runs apart: an environment, a build
    params  the values that `${params.NAME}` stood for
    scenarios  those that were run, where that isn't all of the config
    not_asked  the objectives about what was left out, and those that no run can judge
    profiles   the changes to the config that were chosen, in their order
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    scenarios: tuple[str, ...] = ()
    not_asked: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As JSON can keep it."""
        part = {"scenarios": list(self.scenarios), "not_asked": list(self.not_asked)}
        return {
            "labels": dict(self.labels),
            "params": dict(self.params),
            "profiles": list(self.profiles),
            "part": part if self.scenarios or self.not_asked else None,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Circumstances:
        """From what `as_data` gave."""
        part = data.get("part") or {}
        return cls(
            data.get("labels", {}),
            data.get("params", {}),
            tuple(part.get("scenarios", ())),
            tuple(part.get("not_asked", ())),
            tuple(data.get("profiles", ())),
        )

    def redacted(self, redact: Callable[[str], str]) -> Circumstances:
        """Without secrets."""
        labels, params = ({name: redact(text) for name, text in one.items()} for one in (self.labels, self.params))
        return replace(self, labels=labels, params=params, not_asked=tuple(map(redact, self.not_asked)))


@dataclass(frozen=True, slots=True)
class Report:
    """All that a sink needs."""

    run_id: str
    name: str
    started_at: datetime
    verdict: Result
    summary: Summary
    objectives: Sequence[ObjectiveResult]
    checks: Sequence[CheckResult]
    directory: Path | None = None
    insights: Sequence[Insight] = ()
    timeline: Timeline | None = None
    """The run over time; None if its ledger couldn't be read."""
    config_text: str = ""
    """The config as run, without secrets; empty if it isn't known."""
    circumstances: Circumstances = field(default_factory=Circumstances)
    not_undone: str = ""
    """What was done to the system and isn't undone, and how to undo it, in a line; mostly empty. It is the last of
    whatever a person reads."""


class Severity(enum.StrEnum):
    """How much an insight weighs."""

    BAD = "bad"
    """Effects were lost, doubled, or nobody could read."""
    WARNING = "warning"
    """The system, or the generator, didn't keep up."""
    NOTE = "note"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Insight:
    """One thing that stands out, in a sentence, with the numbers that show it.

    kind      a name for scripts, such as lost, lagging_replica, saturated, stall, generator
    evidence  name to value; names of times in seconds end in _s
    span_ns   from when to when; None: the whole run, or nobody knows
    """

    kind: str
    severity: Severity
    sentence: str
    evidence: Mapping[str, float | str]
    span_ns: tuple[int, int] | None = None
