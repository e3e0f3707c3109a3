"""HTTP POST to somebody who wants to be told, with a limit to the time that all of it takes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from ...clients.http_errors import explain
from ...clients.web import encode_target, excerpt, parse_url
from ...units import NS_PER_S, format_duration

MOST_OF_ANSWER: Final = 65_536
"""So much of what somebody says to a POST is looked at, in bytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a POST: an answer and the beginning of its body, or `trouble` that says why none came."""

    status: int = 0
    content_type: str = ""
    body: bytes = b""
    trouble: str = ""

    @property
    def refusal(self) -> str:
        """Why the POST was in vain; empty if it was not."""
        if self.trouble or 200 <= self.status < 300:
            return self.trouble
        told = excerpt(self.body)
        return f"HTTP {self.status}" + (f": {told}" if told else "")

    def saying(self, body: bytes) -> Answer:
        """The same with another body."""
        return replace(self, body=body)


class Recipient:
    """Somebody at an address. Redirects aren't followed.

    `shown` names host and port alone, because the rest of such an address is often a secret.
    """

    def __init__(
        self, shown: str, url: URL, proxy: str | None, timeout_ns: int, session: aiohttp.ClientSession
    ) -> None:
        self.shown = shown
        self._url = url
        self._proxy = proxy
        self._timeout_ns = timeout_ns
        self._session = session

    async def post(self, body: bytes) -> Answer:
        """POST a body, JSON unless the headers say otherwise."""
        try:
            async with self._session.post(self._url, data=body, proxy=self._proxy, allow_redirects=False) as response:
                return Answer(response.status, response.content_type, await _beginning(response))
        except TimeoutError:
            return Answer(trouble=f"no answer within {format_duration(self._timeout_ns)}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(trouble=explain(error))


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What comes of the body, in time and in order: the status alone says whether the POST was in vain."""
    body = bytearray()
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) >= MOST_OF_ANSWER:
                break
    return bytes(body[:MOST_OF_ANSWER])


@asynccontextmanager
async def open_recipient(
    url: str, headers: Mapping[str, str], timeout_ns: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Recipient]:
    """Yield the recipient; nothing is sent yet. `url` must be one that `parse_url` takes.

    Credentials in the address become basic authentication. Proxies are those of the environment (`HTTPS_PROXY`,
    `NO_PROXY`).
    """
    endpoint = parse_url(url)
    scheme = "https" if endpoint.secure else "http"
    sent = {"user-agent": "evload", "content-type": "application/json"}
    if endpoint.basic_auth is not None:
        sent["authorization"] = endpoint.basic_auth
    sent.update((name.lower(), value) for name, value in headers.items())
    # Not aiohttp's trust_env: it reads ~/.netrc too, and refuses a request that has an Authorization of its own.
    proxy = None if proxy_bypass(endpoint.authority) else getproxies().get(scheme)
    if proxy is not None and "://" not in proxy:
        proxy = f"http://{proxy}"
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_ns / NS_PER_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=sent,
        connector=aiohttp.TCPConnector(ssl=tls or True),
    ) as session:
        address = URL(f"{scheme}://{endpoint.authority}{encode_target(endpoint.target)}", encoded=True)
        yield Recipient(endpoint.authority, address, proxy, timeout_ns, session)
