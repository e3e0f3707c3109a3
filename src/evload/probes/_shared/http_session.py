"""Sends requests for the probes that ask over HTTP, and says in one line why there is no usable answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from ...clients.credentials.headers import REFUSED, LiveHeaders
from ...clients.dialing import Dialer
from ...clients.http_asking import Answered, Asker, NoAnswer, open_asker
from ...clients.http_traffic import WatchedListener
from ...clients.proxies import through
from ...clients.web import Answer, Endpoint, parse_url, reason_of
from ...errors import TargetError
from ...model.statuses import expand_statuses
from ...spi.context import Surroundings
from ...units import NS_PER_S, format_duration
from .http_settings import HttpTargetSettings

_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)
"""Retry-After as delay-seconds (RFC 9110, section 10.2.3)."""

_PLACE: Final = 80
"""Most letters of an address that are told."""


class ReadFailed(Exception):
    """A read says nothing about its events; the text is why. `throttled` and `retry_ns` as in ReadResult."""

    def __init__(self, reason: str, *, throttled: bool = False, retry_ns: int = 0) -> None:
        super().__init__(reason)
        self.throttled = throttled
        self.retry_ns = retry_ns


class Requests:
    """Requests of one probe."""

    def __init__(self, asker: Asker, expect: tuple[str, ...]) -> None:
        self._asker = asker
        self.begin = asker.begin
        """Sends a request and tells later what became of it; `usable` says what the answer is worth."""
        self._expected = expand_statuses(expect) - {_TOO_MANY_REQUESTS}
        self._bytes_in = 0

    async def ask(self, method: str, target: str, body: bytes | None = None, lines: str = "") -> Answer:
        """An answer with an expected status; `lines` as in `Asker.ask`. Raises ReadFailed."""
        try:
            answer = await self._asker.ask(method, target, body, lines)
        except NoAnswer as error:
            raise ReadFailed(str(error)) from error
        return Answer(answer.status, answer.headers, self.usable(answer))

    def usable(self, answer: Answered) -> bytes:
        """The body of an answer that is as expected; its bytes are counted either way. Raises ReadFailed."""
        self._bytes_in += answer.size
        if answer.status not in self._expected:
            raise refusal(answer.status, answer.headers)
        try:
            return self._asker.body_of(answer)
        except NoAnswer as error:
            raise ReadFailed(str(error)) from error

    def take_bytes(self) -> int:
        """Bytes of the bodies of the answers that came since the last call."""
        taken, self._bytes_in = self._bytes_in, 0
        return taken


def refusal(status: int, raw_headers: Iterable[tuple[bytes, bytes]]) -> ReadFailed:
    """What an answer with a status that nobody expects is worth."""
    headers = Answer(status, raw_headers, b"").get("headers")
    after, location = headers.get("retry-after"), headers.get("location")
    if 300 <= status < 400 and location:
        place = location.partition("?")[0]
        place = place if len(place) <= _PLACE else place[: _PLACE - 1] + "…"
        return ReadFailed(f"HTTP {status}: a redirect to {place!r}, which is not followed")
    if status == _TOO_MANY_REQUESTS or (status == _UNAVAILABLE and after is not None):
        seconds = int(after) if after is not None and _SECONDS.fullmatch(after.strip()) else 0
        return ReadFailed(f"HTTP {status}", throttled=True, retry_ns=seconds * NS_PER_S)
    return ReadFailed(f"HTTP {status}")


@asynccontextmanager
async def open_requests(
    url: str,
    settings: HttpTargetSettings,
    surroundings: Surroundings,
    *,
    expect: tuple[str, ...],
    max_body: int,
    headers: Mapping[str, str],
) -> AsyncIterator[Requests]:
    """Try the address, yield what sends requests with `headers`. Raises TargetError."""
    endpoint = through(parse_url(url), settings.proxy)
    live = LiveHeaders.of(headers, surroundings.secrets, heeds=REFUSED not in expand_statuses(expect))
    async with open_asker(
        endpoint, surroundings.base_dir, surroundings.clock, {"accept": "application/json", **headers},
        ca_file=settings.ca_file, verify=settings.verify, timeout_ns=settings.timeout, max_body=max_body,
        live=live,
    ) as asker:  # fmt: skip
        if surroundings.traffic is not None:
            asker.listener = WatchedListener(asker.listener, surroundings.traffic, surroundings.clock)
        await try_out(asker.dialer, endpoint, settings.timeout)
        yield Requests(asker, expect)


async def try_out(dialer: Dialer, endpoint: Endpoint, timeout_ns: int) -> None:
    """Connect and hang up. Raises TargetError."""
    try:
        async with asyncio.timeout(timeout_ns / NS_PER_S):
            transport, _ = await dialer.connect(asyncio.Protocol, None)
    except (OSError, UnicodeError) as error:
        timed_out = isinstance(error, TimeoutError) and not error.errno
        reason = f"no connection within {format_duration(timeout_ns)}" if timed_out else reason_of(error)
        raise TargetError(
            f"can't connect to {endpoint.shown}: {reason}; start the read model, or correct url"
        ) from error
    transport.close()


def origin_of(url: str) -> str:
    """Scheme and authority of an address, without credentials."""
    endpoint = parse_url(url)
    return f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}"
