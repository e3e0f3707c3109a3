"""Out-of-order events per key, against the definition applied to the whole run at once."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.summary.order import OrderCounter, Placed


def placed(
    seq: int, sent: int, acked: int | None, position: float | str | None, settled: int, intended: int | None = None
) -> Placed:
    return Placed(seq, 0, sent if intended is None else intended, sent, acked, position, settled)


@st.composite
def _runs(draw: st.DrawFn) -> list[tuple[str, Placed]]:
    """Events that are applied after they are sent and settled after they are applied; some sends overlap."""
    events = []
    due = 0
    for seq in range(draw(st.integers(0, 40))):
        due += draw(st.integers(0, 5))
        key = draw(st.sampled_from("ab"))
        sent = due + draw(st.sampled_from([0, 0, 0, 1, 7]))
        acked = draw(st.one_of(st.none(), st.integers(sent, sent + 12)))
        delay = draw(st.one_of(st.none(), st.integers(1, 40)))
        position = None if delay is None else sent + delay
        settled = max(sent, acked or 0, position or 0) + draw(st.integers(1, 30))
        events.append((key, placed(seq, sent, acked, position, settled, due)))
    return events


def _replay(events: Sequence[tuple[str, Placed]]) -> Counter[tuple[str, int]]:
    """What is found, when each event is expected as it is due and settled at its time."""
    counter = OrderCounter()
    found: Counter[tuple[str, int]] = Counter()
    moments = [(event.intended_ns, 0, key, event) for key, event in events]
    moments += [(event.settled_ns, 1, key, event) for key, event in events]
    for _, kind, key, event in sorted(moments, key=lambda moment: (moment[0], moment[1], moment[3].seq)):
        if kind == 0:
            counter.expect(key, event.seq, event.intended_ns)
        else:
            found.update((one.kind, one.event.seq) for one in counter.settle(key, event))
    return found


def _by_definition(events: Sequence[tuple[str, Placed]]) -> Counter[tuple[str, int]]:
    found: Counter[tuple[str, int]] = Counter()
    for key, event in events:
        others = [other for its, other in events if its == key and other.seq != event.seq]
        if event.position is None:
            continue
        seen = [other for other in others if other.position is not None]
        if event.acked_ns is not None and any(
            event.acked_ns <= other.sent_ns < event.settled_ns and _number(other) < _number(event)
            for other in seen
            if (other.sent_ns, other.seq) > (event.sent_ns, event.seq)
        ):
            found["out_of_order", event.seq] += 1
        before = [o for o in seen if o.acked_ns is not None and (o.sent_ns, o.seq) < (event.sent_ns, event.seq)]
        if any(other.acked_ns is not None and other.acked_ns > event.sent_ns for other in before):
            found["order_unknown", event.seq] += 1
        if any(
            other.acked_ns is not None and other.acked_ns <= event.sent_ns < other.settled_ns and other.sent_ns
            <= event.sent_ns for other in before
        ):  # fmt: skip
            found["order", event.seq] += 1
    return found


def _number(placed: Placed) -> float:
    assert isinstance(placed.position, int | float)
    return placed.position


@given(_runs())
def test_what_is_found_is_what_the_definition_says(events: list[tuple[str, Placed]]) -> None:
    found, expected = _replay(events), _by_definition(events)
    assert {one for one in found if one[0] != "order"} == {one for one in expected if one[0] != "order"}
    assert max(found.values(), default=1) == 1, "nothing is counted twice"


def _found(
    positions: Sequence[float | str | None], settle_order: Sequence[int] | None = None, *, took: int = 1
) -> Counter[str]:
    """Events sent a moment after one another, each acked after it `took` so many moments."""
    counter = OrderCounter()
    events = [placed(n, 10 * n, 10 * n + took, position, 10_000 + n) for n, position in enumerate(positions)]
    for event in events:
        counter.expect("k", event.seq, event.intended_ns)
    order = settle_order or range(len(events))
    return Counter(one.kind for n in order for one in counter.settle("k", events[n]))


def test_planted_swaps_are_all_found() -> None:
    assert _found([1, 2, 3, 4])["out_of_order"] == 0
    assert _found([2, 1, 3, 4])["out_of_order"] == 1
    assert _found([2, 1, 4, 3])["out_of_order"] == 2
    assert _found([4, 1, 2, 3])["out_of_order"] == 1
    assert _found([2, 3, 4, 1])["out_of_order"] == 3
    assert _found([2, 3, 1]) == {"out_of_order": 2, "order": 2}


def test_positions_of_the_kind_that_was_told_first_are_compared_and_no_others() -> None:
    """Numbers or texts; what has no position tells nothing of the kind."""
    assert _found([None, "b", "a", None])["out_of_order"] == 1
    assert _found([None, "a", "b", None])["out_of_order"] == 0
    assert _found(["b", 1, "a", 2.5])["out_of_order"] == 1
    assert _found([2, "x", 1, "a"])["out_of_order"] == 1
    assert _found([None, 2, 1])["out_of_order"] == 1


def test_a_key_with_nothing_outstanding_is_forgotten() -> None:
    counter = OrderCounter()
    for first in (0, 2):
        pair = [placed(seq, 10 * seq, 10 * seq + 1, 9 - seq, 100 + seq) for seq in (first, first + 1)]
        for event in pair:
            counter.expect("k", event.seq, event.intended_ns)
        assert [one.kind for event in pair for one in counter.settle("k", event)] == ["order", "out_of_order"]
        with pytest.raises(KeyError):
            counter.settle("k", pair[1])


def test_between_sends_that_overlapped_no_order_was_owed() -> None:
    assert _found([4, 3, 2, 1], took=100) == {"order_unknown": 3}
    assert _found([4, 3, 2, 1], took=15) == {"out_of_order": 2, "order_unknown": 3, "order": 2}
    assert _found([2, 1], took=10) == {"out_of_order": 1, "order": 1}, "acked at the moment the next one was sent"


def test_the_order_of_settling_does_not_matter() -> None:
    assert _found([2, 3, 4, 1], [3, 1, 0, 2]) == _found([2, 3, 4, 1])


def test_what_was_sent_at_the_same_moment_was_sent_in_the_order_of_the_schedule() -> None:
    """As a batch is; whichever of them is settled first."""
    events = [placed(0, 5, 5, 2, 90, 5), placed(1, 5, 5, 1, 80, 5)]
    for order in ([0, 1], [1, 0]):
        counter = OrderCounter()
        for event in events:
            counter.expect("k", event.seq, event.intended_ns)
        found = [(one.kind, one.event.seq) for n in order for one in counter.settle("k", events[n])]
        assert found == [("order", 1), ("out_of_order", 0)]


def test_unknown_positions_and_ties_are_not_out_of_order() -> None:
    assert _found([None, 2, None, 1])["out_of_order"] == 1
    assert _found([None, None]) == {}
    assert _found([5, 5, 5])["out_of_order"] == 0


def test_what_had_been_seen_when_another_was_sent_can_not_be_overtaken() -> None:
    counter = OrderCounter()
    for seq, due in ((0, 0), (1, 50), (2, 60)):
        counter.expect("k", seq, due)
    assert counter.settle("k", placed(0, 0, 1, 9, 55)) == []
    assert counter.settle("k", placed(1, 50, 51, 8, 200)) != [], "not seen for good when the next one was sent"
    assert counter.settle("k", placed(2, 60, 61, 1, 200))[-1].event.seq == 1


def test_whoever_was_seen_before_the_other_was_sent_came_first() -> None:
    """Whatever the positions say: number 2 went out when 0 had been seen, and 1 when it had not."""
    counter = OrderCounter()
    counter.expect("k", 0, 0)
    counter.expect("k", 1, 10)
    assert counter.settle("k", placed(0, 0, 1, 5, 20)) == []
    counter.expect("k", 2, 30)
    assert counter.settle("k", placed(1, 10, 11, None, 40)) == []
    assert counter.settle("k", placed(2, 30, 31, 3, 50)) == []
    counter.expect("k", 3, 60)
    counter.expect("k", 4, 70)
    assert counter.settle("k", placed(3, 60, 61, 5, 80)) == []
    found = counter.settle("k", placed(4, 70, 71, 3, 90))
    assert [(one.kind, one.event.seq) for one in found] == [("order", 4), ("out_of_order", 3)]


def test_keys_do_not_mix() -> None:
    counter = OrderCounter()
    counter.expect("a", 0, 0)
    counter.expect("b", 1, 10)
    assert counter.settle("b", placed(1, 10, 11, 1, 50)) == []
    assert counter.settle("a", placed(0, 0, 1, 2, 60)) == []


def test_memory_follows_what_is_outstanding() -> None:
    """20,000 events of one key, 50 outstanding at a time, and as many keys that are used once."""
    counter = OrderCounter()
    rng = random.Random(3)
    outstanding: list[int] = []

    def go(seqs: range) -> None:
        for seq in seqs:
            counter.expect("hot", seq, seq)
            outstanding.append(seq)
            if len(outstanding) > 50:
                settling = outstanding.pop(rng.randrange(25))
                counter.settle("hot", placed(settling, settling, settling, settling, seq))
            counter.expect(seq, seq, seq)
            counter.settle(seq, placed(seq, seq, seq, 1, seq))

    go(range(1000))
    tracemalloc.start()
    go(range(1000, 20_000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
