"""Steps that wait at a probe with an address for each replica: all of them are asked, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.rigs.virtual_runs import Ran
from tests.servers.httpserver import Request, Server, Step, answer, json_answer

CONFIG = f"""\
seed: 1
producers:
  shop: {{kind: http, url: "{SHOP}"}}
probes:
  view:
    kind: http
    url: "{SHOP}/none/{{capture}}"
    first: 100ms
    max_gap: 200ms
    confirm: {{reads: 2, over: 1s}}
    at:
      eu: {{url: "{SHOP}/eu/{{capture}}"}}
      us: {{url: "{SHOP}/us/{{capture}}"}}
journeys:
  order:
    steps:
      - made: {{to: shop, post: "/made/x"}}
      - STEP
scenarios:
  buyers: {{journeys: [order], load: [{{rate: 1/s, for: 3s}}]}}
slos:
  - {{objective: ASKED, step: seen}}
"""


def run(tmp_path: Path, step: str, asked: str, shown: Mapping[str, range]) -> tuple[Ran[Server], Counter[str]]:
    """The run of one step; `shown` says at which of its reads each place shows what it is asked for."""
    reads: Counter[str] = Counter()

    def script(request: Request) -> Sequence[bytes | float | Step]:
        number = reads[request.target]
        reads[request.target] += 1
        place = request.target.split("/")[1]
        if place == "made":
            return [answer(201)]
        there = place in shown and number in shown[place]
        return [json_answer(b'{"from": "%s"}' % place.encode()) if there else answer(404)]

    ran = run_scripted(CONFIG.replace("STEP", step).replace("ASKED", asked), tmp_path, script)
    return ran, Counter(target.split("/")[1] for target in reads.elements())


def ends(ran: Ran[Server]) -> list[Any]:
    return [row["reason"] for row in ran.rows("SELECT reason FROM iterations ORDER BY number")]


def test_a_wait_goes_on_at_the_first_place_that_shows_it(tmp_path: Path) -> None:
    step = 'seen: {wait: view, of: "o-{iteration}", within: 5s, capture: {place: body.from}}'
    for first, other in (("us", "eu"), ("eu", "us")):
        (path := tmp_path / first).mkdir()
        ran, reads = run(path, step, "max(wait) < 1s", {first: range(99), other: range(5, 99)})
        assert ends(ran) == [None] * 3
        assert reads.keys() == {"made", "eu", "us"}
        assert ran.report.objectives[0].result.value == "pass"
        parts = ran.report.summary.scenarios["buyers: order.seen"].slices
        assert {name for name in parts if name.startswith("replica=")} == {"replica=eu", "replica=us"}


def test_what_one_place_alone_shows_is_waited_for_in_full(tmp_path: Path) -> None:
    step = 'seen: {wait: view, of: "o-{iteration}", within: 2s}'
    ran, _ = run(tmp_path, step, "lost == 0", {"us": range(99)})
    assert ends(ran) == [None] * 3, "the iteration goes on at the first sighting"
    assert ran.report.objectives[0].observed == (3, 3), "and yet the other place never showed it"


def test_what_appears_anywhere_has_appeared(tmp_path: Path) -> None:
    step = 'seen: {absent: view, of: "o-{iteration}", for: 2s}'
    ran, _ = run(tmp_path, step, "appeared == 0", {"us": range(3, 99)})
    assert ends(ran) == ["it appeared"] * 3
    assert ran.report.objectives[0].observed == (3, 3)


def test_a_place_that_never_showed_it_is_none_where_it_went(tmp_path: Path) -> None:
    step = 'seen: {gone: view, of: "o-{iteration}", within: 4s}'
    ran, _ = run(tmp_path, step, "min(wait) < 3s", {"eu": range(30)})
    assert ends(ran) == [None] * 3
    row = ran.rows("SELECT * FROM events WHERE scenario = 1 ORDER BY seq")[0]
    assert row["first_upper_ns"] - row["acked_ns"] > 1_000_000_000, "the first reads of the other place say nothing"
    assert row["gone"] == 1
