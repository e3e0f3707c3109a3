"""Interrupts, kills and targets that die: results all the same, sums that close, and nothing left running."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evload.ledger.reader import LedgerReader
from evload.model.correlation import CorrelationIds
from evload.model.states import State
from tests.rigs.commands import (
    Ended,
    Started,
    assert_closes,
    assert_one_clear_line,
    evload,
    sandboxes_of,
    started,
    summary_of,
    wait_until,
)
from tests.rigs.pipelines import EMBEDDED, LENIENT
from tests.servers.collector import Collector, collecting
from tests.servers.httpserver import Request, Server, answer

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")

LONG = EMBEDDED.replace("for: 2s", "for: 60s")
FULL = 6060
"""Events that the long config schedules."""


@contextmanager
def under_load(config: str, cwd: Path, rows: int = 1) -> Iterator[Started]:
    """A run in `cwd/out` that has settled some events."""
    (cwd / "c.yaml").write_text(config)
    with started("run", "c.yaml", "--out", cwd / "out", cwd=cwd) as running:
        wait_until(lambda: rows_in(cwd / "out") >= rows)
        yield running


def rows_in(directory: Path) -> int:
    """Settled events in the ledger file so far."""
    try:
        with closing(sqlite3.connect(f"file:{directory / 'events.sqlite'}?mode=ro", uri=True)) as ledger:
            (count,) = ledger.execute("SELECT count(*) FROM events").fetchone()
            return int(count)
    except sqlite3.OperationalError:
        return 0


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_reports_and_ends_with_130(number: signal.Signals, tmp_path: Path) -> None:
    with under_load(LONG, tmp_path) as running:
        assert sandboxes_of(tmp_path / "out") != []
        running.signal(number)
        ended = running.ended()
    assert (ended.code, ended.err) == (130, "")
    assert "interrupted: sending nothing more, waiting up to 8 s for what is outstanding" in ended.out
    assert "short: interrupted; as far as it went, " in ended.out
    summary = summary_of(tmp_path / "out")
    assert summary["interrupted"] is True
    assert_closes(summary)
    ledger = summary["scenarios"]["steady"]["ledger"]
    assert 0 < summary["ledger"]["scheduled"] < FULL
    assert ledger["visible"] == ledger["scheduled"]  # what was outstanding was waited for
    rebuilt = evload("report", "out", "--format", "json", cwd=tmp_path)
    assert json.loads(rebuilt.out) == summary
    assert sandboxes_of(tmp_path / "out") == []


@linux
def test_a_second_signal_reports_at_once(tmp_path: Path) -> None:
    config = LONG.replace(
        "visibility: {lognormal: {median: 50ms, p99: 200ms}}",
        "visibility: 10m\n  faults: [{what: slow-broker, at: 1s, lasting: 10m, delay: 10m}]",
    ).replace("settle: 8s", "settle: 10m")
    with under_load(config, tmp_path) as running:  # the unwatched ones settle
        time.sleep(2)
        running.signal(signal.SIGINT)
        while not running.first_line().startswith("interrupted: "):
            pass
        running.signal(signal.SIGINT)
        ended = running.ended()
    assert (ended.code, ended.err) == (130, "")
    assert ended.out.startswith("interrupted again: reporting what there is\n")
    summary = summary_of(tmp_path / "out")
    assert summary["interrupted"] is True
    assert_closes(summary)
    ledger = summary["scenarios"]["steady"]["ledger"]
    assert ledger["pending"] > 0
    assert ledger["in_doubt"] > 0
    assert ledger["pending"] + ledger["in_doubt"] + ledger["unsent"] == ledger["scheduled"]
    assert sandboxes_of(tmp_path / "out") == []


@linux
def test_a_second_signal_while_a_report_is_delivered_leaves_the_files(tmp_path: Path) -> None:
    with collecting(Collector(silent=threading.Event())) as collector:
        reports = f"reports: {{chat: {{kind: webhook, url: '{collector.url}', timeout: 10m}}, ci: {{kind: junit}}}}\n"
        (tmp_path / "c.yaml").write_text(EMBEDDED.replace("reports: {}\n", "") + reports)
        with started("run", "c.yaml", "--out", tmp_path / "out", cwd=tmp_path) as running:
            wait_until(lambda: bool(collector.got))
            running.signal(signal.SIGINT)
            while "its reports are under way; again to leave them" not in running.first_line():
                pass
            running.signal(signal.SIGINT)
            ended = running.ended()
    assert (ended.code, ended.err) == (130, "")
    assert "interrupted again: chat cut short" in ended.out
    assert (tmp_path / "out/junit.xml").read_bytes().startswith(b"<?xml")
    assert summary_of(tmp_path / "out")["interrupted"] is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_target_keeps_us_waiting(number: signal.Signals, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with started("burst", url, "--out", "out", cwd=tmp_path) as running:
            connection, _ = listener.accept()  # and never a word of TLS
            with connection:
                running.signal(number)
                ended = running.ended()
    assert_one_clear_line(ended, 130, "interrupted before the run began; nothing was sent")


@linux
def test_a_signal_while_the_sandbox_starts(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(LONG)
    with started("run", "c.yaml", "--out", tmp_path / "out", cwd=tmp_path) as running:
        wait_until(lambda: sandboxes_of(tmp_path / "out") != [])
        running.signal(signal.SIGTERM)
        ended = running.ended()
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert sandboxes_of(tmp_path / "out") == []


@linux
def test_report_rebuilds_a_run_that_is_going_on_and_one_that_was_killed(tmp_path: Path) -> None:
    with under_load(LONG, tmp_path, rows=100) as running:
        during = evload("report", "out", "--format", "json", cwd=tmp_path)
        running.signal(signal.SIGKILL)
        assert running.ended().code == -signal.SIGKILL
    assert not (tmp_path / "out/summary.json").exists()
    wait_until(lambda: sandboxes_of(tmp_path / "out") == [])

    assert (during.code, during.err) == (0, "")
    assert_closes(json.loads(during.out))

    after = evload("report", "out", "--format", "json", cwd=tmp_path)
    assert (after.code, after.err) == (0, "")
    summary = json.loads(after.out)
    assert summary["crashed"] is True
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["in_doubt"] == ledger["scheduled"] - rows_in(tmp_path / "out") > 0
    assert ledger["visible"] > 0
    with LedgerReader(tmp_path / "out/events.sqlite") as reader:
        note = reader.last_note()
    assert note is not None
    assert ledger["scheduled"] >= sum(note["scheduled"])

    text = evload("report", "out", cwd=tmp_path)
    assert text.code == 0
    assert "the run was killed or is still going on; what was outstanding counts as in doubt" in " ".join(
        text.out.split()
    )


@linux
def test_a_sandbox_that_dies_in_the_middle_is_data(tmp_path: Path) -> None:
    config = EMBEDDED.replace("for: 2s", "for: 4s").replace("deadline: 6s", "deadline: 2s")
    with under_load(config, tmp_path) as running:
        for sandbox in sandboxes_of(tmp_path / "out"):
            os.kill(sandbox, signal.SIGKILL)
        ended = running.ended()
    assert ended.code in (1, 4, 5), ended
    assert ended.err == ""
    summary = summary_of(tmp_path / "out")
    assert (summary["interrupted"], summary["crashed"]) == (False, False)
    assert summary["ledger"]["scheduled"] == 460
    assert_closes(summary)
    steady = summary["scenarios"]["steady"]["ledger"]
    assert steady["visible"] > 0
    assert steady["unsent"] > 0
    assert steady["lost"] == 0  # nobody could look
    assert any("connection refused" in reason for reason in summary["errors"])


ONLY_PUBLISH = (
    """\
name: through-an-outage
producers:
  broker: {kind: http, url: "URL", timeout: 2s}
events:
  e: {type: t, source: /tests}
scenarios:
  s: {producer: broker, events: {e: 1}, load: [{rate: 200/s, for: 3s}]}
slos: [rate(errors) < 1%]
"""
    + LENIENT
)


def test_a_broker_that_dies_and_comes_back(tmp_path: Path) -> None:
    """What it accepted is what the ledger says, on both sides of the outage."""

    def accept(_: Request) -> list[bytes]:
        return [answer(202)]

    def ids_in(server: Server) -> set[str]:
        return {json.loads(body)["correlationid"] for body in server.bodies}

    async def outage() -> tuple[Ended, set[str], set[str]]:
        before = Server(accept)
        await before.start(None)
        (tmp_path / "c.yaml").write_text(ONLY_PUBLISH.replace("URL", before.url))
        run = asyncio.create_task(asyncio.to_thread(evload, "run", "c.yaml", "--out", "out", cwd=tmp_path))
        while len(before.requests) < 100:
            await asyncio.sleep(0.01)
        await before.stop()
        await asyncio.sleep(0.7)
        after = Server(accept)
        await after.start(None, int(before.url.rpartition(":")[2]))
        ended = await run
        await after.stop()
        return ended, ids_in(before), ids_in(after)

    ended, before, after = asyncio.run(outage())
    assert (ended.code, ended.err) == (1, "")
    assert len(before) >= 100
    assert after
    summary = summary_of(tmp_path / "out")
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["scheduled"] == 600
    assert ledger["unsent"] > 0
    assert ledger["acked"] > 100
    with LedgerReader(tmp_path / "out/events.sqlite") as reader:
        ids = CorrelationIds.for_run(reader.meta["run_id"])
        seen_events = list(reader.observations(0))
    states = {ids.id_of(seen.seq): seen.state for seen in seen_events}
    # What the target refused was offered all the same: the outage is not held against the generator.
    refused = [seen for seen in seen_events if seen.detail == "connection refused"]
    assert refused
    assert all(seen.sent_ns is not None for seen in refused)
    received = before | after
    acked = {name for name, state in states.items() if state is State.UNOBSERVED}
    in_doubt = {name for name, state in states.items() if state is State.IN_DOUBT}
    assert acked <= received <= acked | in_doubt
