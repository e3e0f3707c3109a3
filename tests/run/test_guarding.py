"""A run's guard and its guardian, a process: what is promised is undone, whoever is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evload import files
from evload.clock import SystemClock
from evload.errors import OutputError, TargetError
from evload.run import undo_journal
from evload.run.guarding import Guard, Guarded, Undoable
from evload.run.undo_journal import Head, UndoJournal
from evload.run.unfinished import StillOn
from evload.units import NS_PER_S
from tests.rigs.switches import ROOT, System, installed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


class Rig:
    """A system with a switch that an action turns on, and all that a guard of it needs."""

    def __init__(self, directory: Path) -> None:
        self.system = System(directory / "system").make()
        self.directory = directory / "run"
        self.directory.mkdir()
        self.listed = directory / "listed"
        self.said: list[str] = []
        self.kept = 0
        self.undos = {name: self.undoable(name) for name in ("a", "b")}
        self.hide: dict[str, str] = {}

    def undoable(self, name: str, *, doing_ns: int = 0, **more: Any) -> Undoable:
        step = {"switch": name, "to": "off", "of": "../system", **more}
        return Undoable([{**step, "of": "${SYSTEM}"}], [step], doing_ns)

    def guard(self) -> Guard:
        path = self.directory / undo_journal.NAME
        files.create(path, files.PRIVATE)
        journal = UndoJournal.begin(path, Head("r", str(self.directory)))

        def keep() -> None:
            self.kept += 1

        def redact(text: str) -> str:
            return text.replace("hush", "${KEY}")

        return Guard(
            Guarded(self.undos, Head("r", str(self.directory)), self.hide), journal, self.directory,
            listed=self.listed, clock=SystemClock(), keep=keep, say=self.said.append, redact=redact,
        )  # fmt: skip

    @property
    def guardians(self) -> list[int]:
        """Their process ids."""
        found = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = process.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"evload.run.guardian_process" in words and str(self.directory).encode() in words:
                found.append(int(process.parent.name))
        return found

    @property
    def left(self) -> list[tuple[str, int, str]]:
        account = undo_journal.read(self.directory / undo_journal.NAME)
        return [(*one.key, one.reason) for one in account.left]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    places = [str(installed(tmp_path / "kinds")), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    return Rig(tmp_path)


@asynccontextmanager
async def started(rig: Rig) -> AsyncIterator[Guard]:
    guard = rig.guard()
    await guard.start()
    try:
        yield guard
    finally:
        if not guard._closing:
            await guard.close()


async def until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 200
    while not true():
        assert time.monotonic() < until, "waited in vain"
        await asyncio.sleep(0.02)


def test_what_is_kept_leaves_nothing(rig: Rig) -> None:
    async def run() -> None:
        async with started(rig) as guard:
            (guardian,) = rig.guardians
            assert os.getsid(guardian) == guardian  # what ends our session doesn't end its
            assert (rig.kept, list(rig.listed.glob("*"))) == (0, [])
            await guard.promise("a", 0, {"run_id": "r"})
            assert rig.left == [("a", 0, "")]
            assert (rig.kept, len(list(rig.listed.glob("*.json")))) == (1, 1)
            await guard.promise("elsewhere", 0)  # nothing of it outlives the run
            await guard.done("a", 0)
            await guard.kept("a", 0)
            await guard.kept("elsewhere", 0)
            assert (rig.left, list(rig.listed.glob("*"))) == ([], [])
            await guard.close()
            assert (guard.left, guard.troubles, rig.said) == ([], [], [])

    asyncio.run(run())
    assert (rig.guardians, rig.system.turned) == ([], [])


@pytest.mark.parametrize("refusals", [0, 2])
def test_what_the_run_could_not_undo_the_guardian_undoes_the_newest_first(rig: Rig, refusals: int) -> None:
    """As where a bug ends the run."""
    if refusals:
        rig.system.refuse("a", "off", refusals)

    async def run() -> Guard:
        async with started(rig) as guard:
            for name in ("a", "b"):
                await guard.promise(name, 0)
                rig.system.turn(name, "on")
                await guard.done(name, 0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(rig.guardians[0], number)
        return guard

    guard = asyncio.run(run())
    assert (guard.left, rig.left, rig.guardians) == ([], [], [])
    assert rig.system.turned == ["a on", "b on", "b off", "a off"]
    assert list(rig.listed.glob("*")) == []


def test_what_was_given_up_is_left_and_told_and_the_guardian_goes_on_where_there_was_no_time(rig: Rig) -> None:
    rig.system.refuse("b", "off", 2)

    async def run() -> Guard:
        async with started(rig) as guard:
            for name in ("a", "b"):
                await guard.promise(name, 0)
                rig.system.turn(name, "on")
                await guard.done(name, 0)
            await guard.given_up("a", 0, "no, says hush")
            await guard.given_up("b", 0, "no time", goes_on=True)
        return guard

    guard = asyncio.run(run())
    assert StillOn("a", "no, says ${KEY}") in guard.left
    assert {one.action for one in guard.left} <= {"a", "b"}
    assert all(one.tried_on for one in guard.left if one.action == "b")
    until_gone = time.monotonic() + 200
    while rig.guardians:
        assert time.monotonic() < until_gone
        time.sleep(0.05)
    assert (rig.left, rig.system.on) == ([("a", 0, "no, says ${KEY}")], {"a"})
    assert len(list(rig.listed.glob("*.json"))) == 1


def test_where_a_guardian_is_killed_another_takes_its_place_and_knows_all(rig: Rig) -> None:
    async def run() -> None:
        async with started(rig) as guard:
            await guard.promise("a", 0)
            rig.system.turn("a", "on")
            (first,) = rig.guardians
            os.kill(first, signal.SIGKILL)
            await until(lambda: bool(rig.guardians) and rig.guardians != [first])
            await guard.promise("b", 0)
            rig.system.turn("b", "on")
            (second,) = rig.guardians
            os.kill(second, signal.SIGKILL)
            await guard.done("b", 0)
            assert (len(rig.left), rig.said) == (2, [])

    asyncio.run(run())
    assert (rig.left, rig.system.on) == ([], set())


def test_without_a_guardian_nothing_is_begun(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        guard = rig.guard()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", "/nowhere/python")
            with pytest.raises(TargetError, match="there is no guardian"):
                await guard.start()
            with pytest.raises(OutputError, match="a isn't done"):
                await guard.promise("a", 0)
        assert (rig.left, list(rig.listed.glob("*"))) == ([], [])
        await guard.promise("a", 0)  # now there is one
        assert rig.left == [("a", 0, "")]
        await guard.kept("a", 0)
        await guard.close()

    asyncio.run(run())


def test_an_undo_that_the_guardian_cant_read_ends_the_run_before_it_begins(rig: Rig) -> None:
    rig.undos["a"] = Undoable([{"swich": "a"}], [{"swich": "a"}], 0)
    with pytest.raises(TargetError, match="nothing that is installed does swich"):
        asyncio.run(rig.guard().start())


def test_a_promise_that_cant_be_written_is_none(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with started(rig) as guard:
            with monkeypatch.context() as patched:
                patched.setattr(
                    os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
                )
                with pytest.raises(OutputError, match=r"undo.jsonl: No space left on device; a isn't done"):
                    await guard.promise("a", 0)
            assert (rig.left, list(rig.listed.glob("*")), guard.left) == ([], [], ())

    asyncio.run(run())
    assert rig.system.turned == []


def test_a_promise_that_is_cancelled_is_taken_back(rig: Rig) -> None:
    async def run() -> None:
        async with started(rig) as guard:
            for wait_s in (0.0, 0.002, 0.01):
                promising = asyncio.create_task(guard.promise("a", 0))
                await asyncio.sleep(wait_s)
                promising.cancel()
                await asyncio.wait((promising,))
                if not promising.cancelled():  # it was given before anybody could say so
                    await guard.kept("a", 0)
                assert rig.left == []

    asyncio.run(run())
    assert rig.system.turned == []


def test_the_guardian_has_the_secrets_of_the_moment_and_writes_none_of_them(rig: Rig) -> None:
    rig.undos["a"] = rig.undoable("a", key="{secrets.token}")
    rig.system.refuse("a", "off", 1)
    (rig.system.path / "key").write_text("second hush")

    async def run() -> None:
        async with started(rig) as guard:
            guard.learn("{secrets.token}", "first hush")
            await guard.promise("a", 0, {"id": 7, "pass": "hush"})
            rig.system.turn("a", "on")
            await guard.done("a", 0, {"more": ["hush"]})
            guard.learn("{secrets.token}", "second hush")
            guard.learn("else", "x")

    asyncio.run(run())
    assert (rig.left, rig.system.on) == ([], set())
    written = (rig.directory / undo_journal.NAME).read_text()
    assert "hush" not in written
    assert '"values":{"id":7},"withheld":["pass"]' in written
    assert '"withheld":["more"]' in written


def test_what_a_killed_run_was_doing_is_undone_again_when_it_must_be_over(rig: Rig) -> None:
    rig.undos["a"] = rig.undoable("a", doing_ns=2 * NS_PER_S)
    late = threading.Timer(1, rig.system.turn, ("a", "on"))

    async def run() -> None:
        async with started(rig) as guard:
            await guard.promise("a", 0)
            late.start()
            # The run ends here without having said that it is done; a second later it is.

    asyncio.run(run())
    late.join()
    assert (rig.left, rig.system.on) == ([], set())


def test_where_the_run_directory_is_gone_the_guardian_knows_what_to_undo(rig: Rig) -> None:
    async def run() -> None:
        async with started(rig) as guard:
            await guard.promise("a", 0)
            rig.system.turn("a", "on")
            await guard.done("a", 0)
            (rig.directory / undo_journal.NAME).unlink()

    asyncio.run(run())
    assert rig.system.on == set()


def test_a_guardian_that_is_killed_at_the_very_end_has_a_successor(rig: Rig) -> None:
    async def run() -> Guard:
        async with started(rig) as guard:
            await guard.promise("a", 0)
            rig.system.turn("a", "on")
            await guard.done("a", 0)
            guard._closing = True  # as if it were closing already, so that nobody watches
            os.kill(rig.guardians[0], signal.SIGKILL)
            await until(lambda: rig.guardians == [])
            await guard.close()
        return guard

    guard = asyncio.run(run())
    assert (guard.left, rig.left, rig.system.on) == ([], [], set())
