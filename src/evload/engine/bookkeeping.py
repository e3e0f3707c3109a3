"""Hands on what is scheduled and what is settled, to the fold and to the ledger, and keeps the notes of the run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from ..clock import Clock
from ..judging.live_checks import LiveChecks
from ..ledger.writer import Ledger
from ..model.iteration import Iteration
from ..model.marker import Marker
from ..model.round import Round
from ..model.summary import Summary
from ..model.tags import KnownTags
from ..model.travel import Event, Receipt
from ..model.vitals import Vitals
from ..summary.recorder import Recorder
from ..tracking.tracker import Tracker
from .control import RunControl
from .watching import Watching

_COLLECT: Final = 16
"""Settled events are recorded as soon as there are this many: work so short that it makes no event late."""
_DRIFT_NOTES: Final = 60
"""A minute of notes, one each second."""


class Bookkeeping:
    """The books of one run, whose schedule begins at `start_ns`. `hide` takes secrets out of keys and tags; `tags`
    are those that are asked for. `watching` knows what steps of journeys look for."""

    def __init__(
        self,
        tracker: Tracker,
        recorder: Recorder,
        ledger: Ledger,
        vitals: Vitals,
        *,
        clock: Clock,
        control: RunControl,
        start_ns: int,
        live: LiveChecks | None = None,
        hide: Callable[[str], str] = str,
        tags: Iterable[str] = (),
        watching: Watching | None = None,
    ) -> None:
        self._tags = KnownTags(tags)
        self._watching = watching or Watching({}, {})
        self._live = live
        self._hide = hide
        self._tracker = tracker
        self._recorder = recorder
        self._ledger = ledger
        self._vitals = vitals
        self._clock = clock
        self._control = control
        self._start_ns = start_ns
        self._wall: deque[int] = deque(maxlen=_DRIFT_NOTES)

    def expect(self, scenario: int, events: Sequence[Event]) -> None:
        """Count events that are about to be published."""
        hide = self._hide
        self._recorder.expect(
            scenario, [(e.seq, e.intended_ns, None if e.key is None else hide(e.key), e.type) for e in events]
        )

    def collect(self, before_ns: int | None = None) -> None:
        """Record what is settled, in the order in which `evload report` will see it again."""
        settled = self._tracker.take(before_ns)
        if settled:
            self._watching.settled(settled)
            for seen in settled:
                if seen.tags:
                    seen.tags = self._tags.capped(self._hide(seen.tags))
            self._recorder.settle(settled)
            self._ledger.append(settled, self._recorder.scheduled())

    def collect_many(self, now_ns: int, many: int | None = None) -> None:
        """Record what is settled if it is enough to be worth it: so many events."""
        if self._tracker.settled >= (many or _COLLECT):
            self.collect(now_ns)

    def iterated(self, iterations: Sequence[Iteration]) -> None:
        """Record iterations of journeys that are over, in the order in which they ended."""
        hide = self._hide
        told = [replace(one, reason=hide(one.reason)) if one.reason else one for one in iterations]
        self._recorder.iterated(told)
        self._ledger.iterated(told)

    def rounded(self, rounds: Sequence[Round]) -> None:
        """Record rounds of races that are over, in the order in which they ended: each that was planned, once."""
        hide = self._hide
        told = [
            replace(
                one, reason=hide(one.reason), rules=tuple(replace(rule, told=hide(rule.told)) for rule in one.rules)
            )
            for one in rounds
        ]
        self._recorder.rounded(told)
        self._ledger.rounded(told)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Record one sample of a gauge; no values: it could not be taken."""
        self._recorder.sampled(gauge, start_ns, end_ns, values)
        if self._live is not None and values:
            self._live.watches.sampled(gauge, start_ns - self._start_ns, end_ns - self._start_ns, values)
        self._ledger.sampled(gauge, start_ns, end_ns, values)

    @property
    def markers(self) -> Mapping[str, Sequence[Marker]]:
        """When something was done to the system: the markers of each action, in order."""
        return self._recorder.markers

    def marked(self, marker: Marker) -> None:
        """Record when something was done to the system, and undone: each time that more of it is known."""
        self._recorder.marked(marker)
        if self._live is not None:
            self._live.watches.marked([one for own in self._recorder.markers.values() for one in own])
        self._ledger.marked(marker)

    def ended(self) -> None:
        """A phase of the load ended early, as the vitals say: write it down before anything that is due by that."""
        self._recorder.ended(self._vitals.endings)
        if self._live is not None:
            self._live.ended(self._vitals.endings)
        self.note()

    def read(self, probe: str, reads: Sequence[tuple[int, int]]) -> None:
        """Record how much a probe read in each tenth of a second."""
        self._ledger.read(probe, reads)

    def read_times(self, probe: str, times: Sequence[tuple[int, bool, int]]) -> None:
        """Record how long requests of a probe took: each time, whether they were answered, and their number."""
        if times:
            self._recorder.read_times(probe, times)
            self._ledger.read_times(probe, self._clock.now_ns(), times)

    def count_copies(self, receipts: Sequence[Receipt]) -> None:
        """Count the answers to copies that were sent on purpose."""
        copies = self._vitals.copies
        for receipt in receipts:
            outcome = receipt.outcome.name.lower()
            copies[outcome] = copies.get(outcome, 0) + 1

    def summary(self) -> Summary:
        """Everything so far. Shares its parts with the fold: don't keep it while the run goes on."""
        summary = self._recorder.summary()
        if self._live is not None:
            self._live.watches.acked({name: one.last_acked_ns for name, one in summary.scenarios.items()})
            summary.watches, summary.watch_notes = self._live.watches.results(), self._live.watches.notes()
        return summary

    def note(self, *, final: bool = False) -> None:
        """Write down how far the run is, for whoever reads the ledger before it ends, or after it died."""
        now, vitals = self._clock.now_ns(), self._vitals
        if not vitals.duration_ns or not final:
            vitals.duration_ns = max(0, now - self._start_ns)
        vitals.interrupted = self._control.interrupted
        self._note_drift()
        scheduled = self._recorder.scheduled()
        facts: dict[str, Any] = {
            "scheduled": [events for events, _ in scheduled],
            "warmup": [warmup for _, warmup in scheduled],
            "vitals": asdict(vitals),
            "final": final,
        }
        self._ledger.note(now, facts)

    def _note_drift(self) -> None:
        """Compare the wall clock with the monotonic one."""
        offset = self._clock.wall_offset_ns()
        if offset is not None:
            self._wall.append(offset)
            drift = max(self._wall) - min(self._wall)
            self._vitals.wall_drift_ns = max(self._vitals.wall_drift_ns or 0, drift)
