"""What is known of an event beside its stamps and brackets, and what a run counts: a row for each, all else derives.

A fact is a field of `EventFacts` whose row says which column of the ledger keeps it, how what several reads say of it
becomes one, what the fold keeps of it, and which counters it feeds. The schema and the rows of the ledger, the counts
of a summary, `summary.json`, the words of objectives and of reports are made of these rows. To add one, write its row
here and set it where it is observed: in `Receipt.facts`, in `Read.facts`, or in the fold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Literal

from .states import Seen, State
from .tags import together

Joined = Literal["largest", "sum", "any", "first", "together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A number of events.

    name     its key among the counts of a summary, and the subject of objectives about it
    spoken   as a person says it
    counts   how often an event counts, by the value of its fact
    where    the same over the columns of the ledger, in SQL; empty: a row alone can't tell
    worst    which events to name first, in SQL
    blind    why nothing could be counted, where no event has the fact
    partly   why some may have been missed, where `known` of the events `among` which it is looked for have it; empty:
             it is looked for in all that were followed closely
    among    `seen`: the events that were seen; `watched`: those that were watched to the end
    trouble  it is counted because it should not happen
    witness  one that was seen is one, whatever else may be wrong with the measurement
    """

    name: str
    spoken: str
    counts: Callable[[Any], int]
    where: str = ""
    worst: str = "seq"
    blind: str = ""
    partly: str = ""
    among: Literal["seen", "watched"] = "watched"
    trouble: bool = False
    witness: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that may be known of an event.

    meaning   for people who read the ledger
    column    its type there; None: the ledger doesn't keep it, because the fold works it out
    loaded    makes a value of what the column holds, where the two differ
    joined    how what several reads and several probes say becomes one
    is_known  whether a value says anything
    tallied   the summary keeps the number of events for each value, up to this one; None: it doesn't
    title     what such a tally is called; empty: it is not shown by itself
    ranged    the summary keeps the smallest, the largest and the mean
    summed    the summary keeps the sum over the events
    doubted   of those in doubt the summary keeps the sum by itself, too, as NAME_in_doubt
    measured  the summary keeps the distribution of it, a time in nanoseconds, as a metric of its name; NEVER_CAME: it
              didn't come as long as somebody waited
    timed     it is a time in nanoseconds, and shown in seconds
    of        what adapters call it that can tell it, in their capabilities; empty: evload itself knows
    by_producer  producers tell it, and not probes
    on_demand it is told where an objective is about it, because it costs something to tell
    counters  what it feeds
    """

    meaning: str
    column: str | None = "INTEGER"
    loaded: Callable[[Any], Any] | None = None
    joined: Joined = "largest"
    is_known: Callable[[Any], bool] = lambda value: True
    tallied: int | None = None
    title: str = ""
    ranged: bool = False
    summed: bool = False
    doubted: bool = False
    measured: bool = False
    timed: bool = False
    of: str = ""
    by_producer: bool = False
    on_demand: bool = False
    counters: tuple[Counter, ...] = ()


def _row(**row: Any) -> Mapping[str, Fact]:
    return {"fact": Fact(**row)}


@dataclass(kw_only=True)
class EventFacts:
    """What is known of one event. A fact that has its default says nothing.

    The defaults are those of the class, so that an event holds no more than what was told of it.
    """

    reads: int = field(
        default=0, metadata=_row(meaning="reads that asked for it", column="INTEGER NOT NULL", joined="sum")
    )
    failed_reads: int = field(
        default=0, metadata=_row(meaning="of those, the failed ones", column="INTEGER NOT NULL", joined="sum")
    )
    effects: int | None = field(
        default=None,
        metadata=_row(
            meaning="side effects that it had",
            tallied=100,
            of="effects",
            counters=(
                Counter(
                    name="duplicated",
                    spoken="duplicated",
                    counts=lambda effects: effects > 1,
                    where="effects > 1",
                    worst="effects DESC",
                    blind="no read said how many effects an event had",
                    partly="effects are known for {known} of {among} events",
                    among="seen",
                    trouble=True,
                    witness=True,
                ),
            ),
        ),
    )
    regressions: int = field(
        default=0,
        metadata=_row(
            meaning="how often it disappeared after it was seen",
            column="INTEGER NOT NULL",
            joined="sum",
            counters=(
                Counter(
                    name="regressions",
                    spoken="regressions",
                    counts=lambda times: times > 0,
                    where="regressions > 0",
                    worst="regressions DESC",
                    witness=True,
                ),
            ),
        ),
    )
    position: int | float | str | None = field(
        default=None,
        metadata=_row(
            meaning="where it stands in the order of application: a number or a text, as it was told",
            column="",
            joined="first",
            of="position",
        ),
    )
    out_of_order: int = field(
        default=0,
        metadata=_row(
            meaning="it was applied after one that was sent when it had been acked",
            column=None,
            counters=(
                Counter(
                    name="out_of_order",
                    spoken="out of order",
                    counts=int,
                    blind="no read said in which order events were applied",
                    trouble=True,
                    witness=True,
                ),
            ),
        ),
    )
    order_unknown: int = field(
        default=0,
        metadata=_row(
            meaning="it was sent while another event of its key was on its way, so that no order was owed",
            column=None,
            counters=(
                Counter(
                    name="order_unknown",
                    spoken="sent beside another of their key",
                    counts=int,
                    blind="no read said in which order events were applied",
                ),
            ),
        ),
    )
    consumed_at: int | None = field(
        default=None,
        metadata=_row(
            meaning="when the system took it, by its own stamp: ns since 1970", joined="first", of="consumed_at"
        ),
    )
    processed_at: int | None = field(
        default=None,
        metadata=_row(
            meaning="when the system was done with it, by its own stamp: ns since 1970",
            joined="first",
            of="processed_at",
        ),
    )
    detail: str = field(
        default="", metadata=_row(meaning="what the target said when it did not accept it", column="TEXT")
    )
    status: int | None = field(
        default=None,
        metadata=_row(
            meaning="status code that its publish was answered with",
            joined="first",
            tallied=999,
            title="answers by status",
            of="status",
            by_producer=True,
        ),
    )
    tags: str = field(
        default="",
        metadata=_row(
            meaning="its tags by what answers say, a line each; NAME= alone: an answer gave it none of that name",
            column="TEXT",
            joined="together",
            of="tags",
        ),
    )
    capture: str | None = field(
        default=None,
        metadata=_row(
            meaning="the id that the target itself gave it, where the producer captures one",
            column="TEXT",
            joined="first",
        ),
    )
    own_delay: int | None = field(
        default=None,
        metadata=_row(
            meaning="of the delay of its send what was evload's own, and no wait for the target: ns", joined="first"
        ),
    )
    order_wait: int | None = field(
        default=None,
        metadata=_row(
            meaning="of the delay of its send the wait for the one before it of its key, as an ordered producer has "
            "it: ns",
            joined="first",
            ranged=True,
            timed=True,
        ),
    )
    resent: bool = field(
        default=False,
        metadata=_row(
            meaning="1: copies of it were sent on purpose",
            column="INTEGER NOT NULL",
            loaded=bool,
            joined="any",
            counters=(Counter(name="resent", spoken="resent", counts=int, where="resent = 1"),),
        ),
    )
    non_monotonic: bool = field(
        default=False,
        metadata=_row(
            meaning="1: a read missed it after an earlier one had shown it",
            column="INTEGER NOT NULL",
            loaded=bool,
            joined="any",
            counters=(
                Counter(
                    name="non_monotonic",
                    spoken="absent on one replica after another showed it",
                    counts=int,
                    where="non_monotonic = 1",
                    witness=True,
                ),
            ),
        ),
    )
    session: Seen | None = field(
        default=None,
        metadata=_row(
            meaning="its session's read right after the ack: 0 absent, 1 present, 2 failed",
            loaded=Seen,
            joined="first",
            is_known=lambda seen: seen is not Seen.FAILED,
            of="session",
            counters=(
                Counter(
                    name="unread_writes",
                    spoken="not read by the session that wrote them",
                    counts=lambda seen: seen is Seen.ABSENT,
                    where=f"session = {Seen.ABSENT.value}",
                    blind="no session read an event right after its ack",
                    partly="sessions read {known} of {among} events",
                    witness=True,
                ),
            ),
        ),
    )
    staleness: int | None = field(
        default=None,
        metadata=_row(
            meaning="writes of its key that the most stale answer about it had not applied",
            ranged=True,
            of="version",
        ),
    )
    first_byte: int | None = field(
        default=None,
        metadata=_row(
            meaning="from when it was sent first to the first byte of its last answer: ns; -1: none came. Kept where "
            "an objective is about it",
            joined="first",
            measured=True,
            of="first_byte",
            by_producer=True,
            on_demand=True,
        ),
    )
    bytes_out: int | None = field(
        default=None,
        metadata=_row(
            meaning="bytes of its body, where it was handed to the transport",
            joined="first",
            summed=True,
            doubted=True,
        ),
    )
    bytes_in: int | None = field(
        default=None,
        metadata=_row(
            meaning="bytes of the body of the answer to its publish; a batch shares those of its answer",
            joined="first",
            summed=True,
        ),
    )
    iteration: int | None = field(
        default=None,
        metadata=_row(
            meaning="the iteration that it is a step of: its number within the scenario, where a journey sent it",
            joined="first",
        ),
    )
    answer: int | None = field(
        default=None,
        metadata=_row(
            meaning="what the answer to a step was for its journey: 1 ok, 2 refused, 3 failed",
            joined="first",
            tallied=3,
            by_producer=True,
        ),
    )
    retried: int | None = field(
        default=None,
        metadata=_row(
            meaning="how often a step was sent again after an answer that says so",
            joined="first",
            tallied=100,
            title="sent again",
            by_producer=True,
            counters=(
                Counter(name="retried", spoken="sent again", counts=lambda times: times > 0, where="retried > 0"),
            ),
        ),
    )
    appeared: int | None = field(
        default=None,
        metadata=_row(
            meaning="whether what a step watches for its absence was seen: 0 no, 1 yes, 2 nobody can tell",
            joined="first",
            is_known=lambda found: found != 2,
            tallied=2,
            counters=(
                Counter(
                    name="appeared",
                    spoken="appeared where nothing may",
                    counts=lambda found: found == 1,
                    where="appeared = 1",
                    worst="first_upper_ns, seq",
                    blind="no read said whether anything appeared",
                    trouble=True,
                    witness=True,
                ),
            ),
        ),
    )
    gone: int | None = field(
        default=None,
        metadata=_row(
            meaning="whether what a step waits to be gone went: 0 no, 1 yes, 2 nobody can tell",
            joined="first",
            is_known=lambda found: found != 2,
            tallied=2,
        ),
    )


FACTS: Final[Mapping[str, Fact]] = MappingProxyType({one.name: one.metadata["fact"] for one in fields(EventFacts)})
"""By the name of the field, which is that of the ledger's column and of the figures in a summary."""
DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType({one.name: one.default for one in fields(EventFacts)})
"""What a fact is where nothing is known."""


def joined(name: str, known: Any, more: Any) -> Any:
    """What two reads, or two probes, say of one event together; a default says nothing."""
    default = DEFAULTS[name]
    if more == default:
        return known
    if known == default:
        return more
    match FACTS[name].joined:
        case "largest":
            return max(known, more)
        case "sum":
            return known + more
        case "any":
            return known or more
        case "first":
            return known
        case "together":
            return together(known, more)


_RECOVERED: Final = Counter(
    name="recovered", spoken="recovered", counts=int, worst="seq",
    where=f"state = {State.IN_DOUBT.value} AND first_upper_ns IS NOT NULL",
)  # fmt: skip
COUNTERS: Final[Mapping[str, Counter]] = MappingProxyType(
    {counter.name: counter for fact in FACTS.values() for counter in fact.counters} | {"recovered": _RECOVERED}
)
"""What is counted beside the states; an event can be several of these."""
FACT_OF: Final[Mapping[str, str]] = MappingProxyType(
    {counter.name: name for name, fact in FACTS.items() for counter in fact.counters}
)
"""The fact that a counter counts by."""

STATES: Final = (
    "unsent", "acked", "rejected", "returned", "in_doubt",
    "visible", "ended", "lost", "regressed", "pending", "unobserved",
)  # fmt: skip
ERRORS: Final = ("unsent", "rejected", "returned", "in_doubt")
"""The states of an event that was not acked."""
LEDGER_KEYS: Final = ("scheduled", *STATES, *COUNTERS)
LEDGER_SUMS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"scheduled": ("acked", *ERRORS), "acked": ("visible", "ended", "lost", "regressed", "pending", "unobserved")}
)
"""The two sums of the ledger."""
TROUBLES: Final = ("lost", "regressed", *(name for name, counter in COUNTERS.items() if counter.trouble), *ERRORS)
"""What should not happen to an event."""

COUNTER_NAMES: Final = (*LEDGER_KEYS, "sent", "errors")
"""The keys of the ledger; `sent`, which is all that left the generator; `errors`, all that was not acked."""
PUBLISH_COUNTERS: Final = frozenset({"scheduled", "sent", "acked", "errors", "resent", "retried", *ERRORS})
"""Those that the publish alone decides; the others need somebody who watches the read model."""
STALENESS: Final = "staleness"
STATUS: Final = "status"
ORDER_WAIT: Final = "order_wait"

NEVER_CAME: Final = -1
"""As the value of a fact that is measured."""
MEASURED: Final = tuple(name for name, fact in FACTS.items() if fact.measured)
"""Facts of which the summary keeps the distribution."""
ON_DEMAND: Final = frozenset(name for name, fact in FACTS.items() if fact.on_demand)
"""Facts that are told where an objective is about them."""
DOUBTED: Final = tuple(name for name, fact in FACTS.items() if fact.doubted)
"""Facts of which the summary keeps the sum over the events in doubt."""
BYTES: Final = ("bytes_out", "bytes_in")
"""Facts of which there is a rate per second."""
_OF_SENDING: Final = ("schedule_delay", "publish", *MEASURED)
METRICS: Final = (
    *_OF_SENDING, "first_seen", "consistency", "end_to_end", "hop",
    "sent_to_consumed", "consumed_to_processed", "processed_to_visible",
)  # fmt: skip
"""Names of the distributions a scenario can have; those without a value are left out of the summary."""
EXACT: Final = frozenset(_OF_SENDING)
"""Those that are points and not brackets: both stamps are evload's own. They are known without a probe."""
READ: Final = "read"
"""What the time is called that a request of a probe took."""
QUEUE_LAG: Final = "queue_lag"
"""The distribution that belongs to a queue instead: the time events spent in it."""
PERCENTILES: Final = {
    "p50": Fraction(50, 100),
    "p90": Fraction(90, 100),
    "p95": Fraction(95, 100),
    "p99": Fraction(99, 100),
    "p99.9": Fraction(999, 1000),
}
"""The percentiles that a report shows."""
INTERVAL_NS: Final = 10_000_000_000
"""Length of the intervals in which the offered rate is checked and events are batched."""

_BY_VALUE: Final = re.compile(r"(\w+)\s*\(\s*(\w+)\s*\)")


@dataclass(frozen=True, slots=True)
class ByValue:
    """A counter of the events of which a fact has a certain value: `status(409)`; `status(4xx)` has a hundred."""

    fact: str
    value: str

    @classmethod
    def named(cls, name: str) -> ByValue | None:
        """The counter with that name; None if it isn't one of these."""
        match = _BY_VALUE.fullmatch(name)
        return cls(match[1], match[2].lower()) if match and match[1] in TALLIED else None

    @property
    def name(self) -> str:
        """As objectives call it."""
        return f"{self.fact}({self.value})"

    @property
    def possible(self) -> bool:
        """Whether there can be such a value."""
        return self.value.isdecimal() or (self.value[:-2].isdecimal() and self.value[-2:] == "xx")

    @property
    def of_tries(self) -> bool:
        """Whether it counts each try of an event that was sent several times, and its share is one of all tries."""
        return self.fact == STATUS

    def has(self, value: object) -> bool:
        """Whether it counts a value."""
        text = str(value)
        if self.value.endswith("xx"):
            return len(text) == len(self.value) and text.startswith(self.value[:-2])
        return text == self.value


TALLIED: Final = tuple(name for name, fact in FACTS.items() if fact.tallied is not None)
"""Facts of which the summary keeps the number of events for each value."""


_AMOUNTS: Final[Mapping[str, Callable[[Any], int]]] = MappingProxyType(
    {
        "errors": lambda seen: seen.state <= State.IN_DOUBT,
        "sent": lambda seen: seen.state is not State.UNSENT,
        "acked": lambda seen: seen.state >= State.VISIBLE,
        "recovered": lambda seen: seen.recovered,
    }
)


def amount_of(name: str) -> Callable[[Any], int]:
    """How often an Observation counts in the counter called `name`: one of COUNTER_NAMES, or by value."""
    by_value = ByValue.named(name)
    if by_value is not None and by_value.of_tries:
        return lambda seen: sum(map(by_value.has, (seen.status, *seen.earlier)))
    if by_value is not None:
        return lambda seen: by_value.has(getattr(seen, by_value.fact))
    special = _AMOUNTS.get(name)
    if special is not None:
        return special
    fact = FACT_OF.get(name)
    if fact is None:
        state = State[name.upper()]
        return lambda seen: seen.state is state
    counts, default = COUNTERS[name].counts, DEFAULTS[fact]

    def amount(seen: Any) -> int:
        value = getattr(seen, fact)
        return 0 if value == default else int(counts(value))

    return amount


def is_told_by_publish(subject: str) -> bool:
    """Whether a counter by value is of a fact that producers tell, or what it is about is known by the publish."""
    by_value = ByValue.named(subject)
    return subject in EXACT or subject in BYTES or (by_value is not None and FACTS[by_value.fact].by_producer)


def in_doubt(name: str) -> str:
    """What the sum of a fact over the events in doubt is called."""
    return f"{name}_in_doubt"


def told_as(subject: str) -> str:
    """What somebody has to tell so that a counter, or a figure about a fact, can be known; empty: nothing special."""
    if subject == "ended":
        return subject
    by_value = ByValue.named(subject)
    fact = by_value.fact if by_value is not None else FACT_OF.get(subject, subject)
    if fact in ("out_of_order", "order_unknown"):
        fact = "position"
    return FACTS[fact].of if fact in FACTS else ""


def where(name: str) -> tuple[str, str] | None:
    """Which rows of the ledger a counter counts and which of them first, in SQL.

    None if a row alone can't tell, and for `visible`: that there are too few of them is the fault of none.
    """
    if name == "errors":
        return f"state <= {State.IN_DOUBT.value}", "seq"
    counter = COUNTERS.get(name)
    if counter is not None:
        return (counter.where, counter.worst) if counter.where else None
    state = State.__members__.get(name.upper())
    return None if state in (None, State.VISIBLE) else (f"state = {state.value}", "seq")
