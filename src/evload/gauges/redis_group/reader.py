"""Asks Redis how a consumer group stands: XINFO GROUPS, XPENDING and XLEN, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from ...clients.databases import shown_address
from ...clients.redis import explain, one_line, usable
from ...clients.redis_answers import Nonsense
from ...clients.redis_connection import ConnectionLost, Connector, RedisAsker
from ...clients.redis_replies import ErrorReply, Reply, command, fields_of, first_error
from ...errors import TargetError
from ...spi.context import Surroundings
from ...spi.gauge import Sample
from .settings import RedisGroupSettings

_MS: Final = 1000
_NO_KEY: Final = "no such key"
_NO_GROUP: Final = "NOGROUP"


class _NotThere(Exception):
    """The group can't be looked at; the text is why, `cure` what to do about it before a run."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


class _Refused(Exception):
    """Redis's own words."""


class _Found(NamedTuple):
    values: Mapping[str, float]
    absent: tuple[str, ...]


class GroupReader:
    """The gauge. It connects when it has to, so a Redis that comes back is looked at again."""

    def __init__(self, config: RedisGroupSettings, surroundings: Surroundings) -> None:
        from redis.exceptions import RedisError

        self._config = config
        self._connector = Connector(config, surroundings, config.timeout)
        self._errors = (RedisError, OSError, ConnectionLost, Nonsense, _Refused)
        self._asker: RedisAsker | None = None
        stream, group = config.stream, config.group
        self._asked = [
            command("XINFO", "GROUPS", stream),
            command("XPENDING", stream, group, "-", "+", 1),
            command("XLEN", stream),
        ]

    async def sample(self) -> Sample:
        """The values now. A lag that Redis can't tell is absent."""
        try:
            found = await self.look()
        except (_NotThere, TargetError) as error:
            return Sample({}, one_line(str(error)))
        return Sample(found.values, absent=found.absent)

    async def look(self) -> _Found:
        """The values. Raises TargetError, or _NotThere."""
        config = self._config
        try:
            if self._asker is None or self._asker.is_over:
                self._asker = await RedisAsker.open(self._connector)
            return self._found(await self._replies(self._asker))
        except self._errors as error:
            if isinstance(error, ConnectionLost):
                raise _NotThere(f"connection lost: {error}", "look after Redis") from None
            raise _NotThere(*explain(error, config.timeout)) from None

    def close(self) -> None:
        """Hang up."""
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.close()

    async def _replies(self, asker: RedisAsker) -> list[Reply]:
        replies = [*(await asker.ask_at_once(self._asked, self._config.timeout)).replies]
        error = first_error(replies)
        if error is None:
            return replies
        raise self._not_there(error, replies[0])

    def _not_there(self, error: ErrorReply, groups: Reply) -> Exception:
        stream, group = self._config.stream, self._config.group
        if _NO_KEY in error.text:
            cure = f"create it, with its group: XGROUP CREATE {stream} {group} $ MKSTREAM; or correct stream"
            return _NotThere(f"there is no stream {stream!r}", cure)
        if error.text.startswith(_NO_GROUP):
            known = [name for name in map(_name_of, groups) if name] if isinstance(groups, list) else []
            has = f"it has {', '.join(known)}" if known else "it has none"
            return _NotThere(f"stream {stream!r} has no group {group!r}: {has}", "create it, or correct group")
        if error.text.startswith("WRONGTYPE"):
            return _NotThere(f"{stream!r} is no stream", "correct stream")
        return _Refused(error.text)

    def _found(self, replies: list[Reply]) -> _Found:
        groups, oldest, length = replies
        if not isinstance(groups, list):
            raise Nonsense("XINFO wasn't answered as Redis does")
        ours = next((one for one in map(_group, groups) if one.get(b"name") == self._config.group.encode()), None)
        if ours is None:
            raise Nonsense("XINFO wasn't answered as Redis does")
        values: dict[str, float] = {
            "pending": _count(ours.get(b"pending"), "XINFO"),
            "idle": _idle_s(oldest),
            "consumers": _count(ours.get(b"consumers"), "XINFO"),
            "length": _count(length, "XLEN"),
        }
        lag = ours.get(b"lag")
        if lag is None:
            return _Found(values, ("queue_depth",))
        return _Found({"queue_depth": _count(lag, "XINFO"), **values}, ())


def _group(reply: Reply) -> dict[bytes, Reply]:
    return fields_of(reply, "XINFO")


def _name_of(reply: Reply) -> str:
    name = _group(reply).get(b"name")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else ""


def _idle_s(reply: Reply) -> float:
    """Of the oldest entry that is pending, in seconds; nothing is pending: 0. Raises Nonsense."""
    if reply == []:
        return 0.0
    try:
        ((_, _, idle_ms, _),) = reply
    except (TypeError, ValueError):
        raise Nonsense("XPENDING wasn't answered as Redis does") from None
    return _count(idle_ms, "XPENDING") / _MS


def _count(reply: Reply, asked: str) -> int:
    """Raises Nonsense."""
    if not isinstance(reply, int) or reply < 0:
        raise Nonsense(f"{asked} wasn't answered as Redis does")
    return reply


@asynccontextmanager
async def open_reader(config: RedisGroupSettings, surroundings: Surroundings) -> AsyncIterator[GroupReader]:
    """Look once, yield the gauge, hang up. Raises TargetError."""
    where = shown_address(config.url)
    with usable(config.url):
        reader = GroupReader(config, surroundings)
    try:
        try:
            await reader.look()
        except _NotThere as error:
            raise TargetError(f"can't look at group {config.group!r} of {where}: {error}; {error.cure}") from None
        yield reader
    finally:
        reader.close()
