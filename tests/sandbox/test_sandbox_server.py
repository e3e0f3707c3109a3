"""The sandbox over real sockets: each endpoint, each content mode, the truth file, and its life as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from evload.errors import OutputError, TargetError
from evload.sandbox.process import sandbox_process
from evload.sandbox.server import serving
from evload.sandbox.settings import SandboxSettings
from evload.sandbox.truth import read_truth

ATTRIBUTES = {"id": "1", "source": "/tests", "type": "placed", "specversion": "1.0"}
INSTANT: dict[str, Any] = {"service": "0s", "visibility": "0s"}


def made(**values: Any) -> SandboxSettings:
    """Settings with which an event is visible at once unless told."""
    return SandboxSettings.model_validate({**INSTANT, **values})


class Client:
    """Asks a sandbox in this process."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> tuple[int, Any]:
        """Status and JSON (None without a body) of an answer; keyword values become a JSON body."""
        data = json.dumps(values).encode() if values else body
        async with self._session.request(method, self.url + path, data=data, headers=headers) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    async def publish(self, correlation_id: str, **attributes: Any) -> tuple[int, Any]:
        """Post one structured event."""
        event = {**ATTRIBUTES, "correlationid": correlation_id, **attributes}
        return await self(
            "POST",
            "/events",
            body=json.dumps(event).encode(),
            headers={"content-type": "application/cloudevents+json"},
        )


@asynccontextmanager
async def sandbox(truth_path: Path | None = None, **values: Any) -> AsyncIterator[Client]:
    async with serving(made(**values), truth_path=truth_path) as url, aiohttp.ClientSession() as session:
        yield Client(url, session)


def test_structured_event_becomes_visible() -> None:
    async def scenario() -> None:
        async with sandbox() as ask:
            before = time.time_ns()
            assert await ask.publish("c-1", partitionkey="k") == (202, None)
            status, item = await ask("GET", "/items/c-1")
            assert status == 200
            assert before - 10**9 < item.pop("consumed_at") <= item.pop("processed_at") < time.time_ns() + 10**9
            assert item == {"id": "c-1", "effects": 1, "position": 0, "replica": "r1"}
            assert await ask("GET", "/effects/c-1") == (200, {"id": "c-1", "effects": 1})
            assert await ask("GET", "/queue") == (200, {"depth": 0, "received": 1, "consumed": 1})
            assert await ask("GET", "/health") == (200, {"status": "ok"})

    asyncio.run(scenario())


def official(correlation_id: str, encode: Callable[[CloudEvent], HTTPMessage]) -> HTTPMessage:
    return encode(
        CloudEvent(
            {
                **ATTRIBUTES,
                "correlationid": correlation_id,
                "partitionkey": "clé 1%",
                "datacontenttype": "application/json",
            },
            {"video": "v"},
        )
    )


@pytest.mark.parametrize("encode", [to_structured_event, to_binary_event])
def test_events_encoded_by_the_official_sdk_are_taken(
    encode: Callable[[CloudEvent], HTTPMessage], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sandbox(tmp_path / "truth") as ask:
            message = official("Grüße 1", encode)
            status, _ = await ask("POST", "/events", body=message.body, headers=message.headers)
            assert status == 202
            assert (await ask("GET", "/items/Gr%C3%BC%C3%9Fe%201"))[0] == 200

    asyncio.run(scenario())
    (truth,) = read_truth(tmp_path / "truth")
    assert (truth.correlation_id, truth.key) == ("Grüße 1", "clé 1%")


def test_a_batch_of_officially_encoded_events_is_taken_whole_or_not_at_all() -> None:
    async def scenario() -> None:
        async with sandbox() as ask:
            events = [official(f"c-{n}", lambda e: to_structured_event(e, JSONFormat())).body for n in range(3)]
            headers = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
            batch = b"[" + b",".join(events) + b"]"
            assert (await ask("POST", "/events", body=batch, headers=headers))[0] == 202
            _, answer = await ask("POST", "/items/query", ids=["c-0", "c-2", "c-9"])
            assert [item["id"] for item in answer["items"]] == ["c-0", "c-2"]
            assert answer["replica"] == "r1"
            broken = json.dumps([{**ATTRIBUTES, "correlationid": "c-8"}, ATTRIBUTES]).encode()
            status, answer = await ask("POST", "/events", body=broken, headers=headers)
            assert status == 400
            assert "event 1 of the batch" in answer["error"]
            assert "'correlationid'" in answer["error"]
            assert (await ask("GET", "/queue"))[1]["received"] == 3

    asyncio.run(scenario())


STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.mark.parametrize(
    ("headers", "body", "wrong"),
    [
        (STRUCTURED, b"{", "isn't JSON"),
        (STRUCTURED, b"[]", "must be a JSON object"),
        *(
            (STRUCTURED, {name: None}, repr(name))
            for name in ("id", "source", "type", "specversion", "correlationid")
        ),
        (STRUCTURED, {"id": 7}, "'id'"),
        (STRUCTURED, {"id": ""}, "'id'"),
        (STRUCTURED, {"specversion": "0.3"}, "'0.3' is unknown"),
        (STRUCTURED, {"partitionkey": 7}, "'partitionkey' must be a text"),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}", "must be a JSON list"),
        ({"content-type": "application/json"}, b"{}", "not a CloudEvent"),
        ({"ce-specversion": "1.0", "ce-id": "1"}, b"{}", "'source'"),
        ({"ce-specversion": "1.0", "ce-id": "%FF"}, b"{}", "percent-encoded UTF-8"),
    ],
)
def test_what_is_not_a_cloudevent_is_refused(headers: dict[str, str], body: Any, wrong: str) -> None:
    async def scenario() -> None:
        async with sandbox() as ask:
            event = {**ATTRIBUTES, "correlationid": "c"}
            raw = body if isinstance(body, bytes) else json.dumps({**event, **body}).encode()
            status, answer = await ask("POST", "/events", body=raw, headers=headers)
            assert status == 400
            assert wrong in answer["error"]
            assert (await ask("GET", "/queue"))[1]["received"] == 0

    asyncio.run(scenario())


def test_a_command_is_answered_with_an_id_of_the_sandbox(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sandbox(tmp_path / "truth") as ask:
            headers = {"x-correlation-id": "c-1", "x-key": "k"}
            assert await ask("POST", "/items", body=b"{}", headers=headers) == (201, {"data": {"id": "item-c-1"}})
            assert await ask("POST", "/items", body=b"{}") == (201, {"data": {"id": "item-1"}})
            for known in ("item-c-1", "c-1", "item-1"):
                status, item = await ask("GET", f"/items/{known}")
                assert (status, item["id"]) == (200, known)
                assert (await ask("GET", f"/effects/{known}"))[1]["effects"] == 1
            assert (await ask("GET", "/items/item-2"))[0] == 404

    asyncio.run(scenario())
    assert [(t.correlation_id, t.key) for t in read_truth(tmp_path / "truth")] == [("c-1", "k"), ("item-1", None)]


def test_replicas_answer_by_name() -> None:
    async def scenario() -> None:
        replicas = [{"name": "fast"}, {"name": "slow", "lag": "1h"}]
        async with sandbox(replicas=replicas) as ask:
            await ask.publish("c")
            assert (await ask("GET", "/items/c?replica=fast"))[0] == 200
            assert await ask("GET", "/items/c?replica=slow") == (404, {"replica": "slow"})
            seen = {(status, item["replica"]) for status, item in [await ask("GET", "/items/c") for _ in range(40)]}
            assert seen == {(200, "fast"), (404, "slow")}
            _, answer = await ask("POST", "/items/query?replica=slow", ids=["c"])
            assert answer == {"replica": "slow", "items": []}
            status, answer = await ask("GET", "/items/c?replica=none")
            assert (status, answer["error"]) == (400, "there is no replica 'none'; there are fast, slow")
            async with aiohttp.ClientSession() as session, session.get(f"{ask.url}/items/c?replica=slow") as raw:
                assert raw.headers["x-replica"] == "slow"

    asyncio.run(scenario())


def test_an_admin_changes_it_while_it_runs() -> None:
    async def scenario() -> None:
        async with sandbox() as ask:
            status, answer = await ask("POST", "/admin", workers=0, loss="0.5%")
            assert (status, answer["workers"], answer["loss"], answer["service"]) == (200, 0, "0.5%", "0s")
            await ask.publish("c")
            assert (await ask("GET", "/queue"))[1] == {"depth": 1, "received": 1, "consumed": 0}
            assert (await ask("GET", "/items/c"))[0] == 404
            status, answer = await ask("POST", "/admin", service="500")
            assert status == 400
            assert answer["error"].startswith("service: '500' is not a duration; write")
            assert (await ask("POST", "/admin", body=b"{"))[0] == 400
            await ask("POST", "/admin", workers=1)
            assert (await ask("GET", "/items/c"))[0] == 200

    asyncio.run(scenario())


def test_outages_answer_503() -> None:
    async def scenario() -> None:
        async with sandbox() as ask:
            assert (await ask.publish("a"))[0] == 202
            hour = {"at": "0s", "lasting": "1h"}
            await ask("POST", "/admin", faults=[{"what": "broker-down", **hour}])
            assert (await ask.publish("b"))[0] == 503
            assert (await ask("POST", "/items", body=b"{}"))[0] == 503
            assert (await ask("GET", "/items/a"))[0] == 200
            await ask("POST", "/admin", faults=[{"what": "read-model-down", **hour}])
            assert (await ask("GET", "/items/a"))[0] == 503
            assert (await ask("POST", "/items/query", ids=["a"]))[0] == 503
            assert (await ask.publish("b"))[0] == 202
            await ask("POST", "/admin", faults=[])
            assert [i["id"] for i in (await ask("POST", "/items/query", ids=["a", "b"]))[1]["items"]] == ["a", "b"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "wrong"),
    [
        ("GET", "/nowhere", None, 404, "nothing at /nowhere"),
        ("GET", "/items/", None, 404, "nothing at /items/"),
        ("DELETE", "/queue", None, 405, "/queue doesn't take DELETE"),
        ("POST", "/items/query", b"[]", 400, "a list of texts"),
        ("POST", "/items/query", b'{"ids": [1]}', 400, "a list of texts"),
        ("POST", "/items/query", b"<html>", 400, "isn't JSON"),
    ],
)
def test_requests_that_make_no_sense(method: str, path: str, body: bytes | None, status: int, wrong: str) -> None:
    async def scenario() -> None:
        async with sandbox() as ask:
            answered, answer = await ask(method, path, body=body)
            assert answered == status
            assert wrong in answer["error"]

    asyncio.run(scenario())


# The wire


def on_the_wire(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **values: Any) -> None:
    """Run `talk` on a raw connection to a sandbox."""

    async def scenario() -> None:
        async with asyncio.timeout(20), serving(made(**values)) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            try:
                await talk(reader, writer)
            finally:
                writer.close()

    asyncio.run(scenario())


async def answer_to(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length"))
    return int(head.split()[1]), await reader.readexactly(length)


EVENT = json.dumps({**ATTRIBUTES, "correlationid": "c"}).encode()
POST = b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\n"
POSTED = POST + b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)


def test_pipelined_requests_are_answered_in_order_byte_by_byte() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in POSTED + b"GET /items/c HTTP/1.1\r\n\r\n" + b"GET /items/d HTTP/1.1\r\n\r\n":
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert [(await answer_to(reader))[0] for _ in range(3)] == [202, 200, 404]
        writer.write(POSTED * 50 + b"GET /queue HTTP/1.1\r\n\r\n")
        assert [(await answer_to(reader))[0] for _ in range(50)] == [202] * 50
        assert json.loads((await answer_to(reader))[1])["received"] == 51

    on_the_wire(talk)


def test_a_slow_broker_answers_later_and_in_order() -> None:
    fault = {"what": "slow-broker", "at": "0s", "lasting": "1h", "delay": "80ms"}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = time.perf_counter()
        writer.write(POSTED + b"GET /items/c HTTP/1.1\r\n\r\n" + POSTED)
        assert [(await answer_to(reader))[0] for _ in range(3)] == [202, 200, 202]
        assert time.perf_counter() - begun >= 0.079

    on_the_wire(talk, faults=[fault])


def test_a_client_that_reads_nothing_is_not_served_on() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(30), sandbox() as ask:
            ids = [f"c-{number}" for number in range(1000)]
            for correlation_id in ids:
                await ask.publish(correlation_id)
            query = json.dumps({"ids": ids}).encode()
            queries = b"POST /items/query HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(query), query) * 300
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(ask.url).port)
            writer.write(queries + POSTED)
            await asyncio.sleep(0.3)
            assert (await ask("GET", "/queue"))[1]["received"] == 1000
            assert {(await answer_to(reader))[0] for _ in range(300)} == {200}
            assert (await answer_to(reader))[0] == 202
            writer.close()

    asyncio.run(scenario())


def test_chunked_bodies_are_taken() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (EVENT[:7], EVENT[7:]))
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert (await answer_to(reader))[0] == 202

    on_the_wire(talk)


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"NOT HTTP\r\n\r\n"])
def test_garbage_is_400_and_the_end(garbage: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(POSTED + garbage)
        assert (await answer_to(reader))[0] == 202
        status, body = await answer_to(reader)
        assert status == 400
        assert b"not an HTTP/1.1 request" in body
        assert await reader.read() == b""

    on_the_wire(talk)


def test_a_body_that_is_too_large_is_413_and_the_end() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 32 * 1024 * 1024 + 1
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % size + b" " * size)
        assert (await answer_to(reader))[0] == 413
        assert await reader.read() == b""

    on_the_wire(talk)


def test_a_client_that_asks_for_the_end_gets_it() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await answer_to(reader))[0] == 200
        assert await reader.read() == b""

    on_the_wire(talk)


# Truth and life as a process


def test_truth_is_written_for_what_was_let_go_and_what_was_still_there(tmp_path: Path) -> None:
    path = tmp_path / "truth"

    async def scenario() -> None:
        begun = time.perf_counter_ns()
        async with sandbox(path, retain="0s", loss="50%") as ask:
            for number in range(20):
                await ask.publish(f"c-{number}")
            async with asyncio.timeout(20):
                while len(path.read_text().splitlines()) < 21:
                    await asyncio.sleep(0.05)
            assert (await ask("GET", "/items/c-0"))[0] == 404
            await ask("POST", "/admin", workers=0)
            await ask.publish("late")
        truths = read_truth(path)
        assert [truth.correlation_id for truth in truths] == [*(f"c-{n}" for n in range(20)), "late"]
        assert truths[-1].consumed_ns is None
        assert {truth.lost for truth in truths} == {True, False}
        assert all(begun < truth.received_ns < time.perf_counter_ns() for truth in truths)

    asyncio.run(scenario())


def test_ports_and_files_that_cannot_be_had_are_one_line(tmp_path: Path) -> None:
    async def start(**values: Any) -> None:
        async with serving(made(), **values):
            pass

    async def twice() -> None:
        async with serving(made()) as url:
            await start(port=urlsplit(url).port)

    with pytest.raises(TargetError, match=r"can't listen on 127\.0\.0\.1:\d+: .*; choose another port"):
        asyncio.run(twice())
    with pytest.raises(TargetError, match=r"can't listen on .*:70000"):
        asyncio.run(start(port=70000))
    with pytest.raises(OutputError, match="can't write the truth"):
        asyncio.run(start(truth_path=tmp_path / "missing" / "truth"))


def refuses(url: str) -> bool:
    """Whether nobody listens there any more."""
    import socket

    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0


def test_a_process_of_its_own_serves_and_leaves_its_truth(tmp_path: Path) -> None:
    path = tmp_path / "truth"

    async def scenario() -> str:
        async with sandbox_process(made(seed=7), path) as running, aiohttp.ClientSession() as session:
            ask = Client(running.url, session)
            assert running.pid != os.getpid()
            assert os.getpgid(running.pid) != os.getpgid(0), "Ctrl-C would reach it"
            assert (await ask("POST", "/admin", workers=3))[1]["seed"] == 7
            assert (await ask.publish("c"))[0] == 202
            await running.stop()
            await running.stop()
            assert [truth.correlation_id for truth in read_truth(path)] == ["c"]
            return running.url

    assert refuses(asyncio.run(scenario()))


def test_a_process_ends_when_the_block_fails(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sandbox_process(made(), tmp_path / "truth") as running:
            urls.append(running.url)
            raise RuntimeError("boom")

    urls: list[str] = []
    with pytest.raises(RuntimeError, match="boom"):
        asyncio.run(scenario())
    assert refuses(urls[0])
    assert read_truth(tmp_path / "truth") == []


def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sandbox_process(made(), tmp_path / "missing" / "truth"):
            pytest.fail("it started")

    with pytest.raises(TargetError, match=r"the sandbox didn't start; can't write the truth to .*missing"):
        asyncio.run(scenario())


PARENT = """
import asyncio, pathlib, sys
from evload.sandbox.process import sandbox_process
from evload.sandbox.settings import SandboxSettings

async def main():
    async with sandbox_process(SandboxSettings(), pathlib.Path(sys.argv[1])) as running:
        print(running.url, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_process_follows_a_parent_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert not refuses(url)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until = time.monotonic() + 20
    while not refuses(url) and time.monotonic() < until:
        time.sleep(0.02)
    assert refuses(url)
    assert read_truth(path) == []


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_the_module_runs_until_it_is_told_to_stop(signal_number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "truth"
    command = [sys.executable, "-m", "evload.sandbox", "--settings", '{"workers": 2}', "--truth", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert not refuses(url)
        process.send_signal(signal_number)
        assert process.wait(20) == 0
    assert read_truth(path) == []


def test_the_module_refuses_settings_in_one_line() -> None:
    command = [sys.executable, "-m", "evload.sandbox", "--settings", '{"worker": 2}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == "worker: unknown key; `evload schema` lists those of the sandbox\n"
