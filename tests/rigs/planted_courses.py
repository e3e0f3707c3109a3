"""Runs whose course is planted number by number, in memory, and what is found in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from evload.model.report import CheckResult, Insight, ObjectiveResult
from evload.model.summary import ScenarioSummary, Summary
from evload.model.timeline import PUBLISH_EDGES_NS, CloseUp, LatencyOverTime, ScenarioOverTime, Timeline
from evload.model.vitals import Vitals
from evload.report.insights import find
from tests.rigs.summaries import MS, S, bucket_of, run_of, scenario

SECONDS: Final = 40
RATE: Final = 60


def latency(*per_second: Sequence[tuple[int, int, int]]) -> LatencyOverTime:
    """For each second (events, lower end, upper end) in ms of those that were due in it."""
    lower, upper = ([{bucket_of(one[end] * MS): one[0] for one in events} for events in per_second] for end in (1, 2))
    return LatencyOverTime(lower, upper, [0] * len(per_second))


def course(seconds: int = SECONDS, rate: int = RATE, **counts: dict[int, int] | list[int]) -> ScenarioOverTime:
    """So many events in each second, all of them seen within it, but for the given counts by second."""
    full = {name: [rate] * seconds for name in ("offered", "sent", "acked", "visible", "followed")}
    full |= {
        name: [0] * seconds
        for name in (
            "given_up", "refused", "lost", "regressed", "duplicated", "failed_reads", "late_ns", "late_count",
        )
    }  # fmt: skip
    for name, given in counts.items():
        full[name] = given if isinstance(given, list) else [given.get(second, 0) for second in range(seconds)]
    publish = LatencyOverTime([{60: rate}] * seconds, [{60: rate}] * seconds, [0] * seconds, PUBLISH_EDGES_NS)
    return ScenarioOverTime(**full, latency=latency(*[[(rate, 100, 120)]] * seconds), publish=publish)


def timeline(*scenarios: ScenarioOverTime, **more: Any) -> Timeline:
    """Of scenarios named s0, s1 ..., in intervals of a second."""
    named = {f"s{number}": one for number, one in enumerate(scenarios or (course(),))}
    return Timeline(S, SECONDS, named, **more)


def close_up(scenarios: Mapping[str, ScenarioOverTime], depths: Mapping[str, Sequence[float | None]]) -> CloseUp:
    """What was looked at closely, second by second; each queue with a sample in each second, or none."""
    return CloseUp(
        [second * S for second in range(len(next(iter(scenarios.values())).offered))],
        {name: one.offered for name, one in scenarios.items()},
        {name: one.refused for name, one in scenarios.items()},
        {name: one.latency for name, one in scenarios.items()},
        {queue: [None if v is None else (v, v, 1, v) for v in values] for queue, values in depths.items()},
    )


def found(
    over_time: Timeline, *scenarios: ScenarioSummary, vitals: Vitals | None = None, summary: Summary | None = None,
    checks: Sequence[CheckResult] = (), objectives: Sequence[ObjectiveResult] = (),
) -> list[Insight]:  # fmt: skip
    """What is found in a run of these scenarios, or of sound ones."""
    run = summary or run_of(*(scenarios or [scenario(visible=2400)] * len(over_time.scenarios)), vitals=vitals)
    return find(run, objectives, checks, over_time)


def the_only(findings: list[Insight]) -> Insight:
    (one,) = findings
    return one
