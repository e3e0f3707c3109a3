"""Failures that follow on one another are one incident."""

from __future__ import annotations

import asyncio

from evload.engine.failures import Failures
from evload.model.vitals import Incident, Vitals, joined
from evload.testing import run_virtual, virtual_clock

S = 1_000_000_000


def test_failures_of_one_kind_are_joined_until_there_is_a_pause() -> None:
    vitals = Vitals()

    async def main() -> None:
        failures = Failures(vitals, clock := virtual_clock(), clock.now_ns(), str)
        begun = clock.now_ns()
        for at, source in (
            (10, "read-model"),
            (11, "read-model"),
            (12, "bus"),
            (15, "read-model"),
            (30, "read-model"),
        ):
            await clock.sleep_until_ns(begun + at * S)
            failures.look_failed(source, "connection refused")
        await asyncio.sleep(1)
        failures.look_failed("read-model", "connection refused")

    run_virtual(main())
    assert [(i.source, i.first_ns // S, i.last_ns // S, i.count) for i in vitals.incidents] == [
        ("read-model", 10, 15, 3), ("bus", 12, 12, 1), ("read-model", 30, 31, 2),
    ]  # fmt: skip
    assert vitals.errors == {"read-model: connection refused": 5, "bus: connection refused": 1}


def test_a_flood_of_reasons_is_bounded_and_what_is_open_goes_on() -> None:
    vitals = Vitals()

    async def main() -> None:
        clock = virtual_clock()
        failures = Failures(vitals, clock, clock.now_ns(), str)
        for number in range(1000):
            failures.publish_failed("bus", f"reason {number}")
        await asyncio.sleep(2)
        failures.publish_failed("bus", "reason 0")

    run_virtual(main())
    assert len(vitals.incidents) == 200
    assert (vitals.incidents[0].count, vitals.incidents[0].last_ns) == (2, 2 * S)
    assert (len(vitals.errors), vitals.errors["other reasons"], vitals.errors["reason 0"]) == (41, 960, 2)


def test_incidents_of_two_parts_of_a_run_are_joined_as_if_it_were_one() -> None:
    def incident(first: int, last: int, count: int, source: str = "bus") -> Incident:
        return Incident(source, "refused", first * S, last * S, count)

    one = [incident(1, 3, 2), incident(20, 21, 5)]
    other = [incident(2, 7, 3), incident(12, 13, 1), incident(30, 31, 4, "read-model")]
    assert joined([*one, *other]) == [
        incident(1, 13, 6), incident(20, 21, 5), incident(30, 31, 4, "read-model"),
    ]  # fmt: skip
