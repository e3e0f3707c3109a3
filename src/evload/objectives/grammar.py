"""Makes an objective of what a config says: its expression, the part of the events it is about, its limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from ..model.facts import QUEUE_LAG
from ..model.iteration import COUNTERS, JOURNEY, WAIT
from ..model.round import TALLIES
from ..model.rounds import VIOLATIONS
from ..model.summary import LOWER_END
from ..texts import meant
from .expressions import RUNNING, THROUGHPUTS, parse_expression, require, split_window
from .limits import parse_limit
from .objective import FROM_A_MOMENT, LOWER, UPPER, GaugeValues, Measure, Objective, Window

_LONGEST: Final = 1000
_PARTS: Final = (
    "scenario",
    "event",
    "key",
    "tag",
    "probe",
    "replica",
    "journey",
    "step",
    "check",
    "rule",
    "contender",
)
_OF_ANSWERS: Final = {"refused": "answer(2)", "failed": "answer(3)"}
"""What a counter of iterations is called that is about the answers to a step."""
_OF_WAITS: Final = {WAIT: "first_seen"}
"""What is waited for is watched as the effect of an event is, from when the wait began."""
_SEEN_BY_A_PROBE: Final = ("first_seen", "consistency", "end_to_end", "hop")
_NO_ABORT: Final = (
    "of rounds that are still to come nobody knows yet how they end; leave abort out, or ask for a number, such as "
    f"{VIOLATIONS} == 0"
)
_COUNTING: Final = ("drain(...)", "recovery(...)", "reach(...)", *(f"{one}(...)" for one in RUNNING))
_WHOLE: Final = (Measure.INTEGRAL, Measure.GROWTH, Measure.RATIO)
_STATES_OF_A_PROBE: Final = ("visible", "ended", "lost", "regressed", "unobserved", "pending")


def parse(
    text: str,
    *,
    critical: str | None = None,
    target: str | None = None,
    scenario: str | None = None,
    event: str | None = None,
    key: str | None = None,
    tag: str | None = None,
    probe: str | None = None,
    replica: str | None = None,
    journey: str | None = None,
    step: str | None = None,
    check: str | None = None,
    rule: str | None = None,
    contender: str | None = None,
    after: str | None = None,
    during: str | None = None,
    abort_after_ns: int | None = None,
    gauges: Mapping[str, Sequence[str]] = {},
) -> Objective:
    """The objective that `text` says. The other arguments are those of Objective, as written.

    `critical` is a second, looser limit in the same unit; `target` a tighter one, with which the written limit
    becomes the critical one. `gauges` has the names of each gauge's values, for objectives such as
    `max(queue_depth) < 100` or, where several gauges have such a value, `max(work-queue.queue_depth) < 100`.

    Raises ValueError, whose text is `what is wrong; what would be right`.
    """
    if critical is not None and target is not None:
        raise ValueError("this has a target and a critical limit; give target or critical, not both")
    if len(text) > _LONGEST:
        raise ValueError(f"this is longer than {_LONGEST} characters; write a shorter objective")
    expression = " ".join(text.split())
    base, window = split_window(expression)
    objective = replace(
        parse_expression(base, gauges),
        expression=expression,
        scenario=scenario,
        event=event,
        key=key,
        tag=tag,
        probe=probe,
        replica=replica,
        journey=journey,
        step=step,
        check=check,
        rule=rule,
        contender=contender,
        after=after,
        during=during,
        abort_after_ns=abort_after_ns,
        critical_text=critical,
        target_text=target,
    )
    if rule is not None or contender is not None or objective.of_rounds:
        _check_rounds(objective, window)
    elif check is not None:
        _check_check(objective, window)
    elif step is not None:
        objective = _of_step(objective)
    elif not objective.is_gauged and WAIT in (objective.subject, objective.inner and objective.inner.subject):
        raise ValueError(f"a step of a journey has a {WAIT}; add step: NAME")
    if window is not None:
        objective = _over_time(objective, window)
    _check_parts(objective)
    _check_journey(objective)
    _check_after(objective)
    _check_during(objective)
    if objective.is_gauged:
        lower = objective.subject + LOWER_END
        told = {name for name, values in gauges.items() if objective.gauge in (None, name) and lower in values}
        objective = replace(objective, bracketed=frozenset(told))
    if objective.parts:
        objective = replace(objective, parts=tuple(replace(part, after=after) for part in objective.parts))
    if objective.inner is not None:
        objective = replace(objective, inner=_scoped(objective.inner, objective))
    if critical is not None:
        return _with_critical(objective, critical)
    return objective if target is None else _with_target(objective, target)


def with_step(objective: Objective, journeys: Mapping[str, Collection[str]]) -> Objective:
    """The objective, of whose step it is told which journey has it; `journeys` has the names of the steps of each
    that send something. Raises ValueError like `parse`, where the step is in none of them or in several."""
    if objective.step is None or objective.journey is not None:
        return objective
    having = [name for name, steps in journeys.items() if objective.step in steps]
    if not having:
        known = list(dict.fromkeys(step for steps in journeys.values() for step in steps))
        cure = meant(objective.step, known, f"steps are {', '.join(known)}" if known else "add one under journeys:")
        raise ValueError(f"no journey has a step {objective.step!r} that sends something, or waits; {cure}")
    if len(having) > 1:
        raise ValueError(f"{objective.step!r} is a step of {' and of '.join(having)}; add journey: {having[0]}")
    event = f"{having[0]}.{objective.step}" if objective.check is None else None
    return replace(objective, journey=having[0], event=event)


def from_data(data: Mapping[str, Any], gauges: GaugeValues) -> Objective:
    """From what `Objective.as_data` gave. Raises TypeError or ValueError for anything else."""
    written = {name: value for name, value in data.items() if name != "implied"}
    return replace(parse(**written, gauges=gauges), implied=data.get("implied", False))


def _of_step(objective: Objective) -> Objective:
    """An objective about the events of a step: each of its requests is one."""
    if objective.event is not None:
        raise ValueError(f"a step is an event of its own, {objective.event!r} another; leave event or step out")
    counted = objective.measure in (Measure.COUNT, Measure.RATE)
    renamed = _OF_ANSWERS if counted else {} if objective.is_gauged else _OF_WAITS
    subject = renamed.get(objective.subject, objective.subject)
    if objective.of_iterations and subject == objective.subject:
        raise ValueError(f"{subject} is of whole iterations; leave step out")
    event = None if objective.journey is None else f"{objective.journey}.{objective.step}"
    inner = objective.inner and replace(objective.inner, subject=subject)
    return replace(objective, subject=subject, event=event, inner=inner)


def _check_check(objective: Objective, window: Window | None) -> None:
    """Of a check it is counted how often it didn't hold, and of how many answers."""
    if objective.measure not in (Measure.COUNT, Measure.RATE) or objective.subject != "failed":
        raise ValueError(
            f"a check holds or fails, and has no {objective.subject}; write failed == 0 or rate(failed) < 1%"
        )
    if window is not None:
        written = "for" if window.stretch else "in any"
        raise ValueError(f"a check isn't counted over time; leave {written!r} out")


def _check_journey(objective: Objective) -> None:
    """What can be asked of iterations of journeys, each of which counts when it is over."""
    if not objective.of_iterations:
        if objective.journey is not None and objective.step is None and not objective.is_gauged:
            raise ValueError(
                f"{objective.subject} isn't known of whole iterations; add step: NAME, or write one of "
                f"{', '.join(COUNTERS)} or p95({JOURNEY})"
            )
        return
    if wrong := [
        name for name in ("event", "key", "tag", "probe", "replica") if getattr(objective, name) is not None
    ]:
        raise ValueError(f"an iteration of a journey has no {wrong[0]}; leave {wrong[0]} out")
    if objective.abort_after_ns is not None and objective.measure not in (Measure.COUNT, Measure.MAX):
        raise ValueError(
            "of iterations under way nobody knows yet how they end; leave abort out, or ask for a number, such as "
            "failed <= 10"
        )


def _check_rounds(objective: Objective, window: Window | None) -> None:
    """What can be asked of rounds of races, each of which counts when it is over, and of their contenders."""
    counted = objective.measure in (Measure.COUNT, Measure.RATE)
    if objective.rule is not None and (objective.measure is not Measure.COUNT or objective.subject != VIOLATIONS):
        raise ValueError(f"a rule is broken in a round or isn't; write {VIOLATIONS} == 0, or leave rule out")
    if objective.contender is not None and not (counted and objective.subject in TALLIES):
        raise ValueError(
            f"of a contender there are the counters {', '.join(TALLIES)}; write for example won == 10, or leave "
            "contender out"
        )
    of_others = ("event", "key", "tag", "probe", "replica", "journey", "step", "check")
    if wrong := [name for name in of_others if getattr(objective, name) is not None]:
        raise ValueError(f"a round of a race has no {wrong[0]}; leave {wrong[0]} out")
    if not counted:
        if objective.abort_after_ns is not None and objective.measure is not Measure.MAX:
            raise ValueError(_NO_ABORT)
        return
    if window is not None:
        written = "for" if window.stretch else "in any"
        raise ValueError(f"{objective.subject} isn't counted over time; leave {written!r} out")
    if objective.abort_after_ns is not None and (objective.measure is Measure.RATE or objective.operator in LOWER):
        raise ValueError(_NO_ABORT)


def _over_time(objective: Objective, window: Window) -> Objective:
    """The objective with a window, if it can have one."""
    measure, operator = objective.measure, objective.operator
    written = "for" if window.stretch else "in any"
    if objective.subject == QUEUE_LAG:
        raise ValueError(f"queue_lag isn't counted over time; write max(queue_depth) < 100 {written} 10s")
    match measure:
        case Measure.SHARE | Measure.PERCENTILE:
            pass
        case Measure.RATE:
            if objective.subject in THROUGHPUTS:
                raise ValueError(
                    f"{objective.subject} counts when it happens, and not when it was due; "
                    f"write throughput({objective.subject}) >= 100/s {written} 30s"
                )
            require(operator, UPPER, "over time rate")
        case Measure.THROUGHPUT:
            length_ns = window.step_ns if window.stretch else window.span_ns
            if objective.limit * length_ns < 2 * 10**9:
                raise ValueError(
                    f"{objective.expression!r} is about fewer than two events at a time; write a longer time"
                )
        case Measure.GAUGE:
            fits = {"max": UPPER, "min": LOWER, "mean": () if window.stretch else (*UPPER, *LOWER)}
            if operator not in fits.get(objective.function, ()):
                raise ValueError(
                    f"{objective.expression!r} can't be told; write max(...) < 100 for 10s, min(...) > 5 for 10s or "
                    "mean(...) < 50 in any 30s"
                )
        case _:
            raise ValueError(
                f"{objective.expression!r} is about the run as a whole; leave {written!r} out, or write a share, a "
                "percentile, a rate, a throughput or a gauge"
            )
    return replace(objective, window=window)


def _check_parts(objective: Objective) -> None:
    given = [name for name in _PARTS if getattr(objective, name) is not None]
    if objective.measure is Measure.COST:
        given += [name for name in ("after", "during") if getattr(objective, name) is not None]
        if given:
            raise ValueError(f"{objective.expression!r} is about the whole run; leave {given[0]} out")
        if objective.abort_after_ns is not None:
            raise ValueError("what a run costs is known when it is over; leave abort out")
        return
    if objective.is_gauged:
        allowed = ("scenario",) if objective.measure in (Measure.DRAIN, Measure.REACH) else ()
        if wrong := [name for name in given if name not in allowed]:
            raise ValueError(f"a gauge belongs to no {wrong[0]}; leave {wrong[0]} out")
        return
    if objective.subject == QUEUE_LAG and (wrong := [name for name in given if name != "scenario"]):
        raise ValueError(f"the time in a queue belongs to no {wrong[0]}; leave {wrong[0]} out")
    if objective.subject == "hop" and objective.probe is None:
        raise ValueError("a hop ends at one probe of the chain; add probe: NAME")
    if objective.tag is not None:
        _check_tag(objective)
    if objective.probe is None and objective.replica is None:
        return
    if objective.measure in (Measure.STRETCH, Measure.SPAN):
        whose = "probe" if objective.probe is not None else "replica"
        raise ValueError(f"{objective.expression!r} is about answers to publishes, not about a {whose}; leave it out")
    counted = objective.measure in (Measure.COUNT, Measure.RATE, Measure.THROUGHPUT)
    known = _STATES_OF_A_PROBE if counted else _SEEN_BY_A_PROBE
    whose = "probe" if objective.probe is not None else "replica"
    if objective.subject not in known:
        raise ValueError(f"{objective.subject} is not known of one {whose}; known are {', '.join(known)}")
    if counted and objective.window is not None:
        raise ValueError(f"what one {whose} tells isn't counted over time; leave the window or the {whose} out")


def _check_tag(objective: Objective) -> None:
    """Which events have a tag is known only when they are answered."""
    if wrong := [name for name in ("probe", "replica") if getattr(objective, name) is not None]:
        raise ValueError(f"a tag is of an event, whoever looks at it; leave {wrong[0]} out")
    if objective.abort_after_ns is not None:
        raise ValueError(f"what is still to be answered may be {objective.tag}, too; leave abort out")
    if objective.measure in (Measure.STRETCH, Measure.SPAN):
        raise ValueError(f"{objective.expression!r} is about all answers; leave tag out")


def _check_after(objective: Objective) -> None:
    match objective.measure:
        case Measure.DRAIN:
            if (objective.after is None) == (objective.scenario is None):
                cure = "write scenario: NAME, or after: with a scenario or a time such as 5m"
                raise ValueError(f"{objective.expression!r} has to count from one moment; {cure}")
            if objective.after_named is None and objective.level is None:
                cure = f"write drain({objective.subject} <= 10) < ..."
                raise ValueError(f"nobody knows the level of {objective.subject} before {objective.after}; {cure}")
        case Measure.RECOVERY:
            if objective.after is None:
                cure = "write after: with a scenario, from whose end on it counts, or a time such as 5m"
                raise ValueError(f"{objective.expression!r} has to count from a moment; {cure}")
        case Measure.REACH:
            if (objective.after is None) == (objective.scenario is None):
                cure = "write scenario: NAME, from whose start on it counts, or after: with a scenario or a time"
                raise ValueError(f"{objective.expression!r} has to count from one moment; {cure}")
        case Measure.RATIO if objective.after is not None:
            if whole := [part for part in objective.parts if part.measure is Measure.GAUGE]:
                raise ValueError(f"{whole[0].expression} is about the whole run; leave after out")
        case measure if measure not in FROM_A_MOMENT and objective.after is not None:
            if objective.after_named is None:
                *others, last = _COUNTING
                cure = "leave after out, or name an action"
                raise ValueError(f"only {', '.join(others)} and {last} count from a time; {cure}")
            if objective.subject == QUEUE_LAG or objective.measure is Measure.SPAN:
                raise ValueError(f"{objective.expression!r} is about the whole run; leave after out")


def _check_during(objective: Objective) -> None:
    if objective.during is None:
        return
    if objective.after is not None:
        raise ValueError("this is about the time while something is on, and about the time after; write one of them")
    if objective.measure in (Measure.DRAIN, Measure.RECOVERY, Measure.REACH):
        raise ValueError(f"{objective.expression!r} counts from a moment; write after: instead of during:")
    if objective.measure in (*_WHOLE, Measure.SPAN) or objective.subject == QUEUE_LAG:
        raise ValueError(f"{objective.expression!r} can't be told of a part of the run; leave during out")


def _scoped(inner: Objective, outer: Objective) -> Objective:
    scoped = replace(
        inner,
        scenario=outer.scenario,
        event=outer.event,
        key=outer.key,
        tag=outer.tag,
        probe=outer.probe,
        replica=outer.replica,
        journey=outer.journey,
        step=outer.step,
    )
    _check_parts(scoped)
    return scoped


def _with_critical(objective: Objective, text: str) -> Objective:
    critical = _second_limit(objective, text, "critical")
    upper = objective.operator in UPPER
    if critical <= objective.limit if upper else critical >= objective.limit:
        cure = f"it has to be {'above' if upper else 'below'} the limit in {objective.expression!r}"
        raise ValueError(f"critical {text} is not looser than the objective; {cure}")
    return replace(objective, critical=critical)


def _with_target(objective: Objective, text: str) -> Objective:
    target = _second_limit(objective, text, "target")
    upper = objective.operator in UPPER
    if target >= objective.limit if upper else target <= objective.limit:
        cure = f"it has to be {'below' if upper else 'above'} the limit in {objective.expression!r}"
        raise ValueError(f"target {text} is not tighter than the objective; {cure}")
    share = target if objective.measure is Measure.SHARE else objective.share
    return replace(objective, limit=target, critical=objective.limit, share=share)


def _second_limit(objective: Objective, text: str, what: str) -> Fraction:
    if objective.operator not in (*UPPER, *LOWER):
        what_counts, _, written = objective.expression.partition(objective.operator)
        cure = f"write {what_counts.strip()} <= {written.strip()}"
        raise ValueError(f"{objective.operator} can't have a {what} limit; {cure}, or leave {what} out")
    return parse_limit(objective, text)
