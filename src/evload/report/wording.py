"""What objectives, self-checks and figures are called in reports for people and for CI, as plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final, Literal

from ..model.facts import BYTES, COUNTERS, FACTS, METRICS, ORDER_WAIT, QUEUE_LAG
from ..model.iteration import JOURNEY
from ..model.progress import Progress, Standing
from ..model.report import CheckResult, Circumstances, ObjectiveResult, Report, Result
from ..model.round import SETTLE
from ..model.summary import Distribution, ScenarioSummary, Summary
from ..units import NS_PER_S, format_byte_rate, format_duration, format_rate, format_share, parse_duration

Unit = Literal["time", "share", "rate", "bytes", "count"]

MEANING: Final = {
    Result.PASS: "every objective is met",
    Result.WARN: "every objective is met, some only just",
    Result.FAIL: "an objective doesn't hold",
    Result.INCONCLUSIVE: "this run can't decide every objective",
    Result.INVALID: "the measurement itself can't be trusted",
}

_STANDINGS: Final = {"holds": "met so far", "fails": "not met so far", "open": "open", "broken": "broken"}

_CHECK_UNITS: Final[Mapping[str, Unit]] = {
    "ledger closes": "count",
    "load as scheduled": "share",
    "lateness": "time",
    "resolution": "share",
    "evidence": "count",
    "horizon": "count",
    "attribution": "count",
}
"""What value and limit of a self-check are. The note of one that isn't listed has its figures."""
_OF_EVENTS: Final = ("publish", "consistency", "end_to_end")
"""What is shown of the events of each name."""
_OF_WHAT_GOES: Final = {"first_seen": "gone", "consistency": "gone for good"}
_STRETCH: Final = re.compile(r"\sfor\s+\S+$")
_WINDOW: Final = re.compile(r"\sin any\s+\S+$")
_SHARED: Final = re.compile(r"(share|rate|p[\d.]+)\s*\(")
_LASTING: Final = ("drain(", "recovery(", "reach(", "stretch(", "span(")
_RATIO: Final = re.compile(r"\w+\s*\([^()]*\)\s*/")
_TARGET: Final = re.compile(r"\s*(==|!=|<=|>=|<|>)")


def title(objective: ObjectiveResult) -> str:
    """The objective with what it is about: `p99(consistency) < 2s [baseline, replica=b]`."""
    about = [part for part in (objective.scenario, objective.scope) if part]
    return objective.expression + (f" [{', '.join(about)}]" if about else "")


def metric_and_target(objective: ObjectiveResult) -> tuple[str, str]:
    """The expression in two: `p99(consistency)` and `< 2s`. An operator inside brackets doesn't part it."""
    expression = objective.expression
    for match in _TARGET.finditer(expression):
        before = expression[: match.start()]
        if before.count("(") == before.count(")"):
            return before.strip(), expression[match.start() :].strip()
    return expression, ""


def unit_of(objective: ObjectiveResult) -> Unit:
    """What `observed` and `limit` of an objective are in: seconds, a share, events or bytes per second, or a plain
    number."""
    expression = objective.expression
    if expression.startswith("throughput(") and objective.subject in BYTES:
        return "bytes"
    if _STRETCH.search(expression) or expression.startswith(_LASTING):
        return "time"
    if _RATIO.match(expression):
        return "share" if expression.endswith("%") else "count"
    if expression.startswith(("share(", "rate(")):
        return "share"
    if expression.startswith("throughput(") or objective.subject == "ceiling":
        return "rate"
    if _WINDOW.search(expression) and _SHARED.match(expression):
        return "share"
    if "(" in expression and objective.subject in (*METRICS, QUEUE_LAG, JOURNEY, SETTLE):
        return "time"
    return _written_unit(objective)


def _written_unit(objective: ObjectiveResult) -> Unit:
    """Of a gauge, which has no unit of its own: the one in which its limit is written."""
    limit = metric_and_target(objective)[1].lstrip("<>=! ")
    if limit.endswith("%"):
        return "share"
    try:
        parse_duration(limit)
    except ValueError:
        return "count"
    return "time"


def waiting(now: Progress) -> str:
    """The acked events that are not seen yet, at a moment of a run; empty if there are none."""
    if now.oldest is None:
        return ""
    over = f", {now.overdue:,} over the limit already" if now.overdue else ""
    return f"{now.waiting:,} not seen yet, the oldest for {format_duration(now.oldest * NS_PER_S)}{over}"


def standing(one: Standing) -> str:
    """How an objective stands while a run goes on, with what was observed so far and why it is so."""
    seen = "" if one.result.observed == (None, None) else f"{observed(one.result)} by what is settled"
    return f"{title(one.result)}: " + "; ".join(part for part in (_STANDINGS[one.state], one.note, seen) if part)


def observed(objective: ObjectiveResult) -> str:
    """What was seen, with its unit; an interval where the run knows no better."""
    low, high = objective.observed
    unit = unit_of(objective)
    if low is None and high is None:
        # Without data nothing ever fails; what failed without an end was never seen.
        return "never" if objective.result is Result.FAIL and unit == "time" else "no data"
    open_end = "never" if unit == "time" else "?"
    return _interval("?" if low is None else figure(low, unit), open_end if high is None else figure(high, unit))


def bracket(low: float | None, high: float | None) -> str:
    """A bracket in seconds: `1.2 … 1.3 s`, and `never` for an end that is infinite."""
    if low is None:
        return "never"
    return _interval(figure(low, "time"), "never" if high is None else figure(high, "time"))


def ends(low: int | Fraction | None, high: int | Fraction | None) -> str:
    """A bracket in nanoseconds, told as `bracket` tells it."""
    return bracket(*(None if ns is None else float(ns / NS_PER_S) for ns in (low, high)))


def check_figures(check: CheckResult) -> str:
    """Value and limit of a self-check, or its note where it has none."""
    if check.value is None or check.limit is None:
        return check.note
    if check.name not in _CHECK_UNITS and check.note:
        return check.note
    unit = _CHECK_UNITS.get(check.name, "count")
    if unit == "time" and not check.limit:  # a limit of 0 is always one of events
        unit = "count"
    return f"{figure(check.value, unit)} (limit {figure(check.limit, unit)})"


def figure(value: float, unit: Unit) -> str:
    """One number with its unit. Times are in seconds."""
    if unit == "time":
        return format_duration(value * NS_PER_S)
    if unit == "share":
        return format_share(value)
    if unit == "bytes":
        return format_byte_rate(value)
    return format_rate(value) if unit == "rate" else f"{value:,.6g}"


def spoken(name: str) -> str:
    """A state, a counter or a metric as a person says it."""
    counter = COUNTERS.get(name)
    return name.replace("_", " ") if counter is None else counter.spoken


def metric_of(scope: ScenarioSummary, metric: str) -> str:
    """A metric as people are told of it: of what is to go, a sighting is that it isn't there any more."""
    return _OF_WHAT_GOES.get(metric, metric) if "gone" in scope.tallies else metric


def beside_counts(scope: ScenarioSummary) -> list[str]:
    """What belongs beside the counts: what is counted by value and took several (`answers by status: 202 × 1,200,
    409 × 3`), and what waited for the order of its key."""
    told = [
        f"{FACTS[fact].title}: {', '.join(f'{value} × {events:,}' for value, events in sorted(tally.items()))}"
        for fact, tally in scope.tallies.items()
        if FACTS[fact].title and len(tally) > 1
    ]
    if (waits := scope.ranges.get(ORDER_WAIT)) is not None:
        most = format_duration(waits.maximum)
        told.append(f"waits for the order of a key: {waits.count:,} events, {most} at most")
    return told


def hops(scope: ScenarioSummary) -> dict[str, Distribution]:
    """Of a chain of probes the time from each to the next, in its order; none of a single probe."""
    found = {
        label.removeprefix("probe="): part.distributions["hop"]
        for label, part in scope.slices.items()
        if label.startswith("probe=") and "," not in label and "hop" in part.distributions
    }
    return {f"hop to {name}": hop for name, hop in found.items() if hop.count} if len(found) > 1 else {}


def circumstances(about: Circumstances) -> list[tuple[str, str]]:
    """(name, value) of what tells a run apart from others, and of what it left out."""
    told = [*about.labels.items(), *((f"params.{name}", value) for name, value in about.params.items())]
    if about.profiles:
        told.append(("profiles", ", ".join(about.profiles)))
    if about.scenarios:
        told.append(("part", f"of the config {', '.join(about.scenarios)} alone"))
    return told + [("not asked", objective) for objective in about.not_asked]


def by_event(summary: Summary) -> list[tuple[str, str, Distribution]]:
    """(event, metric, how long it took) of each name of events; none of a run that sends a single one."""
    events = summary.events()
    found: list[tuple[str, str, Distribution]] = [
        (name, metric, part.distributions[metric])
        for name, part in events.items()
        for metric in _OF_EVENTS
        if metric in part.distributions and part.distributions[metric].count
    ]
    return found if len(events) > 1 else []


def headline(report: Report) -> str:
    """The verdict in words, without the name of the run: what decided it, with value and limit."""
    meaning = MEANING[report.verdict]
    if report.summary.vitals.aborted:
        return f"ended early by {report.summary.vitals.aborted}; {meaning}"
    meaning = _decided(report) or meaning
    if report.summary.vitals.interrupted:
        return f"interrupted; as far as it went, {meaning}"
    if not report.objectives and report.verdict is Result.PASS:
        return "nothing was asked; the measurement is sound"
    return meaning


def _decided(report: Report) -> str:
    """Which objective or which self-check made the verdict; empty where all is well."""
    decisive = [objective for objective in report.objectives if objective.result is report.verdict]
    checks = [check for check in report.checks if check.result is report.verdict]
    count = len(report.objectives)
    of_all = f"{len(decisive)} of {count} objectives" if count > 1 else "the objective"
    match report.verdict:
        case Result.FAIL if decisive:
            return f"{of_all} failed: {_figures(decisive[0])}"
        case Result.INVALID if checks:
            spoilt = f", by which {title(decisive[0])} could be otherwise" if decisive else ""
            return f"{MEANING[Result.INVALID]}: {checks[0].name} {check_figures(checks[0])}{spoilt}"
        case Result.INCONCLUSIVE if decisive:
            return f"{of_all} can't be decided: {_figures(decisive[0])}"
        case Result.WARN if decisive:
            return f"{MEANING[Result.WARN]}: {_figures(decisive[0])}"
        case Result.WARN | Result.INCONCLUSIVE if checks:
            return f"every objective is met; {checks[0].name}: {check_figures(checks[0])}"
    return ""


def _figures(objective: ObjectiveResult) -> str:
    """An objective as it came out: `p99(consistency) 3.9 … 4.8 s, limit < 3s`; why, where nothing was seen."""
    name, target = metric_and_target(objective)
    about = title(objective)[len(objective.expression) :]
    told = observed(objective)
    if objective.result is Result.INCONCLUSIVE and objective.note:
        return f"{title(objective)}: {objective.note}"
    return f"{name}{about} {told}, limit {target}" if target else f"{title(objective)}: {told}"


def _interval(low: str, high: str) -> str:
    if low == high:
        return high
    number, _, unit = low.partition(" ")
    return f"{number if unit and high.endswith(' ' + unit) else low} … {high}"
