"""How near evload comes to planted truth, and how near a naive client does. In virtual time.

    python -m benchmarks.accuracy [--runs 200] [--world drift]

Over the runs of a world the limit of its objective goes from where it clearly fails to where it clearly holds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from math import isinf
from multiprocessing import get_context
from statistics import fmean, median
from typing import Final

from evload.model.report import Result

from .runs import ADAPTIVE, GEOMETRIC, NAIVE, SHOWN, WAYS, Figures, run_long, run_one
from .worlds import NAMES

_OURS: Final = (GEOMETRIC, ADAPTIVE)
_READS: Final = 30.0
"""Most reads per event on average, and twice as many as the plan that learns may use."""


def main() -> int:
    """1 if a truth was outside its bracket, a verdict wrong, or there were too many reads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of each world")
    parser.add_argument("--world", choices=NAMES, help="only this one")
    chosen = parser.parse_args()
    numbers = [n for n, name in enumerate(NAMES) if chosen.world in (None, name)]
    found: dict[tuple[int, str], list[Figures]] = {(n, way): [] for n in numbers for way in WAYS}
    print(
        f"{'world':16} {'measured by':18} {'error of':>8} {'':>7} {'':>7} {'':>8}  verdicts\n"
        f"{'':16} {'':18} "
        + " ".join(f"{name:>7}" for name in SHOWN)
        + "    share  right   open invalid wrong  outside  reads"
    )
    long: dict[tuple[int, str], Figures] = {}
    with get_context("spawn").Pool(min(os.cpu_count() or 1, 8)) as pool:
        for n in numbers:
            long |= zip([(n, way) for way in _OURS], pool.starmap(run_long, [(n, way) for way in _OURS]), strict=True)
            for figures in pool.starmap(run_one, [(n, seed) for seed in range(chosen.runs)], chunksize=5):
                for way, figure in figures.items():
                    found[n, way].append(figure)
            for way in WAYS:
                print(_line(NAMES[n], way, found[n, way], long.get((n, way))), flush=True)
    return _verdict(found, long)


def _line(world: str, way: str, figures: Sequence[Figures], long: Figures | None) -> str:
    errors = [median(figure.errors[index] for figure in figures) for index in range(len(SHOWN))]
    cells = " ".join(f"{'never':>7}" if isinf(error) else f"{error:7.1%}" for error in errors)
    opens, invalid = (
        fmean(figure.said is said for figure in figures) for said in (Result.INCONCLUSIVE, Result.INVALID)
    )
    wrong = fmean(figure.wrong for figure in figures)
    line = (
        f"{world:16} {way:18} {cells} {median(f.share_error for f in figures):8.2%} "
        f"{fmean(figure.said is (Result.PASS if figure.holds else Result.FAIL) for figure in figures):6.0%} "
        f"{opens:6.0%} {invalid:6.0%} {wrong:6.0%}"
    )
    if long is None:
        return line
    return f"{line} {sum(len(f.outside) for f in (*figures, long)):8} {long.reads_per_event:6.1f}"


def _verdict(found: dict[tuple[int, str], list[Figures]], long: dict[tuple[int, str], Figures]) -> int:
    runs = [figure for (_, way), figures in found.items() if way in _OURS for figure in figures] + list(long.values())
    outside = [text for figure in runs for text in figure.outside]
    for text in outside[:10]:
        print(f"outside: {text}")
    wrong = sum(figure.wrong for figure in runs)
    naive_wrong = [figure.wrong for (_, way), figures in found.items() if way == NAIVE for figure in figures]
    geometric, adaptive = (
        fmean(figure.reads_per_event for (_, of), figure in long.items() if of == way) for way in _OURS
    )
    print(
        f"{sum(figure.bounds for figure in runs)} truths in {len(runs)} runs of evload: {len(outside)} outside "
        f"(target: 0); wrong verdicts {wrong} (target: 0), of the naive client {fmean(naive_wrong):.0%}"
    )
    print(
        f"reads per event: {geometric:.1f} on the geometric grid (target: ≤ {_READS:.0f}), {adaptive:.1f} where the "
        f"plan learns (target: ≤ {_READS / 2:.0f})"
    )
    fine = not outside and not wrong and geometric <= _READS and adaptive <= _READS / 2
    print(f"ratio: {adaptive / geometric:.2f} of the reads, {'as it should be' if fine else 'NOT as it should be'}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
