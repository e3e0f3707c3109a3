"""What steps that wait have looked for in rows and stored values, against real databases."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import Target
from evload.probes.dynamodb import DynamodbProbeConfig
from evload.probes.postgres import PostgresProbeConfig
from evload.probes.redis import RedisProbeConfig
from evload.probes.s3 import S3ProbeConfig
from evload.probes.sqlite import SqliteProbeConfig
from evload.spi.context import Surroundings
from evload.spi.probe import ProbeSettings
from tests.probes.test_probe_dynamodb import make_table
from tests.servers.aws_server import ENVIRONMENT, REGION, AwsServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

S: Final = 1_000_000_000
PRESENT, ABSENT, FAILED, ENDED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED, Seen.ENDED
Said = tuple[Seen, Mapping[str, Any] | None]
COLUMNS: Final = "id, status, total, failed"
ORDERS: Final = """\
CREATE TABLE orders (id text, status text, total numeric(9, 2), failed boolean, at timestamp);
INSERT INTO orders VALUES ('o-1', 'paid', 12.50, false, '2026-01-31 12:00:00'), ('o-2', 'new', 3, false, NULL),
    ('o-3', 'new', 3, true, NULL), ('o-4', 'new', 1, false, NULL), ('o-4', 'paid', 2, false, NULL);
"""


def said(config: ProbeSettings, *ids: str) -> list[Said]:
    """What a probe says of each id, as a step asks for it."""

    async def main() -> list[Said]:
        async with config.open(Surroundings(SystemClock(), "r-1", Path())) as probe:
            size = min(config.bulk, len(ids))
            targets = [Target(number, text, text) for number, text in enumerate(ids)]
            portions = [await probe.read(targets[at : at + size]) for at in range(0, len(ids), size)]
            assert [one.error for one in portions] == [""] * len(portions)
            return [(read.seen, read.captured) for one in portions for read in one.reads]

    return asyncio.run(main())


def refused(config: ProbeSettings) -> str:
    with pytest.raises(TargetError) as told:
        said(config, "o-1")
    return str(told.value)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(ORDERS)
    return path


def sqlite_of(path: Path, columns: str = COLUMNS) -> SqliteProbeConfig:
    query = f"SELECT {columns} FROM orders WHERE id IN (:ids)"
    return SqliteProbeConfig.model_validate({"kind": "sqlite", "path": str(path), "query": query})


# --- rows, by their columns -----------------------------------------------------------------------------------


def test_a_row_is_looked_at_by_its_columns(shop: Path) -> None:
    waited = sqlite_of(shop).waiting("status == 'paid'", S, {"sum": "total", "all": "[id, status]"})
    assert said(waited, "o-1", "o-2", "o-5", "o-4") == [
        (PRESENT, {"sum": 12.5, "all": ["o-1", "paid"]}), (ABSENT, None), (ABSENT, None),
        (PRESENT, {"sum": 2, "all": ["o-4", "paid"]}),
    ]  # fmt: skip


def test_columns_that_a_probe_knows_mean_what_they_do(shop: Path) -> None:
    columns = "id, status, status = 'paid' AS visible, failed AS ended"
    assert said(sqlite_of(shop, columns).waiting(None, S, {"was": "status"}), "o-1", "o-2", "o-3") == [
        (PRESENT, {"was": "paid"}), (ABSENT, None), (ENDED, None)
    ]  # fmt: skip
    by_until = sqlite_of(shop, columns).waiting("status == 'new'", S, {})
    assert said(by_until, "o-1", "o-2") == [(ABSENT, None), (PRESENT, None)], "until is in place of visible"


def test_a_column_that_is_not_there_is_told_before_anything_is_sent(shop: Path) -> None:
    told = refused(sqlite_of(shop).waiting("stauts == 'paid'", S, {}))
    assert told.endswith(": until looks at 'stauts', and the query has no such column; did you mean 'status'?")
    told = refused(sqlite_of(shop, "id, status").waiting(None, S, {"sum": "price"}))
    assert told.endswith("capture sum looks at 'price', and the query has no such column; its columns are id, status")


def test_what_is_likely_meant_for_the_probe_is_refused_as_ever(shop: Path) -> None:
    typo = sqlite_of(shop, "id, status = 'paid' AS visble")
    told = "the query has an unknown column 'visble'; did you mean 'visible'?"
    for config in (typo, typo.waiting(None, S, {}), typo.following):
        assert refused(config).endswith(told)
    assert said(typo.waiting("visble", S, {}), "o-1", "o-2") == [(PRESENT, None), (PRESENT, None)], "0 is true"
    assert said(sqlite_of(shop).following, "o-1") == [(PRESENT, None)]
    assert "unknown column 'status'" in refused(sqlite_of(shop))


def test_rows_of_postgres(postgres: PostgresServer) -> None:
    postgres.execute(f"DROP TABLE IF EXISTS orders; {ORDERS}")
    query = "SELECT id, status, total, at, ARRAY[total] AS parts FROM orders WHERE id = ANY(:ids)"
    config = PostgresProbeConfig.model_validate({"kind": "postgres", "url": postgres.owner, "query": query})
    captures = {"sum": "total", "when": "at", "first": "parts[0]"}
    assert said(config.waiting("status == 'paid' && total > `2`", S, captures), "o-1", "o-2", "o-4") == [
        (PRESENT, {"sum": 12.5, "when": "2026-01-31T12:00:00", "first": 12.5}), (ABSENT, None), (ABSENT, None),
    ]  # fmt: skip


# --- stored values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", [{"key": "o:{correlation_id}"}, {"hash": "orders", "field": "{correlation_id}"}], ids=["key", "hash"]
)
def test_values_of_redis(redis: RedisServer, where: Mapping[str, str]) -> None:
    redis.client.flushall()
    values = {"o-1": '{"status": "paid", "invoice": {"id": 7}}', "o-2": '{"status": "new"}', "o-3": "paid"}
    for name, value in values.items():
        redis.client.set(f"o:{name}", value)
        redis.client.hset("orders", name, value)
    config = RedisProbeConfig.model_validate({"kind": "redis", "url": redis.url, **where})
    waited = config.waiting("status == 'paid'", S, {"invoice": "invoice.id", "was": "status"})
    assert said(waited, "o-1", "o-2", "o-3", "o-4") == [
        (PRESENT, {"invoice": 7, "was": "paid"}), (ABSENT, None), (ABSENT, None), (ABSENT, None),
    ]  # fmt: skip
    assert said(config.waiting("@ == 'paid'", S, {}), "o-1", "o-3") == [(ABSENT, None), (PRESENT, None)]
    assert said(config.waiting(None, S, {"all": "@"}), "o-3") == [(PRESENT, {"all": "paid"})]
    assert said(config.following, "o-2") == [(PRESENT, None)]


def test_a_stream_can_not_be_asked() -> None:
    stream = {"kind": "redis", "url": "redis://localhost", "stream": "done", "field": "id"}
    config = RedisProbeConfig.model_validate(stream)
    told = "nobody can ask a stream about an id; name a probe that looks at a key or a hash"
    with pytest.raises(ValueError, match=told):
        config.waiting(None, S, {})
    with pytest.raises(ValueError, match=told):
        _ = config.following


def test_objects_of_s3(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="waited", CreateBucketConfiguration={"LocationConstraint": REGION})
    for name in ("o-1", "o-2"):
        s3.put_object(Bucket="waited", Key=name, Body=b'{"status": "%s"}' % (b"paid" if name == "o-1" else b"new"))
    config = S3ProbeConfig.model_validate(
        {"kind": "s3", "endpoint": aws.url, "region": REGION, "bucket": "waited", "key": "{correlation_id}"}
    )
    waited = config.waiting("status == 'paid'", S, {"was": "status"})
    assert said(waited, "o-1", "o-2", "o-3") == [(PRESENT, {"was": "paid"}), (ABSENT, None), (ABSENT, None)]
    assert said(config.waiting(None, S, {"was": "status"}), "o-2") == [(PRESENT, {"was": "new"})]
    assert said(config.waiting(None, S, {}), "o-2") == [(PRESENT, None)]


@pytest.mark.parametrize("which", ["until", "capture"])
def test_an_expression_that_does_not_compile_is_told(which: str, tmp_path: Path) -> None:
    stored = RedisProbeConfig.model_validate({"kind": "redis", "url": "redis://localhost", "key": "{correlation_id}"})
    configs: Sequence[ProbeSettings] = [sqlite_of(tmp_path / "none.db"), stored]
    for config in configs:
        with pytest.raises(ValueError, match="is not JMESPath"):
            config.waiting("a =" if which == "until" else None, S, {} if which == "until" else {"x": "a ="})


def test_items_of_dynamodb(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    dynamodb = make_table(aws, "waited", pk="S")
    for name, status in (("o-1", "paid"), ("o-2", "new")):
        item = {"pk": {"S": name}, "status": {"S": status}, "total": {"N": "12.5"}, "beside": {"S": "x"}}
        dynamodb.put_item(TableName="waited", Item=item)
    config = DynamodbProbeConfig.model_validate(
        {
            "kind": "dynamodb",
            "endpoint": aws.url,
            "region": REGION,
            "table": "waited",
            "key": {"pk": "{correlation_id}"},
        }
    )
    waited = config.waiting("status == 'paid'", S, {"sum": "total", "more": "beside"})
    assert said(waited, "o-1", "o-2", "o-3") == [
        (PRESENT, {"sum": 12.5, "more": "x"}),
        (ABSENT, None),
        (ABSENT, None),
    ]
