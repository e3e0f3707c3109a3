"""Reasons of failures are told apart by their shape: an id in each of them makes no two of a kind different."""

from __future__ import annotations

import pytest

from evload.clock import SystemClock
from evload.engine.failures import Failures, shape_of
from evload.model.vitals import Vitals
from evload.testing.virtual_time import run_virtual, virtual_clock


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 503: request 8f3a-77410 failed", "HTTP 503: request 02bc-99371 failed"),
        ("HTTP 500: at 2026-11-29T10:00:00.123Z", "HTTP 500: at 2026-11-29T10:00:07.456Z"),
        ("refused: order 1234567", "refused: order 7654321"),
        ("id f21421f0-efb4-8e4e-8000-000000000001", "id 00000000-efb4-8e4e-8000-0000000000ff"),
    ],
)
def test_reasons_that_differ_in_an_id_are_one(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 503: too busy", "HTTP 500: too busy"),
        ("no answer within 500 ms", "no answer within 5 s"),
        ("127.0.0.1:5672 refused", "127.0.0.1:5673 refused"),
        ("ORA-1: no", "ORA-2: no"),
    ],
)
def test_statuses_codes_and_addresses_tell_them_apart(one: str, other: str) -> None:
    assert shape_of(one) != shape_of(other)


def test_an_outage_is_found_among_refusals_that_differ_each_time() -> None:
    async def scene() -> Vitals:
        vitals, clock = Vitals(), virtual_clock()
        failures = Failures(vitals, clock, clock.now_ns(), str)
        for number in range(500):
            assert failures.publish_failed("api", f"HTTP 409: request req-{number:08d}") == (
                f"HTTP 409: request req-{number:08d}"
            )
        for _ in range(3):
            failures.publish_failed("api", "the connection was refused")
        failures.look_failed("read-model", "HTTP 503: trace 0af7651916cd43dd")
        failures.look_failed("read-model", "HTTP 503: trace b9c7c989f97918e1")
        return vitals

    vitals = run_virtual(scene())
    assert vitals.errors == {
        "HTTP 409: request req-00000000": 500, "the connection was refused": 3,
        "read-model: HTTP 503: trace 0af7651916cd43dd": 2,
    }  # fmt: skip
    assert [(one.source, one.reason, one.count) for one in vitals.incidents] == [
        ("api", "HTTP 409: request req-00000000", 500), ("api", "the connection was refused", 3),
        ("read-model", "HTTP 503: trace 0af7651916cd43dd", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("letter", ["x", "1", ".", " ", "é"])
def test_what_a_target_says_without_an_end_is_cut(letter: str) -> None:
    """Ten million letters: none of what is done about a reason may take longer than the run."""
    vitals, clock = Vitals(), SystemClock()
    failures = Failures(vitals, clock, clock.now_ns(), str)
    long = letter * 10_000_000
    failures.look_failed("p", long)
    assert vitals.errors == {f"p: {letter * 999}…": 1}
    assert failures.publish_failed("p", long) == f"{letter * 999}…"
    assert failures.shown(long) == f"{letter * 119}…"
    assert [len(incident.reason) for incident in vitals.incidents] == [1000]


def test_a_secret_that_stands_where_a_reason_is_cut_is_not_shown() -> None:
    vitals, clock = Vitals(), SystemClock()
    failures = Failures(vitals, clock, clock.now_ns(), lambda text: text.replace("S3CRET-S3CRET", "${PW}"))
    for before in range(985, 1001):
        assert "S3" not in failures.publish_failed("p", "x" * before + "S3CRET-S3CRET" + "x" * 100)


@pytest.mark.parametrize(
    ("reason", "shape"),
    [
        ("no answer since 12:30:45.", "no answer since #."),
        ("order-4711 of a-b-c is gone", "# of a-b-c is gone"),
        ("v1.2 HTTP 503: id 1234567-", "v1.2 HTTP 503: id #-"),
        ("at 127.0.0.1:8080, at 10.0.0.1", "at 127.0.0.1:8080, at 10.0.0.1"),
    ],
)
def test_shapes(reason: str, shape: str) -> None:
    assert shape_of(reason) == shape
