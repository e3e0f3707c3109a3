"""What is known of a counter of the ledger: an interval, and whether it could have counted anything at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.facts import _ERRORS, PUBLISH_COUNTERS
from ..model.summary import ScenarioSummary


@dataclass(frozen=True, slots=True)
class Count:
    """A counter as an interval. `high` is None where nothing bounds it.

    blind  why the counter couldn't have counted anything; empty if it could
    doubt  why it is not one number
    """

    low: int
    high: int | None
    blind: str = ""
    doubt: str = ""


def count(scope: ScenarioSummary, name: str) -> Count:
    """The counter called `name`, one of COUNTER_NAMES, in one scenario or in several merged."""
    ledger = scope.ledger
    match name:
        case "errors":
            exact = sum(ledger[key] for key in _ERRORS)
        case "sent":
            exact = ledger["scheduled"] - ledger["unsent"]
        case _:
            exact = ledger[name]
    if not ledger["scheduled"]:
        return Count(exact, exact, "nothing was scheduled")
    if name in PUBLISH_COUNTERS:
        return Count(exact, exact)
    watched = ledger["visible"] + ledger["lost"] + ledger["regressed"]
    blind = "" if watched else "no event was watched to the end"
    if name in ("pending", "unobserved", "recovered"):
        return Count(exact, exact, blind)
    open_states = {"still pending": ledger["pending"], "not observed": ledger["unobserved"]}
    if name == "lost":
        open_states["in doubt and never seen"] = max(0, ledger["in_doubt"] - ledger["recovered"])
    doubt = ", ".join(f"{count} {state}" for state, count in open_states.items() if count)
    if name in ("lost", "visible"):
        return Count(exact, exact + sum(open_states.values()), blind, doubt)
    return _count_seen_only(scope, name, exact, watched, blind, doubt)


def _count_seen_only(scope: ScenarioSummary, name: str, low: int, watched: int, blind: str, doubt: str) -> Count:
    """Counters of what was seen to go wrong, which are lower bounds where somebody wasn't looking."""
    if name == "duplicated":
        seen = scope.ledger["visible"] + scope.ledger["regressed"]
        if not scope.effects_known:
            blind = "no read said how many effects an event had"
        elif scope.effects_known < seen:
            doubt = doubt or f"effects are known for {scope.effects_known} of {seen} events"
    elif name == "out_of_order":
        if not scope.positions_known:
            blind = "no read said in which order events were applied"
    elif name == "unread_writes":
        if not scope.session_reads:
            blind = "no session read an event right after its ack"
        elif scope.session_reads < watched:
            doubt = doubt or f"sessions read {scope.session_reads} of {watched} events"
    elif scope.sampled < watched:
        doubt = doubt or f"{scope.sampled} of {watched} events were followed closely"
    return Count(low, None if doubt else low, blind, doubt)
