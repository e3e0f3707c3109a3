"""The journal of what has to be undone: what a reader makes of it, whatever moment its writer was killed at."""

from __future__ import annotations

import errno
import json
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evload import files
from evload.errors import UsageError
from evload.run import undo_journal
from evload.run.undo_journal import Head, Promise, UndoJournal
from tests.rigs.shares import seeds

HEAD = Head("20260131-120000-4f1c", "/configs", {"rate": "5/s"}, {"token": {"file": "t"}})
UNDO = [{"post": "${ADMIN}/worker-delay", "json": {"ms": "${MS}"}}]


def begun(path: Path) -> UndoJournal:
    files.create(path, files.PRIVATE)
    return UndoJournal.begin(path, HEAD)


def promise(action: str, number: int = 0, **about: Any) -> Promise:
    return Promise(action, number, UNDO, [(0, "json", "ms")], at="2026-01-31T12:00:00Z", **about)


def left(path: Path) -> list[tuple[str, int]]:
    return [one.key for one in undo_journal.read(path).left]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / undo_journal.NAME


def test_what_was_promised_and_not_kept_is_left_with_all_that_it_needs(path: Path) -> None:
    journal = begun(path)
    journal.promise(promise("slow", values={"run_id": "r"}, withheld=["pass"]))
    journal.promise(promise("down"))
    journal.promise(promise("down", 1))
    journal.done(("slow", 0), {"id": 7}, ["key"])
    journal.kept(("down", 0), "evload")
    journal.given_up(("down", 1), "evload", "connection refused")
    journal.close()
    account = undo_journal.read(path)
    assert account.head == HEAD
    assert account.left == [
        Promise(
            "slow", 0, UNDO, [(0, "json", "ms")], {"run_id": "r", "id": 7}, ("pass", "key"), "2026-01-31T12:00:00Z",
            doing=False,
        ),
        promise("down", 1, withheld=(), reason="connection refused"),
    ]  # fmt: skip
    assert account.names == ["slow", "down"]


def test_it_is_lines_of_json_for_people_and_nobody_else_reads_it(path: Path) -> None:
    journal = begun(path)
    journal.promise(promise("slow"))
    journal.kept(("slow", 0), "evload")
    journal.close()
    head, slow, kept = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    assert (head["evload"], head["run_id"]) == ("undo", HEAD.run_id)
    assert (slow["promise"], slow["undo"]) == ("slow", UNDO)
    assert kept == {"kept": "slow", "number": 0, "by": "evload"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_writes_at_a_time(path: Path) -> None:
    journal = begun(path)
    assert UndoJournal.take(path) is None
    journal.close()
    taken = UndoJournal.take(path)
    assert taken is not None
    assert UndoJournal.take(path) is None


def test_a_journal_of_somebody_else_is_not_obeyed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(path).close()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(UsageError, match="isn't yours"):
        UndoJournal.take(path)


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    begun(tmp_path / "other").close()
    path.symlink_to(tmp_path / "other")
    for look in (UndoJournal.take, undo_journal.read):
        with pytest.raises(OSError):
            look(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b'{"evload": "un', b"   "])
def test_where_not_even_the_head_was_written_nothing_is_left(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert left(path) == []
    journal = UndoJournal.take(path)
    assert journal is not None


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'{"a": 1}\n', "doesn't begin as evload writes it"),
        (b"junk\n{}\n", "doesn't begin as evload writes it"),
        (b'{"evload": "undo", "format": 2}\n', "another version"),
    ],
)
def test_what_is_no_journal_of_ours_is_refused(path: Path, content: bytes, word: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match=word):
        undo_journal.read(path)


def test_a_line_in_the_middle_that_says_nothing_is_told(path: Path) -> None:
    """It may have been a promise: it is never taken for nothing."""
    journal = begun(path)
    journal.promise(promise("slow"))
    journal.kept(("slow", 0), "evload")
    journal.close()
    head, slow, *_ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([head, slow[:40], b"", b'{"kept": "slow"}', b'{"later": 1}', b""]))
    assert undo_journal.read(path).broken == [2, 4]


WRITES: list[Callable[[UndoJournal], None]] = [
    lambda journal: journal.promise(promise("a")),
    lambda journal: journal.promise(promise("b", values={"id": "x" * 500})),
    lambda journal: journal.done(("a", 0), {"id": 1}),
    lambda journal: journal.kept(("b", 0), "evload"),
    lambda journal: journal.given_up(("a", 0), "evload", "no"),
    lambda journal: journal.promise(promise("c")),
    lambda journal: journal.kept(("a", 0), "its guardian"),
]
LEFT = [
    [], [("a", 0)], [("a", 0), ("b", 0)], [("a", 0), ("b", 0)], [("a", 0)], [("a", 0)], [("a", 0), ("c", 0)],
    [("c", 0)],
]  # fmt: skip
"""After so many of the writes."""


@pytest.mark.parametrize("seed", seeds(200, 12))
def test_a_writer_that_is_killed_at_any_byte(seed: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before stands, what wasn't is not there, and whoever takes over goes on where it stopped."""
    rng = random.Random(seed)
    journal = begun(path)
    whole = rng.randrange(len(WRITES))
    for write in WRITES[:whole]:
        write(journal)
    real = os.pwrite

    class Killed(BaseException):
        pass

    def torn(descriptor: int, content: bytes, at: int) -> int:
        line = bytes(content).rstrip(b" \n")
        real(descriptor, content[: rng.randrange(len(line))], at)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", torn)
        patched.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError()))
        with pytest.raises(Killed):
            WRITES[whole](journal)
    journal.close()
    account = undo_journal.read(path)
    assert ([one.key for one in account.left], account.broken) == (LEFT[whole], [])
    taken = UndoJournal.take(path)
    assert taken is not None
    for count, write in enumerate(WRITES[whole:], whole + 1):
        write(taken)
        account = undo_journal.read(path)
        assert ([one.key for one in account.left], account.broken) == (LEFT[count], [])


def test_a_short_line_takes_the_place_of_a_long_torn_one(path: Path) -> None:
    journal = begun(path)
    journal.promise(promise("a"))
    journal.close()
    path.write_bytes(path.read_bytes().rstrip() + b'\n{"promise": "' + b"b" * 500)
    taken = UndoJournal.take(path)
    assert taken is not None
    taken.kept(("a", 0), "evload")
    account = undo_journal.read(path)
    assert (account.left, account.broken) == ([], [])
    assert b"bbb" not in path.read_bytes()


def full_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """From now on a file may grow by so many bytes; what is there can be written over."""
    real = os.pwrite
    left = [room]

    def pwrite(descriptor: int, content: bytes, at: int) -> int:
        grows = at + len(content) - os.fstat(descriptor).st_size
        if grows > left[0]:
            fits = len(content) - grows + left[0]
            if fits <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            content = content[:fits]
            grows = left[0]
        left[0] -= max(0, grows)
        return real(descriptor, content, at)

    monkeypatch.setattr(os, "pwrite", pwrite)


@pytest.mark.parametrize("room", [0, 1, 150, 300, 1500])
def test_on_a_full_disk_nothing_is_promised_and_what_was_is_kept(
    room: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(path)
    for number in range(40):
        journal.promise(promise("more", number))
    for action in ("a", "b"):
        journal.promise(promise(action))
    size = path.stat().st_size
    full_disk(monkeypatch, room)
    with pytest.raises(OSError):
        journal.promise(promise("c", values={"id": "x" * 5000}))
    assert left(path)[40:] == [("a", 0), ("b", 0)]
    assert path.stat().st_size == size
    for number in range(40):
        journal.done(("more", number), {})
        journal.given_up(("more", number), "evload", "no" * 200)
        journal.kept(("more", number), "evload undo")
    journal.done(("b", 0), {})
    journal.given_up(("b", 0), "evload", "é\x00" * 1000)
    journal.kept(("b", 0), "its guardian")
    journal.kept(("a", 0), "its guardian")
    account = undo_journal.read(path)
    assert (account.left, account.broken) == ([], [])
    assert path.stat().st_size == size


def test_what_is_undone_leaves_its_room_to_what_comes(path: Path) -> None:
    """An action that is done ten thousand times doesn't fill the disk by itself."""
    journal = begun(path)
    for number in range(50):
        journal.promise(promise("a", number))
        journal.kept(("a", number), "evload")
    assert path.stat().st_size < 50 * 250 + 5000
