"""The configs of builder and parser functions against their stand-in in virtual time, quick and made slow.

What evload found is held against the stand-in's own record. `make long` has the configs as they are, hours and all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.rigs.functions_in_virtual_time import Broker, Ran, simulate

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


def waited_s(ran: Ran, scenario: str) -> float:
    """When a scenario began its load, after it had waited, since the schedule began."""
    (ending,) = [one for one in ran.summary.vitals.endings if one.scenario == scenario]
    assert ending.at_ns is not None
    return ending.at_ns / 1e9


def failing(ran: Ran) -> set[str]:
    """The objectives that failed; all others have to be met."""
    results = ran.results()
    assert set(results.values()) <= {"pass", "fail"}, results
    return {title for title, result in results.items() if result == "fail"}


def seconds_when(ran: Ran, what: str, pods: int) -> list[float]:
    """When so many pods were ready after something, since the schedule began."""
    return [(line[0] - ran.start_ns) / 1e9 for line in ran.system.record.kept if line[1] == what and line[4] == pods]


def counts(ran: Ran) -> dict[str, int]:
    """What the record says came of the events: each once, whatever copies of it came."""
    lines = ran.system.record.kept
    came, done, lost = ({line[3] for line in lines if line[1] == what} for what in ("came", "done", "lost"))
    # Of an event that was sent again one copy may be lost and the other done.
    counted = {"came": len(came), "done": len(done), "lost": len(lost - done)}
    return counted | {"twice": sum(line[1] == "done" and line[4] > 1 for line in lines)}


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
    begins = waited_s(ran, "from-zero")
    (tenth,) = [at - begins for at in seconds_when(ran, "ready", 10) if at > begins]
    assert lower <= tenth <= upper
    (gone,) = [at for at in seconds_when(ran, "leaving", 0) if 13 < at < begins]
    assert begins - gone < 0.3


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
    """A minute later than in the file: the pods of the load before have to come and go."""
    later = ["scenarios.warm.start=60s", "scenarios.cold-start.start=61s"]
    ran = run("http-broker", "builders", tmp_path, "short", sets=later, idle_s=2.0, cold_start_ms=31_000.0)
    results = ran.results()
    assert results["max(end_to_end) < 10s [cold-start]"] == "fail"
    assert results["reach(replicas >= 1) < 10s [cold-start]"] == "fail"
    lower, upper = observed(ran, "max(end_to_end) < 10s", "cold-start")
    begins = waited_s(ran, "cold-start")
    first = min(at for at in seconds_when(ran, "ready", 1) if at > begins) - begins
    assert lower < first + 0.1
    assert first < upper
    assert results["lost == 0"] == "pass"
    ran = run("http-broker", "builders", tmp_path / "less", "short", sets=later, idle_s=2.0, cold_start_ms=12_000.0)
    assert ran.results()["max(end_to_end) < 10s [cold-start]"] == "warn"


def test_a_broker_that_answers_slowly_fails_the_throughput_and_nothing_else(tmp_path: Path) -> None:
    """120 events a second come, of which it confirms 40: all of them in the end."""
    asked = [
        "scenarios.spike.load=[{rate: 120/s, for: 12s}]",
        "scenarios.spike.start=20s",
        "scenarios.sustained.start=60s",
        "scenarios.from-zero.start=70s",
        "slos.4={objective: throughput(acked) > 100/s for 10s, critical: 50/s, scenario: spike}",
    ]
    confirms = Broker(answer_s=1 / 40)
    ran = run("knative-builders", "builders", tmp_path, "short", sets=asked, idle_s=10.0, broker=confirms)
    assert failing(ran) == {"throughput(acked) > 100/s for 10s [spike]"}
    # All of it was below, and the confirms that came later are too late.
    assert observed(ran, "throughput(acked) > 100/s for 10s", "spike") == (12, 12)
    assert (observed(ran, "rate(acked) > 99%"), observed(ran, "lost == 0")) == ((1, 1), (0, 0))
    quick = run("knative-builders", "builders", tmp_path / "quick", "short", sets=asked, idle_s=10.0)
    assert failing(quick) == set()


@pytest.mark.parametrize(("refuse", "result"), [(0.02, "warn"), (0.1, "fail")], ids=["2%", "10%"])
def test_a_broker_that_refuses_some_fails_the_publishing(refuse: float, result: str, tmp_path: Path) -> None:
    ran = run("knative-builders", "builders", tmp_path, "short", idle_s=2.0, broker=Broker(refuse=refuse))
    results, refused = ran.results(), sum(line[1] == "refused" for line in ran.system.record.kept)
    assert refused == int(1580 * refuse) == ran.summary.total().ledger["rejected"]
    assert results["rate(acked) > 99%"] == result
    assert observed(ran, "rate(acked) > 99%") == pytest.approx(((1580 - refused) / 1580,) * 2)
    assert results["rate(errors) <= 5% in any 1m"] == ("pass" if result == "warn" else "fail")
    # What was refused is known to be: nothing is missing, and nothing there is too much.
    assert results["lost == 0"] == results["duplicates == 0"] == "pass"
    assert results["throughput(acked) > 100/s [spike]"] == results["throughput(visible) > 50/s [sustained]"] == "pass"


def test_slow_functions_fail_what_is_asked_of_their_time_and_nothing_else(tmp_path: Path) -> None:
    """Each event takes eleven seconds: beyond the critical ten, and within the thirty of the cold start."""
    ran = run("http-broker", "builders", tmp_path, "short", service_ms=13_800.0, concurrency=300, target=100)
    assert ran.results() == {
        "reach(replicas == 0) < 15m": "pass",
        "reach(replicas >= 1) < 10s [cold-start]": "pass",
        "max(end_to_end) < 10s [cold-start]": "warn",
        "p95(end_to_end) < 3s [warm]": "fail",
        "p95(end_to_end) < 3s [steady]": "fail",
        "rate(acked) > 99%": "pass",
        "rate(status(202)) > 99%": "pass",
        "rate(errors) <= 5% in any 1m": "pass",
        "lost == 0": "pass",
        "duplicates == 0": "pass",
    }
    noted = ran.system.record.kept
    done = {line[3]: line[0] for line in noted if line[1] == "done"}
    slowest = max((done[line[3]] - line[0]) / 1e9 for line in [line for line in noted if line[1] == "came"][-20:])
    _, upper = observed(ran, "max(end_to_end) < 10s", "cold-start")
    assert 11 < slowest <= upper


@pytest.mark.parametrize(
    ("cold_start_ms", "result"),
    [
        pytest.param(500.0, "pass", id="0.5s"),
        pytest.param(35_000.0, "warn", id="35s", marks=pytest.mark.long),
        pytest.param(61_000.0, "fail", id="61s"),
    ],
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


# --- beyond what they are made for ------------------------------------------------------------------------

SLOW: Final = {
    "p95(end_to_end) < 3s [extreme-burst]", "p95(end_to_end) < 3s [deletions]",
    "recovery(p95(end_to_end) < 3s) < 5m [calm]", "recovery(p95(end_to_end) < 3s) < 5m [full-queue]",
    "max(end_to_end) < 10s [deletions]",
}  # fmt: skip
"""What is asked of the time that functions take under stress."""
NO_MORE_FITS: Final = "rate(status(429)) > 10%"


def told(ran: Ran) -> list[str]:
    """What was done to the system, by its own record."""
    return [line[2] for line in ran.system.record.kept if line[1] == "told"]


def refused(ran: Ran) -> dict[int, int]:
    """How many events the record says were refused, by status."""
    found = [line[2] for line in ran.system.record.kept if line[1] == "refused"]
    return {status: found.count(status) for status in sorted(set(found))}


def assert_all_is_accounted_for(ran: Ran, events: int) -> None:
    """What was refused, and what was done, is what the record says; and each action was undone."""
    ledger = ran.summary.total().ledger
    known = counts(ran)
    assert ledger["scheduled"] == events
    assert ledger["rejected"] == sum(refused(ran).values())
    assert ledger["acked"] == events - ledger["rejected"]
    assert (ledger["visible"], ledger["lost"]) == (known["done"], ledger["acked"] - known["done"])
    assert {marker.action for marker in ran.summary.markers} == {
        "pods-deleted", "connections-exhausted", "queue-full"
    }  # fmt: skip
    assert not any(marker.error or marker.undo_error for marker in ran.summary.markers)
    assert ran.system.broker.connections == 1000
    assert (ran.system.broker.backlog, ran.system.function.knobs.most) == (100_000, 10)


def test_what_is_too_much_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    ran = run("knative-stress", "parsers", tmp_path, "short")
    assert (failing(ran), ran.report.verdict.value) == (set(), "pass")
    assert_all_is_accounted_for(ran, 1950)
    assert told(ran) == [
        *["functions/parsers/kill"] * 4, "broker", "broker", "policy", "functions/parsers", "functions/parsers",
        "delete_policy",
    ]  # fmt: skip
    # The second without a connection has 50; the five without a function 500, for a hundred of which there is room.
    assert refused(ran) == {429: pytest.approx(400, abs=20), 503: 50}
    assert observed(ran, "rise(deleted) >= 1") == (4, 4)
    lines = ran.system.record.kept
    deleted = [line[0] for line in lines if line[1] == "killed"]
    again = [line[3] for line in lines if line[1] == "came"]
    assert len(deleted) == 4
    assert len(again) > len(set(again))  # what they were working on came again


LONG: Final = pytest.mark.long


@pytest.mark.parametrize(
    ("broken", "knobs", "fails"),
    [
        pytest.param(
            Broker(deaf={"functions/parsers/kill"}), {}, {"rise(deleted) >= 1"}, id="no pod was deleted", marks=LONG
        ),
        pytest.param(
            Broker(deaf={"broker"}), {}, {"rate(status(503)) > 90%"}, id="connections were left", marks=LONG
        ),
        pytest.param(Broker(deaf={"policy"}), {}, {NO_MORE_FITS, "max(backlog) < 400"}, id="no back-pressure"),
        pytest.param(
            Broker(deaf={"functions/parsers"}), {}, {NO_MORE_FITS}, id="the queue was never full", marks=LONG
        ),
        pytest.param(Broker(drops=True), {}, {NO_MORE_FITS, "lost == 0"}, id="thrown away in silence"),
        pytest.param(Broker(), {"twice": 0.02}, {"duplicates == 0"}, id="done twice", marks=LONG),
        pytest.param(
            Broker(), {"lose": 0.03}, {"lost == 0", "max(end_to_end) < 10s [deletions]"}, id="lost by functions"
        ),
    ],
)
def test_each_thing_that_is_wrong_fails_what_asks_for_it_and_nothing_else(
    broken: Broker, knobs: dict[str, float], fails: set[str], tmp_path: Path
) -> None:
    ran = run("knative-stress", "parsers", tmp_path, "short", broker=broken, **knobs)
    assert failing(ran) == fails
    ledger = ran.summary.total().ledger
    assert ledger["rejected"] == sum(refused(ran).values())
    assert ledger["visible"] == counts(ran)["done"]
    assert observed(ran, "lost == 0") == (ledger["acked"] - ledger["visible"],) * 2


def test_pods_that_are_too_few_fail_the_scaling_and_nothing_else(tmp_path: Path) -> None:
    """An autoscaler that wants another one for each thousand that wait; a minute to look on."""
    ran = run("knative-stress", "parsers", tmp_path, "short", sets=["observe=1m"], target=1000)
    assert failing(ran) == {"reach(replicas >= 10) < 30s [extreme-burst]"}


def test_slow_functions_under_stress_fail_what_is_asked_of_their_time(tmp_path: Path) -> None:
    """Each event takes half a minute, of as many at a time as there are. What the config puts back isn't that."""
    ran = run("knative-stress", "parsers", tmp_path, "short", service_ms=40_000.0, concurrency=5000)
    results = ran.results()
    assert {title for title, result in results.items() if result == "fail"} - SLOW == {"max(backlog) < 400"}
    assert {title for title, result in results.items() if result != "pass"} == SLOW | {"max(backlog) < 400"}
    assert results["lost == 0"] == results["in_doubt == 0"] == "pass"
    assert_all_is_accounted_for(ran, 1950)


# --- hours ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_builders_for_an_hour_as_they_stand_in_the_file(tmp_path: Path) -> None:
    ran = run("knative-builders", "builders", tmp_path)
    assert set(ran.results().values()) == {"pass"}
    assert counts(ran) == {"came": 372_200, "done": 372_200, "lost": 0, "twice": 0}


@pytest.mark.long
def test_stress_for_twenty_minutes_as_it_stands_in_the_file(tmp_path: Path) -> None:
    ran = run("knative-stress", "parsers", tmp_path)
    assert (failing(ran), ran.report.verdict.value) == (set(), "pass")
    assert_all_is_accounted_for(ran, 354_000)
    assert observed(ran, "rise(deleted) >= 1") == (15, 15)


@pytest.mark.long
def test_http_for_a_quarter_of_an_hour_slow(tmp_path: Path) -> None:
    """A single pod that does 40 events a second, of the 50 that come."""
    ran = run("http-broker", "builders", tmp_path, most=1, service_ms=250.0)
    results = ran.results()
    assert results["p95(end_to_end) < 3s [steady]"] == "fail"
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
