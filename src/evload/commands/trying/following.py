"""Sends one event of each kind through the same doors as a run, and looks for it as a run's probes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ...clock import Clock, rfc3339
from ...engine.plan import Plan, ReaderPlan
from ...engine.watching import Turn
from ...errors import EvloadError
from ...model.iteration import Awaits
from ...model.states import Seen, State
from ...model.travel import Event, Read, ReadResult, Receipt, Target
from ...objectives.objective import written_name
from ...run.prepare import Kind
from ...spi.context import AdapterSettings, Surroundings
from ...spi.probe import Elsewhere, Probe, ProbeSettings, PushProbe
from ...spi.producer import Producer
from ...units import NS_PER_S
from .ids import Alias, in_answer, in_event, spellings
from .looking import Asked, Lens, Looked, Published, Tried
from .reasons import Elsewhere as Place
from .reasons import Tests, reasons, unpublished

_NOT_YET: Final[Mapping[Awaits, str]] = {
    "wait": "not shown yet",
    "absent": "nothing appeared yet",
    "gone": "not gone yet",
}
NOBODY: Final = (1 << 48) - 1
"""Number of an event that is never sent."""
_LONGEST_GAP_NS: Final = NS_PER_S
_SHARE: Final = 0.1
_SILENCE_S: Final = 2.0
_MARGIN_NS: Final = 5 * NS_PER_S
_ONE_PLACE_S: Final = 10.0
_MOST_ALIASES: Final = 40
_SHOWN: Final = 20


@dataclass
class _Sender:
    producer: Producer
    lens: Lens
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class _Eye:
    """A reader, open."""

    plan: ReaderPlan
    probe: Probe
    lens: Lens
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    told: dict[int, Read] = field(default_factory=dict)
    """Events that it was told of."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    strange: int = 0
    example: str = ""
    blind: bool = False

    @property
    def settings(self) -> ProbeSettings:
        return self.plan.settings

    @property
    def pushes(self) -> bool:
        return isinstance(self.probe, PushProbe)


class Trial:
    """Tries all kinds of a plan.

    wait_ns  how long to look on after a deadline, in nanoseconds
    enough   set: look no further
    say      takes a remark for a person
    """

    def __init__(
        self,
        plan: Plan,
        kinds: Sequence[Kind],
        surroundings: Surroundings,
        *,
        wait_ns: int | None,
        enough: asyncio.Event,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._kinds = kinds
        self._surroundings = surroundings
        self._clock: Clock = surroundings.clock
        self._wait_ns = wait_ns
        self._enough = enough
        self._say = say
        self._senders: dict[str, _Sender] = {}
        self._eyes: list[_Eye] = []

    async def run(
        self, done: Callable[[Tried], None], then: Callable[[], Awaitable[object]] | None = None
    ) -> list[Tried]:
        """Try them, side by side; `done` is given each as soon as all is known of it. `then` is done after that,
        while everything is still open.

        Raises TargetError if a target can't be opened.
        """
        async with AsyncExitStack() as stack:
            senders = self._senders = {
                name: await self._sender(stack, name, settings) for name, settings in self._plan.producers.items()
            }
            eyes = self._eyes = [await self._eye(stack, reader) for reader in self._plan.readers]
            for eye in eyes:
                eye.blind = await self._sees_nothing_there(eye)
            listening = [asyncio.create_task(self._listen(eye)) for eye in eyes if eye.pushes]

            async def one(kind: Kind) -> Tried:
                tried = await self._try(kind, senders[kind.producer], [eyes[number] for number in kind.readers])
                done(tried)
                return tried

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(kind)) for kind in self._kinds]
                if then is not None:
                    await then()
            finally:
                for task in listening:
                    task.cancel()
                for ended in await asyncio.gather(*listening, return_exceptions=True):
                    if isinstance(ended, Exception):
                        raise ended
        return [task.result() for task in tasks]

    async def publish(self, producer: str, event: Event) -> Published:
        """Send an event through a producer that is open, and wait for its answer, or until it is enough."""
        return await self._send(self._senders[producer], event)

    async def look(self, probe: str, event: Event, awaits: Awaits, turn: Turn | None) -> Looked:
        """Ask a probe that is open for an event, from now on, until it came to what is looked for, its deadline is
        over, or it is enough. `turn` makes of what the probe says what it says of that."""
        eye = next(eye for eye in self._eyes if eye.plan.probe == probe)
        look = _look_of(eye)
        look.awaits = awaits
        patience = asyncio.create_task(self._ask_for_patience(f"{probe}: {_NOT_YET[awaits]}", [look]))
        since_ns = self._clock.now_ns()
        until_ns = since_ns + look.deadline_ns
        try:
            target = Target(event.seq, event.correlation_id, event.correlation_id)
            said = await self._poll(eye, look, target, since_ns, until_ns, turn)
        finally:
            patience.cancel()
        if said is not Seen.PRESENT:
            look.state = self._state(look, said, until_ns)
        return look

    def _state(self, look: Looked, said: Seen | None, until_ns: int) -> State:
        """In which state a run settles what it never came to, as its tracker does."""
        if said is Seen.ENDED:
            return State.ENDED
        if self._enough.is_set():
            return State.PENDING
        proved = any(asked.seen is not Seen.FAILED and asked.start_ns >= until_ns for asked in look.reads)
        return State.LOST if proved else State.UNOBSERVED

    async def follow(self, reader: int, step: str, published: Published) -> Looked:
        """Look for the effect of what a step has sent with a reader that is open, by its number in the plan, from the
        answer on, until it is seen or the reader's deadline, and what is waited after it, are over."""
        eye = self._eyes[reader]
        look = _look_of(eye)
        look.reader = f"{written_name(eye.plan.probe)}{eye.plan.name.removeprefix(eye.plan.probe)}"
        look.of_step = step
        look.by_capture = bool(published.known_as)
        patience = asyncio.create_task(self._ask_for_patience(f"{step}: its effect isn't seen yet", [look]))
        try:
            await self._look(eye, look, published)
        finally:
            patience.cancel()
        if look.seen_ns is not None and not look.blind and not self._enough.is_set():
            look.blind = await self._shows_nobody(eye)
            if look.blind:
                look.clues = reasons(look, published, Tests())
        return look

    async def pause(self, at_ns: int) -> None:
        """Wait until a time, or until it is enough."""
        await self._unless_enough(self._clock.sleep_until_ns(at_ns))

    # Opening

    def _around(self, what: str, settings: AdapterSettings, lens: Lens | None) -> Surroundings:
        said: set[str] = set()

        def remark(text: str) -> None:
            if text not in said:
                said.add(text)
                self._say(f"{what}: {text}")

        for text in settings.remarks:
            remark(text)
        return replace(self._surroundings, remark=remark, traffic=lens, guard=self._surroundings.guard.of(what))

    async def _sender(self, stack: AsyncExitStack, name: str, settings: AdapterSettings) -> _Sender:
        lens = Lens()
        opening = self._plan.producers[name].open(self._around(f"producer {name}", settings, lens))
        producer = await stack.enter_async_context(opening)
        lens.clear()
        return _Sender(producer, lens)

    async def _eye(self, stack: AsyncExitStack, reader: ReaderPlan) -> _Eye:
        lens = Lens(self._surroundings.ids.prefix)
        opening = reader.settings.open(self._around(f"probe {reader.name}", reader.settings, lens))
        probe = await stack.enter_async_context(opening)
        lens.clear()
        return _Eye(reader, probe, lens)

    async def _listen(self, eye: _Eye) -> None:
        assert isinstance(eye.probe, PushProbe)

        def report(result: ReadResult) -> None:
            for read in result.reads:
                if read.seen is Seen.PRESENT:
                    eye.told.setdefault(read.seq, read)
            eye.strange += result.strange
            eye.example = eye.example or result.example
            eye.news.set()

        await eye.probe.listen(report)

    async def _sees_nothing_there(self, eye: _Eye) -> bool:
        """Whether it shows an event that was never sent."""
        if eye.pushes or eye.settings.capabilities.asks_by_capture:
            return False
        asked = await self._ask(eye, Target(NOBODY, self._surroundings.ids.id_of(NOBODY)))
        return asked.seen is Seen.PRESENT

    # One event

    async def _try(self, kind: Kind, sender: _Sender, eyes: Sequence[_Eye]) -> Tried:
        published = await self._publish(kind, sender)
        looks = [_look_of(eye) for eye in eyes]
        tried = Tried(kind.event, kind.scenario, kind.producer, published, looks)
        tried.clues += unpublished(published)
        if published.may_appear:
            patience = asyncio.create_task(self._ask_for_patience(f"{kind.event}: sent, and not seen yet", looks))
            try:
                async with asyncio.TaskGroup() as group:
                    for eye, look in zip(eyes, looks, strict=True):
                        group.create_task(self._look(eye, look, published))
            finally:
                patience.cancel()
        tried.interrupted = self._enough.is_set() and not tried.good
        return tried

    async def _ask_for_patience(self, what: str, looks: Sequence[Looked]) -> None:
        """Say what is waited for, if it takes its time."""
        await asyncio.sleep(_SILENCE_S)
        left_s = max((look.deadline_ns for look in looks), default=0) / NS_PER_S - _SILENCE_S
        if left_s > 0:
            self._say(f"{what}; looking for {left_s:g} s more (Ctrl-C ends it)")

    async def _publish(self, kind: Kind, sender: _Sender) -> Published:
        now_ns = self._clock.now_ns()
        (event,) = kind.renderer.render([now_ns], rfc3339(self._clock.wall(now_ns)))
        return await self._send(sender, event)

    async def _send(self, sender: _Sender, event: Event) -> Published:
        async with sender.turn:
            published = Published(event, asked=Asked(self._clock.now_ns()))
            sender.lens.into = published.asked
            answered = asyncio.Event()

            def settle(receipts: Sequence[Receipt]) -> None:
                published.receipt = receipts[0]
                answered.set()

            await sender.producer.publish([event], settle)
            await self._unless_enough(answered.wait())
            published.asked.end_ns = self._clock.now_ns()
        return published

    async def _look(self, eye: _Eye, look: Looked, published: Published) -> None:
        """Until it is seen, or until the deadline and what is waited after it are over."""
        event, receipt = published.event, published.receipt
        assert receipt is not None
        since_ns = receipt.acked_ns or receipt.sent_ns or event.intended_ns
        deadline_ns = since_ns + look.deadline_ns
        target = _target_of(published)
        await self._until(eye, look, target, since_ns, deadline_ns)
        if look.seen_ns is None:
            tests = await self._test(eye, look, published, target)
            look.clues = reasons(look, published, tests)
            if not any(clue.settled for clue in look.clues) and not self._enough.is_set():
                await self._wait_on(eye, look, published, target, since_ns, deadline_ns, tests)
        self._note(eye, look, event)
        if look.blind or look.late:
            look.clues = reasons(look, published, Tests())

    async def _shows_nobody(self, eye: _Eye) -> bool:
        """Whether it shows a step's effect that never was."""
        nobody = self._surroundings.ids.id_of(NOBODY)
        asked = await self._ask(eye, Target(NOBODY, nobody, nobody))
        return asked.seen is Seen.PRESENT

    async def _wait_on(
        self,
        eye: _Eye,
        look: Looked,
        published: Published,
        target: Target,
        since_ns: int,
        deadline_ns: int,
        tests: Tests,
    ) -> None:
        wait_ns = max(look.deadline_ns, _MARGIN_NS) if self._wait_ns is None else self._wait_ns
        if wait_ns <= 0:
            return
        self._say(
            f"{look.reader}: not seen within its deadline; looking on for {wait_ns / NS_PER_S:g} s, "
            "in case it comes late (Ctrl-C ends it)"
        )
        await self._until(eye, look, target, since_ns, deadline_ns + wait_ns)
        look.late = look.seen_ns is not None
        if not look.late:
            self._note(eye, look, published.event)
            look.clues = reasons(look, published, replace(tests, waited_ns=wait_ns))

    async def _until(self, eye: _Eye, look: Looked, target: Target, since_ns: int, until_ns: int) -> None:
        if eye.pushes:
            await self._be_told(eye, look, target, since_ns, until_ns)
        else:
            await self._poll(eye, look, target, since_ns, until_ns)

    async def _poll(
        self, eye: _Eye, look: Looked, target: Target, since_ns: int, until_ns: int, turn: Turn | None = None
    ) -> Seen | None:
        """Gives what the last read said of what is looked for; None: there was none."""
        settings = eye.settings
        said = None
        least_ns = settings.first
        if settings.most_reads:
            least_ns = max(least_ns, round(NS_PER_S / settings.most_reads))
        due_ns = max(since_ns + settings.first, self._clock.now_ns())
        last = False
        while not self._enough.is_set():
            await self._unless_enough(self._clock.sleep_until_ns(due_ns))
            asked = await self._ask(eye, target)
            look.reads.append(asked)
            said, after_ns = _turned(asked, turn), max(0, asked.end_ns - since_ns)
            if asked.seen is Seen.PRESENT and look.seen_ns is None:
                look.seen_ns = after_ns
            if said is Seen.PRESENT and look.awaits == "gone":
                look.gone_ns = after_ns
            if last or said in (Seen.PRESENT, Seen.ENDED):
                break
            now_ns = self._clock.now_ns()
            gap_ns = min(max(least_ns, round((now_ns - since_ns) * _SHARE)), max(_LONGEST_GAP_NS, least_ns))
            gap_ns = max(gap_ns, 0 if asked.result is None else asked.result.retry_ns)
            due_ns = now_ns + gap_ns
            if due_ns >= until_ns:
                due_ns, last = max(until_ns, now_ns), True
        return said

    async def _be_told(self, eye: _Eye, look: Looked, target: Target, since_ns: int, until_ns: int) -> None:
        while not self._enough.is_set():
            read = eye.told.get(target.seq)
            if read is not None:
                look.seen_ns = max(0, read.end_ns - since_ns)
                return
            left_s = (until_ns - self._clock.now_ns()) / NS_PER_S
            if left_s <= 0:
                break
            eye.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._unless_enough(eye.news.wait())
        asked = await self._ask(eye, target)
        if target.seq in eye.told:
            look.seen_ns = max(0, eye.told[target.seq].end_ns - since_ns)
        else:
            look.reads.append(asked)

    @staticmethod
    def _note(eye: _Eye, look: Looked, event: Event) -> None:
        """What came to it that is about the event, or else the first of all that came."""
        came = list(eye.lens.deliveries)
        look.deliveries = [one for one in came if one.mentions(event.correlation_id)] or came[:_SHOWN]
        look.delivered = eye.lens.delivered
        look.strange, look.example = eye.strange, eye.example

    async def _ask(self, eye: _Eye, target: Target) -> Asked:
        return await _read(eye.probe, eye.lens, eye.turn, target, self._clock)

    async def _unless_enough(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Wait for it, or until it is enough."""
        tasks = [asyncio.create_task(waiting), asyncio.create_task(self._enough.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # Why it isn't seen

    async def _test(self, eye: _Eye, look: Looked, published: Published, target: Target) -> Tests:
        """Look for it under other ids and in other places."""
        self._note(eye, look, published.event)
        if eye.pushes or eye.blind or self._enough.is_set():
            return Tests()
        nobody = Target(NOBODY, self._surroundings.ids.id_of(NOBODY), self._surroundings.ids.id_of(NOBODY))
        control = await self._ask(eye, nobody)
        known = [] if control.seen is Seen.PRESENT else await self._known_as(eye, published, target)
        elsewhere = [] if known else [place async for place in self._elsewhere(eye, target)]
        return Tests(control, known, elsewhere)

    async def _known_as(self, eye: _Eye, published: Published, target: Target) -> list[Alias]:
        """The first other id by which it is seen."""
        event = published.event
        aliases = [
            *spellings(published.id),
            *in_answer(published.asked.document, published.id),
            *in_event(event),
        ]
        if eye.settings.capabilities.asks_by_capture or published.known_as:
            aliases.insert(0, Alias(event.correlation_id, "the correlation id", "correlation_id"))
        for alias in aliases[:_MOST_ALIASES]:
            if self._enough.is_set():
                break
            if alias.id == (target.capture or target.correlation_id):
                continue
            asked = await self._ask(eye, Target(event.seq, alias.id, alias.id))
            if asked.seen is Seen.PRESENT:
                return [alias]
        return []

    async def _elsewhere(self, eye: _Eye, target: Target) -> AsyncIterator[Place]:
        surroundings = replace(self._surroundings, remark=lambda text: None)
        with suppress(EvloadError):
            async for place in eye.settings.elsewhere(surroundings):
                if self._enough.is_set():
                    return
                asked = await self._at(place, surroundings, target)
                if asked is not None:
                    yield Place(place.where, place.cure, place.nowhere, asked)
                    if asked.seen is Seen.PRESENT and not place.nowhere:
                        return

    async def _at(self, place: Elsewhere, surroundings: Surroundings, target: Target) -> Asked | None:
        """What is answered there; None if nothing can be asked."""
        lens = Lens()
        opening = place.settings.open(replace(surroundings, traffic=lens))
        with suppress(EvloadError, TimeoutError):
            async with asyncio.timeout(_ONE_PLACE_S), opening as probe:
                return await _read(probe, lens, asyncio.Lock(), target, self._clock)
        return None


def _target_of(published: Published) -> Target:
    """What a probe is asked for; what a step says is asked in the place of both ids."""
    event, receipt, known_as = published.event, published.receipt, published.known_as
    if known_as:
        return Target(event.seq, known_as, known_as)
    return Target(event.seq, event.correlation_id, None if receipt is None else receipt.capture)


def _look_of(eye: _Eye) -> Looked:
    """How a reader will look."""
    return Looked(
        eye.plan.name,
        str(getattr(eye.settings, "kind", "")),
        eye.settings.deadline,
        by_capture=eye.settings.capabilities.asks_by_capture,
        blind=eye.blind,
    )


def _turned(asked: Asked, turn: Turn | None) -> Seen:
    """What a read says of what is looked for."""
    if turn is None or asked.result is None or not asked.result.reads:
        return asked.seen
    return turn(asked.result.reads)[0].seen


async def _read(probe: Probe, lens: Lens, turn: asyncio.Lock, target: Target, clock: Clock) -> Asked:
    """One read, about one event, with all that is seen of it."""
    async with turn:
        asked = Asked(clock.now_ns())
        lens.into = asked
        try:
            asked.result = await probe.read([target])
        finally:
            lens.into = None
        asked.end_ns = clock.now_ns()
    return asked
