"""A ledger file that somebody hands us: what no run writes is named in one line, and never takes over."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from evload.errors import UsageError
from evload.formats.csv import CsvFormat
from evload.formats.markdown import markdown
from evload.ledger.reader import LedgerReader
from evload.ledger.replay import sound
from evload.report.build import build_again
from evload.report.document import as_json
from evload.sandbox.settings import SandboxSettings
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulation
from tests.rigs.shares import seeds
from tests.rigs.worlds import QUICK

PLANTED: Final = {
    "visibility": QUICK,
    "replicas": [{"name": "r1"}, {"name": "r2", "lag": "100ms"}],
    "loss": "5%",
    "duplicates": {"share": "5%", "after": "100ms"},
    "regressions": {"share": "5%", "after": "200ms", "lasting": "300ms"},
    "swaps": "5%",
}
SLOS: Final = ("p99(end_to_end) < 1s", "lost == 0", "duplicates == 0", "out_of_order == 0", "regressions == 0")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of which every table but that of the samples holds something, as a file."""
    path = tmp_path_factory.mktemp("whole") / "events.sqlite"
    world = MemoryWorld(SandboxSettings.model_validate(PLANTED))
    load = ({"rate": "40/s", "for": "5s"},)
    probe = {"bulk": 100, "deadline": "4s"}
    Simulation(world, load=load, probe=probe, slos=SLOS, key="{data.group}", ledger_path=path).run()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO samples VALUES (1000000, 2000000, 'queue', 'queue_depth', 3.0)")
        meta = json.loads(db.execute("SELECT value FROM meta WHERE key = 'gauges'").fetchone()[0])
        meta["queue"] = {"metrics": ["queue_depth"], "scenarios": []}
        db.execute("UPDATE meta SET value = ? WHERE key = 'gauges'", (json.dumps(meta),))
        for table in ("events", "parts", "samples", "reads", "vitals"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() > (0,), table
    return path


def told(path: Path) -> bytes:
    """What is made of a ledger by `evload report`, in three formats."""
    with LedgerReader(path) as reader:
        report = build_again(reader, path.parent)
    markdown(report)
    CsvFormat().files(report)
    return as_json(report)


def refused(path: Path) -> str:
    """The one line that is said instead."""
    with pytest.raises(UsageError) as raised:
        told(path)
    line = str(raised.value)
    assert "\n" not in line
    assert len(line) < len(str(path)) + 250
    return line.removeprefix(f"{path} ")


def changed(whole: Path, directory: Path, *statements: str | tuple[str, Any]) -> Path:
    """The ledger after some statements."""
    path = directory / "events.sqlite"
    path.write_bytes(whole.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(*([statement] if isinstance(statement, str) else statement))
    return path


def test_the_ledger_as_it_was_written_is_told(whole: Path, tmp_path: Path) -> None:
    summary = json.loads(told(changed(whole, tmp_path)))
    assert summary["ledger"]["scheduled"] == 200
    assert [one["result"] for one in summary["objectives"]].count("fail") >= 4


def test_what_somebody_added_for_himself_does_no_harm(whole: Path, tmp_path: Path) -> None:
    own = (
        "CREATE VIEW slow AS SELECT * FROM events",
        "CREATE INDEX by_key ON events (key)",
        "CREATE TABLE notes (n)",
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert told(changed(whole, tmp_path / "a", *own)) == told(changed(whole, tmp_path / "b"))


ENDED: Final = (
    "UPDATE vitals SET facts = json_set(facts, '$.vitals.endings', json_array(json_object('scenario', 'main', "
    "'phase', 0, 'until', 'x == 0', 'start_ns', {start}, 'due_ns', {due}, 'at_ns', {at})))"
)
"""A phase that waited for a gauge."""
CELLS: Final[dict[str, tuple[str, str]]] = {
    "a scenario that there isn't": ("UPDATE events SET scenario = 99 WHERE seq = 3", "in events, scenario is 99"),
    "a scenario before the first": ("UPDATE events SET scenario = -1 WHERE seq = 3", "in events, scenario is -1"),
    "a type that there isn't": ("UPDATE events SET type = 1 WHERE seq = 3", "in events, type is 1"),
    "a probe that there isn't": ("UPDATE parts SET probe = 7", "in parts, probe is 7"),
    "a state that there isn't": ("UPDATE events SET state = 0 WHERE seq = 3", "in events, state is 0"),
    "a state of a part": ("UPDATE parts SET state = 11", "in parts, state is 11"),
    "a session": ("UPDATE events SET session = 3 WHERE seq = 3", "in events, session is 3"),
    "a text for a time": ("UPDATE events SET acked_ns = 'soon' WHERE seq = 3", "in events, acked_ns is 'soon'"),
    "a fraction of a nanosecond": ("UPDATE events SET sent_ns = 0.5 WHERE seq = 3", "in events, sent_ns is 0.5"),
    "a time beyond all": ("UPDATE events SET intended_ns = -9223372036854775807 WHERE seq = 3",
                          "in events, intended_ns is -9223372036854775807"),
    "bytes for a key": ("UPDATE events SET key = x'00ff' WHERE seq = 3", "in events, key is b'\\x00\\xff'"),
    "bytes for a position": ("UPDATE events SET position = x'00' WHERE seq = 3", "in events, position is b'\\x00'"),
    "a long text for a number": ("UPDATE events SET reads = printf('%.*c', 900, 'x') WHERE seq = 3",
                                 "in events, reads is 'xxxxxxxxxx"),
    "a text for a sample": ("UPDATE samples SET value = 'deep'", "in samples, value is 'deep'"),
    "a text for the time of a sample": ("UPDATE samples SET start_ns = 'a'", "in samples, start_ns is 'a'"),
    "bytes for vitals": ("UPDATE vitals SET facts = x'00'", "in vitals, facts is b'\\x00'"),
    "a phase that ended before it began": (ENDED.format(start=5, due=9, at=4),
                                           "a phase from 5 to 9 ns can't end early at 4 ns"),
    "a phase that ended early after its time": (ENDED.format(start=5, due=9, at=1 << 60),
                                                f"a phase from 5 to 9 ns can't end early at {1 << 60} ns"),
    "a phase without a condition": ("UPDATE vitals SET facts = json_set(facts, '$.vitals.endings', json('[{}]'))",
                                    "no 'scenario'"),
    "a text for a number of reads": ("UPDATE reads SET events = 'many'", "in reads, events is 'many'"),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_that_no_run_writes(name: str, whole: Path, tmp_path: Path) -> None:
    statement, said = CELLS[name]
    line = refused(changed(whole, tmp_path, statement))
    assert line.startswith(f"is damaged: {said}")
    assert line.endswith("; use an undamaged copy")


@pytest.mark.parametrize(("letters", "shown"), [(58, "x" * 58 + "'"), (59, "x" * 58 + "…")])
def test_of_a_long_value_sixty_characters_are_shown(letters: int, shown: str, whole: Path, tmp_path: Path) -> None:
    line = refused(changed(whole, tmp_path, f"UPDATE events SET reads = '{'x' * letters}' WHERE seq = 3"))
    assert line == f"is damaged: in events, reads is '{shown}; use an undamaged copy"


@pytest.mark.parametrize("column", ["seq", "intended_ns"])
def test_what_no_row_goes_without_is_asked_for_whatever_the_file_says_of_its_columns(
    column: str, whole: Path, tmp_path: Path
) -> None:
    """A table that was made anew takes cells without a value."""
    path = changed(
        whole, tmp_path,
        "CREATE TABLE copy AS SELECT * FROM events", "DROP TABLE events", "ALTER TABLE copy RENAME TO events",
        f"UPDATE events SET {column} = NULL WHERE seq = 3",
    )  # fmt: skip
    assert refused(path) == f"is damaged: in events, {column} is None; use an undamaged copy"


META: Final[dict[str, tuple[str, Any, str]]] = {
    "no scenario": ("plan", [], "plan: List should have at least 1 item"),
    "a plan that is none": ("plan", 7, "plan: Input should be a valid array"),
    "no probes": ("probes", [], "in parts, probe is 0"),
    "an event without a name": ("events", [None], "events.0: Input should be a valid string"),
    "stages of another kind": ("stages", [["main"]], "no 1"),
    "gauges of another kind": ("gauges", ["queue"], "gauges: Input should be an object"),
    "terms without deadlines": ("terms", {"objectives": []}, "no 'deadlines_ns'"),
    "a time that is none": ("started_at", "noon", "Invalid isoformat string: 'noon'"),
}


@pytest.mark.parametrize("name", META)
def test_what_no_run_says_of_itself(name: str, whole: Path, tmp_path: Path) -> None:
    key, value, said = META[name]
    path = changed(whole, tmp_path, ("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(value), key)))
    assert refused(path).startswith(f"is damaged: {said}")


@pytest.mark.parametrize(
    ("broken", "said"),
    [(lambda: dict[str, str]()["terms"], "no 'terms'"), (lambda: [][1], "list index out of range"),
     (lambda: 1 // 0, "integer division or modulo by zero")],
    ids=["a name", "a place", "a number"],
)  # fmt: skip
def test_what_nobody_thought_of_is_named_all_the_same(broken: Callable[[], object], said: str, whole: Path) -> None:
    with LedgerReader(whole) as reader, pytest.raises(UsageError) as raised, sound(reader):
        broken()
    assert str(raised.value) == f"{whole} is damaged: {said}; use an undamaged copy"


@pytest.mark.parametrize(("letters", "shown"), [(172, "x" * 172 + "'"), (173, "x" * 172 + "…")])
def test_of_a_long_reason_two_hundred_characters_are_shown(
    letters: int, shown: str, whole: Path, tmp_path: Path
) -> None:
    statement = "UPDATE meta SET value = ? WHERE key = 'started_at'", (json.dumps("x" * letters),)
    assert refused(changed(whole, tmp_path, statement)) == (
        f"is damaged: Invalid isoformat string: '{shown}; use an undamaged copy"
    )


@pytest.mark.parametrize("where", ["the scenario", "a slice of it"])
def test_steps_that_are_too_many_to_count_in(where: str, whole: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(whole)) as db:
        plan = json.loads(db.execute("SELECT value FROM meta WHERE key = 'plan'").fetchone()[0])
    own = plan[0]["counted"]
    counted = {**own, "steps": [["consistency", 1_000_000_000, 1]]}
    if where == "the scenario":
        plan[0]["counted"] = counted
    else:
        keys = {"label": "a", "counted": counted, "event": None, "key": "a*", "probe": None, "replica": None}
        plan[0]["slices"] = [keys]
    path = changed(whole, tmp_path, ("UPDATE meta SET value = ? WHERE key = 'plan'", (json.dumps(plan),)))
    assert "isn't counted in steps of 1 ns" in refused(path)


ENDLESS: Final = "WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n)"
INSTEAD: Final[dict[str, tuple[Callable[[str], list[str]], str]]] = {
    "a view": (
        lambda table: [
            f"ALTER TABLE {table} RENAME TO own",
            f"CREATE VIEW {table} AS {ENDLESS} SELECT own.* FROM own, n",
        ],
        "is no plain table",
    ),
    "a virtual table": (
        lambda table: [f"DROP TABLE {table}", f"CREATE VIRTUAL TABLE {table} USING fts5(seq, scenario)"],
        "is no plain table",
    ),
    "a column that is worked out": (
        lambda table: [f"ALTER TABLE {table} ADD COLUMN big AS (hex(zeroblob(400000000)))"],
        "has columns that are worked out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", ["meta", "events", "parts", "samples", "reads", "vitals"])
@pytest.mark.parametrize("kind", INSTEAD)
def test_what_is_asked_for_is_a_plain_table(kind: str, table: str, whole: Path, tmp_path: Path) -> None:
    statements, said = INSTEAD[kind]
    line = refused(changed(whole, tmp_path, "PRAGMA legacy_alter_table = ON", *statements(table)))
    assert line == f"isn't a ledger of evload: {table} {said}; name the directory of a run"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET detail = hex(zeroblob(600000)) WHERE seq = 3",
     "UPDATE vitals SET facts = hex(zeroblob(600000))",
     "INSERT INTO samples VALUES (1, 2, hex(zeroblob(600000)), 'm', 1)"],
)  # fmt: skip
def test_a_cell_that_is_too_big_is_not_read(statement: str, whole: Path, tmp_path: Path) -> None:
    assert refused(changed(whole, tmp_path, statement)) == (
        "is damaged: string or blob too big; use an undamaged copy"
    )


def test_ctrl_c_ends_a_query(whole: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with LedgerReader(changed(whole, tmp_path)) as reader:
            asking = reader.rows(f"{ENDLESS} SELECT count(*) FROM n")
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                next(asking)
            assert list(reader.rows("SELECT count(*) FROM events")) == [(200,)], "and no more than that query"
    finally:
        signal.signal(signal.SIGINT, before)


# -- whatever may happen to a file -------------------------------------------------------------------


def told_or_refused(path: Path) -> None:
    """Either is right; anything else is a bug of ours."""
    said = ""
    try:
        told(path)
    except UsageError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("seed", seeds(480, 20))
def test_bytes_of_the_file_are_changed(seed: int, whole: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    content = bytearray(whole.read_bytes())
    for _ in range(rng.choice((1, 3, 30))):
        at, length = rng.randrange(len(content)), rng.choice((1, 4, 200, 4096))
        content[at : at + length] = rng.randbytes(len(content[at : at + length]))
    path = tmp_path / "events.sqlite"
    path.write_bytes(content[: rng.choice((len(content), rng.randrange(len(content))))])
    told_or_refused(path)


VALUES: Final = (
    None, 0, 1, -1, 2, 99, 1 << 40, (1 << 63) - 1, -(1 << 63), 0.5, -1e300, 1e300, float("inf"), "", "x", "7", "\x00",
    b"\xff", b"",
)  # fmt: skip


@pytest.mark.parametrize("seed", seeds(720, 30))
def test_cells_are_changed(seed: int, whole: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = changed(whole, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        table = rng.choice(("events", "events", "events", "parts", "samples", "reads", "vitals"))
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        for _ in range(rng.choice((1, 3))):
            some = rng.choice(("rowid = 1", "1", "rowid % 7 = 0") if table != "parts" else ("seq = 1", "1"))
            try:
                db.execute(f"UPDATE {table} SET {rng.choice(columns)} = ? WHERE {some}", (rng.choice(VALUES),))
            except sqlite3.IntegrityError:
                continue
    told_or_refused(path)


@pytest.mark.parametrize("seed", seeds(1200, 50))
def test_what_a_run_says_of_itself_is_changed(seed: int, whole: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = changed(whole, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        table, key, value = rng.choice(
            [("meta", "key", "value"), ("meta", "key", "value"), ("vitals", "at_ns", "facts")]
        )
        name, text = rng.choice(db.execute(f"SELECT {key}, {value} FROM {table}").fetchall())
        document = [json.loads(text)]
        _change(document, rng)
        db.execute(f"UPDATE {table} SET {value} = ? WHERE {key} = ?", (json.dumps(document[0]), name))
    told_or_refused(path)


def _change(document: Any, rng: random.Random) -> None:
    """Put something else in one place of a JSON document, or take that away."""
    at = document
    while True:
        places = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not places:
            return
        place = rng.choice(places)
        if isinstance(at[place], dict | list) and at[place] and rng.random() < 0.8:
            at = at[place]
            continue
        if isinstance(at, dict) and rng.random() < 0.3:
            del at[place]
        else:
            at[place] = rng.choice(
                [value for value in VALUES if not isinstance(value, bytes)] + [[], {}, ["x"], True]
            )
        return
