"""Changes that need no test: nobody could see them, or what they do is as right. `excused.toml` says why."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from .changes import Mutant

PATH: Final = Path(__file__).with_name("excused.toml")


@dataclass(frozen=True, slots=True)
class Excuse:
    """One change and why it may stay unnoticed.

    It is known by the end of its place, `tracker.Tracker.due`, and by the code before and after: lines and folders
    change, and a formatter breaks lines.
    """

    place: str
    was: str
    now: str
    why: str

    @classmethod
    def read(cls, path: Path = PATH) -> list[Self]:
        """All excuses of a file. Raises ValueError for one that isn't whole."""
        told = tomllib.loads(path.read_text()).get("excused", []) if path.exists() else []
        for one in told:
            if set(one) != {"place", "was", "now", "why"} or not all(part.strip() for part in one.values()):
                raise ValueError(f"{path}: an excuse has a place, was, now and why, all of them filled in: {one}")
        return [cls(**one) for one in told]

    def fits(self, mutant: Mutant) -> bool:
        """Whether it is the excuse of this change."""
        there = f".{mutant.place}".endswith(f".{self.place}")
        return there and (_squeezed(self.was), _squeezed(self.now)) == (_squeezed(mutant.was), _squeezed(mutant.now))


def needless(excuses: Iterable[Excuse], mutants: Iterable[Mutant]) -> list[Excuse]:
    """Excuses for changes that can't be made any more, because the code is another one."""
    known: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in mutants:
        known.setdefault((_squeezed(mutant.was), _squeezed(mutant.now)), []).append(mutant)
    return [
        excuse
        for excuse in excuses
        if not any(map(excuse.fits, known.get((_squeezed(excuse.was), _squeezed(excuse.now)), ())))
    ]


def _squeezed(code: str) -> str:
    return " ".join(code.split())
