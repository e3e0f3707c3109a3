"""Every mistake in a journey, and in a scenario that makes one, is one clear line with its place and its cure."""

from __future__ import annotations

import pytest

from tests.config.test_bad_config import Bad, lines_of, load

GOOD = """\
setup: [{post: "http://localhost:9/tenants", capture: {tenant: body.id}}]
producers:
  shop: {kind: http, url: "http://localhost:8080"}
  bus: {kind: eventbridge, bus: orders}
events:
  order-placed: {type: order.placed, source: /evload, data: {order: "{order}"}}
  alive: {type: alive, source: /evload}
journeys:
  order:
    vars: {mail: "u{iteration}@example.com", key: "{uuid}"}
    begin:
      - login: {to: shop, post: /login, json: {user: "u{user}"}, capture: {token: {from: body.token, secret: true}}}
    steps:
      - register: {to: shop, post: /customers, json: {email: "{mail}"}, expect: [201], capture: {customer: body.id}}
      - create: {to: shop, post: /orders, headers: {k: "{key}"}, capture: {order: body.id}, give: {jobs: "{order}"}}
      - think: 500ms..2s
      - placed: {to: bus, event: order-placed}
      - choose:
          - {weight: 70, steps: [{paid: {to: shop, post: /paid, capture: {payment: body.id, receipt: body.no}}}]}
          - {weight: 30, steps: [{credit: {to: shop, post: /credit, capture: {payment: body.id}}}]}
      - ship:
          to: shop
          put: "/orders/{order}/ship"
          refused: [409, 422]
          else:
            - look: {to: shop, get: "/orders/{order}"}
            - continue: true
      - again:
          to: shop
          post: /payments
          body: "{payment} {step}"
          check: {same: "body.id == vars.payment"}
          retry: {on: [429], times: 3, after: 1s}
    finally:
      - close: {to: shop, delete: "/customers/{customer}"}
    end:
      - logout: {to: shop, post: /logout, headers: {authorization: "Bearer {token}"}}
  work:
    steps: [{do: {to: shop, get: "/jobs/{job}", take: {job: jobs}, within: 2s}}]
scenarios:
  mixed:
    journeys: {order: 3, work: 1}
    think: 1s
    load:
      - {from: 0 users, to: 5 users, for: 10s}
      - {users: 5, iterations: 100, for: 5m}
  arrivals:
    journeys: [work]
    load:
      - {rate: 5/s, for: 1m}
  beat:
    producer: bus
    events: [alive]
    load: [{rate: 1/s, for: 1m}]
slos: [errors == 0]
"""


def test_the_good_one_is_good() -> None:
    assert load(GOOD).config.journeys.keys() == {"order", "work"}


USER = "{users: 5, iterations: 100, for: 5m}"
RATE = "{rate: 5/s, for: 1m}"
SHIP = 'put: "/orders/{order}/ship"'
TABLE = [
    # what a placeholder asks for
    Bad("{email: \"{mail}\"}", "{email: \"{mial}\"}", "14:62", "unknown placeholder {mial}", "did you mean {mail}?"),
    Bad("{mail}", "{place}", "14:62", "unknown placeholder {place}", "draw it, vars: {place: …}"),
    Bad('json: {email: "{mail}"}', "body: '{\"a\": 1}'", "14:54", "unknown placeholder {\"a\"", "write {{ and"),
    Bad("{mail}", "{uid}", "14:62", "unknown placeholder {uid}", "did you mean {uuid}?"),
    Bad("{mail}", "{data.x}", "14:62", "{data.x} stands for something of an event", "draw it under vars:"),
    Bad("{mail}", "{secrets.pin}", "14:62", "{secrets.pin} would put a secret into what is kept", "of the producer"),
    Bad("{mail}", "{order}", "14:62", "{order} is known from step 'create' on", "move it behind 'create'"),
    Bad("{payment} {", "{receipt} {", "31:17", "{receipt} is known from step 'paid' on", "on each way"),
    Bad("u{iteration}", "u{seq}", "10:18", "{seq} is of what is sent", "write it where it is sent"),
    Bad("u{iteration}", "u{step}", "10:18", "{step} isn't known here", "leave it out"),
    Bad("u{iteration}", "u{customer}", "10:18", "{customer} is known from step 'register' on", "move it"),
    Bad("u{iteration}", "{secrets.pin}", "10:18", "{secrets.pin} would put a secret", "headers or auth"),
    Bad("u{iteration}", "{key}", "10:18", "{key} is drawn at the same time as this", "draw here what stands there"),
    Bad("u{iteration}", "{mail}", "10:18", "{mail} is drawn at the same time as this", "draw here what stands there"),
    Bad("vars.payment", "vars.tenant", "32:25", "vars.tenant isn't there", "write {tenant} in a template"),
    Bad("u{user}", "{mail}",
        "12:54", "{mail} is drawn for each iteration, and this isn't", "what stands under vars:"),
    Bad("u{user}", "{iteration}", "12:54", "{iteration} isn't known here", "leave it out"),
    Bad("Bearer {token}", "{customer}", "37:68", "{customer} is captured in an iteration", "capture it in end:"),
    Bad("{job}\"", "{jib}\"", "39:34", "unknown placeholder {jib}", "did you mean {job}?"),
    Bad('"u{user}"', "{user}", "12:54", "{user} without quotes is a mapping", 'write "{user}"'),
    Bad('"u{user}"', "{uuid}", "12:54", "{uuid} without quotes is a mapping", 'write "{uuid}"'),
    Bad('{order: "{order}"}', '{order: "{receipt}"}', "6:69", "unknown placeholder {receipt}", "write {{ and }}"),
    Bad("[alive]", "[order-placed]", "6:69", "unknown placeholder {order}", "write {{ and }}"),
    # names
    Bad("- create:", "- register:", "15:9", "another step of this journey is called 'register'", "a name of its own"),
    Bad("- create:", "- think:", "15:9", "'think' can't be the name of a step", "give it another"),
    Bad("- create:", "- choose:", "15:9", "'choose' can't be the name of a step", "give it another"),
    Bad("- create:", "- continue:", "15:9", "'continue' can't be the name of a step", "give it another"),
    Bad("- create:", "- finally:", "15:9", "'finally' can't be the name of a step", "give it another"),
    Bad("- create:", "- a.b:", "15:9", "'a.b' is not a name of a step", "write letters"),
    Bad("  alive: {", "  order.ship: {type: x, source: y}\n  alive: {",
        "22:9", "'order.ship', as an event is", "another"),
    Bad("  work:\n", "  order.ship: {steps: [{say: {to: shop, get: /}}]}\n  work:\n",
        "21:9", "'order.ship', as a journey is", "another"),
    # by what its runs are compared
    Bad("slos:", "compare: {limit: [completed(ordr)=99%]}\nslos:",
        "55:19", "no journey and no step 'ordr'", "did you mean 'order'?"),
    Bad("slos:", "compare: {max_regression: [p95(order.shop)=9%]}\nslos:",
        "55:28", "no journey and no step 'order.shop'", "did you mean 'order.ship'?"),
    Bad("slos:", "compare: {week_over_week: [failed(order.ship)=9%]}\nslos:",
        "55:28", "order.ship is a step, and only a journey is failed", "write for example p95(order.ship)"),
    Bad("vars: {mail", "vars: {Mail", "10:12", "'Mail' is not a name that can stand in braces", "a small letter"),
    Bad("vars: {mail", "vars: {uuid: a, mail", "10:12", "{uuid} stands for something else already", "the_uuid"),
    Bad("vars: {mail", "vars: {tenant: a, mail", "10:12", "{tenant} is what the set-up captures", "otherwise"),
    Bad("{customer: body.id}", "{user: body.id}", "14:98", "{user} stands for something else", "the_user"),
    Bad("same: ", "same/one: ", "32:19", "'same/one' is not a name", "letters, digits"),
    # templates that can't be compiled
    Bad('key: "{uuid}"', 'key: "{int:3..1}"', "10:51", "the range of {int:3..1} is empty", "write {int:1..3}"),
    Bad('key: "{uuid}"', 'key: [a, "{int:x}"]', "10:55", "{int:x} isn't a range", "write one such as"),
    Bad(SHIP, 'put: "/orders/{order"', "23:16", "a lone { in '/orders/{order'", "write {{ for the brace itself"),
    Bad('"{mail}"', '[a, "{b"]', "14:66", "a lone {", "write {{"),
    Bad('body: "{payment} {step}"', 'body: "{{payment}}"', "31:17", "{{payment}} is the text", "in single braces"),
    Bad('{jobs: "{order}"}', '{jobs: "{order}}"}', "15:106", "a lone } in '{order}}'", "write }}"),
    # what a step does
    Bad("- think: 500ms..2s", "- {}", "16:9", "there is nothing in this step", "write its name"),
    Bad("- think: 500ms..2s", "- wait", "16:9", "'wait' is no step", "write its name and what it does"),
    Bad("- think: 500ms..2s", "- {think: 1s, x: {}}", "16:9", "think and x stand in one step", "a - of its own"),
    Bad("500ms..2s", "2s..500ms", "16:16", "'2s..500ms' is an empty range", "write 500ms..2s"),
    Bad("500ms..2s", "5", "16:16", "5 is neither a duration nor a range of them", "such as 500ms..2s"),
    Bad("to: shop, delete", "too: shop, delete", "35:17", "unknown key 'too'", "did you mean 'to'?"),
    Bad("to: shop, delete", "to: shap, delete", "35:21", "unknown producer 'shap'", "did you mean 'shop'?"),
    Bad("to: shop, delete", "to: bus, delete", "35:21", "'bus' is of kind eventbridge", "name one of kind http"),
    Bad("event: order-placed", "event: order-plased", "17:34", "unknown event 'order-plased'", "'order-placed'?"),
    Bad(", event: order-placed", "", "17:17", "nothing says what this step does", "post: /orders, or event: NAME"),
    Bad("event: order-placed", "event: alive, post: /x", "17:41", "post and event are two things to do", "two steps"),
    Bad("event: order-placed", "event: alive, json: 1", "17:41", "json belongs to a request", "leave it out"),
    Bad(SHIP, SHIP + "\n          post: /x", "23:11", "post and put are two requests", "make them two steps"),
    Bad(SHIP, "put: orders", "23:16", "'orders' is not a path", "write one such as /orders"),
    Bad(SHIP, "put: http://x/orders", "23:16", "'http://x/orders' is a whole address", "the path alone"),
    Bad(SHIP, "put: /orders#a", "23:16", "'/orders#a' has a fragment", "write %23"),
    Bad(SHIP, "put:", "23:15", "'put' has no value", "give it one"),
    Bad('json: {email: "{mail}"}', "form: {}, body: x", "14:58", "this has form and body", "keep one of them"),
    Bad("[409, 422]", "[409, 204]", "24:20", "204 is expected, as it is where nothing else is said", "write expect:"),
    Bad("refused: [409, 422]", "expect: 4xx\n          refused: 409",
        "25:20", "409 is expected and refused", "leave"),
    Bad("[409, 422]", "[99]", "24:20", "99 is not a final HTTP status", "write status codes"),
    Bad("          refused: [409, 422]\n", "", "24:11", "no answer is refused, so else:", "write refused: [409]"),
    Bad("            - continue: true", "            - continue: false",
        "27:25", "false says nothing here", "write continue: true"),
    Bad("- think: 500ms..2s", "- continue: true", "16:9", "continue: true can stand as the last step", "move it"),
    Bad("[409, 422]\n          else:\n", "[409]\n          else:\n            - continue: true\n", "26:15",
        "continue: true can stand as the last step", "leave it out"),
    Bad("[{credit:", "[{continue: true}, {credit:", "20:35", "continue: true can stand as the last", "leave it out"),
    Bad("{k: ", "{content-length: ", "15:53", "the header 'content-length' is set for you", "leave it out"),
    Bad("weight: 70, ", "", "19:13", "the key 'weight' is missing", "add it"),
    Bad("weight: 70", "weight: 0", "19:22", "0 is too small", "write more than 0"),
    Bad("weight: 70", "weight: true", "19:22", "true is not a whole number", "write one"),
    Bad("steps: [{credit: {to: shop, post: /credit, capture: {payment: body.id}}}]", "steps: []", "20:33",
        "there is no step", "write its name"),
    Bad("times: 3", "times: 0", "33:37", "0 is too small", "write 1 or more"),
    Bad("after: 1s", "after: later", "33:47", "'later' is not a duration", "write a number with a unit"),
    Bad("body.token", "body.", "12:90", "'body.' is not JMESPath", "complete it"),
    Bad("{order: body.id}", "{order: answer.id}", "15:83", "looks at 'answer', which isn't there", "status, headers"),
    Bad("body.id == vars.payment", "bodi.id", "32:25", "looks at 'bodi'", "did you mean 'body'?"),
    Bad("vars.payment", "vars.paiment", "32:25", "unknown variable vars.paiment", "did you mean vars.payment?"),
    Bad("vars.payment", "vars.invoice.id", "32:25", "unknown variable vars.invoice", "capture it in a step before"),
    Bad("vars.payment", "vars.invoice", "32:25", "unknown variable vars.invoice", "capture it in a step before"),
    Bad("vars.payment", "vars.receipt", "32:25", "vars.receipt is known from step 'paid' on", "on each way"),
    Bad("{order: body.id}", "{order: body.id, token: body.id}",
        "15:99", "{token} is captured as a secret elsewhere", "secret: true"),
    # pools
    Bad("take: {job: jobs}", "take: {job: jops}",
        "39:61", "nothing gives to the pool 'jops'", "did you mean 'jobs'?"),
    Bad('give: {jobs: "{order}"}', 'give: {jobs: "{ordr}"}', "15:106", "unknown placeholder {ordr}", "{order}?"),
    Bad('give: {jobs: "{order}"}', 'give: {jobs: "{token}"}', "15:106", "{token} is a secret", "capture it anew"),
    Bad(", take: {job: jobs}, within", ", within", "39:49", "within goes with take", "leave it out"),
    Bad("{order: 3, work: 1}", "{work: 1}", "39:61", "no scenario makes the journey order", "add it to the journeys"),
    # journeys and scenarios
    Bad('    steps: [{do: {to: shop, get: "/jobs/{job}", take: {job: jobs}, within: 2s}}]', "    steps: []", "39:12",
        "there is no step", "write its name and what it does"),
    Bad('    steps: [{do: {to: shop, get: "/jobs/{job}", take: {job: jobs}, within: 2s}}]',
        "    steps: [{think: 1s}]", "39:12", "no step of this journey sends anything", "add a request or an event"),
    Bad("    steps: [{do:", "    stebs: [{do:", "39:5", "unknown key 'stebs'", "did you mean 'steps'?"),
    Bad("{order: 3, work: 1}", "{order: 3, walk: 1}",
        "42:26", "unknown journey 'walk'", "what there is: order, work"),
    Bad("{order: 3, work: 1}", "[]", "42:15", "this names no journeys", "a list of names"),
    Bad("{order: 3, work: 1}", "{order: 3, work: 0}", "42:32", "0 is too small", "write more than 0"),
    Bad("[work]", "[work, order]", "48:22", "'order' has begin:, done once for each user", "users: 50"),
    Bad("    think: 1s\n", "    think: 1s\n    producer: bus\n",
        "44:5", "producer and journeys exclude each other", "say"),
    Bad("    think: 1s\n", "    think: 1s\n    probes: []\n", "44:5", "probes belongs to events", "leave it out"),
    Bad("    think: 1s\n", "    think: 1s\n    every: 5s\n",
        "43:5", "think and every exclude each other", "keep one"),
    Bad("    think: 1s\n", "    arrivals: poisson\n", "43:5", "arrivals is said of rates", "leave it out"),
    Bad("    journeys: [work]\n", "", "48:5", "nothing says what is sent", "producer: and events:, or journeys:"),
    Bad("    events: [alive]\n", "", "52:5", "the key 'events' is missing", "add it"),
    Bad("    journeys: [work]\n", "    journeys: [work]\n    think: 1s\n",
        "49:5", "think is said of users", "users: 50"),
    Bad("    journeys: [work]\n", "    journeys: [work]\n    every: 1s\n",
        "49:5", "every is said of users", "users: 50"),
    Bad("    producer: bus\n", "    producer: bus\n    think: 1s\n",
        "53:5", "think goes with journeys", "leave it out"),
    Bad("[{rate: 1/s, for: 1m}]", "[{users: 1, for: 1m}]",
        "54:5", "users make journeys, and these are events", "rate"),
    Bad("[{rate: 1/s, for: 1m}]", "[{rate: 1/s, iterations: 9}]", "54:5", "iterations are of journeys", "write for:"),
    # loads
    Bad(USER, "{users: 0, for: 5m}", "46:17", "0 is too small", "write 1 or more"),
    Bad(USER, "{users: 5}", "46:9", "the key 'for' is missing", "add it"),
    Bad(USER, "{users: 5, iterations: 0, for: 5m}", "46:32", "0 is too small", "write 1 or more"),
    Bad(USER, RATE, "45:7", "this load has users, and 'hold 5/s'", "make them two scenarios"),
    Bad(USER, "{users: 5, for: 5m, until: x > 1}", "46:9", "only a phase of one rate", "leave until out"),
    Bad(USER, "{idle: 5m, until: x > 1}", "45:7", "has no phase that ends early", "leave until out"),
    Bad("{from: 0 users, to: 5 users", "{from: 0 users, to: 5/s", "45:29", "'5/s' is no number of users", "50 users"),
    Bad("{from: 0 users, to: 5 users", "{from: 0, to: 5 users",
        "45:16", "0 is no number of users", "such as 0 users"),
    Bad("{from: 0 users, to: 5 users", "{from: 0 users, to: 9999999 users", "45:29", "is too many", "1000000 users"),
    Bad(RATE, "{rate: 0/s, iterations: 5}", "50:16", "'0/s' is too small", "write more than 0"),
    Bad(RATE, "{rate: 5/s, iterations: 5}\n      - {rate: 5/s, for: 1m}", "50:7", "said of the whole load", "last"),
    Bad(RATE, "{rate: 5/s, for: 1m}\n      - {rate: 5/s, iterations: 300}", "50:7", "have all of the 300", "more"),
]  # fmt: skip


def test_rules_about_journeys_and_steps_that_there_are() -> None:
    rules = "compare: {max_regression: [completed(work)=1%, p99(order.ship)=9%], limit: [p95(order)=9s]}\n"
    assert load(GOOD + rules).config.journeys.keys() == {"order", "work"}


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("{objective: retried == 0, event: order.create}", "retried == 0"),
        ("{objective: rate(retried) < 5%, scenario: beat}", "rate(retried) < 5%"),
    ],
)
def test_an_objective_on_what_is_sent_again_needs_a_step_that_may_be(asked: str, shown: str) -> None:
    (line,) = lines_of(GOOD.replace("[errors == 0]", f"[{asked}]"))
    assert line == (
        f"load.yaml:55:8: no step of these is sent again, so '{shown}' can only say 0; "
        "give a step retry: {on: [429], times: 3}"
    )
    assert load(GOOD.replace("[errors == 0]", "[retried == 0]")).config.slos
    assert load(GOOD.replace("[errors == 0]", "[{objective: retried == 0, event: order.again}]")).config.slos


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: f"{bad.where} {bad.what}")
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert bad.old in GOOD
    (line,) = lines_of(GOOD.replace(bad.old, bad.new, 1))
    where, _, told = line.removeprefix("load.yaml:").partition(": ")
    what, _, cure = told.partition("; ")
    assert where == bad.where
    assert bad.what in what
    assert bad.cure in cure
