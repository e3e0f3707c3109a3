"""What the SDK for AWS makes of answers that AWS would never give: too long, of another shape, endless."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from botocore.exceptions import HTTPClientError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from evload.clients.aws import explain
from evload.clients.bounded import TooLong
from evload.clock import SystemClock
from evload.gauges.cloudwatch import CloudWatchConfig
from evload.model.states import Seen
from evload.probes.dynamodb import DynamodbProbeConfig
from evload.probes.s3 import S3ProbeConfig
from evload.spi.context import Surroundings
from evload.spi.probe import Probe
from tests.rigs.asking import A, B
from tests.servers.httpserver import Request, Step, answer, json_answer, serving

pytestmark = pytest.mark.usefixtures("aws_environment")

Steps = Sequence[bytes | float | Step]
TABLE: Final = {
    "Table": {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    }
}
NOT_AWS: Final = "isn't AWS"


def in_json(document: Any) -> bytes:
    return json_answer(json.dumps(document).encode())


def items(count: int, length: int) -> bytes:
    """An answer to BatchGetItem of so many items, none of which was asked for."""
    found = [{"pk": {"S": f"{number}"}, "text": {"S": "x" * length}} for number in range(count)]
    return in_json({"Responses": {"table": found}})


def opened(url: str) -> Any:
    settings = DynamodbProbeConfig.model_validate({
        "kind": "dynamodb", "endpoint": url, "region": "eu-west-1", "table": "table", "timeout": "20s",
        "key": {"pk": "{correlation_id}"},
    })  # fmt: skip
    return settings.open(Surroundings(SystemClock(), "r-1", Path()))


def asked(steps: Steps, look: Callable[[Probe], Any]) -> Any:
    """What comes of a look at a table whose answers are these from the second one on."""
    well = True

    def script(request: Request) -> Steps:
        nonlocal well
        if request.headers["x-amz-target"].endswith("DescribeTable"):
            return [in_json(TABLE)]
        said: Steps = [in_json({"Responses": {}})] if well else steps
        well = False
        return said

    async def run() -> Any:
        async with serving(script) as server, opened(server.url) as probe:
            return await look(probe)

    return asyncio.run(run())


CHUNKED: Final = b"HTTP/1.1 200 X\r\nContent-Type: application/x-amz-json-1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: Final[Steps] = [CHUNKED, *[b"186a0\r\n%b\r\n" % (b" " * 100_000)] * 100, Step.STALL]


@pytest.mark.parametrize(
    ("steps", "seen", "error"),
    [
        ([items(70, 100_000)], Seen.ABSENT, ""),
        ([items(90, 100_000)], Seen.FAILED, "an answer is longer than 8 MiB"),
        (ENDLESS, Seen.FAILED, "an answer is longer than 8 MiB"),
        ([in_json({"Responses": {}})], Seen.ABSENT, ""),
        ([in_json({})], Seen.FAILED, NOT_AWS),
        ([in_json([])], Seen.FAILED, NOT_AWS),
        ([in_json({"Responses": []})], Seen.FAILED, NOT_AWS),
        ([in_json({"Responses": {"table": [[]]}})], Seen.FAILED, NOT_AWS),
        ([in_json({"Responses": {"table": [{"other": {"S": "x"}}]}})], Seen.FAILED, NOT_AWS),
        ([in_json({"Responses": {}, "UnprocessedKeys": {"table": {}}})], Seen.FAILED, NOT_AWS),
        ([answer(200, b"<html>hello</html>", "Content-Type: text/html")], Seen.FAILED, NOT_AWS),
        ([answer(200, b"[" * 100_000, "Content-Type: text/html")], Seen.FAILED, NOT_AWS),
    ],
)
def test_an_answer_of_dynamodb(steps: Steps, seen: Seen, error: str) -> None:
    result = asked(steps, lambda probe: probe.read([A, B]))
    assert [read.seen for read in result.reads] == [seen, seen]
    assert error in result.error
    assert bool(error) == bool(result.error)


def test_nothing_is_left_of_an_answer_that_is_too_long() -> None:
    """Not until somebody looks for what nobody needs any more, which takes its time where memory isn't counted."""

    async def look(probe: Probe) -> int:
        for _ in range(6):
            assert "longer than 8 MiB" in (await probe.read([A])).error
        return tracemalloc.get_traced_memory()[0]

    gc.disable()
    tracemalloc.start()
    try:
        assert asked(ENDLESS, look) < 24e6
    finally:
        tracemalloc.stop()
        gc.enable()


def test_answers_that_are_too_long_together() -> None:
    """Each of them is well within the limit."""

    async def look(probe: Probe) -> list[str]:
        results = await asyncio.gather(*(probe.read([A]) for _ in range(4)))
        return sorted(result.error for result in results)

    long = items(50, 100_000)
    assert asked([long[:-10], 1.0, long[-10:]], look)[0] == ""
    assert "the answers under way are together longer than 12 MiB" in asked([long[:-10], 1.0, long[-10:]], look)[1:]


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        ([answer(200, b'"done"')], ""),
        ([CHUNKED, b'6\r\n"done"\r\n0\r\n\r\n'], NOT_AWS),
        ([answer(200, b'"' + b"x" * (8 << 20) + b'"')], "an object is longer than 8 MiB"),
    ],
)
def test_an_object_of_s3(answered: Steps, error: str) -> None:
    async def run() -> Any:
        async with serving(lambda request: [answer(200)] if request.method == "HEAD" else answered) as server:
            settings = S3ProbeConfig.model_validate({
                "kind": "s3", "endpoint": server.url, "region": "eu-west-1", "bucket": "bucket",
                "key": "{correlation_id}", "content": "@ == 'done'",
            })  # fmt: skip
            async with settings.open(Surroundings(SystemClock(), "r-1", Path())) as probe:
                return await probe.read([A])

    result = asyncio.run(run())
    assert [read.seen for read in result.reads] == [Seen.FAILED if error else Seen.PRESENT]
    assert error in result.error


def test_what_is_no_http_is_no_aws() -> None:
    """Here and not by asking, because the SDK asks three times and waits in between."""
    headers = CIMultiDictProxy[str](CIMultiDict())
    info = aiohttp.RequestInfo(URL("http://127.0.0.1:9"), "POST", headers, URL("http://127.0.0.1:9"))
    error = HTTPClientError(error=aiohttp.ClientResponseError(info, (), message="Bad status line: b'\\xf5\\xb1'"))
    settings = S3ProbeConfig.model_validate({"kind": "s3", "bucket": "bucket", "key": "{correlation_id}"})
    assert NOT_AWS in explain(error, settings)
    assert "server said so" in explain(HTTPClientError(error=ValueError("the server said so")), settings)


def test_who_asks_for_little_can_not_ask_for_less() -> None:
    probe = S3ProbeConfig.model_validate({"kind": "s3", "bucket": "bucket", "key": "{correlation_id}"})
    gauge = CloudWatchConfig.model_validate({"kind": "cloudwatch", "namespace": "n", "metric": "m"})
    told = [explain(TooLong("an answer is longer than 8 MiB"), settings) for settings in (probe, gauge)]
    assert told == [
        "an answer is longer than 8 MiB; ask for less at a time: lower bulk, or parallel",
        "an answer is longer than 8 MiB; correct endpoint, which may not be AWS",
    ]
