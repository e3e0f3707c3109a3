"""Sends the HTTP probe's requests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson
from jmespath.exceptions import JMESPathError

from ...clients.web import NotJson, encode_target, has_control, parse_url
from ...clock import Clock
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from .._shared.asked_ids import NOTHING_CAPTURED, asked_id
from .._shared.fact_expressions import BadAnswer
from .._shared.http_session import ReadFailed, Requests, open_requests
from .answers import AnswerReader
from .settings import HttpProbeSettings

_PLACEHOLDER: Final = re.compile(r"\{(correlation_id|capture)\}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")


class _Request(NamedTuple):
    """What changes from one request to the next. `lines` are headers, each with its line end."""

    target: str
    body: bytes | None = None
    lines: str = ""


class HttpReader:
    """The probe."""

    def __init__(self, config: HttpProbeSettings, requests: Requests, clock: Clock) -> None:
        self._answers = AnswerReader(config)
        self._bulk = config.ids is not None
        self._by_capture = config.capabilities.asks_by_capture
        self._request = _request_of(config)
        self._method = config.method or ("POST" if config.ids is not None and config.ids.place == "body" else "GET")
        self._requests = requests
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One request about all targets; those that can't be asked for are failed reads."""
        askable = [t for t in targets if t.capture is not None] if self._by_capture else targets
        result = ReadResult([])
        start_ns = self._clock.now_ns()
        if askable:
            try:
                request = self._request(askable)
                answer = await self._requests.ask(self._method, *request)
                end_ns = self._clock.now_ns()
                if self._bulk:
                    result.reads, result.unexpected = self._answers.bulk(answer, askable, start_ns, end_ns)
                else:
                    result.reads = [self._answers.single(answer, askable[0], start_ns, end_ns)]
                result.instead = f"HTTP {answer.status}"
            except (ReadFailed, NotJson, BadAnswer, JMESPathError) as failure:
                result.error = " ".join(str(failure).split())
                if isinstance(failure, ReadFailed):
                    result.throttled, result.retry_ns = failure.throttled, failure.retry_ns
                end_ns = self._clock.now_ns()
                result.reads = [Read(target.seq, Seen.FAILED, start_ns, end_ns) for target in askable]
        if len(askable) < len(targets):
            result.error = result.error or NOTHING_CAPTURED
            result.reads += [Read(t.seq, Seen.FAILED, start_ns, start_ns) for t in targets if t.capture is None]
        return result


def _request_of(config: HttpProbeSettings) -> Callable[[Sequence[Target]], _Request]:
    """From targets to a request, with all that is constant made beforehand."""
    target = parse_url(config.url).target
    ids = config.ids
    if ids is None:
        # Constants stand at even places, the names of placeholders at odd ones.
        parts = [part if i % 2 else encode_target(part) for i, part in enumerate(_PLACEHOLDER.split(target))]
        templates = {name: _PLACEHOLDER.split(value) for name, value in _templates(config).items()}

        def about_one(targets: Sequence[Target]) -> _Request:
            (one,) = targets
            values = {"correlation_id": one.correlation_id, "capture": one.capture or ""}
            text = "".join([_encoded(values[part]) if i % 2 else part for i, part in enumerate(parts)])
            return _Request(text, None, "".join([_line(name, each, values) for name, each in templates.items()]))

        return about_one

    by_capture = config.by == "capture"
    address = encode_target(target)

    def keys(targets: Sequence[Target]) -> list[str]:
        return [asked_id(target, by_capture) for target in targets]

    if ids.place == "query":
        start = address + ("&" if "?" in address else "?")
        name = f"{quote(ids.name)}="
        # A repeated parameter is a list whose separator begins the next parameter.
        separator = f"&{name}" if ids.repeat else quote(ids.separator, safe=",;:")

        def in_query(targets: Sequence[Target]) -> _Request:
            return _Request(start + name + separator.join([_encoded(key) for key in keys(targets)]))

        return in_query

    fields = ids.at.split(".")

    def in_body(targets: Sequence[Target]) -> _Request:
        document: Any = keys(targets)
        for field in reversed(fields):
            document = {field: document}
        return _Request(address, orjson.dumps(document))

    return in_body


def _templates(config: HttpProbeSettings) -> Mapping[str, str]:
    """The headers that are made of an event's ids, by their names in lower case."""
    return {name.lower(): value for name, value in config.headers.items() if _PLACEHOLDER.search(value)}


def _encoded(value: str) -> str:
    """Percent-encoded; ids seldom need it."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe="")


def _line(name: str, pieces: Sequence[str], values: Mapping[str, str]) -> str:
    """One header of one read. Raises ReadFailed."""
    value = "".join([values[piece] if i % 2 else piece for i, piece in enumerate(pieces)])
    if has_control(value):
        raise ReadFailed(f"an id that the producer captured can't stand in the header {name!r}")
    return f"{name}: {value}\r\n"


@asynccontextmanager
async def open_reader(config: HttpProbeSettings, surroundings: Surroundings) -> AsyncIterator[HttpReader]:
    """Try the address, yield the probe. Raises TargetError."""
    templates = () if config.ids is not None else _templates(config)
    headers = {name.lower(): value for name, value in config.headers.items() if name.lower() not in templates}
    if config.ids is not None and config.ids.place == "body":
        headers = {"content-type": "application/json", **headers}
    async with open_requests(
        config.url, config, surroundings, expect=config.expect, max_body=config.max_body, headers=headers
    ) as requests:
        yield HttpReader(config, requests, surroundings.clock)
