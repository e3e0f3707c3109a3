"""Verdicts on what is known as the two bounds of a bucket: both of them have to say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from evload.judging.abort import broken_for_good
from evload.judging.gauge_watches import GaugeWatches
from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import GaugeSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.objectives.objective import Objective
from evload.objectives.scenario import ScenarioCriteria

S = 1_000_000_000
GAUGES = {"service": ["p95", "p95.low"]}
LOAD = {"load": ScenarioCriteria(0, 60 * S)}
Samples = Sequence[tuple[float | None, float | None]]


def summary_of(samples: Samples, text: str, failed: int = 0, **more: Any) -> tuple[Objective, Summary]:
    """Of samples (low, high) a second apart, and of some that could not be taken."""
    objective = parse(text, gauges=GAUGES, **more)
    watches = GaugeWatches([objective], LOAD, GAUGES)
    series = {"p95": Series(), "p95.low": Series()}
    for second, (low, high) in enumerate(samples):
        values = {"p95": high, "p95.low": low}
        known = {name: float("nan") if value is None else value for name, value in values.items()}
        watches.sampled("service", second * S, second * S, known)
        for name, value in values.items():
            if value is not None:
                series[name].add(value, second * S)
    gauges = {"service": GaugeSummary(series, failed=failed)}
    return objective, Summary(gauges=gauges, watches=watches.results(), watch_notes=watches.notes())


def judged(samples: Samples, text: str, **more: Any) -> ObjectiveResult:
    return judge(*summary_of(samples, text, **more), LOAD)


UP = [(0.1, 0.5), (0.5, 1.0), (1.0, 2.0)]
APART = "the samples are too far apart to tell"
LOW = [(None, -1.0)] * 3
ALREADY = "it was so already at the moment from which this counts"
BELOW = "it was below the first in 1 of its samples, and has no value there"
BOTH_SIDES = "the bounds of its bucket are on both sides of the limit"
BEYOND = "it was above the last bound in 1 of its samples, and has no value there"


@pytest.mark.parametrize(
    ("samples", "text", "result", "observed", "note"),
    [
        ([(0.1, 0.5), (0.1, 0.5)], "max(p95) < 0.6", Result.PASS, (0.1, 0.5), ""),
        ([(0.1, 0.5), (0.5, 1.0)], "max(p95) < 0.6", Result.INCONCLUSIVE, (0.5, 1.0), BOTH_SIDES),
        ([(0.1, 0.5), (0.5, 1.0)], "max(p95) < 0.4", Result.FAIL, (0.5, 1.0), ""),
        ([(0.1, 0.5), (0.5, 1.0)], "mean(p95) < 0.8", Result.WARN, (0.3, 0.75), "above 90 % of the limit"),
        ([(0.1, 0.5), (0.5, 1.0)], "mean(p95) < 0.5", Result.INCONCLUSIVE, (0.3, 0.75), BOTH_SIDES),
        ([(0.1, 0.5), (0.5, 1.0)], "min(p95) > 0.05", Result.PASS, (0.1, 0.5), ""),
        ([(0.1, 0.5), (0.5, 1.0)], "last(p95) > 0.7", Result.INCONCLUSIVE, (0.5, 1.0), BOTH_SIDES),
        ([(0.1, 0.5), (0.5, 1.0)], "last(p95) > 2", Result.FAIL, (0.5, 1.0), ""),
        # Of the two ends each may be known too badly by itself, and each may be close to the limit.
        (UP, "reach(p95 >= 1) < 1.5s", Result.INCONCLUSIVE, (0, 2), APART),
        (UP, "reach(p95 >= 1) < 1.05s", Result.INCONCLUSIVE, (0, 2), APART),
        (UP, "reach(p95 >= 1) < 2.1s", Result.WARN, (0, 2), "above 90 % of the limit"),
        (UP, "reach(p95 >= 1) < 10s", Result.PASS, (0, 2), ""),
        (UP[::-1], "reach(p95 <= 0.5) < 1.5s", Result.INCONCLUSIVE, (0, 2), APART),
        (UP[::-1], "reach(p95 <= 0.5) < 2.1s", Result.WARN, (0, 2), "above 90 % of the limit"),
        (UP, "max(p95) < 2.2", Result.WARN, (1.0, 2.0), "above 90 % of the limit"),
        (UP, "max(p95) < 0.5", Result.FAIL, (1.0, 2.0), ""),
        (UP, "min(p95) > 0.3", Result.INCONCLUSIVE, (0.1, 0.5), BOTH_SIDES),
        (UP, "mean(p95) == 3", Result.FAIL, (1.6 / 3, 3.5 / 3), ""),
        (UP, "integral(p95) < 10", Result.PASS, (0.6, 2.0 + 1.0), ""),
        (UP, "integral(p95) < 0.5", Result.FAIL, (0.6, 3.0), ""),
        # What lies in the last bucket may be anything from its bound on.
        ([(0.1, 0.5), (1.0, None)], "max(p95) < 5", Result.INCONCLUSIVE, (1.0, None), BEYOND),
        ([(0.1, 0.5), (1.0, None)], "max(p95) < 1", Result.FAIL, (1.0, None), ""),
        ([(1.0, None), (0.1, 0.5)], "mean(p95) < 0.5", Result.FAIL, (0.55, None), ""),
        ([(1.0, None), (0.1, 0.5)], "min(p95) > 5", Result.INCONCLUSIVE, (0.1, None), BEYOND),
        ([(1.0, None), (0.1, 0.5)], "min(p95) > 0.05", Result.PASS, (0.1, None), ""),
        ([(1.0, None)] * 2, "max(p95) < 1", Result.FAIL, (1.0, None), ""),
        ([(1.0, None)] * 2, "max(p95) < 5", Result.INCONCLUSIVE, (1.0, None), BEYOND.replace("1", "2")),
        # And in the first one anything up to its bound, where that isn't above 0.
        ([(None, -1.0), (-1.0, 3.0)], "max(p95) < 5", Result.PASS, (-1.0, 3.0), ""),
        ([(None, -1.0), (-1.0, 3.0)], "max(p95) < 2", Result.INCONCLUSIVE, (-1.0, 3.0), BELOW),
        ([(None, -1.0), (2.0, 3.0)], "max(p95) < 1", Result.FAIL, (2.0, 3.0), ""),
        ([(None, -1.0), (2.0, 3.0)], "min(p95) > -5", Result.INCONCLUSIVE, (None, -1.0), BELOW),
        ([(2.0, 3.0), (None, -1.0)], "last(p95) < 1", Result.PASS, (None, -1.0), ""),
        ([(2.0, 3.0), (None, -1.0)], "last(p95) < -1", Result.INCONCLUSIVE, (None, -1.0), BELOW),
        ([(2.0, 3.0), *LOW[:3]], "mean(p95) < 1", Result.PASS, (None, 0), ""),
        ([(2.0, 3.0), *LOW[:3]], "mean(p95) < -1", Result.INCONCLUSIVE, (None, 0), BELOW.replace("1", "3")),
        ([(2.0, 3.0), *LOW[:1]] * 6, "max(p95) < 1 for 5s", Result.PASS, None, ""),
        ([(2.0, 3.0), *LOW[:1]] * 6, "max(p95) < -5 for 5s", Result.INCONCLUSIVE, None, BELOW.replace("1", "6")),
        (LOW, "max(p95) < 5", Result.PASS, (None, -1.0), ""),
        (LOW, "max(p95) < -2", Result.INCONCLUSIVE, (None, -1.0), BELOW.replace("1", "3")),
        (LOW, "min(p95) > -5", Result.INCONCLUSIVE, (None, -1.0), BELOW.replace("1", "3")),
        (LOW, "last(p95) == -1", Result.INCONCLUSIVE, (None, -1.0), BELOW.replace("1", "3")),
        # Where one of the two says nothing at all, nothing is told.
        ([(2.0, 3.0), (2.5, 3.0)], "reach(p95 >= 2.5) < 5s", Result.INCONCLUSIVE, (None, None), ALREADY),
        ([(0.1, 0.5)] * 3 + [(0.5, 1.0)] * 5, "stretch(p95 > 2) < 9s", Result.PASS, None, ""),
        ([(0.1, 0.5)] * 3 + [(0.5, 1.0)] * 9, "stretch(p95 > 0.7) < 6s", Result.INCONCLUSIVE, None, BOTH_SIDES),
        ([(0.1, 0.5)] * 3 + [(0.5, 1.0)] * 9, "stretch(p95 >= 0.5) < 6s", Result.FAIL, None, ""),
    ],
)  # fmt: skip
def test_both_bounds_have_to_say_so(
    samples: Samples, text: str, result: Result,
    observed: tuple[float, float | None] | None, note: str,
) -> None:  # fmt: skip
    found = judged(samples, text, scenario="load" if text.startswith("reach") else None)
    assert (found.result, found.note) == (result, note)
    if observed is not None:
        assert found.observed == pytest.approx(observed)


def test_a_gauge_of_points_beside_one_of_bounds_lacks_nothing() -> None:
    gauges = {"service": ["p95", "p95.low"], "other": ["p95"]}
    for text, bracketed in (("max(p95) < 5", {"service"}), ("max(other.p95) < 5", set()), ("lost == 0", set())):
        objective = parse(text, gauges=gauges)
        assert objective.bracketed == bracketed
    both = {name: GaugeSummary({value: Series() for value in values}) for name, values in gauges.items()}
    for name, values in gauges.items():
        for value in values:
            both[name].series[value].add(2.0 if value.endswith("low") else 3.0)
    both["other"].series["p95"].add(4.0)
    found = judge(parse("max(p95) < 5", gauges=gauges), Summary(gauges=both))
    assert (found.result, found.observed) == (Result.PASS, (2.0, 4.0))


def test_a_run_ends_only_by_what_both_bounds_say() -> None:
    for level, broken in (("0.4", "p95 came to 1"), ("0.7", "")):
        objective, summary = summary_of([(0.1, 0.5), (0.5, 1.0)], f"max(p95) < {level}")
        assert broken_for_good(objective, summary, 5 * S, {}) == broken


def test_nobody_asks_for_a_lower_end_alone() -> None:
    with pytest.raises(ValueError, match=r"values of gauges are p95$"):
        parse("drain(nothing) < 5s", scenario="a", gauges=GAUGES)


def test_samples_that_failed_leave_it_open_by_both_bounds() -> None:
    for failed, result in ((0, Result.PASS), (1, Result.INCONCLUSIVE)):
        found = judged([(0.1, 0.5)] * 5, "max(p95) < 5", failed=failed)
        assert (found.result, found.observed[0]) == (result, 0.1)
        assert found.note == (f"{failed} samples could not be taken" if failed else "")
