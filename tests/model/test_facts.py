"""Facts are declared once: what a row says is what ledger, counts, objectives and reports do."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from evload.config import load_text
from evload.errors import ConfigError
from evload.formats.markdown import markdown
from evload.ledger.schema import COLUMNS
from evload.model.facts import (
    COUNTERS,
    DEFAULTS,
    FACT_OF,
    FACTS,
    LEDGER_KEYS,
    STATES,
    TROUBLES,
    ByValue,
    EventFacts,
    amount_of,
    joined,
    told_as,
    where,
)
from evload.model.states import Outcome, Seen, State
from evload.model.summary import ScenarioSummary
from evload.model.travel import Event, Observation, Read, Receipt
from evload.objectives.grammar import parse
from evload.report.document import as_json
from evload.spi import Capabilities, Settle
from evload.testing import MemoryWorld
from evload.testing.memory_world import MemoryProducerSettings
from evload.testing.simulation import Simulated, Simulation
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.tracker import Tracker
from tests.rigs.ledgers import begun, read_back

S = 1_000_000_000


def test_every_fact_is_a_field_with_a_row() -> None:
    assert [field.name for field in dataclasses.fields(EventFacts)] == list(FACTS)
    assert {field.name for field in dataclasses.fields(Observation)} > FACTS.keys()
    assert all(fact.meaning for fact in FACTS.values())
    assert set(COLUMNS) > {name for name, fact in FACTS.items() if fact.column}


def test_the_counts_of_a_summary_are_those_of_the_rows() -> None:
    assert ("scheduled", *STATES, *COUNTERS) == LEDGER_KEYS
    assert set(COUNTERS) == {
        "duplicated", "regressions", "out_of_order", "order_unknown", "recovered", "resent", "non_monotonic",
        "unread_writes", "retried", "appeared",
    }  # fmt: skip
    assert FACT_OF["duplicated"] == "effects"
    assert FACT_OF["unread_writes"] == "session"
    assert set(TROUBLES) == {
        "lost", "regressed", "duplicated", "out_of_order", "unsent", "rejected", "returned", "in_doubt", "appeared"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "counted", "changes"),
    [
        ("duplicated", 1, {"effects": 2}), ("duplicated", 0, {"effects": 1}), ("duplicated", 0, {}),
        ("regressions", 1, {"regressions": 3}), ("resent", 1, {"resent": True}), ("resent", 0, {}),
        ("appeared", 1, {"appeared": 1}), ("appeared", 0, {"appeared": 0}), ("appeared", 0, {"appeared": 2}),
        ("non_monotonic", 1, {"non_monotonic": True}), ("unread_writes", 1, {"session": Seen.ABSENT}),
        ("unread_writes", 0, {"session": Seen.FAILED}), ("unread_writes", 0, {"session": Seen.PRESENT}),
        ("status(409)", 1, {"status": 409}), ("status(409)", 0, {"status": 404}), ("status(4xx)", 1, {"status": 404}),
        ("status(4xx)", 0, {"status": 500}), ("status(409)", 0, {}), ("errors", 0, {}), ("visible", 1, {}),
        ("lost", 0, {}), ("sent", 1, {}), ("acked", 1, {}), ("recovered", 0, {"first_upper_ns": 1}),
    ],
)  # fmt: skip
def test_what_an_event_counts_for(name: str, counted: int, changes: dict[str, Any]) -> None:
    seen = Observation(0, 0, 0, State.VISIBLE, 0, **changes)
    assert amount_of(name)(seen) == counted


@pytest.mark.parametrize(
    ("name", "counted", "state", "changes"),
    [
        ("errors", 1, State.UNSENT, {}), ("sent", 0, State.UNSENT, {}), ("acked", 0, State.REJECTED, {}),
        ("recovered", 1, State.IN_DOUBT, {"first_upper_ns": 1}), ("recovered", 0, State.IN_DOUBT, {}),
        ("in_doubt", 1, State.IN_DOUBT, {}), ("errors", 1, State.IN_DOUBT, {}),
    ],
)  # fmt: skip
def test_what_an_event_that_was_not_acked_counts_for(
    name: str, counted: int, state: State, changes: dict[str, Any]
) -> None:
    assert amount_of(name)(Observation(0, 0, 0, state, 0, **changes)) == counted


def test_sql_and_the_fold_count_the_same_rows(tmp_path: Path) -> None:
    states = [State.VISIBLE, State.LOST, State.REJECTED, State.IN_DOUBT, State.REGRESSED, State.UNSENT]
    events = [
        Observation(
            n, 0, 0, states[n % 6], n, sent_ns=n, first_upper_ns=n if n % 5 else None, effects=(None, 1, 2)[n % 3],
            regressions=n % 2, resent=n % 4 == 0, non_monotonic=n % 3 == 1, session=(None, *Seen)[n % 4],
        )
        for n in range(60)
    ]  # fmt: skip
    path = tmp_path / "events.sqlite"
    ledger = begun(path, 0, {}, threaded=False)
    ledger.append(events)
    ledger.close()
    counted = [name for name in (*COUNTERS, *STATES, "errors") if name != "acked" and where(name) is not None]
    assert {"duplicated", "recovered", "unread_writes", "errors", "lost"} <= set(counted)
    with sqlite3.connect(path) as db:
        for name in counted:
            found = where(name)
            assert found is not None
            ((rows,),) = db.execute(f"SELECT count(*) FROM events WHERE {found[0]}")
            assert rows == sum(amount_of(name)(seen) > 0 for seen in events), name


@pytest.mark.parametrize(
    ("name", "known", "more", "together"),
    [
        ("effects", 2, 1, 2), ("effects", None, 1, 1), ("effects", 2, None, 2), ("regressions", 2, 3, 5),
        ("position", 7, 3, 7), ("position", None, 3, 3), ("resent", False, True, True), ("status", 202, 409, 202),
        ("staleness", 0, 4, 4),
    ],
)  # fmt: skip
def test_what_several_reads_say_of_one_event(name: str, known: Any, more: Any, together: Any) -> None:
    assert joined(name, known, more) == together


def test_facts_of_receipts_and_reads_reach_the_observation() -> None:
    """Whatever is declared can be told by anybody on the way, without anything between having to know of it."""
    plan = ReadingPlan(5 * S, 1, 0.1, None, 1.0, 0, 0)
    tracker = Tracker([{0: plan, 1: plan}], 2)
    tracker.expect([Event(0, "id", 0, 0, 0, None, b"", (), ())], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 1, facts={"status": 202})], 1)
    for reader, staleness in ((0, 3), (1, 8)):
        tracker.due(reader, S, 1)
        facts = {"staleness": staleness}
        tracker.observe(reader, [Read(0, Seen.PRESENT, S, S, effects=reader + 1, facts=facts)], S)
    (seen,) = tracker.take()
    assert (seen.status, seen.staleness, seen.effects) == (202, 8, 2)


def test_counters_by_value() -> None:
    assert ByValue.named("status( 409 )") == ByValue("status", "409")
    assert ByValue.named("lost(3)") is None
    assert ByValue.named("status") is None
    assert told_as("status(5xx)") == "status"
    assert told_as("order_unknown") == told_as("out_of_order") == "position"
    assert told_as("duplicated") == "effects"
    assert told_as("lost") == ""
    assert DEFAULTS["status"] is None
    objective = parse("rate(status(5XX)) < 0.1% in any 30s")
    assert (objective.subject, objective.needs_probe) == ("status(5xx)", False)
    assert parse("status(409) == 0").subject == "status(409)"
    for text in ("status(abc) == 0", "status(4x) == 0", "rate(status(x)) < 1%"):
        with pytest.raises(ValueError, match=r"names no value; write for example status\(409\) or status\(5xx\)"):
            parse(text)
    with pytest.raises(ValueError, match="there is no counter 'status' here"):
        parse("status == 0")


class AnsweredWith(MemoryProducerSettings):
    """A producer whose target answers every tenth event with 409, and the others with 202."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tells=frozenset({"status"}))

    def open(self, surroundings: Any) -> Any:
        opening = super().open(surroundings)

        class Telling:
            async def __aenter__(self) -> Any:
                inner = await opening.__aenter__()

                class Producer:
                    async def publish(self, batch: Any, settle: Settle) -> None:
                        def told(receipts: Any) -> None:
                            settle([
                                one._replace(facts={"status": 202}) if one.seq % 10 else one._replace(
                                    outcome=Outcome.REJECTED, facts={"status": 409}, detail="HTTP 409"
                                )
                                for one in receipts
                            ])  # fmt: skip

                        await inner.publish(batch, told)

                return Producer()

            async def __aexit__(self, *_: object) -> None:
                await opening.__aexit__(None, None, None)

        return Telling()


def answered(path: Path, *slos: str) -> Simulated:
    """A hundred events in ten seconds, ten of them refused."""
    memory = MemoryWorld()
    simulation = Simulation(
        memory, [{"rate": "10/s", "for": "10s"}], slos=list(slos), ledger_path=path, watched=False
    )  # fmt: skip
    config = simulation.config()
    telling = AnsweredWith(kind="memory", world=memory)
    object.__setattr__(simulation, "config", lambda: dataclasses.replace(config, producers={"memory": telling}))
    return simulation.run()


def test_answers_by_status_are_counted_judged_kept_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    run = answered(
        path, "status(409) == 0", "status(409) <= 10", "rate(status(4xx)) < 20%", "status(500) == 0",
        "rate(status(409)) < 15% in any 2s", "rate(status(409)) < 5% in any 2s",
    )  # fmt: skip
    assert run.summary.scenarios["main"].tallies == {"status": {202: 90, 409: 10}}
    assert [one.result.value for one in run.report.objectives] == ["fail", "warn", "pass", "pass", "pass", "fail"]
    assert [one.observed for one in run.report.objectives][:3] == [(10, 10), (10, 10), (0.1, 0.1)]
    document = orjson.loads(as_json(run.report))
    assert document["status"] == document["scenarios"]["main"]["status"] == {"202": 90, "409": 10}
    assert "- answers by status: 202 × 90, 409 × 10\n" in markdown(run.report)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT status, count(*) FROM events GROUP BY status ORDER BY 1").fetchall() == [
            (202, 90), (409, 10)
        ]  # fmt: skip
    assert read_back(path).summary == run.summary


CONFIG = """
producers:
  api: {kind: http, url: "http://localhost:9/events"}
  bus: {kind: rabbitmq, url: "amqp://localhost/", exchange: x}
events: {e: {type: t, source: /s}}
scenarios: {main: {producer: PRODUCER, events: [e], load: [{rate: 1/s, for: 1s}]}}
slos: [status(409) == 0]
"""


def test_an_objective_about_statuses_needs_a_producer_that_tells_them() -> None:
    load_text(CONFIG.replace("PRODUCER", "api"), "c.yaml", environ={})
    with pytest.raises(ConfigError) as refused:
        load_text(CONFIG.replace("PRODUCER", "bus"), "c.yaml", environ={})
    (problem,) = refused.value.problems
    assert str(problem) == (
        "c.yaml:7:8: no producer of these events tells status(409), so this would always hold; "
        "name a scenario whose producer does, or leave it out"
    )


def test_an_objective_about_bytes_or_first_bytes_needs_a_producer_that_counts_them() -> None:
    for asked, why in (
        ("p95(first_byte) < 1s", "no producer of these events tells first_byte, so this can't be decided"),
        ("throughput(bytes_in) > 1B/s", "no producer of these events counts the bytes of its answers, so "
         "'throughput(bytes_in) > 1B/s' can't be decided"),
    ):  # fmt: skip
        text = CONFIG.replace("status(409) == 0", asked)
        load_text(text.replace("PRODUCER", "api"), "c.yaml", environ={})
        with pytest.raises(ConfigError) as refused:
            load_text(text.replace("PRODUCER", "bus"), "c.yaml", environ={})
        (problem,) = refused.value.problems
        assert str(problem) == f"c.yaml:7:8: {why}; name a scenario whose producer does, or leave it out"
    sent = CONFIG.replace("status(409) == 0", "throughput(bytes_out) > 1B/s").replace("PRODUCER", "bus")
    load_text(sent, "c.yaml", environ={})


def test_nothing_told_is_no_pass() -> None:
    from evload.judging.count import count

    scope = ScenarioSummary()
    scope.ledger["scheduled"] = scope.ledger["acked"] = 5
    assert count(scope, "status(409)").blind == "nothing told a status"
    scope.tallies["status"] = {202: 5}
    assert (count(scope, "status(409)").low, count(scope, "status(409)").blind) == (0, "")
