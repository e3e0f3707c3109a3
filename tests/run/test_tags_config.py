"""Objectives about tags, before a run: which tags there are, how many, and what `plan` can say of them."""

from __future__ import annotations

import json

import pytest

from evload.config import LoadedConfig, load_text
from evload.errors import ConfigError
from evload.run.feasibility import prospects
from evload.run.prepare import fold_plan

CONFIG = """
producers:
  api: {kind: http, url: "http://localhost/e", tag: {cold: "headers.a", region: "headers.b"}}
  plain: {kind: http, url: "http://localhost/p"}
probes:
  model: {kind: http, url: "http://localhost/{correlation_id}", tag: {shard: "body.shard"}}
events: {event: {type: t, source: /s}}
scenarios:
  told: {producer: api, events: [event], probes: [model], load: [{burst: 1000}]}
  untold: {producer: plain, events: [event], load: [{burst: 1000}]}
slos:
"""


def load(*slos: dict[str, str]) -> LoadedConfig:
    return load_text(CONFIG + "".join(f"  - {json.dumps(one)}\n" for one in slos), "load.yaml", environ={})


@pytest.mark.parametrize("tag", ["cold", "region=eu", "shard=7"])
def test_tags_of_producers_and_probes_can_be_asked_about(tag: str) -> None:
    (objective,) = load({"objective": "errors == 0", "tag": tag}).config.slos
    assert objective.slice == f"tag={tag}"
    assert objective.title == f"errors == 0 [tag={tag}]"


@pytest.mark.parametrize(
    ("tag", "scope", "cure"),
    [
        ("cld", {}, "did you mean 'cold'?"),
        ("warm=yes", {}, "what there is: cold, region, shard"),
        ("cold", {"scenario": "untold"}, "write tag: {cold: …} on their producer or probe"),
    ],
)
def test_a_tag_that_no_answer_gives(tag: str, scope: dict[str, str], cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"objective": "errors == 0", "tag": tag, **scope})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("load.yaml:12:41: ")
    assert cure in line


def test_no_more_tags_than_are_told_apart() -> None:
    def ask(count: int) -> None:
        load(*({"objective": "errors == 0", "tag": f"region={number}"} for number in range(count)))

    ask(8)
    with pytest.raises(ConfigError) as caught:
        ask(9)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("load.yaml:12:41: ")
    assert line.endswith("the objectives are about 9 tags, and 8 are told apart; ask for fewer")


def test_nobody_knows_beforehand_how_many_events_have_a_tag() -> None:
    (found,) = prospects(load({"objective": "p99(publish) < 2s", "tag": "cold", "scenario": "told"}).config)
    assert (found.events, found.decidable, found.unknown) == (1000, True, "nobody knows how many events are cold")


def test_what_is_asked_by_tag_and_name_is_folded_with_what_may_be_it() -> None:
    config = load(
        {"objective": "p99(publish) < 2s", "tag": "region=eu", "event": "event"},
        {"objective": "p99(publish) < 3s", "tag": "region=us", "event": "event"},
    ).config
    parts = {part.label: [limit for _, limit in part.counted.thresholds] for part in fold_plan(config, "told").slices}
    assert parts == {
        "event=event,tag=region=eu": [2_000_000_000],
        "event=event,tag=region=us": [3_000_000_000],
        "event=event,tag=region?": [2_000_000_000, 3_000_000_000],
    }
