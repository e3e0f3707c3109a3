"""Counts settled events that stand in columns in a scenario, or in a part of it.

Imports numpy, and is itself imported only where a ledger is read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from ..model.facts import DOUBTED, FACT_OF, INTERVAL_NS, MEASURED, NEVER_CAME, ByValue, in_doubt
from ..model.states import State
from ..model.summary import ScenarioSummary, Series
from ..model.travel import Observation
from ..stats.columns import NONE, Flags, Ints, add_steps, add_thresholds, at_threshold, record, tally, total
from .columns import Columns, either, fact_of
from .metric_fold import MetricFold
from .recorder import COUNTED, ERROR_STATES, STATE_KEYS, Fold, count_fact, count_tries, counts_tries


def count_due(into: Fold, events: Columns, *, late: bool = False) -> None:
    """Count events as scheduled, in the order of the schedule; or of any part of it where it is known `late`, when
    they are settled, that they belong here."""
    if not events.count:
        return
    at_ns, summary = events["intended_ns"], into.summary
    into.schedule(events.count)
    first_ns, last_ns = (at_ns.min(), at_ns.max()) if late else (at_ns[0], at_ns[-1])
    first, last = summary.first_intended_ns, summary.last_intended_ns
    if first is None or (late and first_ns < first):
        summary.first_intended_ns = int(first_ns)
    if last is None or not late or last_ns > last:
        summary.last_intended_ns = int(last_ns)
    for steps in summary.counter_steps.values():
        add_steps(steps, at_ns, events=1)


def offer(offered: dict[int, list[int]], at_ns: Ints, column: int) -> None:
    """Count events by the interval to which they belong."""
    for interval, events in tally(at_ns // INTERVAL_NS):
        offered.setdefault(interval, [0, 0])[column] += events


def count_settled(into: Fold, events: Columns, *, sends: bool = True) -> None:
    """Count how settled events ended, what is known of them, and how long their publish took where they were sent."""
    if not events.count:
        return
    summary, state = into.summary, events["state"]
    _count_states(summary.ledger, state)
    summary.ledger["acked"] += int(np.count_nonzero(state >= State.VISIBLE))
    recovered = (state == State.IN_DOUBT) & (events["first_upper_ns"] != NONE)
    summary.ledger["recovered"] += int(np.count_nonzero(recovered))
    summary.agreeing += int(events["agreeing"].sum())
    summary.asked += int(events["asked"].sum())
    last_ns = int(events["acked_ns"].max())
    if last_ns != NONE and (summary.last_acked_ns is None or last_ns > summary.last_acked_ns):
        summary.last_acked_ns = last_ns
    for (counter, _), steps in summary.counter_steps.items():
        amounts = _amounts(counter, into.amounts[counter], events)
        earliest, latest = _moments(counter, events)
        counted = (amounts != 0) & (latest != NONE)
        if earliest is not None:
            add_steps(steps, earliest[counted], within=amounts[counted])
        add_steps(steps, latest[counted], beyond=amounts[counted])
        if counts_tries(counter):
            for statuses, rows in events.tried():
                add_steps(steps, events["intended_ns"][rows], events=len(statuses))
    if into.reads:
        _count_reads(into, events)
    _count_facts(summary, events)
    if sends:
        _count_publishes(into, events)


def _count_reads(into: Fold, events: Columns) -> None:
    """Take reads of a race out of the errors, and out of that of which these are a share."""
    reads = events.where(np.isin(events["type"], list(into.reads)))
    failed = np.isin(reads["state"], list(ERROR_STATES))
    into.summary.reads += reads.count
    into.summary.failed_reads += int(np.count_nonzero(failed))
    for steps in into.summary.read_steps.values():
        add_steps(steps, reads["intended_ns"], events=1, beyond=failed)


def _count_states(ledger: dict[str, int], state: Ints) -> None:
    for number, events in tally(state):
        ledger[STATE_KEYS[number]] += events


def _amounts(counter: str, amount_in: Callable[[Observation], int], events: Columns) -> Ints:
    """How often each event counts. Of those that are alike in all that a counter looks at, one is asked about."""
    by_value = ByValue.named(counter)
    fact = FACT_OF.get(counter) if by_value is None else by_value.fact
    kinds = events["state"] * 2 + (events["first_upper_ns"] != NONE)
    if fact is not None:
        kinds = kinds + (len(STATE_KEYS) + 1) * 2 * np.unique(events[fact], return_inverse=True)[1]
    _, examples, kind_of = np.unique(kinds, return_index=True, return_inverse=True)
    amounts = np.array([int(amount_in(seen)) for seen in events.observations(examples)], dtype=np.int64)[kind_of]
    if by_value is not None and by_value.of_tries:
        for statuses, rows in events.tried():
            amounts[rows] += sum(map(by_value.has, statuses))
    return amounts


def _moments(counter: str, events: Columns) -> tuple[Ints | None, Ints]:
    """When what a counter counts happened, at the earliest and at the latest; no earliest: it counts when the event
    was due."""
    match counter:
        case "sent" | "acked":
            return events[f"{counter}_ns"], events[f"{counter}_ns"]
        case "visible":
            return (
                either(events["stable_lower_ns"], events.published_ns),
                either(events["stable_upper_ns"], events["settled_ns"]),
            )
    return None, events["intended_ns"]


def _count_facts(summary: ScenarioSummary, events: Columns) -> None:
    """Count what is known of some events."""
    for name, fact, default, _ in COUNTED:
        column = events[name]
        known = column[column != (NONE if default is None else int(default))]
        if not len(known):
            continue
        if not fact.counters and fact.tallied is None and not fact.ranged:
            summary.known[name] = summary.known.get(name, 0) + len(known)
            if fact.summed:
                summary.sums[name] = summary.sums.get(name, 0) + total(known)
            continue
        for number, count in tally(known):
            count_fact(summary, name, fact_of(name, number), count)
        if fact.ranged:
            least, most = int(known.min()), int(known.max())
            series = summary.ranges.setdefault(name, Series())
            series.merge(Series(len(known), least, most, most, 0, Fraction(total(known))))
    doubt = events.where(events["state"] == State.IN_DOUBT)
    for name in DOUBTED if doubt.count else ():
        column = doubt[name]
        if (column != NONE).any():
            summary.sums[in_doubt(name)] = summary.sums.get(in_doubt(name), 0) + total(column[column != NONE])
    for statuses, rows in events.tried():
        count_tries(summary, statuses, int(np.count_nonzero(rows)))


# -- metrics -------------------------------------------------------------------------------------------------


def measure(metric: MetricFold, lower: Ints, upper: Ints, at_ns: Ints) -> None:
    """Count brackets, none of whose ends is negative, of events that were due at these moments."""
    distribution = metric.distribution
    if distribution.lower is distribution.upper and not np.array_equal(lower, upper):
        distribution.lower = distribution.upper.copy()
    record(distribution.upper, upper)
    if distribution.lower is not distribution.upper:
        record(distribution.lower, lower)
    add_thresholds(distribution.thresholds, lower, upper, at_ns, INTERVAL_NS)
    for (threshold, _), steps in distribution.steps.items():
        within, beyond = at_threshold(threshold, lower, upper)
        add_steps(steps, at_ns, events=1, within=within, beyond=beyond)


def _measure(into: Fold, name: str, ends: tuple[Ints, Ints], at_ns: Ints) -> None:
    if len(at_ns):
        measure(into.metric(name), *ends, at_ns)


def _since(reference: Ints, lower: Ints, upper: Ints, never: Flags | None = None) -> tuple[Ints, Ints]:
    """Both ends counted from moments; what precedes these took no time. `never`: it is known that it doesn't come."""
    low = np.maximum(lower - reference, 0)
    high = np.where(upper == NONE, NONE, np.maximum(upper - reference, 0))
    if never is not None and never.any():
        low[never] = high[never] = NONE
    return low, high


def _due_ns(events: Columns) -> Ints:
    """When each event would have been sent, had evload been in time."""
    due_ns, sent_ns, own = events["intended_ns"], events["sent_ns"], events["own_delay"]
    delay = np.where(sent_ns == NONE, 0, np.maximum(sent_ns - due_ns, 0))
    return due_ns + np.where(own == NONE, delay, np.minimum(delay, own))


def _count_publishes(into: Fold, events: Columns) -> None:
    """Count how late settled events were sent, and how long their publish took."""
    sent = events.where((events["sent_ns"] != NONE) & (events["state"] != State.UNSENT))
    delay = sent["sent_ns"] - sent["intended_ns"]
    into.summary.early_sends += int(np.count_nonzero(delay < 0))
    delay = np.maximum(delay, 0)
    _measure(into, "schedule_delay", (delay, delay), sent["intended_ns"])
    acked = sent.where((sent["state"] >= State.VISIBLE) & (sent["acked_ns"] != NONE))
    _measure(into, "publish", _since(acked["sent_ns"], acked["acked_ns"], acked["acked_ns"]), acked["intended_ns"])
    doubt = sent.where(sent["state"] == State.IN_DOUBT)
    if doubt.count:
        ends = _since(doubt["sent_ns"], doubt["settled_ns"], np.full(doubt.count, NONE))
        _measure(into, "publish", ends, doubt["intended_ns"])
    for name in MEASURED:
        known = (sent[name] != NONE) & ((sent["state"] >= State.VISIBLE) | (sent["state"] == State.IN_DOUBT))
        if known.any():
            told = sent.where(known)
            took, waited = told[name], np.maximum(told["settled_ns"] - told["sent_ns"], 0)
            never = took == NEVER_CAME
            ends = np.where(never, waited, took), np.where(never, NONE, took)
            _measure(into, name, ends, told["intended_ns"])


def count_visibility(into: Fold, late_ns: int, events: Columns) -> None:
    """Count when settled events were seen, of those that were followed closely. First seen more than `late_ns` / 3
    after the ack is late."""
    seen = events.where(events["sampled"] != 0)
    if not seen.count:
        return
    state, due_ns = seen["state"], seen["intended_ns"]
    lower, upper = either(seen["stable_lower_ns"], seen.published_ns), seen["stable_upper_ns"]
    never = (state <= State.RETURNED) | (state == State.ENDED)
    _measure(into, "end_to_end", _since(due_ns, lower, upper, never), due_ns)
    if into.on_time is not None:
        measure(into.on_time, *_since(_due_ns(seen), lower, upper, never), due_ns)
    seen = seen.beside({"lower": lower})
    seen = seen.where(((state >= State.VISIBLE) & (seen["acked_ns"] != NONE)) | (state == State.ENDED))
    into.summary.sampled += seen.count
    ended, acked_ns, due_ns = seen["state"] == State.ENDED, seen["acked_ns"], seen["intended_ns"]
    _measure(into, "consistency", _since(acked_ns, seen["lower"], seen["stable_upper_ns"], ended), due_ns)
    first_upper, since = seen["first_upper_ns"], either(acked_ns, seen.published_ns)
    first_lower = either(seen["first_lower_ns"], seen.published_ns)
    unseen = ended & (first_upper == NONE)
    _measure(into, "first_seen", _since(since, first_lower, first_upper, unseen), due_ns)
    late = ~ended & (first_upper != NONE) & (first_upper - since > late_ns // 3)
    into.summary.late_sightings += int(np.count_nonzero(late))


# -- views ---------------------------------------------------------------------------------------------------


def count_view(into: Fold, views: Columns) -> None:
    """Count what a probe or a replica says of settled events, which is in the columns that begin with `part_`."""
    if not views.count:
        return
    state, ledger = views["state"], into.summary.ledger
    acked = state >= State.VISIBLE
    _count_states(ledger, state[~acked])
    ledger["acked"] += int(np.count_nonzero(acked))
    told = np.where(state == State.PENDING, State.PENDING, views["part_state"])
    _count_states(ledger, told[acked])
    views = views.where(acked & (views["sampled"] != 0) & (views["acked_ns"] != NONE))
    into.summary.sampled += views.count
    if not views.count:
        return
    acked_ns, due_ns, published_ns = views["acked_ns"], views["intended_ns"], views.published_ns
    lower, upper = either(views["part_stable_lower_ns"], published_ns), views["part_stable_upper_ns"]
    ended = views["part_state"] == State.ENDED
    _measure(into, "consistency", _since(acked_ns, lower, upper, ended), due_ns)
    _measure(into, "end_to_end", _since(due_ns, lower, upper, ended), due_ns)
    if into.on_time is not None:
        measure(into.on_time, *_since(_due_ns(views), lower, upper, ended), due_ns)
    first_lower, first_upper = either(views["part_first_lower_ns"], published_ns), views["part_first_upper_ns"]
    unseen = ended & (first_upper == NONE)
    _measure(into, "first_seen", _since(acked_ns, first_lower, first_upper, unseen), due_ns)


def agreement(events: Columns, parts: Columns | None) -> Mapping[str, Ints]:
    """Columns with the number of replicas, and of probes without any, that said anything of an event, `asked`, and
    with that of those that showed it when each was last read, `agreeing`."""
    if parts is None or not parts.count:
        nothing = np.zeros(events.count, dtype=np.int64)
        return {"asked": nothing, "agreeing": nothing}
    about = parts["place"] * (int(parts["probe"].max()) + 2) + parts["probe"]
    replicated = parts["replica"] != NONE
    # What is no sum of others.
    views = parts.where(replicated | ~np.isin(about, about[replicated]))
    return {
        name: np.bincount(views["place"][counts], minlength=events.count)
        for name, counts in (
            ("asked", views["state"] != State.UNOBSERVED),
            ("agreeing", views["state"] == State.VISIBLE),
        )
    }


def hops(mains: Columns) -> Columns:
    """From each probe to the next in the chain, or from the ack to the first: `hop_lower` and `hop_upper` beside the
    probes' views of acked events that were followed closely. None behind a probe at which an event got stuck.

    With the one in (a, b] and the other in (c, d] it lies in [c - b, d - a], and what comes early took no time.
    """
    stuck = mains["part_stable_upper_ns"] == NONE
    stuck_before = np.cumsum(stuck) - stuck
    begins = _begins(mains["place"])
    known = mains.where(stuck_before == stuck_before[begins][np.cumsum(begins) - 1])
    lower, upper = known["part_stable_lower_ns"], known["part_stable_upper_ns"]
    from_lower = either(known["acked_ns"], known.published_ns)
    from_upper = from_lower.copy()
    later = np.flatnonzero(~_begins(known["place"]))
    from_lower[later] = either(lower[later - 1], from_lower[later])
    from_upper[later] = upper[later - 1]
    low = np.where(lower == NONE, 0, np.maximum(lower - from_upper, 0))
    high = np.where(upper == NONE, NONE, np.maximum(upper - from_lower, 0))
    return known.beside({"hop_lower": low, "hop_upper": high})


def count_hop(into: Fold, hop: Columns) -> None:
    """Count the time from the probe before it in the chain."""
    _measure(into, "hop", (hop["hop_lower"], hop["hop_upper"]), hop["intended_ns"])


def slowest(hop: Columns) -> Columns:
    """Of the hops of each event the one at which it got stuck or, if it came through, lost most time."""
    low, high = hop["hop_lower"], hop["hop_upper"]
    lost = np.where(high == NONE, np.iinfo(np.int64).max, (low + high) // 2)
    in_order = np.lexsort((np.arange(hop.count), -lost, hop["place"]))
    return hop.where(in_order[_begins(hop["place"][in_order])])


def _begins(places: Ints) -> Flags:
    """Where something else begins."""
    begins = np.ones(len(places), dtype=np.bool_)
    begins[1:] = places[1:] != places[:-1]
    return begins
