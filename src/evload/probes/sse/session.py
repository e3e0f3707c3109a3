"""Opens what an event stream is asked for with: aiohttp, which reads answers that have no end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from ...clients.dialing import Dialer
from ...clients.http_asking import trusted
from ...clients.proxies import through
from ...clients.web import parse_url
from ...spi.context import Surroundings
from .._shared.http_session import try_out
from .._shared.http_settings import HttpTargetSettings


@asynccontextmanager
async def open_session(
    url: str,
    settings: HttpTargetSettings,
    surroundings: Surroundings,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Try the address, yield a session that sends `headers`, with the credentials in `url`. Raises TargetError."""
    endpoint = through(parse_url(url), settings.proxy)
    tls = trusted(endpoint, surroundings.base_dir, settings.ca_file, settings.verify)
    await try_out(Dialer.to(endpoint), endpoint, settings.timeout)
    sent = {"user-agent": "evload"}
    if endpoint.basic_auth:
        sent["authorization"] = endpoint.basic_auth
    sent.update((name.lower(), value) for name, value in headers.items())
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls or True),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=sent,
    ) as session:
        yield session
