"""The runs of a search: the config with the rate of a trial in the place of its load."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from ..clock import SystemClock
from ..config.guard import held, sends_at_most
from ..config.load import load_text, read
from ..config.part import part_of
from ..config.run_config import LoadedConfig, RunConfig
from ..errors import ConfigError, Problem, UsageError
from ..ledger.reader import LedgerReader
from ..model.ceiling import Trial
from ..model.report import Report
from ..run.directory import RunDirectory
from ..spi.context import Surroundings
from ..spi.gauge import GaugeSettings
from ..stats.watches import is_missing
from ..units import NS_PER_S, duration_text, format_rate
from ..workload.journeys.settings import RequestStep
from .bisection import Next
from .courses import QUEUE_DEPTH
from .draining import drained, owed_ns

DEFAULT_LAST: Final = Fraction(5000)
_STEP_NS: Final = NS_PER_S // 10
"""In such steps a warm-up is made longer."""

Execute = Callable[[LoadedConfig, Path], Report]
"""Runs a config in a new directory."""


@dataclass(frozen=True, slots=True)
class Written:
    """A config as it was when the search began, whatever becomes of its file. See `config.load.load`."""

    text: str
    path: Path
    sets: Sequence[str]
    profiles: Sequence[str]
    scenarios: Sequence[str]
    may_load: Sequence[str]
    environ: Mapping[str, str]

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        sets: Sequence[str],
        profiles: Sequence[str],
        scenario: str | None,
        may_load: Sequence[str],
        environ: Mapping[str, str],
    ) -> Written:
        """Raises UsageError if it can't be read."""
        scenarios = () if scenario is None else (scenario,)
        return cls(read(path), path, tuple(sets), tuple(profiles), scenarios, tuple(may_load), dict(environ))

    def loaded(self, *sets: str) -> LoadedConfig:
        """With these assignments, after all others. Raises ConfigError, UsageError."""
        loaded = load_text(
            self.text, str(self.path), base_dir=self.path.parent, sets=(*self.sets, *sets), profiles=self.profiles,
            environ=self.environ,
        )  # fmt: skip
        return held(part_of(loaded, self.scenarios), self.environ, self.may_load)


class Runs:
    """Makes the runs of a search for the ceiling of the only scenario of a config."""

    def __init__(self, written: Written, execute: Execute, say: Callable[[str], None]) -> None:
        """Raises ConfigError, and UsageError where nothing would show a backlog."""
        self._written = written
        self._execute = execute
        self._say = say
        self._loaded = written.loaded()
        config = self._loaded.config
        if len(config.scenarios) > 1:
            raise UsageError(
                f"{written.path} has {len(config.scenarios)} scenarios, and a ceiling is that of one; write "
                f"--scenario with one of {', '.join(config.scenarios)}"
            )
        (self.scenario,) = config.scenarios
        if config.scenarios[self.scenario].many == "rounds":
            raise UsageError(
                f"scenario {self.scenario!r} makes a race, and a ceiling is that of a rate; name one with events or "
                "journeys, or write more times: for its contenders"
            )
        self._queues = _queues(config, self.scenario)
        self._check_what_shows()
        self._ended_ns = 0
        self._clock = SystemClock()

    def _check_what_shows(self) -> None:
        """Raises ConfigError for users, who aren't a rate, and UsageError where nothing shows what waits."""
        config = self._loaded.config
        scenario = config.scenarios[self.scenario]
        if scenario.closed:
            where = self._loaded.document.position(("scenarios", self.scenario, "load"))
            what = f"{self.scenario} is made by users, who ask less often where they wait longer; a ceiling is a rate"
            cure = "write a load of iterations per second, such as [{rate: 5/s, for: 5m}], and no think: or every:"
            raise ConfigError([Problem(str(where), what, cure)])
        if config.probes_of(scenario) or self._queues:
            return
        cure = f"give {self.scenario} probes:, or add the gauge of its queue under gauges:"
        if scenario.journeys:
            steps = [step for name in scenario.journeys for step in config.journeys[name].sending()]
            if any(isinstance(step, RequestStep) for step in steps):
                return
            cure = "let a step wait:, give one probes:, or add the gauge of a queue under gauges:"
        raise UsageError(f"nothing would show what waits in the system, so that every rate would look good; {cure}")

    @property
    def of_journeys(self) -> bool:
        """It is a rate of iterations that is looked for."""
        return bool(self._loaded.config.scenarios[self.scenario].journeys)

    @property
    def shows_answers_alone(self) -> bool:
        """Nothing looks for the effect of what is sent: what waits behind an answer that comes at once isn't seen."""
        config = self._loaded.config
        return not config.probes_of(config.scenarios[self.scenario]) and not self._queues

    @property
    def loaded(self) -> LoadedConfig:
        """The config as it is written, without a rate."""
        return self._loaded

    @property
    def most(self) -> Fraction | None:
        """The highest rate that a guard allows; None where none says."""
        allowed = [rules.most for rules in self._loaded.config.guard.rules if rules.most is not None]
        return min(allowed) / sends_at_most(self._loaded.config, self.scenario) if allowed else None

    @property
    def digest(self) -> str:
        """Of the config as it is run: by that it is told whether a search can go on."""
        return hashlib.sha256(self._loaded.as_run().encode()).hexdigest()[:16]

    def check(self, rate: Fraction, length_ns: int) -> LoadedConfig:
        """The config of a trial. Raises ConfigError where there can't be one at this rate, or of this length."""
        return self._with(rate, length_ns, 0)

    def make(self, rate: Fraction, length_ns: int, directory: Path, warmup_ns: int) -> Report:
        """See `seek.Trials`."""
        report = self._execute(self._with(rate, length_ns, warmup_ns), directory)
        self._ended_ns = self._clock.now_ns()
        return report

    def pause(self, before: Trial, following: Next, search: Path) -> None:
        """Let the system come to rest; each run has an embedded pipeline of its own. Raises EvloadError."""
        config = self._loaded.config
        if config.sandbox is not None:
            return
        gauges = {name: one for name, one in self._queues.items() if one.late_ns is None}
        owed = owed_ns(before.rate, before.length_ns + self._warmup_ns(before.judged.usual_ns or 0), following.rate)
        levels = _levels(search / "trial-01", gauges)
        clock = SystemClock()
        with closing(clock):
            surroundings = Surroundings(clock, "between", self._loaded.base_dir, guard=config.guard)
            asyncio.run(drained(config, gauges, levels, owed, surroundings, self._loaded.learn, self._tell))

    def _tell(self, text: str) -> None:
        self._say(self._loaded.redact(text))

    def _warmup_ns(self, usual_ns: int) -> int:
        """How long a trial warms up, so that as many iterations are under way as will be: for as long as they take,
        or, before anybody has seen that, as long as their pauses are."""
        config = self._loaded.config
        scenario = config.scenarios[self.scenario]
        needed = max((usual_ns, *(config.journeys[name].pauses_ns for name in scenario.journeys)))
        return max(scenario.warmup, -(-needed // _STEP_NS) * _STEP_NS)

    def _with(self, rate: Fraction, length_ns: int, usual_ns: int) -> LoadedConfig:
        config = self._loaded.config
        scenario = config.scenarios[self.scenario]
        place = f'scenarios."{self.scenario}"'
        warmup_ns = self._warmup_ns(usual_ns)
        lasting = duration_text(warmup_ns + length_ns)
        sets = [f"{place}.load=[{{rate: {rate_text(rate)}, for: {lasting}}}]"]
        if warmup_ns > scenario.warmup:
            sets.append(f"{place}.warmup={duration_text(warmup_ns)}")
        if scenario.start:
            sets.append(f"{place}.start=0s")
        longest_ns = [wait_ns for one in config.slos if (wait_ns := one.longest_wait_ns) is not None]
        if self._queues and longest_ns:
            # So long somebody has to look at a queue to say that it drained in time.
            observe = max(longest_ns) + 2 * max(one.every for one in self._queues.values())
            if self.of_journeys:
                observe += warmup_ns  # from the end of the load to the last send
            if observe > config.observe:
                sets.append(f"observe={duration_text(observe)}")
        return self._written.loaded(*sets)


def _queues(config: RunConfig, scenario: str) -> dict[str, GaugeSettings]:
    return {
        name: gauge
        for name, gauge in config.gauges.items()
        if QUEUE_DEPTH in gauge.metrics and scenario in (gauge.scenarios or (scenario,))
    }


def _levels(first: Path, gauges: Mapping[str, GaugeSettings]) -> dict[str, float]:
    """What was in these queues when the first trial began."""
    levels: dict[str, float] = {}
    if gauges:
        with LedgerReader(RunDirectory(first).ledger) as ledger:
            for name, _, _, values in ledger.samples():
                depth = values.get(QUEUE_DEPTH)
                if name in gauges and name not in levels and depth is not None and not is_missing(depth):
                    levels[name] = depth
    return levels


def rate_text(rate: Fraction) -> str:
    """As a config has it, exactly: rates have a few digits."""
    return f"{float(rate):.9f}".rstrip("0").rstrip(".") + "/s"


def shown(rate: Fraction | None) -> str:
    """A rate for people."""
    return "?" if rate is None else format_rate(rate)
