"""What a person sees: progress while a run goes on, and at its end the verdict and why, on one screen.

On a terminal the progress is redrawn in place; into a pipe it is one line every few seconds.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..ports import Progress
from ..summary import (
    METRICS,
    PERCENTILES,
    QUEUE_LAG,
    CheckResult,
    GaugeSummary,
    ObjectiveResult,
    Report,
    Result,
    ScenarioSummary,
    Summary,
)
from ..units import NS_PER_S, format_duration, format_rate, format_share

_STYLES: Final = {
    Result.PASS: "bold green",
    Result.WARN: "bold yellow",
    Result.FAIL: "bold red",
    Result.INCONCLUSIVE: "bold yellow",
    Result.INVALID: "bold magenta",
    Result.SKIPPED: "dim",
}
_MEANING: Final = {
    Result.PASS: "every objective holds",
    Result.WARN: "every objective holds, some only just",
    Result.FAIL: "an objective doesn't hold",
    Result.INCONCLUSIVE: "this run can't decide every objective",
    Result.INVALID: "the measurement itself can't be trusted",
}
_UNIT_OF_CHECK: Final = {
    "ledger closes": "count",
    "offered rate": "share",
    "lateness": "time",
    "resolution": "share",
    "evidence": "count",
    "horizon": "time",
}
"""What the value and the limit of a self-check are. The note of one that isn't listed has its figures."""
_LINE_EVERY_S: Final = 5.0
_COLUMNS: Final = ("p50", "p90", "p95", "p99", "events")
_FIRST_COLUMNS: Final = ("p99", "p50", "p95", "p90", "events")
"""Which columns of the distributions a narrow terminal keeps longest."""
_REASONS: Final = 5
_GAP: Final = 2
_INDENT: Final = 14
"""Where texts begin beside the longest result, `inconclusive`."""


class ConsoleSink:
    """Shows a run on `console`. `quiet` leaves out the progress and everything of the end but the verdict."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._line_at = 0.0

    def progress(self, now: Progress) -> None:
        if self._quiet:
            return
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(_panel(now, self._console.width), refresh=True)
        elif now.elapsed - self._line_at >= _LINE_EVERY_S:
            self._line_at = now.elapsed
            self._console.print(_line(now), soft_wrap=True, highlight=False)

    def close(self) -> None:
        """Give the terminal back, also after an error."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, report: Report) -> None:
        self.close()
        if self._quiet:
            self._console.print(_verdict(report), soft_wrap=True)
        else:
            self._console.print(_details(report, self._console.width))
        if report.directory is not None:
            self._console.print(Text(f"results in {report.directory}"), soft_wrap=True)


# -- while it runs -----------------------------------------------------------------------------------


def _panel(now: Progress, width: int) -> Group:
    clock = f"{now.elapsed:.0f} / {now.total:.0f} s"
    room = max(10, min(width, 100) - len(clock) - _GAP)
    bar = ProgressBar(total=max(now.total, 1e-9), completed=min(now.elapsed, now.total), width=room)
    head = Table.grid(padding=(0, 1))
    head.add_row(bar, Text(clock))
    figures = Table.grid(padding=(0, _GAP))
    offered, achieved = format_rate(round(now.offered_rate)), format_rate(round(now.achieved_rate))
    figures.add_row("phase", Text(now.phase, style="bold"))
    figures.add_row("rate", f"offered {offered}, achieved {achieved}")
    figures.add_row(
        "events", f"{now.scheduled:,} scheduled, {now.in_flight:,} in flight, {now.outstanding:,} not settled"
    )
    figures.add_row("settled", _settled(now))
    figures.add_row("consistency", _percentiles(now))
    return Group(head, figures)


def _line(now: Progress) -> str:
    return (
        f"{now.elapsed:4.0f} s  {now.phase}  offered {format_rate(round(now.offered_rate))}  "
        f"achieved {format_rate(round(now.achieved_rate))}  in flight {now.in_flight:,}  {_settled(now)}  "
        f"consistency {_percentiles(now)}"
    )


def _settled(now: Progress) -> str:
    states = now.states
    acked = states.get("acked", 0)
    share = f"visible {format_share(states.get('visible', 0) / acked)}" if acked else "none yet"
    bad = [f"{states[key]:,} {key.replace('_', ' ')}"
           for key in ("lost", "regressed", "duplicated", "rejected", "returned", "unsent", "in_doubt")
           if states.get(key)]  # fmt: skip
    return ", ".join([share, *bad])


def _percentiles(now: Progress) -> str:
    if not now.percentiles:
        return "none yet"
    return "  ".join(f"{name} {_bracket(low, high)}" for name, (low, high) in now.percentiles.items())


# -- at the end --------------------------------------------------------------------------------------


def _details(report: Report, width: int) -> Group:
    """What decides first, then what there is to look at, then the figures."""
    total = report.summary.total()
    parts = [
        [_verdict(report)],
        _objectives(report.objectives, width),
        _remarks(report, width),
        _distributions(report.summary, width),
        _gauges(report.summary.gauges, width),
        [*_ledger(total), *_checks(report.checks, width)],
    ]
    return Group(*(line for part in parts if part for line in (Text(), *part)))


def _verdict(report: Report) -> Text:
    meaning = _MEANING[report.verdict]
    if report.summary.vitals.interrupted:
        meaning = f"interrupted; as far as it went, {meaning}"
    elif not report.objectives and report.verdict is Result.PASS:
        meaning = "no objectives to judge; the measurement is sound"
    return Text.assemble(
        (report.verdict.value.upper(), _STYLES[report.verdict]), "  ", (report.name, "bold"), f": {meaning}"
    )


def _objectives(objectives: Sequence[ObjectiveResult], width: int) -> list[Text]:
    """A line each; below it why, unless it simply holds."""
    names = [o.expression + (f" [{o.scenario}]" if o.scenario else "") for o in objectives]
    observed = [_observed(objective) for objective in objectives]
    name_width = max(map(len, names), default=0) + _GAP
    observed_width = max(map(len, observed), default=0)
    lines = []
    for objective, name, figure in zip(objectives, names, observed, strict=True):
        result = (f"{objective.result.value:<{_INDENT}}", _STYLES[objective.result])
        if _INDENT + name_width + observed_width <= width:
            lines.append(Text.assemble(result, f"{name:<{name_width}}{figure:>{observed_width}}"))
        else:
            lines += [Text.assemble(result, name), Text(" " * _INDENT + figure)]
        if objective.result is not Result.PASS and objective.note:
            lines.append(Text(_indented(objective.note, width), style="dim"))
    return lines


def _observed(objective: ObjectiveResult) -> str:
    low, high = objective.observed
    expression = objective.expression
    if low is None and high is None:
        return "no data"
    if expression.startswith(("share(", "rate(")):
        return _interval([None if end is None else format_share(end) for end in (low, high)])
    if expression.startswith("throughput("):
        return _interval([None if end is None else format_rate(end) for end in (low, high)])
    if "(" in expression and objective.subject in (*METRICS, QUEUE_LAG):
        return _bracket(low, high)
    return _interval([None if end is None else f"{end:,.6g}" for end in (low, high)])


def _interval(ends: Sequence[str | None]) -> str:
    low, high = ("?" if end is None else end for end in ends)
    if low == high:
        return high
    number, _, unit = low.partition(" ")
    return f"{number if unit and high.endswith(' ' + unit) else low} … {high}"


def _bracket(low: float | None, high: float | None) -> str:
    """A bracket in seconds as a person reads it; one figure if both ends print alike."""
    if low is None:
        return "never"
    return _interval([format_duration(low * NS_PER_S), "never" if high is None else format_duration(high * NS_PER_S)])


def _remarks(report: Report, width: int) -> list[Text]:
    """What to look at beside the objectives: failed self-checks, errors, what limits the figures."""
    vitals = report.summary.vitals
    lines = []
    for check in report.checks:
        if check.result not in (Result.PASS, Result.SKIPPED):
            told = _indented(f"self-check {check.name}: {_figures(check)}", width)
            if check.note and check.note != _figures(check):
                told += "\n" + _indented(check.note, width)
            result = (f"{check.result.value:<{_INDENT}}", _STYLES[check.result])
            lines.append(Text.assemble(result, told[_INDENT:]))
    notes = []
    if vitals.crashed:
        notes.append("the run was killed or is still going on; what was outstanding counts as in doubt")
    nameless = [probe for probe, replicas in vitals.replicas.items() if not replicas]
    if nameless and vitals.event_reads:
        probes = ", ".join(nameless)
        notes.append(f"{probes}: answers name no replica; if there are several, they could not be told apart")
    reasons = sorted(vitals.errors.items(), key=lambda item: -item[1])
    notes += [f"{count:,} × {reason}" for reason, count in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        notes.append(f"and {len(reasons) - _REASONS} more reasons, in summary.json")
    return lines + [Text(_indented(note, width), style="dim") for note in notes]


def _distributions(summary: Summary, width: int) -> list[Text]:
    """A line for each metric; the columns that fit."""
    found = {**summary.total().distributions, QUEUE_LAG: summary.queue_lag()}
    table: dict[str, Mapping[str, str]] = {}
    for metric in (*METRICS, QUEUE_LAG):
        distribution = found.get(metric)
        if distribution is None or not distribution.count:
            continue
        cells = {"events": f"{distribution.count:,}"}
        for name in _COLUMNS[:-1]:
            low, high = distribution.bracket(PERCENTILES[name])
            cells[name] = _bracket(None if low is None else low / NS_PER_S, None if high is None else high / NS_PER_S)
        table[metric] = cells
    if not table:
        return []
    widths = {name: max(len(name), *(len(cells[name]) for cells in table.values())) for name in _COLUMNS}
    name_width = max(map(len, table))
    left = width - name_width
    chosen = set()
    for name in _FIRST_COLUMNS:
        left -= widths[name] + _GAP
        if left < 0:
            left += widths[name] + _GAP
        else:
            chosen.add(name)
    shown = [name for name in _COLUMNS if name in chosen]

    def line(first: str, cells: Mapping[str, str]) -> str:
        return f"{first:<{name_width}}" + "".join(f"{cells[name]:>{widths[name] + _GAP}}" for name in shown)

    head = line("", {name: name for name in shown})
    return [Text(head, style="bold"), *(Text(line(metric, cells)) for metric, cells in table.items())]


def _gauges(gauges: Mapping[str, GaugeSummary], width: int) -> list[Text]:
    """A line for each gauge, with its values."""
    lines = []
    for name, gauge in gauges.items():
        values = [
            f"{value} max {series.maximum:,.6g}, last {series.last:,.6g}"
            for value, series in gauge.series.items()
            if series.count
        ]
        failed = [f"{gauge.failed:,} samples failed"] if gauge.failed else []
        told = f"{name}: {'; '.join([*values, *failed]) or 'no data'}"
        lines.append(Text(textwrap.fill(told, width, subsequent_indent="  ")))
    return lines


def _ledger(total: ScenarioSummary) -> list[Text]:
    """Where every event went, as the two sums."""
    ledger = total.ledger
    lines = []
    for whole, parts in (
        ("scheduled", ("acked", "unsent", "rejected", "returned", "in_doubt")),
        ("acked", ("visible", "lost", "regressed", "pending", "unobserved")),
    ):
        lines.append(Text.assemble((f"{ledger[whole]:,} {whole}", "bold"), " = ", _sum(ledger, parts)))
    beside = [f"{ledger[key]:,} {key.replace('_', ' ')}"
              for key in ("duplicated", "regressions", "out_of_order", "recovered") if ledger[key]]  # fmt: skip
    return [*lines, Text("of these: " + ", ".join(beside))] if beside else lines


def _sum(ledger: Mapping[str, int], keys: Sequence[str]) -> str:
    terms = [f"{ledger[key]:,} {key.replace('_', ' ')}" for key in keys if ledger[key]]
    return " + ".join(terms) or "0"


def _checks(checks: Sequence[CheckResult], width: int) -> list[Text]:
    """How many passed, then each with its value and limit, as many on a line as fit."""
    if not checks:
        return []
    passed = sum(check.result is Result.PASS for check in checks)
    skipped = [check for check in checks if check.result is Result.SKIPPED]
    lines = [Text(f"self-checks: {passed} of {len(checks) - len(skipped)} passed", style="bold")]
    told = [f"{check.name} {_figures(check)}" for check in checks if check.result is Result.PASS]
    told += [f"{check.name} not applicable" for check in skipped]
    line = ""
    for one in told:
        if line and len(line) + len(one) + len(", ,") > width:
            lines.append(Text(line + ",", style="dim"))
            line = ""
        line = f"{line}, {one}" if line else f"  {one}"
    return [*lines, Text(line, style="dim")] if line else lines


def _figures(check: CheckResult) -> str:
    value, limit = check.value, check.limit
    if value is None or limit is None:
        return check.note
    unit = _UNIT_OF_CHECK.get(check.name)
    if unit is None and check.note:
        return check.note
    if unit == "share":
        return f"{format_share(value)} (limit {format_share(limit)})"
    if unit == "time" and limit:  # a limit of 0 is always one of events
        return f"{format_duration(value * NS_PER_S)} (limit {format_duration(limit * NS_PER_S)})"
    return f"{value:,.6g} (limit {limit:,.6g})"


def _indented(text: str, width: int) -> str:
    """The text below an objective or a self-check, wrapped at words."""
    indent = " " * _INDENT
    return textwrap.fill(text, max(width, 2 * _INDENT), initial_indent=indent, subsequent_indent=indent)
