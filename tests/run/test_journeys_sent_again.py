"""Steps that are sent again: one event with its last answer, and each try counted, judged, kept and shown."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from evload.errors import UsageError
from evload.formats.html.render import render
from evload.formats.markdown import markdown
from evload.ledger.reader import LedgerReader
from evload.ledger.worst_events import worst_events
from evload.model.travel import Try
from evload.objectives.grammar import parse
from evload.report.build import build_again
from evload.report.document import as_json, document
from evload.sinks.console.journeys import journeys
from tests.rigs.ledgers import read_back
from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.rigs.virtual_runs import Ran
from tests.servers.httpserver import Request, Server, answer

MS = 1_000_000
CONFIG = f"""
producers: {{shop: {{kind: http, url: "{SHOP}"}}}}
journeys:
  order:
    steps:
      - pay: {{to: shop, post: /pay, body: "{{iteration}}", retry: {{on: [429, 503], times: 2, after: 300ms}}}}
      - look: {{to: shop, get: /look}}
scenarios: {{main: {{journeys: [order], load: [{{rate: 10/s, for: 2s}}]}}}}
"""
SLOS = (
    ("status(429) == 8", (8, 8)), ("status(503) == 4", (4, 4)), ("status(200) == 32", (32, 32)),
    ("rate(status(429)) <= 20%", (8 / 44, 8 / 44)), ("errors == 4", (4, 4)), ("retried == 4", (4, 4)),
    ("rate(retried) <= 12%", (4 / 36, 4 / 36)), ("{objective: retried == 4, step: pay}", (4, 4)),
    ("{objective: rate(status(429)) <= 40%, step: pay}", (8 / 28, 8 / 28)),
    ("{objective: rate(status(429)) < 5% , step: look}", (0, 0)),
    ("{objective: rate(status(429)) <= 35% in any 2s, step: pay}", (8 / 28, 8 / 28)),
)  # fmt: skip


def sometimes() -> Any:
    """Of ten payments the third fails after three tries, the sixth after one; what is answered in between is 429."""
    tries: dict[bytes, int] = {}

    def script(request: Request) -> list[bytes]:
        if request.target == "/look":
            return [answer(200)]
        number, before = int(request.body), tries.get(request.body, 0)
        tries[request.body] = before + 1
        if number % 5 == 2:
            return [answer(429 if before < 2 else 503)]
        return [answer(200)]

    return script


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran[Server]:
    text = f"{CONFIG}slos:\n" + "".join(
        f"  - {slo if slo.startswith('{') else f'{chr(34)}{slo}{chr(34)}'}\n" for slo, _ in SLOS
    )
    return run_scripted(text, tmp_path_factory.mktemp("run"), sometimes())


def test_tries_are_counted_by_status_and_the_last_answer_is_judged(ran: Ran[Server]) -> None:
    found = {one.expression: one.observed for one in ran.report.objectives}
    assert [pytest.approx(one.observed) for one in ran.report.objectives] == [seen for _, seen in SLOS], found
    assert {one.result.value for one in ran.report.objectives} == {"pass", "warn"}, "some are near their limits"
    assert ran.report.summary.total().ledger["scheduled"] == 36
    assert sum(request.target == "/pay" for request in ran.record.requests) == 28


def test_each_try_is_a_row_and_the_event_has_the_first_send_and_the_last_answer(ran: Ran[Server]) -> None:
    rows = ran.rows("SELECT * FROM tries ORDER BY seq, number")
    assert [(row["number"], row["status"]) for row in rows] == [(0, 429), (1, 429), (2, 503)] * 4
    first = [row for row in rows if row["seq"] == rows[0]["seq"]]
    (event,) = ran.rows(f"SELECT * FROM events WHERE seq = {rows[0]['seq']}")
    assert event["sent_ns"] == first[0]["sent_ns"]
    assert (event["status"], event["retried"], event["answer"]) == (503, 2, 3)
    for before, after in pairwise(first):
        assert after["sent_ns"] - before["acked_ns"] == 300 * MS
    with LedgerReader(ran.ledger) as reader:
        (seen,) = reader.chosen("seq = :seq", "seq", {"seq": event["seq"]}, 1)
    assert seen.tries == tuple(Try(row["sent_ns"], row["acked_ns"], row["status"]) for row in first)


def test_a_report_made_again_says_the_same(ran: Ran[Server]) -> None:
    with LedgerReader(ran.ledger) as reader:
        again = build_again(reader, ran.ledger.parent)
    assert document(again) | {"started_at": ""} == document(ran.report) | {"started_at": ""}
    assert again.summary.scenarios["main"].tallies["status"] == {429: 8, 503: 4, 200: 32}
    assert again.summary.scenarios["main"].slices["event=order.pay"].tallies["retried"] == {2: 4}


def test_reports_show_what_was_sent_again(ran: Ran[Server]) -> None:
    told = orjson.loads(as_json(ran.report))
    assert told["events"]["order.pay"]["status"] == {"200": 16, "429": 8, "503": 4}
    assert told["ledger"]["retried"] == 4
    shown = "pay: 4 sent again, 8 times in all"
    assert f"- {shown}\n" in markdown(ran.report)
    assert f"  {shown}" in [str(line) for line in journeys(ran.report.summary, 100)]
    assert ran.report.timeline is not None
    assert shown in render(ran.report, ran.report.timeline, ran.report.insights)
    with LedgerReader(ran.ledger) as reader:
        worst = next(worst_events(parse("errors == 0"), reader))
    assert [(round(at_s, 3), what) for at_s, what in worst.log if "a" in what] == [
        (0.202, "answered: HTTP 429, to be sent again"), (0.502, "sent again"),
        (0.504, "answered: HTTP 429, to be sent again"), (0.804, "sent again"),
        (0.806, "settled as rejected: 0 reads"),
    ]  # fmt: skip


def test_an_older_ledger_has_no_tries_and_is_read_as_before(ran: Ran[Server], tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(ran.ledger.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE tries")
    whole = read_back(path).summary.scenarios["main"]
    assert (whole.tallies["status"], whole.ledger["retried"]) == ({200: 32, 503: 4}, 4)
    with LedgerReader(path) as reader:
        report = build_again(reader, ran.ledger.parent)
    shares = {one.expression: one.observed for one in report.objectives if one.scope == ""}
    assert shares["rate(status(429)) <= 20%"] == (0, 0)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE tries SET status = 'gone'", "in tries, status is 'gone'"),
        ("UPDATE tries SET sent_ns = x'41'", "in tries, sent_ns is b'A'"),
        ("UPDATE tries SET number = -1 WHERE number = 0", "in tries, number is -1"),
    ],
)
def test_what_no_run_writes_is_named(ran: Ran[Server], statement: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(ran.ledger.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
    with pytest.raises(UsageError, match=" is damaged: ") as refused:
        read_back(path)
    assert what in str(refused.value)
