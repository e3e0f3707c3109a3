"""Journeys step by step: what is sent when, what an answer makes of an iteration, and that every one is told of."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.model.iteration import End
from evload.model.states import Outcome
from evload.model.travel import Try
from evload.workload.events import EventSettings
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
    WaitStep,
)
from evload.workload.schedule import Hold
from tests.rigs.journeys import MS, NOTHING, UNSENT, S, Said, Sent, World


def ask(name: str, path: str = "/x", method: str = "GET", **more: Any) -> RequestStep:
    return RequestStep(name, "shop", method, path, **more)


def post(name: str, json: Any, **more: Any) -> RequestStep:
    return ask(name, "/x", "POST", json=json, has_json=True, **more)


def journey(*steps: Step, **more: Any) -> dict[str, JourneySettings]:
    return {"order": JourneySettings(steps, **more)}


def hold(rate: str, lasts: str) -> list[Hold]:
    return [Hold.model_validate({"rate": rate, "for": lasts})]


ONCE = hold("1/s", "1s")
ORDER = Capture("body.id")


def ids(sent: Sent) -> Said:
    """Answers with an id of its own, and a total."""
    return Said(201 if sent.method == "POST" else 200, {"id": f"o{sent.seq}", "total": 9.5, "ok": True})


# -- steps one after another ---------------------------------------------------------------------------------


def test_what_one_answer_holds_is_in_the_requests_after_it() -> None:
    world = World(
        journey(
            post("create", {"qty": "{qty}"}, capture={"order": ORDER, "total": Capture("body.total")}),
            post("pay", {"order": "{order}", "amount": "{total}", "said": "pay {total}"}),
            ask("look", "/orders/{order}", query={"of": "{order}", "a b": "c&d"}),
            vars={"qty": "{int:1..3}"},
        ),
        ids,
        load=ONCE,
    )
    world.run()
    create, pay, look = world.sent
    assert create.json in ({"qty": 1}, {"qty": 2}, {"qty": 3})
    assert pay.json == {"order": "o0", "amount": 9.5, "said": "pay 9.5"}
    assert look.target == "/orders/o0?of=o0&a+b=c%26d"
    assert [sent.due_ns for sent in world.sent] == [0, 10 * MS, 20 * MS]
    (over,) = world.over
    assert (over.end, over.started_ns, over.ended_ns, over.step, over.reason) == (End.COMPLETED, 0, 30 * MS, "", "")
    assert [receipt.facts for receipt in world.receipts] == [
        {"status": status, "answer": 1, "iteration": 0} for status in (201, 201, 200)
    ]


def test_bodies_and_their_types() -> None:
    world = World(
        journey(
            ask("form", method="POST", form={"name": "{who}", "a b": "c"}),
            ask("text", method="PUT", body="{who}!"),
            ask("own", method="POST", body="<a/>", headers={"Content-Type": "text/xml", "X-Key": "{who}"}),
            ask("none"),
            vars={"who": "Ä & Ö"},
        ),
        load=ONCE,
    )
    world.run()
    assert [(sent.body, sent.headers) for sent in world.sent] == [
        ("name=%C3%84+%26+%C3%96&a+b=c", {"content-type": "application/x-www-form-urlencoded"}),
        ("Ä & Ö!", {"content-type": "text/plain; charset=utf-8"}),
        ("<a/>", {"Content-Type": "text/xml", "X-Key": "Ä & Ö"}),
        ("", {}),
    ]


def test_an_event_knows_what_was_captured() -> None:
    events = {
        "placed": EventSettings(type="order.placed", source="test", data={"order": "{order}", "n": "{int:1..9}"})
    }
    world = World(
        journey(post("create", {}, capture={"order": ORDER}), EventStep("placed", "bus", "placed"), ask("after")),
        ids,
        load=ONCE,
        events=events,
    )
    world.run()
    assert [sent.producer for sent in world.sent] == ["shop", "bus", "shop"]
    assert world.sent[1].json["order"] == "o0"
    assert world.ends == ["completed"]


def test_what_setup_captured_is_known() -> None:
    world = World(journey(ask("look", "/tenants/{tenant}")), load=ONCE, captured={"tenant": "t-1"})
    world.run()
    assert world.sent[0].target == "/tenants/t-1"


def test_thinking_takes_its_time() -> None:
    world = World(
        journey(ask("a"), Think(500 * MS, 2 * S), ask("b"), Think(S, S), ask("c")), load=hold("10/s", "10s")
    )
    world.run()
    pauses = []
    for number in range(100):
        a, b, c = (sent for sent in world.sent if sent.due_ns >= 0 and sent.seq in _seqs_of(world, number))
        pauses.append(b.due_ns - a.due_ns - 10 * MS)
        assert c.due_ns - b.due_ns == S + 10 * MS
    assert all(500 * MS <= pause <= 2 * S for pause in pauses)
    assert max(pauses) > 1900 * MS
    assert min(pauses) < 600 * MS


def _seqs_of(world: World, iteration: int) -> set[int]:
    return {receipt.seq for receipt in world.receipts if (receipt.facts or {}).get("iteration") == iteration}


def test_a_branch_is_taken_as_often_as_its_weight_says() -> None:
    branches = Choose((Branch(70, (ask("yes"),)), Branch(30, (ask("no"), ask("release")))))
    world = World(journey(branches, ask("last")), load=hold("100/s", "20s"))
    world.run()
    steps = Counter(world.steps)
    assert steps["last"] == 2000
    assert steps["yes"] + steps["no"] == 2000
    assert steps["no"] == steps["release"]
    assert 1330 <= steps["yes"] <= 1470
    assert world.ends == ["completed"] * 2000


# -- what an answer makes of an iteration --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "step", "reason"),
    [
        (Said(500), {}, "HTTP 500"),
        (NOTHING, {}, "no answer within 1 s"),
        (Said(200, {}), {"capture": {"order": ORDER}}, "capture order: body.id found nothing"),
        (Said(200, ...), {"capture": {"order": ORDER}}, "capture order: the body isn't JSON"),
        (Said(200, {"ok": False}), {"check": {"is ok": "body.ok"}}, "check is ok"),
        (Said(200, {}), {"check": {"is ok": "body.ok"}}, "check is ok"),
        (Said(200, ...), {"check": {"is ok": "body.ok"}}, "check is ok"),
        (Said(200, {"n": "3"}), {"check": {"few": "abs(body.n) < `3`"}}, "check few"),
        (Said(404), {"expect": frozenset({200}), "refused": frozenset({409})}, "HTTP 404"),
    ],
)
def test_what_is_neither_ok_nor_a_legitimate_no_is_failed(said: Said, step: dict[str, Any], reason: str) -> None:
    world = World(journey(ask("a", **step), ask("b")), lambda sent: said, load=ONCE)
    world.run()
    assert world.steps == ["a"]
    (over,) = world.over
    assert (over.end, over.step, over.reason) == (End.FAILED, "a", reason)
    assert world.receipts[0].facts is not None
    assert world.receipts[0].facts["answer"] == 3


@pytest.mark.parametrize("value", [0, "", [], {}, "false", 1, True])
def test_a_check_that_is_neither_false_nor_null_is_passed(value: Any) -> None:
    world = World(journey(ask("a", check={"c": "body.v"})), lambda sent: Said(200, {"v": value}), load=ONCE)
    world.run()
    assert world.ends == ["completed"]


def test_a_check_may_hold_an_answer_against_what_was_captured() -> None:
    step = ask("again", check={"same": "body.id == vars.order", "all": "@.status == `201` || status == `200`"})
    world = World(journey(post("create", {}, capture={"order": ORDER}), step), ids, load=ONCE)
    world.run()
    (over,) = world.over
    assert (over.end, over.failed_checks, over.reason) == (End.FAILED, ("same",), "check same")
    assert over.checks == (("again: same", False), ("again: all", True))


@pytest.mark.parametrize(
    ("more", "steps", "end"),
    [
        ({}, ["ship", "close"], "refused"),
        ({"else_": (ask("look"), ask("sigh"))}, ["ship", "look", "sigh", "close"], "refused"),
        ({"else_": (ask("look"), Continue())}, ["ship", "look", "after", "close"], "completed"),
        ({"else_": (Continue(),)}, ["ship", "after", "close"], "completed"),
    ],
)
def test_a_legitimate_no(more: dict[str, Any], steps: list[str], end: str) -> None:
    ship = ask("ship", method="PUT", refused=frozenset({409}), **more)
    world = World(
        journey(ship, ask("after"), finally_=(ask("close"),)),
        lambda sent: Said(409 if sent.step == "ship" else 200),
        load=ONCE,
    )
    world.run()
    assert (world.steps, world.ends) == (steps, [end])
    (over,) = world.over
    assert (over.step, over.reason) == (("ship", "HTTP 409") if end == "refused" else ("", ""))
    assert [(receipt.facts or {})["answer"] for receipt in world.receipts] == [2] + [1] * (len(steps) - 1)


def test_what_fails_after_a_no_fails_the_iteration() -> None:
    ship = ask("ship", refused=frozenset({409}), else_=(ask("look"),))
    answers = {"ship": 409, "look": 500}
    world = World(journey(ship), lambda sent: Said(answers[sent.step]), load=ONCE)
    world.run()
    assert [(one.end, one.step) for one in world.over] == [(End.FAILED, "look")]


# -- what is done finally ------------------------------------------------------------------------------------


def test_what_is_done_finally_is_done_after_a_failure_where_its_names_are_known() -> None:
    finally_ = (ask("close", "/orders/{order}"), ask("tidy"))
    steps = (post("create", {}, capture={"order": ORDER}), ask("pay"))
    early = World(
        journey(*steps, finally_=finally_), lambda sent: Said(500 if sent.step == "create" else 200), load=ONCE
    )
    early.run()
    late = World(
        journey(*steps, finally_=finally_),
        lambda sent: Said(500) if sent.step == "pay" else ids(sent),
        load=ONCE,
    )
    late.run()
    assert (early.steps, early.ends) == (["create", "tidy"], ["failed"])
    assert (late.steps, late.ends) == (["create", "pay", "close", "tidy"], ["failed"])
    assert late.over[0].step == "pay"


def test_a_failure_in_what_is_done_finally() -> None:
    world = World(
        journey(ask("a"), finally_=(ask("close"), ask("tidy"))),
        lambda sent: Said(500 if sent.step == "close" else 200),
        load=ONCE,
    )
    world.run()
    assert world.steps == ["a", "close", "tidy"]
    assert [(one.end, one.step, one.reason) for one in world.over] == [(End.FAILED, "close", "HTTP 500")]


def test_the_time_of_a_journey_ends_with_its_last_step_and_not_with_what_is_done_finally() -> None:
    world = World(journey(ask("a"), ask("b"), finally_=(ask("close"),)), load=ONCE)
    world.run()
    assert world.over[0].ended_ns == 20 * MS


def test_what_was_never_captured_on_this_way_fails_the_iteration() -> None:
    branches = Choose((Branch(1, (ask("no"),)),))
    world = World(journey(branches, ask("use", "/{order}"), ask("made", capture={"order": ORDER})), load=ONCE)
    world.run()
    assert [(one.end, one.step, one.reason) for one in world.over] == [
        (End.FAILED, "use", "nothing was captured for {order}")
    ]


# -- trying again --------------------------------------------------------------------------------------------


def test_what_is_sent_again_is_one_event_with_its_last_answer() -> None:
    answers = [Said(503), Said(429, headers={"retry-after": "3"}), Said(200)]
    step = ask("pay", retry=Retry(frozenset({429, 503}), 3, None))
    world = World(journey(step, ask("after")), lambda sent: answers.pop(0) if answers else Said(), load=ONCE)
    world.run()
    assert world.steps == ["pay", "pay", "pay", "after"]
    assert len({sent.seq for sent in world.sent[:3]}) == 1
    assert [sent.at_ns for sent in world.sent] == [0, 1010 * MS, 4020 * MS, 4030 * MS]
    first, second = world.receipts
    told = {"status": 200, "answer": 1, "iteration": 0}
    tries = (Try(0, 10 * MS, 503), Try(1010 * MS, 1020 * MS, 429), Try(4020 * MS, 4030 * MS, 200))
    again = {"retried": 2, "tries": tries}
    assert (first.sent_ns, first.acked_ns, first.facts) == (0, 4030 * MS, told | again)
    assert second.facts == told
    assert world.ends == ["completed"]


@pytest.mark.parametrize("end", [503, 500])
def test_the_last_answer_counts_where_all_are_used_up(end: int) -> None:
    answers = [Said(503), Said(503), Said(end), Said(200)]
    step = ask("pay", retry=Retry(frozenset({503}), 2, 100 * MS))
    world = World(journey(step), lambda sent: answers.pop(0), load=ONCE)
    world.run()
    assert [sent.at_ns for sent in world.sent] == [0, 110 * MS, 220 * MS]
    assert [(one.end, one.reason) for one in world.over] == [(End.FAILED, f"HTTP {end}")]


def test_a_step_that_may_be_sent_again_and_is_not_has_no_tries() -> None:
    world = World(journey(ask("pay", retry=Retry(frozenset({503}), 2, 100 * MS))), load=ONCE)
    world.run()
    assert [receipt.facts for receipt in world.receipts] == [{"status": 200, "answer": 1, "iteration": 0}]


def test_a_last_try_without_an_answer_leaves_the_step_in_doubt_and_the_answers_before_in_its_tries() -> None:
    answers = [Said(503), NOTHING]
    step = ask("pay", retry=Retry(frozenset({503}), 2, 100 * MS))
    world = World(journey(step), lambda sent: answers.pop(0), load=ONCE)
    world.run()
    (receipt,) = world.receipts
    assert (receipt.outcome, receipt.sent_ns, receipt.acked_ns) == (Outcome.IN_DOUBT, 0, None)
    tries = (Try(0, 10 * MS, 503), Try(110 * MS, None, None))
    assert receipt.facts == {"answer": 3, "iteration": 0, "retried": 1, "tries": tries}


@pytest.mark.parametrize(
    ("refused", "outcome", "end", "detail"),
    [
        ((), Outcome.REJECTED, End.FAILED, "HTTP 503; not sent again: connection refused"),
        ((503,), Outcome.ACCEPTED, End.REFUSED, "not sent again: connection refused"),
    ],
)
def test_where_it_cannot_be_sent_again_the_answer_before_is_the_last(
    refused: tuple[int, ...], outcome: Outcome, end: End, detail: str
) -> None:
    answers = [Said(503), UNSENT]
    step = ask("pay", retry=Retry(frozenset({503}), 2, 100 * MS), refused=frozenset(refused))
    world = World(journey(step), lambda sent: answers.pop(0), load=ONCE)
    world.run()
    (receipt,) = world.receipts
    assert (receipt.outcome, receipt.sent_ns, receipt.acked_ns, receipt.detail) == (outcome, 0, 10 * MS, detail)
    assert receipt.facts == {"status": 503, "answer": 2 if refused else 3, "iteration": 0}
    assert [one.end for one in world.over] == [end]
    assert answers == []


# -- users ---------------------------------------------------------------------------------------------------


def test_a_user_goes_on_when_the_last_iteration_is_over() -> None:
    world = World(journey(ask("a"), ask("b")), ramps=[(0, S, 2, 2)], think=(80 * MS, 80 * MS))
    world.run()
    assert [(one.user, one.intended_ns) for one in world.over] == [
        (user, 100 * MS * n) for n in range(10) for user in range(2)
    ]
    assert world.room.done
    assert world.room.users == 0


def test_users_come_and_go_one_by_one() -> None:
    ramps = [(0, 4 * S, 0, 4), (4 * S, 5 * S, 4, 4), (5 * S, 7 * S, 4, 0)]
    world = World(journey(ask("a")), ramps=ramps, think=(90 * MS, 90 * MS))
    there = []
    for at_ns in (500 * MS, 2500 * MS, 4500 * MS, 6200 * MS):
        world.run(at_ns)
        there.append(world.room.users)
    assert there == [1, 3, 4, 2]
    world.run()
    for user, (first, last) in enumerate([(0, 7 * S), (S, 6500 * MS), (2 * S, 6 * S), (3 * S, 5500 * MS)]):
        own = [one.intended_ns for one in world.over if one.user == user]
        assert own[0] == first
        assert last - 100 * MS <= own[-1] < last


def test_a_fixed_pace_counts_from_the_clock_and_not_from_the_last_answer() -> None:
    slow = {2: 3500 * MS}
    world = World(
        journey(ask("a")),
        lambda sent: Said(after_ns=slow.get(sent.seq, 10 * MS)),
        ramps=[(0, 10 * S, 1, 1)],
        every_ns=S,
    )
    world.run()
    assert [one.intended_ns for one in world.over] == [n * S for n in range(10)]
    assert [sent.at_ns for sent in world.sent][:7] == [0, S, 2 * S, 5500 * MS, 5510 * MS, 5520 * MS, 6 * S]
    assert [sent.due_ns for sent in world.sent][3:6] == [3 * S, 4 * S, 5 * S]
    assert {sent.own_ns for sent in world.sent} == {0}, "the target kept the user busy"


def test_where_evload_itself_stands_still_what_it_delays_at_a_fixed_pace_is_its_own() -> None:
    world = World(journey(ask("a"), ask("b")), ramps=[(0, 10 * S, 1, 1)], every_ns=S)
    world.run(2900 * MS)
    world.now_ns = 5500 * MS
    world.run()
    sent = [(one.due_ns // MS, one.own_ns // MS) for one in world.sent][6:14]
    # Two steps of 10 ms each: the iteration due at 4 s would have been in time, had the one before.
    assert sent == [(3000, 2500), (5510, 0), (4000, 1520), (5530, 0), (5000, 540), (5550, 0), (6000, 0), (6010, 0)]


def test_what_was_due_before_a_user_left_and_not_begun_is_told() -> None:
    world = World(
        journey(ask("a")),
        lambda sent: Said(after_ns=10 * MS if sent.seq < 7 else 60 * S),
        ramps=[(0, 10 * S, 1, 1)],
        every_ns=S,
    )
    world.run()
    assert Counter(world.ends) == {"completed": 8, "unsent": 2}
    assert sorted(one.intended_ns for one in world.over) == [n * S for n in range(10)]


def test_no_more_iterations_than_are_wanted() -> None:
    closed = World(journey(ask("a")), ramps=[(0, 60 * S, 3, 3)], iterations=10)
    closed.run()
    opened = World(journey(ask("a")), load=hold("100/s", "10s"), iterations=10)
    opened.run()
    assert (len(closed.over), len(opened.over)) == (10, 10)
    assert closed.room.done
    assert opened.room.done


def test_what_a_user_begins_and_ends_with() -> None:
    login = post("login", {"user": "{user}"}, capture={"token": Capture("body.id")})
    world = World(
        journey(ask("a", "/{token}"), begin=(login,), end=(ask("logout", "/{token}"),)),
        ids,
        ramps=[(0, S, 2, 2)],
        think=(390 * MS, 390 * MS),
    )
    world.run()
    steps = Counter(world.steps)
    assert steps["login"] == steps["logout"] == 2
    assert steps["a"] == len(world.over) == 6
    mine = {sent.json["user"]: f"o{sent.seq}" for sent in world.sent if sent.step == "login"}
    assert {sent.target for sent in world.sent if sent.step in ("a", "logout")} == {f"/{mine[0]}", f"/{mine[1]}"}
    logouts = [receipt.facts for receipt in world.receipts if world.sent[receipt.seq].step == "logout"]
    assert logouts == [{"status": 200, "answer": 1}] * 2


def test_variables_are_drawn_for_each_iteration_also_of_a_user_who_has_begun() -> None:
    login = ask("login", capture={"token": ORDER})
    steps = post("pay", {"key": "{key}", "n": "{iteration}", "token": "{token}"})
    world = World(
        journey(steps, begin=(login,), vars={"key": "{uuid}"}), ids, ramps=[(0, S, 2, 2)], think=(190 * MS, 190 * MS)
    )
    world.run()
    paid = [sent.json for sent in world.sent if sent.step == "pay"]
    assert [one["n"] for one in paid] == [*range(len(paid))]
    assert len({one["key"] for one in paid}) == len(paid) == 10
    assert len({one["token"] for one in paid}) == 2


def test_a_user_that_cannot_begin_tries_again_with_the_next_iteration() -> None:
    world = World(
        journey(ask("a"), begin=(ask("login"),)),
        lambda sent: Said(500 if sent.seq < 2 else 200),
        ramps=[(0, S, 1, 1)],
        think=(190 * MS, 190 * MS),
    )
    world.run()
    assert world.steps[:5] == ["login", "login", "login", "a", "a"]
    assert world.ends[:4] == ["failed", "failed", "completed", "completed"]


def test_journeys_are_chosen_by_their_weights() -> None:
    both = {"buy": JourneySettings((ask("pay"),)), "browse": JourneySettings((ask("look"),))}
    world = World(both, load=hold("100/s", "20s"), weights=[3, 7])
    world.run()
    assert 540 <= Counter(world.steps)["pay"] <= 660
    assert {(one.journey, world.types[one.journey]) for one in world.over} == {(0, "buy.pay"), (1, "browse.look")}


# -- what journeys give to one another -----------------------------------------------------------------------


def given_and_taken(**more: Any) -> dict[str, JourneySettings]:
    submit = post("submit", {}, capture={"job": ORDER}, give={"jobs": "{job}"})
    fetch = ask("fetch", "/jobs/{job}", take={"job": "jobs"}, **more)
    return {
        "submit": JourneySettings((submit,)),
        "fetch": JourneySettings((ask("hello"), fetch) if more else (fetch,)),
    }


def test_what_is_given_is_taken_once() -> None:
    world = World(given_and_taken(), ids, ramps=[(0, 10 * S, 4, 4)], think=(S, S))
    world.run()
    made = [f"/jobs/o{sent.seq}" for sent in world.sent if sent.step == "submit"]
    fetched = [sent.target for sent in world.sent if sent.step == "fetch"]
    assert len(fetched) == len(set(fetched)) > 5
    assert set(fetched) <= set(made)
    assert world.pools.left("jobs") == len(made) - len(fetched)


def test_an_iteration_without_what_it_takes_is_not_begun() -> None:
    alone = {"fetch": given_and_taken()["fetch"]}
    world = World(alone, load=hold("1/s", "3s"))
    world.run()
    assert world.sent == []
    assert [(one.end, one.started_ns, one.reason) for one in world.over] == [
        (End.STARVED, None, "nothing came into jobs within 10 s")
    ] * 3
    assert world.now_ns == 12 * S
    assert world.room.started == 0


def test_one_that_was_begun_and_gets_nothing_fails() -> None:
    alone = {"fetch": given_and_taken(within=2 * S)["fetch"]}
    world = World(alone, load=ONCE)
    world.run()
    assert [(one.end, one.step, one.reason) for one in world.over] == [
        (End.FAILED, "fetch", "nothing came into jobs within 2 s")
    ]


def test_whoever_waits_goes_on_when_something_comes() -> None:
    alone = {"fetch": given_and_taken()["fetch"]}
    world = World(alone, load=ONCE)
    world.run(5 * S)
    world.now_ns = 5 * S
    world.pools.give("jobs", {"n": 7}, 5 * S)
    world.run()
    assert [sent.target for sent in world.sent] == ['/jobs/{"n":7}']
    assert world.ends == ["completed"]
    assert world.sent[0].due_ns == 5 * S, "it couldn't be sent before"
    assert (world.over[0].intended_ns, world.over[0].started_ns) == (0, 5 * S)


# -- waiting ---------------------------------------------------------------------------------------------------


def waiting(**more: Any) -> WaitStep:
    return WaitStep("seen", "view", "{order}", capture={"invoice": Capture("body.invoice")}, **more)


CREATE = post("create", {}, capture={"order": ORDER})


def test_whoever_waits_goes_on_when_it_is_shown() -> None:
    world = World(
        journey(CREATE, waiting(), ask("use", "/{invoice}")),
        ids,
        load=ONCE,
        showing=lambda sent: Said(body={"invoice": 7}, after_ns=700 * MS),
    )
    world.run()
    _, seen, use = world.sent
    assert (seen.producer, seen.body, seen.due_ns) == ("", "o0", 10 * MS)
    assert (use.target, use.due_ns) == ("/7", 710 * MS)
    assert (world.ends, world.over[0].ended_ns) == (["completed"], 720 * MS)


@pytest.mark.parametrize(
    ("more", "steps", "ends"),
    [
        ({}, ["create", "seen", "close"], ["failed"]),
        ({"on_failed": (ask("tell"),)}, ["create", "seen", "tell", "close"], ["failed"]),
        ({"on_failed": (ask("tell"), Continue())}, ["create", "seen", "tell", "after", "close"], ["completed"]),
    ],
)
def test_what_is_not_shown_in_time(more: dict[str, Any], steps: list[str], ends: list[str]) -> None:
    world = World(
        journey(CREATE, waiting(**more), ask("after"), finally_=(ask("close"),)),
        ids,
        load=ONCE,
        showing=lambda _: None,
    )
    world.run()
    assert (world.steps, world.ends) == (steps, ends)
    reason = "it wasn't seen within 10 s" if ends == ["failed"] else ""
    assert (world.over[0].reason, world.over[0].step) == (reason, "seen" if reason else "")


def test_an_answer_without_what_is_to_be_captured_fails_the_iteration() -> None:
    world = World(journey(CREATE, waiting(), ask("after")), ids, load=ONCE, showing=lambda _: Said(body={}))
    world.run()
    assert [(one.end, one.step, one.reason) for one in world.over] == [
        (End.FAILED, "seen", "capture invoice: it found nothing")
    ]


def test_a_wait_is_cut_off_when_the_run_is_stopped() -> None:
    world = World(journey(CREATE, waiting()), ids, load=ONCE, showing=lambda _: None)
    world.run(stop_ns=2 * S)
    assert world.ends == ["cut_off"]
    assert world.room.done


def test_whoever_waits_for_it_to_be_gone_tells_whether_a_probe_had_shown_it_before() -> None:
    """To the same iteration, that probe, by that id, and not gone since."""

    def going(name: str, of: str = "{order}", probe: str = "view") -> WaitStep:
        return WaitStep(name, probe, of, kind="gone")

    none = WaitStep("none", "view", "{order}", kind="absent")
    seen = WaitStep("seen", "view", "{order}")
    steps = (
        CREATE,
        going("before"),
        none,
        going("still"),
        seen,
        going("other", "x{order}"),
        going("elsewhere", probe="t"),
    )
    world = World(journey(*steps, going("gone"), going("again")), ids, load=hold("1/s", "2s"))
    world.run()
    assert world.ends == ["completed", "completed"]
    told = [(sent.step, sent.shown) for sent in world.sent if sent.step not in ("create", "seen", "none")]
    once = [
        ("before", False), ("still", False), ("other", False), ("elsewhere", False), ("gone", True), ("again", False)
    ]  # fmt: skip
    assert told == once * 2


# -- stopping ------------------------------------------------------------------------------------------------


def test_what_is_stopped_is_told_of_to_the_last_iteration() -> None:
    world = World(
        journey(ask("a"), Think(300 * MS, 300 * MS), ask("b"), ask("c"), finally_=(ask("close"),)),
        load=hold("10/s", "10s"),
    )
    world.run(stop_ns=2005 * MS)
    ends = Counter(world.ends)
    assert ends == {"completed": 17, "cut_off": 4}
    assert world.room.done
    assert len(world.receipts) == len(world.sent)
    assert max(sent.at_ns for sent in world.sent) <= 2005 * MS
    (cut,) = {one.reason for one in world.over if one.end is End.CUT_OFF}
    assert cut == "the run was stopped"


def test_what_waits_to_be_sent_again_has_its_last_answer() -> None:
    step = ask("pay", retry=Retry(frozenset({503}), 9, 10 * S))
    world = World(journey(step), lambda sent: Said(503), load=ONCE)
    world.run(stop_ns=5 * S)
    assert [receipt.facts for receipt in world.receipts] == [{"status": 503, "answer": 3, "iteration": 0}]
    assert world.ends == ["cut_off"]
    assert world.room.done


# -- secrets -------------------------------------------------------------------------------------------------


def test_a_captured_secret_is_in_no_reason() -> None:
    login = ask("login", capture={"token": Capture("body.id", secret=True)})
    failing = ask("use", "/{token}", check={"c": "body.no"})
    world = World(journey(login, failing), lambda sent: Said(200, {"id": "s3cret-o1"}), load=ONCE)
    world.run()
    other = World(journey(login, ask("use", capture={"x": Capture("floor(body.id)")})), ids, load=ONCE)
    other.run()
    assert "o0" not in other.over[0].reason.replace("body", "")
    assert world.sent[1].target == "/s3cret-o1"


# -- what is drawn -------------------------------------------------------------------------------------------


DRAWING = journey(
    post("create", {"key": "{uuid}", "n": "{n}", "mail": "{mail}"}),
    Think(10 * MS, 500 * MS),
    Choose((Branch(1, (post("yes", {"h": "{hex:8}"}),)), Branch(1, (post("no", {"f": "{float:0.5..9.5}"}),)))),
    vars={"n": "{int:1..1000000}", "mail": "{fake:email}"},
)


def drawn(world: World) -> dict[int, list[tuple[str, str]]]:
    """What each user sent, in order."""
    found: dict[int, list[tuple[str, str]]] = {}
    user_of = {receipt.seq: (receipt.facts or {})["iteration"] for receipt in world.receipts}
    users = {one.number: one.user or 0 for one in world.over}
    for sent in world.sent:
        found.setdefault(users[user_of[sent.seq]], []).append((sent.step, sent.body))
    return found


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20), st.integers(0, 50))
def test_the_same_seed_sends_the_same_whatever_the_interleaving(delays: list[int], lag: int) -> None:
    def answering(sent: Sent) -> Said:
        return Said(after_ns=delays[sent.seq % len(delays)] * MS)

    plain = World(DRAWING, ramps=[(0, 2 * S, 3, 3)])
    plain.run()
    other = World(DRAWING, answering, ramps=[(0, 2 * S, 3, 3)], lag_ns=lag * MS)
    other.run()
    one, two = drawn(plain), drawn(other)
    for user in one:
        both = min(len(one[user]), len(two[user]))
        assert both > 0
        assert one[user][:both] == two[user][:both]


def test_another_seed_another_user_another_iteration() -> None:
    one, two = World(DRAWING, ramps=[(0, S, 2, 2)]), World(DRAWING, ramps=[(0, S, 2, 2)], seed="2")
    one.run()
    two.run()
    bodies = [sent.body for world in (one, two) for sent in world.sent]
    assert len(set(bodies)) == len(bodies)


# -- every iteration is told of, once ------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([200, 409, 500, 0]), min_size=1, max_size=12),
    st.lists(st.integers(0, 3000), min_size=1, max_size=7),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 6000)),
    st.booleans(),
)
def test_the_sums_close(statuses: list[int], delays: list[int], closed: bool, stop: int | None, paced: bool) -> None:
    steps = (
        ask("a", capture={"x": Capture("status")}),
        ask("b", refused=frozenset({409}), else_=(ask("c"),), retry=Retry(frozenset({500}), 1, 200 * MS)),
        Choose((Branch(1, (ask("d", give={"pool": "{x}"}),)), Branch(1, (ask("e", take={"y": "pool"}, within=S),)))),
        WaitStep("w", "view", "{x}", on_failed=(ask("h"), Continue())),
    )
    journeys = journey(*steps, finally_=(ask("f", "/{x}"),), begin=(ask("g"),) if closed else ())
    course: dict[str, Any] = {"load": hold("5/s", "4s")}
    if closed:
        course = {"ramps": [(0, 2 * S, 0, 3), (2 * S, 4 * S, 3, 1)]} | ({"every_ns": 700 * MS} if paced else {})

    def answering(sent: Sent) -> Said:
        status = statuses[sent.seq % len(statuses)]
        delay_ns = (delays[sent.seq % len(delays)] + 1) * MS
        return replace(Said(status or 200), after_ns=delay_ns) if status else NOTHING

    def showing(sent: Sent) -> Said | None:
        return answering(sent) if statuses[sent.seq % len(statuses)] else None

    world = World(journeys, answering, showing=showing, **course)
    world.run(stop_ns=None if stop is None else stop * MS)
    assert world.room.done
    assert len(world.receipts) == len({sent.seq for sent in world.sent if sent.producer})
    assert sorted(one.number for one in world.over) == list(range(len(world.over)))
    begun = [one for one in world.over if one.started_ns is not None]
    assert len(begun) == world.room.started
    assert {one.end for one in begun} <= {End.COMPLETED, End.REFUSED, End.FAILED, End.CUT_OFF}
    assert all(one.intended_ns <= (one.started_ns or 0) <= one.ended_ns for one in begun)
    if stop is None:
        assert End.CUT_OFF not in {one.end for one in world.over}
        if not closed:
            assert len(world.over) == 20


@pytest.mark.long
def test_eight_hours_of_two_hundred_users_take_no_more_memory_than_one_and_keep_their_pace() -> None:
    steps = (ask("a", "/{who}", capture={"x": Capture("status")}), Think(S, 3 * S), ask("b", "/{x}"))
    paced = World(journey(*steps, vars={"who": "u{user}"}), ramps=[(0, 8 * 3600 * S, 200, 200)], every_ns=20 * S)
    tracemalloc.start()
    sizes, due = [], []
    for hour in range(1, 9):
        paced.run(hour * 3600 * S - 1)
        due.append(len(paced.over))
        assert Counter(paced.ends).keys() == {"completed"}
        late = [sent.at_ns - sent.due_ns for sent in paced.sent]
        assert max(late) == 0
        for kept in (paced.sent, paced.over, paced.receipts):
            kept.clear()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert due == [200 * 180] * 8
    assert max(sizes) <= 1.05 * sizes[0]


# -- what producers remember -----------------------------------------------------------------------------------


def remembering(world: World) -> list[tuple[str, int, list[int]]]:
    """Of each request its step, for whom it is remembered, and what: the numbers of all before it."""
    told = []
    for at, sent in enumerate(world.sent):
        assert sent.memory is not None
        told.append((sent.step, id(sent.memory), list(sent.remembered)))
        assert at not in sent.remembered
    return told


def test_producers_remember_for_each_user_until_it_begins_anew() -> None:
    """Who can't begin tries again, and has nothing from before."""
    answers = {"login": [Said(503), Said(503), Said(200), Said(200)]}
    steps = JourneySettings((ask("a"),), begin=(ask("login"), ask("more")), end=(ask("logout"),))
    world = World(
        {"order": steps},
        lambda sent: answers[sent.step].pop(0) if sent.step in answers else Said(),
        ramps=[(0, S, 2, 2)],
        think=(290 * MS, 290 * MS),
    )
    world.run()
    told = remembering(world)
    by_user = {
        whose: [(step, len(before)) for step, of, before in told if of == whose]
        for whose in dict.fromkeys(whose for _, whose, _ in told)
    }
    once = [("login", 0), ("login", 0), ("more", 1), ("a", 2), ("a", 3), ("a", 4), ("logout", 5)]
    assert list(by_user.values()) == [once, once]


def test_in_open_load_they_remember_for_each_iteration() -> None:
    world = World(journey(ask("a"), ask("b")), load=hold("10/s", "1s"))
    world.run()
    assert [(step, len(before)) for step, _, before in remembering(world)] == [("a", 0), ("b", 1)] * 10
