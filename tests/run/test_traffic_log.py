"""`evload run --verbose`: what a run sends and what comes back, in samples and without secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from evload.clock import SystemClock
from evload.run.traffic_log import FIRST, TrafficLog
from evload.spi import NS_PER_S, Exchange, Message
from tests.rigs.commands import evload

CONFIG: Final = """
sandbox: {visibility: 20ms}
producers:
  broker: {kind: http, url: "{sandbox}/events", headers: {authorization: "Bearer ${TOKEN}"}}
events:
  event: {type: t, source: /s, data: {password: "{uuid}", order: o-7, note: "about ${TOKEN}"}}
probes:
  read-model:
    kind: http
    url: "{sandbox}/items/query?token=${TOKEN}"
    ids: {in: body, at: ids}
    items: body.items
    deadline: 9s
    confirm: {reads: 1, over: 100ms}
scenarios:
  main: {producer: broker, events: [event], probes: [read-model], load: [{rate: 200/s, for: 2s}]}
"""
TOKEN: Final = "t0p-s3cret-token"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_with_its_traffic(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    ended = evload("run", "c.yaml", "--verbose", "--quiet", "--out", "r", cwd=tmp_path, env={"TOKEN": TOKEN})
    assert ended.code in (0, 5), ended.said
    text = (tmp_path / "r" / "traffic.jsonl").read_text()
    assert TOKEN not in text
    lines = lines_of(tmp_path / "r" / "traffic.jsonl")
    assert {line["who"] for line in lines} == {"producer broker", "probe read-model"}
    publishes = [line for line in lines if line["who"] == "producer broker"]
    assert FIRST < len(publishes) < 60
    assert sum(line["left_out"] for line in publishes) + len(publishes) <= 400
    first = publishes[0]
    assert first["sent"]["head"].startswith("POST /events HTTP/1.1\n")
    assert "\nauthorization: Bearer ***" in first["sent"]["head"]
    assert '"order":"o-7"' in first["sent"]["body"]
    assert '"password":"***"' in first["sent"]["body"]
    assert '"note":"about ${TOKEN}"' in first["sent"]["body"]
    assert first["came"]["head"].startswith("HTTP 202")
    reads = [line for line in lines if line["who"] == "probe read-model"]
    assert reads[0]["sent"]["head"].startswith("POST /items/query?token=*** HTTP/1.1\n")
    assert any('"items":[{' in line["came"]["body"] for line in reads)


def test_a_run_leaves_it_out_unless_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("2s}", "100ms}"))
    ended = evload("run", "c.yaml", "--quiet", "--out", "r", cwd=tmp_path, env={"TOKEN": TOKEN})
    assert ended.code in (0, 5), ended.said
    assert not (tmp_path / "r" / "traffic.jsonl").exists()


def written(path: Path, exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    clock = SystemClock()
    path.touch()
    log = TrafficLog(path, clock, str)
    traffic = log.of("producer api")
    for exchange in exchanges:
        traffic.exchanged(exchange)
    log.close()
    clock.close()
    assert log.trouble is None
    return lines_of(path)


def at(ns: int, error: str = "") -> Exchange:
    return Exchange(ns, ns, lambda: Message(f"number {ns}"), None if error else lambda: Message("yes"), error)


def test_the_first_are_written_down_then_one_a_second_and_one_that_failed(tmp_path: Path) -> None:
    step = NS_PER_S // 100
    exchanges = [at(number * step, "gone" if number % 10 == 9 else "") for number in range(FIRST + 300)]
    lines = written(tmp_path / "traffic.jsonl", exchanges)
    later = lines[FIRST:]
    assert [line["sent"]["head"] for line in lines[:FIRST]] == [f"number {n * step}" for n in range(FIRST)]
    assert [line["error"] for line in later] == ["", "gone"] * 3
    assert [line["left_out"] for line in later] == [0, 8, 90, 8, 90, 8]


def test_a_full_disk_ends_the_log_alone() -> None:
    clock = SystemClock()
    log = TrafficLog(Path("/dev/full"), clock, str)
    traffic = log.of("producer api")
    for number in range(FIRST):
        traffic.exchanged(at(number))
    log.close()
    clock.close()
    assert log.trouble == "full is cut short: No space left on device; free some space"
