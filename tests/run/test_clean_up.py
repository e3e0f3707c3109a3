"""What is done to the system before a run and after it, and how that is taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, Field

from evload.config.run_config import Step
from evload.errors import TargetError, UsageError
from evload.model.correlation import CorrelationIds
from evload.run.clean_up import Journal, clean_up
from evload.run.set_up import set_up
from evload.spi.activity import Activity, ActivitySettings, Outcome, Values, filled_in
from evload.spi.context import Surroundings
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulation
from evload.testing.virtual_time import run_virtual, virtual_clock

IDS = CorrelationIds.for_run("simulation")


class Told(ActivitySettings):
    """Notes what it is told to do, and fails for whom it shall."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    what: str
    done: list[str]
    fails_for: Sequence[str] = ()
    captures: dict[str, Any] = Field(default_factory=dict)
    there: bool = True
    gone: bool = False

    @property
    def title(self) -> str:
        return "tell"

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        if not self.there:
            raise TargetError("nobody is there")
        yield _Told(self)


class _Told:
    def __init__(self, settings: Told) -> None:
        self._settings = settings

    async def perform(self, values: Values) -> Outcome:
        settings = self._settings
        what = filled_in(settings.what, values)
        if what in settings.fails_for:
            return Outcome(f"{what} is refused", gone=settings.gone)
        settings.done.append(what)
        return Outcome(captured=settings.captures)


def step(done: list[str], what: str, *, each: bool = False, **settings: Any) -> Step:
    told = Told.model_construct(what=what, done=done, **{"timeout": 10**9, **settings})
    return Step(told, {}, {}, each=each)


def surroundings() -> Surroundings:
    return Surroundings(virtual_clock(), "simulation", Path())


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Of a run of 30 events, of which the broker refused some."""
    path = tmp_path / "events.sqlite"
    Simulation(MemoryWorld(rejected=0.2), ({"rate": "10/s", "for": "3s"},), key="k-{seq}", ledger_path=path).run()
    return path


def acked(path: Path) -> list[int]:
    from evload.ledger.reader import LedgerReader

    with LedgerReader(path) as reader:
        return [seq for (seq,) in reader.rows("SELECT seq FROM events WHERE state >= 4 ORDER BY seq")]


def cleaned(steps: Sequence[Step], ledger: Path | None, journal: Journal) -> list[str]:
    async def main() -> list[str]:
        return await clean_up(steps, surroundings(), ledger, journal)

    return run_virtual(main())


def journal_in(directory: Path, **values: Any) -> Journal:
    path = directory / "cleanup.jsonl"
    path.write_bytes(Journal.head(values, directory))
    return Journal(path)


def test_set_up_is_done_in_its_order_and_what_it_captures_is_known_to_what_comes_later() -> None:
    done: list[str] = []
    steps = [step(done, "make for {run_id}", captures={"item": 7}), step(done, "fill {item}")]

    values: dict[str, Any] = {"run_id": "r"}

    async def main() -> None:
        await set_up(steps, surroundings(), values)

    run_virtual(main())
    assert values == {"run_id": "r", "item": 7}
    assert done == ["make for r", "fill 7"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"fails_for": ["two"]}, "set-up, step 2 of 3: tell: two is refused; nothing was sent"),
        ({"there": False}, "set-up, step 2 of 3: nobody is there; nothing was sent"),
    ],
)
def test_set_up_that_fails_ends_there(broken: dict[str, Any], said: str) -> None:
    done: list[str] = []
    steps = [step(done, "one"), step(done, "two", **broken), step(done, "three")]

    async def main() -> None:
        await set_up(steps, surroundings(), {})

    with pytest.raises(TargetError) as raised:
        run_virtual(main())
    assert str(raised.value) == said
    assert done == ["one"]


def test_clean_up_is_done_once_for_each_acked_event(ledger: Path, tmp_path: Path) -> None:
    done: list[str] = []
    steps = [step(done, "delete {correlation_id} of {item}", each=True), step(done, "close {item}")]

    assert cleaned(steps, ledger, journal_in(tmp_path, item="i-7")) == []

    seqs = acked(ledger)
    assert 15 < len(seqs) < 30
    assert done == [*(f"delete {IDS.id_of(seq)} of i-7" for seq in seqs), "close i-7"]


def test_what_could_not_be_done_is_said_and_tried_again_and_nothing_else_is(ledger: Path, tmp_path: Path) -> None:
    done: list[str] = []
    first, *_, last = (IDS.id_of(seq) for seq in acked(ledger))
    journal = journal_in(tmp_path)
    steps = [step(done, "{correlation_id}", each=True, fails_for=[first, last]), step(done, "close")]

    (said,) = cleaned(steps, ledger, journal)

    count = len(acked(ledger))
    assert said == f"clean-up, step 1 of 2: 2 of {count} events are left: tell: {first} is refused"
    assert len(done) == count - 2 + 1
    done.clear()
    assert cleaned([step(done, "{correlation_id}", each=True), step(done, "close")], ledger, journal) == []
    assert done == [first, last]
    done.clear()
    assert cleaned([step(done, "{correlation_id}", each=True), step(done, "close")], ledger, journal) == []
    assert done == []


def test_what_is_gone_already_is_as_good_as_cleaned_up(ledger: Path, tmp_path: Path) -> None:
    done: list[str] = []
    first = IDS.id_of(acked(ledger)[0])
    steps = [
        step(done, "{correlation_id}", each=True, fails_for=[first], gone=True),
        step(done, "close", fails_for=["close"], gone=True),
    ]

    assert cleaned(steps, ledger, journal_in(tmp_path)) == []


def test_a_step_that_fails_keeps_no_other_from_being_done(tmp_path: Path) -> None:
    done: list[str] = []
    journal = journal_in(tmp_path)
    steps = [step(done, "one", there=False), step(done, "two")]

    assert cleaned(steps, None, journal) == ["clean-up, step 1 of 2: nobody is there"]
    assert done == ["two"]
    assert cleaned([step(done, "one"), step(done, "two")], None, journal) == []
    assert done == ["two", "one"]


def test_without_a_whole_ledger_nobody_knows_the_events(tmp_path: Path) -> None:
    done: list[str] = []

    (said,) = cleaned([step(done, "x", each=True)], None, journal_in(tmp_path))

    assert said == "clean-up, step 1 of 1: the ledger isn't whole, so nobody knows the events"


def test_a_torn_last_line_says_nothing_and_a_torn_first_one_is_no_journal(tmp_path: Path) -> None:
    journal, path = journal_in(tmp_path, item=1), tmp_path / "cleanup.jsonl"
    journal.note({"step": 0, "done": True})
    with open(path, "ab") as out:
        out.write(b'{"step": 1, "do')

    progress = journal.read()
    assert (progress.values, progress.done) == ({"item": 1}, {0})

    path.write_bytes(b"garbage\n")
    with pytest.raises(UsageError, match=r"cleanup\.jsonl:1 is damaged; clean up by hand"):
        journal.read()


def test_events_are_cleaned_up_side_by_side(ledger: Path, tmp_path: Path) -> None:
    at_once, most = 0, 0

    class Slow(Told):
        @asynccontextmanager
        async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
            class One:
                async def perform(self, values: Values) -> Outcome:
                    nonlocal at_once, most
                    at_once += 1
                    most = max(most, at_once)
                    await asyncio.sleep(1)
                    at_once -= 1
                    return Outcome()

            yield One()

    slow = Slow.model_construct(what="", done=[], timeout=10**10)
    assert cleaned([Step(slow, {}, {}, each=True)], ledger, journal_in(tmp_path)) == []
    assert most == 10
