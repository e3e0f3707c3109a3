"""Asks one address with GET for the gauges that live on HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from ...clients.credentials.headers import LiveHeaders, Make
from ...clients.http_asking import Answered, Asker, NoAnswer, open_asker
from ...clients.web import encode_target, parse_url
from ...spi.context import Surroundings
from .http_settings import HttpGaugeSettings

__all__ = ["NoAnswer", "Page", "open_page", "open_settings_page"]

_MAX_BODY: Final = 8 << 20


class Page:
    """One address. It keeps its connection between two samples."""

    def __init__(self, asker: Asker, target: str) -> None:
        self._asker = asker
        self._target = target

    async def get(self) -> Answered:
        """Ask once, redirects not followed. Raises NoAnswer."""
        answer = await self._asker.ask("GET", self._target)
        return answer._replace(body=self._asker.body_of(answer))


@asynccontextmanager
async def open_page(
    url: str,
    surroundings: Surroundings,
    *,
    headers: Mapping[str, str],
    timeout_ns: int,
    made: Mapping[str, Make] | None = None,
    ca_file: Path | None = None,
    verify: bool = True,
    max_body: int = _MAX_BODY,
) -> AsyncIterator[Page]:
    """Yield the page; nothing is asked yet. Credentials in the address become basic authorization. Headers that are
    `made` hold secrets that may change.

    Raises TargetError if `ca_file` is no use.
    """
    endpoint = parse_url(url)
    live = LiveHeaders.of(headers, surroundings.secrets, made)
    async with open_asker(
        endpoint, surroundings.base_dir, surroundings.clock, headers,
        ca_file=ca_file, verify=verify, timeout_ns=timeout_ns, max_body=max_body,
        live=live,
    ) as asker:  # fmt: skip
        yield Page(asker, encode_target(endpoint.target))


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
        max_body=settings.max_body,
    )
