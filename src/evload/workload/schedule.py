"""When each event of a load is due: exact offsets in nanoseconds from the start of its scenario.

Arrival n (from 0) is due when the cumulative intensity Λ(t) passes n, that is at inf{t : Λ(t) > n}. Λ is
kept as exact fractions across phases, so no gap is ever rounded and then added, and what one phase leaves
of an event the next one carries on. Poisson arrivals are a unit-rate process mapped through the same
inverse (the time-change theorem). A burst stands beside Λ: it takes nothing from the carry.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from math import ceil, isqrt, lcm, log
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, Field, WrapValidator

from ..settings import Settings
from ..units import LONGEST_NS, NS_PER_S, Duration, Rate, format_rate

Shape = Literal["constant", "poisson"]

_BLOCK: Final = 1024
"""Arrivals computed at a time: enough to spread the cost of a call, little enough to be memory of no size."""
_MOST_EVENTS: Final = 100_000_000_000
"""Of one load. The ids of events have room for thousands of such loads."""
_POISSON_UNIT: Final = 1_000_000_000
"""Parts of an event in which Poisson gaps are drawn and summed."""


class Leg(NamedTuple):
    """A stretch in which the rate is constant or changes evenly, or a burst at one instant.

    duration_ns         its length; 0 for a burst
    from_rate, to_rate  events per second at its start and at its end
    burst               events that are all due at its start
    """

    duration_ns: int
    from_rate: Fraction = Fraction(0)
    to_rate: Fraction = Fraction(0)
    burst: int = 0

    @property
    def events(self) -> Fraction:
        """What Λ grows by, exactly; a burst isn't part of it."""
        return (self.from_rate + self.to_rate) / 2 * self.duration_ns / NS_PER_S

    def __str__(self) -> str:
        if self.burst:
            return f"burst of {self.burst}"
        if self.from_rate != self.to_rate:
            return f"ramp {format_rate(self.from_rate)} to {format_rate(self.to_rate)}"
        return f"hold {format_rate(self.from_rate)}" if self.from_rate else "idle"


class Hold(Settings):
    """One rate for a while."""

    rate: Annotated[Rate, Field(description="events per second, minute or hour")]
    for_: Annotated[Duration, Field(alias="for", description="how long")]

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.for_, self.rate, self.rate),)


class Ramp(Settings):
    """From one rate to another, evenly."""

    from_: Annotated[Rate, Field(alias="from", description="rate at its start")]
    to: Annotated[Rate, Field(description="rate at its end")]
    for_: Annotated[Duration, Field(alias="for", description="how long")]

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.for_, self.from_, self.to),)


class Steps(Settings):
    """Several rates, each for the same time."""

    steps: Annotated[tuple[Rate, ...], Field(min_length=1, description="the rates, one after another")]
    each: Annotated[Duration, Field(description="how long each of them lasts")]

    def legs(self) -> tuple[Leg, ...]:
        return tuple(Leg(self.each, rate, rate) for rate in self.steps)


class Burst(Settings):
    """So many events at one instant."""

    burst: Annotated[int, Field(ge=1, description="how many events, all at once")]

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(0, burst=self.burst),)


class Idle(Settings):
    """Nothing for a while."""

    idle: Annotated[Duration, Field(description="how long nothing is sent")]

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.idle),)


_MODEL_BY_KEY: Final[Mapping[str, type[Settings]]] = {
    "rate": Hold, "from": Ramp, "to": Ramp, "steps": Steps, "burst": Burst, "idle": Idle,
}  # fmt: skip


def _pick_model(value: Any, _: Callable[[Any], Any]) -> Any:
    """Validate with the one model that the keys ask for, so that errors are about that one alone."""
    if isinstance(value, Settings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("a phase is a mapping; write e.g. {rate: 100/s, for: 5m}")
    for key, model in _MODEL_BY_KEY.items():
        if key in value:
            return model.model_validate(value)
    raise ValueError("this phase has none of rate, from/to, steps, burst, idle; write e.g. {rate: 100/s, for: 5m}")


def _has_events(load: tuple[Phase, ...]) -> tuple[Phase, ...]:
    events = expected_events(load)
    if not events:
        raise ValueError("this load has no events; give it a phase such as {rate: 100/s, for: 5m}")
    if events > _MOST_EVENTS:
        raise ValueError(f"this load has {events:,} events; write one of {_MOST_EVENTS:,} or fewer")
    if duration_ns(load) > LONGEST_NS:
        raise ValueError("this load lasts longer than a hundred years; write a shorter one")
    return load


Phase = Annotated[Hold | Ramp | Steps | Burst | Idle, WrapValidator(_pick_model)]
Load = Annotated[tuple[Phase, ...], AfterValidator(_has_events)]


class Stretch(NamedTuple):
    """One line of a timeline: from, to (both in nanoseconds since the start of the scenario), and what happens."""

    start_ns: int
    end_ns: int
    text: str


def duration_ns(load: Sequence[Phase]) -> int:
    """From the start of the load to the end of its last phase."""
    return sum(leg.duration_ns for leg in _legs(load))


def expected_events(load: Sequence[Phase]) -> int:
    """Number of events: exact for constant arrivals; for Poisson the mean, rounded up."""
    legs = _legs(load)
    return ceil(sum(leg.events for leg in legs)) + sum(leg.burst for leg in legs)


def rate_of(load: Sequence[Phase]) -> Callable[[int], float]:
    """Says how many events per second the load asks for at an offset; 0 outside it. Bursts have no rate."""
    legs = [leg for leg in _legs(load) if leg.duration_ns]
    ends = list(accumulate(leg.duration_ns for leg in legs))

    def rate_at(offset_ns: int) -> float:
        number = bisect_right(ends, offset_ns)
        if offset_ns < 0 or number == len(legs):
            return 0.0
        leg = legs[number]
        share = Fraction(offset_ns - ends[number] + leg.duration_ns, leg.duration_ns)
        return float(leg.from_rate + (leg.to_rate - leg.from_rate) * share)

    return rate_at


def rates_of(load: Sequence[Phase]) -> list[tuple[int, int, float, float]]:
    """From when to when the load has a rate, and from how many events per second to how many it goes meanwhile."""
    found, start_ns = [], 0
    for leg in _legs(load):
        if leg.duration_ns:
            found.append((start_ns, start_ns + leg.duration_ns, float(leg.from_rate), float(leg.to_rate)))
        start_ns += leg.duration_ns
    return found


def expected_in_steps(load: Sequence[Phase], start_ns: int, step_ns: int) -> list[float]:
    """Expected arrivals in each step since time 0, of a load that begins at `start_ns`.

    0 where a burst falls, which is not random.
    """
    steps = [0.0] * -(-(start_ns + duration_ns(load)) // step_ns)
    bursts = set()
    for leg in _legs(load):
        if leg.burst:
            bursts.add(start_ns // step_ns)
        end_ns = start_ns + leg.duration_ns
        for step in range(start_ns // step_ns, -(-end_ns // step_ns)):
            since, until = max(start_ns, step * step_ns), min(end_ns, (step + 1) * step_ns)
            if until > since:
                middle = (since + until) / 2 - start_ns
                rate = float(leg.from_rate) + float(leg.to_rate - leg.from_rate) * middle / leg.duration_ns
                steps[step] += rate * (until - since) / NS_PER_S
        start_ns = end_ns
    return [0.0 if step in bursts else expected for step, expected in enumerate(steps)]


def expected_between(load: Sequence[Phase], since_ns: int, until_ns: int) -> float:
    """Expected arrivals from one moment of a load to another, bursts included; both from its start."""
    expected, start_ns = 0.0, 0
    for leg in _legs(load):
        end_ns = start_ns + leg.duration_ns
        since, until = max(start_ns, since_ns), min(end_ns, until_ns)
        if leg.burst and since_ns <= start_ns <= until_ns:
            expected += leg.burst
        elif until > since:
            middle = (since + until) / 2 - start_ns
            rate = float(leg.from_rate) + float(leg.to_rate - leg.from_rate) * middle / leg.duration_ns
            expected += rate * (until - since) / NS_PER_S
        start_ns = end_ns
    return expected


def longest_hold(load: Sequence[Phase]) -> tuple[int, int] | None:
    """Start and end, from the start of the load, of the longest stretch with one rate; None if there is none."""
    longest: tuple[int, int] | None = None
    start_ns = 0
    for leg in _legs(load):
        if (
            leg.from_rate
            and leg.from_rate == leg.to_rate
            and (longest is None or leg.duration_ns > longest[1] - longest[0])
        ):
            longest = (start_ns, start_ns + leg.duration_ns)
        start_ns += leg.duration_ns
    return longest


def describe(load: Sequence[Phase]) -> list[Stretch]:
    """The timeline of a load, a line for each stretch and burst."""
    timeline = []
    start = 0
    for leg in _legs(load):
        timeline.append(Stretch(start, start + leg.duration_ns, str(leg)))
        start += leg.duration_ns
    return timeline


class Arrivals:
    """The offsets of one scenario, in order, each handed out once.

    The same seed gives the same Poisson arrivals; constant ones don't need it.
    """

    def __init__(self, load: Sequence[Phase], shape: Shape, seed: str) -> None:
        if shape == "constant":
            self._blocks = _constant_blocks(_segments(load, 1))
        else:
            self._blocks = _poisson_blocks(_segments(load, _POISSON_UNIT), random.Random(seed))
        self._block: list[int] = []
        self._taken = 0

    def peek(self) -> int | None:
        """When the next event is due, in nanoseconds from the start of the scenario; None after the last."""
        return self._block[self._taken] if self._refill() else None

    def take_until(self, offset_ns: int, limit: int) -> list[int]:
        """The next offsets up to and including `offset_ns`, at most `limit` of them; takes them away."""
        due: list[int] = []
        while len(due) < limit and self._refill():
            block, taken = self._block, self._taken
            end = bisect_right(block, offset_ns, taken, min(len(block), taken + limit - len(due)))
            if end == taken:
                break
            due += block[taken:end]
            self._taken = end
        return due

    def _refill(self) -> bool:
        if self._taken < len(self._block):
            return True
        self._block = next(self._blocks, [])
        self._taken = 0
        return bool(self._block)


class _Segment(NamedTuple):
    """A leg with events, made ready: positions of Λ, in whole units, and the way back to offsets.

    first, stop  the positions p with first <= p < stop fall into this segment
    offsets      positions to nanoseconds; None for a burst, of which there are `stop` at `start_ns`
    """

    start_ns: int
    first: int
    stop: int
    offsets: Callable[[Iterable[int]], list[int]] | None


def _legs(load: Sequence[Phase]) -> list[Leg]:
    return [leg for phase in load for leg in phase.legs()]


def _segments(load: Sequence[Phase], unit: int) -> list[_Segment]:
    """`unit` is the number of parts into which one event is divided."""
    segments = []
    start_ns = 0
    passed = Fraction(0)
    for leg in _legs(load):
        if leg.burst:
            segments.append(_Segment(start_ns, 0, leg.burst, None))
        elif leg.events:
            offsets = (_even if leg.from_rate == leg.to_rate else _ramped)(leg, start_ns, passed, unit)
            after = passed + leg.events
            segments.append(_Segment(start_ns, ceil(passed * unit), ceil(after * unit), offsets))
            passed = after
        start_ns += leg.duration_ns
    return segments


def _even(leg: Leg, start_ns: int, passed: Fraction, unit: int) -> Callable[[Iterable[int]], list[int]]:
    """floor(start + (p/unit − passed) · period), as (p·step + base) // divisor in integers."""
    period = NS_PER_S / leg.from_rate
    step, base = period / unit, start_ns - passed * period
    divisor = lcm(step.denominator, base.denominator)
    whole_step, whole_base = int(step * divisor), int(base * divisor)

    def offsets(positions: Iterable[int]) -> list[int]:
        return [(p * whole_step + whole_base) // divisor for p in positions]

    return offsets


def _ramped(leg: Leg, start_ns: int, passed: Fraction, unit: int) -> Callable[[Iterable[int]], list[int]]:
    """Solve r·t + a·t²/2 = x for t, with x = p/unit − passed, and floor it exactly.

    In nanoseconds t = ±√w − u with u = r/a and w = u² + 2x/a, the sign that of a. With a common divisor d
    all is whole under the root, and floor((√W − U)/d) = (isqrt(W) − U) // d for whole W, U and d.
    """
    slope = (leg.to_rate - leg.from_rate) / leg.duration_ns
    # Events per second per nanosecond: r/a needs no factor, x/a one of NS_PER_S.
    u = leg.from_rate / slope
    w_step = 2 * NS_PER_S / slope / unit
    w_base = u * u - 2 * NS_PER_S * passed / slope
    divisor = lcm(u.denominator, w_step.denominator, w_base.denominator)
    whole_step, whole_base = int(w_step * divisor**2), int(w_base * divisor**2)
    shift = start_ns * divisor - int(u * divisor)

    def rising(positions: Iterable[int]) -> list[int]:
        return [(isqrt(p * whole_step + whole_base) + shift) // divisor for p in positions]

    def falling(positions: Iterable[int]) -> list[int]:
        # The root is subtracted here, so it is its ceiling that counts: isqrt(W - 1) + 1, whose negative is ~isqrt.
        return [(~isqrt(p * whole_step + whole_base - 1) + shift) // divisor for p in positions]

    return rising if slope > 0 else falling


def _constant_blocks(segments: Sequence[_Segment]) -> Iterator[list[int]]:
    for segment in segments:
        for first in range(segment.first, segment.stop, _BLOCK):
            yield _offsets(segment, range(first, min(first + _BLOCK, segment.stop)))


def _poisson_blocks(segments: Sequence[_Segment], rng: random.Random) -> Iterator[list[int]]:
    uniform = rng.random
    position = int(-log(1.0 - uniform()) * _POISSON_UNIT)
    for segment in segments:
        if segment.offsets is None:
            yield from _constant_blocks([segment])
            continue
        while position < segment.stop:
            block: list[int] = []
            while position < segment.stop and len(block) < _BLOCK:
                block.append(position)
                position += int(-log(1.0 - uniform()) * _POISSON_UNIT)
            yield segment.offsets(block)


def _offsets(segment: _Segment, positions: range) -> list[int]:
    return segment.offsets(positions) if segment.offsets else [segment.start_ns] * len(positions)
