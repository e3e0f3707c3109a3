"""Reads the files that steps of journeys send: whether they are there is known before anything is sent."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from ..units import format_size
from ..workload.journeys.settings import FileSettings, JourneySettings, RequestStep
from ..workload.journeys.uploads import MOST, Uploads, load
from .journeys import placed
from .problems import Problems
from .races import placed_in_race
from .sections import Scenario
from .yaml import DataPath


def uploads_of(
    problems: Problems,
    journeys: Mapping[str, JourneySettings],
    scenarios: Mapping[str, Scenario],
    seed: str,
    base_dir: Path,
) -> Uploads:
    """The contents of all files. Notes which can't be read; then there are none."""
    found: dict[str, bytes] = {}
    wanted: list[FileSettings] = []
    bad = False
    for place, file in _files_of(journeys, scenarios):
        wanted.append(file)
        if file.path is None or file.path in found:
            continue
        try:
            found[file.path] = _content(base_dir / file.path)
        except OSError as error:
            what = f"{file.path} can't be read: {(error.strerror or str(error)).lower()}"
            problems.add((*place, "path"), what, f"name a file, seen from {base_dir}")
            bad = True
        except ValueError as error:
            problems.add_text((*place, "path"), f"{file.path} {error}")
            bad = True
    return {} if bad else load(wanted, seed, found.__getitem__)


def _files_of(
    journeys: Mapping[str, JourneySettings], scenarios: Mapping[str, Scenario]
) -> Iterator[tuple[DataPath, FileSettings]]:
    steps = [placed(("journeys", name), journey) for name, journey in journeys.items()]
    steps += [placed_in_race(name, one.race.meant()) for name, one in scenarios.items() if one.race is not None]
    for place, step in chain.from_iterable(steps):
        if isinstance(step, RequestStep):
            for field, file in step.files.items():
                yield (*place, "files", field), file
            if step.file is not None:
                yield (*place, "file"), step.file


def _content(path: Path) -> bytes:
    """Raises OSError, and ValueError (`what; cure`) for what can't be sent."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("is no file; name one")
    if about.st_size > MOST:
        raise ValueError(f"has {format_size(about.st_size)}; send one of {format_size(MOST)} or less")
    return path.read_bytes()
