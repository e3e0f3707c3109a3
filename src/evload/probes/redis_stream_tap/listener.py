"""Follows a Redis stream by waiting at its end, and knows when it was cut off or when entries went past it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from ...clients.databases import Refusal, shown_address
from ...clients.redis import explain, usable
from ...clients.redis_answers import Nonsense
from ...clients.redis_connection import Answer, ConnectionLost, Connector, RedisAsker
from ...clients.redis_replies import ErrorReply, Reply, command
from ...errors import TargetError
from ...model.travel import ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import BackOff, Cuts, Inbox, Tell, nothing_of
from ...units import NS_PER_S, format_duration
from .entries import NO_STREAM, Entry, EntryReader, Id, Standing, entries_in, standing_in, text_of
from .settings import RedisStreamTapSettings

_PORTION: Final = 1000
"""Most entries in one answer; fewer, once an answer was longer than any that is taken."""
_WAIT_MS: Final = 500
_WAIT_NS: Final = _WAIT_MS * 1_000_000
"""Longest wait for an entry in one request, and between two looks at how the stream is."""
_NO_WAIT_S: Final = 0.02
_LATE_NS: Final = NS_PER_S
"""Whoever begins to listen so long after the tap opened can't take what is there for what comes."""
_NO_KEY: Final = "no such key"


class _Refused(Exception):
    """Redis won't answer; the text is its own."""


class StreamListener:
    """The tap."""

    def __init__(self, config: RedisStreamTapSettings, surroundings: Surroundings) -> None:
        from redis.exceptions import RedisError

        self.errors: tuple[type[Exception], ...] = (
            RedisError,
            OSError,
            ConnectionLost,
            Nonsense,
            _Refused,
            TargetError,
        )
        """Why it may not be able to follow."""
        self._config = config
        self._connector = Connector(config, surroundings, config.timeout)
        self._clock = surroundings.clock
        self._entries = EntryReader(config, surroundings)
        self._info = command("XINFO", "STREAM", config.stream)
        self._inbox = Inbox()
        self._cuts = Cuts(self._clock, "tap")
        self._asker: RedisAsker | None = None
        self._portion = _PORTION
        self._cursor: Id = (0, 0)
        """The last entry that it has had."""
        self._taken = 0
        """Entries that it has had, and those that it knows to have missed."""
        self._added = 0
        """Entries that the stream had ever had before these."""
        self._counts = False
        """Redis is known to count what is added."""
        self._missed = 0
        self._gap = ""
        self._level = True
        """Nothing is left behind: what comes next comes as it is added."""
        self._level_ns = 0
        """When that was last known."""
        self._looked_ns = 0
        self._look_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the look at the stream that is under way, or is next, is over or can't be had."""

    async def begin(self) -> None:
        """Connect and find the end of the stream. Raises one of `errors`."""
        self._asker = await RedisAsker.open(self._connector)
        answer = await self._ask([self._info])
        standing = _standing(answer.replies[0])
        self._cursor, self._added = standing.last, standing.added or 0
        self._counts = standing.added is not None
        self._level_ns = answer.at_ns

    def detach(self) -> None:
        """Hang up."""
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.close()

    def explain(self, error: Exception) -> Refusal:
        """Why it can't follow, and what would be right."""
        if isinstance(error, ConnectionLost):
            return Refusal(str(error), "look after Redis")
        if str(error).startswith("WRONGTYPE"):
            return Refusal(f"{self._config.stream!r} is no stream", "correct stream")
        return explain(error, self._config.timeout)

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`. Goes on from the last entry after a cut."""
        self._inbox.attend(report)
        self._level = self._clock.now_ns() - self._level_ns < _LATE_NS
        back_off = BackOff()
        while True:
            try:
                if self._asker is None:
                    self._asker = await RedisAsker.open(self._connector)
                await self._follow(back_off)
            except self.errors as error:
                self._cut(error)
                await back_off.pause()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless it could have come unheard."""
        start_ns = self._clock.now_ns()
        error = "" if self._inbox.listened else "the tap doesn't listen yet"
        if not error:
            error = await self._caught_up(start_ns)
            self._inbox.tell()
        why = error or self._cuts.gap or self._gap or self._entries.pushed.unreadable
        return nothing_of(targets, start_ns, self._clock.now_ns(), why)

    async def _caught_up(self, since_ns: int) -> str:
        """Wait for a look that began after this moment and left nothing behind; why there is none."""
        limit_s = (self._config.timeout + 2 * _WAIT_NS) / NS_PER_S
        try:
            async with asyncio.timeout(limit_s):
                while self._looked_ns < since_ns and self._cuts.since_ns is None:
                    await asyncio.shield(self._look_over)
        except TimeoutError:
            return f"the tap hasn't come to the end of the stream within {format_duration(int(limit_s * NS_PER_S))}"
        return ""

    async def _follow(self, back_off: BackOff) -> None:
        """Take what is added, until that fails with one of `errors`."""
        while True:
            now_ns = self._clock.now_ns()
            if self._level and now_ns - self._looked_ns < _WAIT_NS:
                await self._wait()
            else:
                await self._look(now_ns)
                back_off.reset()

    async def _wait(self) -> None:
        """For what is added next, not for long."""
        wait = command("XREAD", "COUNT", self._portion, "BLOCK", _WAIT_MS, *self._rest())
        # Where Redis doesn't count entries, each answer has to be held against what is left of the stream.
        counts, was_level = self._counts, self._level
        asked = [wait] if counts else [wait, self._info]
        before, asked_ns = self._cursor, self._clock.now_ns()
        answer = await self._ask(asked, _WAIT_NS)
        self._take(entries_in(_right(answer.replies[0])), answer.at_ns)
        if not counts:
            self._look_for_trimming(_standing(answer.replies[1]), before, was_level)
        if self._cursor == before and answer.at_ns - asked_ns < _WAIT_NS // 2:
            # It has nothing and doesn't wait, as it was asked to.
            await asyncio.sleep(_NO_WAIT_S)

    async def _look(self, now_ns: int) -> None:
        """Take what there is, and see whether it is all that there should be."""
        assert self._asker is not None
        before = self._cursor
        read = command("XREAD", "COUNT", self._portion, *self._rest())
        answer = await self._asker.ask_at_once([read, self._info], self._config.timeout)
        found, info = answer.replies
        standing, was_level = _standing(info), self._level
        self._take(entries_in(_right(found)), answer.at_ns)
        self._look_for_trimming(standing, before, was_level)
        if not self._level:
            return
        self._look_for_gaps(standing)
        self._cuts.heal(replayed=True)
        self._looked_ns = now_ns
        self._end_look()

    def _rest(self) -> tuple[str, ...]:
        return "STREAMS", self._config.stream, text_of(self._cursor)

    def _take(self, entries: Sequence[Entry], at_ns: int) -> None:
        """Report what has come. It came now, or since the tap last knew of all that there was."""
        from_ns = at_ns if self._level else self._level_ns
        found = [self._entries.read(entry, from_ns, at_ns) for entry in entries]
        if entries:
            self._cursor = entries[-1].id
            self._taken += len(entries)
        self._level = len(entries) < self._portion
        if self._level:
            self._level_ns = at_ns
        pushed = self._entries.pushed
        self._inbox.complaint, pushed.complaint = pushed.complaint or self._inbox.complaint, ""
        self._inbox.put(sighting for sighting in found if sighting is not None)
        self._inbox.put_strange(*pushed.attribution.take())
        self._inbox.tell()

    def _look_for_trimming(self, standing: Standing, before: Id, was_level: bool) -> None:
        """Where nobody counts: if the entry that it had come to is gone, who knows which of those after it are."""
        self._counts = standing.added is not None
        first = standing.first or standing.last
        # Who waits for the first entry of all has it before anything can be trimmed.
        had_some = before != (0, 0) or not was_level
        if not self._counts and had_some and first > before and standing.last >= self._cursor:
            self._gap = (
                "entries of the stream may have been trimmed before they could be read: the first is "
                f"{text_of(first)}, and the tap had come to {text_of(before)}"
            )

    def _look_for_gaps(self, standing: Standing) -> None:
        """The tap has had all that there is; what isn't there any more shows in how the stream is."""
        missed = 0 if standing.added is None else standing.added - self._added - self._taken
        if missed < 0 or standing.last < self._cursor:
            other = "isn't the one that it was: it was made anew, or Redis has lost some of it"
            self._gap = f"the stream {'is gone' if standing == NO_STREAM else other}"
            self._cursor, self._taken, self._added = standing.last, 0, standing.added or 0
        elif missed:
            self._missed += missed
            self._taken += missed
            entries = "an entry" if self._missed == 1 else f"{self._missed:,} entries"
            self._gap = f"{entries} of the stream went by unread: trimmed or deleted before the tap could read them"

    def _cut(self, error: Exception) -> None:
        if isinstance(error, ConnectionLost) and error.overlong and self._portion > 1:
            self._portion //= 2
        self.detach()
        self._level = False
        reason = self.explain(error).reason
        self._cuts.cut(reason)
        self._cuts.hindered(reason)
        self._end_look()

    def _end_look(self) -> None:
        over, self._look_over = self._look_over, asyncio.get_running_loop().create_future()
        over.set_result(None)

    async def _ask(self, commands: Sequence[bytes], longer_ns: int = 0) -> Answer:
        assert self._asker is not None
        return await self._asker.ask(commands, self._config.timeout + longer_ns)


def _right(reply: Reply) -> Reply:
    """What isn't an error. Raises _Refused."""
    if isinstance(reply, ErrorReply):
        raise _Refused(reply.text)
    return reply


def _standing(reply: Reply) -> Standing:
    """Raises _Refused or Nonsense."""
    if isinstance(reply, ErrorReply) and _NO_KEY in reply.text:
        return NO_STREAM
    return standing_in(_right(reply))


@asynccontextmanager
async def open_listener(config: RedisStreamTapSettings, surroundings: Surroundings) -> AsyncIterator[StreamListener]:
    """Find the end of the stream, yield the tap, hang up. Raises TargetError."""
    where = shown_address(config.url)
    with usable(config.url):
        listener = StreamListener(config, surroundings)
    try:
        try:
            await listener.begin()
        except TargetError:
            raise
        except listener.errors as error:
            reason, cure = listener.explain(error)
            raise TargetError(f"can't follow stream {config.stream!r} of {where}: {reason}; {cure}") from error
        yield listener
    finally:
        listener.detach()
