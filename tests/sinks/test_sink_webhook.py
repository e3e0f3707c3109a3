"""The webhook: what it tells, and that nobody's failure to listen is a failure of the run."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Mapping

import orjson
import pytest

from evload.report.document import document
from evload.sinks._shared.posting import open_recipient
from evload.sinks.webhook import WebhookSink, message
from evload.units import NS_PER_S
from tests.rigs.sink_reports import finished, moment
from tests.servers.collector import Collector, collecting


def told(url: str, headers: Mapping[str, str] = {}, timeout_ns: int = 10 * NS_PER_S) -> list[str]:
    """What the sink says while it tells somebody of a run."""
    said: list[str] = []

    async def main() -> None:
        async with open_recipient(url, headers, timeout_ns) as recipient:
            sink = WebhookSink(recipient, said.append)
            sink.progress(moment())
            await sink.finish(finished())

    asyncio.run(main())
    return said


def test_the_verdict_is_posted_once() -> None:
    with collecting(Collector(status=202)) as collector:
        assert told(collector.url + "/hook?token=s%20t", {"X-Team": "shop"}) == []
    ((path, headers, body),) = collector.got
    assert path == "/hook?token=s%20t"
    assert (headers["content-type"], headers["x-team"]) == ("application/json", "shop")
    assert body == message(finished())


def test_the_message_is_the_summary_without_its_big_parts() -> None:
    found = orjson.loads(message(finished()))
    whole = orjson.loads(orjson.dumps(document(finished())))
    assert found == {name: whole[name] for name in found}
    assert {"format", "run_id", "name", "verdict", "ledger", "objectives", "self_checks"} <= found.keys()
    assert found["verdict"] == "fail"
    assert not {"scenarios", "errors"} & found.keys()


def test_credentials_of_the_address() -> None:
    with collecting(Collector()) as collector:
        assert told(collector.url.replace("//", "//me:p%40ss@") + "/x") == []
    ((path, headers, _),) = collector.got
    assert (path, headers["authorization"]) == ("/x", "Basic " + base64.b64encode(b"me:p@ss").decode())


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (500, b"so sorry", "HTTP 500: so sorry"),
        (404, b"", "HTTP 404"),
        (301, b"", "HTTP 301"),
        (307, b"", "HTTP 307"),
    ],
)
def test_a_refusal_is_a_remark(status: int, answer: bytes, expected: str) -> None:
    with collecting(Collector(status=status, answer=answer)) as collector:
        said = told(collector.url + "/secret/hook")
    assert said == [f"webhook {collector.url.removeprefix('http://')}: {expected}; the verdict was not delivered"]
    assert len(collector.got) == 1


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert told(f"http://127.0.0.1:{port}/hook") == [
        f"webhook 127.0.0.1:{port}: connection refused; the verdict was not delivered"
    ]


def test_somebody_who_never_answers() -> None:
    with collecting(Collector(silent=threading.Event())) as collector:
        (said,) = told(collector.url, timeout_ns=NS_PER_S // 10)
    assert said.endswith(": no answer within 100 ms; the verdict was not delivered")


def test_an_answer_that_never_ends() -> None:
    """Every byte comes in time, and all of them together don't."""
    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(60):
                    connection.sendall(b"X-More: to come\r\n")
                    if enough.wait(0.05):
                        break
                connection.sendall(b"Content-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        (said,) = told(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout_ns=NS_PER_S // 4)
        enough.set()
        thread.join()
    assert said.endswith(": no answer within 250 ms; the verdict was not delivered")


def test_a_server_that_speaks_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        (said,) = told(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert "the verdict was not delivered" in said
