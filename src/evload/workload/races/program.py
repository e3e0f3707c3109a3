"""Compiles a race: its set-up as the steps of a journey, its contenders and its reads as single requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..journeys.program import Done, Given, Program, Send
from ..journeys.settings import RequestStep, Sending
from .rules import Judged
from .settings import RaceSettings

_NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Contending:
    """A contender, and how often it is sent in a round; each is due so long after the instant as is drawn between the
    two ends of `offset`, in nanoseconds. `place` tells what is drawn for it from all else."""

    send: Send
    times: int
    offset: tuple[int, int]
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A request whose answer rules look at, by its name. `place` as of a contender."""

    send: Send
    place: int


class RaceProgram(Program):
    """A race, ready to be run: a program whose main part is the set-up of a round."""

    def __init__(self, name: str, race: RaceSettings, given: Given) -> None:
        super().__init__(name, race, given)
        if self.main is None:
            self.main = len(self.operations)
            self.operations.append(Done())
        self.settings = race
        places = iter(range(len(self.operations), len(self.operations) + len(race.contenders) + len(race.reads)))
        self.contenders: Sequence[Contending] = [
            Contending(self._single(one.step, ("contenders", one.step.name)), one.times, one.offset, next(places))
            for one in race.contenders
        ]
        self.reads: Sequence[Reading] = [
            Reading(self._single(one, ("reads", one.name), reads=True), next(places)) for one in race.reads
        ]
        names, reads = [one.step.name for one in race.contenders], [one.name for one in race.reads]
        self.rules = [Judged(rule, given.expression(rule.expression), reads, names) for rule in race.rules]

    def _single(self, step: Sending, path: tuple[str | int, ...], *, reads: bool = False) -> Send:
        """`reads`: rules look into its answer."""
        if isinstance(step, RequestStep):
            return self.request(step, path, _NOWHERE, _NOWHERE, reads=reads)
        return self.send_event(step, path, _NOWHERE)
