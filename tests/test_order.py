"""Out-of-order events per key, against the definition applied to the whole run at once."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from evload.summary.order import OrderCounter


@dataclass(frozen=True)
class _Planned:
    seq: int
    key: str
    sent: int
    applied: int | None
    """Moment of application, which is also the position; None for an event that never is."""
    settled: int


@st.composite
def _runs(draw: st.DrawFn) -> list[_Planned]:
    """Events that are applied after they are sent and settled after they are applied."""
    events = []
    sent = 0
    for seq in range(draw(st.integers(0, 40))):
        sent += draw(st.integers(1, 5))
        key = draw(st.sampled_from("ab"))
        delay = draw(st.one_of(st.none(), st.integers(1, 40)))
        # Whole numbers of 64ths: no two events are applied at the same moment.
        applied = None if delay is None else (sent + delay) * 64 + seq
        settled = (applied if applied is not None else sent * 64) + draw(st.integers(1, 2000))
        events.append(_Planned(seq, key, sent * 64 - 1, applied, settled))
    return events


def _replay(events: list[_Planned]) -> int:
    counter = OrderCounter()
    found = 0
    moments = [(event.sent, 0, event) for event in events] + [(event.settled, 1, event) for event in events]
    for _, kind, event in sorted(moments, key=lambda moment: (moment[0], moment[1], moment[2].seq)):
        if kind == 0:
            counter.sent(event.key, event.seq)
        else:
            found += counter.settled(event.key, event.seq, event.applied)
    return found


def _by_definition(events: list[_Planned]) -> int:
    return sum(
        any(
            later.key == event.key
            and later.sent > event.sent
            and later.applied is not None
            and later.applied < event.applied
            for later in events
        )
        for event in events
        if event.applied is not None
    )


@given(_runs())
def test_same_count_as_the_definition(events: list[_Planned]) -> None:
    assert _replay(events) == _by_definition(events)


def _count(positions: list[float | None], settle_order: list[int] | None = None) -> int:
    counter = OrderCounter()
    for seq in range(len(positions)):
        counter.sent("k", seq)
    return sum(counter.settled("k", seq, positions[seq]) for seq in settle_order or range(len(positions)))


def test_planted_swaps_are_all_found() -> None:
    assert _count([1, 2, 3, 4]) == 0
    assert _count([2, 1, 3, 4]) == 1
    assert _count([2, 1, 4, 3]) == 2
    assert _count([4, 1, 2, 3]) == 1
    assert _count([2, 3, 4, 1]) == 3


def test_the_order_of_settling_does_not_matter() -> None:
    assert _count([2, 3, 4, 1], [3, 1, 0, 2]) == 3


def test_unknown_positions_and_ties_are_not_out_of_order() -> None:
    assert _count([None, 2, None, 1]) == 1
    assert _count([None, None]) == 0
    assert _count([5, 5, 5]) == 0


def test_keys_do_not_mix() -> None:
    counter = OrderCounter()
    counter.sent("a", 0)
    counter.sent("b", 1)
    assert counter.settled("b", 1, 1) == 0
    assert counter.settled("a", 0, 2) == 0


def test_memory_follows_what_is_outstanding() -> None:
    """100,000 events of one key, 50 outstanding at a time, and as many keys that are used once."""
    counter = OrderCounter()
    rng = random.Random(3)
    outstanding: list[int] = []

    def go(seqs: range) -> None:
        for seq in seqs:
            counter.sent("hot", seq)
            outstanding.append(seq)
            if len(outstanding) > 50:
                settling = outstanding.pop(rng.randrange(25))
                counter.settled("hot", settling, settling)
            counter.sent(seq, seq)
            counter.settled(seq, seq, 1)

    go(range(1000))
    tracemalloc.start()
    go(range(1000, 100_000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
