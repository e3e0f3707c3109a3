"""The configs of builder and parser functions beside their stand-in: what evload found is what the stand-in noted.

Each in its profile `short`: real processes, RabbitMQ and HTTP, and load for ten to twenty seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml

from tests.rigs.commands import assert_closes
from tests.rigs.functions_stand_in import Beside, assert_the_ledger_is_the_record, beside
from tests.servers.rabbitmq_node import RabbitNode

PATIENT: Final = {
    "offered_rate": "warn", "lateness": "warn", "headroom": "warn", "resolution": "warn", "horizon": "warn",
    "observer_effect": "warn",
}  # fmt: skip
"""A busy machine must not decide a test."""
LENIENT: Final = f"self_checks={yaml.safe_dump(PATIENT, default_flow_style=True).strip()}"
SHORT: Final = ("--profile", "short", "--set", LENIENT)
DECIDED_WELL: Final = {"pass", "warn"}


@pytest.fixture
def amqp(rabbitmq: RabbitNode) -> Iterator[str]:
    """A virtual host of its own: the stand-in's queues have fixed names."""
    name = f"functions-{uuid4().hex[:8]}"
    rabbitmq.management(f"/api/vhosts/{name}", "PUT")
    rabbitmq.management(f"/api/permissions/{name}/guest", "PUT", {"configure": ".*", "write": ".*", "read": ".*"})
    yield rabbitmq.url + name
    rabbitmq.management(f"/api/vhosts/{name}", "DELETE")


def assert_all_hold(found: Beside) -> dict[str, Any]:
    """Every objective is decided, and holds; every event was done once. Returns the ledger's sums."""
    assert found.ended.code == 0, found.ended.said
    assert set(found.results().values()) <= DECIDED_WELL, found.results()
    assert_closes(found.summary)
    ledger: dict[str, Any] = found.summary["ledger"]
    assert ledger["scheduled"] == ledger["acked"] == ledger["visible"]
    assert_the_ledger_is_the_record(found)
    return ledger


def pods_at(found: Beside, what: str, number: int) -> list[float]:
    """When the record has that many pods ready after something, in seconds since the schedule began."""
    start_ns = found.start_ns()
    return [(line[0] - start_ns) / 1e9 for line in found.noted(what) if line[4] == number]


def test_builders_from_zero_to_ten_and_back(amqp: str, tmp_path: Path) -> None:
    found = beside(amqp, "knative-builders.yaml", tmp_path, ["--idle-s", "2", "--target", "4"], *SHORT)
    ledger = assert_all_hold(found)
    scheduled = {name: one["ledger"]["scheduled"] for name, one in found.summary["scenarios"].items()}
    assert scheduled == {"baseline": 100, "ramp": 380, "spike": 500, "sustained": 300, "from-zero": 300}
    assert ledger["duplicated"] == 0
    # Copies came as well, and took no effect.
    assert len(found.noted("came")) > len(found.noted("done")) == ledger["scheduled"]
    # The gauge saw ten pods between the samples around the moment at which the record has the tenth.
    lower, upper = found.observed("reach(replicas >= 10) < 30s [from-zero]")
    assert lower is not None
    assert upper is not None
    (tenth,) = [at for at in pods_at(found, "ready", 10) if at > 18][:1]
    assert lower <= tenth - 18 <= upper
    assert any(13 < at < 18 for at in pods_at(found, "stopped", 0))


def test_parsers_at_the_pace_of_a_block(amqp: str, tmp_path: Path) -> None:
    found = beside(amqp, "knative-parsers.yaml", tmp_path, ["--target", "4"], *SHORT)
    assert_all_hold(found)
    scheduled = {name: one["ledger"]["scheduled"] for name, one in found.summary["scenarios"].items()}
    assert scheduled == {
        "block-burst": 400, "trading": 240, "parser-1": 100, "parser-2": 100, "parser-3": 100, "spike": 300,
        "calm": 150,
    }  # fmt: skip
    assert {line[2] for line in found.noted("done")} == {"parsers"}


def test_http_against_a_service_at_zero(amqp: str, tmp_path: Path) -> None:
    found = beside(amqp, "http-broker.yaml", tmp_path, ["--cold-start-ms", "200"], *SHORT)
    assert_all_hold(found)
    assert len(found.noted("accepted")) == 20 + 100 + 150
    # No pod had started before the first event came.
    first = found.noted("came")[0]
    assert found.noted("started")[0][0] > first[0]


def test_slow_functions_fail_what_is_asked_of_their_time_and_nothing_else(amqp: str, tmp_path: Path) -> None:
    """Each event takes eleven seconds: beyond the critical ten, and within the thirty of the cold start."""
    found = beside(
        amqp,
        "http-broker.yaml",
        tmp_path,
        ["--service-ms", "13800", "--concurrency", "300", "--target", "100"],
        *SHORT,
    )
    assert found.ended.code == 1, found.ended.said
    assert found.results() == {
        "min(replicas) == 0": "pass",
        "reach(replicas >= 1) < 10s [cold-start]": "pass",
        "max(end_to_end) < 10s [cold-start]": "warn",
        "p95(end_to_end) < 3s [warm]": "fail",
        "p95(end_to_end) < 3s [steady]": "fail",
        "rate(acked) > 99%": "pass",
        "rate(status(202)) > 99%": "pass",
        "rate(errors) <= 5% in any 1m": "pass",
        "lost == 0": "pass",
        "duplicates == 0": "pass",
    }
    assert_the_ledger_is_the_record(found)
    done = {line[3]: line[0] for line in found.noted("done")}
    slowest = max((done[line[3]] - line[0]) / 1e9 for line in found.noted("came")[:20])
    _, upper = found.observed("max(end_to_end) < 10s [cold-start]")
    assert upper is not None
    assert 11 < slowest <= upper
