"""Watches over a run: records, notes and shows what there is, looks ahead, and says when it is over."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..clock import Clock
from ..judging.live_checks import LiveChecks
from ..model.progress import Standing
from ..model.vitals import Vitals
from ..spi.sink import Sink
from ..tracking.tracker import Tracker
from ..units import NS_PER_S
from .bookkeeping import Bookkeeping
from .control import RunControl
from .progress import ProgressMeter, Span

_TICK_NS: Final = 100_000_000
_NOTE_NS: Final = NS_PER_S
_PROGRESS_NS: Final = NS_PER_S // 2
_STALL_PAUSE_NS: Final = 10_000_000
_CPU_SECONDS: Final = 10


class Housekeeping:
    """`until_ns` says when the schedule ends, idle phases included. `sending` says whether anything is left to send;
    `note` brings the notes up to date; `strained` is told each second which share of its core the generator used."""

    def __init__(
        self,
        *,
        start_ns: int,
        until_ns: Callable[[], int],
        clock: Clock,
        control: RunControl,
        tracker: Tracker,
        books: Bookkeeping,
        vitals: Vitals,
        live: LiveChecks | None,
        meter: ProgressMeter,
        sinks: Sequence[Sink],
        sending: Callable[[], bool],
        note: Callable[[], None],
        strained: Callable[[int, float], None],
    ) -> None:
        self._start_ns = start_ns
        self._until_ns = until_ns
        self._clock = clock
        self._control = control
        self._tracker = tracker
        self._books = books
        self._vitals = vitals
        self._live = live
        self._meter = meter
        self._sinks = sinks
        self._sending = sending
        self._note = note
        self._strained = strained
        self._worries: Sequence[str] = ()
        self._standings: Sequence[Standing] = ()

    async def watch_over(self) -> None:
        """Return when there is nothing left to do, or it is time to stop."""
        noted = shown = self._clock.now_ns()
        while True:
            now = self._clock.now_ns()
            self._books.collect(now)
            if now - noted >= _NOTE_NS:
                noted = now
                self._note()
                self._look_ahead(now)
            if now - shown >= _PROGRESS_NS:
                shown = now
                self._show(now)
            through = now >= self._until_ns() or self._control.stopped_ns is not None
            if through and not self._sending() and not self._tracker.outstanding:
                break
            if self._control.ends_ns is not None and now >= self._control.ends_ns:
                break
            await self._clock.sleep_until_ns(now + _TICK_NS)
        now = self._clock.now_ns()
        self._vitals.duration_ns = now - self._start_ns
        self._show(now)

    async def watch_the_generator(self) -> None:
        """Keep the longest stall of the loop and the busiest ten seconds of the CPU, until cancelled."""
        clock, vitals = self._clock, self._vitals
        window = deque([(clock.now_ns(), clock.cpu_ns() or 0)], maxlen=_CPU_SECONDS + 1)
        vitals.longest_stall_ns = 0
        while True:
            before = clock.now_ns()
            await asyncio.sleep(_STALL_PAUSE_NS / NS_PER_S)
            now = clock.now_ns()
            vitals.longest_stall_ns = max(vitals.longest_stall_ns, now - before - _STALL_PAUSE_NS)
            if now - window[-1][0] >= NS_PER_S:
                (last, cpu_last), cpu = window[-1], clock.cpu_ns() or 0
                self._strained(now, (cpu - cpu_last) / (now - last))
                window.append((now, cpu))
                then, cpu_then = window[0]
                share = (cpu - cpu_then) / (now - then)
                if len(window) > _CPU_SECONDS:
                    share = max(vitals.cpu_share or 0.0, share)
                # Before that there is only the time since the start, in which nothing has settled.
                vitals.cpu_share = share

    def show(self) -> None:
        """Let who looks on see how it is."""
        self._show(self._clock.now_ns())

    def ended(self, scenario: int, span: Span) -> None:
        """A phase of a scenario ended early: it is over sooner."""
        self._meter.ended(scenario, span)

    def _look_ahead(self, now: int) -> None:
        """End the run if an objective that is worth it can't be kept any more."""
        if self._live is None:
            return
        summary = self._books.summary()
        self._worries = self._live.worries(summary)
        if self._sinks:
            self._standings = self._live.standings(summary, now - self._start_ns, self._tracker.acked.at(now))
        if self._control.ends_ns is not None:
            return
        hopeless = self._live.hopeless(summary, now - self._start_ns)
        if hopeless is not None:
            self._vitals.aborted, self._vitals.abort_note = hopeless
            self._control.wind_up()

    def _show(self, now: int) -> None:
        if self._sinks:
            tracker = self._tracker
            progress = self._meter.read(
                now - self._start_ns, self._books.summary(), tracker.unanswered, tracker.outstanding, self._worries,
                tracker.acked.at(now), self._standings,
            )  # fmt: skip
            for sink in self._sinks:
                sink.progress(progress)
