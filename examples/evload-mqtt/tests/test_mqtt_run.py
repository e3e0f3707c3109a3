"""Whole runs of the real command: events in by MQTT, effects out by MQTT, and a verdict about what was planted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from paho.mqtt.client import Client, MQTTMessage

from mosquitto import bystander, running_broker

EVENTS: Final = 100
COMMAND: Final = Path(sys.executable).with_name("evload")
CONFIG: Final = (Path(__file__).parents[1] / "shop.yaml").read_text()


@pytest.fixture(scope="module")
def broker() -> Iterator[int]:
    with running_broker() as port:
        yield port


@contextmanager
def shop(port: int, *, lost: int = 0, twice: int = 0) -> Iterator[None]:
    """A system with one consumer, which loses the first events of a run, and has the effects of others twice."""
    taken = 0

    def take(client: Client, message: MQTTMessage) -> None:
        nonlocal taken
        taken += 1
        if taken <= lost:
            return
        effect = json.dumps({"correlationid": json.loads(message.payload)["correlationid"], "state": "done"})
        for _ in range(2 if taken <= lost + twice else 1):
            client.publish("shop/done", effect, qos=1)

    with bystander(port, "shop/in/#", take):
        yield


def evload(directory: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in a directory with the example's config."""
    (directory / "shop.yaml").write_text(CONFIG)
    return subprocess.run(
        [COMMAND, *arguments], cwd=directory, env={"MQTT_URL": f"mqtt://127.0.0.1:{port}", "PATH": ""},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def summary_of(directory: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((directory / "out" / "summary.json").read_bytes())
    return summary


def counts_of(directory: Path, *names: str) -> tuple[int, ...]:
    ledger = summary_of(directory)["ledger"]
    return tuple(ledger[name] for name in names)


def test_every_event_is_there_once(tmp_path: Path, broker: int) -> None:
    with shop(broker):
        done = evload(tmp_path, broker, "run", "shop.yaml", "--out", "out", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    results = {one["expression"]: one["result"] for one in summary_of(tmp_path)["objectives"]}
    assert results == dict.fromkeys(
        ("p50(consistency) < 1s", "lost == 0", "duplicates == 0", "rate(errors) < 10%"), "pass"
    )
    assert counts_of(tmp_path, "scheduled", "acked", "visible") == (EVENTS, EVENTS, EVENTS)
    assert counts_of(tmp_path, "duplicated", "out_of_order", "order_unknown") == (0, 0, 0)


def test_what_was_planted_is_found(tmp_path: Path, broker: int) -> None:
    with shop(broker, lost=10, twice=5):
        done = evload(tmp_path, broker, "run", "shop.yaml", "--out", "out", "--quiet")
    assert done.returncode == 1, done.stdout + done.stderr
    assert summary_of(tmp_path)["verdict"] == "fail"
    assert counts_of(tmp_path, "acked", "visible", "lost", "duplicated") == (EVENTS, EVENTS - 10, 10, 5)


def test_at_qos_0_nothing_is_acked_and_what_was_seen_is_recovered(tmp_path: Path, broker: int) -> None:
    with shop(broker, lost=10):
        done = evload(
            tmp_path, broker, "run", "shop.yaml", "--out", "out", "--quiet", "--set", "producers.events.qos=0"
        )
    assert done.returncode not in (0, 2, 3), done.stdout + done.stderr
    assert counts_of(tmp_path, "acked", "lost", "in_doubt", "recovered") == (0, 0, EVENTS, EVENTS - 10)


def test_the_plug_in_is_part_of_what_evload_says_of_itself(tmp_path: Path, broker: int) -> None:
    assert "MqttProducerConfig" in evload(tmp_path, broker, "schema").stdout
    found = evload(tmp_path, broker, "doctor", "shop.yaml").stdout.splitlines()
    assert [line.split() for line in found[1:3]] == [
        ["producer", "events", "ok", "reached"],
        ["probe", "effects", "ok", "reached"],
    ]


def test_settings_need_no_mqtt_library() -> None:
    program = "import sys, evload_mqtt; print([name for name in sys.modules if name.startswith('paho')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
