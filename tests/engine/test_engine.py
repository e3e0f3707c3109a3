"""Whole runs in virtual time: the schedule holds, every event is accounted for, and every run ends."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from evload.engine.control import RunControl
from evload.ledger.reader import LedgerReader
from evload.ledger.writer import Ledger
from evload.model.progress import Progress
from evload.model.report import Report, Result
from evload.model.states import Outcome, Seen, State
from evload.model.summary import Summary
from evload.model.travel import Event, Observation, Read, ReadResult, Receipt, Target
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.sandbox.delay import DelayDistribution, parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Capabilities, Surroundings
from evload.spi.probe import Probe, ProbeSettings
from evload.spi.producer import Producer, ProducerSettings, Settle
from evload.stats.histogram import bracket
from evload.testing import DeadlockError, MemoryWorld, run_virtual, virtual_clock
from evload.testing.simulation import MemoryLedger, Simulated, Simulation
from tests.rigs import counted
from tests.rigs.contents import contents
from tests.rigs.ledgers import begun, read_back

MS = 1_000_000
S = 1_000 * MS


def world(confirm: Any = "2ms", answer: Any = "1ms", **settings: Any) -> MemoryWorld:
    memory = {name: settings.pop(name) for name in list(settings) if name in MemoryWorld.__dataclass_fields__}
    sandbox = SandboxSettings.model_validate({"workers": 1000, "service": "1ms", "visibility": "20ms", **settings})
    return MemoryWorld(sandbox, confirm=parse_delay(confirm), answer=parse_delay(answer), **memory)


def load(rate: str = "100/s", lasting: str = "5s") -> tuple[Mapping[str, Any]]:
    return ({"rate": rate, "for": lasting},)


def after(seconds: float, do: Callable[[RunControl], None]) -> Callable[[RunControl], None]:
    return lambda engine: void(asyncio.get_running_loop().call_later(seconds, do, engine))


def void(_: object) -> None:
    pass


def closes(summary: Summary) -> bool:
    """Whether both sums of every scenario close."""
    return all(
        s.ledger["scheduled"]
        == sum(s.ledger[name] for name in ("unsent", "acked", "rejected", "returned", "in_doubt"))
        and s.ledger["acked"]
        == sum(s.ledger[name] for name in ("visible", "ended", "lost", "regressed", "pending", "unobserved"))
        for s in summary.scenarios.values()
    )


def sent_offsets(run: Simulated) -> list[int]:
    return sorted(seen.sent_ns - run.start_ns for seen in run.observations if seen.sent_ns is not None)


def ledger_of(run: Simulated) -> dict[str, int]:
    """The counts that aren't 0."""
    return {name: n for name, n in run.summary.total().ledger.items() if n}


# -- pacing --------------------------------------------------------------------------------------------


def test_every_event_is_sent_when_the_schedule_says() -> None:
    run = Simulation(world(), load("300/s")).run()
    assert sent_offsets(run) == [n * S // 300 for n in range(1500)]
    assert run.summary.scenarios["main"].distributions["schedule_delay"].upper.maximum == 0
    assert ledger_of(run) == {"scheduled": 1500, "acked": 1500, "visible": 1500}


def test_a_target_that_stalls_does_not_slow_the_schedule() -> None:
    """At 100/s with one stall of 5 s in 60 s a closed loop would report a p99 of some milliseconds."""
    memory = world()
    stalled = range(20 * S, 25 * S)

    class Stalling(DelayDistribution):
        """Answers what is sent during the stall when the stall is over."""

        def quantile(self, u: float) -> int:
            at = virtual_clock().now_ns() - starts[0]
            return stalled.stop - at + 2 * MS if at in stalled else 2 * MS

    starts: list[int] = []
    memory.confirm = Stalling()
    lead = 50 * MS  # what the engine leaves between set-up and the first event
    run = Simulation(
        memory, load("100/s", "60s"), at=lambda control: starts.append(virtual_clock().now_ns() + lead)
    ).run()
    assert sent_offsets(run) == [n * 10 * MS for n in range(6000)]
    publish = run.summary.scenarios["main"].distributions["publish"]
    low, high = bracket(Fraction(99, 100), publish.lower, publish.upper)
    truth = sorted(max(0, stalled.stop - n * 10 * MS) * (n * 10 * MS in stalled) + 2 * MS for n in range(6000))[5939]
    assert low is not None
    assert high is not None
    assert low <= truth <= high
    assert 4.35 * S < truth < 4.45 * S


def test_several_scenarios_run_side_by_side_each_at_its_time() -> None:
    scenarios: dict[str, dict[str, Any]] = {
        "base": {"load": load("50/s", "10s")},
        "spike": {"load": [{"burst": 30}, {"idle": "1s"}, {"rate": "100/s", "for": "1s"}], "start": "4s"},
    }
    run = Simulation(world(), scenarios=scenarios).run()
    base = sorted(s.sent_ns - run.start_ns for s in run.observations if s.scenario == 0 and s.sent_ns is not None)
    spike = sorted(s.sent_ns - run.start_ns for s in run.observations if s.scenario == 1 and s.sent_ns is not None)
    assert base == [n * 20 * MS for n in range(500)]
    assert spike == [4 * S] * 30 + [5 * S + n * 10 * MS for n in range(100)]
    ledgers = {name: scenario.ledger["visible"] for name, scenario in run.summary.scenarios.items()}
    assert ledgers == {"base": 500, "spike": 130}


def test_a_full_in_flight_window_sends_late_and_says_so() -> None:
    run = Simulation(world(confirm="100ms"), load("100/s", "2s"), producer={"in_flight": 5}).run()
    assert ledger_of(run) == {"scheduled": 200, "acked": 200, "visible": 200}
    sent = sent_offsets(run)
    assert all(late - early >= 100 * MS for early, late in zip(sent, sent[5:], strict=False)), "5 at a time"
    delay = run.summary.scenarios["main"].distributions["schedule_delay"].upper
    # 40 portions of 5, each 100 ms after the one before; within one they keep the 10 ms between their answers.
    assert delay.maximum == sent[-1] - 1990 * MS == 39 * 100 * MS + 40 * MS - 1990 * MS
    waited = run.summary.scenarios["main"].distributions["end_to_end"].lower.maximum
    assert waited is not None
    assert waited >= delay.maximum, "nothing is omitted end to end"


def test_a_full_in_flight_window_can_drop_instead() -> None:
    simulation = Simulation(
        world(confirm="100ms"), load("100/s", "2s"), producer={"in_flight": 5, "when_full": "drop"}
    )
    run = simulation.run()
    assert ledger_of(run) == {"scheduled": 200, "unsent": 100, "acked": 100, "visible": 100}
    assert run.summary.scenarios["main"].distributions["schedule_delay"].upper.maximum == 0
    assert run.summary.scenarios["main"].distributions["end_to_end"].censored == 100
    assert run.summary.vitals.errors == {"dropped: 5 events were without an answer": 100}


def test_a_burst_wider_than_the_window_is_cut() -> None:
    for when_full, expected in (("wait", {"visible": 1000}), ("drop", {"visible": 7, "unsent": 993})):
        producer = {"in_flight": 7, "when_full": when_full}
        run = Simulation(world(), ({"burst": 1000},), producer=producer).run()
        assert {name: n for name, n in ledger_of(run).items() if name in ("visible", "unsent")} == expected


# -- what goes wrong -----------------------------------------------------------------------------------


def test_a_target_that_rejects_everything_is_data() -> None:
    run = Simulation(world(rejected=1.0), load(), slos=["p95(end_to_end) < 1s"]).run()
    assert ledger_of(run) == {"scheduled": 500, "rejected": 500}
    assert run.summary.vitals.errors == {"rejected": 500}
    assert run.report.verdict is Result.FAIL
    assert run.summary.vitals.duration_ns < 5.2 * S


def test_returned_and_unanswered_events_are_told_apart() -> None:
    run = Simulation(world(rejected=0.1, returned=0.2, in_doubt=0.3), load("200/s", "5s")).run()
    states = Counter(seen.state for seen in run.observations)
    assert closes(run.summary)
    assert all(abs(states[state] - share * 1000) < 60 for state, share in (
        (State.REJECTED, 0.1), (State.RETURNED, 0.2), (State.IN_DOUBT, 0.3), (State.VISIBLE, 0.4)
    ))  # fmt: skip
    assert run.summary.total().ledger["recovered"] == states[State.IN_DOUBT] // 2, "every other one had arrived"


def test_a_read_model_that_is_down_throughout_leaves_everything_unobserved() -> None:
    outage = {"what": "read-model-down", "at": "0s", "lasting": "10h"}
    simulation = Simulation(
        world(faults=[outage]), load("20/s"), slos=["p90(consistency) < 1s", "lost == 0"], probe={"bulk": 50}
    )
    run = simulation.run()
    assert ledger_of(run) == {"scheduled": 100, "acked": 100, "unobserved": 100}
    assert run.summary.vitals.failed_reads == run.summary.vitals.read_requests > 0
    assert run.report.verdict not in (Result.PASS, Result.WARN)
    assert {objective.result for objective in run.report.objectives} == {Result.INCONCLUSIVE}


def test_a_read_model_that_is_down_for_a_while_widens_brackets_and_loses_nothing() -> None:
    outage = {"what": "read-model-down", "at": "3s", "lasting": "3s"}
    memory = world(faults=[outage])
    run = Simulation(memory, load("50/s", "10s")).run()
    assert ledger_of(run) == {"scheduled": 500, "acked": 500, "visible": 500}
    assert run.summary.vitals.failed_reads > 0
    assert all_contain_their_truth(run, memory)
    widest = max(
        seen.stable_upper_ns - (seen.stable_lower_ns or seen.sent_ns or 0)
        for seen in run.observations
        if seen.stable_upper_ns is not None
    )
    assert 2.5 * S < widest < 4 * S


def all_contain_their_truth(run: Simulated, memory: MemoryWorld) -> bool:
    truths = list(memory.truths().values())
    observed = sorted(run.observations, key=lambda seen: seen.seq)
    for seen, truth in zip(observed, sorted(truths, key=lambda truth: truth.correlation_id), strict=True):
        low = seen.stable_lower_ns if seen.stable_lower_ns is not None else seen.sent_ns
        stable = truth.stable_visible_ns
        assert low is not None
        assert (stable is None) == (seen.stable_upper_ns is None)
        if stable is not None and seen.stable_upper_ns is not None and not low <= stable <= seen.stable_upper_ns:
            return False
    return True


def test_without_probes_the_publishes_are_measured_all_the_same() -> None:
    run = Simulation(world(confirm="30ms"), load(), watched=False, slos=["p95(publish) < 100ms"]).run()
    assert ledger_of(run) == {"scheduled": 500, "acked": 500, "unobserved": 500}
    assert run.report.objectives[0].result is Result.PASS
    assert run.summary.vitals.duration_ns < 5.3 * S, "there is nothing to wait for"
    assert run.summary.scenarios["main"].distributions.keys() == {"schedule_delay", "publish"}


def test_a_sample_is_followed_and_all_are_accounted_for() -> None:
    run = Simulation(world(loss="5%"), load("200/s"), probe={"bulk": 500, "sample": "20%", "deadline": "3s"}).run()
    total = run.summary.total()
    assert abs(total.sampled - 200) < 60
    assert total.distributions["consistency"].count == total.sampled
    assert total.ledger["visible"] + total.ledger["lost"] == 1000
    unsampled = [seen for seen in run.observations if not seen.sampled]
    assert {seen.reads for seen in unsampled} == {1}


# -- interrupts ----------------------------------------------------------------------------------------


def test_stop_sends_nothing_more_and_waits_for_what_is_outstanding() -> None:
    run = Simulation(world(visibility="2s"), load("100/s", "60s"), at=after(3.0, RunControl.stop)).run()
    assert ledger_of(run) == {"scheduled": 296, "acked": 296, "visible": 296}
    assert run.summary.vitals.interrupted
    assert max(sent_offsets(run)) < 3 * S
    assert 5 * S < run.summary.vitals.duration_ns < 12 * S


def test_stop_waits_no_longer_than_settle() -> None:
    memory = world(visibility="1h")
    run = Simulation(memory, load("100/s", "60s"), at=after(3.0, RunControl.stop), settle_ns=2 * S).run()
    assert ledger_of(run) == {"scheduled": 296, "acked": 296, "pending": 296}
    assert 4.9 * S < run.summary.vitals.duration_ns < 5.2 * S


def test_stop_in_a_long_idle_phase_ends_at_once() -> None:
    phases = ({"burst": 5}, {"idle": "10h"}, {"burst": 5})
    run = Simulation(world(), phases, at=after(60.0, RunControl.stop)).run()
    assert ledger_of(run) == {"scheduled": 5, "acked": 5, "visible": 5}
    assert run.summary.vitals.duration_ns < 61 * S


def test_what_was_due_and_had_to_wait_is_counted_when_the_run_is_stopped() -> None:
    memory = world(confirm="1s")
    run = Simulation(memory, load("100/s", "60s"), producer={"in_flight": 10}, at=after(3.045, RunControl.stop)).run()
    ledger = run.summary.total().ledger
    assert ledger["scheduled"] == 300, "all that were due by then"
    assert ledger["acked"] + ledger["unsent"] == 300
    assert ledger["acked"] == 30
    assert run.summary.vitals.errors == {"still waiting to be sent when the run was stopped": 270}


def test_abort_reports_at_once() -> None:
    memory = world(confirm="150ms", visibility="1h")
    run = Simulation(memory, load("100/s", "60s"), at=after(3.0, RunControl.abort)).run()
    ledger = ledger_of(run)
    assert ledger["scheduled"] == 296
    assert ledger["pending"] + ledger["in_doubt"] == 296
    assert 10 <= ledger["in_doubt"] <= 20, "those without an answer yet"
    assert run.summary.vitals.duration_ns <= 3.1 * S
    assert closes(run.summary)


def test_abort_may_follow_a_stop() -> None:
    def interrupt(control: RunControl) -> None:
        control.stop()
        asyncio.get_running_loop().call_later(1.0, control.abort)

    run = Simulation(world(visibility="1h"), load("100/s", "60s"), at=after(3.0, interrupt)).run()
    assert ledger_of(run) == {"scheduled": 296, "acked": 296, "pending": 296}
    assert 3.9 * S < run.summary.vitals.duration_ns <= 4.1 * S


@pytest.mark.parametrize("moment", [0.0, 0.049, 0.0501, 1.2345, 4.9999, 5.06, 8.0])
@pytest.mark.parametrize("interrupt", [RunControl.stop, RunControl.abort])
def test_the_sums_close_whenever_it_is_interrupted(moment: float, interrupt: Callable[[RunControl], None]) -> None:
    memory = world(
        {"uniform": {"from": "0s", "to": "3s"}},
        rejected=0.1,
        returned=0.1,
        in_doubt=0.1,
        broken_reads=0.1,
        loss="10%",
    )
    run = Simulation(memory, load("50/s"), at=after(moment, interrupt)).run()
    assert closes(run.summary)
    assert len({seen.seq for seen in run.observations}) == len(run.observations)
    assert len(run.observations) == run.summary.total().ledger["scheduled"]
    assert run.summary.vitals.interrupted


# -- repeatable ----------------------------------------------------------------------------------------

FICKLE: Mapping[str, Any] = {
    "visibility": {"lognormal": {"median": "50ms", "p99": "900ms"}}, "loss": "2%", "swaps": "5%",
    "duplicates": {"share": "3%"}, "regressions": {"share": "5%", "lasting": "1500ms"},
    "rejected": 0.02, "returned": 0.02, "in_doubt": 0.05, "broken_reads": 0.02,
}  # fmt: skip


def fickle(seed: int, path: Path | None = None, **more: Any) -> Simulation:
    scenarios = {
        "a": {"load": load("40/s", "12s"), "arrivals": "poisson"},
        "b": {"load": load("30/s", "6s"), "start": "3s"},
    }
    slos = ["p95(consistency) < 1s", "p99(end_to_end) < 4s"]
    return Simulation(
        world({"uniform": {"from": "1ms", "to": "40ms"}}, seed=seed, **FICKLE), scenarios=scenarios, slos=slos,
        seed=seed, key="{data.group}", ledger_path=path, probe={"bulk": 20, "deadline": "4s"}, **more,
    )  # fmt: skip


def test_the_same_seed_gives_the_same_ledger_byte_for_byte(tmp_path: Path) -> None:
    files = []
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        path = tmp_path / name
        fickle(seed, path).run()
        files.append(path.read_bytes())
    assert files[0] == files[1] != files[2]


def run_with_ledger(simulation: Simulation, path: Path) -> Summary:
    """As `Simulation.run`, with a ledger file; the summary alone."""
    return replace(simulation, ledger_path=path).run().summary


ENDED: Mapping[tuple[int, str], str] = {
    (1, "to the end"): "639 acked 586 rejected 9 returned 15 in_doubt 29 visible 569 lost 17"
    " duplicated 13 regressions 21 out_of_order 19 order_unknown 14 non_monotonic 21 recovered 13",
    (1, "stop"): "388 acked 357 rejected 7 returned 9 in_doubt 15 visible 347 lost 10"
    " duplicated 10 regressions 13 out_of_order 17 order_unknown 12 non_monotonic 13 recovered 7",
    (1, "abort"): "388 acked 355 rejected 7 returned 9 in_doubt 17 visible 60 lost 2 pending 293"
    " duplicated 8 regressions 11 out_of_order 17 order_unknown 12 non_monotonic 11 recovered 6",
    (2, "to the end"): "642 acked 583 rejected 12 returned 17 in_doubt 30 visible 571 lost 12"
    " duplicated 22 regressions 23 out_of_order 12 order_unknown 11 non_monotonic 23 recovered 15",
    (2, "stop"): "389 acked 351 rejected 8 returned 10 in_doubt 20 visible 346 lost 5"
    " duplicated 10 regressions 12 out_of_order 7 order_unknown 8 non_monotonic 12 recovered 8",
    (2, "abort"): "389 acked 348 rejected 8 returned 10 in_doubt 23 visible 72 lost 1 pending 275"
    " duplicated 9 regressions 10 out_of_order 7 order_unknown 8 non_monotonic 10 recovered 7",
}
"""By seed and by how it ended: how many events both scenarios of `fickle` had, and what became of them. Publishes and
reads draw in turns from one generator, so that publishes have other fates already if a read that begins in the very
moment of a publish comes before it instead of after it."""


@pytest.mark.parametrize("interrupt", [None, RunControl.stop, RunControl.abort])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_summary_read_back_from_the_ledger_is_the_same(
    tmp_path: Path, seed: int, interrupt: Callable[[RunControl], None] | None
) -> None:
    path = tmp_path / "events.sqlite"
    simulation = fickle(seed, at=after(7.0, interrupt) if interrupt else None)
    live = run_with_ledger(simulation, path)
    rebuilt = read_back(path)
    assert contents(rebuilt.summary) == contents(live)
    assert (rebuilt.run_id, rebuilt.name) == ("simulation", "simulation")
    assert [o.expression for o in rebuilt.criteria.objectives] == ["p95(consistency) < 1s", "p99(end_to_end) < 4s"]
    # Both come out of the same fold, so what it gets wrong it gets wrong twice.
    ended = ENDED[seed, interrupt.__name__ if interrupt else "to the end"]
    assert " ".join(f"{name} {n}" for name, n in live.total().ledger.items() if n) == f"scheduled {ended}"
    for number, scenario in enumerate(live.scenarios.values()):
        assert {name: n for name, n in scenario.ledger.items() if n} == counted.ledger(path, number)
        for metric, limit in (("consistency", S), ("end_to_end", 4 * S)):
            found = scenario.distributions[metric]
            at_limit = found.thresholds[limit]
            assert counted.around(path, metric, limit, number) == (
                found.count, found.censored, at_limit.within, at_limit.beyond,
            )  # fmt: skip
    whole = live.total()
    at_limit = whole.distributions["consistency"].thresholds[S]
    if (seed, interrupt) == (1, None):
        assert (at_limit.within, at_limit.beyond) == (540, 46)
        assert whole.offered == {0: [553, 553], 1: [86, 86]}
        assert (whole.tallies["effects"], whole.known["position"], whole.sampled) == ({1: 569, 2: 13}, 582, 586)
    assert whole.distributions["consumed_to_processed"].count > 0


def test_a_run_that_was_killed_is_rebuilt_with_its_outstanding_events_in_doubt(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    run_with_ledger(fickle(3), path)
    copy = tmp_path / "killed.sqlite"
    with LedgerReader(path) as reader:
        everything = [seen for scenario in (0, 1) for seen in reader.observations(scenario)]
        killed_ns = 5 * S
        known = [seen for seen in everything if seen.settled_ns < killed_ns]
        scheduled = [sum(s.scenario == n and s.intended_ns < killed_ns for s in everything) for n in (0, 1)]
        meta = {name: value for name, value in reader.meta.items() if name not in ("start_ns", "began_at")}
        ledger = begun(copy, 0, meta)
        ledger.append(known)
        note = reader.last_note()
        assert note is not None
        ledger.note(killed_ns, {**note, "scheduled": scheduled, "final": False})
        ledger.close()
    summary = read_back(copy).summary
    assert summary.vitals.crashed
    assert [s.ledger["scheduled"] for s in summary.scenarios.values()] == scheduled
    in_doubt = sum(seen.state is State.IN_DOUBT for seen in known) + sum(scheduled) - len(known)
    assert summary.total().ledger["in_doubt"] == in_doubt
    assert closes(summary)


# -- adapters that break their promises ----------------------------------------------------------------


class Scripted(ProducerSettings):
    """A producer that does with each batch what it is told."""

    kind: Literal["scripted"] = "scripted"
    do: Callable[[Sequence[Event], Settle], None]

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        yield self

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        self.do(batch, settle)


class ScriptedProbe(ProbeSettings):
    """A probe that answers what it is told."""

    kind: Literal["scripted"] = "scripted"
    answer: Callable[[Sequence[Target]], ReadResult]

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield self

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        await asyncio.sleep(0.001)
        return self.answer(targets)


def run_scripted(
    producer: ProducerSettings | None = None,
    probe: ProbeSettings | None = None,
    ledger: Ledger | None = None,
    at: Callable[[RunControl], None] = void,
    phases: Sequence[Mapping[str, Any]] = ({"rate": "100/s", "for": "1s"},),
) -> tuple[Any, Summary]:
    config = Simulation(world(), phases).config()
    if producer:
        config = replace(config, producers={"memory": producer})
    if probe:
        config = replace(config, probes={"memory": probe})

    async def main() -> tuple[Any, Summary]:
        clock = virtual_clock()
        control = RunControl(clock, config.settle)
        at(control)
        return None, await execute(prepare(config, "scripted"), clock, ledger or MemoryLedger(), control=control)

    return run_virtual(main())


def failure_of(run: Callable[[], object]) -> BaseException:
    """The one exception that a run ends with, out of its group."""
    with pytest.raises(BaseExceptionGroup) as caught:
        run()
    (failure,) = caught.value.exceptions
    return failure


def test_a_producer_that_settles_twice_is_a_bug_that_shows() -> None:
    def twice(batch: Sequence[Event], settle: Settle) -> None:
        now = virtual_clock().now_ns()
        for _ in range(2):
            settle([Receipt(event.seq, Outcome.ACCEPTED, now, now) for event in batch])

    failure = failure_of(lambda: run_scripted(Scripted(do=twice)))
    assert str(failure) == "event 0 was settled twice"


@pytest.mark.parametrize("wrong", ["none", "another", "one twice"])
def test_a_probe_that_answers_about_something_else_is_a_bug_that_shows(wrong: str) -> None:
    def answer(targets: Sequence[Target]) -> ReadResult:
        now = virtual_clock().now_ns()
        seqs = [target.seq for target in targets]
        answered = {"none": [], "another": [seq + 1000 for seq in seqs], "one twice": seqs[:1] * len(seqs)}[wrong]
        if wrong == "one twice" and len(seqs) == 1:
            answered = seqs
        return ReadResult([Read(seq, Seen.ABSENT, now, now) for seq in answered])

    probe = ScriptedProbe(answer=answer, bulk=100, parallel=1)
    failure = failure_of(lambda: run_scripted(probe=probe))
    assert "did not answer about the" in str(failure)


def test_unexpected_ids_and_errors_are_counted() -> None:
    def answer(targets: Sequence[Target]) -> ReadResult:
        now = virtual_clock().now_ns()
        return ReadResult([Read(t.seq, Seen.PRESENT, now, now) for t in targets], unexpected=2, error="half broken")

    _, summary = run_scripted(probe=ScriptedProbe(answer=answer, bulk=100))
    vitals = summary.vitals
    assert vitals.unexpected_ids == 2 * vitals.read_requests > 0
    assert vitals.errors == {"memory: half broken": vitals.read_requests}
    assert vitals.event_reads == 600, "one sighting and five confirmations each"


def test_reasons_are_bounded() -> None:
    def refuse(batch: Sequence[Event], settle: Settle) -> None:
        now = virtual_clock().now_ns()
        settle([Receipt(e.seq, Outcome.REJECTED, now, now, f"reason {e.seq}") for e in batch])

    _, summary = run_scripted(Scripted(do=refuse))
    assert len(summary.vitals.errors) == 41
    assert summary.vitals.errors["other reasons"] == 60


def test_what_is_settled_when_the_producer_closes_is_taken_and_no_read_is_begun_any_more() -> None:
    held: list[tuple[Event, Settle]] = []
    asked: list[Target] = []
    problems: list[Mapping[str, Any]] = []

    class Lazy(Scripted):
        @asynccontextmanager
        async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
            yield self
            now = surroundings.clock.now_ns()
            for event, settle in held:
                settle([Receipt(event.seq, Outcome.ACCEPTED, now, now, "", "captured")])
            await asyncio.sleep(5)

    class ByCapture(ScriptedProbe):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(asks_by_capture=True)

    def answer(targets: Sequence[Target]) -> ReadResult:
        asked.extend(targets)
        return ReadResult([])

    lazy = Lazy(do=lambda batch, settle: held.extend((event, settle) for event in batch))

    def interrupt(control: RunControl) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        loop.call_later(2, control.abort)

    _, summary = run_scripted(lazy, ByCapture(answer=answer), at=interrupt)
    assert summary.total().ledger["pending"] == 100
    assert asked == []
    assert problems == []


def test_no_read_is_begun_any_more_while_those_under_way_are_given_up() -> None:
    begun: list[float] = []
    aborted: list[float] = []
    problems: list[Mapping[str, Any]] = []

    class Slow(ScriptedProbe):
        """Takes three seconds to give up a read, while others become due."""

        async def read(self, targets: Sequence[Target]) -> ReadResult:
            begun.append(asyncio.get_running_loop().time())
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                await asyncio.sleep(3)
                raise
            return self.answer(targets)

    def interrupt(control: RunControl) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))

        def abort() -> None:
            aborted.append(loop.time())
            control.abort()

        loop.call_later(2, abort)

    def nothing(targets: Sequence[Target]) -> ReadResult:
        now = virtual_clock().now_ns()
        return ReadResult([Read(target.seq, Seen.ABSENT, now, now) for target in targets])

    absent = Slow(answer=nothing, deadline="1h")
    _, summary = run_scripted(None, absent, at=interrupt)
    assert summary.total().ledger["pending"] == 100
    assert len(begun) > 100
    assert max(begun) <= aborted[0] + 0.001
    assert problems == []


def test_events_settled_in_one_moment_are_recorded_by_their_numbers() -> None:
    """So that the fold of the ledger file, which is sorted like that, sees them in the same order."""

    def backwards(batch: Sequence[Event], settle: Settle) -> None:
        now = virtual_clock().now_ns()
        for last in range(len(batch), 0, -64):
            settle([Receipt(e.seq, Outcome.REJECTED, now, now) for e in batch[max(0, last - 64) : last]])

    kept = MemoryLedger()
    run_scripted(Scripted(do=backwards), ledger=kept, phases=({"burst": 256},))
    assert [seen.seq for seen in kept.observations] == list(range(256))


# -- progress and memory -------------------------------------------------------------------------------


class Watching:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.moments: list[Progress] = []

    def progress(self, now: Progress) -> None:
        self.moments.append(now)

    async def finish(self, report: Report) -> None:
        raise AssertionError("the engine doesn't finish sinks")


def test_progress_is_shown_twice_a_second_and_at_the_end() -> None:
    sink = Watching()
    Simulation(world(), load("100/s", "10s"), sinks=[sink]).run()
    elapsed = [moment.elapsed for moment in sink.moments]
    assert all(0.4 < late - early < 0.7 for early, late in pairwise(elapsed[:-1]))
    steady = [m for m in sink.moments if 1 < m.elapsed < 9]
    assert all(abs(m.offered_rate - 100) < 5 and abs(m.achieved_rate - 100) < 5 for m in steady)
    last = sink.moments[-1]
    assert (last.phase, last.scheduled, last.in_flight, last.outstanding) == ("settling", 1000, 0, 0)
    assert last.states["visible"] == 1000


class Nothing(MemoryLedger):
    """Keeps nothing."""

    def append(self, observations: Sequence[Observation], scheduled: Sequence[tuple[int, int]] = ()) -> None:
        pass


@pytest.mark.parametrize("hours", [3, pytest.param(8, marks=pytest.mark.long)])
def test_many_hours_take_no_more_memory_than_one(hours: int) -> None:
    """A soak. The world forgets what is over, so what grows would be evload's own."""
    memory = world(retain="1s")
    blocks: dict[int, int] = {}

    def look(hour: int) -> None:
        gc.collect()
        blocks[hour] = sys.getallocatedblocks()

    def tidy() -> None:
        memory.world.let_go(virtual_clock().now_ns())
        memory.arrived.clear()
        asyncio.get_running_loop().call_later(10.0, tidy)

    probe = {"bulk": 500, "deadline": "15s", "resolution": "50%", "confirm": {"reads": 1, "over": "1s"}}
    config = Simulation(memory, load("12/min", f"{hours}h"), probe=probe, key="{seq}").config()

    async def main() -> Summary:
        loop = asyncio.get_running_loop()
        tidy()
        for hour in (1, hours):
            loop.call_later(hour * 3600 - 60, look, hour)
        return await execute(prepare(config, "soak"), virtual_clock(), Nothing())

    assert run_virtual(main()).total().ledger["visible"] == hours * 720
    windows = (hours - 1) * 360
    assert blocks[hours] - blocks[1] < 4 * windows, "a line per window of 10 s is kept, and nothing per event"


def test_a_wait_that_nothing_can_end_is_a_deadlock() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match="deadlock"):
        run_virtual(forever())


def test_virtual_time_moves_from_timer_to_timer() -> None:
    async def main() -> list[int]:
        clock = virtual_clock()
        times = [clock.now_ns()]
        for seconds in (1.5, 3600.0):
            await asyncio.sleep(seconds)
            times.append(clock.now_ns())
        await clock.sleep_until_ns(5000 * S)
        return [*times, clock.now_ns()]

    assert run_virtual(main()) == [0, 1_500 * MS, 3_601_500 * MS, 5_000 * S]


def test_outside_virtual_time_there_is_no_virtual_clock() -> None:
    async def main() -> None:
        virtual_clock()

    with pytest.raises(RuntimeError, match="run_virtual"):
        asyncio.run(main())
