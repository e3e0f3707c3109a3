"""Takes secrets out of a finished report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..model.costs import Costs
from ..model.report import Insight, ObjectiveResult, Report, WorstEvent
from ..model.rounds import RoundsSummary
from ..model.summary import ScenarioSummary, Summary
from ..model.timeline import Timeline

Redact = Callable[[str], str]


def redacted(report: Report, redact: Redact) -> Report:
    """The report with secrets taken out of its texts. Figures stay: a limit is part of every result.

    Also out of what came from an answer or a value of the config and serves as a name: keys, replicas, and parts of
    the events that are called by them.
    """
    return replace(
        report,
        name=redact(report.name),
        summary=_summary(report.summary, redact),
        objectives=[_objective(objective, redact) for objective in report.objectives],
        checks=[replace(check, note=redact(check.note)) for check in report.checks],
        insights=[_insight(insight, redact) for insight in report.insights],
        circumstances=report.circumstances.redacted(redact),
        timeline=None if report.timeline is None else _timeline(report.timeline, redact),
        not_undone=redact(report.not_undone),
    )


def _summary(summary: Summary, redact: Redact) -> Summary:
    vitals = summary.vitals
    return replace(
        summary,
        scenarios={
            name: replace(
                one,
                slices={redact(label): _reasons(part, redact) for label, part in one.slices.items()},
                event=redact(one.event),
            )
            for name, one in summary.scenarios.items()
        },
        vitals=replace(
            vitals,
            aborted=redact(vitals.aborted),
            abort_note=redact(vitals.abort_note),
            replicas={probe: [redact(name) for name in names] for probe, names in vitals.replicas.items()},
        ),
        costs=None if summary.costs is None else _costs(summary.costs, redact),
        markers=[replace(one, error=redact(one.error), undo_error=redact(one.undo_error)) for one in summary.markers],
    )


def _reasons(part: ScenarioSummary, redact: Redact) -> ScenarioSummary:
    """Why iterations or rounds ended, and what a rule was held against, is what a target said."""
    if part.rounds is not None:
        return replace(part, rounds=_rounds(part.rounds, redact))
    if "reasons" not in part.tallies:
        return part
    reasons: dict[str, int] = {}
    for reason, count in part.tallies["reasons"].items():
        reasons[redact(reason)] = reasons.get(redact(reason), 0) + count
    return replace(part, tallies={**part.tallies, "reasons": reasons})


def _rounds(rounds: RoundsSummary, redact: Redact) -> RoundsSummary:
    reasons: dict[str, int] = {}
    for reason, count in rounds.reasons.items():
        reasons[redact(reason)] = reasons.get(redact(reason), 0) + count
    rules = {
        name: replace(
            rule,
            examples={
                held: tuple(one._replace(told=redact(one.told)) for one in examples)
                for held, examples in rule.examples.items()
            },
        )
        for name, rule in rounds.rules.items()
    }
    return replace(rounds, rules=rules, reasons=reasons)


def _costs(costs: Costs, redact: Redact) -> Costs:
    """What a service is called is a name of the config, and a price may well come from the environment."""
    return replace(
        costs,
        services=tuple(
            replace(one, usage=redact(one.usage), price=redact(one.price), per=redact(one.per))
            for one in costs.services
        ),
    )


def _objective(objective: ObjectiveResult, redact: Redact) -> ObjectiveResult:
    return replace(
        objective,
        expression=redact(objective.expression),
        scope=redact(objective.scope),
        note=redact(objective.note),
        worst=tuple(_worst(event, redact) for event in objective.worst),
    )


def _worst(event: WorstEvent, redact: Redact) -> WorstEvent:
    key = None if event.key is None else redact(event.key)
    return replace(
        event, key=key, figure=redact(event.figure), log=tuple((at, redact(what)) for at, what in event.log)
    )


def _insight(insight: Insight, redact: Redact) -> Insight:
    evidence = {name: redact(said) if isinstance(said, str) else said for name, said in insight.evidence.items()}
    return replace(insight, sentence=redact(insight.sentence), evidence=evidence)


def _timeline(timeline: Timeline, redact: Redact) -> Timeline:
    return replace(
        timeline,
        parts={
            (scenario, probe, redact(replica)): part for (scenario, probe, replica), part in timeline.parts.items()
        },
        keys={about: [(redact(key), count) for key, count in found] for about, found in timeline.keys.items()},
    )
