"""A set of runs: a config several times, or several configs in turns: `evload run --repeat`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from ..config.run_config import LoadedConfig
from ..errors import EvloadError, OutputError, UsageError
from ..judging.verdict import exit_code, worst
from ..run.directory import new_run_id
from ..run.session import INTERRUPTED, Ended
from ..texts import plain_json

MOST: Final = 1000
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Planned:
    """One run of a set: of which config, by its number, and where its results go."""

    config: int
    directory: Path


def directory_of(out: Path | None, now: datetime) -> Path:
    """Where a set that begins now goes: `out`, or a new directory below `runs`. Raises UsageError if it isn't empty,
    OutputError if nobody can look."""
    path = Path("runs") / f"set-{new_run_id(now)}" if out is None else out
    try:
        there = sorted(one.name for one in path.iterdir()) if path.exists() else []
    except OSError as error:
        raise OutputError(f"can't write into {path}: {error.strerror}; choose a directory with --out") from error
    if there:
        raise UsageError(f"{path} isn't empty: it has {there[0]!r}; choose an empty or a new directory with --out")
    return path


def planned(configs: Sequence[Path], times: int, directory: Path) -> list[Planned]:
    """The runs in their order. Of several configs one after another has its turn, so that what changes meanwhile
    meets all of them; each has a directory of its own then, as `evload compare` takes it."""
    places = [directory] if len(configs) == 1 else [directory / name for name in _names(configs)]
    return [
        Planned(config, place / f"run-{number:02}")
        for number in range(1, times + 1)
        for config, place in enumerate(places)
    ]


def _names(configs: Sequence[Path]) -> list[str]:
    """Of the configs' directories: after their files, and told apart where two are called alike."""
    names: list[str] = []
    for path in configs:
        stem, number = path.stem or "config", 1
        name = stem
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


def run(
    configs: Sequence[tuple[Path, LoadedConfig]],
    times: int,
    directory: Path,
    *,
    one: Callable[[LoadedConfig, Path], Ended],
    say: Callable[[str], None],
    document: Callable[[bytes], None] | None,
) -> int:
    """Make all runs, say what they came to, and return the exit code: that of the worst verdict.

    `one` makes a run. `document` is given what came of them as JSON. An interrupt ends the set. Raises EvloadError
    where a run can't be made; what it says tells how many are done.
    """
    plan = planned([path for path, _ in configs], times, directory)
    done: list[tuple[Planned, Ended]] = []
    interrupted = False
    for number, turn in enumerate(plan, 1):
        path, loaded = configs[turn.config]
        say(f"run {number} of {len(plan)}: {path}")
        try:
            ended = one(loaded, turn.directory)
        except EvloadError as error:
            error.args = (f"{error}\n{len(done)} of {len(plan)} runs are done, in {directory}",)
            raise
        done.append((turn, ended))
        if interrupted := ended.exit_code == INTERRUPTED:
            break
    verdicts = [ended.report.verdict for _, ended in done]
    told = ", ".join(f"{verdicts.count(each)} {each.value}" for each in dict.fromkeys(verdicts))
    of_all = f"{len(done)} of {len(plan)} runs" if interrupted else f"{len(done)} runs"
    say(f"{of_all}: {told}; in {directory}")
    if remark := _to_compare(configs, plan):
        say(remark)
    if document is not None:
        document(
            plain_json(orjson.dumps(_document(configs, done), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        )
    return INTERRUPTED if interrupted else exit_code(worst(verdicts))


def _to_compare(configs: Sequence[tuple[Path, LoadedConfig]], plan: Sequence[Planned]) -> str:
    """How to compare them; empty if there is nothing to compare with."""
    if len(configs) != 2:
        return ""
    base, new = (next(one.directory.parent for one in plan if one.config == number) for number in (0, 1))
    names = [loaded.redact(loaded.config.name) for _, loaded in configs]
    if names[0] != names[1]:
        told = f"{names[0]} and {names[1]}"
        return f"they are called {told}, and runs of one name are compared; write the same name: in both"
    return f"to compare them: evload compare {base} {new}"


def _document(configs: Sequence[tuple[Path, LoadedConfig]], done: Sequence[tuple[Planned, Ended]]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "verdict": worst(ended.report.verdict for _, ended in done).value,
        "runs": [
            {
                "config": str(configs[turn.config][0]),
                "name": ended.report.name,
                "run_id": ended.report.run_id,
                "directory": str(ended.directory.path),
                "verdict": ended.report.verdict.value,
                "exit_code": ended.exit_code,
            }
            for turn, ended in done
        ],
    }
