"""`evload doctor`: what it says of targets that are well, away, or there and not behaving."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evload.commands import doctor
from evload.config import load_text
from evload.model.report import Result
from tests.rigs.commands import evload

CONFIG = """
sandbox: {}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  event: {type: t, source: /s}
probes:
  read-model: {kind: http, url: "{sandbox}/items/{correlation_id}"}
scenarios:
  main: {producer: broker, events: [event], probes: [read-model], load: [{rate: 10/s, for: 1s}]}
"""


def examined(text: str) -> tuple[int, str]:
    loaded = load_text(text, "config.yaml", base_dir=Path(), environ={})
    printed = StringIO()
    code = doctor.run(loaded, Console(width=200, file=printed))
    return code, printed.getvalue()


def line_about(what: str, output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith(what)]
    return line


def test_a_system_that_is_well() -> None:
    code, output = examined(CONFIG)
    assert code == 0
    assert " ok " in line_about("producer broker", output)
    assert "doesn't know an event that was never sent" in line_about("probe read-model", output)


def test_every_target_that_is_away_is_named_and_the_others_are_still_tried() -> None:
    code, output = examined(CONFIG.replace("{sandbox}/events", "http://127.0.0.1:1/events"))
    assert code == 3
    assert "refused" in line_about("producer broker", output)
    assert " ok " in line_about("probe read-model", output)


def test_an_extra_that_is_missing_stands_in_the_table_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # The reader, which needs what comes with aiormq, may have been imported already.
    for module in ("aiormq", "asyncpg", "evload.gauges.rabbitmq_queue.reader"):
        monkeypatch.setitem(sys.modules, module, None)
    config = CONFIG.replace('{kind: http, url: "{sandbox}/events"}', "{kind: rabbitmq, url: amqp://127.0.0.1/}")
    config += """
gauges:
  queue: {kind: rabbitmq-queue, url: amqp://127.0.0.1/, queue: q}
"""
    query = "SELECT id FROM t WHERE id = ANY(:ids)"
    config = config.replace(
        '{kind: http, url: "{sandbox}/items/{correlation_id}"}',
        f"""
    kind: postgres
    url: postgresql://127.0.0.1/
    query: {query}
""",
    )
    code, output = examined(config)
    assert code == 3
    for what, kind, sdk, extra in (
        ("producer broker", "rabbitmq", "aiormq", "rabbitmq"),
        ("probe read-model", "postgres", "asyncpg", "postgres"),
        ("gauge queue", "rabbitmq-queue", "aiormq", "rabbitmq"),
    ):
        assert f" bad  kind {kind} needs {sdk}; pip install 'evload[{extra}]'" in line_about(what, output)
    assert " ok " in line_about("timers", output) or " bad " in line_about("timers", output)


def test_a_probe_that_sees_events_that_were_never_sent_is_no_good() -> None:
    blind = CONFIG.replace('{correlation_id}"}', '{correlation_id}", visible: "status == `404`"}')
    code, output = examined(blind)
    assert code == 3
    assert "never sent" in line_about("probe read-model", output)


def test_a_read_model_whose_answer_says_nothing_is_found_before_the_run() -> None:
    code, output = examined(CONFIG.replace('{correlation_id}"}', '{correlation_id}", expect: [200]}'))
    assert code == 3
    assert "a read failed" in line_about("probe read-model", output)


def test_a_machine_that_is_too_slow_for_the_config() -> None:
    code, output = examined(CONFIG.replace("10/s", "900000000/s"))
    assert code == 5
    assert " bad " in line_about("speed", output)


def test_what_it_names_and_is_told_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    """A replica's name, and what the file behind it says."""
    name = "eu\\e[31m\\u202e ##[error]x [/red] :smile:"
    at = f'at: {{"{name}": {{url: "http://127.0.0.1:1/{{correlation_id}}"}}}}'
    (tmp_path / "c.yaml").write_text(CONFIG.replace('url: "{sandbox}/items/{correlation_id}"', at))
    ended = evload("doctor", "c.yaml", cwd=tmp_path, env={"COLUMNS": "200"})
    assert ended.code == 3
    assert all(letter == "\n" or letter.isprintable() for letter in ended.said)
    assert "##[" not in ended.said
    assert "# #[error]x [/red] :smile:" in ended.out
    assert "refused" in line_about("probe read-model", ended.out)


@pytest.mark.parametrize(("found", "code"), [([], 0), ([0, 5], 5), ([0, 3], 3), ([5, 3, 5], 3)])
def test_a_target_that_is_missing_goes_before_a_machine_that_is_busy(found: list[int], code: int) -> None:
    assert doctor.exit_code_of([doctor.Examined("x", Result.FAIL, "", each) for each in found]) == code


JOURNEYS = """
producers: {shop: {kind: http, url: "http://127.0.0.1:1"}}
events: {event: {type: t, source: /s}}
journeys: {order: {steps: [{create: {to: shop, post: /orders}}]}}
scenarios:
"""
BEAT = "  beat: {producer: shop, events: [event], load: [{rate: 10/s, for: 1s}]}\n"
BUYERS = "  buyers: {journeys: [order], load: [{from: 0 users, to: 30 users, for: 1m}, {users: 50, for: 1m}]}\n"
ONE = "  one: {journeys: [order], load: [{users: 1, for: 1m}]}\n"
ARRIVALS = "  arrivals: {journeys: [order], load: [{from: 0/s, to: 500/s, for: 1m}]}\n"


@pytest.mark.parametrize(
    ("scenarios", "said"),
    [
        (ONE, "the config asks for 1 user, whose steps are sent as the answers allow"),
        (BUYERS + ONE, "the config asks for up to 51 users, whose steps"),
        (ARRIVALS + BUYERS, "the config asks for up to 50 users and iterations at up to 500/s, whose steps"),
        (BEAT, "on half a core; the config asks for 10/s at its peak\n"),
        (
            BEAT + ARRIVALS + ONE,
            "the config asks for 10/s at its peak, beside 1 user and iterations at up to 500/s, ",
        ),
    ],
)
def test_how_much_a_config_asks_for(scenarios: str, said: str) -> None:
    _, output = examined(JOURNEYS + scenarios)
    assert said in line_about("speed", output).rstrip() + "\n"
