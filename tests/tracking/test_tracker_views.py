"""Several probes, replicas with an address each, sessions, versions, copies: what the tracker makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Event, Observation, Read, Receipt
from evload.tracking.profile import is_explorer
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.sampling import is_chosen
from evload.tracking.tracker import Origin, Tracker

MS = 1_000_000
S = 1_000 * MS
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED


def plan(**changes: Any) -> ReadingPlan:
    basis: dict[str, Any] = {
        "deadline_ns": 2 * S, "first_ns": 20 * MS, "resolution": 0.1, "max_gap_ns": None, "sample": 1.0,
        "confirm_reads": 0, "confirm_over_ns": 0,
    }  # fmt: skip
    return ReadingPlan(**basis | changes)


def event(seq: int, key: str | None = None) -> Event:
    return Event(seq, f"id-{seq}", 0, 0, 0, key, b"", (), ())


def told_by(*answers: Mapping[str, Any]) -> Observation:
    """What two probes told that both saw an event at their first look."""
    tracker = Tracker([{0: plan(), 1: plan()}], 2)
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 0)], 0)
    for reader, more in enumerate(answers):
        at = (20 + reader) * MS
        assert len(tracker.due(reader, at, 9)) == 1
        tracker.observe(reader, [Read(0, PRESENT, at, at + MS, **more)], at + MS)
    (seen,) = tracker.take()
    return seen


@pytest.mark.parametrize(
    ("first", "second", "effects"),
    [(2, None, 2), (None, 2, 2), (3, 2, 3), (2, 3, 3), (None, None, None), (0, None, 0)],
)
def test_of_several_probes_the_most_effects_count(first: int | None, second: int | None, effects: int | None) -> None:
    assert told_by({"effects": first}, {"effects": second}).effects == effects


def test_the_stamps_of_an_event_are_those_of_the_first_probe_that_tells_any() -> None:
    one, other = {"consumed_at": 5, "processed_at": 7}, {"consumed_at": 6, "processed_at": 9}
    for answers, stamps in (((one, other), (5, 7)), ((other, one), (6, 9)), (({}, one), (5, 7)), ((one, {}), (5, 7))):
        seen = told_by(*answers)
        assert (seen.consumed_at, seen.processed_at) == stamps


@pytest.mark.parametrize(
    ("first", "second", "tags"),
    [
        (None, None, ""), ({"tags": "cold"}, None, "cold"), (None, {"tags": "cold"}, "cold"),
        ({"tags": "cold"}, {"tags": "new=1"}, "cold\nnew=1"), ({"tags": "new=1"}, {"tags": "new=2"}, "new=1"),
    ],
)  # fmt: skip
def test_what_probes_tell_besides_belongs_to_the_event(
    first: Mapping[str, Any] | None, second: Mapping[str, Any] | None, tags: str
) -> None:
    assert told_by({"facts": first}, {"facts": second}).tags == tags


def test_what_later_reads_tell_besides_is_added() -> None:
    tracker = begun({0: plan(confirm_reads=2, confirm_over_ns=S)}, [Origin(0)])
    tags = iter(["cold", "region=eu", ""])
    seen = read_out(tracker, 1, lambda _, at: Read(0, PRESENT, at, at + MS, facts={"tags": next(tags)}))
    assert (seen.reads, seen.tags) == (3, "cold\nregion=eu")


def test_a_probe_with_one_address_that_has_a_name_is_told_by_itself_and_by_that_name() -> None:
    seen = World([50 * MS, 400 * MS], [Origin(0, "eu"), Origin(1)]).follow()
    assert [(part.probe, part.replica, part.state) for part in seen.parts] == [
        (0, None, State.VISIBLE), (0, "eu", State.VISIBLE), (1, None, State.VISIBLE),
    ]  # fmt: skip


class World:
    """Readers that see an event from a time on, each its own; `None`: never; a list of (from, seen) otherwise."""

    def __init__(self, shows: Sequence[int | None], origins: Sequence[Origin], **changes: Any) -> None:
        self.shows = shows
        self.origins = origins
        self.tracker = Tracker([dict.fromkeys(range(len(origins)), plan(**changes))], origins)
        self.reads: list[tuple[int, int, Seen]] = []

    def follow(self, acked_ns: int = 5 * MS) -> Observation:
        tracker = self.tracker
        tracker.expect([event(0)], 0)
        tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, acked_ns)], acked_ns)
        while not tracker.settled:
            dues = [(due, reader) for reader in range(len(self.origins)) if (due := tracker.next_due(reader))]
            assert dues, "nothing is due any more"
            at, reader = min(dues)
            for target in tracker.due(reader, at, 10):
                shown = self.shows[reader]
                seen = PRESENT if shown is not None and at >= shown else ABSENT
                self.reads.append((reader, at, seen))
                tracker.observe(reader, [Read(target.seq, seen, at, at + MS)], at + MS)
        (seen_at_last,) = tracker.take()
        return seen_at_last


def test_each_probe_of_a_chain_has_a_part_of_its_own() -> None:
    seen = World([100 * MS, 300 * MS], [Origin(0), Origin(1)]).follow()
    first, second = seen.parts
    for part, truth in ((first, 100 * MS), (second, 300 * MS)):
        assert part.stable_lower_ns is not None
        assert part.stable_upper_ns is not None
        assert part.stable_lower_ns < truth <= part.stable_upper_ns
    assert (first.probe, second.probe, first.replica) == (0, 1, None)
    assert (seen.first_lower_ns, seen.first_upper_ns) == (first.stable_lower_ns, first.stable_upper_ns)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (second.stable_lower_ns, second.stable_upper_ns)
    assert (seen.state, first.state, second.state) == (State.VISIBLE,) * 3


def test_a_probe_that_never_shows_an_event_is_the_one_that_lost_it() -> None:
    seen = World([100 * MS, None], [Origin(0), Origin(1)]).follow()
    assert seen.state is State.LOST
    assert [part.state for part in seen.parts] == [State.VISIBLE, State.LOST]
    assert seen.parts[1].stable_upper_ns is None


def test_replicas_with_an_address_each_are_one_probe() -> None:
    seen = World([50 * MS, 400 * MS], [Origin(0, "eu"), Origin(0, "us")]).follow()
    whole, eu, us = seen.parts
    assert [(part.probe, part.replica) for part in seen.parts] == [(0, None), (0, "eu"), (0, "us")]
    assert whole.first_upper_ns == eu.stable_upper_ns
    assert (whole.stable_lower_ns, whole.stable_upper_ns) == (us.stable_lower_ns, us.stable_upper_ns)
    assert (seen.agreeing, seen.asked) == (2, 2)


def read_out(tracker: Tracker, readers: int, answer: Callable[[int, int], Read]) -> Observation:
    """Read event 0 until it is settled; `answer(reader, at)` is what a read that starts then finds."""
    for _ in range(1_000):
        if tracker.settled:
            return tracker.take()[0]
        dues = [(due, reader) for reader in range(readers) if (due := tracker.next_due(reader)) is not None]
        at, reader = min(dues)
        reads = [answer(reader, at) for _ in tracker.due(reader, at, 10)]
        tracker.observe(reader, reads, at + MS)
    raise AssertionError("never settled")


def begun(plans: Mapping[int, ReadingPlan], origins: Sequence[Origin]) -> Tracker:
    """With event 0, acked at 0."""
    tracker = Tracker([plans], origins)
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 0)], 0)
    return tracker


def test_where_it_disappeared_again_it_is_not_seen_any_more() -> None:
    """One probe keeps showing it, the other only until 1 s."""
    watched = plan(confirm_reads=4, confirm_over_ns=2 * S)
    seen = read_out(
        begun({0: watched, 1: watched}, [Origin(0), Origin(1)]), 2,
        lambda probe, at: Read(0, ABSENT if probe and at >= S else PRESENT, at, at + MS),
    )  # fmt: skip
    stays, goes = seen.parts
    assert (seen.state, stays.state, goes.state) == (State.REGRESSED, State.VISIBLE, State.REGRESSED)
    assert (stays.first_upper_ns, stays.stable_upper_ns) == (21 * MS, 21 * MS)
    assert (goes.first_upper_ns, goes.stable_upper_ns) == (21 * MS, None)
    assert goes.stable_lower_ns is not None
    assert goes.stable_lower_ns >= 4 * S, "it was looked for to the end"
    assert (seen.regressions, seen.stable_upper_ns) == (1, None)


def test_a_replica_that_never_showed_it_has_lost_nothing_again() -> None:
    """Two replicas behind one address: the one that shows it, and the one that never does, are told apart."""
    turns = iter(range(1_000))

    def answer(_: int, at: int) -> Read:
        turn = next(turns) % 2
        return Read(0, (PRESENT, ABSENT)[turn], at, at + MS, replica=("eu", "us")[turn])

    seen = read_out(begun({0: plan(replicas=("eu", "us"))}, [Origin(0)]), 1, answer)
    whole, eu, us = seen.parts
    assert [(part.replica, part.state) for part in (whole, eu, us)] == [
        (None, State.UNOBSERVED), ("eu", State.VISIBLE), ("us", State.UNOBSERVED),
    ]  # fmt: skip
    assert (us.first_upper_ns, us.stable_upper_ns) == (None, None)


def test_a_replica_with_an_address_of_its_own_may_call_itself_what_it_likes() -> None:
    seen = read_out(
        begun({0: plan(), 1: plan()}, [Origin(0, "eu"), Origin(0, "us")]), 2,
        lambda reader, at: Read(0, PRESENT if at > 40 * MS else ABSENT, at, at + MS, replica=f"host-{reader}"),
    )  # fmt: skip
    assert [part.replica for part in seen.parts] == [None, "eu", "us"]
    for part in seen.parts:
        assert part.first_lower_ns == part.stable_lower_ns is not None
        assert part.first_upper_ns == part.stable_upper_ns is not None
        assert part.stable_lower_ns <= 40 * MS < part.stable_upper_ns


FINDS: Mapping[State, Callable[[int], Seen]] = {
    State.VISIBLE: lambda at: PRESENT,
    State.UNOBSERVED: lambda at: FAILED,
    State.REGRESSED: lambda at: PRESENT if at < 500 * MS else ABSENT,
    State.LOST: lambda at: ABSENT,
}
"""From best to worst, and what a reader has to find for it."""


@pytest.mark.parametrize("first", FINDS)
@pytest.mark.parametrize("second", FINDS)
@pytest.mark.parametrize("of_one", [True, False])
def test_the_worst_view_is_what_became_of_an_event(first: State, second: State, of_one: bool) -> None:
    """Whether two probes saw it so, or two replicas of one."""
    origins = [Origin(0, "eu"), Origin(0, "us")] if of_one else [Origin(0), Origin(1)]
    watched = plan(confirm_reads=2, confirm_over_ns=S)
    seen = read_out(
        begun({0: watched, 1: watched}, origins), 2,
        lambda reader, at: Read(0, FINDS[(first, second)[reader]](at), at, at + MS),
    )  # fmt: skip
    order = list(FINDS)
    worst = max(first, second, key=order.index)
    assert seen.state is worst
    assert [part.state for part in seen.parts] == [*([worst] if of_one else []), first, second]
    assert [part.stable_upper_ns is not None for part in seen.parts] == [
        part.state is State.VISIBLE for part in seen.parts
    ]
    assert (seen.stable_upper_ns is not None) is (worst is State.VISIBLE)
    assert seen.asked == 2 - (first, second).count(State.UNOBSERVED)
    assert seen.agreeing == (first, second).count(State.VISIBLE)


def test_replicas_together_are_first_seen_with_the_first_and_stable_with_the_last() -> None:
    origins = [Origin(0, "eu"), Origin(0, "us")]
    whole, eu, us = World([50 * MS, 400 * MS], origins).follow().parts
    assert None not in (*eu[3:], *us[3:])
    assert whole[3:] == (eu.first_lower_ns, eu.first_upper_ns, us.stable_lower_ns, us.stable_upper_ns)
    whole, us, eu = World([400 * MS, 50 * MS], origins).follow().parts
    assert whole[3:] == (eu.first_lower_ns, eu.first_upper_ns, us.stable_lower_ns, us.stable_upper_ns)
    whole, eu, us = World([0, 400 * MS], origins).follow().parts
    assert eu.first_lower_ns is eu.stable_lower_ns is None
    assert whole[3:] == (None, eu.first_upper_ns, us.stable_lower_ns, us.stable_upper_ns)
    whole, eu, us = World([50 * MS, None], origins).follow().parts
    assert us.stable_upper_ns is None
    assert whole[3:] == (eu.first_lower_ns, eu.first_upper_ns, us.stable_lower_ns, None)
    assert us.stable_lower_ns == 2 * S + 5 * MS, "the one that lost it was asked at its deadline"


@pytest.mark.parametrize("of_one", [True, False])
def test_what_came_back_was_seen_first_long_before_it_was_stable(of_one: bool) -> None:
    """The first replica, or probe, shows it from 50 ms on, but not from 500 to 900 ms; the other from 100 ms on."""
    origins = [Origin(0, "eu"), Origin(0, "us")] if of_one else [Origin(0), Origin(1)]
    watched = plan(confirm_reads=20, confirm_over_ns=S)
    reads: dict[int, dict[int, Seen]] = {0: {}, 1: {}}

    def answer(reader: int, at: int) -> Read:
        shown = at >= 100 * MS if reader else at >= 900 * MS or 50 * MS <= at < 500 * MS
        reads[reader][at] = PRESENT if shown else ABSENT
        return Read(0, reads[reader][at], at, at + MS)

    def turned(reader: int, to: Seen, since_ns: int, until_ns: int) -> int:
        """The last read that missed it, or the first that showed it, of those in a time."""
        found = [at for at, seen in reads[reader].items() if seen is to and since_ns <= at < until_ns]
        return min(found) + MS if to is PRESENT else max(found)

    seen = read_out(begun({0: watched, 1: watched}, origins), 2, answer)
    eu, us = seen.parts[-2:]
    first = turned(0, ABSENT, 0, 50 * MS), turned(0, PRESENT, 50 * MS, 500 * MS)
    stable = turned(0, ABSENT, 500 * MS, 900 * MS), turned(0, PRESENT, 900 * MS, 9 * S)
    other = turned(1, ABSENT, 0, 100 * MS), turned(1, PRESENT, 100 * MS, 9 * S)
    assert (eu[2:], us[2:]) == ((State.VISIBLE, *first, *stable), (State.VISIBLE, *other, *other))
    wholes = [part[3:] for part in seen.parts[:-2]]
    assert wholes == ([(*first, *stable)] if of_one else [])
    assert (seen.first_lower_ns, seen.first_upper_ns) == first
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == stable


def test_of_replicas_behind_one_address_each_has_its_own_bracket() -> None:
    turns = iter(range(1_000))

    def answer(_: int, at: int) -> Read:
        name = ("eu", "us")[next(turns) % 2]
        reads.append((name, at, PRESENT if at >= (50 if name == "eu" else 400) * MS else ABSENT))
        return Read(0, reads[-1][2], at, at + MS, replica=name)

    reads: list[tuple[str, int, Seen]] = []
    whole, eu, us = read_out(begun({0: plan(replicas=("eu", "us"))}, [Origin(0)]), 1, answer).parts
    for part, name in ((eu, "eu"), (us, "us")):
        missed = max(at for who, at, seen in reads if (who, seen) == (name, ABSENT))
        shown = min(at for who, at, seen in reads if (who, seen) == (name, PRESENT)) + MS
        assert part[1:] == (name, State.VISIBLE, missed, shown, missed, shown)
    assert whole[3:] == (eu.first_lower_ns, eu.first_upper_ns, us.stable_lower_ns, us.stable_upper_ns)


@pytest.mark.parametrize(("found", "state"), [(ABSENT, State.LOST), (PRESENT, State.UNOBSERVED)])
def test_a_replica_that_was_never_met_says_nothing(found: Seen, state: State) -> None:
    seen = read_out(
        begun({0: plan(replicas=("eu", "us"))}, [Origin(0)]), 1,
        lambda _, at: Read(0, found, at, at + MS, replica="eu"),
    )  # fmt: skip
    whole, eu, us = seen.parts
    assert (seen.state, whole.state, us.state) == (state, state, State.UNOBSERVED)
    assert eu.state is (State.LOST if found is ABSENT else State.VISIBLE)
    assert us[3:] == (None, None, None, None), "no end of any bracket"
    assert (seen.agreeing, seen.asked) == (found is PRESENT, 1)


@pytest.mark.parametrize(("replicas", "parts"), [((), 0), (("only",), 0), (("eu", "us"), 3)])
def test_what_has_one_view_has_no_parts(replicas: tuple[str, ...], parts: int) -> None:
    names = iter((replicas or (None,)) * 100)
    seen = read_out(
        begun({0: plan(replicas=replicas)}, [Origin(0)]), 1,
        lambda _, at: Read(0, PRESENT, at, at + MS, replica=next(names)),
    )  # fmt: skip
    assert (seen.state, len(seen.parts)) == (State.VISIBLE, parts)


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(7, None, 7), (None, 9, 9), (7, 9, 7), (0, 9, 0), (None, None, None)]
)
def test_the_first_probe_that_knows_a_position_gives_it(
    first: float | None, second: float | None, kept: float | None
) -> None:
    positions = (first, second)
    seen = read_out(
        begun({0: plan(), 1: plan()}, [Origin(0), Origin(1)]), 2,
        lambda probe, at: Read(0, PRESENT, at, at + MS, position=positions[probe]),
    )  # fmt: skip
    assert seen.position == kept


def test_a_lost_replica_says_nothing_and_hides_nothing() -> None:
    """A replica whose reads all fail: the event is neither visible everywhere nor lost."""
    world = World([50 * MS, None], [Origin(0, "eu"), Origin(0, "us")])
    tracker = world.tracker
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)
    while not tracker.settled:
        at, reader = min((due, reader) for reader in (0, 1) if (due := tracker.next_due(reader)))
        for target in tracker.due(reader, at, 10):
            seen = FAILED if reader else PRESENT if at >= 50 * MS else ABSENT
            tracker.observe(reader, [Read(target.seq, seen, at, at + MS)], at + MS)
    (found,) = tracker.take()
    assert found.state is State.UNOBSERVED
    assert [part.state for part in found.parts] == [State.UNOBSERVED, State.VISIBLE, State.UNOBSERVED]
    assert (found.agreeing, found.asked) == (1, 1)
    assert found.stable_upper_ns is None


def test_reads_that_go_back_in_time_across_replicas_are_not_monotonic() -> None:
    origins = [Origin(0, "eu"), Origin(0, "us")]
    assert World([50 * MS, 400 * MS], origins).follow().non_monotonic
    assert not World([50 * MS, 50 * MS], [Origin(0), Origin(1)]).follow().non_monotonic
    assert not World([50 * MS, 400 * MS], [Origin(0), Origin(1)]).follow().non_monotonic, "two probes are two models"
    assert World([50 * MS, 400 * MS], origins).follow().regressions == 0


@pytest.mark.parametrize(("begun_ms", "back"), [(30, False), (39, False), (40, True), (60, True)])
def test_a_read_goes_back_only_if_it_began_after_the_other_had_shown_it(begun_ms: int, back: bool) -> None:
    """The read that showed it took from 20 to 40 ms: who read meanwhile may have met the time before."""
    tracker = Tracker([{0: plan(), 1: plan()}], [Origin(0, "eu"), Origin(0, "us")])
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 0)], 0)
    tracker.due(0, 20 * MS, 1)
    tracker.due(1, 20 * MS, 1)
    tracker.observe(0, [Read(0, PRESENT, 20 * MS, 40 * MS)], 40 * MS)
    tracker.observe(1, [Read(0, ABSENT, begun_ms * MS, 70 * MS)], 70 * MS)
    tracker.close(80 * MS)
    assert tracker.take()[0].non_monotonic is back


def test_what_went_back_once_has_gone_back_whatever_other_reads_say() -> None:
    """Of three regions one shows it from 40 ms on; one is read at 60 ms, and the answer of the third, which was asked
    at 30 ms, comes last."""
    tracker = begun({n: plan() for n in range(3)}, [Origin(0, "eu"), Origin(0, "us"), Origin(0, "ap")])
    for reader in range(3):
        tracker.due(reader, 20 * MS, 1)
    tracker.observe(0, [Read(0, PRESENT, 20 * MS, 40 * MS)], 40 * MS)
    tracker.observe(1, [Read(0, ABSENT, 60 * MS, 61 * MS)], 61 * MS)
    tracker.observe(2, [Read(0, ABSENT, 30 * MS, 62 * MS)], 62 * MS)
    tracker.close(80 * MS)
    assert tracker.take()[0].non_monotonic


@pytest.mark.parametrize("replicas", [(None, None), ("only", "only"), ("a", "b")])
def test_reads_of_one_address_go_back_in_time_too(replicas: tuple[str | None, str | None]) -> None:
    """Whether the same replica lost it again or another one didn't have it yet, who reads sees it come and go."""
    answers = iter(((PRESENT, replicas[0]), (ABSENT, replicas[1]), *((PRESENT, name) for name in replicas * 100)))
    watched = plan(replicas=tuple({name for name in replicas if name}), confirm_reads=2, confirm_over_ns=S)

    def answer(_: int, at: int) -> Read:
        found, replica = next(answers)
        return Read(0, found, at, at + MS, replica=replica)

    seen = read_out(begun({0: watched}, [Origin(0)]), 1, answer)
    assert (seen.state, seen.non_monotonic) == (State.VISIBLE, True)


@pytest.mark.parametrize(("shown_ns", "expected"), [(0, PRESENT), (8 * MS, ABSENT)])
def test_the_session_that_wrote_reads_right_after_its_ack(shown_ns: int, expected: Seen) -> None:
    world = World([shown_ns], [Origin(0)], session=True, confirm_reads=2, confirm_over_ns=S)
    seen = world.follow(acked_ns=5 * MS)
    assert world.reads[0][:2] == (0, 5 * MS)
    assert seen.session is expected


def test_without_an_ack_there_is_no_session_read() -> None:
    tracker = Tracker([{0: plan(session=True)}], 1)
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.IN_DOUBT, 0, None)], MS)
    assert tracker.next_due(0) == 20 * MS


def test_an_answer_before_the_ack_is_no_session_read() -> None:
    tracker = Tracker([{0: plan(session=True)}], 1)
    tracker.expect([event(0)], 0)
    (target,) = tracker.due(0, 20 * MS, 10)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 25 * MS)], 25 * MS)
    tracker.observe(0, [Read(target.seq, ABSENT, 20 * MS, 26 * MS)], 26 * MS)
    assert tracker.next_due(0) == 25 * MS, "the read that was on its way had begun before the ack"
    tracker.due(0, 26 * MS, 10)
    tracker.observe(0, [Read(0, PRESENT, 26 * MS, 27 * MS)], 27 * MS)
    assert tracker.take()[0].session is PRESENT


def test_of_a_sample_the_others_are_not_read_for_their_session() -> None:
    """They are read once, at their deadline, and a read then is no read of the session that wrote."""
    world = World([0], [Origin(0)], session=True, sample=0.0)
    seen = world.follow(acked_ns=5 * MS)
    assert world.reads == [(0, 5 * MS + 2 * S, PRESENT)]
    assert (seen.state, seen.session) == (State.VISIBLE, None)


@pytest.mark.parametrize(("eu", "us"), [(0, 40 * MS), (40 * MS, 0)])
def test_a_session_that_one_probe_fails_read_too_early_whatever_the_other_shows(eu: int, us: int) -> None:
    world = World([eu, us], [Origin(0), Origin(1)], session=True)
    seen = world.follow(acked_ns=5 * MS)
    assert world.reads[:2] == [(0, 5 * MS, ABSENT if eu else PRESENT), (1, 5 * MS, ABSENT if us else PRESENT)]
    assert seen.session is ABSENT


def test_staleness_counts_the_acked_writes_that_an_answer_lacks() -> None:
    tracker = Tracker([{0: plan(versions=True)}], 1)
    events = [event(0, "k"), event(1, "k"), event(2, "other")]
    tracker.expect(events, 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, MS) for seq in range(3)], MS)
    tracker.due(0, 30 * MS, 10)
    answers = [
        Read(0, PRESENT, 30 * MS, 31 * MS, version=1),
        Read(1, PRESENT, 30 * MS, 31 * MS, version=2),
        Read(2, PRESENT, 30 * MS, 31 * MS, version=1),
    ]
    tracker.observe(0, answers, 31 * MS)
    assert [seen.staleness for seen in tracker.take()] == [1, 0, 0]


def test_an_answer_that_does_not_show_the_event_is_stale_too() -> None:
    tracker = Tracker([{0: plan(versions=True)}], 1)
    tracker.expect([event(0, "k")], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 0)], 0)
    found = iter([(ABSENT, 0), (PRESENT, 1)])

    def answer(_: int, at: int) -> Read:
        seen, version = next(found)
        return Read(0, seen, at, at + MS, version=version)

    seen = read_out(tracker, 1, answer)
    assert (seen.reads, seen.state, seen.staleness) == (2, State.VISIBLE, 1)


@pytest.mark.parametrize("versions", [(1, 3, 3), (3, 1, 3), (3, 3, 1)])
def test_of_several_answers_the_most_stale_one_counts(versions: tuple[int, int, int]) -> None:
    """Three writes of the key are acked; one answer knows the first alone."""
    tracker = Tracker([{0: plan(versions=True, confirm_reads=2, confirm_over_ns=S)}], 1)
    tracker.expect([event(seq, "k") for seq in range(3)], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0) for seq in range(3)], 0)
    for version in versions:
        at = tracker.next_due(0)
        assert at is not None
        reads = [Read(target.seq, PRESENT, at, at + MS, version=version) for target in tracker.due(0, at, 10)]
        tracker.observe(0, reads, at + MS)
    assert [seen.staleness for seen in tracker.take()] == [2, 2, 2]


@pytest.mark.parametrize(
    ("key", "version", "staleness"), [("k", 2, 0), ("k", 1, 0), ("k", 0, 1), ("k", -1e300, 1), (None, 1, None)]
)
@pytest.mark.parametrize("pushes", [False, True])
def test_an_answer_is_as_stale_as_the_acked_writes_it_lacks(
    key: str | None, version: float, staleness: int | None, pushes: bool
) -> None:
    """One write of the key is acked. An answer may know one more, whose ack is on its way; without a key there are no
    writes to compare it with."""
    tracker = Tracker([{0: plan(versions=True, pushed=pushes)}], 1)
    tracker.expect([event(0, key), event(1, "other")], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0) for seq in range(2)], 0)
    if pushes:
        tracker.push(0, [Read(0, PRESENT, 30 * MS, 30 * MS, version=version, exact=True)])
        tracker.due(0, 30 * MS, 1)
    else:
        assert tracker.due(0, 20 * MS, 1)[0].seq == 0
        tracker.observe(0, [Read(0, PRESENT, 20 * MS, 30 * MS, version=version)], 30 * MS)
    assert tracker.take()[0].staleness == staleness


@pytest.mark.parametrize("pushes", [False, True])
def test_an_answer_that_comes_before_any_ack_is_not_stale(pushes: bool) -> None:
    tracker = Tracker([{0: plan(versions=True, pushed=pushes)}], 1)
    tracker.expect([event(0, "k")], 0)
    if pushes:
        tracker.push(0, [Read(0, PRESENT, 20 * MS, 20 * MS, version=1, exact=True)])
    else:
        tracker.due(0, 20 * MS, 1)
        tracker.observe(0, [Read(0, PRESENT, 20 * MS, 30 * MS, version=1)], 30 * MS)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 40 * MS)], 40 * MS)
    tracker.close(50 * MS)
    assert tracker.take()[0].staleness == 0


def test_writes_that_are_acked_while_a_read_is_under_way_are_no_staleness() -> None:
    tracker = Tracker([{0: plan(versions=True)}], 1)
    tracker.expect([event(0, "k"), event(1, "k")], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)
    assert len(tracker.due(0, 30 * MS, 10)) == 2
    tracker.settle([Receipt(1, Outcome.ACCEPTED, 0, 31 * MS)], 31 * MS)
    tracker.observe(0, [Read(0, PRESENT, 30 * MS, 32 * MS, version=1)], 32 * MS)
    assert tracker.take()[0].staleness == 0


def test_an_event_of_which_copies_are_sent_is_watched_until_after_the_last() -> None:
    chosen = next(seq for seq in range(1000) if is_chosen(seq, 0.1, "resend"))
    other = next(seq for seq in range(1000) if not is_chosen(seq, 0.1, "resend"))
    settled = {}
    for seq in (chosen, other):
        tracker = Tracker([{0: plan(resent_for_ns=3 * S, confirm_reads=2, confirm_over_ns=S)}], 1, resent=[0.1])
        tracker.expect([event(seq)], 0)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
        while not tracker.settled:
            at = tracker.next_due(0)
            assert at is not None
            for target in tracker.due(0, at, 1):
                effects = 2 if at > 3 * S else 1
                tracker.observe(0, [Read(target.seq, PRESENT, at, at + MS, effects=effects)], at + MS)
        settled[seq] = tracker.take()[0]
    assert (settled[chosen].resent, settled[chosen].effects) == (True, 2)
    assert settled[chosen].settled_ns > 4 * S
    assert (settled[other].resent, settled[other].effects) == (False, 1)
    assert settled[other].settled_ns < 2 * S


def test_a_pushed_bracket_is_taken_as_it_is() -> None:
    tracker = Tracker([{0: plan(pushed=True, confirm_reads=1, confirm_over_ns=S)}], 1)
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)
    tracker.push(0, [Read(0, PRESENT, 100 * MS, 200 * MS, effects=2)])
    tracker.push(0, [Read(0, PRESENT, 200 * MS, 300 * MS)])
    tracker.due(0, 2 * S, 10)
    (seen,) = tracker.take()
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (100 * MS, 200 * MS)
    assert seen.effects == 2, "brackets are no effects of their own"


def test_a_probe_that_is_done_is_done_once() -> None:
    """One is pushed to, while the question of the deadline is on its way; the other shows the event only later."""
    told = plan(pushed=True, confirm_reads=1, confirm_over_ns=S)
    tracker = begun({0: told, 1: plan(deadline_ns=5 * S)}, [Origin(0), Origin(1)])
    assert len(tracker.due(0, 2 * S, 1)) == 1
    tracker.push(0, [Read(0, PRESENT, 2_100 * MS, 2_100 * MS, exact=True)])
    tracker.observe(0, [Read(0, ABSENT, 2 * S, 2_200 * MS)], 2_200 * MS)
    assert tracker.due(0, 3_100 * MS, 10) == []
    assert tracker.take() == [], "the other is still looked at"
    seen = read_out(tracker, 2, lambda _, at: Read(0, PRESENT if at >= 4 * S else ABSENT, at, at + MS))
    assert [part.state for part in seen.parts] == [State.VISIBLE, State.VISIBLE]
    assert seen.stable_upper_ns is not None
    assert seen.stable_upper_ns > 4 * S


def test_who_answers_twice_about_an_event_is_heard_once() -> None:
    tracker = begun({0: plan(), 1: plan()}, [Origin(0), Origin(1)])
    tracker.due(0, 20 * MS, 1)
    tracker.observe(0, [Read(0, PRESENT, 20 * MS, 21 * MS), Read(0, PRESENT, 20 * MS, 21 * MS)], 21 * MS)
    assert tracker.take() == [], "the other is still to be read"
    seen = read_out(tracker, 2, lambda _, at: Read(0, PRESENT, at, at + MS))
    assert (seen.state, seen.reads, len(seen.parts)) == (State.VISIBLE, 2, 2)


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "lower_ms"), [(50, 200, 100), (50, 80, 80), (100, 200, 100), (150, 200, 150)]
)
def test_nothing_is_visible_before_it_was_published(start_ms: int, end_ms: int, lower_ms: int) -> None:
    """It is published at 100 ms, and the probe was told by somebody who had looked last at some other time."""
    tracker = Tracker([{0: plan(pushed=True)}], 1)
    tracker.expect([event(0)], 100 * MS)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 100 * MS, 101 * MS)], 101 * MS)
    tracker.push(0, [Read(0, PRESENT, start_ms * MS, end_ms * MS)])
    tracker.due(0, S, 10)
    (seen,) = tracker.take()
    assert (seen.first_lower_ns, seen.first_upper_ns) == (lower_ms * MS, end_ms * MS)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (lower_ms * MS, end_ms * MS)


def test_a_stretched_grid_reads_less_and_its_brackets_are_still_true() -> None:
    reads, widths = [], []
    for stretch in (1.0, 4.0):
        world = World([500 * MS], [Origin(0)])
        world.tracker.stretch[0] = stretch
        seen = world.follow()
        assert seen.stable_lower_ns is not None
        assert seen.stable_upper_ns is not None
        assert seen.stable_lower_ns < 500 * MS <= seen.stable_upper_ns
        reads.append(seen.reads)
        widths.append(seen.stable_upper_ns - seen.stable_lower_ns)
    assert reads[1] < reads[0] / 2
    assert widths[1] > 2 * widths[0]


def test_a_stretched_grid_still_reads_on_both_sides_of_a_threshold() -> None:
    world = World([900 * MS], [Origin(0)], pins=(("acked", 500 * MS),))
    world.tracker.stretch[0] = 8.0
    seen = world.follow(acked_ns=0)
    starts = [at for _, at, _ in world.reads]
    assert any(at < 500 * MS <= later for at, later in pairwise(starts))
    assert 500 * MS in starts
    assert seen.state is State.VISIBLE


def test_the_backlog_counts_what_is_due() -> None:
    tracker = Tracker([{0: plan()}], 1)
    tracker.expect([event(seq) for seq in range(50)], 0)
    assert (tracker.backlog(0, 19 * MS), tracker.backlog(0, 20 * MS)) == (0, 50)
    tracker.due(0, 20 * MS, 30)
    assert tracker.backlog(0, 20 * MS) == 20


@given(sent=st.lists(st.integers(0, 30), max_size=40))
def test_the_backlog_is_of_those_whose_first_read_was_due(sent: list[int]) -> None:
    """Each is to be read 20 ms after it was sent; of two readers each has its own."""
    tracker = Tracker([{0: plan()}, {1: plan(first_ns=10 * MS)}], 2)
    for seq, ms in enumerate(sent):
        tracker.expect([event(seq)], ms * MS)
    for now in range(60):
        assert tracker.backlog(0, now * MS) == sum(ms + 20 <= now for ms in sent)
        assert tracker.backlog(1, now * MS) == 0


def confirmed(tracker: Tracker, seq: int, hidden: Collection[int] = ()) -> int:
    """Follow one event that is there at once, and missing in some of its reads; the number of its reads."""
    tracker.expect([event(seq)], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
    reads = 0
    while not tracker.settled:
        at = tracker.next_due(0)
        assert at is not None
        for target in tracker.due(0, at, 1):
            reads += 1
            seen = ABSENT if reads in hidden else PRESENT
            tracker.observe(0, [Read(target.seq, seen, at, at + MS)], at + MS)
    tracker.take()
    return reads


@pytest.mark.parametrize("hidden", [(2,), range(2, 1_000)], ids=["for a while", "for good"])
def test_a_plan_that_learns_confirms_less_until_something_disappears(hidden: Collection[int]) -> None:
    explorer = next(seq for seq in range(1000, 2000) if is_explorer(seq))
    usual = [seq for seq in range(1000, 2000) if not is_explorer(seq)]
    tracker = Tracker([{0: plan(learns=True, confirm_reads=5, confirm_over_ns=S)}], 1)
    assert [confirmed(tracker, seq) for seq in range(300)] == [6] * 300, "until enough were confirmed in full"
    assert (confirmed(tracker, usual[0]), confirmed(tracker, explorer)) == (2, 6)
    assert confirmed(tracker, usual[1], hidden) > 2
    after = [confirmed(tracker, seq) for seq in usual[2:12]]
    assert after == [6] * 10, "something disappeared, so all are looked at again, for good"


def test_where_an_objective_is_about_regressions_every_event_is_confirmed_in_full() -> None:
    tracker = Tracker([{0: plan(learns=True, confirm_all=True, confirm_reads=5, confirm_over_ns=S)}], 1)
    assert {confirmed(tracker, seq) for seq in range(400)} == {6}
