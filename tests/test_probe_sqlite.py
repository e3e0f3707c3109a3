"""The SQLite probe, and what all SQL probes share: the query's text, and what rows mean."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model import Read, ReadResult, Seen, Target
from evload.ports import Surroundings
from evload.probes.sql import split_query
from evload.probes.sql_rows import BadColumns, BadRow, RowReader
from evload.probes.sqlite import SqliteProbeConfig
from evload.testing.conformance import check_probe
from small_system import measure

QUERY = "SELECT id FROM placements WHERE id IN (:ids)"
A, B, C = Target(1, "a"), Target(2, "b"), Target(3, "c")


def config_of(path: Path | str = "shop.db", query: str = QUERY, **settings: Any) -> SqliteProbeConfig:
    return SqliteProbeConfig.model_validate({"kind": "sqlite", "path": str(path), "query": query, **settings})


def read_from(config: SqliteProbeConfig, targets: Sequence[Target] = (A, B, C)) -> ReadResult:
    async def run() -> ReadResult:
        async with config.open(Surroundings(SystemClock(), "r-1", Path())) as probe:
            return await probe.read(targets)

    return asyncio.run(run())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE placements (id TEXT, file_url TEXT, n INTEGER, at TEXT)")
        yield path, db


def facts(read: Read) -> tuple[Any, ...]:
    """All that a read says beside its stamps."""
    return (read.seq, read.seen, *read[4:9])


# --- the text of the query ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "pieces"),
    [
        ("SELECT :ids", ["SELECT ", ""]),
        ("SELECT id FROM t WHERE id = ANY(:ids);  ", ["SELECT id FROM t WHERE id = ANY(", ")"]),
        ("a IN (:ids) OR b IN (:ids)", ["a IN (", ") OR b IN (", ")"]),
        ("x::ids = ':ids' AND \":ids\" = 'it''s :ids' -- :ids\n/* :ids ; */ AND y = $$:ids;$$", None),
        ("x = $q$ :ids $ $q$ AND id = ANY(:ids::uuid[])", ["x = $q$ :ids $ $q$ AND id = ANY(", "::uuid[])"]),
        ("`:ids` :ids", ["`:ids` ", ""]),
        (":idsx :ids", [":idsx ", ""]),
    ],
)
def test_the_ids_are_found_where_they_are_a_placeholder(query: str, pieces: list[str] | None) -> None:
    assert split_query(query) == (pieces or [query])


@given(st.text(alphabet="a'\"`:;-/*$ \nids", max_size=30))
def test_splitting_never_loses_a_character(query: str) -> None:
    try:
        pieces = split_query(query)
    except ValueError as error:
        assert "; " in str(error)
    else:
        assert ":ids".join(pieces) == query.rstrip().removesuffix(";")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"query": "SELECT id FROM t"}, "query holds no :ids, so it asks for no event; ask for them, such as WHERE id IN"),
        ({"query": "SELECT id FROM t WHERE id IN (:id)"}, "query holds no :ids, so it asks for no event; did you mean :ids"),
        ({"query": "SELECT ':ids'"}, "query holds no :ids"),
        ({"query": "SELECT 1; SELECT :ids"}, "query is more than one statement; write one SELECT"),
        ({"query": "SELECT id FROM t WHERE id = ANY(:ids)"}, "can't take a list; write IN (:ids)"),
        ({"query": "SELECT id FROM t WHERE id = :ids"}, "can't take a list; write IN (:ids)"),
        ({"query": "SELECT id FROM t WHERE id IN :ids"}, "can't take a list; write IN (:ids)"),
        ({"query": ""}, "at least 1 character"),
        ({"pool": 0}, "greater than or equal to 1"),
        ({"statement_timeout": "5"}, "is not a duration"),
        ({"bulk": 0}, "greater than or equal to 1"),
        ({"pool": 2, "parallel": 500}, "500 reads at a time can't share 2 connections; raise pool"),
        ({"url": "x"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqliteProbeConfig.model_validate({"kind": "sqlite", "path": "x", "query": QUERY, **settings})
    assert told in str(caught.value)


def test_as_many_reads_at_a_time_as_the_pool_has() -> None:
    assert config_of().parallel == config_of().pool == 4
    assert config_of(pool=9).parallel == 9
    assert config_of(pool=9, parallel=3).parallel == 3


# --- what rows mean -----------------------------------------------------------------------------------------


def judged(columns: Sequence[str], *rows: Sequence[Any]) -> tuple[list[tuple[Any, ...]], int]:
    reads, unexpected = RowReader(columns).reads(rows, (A, B, C), 10, 20)
    assert all((read.start_ns, read.end_ns, read.exact) == (10, 20, False) for read in reads)
    return [facts(read) for read in reads], unexpected


NOTHING = (None, None, None, None, None)
ONE_EFFECT = (1, None, None, None, None)


def test_a_row_is_a_visible_event_and_an_effect() -> None:
    reads, unexpected = judged(["id"], ["a"], ["c"], ["c"], ["z"], ["y"], ["y"])
    assert reads == [
        (1, Seen.PRESENT, *ONE_EFFECT),
        (2, Seen.ABSENT, *NOTHING),
        (3, Seen.PRESENT, 2, None, None, None, None),
    ]
    assert unexpected == 2


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (True, Seen.PRESENT), (False, Seen.ABSENT), (1, Seen.PRESENT), (0, Seen.ABSENT), (None, Seen.ABSENT),
        (Decimal(2), Seen.PRESENT), (b"\x01", Seen.PRESENT), (b"\x00", Seen.ABSENT),
    ],
)  # fmt: skip
def test_visible(value: Any, seen: Seen) -> None:
    ((_, told, *_), *_), _ = judged(["id", "visible"], ["a", value])
    assert told is seen


def test_rows_of_which_some_are_visible() -> None:
    reads, _ = judged(
        ["ID", "Visible", "effects", "replica"],
        ["a", 0, 5, "eu-1"], ["a", 1, 2, "eu-2"], ["a", 1, 3, "eu-3"], ["b", 0, 1, "eu-1"], ["c", 1, None, ""],
    )  # fmt: skip
    assert reads == [
        (1, Seen.PRESENT, 5, "eu-2", None, None, None),
        (2, Seen.ABSENT, None, "eu-1", None, None, None),
        (3, Seen.PRESENT, *NOTHING),
    ]


def test_figures_and_stamps() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    ns = 1_767_268_800 * 10**9
    columns = ["position", "consumed_at", "processed_at", "id", "replica"]
    reads, _ = judged(
        columns,
        [Decimal("17.5"), noon, noon.replace(tzinfo=None) + timedelta(microseconds=1), "a", 3],
        [Decimal(2**60), "2026-01-01 12:00:00", "2026-01-01T14:00:00+02:00", "b", None],
        [4, ns // 10**9, noon.astimezone(timezone(timedelta(hours=-5))), "c", "eu"],
    )
    assert [read[3:] for read in reads] == [
        ("3", 17.5, ns, ns + 1000),
        (None, 2**60, ns, ns),
        ("eu", 4, ns, ns),
    ]


def test_ids_in_other_shapes_are_the_same_ids() -> None:
    text = "01234567-89ab-8cde-8000-00000000002a"
    target = Target(42, text)
    for shape in (UUID(text), text.upper(), text.encode()):
        (read,), unexpected = RowReader(["id"]).reads([[shape]], [target], 1, 2)
        assert (read.seen, unexpected) == (Seen.PRESENT, 0)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (["file_url"], "unknown column 'file_url'; known columns: id, visible"),
        (["id", "efects"], "unknown column 'efects'; did you mean 'effects'?"),
        (["effects"], "the query has no column 'id'; call the one with the correlation id so"),
        (["id", "ID"], "the query has 2 columns 'id'; keep one"),
    ],
)
def test_bad_columns(columns: list[str], told: str) -> None:
    with pytest.raises(BadColumns) as caught:
        RowReader(columns)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("visible", "yes", "column 'visible' holds text; select a condition"),
        ("effects", "3", "column 'effects' holds text, not a number"),
        ("effects", True, "column 'effects' holds a truth value, not a number"),
        ("effects", float("nan"), "column 'effects' holds a number, not a number"),
        ("position", datetime(2026, 1, 1), "column 'position' holds a time, not a number"),
        ("replica", 1.5, "column 'replica' holds a number, not a name"),
    ],
)
def test_bad_rows(column: str, value: Any, told: str) -> None:
    with pytest.raises(BadRow) as caught:
        judged(["id", column], ["a", value])
    assert told in str(caught.value)


@pytest.mark.parametrize(("value", "told"), [(None, "holds null"), (1.5, "holds a number"), (b"\xff", "no text")])
def test_bad_ids(value: Any, told: str) -> None:
    with pytest.raises(BadRow) as caught:
        judged(["id"], [value])
    assert told in str(caught.value)


# --- SQLite itself ------------------------------------------------------------------------------------------


def test_a_run_finds_exactly_what_a_worker_wrote(tmp_path: Path, shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop

    async def write(correlation_id: str, copy: int) -> None:
        db.execute("INSERT INTO placements (id, n) VALUES (?, ?)", (correlation_id, copy))

    probe = {"kind": "sqlite", "path": str(path), "query": QUERY, "deadline": "2s", "confirm": {"reads": 2, "over": "500ms"}}
    run = measure(tmp_path, probe, write)
    run.assert_counts()
    run.assert_brackets()
    assert run.summary["ledger"]["duplicated"] == 10
    assert run.summary["probes"]["failed_requests"] == 0
    assert run.summary["probes"]["unexpected_ids"] == 0
