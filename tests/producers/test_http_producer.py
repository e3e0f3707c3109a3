"""The HTTP producer against servers that behave and servers that don't."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import gzip
import json
import os
import random
import re
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clients.web import encode_target, parse_url, reason_of
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.http import HttpProducerConfig
from evload.spi.context import Surroundings
from evload.testing import check_producer
from tests.servers.httpserver import Request, Script, Server, Step, always, answer, json_answer, serving

STRUCTURED = (("content-type", "application/cloudevents+json"),)
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/evload/placements",
    "type": "placement.created",
    "time": "2026-11-20T15:22:56.123456Z",
    "correlationid": "c-1",
    "testrunid": "r-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
DATA = {"video": "v-1", "länge": 30}


def event(
    seq: int = 0,
    body: bytes = b"{}",
    headers: Sequence[tuple[str, str]] = STRUCTURED,
    extras: Sequence[str] = (),
) -> Event:
    return Event(seq, f"c-{seq}", 0, 0, 0, None, body, headers, extras)


def structured(seq: int) -> Event:
    document = {**ATTRIBUTES, "id": f"e-{seq}", "datacontenttype": "application/json", "data": DATA}
    return event(seq, json.dumps(document).encode())


def config_of(url: str, **settings: Any) -> HttpProducerConfig:
    return HttpProducerConfig.model_validate({"kind": "http", "url": url, **settings})


def surroundings(base_dir: Path = Path()) -> Surroundings:
    return Surroundings(SystemClock(), "r-1", base_dir)


async def until_settled(receipts: Sequence[Receipt], count: int) -> None:
    """Return when there are as many receipts as that."""
    async with asyncio.timeout(20):
        while len(receipts) < count:
            await asyncio.sleep(0.001)


async def publish(url: str, events: Sequence[Event], **settings: Any) -> list[Receipt]:
    """Publish in one batch, and return the receipts in order of seq."""
    receipts: list[Receipt] = []
    async with config_of(url, **settings).open(surroundings()) as producer:
        await producer.publish(events, receipts.extend)
        await until_settled(receipts, len(events))
    return sorted(receipts)


def receipts_from(script: Script, events: Sequence[Event], **settings: Any) -> tuple[list[Receipt], Server]:
    async def run() -> tuple[list[Receipt], Server]:
        async with serving(script) as server:
            return await publish(f"{server.url}/events", events, **settings), server

    return asyncio.run(run())


def receipt_from(*steps: bytes | float | Step, **settings: Any) -> Receipt:
    """What becomes of one event if the server does these steps."""
    receipts, _ = receipts_from(always(*steps), [event()], **settings)
    assert len(receipts) == 1
    return receipts[0]


# --- outcomes ---------------------------------------------------------------------------------------------


def test_an_expected_status_is_accepted_and_stamped_in_order() -> None:
    receipt = receipt_from(answer(202))
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.detail == ""
    assert receipt.capture is None
    assert receipt.sent_ns is not None
    assert receipt.acked_ns is not None
    assert receipt.sent_ns < receipt.acked_ns


@pytest.mark.parametrize(
    ("status", "expect", "outcome"),
    [
        (200, ["2xx"], Outcome.ACCEPTED),
        (299, "2xx", Outcome.ACCEPTED),
        (409, [200, 202, 409], Outcome.ACCEPTED),
        (201, [200, 202, 409], Outcome.REJECTED),
        (404, ["2xx", "4xx"], Outcome.ACCEPTED),
        (302, ["2xx"], Outcome.REJECTED),
        (500, ["2xx"], Outcome.REJECTED),
    ],
)
def test_status_against_expectation(status: int, expect: object, outcome: Outcome) -> None:
    assert receipt_from(answer(status), expect=expect).outcome is outcome


def test_a_refusal_says_its_status_and_the_beginning_of_its_text() -> None:
    assert receipt_from(answer(503, b"no\n backend")).detail == "HTTP 503: no backend"
    assert receipt_from(answer(503)).detail == "HTTP 503"
    assert receipt_from(answer(503, b"\xff\xfe\x00binary")).detail == "HTTP 503"
    assert receipt_from(answer(500, "ü".encode() * 5000)).detail == f"HTTP 500: {'ü' * 119}…"
    refused = receipt_from(answer(500, b"x"))
    assert refused.acked_ns is not None


@pytest.mark.parametrize(
    ("steps", "detail"),
    [
        ([Step.RESET], "connection reset"),
        ([Step.CLOSE], "connection closed without an answer"),
        ([b"HTTP/1.1 202 Acc", Step.CLOSE], "connection closed in the middle of the answer"),
        (
            [b"HTTP/1.1 202 X\r\nContent-Length: 9\r\n\r\nabc", Step.CLOSE],
            "truncated: connection closed before as many bytes",
        ),
        (
            [b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Step.CLOSE],
            "truncated: connection closed before the",
        ),
        (
            [b"HTTP/1.1 202 X\r\nContent-Length: 9\r\n\r\nabc", Step.RESET],
            "truncated: connection reset before as many",
        ),
        ([b"<html>hello</html>\r\n\r\n", Step.STALL], "not HTTP: "),
        ([b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Step.STALL], "not HTTP: the protocol"),
        ([b"HTTP/1.1 202 X\r\nContent-Length: x\r\n\r\n", Step.STALL], "not HTTP: "),
        ([b"HTTP/1.1 202 X\r\n" + b"A: b\r\n" * 20_000, Step.STALL], "not HTTP: headers longer than 65536 bytes"),
        (
            [b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 200_000, Step.STALL],
            "not HTTP: trailers longer than 65536 bytes",
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", Step.CLOSE], "connection closed"),
        ([Step.STALL], "no answer within 1 s"),
        ([b"HTTP/1.1 202 X\r\nContent-Length: 9\r\n\r\nabc", Step.STALL], "no answer within 1 s"),
    ],
)
def test_no_complete_answer_leaves_the_event_in_doubt(steps: Sequence[bytes | Step], detail: str) -> None:
    timeout = "1s" if "1 s" in detail else "20s"
    receipt = receipt_from(*steps, timeout=timeout)
    assert receipt.outcome is Outcome.IN_DOUBT
    assert detail in receipt.detail
    assert receipt.sent_ns is not None
    assert receipt.acked_ns is None


@pytest.mark.parametrize(
    "steps",
    [
        [b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", answer(202)],
        [b"HTTP/1.1 204 No Content\r\n\r\n"],
        [b"HTTP/1.1 202 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", Step.CLOSE],
        [b"HTTP/1.0 200 OK\r\n\r\nuntil the end", Step.CLOSE],
        [b"HTTP/1.1 200 OK\r\n\r\nuntil the end", Step.CLOSE],
        [b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", Step.CLOSE],
        [*[bytes([byte]) for byte in answer(202, b"drop by drop")]],
        [answer(202) + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", Step.STALL],
        [answer(202) + b"garbage", Step.STALL],
        [answer(200, b"x" * 3_000_000)],
    ],
)
def test_every_complete_answer_counts(steps: Sequence[bytes | Step]) -> None:
    assert receipt_from(*steps).outcome is Outcome.ACCEPTED


def test_an_answer_to_nobody_is_not_taken_for_the_next_one() -> None:
    """The first answer brings a second one along, which must not settle the second event."""

    def script(request: Request) -> Sequence[bytes | Step]:
        return [answer(202) + answer(202), Step.STALL] if request.body == b"0" else [answer(500)]

    receipts, server = receipts_from(script, [event(0, b"0"), event(1, b"1")], connections=1)
    assert [r.outcome for r in receipts] == [Outcome.ACCEPTED, Outcome.REJECTED]
    assert server.connections == 2


def test_an_early_answer_to_a_large_request_counts() -> None:
    """The server answers and closes while it has read only the head."""

    async def run() -> tuple[list[Receipt], int]:
        connections = 0

        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(413))
            await asyncio.sleep(0.3)
            writer.close()

        listener = await asyncio.start_server(early, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        receipts = await publish(url, [event(0, b"x" * 20_000_000), event(1)], connections=1)
        listener.close()
        return receipts, connections

    receipts, connections = asyncio.run(run())
    assert [r.detail for r in receipts] == ["HTTP 413", "HTTP 413"]
    assert connections == 2


# --- connections ------------------------------------------------------------------------------------------


def test_a_connection_is_used_again() -> None:
    async def run() -> Server:
        receipts: list[Receipt] = []
        async with serving(always(answer(202))) as server, config_of(server.url).open(surroundings()) as producer:
            for seq in range(5):
                await producer.publish([event(seq)], receipts.extend)
                await until_settled(receipts, seq + 1)
        return server

    server = asyncio.run(run())
    assert server.connections == 1
    assert len(server.requests) == 5


def test_connections_are_opened_on_demand_up_to_the_limit() -> None:
    receipts, server = receipts_from(always(0.02, answer(202)), [event(seq) for seq in range(40)], connections=7)
    assert Counter(r.outcome for r in receipts) == {Outcome.ACCEPTED: 40}
    assert server.most_open == 7
    assert server.connections == 7


def test_waiting_events_are_sent_in_order() -> None:
    events = [event(seq, str(seq).encode()) for seq in range(300)]
    _, server = receipts_from(always(answer(202)), events, connections=1)
    assert server.bodies == [e.body for e in events]


def test_an_idle_connection_that_is_too_old_is_not_used_again() -> None:
    async def run() -> Server:
        receipts: list[Receipt] = []
        async with serving(always(answer(202))) as server:
            async with config_of(server.url, max_idle="30ms").open(surroundings()) as producer:
                await producer.publish([event(0)], receipts.extend)
                await until_settled(receipts, 1)
                while server.open_now:
                    await asyncio.sleep(0.005)
                await producer.publish([event(1)], receipts.extend)
                await until_settled(receipts, 2)
            return server

    server = asyncio.run(run())
    assert [r.connection for r in server.requests] == [0, 1]


class JumpingClock(SystemClock):
    """Can be put forward, which no timer of the loop notices."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


def test_the_age_of_an_idle_connection_counts_when_it_is_needed() -> None:
    async def run() -> Server:
        receipts: list[Receipt] = []
        clock = JumpingClock()
        async with serving(always(answer(202))) as server:
            async with config_of(server.url).open(Surroundings(clock, "r-1", Path())) as producer:
                for seq in range(2):
                    await producer.publish([event(seq)], receipts.extend)
                    await until_settled(receipts, seq + 1)
                    clock.ahead_ns += 3_600_000_000_000
            return server

    assert [r.connection for r in asyncio.run(run()).requests] == [0, 1]


def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    """The server says so, and then waits for us to do it."""
    steps = (answer(202, b"", "Connection: close"), Step.STALL)
    receipts, server = receipts_from(always(*steps), [event(0), event(1)], connections=1)
    assert [r.outcome for r in receipts] == [Outcome.ACCEPTED] * 2
    assert [r.connection for r in server.requests] == [0, 1]


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        script = always(answer(202), Step.CLOSE)
        async with serving(script) as server, config_of(server.url).open(surroundings()) as producer:
            for seq in range(3):
                await producer.publish([event(seq)], receipts.extend)
                await until_settled(receipts, seq + 1)
                while server.open_now:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.01)
        return receipts

    assert [r.outcome for r in asyncio.run(run())] == [Outcome.ACCEPTED] * 3


def test_an_event_without_a_free_connection_is_unsent_after_the_timeout() -> None:
    receipts, _ = receipts_from(always(Step.STALL), [event(0), event(1)], connections=1, timeout="1s")
    assert [r.outcome for r in receipts] == [Outcome.IN_DOUBT, Outcome.UNSENT]
    assert receipts[1].detail == "no free connection within 1 s"
    assert receipts[1].sent_ns is None
    assert receipts[1].acked_ns is None


class NoMoreConnections:
    """A loop's `create_connection` that works once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, error: OSError) -> None:
        self._connect = loop.create_connection
        self._error = error
        self.refused = asyncio.Event()
        self.connections = 0

    async def __call__(self, *args: Any, **options: Any) -> Any:
        self.connections += 1
        if self.connections == 1:
            return await self._connect(*args, **options)
        self.refused.set()
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EMFILE, "?"), "too many open files; ulimit -n is the limit of this process"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "?"), "connection refused"),
    ],
)
@pytest.mark.parametrize("in_time", [True, False])
def test_it_is_said_why_further_connections_could_not_be_opened(
    monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str, *, in_time: bool
) -> None:
    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        loop = asyncio.get_running_loop()
        few = NoMoreConnections(loop, error)
        monkeypatch.setattr(loop, "create_connection", few)

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while await reader.readuntil(b"\r\n\r\n{}"):
                    await few.refused.wait()
                    if not in_time:
                        await asyncio.Event().wait()
                    writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")

        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        timeout = "20s" if in_time else "1s"
        async with config_of(url, timeout=timeout).open(surroundings()) as producer:
            await producer.publish([event(seq) for seq in range(3)], receipts.extend)
            await until_settled(receipts, 3)
        server.close()
        return sorted(receipts)

    first, *others = asyncio.run(run())
    told = {r.detail for r in others if r.detail}
    if in_time:
        assert {r.outcome for r in (first, *others)} == {Outcome.ACCEPTED}
        assert first.detail == ""
        assert told == {f"accepted, but it waited while no further connection could be opened: {reason}"}
    else:
        assert {r.outcome for r in others} == {Outcome.UNSENT}
        assert told == {f"no free connection within 1 s, and no further one could be opened: {reason}"}


def test_a_target_that_dies_is_data_and_one_that_comes_back_is_used() -> None:
    async def run() -> tuple[list[Receipt], int]:
        receipts: list[Receipt] = []
        dead = Server(always(answer(202)))
        await dead.start(None)
        port = int(dead.url.rpartition(":")[2])
        async with config_of(dead.url, connections=4).open(surroundings()) as producer:
            await producer.publish([event(0)], receipts.extend)
            await until_settled(receipts, 1)
            await dead.stop()
            await asyncio.sleep(0.02)
            await producer.publish([event(seq) for seq in range(1, 200)], receipts.extend)
            await until_settled(receipts, 200)
            alive = Server(always(answer(202)))
            await alive.start(None, port)
            await producer.publish([event(200)], receipts.extend)
            await until_settled(receipts, 201)
            await alive.stop()
        return sorted(receipts), alive.connections

    receipts, connections = asyncio.run(run())
    assert [r.seq for r in receipts] == list(range(201))
    assert Counter(r.outcome for r in receipts) == {Outcome.ACCEPTED: 2, Outcome.UNSENT: 199}
    assert {r.detail for r in receipts[1:200]} == {"connection refused"}
    assert all(r.sent_ns is not None and r.acked_ns is None for r in receipts[1:200])  # tried, in vain
    assert receipts[200].outcome is Outcome.ACCEPTED
    assert connections == 1


def test_refused_connects_leave_open_connections_their_turn() -> None:
    """With one connection open, events wait for it although no further one can be had."""

    async def run() -> tuple[list[Receipt], Server]:
        receipts: list[Receipt] = []
        async with serving(always(0.002, answer(202))) as server:
            async with config_of(server.url).open(surroundings()) as producer:
                server.stop_listening()
                await producer.publish([event(seq) for seq in range(50)], receipts.extend)
                await until_settled(receipts, 50)
            return receipts, server

    receipts, server = asyncio.run(run())
    assert Counter(r.outcome for r in receipts) == {Outcome.ACCEPTED: 50}
    assert server.connections == 1


def test_what_is_left_on_close_is_in_doubt_or_unsent() -> None:
    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        async with serving(always(Step.STALL)) as server:
            async with config_of(server.url, connections=2).open(surroundings()) as producer:
                await producer.publish([event(seq) for seq in range(5)], receipts.extend)
                while len(server.requests) < 2:
                    await asyncio.sleep(0.001)
                assert receipts == []
            await producer.publish([event(5)], receipts.extend)
            await until_settled(receipts, 6)
        return sorted(receipts)

    receipts = asyncio.run(run())
    assert [r.outcome for r in receipts] == [Outcome.IN_DOUBT] * 2 + [Outcome.UNSENT] * 4
    assert receipts[0].detail == "no answer before the end"
    assert receipts[4].detail == "no connection was free before the end"


# --- opening ----------------------------------------------------------------------------------------------


async def _open_and_close(config: HttpProducerConfig, base_dir: Path = Path()) -> None:
    async with config.open(surroundings(base_dir)):
        pass


def test_a_target_that_cannot_be_reached_is_one_line_without_credentials() -> None:
    config = config_of("http://me:pa55@127.0.0.1:1/events?token=t0k", timeout="5s")
    with pytest.raises(TargetError) as caught:
        asyncio.run(_open_and_close(config))
    expected = "can't connect to http://127.0.0.1:1/events: connection refused; start the target, or correct url"
    assert str(caught.value) == expected


def test_a_host_that_can_not_exist() -> None:
    with pytest.raises(TargetError, match=r"can't connect to http://a{64}/: the host name is not valid; start the"):
        asyncio.run(_open_and_close(config_of(f"http://{'a' * 64}/")))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the host name can't be resolved"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect, [Errno 111] Connect"),
            "connection refused",
        ),
        (OSError(113, "x"), "no route to host"),
        (OSError(24, "x"), "too many open files; ulimit -n is the limit of this process"),
        (BrokenPipeError(32, "x"), "connection reset"),
        (OSError("odd"), "odd"),
    ],
)
def test_reasons_are_in_the_words_of_the_field(error: OSError, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_ca_file_that_is_missing(tmp_path: Path) -> None:
    config = config_of("https://127.0.0.1:1/", ca_file="ca.pem")
    with pytest.raises(TargetError, match=r"can't use ca_file ca.pem: no such file or directory; name a PEM file"):
        asyncio.run(_open_and_close(config, tmp_path))


def test_tls(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def run() -> list[Receipt]:
        async with serving(always(answer(202)), context) as server:
            with pytest.raises(TargetError, match="TLS: certificate not accepted: self-signed certificate;"):
                await _open_and_close(config_of(server.url))
            trusted = await publish(server.url, [event(0)], ca_file=str(certificate))
            return trusted + await publish(server.url, [event(1)], verify=False)

    assert [r.outcome for r in asyncio.run(run())] == [Outcome.ACCEPTED] * 2


def test_nobody_is_asked_for_the_password_of_an_encrypted_key(tmp_path: Path) -> None:
    """OpenSSL would ask on the terminal, and a run in the background would wait for ever."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += ["-subj", "/CN=me", "-passout", "pass:s3cret", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    program = """if True:
        import asyncio, fcntl, termios
        from pathlib import Path
        from evload.clock import SystemClock
        from evload.errors import TargetError
        from evload.spi.context import Surroundings
        from evload.producers.http import HttpProducerConfig

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # a terminal to ask on
        files = {"cert_file": "cert.pem", "key_file": "key.pem"}
        config = HttpProducerConfig.model_validate({"kind": "http", "url": "https://127.0.0.1:1/", **files})

        async def main():
            async with config.open(Surroundings(SystemClock(), "r-1", Path())):
                pass

        try:
            asyncio.run(main())
        except TargetError as error:
            print("said:", error)
    """
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:  # fmt: skip
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # the terminal ends with the process
            while b"pass phrase" not in told and (more := os.read(ours, 1024)):
                told += more
        os.close(ours)
        process.kill()
    assert b"said: can't use cert_file cert.pem: no certificate with its key could be read; name PEM files" in told


# --- requests ---------------------------------------------------------------------------------------------


def test_structured_decodes_with_the_official_sdk() -> None:
    _, server = receipts_from(always(answer(202)), [structured(7)])
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/events")
    assert request.headers["host"] == server.url.removeprefix("http://")
    decoded = from_structured(HTTPMessage(dict(request.headers), request.body), JSONFormat())
    assert decoded.get_id() == "e-7"
    assert decoded.get_type() == "placement.created"
    assert decoded.get_extension("correlationid") == "c-1"
    assert decoded.get_extension("testrunid") == "r-1"
    assert decoded.get_data() == DATA


def test_binary_decodes_with_the_official_sdk_whatever_the_attributes_hold() -> None:
    attributes = {**ATTRIBUTES, "subject": 'a "quoted" 100 % ünï\r\ncode: x'}
    headers = [("content-type", "application/json"), *((f"ce-{name}", value) for name, value in attributes.items())]
    _, server = receipts_from(always(answer(202)), [event(0, json.dumps(DATA).encode(), headers)], mode="binary")
    request = server.requests[0]
    subject = request.headers["ce-subject"]
    assert subject == "a%20%22quoted%22%20100%20%25%20%C3%BCn%C3%AF%0D%0Acode:%20x"
    assert request.headers["content-type"] == "application/json"
    decoded = from_binary(HTTPMessage(dict(request.headers), request.body), JSONFormat())
    assert isinstance(decoded, CloudEvent)
    assert decoded.get_subject() == attributes["subject"]
    assert decoded.get_source() == "/evload/placements"
    assert decoded.get_extension("traceparent") == ATTRIBUTES["traceparent"]
    assert decoded.get_data() == DATA


def test_batched_puts_many_events_into_one_request() -> None:
    receipts, server = receipts_from(always(answer(202)), [structured(n) for n in range(7)], mode="batched", batch=3)
    assert [r.outcome for r in receipts] == [Outcome.ACCEPTED] * 7
    batches = sorted((json.loads(body) for body in server.bodies), key=lambda batch: str(batch[0]["id"]))
    assert [[e["id"] for e in batch] for batch in batches] == [["e-0", "e-1", "e-2"], ["e-3", "e-4", "e-5"], ["e-6"]]
    assert {r.headers["content-type"] for r in server.requests} == {"application/cloudevents-batch+json"}
    one = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(batches[0][1]).encode())
    assert from_structured(one, JSONFormat()).get_data() == DATA


def test_a_batch_shares_its_fate() -> None:
    receipts, _ = receipts_from(always(Step.RESET), [structured(n) for n in range(3)], mode="batched")
    assert [(r.outcome, r.detail) for r in receipts] == [(Outcome.IN_DOUBT, "connection reset")] * 3


def test_plain_sends_the_data_alone_with_templates_in_place() -> None:
    settings = {
        "mode": "plain",
        "method": "{data.verb}",
        "headers": {"X-Fixed": "always", "X-Key": "{correlation_id}", "Content-Type": "text/plain"},
    }

    async def run() -> Server:
        async with serving(always(answer(202))) as server:
            url = f"{server.url}/items/{{data.id}}?by={{seq}}"
            config = config_of(url, **settings)
            assert config.encoding().mode == "plain"
            assert config.encoding().extras == ("/items/{data.id}?by={seq}", "{data.verb}", "{correlation_id}")
            events = [
                event(0, b"a", [("content-type", "application/json")], ("/items/ä b?by=0", "put", "c-0")),
                event(1, b"bb", [("content-type", "application/json")], ("/items/%41#?by=1", "DELETE", "c-1")),
            ]
            await publish(url, events, connections=1, **settings)
            return server

    first, second = asyncio.run(run()).requests
    assert (first.method, first.target, first.body) == ("PUT", "/items/%C3%A4%20b?by=0", b"a")
    assert (second.method, second.target, second.body) == ("DELETE", "/items/%41%23?by=1", b"bb")
    assert [r.headers["x-key"] for r in (first, second)] == ["c-0", "c-1"]
    assert [r.headers["x-fixed"] for r in (first, second)] == ["always"] * 2
    assert [r.headers["content-type"] for r in (first, second)] == ["text/plain"] * 2


@pytest.mark.parametrize(
    ("extras", "detail"),
    [
        (("POST", "a\r\nX-Evil: 1"), "the header 'x-h' would hold a line break or a control character"),
        (("POST /x HTTP/1.1\r\n", "ok"), "not a method that can carry an event"),
        (("HEAD", "ok"), "'HEAD' is not a method that can carry an event"),
        (("POST", "\ud800"), "surrogates not allowed"),
    ],
)
def test_what_can_not_be_sent_stays_here(extras: Sequence[str], detail: str) -> None:
    settings = {"method": "{data.m}", "headers": {"X-H": "{data.h}"}, "connections": 1}
    events = [event(0, extras=extras), event(1, extras=("POST", "fine"))]
    receipts, server = receipts_from(always(answer(202)), events, **settings)
    assert [r.outcome for r in receipts] == [Outcome.UNSENT, Outcome.ACCEPTED]
    assert detail in receipts[0].detail
    assert [r.headers["x-h"] for r in server.requests] == ["fine"]


def test_different_content_types_keep_their_own_heads() -> None:
    types = ["application/json", "text/xml", "application/json"]
    events = [event(n, b"x", [("content-type", types[n])]) for n in range(3)]
    _, server = receipts_from(always(answer(202)), events, mode="plain", connections=1)
    assert [r.headers["content-type"] for r in server.requests] == types


def test_credentials_become_basic_auth_and_a_host_can_be_given() -> None:
    async def run() -> Request:
        async with serving(always(answer(202))) as server:
            url = server.url.replace("//", "//m%65:p%40ss@")
            await publish(url, [event()], headers={"Host": "broker.example"})
            return server.requests[0]

    request = asyncio.run(run())
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert request.headers["host"] == "broker.example"
    assert request.target == "/"


def test_what_is_encoded_already_stays_as_it_is() -> None:
    assert encode_target("/100%/%41?q=a b") == "/100%25/%41?q=a%20b"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_encoded_target_is_printable_and_stable(text: str) -> None:
    encoded = encode_target(text)
    assert all(0x21 <= ord(char) <= 0x7E for char in encoded)
    assert encode_target(encoded) == encoded


# --- capture ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capture", "reply", "found"),
    [
        ("body.data.id", json_answer(b'{"data": {"id": "srv-1"}}', 201), "srv-1"),
        ("body.id", json_answer(b'{"id": 17}'), "17"),
        ("headers.location", answer(201, b"", "Location: /items/9"), "/items/9"),
        ("body[0].id || status", json_answer(b"[]"), "200"),
        ("values(@) | [0]", json_answer(b"{}"), "200"),
        ("body.id", json_answer(b'{"id": "' + b"x" * 900_000 + b'"}'), "x" * 900_000),
        ("body.id", json_answer(gzip.compress(b'{"id": "7"}', mtime=0), 200, "Content-Encoding: gzip"), "7"),
        ("body.id", json_answer(b'\xef\xbb\xbf{"id": "7"}'), "7"),
        ("body.id", answer(200, b'{"id": "\xfc"}', "Content-Type: application/json; charset=latin1"), "ü"),
    ],
)
def test_capture(capture: str, reply: bytes, found: str) -> None:
    receipt = receipt_from(reply, capture=capture)
    assert (receipt.outcome, receipt.capture, receipt.detail) == (Outcome.ACCEPTED, found, "")


@pytest.mark.parametrize(
    ("capture", "reply", "why"),
    [
        ("body.id", json_answer(b"{}"), "'body.id' gives no text and no number"),
        ("body.id", json_answer(b'{"id": {"a": 1}}'), "'body.id' gives no text and no number"),
        ("body.id", json_answer(b'{"id": true}'), "'body.id' gives no text and no number"),
        ("body.id", json_answer(b'{"id": ""}'), "'body.id' gives no text and no number"),
        ("body.id", answer(200, b"<html>"), "HTTP 200 with a body that isn't JSON: <html>"),
        ("body.id", answer(202), "HTTP 202 with an empty body, not JSON"),
        ("length(body)", json_answer(b"1"), "invalid type for value: 1"),
        ("body.id", json_answer(b"{}", 200, "Content-Encoding: gzip"), "the answer is cut off or garbled"),
        ("body.id", json_answer(gzip.compress(b"{}", mtime=0)), "a body in gzip, which it doesn't declare"),
        ("body.id", json_answer(b'{"id": "' + b"x" * 1_100_000 + b'"}'), "the answer is longer than 1048576 bytes"),
        (
            "body.id",
            json_answer(
                gzip.compress(b'{"id": "' + b"x" * 1_100_000 + b'"}', mtime=0), 200, "Content-Encoding: gzip"
            ),
            "the answer is longer than 1048576 bytes",
        ),
    ],
)
def test_a_capture_that_finds_nothing_says_so(capture: str, reply: bytes, why: str) -> None:
    receipt = receipt_from(reply, capture=capture)
    assert (receipt.outcome, receipt.capture) == (Outcome.ACCEPTED, None)
    assert receipt.detail.startswith("accepted, but the capture found nothing: ")
    assert why in receipt.detail
    assert "\n" not in receipt.detail


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (answer(400, "zu groß".encode()), "HTTP 400: zu groß"),
        (answer(400, "zu groß".encode("utf-8-sig")), "HTTP 400: zu groß"),
        (
            answer(400, "zu groß".encode("latin-1"), "Content-Type: text/plain; charset=iso-8859-1"),
            "HTTP 400: zu groß",
        ),
        (answer(400, gzip.compress("zu groß".encode(), mtime=0), "Content-Encoding: gzip"), "HTTP 400: zu groß"),
        (
            answer(
                400, gzip.compress(random.Random(1).randbytes(9000).hex().encode(), mtime=0), "Content-Encoding: gzip"
            ),
            "0123",
        ),
        (answer(400, b"\x00\x01"), "HTTP 400"),
        (answer(400, b"no", "Content-Encoding: gzip"), "HTTP 400: no"),
    ],
)
def test_the_words_of_a_refusal_are_read_as_they_are_sent(reply: bytes, detail: str) -> None:
    """Also if there is more than is kept of it: a body that is compressed need not be whole."""
    receipt = receipt_from(reply)
    assert receipt.outcome is Outcome.REJECTED
    if detail == "0123":
        assert receipt.detail.removeprefix("HTTP 400: ")[:100] == random.Random(1).randbytes(9000).hex()[:100]
    else:
        assert receipt.detail == detail


@pytest.mark.parametrize(
    ("tag", "reply", "tags"),
    [
        ({"cold": "headers.\"x-cold-start\" == 'true'"}, answer(202, b"", "X-Cold-Start: true"), "cold"),
        ({"cold": "headers.\"x-cold-start\" == 'true'"}, answer(202), "cold="),
        ({"region": "headers.region"}, answer(202, b"", "Region: eu"), "region=eu"),
        ({"region": "headers.region"}, answer(503, b"busy", "Region: eu"), "region=eu"),
        ({"b": "body.b", "a": "status"}, json_answer(b'{"b": "x"}'), "a=200\nb=x"),
        ({"b": "body.b"}, json_answer(gzip.compress(b'{"b": "x"}', mtime=0), 200, "Content-Encoding: gzip"), "b=x"),
        ({"b": "body.b"}, json_answer(b'{"b": "' + b"y" * 5000 + b'"}', 409), "b=" + "y" * 60),
        ({"whole": "values(@) | [0]"}, json_answer(b"{}", 201), "whole=201"),
        # What can't be read leaves it open; what reads the head alone doesn't care.
        ({"b": "body.b", "region": "headers.region"}, answer(502, b"<html>", "Region: eu"), "region=eu"),
        ({"b": "length(body)"}, json_answer(b"1"), ""),
        ({"b": "body.b"}, json_answer(b'{"b": "' + b"y" * 1_100_000 + b'"}'), ""),
    ],
    ids=[
        "true", "no such header", "a text", "a refusal", "a number", "gzip", "a long refusal", "as a whole",
        "no json", "no such function of it", "too long",
    ],
)  # fmt: skip
def test_an_answer_gives_its_event_tags(tag: dict[str, str], reply: bytes, tags: str) -> None:
    receipt = receipt_from(reply, tag=tag)
    assert (receipt.facts or {}).get("tags", "") == tags
    assert (receipt.facts or {})["status"] >= 200


def test_a_producer_says_which_tags_it_gives() -> None:
    config = config_of("http://localhost/", tag={"cold": "headers.a", "region": "headers.b"})
    assert config.capabilities.tags == {"cold", "region"}


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ({"cold": "headers.x-cold"}, 'write a name with a dash in double quotes, such as headers."x-replica"'),
        ({"cold": "answer.x"}, "looks at 'answer', which isn't there; start with one of status, headers, body"),
        ({"a b": "status"}, "String should match pattern"),
        ({f"t{number}": "status" for number in range(9)}, "at most 8 items"),
    ],
)
def test_tags_that_can_not_be(tag: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        config_of("http://localhost/", tag=tag)


def test_a_refusal_captures_nothing() -> None:
    receipt = receipt_from(json_answer(b'{"id": "x"}', 409), capture="body.id")
    assert (receipt.outcome, receipt.capture) == (Outcome.REJECTED, None)


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "localhost:8080/x"}, "'localhost:8080/x' has no scheme; write an address such as"),
        ({"url": "ftp://h/x"}, "'ftp://h/x' is not an http or https address;"),
        ({"url": "http:///x"}, "has no host;"),
        ({"url": "http://h:99999/"}, "has an unusable host or port;"),
        ({"url": "http://h:0/"}, "has no port that can be called;"),
        ({"url": "http://a b/"}, "holds a space or a control character;"),
        ({"url": "http://h/\r\nX: y"}, "holds a space or a control character;"),
        ({"url": "http://h/#top"}, "has a fragment, which is never sent;"),
        ({"url": "http://{data.host}/x"}, "has a placeholder in its host; only the path and the query"),
        ({"url": "http://me:secret@h:x/"}, "'http://h:x/' has an unusable host or port"),
        ({"mode": "batched", "url": "http://h/{seq}"}, "url is a template, but a batch has many events;"),
        ({"mode": "batched", "method": "{data.m}"}, "method is a template, but a batch"),
        ({"mode": "batched", "headers": {"x": "{seq}"}}, "header 'x' is a template, but a batch"),
        ({"mode": "batched", "capture": "body.id"}, "capture can't tell the events of a batch apart;"),
        ({"headers": {"x": "a\r\nb"}}, "the header 'x' holds a line break"),
        ({"headers": {"x y": "a"}}, "'x y' is not a header name;"),
        ({"headers": {"Content-Length": "4"}}, "the header 'Content-Length' is set for you; leave it out"),
        ({"headers": {"Content-Type": "a/b"}}, "header 'Content-Type' is part of mode structured;"),
        ({"mode": "binary", "headers": {"ce-id": "1"}}, "header 'ce-id' is part of mode binary;"),
        ({"method": "HEAD"}, "'HEAD' is not a method that can carry an event;"),
        ({"method": "PO ST"}, "'PO ST' is not a method"),
        ({"expect": ["3x"]}, "'3x' is not a final HTTP status; write status codes or classes"),
        ({"expect": [100]}, "100 is not a final HTTP status;"),
        ({"expect": []}, "no status is expected;"),
        ({"expect": True}, "True is not a final HTTP status;"),
        ({"capture": "body..id"}, "'body..id' is not JMESPath: unexpected '.' at character 6;"),
        ({"capture": "body.id ="}, "'body.id =' is not JMESPath:"),
        ({"capture": "body."}, "'body.' is not JMESPath: it ends too early; complete it"),
        ({"capture": "status == 200"}, "unexpected 200 at character 11; write a number in backticks"),
        ({"capture": "data.id"}, "'data.id' looks at 'data', which isn't there; start with one of status, headers"),
        ({"capture": "bodi.id"}, "did you mean 'body'?"),
        ({"capture": "lenght(body)"}, "calls the unknown function 'lenght'; did you mean 'length'?"),
        ({"capture": "length()"}, "gives length() 0 arguments; it takes 1"),
        ({"timeout": "0s"}, "greater than or equal"),
        ({"connectons": 3}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpProducerConfig.model_validate({"kind": "http", "url": "http://h/", **settings})
    assert message in str(caught.value)
    assert "secret" not in "".join(str(problem["msg"]) for problem in caught.value.errors())


def test_addresses_are_taken_apart() -> None:
    endpoint = parse_url("https://u:p@[::1]:8443?x=1")
    assert (endpoint.secure, endpoint.host, endpoint.port) == (True, "::1", 8443)
    assert (endpoint.target, endpoint.authority) == ("/?x=1", "[::1]:8443")
    assert endpoint.shown == "https://[::1]:8443/"
    assert parse_url("http://h").port == 80
    assert parse_url("https://h").port == 443


# --- exactly once -----------------------------------------------------------------------------------------


CHAOS: tuple[Sequence[bytes | float | Step], ...] = (
    *([[answer(202)]] * 8),
    [answer(503, b"busy")],
    [answer(202), Step.CLOSE],
    [answer(202), Step.RESET],
    [answer(202) + answer(202)],
    [0.001, answer(202)],
    [Step.RESET],
    [Step.CLOSE],
    [Step.STALL],
    [b"HTTP/1.1 202 Acc", 0.001, Step.RESET],
    [b"HTTP/1.1 202 X\r\nContent-Length: 5\r\n\r\nab", Step.CLOSE],
    [b"HTTP/1.1 202 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Step.CLOSE],
    [b"HTTP/1.1 200 OK\r\n\r\nto the end", Step.CLOSE],
    [b"\x00\x01\x02\x03"],
    [b"HTTP/1.1 100 Continue\r\n\r\n", 0.001, answer(202)],
)
RUNNERS: tuple[Callable[[Coroutine[Any, Any, None]], None], ...] = (asyncio.run, uvloop.run)


@pytest.mark.parametrize("run", RUNNERS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("seed", range(4))
def test_every_event_is_settled_exactly_once_in_chaos(
    seed: int, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Random misbehaviour, an outage in the middle, and at times a close before all is settled."""
    rng = random.Random(seed)
    answered: set[int] = set()
    refused: set[int] = set()

    def script(request: Request) -> Sequence[bytes | float | Step]:
        steps = rng.choice(CHAOS)
        seq = int(request.body)
        (refused if steps == [answer(503, b"busy")] else answered).add(seq)
        return steps

    receipts: list[Receipt] = []

    async def scenario() -> None:
        server = Server(script)
        await server.start(None)
        port = int(server.url.rpartition(":")[2])
        config = config_of(server.url, connections=rng.choice([4, 50]), timeout="60ms", max_idle="20ms")
        async with config.open(surroundings()) as producer:
            seq = 0
            for step in range(12):
                size = rng.choice([1, 3, 40])
                await producer.publish([event(n, str(n).encode()) for n in range(seq, seq + size)], receipts.extend)
                seq += size
                await asyncio.sleep(rng.choice([0.0, 0.002, 0.02]))
                if step == 5:
                    await server.stop()
                if step == 8:
                    server.stopped.clear()
                    await server.start(None, port)
            if seed % 2:
                await until_settled(receipts, seq)
        await server.stop()
        seen = {int(request.body) for request in server.requests}
        assert len(server.requests) == len(seen)
        assert sorted(r.seq for r in receipts) == list(range(seq))
        for receipt in receipts:
            if receipt.outcome is Outcome.ACCEPTED:
                assert receipt.seq in answered
            elif receipt.outcome is Outcome.REJECTED:
                assert receipt.seq in refused
            elif receipt.outcome is Outcome.UNSENT:
                assert receipt.seq not in seen
            else:
                assert receipt.outcome is Outcome.IN_DOUBT
            assert receipt.sent_ns is not None or receipt.outcome is Outcome.UNSENT
            assert (receipt.acked_ns is not None) == (receipt.outcome in (Outcome.ACCEPTED, Outcome.REJECTED))

    run(scenario())
    assert {Outcome.ACCEPTED, Outcome.IN_DOUBT, Outcome.UNSENT} <= {r.outcome for r in receipts}


@pytest.mark.parametrize("mode", ["structured", "binary", "batched", "plain"])
def test_it_does_what_the_engine_relies_on(mode: str) -> None:
    steps = iter(([answer(202)], [answer(503)], [Step.RESET]) * 100)

    async def run() -> None:
        async with serving(lambda request: next(steps)) as server:
            receipts = await check_producer(config_of(server.url, mode=mode, batch=10), SystemClock())
            assert {r.outcome for r in receipts.values()} == {Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IN_DOUBT}

    asyncio.run(run())


def test_receipts_go_to_whoever_published() -> None:
    async def run() -> tuple[list[int], list[int]]:
        ours: list[Receipt] = []
        theirs: list[Receipt] = []
        async with serving(always(answer(202))) as server, config_of(server.url).open(surroundings()) as producer:
            for seq in range(0, 40, 2):
                await producer.publish([event(seq)], ours.extend)
                await producer.publish([event(seq + 1)], theirs.extend)
            await until_settled(ours, 20)
            await until_settled(theirs, 20)
        return sorted(r.seq for r in ours), sorted(r.seq for r in theirs)

    assert asyncio.run(run()) == (list(range(0, 40, 2)), list(range(1, 40, 2)))


def test_one_login_is_enough() -> None:
    auth = {"bearer": "secret"}
    for login in ({"headers": {"Authorization": "Basic eA=="}}, {"url": "http://me:mine@h/"}):
        with pytest.raises(ValidationError, match="leave one of them out"):
            HttpProducerConfig.model_validate({"kind": "http", "url": "http://h/", "auth": auth, **login})
    other = {"kind": "http", "url": "http://h/", "auth": auth, "headers": {"x-tenant": "a"}}
    assert HttpProducerConfig.model_validate(other).auth is not None


@pytest.mark.parametrize("said", [{}, {"cert_file": None, "key_file": None}])
def test_what_is_not_said_is_as_documented(said: dict[str, Any]) -> None:
    config = HttpProducerConfig.model_validate({"kind": "http", "url": "http://h/", **said})
    assert config.model_dump(mode="json") == {
        "kind": "http", "url": "http://h/", "mode": "structured", "method": "POST", "headers": {}, "expect": ["2xx"],
        "capture": None, "timeout": "10s", "connections": 1000, "max_idle": "4s", "requests_per_connection": None,
        "batch": 100, "auth": None, "rabbitmq_api": None, "proxy": None, "ca_file": None, "verify": True,
        "cert_file": None, "key_file": None, "in_flight": 100_000, "when_full": "wait", "ordered": False, "tag": {},
        "cookies": False,
    }  # fmt: skip
