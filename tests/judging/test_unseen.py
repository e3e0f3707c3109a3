"""A probe that never saw anything is no evidence, neither of losses nor of times."""

from __future__ import annotations

from typing import Any, Final

import pytest

from evload.judging.unseen import unseen
from evload.model.report import Report, Result
from evload.model.summary import ScenarioSummary, Summary, slice_label
from evload.model.vitals import ReadVitals, Vitals
from evload.objectives.grammar import parse
from evload.objectives.scenario import ScenarioCriteria
from evload.sandbox.settings import SandboxSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation
from tests.rigs.summaries import S, run_of, scenario

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


# -- which probe, and what it was answered -----------------------------------------------------------------------


ALONE: Final = {"s0": ScenarioCriteria(0, S, probes=("bus",))}


@pytest.mark.parametrize(
    ("reads", "instead"),
    [
        (None, ": nothing arrived"),
        (ReadVitals(), ": nothing arrived"),
        (ReadVitals(requests=9, blanks={"404": 9}), ": all 9 reads answered 404"),
        (
            ReadVitals(requests=12, failed=2, blanks={"204": 3, "404": 7}),
            ": of 12 reads 7 answered 404, 3 answered 204, 2 failed",
        ),
        (ReadVitals(requests=9, failed=2, blanks={"404": 7}), ": of 9 reads 7 answered 404, 2 failed"),
        (ReadVitals(requests=9, failed=9), ": of 9 reads 9 failed"),
        (ReadVitals(requests=9), ""),
    ],
    ids=["pushed", "never asked", "all the same", "several", "some failed", "all failed", "no words"],
)
def test_it_is_told_what_the_probe_was_answered(reads: ReadVitals | None, instead: str) -> None:
    vitals = Vitals(probes={} if reads is None else {"bus": reads})
    assert unseen(run_of(scenario(lost=5), vitals=vitals), ALONE) == f"bus never saw any of 5 events{instead}"


@pytest.mark.parametrize("state", ["visible", "regressed", "recovered"])
def test_one_event_that_it_saw_is_enough(state: str) -> None:
    one: dict[str, Any] = {state: 1}
    assert unseen(run_of(scenario(lost=5, **one)), ALONE) == ""
    assert unseen(run_of(scenario(pending=5)), ALONE) == "", "nothing is lost so far"


def _two() -> tuple[Summary, dict[str, ScenarioCriteria]]:
    """The second of three scenarios is followed by two probes, of which the second is blind, and so is that of the
    third; of the first nothing is known yet."""
    both: ScenarioSummary = scenario(visible=5)
    both.slices = {slice_label(probe="bus"): scenario(visible=5), slice_label(probe="index"): scenario(lost=5)}
    summary = Summary(scenarios={"both": both, "other": scenario(lost=7)})
    terms = {"none": ("audit",), "both": ("bus", "index"), "other": ("audit",)}
    return summary, {name: ScenarioCriteria(0, S, probes=probes) for name, probes in terms.items()}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (None, "index never saw any of 5 events: nothing arrived"),
        ({}, "index never saw any of 5 events: nothing arrived"),
        ({"scenario": "both"}, "index never saw any of 5 events: nothing arrived"),
        ({"scenario": "other"}, "audit never saw any of 7 events: nothing arrived"),
        ({"probe": "index"}, "index never saw any of 5 events: nothing arrived"),
        ({"probe": "audit"}, "audit never saw any of 7 events: nothing arrived"),
        ({"probe": "bus"}, ""),
        ({"scenario": "both", "probe": "bus"}, ""),
        ({"scenario": "none"}, ""),
    ],
)
def test_an_objective_hangs_on_the_probes_that_it_asks(part: dict[str, Any] | None, said: str) -> None:
    summary, terms = _two()
    assert unseen(summary, terms, None if part is None else parse("lost == 0", **part)) == said
