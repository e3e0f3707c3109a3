"""The configs of builder and parser functions against their stand-in in virtual time, quick and made slow.

What evload found is held against the stand-in's own record. `make long` has the configs as they are, hours and all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.rigs.functions_in_virtual_time import Ran, simulate

CONFIGS: Final = Path(__file__).parents[2] / "configs"


def run(name: str, function: str, directory: Path, *profiles: str, **settings: Any) -> Ran:
    directory.mkdir(exist_ok=True)
    return simulate(CONFIGS / f"{name}.yaml", function, directory / "events.sqlite", profiles=profiles, **settings)


def observed(ran: Ran, expression: str, scenario: str | None = None) -> tuple[float, float]:
    (one,) = [
        one for one in ran.report.objectives if one.expression == expression and one.scenario in (None, scenario)
    ]
    lower, upper = one.observed
    assert lower is not None
    assert upper is not None
    return lower, upper


def seconds_when(ran: Ran, what: str, pods: int) -> list[float]:
    """When so many pods were ready after something, since the schedule began."""
    return [(line[0] - ran.start_ns) / 1e9 for line in ran.system.record.kept if line[1] == what and line[4] == pods]


def counts(ran: Ran) -> dict[str, int]:
    """What the record says came of the events: each once, whatever copies of it came."""
    lines = ran.system.record.kept
    return {what: len({line[3] for line in lines if line[1] == what}) for what in ("came", "done", "lost")} | {
        "twice": sum(line[1] == "done" and line[4] > 1 for line in lines)
    }


BUILDERS: Final = (
    "p95(end_to_end) < 1s [baseline]", "rate(acked) > 99.9% [baseline]", "p95(end_to_end) < 3s", "rate(acked) > 99%",
    "throughput(acked) > 100/s [spike]", "throughput(visible) > 50/s [sustained]", "reach(replicas == 0) < 10m",
    "reach(replicas >= 10) < 30s [from-zero]", "max(end_to_end) < 10s [from-zero]",
    "recovery(p95(end_to_end) < 3s) < 5m", "drain(backlog <= 100) < 5m", "rate(errors) <= 5% in any 1m",
    "p95(end_to_end) < 10s in any 1m", "last(queue_depth) < 100",
)  # fmt: skip
"""What is asked of builders, whatever the profile."""


def test_quick_builders_pass_and_the_record_says_the_same(tmp_path: Path) -> None:
    ran = run("knative-builders", "builders", tmp_path, "short", idle_s=2.0)
    results = ran.results()
    assert {title: results[title] for title in BUILDERS} == dict.fromkeys(BUILDERS, "pass")
    assert set(results.values()) == {"pass"}
    assert counts(ran) == {"came": 1580, "done": 1580, "lost": 0, "twice": 0}
    assert (observed(ran, "sent >= 1000"), observed(ran, "lost == 0")) == ((1580, 1580), (0, 0))
    # From zero, after the pods of the load before were gone, to ten.
    lower, upper = observed(ran, "reach(replicas >= 10) < 30s", "from-zero")
    (tenth,) = [at - 18 for at in seconds_when(ran, "ready", 10) if at > 18]
    assert lower <= tenth <= upper
    assert any(13 < at < 18 for at in seconds_when(ran, "stopped", 0))


def test_what_is_lost_or_done_twice_fails_what_asks_for_it(tmp_path: Path) -> None:
    ran = run("knative-builders", "builders", tmp_path, "short", idle_s=2.0, lose=0.03, twice=0.02)
    results, told = ran.results(), counts(ran)
    assert (results["lost == 0"], results["duplicates == 0"]) == ("fail", "fail")
    assert told["lost"] > 20
    assert told["twice"] > 10
    assert observed(ran, "lost == 0") == (told["lost"], told["lost"])
    assert observed(ran, "duplicates == 0") == (told["twice"], told["twice"])
    assert results["rate(acked) > 99%"] == results["reach(replicas >= 10) < 30s [from-zero]"] == "pass"


def test_pods_that_take_long_to_start_fail_the_cold_start_and_the_scaling(tmp_path: Path) -> None:
    ran = run("http-broker", "builders", tmp_path, "short", cold_start_ms=31_000.0)
    results = ran.results()
    assert results["max(end_to_end) < 10s [cold-start]"] == "fail"
    assert results["reach(replicas >= 1) < 10s [cold-start]"] == "fail"
    lower, upper = observed(ran, "max(end_to_end) < 10s", "cold-start")
    (first,) = seconds_when(ran, "ready", 1)
    assert first - 1 < upper
    assert lower < first
    assert results["lost == 0"] == "pass"
    ran = run("http-broker", "builders", tmp_path / "less", "short", cold_start_ms=12_000.0)
    assert ran.results()["max(end_to_end) < 10s [cold-start]"] == "warn"


@pytest.mark.parametrize(
    ("cold_start_ms", "result"), [(500.0, "pass"), (35_000.0, "warn"), (61_000.0, "fail")], ids=["0.5s", "35s", "61s"]
)
def test_parsers_scale_to_ten_pods_within_two_limits(cold_start_ms: float, result: str, tmp_path: Path) -> None:
    """With a minute of nothing behind the load, in which the pods become ready."""
    last = "scenarios.calm.load=[{rate: 50/s, for: 3s}, {idle: 1m}]"
    ran = run("knative-parsers", "parsers", tmp_path, "short", sets=[last], cold_start_ms=cold_start_ms)
    assert ran.results()["reach(replicas >= 10) < 30s [block-burst]"] == result
    if result == "pass":
        assert set(ran.results().values()) == {"pass"}
    lower, upper = observed(ran, "reach(replicas >= 10) < 30s", "block-burst")
    (tenth, *_) = seconds_when(ran, "ready", 10)
    assert lower <= tenth <= upper


# --- hours ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_builders_for_an_hour_as_they_stand_in_the_file(tmp_path: Path) -> None:
    ran = run("knative-builders", "builders", tmp_path)
    assert set(ran.results().values()) == {"pass"}
    assert counts(ran) == {"came": 372_200, "done": 372_200, "lost": 0, "twice": 0}


@pytest.mark.long
def test_http_for_a_quarter_of_an_hour_slow(tmp_path: Path) -> None:
    """A single pod that does 40 events a second, of the 50 that come."""
    ran = run("http-broker", "builders", tmp_path, most=1, service_ms=250.0)
    results = ran.results()
    assert results["p95(end_to_end) < 3s [steady]"] == results["p95(end_to_end) < 10s in any 1m"] == "fail"
    assert results["max(end_to_end) < 10s [cold-start]"] == results["rate(acked) > 99%"] == "pass"
    shown = {line[3]: line[0] for line in ran.system.record.kept if line[1] == "done"}
    waited = [shown[line[3]] - line[0] for line in ran.system.record.kept if line[1] == "came"]
    assert max(waited) > 10e9


@pytest.mark.long
@pytest.mark.parametrize(("leak", "result"), [(0, "pass"), (8192, "fail")], ids=["sound", "leaks"])
def test_eight_hours_tell_a_leak(leak: int, result: str, tmp_path: Path) -> None:
    """At an event a second, each of which leaves 8 KiB in its pod: 29 MB an hour."""
    load = ["scenarios.soak.load=[{rate: 1/s, for: 8h}]", "slos.9=throughput(acked) >= 0.9/s in any 10m"]
    ran = run("knative-endurance", "builders", tmp_path, sets=load, leak=leak)
    results = ran.results()
    assert results.pop("growth(memory) < 10MB/h") == result
    assert set(results.values()) == {"pass"}
    if leak:
        lower, upper = observed(ran, "growth(memory) < 10MB/h")
        assert lower <= 3600 * leak <= upper
