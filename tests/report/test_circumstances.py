"""Labels and params of a run stand in all that is told of it, and in what is read back from its ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from evload.formats import measures
from evload.formats.junit import junit
from evload.formats.markdown import markdown
from evload.ledger.reader import LedgerReader
from evload.ledger.replay import rebuild
from evload.ledger.writer import LedgerFile
from evload.model.report import Circumstances, Report
from evload.report.document import document
from evload.report.redaction import redacted
from evload.run.prepare import prepare
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation
from tests.rigs.sink_reports import finished

SHOWN = Circumstances(
    {"environment": "dev", "build": "4f1c|2b"}, {"users": "50"}, ("calm",), ("lost == 0 [wild]", "max(depth) < 4f1c"),
)  # fmt: skip


def told() -> Report:
    return replace(finished(), circumstances=SHOWN)


def test_every_report_shows_them() -> None:
    whole = document(told())
    assert (whole["labels"], whole["params"]) == ({"environment": "dev", "build": "4f1c|2b"}, {"users": "50"})
    assert whole["part"] == {"scenarios": ["calm"], "not_asked": ["lost == 0 [wild]", "max(depth) < 4f1c"]}
    assert [document(finished())[name] for name in ("labels", "params", "part")] == [{}, {}, None]
    lines = markdown(told()).splitlines()
    assert {"| environment | dev |", "| build | 4f1c\\|2b |", "| params.users | 50 |"} <= set(lines)
    assert {"| part | of the config calm alone |", "| not asked | lost == 0 \\[wild\\] |"} <= set(lines)
    properties = ElementTree.fromstring(junit(told())).iter("property")
    found = {one.get("name"): one.get("value") for one in properties}
    assert (found["label build"], found["param users"]) == ("4f1c|2b", "50")
    cases = [
        case for case in ElementTree.fromstring(junit(told())).iter("testcase") if case.find("skipped") is not None
    ]
    assert [case.get("name") for case in cases if case.get("classname") == "evload.objectives"] == list(
        SHOWN.not_asked
    )
    (label,) = [one for one in measures.of_report(told()) if one.name == "label"]
    assert [labels for labels, _ in label.points] == [
        {"kind": "label", "label": "environment", "value": "dev"},
        {"kind": "label", "label": "build", "value": "4f1c|2b"},
        {"kind": "param", "label": "users", "value": "50"},
    ]  # fmt: skip


def test_another_secret_in_them_is_hidden() -> None:
    hidden = redacted(told(), lambda text: text.replace("4f1c", "${BUILD}")).circumstances
    labels, not_asked = {"environment": "dev", "build": "${BUILD}|2b"}, ("lost == 0 [wild]", "max(depth) < ${BUILD}")
    assert hidden == replace(SHOWN, labels=labels, not_asked=not_asked)


def test_a_ledger_keeps_them_and_an_older_one_has_none(tmp_path: Path) -> None:
    config = replace(Simulation(MemoryWorld()).config(), circumstances=SHOWN)
    meta = {**prepare(config, "r1").meta, "started_at": "2026-01-31T12:00:00+00:00"}
    older = {name: value for name, value in meta.items() if name != "circumstances"}
    for number, (written, expected) in enumerate(((meta, SHOWN), (older, Circumstances()))):
        path = tmp_path / f"{number}.sqlite"
        LedgerFile(path, written, threaded=False).close()
        with LedgerReader(path) as reader:
            assert rebuild(reader).circumstances == expected
