"""A run from Python: what it returns, what it refuses, how it ends early, and that its host notices nothing of it."""

from __future__ import annotations

import _thread
import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sqlite3
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import evload
from evload.model.progress import Progress
from evload.model.report import Report
from tests.rigs.commands import assert_closes, sandboxes_of, summary_of
from tests.rigs.pipelines import EMBEDDED

SHORT: Final = EMBEDDED.replace("for: 2s", "for: 1s")
LONG: Final = EMBEDDED.replace("for: 2s", "for: 30s") + (
    "actions:\n"
    "  slow:\n"
    "    at: 0s\n"
    "    for: 30s\n"
    '    do: {post: "{sandbox}/admin", json: {service: 3ms}}\n'
    '    undo: {post: "{sandbox}/admin", json: {service: 2ms}}\n'
)
NEVER_SEEN: Final = LONG.replace("median: 50ms, p99: 200ms", "median: 1h, p99: 2h").replace(
    "settle: 8s", "settle: 1h"
)


class Watcher:
    """A sink that knows what the run is at, and does something once when it is far enough."""

    def __init__(self, then: Any = None) -> None:
        self.seen: list[Progress] = []
        self.reports: list[Report] = []
        self.hosts: list[Mapping[str, object]] = []
        self.under_way = asyncio.Event()
        self._then = then

    def progress(self, now: Progress) -> None:
        self.seen.append(now)
        self.hosts.append(state_of_the_host())
        if now.states.get("visible", 0) + now.states.get("pending", 0) + now.outstanding and any(
            one.state == "on" for one in now.actions
        ):
            self.under_way.set()
            if self._then is not None:
                then, self._then = self._then, None
                then()

    async def finish(self, report: Report) -> None:
        self.reports.append(report)


def state_of_the_host() -> dict[str, object]:
    """What a library has to leave as it is."""
    return {
        "signals": [
            signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
        ],
        "policy": asyncio.get_event_loop_policy(),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "switches": sys.getswitchinterval(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "streams": (sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, threading.excepthook),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "directory": os.getcwd(),
        "variables": dict(os.environ),
    }


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


# --- a result ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[evload.Measurement, Watcher, Mapping[str, object]]:
    """One run of plain data whose first objective can't be met and whose second can't be decided."""
    config = yaml.safe_load(SHORT)
    slos = ["p50(end_to_end) < 1ms", "p99.9(end_to_end) < 5s", "lost == 0"]
    before, watcher, running = state_of_the_host(), Watcher(), threads()
    measured = evload.measure(
        config, out=tmp_path_factory.mktemp("api") / "out", sets={"slos": slos}, scenarios="steady", seed=11,
        sinks=[watcher],
    )  # fmt: skip
    assert threads() == running
    assert state_of_the_host() == before
    return measured, watcher, before


def test_a_verdict_is_a_result_with_all_that_decided_it(told: Any) -> None:
    measured: evload.Measurement = told[0]
    assert (measured.verdict, measured.exit_code, measured.passed) == (evload.Result.FAIL, 1, False)
    first, second, third = measured.objectives
    assert (first.name, first.result, first.limit, first.passed) == ("p50(end_to_end) < 1ms", "fail", 0.001, False)
    assert first.observed.lower is not None
    assert first.observed.lower > 0.001
    assert first.value.endswith(" ms")
    assert len(first.worst) > 0
    assert (second.result, second.why) == ("inconclusive", "needs 2995 events, has 100")
    assert (third.result, third.value, third.observed, third.passed) == ("pass", "0", (0, 0), True)
    assert measured.headline.startswith("1 of 3 objectives failed: p50(end_to_end) ")


def test_counts_and_brackets_are_those_of_the_files(told: Any) -> None:
    measured: evload.Measurement = told[0]
    summary = summary_of(measured.path)
    assert json.loads(json.dumps(measured.summary)) == summary
    assert measured.counts == summary["ledger"]
    assert measured.counts["scheduled"] == measured.counts["visible"] == 100
    took = measured.distributions["consistency"]
    assert (took.count, took.censored) == (100, 0)
    assert took["p95"] == took.percentiles["p95"] == tuple(summary["distributions"]["consistency"]["p95"])
    assert measured.scenarios.keys() == {"steady"}
    assert measured.scenarios["steady"].distributions == measured.distributions
    assert {check.name for check in measured.self_checks} == {check["name"] for check in summary["self_checks"]}
    assert (measured.name, measured.run_id) == ("short", summary["run_id"])
    assert "seed: 11" in (measured.path / "config.yaml").read_text()


def test_raise_for_verdict_says_what_a_person_needs(told: Any) -> None:
    measured: evload.Measurement = told[0]
    with pytest.raises(evload.VerdictError) as raised:
        measured.raise_for_verdict()
    assert (raised.value.measurement, raised.value.exit_code) == (measured, 1)
    text = str(raised.value)
    assert text.startswith("FAIL  short: 1 of 3 objectives failed: ")
    assert f"FAIL  p50(end_to_end) < 1ms\n  value   {measured.objectives[0].value}\n  event   " in text
    assert "INCONCLUSIVE  p99.9(end_to_end) < 5s\n" in text
    assert "  why     needs 2995 events, has 100\n" in text
    assert "lost == 0" not in text
    assert text.endswith(f"results in {measured.path}")


def test_its_host_notices_nothing_neither_meanwhile_nor_afterwards(told: Any) -> None:
    _, watcher, before = told
    assert len(watcher.hosts) > 2
    for moment in watcher.hosts:
        assert moment == before


# --- what it refuses --------------------------------------------------------------------------------------------


def test_problems_of_a_file_are_one_exception_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(SHORT.replace("seed: 3", "sed: 3").replace("rate: 100/s", "rate: fast"))
    with pytest.raises(evload.ConfigError) as raised:
        evload.measure(path)
    first, second = raised.value.problems
    assert (first.file, first.line, first.what, first.cure) == (
        str(path),
        2,
        "unknown key 'sed'",
        "did you mean 'seed'?",
    )
    assert second.file == str(path)
    assert second.line == next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "fast" in line)
    assert str(raised.value).splitlines()[0] == f"{path}:2:1: unknown key 'sed'; did you mean 'seed'?"
    assert os.listdir(tmp_path) == ["shop.yaml"]


def test_text_is_told_from_a_path_by_its_lines(tmp_path: Path) -> None:
    with pytest.raises(evload.ConfigError, match=r"^config:2:1: unknown key 'sed'; did you mean 'seed'\?"):
        evload.measure(SHORT.replace("seed: 3", "sed: 3"))
    with pytest.raises(evload.UsageError, match=r"nowhere\.yaml: there is no such file"):
        evload.measure(str(tmp_path / "nowhere.yaml"))


def test_problems_of_plain_data_are_told_by_their_path() -> None:
    config = yaml.safe_load(SHORT)
    config["scenarios"]["steady"]["load"][0] = {"rate": "fast", "for": "1s"}
    config["scenarios"]["a.b"] = {"producer": "brocker"}
    with pytest.raises(evload.ConfigError) as raised:
        evload.measure(config)
    assert [(one.where, one.file, one.line) for one in raised.value.problems if "fast" in one.what] == [
        ("scenarios.steady.load.0.rate", None, None)
    ]
    assert 'scenarios."a.b"' in {one.where.rpartition(".producer")[0] or one.where for one in raised.value.problems}
    assert "config" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "seed: a value of the type object can't stand here; give text"),
        (float("nan"), "seed: nan can't stand here; give text"),
        ({True: 1}, "seed: the key true is not text; write a name"),
        ("\ud800", "seed: half of a surrogate pair stands here; write the whole character"),
    ],
)
def test_what_a_config_cannot_hold_is_told_as_its_other_problems(value: object, problem: str) -> None:
    with pytest.raises(evload.ConfigError) as raised:
        evload.measure({**yaml.safe_load(SHORT), "seed": value})
    assert str(raised.value).startswith(problem)


def test_data_that_holds_itself_is_refused() -> None:
    config: dict[str, Any] = yaml.safe_load(SHORT)
    config["events"]["created"]["data"] = config
    with pytest.raises(evload.ConfigError, match="nested too deeply"):
        evload.measure(config)


def test_variables_come_from_where_they_are_said_to() -> None:
    with pytest.raises(evload.ConfigError, match="seed: environment variable SEED isn't set; "):
        evload.measure({**yaml.safe_load(SHORT), "seed": "${SEED}"}, environ={})
    with pytest.raises(evload.UsageError, match="there is no such profile"):
        evload.measure({**yaml.safe_load(SHORT), "seed": "${SEED}"}, environ={"SEED": "4"}, profiles=["x"])


def test_in_a_running_loop_it_says_what_to_await() -> None:
    async def main() -> None:
        evload.measure(SHORT)

    with pytest.raises(evload.UsageError) as raised:
        asyncio.run(main())
    assert str(raised.value) == (
        "an event loop is running here, which evload.measure would block; await evload.measure_async"
    )


def test_a_set_up_that_fails_is_an_exception_of_its_own(tmp_path: Path) -> None:
    config = SHORT + 'setup: [{get: "http://127.0.0.1:9/"}]\n'
    with pytest.raises(evload.TargetError, match=r"127\.0\.0\.1:9") as raised:
        evload.measure(config, out=tmp_path / "out")
    assert raised.value.exit_code == 3
    assert os.listdir(tmp_path) == []


# --- how it ends early ------------------------------------------------------------------------------------------


def assert_whole(out: Path, report: Report) -> dict[str, Any]:
    """Reported, undone, nothing left running, and a ledger that says the same once more."""
    summary = summary_of(out)
    assert summary["interrupted"] is True
    assert_closes(summary)
    (action,) = summary["actions"]
    assert action["undone"] is not None
    assert summary["not_undone"] is None
    assert sandboxes_of(out) == []
    assert not (out / ".evload-run").exists()
    with closing(sqlite3.connect(out / "events.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM events").fetchone() == (summary["ledger"]["scheduled"],)
    assert report.verdict == summary["verdict"]
    return summary


def test_a_run_that_is_cancelled_drains_undoes_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def main() -> Report:
        watcher = Watcher()
        running = asyncio.create_task(evload.measure_async(LONG, out=out, sinks=[watcher]))
        await watcher.under_way.wait()
        for _ in range(20):  # as some frameworks do until they are heeded
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert running.cancelled()
        (report,) = watcher.reports
        return report

    summary = assert_whole(out, asyncio.run(main()))
    steady = summary["scenarios"]["steady"]["ledger"]
    assert 0 < steady["scheduled"] < 3_000
    assert steady["visible"] == steady["scheduled"]  # what was outstanding was waited for


def test_cancelled_once_more_it_waits_no_longer(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def main() -> Report:
        watcher = Watcher()
        running = asyncio.create_task(evload.measure_async(NEVER_SEEN, out=out, sinks=[watcher]))
        await watcher.under_way.wait()
        while not running.done():  # its first is heeded at once; which one is the second is up to the clock
            running.cancel()
            await asyncio.wait((running,), timeout=0.6)
        with pytest.raises(asyncio.CancelledError):
            await running
        (report,) = watcher.reports
        return report

    summary = assert_whole(out, asyncio.run(main()))
    assert summary["ledger"]["pending"] > 0


def test_cancelled_before_it_began_it_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        running = asyncio.create_task(evload.measure_async(LONG, out=tmp_path / "out"))
        for _ in range(5):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert os.listdir(tmp_path) == []


def test_ctrl_c_does_the_same_and_is_raised_afterwards(tmp_path: Path) -> None:
    watcher = Watcher(then=_thread.interrupt_main)
    # Whoever runs the tests in the background of a script has Ctrl-C ignored in all of them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            evload.measure(LONG, out=tmp_path / "out", sinks=[watcher])
    finally:
        signal.signal(signal.SIGINT, before)
    (report,) = watcher.reports
    summary = assert_whole(tmp_path / "out", report)
    steady = summary["scenarios"]["steady"]["ledger"]
    assert steady["visible"] == steady["scheduled"] > 0


def test_runs_side_by_side_on_one_loop_do_not_mix(tmp_path: Path) -> None:
    """Each has a pipeline, an address and a directory of its own."""

    async def main() -> list[evload.Measurement]:
        runs = [evload.measure_async(SHORT, out=tmp_path / name, scenarios="steady") for name in ("a", "b")]
        return await asyncio.gather(*runs)

    first, second = asyncio.run(main())
    assert first.run_id != second.run_id
    for measured, name in ((first, "a"), (second, "b")):
        assert measured.counts["visible"] == measured.counts["scheduled"] == 100
        assert measured.path == tmp_path / name
        assert measured.passed
        assert measured.raise_for_verdict() is measured
