"""What is due in the warm-up of a scenario is sent, followed and written down, and no objective asks for it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from evload.formats import csv as tables
from evload.formats.measures import of_report
from evload.judging.checks.generator import arrival_shape, steady_state
from evload.ledger.reader import LedgerReader
from evload.model.phases import Course, Ending
from evload.model.progress import Progress
from evload.model.report import Report, Result
from evload.model.states import State
from evload.model.summary import Summary
from evload.objectives.scenario import ScenarioCriteria
from evload.report.build import build_again
from evload.report.document import document
from evload.run.feasibility import prospects
from evload.sandbox.settings import SandboxSettings
from evload.summary.fold_plan import ScenarioPlan
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from evload.workload.schedule import Arrivals, Load, events_before
from evload.workload.segment import Segment
from tests.rigs.by_hand import LOST, NEVER, VISIBLE, T, event, fold, through_the_ledger, told
from tests.rigs.ledgers import read_back

LOAD = ({"rate": "10/s", "for": "20s"},)
COLD = {"loss": "100%", "visibility": "900ms"}
SLOS = ("p95(consistency) < 500ms", "lost == 0", "errors == 0", "throughput(acked) >= 9/s")


def cold_start(path: Path | None = None, *, warmup: str | None = "10s", cold: float = 8.0, **more: Any) -> Simulated:
    """A system that loses everything for its first eight seconds."""
    world = MemoryWorld(SandboxSettings.model_validate({**COLD, "draws": "event"}))

    def warm_up(_: object) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(cold, lambda: world.world.change(0, {"loss": "0%", "visibility": "50ms"}))

    scenario = {"load": LOAD, **({} if warmup is None else {"warmup": warmup}), **more.pop("scenario", {})}
    settings = {"slos": SLOS, "probe": {"bulk": 500, "deadline": "3s"}, "scenarios": {"main": scenario}} | more
    return Simulation(world, at=warm_up, ledger_path=path, **settings).run()


def test_a_system_that_is_slow_to_start_passes_by_what_it_does_once_it_is_warm(tmp_path: Path) -> None:
    assert cold_start(warmup=None).report.verdict is Result.FAIL
    report = cold_start(tmp_path / "events.sqlite").report
    assert {one.expression: one.result for one in report.objectives} == dict.fromkeys(SLOS, Result.PASS)
    whole = document(report)
    assert (whole["ledger"]["scheduled"], whole["ledger"]["visible"], whole["ledger"]["lost"]) == (100, 100, 0)
    assert whole["distributions"]["consistency"]["count"] == 100
    assert whole["span"] == 9.9
    apart = whole["scenarios"]["main"]["warmup"]
    assert apart == whole["warmup"], "there is no other scenario"
    assert (apart["ledger"]["scheduled"], apart["ledger"]["acked"]) == (100, 100)
    assert (apart["ledger"]["lost"], apart["ledger"]["visible"]) == (80, 20)
    assert apart["distributions"]["consistency"]["censored"] == 80
    assert next(check for check in report.checks if check.name == "ledger closes").result is Result.PASS


def test_the_report_says_what_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    report = cold_start(path).report
    (told,) = [one for one in report.insights if one.kind == "warm-up"]
    assert told.sentence == "100 events of the warm-up of main are left out of all figures; of them 80 lost."
    assert dict(told.evidence) == {"scenario": "main", "events": 100, "lost": 80}
    assert not any(one.kind == "lost" for one in report.insights)
    (events,) = [one for one in of_report(report) if one.name == "warmup_events"]
    assert ({"state": "lost", "scenario": "main"}, 80) in events.points
    assert report.timeline is not None
    rows = [row.split(",") for row in tables.series(report.timeline).decode().splitlines()]
    lost, warm, start = (rows[0].index(name) for name in ("lost", "warmup", "start_s"))
    assert sum(int(row[lost]) for row in rows[1:]) == 80, "over time all is told"
    assert {row[warm] for row in rows[1:] if float(row[start]) < 10} == {"1"}
    assert {row[warm] for row in rows[1:] if float(row[start]) >= 10} == {"0"}


def test_the_ledger_alone_tells_the_same(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    run = cold_start(path, key="{data.group}", slos=(*SLOS, {"text": "lost == 0", "key": "1*"}))
    again = read_back(path)
    assert again.summary.scenarios == run.summary.scenarios
    assert again.criteria.scenarios == run.prepared.criteria.scenarios
    with LedgerReader(path) as reader:
        assert document(build_again(reader, tmp_path))["objectives"] == document(run.report)["objectives"]


def test_no_event_of_it_is_among_the_worst(tmp_path: Path) -> None:
    report = cold_start(tmp_path / "events.sqlite", cold=10.5, key="{data.group}").report
    worst = [one for objective in report.objectives for one in objective.worst]
    assert {one.state for one in worst} == {"lost"}
    assert all(one.log[0][0] >= 10 for one in worst)
    (lost,) = [one for one in report.insights if one.kind == "lost"]
    assert lost.evidence["events"] == report.summary.total().ledger["lost"] < 10
    assert lost.span_ns is not None
    assert lost.span_ns[0] >= 10_000_000_000
    assert report.timeline is not None
    befell = report.timeline.keys.get(("main", "lost"), ())
    assert sum(count for _, count in befell) <= report.summary.total().ledger["lost"]


def test_it_ends_no_run(tmp_path: Path) -> None:
    slos = [{"text": text, "abort_after_ns": 0} for text in ("lost == 0", "p95(end_to_end) < 1s", "lost <= 3")]
    assert cold_start(warmup=None, slos=slos).summary.vitals.aborted
    assert not cold_start(slos=slos).summary.vitals.aborted
    late = cold_start(slos=[{"text": "rate(lost) < 5%", "abort_after_ns": 0}], cold=11).summary
    assert late.vitals.aborted, "6 of 100 are too many, and 6 of 200 would not be"


def test_a_system_that_breaks_once_it_is_warm_fails(tmp_path: Path) -> None:
    """That the probe looks in the right place is known from the warm-up."""
    world = MemoryWorld(SandboxSettings(visibility="50ms"))

    def break_it(_: object) -> None:
        asyncio.get_running_loop().call_later(9.9, lambda: world.world.change(0, {"loss": "100%"}))

    report = Simulation(
        world, at=break_it, scenarios={"main": {"load": LOAD, "warmup": "10s"}}, slos=["lost == 0"],
        probe={"bulk": 500, "deadline": "3s"},
    ).run().report  # fmt: skip
    assert report.summary.scenarios["main"].ledger["lost"] == 100
    assert report.verdict is Result.FAIL


def test_parts_of_a_run_add_up_to_it() -> None:
    slos = (*SLOS, {"text": "lost == 0", "key": "1*"}, {"text": "lost == 0", "probe": "memory"})
    whole = cold_start(slos=slos, scenario={"steady": True}).summary.scenarios["main"]
    together = Summary()
    for number in (1, 0):
        together.merge(cold_start(slos=slos, scenario={"steady": True}, segment=Segment(number, 2)).summary)
    found = together.scenarios["main"]
    assert whole.warmup is not None
    assert found.warmup is not None
    assert found.ledger == whole.ledger
    assert found.warmup.ledger == whole.warmup.ledger
    assert found.offered == whole.offered
    assert (found.slices["key=1*"].ledger, found.flow) == (whole.slices["key=1*"].ledger, whole.flow)


def test_a_run_that_was_killed_knows_which_are_missing(tmp_path: Path) -> None:
    """Of eight that were scheduled five are of the warm-up, and four of all were settled."""
    plan = ScenarioPlan("main", True, 10**10, phases=((0, 100 * T),), warmup=(0, 50 * T))
    rows = [event(n, VISIBLE, 10 * n, 10 * n, 10 * n, (None, 10 * n), (None, 10 * n), 90) for n in (0, 1, 3, 6)]
    through_the_ledger(tmp_path, plan, rows)
    path = tmp_path / "events.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        note = {"scheduled": [8], "warmup": [5], "vitals": {}, "final": False}
        db.execute("UPDATE vitals SET facts = ?", (orjson.dumps(note).decode(),))
    main = read_back(path).summary.scenarios["main"]
    assert main.warmup is not None
    assert (main.ledger["scheduled"], main.ledger["visible"], main.ledger["in_doubt"]) == (3, 1, 2)
    warm = main.warmup.ledger
    assert (warm["scheduled"], warm["visible"], warm["in_doubt"]) == (5, 3, 2)


def test_every_event_is_counted_once_by_when_it_was_due() -> None:
    plan = ScenarioPlan("main", True, 10**10, phases=((0, 100 * T),), warmup=(0, 50 * T))
    events = [
        event(0, LOST, 49, 50, 51, (None, None), NEVER, 90),
        event(1, VISIBLE, 50, 50, 51, (51, 52), (51, 52), 60),
        event(2, State.REJECTED, 10, 10, 11, NEVER, NEVER, 12),
    ]
    found = fold(plan, sorted(events, key=lambda seen: seen.intended_ns))
    assert told(found)["ledger"] == {"scheduled": 1, "acked": 1, "visible": 1}
    assert found.warmup is not None
    assert told(found.warmup)["ledger"] == {"scheduled": 2, "acked": 1, "lost": 1, "rejected": 1}


@pytest.mark.parametrize(("first_key", "counted"), [("a", (0, 1)), ("b", (0, 0))])
def test_an_order_is_owed_across_its_end(first_key: str, counted: tuple[int, int]) -> None:
    """One that was sent before the end was applied after one that was sent after it, and is the one out of order."""
    plan = ScenarioPlan("main", True, 10**10, phases=((0, 100 * T),), warmup=(0, 50 * T))
    early = event(0, VISIBLE, 40, 40, 41, (80, 81), (80, 81), 90, key=first_key, position=2)
    later = event(1, VISIBLE, 60, 60, 61, (70, 71), (70, 71), 80, key="a", position=1)
    found = fold(plan, [early, later])
    assert found.warmup is not None
    assert (found.warmup.ledger["out_of_order"], found.ledger["out_of_order"]) in (counted, counted[::-1])


def test_random_arrivals_and_a_steady_state_are_checked_without_it() -> None:
    run = cold_start(
        scenario={"load": ({"rate": "10/s", "for": "300s"},), "arrivals": "poisson", "steady": True},
        warmup="100500ms", cold=50,
    )  # fmt: skip
    terms = run.prepared.criteria.scenarios
    assert terms["main"].expected[:101] == (0.0,) * 101
    assert terms["main"].expected[101] == pytest.approx(10)
    assert terms["main"].events is None
    shape = arrival_shape(run.summary, terms)
    assert shape.ok, shape.note
    assert "over 199 steps" in shape.note
    steady = steady_state(run.summary, terms)
    assert steady.ok, steady.note
    assert "at 1m 42s" in steady.note or "at 102 s" in steady.note


def test_what_is_in_flight_at_its_end_is_so_for_the_steady_state() -> None:
    """Each event takes six seconds: without those of the warm-up none would be in flight at first."""
    world = MemoryWorld(SandboxSettings(visibility="6s"))
    scenario = {"load": ({"rate": "10/s", "for": "40s"},), "warmup": "20s", "steady": True}
    run = Simulation(
        world, scenarios={"main": scenario}, slos=["p95(consistency) < 8s"], probe={"bulk": 500, "deadline": "30s"}
    ).run()
    check = steady_state(run.summary, run.prepared.criteria.scenarios)
    assert check.ok, check.note
    assert run.prepared.criteria.scenarios["main"].steady == (20_000_000_000, 40_000_000_000)


def test_the_time_in_queues_and_between_stamps_begins_after_it(tmp_path: Path) -> None:
    run = cold_start(tmp_path / "events.sqlite")
    hop = run.report.summary.scenarios["main"].distributions["sent_to_consumed"]
    assert hop.count == 100


# -- beforehand ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "until_s", "events"),
    [
        ([{"rate": "10/s", "for": "20s"}], 5, 50),
        ([{"rate": "10/s", "for": "20s"}], 5.01, 51),
        ([{"from": "0/s", "to": "10/s", "for": "10s"}, {"rate": "10/s", "for": "5s"}], 5, 13),
        ([{"burst": 7}, {"rate": "1/s", "for": "9s"}], 0, 0),
        ([{"burst": 7}, {"rate": "1/s", "for": "9s"}], 1, 8),
        ([{"rate": "1/s", "for": "9s"}, {"burst": 7}], 9, 9),
        ([{"rate": "1/s", "for": "9s"}, {"burst": 7}], 100, 16),
    ],
    ids=["whole", "one more", "ramp", "at once", "burst", "burst at its end", "all"],
)
def test_how_many_are_due_before(load: list[dict[str, Any]], until_s: float, events: int) -> None:
    phases = TypeAdapter(Load).validate_python(load)
    until_ns = round(until_s * 1_000_000_000)
    assert events_before(phases, until_ns) == events
    arrivals = Arrivals(phases, "constant", "")
    assert len(arrivals.take_until(until_ns - 1, 10_000)) == events


def test_the_plan_counts_on_the_others_alone() -> None:
    simulation = Simulation(
        MemoryWorld(),
        scenarios={"main": {"load": LOAD, "warmup": "15s"}},
        slos=["p99(consistency) < 1s", "lost == 0"],
    )
    found = prospects(simulation.config())
    assert [(one.events, one.decidable) for one in found] == [(50, False), (50, True)]
    assert simulation.config().scenarios["main"].warmup == 15_000_000_000


def test_where_a_phase_ends_early_the_rest_is_still_judged_after_it() -> None:
    """A hold that ended after 5 s: the next one began within the warm-up, and its steps there count for none."""
    terms = ScenarioCriteria(
        0, 40 * 10**9, arrival_step_ns=10**9, steady=(10 * 10**9, 40 * 10**9), warmup_ns=10 * 10**9,
        rates=((0, 20 * 10**9, 9.0, 9.0), (20 * 10**9, 40 * 10**9, 30.0, 30.0)),
    )  # fmt: skip
    went = terms.as_it_went(Course("main", [Ending("main", 0, "q > 5", 0, 20 * 10**9, 5 * 10**9)]))
    assert went.expected[:10] == (0.0,) * 10
    assert went.expected[10:] == (30.0,) * 15
    assert went.steady == (10 * 10**9, 25 * 10**9)


# -- while it goes on ------------------------------------------------------------------------------------------------


class _Watching:
    def __init__(self) -> None:
        self.moments: list[Progress] = []

    def progress(self, now: Progress) -> None:
        self.moments.append(now)

    async def finish(self, report: Report) -> None:
        """Not called here."""


def test_while_it_lasts_it_is_shown_and_counts_for_nothing() -> None:
    watching = _Watching()
    cold_start(sinks=[watching])
    during = [now for now in watching.moments if 1 < now.elapsed < 9.5]
    after = [now for now in watching.moments if 13 < now.elapsed < 19.5]
    assert {now.phase for now in during} == {"main: hold 10/s, warm-up"}
    assert {now.phase for now in after} == {"main: hold 10/s"}
    assert all(now.warmups == {"main": (0.0, 10.0)} for now in during)
    assert all(now.scheduled > 9 and not now.states and not now.waiting and now.visible is None for now in during)
    assert {round(now.offered_rate) for now in during} <= {9, 10, 11}
    assert any(now.recent and not now.percentiles for now in during), "of the last seconds something is shown"
    assert all(one.state != "fails" for now in watching.moments for one in now.objectives)
    assert after[-1].states["scheduled"] == after[-1].scheduled - 100
