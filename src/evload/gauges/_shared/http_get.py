"""Asks one address with GET for the gauges that live on HTTP, and says in one line why it got no answer."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from ...clients.http_errors import explain
from ...clients.web import encode_target, parse_url, reason_of, tls_context
from ...errors import TargetError
from ...spi.context import Surroundings
from ...units import NS_PER_S, format_duration
from .http_settings import HttpGaugeSettings

_IDLE_S: Final = 4.0
"""Servers close idle connections after 5 s or more; a request that meets the close fails."""
_MAX_BODY: Final = 32 << 20


class NoAnswer(Exception):
    """There was no usable answer; the text is why."""


class Got(NamedTuple):
    """An answer, whatever its status."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Page:
    """One address. A session of its own keeps its connection between two samples."""

    def __init__(self, url: URL, timeout_ns: int, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._timeout_ns = timeout_ns
        self._session = session

    async def get(self) -> Got:
        """Ask once, redirects not followed. Raises NoAnswer."""
        try:
            async with self._session.get(self._url, allow_redirects=False) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _MAX_BODY:
                        raise NoAnswer(f"HTTP {response.status} with a body longer than {_MAX_BODY} bytes")
                return Got(response.status, response.raw_headers, bytes(body))
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {format_duration(self._timeout_ns)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(explain(error)) from error


@asynccontextmanager
async def open_page(
    url: str,
    surroundings: Surroundings,
    *,
    headers: Mapping[str, str],
    timeout_ns: int,
    ca_file: Path | None = None,
    verify: bool = True,
) -> AsyncIterator[Page]:
    """Yield the page; nothing is asked yet. Credentials in the address become basic authorization.

    Raises TargetError if `ca_file` is no use.
    """
    endpoint = parse_url(url)
    tls: ssl.SSLContext | bool = True
    if endpoint.secure:
        try:
            tls = tls_context(surroundings.base_dir / ca_file if ca_file else None, verify)
        except OSError as error:
            raise TargetError(f"can't use ca_file {ca_file}: {reason_of(error)}; name a PEM file") from error
    sent = {"user-agent": "evload"}
    if endpoint.basic_auth:
        sent["authorization"] = endpoint.basic_auth
    sent.update((name.lower(), value) for name, value in headers.items())
    address = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}{encode_target(endpoint.target)}"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, keepalive_timeout=_IDLE_S),
        timeout=aiohttp.ClientTimeout(total=timeout_ns / NS_PER_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=sent,
    ) as session:
        yield Page(URL(address, encoded=True), timeout_ns, session)


def open_settings_page(
    settings: HttpGaugeSettings, surroundings: Surroundings, accept: str
) -> AbstractAsyncContextManager[Page]:
    """The page that a gauge's settings name."""
    return open_page(
        settings.url,
        surroundings,
        headers={"accept": accept, **settings.headers},
        timeout_ns=settings.timeout,
        ca_file=settings.ca_file,
        verify=settings.verify,
    )
