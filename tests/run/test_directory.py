"""The directory of a run: where a run may write, what it may take away again, and whose files stay as they are."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from evload.errors import OutputError, UsageError
from evload.run.directory import OpenDirectory, RunDirectory, find, opened

NOW: Final = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
CLAIM: Final = ".evload-run"
BEFORE: Final = "20250101-000000-abcd"


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    """All that is below a directory: its kind and permissions, and what it holds or leads to."""
    found = {}
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        content = (
            b"" if stat.S_ISDIR(mode) else os.readlink(path).encode() if stat.S_ISLNK(mode) else path.read_bytes()
        )
        found[str(path.relative_to(directory))] = (mode, content)
    return found


def fill(directory: OpenDirectory) -> None:
    """Write what a run writes."""
    directory.write(directory.names.config, b"name: own\n")
    directory.create(directory.names.truth)
    directory.create(directory.names.ledger)
    directory.names.ledger.write_bytes(b"rows")
    Path(f"{directory.names.ledger}-wal").write_bytes(b"more rows")
    directory.write(directory.names.path / "tables/a/percentiles.csv", b"p99\n")
    directory.write(directory.names.summary, b"{}")


MADE: Final = {"config.yaml", "truth.jsonl", "events.sqlite", "tables/a/percentiles.csv", "summary.json"}


def files_in(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def broken(out: Path, work: Callable[[OpenDirectory], object], error: BaseException | None = None) -> None:
    """A run that does some work in a directory and then fails."""
    failure = error or ZeroDivisionError()

    def run() -> None:
        with opened(out, NOW) as directory:
            work(directory)
            raise failure

    with pytest.raises(type(failure)):
        run()


# -- where a run may go ------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["new", "new/far/below", "empty"])
def test_a_new_or_an_empty_directory_is_taken_and_left_without_a_trace_of_the_claim(out: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with opened(tmp_path / out, NOW) as directory:
        fill(directory)
        assert (tmp_path / out / CLAIM).is_file()
    Path(f"{directory.names.ledger}-wal").unlink()
    assert files_in(tmp_path / out) == MADE


def test_without_a_name_it_is_a_new_one_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = iter(["1111", "1111", "2222"])
    monkeypatch.setattr("secrets.token_hex", lambda count: next(drawn))
    with opened(None, NOW) as first, opened(None, NOW) as second:
        assert (first.run_id, second.run_id) == ("20260131-120000-1111", "20260131-120000-2222")
        assert second.names.path == Path("runs/20260131-120000-2222")


FOREIGN: Final[dict[str, Callable[[Path], object]]] = {
    "a config": lambda path: (path / "config.yaml").write_text("# precious\n"),
    "a report": lambda path: (path / "report.html").write_text("mine"),
    "a note": lambda path: (path / "notes.txt").write_text("mine"),
    "a hidden file": lambda path: (path / ".env").write_text("A=1"),
    "a directory": lambda path: (path / "src").mkdir(),
    "a link to nowhere": lambda path: (path / "events.sqlite-wal").symlink_to("nowhere"),
    "a pipe": lambda path: os.mkfifo(path / "pipe"),
    "nearly set aside": lambda path: (path / "unfinished-business").mkdir(),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_whatever_is_there_stays_and_the_run_does_not_begin(name: str, tmp_path: Path) -> None:
    FOREIGN[name](tmp_path)
    (entry,) = os.listdir(tmp_path)
    before = os.lstat(tmp_path / entry)
    with pytest.raises(UsageError) as refused, opened(tmp_path, NOW):
        raise AssertionError("it began")
    assert str(refused.value) == (
        f"{tmp_path} isn't empty: it has {entry!r}; choose an empty or a new directory with --out"
    )
    assert os.listdir(tmp_path) == [entry]
    assert os.lstat(tmp_path / entry) == before


@pytest.mark.parametrize("name", ["events.sqlite", "summary.json"])
def test_a_directory_with_a_run_says_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: before\n")
    (tmp_path / name).write_text("before")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="holds a run already; choose another directory, or remove that one"):
        opened(tmp_path, NOW).__enter__()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("out", ["file", "file/below", "lost"])
def test_where_no_directory_can_be_nothing_is_made(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "lost").symlink_to("nowhere")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=r"can't create .*; choose a directory with --out"):
        opened(tmp_path / out, NOW).__enter__()
    assert snapshot(tmp_path) == before


def test_the_second_of_two_runs_at_once_is_told_and_disturbs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "out", NOW) as directory:
        fill(directory)
        before = snapshot(tmp_path)
        with pytest.raises(UsageError) as refused:
            opened(tmp_path / "out", NOW).__enter__()
        assert str(refused.value) == (
            f"another run is writing into {tmp_path / 'out'}; choose another directory with --out"
        )
        assert snapshot(tmp_path) == before


# -- what is taken away again ------------------------------------------------------------------------


def test_what_never_began_leaves_nothing_but_what_was_there_before(tmp_path: Path) -> None:
    for out in ("new/far/below", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        broken(tmp_path / out, fill)
    assert files_in(tmp_path) == set()
    assert os.listdir(tmp_path) == ["empty"]


def test_of_what_never_began_only_what_the_run_made_goes_away(tmp_path: Path) -> None:
    def beside_others(directory: OpenDirectory) -> None:
        (tmp_path / "out/report.html").write_text("somebody else's, just now")
        (tmp_path / "out/summary.json").write_text("and this")
        with pytest.raises(OutputError, match=r"summary.json: it is there already"):
            fill(directory)

    broken(tmp_path / "out", beside_others, KeyboardInterrupt())
    assert files_in(tmp_path / "out") == {"report.html", "summary.json"}


def test_once_something_may_have_been_sent_all_stays(tmp_path: Path) -> None:
    def sending(directory: OpenDirectory) -> None:
        fill(directory)
        directory.keep()

    broken(tmp_path, sending)
    assert files_in(tmp_path) == MADE | {"events.sqlite-wal", CLAIM}


# -- unfinished runs ---------------------------------------------------------------------------------


@contextmanager
def killed(out: Path, *, summary: bool = False) -> Iterator[dict[str, tuple[int, bytes]]]:
    """A directory in which a run was killed, and what is in it."""
    context = opened(out, NOW)
    directory = context.__enter__()
    fill(directory)
    if not summary:
        directory.names.summary.unlink()
    directory.keep()
    directory.give_up()  # as the system does: the claim is nobody's any more, and stays
    yield snapshot(out)


def test_what_an_unfinished_run_has_left_is_set_aside(tmp_path: Path) -> None:
    with killed(tmp_path) as left:
        del left[CLAIM]
        with opened(tmp_path, NOW) as directory:
            assert directory.aside is not None
            assert snapshot(directory.aside) == left
            assert {path.name for path in tmp_path.iterdir()} == {CLAIM, directory.aside.name}
            fill(directory)
        Path(f"{directory.names.ledger}-wal").unlink()
    assert files_in(tmp_path) == MADE | {
        f"{directory.aside.name}/{name}" for name in (*MADE, "events.sqlite-wal")
    } - {f"{directory.aside.name}/summary.json"}


def test_a_file_that_was_being_written_is_set_aside_as_well(tmp_path: Path) -> None:
    """It has no name yet by which it could have been noted."""
    with killed(tmp_path):
        half = tmp_path / ".0123456789abcdef.partial"
        half.write_text("half of ")
        with opened(tmp_path, NOW) as directory:
            assert directory.aside is not None
            assert (directory.aside / half.name).read_text() == "half of "
            assert not half.exists()
            fill(directory)


def test_one_unfinished_run_after_another(tmp_path: Path) -> None:
    asides = set()
    for _ in range(3):
        with killed(tmp_path):
            asides |= {path.name for path in tmp_path.iterdir() if path.name.startswith("unfinished-")}
    assert len(asides) == 2
    broken(tmp_path, fill)
    assert len(os.listdir(tmp_path)) == 3, "what was set aside belongs to the runs before"


def test_an_unfinished_run_beside_files_of_somebody_else_stays_where_it_is(tmp_path: Path) -> None:
    with killed(tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        before = snapshot(tmp_path)
        with pytest.raises(UsageError, match=r"isn't empty: it has 'notes.txt'"):
            opened(tmp_path, NOW).__enter__()
        assert snapshot(tmp_path) == before


def test_a_run_that_was_killed_with_its_summary_written_has_ended(tmp_path: Path) -> None:
    with killed(tmp_path, summary=True) as before:
        with pytest.raises(UsageError, match="holds a run already"):
            opened(tmp_path, NOW).__enter__()
        assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "claim",
    [b"", b"{", b'"../../etc"\n', b"[]\n", b'"20250101-000000-abcd"\n{"a": 1}\n', b'"20250101-000000-abcd"\n[]\n',
     b'"20250101-000000-abcd"\n""\n', b'"20250101-000000-abcd"\n"/etc/passwd"\n', b"x" * 2_000_000],
    ids=["empty", "broken", "a path", "no id", "an object", "a list", "no name", "elsewhere", "huge"],
)  # fmt: skip
def test_a_claim_that_we_did_not_write_is_somebody_elses(claim: bytes, tmp_path: Path) -> None:
    (tmp_path / CLAIM).write_bytes(claim)
    (tmp_path / "config.yaml").write_text("# precious\n")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="isn't empty"):
        opened(tmp_path, NOW).__enter__()
    assert snapshot(tmp_path) == before


def test_a_claim_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "else").write_text(f'"{BEFORE}"\n')
    (tmp_path / "out" / CLAIM).symlink_to("../else")
    with pytest.raises(OutputError, match="can't write into"):
        opened(tmp_path / "out", NOW).__enter__()
    assert (tmp_path / "else").read_text() == f'"{BEFORE}"\n'


def test_a_claim_of_another_user_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with killed(tmp_path) as before:
        monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
        with pytest.raises(UsageError, match=f"it has '{CLAIM}'"):
            opened(tmp_path, NOW).__enter__()
        assert snapshot(tmp_path) == before


def test_a_claim_that_is_held_elsewhere_is_that_of_a_run_that_goes_on(tmp_path: Path) -> None:
    with killed(tmp_path), (tmp_path / CLAIM).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another run is writing into"):
            opened(tmp_path, NOW).__enter__()


# -- files -------------------------------------------------------------------------------------------


def test_ledger_config_and_truth_are_for_their_owner_alone(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        with opened(tmp_path, NOW) as directory:
            fill(directory)
    finally:
        os.umask(previous)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.name in MADE}
    assert modes == {"config.yaml": 0o600, "events.sqlite": 0o600, "truth.jsonl": 0o600, "summary.json": 0o644}


@pytest.mark.parametrize("kind", ["file", "link", "link to nowhere", "directory"])
def test_a_file_is_never_written_over_or_through_what_is_there(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    with opened(tmp_path / "out", NOW) as directory:
        place = tmp_path / "out/report.html"
        if kind == "file":
            place.write_text("mine")
        elif kind == "directory":
            place.mkdir()
        else:
            place.symlink_to(target if kind == "link" else tmp_path / "nowhere")
        before = snapshot(tmp_path / "out")
        for write in (partial(directory.write, place, b"report"), partial(directory.create, place)):
            with pytest.raises(OutputError) as refused:
                write()
            assert str(refused.value) == (
                f"can't write {place}: it is there already; choose another file, or another --out"
            )
        after = snapshot(tmp_path / "out")
        before.pop(CLAIM), after.pop(CLAIM)
        assert after == before
    assert target.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["out", "precious"]


def test_a_file_is_not_written_into_a_directory_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    with opened(tmp_path / "out", NOW) as directory:
        (tmp_path / "out/tables").symlink_to(tmp_path / "else")
        with pytest.raises(OutputError, match="tables is no directory"):
            directory.write(tmp_path / "out/tables/a.csv", b"a")
    assert os.listdir(tmp_path / "else") == []


def test_a_file_that_was_named_elsewhere_is_replaced_and_never_taken_back(tmp_path: Path) -> None:
    (tmp_path / "latest.xml").write_text("before")

    def elsewhere(directory: OpenDirectory) -> None:
        directory.write(tmp_path / "out/../latest.xml", b"now")
        directory.write(tmp_path / "ci/junit.xml", b"now too")

    broken(tmp_path / "out", elsewhere)
    assert (tmp_path / "latest.xml").read_text() == "now"
    assert (tmp_path / "ci/junit.xml").read_text() == "now too"
    assert sorted(os.listdir(tmp_path)) == ["ci", "latest.xml"]


def test_a_ledger_that_is_not_whole_has_another_name_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    with opened(tmp_path, NOW) as directory:
        fill(directory)
        aside = directory.set_ledger_aside()
    assert aside == RunDirectory(tmp_path).incomplete_ledger
    assert (aside.read_bytes(), Path(f"{aside}-wal").read_bytes()) == (b"rows", b"more rows")
    assert not (tmp_path / "events.sqlite").exists()
    assert not (tmp_path / "events.sqlite-wal").exists()


# -- reading a directory that somebody hands us ------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["link", "link to a device", "pipe", "device", "huge", "Latin-1", "directory", "none"]
)
def test_only_a_config_that_is_one_is_shown(kind: str, tmp_path: Path) -> None:
    """A report that is made again holds the config: somebody else's file must not get into it that way."""
    run = RunDirectory(tmp_path)
    (tmp_path / "secret").write_text("secret: s3cret\n")
    if kind.startswith("link"):
        run.config.symlink_to("secret" if kind == "link" else "/dev/zero")
    elif kind == "pipe":
        os.mkfifo(run.config)
    elif kind == "huge":
        with run.config.open("wb") as file:
            file.truncate(10_000_001)
    elif kind == "Latin-1":
        run.config.write_bytes("name: café\n".encode("latin-1"))
    elif kind == "directory":
        run.config.mkdir()
    assert run.config_text() == ""


def test_a_config_that_is_one_is_shown(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: café\n")
    assert RunDirectory(tmp_path).config_text() == "name: café\n"


def test_a_report_of_a_run_without_a_whole_ledger_says_where_the_rest_is(tmp_path: Path) -> None:
    RunDirectory(tmp_path).incomplete_ledger.write_bytes(b"")
    with pytest.raises(UsageError, match=r"has no whole ledger, .* look into events.incomplete.sqlite with sqlite3"):
        find(tmp_path)
