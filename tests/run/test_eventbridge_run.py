"""`configs/eventbridge.yaml` as it is, against a stand-in of its system: bus, rule, queue, worker, read model."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.rigs.commands import Ended, assert_closes, assert_one_clear_line, evload, summary_of
from tests.rigs.placement_worker import running_worker
from tests.servers.aws_server import ENVIRONMENT, REGION, AwsServer

CONFIG = Path(__file__).parents[2] / "configs" / "eventbridge.yaml"
SHORT = (
    "scenarios.baseline.load=[{burst: 25}, {idle: 1s}, {rate: 25/s, for: 2s}, {burst: 25}]",
    # A busy machine must not decide a test: few events, long times, and the counts of the config.
    "producers.bus.timeout=60s",
    "probes.read-model.confirm={reads: 1, over: 1s}",
    "probes.read-model.first=200ms",
    "probes.read-model.resolution=50%",
    "probes.read-model.deadline=90s",
    "gauges.placements-queue.every=500ms",
    "slos.0=p95(end_to_end) < 30s",
    "slos.1=share(consistency < 20s) >= 95%",
    "slos.2=max(queue_depth) < 101",
    "slos.7=p95(queue_lag) < 30s",
    "self_checks={offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}",
)
EVENTS = 100


@pytest.fixture(scope="module")
def system(aws: AwsServer) -> Iterator[dict[str, str]]:
    """System 1 on this machine; yields the environment in which evload finds it."""
    aws.queue("placements-dead")
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:123456789012:placements-dead", "maxReceiveCount": 3}
    queue = aws.queue("placements", RedrivePolicy=json.dumps(policy))
    tapped = aws.queue("placements-tap")
    aws.bus_into("nedlia-events", queue, tapped)
    with running_worker(aws, queue) as read_model:
        yield {**ENVIRONMENT, "AWS_ENDPOINT_URL": aws.url, "EVLOAD_READ_MODEL": read_model}


def run(out: Path, system: dict[str, str], *sets: str) -> Ended:
    options = [option for assignment in (*SHORT, *sets) for option in ("--set", assignment)]
    return evload("run", CONFIG, "--out", out, "--quiet", *options, cwd=out.parent, env=system)


def test_the_config_passes_end_to_end(system: dict[str, str], tmp_path: Path) -> None:
    """With the queue of a tap beside the workers' own: what it hears is what the read model shows."""
    out = tmp_path / "run"
    ended = run(
        out,
        system,
        "probes.tap={kind: sqs-tap, queue: placements-tap, pollers: 1, deadline: 90s, confirm: {over: 1s}}",
        "scenarios.baseline.probes=[read-model, tap]",
    )
    assert ended.code == 0, ended.said
    summary = summary_of(out)
    assert summary["verdict"] in ("pass", "warn")  # the self-checks may warn of a busy machine
    assert_closes(summary)
    ledger = summary["ledger"]
    assert (ledger["scheduled"], ledger["acked"], ledger["visible"]) == (EVENTS, EVENTS, EVENTS)
    assert (ledger["duplicated"], ledger["lost"]) == (0, 0)
    assert summary["distributions"]["consumed_to_processed"]["count"] > 0
    gauges = summary["gauges"]["placements-queue"]
    assert {"queue_depth", "queue_in_flight", "queue_delayed", "dead_letters"} <= set(gauges)
    assert gauges["dead_letters"]["max"] == 0
    assert gauges["queue_lag"]["count"] == EVENTS
    with closing(sqlite3.connect(out / "events.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (EVENTS,)


def test_what_init_writes_for_eventbridge_passes(system: dict[str, str], tmp_path: Path) -> None:
    """With what stands at CHANGE as this system has it, and a shorter load."""
    assert evload("init", "--from", "eventbridge", cwd=tmp_path).code == 0
    changes = (
        "producers.bus={kind: eventbridge, bus: nedlia-events, detail: envelope, timeout: 60s}",
        f"probes.read-model.url={system['EVLOAD_READ_MODEL']}/v1/placements?correlation_id={{correlation_id}}",
        "probes.read-model.visible=body.items[0].file_url",
        "probes.read-model.deadline=90s",
        "probes.read-model.confirm={reads: 1, over: 500ms}",
        "scenarios.steady.load=[{rate: 40/s, for: 2s}]",
        "slos.0=p95(end_to_end) < 30s",
        SHORT[-1],
    )
    options = [option for assignment in changes for option in ("--set", assignment)]
    ended = evload("run", "evload.yaml", "--out", "run", "--quiet", *options, cwd=tmp_path, env=system)
    assert ended.code == 0, ended.said
    assert summary_of(tmp_path / "run")["ledger"]["visible"] == 80


def test_a_missing_bus_ends_it_before_it_begins(system: dict[str, str], tmp_path: Path) -> None:
    ended = run(tmp_path / "run", system, "producers.bus.bus=elsewhere")
    assert_one_clear_line(ended, 3, "there is no event bus 'elsewhere' in eu-west-1; create it")


def test_a_missing_queue_ends_it_before_it_begins(system: dict[str, str], tmp_path: Path) -> None:
    ended = run(tmp_path / "run", system, "gauges.placements-queue.queue=elsewhere")
    assert_one_clear_line(ended, 3, "there is no SQS queue 'elsewhere' in eu-west-1; create it")


def test_bad_settings_are_shown_at_their_line(tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(CONFIG.read_text().replace("bus: nedlia-events", "bus: nedlia events\n    role: arn:aws:x"))
    ended = evload("validate", config, cwd=tmp_path)
    assert ended.code == 2
    assert "bad.yaml:17:10: 'nedlia events' is not an event bus; write its name, or an ARN such as" in ended.said
    assert "bad.yaml:18:5: " in ended.said
