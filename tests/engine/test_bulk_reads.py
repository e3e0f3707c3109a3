"""Bulk reads in virtual time: what goes together, and how close they come to a limit without costing much more."""

from __future__ import annotations

from evload.sandbox.settings import SandboxSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation

MS = 1_000_000
S = 1_000 * MS
TICKS_A_SECOND = 500


def run(rate: int, *, limit_ms: int = 200, lasting_s: int = 10, slow: bool = False) -> Simulated:
    """Events that become visible about the limit, or all of them a while after it."""
    visibility = {"uniform": {"from": "400ms", "to": "600ms"} if slow else {"from": "150ms", "to": "250ms"}}
    memory = MemoryWorld(SandboxSettings.model_validate({"workers": 1000, "visibility": visibility}))
    slos = [f"p95(consistency) < {limit_ms}ms"]
    load = [{"rate": f"{rate}/s", "for": f"{lasting_s}s"}]
    return Simulation(memory, load, slos=slos, probe={"bulk": 500, "deadline": "9s", "confirm": {"reads": 0}}).run()


def test_at_a_limit_a_bulk_read_doesnt_wait_for_its_tick() -> None:
    """A read takes 1 ms: one that ends before the limit, and one that starts there. What waits adds to that."""
    ran = run(20)
    around = [
        (seen.stable_lower_ns - seen.acked_ns - 200 * MS, seen.stable_upper_ns - seen.acked_ns - 200 * MS)
        for seen in ran.observations
        if seen.acked_ns and seen.stable_upper_ns and seen.stable_lower_ns
    ]
    assert len(around) == 200
    undecided = [(lower, upper) for lower, upper in around if lower < 0 < upper]
    assert 1 <= len(undecided) <= 8
    assert all(lower >= -1.25 * MS and upper <= 1.25 * MS for lower, upper in undecided)


def test_all_else_goes_on_ticks() -> None:
    ran = run(200, limit_ms=8_000)
    seconds = (ran.observations[-1].settled_ns - ran.observations[0].intended_ns) / S
    assert ran.summary.vitals.event_reads > 1.5 * ran.summary.vitals.read_requests
    assert ran.summary.vitals.read_requests <= TICKS_A_SECOND * seconds + 1


def test_limits_cost_at_most_half_as_many_requests_more_however_many_events_there_are() -> None:
    """Each of them is not visible at the limit, so there are 1,200 reads a second that would rather not wait."""
    ran = run(600, slow=True)
    seconds = (ran.observations[-1].settled_ns - ran.observations[0].intended_ns) / S
    free = TICKS_A_SECOND // 2  # what a second's pause has put aside
    requests = ran.summary.vitals.read_requests
    assert TICKS_A_SECOND * 10 < requests <= 1.5 * TICKS_A_SECOND * seconds + free
