"""Finds the runs that a command line names, and keeps their figures in files: what `evload compare` compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError

from .. import files
from ..config import yaml as yamlfile
from ..errors import ConfigError, OutputError, UsageError
from ..ledger.reader import LedgerReader
from ..report.build import build_again
from ..report.document import FORMAT as SUMMARY_FORMAT
from ..report.document import document
from ..run.directory import RunDirectory
from .figures import FiguresFile, RunFigures, started
from .journeys import digest, digests, scenarios_of_users, waits, with_steps

FORMAT: Final = 1
_READING: Final = (
    "deadline", "first", "resolution", "max_gap", "sample", "confirm", "reading", "max_reads", "max_requests",
)  # fmt: skip
"""The settings of a probe that say when events are read."""
_MOST_JSON: Final = 100_000_000
_HELP: Final = "name a run's directory, one that holds runs, or a file that --save wrote"


def find(argument: str, say: Callable[[str], None]) -> list[RunFigures]:
    """The runs that an argument names, in order of time, each once.

    A run's directory, a directory that holds runs, a file of figures, or several of them joined by commas. `say` gets
    a remark about each run in a directory that can't be read. Raises UsageError for what isn't there or is damaged.
    """
    parts = [argument] if Path(argument).exists() else argument.split(",")
    runs = {run.id: run for part in parts for run in _find(Path(part.strip()), say)}
    return sorted(runs.values(), key=started)


def read_file(path: Path) -> FiguresFile:
    """The runs in a file of figures. Raises UsageError if it isn't one."""
    stored = _json(path)
    if isinstance(stored, dict) and "runs" in stored and stored.get("format") != FORMAT:
        raise _format_error(path, stored, FORMAT)
    try:
        return FiguresFile.model_validate(stored)
    except ValidationError as error:
        raise UsageError(f"{path} isn't a file of figures: {_first(error)}; {_HELP}") from error


def save(path: Path, runs: Sequence[RunFigures]) -> int:
    """Write the runs' figures to a file, beside those that are there; returns how many it holds then.

    Raises UsageError if what is there is something else, OutputError if it can't be written.
    """
    before = read_file(path) if path.exists() else FiguresFile(format=FORMAT, runs=())
    after = before.with_runs(tuple(runs))
    content = orjson.dumps(after.entries(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        files.replace(path, content)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; choose another file with --save") from error
    return len(after.runs)


def _find(path: Path, say: Callable[[str], None]) -> list[RunFigures]:
    if not path.exists():
        raise UsageError(f"{path} isn't there; {_HELP}")
    if path.is_file():
        if path.name in (RunDirectory(path.parent).summary.name, RunDirectory(path.parent).ledger.name):
            return [_read(RunDirectory(path.parent))]
        return list(read_file(path).runs)
    if _is_run(path):
        return [_read(RunDirectory(path))]
    directories = sorted(inside for inside in path.iterdir() if inside.is_dir() and _is_run(inside))
    if not directories:
        raise UsageError(f"{path} isn't the directory of a run, and holds none; {_HELP}")
    runs = []
    for directory in directories:
        try:
            runs.append(_read(RunDirectory(directory)))
        except UsageError as error:
            say(f"left out: {error}")
    return runs


def _is_run(path: Path) -> bool:
    run = RunDirectory(path)
    return run.summary.is_file() or run.ledger.is_file()


def _read(run: RunDirectory) -> RunFigures:
    """From the summary; from the ledger where that is all there is, or where an older summary says too little."""
    stored = _json(run.summary) if run.summary.is_file() else {}
    if not isinstance(stored, dict) or stored.get("format") != SUMMARY_FORMAT:
        if not run.ledger.is_file():
            raise _format_error(run.summary, stored, SUMMARY_FORMAT)
        stored = _from_ledger(run)
    elif "span" not in stored and run.ledger.is_file():
        with suppress(UsageError):
            stored = {**_from_ledger(run), "verdict": stored.get("verdict")}
    try:
        config = _config(run)
        compare = config.get("compare")
        rules = {"compare": compare} if isinstance(compare, Mapping) else {}
        journeys = {"written": digests(config), "users": scenarios_of_users(config)}
        return RunFigures.model_validate({**with_steps(stored), "reading": _reading(config), **rules, **journeys})
    except ValidationError as error:
        raise UsageError(f"{run.summary} is damaged: {_first(error)}; use an undamaged copy") from error


def _from_ledger(run: RunDirectory) -> dict[str, Any]:
    """What its summary would say."""
    with LedgerReader(run.ledger) as ledger:
        return document(build_again(ledger, run.path))


def _config(run: RunDirectory) -> Mapping[str, Any]:
    """The config as it was run; empty where it can't be read."""
    text = run.config_text()
    try:
        config = yamlfile.document(yamlfile.parse(text, run.config.name), str)[0].data
    except ConfigError:
        return {}
    return config if isinstance(config, dict) else {}


def _reading(config: Mapping[str, Any]) -> str:
    """A digest of when the config has the read model read: the probes' grids, the deadlines of steps that wait, and
    the pins at the objectives."""
    if not config:
        return ""
    probes = config.get("probes")
    grids = {
        name: {key: settings[key] for key in _READING if key in settings}
        for name, settings in (probes if isinstance(probes, Mapping) else {}).items()
        if isinstance(settings, Mapping)
    }
    waiting = waits(config)
    return digest([grids, config.get("slos"), *([waiting] if waiting else ())])


def _json(path: Path) -> Any:
    try:
        return orjson.loads(files.read(path, _MOST_JSON))
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}; {_HELP}") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is damaged: {error}; use an undamaged copy") from error


def _format_error(path: Path, stored: Any, reads: int) -> UsageError:
    found = stored.get("format") if isinstance(stored, dict) else None
    return UsageError(
        f"{path} has format {found!r}, and this version of evload reads {reads}; use the version that wrote it"
    )


def _first(error: ValidationError) -> str:
    """Where the first problem is, and what."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
