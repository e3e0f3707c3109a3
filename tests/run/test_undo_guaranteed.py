"""Whatever is killed or interrupted, and whenever: the system is back, or the person is told what is left and how to
undo it."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from evload.commands import undo
from evload.errors import NotUndoneError, UsageError
from evload.run import undo_journal
from evload.run.unfinished import refuse_beside
from tests.rigs.commands import Ended, Started, found_at, started, wait_until
from tests.rigs.shares import seeds
from tests.rigs.switches import ROOT, System, installed
from tests.run.test_full_disk import can_mount

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")

CONFIG: Final = """
name: acting
settle: 200ms
producers: {{api: {{kind: http, url: "{url}"}}}}
events: {{e: {{type: t, source: /tests}}}}
scenarios: {{s: {{producer: api, events: [e], load: [{{rate: 20/s, for: {load}}}]}}}}
actions:
{actions}
self_checks: {{offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}}
reports: {{}}
"""


@pytest.fixture(scope="module", autouse=True)
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands know of switches."""
    with found_at(installed(tmp_path_factory.mktemp("kinds")), ROOT):
        yield


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A target that takes whatever comes."""

    class Takes(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Takes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/events"
        server.shutdown()


@pytest.fixture(autouse=True)
def nothing_remains(tmp_path: Path) -> Iterator[None]:
    """Also of a test that fails."""
    yield
    kill_guardians(tmp_path)


def guardians(directory: Path) -> list[int]:
    """Process ids of the guardians of runs in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = process.read_bytes().split(b"\0")
            if b"evload.run.guardian_process" in words and any(str(directory).encode() in word for word in words):
                found.append(int(process.parent.name))
    return found


def kill_guardians(directory: Path) -> None:
    """At once, and without a word."""
    for process in guardians(directory):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@dataclass
class Trial:
    """A run that acts on a system, in a directory of its own."""

    directory: Path
    url: str
    actions: list[str] = field(default_factory=list)
    load: str = "3s"

    def __post_init__(self) -> None:
        self.system = System(self.directory / "system").make()
        self.out = self.directory / "runs" / "out"
        self.environ = {"SYSTEM": str(self.system.path), "XDG_STATE_HOME": str(self.directory / "state")}
        self.listed = self.directory / "state" / "evload" / "unfinished"

    def act(
        self, name: str, *, at: str = "200ms", lasts: str = "", do: str = "", undo: str = "", steps: int = 1
    ) -> None:
        """Turn switches on, and off again, by default when the load is over."""
        switches = [name if not step else f"{name}{step}" for step in range(steps)]
        turns = {
            to: ", ".join(f'{{switch: {one}, to: "{to}", of: "${{SYSTEM}}"{more}}}' for one in switches)
            for to, more in (("on", do), ("off", undo))
        }
        self.actions.append(
            f"  {name}: {{at: {at}, {lasts and f'for: {lasts}, '}do: [{turns['on']}], undo: [{turns['off']}]}}"
        )

    @contextmanager
    def running(self, through: Sequence[str] = ()) -> Iterator[Started]:
        text = CONFIG.format(url=self.url, load=self.load, actions="\n".join(self.actions))
        (self.directory / "c.yaml").write_text(text)
        with started(
            "run", "c.yaml", "--out", self.out, cwd=self.directory, env=self.environ, through=through
        ) as running:
            yield running

    @property
    def guardians(self) -> list[int]:
        """Process ids."""
        return guardians(self.directory)

    @property
    def promised(self) -> int:
        """How many promises the journal holds."""
        with suppress(OSError):
            return (self.out / undo_journal.NAME).read_bytes().count(b'{"promise"')
        return 0

    @property
    def left(self) -> set[str]:
        """Names of the actions that aren't undone, as the journal has it."""
        with suppress(OSError):
            return set(undo_journal.read(self.out / undo_journal.NAME).names)
        return set()

    @property
    def still_on(self) -> set[str]:
        """Names of the actions of which a switch is on."""
        return {switch.rstrip("0123456789") for switch in self.system.on}

    def wait_for_guardians(self) -> None:
        wait_until(lambda: not self.guardians)

    def refusal(self) -> str:
        """What another run would be told that begins beside this one, or elsewhere; empty if nothing."""
        told = set()
        for parent in (self.out.parent, self.directory):
            try:
                refuse_beside(parent, self.listed)
                told.add("")
            except UsageError as error:
                told.add(str(error))
        (one,) = told
        return one

    def undo(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """What is left then."""
        monkeypatch.syspath_prepend(os.environ["PYTHONPATH"].partition(os.pathsep)[0])
        try:
            undo.run(self.out, environ=self.environ, listed=self.listed, say=lambda _: None)
        except NotUndoneError as error:
            return str(error)
        return ""

    def assert_back_or_told(self, ended: Ended | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """All is over. `ended` is how the run ended that wasn't killed."""
        left = self.left
        assert self.still_on <= left, "silently left broken"
        refusal = self.refusal()
        assert bool(refusal) == bool(left), refusal
        for name in left:
            assert name in refusal
        if left:
            assert f"evload undo {self.out}" in refusal
        if ended is not None:
            told = [stream.splitlines()[-1] if stream else "" for stream in (ended.out, ended.err)]
            if left:
                assert ended.code == 3, ended
                for line in told:
                    assert line.startswith("NOT UNDONE"), ended
                    assert f"evload undo {self.out}" in line, ended
                    assert all(name in line for name in left), ended
            elif "NOT UNDONE yet" not in ended.err and self.promised:
                # What was signalled before it heeded that is gone without having done anything.
                assert ended.code in (0, 4, 130), ended
                assert "NOT UNDONE" not in ended.said
            assert "Traceback" not in ended.said or not self.promised, ended
        self.system.yield_again()
        if self.out.exists() and (self.out / undo_journal.NAME).exists():
            assert self.undo(monkeypatch) == ""
        assert (self.system.on, self.left, self.refusal()) == (set(), set(), "")
        assert not self.listed.exists() or list(self.listed.iterdir()) == []


def test_a_run_that_ends_by_itself(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(tmp_path, url)
    trial.act("slow", lasts="500ms", steps=2)
    trial.act("down", at="400ms")
    trial.system.refuse("slow1", "off", 2)
    with trial.running() as running:
        ended = running.ended()
    turned = trial.system.turned  # which of the two is undone first is a matter of time
    assert sorted(turned) == ["down off", "down on", "slow off", "slow on", "slow1 off", "slow1 on"]
    assert all(turned.index(f"{name} on") < turned.index(f"{name} off") for name in ("slow", "slow1", "down"))
    assert (trial.guardians, trial.system.on, ended.code) == ([], set(), 0), ended
    trial.assert_back_or_told(ended, monkeypatch)


def test_after_a_second_interrupt_what_fails_is_told_and_the_guardian_goes_on(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, url, load="1m")
    trial.act("slow")
    trial.act("down")
    trial.system.refuse("slow", "off")
    with trial.running() as running:
        wait_until(lambda: trial.system.on == {"slow", "down"})
        for _ in range(2):
            running.signal(signal.SIGINT)
            time.sleep(0.3)
        ended = running.ended()
    assert ended.code == 3, ended
    line = (
        "NOT UNDONE yet: slow (switch slow off: slow doesn't turn off); a guardian goes on trying to undo it for "
        f"2 min; after that run: evload undo {trial.out}"
    )
    told = [stream.splitlines()[-1] for stream in (ended.out, ended.err)]
    assert [" ".join(each.replace(" )", ")").split()) for each in told] == [line, line]
    assert trial.system.on == {"slow"}
    assert "has left undone: slow" in trial.refusal()
    trial.system.yield_again()
    trial.wait_for_guardians()
    trial.assert_back_or_told(None, monkeypatch)
    assert trial.system.turned[-1] == "slow off"


KINDS: Final = ("kill", "kill guardian", "kill both", "interrupt", "interrupt twice", "nothing")


@dataclass(frozen=True)
class Plan:
    """What happens to a run.

    what    one of KINDS
    when    what it waits for, and how long after that it happens
    """

    what: str
    when: str
    after_s: float
    signal: signal.Signals

    @classmethod
    def drawn(cls, rng: random.Random) -> Plan:
        what = rng.choices(KINDS, (6, 3, 4, 4, 4, 1))[0]
        when = rng.choice(("begun", "promised", "on", "on", "off"))
        number = rng.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        return cls(what, when, rng.choice((0.0, rng.random() * 0.05, rng.random() * 0.5, rng.random() * 2)), number)


def drawn(rng: random.Random, directory: Path, url: str) -> Trial:
    """A run with one to three actions, of which some fail."""
    load_ms = rng.choice((1200, 2000, 3000))
    trial = Trial(directory, url, load=f"{load_ms}ms")
    for name in ("slow", "down", "gone")[: rng.randint(1, 3)]:
        takes = rng.choice(("", "", f", takes: {rng.randrange(1, 600)}ms", f", late: {rng.randrange(1, 600)}ms"))
        steps = rng.choice((1, 1, 2))
        lasts = rng.choice(("", f"{rng.randrange(50, load_ms - 900)}ms"))
        trial.act(
            name, at=f"{rng.randrange(50, 900)}ms", lasts=lasts, do=f"{takes}, timeout: 2s",
            undo=rng.choice(("", "", f", takes: {rng.randrange(1, 400)}ms")), steps=steps,
        )  # fmt: skip
        failing = f"{name}{rng.choice(('', '1'))}" if steps > 1 else name
        if rng.random() < 0.25:
            trial.system.refuse(failing, "on", rng.choice((1, None)))
        if rng.random() < 0.4:
            trial.system.refuse(failing, "off", rng.choice((1, 2, 4, None)))
    return trial


def fails_for_good(trial: Trial) -> bool:
    """Whether an undo never succeeds, which takes a run, or its guardian, two minutes to find out."""
    return any(
        place.name.endswith(" off") and not place.read_text() for place in (trial.system.path / "refuse").iterdir()
    )


def happen(plan: Plan, trial: Trial, running: Started) -> None:
    """Let it happen."""
    begun: Mapping[str, Callable[[], bool]] = {
        "begun": lambda: True,
        "promised": lambda: trial.promised > 0,
        "on": lambda: any(line.endswith(" on") for line in trial.system.turned),
        "off": lambda: any(line.endswith(" off") for line in trial.system.turned),
    }
    wait_until(lambda: begun[plan.when]() or over(running))
    time.sleep(plan.after_s)
    if plan.what == "kill both":
        victims = trial.guardians
        running.signal(signal.SIGKILL)
        for process in victims:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        kill_guardians(trial.directory)  # one that has just begun
    elif plan.what == "kill guardian":
        kill_guardians(trial.directory)
    elif plan.what == "kill":
        running.signal(signal.SIGKILL)
    elif plan.what.startswith("interrupt"):
        running.signal(plan.signal)
        if plan.what.endswith("twice"):
            time.sleep(plan.after_s)
            running.signal(signal.SIGINT)


def over(running: Started) -> bool:
    """Whether a run has ended."""
    process = running.process
    return getattr(process, "poll")() is not None  # noqa: B009


@pytest.mark.parametrize("seed", seeds(200, 2))
def test_whatever_happens_at_whatever_moment(
    seed: int, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    trial, plan = drawn(rng, tmp_path, url), Plan.drawn(rng)
    with trial.running() as running:
        happen(plan, trial, running)
        if fails_for_good(trial) and plan.what in ("nothing", "kill guardian", "interrupt"):
            # Its patience is two minutes; the person's isn't.
            time.sleep(1)
            for _ in range(2):
                running.signal(signal.SIGINT)
                time.sleep(0.5)
        ended: Ended | None = running.ended()
        assert ended is not None
        if ended.code == -signal.SIGKILL:
            ended = None
    if trial.still_on and trial.guardians and fails_for_good(trial):
        # It tries again: so long as it does, what it hasn't done is left.
        wait_until(lambda: trial.still_on <= trial.left or not trial.guardians)
        assert "has left undone" in trial.refusal()
        if rng.random() < 0.5:
            trial.system.yield_again()
        else:
            kill_guardians(trial.directory)
    trial.wait_for_guardians()
    trial.assert_back_or_told(ended, monkeypatch)


def test_after_a_reboot_the_run_directory_is_enough(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes are gone, and with them all locks; the last line is torn; the list may be lost, too."""
    trial = Trial(tmp_path, url, load="1m")
    trial.act("slow")
    with trial.running() as running:
        wait_until(lambda: trial.system.on == {"slow"})
        wait_until(lambda: len(trial.guardians) == 1)
        (guardian,) = trial.guardians
        running.signal(signal.SIGSTOP)  # so that no other takes its place
        os.kill(guardian, signal.SIGKILL)
        running.signal(signal.SIGKILL)
        running.ended()
    path = trial.out / undo_journal.NAME
    path.write_bytes(path.read_bytes().rstrip() + b'\n{"done": "sl')
    for each in trial.listed.iterdir():
        each.unlink()
    monkeypatch.setattr(trial, "listed", trial.out.parent)  # nothing is listed there
    assert trial.system.on == {"slow"}
    assert "has left undone: slow" in trial_refusal(trial)
    assert trial.undo(monkeypatch) == ""
    assert (trial.system.on, trial.left) == (set(), set())
    refuse_beside(trial.out.parent, None)  # the torn line is gone, and no hindrance


LONG: Final = "echo $$$$ > {system}/pid; while :; do (sleep 0.02; echo on >> {system}/log); done"
"""A command that does something again and again, by processes of its own, and comes to no end."""


class LongDo:
    """An action that a command does and never ends."""

    def __init__(self, trial: Trial, timeout: str = "2s") -> None:
        self.path = trial.system.path
        self.log = self.path / "log"
        do = LONG.format(system=self.path)
        trial.actions.append(
            f'  long: {{at: 200ms, do: {{shell: "{do}", timeout: {timeout}}}, '
            f'undo: {{shell: "echo off >> {self.path}/log"}}}}'
        )

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def is_over(self) -> bool:
        """Whether no process of its group is there."""
        group = int((self.path / "pid").read_text())
        for process in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, _, own = process.read_text().rpartition(")")[2].split()[:3]
                if int(own) == group and state != "Z":
                    return False
        return True


def test_a_command_that_is_still_at_it_ends_before_it_is_undone(tmp_path: Path, url: str) -> None:
    trial = Trial(tmp_path, url, load="1m")
    long = LongDo(trial)
    with trial.running() as running:
        wait_until(lambda: len(long.lines) > 2)
        running.signal(signal.SIGKILL)
        running.ended()
    trial.wait_for_guardians()
    assert long.is_over
    undone = long.lines.index("off")
    assert set(long.lines[undone:]) == {"off"}, "nothing is done behind its undo"
    assert trial.left == set()


def test_a_command_that_has_begun_is_never_without_somebody_who_can_end_it(tmp_path: Path, url: str) -> None:
    """It is written down, and the guardian knows it, when it does its first thing."""
    trial = Trial(tmp_path, url, load="1m")
    long = LongDo(trial)
    with trial.running() as running:
        wait_until(lambda: (long.path / "pid").exists())
        running.signal(signal.SIGSTOP)
        (promise,) = undo_journal.read(trial.out / undo_journal.NAME).left
        assert [group.number for group in promise.groups] == [int((long.path / "pid").read_text())]
        running.signal(signal.SIGKILL)
        running.ended()
    trial.wait_for_guardians()
    assert long.is_over


def test_evload_undo_ends_what_is_still_at_it(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(tmp_path, url, load="1m")
    long = LongDo(trial, timeout="1m")
    with trial.running() as running:
        wait_until(lambda: len(long.lines) > 2)
        (guardian,) = trial.guardians
        running.signal(signal.SIGSTOP)  # so that no other takes its place
        os.kill(guardian, signal.SIGKILL)
        running.signal(signal.SIGKILL)
        running.ended()
    assert not long.is_over
    assert trial.undo(monkeypatch) == ""
    assert long.is_over
    assert set(long.lines[long.lines.index("off") :]) == {"off"}


def trial_refusal(trial: Trial) -> str:
    """What a run would be told beside this one."""
    with pytest.raises(UsageError) as error:
        refuse_beside(trial.out.parent, None)
    return str(error.value)


@pytest.mark.parametrize("seed", seeds(40, 1))
def test_a_disk_that_fills_up(seed: int, tmp_path: Path, url: str) -> None:
    """What can't be written down isn't done; what was done is undone, by the guardian where the run is killed."""
    if not can_mount():
        pytest.skip("needs file systems of its own: root, or user namespaces (unshare -rm)")
    rng = random.Random(seed)
    trial = Trial(tmp_path, url, load="3s")
    for name in ("slow", "down", "gone"):
        trial.act(name, at=f"{rng.randrange(50, 1500)}ms", lasts=f"{rng.randrange(50, 1500)}ms", do=", timeout: 2s")
    trial.out.parent.mkdir()
    mount = f'mount -t tmpfs -o size={rng.randrange(2, 40) * 4096} none "{trial.out.parent}" && exec "$@"'
    with trial.running(("unshare", "-rm", "sh", "-c", mount, "sh")) as running:
        if kill := rng.random() < 0.5:
            wait_until(lambda: bool(trial.system.turned) or over(running))
            time.sleep(rng.random())
            running.signal(signal.SIGKILL)
        ended = running.ended()
    trial.wait_for_guardians()
    assert trial.system.on == set(), ended
    if not kill:
        assert ended.code in (0, 3, 4), ended
        assert "Traceback" not in ended.said
        if "isn't done" in ended.said:
            assert "undo.jsonl: No space left on device" in ended.said


def test_what_cant_be_promised_on_a_full_disk_isnt_done(tmp_path: Path, url: str) -> None:
    """The first action fills it, for which there was room to promise; the second has none."""
    if not can_mount():
        pytest.skip("needs file systems of its own: root, or user namespaces (unshare -rm)")
    trial = Trial(tmp_path, url, load="2s")
    filler = trial.out.parent / "filler"
    fill, clear = f"head -c 4M /dev/zero >{filler}; true", f"rm {filler}"
    trial.actions.append(f'  full: {{at: 300ms, do: {{shell: "{fill}"}}, undo: {{shell: "{clear}"}}}}')
    trial.act("slow", at="1s")
    trial.out.parent.mkdir()
    mount = f'mount -t tmpfs -o size=1M none "{trial.out.parent}" && exec "$@"'
    with trial.running(("unshare", "-rm", "sh", "-c", mount, "sh")) as running:
        ended = running.ended()
    trial.wait_for_guardians()
    assert trial.system.turned == [], "neither done nor undone"
    assert "undo.jsonl: No space left on device; slow isn't done, since nobody could undo it" in " ".join(
        ended.said.split()
    ), ended
