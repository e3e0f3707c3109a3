"""A ledger of two scenarios of journeys, made by hand: what became of each iteration follows from its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.model.iteration import End, Iteration
from evload.model.report import Report
from evload.model.states import State
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.objective import Objective
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.report.build import build_again
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from tests.rigs.ledgers import begun

MS = 1_000_000
S = 1_000 * MS
START = 7_000 * S
STEPS = ("order.register", "order.pay", "order.ship", "order.close", "browse.look")
SCENARIOS = ("mixed", "arrivals")
JOURNEYS = {"mixed": ((0, "order"), (1, "browse")), "arrivals": ((0, "order"),)}
ORDERS = {"mixed": 600, "arrivals": 100}
BROWSED = 200


def counted(*objectives: Objective) -> Counted:
    return Counted(
        tuple(sorted({about for one in objectives for about in one.thresholds})),
        tuple(sorted({about for one in objectives for about in one.steps})),
        tuple(sorted({about for one in objectives for about in one.counter_steps})),
    )


class Planted:
    """Writes the ledger. Of every hundred orders one is unsent and one starved; of those that are started two are
    refused a shipment, three fail to pay, and one is cut off there; all others complete after 240 ms."""

    def __init__(self) -> None:
        self.events: list[Observation] = []
        self.iterations: list[Iteration] = []
        self._next = [0, 0]

    def step(
        self, scenario: int, kind: int, iteration: int, due: int, answer: int | None, took: int = 40 * MS
    ) -> int:
        """One request; gives when it was answered."""
        seq = self._next[scenario] * 2 + scenario
        self._next[scenario] += 1
        state = State.UNOBSERVED if answer in (1, 2) else State.REJECTED if answer == 3 else State.IN_DOUBT
        seen = Observation(seq, scenario, kind, state, due, sent_ns=due + MS, settled_ns=due + took)
        seen.acked_ns = None if answer is None else due + took
        seen.iteration, seen.answer, seen.status = iteration, answer, {1: 200, 2: 409, 3: 503}.get(answer or 0)
        self.events.append(seen)
        return due + took

    def order(self, scenario: int, number: int) -> None:
        due, fate = START + number * 100 * MS, number % 100
        if fate in (0, 1):
            end, reason = (End.UNSENT, "") if fate == 0 else (End.STARVED, "nothing was in the pool jobs for 1s")
            self.iterations.append(Iteration(scenario, 0, number, None, due, None, due, end, "", reason))
            return
        at = self.step(scenario, 0, number, due, 1)
        ended: tuple[End, str, str, tuple[str, ...]] = (End.COMPLETED, "", "", ())
        if fate in (2, 3):
            at = self.step(scenario, 1, number, at + 60 * MS, 3)
            ended = (End.FAILED, "pay", "answered 503", ())
        elif fate == 4:
            at = self.step(scenario, 1, number, at + 60 * MS, 3)
            ended = (End.FAILED, "pay", "check same payment: false", ("same payment",))
        elif fate == 5:
            at = self.step(scenario, 1, number, at + 60 * MS, None)
            ended = (End.CUT_OFF, "pay", "the run was stopped", ())
        else:
            at = self.step(scenario, 1, number, at + 60 * MS, 1)
            answer = 2 if fate in (6, 7) else 1
            at = self.step(scenario, 2, number, at + 60 * MS, answer)
            if answer == 2:
                ended = (End.REFUSED, "ship", "answered 409", ())
        end, step, reason, checks = ended
        if end is not End.CUT_OFF:
            self.step(scenario, 3, number, at, 1)
        user = number % 10 if scenario == 0 else None
        self.iterations.append(Iteration(scenario, 0, number, user, due, due, at, end, step, reason, checks))

    def browse(self, number: int) -> None:
        due = START + number * 300 * MS
        at = self.step(0, 4, 10_000 + number, due, 1, 15 * MS)
        self.iterations.append(Iteration(0, 1, 10_000 + number, number % 10, due, due, at, End.COMPLETED))

    def write(self, path: Path, slos: Sequence[str | Mapping[str, Any]] = ()) -> Path:
        for number in range(ORDERS["mixed"]):
            self.order(0, number)
        for number in range(ORDERS["arrivals"]):
            self.order(1, number)
        for number in range(BROWSED):
            self.browse(number)
        objectives = [parse(**({"text": slo} if isinstance(slo, str) else slo)) for slo in slos]
        plans = [self._plan(name, objectives) for name in SCENARIOS]
        criteria = Criteria(
            objectives, SelfCheckPolicy(), {}, {name: ScenarioCriteria(0, 60 * S) for name in SCENARIOS}
        )
        meta = replay.meta(
            "r-1", "journeys by hand", criteria, plans=plans, events=STEPS, probes=(), gauges={}, segment=(0, 1),
            stages=[], journeys=("order", "browse"),
        )  # fmt: skip
        ledger = begun(path, START, {**meta, "started_at": "2026-01-02T03:04:05+00:00"}, threaded=False)
        self.events.sort(key=lambda seen: seen.seq)
        self.iterations.sort(key=lambda one: one.ended_ns)
        ledger.append(self.events)
        ledger.iterated(self.iterations)
        scheduled = [sum(seen.scenario == number for seen in self.events) for number in range(2)]
        ledger.note(START + 60 * S, {"scheduled": scheduled, "vitals": {"duration_ns": 60 * S}, "final": True})
        ledger.close()
        return path

    def _plan(self, name: str, objectives: Sequence[Objective]) -> ScenarioPlan:
        mine = [one for one in objectives if one.scenario in (None, name)]
        parts = {one.slice: [other for other in mine if other.slice == one.slice] for one in mine}
        own = [event for event in STEPS if event.partition(".")[0] in dict(JOURNEYS[name]).values()]
        slices = [
            Slice(f"event={event}", counted(*parts.get(f"event={event}", ())), event=STEPS.index(event))
            for event in own
        ]
        slices += [
            Slice(label, counted(*about), journey=about[0].journey)
            for label, about in parts.items()
            if label.startswith("journey=")
        ]
        return ScenarioPlan(name, False, 0, counted(*parts.get("", ())), tuple(slices), journeys=JOURNEYS[name])


def report_of(path: Path, slos: Sequence[str | Mapping[str, Any]] = ()) -> Report:
    """The report of the run whose ledger is written there."""
    with LedgerReader(Planted().write(path, slos)) as reader:
        return build_again(reader, path.parent)
