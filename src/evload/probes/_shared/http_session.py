"""Sends requests for the probes that ask over HTTP, and says in one line why there is no usable answer."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from ...clients.http_errors import explain
from ...clients.web import Answer, expand_statuses, parse_url, reason_of, tls_context
from ...errors import TargetError
from ...spi.context import Surroundings
from ...units import NS_PER_S, format_duration
from .http_settings import HttpTargetSettings

_IDLE_S: Final = 4.0
"""Servers close idle connections after 5 s or more; a request that meets the close fails."""
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

    def __init__(
        self, session: aiohttp.ClientSession, expect: tuple[str, ...], max_body: int, timeout_ns: int
    ) -> None:
        self._session = session
        self._expected = expand_statuses(expect) - {_TOO_MANY_REQUESTS}
        self._max_body = max_body
        self._timeout_ns = timeout_ns

    async def ask(
        self, method: str, url: URL, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """An answer with an expected status. Raises ReadFailed."""
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status not in self._expected:
                    raise refusal(response)
                return Answer(response.status, response.raw_headers, await self._body(response))
        except TimeoutError as error:
            raise ReadFailed(f"no answer within {format_duration(self._timeout_ns)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ReadFailed(explain(error)) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_body:
                raise ReadFailed(f"HTTP {response.status} with a body longer than {self._max_body} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def refusal(response: aiohttp.ClientResponse) -> ReadFailed:
    """What an answer with a status that nobody expects is worth."""
    status, after = response.status, response.headers.get("retry-after")
    location = response.headers.get("location")
    if 300 <= status < 400 and location:
        place = location.partition("?")[0]
        place = place if len(place) <= _PLACE else place[: _PLACE - 1] + "…"
        return ReadFailed(f"HTTP {status}: a redirect to {place!r}, which is not followed")
    if status == _TOO_MANY_REQUESTS or (status == _UNAVAILABLE and after is not None):
        seconds = int(after) if after is not None and _SECONDS.fullmatch(after.strip()) else 0
        return ReadFailed(f"HTTP {status}", throttled=True, retry_ns=seconds * NS_PER_S)
    return ReadFailed(f"HTTP {status}")


@asynccontextmanager
async def open_session(
    url: str,
    settings: HttpTargetSettings,
    surroundings: Surroundings,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Try the address, yield a session that sends `headers`, with the credentials in `url`. Raises TargetError."""
    endpoint = parse_url(url)
    tls: ssl.SSLContext | bool = True
    if endpoint.secure:
        try:
            tls = tls_context(surroundings.base_dir / settings.ca_file if settings.ca_file else None, settings.verify)
        except OSError as error:
            raise TargetError(f"can't use ca_file {settings.ca_file}: {reason_of(error)}; name a PEM file") from error
    try:
        async with asyncio.timeout(settings.timeout / NS_PER_S):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except (OSError, UnicodeError) as error:
        timed_out = isinstance(error, TimeoutError) and not error.errno
        reason = f"no connection within {format_duration(settings.timeout)}" if timed_out else reason_of(error)
        raise TargetError(
            f"can't connect to {endpoint.shown}: {reason}; start the read model, or correct url"
        ) from error
    writer.close()
    sent = {"user-agent": "evload"}
    if endpoint.basic_auth:
        sent["authorization"] = endpoint.basic_auth
    sent.update((name.lower(), value) for name, value in headers.items())
    # No limit on connections: a read that waits for one would look slow. The engine bounds the reads.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=_IDLE_S),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=sent,
    ) as session:
        yield session


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
    timeout = aiohttp.ClientTimeout(total=settings.timeout / NS_PER_S)
    sent = {"accept": "application/json", **headers}
    async with open_session(url, settings, surroundings, sent, timeout) as session:
        yield Requests(session, expect, max_body, settings.timeout)


def origin_of(url: str) -> str:
    """Scheme and authority of an address, without credentials."""
    endpoint = parse_url(url)
    return f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}"
