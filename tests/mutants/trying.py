"""Finds out which tests run what is changed, and then tries the changes."""

from __future__ import annotations

import functools
import gc
import importlib
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from .changes import Mutant
from .children import each
from .house import House
from .told import Fate, Result
from .trials import Known, Took, Trial, notice, see


def preload(house: House) -> None:
    """Import what the children will need of others, so that none of them takes the time for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(house.borrowed()):
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # then the children do without it as well
    sys.path[:0] = [str(house.root / "src"), str(house.root)]
    if tests := sys.modules.get("tests"):
        tests.__path__ = [str(house.root / "tests")]  # this tool is in the package of tests that it makes a copy of
    assert house.package not in sys.modules, "a change isn't seen by what was imported before"
    gc.freeze()  # the children share all this memory, as long as nobody writes to it


def seen(files: Sequence[Path], among: Sequence[Mutant], scratch: Path, jobs: int) -> dict[Path, Known]:
    """What is known of the tests in these files. Says which can't be used."""
    known: dict[Path, Known] = {}
    for path, ended in each(functools.partial(see, among=among), files, scratch, jobs):
        if ended.done is None:
            print(f"{path.name} comes to no end", flush=True)
            continue
        known[path] = ended.done
        for test, told in ended.done.failed.items():
            print(f"{test} fails without a change: {told}", flush=True)
    passed, skipped, failed = (
        sum(len(getattr(file, kind)) for file in known.values()) for kind in ("took", "skipped", "failed")
    )
    print(f"{passed} tests, without {skipped} that are skipped and {failed} that fail", flush=True)
    return known


def tried(
    mutants: Sequence[Mutant], known: Mapping[Path, Known], scratch: Path, jobs: int, patience_s: float, until: float
) -> Iterator[Result]:
    """What becomes of each change. The tests of one may take `patience_s`, and none is begun after `until`."""
    waiting = {mutant: trial(mutant, known, patience_s) for mutant in mutants}
    for mutant in mutants:
        if not waiting[mutant].tests:
            del waiting[mutant]
            yield Result(mutant, Fate.UNNOTICED, "no test runs it")
    in_time = takewhile(lambda _: time.monotonic() < until, list(waiting.values()))
    for one, ended in each(notice, in_time, scratch, jobs):
        mutant = one.mutant
        del waiting[mutant]
        if ended.endless:
            yield Result(mutant, Fate.ENDLESS, "")
        elif ended.done is None:
            yield Result(mutant, Fate.NOTICED, "it ended the process of the tests")
        elif ended.done:
            yield Result(mutant, Fate.NOTICED, ended.done)
        else:
            run_it = {test for file in known.values() for test in file.runs.get(mutant, ())}
            ran = run_it & {test for _, tests in one.tests for test in tests}
            missing = f", of which {len(run_it) - len(ran)} would take too long" if len(ran) < len(run_it) else ""
            yield Result(mutant, Fate.UNNOTICED, f"tests that run it: {len(run_it)}{missing}")
    yield from (Result(mutant, Fate.UNTRIED, "no time was left") for mutant in waiting)


def trial(mutant: Mutant, known: Mapping[Path, Known], patience_s: float) -> Trial:
    """A change with the tests that might notice it: those that run it, then the others of their files.

    What one test has filled, a cache or a fixture, others look at without running the code themselves. The quickest
    are taken, as many as fit into the patience, and the first at least; files that take the least come first.

    Each may take as long as the slowest of its file besides: what that has paid for, fixtures and what is imported
    when it is first asked for, is paid by whoever is run first.
    """
    files = {path: file for path, file in known.items() if mutant in file.runs}
    ranked = sorted(
        (test not in file.runs[mutant], took.wall_s, test, path, took)
        for path, file in files.items()
        for test, took in file.took.items()
    )
    groups: dict[tuple[bool, Path], dict[str, Took]] = {}
    used_s = 0.0
    for is_other, _, test, path, took in ranked:
        if not groups or used_s + took.wall_s <= patience_s:
            used_s += took.wall_s
            groups.setdefault((is_other, path), {})[test] = took
    order = sorted(groups, key=lambda group: (group[0], sum(took.wall_s for took in groups[group].values())))
    slowest = {path: functools.reduce(_slower, file.took.values()) for path, file in files.items() if file.took}
    return Trial(
        mutant,
        [
            (path, {test: took.after(slowest[path]) for test, took in groups[is_other, path].items()})
            for is_other, path in order
        ],
    )


def _slower(one: Took, other: Took) -> Took:
    return Took(max(one.cpu_s, other.cpu_s), max(one.wall_s, other.wall_s))
