"""The figures of a run as lines: percentiles, the two sums of the ledger, reads, effects, gauges, self-checks."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from ...model.costs import Costs
from ...model.facts import COUNTERS, LEDGER_SUMS, METRICS, PERCENTILES, QUEUE_LAG, STALENESS
from ...model.report import CheckResult, Result
from ...model.summary import Distribution, GaugeSummary, ScenarioSummary, Summary
from ...report.costs import HEAD, basis, rows
from ...report.wording import beside_counts, check_figures, ends, hops, spoken
from ...texts import printable
from ...units import format_share

_COLUMNS: Final = ("p50", "p90", "p95", "p99", "events")
_FIRST_COLUMNS: Final = ("p99", "p50", "p95", "p90", "events")
"""Which columns of the distributions a narrow terminal keeps longest."""
_FIRST_ROWS: Final = ("consistency", "end_to_end", QUEUE_LAG, "publish", "schedule_delay", "first_seen")
"""Which rows a low one keeps longest."""
_COSTS: Final = (1, 2, 3, 4, 5)
_FIRST_COSTS: Final = (1, 4, 2, 5, 3)
"""Which columns of the costs go first where a terminal is narrow."""
_GAP: Final = 2
_EFFECTS: Final = 5
_HELD: Final = "\N{NO-BREAK SPACE}"
"""Where `textwrap` doesn't break a line."""


def distributions(summary: Summary, width: int, room: int | None = None) -> list[Text]:
    """A line for each metric, the columns that fit; the rows that `room` lines have place for."""
    table = {name: _cells(found) for name, found in _measured(summary).items()}
    if not table or (room is not None and room < 2):
        return []
    if room is not None and len(table) >= room:
        first = [*_FIRST_ROWS, *(name for name in table if name not in _FIRST_ROWS)]
        kept = [name for name in first if name in table][: room - 1]
        table = {name: cells for name, cells in table.items() if name in kept}
    widths = {name: max(len(name), *(len(cells[name]) for cells in table.values())) for name in _COLUMNS}
    name_width = max(map(len, table))
    left = width - name_width
    chosen = set()
    for name in _FIRST_COLUMNS:
        if widths[name] + _GAP <= left:
            left -= widths[name] + _GAP
            chosen.add(name)
    shown = [name for name in _COLUMNS if name in chosen]

    def line(first: str, cells: Mapping[str, str]) -> str:
        return f"{first:<{name_width}}" + "".join(f"{cells[name]:>{widths[name] + _GAP}}" for name in shown)

    head = line("", {name: name for name in shown})
    return [Text(head, style="bold"), *(Text(line(metric, cells)) for metric, cells in table.items())]


def _measured(summary: Summary) -> dict[str, Distribution]:
    """The distributions that have values, in the order of an event's way; of a chain of probes each hop."""
    total = summary.total()
    found = {**total.distributions, QUEUE_LAG: summary.queue_lag()}
    shown = {metric: found.get(metric) for metric in (*METRICS, QUEUE_LAG)} | {
        printable(name): hop for name, hop in hops(total).items()
    }
    return {metric: one for metric, one in shown.items() if one is not None and one.count}


def _cells(distribution: Distribution) -> dict[str, str]:
    cells = {"events": f"{distribution.count:,}"}
    for name in _COLUMNS[:-1]:
        cells[name] = ends(*distribution.bracket(PERCENTILES[name]))
    return cells


def ledger(total: ScenarioSummary, width: int) -> list[Text]:
    """Where every event went, as the two sums."""
    lines: list[Text] = []
    for whole, parts in LEDGER_SUMS.items():
        told = f"{total.ledger[whole]:,} {whole}"
        text = Text(textwrap.fill(f"{told} = {_sum(total.ledger, parts)}", width, subsequent_indent="  "))
        text.stylize("bold", 0, len(told))
        lines += text.split("\n")
    beside = [f"{total.ledger[key]:,} {spoken(key)}" for key in COUNTERS if total.ledger[key]]
    if beside:
        lines += _wrapped("of these: " + ", ".join(beside), width)
    for told in beside_counts(total):
        lines += _wrapped(told, width)
    return lines


def _sum(counts: Mapping[str, int], keys: Sequence[str]) -> str:
    terms = [f"{counts[key]:,} {key.replace('_', ' ')}" for key in keys if counts[key]]
    return " + ".join(terms) or "0"


def reading(summary: Summary, width: int) -> list[Text]:
    """What the reads cost, and what they tell beside the percentiles."""
    total, vitals = summary.total(), summary.vitals
    told = []
    # Of a run in which nobody looks for some events nothing is said of each: it would be of too many.
    watched = all("consistency" in scenario.distributions for scenario in summary.scenarios.values())
    events = total.with_warmup("acked") if watched else 0
    for name, reads in vitals.probes.items():
        if not reads.events:
            continue
        facts = [f"{reads.events / events:.3g} per event"] if events else [f"{reads.events:,}"]
        if reads.busiest:
            facts.append(f"{reads.busiest:,} in the busiest second")
        if (took := summary.reads.get(name)) is not None and took.count:
            facts.append(f"p99 of a request {ends(*took.bracket(PERCENTILES['p99']))}")
        if reads.stretch > 1:
            facts.append(f"gaps widened {reads.stretch:.3g} ×")
        if reads.failed:
            facts.append(f"{reads.failed:,} of {reads.requests:,} requests failed")
        if reads.throttled:
            facts.append(f"{reads.throttled:,} throttled")
        told.append(f"reads of {name}: {', '.join(facts)}")
    told += _told_by_reads(total)
    return [line for one in told for line in _wrapped(one, width)]


def _told_by_reads(total: ScenarioSummary) -> Iterator[str]:
    effects = total.tallies.get("effects", {})
    if effects.keys() - {1}:
        known = sorted(effects.items())
        told = [f"{each} × {events:,}" for each, events in known[:_EFFECTS]]
        more = sum(events for _, events in known[_EFFECTS:])
        yield f"effects per event: {', '.join([*told, f'more × {more:,}'] if more else told)}"
    if total.asked:
        yield f"replicas that agreed when last read: {format_share(total.agreeing / total.asked)}"
    if (staleness := total.ranges.get(STALENESS)) is not None:
        worst, mean = staleness.maximum, staleness.mean
        yield f"staleness: {worst:.3g} writes behind at worst, {mean:.3g} on average"


def gauges(found: Mapping[str, GaugeSummary], width: int) -> list[Text]:
    """A line for each gauge, with its values."""
    lines: list[Text] = []
    for name, gauge in found.items():
        values = [
            f"{value} max {series.maximum:,.6g}, last {series.last:,.6g}"
            for value, series in gauge.series.items()
            if series.count
        ]
        values += [f"{gauge.failed:,} samples failed"] if gauge.failed else []
        values += [f"{gauge.missing:,} samples without a value"] if gauge.missing else []
        lines += _wrapped(f"{name}: {'; '.join(values) or 'no data'}", width)
    return lines


def costs(found: Costs | None, width: int) -> list[Text]:
    """What the run cost: a line for each service, what isn't known, and by what a day and a month are told."""
    if found is None:
        return []
    table = [("cost", *HEAD), *((one.name, *one.cells) for one in rows(found))]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    kept = [0, *_COSTS]
    while sum(widths[at] + _GAP for at in kept) - _GAP > width and len(kept) > 2:
        kept.pop(next(index for index, at in enumerate(kept) if at == min(kept[1:], key=_FIRST_COSTS.index)))
    lines = []
    for number, row in enumerate(table):
        cells = [f"{row[0]:<{widths[0]}}", *(f"{row[at]:>{widths[at]}}" for at in kept[1:])]
        lines.append(Text((" " * _GAP).join(map(printable, cells)), style="bold" if not number else ""))
    for one in rows(found):
        lines += [line for reason in one.why for line in _wrapped(f"{one.name}: {reason}", width)]
    return [*lines, *_wrapped(basis(found), width)]


def checks(found: Sequence[CheckResult], width: int) -> list[Text]:
    """How many passed, then each with its value and limit, as many on a line as fit."""
    if not found:
        return []
    passed = sum(check.result is Result.PASS for check in found)
    skipped = [check for check in found if check.result is Result.SKIPPED]
    lines = [Text(f"self-checks: {passed} of {len(found) - len(skipped)} passed", style="bold")]
    told = [f"{check.name} {check_figures(check)}" for check in found if check.result is Result.PASS]
    told += [f"{check.name} not applicable" for check in skipped]
    # What belongs together breaks only where a line is too short for it.
    held = [one.replace(" ", _HELD) if len(one) < width - 4 else one for one in map(printable, told)]
    wrapped = textwrap.wrap(
        ", ".join(held), width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    return [*lines, *(Text(line.replace(_HELD, " "), style="dim") for line in wrapped)]


def _wrapped(text: str, width: int) -> list[Text]:
    return [
        Text(line) for line in textwrap.wrap(printable(text), width, subsequent_indent="  ", break_on_hyphens=False)
    ]
