"""How far from the ideal grid events arrive at an independent receiver: evload and k6 at 1,000/s.

    python -m benchmarks.arrivals

The error of arrival n is its distance from `phase + n / rate`; the phase is the median offset, so that a
constant delay on the way isn't counted. Generator and receiver have a core each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median
from typing import Final

from .k6_run import constant_rate
from .rig import BenchmarkError, Received, config, evload_run, peer_body, receiver

_RATE: Final = 1000
_SECONDS: Final = 10
_ROUNDS: Final = 4
_TARGET: Final = 10.0
_USERS: Final = 50


def main() -> None:
    evload, k6 = [], []
    for round_ in range(1, _ROUNDS + 1):
        evload.append(_show("evload", round_, _evload()))
        k6.append(_show("k6", round_, _k6()))
    ours, theirs = median(evload), median(k6)
    print(f"p99 error, median of {_ROUNDS}: evload {ours / 1e3:.1f} µs, k6 {theirs / 1e3:.1f} µs")
    print(f"ratio: k6's error is {theirs / ours:.1f} times evload's (target: at least {_TARGET:.0f})")


def _evload() -> Received:
    with (
        receiver() as received,
        evload_run(config(received.url, "plain", _RATE, _SECONDS), timeout_s=_SECONDS + 30),
    ):
        return received


def _k6() -> Received:
    with receiver() as received:
        constant_rate(received.url, peer_body(), _RATE, _SECONDS, _USERS)
    return received


def _show(name: str, round_: int, received: Received) -> float:
    """Print a trial and return its 99th percentile in nanoseconds."""
    expected = _RATE * _SECONDS
    if abs(len(received.stamps) - expected) > expected // 1000:
        raise BenchmarkError(f"{name} sent {len(received.stamps)} of {expected} requests; is the machine overloaded?")
    errors = _errors(received.stamps[:expected])
    at = {p: errors[min(len(errors) - 1, int(len(errors) * p / 100))] / 1e3 for p in (50, 90, 99, 99.9)}
    figures = ", ".join(f"p{p:g} {value:.1f} µs" for p, value in at.items())
    print(f"{name:6} trial {round_}: {figures}, max {errors[-1] / 1e3:.0f} µs", flush=True)
    return at[99] * 1e3


def _errors(stamps: Sequence[int]) -> list[float]:
    """Distances from the grid, in ascending order."""
    offsets = [at - n * 1_000_000_000 // _RATE for n, at in enumerate(stamps)]
    phase = median(offsets)
    return sorted(abs(offset - phase) for offset in offsets)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.arrivals: {error}")
