"""`evload ceiling` as a user calls it: the real command and the embedded pipeline; what is asked and left behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from evload.ledger.reader import LedgerReader
from tests.rigs.commands import Ended, assert_one_clear_line, evload, sandboxes_of, started, summary_of, wait_until

CONFIG = """\
name: small
settle: 2s
sandbox: {workers: 4, service: 4ms, visibility: 10ms}
producers: {api: {kind: http, url: "{sandbox}/events"}}
events: {made: {type: made, source: /tests}}
probes:
  items:
    {kind: http, url: "{sandbox}/items/query", ids: {in: body, at: ids}, items: body.items, deadline: 9s,
     confirm: {reads: 0}}
scenarios:
  base: {producer: api, events: [made], probes: [items], load: [{rate: 1/s, for: 1m}]}
slos: [errors == 0, {objective: ceiling > 150/s, critical: 80/s}]
self_checks: {offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}
"""
GAUGED = CONFIG.replace(
    CONFIG[CONFIG.index("probes:\n") : CONFIG.index("scenarios:")],
    """\
gauges: {queue: {kind: http-json, url: "{sandbox}/queue", value: body.depth, as: queue_depth, every: 200ms}}
""",
).replace("probes: [items], ", "")
"""Nothing waits in its queue, however busy the machine is, which says so where times of reads would not."""
SHORT = ("--from", "40/s", "--to", "40/s", "--trial", "5s")
"""One rate, which is tried twice; where a busy machine keeps it from being told, a few times more."""


def search(cwd: Path, *more: str | Path, text: str = CONFIG) -> Ended:
    (cwd / "small.yaml").write_text(text)
    return evload("ceiling", "small.yaml", *more, cwd=cwd)


def notes(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "ceiling.json").read_bytes())
    return found


def without_moments(ceiling: dict[str, Any]) -> list[tuple[float, int, bool]]:
    """Which trials were made, whatever they came to."""
    return [(one["rate"], one["doublings"], one["confirms"]) for one in ceiling["trials"]]


# --- the command line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "5"], "--from: '5' is not a rate; write a rate such as 5/s or 5/min"),
        (["--from", "0/s"], "--from 0/s: no event is no load; write a rate above 0, such as 50/s"),
        (["--from", "9/s", "--to", "8/s"], "--from 9/s is above --to 8/s; write a lower one"),
        (["--trial", "3"], "--trial: '3' is not a duration"),
        (["--trial", "3s"], "--trial 3s: too short to see a backlog grow; write 5s or more"),
        (["--precision", "5"], "--precision: '5' is not a share; write a share such as 95% or 0.1%"),
        (["--precision", "0.1%"], "--precision 0.1%: no trial tells rates so close apart; write 0.5% or more"),
        (["--scenario", "bose"], "--scenario bose: there is no such scenario; did you mean 'base'?"),
        (
            ["--resume", "nowhere"],
            "--resume nowhere: there is no search (ceiling.json: No such file or directory); name",
        ),
        (["--resume", "x", "--out", "y"], "--resume goes on where the search was, so --out has no say; leave it out"),
        (["--profile", "x"], "--profile x: there is no such profile; write it under profiles:"),
        (
            ["--set", "scenarios.base.probes=[]"],
            "nothing would show what waits in the system, so that every rate would",
        ),
        (["--set", "guard={most: 60/s, allow: [127.0.0.1]}"], "the guard of a config can't be changed from outside"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_before_anything_is_sent(
    options: list[str], said: str, tmp_path: Path
) -> None:
    ended = search(tmp_path, *options)
    assert ended.code == 2
    assert said in ended.err, ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_of_several_scenarios_one_has_to_be_named(tmp_path: Path) -> None:
    other = "  base: {producer: api, events: [made], load: [{rate: 1/s, for: 1m}]}\n  spike:"
    ended = search(tmp_path, text=CONFIG.replace("  base:", other))
    assert_one_clear_line(
        ended, 2, "has 2 scenarios, and a ceiling is that of one; write --scenario with one of base, spike"
    )


def test_a_guard_bounds_the_rates(tmp_path: Path) -> None:
    guarded = CONFIG + "guard: {most: 60/s}\n"
    ended = search(tmp_path, "--to", "100/s", text=guarded)
    assert_one_clear_line(ended, 2, "--to 100/s: the guard allows 60/s at most; write a lower rate")
    ended = search(tmp_path, "--from", "70/s", text=guarded)
    assert_one_clear_line(ended, 2, "--from 70/s is above --to 60/s; write a lower one")


def test_an_action_that_no_trial_has_room_for_is_told_at_its_place(tmp_path: Path) -> None:
    action = "actions: {slow: {at: 2m, for: 1m, do: {sandbox: {workers: 1}}, undo: {sandbox: {workers: 4}}}}\n"
    longer = CONFIG.replace("for: 1m}]", "for: 5m}]") + action
    ended = search(tmp_path, text=longer)
    assert ended.code == 2
    assert "it lasts until 3 min, and the run is over after 60 s" in ended.err


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    ended = search(tmp_path, "--out", "full")
    assert_one_clear_line(ended, 2, "full isn't empty: it has 'mine'; choose an empty or a new directory with --out")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


# --- a search -----------------------------------------------------------------------------------------------


def test_each_trial_is_a_run_and_the_notes_the_page_and_json_say_the_same(tmp_path: Path) -> None:
    ended = search(tmp_path, *SHORT, "--out", "found", "--json", text=GAUGED)
    found = notes(tmp_path / "found")
    assert json.loads(ended.out) == found
    assert found["asked"] == {"from": 40, "to": 40, "precision": 0.05, "trial": 5}
    assert (found["format"], found["name"], found["scenario"]) == (1, "small", "base")
    assert found["trials"]
    for number, one in enumerate(found["trials"], 1):
        assert (one["number"], one["directory"]) == (number, f"trial-{number:02}")
        assert one["length"] == 5 * 2 ** one["doublings"]
        directory = tmp_path / "found" / one["directory"]
        assert {"config.yaml", "events.sqlite", "summary.json", "report.html"} <= set(os.listdir(directory))
        with LedgerReader(directory / "events.sqlite") as ledger:
            assert ledger.meta["terms"]["scenarios"]["base"]["rates"] == [
                [0, one["length"] * 1e9, one["rate"], one["rate"]]
            ]
        assert f"rate: {one['rate']:g}/s" in (directory / "config.yaml").read_text()
        assert one["outcome"] in ended.err or one["outcome"] == "good"
    # Whatever this busy machine made of them: what comes of it is told alike everywhere.
    codes = {"pass": 0, "warn": 0, "fail": 1, "inconclusive": 4}
    assert ended.code == codes[found["verdict"]]
    (objective,) = found["objectives"]
    assert objective["expression"] == "ceiling > 150/s"
    page = (tmp_path / "found" / "ceiling.html").read_text()
    assert "ceiling &gt; 150/s" in page
    assert all(f'href="{one["directory"]}/report.html"' in page for one in found["trials"])
    assert not list((tmp_path / "found").glob(".evload*"))

    # It is over: to go on with it tells the same again, and runs nothing.
    before = sorted(os.listdir(tmp_path / "found"))
    again = evload("ceiling", "small.yaml", "--resume", "found", "--quiet", cwd=tmp_path)
    assert again.code == ended.code
    assert sorted(os.listdir(tmp_path / "found")) == before
    assert notes(tmp_path / "found") == found

    # And a run names the objective that it doesn't judge.
    with_run = evload(
        "run", "small.yaml", "--set", "scenarios.base.load=[{rate: 20/s, for: 1s}]", "--json", cwd=tmp_path
    )
    summary = json.loads(with_run.out)
    assert summary["part"] == {"scenarios": [], "not_asked": ["ceiling > 150/s (evload ceiling judges it)"]}
    assert [one["expression"] for one in summary["objectives"]] == ["errors == 0"]
    assert "not asked ceiling > 150/s (evload ceiling judges it)" in " ".join(with_run.err.split())


def test_after_an_interrupt_and_after_a_kill_it_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(GAUGED)
    directory = tmp_path / "left"
    ended = cut_off(tmp_path, signal.SIGINT, *SHORT, "--out", "left")
    assert ended.code == 130
    assert "to go on: evload ceiling small.yaml --resume left, with the same options" in ended.said
    left = notes(directory)
    assert left["ceiling"]["end"] == "unfinished"
    assert (directory / "ceiling.html").exists()
    in_its = len(left["trials"]) + 1

    refused = evload("ceiling", "small.yaml", "--resume", "left", "--trial", "6s", cwd=tmp_path)
    assert_one_clear_line(
        refused, 2, "--trial 6s: the search was begun with another one; leave it out, or begin anew"
    )
    refused = evload("ceiling", "small.yaml", "--resume", "left", "--set", "seed=9", cwd=tmp_path)
    assert_one_clear_line(refused, 2, "it was begun with another config, profile, scenario or --set")
    anew = evload("ceiling", "small.yaml", "--out", "left", cwd=tmp_path)
    assert_one_clear_line(anew, 2, "left holds a search already; go on with it by --resume left")

    cut_off(tmp_path, signal.SIGKILL, "--resume", "left")
    assert notes(directory)["trials"] == left["trials"]
    wait_until(lambda: not sandboxes_of(directory / f"trial-{in_its:02}"))

    ended = evload("ceiling", "small.yaml", "--resume", "left", cwd=tmp_path)
    assert ended.code in (0, 1, 4), ended.said
    found = notes(directory)
    assert found["trials"][: len(left["trials"])] == left["trials"]
    assert found["ceiling"]["end"] != "unfinished"
    assert len(found["trials"]) > len(left["trials"])
    assert not any(summary_of(directory / one["directory"])["interrupted"] for one in found["trials"])
    aside = [path.name for path in directory.iterdir() if "interrupted" in path.name]
    assert set(aside) <= {f"trial-{in_its:02}-interrupted-{number}" for number in (1, 2)}


def cut_off(cwd: Path, how: signal.Signals, *options: str) -> Ended:
    """A search in the directory `left`, ended in this way in the first trial that it makes after one is noted."""
    directory = cwd / "left"
    before = next((path.stat().st_ino for path in sorted(directory.glob("trial-*/events.sqlite"))[-1:]), None)
    with started("ceiling", "small.yaml", *options, cwd=cwd) as running:
        wait_until(lambda: (directory / "ceiling.json").exists() and len(notes(directory)["trials"]) >= 1)
        ledger = directory / f"trial-{len(notes(directory)['trials']) + 1:02}" / "events.sqlite"
        wait_until(lambda: ledger.exists() and ledger.stat().st_ino != before)
        running.signal(how)
        return running.ended()
