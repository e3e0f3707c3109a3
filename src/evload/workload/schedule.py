"""When each event of a load is due: exact offsets in nanoseconds from the start of its scenario.

Arrival n (from 0) is due when the cumulative intensity Λ(t) passes n, that is at inf{t : Λ(t) > n}. Λ is
kept as exact fractions across phases, so no gap is ever rounded and then added, and what one phase leaves
of an event the next one carries on. Poisson arrivals are a unit-rate process mapped through the same
inverse (the time-change theorem). A burst stands beside Λ: it takes nothing from the carry.

A load is of rates, or of users: so many of them are at work at a time, each with one iteration of a journey after
another, and when these are due nobody knows beforehand. So a load of users has no arrivals, events or rate.

A phase may end earlier than planned. What comes after it moves, and Λ goes on from what had passed by then: event n
stays event n, and a random gap the gap before it.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from math import ceil, isqrt, lcm, log
from operator import itemgetter
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    WrapValidator,
)  # fmt: skip

from ..settings import Settings
from ..units import LONGEST_NS, NS_PER_S, Duration, Rate, format_duration, format_rate, told

Shape = Literal["constant", "poisson"]

_BLOCK: Final = 1024
"""Arrivals computed at a time: enough to spread the cost of a call, little enough to be memory of no size."""
_MOST_EVENTS: Final = 100_000_000_000
"""Of one load. The ids of events have room for thousands of such loads."""
_MOST_USERS: Final = 1_000_000
MOST_ROUNDS: Final = 1_000_000
_USERS: Final = re.compile(r"(\d{1,18})\s*users?", re.ASCII)
_POISSON_UNIT: Final = 1_000_000_000
"""Parts of an event in which Poisson gaps are drawn and summed."""


class Leg(NamedTuple):
    """A stretch in which the rate, or the number of users, is constant or changes evenly; or a burst at one instant.

    duration_ns         its length; 0 for a burst
    from_rate, to_rate  events per second at its start and at its end
    burst               events that are all due at its start
    until               the condition on a gauge that ends it before its time; empty: it lasts its time
    from_users, to_users  how many users there are at its start and at its end
    rounds              rounds of a race that begin meanwhile; 0: what is due are none
    """

    duration_ns: int
    from_rate: Fraction = Fraction(0)
    to_rate: Fraction = Fraction(0)
    burst: int = 0
    until: str = ""
    from_users: int = 0
    to_users: int = 0
    rounds: int = 0

    @property
    def events(self) -> Fraction:
        """What Λ grows by, exactly; a burst isn't part of it."""
        return (self.from_rate + self.to_rate) / 2 * self.duration_ns / NS_PER_S

    def begun(self, after_ns: int) -> Leg:
        """As much of it as is over after a time; nothing of a burst at its very instant."""
        if after_ns <= 0:
            return Leg(0)
        if after_ns >= self.duration_ns:
            return self
        to_rate = self.from_rate + (self.to_rate - self.from_rate) * Fraction(after_ns, self.duration_ns)
        return self._replace(duration_ns=after_ns, to_rate=to_rate)

    def __str__(self) -> str:
        if self.burst:
            return f"burst of {self.burst}"
        if self.rounds:
            every = format_duration(self.duration_ns // self.rounds)
            return f"{self.rounds:,} rounds, one each {every}" if self.rounds > 1 else "1 round"
        if self.from_users != self.to_users:
            return f"ramp {users_text(self.from_users)} to {users_text(self.to_users)}"
        if self.from_users:
            return users_text(self.from_users)
        if self.from_rate != self.to_rate:
            return f"ramp {format_rate(self.from_rate)} to {format_rate(self.to_rate)}"
        text = f"hold {format_rate(self.from_rate)}" if self.from_rate else "idle"
        return f"{text} until {self.until}" if self.until else text


def users_text(users: int) -> str:
    """`50 users`, `1 user`."""
    return "1 user" if users == 1 else f"{users:,} users"


def _condition(text: str) -> str:
    if not text.strip():
        raise ValueError("this is no condition; write for example until: replicas == 0, or leave it out")
    return " ".join(text.split())


Until = Annotated[
    Annotated[str, Field(max_length=200), AfterValidator(_condition)] | None,
    Field(description="ends it before its time: a condition on a gauge, such as replicas == 0"),
]


_OF_THE_WHOLE: Final = "iterations of journeys in the whole load, which is over with the last of them"


class Hold(Settings):
    """One rate for a while."""

    rate: Annotated[Rate, Field(description="events per second, minute or hour; of journeys iterations")]
    for_: Annotated[Duration, Field(alias="for", description="how long, at most where there is an until")]
    until: Until = None

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.for_, self.rate, self.rate, until=self.until or ""),)


class Amount(Settings):
    """One rate until there are so many iterations."""

    rate: Annotated[Rate, Field(gt=0, description="iterations per second, minute or hour")]
    iterations: Annotated[int, Field(ge=1, le=_MOST_EVENTS, description=_OF_THE_WHOLE)]
    for_: Annotated[Duration | None, Field(alias="for", description="how long at most")] = None

    def legs(self) -> tuple[Leg, ...]:
        """As if there were no other phases."""
        lasts_ns = _lasts_ns(self.iterations, self.rate)
        return (Leg(lasts_ns if self.for_ is None else min(self.for_, lasts_ns), self.rate, self.rate),)


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

    idle: Annotated[Duration, Field(description="how long nothing is sent, at most where there is an until")]
    until: Until = None

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.idle, until=self.until or ""),)


def _number_of_users(value: object) -> int:
    found = _USERS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        digits = value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 50
        raise ValueError(f"{told(value)} is no number of users; write one such as {digits} users")
    if (users := int(found[1])) > _MOST_USERS:
        raise ValueError(f"{value!r} is too many; write {_MOST_USERS} users or fewer")
    return users


UserCount = Annotated[
    int,
    BeforeValidator(_number_of_users),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\s*users?$", "examples": ["50 users"]}),
]


class Users(Settings):
    """So many users for a while, each with one iteration of a journey after another."""

    users: Annotated[int, Field(ge=1, le=_MOST_USERS, description="how many there are")]
    for_: Annotated[Duration, Field(alias="for", ge=1, description="how long, at most where there are iterations")]
    iterations: Annotated[Annotated[int, Field(ge=1, le=_MOST_EVENTS)] | None, Field(description=_OF_THE_WHOLE)] = (
        None
    )

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.for_, from_users=self.users, to_users=self.users),)


class UserRamp(Settings):
    """From one number of users to another, evenly."""

    from_: Annotated[UserCount, Field(alias="from", description="users at its start, such as 0 users")]
    to: Annotated[UserCount, Field(description="users at its end, such as 50 users")]
    for_: Annotated[Duration, Field(alias="for", ge=1, description="how long")]

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(self.for_, from_users=self.from_, to_users=self.to),)


class Rounds(Settings):
    """So many rounds of a race, one after another, in place of a load."""

    count: Annotated[int, Field(ge=1, le=MOST_ROUNDS, description="how many rounds there are")]
    every: Annotated[
        Duration,
        Field(ge=1_000_000, description="from the beginning of one to that of the next, however long it takes"),
    ]

    def legs(self) -> tuple[Leg, ...]:
        rate = Fraction(NS_PER_S, self.every)
        return (Leg(self.count * self.every, rate, rate, rounds=self.count),)


_MODEL_BY_KEY: Final[Mapping[str, type[Settings]]] = {
    "rate": Hold, "users": Users, "from": Ramp, "to": Ramp, "steps": Steps, "burst": Burst, "idle": Idle,
}  # fmt: skip


def _pick_model(value: Any, _: Callable[[Any], Any]) -> Any:
    """Validate with the one model that the keys ask for, so that errors are about that one alone."""
    if isinstance(value, Settings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("a phase is a mapping; write e.g. {rate: 100/s, for: 5m}")
    for key, model in _MODEL_BY_KEY.items():
        if key in value:
            if model is Ramp and any(_is_of_users(value.get(end)) for end in ("from", "to")):
                model = UserRamp
            elif model is Hold and "iterations" in value:
                model = Amount
            if "until" in value and "until" not in model.model_fields:
                raise ValueError("only a phase of one rate, or an idle one, can end early; leave until out")
            return model.model_validate(value)
    raise ValueError(
        "this phase has none of rate, users, from/to, steps, burst, idle; write e.g. {rate: 100/s, for: 5m}"
    )


def _lasts_ns(events: Fraction | int, rate: Fraction) -> int:
    """How long it takes until so many events are due; rounded down, as else there would be time for one more."""
    return int(events * NS_PER_S / rate)


def _is_of_users(value: object) -> bool:
    """Whether it can be read as a number of users alone."""
    return isinstance(value, str) and "user" in value


def _has_events(load: tuple[Phase, ...]) -> tuple[Phase, ...]:
    _check_iterations(load)
    if is_closed(load):
        _check_users(load)
        return load
    events = expected_events(load)
    if not events:
        raise ValueError("this load has no events; give it a phase such as {rate: 100/s, for: 5m}")
    if events > _MOST_EVENTS:
        raise ValueError(f"this load has {events:,} events; write one of {_MOST_EVENTS:,} or fewer")
    _check_length(load)
    return load


def _check_iterations(load: tuple[Phase, ...]) -> None:
    capped = [number for number, phase in enumerate(load) if isinstance(phase, Amount | Users) and phase.iterations]
    if capped and capped != [len(load) - 1]:
        raise ValueError("iterations is said of the whole load; write it once, in the last phase")
    if capped and open_stretches(load):
        raise ValueError("a phase that ends early may leave iterations undone; leave until or iterations out")
    before = _count([leg for phase in load[:-1] for leg in phase.legs()]) if capped else 0
    if capped and not is_closed(load) and before >= (most := iterations_of(load) or 0):
        raise ValueError(f"the phases before the last have all of the {most:,} iterations; write more of them")


def _check_users(load: tuple[Phase, ...]) -> None:
    wrong = next((phase for phase in load if not isinstance(phase, Users | UserRamp | Idle)), None)
    if wrong is not None:
        text = ", ".join(map(str, wrong.legs()))
        raise ValueError(f"this load has users, and {text!r}; make them two scenarios, one of users and one of rates")
    if any(isinstance(phase, Idle) and phase.until for phase in load):
        raise ValueError("a load of users has no phase that ends early; leave until out")
    if not any(leg.from_users or leg.to_users for leg in _legs(load)):
        raise ValueError("this load has no users; give it a phase such as {users: 50, for: 5m}")
    _check_length(load)


def _check_length(load: tuple[Phase, ...]) -> None:
    if duration_ns(load) > LONGEST_NS:
        raise ValueError("this load lasts longer than a hundred years; write a shorter one")


Written = Annotated[Hold | Amount | Users | Ramp | UserRamp | Steps | Burst | Idle, WrapValidator(_pick_model)]
"""A phase as it can be written under `load`."""
Phase = Hold | Amount | Users | Ramp | UserRamp | Steps | Burst | Idle | Rounds
Load = Annotated[tuple[Written, ...], AfterValidator(_has_events)]


class Stretch(NamedTuple):
    """One line of a timeline: from, to (both in nanoseconds since the start of the scenario), and what happens."""

    start_ns: int
    end_ns: int
    text: str


class Open(NamedTuple):
    """A stretch that may end early: its number among all stretches of its load, when it is, and what ends it."""

    number: int
    start_ns: int
    end_ns: int
    until: str


def is_closed(load: Sequence[Phase]) -> bool:
    """Whether it is of users, so that nobody knows beforehand what is due when."""
    return any(isinstance(phase, Users | UserRamp) for phase in load)


def users_of(load: Sequence[Phase]) -> list[tuple[int, int, int, int]]:
    """From when to when a load of users has how many of them at its start and at its end, without a gap: none while
    it is idle. Empty for a load of rates."""
    if not is_closed(load):
        return []
    return [
        (start_ns, start_ns + leg.duration_ns, leg.from_users, leg.to_users)
        for start_ns, leg in _placed(_legs(load))
        if leg.duration_ns
    ]


def paced(load: Sequence[Phase], every_ns: int | Fraction) -> list[Phase]:
    """A load of rates that has as many iterations as one of users of whom each begins one each `every_ns`."""
    return [
        Ramp.model_construct(
            from_=Fraction(from_users * NS_PER_S, every_ns), to=Fraction(to_users * NS_PER_S, every_ns),
            for_=end_ns - start_ns,
        )
        for start_ns, end_ns, from_users, to_users in users_of(load)
    ]  # fmt: skip


def iterations_of(load: Sequence[Phase]) -> int | None:
    """How many iterations of journeys the whole load has at most; None: as many as there is time for."""
    return next((phase.iterations for phase in load if isinstance(phase, Amount | Users) and phase.iterations), None)


def duration_ns(load: Sequence[Phase]) -> int:
    """From the start of the load to the end of its last phase, if none ends early."""
    return sum(leg.duration_ns for leg in _legs(load))


def expected_events(load: Sequence[Phase]) -> int:
    """Number of events if no phase ends early: exact for constant arrivals; for Poisson the mean, rounded up."""
    return _count(_legs(load))


def events_before(load: Sequence[Phase], offset_ns: int) -> int:
    """How many of them are due before an offset from the start of the load."""
    begun, start_ns = [], 0
    for leg in _legs(load):
        begun.append(leg.begun(offset_ns - start_ns))
        start_ns += leg.duration_ns
    return _count(begun)


def _count(legs: Sequence[Leg]) -> int:
    return ceil(sum(leg.events for leg in legs)) + sum(leg.burst for leg in legs)


def fewest_events(load: Sequence[Phase]) -> int:
    """The same if each phase that may end early ends at once."""
    legs = [leg for leg in _legs(load) if not leg.until]
    return ceil(sum(leg.events for leg in legs)) + sum(leg.burst for leg in legs)


def open_stretches(load: Sequence[Phase]) -> list[Open]:
    """The stretches that may end early, as they are if none does."""
    return _open(_legs(load))


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
    return [
        (start_ns, start_ns + leg.duration_ns, float(leg.from_rate), float(leg.to_rate))
        for start_ns, leg in _placed(_legs(load))
        if leg.duration_ns
    ]


def bursts_of(load: Sequence[Phase]) -> list[int]:
    """When the bursts of a load fall."""
    return [start_ns for start_ns, leg in _placed(_legs(load)) if leg.burst]


class Peak(NamedTuple):
    """The most that several loads ask for at a time.

    rate   events per second, with those of the bursts in the second before
    at_ns  when, on the common time of the loads
    whose  which of the loads asks for most then, by its place
    """

    rate: Fraction
    at_ns: int
    whose: int


def peak(loads: Sequence[tuple[int, Sequence[Phase], Fraction]]) -> Peak:
    """Of loads that begin at a time each, and each of whose events counts so often.

    Between two moments at which a phase begins or ends the sum of all rates is a line, so that it is highest at one
    of its ends. Random arrivals count by their mean. Where a phase may end early, what comes after it may begin at
    any time before: then the highest of its load counts, with and without such phases, as if it lasted all of its
    time, and the second after that in which a burst still counts.
    """
    return _peak([_at_its_highest(*one) if open_stretches(one[1]) else one for one in loads])


def _at_its_highest(start_ns: int, load: Sequence[Phase], times: Fraction) -> tuple[int, Sequence[Phase], Fraction]:
    highest = max(_peak([(start_ns, some, times)]) for some in (load, _closed(load)))
    lasts_ns = duration_ns(load) + NS_PER_S
    return start_ns, [Hold.model_construct(rate=highest.rate, for_=lasts_ns)], Fraction(1)


def _closed(load: Sequence[Phase]) -> list[Phase]:
    """The load without the phases that may end early."""
    return [phase for phase in load if not (isinstance(phase, Hold | Idle) and phase.until)]


def _peak(loads: Sequence[tuple[int, Sequence[Phase], Fraction]]) -> Peak:
    lines: list[tuple[int, int, Fraction, Fraction]] = []
    """When, whose, and by how much the sum changes: its value at time 0, and its slope."""
    bursts: list[tuple[int, int, Fraction]] = []
    for whose, (start_ns, load, times) in enumerate(loads):
        for leg in _legs(load):
            if leg.burst:
                bursts.append((start_ns, whose, leg.burst * times))
            elif leg.duration_ns:
                steep = (leg.to_rate - leg.from_rate) * times / leg.duration_ns
                high = leg.from_rate * times - steep * start_ns
                lines += [(start_ns, whose, high, steep), (start_ns + leg.duration_ns, whose, -high, -steep)]
            start_ns += leg.duration_ns
    highest = Peak(Fraction(0), 0, 0)
    level, slope = [Fraction(0)] * len(loads), [Fraction(0)] * len(loads)
    level_sum = slope_sum = Fraction(0)
    recent: deque[tuple[int, int, Fraction]] = deque()
    changes = sorted({one[0] for one in lines} | {one[0] for one in bursts})
    lines.sort(key=itemgetter(0))
    bursts.sort(key=itemgetter(0))
    next_line = next_burst = 0
    for at_ns in changes:
        while recent and recent[0][0] <= at_ns - NS_PER_S:
            recent.popleft()
        while next_burst < len(bursts) and bursts[next_burst][0] == at_ns:
            recent.append(bursts[next_burst])
            next_burst += 1
        for after in (False, True):
            while after and next_line < len(lines) and lines[next_line][0] == at_ns:
                _, whose, more, steeper = lines[next_line]
                level[whose] += more
                slope[whose] += steeper
                level_sum += more
                slope_sum += steeper
                next_line += 1
            rate = level_sum + slope_sum * at_ns + sum((one[2] for one in recent), Fraction(0))
            if rate > highest.rate:
                own = [level[n] + slope[n] * at_ns for n in range(len(loads))]
                for _, whose, events in recent:
                    own[whose] += events
                highest = Peak(rate, at_ns, max(range(len(loads)), key=own.__getitem__))
    return highest


def expected_in_steps(load: Sequence[Phase], start_ns: int, step_ns: int) -> list[float]:
    """Expected arrivals in each step since time 0, of a load that begins at `start_ns` and of which no phase ends
    early: see `arrivals_in_steps`."""
    rates = [(start_ns + since, start_ns + until, low, high) for since, until, low, high in rates_of(load)]
    bursts = [start_ns + at_ns for at_ns in bursts_of(load)]
    return arrivals_in_steps(rates, bursts, start_ns + duration_ns(load), step_ns)


def arrivals_in_steps(
    rates: Iterable[tuple[int, int, float, float]], bursts: Iterable[int], end_ns: int, step_ns: int
) -> list[float]:
    """Expected arrivals in each step since time 0, up to `end_ns`, with these rates (see `rates_of`) and bursts.

    0 where a burst falls, which is not random.
    """
    steps = [0.0] * -(-end_ns // step_ns)
    for start_ns, stop_ns, from_rate, to_rate in rates:
        for step in range(start_ns // step_ns, -(-stop_ns // step_ns)):
            since, until = max(start_ns, step * step_ns), min(stop_ns, (step + 1) * step_ns)
            if until > since:
                middle = (since + until) / 2 - start_ns
                rate = from_rate + (to_rate - from_rate) * middle / (stop_ns - start_ns)
                steps[step] += rate * (until - since) / NS_PER_S
    for at_ns in bursts:
        if at_ns // step_ns < len(steps):
            steps[at_ns // step_ns] = 0.0
    return steps


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
        self._legs = _legs(load)
        self._positions: _Positions = _Counted() if shape == "constant" else _Drawn(random.Random(seed))
        self._segments = _segments(self._legs, self._positions.unit)
        self._number = 0
        """Of the segment from which the block comes, and the next one, too."""
        self._burst = 0
        """Events of a burst in that segment that went into a block."""
        self._block: list[int] = []
        self._taken = 0
        self._behind: Sequence[int] = ()
        """Positions of what is in the block; of a burst there are none."""
        self._last_ns = -1

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
        if due:
            self._last_ns = due[-1]
        return due

    def open_at(self, offset_ns: int) -> Open | None:
        """The stretch that goes on at an offset, if it may end early."""
        return next((one for one in _open(self._legs) if one.start_ns <= offset_ns < one.end_ns), None)

    def open_stretches(self) -> list[Open]:
        """Those that may end early, and didn't."""
        return _open(self._legs)

    def end_early(self, stretch: Open, offset_ns: int) -> int | None:
        """End a stretch at an offset, but no earlier than what was taken of it; what comes after it begins then.

        Gives when that is; None if it lasts its time all the same.
        """
        end_ns = max(offset_ns, stretch.start_ns + 1, self._last_ns + 1)
        if end_ns >= stretch.end_ns:
            return None
        legs = self._legs
        # What ended early doesn't end once more.
        legs[stretch.number] = legs[stretch.number]._replace(duration_ns=end_ns - stretch.start_ns, until="")
        self._segments = _segments(legs, self._positions.unit)
        keep = len(self._block)
        if self._number == stretch.number:
            keep = bisect_left(self._block, end_ns, self._taken)
        elif self._number > stretch.number:
            keep = self._taken
        self._put_back(keep)
        return end_ns

    def _put_back(self, keep: int) -> None:
        """What stands in the block from there on is due at another time."""
        block, behind = self._block, self._behind
        if keep < len(block):
            if behind:
                self._positions.put_back(behind[keep:])
            else:
                self._burst -= len(block) - keep
            self._block, self._behind = block[:keep], behind[:keep]

    def _refill(self) -> bool:
        if self._taken < len(self._block):
            return True
        self._block, self._behind, self._taken = [], (), 0
        while self._number < len(self._segments):
            segment = self._segments[self._number]
            if segment.offsets is None:
                events = min(segment.stop - self._burst, _BLOCK)
                self._burst += events
                self._block = [segment.start_ns] * events
            else:
                self._behind = self._positions.below(segment.stop, _BLOCK)
                self._block = segment.offsets(self._behind)
            if self._block:
                return True
            self._number += 1
            self._burst = 0
        return False


class _Positions(Protocol):
    """Where on Λ the arrivals are, in order. `unit` is the number of parts into which one event is divided."""

    unit: int

    def below(self, stop: int, limit: int) -> Sequence[int]:
        """The next ones below `stop`, at most `limit`; takes them away."""
        ...

    def put_back(self, positions: Sequence[int]) -> None:
        """These were taken last, and come again."""
        ...


class _Counted:
    """Evenly spaced: 0, 1, 2, …"""

    unit = 1

    def __init__(self) -> None:
        self._next = 0

    def below(self, stop: int, limit: int) -> Sequence[int]:
        """See `_Positions`."""
        found = range(self._next, min(stop, self._next + limit))
        self._next += len(found)
        return found

    def put_back(self, positions: Sequence[int]) -> None:
        """See `_Positions`."""
        self._next = positions[0]


class _Drawn:
    """A Poisson process of unit rate."""

    unit = _POISSON_UNIT

    def __init__(self, rng: random.Random) -> None:
        self._uniform = rng.random
        self._next = int(-log(1.0 - self._uniform()) * _POISSON_UNIT)
        self._again: list[int] = []
        """What was put back beside the next one, the last first."""

    def below(self, stop: int, limit: int) -> Sequence[int]:
        """See `_Positions`."""
        found: list[int] = []
        position, again, uniform = self._next, self._again, self._uniform
        while position < stop and len(found) < limit:
            found.append(position)
            position = again.pop() if again else position + int(-log(1.0 - uniform()) * _POISSON_UNIT)
        self._next = position
        return found

    def put_back(self, positions: Sequence[int]) -> None:
        """See `_Positions`."""
        self._again += [self._next, *reversed(positions[1:])]
        self._next = positions[0]


class _Segment(NamedTuple):
    """A leg made ready: positions of Λ, in whole units, and the way back to offsets.

    stop     the positions below it that don't fall into the segments before fall into this one
    offsets  positions to nanoseconds; None for a burst, of which there are `stop` at `start_ns`
    """

    start_ns: int
    stop: int
    offsets: Callable[[Iterable[int]], list[int]] | None


def _legs(load: Sequence[Phase]) -> list[Leg]:
    legs = [leg for phase in load for leg in phase.legs()]
    if (most := iterations_of(load)) is not None and not is_closed(load):
        *before, last = legs
        left = most - sum(leg.events + leg.burst for leg in before)
        legs[-1] = last._replace(duration_ns=min(last.duration_ns, _lasts_ns(left, last.from_rate)))
    return legs


def _placed(legs: Iterable[Leg]) -> Iterator[tuple[int, Leg]]:
    """Each leg with its start."""
    start_ns = 0
    for leg in legs:
        yield start_ns, leg
        start_ns += leg.duration_ns


def _open(legs: Iterable[Leg]) -> list[Open]:
    return [
        Open(number, start_ns, start_ns + leg.duration_ns, leg.until)
        for number, (start_ns, leg) in enumerate(_placed(legs))
        if leg.until
    ]


def _segments(legs: Iterable[Leg], unit: int) -> list[_Segment]:
    """One for each leg. `unit` is the number of parts into which one event is divided."""
    segments = []
    passed = Fraction(0)
    for start_ns, leg in _placed(legs):
        if leg.burst:
            segments.append(_Segment(start_ns, leg.burst, None))
            continue
        offsets: Callable[[Iterable[int]], list[int]] = list
        if leg.events:
            offsets = (_even if leg.from_rate == leg.to_rate else _ramped)(leg, start_ns, passed, unit)
        passed += leg.events
        segments.append(_Segment(start_ns, ceil(passed * unit), offsets))
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
