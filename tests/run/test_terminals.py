"""What happens to a terminal never changes the run, its files or its exit code."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from evload.ledger.reader import LedgerReader
from tests.rigs.commands import COMMAND, assert_closes, assert_one_clear_line, evload, summary_of, wait_until
from tests.rigs.pipelines import LENIENT
from tests.run.test_interrupts import LONG, rows_in, under_load
from tests.servers.collector import Collector, collecting

CONFIG: Final = """\
name: für immer
seed: 3
sandbox: {seed: 5, visibility: 20ms, replicas: [{name: eu-1}, {name: eu-2}]}
producers: {broker: {kind: http, url: "{sandbox}/events"}}
events: {created: {type: t, source: /tests, key: "{int:1..9}", data: {video: "{uuid}"}}}
probes:
  read-model:
    kind: http
    url: "{sandbox}/items/query"
    ids: {in: body, at: ids}
    items: body.items
    replica: body.replica
    effects: item.effects
    deadline: 30s
    confirm: {reads: 2, over: 100ms}
scenarios: {steady: {producer: broker, events: [created], probes: [read-model], load: [{rate: 40/s, for: 1s}]}}
slos: [lost == 0, duplicates == 0, errors == 0, p50(consistency) < 10s]
reports: {ci: {kind: junit}, notes: {kind: markdown}, table: {kind: csv}}
self_checks: {offered_rate: "off", lateness: "off", headroom: "off", resolution: "off", clocks: "off"}
"""
TIMES: Final = frozenset({
    "run_id", "started_at", "duration", "span", "behind", "distributions", "generator", "reads", "value", "observed",
    "note",
})  # fmt: skip
"""Of summary.json: what is another in every run."""


@dataclass(frozen=True)
class Around:
    """What surrounds a run: words of a shell in which `"$@"` is the command, and variables."""

    words: str = '"$@"'
    environ: Mapping[str, str] = field(default_factory=dict)
    terminal: tuple[int, int] | None = None
    """Rows and columns, where it is one."""
    stuck: bool = False
    """Whoever reads begins once the run is over."""
    said: bytes = b""
    """What is read."""


AROUND: Final = {
    "all closed": Around('"$@" <&- >&- 2>&-'),
    "full": Around('"$@" >/dev/full 2>/dev/full'),
    "cut": Around('{ "$@"; echo $? >code; } | head -n 1; exit $(cat code)', said=b"t="),
    "cut at once": Around('{ "$@" --json; echo $? >code; } | true; exit $(cat code)'),
    "latin-1 without columns": Around(
        environ={"PYTHONIOENCODING": "latin-1", "COLUMNS": "0", "LINES": "0"},
        said=b"PASS  f\xfcr immer: every objective is met\n",
    ),
    "ascii": Around(
        environ={"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"},
        said=b"PASS  f\\xfcr immer: every objective is met\n",
    ),
    "dumb": Around(environ={"TERM": "dumb"}, terminal=(24, 80), said=b"every objective is met\r\n"),
    "a terminal of one letter": Around(environ={"TERM": "xterm"}, terminal=(1, 1), said=b"results in out"),
    "a terminal that was stopped": Around(
        environ={"TERM": "xterm"}, terminal=(24, 80), stuck=True, said=b"every objective is met\r\n"
    ),
    "a reader that sleeps": Around(stuck=True, said=b"every objective is met\n"),
    "nohup": Around("trap '' HUP; { sleep 1; kill -HUP $$; } & exec \"$@\"", said=b"every objective is met\n"),
}


def run_in(around: Around, cwd: Path) -> tuple[int, bytes]:
    """Run the config into `cwd/out`; the exit code, and what could be read."""
    (cwd / "c.yaml").write_text(CONFIG)
    ours, theirs = os.pipe() if around.terminal is None else pty.openpty()
    if around.terminal is not None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *around.terminal, 0, 0))
    if around.stuck and around.terminal is not None:
        termios.tcflow(theirs, termios.TCOOFF)  # as Ctrl-S does
    elif around.stuck:
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while os.write(theirs, b"." * 4096):  # until it is full
                pass
        os.set_blocking(theirs, True)
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "CI")}
    heard: list[bytes] = []

    def listen() -> None:
        with suppress(OSError):  # what a terminal says when nobody is left on the other side
            heard.extend(iter(lambda: os.read(ours, 65536), b""))

    listener = threading.Thread(target=listen)
    with subprocess.Popen(
        ["/bin/sh", "-c", around.words, "sh", COMMAND, "run", "c.yaml", "--out", "out"], cwd=cwd,
        env={**environ, **around.environ}, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            if around.stuck:
                wait_until((cwd / "out/report.md").exists)
                if around.terminal is not None:
                    termios.tcflow(theirs, termios.TCOON)
            os.close(theirs)
            listener.start()
            code = process.wait(timeout=90)
        finally:
            process.kill()
            if listener.is_alive():
                listener.join()
            os.close(ours)
    return code, b"".join(heard)


def timeless(told: Any) -> Any:
    """Of a summary what doesn't differ from run to run."""
    if isinstance(told, dict):
        return {name: timeless(value) for name, value in told.items() if name not in TIMES}
    return [timeless(value) for value in told] if isinstance(told, list) else told


def contents(directory: Path) -> dict[str, Any]:
    """The files of a run by their names, each without times."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in directory.iterdir()}
    found["summary.json"] = timeless(json.loads(found["summary.json"]))
    for check in found["summary.json"]["self_checks"]:
        del check["limit"]  # one of them shows the one of its two figures that was worse
    found["report.md"] = [line for line in found["report.md"].decode().splitlines() if line.startswith(("#", "- **"))]
    found["junit.xml"] = [
        (case.get("name"), [child.tag for child in case])
        for case in ElementTree.fromstring(found["junit.xml"]).iter("testcase")
    ]
    found["percentiles.csv"] = [line.split(",")[:4] for line in found["percentiles.csv"].decode().splitlines()]
    found["series.csv"] = found["series.csv"].decode().splitlines()[0]
    found["gauges.csv"] = found["gauges.csv"].decode().splitlines()[0]
    found["truth.jsonl"] = found["truth.jsonl"].count(b"\n")
    with LedgerReader(directory / "events.sqlite") as ledger:
        found["events.sqlite"] = sorted((seen.seq, seen.key, seen.state) for seen in ledger.observations(0))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run leaves that nothing happens to."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    (cwd / "c.yaml").write_text(CONFIG)
    ended = evload("run", "c.yaml", "--out", "out", cwd=cwd)
    assert (ended.code, ended.err) == (0, "")
    return contents(cwd / "out")


@pytest.mark.parametrize("around", AROUND)
def test_whatever_surrounds_a_run_it_is_the_same(around: str, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    code, heard = run_in(AROUND[around], tmp_path)
    assert (code, b"Traceback" in heard) == (0, False), heard
    found = contents(tmp_path / "out")
    assert found.keys() == undisturbed.keys()
    for name, content in undisturbed.items():
        assert found[name] == content, name
    if AROUND[around].said:
        assert AROUND[around].said in heard


def test_a_document_that_a_verb_is_for_is_whole_or_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    through = ("/bin/sh", "-c", '"$@" >/dev/full', "sh")
    cut = "can't write to standard output: No space left on device; free some space"
    assert_one_clear_line(evload("schema", cwd=tmp_path, through=through), 3, cut)
    told = evload("validate", "c.yaml", cwd=tmp_path, through=through)
    assert_one_clear_line(told, 0, "standard output is cut short: No space left on device")


@pytest.mark.parametrize("words", [("schema",), ("validate", "c.yaml"), ("plan", "c.yaml"), ("--help",)])
def test_whoever_has_had_enough_of_a_verb_is_no_error(words: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    through = ("/bin/sh", "-c", '{ "$@"; echo $? >code; } | true; exit $(cat code)', "sh")
    ended = evload(*words, cwd=tmp_path, through=through)
    assert (ended.code, ended.err) == (0, "")


def test_a_terminal_that_closes_is_the_first_ctrl_c(tmp_path: Path) -> None:
    def on_a_terminal_of_its_own() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup

    (tmp_path / "c.yaml").write_text(LONG)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@"', "sh", COMMAND, "run", "c.yaml", "--out", "out"], cwd=tmp_path,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=on_a_terminal_of_its_own,
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            wait_until(lambda: rows_in(tmp_path / "out") > 0)
            os.close(ours)
            code = process.wait(timeout=60)
        finally:
            process.kill()
    summary = summary_of(tmp_path / "out")
    assert (code, summary["interrupted"]) == (130, True)
    assert_closes(summary)
    ledger = summary["scenarios"]["steady"]["ledger"]
    assert 0 < ledger["visible"] == ledger["scheduled"]  # what was outstanding was waited for


def test_being_hung_up_twice_is_no_second_ctrl_c(tmp_path: Path) -> None:
    """The shell says it, and so does the system."""
    with under_load(LONG, tmp_path) as running:
        running.signal(signal.SIGHUP)
        running.signal(signal.SIGHUP)
        while not running.first_line().startswith("interrupted: "):
            pass
        running.signal(signal.SIGHUP)
        ended = running.ended()
    assert (ended.code, ended.err) == (130, "")
    assert "interrupted again" not in ended.out
    ledger = summary_of(tmp_path / "out")["scenarios"]["steady"]["ledger"]
    assert 0 < ledger["visible"] == ledger["scheduled"]


NASTY: Final = "500 [/hook] [bold]no[/bold]\n::error::forged\n##[error]forged"
SAID: Final = "HTTP 500: 500 [/hook] [bold]no[/bold] ::error::forged # #[error]forged"


def test_what_targets_say_is_shown_as_it_is_and_never_obeyed(tmp_path: Path) -> None:
    """A producer, a webhook, and a collector in the middle of the run; in a CI server's log."""
    with collecting(Collector(status=500, answer=NASTY.encode(), answer_type="text/plain")) as bad:
        config = (
            f"producers: {{p: {{kind: http, url: '{bad.url}/e'}}}}\nevents: {{e: {{type: t, source: /tests}}}}\n"
            "scenarios: {s: {producer: p, events: [e], load: [{rate: 20/s, for: 2s}]}}\n"
            f"reports: {{w: {{kind: webhook, url: '{bad.url}'}}, o: {{kind: otlp, url: '{bad.url}', every: 1s}}}}\n"
        )
        (tmp_path / "c.yaml").write_text(config + LENIENT)
        github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md")}
        ended = evload("run", "c.yaml", "--out", "out", cwd=tmp_path, env=github)
    assert (ended.code, ended.err) == (1, "")
    told = ended.out.splitlines()
    assert len([line for line in told if f"{SAID}; the verdict was not delivered" in line]) == 1
    assert len([line for line in told if f"{SAID}; metrics were not delivered" in line]) > 1
    assert "##[" not in ended.out
    assert "##\\[error" not in (tmp_path / "step.md").read_text()
    ours = [line for line in told if line.lstrip().startswith("::")]
    kinds = {line.partition(" title=")[0] for line in ours}
    assert "::error" in kinds
    # A busy machine is warned of, in evload's own words.
    assert kinds <= {"::error", "::warning"}
    assert not any(line.startswith("::error::forged") for line in ours)
