"""Sends the HTTP probe's requests."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
import orjson
from jmespath.exceptions import JMESPathError
from yarl import URL

from ..clients.http_errors import explain
from ..clients.web import Answer, NotJson, encode_target, expand_statuses, parse_url, reason_of, tls_context
from ..clock import Clock
from ..errors import TargetError
from ..model import Read, ReadResult, Seen, Target
from ..ports import Surroundings
from ..units import NS_PER_S, format_duration
from .answers import AnswerReader, BadAnswer

if TYPE_CHECKING:
    from .http import HttpProbeConfig

_IDLE_S: Final = 4.0
"""Servers close idle connections after 5 s or more; a request that meets the close fails."""


class _ReadFailed(Exception):
    """A read says nothing about its events; the text is why."""


class HttpReader:
    """The probe."""

    def __init__(self, config: HttpProbeConfig, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._answers = AnswerReader(config)
        self._bulk = config.ids is not None
        self._by_capture = "{capture}" in config.url or config.by == "capture"
        self._request = _request_of(config)
        self._method = config.method or ("POST" if config.ids is not None and config.ids.place == "body" else "GET")
        self._expected = expand_statuses(config.expect)
        self._max_body = config.max_body
        self._timeout_ns = config.timeout
        self._session = session
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One request about all targets; those that can't be asked for are failed reads."""
        askable = [t for t in targets if t.capture is not None] if self._by_capture else targets
        error = ""
        unexpected = 0
        start_ns = self._clock.now_ns()
        reads: list[Read] = []
        if askable:
            try:
                answer = await self._ask(askable)
                end_ns = self._clock.now_ns()
                if self._bulk:
                    reads, unexpected = self._answers.bulk(answer, askable, start_ns, end_ns)
                else:
                    reads = [self._answers.single(answer, askable[0], start_ns, end_ns)]
            except (_ReadFailed, NotJson, BadAnswer, JMESPathError) as failure:
                error = " ".join(str(failure).split())
                end_ns = self._clock.now_ns()
                reads = [Read(target.seq, Seen.FAILED, start_ns, end_ns) for target in askable]
        if len(askable) < len(targets):
            error = error or "the producer captured no id to ask for"
            reads += [Read(t.seq, Seen.FAILED, start_ns, start_ns) for t in targets if t.capture is None]
        return ReadResult(reads, unexpected, error)

    async def _ask(self, targets: Sequence[Target]) -> Answer:
        url, body = self._request(targets)
        try:
            async with self._session.request(self._method, url, data=body, allow_redirects=False) as response:
                status = response.status
                if status not in self._expected or status >= 500 or status == 429:
                    raise _ReadFailed(_refusal(status, response.headers.get("location")))
                return Answer(status, response.raw_headers, await self._body(response))
        except TimeoutError as error:
            raise _ReadFailed(f"no answer within {format_duration(self._timeout_ns)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _ReadFailed(explain(error)) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_body:
                raise _ReadFailed(f"HTTP {response.status} with a body longer than {self._max_body} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _request_of(config: HttpProbeConfig) -> Callable[[Sequence[Target]], tuple[URL, bytes | None]]:
    """From targets to address and body, with all that is constant made beforehand."""
    endpoint = parse_url(config.url)
    origin = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}"
    ids = config.ids
    if ids is None:
        # Constants stand at even places, the names of placeholders at odd ones.
        parts = [
            part if i % 2 else encode_target(part)
            for i, part in enumerate(re.split(r"\{(correlation_id|capture)\}", endpoint.target))
        ]

        def about_one(targets: Sequence[Target]) -> tuple[URL, bytes | None]:
            values = targets[0]._asdict()
            text = "".join(quote(values[part], safe="") if i % 2 else part for i, part in enumerate(parts))
            return URL(origin + text, encoded=True), None

        return about_one

    by_capture = config.by == "capture"
    address = origin + encode_target(endpoint.target)

    def keys(targets: Sequence[Target]) -> list[str]:
        return [t.capture or "" for t in targets] if by_capture else [t.correlation_id for t in targets]

    if ids.place == "query":
        start = f"{address}{'&' if '?' in address else '?'}{quote(ids.name)}="
        separator = quote(ids.separator, safe=",;:")

        def in_query(targets: Sequence[Target]) -> tuple[URL, bytes | None]:
            return URL(start + separator.join([quote(key, safe="") for key in keys(targets)]), encoded=True), None

        return in_query

    fields = ids.at.split(".")
    url = URL(address, encoded=True)

    def in_body(targets: Sequence[Target]) -> tuple[URL, bytes | None]:
        document: Any = keys(targets)
        for field in reversed(fields):
            document = {field: document}
        return url, orjson.dumps(document)

    return in_body


def _refusal(status: int, location: str | None) -> str:
    if 300 <= status < 400 and location:
        return f"HTTP {status}: a redirect to {location.partition('?')[0][:80]!r}, which is not followed"
    return f"HTTP {status}"


@asynccontextmanager
async def open_reader(config: HttpProbeConfig, surroundings: Surroundings) -> AsyncIterator[HttpReader]:
    """Try the address, yield the probe. Raises TargetError."""
    endpoint = parse_url(config.url)
    tls: ssl.SSLContext | bool = True
    if endpoint.secure:
        try:
            tls = tls_context(surroundings.base_dir / config.ca_file if config.ca_file else None, config.verify)
        except OSError as error:
            raise TargetError(f"can't use ca_file {config.ca_file}: {reason_of(error)}; name a PEM file") from error
    try:
        async with asyncio.timeout(config.timeout / NS_PER_S):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except (OSError, UnicodeError) as error:
        timed_out = isinstance(error, TimeoutError) and not error.errno
        reason = f"no connection within {format_duration(config.timeout)}" if timed_out else reason_of(error)
        raise TargetError(
            f"can't connect to {endpoint.shown}: {reason}; start the read model, or correct url"
        ) from error
    writer.close()
    headers = {"accept": "application/json", "user-agent": "evload"}
    if config.ids is not None and config.ids.place == "body":
        headers["content-type"] = "application/json"
    if endpoint.basic_auth:
        headers["authorization"] = endpoint.basic_auth
    headers.update((name.lower(), value) for name, value in config.headers.items())
    # No limit on connections: a read that waits for one would look slow. The engine bounds the reads.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=_IDLE_S),
        timeout=aiohttp.ClientTimeout(total=config.timeout / NS_PER_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
    ) as session:
        yield HttpReader(config, session, surroundings.clock)
