"""`python -m evload.run.guardian_process DIRECTORY`: undoes what a run has promised to undo, if the run can't.

It is told by lines of JSON on its standard input: first all that it needs for that, with the values of variables,
then what is promised and what is undone. It says of each that it has it. When the lines end without a farewell, the
run is gone, or wants it to: what is outstanding then is undone, and the outcome stands in its journal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from ..clock import SystemClock
from ..config.secrets import Redactor
from ..engine.undoing import RETRIES
from ..errors import UsageError
from ..spi.activity import ActivitySettings
from ..spi.context import Surroundings
from ..units import NS_PER_S
from . import undo_journal
from .process_groups import Group
from .undo_journal import Key, UndoJournal
from .undo_left import BadStepError, Left, settings_of, undo_all
from .unfinished import Entry

WHO: Final = "its guardian"
_LOCK_EVERY_NS: Final = NS_PER_S // 10
_ENDING_NS: Final = NS_PER_S
"""For which processes that were ended are waited for: what is ended can still be at it for a moment."""
_LOCK_WITHIN_NS: Final = 600 * NS_PER_S
"""How long somebody else may be at it before that is left to them."""


class HeldSecret:
    """A secret with the value that the run had of it last."""

    def __init__(self, value: str) -> None:
        self.value = value

    def watch(self, changed: Callable[[], None]) -> None:
        """It doesn't change any more."""

    async def renewed(self, refused: str) -> bool:
        """Nobody renews it any more."""
        return False


class Guardian:
    """What a guardian knows. `hello` is the first that it is told; see `Guard._hello` in `guarding`."""

    def __init__(self, hello: Mapping[str, Any], clock: SystemClock) -> None:
        self._hello = hello
        self._clock = clock
        self._undos: Mapping[str, Sequence[ActivitySettings]] = {
            name: [settings_of(step) for step in steps] for name, steps in hello["undos"].items()
        }
        self._doing_ns: Mapping[str, int] = hello["doing_ns"]
        self._secrets: dict[str, str] = dict(hello["secrets"])
        self._promised: dict[Key, Mapping[str, Any]] = {}
        self._done_by_ns: dict[Key, int] = {}
        """When what is being done must be over."""
        self._groups: dict[Key, list[Group]] = {}
        """Of processes that do what is being done."""
        self._left_alone: set[Key] = set()
        """What its run has given up, after as many tries as we would make."""
        for promise in hello["promised"]:
            self.hear(promise)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Of something that is promised, done, undone or given up; and of the values of secrets."""
        self._secrets.update(message.get("secrets", {}))
        for what in ("promise", "began", "done", "kept", "given_up"):
            if what not in message:
                continue
            key = message[what], message["number"]
            if what == "promise":
                self._promised[key] = dict(message["values"])
                self._done_by_ns[key] = self._clock.now_ns() + self._doing_ns[key[0]]
            elif what == "began":
                self._groups.setdefault(key, []).append(Group(message["group"], message["born"]))
            elif what == "done":
                self._groups.pop(key, None)
                if key in self._promised:
                    self._promised[key] = {**self._promised[key], **message["values"]}
                self._done_by_ns.pop(key, None)
            elif what == "kept":
                self._groups.pop(key, None)
                self._promised.pop(key, None)
            elif not message["goes_on"]:
                self._left_alone.add(key)

    async def undo(self) -> None:
        """Do what is outstanding. What does it is ended first: it would go on behind its undo."""
        await self._end_what_is_under_way()
        path = Path(self._hello["directory"]) / undo_journal.NAME
        try:
            journal = await self._taken(path)
            if journal is None:
                return
            account = undo_journal.read(path)
        except (OSError, UsageError):
            # The directory is gone, or can't be read: what there is to undo we know by heart.
            await self._undo([self._left(key) for key in self._promised if key not in self._left_alone], None)
            return
        try:
            for promise in account.left:
                if promise.key not in self._promised:  # the run was gone before it could begin with it
                    _note(journal.kept, promise.key, WHO)
            keys = [one.key for one in account.left if one.key in self._promised and one.key not in self._left_alone]
            await self._undo([self._left(key) for key in keys], journal)
            # What nobody could read may have been a promise.
            if not undo_journal.read(path).left and not account.broken:
                self._remove_entry()
        finally:
            journal.close()

    async def _end_what_is_under_way(self) -> None:
        groups = [group for own in self._groups.values() for group in own if not group.is_another]
        for group in groups:
            group.end()
        until_ns = self._clock.now_ns() + _ENDING_NS
        while any(group.is_there for group in groups) and self._clock.now_ns() < until_ns:
            await self._clock.sleep_until_ns(self._clock.now_ns() + _ENDING_NS // 100)

    def _left(self, key: Key) -> Left:
        return Left(key, self._undos[key[0]], self._promised[key], self._done_by_ns.get(key))

    async def _taken(self, path: Path) -> UndoJournal | None:
        """The journal, once nobody else has it: its run lets go of it when it ends."""
        until_ns = self._clock.now_ns() + _LOCK_WITHIN_NS
        while self._clock.now_ns() < until_ns:
            if (journal := UndoJournal.take(path)) is not None:
                return journal
            await self._clock.sleep_until_ns(self._clock.now_ns() + _LOCK_EVERY_NS)
        return None

    async def _undo(self, left: Sequence[Left], journal: UndoJournal | None) -> None:
        redact = Redactor(self._hello["hide"])
        for name, value in self._secrets.items():
            redact.learn(f"{{secrets.{name}}}", value)

        def kept(one: Left) -> None:
            if journal is not None:
                _note(journal.kept, one.key, WHO)

        def failed(one: Left, pause_ns: int | None) -> None:
            if pause_ns is None and journal is not None:
                _note(journal.given_up, one.key, WHO, redact(one.reason))

        surroundings = Surroundings(
            self._clock,
            self._hello["run_id"],
            Path(self._hello["base_dir"]),
            secrets={name: HeldSecret(value) for name, value in self._secrets.items()},
        )
        await undo_all(left, surroundings, RETRIES, kept=kept, failed=failed)

    def _remove_entry(self) -> None:
        if self._hello["listed"] is not None:
            Entry(Path(self._hello["listed"]), Path(self._hello["directory"])).remove()


def _note(write: Callable[..., None], *what: Any) -> None:
    """Write into the journal what can be written: what can't stays promised there, and is done once more by whoever
    looks."""
    with suppress(OSError):
        write(*what)


def main() -> int:
    """Listen, and undo; the answer is the exit code. Its argument is for people who look at processes alone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    clock = SystemClock()
    guardian: Guardian | None = None
    for line in sys.stdin.buffer:
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            break  # who said it was killed in the middle of it
        if "farewell" in message:
            return 0
        try:
            if guardian is None:
                guardian = Guardian(message, clock)
            else:
                guardian.hear(message)
        except BadStepError as error:
            _say({"error": str(error)})
            return 1
        _say({"heard": True})
    if guardian is not None:
        asyncio.run(guardian.undo())
    return 0


def _say(message: Mapping[str, Any]) -> None:
    with suppress(BrokenPipeError):  # the run is gone: the lines end, too
        os.write(1, orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    sys.exit(main())
