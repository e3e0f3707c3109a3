"""Asks about one event with one request, about many events at a time, without a task for any of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from jmespath.exceptions import JMESPathError

from ...clients.http_asking import Answered
from ...clients.web import NotJson, encode_target, has_control, parse_url
from ...clock import Clock
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.traffic import Traffic
from .._shared.asked_ids import NOTHING_CAPTURED
from .._shared.fact_expressions import BadAnswer
from .._shared.http_session import ReadFailed, Requests
from .answers import AnswerReader
from .id_query import encoded
from .settings import HttpProbeSettings

PLACEHOLDER: Final = re.compile(r"\{(correlation_id|capture)\}")

_Report = Callable[[ReadResult], None]


class OneByOne:
    """The probe without `ids`.

    What comes in one turn of the loop is reported together, the answers with one status in one result.
    """

    def __init__(
        self, config: HttpProbeSettings, requests: Requests, clock: Clock, traffic: Traffic | None = None
    ) -> None:
        self.answers = AnswerReader(config, traffic)
        self.requests = requests
        self.clock = clock
        self._by_capture = config.capabilities.asks_by_capture
        self._method = config.method or "GET"
        # Constants stand at even places, the names of placeholders at odd ones.
        pieces = PLACEHOLDER.split(parse_url(config.url).target)
        self._pieces = [piece if i % 2 else encode_target(piece) for i, piece in enumerate(pieces)]
        self._headers = {name: PLACEHOLDER.split(value) for name, value in templates(config).items()}
        # What most people have: our own id once in the address, and ours needs no encoding.
        plain = not self._headers and self._pieces[1::2] == ["correlation_id"] and not config.is_waited_for
        self._around_id = (self._pieces[0], self._pieces[2]) if plain else None
        self._loop = asyncio.get_running_loop()
        self._told: dict[tuple[_Report, int], ReadResult] = {}
        """Answers of this turn of the loop, by their status."""
        self._failed: list[tuple[_Report, ReadResult]] = []
        self._due = False

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One request about one event."""
        answer: asyncio.Future[ReadResult] = self._loop.create_future()

        def take(result: ReadResult) -> None:
            if not answer.done():
                answer.set_result(result)

        (_,) = targets
        self.begin(targets, take)
        return await answer

    def begin(self, targets: Sequence[Target], report: _Report) -> None:
        """See `spi.probe.BatchProbe`."""
        send, method, now = self.requests.begin, self._method, self.clock.now_ns
        if self._around_id is not None:
            before, after = self._around_id
            for target in targets:
                now_ns = now()
                path = f"{before}{target.correlation_id}{after}"
                send(_Asking(self, target, now_ns, report), now_ns, method, path)
            return
        for target in targets:
            now_ns = now()
            asking = _Asking(self, target, now_ns, report)
            try:
                path, lines = self._request(target)
            except ReadFailed as failure:
                asking.fail(str(failure))
            else:
                send(asking, now_ns, method, path, None, lines)

    def _request(self, target: Target) -> tuple[str, str]:
        """What changes from one request to the next: the address, and header lines. Raises ReadFailed."""
        if self._by_capture and target.capture is None:
            raise ReadFailed(NOTHING_CAPTURED)
        values = {"correlation_id": target.correlation_id, "capture": target.capture or ""}
        lines = "".join([_line(name, pieces, values) for name, pieces in self._headers.items()])
        return "".join([encoded(values[piece]) if i % 2 else piece for i, piece in enumerate(self._pieces)]), lines

    def tell(self, report: _Report, status: int, read: Read) -> None:
        """Report what an answer with this status says, together with others."""
        result = self._told.get((report, status))
        if result is None:
            result = ReadResult([], instead=f"HTTP {status}", alike=self.answers.by_status)
            self._told[report, status] = result
            self._soon()
        result.reads.append(read)

    def tell_failed(self, report: _Report, result: ReadResult) -> None:
        """Report a read that failed."""
        self._failed.append((report, result))
        self._soon()

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._tell_all)

    def _tell_all(self) -> None:
        told, failed, self._due = self._told, self._failed, False
        self._told, self._failed = {}, []
        # Which of them they belong to nobody asks: they are added up.
        bytes_in = self.requests.take_bytes()
        for (report, _), result in told.items():
            result.bytes_in, bytes_in = bytes_in, 0
            report(result)
        for report, result in failed:
            result.bytes_in, bytes_in = bytes_in, 0
            report(result)


class _Asking:
    """One read on its way."""

    __slots__ = ("_probe", "_report", "_start_ns", "_target")

    def __init__(self, probe: OneByOne, target: Target, start_ns: int, report: _Report) -> None:
        self._probe = probe
        self._target = target
        self._start_ns = start_ns
        self._report = report

    def answered(self, answer: Answered, at_ns: int) -> None:
        """See `http_asking.Waiting`."""
        probe = self._probe
        try:
            body = probe.requests.usable(answer)
            read = probe.answers.single(answer, body, self._target, self._start_ns, at_ns)
        except ReadFailed as failure:
            self.fail(str(failure), throttled=failure.throttled, retry_ns=failure.retry_ns)
        except (NotJson, BadAnswer, JMESPathError) as failure:
            self.fail(str(failure))
        else:
            probe.tell(self._report, answer.status, read)

    def failed(self, reason: str) -> None:
        """See `http_asking.Waiting`."""
        self.fail(reason)

    def fail(self, reason: str, *, throttled: bool = False, retry_ns: int = 0) -> None:
        """Nothing is known of the event by this read."""
        reads = [Read(self._target.seq, Seen.FAILED, self._start_ns, self._probe.clock.now_ns())]
        error = " ".join(reason.split())
        self._probe.tell_failed(self._report, ReadResult(reads, error=error, throttled=throttled, retry_ns=retry_ns))


def templates(config: HttpProbeSettings) -> Mapping[str, str]:
    """The headers that are made of an event's ids, by their names in lower case."""
    return {name.lower(): value for name, value in config.headers.items() if PLACEHOLDER.search(value)}


def _line(name: str, pieces: Sequence[str], values: Mapping[str, str]) -> str:
    """One header of one read. Raises ReadFailed."""
    value = "".join([values[piece] if i % 2 else piece for i, piece in enumerate(pieces)])
    if has_control(value):
        raise ReadFailed(f"an id that the producer captured can't stand in the header {name!r}")
    return f"{name}: {value}\r\n"
