"""Makes any report of a run again from its directory."""

from __future__ import annotations

import difflib
import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ..errors import UsageError
from ..formats.by_name import FORMATS
from ..ledger.reader import LedgerReader
from ..report.build import build_again
from ..run import directory as directories
from ..sinks._shared.files import replace
from ..sinks.console.sink import ConsoleSink

TEXT = "text"


def again(directory: Path, form: str, out: Path | None, console: Console, write: Callable[[bytes], None]) -> None:
    """Print the report of a run in one format, or write it to `out`: a file, or a directory for all its files.

    Raises UsageError for an unknown format or a directory without a run, OutputError for what can't be written.
    """
    if form != TEXT and form not in FORMATS:
        known = [TEXT, *FORMATS]
        close = difflib.get_close_matches(form, known, n=1)
        cure = f"did you mean {close[0]}?" if close else f"choose {', '.join(known[:-1])} or {known[-1]}"
        raise UsageError(f"--format {form}: no such format; {cure}")
    run = directories.find(directory)
    with LedgerReader(run.ledger) as ledger:
        report = build_again(ledger, run.path, directories.text(run.config))
    if form == TEXT:
        if out is None:
            ConsoleSink(console, whole=True).finish(report)
        else:
            page = io.StringIO()
            ConsoleSink(Console(file=page, width=100)).finish(report)
            replace(out, page.getvalue().encode())
        return
    files = FORMATS[form](report)
    content = next(iter(files.values()))
    if out is None:
        write(content)
    elif out.is_dir() or (len(files) > 1 and not out.suffix):
        for name, each in files.items():
            replace(out / name, each)
    else:
        replace(out, content)
