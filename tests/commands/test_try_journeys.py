"""`evload try` of journeys: once through each, step by step, with what came of each capture and each check."""

from __future__ import annotations

import asyncio
import io
import json
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import pytest
from rich.console import Console

from evload.commands import trying
from evload.config import load_text
from evload.errors import UsageError
from tests.servers.httpserver import Request, Script, Server, Step, answer, json_answer, serving

TOP: Final = """\
producers:
  shop: {kind: http, url: "URL/api"}
probes:
  view: {kind: http, url: "URL/views/{capture}"}
journeys:
"""
SCENARIOS: Final = """\
scenarios:
  people: {journeys: [JOURNEYS], load: [{users: 3, for: 1h}], think: 1h}
"""


@dataclass
class Tried:
    """What was said, and what the system was asked."""

    code: int
    text: str
    remarks: list[str]
    asked: list[Request] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def journeys(self) -> dict[str, dict[str, Any]]:
        return {one["journey"]: one for one in self.document["journeys"]}

    @property
    def targets(self) -> list[str]:
        """What was asked for, in order."""
        return [f"{one.method} {one.target}" for one in self.asked]


def tried(
    journeys: str,
    answers: Callable[[Request], bytes | Step],
    *,
    scenarios: str = SCENARIOS,
    only: Sequence[str] = (),
    as_json: bool = True,
    more: str = "",
    top: str = TOP,
    wait: str | None = None,
) -> Tried:
    """Try them against a system that answers so."""
    text = io.StringIO()
    said: list[str] = []
    data: list[bytes] = []

    async def run() -> Tried:
        async with serving(lambda request: [answers(request)]) as server:
            names = ", ".join(line.strip().partition(":")[0] for line in journeys.splitlines() if line[2] != " ")
            config = (top + journeys + scenarios.replace("JOURNEYS", names) + more).replace("URL", server.url)
            loaded = load_text(config, "config.yaml", environ={})
            console = Console(file=text, width=200, no_color=True, force_terminal=False)
            code = await asyncio.to_thread(
                trying.run, loaded, console, journeys=only, wait=wait, say=said.append,
                document=data.append if as_json else None,
            )  # fmt: skip
            return Tried(code, data[0].decode() if data else text.getvalue(), said, server.requests)

    return asyncio.run(run())


def ok(document: Any, status: int = 200, *headers: str) -> bytes:
    return json_answer(json.dumps(document).encode(), status, *headers)


ORDER: Final = """\
  order:
    vars: {mail: "{uuid}@example.com"}
    begin:
      - login: {to: shop, post: /login, capture: {token: {from: body.token, secret: true}}}
    steps:
      - create:
          to: shop
          post: /orders
          json: {mail: "{mail}"}
          headers: {x-who: "{token}"}
          capture: {order: body.id, total: body.sum.total}
          give: {jobs: "{order}"}
      - seen:
          wait: view
          of: "{order}"
          until: "body.state == 'paid'"
          capture: {bill: body.bill, pin: {from: body.nr, secret: true}}
      - choose:
          - weight: 1000000
            steps:
              - pay:
                  to: shop
                  post: /pay
                  json: {pin: "{pin}"}
                  retry: {on: [503], times: 2, after: 10ms}
                  check: {same: "body.order == vars.order"}
          - {weight: 0.000001, steps: [{gift: {to: shop, post: /gift}}]}
      - ship:
          to: shop
          put: "/ship/{bill}"
          refused: [409]
          else: [{look: {to: shop, get: "/bills/{bill}"}}, {continue: true}]
    finally:
      - close: {to: shop, delete: "/orders/{order}"}
    end:
      - logout: {to: shop, post: /logout, headers: {x-who: "{token}"}}
"""


class Shop:
    """Answers as a shop that is well."""

    def __init__(self) -> None:
        self.looks = self.payments = 0

    def __call__(self, request: Request) -> bytes:
        match request.target.split("/"):
            case [_, "api", "login"]:
                return ok({"token": "tok-4711-abc"})
            case [_, "api", "orders"]:
                return ok({"id": "o-1", "sum": {"total": 12.5}}, 201)
            case [_, "views", "o-1"]:
                self.looks += 1
                if self.looks == 1:
                    return answer(404)
                return ok({"state": "paid" if self.looks > 2 else "new", "bill": 17, "nr": "99"})
            case [_, "api", "pay"]:
                self.payments += 1
                return answer(503) if self.payments < 3 else ok({"order": "o-1"})
            case [_, "api", "ship", "17"]:
                return ok({"why": "sold out"}, 409)
        return answer(204)


def test_a_journey_is_gone_through_once_with_all_that_is_asked_and_answered() -> None:
    out = tried(ORDER, Shop())
    assert (out.code, out.document["good"], out.document["events"]) == (0, True, [])
    order = out.journeys["order"]
    assert (order["scenario"], order["good"], order["end"], order["not_done"]) == (
        "people",
        True,
        "completed",
        ["gift"],
    )
    assert [(step["step"], step["part"], step["to"], step["said"]) for step in order["steps"]] == [
        ("login", "begin", "shop", "ok"), ("create", "steps", "shop", "ok"), ("seen", "steps", "view", "ok"),
        ("pay", "steps", "shop", "ok"), ("ship", "steps", "shop", "refused"), ("look", "steps", "shop", "ok"),
        ("close", "finally", "shop", "ok"), ("logout", "end", "shop", "ok"),
    ]  # fmt: skip
    steps = {step["step"]: step for step in order["steps"]}
    assert steps["create"]["captured"] == {"order": '"o-1"', "total": "12.5"}
    assert [(one["name"], one["expression"], one["value"]) for one in steps["create"]["found"]] == [
        ("capture order", "body.id", '"o-1"'), ("capture total", "body.sum.total", "12.5"),
    ]  # fmt: skip
    assert len(steps["pay"]["exchanges"]) == 3
    assert [one["value"] for one in steps["pay"]["found"]] == ["true"]
    assert [said["says"] for said in steps["seen"]["wait"]["answers"]] == ["absent", "absent", "present"]
    assert out.targets.count("POST /api/pay") == 3
    assert [target for target in out.targets if "/views/" not in target and "pay" not in target] == [
        "POST /api/login", "POST /api/orders", "PUT /api/ship/17", "GET /api/bills/17", "DELETE /api/orders/o-1",
        "POST /api/logout",
    ]  # fmt: skip


def test_the_same_for_a_person() -> None:
    out = tried(ORDER, Shop(), as_json=False)
    lines = out.text.splitlines()
    assert lines[0].startswith("order, a journey of people: completed after ")
    heads = [line.rpartition(":")[0] for line in lines if ", sent by " in line or ", waits for " in line]
    assert heads == [
        "login, sent by shop, once for each user", "create, sent by shop", "seen, waits for view to show o-1",
        "pay, sent by shop", "ship, sent by shop", "look, sent by shop", "close, sent by shop, finally",
        "logout, sent by shop, at the end of each user",
    ]  # fmt: skip
    assert "  POST /api/orders HTTP/1.1" in lines
    assert "  HTTP 201" in lines
    assert '  capture order: body.id  gives  "o-1"' in lines
    assert "  check same: body.order == vars.order  gives  true" in lines
    assert sum(line.startswith("sent again after ") for line in lines) == 2
    assert any(line.startswith("once, ") and "after it began: shows" in line for line in lines)
    assert lines[-3:] == ["not done: gift", "", "completed: 1 of 1 journeys"]
    assert "why" not in lines


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_captured_as_a_secret_is_shown_nowhere(as_json: bool) -> None:
    out = tried(ORDER, Shop(), as_json=as_json)
    assert "4711" not in out.text
    assert [one.headers["x-who"] for one in out.asked if "x-who" in one.headers] == ["tok-4711-abc"] * 2, "it is sent"
    if as_json:
        steps = {step["step"]: step for step in out.journeys["order"]["steps"]}
        assert steps["login"]["captured"] == {"token": "***"}
        assert [one["value"] for one in steps["login"]["found"]] == ["***"]
        assert steps["seen"]["captured"] == {"bill": "17", "pin": "***"}
        assert '"99"' not in json.dumps([answer["found"] for answer in steps["seen"]["wait"]["answers"]])
    else:
        lines = out.text.splitlines()
        assert "  capture token: body.token  gives  ***" in lines
        assert "  capture pin: body.nr  gives  ***" in lines


def test_a_user_who_can_not_end_is_told_though_the_journey_completed() -> None:
    shop = Shop()
    out = tried(ORDER, lambda request: answer(500) if request.target == "/api/logout" else shop(request))
    order = out.journeys["order"]
    assert (out.code, order["end"], order["good"]) == (1, "completed", False)
    shop = Shop()
    out = tried(
        ORDER, lambda request: answer(500) if request.target == "/api/logout" else shop(request), as_json=False
    )
    assert out.text.splitlines()[0].endswith(", and at the end of its user logout failed")


STEP: Final = "  one:\n    steps:\n      - do: {to: shop, post: /do, STEP}\n      - then: {to: shop, get: /then}\n"


@pytest.mark.parametrize(
    ("step", "said", "reason", "kind", "clue"),
    [
        (
            "capture: {order: body.id}", ok({"data": {"id": 7}}), "capture order: body.id found nothing", "envelope",
            "order doesn't hold: `body.id` is null, and the answer has it in `body.data.id`; "
            "write order: body.data.id",
        ),
        (
            "capture: {order: body.id}", ok({"code": 7}), "capture order: body.id found nothing", "value",
            "order doesn't hold: `body.id` is null; `body` has code",
        ),
        (
            "check: {paid: \"body.state == 'paid'\"}", ok({"state": "new"}), "check paid", "value",
            "paid doesn't hold: `body.state == 'paid'` is false; `body.state` is \"new\"",
        ),
        (
            'check: {same: "body.n == vars.iteration"}', ok({"n": 5}), "check same", "value",
            "same doesn't hold: `body.n == vars.iteration` is false; `body.n` is 5 and `vars.iteration` is 0",
        ),
        (
            "capture: {order: body.id}", answer(200, b"<html>"), "capture order: HTTP 200", "expression",
            "capture order can't be told: HTTP 200",
        ),
        (
            "json: {}", ok({"error": "no stock"}, 422), "HTTP 422", "status",
            "HTTP 422 is neither expected (2xx) nor a legitimate no; see what it says of it; write refused: [422] if "
            "that is a legitimate no",
        ),
        (
            "expect: [201, 202]", answer(200), "HTTP 200", "status",
            "HTTP 200 is neither expected (201 or 202) nor a legitimate no; write expect: [200, 201, 202] if it is "
            "as it should be",
        ),
        ("json: {}", answer(401), "HTTP 401", "status", "give the producer credentials (auth) or the step headers:"),
        ("json: {}", answer(404), "HTTP 404", "status", "correct the method and the path of the step"),
        ("json: {}", answer(429), "HTTP 429", "status", "write retry: {on: [429], times: 3, after: retry-after}"),
        ("json: {}", answer(500), "HTTP 500", "status", "in the system's logs"),
    ],
)  # fmt: skip
def test_why_a_step_failed(step: str, said: bytes, reason: str, kind: str, clue: str) -> None:
    out = tried(STEP.replace("STEP", step), lambda request: said)
    one = out.journeys["one"]
    assert (out.code, one["good"], one["end"], one["step"], one["not_done"]) == (1, False, "failed", "do", ["then"])
    assert one["reason"].startswith(reason)
    (do,) = one["steps"]
    assert do["said"] == "failed"
    assert [why["kind"] for why in do["why"]] == [kind]
    assert clue in do["why"][0]["text"]
    assert do["exchanges"][0]["came"]["head"].startswith("HTTP ")


def test_a_person_reads_why_below_the_answer() -> None:
    out = tried(STEP.replace("STEP", "capture: {order: body.id}"), lambda _: ok({"data": {"id": 7}}), as_json=False)
    lines = out.text.splitlines()
    assert lines[0] == "one, a journey of people: failed at do: capture order: body.id found nothing"
    assert lines[-8:] == [
        '  {"data": {"id": 7}}',
        "  capture order: body.id  gives  null",
        "why",
        "  - order doesn't hold: `body.id` is null, and the answer has it in `body.data.id`; "
        "write order: body.data.id",
        "",
        "not done: then",
        "",
        "completed: 0 of 1 journeys",
    ]


def test_no_answer_at_all() -> None:
    out = tried(STEP.replace("STEP", "json: {}"), lambda _: Step.CLOSE)
    one = out.journeys["one"]
    assert (out.code, one["end"], one["step"]) == (1, "failed", "do")
    (why,) = one["steps"][0]["why"]
    assert why["kind"] == "no-answer"
    assert why["text"].startswith("the publish was not answered: ")


def test_an_interrupt_tells_what_was_seen_until_then() -> None:
    journey = "  one: {steps: [{do: {to: shop, get: /do}}, {think: 10m}, {then: {to: shop, get: /}}]}\n"
    text, said = io.StringIO(), list[str]()

    def say(remark: str) -> None:
        said.append(remark)
        signal.raise_signal(signal.SIGINT)

    with serving_beside(lambda _: [answer(204)]) as server:
        config = (TOP + journey + SCENARIOS.replace("JOURNEYS", "one")).replace("URL", server.url)
        console = Console(file=text, width=200, no_color=True, force_terminal=False)
        code = trying.run(load_text(config, "config.yaml", environ={}), console, say=say)
    assert (code, said) == (130, ["one: goes on in 10 min (Ctrl-C ends it)"])
    lines = text.getvalue().splitlines()
    assert lines[0] == "one, a journey of people: ended before its end"
    assert "  HTTP 204" in lines
    assert lines[-3:] == ["not done: then", "", "completed: 0 of 1 journeys"]


@contextmanager
def serving_beside(script: Script) -> Iterator[Server]:
    """A server in a thread of its own."""
    ready: queue.Queue[Server] = queue.Queue()
    over = threading.Event()

    async def run() -> None:
        async with serving(script) as server:
            ready.put(server)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield ready.get()
    finally:
        over.set()
        thread.join()


def test_a_legitimate_no_ends_it_and_what_comes_after_it_was_not_tried() -> None:
    out = tried(STEP.replace("STEP", "refused: [409]"), lambda _: ok({"why": "sold out"}, 409))
    one = out.journeys["one"]
    assert (out.code, one["end"], one["step"], one["reason"]) == (1, "refused", "do", "HTTP 409")
    assert (one["steps"][0]["said"], one["steps"][0]["why"], one["not_done"]) == ("refused", [], ["then"])


WAIT: Final = """\
  one:
    steps:
      - do: {to: shop, post: /do}
      - seen: {wait: view, of: "o-1", WAIT within: 300ms, capture: {bill: body.bill}}
"""


@pytest.mark.parametrize(
    ("until", "shown", "said", "clue"),
    [
        (
            "until: \"body.state == 'paid'\",", ok({"state": "new", "bill": 1}), "not shown within 300 ms",
            "until doesn't hold: `body.state == 'paid'` is false; `body.state` is \"new\"",
        ),
        (
            "until: \"body.state == 'paid'\",", ok({"data": {"state": "paid"}}), "not shown within 300 ms",
            "write until: body.data.state == 'paid'",
        ),
        ("", answer(404), "not shown within 300 ms", "about o-1 was answered HTTP 404"),
        ("", answer(403), "not shown within 300 ms", "view is refused"),
        ("", ok({"data": {"bill": 17}}), "without what is taken out of it", "write bill: body.data.bill"),
    ],
)  # fmt: skip
def test_why_a_wait_failed(until: str, shown: bytes, said: str, clue: str) -> None:
    def system(request: Request) -> bytes:
        return shown if request.target == "/views/o-1" else answer(200)

    out = tried(WAIT.replace("WAIT", until), system, as_json=False)
    lines = out.text.splitlines()
    assert out.code == 1
    assert lines[0].startswith("one, a journey of people: failed at seen: ")
    (head,) = [line for line in lines if line.startswith("seen, waits for view to show o-1: ")]
    assert said in head
    assert clue in lines[lines.index("why") + 1]


ABSENCE: Final = """\
  one:
    steps:
      - do: {to: shop, post: /do}
BEFORE      - STEP
      - then: {to: shop, get: /then}
"""
NONE: Final = 'none: {absent: view, of: "o-1", for: 300ms}'
CLOSED: Final = 'closed: {gone: view, of: "o-1", within: 300ms}'
SEEN: Final = '      - seen: {wait: view, of: "o-1", within: 300ms}\n'
NEVER_THERE: Final = "no read showed it before, so nobody knows that it went"
LATE: Final = "it wasn't gone in time"
BEFORE_IT: Final = 'let a step such as seen: {wait: view, of: "o-1"} come before what deletes it'


@pytest.mark.parametrize(
    ("step", "before", "statuses", "took", "head", "reason", "kinds", "clue"),
    [
        (NONE, "", [404], False, "nothing appeared within 300 ms", "", [], ""),
        (NONE, "", [404, 200], False, "it appeared after ", "it appeared", ["appeared"], "o-1 appeared between two"),
        (NONE, "", [200], False, "it appeared after ", "it appeared", ["appeared"], "the first read about o-1"),
        (
            NONE, "", [404, 503], False, "no read said at the end whether it had appeared",
            "no read said at the end whether it had appeared", ["failed"], "reads failed: HTTP 503",
        ),
        (CLOSED, "", [200, 404], True, "gone after ", "", [], ""),
        (CLOSED, SEEN, [200, 404], True, "gone after ", "", [], ""),
        (CLOSED, SEEN, [200], False, LATE, LATE, ["still-there"], "view still shows o-1 300 ms after the step"),
        (CLOSED, "", [404], False, NEVER_THERE, NEVER_THERE, ["never-there"], BEFORE_IT),
        (
            CLOSED, SEEN, [200, 503], False, "no read said anything of it in time",
            "no read said anything of it in time", ["failed"], "every read failed: HTTP 503",
        ),
    ],
)  # fmt: skip
def test_what_must_not_appear_and_what_is_to_go(
    step: str, before: str, statuses: list[int], took: bool, head: str, reason: str, kinds: list[str], clue: str
) -> None:
    """The view answers with these statuses, one after another, and from then on with the last of them."""

    def system() -> Callable[[Request], bytes]:
        left = list(statuses)

        def view(request: Request) -> bytes:
            if request.target != "/views/o-1":
                return answer(204)
            status = left.pop(0) if len(left) > 1 else left[0]
            return ok({}, status) if status == 200 else answer(status)

        return view

    journey = ABSENCE.replace("STEP", step).replace("BEFORE", before)
    out = tried(journey, system())
    one, name = out.journeys["one"], step.partition(":")[0]
    steps = {step["step"]: step for step in one["steps"]}
    found, good = steps[name], not reason
    assert (out.code, one["end"], one["reason"]) == ((0, "completed", "") if good else (1, "failed", reason))
    assert ("then" in steps) is good
    assert (found["to"], found["said"], found["detail"]) == ("view", "ok" if good else "failed", reason)
    assert (found["took"] is not None) is took
    wait = found["wait"]
    assert (wait["probe"], wait["awaits"], wait["in_time"]) == ("view", step.split()[1][1:-1], good)
    own = statuses[1:] if before and len(statuses) > 1 else statuses
    assert wait["seen"] is (200 in own), "what the probe showed, whatever is waited for"
    says = {200: "present", 404: "absent", 503: "failed"}
    assert [said["says"] for said in wait["answers"]] == [says[status] for status in own]
    assert [why["kind"] for why in found["why"]] == kinds
    assert all(clue in why["text"] for why in found["why"])

    lines = tried(journey, system(), as_json=False).text.splitlines()
    what = "watches that view doesn't show o-1" if step == NONE else "waits until view shows o-1 no more"
    (said,) = [line for line in lines if line.startswith(f"{name}, ")]
    assert said.startswith(f"{name}, {what}: {head}")


def test_what_is_absent_where_nothing_is_ever_shown_proves_little() -> None:
    def system(request: Request) -> bytes:
        return ok({}) if request.target == "/views/o-2" else answer(404 if "/views/" in request.target else 204)

    journey = ABSENCE.replace("STEP", NONE)
    said = tried(journey.replace("BEFORE", ""), system).remarks
    assert said == [
        "one: none proves little: view showed nothing at any step, as it would in the wrong place; let a step wait "
        "with view for something that does come"
    ]
    assert tried(journey.replace("BEFORE", SEEN.replace("o-1", "o-2")), system).remarks == []


def test_what_follows_an_absence_that_failed_is_done() -> None:
    step = NONE[:-1] + ", on_failed: [{alarm: {to: shop, post: /alarm}}, {continue: true}]}"
    out = tried(
        ABSENCE.replace("STEP", step).replace("BEFORE", ""),
        lambda request: ok({}) if "/views/" in request.target else answer(204),
    )
    assert (out.code, out.journeys["one"]["end"]) == (0, "completed")
    assert [(one["step"], one["said"]) for one in out.journeys["one"]["steps"]] == [
        ("do", "ok"), ("none", "failed"), ("alarm", "ok"), ("then", "ok"),
    ]  # fmt: skip


POOLS: Final = """\
  ship: {steps: [{take: {to: shop, put: "/ship/{order}", take: {order: jobs}, within: 300ms}}]}
  buy: {steps: [{create: {to: shop, post: /orders, capture: {order: body.id}, give: {jobs: "{order}"}}}]}
  bill: {steps: [{send: {to: shop, post: "/bill/{order}", take: {order: jobs}, within: 300ms}}]}
"""


def test_what_a_journey_takes_is_given_before() -> None:
    orders = iter(range(1, 9))

    def system(request: Request) -> bytes:
        return ok({"id": f"o-{next(orders)}"}) if request.target == "/api/orders" else answer(204)

    out = tried(POOLS, system)
    assert out.code == 0
    assert [one["journey"] for one in out.document["journeys"]] == ["buy", "ship", "buy", "bill"]
    assert out.targets == ["POST /api/orders", "PUT /api/ship/o-1", "POST /api/orders", "POST /api/bill/o-2"]
    assert out.document["journeys"][1]["steps"][0]["taken"] == {"order": '"o-1"'}
    assert out.remarks == ["buy is gone through as well: it gives jobs, which bill takes"]
    one = tried(POOLS, system, only=["bill"])
    assert one.targets == ["POST /api/orders", "POST /api/bill/o-3"]
    assert one.remarks == ["buy is gone through as well: it gives jobs, which bill takes"]


def test_a_journey_whose_giver_gives_nothing_starves() -> None:
    out = tried(POOLS, lambda _: answer(500), only=["ship"], as_json=False)
    assert out.code == 1
    heads = [line for line in out.text.splitlines() if ", a journey of " in line]
    assert heads[0].startswith("buy, a journey of people: failed at create: ")
    assert heads[1] == "ship, a journey of people: starved at take: nothing came into jobs within 300 ms"


def test_in_open_load_there_is_no_user() -> None:
    open_ = "scenarios:\n  people: {journeys: [JOURNEYS], load: [{rate: 5/s, for: 1h}]}\n"
    journey = '  one: {steps: [{do: {to: shop, post: "/do", body: "user {user}, {iteration}"}}]}\n'
    bodies = [
        tried(journey, lambda _: answer(204), scenarios=scenarios).asked[0].body for scenarios in (open_, SCENARIOS)
    ]
    assert bodies == [b"user , 0", b"user 0, 0"]


def test_what_is_drawn_is_drawn_anew_each_time() -> None:
    journey = "  one: {steps: [{do: {to: shop, post: /do, body: '{uuid}', headers: {x-id: '{correlation_id}'}}}]}\n"
    bodies = {tried(journey, lambda _: answer(204), more="seed: 42\n").asked[0].body for _ in range(2)}
    assert len(bodies) == 2, "a system that knows an e-mail address refuses it the second time"


def test_events_beside_journeys() -> None:
    more = "events: {alive: {type: alive, source: /s}}\n"
    scenarios = SCENARIOS + "  beat: {producer: shop, events: [alive], load: [{rate: 1/s, for: 1s}]}\n"
    both = tried(
        STEP.replace("STEP", "json: {}"), lambda _: answer(202), scenarios=scenarios, more=more, as_json=False
    )
    assert both.code == 0
    assert both.text.splitlines()[-2:] == ["seen in time: 1 of 1 events", "completed: 1 of 1 journeys"]
    one = tried(STEP.replace("STEP", "json: {}"), lambda _: answer(202), scenarios=scenarios, more=more, only=["one"])
    assert (one.document["events"], one.targets) == ([], ["POST /api/do", "GET /api/then"])


def test_what_the_set_up_captures_has_to_be_there() -> None:
    more = 'setup: [{post: "URL/tenants", capture: {tenant: body.id}}]\n'
    with pytest.raises(UsageError) as raised:
        tried(STEP.replace("STEP", 'json: {t: "{tenant}"}'), lambda _: answer(204), more=more)
    assert str(raised.value) == (
        "journey 'one' needs {tenant}, which a step of setup captures, and nothing is set up here; try it with a "
        "value in its place: --set journeys.one.steps.0.do.json.t=VALUE"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oen", "--journey oen: there is no such journey; did you mean 'one'?"),
        ("zzz", "--journey zzz: there is no such journey; choose of one"),
        ("two", "--journey two: no scenario goes through it; choose of one"),
    ],
)
def test_a_journey_that_there_is_not(name: str, message: str) -> None:
    journeys = STEP.replace("STEP", "json: {}") + "  two: {steps: [{do: {to: shop, post: /do}}]}\n"
    with pytest.raises(UsageError) as raised:
        tried(journeys, lambda _: answer(204), scenarios=SCENARIOS.replace("JOURNEYS", "one"), only=[name])
    assert str(raised.value) == message


DOWNLOAD: Final = """\
  order:
    steps:
      - list: {to: shop, get: /list, capture: {sum: body.sum}}
      - load: {to: shop, get: /file, size: SIZE, sha256: "{sum}", check: {plain: "status == `200`"}}
"""
CONTENT: Final = b"0123456789" * 500


@pytest.mark.parametrize(
    ("size", "summed", "why"),
    [
        ("5KB", CONTENT, ""),
        (
            "1B..4KB",
            CONTENT,
            "the body has 5000 bytes, and 1 to 4000 are wanted; correct size:, or see what was sent",
        ),
        ("5KB", b"", f"the body has the sha256 {sha256(CONTENT).hexdigest()}, and {sha256().hexdigest()} is wanted"),
    ],
    ids=["as wanted", "too large", "another"],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_the_size_and_the_hash_of_what_came_are_shown(size: str, summed: bytes, why: str, as_json: bool) -> None:
    def answers(request: Request) -> bytes:
        if request.target.endswith("/list"):
            return ok({"sum": sha256(summed).hexdigest()})
        return answer(200, CONTENT, "Content-Type: application/pdf")

    found = tried(DOWNLOAD.replace("SIZE", size), answers, as_json=as_json)
    assert found.code == (1 if why else 0)
    if not as_json:
        assert "  size: bytes of the body  gives  5000\n" in found.text
        assert why in " ".join(found.text.split())
        return
    step = found.journeys["order"]["steps"][1]
    told = {one["name"]: one["value"] for one in step["found"]}
    assert told["size"] == "5000"
    assert (step["said"], "check plain" in told) == (("failed", False) if why else ("ok", True))
    assert "sha256" not in told or told["sha256"] == f'"{sha256(CONTENT).hexdigest()}"'
    assert why in "".join(one["text"] for one in step["why"])


# --- what probes of a step see ------------------------------------------------------------------------------

FOLLOWED: Final = """\
  order:
    steps:
      - create: {to: shop, post: /orders, json: {}, capture: {order: body.id}, probes: {view: "{order}"}}
      - look: {to: shop, get: "/orders/{order}"}
"""


def followed(
    shows: Callable[[str, int], bytes],
    *,
    visible: str = "",
    as_json: bool = True,
    wait: str | None = None,
) -> Tried:
    """A step that is followed by the probe, whose answer about an id, the so many-th, is what `shows` says."""
    times = [0]

    def answers(request: Request) -> bytes:
        if request.method == "POST":
            return ok({"id": "o-17", "own": {"key": "k-3"}}, 201)
        if not request.target.startswith("/views/"):
            return ok({})
        times[0] += 1
        return shows(request.target.rpartition("/")[2], times[0])

    top = TOP.replace('/views/{capture}"', f'/views/{{capture}}", deadline: 1s{visible}')
    return tried(FOLLOWED, answers, as_json=as_json, top=top, wait=wait)


NO: Final = answer(404)


def test_what_a_step_sent_is_looked_for_by_what_it_says_while_the_journey_goes_on() -> None:
    done = followed(lambda asked, times: ok({}) if asked == "o-17" and times > 5 else NO)
    assert done.code == 0
    create, look = done.journeys["order"]["steps"]
    (probe,) = create["probes"]
    assert (probe["probe"], probe["seen"], probe["in_time"], probe["why"]) == ("view", True, True, [])
    assert [(one["says"], one["times"]) for one in probe["answers"]] == [("absent", 5), ("present", 1)]
    assert {turn["sent"]["head"].split()[1] for one in probe["answers"] for turn in one["exchanges"]} == {
        "/views/o-17"
    }
    assert look["probes"] == []
    # It holds nobody up.
    assert done.targets.index("GET /api/orders/o-17") < max(
        number for number, target in enumerate(done.targets) if target == "GET /views/o-17"
    )


def test_people_read_what_the_probe_was_answered_below_the_step() -> None:
    done = followed(lambda asked, times: ok({}) if asked == "o-17" and times > 5 else NO, as_json=False)
    text = done.text
    assert text.index("create, sent by shop: ok") < text.index("view (http) asked") < text.index("look, sent by shop")
    assert "5 times the same, from " in text
    assert "view shows the event " in text
    assert "completed, and what they sent seen in time: 1 of 1 journeys" in text


def only(known: str, document: Any = None) -> Callable[[str, int], bytes]:
    return lambda asked, times: ok(document or {}) if asked == known else NO


PAID: Final = ", visible: \"body.status == 'paid'\""


@pytest.mark.parametrize(
    ("shows", "visible", "kind", "said"),
    [
        (
            only("k-3"), "", "other-id",
            'give create capture: {its_id: body.own.key}, and write probes: {view: "{its_id}"}',
        ),
        (
            lambda asked, times: ok({}) if len(asked) == 36 and "-8000-0000" in asked else NO, "", "other-id",
            'the correlation id; write probes: {view: "{correlation_id}"}',
        ),
        (only("o-17", {"state": "new"}), PAID, "envelope", "did you mean `body.state`?"),
        (only("o-17", {"data": {"url": "x"}}), ", visible: body.url", "envelope", "write visible: body.data.url"),
        (lambda asked, times: answer(401), "", "refused", "give the probe credentials"),
        (lambda asked, times: ok({}), "", "anything", "view also shows an event that was never sent"),
    ],
)  # fmt: skip
def test_why_a_probe_of_a_step_sees_nothing(
    shows: Callable[[str, int], bytes], visible: str, kind: str, said: str
) -> None:
    done = followed(shows, visible=visible, wait="0s")
    assert done.code == 1
    order = done.journeys["order"]
    assert (order["end"], order["good"]) == ("completed", False)
    (probe,) = order["steps"][0]["probes"]
    assert probe["in_time"] is False
    assert probe["why"][0]["kind"] == kind, probe["why"]
    assert said in probe["why"][0]["text"]


def test_where_it_is_nowhere_the_first_line_says_which_step_and_which_probe() -> None:
    done = followed(lambda asked, times: NO, as_json=False, wait="0s")
    first = done.text.splitlines()[0]
    assert first.startswith("order, a journey of people: completed after ")
    assert first.endswith("; what create sent: not seen by view within 1 s")
    assert "isn't there under o-17, in any spelling, within the deadline" in done.text
    assert "completed, and what they sent seen in time: 0 of 1 journeys" in done.text
