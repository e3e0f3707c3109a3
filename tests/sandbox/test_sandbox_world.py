"""The sandbox's pipeline, held against a brute-force simulation and against what was planted."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.errors import OutputError, UsageError
from evload.sandbox.delay import (
    Bimodal,
    Constant,
    DelayDistribution,
    Exponential,
    Lognormal,
    Uniform,
    delay_text,
    parse_delay,
)
from evload.sandbox.settings import SandboxSettings
from evload.sandbox.truth import Truth, TruthFile, read_truth
from evload.sandbox.world import World

MS = 1_000_000
S = 1_000_000_000


def world(**values: Any) -> World:
    """A world in which nothing takes time unless told."""
    return World(SandboxSettings.model_validate({"service": "0s", "visibility": "0s", **values}))


def feed(target: World, count: int, *, every_ns: int = MS, keys: int = 0) -> list[Truth]:
    """Accept `count` events, let all happen, and return their truths in order of acceptance."""
    for number in range(count):
        target.accept(number * every_ns, f"e{number}", f"k{number % keys}" if keys else None)
    target.queue(count * every_ns + 3600 * S)
    return list(target.truths())


# The queue


def brute_force(
    events: list[tuple[int, str | None]],
    services: list[int],
    workers: int,
    down: tuple[int, int],
    change: tuple[int, int],
) -> list[tuple[int, int]]:
    """When each event is begun and ended, tick by tick: the first one that may be taken goes first."""
    begun: dict[int, int] = {}
    ended: dict[int, int] = {}
    tick = 0
    while len(begun) < len(events):
        changed_at, changed_to = change
        capacity = max(workers, changed_to) if tick == changed_at else workers if tick < changed_at else changed_to
        for number, (at, key) in enumerate(events):
            busy = sum(1 for other in begun if ended[other] > tick)
            waits_for = [other for other in range(number) if key is not None and events[other][1] == key]
            if (
                number not in begun
                and at <= tick
                and not down[0] <= tick < down[1]
                and busy < capacity
                and all(other in ended and ended[other] <= tick for other in waits_for)
            ):
                begun[number] = tick
                ended[number] = tick + services[number]
        tick += 1
    return [(begun[number], ended[number]) for number in range(len(events))]


arrivals = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([None, "a", "b"])), min_size=1, max_size=25).map(
    lambda gaps: [(sum(gap for gap, _ in gaps[: n + 1]), key) for n, (_, key) in enumerate(gaps)]
)


@settings(max_examples=150, deadline=None)
@given(
    events=arrivals,
    workers=st.integers(1, 3),
    seed=st.integers(0, 1000),
    down=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    change=st.tuples(st.integers(0, 30), st.integers(1, 4)),
)
def test_queue_equals_brute_force(
    events: list[tuple[int, str | None]], workers: int, seed: int, down: tuple[int, int], change: tuple[int, int]
) -> None:
    fault = {"what": "workers-down", "at": f"{down[0]}ns", "lasting": f"{down[1]}ns"}
    subject = world(seed=seed, workers=workers, service={"uniform": {"from": "1ns", "to": "7ns"}}, faults=[fault])
    changed_at, changed_to = change
    for number, (at, key) in enumerate(events):
        if at > changed_at:
            subject.change(changed_at, {"workers": changed_to})
            changed_at = 1 << 60
        subject.accept(at, f"e{number}", key)
    if changed_at < 1 << 60:
        subject.change(changed_at, {"workers": changed_to})
    subject.queue(10_000)
    stamps = [(truth.consumed_ns, truth.processed_ns) for truth in subject.truths()]
    services = [end - begin for begin, end in stamps if begin is not None and end is not None]
    origin = events[0][0]
    assert stamps == brute_force(events, services, workers, (origin + down[0], origin + sum(down)), change)


EVERYTHING: dict[str, Any] = {
    "workers": 2,
    "service": {"exponential": {"mean": "40ms"}},
    "visibility": {"lognormal": {"median": "50ms", "p99": "400ms"}},
    "replicas": [
        {"name": "a", "lag": {"uniform": {"from": "0s", "to": "10ms"}}},
        {"name": "b", "stale": {"share": "20%", "lasting": "1s"}},
    ],
    "loss": "10%",
    "duplicates": {"share": "10%", "after": "20ms"},
    "swaps": "30%",
    "regressions": {"share": "10%", "after": {"exponential": {"mean": "1s"}}, "lasting": "2s"},
    "faults": [
        {"what": "workers-down", "at": "200ms", "lasting": "300ms"},
        {"what": "slow-workers", "at": "600ms", "lasting": "400ms", "factor": 3},
    ],
}


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.tuples(st.integers(0, 400), st.sampled_from([None, "a", "b"])), min_size=1, max_size=30),
    looks=st.lists(st.integers(0, 12_000), max_size=30),
    change_at=st.integers(0, 5000),
)
def test_looking_changes_nothing(gaps: list[tuple[int, str | None]], looks: list[int], change_at: int) -> None:
    calls: list[tuple[int, int, str | None]] = [(change_at, 0, None)]
    at = 0
    for gap, key in gaps:
        at += gap
        calls.append((at, 1, key))
    outcomes = []
    for extra in ([], [(look, 2, None) for look in looks]):
        subject = world(**EVERYTHING)
        accepted = 0
        for at_ms, what, key in sorted([*calls, *extra], key=lambda call: call[:2]):
            if what == 0:
                subject.change(at_ms * MS, {"workers": 1, "service": "100ms"})
            elif what == 1:
                subject.accept(at_ms * MS, f"e{accepted}", key)
                accepted += 1
            else:
                subject.read(at_ms * MS, "a", f"e{at_ms % 7}")
                subject.queue(at_ms * MS)
        subject.queue(3600 * S)
        outcomes.append(list(subject.truths()))
    assert outcomes[0] == outcomes[1]
    assert all(truth.processed_ns is not None for truth in outcomes[0])


def test_one_worker_serves_one_at_a_time() -> None:
    subject = world(workers=1, service="10ms", visibility="5ms")
    subject.accept(0, "a")
    subject.accept(2 * MS, "b")
    assert subject.queue(3 * MS) == (1, 2, 1)
    first, second = subject.truths()
    assert (first.consumed_ns, first.processed_ns, first.visible_ns) == (0, 10 * MS, {"r1": 15 * MS})
    assert (second.consumed_ns, second.processed_ns, second.visible_ns) == (None, None, {"r1": None})
    assert subject.queue(10 * MS) == (0, 2, 2)
    assert list(subject.truths())[1].visible_ns == {"r1": 25 * MS}


def test_events_with_one_key_wait_for_each_other_and_hold_up_nobody_else() -> None:
    subject = world(workers=3, service="10ms")
    for number, key in enumerate(["k", "k", None, "k"]):
        subject.accept(number * MS, f"e{number}", key)
    subject.queue(S)
    assert [truth.consumed_ns for truth in subject.truths()] == [0, 10 * MS, 2 * MS, 20 * MS]
    assert [truth.position for truth in subject.truths()] == [0, 2, 1, 3]


def test_events_released_at_the_same_moment_start_no_earlier() -> None:
    subject = world(workers=4, service="10ms")
    for key in ("a", "b", "a", "b"):
        subject.accept(0, f"{key}{subject.queue(0).received}", key)
    subject.queue(S)
    assert [truth.consumed_ns for truth in subject.truths()] == [0, 0, 10 * MS, 10 * MS]


def test_a_key_starts_afresh_when_its_last_event_is_done() -> None:
    subject = world(workers=2, service="10ms")
    subject.accept(0, "a", "k")
    subject.accept(50 * MS, "b", "k")
    subject.queue(S)
    assert [truth.consumed_ns for truth in subject.truths()] == [0, 50 * MS]


def test_an_id_accepted_again_is_deduplicated() -> None:
    subject = world()
    subject.accept(0, "a")
    subject.accept(MS, "a")
    assert subject.queue(2 * MS) == (0, 2, 2)
    assert subject.effects(S, "a") == 1
    assert len(list(subject.truths())) == 1


# Reading


def test_read_shows_the_item_from_the_moment_it_is_visible() -> None:
    subject = world(service="10ms", visibility="5ms")
    subject.accept(0, "a")
    assert subject.read(15 * MS - 1, "r1", "a") is None
    item = subject.read(15 * MS, "r1", "a")
    assert item is not None
    assert (item.effects, item.position, item.consumed_ns, item.processed_ns) == (1, 0, 0, 10 * MS)
    assert subject.read(S, "r1", "nobody") is None


def test_each_replica_lags_by_its_own() -> None:
    lags = {"a": "100ms", "b": "100ms", "c": "2s"}
    subject = world(visibility="50ms", replicas=[{"name": name, "lag": lag} for name, lag in lags.items()])
    subject.accept(0, "x")
    (truth,) = subject.truths() if subject.queue(0) else ()
    assert truth.visible_ns == {"a": 150 * MS, "b": 150 * MS, "c": 2050 * MS}
    assert (truth.first_visible_ns, truth.stable_visible_ns) == (150 * MS, 2050 * MS)
    assert [subject.read(S, name, "x") is not None for name in "abc"] == [True, True, False]


def test_a_stale_replica_shows_some_events_later() -> None:
    subject = world(replicas=[{"name": "a"}, {"name": "b", "stale": {"share": "25%", "lasting": "3s"}}])
    truths = feed(subject, 4000)
    delays = Counter((t.visible_ns["b"] or 0) - (t.visible_ns["a"] or 0) for t in truths)
    assert set(delays) == {0, 3 * S}
    assert delays[3 * S] == pytest.approx(1000, abs=100)


def test_readers_are_spread_over_the_replicas_and_change_no_event() -> None:
    values = {"replicas": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "loss": "20%"}
    quiet, busy = world(**values), world(**values)
    names = Counter(busy.next_replica() for _ in range(3000))
    assert set(names) == {"a", "b", "c"}
    assert all(count == pytest.approx(1000, abs=120) for count in names.values())
    assert feed(quiet, 500) == feed(busy, 500)


def test_effects_are_counted_apart_from_what_replicas_show() -> None:
    subject = world(service="10ms", visibility="1h", duplicates={"share": "100%", "after": "50ms"})
    subject.accept(0, "a")
    assert [subject.effects(at, "a") for at in (0, 10 * MS - 1, 10 * MS, 60 * MS)] == [0, 0, 1, 2]
    assert subject.effects(60 * MS, "nobody") == 0


# What is planted


def test_lost_events_are_consumed_and_never_shown() -> None:
    subject = world(loss="5%")
    truths = feed(subject, 4000)
    lost = [truth for truth in truths if truth.lost]
    assert len(lost) == pytest.approx(200, abs=45)
    for truth in truths:
        shown = subject.read(7200 * S, "r1", truth.correlation_id) is not None
        assert shown is not truth.lost
    assert all(t.visible_ns == {"r1": None} and t.effects == 0 and t.position is None for t in lost)
    assert all(t.processed_ns is not None for t in lost)


def test_duplicated_events_have_two_effects_from_their_time_on() -> None:
    subject = world(duplicates={"share": "5%", "after": "2s"})
    truths = feed(subject, 4000)
    twice = [truth for truth in truths if truth.effects == 2]
    assert len(twice) == pytest.approx(200, abs=45)
    fresh = world(duplicates={"share": "100%", "after": "2s"})
    fresh.accept(0, "a")
    before, after = fresh.read(2 * S - 1, "r1", "a"), fresh.read(2 * S, "r1", "a")
    assert before is not None
    assert after is not None
    assert (before.effects, after.effects) == (1, 2)
    assert before.position == after.position


def test_a_regression_hides_an_event_everywhere_for_a_while() -> None:
    subject = world(
        regressions={"share": "100%", "after": "1s", "lasting": "2s"},
        replicas=[{"name": "a"}, {"name": "b", "lag": "500ms"}],
    )
    subject.accept(0, "x")
    subject.queue(0)
    (truth,) = subject.truths()
    assert truth.hidden == ((1500 * MS, 3500 * MS),)
    assert truth.stable_visible_ns == 3500 * MS
    for name, first in (("a", 0), ("b", 500 * MS)):
        moments = [first, 1500 * MS - 1, 1500 * MS, 3500 * MS - 1, 3500 * MS]
        assert [subject.read(at, name, "x") is not None for at in moments] == [True, True, False, False, True]


def test_a_swapped_event_is_applied_after_the_next_of_its_key() -> None:
    subject = world(swaps="100%")
    for number in range(3):
        subject.accept(number * 10 * MS, f"e{number}", "k")
    subject.queue(5 * S)
    assert [(t.position, t.swapped) for t in subject.truths()] == [(1, True), (0, False), (2, False)]
    assert [t.consumed_ns for t in subject.truths()] == [10 * MS, 10 * MS, 20 * MS + S]


def test_an_event_without_a_key_is_never_swapped() -> None:
    assert not any(truth.swapped for truth in feed(world(swaps="100%"), 100))


def test_swaps_equal_the_inversions_in_the_order_of_application() -> None:
    truths = feed(world(swaps="10%", loss="5%", workers=3, service="2ms"), 4000, keys=20)
    by_key = defaultdict(list)
    for truth in truths:
        if truth.position is not None:
            by_key[truth.key].append(truth.position)
    inversions = sum(1 for positions in by_key.values() for earlier, later in pairwise(positions) if earlier > later)
    swapped = sum(truth.swapped for truth in truths)
    assert inversions == swapped
    assert swapped > 200


def test_without_a_plant_the_order_of_each_key_is_kept() -> None:
    truths = feed(world(workers=5, service={"exponential": {"mean": "20ms"}}), 1000, keys=7)
    for key in range(7):
        own = [truth for truth in truths if truth.key == f"k{key}"]
        assert [t.position for t in own] == sorted(t.position for t in own if t.position is not None)
        assert [t.processed_ns for t in own] == sorted(t.processed_ns for t in own if t.processed_ns is not None)


def test_a_lost_event_is_nothing_else_beside() -> None:
    everything = {"share": "100%"}
    truths = feed(world(loss="50%", swaps="100%", duplicates=everything, regressions=everything), 1000, keys=5)
    lost = [truth for truth in truths if truth.lost]
    assert len(lost) == pytest.approx(500, abs=80)
    assert all(not truth.swapped and not truth.hidden and truth.effects == 0 for truth in lost)


def test_one_plant_does_not_reshuffle_another() -> None:
    base = {"duplicates": {"share": "3%"}, "visibility": {"lognormal": {"median": "150ms", "p99": "900ms"}}}
    plain = feed(world(**base), 2000)
    more = feed(
        world(**base, loss="5%", regressions={"share": "5%"}, replicas=[{"name": "r1"}, {"name": "r2"}]), 2000
    )
    for one, other in zip(plain, more, strict=True):
        if not other.lost:
            assert (one.effects, one.visible_ns["r1"]) == (other.effects, other.visible_ns["r1"])


def test_same_seed_same_truth_other_seed_other_truth() -> None:
    first, again, other = (feed(world(**EVERYTHING, seed=seed), 300, keys=9) for seed in (5, 5, 6))
    assert first == again
    assert first != other


# Faults and changes


def test_faults_count_from_the_first_accepted_event() -> None:
    faults = [
        {"what": "broker-down", "at": "1s", "lasting": "2s"},
        {"what": "read-model-down", "at": "0s", "lasting": "1s"},
        {"what": "slow-broker", "at": "5s", "lasting": "1s", "delay": "30ms"},
    ]
    subject = world(faults=faults)
    assert subject.read_model_open(10 * S)
    subject.accept(10 * S, "a")
    moments = [10 * S, 11 * S - 1, 11 * S, 13 * S - 1, 13 * S]
    assert [subject.broker_open(at) for at in moments] == [True, True, False, False, True]
    assert [subject.read_model_open(at) for at in moments] == [False, False, True, True, True]
    assert [subject.answer_delay_ns(at) for at in (15 * S - 1, 15 * S, 16 * S)] == [0, 30 * MS, 0]


def test_workers_down_lets_the_queue_grow_and_work_begun_end() -> None:
    fault = {"what": "workers-down", "at": "5ms", "lasting": "1s"}
    subject = world(workers=1, service="10ms", faults=[fault])
    for number in range(3):
        subject.accept(number * MS, f"e{number}")
    assert subject.queue(900 * MS).depth == 2
    subject.queue(2 * S)
    assert [t.consumed_ns for t in subject.truths()] == [0, 1005 * MS, 1015 * MS]
    assert next(subject.truths()).processed_ns == 10 * MS


def test_outages_that_overlap_add_up_in_any_order() -> None:
    outages = [{"what": "workers-down", "at": at, "lasting": "1s"} for at in ("900ms", "5ms")]
    subject = world(faults=outages)
    subject.accept(0, "a")
    subject.accept(10 * MS, "b")
    subject.queue(5 * S)
    assert [t.consumed_ns for t in subject.truths()] == [0, 1900 * MS]


def test_slow_workers_take_their_factor_longer() -> None:
    fault = {"what": "slow-workers", "at": "5ms", "lasting": "10ms", "factor": 10}
    subject = world(workers=9, service="2ms", faults=[fault])
    for at in (0, 5, 15):
        subject.accept(at * MS, f"e{at}")
    subject.queue(S)
    assert [(t.processed_ns or 0) - (t.consumed_ns or 0) for t in subject.truths()] == [2 * MS, 20 * MS, 2 * MS]


def test_a_change_applies_to_what_is_still_queued() -> None:
    subject = world(workers=1, service="10ms")
    for number in range(3):
        subject.accept(0, f"e{number}")
    subject.change(5 * MS, {"service": "100ms"})
    subject.change(20 * MS, {"workers": 2})
    subject.queue(S)
    assert [(t.consumed_ns, t.processed_ns) for t in subject.truths()] == [
        (0, 10 * MS), (10 * MS, 110 * MS), (20 * MS, 120 * MS),
    ]  # fmt: skip


def test_no_workers_means_no_work_until_they_are_back() -> None:
    subject = world(workers=2)
    subject.change(0, {"workers": 0})
    subject.accept(MS, "a")
    assert subject.queue(3600 * S) == (1, 1, 0)
    subject.change(3600 * S, {"workers": 1})
    assert subject.queue(3600 * S) == (0, 1, 1)


def test_a_fault_can_be_planted_while_it_runs() -> None:
    subject = world()
    subject.accept(0, "a")
    subject.change(S, {"faults": [{"what": "broker-down", "at": "0s", "lasting": "1h"}]})
    assert not subject.broker_open(S)
    subject.change(2 * S, {"faults": []})
    assert subject.broker_open(2 * S)


@pytest.mark.parametrize(
    ("patch", "wrong", "right"),
    [
        ({"service": "500"}, "service: '500' is not a duration", "250ms"),
        ({"worker": 1}, "worker: unknown key", "evload schema"),
        ({"workers": -1}, "workers: -1 can't be used", "greater than or equal to 0"),
        ({"loss": 0.5}, "loss: 0.5 is not a share", "95%"),
        ({"seed": 2}, "the seed can't change", "start another one"),
        ({"replicas": [{"name": "other"}]}, "replicas can't come, go or be renamed", "list r1"),
        ({"replicas": [{"name": "a b"}]}, "replicas.0.name: 'a b' can't be used", "pattern"),
        ({"replicas": [{"name": "a"}, {"name": "a"}]}, "two replicas are called 'a'", "a name of its own"),
        ({"replicas": []}, "replicas: the read model needs a replica", "at least one"),
        (
            {"visibility": {"lognormal": {"median": "1s"}}},
            "visibility: lognormal needs exactly median and p99",
            "write",
        ),
        ({"visibility": {"gamma": {}}}, "is not a delay", "lognormal"),
        ({"faults": [{"what": "slow-workers", "at": "0s", "lasting": "1s"}]}, "needs a factor", "factor: 10"),
        (
            {"faults": [{"what": "broker-down", "at": "0s", "lasting": "1s", "delay": "1s"}]},
            "broker-down has no delay",
            "leave it out",
        ),
        ({"faults": [{"what": "broker-down", "at": "0s"}]}, "faults.0.lasting: is missing", "add it"),
        ({"faults": [{"what": "broker-down", "lasting": "1s"}]}, "faults.0.lasting: lasting without at", "at: 0s"),
        ([], "[] can't be used", "dictionary"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(patch: object, wrong: str, right: str) -> None:
    subject = world()
    before = subject.settings
    with pytest.raises(ValueError) as caught:
        subject.change(0, patch)
    text = str(caught.value)
    assert wrong in text
    assert right in text
    assert "\n" not in text
    assert subject.settings == before


# Memory and the truth file


def test_old_events_go_with_their_truth() -> None:
    subject = world(retain="10s", regressions={"share": "100%", "after": "1s", "lasting": "2s"})
    subject.accept(0, "a", "k")
    subject.accept(5 * S, "b", "k")
    assert subject.let_go(13 * S - 1) == []
    assert [truth.correlation_id for truth in subject.let_go(13 * S)] == ["a"]
    assert subject.read(13 * S, "r1", "a") is None
    assert subject.read(13 * S, "r1", "b") is not None
    assert [truth.correlation_id for truth in subject.truths()] == ["b"]
    assert [truth.correlation_id for truth in subject.let_go(S * 100)] == ["b"]
    subject.accept(100 * S, "c", "k")
    assert subject.queue(100 * S) == (0, 3, 3)


def test_events_let_go_leave_no_memory_behind() -> None:
    subject = world(retain="0s")
    count = 5000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            subject.accept(number, f"e{number}", f"k{number}")
        held, _ = tracemalloc.get_traced_memory()
        assert len(subject.let_go(S)) == count
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < (held - before) / 3, "only the tables of the dicts may stay"


def test_what_is_still_queued_is_not_let_go() -> None:
    subject = world(retain="1s", workers=0)
    subject.accept(0, "a")
    assert subject.let_go(3600 * S) == []


def test_truth_file_gives_back_what_was_written(tmp_path: Path) -> None:
    truths = feed(world(**EVERYTHING), 200, keys=5)
    path = tmp_path / "truth.jsonl"
    with TruthFile(path, wall_ns=1, monotonic_ns=2) as file:
        file.write(truths[:50])
        file.write(truths[50:])
    assert path.read_text().splitlines()[0] == '{"format":1,"wall_ns":1,"monotonic_ns":2}'
    assert read_truth(path) == truths


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (None, "can't read the truth"),
        ("", ":1: not a line of a truth file"),
        ('{"format":2}\n', "truth format 2 is unknown"),
        ('{"format":1}\n{"correlation_id":"a","ke', ":2: not a line of a truth file"),
        ('{"format":1}\n{"correlation_id":"a"}\n', ":2: not a line of a truth file"),
        ("[]\n", ":1: not a line of a truth file"),
    ],
)
def test_a_broken_truth_file_is_one_line(tmp_path: Path, text: str | None, wrong: str) -> None:
    path = tmp_path / "truth.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_truth(path)
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truth_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"can't write the truth to .*; choose another file"):
        TruthFile(tmp_path / "missing" / "truth.jsonl", wall_ns=0, monotonic_ns=0)


# Delays


@pytest.mark.parametrize(
    ("written", "delay", "median", "p99"),
    [
        ("100ms", Constant(100 * MS), 100 * MS, 100 * MS),
        (
            {"lognormal": {"median": "150ms", "p99": "900ms"}},
            Lognormal(150 * MS, 900 * MS),
            150 * MS,
            900 * MS,
        ),
        (
            {"bimodal": {"fast": "50ms", "slow": "2s", "slow_share": "5%"}},
            Bimodal(50 * MS, 2 * S, 0.05),
            50 * MS,
            2 * S,
        ),
        ({"uniform": {"from": "1s", "to": "2s"}}, Uniform(S, 2 * S), 1.5 * S, 1.99 * S),
        (
            {"exponential": {"mean": "100ms"}},
            Exponential(100 * MS),
            100 * MS * math.log(2),
            100 * MS * math.log(100),
        ),
    ],
)
def test_delays_have_their_percentiles(written: Any, delay: DelayDistribution, median: float, p99: float) -> None:
    assert parse_delay(written) == delay
    assert delay_text(delay) == written
    assert delay.quantile(0.5) == pytest.approx(median, rel=1e-9)
    assert delay.quantile(0.99) == pytest.approx(p99, rel=1e-9)
    rng = random.Random(1)
    drawn = sorted(delay.draw(rng) for _ in range(40_000))
    assert drawn[20_000] == pytest.approx(median, rel=0.03)
    assert drawn[39_600] == pytest.approx(p99, rel=0.06)
    assert delay.quantile(0.0) >= 0


def test_a_bimodal_delay_is_slow_for_its_share() -> None:
    rng = random.Random(1)
    delay = parse_delay({"bimodal": {"fast": "50ms", "slow": "2s", "slow_share": "5%"}})
    drawn = Counter(delay.draw(rng) for _ in range(40_000))
    assert drawn[2 * S] == pytest.approx(2000, abs=150)
    assert drawn[50 * MS] == 40_000 - drawn[2 * S]


@pytest.mark.parametrize(
    ("written", "wrong", "right"),
    [
        (5, "5 is not a delay", "100ms"),
        (True, "True is not a delay", "100ms"),
        ("5", "'5' is not a duration", "250ms"),
        ({}, "is not a delay", "100ms"),
        ({"lognormal": {"median": "1s", "p99": "2s"}, "uniform": {}}, "is not a delay", "100ms"),
        ({"lognormal": {"median": "1s", "p99": "500ms"}}, "at most its p99", "median: 150ms"),
        ({"lognormal": {"median": "0s", "p99": "500ms"}}, "above 0", "median: 150ms"),
        ({"lognormal": "1s"}, "needs exactly median and p99", "median: 150ms"),
        ({"uniform": {"from": "2s", "to": "1s"}}, "must not end before it starts", "from: 1s"),
        ({"bimodal": {"fast": "2s", "slow": "1s", "slow_share": "5%"}}, "must not be slower", "fast: 50ms"),
        ({"bimodal": {"fast": "1s", "slow": "2s", "slow_share": 5}}, "5 is not a share", "95%"),
    ],
)
def test_what_is_not_a_delay_is_refused(written: object, wrong: str, right: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_delay(written)
    what, _, cure = str(caught.value).partition("; ")
    assert wrong in what
    assert right in cure


def test_settings_survive_json() -> None:
    subject = SandboxSettings.model_validate({**EVERYTHING, "loss": "0.3%"})
    assert SandboxSettings.model_validate_json(subject.model_dump_json()) == subject
