"""What a probe that listens needs: an inbox for what has come, the cuts it suffered, and the way back after one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from ..clock import Clock
from ..model.states import Seen
from ..model.travel import Read, ReadResult, Target
from ..units import format_duration

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0

Tell = Callable[[ReadResult], None]
"""Hands reads to the engine; `PushProbe.listen` is given it."""
E = TypeVar("E", bound=Exception)


class Inbox:
    """What has come and isn't reported yet; it waits here also before anybody listens.

    complaint  why what has come was less use than it should be; told with it, once
    """

    def __init__(self) -> None:
        self.complaint = ""
        self._strange, self._example = 0, ""
        self._reads: list[Read] = []
        self._news = asyncio.Event()
        self._report: Tell | None = None

    @property
    def listened(self) -> bool:
        """Somebody has begun to listen."""
        return self._report is not None

    def attend(self, report: Tell) -> None:
        """Report to this from now on."""
        self._report = report

    def put(self, reads: Iterable[Read]) -> None:
        """Something has come; whoever waits for news is woken."""
        self._reads.extend(reads)
        if self._reads or self.complaint:
            self._news.set()

    def put_strange(self, count: int, example: str) -> None:
        """So much has come that is about no event of any run; `example` is the beginning of one of it, for people."""
        if count:
            self._strange += count
            self._example = self._example or example
            self._news.set()

    def wake(self) -> None:
        """Something else has happened that whoever waits for news should look at."""
        self._news.set()

    async def news(self, within_s: float | None = None) -> bool:
        """Wait until something has come or `wake` was called. False if nothing was within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def tell(self) -> None:
        """Report now what has come."""
        if self._report is None or not (self._reads or self._strange or self.complaint):
            return
        error, self.complaint = self.complaint, ""
        self._report(self._result(error))

    def complain(self, error: str, *, throttled: bool = False, retry_ns: int = 0) -> None:
        """Report a failure now, with what has come before it."""
        if self._report is not None:
            result = self._result(error)
            result.throttled, result.retry_ns = throttled, retry_ns
            self._report(result)

    def _result(self, error: str) -> ReadResult:
        """What has come, which then isn't here any more."""
        result = ReadResult(self._reads, error=error, strange=self._strange, example=self._example)
        self._reads, self._strange, self._example = [], 0, ""
        return result


class Cuts:
    """When a listener could not hear, and why.

    It may have several sources, by number: one that fails is a cut even while the others go on.

    since_ns  when it was cut off; None while it is not
    """

    def __init__(self, clock: Clock, who: str = "listener") -> None:
        """`who` is what people read: `the listener is cut off`."""
        self.since_ns: int | None = None
        self._clock = clock
        self._who = who
        self._failing: set[int] = set()
        self._missed_ns = 0
        self._missed_by = ""
        self._reason = ""
        self._hindrance = ""

    def cut(self, reason: str, source: int = 0) -> None:
        """It can't hear. Of a source of which that is known it is nothing new."""
        self._failing.add(source)
        if self.since_ns is None:
            self.since_ns = self._clock.now_ns()
            self._reason = reason

    def hindered(self, reason: str) -> None:
        """Why it can't come back yet."""
        self._hindrance = "" if reason == self._reason else reason

    def heal(self, source: int = 0, *, replayed: bool = False) -> None:
        """It hears again. `replayed`: what it missed comes after all, so that it was no gap."""
        self._failing.discard(source)
        if self._failing or self.since_ns is None:
            return
        if not replayed:
            self._missed_ns += self._clock.now_ns() - self.since_ns
            self._missed_by = self._reason
        self.since_ns = None
        self._hindrance = ""

    @property
    def gap(self) -> str:
        """Why that nothing came proves nothing; empty if there never was a cut that mattered."""
        if self.since_ns is not None:
            return f"the {self._who} is cut off: {self._reason}" + (
                f" ({self._hindrance})" if self._hindrance else ""
            )
        if self._missed_by:
            return f"the {self._who} was cut off for {format_duration(self._missed_ns)}: {self._missed_by}"
        return ""


class BackOff:
    """Pauses between attempts: each twice as long as the one before, from `first_s` to `longest_s` seconds."""

    def __init__(self, first_s: float = FIRST_PAUSE_S, longest_s: float = LONGEST_PAUSE_S) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    async def pause(self, least_s: float = 0.0) -> None:
        """Wait, at least `least_s` seconds."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        await asyncio.sleep(max(pause_s, least_s))

    def reset(self) -> None:
        """It went well: the next pause is a short one."""
        self._next_s = self._first_s


async def come_back(
    attach: Callable[[], Awaitable[None]],
    errors: type[E] | tuple[type[E], ...],
    failed: Callable[[E], float | None],
    first_s: float = FIRST_PAUSE_S,
) -> None:
    """Attach again, however long it takes, the first time after `first_s` seconds.

    Of each attempt that raises one of `errors`, `failed` is told; it may return how many seconds the next
    pause should have at least.
    """
    back_off = BackOff(first_s)
    least_s = 0.0
    while True:
        await back_off.pause(least_s)
        try:
            await attach()
            return
        except errors as error:
            least_s = failed(error) or 0.0


def nothing_of(targets: Sequence[Target], start_ns: int, end_ns: int, error: str) -> ReadResult:
    """The answer about events of which nothing has come: absent, or unknown for the reason `error`."""
    seen = Seen.FAILED if error else Seen.ABSENT
    return ReadResult([Read(target.seq, seen, start_ns, end_ns) for target in targets], error=error)
