"""An ordered producer: the events of a key one at a time, in order, whatever is answered; and nobody else waits."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.clock import Clock
from evload.engine.control import RunControl
from evload.ledger.reader import LedgerReader
from evload.model.report import Result
from evload.model.states import Outcome, State
from evload.model.travel import Event, Observation, Receipt
from evload.report import wording
from evload.report.build import build_again
from evload.report.document import document
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Surroundings
from evload.spi.producer import Producer, Settle
from evload.testing import MemoryProducerSettings, MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.engine.test_simulated_truth import pairs

MS = 1_000_000
S = 1000 * MS


@dataclass
class Sent:
    """What a producer was given when, and when it answered."""

    event: Event
    key: str | None
    at_ns: int
    answered_ns: int | None = None


Answer = tuple[Outcome, int | None]
"""What becomes of an event after so many nanoseconds; None: it is said before the publish returns."""


class ScriptedWorld(MemoryWorld):
    """Its producer answers each event as `answers` says; before the publishes that `full` names, by their number, it
    makes evload wait so many nanoseconds."""

    def __init__(self, answers: Callable[[Event], Answer], full: Mapping[int, int] | None = None) -> None:
        super().__init__()
        self.answers = answers
        self.full = full or {}
        self.sent: dict[int, Sent] = {}

    def producer(self, **settings: Any) -> MemoryProducerSettings:
        return ScriptedProducerSettings(kind="memory", world=self, **settings)

    def by_key(self) -> Mapping[str | None, Sequence[Sent]]:
        """What was sent of each key, copies left out, in the order in which it was."""
        found: dict[str | None, list[Sent]] = defaultdict(list)
        for seq, one in self.sent.items():
            if seq >= 0:
                found[one.key].append(one)
        return found


class ScriptedProducerSettings(MemoryProducerSettings):
    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        assert isinstance(self.world, ScriptedWorld)
        producer = _Scripted(self.world, surroundings.clock)
        yield producer
        producer.close()


class _Scripted:
    def __init__(self, world: ScriptedWorld, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._number = 0
        self._open: dict[int, Settle] = {}

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        self._number += 1
        if (wait_ns := self._world.full.get(self._number)) is not None:
            await asyncio.sleep(wait_ns / S)
        for event in batch:
            assert event.seq not in self._world.sent, "sent twice"
            self._world.sent[event.seq] = Sent(event, event.key, self._clock.now_ns())
            self._open[event.seq] = settle
            outcome, after_ns = self._world.answers(event)
            if after_ns is None:
                self._answer(event.seq, outcome)
            else:
                asyncio.get_running_loop().call_later(after_ns / S, self._answer, event.seq, outcome)

    def _answer(self, seq: int, outcome: Outcome) -> None:
        settle = self._open.pop(seq, None)
        if settle is not None:
            sent, now = self._world.sent[seq], self._clock.now_ns()
            sent.answered_ns = now
            at_ns = None if outcome is Outcome.UNSENT else sent.at_ns
            acked_ns = now if outcome in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED) else None
            detail = "" if outcome is Outcome.ACCEPTED else outcome.name
            settle([Receipt(seq, outcome, at_ns, acked_ns, detail, facts={"status": 202})])

    def close(self) -> None:
        for seq in list(self._open):
            self._answer(seq, Outcome.IN_DOUBT)


def accepted(after_ms: int) -> Callable[[Event], Answer]:
    return lambda event: (Outcome.ACCEPTED, after_ms * MS)


def by_seq(run: Simulated) -> dict[int, Observation]:
    found = {seen.seq: seen for seen in run.observations}
    assert len(found) == len(run.observations), "nothing is settled twice"
    return found


def moments(run: Simulated, world: ScriptedWorld) -> list[tuple[int, int]]:
    """When each event was due and when it was sent, in ms since the schedule began."""
    seen = by_seq(run)
    return [
        ((seen[seq].intended_ns - run.start_ns) // MS, (one.at_ns - run.start_ns) // MS)
        for seq, one in world.sent.items()
    ]


def test_each_event_of_a_key_is_sent_when_the_one_before_it_has_its_answer() -> None:
    world = ScriptedWorld(accepted(250))
    run = Simulation(
        world, [{"rate": "10/s", "for": "1s"}], key="only", producer={"ordered": True}, watched=False
    ).run()
    assert moments(run, world) == [(100 * n, 250 * n) for n in range(10)]
    waited = [seen.order_wait for _, seen in sorted(by_seq(run).items())]
    assert waited == [None, *(150 * n * MS for n in range(1, 10))]
    assert {seen.own_delay for seen in run.observations} == {0}
    assert {seen.status for seen in run.observations} == {202}, "what the producer told of it stays"


def test_without_it_they_are_sent_when_they_are_due() -> None:
    world = ScriptedWorld(accepted(250))
    run = Simulation(world, [{"rate": "10/s", "for": "1s"}], key="only", watched=False).run()
    assert moments(run, world) == [(100 * n, 100 * n) for n in range(10)]
    assert {seen.order_wait for seen in run.observations} == {None}
    assert "order_wait" not in document(run.report)


def test_events_without_a_key_wait_for_nobody() -> None:
    world = ScriptedWorld(accepted(250))
    run = Simulation(world, [{"rate": "10/s", "for": "1s"}], producer={"ordered": True}, watched=False).run()
    assert moments(run, world) == [(100 * n, 100 * n) for n in range(10)]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_whatever_the_answer_is_the_next_one_goes_on(outcome: Outcome) -> None:
    world = ScriptedWorld(lambda event: (outcome, 250 * MS))
    run = Simulation(
        world, [{"rate": "10/s", "for": "1s"}], key="only", producer={"ordered": True}, watched=False
    ).run()
    assert [at_ms for _, at_ms in moments(run, world)] == [250 * n for n in range(10)]


def test_a_key_whose_event_has_no_answer_holds_no_other() -> None:
    """Half of the events have one of the keys, and each of these takes 3 s."""
    world = ScriptedWorld(lambda event: (Outcome.ACCEPTED, 3 * S if event.key == "slow" else 5 * MS))
    run = Simulation(
        world, [{"rate": "100/s", "for": "2s"}], key="{choice:slow,a,slow,b}", watched=False,
        producer={"ordered": True, "in_flight": 2},
    ).run()  # fmt: skip
    slow = [one.at_ns for one in world.by_key()["slow"]]
    assert len(slow) > 80
    assert {after - before for before, after in pairwise(slow)} == {3 * S}, "one at a time, as long as it takes"
    others = [seen for seen in run.observations if seen.key != "slow"]
    assert {seen.sent_ns == seen.intended_ns for seen in others} == {True}, "what waits takes no place in flight"


def test_two_scenarios_that_share_a_producer_share_the_order_of_a_key() -> None:
    """What is due first goes first, whosesoever it is."""
    world = ScriptedWorld(accepted(100))
    scenarios: Mapping[str, Mapping[str, Any]] = {
        "one": {"load": [{"rate": "20/s", "for": "1s"}]},
        "two": {"load": [{"rate": "20/s", "for": "1s"}], "start": "20ms"},
    }
    run = Simulation(world, scenarios=scenarios, key="only", producer={"ordered": True}, watched=False).run()
    sent = moments(run, world)
    assert [at_ms for _, at_ms in sent] == [100 * n for n in range(40)]
    assert [due_ms for due_ms, _ in sent] == sorted(due_ms for due_ms, _ in sent)
    assert {seen.scenario for seen in run.observations} == {0, 1}


def test_copies_go_out_when_they_are_due_counted_from_when_their_event_was_sent() -> None:
    """They are no part of the order: nobody waits for them, nor they for anybody."""
    world = ScriptedWorld(accepted(250))
    scenarios = {"main": {
        "load": [{"rate": "10/s", "for": "300ms"}], "resend": {"share": "100%", "copies": 2, "after": "100ms"},
    }}  # fmt: skip
    run = Simulation(world, scenarios=scenarios, key="only", producer={"ordered": True}, watched=False).run()
    times: dict[str, list[int]] = defaultdict(list)
    for one in world.sent.values():
        times[one.event.correlation_id].append((one.at_ns - run.start_ns) // MS)
    assert list(times.values()) == [[250 * n, 250 * n + 100, 250 * n + 200] for n in range(3)]
    assert run.summary.vitals.copies == {"accepted": 6}


def test_the_run_goes_on_until_the_last_one_had_its_turn() -> None:
    """Also where it is looked at between an answer and the next publish: here at each tenth of a second."""
    world = ScriptedWorld(accepted(50))
    run = Simulation(world, [{"burst": "20"}], key="only", producer={"ordered": True}, watched=False).run()
    assert [at_ms for _, at_ms in moments(run, world)] == [50 * n for n in range(20)]
    assert run.summary.total().ledger["acked"] == 20


@pytest.mark.parametrize(("stop_s", "due"), [(1.02, 10), (1.05, 11)])
def test_what_waits_for_its_turn_when_the_run_is_stopped_is_unsent_and_says_why(stop_s: float, due: int) -> None:
    """The schedule begins after 50 ms, so that what is due after one second is so the moment when it is stopped."""

    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(stop_s, control.stop)

    world = ScriptedWorld(accepted(400))
    run = Simulation(
        world, [{"rate": "10/s", "for": "2s"}], key="only", producer={"ordered": True}, watched=False, at=at
    ).run()
    assert [at_ms for _, at_ms in moments(run, world)] == [0, 400, 800]
    seen = by_seq(run)
    assert sorted(seen) == list(range(due))
    assert [seen[seq].state for seq in range(due)] == [*[State.UNOBSERVED] * 3, *[State.UNSENT] * (due - 3)]
    reason = "its turn had not come when the run was stopped: one of its key before it was without an answer"
    assert {seen[seq].detail for seq in range(3, due)} == {reason}
    assert seen[3].order_wait == round(stop_s * 1000 - 350) * MS
    assert run.summary.vitals.duration_ns < 1500 * MS, "nobody waits for them"
    ledger = run.summary.total().ledger
    assert (ledger["scheduled"], ledger["acked"], ledger["unsent"]) == (due, 3, due - 3)


def test_an_abort_settles_what_waits_too() -> None:
    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(0.55, control.abort)

    world = ScriptedWorld(lambda event: (Outcome.ACCEPTED, 60 * S))
    run = Simulation(
        world, [{"rate": "10/s", "for": "2s"}], key="{choice:a,b}", producer={"ordered": True}, watched=False, at=at
    ).run()
    states = [seen.state for seen in run.observations]
    assert (len(states), states.count(State.IN_DOUBT), states.count(State.UNSENT)) == (6, 2, 4)


def test_what_a_producer_never_took_is_unsent_when_the_run_ends() -> None:
    """It makes evload wait from its second batch on, for longer than the run has."""

    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(1.0, control.stop)

    world = ScriptedWorld(accepted(10), {2: 3600 * S})
    run = Simulation(
        world, [{"burst": "900"}], key="{int:1..400}", producer={"ordered": True}, watched=False, at=at
    ).run()
    seen = by_seq(run)
    assert len(seen) == 900
    details = Counter(one.detail for one in seen.values())
    taken = sum(one.state is State.UNOBSERVED for one in seen.values())
    assert taken == len(world.sent) > 100
    assert set(details) == {
        "", "no answer when the run ended", "still waiting to be sent when the run was stopped",
        "its turn had not come when the run was stopped: one of its key before it was without an answer",
    }  # fmt: skip
    assert sum(one.state is State.UNSENT for one in seen.values()) > 500


@pytest.mark.parametrize("seed", [5, 6, 7, 8])
def test_what_has_its_turn_and_no_room_when_the_run_is_stopped_is_not_sent_either(seed: int) -> None:
    """By these seeds one of four keys had its turn when no place was free, and waits when the run is stopped."""

    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(0.6, control.stop)

    world = ScriptedWorld(accepted(250))
    run = Simulation(
        world, [{"burst": "40"}], key="{int:1..4}", producer={"ordered": True, "in_flight": 3}, watched=False, at=at,
        seed=seed,
    ).run()  # fmt: skip
    assert max(one.at_ns for one in world.sent.values()) < 600 * MS
    assert len(by_seq(run)) == 40
    assert run.summary.vitals.duration_ns < 900 * MS


class ProducerBug(Exception):
    """What never happens."""


def test_the_ledger_is_complete_even_where_a_bug_ends_the_run(tmp_path: Path) -> None:
    def answer(event: Event) -> Answer:
        if len(world.sent) == 3:
            raise ProducerBug
        return Outcome.ACCEPTED, 250 * MS

    world = ScriptedWorld(answer)
    path = tmp_path / "events.sqlite"
    simulation = Simulation(
        world,
        [{"rate": "10/s", "for": "2s"}],
        key="only",
        producer={"ordered": True},
        watched=False,
        ledger_path=path,
    )
    with pytest.raises(ExceptionGroup) as caught:
        simulation.run()
    assert caught.group_contains(ProducerBug)
    with LedgerReader(path) as ledger:
        states = [seen.state for seen in ledger.observations(0)]
    assert states == [*[State.UNOBSERVED] * 2, State.IN_DOUBT, *[State.UNSENT] * 3]


@dataclass
class Chances:
    """What may happen in a run."""

    keys: int
    in_flight: int
    when_full: str
    bunched: bool
    stop_ms: int | None
    seed: int
    full: Mapping[int, int]


CHANCES = st.builds(
    Chances,
    keys=st.integers(1, 6),
    in_flight=st.sampled_from([1, 2, 5, 100_000, 100_000]),
    when_full=st.sampled_from(["wait", "drop"]),
    bunched=st.booleans(),
    stop_ms=st.one_of(st.none(), st.integers(0, 1500)),
    seed=st.integers(0, 1_000_000),
    full=st.dictionaries(st.integers(1, 40), st.integers(0, 300 * MS), max_size=3),
)


def anything(seed: int) -> Callable[[Event], Answer]:
    """All that an answer can be: at once, soon, late, and whatever it says."""
    rng = Random(seed)

    def answer(event: Event) -> Answer:
        outcome = rng.choices(list(Outcome), weights=[1 if one is not Outcome.ACCEPTED else 6 for one in Outcome])[0]
        return outcome, rng.choice([None, 0, rng.randrange(50 * MS), rng.randrange(900 * MS)])

    return answer


@settings(max_examples=60)
@given(CHANCES)
def test_the_order_is_kept_nothing_is_lost_nothing_comes_twice_and_nobody_else_waits(chances: Chances) -> None:
    """In two scenarios that share the producer, whatever is answered when, and wherever the run is stopped."""

    def at(control: RunControl) -> None:
        if chances.stop_ms is not None:
            asyncio.get_running_loop().call_later(chances.stop_ms / 1000, control.stop)

    world = ScriptedWorld(anything(chances.seed), chances.full)
    bunch = [{"burst": "30"}] if chances.bunched else []
    scenarios: Mapping[str, Mapping[str, Any]] = {
        "one": {"load": [{"rate": "50/s", "for": "1s"}, *bunch]},
        "two": {"load": [*bunch, {"rate": "30/s", "for": "1s"}], "start": "130ms", "arrivals": "poisson"},
    }
    producer = {"ordered": True, "in_flight": chances.in_flight, "when_full": chances.when_full}
    run = Simulation(
        world, scenarios=scenarios, key=f"{{int:1..{chances.keys}}}", producer=producer, watched=False, at=at,
        seed=chances.seed,
    ).run()  # fmt: skip
    seen = by_seq(run)

    # Everything that was due is settled, and either was sent or says why not.
    ledger = run.summary.total().ledger
    assert len(seen) == ledger["scheduled"]
    assert ledger["scheduled"] == sum(
        ledger[state] for state in ("unsent", "acked", "rejected", "returned", "in_doubt")
    )
    for seq, event in seen.items():
        assert seq in world.sent or (event.state is State.UNSENT and event.detail)
        if event.sent_ns is not None:
            assert event.own_delay == 0, "whatever it waited for was no fault of evload's"
            assert event.sent_ns - event.intended_ns >= (event.order_wait or 0)

    for sent in world.by_key().values():
        # One at a time,
        for before, after in pairwise(sent):
            assert before.answered_ns is not None
            assert before.answered_ns <= after.at_ns
        # each scenario's in the order in which they were due.
        for scenario in (0, 1):
            seqs = [one.event.seq for one in sent if one.event.scenario == scenario]
            assert seqs == sorted(seqs)

    if chances.stop_ms is not None and not chances.full:
        assert all(one.at_ns <= chances.stop_ms * MS for one in world.sent.values())

    # Where nothing but its key can hold an event it goes the moment when its turn has come.
    if chances.in_flight == 100_000 and not chances.full:
        for sent in world.by_key().values():
            free_ns = 0
            for one in sent:
                assert one.at_ns == max(seen[one.event.seq].intended_ns, free_ns)
                assert one.answered_ns is not None
                free_ns = one.answered_ns
        if chances.stop_ms is None:
            assert len(world.sent) == len(seen)


def test_while_the_producer_takes_nothing_no_more_is_rendered_than_fits_a_batch_or_two() -> None:
    """Of a burst of 3,000 it takes one batch, and the next only 3 s later."""
    times: list[str] = []

    def answer(event: Event) -> Answer:
        times.append(json.loads(event.body)["time"])
        return Outcome.ACCEPTED, 10 * MS

    world = ScriptedWorld(answer, {2: 3 * S})
    run = Simulation(world, [{"burst": "3000"}], key="{uuid}", watched=False, producer={"ordered": True}).run()
    assert len(world.sent) == 3000
    at_first = times.count(times[0])
    assert 256 < at_first <= 4 * 256, "those that were rendered before it made evload wait"
    assert {seen.own_delay for seen in run.observations} == {0}
    delays = [seen.sent_ns - seen.intended_ns for seen in run.observations if seen.sent_ns is not None]
    assert (min(delays), max(delays)) == (0, 3 * S)
    assert {seen.order_wait for seen in run.observations} == {None}, "the wait was none for a key"


def swapped(*, ordered: bool, seed: int = 5) -> tuple[Simulated, int]:
    """A run in which events of a key come so close that most publishes overlap, and the number of those swapped."""
    memory = MemoryWorld(
        SandboxSettings.model_validate({"workers": 100, "swaps": "10%", "seed": seed}), confirm=parse_delay("80ms")
    )
    run = Simulation(
        memory, [{"rate": "200/s", "for": "3s"}], key="{data.group}", producer={"ordered": ordered}, seed=seed
    ).run()
    return run, sum(truth.swapped for _, truth in pairs(run, memory))


def test_every_inversion_of_the_read_model_counts_and_no_order_is_unknown() -> None:
    """20 keys, 10 events of each per second and 80 ms for each publish: without order half of them overlap."""
    run, planted = swapped(ordered=True)
    ledger = run.summary.total().ledger
    assert planted > 30
    assert (ledger["acked"], ledger["out_of_order"], ledger["order_unknown"]) == (600, planted, 0)

    run, planted = swapped(ordered=False)
    ledger = run.summary.total().ledger
    assert ledger["order_unknown"] > 100
    assert ledger["out_of_order"] < planted / 2


def test_of_what_is_in_doubt_the_next_one_is_owed_no_order_and_still_sent() -> None:
    memory = MemoryWorld(SandboxSettings.model_validate({"workers": 100}), in_doubt=0.1)
    run = Simulation(memory, [{"rate": "50/s", "for": "4s"}], key="{data.group}", producer={"ordered": True}).run()
    ledger = run.summary.total().ledger
    assert ledger["in_doubt"] > 10
    assert ledger["in_doubt"] + ledger["acked"] == ledger["scheduled"] == 200
    assert (ledger["out_of_order"], ledger["unsent"]) == (0, 0)


def test_nobody_looks_for_an_event_before_it_is_sent() -> None:
    """Each waits for seconds, and its deadline counts from when it was sent."""
    memory = MemoryWorld(SandboxSettings(), confirm=parse_delay("1s"))
    run = Simulation(
        memory, [{"burst": "8"}], key="only", producer={"ordered": True}, probe={"bulk": 500, "deadline": "2s"}
    ).run()
    seen = by_seq(run)
    assert {one.state for one in seen.values()} == {State.VISIBLE}
    assert [one.order_wait for _, one in sorted(seen.items())] == [None, *(n * S for n in range(1, 8))]
    assert max(one.reads for one in seen.values()) <= min(one.reads for one in seen.values()) + 2


def test_the_schedule_was_kept_and_the_report_says_what_waited_and_for_how_long(tmp_path: Path) -> None:
    """One key at 10/s, of which each publish takes 250 ms: from the fourth on they leave later than the 300 ms that a
    phase of 3 s allows."""
    path = tmp_path / "events.sqlite"
    run = Simulation(
        ScriptedWorld(accepted(250)), [{"rate": "10/s", "for": "3s"}], key="only", producer={"ordered": True},
        watched=False, ledger_path=path, slos=["errors == 0", "max(publish) < 1s"],
    ).run()  # fmt: skip
    (check,) = [one for one in run.report.checks if one.name == "load as scheduled"]
    assert (check.result, check.value) == (Result.PASS, 0)
    assert check.note == "27 events left late for the order of their key alone, as was asked for"
    assert run.report.verdict.value == "pass", run.report.objectives
    told = document(run.report)["scenarios"]["main"]
    assert told["order_wait"] == {"events": 29, "max": 29 * 0.15, "mean": pytest.approx(15 * 0.15)}
    assert told["distributions"]["schedule_delay"]["max"] == [29 * 0.15, 29 * 0.15]
    assert wording.beside_counts(run.summary.total()) == ["waits for the order of a key: 29 events, 4.35 s at most"]
    # The ledger alone says the same.
    with LedgerReader(path) as ledger:
        again = build_again(ledger, tmp_path)
    assert document(again)["scenarios"] == document(run.report)["scenarios"]
    assert again.checks == run.report.checks


def test_what_is_late_for_another_reason_as_well_is_late() -> None:
    """Of one connection's worth: the limit in flight holds what the order of a key doesn't."""
    world = ScriptedWorld(accepted(250))
    run = Simulation(
        world, [{"rate": "20/s", "for": "3s"}], key="{uuid}", watched=False, slos=["errors == 0"],
        producer={"ordered": True, "in_flight": 1},
    ).run()  # fmt: skip
    (check,) = [one for one in run.report.checks if one.name == "load as scheduled"]
    assert check.result is Result.INVALID
    assert check.value is not None
    assert check.value > 0.9
    assert {seen.order_wait for seen in run.observations} == {None}
