"""Bounds on the hops inside the system, from the stamps that it puts on events by a clock of its own.

A foreign clock reads wall time with an unknown offset, so nothing may be subtracted from it directly. But a
cause comes before its effect: an event was consumed after it was sent and processed before it was seen. Each
event therefore bounds the offset from both sides, and the tightest of those bounds serve all events.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..model.travel import Observation

DRIFT_PPM: Final = 50
"""How fast two clocks may part: an ordinary quartz crystal keeps within this."""
_COARSEST_NS: Final = 1_000_000_000

Interval = tuple[int, int | None]
"""[low, high] in nanoseconds; None is unbounded."""


def _drift(elapsed_ns: int) -> int:
    """The most by which the clocks part in that time, rounded up."""
    return -(-elapsed_ns * DRIFT_PPM // 1_000_000)


class Bound(NamedTuple):
    """A bound on the offset at some moment between `start_ns` and `end_ns`."""

    offset: int
    start_ns: int
    end_ns: int

    def slack(self, start_ns: int, end_ns: int) -> int:
        """The most by which the offset can have drifted between that moment and one in [start_ns, end_ns]."""
        return _drift(max(end_ns - self.start_ns, self.end_ns - start_ns))


class OffsetEstimate:
    """Bounds what has to be added to one foreign clock (ns since 1970) to get ours (monotonic ns).

    `sent <= consumed + offset` gives a lower bound and `processed + offset <= seen` an upper one. The tightest
    of each is kept and ages by DRIFT_PPM, so it holds for every other moment too. Stamps are taken to be as
    coarse as the largest power of ten that divides all of them so far, and the bounds are widened by that,
    whichever way they were rounded.

    contradictions  events whose stamps can't be true together with the others': the clock was set, or there
                    are several of them
    negative        events that were processed before they were consumed
    """

    def __init__(self) -> None:
        self._bounds: tuple[Bound, Bound] | None = None
        self._resolution_ns = _COARSEST_NS
        self.contradictions = 0
        self.negative = 0

    @property
    def bounds(self) -> tuple[Bound, Bound] | None:
        """The tightest of each side; None before anything was learnt."""
        return self._bounds

    @property
    def resolution_ns(self) -> int:
        """How coarse the stamps are, as far as is known."""
        return self._resolution_ns

    def add(self, sent_ns: int, seen_ns: int, consumed_at: int | None, processed_at: int | None) -> None:
        """Learn from one event: when it was sent, and the end of the first read that showed its stamps.

        Where bounds cross, the stamps contradict causality: that is counted and the estimate begins anew from
        this event, unless its stamps contradict each other, in which case it is ignored.
        """
        stamps = [at for at in (consumed_at, processed_at) if at is not None]
        if not stamps:
            return
        for stamp in stamps:
            self._refine_resolution(stamp)
        first, last = stamps[0], stamps[-1]
        own_lower = lower = Bound(sent_ns - first, sent_ns, seen_ns)
        own_upper = upper = Bound(seen_ns - last, sent_ns, seen_ns)
        if self._span(lower, upper, sent_ns, seen_ns) is None:
            self.contradictions += 1
            return
        if self._bounds is not None:
            known_lower, known_upper = self._bounds
            own_slack = own_lower.slack(sent_ns, seen_ns)
            if known_lower.offset - known_lower.slack(sent_ns, seen_ns) > own_lower.offset - own_slack:
                lower = known_lower
            if known_upper.offset + known_upper.slack(sent_ns, seen_ns) < own_upper.offset + own_slack:
                upper = known_upper
        if self._span(lower, upper, sent_ns, seen_ns) is None:
            self.contradictions += 1
            lower, upper = own_lower, own_upper
        self._bounds = lower, upper

    def to_local(self, stamp: int, earliest_ns: int, latest_ns: int) -> tuple[int, int] | None:
        """Our time of a foreign stamp that was taken between `earliest_ns` and `latest_ns` on our clock.

        None before anything was learnt, or if the stamp can't lie between the two.
        """
        if self._bounds is None:
            return None
        span = self._span(*self._bounds, earliest_ns, latest_ns)
        if span is None:
            return None
        low = max(earliest_ns, stamp - self._resolution_ns + span[0])
        high = min(latest_ns, stamp + self._resolution_ns + span[1])
        return (low, high) if low <= high else None

    def between(self, consumed_at: int, processed_at: int) -> tuple[int, int] | None:
        """How long after one stamp another followed: no offset enters, only the resolution and the drift.

        None, and counted, if it is negative by more than that.
        """
        elapsed = processed_at - consumed_at
        # By the foreign clock, a second of which may be more than one of ours: the drift is a share of the latter.
        error = self._resolution_ns - (-abs(elapsed) * DRIFT_PPM // (1_000_000 - DRIFT_PPM))
        if elapsed + error < 0:
            self.negative += 1
            return None
        return max(0, elapsed - error), elapsed + error

    def _span(self, lower: Bound, upper: Bound, start_ns: int, end_ns: int) -> tuple[int, int] | None:
        """The offset at a moment in [start_ns, end_ns], or None if the bounds cross."""
        error = self._resolution_ns
        low = lower.offset - lower.slack(start_ns, end_ns) - error
        high = upper.offset + upper.slack(start_ns, end_ns) + error
        return (low, high) if low <= high else None

    def _refine_resolution(self, stamp: int) -> None:
        while stamp % self._resolution_ns:
            self._resolution_ns //= 10


def hops(observation: Observation, estimate: OffsetEstimate, *, several: bool = False) -> dict[str, Interval]:
    """The hops of one event by metric: `sent_to_consumed`, `consumed_to_processed`, `processed_to_visible`.

    The estimate learns from the event first. Of `several` probes nobody knows which one told the stamps, and the
    first to see it may have seen it before they were made: they were when all of them had seen it. A hop is left
    out if its stamps are missing or contradict the others. The brackets hold because both stamps were taken
    between the moment the event was sent and the end of that read, because the offset is within its bounds at
    each such moment, and because [a, b] - [c, d] = [a - d, b - c]. The time between the two foreign stamps needs
    no offset.
    """
    found: dict[str, Interval] = {}
    sent, seen = observation.sent_ns, observation.first_upper_ns
    if several and seen is not None:
        seen = observation.settled_ns if observation.stable_upper_ns is None else observation.stable_upper_ns
    consumed_at, processed_at = observation.consumed_at, observation.processed_at
    if sent is None or seen is None:
        return found
    estimate.add(sent, seen, consumed_at, processed_at)
    if consumed_at is not None and (consumed := estimate.to_local(consumed_at, sent, seen)):
        found["sent_to_consumed"] = (consumed[0] - sent, consumed[1] - sent)
    if (
        consumed_at is not None
        and processed_at is not None
        and (elapsed := estimate.between(consumed_at, processed_at))
    ):
        found["consumed_to_processed"] = elapsed
    if processed_at is not None and (processed := estimate.to_local(processed_at, sent, seen)):
        lower, upper = observation.stable_lower_ns, observation.stable_upper_ns
        found["processed_to_visible"] = (
            0 if lower is None else max(0, lower - processed[1]),
            None if upper is None else max(0, upper - processed[0]),
        )
    return found
