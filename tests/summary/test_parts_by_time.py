"""What an action was on for, what came after it, and what answers told, worked out by hand."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pytest

from evload.model.marker import Marker
from evload.model.states import State
from evload.model.summary import ScenarioSummary
from evload.model.travel import Observation
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice, asked_tags
from evload.summary.recorder import Recorder
from tests.rigs.by_hand import LOST, NEVER, START, VISIBLE, T, counted, event, fold, part, told


def outage(number: int, done: tuple[int, int | None], undone: tuple[int, int | None] | None = None) -> Marker:
    """One time that it was on, in ticks since the schedule began."""

    def at(bracket: tuple[int, int | None]) -> tuple[int, int | None]:
        begun, over = bracket
        return begun * T, None if over is None else over * T

    return Marker("outage", number, at(done), None if undone is None else at(undone))


TWICE = (outage(0, (100, 110), (200, 220)), outage(1, (400, 410), (500, 520)))
"""On for sure from 110 to 200 and from 410 to 500; over for good at 520."""


def due(*moments: int, **more: Any) -> list[Observation]:
    """An event for each of these moments, acked after 5 ticks and seen 10 ticks after that."""
    return [
        event(seq, VISIBLE, at, at, at + 5, (at + 5, at + 15), (at + 5, at + 15), at + 100, **more)
        for seq, at in enumerate(moments)
    ]


def plan(*slices: Slice, probes: Sequence[tuple[int, str]] = ((0, "items"),)) -> ScenarioPlan:
    return ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, slices=slices, probes=tuple(probes))


@pytest.mark.parametrize("place", [{}, {"probe": 0}])
@pytest.mark.parametrize(
    ("markers", "during", "after"),
    [
        ((), [], []),
        (TWICE[:1], [110, 111, 199, 200], [220, 409, 410, 500, 519, 520, 900]),
        (TWICE, [110, 111, 199, 200, 410, 500], [520, 900]),
        # It was told twice of: first that it begins, then that it is on.
        (
            (outage(0, (100, None)), outage(0, (100, 110))),
            [110, 111, 199, 200, 220, 409, 410, 500, 519, 520, 900],
            [],
        ),
        ((outage(0, (100, 110)), outage(0, (100, 110), (200, None))), [110, 111, 199, 200], []),
    ],
)
def test_what_was_due_while_an_action_was_on_for_sure_and_when_it_was_over_for_good(
    place: dict[str, Any], markers: Sequence[Marker], during: list[int], after: list[int]
) -> None:
    moments = [0, 99, 100, 109, 110, 111, 199, 200, 220, 409, 410, 500, 519, 520, 900]
    parts = [
        Slice("during", during="outage", **place), Slice("after", after="outage", **place),
        Slice("during other", during="other", **place), Slice("after other", after="other", **place),
    ]  # fmt: skip
    events = due(*moments)
    for number, seen in enumerate(events):
        seen.settled_ns = START + (2_000 + number * 7 % 15) * T  # in any order
    found = fold(plan(*parts), events, markers=markers).slices
    for name, own in (("during", during), ("after", after), ("during other", []), ("after other", [])):
        part_of_it = found[name]
        assert part_of_it.ledger["scheduled"] == part_of_it.ledger["visible"] == len(own)
        assert part_of_it.sampled == len(own)
        span = (own[0] * T, own[-1] * T) if own else (None, None)
        assert (part_of_it.first_intended_ns, part_of_it.last_intended_ns) == span


def test_a_part_by_time_of_one_type_or_key_worked_out_by_hand() -> None:
    events = [
        event(0, VISIBLE, 50, 50, 60, (60, 70), (70, 80), 900, key="a1", type=1, bytes_out=7),
        # While it was on: three, of which one has the key alone and one the type alone.
        event(1, VISIBLE, 120, 120, 130, (140, 150), (160, 190), 900, key="a1", type=1, effects=2, bytes_out=300),
        event(2, LOST, 150, 150, 160, (1_650, None), (1_650, None), 1_700, key="a2", bytes_out=40),
        event(3, VISIBLE, 160, 160, 170, (180, 190), (180, 190), 900, key="b", type=1),
        # After it.
        event(4, VISIBLE, 600, 600, 610, (615, 620), (615, 620), 1_800, key="a1", type=1),
        event(5, State.REJECTED, 700, 700, 705, NEVER, NEVER, 705, key="a3"),
    ]
    asked = counted(("consistency", 50), ("end_to_end", 60), counters=["lost", "duplicated"], on_time=True)
    found = fold(
        plan(
            Slice("keys", asked, key="a*", during="outage"),
            Slice("types", event=1, during="outage"),
            Slice("both after", counted(counters=["errors"]), key="a*", event=0, after="outage"),
            Slice("view", asked, key="a*", probe=0, during="outage"),
        ),
        events,
        markers=TWICE,
    ).slices
    brackets = {
        "first_seen": ([10, 1_490], [20, None]),
        "consistency": ([30, 1_490], [60, None]),
        "end_to_end": ([40, 1_500], [70, None]),
    }
    thresholds = {"consistency": {50: (0, 1, {0: [2, 0, 1]})}, "end_to_end": {60: (0, 1, {0: [2, 0, 1]})}}
    assert told(found["keys"]) == {
        "ledger": {"scheduled": 2, "acked": 2, "visible": 1, "lost": 1, "duplicated": 1},
        "ends": {"schedule_delay": ([0, 0], [0, 0]), "publish": ([10, 10], [10, 10]), **brackets},
        "exact": {"schedule_delay", "publish"},
        "thresholds": thresholds,
        "on_time": {60: (0, 1, {0: [2, 0, 1]}), "ends": ([40, 1_500], [70, None])},
        "sampled": 2,
        "known": {"effects": 1, "bytes_out": 2},
        "tallies": {"effects": {2: 1}},
        "sums": {"bytes_out": 340},
        "span": (120, 150),
        "counters": {"lost": {0: (2, 0, 1)}, "duplicated": {0: (2, 0, 1)}},
    }
    assert found["types"].ledger["visible"] == found["types"].ledger["scheduled"] == 2
    after = told(found["both after"])
    assert (after["ledger"], after["span"]) == ({"scheduled": 1, "rejected": 1}, (700, 700))
    assert after["counters"] == {"errors": {0: (1, 0, 1)}}
    view = told(found["view"])
    assert view["ledger"] == {"scheduled": 2, "acked": 2, "visible": 1, "lost": 1}
    assert view["ends"] == {**brackets, "hop": brackets["consistency"]}
    assert (view["on_time"], view["span"]) == (told(found["keys"])["on_time"], (120, 150))
    assert {label for label, one in found.items() if one.is_view} == {"probe=items"}, "of all events"


def test_the_view_of_a_replica_while_an_action_was_on() -> None:
    events = due(50, 120, 150, 300)
    for seen in events:
        shown = (seen.intended_ns - START) // T + 10
        where = (None, "eu" if seen.seq % 2 else "us")
        seen.parts = tuple(part(0, name, VISIBLE, (shown, shown), (shown, shown)) for name in where)
    asked = plan(Slice("there", replica="eu", during="outage"), Slice("probe=items", probe=0))
    found = fold(asked, events, markers=TWICE).slices
    assert (found["there"].ledger["scheduled"], found["there"].ledger["visible"]) == (2, 1)
    assert {label: one.is_view for label, one in found.items()} == {
        "there": False, "probe=items": True, "replica=us": True, "replica=eu": True,
    }  # fmt: skip


def test_what_was_out_of_order_while_an_action_was_on_counts_there() -> None:
    """The first of each pair was applied after the second, which was sent when it was acked but not yet seen."""
    pairs = [
        event(2 * n + second, VISIBLE, at + 10 * second, at + 10 * second, at + 10 * second + 5, (at + 30, at + 40),
              (at + 30, at + 40), at + 90, key=f"a{n}", position=2 - second, tags="cold" if second else "cold=")
        for n, at in enumerate((10, 120, 450, 600)) for second in (0, 1)
    ]  # fmt: skip
    cut = plan(
        Slice("during", counted(counters=["out_of_order"]), during="outage"),
        Slice("after", after="outage"),
        Slice("cold", tag="cold", during="outage"),
        Slice("warm?", tag="cold?", during="outage"),
    )
    summary = fold(cut, pairs, markers=TWICE)
    assert (summary.ledger["out_of_order"], summary.known["order"]) == (4, 4)
    counts = {label: (one.ledger["out_of_order"], one.known.get("order", 0)) for label, one in summary.slices.items()}
    assert {label: counts[label] for label in ("during", "after")} == {"during": (2, 2), "after": (1, 1)}
    assert told(summary.slices["during"])["counters"] == {"out_of_order": {0: (4, 0, 2)}}
    # Of each pair the second is cold, whose order was owed, and it is the first that came too late.
    assert counts["cold"] == (0, 2)


def test_what_was_out_of_order_in_the_warm_up_counts_there() -> None:
    pairs = [
        event(2 * n + second, VISIBLE, at + 10 * second, at + 10 * second, at + 10 * second + 5, (at + 30, at + 40),
              (at + 30, at + 40), at + 90, key=f"a{n}", position=2 - second)
        for n, at in enumerate((10, 100, 200)) for second in (0, 1)
    ]  # fmt: skip
    summary = fold(ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, warmup=(0, 100 * T)), pairs)
    assert summary.warmup is not None
    counts = [
        (one.ledger["scheduled"], one.ledger["out_of_order"], one.known["order"]) for one in (summary, summary.warmup)
    ]
    assert counts == [(4, 2, 2), (2, 1, 1)]


def test_what_answers_told_of_the_events_of_the_warm_up_counts_there() -> None:
    events = due(10, 20, 200)
    for seen, tags in zip(events, ("cold", "cold\nregion=eu", "cold"), strict=True):
        seen.tags = tags
    summary = fold(ScenarioPlan("main", watched=True, deadline_ns=1_500 * T, warmup=(0, 100 * T)), events)
    assert summary.warmup is not None
    for scope, expected in ((summary, {"tag=cold": 1}), (summary.warmup, {"tag=cold": 2, "tag=region=eu": 1})):
        found = {label: part.ledger["visible"] for label, part in scope.slices.items()}
        assert found == expected
        assert {label: part.distributions["consistency"].count for label, part in scope.slices.items()} == expected


def test_the_tags_that_are_asked_for_are_those_of_all_scenarios_and_not_who_was_not_asked() -> None:
    plans = [
        plan(Slice("a", tag="cold"), Slice("b", tag="cold?"), Slice("c", key="a*"), Slice("d", tag="region=eu")),
        plan(Slice("e", tag="region=us", during="outage"), Slice("f", tag="slow?")),
        plan(),
    ]
    assert asked_tags(plans) == {"cold", "region=eu", "region=us"}


def test_what_answers_told_counts_while_an_action_was_on() -> None:
    tags = ("cold", "cold", "cold=", "", "region=eu", "cold\nregion=eu")
    moments = (50, 120, 130, 140, 150, 160)
    events = [due(at, tags=tag)[0] for at, tag in zip(moments, tags, strict=True)]
    for seq, seen in enumerate(events):
        seen.seq, seen.type = seq, seq % 2
    cut = plan(
        Slice("cold then", counted(counters=["acked"]), tag="cold", during="outage"),
        Slice("maybe then", tag="cold?", during="outage"),
        Slice("maybe", tag="cold?"),
        Slice("cold later", tag="cold", after="outage"),
        Slice("cold of one", tag="cold", event=1),
    )
    found = fold(cut, events, markers=TWICE).slices
    assert {label: one.ledger["scheduled"] for label, one in found.items()} == {
        "cold then": 2, "maybe then": 2, "maybe": 2, "cold later": 0, "cold of one": 2,
        # Nobody asked for these.
        "tag=cold": 3, "tag=region=eu": 2,
    }  # fmt: skip
    assert told(found["cold then"])["counters"] == {"acked": {0: (2, 2, 2)}}
    assert (found["cold then"].first_intended_ns, found["cold then"].last_intended_ns) == (120 * T, 160 * T)
    assert found["maybe then"].first_intended_ns == 140 * T
    told_all = fold(plan(Slice("tag=cold", tag="cold"), Slice("tag=cold?", tag="cold?")), events[:3]).slices
    assert list(told_all) == ["tag=cold"], "of whom nobody knows there is nobody"
    unasked = fold(plan(), events).slices
    assert {label: one.ledger["visible"] for label, one in unasked.items()} == {"tag=cold": 3, "tag=region=eu": 2}


@pytest.mark.parametrize("at_once", [1, 63, 64, 65, 300])
def test_parts_come_to_the_same_however_many_events_are_settled_at_once(at_once: int) -> None:
    events = due(*range(300))
    for seen in events:
        seen.key, seen.tags = f"a{seen.seq}", "cold" if seen.seq % 3 else ""
        seen.effects, seen.bytes_out = seen.seq % 4, seen.seq
    cut = plan(
        Slice("all", key="a*"), Slice("during", during="outage"), Slice("cold", tag="cold"), Slice("none", key="b*")
    )
    summary = fold(cut, events, markers=TWICE, at_once=at_once)
    whole, parts = told(summary), {label: told(one) for label, one in summary.slices.items()}
    del whole["slices"], whole["offered"]
    assert parts["all"] == whole
    assert whole["sums"] == {"bytes_out": 299 * 150}
    chosen = {"during": range(110, 201), "cold": [n for n in range(300) if n % 3]}
    for label, own in chosen.items():
        assert parts[label]["ledger"]["visible"] == parts[label]["ledger"]["scheduled"] == len(own)
        assert parts[label]["sums"] == {"bytes_out": sum(own)}
    assert parts["none"] == {}


def test_what_was_done_is_told_in_order_of_time() -> None:
    """Whichever action it was, and as it was last heard of."""
    recorder = Recorder([plan()], START)
    markers = [Marker("b", 0, (5, 6), (7, 8)), Marker("a", 0, (6, 7), (8, 9)), Marker("b", 1, (9, 10), None)]
    for marker in (markers[0], Marker("a", 0, (6, None)), markers[2], markers[1]):
        recorder.marked(marker)
    assert recorder.summary().markers == markers


def test_parts_keep_no_more_settled_events_than_a_handful_and_there_are_no_more_parts_than_tags() -> None:
    """However long the run is."""
    recorder = Recorder([plan(Slice("a", key="a*"), Slice("b", during="outage"), Slice("c", tag="cold"))], START)
    recorder.marked(outage(0, (0, 0)))

    def settled(first: int) -> None:
        events = due(*range(300), key="a", tags="cold\nregion=eu")
        for seen in events:
            seen.seq += first
        recorder.expect(0, [(seen.seq, seen.intended_ns, seen.key, seen.type) for seen in events])
        recorder.settle(events)

    def alive(kind: type) -> int:
        return sum(isinstance(one, kind) for one in gc.get_objects())

    events, parts = alive(Observation), alive(ScenarioSummary)
    for first in range(0, 900, 300):
        settled(first)
    assert alive(Observation) - events < 4 * 64
    assert alive(ScenarioSummary) - parts == 1, "that of the tag which nobody asked for"


def test_what_is_unknown_of_a_killed_run_may_have_had_any_tag() -> None:
    """Five events were outstanding when it was killed, two of them of the warm-up."""
    asked = counted(("end_to_end", 60), on_time=True)
    cut = ScenarioPlan(
        "main", watched=True, deadline_ns=1_500 * T, counted=asked, warmup=(0, 100 * T), phases=((0, 900 * T),),
        slices=(
            Slice("tag=cold", asked, tag="cold"), Slice("tag=cold?", asked, tag="cold?"),
            Slice("event=note", asked, event=1), Slice("tag=cold?,event=note", Counted(), tag="cold?", event=1),
        ),
    )  # fmt: skip
    recorder = Recorder([cut], START)
    recorder.unrecorded(0, 5, warmup=2)
    assert recorder.scheduled() == [(5, 2)]
    never = {"ledger": {"scheduled": 3, "in_doubt": 3}, "ends": {"end_to_end": ([0, 0, 0], [None, None, None])}}
    asked_for = {
        "thresholds": {"end_to_end": {60: (0, 0, {0: [3, 0, 0]})}},
        "on_time": {60: (0, 0, {0: [3, 0, 0]}), "ends": ([0, 0, 0], [None, None, None])},
    }
    everything = told(recorder.summary().scenarios["main"])
    nothing: dict[str, Any] = {"on_time": {60: (0, 0, {}), "ends": ([], [])}}
    assert everything.pop("slices") == {
        "tag=cold": nothing, "event=note": nothing,
        "tag=cold?": {**never, **asked_for}, "tag=cold?,event=note": never,
    }  # fmt: skip
    assert everything.pop("warmup") == {
        "ledger": {"scheduled": 2, "in_doubt": 2}, "ends": {"end_to_end": ([0, 0], [None, None])},
    }  # fmt: skip
    assert everything == {**never, **asked_for}


def test_an_unwatched_scenario_of_a_killed_run_has_no_end_to_end() -> None:
    cut = ScenarioPlan("main", watched=False, deadline_ns=0, slices=(Slice("tag=cold?", tag="cold?"),))
    recorder = Recorder([cut], START)
    recorder.unrecorded(0, 2)
    everything = told(recorder.summary().scenarios["main"])
    assert everything == {"ledger": {"scheduled": 2, "in_doubt": 2}}
