"""The report in Markdown (GitHub's dialect): for pull requests, job summaries, wikis and mails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..model.facts import COUNTERS, LEDGER_SUMS, METRICS, QUEUE_LAG
from ..model.report import ObjectiveResult, Report, Result, WorstEvent
from ..model.summary import FIGURES, Distribution, ScenarioSummary, Summary
from ..model.vitals import Incident
from ..report import actions, costs, journeys, races, wording
from ..spi.format import Files, Format
from ..texts import printable
from ..units import NS_PER_S, format_duration, format_rate

_MARKS: Final = {
    Result.PASS: "✅",
    Result.WARN: "⚠️",
    Result.FAIL: "❌",
    Result.INCONCLUSIVE: "❔",
    Result.INVALID: "⛔",
    Result.SKIPPED: "➖",
}
_SPECIAL: Final = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)")
_WORST: Final = 5
"""Most events shown of an objective."""
_INCIDENTS: Final = 20
_ENDS: Final = 20
"""Most reasons for which iterations ended."""
_STEP_TIMES: Final = ("p50", "p95", "p99", "max")
_ACTIONS: Final = 50
"""Most times that something was done."""


class MarkdownFormat(Format):
    """The document as a file."""

    def files(self, report: Report) -> Files:
        return {"report.md": markdown(report).encode()}


def markdown(report: Report, environment: str = "") -> str:
    """The document; sections without anything to say are left out.

    `environment` says where the run took place, in plain text.
    """
    sections = [
        _head(report, environment),
        _objectives(report.objectives),
        _section("Findings", (f"- {escaped(insight.sentence)}" for insight in report.insights)),
        _actions(report.summary),
        _journeys(report.summary),
        _races(report.summary),
        _section("Self-checks not passed", _checks(report)),
        _distributions(report.summary),
        _events(report.summary),
        _reads(report.summary),
        _ledger(report.summary.total()),
        _load(report.summary),
        _gauges(report.summary),
        _costs(report.summary),
        _section("Incidents", _incidents(report.summary.vitals.incidents)),
        _worst(report.objectives),
        [f"**{escaped(report.not_undone)}**"] if report.not_undone else [],
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def escaped(text: str) -> str:
    """Plain text as Markdown shows it, on one line, also within a table."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], " ".join(printable(text).split()))


def _head(report: Report, environment: str) -> list[str]:
    vitals = report.summary.vitals
    facts = [
        ("Started", f"{report.started_at:%Y-%m-%d %H:%M:%S} UTC"),
        *([("Environment", escaped(environment))] if environment else []),
        *((escaped(name), escaped(value)) for name, value in wording.circumstances(report.circumstances)),
        ("Duration", format_duration(vitals.duration_ns)),
        ("Events", f"{report.summary.total().ledger['scheduled']:,} scheduled"),
        ("Reads", f"{vitals.event_reads:,} in {vitals.read_requests:,} requests, {vitals.failed_reads:,} failed"),
    ]
    if vitals.cpu_share is not None:
        facts.append(("Generator", f"at most {vitals.cpu_share:.0%} of a core"))
    return [
        f"# {_status(report.verdict)}: {escaped(report.name)}",
        "",
        escaped(wording.headline(report)[:1].upper() + wording.headline(report)[1:]) + ".",
        "",
        *_table(("Run", f"`{report.run_id}`"), facts),
    ]


def _status(result: Result) -> str:
    return f"{_MARKS[result]} {result.value}"


def _objectives(objectives: Sequence[ObjectiveResult]) -> list[str]:
    if not objectives:
        return []
    rows = []
    for objective in objectives:
        metric, target = map(escaped, wording.metric_and_target(objective))
        if about := [part for part in (objective.scenario, objective.scope) if part]:
            metric += f" ({escaped(', '.join(about))})"
        rows.append((metric, escaped(wording.observed(objective)), target, _status(objective.result)))
    notes = (
        f"- {escaped(wording.title(objective))}: {escaped(objective.note)}"
        for objective in objectives
        if objective.result is not Result.PASS and objective.note
    )
    table = ["## Objectives", "", *_table(("Metric", "Result", "Target", "Status"), rows)]
    lines = list(notes)
    return [*table, "", *lines] if lines else table


def _actions(summary: Summary) -> list[str]:
    """When each action was on."""
    told = actions.done(summary.markers)
    if not told:
        return []
    rows = [tuple(map(escaped, (one.name, one.on, one.off, one.lasted, one.failed))) for one in told[:_ACTIONS]]
    table = _table(("Action", "On", "Off", "For", "What failed"), rows)
    more = ["", f"and {len(told) - _ACTIONS} more times"] if len(told) > _ACTIONS else []
    return ["## What was done", "", *table, *more]


def _journeys(summary: Summary) -> list[str]:
    """How far the iterations of each journey came."""
    lines: list[str] = []
    for one in journeys.funnels(summary):
        of = f" ({escaped(one.scenario)})" if len(summary.scenarios) > 1 else ""
        lines += ["", f"### {escaped(one.journey)}{of}", "", *(f"- {escaped(told)}" for told in one.sums)]
        rows = [
            (escaped(step.name), f"{step.reached:,}", f"{step.ok:,}", f"{step.refused:,}", f"{step.failed:,}",
             *_times(step.times), escaped(_ended(step)))
            for step in one.steps
        ]  # fmt: skip
        rows.append(("*all of it*", f"{one.counts['started']:,}", f"{one.counts['completed']:,}",
                     f"{one.counts['refused']:,}", f"{one.counts['failed']:,}", *_times(one.times), ""))  # fmt: skip
        head = ("Step", "Sent", "Ok", "Refused", "Failed", *_STEP_TIMES, "Ended here")
        lines += ["", *_table(head, rows)]
        why = [f"- {escaped(told)}" for told in one.sent_again]
        why += [f"- {count:,} × {escaped(reason)}" for reason, count in one.reasons[:_ENDS]]
        why += [f"- and {len(one.reasons) - _ENDS} more reasons"] if len(one.reasons) > _ENDS else []
        why += [f"- check {escaped(name)}: {count:,} failed it" for name, count in one.checks]
        lines += ["", *why] if why else []
    return ["## Journeys", *lines] if lines else []


def _races(summary: Summary) -> list[str]:
    """What became of the rules of each race, and of its contenders."""
    lines: list[str] = []
    for one in races.races(summary):
        lines += ["", f"### {escaped(one.scenario)}", "", *(f"- {escaped(told)}" for told in one.sums)]
        lines += [f"- {escaped(one.contended)}", *([f"- **{escaped(one.remark)}**"] if one.remark else [])]
        if one.settle is not None:
            times = ", ".join(f"{name} {told}" for name, told in zip(_STEP_TIMES, _times(one.settle), strict=True))
            lines.append(f"- settled after the last answer to a contender: {escaped(times)}")
        lines += [f"- {count:,} × {escaped(reason)}" for reason, count in one.reasons[:_ENDS]]
        lines += [f"- and {len(one.reasons) - _ENDS} more reasons"] if len(one.reasons) > _ENDS else []
        rules = [
            (escaped(rule.name), rule.when, f"{rule.held:,}", f"{rule.violated:,}", f"{rule.possible:,}",
             f"{rule.unknown:,}")
            for rule in one.rules
        ]  # fmt: skip
        lines += (
            ["", *_table(("Rule", "Has to hold", "Held", "Broken", "Perhaps", "Unknown"), rules)] if rules else []
        )
        examples = [
            f"- {escaped(rule.name)}: {told.how} in {told.where}{f': {escaped(told.what)}' if told.what else ''}"
            for rule in one.rules
            for told in rule.examples
        ]
        lines += ["", *examples] if examples else []
        contenders = [
            (escaped(who.name), *(f"{count:,}" for count in
             (who.due, who.won, who.refused, who.failed, who.doubt, who.unsent)),
             f"{who.rounds:,} of {one.decided:,}")
            for who in one.contenders
        ]  # fmt: skip
        head = ("Contender", "Due", "Won", "Refused", "Failed", "In doubt", "Unsent", "Rounds won")
        lines += ["", *_table(head, contenders)] if contenders else []
    return ["## Races", *lines] if lines else []


def _times(distribution: Distribution | None) -> list[str]:
    if distribution is None:
        return [""] * len(_STEP_TIMES)
    figures = distribution.figures()
    return [wording.ends(*figures[name]) for name in _STEP_TIMES]


def _ended(step: journeys.Step) -> str:
    return ", ".join(f"{count:,} {how}" for how, count in step.ended)


def _checks(report: Report) -> Iterator[str]:
    for check in report.checks:
        if check.result not in (Result.PASS, Result.SKIPPED):
            figures = wording.check_figures(check)
            told = figures if check.note in ("", figures) else f"{figures}: {check.note}"
            yield f"- {_status(check.result)} **{escaped(check.name)}** {escaped(told)}"


def _distributions(summary: Summary) -> list[str]:
    scopes: list[tuple[str, str, Distribution]] = []
    whole = {**summary.total().distributions}
    if (lag := summary.queue_lag()) is not None:
        whole[QUEUE_LAG] = lag
    for metric in (*METRICS, QUEUE_LAG):
        if metric in whole:
            scopes.append((metric, "", whole[metric]))
        if len(summary.scenarios) > 1:
            scopes += [
                (wording.metric_of(scenario, metric), name, scenario.distributions[metric])
                for name, scenario in summary.scenarios.items()
                if metric in scenario.distributions
            ]
    rows = []
    for metric, name, distribution in scopes:
        if distribution.count:
            cells = [wording.ends(*pair) for pair in distribution.figures().values()]
            unseen = f"{distribution.censored:,}"
            rows.append((metric, escaped(name), *cells, f"{distribution.count:,}", unseen))
    if not rows:
        return []
    head = ("Metric", "Scenario", *FIGURES, "Events", "Never seen")
    return ["## Percentiles", "", *_table(head, rows)]


def _events(summary: Summary) -> list[str]:
    """How long the events of each name took, where there are several."""
    rows = [
        (escaped(name), metric, *(wording.ends(*pair) for pair in distribution.figures().values()),
         f"{distribution.count:,}", f"{distribution.censored:,}")
        for name, metric, distribution in wording.by_event(summary)
    ]  # fmt: skip
    head = ("Event", "Metric", *FIGURES, "Events", "Never seen")
    return ["## By event", "", *_table(head, rows)] if rows else []


def _reads(summary: Summary) -> list[str]:
    """How long the requests of each probe took."""
    rows = [
        (escaped(name), *(wording.ends(*pair) for pair in took.figures().values()), f"{took.count:,}",
         f"{took.censored:,}")
        for name, took in summary.reads.items()
        if took.count
    ]  # fmt: skip
    head = ("Probe", *FIGURES, "Requests", "Failed")
    return ["## Reads", "", *_table(head, rows)] if rows else []


def _ledger(total: ScenarioSummary) -> list[str]:
    ledger = total.ledger
    lines = []
    for whole, parts in LEDGER_SUMS.items():
        terms = [f"{ledger[key]:,} {key.replace('_', ' ')}" for key in parts if ledger[key]]
        lines.append(f"- **{ledger[whole]:,} {whole}** = {' + '.join(terms) or '0'}")
    if beside := [f"{ledger[key]:,} {wording.spoken(key)}" for key in COUNTERS if ledger[key]]:
        lines.append(f"- of these: {', '.join(beside)}")
    lines += [f"- {told}" for told in wording.beside_counts(total)]
    return _section("Ledger", lines)


def _load(summary: Summary) -> list[str]:
    """Of each scenario when it ran and how much it asked for."""
    rows = []
    for name, scenario in summary.scenarios.items():
        first, last = scenario.first_intended_ns, scenario.last_intended_ns
        if first is None or last is None:
            continue
        scheduled = scenario.ledger["scheduled"]
        mean = format_rate((scheduled - 1) * NS_PER_S / (last - first)) if last > first else "at once"
        busiest = max(scenario.offered.values(), default=[0, 0])
        rows.append(
            (
                escaped(name),
                f"{scheduled:,}",
                f"{format_duration(first)} to {format_duration(last)}",
                mean,
                f"{busiest[0]:,} events asked for, {busiest[1]:,} sent",
            )
        )
    head = ("Scenario", "Events", "From … to", "Mean rate", "Busiest 10 s")
    return ["## Load profile", "", *_table(head, rows)] if rows else []


def _gauges(summary: Summary) -> list[str]:
    rows = [
        (
            escaped(name),
            escaped(value),
            *(f"{x:,.6g}" for x in (series.minimum, series.mean, series.maximum, series.last)),
            f"{series.count:,}",
            f"{gauge.failed:,}",
        )
        for name, gauge in summary.gauges.items()
        for value, series in gauge.series.items()
        if series.count
    ]
    head = ("Gauge", "Value", "Min", "Mean", "Max", "Last", "Samples", "Failed")
    return ["## Gauges", "", *_table(head, rows)] if rows else []


def _costs(summary: Summary) -> list[str]:
    """What the run cost, service by service."""
    if summary.costs is None:
        return []
    told = costs.rows(summary.costs)
    head = ("Service", "Usage", "Price", *(f"{name[:1].upper()}{name[1:]}" for name in costs.HEAD))
    table = _table(head, [tuple(map(escaped, (one.name, one.usage, one.price, *one.cells))) for one in told])
    why = [f"- {escaped(one.name)}: {escaped(reason)}" for one in told for reason in one.why]
    return ["## Costs", "", *table, "", *([*why, ""] if why else []), escaped(costs.basis(summary.costs))]


def _incidents(incidents: Sequence[Incident]) -> Iterator[str]:
    for one in incidents[:_INCIDENTS]:
        first, last = format_duration(one.first_ns), format_duration(one.last_ns)
        when = f"at {first}" if first == last else f"from {first} to {last}"
        yield f"- **{escaped(one.source)}** {when}: {one.count:,} × {escaped(one.reason)}"
    if len(incidents) > _INCIDENTS:
        yield f"- and {len(incidents) - _INCIDENTS} more"


def _worst(objectives: Sequence[ObjectiveResult]) -> list[str]:
    lines: list[str] = []
    for objective in objectives:
        if objective.worst:
            lines += ["", f"### {escaped(wording.title(objective))}", ""]
            lines += [_event(event) for event in objective.worst[:_WORST]]
    return ["## Worst events", *lines] if lines else []


def _event(event: WorstEvent) -> str:
    about = [event.scenario, event.event, *(() if event.key is None else (f"key {event.key}",))]
    log = "; ".join(f"{at:.3f} s {escaped(what)}" for at, what in event.log)
    figure = f" {escaped(event.figure)}" if event.figure else ""
    return (
        f"- `{event.correlation_id}` **{escaped(event.state)}**{figure} ({escaped(', '.join(about))}), traceparent "
        f"`{event.traceparent}`<br>{log}"
    )


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return [f"## {title}", "", *found] if found else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
