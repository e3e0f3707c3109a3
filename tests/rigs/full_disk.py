"""Whole runs onto disks that fill up: `unshare -rm python -m tests.rigs.full_disk DIRECTORY SIZE:INODES ...`.

Each run has a file system of its own in memory, of so many pages and files. Prints a line of JSON for each.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from evload.config.load import load_text
from evload.errors import EvloadError, UsageError
from evload.formats.csv import CsvFormat
from evload.formats.junit import JunitFormat
from evload.formats.markdown import markdown
from evload.ledger.reader import LedgerReader
from evload.model.progress import Progress
from evload.model.report import Report
from evload.report.build import build_again
from evload.report.document import as_json
from evload.run import session
from evload.sandbox.truth import read_truth
from evload.sinks.console.sink import ConsoleSink
from evload.sinks.json import JsonSink

PAGE: Final = 4096
CONFIG: Final = """
sandbox: {visibility: 5ms}
producers: {p: {kind: http, url: "{sandbox}/events"}}
events: {e: {type: t, source: /tests}}
probes:
  r: {kind: http, url: "{sandbox}/items/{correlation_id}", visible: "status == `200`", deadline: 2s,
      confirm: {reads: 1, over: 20ms}}
scenarios: {s: {producer: p, events: [e], probes: [r], load: [{rate: 200/s, for: 500ms}]}}
slos: [lost == 0]
self_checks: {offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}
reports: {page: {kind: html}, text: {kind: markdown}, ci: {kind: junit}, sheet: {kind: csv, directory: tables}}
"""
EXPECTED: Final = (
    "config.yaml", "truth.jsonl", "events.sqlite", "summary.json", "report.html", "report.md", "junit.xml",
    "tables/percentiles.csv", "tables/gauges.csv", "tables/series.csv",
)  # fmt: skip
"""What a run leaves that had room for all."""


@dataclass
class Trial:
    """What came of one run.

    said     on the terminal; `printed` is the summary, as it went to stdout
    error    what was raised at the end, and its exit code
    whole    the files that are there and hold all that they should
    broken   those that don't, with what is wrong; and whatever else there is
    """

    pages: int
    inodes: int
    code: int = 0
    said: str = ""
    printed: str = ""
    error: str = ""
    whole: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    left: int = 0
    """Bytes of the disk in use at the end."""


def main(directory: Path, disks: list[tuple[int, int]]) -> None:
    """A run onto each of the disks."""
    directory.mkdir(exist_ok=True)
    for pages, inodes in disks:
        options = f"size={pages * PAGE},nr_inodes={inodes}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(directory)], check=True)
        try:
            print(json.dumps(asdict(_run(directory / "out", pages, inodes))), flush=True)
        finally:
            subprocess.run(["umount", "-l", str(directory)], check=True)


def _run(out: Path, pages: int, inodes: int) -> Trial:
    trial = Trial(pages, inodes)
    page, printed = io.StringIO(), list[bytes]()
    console = ConsoleSink(Console(file=page, width=200))
    keeper = _Keeper()
    loaded = load_text(CONFIG, "full", environ={})
    try:
        ended = session.run(
            loaded, out=out, sinks=[console, keeper, JsonSink(printed.append)],
            say=lambda text: print(text, file=page),
        )  # fmt: skip
        trial.code = ended.exit_code
    except EvloadError as error:
        trial.error, trial.code = str(error), error.exit_code
    finally:
        asyncio.set_event_loop(None)
    trial.said, trial.printed = page.getvalue(), b"".join(printed).decode()
    usage = shutil.disk_usage(out.parent)
    trial.left = usage.used
    expected = keeper.files(loaded.as_run())
    for path in sorted(path for path in out.rglob("*") if not path.is_dir()) if out.exists() else ():
        name = str(path.relative_to(out))
        try:
            wrong = _wrong(path, name, expected, trial)
        except (ValueError, UsageError, sqlite3.Error) as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            trial.broken[name] = wrong
        else:
            trial.whole.append(name)
    return trial


def _wrong(path: Path, name: str, expected: Mapping[str, bytes], trial: Trial) -> str:
    """What is wrong with a file of a run; empty if nothing is."""
    if name.startswith("events.incomplete.sqlite"):
        # On a full disk there is no room to look at it.
        with tempfile.TemporaryDirectory() as elsewhere:
            for each in path.parent.glob("events.incomplete.sqlite*"):
                shutil.copy(each, elsewhere)
            with closing(sqlite3.connect(Path(elsewhere) / "events.incomplete.sqlite")) as db:
                return "" if db.execute("PRAGMA integrity_check").fetchone() == ("ok",) else "broken"
    if name == "events.sqlite":
        with LedgerReader(path) as ledger:
            again = json.loads(as_json(build_again(ledger, path.parent)))
        return "" if again == json.loads(trial.printed) else "it tells something else than the run"
    if name == "truth.jsonl":
        return "" if len(read_truth(path)) == json.loads(trial.printed)["ledger"]["acked"] else "not whole"
    content = path.read_bytes()
    if name == "report.html":  # its charts have other names each time
        return "" if content.startswith(b"<!doctype html>") and content.endswith(b"</html>\n") else "not whole"
    if name not in expected:
        return "nobody asked for it"
    return "" if content == expected[name] else "not whole"


class _Keeper:
    """A sink that keeps the report, to hold the files against it."""

    def __init__(self) -> None:
        self.report: Report | None = None

    def progress(self, now: Progress) -> None: ...

    async def finish(self, report: Report) -> None:
        self.report = report

    def files(self, config: str) -> dict[str, bytes]:
        """What has to be in each file, as far as it is the same each time."""
        found: dict[str, bytes | str] = {"config.yaml": config.encode()}
        if self.report is not None:
            found["summary.json"] = as_json(self.report)
            found["report.md"] = markdown(self.report)
            found |= JunitFormat().files(self.report)
            found |= {f"tables/{name}": content for name, content in CsvFormat().files(self.report).items()}
        return {name: content if isinstance(content, bytes) else content.encode() for name, content in found.items()}


if __name__ == "__main__":
    os.environ.pop("GITHUB_ACTIONS", None)
    main(Path(sys.argv[1]), [(int(p), int(i)) for p, i in (each.split(":") for each in sys.argv[2:])])
