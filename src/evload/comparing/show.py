"""Shows a comparison of runs: to a person, as Markdown, and as data."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..objectives.change import Kind
from ..report.costs import money
from ..stats.comparison import CONFIDENCE
from ..texts import plain_json, printable
from ..units import NS_PER_S, format_byte_rate, format_duration, format_rate, format_share
from .figures import Span
from .limits import FigureLimit, Standing
from .regression import FigureResult, Outcome

if TYPE_CHECKING:
    from .compare import Comparison


FORMAT: Final = 1
_RESULTS: Final = {
    "regression": "bold red", "limit exceeded": "bold red", "undecided": "bold yellow", "no regression": "bold green",
}  # fmt: skip
_STYLES: Final = {
    Outcome.WORSE: "bold red",
    Outcome.TOLERATED: "yellow",
    Outcome.BETTER: "green",
    Outcome.UNKNOWN: "yellow",
}
_COLUMNS: Final = ("figure", "base", "new", "change", "outcome")
_INDENT: Final = "  "


def show(console: Console, compared: Comparison) -> None:
    """The result, the table, then what there is to say in sentences."""
    result = result_of(compared)
    console.print(
        Text.assemble((result.upper(), _RESULTS[result]), "  ", (compared.name, "bold"), f": {_subject(compared)}"),
        soft_wrap=True,
    )
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in _COLUMNS:
        table.add_column(column, no_wrap=column != "change", justify="left" if column in _COLUMNS[::4] else "right")
    for judged in compared.figures:
        gated = judged.tolerance is not None
        style = _STYLES.get(judged.outcome, "") if gated else "dim"
        table.add_row(*map(Text, _cells(judged)), Text(judged.outcome.value, style=style))
    console.print(table)
    console.print()
    for sentence in sentences(compared):
        console.print(Text(textwrap.fill(printable(sentence), console.width, subsequent_indent=_INDENT)))
    for warning in (*nearly(compared), *compared.warnings):
        told = printable(f"warning: {warning}")
        text = textwrap.fill(told, console.width, subsequent_indent=_INDENT, break_long_words=False)
        console.print(Text(text, style="yellow"))
    for note in compared.notes:
        console.print(Text(note), soft_wrap=True)


def show_begin(
    told: str, warnings: Sequence[str], write: Callable[[bytes], None], console: Console, form: str
) -> None:
    """That a baseline has begun, and there is nothing to compare yet."""
    if form == "json":
        content = {"format": FORMAT, "result": "begun", "exit_code": 0, "warnings": warnings, "notes": [told]}
        write(plain_json(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)))
    elif form == "md":
        write("".join(f"- {_escape(line)}\n" for line in (told, *warnings)).encode())
    else:
        for line in (told, *(f"warning: {warning}" for warning in warnings)):
            console.print(Text(line), soft_wrap=True)


def result_of(compared: Comparison) -> str:
    """In a word or two."""
    if compared.regressions:
        return "regression"
    if compared.broken:
        return "limit exceeded"
    return "undecided" if compared.undecided or compared.open_limits else "no regression"


def sentences(compared: Comparison) -> list[str]:
    """What is worse, what is better, what can't be told, by what it was judged, and the trend."""
    gated = [judged for judged in compared.figures if judged.tolerance is not None]
    said = [
        *(_sentence(judged, compared.nights) for judged in gated if judged.outcome is Outcome.WORSE),
        *(_broken(one) for one in compared.broken),
        *(_sentence(judged, compared.nights) for judged in gated if judged.outcome is Outcome.TOLERATED),
        *(_sentence(judged, compared.nights) for judged in gated if judged.outcome is Outcome.BETTER),
        *(_week(judged) for judged in compared.weekly),
    ]
    unknown = [judged for judged in gated if judged.undecided]
    for reason in dict.fromkeys(judged.reason for judged in unknown):
        names = ", ".join(judged.name for judged in unknown if judged.reason == reason)
        said.append(f"{names}: can't be told" + (f"; {reason}" if reason else " with these runs"))
    said += [f"{one.name}: nobody can tell whether its limit is kept" for one in compared.open_limits]
    if kept := [one for one in compared.limits if one.standing in (Standing.KEPT, Standing.NEAR)]:
        said.append(f"Within its limit: {', '.join(map(_held, kept))}.")
    limits = ", ".join(f"{judged.name} {_tolerance(judged)}" for judged in gated)
    confidence = f"{CONFIDENCE:.0%}".replace("%", " %")
    if gated and compared.nights:
        said.append(
            f"Tolerated: {limits}. One run is ranked among the {compared.nights} before it: of nights that are alike "
            f"one in {compared.nights + 1} at most is beyond all others, in all these figures together."
        )
    elif gated:
        said.append(f"Tolerated: {limits}. Their intervals hold together with {confidence}, any other one by itself.")
    else:
        said.append(f"No figure is gated. Each interval holds with {confidence}.")
    if compared.drift is not None:
        drift = compared.drift
        clear = "a trend" if drift.p_value < 1 - CONFIDENCE else "no clear trend"
        said.append(
            f"Over {drift.runs} runs in {drift.weeks:.1f} weeks {drift.figure} has {clear}: "
            f"{_percent(drift.weekly)} a week (Kendall's tau, p = {drift.p_value:.2g})."
        )
    return said


def as_json(compared: Comparison, exit_code: int) -> bytes:
    """The same as data. Shares as numbers; None: without end, or unknown."""
    drift = compared.drift
    told = {
        "format": FORMAT,
        "result": result_of(compared),
        "exit_code": exit_code,
        "name": compared.name,
        "metric": compared.metric,
        "scenario": compared.scenario,
        "base": [run.id for run in compared.base],
        "new": [run.id for run in compared.new],
        "left_out": [{"id": run.id, "reason": reason} for run, reason in compared.left_out],
        "figures": [_data(judged) for judged in compared.figures],
        "ranked_among": compared.nights or None,
        "week_over_week": [_data(judged) for judged in compared.weekly],
        "limits": [
            {
                "figure": one.name,
                "unit": _UNITS[one.kind],
                "limit": one.limit,
                "new": _ends(one.value),
                "standing": one.standing.value,
            }
            for one in compared.limits
        ],
        "trend": None
        if drift is None
        else {
            "figure": drift.figure,
            "runs": drift.runs,
            "weeks": drift.weeks,
            "weekly": drift.weekly,
            "p_value": drift.p_value,
        },
        "warnings": [*nearly(compared), *compared.warnings],
        "notes": compared.notes,
    }
    return plain_json(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def as_markdown(compared: Comparison) -> bytes:
    """For a pull request."""
    lines = [
        f"**{result_of(compared).upper()}** {_escape(compared.name)}: {_subject(compared)}",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for judged in compared.figures:
        outcome = judged.outcome.value
        cells = [*_cells(judged), f"**{outcome}**" if judged.regression else outcome]
        lines.append(f"| {' | '.join(map(_escape_cell, cells))} |")
    lines += ["", *(f"- {_escape(sentence)}" for sentence in sentences(compared))]
    lines += [f"- ⚠️ {_escape(warning)}" for warning in (*nearly(compared), *compared.warnings)]
    lines += [f"- {_escape(note)}" for note in compared.notes]
    return ("\n".join(lines) + "\n").encode()


def _subject(compared: Comparison) -> str:
    where = f" in {compared.scenario}" if compared.scenario else ""
    return f"{compared.metric}{where}, {_runs(len(compared.new))} of NEW against {len(compared.base)} of BASE"


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _sentence(judged: FigureResult, nights: int) -> str:
    what = "better" if judged.outcome is Outcome.BETTER else "worse"
    assert judged.shift is not None
    sure = f"than in all {nights} runs before" if nights else "for sure"
    text = f"{judged.name} is {what} {sure}: {_change(judged)}"
    if judged.outcome is Outcome.WORSE:
        return f"{text}, and {_tolerance(judged)} is tolerated"
    return f"{text}, which is tolerated" if judged.outcome is Outcome.TOLERATED else text


def _week(judged: FigureResult) -> str:
    """The last seven days against the seven before."""
    told = f"{judged.name} week over week: {_change(judged) or '~'}"
    if judged.outcome is Outcome.UNKNOWN:
        return f"{told}, which can't be told" + (f"; {judged.reason}" if judged.reason else "")
    if judged.outcome is Outcome.WORSE:
        return f"{told}, and {_tolerance(judged)} is tolerated"
    if judged.outcome is Outcome.TOLERATED:
        return f"{told}, which is tolerated ({_tolerance(judged)})"
    return f"{told}, {judged.outcome.value}"


def _broken(one: FigureLimit) -> str:
    side = "below" if one.kind.sign < 0 else "above"
    return f"{one.name} {_span(one.value, one.kind)} is {side} its limit of {_value(one.limit, one.kind)}"


def _held(one: FigureLimit) -> str:
    return f"{one.name} {_span(one.value, one.kind)} (limit {_value(one.limit, one.kind)})"


def nearly(compared: Comparison) -> list[str]:
    """What is within its limit, and only just, as warnings."""
    return [
        f"{one.name} {_span(one.value, one.kind)} is above {format_share(one.warn_above or 0)} of its limit of "
        f"{_value(one.limit, one.kind)}"
        for one in compared.limits
        if one.standing is Standing.NEAR
    ]


def _cells(judged: FigureResult) -> tuple[str, str, str, str]:
    return judged.name, _span(judged.base, judged.kind), _span(judged.new, judged.kind), _change(judged)


def _change(judged: FigureResult) -> str:
    """The estimate with its interval; the estimate alone where so few runs have none."""
    shift = judged.shift
    if shift is None:
        return ""
    if not judged.scale:
        return f"{shift.estimate:+,.4g}"
    unit = " pp" if judged.kind.is_share else " %"
    estimate = _number(judged.change(shift.estimate))
    if not shift.confidence or judged.outcome is Outcome.EQUAL:
        return f"{estimate}{unit}"
    lower, upper = (_number(judged.change(end)) for end in (shift.lower, shift.upper))
    return f"{estimate}{unit} ({lower} … {upper}{unit})"


def _tolerance(judged: FigureResult) -> str:
    assert judged.tolerance is not None
    return f"{_number(judged.kind.sign * judged.tolerance)}{' pp' if judged.kind.is_share else ' %'}"


def _percent(share: float) -> str:
    return f"{_number(share)} %"


def _number(share: float) -> str:
    """Percent with a sign, without the unit."""
    if math.isinf(share):
        return "+∞" if share > 0 else "-∞"
    percent = share * 100
    if abs(percent) < 0.0005:
        return "0"
    if abs(percent) >= 100:
        return f"{percent:+,.0f}"
    return f"{percent:+.1f}".removesuffix(".0") if abs(percent) >= 1 else f"{percent:+.2g}"


def _span(span: Span | None, kind: Kind) -> str:
    if span is None:
        return "?"
    ends = [None if end is None or math.isinf(end) else _value(end, kind) for end in span]
    low, high = ("never" if end is None else end for end in ends)
    if low == high:
        return high
    number, _, unit = low.rpartition(" ")
    return f"{number if unit and high.endswith(' ' + unit) else low} … {high}"


def _value(value: float, kind: Kind) -> str:
    match kind:
        case Kind.TIME:
            return format_duration(value * NS_PER_S)
        case Kind.RATE:
            return format_rate(value)
        case Kind.BYTE_RATE:
            return format_byte_rate(value)
        case Kind.SHARE | Kind.SUCCESS:
            return format_share(value)
        case Kind.COST:
            return money((Fraction(value), Fraction(value)))
        case Kind.VALUE:
            return f"{value:,.6g}"


_UNITS: Final = {
    Kind.TIME: "s", Kind.RATE: "1/s", Kind.SHARE: "share", Kind.SUCCESS: "share", Kind.VALUE: "value",
    Kind.COST: "money", Kind.BYTE_RATE: "B/s",
}  # fmt: skip


def _data(judged: FigureResult) -> dict[str, Any]:
    shift = judged.shift
    return {
        "figure": judged.name,
        "unit": _UNITS[judged.kind],
        "base": _ends(judged.base),
        "new": _ends(judged.new),
        "change": None
        if shift is None
        else {
            "estimate": _finite(judged.change(shift.estimate)),
            "lower": _finite(judged.change(shift.lower)) if shift.confidence else None,
            "upper": _finite(judged.change(shift.upper)) if shift.confidence else None,
            "confidence": shift.confidence or None,
        },
        "tolerance": judged.tolerance,
        "outcome": judged.outcome.value,
        "regression": judged.regression,
        "reason": judged.reason,
    }


def _ends(span: Sequence[float | None] | None) -> list[float | None] | None:
    return None if span is None else [None if end is None else _finite(end) for end in span]


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def _escape(text: str) -> str:
    """Text in a line of Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in " ".join(printable(text).split()))


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("~", "\\~")
