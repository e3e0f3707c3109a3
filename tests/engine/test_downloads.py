"""Whole runs of journeys that download, in virtual time: which iterations fail, and for what reasons."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.servers.httpserver import Request, Step, answer, json_answer

FILE: Final = b"0123456789" * 1000
SUM: Final = sha256(FILE).hexdigest()
CONFIG: Final = f"""\
seed: 1
producers:
  shop: {{kind: http, url: "{SHOP}"}}
journeys:
  docs:
    steps:
      - list: {{to: shop, get: "/docs/{{iteration}}", capture: {{bytes: body.bytes, sum: body.sum}}}}
      - load:
          to: shop
          get: "/files/{{iteration}}"
          size: "{{bytes}}"
          sha256: "{{sum}}"
          capture: {{type: 'headers."content-type"'}}
          refused: [410]
          else: [continue: true]
      - range: {{to: shop, get: /whole, size: 9KB..10KB}}
scenarios:
  readers: {{journeys: [docs], load: [{{rate: 1/s, for: 7s}}]}}
slos:
  - {{objective: rate(failed) < 60%, step: load}}
  - {{objective: failed == 0, step: range}}
"""


def script(request: Request) -> Sequence[bytes | float | Step]:
    _, what, *rest = request.target.split("/")
    if what == "whole":
        return [answer(200, FILE)]
    number = int(rest[0])
    if what == "docs":
        told = {"bytes": "many" if number == 5 else len(FILE), "sum": SUM}
        return [json_answer(json.dumps(told).encode())]
    whole = answer(200, FILE, "Content-Type: text/plain")
    files: dict[int, list[bytes | float | Step]] = {
        0: [whole[:500], 0.2, whole[500:]],
        1: [answer(200, FILE[:-1], "Content-Type: text/plain")],
        2: [answer(200, FILE[:-1] + b"x", "Content-Type: text/plain")],
        3: [whole[:500], Step.CLOSE],
        4: [answer(410, b"gone")],
        5: [whole],
        6: [answer(200, FILE)],
    }
    return files[number]


def test_each_iteration_fails_for_its_own_reason_and_those_that_got_what_they_wanted_go_on(tmp_path: Path) -> None:
    ran = run_scripted(CONFIG, tmp_path, script)
    rows = ran.rows("SELECT number, ended_as, step, reason FROM iterations ORDER BY number")
    assert [(row["step"], row["reason"]) for row in rows] == [
        (None, None),
        ("load", "size is not {bytes}"),
        ("load", "sha256 is not {sum}"),
        ("load", "truncated: connection closed before as many bytes came as Content-Length says"),
        (None, None),
        ("load", "size: what stands for {bytes} is no size"),
        ("load", 'capture type: headers."content-type" found nothing'),
    ]
    ended = Counter(one["ended_as"] for one in rows)
    assert sorted(ended.values()) == [2, 5]
    rate, failed = ran.report.objectives
    assert rate.observed == (5 / 7, 5 / 7)
    assert (failed.result.value, failed.observed) == ("pass", (0.0, 0.0))
    loads = ran.rows("SELECT bytes_in, state, answer FROM events WHERE type = 1 ORDER BY seq")
    assert [row["bytes_in"] for row in loads] == [10_000, 9_999, 10_000, None, 4, 10_000, 10_000]
