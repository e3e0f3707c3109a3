"""How many independent events a run's events are worth.

Events that meet the same stall are bad together, so a binomial bound on all of them claims more than was
seen. The batch-means method (e.g. A. M. Law, "Simulation Modeling and Analysis", chapter 9) reads the
dependence off the spread between batches in time: n_eff = q (1 - q) / Var(mean), where Var(mean) is
estimated from the batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

FEWEST_BATCHES: Final = 8
"""With fewer the spread between them is too poorly known to say anything."""
_FALSE_ALARM: Final = 0.01


def effective_size(batches: Iterable[tuple[int, int]]) -> float | None:
    """The number of independent events that would leave the bad share as uncertain as these batches do.

    Each batch is (events, bad events), in order of time; one with less than half the average number of events
    is joined with the next, because a bad event in a tiny batch would look like a stall. For batches of
    unequal size the ratio of the weighted variance between them to the binomial one is the design effect
    D = X² / (m - 1), with the index of dispersion X² = Σ n_i (q_i - q)² / (q (1 - q)) over m batches (W. G.
    Cochran, "Some methods for strengthening the common χ² tests", Biometrics 10 (1954) 417-451), and
    n_eff = n / D.

    While X² stays within its 99 % χ² limit, or where all or none are bad so that there is no spread, events
    count as independent: n_eff = n. It is never more than n. None with fewer than 8 batches: then
    there is no estimate.
    """
    filled = _joined([(n, bad) for n, bad in batches if n])
    degrees = len(filled) - 1
    if degrees + 1 < FEWEST_BATCHES:
        return None
    events = sum(n for n, _ in filled)
    q = sum(bad for _, bad in filled) / events
    if q in (0, 1):
        return float(events)
    dispersion = sum(n * (bad / n - q) ** 2 for n, bad in filled) / (q * (1 - q))
    from scipy.special import chdtri

    if dispersion <= float(chdtri(degrees, _FALSE_ALARM)):
        return float(events)
    return min(float(events), events * degrees / dispersion)


def _joined(batches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Batches of at least half the average number of events each."""
    events = sum(n for n, _ in batches)
    joined: list[tuple[int, int]] = []
    n = bad = 0
    for more, more_bad in batches:
        n, bad = n + more, bad + more_bad
        if 2 * n * len(batches) >= events:
            joined.append((n, bad))
            n = bad = 0
    if n:
        last, last_bad = joined.pop()
        joined.append((last + n, last_bad + bad))
    return joined
