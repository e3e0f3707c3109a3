"""Goes through journeys, each once, by the rules by which a run goes through them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ...clock import Clock, rfc3339
from ...config.run_config import RunConfig
from ...engine.watching import Turn, Watching
from ...model.iteration import Awaits
from ...model.states import Outcome, Seen, State
from ...model.travel import Event, WaitEvent
from ...run.prepare import Pass, pass_of
from ...run.shown_traffic import HIDDEN
from ...units import NS_PER_S, format_duration
from ...workload.journeys.pools import Pools
from ...workload.journeys.program import Program, Send, Watch
from ...workload.journeys.room import Due, Journeys
from ...workload.journeys.settings import JourneySettings, Sending, WaitStep
from .gone import FAILED, OK, REFUSED, JourneyTried, StepTried
from .looking import Looked, Published
from .rules import rules_of
from .step_reasons import look_into, why_failed, why_not, why_not_captured

_PATIENCE_NS: Final = 2 * NS_PER_S
_SAID: Final = {1: OK, 2: REFUSED, 3: FAILED}
"""By the values of the fact `answer`."""


@dataclass(frozen=True)
class Ways:
    """How to send and to ask.

    publish  sends an event through a producer and waits for its answer
    look     asks for what JOURNEY.STEP waits for, until it came to that or its time is over: what it awaits, and what
             that makes of a read
    follow   looks for the effect of what JOURNEY.STEP has sent, with the reader that has this number in the plan
    pause    waits until a time, or until it is enough
    enough   set: go no further
    say      takes a remark for a person
    learn    is given what stands in the place of a secret that an answer has, and the secret
    """

    clock: Clock
    publish: Callable[[str, Event], Awaitable[Published]]
    look: Callable[[str, Event, Awaits, Turn | None], Awaitable[Looked]]
    follow: Callable[[int, str, Published], Awaitable[Looked]]
    pause: Callable[[int], Awaitable[None]]
    enough: asyncio.Event
    say: Callable[[str], None]
    learn: Callable[[str, str], None]


class Going:
    """Goes through the journeys of a config. What one gives another can take."""

    def __init__(self, config: RunConfig, run_id: str, ways: Ways) -> None:
        self._config = config
        self._run_id = run_id
        self._ways = ways
        self._pools = Pools()
        self._passes = 0

    async def through(self, journeys: Sequence[str], done: Callable[[JourneyTried], None]) -> list[JourneyTried]:
        """Go through each of them once, and before it through those that give what it takes."""
        found: list[JourneyTried] = []
        for journey in journeys:
            if any(one.journey == journey for one in found):
                continue  # another one took what it gives
            for one, why in self._first(journey, frozenset()):
                if self._ways.enough.is_set():
                    return found
                if why and (one not in journeys or any(before.journey == one for before in found)):
                    self._ways.say(f"{one} is gone through as well: {why}")
                self._passes += 1
                once = pass_of(self._config, one, f"{self._run_id}-{self._passes}")
                found.append(await _Walk(once, self._ways, self._pools).go())
                done(found[-1])
        return found

    def _first(self, journey: str, waiting: frozenset[str]) -> Iterator[tuple[str, str]]:
        """What to go through for a journey, in that order, it being the last: each with why it comes before. Goes by
        what is in the pools when it is asked for the next one."""
        for pool in dict.fromkeys(pool for step in self._sending(journey) for pool in step.take.values()):
            giver = next((one for one in self._made() if any(pool in step.give for step in self._sending(one))), None)
            if giver is not None and not self._pools.left(pool) and giver not in {journey, *waiting}:
                for one, why in self._first(giver, waiting | {journey}):
                    yield one, why or f"it gives {pool}, which {journey} takes"
        yield journey, ""

    def _made(self) -> list[str]:
        """The journeys that some scenario goes through."""
        return made_in(self._config)

    def _sending(self, journey: str) -> Iterator[Sending]:
        return (self._config.journeys.get(journey) or self._config.races[journey]).sending()


def made_in(config: RunConfig) -> list[str]:
    """The journeys that some scenario goes through, each once, and the races, by the names of their scenarios."""
    return list(dict.fromkeys(one for name in config.scenarios for one in config.made_by(name)))


class _Walk:
    """One pass of a journey."""

    def __init__(self, once: Pass, ways: Ways, pools: Pools) -> None:
        self._once = once
        self._ways = ways
        self._program = once.program
        self._steps: dict[int, StepTried] = {}
        """By the numbers of their events."""
        self._following: list[tuple[StepTried, asyncio.Task[Looked]]] = []
        """What looks for the effects of steps beside."""
        clock = self._clock = ways.clock
        self._room = Journeys(
            once.index,
            once.scenarios,
            [once.program],
            [0],
            once.course,
            origin_ns=clock.now_ns(),
            seed=once.seed,
            pools=pools,
            stamp=lambda at_ns: rfc3339(clock.wall(at_ns)),
        )

    async def go(self) -> JourneyTried:
        """Until it is over, or until it is enough."""
        room, enough = self._room, self._ways.enough
        try:
            while not room.done and not enough.is_set():
                if due := room.take(self._clock.now_ns(), 1):
                    await self._do(due[0])
                elif (at_ns := room.next_ns()) is not None:
                    await self._until(at_ns)
            if enough.is_set():
                room.stop(self._clock.now_ns())
            for step, looking in self._following:
                step.followed.append(await looking)
        finally:
            for _, looking in self._following:
                looking.cancel()
        steps = list(self._steps.values())
        self._say_what_proves_little(steps)
        gone = {step.name for step in steps}
        return JourneyTried(
            self._once.journey,
            self._once.scenario,
            self._program.secrets,
            steps,
            next(iter(room.over()), None),
            [step.name for step in self._once.settings.counted() if step.name not in gone],
            None if self._once.race is None else rules_of(self._once.race, steps),
            enough.is_set(),
        )

    def _say_what_proves_little(self, steps: Sequence[StepTried]) -> None:
        """A probe that looks in the wrong place finds nothing either."""
        shown = {step.to for step in steps if step.look is not None and step.look.seen_ns is not None}
        shown |= {look.reader for step in steps for look in step.followed if look.seen_ns is not None}
        blank = [step for step in steps if step.look is not None and step.look.awaits == "absent" and step.said == OK]
        for step in blank:
            if step.to not in shown:
                self._ways.say(
                    f"{self._once.journey}: {step.name} proves little: {step.to} showed nothing at any step, as it "
                    f"would in the wrong place; let a step wait with {step.to} for something that does come"
                )

    async def _until(self, at_ns: int) -> None:
        left_ns = at_ns - self._clock.now_ns()
        if left_ns > _PATIENCE_NS:
            left = format_duration(round(left_ns / NS_PER_S) * NS_PER_S)
            self._ways.say(f"{self._once.journey}: goes on in {left} (Ctrl-C ends it)")
        await self._ways.pause(at_ns)

    async def _do(self, due: Due) -> None:
        event, program, known = due.event, self._program, self._program.late.values
        place, operation = next(
            (place, one)
            for place, one in enumerate(program.operations)
            if isinstance(one, Send | Watch) and one.type == event.type
        )
        step = self._steps.get(event.seq)
        if step is None:
            step = StepTried(operation, _part_of(program, place), due.producer, event, self._clock.now_ns())
            self._steps[event.seq] = step
        if isinstance(operation, Watch):
            assert isinstance(event, WaitEvent)
            await self._wait(step, operation, event)
        else:
            step.taken = {name: known[name] for name, _ in operation.take if name in known}
            await self._send(step, operation, dict(known))
        for name in program.secrets & known.keys():
            for text in _texts(known[name]):
                self._ways.learn(f"{{{name}}}", text)

    async def _send(self, step: StepTried, send: Send, values: Mapping[str, Any]) -> None:
        published = await self._ways.publish(send.producer, step.event)
        step.asked.append(published.asked)
        step.receipt = receipt = published.receipt
        if receipt is None:
            return
        final = self._room.answered([receipt], self._clock.now_ns())
        if not final:
            return  # it is sent again
        self._follow(step, published)
        step.said, step.detail = _SAID[(final[0].facts or {})["answer"]], final[0].detail
        if step.said != REFUSED and receipt.outcome is Outcome.ACCEPTED and receipt.answer is not None:
            step.found, step.captured = look_into(send, receipt.answer, values)
        if step.said == FAILED:
            step.clues = why_failed(step)

    def _follow(self, step: StepTried, published: Published) -> None:
        """Have probes look for its effect, each for what the step says, while the journey goes on."""
        for event, _ in self._room.followed():
            for reader, asked in event.asked.items():
                known_as = "" if asked == published.event.correlation_id else asked
                looking = self._ways.follow(reader, step.name, replace(published, known_as=known_as))
                self._following.append((step, asyncio.ensure_future(looking)))

    async def _wait(self, step: StepTried, watch: Watch, event: WaitEvent) -> None:
        settings = _wait_of(self._once.settings, watch.name)
        step.to = settings.probe
        watching = Watching({watch.scenario: watch.kind}, {0: watch.kind})
        watching.begin(event)
        probe = f"{self._once.journey}.{watch.name}"
        step.look = look = await self._ways.look(probe, event, watch.kind, watching.turn(0))
        look.reader = settings.probe  # by the name under which it stands in the config
        hidden = {f"capture {name}" for name, one in settings.capture.items() if one.secret}
        for asked in look.reads:
            asked.found = [
                one._replace(value=HIDDEN) if one.name in hidden and one.value is not None else one
                for one in asked.found
            ]
        now_ns = self._clock.now_ns()
        if look.state is State.PENDING:
            return
        if not watching.came(watch.scenario, look.state is None, look.state):
            why = watching.reason(watch.scenario, event.seq, look.state)
            step.said, step.detail, step.clues = FAILED, why, why_not(look, event, settings)
            self._room.watched(event.seq, None, {}, why, now_ns)
            return
        result = look.reads[-1].result
        shown = next((read for read in (result.reads if result else ()) if read.seen is Seen.PRESENT), None)
        captured = dict((shown.captured if shown else None) or {})
        step.captured = {name: value for name, value in captured.items() if value is not None}
        lacking = [name for name in watch.captures if name not in step.captured]
        step.said, step.clues = (FAILED if lacking else OK), why_not_captured(look, lacking, settings)
        self._room.watched(event.seq, now_ns, captured, "", now_ns)


def _part_of(program: Program, place: int) -> str:
    """In which part of a journey an operation stands."""
    starts = {"begin": program.begin, "steps": program.main, "finally": program.finally_, "end": program.end}
    return max((start, part) for part, start in starts.items() if start is not None and start <= place)[1]


def _wait_of(journey: JourneySettings, name: str) -> WaitStep:
    return next(step for step in journey.counted() if isinstance(step, WaitStep) and step.name == name)


def _texts(value: Any) -> Iterator[str]:
    """All that a secret consists of, as text."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
