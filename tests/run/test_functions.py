"""The configs of builder and parser functions beside their stand-in: what evload found is what the stand-in noted.

Each in its profile `short`: real processes, RabbitMQ and HTTP, and load for ten to twenty seconds. Of those behind
RabbitMQ and of those behind HTTP one is in every run of the tests, the others in virtual time there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml

from knative.record import read
from tests.rigs.commands import assert_closes
from tests.rigs.functions_stand_in import CONFIGS, STAND_IN, Beside, assert_the_ledger_is_the_record, beside
from tests.rigs.searches_beside import UNHURRIED, Moments, assert_the_record_agrees, searched
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


def waited_s(found: Beside, scenario: str) -> float:
    """When a scenario began its load, after it had waited, since the schedule began."""
    (at_s,) = [one["ended_early"] for one in found.summary["phases_until"] if one["scenario"] == scenario]
    return float(at_s)


def test_builders_from_zero_to_ten_and_back(amqp: str, tmp_path: Path) -> None:
    found = beside(amqp, "knative-builders.yaml", tmp_path, ["--idle-s", "2", "--target", "4"], *SHORT)
    ledger = assert_all_hold(found)
    scheduled = {name: one["ledger"]["scheduled"] for name, one in found.summary["scenarios"].items()}
    assert scheduled == {"baseline": 100, "ramp": 380, "spike": 500, "sustained": 300, "from-zero": 300}
    assert ledger["duplicated"] == 0
    # Copies came as well, and took no effect.
    assert len(found.noted("came")) > len(found.noted("done")) == ledger["scheduled"]
    # The load from zero began once there was no pod any more.
    begins = waited_s(found, "from-zero")
    assert any(13 < at < begins for at in pods_at(found, "leaving", 0))
    # The gauge saw ten pods between the samples around the moment at which the record has the tenth.
    lower, upper = found.observed("reach(replicas >= 10) < 30s [from-zero]")
    assert lower is not None
    assert upper is not None
    (tenth,) = [at for at in pods_at(found, "ready", 10) if at > begins][:1]
    assert lower <= tenth - begins <= upper


@pytest.mark.long
def test_parsers_at_the_pace_of_a_block(amqp: str, tmp_path: Path) -> None:
    found = beside(amqp, "knative-parsers.yaml", tmp_path, ["--target", "4"], *SHORT)
    assert_all_hold(found)
    scheduled = {name: one["ledger"]["scheduled"] for name, one in found.summary["scenarios"].items()}
    assert scheduled == {
        "block-burst": 400, "trading": 240, "parser-1": 100, "parser-2": 100, "parser-3": 100, "spike": 300,
        "calm": 150,
    }  # fmt: skip
    assert {line[2] for line in found.noted("done")} == {"parsers"}


def test_http_until_the_service_is_at_zero_and_then_cold(amqp: str, tmp_path: Path) -> None:
    found = beside(amqp, "http-broker.yaml", tmp_path, ["--cold-start-ms", "200", "--idle-s", "2"], *SHORT)
    assert_all_hold(found)
    assert len(found.noted("accepted")) == 20 + 100 + 150
    # The last pod was on its way out when the load of twenty began; the next one started when the first had come.
    begins, start_ns = waited_s(found, "cold-start"), found.start_ns()
    assert any(at < begins for at in pods_at(found, "leaving", 0))
    started_ns = [line[0] for line in found.noted("started") if (line[0] - start_ns) / 1e9 > begins]
    assert min(started_ns) > found.noted("came")[-20][0] > start_ns + begins * 1e9


@pytest.mark.long
def test_slow_functions_fail_what_is_asked_of_their_time_and_nothing_else(amqp: str, tmp_path: Path) -> None:
    """Each event takes eleven seconds at least: beyond the critical ten, within the thirty of the cold start."""
    found = beside(
        amqp,
        "http-broker.yaml",
        tmp_path,
        ["--service-ms", "13800", "--concurrency", "300", "--target", "100", "--idle-s", "2"],
        *SHORT,
    )
    assert found.ended.code == 1, found.ended.said
    assert found.results() == {
        "reach(replicas == 0) < 15m": "pass",
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
    slowest = max((done[line[3]] - line[0]) / 1e9 for line in found.noted("came")[-20:])
    _, upper = found.observed("max(end_to_end) < 10s [cold-start]")
    assert upper is not None
    assert 11 < slowest <= upper


# --- beyond what they are made for ------------------------------------------------------------------------

PATIENTLY: Final[Mapping[str, str]] = {
    r"(end_to_end\)) < \d+s": r"\1 < 60s",
    r"status\(503\)\) > 90%": "status(503)) > 10%",
    r"max\(backlog\) < \d+": "max(backlog) < 2000",
}
"""What is asked of a busy machine, and what isn't."""


def patient(name: str, directory: Path) -> Path:
    """A copy of a config whose profile `short` asks no more of a busy machine than of a quiet one."""
    config: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text())
    short = config["profiles"]["short"]
    config["slos"] = [_patient(slo) for slo in config["slos"]]
    short |= {path: _patient(slo) for path, slo in short.items() if path.startswith("slos.")}
    path = directory / name
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _patient(slo: Any) -> Any:
    if isinstance(slo, str):
        for written, instead in PATIENTLY.items():
            slo = re.sub(written, instead, slo)
        return slo
    later = {"critical": "2m"} if slo["objective"].startswith(("p95(end_to_end)", "max(end_to_end)")) else {}
    return {**slo, "objective": _patient(slo["objective"]), **later}


def refused(found: Beside) -> dict[str, int]:
    """How many events the record says were refused, by status."""
    statuses = [str(line[2]) for line in found.noted("refused")]
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def assert_stress_is_accounted_for(found: Beside) -> None:
    """Event by event, what was refused and what was done is what the record says; and all is put back."""
    assert_closes(found.summary)
    assert_the_ledger_is_the_record(found)
    ledger = found.summary["ledger"]
    assert ledger["scheduled"] == 1950
    assert ledger["rejected"] == len(found.noted("refused"))
    assert refused(found).items() <= found.summary["status"].items()
    told = [(line[2].removeprefix("/admin/"), line[3]) for line in found.noted("told")]
    assert told == [
        *[("functions/parsers/kill", {"count": 1})] * 4,
        ("broker", {"connections": 0}), ("broker", {"connections": 1000}),
        ("functions/parsers", {"most": 0}), ("functions/parsers", {"most": 10}),
    ]  # fmt: skip


@pytest.mark.long
def test_parsers_under_stress_refuse_what_is_too_much_and_lose_nothing(
    amqp: str, rabbitmq: RabbitNode, tmp_path: Path
) -> None:
    api = rabbitmq.management_url.replace("//", "//guest:guest@")
    found = beside(amqp, patient("knative-stress.yaml", tmp_path), tmp_path, ["--management", api], *SHORT)
    assert found.ended.code == 0, found.ended.said
    assert set(found.results().values()) <= DECIDED_WELL, found.results()
    assert_stress_is_accounted_for(found)
    assert refused(found).keys() == {"429", "503"}
    killed = found.noted("killed")
    assert found.observed("rise(deleted) >= 1") == [len(killed)] * 2
    # What they were working on came again, and was done once.
    came = [line[3] for line in found.noted("came")]
    assert len(came) >= len(set(came)) == len(found.noted("done"))
    vhost = amqp.rpartition("/")[2]
    assert rabbitmq.management(f"/api/policies/{vhost}") == []


@pytest.mark.long
def test_parsers_that_lose_some_under_stress_are_found_out(amqp: str, rabbitmq: RabbitNode, tmp_path: Path) -> None:
    api = rabbitmq.management_url.replace("//", "//guest:guest@")
    lossy = ["--management", api, "--lose", "0.01"]
    sooner = ["--set", "probes.parsed.deadline=2m", "--set", "probes.parsed-of-many.deadline=2m"]
    found = beside(amqp, patient("knative-stress.yaml", tmp_path), tmp_path, lossy, *SHORT, *sooner)
    assert found.ended.code == 1, found.ended.said
    results = found.results()
    failed = {title for title, result in results.items() if result == "fail"}
    # It may be that none of them was due while pods were deleted.
    assert "lost == 0" in failed
    assert failed <= {"lost == 0", "max(end_to_end) < 60s [deletions]"}
    assert set(results.values()) <= {*DECIDED_WELL, "fail"}
    assert_stress_is_accounted_for(found)
    assert found.observed("lost == 0") == [len(found.noted("lost"))] * 2


# --- how much they can take -------------------------------------------------------------------------------


@pytest.mark.long
def test_the_record_agrees_with_the_breaking_point(amqp: str, tmp_path: Path) -> None:
    """A pod that does less than a hundred per second, whatever a busy machine makes of that."""
    record = tmp_path / "record.jsonl"
    one_pod = ["--most", "1", "--concurrency", "2", "--service-ms", "20"]
    found = searched(
        [sys.executable, STAND_IN, "--amqp", amqp, "--record", record, *one_pod], CONFIGS / "knative-ceiling.yaml",
        tmp_path, lambda: _moments(record), "--from", "40/s", "--to", "300/s", "--trial", "20s", "--precision", "50%",
        "--set", "scenarios.parsing.warmup=4s", "--set", "probes.parsed.deadline=5m", "--set", UNHURRIED,
        # What is asked is whether anything piles up.
        "--set", "slos=[ceiling > 1200/s, rate(acked) > 99%, lost == 0, duplicates == 0]",
    )  # fmt: skip
    assert_the_record_agrees(found)
    assert found.found["ceiling"]["good"] <= 100 / 0.99
    (reasons,) = [one["reasons"] for one in found.found["trials"] if one["rate"] == found.found["ceiling"]["bad"]][:1]
    assert any(reason.startswith("unsettled grew by ") for reason in reasons)
    assert (found.ended.code, found.found["verdict"]) == (1, "fail")


def _moments(path: Path) -> Moments:
    done = {line[3]: line[0] for line in read(path) if line[1] == "done"}
    return lambda meta: {one: (at_ns - meta["start_ns"]) / 1e9 for one, at_ns in done.items()}
