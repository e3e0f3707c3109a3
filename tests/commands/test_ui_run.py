"""`evload run --ui`: the page answers while the run goes on, only to who has its token, and can stop it."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

from tests.rigs.commands import assert_closes, started, summary_of

CONFIG = """\
sandbox: {visibility: 40ms}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  e: {type: t, source: /s}
probes:
  read-model: {kind: http, url: "{sandbox}/items/{correlation_id}", deadline: 2s, confirm: {reads: 0}}
scenarios:
  main: {producer: broker, events: [e], probes: [read-model], load: [{rate: 50/s, for: 10m}]}
settle: 3s
"""


def fetch(url: str, method: str = "GET", origin: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers={"Origin": origin} if origin else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, ""


def test_the_page_of_a_run_stops_it_for_whoever_has_its_token(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(CONFIG)
    with started("run", "long.yaml", "--out", "out", "--ui", cwd=tmp_path) as run:
        line = run.first_line()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", line)
        assert found, line
        url = found[0]
        address, _, token = url.partition("?")
        status, page = fetch(url)
        assert status == 200
        assert "long" in page
        assert fetch(address)[0] == 403
        assert fetch(f"{address}stop?{token}", "POST", origin="http://evil.example")[0] == 403
        while not run.first_line().startswith("t="):
            pass  # It hasn't begun.
        status, _ = fetch(f"{address}stop?{token}", "POST")
        assert status in (200, 202, 204)
        ended = run.ended()
    assert ended.code == 130, ended
    summary = summary_of(tmp_path / "out")
    assert summary["interrupted"]
    assert_closes(summary)
