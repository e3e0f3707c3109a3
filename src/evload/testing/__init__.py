"""For tests, also other people's: virtual time, a system in memory, and checks for adapters."""

from __future__ import annotations

from ..clock import SystemClock
from .conformance.activity import check_activity, check_activity_peer
from .conformance.gauge import check_gauge
from .conformance.peers import PEERS, Peer
from .conformance.probe import check_probe, check_probe_peer, check_push_peer, check_push_probe
from .conformance.producer import check_producer, check_producer_peer
from .conformance.samples import sample_events, sample_targets
from .conformance.sink import check_sink
from .memory_world import MemoryProbeSettings, MemoryProducerSettings, MemoryWorld
from .relay import Relay
from .virtual_time import DeadlockError, VirtualClock, VirtualLoop, run_virtual, virtual_clock

__all__ = [
    "PEERS",
    "DeadlockError",
    "MemoryProbeSettings",
    "MemoryProducerSettings",
    "MemoryWorld",
    "Peer",
    "Relay",
    "SystemClock",
    "VirtualClock",
    "VirtualLoop",
    "check_activity",
    "check_activity_peer",
    "check_gauge",
    "check_probe",
    "check_probe_peer",
    "check_producer",
    "check_producer_peer",
    "check_push_peer",
    "check_push_probe",
    "check_sink",
    "run_virtual",
    "sample_events",
    "sample_targets",
    "virtual_clock",
]
