"""Slices by what answers say, in whole runs in virtual time: what is counted, what is asked, what may be one."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evload.ledger.reader import LedgerReader
from evload.model.report import Report, Result
from evload.model.tags import tag_of
from evload.model.travel import Event, Receipt
from evload.objectives.grammar import parse
from evload.report.build import build_again
from evload.report.document import document
from evload.sandbox.delay import parse_delay
from evload.spi.context import Capabilities, Surroundings
from evload.spi.producer import Producer, Settle
from evload.testing import MemoryWorld
from evload.testing.memory_world import MemoryProducerSettings
from evload.testing.simulation import Simulated, Simulation

Tagger = Callable[[int], Any]
"""What an answer gives for a tag, by the number of its event; `KeyError`: it can't be told."""


class TaggedProducer(MemoryProducerSettings):
    """A MemoryWorld's producer whose answers give events tags."""

    tagged: dict[str, Tagger]

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tags=frozenset(self.tagged))

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        async with super().open(surroundings) as producer:
            yield _Tagging(producer, self.tagged)


class _Tagging:
    def __init__(self, producer: Producer, tagged: dict[str, Tagger]) -> None:
        self._producer = producer
        self._tagged = tagged

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        def tag(receipts: Sequence[Receipt]) -> None:
            settle([one if one.acked_ns is None else self._with_tags(one) for one in receipts])

        await self._producer.publish(batch, tag)

    def _with_tags(self, receipt: Receipt) -> Receipt:
        lines = []
        for name, tagger in self._tagged.items():
            try:
                lines.append(tag_of(name, tagger(receipt.seq)))
            except KeyError:
                continue
        return receipt._replace(facts={"tags": "\n".join(lines)})


@dataclass
class TaggedWorld(MemoryWorld):
    """A MemoryWorld whose answers give events tags."""

    tagged: dict[str, Tagger] | None = None

    def producer(self, **settings: Any) -> TaggedProducer:
        return TaggedProducer(kind="memory", world=self, tagged=self.tagged or {}, **settings)


REGIONS = ("eu", "us", "ap")


def ran(*slos: Any, load: Any = ({"rate": "100/s", "for": "3s"},), **more: Any) -> Simulated:
    tagged = more.pop("tagged", {"cold": lambda seq: seq % 10 == 0, "region": lambda seq: REGIONS[seq % 3]})
    path = more.pop("ledger_path", None)
    world = TaggedWorld(tagged=tagged, **more)
    return Simulation(world, load, slos=slos, ledger_path=path).run()


def found(done: Simulated) -> dict[str, int]:
    """How many events each slice has."""
    slices = done.summary.scenarios["main"].slices
    return {label: part.ledger["scheduled"] for label, part in slices.items() if label.startswith("tag=")}


def test_events_are_sliced_by_what_their_answers_say() -> None:
    done = ran()
    assert found(done) == {"tag=cold": 30, "tag=region=eu": 100, "tag=region=us": 100, "tag=region=ap": 100}
    cold = done.summary.scenarios["main"].slices["tag=cold"]
    assert (cold.ledger["acked"], cold.ledger["visible"]) == (30, 30)
    assert {name: one.count for name, one in cold.distributions.items()} == dict.fromkeys(
        ("schedule_delay", "publish", "first_seen", "consistency", "end_to_end"), 30
    )
    assert (cold.first_intended_ns, cold.last_intended_ns) == (0, 2_900_000_000)


def test_objectives_are_about_the_events_with_a_tag() -> None:
    done = ran(
        {"text": "max(publish) < 1s", "tag": "cold"},
        {"text": "share(publish < 1ms) >= 99%", "tag": "region=eu"},
        {"text": "rejected == 0", "tag": "region=us"},
        {"text": "errors == 0", "tag": "warm"},
        confirm=parse_delay("2ms"),
        tagged={
            "cold": lambda seq: seq % 10 == 0,
            "region": lambda seq: REGIONS[seq % 3],
            "warm": lambda seq: None,
        },
    )
    results = [(one.result, one.scope, one.note) for one in done.report.objectives]
    assert results[:3] == [
        (Result.PASS, "tag=cold", ""),
        (Result.FAIL, "tag=region=eu", ""),
        (Result.PASS, "tag=region=us", ""),
    ]
    # Nobody was warm: that nothing went wrong there shows nothing.
    assert results[3] == (Result.INCONCLUSIVE, "tag=warm", "nothing was scheduled, and no data is no pass")


def test_what_was_never_answered_may_be_one() -> None:
    # A tenth of the publishes has no answer: each of these may have been cold.
    done = ran(
        {"text": "in_doubt == 0", "tag": "cold"},
        {"text": "rejected == 0", "tag": "cold"},
        {"text": "acked >= 10", "tag": "cold"},
        {"text": "max(publish) < 1s", "tag": "cold"},
        {"text": "max(publish) < 1ms", "tag": "cold"},
        in_doubt=0.1,
    )
    unknown = done.summary.total().ledger["in_doubt"]
    assert unknown > 10
    assert found(done)["tag=cold?"] == unknown
    told = f"no answer says of {unknown} events whether they are cold, and with them this is otherwise"
    assert [(one.result, one.note) for one in done.report.objectives] == [
        (Result.INCONCLUSIVE, told),
        (Result.PASS, ""),
        (Result.PASS, ""),
        (Result.INCONCLUSIVE, told),
        (Result.FAIL, ""),
    ]


def test_an_answer_that_can_not_be_read_leaves_open_what_the_event_is() -> None:
    def tagger(seq: int) -> bool:
        if seq == 7:
            raise KeyError
        return seq % 10 == 0

    done = ran({"text": "acked == 30", "tag": "cold"}, tagged={"cold": tagger})
    assert found(done) == {"tag=cold": 30, "tag=cold?": 1}
    (one,) = done.report.objectives
    assert (one.result, one.note) == (
        Result.INCONCLUSIVE, "no answer says of 1 events whether they are cold, and with them this is otherwise",
    )  # fmt: skip


def test_eight_are_told_apart_and_what_is_asked_for_is_among_them() -> None:
    done = ran({"text": "acked == 3", "tag": "shard=99"}, tagged={"shard": lambda seq: seq % 100})
    assert found(done) == {
        "tag=shard=99": 3, **{f"tag=shard={number}": 3 for number in range(7)}, "tag=shard=other": 300 - 24,
    }  # fmt: skip
    assert done.report.objectives[0].result is Result.PASS


def reported(path: Path) -> Report:
    with LedgerReader(path) as ledger:
        return build_again(ledger, path.parent)


def test_the_report_from_the_ledger_is_that_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    done = ran(
        {"text": "p95(consistency) < 2s", "tag": "cold"},
        {"text": "share(publish < 3ms) >= 99% in any 1s", "tag": "region=eu"},
        {"text": "rate(errors) < 1% in any 1s", "tag": "region=us"},
        {"text": "lost == 0", "tag": "cold", "event": "event"},
        load=({"rate": "100/s", "for": "4s"},),
        tagged={"cold": lambda seq: seq % 3 == 0, "region": lambda seq: REGIONS[seq % 3], "n": lambda seq: seq % 9},
        in_doubt=0.05,
        rejected=0.05,
        ledger_path=path,
    )
    again = reported(path)
    assert document(again) == document(done.report)
    assert again.summary == done.report.summary
    assert "tag=n=other" in again.summary.scenarios["main"].slices
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT tags FROM events WHERE acked_ns IS NOT NULL ORDER BY seq LIMIT 2").fetchall()
    assert rows == [("cold\nn=0\nregion=eu",), ("cold=\nn=1\nregion=us",)] or rows[0][0].startswith("cold\n")


def test_the_worst_events_of_a_tag_have_it(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    done = ran({"text": "max(publish) < 1ms", "tag": "region=us"}, ledger_path=path)
    (one,) = done.report.objectives
    assert one.result is Result.FAIL
    with sqlite3.connect(path) as db:
        tags = dict(db.execute("SELECT printf('%x', seq), tags FROM events"))
    assert one.worst
    for worst in one.worst:
        seq = f"{int(worst.correlation_id[-12:], 16):x}"
        assert "region=us" in tags[seq].split("\n")


def test_a_run_that_was_killed_leaves_open_what_its_last_events_were(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    done = ran({"text": "acked >= 1", "tag": "cold"}, {"text": "errors == 0", "tag": "cold"}, ledger_path=path)
    assert [one.result for one in done.report.objectives] == [Result.PASS, Result.PASS]
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM events WHERE seq >= 295")
    again = reported(path)
    assert again.summary.scenarios["main"].slices["tag=cold?"].ledger["in_doubt"] == 5
    assert [one.result for one in again.objectives] == [Result.PASS, Result.INCONCLUSIVE]


def test_of_scenarios_that_tell_no_tag_nothing_is_open() -> None:
    """Each of them has the tag or not; of the others nobody asks."""
    world = TaggedWorld(tagged={"cold": lambda seq: seq % 10 == 0})
    config = Simulation(
        world, scenarios={"a": {"load": [{"burst": 40}]}, "b": {"load": [{"burst": 40}], "producer": "plain"}}
    ).config()
    from evload.run.prepare import fold_plan, tags_told

    config = replace(
        config,
        producers={**config.producers, "plain": MemoryWorld.producer(world)},
        slos=(parse("errors == 0", tag="cold"),),
    )
    assert [sorted(tags_told(config, one)) for one in config.scenarios] == [["cold"], []]
    assert [[part.label for part in fold_plan(config, name).slices] for name in ("a", "b")] == [
        ["tag=cold", "tag=cold?"], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "scope", "why"),
    [
        ("lost == 0", {"tag": "cold", "probe": "p"}, "a tag is of an event, whoever looks at it; leave probe out"),
        ("errors == 0", {"tag": "cold", "abort_after_ns": 0}, "what is still to be answered may be cold, too"),
        ("stretch(errors) < 5s", {"tag": "cold"}, "is about all answers; leave tag out"),
        ("max(queue_depth) < 5", {"tag": "cold"}, "a gauge belongs to no tag; leave tag out"),
    ],
)
def test_what_can_not_be_asked_of_a_tag(text: str, scope: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text, **scope, gauges={"queue": ["queue_depth"]})
