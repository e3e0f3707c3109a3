"""The JSON Schema accepts the configs that evload accepts, and refuses what an editor can see is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from evload.config import load_text
from evload.config.schema import DIALECT, json_schema
from evload.spi import registry as plugins

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
EXAMPLE = """\
name: placement-consistency
seed: 42
sandbox: {service: {lognormal: {median: 5ms, p99: 20ms}}, replicas: [{name: r1}, {name: r2, lag: 1s}]}
producers:
  api: {kind: http, url: "http://localhost:8080/events", mode: structured}
  env: {kind: http, url: "${API_URL:-http://localhost/}", timeout: "${TIMEOUT:-5s}", connections: "${N:-10}"}
events:
  placement-created:
    type: placement.created
    source: /evload/placements
    key: "{data.video_id}"
    data: {video_id: "{uuid}", product_id: "{choice:p-1,p-2}", time_range: {start_time: 0, end_time: 30}}
journeys:
  order:
    vars: {mail: "u{iteration}@example.com"}
    begin: [{login: {to: api, post: /login, form: {user: "u{user}"}, capture: {token: {from: body.t, secret: true}}}}]
    steps:
      - create: {to: api, post: /orders, json: [null, "{mail}"], expect: [201, 2xx], capture: {order: body.id}}
      - think: 500ms..2s
      - choose: [{weight: 0.5, steps: [{paid: {to: env, put: "/o/{order}", check: {is paid: body.paid}}}]}]
      - ship: {to: api, get: /x, refused: 409, else: [{continue: true}], retry: {"on": [429], times: 2, after: 1s}}
      - placed: {to: api, event: placement-created, give: {jobs: "{order}"}}
    finally: [{close: {to: api, delete: "/orders/{order}", query: {by: "{user}"}, headers: {a: "{token}"}}}]
  work: {steps: [{do: {to: api, get: "/jobs/{job}", take: {job: jobs}, within: 5s}}]}
probes:
  read-model:
    kind: http
    url: "http://localhost:8080/placements/{correlation_id}"
    visible: "status == `200` && body.file_url"
    effects: "length(body.items)"
    deadline: 15s
    confirm: {reads: 3, over: 10s}
    tag: {cold: body.cold}
gauges:
  outbox: {kind: http-json, url: "http://localhost:8080/outbox", values: {pending: body.pending}}
scenarios:
  baseline:
    producer: api
    events: {placement-created: 1}
    probes: [read-model]
    arrivals: constant
    load:
      - {from: 0/s, to: 100/s, for: 1m}
      - {rate: 100/s, for: 5m}
      - {steps: [50/s, 100/s], each: 1m}
      - {burst: 50}
      - {idle: 15m}
  spike:
    start: 5m
    producer: env
    events: [placement-created]
    probes: [read-model]
    load: [{burst: 100}]
  people:
    journeys: {order: 3, work: 1}
    think: 1s..2s
    load: [{from: 0 users, to: 50 users, for: 10s}, {users: 50, iterations: 400, for: 5m}]
  workers: {journeys: [work], load: [{users: 3, for: 5m}], every: 5s}
  jobs: {journeys: [work], load: [{rate: 5/s, iterations: 400}]}
slos:
  - p99(end_to_end) < 5s
  - share(consistency < 2s) >= 95%
  - lost == 0
  - {objective: p95(end_to_end) < 3s, critical: 10s, scenario: spike}
self_checks: {headroom: warn, lateness: "off"}
settle: 10s
"""


@pytest.fixture(scope="module")
def errors() -> Callable[[Any], list[str]]:
    validator = Draft202012Validator(json_schema(print))
    return lambda data: [error.message for error in validator.iter_errors(data)]


def test_it_is_a_schema_and_plain_json() -> None:
    schema = json_schema(print)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert json.loads(json.dumps(schema)) == schema


def test_the_example_is_good_for_both(errors: Callable[[Any], list[str]]) -> None:
    assert errors(yaml.safe_load(EXAMPLE)) == []
    load_text(EXAMPLE, "example.yaml", environ={})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configs_that_come_with_it_are_good(path: Path, errors: Callable[[Any], list[str]]) -> None:
    assert errors(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("sede",), 5),
        (("seed",), -5),
        (("seed",), "five"),
        (("settle",), 10),
        (("slos",), "lost == 0"),
        (("slos", 0), {"objectiv": "lost == 0"}),
        (("costs",), {"requests": {"usage": "sent"}}),
        (("costs",), {"requests": {"usage": "sent", "prize": 1}}),
        (("compare",), {"limits": ["errors=1%"]}),
        (("compare",), {"limit": "errors=1%"}),
        (("self_checks", "headroom"), "maybe"),
        (("sandbox", "workers"), "four"),
        (("sandbox", "service"), {"lognormal": {"median": "5ms"}}),
        (("producers", "api", "kind"), "carrier-pigeon"),
        (("producers", "api", "ulr"), "http://x/"),
        (("producers", "api", "timeout"), "5 seconds"),
        (("producers", "api"), {"url": "http://x/"}),
        (("events", "placement-created"), {"type": "x"}),
        (("probes", "read-model", "confirm", "reads"), 1001),
        (("gauges", "outbox", "values"), {"": "body.pending"}),
        (("gauges", "outbox", "values"), {"still pending": "body.pending"}),
        (("probes", "read-model", "tag"), {"": "body.cold"}),
        (("probes", "read-model", "tag"), {"is cold": "body.cold"}),
        (("scenarios",), {}),
        (("scenarios", "spike", "events"), []),
        (("scenarios", "spike", "events"), {"placement-created": 0}),
        (("scenarios", "spike", "arrivals"), "random"),
        (("scenarios", "spike", "load", 0), {"rate": "100/s"}),
        (("scenarios", "spike", "load", 0), {"rate": "100", "for": "5m"}),
        (("scenarios", "spike", "producer"), None),
        (("scenarios", "spike"), {"load": [{"burst": 1}]}),
        (("scenarios", "people", "think"), "often"),
        (("scenarios", "people", "load", 0), {"from": "0 users", "to": "5", "for": "10s"}),
        (("scenarios", "people", "load", 0), {"users": 0, "for": "10s"}),
        (("scenarios", "jobs", "load", 0), {"rate": "5/s"}),
        (("journeys", "work", "steps"), []),
        (("journeys", "work"), {"vars": {}}),
        (("journeys", "work", "steps", 0), {"a": {"to": "api", "get": "/"}, "b": {"to": "api", "get": "/"}}),
        (("journeys", "work", "steps", 0), {"do": {"to": "api", "got": "/"}}),
        (("journeys", "work", "steps", 0), {"do": {"get": "/"}}),
        (("journeys", "work", "steps", 0), {"continue": False}),
        (("journeys", "work", "steps", 0), {"think": "1"}),
        (("journeys", "order", "steps", 2, "choose", 0, "weight"), 0),
        (("journeys", "order", "steps", 3, "ship", "refused"), "none"),
        (("journeys", "order", "steps", 3, "ship", "retry", "times"), 0),
        (("journeys", "order", "steps", 3, "ship", "else", 0), {"go": True}),
    ],
)
def test_what_an_editor_underlines(
    place: tuple[str | int, ...], value: object, errors: Callable[[Any], list[str]]
) -> None:
    data = copy.deepcopy(yaml.safe_load(EXAMPLE))
    holder: Any = data
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    assert errors(data)


def test_a_variable_can_stand_for_any_value(errors: Callable[[Any], list[str]]) -> None:
    data = yaml.safe_load(EXAMPLE)
    data["seed"] = "${SEED}"
    data["settle"] = "${SECONDS}s"
    data["scenarios"]["baseline"]["load"][1]["rate"] = "${RATE:-5/s}"
    data["scenarios"]["baseline"]["arrivals"] = "${ARRIVALS}"
    assert errors(data) == []


def test_every_installed_adapter_is_in_it() -> None:
    text = json.dumps(json_schema(print))
    for kind in (*plugins.kinds("evload.producers"), *plugins.kinds("evload.probes")):
        assert f'"const": "{kind}"' in text


def test_every_key_of_a_journey_is_described() -> None:
    schema = json_schema(print)
    kinds = ("Journey", "Step", "Sending", "Branch", "Capture", "Retry")
    found = {kind: schema["$defs"][f"Written{kind}"]["properties"] for kind in kinds}
    assert [key for keys in found.values() for key, about in keys.items() if not about.get("description")] == []
    assert schema["$defs"]["WrittenStep"]["additionalProperties"] == {"$ref": "#/$defs/WrittenSending"}


def test_defaults_are_written_as_a_person_would() -> None:
    settle = json_schema(print)["properties"]["settle"]
    assert settle["description"]
    assert "default" not in settle
