"""The SQLite probe, and what all SQL probes share: the query's text, and what rows mean."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clients.databases import Refusal
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes._shared.sql_reader import Rows, SqlReader
from evload.probes._shared.sql_rows import BadColumns, BadRow, RowReader
from evload.probes._shared.sql_settings import split_query
from evload.probes.sqlite import SqliteProbeConfig
from evload.spi.context import Surroundings
from evload.testing import check_probe
from tests.rigs.small_system import measure

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
    with suppress(ValueError):
        assert ":ids".join(split_query(query)) == query.rstrip().removesuffix(";")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"query": "SELECT id FROM t"},
            "query holds no :ids, so it asks for no event; ask for them, such as WHERE id IN",
        ),
        (
            {"query": "SELECT id FROM t WHERE id IN (:id)"},
            "query holds no :ids, so it asks for no event; did you mean :ids",
        ),
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
        (Decimal(2), Seen.PRESENT), (b"\x01", Seen.PRESENT), (b"\x00", Seen.ABSENT), (b"0", Seen.ABSENT),
    ],
)  # fmt: skip
def test_visible(value: Any, seen: Seen) -> None:
    ((_, told, *_), *_), _ = judged(["id", "visible"], ["a", value])
    assert told is seen


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 1)], Seen.ENDED),
        ([(1, 1)], Seen.PRESENT),
        ([(0, 0)], Seen.ABSENT),
        ([(0, None)], Seen.ABSENT),
        ([(0, 0), (0, 1)], Seen.ENDED),
        ([(0, 1), (1, 0)], Seen.PRESENT),
        ([(1, 0), (0, 1)], Seen.PRESENT),
    ],
)
def test_a_row_may_say_that_its_event_came_to_another_end(
    rows: Sequence[tuple[int, int | None]], expected: Seen
) -> None:
    named = [(A.correlation_id, visible, ended) for visible, ended in rows]
    (read, other, _), _ = RowReader(["id", "visible", "ended"]).reads(named, (A, B, C), 10, 20)
    assert (read.seen, other.seen) == (expected, Seen.ABSENT)


def test_a_query_without_a_column_ended_can_not_tell_of_it() -> None:
    assert "ended" not in config_of().capabilities.tells
    told = config_of(query="SELECT id, visible, state = 'failed' AS ended FROM jobs WHERE id IN (:ids)")
    assert "ended" in told.capabilities.tells


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


def test_a_time_for_never_is_no_stamp() -> None:
    (never, *_), _ = judged(["consumed_at", "processed_at", "id"], [datetime.max, datetime.min, "a"])
    assert never[5:] == (None, None)


def test_what_stands_where_a_stamp_should_is_told_beside_the_rest() -> None:
    rows: list[list[Any]] = [
        ["1/1/2026", "2026-01-01", "a"],
        [0, "long ago", "b"],
        [None, datetime.max, "c"],
        ["", "1767268800", "d"],
    ]
    targets = [Target(number, row[-1]) for number, row in enumerate(rows)]
    reads, _ = RowReader(["consumed_at", "processed_at", "id"]).reads(rows, targets, 1, 2)
    assert [(read.seen, read.consumed_at, read.processed_at, read.unread_stamp) for read in reads] == [
        (Seen.PRESENT, None, None, "1/1/2026"),
        (Seen.PRESENT, None, None, "long ago"),
        (Seen.PRESENT, None, None, ""),
        (Seen.PRESENT, None, 1_767_268_800 * 10**9, ""),
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

    async def write(correlation_id: str, copies: int) -> None:
        values = ", ".join(["(?1)"] * copies)
        db.execute(f"INSERT INTO placements (id) VALUES {values}", (correlation_id,))

    probe = {
        "kind": "sqlite",
        "path": str(path),
        "query": QUERY,
        "deadline": "8s",
        "confirm": {"reads": 2, "over": "500ms"},
    }
    run = measure(tmp_path, probe, write)
    run.assert_counts()
    run.assert_brackets()
    assert run.summary["ledger"]["duplicated"] == 10
    assert run.summary["reads"]["failed_requests"] == 0
    assert run.summary["reads"]["unexpected_ids"] == 0


def test_conformance_and_special_characters(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop
    odd = ["it's", 'say "hi"', "a,b", "%s :ids $1 ?", "\\", "ü☃", "'); DROP TABLE placements; --", ""]
    db.executemany("INSERT INTO placements (id) VALUES (?)", [(text,) for text in odd])
    targets = [Target(number, text) for number, text in enumerate([*odd, "missing"])]
    reads = asyncio.run(check_probe(config_of(path, bulk=4), SystemClock(), targets))
    assert [reads[number].seen for number in range(len(odd))] == [Seen.PRESENT] * len(odd)
    assert reads[len(odd)].seen is Seen.ABSENT


def test_more_ids_than_sqlite_has_parameters(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop
    db.execute("INSERT INTO placements (id) VALUES ('39999')")
    result = read_from(config_of(path, bulk=40_000), [Target(seq, str(seq)) for seq in range(40_000)])
    assert [read.seq for read in result.reads if read.seen is Seen.PRESENT] == [39_999]


def test_the_file_may_be_named_relative_to_the_config(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, _ = shop

    async def run() -> ReadResult:
        async with config_of(path.name).open(Surroundings(SystemClock(), "r-1", path.parent)) as probe:
            return await probe.read([A])

    assert asyncio.run(run()).reads[0].seen is Seen.ABSENT


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT idd FROM placements WHERE id IN (:ids)", "the query is wrong: no such column: idd; correct query"),
        ("SELECT id FROM nowhere WHERE id IN (:ids)", "the query is wrong: no such table: nowhere; correct query"),
        ("SELEC id WHERE id IN (:ids)", 'the query is wrong: near "SELEC": syntax error; correct query'),
        ("SELECT n FROM placements WHERE id IN (:ids)", "the query has an unknown column 'n'; known columns"),
        (
            "DELETE FROM placements WHERE id IN (:ids) RETURNING id",
            "the query writes: attempt to write a readonly database; write a SELECT",
        ),
        (
            "WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id FROM r) SELECT id FROM r WHERE id IN (:ids)",
            "statement timeout: the query took longer than 1 s; add an index",
        ),
    ],
)
def test_a_query_that_can_not_be_asked(shop: tuple[Path, sqlite3.Connection], query: str, told: str) -> None:
    path, _ = shop
    with pytest.raises(TargetError) as caught:
        read_from(config_of(path, query, statement_timeout="1s"))
    assert str(caught.value).startswith(f"can't ask {path}: {told}")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_database(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="unable to open database file; correct path"):
        read_from(config_of(tmp_path / "missing.db"))
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(TargetError, match="file is not a database; name a file of SQLite"):
        read_from(config_of(tmp_path / "text"))


def test_failures_in_the_middle_are_failed_reads(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop
    db.execute("PRAGMA journal_mode = delete")
    config = config_of(path, "SELECT id, n AS effects FROM placements WHERE id IN (:ids)", statement_timeout="1s")

    async def run() -> list[ReadResult]:
        async with config.open(Surroundings(SystemClock(), "r-1", Path())) as probe:
            results = [await probe.read([A, B])]
            db.execute("BEGIN EXCLUSIVE")
            results.append(await probe.read([A, B]))
            db.execute("INSERT INTO placements (id, n) VALUES ('a', 1), ('b', 'many')")
            db.execute("COMMIT")
            results += [await probe.read([A]), await probe.read([A, B])]
            db.execute("DROP TABLE placements")
            return [*results, await probe.read([A, B])]

    good, locked, one, bad_row, dropped = asyncio.run(run())
    assert [read.seen for read in good.reads] == [Seen.ABSENT] * 2
    assert (one.reads[0].seen, one.reads[0].effects) == (Seen.PRESENT, 1)
    for failed, told in (
        (locked, "statement timeout: the file was locked for longer than 1 s"),
        (bad_row, "column 'effects' holds text, not a number"),
        (dropped, "the query is wrong: no such table: placements"),
    ):
        assert [read.seen for read in failed.reads] == [Seen.FAILED] * 2
        assert failed.error == told


class Slow:
    """A database whose answers wait until they are let go, and its one kind of connection."""

    where = "slow"
    errors: tuple[type[Exception], ...] = (KeyError,)
    usable = True

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.connected = self.dropped = self.busy = self.busiest = 0

    async def connect(self) -> Slow:
        self.connected += 1
        return self

    def explain(self, error: Exception) -> Refusal:
        return Refusal("refused", "ask again")

    async def ask(self, ids: Sequence[str]) -> Rows:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self.go.wait()
        finally:
            self.busy -= 1
        if "b" in ids:
            raise KeyError
        return Rows(("id",), [("a",)])

    def drop(self) -> None:
        self.dropped += 1


def test_reads_share_the_pool_and_a_read_that_waits_too_long_fails() -> None:
    async def run() -> None:
        slow = Slow()
        reader = SqlReader(config_of(pool=2, statement_timeout="1s"), slow, SystemClock())
        under_way = [asyncio.create_task(reader.read([A])) for _ in range(2)]
        await asyncio.sleep(0)
        exhausted = await reader.read([A])
        assert exhausted.reads[0].seen is Seen.FAILED
        assert exhausted.error == "pool exhausted: none of 2 connections was free within 1 s"
        slow.go.set()
        more = [asyncio.create_task(reader.read([A])) for _ in range(20)]
        assert {(await task).reads[0].seen for task in (*under_way, *more)} == {Seen.PRESENT}
        assert (slow.connected, slow.busiest) == (2, 2)
        reader.close()
        assert slow.dropped == 2

    asyncio.run(run())


def test_a_refusal_keeps_the_connection_and_a_cancelled_read_drops_it() -> None:
    async def run() -> None:
        slow = Slow()
        reader = SqlReader(config_of(pool=1), slow, SystemClock())
        cancelled = asyncio.create_task(reader.read([A]))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert (slow.connected, slow.dropped) == (1, 1)
        slow.go.set()
        refused = await reader.read([B])
        assert (refused.reads[0].seen, refused.error) == (Seen.FAILED, "refused")
        assert (await reader.read([A])).reads[0].seen is Seen.PRESENT
        assert (slow.connected, slow.dropped) == (2, 1)
        reader.close()

    asyncio.run(run())


def test_no_thread_is_left(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, _ = shop
    read_from(config_of(path))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("evload-sqlite")]


# --- by the id that the target gave -------------------------------------------------------------------------


def test_it_asks_by_what_the_producer_captured(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop
    db.execute("INSERT INTO placements (id, n) VALUES ('ord-1', 17), ('a', 18), ('ord-1', 17)")
    taken = [Target(1, "a", "ord-1"), Target(2, "b", "ord-2"), Target(3, "c")]
    result = read_from(config_of(path, by="capture"), taken)
    assert [facts(read)[:3] for read in result.reads] == [
        (1, Seen.PRESENT, 2), (2, Seen.ABSENT, None), (3, Seen.FAILED, None),
    ]  # fmt: skip
    assert (result.error, result.unexpected) == ("the producer captured no id to ask for", 0)
    # By default it asks with ours.
    assert facts(read_from(config_of(path), taken).reads[0])[:3] == (1, Seen.PRESENT, 1)


def test_a_captured_number_is_found_in_a_column_of_numbers(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop
    db.execute("INSERT INTO placements (id, n) VALUES ('x', 17)")
    config = config_of(path, "SELECT n AS id FROM placements WHERE n IN (:ids)", by="capture")
    assert [read.seen for read in read_from(config, [Target(1, "a", "17"), Target(2, "b", "18")]).reads] == [
        Seen.PRESENT, Seen.ABSENT,
    ]  # fmt: skip


def test_without_any_captured_id_nothing_is_asked(shop: tuple[Path, sqlite3.Connection]) -> None:
    result = read_from(config_of(shop[0], by="capture"), [Target(1, "a")])
    assert ([read.seen for read in result.reads], result.error) == (
        [Seen.FAILED], "the producer captured no id to ask for",
    )  # fmt: skip


def test_by_capture_is_declared() -> None:
    assert [config_of(by=by).capabilities.asks_by_capture for by in ("capture", "correlation_id")] == [True, False]
    with pytest.raises(ValidationError):
        config_of(by="id")


def test_a_captured_id_is_data_and_no_sql(shop: tuple[Path, sqlite3.Connection]) -> None:
    path, db = shop
    odd = "x') OR 1=1 --"
    db.execute("INSERT INTO placements (id) VALUES (?)", [odd])
    result = read_from(config_of(path, by="capture"), [Target(1, "a", odd), Target(2, "b", "'")])
    assert [read.seen for read in result.reads] == [Seen.PRESENT, Seen.ABSENT]


@pytest.mark.parametrize("by_capture", [True, False])
@pytest.mark.parametrize("written", ["{}", "{{{}}}", "urn:uuid:{}"])
@pytest.mark.parametrize("hyphens", [True, False])
def test_a_uuid_is_known_again_however_a_row_writes_it(by_capture: bool, written: str, hyphens: bool) -> None:
    uuid = "B1F6F7A2-4E1C-4C80-9000-0000000000AB"
    row = written.format(uuid if hyphens else uuid.replace("-", ""))
    target = Target(1, "a", uuid.lower()) if by_capture else Target(1, uuid.lower())
    reads, unexpected = RowReader(["id"], by_capture).reads([[row]], [target], 0, 1)
    assert (reads[0].seen, unexpected) == (Seen.PRESENT, 0)
    assert RowReader(["id"], by_capture).reads([["other"]], [target], 0, 1)[1] == 1
