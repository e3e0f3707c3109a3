"""What a person sees, by values: at several widths, with and without colour, on a terminal and in a pipe."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from evload.ports import Progress
from evload.sinks.console import ConsoleSink
from evload.summary import CheckResult, GaugeSummary, ObjectiveResult, Report, Result, Series, Vitals
from summaries import MS, S, distribution, run_of, scenario


def report() -> Report:
    """A run with something of everything: 1,000 events, 10 of them lost, 2 seen twice."""
    exact = distribution([(300_000, 300_000)] * 1000)
    brackets = distribution([(115 * MS, 129 * MS)] * 900 + [(600 * MS, 690 * MS)] * 90 + [(6 * S, None)] * 10)
    hops = distribution([(17_000, 18 * MS)] * 1000)
    vitals = Vitals(
        duration_ns=20 * S,
        event_reads=5000,
        replicas={"read-model": [], "other": ["eu-1"]},
        errors={"HTTP 500: boom": 3, "connection reset": 7},
    )
    checks = [
        CheckResult("ledger closes", Result.PASS, 0, 0),
        CheckResult("offered rate", Result.PASS, 0.0034, 0.01, "s0, window 1: 1000 scheduled, 997 sent"),
        CheckResult("lateness", Result.INVALID, 0.0287, 0.01, "s0: p99 28.7 ms"),
        CheckResult("headroom", Result.PASS, 0.1, 0.8, "CPU 34.53 %, longest stall 26 ms"),
        CheckResult("resolution", Result.PASS, 0.0014, 0.005),
        CheckResult("evidence", Result.PASS, 1000, 299),
        CheckResult("horizon", Result.SKIPPED, None, None, "nothing was probed"),
    ]
    depth = Series()
    for value in (3, 1234, 12.5):
        depth.add(value)
    run = run_of(
        scenario(
            {
                "schedule_delay": exact,
                "first_seen": brackets,
                "consistency": brackets,
                "consumed_to_processed": hops,
            },
            visible=990,
            lost=10,
            in_doubt=5,
            duplicated=2,
        ),
        vitals=vitals,
    )
    run.gauges = {
        "work-queue": GaugeSummary({"queue_depth": depth}, failed=2, lag=distribution([(2 * S, 3 * S)] * 7)),
        "dead": GaugeSummary(),
    }
    return Report(
        run_id="r1",
        name="quick",
        started_at=datetime(2026, 1, 31, tzinfo=UTC),
        verdict=Result.FAIL,
        summary=run,
        objectives=[
            ObjectiveResult(
                "p99(end_to_end) < 2s", Result.PASS, (0.684, 0.785), 2, note="as it should", subject="end_to_end"
            ),
            ObjectiveResult("share(consistency < 1s) >= 95%", Result.PASS, (0.9967, 0.9981), 0.95, scenario="steady"),
            ObjectiveResult("lost == 0", Result.FAIL, (10, 15), 0, note="5 in doubt and never seen"),
            ObjectiveResult("duplicates == 0", Result.FAIL, (2, None), 0),
            ObjectiveResult("p95(publish) < 1s", Result.INCONCLUSIVE, (None, None), 1, note="needs 59 events, has 0"),
            ObjectiveResult("throughput(acked) >= 50/s", Result.PASS, (50.5, 50.5), 50),
            ObjectiveResult("max(queue_depth) < 5000", Result.PASS, (1234, 1234), 5000, subject="queue_depth"),
        ],
        checks=checks,
        directory=Path("runs/r1"),
    )


def printed(width: int, told: Report, *, quiet: bool = False, colour: bool = False) -> str:
    """What the sink prints at the end."""
    into = io.StringIO()
    system = {"force_terminal": True, "color_system": "standard"} if colour else {}
    ConsoleSink(Console(file=into, width=width, **system), quiet=quiet).finish(told)  # type: ignore[arg-type]
    return into.getvalue()


AT_80 = """\

FAIL  quick: an objective doesn't hold

pass          p99(end_to_end) < 2s                        684 … 785 ms
pass          share(consistency < 1s) >= 95% [steady]  99.67 … 99.81 %
fail          lost == 0                                        10 … 15
              5 in doubt and never seen
fail          duplicates == 0                                    2 … ?
inconclusive  p95(publish) < 1s                                no data
              needs 59 events, has 0
pass          throughput(acked) >= 50/s                         50.5/s
pass          max(queue_depth) < 5000                            1,234

invalid       self-check lateness: 28.7 ms (limit 10 ms)
              s0: p99 28.7 ms
              read-model: answers name no replica; if there are several, they
              could not be told apart
              7 × connection reset
              3 × HTTP 500: boom

                                 p50            p95            p99  events
schedule_delay                300 µs         300 µs         300 µs   1,000
first_seen              115 … 129 ms   600 … 690 ms   600 … 690 ms   1,000
consistency             115 … 129 ms   600 … 690 ms   600 … 690 ms   1,000
consumed_to_processed  17 µs … 18 ms  17 µs … 18 ms  17 µs … 18 ms   1,000
queue_lag                    2 … 3 s        2 … 3 s        2 … 3 s       7

work-queue: queue_depth max 1,234, last 12.5; 2 samples failed
dead: no data

1,005 scheduled = 1,000 acked + 5 in doubt
1,000 acked = 990 visible + 10 lost
of these: 2 duplicated
self-checks: 5 of 6 passed
  ledger closes 0 (limit 0), offered rate 0.34 % (limit 1 %),
  headroom CPU 34.53 %, longest stall 26 ms, resolution 0.14 % (limit 0.5 %),
  evidence 1,000 (limit 299), horizon not applicable
results in runs/r1
"""


def test_the_end_at_80_columns() -> None:
    assert printed(80, report()) == AT_80


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut_or_too_wide(width: int) -> None:
    told = report()
    text = printed(width, told)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    for name in ("schedule_delay", "first_seen", "consistency", "consumed_to_processed"):
        assert any(line.startswith(f"{name} ") for line in lines)
    for objective in told.objectives:
        assert any(objective.expression in line for line in lines)
    assert "p99" in text
    assert "…\n" not in text


def test_a_wide_terminal_shows_more_percentiles_than_a_narrow_one() -> None:
    heads = {width: next(line for line in printed(width, report()).splitlines() if "p50  " in line).split()
             for width in (60, 80, 120)}  # fmt: skip
    assert heads[60] == ["p50", "p99", "events"]
    assert heads[120] == ["p50", "p90", "p95", "p99", "events"]


def test_a_line_too_long_for_its_figure_gets_a_second_one() -> None:
    lines = printed(60, report()).splitlines()
    place = lines.index("pass          share(consistency < 1s) >= 95% [steady]")
    assert lines[place + 1] == "              99.67 … 99.81 %"


def test_colour_is_for_terminals() -> None:
    assert "\x1b" not in printed(80, report())
    assert "\x1b[1;31mFAIL\x1b[0m  \x1b[1mquick\x1b[0m: an objective doesn't hold" in printed(
        80, report(), colour=True
    )


def test_quiet_prints_the_verdict_and_the_place() -> None:
    assert printed(80, report(), quiet=True) == "FAIL  quick: an objective doesn't hold\nresults in runs/r1\n"
    assert printed(80, replace(report(), directory=None), quiet=True) == "FAIL  quick: an objective doesn't hold\n"


def _with_vitals(told: Report, **vitals: bool) -> Report:
    for name, value in vitals.items():
        setattr(told.summary.vitals, name, value)
    return told


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda r: replace(r, verdict=Result.PASS), "PASS  quick: every objective holds"),
        (lambda r: replace(r, verdict=Result.WARN), "WARN  quick: every objective holds, some only just"),
        (
            lambda r: replace(r, verdict=Result.INCONCLUSIVE),
            "INCONCLUSIVE  quick: this run can't decide every objective",
        ),
        (lambda r: replace(r, verdict=Result.INVALID), "INVALID  quick: the measurement itself can't be trusted"),
        (
            lambda r: replace(r, verdict=Result.PASS, objectives=[]),
            "PASS  quick: no objectives to judge; the measurement is sound",
        ),
        (
            lambda r: _with_vitals(r, interrupted=True),
            "FAIL  quick: interrupted; as far as it went, an objective doesn't hold",
        ),
        (
            lambda r: _with_vitals(r, crashed=True),
            "the run was killed or is still going on; what was outstanding counts as in doubt",
        ),
    ],
)
def test_the_verdict_says_what_it_means(change: Callable[[Report], Report], line: str) -> None:
    assert line in printed(120, change(report()))


def test_brackets_in_a_name_or_a_reason_are_no_markup() -> None:
    told = replace(report(), name="[bold]x[/bold]")
    told.summary.vitals.errors["[red]odd[/red] {thing}"] = 1
    text = printed(80, told)
    assert "[bold]x[/bold]: an objective" in text
    assert "1 × [red]odd[/red] {thing}" in text


def test_only_the_commonest_reasons_are_shown() -> None:
    told = report()
    told.summary.vitals.errors = {f"reason {n}": n for n in range(1, 9)}
    text = printed(80, told)
    assert "8 × reason 8" in text
    assert "4 × reason 4" in text
    assert "reason 3" not in text
    assert "and 3 more reasons, in summary.json" in text


def progress(elapsed: float) -> Progress:
    """A moment of a run."""
    return Progress(
        phase="baseline: hold 200/s",
        elapsed=elapsed,
        total=20,
        offered_rate=200.4,
        achieved_rate=199.6,
        scheduled=1500,
        in_flight=3,
        outstanding=250,
        states={"acked": 1250, "visible": 1200, "lost": 2, "in_doubt": 1},
        percentiles={"p50": (0.112, 0.121), "p99": (0.326, None)},
    )


def test_progress_into_a_pipe_is_a_line_every_five_seconds() -> None:
    into = io.StringIO()
    sink = ConsoleSink(Console(file=into, width=60))
    for elapsed in (0.5, 4.9, 5.0, 5.5, 9.9, 10.1):
        sink.progress(progress(elapsed))
    line = (
        "baseline: hold 200/s  offered 200/s  achieved 200/s  in flight 3  visible 96 %, 2 lost, 1 in doubt  "
        "consistency p50 112 … 121 ms  p99 326 ms … never"
    )
    assert into.getvalue() == f"   5 s  {line}\n  10 s  {line}\n"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_progress_on_a_terminal_is_redrawn_in_place(width: int) -> None:
    into = io.StringIO()
    sink = ConsoleSink(Console(file=into, width=width, height=30, force_terminal=True, color_system=None))
    sink.progress(progress(5))
    shown = into.getvalue()
    for text in (
        "5 / 20 s", "phase        baseline: hold 200/s", "rate         offered 200/s, achieved 200/s",
        "events       1,500 scheduled, 3 in flight, 250 not settled", "visible 96 %, 2 lost, 1 in doubt",
        "p50 112 … 121 ms",
    ):  # fmt: skip
        assert text in shown
    sink.progress(progress(6))
    sink.close()
    assert "6 / 20 s" in into.getvalue()
    assert into.getvalue().endswith("\x1b[2K")  # gone: the end has the screen to itself


def test_quiet_shows_no_progress() -> None:
    into = io.StringIO()
    sink = ConsoleSink(Console(file=into, force_terminal=True), quiet=True)
    sink.progress(progress(5))
    sink.close()
    assert into.getvalue() == ""
