"""What is known of acked events before they are settled: how long some wait already, how long the others took.

What is settled is old news: an event is settled when it was confirmed for seconds, or at its deadline. Whoever shows
a run while it goes on counts what is outstanding too. It is counted in cells, so that neither an event nor a look
costs more because many are outstanding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from ..stats.recent import Values, cell_of

K = TypeVar("K")
T = TypeVar("T")

_ACK_BITS: Final = 25
"""Acks are kept in cells of 34 ms."""


class Outstanding:
    """The acked events of each scenario, by its number, that are followed closely and not settled."""

    def __init__(self, scenarios: int) -> None:
        self._waiting: list[dict[int, int]] = [{} for _ in range(scenarios)]
        """Number of a cell of ack times to the events that nobody has seen for good yet."""
        self._shown: list[dict[tuple[int, int], int]] = [{} for _ in range(scenarios)]
        """Cells of both ends of the window to the events that everybody shows, and that are looked after."""

    def wait(self, scenario: int, acked_ns: int) -> int:
        """Count an event that waits to be seen, and say where it is counted."""
        place = acked_ns >> _ACK_BITS
        waiting = self._waiting[scenario]
        waiting[place] = waiting.get(place, 0) + 1
        return place

    def show(self, scenario: int, lower_ns: int, upper_ns: int) -> tuple[int, int]:
        """Count an event that everybody shows, so long after its ack, and say where it is counted."""
        place = (cell_of(max(0, lower_ns)), cell_of(max(0, upper_ns)))
        shown = self._shown[scenario]
        shown[place] = shown.get(place, 0) + 1
        return place

    def leave(self, scenario: int, place: int | tuple[int, int] | None) -> None:
        """Take an event away from where it is counted."""
        if isinstance(place, int):
            _take(self._waiting[scenario], place)
        elif place is not None:
            _take(self._shown[scenario], place)

    def at(self, now_ns: int) -> Moment:
        """How it stands at a moment."""
        ages = [
            [(max(0, now_ns - ((place + 1) << _ACK_BITS)), count) for place, count in waiting.items()]
            for waiting in self._waiting
        ]
        return Moment(ages, [dict(shown) for shown in self._shown])


class Moment:
    """The outstanding events at one moment, scenario by scenario."""

    def __init__(
        self,
        ages: Sequence[Sequence[tuple[int, int]]] = (),
        shown: Sequence[dict[tuple[int, int], int]] = (),
    ) -> None:
        self._ages = ages
        self._shown = shown

    def waiting(self, longer_than_ns: int = -1, scenario: int | None = None) -> int:
        """Events that are not seen yet, and have waited for longer than a time."""
        return sum(n for ages in _of(self._ages, scenario) for age, n in ages if age > longer_than_ns)

    def shown(self, scenario: int | None = None) -> int:
        """Events that everybody shows, and that are looked after."""
        return sum(sum(shown.values()) for shown in _of(self._shown, scenario))

    def shown_beyond(self, limit_ns: int, scenario: int | None = None) -> int:
        """Those of them that took as long for sure."""
        return sum(n for shown in _of(self._shown, scenario) for (low, _), n in shown.items() if low >= limit_ns)

    @property
    def oldest_ns(self) -> int | None:
        """For how long the oldest of those that are not seen waits, at least; None: there is none."""
        return max((age for ages in self._ages for age, _ in ages), default=None)

    def values(self) -> tuple[Values, Values, Values]:
        """How long they took: lower and upper ends; and for how long the others wait."""
        lower, upper, waiting = Values(), Values(), Values()
        for shown in self._shown:
            for (low, high), count in shown.items():
                lower.counts[low] += count
                upper.counts[high] += count
        for ages in self._ages:
            for age, count in ages:
                waiting.counts[cell_of(age)] += count
        return lower, upper, waiting


def _take(counts: dict[K, int], place: K) -> None:
    left = counts[place] - 1
    if left:
        counts[place] = left
    else:
        del counts[place]


def _of(parts: Sequence[T], scenario: int | None) -> Iterable[T]:
    return parts if scenario is None else parts[scenario : scenario + 1]


NOTHING: Final = Moment()
