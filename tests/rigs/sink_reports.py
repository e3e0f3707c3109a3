"""A report for the tests of sinks: something of everything, with names that every format has to escape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from evload.model.marker import Marker
from evload.model.progress import Progress
from evload.model.report import CheckResult, ObjectiveResult, Report, Result, WorstEvent
from evload.model.summary import GaugeSummary, Series
from evload.model.vitals import Incident, Vitals
from tests.rigs.summaries import MS, S, distribution, run_of, scenario

NASTY: Final = "sp\"ik'e <b>&amp; 100% |a|`b`\\*c*,\nnext: ümlaut 🎉"
"""Whatever some format gives a meaning to."""
WORST: Final = WorstEvent(
    correlation_id="01234567-89ab-8cde-8000-000000000007",
    traceparent="00-0123456789ab8cde8000000000000007-8000000000000007-01",
    scenario=NASTY,
    event="created",
    key="k|1",
    state="lost",
    log=((0.07, "due"), (0.071, "sent"), (15.071, "absent | for good")),
)


def finished() -> Report:
    """Two scenarios. Of 100 events of the first 95 are seen within 110 ms, 4 within 2.2 s, and one never."""
    seen = distribution([(100 * MS, 110 * MS)] * 95 + [(2 * S, 2200 * MS)] * 4 + [(6 * S, None)])
    fast = distribution([(10 * MS, 11 * MS)] * 50)
    first = scenario({"consistency": seen}, visible=99, lost=1, duplicated=2)
    first.slices = {"replica=b": scenario({"consistency": seen}, visible=99, lost=1)}
    first.offered = {0: [60, 60], 1: [40, 39]}
    first.first_intended_ns, first.last_intended_ns = 0, 19_800 * MS
    run = run_of(first, scenario({"consistency": fast}, visible=50))
    run.scenarios = {"calm": run.scenarios["s1"], NASTY: run.scenarios["s0"]}
    depth = Series()
    for at_ns, value in enumerate((5, 12, 7)):
        depth.add(value, at_ns)
    run.gauges = {"work|queue": GaugeSummary({"queue_depth": depth}, failed=1, lag=distribution([(0, 2 * S)] * 3))}
    run.vitals = Vitals(
        duration_ns=61_200 * MS,
        cpu_share=0.25,
        read_requests=10,
        event_reads=412,
        failed_reads=2,
        incidents=[Incident("read-model", "HTTP 500: <oops>", 3 * S, 13 * S, 40)],
    )
    return Report(
        run_id="20260131-120000-4f1c",
        name=NASTY,
        started_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        verdict=Result.FAIL,
        summary=run,
        objectives=[
            ObjectiveResult("p99(consistency) < 2s", Result.PASS, (0.5, 0.55), 2, subject="consistency"),
            ObjectiveResult(
                "share(consistency < 2s) >= 95%", Result.WARN, (0.955, 0.97), 0.95, note="above 90 % of the limit",
                subject="consistency",
            ),
            ObjectiveResult(
                "lost == 0", Result.FAIL, (1, 1), 0, scenario=NASTY, note="1 % | lost\n<why>", subject="lost",
                worst=(WORST,),
            ),
            ObjectiveResult(
                "p99.9(end_to_end) < 5s", Result.INCONCLUSIVE, (2.0, None), 5, note="too few events",
                subject="end_to_end", scope="replica=b",
            ),
        ],
        checks=[
            CheckResult("ledger closes", Result.PASS, 0, 0),
            CheckResult("lateness", Result.INVALID, 0.05, 0.02, "p99 of schedule_delay"),
            CheckResult("horizon", Result.SKIPPED, None, None, "no probe"),
        ],
    )  # fmt: skip


def without_anything() -> Report:
    """A run of which there is nothing to tell."""
    return replace(finished(), summary=run_of(), objectives=[], checks=[], verdict=Result.INCONCLUSIVE)


def moment(elapsed: float = 5.0, percentiles: Mapping[str, tuple[float, float | None]] | None = None) -> Progress:
    """Five seconds into a run."""
    return Progress(
        phase="main: 100/s",
        elapsed=elapsed,
        total=60,
        offered_rate=100,
        achieved_rate=99.5,
        scheduled=500,
        in_flight=3,
        outstanding=40,
        states={"scheduled": 500, "acked": 497, "visible": 460},
        percentiles={"p50": (0.1, 0.11), "p99": (2.0, None)} if percentiles is None else percentiles,
    )


def acted() -> list[Marker]:
    """Workers that were slow for five minutes; two pods; a database of whose end nobody is sure; a failed `do`; and a
    block that is still there."""
    return [
        Marker("slow-workers", 0, (120 * S, 120 * S + 12 * MS), (420 * S, 420 * S + 30 * MS)),
        Marker("pods", 0, (130 * S, 130 * S + 200 * MS), lasting=False),
        Marker("pods", 1, (160 * S, 160 * S), lasting=False),
        Marker("db|down", 0, (600 * S, 602_500 * MS), (660 * S, 671 * S)),
        Marker("cut", 0, (700 * S, 701 * S), (705 * S, 706 * S), error="exit code 1: <no> such host"),
        Marker("blocked", 0, (900 * S, 900 * S), (930 * S, 990 * S), undo_error="HTTP 500"),
    ]


def with_actions() -> Report:
    """The report of a run in which all that was done."""
    report = finished()
    report.summary.markers = acted()
    return report
