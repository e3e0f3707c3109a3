"""How the generator itself fared in a run, and what failed around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Incident:
    """A time in which something outside failed again and again. Times in nanoseconds since the schedule began."""

    source: str
    """The producer, probe or gauge that met it."""
    reason: str
    first_ns: int
    last_ns: int
    count: int = 1


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
    """By how much the gaps between reads were widened at most, to spare the read model."""


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
    wall_drift_ns: int | None = None
    """Most by which the wall clock and the monotonic one parted within a minute."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Vitals:
        """From what `dataclasses.asdict` gave and JSON kept."""
        vitals = cls(**data)
        vitals.incidents = [Incident(**incident) for incident in data.get("incidents", ())]
        vitals.probes = {name: ReadVitals(**reads) for name, reads in data.get("probes", {}).items()}
        return vitals
