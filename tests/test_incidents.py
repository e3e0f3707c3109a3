"""Failures that follow on one another are one incident."""

from __future__ import annotations

from evload.engine.failures import IncidentLog
from evload.model.vitals import Incident

S = 1_000_000_000


def test_failures_of_one_kind_are_joined_until_there_is_a_pause() -> None:
    incidents: list[Incident] = []
    log = IncidentLog(incidents)
    for at in (10, 11, 15, 30, 31):
        log.add("read-model", "connection refused", at * S)
    log.add("bus", "connection refused", 12 * S)
    assert [(i.source, i.first_ns // S, i.last_ns // S, i.count) for i in incidents] == [
        ("read-model", 10, 15, 3), ("read-model", 30, 31, 2), ("bus", 12, 12, 1),
    ]  # fmt: skip


def test_a_flood_of_reasons_is_bounded_and_what_is_open_goes_on() -> None:
    incidents: list[Incident] = []
    log = IncidentLog(incidents)
    for number in range(1000):
        log.add("bus", f"reason {number}", S)
    log.add("bus", "reason 0", 2 * S)
    assert len(incidents) == 200
    assert (incidents[0].count, incidents[0].last_ns) == (2, 2 * S)
