"""The ledger file: what goes in comes out, also while it is written, after a crash, and when the disk is full."""

from __future__ import annotations

import dataclasses
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.errors import OutputError, UsageError
from evload.ledger.columns import portions, stamped
from evload.ledger.reader import LedgerReader, sample
from evload.ledger.schema import COLUMNS, SCHEMA, insertions
from evload.ledger.writer import IncompleteLedger, LedgerFile
from evload.model.states import Seen, State
from evload.model.travel import Observation, Part, told_of
from tests.rigs.ledgers import begun

START = 5_000_000_000
TIMES = [field.name for field in dataclasses.fields(Observation) if field.name.endswith("_ns")]


def shifted(seen: Observation, by_ns: int) -> dict[str, Any]:
    """All of an observation, its times moved."""
    fields = {name: getattr(seen, name) for name in (one.name for one in dataclasses.fields(seen))}
    return {name: value + by_ns if name in TIMES and value is not None else value for name, value in fields.items()}


def visible(seq: int, scenario: int = 0) -> Observation:
    return Observation(seq, scenario, 0, State.VISIBLE, START + seq, settled_ns=START + seq + 10)


def write(path: Path, *batches: list[Observation], **meta: Any) -> None:
    ledger = begun(path, START, meta)
    for batch in batches:
        ledger.append(batch)
    ledger.close()


def read(path: Path, scenario: int = 0) -> list[Observation]:
    with LedgerReader(path) as reader:
        return list(reader.observations(scenario))


def rows(*batches: list[Observation]) -> list[tuple[str, ...]]:
    """The rows of some events, as they are stored."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        for statement, values in chain.from_iterable(insertions(batch, START) for batch in batches):
            db.execute(statement, values)
        return [tuple(map(repr, row)) for row in db.execute("SELECT * FROM events ORDER BY seq")]


SMALL = st.integers(-(2**62), 2**62)
TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
OBSERVATIONS = st.lists(
    st.builds(
        Observation,
        seq=st.integers(0, 2**48), scenario=st.just(0), type=st.integers(0, 9), state=st.sampled_from(State),
        intended_ns=SMALL, key=st.none() | TEXT, sent_ns=st.none() | SMALL, acked_ns=st.none() | SMALL,
        sampled=st.booleans(), first_lower_ns=st.none() | SMALL, first_upper_ns=st.none() | SMALL,
        stable_lower_ns=st.none() | SMALL, stable_upper_ns=st.none() | SMALL, reads=st.integers(0, 9),
        failed_reads=st.integers(0, 9), effects=st.none() | st.integers(0, 9), regressions=st.integers(0, 9),
        position=st.none() | st.floats(allow_nan=False), consumed_at=st.none() | SMALL,
        processed_at=st.none() | SMALL, settled_ns=SMALL, detail=TEXT,
    ),
    max_size=10,
    unique_by=lambda seen: seen.seq,
)  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
def test_what_one_of_some_events_has_is_kept_of_that_one(tmp_path: Path, turned: bool) -> None:
    bare = visible(1)
    full = Observation(
        2, 0, 3, State.LOST, START + 2, key="", sent_ns=START + 3, acked_ns=START + 4, sampled=True,
        first_lower_ns=START + 5, first_upper_ns=START + 6, stable_lower_ns=START + 7, stable_upper_ns=START + 8,
        settled_ns=START + 9, reads=1, failed_reads=2, effects=0, regressions=4, position="a", consumed_at=5,
        processed_at=6, detail="no", status=409, tags="a=b", capture="c", own_delay=0, resent=True,
        non_monotonic=True, session=Seen.ABSENT, staleness=0,
    )  # fmt: skip
    events = [full, bare] if turned else [bare, full]
    write(tmp_path / "events.sqlite", events, [])
    assert [shifted(seen, 0) for seen in read(tmp_path / "events.sqlite")] == [
        shifted(bare, -START),
        shifted(full, -START),
    ]


@settings(max_examples=25, deadline=None)
@given(OBSERVATIONS, st.booleans())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, observations: list[Observation], threaded: bool
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "events.sqlite"
    ledger = begun(path, START, {}, threaded=threaded)
    ledger.append(observations[:4])
    ledger.append(observations[4:])
    ledger.close()
    expected = [shifted(seen, -START) for seen in sorted(observations, key=lambda seen: seen.seq)]
    assert [shifted(seen, 0) for seen in read(path)] == expected


POSITIONS: list[int | float | str | None] = [1, 1.0, True, "1", None]
"""Alike, most of them, and not the same."""


@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(16, 40), st.booleans())
def test_many_rows_at_once_are_those_of_one_at_a_time(data: st.DataObject, count: int, alike: bool) -> None:
    events = []
    for n in range(count):
        seen = visible(n)
        events.append(seen)
        if alike or data.draw(st.booleans()):
            seen.position = data.draw(st.sampled_from(POSITIONS))
            seen.key, seen.detail = data.draw(st.sampled_from([("k", "no"), ("", ""), (None, "no")]))
            seen.acked_ns, seen.bytes_out, seen.status = START + 9, 400, data.draw(st.sampled_from([202, None]))
            seen.session, seen.resent = Seen.ABSENT, data.draw(st.sampled_from([True, False]))
    assert len(rows(events)) == count
    assert rows(events) == rows(*([seen] for seen in events))


def test_positions_are_kept_as_they_were_told_however_many_are_alike() -> None:
    events = [visible(n) for n in range(20)]
    for seen in events:
        seen.position = 1.0 if seen.seq == 7 else 1
    told = [repr(seen.position) for seen in events]
    at = COLUMNS.index("position")
    assert [row[at] for row in rows(events)] == told == ["1"] * 7 + ["1.0"] + ["1"] * 12


def test_what_nobody_can_know_of_an_event_is_no_fact_of_it() -> None:
    with pytest.raises(TypeError, match="nothing that is known of events: colour, size"):
        told_of([visible(1), Observation(2, 0, 0, State.LOST, START, colour="red", size=3)])


def test_whether_anything_can_have_been_sent_is_known(tmp_path: Path) -> None:
    ledger = LedgerFile(tmp_path / "events.sqlite", {}, threaded=False)
    assert ledger.begun is False
    ledger.begin(0, datetime(2026, 1, 1, tzinfo=UTC))
    assert ledger.begun is True
    ledger.close()


def test_scenarios_are_read_apart(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [visible(3, 1), visible(0), visible(2), visible(1, 1)])
    assert [seen.seq for seen in read(path, 0)] == [0, 2]
    assert [seen.seq for seen in read(path, 1)] == [1, 3]


def test_meta_and_the_newest_note_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    ledger = begun(path, START, {"run_id": "r-1", "plan": [{"name": "ä"}]})
    with LedgerReader(path) as reader:
        assert reader.last_note() is None
    ledger.note(START + 2, {"n": 2})
    ledger.note(START + 1, {"n": 1})
    ledger.close()
    with LedgerReader(path) as reader:
        assert (reader.meta["run_id"], reader.meta["plan"], reader.meta["start_ns"]) == (
            "r-1",
            [{"name": "ä"}],
            START,
        )
        assert reader.last_note() == {"n": 2}


def test_a_ledger_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    ledger = begun(path, START, {}, threaded=False)
    with LedgerReader(path) as reader:
        assert list(reader.observations(0)) == []
        ledger.append([visible(n) for n in range(3)])
        rows = reader.observations(0)
        assert next(rows).seq == 0
        ledger.append([visible(3)])
        assert [seen.seq for seen in rows] == [1, 2], "a reading sees one moment"
        assert [seen.seq for seen in reader.observations(0)] == [0, 1, 2, 3]
    ledger.close()


def opened(directory: Path) -> list[str]:
    """Names of the files of a directory that this process has open."""
    paths = {Path(file.path) for file in psutil.Process().open_files()}
    return sorted(path.name for path in paths if path.parent == directory)


def test_after_a_reading_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [visible(n) for n in range(3)])
    with LedgerReader(path) as reader:
        assert len(list(reader.observations(0))) == 3
        assert opened(tmp_path) == ["events.sqlite"]
    assert opened(tmp_path) == []
    path.unlink()
    for again in (reader.last_note, lambda: list(reader.samples()), lambda: reader.spread(1)):
        with pytest.raises((sqlite3.ProgrammingError, UsageError), match="closed"):
            again()


def test_a_reading_that_failed_closes_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [visible(0)])
    with pytest.raises(KeyboardInterrupt), LedgerReader(path):
        raise KeyboardInterrupt
    assert opened(tmp_path) == []


def test_whoever_ends_last_leaves_nothing_but_the_ledger(tmp_path: Path) -> None:
    """While a run is read, there are files of a write-ahead log beside it; the last to close it removes them."""
    path = tmp_path / "events.sqlite"
    ledger = begun(path, START, {}, threaded=False)
    ledger.append([visible(0)])
    with LedgerReader(path) as reader:
        assert len(list(reader.observations(0))) == 1
        assert len(list(tmp_path.iterdir())) > 1
    ledger.close()
    assert list(tmp_path.iterdir()) == [path]
    assert len(read(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_written_survives_the_death_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from tests.ledger import test_ledger as t\n"
        "ledger = t.begun(Path(sys.argv[1]), t.START, {}, threaded=False)\n"
        "ledger.append([t.visible(n) for n in range(100)]); ledger.note(t.START, {'n': 100})\n"
        "print('written', flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, str(path), str(Path(__file__).parents[2])]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [seen.seq for seen in read(path)] == list(range(100))
    with LedgerReader(path) as reader:
        assert reader.last_note() == {"n": 100}


def test_a_full_disk_is_told_at_the_end_and_disturbs_nothing_before(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    path = tmp_path / "events.sqlite"
    program = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from tests.ledger import test_ledger as t\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "ledger = t.begun(Path(sys.argv[1]), t.START, {})\n"
        "ledger.append([t.visible(0)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "for n in range(1, 20_000, 100): ledger.append([t.visible(n + k) for k in range(100)])\n"
        "for _ in range(2):\n"
        "    ledger.close()\n"
        "    print(ledger.trouble)\n"
    )
    arguments = [sys.executable, "-c", program, str(path), str(Path(__file__).parents[2])]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == second
    assert first.startswith(f"{path} is incomplete: ")
    assert "free some space" in first
    kept = [seen.seq for seen in read(path)]
    assert kept == list(range(len(kept))), "it ends early and has no gap"
    assert 0 < len(kept) < 20_000


@pytest.mark.parametrize(
    ("told", "rest"),
    [
        ({}, "the summary is right"),
        ({"right": "verdict", "kept": "rest.sqlite"}, "what there is of it is in rest.sqlite; the verdict is right"),
    ],
)
def test_of_an_incomplete_ledger_it_is_told_what_is_right_and_where_the_rest_is(
    told: dict[str, str], rest: str
) -> None:
    cure = "but `evload report` can't rebuild it: free some space and run again"
    said = str(IncompleteLedger(Path("events.sqlite"), "disk full", **told))
    assert said == f"events.sqlite is incomplete: disk full; {rest}, {cure}"


def test_after_a_write_that_failed_nothing_is_written_any_more(tmp_path: Path) -> None:
    """A gap in the middle would look like events that were lost."""
    path = tmp_path / "events.sqlite"
    ledger = begun(path, START, {}, threaded=False)
    ledger.append([visible(0), visible(1)])
    # A number that is there already stands for whatever the disk refuses.
    ledger.append([visible(2), visible(0)])
    ledger.append([visible(3)])
    ledger.sampled("queue", START, START, {"queue_depth": 1.0})
    ledger.note(START, {"n": 4})
    ledger.close()
    assert "is incomplete: UNIQUE constraint failed: events.seq; the summary" in str(ledger.trouble)
    with LedgerReader(path) as reader:
        assert [seen.seq for seen in reader.observations(0)] == [0, 1], "nor anything of that write"
        assert (list(reader.samples()), reader.last_note()) == ([], None)


def test_a_sample_of_the_events_is_spread_over_the_run(tmp_path: Path) -> None:
    """Comparisons look at events that were followed closely: of the others only one read is known."""
    path = tmp_path / "events.sqlite"
    events = [visible(n) for n in range(10)]
    for seen in events:
        seen.sampled = seen.seq not in (3, 4)
    write(path, events)
    with LedgerReader(path) as reader:
        assert {count: [seen.seq for seen in reader.spread(count)] for count in (1, 2, 3, 4, 5, 10, 50)} == {
            1: [0], 2: [0, 5], 3: [0, 8], 4: [0, 6, 9], 5: [0, 2, 6, 8], 10: [0, 1, 2, 5, 6, 7, 8, 9],
            50: [0, 1, 2, 5, 6, 7, 8, 9],
        }  # fmt: skip
        assert reader.spread(0) == []


def test_a_sample_names_what_its_numbers_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    meta = {
        "events": ["order", "note"], "probes": ["queue", "read-model"],
        "plan": [{"name": "checkout"}, {"name": "returns"}],
    }  # fmt: skip
    ledger = begun(path, START, meta, threaded=False)
    ledger.append([dataclasses.replace(visible(n), sampled=True) for n in range(4)])
    ledger.close()
    found = sample(path, 2)
    assert found.began_at == datetime(2026, 1, 31, tzinfo=UTC)
    assert (found.scenarios, found.events) == (["checkout", "returns"], ["order", "note"])
    assert found.probes == ["queue", "read-model"]
    assert [seen.seq for seen in found.observations] == [0, 2]


def test_a_sample_has_what_each_probe_says_also_of_other_scenarios(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    parts = (Part(0, None, State.VISIBLE, 1, 2, 1, 2), Part(1, "eu", State.LOST, 3, None, 3, None))
    ledger = begun(path, 0, {}, threaded=False)
    ledger.append([dataclasses.replace(visible(n, scenario=n), sampled=True, parts=parts[n:]) for n in range(2)])
    ledger.close()
    with LedgerReader(path) as reader:
        assert [(seen.scenario, seen.parts) for seen in reader.spread(2)] == [(0, parts), (1, parts[1:])]


def test_a_sample_of_no_events(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path)
    with LedgerReader(path) as reader:
        assert reader.spread(3) == []


def test_a_ledger_that_cannot_be_created_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"can't create .*; use a directory that is writable"):
        LedgerFile(tmp_path / "nowhere" / "events.sqlite", {})
    (tmp_path / "text").write_text("not a database, and long enough to be seen as one " * 10)
    with pytest.raises(OutputError, match="can't create"):
        LedgerFile(tmp_path / "text", {})


def sqlite_file(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_what_is_not_a_ledger_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("id,name\n" * 200)
    (tmp_path / "empty").touch()
    sqlite_file(tmp_path / "other", "CREATE TABLE pages (url TEXT)")
    sqlite_file(tmp_path / "odd", "CREATE TABLE meta (key TEXT, value TEXT)", "INSERT INTO meta VALUES ('a', 'b')")
    for name in ("text", "empty", "other", "odd"):
        with pytest.raises(
            UsageError, match=f"{name} isn't a ledger of evload: .*; name the directory of a run"
        ) as told:
            LedgerReader(tmp_path / name)
        assert told.tb is not None, "which keeps the reader alive"
        assert opened(tmp_path) == []
    for name in ("missing", "."):
        with pytest.raises(UsageError, match="isn't there; name the directory of a run"):
            LedgerReader(tmp_path / name)


@pytest.mark.parametrize("written", ["1", "0", '"1"', None])
def test_another_format_is_a_usage_error(tmp_path: Path, written: str | None) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [visible(0)])
    sqlite_file(path, "DELETE FROM meta WHERE key = 'format'")
    if written is not None:
        sqlite_file(path, f"INSERT INTO meta VALUES ('format', '{written}')")
    with pytest.raises(
        UsageError, match="this version of evload reads 2 and 3; use the version that wrote it"
    ) as told:
        LedgerReader(path)
    assert told.tb is not None, "which keeps the reader alive"
    assert opened(tmp_path) == []


def test_a_damaged_ledger_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [visible(n) for n in range(5_000)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 3))
    with pytest.raises(UsageError, match=r"is damaged: .*; use an undamaged copy"):
        read(path)
    with LedgerReader(path) as reader:
        for reading in (
            stamped(reader),
            portions(reader, keys=True),
            reader.portions("SELECT settled_ns FROM events", 100),
        ):
            with pytest.raises(UsageError, match=r"events\.sqlite is damaged: .*; use an undamaged copy"):
                list(reading)


def test_people_can_read_the_states_with_sqlite_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [visible(0)])
    db = sqlite3.connect(path)
    query = "SELECT name FROM events JOIN states USING (state)"
    assert db.execute(query).fetchall() == [("visible",)]
    db.close()
