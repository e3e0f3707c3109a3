"""Makes any report of a run again from its directory."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import UsageError
from ..ledger.reader import LedgerReader
from ..report.build import build_again
from ..run import directory as directories
from ..run.unfinished import not_undone
from ..sinks.console.sink import ConsoleSink
from ..spi import registry
from ..spi.format import Format
from ..spi.sink import write_file
from ..terminal.console import PlainConsole
from ..texts import near

TEXT = "text"


def again(
    directory: Path, form: str, out: Path | None, console: PlainConsole, write: Callable[[bytes], None]
) -> None:
    """Print the report of a run in one format, or write it to `out`: a file, or a directory for all its files.

    Raises UsageError for a format that can't be had or a directory without a run, OutputError for what can't be
    written.
    """
    chosen = None if form == TEXT else _format(form)
    if chosen is not None and chosen.binary and out is None and console.is_terminal:
        raise UsageError(f"--format {form}: binary, and no use on a terminal; name a file with --out")
    run = directories.find(directory)
    with LedgerReader(run.ledger) as ledger:
        report = replace(build_again(ledger, run.path, run.config_text()), not_undone=not_undone(run.path))
    if chosen is None:
        if out is None:
            ConsoleSink(console, whole=True).show(report)
        else:
            page = io.StringIO()
            ConsoleSink(PlainConsole(page, width=100)).show(report)
            write_file(out, page.getvalue().encode())
        return
    files = chosen.files(report)
    content = next(iter(files.values()))
    if out is None:
        write(content)
    elif out.is_dir() or (len(files) > 1 and not out.suffix):
        for name, each in files.items():
            write_file(out / name, each)
    else:
        write_file(out, content)


def formats() -> list[str]:
    """The names of all formats that are installed."""
    return [TEXT, *sorted(registry.kinds("evload.formats"))]


def _format(name: str) -> Format:
    try:
        return registry.load_format(name)
    except registry.UnknownKind:
        known = formats()
        close = near(name, known)
        cure = f"did you mean {close[0]}?" if close else f"choose {', '.join(known[:-1])} or {known[-1]}"
        raise UsageError(f"--format {name}: no such format; {cure}") from None
    except registry.BrokenPlugin as error:
        raise UsageError(f"--format {name}: {error}") from None
