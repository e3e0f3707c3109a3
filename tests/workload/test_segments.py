"""A schedule split among several senders is the whole schedule, and what they saw adds up to what one would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from evload.judging.judge import judge
from evload.model.correlation import CorrelationIds
from evload.model.summary import Summary
from evload.model.travel import Encoding
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from evload.workload.events import EventSettings, EventType, Renderer
from evload.workload.schedule import Arrivals, Load
from evload.workload.segment import WHOLE, Segment

NOW = "2026-01-31T12:00:00.000000Z"


@dataclass(frozen=True)
class Planned:
    """All that a receiver could tell of one event, and when it was due."""

    due_ns: int
    correlation_id: str
    key: str | None
    type: int
    body: bytes


def schedule(
    load: Sequence[Mapping[str, Any]], arrivals: str, types: int, key: str | None, segment: Segment
) -> list[Planned]:
    """The events of a scenario, rendered in batches of uneven size."""
    events = [
        EventType(
            index, f"e{index}", EventSettings(
                type=f"t{index}", source="/s", key=key, data={"group": "{int:1..5}", "id": "{uuid}", "n": "{seq}"}
            ), index + 1, None,
        )
        for index in range(types)
    ]  # fmt: skip
    renderer = Renderer(
        scenario=1, scenarios=3, types=events, encoding=Encoding(), ids=CorrelationIds.for_run("run"), run_id="run",
        seed="7/main", segment=segment,
    )  # fmt: skip
    offsets = Arrivals(TypeAdapter(Load).validate_python(load), arrivals, "7/main/arrivals")  # type: ignore[arg-type]
    planned = []
    while (offset := offsets.peek()) is not None:
        due = offsets.take_until(offset + 70_000_000, 9)
        planned += [
            Planned(event.intended_ns, event.correlation_id, event.key, event.type, event.body)
            for event in renderer.render(due, NOW)
        ]
    return planned


PHASES = st.one_of(
    st.builds(lambda rate, s: {"rate": f"{rate}/s", "for": f"{s}ms"}, st.integers(1, 90), st.integers(1, 900)),
    st.builds(
        lambda a, b, s: {"from": f"{a}/s", "to": f"{b}/s", "for": f"{s}ms"},
        st.integers(0, 50), st.integers(1, 90), st.integers(1, 900),
    ),
    st.builds(lambda n: {"burst": n}, st.integers(1, 40)),
    st.builds(lambda a, b: {"steps": [f"{a}/s", f"{b}/s"], "each": "300ms"}, st.integers(1, 60), st.integers(1, 60)),
    st.just({"idle": "200ms"}),
)  # fmt: skip


@given(
    st.lists(PHASES, min_size=1, max_size=4).filter(lambda load: any("idle" not in phase for phase in load)),
    st.sampled_from(["constant", "poisson"]), st.integers(1, 3), st.sampled_from([None, "{data.group}", "{seq}"]),
    st.integers(2, 7),
)  # fmt: skip
def test_the_segments_together_are_the_schedule(
    load: list[dict[str, Any]], arrivals: str, types: int, key: str | None, count: int
) -> None:
    try:
        whole = schedule(load, arrivals, types, key, WHOLE)
    except ValueError:
        return  # A load without a single event.
    parts = [schedule(load, arrivals, types, key, Segment(number, count)) for number in range(count)]
    together = sorted((event for part in parts for event in part), key=lambda event: event.correlation_id)
    assert together == sorted(whole, key=lambda event: event.correlation_id)
    for part in parts:
        assert [event.due_ns for event in part] == sorted(event.due_ns for event in part)
    if key is not None:
        owners = [{event.key for event in part} for part in parts]
        assert sum(map(len, owners)) == len(set().union(*owners)), "a key is never in two segments"


def test_events_without_a_key_are_dealt_out_evenly() -> None:
    parts = [schedule([{"burst": 90}], "constant", 1, None, Segment(number, 3)) for number in range(3)]
    assert [len(part) for part in parts] == [30, 30, 30]


def simulation(segment: Segment, **more: Any) -> Simulation:
    """A run in a world of its own that shares nothing with that of another segment: no queue, no budget, no order."""
    world = MemoryWorld(
        SandboxSettings.model_validate(
            {
                "seed": 5, "draws": "event", "workers": 10_000, "service": "1ms",
                "visibility": {"lognormal": {"median": "150ms", "p99": "900ms"}},
                "replicas": [{"name": "a"}, {"name": "b", "lag": {"uniform": {"from": "0s", "to": "400ms"}}}],
                "loss": "2%", "duplicates": {"share": "3%", "after": "100ms"},
                "regressions": {"share": "3%", "after": "200ms", "lasting": "500ms"},
            }
        ),
        # How long answers take is learned from all reads, so here they take no time.
        # What falls into one nanosecond happens at once in virtual time: these times keep events apart.
        answer=parse_delay("0s"), confirm=parse_delay({"uniform": {"from": "1ms", "to": "4ms"}}),
        rejected=0.02, returned=0.01, in_doubt=0.03,
    )  # fmt: skip
    probe = {"deadline": "6s", "confirm": {"reads": 5, "over": "2s"}, "parallel": 10_000}
    return Simulation(
        world,
        scenarios={
            "steady": {"load": [{"rate": "59/s", "for": "8s"}], "steady": True},
            "random": {
                "load": [{"burst": 20}, {"rate": "30/s", "for": "6s"}], "arrivals": "poisson", "start": "2013ms"
            },
        },
        probes={"first": {**probe, "replica": "a"}, "second": {**probe, "replica": "b"}},
        slos=[
            "p95(consistency) < 900ms", "share(end_to_end < 2s) >= 90%", "lost == 0", "duplicates == 0",
            "rate(errors) < 10%", "regressions == 0", "out_of_order == 0", "max(publish) < 1s",
            "share(consistency < 1s) >= 50% in any 2s", "throughput(acked) >= 20/s in any 2s",
            {"text": "share(end_to_end < 1s) >= 50%", "key": "1*"},
            {"text": "p90(consistency) < 2s", "probe": "second"}, {"text": "lost == 0", "scenario": "random"},
        ],
        key="{data.group}",
        segment=segment,
        **more,
    )  # fmt: skip


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.long), 3])
def test_what_segments_see_adds_up_to_what_a_single_run_sees(count: int) -> None:
    single = simulation(WHOLE).run()
    parts = [simulation(Segment(number, count)).run() for number in range(count)]
    assert all(0 < part.summary.total().ledger["scheduled"] < 640 for part in parts)
    together = Summary()
    for part in parts:
        together.merge(part.summary)
    assert without_reads(together) == without_reads(single.summary)
    assert together.total().ledger["lost"] > 0 < together.total().ledger["duplicated"]
    assert together.scenarios["steady"].flow is not None
    assert together.scenarios["random"].sent_steps is not None
    assert judged(together, single) == judged(single.summary, single)


def without_reads(summary: Summary) -> Summary:
    """How often was read and how long the run took depend on who reads beside whom."""
    summary.vitals.duration_ns = 0
    for probe in summary.vitals.probes.values():
        probe.busiest = 0
    return summary


def judged(summary: Summary, run: Simulated) -> list[Any]:
    criteria = run.prepared.criteria
    return [judge(objective, summary, criteria.scenarios) for objective in criteria.objectives]
