"""What a person sees: progress while a run goes on, and at its end the verdict and why.

On a terminal the progress is redrawn in place; into a pipe it is one line every few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..ports import Progress
from ..stats.histogram import bracket
from ..summary import METRICS, PERCENTILES, CheckResult, ObjectiveResult, Report, Result, ScenarioSummary
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
_LINE_EVERY_S: Final = 5.0
_SHOWN: Final = ("p50", "p90", "p95", "p99")
_REASONS: Final = 5
_NARROW: Final = 60


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
            self._live.update(self._panel(now), refresh=True)
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
        if not self._quiet:
            self._console.print(self._details(report))
        self._console.print(self._verdict(report), highlight=False, soft_wrap=True)

    # -- while it runs -------------------------------------------------------------------------------

    def _panel(self, now: Progress) -> Group:
        width = min(self._console.width, 100)
        bar = ProgressBar(total=max(now.total, 1e-9), completed=min(now.elapsed, now.total), width=width - 16)
        clock = Table.grid(padding=(0, 1))
        clock.add_row(bar, Text(f"{now.elapsed:.0f} / {now.total:.0f} s"))
        figures = Table.grid(padding=(0, 2))
        figures.add_row("phase", Text(now.phase, style="bold"))
        offered, achieved = format_rate(round(now.offered_rate)), format_rate(round(now.achieved_rate))
        figures.add_row("rate", f"offered {offered}, achieved {achieved}")
        figures.add_row("events", f"{now.scheduled:,} scheduled, {now.in_flight:,} in flight, {_outstanding(now)}")
        figures.add_row("settled", _settled(now))
        figures.add_row("consistency", _percentiles(now))
        return Group(clock, figures)

    # -- at the end ----------------------------------------------------------------------------------

    def _details(self, report: Report) -> Group:
        parts: list[Table | Text] = [Text()]
        total = report.summary.total()
        parts.append(_distributions(total))
        if report.objectives:
            parts += [Text(), _objectives(report.objectives, narrow=self._console.width < _NARROW)]
        parts += [Text(), _ledger(total), *_notes(report), _checks(report.checks)]
        return Group(*parts)

    def _verdict(self, report: Report) -> Text:
        text = Text()
        text.append(report.verdict.value.upper(), style=_STYLES[report.verdict])
        meaning = _MEANING[report.verdict]
        if report.summary.vitals.interrupted:
            meaning = f"interrupted; as far as it went, {meaning}"
        elif not report.objectives and report.verdict is Result.PASS:
            meaning = "no objectives to judge; the measurement is sound"
        text.append(f"  {report.name}: {meaning}")
        if report.directory is not None:
            text.append(f"\nresults in {report.directory}")
        return text


def _line(now: Progress) -> str:
    return (
        f"{now.elapsed:4.0f} s  {now.phase}  offered {format_rate(round(now.offered_rate))}  "
        f"achieved {format_rate(round(now.achieved_rate))}  in flight {now.in_flight}  {_settled(now)}  "
        f"consistency {_percentiles(now)}"
    )


def _outstanding(now: Progress) -> str:
    return f"{now.outstanding:,} not settled"


def _settled(now: Progress) -> str:
    states = now.states
    acked = states.get("acked", 0)
    share = f"visible {format_share(states.get('visible', 0) / acked)}" if acked else "none yet"
    bad = [f"{states[key]:,} {key}" for key in ("lost", "regressed", "duplicated", "rejected", "unsent", "in_doubt")
           if states.get(key)]  # fmt: skip
    return ", ".join([share, *bad])


def _percentiles(now: Progress) -> str:
    if not now.percentiles:
        return "none yet"
    return "  ".join(f"{name} {_bracket(low, high)}" for name, (low, high) in now.percentiles.items())


def _bracket(low: float | None, high: float | None) -> str:
    """A bracket in seconds as a person reads it; one figure if both ends print alike."""
    if low is None:
        return "never"
    lower = format_duration(low * NS_PER_S)
    if high is None:
        return f"{lower} … never"
    upper = format_duration(high * NS_PER_S)
    if lower == upper:
        return upper
    number, unit = lower.split(" ")
    return f"{number if upper.endswith(' ' + unit) else lower} … {upper}"


def _distributions(total: ScenarioSummary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for name in _SHOWN:
        table.add_column(name, justify="right")
    table.add_column("events", justify="right")
    table.add_column("never seen", justify="right")
    for metric in METRICS:
        distribution = total.distributions.get(metric)
        if distribution is None or not distribution.count:
            continue
        cells = []
        for name in _SHOWN:
            low, high = bracket(PERCENTILES[name], distribution.lower, distribution.upper)
            cells.append(_bracket(None if low is None else low / NS_PER_S, None if high is None else high / NS_PER_S))
        table.add_row(metric, *cells, f"{distribution.count:,}", f"{distribution.censored:,}")
    return table


def _objectives(objectives: Sequence[ObjectiveResult], *, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("objective")
    table.add_column("observed", justify="right")
    table.add_column("result")
    if not narrow:
        table.add_column("because", style="dim")
    for objective in objectives:
        scope = f" [{objective.scenario}]" if objective.scenario else ""
        cells = [
            Text(objective.expression + scope),
            Text(_observed(objective)),
            Text(objective.result.value, style=_STYLES[objective.result]),
        ]
        table.add_row(*cells, *([] if narrow else [Text(objective.note)]))
    return table


def _observed(objective: ObjectiveResult) -> str:
    low, high = objective.observed
    expression = objective.expression
    if low is None and high is None:
        return "no data"
    if expression.startswith(("share(", "rate(")):
        ends = [format_share(end) for end in (low, high) if end is not None]
    elif expression.startswith("throughput("):
        ends = [format_rate(end) for end in (low, high) if end is not None]
    elif expression.startswith(("p", "max(", "min(", "mean(")) and "(" in expression:
        return _bracket(low, high)
    else:
        ends = [f"{end:,.0f}" for end in (low, high) if end is not None]
        if high is None:
            ends.append("?")
    return ends[0] if len(set(ends)) == 1 else " … ".join(ends)


def _ledger(total: ScenarioSummary) -> Text:
    """Where every event went, as the two sums."""
    ledger = total.ledger
    text = Text()
    text.append(f"{ledger['scheduled']:,} scheduled", style="bold")
    text.append(" = " + _sum(ledger, ("acked", "unsent", "rejected", "returned", "in_doubt")))
    text.append("\n")
    text.append(f"{ledger['acked']:,} acked", style="bold")
    text.append(" = " + _sum(ledger, ("visible", "lost", "regressed", "pending", "unobserved")))
    beside = [f"{ledger[key]:,} {key.replace('_', ' ')}"
              for key in ("duplicated", "regressions", "out_of_order", "recovered") if ledger[key]]  # fmt: skip
    if beside:
        text.append("\nof these: " + ", ".join(beside))
    return text


def _sum(ledger: dict[str, int], keys: tuple[str, ...]) -> str:
    terms = [f"{ledger[key]:,} {key.replace('_', ' ')}" for key in keys if ledger[key]]
    return " + ".join(terms) or "0"


def _notes(report: Report) -> list[Text]:
    """What a person should know beside the objectives."""
    vitals = report.summary.vitals
    notes = []
    if vitals.crashed:
        notes.append("the run was killed or is still going on; what was outstanding counts as in doubt")
    for probe, replicas in vitals.replicas.items():
        if not replicas and vitals.event_reads:
            notes.append(f"{probe}: answers name no replica; if there are several, they could not be told apart")
    reasons = sorted(vitals.errors.items(), key=lambda item: -item[1])
    notes += [f"{count:,} × {reason}" for reason, count in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        notes.append(f"and {len(reasons) - _REASONS} more reasons, in summary.json")
    return [Text(note, style="dim") for note in notes]


def _checks(checks: Sequence[CheckResult]) -> Text:
    text = Text("\n")
    passed = sum(check.result is Result.PASS for check in checks)
    skipped = [check.name for check in checks if check.result is Result.SKIPPED]
    text.append(f"self-checks: {passed} of {len(checks) - len(skipped)} passed")
    if skipped:
        text.append(f" (not applicable: {', '.join(skipped)})", style="dim")
    for check in checks:
        if check.result not in (Result.PASS, Result.SKIPPED):
            text.append(f"\n  {check.name}: ")
            text.append(check.result.value, style=_STYLES[check.result])
            text.append(f"  {_figures(check)}{check.note}")
    return text


def _figures(check: CheckResult) -> str:
    if check.value is None or check.limit is None:
        return ""
    return f"{check.value:.4g} against {check.limit:.4g}  "
