"""What the counts at one threshold say about the rate of bad events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .binomial import clopper_pearson_lower, clopper_pearson_upper
from .dependence import effective_size

if TYPE_CHECKING:
    from .thresholds import ThresholdCount


@dataclass(frozen=True, slots=True)
class Evidence:
    """How many events are bad at a threshold, and what that says about the rate of bad ones.

    pessimistic, optimistic  bad events if those that can't be told are bad, or good
    size_pessimistic, size_optimistic  the number of independent events that the run's are worth, for each
    """

    pessimistic: int
    optimistic: int
    size_pessimistic: float
    size_optimistic: float
    highest: float
    """95 % upper bound of the rate of bad events."""
    lowest: float
    """95 % lower bound of it."""

    @property
    def size(self) -> float:
        """The smaller of the two effective sizes."""
        return min(self.size_pessimistic, self.size_optimistic)

    def dependence_note(self, n: int) -> str:
        """For people, empty if the events count as independent."""
        if self.size >= n:
            return ""
        return f"events share stalls: {n} of them count as {self.size:.0f}"


def weigh(counts: ThresholdCount, n: int) -> Evidence:
    """What the counts at a threshold say about n events (n > 0), with n and the counts scaled by dependence."""
    pessimistic, optimistic = n - counts.within, counts.beyond
    batches = [counts.intervals[number] for number in sorted(counts.intervals)]
    worth_pessimistic = effective_size((events, events - within) for events, within, _ in batches) or n
    worth_optimistic = effective_size((events, beyond) for events, _, beyond in batches) or n
    return Evidence(
        pessimistic,
        optimistic,
        worth_pessimistic,
        worth_optimistic,
        clopper_pearson_upper(pessimistic * worth_pessimistic / n, worth_pessimistic),
        clopper_pearson_lower(optimistic * worth_optimistic / n, worth_optimistic),
    )
