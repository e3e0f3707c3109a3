"""JUnit XML: an objective is a test case, and so is a self-check. For CI servers that show test results.

Structure as in the schema of Jenkins' xUnit plug-in (junit-10.xsd): suites, properties, cases with one of failure,
error, skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..model.report import CheckResult, Report, Result
from ..report import actions, wording
from ..spi.format import Files, Format
from ..texts import lines
from ..units import NS_PER_S

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write, not even escaped."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case; what fills `message` and `text` depends on the result."""

    name: str
    result: Result
    message: str
    text: str


class JunitFormat(Format):
    """The document as a file."""

    def files(self, report: Report) -> Files:
        return {"junit.xml": junit(report)}


def junit(report: Report) -> bytes:
    """The document. A verdict that no case explains gets a case of its own, so that it never looks like success."""
    objectives = [
        _Case(
            wording.title(objective),
            objective.result,
            f"observed {wording.observed(objective)}, limit "
            f"{wording.figure(objective.limit, wording.unit_of(objective))}",
            objective.note,
        )
        for objective in report.objectives
    ]
    left_out = [
        _Case(name, Result.SKIPPED, "not asked: it is about what this run left out, or no single run can tell", "")
        for name in report.circumstances.not_asked
    ]
    checks = [
        _Case(check.name, check.result, wording.check_figures(check), _beside(check)) for check in report.checks
    ]
    if report.not_undone:
        objectives.append(_Case("undo", Result.INVALID, report.not_undone, ""))
    if _is_bad(report.verdict) and not any(_is_bad(case.result) for case in (*objectives, *checks)):
        objectives.append(_Case("verdict", report.verdict, wording.headline(report), ""))
    objectives += left_out
    root = Element("testsuites", _attributes(report, report.name, [*objectives, *checks], skipped=False))
    for kind, cases in (("objectives", objectives), ("self-checks", checks)):
        suite = SubElement(root, "testsuite", _attributes(report, f"{report.name}: {kind}", cases, skipped=True))
        suite.set("timestamp", report.started_at.strftime("%Y-%m-%dT%H:%M:%S"))
        properties = SubElement(suite, "properties")
        for name, value in (
            ("run_id", report.run_id),
            ("verdict", report.verdict.value),
            ("started_at", report.started_at.isoformat().replace("+00:00", "Z")),
            ("duration", _seconds(report)),
            *((("profiles", ", ".join(report.circumstances.profiles)),) if report.circumstances.profiles else ()),
            *((f"label {name}", value) for name, value in report.circumstances.labels.items()),
            *((f"param {name}", value) for name, value in report.circumstances.params.items()),
            *((f"action {one.name}", one.sentence) for one in actions.done(report.summary.markers)),
        ):
            SubElement(properties, "property", {"name": name, "value": _clean(value)})
        for case in cases:
            _add(suite, case, f"evload.{kind}")
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add(suite: Element, case: _Case, classname: str) -> None:
    element = SubElement(suite, "testcase", {"name": _clean(case.name), "classname": classname, "time": "0"})
    message, text = _clean(case.message), _clean(case.text)
    if case.result is Result.FAIL:
        SubElement(element, "failure", {"type": "fail", "message": message}).text = text
    elif case.result in (Result.INVALID, Result.INCONCLUSIVE):
        SubElement(element, "error", {"type": case.result.value, "message": message}).text = text
    elif case.result is Result.SKIPPED:
        SubElement(element, "skipped", {"message": text or message})
    else:
        lines = [f"{case.result.value}: {message}", text]
        SubElement(element, "system-out").text = "\n".join(line for line in lines if line)


def _beside(check: CheckResult) -> str:
    """The note, unless it is all that there is to say of the figures."""
    return "" if check.note == wording.check_figures(check) else check.note


def _attributes(report: Report, name: str, cases: Sequence[_Case], *, skipped: bool) -> dict[str, str]:
    results = [case.result for case in cases]
    counts = {
        "tests": len(cases),
        "failures": results.count(Result.FAIL),
        "errors": results.count(Result.INVALID) + results.count(Result.INCONCLUSIVE),
    }
    if skipped:  # the root has no such attribute
        counts["skipped"] = results.count(Result.SKIPPED)
    return {"name": _clean(name), **{key: str(count) for key, count in counts.items()}, "time": _seconds(report)}


def _seconds(report: Report) -> str:
    return f"{report.summary.vitals.duration_ns / NS_PER_S:.3f}"


def _is_bad(result: Result) -> bool:
    return result in (Result.FAIL, Result.INVALID, Result.INCONCLUSIVE)


def _clean(text: str) -> str:
    return lines(_NOT_XML.sub("\ufffd", text))
