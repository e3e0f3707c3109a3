"""Runs one plan: opens what it needs, starts the load, the reads and the gauges, and closes all of it in order.

The only owner of a TaskGroup. It knows producers, probes and sinks through their doors alone, reads time only
through its clock, and leaves all decisions to the pure rooms: when to send to `workload`, when to read and what a
read means to `tracking`, what it amounts to to `summary`.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ..judging.live_checks import LiveChecks
from ..ledger.writer import Ledger
from ..model.iteration import Awaits
from ..model.phases import Course
from ..model.summary import Summary
from ..model.vitals import Vitals
from ..spi.activity import Values
from ..spi.context import AdapterSettings, Began, Surroundings
from ..spi.gauge import Gauge
from ..spi.probe import Probe
from ..spi.producer import Producer
from ..spi.sink import Sink
from ..spi.traffic import Traffic
from ..summary.fold_plan import asked_tags
from ..summary.recorder import Recorder
from ..tracking.tracker import Tracker
from ..workload.journeys.pools import Pools
from .acting import Acting, ActionRun, OpenAction
from .bookkeeping import Bookkeeping
from .control import RunControl
from .ending import Endings
from .failures import Failures
from .gauging import Gauging
from .housekeeping import Housekeeping
from .journeying import JourneyPacer, StepPacer
from .ordered_pacing import KeyOrder, OrderedPacer
from .pacing import Pacer
from .performing import Bounded
from .plan import Plan, ScenarioRun
from .progress import ProgressMeter
from .racing import RacePacer
from .reading import Reading
from .undoing import NO_VALUES, Undoing, Unguarded
from .watching import Watching

FAR_NS: Final = 1 << 62
"""A moment that never comes."""
LEAD_NS: Final = 50_000_000
"""Between the end of set-up and the first event, so that the first is no later than the others."""

Start = Callable[[], Awaitable[int]]
"""Says when the schedule begins, once all targets are open: a reading of the run's clock, in nanoseconds."""


Looking = Callable[[str], Traffic]
"""Gives an adapter, by what it is called, somebody who looks on."""


def shown_from_ns(scenario: ScenarioRun, start_ns: int) -> int:
    """From when on what is acked and not seen yet is shown as waiting, of a schedule that begins then.

    Nobody waits to see what is to stay absent.
    """
    if scenario.watched == "absent":
        return FAR_NS
    return start_ns + scenario.fold.judged_ns if scenario.fold.warmup else 0


def _insert(remarks: list[str], text: str) -> None:
    """Add a remark about the run, once."""
    if text not in remarks:
        insort(remarks, text)


class _OverError(Exception):
    """Ends the TaskGroup: all is settled, or it's time to stop."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """The adapters of a plan, open."""

    producers: Mapping[str, Producer]
    probes: Sequence[Probe]
    gauges: Mapping[str, Gauge]
    actions: Mapping[str, OpenAction]
    closing: AsyncExitStack
    """Closes the producers, which settles what they still hold."""


class Engine:
    """One run of a plan.

    `ledger` takes down what becomes of each event. `control` stops the run. `start` says when the schedule begins.
    `redact` takes secrets out of a text; it is applied to what adapters say of failures. `live` looks at the summary
    once a second, and may end the run. `traffic` looks on at what adapters send; nearly always it is None. `troubles`
    is given who takes down what fails beside the adapters, by its source and reason. `remarks` are about the run.
    `undoing` guarantees that what is done to the system is undone; `values` are what placeholders in that stand for.
    """

    def __init__(
        self,
        plan: Plan,
        surroundings: Surroundings,
        ledger: Ledger,
        sinks: Sequence[Sink] = (),
        *,
        control: RunControl,
        start: Start | None = None,
        redact: Callable[[str], str] = str,
        live: LiveChecks | None = None,
        traffic: Looking | None = None,
        troubles: Callable[[Callable[[str, str], None]], None] | None = None,
        remarks: Sequence[str] = (),
        undoing: Undoing | None = None,
        values: Values = NO_VALUES,
    ) -> None:
        self._plan = plan
        self._surroundings = surroundings
        self._clock = surroundings.clock
        self._ledger = ledger
        self._sinks = sinks
        self._control = control
        self._start = start or self._at_once
        self._redact = redact
        self._live = live
        self._traffic = traffic
        self._troubles = troubles
        self._remarks = sorted(map(redact, remarks))
        self._undoing = undoing or Unguarded()
        self._values = values

    async def run(self) -> Summary:
        """Run the plan to its end and return the summary.

        Raises TargetError if a target can't be opened. What goes wrong later with a broker or a read model is data,
        not an exception; a ledger that can't be written says so itself.
        """
        if self._live is not None and self._sinks:
            self._live.prepare_standings()
        async with AsyncExitStack() as stack:
            opened = await self._open(stack)
            start_ns = await self._start()
            self._ledger.begin(start_ns, self._clock.wall(start_ns))
            stack.callback(self._ledger.close)
            return await self._run(opened, start_ns)

    async def _at_once(self) -> int:
        return self._clock.now_ns() + LEAD_NS

    async def _open(self, stack: AsyncExitStack) -> _Opened:
        plan = self._plan

        def around(kind: str, name: str, settings: AdapterSettings) -> Surroundings:
            def remark(text: str) -> None:
                _insert(self._remarks, self._redact(f"{kind} {name}: {text}"))

            for text in settings.remarks:
                remark(text)
            looker = None if self._traffic is None else self._traffic(f"{kind} {name}")
            rises = plan.rises.get(name, frozenset()) if kind == "gauge" else frozenset()
            guard = self._surroundings.guard.of(f"{kind} {name}")
            wanted = plan.wanted if kind == "producer" else frozenset()
            return replace(self._surroundings, remark=remark, traffic=looker, rises=rises, wanted=wanted, guard=guard)

        # Producers first: one may declare the exchange of a tap, or the queue that a gauge looks at.
        closing = await stack.enter_async_context(AsyncExitStack())
        return _Opened(
            {
                name: await closing.enter_async_context(settings.open(around("producer", name, settings)))
                for name, settings in plan.producers.items()
            },
            [
                await stack.enter_async_context(reader.settings.open(around("probe", reader.name, reader.settings)))
                for reader in plan.readers
            ],
            {
                name: await stack.enter_async_context(settings.open(around("gauge", name, settings)))
                for name, settings in plan.gauges.items()
            },
            {
                action.name: OpenAction(
                    *[
                        [
                            Bounded.of(await stack.enter_async_context(one.open(place)), one)
                            for one in activities
                            for place in [replace(around("action", action.name, one), began=began)]
                        ]
                        for activities, began in ((action.do, self._began(action)), (action.undo, None))
                    ]
                )
                for action in plan.actions
            },
            closing,
        )

    def _began(self, action: ActionRun) -> Began | None:
        """Who is told of the processes that its `do` begins: whoever undoes it has to end them first."""
        return partial(self._undoing.began, action.name) if action.undo else None

    async def _run(self, opened: _Opened, start_ns: int) -> Summary:
        plan, clock, control = self._plan, self._clock, self._control
        vitals = Vitals(remarks=self._remarks)
        watched = {number: one for number, one in enumerate(plan.scenarios) if one.watched is not None}
        kinds: dict[int, Awaits] = {
            number: one.watched
            for number, one in watched.items()
            if one.watched is not None and one.watched != "follow"
        }
        watching = Watching(
            kinds, {reader: kind for number, kind in kinds.items() for reader in plan.scenarios[number].reading}
        )
        tracker = Tracker(
            [scenario.reading for scenario in plan.scenarios],
            [reader.origin for reader in plan.readers],
            resent=[0.0 if scenario.resend is None else scenario.resend.share for scenario in plan.scenarios],
            warm_until_ns=[shown_from_ns(scenario, start_ns) for scenario in plan.scenarios],
            hide=self._redact,
        )
        recorder = Recorder([scenario.fold for scenario in plan.scenarios], start_ns, vitals)
        failures = Failures(vitals, clock, start_ns, self._redact)
        if self._troubles is not None:
            self._troubles(failures.happened)
        books = Bookkeeping(
            tracker, recorder, self._ledger, vitals, clock=clock, control=control, start_ns=start_ns, live=self._live,
            hide=self._redact, tags=asked_tags(scenario.fold for scenario in plan.scenarios), watching=watching,
        )  # fmt: skip
        group = asyncio.TaskGroup()

        def spawn(work: Coroutine[Any, Any, None]) -> None:
            try:
                group.create_task(work)
            except RuntimeError:
                # A timer went off after the last task had ended and before the group had: it's over.
                work.close()

        reading = Reading(
            plan.readers, opened.probes, clock=clock, tracker=tracker, books=books, failures=failures, vitals=vitals,
            watching=watching, spawn=spawn,
        )  # fmt: skip
        orders = {name: KeyOrder() for name, settings in plan.producers.items() if settings.ordered}
        pools = Pools()

        def remark(text: str) -> None:
            _insert(self._remarks, self._redact(text))

        spans = [one.span for one in plan.scenarios]
        numbers = {one.fold.name: number for number, one in enumerate(plan.scenarios)}

        def ended(number: int) -> None:
            """A phase of a scenario ended early."""
            spans[number] = plan.scenarios[number].span.as_it_went(Course(spans[number].name, vitals.endings))
            house.ended(number, spans[number])
            books.ended()
            pacers[number].wake()

        endings = Endings(
            plan.scenarios, vitals.endings, start_ns=start_ns, clock=clock, control=control, ended=ended
        )  # fmt: skip

        pacers: list[Pacer | StepPacer[Any]] = [
            (JourneyPacer if scenario.race is None else partial(RacePacer, remark=remark))(
                index, len(plan.scenarios), scenario, opened.producers, plan.producers,
                start_ns=start_ns, clock=clock, control=control, tracker=tracker, books=books, failures=failures,
                pools=pools, due=reading.due, watching=watching, done=endings.done,
                readers={number: one.reading for number, one in watched.items()},
            )
            if scenario.journeys is not None or scenario.race is not None
            else (Pacer if order is None else partial(OrderedPacer, order))(
                index, scenario, opened.producers[scenario.producer], plan.producers[scenario.producer],
                start_ns=start_ns, clock=clock, control=control, tracker=tracker, books=books, failures=failures,
                due=reading.due,
            )
            for index, scenario in enumerate(plan.scenarios)
            if scenario.watched is None
            for order in [orders.get(scenario.producer)]
        ]  # fmt: skip

        def note(*, final: bool = False) -> None:
            reading.note(final=final)
            books.note(final=final)

        def load_ns() -> int:
            # What steps watch lasts as long as they do, and has no end of its own.
            lasting = [one for one, run in zip(spans, plan.scenarios, strict=True) if run.watched is None]
            return max((span.end_ns for span in lasting), default=0)

        def over(scenario: str | None) -> bool:
            now = clock.now_ns() - start_ns
            if scenario is None:
                return now >= load_ns() and all(pacer.done for pacer in pacers)
            number = numbers[scenario]
            return now >= spans[number].end_ns and pacers[number].done

        acting = Acting(
            plan.actions, opened.actions, self._undoing, start_ns=start_ns, clock=clock, control=control,
            books=books, failures=failures, over=over, values=self._values,
        )  # fmt: skip

        def heed(gauge: str, began_ns: int, values: Mapping[str, float]) -> None:
            endings.sampled(gauge, began_ns, values)
            acting.sampled(gauge, values)

        house = Housekeeping(
            start_ns=start_ns, until_ns=lambda: start_ns + load_ns() + plan.observe_ns,
            clock=clock, control=control, tracker=tracker, books=books, vitals=vitals, live=self._live,
            sinks=self._sinks, note=note, strained=reading.strained,
            meter=ProgressMeter(
                spans, plan.goal, plan.late_ns,
                {one.name: lasts_ns for one in plan.actions if (lasts_ns := one.for_ns or one.every_ns)},
                lambda: {pacer.name: pacer.now for pacer in pacers if isinstance(pacer, StepPacer)},
            ),
            sending=lambda: acting.busy or not all(pacer.done for pacer in pacers),
        )  # fmt: skip

        gaugings = [
            Gauging(
                name, gauge, plan.gauges[name], start_ns=start_ns, clock=clock, books=books, failures=failures,
                heed=heed,
            )
            for name, gauge in opened.gauges.items()
        ]  # fmt: skip
        through = False

        async def until_it_is_over() -> None:
            nonlocal through
            await house.watch_over()
            through = True
            # At once: what is started while the group stops its tasks would be waited for.
            reading.close()
            raise _OverError

        control.begin()
        note()
        try:
            async with group:
                for pacer in pacers:
                    for task in pacer.tasks():
                        group.create_task(task)
                for listener in reading.listeners():
                    group.create_task(listener)
                for one in gaugings:
                    group.create_task(one.run())
                for action in plan.actions:
                    group.create_task(acting.act(action))
                group.create_task(until_it_is_over())
                if clock.cpu_ns() is not None:
                    group.create_task(house.watch_the_generator())
        except* _OverError:
            pass
        finally:
            reading.close()
            for pacer in pacers:
                pacer.give_up()
            await acting.close()
            for name in acting.never_began:
                insort(self._remarks, f"action {name}: it never began")
            # Closing a producer settles what it still holds, and only then is the ledger complete.
            await opened.closing.aclose()
            tracker.close(clock.now_ns())
            books.collect()
            endings.close()
            if through:
                await asyncio.gather(*(one.look_again(control, house.show) for one in gaugings))
            note(final=True)
        return books.summary()
