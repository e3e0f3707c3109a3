"""What is said of the changes that were tried."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from pathlib import Path
from typing import Final

from .changes import Mutant

_WIDTH: Final = 110


class Fate(Enum):
    """What became of a change."""

    NOTICED = "noticed"
    ENDLESS = "endless"
    EXCUSED = "excused"
    UNNOTICED = "unnoticed"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one change, and who says so: the test that failed, the excuse, or how many tests passed."""

    mutant: Mutant
    fate: Fate
    by: str


def share(results: Sequence[Result]) -> float:
    """Of the changes that were tried, how many nobody noticed."""
    tried = [result for result in results if result.fate is not Fate.UNTRIED]
    return sum(result.fate is Fate.UNNOTICED for result in tried) / len(tried) if tried else 0.0


def table(results: Sequence[Result]) -> Iterator[str]:
    """One row for each change, as Markdown."""
    yield "| place | change | | by |"
    yield "| --- | --- | --- | --- |"
    for result in sorted(results, key=_in_order):
        cells = (where(result.mutant), change(result.mutant), result.fate.value, result.by)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def rooms(results: Sequence[Result]) -> Iterator[str]:
    """How many were noticed, by room, as Markdown."""
    yield f"| room | changes | {' | '.join(fate.value for fate in Fate)} | share unnoticed |"
    yield f"| --- {'| ---: ' * (len(Fate) + 2)}|"
    names = sorted({result.mutant.room for result in results})
    for name in (*names, "all"):
        among = [result for result in results if name in (result.mutant.room, "all")]
        fates = Counter(result.fate for result in among)
        counts = " | ".join(str(fates[fate]) for fate in Fate)
        yield f"| {name} | {len(among)} | {counts} | {share(among):.1%} |"


def unnoticed(results: Sequence[Result], root: Path) -> Iterator[str]:
    """Those that nobody noticed, whole, as they would be excused."""
    for result in sorted(results, key=_in_order):
        if result.fate is Fate.UNNOTICED:
            mutant = result.mutant
            yield f"# {mutant.path.relative_to(root)}:{mutant.line}, {result.by}"
            yield "[[excused]]"
            yield f"place = {json.dumps(_short(mutant))}"
            yield f"was = {json.dumps(mutant.was, ensure_ascii=False)}"
            yield f"now = {json.dumps(mutant.now, ensure_ascii=False)}"
            yield 'why = ""\n'


def where(mutant: Mutant) -> str:
    """The module, the class and function in it, and the line."""
    return f"{_short(mutant)}:{mutant.line}"


def change(mutant: Mutant) -> str:
    """The code before and after in little space: around what differs."""
    was, now = mutant.was, mutant.now
    if len(was) + len(now) > _WIDTH:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False)))
        start = max(0, same - _WIDTH // 4)
        was, now = (f"{'…' if start else ''}{_cut(code[start:])}" for code in (was, now))
    return f"`{was}` → `{now}`"


def _in_order(result: Result) -> tuple[str, str, int, int]:
    mutant = result.mutant
    return mutant.room, mutant.place, mutant.line, mutant.number


def _cut(code: str) -> str:
    return code if len(code) <= _WIDTH // 2 + 10 else f"{code[: _WIDTH // 2 + 10]}…"


def _short(mutant: Mutant) -> str:
    packages = mutant.module.rpartition(".")[0]
    return mutant.place.removeprefix(f"{packages}.")
