"""What a person sees while the workers of a system are down: what waits counts at its present age."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from evload.model.progress import Progress
from evload.model.report import Report
from evload.sandbox.settings import SandboxSettings
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulation


class Kept:
    """Keeps every moment."""

    def __init__(self) -> None:
        self.moments: list[Progress] = []

    def progress(self, now: Progress) -> None:
        self.moments.append(now)

    async def finish(self, report: Report) -> None:
        pass


SLOS = ("p99(consistency) < 1s", "max(consistency) < 10s", "lost == 0", "share(consistency < 1s) >= 20%",
        "visible >= 900", "p95(consistency) < 1s in any 2s")  # fmt: skip


@cache
def moments(*, outage: bool) -> Sequence[Progress]:
    """100 events a second for 12 s; the workers down from 5 to 9 s."""
    fault = {"what": "workers-down", "at": "5s", "lasting": "4s"}
    world = MemoryWorld(SandboxSettings.model_validate({"faults": [fault] if outage else []}))
    kept = Kept()
    Simulation(world, [{"rate": "100/s", "for": "12s"}], slos=SLOS, sinks=[kept]).run()
    return kept.moments


def at(second: float, *, outage: bool = True) -> Progress:
    return next(one for one in moments(outage=outage) if one.elapsed >= second)


def state(now: Progress, slo: str) -> str:
    return next(one.state for one in now.objectives if one.result.expression == slo)


def note(now: Progress, slo: str) -> str:
    return next(one.note for one in now.objectives if one.result.expression == slo)


def test_what_waits_counts_at_its_age_while_the_outage_lasts() -> None:
    before, late = at(4.9), at(8.9)
    assert (before.waiting, before.overdue, before.visible) == (5, 0, 1.0)
    assert before.recent["p99"] == pytest.approx((0.05, 0.055), rel=0.02)
    # The events since 5 s wait, the first of them for 3.95 s; those of the first 2.95 s are over the limit.
    assert (late.waiting, late.overdue) == (395, 294)
    assert late.oldest == pytest.approx(3.95, abs=0.04)
    assert late.visible == pytest.approx(500 / 794)
    assert late.recent["p99"] == pytest.approx((3.9, 3.9), rel=0.02)
    assert late.percentiles["p99"] == pytest.approx((3.9, 3.9), rel=0.02)
    assert late.recent["p50"] == pytest.approx((0.05, 0.055), rel=0.02)
    assert late.history["consistency"][-1] == pytest.approx(3.1, abs=0.6)


def test_what_came_late_stays_late_until_it_is_settled() -> None:
    now = at(10.4)
    assert (now.waiting, now.overdue, now.visible) == (5, 0, 1.0)
    assert now.recent["p99"] == pytest.approx((3.9, 4.3), rel=0.02)
    assert state(now, "p99(consistency) < 1s") == "fails"


@pytest.mark.parametrize(
    ("slo", "states"),
    [
        ("p99(consistency) < 1s", ["open", "fails", "fails", "broken"]),
        ("max(consistency) < 10s", ["open", "holds", "holds", "holds"]),
        ("share(consistency < 1s) >= 20%", ["open", "holds", "holds", "holds"]),
        ("lost == 0", ["open", "holds", "holds", "holds"]),
        ("visible >= 900", ["open", "open", "open", "holds"]),
        ("p95(consistency) < 1s in any 2s", ["open", "open", "open", "broken"]),
    ],
)
def test_each_objective_is_told_as_it_stands(slo: str, states: list[str]) -> None:
    assert [state(at(second), slo) for second in (4.9, 8.9, 10.9, 16.9)] == states


def test_it_is_said_why() -> None:
    slo = "p99(consistency) < 1s"
    assert note(at(8.9), slo) == "294 unsettled events are beyond the limit already"
    assert note(at(16.9), slo).startswith("349 of 1200 events are beyond 1 s")
    assert note(at(4.9), slo) == "490 events are seen, and looked after before they count"


def test_without_an_outage_nothing_is_said_to_be_late() -> None:
    seen = moments(outage=False)
    assert {one.overdue for one in seen} == {0}
    assert {one.visible for one in seen} == {1.0}
    assert max(one.oldest or 0 for one in seen) < 0.06
    assert {one.state for now in seen for one in now.objectives} <= {"open", "holds"}
    assert (seen[-1].waiting, seen[-1].oldest, seen[-1].shown) == (0, None, 0)
    assert state(seen[-1], "p99(consistency) < 1s") == "holds"
