"""What a run costs against a price table applied by hand to usage that is planted, in whole runs in virtual time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from evload.engine.control import RunControl
from evload.ledger.reader import LedgerReader
from evload.model.report import Result
from evload.report.build import build_again
from evload.report.document import document
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.rigs.priced import Planted

RAMP_S, HOLD_S, IDLE_S = 10, 20, 10
LOAD = (
    {"from": "0/s", "to": "50/s", "for": f"{RAMP_S}s"},
    {"rate": "50/s", "for": f"{HOLD_S}s"},
    {"idle": f"{IDLE_S}s"},
)
RUN_S = RAMP_S + HOLD_S + IDLE_S
BY_HAND = 2 * 0.0000166667 + 3 * 0.04493 / 3600 + 50 * 1e-6 + 0.29 / 3600
"""What a second of the hold costs: 2 GB-seconds, 3 tasks, 50 requests, and the database."""
EVENTS = RAMP_S * 50 // 2 + HOLD_S * 50
"""1,250: the area below the load."""


def gb_seconds(at_s: float) -> float:
    """0.5 in each second of the ramp, 2 of the hold, and nothing after it."""
    ramp, hold = min(at_s, RAMP_S), min(max(0.0, at_s - RAMP_S), HOLD_S)
    return 100 + 0.5 * ramp + 2 * hold


def tasks(at_s: float) -> float:
    return 3 if RAMP_S <= at_s < RAMP_S + HOLD_S else 1


def planted(at: Callable[[float], dict[str, float] | None] | None = None, **more: Any) -> dict[str, Planted]:
    known = at or (lambda s: {"gb_seconds": gb_seconds(s)})
    return {
        "lambda": Planted(names=("gb_seconds",), at=known, counter=True, **more),
        "ecs": Planted(names=("tasks",), at=lambda s: {"tasks": tasks(s)}, **more),
    }


PRICES: Mapping[str, Mapping[str, str]] = {
    "compute": {"usage": "rise(gb_seconds)", "price": "0.0000166667"},
    "tasks": {"usage": "integral(tasks)", "price": "0.04493", "per": "1h"},
    "requests": {"usage": "sent", "price": "1.00", "per": "1000000"},
    "database": {"usage": "time", "price": "0.29", "per": "1h"},
}


def run(tmp_path: Path, **more: Any) -> Simulated:
    settings: dict[str, Any] = {
        "memory": MemoryWorld(), "load": LOAD, "watched": False, "gauges": planted(), "costs": PRICES,
        "slos": ["cost(1000 events) < 10"], "ledger_path": tmp_path / "events.sqlite",
    }  # fmt: skip
    return Simulation(**(settings | more)).run()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `summary.json` says of the costs of one run."""
    return costs_of(run(tmp_path_factory.mktemp("run")))


def costs_of(done: Simulated) -> dict[str, Any]:
    told: dict[str, Any] = document(done.report)["costs"]
    return told


def test_each_service_costs_what_the_price_table_says_to_the_cent(told: dict[str, Any]) -> None:
    """45 GB-seconds (5 + 40), and tasks of 10 + 60 + 10 task-seconds, less or more by the step in a sampling gap; and
    more by what the last one may have lasted from the last sample to the end of the run."""
    services = told["services"]
    compute = services["compute"]
    assert compute["used"] == pytest.approx([45, 45])
    assert compute["run"] == pytest.approx([45 * 0.0000166667] * 2, rel=1e-9)
    low, high = services["tasks"]["used"]
    took, _ = services["database"]["used"]
    left = took - RUN_S
    assert low <= 10 + 60 + 10 + left <= high
    assert high - low == pytest.approx(2 * 0.5 * (3 - 1) + left), "a gap of 500 ms at each of two steps, and the end"
    assert services["tasks"]["run"] == pytest.approx([low * 0.04493 / 3600, high * 0.04493 / 3600])
    assert services["requests"]["run"] == pytest.approx([EVENTS * 1e-6] * 2)
    assert RUN_S <= took < RUN_S + 0.5
    assert services["database"]["run"] == pytest.approx([took * 0.29 / 3600] * 2)


def test_the_total_and_the_cost_of_a_thousand_events_add_up_all_services(told: dict[str, Any]) -> None:
    runs = [one["run"] for one in told["services"].values()]
    total = told["total"]
    assert total["run"] == pytest.approx([sum(one[end] for one in runs) for end in (0, 1)])
    assert total["per_1000_events"] == pytest.approx([end * 1000 / EVENTS for end in total["run"]])


def test_a_day_and_a_month_are_those_of_the_longest_hold_alone(told: dict[str, Any]) -> None:
    """Neither the ramp nor the idle time is in them."""
    assert told["total"]["day"] == pytest.approx([BY_HAND * 86_400] * 2, rel=1e-9)
    assert told["total"]["month"] == pytest.approx([BY_HAND * 86_400 * 30] * 2, rel=1e-9)
    assert told["hold"] == {"scenario": "main", "start": 10.0, "end": 30.0, "events": 1000, "rate": 50.0}


def test_samples_that_take_time_leave_a_bracket_that_holds_the_truth(tmp_path: Path) -> None:
    told = costs_of(run(tmp_path, gauges=planted(takes_ns=100_000_000)))
    low, high = told["total"]["day"]
    by_hand = BY_HAND * 86_400
    assert low < by_hand < high
    assert high < 1.05 * low


def test_events_in_doubt_may_be_the_systems_or_not(tmp_path: Path) -> None:
    done = run(tmp_path, memory=MemoryWorld(in_doubt=0.1))
    ledger, total = done.summary.total().ledger, costs_of(done)["total"]
    assert ledger["in_doubt"] > 50
    low, high = total["run"]
    most, fewest = ledger["acked"] + ledger["in_doubt"], ledger["acked"]
    assert total["per_1000_events"] == pytest.approx([low * 1000 / most, high * 1000 / fewest])


def test_where_no_event_was_acked_nobody_knows_what_one_costs(tmp_path: Path) -> None:
    done = run(tmp_path, memory=MemoryWorld(rejected=1.0))
    total = costs_of(done)["total"]
    assert total["run"] is not None
    assert total["per_1000_events"] is None
    assert total["unknown"] == "no event was acked"
    (objective,) = done.report.objectives
    assert (objective.result, objective.note) == (Result.INCONCLUSIVE, "no event was acked")


def test_requests_reads_and_bytes_are_evloads_own_counters(tmp_path: Path) -> None:
    """Of each the exact number over the run; per second of the hold by what was noted once a second."""
    names = ("acked", "requests", "reads", "bytes_out")
    load = [{"rate": "20/s", "for": "20s"}]
    prices = {name: {"usage": name, "price": "1"} for name in names}
    done = Simulation(MemoryWorld(), load, costs=prices, ledger_path=tmp_path / "events.sqlite").run()
    services = costs_of(done)["services"]
    vitals, total = done.summary.vitals, done.summary.total()
    assert services["acked"]["run"] == [400, 400]
    assert services["requests"]["run"] == [vitals.read_requests] * 2
    assert services["reads"]["run"] == [vitals.event_reads] * 2
    with LedgerReader(tmp_path / "events.sqlite") as ledger:
        ((sent,),) = ledger.rows("SELECT sum(bytes_out) FROM events")
    assert services["bytes_out"]["run"] == [sent, sent]
    assert total.sums["bytes_out"] == sent
    assert 400 * 150 < sent < 400 * 1000, "a CloudEvent of some hundred bytes"
    assert services["acked"]["day"] == [20 * 86_400] * 2
    # The reads go on after the load, so of the hold they are fewer than of the run.
    low, high = services["reads"]["day"]
    assert 0 < low <= high < vitals.event_reads / 20 * 86_400


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (lambda s: None, r"none of 8\d samples says anything of it"),
        (lambda s: {"gb_seconds": gb_seconds(s)} if s < 20 else None, "samples could not be taken"),
        (lambda s: {}, r"none of 8\d samples says anything of it"),
    ],
)
def test_a_usage_that_nobody_knows_is_a_cost_that_nobody_knows(
    at: Callable[[float], dict[str, float] | None], reason: str, tmp_path: Path
) -> None:
    done = run(tmp_path, gauges=planted(at), slos=["cost(1000 events) < 10", "cost(month) < 1000000"])
    told = costs_of(done)
    assert told["services"]["compute"]["run"] is None
    assert told["total"]["run"] is told["total"]["day"] is None
    assert "compute: " in told["total"]["unknown"]
    for objective in done.report.objectives:
        assert objective.result is Result.INCONCLUSIVE
        assert objective.observed == (None, None)
        assert re.search(rf"^compute: .*{reason}", objective.note)
    # What is known of the others is still told.
    assert told["services"]["requests"]["run"] == pytest.approx([EVENTS * 1e-6] * 2)


def test_a_counter_that_begins_with_the_first_event_has_counted_nothing_before(tmp_path: Path) -> None:
    """It isn't there in the ramp, and the 40 of the hold are all that it counts. What a gauge was, nobody knows."""
    later = planted(lambda s: {"gb_seconds": gb_seconds(s) - gb_seconds(10)} if s >= 10 else {})
    later["ecs"] = Planted(names=("tasks",), at=lambda s: {"tasks": 3.0} if s >= 10 else {})
    services = costs_of(run(tmp_path, gauges=later))["services"]
    assert services["compute"]["used"] == pytest.approx([40, 40])
    assert services["compute"]["day"] == pytest.approx([2 * 0.0000166667 * 86_400] * 2)
    assert services["tasks"]["run"] is None
    assert services["tasks"]["unknown"] == "20 samples had no value"


def test_that_a_counter_began_anew_is_told_beside_its_cost(tmp_path: Path) -> None:
    """What it counted between the last sample before that and then is in no sample."""
    anew = planted(lambda s: {"gb_seconds": gb_seconds(s) if s < 20.2 else 2 * (s - 20.2)})
    compute = costs_of(run(tmp_path, gauges=anew))["services"]["compute"]
    assert compute["note"] == "it began anew once, and what it counted right before that is not in it"
    assert compute["used"] == pytest.approx([5 + 20 + 2 * (40 - 20.2)] * 2, abs=0.5)


def test_a_counter_that_is_away_in_the_hold_and_was_there_before_says_nothing_of_it(tmp_path: Path) -> None:
    away = planted(lambda s: {} if 9 < s < 31 else {"gb_seconds": gb_seconds(s)})
    compute = costs_of(run(tmp_path, gauges=away))["services"]["compute"]
    assert compute["day"] is None
    assert compute["not_projected"] == "it wasn't there in the longest hold, and had been before"


def test_samples_that_say_too_little_of_the_run_say_nothing_of_its_cost(tmp_path: Path) -> None:
    """One every 15 s: the last 10 s of 40 are in none of them, and in the hold are two, at 15 and at 25 s of 20."""
    every = {name: gauge.model_copy(update={"every": 15 * 10**9}) for name, gauge in planted().items()}
    told = costs_of(run(tmp_path, gauges=every))
    compute = told["services"]["compute"]
    assert compute["run"] is None
    assert compute["unknown"] == "its samples cover 75% of the run; it takes 90%"
    assert compute["not_projected"] == "it takes two samples in the longest hold, and there is one"


def test_a_run_that_is_interrupted_is_projected_by_what_came_of_its_hold(tmp_path: Path) -> None:
    def stop(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(20, control.stop)

    told = costs_of(run(tmp_path, at=stop))
    assert told["hold"]["start"] == 10
    assert 18 < told["hold"]["end"] <= 20
    assert told["hold"]["rate"] == pytest.approx(50, rel=0.02)
    assert told["total"]["day"] == pytest.approx([BY_HAND * 86_400] * 2, rel=0.02)


def test_a_report_made_again_from_the_ledger_costs_the_same(tmp_path: Path) -> None:
    done = run(tmp_path)
    with LedgerReader(tmp_path / "events.sqlite") as ledger:
        again = build_again(ledger, tmp_path)
    assert orjson.dumps(document(again)["costs"]) == orjson.dumps(costs_of(done))
