"""Before a run of journeys: what plan says, what a guard allows, what a part of a config is asked."""

from __future__ import annotations

import pytest

from evload.config.guard import held
from evload.config.part import part_of
from evload.errors import ConfigError
from evload.run.feasibility import prospects
from tests.config.test_bad_config import lines_of, load
from tests.config.test_bad_journeys import GOOD
from tests.run.test_until_config import planned

PACED = GOOD.replace("    think: 1s\n", "    every: 5s\n", 1)
OPEN = GOOD[: GOOD.index("  mixed:")] + GOOD[GOOD.index("  arrivals:") :].replace("[work]", "[tell]", 1).replace(
    "slos:", "slos:\n  - {objective: errors == 0, event: tell.say}\n  -"
).replace("- [errors == 0]", "- p99(publish) < 1s")
OPEN = OPEN.replace("  work:\n", "  tell: {steps: [{say: {to: shop, get: /}}]}\n  work:\n", 1)

WAITING = """\
producers: {shop: {kind: http, url: "http://localhost:1"}}
probes:
  view: {kind: http, url: "http://view.prod.example/{capture}"}
  other: {kind: http, url: "http://other.prod.example/{capture}"}
events: {alive: {type: alive, source: /evload}}
journeys:
  buy: {steps: [{create: {to: shop, post: /orders}}, {choose: [{weight: 1, steps: [{seen: {wait: view, of: x}}]}]}]}
  look: {steps: [{find: {to: shop, get: /}}]}
scenarios:
  buyers: {journeys: [buy], load: [{rate: 1/s, for: 5m}]}
  others: {journeys: [look], load: [{rate: 1/s, for: 5m}]}
  beat: {producer: shop, events: [alive], load: [{rate: 1/s, for: 5m}]}
slos:
  - {objective: p95(wait) < 1s, step: seen}
  - lost == 0
  - completed >= 1
  - {objective: rate(completed) > 9%, journey: buy}
  - {objective: failed == 0, journey: look}
  - errors == 0
"""


def refused(text: str) -> list[str]:
    """What the guard in a config says of it."""
    try:
        held(load(text), {})
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_plan_tells_users_iterations_and_events_apart() -> None:
    lines = planned(load(GOOD))
    assert lines[0] == "load: 60 events, 300 iterations and up to 5 users with up to 100 iterations in up to 5.17 min"
    assert lines[3:7] == [
        "0 s 10 s mixed ramp 0 users to 5 users order, work",
        "0 s 60 s arrivals hold 5/s work",
        "0 s 60 s beat hold 1/s bus",
        "10 s 5.17 min mixed 5 users order, work",
    ]
    assert lines[-1] == "errors == 0 yes nobody knows how often the steps of journeys are done"


def test_what_is_asked_of_gauges_depends_on_no_journey() -> None:
    gauges = """gauges:
  queue: {kind: http-json, url: "http://localhost:1/", every: 1s, values: {depth: body.n}}
scenarios:
  mixed: {journeys: [work, order], load: [{users: 50, for: 5m}]}
slos: [max(depth) < 5, {objective: growth(depth) < 1/h, after: 1m}]
"""
    lines = planned(load(GOOD[: GOOD.index("scenarios:")] + gauges))
    assert lines[-2:] == [
        "max(depth) < 5 yes exact, by the samples of the gauge",
        "growth(depth) < 1/h [after=1m] yes an interval, by the samples of the gauge",
    ]


def test_plan_of_users_alone() -> None:
    users = "scenarios:\n  mixed: {journeys: [work, order], load: [{users: 50, for: 5m}], warmup: 30s}\n"
    lines = planned(load(GOOD[: GOOD.index("scenarios:")] + users))
    assert lines[0] == "load: 50 users in 5 min"
    assert "warm-up of mixed: 30 s, in no objective" in lines


def test_plan_of_one_iteration() -> None:
    lines = planned(load(OPEN.replace("{rate: 5/s, for: 1m}", "{rate: 5/s, iterations: 1}", 1)))
    assert lines[0] == "load: 60 events and 1 iteration in 60 s"


def test_what_a_warm_up_leaves_of_a_load_of_users() -> None:
    late = GOOD.replace("    think: 1s\n", "    warmup: 310s\n", 1)
    (line,) = lines_of(late)
    assert line.startswith("load.yaml:43:13: no event is due after a warm-up of 5.17 min")
    assert load(late.replace("310s", "309s", 1)).config.scenarios["mixed"].warmup == 309 * 10**9


def test_objectives_on_steps_and_on_events_beside_journeys() -> None:
    found = {one.objective.title: one for one in prospects(load(OPEN).config)}
    assert all(one.decidable for one in found.values())
    assert {one.unknown for one in found.values()} == {"nobody knows how often the steps of journeys are done"}
    beat = OPEN.replace("event: tell.say", "scenario: beat", 1)
    first, second = prospects(load(beat).config)
    assert (first.unknown, first.events) == ("", 60)
    assert second.unknown != ""


def test_what_a_step_waits_for_can_be_lost_whatever_nobody_watches_elsewhere() -> None:
    """Two scenarios are watched by nobody: what is asked of all can't pass, what is asked of the step can."""
    text = WAITING.replace("  - completed >= 1\n", "  - {objective: lost == 0, step: seen}\n")
    found = {one.objective.title: one.decidable for one in prospects(load(text).config)}
    assert (found["lost == 0"], found["lost == 0 [event=buy.seen]"]) == (False, True)


def test_a_check_of_a_step_can_be_judged() -> None:
    checked = "{find: {to: shop, get: /, check: {there: body.id}}}"
    text = WAITING.replace("{find: {to: shop, get: /}}", checked) + (
        "  - {objective: rate(failed) < 1%, check: there, step: find}\n"
    )
    (about,) = [one for one in prospects(load(text).config) if "there" in one.objective.title]
    assert about.decidable


def test_an_objective_on_a_step_that_is_not_there() -> None:
    (line,) = lines_of(OPEN.replace("event: tell.say", "event: tell.sey", 1))
    assert line.partition(": ")[2] == "unknown event 'tell.sey'; did you mean 'tell.say'?"


def test_a_part_without_the_journey_of_an_objective_is_not_asked_it() -> None:
    titles = {name: [one.title for one in part_of(load(OPEN), [name]).config.slos] for name in ("arrivals", "beat")}
    assert titles == {
        "arrivals": ["errors == 0 [event=tell.say]", "p99(publish) < 1s"],
        "beat": ["p99(publish) < 1s"],
    }


def test_a_guard_looks_at_whom_steps_send_to() -> None:
    lines = refused(PACED + "guard: {deny: [localhost]}\n")
    assert [line.split(": ")[0] for line in lines] == ["load.yaml:1:16", "load.yaml:3:27"]


@pytest.mark.parametrize(("text", "cure"), [
    (GOOD, "write fewer users, or a longer think: or every:"), (OPEN, "write a lower rate"),
])  # fmt: skip
def test_what_to_do_about_a_load_that_is_too_much(text: str, cure: str) -> None:
    (line,) = refused(text + "guard: {most: 1/s}\n")
    assert line.endswith(f"allows 1/s at most; {cure}")


def test_a_guard_looks_at_what_steps_wait_for() -> None:
    (line,) = refused(WAITING + "guard: {allow: [localhost]}\n")
    assert line == (
        "load.yaml:3:27: view.prod.example is outside the guard of this config, which allows localhost; add it "
        "there, or say --i-may-load view.prod.example"
    )
    assert refused(WAITING + 'guard: {allow: [localhost, "view.*"]}\n') == [], "nobody waits for the other one"


def test_a_part_is_asked_about_its_own_journeys_and_what_they_wait_for() -> None:
    asked = {name: [one.title for one in part_of(load(WAITING), [name]).config.slos] for name in ("buyers", "others")}
    assert asked == {
        "buyers": [
            "p95(wait) < 1s [event=buy.seen]", "lost == 0", "completed >= 1", "rate(completed) > 9% [journey=buy]",
            "errors == 0",
        ],
        "others": ["completed >= 1", "failed == 0 [journey=look]", "errors == 0"],
    }  # fmt: skip
    assert [one.title for one in part_of(load(WAITING), ["beat"]).config.slos] == ["errors == 0"]


def test_users_who_never_wait_have_no_most() -> None:
    for text in (GOOD.replace("    think: 1s\n", "", 1), GOOD.replace("    think: 1s\n", "    think: 0s..3s\n", 1)):
        (line,) = refused(text + "guard: {most: 100000/s}\n")
        at, _, told = line.partition(": ")
        assert at in ("load.yaml:44:7", "load.yaml:45:7")
        assert told == (
            "nobody knows how often users ask who never wait, and the guard of this config allows 100000/s; write "
            "think: or every:, the least time between two iterations of a user, or a load of rates"
        )


@pytest.mark.parametrize(
    ("text", "most"),
    [
        # 5 users who may all begin in one second, and send up to 13 each; 5 iterations of one request; 1 event
        (PACED, 5 * 13 + 5 + 1),
        # ten times a second each
        (PACED.replace("every: 5s", "every: 100ms"), 5 * 10 * 13 + 5 + 1),
        # at 0 and at 600 ms
        (PACED.replace("every: 5s", "every: 600ms"), 5 * 2 * 13 + 5 + 1),
        # as often, of a target that answers at once
        (GOOD, 5 * 13 + 5 + 1),
        (GOOD.replace("think: 1s", "think: 400ms..9s"), 5 * 3 * 13 + 5 + 1),
        (OPEN, 6),
        (OPEN.replace("get: /}", "get: /, retry: {on: [503], times: 3}}"), 21),
        (OPEN.replace("[{say:", "[{hi: {to: shop, get: /}}, {say:"), 11),
    ],
)
def test_the_most_that_journeys_send_is_held_to(text: str, most: int) -> None:
    assert refused(f"{text}guard: {{most: {most}/s}}\n") == []
    (line,) = refused(f"{text}guard: {{most: {most - 1}/s}}\n")
    assert f"offers up to {most}/s, and the guard of this config allows {most - 1}/s at most" in line
