"""What a fold makes of iterations of journeys, worked out by hand; and that parts of a run add up to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evload.ledger import replay
from evload.model.iteration import COUNTERS, KEYS, SUMS, End, Iteration
from evload.model.marker import Marker
from evload.model.summary import ScenarioSummary, Summary, merged
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from evload.summary.recorder import Recorder
from tests.rigs.by_hand import NEVER, START, STEP, UNOBSERVED, T, counted, event, told
from tests.rigs.ledgers import begun, read_back

JOURNEYS = ((0, "order"), (2, "browse"))
NAMES = ("order", "poll", "browse")
"""The scenario has no part in the journey between the two."""


def iteration(
    number: int, due: int, over: int, end: End, journey: int = 0, step: str = "", **more: object
) -> Iteration:
    """Due and over at some ticks since the schedule began."""
    begun_ns = START + due * T if end <= End.CUT_OFF else None
    return Iteration(0, journey, number, None, START + due * T, begun_ns, START + over * T, end, step, **more)  # type: ignore[arg-type]


def plan(*slices: Slice, all_of_it: Counted = Counted(), warmup: tuple[int, int] | None = None) -> ScenarioPlan:  # noqa: B008
    warm = None if warmup is None else (warmup[0] * T, warmup[1] * T)
    return ScenarioPlan("main", False, 0, all_of_it, slices, journeys=JOURNEYS, warmup=warm)


def fold(
    about: ScenarioPlan, iterations: Sequence[Iteration], *, markers: Sequence[Marker] = (), events: int = 0
) -> Summary:
    recorder = Recorder([about], START)
    for marker in markers:
        recorder.marked(marker)
    seen = [event(n, UNOBSERVED, n, n, n + 5, NEVER, NEVER, n + 9) for n in range(events)]
    recorder.expect(0, [(one.seq, one.intended_ns, None, 0) for one in seen])
    recorder.settle(seen)
    recorder.iterated(iterations)
    return recorder.summary()


ONE_OF_EACH = [
    iteration(0, 10, 110, End.COMPLETED),
    iteration(1, 20, 320, End.COMPLETED),
    iteration(2, 30, 90, End.REFUSED, step="ship", reason="409 is a no"),
    iteration(3, 40, 45, End.FAILED, step="pay", reason="answered 503", failed_checks=("same payment",)),
    iteration(4, 50, 500, End.CUT_OFF, step="pay", reason="the run came to its end"),
    iteration(5, 60, 500, End.UNSENT),
    iteration(6, 70, 90, End.STARVED, reason="nothing in jobs for 1s"),
    iteration(7, 15, 16, End.COMPLETED, journey=2),
]


def test_iterations_are_counted_by_how_they_ended_and_only_those_that_completed_have_a_time() -> None:
    found = told(fold(plan(), ONE_OF_EACH).scenarios["main"])
    assert found["slices"] == {
        "journey=order": {
            "ledger": {
                "scheduled": 7, "started": 5, "completed": 2, "refused": 1, "failed": 1, "cut_off": 1, "unsent": 1,
                "starved": 1,
            },
            # Of what was cut off it is known that it took 450 ticks at least; the refusal isn't among them.
            "ends": {"journey": ([100, 300, 450, None, None, None], [100, 300, None, None, None, None])},
            "exact": {"journey"},
            "tallies": {
                "refused_at": {"ship": 1},
                "failed_at": {"pay": 1},
                "cut_off_at": {"pay": 1},
                "reasons": {
                    "ship: 409 is a no": 1, "pay: answered 503": 1, "pay: the run came to its end": 1,
                    "nothing in jobs for 1s": 1,
                },
                "checks": {"same payment": 1},
            },
            "span": (10, 70),
        },
        "journey=browse": {
            "ledger": {"scheduled": 1, "started": 1, "completed": 1},
            "ends": {"journey": ([1], [1])},
            "exact": {"journey"},
            "span": (15, 15),
        },
    }  # fmt: skip
    assert "ledger" not in found, "no event is counted for them"


def test_both_sums_close_whatever_becomes_of_iterations() -> None:
    (order, browse) = fold(plan(), ONE_OF_EACH).scenarios["main"].journeys().values()
    assert tuple(order.ledger) == tuple(browse.ledger) == KEYS
    for one in (order, browse):
        for whole, parts in SUMS.items():
            assert one.ledger[whole] == sum(one.ledger[part] for part in parts)
    assert set(COUNTERS) < {"due", *KEYS}


def test_events_and_iterations_of_a_scenario_are_apart() -> None:
    about = plan(all_of_it=counted(("publish", 5), ("journey", 100), counters=("failed", "errors")))
    found = fold(about, ONE_OF_EACH, events=3).scenarios["main"]
    whole = told(found)
    assert whole["ledger"] == {"scheduled": 3, "acked": 3, "unobserved": 3}
    assert whole["thresholds"] == {"publish": {5: (3, 0, {0: [3, 3, 0]})}}
    assert set(whole["counters"]) == {"errors"}
    assert list(found.journeys()) == ["order", "browse"]
    assert found.portions() == {}
    assert Summary({"main": found}).events() == {}


def test_limits_and_windows_are_counted_exactly_for_a_journey_and_for_all() -> None:
    """What is asked of all journeys is counted of each; what is asked of one is counted of that alone."""
    about = plan(
        Slice("journey=order", counted(("journey", 100), steps=(("journey", 300),), counters=("failed",)),
              journey="order"),
        all_of_it=counted(("journey", 200), counters=("due", "started")),
    )  # fmt: skip
    late = iteration(8, STEP + 1, STEP + 2, End.FAILED, step="pay", reason="answered 503")
    found = told(fold(about, [*ONE_OF_EACH, late]).scenarios["main"])["slices"]
    assert found["journey=order"]["thresholds"] == {
        "journey": {100: (1, 6, {0: [7, 1, 6]}), 200: (1, 6, {0: [7, 1, 6]})}
    }
    assert found["journey=order"]["steps"] == {"journey": {300: {0: (6, 2, 4), 1: (1, 0, 1)}}}
    assert found["journey=order"]["counters"] == {
        "due": {0: (7, 0, 7), 1: (1, 0, 1)}, "started": {0: (7, 0, 5), 1: (1, 0, 1)},
        "failed": {0: (7, 0, 1), 1: (1, 0, 1)}
    }  # fmt: skip
    assert found["journey=browse"]["thresholds"] == {"journey": {200: (1, 0, {0: [1, 1, 0]})}}
    assert set(found["journey=browse"]["counters"]) == {"due", "started"}


def test_what_was_due_in_the_warm_up_is_apart() -> None:
    found = told(fold(plan(warmup=(0, 40)), ONE_OF_EACH).scenarios["main"])
    order, warm = found["slices"]["journey=order"], found["warmup"]["slices"]
    assert order["ledger"] == {
        "scheduled": 4, "started": 2, "failed": 1, "cut_off": 1, "unsent": 1, "starved": 1
    }  # fmt: skip
    assert warm["journey=order"]["ledger"] == {"scheduled": 3, "started": 3, "completed": 2, "refused": 1}
    assert warm["journey=order"]["ends"] == {"journey": ([100, 300], [100, 300])}
    assert warm["journey=browse"]["ledger"] == {"scheduled": 1, "started": 1, "completed": 1}
    assert "ledger" not in found["slices"]["journey=browse"]


def test_iterations_due_while_something_was_on() -> None:
    """Asked of one journey, or of all of them together with what is asked of events."""
    about = plan(
        Slice("journey=order,during=slow", counted(("journey", 100)), journey="order", during="slow"),
        Slice("during=slow", counted(("publish", 5), ("journey", 200)), during="slow"),
        Slice("journey=order,after=slow", counted(), journey="order", after="slow"),
        Slice("event=x", counted(("journey", 7)), event=1),
    )
    marker = Marker("slow", 0, (14 * T, 15 * T), (45 * T, 46 * T))
    found = told(fold(about, ONE_OF_EACH, markers=[marker]).scenarios["main"])["slices"]
    assert found["journey=order,during=slow"]["ledger"] == {
        "scheduled": 3, "started": 3, "completed": 1, "refused": 1, "failed": 1
    }  # fmt: skip
    assert set(found["journey=order,during=slow"]["thresholds"]["journey"]) == {100, 200}
    assert found["journey=browse,during=slow"]["ledger"]["scheduled"] == 1
    assert found["journey=order,after=slow"]["ledger"]["scheduled"] == 3
    assert "journey=browse,after=slow" not in found
    assert "ledger" not in found["during=slow"]


def test_reasons_that_are_always_new_are_told_apart_up_to_fifty() -> None:
    many = [iteration(n, n, n + 1, End.FAILED, step="pay", reason=f"order {n % 60} is gone") for n in range(130)]
    (order, _) = fold(plan(), many).scenarios["main"].journeys().values()
    reasons = order.tallies["reasons"]
    assert len(reasons) == 51
    assert (reasons["pay: order 0 is gone"], reasons["pay: order 49 is gone"]) == (3, 2)
    assert reasons["others"] == 20
    assert sum(reasons.values()) == order.tallies["failed_at"]["pay"] == 130


# -- what adds up ----------------------------------------------------------------------------------------------------

PLAN = plan(
    Slice(
        "journey=order", counted(("journey", 100), steps=(("journey", 300),), counters=("failed",)), journey="order"
    ),
    Slice("journey=order,during=slow", counted(("journey", 50)), journey="order", during="slow"),
    all_of_it=counted(("journey", 200), counters=("completed",)),
    warmup=(0, 300),
)
MARKERS = [Marker("slow", 0, (400 * T, 410 * T), (700 * T, 710 * T))]


@st.composite
def iterations(draw: st.DrawFn) -> list[Iteration]:
    """Iterations in the order in which they end."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        due, end = draw(st.integers(0, 1000)), draw(st.sampled_from(End))
        over = due + draw(st.integers(0, 400))
        found.append(
            iteration(
                number, due, over, end, draw(st.sampled_from([0, 2])),
                "" if end in (End.COMPLETED, End.UNSENT, End.STARVED) else draw(st.sampled_from(["pay", "ship"])),
                reason="" if end is End.COMPLETED else draw(st.sampled_from(["", "503", "409"])),
                failed_checks=draw(st.sampled_from([(), ("same",), ("same", "sum")])),
                checks=draw(st.sampled_from([(), (("pay: same", True),), (("pay: same", False), ("a: b", True))])),
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: one.ended_ns)


@given(iterations(), st.integers(1, 3))
def test_parts_of_a_run_add_up_to_the_whole(told_of: list[Iteration], count: int) -> None:
    whole = fold(PLAN, told_of, markers=MARKERS)
    together = Summary()
    for part in range(count):
        together.merge(fold(PLAN, told_of[part::count], markers=MARKERS))
    assert together == whole
    order = whole.scenarios["main"].journeys()["order"]
    pieces = [fold(PLAN, told_of[part::2], markers=MARKERS).scenarios["main"].journeys()["order"] for part in (0, 1)]
    assert {name: n for name, n in merged(pieces).ledger.items() if n} == {
        name: n for name, n in order.ledger.items() if n
    }


def through_the_ledger(path: Path, told_of: Sequence[Iteration], portion: int = 3) -> Summary:
    facts = replay.meta(
        "r-1", "by hand", Criteria((), SelfCheckPolicy(), {}), plans=[PLAN], events=["order.pay"], probes=(),
        gauges={}, segment=(0, 1), stages=(), journeys=NAMES,
    )  # fmt: skip
    path.unlink(missing_ok=True)
    ledger = begun(path, START, {**facts, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False)
    for marker in MARKERS:
        ledger.marked(marker)
    for first in range(0, len(told_of), portion):
        ledger.iterated(told_of[first : first + portion])
    ledger.note(START, {"scheduled": [0], "vitals": {}, "final": True})
    ledger.close()
    return read_back(path).summary


def test_the_fold_of_the_ledger_is_that_of_the_run(tmp_path: Path) -> None:
    many = [
        iteration(n, due, due + n * 7 % 90, End(1 + n % 6), (0, 2)[n % 5 == 0], "pay" if n % 6 in (1, 2, 3) else "",
                  reason=f"order {n} is gone" if n % 6 else "", failed_checks=("same",) if n % 4 == 2 else ())
        for n, due in enumerate(range(0, 1000, 7))
    ]  # fmt: skip
    # Told as they ended, which isn't the order of their numbers: so it shows which reasons are told apart.
    many.sort(key=lambda one: (one.ended_ns, -one.number))
    live = fold(PLAN, many, markers=MARKERS)
    assert len(live.scenarios["main"].journeys()["order"].tallies["reasons"]) == 51
    assert through_the_ledger(tmp_path / "events.sqlite", many).scenarios == live.scenarios


def test_a_scenario_without_journeys_has_none() -> None:
    found = Recorder([ScenarioPlan("main", False, 0)], START).summary().scenarios["main"]
    assert found == ScenarioSummary()
    assert found.journeys() == {}
