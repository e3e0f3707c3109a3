"""What waited where over the course of a trial of journeys, from its ledger: iterations, and each of their steps.

A step piles up where more of it is due than is answered, or seen, so that each is looked at by itself, as a share of
the rate at which it is due. What would show at no step, such as what waits for values of a pool, shows in how many
iterations are under way. That rises and falls with the lengths of journeys that differ, too, which says nothing of
the system: so it is told as well from how long iterations of one journey took, by when they were due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ..ledger.reader import LedgerReader
from ..model.iteration import End
from ..objectives.objective import is_watched
from ..summary.fold_plan import ScenarioPlan
from ..units import NS_PER_S
from .courses import Course, between, filled_ns, followed, load_of, queues, table

UNDER_WAY: Final = "iterations under way"
_FIRST: Final = 10
"""The first tenth of a trial tells how long an iteration usually takes: later ones may have had to wait."""
_FEWEST: Final = 20
_NEARLY_ALL: Final = 0.995


def usual_ns(ledger: LedgerReader, number: int, plan: ScenarioPlan) -> int:
    """How long nearly all iterations of a scenario take, in nanoseconds, while hardly anything waits in the system:
    of those that were due in the first tenth of its load, or of the first twenty."""
    import numpy as np

    start_ns, _, end_ns = load_of(plan)
    found = _iterations(ledger, number)
    found = found[np.argsort(found[:, 0])]
    count = max(_FEWEST, int(np.searchsorted(found[:, 0], start_ns + (end_ns - start_ns) / _FIRST)))
    took = found[:count, 1] - found[:count, 0]
    return int(np.quantile(took, _NEARLY_ALL, method="higher")) if len(took) else 0


def courses(
    ledger: LedgerReader, number: int, plan: ScenarioPlan, scenario: str, usual: int
) -> Iterator[tuple[str, Course]]:
    """Of a scenario that makes journeys, which has this number; nearly all of them take so long (`usual_ns`).

    Before there are as many under way as there will be, what comes in is more than what goes out.
    """
    start_ns, _, end_ns = load_of(plan)
    since_ns = max(filled_ns(plan), start_ns + usual)
    if since_ns >= end_ns:
        return
    found = _iterations(ledger, number)
    if not len(found):
        return
    yield UNDER_WAY, replace(between(found, since_ns, end_ns), took=_took(found, since_ns, end_ns))
    plans = [ScenarioPlan.from_data(one) for one in ledger.meta["plan"]]
    watched = {one.name: other for other, one in enumerate(plans) if one.name.startswith(f"{scenario}: ")}
    last_ns = max(_last_sent_ns(ledger, one) for one in (number, *watched.values()))
    sent = table(ledger, "SELECT intended_ns, acked_ns, type FROM events WHERE scenario = ?", number)
    for kind, event in enumerate(ledger.meta["events"]):
        if len(rows := sent[sent[:, -1] == kind]):
            yield f"unanswered {event}", between(rows, since_ns, end_ns, len(rows) / len(found))
    for name, other in watched.items():
        if not plans[other].watched:
            continue
        event = name.removeprefix(f"{scenario}: ")
        # What follows a step is a copy of each of its probes; what a step waits for is called as the step is.
        waits = not any(is_watched(ledger.meta["probes"][probe]) for probe, _ in plans[other].probes)
        seen = followed(ledger, other, since_ns, end_ns, last_ns, once=waits)
        if seen is not None:
            each = _count(ledger, other) / len(found)
            yield f"{event} {'still waited for' if waits else 'not seen yet'}", replace(seen, each=each)
    yield from queues(ledger, scenario, since_ns, end_ns, last_ns)


def _iterations(ledger: LedgerReader, number: int) -> Any:
    """When each iteration was due and over, those that were never begun left out; its journey, and how it ended."""
    begun = f"ended_as NOT IN ({End.UNSENT.value}, {End.STARVED.value})"
    columns = "intended_ns, ended_ns, journey, ended_as"
    return table(ledger, f"SELECT {columns} FROM iterations WHERE scenario = ? AND {begun}", number)


def _took(found: Any, since_ns: int, end_ns: int) -> tuple[Sequence[float], Sequence[float]]:
    """When iterations were due, and how long they took beside what is usual for their journey and their end."""
    import numpy as np

    rows = found[(found[:, 0] >= since_ns) & (found[:, 0] <= end_ns)]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    took = (rows[:, 1] - rows[:, 0]) / NS_PER_S
    for kind in np.unique(rows[:, 2:], axis=0):
        alike = (rows[:, 2:] == kind).all(axis=1)
        took[alike] -= took[alike].mean()
    return (rows[:, 0] / NS_PER_S).tolist(), took.tolist()


def _last_sent_ns(ledger: LedgerReader, number: int) -> int:
    query = "SELECT max(coalesce(sent_ns, 0)) FROM events WHERE scenario = ?"
    return max((last_ns or 0 for (last_ns,) in ledger.rows(query, (number,))), default=0)


def _count(ledger: LedgerReader, number: int) -> int:
    return sum(count for (count,) in ledger.rows("SELECT count(*) FROM events WHERE scenario = ?", (number,)))
