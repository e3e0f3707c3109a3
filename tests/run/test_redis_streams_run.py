"""Whole runs over Redis streams: the config and the start as they stand, against a worker that is one of a group."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.rigs.commands import assert_closes, evload, started, summary_of
from tests.servers.redis_server import RedisServer, running_redis

CONFIG: Final = Path(__file__).parents[2] / "configs" / "redis-streams.yaml"
PATIENT: Final = {"offered_rate": "warn", "lateness": "warn", "headroom": "warn", "resolution": "warn"}
"""A busy machine must not decide a test."""


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    redis.client.flushall()


@contextmanager
def working(redis: RedisServer, skips: int = 0) -> Iterator[None]:
    """A worker of the group `workers` that takes from `orders` and adds to `shipments`, but for each `skips`th."""
    client: Any = redis.client
    client.xgroup_create("orders", "workers", "$", mkstream=True)
    ended = threading.Event()
    taken = 0

    def work() -> None:
        nonlocal taken
        import redis as sdk

        with closing(sdk.Redis(port=redis.port)) as own:
            worker: Any = own
            while not ended.is_set():
                for _, entries in worker.xreadgroup("workers", "w-1", {"orders": ">"}, count=100, block=50) or ():
                    pipeline = worker.pipeline(transaction=False)
                    for entry_id, fields in entries:
                        taken += 1
                        if not skips or taken % skips:
                            pipeline.xadd("shipments", {"correlationid": fields[b"correlationid"]})
                        pipeline.xack("orders", "workers", entry_id)
                    pipeline.execute()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def shortened(directory: Path, load: list[Mapping[str, Any]]) -> Path:
    """The config with another load and limits that a busy machine keeps."""
    config = yaml.safe_load(CONFIG.read_text())
    config["scenarios"]["baseline"]["load"] = load
    config["self_checks"] = PATIENT
    config["probes"]["shipped"].update(deadline="60s", confirm={"reads": 1, "over": "500ms"})
    config["slos"] = [
        "p90(end_to_end) < 20s", "max(queue_depth) < 10000", "max(idle) < 30s", "p90(queue_lag) < 20s", "lost == 0",
        "duplicates == 0", "out_of_order == 0", "errors == 0",
    ]  # fmt: skip
    path = directory / "c.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_the_config_passes_end_to_end(redis: RedisServer, tmp_path: Path) -> None:
    path = shortened(tmp_path, [{"rate": "150/s", "for": "2s"}, {"burst": 50}])
    with working(redis):
        ended = evload("run", path, "--out", "run", "--quiet", cwd=tmp_path, env={"REDIS_URL": redis.url})
    assert ended.code == 0, ended.said
    summary = summary_of(tmp_path / "run")
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["scheduled"] == ledger["acked"] == ledger["visible"] == 350
    assert [objective["result"] for objective in summary["objectives"]] == ["pass"] * 8
    gauges = summary["gauges"]["workers"]
    assert gauges["consumers"]["max"] == 1
    assert gauges["length"]["last"] == 350
    assert gauges["pending"]["last"] == gauges["queue_depth"]["last"] == 0
    assert gauges["queue_lag"]["count"] == 350
    assert redis.client.xlen("orders") == 350


def test_what_a_worker_never_ships_is_lost(redis: RedisServer, tmp_path: Path) -> None:
    path = shortened(tmp_path, [{"rate": "100/s", "for": "1s"}])
    with working(redis, skips=10):
        ended = evload(
            "run", path, "--out", "run", "--quiet", "--set", "probes.shipped.deadline=8s",
            "--set", "slos=[lost == 0]", cwd=tmp_path, env={"REDIS_URL": redis.url},
        )  # fmt: skip
    assert ended.code == 1, ended.said
    ledger = summary_of(tmp_path / "run")["ledger"]
    assert (ledger["acked"], ledger["visible"], ledger["lost"]) == (100, 90, 10)


def test_an_interrupt_while_redis_is_away_loses_nothing(tmp_path: Path) -> None:
    path = shortened(tmp_path, [{"rate": "100/s", "for": "10m"}])
    with running_redis() as own:
        own.client.xgroup_create("orders", "workers", "$", mkstream=True)
        command = ("run", str(path), "--out", "run", "--quiet", "--set", "probes.shipped.deadline=2s",
                   "--set", "settle=1s", "--set", "slos=[lost == 0]")  # fmt: skip
        with started(*command, cwd=tmp_path, env={"REDIS_URL": own.url}) as running:
            while own.client.xlen("orders") < 100:
                time.sleep(0.05)
            own.kill()
            time.sleep(1)
            running.process.send_signal(signal.SIGINT)
            out, err = running.process.communicate(timeout=60)
    assert running.process.returncode == 130, out + err
    summary = summary_of(tmp_path / "run")
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["acked"] >= 100
    assert ledger["unsent"] > 10
    assert ledger["lost"] == 0
    assert {"no connection: can't connect: connection refused", "workers: can't connect: connection refused"} <= (
        summary["errors"].keys()
    )


def test_doctor_and_try_tell_what_redis_says(redis: RedisServer, tmp_path: Path) -> None:
    path = shortened(tmp_path, [{"rate": "100/s", "for": "1s"}])
    environment = {"REDIS_URL": redis.url}
    ended = evload("doctor", path, cwd=tmp_path, env=environment)
    assert ended.code == 3
    said = " ".join(ended.out.split())
    # An address that comes from the environment is a secret.
    assert "can't look at group 'workers' of ${REDIS_URL}: there is no stream 'orders'; create it" in said
    assert redis.url not in said
    with working(redis):
        ended = evload("doctor", path, cwd=tmp_path, env=environment)
        assert ended.code == 0, ended.said
        ended = evload("try", path, cwd=tmp_path, env=environment)
        assert ended.code == 0, ended.said
    assert "XADD orders MAXLEN ~ 1000000 *" in ended.out
    assert "type: order.created" in ended.out
    held: Any = redis.client.xrange("orders")
    ((entry_id, _),) = held
    assert entry_id.decode() in ended.out
    assert redis.client.xlen("shipments") == 1


def test_what_init_writes_passes(redis: RedisServer, tmp_path: Path) -> None:
    assert evload("init", "--from", "redis-streams", cwd=tmp_path).code == 0
    with working(redis):
        ended = evload(
            "run", "evload.yaml", "--out", "run", "--quiet", "--set", "scenarios.steady.load=[{rate: 50/s, for: 2s}]",
            "--set", "probes.done.deadline=60s", "--set", "probes.done.confirm={reads: 1, over: 500ms}",
            "--set", "slos.0=p95(end_to_end) < 20s",
            "--set", f"self_checks={yaml.safe_dump(PATIENT, default_flow_style=True).strip()}",
            cwd=tmp_path, env={"REDIS_URL": redis.url},
        )  # fmt: skip
    assert ended.code == 0, ended.said
    assert summary_of(tmp_path / "run")["ledger"]["visible"] == 100
