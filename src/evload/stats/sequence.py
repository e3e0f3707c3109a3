"""Evidence that a rate is above a limit, which may be looked at after every event without being fooled.

An interval for a fixed number of events is wrong more often than it says when it is looked at again and again until
it says something. This one isn't: H. Robbins, "Statistical methods related to the law of the iterated logarithm",
Annals of Mathematical Statistics 41 (1970) 1397-1409; S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon,
"Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49 (2021) 1055-1080, whose
beta-binomial mixture is used here one-sidedly.

For each q in (q0, 1) the likelihood ratio of q to q0 is a supermartingale under every true rate up to q0, and so is
their mixture with a beta density that is cut off below q0. By Ville's inequality it ever reaches 1/alpha with a
probability of alpha at most.
"""

from __future__ import annotations

from math import inf, log, log1p
from typing import Final

CONFIDENCE: Final = 0.95
_PRECISION: Final = 1e-9


def rejects(bad: float, events: float, limit: float, confidence: float = CONFIDENCE) -> bool:
    """Whether `bad` of `events` show, whenever and however often this is asked, that the rate is above `limit`.

    Both may be effective sizes, not whole. Raises ValueError unless 0 <= bad <= events and 0 < limit < 1.
    """
    return log_evidence(bad, events, limit) >= -log(1 - confidence)


def log_evidence(bad: float, events: float, limit: float) -> float:
    """Natural logarithm of the mixture of likelihood ratios against a rate of `limit`; raises like `rejects`.

    The mixing density is Beta(1, (1 - limit) / limit), whose mean is the limit: above it, it falls off over a few
    multiples of the limit, which is where the power is wanted.
    """
    if not 0 <= bad <= events:
        raise ValueError(f"{bad} of {events} events")
    if not 0 < limit < 1:
        raise ValueError(f"no rate is above {limit} or all are; it has to be between 0 and 1")
    if not events:
        return 0.0
    from scipy.special import betaincc, betaln

    good = events - bad
    a, b = 1.0, (1 - limit) / limit
    above, above_before = float(betaincc(a + bad, b + good, limit)), float(betaincc(a, b, limit))
    if above <= 0:
        return -inf
    mixture = float(betaln(a + bad, b + good) - betaln(a, b)) + log(above) - log(above_before)
    return mixture - bad * log(limit) - good * log1p(-limit)


def lower_bound(bad: float, events: float, confidence: float = CONFIDENCE) -> float:
    """The smallest rate that is not rejected, by bisection; 0 without a bad event. Raises like `rejects`."""
    log_evidence(bad, events, 0.5)  # refuses what can't have been seen
    if bad <= 0:
        return 0.0
    rejected, kept = 0.0, bad / events
    while kept - rejected > _PRECISION * kept:
        middle = (kept + rejected) / 2
        if middle and rejects(bad, events, middle, confidence):
            rejected = middle
        else:
            kept = middle
        if kept < 1e-12:
            break
    return rejected
