"""The highest rate of HTTP requests on one core: evload in an open loop with every event in its ledger,
k6's constant-arrival-rate as long as it drops no iterations, and Locust's FastHttpUser in a closed loop.

    python -m benchmarks.http_rate

All send structured events of about 400 bytes over keep-alive connections to a receiver on the other core;
evload renders a new one for each request, the peers send the same bytes again and again. k6 may drop one
iteration in a hundred, as it does while it opens its connections; without that it would find even less.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from statistics import median
from typing import Final

from .accounted import trial
from .k6_run import constant_rate
from .locust_run import closed_loop
from .rig import BenchmarkError, peer_body, receiver
from .search import search

_SECONDS: Final = 3
_LOCUST_SECONDS: Final = 6
_LOCUST_ROUNDS: Final = 3
_LOCUST_USERS: Final = 32
_K6_USERS: Final = 500
_K6_DROPPED: Final = 0.01
_TARGETS: Final = {"k6": 2.0, "Locust": 1.2}


def main() -> None:
    searches: dict[str, tuple[Callable[[int], bool], Generator[int, bool, int]]] = {
        "evload": (_evload, search(16_000)),
        "k6": (_k6, search(4_000)),
    }
    rates = {name: next(steps) for name, (_, steps) in searches.items()}
    found: dict[str, float] = {}
    locust: list[float] = []
    while len(found) < len(searches) or len(locust) < _LOCUST_ROUNDS:
        for name, (attempt, steps) in searches.items():
            if name not in found:
                try:
                    rates[name] = steps.send(attempt(rates[name]))
                except StopIteration as end:
                    found[name] = end.value
        if len(locust) < _LOCUST_ROUNDS:
            locust.append(_locust())
    found["Locust"] = median(locust)
    print(", ".join(f"{name} {rate:.0f}/s" for name, rate in found.items()))
    ratios = [f"{found['evload'] / found[name]:.2f} x {name} (target: {goal:g})" for name, goal in _TARGETS.items()]
    print("ratio: evload sustains " + ", ".join(ratios))


def _evload(rate: int) -> bool:
    done = trial("structured", rate, _SECONDS)
    print(done, flush=True)
    return done.sustained


def _k6(rate: int) -> bool:
    with receiver() as received:
        done = constant_rate(received.url, peer_body(), rate, _SECONDS, _K6_USERS)
    sustained = done.dropped <= _K6_DROPPED * rate * _SECONDS
    print(
        f"k6     {rate:6}/s: {'sustained' if sustained else 'not sustained'}; {done.iterations} of {rate * _SECONDS} "
        f"done, {done.dropped} dropped, receiver {received.busy():.0%} busy",
        flush=True,
    )
    return sustained


def _locust() -> float:
    with receiver() as received:
        closed_loop(received.url, peer_body(), _LOCUST_SECONDS, _LOCUST_USERS)
    rate = received.steady_rate()
    print(f"Locust {rate:6.0f}/s closed loop, receiver {received.busy():.0%} busy", flush=True)
    return rate


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.http_rate: {error}")
