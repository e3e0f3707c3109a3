"""Changes the code here and there, and says which changes no test notices."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Final

from . import signals
from .changes import sample
from .children import OPEN
from .excused import Excuse
from .house import ROOT, House, UnusableError
from .told import Fate, Result, change, rooms, share, table, unnoticed, where
from .trying import preload, seen, tried

_NOT_COPIED: Final = (".git", ".venv", ".bench-venv", ".*_cache", ".hypothesis", "__pycache__")


def main(arguments: Sequence[str], house: House, excuses: Sequence[Excuse]) -> int:
    """Try it with a copy of the house, which may be worked on meanwhile; the copy is where this process is then.

    Returns 1 if too many changes were unnoticed or some could not be tried, 2 if nothing can be said, else 0. An
    interrupt ends the process with 130, SIGTERM with 143, and nothing is left behind.
    """
    with signals.waiting(), tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as directory:
        scratch = Path(directory)
        scratch.chmod(OPEN)
        copy = scratch / "house"
        shutil.copytree(house.root, copy, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        try:
            with chdir(copy):
                return _main(_options(arguments), replace(house, root=copy), excuses, scratch)
        except UnusableError as error:
            print(f"mutants: {error}", file=sys.stderr)
            return 2


def _main(options: argparse.Namespace, house: House, excuses: Sequence[Excuse], scratch: Path) -> int:
    began = time.monotonic()
    among = list(house.mutants(options.only))
    files = house.tests(options.tests)
    chosen = sample(among, options.seed, options.count)
    reasons = {mutant: excuse.why for mutant in chosen for excuse in excuses if excuse.fits(mutant)}
    results = [Result(mutant, Fate.EXCUSED, why) for mutant, why in reasons.items()]
    unexcused = [mutant for mutant in chosen if mutant not in reasons]
    print(f"{len(chosen)} of {len(among):,} changes, seed {options.seed}", flush=True)
    print(f"running the tests of {len(files)} files once, to see who runs what", flush=True)

    preload(house)
    known = seen(files, unexcused, scratch, options.jobs)
    if not any(file.took for file in known.values()):
        raise UnusableError("there is no test that can be used")
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    until = began + 60 * options.minutes
    for result in tried(unexcused, known, scratch, options.jobs, options.patience, until):
        results.append(result)
        said = f"{where(result.mutant)} {change(result.mutant)}"
        print(f"{len(results)}/{len(chosen)} {result.fate.value}: {said}", flush=True)

    signals.look()
    print("", *table(results), "", *rooms(results), "", *unnoticed(results, house.root), sep="\n")
    print(f"{share(results):.1%} unnoticed, {options.allowed:g} % allowed; {time.monotonic() - began:.0f} s")
    untried = any(result.fate is Fate.UNTRIED for result in results)
    return int(100 * share(results) > options.allowed or untried)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which changes are tried")
    parser.add_argument("--count", type=int, default=300, help="how many changes are tried")
    parser.add_argument("--only", nargs="+", default=[], metavar="PLACE", help="change these folders and files alone")
    parser.add_argument("--tests", nargs="+", default=[], metavar="FILE", help="run the tests of these files alone")
    parser.add_argument("--allowed", type=float, default=5.0, help="how many %% may be unnoticed")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds that the tests of a change may take")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin none after so many minutes")
    parser.add_argument("--jobs", type=int, default=2, help="how many are tried at once")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], House(ROOT, "evload"), Excuse.read()))
