"""Finds the events that weigh most against an objective, so that a person can look them up in logs and traces.

Done after the run, from its ledger file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from ..model.correlation import CorrelationIds
from ..model.facts import MEASURED, NEVER_CAME, STALENESS, where
from ..model.marker import Marker, ended_ns, of_action
from ..model.report import WorstEvent
from ..model.states import State
from ..model.travel import Observation, Part
from ..objectives.objective import Objective
from ..units import NS_PER_S, format_duration
from .reader import LedgerReader

MOST: Final = 10
"""Events named for each objective."""

_SPANS: Final[Mapping[str, tuple[str, str]]] = {
    "schedule_delay": ("intended_ns", "sent_ns"),
    "publish": ("sent_ns", "acked_ns"),
    "first_byte": ("sent_ns", "sent_ns + nullif(first_byte, -1)"),
    "first_seen": ("acked_ns", "first_upper_ns"),
    "consistency": ("acked_ns", "stable_upper_ns"),
    "end_to_end": ("intended_ns", "stable_upper_ns"),
    "hop": ("acked_ns", "stable_upper_ns"),
}
"""Where each metric begins and ends."""
_ACKED: Final = f"state >= {State.VISIBLE.value}"
_FOLLOWED: Final = f"{_ACKED} AND sampled = 1"
_MEASURED: Final[Mapping[str, str]] = {
    "schedule_delay": f"sent_ns IS NOT NULL AND state > {State.UNSENT.value}",
    "publish": f"sent_ns IS NOT NULL AND state >= {State.IN_DOUBT.value}",
    "first_byte": f"first_byte IS NOT NULL AND sent_ns IS NOT NULL AND state >= {State.IN_DOUBT.value}",
    "first_seen": _FOLLOWED,
    "consistency": _FOLLOWED,
    "end_to_end": "sampled = 1",
    "hop": _FOLLOWED,
}
"""Which events each metric has a value of: no other can weigh against it."""
_OVERTAKES: Final = """placed.scenario = events.scenario
    AND placed.key = events.key AND placed.position < events.position
    AND placed.sent_ns >= events.acked_ns AND placed.sent_ns < events.settled_ns
    AND (placed.sent_ns, placed.seq) > (coalesce(events.sent_ns, events.intended_ns), events.seq)"""
"""One that was sent between its ack and its last read was applied before it."""
_OVERTAKEN: Final = f"EXISTS (SELECT 1 FROM placed WHERE {_OVERTAKES})"
_PART: Final = (
    "parts.seq = events.seq AND (:probe IS NULL OR parts.probe = :probe)"
    " AND ((:replica IS NULL AND parts.replica IS NULL) OR parts.replica = :replica)"
)
_TOLD: Final = f"EXISTS (SELECT 1 FROM parts WHERE {_PART})"
_ALONE: Final = "(:replica IS NULL AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.seq = events.seq))"
"""The only probe of a scenario says what is said of the event; it has no parts."""
_HOP_BEGAN: Final = (
    "(SELECT max(stable_upper_ns) FROM parts WHERE seq = events.seq AND replica IS NULL AND probe = :before)"
)
"""When the probe before it in the chain showed an event; a hop begins there."""
_STILL_OPEN: Final = f"state = {State.PENDING.value}"
_ENDED: Final = f"{_ACKED} AND NOT {_STILL_OPEN}"
_OF_ONE_VIEW: Final[Mapping[str, str]] = {
    state.name.lower(): f"{_ENDED} AND ({_ALONE} AND state = {state.value}"
    f" OR EXISTS (SELECT 1 FROM parts WHERE {_PART} AND parts.state = {state.value}))"
    for state in (State.ENDED, State.LOST, State.REGRESSED, State.UNOBSERVED)
}
"""Which events a counter counts of what one probe or one replica says. What is pending is so for all of them."""


def worst_events(
    objective: Objective, reader: LedgerReader, judged: Collection[str] | None = None
) -> Iterator[WorstEvent]:
    """The events that weigh most against an objective, the worst first; none where no single event is to blame.

    `judged` are the names of the scenarios on whose events it was judged; None: of all that it may be about.
    """
    about = objective.inner or objective
    chosen = None if about.of_rounds else _choice_of_steps(about) if about.of_iterations else _choice(about)
    if chosen is None:
        return
    scenarios = [plan["name"] for plan in reader.meta["plan"]]
    events, probes = list(reader.meta["events"]), list(reader.meta["probes"])
    if about.subject == "out_of_order":
        reader.place()
    condition, order = chosen
    conditions, values = [condition, reader.judged], dict[str, object]()
    places: Mapping[int, tuple[int, int | None]] = {}
    of = [number for number, name in enumerate(scenarios) if about.is_of(name)]
    if judged is not None and not about.of_iterations:
        of = [number for number in of if scenarios[number] in judged]
    if len(of) < len(scenarios) and (about.scenario in (None, *scenarios)):
        conditions.append(f"scenario IN ({', '.join(map(str, of))})")
    conditions += _when_due(about, list(reader.markers()))
    reads = [number for plan in reader.meta["plan"] for number in (plan.get("race") or {}).get("reads", ())]
    if about.subject == "errors" and about.event is None and reads:
        conditions.append(f"type NOT IN ({', '.join(str(int(number)) for number in reads)})")
    if about.event is not None:
        conditions.append("type = :type")
        values["type"] = events.index(about.event)
    if about.of_iterations and about.journey is not None:
        own = [number for number, name in enumerate(events) if name.startswith(f"{about.journey}.")]
        conditions.append(f"type IN ({', '.join(map(str, own))})")
    if about.key is not None:
        conditions.append("matches(key, :key)")
        values["key"] = about.key
    if about.tag is not None:
        conditions.append("instr(char(10) || tags || char(10), char(10) || :tag || char(10)) > 0")
        values["tag"] = about.tag
    if about.probe is not None or about.replica is not None:
        conditions.append(f"({_TOLD} OR {_ALONE})")
        values["probe"] = None
        values["replica"] = about.replica
    if about.probe is not None:
        places = {number: place for number in of if (place := _place(reader.meta["plan"][number], about))}
        conditions.append(f"scenario IN ({', '.join(map(str, places))})")
        values["probe"], values["before"] = next(iter(places.values()), (None, None))
    condition = " AND ".join(conditions)
    if len({*places.values()}) > 1:
        # Each step is followed by a probe of its own, with a number of its own.
        for name, at in (("probe", 0), ("before", 1)):
            numbers = [
                f"WHEN {number} THEN {'NULL' if place[at] is None else place[at]}" for number, place in places.items()
            ]
            told = f"(CASE events.scenario {' '.join(numbers)} END)"
            condition, order = condition.replace(f":{name}", told), order.replace(f":{name}", told)
    ids = CorrelationIds.for_run(reader.meta["run_id"])
    for seen in reader.chosen(condition, order, values, MOST):
        if seen.scenario in places:
            values["probe"], values["before"] = places[seen.scenario]
        sent = seen.seq if reader.meta["plan"][seen.scenario].get("sends", True) else reader.sent_for(seen)
        yield WorstEvent(
            correlation_id=ids.id_of(sent),
            traceparent=ids.traceparent_of(sent),
            scenario=scenarios[seen.scenario],
            event=events[seen.type],
            key=seen.key,
            state=seen.state.name.lower(),
            log=tuple(_log(seen, probes)),
            figure=_figure(about, seen, values)
            if about.subject != "out_of_order"
            else _overtaken(seen, reader.first_placed(_OVERTAKES, seen.seq), ids),
        )


def _when_due(objective: Objective, markers: Sequence[Marker]) -> Iterator[str]:
    """Conditions in SQL on when an event was due, of an objective about the time around an action."""
    if objective.during is not None:
        spans = [marker.inner for marker in of_action(markers, objective.during)]
        inside = [
            f"intended_ns >= {begun}" + ("" if over is None else f" AND intended_ns <= {over}")
            for begun, over in (span for span in spans if span is not None)
        ]
        yield f"({' OR '.join(inside) or 'FALSE'})"
    if objective.of_later_events:
        over_ns = ended_ns(markers, objective.after or "")
        yield "FALSE" if over_ns is None else f"intended_ns >= {over_ns}"


def _choice_of_steps(objective: Objective) -> tuple[str, str] | None:
    """Of an objective on iterations that ended so at a step: the answers that ended them."""
    answer = {"refused": 2, "failed": 3}.get(objective.subject)
    return None if answer is None or objective.check is not None else (f"answer = {answer}", "seq")


def _choice(objective: Objective) -> tuple[str, str] | None:
    """The condition and the order in SQL; None where no single event is to blame."""
    subject = objective.subject
    counted = (_OVERTAKEN, "seq") if subject == "out_of_order" else where(subject)
    if subject == STALENESS:
        counted = "staleness > 0", "staleness DESC"
    if counted is not None:
        condition, order = counted
        if objective.probe or objective.replica:
            condition = _OF_ONE_VIEW.get(subject, condition)
        return condition, order
    if subject not in _SPANS:
        return None
    start, end = _SPANS[subject]
    condition = _MEASURED[subject]
    if objective.probe or objective.replica:
        condition = _FOLLOWED
        end = f"CASE WHEN {_ALONE} THEN {end} ELSE (SELECT max({end}) FROM parts WHERE {_PART}) END"
    threshold = objective.latency_limit_ns
    if threshold is not None and subject != "hop":
        condition += f" AND ({end} IS NULL OR {end} - {start} > {int(threshold)})"
    if subject == "hop" and objective.probe:
        condition += f" AND (:before IS NULL OR {_HOP_BEGAN} IS NOT NULL)"
        start = f"coalesce({_HOP_BEGAN}, {start})"
    return condition, f"{end} IS NULL DESC, {end} - {start} DESC, seq"


def _place(plan: Mapping[str, Any], objective: Objective) -> tuple[int, int | None] | None:
    """The number of the probe of an objective as a scenario asks it, and of the one before it in its chain; None: it
    asks others."""
    chain: list[int] = [number for number, _ in plan["probes"]]
    names = [name for _, name in plan["probes"]]
    if objective.probe not in names:
        return None
    at = names.index(objective.probe)
    return chain[at], chain[at - 1] if at else None


def _figure(objective: Objective, seen: Observation, values: Mapping[str, object]) -> str:
    """What was judged, of one event; empty where that is only how it ended. `values` say of which view."""
    match objective.subject:
        case "duplicated" | "duplicates" if seen.effects is not None:
            return f"{seen.effects} effects"
        case "staleness" if seen.staleness is not None:
            return f"{seen.staleness} writes behind"
        case "regressions" if seen.gone is not None:
            return f"was there again {seen.regressions} times"
        case "regressions":
            return f"disappeared {seen.regressions} times"
        case "appeared" if seen.acked_ns is not None and seen.first_upper_ns is not None:
            lower_ns = seen.acked_ns if seen.first_lower_ns is None else seen.first_lower_ns
            took = _bracket(max(0, lower_ns - seen.acked_ns), max(0, seen.first_upper_ns - seen.acked_ns))
            return f"appeared after {took}"
        case "first_seen" | "consistency" if seen.gone is not None:
            took = _bracket(*_took(objective.subject, seen, values))
            return f"{'gone' if objective.subject == 'first_seen' else 'gone for good'} after {took}"
        case subject if subject in _SPANS:
            return f"{subject} {_bracket(*_took(subject, seen, values))}"
    return ""


def _took(subject: str, seen: Observation, values: Mapping[str, object]) -> tuple[int, int | None]:
    """[lower, upper] in nanoseconds of what an event took; None: it never came."""
    if subject in MEASURED:
        took_ns = getattr(seen, subject)
        return (0, None) if took_ns == NEVER_CAME else (took_ns, took_ns)
    start, end = _SPANS[subject]
    since = getattr(seen, start) or seen.intended_ns
    if not end.endswith("upper_ns"):
        at_ns = getattr(seen, end)
        return (0, None) if at_ns is None else (at_ns - since, at_ns - since)
    views: Sequence[Observation | Part] = [seen]
    if "probe" in values and seen.parts:
        probe, replica = values["probe"], values["replica"]
        views = [part for part in seen.parts if probe in (None, part.probe) and part.replica == replica]
    uppers = [upper for view in views if (upper := getattr(view, end)) is not None]
    lowers = [lower for view in views if (lower := getattr(view, end.replace("upper", "lower"))) is not None]
    low, high = max(lowers, default=since), max(uppers, default=None)
    from_low = from_high = since
    if subject == "hop" and values.get("before") is not None:
        # Of several replicas the last counts, and what is said of all of them is what it says.
        before = [part for part in seen.parts if part.probe == values["before"]]
        from_low = max((part.stable_lower_ns for part in before if part.stable_lower_ns is not None), default=since)
        from_high = max((part.stable_upper_ns for part in before if part.stable_upper_ns is not None), default=since)
    return max(0, low - from_high), None if high is None else max(0, high - from_low)


def _bracket(low_ns: int, high_ns: int | None) -> str:
    low, high = format_duration(low_ns), "never" if high_ns is None else format_duration(high_ns)
    if low == high:
        return high
    number, _, unit = low.rpartition(" ")
    return f"{number if high.endswith(f' {unit}') else low} … {high}"


def _overtaken(seen: Observation, by: tuple[int, object] | None, ids: CorrelationIds) -> str:
    """Which of those that overtook an event was sent first."""
    if by is None:
        return ""
    return f"at position {seen.position}, overtaken by {ids.id_of(by[0])} at position {by[1]}"


def _log(seen: Observation, probes: Sequence[str]) -> list[tuple[float, str]]:
    """What happened to an event when. Times in seconds since the schedule began."""
    told: list[tuple[int, str]] = [(seen.intended_ns, "due")]
    if seen.sent_ns is not None:
        late = seen.sent_ns - seen.intended_ns
        waited = f", {format_duration(seen.order_wait)} of it for its turn" if seen.order_wait else ""
        told.append((seen.sent_ns, f"sent, {format_duration(late)} late{waited}" if late > 0 else "sent"))
    for before, after in pairwise(seen.tries):
        told.append((before.acked_ns or seen.intended_ns, f"answered: HTTP {before.status}, to be sent again"))
        told.append((after.sent_ns or seen.settled_ns, "sent again"))
    if seen.acked_ns is not None:
        took = format_duration(seen.acked_ns - (seen.sent_ns or seen.intended_ns))
        answer = "acked" if seen.state >= State.VISIBLE else f"answered: {seen.detail or seen.state.name.lower()}"
        told.append((seen.acked_ns, f"{answer} after {took}"))
    if seen.capture is not None:
        told.append((seen.acked_ns or seen.sent_ns or seen.intended_ns, f"the target calls it {seen.capture}"))
    if seen.session is not None:
        told.append((seen.acked_ns or 0, f"its own session's read right after the ack: {seen.session.name.lower()}"))
    # Of what is to go, a sighting is that it isn't there any more.
    goes = seen.gone is not None
    told += _sighting(seen.first_lower_ns, seen.first_upper_ns, "gone first" if goes else "first seen")
    for part in seen.parts:
        shows = "shows it no more" if goes else "shows it for good"
        told += _sighting(part.stable_lower_ns, part.stable_upper_ns, f"{_view(part, probes)} {shows}")
        if part.stable_upper_ns is None and part.state is not State.VISIBLE:
            told.append((seen.settled_ns, f"{_view(part, probes)}: {part.state.name.lower()}"))
    if seen.stable_upper_ns != seen.first_upper_ns:
        by_everybody = "gone for everybody" if goes else "seen by everybody"
        told += _sighting(seen.stable_lower_ns, seen.stable_upper_ns, by_everybody)
    facts = [f"{seen.reads} reads"]
    if seen.failed_reads:
        facts.append(f"{seen.failed_reads} of them failed")
    if seen.effects is not None:
        facts.append(f"{seen.effects} effects")
    if seen.regressions:
        facts.append(f"{'was there again' if goes else 'disappeared'} {seen.regressions} times")
    if seen.staleness:
        facts.append(f"{seen.staleness} writes behind at worst")
    if seen.stable_upper_ns is None and seen.stable_lower_ns is not None:
        told.append((seen.stable_lower_ns, "still there" if goes else "still missing"))
    told.append((seen.settled_ns, f"settled as {seen.state.name.lower()}: {', '.join(facts)}"))
    return [(at_ns / NS_PER_S, text) for at_ns, text in sorted(told, key=lambda entry: entry[0])]


def _sighting(lower_ns: int | None, upper_ns: int | None, what: str) -> list[tuple[int, str]]:
    if upper_ns is None:
        return []
    since = "" if lower_ns is None else f", within the {format_duration(upper_ns - lower_ns)} before"
    return [(upper_ns, f"{what}{since}")]


def _view(part: Part, probes: Sequence[str]) -> str:
    name = probes[part.probe]
    return name if part.replica is None else f"{name} at {part.replica}"
