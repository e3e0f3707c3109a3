"""What a run did to a system and could not undo is the last line of whatever it prints or writes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from evload.formats.html import HtmlFormat
from evload.formats.junit import junit
from evload.formats.markdown import markdown
from evload.report.document import as_json
from evload.sinks.console.sink import ConsoleSink
from evload.sinks.github import workflow_commands
from evload.sinks.webhook import message
from tests.rigs.sink_reports import finished

LINE = "NOT UNDONE: slow-workers (connection refused); run: evload undo runs/20260131-120000-4f1c"
REPORT = replace(finished(), not_undone=LINE, directory=Path("runs/20260131-120000-4f1c"))
GOOD = replace(REPORT, not_undone="")


@pytest.mark.parametrize("quiet", [False, True], ids=["loud", "quiet"])
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_on_the_console(quiet: bool, terminal: bool) -> None:
    for report, last in ((REPORT, LINE), (GOOD, "results in runs/20260131-120000-4f1c")):
        page = io.StringIO()
        ConsoleSink(Console(file=page, width=60, force_terminal=terminal, no_color=True), quiet=quiet).show(report)
        printed = page.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert printed.splitlines()[-1] == last


def test_in_markdown() -> None:
    assert markdown(REPORT).splitlines()[-1] == f"**{LINE}**"
    assert "UNDONE" not in markdown(GOOD)


def test_in_the_page_at_its_beginning_and_at_its_end() -> None:
    (page,) = HtmlFormat().files(REPORT).values()
    told = page.decode() if isinstance(page, bytes) else page
    assert told.index(LINE) < told.index('<dl class="run">')
    assert f'<strong class="undone">{LINE}</strong></footer>' in told
    (page,) = HtmlFormat().files(GOOD).values()
    assert b'class="undone"' not in page


def test_in_json() -> None:
    assert list(json.loads(as_json(REPORT)).items())[-1] == ("not_undone", LINE)
    assert json.loads(as_json(GOOD))["not_undone"] is None
    assert json.loads(message(REPORT))["not_undone"] == LINE


def test_for_ci_servers_it_is_an_error() -> None:
    found = ElementTree.fromstring(junit(REPORT)).findall(".//testcase[@name='undo']/error")
    assert [one.attrib["message"] for one in found] == [LINE]
    assert ElementTree.fromstring(junit(GOOD)).findall(".//testcase[@name='undo']") == []
    told = workflow_commands(REPORT).splitlines()
    assert f"::error title=not undone::{LINE}" in told
    assert "not undone" not in workflow_commands(GOOD)
