"""The hops inside the system of many events at a time, from the stamps that it puts on them.

An estimate of a foreign clock's offset soon knows more than an event can teach it. Those that teach it nothing are
taken together; the others go through it one by one.

Imports numpy, and is itself imported only where a ledger is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from ..model.states import State
from ..model.summary import HOPS
from ..model.travel import Observation
from ..stats.columns import NONE, Flags, Ints
from .clock_offset import DRIFT_PPM, Bound, OffsetEstimate, hops
from .columns import Columns, either

_MILLION: Final = 1_000_000
_LEAST, _MOST = 64, 1 << 15
"""Events that are looked at together."""
_LONGEST_NS: Final = 1 << 55
"""A year: of times and stamps beyond, what is made of them might not fit into 64 bits."""
_LATEST: Final = 1 << 61
_NAMES: Final = ("sent_ns", "seen_ns", "consumed_at", "processed_at", "stable_lower_ns", "stable_upper_ns")


class Found(NamedTuple):
    """Hops of some events.

    together  by metric the lower and the upper end of each event: no lower one where there is none, or where it is
              apart; no upper one where it is unbounded
    apart     (place of the event, metric, lower end, upper end); they may be of any size
    """

    together: Mapping[str, tuple[Ints, Ints]]
    apart: list[tuple[int, str, int, int | None]]


def column_hops(estimate: OffsetEstimate, events: Columns) -> Found:
    """The hops of events in the order in which they were settled, from which the estimate learns. `seen_ns` is the
    end of the first read that showed the stamps of an event."""
    found = Found({name: (np.full(events.count, NONE), np.full(events.count, NONE)) for name in HOPS}, [])
    columns = {name: events[name] for name in _NAMES}
    begin, together, alone = 0, _LEAST, 1
    while begin < events.count:
        part = {name: column[begin : begin + together] for name, column in columns.items()}
        known = estimate.bounds
        plain = 0
        if known is not None and all(map(_is_small, known)):
            odd = np.flatnonzero(~_Window(known, estimate.resolution_ns, part).plain)
            plain = int(odd[0]) if len(odd) else len(part["sent_ns"])
            if plain:
                window = _Window(known, estimate.resolution_ns, {n: column[:plain] for n, column in part.items()})
                estimate.negative += window.tell(found.together, begin)
        begin += plain
        if plain == len(part["sent_ns"]):
            together, alone = min(2 * together, _MOST), 1
            continue
        together, alone = max(_LEAST, plain), 1 if plain >= _LEAST else min(2 * alone, _MOST)
        for place in range(begin, min(begin + alone, events.count)):
            told = hops(_event(columns, place), estimate)
            found.apart.extend((place, name, low, high) for name, (low, high) in told.items())
        begin += alone
    return found


def _event(columns: Mapping[str, Ints], place: int) -> Observation:
    """What the stamps of one event hang on."""
    told: dict[str, Any] = {
        name: None if (at := int(column[place])) == NONE else at for name, column in columns.items()
    }
    return Observation(0, 0, 0, State.VISIBLE, 0, first_upper_ns=told.pop("seen_ns"), **told)


def _is_small(bound: Bound) -> bool:
    return abs(bound.offset) < _LATEST and max(abs(bound.start_ns), abs(bound.end_ns)) < _LONGEST_NS


class _Window:
    """Some events that follow one another, by what is known of the clock before them."""

    def __init__(self, known: tuple[Bound, Bound], resolution_ns: int, columns: Mapping[str, Ints]) -> None:
        self._columns = columns
        self._resolution_ns = resolution_ns
        sent, seen = columns["sent_ns"], columns["seen_ns"]
        lower, upper = known
        self._low = lower.offset - _slack(lower, sent, seen)
        self._high = upper.offset + _slack(upper, sent, seen)

    @property
    def plain(self) -> Flags:
        """Which of them teach the estimate nothing."""
        sent, seen, consumed, processed = (self._columns[name] for name in _NAMES[:4])
        first, last = either(consumed, processed), either(processed, consumed)
        error, own_slack = self._resolution_ns, _drift(seen - sent)
        own_low, own_high = sent - first - own_slack, seen - last + own_slack
        nothing: Flags = (
            _within(sent, _LONGEST_NS)
            & _within(seen, _LONGEST_NS)
            & _within(first, _LATEST)
            & _within(last - first, _LONGEST_NS)
            & (first % error == 0)
            & (last % error == 0)
            & (own_low - error <= own_high + error)
            & (self._low > own_low)
            & (self._high < own_high)
            & (self._low - error <= self._high + error)
        )
        return nothing

    def tell(self, found: Mapping[str, tuple[Ints, Ints]], begin: int) -> int:
        """Fill in the hops of these events, all of which teach nothing, from a place on. How many were processed
        before they were consumed."""
        sent, _, consumed, processed, stable_lower, stable_upper = (self._columns[name] for name in _NAMES)
        places, error = slice(begin, begin + len(sent)), self._resolution_ns
        was_consumed, was_processed = consumed != NONE, processed != NONE

        low, high = self._local(consumed)
        there = was_consumed & (low <= high)
        _fill(found["sent_to_consumed"], places, there, low - sent, high - sent)

        elapsed = np.where(was_consumed & was_processed, processed - consumed, 0)
        around = error - (-np.abs(elapsed) * DRIFT_PPM // (_MILLION - DRIFT_PPM))
        negative = elapsed + around < 0
        there = was_consumed & was_processed & ~negative
        _fill(found["consumed_to_processed"], places, there, np.maximum(elapsed - around, 0), elapsed + around)

        low, high = self._local(processed)
        there = was_processed & (low <= high)
        visible_low = np.where(stable_lower == NONE, 0, np.maximum(stable_lower - high, 0))
        visible_high = np.where(stable_upper == NONE, NONE, np.maximum(stable_upper - low, 0))
        _fill(found["processed_to_visible"], places, there, visible_low, visible_high)
        return int(np.count_nonzero(negative))

    def _local(self, stamps: Ints) -> tuple[Ints, Ints]:
        """Our times of foreign stamps, or where there is none the lower one after the upper one."""
        coarse = 2 * self._resolution_ns
        return (
            np.maximum(self._columns["sent_ns"], stamps + (self._low - coarse)),
            np.minimum(self._columns["seen_ns"], stamps + (self._high + coarse)),
        )


def _fill(ends: tuple[Ints, Ints], places: slice, there: Flags, low: Ints, high: Ints) -> None:
    ends[0][places] = np.where(there, low, NONE)
    ends[1][places] = np.where(there, high, NONE)


def _within(values: Ints, most: int) -> Flags:
    return (values > -most) & (values < most)


def _drift(elapsed_ns: Ints) -> Ints:
    """The most by which the clocks part in these times, rounded up."""
    return -(-elapsed_ns * DRIFT_PPM // _MILLION)


def _slack(bound: Bound, start_ns: Ints, end_ns: Ints) -> Ints:
    """The most by which the offset can have drifted between a bound and these moments."""
    return _drift(np.maximum(end_ns - bound.start_ns, bound.end_ns - start_ns))
