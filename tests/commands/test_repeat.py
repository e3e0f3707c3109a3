"""`evload run --repeat`: a set of runs, of one config or of several in turns, that `compare` takes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from evload.commands.repeat import planned
from tests.rigs.commands import assert_one_clear_line, evload, started, summary_of, wait_until

CONFIG = """\
name: pair
settle: 2s
sandbox: {service: 2ms, visibility: 10ms}
producers: {api: {kind: http, url: "{sandbox}/events"}}
events: {made: {type: made, source: /tests}}
probes:
  items:
    {kind: http, url: "{sandbox}/items/query", ids: {in: body, at: ids}, items: body.items, deadline: 9s,
     confirm: {reads: 0}}
scenarios:
  base: {producer: api, events: [made], probes: [items], load: [{rate: 20/s, for: 1s}]}
slos: [errors == 0]
reports: {}
self_checks: {offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}
"""


def test_several_configs_take_turns_in_directories_of_their_own() -> None:
    paths = [Path("a/shop.yaml"), Path("b/shop.yaml"), Path("new.yaml")]
    assert [(one.config, str(one.directory)) for one in planned(paths, 2, Path("set"))] == [
        (0, "set/shop/run-01"), (1, "set/shop-2/run-01"), (2, "set/new/run-01"),
        (0, "set/shop/run-02"), (1, "set/shop-2/run-02"), (2, "set/new/run-02"),
    ]  # fmt: skip
    assert [str(one.directory) for one in planned(paths[:1], 2, Path("set"))] == ["set/run-01", "set/run-02"]


def test_a_set_of_two_configs_is_compared_and_exits_with_the_worst_verdict(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(CONFIG)
    (tmp_path / "new.yaml").write_text(CONFIG.replace("slos: [errors == 0]", "slos: [throughput(acked) > 900/s]"))
    ended = evload("run", "base.yaml", "new.yaml", "--repeat", "2", "--out", "set", "--json", cwd=tmp_path)
    document = json.loads(ended.out)
    assert (ended.code, document["verdict"]) == (1, "fail")
    assert [(one["config"], one["directory"]) for one in document["runs"]] == [
        ("base.yaml", "set/base/run-01"), ("new.yaml", "set/new/run-01"),
        ("base.yaml", "set/base/run-02"), ("new.yaml", "set/new/run-02"),
    ]  # fmt: skip
    for one in document["runs"]:
        summary = summary_of(tmp_path / one["directory"])
        assert (summary["run_id"], summary["verdict"]) == (one["run_id"], one["verdict"])
    assert "to compare them: evload compare set/base set/new" in ended.err
    compared = evload("compare", "set/base", "set/new", cwd=tmp_path)
    assert "2 runs of NEW against 2 of BASE" in compared.out, compared.said


def test_an_interrupt_ends_the_set(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(CONFIG.replace("for: 1s", "for: 5m"))
    with started("run", "base.yaml", "--repeat", "3", "--out", "set", cwd=tmp_path) as running:
        wait_until((tmp_path / "set" / "run-01" / "events.sqlite").exists)
        running.signal(signal.SIGINT)
        ended = running.ended()
    assert ended.code == 130
    assert [path.name for path in tmp_path.glob("set/*")] in (["run-01"], [])  # none, if nothing was sent yet


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["absent.yaml", "--repeat", "2"], "absent.yaml: there is no such file"),
        (
            ["base.yaml", "--repeat", "2", "--out", "full"],
            "full isn't empty: it has 'mine'; choose an empty or a new",
        ),
    ],
)
def test_what_cant_be_is_told_before_the_first_run(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(CONFIG)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    assert_one_clear_line(evload("run", "base.yaml", *options, cwd=tmp_path), 2, said)


def test_a_set_has_one_run_at_least(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(CONFIG)
    ended = evload("run", "base.yaml", "--repeat", "0", cwd=tmp_path)
    assert ended.code == 2
    assert "--repeat" in ended.err
