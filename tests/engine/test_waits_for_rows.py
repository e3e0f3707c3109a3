"""A whole run of journeys that wait for rows of a database and for what stands in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.servers.httpserver import Request, Step, answer, json_answer

CONFIG = f"""\
seed: 1
producers:
  shop: {{kind: http, url: "{SHOP}"}}
probes:
  orders:
    kind: sqlite
    path: SHOP_DB
    query: SELECT id, status, invoice, total FROM orders WHERE id IN (:ids)
journeys:
  order:
    steps:
      - create:
          to: shop
          post: /orders
          json: {{n: "{{iteration}}"}}
          capture: {{order: body.id}}
          probes: {{orders: "{{order}}"}}
      - seen:
          wait: orders
          of: "{{order}}"
          until: "status == 'paid' && total > `1`"
          within: 2s
          capture: {{invoice: invoice, sum: "total"}}
      - look: {{to: shop, get: "/invoices/{{invoice}}/{{sum}}"}}
scenarios:
  buyers: {{journeys: [order], load: [{{rate: 1/s, for: 4s}}]}}
slos:
  - {{objective: lost == 1, step: seen}}
  - {{objective: lost == 0, step: create}}
"""


def test_an_iteration_goes_on_at_the_row_that_shows_it_with_what_stands_there(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE orders (id TEXT, status TEXT, invoice TEXT, total NUMERIC)")

        def script(request: Request) -> Sequence[bytes | float | Step]:
            if request.method == "POST":
                number = json.loads(request.body)["n"]
                status = "new" if number == 2 else "paid"
                db.execute("INSERT INTO orders VALUES (?, ?, ?, ?)", (f"o-{number}", status, f"i-{number}", 2.5))
                return [json_answer(json.dumps({"id": f"o-{number}"}).encode(), 201)]
            return [answer(200)]

        ran = run_scripted(CONFIG.replace("SHOP_DB", str(tmp_path / "shop.db")), tmp_path, script)
    rows = ran.rows("SELECT step, reason FROM iterations ORDER BY number")
    assert [tuple(row.values()) for row in rows] == [
        (None, None), (None, None), ("seen", "it wasn't shown in time"), (None, None)
    ]  # fmt: skip
    looked = [one.target for one in ran.record.requests if one.method == "GET"]
    assert looked == [f"/invoices/i-{number}/2.5" for number in (0, 1, 3)]
    assert [one.result.value for one in ran.report.objectives] == ["pass", "pass"]
