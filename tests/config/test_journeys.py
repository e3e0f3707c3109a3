"""Journeys are read as they are meant: each step by what it is, with what stands where nothing is written."""

from __future__ import annotations

import pytest

from evload.config.journeys import most_sent
from evload.errors import ConfigError
from evload.workload.journeys.placeholders import placeholders
from evload.workload.journeys.settings import (
    Branch,
    Capture,
    Choose,
    Continue,
    EventStep,
    JourneySettings,
    RequestStep,
    Retry,
    Step,
    Think,
)
from evload.workload.schedule import iterations_of, users_of
from tests.config.test_bad_config import lines_of, load
from tests.config.test_bad_journeys import GOOD

MS, S = 1_000_000, 1_000_000_000
OK = frozenset(range(200, 300))


def journeys(text: str) -> dict[str, JourneySettings]:
    return dict(load(text).config.journeys)


def steps(text: str) -> tuple[Step, ...]:
    """Those of a journey of these steps."""
    written = f"  short:\n    steps: {text}\nscenarios:"
    return journeys(GOOD.replace("scenarios:", written, 1))["short"].steps


def test_a_whole_journey_is_read_as_it_is_meant() -> None:
    order = journeys(GOOD)["order"]
    assert order.vars == {"mail": "u{iteration}@example.com", "key": "{uuid}"}
    assert order.begin == (
        RequestStep(
            "login", "shop", "POST", "/login", json={"user": "u{user}"}, has_json=True,
            capture={"token": Capture("body.token", secret=True)},
        ),
    )  # fmt: skip
    assert order.steps == (
        RequestStep(
            "register", "shop", "POST", "/customers", json={"email": "{mail}"}, has_json=True,
            expect=frozenset({201}), capture={"customer": Capture("body.id")},
        ),
        RequestStep(
            "create", "shop", "POST", "/orders", headers={"k": "{key}"}, capture={"order": Capture("body.id")},
            give={"jobs": "{order}"},
        ),
        Think(500 * MS, 2 * S),
        EventStep("placed", "bus", "order-placed"),
        Choose(
            (
                Branch(
                    70,
                    (
                        RequestStep(
                            "paid", "shop", "POST", "/paid",
                            capture={"payment": Capture("body.id"), "receipt": Capture("body.no")},
                        ),
                    ),
                ),
                Branch(
                    30, (RequestStep("credit", "shop", "POST", "/credit", capture={"payment": Capture("body.id")}),)
                ),
            )
        ),
        RequestStep(
            "ship", "shop", "PUT", "/orders/{order}/ship", refused=frozenset({409, 422}),
            else_=(RequestStep("look", "shop", "GET", "/orders/{order}"), Continue()),
        ),
        RequestStep(
            "again", "shop", "POST", "/payments", body="{payment} {step}", check={"same": "body.id == vars.payment"},
            retry=Retry(frozenset({429}), 3, S),
        ),
    )  # fmt: skip
    assert order.finally_ == (RequestStep("close", "shop", "DELETE", "/customers/{customer}"),)
    assert order.end == (
        RequestStep("logout", "shop", "POST", "/logout", headers={"authorization": "Bearer {token}"}),
    )
    assert journeys(GOOD)["work"].steps == (
        RequestStep("do", "shop", "GET", "/jobs/{job}", take={"job": "jobs"}, within=2 * S),
    )
    assert [step.name for step in order.sending()] == [
        "register", "create", "placed", "paid", "credit", "ship", "look", "again", "close", "login", "logout"
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_each_method_is_a_key(method: str) -> None:
    assert steps(f"[{{a: {{to: shop, {method}: /x}}}}]") == (RequestStep("a", "shop", method.upper(), "/x"),)


def test_what_is_not_written() -> None:
    (step,) = steps("[{a: {to: shop, get: /x}}]")
    assert isinstance(step, RequestStep)
    assert (step.json, step.has_json, step.form, step.body) == (None, False, None, None)
    assert (step.expect, step.refused, step.retry, step.else_, step.within) == (OK, frozenset(), None, None, 10 * S)


def test_a_body_that_is_null_empty_or_false_is_one_all_the_same() -> None:
    first, second, third, fourth = steps(
        "[{a: {to: shop, put: /x, json: null}}, {b: {to: shop, put: /x, form: {}}}, "
        '{c: {to: shop, put: /x, body: ""}},'
        " {d: {to: shop, put: /x, json: false}}]"
    )
    assert first == RequestStep("a", "shop", "PUT", "/x", json=None, has_json=True)
    assert second == RequestStep("b", "shop", "PUT", "/x", form={})
    assert third == RequestStep("c", "shop", "PUT", "/x", body="")
    assert fourth == RequestStep("d", "shop", "PUT", "/x", json=False, has_json=True)


def test_numbers_of_json_may_be_of_any_size() -> None:
    (step,) = steps(f"[{{a: {{to: shop, put: /x, json: {{n: {10**30}, t: [1, '{{uuid}}']}}}}}}]")
    assert isinstance(step, RequestStep)
    assert step.json == {"n": 10**30, "t": [1, "{uuid}"]}


def test_statuses_are_codes_or_classes() -> None:
    (step,) = steps("[{a: {to: shop, get: /x, expect: [2xx, 304], refused: 404, retry: {on: 5xx, times: 1}}}]")
    assert isinstance(step, RequestStep)
    assert step.expect == OK | {304}
    assert step.refused == {404}
    assert step.retry == Retry(frozenset(range(500, 600)), 1, None)


def test_the_wait_before_a_retry_is_what_the_answer_says_or_a_time() -> None:
    said, _ = steps(
        "[{a: {to: shop, get: /x, retry: {on: 429, times: 2, after: retry-after}}}, "
        "{b: {to: shop, get: /x, retry: {on: 429, times: 2, after: 0}}}]"
    )
    assert isinstance(said, RequestStep)
    assert said.retry == Retry(frozenset({429}), 2, None)
    assert isinstance(_, RequestStep)
    assert _.retry == Retry(frozenset({429}), 2, 0)


def test_a_pause_of_one_length() -> None:
    assert steps("[{think: 1m}, {a: {to: shop, get: /x}}, {think: 0}]")[::2] == (Think(60 * S, 60 * S), Think(0, 0))


def test_scenarios_that_make_journeys() -> None:
    scenarios = load(GOOD).config.scenarios
    mixed, arrivals, beat = scenarios["mixed"], scenarios["arrivals"], scenarios["beat"]
    assert mixed.journeys == {"order": 3, "work": 1}
    assert (mixed.producer, mixed.events, mixed.think, mixed.every, mixed.closed) == ("", {}, (S, S), None, True)
    assert users_of(mixed.load) == [(0, 10 * S, 0, 5), (10 * S, 310 * S, 5, 5)]
    assert iterations_of(mixed.load) == 100
    assert (arrivals.journeys, arrivals.closed, arrivals.think) == ({"work": 1}, False, None)
    assert (beat.journeys, beat.producer, beat.events) == ({}, "bus", {"alive": 1})
    paced = load(GOOD.replace("    think: 1s", "    every: 5s", 1)).config.scenarios["mixed"]
    assert (paced.think, paced.every) == (None, 5 * S)
    ranged = load(GOOD.replace("    think: 1s", "    think: 500ms..3s", 1)).config.scenarios["mixed"]
    assert ranged.think == (500 * MS, 3 * S)


def test_what_a_scenario_sends_and_to_whom() -> None:
    config = load(GOOD).config
    assert config.producers_of(config.scenarios["mixed"]) == ["shop", "bus"]
    assert config.producers_of(config.scenarios["beat"]) == ["bus"]
    assert config.events_of("beat") == ["alive"]
    assert config.events_of("mixed") == [
        "order.register", "order.create", "order.placed", "order.paid", "order.credit", "order.ship", "order.look",
        "order.again", "order.close", "order.login", "order.logout", "work.do",
    ]  # fmt: skip


def test_a_config_without_journeys_has_none() -> None:
    text = "producers: {p: {kind: http, url: 'http://x/'}}\nevents: {e: {type: t, source: s}}\n"
    text += "scenarios: {s: {producer: p, events: [e], load: [{burst: 1}]}}\n"
    assert load(text).config.journeys == {}


def test_a_journey_that_no_scenario_makes_is_read_and_checked_all_the_same() -> None:
    idle = "  idle:\n    steps: [{a: {to: shop, get: '/{who}'}}]\nscenarios:"
    (line,) = lines_of(GOOD.replace("scenarios:", idle, 1))
    assert "unknown placeholder {who}" in line
    assert "idle" in journeys(GOOD.replace("scenarios:", idle.replace("{who}", ""), 1))


def test_names_are_known_behind_the_step_that_captures_them_on_every_way() -> None:
    first = "{a: {to: shop, get: /a, refused: 404, capture: {x: body.x}, else: [%s{continue: true}]}}"
    again = "{b: {to: shop, get: /b, capture: {x: body.x}}}, "
    assert steps(f"[{first % again}, {{c: {{to: shop, get: '/{{x}}'}}}}]")
    with pytest.raises(
        ConfigError, match=r"\{x\} is known from step 'a' on, and this may be done before that, or wi"
    ):
        steps(f"[{first % ''}, {{c: {{to: shop, get: '/{{x}}'}}}}]")
    ends = first.replace("{continue: true}", "{d: {to: shop, get: /d}}") % ""
    assert steps(f"[{ends}, {{c: {{to: shop, get: '/{{x}}'}}}}]")


def test_a_step_knows_what_it_takes_and_gives_what_it_captures() -> None:
    assert steps(
        "[{a: {to: shop, get: '/{j}', take: {j: jobs}, capture: {x: vars.j}, give: {jobs: '{x}{j}{step}'}}}]"
    )
    assert steps("[{a: {to: shop, get: /x}}, {b: {to: shop, get: '/{j}', take: {j: jobs}}}]")
    with pytest.raises(ConfigError, match=r"\{x\} is known from step 'a' on"):
        steps("[{a: {to: shop, get: '/{x}', capture: {x: body.x}}}]")


def test_what_the_set_up_captures_and_generators_are_known_everywhere() -> None:
    text = "/{tenant}/{uuid}/{int:1..3}/{now+1h}/{run_id}/{correlation_id}/{seq:06}/{user}/{iteration}/{step}/{{no}}"
    assert steps(f"[{{a: {{to: shop, get: '{text}'}}}}]")
    assert placeholders(text)[:3] == ["tenant", "uuid", "int:1..3"]
    assert "no" not in placeholders(text)


def test_variables_of_events_are_those_that_every_step_knows_that_sends_them() -> None:
    sent = "[{a: {to: bus, event: order-placed}}]"
    with pytest.raises(ConfigError, match=r":6:69: unknown placeholder \{order\}"):
        steps(sent)
    assert steps("[{b: {to: shop, get: /x, capture: {order: body.id}}}, {a: {to: bus, event: order-placed}}]")


def test_events_may_ask_for_whose_they_are() -> None:
    text = GOOD.replace('{order: "{order}"}', '{order: "{order}", of: "{user} {iteration} {step} {mail}"}')
    assert load(text).config.events["order-placed"].data == {
        "order": "{order}",
        "of": "{user} {iteration} {step} {mail}",
    }


def test_passwords_that_are_written_out_are_in_no_file_of_a_run() -> None:
    text = GOOD.replace('{user: "u{user}"}', '{user: "u{user}", password: correct-horse}')
    loaded = load(text)
    assert loaded.config.journeys["order"].begin[0].json["password"] == "correct-horse"  # type: ignore[union-attr]
    assert "correct-horse" not in loaded.as_run()
    assert loaded.redact("no correct-horse here") == "no ${JOURNEYS_ORDER_BEGIN_0_LOGIN_JSON_PASSWORD} here"


def test_the_config_as_run_loads_to_the_same() -> None:
    assert journeys(load(GOOD).as_run()) == journeys(GOOD)


def test_how_much_one_iteration_sends_at_most() -> None:
    read = journeys(GOOD)
    # register, create, placed, one branch, ship and look, again four times; close; login and logout
    assert most_sent(read["order"]) == 1 + 1 + 1 + 1 + 2 + 4 + 1 + 2
    assert most_sent(read["work"]) == 1
