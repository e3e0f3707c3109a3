"""Guarantees a run's undo: it is written down before anything is done, and a guardian does it if the run can't."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from ..clock import Clock, rfc3339
from ..engine.undoing import NO_VALUES, RETRIES
from ..errors import OutputError, TargetError
from ..spi.activity import Values
from ..units import NS_PER_S
from . import undo_journal
from .guardian import Guardian, GuardianGoneError
from .process_groups import Group
from .undo_journal import Head, Key, Promise, Step, UndoJournal
from .unfinished import Entry, StillOn

_WHO: Final = "evload"
_MOST_RESTARTS: Final = 5
"""Guardians that take the place of one that was ended, unless something new is to be done."""
_FIRST_TRY_S: Final = 1.0
_WAIT_S: Final = RETRIES.altogether_ns / NS_PER_S + 30


@dataclass(frozen=True, slots=True)
class Undoable:
    """The undo of one action.

    written, unquoted  its steps as they may be written down, and where in them variables stood without quotes
    resolved           the same with all values
    doing_ns           how long its `do` may take
    """

    written: Sequence[Step]
    resolved: Sequence[Step]
    doing_ns: int
    unquoted: Sequence[Sequence[str | int]] = ()


@dataclass(frozen=True, slots=True)
class Guarded:
    """All that a run has to undo.

    undos  by the name of the action
    hide   values that are shown nowhere, by what stands in their place
    """

    undos: Mapping[str, Undoable]
    head: Head
    hide: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Outstanding:
    values: dict[str, Any]
    doing: bool = True
    groups: list[Group] = field(default_factory=list)
    given_up: str | None = None
    goes_on: bool = False


class Guard:
    """Keeps the promises of one run; an `Undoing`. Actions of which nothing can outlive the run need no guard.

    `journal` is the open journal in `directory`. `listed` is where unfinished runs are listed; None: nowhere. `keep`
    is called before anything is done. `say` gets remarks for a person. `clock` gives the journal its times.
    """

    def __init__(
        self,
        guarded: Guarded,
        journal: UndoJournal,
        directory: Path,
        *,
        listed: Path | None,
        clock: Clock,
        keep: Callable[[], None],
        say: Callable[[str], None],
        redact: Callable[[str], str] = str,
    ) -> None:
        self._guarded = guarded
        self._journal = journal
        self._directory = Path(os.path.abspath(directory))
        self._path = self._directory / undo_journal.NAME
        self._listed = listed
        self._entry = None if listed is None else Entry(listed, directory)
        self._clock = clock
        self._keep = keep
        self._say = say
        self._redact = redact
        self._secrets: dict[str, str] = {}
        self._outstanding: dict[Key, _Outstanding] = {}
        self._guardian: Guardian | None = None
        self._restarts = 0
        self._closing = False
        self._lock = threading.RLock()
        self.left: Sequence[StillOn] = ()
        """What isn't undone, once it is closed."""
        self.troubles: list[str] = []
        """What could not be written of what was undone, in lines for people."""

    async def start(self) -> None:
        """Have a guardian. Raises TargetError."""
        try:
            await self._apart(self._replace_guardian)
        except GuardianGoneError as gone:
            raise TargetError(
                f"there is no guardian for what has to be undone: {gone}; nothing was done to any system"
            ) from None

    def learn(self, shown: str, value: str) -> None:
        """A secret has another value: from now on it is that which an undo needs."""
        name = shown.removeprefix("{secrets.").removesuffix("}")
        if name != shown:
            self._secrets = {**self._secrets, name: value}
            if self._outstanding:
                threading.Thread(target=self._tell_secrets, daemon=True).start()

    async def promise(self, action: str, number: int, values: Values = NO_VALUES) -> None:
        if action not in self._guarded.undos:
            return
        try:
            await self._apart(self._promise, (action, number), dict(values))
        except asyncio.CancelledError:
            if (action, number) in self._outstanding:
                await self._apart(self._withdraw, (action, number))
            raise

    async def began(self, action: str, group: int) -> None:
        await self._apart(self._began, action, group)

    async def done(self, action: str, number: int, values: Values = NO_VALUES) -> None:
        await self._apart(self._done, (action, number), dict(values))

    async def kept(self, action: str, number: int) -> None:
        await self._apart(self._kept, (action, number))

    async def given_up(self, action: str, number: int, reason: str, *, goes_on: bool = False) -> None:
        await self._apart(self._given_up, (action, number), self._redact(reason), goes_on)

    async def close(self) -> None:
        """The run is over. Then `left` is what was given up, and what the guardian could not undo in our place."""
        self.left = await self._apart(self._close)

    # --- what blocks, each in a thread, one at a time ------------------------------------------------------------

    def _promise(self, key: Key, values: dict[str, Any]) -> None:
        action, number = key
        undo = self._guarded.undos[action]
        at = rfc3339(self._clock.wall(self._clock.now_ns()))
        promise = Promise(action, number, undo.written, undo.unquoted, *self._shown(values), at=at)
        with self._lock:
            self._list()
            try:
                self._journal.promise(promise)
            except OSError as error:
                self._unlist()
                raise OutputError(
                    f"can't write {self._path}: {error.strerror}; {action} isn't done, since nobody could undo it"
                ) from error
            self._keep()
            self._outstanding[key] = _Outstanding(values)
            try:
                self._tell({"promise": action, "number": number, "values": values, "secrets": self._secrets})
            except GuardianGoneError as gone:
                self._withdraw(key)
                raise OutputError(
                    f"there is no guardian to undo it ({gone}): {action} isn't done; see what ends processes here"
                ) from None

    def _withdraw(self, key: Key) -> None:
        """Nothing was done after all."""
        self._kept(key)

    def _began(self, action: str, number: int) -> None:
        with self._lock:
            found = (key for key, one in self._outstanding.items() if key[0] == action and one.doing)
            if (key := next(found, None)) is None:
                return
            group = Group.of(number)
            self._outstanding[key].groups.append(group)
            with suppress(OSError):  # the guardian knows, and does it at once
                self._journal.began(key, group)
            self._try_to_tell(_told(key, group))

    def _done(self, key: Key, values: dict[str, Any]) -> None:
        with self._lock:
            if (one := self._outstanding.get(key)) is None:
                return
            one.doing = False
            one.groups.clear()
            one.values |= values
            with suppress(OSError):  # a guardian knows, and for all others time has passed
                self._journal.done(key, *self._shown(values))
            self._try_to_tell({"done": key[0], "number": key[1], "values": values, "secrets": self._secrets})

    def _kept(self, key: Key) -> None:
        with self._lock:
            if self._outstanding.pop(key, None) is None:
                return
            try:
                self._journal.kept(key, _WHO)
            except OSError as error:
                self.troubles.append(f"can't write {self._path}: {error.strerror}; {key[0]} is undone all the same")
            self._try_to_tell({"kept": key[0], "number": key[1]})
            self._unlist()

    def _given_up(self, key: Key, reason: str, goes_on: bool) -> None:
        with self._lock:
            if (one := self._outstanding.get(key)) is None:
                return
            one.given_up, one.goes_on = reason, goes_on
            with suppress(OSError):
                self._journal.given_up(key, _WHO, reason)
            self._try_to_tell({"given_up": key[0], "number": key[1], "goes_on": goes_on})

    def _tell_secrets(self) -> None:
        with self._lock:
            if self._outstanding and not self._closing:
                self._try_to_tell({"secrets": self._secrets})

    def _close(self) -> list[StillOn]:
        with self._lock:
            self._closing = True
            guardian, self._guardian = self._guardian, None
            self._journal.close()  # from here on it is the guardian's
            if all(one.given_up is not None and not one.goes_on for one in self._outstanding.values()):
                if guardian is not None:
                    guardian.farewell()
                return self._left(tried_on=False)
        if guardian is None:
            return self._left(tried_on=False)
        whole = any(one.given_up is None for one in self._outstanding.values())
        if whole and guardian.wait(0):
            # It was killed just now, and we are the last who can have another one.
            with suppress(GuardianGoneError):
                guardian = Guardian(self._hello())
        guardian.release()
        # What nobody has tried to the end: whoever asks wants to know what becomes of it. Where a person is in a
        # hurry the guardian's first try is as long as we wait.
        guardian.wait(_WAIT_S if whole else _FIRST_TRY_S)
        return self._left(tried_on=not guardian.wait(0))

    def _left(self, *, tried_on: bool) -> list[StillOn]:
        """What isn't undone now, the newest first."""
        if not self._outstanding:
            return []
        reasons: dict[Key, str] = {key: one.given_up or "" for key, one in self._outstanding.items()}
        with suppress(OSError):
            account = undo_journal.read(self._path)
            reasons = {promise.key: promise.reason for promise in account.left}
        return [
            StillOn(key[0], reasons[key], tried_on and (one.goes_on or one.given_up is None))
            for key, one in reversed(self._outstanding.items())
            if key in reasons
        ]

    def _shown(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Values as they may be written down, and the names of those that may not: they hold a secret."""
        texts = {name: orjson.dumps(value, default=str).decode() for name, value in values.items()}
        withheld = [name for name, text in texts.items() if self._redact(text) != text]
        return {name: value for name, value in values.items() if name not in withheld}, withheld

    # --- the guardian --------------------------------------------------------------------------------------------

    def _tell(self, message: Mapping[str, Any]) -> None:
        """Let the guardian know. Raises GuardianGoneError if there is none, and none to be had."""
        if self._guardian is not None:
            try:
                self._guardian.tell(message)
                return
            except GuardianGoneError:
                self._guardian = None
        self._replace_guardian()  # it is told all of it as it begins

    def _try_to_tell(self, message: Mapping[str, Any]) -> None:
        with suppress(GuardianGoneError):
            self._tell(message)

    def _replace_guardian(self) -> None:
        with self._lock:
            self._guardian = guardian = Guardian(self._hello())
        # A thread that waits costs nothing, and knows at once.
        threading.Thread(target=self._watch, args=(guardian,), daemon=True).start()

    def _watch(self, guardian: Guardian) -> None:
        """Where a guardian is ended while there is something to undo another one takes its place."""
        guardian.wait()
        with self._lock:
            if self._closing or self._guardian is not guardian:
                return
            self._guardian = None
            if not self._outstanding:
                return  # the next promise has another one
            self._restarts += 1
            try:
                if self._restarts > _MOST_RESTARTS:
                    raise GuardianGoneError("it was ended again and again")
                self._replace_guardian()
            except GuardianGoneError as gone:
                self._say(
                    f"there is no guardian any more for what has to be undone ({gone}); this run undoes it at its "
                    f"time, and if it can't: evload undo {self._directory}"
                )

    def _hello(self) -> Mapping[str, Any]:
        guarded = self._guarded
        promised: list[Mapping[str, Any]] = []
        for (action, number), one in self._outstanding.items():
            about = {"number": number, "values": one.values}
            promised.append({"promise": action, **about})
            promised += [_told((action, number), group) for group in one.groups]
            if not one.doing:
                promised.append({"done": action, **about})
            if one.given_up is not None:
                promised.append({"given_up": action, "number": number, "goes_on": one.goes_on})
        return {
            "directory": str(self._directory),
            "listed": None if self._listed is None else str(self._listed),
            "run_id": guarded.head.run_id,
            "base_dir": guarded.head.base_dir,
            "undos": {name: list(undo.resolved) for name, undo in guarded.undos.items()},
            "doing_ns": {name: undo.doing_ns for name, undo in guarded.undos.items()},
            "hide": dict(guarded.hide),
            "secrets": self._secrets,
            "promised": promised,
        }

    # --- the list of unfinished runs -----------------------------------------------------------------------------

    def _list(self) -> None:
        if self._entry is None or self._outstanding:
            return
        try:
            self._entry.write({name: undo.written for name, undo in self._guarded.undos.items()})
        except OSError as error:
            self._say(
                f"can't write {self._entry.path}: {error.strerror}; should this run not come to its end, others that "
                "begin elsewhere won't know"
            )
            self._entry = None

    def _unlist(self) -> None:
        if self._entry is not None and not self._outstanding:
            self._entry.remove()

    async def _apart(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do it in a thread, to its end, also where whoever waits for it is cancelled."""
        task = asyncio.ensure_future(asyncio.to_thread(work, *args))
        cancelled = False
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                cancelled = True
            except BaseException:
                break
        if cancelled:
            with suppress(BaseException):
                task.result()
            raise asyncio.CancelledError
        return task.result()


def _told(key: Key, group: Group) -> Mapping[str, Any]:
    """What a guardian is told of a group of processes."""
    return {"began": key[0], "number": key[1], "group": group.number, "born": group.born}
