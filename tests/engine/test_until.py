"""Phases that end when a gauge says so, in whole runs in virtual time: what follows begins then, and all that is
judged goes by the times as they were."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from evload.clock import Clock
from evload.errors import UsageError
from evload.ledger.reader import LedgerReader
from evload.model.phases import Ending
from evload.model.progress import Progress
from evload.model.report import Report, Result
from evload.report.build import build_again
from evload.report.document import document
from evload.sandbox.delay import parse_delay
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample
from evload.spi.sink import Sink
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from evload.workload.segment import Segment

MS = 1_000_000
S = 1_000 * MS


class Planted(GaugeSettings):
    """`replicas` by the second since its first sample: (from when on, how many); None: there is no such value."""

    kind: Literal["planted"] = "planted"
    course: tuple[tuple[float, float | None], ...]
    takes_ms: int = 10

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("replicas",)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        yield _Planted(self, surroundings.clock)


class _Planted:
    def __init__(self, settings: Planted, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._began: int | None = None

    async def sample(self) -> Sample:
        now = self._clock.now_ns()
        self._began = now if self._began is None else self._began
        (*_, value) = (value for at, value in self._settings.course if at * S <= now - self._began)
        await self._clock.sleep_until_ns(now + self._settings.takes_ms * MS)
        return Sample({}, missing=True) if value is None else Sample({"replicas": value})


COLD: tuple[Mapping[str, Any], ...] = (
    {"rate": "10/s", "for": "2s"},
    {"idle": "15m", "until": "replicas == 0"},
    {"burst": 5},
    {"idle": "5s"},
)


def planted(*course: tuple[float, float | None], every: str = "100ms") -> Planted:
    return Planted.model_validate({"course": course, "every": every})


def ran(load: Sequence[Mapping[str, Any]] = COLD, *course: tuple[float, float | None], **more: Any) -> Simulated:
    gauges = {"pool": planted(*(course or ((0, 3), (7.03, 0))))}
    return Simulation(MemoryWorld(), load, gauges=gauges, **more).run()


def offsets(done: Simulated) -> list[float]:
    """When events were due, in seconds since the schedule began."""
    return sorted((one.intended_ns - done.start_ns) / S for one in done.observations)


def test_what_follows_begins_when_a_sample_has_shown_it() -> None:
    # It is 0 from 7.03 s on; the next sample begins at 7.1 s and has its answer at 7.11 s.
    done = ran()
    assert offsets(done) == [*(n / 10 for n in range(20)), *[7.11] * 5]
    assert done.summary.vitals.endings == [Ending("main", 1, "replicas == 0", 2 * S, 902 * S, 7110 * MS)]
    assert done.summary.vitals.duration_ns == pytest.approx(12.11 * S, abs=0.2 * S)
    assert done.summary.scenarios["main"].phases == {(0, 2 * S): [20, 0, 0], (7110 * MS, 7110 * MS): [5, 0, 0]}


def test_events_are_the_same_by_their_numbers_whenever_they_are_due() -> None:
    early, late = ran(), ran(COLD, (0, 3), (11, 0))
    assert offsets(late)[-1] == 11.01
    assert [(one.seq, one.key) for one in early.observations] == [(one.seq, one.key) for one in late.observations]


def test_what_never_comes_is_no_error_and_is_said() -> None:
    done = ran(({"rate": "10/s", "for": "2s"}, {"idle": "3s", "until": "replicas == 0"}, {"burst": 5}), (0, 3))
    assert offsets(done)[-5:] == [5.0] * 5
    assert done.summary.vitals.endings == [Ending("main", 1, "replicas == 0", 2 * S, 5 * S)]
    (told,) = (one for one in done.report.insights if one.kind == "phase")
    assert told.sentence == ("main: replicas == 0 never came in the phase from 0:02 on, which lasted all of its 3 s.")


@pytest.mark.parametrize(
    ("course", "due"),
    [
        # True before the phase began, and at its first sample still, or not any more.
        pytest.param([(0, 0)], 2.01, id="so at the beginning"),
        pytest.param([(0, 0), (1.95, 3)], 5.0, id="so before the beginning"),
        # A sample that had begun by then is not about the phase.
        pytest.param([(0, 3), (1.85, 0), (2.05, 3)], 2.01, id="for one sample"),
        pytest.param([(0, 3), (3.21, 0), (3.29, 3)], 5.0, id="between two samples"),
        # What isn't there fulfils nothing.
        pytest.param([(0, 3), (2.5, None), (4, 0)], 4.01, id="missing"),
    ],
)
def test_only_a_sample_of_the_phase_itself_ends_it(course: list[tuple[float, float | None]], due: float) -> None:
    every: list[dict[str, Any]] = [
        {"rate": "10/s", "for": "2s"},
        {"idle": "3s", "until": "replicas == 0"},
        {"burst": 1},
    ]
    found = offsets(ran(every, *course))[-1]
    assert found == due


def test_a_hold_ends_early_and_the_next_goes_on_from_what_it_left() -> None:
    load = (
        {"rate": "10/s", "for": "1m", "until": "pool.replicas>=3"},
        {"from": "10/s", "to": "20/s", "for": "2s"},
        {"rate": "20/s", "for": "1s", "until": "replicas > 100"},
    )
    done = ran(load, (0, 1), (3.3, 3))
    # It ends at 3.31 s: 33.1 events have passed by then, so the 34th of the ramp comes after 0.9 of a tenth second.
    found = offsets(done)
    assert found[:34] == [n / 10 for n in range(34)]
    ramp = [at - 3.31 for at in found if 3.31 <= at < 5.31]
    assert [round(10 * t + 2.5 * t * t, 6) for t in ramp] == [pytest.approx(0.9 + n) for n in range(30)]
    assert len(found) == 34 + 30 + 20
    assert [(one.phase, one.at_ns) for one in done.summary.vitals.endings] == [(0, 3310 * MS), (2, None)]
    assert done.summary.scenarios["main"].phases == {
        (0, 3310 * MS): [34, 0, 0], (3310 * MS, 5310 * MS): [30, 0, 0], (5310 * MS, 6310 * MS): [20, 0, 0],
    }  # fmt: skip


def test_several_phases_end_one_after_another_each_for_itself() -> None:
    load = (
        {"idle": "10s", "until": "replicas >= 1"},
        {"burst": 2},
        {"idle": "10s", "until": "replicas >= 2"},
        {"burst": 2},
        {"idle": "10s", "until": "replicas >= 3"},
        {"burst": 2},
    )
    done = ran(load, (0, 0), (1.5, 1), (4, 2), (9.95, 3))
    assert offsets(done) == [1.51, 1.51, 4.01, 4.01, 10.01, 10.01]


def test_other_scenarios_begin_when_they_were_to() -> None:
    done = ran(
        scenarios={
            "cold": {"load": COLD},
            "other": {"start": "10s", "load": [{"rate": "1/s", "for": "2s"}]},
        }
    )
    starts = {
        number: sorted((one.intended_ns - done.start_ns) / S for one in done.observations if one.scenario == number)
        for number in (0, 1)
    }
    assert (starts[0][-1], starts[1]) == (7.11, [10, 11])


def test_events_that_wait_for_room_are_sent_before_what_the_end_brings() -> None:
    # Two at a time, each of which takes 400 ms: of the twenty a second most wait, also when the phase ends.
    load = ({"rate": "20/s", "for": "1m", "until": "replicas == 0"}, {"burst": 3})
    slow = MemoryWorld(confirm=parse_delay("400ms"))
    gauges = {"pool": planted((0, 3), (1.0, 0))}
    done = Simulation(slow, load, gauges=gauges, producer={"in_flight": 2}).run()
    assert offsets(done) == [*(n / 20 for n in range(21)), *[1.01] * 3]
    assert done.summary.total().ledger["unsent"] == 0


def test_random_arrivals_keep_their_gaps(tmp_path: Path) -> None:
    def gaps(load: Sequence[Mapping[str, Any]], *course: tuple[float, float | None]) -> list[int]:
        done = ran(load, *course, arrivals="poisson", ledger_path=None)
        return [one.intended_ns - done.start_ns for one in sorted(done.observations, key=lambda one: one.seq)]

    hold, after = {"rate": "200/s", "for": "1m"}, {"rate": "100/s", "for": "3s"}
    early = gaps([{**hold, "until": "replicas == 0"}, after], (0, 3), (2.0, 0))
    planned = gaps([{**hold, "for": "2010ms"}, after], (0, 3))
    assert len(early) > 500
    assert early == planned


class _Watching:
    def __init__(self) -> None:
        self.seen: list[Progress] = []

    def progress(self, now: Progress) -> None:
        self.seen.append(now)

    async def finish(self, report: Report) -> None:
        pass


def test_who_looks_on_sees_the_plan_change() -> None:
    watching = _Watching()
    sinks: list[Sink] = [watching]
    ran(sinks=sinks)
    totals = [(one.elapsed < 7.11, one.total) for one in watching.seen]
    assert sorted(set(totals)) == [(False, 12.11), (True, 907)]
    assert watching.seen[-1].spans["main"] == (
        (0, 2, 10, 10),
        (2, 7.11, 0, 0),
        (7.11, 7.11, 0, 0),
        (7.11, 12.11, 0, 0),
    )
    texts = {one.phase for one in watching.seen if one.elapsed < 7}
    assert texts == {"main: hold 10/s", "main: idle until replicas == 0"}


def reported(path: Path) -> Report:
    with LedgerReader(path) as ledger:
        return build_again(ledger, path.parent)


SLOS: tuple[Mapping[str, Any], ...] = (
    {"text": "reach(replicas >= 4) < 5s", "after": "main"},
    {"text": "drain(replicas <= 4) < 9s", "after": "main"},
    {"text": "rise(replicas) < 100", "after": "main"},
    {"text": "integral(replicas) < 100", "after": "main"},
    {"text": "errors == 0"},
)


def test_what_counts_from_the_end_of_the_scenario_counts_from_its_real_end(tmp_path: Path) -> None:
    # Its end is that of the last phase: 12.11 s. An idle scenario beside it lets the run go on.
    scenarios: dict[str, Mapping[str, Any]] = {
        "main": {"load": COLD},
        "longer": {"load": [{"burst": 1}, {"idle": "20s"}]},
    }
    path = tmp_path / "events.sqlite"
    gauges = {"pool": planted((0, 3), (7.03, 0), (10, 3), (14.5, 4), (16, 5), (17, 4))}
    done = Simulation(
        MemoryWorld(), scenarios=scenarios, gauges=gauges, slos=SLOS, ledger_path=path
    ).run()  # fmt: skip
    observed = {one.expression: one.observed for one in done.report.objectives}
    # Four of them: seen by the sample from 14.5 s to 14.51 s, and not by the one from 14.4 s on.
    assert observed["reach(replicas >= 4) < 5s"] == pytest.approx((14.4 - 12.11, 14.51 - 12.11))
    assert observed["drain(replicas <= 4) < 9s"] == pytest.approx((0, 12.21 - 12.11))
    assert observed["rise(replicas) < 100"] == pytest.approx((6, 6))
    low, high = observed["integral(replicas) < 100"]
    assert low is not None
    assert high is not None
    assert low < 3 * 2.39 + 4 * 1.5 + 5 + 4 * 3 < high < 34
    # What watched while it ran came to the same as what the ledger says.
    assert done.summary.watches == reported(path).summary.watches
    (stages,) = (
        ([one for one in done.report.timeline.stages if one.scenario == "main"],) if done.report.timeline else ([],)
    )
    assert [(one.start_ns / S, one.end_ns / S, one.text) for one in stages] == [
        (0, 2, "hold 10/s"), (2, 7.11, "idle until replicas == 0"), (7.11, 7.11, "burst of 5"), (7.11, 12.11, "idle"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("waits", "begins", "result"),
    [
        pytest.param({"idle": "15m", "until": "replicas == 0"}, 7.11, Result.PASS, id="for what came"),
        pytest.param({"idle": "3s"}, 3.0, Result.FAIL, id="for a time"),
    ],
)
def test_what_a_scenario_comes_to_counts_from_its_load(
    waits: Mapping[str, Any], begins: float, result: Result, tmp_path: Path
) -> None:
    """Four of them, also before it waited; then none, and four again from 10 s on."""
    path = tmp_path / "events.sqlite"
    slo = {"text": "reach(replicas >= 4) < 5s", "scenario": "main"}
    load = [waits, {"burst": 5}, {"idle": "12s"}]
    done = ran(load, (0, 4), (2, 3), (7.03, 0), (10, 4), slos=[slo], ledger_path=path)
    (one,) = done.report.objectives
    assert one.result is result
    assert one.observed == pytest.approx((9.9 - begins, 10.01 - begins))
    # What watched while it ran came to the same as what the ledger says.
    assert done.summary.watches == reported(path).summary.watches


def test_while_it_runs_what_is_asked_counts_from_the_real_end(tmp_path: Path) -> None:
    # Not reached within 2 s after 12.11 s: the run is ended by that, long before the 907 s of the plan.
    slo = {"text": "reach(replicas >= 9) < 2s", "after": "main", "abort_after_ns": 0}
    scenarios: dict[str, Mapping[str, Any]] = {
        "main": {"load": COLD},
        "longer": {"load": [{"burst": 1}, {"idle": "60s"}]},
    }
    gauges = {"pool": planted((0, 3), (7.03, 0))}
    done = Simulation(MemoryWorld(), scenarios=scenarios, gauges=gauges, slos=[slo]).run()
    assert done.summary.vitals.aborted
    assert 14.1 * S < done.summary.vitals.duration_ns < 17 * S


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_the_report_from_the_ledger_is_that_of_the_run(arrivals: str, tmp_path: Path) -> None:
    load = (
        {"rate": "50/s", "for": "3s"},
        {"rate": "80/s", "for": "10m", "until": "replicas == 0"},
        {"burst": 20},
        {"idle": "1m", "until": "replicas == 2"},
        {"rate": "50/s", "for": "20s"},
        {"idle": "2s", "until": "replicas == 7"},
    )
    path = tmp_path / "events.sqlite"
    done = ran(
        load, (0, 3), (13, 0), (15, 2), arrivals=arrivals, slos=["max(replicas) < 9", "lost == 0"], ledger_path=path,
        policy={"offered_rate": "strict"},
    )  # fmt: skip
    again = reported(path)
    assert document(again) == document(done.report)
    assert again.timeline == done.report.timeline
    checks = {one.name: (one.result, one.note) for one in again.checks}
    assert checks["load as scheduled"][0] is Result.PASS
    if arrivals == "poisson":
        # By a schedule that went on until 603 s most steps would lack their events.
        assert checks["arrival shape"][0] is Result.PASS
        assert "over 33 steps" in checks["arrival shape"][1]


def test_a_run_that_was_killed_right_after_it_is_read_back_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    ran(ledger_path=path)
    killed = tmp_path / "killed.sqlite"
    shutil.copy(path, killed)
    with sqlite3.connect(killed) as db:
        # The note of the moment itself is the last: the next would have come within a second.
        notes = [(at, orjson.loads(facts)) for at, facts in db.execute("SELECT at_ns, facts FROM vitals")]
        last = min(at for at, facts in notes if facts["vitals"]["endings"])
        assert last == 7110 * MS
        db.execute("DELETE FROM vitals WHERE at_ns > ?", (last,))
    again = reported(killed)
    assert again.summary.vitals.crashed
    assert again.summary.scenarios["main"].phases == {(0, 2 * S): [20, 0, 0], (7110 * MS, 7110 * MS): [5, 0, 0]}


def test_how_late_is_too_late_goes_by_the_phase_as_it_was_planned(tmp_path: Path) -> None:
    # A burst of 60 comes with the phase, which ends after 300 ms: each takes 40 ms, two at a time, so that the last
    # events of the phase leave more than 100 ms late, a tenth of 300 ms at least, and less than the second that a
    # phase of a minute allows.
    load = ({"rate": "100/s", "for": "1m", "until": "replicas == 0"}, {"idle": "2s"})
    path = tmp_path / "events.sqlite"
    slow = MemoryWorld(confirm=parse_delay("30ms"))
    gauges = {"pool": planted((0, 3), (0.3, 0))}
    done = Simulation(slow, load, gauges=gauges, producer={"in_flight": 2}, ledger_path=path).run()
    delays = [one.sent_ns - one.intended_ns for one in _rows(path) if one.sent_ns is not None]
    assert 100 * MS < max(delays) < S
    assert done.summary.scenarios["main"].phases == {(0, 310 * MS): [31, 0, 0]}
    assert reported(path).summary.scenarios["main"].phases == {(0, 310 * MS): [31, 0, 0]}


def _rows(path: Path) -> list[Any]:
    with LedgerReader(path) as ledger:
        return list(ledger.observations(0))


def test_an_interrupted_run_says_nothing_of_phases_that_it_never_left() -> None:
    def at(control: Any) -> None:
        asyncio.get_running_loop().call_later(5, control.stop)

    done = ran(COLD, (0, 3), at=at)
    assert done.summary.vitals.endings == []
    assert done.summary.vitals.duration_ns < 8 * S


def test_several_senders_of_one_schedule_would_each_end_it_elsewhere() -> None:
    with pytest.raises(UsageError, match="'main' has a phase until replicas == 0, which each of 3 senders would end"):
        ran(segment=Segment(1, 3))


def test_the_share_of_a_percentile_is_what_it_was() -> None:
    """What came before the phase ended, and after it, is one run: 25 events, all of them in the figures."""
    done = ran(slos=["share(publish < 5s) >= 50%"])
    assert done.summary.scenarios["main"].distributions["publish"].count == 25
    assert done.summary.scenarios["main"].distributions["publish"].bracket(Fraction(1, 2))[1] is not None
