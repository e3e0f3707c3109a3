"""Every mistake in a race, and in a scenario that has one, is one clear line with its place and its cure."""

from __future__ import annotations

import pytest

from tests.config.test_bad_config import Bad, assert_told, load

GOOD = """\
producers:
  shop: {kind: http, url: "http://localhost:8080"}
  bus: {kind: eventbridge, bus: orders}
  few: {kind: http, url: "http://localhost:8080", connections: 10, in_flight: 20}
  many: {kind: http, url: "http://localhost:8080", mode: batched}
events:
  placed: {type: order.placed, source: /evload, data: {item: "{item}", who: "{user}"}}
scenarios:
  flash-sale:
    race:
      vars: {key: "{uuid}"}
      setup:
        - item: {to: shop, post: /inventory, json: {quantity: 10}, capture: {item: body.id}}
        - think: 10ms
      contenders:
        reserve: {times: 50, to: shop, post: "/inventory/{item}/reserve", json: {key: "{key}"}, refused: [409]}
        cancel: {to: shop, delete: "/inventory/{item}", offset: 0ms..5ms}
        tell: {times: 3, to: bus, event: placed}
      reads:
        stock: {to: shop, get: "/inventory/{item}"}
        sold: {to: shop, get: "/sold", query: {item: "{item}"}}
      always: {never oversold: "stock.available >= `0`"}
      holds:
        books agree: "stock.reserved == won.reserve"
        one side: "sum([won.reserve, won.cancel]) == `1` && vars.item == sold.item"
      within: 10s
      confirm: 5s
    rounds: {count: 60, every: 3s}
slos: [violations == 0]
"""
RESERVE = '{times: 50, to: shop, post: "/inventory/{item}/reserve", json: {key: "{key}"}, refused: [409]}'
CANCEL = '{to: shop, delete: "/inventory/{item}", offset: 0ms..5ms}'
STOCK = '{to: shop, get: "/inventory/{item}"}'
ROUNDS = "    rounds: {count: 60, every: 3s}\n"
ALWAYS = '"stock.available >= `0`"'
CONTENDERS = f"""\
        reserve: {RESERVE}
        cancel: {CANCEL}
        tell: {{times: 3, to: bus, event: placed}}
"""
HOLDS = GOOD[GOOD.index("      holds:") : GOOD.index("      within:")]
BOOKS = '"stock.reserved == won.reserve"'


def test_the_good_one_is_good() -> None:
    assert load(GOOD).config.races.keys() == {"flash-sale"}
    asked = "[{objective: won == 10, contender: reserve}, {objective: violations == 0, rule: books agree}]"
    assert len(load(GOOD.replace("[violations == 0]", asked)).config.slos) == 2


TABLE = [
    # contenders
    Bad(RESERVE, "",
        "16:17", "'reserve' has no value", "give it one, or remove the"),
    Bad(RESERVE, "{times: 50, to: shop}",
        "16:18", "nothing says what this step does", "write a method with a path,"),
    Bad(RESERVE, "{times: 50, post: /reserve}",
        "16:18", "nothing says where this step sends", "add to: PRODUCER"),
    Bad("times: 50", "times: 0",
        "16:26", "0 is too small", "write 1 or more"),
    Bad("times: 50", "times: many",
        "16:26", "'many' is not a whole number", "write one, such as 5"),
    Bad("times: 50", "time: 50",
        "16:19", "unknown key 'time'", "did you mean 'times'?"),
    Bad("0ms..5ms", "5ms..0ms",
        "17:65", "'5ms..0ms' is an empty range", "write 0ms..5ms"),
    Bad(", refused: [409]", ", capture: {no: body.id}",
        "16:97", "nothing comes after a contender that could use", "let a read look, and a rule"),
    Bad(", refused: [409]", ", retry: {on: [503], times: 2}",
        "16:97", "a contender is sent once", "leave retry out, or write"),
    Bad(", refused: [409]", ", probes: {view: x}",
        "16:97", "what a contender changes is looked at by reads:", "leave probes out"),
    Bad(CANCEL, "{wait: view, of: x}",
        "17:18", "wait belongs to a step that waits, and this is", "move it into setup:"),
    Bad("to: bus, event: placed", "to: many, event: placed",
        "18:30", "producer 'many' is batched, and would send", "name a producer with"),
    Bad('to: shop, post: "/inventory/{item}/reserve"', 'to: few, post: "/inventory/{item}/reserve"',
        "16:9", "50 go to 'few' at one instant, and it has", "write connections: 50 and"),
    Bad('to: shop, post: "/inventory/{item}/reserve"', 'to: bus, post: "/inventory/{item}/reserve"',
        "16:34", "producer 'bus' is of kind eventbridge, and a", "name one of kind http, or"),
    Bad('"/inventory/{item}/reserve"', '"/inventory/{itm}/reserve"',
        "16:46", "unknown placeholder {itm}", "did you mean {item}?"),
    Bad("tell: {times: 3", "item: {times: 3",
        "18:9", "another step of this race is called 'item', too", "give each of them a name of"),
    Bad("tell: {times: 3", "te.ll: {times: 3",
        "18:9", "'te.ll' is no name here", "write letters, digits,"),
    # reads
    Bad(STOCK, '{to: shop, get: "/inventory/{other}"}',
        "20:32", "unknown placeholder {other}", "draw it, vars: {other: …},"),
    Bad(STOCK, "{to: bus, event: placed}",
        "20:26", "a read is a request, which has an answer", "write get: with a path"),
    Bad(STOCK, '{to: shop, get: "/inventory/{item}", refused: [404]}',
        "20:53", "an answer that isn't expected says nothing to", "leave refused out"),
    Bad(STOCK, '{to: shop, get: "/inventory/{item}", check: {a: body.b}}',
        "20:53", "a read is looked at by rules", "write that under always: or"),
    Bad(STOCK, '{to: shop, head: "/inventory/{item}"}',
        "20:27", "an answer to head has no body that rules could", "write get:"),
    Bad("        sold: {", "        won: {",
        "21:9", "'won' stands for something else in rules", "call it otherwise, such as"),
    # rules
    Bad(ALWAYS, "\"stock.available >= '0'\"",
        "22:32", '"stock.available >= \'0\'" gives null, because', "write a number in"),
    Bad(ALWAYS, "stock.available >= 0",
        "22:32", "'stock.available >= 0' is not JMESPath:", "write a number in"),
    Bad(ALWAYS, '"`1` == `1`"',
        "22:32", "'`1` == `1`' looks at nothing that could change", "start with one of stock,"),
    Bad(ALWAYS, '"length(stock.orders)"',
        "22:32", "'length(stock.orders)' gives what length()", "compare it with something,"),
    Bad(ALWAYS, '"won.reserve"',
        "22:32", "'won.reserve' gives a number, and neither true", "compare it with something,"),
    Bad(ALWAYS, '"stok.available >= `0`"',
        "22:32", "'stok.available >= `0`' looks at 'stok', which", "did you mean 'stock'?"),
    Bad(BOOKS, '"stock.reserved == won.reserv"',
        "24:22", "unknown contender 'reserv' in won.reserv", "did you mean 'reserve'?"),
    Bad(BOOKS, '"stock.reserved == refused.stock"',
        "24:22", "unknown contender 'stock' in refused.stock", "what there is: reserve,"),
    Bad("vars.item ==", "vars.itm ==",
        "25:19", "unknown variable vars.itm", "did you mean vars.item?"),
    Bad("one side:", "never oversold:",
        "25:9", "a rule of always is called 'never oversold', too", "call one of them otherwise"),
    # the race as a whole
    Bad("      within: 10s", "      within: 0s",
        "26:15", "'0s' is too small", "write 1ms or more"),
    Bad("      confirm: 5s", "      confirms: 5s",
        "27:7", "unknown key 'confirms'", "did you mean 'confirm'?"),
    Bad(f"      always: {{never oversold: {ALWAYS}}}\n{HOLDS}", "",
        "11:7", "nothing says what has to hold", "write always: or holds:,"),
    Bad(f"      contenders:\n{CONTENDERS}", "",
        "11:7", "the key 'contenders' is missing", "add it to the mapping that"),
    Bad(f"      contenders:\n{CONTENDERS}", "      contenders: {}\n",
        "15:19", "nobody contends", "write for example reserve:"),
    Bad(f"      contenders:\n{CONTENDERS}", "      contenders: {one: {to: shop, get: /a}}\n",
        "15:25", "one request of 'one' contends with nobody", "write times: 2 or more, or"),
    # the scenario
    Bad(ROUNDS, "",
        "10:5", "nothing says how many rounds there are", "write rounds: {count: 60,"),
    Bad(ROUNDS, "    load: [{rate: 1/s, for: 1m}]\n",
        "28:5", "a race has rounds in place of a load", "write rounds: {count: 60,"),
    Bad(ROUNDS, ROUNDS + "    load: [{rate: 1/s, for: 1m}]\n",
        "29:5", "rounds say how often a race is run, and this", "leave load out"),
    Bad(ROUNDS, ROUNDS + "    probes: []\n",
        "29:5", "what a race does is looked at by its own reads", "write reads: under race:,"),
    Bad(ROUNDS, ROUNDS + "    producer: shop\n",
        "29:5", "a race says itself what is sent", "make two scenarios of it,"),
    Bad(ROUNDS, ROUNDS + "    warmup: 3s\n",
        "29:5", "each round of a race is judged by itself", "write another race for"),
    Bad(ROUNDS, ROUNDS + "    every: 3s\n",
        "29:5", "the pace of rounds stands beside their number", "write rounds: {count: 60,"),
    Bad(ROUNDS, ROUNDS + "    arrivals: poisson\n",
        "29:5", "rounds begin at a fixed pace", "write every: under rounds:,"),
    Bad("count: 60", "count: 0",
        "28:21", "0 is too small", "write 1 or more"),
    Bad("count: 60, every: 3s", "count: 60",
        "28:13", "the key 'every' is missing", "add it to the mapping that"),
    # objectives
    Bad("[violations == 0]", "[{objective: won == 10, contender: reserv}]",
        "29:42", "unknown contender 'reserv'", "did you mean 'reserve'?"),
    Bad("[violations == 0]", "[{objective: violations == 0, rule: books agre}]",
        "29:43", "unknown rule 'books agre'", "did you mean 'books agree'?"),
]  # fmt: skip


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: f"{bad.where} {bad.what}")
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert_told(GOOD, bad)
