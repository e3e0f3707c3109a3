"""Real runs that act by the kinds there are: what is done shows, and all of it is undone."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from evload.run import undo_journal
from tests.rigs.commands import evload, started, summary_of, wait_until

CONFIG: Final = """
sandbox: {workers: 4, service: 1ms, visibility: 1ms}
producers: {api: {kind: http, url: "{sandbox}/events"}}
events: {created: {type: placement.created, source: /tests}}
probes: {model: {kind: http, url: "{sandbox}/items/{correlation_id}", deadline: 10s}}
gauges: {queue: {kind: http-json, url: "{sandbox}/queue", value: body.depth, as: queue_depth, every: 100ms}}
scenarios: {s: {producer: api, events: [created], probes: [model], load: [{rate: 20/s, for: FORs}]}}
setup:
  - {shell: "echo '{\\"id\\": 7}'", capture: {item: output.id}}
actions:
  blocked: {at: 500ms, for: 1s, do: {sandbox: {workers: 0}}, undo: {sandbox: {workers: 4}}}
  all:
    at: 1s
    for: 500ms
    do:
      - {shell: "echo {item} > on"}
      - {sql: "UPDATE flags SET value = {item}", on: "sqlite:///shop.db"}
      - {post: "{sandbox}/admin", json: {retain: 5m}}
    undo:
      - {shell: rm on}
      - {sql: "UPDATE flags SET value = 0", on: "sqlite:///shop.db"}
slos: [lost == 0, max(queue_depth) > 5]
self_checks: {offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}
"""


def prepared(directory: Path, lasting_s: int) -> Path:
    (directory / "c.yaml").write_text(CONFIG.replace("FOR", str(lasting_s)))
    with closing(sqlite3.connect(directory / "shop.db")) as database:
        database.execute("CREATE TABLE flags (value)")
        database.execute("INSERT INTO flags VALUES (0)")
        database.commit()
    return directory


def flag(directory: Path) -> Any:
    with closing(sqlite3.connect(directory / "shop.db")) as database:
        return database.execute("SELECT value FROM flags").fetchone()[0]


def is_done(action: str, directory: Path) -> bool:
    """Whether the journal of the run in `directory/out` says so."""
    journal = directory / "out" / undo_journal.NAME
    return journal.exists() and f'{{"done":"{action}"' in journal.read_text()


def test_a_run_acts_by_several_kinds_and_leaves_nothing(tmp_path: Path) -> None:
    prepared(tmp_path, 3)
    done = evload("run", "c.yaml", "--out", "out", "--quiet", cwd=tmp_path)
    assert done.code == 0, done.said
    summary = summary_of(tmp_path / "out")
    assert summary["verdict"] in ("pass", "warn")
    assert not (tmp_path / "on").exists()
    assert flag(tmp_path) == 0


def test_what_a_killed_run_has_done_is_undone_and_a_pipeline_that_went_with_it_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    prepared(tmp_path, 60)
    with started("run", "c.yaml", "--out", "out", "--quiet", cwd=tmp_path) as running:
        # Of what was still being done it would be waited whether it takes effect, for as long as that may take.
        wait_until(lambda: is_done("all", tmp_path))
        assert flag(tmp_path) == 7
        assert (tmp_path / "on").read_text() == "7\n"
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(30)
    wait_until(lambda: flag(tmp_path) == 0 and not (tmp_path / "on").exists())
    wait_until(lambda: "nothing is left to undo" in evload("undo", "out", cwd=tmp_path).said)
