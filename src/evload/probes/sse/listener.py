"""Listens to a stream of server-sent events, and knows when it was cut off from it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from yarl import URL

from ...clients import exact_json
from ...clients.credentials.headers import REFUSED, LiveHeaders
from ...clients.http_errors import explain
from ...clients.web import encode_target, parse_url
from ...errors import TargetError
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import FIRST_PAUSE_S, Cuts, Inbox, Tell, come_back, nothing_of
from ...units import NS_PER_S, format_duration
from .._shared.http_session import ReadFailed, origin_of, refusal
from .._shared.pushed import PushedReader
from .._shared.sightings import Sightings
from .event_stream import EventStream, ServerEvent, TooLong
from .session import open_session
from .settings import SseProbeSettings

_MEDIA_TYPE: Final = "text/event-stream"
_NO_CONTENT: Final = 204
_LEAST_MEMORY_NS: Final = 60 * NS_PER_S
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class _Ended(Exception):
    """The server says that there will be no more."""


class SseListener:
    """The probe."""

    def __init__(
        self,
        config: SseProbeSettings,
        surroundings: Surroundings,
        session: aiohttp.ClientSession,
        live: LiveHeaders | None = None,
    ) -> None:
        self._config = config
        self._clock = surroundings.clock
        self._session = session
        self._live = live
        self._url = URL(origin_of(config.url) + encode_target(parse_url(config.url).target), encoded=True)
        self._pushed = PushedReader(
            surroundings, match=config.match, by_default="match" not in config.model_fields_set,
            visible=config.visible,
            position=config.position, consumed_at=config.consumed_at, processed_at=config.processed_at,
            version=config.version,
        )  # fmt: skip
        self._sightings = Sightings(max(_LEAST_MEMORY_NS, config.deadline + (config.confirm.over or 0)))
        self._response: aiohttp.ClientResponse | None = None
        self._stream = EventStream()
        self._resumed_after = ""
        """The Last-Event-ID with which the connection was made."""
        self._retry_s = 0.0
        self._heard_ns = 0
        self._word = asyncio.Event()
        """Set, and replaced, with every sign of life, and when the connection ends."""
        self._inbox = Inbox()
        self._cuts = Cuts(self._clock)
        self._missed_since_ns = 0
        """What arrives before `_replayed_ns` may have been visible since then."""
        self._replayed_ns = 0
        self._cut_reason = ""

    async def attach(self) -> None:
        """Connect. Raises ReadFailed or _Ended."""
        last_id = self._stream.last_event_id
        response = await self._ask(last_id)
        if response.status == REFUSED and self._live is not None:
            response.close()
            await self._live.refused()
            response = await self._ask(last_id)
        if response.status != 200 or response.content_type != _MEDIA_TYPE:
            response.close()
            if response.status == _NO_CONTENT:
                raise _Ended("the server says that there is no more (HTTP 204)")
            if response.status != 200:
                raise refusal(response.status, response.raw_headers)
            raise ReadFailed(f"HTTP 200 with {response.content_type}, not {_MEDIA_TYPE}")
        _keep_alive(response)
        self._response = response
        self._stream = EventStream(last_id)
        self._resumed_after = last_id
        self._heard_ns = self._clock.now_ns()

    async def _ask(self, last_id: str) -> aiohttp.ClientResponse:
        """The beginning of an answer, with whatever status. Raises ReadFailed."""
        headers = {} if self._live is None else dict(self._live.values)
        if last_id:
            headers["last-event-id"] = last_id
        try:
            async with asyncio.timeout(self._config.timeout / NS_PER_S):
                return await self._session.get(
                    self._url, headers=headers, allow_redirects=False, proxy=self._config.proxy
                )
        except TimeoutError as error:
            raise ReadFailed(f"no answer within {format_duration(self._config.timeout)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ReadFailed(explain(error)) from error

    def detach(self) -> None:
        """Disconnect."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`. Connects again when it was cut off."""
        self._inbox.attend(report)
        try:
            while True:
                await self._follow()
                await self._return()
        except _Ended as ended:
            self._cuts.hindered(str(ended))
            self._inbox.complain(str(ended))
            await asyncio.Event().wait()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless it could have been missed."""
        start_ns = self._clock.now_ns()
        if self._config.heartbeat is not None and self._inbox.listened and self._cuts.since_ns is None:
            # What comes after the question comes after all that was sent before it.
            await self._word.wait()
        end_ns = self._clock.now_ns()
        return nothing_of(targets, start_ns, end_ns, self._deafness(start_ns))

    def _deafness(self, now_ns: int) -> str:
        """Why an absence proves nothing; empty if it does prove something."""
        if not self._inbox.listened:
            return "the stream isn't listened to yet"
        if self._cuts.gap:
            return self._cuts.gap
        if now_ns < self._replayed_ns:
            return f"the listener was cut off, and the server may still replay: {self._cut_reason}"
        return self._pushed.unreadable

    async def _follow(self) -> None:
        """Take what comes, until the connection ends."""
        assert self._response is not None
        limit_s = None if self._config.heartbeat is None else self._config.heartbeat / NS_PER_S
        reason = "the server closed the stream"
        try:
            while True:
                async with asyncio.timeout(limit_s):
                    chunk = await self._response.content.readany()
                if not chunk:
                    break
                self._hear(chunk, self._clock.now_ns())
        except TimeoutError:
            reason = f"no sign of life for {format_duration(self._config.heartbeat or 0)}"
        except TooLong as error:
            reason = str(error)
        except (aiohttp.ClientError, OSError) as error:
            reason = "connection lost" if isinstance(error, aiohttp.ClientPayloadError) else explain(error)
        self.detach()
        self._cut(reason)

    def _hear(self, chunk: bytes, at_ns: int) -> None:
        reads = [self._read_of(event, at_ns) for event in self._stream.feed(chunk)]
        if self._stream.retry_ms is not None:
            self._retry_s = self._stream.retry_ms / 1000
        self._heard_ns = at_ns
        self._inbox.complaint, self._pushed.complaint = self._pushed.complaint, ""
        self._inbox.put(read for read in reads if read is not None)
        self._inbox.put_strange(*self._pushed.attribution.take())
        self._inbox.tell()
        self._tell_waiting()

    def _read_of(self, event: ServerEvent, at_ns: int) -> Read | None:
        if self._config.event is not None and event.name != self._config.event:
            return None
        if event.id and event.id == self._resumed_after:
            # The one after which the server was to go on.
            return None
        found = self._pushed.read(_document(event.data))
        if found is None:
            return None
        seq, facts = found
        if self._config.replays is None:
            return facts.pushed(seq, at_ns)
        effects = (self._sightings.get(seq) or 0) + 1
        self._sightings.note(seq, effects, at_ns)
        if at_ns < self._replayed_ns:
            return facts._replace(effects=effects).read(seq, self._missed_since_ns, at_ns)
        return facts.pushed(seq, at_ns)

    def _cut(self, reason: str) -> None:
        self._cuts.cut(reason)
        self._cut_reason = reason
        if self._clock.now_ns() >= self._replayed_ns:
            # Otherwise what an earlier cut hid may still be to come.
            self._missed_since_ns = self._heard_ns
        self._inbox.complain(f"the listener is cut off: {reason}")
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._word.set()
        self._word = asyncio.Event()

    async def _return(self) -> None:
        """Connect again, however long it takes. Raises _Ended."""

        def failed(failure: ReadFailed) -> float:
            self._cuts.hindered(str(failure))
            self._inbox.complain(str(failure), throttled=failure.throttled, retry_ns=failure.retry_ns)
            return max(self._retry_s, failure.retry_ns / NS_PER_S)

        await come_back(self.attach, ReadFailed, failed, self._retry_s or FIRST_PAUSE_S)
        replayed = self._config.replays is not None and bool(self._resumed_after)
        self._cuts.heal(replayed=replayed)
        if replayed:
            self._replayed_ns = self._clock.now_ns() + (self._config.replays or 0)


def _document(data: str) -> Any:
    try:
        return exact_json.loads(data)
    except ValueError:
        return data


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Have TCP notice within some 20 s that the other end is gone, where the platform can."""
    connection = response.connection
    if connection is None or connection.transport is None:
        return
    link = connection.transport.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)


@asynccontextmanager
async def open_listener(config: SseProbeSettings, surroundings: Surroundings) -> AsyncIterator[SseListener]:
    """Connect, yield the probe, disconnect. Raises TargetError."""
    # A server that compresses a stream may hold back what it has to say.
    headers = {"accept": _MEDIA_TYPE, "accept-encoding": "identity", "cache-control": "no-store", **config.headers}
    live = LiveHeaders.of(config.headers, surroundings.secrets)
    timeout = aiohttp.ClientTimeout(total=None)
    async with open_session(config.url, config, surroundings, headers, timeout) as session:
        listener = SseListener(config, surroundings, session, live)
        try:
            await listener.attach()
        except (ReadFailed, _Ended) as failure:
            where = parse_url(config.url).shown
            raise TargetError(f"can't listen to {where}: {failure}; correct url, or what the server says") from None
        try:
            yield listener
        finally:
            listener.detach()
