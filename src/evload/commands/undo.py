"""Undoes what a run has left: `evload undo`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ..clients.credentials.opening import OpenSecrets, in_turn, open_one
from ..clients.credentials.settings import SecretSettings
from ..clock import Clock, SystemClock
from ..config.environment import Environment
from ..config.secrets import Redactor
from ..config.yaml import substituted
from ..engine.undoing import Retries
from ..errors import EvloadError, NotUndoneError, UsageError
from ..run import directory as directories
from ..run import undo_journal
from ..run.directory import RunDirectory
from ..run.undo_journal import Account, Key, Promise, UndoJournal
from ..run.undo_left import BadStepError, Left, settings_of, undo_all
from ..run.unfinished import Entry, StillOn, last_line
from ..spi.context import Surroundings
from ..spi.secrets import names_in
from ..units import NS_PER_S, format_duration

WHO: Final = "evload undo"
RETRIES: Final = Retries(altogether_ns=10 * NS_PER_S)
"""A person waits, and can say it again."""
_LOCK_EVERY_NS: Final = NS_PER_S // 5
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def run(
    directory: Path,
    *,
    environ: Mapping[str, str],
    listed: Path | None,
    say: Callable[[str], None],
    retries: Retries = RETRIES,
    by_hand: Sequence[str] = (),
) -> None:
    """Undo what the run in a directory has left, and say what was done. `by_hand` names what a person has undone.

    Raises UsageError where there is nothing of the kind, NotUndoneError if something is left.
    """
    path = RunDirectory(directory).undo
    if not path.exists() and (directory / "events.sqlite").exists():
        say(f"nothing is left to undo: the run in {directory} did nothing that has an undo")
        return
    try:
        if directories.goes_on(directory):
            raise UsageError(f"the run in {directory} still goes on, and undoes it itself; stop it with Ctrl-C")
        undone = asyncio.run(_run(directory, path, environ, say, retries, by_hand))
    except OSError as error:
        raise UsageError(
            f"{path} can't be had: {error.strerror}; name the directory of a run that did something to a system"
        ) from error
    except KeyboardInterrupt:
        left = [StillOn(promise.action, promise.reason) for promise in reversed(_account(path).left)]
        raise NotUndoneError(last_line(left, directory) or "interrupted; all of it is undone") from None
    if listed is not None and not undone:
        Entry(listed, directory).remove()
    if undone:
        raise NotUndoneError(undone)


async def _run(
    directory: Path,
    path: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    retries: Retries,
    by_hand: Sequence[str],
) -> str:
    """What is left then, for people; empty if nothing is."""
    clock = SystemClock()
    journal = await _taken(path, clock, say)
    undone: set[Key] = set()
    try:
        account = _by_hand(_account(path), by_hand, journal, say)
        if account.left:
            _end_what_is_under_way(account, say)
            await _undo(account, journal, clock, environ, say, retries, undone)
        elif not account.broken and not by_hand:
            say(f"nothing is left to undo in {directory}")
    finally:
        journal.close()
        clock.close()
    # What is undone is, also where that could not be written down.
    left = [StillOn(one.action, one.reason) for one in reversed(_account(path).left) if one.key not in undone]
    lines = [f"line {number} of {path} can't be read; look into it, and remove it" for number in account.broken]
    return "\n".join([*lines, last_line(left, directory)]).strip()


def _end_what_is_under_way(account: Account, say: Callable[[str], None]) -> None:
    """End the commands that nobody has ended who could: they would go on behind their undo."""
    for promise in account.left:
        for group in promise.groups:
            if group.is_known:  # it may have been years, and others have that number
                group.end()
                say(f"ended: what {promise.action} had begun to do and was still at (process {group.number})")


def _account(path: Path) -> Account:
    return undo_journal.read(path)


def _by_hand(account: Account, names: Sequence[str], journal: UndoJournal, say: Callable[[str], None]) -> Account:
    """What is left but for what a person says is undone."""
    for name in names:
        if name not in account.names:
            known = ", ".join(account.names) or "nothing"
            raise UsageError(f"--by-hand {name}: nothing of that name is left; what is: {known}")
    for promise in account.left:
        if promise.action in names:
            journal.kept(promise.key, "a person")
            say(f"undone by hand: {promise.action}")
    return replace(account, left=[promise for promise in account.left if promise.action not in names])


async def _taken(path: Path, clock: Clock, say: Callable[[str], None]) -> UndoJournal:
    said = False
    while (journal := UndoJournal.take(path)) is None:
        if not said:
            say("somebody else is undoing it, the guardian of the run or another person: waiting for their end")
            said = True
        await clock.sleep_until_ns(clock.now_ns() + _LOCK_EVERY_NS)
    return journal


@dataclass
class _Resolved:
    """What is left, as far as all is known that it needs; and why the others can't be undone."""

    left: list[Left] = field(default_factory=list)
    titles: dict[Key, str] = field(default_factory=dict)
    missing: dict[Key, list[str]] = field(default_factory=dict)


async def _undo(
    account: Account,
    journal: UndoJournal,
    clock: Clock,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    retries: Retries,
    undone: set[Key],
) -> None:
    """Undo what a journal has left; `undone` gets what is."""
    environment = Environment(environ, account.head.params)
    secrets = OpenSecrets()
    async with AsyncExitStack() as stack:
        values: dict[str, str] = {}
        settings, refused = _secrets(account, environment)
        base_dir = Path(account.head.base_dir)
        for name in in_turn(settings):
            try:
                await open_one(name, settings[name], secrets, stack, clock, base_dir, values.__setitem__)
            except EvloadError as error:
                refused[name] = [str(error)]
        found = _resolved(account, environment, refused)
        redact = Redactor({**environment.given})
        for shown, value in values.items():
            redact.learn(shown, value)
        for key, why in found.missing.items():
            _note(lambda key=key, why=why: journal.given_up(key, WHO, redact("; ".join(why))), say)  # type: ignore[misc]
            say(f"{key[0]} can't be undone: {redact('; '.join(why))}")
        tried: set[Key] = set()

        def kept(one: Left) -> None:
            undone.add(one.key)
            _note(lambda: journal.kept(one.key, WHO), say)
            say(f"undone: {one.key[0]} ({redact(found.titles[one.key])})")

        def failed(one: Left, pause_ns: int | None) -> None:
            if pause_ns is None:
                _note(lambda: journal.given_up(one.key, WHO, redact(one.reason)), say)
            elif one.key not in tried:
                tried.add(one.key)
                longest = format_duration(retries.altogether_ns)
                say(f"{one.key[0]}: {redact(one.reason)}; trying again for {longest} (Ctrl-C leaves it)")

        surroundings = Surroundings(clock, account.head.run_id, base_dir, secrets=secrets)
        await undo_all(found.left, surroundings, retries, kept=kept, failed=failed)


def _note(note: Callable[[], None], say: Callable[[str], None]) -> None:
    try:
        note()
    except OSError as error:
        say(f"can't write down what became of it: {error.strerror}; the next one undoes it once more")


def _secrets(account: Account, environment: Environment) -> tuple[dict[str, SecretSettings], dict[str, list[str]]]:
    """The settings of the secrets, and why those of some can't be had."""
    settings: dict[str, SecretSettings] = {}
    refused: dict[str, list[str]] = {}
    for name, written in account.head.secrets.items():
        known, missing = _substituted(written, (), environment)
        try:
            if not missing:
                settings[name] = SecretSettings.model_validate(known)
        except ValidationError as error:
            missing = [str(one["msg"]) for one in error.errors(include_url=False, include_input=False)]
        if missing:
            refused[name] = missing
    return settings, refused


def _resolved(account: Account, environment: Environment, refused: Mapping[str, Sequence[str]]) -> _Resolved:
    found = _Resolved()
    for promise in account.left:
        steps, missing = _substituted(list(promise.undo), {tuple(each) for each in promise.unquoted}, environment)
        for name in names_in([dict(step) for step in promise.undo]):
            missing += [f"secret {name}: {why}" for why in refused.get(name, ())]
        missing += [f"the run had {name!r}, a secret that isn't written down" for name in _withheld(promise)]
        if not missing:
            try:
                settings = [settings_of(step) for step in steps]
                found.left.append(Left(promise.key, settings, promise.values))
                found.titles[promise.key] = "; ".join(one.title for one in settings)
                continue
            except BadStepError as error:
                missing = [str(error)]
        found.missing[promise.key] = list(dict.fromkeys(missing))
    return found


def _withheld(promise: Promise) -> list[str]:
    """Names of values that an undo needs and nobody has written down."""
    text = str(promise.undo)
    return [name for name in promise.withheld if f"{{{name}}}" in text]


def _substituted(written: Any, unquoted: Any, environment: Environment) -> tuple[Any, list[str]]:
    """With the values of all variables, and what is missing for that."""
    missing: list[str] = []

    def substitute(text: str) -> str:
        try:
            return environment.substitute(text)
        except ValueError as error:
            names = [name for name in _VARIABLE.findall(text) if not environment.has(name)]
            missing.extend(f"environment variable {name} isn't set" for name in names)
            missing.extend([] if names else [str(error)])
            return text

    data = substituted(written, unquoted, substitute)
    return data, list(dict.fromkeys(missing))
