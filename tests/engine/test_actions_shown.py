"""What is done in a whole run, as people see it: while it goes on, in its report, and in one made of its ledger."""

from __future__ import annotations

from pathlib import Path

from evload.ledger.reader import LedgerReader
from evload.model.progress import Progress
from evload.model.report import Report
from evload.report import actions
from evload.report.build import build_again
from evload.report.document import document
from tests.engine.test_actions import System, run


class Onlooker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, now: Progress) -> None:
        self.lines += [actions.now(one, now.elapsed) for one in now.actions]

    async def finish(self, report: Report) -> None:
        """Nothing of interest."""


def test_a_fault_is_seen_while_it_is_on_and_found_afterwards(tmp_path: Path) -> None:
    system, seen, path = System(), Onlooker(), tmp_path / "events.sqlite"
    fault = {"at": "6s", "for": "5s", "do": [system.slow()], "undo": [system.quick()]}

    ran = run(system, {"slow": fault}, load=({"rate": "50/s", "for": "20s"},), sinks=[seen], ledger_path=path)

    assert "slow on for 0:03 of 0:05" in seen.lines
    assert seen.lines[-1] == "slow over"
    (finding,) = (one for one in ran.report.insights if one.kind.startswith("action"))
    assert "rose from 44.7 … 56.2 ms to 1.78 … 2.24 s" in finding.sentence, finding.sentence
    assert finding.sentence.endswith("while slow was on, and was back at its end.")
    with LedgerReader(path) as ledger:
        again = build_again(ledger, tmp_path)
    assert document(again)["actions"] == document(ran.report)["actions"]
    assert document(again)["actions"][0]["done"] == [6.0, 6.01]
    assert [one.sentence for one in again.insights] == [one.sentence for one in ran.report.insights]


def test_what_is_done_again_and_again_to_no_effect(tmp_path: Path) -> None:
    system, seen = System(), Onlooker()
    kill = {"from": "4s", "to": "10s", "every": "2s", "do": [system.noted("kill")]}

    ran = run(system, {"pods": kill}, sinks=[seen], ledger_path=tmp_path / "events.sqlite")

    assert "pods on for 0:01 of 0:02" in seen.lines
    (finding,) = (one for one in ran.report.insights if one.kind.startswith("action"))
    assert finding.sentence == "pods had no effect that could be seen."
    assert [one.name for one in actions.done(ran.summary.markers)] == ["pods #1", "pods #2", "pods #3"]
