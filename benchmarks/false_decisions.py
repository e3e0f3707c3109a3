"""How often the gate decides wrongly when there is nothing to decide: the true share is exactly the objective.

    python -m benchmarks.false_decisions

At the boundary any PASS and any FAIL is wrong, and the gate promises at most one wrong PASS in twenty. The runs are
drawn at random and folded into the summaries that a real run has; the gate's own `judge` and `reason_to_abort`
decide, the latter once a second. Beside it: a Clopper-Pearson interval for a fixed number of events that is looked at
every second until it says something, and, where events are bad together, the same interval for all events as if they
were independent. Prints what it found and ends with 1 if a promise is broken.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from evload.judging.abort import prepare, reason_to_abort
from evload.judging.judge import judge
from evload.model.facts import INTERVAL_NS
from evload.model.report import Result
from evload.model.summary import Distribution, ScenarioSummary, Summary
from evload.objectives.grammar import parse
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.binomial import clopper_pearson_lower, clopper_pearson_upper
from evload.stats.thresholds import ThresholdCount
from evload.units import NS_PER_S

_RUNS: Final = 2000
_LIMIT_NS: Final = 2 * NS_PER_S
_OBJECTIVE: Final = parse("p95(consistency) < 2s", abort_after_ns=0)
_MAY_BE_BAD: Final = float(1 - (_OBJECTIVE.share or Fraction(1)))
_PROMISE: Final = 0.05
_STALL_S: Final = 2.0
_SEED: Final = 2026

BadEachSecond = Iterator[int]


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of run: how long, how many events a second, and how many of them are bad in each second."""

    name: str
    seconds: int
    rate: int
    draw: Callable[[random.Random, int, int], BadEachSecond]


@dataclass(slots=True)
class Wrong:
    """Wrong decisions of one way to decide."""

    passes: int = 0
    fails: int = 0

    def count(self, result: Result | None) -> None:
        """Count what it said of one run."""
        self.passes += result in (Result.PASS, Result.WARN)
        self.fails += result is Result.FAIL

    def __str__(self) -> str:
        return f"wrong PASS {self.passes / _RUNS:6.2%}   wrong FAIL {self.fails / _RUNS:6.2%}"


def independent(rng: random.Random, seconds: int, rate: int) -> BadEachSecond:
    """Each event is bad on its own."""
    for _ in range(seconds):
        yield sum(rng.random() < _MAY_BE_BAD for _ in range(rate))


def stalls(rng: random.Random, seconds: int, rate: int) -> BadEachSecond:
    """All events of a stall are bad and no others; stalls last two seconds on average, and take their share."""
    calm_s = _STALL_S * (1 - _MAY_BE_BAD) / _MAY_BE_BAD
    stalled = rng.random() < _MAY_BE_BAD
    until = rng.expovariate(1 / (_STALL_S if stalled else calm_s))
    for second in range(seconds):
        bad = 0
        for number in range(rate):
            at = second + number / rate
            while at >= until:
                stalled = not stalled
                until += rng.expovariate(1 / (_STALL_S if stalled else calm_s))
            bad += stalled
        yield bad


class _Run:
    """A run that is folded second by second, as the recorder folds it."""

    def __init__(self) -> None:
        self._distribution = Distribution(thresholds={_LIMIT_NS: ThresholdCount()})
        self._scenario = ScenarioSummary(distributions={"consistency": self._distribution})
        self.summary = Summary({"main": self._scenario})

    def add(self, second: int, good: int, bad: int) -> None:
        lower, upper = [_LIMIT_NS // 4] * good, [_LIMIT_NS // 2] * good
        self._distribution.lower.record_all(lower + [2 * _LIMIT_NS] * bad)
        self._distribution.upper.record_all(upper + [3 * _LIMIT_NS] * bad)
        counts = self._distribution.thresholds[_LIMIT_NS]
        counts.within += good
        counts.beyond += bad
        window = counts.intervals.setdefault(second * NS_PER_S // INTERVAL_NS, [0, 0, 0])
        for place, more in enumerate((good + bad, good, bad)):
            window[place] += more
        for key in ("scheduled", "acked", "visible"):
            self._scenario.ledger[key] += good + bad


def measure(setting: Setting) -> dict[str, Wrong]:
    """Wrong decisions over all runs, by how it was decided."""
    rng = random.Random(f"{_SEED}/{setting.name}")
    spans = {"main": ScenarioCriteria(0, setting.seconds * NS_PER_S, events=setting.seconds * setting.rate)}
    at_end, aborting, naive, repeated = (Wrong() for _ in range(4))
    for _ in range(_RUNS):
        run, n, bad = _Run(), 0, 0
        aborted = False
        looked: Result | None = None
        for second, more in enumerate(setting.draw(rng, setting.seconds, setting.rate)):
            run.add(second, setting.rate - more, more)
            n, bad = n + setting.rate, bad + more
            offset_ns = (second + 1) * NS_PER_S
            aborted = aborted or reason_to_abort([_OBJECTIVE], run.summary, offset_ns, spans) is not None
            looked = looked or _fixed(bad, n)
        result = judge(_OBJECTIVE, run.summary).result
        at_end.count(result)
        aborting.count(Result.FAIL if aborted else result)
        naive.count(_fixed(bad, n))
        repeated.count(looked)
    return {
        "evload": at_end,
        "evload with abort: true": aborting,
        "fixed-n interval, all events independent": naive,
        "the same, looked at every second": repeated,
    }


def _fixed(bad: int, n: int) -> Result | None:
    """What an interval for a fixed number of independent events says; None: nothing."""
    if clopper_pearson_upper(bad, n) < _MAY_BE_BAD:
        return Result.PASS
    return Result.FAIL if clopper_pearson_lower(bad, n) > _MAY_BE_BAD else None


def main() -> int:
    """1 if a promise is broken."""
    prepare([_OBJECTIVE])
    settings = (
        Setting("independent events", 60, 100, independent),
        Setting("stalls of 2 s on average", 600, 20, stalls),
    )
    found = {}
    for setting in settings:
        found[setting.name] = wrong = measure(setting)
        events = setting.seconds * setting.rate
        print(f"{_OBJECTIVE.expression}, true share 95 %: {_RUNS} runs of {events} events, {setting.name}")
        for name, decisions in wrong.items():
            print(f"  {name:42} {decisions}", flush=True)
    free, shared = found.values()
    promised = [
        decisions.passes <= _PROMISE * _RUNS for decisions in (free["evload"], free["evload with abort: true"])
    ]
    naive = shared["fixed-n interval, all events independent"]
    kept = all(promised) and shared["evload"].passes + shared["evload"].fails < naive.passes + naive.fails
    print(
        f"ratio: wrong PASS {free['evload with abort: true'].passes / _RUNS:.2%} with abort on (target: at most "
        f"{_PROMISE:.0%}); with stalls {shared['evload'].passes / _RUNS:.1%} against {naive.passes / _RUNS:.1%} if "
        f"events count as independent: {'kept' if kept else 'BROKEN'}"
    )
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
