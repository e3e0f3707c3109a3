"""Compares runs of a build with runs of another, or a new run with the ones before: `evload compare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from ..comparing import history
from ..comparing import show as compare_report
from ..comparing.compare import compare, no_evidence
from ..errors import UsageError

FORMATS: Final = ("text", "json", "md")


def run(
    base: str,
    new: str,
    *,
    write: Callable[[bytes], None],
    console: Console,
    rules: Sequence[str] = (),
    weekly: Sequence[str] = (),
    limits: Sequence[str] = (),
    warn_above: str | None = None,
    metric: str | None = None,
    scenario: str | None = None,
    within: str | None = None,
    save: Path | None = None,
    form: str = "text",
    strict: bool = False,
    force: bool = False,
) -> int:
    """Compare, print, keep NEW's figures if there is no regression, and return the exit code.

    Text goes to `console`, JSON and Markdown to `write`. Raises UsageError for bad arguments, OutputError if the
    file of figures can't be written.
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form}: no such format; choose {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if save is not None and save.exists():
        history.read_file(save)
    if save is not None and not save.exists() and base == str(save):
        return _begin(new, save, write, console, form)
    compared = compare(
        base, new, rules=rules, weekly=weekly, limits=limits, warn_above=warn_above, metric=metric, scenario=scenario,
        within=within, force=force,
    )  # fmt: skip
    if save is not None:
        if compared.regressions or compared.broken:
            compared.notes.append(f"{save} is left as it was: a baseline doesn't learn a regression")
        else:
            compared.notes.append(f"{save} holds {history.save(save, compared.new)} runs now")
    code = compared.exit_code(strict=strict)
    if form == "text":
        compare_report.show(console, compared)
    else:
        write(compare_report.as_json(compared, code) if form == "json" else compare_report.as_markdown(compared))
    return code


def _begin(new: str, save: Path, write: Callable[[bytes], None], console: Console, form: str) -> int:
    """The first of a baseline: nothing to compare with yet."""
    warnings: list[str] = []
    found = history.find(new, warnings.append)
    warnings += [f"{each.id} is left out: {each.flaw}" for each in found if each.flaw]
    runs = [each for each in found if not each.flaw]
    if not runs:
        raise UsageError(no_evidence("NEW", new, warnings))
    told = f"{save} begins with {history.save(save, runs)} runs; nothing to compare yet"
    compare_report.show_begin(told, warnings, write, console, form)
    return 0
