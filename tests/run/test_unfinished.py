"""No run begins beside one that has left something undone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from evload import files
from evload.errors import UsageError
from evload.run import undo_journal
from evload.run.undo_journal import Head, Promise, UndoJournal
from evload.run.unfinished import Entry, not_undone, refuse_beside, state_directory

UNDO = [{"post": "${ADMIN}/delay"}]


def unfinished(directory: Path, *actions: str, kept: tuple[str, ...] = ()) -> Path:
    directory.mkdir(parents=True)
    files.create(directory / undo_journal.NAME, files.PRIVATE)
    journal = UndoJournal.begin(directory / undo_journal.NAME, Head("r", "/"))
    for action in actions:
        journal.promise(Promise(action, 0, UNDO))
    for action in kept:
        journal.kept((action, 0), "evload")
    journal.close()
    return directory


def refused(parent: Path, listed: Path | None = None) -> str:
    with pytest.raises(UsageError) as error:
        refuse_beside(parent, listed)
    assert error.value.exit_code == 2
    return str(error.value)


def test_beside_a_run_that_left_something_in_the_same_directory(tmp_path: Path) -> None:
    refuse_beside(tmp_path / "nowhere", None)
    unfinished(tmp_path / "done", "a", kept=("a",))
    (tmp_path / "none").mkdir()
    refuse_beside(tmp_path, None)
    left = unfinished(tmp_path / "left", "slow", "a", "down", kept=("a",))
    assert refused(tmp_path) == f"an earlier run has left undone: slow, down; undo it first: evload undo {left}"


def test_beside_a_run_that_is_listed_wherever_it_is(tmp_path: Path) -> None:
    listed = tmp_path / "state"
    left = unfinished(tmp_path / "there" / "left", "slow")
    Entry(listed, left).write({"slow": UNDO})
    assert refused(tmp_path / "here", listed).endswith(f": slow; undo it first: evload undo {left}")
    assert len(refused(tmp_path / "there", listed).splitlines()) == 1  # found twice, told once


def test_what_all_is_undone_of_is_listed_no_more(tmp_path: Path) -> None:
    """Whoever undid the last of it was killed before it could say so."""
    listed = tmp_path / "state"
    Entry(listed, unfinished(tmp_path / "left", "slow", kept=("slow",))).write({"slow": UNDO})
    refuse_beside(tmp_path / "here", listed)
    assert list(listed.iterdir()) == []


def test_where_the_directory_of_a_run_is_gone_the_list_says_how_to_undo_it_by_hand(tmp_path: Path) -> None:
    listed = tmp_path / "state"
    entry = Entry(listed, tmp_path / "gone")
    entry.write({"slow": UNDO})
    assert refused(tmp_path, listed) == (
        f"an earlier run has left undone: slow, and {tmp_path / 'gone'} is gone; undo it by hand "
        f'([{{"post":"${{ADMIN}}/delay"}}]), then remove {entry.path}'
    )


def test_a_run_that_goes_on_undoes_it_itself(tmp_path: Path) -> None:
    listed = tmp_path / "state"
    left = unfinished(tmp_path / "left", "slow")
    Entry(listed, left).write({"slow": UNDO})
    with (left / ".evload-run").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        refuse_beside(tmp_path, listed)
        assert not_undone(left) == ""
        assert len(list(listed.iterdir())) == 1
    refused(tmp_path, listed)
    assert not_undone(left) == f"NOT UNDONE: slow; run: evload undo {left}"


def test_what_cant_be_read_is_never_taken_for_nothing(tmp_path: Path) -> None:
    left = unfinished(tmp_path / "left")
    with (left / undo_journal.NAME).open("ab") as file:
        file.write(b'{"promise": "b\n{"done": "a", "number": 0}\n')
    assert "has left undone: line 2 of undo.jsonl, which can't be read; undo it first" in refused(tmp_path)
    assert "line 2 of undo.jsonl (it can't be read)" in not_undone(left)
    (left / undo_journal.NAME).write_text('{"evload": "undo", "format": 9}\n')
    assert "what undo.jsonl says, which can't be read" in refused(tmp_path)
    assert "was written by another version of evload" in not_undone(left)


def test_a_journal_of_somebody_else_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished(tmp_path / "left", "slow")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    refuse_beside(tmp_path, None)


def test_many_runs_are_told_by_the_first_of_them(tmp_path: Path) -> None:
    for number in range(8):
        unfinished(tmp_path / f"left{number}", "slow")
    told = refused(tmp_path).splitlines()
    assert (len(told), told[-1]) == (6, "and 3 more runs")


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/evload/unfinished"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/evload/unfinished"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/evload/unfinished"),
        ({}, None),
    ],
    ids=["set", "relative", "home", "nothing"],
)
def test_the_list_is_in_the_users_state_directory(environ: dict[str, str], place: str | None) -> None:
    assert state_directory(environ) == (None if place is None else Path(place))
