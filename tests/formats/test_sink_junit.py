"""JUnit XML: valid by the schema, results by value, and nothing bad that looks like success."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
import xmlschema

from evload.formats.junit import junit
from evload.model.report import CheckResult, ObjectiveResult, Report, Result
from tests.rigs.sink_reports import NASTY, finished, without_anything

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))


def suites(report: Report) -> list[Element]:
    """The suites of a document, after a look at whether it is valid."""
    document = junit(report)
    SCHEMA.validate(document.decode())
    return ElementTree.fromstring(document).findall("testsuite")


def attribute_counts(suite: Element) -> dict[str, int]:
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}


def test_a_case_for_each_objective_and_each_self_check() -> None:
    objectives, checks = suites(finished())
    assert [case.get("name") for case in objectives.iter("testcase")] == [
        "p99(consistency) < 2s",
        "share(consistency < 2s) >= 95%",
        f"lost == 0 [{NASTY}]",
        "p99.9(end_to_end) < 5s [replica=b]",
    ]
    assert [case.get("name") for case in checks.iter("testcase")] == ["ledger closes", "lateness", "horizon"]
    assert attribute_counts(objectives) == {"tests": 4, "failures": 1, "errors": 1, "skipped": 0}
    assert attribute_counts(checks) == {"tests": 3, "failures": 0, "errors": 1, "skipped": 1}
    root = ElementTree.fromstring(junit(finished()))
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["7", "1", "2"]


def test_results_are_mapped() -> None:
    objectives, checks = suites(finished())
    passed, warned, failed, open_ = objectives.iter("testcase")
    assert [child.tag for child in passed] == ["system-out"]
    assert (warned.findtext("system-out") or "").startswith("warn: observed 95.5 … 97 %, limit 95 %\nabove 90 %")
    failure = failed.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("fail", "observed 1, limit 0")
    assert failure.text == "1 % | lost\n<why>"
    error = open_.find("error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("inconclusive", "observed 2 s … never, limit 5 s")
    _, invalid, skipped = checks.iter("testcase")
    found = invalid.find("error")
    assert found is not None
    assert (found.get("type"), found.get("message"), found.text) == (
        "invalid", "50 ms (limit 20 ms)", "p99 of schedule_delay",
    )  # fmt: skip
    assert [(child.tag, child.get("message")) for child in skipped] == [("skipped", "no probe")]


def test_properties_and_duration() -> None:
    for suite in suites(finished()):
        properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
        assert properties == {
            "run_id": "20260131-120000-4f1c", "verdict": "fail", "started_at": "2026-01-31T12:00:00Z",
            "duration": "61.200",
        }  # fmt: skip
        assert (suite.get("time"), suite.get("timestamp")) == ("61.200", "2026-01-31T12:00:00")


@pytest.mark.parametrize("verdict", [Result.INCONCLUSIVE, Result.INVALID, Result.FAIL])
def test_a_bad_verdict_that_nothing_explains_is_a_case_of_its_own(verdict: Result) -> None:
    objectives, _ = suites(replace(without_anything(), verdict=verdict))
    (case,) = objectives.iter("testcase")
    assert case.get("name") == "verdict"
    assert [child.tag for child in case] == ["failure" if verdict is Result.FAIL else "error"]


def test_a_good_run_has_no_other_cases_than_its_own() -> None:
    passed = replace(without_anything(), verdict=Result.PASS, checks=[CheckResult("evidence", Result.PASS, 1, 1)])
    assert [attribute_counts(suite)["tests"] for suite in suites(passed)] == [0, 1]


def test_what_xml_can_not_hold_is_replaced() -> None:
    odd = ObjectiveResult("lost == 0", Result.FAIL, (1, 1), 0, note="a\x00b\x1b[31mc\ud800d", subject="lost")
    objectives, _ = suites(replace(finished(), name="\x07bell", objectives=[odd]))
    assert objectives.get("name") == "\ufffdbell: objectives"
    assert objectives.findtext("testcase/failure") == "a\ufffdb\ufffd[31mc\ufffdd"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'tests="4"', b'tests="four"'),
        (b'type="fail"', b'kind="fail"'),
        (b"<properties>", b"<properties><testcase/>"),
        (b'"61.200"', b'"61.2 s"'),
    ],
)
def test_the_schema_finds_what_is_wrong(good: bytes, bad: bytes) -> None:
    document = junit(finished())
    assert good in document
    assert not SCHEMA.is_valid(document.replace(good, bad).decode())
