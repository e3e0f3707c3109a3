"""Whole runs in virtual time: how long the first byte took, and how many bytes went in a second, by what was sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from evload.formats.csv import percentiles
from evload.ledger.reader import LedgerReader
from evload.ledger.replay import rebuild
from evload.report.document import document
from evload.report.wording import observed
from tests.rigs.contents import contents
from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.servers.httpserver import Request, Step, answer

FILE: Final = b"0123456789" * 10_000
CONFIG: Final = f"""\
seed: 1
producers:
  shop: {{kind: http, url: "{SHOP}", timeout: 2s, mode: plain}}
events:
  noted: {{type: noted, source: /shop, data: {{text: "{"x" * 900}"}}}}
journeys:
  docs:
    steps:
      - up: {{to: shop, post: /up, file: {{size: 50KB}}}}
      - load: {{to: shop, get: "/files/{{iteration}}", retry: {{on: [429], times: 2, after: 500ms}}}}
      - none: {{to: shop, delete: /files}}
      - head: {{to: shop, head: /files}}
  cut:
    steps:
      - broken: {{to: shop, post: "/cut/{{iteration}}", body: "12345"}}
scenarios:
  readers: {{journeys: [docs], load: [{{rate: 1/s, for: 10s}}]}}
  cuts: {{journeys: [cut], load: [{{rate: 1/s, for: 4s}}]}}
  noting: {{producer: shop, events: [noted], load: [{{rate: 10/s, for: 10s}}]}}
slos:
  - {{objective: max(first_byte) < 250ms, step: none}}
  - {{objective: max(first_byte) < 1.5s, step: load}}
  - {{objective: min(first_byte) < 1s, step: load}}
  - {{objective: max(publish) < 1.5s, step: load}}
  - {{objective: max(first_byte) < 250ms, step: head}}
  - {{objective: max(first_byte) < 1s, event: noted}}
  - {{objective: max(first_byte) < 10s, step: broken}}
  - {{objective: throughput(bytes_in) > 99KB/s, step: load}}
  - {{objective: throughput(bytes_out) > 50KB/s, step: up}}
  - {{objective: throughput(bytes_in) > 1B/s, step: none}}
  - {{objective: throughput(bytes_in) > 1B/s, step: head}}
  - {{objective: throughput(bytes_in) > 1B/s, step: broken}}
  - {{objective: throughput(bytes_out) > 2B/s, step: broken}}
  - {{objective: throughput(bytes_out) > 1KB/s, event: noted}}
  - throughput(bytes_in) > 1KB/s
  - {{objective: throughput(bytes_out) > 1KB/s, scenario: readers}}
"""


def script(request: Request) -> Sequence[bytes | float | Step]:
    whole = answer(200, FILE)
    _, what, *rest = request.target.split("/")
    if what == "files" and rest:
        if rest == ["3"] and request.headers.get("x-tried") is None and not script_tried:
            script_tried.append(1)
            return [0.1, answer(429, b"z" * 5000)]
        return [0.1, whole[:1000], 0.4, whole[1000:]]
    if what == "cut":
        answers: dict[str, list[bytes | float | Step]] = {
            "0": [0.1, whole[:1000], 0.3, Step.CLOSE],
            "1": [0.1, answer(503, b"later")[:-1], 0.3, Step.CLOSE],
            "2": [0.1, Step.CLOSE],
            "3": [0.1, whole],
        }
        return answers[rest[0]]
    if request.method == "HEAD":
        return [0.1, b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n"]
    return [0.1, answer(204)]


script_tried: list[int] = []


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    script_tried.clear()
    return run_scripted(CONFIG, tmp_path_factory.mktemp("run"), script)


def told(ran: Any) -> dict[str, str]:
    return {
        f"{one.expression} [{one.scope or one.scenario or ''}]": f"{one.result.value}, {observed(one)}"
        for one in ran.report.objectives
    }


def test_what_each_objective_came_to(ran: Any) -> None:
    assert told(ran) == {
        "max(first_byte) < 250ms [event=docs.none]": "pass, 102 ms",
        # The one that was sent again: 102 ms, 500 ms of pause, 102 ms.
        "max(first_byte) < 1.5s [event=docs.load]": "pass, 704 ms",
        "min(first_byte) < 1s [event=docs.load]": "pass, 102 ms",
        "max(publish) < 1.5s [event=docs.load]": "pass, 1.1 s",
        "max(first_byte) < 250ms [event=docs.head]": "pass, 102 ms",
        "max(first_byte) < 1s [event=noted]": "pass, 102 ms",
        "max(first_byte) < 10s [event=cut.broken]": "inconclusive, 102 ms … never",
        "throughput(bytes_in) > 99KB/s [event=docs.load]": "pass, 100 KB/s",
        "throughput(bytes_out) > 50KB/s [event=docs.up]": "pass, 50 KB/s",
        "throughput(bytes_in) > 1B/s [event=docs.none]": "fail, 0 B/s",
        "throughput(bytes_in) > 1B/s [event=docs.head]": "fail, 0 B/s",
        "throughput(bytes_in) > 1B/s [event=cut.broken]": "pass, 25 KB/s",
        "throughput(bytes_out) > 2B/s [event=cut.broken]": "inconclusive, 1.25 … 5 B/s",
        "throughput(bytes_out) > 1KB/s [event=noted]": "pass, 9.11 KB/s",
        "throughput(bytes_in) > 1KB/s []": "pass, 110 KB/s",
        "throughput(bytes_out) > 1KB/s [readers]": "pass, 50.2 KB/s",
    }


def test_the_ledger_says_of_each_what_is_known(ran: Any) -> None:
    rows = ran.rows("SELECT status, bytes_out, bytes_in, first_byte / 1000000 AS first, state FROM events "
                    "WHERE scenario = 1 ORDER BY seq")  # fmt: skip
    assert [tuple(row.values())[:4] for row in rows] == [
        (200, 5, None, 102), (503, 5, None, 102), (None, 5, None, 0), (200, 5, 100_000, 102),
    ]  # fmt: skip
    (retried,) = ran.rows("SELECT status, bytes_in, first_byte / 1000000 AS first FROM events WHERE retried > 0")
    assert tuple(retried.values()) == (200, 100_000, 704), "it counts once, with its last answer"
    assert ran.rows("SELECT count(*) AS n FROM events WHERE first_byte IS NULL")[0]["n"] == 0


def test_reports_have_both(ran: Any) -> None:
    data = json.loads(json.dumps(document(ran.report)))
    readers = data["scenarios"]["readers"]
    assert readers["distributions"]["first_byte"]["count"] == 40
    assert readers["slices"]["event=docs.load"]["bytes_per_s"]["bytes_in"] == [pytest.approx(1e5, rel=0.1)] * 2
    rows = list(csv.DictReader(io.StringIO(percentiles(ran.report).decode())))
    first = [one for one in rows if one["metric"] == "first_byte" and one["slice"] == "event=docs.none"]
    assert {one["count"] for one in first} == {"10"}


def test_the_ledger_gives_the_same_summary(ran: Any) -> None:
    with LedgerReader(ran.ledger) as reader:
        again = rebuild(reader).summary
    mine = ran.report.summary
    for name, one in mine.scenarios.items():
        assert contents(again.scenarios[name].distributions) == contents(one.distributions)
        assert (again.scenarios[name].sums, again.scenarios[name].known) == (one.sums, one.known)


def test_where_nobody_asks_nothing_of_it_is_kept(tmp_path: Path) -> None:
    quiet = CONFIG.partition("slos:")[0].replace("for: 10s", "for: 2s") + "slos: []\n"
    script_tried.clear()
    ran = run_scripted(quiet, tmp_path, script)
    assert ran.rows("SELECT count(*) AS n FROM events WHERE first_byte IS NOT NULL")[0]["n"] == 0
    assert all("first_byte" not in one.distributions for one in ran.report.summary.scenarios.values())
