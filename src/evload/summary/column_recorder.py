"""The fold of a Recorder over settled events that stand in columns, many of them at a time: for ledgers.

It fills the very folds that the Recorder fills, so that what is rare goes to that one's own code: what left too late,
and what is found of the order of a key. That both amount to the same is held by a test with any events.

Imports numpy, and is itself imported only where a ledger is read back.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np

from ..model.phases import LEAST_NS
from ..model.states import State
from ..stats.columns import NONE, Flags, Ints, add_steps, tally
from .column_counts import (
    agreement,
    count_due,
    count_hop,
    count_settled,
    count_view,
    count_visibility,
    hops,
    offer,
    slowest,
)
from .columns import Columns, either, some
from .fold_plan import Slice
from .order import Placed
from .recorder import EDGE_NS, Fold, Recorder, ScenarioFold

_TOGETHER: Final = 1000
"""Moments of which most have one phase of the load in common."""
_OF_A_SEND: Final = (
    "seq", "scenario", "type", "state", "intended_ns", "sent_ns", "acked_ns", "stable_upper_ns", "settled_ns",
    "own_delay", "order_wait",
)  # fmt: skip
_OF_A_VIEW: Final = ("state", "first_lower_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns")
_When = tuple[int, int, int, int]
"""When something was found: the moment at which an event was settled and its number, and in which order of all that
was found by that event."""


@dataclass(slots=True)
class ColumnRecorder(Recorder):
    """The fold of events that are all settled. Times are since the schedule began: `start_ns` is 0."""

    _found: dict[int, dict[str, _When]] = field(init=False, default_factory=dict)
    """By the id of a mapping in a summary, what was added to it on the way, and when."""

    def add(self, scenario: int, events: Columns, parts: Columns | None = None) -> None:
        """Count settled events of one scenario in the order of the schedule. All markers are known.

        `parts` are what each probe and each replica says of them, in order: in `place` that of the event among them,
        in `probe` a number, in `replica` a text.
        """
        into = self._scenarios[scenario]
        if into.warming is None:
            self._add(into, events, parts)
            return
        judged = events["intended_ns"] >= into.plan.judged_ns
        self._add(into.warming, *some(events, parts, ~judged))
        self._add(into, *some(events, parts, judged))

    def place(self, scenario: int, events: Iterable[tuple[str, Placed]]) -> None:
        """Count what is found of the order of keys: by all events of a scenario that have one, in the order of the
        schedule."""
        waiting: list[tuple[int, int, str, Placed]] = []
        for key, event in events:
            # Events come in the order of the schedule, and are settled in the order in which they were settled.
            while waiting and waiting[0][0] <= event.intended_ns:
                _, _, before, settled = heapq.heappop(waiting)
                self._placed(scenario, before, settled)
            self._order.expect((scenario, key), event.seq, event.intended_ns)
            heapq.heappush(waiting, (event.settled_ns, event.seq, key, event))
        while waiting:
            _, _, before, settled = heapq.heappop(waiting)
            self._placed(scenario, before, settled)

    def sort(self) -> None:
        """Put what was found on the way in the order in which it was settled, once all events are counted."""
        for scenario in self._scenarios:
            for into in (scenario, scenario.warming):
                if into is not None:
                    self._sort(into.summary.slices)
                    self._sort(into.summary.late_hops)

    def _sort(self, found: dict[str, Any]) -> None:
        when = self._found.get(id(found), {})
        for name in sorted(when, key=when.__getitem__):
            found[name] = found.pop(name)

    def _keep_first(self, found: Mapping[str, Any], name: str, by: Columns, kind: int, number: int) -> None:
        """Keep when something was found by these events, unless it was there before any of them."""
        known = self._found.setdefault(id(found), {})
        if name in known or name not in found:
            place = int(by["settled_ns"].argmin())
            when = int(by["settled_ns"][place]), int(by["seq"][place]), kind, number
            known[name] = min(known.get(name, when), when)

    # -- a scenario ----------------------------------------------------------------------------------

    def _add(self, into: ScenarioFold, events: Columns, parts: Columns | None) -> None:
        if not events.count:
            return
        events = events.beside(agreement(events, parts))
        belonging = _Belonging(self, events)
        self._count_due(into, events, belonging)
        self._count_columns(into.whole, into, events)
        self._count_sends(into, events)
        if into.apart:
            self._count_parts(into, events, parts)
        for fold in into.portions:
            if fold.part.tag is None:
                self._count_columns(fold, into, belonging.to(fold.part))
        if into.asked_tags or (events["tags"] != NONE).any():
            self._count_tags(into, events)

    def _count_columns(self, into: Fold, scenario: ScenarioFold, events: Columns) -> None:
        """Count settled events in a scenario or in a portion of it."""
        count_settled(into, events, sends=scenario.plan.sends)
        if scenario.plan.watched:
            count_visibility(into, scenario.plan.deadline_ns * 2, events)

    def _count_due(self, into: ScenarioFold, events: Columns, belonging: _Belonging) -> None:
        """Count events as scheduled, in all parts to which they belong but those by what answers said."""
        count_due(into.whole, events)
        moments = events["intended_ns"].tolist()
        for first in range(0, len(moments), _TOGETHER):
            into.phases.due(moments[first : first + _TOGETHER])
        offer(into.summary.offered, events["intended_ns"], 0)
        for view in into.of_all:
            view.schedule(events.count)
        for fold in into.portions:
            if fold.part.tag is None:
                count_due(fold, belonging.to(fold.part), late=fold.part.timed)
        for part, view in into.of_some:
            if part.timed:
                count_due(view, belonging.to(part), late=True)
            else:
                view.schedule(belonging.to(part).count)

    def _count_sends(self, into: ScenarioFold, events: Columns) -> None:
        """Count when events were sent. Those that left late, or never, are looked at one by one."""
        due_ns, sent_ns = events["intended_ns"], events["sent_ns"]
        plain = (sent_ns != NONE) & (events["state"] != State.UNSENT) & (sent_ns - due_ns <= LEAST_NS)
        odd = np.flatnonzero(~plain)
        for first in range(0, len(odd), _TOGETHER):
            seen = events.observations(odd[first : first + _TOGETHER], _OF_A_SEND)
            self._count_sent(into, seen, self._left(seen))
        sent, summary = events.where(plain), into.summary
        offer(summary.offered, np.maximum(sent["sent_ns"] - EDGE_NS, sent["intended_ns"]), 1)
        if summary.sent_steps is not None:
            add_steps(summary.sent_steps, sent["intended_ns"], events=1)
        if summary.flow is not None:
            acked = sent.where((sent["acked_ns"] != NONE) & (sent["state"] >= State.VISIBLE))
            add_steps(summary.flow, acked["acked_ns"], events=1)
            gone_ns = either(acked["stable_upper_ns"], acked["settled_ns"])
            add_steps(summary.flow, gone_ns, within=np.ones(acked.count, dtype=np.bool_))

    def _count_tags(self, into: ScenarioFold, events: Columns) -> None:
        """Count events in the parts to which their answers assigned them."""
        codes, texts, slices = events["tags"], events.texts.get("tags", ()), into.summary.slices
        by_tags = np.argsort(codes, kind="stable")
        for rows in np.split(by_tags, np.flatnonzero(np.diff(codes[by_tags])) + 1):
            code = int(codes[rows[0]])
            belonging = _Belonging(self, events.where(rows))
            for number, fold in enumerate(into.tagged("" if code == NONE else texts[code])):
                own = belonging.to(fold.part)
                if own.count:
                    self._keep_first(slices, fold.part.label, own, 1, number)
                    slices.setdefault(fold.part.label, fold.summary)
                    count_due(fold, own, late=True)
                    self._count_columns(fold, into, own)

    # -- views ---------------------------------------------------------------------------------------

    def _count_parts(self, into: ScenarioFold, events: Columns, parts: Columns | None) -> None:
        """Count what each probe and each replica says of settled events, where somebody wants to know."""
        if into.only is not None:
            alone = np.ones(events.count, dtype=np.bool_)
            if parts is not None:
                alone[parts["place"]] = False
            lone = events.where(alone)
            place, nothing = np.arange(lone.count), np.full(lone.count, NONE)
            own = {"place": place, "probe": np.full(lone.count, into.only), "replica": nothing}
            self._count_told(into, _viewed(lone, lone.beside(own)))
        if parts is not None:
            self._count_told(into, _viewed(events.where(parts["place"]), parts))

    def _count_told(self, into: ScenarioFold, views: Columns) -> None:
        """Count views, those of an event beside one another and in order."""
        if not views.count:
            return
        for probe, replica, rows in _places(views):
            label, own = into.label_at(probe, replica), views.where(rows)
            self._keep_first(into.summary.slices, label, own, 0, int(rows[own["settled_ns"].argmin()]))
            belonging = _Belonging(self, own)
            for fold in into.views_at(probe, replica):
                count_view(fold, belonging.to(fold.part))
        mains = views.where((views["replica"] == NONE) & (views["state"] >= State.VISIBLE) & (views["sampled"] != 0))
        if not mains.count:
            return
        found = hops(mains)
        for probe, replica, rows in _places(found):
            belonging = _Belonging(self, found.where(rows))
            for fold in into.views_at(probe, replica):
                count_hop(fold, belonging.to(fold.part))
        if len(into.names) > 1:
            self._count_late(into, found)

    def _count_late(self, into: ScenarioFold, found: Columns) -> None:
        """Count at which probe the late events lost most time."""
        seen_ns, acked_ns = found["stable_upper_ns"], found["acked_ns"]
        late = seen_ns == NONE
        if into.limit_ns is not None:
            late |= (acked_ns != NONE) & (seen_ns - acked_ns > into.limit_ns)
        worst = slowest(found.where(late))
        hop_of = into.summary.late_hops
        for probe, _ in tally(worst["probe"]):
            own = worst.where(worst["probe"] == probe)
            name = into.names.get(probe, str(probe))
            self._keep_first(hop_of, name, own, 0, 0)
            hop_of[name] = hop_of.get(name, 0) + own.count


class _Belonging:
    """Which of some events belong to a part of their scenario, but for what answers said."""

    def __init__(self, recorder: ColumnRecorder, events: Columns) -> None:
        self._recorder = recorder
        self._events = events
        self._known: dict[tuple[int | None, str | None, str | None, str | None], Columns] = {}

    def to(self, part: Slice) -> Columns:
        """Those that belong to a part."""
        about = part.event, part.key, part.during, part.after
        if about not in self._known:
            self._known[about] = self._events.where(self._rows(part))
        return self._known[about]

    def _rows(self, part: Slice) -> Flags:
        rows = np.ones(self._events.count, dtype=np.bool_)
        if part.event is not None:
            rows &= self._events["type"] == part.event
        if part.key is not None:
            keys = self._events.texts.get("key", ())
            codes, of = np.unique(self._events["key"], return_inverse=True)
            matching = [code != NONE and fnmatchcase(keys[code], part.key) for code in codes.tolist()]
            rows &= np.array(matching, dtype=np.bool_)[of]
        if part.timed:
            rows &= self._then(part)
        return rows

    def _then(self, part: Slice) -> Flags:
        """Those that were due when an action was on, or over: one is asked about of all between two edges."""
        markers = [
            *self._recorder.markers.get(part.during or "", ()),
            *self._recorder.markers.get(part.after or "", ()),
        ]
        bounds = {
            at for one in markers for bracket in (one.done, one.undone or ()) for at in bracket if at is not None
        }
        edges = np.array(sorted({edge for at in bounds for edge in (at, at + 1)}), dtype=np.int64)
        at_ns = self._events["intended_ns"]
        _, examples, of = np.unique(
            np.searchsorted(edges, at_ns, side="right"), return_index=True, return_inverse=True
        )
        return np.array([self._recorder._was_then(part, int(at_ns[place])) for place in examples], dtype=np.bool_)[of]


def _viewed(events: Columns, told: Columns) -> Columns:
    """What probes and replicas say, each beside its event."""
    more = {name: told[name] for name in ("place", "probe", "replica")}
    more |= {f"part_{name}": told[name] for name in _OF_A_VIEW}
    return events.beside(more, told.texts)


def _places(views: Columns) -> Iterator[tuple[int, str | None, Ints]]:
    """Each probe, or a replica of it, and where its views are among these."""
    probes, replicas = views["probe"], views["replica"]
    names = views.texts.get("replica", ())
    for probe, _ in tally(probes):
        own = np.flatnonzero(probes == probe)
        for replica, _ in tally(replicas[own]):
            yield probe, None if replica == NONE else names[replica], own[replicas[own] == replica]
