"""A race in a world of the test's own: what is due is answered as the test says, after a time. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from evload.clients.jmes import Expression
from evload.model.correlation import CorrelationIds
from evload.model.round import Round
from evload.model.states import Outcome
from evload.model.travel import Encoding, Receipt, RequestEvent
from evload.workload.journeys.pools import Pools
from evload.workload.journeys.program import Given, events_of
from evload.workload.journeys.room import Course
from evload.workload.races.program import RaceProgram
from evload.workload.races.room import Races
from evload.workload.races.settings import RaceSettings
from evload.workload.schedule import Arrivals, Rounds
from tests.rigs.journeys import NOTHING, UNSENT, Said

S = 1_000_000_000


@dataclass
class Asked:
    """What was sent: by its name, which of that name in its round, and when, in nanoseconds since the start."""

    name: str
    number: int
    at_ns: int
    due_ns: int
    target: str


class Raced:
    """The rounds of a race against a target. `answering` says what it answers, and after how long."""

    def __init__(
        self,
        race: RaceSettings,
        answering: Callable[[Asked], Said],
        *,
        count: int = 1,
        every_ns: int = 10 * S,
        seed: str = "1",
    ) -> None:
        self.names = events_of("sale", race)
        given = Given(
            ids=CorrelationIds(7), run_id="r", seed=seed, scenario=0,
            types={name: number for number, name in enumerate(self.names)}, watches={}, readers={},
            encodings={"shop": Encoding()}, events={}, records={}, captured={}, uploads={}, expression=Expression,
        )  # fmt: skip
        program = RaceProgram("sale", race, given)
        assert not program.problems
        load = (Rounds(count=count, every=f"{every_ns}ns"),)
        self.ready: list[tuple[str, int]] = []
        self.room = Races(
            0, 1, program, Course([1], Arrivals(load, "constant", "")), origin_ns=0, seed=seed, pools=Pools(),
            stamp=str, ready=lambda producer, number: self.ready.append((producer, number)),
        )  # fmt: skip
        self._answering = answering
        self.now_ns = 0
        self.asked: list[Asked] = []
        self.final: list[Receipt] = []
        self.rounds: list[Round] = []
        self.remarks: list[str] = []
        self._coming: list[tuple[int, int, Receipt]] = []
        self._counts: dict[tuple[str, int | None], int] = {}

    def run(self, stop_ns: int | None = None) -> Raced:
        """On to the end; stopped at a time."""
        stopped = False
        for _ in range(100_000):
            times = [
                at for at in (self.room.next_ns(), self._coming[0][0] if self._coming else None) if at is not None
            ]
            if stop_ns is not None and not stopped and (not times or min(times) > stop_ns):
                self.now_ns, stopped = stop_ns, True
                self.final += self.room.stop(stop_ns)
            elif not times:
                break
            else:
                self.now_ns = max(self.now_ns, min(times))
                self._receive()
                self._send()
            self.rounds += self.room.over()
            self.remarks += self.room.remarks()
        assert self.room.done
        return self

    def _receive(self) -> None:
        came = []
        while self._coming and self._coming[0][0] <= self.now_ns:
            came.append(heappop(self._coming)[2])
        self.final += self.room.answered(came, self.now_ns)

    def _send(self) -> None:
        while due := self.room.take(self.now_ns, 8):
            for _, event in due:
                assert isinstance(event, RequestEvent)
                name = self.names[event.type].partition(".")[2]
                key = name, self.room.iteration(event.seq)
                self._counts[key] = number = self._counts.get(key, -1) + 1
                asked = Asked(name, number, self.now_ns, event.intended_ns, event.request.target)
                self.asked.append(asked)
                said = self._answering(asked)
                at_ns = self.now_ns + said.after_ns
                heappush(self._coming, (at_ns, event.seq, self._receipt(event, said, at_ns)))

    def _receipt(self, event: RequestEvent, said: Said, at_ns: int) -> Receipt:
        if said.status == NOTHING.status:
            return Receipt(event.seq, Outcome.IN_DOUBT, self.now_ns, None, "no answer")
        if said.status == UNSENT.status:
            return Receipt(event.seq, Outcome.UNSENT, self.now_ns, None, "connection refused")
        known = said.status in event.request.expect | event.request.refused
        outcome = Outcome.ACCEPTED if known else Outcome.REJECTED
        facts: Mapping[str, Any] = {"status": said.status}
        return Receipt(event.seq, outcome, self.now_ns, at_ns, "", None, facts, said)

    def times_of(self, name: str) -> list[int]:
        """When those of a name were sent, in milliseconds since the instant, 0 where the first contender was due."""
        first = min(one.due_ns for one in self.asked if one.name not in ("item", "stock", "sold"))
        return [(one.at_ns - first) // 1_000_000 for one in self.asked if one.name == name]
