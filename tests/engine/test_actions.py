"""What is done to the system while a run goes on: when, how it is undone, and what is judged by it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evload.engine.control import RunControl
from evload.engine.undoing import Unguarded
from evload.errors import OutputError
from evload.ledger.reader import LedgerReader
from evload.model.marker import Marker
from evload.model.report import ObjectiveResult, Result
from evload.report.build import build_again
from evload.report.insights import connections
from evload.sandbox.settings import SandboxSettings
from evload.spi.activity import ActivitySettings
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from evload.testing.virtual_time import virtual_clock
from tests.engine.test_simulated_gauges import Depth

MS = 1_000_000
S = 1_000 * MS


class System:
    """A system whose read model takes 50 ms, and can be made to take 2 s; it notes when it was changed."""

    def __init__(self, **settings: Any) -> None:
        sandbox = SandboxSettings.model_validate({"workers": 50, "visibility": "50ms", **settings})
        self.memory = MemoryWorld(sandbox)
        self.changes: list[tuple[str, int]] = []

    def slow(self, **settings: Any) -> ActivitySettings:
        return self.memory.activity(lambda: self._change("slow", "2s"), **settings)

    def quick(self, **settings: Any) -> ActivitySettings:
        return self.memory.activity(lambda: self._change("quick", "50ms"), **settings)

    def noted(self, what: str, **settings: Any) -> ActivitySettings:
        return self.memory.activity(lambda: self._note(what), **settings)

    def _change(self, what: str, visibility: str) -> None:
        self.memory.world.change(virtual_clock().now_ns(), {"visibility": visibility})
        self._note(what)

    def _note(self, what: str) -> None:
        self.changes.append((what, virtual_clock().now_ns()))


def run(system: System, actions: Mapping[str, Mapping[str, Any]], **settings: Any) -> Simulated:
    load = settings.pop("load", ({"rate": "50/s", "for": "20s"},))
    return Simulation(system.memory, load=load, actions=actions, **settings).run()


def seconds(simulated: Simulated, system: System) -> list[tuple[str, float]]:
    """What was changed, and how long after the schedule began."""
    return [(what, round((at_ns - simulated.start_ns) / S, 1)) for what, at_ns in system.changes]


def judged(simulated: Simulated) -> list[ObjectiveResult]:
    return list(simulated.report.objectives)


def test_a_fault_is_done_and_undone_at_its_time() -> None:
    system = System()

    ran = run(system, {"slow-read-model": {"at": "5s", "for": "4s", "do": [system.slow()], "undo": [system.quick()]}})

    assert seconds(ran, system) == [("slow", 5.0), ("quick", 9.0)]
    (marker,) = ran.summary.markers
    assert (marker.action, marker.number, marker.error, marker.undo_error) == ("slow-read-model", 0, "", "")
    assert marker.done == (5 * S, 5 * S + 10 * MS)
    assert marker.undone == (9 * S, 9 * S + 10 * MS)


def test_what_was_due_meanwhile_is_judged_by_itself() -> None:
    system = System()
    name = "slow-read-model"
    fault = {"at": "5s", "for": "4s", "do": [system.slow()], "undo": [system.quick()]}
    objectives = [
        {"text": "p95(consistency) < 1s"},
        {"text": "max(consistency) < 3s", "during": name},
        {"text": "share(consistency < 1900ms) >= 10%", "during": name},
        {"text": "max(consistency) < 500ms", "after": name},
        {"text": "rate(lost) == 0%", "during": name},
    ]

    ran = run(system, {name: fault}, slos=objectives)

    whole, during, quick, after, lost = judged(ran)
    assert whole.result is Result.FAIL
    assert quick.result is Result.FAIL
    assert during.result is Result.PASS, during
    assert after.result is Result.PASS, after
    assert lost.result is Result.PASS, lost
    slices = ran.summary.scenarios["main"].slices
    # Due between 5.01 s and 9 s, every 20 ms; and from 9.01 s to 20 s.
    assert slices[f"during={name}"].ledger["scheduled"] == 200
    assert slices[f"during={name}"].ledger["acked"] == 200
    assert slices[f"after={name}"].ledger["scheduled"] == 549


def test_a_report_from_the_ledger_says_the_same_of_it(tmp_path: Path) -> None:
    system, path = System(), tmp_path / "events.sqlite"
    name = "slow-read-model"
    fault = {"at": "5s", "for": "4s", "do": [system.slow()], "undo": [system.quick(fails=2)]}
    objectives = [
        {"text": "p95(consistency) < 1s", "during": name},
        {"text": "p95(consistency) < 1s", "after": name, "event": "event"},
        {"text": "recovery(p95(consistency) < 1s) < 5s", "after": name},
        {"text": "max(queue_depth) < 10", "during": name},
        {"text": "share(consistency < 1s) >= 90%", "during": name, "probe": "memory"},
        {"text": "p95(consistency) < 1s", "during": name, "replica": "r1"},
    ]
    gauges = {"queue": Depth(world=system.memory, every="200ms")}

    ran = run(system, {name: fault}, slos=objectives, gauges=gauges, ledger_path=path)

    with LedgerReader(path) as ledger:
        again = build_again(ledger, tmp_path)
    assert again.summary.markers == ran.summary.markers
    assert [one.result for one in again.objectives] == [one.result for one in ran.report.objectives]
    assert list(again.objectives) == judged(ran)
    for label, part in ran.summary.scenarios["main"].slices.items():
        assert again.summary.scenarios["main"].slices[label].ledger == part.ledger, label
    first, *_ = judged(ran)
    assert first.result is Result.FAIL


def test_an_undo_that_fails_is_tried_again_until_it_is_undone() -> None:
    system = System()

    ran = run(system, {"fault": {"at": "2s", "for": "1s", "do": [system.slow()], "undo": [system.quick(fails=4)]}})

    (marker,) = ran.summary.markers
    assert marker.undo_error == ""
    # After pauses of 0.2, 0.4, 0.8 and 1.6 s, and five times 10 ms.
    assert marker.undone == (3 * S, 6 * S + 50 * MS)
    assert seconds(ran, system)[-1] == ("quick", 6.0)


def test_an_undo_that_never_succeeds_is_given_up_and_the_run_cant_pass() -> None:
    system = System()
    given_up = []

    class Kept(Unguarded):
        async def given_up(self, action: str, number: int, reason: str, *, goes_on: bool = False) -> None:
            given_up.append((action, number, reason, goes_on))

    undo = [system.quick(fails=10_000)]
    ran = run(system, {"fault": {"at": "2s", "for": "1s", "do": [system.slow()], "undo": undo}}, undoing=Kept())

    (marker,) = ran.summary.markers
    assert marker.undo_error == "change the world: the world can't be changed now"
    assert given_up == [("fault", 0, marker.undo_error, False)]
    assert marker.outer[1] is None
    assert ran.report.verdict is Result.INCONCLUSIVE


def test_what_cant_be_done_is_undone_all_the_same_and_nothing_is_said_of_it() -> None:
    system = System()
    name = "fault"
    fault = {"at": "2s", "for": "5s", "do": [system.slow(fails=1, in_doubt=True)], "undo": [system.quick()]}
    objectives = ["errors == 0", {"text": "max(consistency) < 1s", "during": name}]

    ran = run(system, {name: fault}, slos=objectives)

    assert seconds(ran, system) == [("slow", 2.0), ("quick", 2.0)]
    errors, during = judged(ran)
    assert errors.result is Result.PASS
    assert during.result is Result.INCONCLUSIVE
    assert during.note == "fault could not be done: change the world: the world can't be changed now"
    assert ran.report.verdict is Result.INCONCLUSIVE


def test_several_steps_are_done_in_their_order_and_all_are_undone_whatever_becomes_of_one() -> None:
    system = System()
    do = [system.noted("one"), system.noted("two", fails=1), system.noted("three")]
    undo = [system.noted("not one", fails=1), system.noted("not two")]

    ran = run(system, {"fault": {"at": "1s", "for": "1s", "do": do, "undo": undo}})

    assert [what for what, _ in system.changes] == ["one", "not two", "not one"]
    assert ran.summary.markers[0].error


def test_nothing_is_done_that_nobody_could_undo() -> None:
    system = System()

    class Full(Unguarded):
        async def promise(self, action: str, number: int, values: Mapping[str, Any] = {}) -> None:
            raise OutputError("undo.jsonl can't be written: no space left on device")

    fault = {"at": "1s", "for": "1s", "do": [system.slow()], "undo": [system.quick()]}
    ran = run(system, {"fault": fault}, slos=["errors == 0"], undoing=Full())

    assert system.changes == []
    (marker,) = ran.summary.markers
    assert marker.error == "it is not done: undo.jsonl can't be written: no space left on device"
    assert ran.report.verdict is Result.INCONCLUSIVE


def test_it_is_promised_before_it_is_done_and_kept_once_it_is_undone() -> None:
    system = System()
    told: list[str] = []

    class Told(Unguarded):
        async def promise(self, action: str, number: int, values: Mapping[str, Any] = {}) -> None:
            told.append(f"promise {action} {number} {len(system.changes)}")

        async def done(self, action: str, number: int, values: Mapping[str, Any] = {}) -> None:
            told.append(f"done {action} {number} {len(system.changes)} {values.get('pod')}")

        async def kept(self, action: str, number: int) -> None:
            told.append(f"kept {action} {number} {len(system.changes)}")

    fault = {"at": "1s", "for": "1s", "do": [system.slow(captures={"pod": "p-7"})], "undo": [system.quick()]}
    run(system, {"fault": fault}, undoing=Told())

    assert told == ["promise fault 0 0", "done fault 0 1 p-7", "kept fault 0 2"]


def test_again_and_again_with_nothing_to_undo() -> None:
    system = System()
    kill = {"from": "2s", "to": "8s", "every": "2s", "do": [system.noted("kill")]}
    ran = run(system, {"pods": kill}, slos=[{"text": "lost == 0", "during": "pods"}])

    assert seconds(ran, system) == [("kill", 2.0), ("kill", 4.0), ("kill", 6.0)]
    assert [one.inner for one in ran.summary.markers] == [
        (2 * S + 10 * MS, 4 * S),
        (4 * S + 10 * MS, 6 * S),
        (6 * S + 10 * MS, 8 * S),
    ]
    assert judged(ran)[0].result is Result.PASS


def test_it_waits_for_a_gauge() -> None:
    # 40 events/s for a worker that does ten: the queue grows by 30 in a second.
    system = System(workers=1, service="100ms")
    help_ = system.memory.activity(
        lambda: system.memory.world.change(virtual_clock().now_ns(), {"workers": 50, "service": "1ms"})
    )
    gauges = {"queue": Depth(world=system.memory, every="500ms")}

    ran = run(
        system,
        {"scale-up": {"when": "queue_depth > 100", "do": [help_]}},
        load=({"rate": "40/s", "for": "10s"},),
        gauges=gauges,
    )

    (marker,) = ran.summary.markers
    assert 3 * S < marker.done[0] < 4.7 * S
    assert not marker.lasting
    assert ran.summary.total().ledger["visible"] == 400


def test_what_waited_in_vain_is_said() -> None:
    system = System()
    gauges = {"queue": Depth(world=system.memory, every="500ms")}
    action = {"when": "queue_depth > 1000000", "do": [system.slow()], "undo": [system.quick()]}

    ran = run(
        system, {"late": action}, gauges=gauges, slos=[{"text": "max(consistency) < 1s", "during": "late"}],
        load=({"rate": "50/s", "for": "3s"},),
    )  # fmt: skip

    assert ran.summary.markers == []
    assert judged(ran)[0].result is Result.INCONCLUSIVE
    assert judged(ran)[0].note == "late never began"
    assert "action late: it never began" in ran.summary.vitals.remarks
    assert "Action late: it never began." in [one.sentence for one in connections(ran.summary.vitals)]


def test_one_after_another_and_after_a_scenario() -> None:
    system = System()
    actions = {
        "third": {"after": "second", "do": [system.noted("third")]},
        "first": {"at": "1s", "for": "2s", "do": [system.noted("first")], "undo": [system.noted("not first")]},
        "second": {
            "after": "first",
            "for": "3s",
            "do": [system.noted("second")],
            "undo": [system.noted("not second")],
        },
        "last": {"after": "main", "do": [system.noted("last")]},
    }

    ran = run(system, actions, load=({"rate": "50/s", "for": "10s"},))

    assert seconds(ran, system) == [
        ("first", 1.0), ("not first", 3.0), ("second", 3.0), ("not second", 6.0), ("third", 6.0), ("last", 10.0),
    ]  # fmt: skip


def test_without_a_length_it_is_on_until_the_load_is_over_and_the_run_goes_on_to_look() -> None:
    system = System()
    fault = {"at": "5s", "do": [system.slow()], "undo": [system.quick()]}

    ran = run(system, {"fault": fault}, load=({"rate": "50/s", "for": "10s"},), observe="30s")

    assert seconds(ran, system) == [("slow", 5.0), ("quick", 10.0)]
    assert ran.summary.vitals.duration_ns >= 40 * S


def interrupts(*after_s: float) -> Any:
    def at(control: RunControl) -> None:
        loop = asyncio.get_running_loop()
        for number, when in enumerate(after_s):
            loop.call_later(when, control.abort if number else control.stop)

    return at


@pytest.mark.parametrize("at_s", [1.06, 3.06, 5.055, 7.06, 9.055, 12.0])
def test_an_interrupt_at_whatever_moment_leaves_nothing_on(at_s: float) -> None:
    """50 ms after the start the schedule begins; the fault is done at 5 s and undone at 9 s."""
    system = System()
    fault = {"at": "5s", "for": "4s", "do": [system.slow(takes="20ms")], "undo": [system.quick(takes="20ms")]}

    ran = run(system, {"fault": fault}, at=interrupts(at_s))

    done = [what for what, _ in system.changes]
    assert done == ([] if at_s < 5 else ["slow", "quick"])
    assert ran.summary.vitals.interrupted
    for marker in ran.summary.markers:
        assert marker.undo_error == ""
        assert marker.undone is not None
        assert marker.undone[1] is not None
        assert marker.undone[1] < max(9.1, at_s + 0.1) * S


def test_a_second_interrupt_in_the_middle_of_doing_undoes_it_too() -> None:
    system = System()
    fault = {"at": "1s", "for": "4s", "do": [system.slow(takes="3s")], "undo": [system.quick()]}

    ran = run(system, {"fault": fault}, at=interrupts(1.5, 1.6))

    # What was under way was cut off in the middle: whether it had its effect nobody knows.
    assert [what for what, _ in system.changes] == ["quick"]
    assert ran.summary.markers[0].error == "the run ended before it was done"


def test_whoever_is_in_a_hurry_waits_for_one_more_try_and_leaves_the_rest_to_the_guardian() -> None:
    system = System()
    left = []

    class Guarded(Unguarded):
        async def given_up(self, action: str, number: int, reason: str, *, goes_on: bool = False) -> None:
            left.append((action, goes_on))

    fault = {"at": "1s", "for": "1s", "do": [system.slow()], "undo": [system.quick(fails=10_000)]}
    ran = run(system, {"fault": fault}, at=interrupts(1.5, 10.0), undoing=Guarded(), settle_ns=60 * S)

    assert left == [("fault", True)]
    assert ran.summary.vitals.duration_ns < 11 * S


def test_a_mistake_of_somebody_else_is_a_failure_and_no_more() -> None:
    system = System()

    def broken() -> None:
        raise RuntimeError("no such pod")

    fault = {"at": "1s", "for": "1s", "do": [system.memory.activity(broken)], "undo": [system.quick()]}
    ran = run(system, {"fault": fault})

    assert ran.summary.markers[0].error == "change the world: no such pod"
    assert [what for what, _ in system.changes] == ["quick"]


def test_gauges_are_judged_by_what_was_sampled_meanwhile_and_after() -> None:
    """Without workers the queue grows by 50 in a second, from 5 s to 9 s, and is empty a moment after."""
    system = System()
    world = system.memory.world
    stop = system.memory.activity(lambda: world.change(virtual_clock().now_ns(), {"workers": 0}))
    go = system.memory.activity(lambda: world.change(virtual_clock().now_ns(), {"workers": 50}))
    name = "workers-down"
    objectives = [
        {"text": "max(queue_depth) < 100", "during": name},
        {"text": "min(queue_depth) >= 1", "during": name},
        {"text": "last(queue_depth) <= 5", "after": name},
        {"text": "max(queue_depth) <= 5", "after": name},
        {"text": "drain(queue_depth <= 5) < 2s", "after": name},
        {"text": "stretch(queue_depth > 20) < 2s", "during": name},
        {"text": "recovery(p95(consistency) < 1s) < 5s", "after": name},
        {"text": "growth(queue_depth) < 100000", "after": name},
        {"text": "reach(queue_depth <= 5) < 2s", "after": name},
    ]
    gauges = {"queue": Depth(world=system.memory, every="200ms", takes_ms=2)}

    ran = run(
        system, {name: {"at": "5s", "for": "4s", "do": [stop], "undo": [go]}}, slos=objectives, gauges=gauges,
        ledger_path=None,
    )  # fmt: skip
    deepest, _, last, _, drain, stretch, recovery, growth, reach = judged(ran)

    assert deepest.result is Result.FAIL
    assert 190 <= (deepest.observed[0] or 0) <= 200
    assert last.result is Result.PASS
    assert drain.result is Result.PASS, drain
    assert stretch.result is Result.FAIL
    low, high = stretch.observed
    assert low is not None
    assert high is not None
    # 20 events wait from 5.4 s on; it ends with the fault, though the queue is full until then.
    assert low <= 9.0 - 5.4 <= high
    assert high <= 4.0
    assert recovery.result is Result.PASS, recovery
    assert growth.result in (Result.PASS, Result.WARN), growth
    assert reach.result is Result.PASS, reach


def test_markers_of_parts_of_a_run_add_up() -> None:
    first, second = Marker("a", 0, (1, 2)), Marker("b", 0, (0, 5), (7, 8))
    system = System()
    one = run(system, {}, load=({"rate": "50/s", "for": "1s"},)).summary
    other = run(system, {}, load=({"rate": "50/s", "for": "1s"},)).summary
    one.markers, other.markers = [first], [second, first]

    one.merge(other)

    assert one.markers == [second, first]
