"""Builds the summaries that the tests of objectives and checks judge."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from evload.model.summary import Distribution, ScenarioSummary, Summary
from evload.model.timeline import EDGES_NS
from evload.model.vitals import Vitals
from evload.stats.thresholds import ThresholdCount

MS = 1_000_000
S = 1_000 * MS

Bracket = tuple[int, int | None]


def bucket_of(ns: int) -> int:
    """The bucket of a latency over time that a duration belongs to."""
    return bisect_right(EDGES_NS, ns) - 1


def distribution(brackets: Iterable[Bracket], *thresholds: int, windows: int = 1) -> Distribution:
    """The brackets, dealt to the windows in turn, counted at the thresholds."""
    built = Distribution(thresholds={x: ThresholdCount() for x in thresholds})
    for number, (low, high) in enumerate(brackets):
        built.lower.record(low)
        built.upper.record(high)
        for x, counts in built.thresholds.items():
            window = counts.intervals.setdefault(number % windows, [0, 0, 0])
            window[0] += 1
            if high is not None and high <= x:
                counts.within += 1
                window[1] += 1
            elif low >= x:
                counts.beyond += 1
                window[2] += 1
    return built


def good_and_bad(good: int, bad: int, threshold: int, *, undecided: int = 0, windows: int = 1) -> Distribution:
    """Events within half the threshold, beyond twice of it, and around it."""
    brackets: list[Bracket] = [(threshold // 4, threshold // 2)] * good
    brackets += [(2 * threshold, 3 * threshold)] * bad
    brackets += [(threshold // 2, 2 * threshold)] * undecided
    return distribution(brackets, threshold, windows=windows)


def scenario(distributions: dict[str, Distribution] | None = None, **ledger: int) -> ScenarioSummary:
    """A scenario whose ledger closes: what isn't given is derived, and everything was followed closely."""
    acked = sum(ledger.get(state, 0) for state in ("visible", "ended", "lost", "regressed", "pending", "unobserved"))
    sent = acked + sum(ledger.get(state, 0) for state in ("unsent", "rejected", "returned", "in_doubt"))
    built = ScenarioSummary(distributions=distributions or {})
    built.ledger.update({"acked": acked, "scheduled": sent} | ledger)
    built.sampled = built.known["effects"] = built.known["position"] = acked
    return built


def run_of(*scenarios: ScenarioSummary, vitals: Vitals | None = None) -> Summary:
    """A run of scenarios named s0, s1 ..."""
    return Summary({f"s{number}": one for number, one in enumerate(scenarios)}, vitals or Vitals())
