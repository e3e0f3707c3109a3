"""How the generator itself fared in a run, and what failed around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from .phases import Ending

N = TypeVar("N", int, float)

_BLANKS: Final = 10
"""Most different answers that are told apart."""
_OTHERS: Final = "something else"

INCIDENT_GAP_NS: Final = 5_000_000_000
"""Failures of one kind that are further apart than this belong to two incidents."""


@dataclass(slots=True)
class Incident:
    """A time in which something outside failed again and again. Times in nanoseconds since the schedule began."""

    source: str
    """The producer, probe or gauge that met it."""
    reason: str
    first_ns: int
    last_ns: int
    count: int = 1


def joined(incidents: Iterable[Incident]) -> list[Incident]:
    """Incidents of one kind that follow on one another as one, in the order in which they began."""
    open_ones: dict[tuple[str, str], Incident] = {}
    found = []
    for one in sorted(incidents, key=lambda one: (one.first_ns, one.source, one.reason)):
        known = open_ones.get((one.source, one.reason))
        if known is not None and one.first_ns - known.last_ns <= INCIDENT_GAP_NS:
            known.last_ns = max(known.last_ns, one.last_ns)
            known.count += one.count
        else:
            known = open_ones[one.source, one.reason] = replace(one)
            found.append(known)
    return found


@dataclass(slots=True)
class ReadVitals:
    """The reads of one probe."""

    requests: int = 0
    events: int = 0
    """One for each event in each read."""
    failed: int = 0
    """Requests that failed."""
    throttled: int = 0
    """Of those, the ones that were refused because there were too many."""
    busiest: int = 0
    """Most event reads in a second."""
    stretch: float = 1.0
    """By how much the gaps between reads were widened at most, to spare the read model or the generator's core."""
    blanks: dict[str, int] = field(default_factory=dict)
    """What requests that showed no event at all were answered, with their number (bounded)."""
    strange: int = 0
    """Deliveries, rows and answers that are about no event of any run."""
    example: str = ""
    """The beginning of one of them."""
    unread_stamps: int = 0
    """Reads in which what stood where a stamp should could not be read."""
    unread_stamp: str = ""
    """What stood there in one of them."""
    bytes_in: int | None = None
    """Bytes of the bodies of the answers; None: this probe doesn't count them."""

    def blank(self, answer: str, requests: int = 1) -> None:
        """Count requests that showed no event."""
        if not requests:
            return
        blanks = self.blanks
        if answer not in blanks:
            if len(blanks) >= _BLANKS:
                answer = _OTHERS
            blanks.setdefault(answer, 0)
        blanks[answer] += requests

    def merge(self, other: ReadVitals) -> None:
        """Add another's reads. The busiest second isn't added: the ledgers know it."""
        self.requests += other.requests
        self.events += other.events
        self.failed += other.failed
        self.throttled += other.throttled
        self.busiest = 0
        self.stretch = max(self.stretch, other.stretch)
        self.strange += other.strange
        self.example = self.example or other.example
        self.unread_stamps += other.unread_stamps
        self.unread_stamp = self.unread_stamp or other.unread_stamp
        if other.bytes_in is not None:
            self.bytes_in = (self.bytes_in or 0) + other.bytes_in
        for answer, count in other.blanks.items():
            self.blanks[answer] = self.blanks.get(answer, 0) + count


@dataclass(slots=True)
class Vitals:
    """How the generator itself fared. Times in nanoseconds."""

    duration_ns: int = 0
    cpu_share: float | None = None
    """Busiest ten seconds, as a share of one core; None in virtual time."""
    longest_stall_ns: int | None = None
    read_requests: int = 0
    event_reads: int = 0
    """One for each event in each read: a bulk read of 100 ids counts 100."""
    failed_reads: int = 0
    unexpected_ids: int = 0
    interrupted: bool = False
    crashed: bool = False
    """The run ended without its last word (`kill -9`, power); rebuilt from the ledger file."""
    replicas: dict[str, list[str]] = field(default_factory=dict)
    """Probe name to the replicas that its answers named; empty list if they could not be told apart."""
    errors: dict[str, int] = field(default_factory=dict)
    """Reasons of failed publishes and reads, with their counts (bounded)."""
    incidents: list[Incident] = field(default_factory=list)
    """When they were (bounded)."""
    probes: dict[str, ReadVitals] = field(default_factory=dict)
    copies: dict[str, int] = field(default_factory=dict)
    """Outcome to the number of re-sent copies that met it."""
    aborted: str = ""
    """The expression of the objective that ended the run before its time."""
    abort_note: str = ""
    """Why."""
    remarks: list[str] = field(default_factory=list)
    """What there is to know of the connections, a sentence each: that one isn't encrypted, or nobody checks whose it
    is."""
    wall_drift_ns: int | None = None
    """Most by which the wall clock and the monotonic one parted within a minute."""
    endings: list[Ending] = field(default_factory=list)
    """How the phases went that were to end when a gauge says so, those that are over."""

    def merge(self, other: Vitals) -> None:
        """Add those of another part of the same run: of what can't be added up the worst counts."""
        self.duration_ns = max(self.duration_ns, other.duration_ns)
        self.cpu_share = _worst(self.cpu_share, other.cpu_share)
        self.longest_stall_ns = _worst(self.longest_stall_ns, other.longest_stall_ns)
        self.wall_drift_ns = _worst(self.wall_drift_ns, other.wall_drift_ns)
        self.read_requests += other.read_requests
        self.event_reads += other.event_reads
        self.failed_reads += other.failed_reads
        self.unexpected_ids += other.unexpected_ids
        self.interrupted |= other.interrupted
        self.crashed |= other.crashed
        for probe, replicas in other.replicas.items():
            self.replicas[probe] = sorted({*self.replicas.get(probe, ()), *replicas})
        for counts, more in ((self.errors, other.errors), (self.copies, other.copies)):
            for name, count in more.items():
                counts[name] = counts.get(name, 0) + count
        self.remarks = sorted({*self.remarks, *other.remarks})
        self.incidents = joined([*self.incidents, *other.incidents])
        for probe, reads in other.probes.items():
            self.probes.setdefault(probe, ReadVitals()).merge(reads)
        self.endings += [ending for ending in other.endings if ending not in self.endings]
        if not self.aborted:
            self.aborted, self.abort_note = other.aborted, other.abort_note

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Vitals:
        """From what `dataclasses.asdict` gave and JSON kept."""
        vitals = cls(**data)
        vitals.incidents = [Incident(**incident) for incident in data.get("incidents", ())]
        vitals.endings = [Ending(**ending) for ending in data.get("endings", ())]
        vitals.probes = {name: ReadVitals(**reads) for name, reads in data.get("probes", {}).items()}
        return vitals


def _worst(one: N | None, other: N | None) -> N | None:
    return max((value for value in (one, other) if value is not None), default=None)
