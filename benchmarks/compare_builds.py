"""How often a comparison of builds finds what is there, and claims what isn't.

    python -m benchmarks.compare_builds [repetitions]

5 runs against 5, again and again, with 5 % noise from run to run: of builds of which one is 15 % slower at p99, and
of builds that are alike. Beside it what a Mann-Whitney test on all events of all runs claims of the same runs.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from evload.comparing.compare import compare
from evload.comparing.regression import Outcome
from evload.model.facts import PERCENTILES
from evload.model.report import Report, Result
from evload.model.summary import Distribution, ScenarioSummary, Summary
from evload.report.document import document
from evload.sandbox.settings import SandboxSettings
from evload.spi.probe import ProbeSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation

_REPETITIONS: Final = 200
_RUNS: Final = 5
_EVENTS: Final = (10_000, 30_000)
"""Per run; the latter is five minutes at 100/s, and what the verdict is about."""
_RATE: Final = 100
_NOISE: Final = 0.05
_SHIFT: Final = 1.15
_MEDIAN_S: Final = 0.150
_P99_S: Final = 0.900
_Z99: Final = 2.3263478740408408
_TOLERANCE: Final = "5%"
_RULES: Final = {
    "default": (f"p99={_TOLERANCE}",),
    "p99 alone": (f"p99={_TOLERANCE}", "p50=off", "throughput=off"),
}
_MOST_CLAIMS: Final = 0.05
_LEAST_FOUND: Final = 0.80
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Claims:
    """What was claimed in one repetition.

    regression  by rules: p99 is worse for sure, and by more than is tolerated
    any         by rules: a gated figure is worse, or better
    exact       a t test on the logarithms of the runs' true p99, which nobody can read: different, at 5 %
    pooled      the Mann-Whitney test on all events: different, at 5 %
    """

    regression: dict[str, bool]
    any: dict[str, bool]
    exact: bool
    pooled: bool


def main(repetitions: int) -> int:
    """1 if too much is claimed or too little found."""
    print(f"{repetitions} × {_RUNS} against {_RUNS} runs, {_NOISE:.0%} noise from run to run; rule p99={_TOLERANCE}")
    print(f"windows are sampled: lognormal, median {_MEDIAN_S * 1000:.0f} ms, p99 {_P99_S * 1000:.0f} ms")
    print(f"read on the default grid: a bracket of p99 is {_sampled_width():.1%} wide", end="")
    print(f", in a whole virtual run {_whole_width():.1%}")
    print(f"\n{'events':>7}  {'':44}{'p99 + 15 %':>12}{'alike':>9}")
    found = claimed = 0.0
    with ProcessPoolExecutor() as pool:
        for events in _EVENTS:
            shifted = list(pool.map(partial(repeat, _SHIFT, events), range(repetitions), chunksize=5))
            alike = list(pool.map(partial(repeat, 1.0, events), range(repetitions, 2 * repetitions), chunksize=5))
            for rules in _RULES:
                regressions = [[one.regression[rules] for one in side] for side in (shifted, alike)]
                claims = [[one.any[rules] for one in side] for side in (shifted, alike)]
                _row(events, f"p99 is a regression ({rules} gated)", *regressions)
                _row(events, f"any gated figure differs ({rules} gated)", *claims)
                claimed = max(claimed, _share(claims[1]))
                found = _share(regressions[0])
            _row(events, "t test on the runs' exact p99", *([c.exact for c in side] for side in (shifted, alike)))
            _row(
                events, "Mann-Whitney on the pooled events", *([c.pooled for c in side] for side in (shifted, alike))
            )
    good = found >= _LEAST_FOUND and claimed <= _MOST_CLAIMS
    print(
        f"\nratio: {found:.1%} found in runs of {_EVENTS[-1]:,} events, p99 alone gated (target: at least "
        f"{_LEAST_FOUND:.0%}); {claimed:.1%} claimed at most of builds that are alike (target: {_MOST_CLAIMS:.0%}): "
        f"{'good' if good else 'WRONG'}"
    )
    return 0 if good else 1


def repeat(shift: float, events: int, seed: int) -> Claims:
    """One comparison: sampled runs, written as summaries, read and judged by the command's own code."""
    rng = np.random.default_rng([events, seed, 20260101])
    with tempfile.TemporaryDirectory(prefix="evload-bench-") as directory:
        seen: dict[str, list[Times]] = {"base": [], "new": []}
        for number in range(_RUNS):
            for build, factor in (("base", 1.0), ("new", shift)):
                times = _windows(rng, factor, events)
                seen[build].append(times)
                _write(Path(directory) / build / f"{build}-{number}", _sample(rng, times), number)
        compared = {
            name: compare(f"{directory}/base", f"{directory}/new", rules=rules) for name, rules in _RULES.items()
        }
    claims = (Outcome.WORSE, Outcome.TOLERATED, Outcome.BETTER)
    return Claims(
        {name: any(each.name == "p99" for each in one.regressions) for name, one in compared.items()},
        {
            name: any(each.tolerance is not None and each.outcome in claims for each in one.figures)
            for name, one in compared.items()
        },
        _exact(seen["base"], seen["new"]),
        _pooled(np.concatenate(seen["base"]), np.concatenate(seen["new"])),
    )


def _windows(rng: np.random.Generator, factor: float, events: int) -> Times:
    """Consistency windows of one run in seconds: the median is the same in all builds, p99 `factor` times as long."""
    sigma = math.log(_P99_S * factor / _MEDIAN_S) / _Z99
    run = math.exp(rng.normal(0, _NOISE))
    return _MEDIAN_S * run * np.exp(sigma * rng.standard_normal(events))


def _sample(rng: np.random.Generator, times: Times) -> Distribution:
    """What the default reading plan sees of them: a geometric grid, begun a little later for one event than for
    another, as bulk reads do."""
    settings = ProbeSettings()
    growth = 1 / (1 - settings.resolution)
    first = settings.first / 1e9 * rng.uniform(1.0, 1.02, times.size)
    step = np.floor(np.log(times / first) / math.log(growth)) + 1
    upper = np.where(step <= 0, first, first * growth**step)
    lower = np.where(step <= 0, 0.0, first * growth ** (step - 1))
    seen = Distribution()
    seen.lower.record_all((lower * 1e9).astype(np.int64).tolist())
    seen.upper.record_all((upper * 1e9).astype(np.int64).tolist())
    return seen


def _write(directory: Path, seen: Distribution, number: int) -> None:
    events = seen.count
    scenario = ScenarioSummary(
        distributions={"consistency": seen}, known={"effects": events}, tallies={"effects": {1: events}}
    )
    scenario.ledger.update(scheduled=events, acked=events, visible=events)
    report = Report(
        directory.name, "builds", _START + timedelta(hours=number), Result.PASS, Summary({"main": scenario}), (), ()
    )
    span = {"span": (events - 1) / _RATE}
    directory.mkdir(parents=True)
    (directory / "summary.json").write_bytes(orjson.dumps({**document(report), **span}))
    (directory / "config.yaml").write_text("probes: {read-model: {kind: http}}\n")


def _exact(base: list[Times], new: list[Times]) -> bool:
    from scipy.stats import ttest_ind

    sides = [[math.log(np.quantile(times, 0.99)) for times in side] for side in (base, new)]
    return bool(ttest_ind(*sides).pvalue < 0.05)


def _pooled(base: Times, new: Times) -> bool:
    from scipy.stats import mannwhitneyu

    return bool(mannwhitneyu(base, new, method="asymptotic").pvalue < 0.05)


def _sampled_width() -> float:
    """Relative width of the bracket of p99 in a sampled run."""
    rng = np.random.default_rng(1)
    return _width(_sample(rng, _windows(rng, 1.0, _EVENTS[0])))


def _whole_width() -> float:
    """The same in a whole run of the engine in virtual time, for comparison: the sample is no kinder than that."""
    visibility: dict[str, Any] = {"lognormal": {"median": f"{_MEDIAN_S}s", "p99": f"{_P99_S}s"}}
    memory = MemoryWorld(SandboxSettings.model_validate({"seed": 1, "workers": 100, "visibility": visibility}))
    run = Simulation(memory, ({"rate": f"{_RATE}/s", "for": "20s"},), probe={"bulk": 500}).run()
    return _width(run.summary.total().distributions["consistency"])


def _width(seen: Distribution) -> float:
    low, high = seen.bracket(PERCENTILES["p99"])
    assert low
    assert high
    return high / low - 1


def _row(events: int, text: str, shifted: Sequence[bool], alike: Sequence[bool]) -> None:
    print(f"{events:7,}  {text:44}{_share(shifted):12.1%}{_share(alike):9.1%}", flush=True)


def _share(claims: Sequence[bool]) -> float:
    return sum(claims) / len(claims)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else _REPETITIONS))
