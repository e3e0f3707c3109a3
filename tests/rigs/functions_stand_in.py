"""The stand-in of the functions as processes beside a run of evload, and its record held against the ledger."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evload.model.correlation import CorrelationIds
from knative.record import read
from tests.rigs.commands import COMMAND, Ended, summary_of

ROOT: Final = Path(__file__).parents[2]
CONFIGS: Final = ROOT / "configs"
STAND_IN: Final = CONFIGS / "stand-ins" / "knative"
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True)
class Beside:
    """What evload said of a run, and the stand-in's record of it."""

    ended: Ended
    directory: Path
    record: list[list[Any]]

    @property
    def summary(self) -> dict[str, Any]:
        """As evload wrote it."""
        return summary_of(self.directory)

    def results(self) -> dict[str, str]:
        """What became of each objective, by its words and its scenario."""
        return {titled(one): one["result"] for one in self.summary["objectives"]}

    def observed(self, title: str) -> list[float | None]:
        """What was found for an objective."""
        (found,) = [one["observed"] for one in self.summary["objectives"] if titled(one) == title]
        bounds: list[float | None] = found
        return bounds

    def noted(self, what: str) -> list[list[Any]]:
        """The lines of the record about that."""
        return [line for line in self.record if line[1] == what]

    def start_ns(self) -> int:
        """When the schedule began, on the clock of the record."""
        with closing(sqlite3.connect(self.directory / "events.sqlite")) as ledger:
            return int(ledger.execute("SELECT value FROM meta WHERE key = 'start_ns'").fetchone()[0])


def titled(one: dict[str, Any]) -> str:
    """What an objective is called here: its words, and of which scenario."""
    return one["expression"] if one.get("scenario") is None else f"{one['expression']} [{one['scenario']}]"


def beside(amqp: str, config: str | Path, directory: Path, stand_in: Sequence[str], *options: str) -> Beside:
    """Run a config beside a stand-in with these options, both of which are over then."""
    record, out = directory / "record.jsonl", directory / "run"
    run = [str(COMMAND), "run", str(CONFIGS / config), "--out", str(out), "--quiet", *options]
    command = [sys.executable, str(STAND_IN), "--amqp", amqp, "--record", str(record), *stand_in, "--", *run]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
    return Beside(Ended(done.returncode, done.stdout, done.stderr), out, list(read(record)))


def assert_the_ledger_is_the_record(found: Beside) -> None:
    """Event by event: what was taken and what was refused, what was done and how often, and when it was shown."""
    done = {line[3]: line for line in found.noted("done")}
    shown_ns = _shown_ns(found)
    came = {line[3] for line in found.noted("came")}
    refused = {line[3] for line in found.noted("refused")}
    with closing(sqlite3.connect(found.directory / "events.sqlite")) as ledger:
        ledger.row_factory = sqlite3.Row
        rows = list(ledger.execute("SELECT * FROM events"))
        states = dict(ledger.execute("SELECT state, name FROM states").fetchall())
    start_ns, ids = found.start_ns(), CorrelationIds.for_run(found.summary["run_id"])
    sent = {ids.id_of(row["seq"]): row for row in rows}
    assert len(sent) == found.summary["ledger"]["scheduled"]
    assert came | refused == sent.keys()
    for event_id, row in sent.items():
        state = states[row["state"]]
        assert (event_id in refused) == (state == "rejected"), event_id
        assert (event_id in done) == (state == "visible"), (event_id, state)
        if state == "visible":
            at_ns, _, _, _, effects = done[event_id]
            assert row["effects"] == effects
            # It was written down as done before anybody could read it, and as shown when everybody could.
            assert at_ns - start_ns <= row["first_upper_ns"]
            if row["first_lower_ns"] is not None:  # A read missed it.
                assert row["first_lower_ns"] <= max(shown_ns[event_id] - start_ns, row["acked_ns"])


def _shown_ns(found: Beside) -> dict[str, int]:
    """When it is sure that everybody could read it, by event."""
    shown: dict[str, int] = {}
    waiting: dict[str, list[str]] = {}
    for at_ns, what, *about in found.record:
        if what == "done":
            waiting.setdefault(about[0], []).append(about[1])
        elif what == "shown":
            shown |= dict.fromkeys(waiting.pop(about[0]), at_ns)
    return shown
