"""What a person sees: progress while a run goes on, and at its end the verdict and why, on one screen.

On a terminal the progress is redrawn in place; into a pipe or on a CI server it is one line every few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ...model.progress import Progress
from ...model.report import Report, Result
from ...report.wording import circumstances, headline, observed, title
from ...texts import printable
from . import figures
from .journeys import journeys, journeys_in_short
from .live import news, screen, words
from .look import STYLES, remarks
from .races import rounds, rounds_in_short
from .text import INDENT, indented, wrapped

_LINE_EVERY_S: Final = 5.0
_GAP: Final = 2


class ConsoleSink:
    """Shows a run on `console`. `quiet` leaves out the progress and everything of the end but the verdict.

    On a terminal the end is cut to the figures that its height has place for, unless it shall be shown `whole`. While
    whoever reads is behind, as `clogged` says, progress is left out.
    """

    def __init__(
        self,
        console: Console,
        *,
        quiet: bool = False,
        whole: bool = False,
        clogged: Callable[[], bool] = lambda: False,
    ) -> None:
        self._console = console
        self._clogged = clogged
        self._quiet = quiet
        self._whole = whole
        self._redraws = console.is_interactive and console.file.isatty() and not os.environ.get("CI")
        self._live: Live | None = None
        self._line_at: float | None = None
        self._phase = ""
        self._told: set[str] = set()

    def progress(self, now: Progress) -> None:
        if self._quiet or self._clogged():
            return
        if self._redraws:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Group(*screen(now, self._console.width, self._console.height)), refresh=True)
            return
        if self._line_at is None or now.elapsed - self._line_at >= _LINE_EVERY_S or now.phase != self._phase:
            self._line_at, self._phase = now.elapsed, now.phase
            self._line(words(now))
        fresh = news(now, self._told)
        self._told |= fresh.keys()
        for line in fresh.values():
            self._line(line)

    def close(self) -> None:
        """Give the terminal back, also after an error."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    async def finish(self, report: Report) -> None:
        self.show(report)

    def show(self, report: Report) -> None:
        """The end of a run."""
        self.close()
        cut = False
        if self._quiet:
            self._console.print(*_verdict(report), soft_wrap=True)
        else:
            height = self._console.height if self._redraws and not self._whole else None
            lines, cut = _details(report, self._console.width, height)
            self._console.print(Group(*lines))
        if report.directory is not None:
            place = f"results in {report.directory}"
            more = f"; all of it: evload report {report.directory}" if cut else ""
            self._line(place + more)
        if report.not_undone:
            self._console.print(Text(printable(report.not_undone), style="bold red"), soft_wrap=True)

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def _details(report: Report, width: int, height: int | None) -> tuple[list[Text], bool]:
    """What decides first, then what there is to look at, then the figures; and whether some of them are left out."""
    verdict = [*_verdict(report, width), *_abort(report, width), *_circumstances(report, width)]
    first = _joined(verdict, _objectives(report, width), remarks(report, width))
    # Below all this come the place of the results and the prompt.
    blocks, cut = _figures(report, width, None if height is None else height - len(first) - 2)
    return [*first, *_joined(*blocks)], cut


def _figures(report: Report, width: int, room: int | None) -> tuple[list[list[Text]], bool]:
    """Blocks of lines, those for which `room` lines have place; and whether that is not all of them."""
    summary = report.summary
    sums, checks = figures.ledger(summary.total(), width), figures.checks(report.checks, width)
    facts = [*figures.reading(summary, width), *figures.gauges(summary.gauges, width)]
    costs, told = figures.costs(summary.costs, width), journeys(summary, width)
    raced = rounds(summary, width)
    whole = [told, raced, figures.distributions(summary, width), facts, costs, [*sums, *checks]]
    if room is None or len(_joined(*whole)) <= room:
        return whole, False
    kept = [*sums, *checks[:1]]
    room -= len(kept) + 1
    if room < 0:
        return [], True
    told = journeys_in_short(summary, width)
    if len(_joined(told)) > room:
        told = []
    room -= len(_joined(told))
    raced = rounds_in_short(summary, width)
    if len(_joined(raced)) > room:
        raced = []
    room -= len(_joined(raced))
    table = figures.distributions(summary, width, room - 1)
    room -= len(_joined(table))
    if len(_joined(costs)) > room:
        costs = []
    room -= len(_joined(costs))
    if len(_joined(facts)) > room:
        facts = []
    return [told, raced, table, facts, costs, kept], True


def _joined(*blocks: Sequence[Text]) -> list[Text]:
    return [line for block in blocks if block for line in (Text(), *block)]


def _verdict(report: Report, width: int | None = None) -> list[Text]:
    """The verdict, the name of the run, and what decided it; on one line without a width."""
    verdict, name = report.verdict.value.upper(), printable(report.name)
    told = f"{verdict}  {name}: {printable(headline(report))}"
    first, *more = [told] if width is None else wrapped(told, width)
    line = Text(first)
    line.stylize(STYLES[report.verdict], 0, len(verdict))
    line.stylize("bold", len(verdict) + 2, len(verdict) + 2 + len(name))
    return [line, *map(Text, more)]


def _abort(report: Report, width: int) -> list[Text]:
    note = report.summary.vitals.abort_note
    return list(Text(indented(note, width, "  "), style="dim").split("\n")) if note else []


def _circumstances(report: Report, width: int) -> list[Text]:
    told = ", ".join(f"{name} {value}" for name, value in circumstances(report.circumstances))
    return list(Text(indented(printable(told), width, "  "), style="dim").split("\n")) if told else []


def _objectives(report: Report, width: int) -> list[Text]:
    """A line each; below it why, unless it simply holds."""
    names = [printable(title(objective)) for objective in report.objectives]
    seen = [observed(objective) for objective in report.objectives]
    name_width = max(map(len, names), default=0) + _GAP
    seen_width = max(map(len, seen), default=0)
    lines = []
    for objective, name, figure in zip(report.objectives, names, seen, strict=True):
        result = (f"{objective.result.value:<{INDENT}}", STYLES[objective.result])
        if INDENT + name_width + seen_width <= width:
            lines.append(Text.assemble(result, f"{name:<{name_width}}{figure:>{seen_width}}"))
        elif INDENT + len(name) + _GAP + len(figure) <= width:
            lines.append(Text.assemble(result, name, " " * _GAP, figure))
        else:
            wrapped = indented(name, width)[INDENT:]
            lines += [*Text.assemble(result, wrapped).split("\n"), Text(" " * INDENT + figure)]
        if objective.result is not Result.PASS and objective.note:
            lines += Text(indented(objective.note, width), style="dim").split("\n")
    return lines
