"""A probe that never saw anything is no evidence, neither of losses nor of times."""

from __future__ import annotations

from typing import Any

from evload.model.report import Report, Result
from evload.sandbox.settings import SandboxSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation

OBJECTIVES = ("errors == 0", "lost == 0", "p99(consistency) < 2s", "p99(publish) < 1s", "regressions == 0")


def report(loss: float = 1.0, slos: tuple[str, ...] = OBJECTIVES, **more: Any) -> Report:
    """Of 500 events of which this share is never applied."""
    world = MemoryWorld(SandboxSettings.model_validate({"loss": f"{loss:%}"}))
    probe = {"bulk": 500, "deadline": "6s"}
    return Simulation(world, load=[{"rate": "100/s", "for": "5s"}], slos=slos, probe=probe, **more).run().report


def results(told: Report) -> dict[str, Result]:
    """By expression."""
    return {one.expression: one.result for one in told.objectives}


def test_what_hangs_on_it_is_inconclusive_and_says_what_was_answered_instead() -> None:
    told = report()
    assert results(told) == {
        "errors == 0": Result.PASS, "lost == 0": Result.INCONCLUSIVE, "p99(consistency) < 2s": Result.INCONCLUSIVE,
        "p99(publish) < 1s": Result.PASS, "regressions == 0": Result.INCONCLUSIVE,
    }  # fmt: skip
    reads = told.summary.vitals.probes["memory"].requests
    lost = next(one for one in told.objectives if one.expression == "lost == 0")
    assert lost.note == f"memory never saw any of 500 events: all {reads} reads answered nothing of it"
    assert told.verdict is Result.INCONCLUSIVE


def test_also_where_nobody_asks() -> None:
    assert report(slos=()).verdict is Result.INCONCLUSIVE
    assert report(slos=("errors == 0",)).verdict is Result.INCONCLUSIVE


def test_one_event_that_is_seen_makes_the_others_lost() -> None:
    told = report(loss=0.99)
    assert told.summary.total().ledger["visible"] > 0
    assert results(told)["lost == 0"] is Result.FAIL
    assert told.verdict is Result.FAIL


def test_an_objective_that_ended_the_run_is_no_evidence_either() -> None:
    slo = {"text": "lost == 0", "abort_after_ns": 0}
    world = MemoryWorld(SandboxSettings.model_validate({"loss": "100%"}))
    told = Simulation(world, load=[{"rate": "50/s", "for": "60s"}], slos=[slo], probe={"deadline": "2s"}).run().report
    assert told.summary.vitals.aborted
    assert (told.verdict, results(told)["lost == 0"]) == (Result.INCONCLUSIVE, Result.INCONCLUSIVE)
