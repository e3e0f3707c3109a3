"""What the events of each name amount to, whether an objective asks for them or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evload.formats import csv as tables
from evload.formats.markdown import markdown
from evload.model.summary import HOPS, merged
from evload.report.document import document
from evload.run.prepare import fold_plan
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.rigs.ledgers import read_back

LOAD = ({"rate": "20/s", "for": "10s"},)


def mixed(path: Path | None = None, **more: Any) -> Simulated:
    """A scenario that sends one kind three times as often as the other, and one that sends the rarer one alone."""
    scenarios: dict[str, dict[str, Any]] = {
        "mix": {"events": {"often": 3, "seldom": 1}, "load": LOAD},
        "alone": {"events": ["seldom"], "load": LOAD},
    }
    memory = MemoryWorld(rejected=0.05)
    return Simulation(
        memory, scenarios=scenarios, events=("often", "seldom", "never"), key="{data.group}", ledger_path=path, **more
    ).run()


def test_every_name_has_its_figures_and_they_add_up_to_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    run = mixed(path)
    mix, alone = run.summary.scenarios["mix"], run.summary.scenarios["alone"]
    assert set(mix.slices) == {"event=often", "event=seldom"}
    assert (alone.event, mix.event, alone.slices) == ("seldom", "", {})
    often, seldom = run.summary.events()["often"], run.summary.events()["seldom"]
    assert often.ledger["scheduled"] + mix.slices["event=seldom"].ledger["scheduled"] == 200
    assert 130 < often.ledger["scheduled"] < 170
    assert seldom.ledger["scheduled"] == 400 - often.ledger["scheduled"]
    assert seldom.ledger["rejected"] > 0
    total, both = run.summary.total(), merged([often, seldom])
    assert both.ledger == total.ledger
    assert {name: (one.lower, one.upper) for name, one in both.distributions.items()} == {
        name: (one.lower, one.upper) for name, one in total.distributions.items() if name not in HOPS
    }
    assert (both.tallies, both.known) == (total.tallies, total.known)
    again = read_back(path).summary
    assert again.scenarios == run.summary.scenarios
    assert again.events() == run.summary.events()


def test_reports_name_them() -> None:
    report = mixed(slos=[{"text": "lost == 0", "scenario": "mix", "event": "seldom"}]).report
    told = document(report)
    assert list(told["events"]) == ["often", "seldom"]
    seldom = told["events"]["seldom"]
    assert told["slices"]["event=seldom"] == seldom, "of all scenarios, also where nothing else is sent"
    assert seldom["ledger"]["scheduled"] == 400 - told["events"]["often"]["ledger"]["scheduled"]
    count = seldom["distributions"]["publish"]["count"]
    assert count == seldom["ledger"]["acked"]
    rows = [row.split(",") for row in tables.percentiles(report).decode().splitlines()]
    (p99,) = [row for row in rows if row[:4] == ["", "event=seldom", "publish", "p99"]]
    assert p99[4:6] == [str(end) for end in seldom["distributions"]["publish"]["p99"]]
    lines = markdown(report).splitlines()
    shown = [line.split(" | ")[:2] for line in lines[lines.index("## By event") + 4 :]][:6]
    assert shown == [
        [f"| {name}", metric] for name in told["events"] for metric in ("publish", "consistency", "end_to_end")
    ]


def test_fifty_names_are_counted_apart_and_those_that_an_objective_asks_for() -> None:
    names = tuple(f"e{number}" for number in range(60))
    config = Simulation(
        MemoryWorld(), events=names, slos=[{"text": "lost == 0", "event": "e57"}],
        scenarios={"all": {"events": list(names), "load": LOAD}, "last": {"events": ["e55"], "load": LOAD},
                   "first": {"events": ["e5"], "load": LOAD}},
    ).config()  # fmt: skip
    found = {part.label: part.event for part in fold_plan(config, "all").slices}
    assert found == {f"event=e{number}": number for number in (57, *range(50))}
    assert [fold_plan(config, name).event for name in ("last", "first")] == ["", "e5"]
