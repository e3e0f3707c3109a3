"""Does what a config has done to the system after the run: its clean-up, which can be taken up again.

How far it is stands in `cleanup.jsonl` in the directory of the run: first what placeholders stand for, then what is
done. What could not be done is tried again by `evload cleanup`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from .. import files
from ..config.run_config import Step
from ..engine.performing import Bounded
from ..errors import OutputError, TargetError, UsageError
from ..ledger.reader import LedgerReader
from ..model.correlation import CorrelationIds
from ..model.states import State
from ..spi.activity import Activity, Outcome
from ..spi.context import Surroundings

_AT_ONCE: Final = 10
"""Events that are cleaned up side by side."""
_NOTED: Final = 100
"""Events between two notes of how far it is."""
_MOST_LEFT: Final = 100_000
"""Events that could not be cleaned up, by their numbers. If there are more, all are tried again."""
_LONGEST: Final = 100_000_000


@dataclass(slots=True)
class Progress:
    """How far a clean-up is.

    values  what placeholders stand for
    base_dir  where relative paths of the config start
    done    the numbers of the steps that are done
    upto    of a step that is done for each event: the last event that it was tried for
    left    of such a step: events for which it could not be done
    """

    values: dict[str, Any] = field(default_factory=dict)
    base_dir: Path = Path()
    done: set[int] = field(default_factory=set)
    upto: dict[int, int] = field(default_factory=dict)
    left: dict[int, list[int]] = field(default_factory=dict)


class Journal:
    """The file in which a clean-up notes how far it is. Raises OutputError where it can't be written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @staticmethod
    def head(values: Mapping[str, Any], base_dir: Path) -> bytes:
        """How it begins: with what placeholders stand for, and where relative paths of the config start."""
        return _line({"values": dict(values), "base_dir": os.path.abspath(base_dir)})

    def note(self, what: Mapping[str, Any]) -> None:
        """Add a line."""
        try:
            with open(self._path, "ab") as out:
                out.write(_line(what))
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise OutputError(f"can't write {self._path}: {error.strerror}; clean-up ends here") from error

    def read(self) -> Progress:
        """How far it is. A last line that is torn says nothing. Raises UsageError for what no run has written."""
        progress = Progress()
        try:
            lines = files.read(self._path, _LONGEST, links=False).splitlines()
        except OSError as error:
            raise UsageError(f"{self._path} can't be read: {error.strerror}; there is nothing to clean up") from error
        for number, line in enumerate(lines):
            try:
                _take(progress, orjson.loads(line))
            except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as error:
                if number and number == len(lines) - 1:
                    break
                raise UsageError(f"{self._path}:{number + 1} is damaged; clean up by hand") from error
        return progress


async def clean_up_early(steps: Sequence[Step], surroundings: Surroundings, values: Mapping[str, Any]) -> list[str]:
    """Do the steps that aren't about events, once, after a run that never began; of the others there is none.

    Returns what could not be done, in lines for people.
    """
    troubles = []
    for number, step in enumerate(steps):
        if not step.each and (trouble := await _tried(step, surroundings, partial(_once, values=dict(values)))):
            troubles.append(_told(number, steps, trouble))
    return troubles


def _take(progress: Progress, line: Mapping[str, Any]) -> None:
    if "values" in line:
        progress.values = dict(line["values"])
        progress.base_dir = Path(line["base_dir"])
        return
    step = int(line["step"])
    if line.get("done"):
        progress.done.add(step)
    if "upto" in line:
        progress.upto[step] = int(line["upto"])
    if "left" in line:
        progress.left[step] = [int(seq) for seq in line["left"]]


def _line(what: Mapping[str, Any]) -> bytes:
    return orjson.dumps(what, default=str, option=orjson.OPT_APPEND_NEWLINE)


async def clean_up(
    steps: Sequence[Step], surroundings: Surroundings, ledger: Path | None, journal: Journal
) -> list[str]:
    """Do the steps that aren't done yet, each of them whatever became of the others.

    `ledger` is that of the run; None: it isn't whole, so nobody knows its events. Returns what could not be done, in
    lines for people. Raises OutputError if nobody could tell later how far it came.
    """
    progress, troubles = journal.read(), []
    for number, step in enumerate(steps):
        if number in progress.done:
            continue
        once = partial(_once, values=progress.values)
        each = partial(
            _for_each, number=number, ids=surroundings.ids, ledger=ledger, progress=progress, journal=journal
        )
        if trouble := await _tried(step, surroundings, each if step.each else once):
            troubles.append(_told(number, steps, trouble))
        else:
            journal.note({"step": number, "done": True})
    return troubles


def _told(number: int, steps: Sequence[Step], trouble: str) -> str:
    return f"clean-up, step {number + 1} of {len(steps)}: {trouble}"


async def _tried(step: Step, surroundings: Surroundings, do: Callable[[Activity], Awaitable[str]]) -> str:
    """Open what a step does, and do it. Returns why it isn't done; empty if it is."""
    try:
        async with step.settings.open(surroundings) as activity:
            return await do(Bounded.of(activity, step.settings))
    except TargetError as error:
        return str(error)


async def _once(activity: Activity, values: dict[str, Any]) -> str:
    outcome = await activity.perform(values)
    values.update(outcome.captured)
    return "" if outcome.gone else outcome.error


async def _for_each(
    activity: Activity, number: int, ids: CorrelationIds, ledger: Path | None, progress: Progress, journal: Journal
) -> str:
    """Do one step for each acked event, those first for which it could not be done before."""
    if ledger is None:
        return "the ledger isn't whole, so nobody knows the events"
    again, left, example, tried = progress.left.get(number, []), [], "", 0
    upto = progress.upto.get(number, -1)
    with LedgerReader(ledger) as reader:
        events = _acked(reader, ids, upto, again)
        while batch := list(islice(events, _AT_ONCE)):
            outcomes: list[Outcome] = await asyncio.gather(
                *(activity.perform({**progress.values, **values}) for _, values in batch)
            )
            for (seq, _), outcome in zip(batch, outcomes, strict=True):
                upto = max(upto, seq)
                if outcome.error and not outcome.gone:
                    left.append(seq)
                    example = example or outcome.error
            tried += len(batch)
            if tried // _NOTED != (tried - len(batch)) // _NOTED:
                journal.note({"step": number, "upto": upto, "left": left[:_MOST_LEFT]})
    if not left:
        return ""
    many = len(left) > _MOST_LEFT
    journal.note({"step": number, "upto": -1 if many else upto, "left": [] if many else left})
    return f"{len(left):,} of {tried:,} events are left: {example}"


def _acked(
    reader: LedgerReader, ids: CorrelationIds, after: int, again: Sequence[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The acked events with what placeholders stand for: some once more, and those with a higher number."""
    plans, names = reader.meta["plan"], reader.meta["events"]
    captures = "capture" if "capture" in reader.columns else "NULL"
    query = (
        f"SELECT seq, scenario, type, key, {captures} FROM events WHERE state >= {State.VISIBLE.value} "
        "AND (seq > ? OR seq IN (SELECT value FROM json_each(?))) ORDER BY seq"
    )
    for seq, scenario, event, key, capture in reader.rows(query, (after, orjson.dumps(again).decode())):
        yield (
            seq,
            {
                "correlation_id": ids.id_of(seq),
                "captured": "" if capture is None else capture,
                "key": "" if key is None else key,
                "event": names[event],
                "scenario": plans[scenario]["name"],
            },
        )
