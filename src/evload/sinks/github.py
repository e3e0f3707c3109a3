"""GitHub Actions: the report in the job's summary, and an annotation for each objective that isn't met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ..errors import OutputError
from ..model.progress import Progress
from ..model.report import Report, Result
from ..report import actions, wording
from ..texts import printable

MOST_BYTES: Final = 1024 * 1024
"""What GitHub takes as the summary of one step; it drops all of a longer one."""
MOST_ANNOTATIONS: Final = 10
"""What it shows of errors, and of warnings, of one step."""
_CUT: Final = "\n\n*The rest is left out: a job summary holds 1 MiB.*\n"
_LEVELS: Final = {
    Result.FAIL: "error",
    Result.INVALID: "error",
    Result.INCONCLUSIVE: "error",
    Result.WARN: "warning",
}


class GithubSink:
    """Appends to the file `summary`, where there is one, and hands annotations to `annotate`, where it is given."""

    def __init__(self, summary: Path | None, annotate: Callable[[bytes], None] | None) -> None:
        self._summary = summary
        self._annotate = annotate

    def progress(self, now: Progress) -> None:
        """Nothing is written before the end."""

    async def finish(self, report: Report) -> None:
        if self._annotate is not None and (lines := workflow_commands(report)):
            self._annotate(lines.encode())
        if self._summary is not None:
            from ..formats.markdown import markdown

            try:
                self._append(self._summary, markdown(report))
            except OSError as error:
                raise OutputError(
                    f"can't write {self._summary}: {error.strerror}; unset GITHUB_STEP_SUMMARY to do without"
                ) from error

    @staticmethod
    def _append(summary: Path, document: str) -> None:
        """All that fits into a summary, or nothing: what others have written there stays as it is."""
        with summary.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                left = memoryview(fitting(document, MOST_BYTES - before))
                while left:
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(before)
                raise


def from_environment(environ: Mapping[str, str], write: Callable[[bytes], None]) -> GithubSink | None:
    """The sink for the step that this process runs in; None outside of GitHub Actions. `write` is stdout."""
    summary = environ.get("GITHUB_STEP_SUMMARY")
    in_actions = environ.get("GITHUB_ACTIONS") == "true"
    if not summary and not in_actions:
        return None
    return GithubSink(Path(summary) if summary else None, write if in_actions else None)


def workflow_commands(report: Report) -> str:
    """Annotations, a line each: an error or a warning for what isn't met, objectives before self-checks; an error for
    what could not be done to the system, or not be undone."""
    found: dict[str, list[str]] = {"error": [], "warning": []}
    for objective in report.objectives:
        if level := _LEVELS.get(objective.result):
            told = f"{objective.result.value}: observed {wording.observed(objective)}"
            told += f"\n{objective.note}" if objective.note else ""
            found[level].append(_command(level, wording.title(objective), told))
    for check in report.checks:
        if level := _LEVELS.get(check.result):
            told = f"{check.result.value}: {wording.check_figures(check)}"
            found[level].append(_command(level, f"self-check {check.name}", told))
    for one in actions.done(report.summary.markers):
        if one.failed:
            found["error"].append(_command("error", f"action {one.name}", one.sentence))
    if not any(found.values()) and (level := _LEVELS.get(report.verdict)):
        found[level].append(_command(level, report.name, f"{report.verdict.value}: {wording.headline(report)}"))
    if report.not_undone:  # the first: of many only the first are shown
        found["error"].insert(0, _command("error", "not undone", report.not_undone))
    lines = []
    for level, commands in found.items():
        if len(commands) > MOST_ANNOTATIONS:
            left = len(commands) - MOST_ANNOTATIONS + 1
            more = _command(level, f"and {left} more", "see the job's summary")
            commands = [*commands[: MOST_ANNOTATIONS - 1], more]
        lines += commands
    return "".join(line + "\n" for line in lines)


def fitting(document: str, room: int) -> bytes:
    """As much of a document as fits into `room` bytes, cut between two lines, with a word about the rest."""
    content = document.encode()
    if len(content) <= room:
        return content
    kept = content[: max(0, room - len(_CUT.encode()))]
    kept = kept[: kept.rfind(b"\n") + 1]
    return kept + _CUT.encode() if kept else b""


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{_data(message)}"


def _data(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))
