"""Every bad config ends in clear lines, `file:line:column: what; cure`, and never in a traceback."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evload import config
from evload.errors import ConfigError, Problem, UsageError

GOOD = """\
name: placements
seed: 42
sandbox: {workers: 4, loss: 0.5%}
producers:
  api: {kind: http, url: "{sandbox}/events", mode: structured}
  commands:
    kind: http
    url: http://localhost:8080/items
    timeout: 5s
    headers: {x-key: "{key}"}
events:
  created:
    type: placement.created
    source: /evload
    key: "{data.video_id}"
    data: {video_id: "{uuid}", ranges: [{from: 0}, {to: 30}]}
probes:
  model:
    kind: http
    url: "{sandbox}/items/{correlation_id}"
    visible: "status == `200`"
    effects: body.effects
    position: body.position
    deadline: 15s
scenarios:
  base:
    producer: api
    events: {created: 1}
    probes: [model]
    load:
      - {from: 0/s, to: 100/s, for: 1m}
      - {rate: 100/s, for: 5m}
  spike:
    producer: commands
    events: [created]
    load:
      - burst: 50
slos:
  - p99(consistency) < 5s
  - duplicates == 0
  - {objective: p95(publish) < 3s, critical: 10s, scenario: spike}
self_checks: {lateness: warn}
"""


def load(text: str, environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()) -> config.LoadedConfig:
    return config.load_text(text, "load.yaml", environ=environ or {}, sets=sets)


def lines_of(text: str, environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()) -> list[str]:
    """What a person is told about a bad config."""
    with pytest.raises(ConfigError) as caught:
        load(text, environ, sets)
    assert caught.value.exit_code == 2
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.problems)
    for line in lines:
        assert re.fullmatch(r"(load\.yaml:\d+:\d+|--set [^;]*): [^;]+; .+", line), line
        assert "Input should" not in line
        assert "pydantic" not in line
    return lines


def test_the_good_one_is_good() -> None:
    assert load(GOOD).config.name == "placements"


class Bad(NamedTuple):
    """`old` replaced by `new` in the good config, and the one line that it must give."""

    old: str
    new: str
    where: str
    what: str
    cure: str


def assert_told(good: str, bad: Bad) -> None:
    """What is changed stands once in a good config, and the changed one is told of in one line."""
    assert good.count(bad.old) == 1, "the change must be one"
    (line,) = lines_of(good.replace(bad.old, bad.new))
    assert f":{bad.where}: " in line, line
    assert bad.what in line, line
    assert bad.cure in line, line


LAST = "p95(publish) < 3s, critical: 10s"
TABLE = [
    # keys
    Bad("seed: 42", "sead: 42", "2:1", "unknown key 'sead'", "did you mean 'seed'?"),
    Bad("workers: 4", "worker: 4", "3:11", "unknown key 'worker'", "did you mean 'workers'?"),
    Bad("mode: structured", "mod: binary", "5:46", "unknown key 'mod'", "did you mean 'mode'?"),
    Bad('key: "{data', 'kye: "{data', "15:5", "unknown key 'kye'", "did you mean 'key'?"),
    Bad("deadline: 15s", "dedline: 15s", "24:5", "unknown key 'dedline'", "did you mean 'deadline'?"),
    Bad("deadline: 15s", "confirm: {read: 5}", "24:15", "unknown key 'read'", "did you mean 'reads'?"),
    Bad("producer: api", "produser: api", "27:5", "unknown key 'produser'", "did you mean 'producer'?"),
    Bad("100/s, for: 5m", "100/s, fro: 5m", "32:23", "unknown key 'fro'", "did you mean 'for'?"),
    Bad("critical: 10s", "limit: 10s", "41:36", "unknown key 'limit'", "objective, target, critical"),
    Bad("lateness: warn", "lateniss: warn", "42:15", "unknown key 'lateniss'", "did you mean 'lateness'?"),
    Bad("seed: 42", "name: again", "2:1", "the key 'name' is already on line 1", "keep one"),
    Bad("    timeout: 5s", "    url: http://x/", "9:5", "the key 'url' is already on line 8", "keep one"),
    Bad("seed: 42", "? [a]\n: 1", "2:3", "a key is a list", "write a name"),
    Bad("seed: 42", "seed:", "2:6", "'seed' has no value", "give it one, or remove the line"),
    Bad("kind: http, url", "url", "5:8", "the key 'kind' is missing", "http"),
    Bad(', url: "{sandbox}/events"', "", "5:8", "the key 'url' is missing", "add it"),
    Bad("    source: /evload\n", "", "13:5", "the key 'source' is missing", "add it"),
    Bad("    producer: api\n", "", "27:5", "the key 'producer' is missing", "add it"),
    Bad("{rate: 100/s, for: 5m}", "{rate: 100/s}", "32:9", "the key 'for' is missing", "add it"),
    # values
    Bad("mode: structured", "ordered: 1", "5:55", "1 is neither true nor false", "write true or false"),
    Bad("mode: structured", "ordered: key", "5:55", "'key' is neither true nor false", "write true or false"),
    Bad("mode: structured", "order: true", "5:46", "unknown key 'order'", "did you mean 'ordered'?"),
    Bad("seed: 42", "seed: -1", "2:7", "-1 is too small", "write 0 or more"),
    Bad("seed: 42", "seed: many", "2:7", "'many' is not a whole number", "such as 5"),
    Bad("name: placements", "name: a/b", "1:7", "'a/b' is not a name", "letters, digits"),
    Bad("name: placements", "name: 5", "1:7", "5 is not text", 'put it in quotes: "5"'),
    Bad("deadline: 15s", "deadline: 15", "24:15", "15 is not a duration", "250ms"),
    Bad("deadline: 15s", "deadline: 1:30", "24:15", "'1:30' is not a duration", "10m"),
    Bad("deadline: 15s", "deadline: 15 seconds", "24:15", "'15 seconds' is not a duration", "5s"),
    Bad("timeout: 5s", "timeout: 1us", "9:14", "'1us' is too small", "write 1ms or more"),
    Bad("rate: 100/s", "rate: -100/s", "32:16", "'-100/s' is not a rate", "100/s"),
    Bad("rate: 100/s", "rate: 100", "32:16", "100 is not a rate", "100/s"),
    Bad("0.5%", "150%", "3:29", "'150%' is more than the whole", "between 0% and 100%"),
    Bad("0.5%", "0.5", "3:29", "0.5 is not a share", "95%"),
    Bad("mode: structured", "mode: structurd", "5:52", "'structurd' is no choice here", "did you mean 'structured'?"),
    Bad("lateness: warn", "lateness: on", "42:25", "'on' is no choice here", "'off'"),
    Bad("probes: [model]", "probes: model", "29:13", "'model' is not a list", "write [model]"),
    Bad('key: "{data.video_id}"', "key: {data.video_id}", "15:10", "a mapping is not text", '"{data.video_id}"'),
    Bad("{x-key: \"{key}\"}", "{x-key: 5}", "10:22", "5 is not text", 'put it in quotes: "5"'),
    Bad("burst: 50", "burst: 0", "37:16", "0 is too small", "write 1 or more"),
    Bad("burst: 50", "idle: 50s", "37:7", "this load has no events", "{rate: 100/s, for: 5m}"),
    Bad("\n      - burst: 50", " []", "36:11", "this load has no events", "{rate: 100/s, for: 5m}"),
    Bad("burst: 50", "50", "37:9", "a phase is a mapping", "{rate: 100/s, for: 5m}"),
    Bad("burst: 50", "bust: 50", "37:9", "this phase has none of", "{rate: 100/s, for: 5m}"),
    Bad("{created: 1}", "{created: 0}", "28:23", "0 is too small", "write more than 0"),
    Bad("{created: 1}", "{created: -2}", "28:23", "-2 is too small", "write more than 0"),
    Bad("{created: 1}", "{}", "28:13", "names no events", "{name: weight"),
    Bad("[created]", "[created, created]", "35:13", "'created' is listed twice", "weights"),
    Bad("workers: 4", "service: {lognormal: {median: 1s}}", "3:20", "lognormal needs exactly median", "write"),
    # addresses and expressions of adapters
    Bad("kind: http,", "kind: htpp,", "5:15", "unknown kind 'htpp'", "did you mean 'http'?"),
    Bad("kind: http,", "kind: [http],", "5:15", "a list is not text", "write text"),
    Bad("url: http://localhost:8080/items", "url: localhost/items", "8:10", "has no scheme", "http://"),
    Bad("url: http://localhost:8080/items", "url: ftp://localhost/", "8:10", "not an http or https", "http://"),
    Bad("{correlation_id}", "{correlation}", "20:10", "unknown placeholder {correlation}", "{correlation_id}"),
    Bad("status == `200`", "status == ", "21:14", "is not JMESPath", "complete it"),
    Bad("status == `200`", "status = `200`", "21:14", "is not JMESPath", "write text in single quotes"),
    Bad("status == `200`", "state == `200`", "21:14", "looks at 'state'", "did you mean 'status'?"),
    Bad("body.effects", "size(body.items)", "22:14", "'size'", "known functions: abs"),
    # templates and data files
    Bad("{data.video_id}", "{data.vide_id}", "15:10", "there is no {data.vide_id}", "did you mean {data.video_id}?"),
    Bad("{uuid}", "{uid}", "16:22", "unknown placeholder {uid}", "did you mean {uuid}?"),
    Bad("{to: 30}", '{to: "{int:9..1}"}', "16:57", "the range of {int:9..1} is empty", "{int:1..9}"),
    Bad("source: /evload", 'source: "/{record.a}"', "14:13", "{record.a} without a data file", "records:"),
    Bad("source: /evload", 'source: "{"', "14:13", "a lone {", "write {{"),
    Bad('"{key}"', '"{kay}"', "10:22", "unknown placeholder {kay} (for event 'created')", "did you mean {key}?"),
    Bad("source: /evload", "source: x\n    records: no.csv", "15:14", "no.csv doesn't exist", "correct its name"),
    Bad("source: /evload", "source: x\n    records: no.txt", "15:14", "no.txt is of no known kind", ".csv"),
    Bad("source: /evload", "source: x\n    extensions: {A-b: x}", "15:18", "'A-b' is not a name", "lower-case"),
    # names that lead nowhere
    Bad("producer: api", "producer: apy", "27:15", "unknown producer 'apy'", "did you mean 'api'?"),
    Bad("producer: api", "producer: bus", "27:15", "unknown producer 'bus'", "what there is: api, commands"),
    Bad("{created: 1}", "{createt: 1}", "28:14", "unknown event 'createt'", "did you mean 'created'?"),
    Bad("[created]", "[createt]", "35:14", "unknown event 'createt'", "did you mean 'created'?"),
    Bad("[model]", "[model, modell]", "29:21", "unknown probe 'modell'", "did you mean 'model'?"),
    Bad("scenario: spike", "scenario: spyke", "41:61", "unknown scenario 'spyke'", "did you mean 'spike'?"),
    Bad("{correlation_id}", "{capture}", "29:14", "producer 'api' captures nothing", "capture:"),
    # costs and comparisons
    Bad("seed: 42", "costs: {x: {usage: sent}}", "2:12", "the key 'price' is missing", "add it"),
    Bad("seed: 42", "costs: {x: {usage: send, price: 1}}", "2:20", "'send' is no usage", "did you mean 'sent'?"),
    Bad("seed: 42", "costs: {x: {usage: rise(depth), price: 1}}", "2:20", "no gauge with 'depth'", "add a gauge"),
    Bad("seed: 42", "costs: {x: {usage: sent, price: -1}}", "2:33", "'-1' is no price", "write a number from 0 on"),
    Bad("seed: 42", "costs: {x: {usage: sent, price: true}}", "2:33", "true is no amount", "write a number"),
    Bad("seed: 42", "costs: {x: {usage: sent, price: 1, per: 1h}}", "2:41", "sent is no time", "write per: 1000000"),
    Bad("seed: 42", "costs: {x: {usage: sent, price: 1, unit: h}}", "2:36", "unknown key 'unit'", "usage, price"),
    Bad("seed: 42", "costs: {x: 5}", "2:12", "5 is not a mapping", "write keys and values"),
    Bad("seed: 42", "compare: {max_regression: [p98=5%]}", "2:28", "'p98' isn't a figure", "did you mean p99?"),
    Bad("seed: 42", "compare: {max_regression: [p99=5]}", "2:28", "'5' isn't a tolerance", "p99=10%"),
    Bad("seed: 42", "compare: {week_over_week: [throughput=100%]}", "2:28", "nothing can be worse", "less than 100%"),
    Bad("seed: 42", "compare: {limit: [errors=1]}", "2:19", "'1' is no limit of errors", "errors=0.5%"),
    Bad("seed: 42", "compare: {limit: [\"max(work.depth)=5\"]}", "2:19", "no gauge with 'work.depth'", "add a gauge"),
    Bad("seed: 42", "compare: {limits: [errors=1%]}", "2:11", "unknown key 'limits'", "did you mean 'limit'?"),
    Bad("seed: 42", "compare: {warn_above: 120%}", "2:23", "'120%' is more than the whole", "between 0% and 100%"),
    Bad("seed: 42", "compare: {warn_above: 100%}", "2:23", "'100%' is no part of a limit", "90%, or off"),
    Bad("duplicates == 0", "cost(month) < 5", "40:5", "nothing says what anything costs", "under costs:"),
    Bad("duplicates == 0", "cost(year) < 5", "40:5", "there is no cost of 'year'", "cost(1000 events), cost(run)"),
    # objectives
    Bad("p99(consistency)", "p99(consistancy)", "39:5", "no metric or gauge 'consistancy'", "'consistency'?"),
    Bad("duplicates == 0", "dupliactes == 0", "40:5", "there is no counter 'dupliactes'", "'duplicates'?"),
    Bad("duplicates == 0", "duplicates = 0", "40:5", "'duplicates = 0' is not an objective", "write"),
    Bad("p99(consistency) < 5s", "p99(consistency) < 5", "39:5", "'5' is not a duration", "250ms"),
    Bad("p99(consistency) < 5s", "ceiling > 500", "39:5", "'500' is not a rate", "500/s"),
    Bad("p99(consistency) < 5s", "ceiling < 500/s", "39:5", "a ceiling can't be compared by <", "write > or >="),
    Bad("p99(consistency) < 5s", "ceiling = 5/s", "39:5", "'ceiling = 5/s' is not an objective", "ceiling > 500/s"),
    Bad("p95(publish) < 3s", "ceiling > 3/s", "41:42", "'10s' is not a rate", "such as"),
    Bad(LAST, "ceiling > 3/s, critical: 10/s", "41:42", "critical 10/s is not looser", "below the limit"),
    Bad(LAST, "ceiling > 3/s, event: created", "41:39", "a ceiling belongs to no event", "leave event out"),
    Bad(f"{LAST}, scenario: spike", "ceiling > 3/s, scenario: spice", "41:42", "unknown scenario 'spice'", "spike"),
    Bad("p99(consistency) < 5s", "share(publish < 1s) >= 120%", "39:5", "'120%' is more than the whole", "100%"),
    Bad("critical: 10s", "critical: 1s", "41:46", "critical 1s is not looser", "above the limit"),
    Bad("critical: 10s", "critical: [1]", "41:46", "a list can't stand here", "write text or"),
    Bad("critical: 10s", "critical: 0.02", "41:46", "0.02 can't stand here", 'quotes: "0.02" or write a number'),
    Bad("p95(publish) < 3s,", "p95(first_seen) < 3s,", "41:5", "nobody looks for the effects", "probes: [...]"),
    Bad("    effects: body.effects\n", "", "39:5", "no probe could ever tell duplicated", "effects:"),
    Bad("duplicates == 0", "ended == 0", "40:5", "no probe could ever tell ended", "give the probe ended:"),
    Bad("duplicates == 0", "5", "40:5", "5 is not an objective", "p99("),
    # YAML itself
    Bad("  api:", "\tapi:", "5:1", "a tab", "indent with spaces"),
    Bad("seed: 42", "seed: 4: 2", "2:8", "a ':' stands where no key can be", "quotes"),
    Bad("seed: 42", "seed", "2:1", "a key has no ':' after it", "write key: value"),
    Bad("name: placements", "name: 'placements", "1:7", "a quote is opened and never closed", "close it"),
    Bad("loss: 0.5%}", "loss: 0.5%", "3:10", "a bracket isn't closed by }", "close it"),
    Bad('url: "{sandbox}/events"', "url: {sandbox}/events", "5:8", "a bracket isn't closed by }", "in quotes"),
    Bad("source: /evload", "source: {x}/y", "14:16", "this doesn't fit what is around it", "in quotes"),
    Bad("source: /evload", "source: @x", "14:13", "a text can't begin with @", "quotes"),
    Bad("source: /evload", "source: *x", "14:13", "the alias *x has no anchor", "&x"),
    Bad("source: /evload", "source: !env x", "14:13", "the tag !env is not supported", "leave it out"),
    Bad("source: /evload", 'source: "\\d"', "14:15", "'\\d' is no escape", "single quotes"),
    Bad("source: /evload", "source: a\x07b", "14:14", "the character U+0007", "remove it"),
    Bad("source: /evload", "source: &a [*a]", "14:13", "an alias stands within its own anchor", "write"),
    Bad("source: /evload", 'source: "\\ud83d"', "14:13", "half of a surrogate pair", "write the whole character"),
    Bad("seed: 42", "---\nseed: 42", "2:1", "a second document begins", "keep one"),
    # the environment
    # the warm-up and the guard
    Bad("    producer: commands", "    producer: commands\n    warmup: 1s", "35:13",
        "no event is due after a warm-up of 1 s, so nothing is judged", "write a shorter one"),
    Bad("    producer: commands", "    producer: commands\n    steady: true", "35:13",
        "steady claims a steady state in a phase with one rate, and this load has none", "add one such as"),
    Bad("    producer: commands", "    producer: commands\n    warmup: x", "35:13", "'x' is not a dur", "250ms"),
    Bad("seed: 42", "guard: {allows: [localhost]}", "2:9", "unknown key 'allows'", "did you mean 'allow'?"),
    Bad("seed: 42", "guard: {allow: localhost}", "2:16", "'localhost' is not a list", "write [localhost]"),
    Bad("seed: 42", 'guard: {deny: ["http://x.example/"]}', "2:16", "is an address and no host", "such as localhost"),
    Bad("seed: 42", 'guard: {allow: ["shop.example:80"]}', "2:17", "has a port", "leave the port out"),
    Bad("seed: 42", "guard: {shell: yes please}", "2:16", "'yes please' is no choice here", "allowed"),
    Bad("seed: 42", "guard: {most: 5}", "2:15", "5 is not a rate", "5/s"),
    Bad("seed: 42", "seed: ${SEED}", "2:7", "environment variable SEED isn't set", "write ${SEED:-a default}"),
    Bad("timeout: 5s", "timeout: '${T}'", "9:14", "environment variable T isn't set", "write ${T:-a default}"),
    Bad("source: /evload", "source: /${}", "14:13", "'${}' names no environment variable", "write ${NAME}"),
    Bad("source: /evload", "source: /${A", "14:13", "'${' is never closed", "write ${NAME}"),
]  # fmt: skip


def acting(do: str, column: int, what: str, cure: str) -> Bad:
    """An action in the good config that does this; the mistake stands in that column, from its own first letter."""
    old = "self_checks: {lateness: warn}\n"
    before = "  slow: {at: 1m, for: 1m, do: "
    new = f"{old}actions:\n{before}{do}, undo: none}}\n"
    return Bad(old, new, f"44:{len(before) + column}", what, cure)


TABLE += [
    # activities
    acting("{psot: http://x/, json: 1}", 1, "nothing says what is done", "did you mean 'post'?"),
    acting("{shel: docker pause db}", 1, "nothing says what is done", "did you mean 'shell'?"),
    acting("{}", 1, "nothing says what is done", "write one of delete, get, patch"),
    acting("docker pause db", 1, "'docker pause db' is no activity", "{shell: COMMAND}"),
    acting("{post: http://x/, get: http://x/}", 1, "post and get are two things to do", "make them a list"),
    acting("{post: http://x/, jsn: 1}", 19, "unknown key 'jsn'", "did you mean 'json'?"),
    acting("{post: http://x/, json: 1, body: a}", 1, "json and body are 2 bodies", "keep one"),
    acting("{get: http://x/, json: 1}", 18, "unknown key 'json'", "what there is: "),
    acting("{post: localhost/x}", 8, "'localhost/x' has no scheme", "write an address such as"),
    acting("{post: http://x/, expect: 99}", 27, "99 is not a final HTTP status", "2xx"),
    acting("{post: http://x/, timeout: 5}", 28, "5 is not a duration", "250ms"),
    acting("{post: http://x/, capture: {Id: status}}", 29, "'Id' can't be captured", "item_id"),
    acting("{post: http://x/, capture: {id: bdy}}", 28, "'bdy' looks at 'bdy'", "did you mean 'body'?"),
    acting('{post: "http://u:{secrets.pw}@x/"}', 8, "unknown secret 'pw'", "define it under secrets:"),
    acting('{shell: ""}', 9, "shell is empty", "docker pause db"),
    acting("{shell: []}", 9, "shell is empty", "docker pause db"),
    acting("{shell: x, expect: 300}", 20, "300 is too large", "255"),
    acting("{shell: x, expect: []}", 20, "no exit code is expected", "expect: 0"),
    acting("{sql: UPDATE t SET a = 1}", 1, "the key 'on' is missing", "add it"),
    acting("{sql: SELECT 1, on: shop.db}", 21, "'shop.db' is no address of a database", "sqlite:///shop.db"),
    acting("{sql: SELECT 1, on: postgersql://x/y}", 21, "'postgersql://x/y' is no address", "postgresql://?"),
    acting("{sql: SELECT 1; SELECT 2, on: sqlite:///a}", 1, "sql holds several statements", "a list"),
    acting("{sandbox: {wrkers: 0}}", 12, "unknown key 'wrkers'", "did you mean 'workers'?"),
    acting("{sandbox: {workers: -1}}", 21, "-1 is too small", "write 0 or more"),
    acting("{sandbox: {}}", 11, "nothing is changed", "{workers: 0}"),
    acting("{sandbox: {seed: 2}}", 12, "unknown key 'seed'", "what there is: workers"),
    acting("{sandbox: {replicas: [{name: r2}]}}", 11, "replicas can't come, go or be renamed", "list r1"),
    acting("{sandbox: {faults: [{what: slow-broker}]}}", 21, "slow-broker needs a delay", "200ms"),
    acting("{rabbitmq: http://x}", 1, "nothing says what is done", "write purge: QUEUE"),
    acting("{rabbitmq: http://x, purge: a, delete_policy: b}", 1, "purge and delete_policy are 2", "a list"),
    acting("{rabbitmq: amqp://x, purge: a}", 12, "'amqp://x' is not an http or https address", "http://"),
    acting(
        "{rabbitmq: http://x, limits: {max-conections: 1}}", 31, "'max-conections' is no choice", "max-connections"
    ),
    acting("{rabbitmq: http://x, close_connections: {}}", 41, "nothing says which connections", "a glob"),
    acting("{rabbitmq: http://x, call: {method: GET, path: /x}}", 48, "'/x' is no path of the API", "/api/queues"),
]


def added(text: str, line: int, column: int, what: str, cure: str) -> Bad:
    """Lines at the end of the good config, whose first is line 43; where among them the mistake stands."""
    old = "self_checks: {lateness: warn}\n"
    return Bad(old, old + text, f"{42 + line}:{column}", what, cure)


def action(times: str, column: int, what: str, cure: str, *, of: str = "do: {shell: x}, undo: none") -> Bad:
    """An action with these times; the mistake stands in that column of its line."""
    return added(f"actions:\n  slow: {{{times}{of}}}\n", 2, column, what, cure)


DOES = "do: {shell: x}, undo: none"

TABLE += [
    # when actions are done
    action("", 9, "nothing says when it is done", "write one of at: 2m"),
    action("at: 1m, after: base, ", 9, "it has at and after", "write one of at: 2m"),
    action("at: -1m, ", 14, "'-1m' is not a duration", "250ms"),
    action("at: 1, ", 14, "1 is not a duration", "250ms"),
    action("at: 1m, for: -10s, ", 23, "'-10s' is not a duration", "250ms"),
    action("at: 1m, for: 0s, ", 23, "'0s' is too small", "write 1ms or more"),
    action("at: 7m, ", 9, "it lasts until 7 min, and the run is over after 6 min", "write observe: 1m or more"),
    action("at: 5m, for: 90s, ", 9, "lasts until 6.5 min, and the run is over after 6 min", "observe: 30s or more"),
    action("after: bse, ", 17, "unknown scenario or action 'bse'", "did you mean 'base'?"),
    action("after: slow, ", 17, "'slow' waits for its own end", "name another action"),
    action("from: 1m, every: 10s, ", 9, "needs from, to and every", "write all three"),
    action("from: 2m, to: 1m, every: 10s, ", 9, "to comes before from", "write a later one"),
    action("from: 1m, to: 2m, every: 0s, ", 35, "'0s' is too small", "write 100ms or more"),
    action("from: 1m, to: 2m, every: 1s, for: 1s, ", 9, "done again before it is undone", "shorter than every:"),
    action(
        "from: 1m, to: 2m, every: 1s, ",
        9,
        "nothing says when it is undone",
        "shorter than every:",
        of="do: {shell: x}, undo: {shell: y}",
    ),
    action("at: 1m, every: 10s, ", 9, "every goes with from", "or leave every out"),
    action("when: queue_depth > 5, ", 16, "there is no gauge with 'queue_depth'", "add a gauge under gauges:"),
    action("when: soon, ", 16, "'soon' is not a condition", "write for example when: queue_depth > 100"),
    added(f"actions:\n  base: {{at: 1m, {DOES}}}\n", 2, 3, "'base' is the name of a scenario, too", "another"),
    added(f"actions:\n  a: {{at: 1m, {DOES}}}\n  a: {{at: 2m, {DOES}}}\n", 3, 3, "'a' is already on line 44", "keep"),
    added(
        f"actions:\n  a: {{at: 1m, do: {{shell: x}}, undo: {{shell: y}}}}\n  b: {{after: a, {DOES}}}\n",
        3,
        14,
        "'a' is on until the load is over, so 'b' would be done when nobody looks",
        "give 'a' for:, or write observe",
    ),
    added("actions: {slow: pause}\n", 1, 17, "'pause' is not a mapping", "write keys and values"),
    added("actions: [slow]\n", 1, 10, "a list is not a mapping", "write keys and values"),
    # what they do, and how it is undone
    action("at: 1m, ", 9, "the key 'do' is missing", "add it", of="undo: none"),
    action(
        "at: 1m, ",
        9,
        "nothing undoes what this does",
        "undo: none if nothing has to be put back",
        of="do: {shell: x}",
    ),
    action("at: 1m, ", 34, "unknown key 'undu'", "did you mean 'undo'?", of="do: {shell: x}, undu: none"),
    action("at: 1m, ", 40, "false is no activity", "or undo: none if nothing", of="do: {shell: x}, undo: false"),
    action("at: 1m, ", 40, "'no' is no activity", "or undo: none if nothing", of="do: {shell: x}, undo: no"),
    action("at: 1m, ", 40, "there is nothing to do", "or undo: none", of="do: {shell: x}, undo: []"),
    action("at: 1m, ", 39, "'undo' has no value", "or undo: none if nothing", of="do: {shell: x}, undo: "),
    action("at: 1m, ", 23, "a list is no activity", "{shell: COMMAND}", of="do: [[{shell: x}]], undo: none"),
    # before, after and behind a run
    added("observe: 5\n", 1, 10, "5 is not a duration", "250ms"),
    added("observe: -5m\n", 1, 10, "'-5m' is not a duration", "250ms"),
    added("observe: [5m]\n", 1, 10, "a list is not a duration", "250ms"),
    added("setup: {shell: x}\n", 1, 8, "a mapping is not a list", "write [...]"),
    added("setup: make db\n", 1, 8, "'make db' is not a list", "write [make db]"),
    added("setup: [make db]\n", 1, 9, "'make db' is no activity", "{shell: COMMAND}"),
    added("setup: [{shell: x, each: acked}]\n", 1, 20, "unknown key 'each'", "what there is: timeout"),
    added("setup: [{shell: x, capture: [id]}]\n", 1, 29, "a list is not a mapping", "{key: value}"),
    added("setup: [{shell: x, capture: {id: body.id}}]\n", 1, 29, "looks at 'body'", "one of code, output"),
    added(
        "setup: [{shell: x, capture: {key: output}}]\n",
        1,
        30,
        "{key} stands for something of each event",
        "call it otherwise, such as the_key",
    ),
    added("cleanup: [{shell: x, each: lost}]\n", 1, 28, "each: 'lost' is nothing", "write each: acked"),
    added("cleanup: [{shell: x, each: true}]\n", 1, 28, "each: true is nothing", "write each: acked"),
    added('cleanup: [{delte: "http://x/"}]\n', 1, 11, "nothing says what is done", "did you mean 'delete'?"),
    Bad(
        "{video_id: ",
        '{item: "{item}", video_id: ',
        "16:18",
        "unknown placeholder {item}",
        "capture it in a step of setup:",
    ),
    # the warm-up, phases that end early
    Bad(
        "    producer: api\n",
        "    producer: api\n    warmup: 10m\n",
        "28:13",
        "no event is due after",
        "a longer load",
    ),
    Bad("    producer: api\n", "    producer: api\n    warmup: -1s\n", "28:13", "'-1s' is not a duration", "250ms"),
    Bad("100/s, for: 5m}", "100/s, for: 5m, until: replicas == 0}", "32:39", "no gauge with 'replicas'", "gauges:"),
    Bad(
        "100/s, for: 5m}", "100/s, for: 5m, until: done}", "32:39", "'done' is not a condition", "until: queue_depth"
    ),
    Bad("100/s, for: 5m}", "100/s, for: 5m, until: [x == 0]}", "32:39", "a list is not text", "write text"),
    Bad("burst: 50", "{burst: 50, until: x == 0}", "37:9", "only a phase of one rate", "leave until out"),
    # objectives on actions and gauges
    Bad(
        "- duplicates == 0",
        "- {objective: duplicates == 0, during: slow}",
        "40:42",
        "unknown action 'slow'",
        "define it",
    ),
    Bad(
        "- duplicates == 0",
        "- {objective: duplicates == 0, during: base}",
        "40:42",
        "'base' is a scenario",
        "write scenario: base, or name an action",
    ),
    Bad(
        "- duplicates == 0", "- {objective: duplicates == 0, after: slow}", "40:41", "unknown scenario 'slow'", "base"
    ),
    Bad("duplicates == 0", "rise(dead_letters) == 0", "40:5", "no gauge with 'dead_letters' for rise", "gauges:"),
    Bad("duplicates == 0", "raise(dead_letters) == 0", "40:5", "unknown function 'raise'", "did you mean 'rise'?"),
    Bad(
        "duplicates == 0",
        "reach(queue_depth) < 5s",
        "40:5",
        "'queue_depth' is not a condition",
        "reach(queue_depth >",
    ),
    Bad(
        "duplicates == 0", "drain(queue_depth <= 10) < 10m", "40:5", "no gauge with 'queue_depth' to drain", "gauges:"
    ),
    Bad(
        "duplicates == 0",
        "integral(queue_depth < 5) < 5",
        "40:5",
        "integral takes a value of a gauge and no condition",
        "write integral(queue_depth)",
    ),
    Bad("duplicates == 0", "stretch(errors) < 5", "40:5", "'5' is not a duration", "250ms"),
    Bad(
        "duplicates == 0",
        "recovery(p95(consistency) < 2s) < 5m",
        "40:5",
        "has to count from a moment",
        "write after:",
    ),
    # what reports show
    added('labels: {build: "{secrets.pw}"}\n', 1, 17, "{secrets.pw} would be shown in every report", "no secret"),
    added("labels: [a]\n", 1, 9, "a list is not a mapping", "{key: value}"),
    added("labels: {build: }\n", 1, 16, "'build' has no value", "give it one"),
    added(
        "params: {users: {from: CONCURRENT}}\n", 1, 17, "variable CONCURRENT isn't set", "give the param a default:"
    ),
    added("params: {users: {frm: A, default: 1}}\n", 1, 18, "unknown key 'frm'", "did you mean 'from'?"),
    added(
        "params: {users: 5}\nobserve: ${params.user}\n", 2, 10, "no value of a param 'user'", "write it under params:"
    ),
    added("profiles: [smoke]\n", 1, 11, "the profiles are no mapping", "write names"),
    added("guard: [localhost]\n", 1, 8, "a list is not a mapping", "{key: value}"),
    added("guard: {allow: [5]}\n", 1, 17, "5 is not text", 'put it in quotes: "5"'),
    added("guard: {allow: [10.0.0.0/99]}\n", 1, 17, "'10.0.0.0/99' is no network", "10.1.0.0/16"),
    added('guard: {deny: [""]}\n', 1, 16, "'' is no host", "such as localhost"),
    added("guard: {shell: true}\n", 1, 16, "true is no choice here", "'allowed'"),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: f"{bad.where} {bad.what}")
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert bad.old in GOOD
    (line,) = lines_of(GOOD.replace(bad.old, bad.new, 1))
    where, _, told = line.removeprefix("load.yaml:").partition(": ")
    what, _, cure = told.partition("; ")
    assert where == bad.where
    assert bad.what in what
    assert bad.cure in cure


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "load.yaml:1:1: the file is empty; write at least producers:, events: and scenarios:"),
        ("# nothing\n", "load.yaml:1:1: the file is empty; write at least producers:, events: and scenarios:"),
        ("- a\n", "load.yaml:1:1: the file is not a mapping; write keys such as producers: at its top level"),
        ("seed: 1\n", "load.yaml:1:1: there is no scenario; add one under scenarios:"),
        ("seed: 1\nscenarios: {}\n", "load.yaml:2:1: there is no scenario; add one under scenarios:"),
        ("a: " + "[" * 60 + "]" * 60, "load.yaml:1:54: it is nested too deeply; use at most 50 levels"),
        ("a: " + "[" * 9999, "load.yaml:1:54: it is nested too deeply; use at most 50 levels"),
    ],
)  # fmt: skip
def test_files_that_are_no_config_at_all(text: str, line: str) -> None:
    assert lines_of(text) == [line]


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (line,) = lines_of(text)
    assert "there are more than 10000 values; use fewer, and a data file under records:" in line


def test_a_mistake_behind_an_anchor_is_told_once() -> None:
    assert lines_of("a: &a {b: 1, b: 2}\nc: *a\nd: {<<: *a}\n") == [
        "load.yaml:1:14: the key 'b' is already on line 1; keep one of the two"
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines() -> None:
    text = (
        GOOD.replace("seed: 42", "seed: ${SEED}")
        .replace("producer: api", "producer: bus")
        .replace("producer: commands", "producer: bus")
        .replace("{uuid}", "{uid}")
        .replace("duplicates", "dupliactes")
        .replace("workers: 4", "workers: four")
    )
    places = [line.removeprefix("load.yaml:").split(": ")[0] for line in lines_of(text)]
    assert places == ["2:7", "3:20", "16:22", "27:15", "34:15", "40:5"]


def test_a_variable_that_is_not_utf_8() -> None:
    (line,) = lines_of(GOOD.replace("source: /evload", "source: ${S}"), {"S": "\udcff"})
    assert line == "load.yaml:14:13: the value of environment variable S isn't UTF-8; set it to text"


def test_what_may_be_true_or_a_name_is_told_as_a_name() -> None:
    queue = "gauges: {q: {kind: sqs-queue, queue: orders, dead_letters: a b}}\n"
    (line,) = lines_of(GOOD + queue)
    assert line.partition(": ")[2].startswith(
        "'a b' is not an SQS queue; write its name, or its URL such as https://"
    )
    (line,) = lines_of(GOOD.replace("deadline: 15s", "reading: fast"))
    assert "'fast' is no choice here; write" in line


def test_two_scenarios_on_an_unknown_producer_are_both_told() -> None:
    text = GOOD.replace("producer: api", "producer: bus").replace("producer: commands", "producer: bus")
    assert lines_of(text) == [
        "load.yaml:27:15: unknown producer 'bus'; what there is: api, commands",
        "load.yaml:34:15: unknown producer 'bus'; what there is: api, commands",
    ]


def test_a_bad_template_of_a_producer_is_told_once_for_all_its_events() -> None:
    text = GOOD.replace("[created]", "[created, moved]").replace('"{key}"', '"{kay}"')
    text = text.replace("probes:\n  model", "  moved: {type: t, source: s, key: k}\nprobes:\n  model")
    assert lines_of(text) == ["load.yaml:10:22: unknown placeholder {kay} (for event 'created'); did you mean {key}?"]


def test_out_of_order_needs_a_probe_that_tells_the_position() -> None:
    text = GOOD.replace("duplicates == 0", "out_of_order == 0").replace("    position: body.position\n", "")
    (line,) = lines_of(text)
    assert line.startswith("load.yaml:39:5: no probe could ever tell out_of_order")


def test_the_address_of_the_sandbox_needs_a_sandbox() -> None:
    assert lines_of(GOOD.replace("sandbox: {workers: 4, loss: 0.5%}", "")) == [
        "load.yaml:5:26: {sandbox} without an embedded pipeline; add sandbox: {} at the top level",
        "load.yaml:20:10: {sandbox} without an embedded pipeline; add sandbox: {} at the top level",
    ]


@pytest.mark.parametrize(
    ("path", "value", "what", "cure"),
    [
        ("seed", None, "there is no '=' in it", "write --set PATH=VALUE, such as --set seed=7"),
        ("", "5", "'' is not a path", "such as load.0.rate"),
        ("a..b", "5", "'a..b' is not a path", "such as load.0.rate"),
        ("sede", "5", "unknown key 'sede'", "did you mean 'seed'?"),
        ("scenarios.bas.load.0.for", "1s", "there is no 'bas' in scenarios", "did you mean 'base'?"),
        ("scenarios.base.load.0.for", "1", "1 is not a duration", "write a number with a unit"),
        (
            "scenarios.base.load.3.for",
            "1s",
            "'3' is not an index of scenarios.base.load",
            "write a number from 0 to 1",
        ),
        ("scenarios.base.load.x", "1", "'x' is not an index of scenarios.base.load", "write a number from 0 to 2"),
        ("seed.x", "5", "seed is a single value", "leave out what comes after it"),
        ("seed", "", "'seed' has no value", "give it one"),
        ("seed", "${N}", "environment variable N isn't set", "set it, or write ${N:-a default}"),
        ("seed", "[1", "a bracket isn't closed by ]", "close it"),
        ("producers.api", "{kind: http, ulr: x}", "unknown key 'ulr'", "did you mean 'url'?"),
        ("producers.api.headers.x-a", "5", "5 is not text", 'put it in quotes: "5"'),
    ],
)
def test_a_bad_set_is_told_by_its_own_path(path: str, value: str | None, what: str, cure: str) -> None:
    (line,) = lines_of(GOOD, sets=[path if value is None else f"{path}={value}"])
    assert line.startswith(f"--set {path}: {what}")
    assert cure in line.partition("; ")[2]


def test_every_bad_set_is_told() -> None:
    assert len(lines_of(GOOD, sets=["seed", "nome.x.y"])) == 2


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no records"),
        (b"a,b\n", "has no records"),
        (b"a,b\n1,2\n3\n", "line 3"),
        (b"a,b\n\xff,2\n", "line 2: not UTF-8"),
    ],
)
def test_a_broken_csv_file_is_told_at_the_line_that_names_it(tmp_path: Path, content: bytes, told: str) -> None:
    write(tmp_path / "videos.csv", content)
    (line,) = records_lines(tmp_path, "videos.csv")
    assert line.startswith(f"{tmp_path / 'load.yaml'}:15:14: data file videos.csv")
    assert told in line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no records"),
        (b'{"a": 1}\n{"a": \n', "line 2"),
        (b'{"a": 1}\n[1]\n', "line 2"),
        (b'{"a": 1}\n{"b": 1}\n', "line 2"),
    ],
)
def test_a_broken_jsonl_file_is_told_at_the_line_that_names_it(tmp_path: Path, content: bytes, told: str) -> None:
    write(tmp_path / "videos.jsonl", content)
    (line,) = records_lines(tmp_path, "videos.jsonl")
    assert line.startswith(f"{tmp_path / 'load.yaml'}:15:14: data file videos.jsonl")
    assert told in line


def records_lines(directory: Path, file: str) -> list[str]:
    text = GOOD.replace("source: /evload", f"source: x\n    records: {file}")
    path = write(directory / "load.yaml", text.encode())
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ={})
    return str(caught.value).split("\n")


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path / "load.yaml", "name: x\nsource: größe\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ={})
    assert str(caught.value) == f"{path}:2:11: the byte 0xF6 is not UTF-8; save the file as UTF-8"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    unreadable = "the file can't be read ({}); check the path and its permissions"
    for path, told in (
        (tmp_path / "no.yaml", "there is no such file; check the path"),
        (tmp_path, "this is a directory; name the config file in it"),
        (write(tmp_path / "file", b"") / "x.yaml", unreadable.format("Not a directory")),
        (Path("a\0b"), unreadable.format("embedded null byte")),
    ):
        with pytest.raises(UsageError) as caught:
            config.load(path, environ={})
        assert str(caught.value) == f"{path}: {told}"
        assert caught.value.exit_code == 2


def test_no_secret_is_in_any_line() -> None:
    text = GOOD.replace("seed: 42", "seed: ${S}").replace("http://localhost:8080/items", "${URL}")
    secrets = {"S": "hunter2", "URL": "ftp://user:pass%21word@internal.example/path?token=1"}
    told = "\n".join(lines_of(text, secrets))
    assert "'${S}' is not a whole number" in told
    assert "${URL}" in told
    for secret in ("hunter2", "pass%21word", "pass!word", "internal.example", "token=1"):
        assert secret not in told


_TELLING = (
    "5s", "100/s", "10%", "0", "1e999", "[[", "{", "{data.x}", "{sandbox}", "${X}", "${", "http", "api", "created",
    "p99(publish) < 1s", "http://[", "http://x/{capture}",
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(_TELLING)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, item in items for place in ((*path, key), *_places(item, (*path, key)))]


_DATA: dict[str, Any] = yaml.safe_load(GOOD)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_changed_ends_in_a_config_or_in_problems_with_a_place(data: st.DataObject) -> None:
    mutant = copy.deepcopy(_DATA)
    for _ in range(data.draw(st.integers(1, 3))):
        if not (places := _places(mutant)):
            break
        *around, last = data.draw(st.sampled_from(places))
        holder: Any = mutant
        for step in around:
            holder = holder[step]
        if data.draw(st.booleans()):
            holder[last] = data.draw(_VALUES)
        else:
            del holder[last]
    text = yaml.safe_dump(mutant, sort_keys=False, allow_unicode=data.draw(st.booleans()))
    problems: tuple[Problem, ...] = ()
    try:
        load(text)
    except ConfigError as error:
        problems = error.problems
    for problem in problems:
        assert re.fullmatch(r"load\.yaml:\d+:\d+", problem.where)
        assert problem.what
        assert problem.cure
        assert str(problem).isprintable()


@given(st.text(max_size=60))
def test_any_text_ends_in_problems_with_a_place(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert all(re.fullmatch(r"load\.yaml:\d+:\d+", problem.where) for problem in caught.value.problems)


# -- files that have no end, or are no files ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_records_come_from_a_file_alone(kind: str, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    if kind == "pipe":
        os.mkfifo(data)
    elif kind == "device":
        data.symlink_to("/dev/zero")
    else:
        data.mkdir()
    text = GOOD.replace("    source: /evload\n", f"    source: /evload\n    records: {data}\n")
    (line,) = lines_of(text)
    said = "Is a directory" if kind == "directory" else "it is no regular file"
    assert f"data file {str(data)!r} can't be read: {said}; name a readable file" in line


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ("a: {kind: html}\n  b: {kind: html}", "reports.b: it writes report.html, as 'a' does"),
        ("a: {kind: html}\n  b: {kind: markdown, file: ./x/../report.html}", "it writes report.html, as 'a' does"),
        ("a: {kind: csv}\n  b: {kind: files, format: csv}", "it writes files of csv, as 'a' does"),
        ("a: {kind: csv}\n  b: {kind: csv, directory: b}\n  c: {kind: hlog}\n  d: {kind: prometheus}", ""),
        ("a: {kind: html}\n  b: {kind: html, file: b/report.html}", ""),
    ],
)
def test_two_reports_of_one_file(reports: str, said: str) -> None:
    text = f"{GOOD}reports:\n  {reports}\n"
    if not said:
        assert load(text).config.reports.keys() >= {"a", "b"}
        return
    (line,) = lines_of(text)
    assert said.removeprefix("reports.b: ") in line
    assert line.startswith("load.yaml:45:6: ")
    assert line.endswith("; give one of them another file or directory")
