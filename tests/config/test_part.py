"""A part of a config: some of its scenarios, and which objectives are still asked."""

from __future__ import annotations

import pytest

from evload.config import LoadedConfig, load_text
from evload.config.part import part_of
from evload.errors import UsageError

TEXT = """\
producers: {api: {kind: http, url: "{sandbox}/events"}}
sandbox: {}
events:
  created: {type: created, source: /evload}
  moved: {type: moved, source: /evload}
probes:
  items: {kind: http, url: "{sandbox}/items/{correlation_id}"}
gauges:
  shared: {kind: prometheus, url: "{sandbox}/metrics", metric: depth, as: queue_depth}
  own: {kind: prometheus, url: "{sandbox}/metrics", scenarios: [spike], metric: depth, as: waiting, counter: true}
  both: {kind: prometheus, url: "{sandbox}/metrics", scenarios: [spike, calm], metric: depth, as: other}
scenarios:
  calm: {producer: api, events: [created], load: [{rate: 1/s, for: 10s}]}
  spike: {producer: api, events: [moved], probes: [items], start: 1m, load: [{rate: 9/s, for: 10s}]}
  last: {producer: api, events: [created], probes: [items], load: [{rate: 1/s, for: 10s}]}
"""
ASKED = {
    "errors == 0": ("calm", "spike", "last"),
    "p99(publish) < 5s": ("calm", "spike", "last"),
    "p99(consistency) < 5s": ("spike", "last"),
    "{objective: p99(publish) < 5s, scenario: spike}": ("spike",),
    "{objective: lost == 0, event: moved}": ("spike",),
    "{objective: p99(publish) < 6s, event: created}": ("calm", "last"),
    "{objective: lost == 0, scenario: last, probe: items}": ("last",),
    "max(queue_depth) < 9": ("calm", "spike", "last"),
    "max(waiting) < 9": ("spike",),
    "max(other) < 9": ("calm", "spike"),
    "rise(waiting) < 9": ("spike",),
    "stretch(waiting > 5) < 9s": ("spike",),
    "max(waiting) / max(queue_depth) < 2": ("spike",),
    "{objective: drain(queue_depth) < 9s, after: spike}": ("spike",),
    "{objective: drain(queue_depth) < 9s, scenario: spike}": ("spike",),
    "{objective: reach(queue_depth >= 5) < 9s, scenario: spike}": ("spike",),
    "{objective: drain(queue_depth <= 10) < 9s, after: 5s}": ("calm", "spike", "last"),
    "{objective: recovery(p95(consistency) < 3s) < 9s, after: spike}": ("spike",),
    "{objective: recovery(p95(publish) < 3s) < 9s, after: 5s}": ("calm", "spike", "last"),
    "p99(queue_lag) < 5s": ("calm", "spike", "last"),
}
"""Objectives, each with the scenarios any of which is enough for it to be asked."""


def read(slos: str = "") -> LoadedConfig:
    return load_text(TEXT + slos, "load.yaml", environ={})


def whole() -> LoadedConfig:
    return read("slos:\n" + "".join(f"  - {written}\n" for written in ASKED))


@pytest.mark.parametrize(
    "names", [("calm",), ("spike",), ("last",), ("last", "calm"), ("calm", "spike", "last")], ids=str
)
def test_what_is_about_scenarios_that_are_left_out_isnt_asked(names: tuple[str, ...]) -> None:
    loaded = whole()
    part = part_of(loaded, names).config
    assert list(part.scenarios) == [name for name in ("calm", "spike", "last") if name in names]
    asked = [bool(set(names) & set(enough)) for enough in ASKED.values()]
    assert [objective in part.slos for objective in loaded.config.slos] == asked
    left_out = [objective.title for objective in loaded.config.slos if objective not in part.slos]
    assert part.circumstances.not_asked == tuple(left_out)
    assert part.circumstances.scenarios == tuple(part.scenarios)


def test_without_a_name_it_is_the_whole() -> None:
    loaded = whole()
    assert part_of(loaded, ()) is loaded
    assert loaded.config.circumstances.scenarios == ()


def test_queues_through_which_nothing_passes_any_more_are_left_out_also_where_the_pipeline_has_its_address() -> None:
    part = part_of(whole(), ["calm"])
    for config in (part.config, part.at_sandbox("http://127.0.0.1:5")):
        assert {name: gauge.scenarios for name, gauge in config.gauges.items()} == {"shared": (), "both": ("calm",)}


ACTIONS = """\
observe: 5s
actions:
  before: {at: 2s, for: 1s, do: &one {post: "{sandbox}/x"}, undo: *one}
  at-the-end: {at: 14900ms, for: 50ms, do: *one, undo: *one}
  beyond: {at: 15s, for: 1s, do: *one, undo: *one}
  again: {from: 1m, to: 1m12s, every: 10s, do: *one, undo: none}
  after-beyond: {after: beyond, for: 1s, do: *one, undo: *one}
  after-calm: {after: calm, for: 1s, do: *one, undo: *one}
  on-demand: {when: queue_depth > 5, for: 1s, do: *one, undo: *one}
"""


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("calm", {"before", "at-the-end", "after-calm", "on-demand"}),
        ("last", {"before", "at-the-end", "on-demand"}),
        ("spike", {"before", "at-the-end", "beyond", "again", "after-beyond", "on-demand"}),
    ],
)
def test_what_is_done_when_nothing_is_left_to_be_seen_isnt_done(name: str, left: set[str]) -> None:
    """The load of the first and the last takes 10 s, and is watched for 5 s more."""
    part = part_of(
        read(ACTIONS + "slos: [{objective: rise(other) < 5, during: again}, errors == 0]\n"), [name]
    ).config
    assert set(part.actions) == left
    assert ("again" in left) == ([one.title for one in part.slos] != ["errors == 0"])


def test_what_is_implied_is_implied_for_what_is_left_and_named_nowhere() -> None:
    part = part_of(read(), ["calm"]).config
    assert [objective.title for objective in part.slos] == ["errors == 0"]
    assert part.circumstances.not_asked == ()
    assert [one.title for one in part_of(read(), ["spike"]).config.slos] == ["errors == 0", "lost == 0 [spike]"]


def test_a_name_that_there_isnt() -> None:
    with pytest.raises(UsageError, match="--scenario spkie: there is no such scenario; did you mean 'spike'"):
        part_of(whole(), ["calm", "spkie"])
    with pytest.raises(UsageError, match="--scenario xyz: there is no such scenario; choose of calm, spike, last"):
        part_of(whole(), ["xyz"])


def test_the_config_as_run_says_which_part_it_was_and_reads_as_the_whole() -> None:
    part = part_of(whole(), ["last", "calm"])
    assert part.as_run().splitlines()[0] == '# run with --scenario "calm" --scenario "last"'
    assert load_text(part.as_run(), "config.yaml", environ={}).config.scenarios == whole().config.scenarios


GIVING = """\
producers: {shop: {kind: http, url: "http://localhost:1"}}
journeys:
  buy: {steps: [{create: {to: shop, post: /orders, give: {jobs: "{user}", bills: "{user}"}}}]}
  gift: {steps: [{wrap: {to: shop, post: /gifts, give: {jobs: "{user}"}}}]}
  ship: {steps: [{find: {to: shop, get: /}}, {send: {to: shop, put: "/{job}", take: {job: jobs}}}]}
  look: {steps: [{find: {to: shop, get: /}}]}
scenarios:
  buyers: {journeys: [buy], load: [{users: 1, for: 1m}]}
  givers: {journeys: [look, gift], load: [{users: 1, for: 1m}]}
  shippers: {journeys: [look, ship], load: [{users: 1, for: 1m}]}
  own: {journeys: [buy, ship], load: [{users: 1, for: 1m}]}
"""


@pytest.mark.parametrize(
    "names",
    [("buyers",), ("own",), ("shippers", "givers"), ("buyers", "shippers"), ("shippers", "own"), ("givers",), ()],
    ids=str,
)
def test_a_part_in_which_somebody_gives_what_is_taken(names: tuple[str, ...]) -> None:
    assert set(part_of(load_text(GIVING, "load.yaml", environ={}), names).config.scenarios) >= set(names)


def test_a_part_without_anybody_who_gives_what_it_takes_would_starve() -> None:
    with pytest.raises(UsageError) as raised:
        part_of(load_text(GIVING, "load.yaml", environ={}), ["shippers"])
    assert str(raised.value) == (
        "--scenario shippers: its journey ship takes jobs, which buy or gift of buyers or givers or own gives, and "
        "that is left out; choose buyers or givers or own, too"
    )
    assert raised.value.exit_code == 2


def test_one_who_gives_it() -> None:
    text = GIVING[: GIVING.index("  givers:")] + GIVING[GIVING.index("  shippers:") : GIVING.index("  own:")]
    with pytest.raises(UsageError) as raised:
        part_of(load_text(text.replace("[look, ship]", "[ship]"), "load.yaml", environ={}), ["shippers"])
    assert str(raised.value) == (
        "--scenario shippers: its journey ship takes jobs, which buy of buyers gives, and that is left out; choose "
        "buyers, too"
    )


CHECKED = """\
producers: {shop: {kind: http, url: "http://localhost:1"}}
journeys:
  buy: {steps: [{pay: {to: shop, post: /orders, check: {paid: body.paid, known: body.id}}}]}
  ship: {steps: [{send: {to: shop, put: /orders, check: {sent: body.sent}}}]}
  look: {steps: [{find: {to: shop, get: /, check: {known: body.id}}}]}
scenarios:
  buyers: {journeys: [buy], load: [{users: 1, for: 1m}]}
  others: {journeys: [ship, look], load: [{users: 1, for: 1m}]}
slos:
  - {objective: failed == 0, check: paid}
  - {objective: failed == 0, check: sent}
  - {objective: failed == 0, check: known}
  - {objective: failed == 0, check: known, step: pay}
  - {objective: failed == 0, check: known, journey: look}
"""


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["buyers"], ["check=paid", "check=known", "journey=buy,step=pay,check=known"]),
        (["others"], ["check=sent", "check=known", "journey=look,check=known"]),
        (["buyers", "others"], [
            "check=paid", "check=sent", "check=known", "journey=buy,step=pay,check=known", "journey=look,check=known"
        ]),
    ],
)  # fmt: skip
def test_a_check_of_steps_that_are_left_out_is_not_asked(names: list[str], asked: list[str]) -> None:
    part = part_of(load_text(CHECKED, "load.yaml", environ={}), names).config
    assert [one.title for one in part.slos] == [f"failed == 0 [{about}]" for about in asked]
    assert len(part.slos) + len(part.circumstances.not_asked) == 5
