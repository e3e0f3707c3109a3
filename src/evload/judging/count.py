"""What is known of a counter of the ledger: an interval, and whether it could have counted anything at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import iteration
from ..model.facts import COUNTERS, ERRORS, FACT_OF, PUBLISH_COUNTERS, STATUS, ByValue
from ..model.summary import ScenarioSummary
from ..objectives.objective import Objective


@dataclass(frozen=True, slots=True)
class Count:
    """A counter as an interval. `high` is None where nothing bounds it.

    blind  why the counter couldn't have counted anything; empty if it could
    doubt  why it is not one number
    of     of how many it is a share, where that isn't all that was scheduled
    """

    low: int
    high: int | None
    blind: str = ""
    doubt: str = ""
    of: int | None = None


def counted(scope: ScenarioSummary, objective: Objective) -> Count:
    """What an objective counts, in one scenario or in several merged; of iterations in journeys."""
    if objective.check is None:
        return count(scope, objective.subject)
    failed, made = _checks(scope, objective.step, objective.check)
    return Count(failed, failed, "" if made else "no answer was held against this check", of=made)


def _checks(scope: ScenarioSummary, step: str | None, check: str) -> tuple[int, int]:
    """How often a check didn't hold, and how many answers were held against it."""
    held, not_held = (
        sum(times for label, times in scope.tallies.get(name, {}).items() if iteration.is_check(label, step, check))
        for name in (iteration.HELD, iteration.NOT_HELD)
    )
    return not_held, held + not_held


def count(scope: ScenarioSummary, name: str) -> Count:
    """The counter called `name`, one of COUNTER_NAMES, by value or of iterations, in one scenario or in several
    merged; of iterations in journeys.

    Raises KeyError for any other name.
    """
    ledger = scope.ledger
    by_value = ByValue.named(name)
    if by_value is not None:
        return _count_by_value(scope, by_value)
    if name in iteration.COUNTERS:
        exact = ledger.get(iteration.key_of(name), 0)
        return Count(exact, exact, "" if ledger["scheduled"] else "no iteration was due")
    match name:
        case "errors":
            exact = sum(ledger[key] for key in ERRORS) - scope.failed_reads
        case "sent":
            exact = ledger["scheduled"] - ledger["unsent"]
        case _:
            exact = ledger[name]
    if not ledger["scheduled"]:
        return Count(exact, exact, "nothing was scheduled")
    if name in PUBLISH_COUNTERS:
        return Count(exact, exact)
    if name == "appeared":
        return _count_appeared(scope, exact)
    watched = ledger["visible"] + ledger["ended"] + ledger["lost"] + ledger["regressed"]
    blind = "" if watched else "no event was watched to the end"
    if name in ("pending", "unobserved", "recovered"):
        return Count(exact, exact, blind)
    open_states = {"still pending": ledger["pending"], "not observed": ledger["unobserved"]}
    if name == "lost":
        open_states["in doubt and never seen"] = max(0, ledger["in_doubt"] - ledger["recovered"])
    doubt = ", ".join(f"{count} {state}" for state, count in open_states.items() if count)
    if name in ("lost", "visible", "ended"):
        return Count(exact, exact + sum(open_states.values()), blind, doubt)
    return _count_seen_only(scope, name, exact, watched, blind, doubt)


def _count_by_value(scope: ScenarioSummary, by_value: ByValue) -> Count:
    tally = scope.tallies.get(by_value.fact, {})
    exact = sum(events for value, events in tally.items() if by_value.has(value))
    article = "an" if by_value.fact[0] in "aeiou" else "a"
    return Count(exact, exact, "" if tally else f"nothing told {article} {by_value.fact}")


def tried(scope: ScenarioSummary, name: str) -> int:
    """Of how many a counter called `name` is a share: all that was scheduled, as often as it was sent where that is
    counted; of errors without the reads of races."""
    scheduled, by_value = scope.ledger["scheduled"], ByValue.named(name)
    if name == "errors":
        return scheduled - scope.reads
    if by_value is None or not by_value.of_tries:
        return scheduled
    return scheduled + sum(scope.tallies.get(STATUS, {}).values()) - scope.known.get(STATUS, 0)


def _count_appeared(scope: ScenarioSummary, low: int) -> Count:
    """What was to stay absent and didn't; of some of it nobody may be able to tell."""
    untold = scope.tallies.get("appeared", {}).get(2, 0)
    blind = "" if scope.known.get("appeared") else COUNTERS["appeared"].blind
    return Count(low, low + untold, blind, f"of {untold} no read said whether they appeared" if untold else "")


def _count_seen_only(scope: ScenarioSummary, name: str, low: int, watched: int, blind: str, doubt: str) -> Count:
    """Counters of what was seen to go wrong, which are lower bounds where somebody wasn't looking."""
    counter = COUNTERS.get(name)
    if name in ("out_of_order", "order_unknown"):
        if not scope.known.get("position"):
            blind = COUNTERS[name].blind
        elif name == "out_of_order" and scope.ledger["order_unknown"] and not scope.known.get("order"):
            blind = "no order was owed: each event was sent before the one before it with its key was acked"
    elif counter is not None and counter.blind:
        known = scope.known.get(FACT_OF[name], 0)
        among = scope.ledger["visible"] + scope.ledger["regressed"] if counter.among == "seen" else watched
        if not known:
            blind = counter.blind
        elif known < among:
            doubt = doubt or counter.partly.format(known=known, among=among)
    elif scope.sampled < watched:
        doubt = doubt or f"{scope.sampled} of {watched} events were followed closely"
    return Count(low, None if doubt else low, blind, doubt)
