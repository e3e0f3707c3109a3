"""The end of a run: every sink gets the report, and none of them can keep it from the others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evload.clock import SystemClock
from evload.errors import OutputError
from evload.judging.verdict import exit_code
from evload.model.progress import Progress
from evload.model.report import Report, Result
from evload.run.finishing import Guarded, finish
from evload.sinks._shared.posting import Answer
from evload.sinks.otlp.heard import Heard
from evload.sinks.otlp.sink import OtlpSink
from evload.sinks.webhook import WebhookSink
from evload.spi.sink import Sink, SinkSurroundings
from evload.testing import run_virtual, virtual_clock
from tests.rigs.commands import summary_of
from tests.rigs.pipelines import EMBEDDED
from tests.rigs.sink_reports import finished, moment
from tests.rigs.summaries import S


@dataclass
class Told:
    """A sink that does something at the end, and then knows that it was told."""

    end: Callable[[], Awaitable[object]] | None = None
    knows: bool = False

    def progress(self, now: Progress) -> None:
        raise AssertionError("the run is over")

    async def finish(self, report: Report) -> None:
        if self.end is not None:
            await self.end()
        assert report.run_id == finished().run_id
        self.knows = True


class Blocking:
    """A sink of before: its `finish` is no coroutine."""

    def progress(self, now: Progress) -> None: ...

    def finish(self, report: Report) -> None: ...


@dataclass
class Ended:
    """What came of it."""

    whole: bool | None = None
    raised: BaseException | None = None
    said: list[str] = field(default_factory=list)
    took_ns: int = 0


def ended(*sinks: Sink, enough_after_s: float | None = None) -> Ended:
    found = Ended()

    async def main() -> None:
        clock, enough = virtual_clock(), asyncio.Event()
        if enough_after_s is not None:
            asyncio.get_running_loop().call_later(enough_after_s, enough.set)
        began_ns = clock.now_ns()
        try:
            named = [(chr(ord("a") + number), sink) for number, sink in enumerate(sinks)]
            found.whole = await finish(named, finished(), enough, found.said.append)
        except Exception as error:
            found.raised = error
        found.took_ns = clock.now_ns() - began_ns

    run_virtual(main())
    return found


async def fail(error: Exception) -> None:
    raise error


async def never() -> None:
    await asyncio.get_running_loop().create_future()


async def clings() -> None:
    """Doesn't let itself be cancelled at once."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(1000)
    await asyncio.sleep(1000)


def test_all_are_told_side_by_side() -> None:
    sinks = [Told(lambda: asyncio.sleep(3)), Told(lambda: asyncio.sleep(2)), Told()]
    found = ended(*sinks)
    assert (found.whole, found.raised, found.said, found.took_ns) == (True, None, [], 3 * S)
    assert all(sink.knows for sink in sinks)


@pytest.mark.parametrize("deliver", ["webhook", "otlp"])
def test_files_are_made_before_the_time_of_a_delivery_begins(deliver: str) -> None:
    done: list[str] = []

    async def to_somebody(_: object) -> Any:
        done.append("delivered")
        return Answer(200) if deliver == "webhook" else Heard(delivered=True)

    async def to_file() -> None:
        done.append("written")

    somebody = cast(Any, SimpleNamespace(shown="h", post=to_somebody, send=to_somebody))
    around = SinkSurroundings(SystemClock(), "run", Path(), done.append, cast(Any, None))
    sink: Sink = WebhookSink(somebody, done.append)
    if deliver == "otlp":
        sink = OtlpSink(somebody, somebody, around, every_ns=S, events=0)
    assert ended(sink, Told(to_file)).whole is True
    assert done == ["written", "delivered"]


def test_each_failure_is_a_line_of_its_own_and_the_others_still_run() -> None:
    full, taken = OutputError("can't write a: no space; free some"), OutputError("can't write b: taken; free it")
    sinks = [Told(lambda: fail(full)), Told(lambda: fail(taken)), Told(lambda: asyncio.sleep(1))]
    found = ended(*sinks)
    assert found.raised is full
    assert found.said == ["can't write b: taken; free it"]
    assert sinks[2].knows


def test_a_bug_is_not_hidden_by_what_can_not_be_written() -> None:
    bug = ZeroDivisionError("division by zero")
    last = Told()
    found = ended(Told(lambda: fail(OutputError("full; free some"))), Told(lambda: fail(bug)), last)
    assert (found.raised, found.said, last.knows) == (bug, ["full; free some"], True)


def test_a_sink_of_which_the_end_is_no_coroutine_harms_nobody_else() -> None:
    last = Told()
    found = ended(Blocking(), last)  # type: ignore[arg-type]
    assert isinstance(found.raised, TypeError)
    assert last.knows


def test_a_sink_without_an_end_is_cut_short() -> None:
    other = Told()
    found = ended(Told(never), other)
    assert (found.whole, found.raised, found.said) == (False, None, ["no end within 5m: a cut short"])
    assert (found.took_ns, other.knows) == (300 * S, True)


@pytest.mark.parametrize(("sink", "took_s"), [(never, 2), (clings, 3)])
def test_enough_cuts_short_what_is_under_way(sink: Callable[[], Awaitable[None]], took_s: int) -> None:
    written, delivered = Told(), Told(lambda: asyncio.sleep(1))
    found = ended(Told(sink), written, delivered, enough_after_s=2)
    assert (found.whole, found.said) == (False, ["interrupted again: a cut short"])
    assert (written.knows, delivered.knows, found.took_ns) == (True, True, took_s * S)


def test_what_was_enough_already_still_leaves_what_needs_no_waiting() -> None:
    written = Told()
    found = ended(Told(never), written, enough_after_s=0)
    assert (found.whole, written.knows, found.took_ns) == (False, True, 0)


def test_a_sink_that_can_not_show_progress_costs_the_run_nothing_and_still_is_told_the_end() -> None:
    bug = ZeroDivisionError("division by zero")
    shown: list[Progress] = []

    class Broken(Told):
        def progress(self, now: Progress) -> None:
            shown.append(now)
            raise bug

    broken, last = Broken(), Told()
    guarded = Guarded(broken)
    guarded.progress(moment())
    guarded.progress(moment())
    assert len(shown) == 1
    found = ended(guarded, last)
    assert (found.raised, broken.knows, last.knows) == (bug, True, True)


def test_a_sink_that_shows_progress_is_shown_all_of_it() -> None:
    shown: list[Progress] = []

    class Sound(Told):
        def progress(self, now: Progress) -> None:
            shown.append(now)

    guarded = Guarded(Sound())
    for _ in range(3):
        guarded.progress(moment())
    assert (len(shown), ended(guarded).whole) == (3, True)


def test_a_run_whose_console_is_broken_has_its_results(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(EMBEDDED)
    program = (
        "import sys; from evload.sinks.console import sink; sink.words = lambda now: 1 / 0\n"
        "sys.argv = ['evload', 'run', 'c.yaml', '--out', 'out']; from evload.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert done.stderr.count("ZeroDivisionError: division by zero") == 1
    assert summary_of(tmp_path / "out")["ledger"]["scheduled"] == 260
    assert "results in out" in done.stdout


@pytest.mark.parametrize("quiet", [False, True])
def test_the_verdict_is_said_before_the_page_is_made_and_ctrl_c_meanwhile_changes_neither(
    quiet: bool, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(EMBEDDED.replace("reports: {}\n", "").replace("for: 2s", "for: 300ms"))
    program = (
        "import os, signal, sys\nfrom evload.formats.html import render as page\nmake = page.render\n"
        "def render(*told):\n    print('made now')\n    os.kill(os.getpid(), signal.SIGINT)\n    return make(*told)\n"
        "page.render = render\n"
        f"sys.argv = ['evload', 'run', 'c.yaml', '--out', 'out', *{['--quiet'] * quiet}]\n"
        "from evload.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    summary = summary_of(tmp_path / "out")
    assert (done.returncode, done.stderr) == (exit_code(Result(summary["verdict"])), "")
    assert summary["interrupted"] is False
    page = (tmp_path / "out/report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    lines = [line for line in done.stdout.splitlines() if not line.startswith("interrupted: the run is over, ")]
    assert lines[-3 + quiet :] == ["results in out", "made now", *["report in out/report.html"] * (not quiet)]
    (verdict,) = (number for number, line in enumerate(lines) if line.startswith(f"{summary['verdict'].upper()}  "))
    assert verdict < lines.index("results in out")
