"""The read model in virtual time: chains, regions, copies, sessions, budgets, outages, runs that end early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evload.model.correlation import CorrelationIds
from evload.model.report import Result
from evload.model.states import State
from evload.model.summary import ScenarioSummary
from evload.model.travel import Observation, Part
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.sandbox.truth import Truth
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from evload.testing.virtual_time import VirtualClock
from tests.rigs import counted
from tests.rigs.contents import contents
from tests.rigs.ledgers import read_back
from tests.rigs.shares import seeds

MS = 1_000_000
S = 1_000 * MS


def world(**planted: Any) -> MemoryWorld:
    basis: dict[str, Any] = {"visibility": {"lognormal": {"median": "150ms", "p99": "500ms"}}, "workers": 50}
    return MemoryWorld(SandboxSettings.model_validate(basis | planted), answer=parse_delay("2ms"))


def load(rate: str, lasting: str) -> tuple[Mapping[str, Any], ...]:
    return ({"rate": rate, "for": lasting},)


def truth_of(run: Simulated, memory: MemoryWorld) -> list[tuple[Observation, Truth]]:
    ids, truths = CorrelationIds.for_run("simulation"), memory.truths()
    return [(seen, truths[ids.id_of(seen.seq)]) for seen in run.observations]


def result_of(run: Simulated, expression: str) -> Result:
    return next(o.result for o in run.report.objectives if o.expression == expression)


def nonzero(scenario: ScenarioSummary) -> dict[str, int]:
    """The counts that aren't 0."""
    return {name: n for name, n in scenario.ledger.items() if n}


def check(run: Simulated, name: str) -> Result:
    return next(c.result for c in run.report.checks if c.name == name)


# -- a chain over regions --------------------------------------------------------------------------------------

REGIONS = [{"name": "eu", "lag": "0ms"}, {"name": "us", "lag": "400ms"}]


def chain(memory: MemoryWorld, **more: Any) -> Simulation:
    probes: dict[str, Mapping[str, Any]] = {
        "processed": {"of": "effects", "bulk": 500, "confirm": {"reads": 1, "over": "1s"}},
        "read-model": {"bulk": 500, "confirm": {"reads": 1, "over": "1s"}},
    }
    return Simulation(
        memory, load("50/s", "10s"), probes=probes,
        replicas={"read-model": {"eu": {"replica": "eu"}, "us": {"replica": "us"}}}, **more,
    )  # fmt: skip


def test_every_hop_and_every_region_of_a_chain_holds_its_truth() -> None:
    memory = world(replicas=REGIONS)
    run = chain(memory).run()
    for seen, truth in truth_of(run, memory):
        processed, whole, eu, us = seen.parts
        assert truth.processed_ns is not None
        moments = (truth.processed_ns, truth.stable_visible_ns, truth.visible_ns["eu"], truth.visible_ns["us"])
        for part, moment in zip((processed, whole, eu, us), moments, strict=True):
            assert moment is not None
            assert brackets(part, seen, moment)
    scenario = run.summary.scenarios["main"]
    assert set(scenario.slices) == {"probe=processed", "probe=read-model", "replica=eu", "replica=us"}
    hop = scenario.slices["probe=read-model"].distributions["hop"]
    assert (hop.count, hop.censored) == (500, 0)
    true_hops = sorted(
        (truth.stable_visible_ns or 0) - (truth.processed_ns or 0) for _, truth in truth_of(run, memory)
    )
    for k in (250, 475, 495):
        low, high = hop.lower.at_rank(k), hop.upper.at_rank(k)
        assert low is not None
        assert high is not None
        assert low[0] <= true_hops[k - 1] <= high[1]
    assert (scenario.agreeing, scenario.asked) == (1500, 1500)
    assert scenario.ledger["non_monotonic"] > 400, "who reads in both regions goes back in time"


def brackets(part: Part, seen: Observation, moment: int) -> bool:
    lower = seen.sent_ns if part.stable_lower_ns is None else part.stable_lower_ns
    assert lower is not None
    assert part.stable_upper_ns is not None
    return lower <= moment <= part.stable_upper_ns


def test_the_hop_that_is_late_is_named() -> None:
    memory = world(replicas=REGIONS)
    run = chain(memory, slos=["p95(consistency) < 500ms"]).run()
    late = run.summary.scenarios["main"].late_hops
    assert set(late) == {"read-model"}
    assert late["read-model"] > 250


def test_objectives_about_a_probe_and_a_region() -> None:
    run = chain(
        world(replicas=REGIONS),
        slos=[
            {"text": "p95(consistency) < 450ms", "probe": "processed"},
            {"text": "p95(consistency) < 450ms", "replica": "eu"},
            {"text": "share(consistency < 450ms) >= 50%", "replica": "us"},
            {"text": "p90(hop) < 10s", "probe": "read-model"},
        ],
    ).run()  # fmt: skip
    results = [objective.result for objective in run.report.objectives]
    assert results[0] in (Result.PASS, Result.WARN)
    assert results[1] in (Result.PASS, Result.WARN)
    assert results[2:] == [Result.FAIL, Result.PASS]
    assert [objective.scope for objective in run.report.objectives][1:3] == ["replica=eu", "replica=us"]


def test_a_region_that_is_down_leaves_its_events_open() -> None:
    """What only one region showed is neither visible everywhere nor lost, and the verdict says so."""
    memory = world(replicas=REGIONS, faults=[{"what": "read-model-down", "at": "0s", "lasting": "1h"}])
    run = Simulation(
        memory, load("50/s", "5s"), slos=["p95(consistency) < 4s", "lost == 0"],
        probes={"read-model": {"bulk": 500, "of": "effects"}, "dead": {"bulk": 500}},
    ).run()  # fmt: skip
    ledger = run.summary.total().ledger
    assert (ledger["unobserved"], ledger["visible"], ledger["lost"]) == (250, 0, 0)
    assert run.report.verdict is Result.INCONCLUSIVE
    assert {objective.result for objective in run.report.objectives} == {Result.INCONCLUSIVE}
    assert all(seen.stable_upper_ns is None for seen in run.observations)


# -- copies, sessions ------------------------------------------------------------------------------------------


def test_copies_are_sent_on_purpose_and_never_enter_the_ledger() -> None:
    memory = world()
    scenario = {"main": {"load": load("50/s", "10s"), "resend": {"share": "20%", "copies": 3, "after": "200ms"}}}
    run = Simulation(memory, scenarios=scenario, slos=["duplicates == 0"]).run()
    ledger = run.summary.total().ledger
    resent = sum(seen.resent for seen in run.observations)
    assert 60 < resent < 140
    assert (ledger["scheduled"], ledger["acked"], ledger["resent"]) == (500, 500, resent)
    assert run.summary.vitals.copies == {"accepted": 3 * resent}
    assert len(memory.arrived) == 500 + 3 * resent
    assert sorted(set(memory.arrived)) == sorted(truth.correlation_id for truth in memory.world.truths())
    assert run.summary.total().tallies["effects"] == {1: 500}, "the pipeline is idempotent"
    assert result_of(run, "duplicates == 0") is Result.PASS


def test_effects_that_come_with_the_last_copy_are_seen() -> None:
    """A second effect long after the first: only an event that is watched until then shows it."""
    memory = world(duplicates={"share": "100%", "after": "3s"})
    scenario = {"main": {"load": load("20/s", "5s"), "resend": {"share": "50%", "copies": 1, "after": "4s"}}}
    probe = {"bulk": 500, "confirm": {"reads": 2, "over": "1s"}}
    run = Simulation(memory, scenarios=scenario, probe=probe).run()
    for seen in run.observations:
        assert seen.effects == (2 if seen.resent else 1)


def test_stopping_sends_no_more_copies() -> None:
    memory = world()
    scenario = {"main": {"load": load("10/s", "60s"), "resend": {"share": "100%", "copies": 5, "after": "10s"}}}
    run = Simulation(
        memory, scenarios=scenario, settle_ns=2 * S,
        at=lambda engine: engine_loop().call_later(15.0, engine.stop) and None,
    ).run()  # fmt: skip
    assert run.summary.vitals.interrupted
    assert len(memory.arrived) < 160 + 60
    assert run.summary.vitals.duration_ns < 20 * S


def engine_loop() -> Any:
    import asyncio

    return asyncio.get_running_loop()


def test_a_session_that_reads_its_own_write_too_early_is_counted() -> None:
    run = Simulation(
        world(), load("50/s", "10s"), probe={"bulk": 500, "session": True}, slos=["rate(unread_writes) < 50%"]
    ).run()
    total = run.summary.total()
    assert total.known["session"] == 500
    assert total.ledger["unread_writes"] == 500, "nothing is visible right after the ack here"
    assert result_of(run, "rate(unread_writes) < 50%") is Result.FAIL
    at_once = Simulation(
        world(visibility="0ms", service="0ms"), load("50/s", "10s"), probe={"bulk": 500, "session": True}
    ).run()
    assert (at_once.summary.total().known["session"], at_once.summary.total().ledger["unread_writes"]) == (500, 0)


# -- the budget of reads ---------------------------------------------------------------------------------------


def test_a_budget_widens_brackets_openly_and_none_is_wrong() -> None:
    slos = ["share(consistency < 1s) >= 90%"]
    # A slow read model, so that far more reads would be due than are allowed.
    free, tight = (
        (memory, Simulation(memory, load("100/s", "20s"), slos=slos, probe={"bulk": 500, **probe}).run())
        for memory, probe in ((world(), {}), (world(), {"max_reads": "1000/s"}))
    )
    for memory, run in (free, tight):
        for seen, truth in truth_of(run, memory):
            assert seen.stable_upper_ns is not None
            assert truth.stable_visible_ns is not None
            assert (seen.stable_lower_ns or 0) <= truth.stable_visible_ns <= seen.stable_upper_ns
    reads = [run.summary.vitals.probes["memory"] for _, run in (free, tight)]
    assert reads[0].busiest > 1500
    assert (reads[0].stretch, reads[1].busiest <= 1000) == (1.0, True)
    assert reads[1].stretch > 1.5
    assert reads[1].events < reads[0].events
    assert check(tight[1], "observer effect") is Result.PASS
    assert "widened" in next(c.note for c in tight[1].report.checks if c.name == "observer effect")
    assert result_of(tight[1], slos[0]) in (Result.PASS, Result.WARN), "the threshold is still read at"


class CostlyWorld(MemoryWorld):
    """Each event read takes so much of the generator's core."""

    read_ns = 0
    used_ns = 0

    def is_too_much(self, now_ns: int, reads: int) -> bool:
        self.used_ns += reads * self.read_ns
        return super().is_too_much(now_ns, reads)


@pytest.mark.parametrize(("read_ns", "widened"), [(150_000, False), (400_000, True)])
def test_a_busy_core_widens_brackets_openly_and_none_is_wrong(
    read_ns: int, widened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slos = ["share(consistency < 1s) >= 90%"]
    basis = {"visibility": {"lognormal": {"median": "1s", "p99": "3s"}}, "workers": 500}
    memory = CostlyWorld(SandboxSettings.model_validate(basis), answer=parse_delay("2ms"))
    memory.read_ns = read_ns
    monkeypatch.setattr(VirtualClock, "cpu_ns", lambda clock: memory.used_ns)
    run = Simulation(memory, load("60/s", "12s"), slos=slos, probe={"bulk": 1}).run()
    vitals = run.summary.vitals
    assert vitals.cpu_share is not None
    assert 0.4 < vitals.cpu_share < 0.8, "it would be 1.27 without"
    assert check(run, "headroom") is Result.PASS
    assert (vitals.probes["memory"].stretch > 1) is widened
    told = next(c.note for c in run.report.checks if c.name == "observer effect")
    assert ("gaps were widened" in told) is widened
    for seen, truth in truth_of(run, memory):
        assert seen.stable_upper_ns is not None
        assert truth.stable_visible_ns is not None
        assert (seen.stable_lower_ns or 0) <= truth.stable_visible_ns <= seen.stable_upper_ns
    assert check(run, "resolution") is Result.PASS, "the threshold is still read at"


def test_a_read_model_that_refuses_reads_is_left_in_peace() -> None:
    memory = world()
    memory.most_reads = 900
    run = Simulation(memory, load("100/s", "20s"), probe={"bulk": 100}).run()
    reads = run.summary.vitals.probes["memory"]
    assert reads.throttled > 0
    assert reads.stretch > 1.5
    assert reads.throttled < reads.requests / 5, "it backs off instead of asking again and again"
    assert check(run, "observer effect") is Result.WARN, "a tenth of a percent of refused reads is worth saying"
    for seen, truth in truth_of(run, memory):
        if seen.stable_upper_ns is not None and truth.stable_visible_ns is not None:
            assert (seen.stable_lower_ns or 0) <= truth.stable_visible_ns <= seen.stable_upper_ns
    assert any("too many reads" in incident.reason for incident in run.summary.vitals.incidents)


def test_a_plan_that_learns_reads_less_and_holds_every_truth() -> None:
    reads, widths = {}, {}
    for plan in ("geometric", "adaptive"):
        memory = world()
        run = Simulation(memory, load("100/s", "20s"), probe={"bulk": 500, "reading": plan}).run()
        relative = []
        for seen, truth in truth_of(run, memory):
            assert seen.stable_upper_ns is not None
            assert truth.stable_visible_ns is not None
            assert seen.acked_ns is not None
            lower = seen.stable_lower_ns or seen.acked_ns
            assert lower <= truth.stable_visible_ns <= seen.stable_upper_ns
            relative.append((seen.stable_upper_ns - lower) / (seen.stable_upper_ns - seen.acked_ns))
        reads[plan] = run.summary.vitals.event_reads / 2000
        widths[plan] = sorted(relative)[len(relative) // 2]
    assert reads["adaptive"] < 0.85 * reads["geometric"], "five of the reads of each plan confirm"
    assert widths["adaptive"] < 1.2 * widths["geometric"]


# -- outages ---------------------------------------------------------------------------------------------------


def test_ten_seconds_without_the_read_model_are_an_incident_and_no_wrong_window() -> None:
    memory = world(faults=[{"what": "read-model-down", "at": "10s", "lasting": "10s"}])
    run = Simulation(memory, load("50/s", "30s"), slos=["p95(consistency) < 1s"], probe={"bulk": 500}).run()
    for seen, truth in truth_of(run, memory):
        assert truth.stable_visible_ns is not None
        if seen.stable_upper_ns is not None:
            assert (seen.stable_lower_ns or 0) <= truth.stable_visible_ns <= seen.stable_upper_ns
        assert seen.state is State.VISIBLE, "it came back before the deadline"
    (incident,) = run.summary.vitals.incidents
    assert (incident.source, incident.reason) == ("memory", "the read model is down")
    assert 9.5 * S < incident.first_ns < 11 * S
    assert 19 * S < incident.last_ns < 21 * S
    assert run.report.verdict is Result.INCONCLUSIVE, "what it hid could be on either side of the limit"
    assert check(run, "observer effect") is Result.WARN


# -- ending early ----------------------------------------------------------------------------------------------


def test_a_hopeless_objective_ends_the_run_and_the_ledger_tells_the_same(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    memory = world(loss="20%")
    objective = {"text": "share(end_to_end < 2s) >= 95%", "abort_after_ns": 10 * S}
    run = Simulation(memory, load("10/s", "10m"), slos=[objective], ledger_path=path).run()
    vitals = run.summary.vitals
    assert vitals.aborted == "share(end_to_end < 2s) >= 95%"
    assert vitals.duration_ns < 120 * S, "eight windows of 10 s tell whether events share their fate"
    assert not vitals.interrupted
    assert run.report.verdict is Result.FAIL
    rebuilt = read_back(path)
    assert contents(rebuilt.summary) == contents(run.summary)
    assert rebuilt.summary.vitals.abort_note == vitals.abort_note != ""


def test_a_good_run_is_not_ended() -> None:
    objective = {"text": "share(end_to_end < 2s) >= 95%", "abort_after_ns": S}
    run = Simulation(world(), load("15/s", "60s"), slos=[objective, "lost == 0"]).run()
    assert run.summary.vitals.aborted == ""
    assert run.report.verdict is Result.PASS


# -- the worst events ------------------------------------------------------------------------------------------


def test_the_worst_events_are_named_with_their_timeline(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    memory = world(loss="2%", duplicates={"share": "2%"})
    run = Simulation(
        memory, load("50/s", "20s"), ledger_path=path, key="{data.group}",
        slos=["lost == 0", "duplicates == 0", "p99(consistency) < 300ms", "max(publish) < 10s"],
    ).run()  # fmt: skip
    truths = memory.truths()
    lost, doubled, slow, fine = run.report.objectives
    assert {event.correlation_id for event in lost.worst} <= {t.correlation_id for t in truths.values() if t.lost}
    assert len(lost.worst) == 10
    assert all(truths[event.correlation_id].effects == 2 for event in doubled.worst)
    assert fine.worst == ()
    assert [event.state for event in slow.worst] == ["lost"] * 10, "never is worse than late"
    event = doubled.worst[0]
    assert event.traceparent == f"00-{event.correlation_id.replace('-', '')}-{event.traceparent[36:52]}-01"
    what = [text for _, text in event.log]
    assert what[0] == "due"
    assert any("acked after" in text for text in what)
    assert any("first seen" in text for text in what)
    assert "2 effects" in what[-1]
    assert [at for at, _ in event.log] == sorted(at for at, _ in event.log)


def test_the_parts_of_a_chain_are_folded_the_same_from_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    simulation = chain(
        world(replicas=REGIONS, loss="1%"),
        slos=[
            {"text": "p95(hop) < 1s", "probe": "read-model"},
            {"text": "share(consistency < 1s) >= 90% in any 2s"},
            {"text": "rate(errors) < 1% in any 2s"},
            {"text": "share(end_to_end < 1s) >= 90%", "key": "1*"},
        ],
        key="{data.group}",
    )  # fmt: skip
    live = replace(simulation, ledger_path=path).run()
    assert contents(read_back(path).summary) == contents(live.summary)
    # Both come out of the same fold, so what it gets wrong it gets wrong twice.
    main = live.summary.scenarios["main"]
    whole = {"scheduled": 500, "acked": 500, "visible": 492, "lost": 8}
    assert nonzero(main) == {**whole, "non_monotonic": 492} == counted.ledger(path)
    for label in ("probe=processed", "probe=read-model", "replica=eu", "replica=us"):
        part = main.slices[label]
        assert nonzero(part) == whole
        assert (part.distributions["consistency"].count, part.distributions["consistency"].censored) == (500, 8)
    views = Counter((part["probe"], part["replica"], part["state_name"]) for part in counted.parts(path))
    assert views == {
        (probe, replica, state): whole[state]
        for probe, replica in ((0, None), (1, None), (1, "eu"), (1, "us"))
        for state in ("visible", "lost")
    }
    assert nonzero(main.slices["key=1*"]) == {
        "scheduled": 261, "acked": 261, "visible": 258, "lost": 3, "non_monotonic": 258
    }  # fmt: skip
    groups = [row["key"] for row in counted.rows(path)]
    assert sum(group.startswith("1") for group in groups) == 261
    assert (main.agreeing, main.asked) == (3 * 492, 3 * 500), "two regions and the probe before them, of each event"
    assert main.late_hops == {"processed": 8, "read-model": 2}, "the lost ones were never processed"
    consistency = main.distributions["consistency"]
    at_limit = consistency.thresholds[S]
    assert (at_limit.within, at_limit.beyond) == (490, 10)
    assert counted.around(path, "consistency", S) == (500, 8, 490, 10)
    hop = main.slices["probe=read-model"].distributions["hop"]
    assert (hop.count, hop.censored, hop.thresholds[S].within, hop.thresholds[S].beyond) == (492, 0, 490, 1)
    steps = consistency.steps[S, 200 * MS]
    late = [
        row["intended_ns"] // (200 * MS)
        for row in counted.rows(path)
        if row["stable_upper_ns"] is None or row["stable_upper_ns"] - row["acked_ns"] > S
    ]
    assert len(late) == 10
    assert (list(steps.events), list(steps.beyond)) == ([10] * 50, [late.count(step) for step in range(50)])
    assert list(steps.within) == [10 - late.count(step) for step in range(50)]
    errors = main.counter_steps["errors", 200 * MS]
    assert (list(errors.events), sum(errors.beyond)) == ([10] * 50, 0)


@pytest.mark.parametrize("seed", seeds(3, 1))
def test_part_states_close_like_the_ledger(seed: int) -> None:
    run = chain(world(replicas=REGIONS, loss="3%", seed=seed), seed=seed).run()
    for part in run.summary.scenarios["main"].slices.values():
        states = sum(part.ledger[name] for name in ("visible", "ended", "lost", "regressed", "pending", "unobserved"))
        assert part.ledger["acked"] == states == 500
        assert part.ledger["scheduled"] == 500


def test_a_budget_that_is_not_used_up_changes_no_read() -> None:
    reads = {}
    for limit in (None, "100000/s"):
        simulation = Simulation(world(), load("20/s", "5s"), probe={"bulk": 1, "parallel": 64, "max_reads": limit})
        counted = simulation.run()
        reads[limit] = (counted.summary.vitals.read_requests, counted.summary.vitals.event_reads)
    assert reads[None] == reads["100000/s"]
