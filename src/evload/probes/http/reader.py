"""Asks about many events with one request, and opens the probe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from jmespath.exceptions import JMESPathError

from ...clients.web import NotJson, encode_target, parse_url
from ...clock import Clock
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.probe import Probe
from ...spi.traffic import Traffic
from .._shared.asked_ids import NOTHING_CAPTURED, asked_id
from .._shared.fact_expressions import BadAnswer
from .._shared.http_session import ReadFailed, Requests, open_requests
from .answers import AnswerReader
from .id_query import IdQuery
from .one_by_one import OneByOne, templates
from .settings import HttpProbeSettings, IdsInBody, query_of


class _Request(NamedTuple):
    """What changes from one request to the next."""

    target: str
    body: bytes | None = None


class BulkReader:
    """The probe with `ids`."""

    def __init__(
        self, config: HttpProbeSettings, requests: Requests, clock: Clock, traffic: Traffic | None = None
    ) -> None:
        self._answers = AnswerReader(config, traffic)
        self._by_capture = config.capabilities.asks_by_capture
        self._query = query_of(config)
        self._request = _request_of(config, self._query)
        self._method = config.method or ("POST" if config.ids is not None and config.ids.place == "body" else "GET")
        self._requests = requests
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One request about all targets, or as many as have room for their ids; those that can't be asked for are
        failed reads."""
        askable = [t for t in targets if t.capture is not None] if self._by_capture else targets
        result = ReadResult([])
        now_ns = self._clock.now_ns()
        for portion in self._portions(askable):
            await self._ask(portion, result)
        if len(askable) < len(targets):
            result.error = result.error or NOTHING_CAPTURED
            result.reads += [Read(t.seq, Seen.FAILED, now_ns, now_ns) for t in targets if t.capture is None]
        result.bytes_in = self._requests.take_bytes()
        return result

    def _portions(self, targets: Sequence[Target]) -> Iterator[Sequence[Target]]:
        if self._query is None:
            if targets:
                yield targets
        else:
            keys = [asked_id(target, self._by_capture) for target in targets]
            yield from (targets[portion] for portion in self._query.portions(keys))

    async def _ask(self, targets: Sequence[Target], result: ReadResult) -> None:
        """One request, and what it says added to the result."""
        start_ns = self._clock.now_ns()
        if result.throttled:
            # Whoever is asked too much isn't asked for the rest.
            result.reads += [Read(target.seq, Seen.FAILED, start_ns, start_ns) for target in targets]
            return
        try:
            request = self._request(targets)
            answer = await self._requests.ask(self._method, *request)
            end_ns = self._clock.now_ns()
            reads, unexpected = self._answers.bulk(answer, targets, start_ns, end_ns)
            result.unexpected += unexpected
            result.instead = f"HTTP {answer.status}"
        except (ReadFailed, NotJson, BadAnswer, JMESPathError) as failure:
            result.error = " ".join(str(failure).split())
            if isinstance(failure, ReadFailed):
                result.throttled, result.retry_ns = failure.throttled, failure.retry_ns
            end_ns = self._clock.now_ns()
            reads = [Read(target.seq, Seen.FAILED, start_ns, end_ns) for target in targets]
        result.reads += reads


def _request_of(config: HttpProbeSettings, query: IdQuery | None) -> Callable[[Sequence[Target]], _Request]:
    """From targets to a request, with all that is constant made beforehand."""
    by_capture = config.by == "capture"
    address = encode_target(parse_url(config.url).target)

    def keys(targets: Sequence[Target]) -> list[str]:
        return [asked_id(target, by_capture) for target in targets]

    if query is not None:
        return lambda targets: _Request(query.target_of(keys(targets)))

    assert isinstance(config.ids, IdsInBody)
    fields = config.ids.at.split(".")

    def in_body(targets: Sequence[Target]) -> _Request:
        document: Any = keys(targets)
        for field in reversed(fields):
            document = {field: document}
        return _Request(address, orjson.dumps(document))

    return in_body


@asynccontextmanager
async def open_reader(config: HttpProbeSettings, surroundings: Surroundings) -> AsyncIterator[Probe]:
    """Try the address, yield the probe. Raises TargetError."""
    made = () if config.ids is not None else templates(config)
    headers = {name.lower(): value for name, value in config.headers.items() if name.lower() not in made}
    if config.ids is not None and config.ids.place == "body":
        headers = {"content-type": "application/json", **headers}
    async with open_requests(
        config.url, config, surroundings, expect=config.expect, max_body=config.max_body, headers=headers
    ) as requests:
        kind = OneByOne if config.ids is None else BulkReader
        yield kind(config, requests, surroundings.clock, surroundings.traffic)
