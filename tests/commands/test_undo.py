"""`evload undo`: what a dead machine left is undone, or the person is told what is left and what it takes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evload import files
from evload.commands import undo
from evload.engine.undoing import Retries
from evload.errors import NotUndoneError, UsageError
from evload.run import undo_journal
from evload.run.process_groups import Group
from evload.run.undo_journal import Head, Promise, UndoJournal
from evload.run.unfinished import Entry
from evload.units import NS_PER_S
from tests.rigs.switches import System, installed

QUICK = Retries(altogether_ns=NS_PER_S)


class Left:
    """A run directory with a journal of what is left, and the system that it is about."""

    def __init__(self, directory: Path) -> None:
        self.system = System(directory / "system").make()
        self.directory = directory / "run"
        self.directory.mkdir()
        self.path = self.directory / undo_journal.NAME
        self.listed = directory / "listed"
        self.said: list[str] = []

    def step(self, name: str, **more: Any) -> dict[str, Any]:
        return {"switch": name, "to": "off", "of": "system", **more}

    def write(self, *promises: Promise, head: Mapping[str, Any] | None = None) -> None:
        files.create(self.path, files.PRIVATE)
        journal = UndoJournal.begin(self.path, Head("r", str(self.directory.parent), **(head or {})))
        for promise in promises:
            self.system.turn(promise.action, "on")
            journal.promise(promise)
        journal.close()
        Entry(self.listed, self.directory).write({})

    def promise(self, name: str, number: int = 0, *, step: Mapping[str, Any] = {}, **about: Any) -> Promise:
        return Promise(name, number, [self.step(name, **step)], **about)

    def undo(self, **environ: str) -> None:
        undo.run(self.directory, environ=environ, listed=self.listed, say=self.said.append, retries=QUICK)

    def refused(self, **environ: str) -> str:
        with pytest.raises(NotUndoneError) as error:
            self.undo(**environ)
        assert error.value.exit_code == 3
        return str(error.value)

    @property
    def names(self) -> list[str]:
        return undo_journal.read(self.path).names


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Left:
    monkeypatch.syspath_prepend(installed(tmp_path / "kinds"))
    return Left(tmp_path)


def test_all_that_is_left_is_undone_the_newest_first_and_twice_is_harmless(left: Left) -> None:
    left.write(left.promise("a"), left.promise("b"), left.promise("a", 1))
    left.undo()
    assert left.said == ["undone: a (switch a off)", "undone: b (switch b off)", "undone: a (switch a off)"]
    assert left.system.turned[3:] == ["a off", "b off", "a off"]
    assert (left.names, list(left.listed.glob("*"))) == ([], [])
    left.said.clear()
    left.undo()
    assert left.said == [f"nothing is left to undo in {left.directory}"]
    assert left.system.turned[6:] == []


def test_variables_are_taken_anew_and_those_that_are_missing_are_named(left: Left) -> None:
    here = str(left.system.path)
    left.write(
        left.promise("a", step={"of": "${SYSTEM}/${PART}"}),
        left.promise("b", step={"of": "${SYSTEM:-system}", "key": "x${params.who}"}),
        head={"params": {"who": "me"}},
    )
    (left.system.path / "key").write_text("xme")
    told = left.refused()
    missing = "environment variable SYSTEM isn't set; environment variable PART isn't set"
    assert left.said == [f"a can't be undone: {missing}", "undone: b (switch b off)"]
    assert told == f"NOT UNDONE: a ({missing}); run: evload undo {left.directory}"
    assert (left.system.on, len(list(left.listed.glob("*")))) == ({"a"}, 1)
    (left.system.path / "key").unlink()
    left.undo(SYSTEM=here, PART=".")
    assert left.system.on == set()


def test_a_value_without_quotes_is_a_number_again_and_one_with_quotes_stays_text(left: Left) -> None:
    left.write(
        left.promise("a", step={"level": "${LEVEL}", "key": "${LEVEL}"}, unquoted=[(0, "level")]),
    )
    left.undo(LEVEL="12")
    assert left.system.turned == ["a on", "a off 12"]


def test_secrets_are_got_anew_and_appear_nowhere(left: Left) -> None:
    (left.directory.parent / "token").write_text("hush-hush-hush")
    (left.system.path / "key").write_text("hush-hush-hush")
    left.write(
        left.promise("a", step={"key": "{secrets.token}"}),
        left.promise("b", step={"key": "{secrets.gone}"}),
        left.promise("c", step={"key": "${PASSWORD}"}),
        head={"secrets": {"token": {"file": "${PLACE}"}, "gone": {"file": "nowhere"}}},
    )
    told = left.refused(PLACE="token", PASSWORD="another-secret")
    assert "undone: a (switch a off)" in left.said
    assert "b can't be undone: secret gone: " in left.said[0]
    assert "c (switch c off: another key is needed than ${PASSWORD})" in told
    assert "hush" not in told + "".join(left.said) + left.path.read_text()
    assert "another-secret" not in told + "".join(left.said) + left.path.read_text()
    assert left.system.on == {"b", "c"}


def test_what_the_run_knew_and_nobody_may_write_down_is_missing(left: Left) -> None:
    left.write(
        Promise("a", 0, [left.step("{id}")], values={"id": "a"}, withheld=["pass"]),
        Promise("b", 0, [left.step("b", key="{pass}")], withheld=["pass"]),
    )
    assert "b (the run had 'pass', a secret that isn't written down)" in left.refused()
    assert left.system.on == {"b"}


def test_what_fails_is_tried_for_a_while_and_then_told(left: Left) -> None:
    left.write(left.promise("a"), left.promise("b"))
    left.system.refuse("a", "off", 2)
    left.system.refuse("b", "off")
    told = left.refused()
    assert (
        told.splitlines()[-1]
        == f"NOT UNDONE: b (switch b off: b doesn't turn off ); run: evload undo {left.directory}"
    )
    assert left.said == [
        "b: switch b off: b doesn't turn off ; trying again for 1 s (Ctrl-C leaves it)",
        "a: switch a off: a doesn't turn off ; trying again for 1 s (Ctrl-C leaves it)",
        "undone: a (switch a off)",
    ]
    left.system.yield_again()
    left.undo()
    assert left.system.on == set()


def test_two_dont_do_it_at_the_same_time(left: Left) -> None:
    left.write(left.promise("a"))
    guardian = UndoJournal.take(left.path)
    assert guardian is not None
    guardian.kept(("a", 0), "its guardian")
    threading.Timer(0.5, guardian.close).start()
    left.undo()
    assert [line.partition(":")[0] for line in left.said] == [
        "somebody else is undoing it, the guardian of the run or another person",
        f"nothing is left to undo in {left.directory}",
    ]
    assert left.system.turned == ["a on"]


def test_a_run_that_goes_on_is_left_alone(left: Left) -> None:
    left.write(left.promise("a"))
    with (left.directory / ".evload-run").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="still goes on, and undoes it itself"):
            left.undo()
    assert left.system.on == {"a"}


def test_a_line_that_says_nothing_is_never_taken_for_nothing_to_do(left: Left) -> None:
    left.write(left.promise("a"))
    head, *rest = left.path.read_bytes().split(b"\n")
    left.path.write_bytes(b"\n".join([head, b'{"promise": "b', *rest]))
    assert left.refused() == f"line 2 of {left.path} can't be read; look into it, and remove it"
    assert left.system.on == set()
    assert len(list(left.listed.glob("*"))) == 1


def test_where_nothing_was_done_there_is_nothing_to_undo(left: Left) -> None:
    with pytest.raises(UsageError, match=r"undo.jsonl can't be had: No such file or directory; name the directory"):
        left.undo()
    (left.directory / "events.sqlite").touch()
    left.undo()
    assert left.said == [f"nothing is left to undo: the run in {left.directory} did nothing that has an undo"]


def test_the_undo_of_somebody_else_is_not_done(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    left.write(left.promise("a"))
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(UsageError, match="isn't yours"):
        left.undo()
    assert left.system.on == {"a"}


def test_no_guard_keeps_anybody_from_undoing(left: Left) -> None:
    guard = left.directory / "guard.yaml"
    guard.write_text("allow: []\ndeny: ['*']\n")
    left.write(left.promise("a"))
    left.undo(EVLOAD_GUARD=str(guard))
    assert (left.said, left.system.on) == (["undone: a (switch a off)"], set())


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """Processes in a group of their own."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_is_still_at_it_is_ended_before_it_is_undone(left: Left, sleeping: subprocess.Popen[bytes]) -> None:
    left.write(left.promise("a"))
    journal = UndoJournal.take(left.path)
    assert journal is not None
    journal.began(("a", 0), Group.of(sleeping.pid))
    journal.close()
    left.undo()
    assert sleeping.wait(10) == -signal.SIGKILL
    assert left.said == [
        f"ended: what a had begun to do and was still at (process {sleeping.pid})", "undone: a (switch a off)"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("born", "done"),
    [
        ("another boot", False),  # this machine began anew, and the number belongs to somebody else
        ("another moment", False),  # that process ended, and another one has its number
        ("", False),  # nobody can tell whose it is
        ("now", True),  # what was done had come to its end, and may have left something behind that is to go on
    ],
)
def test_no_process_is_ended_that_only_has_the_number(
    left: Left, sleeping: subprocess.Popen[bytes], born: str, done: bool
) -> None:
    group = Group.of(sleeping.pid)
    boot, moment = group.born.split()
    told = {"another boot": f"other {moment}", "another moment": f"{boot} 1", "now": group.born}.get(born, "")
    left.write(left.promise("a"))
    journal = UndoJournal.take(left.path)
    assert journal is not None
    journal.began(("a", 0), group._replace(born=told))
    if done:
        journal.done(("a", 0), {})
    journal.close()
    left.undo()
    assert sleeping.poll() is None
    assert left.said == ["undone: a (switch a off)"]


def test_what_a_person_has_undone_is_left_no_more(left: Left) -> None:
    left.write(left.promise("a"), left.promise("b"), left.promise("a", 1))
    left.system.refuse("a", "off")

    def say_so(*names: str) -> None:
        undo.run(
            left.directory, environ={}, listed=left.listed, say=left.said.append, retries=QUICK, by_hand=names
        )  # fmt: skip

    with pytest.raises(UsageError, match="--by-hand c: nothing of that name is left; what is: a, b"):
        say_so("c")
    say_so("a")
    assert left.said == ["undone by hand: a", "undone by hand: a", "undone: b (switch b off)"]
    assert (left.names, list(left.listed.glob("*"))) == ([], [])
