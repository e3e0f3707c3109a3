"""What stores say of the version that they show, and that they are asked too much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes._shared.sql_rows import BadRow, RowReader
from evload.probes._shared.stored_value import BadValue, ValueReader
from evload.probes.dynamodb import DynamodbProbeConfig
from evload.probes.redis import RedisProbeConfig
from evload.probes.s3 import S3ProbeConfig
from evload.probes.sqlite import SqliteProbeConfig
from evload.spi.context import Surroundings
from evload.spi.probe import ProbeSettings
from tests.servers.aws_server import REGION
from tests.servers.httpserver import Request, Step, answer, serving
from tests.servers.redis_server import RedisServer

RUN: Final = Surroundings(SystemClock(), "r-1", Path())
A, B, C = (Target(seq, RUN.ids.id_of(seq)) for seq in (1, 2, 3))
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED


def rows(columns: str, *found: Sequence[Any]) -> list[Read]:
    return RowReader(columns.split()).reads(found, [A, B, C], 5, 6)[0]


def test_a_version_column() -> None:
    present, absent, missing = rows(
        "id visible version", (A.correlation_id, True, 3), (B.correlation_id, False, Decimal(4))
    )
    assert (present.seen, present.effects, present.version, present.exact) == (PRESENT, 1, 3, False)
    assert (absent.seen, absent.version) == (ABSENT, 4)
    assert (missing.seen, missing.version) == (ABSENT, None)
    full = rows("id processed_at VERSION position", (A.correlation_id, 1767225601, None, 9))[0]
    assert full[4:11] == (1, None, 9, None, 1_767_225_601_000_000_000, False, None)
    with pytest.raises(BadRow, match="column 'version' holds text, not a number"):
        rows("id version", (A.correlation_id, "3"))


@pytest.mark.parametrize(
    ("columns", "tells"),
    [
        ("id, n AS version", True),
        ("id, Version", True),
        ("*", True),
        ("id", False),
        ("id, version_of_rows AS n", False),
    ],
)
def test_a_query_that_may_tell_versions(columns: str, tells: bool) -> None:
    query = f"SELECT {columns} FROM t WHERE id IN (:ids)"
    config = SqliteProbeConfig.model_validate({"kind": "sqlite", "path": "x", "query": query})
    assert ("version" in config.capabilities.tells) is tells


def test_the_version_in_a_stored_value() -> None:
    reader = ValueReader("state == 'done'", None, "n")
    assert reader.fields == frozenset({"state", "n"})
    assert not ValueReader(None, None, "n").indifferent

    done, begun = reader.judge({"state": "done", "n": 3}), reader.judge({"state": "begun", "n": 2})
    assert (done.seen, done.effects, done.version) == (PRESENT, None, 3)
    assert (begun.seen, begun.version) == (ABSENT, 2)
    assert reader.judge({"state": "done"}).version is None
    with pytest.raises(BadValue, match="version 'n' gives a boolean, not a number"):
        reader.judge({"n": True})


def test_a_stored_value_may_say_that_its_event_came_to_another_end() -> None:
    reader = ValueReader("state == 'done'", None, ended="state == 'failed'")
    assert [reader.judge({"state": state}).seen for state in ("done", "failed", "new")] == [
        Seen.PRESENT, Seen.ENDED, Seen.ABSENT,
    ]  # fmt: skip
    assert (reader.indifferent, reader.fields) == (False, frozenset({"state"}))
    assert not ValueReader(None, None, ended="state == 'failed'").indifferent


@pytest.mark.parametrize("key", ["version", "ended"])
def test_entries_of_a_stream_stay_as_they_are(key: str) -> None:
    stream = {"kind": "redis", "url": "redis://h", "stream": "s", "field": "f", key: "n"}
    with pytest.raises(ValidationError, match=f"{key} belongs to a key or a hash; entries of a stream are never"):
        RedisProbeConfig.model_validate(stream)


def test_the_version_in_redis(redis: RedisServer) -> None:
    async def run(url: str) -> ReadResult:
        where = {"hash": "p:{correlation_id}", "field": "state"}
        config = RedisProbeConfig.model_validate({"kind": "redis", "url": url, "version": "n"} | where)
        async with config.open(RUN) as probe:
            return await probe.read([A, B])

    redis.client.hset(f"p:{A.correlation_id}", "state", '{"n": 3}')
    result = asyncio.run(run(redis.url))
    assert [(read.seen, read.version, read.exact) for read in result.reads] == [
        (PRESENT, 3, False), (ABSENT, None, False),
    ]  # fmt: skip


# --- AWS ----------------------------------------------------------------------------------------------------


@pytest.fixture
def _aws(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evload.clients.aws._RETRIES", {"mode": "standard", "max_attempts": 1})


Script = Callable[[Request], Sequence[bytes | float | Step]]


def read_from(script: Script, config: Callable[[str], ProbeSettings], *targets: Target) -> ReadResult:
    """What is read from a server that answers like this from its third request on."""
    asked: list[Request] = []

    def after_the_beginning(request: Request) -> Sequence[bytes | float | Step]:
        asked.append(request)
        if request.headers.get("x-amz-target", "").endswith("DescribeTable"):
            return [answer(400, json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode())]
        if request.method == "HEAD" and request.target.strip("/") == "b-1":
            return [answer(200)]
        return script(request) if len(asked) > 2 or request.method != "POST" else [dynamodb_answer()]

    async def run() -> ReadResult:
        async with serving(after_the_beginning) as server, config(server.url).open(RUN) as probe:
            return await probe.read(targets)

    return asyncio.run(run())


def dynamodb_answer(*items: Any) -> bytes:
    return answer(200, json.dumps({"Responses": {"t-1": items}}).encode(), "Content-Type: application/x-amz-json-1.0")


def dynamodb(url: str, **settings: Any) -> DynamodbProbeConfig:
    return DynamodbProbeConfig.model_validate(
        {"kind": "dynamodb", "endpoint": url, "region": REGION, "table": "t-1", "key": {"pk": "{correlation_id}"}}
        | settings
    )


def s3(url: str, **settings: Any) -> S3ProbeConfig:
    where = {"bucket": "b-1", "key": "{correlation_id}"}
    return S3ProbeConfig.model_validate({"kind": "s3", "endpoint": url, "region": REGION} | where | settings)


@pytest.mark.usefixtures("_aws")
def test_the_version_of_an_item() -> None:
    item = {"pk": {"S": A.correlation_id}, "n": {"N": "3"}}
    result = read_from(lambda _: [dynamodb_answer(item)], lambda url: dynamodb(url, version="n"), A, B)
    assert [(read.seen, read.version) for read in result.reads] == [(PRESENT, 3), (ABSENT, None)]
    assert not result.throttled


@pytest.mark.usefixtures("_aws")
@pytest.mark.parametrize(
    ("code", "throttled"),
    [
        ("ProvisionedThroughputExceededException", True),
        ("ThrottlingException", True),
        ("RequestLimitExceeded", True),
        ("AccessDeniedException", False),
        ("InternalServerError", False),
    ],
)
def test_a_table_that_is_asked_too_much(code: str, throttled: bool) -> None:
    refusal = answer(400, json.dumps({"__type": code, "message": "no"}).encode())
    result = read_from(lambda _: [refusal], dynamodb, A, B)
    assert [read.seen for read in result.reads] == [FAILED, FAILED]
    assert (result.throttled, result.retry_ns) == (throttled, 0)
    assert result.error


@pytest.mark.usefixtures("_aws")
def test_keys_that_stay_unprocessed_were_too_many() -> None:
    def leave_one(request: Request) -> Sequence[bytes | float | Step]:
        *_, last = json.loads(request.body)["RequestItems"]["t-1"]["Keys"]
        document = {"Responses": {"t-1": []}, "UnprocessedKeys": {"t-1": {"Keys": [last]}}}
        return [answer(200, json.dumps(document).encode())]

    result = read_from(leave_one, dynamodb, A, B)
    assert [read.seen for read in result.reads] == [ABSENT, FAILED]
    assert result.throttled


def error_document(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.usefixtures("_aws")
@pytest.mark.parametrize(
    ("settings", "reply", "throttled"),
    [
        ({}, answer(503), True),
        ({}, answer(500), False),
        ({}, answer(403), False),
        ({"content": "@"}, answer(503, error_document("SlowDown")), True),
        ({"content": "@"}, answer(503, error_document("ServiceUnavailable")), True),
        ({"content": "@"}, answer(403, error_document("AccessDenied")), False),
    ],
)
def test_a_bucket_that_is_asked_too_much(settings: dict[str, Any], reply: bytes, throttled: bool) -> None:
    result = read_from(lambda _: [reply], lambda url: s3(url, **settings), A)
    assert [read.seen for read in result.reads] == [FAILED]
    assert result.throttled is throttled
