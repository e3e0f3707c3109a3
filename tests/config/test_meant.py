"""What people write who know other tools, or YAML a little: the error says what is meant, and how to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evload.config import load_text
from evload.errors import ConfigError
from evload.spi.registry import kinds
from tests.rigs.commands import assert_one_clear_line, evload

GOOD = """\
producers: {api: {kind: http, url: "http://localhost:8080/events"}}
events: {e: {type: t, source: /s, data: {id: "{uuid}"}}}
probes: {r: {kind: http, url: "http://localhost:8080/items/{correlation_id}"}}
scenarios:
  s:
    producer: api
    events: [e]
    probes: [r]
    load: [{rate: 10/s, for: 30s}]
slos: [p95(end_to_end) < 5s]
"""
PRODUCERS = ", ".join(sorted(kinds("evload.producers")))
ELSE = "anything else needs a plug-in (docs/plugins.md), or an HTTP API in front of it (kind: http)"
END_TO_END = "did you mean 'end_to_end'?"
ADD_LOAD = "the key 'load' is missing; add it to the mapping that begins here, such as load: [{rate: 10/s, for: 1m}]"
WRITE_LOAD = "here it is 'load': write load: [{rate: 10/s, for: 1m}]"
WRITE_SLOS = "here it is 'slos': write slos: [p99(end_to_end) < 5s, lost == 0]"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_text(text, "c.yaml", environ={})
    return str(raised.value).splitlines()


def test_it_is_good() -> None:
    load_text(GOOD, "c.yaml", environ={})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("p(99)<5000", "'p(99)<5000' doesn't say of what; write p99(end_to_end) < 5s"),
        ("p(95) <= 250", "'p(95) <= 250' doesn't say of what; write p95(end_to_end) <= 250ms"),
        ("http_req_duration: p(99.9)<1500", "doesn't say of what; write p99.9(end_to_end) < 1.5s"),
        ("p99 < 2s", "'p99 < 2s' doesn't say of what; write p99(end_to_end) < 2s"),
        ("p95(e2e) < 5s", f"there is no metric or gauge 'e2e'; {END_TO_END}"),
        ("share(response-time < 5s) > 95%", f"there is no metric or gauge 'response-time'; {END_TO_END}"),
        ("max(Latency) < 5s", f"there is no metric or gauge 'Latency'; {END_TO_END}"),
        ("lost = 0", "'lost = 0' is not an objective; write lost == 0"),
        ("rate(errors)=0%", "'rate(errors)=0%' is not an objective; write rate(errors) == 0%"),
        ("p99(consistency) = 2s", "is not an objective; write p99(consistency) <= 2s"),
        ("errors < 1%", "errors is a number of events, and 1% a share of them; write rate(errors) < 1%"),
    ],
)
def test_objectives(written: str, told: str) -> None:
    (line,) = problems(GOOD.replace("p95(end_to_end) < 5s", f'"{written}"'))
    assert line.startswith("c.yaml:10:8: ")
    assert line.endswith(told)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param('kind: http, url: "http://localhost:8080/events"', "kind: kafka, brokers: [k]",
         [f"1:25: unknown kind 'kafka'; installed kinds: {PRODUCERS}; {ELSE}"], id="kafka"),
        pytest.param('kind: http, url: "http://localhost:8080/events"', "kind: amqp, url: amqp://h/",
         ["1:25: unknown kind 'amqp'; did you mean 'rabbitmq'?"], id="amqp"),
        pytest.param("    load: [{rate: 10/s, for: 30s}]\n", "", [f"6:5: {ADD_LOAD}"], id="no-load"),
        pytest.param("[{rate: 10/s, for: 30s}]", "{rate: 10/s, for: 30s}",
         ["9:11: a mapping is not a list; write [{rate: 10/s, for: 30s}]"], id="load-without-brackets"),
        pytest.param("[{rate: 10/s, for: 30s}]", "10/s",
         ["9:11: '10/s' is not a list; write [{rate: 10/s, for: 1m}]"], id="load-of-a-rate"),
        pytest.param("load: [{rate: 10/s, for: 30s}]", "stages: [{duration: 1m, target: 5}]",
         [f"9:5: unknown key 'stages'; {WRITE_LOAD}"], id="stages"),
        pytest.param("slos: [p95(end_to_end) < 5s]", "thresholds: {e2e: ['p(99)<5000']}",
         [f"10:1: unknown key 'thresholds'; {WRITE_SLOS}"], id="thresholds"),
        pytest.param("slos: [p95(end_to_end) < 5s]", "slos: lost == 0",
         ["10:7: 'lost == 0' is not a list; write [lost == 0]"], id="one-slo"),
        pytest.param("rate: 10/s", "rate: 5", ["9:19: 5 is not a rate; write a rate such as 5/s or 5/min"], id="5"),
        pytest.param("rate: 10/s", "rate: -5/s",
         ["9:19: '-5/s' is not a rate; write a rate such as 5/s: none is below zero"], id="minus-5"),
        pytest.param('"{uuid}"', '"{{uuid}}"',
         ["2:46: {{uuid}} is the text {uuid} in every event; write {uuid}, in single braces"], id="two-braces"),
        pytest.param('"{uuid}"', '"no. {{ int:1..5 }}"',
         ["2:46: {{ int:1..5 }} is the text {int:1..5} in every event; write {int:1..5}, in single braces"],
         id="two-braces-within"),
        pytest.param('"{uuid}"', "{uuid}",
         ['2:46: {uuid} without quotes is a mapping, and no placeholder; write "{uuid}"'], id="no-quotes"),
        pytest.param('"{uuid}"', "[{choice:a,b}]",
         ['2:47: {choice:a,b} without quotes is a mapping, and no placeholder; write "{choice:a,b}"'],
         id="no-quotes-in-a-list"),
    ],
)  # fmt: skip
def test_configs(old: str, new: str, told: list[str]) -> None:
    assert GOOD.count(old) == 1
    assert problems(GOOD.replace(old, new)) == [f"c.yaml:{line}" for line in told]


@pytest.mark.parametrize(
    "data", ["{uuid: null}", "{}", "{a: {b}}", '"{{{uuid}}}"', '"{{{{uuid}}}}"', '"{{name}}"', '"{{uuid"']
)
def test_what_only_looks_like_it_is_good(data: str) -> None:
    load_text(GOOD.replace('"{uuid}"', data), "c.yaml", environ={})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--rate", "5"], "--rate: '5' is not a rate; write a rate such as 5/s or 5/min"),
        (["--rate=-5/s"], "--rate: '-5/s' is not a rate; write a rate such as 5/s: none is below zero"),
        (["--for", "30"], "--for: '30' is not a duration; write a number with a unit"),
        (["--rate", "900000000/s", "--for", "9d"], "--rate: this load has "),
        (["--type", "{kind}"], "--type: unknown placeholder {kind}"),
        (["--data", '{"id": "{{uuid}}"}'], "--data: {{uuid}} is the text {uuid} in every event; write {uuid}"),
        (["--arrivals", "even"], "--arrivals: 'even' is no choice here; write 'constant' or 'poisson'"),
        (["--probe", "http://h/items"], "--probe: url asks for no event; put {correlation_id}"),
        (["--probe", "http://h/{correlation_id}", "--visible", "a ="], "--visible: 'a =' is not JMESPath"),
        (["--probe", "http://h/{correlation_id}", "--deadline", "5"], "--deadline: '5' is not a duration"),
        (["--slo", "lost = 0"], "--slo: 'lost = 0' is not an objective; write lost == 0"),
        (["--set", "scenarios.burst.load.0.rate=5"], "--set scenarios.burst.load.0.rate: 5 is not a rate"),
    ],
    ids=lambda value: value[0].partition("=")[0] + str(len(value)) if isinstance(value, list) else "",
)
def test_burst_names_the_option(options: list[str], told: str, tmp_path: Path) -> None:
    ended = evload("burst", "http://127.0.0.1:9/", *options, "--print-config", cwd=tmp_path)
    assert_one_clear_line(ended, 2)
    assert ended.err.startswith(told)


def test_burst_names_the_url_and_what_rabbitmq_is_told(tmp_path: Path) -> None:
    assert evload("burst", "kafka://h:9092/t", cwd=tmp_path).err == (
        "kafka://h:9092/t: can't send to kafka; write a URL that begins with one of http://, https://, amqp://, "
        f"amqps://, eventbridge://; {ELSE}\n"
    )
    slashes = evload("burst", "amqp://h/a/b", "--exchange", "x", cwd=tmp_path)
    assert_one_clear_line(slashes, 2, "URL: 'amqp://h/a/b' has a virtual host with a slash")
    brace = evload("burst", "amqp://h/", "--exchange", "x{", cwd=tmp_path)
    assert_one_clear_line(brace, 2, "--exchange: a lone { in 'x{'")
