"""Journeys in a world of the test's own: what is due goes to a target that answers as the test says, after a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from evload.clients.jmes import Expression
from evload.model.correlation import CorrelationIds
from evload.model.iteration import Iteration
from evload.model.states import Outcome
from evload.model.travel import Download, Encoding, Event, Pieces, Receipt, RequestEvent, WaitEvent
from evload.workload.events import EventSettings
from evload.workload.journeys.pools import Pools
from evload.workload.journeys.program import Given, Program, Watch, events_of
from evload.workload.journeys.room import Course, Journeys
from evload.workload.journeys.settings import JourneySettings
from evload.workload.journeys.uploads import load
from evload.workload.schedule import Arrivals, Hold

MS = 1_000_000
S = 1_000_000_000


@dataclass(frozen=True)
class Said:
    """An answer: what it says, and after how long."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after_ns: int = 10 * MS
    download: Download | None = None

    def get(self, name: str) -> Any:
        """See `Answer`."""
        if name == "body" and self.body is ...:
            raise ValueError("the body isn't JSON")
        return {"status": self.status, "headers": self.headers, "body": self.body}.get(name)


NOTHING = Said(0)
"""No answer at all."""
UNSENT = Said(-1)
"""The target can't be reached."""


@dataclass
class Sent:
    """What was sent, when it was due and when it was sent, and `own_ns`, what of that delay was evload's own; of what
    is waited for whether it was `shown` before."""

    at_ns: int
    due_ns: int
    seq: int
    type: str
    producer: str
    method: str
    target: str
    body: str
    headers: Mapping[str, str]
    memory: dict[str, Any] | None = None
    """Where producers remember things."""
    remembered: Sequence[int] = ()
    """What was in it: the numbers of the requests before it that shared it."""
    shown: bool = False
    own_ns: int = 0

    @property
    def step(self) -> str:
        """The name of its step."""
        return self.type.partition(".")[2]

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


def programs_of(
    journeys: Mapping[str, JourneySettings],
    *,
    seed: str = "1",
    events: Mapping[str, EventSettings] | None = None,
    scenario: int = 0,
    captured: Mapping[str, Any] | None = None,
) -> tuple[list[Program], list[str]]:
    """Compiled, and the names of their events."""
    names = [name for journey, settings in journeys.items() for name in events_of(journey, settings)]
    events = events or {}
    given = Given(
        ids=CorrelationIds(7),
        run_id="r",
        seed=seed,
        scenario=scenario,
        types={name: number for number, name in enumerate(names)},
        watches=dict.fromkeys(names, 1),
        readers={(names[0], "view"): (0, 2), (names[0], "feed"): (1,)},
        encodings={"shop": Encoding(), "bus": Encoding(mode="plain")},
        events=events,
        records=dict.fromkeys(events),
        captured=captured or {},
        uploads=load([one for journey in journeys.values() for one in journey.files()], "1", _content),
        expression=Expression,
    )
    return [Program(name, settings, given) for name, settings in journeys.items()], names


def _text(event: Event) -> str:
    if isinstance(event, RequestEvent) and isinstance(event.request.body, Pieces):
        return b"".join(event.request.body.of).decode()
    return event.body.decode()


def _content(path: str) -> bytes:
    """What is in each file: its name."""
    return path.encode()


Answering = Callable[[Sent], Said]


class World:
    """A scenario of journeys against a target. `lag_ns` is how late everything is taken notice of."""

    def __init__(
        self,
        journeys: Mapping[str, JourneySettings],
        answering: Answering = lambda sent: Said(),
        *,
        seed: str = "1",
        weights: Sequence[float] = (),
        load: Sequence[Hold] = (),
        pools: Pools | None = None,
        lag_ns: int = 0,
        events: Mapping[str, EventSettings] | None = None,
        captured: Mapping[str, Any] | None = None,
        showing: Callable[[Sent], Said | None] = lambda sent: Said(),
        **course: Any,
    ) -> None:
        self.programs, self.types = programs_of(journeys, seed=seed, events=events, captured=captured)
        assert [str(problem) for program in self.programs for problem in program.problems] == []
        self.now_ns = 0
        self.lag_ns = lag_ns
        self._answering = answering
        self._showing = showing
        self.pools = pools or Pools()
        self.room = Journeys(
            0,
            1 + any(isinstance(one, Watch) for program in self.programs for one in program.operations),
            self.programs,
            range(len(self.programs)),
            Course(weights or [1] * len(self.programs), Arrivals(load, "constant", ""), **course),
            origin_ns=0,
            seed=seed,
            pools=self.pools,
            stamp=lambda at_ns: f"t{at_ns}",
        )
        self.sent: list[Sent] = []
        self.over: list[Iteration] = []
        self.receipts: list[Receipt] = []
        self._coming: list[tuple[int, int, Receipt | tuple[int, int | None, Mapping[str, Any], str]]] = []
        self._count = 0

    def run(self, until_ns: int | None = None, *, stop_ns: int | None = None) -> None:
        """On to the end, or to a time; stopped at a time."""
        stopped = False
        for _ in range(1_000_000):
            times = [self._coming[0][0]] if self._coming else []
            if (due_ns := self.room.next_ns()) is not None:
                times.append(due_ns)
            if stop_ns is not None and not stopped and (not times or min(times) > stop_ns):
                self.now_ns, stopped = stop_ns, True
                self.receipts += self.room.stop(stop_ns)
                self.over += self.room.over()
                self._publish()
                continue
            if not times or (until_ns is not None and min(times) > until_ns):
                break
            self.now_ns = max(self.now_ns, min(times) + self.lag_ns)
            self._receive()
            self._publish()
            self.over += self.room.over()
        else:
            raise AssertionError("it goes on for ever")

    def _receive(self) -> None:
        came = []
        while self._coming and self._coming[0][0] <= self.now_ns:
            what = heappop(self._coming)[2]
            if isinstance(what, Receipt):
                came.append(what)
            else:
                self.room.watched(*what, self.now_ns)
        if came:
            self.receipts += self.room.answered(came, self.now_ns)

    def _publish(self) -> None:
        while due := self.room.take(self.now_ns, 256):
            for producer, event in due:
                sent = self._noted(producer, event)
                if sent.memory is not None:
                    sent.memory["sent"].append(len(self.sent))
                self.sent.append(sent)
                if isinstance(event, WaitEvent):
                    self._count += 1
                    shown = self._showing(sent)
                    after_ns = 10 * S if shown is None else shown.after_ns
                    seen_ns = None if shown is None else self.now_ns + after_ns
                    held = {} if shown is None else shown.body or {}
                    told = (event.seq, seen_ns, held, "" if shown else "it wasn't seen within 10 s")
                    heappush(self._coming, (self.now_ns + after_ns, self._count, told))
                    continue
                said = self._answering(sent)
                self._count += 1
                heappush(self._coming, (self.now_ns + said.after_ns, self._count, self._receipt(event, said)))

    def _noted(self, producer: str, event: Event) -> Sent:
        request = event.request if isinstance(event, RequestEvent) else None
        return Sent(
            self.now_ns,
            event.intended_ns,
            event.seq,
            self.types[event.type],
            producer,
            "" if request is None else request.method,
            "" if request is None else request.target,
            event.correlation_id if isinstance(event, WaitEvent) else _text(event),
            dict(event.headers),
            None if request is None else request.memory,
            () if request is None or request.memory is None else request.memory.setdefault("sent", [])[:],
            isinstance(event, WaitEvent) and event.shown,
            self.room.own_delay(event, self.now_ns),
        )

    def _receipt(self, event: Event, said: Said) -> Receipt:
        at_ns = self.now_ns + said.after_ns
        if said is NOTHING:
            return Receipt(event.seq, Outcome.IN_DOUBT, self.now_ns, None, "no answer within 1 s")
        if said is UNSENT:
            return Receipt(event.seq, Outcome.UNSENT, self.now_ns, None, "connection refused")
        if not isinstance(event, RequestEvent):
            return Receipt(event.seq, Outcome.ACCEPTED, self.now_ns, at_ns)
        known = event.request.expect | event.request.refused
        outcome = Outcome.ACCEPTED if said.status in known else Outcome.REJECTED
        detail = "" if outcome is Outcome.ACCEPTED else f"HTTP {said.status}"
        return Receipt(event.seq, outcome, self.now_ns, at_ns, detail, None, {"status": said.status}, said)

    @property
    def steps(self) -> list[str]:
        """The steps that were sent, in order."""
        return [sent.step for sent in self.sent]

    @property
    def ends(self) -> list[str]:
        """How the iterations ended, in order."""
        return [one.end.name.lower() for one in self.over]
