"""What a person sees, by values: at several widths, with and without colour, on a terminal and in a pipe."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evload.model.marker import Marker
from evload.model.progress import Progress
from evload.model.report import CheckResult, Insight, ObjectiveResult, Report, Result, Severity, WorstEvent
from evload.model.summary import GaugeSummary, Series
from evload.model.vitals import Incident, ReadVitals, Vitals
from evload.sinks.console.look import remarks
from evload.sinks.console.sink import ConsoleSink
from tests.rigs.sink_reports import WORST, acted, finished
from tests.rigs.summaries import MS, S, distribution, run_of, scenario


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
        CheckResult("load as scheduled", Result.PASS, 0.0034, 0.01, "s0, window 1: 1000 scheduled, 997 sent"),
        CheckResult("lateness", Result.INVALID, 0.0287, 0.01, "s0: p99 28.7 ms"),
        CheckResult("headroom", Result.PASS, 0.1, 0.8, "CPU 34.53 %, longest stall 26 ms"),
        CheckResult("resolution", Result.PASS, 0.0014, 0.005),
        CheckResult("evidence", Result.PASS, 1000, 299),
        CheckResult("horizon", Result.SKIPPED, None, None, "nothing was probed"),
    ]
    depth = Series()
    for at_ns, value in enumerate((3, 1234, 12.5)):
        depth.add(value, at_ns)
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
    ConsoleSink(Console(file=into, width=width, **system), quiet=quiet).show(told)  # type: ignore[arg-type]
    return into.getvalue()


AT_80 = """\

FAIL  quick: 2 of 7 objectives failed: lost 10 … 15, limit == 0

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
  read-model: answers name no replica; if there are several, they could not be
  told apart
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
  ledger closes 0 (limit 0), load as scheduled 0.34 % (limit 1 %),
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
    assert (
        "\x1b[1;31mFAIL\x1b[0m  \x1b[1mquick\x1b[0m: 2 of 7 objectives failed: lost 10 … 15, limit == 0"
        in printed(80, report(), colour=True)
    )


def test_quiet_prints_the_verdict_and_the_place() -> None:
    told = "FAIL  quick: 2 of 7 objectives failed: lost 10 … 15, limit == 0\n"
    assert printed(40, report(), quiet=True) == f"{told}results in runs/r1\n"
    assert printed(80, replace(report(), directory=None), quiet=True) == told


def _with_vitals(told: Report, **vitals: bool) -> Report:
    for name, value in vitals.items():
        setattr(told.summary.vitals, name, value)
    return told


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda r: replace(r, verdict=Result.PASS), "PASS  quick: every objective is met"),
        (lambda r: replace(r, verdict=Result.WARN), "WARN  quick: every objective is met, some only just"),
        (
            lambda r: replace(r, verdict=Result.INCONCLUSIVE),
            "INCONCLUSIVE  quick: 1 of 7 objectives can't be decided: p95(publish) < 1s: needs",
        ),
        (
            lambda r: replace(r, verdict=Result.INVALID),
            "INVALID  quick: the measurement itself can't be trusted: lateness 28.7 ms",
        ),
        (
            lambda r: replace(r, verdict=Result.PASS, objectives=[]),
            "PASS  quick: nothing was asked; the measurement is sound",
        ),
        (
            lambda r: _with_vitals(r, interrupted=True),
            "FAIL  quick: interrupted; as far as it went, 2 of 7 objectives failed: lost 10 …",
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
    assert "[bold]x[/bold]: 2 of 7 objectives" in text
    assert "1 × [red]odd[/red] {thing}" in text


def test_only_the_commonest_reasons_are_shown() -> None:
    told = report()
    told.summary.vitals.errors = {f"reason {n}": n for n in range(1, 9)}
    text = printed(80, told)
    assert "8 × reason 8" in text
    assert "4 × reason 4" in text
    assert "reason 3" not in text
    assert "and 3 more reasons, in summary.json" in text


def eventful() -> Report:
    """A run that was ended early, with something of everything to look at."""
    told = report()
    summary = told.summary
    scenario_of = summary.scenarios["s0"]
    slow, quick = distribution([(500 * MS, 520 * MS)] * 1000), distribution([(10 * MS, 12 * MS)] * 1000)
    scenario_of.slices = {
        "probe=database": scenario({"hop": quick}),
        "probe=cache": scenario({"hop": slow}),
        "replica=eu-1": scenario({"consistency": slow}),
    }
    scenario_of.late_hops = {"database": 2, "cache": 11}
    scenario_of.tallies["effects"] = {0: 3, 1: 980, 2: 15, 3: 2}
    scenario_of.agreeing, scenario_of.asked = 1995, 2000
    for behind in (0, 0, 3, 1):
        scenario_of.ranges.setdefault("staleness", Series()).add(behind)
    vitals = summary.vitals
    vitals.aborted, vitals.abort_note = "lost == 0", "ended after 31 s: 10 events are lost"
    vitals.copies = {"accepted": 120, "in_doubt": 3}
    vitals.probes = {
        "database": ReadVitals(requests=400, events=5000, busiest=812, stretch=2.5, failed=7, throttled=3),
        "push": ReadVitals(),
    }
    vitals.incidents = [
        Incident("database", "connection reset", 31_200 * MS, 41_500 * MS, 7),
        Incident("broker", "\x1b[31mrefused\n", 50 * S, 50 * S),
    ]
    lost = WorstEvent(
        "01234567-89ab-8cde-8000-000000000007", "00-0-0-01", "s0", "created", None, "lost",
        ((1.0, "due"), (1.002, "sent, 2 ms late"), (1.003, "acked after 1 ms"), (9.5, "still missing"),
         (20.0, "settled as lost: 9 reads")),
    )  # fmt: skip
    doubled = replace(lost, correlation_id="01234567-89ab-8cde-8000-000000000008", state="visible", log=())
    also_lost = tuple(replace(lost, correlation_id=f"{lost.correlation_id[:-1]}{number}") for number in range(5))
    objectives = [
        replace(one, worst=(also_lost[0], doubled) if one.expression.startswith("duplicates") else also_lost)
        for one in told.objectives
    ]
    return replace(
        told,
        objectives=objectives,
        insights=[
            Insight("lost", Severity.BAD, "10 of 1,000 acked events were never seen (1 %).", {}),
            *[Insight("x", Severity.NOTE, f"Thing {number} stands out.", {}) for number in range(1, 7)],
        ],
    )


def test_what_there_is_to_look_at_comes_right_after_the_objectives() -> None:
    text = printed(80, eventful())
    start = text.index("invalid       self-check")
    assert text.startswith(
        "\nFAIL  quick: ended early by lost == 0; an objective doesn't hold\n"
        "  ended after 31 s: 10 events are lost\n\n"
    )
    assert (
        text[start : text.index("\n\n", start)]
        == """\
invalid       self-check lateness: 28.7 ms (limit 10 ms)
              s0: p99 28.7 ms
bad           10 of 1,000 acked events were never seen (1 %).
note          Thing 1 stands out.
note          Thing 2 stands out.
note          Thing 3 stands out.
note          Thing 4 stands out.
              and 2 more findings, in the report
worst of lost == 0
  01234567-89ab-8cde-8000-000000000000  lost: acked, 8.5 s later still missing
  01234567-89ab-8cde-8000-000000000001  lost: acked, 8.5 s later still missing
  01234567-89ab-8cde-8000-000000000002  lost: acked, 8.5 s later still missing
worst of duplicates == 0
  01234567-89ab-8cde-8000-000000000008  visible
  late or lost, by where most time went: 11 at cache, 2 at database
  31.2 s – 41.5 s  database: connection reset, 7 ×
  50.0 s           broker:  [31mrefused , 1 ×
  read-model: answers name no replica; if there are several, they could not be
  told apart
  copies sent: 120 accepted, 3 in doubt
  3 × HTTP 500: boom"""
    )


def test_figures_that_only_some_runs_have() -> None:
    lines = printed(80, eventful()).splitlines()
    assert "reads of database: 5 per event, 812 in the busiest second, gaps widened 2.5 ×, 7" in lines
    assert "  of 400 requests failed, 3 throttled" in lines
    assert not any("push" in line for line in lines)
    assert "effects per event: 0 × 3, 1 × 980, 2 × 15, 3 × 2" in lines
    assert "replicas that agreed when last read: 99.75 %" in lines
    assert "staleness: 3 writes behind at worst, 1 on average" in lines
    assert any(line.startswith("hop to database ") and line.endswith("10 … 12 ms   1,000") for line in lines)
    assert any(line.startswith("hop to cache ") and line.endswith("500 … 520 ms   1,000") for line in lines)
    assert not any("eu-1" in line for line in lines)


def test_reads_are_told_of_each_event_only_where_somebody_looks_for_all() -> None:
    told = eventful()
    told.summary.scenarios["unwatched"] = scenario({}, unobserved=300)
    (line,) = [line for line in printed(80, told).splitlines() if line.startswith("reads of database: ")]
    assert line.startswith("reads of database: 5,000, 812 in the busiest second")


def test_a_chain_of_one_probe_has_no_hops_to_tell() -> None:
    told = eventful()
    del told.summary.scenarios["s0"].slices["probe=cache"]
    assert "hop to" not in printed(80, told)


@pytest.mark.parametrize("width", range(40, 100))
def test_names_with_hyphens_are_not_torn(width: int) -> None:
    told = report()
    told.summary.vitals.errors[
        "asked about an event the read-model in the region eu-west-1 has refused to answer"
    ] = 9
    more = CheckResult("observer effect", Result.PASS, 0, 0.1, "read-model: none of 6,383 failed")
    text = printed(width, replace(told, checks=[*told.checks, more]))
    assert text.count("read-model") == 3
    assert text.count("eu-west-1") == 1


def test_many_incidents_are_told_by_the_worst_in_order_of_time() -> None:
    told = report()
    told.summary.vitals.incidents = [Incident("broker", f"reason {n}", n * S, n * S, n % 5 + 1) for n in range(1, 10)]
    text = printed(80, told)
    shown = [line.split()[0] for line in text.splitlines() if "broker: reason" in line]
    assert shown == ["2.0", "3.0", "4.0", "8.0", "9.0"]
    assert "and 4 more incidents, in summary.json" in text


def test_what_was_done_is_told_in_order_of_time_and_what_failed_for_sure() -> None:
    told = report()
    told.summary.markers = acted()
    lines = [line.strip() for line in printed(100, told).splitlines()]
    shown = [line for line in lines if line.startswith(("2:00", "2:10", "2:40", "10:00", "11:40", "15:00"))]
    assert shown == [
        "2:00 – 7:00                      slow-workers",
        "2:10 … 2:10.2                    pods #1",
        "2:40                             pods #2",
        "10:00 … 10:02.5 – 11:00 … 11:11  db|down",
        "11:40 … 11:41 – 11:45 … 11:46    cut: it failed: exit code 1: <no> such host",
        "15:00 – not undone               blocked: it could not be undone: HTTP 500",
    ]
    told.summary.markers = [Marker("pods", n, (n * S, n * S), lasting=False) for n in range(9)] + acted()[-1:]
    text = printed(80, told)
    assert text.count("pods #") == 5
    assert "blocked: it could not be undone: HTTP 500" in text
    assert "and 4 more times that something was done, in the report" in text


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def on_screen(width: int, height: int, told: Report, *, whole: bool = False) -> list[str]:
    """The lines on a terminal of that size, without the prompt."""
    into = Screen()
    console = Console(file=into, width=width, height=height, color_system=None)
    ConsoleSink(console, whole=whole).show(told)
    return into.getvalue().splitlines()


def ordinary() -> Report:
    """A run like most: all objectives hold, nothing failed; with more figures than a low terminal has lines."""
    told = report()
    objectives = [one for one in told.objectives if one.result is Result.PASS]
    checks = [one for one in told.checks if one.result is not Result.INVALID]
    told.summary.vitals.errors, told.summary.vitals.replicas = {}, {}
    return replace(told, verdict=Result.PASS, objectives=objectives, checks=checks)


@pytest.mark.parametrize("height", range(12, 50))
def test_an_ordinary_run_fits_one_screen(height: int) -> None:
    lines = on_screen(80, height, ordinary())
    assert len(lines) <= height - 1
    assert lines[1].startswith("PASS  quick")
    assert sum(line.startswith("pass ") for line in lines) == 4
    whole = printed(80, ordinary()).splitlines()
    if len(lines) < len(whole):
        assert lines[-1] == "results in runs/r1; all of it: evload report runs/r1"
        names = {line.split("  ")[0] for line in whole}
        assert {line.split("  ")[0] for line in lines[:-1]} <= names
    else:
        assert lines == whole


def test_on_a_low_screen_the_ledger_and_the_consistency_window_stay_longest() -> None:
    assert [line.split("  ")[0] for line in on_screen(80, 17, ordinary())[8:-1]] == [
        "", "consistency", "", "1,005 scheduled = 1,000 acked + 5 in doubt", "1,000 acked = 990 visible + 10 lost",
        "of these: 2 duplicated", "self-checks: 5 of 5 passed",
    ]  # fmt: skip


def test_what_decides_is_never_cut_and_all_is_there_when_asked_for() -> None:
    low = "\n".join(on_screen(80, 10, eventful()))
    assert "p99(end_to_end) < 2s" in low
    assert "3 × HTTP 500: boom" in low
    assert "acked = " not in low
    assert on_screen(80, 10, eventful(), whole=True) == printed(80, eventful()).splitlines()


# -- while it runs -----------------------------------------------------------------------------------


def progress(elapsed: float, **more: Any) -> Progress:
    """A moment of a run."""
    return replace(
        Progress(
            phase="baseline: hold 200/s",
            elapsed=elapsed,
            total=20,
            offered_rate=200.4,
            achieved_rate=199.6,
            scheduled=1500,
            in_flight=3,
            outstanding=250,
            states={"acked": 1250, "visible": 1200, "lost": 2, "in_doubt": 1},
            recent={"p50": (0.112, 0.121), "p99": (0.326, None)},
        ),
        **more,
    )


def piped(*moments: Progress) -> list[str]:
    """The lines that a pipe gets."""
    into = io.StringIO()
    sink = ConsoleSink(Console(file=into, width=60))
    for moment in moments:
        sink.progress(moment)
    sink.close()
    return into.getvalue().splitlines()


def test_progress_into_a_pipe_is_a_line_every_five_seconds() -> None:
    line = (
        'of=20s phase="baseline: hold 200/s" offered=200/s achieved=200/s scheduled=1500 in_flight=3 '
        "not_settled=250 visible=96% lost=2 in_doubt=1 p50=112ms..121ms p99=326ms..never"
    )
    lines = piped(*(progress(elapsed) for elapsed in (0.5, 4.9, 5.4, 5.5, 9.9, 10.5)))
    assert lines == [f"t={at}s {line}" for at in (0.5, 5.5, 10.5)]


def test_a_pipe_hears_at_once_of_a_phase_and_of_trouble() -> None:
    worry = "lateness: p99 34 ms, limit 20 ms"
    trouble = ("read-model: HTTP 500: \x1b[31m\nboom", 1.5, 7)
    lines = piped(
        progress(0.5),
        progress(1.0, phase="baseline: idle"),
        progress(1.5, phase="baseline: idle", worries=[worry]),
        progress(2.0, phase="baseline: idle", worries=["lateness: p99 35 ms, limit 20 ms"], incidents=[trouble]),
        progress(2.5, phase="baseline: idle", worries=[worry, "headroom: CPU 91 %"], incidents=[trouble]),
    )
    assert [line.split(" offered=")[0] for line in lines] == [
        't=0.5s of=20s phase="baseline: hold 200/s"',
        't=1.0s of=20s phase="baseline: idle"',
        't=1.5s worry="lateness: p99 34 ms, limit 20 ms"',
        't=2.0s incident="read-model: HTTP 500:  [31m boom"',
        't=2.5s worry="headroom: CPU 91 %"',
    ]


def test_progress_on_a_terminal_is_redrawn_in_place_and_gone_at_the_end() -> None:
    into = Screen()
    sink = ConsoleSink(Console(file=into, width=80, height=30, color_system=None))
    sink.progress(progress(5))
    assert "5 s of 20 s, 15 s left   baseline: hold 200/s" in into.getvalue()
    sink.progress(progress(6))
    sink.close()
    assert "6 s of 20 s, 14 s left" in into.getvalue()
    assert into.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"TERM": "dumb"}], ids=str)
def test_a_ci_server_and_a_dumb_terminal_get_lines(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    into = Screen()
    sink = ConsoleSink(Console(file=into, width=80, height=10, color_system=None))
    sink.progress(progress(5))
    assert into.getvalue().startswith("t=5.0s of=20s")
    assert "\x1b" not in into.getvalue()
    into.truncate(0)
    sink.show(report())
    assert "self-checks: 5 of 6" in into.getvalue()


def test_forced_colours_in_a_pipe_bring_no_redrawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    into = io.StringIO()
    sink = ConsoleSink(Console(file=into, width=80))
    sink.progress(progress(5))
    sink.close()
    assert into.getvalue().startswith("t=5.0s of=20s")
    assert "\x1b[2K" not in into.getvalue()


def test_quiet_shows_no_progress() -> None:
    into = Screen()
    sink = ConsoleSink(Console(file=into), quiet=True)
    sink.progress(progress(5))
    sink.close()
    assert into.getvalue() == ""


def test_the_figure_that_was_judged_stands_beside_a_worst_event() -> None:
    told = finished()
    late = replace(WORST, figure="consistency 1.9 … 2 s")
    report = replace(told, objectives=[replace(told.objectives[2], worst=(late,))])
    (line,) = [line.plain for line in remarks(report, 120) if WORST.correlation_id in line.plain]
    assert line == f"  {WORST.correlation_id}  lost, consistency 1.9 … 2 s: sent, 15 s later absent | for good"
