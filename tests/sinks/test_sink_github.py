"""GitHub Actions: annotations that say what they should and nothing else, and a summary within its limit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from evload.errors import OutputError
from evload.formats.markdown import markdown
from evload.model.report import CheckResult, ObjectiveResult, Result
from evload.sinks.github import MOST_BYTES, GithubSink, fitting, from_environment, workflow_commands
from tests.rigs.sink_reports import NASTY, finished, without_anything


def parsed(commands: str) -> list[tuple[str, str, str]]:
    """(level, title, message) of each line, as the runner reads it."""
    found = []
    for line in commands.splitlines():
        head, title, message = line.removeprefix("::").split(" title=", 1)[0], *_parts(line)
        found.append((head, unquote(title), unquote(message)))
    return found


def _parts(line: str) -> tuple[str, str]:
    properties, _, message = line.split(" title=", 1)[1].partition("::")
    assert "," not in properties
    assert ":" not in properties
    return properties, message


def test_an_annotation_for_each_objective_that_is_not_met() -> None:
    assert parsed(workflow_commands(finished())) == [
        ("error", f"lost == 0 [{NASTY}]", "fail: observed 1\n1 % | lost\n<why>"),
        ("error", "p99.9(end_to_end) < 5s [replica=b]", "inconclusive: observed 2 s … never\ntoo few events"),
        ("error", "self-check lateness", "invalid: 50 ms (limit 20 ms)"),
        ("warning", "share(consistency < 2s) >= 95%",
         "warn: observed 95.5 … 97 %\nabove 90 % of the limit"),
    ]  # fmt: skip


def test_special_characters_are_escaped_as_the_runner_wants_it() -> None:
    odd = ObjectiveResult("a,b:c%", Result.WARN, (1, 1), 0, note="1%\r\n::error::x,y", subject="lost")
    assert workflow_commands(replace(finished(), objectives=[odd], checks=[])) == (
        "::warning title=a%2Cb%3Ac%25::warn: observed 1%0A1%25%0D%0A::error::x,y\n"
    )


def test_a_bad_verdict_is_told_even_if_nothing_explains_it() -> None:
    assert parsed(workflow_commands(without_anything())) == [
        ("error", NASTY, "inconclusive: this run can't decide every objective")
    ]


def test_nothing_is_said_of_a_good_run() -> None:
    good = replace(finished(), verdict=Result.PASS, checks=[], objectives=finished().objectives[:1])
    assert workflow_commands(good) == ""


def test_no_more_annotations_than_are_shown() -> None:
    many = [replace(finished().objectives[2], expression=f"lost == {n}", scenario=None) for n in range(12)]
    told = parsed(workflow_commands(replace(finished(), objectives=many, checks=[])))
    assert len(told) == 10
    assert told[8][1] == "lost == 8"
    assert told[9] == ("error", "and 3 more", "see the job's summary")


def test_the_summary_is_appended(tmp_path: Path) -> None:
    summary, said = tmp_path / "summary.md", list[bytes]()
    summary.write_text("before\n")
    sink = from_environment({"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"}, said.append)
    assert sink is not None
    asyncio.run(sink.finish(finished()))
    assert summary.read_text() == "before\n" + markdown(finished())
    assert b"".join(said).decode() == workflow_commands(finished())


def test_each_variable_switches_on_its_own_part(tmp_path: Path) -> None:
    summary, said = tmp_path / "summary.md", list[bytes]()
    assert from_environment({}, said.append) is None
    assert from_environment({"GITHUB_STEP_SUMMARY": "", "GITHUB_ACTIONS": "false"}, said.append) is None
    only_summary = from_environment({"GITHUB_STEP_SUMMARY": str(summary)}, said.append)
    assert only_summary is not None
    asyncio.run(only_summary.finish(finished()))
    assert (summary.exists(), said) == (True, [])
    only_annotations = from_environment({"GITHUB_ACTIONS": "true"}, said.append)
    assert only_annotations is not None
    asyncio.run(only_annotations.finish(finished()))
    assert said


def test_the_summary_keeps_within_the_limit(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (MOST_BYTES - 5000))
    checks = [CheckResult(f"ümlaut {n}", Result.INVALID, 1, 0, "why") for n in range(1000)]
    asyncio.run(GithubSink(summary, None).finish(replace(finished(), checks=checks)))
    written = summary.read_bytes()
    assert MOST_BYTES - 200 < len(written) <= MOST_BYTES
    assert written.decode().endswith("\n\n*The rest is left out: a job summary holds 1 MiB.*\n")


@pytest.mark.parametrize("room", [-5, 0, 10])
def test_nothing_is_written_where_nothing_fits(room: int) -> None:
    assert fitting("a line\n" * 20, room) == b""


def test_a_document_that_just_fits_is_whole() -> None:
    assert fitting("ä\n", 3) == "ä\n".encode()


def test_a_summary_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"can't write .*: Is a directory; unset GITHUB_STEP_SUMMARY"):
        asyncio.run(GithubSink(tmp_path, None).finish(finished()))


def test_a_summary_that_does_not_fit_leaves_what_others_have_written(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    path = tmp_path / "step.md"
    path.write_text("# of another step\n")
    program = (
        "import asyncio, resource, signal, sys; from pathlib import Path\n"
        "from evload.sinks.github import GithubSink\n"
        "from tests.rigs.sink_reports import finished\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "try: asyncio.run(GithubSink(Path(sys.argv[1]), None).finish(finished()))\n"
        "except Exception as error: print(error)\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root, check=False)
    assert done.stdout == f"can't write {path}: File too large; unset GITHUB_STEP_SUMMARY to do without\n"
    assert path.read_text() == "# of another step\n"
