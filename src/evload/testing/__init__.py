"""For tests, also other people's: virtual time, a system in memory, and checks for adapters."""

from __future__ import annotations

from .conformance import check_gauge, check_probe, check_producer, check_sink, sample_events
from .memory_world import MemoryProbeSettings, MemoryProducerSettings, MemoryWorld
from .virtual_time import DeadlockError, VirtualClock, VirtualLoop, run_virtual, virtual_clock

__all__ = [
    "DeadlockError",
    "MemoryProbeSettings",
    "MemoryProducerSettings",
    "MemoryWorld",
    "VirtualClock",
    "VirtualLoop",
    "check_gauge",
    "check_probe",
    "check_producer",
    "check_sink",
    "run_virtual",
    "sample_events",
    "virtual_clock",
]
