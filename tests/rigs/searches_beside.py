"""Searches for a ceiling as people make them, beside a stand-in in a process of its own, and its record of them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evload.model.correlation import CorrelationIds
from evload.stats.drift import drift
from tests.rigs.commands import COMMAND, Ended, summary_of

UNHURRIED: Final = "self_checks=" + (
    "{offered_rate: warn, lateness: warn, headroom: warn, resolution: warn, horizon: warn, observer_effect: warn}"
)
"""A busy machine must not decide a test."""
_PATIENCE_S: Final = 3600.0
_POINTS: Final = 400


@dataclass(frozen=True)
class Trial:
    """One trial, by evload's notes, its ledger and the record. Times in seconds since its schedule began.

    rate    events per second that were offered
    window  the last three quarters of what was judged
    acked   when each event was acked
    done    when each event was done, by the record
    """

    notes: Mapping[str, Any]
    rate: float
    window: tuple[float, float]
    acked: Sequence[float]
    done: Sequence[float]

    def done_per_second(self) -> float:
        """Events that the stand-in did in the window, by its own record."""
        since, until = self.window
        return sum(since <= at < until for at in self.done) / (until - since)

    def growth(self) -> float:
        """By how much what was acked and not done yet really grew in the window, as a share of the rate."""
        since, until = self.window
        times = [since + (until - since) * point / (_POINTS - 1) for point in range(_POINTS)]
        waiting = [sum(at <= now for at in self.acked) - sum(at <= now for at in self.done) for now in times]
        found = drift(times, waiting)
        assert found is not None
        return found.slope / self.rate


@dataclass(frozen=True)
class Searched:
    """What evload said of a search, its notes, and its trials."""

    ended: Ended
    found: Mapping[str, Any]
    trials: Sequence[Trial]


Moments = Callable[[Mapping[str, Any]], Mapping[str, float]]
"""When each event was done, by its correlation id, in seconds since the schedule of a run began; given what the
ledger of that run says of itself."""


def searched(
    command: Sequence[str | Path], config: Path, directory: Path, moments: Callable[[], Moments], *options: str
) -> Searched:
    """Look for the ceiling by a config, beside what a command starts that runs what stands behind it.

    `moments` reads the record once both are over.
    """
    out = directory / "search"
    run: list[str | Path] = [COMMAND, "ceiling", config, "--out", out, "--quiet", *options]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    environment["XDG_STATE_HOME"] = str(directory)
    with subprocess.Popen(
        [*command, "--", *run], cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said = process.communicate(timeout=_PATIENCE_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # the search, too
            raise
    ended = Ended(process.returncode, *said)
    assert (out / "ceiling.json").exists(), ended.said
    found = json.loads((out / "ceiling.json").read_bytes())
    found_moments = moments()
    return Searched(ended, found, [_trial(notes, out, found_moments) for notes in found["trials"]])


def _trial(notes: Mapping[str, Any], search: Path, moments: Moments) -> Trial:
    directory = search / notes["directory"]
    with closing(sqlite3.connect(directory / "events.sqlite")) as ledger:
        meta = {key: json.loads(value) for key, value in ledger.execute("SELECT key, value FROM meta")}
        rows = ledger.execute("SELECT seq, acked_ns FROM events WHERE acked_ns IS NOT NULL").fetchall()
    at = moments(meta)
    ids = CorrelationIds.for_run(summary_of(directory)["run_id"])
    (plan,) = meta["plan"]
    end = plan["phases"][-1][1] / 1e9
    judged = end - notes["length"]
    return Trial(
        notes, notes["rate"], (judged + notes["length"] / 4, end), [acked / 1e9 for _, acked in rows],
        [at[one] for seq, _ in rows if (one := ids.id_of(seq)) in at],
    )  # fmt: skip


def assert_the_record_agrees(searched: Searched) -> None:
    """The interval is that of what the stand-in really did: what grew and what didn't, and how much it did."""
    bounds = searched.found["ceiling"]
    assert bounds["end"] == "interval", (searched.ended.said, bounds)
    for trial in searched.trials:
        low, high = trial.notes["backlogs"]["events not seen yet"]["growth"]
        assert low <= trial.growth() <= high, trial.notes
        if trial.notes["outcome"] == "good":
            assert trial.growth() <= 0.01, trial.notes
            assert len(trial.done) == len(trial.acked)
    sustained = max(one.done_per_second() for one in searched.trials if one.rate == bounds["good"])
    assert sustained >= 0.98 * bounds["good"]
    # What the stand-in did of the lowest rate that is too much is less than that.
    beyond = [one for one in searched.trials if one.rate == bounds["bad"] and one.notes["outcome"] == "bad"]
    assert all(one.growth() > 0.01 and one.done_per_second() < 0.99 * one.rate for one in beyond), bounds
