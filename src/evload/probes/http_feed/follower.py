"""Reads a feed on and on, and brackets the moment in which each event came into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from jmespath.exceptions import JMESPathError

from ...clients.web import NotJson, parse_url
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import Inbox, Tell
from ...units import NS_PER_S
from .._shared.fact_expressions import BadAnswer
from .._shared.facts import Facts
from .._shared.http_session import ReadFailed, Requests, open_requests
from .._shared.sightings import Sightings
from .pages import Page, PageReader
from .settings import HttpFeedSettings

_LEAST_MEMORY_NS: Final = 60 * NS_PER_S


class _Endless(ReadFailed):
    """There were more pages than are read in one look."""


class FeedFollower:
    """The probe.

    An event's sightings are remembered for a minute, or for as long as it takes to settle it: until then one that
    is listed again is told only if it has had more effects.
    """

    def __init__(self, config: HttpFeedSettings, requests: Requests, surroundings: Surroundings) -> None:
        self._requests = requests
        self._clock = surroundings.clock
        self._pages = PageReader(config, surroundings.ids, surroundings.traffic)
        self._every_ns = config.every
        self._max_pages = config.max_pages
        self._cursor = str(config.start)
        self._looking = asyncio.Lock()
        self._began_ns = 0
        self._failure: ReadFailed | None = None
        self._quiet_until_ns = 0
        """Until when the service wants to be left alone."""
        self._end_ns = 0
        """Start of the last request that came to the end of the feed: what it didn't list wasn't there."""
        self._sightings = Sightings(max(_LEAST_MEMORY_NS, config.deadline + (config.confirm.over or 0)))
        self._page: tuple[str, Mapping[int, Facts], int] = ("", {}, 0)
        """The last page: the cursor with which it was asked for, what was found on it, and how much was strange."""
        self._caught_up = False
        """What was there already is read away."""
        self._inbox = Inbox()

    async def begin(self) -> None:
        """Read away what is there already. Raises ReadFailed."""
        self._began_ns = self._end_ns = self._clock.now_ns()
        await self._look()
        self._caught_up = True

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`."""
        self._inbox.attend(report)
        while True:
            await self._clock.sleep_until_ns(max(self._quiet_until_ns, self._began_ns + self._every_ns))
            _, failure = await self._look_since(self._clock.now_ns())
            if failure is not None:
                self._inbox.complain(str(failure), throttled=failure.throttled, retry_ns=failure.retry_ns)
            self._inbox.tell()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: look once more."""
        start_ns = self._clock.now_ns()
        result = ReadResult([], instead="a list without them")
        remaining_ns = self._quiet_until_ns - start_ns
        failure: ReadFailed | None
        if remaining_ns > 0:
            failure = ReadFailed("the service asked to be left alone", throttled=True, retry_ns=remaining_ns)
        else:
            start_ns, failure = await self._look_since(start_ns)
            self._inbox.tell()
        end_ns = self._clock.now_ns()
        unseen = Seen.ABSENT if failure is None else Seen.FAILED
        for target in targets:
            seen = unseen if self._sightings.get(target.seq) is None else Seen.PRESENT
            result.reads.append(Read(target.seq, seen, start_ns, end_ns))
        if failure is not None:
            result.error, result.throttled, result.retry_ns = str(failure), failure.throttled, failure.retry_ns
        return result

    async def _look_since(self, asked_ns: int) -> tuple[int, ReadFailed | None]:
        """When a look began, at `asked_ns` or later, and why it failed.

        It is one look for all who wait, and no two begin within `every`, or within a second.
        """
        async with self._looking:
            if self._began_ns < asked_ns:
                await self._clock.sleep_until_ns(self._began_ns + min(self._every_ns, NS_PER_S))
                self._began_ns = self._clock.now_ns()
                try:
                    await self._look()
                    self._failure = None
                except ReadFailed as failure:
                    self._failure = failure
                    if failure.throttled:
                        self._quiet_until_ns = self._clock.now_ns() + failure.retry_ns
            return self._began_ns, self._failure

    async def _look(self) -> None:
        """Read on to the end of the feed. Raises ReadFailed; what was read up to there counts all the same."""
        for _ in range(self._max_pages):
            start_ns = self._clock.now_ns()
            answer = await self._requests.ask("GET", self._pages.addresses.of(self._cursor).raw_path_qs)
            end_ns = self._clock.now_ns()
            try:
                page = self._pages.read(answer, self._cursor)
            except (NotJson, BadAnswer, JMESPathError) as failure:
                raise ReadFailed(" ".join(str(failure).split())) from failure
            self._take(page, end_ns)
            self._cursor = page.cursor
            if page.last:
                self._end_ns = start_ns
                return
        raise _Endless(f"the feed did not end within {self._max_pages} pages")

    def _take(self, page: Page, end_ns: int) -> None:
        cursor, before, strange = self._page
        if cursor != self._cursor:
            before, strange = {}, 0
        self._page = (self._cursor, page.found, page.strange)
        # What was there before the run, or on the same page a moment ago, is nothing new.
        if self._caught_up:
            self._inbox.put_strange(max(0, page.strange - strange), page.example)
        for seq, facts in page.found.items():
            known = self._sightings.get(seq)
            effects = facts.effects or 0
            if known is not None and self._pages.adds_up:
                again = before.get(seq)
                effects = known + effects - (0 if again is None else again.effects or 0)
            if known is None or effects > known:
                self._sightings.note(seq, effects, end_ns)
                told = facts if facts.effects is None else facts._replace(effects=effects)
                self._inbox.put([told.read(seq, self._end_ns, end_ns)])


@asynccontextmanager
async def open_follower(config: HttpFeedSettings, surroundings: Surroundings) -> AsyncIterator[FeedFollower]:
    """Read on to the end of the feed, yield the probe. Raises TargetError."""
    async with open_requests(
        config.url, config, surroundings, expect=config.expect, max_body=config.max_body, headers=config.headers
    ) as requests:
        follower = FeedFollower(config, requests, surroundings)
        try:
            await follower.begin()
        except ReadFailed as failure:
            cure = "correct url, or the expressions"
            if isinstance(failure, _Endless):
                cure = "give start a later cursor, say with more which page is the last, or raise max_pages"
            raise TargetError(f"can't read the feed {parse_url(config.url).shown}: {failure}; {cure}") from failure
        yield follower
