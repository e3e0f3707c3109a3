"""What of the delay of a send is evload's own: all but the waits for room."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evload.engine.pacing import Waits
from evload.model.facts import FACTS
from evload.sandbox.delay import parse_delay
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation

MS = 1_000_000


@given(
    gaps=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8),
    due=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    after=st.integers(0, 50),
)
def test_own_delay_is_the_time_since_it_was_due_less_what_was_held(
    gaps: list[tuple[int, int]], due: list[int], after: int
) -> None:
    edges = list(accumulate(gap for pair in gaps for gap in pair))
    held = list(zip(edges[::2], edges[1::2], strict=True))
    now = (edges[-1] if edges else 0) + after
    intended = sorted(min(at, now) for at in due)
    waits = Waits()
    for began, ended in held:
        waits.add(began, ended)
    expected = [now - at - sum(max(0, ended - max(at, began)) for began, ended in held) for at in intended]
    assert waits.own_delays(intended, now) == expected
    # What has been asked about is forgotten, and nothing is asked about twice.
    later = [at for at in intended if at >= intended[-1]]
    assert waits.own_delays(later, now) == expected[-len(later) :]


def run(**producer: Any) -> list[tuple[int, int | None]]:
    """[(delay of the send, own delay)] of ten events a second, each answered after 500 ms."""
    world = MemoryWorld(confirm=parse_delay("500ms"))
    done = Simulation(world, load=[{"rate": "10/s", "for": "3s"}], producer=producer).run()
    return [
        (seen.sent_ns - seen.intended_ns, seen.own_delay) for seen in done.observations if seen.sent_ns is not None
    ]


def test_a_wait_for_the_limit_of_events_in_flight_is_not_evloads_own() -> None:
    told = run(in_flight=1)
    assert max(delay for delay, _ in told) > 1000 * MS
    assert {own for _, own in told} == {0}


def test_the_ledger_keeps_it() -> None:
    assert FACTS["own_delay"].column == "INTEGER"
