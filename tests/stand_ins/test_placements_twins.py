"""For each objective of the configs of placements a run in which it fails, as the stand-in is wrong in one way.

What else fails there follows from that, and is named; nothing else does. In virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from evload.config.load import load
from evload.config.part import part_of
from placements.knobs import QUICK
from tests.rigs.virtual_placements import CONFIGS, HOURS, run_placements

LOAD, FAULTS, NIGHT = "placements-load.yaml", "placements-faults.yaml", "placements-nightly.yaml"
GAUGES: Final = ("placements-queue", "platform", "counted")
SLOW_GAUGES: Final = tuple(f"gauges.{name}.every=1s" for name in GAUGES)
"""So that minutes don't have too many samples."""


@dataclass(frozen=True)
class Twin:
    """A stand-in that is wrong in one way, and what fails of these parts of a config.

    base  the stand-in beside that: --quick, which the profile `short` counts on, or as it is
    long  it takes its time, or says much the same as another
    """

    fails: set[str]
    knobs: Mapping[str, Any] = field(default_factory=dict)
    parts: Sequence[str] = ()
    sets: Sequence[str] = ()
    name: str = "placements.yaml"
    profile: str = "short"
    long: bool = False

    @property
    def profiles(self) -> Sequence[str]:
        return [self.profile] if self.profile else []

    @property
    def base(self) -> Mapping[str, Any]:
        return QUICK if self.profile in ("short", "") else {}


def post(switch: str, **body: Any) -> str:
    """What is done to the stand-in by an action."""
    said = ", ".join(f"{key}: {str(value).lower()}" for key, value in body.items())
    return f"{{post: 'http://localhost:8790/admin/{switch}', json: {{{said}}}}}"


def turned(action: str, way: str, *posts: str) -> str:
    """Another way to do or undo something."""
    return f"actions.{action}.{way}=[{', '.join(posts)}]"


# --- an ordinary day --------------------------------------------------------------------------------------

BRIEF: Final = "scenarios.baseline.load=[{rate: 40/s, for: 4s}]"
"""Enough to fail by, in less time."""
COST: Final = "rise(gb_seconds) / rise(handled) < 0.05"
E2E: Final = {"p99(end_to_end) < 5s", "p99(end_to_end) < 5s [baseline]"}
COLD: Final = ("idempotency", "cold-start")
"""With some events before the cold start, by which the distance of the clocks is known."""

ORDINARY: Final = {
    "workers that take six seconds": Twin(
        {
            *E2E, "share(consistency < 2s) >= 95% [baseline]", "max(queue_depth) < 100", "p99(queue_lag) < 1s", COST,
        },
        {"delay_ms": 6000}, ["baseline"], [BRIEF, "probes.read-model.deadline=90s"],
    ),
    "workers that take two seconds": Twin(
        {"share(consistency < 2s) >= 95% [consistency]", COST},
        {"delay_ms": 2200, "visibility_ms": 9000, "most": 40}, ["consistency"],
        ["scenarios.consistency.load=[{rate: 12/s, for: 8s}]"], long=True,
    ),
    "workers that have one message in hand": Twin(
        {COST}, {"slots": 1, "work_ms": 120, "most": 20}, ["baseline"],
        ["scenarios.baseline.load=[{rate: 20/s, for: 4s}]"],
    ),
    "workers that are too few": Twin(
        {"p99(queue_lag) < 1s"}, {"slots": 1, "most": 1}, ["baseline"],
        ["scenarios.baseline.load=[{rate: 30/s, for: 8s}]"],
    ),
    "a burst that is too large": Twin(
        {"max(queue_depth) < 100", "max(sent_to_consumed) < 500ms [cold-start]"}, {}, COLD,
        ["scenarios.cold-start.load=[{idle: 1s}, {burst: 300}]"],
    ),
    "a single worker for a burst": Twin(
        {"max(sent_to_consumed) < 500ms [cold-start]"}, {"slots": 5, "most": 1}, COLD
    ),
    "workers that stay": Twin({"rise(cold_starts) >= 1 [after=idempotency]"}, {"least": 1}, COLD),
    "functions that start slowly": Twin(
        {"max(cold_start) < 500ms", "max(sent_to_consumed) < 500ms [cold-start]", COST},
        {"cold_ms": 800, "visibility_ms": 9000}, COLD, long=True,
    ),
    "functions that start very slowly": Twin(
        {
            "max(cold_start) < 500ms", "max(sent_to_consumed) < 500ms [cold-start]",
            "share(consistency < 2s) >= 95% [cold-start]", COST,
        },
        {"cold_ms": 2500, "visibility_ms": 9000}, COLD, long=True,
    ),
    "an API that takes 300 ms": Twin({"p50(publish) < 100ms [consistency]"}, {"latency_ms": 300}, ["consistency"]),
    "an API that takes two seconds": Twin(
        {"p50(publish) < 100ms [consistency]", "p99(publish) < 500ms [consistency]"},
        {"latency_ms": 2000}, ["consistency"], long=True,
    ),
    "a bus that takes six seconds": Twin({"span(publish) < 5s [cold-start]"}, {"latency_ms": 6000}, COLD),
    "a bus that throttles": Twin(
        {"rate(errors) < 0.1%", *E2E}, {"refused": 0.5}, ["baseline"], [BRIEF]
    ),
    "an API that throttles": Twin({"rate(errors) < 0.1%"}, {"refused": 0.015}, ["consistency"], long=True),
    "workers that make another placement each time": Twin(
        {"duplicates == 0 [idempotency]"}, {"idempotent": False}, COLD
    ),
    "messages that come twice to workers that make another placement": Twin(
        {"duplicates == 0 [baseline]"}, {"idempotent": False, "visibility_ms": 20, "attempts": 9, "least": 2},
        ["baseline"], [BRIEF],
    ),
    "messages that are given up while somebody works on them": Twin(
        {"rise(dead) == 0"}, {"attempts": 1, "visibility_ms": 20, "least": 2}, ["baseline"], [BRIEF]
    ),
    "messages that are lost": Twin({"lost == 0"}, {"lose": 100}, ["baseline"], [BRIEF]),
    "memory that leaks for hours": Twin(
        {"growth(memory) < 10MB/h [after=15m]"}, {"leak": 20_000}, sets=HOURS, profile="soak", long=True
    ),
    "connections that leak for an hour": Twin(
        {"growth(connections) < 1/h [after=15m]"}, {"leak_every": 100},
        sets=[*HOURS, "scenarios.baseline.load=[{rate: 20/min, for: 75m}]"], profile="soak", long=True,
    ),
}  # fmt: skip

# --- under load -------------------------------------------------------------------------------------------

UP: Final = "scenarios.scale-up.load=[{steps: [50/s, 100/s, 200/s, 500/s], each: 500ms}]"
CEILING: Final = "scenarios.ceiling.load=[{rate: 520/s, for: 600ms}]"
CALM: Final = "scenarios.calm.load=[{{rate: 1/s, for: {}}}]"
EARLY: Final = "scenarios.calm.start=3s"
ONE_TASK: Final = {"least": 1, "backlog": 1_000_000, "visibility_ms": 20_000}
"""Nobody asks for another."""
DEAR: Final = "cost(1000 events) < 0.05"
"""What takes longer costs more: tasks that work on what has piled up are paid for."""
CEILING_FAILS: Final = {
    "p99(end_to_end) < 5s [ceiling]", "share(consistency < 2s) >= 95% [ceiling]",
}  # fmt: skip

UNDER_LOAD: Final = {
    "tasks that take four minutes to start": Twin(
        {"reach(tasks >= 2) < 4m [scale-up]", "stretch(starting >= 1) < 60s"}, {"start_ms": 250_000},
        ["scale-up", "calm"], [UP, EARLY, CALM.format("260s"), *SLOW_GAUGES], LOAD, long=True,
    ),
    "tasks that take 70 seconds to start": Twin(
        {"stretch(starting >= 1) < 60s"}, {"start_ms": 70_000},
        ["scale-up", "calm"], [UP, EARLY, CALM.format("80s"), *SLOW_GAUGES], LOAD, long=True,
    ),
    "one slow task after a ramp": Twin(
        {"drain(queue_depth <= 50) < 60s [after=scale-up]"}, {**ONE_TASK, "delay_ms": 1600},
        ["scale-up", "calm"], [UP, EARLY, CALM.format("80s"), *SLOW_GAUGES], LOAD, long=True,
    ),
    "one slow task after a spike": Twin(
        {"drain(queue_depth <= 50) < 2m [after=spike]", DEAR}, {**ONE_TASK, "delay_ms": 5500},
        ["spike", "calm"], [CALM.format("140s"), "probes.read-model.deadline=15m", *SLOW_GAUGES], LOAD, long=True,
    ),
    "workers that take six seconds after a spike": Twin(
        {"recovery(p95(consistency) < 2s) < 5m [after=spike]", DEAR}, {"delay_ms": 6500, "visibility_ms": 20_000},
        ["spike", "calm"], [CALM.format("330s"), "probes.read-model.deadline=15m", *SLOW_GAUGES], LOAD, long=True,
    ),
    "a limit of one task": Twin(
        {"rise(throttles) == 0", "throughput(visible) > 500/s for 2s [ceiling]", *CEILING_FAILS},
        {"most": 1, "slots": 2}, ["ceiling"], name=LOAD, long=True,
    ),
    "workers that take six seconds": Twin(
        CEILING_FAILS, {"delay_ms": 6000, "visibility_ms": 20_000, "most": 60, "backlog": 10}, ["ceiling"], [CEILING],
        LOAD, long=True,
    ),
    "a bus that throttles": Twin(
        {"throughput(acked) > 500/s [ceiling]", "p99(end_to_end) < 5s [ceiling]"}, {"refused": 0.5}, ["ceiling"],
        [CEILING], LOAD,
    ),
    "a database that is dear": Twin(
        {"cost(1000 events) < 0.05"}, {}, ["ceiling"], [CEILING, "costs.database.price=2900"], LOAD
    ),
    "an API that takes 300 ms": Twin(
        {"p50(publish) < 100ms [api]"}, {"latency_ms": 300}, ["api"], name=LOAD
    ),
    "an API that takes two seconds": Twin(
        {"p50(publish) < 100ms [api]", "p99(publish) < 500ms [api]"}, {"latency_ms": 2000}, ["api"], name=LOAD,
        long=True,
    ),
    "an API that throttles": Twin({"rate(errors) < 0.1% [api]"}, {"refused": 0.02}, ["api"], name=LOAD),
    "an API that throttles most": Twin(
        {"rate(errors) < 0.1% [api]", "throughput(acked) > 1000/s [api]"}, {"refused": 0.7}, ["api"], name=LOAD
    ),
    "functions that start slowly": Twin(
        {"max(cold_start) < 500ms"}, {"cold_ms": 800, "visibility_ms": 9000}, ["scale-up"], [UP], LOAD
    ),
    "messages that are given up while somebody works on them": Twin(
        {"rise(dead) == 0"}, {"attempts": 1, "visibility_ms": 20, "least": 2}, ["scale-up"], [UP], LOAD
    ),
    **{
        f"messages that are lost, {part}": Twin(
            {f"lost == 0 [{part}]"}, {"lose": 100}, [part], [UP, CEILING], LOAD, long=True
        )
        for part in ("scale-up", "ceiling", "spike")
    },
    "more than one task can do": Twin(
        {"share(consistency < 2s) >= 95% in any 30s [scale-up]", DEAR}, {**ONE_TASK, "delay_ms": 1400},
        sets=["scenarios.scale-up.load=[{steps: [2/s, 20/s], each: 1m}]"], name=LOAD, profile="stress", long=True,
    ),
}  # fmt: skip

# --- when something is wrong ------------------------------------------------------------------------------

RECOVERY: Final = "recovery(p95(consistency) < 2s) < {} [{}, after={}]"
DATABASE: Final = {way: post("database", up=way == "undo") for way in ("do", "undo")}
STAYS_SLOW: Final = post("knobs", delay_ms=3000, visibility_ms=20_000)
AT_ONCE: Final = post("knobs", attempts=1, visibility_ms=20, least=2)
"""Messages are given up while somebody works on them."""
FOR_LONG: Final = ("probes.read-model.deadline=2m", *SLOW_GAUGES)

WRONG: Final = {
    "workers that aren't slow": Twin(
        {"max(worker_duration) >= 0.5 [during=slow-workers]"},
        sets=[turned("slow-workers", "do", post("worker-delay", ms=0))], name=FAULTS,
    ),
    "a database that is away for a moment": Twin(
        {"rise(dead) >= 1 [during=database-down]"}, sets=["actions.database-down.for=300ms"], name=FAULTS, long=True
    ),
    "dead letters that nobody puts back": Twin(
        {"lost == 0", "last(dead_letters) == 0"}, sets=[turned("redrive", "do", DATABASE["undo"])], name=FAULTS,
        long=True,
    ),
    "dead letters that are put back and come again": Twin(
        {"last(dead_letters) == 0"},
        sets=[turned("redrive", "do", post("redrive"), AT_ONCE)],
        name=FAULTS, long=True,
    ),
    "messages that are lost after all": Twin(
        {"lost == 0"}, sets=[turned("redrive", "do", post("redrive"), post("knobs", lose=50))], name=FAULTS,
        long=True,
    ),
    "slow workers that make another placement each time": Twin(
        {"duplicates == 0"}, {"idempotent": False, "visibility_ms": 300, "least": 2}, name=FAULTS, long=True
    ),
    "messages that slow workers give up": Twin(
        {"rise(dead) == 0 [during=slow-workers]"},
        sets=[
            turned("slow-workers", "do", post("worker-delay", ms=500), AT_ONCE),
            turned("slow-workers", "undo", post("worker-delay", ms=0), post("knobs", attempts=3, visibility_ms=400)),
        ],
        name=FAULTS, long=True,
    ),
    "a bus that throttles while the database is away": Twin(
        {"rate(errors) == 0% [during=database-down]"},
        sets=[
            turned("database-down", "do", DATABASE["do"], post("bus", refused=0.7)),
            turned("database-down", "undo", DATABASE["undo"], post("bus", refused=0)),
        ],
        name=FAULTS,
    ),
    "slow workers and a flood": Twin(
        {"max(queue_depth) < 5000 [during=slow-workers]"},
        sets=["scenarios.slow-consumer.load=[{idle: 1100ms}, {burst: 5300}, {rate: 1/s, for: 9s}]"],
        name=FAULTS, long=True,
    ),
    "a single worker, once they are quick again": Twin(
        {"drain(queue_depth <= 10) < 10m [after=slow-workers]", "rise(dead) >= 1 [during=database-down]"},
        {"visibility_ms": 90_000}, ["slow-consumer"],
        [
            turned("slow-workers", "undo", post("knobs", most=1, slots=1, delay_ms=5000)),
            "scenarios.slow-consumer.load=[{idle: 2500ms}, {burst: 600}]", "observe=11m",
            "probes.read-model.deadline=90m", *SLOW_GAUGES,
        ],
        FAULTS, long=True,
    ),
    "workers that stay slow": Twin(
        {
            RECOVERY.format("5m", "slow-consumer", "slow-workers"), "rise(dead) >= 1 [during=database-down]",
        },
        {}, ["slow-consumer"],
        [
            turned("slow-workers", "undo", STAYS_SLOW), *FOR_LONG,
            "scenarios.slow-consumer.load=[{rate: 30/s, for: 5s}, {rate: 30/min, for: 16m}]",
        ],
        FAULTS, long=True,
    ),
    "workers that are slow after the database was away": Twin(
        {RECOVERY.format("5m", "downstream", "database-down"), "max(worker_duration) >= 0.5 [during=slow-workers]"},
        {}, ["downstream"],
        [
            turned("database-down", "undo", DATABASE["undo"], STAYS_SLOW), *FOR_LONG, "actions.redrive.at=1m",
            "scenarios.downstream.load=[{rate: 20/s, for: 6s}, {rate: 30/min, for: 16m}]",
        ],
        FAULTS, long=True,
    ),
}  # fmt: skip

# --- chaos ------------------------------------------------------------------------------------------------


def chaos(fails: set[str], part: str, *sets: str, load: str = "{rate: 2/s, for: 4m}", **knobs: Any) -> Twin:
    """One of its scenarios, with few events."""
    load = f"scenarios.{part}.load=[{load}]"
    return Twin(fails, knobs, [part], [load, *SLOW_GAUGES, *sets], FAULTS, "chaos", long=True)


CHAOS: Final = {
    "workers that are slow after a failover": chaos(
        {RECOVERY.format("90s", "failover", "database-fails-over")}, "failover",
        turned("database-fails-over", "undo", DATABASE["undo"], STAYS_SLOW),
    ),
    "workers that are slow after throttling": chaos(
        {RECOVERY.format("90s", "throttled", "workers-throttled")}, "throttled",
        turned("workers-throttled", "undo", post("knobs", most=8, slots=10), STAYS_SLOW),
    ),
    "workers that are slow after latency": chaos(
        {RECOVERY.format("90s", "latency", "latency-added")}, "latency",
        turned("latency-added", "undo", post("latency", ms=0), STAYS_SLOW),
    ),
    "workers that are slow after the queue was away": chaos(
        {RECOVERY.format("90s", "no-queue", "queue-away")}, "no-queue",
        turned("queue-away", "undo", post("bus", up=True), STAYS_SLOW),
    ),
    "throttled workers and a flood": chaos(
        {"max(queue_depth) < 5000 [during=workers-throttled]"}, "throttled",
        load="{rate: 1/s, for: 62s}, {burst: 5300}, {rate: 1/s, for: 2m}",
    ),
    "a bus that throttles with the workers": chaos(
        {"rate(errors) == 0% [during=workers-throttled]"}, "throttled",
        turned("workers-throttled", "do", post("knobs", most=1, slots=1), post("bus", refused=0.7)),
        turned("workers-throttled", "undo", post("knobs", most=8, slots=10), post("bus", refused=0)),
    ),
    "a queue that isn't away": chaos(
        {"rate(errors) >= 90% [during=queue-away]"}, "no-queue", turned("queue-away", "do", post("bus", up=True))
    ),
    "dead letters of a failover that nobody puts back": chaos(
        {"lost == 0"}, "failover", turned("redrive", "do", DATABASE["undo"])
    ),
    "messages that come twice to workers that make another placement": chaos(
        {"duplicates == 0"}, "latency", idempotent=False, visibility_ms=20, least=2, attempts=9
    ),
}  # fmt: skip

# --- how much it can take, and each night -----------------------------------------------------------------


def at_its_limits(name: str, profile: str, load: str) -> dict[str, Twin]:
    """What both ask of a placement."""
    small = ["scenarios.steady.warmup=0s", f"scenarios.steady.load=[{load}]"]
    late = {"p99(end_to_end) < 5s", "share(consistency < 2s) >= 95%"}
    wrong: dict[str, tuple[set[str], dict[str, Any]]] = {
        "workers that take six seconds": (late, {"delay_ms": 6000, "visibility_ms": 20_000}),
        "a bus that throttles": ({"rate(errors) < 0.1%", "p99(end_to_end) < 5s"}, {"refused": 0.5}),
        "messages that are lost": ({"lost == 0"}, {"lose": 100}),
        "messages that are given up while somebody works on them": (
            {"rise(dead) == 0"}, {"attempts": 1, "visibility_ms": 20, "least": 2},
        ),
    }  # fmt: skip
    return {
        what: Twin(fails, knobs, (), [*small, "probes.read-model.deadline=90s"], name, profile, long=True)
        for what, (fails, knobs) in wrong.items()
    }


LIMITS: Final = at_its_limits("placements-ceiling.yaml", "", "{rate: 40/s, for: 8s}")
NIGHTLY: Final = {
    **at_its_limits(NIGHT, "short", "{rate: 40/s, for: 10s}"),
    "a database that is dear": Twin(
        {"cost(1000 events) < 0.05", "cost(month) < 600"},
        {},
        (),
        ["costs.database.price=29", "scenarios.steady.load=[{rate: 20/s, for: 4s}]"],
        NIGHT,
    ),
}

TWINS: Final = {
    f"{name}: {what}": twin
    for name, twins in (
        ("day", ORDINARY),
        ("load", UNDER_LOAD),
        ("faults", WRONG),
        ("chaos", CHAOS),
        ("ceiling", LIMITS),
        ("night", NIGHTLY),
    )
    for what, twin in twins.items()
}


@pytest.fixture(autouse=True)
def at_the_stand_in(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks AWS for something asks the stand-in."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8790")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.long if twin.long else ()) for what, twin in TWINS.items()]
)
def test_what_is_wrong_fails_and_nothing_else(what: str, tmp_path: Path) -> None:
    twin = TWINS[what]
    ran = run_placements(
        twin.name, tmp_path, profiles=twin.profiles, knobs={**twin.base, **twin.knobs}, sets=twin.sets,
        parts=twin.parts,
    )  # fmt: skip
    assert ran.failing == twin.fails, ran.told
    assert ran.report.verdict.value == "fail"


@pytest.mark.parametrize(
    ("name", "profile"),
    [("placements.yaml", "short"), ("placements.yaml", "soak"), (LOAD, "short"), (LOAD, "stress"),
     (FAULTS, "short"), (FAULTS, "chaos"), ("placements-ceiling.yaml", ""), (NIGHT, "short")],
)  # fmt: skip
def test_each_objective_has_a_run_in_which_it_fails(name: str, profile: str) -> None:
    config = part_of(load(CONFIGS / name, profiles=[profile] if profile else [], environ={}), ()).config
    asked = {objective.title for objective in config.slos}
    failed = set().union(*(twin.fails for twin in TWINS.values() if twin.name == name))
    assert asked - failed == set()
