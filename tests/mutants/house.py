"""Which code is changed, and where its tests are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .changes import Mutant, mutants

ROOT: Final = next(path for path in Path(__file__).resolve().parents if (path / "pyproject.toml").is_file())
ROOMS: Final = (
    "stats", "tracking", "summary", "objectives", "judging", "producers", "ledger", "engine/resending.py",
)  # fmt: skip
"""The folders and files that decide what a run says, in the package."""


_IMPORT: Final = re.compile(
    r"^ *(?:import|from) +([a-z]\w*(?:\.\w+)*) *(?:import|as|$)", re.MULTILINE | re.IGNORECASE
)


class UnusableError(Exception):
    """There is nothing to change, or nothing that could notice it."""


@dataclass(frozen=True, slots=True)
class House:
    """A project: its root, its package below `src`, and its rooms."""

    root: Path
    package: str
    rooms: Sequence[str] = ROOMS

    def mutants(self, only: Sequence[str] = ()) -> Iterator[Mutant]:
        """All changes of all rooms, or of these folders and files alone. Raises UnusableError if one has no code."""
        source = self.root / "src"
        for room in only or self.rooms:
            place = source / self.package / room
            paths = [place] if place.is_file() else sorted(place.rglob("*.py"))
            if not paths:
                raise UnusableError(f"there is no code in {room}; there is in {', '.join(self.rooms)}")
            for path in paths:
                parts = path.relative_to(source).with_suffix("").parts
                yield from mutants(room, ".".join(parts).removesuffix(".__init__"), path)

    def tests(self, only: Sequence[str] = ()) -> list[Path]:
        """These files of tests, or all but those of this tool, which would start it again."""
        if missing := [name for name in only if not (self.root / name).is_file()]:
            raise UnusableError(f"{', '.join(missing)} isn't there")
        found = sorted((self.root / "tests").rglob("test_*.py"))
        return [self.root / name for name in only] or [
            path for path in found if not path.name.startswith("test_mutant")
        ]

    def borrowed(self) -> set[str]:
        """Modules of others that the code and its tests import, now or later."""
        files = [*(self.root / "src").rglob("*.py"), *(self.root / "tests").rglob("*.py")]
        tests = (self.root / "tests").rglob("*")
        own = {path.name for path in self.root.iterdir()} | {path.stem for path in tests} | {self.package}
        found = {name for path in files for name in _IMPORT.findall(path.read_text())}
        return {name for name in found if name.partition(".")[0] not in own}
