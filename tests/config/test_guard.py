"""What a config may load: each that a run would open is held against all guards, at its place in the file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from evload.config import LoadedConfig, load_text
from evload.config.guard import held
from evload.config.part import check_profiles, part_of
from evload.errors import ConfigError, UsageError
from evload.spi import registry
from evload.spi.context import AdapterSettings
from evload.workload.schedule import Load, peak

TEXT = """\
sandbox: {}
producers:
  api: {kind: http, url: "https://api.staging.example.com/events"}
  own: {kind: http, url: "{sandbox}/events"}
  shop: {kind: http, url: "https://shop.example/events"}
events: {created: {type: created, source: /evload}}
probes:
  view:
    kind: http
    url: http://localhost:8080/{correlation_id}
    at: {a: {url: "http://localhost:1/{correlation_id}"}, b: {url: "http://10.9.9.9:1/{correlation_id}"}}
  items: {kind: http, url: "{sandbox}/items/{correlation_id}"}
gauges:
  load: {kind: command, run: "echo 1"}
  depth: {kind: rabbitmq-queue, url: "amqp://u:pw@mq.prod.example/", queue: q}
scenarios:
  base: {producer: api, events: [created], load: [{rate: 100/s, for: 10s}, {burst: 50}]}
  spike: {producer: own, events: [created], probes: [items], start: 5s, load: [{from: 0/s, to: 300/s, for: 4s}]}
reports:
  page: {kind: html}
  hook: {kind: webhook, url: "https://hooks.example/x"}
"""
PLAIN = TEXT.replace('  load: {kind: command, run: "echo 1"}\n', "").replace("mq.prod.example", "localhost").replace(
    "  hook: ", "  # hook: "
)  # fmt: skip


def read(guard: str, text: str = TEXT, *, sets: Sequence[str] = (), **more: Any) -> LoadedConfig:
    return load_text(text + guard, "load.yaml", environ={}, sets=sets, **more)


def refused(
    guard: str, text: str = TEXT, *, environ: Mapping[str, str] | None = None, may: Sequence[str] = ()
) -> list[str]:
    """The lines that somebody is told; none if nothing is outside."""
    try:
        held(read(guard, text), environ or {}, may)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_without_a_guard_everybody_may_be_loaded() -> None:
    assert refused("") == []


def test_what_is_outside_is_told_with_its_place() -> None:
    lines = refused('guard: {allow: [localhost, "*.staging.example.com"], deny: ["*.prod.*"]}\n')
    assert [line.split(": ")[0] for line in lines] == ["load.yaml:14:9", "load.yaml:15:38", "load.yaml:21:30"]
    assert "nobody can tell whom a command speaks to" in lines[0]
    assert lines[0].endswith("; write shell: allowed there, or leave it out")
    assert "the guard of this config denies mq.prod.example, by *.prod.*; name another target" in lines[1]
    assert "hooks.example is outside the guard of this config, which allows localhost, *.staging" in lines[2]
    assert lines[2].endswith("; add it there, or say --i-may-load hooks.example")


@pytest.mark.parametrize(
    ("guard", "count"),
    [
        ('allow: [localhost, "*.staging.example.com"]', 0),
        ("allow: ['*']", 0),
        ("deny: [shop.example]", 0),
        ("deny: ['*.staging.*']", 1),
        ("allow: [localhost]", 1),
        ("allow: []", 2),
        ("deny: ['*']", 2),
        ("allow: [api.staging.example.com]", 1),
    ],
)
def test_only_what_a_run_would_open_counts(guard: str, count: int) -> None:
    """No scenario uses `shop` and `view`, and the embedded pipeline is evload's own."""
    assert len(refused(f"guard: {{{guard}}}\n", PLAIN)) == count


def test_each_replica_is_looked_at() -> None:
    text = PLAIN.replace("probes: [items]", "probes: [view]")
    (line,) = refused('guard: {allow: [localhost, "*.staging.example.com"]}\n', text)
    assert line.startswith("load.yaml:11:68: 10.9.9.9 is outside")


def test_a_part_of_a_config_is_held_by_itself() -> None:
    guard = "guard: {allow: [], most: 300/s}\n"
    assert held(part_of(read(guard, PLAIN.replace("localhost/", "localhost/")), ["spike"]), {}, ["localhost"])
    with pytest.raises(ConfigError, match=r"api\.staging\.example\.com is outside"):
        held(part_of(read(guard, PLAIN), ["base"]), {}, ["localhost"])


def test_a_secret_that_is_fetched_is_looked_at_if_somebody_needs_it() -> None:
    secrets = """
secrets:
  used: {post: "https://id.example/login", take: body.t}
  unused: {post: "https://other.example/login", take: body.t}
"""
    text = PLAIN.replace('.com/events"}', '.com/events", headers: {a: "{secrets.used}"}}')
    guard = "guard: {allow: [localhost, '*.staging.example.com']}\n"
    (line,) = refused(guard, text + secrets)
    assert "id.example is outside" in line
    assert refused(guard, text + secrets, may=["id.example"]) == []


def test_who_says_so_may_load_what_is_not_allowed() -> None:
    guard = "guard: {allow: [localhost], deny: ['*.prod.*']}\n"
    assert refused(guard, PLAIN, may=["API.staging.example.com"]) == []
    assert len(refused(guard, PLAIN, may=["staging.example.com"])) == 1
    denied = refused(guard, PLAIN.replace("staging", "prod"), may=["api.prod.example.com"])
    assert len(denied) == 1
    assert "denies api.prod.example.com" in denied[0]
    passed = held(read(guard, PLAIN), {}, ["api.staging.example.com"])
    assert passed.as_run().splitlines()[0] == '# run with --i-may-load "api.staging.example.com"'


@pytest.mark.parametrize("host", ["*.example.com", "10.0.0.0/8", "https://x.example", "a b", ""], ids=str)
def test_who_says_so_names_one_host(host: str) -> None:
    with pytest.raises(UsageError, match="--i-may-load"):
        held(read("guard: {allow: []}\n", PLAIN), {}, [host])
    assert held(read("guard: {allow: [localhost, '*.com']}\n", PLAIN), {}, ["[::1]"])


def test_no_option_changes_a_guard() -> None:
    guard = "guard: {allow: [localhost], deny: ['*.prod.*']}\n"
    for assignment in ("guard.deny=[]", "guard.allow=['*']", "guard={}", "guard.most=1/s", "guard.deny.0=x"):
        with pytest.raises(ConfigError, match="can't be changed from outside; correct the file, or say --i-may-load"):
            read(guard, PLAIN, sets=[assignment])
    with pytest.raises(ConfigError, match="can't be changed from outside"):
        read("", PLAIN, sets=["guard={shell: allowed}"])


def test_profiles_may_and_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    profiles = "profiles: {far: {producers.api.url: 'http://far.example/'}, near: {guard.allow: [localhost]}}\n"
    path.write_text(PLAIN + "guard: {allow: [localhost, '*.staging.example.com']}\n" + profiles)
    with pytest.raises(ConfigError) as raised:
        check_profiles(load_text(path.read_text(), str(path), environ={}), path, (), {})
    told = [problem.what for problem in raised.value.problems]
    assert told[0].startswith("with the profile far: far.example is outside")
    assert told[1].startswith("with the profile near: api.staging.example.com is outside")


def test_what_is_done_to_the_system_is_looked_at_as_well() -> None:
    text = (
        PLAIN
        + """
setup: [{post: "http://localhost:1/reset"}, {put: "http://setup.example/x"}]
cleanup: [{sql: DELETE FROM t, on: "postgresql://u@db.example/x"}]
actions:
  slow:
    at: 1s
    for: 1s
    do: [{sandbox: {workers: 0}}, {post: "{sandbox}/admin", json: {}}, {shell: docker pause db}]
    undo: {rabbitmq: "http://u:p@mq.example:15672", purge: q}
  file: {at: 1s, do: {sql: DELETE FROM t, on: "sqlite:///x.db"}, undo: none}
"""
    )
    lines = refused('guard: {allow: [localhost, "*.staging.example.com"]}\n', text)
    what = ["setup.example is outside", "db.example is outside", "whom a command speaks to", "mq.example is outside"]
    assert len(lines) == len(what), lines
    assert all(said in line for said, line in zip(what, lines, strict=True)), lines
    assert all(line.startswith(f"load.yaml:{number}:") for line, number in zip(lines, (22, 23, 28, 29), strict=True))
    assert len(refused("guard: {allow: [localhost], shell: allowed}\n", text)) == 4


# -- the guard of the machine ----------------------------------------------------------------------------------------


def of_machine(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "guard.yaml"
    path.write_text(text)
    return {"EVLOAD_GUARD": str(path)}


def test_that_of_the_machine_only_takes_away(tmp_path: Path) -> None:
    guard = "guard: {allow: [localhost, '*.staging.example.com']}\n"
    (line,) = refused(
        guard, PLAIN, environ=of_machine(tmp_path, 'deny: ["api.*"]\n'), may=["api.staging.example.com"]
    )
    assert f"load.yaml:3:26: the guard of this machine ({tmp_path / 'guard.yaml'}) denies api.staging" in line
    wide = of_machine(tmp_path, "{allow: ['*'], shell: allowed}")
    assert refused(guard, PLAIN, environ=wide) == []
    assert len(refused("guard: {allow: [localhost]}\n", PLAIN, environ=wide)) == 1
    assert len(refused("", PLAIN, environ=of_machine(tmp_path, "allow: [localhost]"))) == 1
    assert (
        refused("", PLAIN, environ=of_machine(tmp_path, "allow: [localhost]"), may=["api.staging.example.com"]) == []
    )
    command = refused("guard: {shell: allowed}\n", TEXT, environ=of_machine(tmp_path, "deny: [x.example]"))
    assert len(command) == 1
    assert "nobody can tell whom a command speaks to, and the guard of this machine" in command[0]


def test_one_that_can_not_be_read_lets_nothing_through(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"EVLOAD_GUARD=.*nowhere\.yaml: the guard of this machine can't be read"):
        held(read("", PLAIN), {"EVLOAD_GUARD": str(tmp_path / "nowhere.yaml")})
    with pytest.raises(ConfigError, match=r"guard\.yaml:1:1: unknown key 'denies'; did you mean 'deny'\?"):
        held(read("", PLAIN), of_machine(tmp_path, "denies: [x]\n"))
    with pytest.raises(ConfigError, match=r"guard\.yaml:1:1: "):
        held(read("", PLAIN), of_machine(tmp_path, ""))


# -- how much --------------------------------------------------------------------------------------------------------


def test_the_rates_of_all_scenarios_count_together() -> None:
    assert refused("guard: {most: 400/s}\n", PLAIN) == []
    (line,) = refused("guard: {most: 399/s}\n", PLAIN)
    assert line == (
        "load.yaml:17:79: the schedule of all scenarios together offers up to 400/s, and the guard of this config "
        "allows 399/s at most; write a lower rate"
    )
    (line,) = refused("guard: {most: 149/s}\n", PLAIN.replace("to: 300/s", "to: 1/s"))
    assert line.startswith("load.yaml:16:50: the schedule of all scenarios together offers up to 150/s")


@pytest.mark.parametrize(
    ("loads", "rate", "at_s", "whose"),
    [
        ([(0, [{"rate": "3/s", "for": "10s"}], 1)], 3, 0, 0),
        ([(0, [{"rate": "1/s", "for": "10s"}], 1), (10, [{"rate": "1/s", "for": "10s"}], 1)], 1, 0, 0),
        ([(0, [{"rate": "1/s", "for": "10s"}], 1), (9, [{"rate": "2/s", "for": "10s"}], 1)], 3, 9, 1),
        ([(0, [{"from": "0/s", "to": "8/s", "for": "8s"}], 1), (2, [{"from": "6/s", "to": "0/s", "for": "6s"}], 1)],
         8, 2, 1),
        ([(0, [{"rate": "1/s", "for": "5s"}, {"burst": 40}, {"rate": "1/s", "for": "5s"}], 1)], 41, 5, 0),
        ([(0, [{"burst": 4}, {"idle": "900ms"}, {"burst": 5}], 1)], 9, 0.9, 0),
        ([(0, [{"burst": 4}, {"idle": "1s"}, {"burst": 5}], 1)], 5, 1, 0),
        ([(0, [{"rate": "10/s", "for": "1s"}], Fraction(3, 2))], 15, 0, 0),
        ([(0, [{"rate": "1000/m", "for": "9s"}], 1)] * 3, 50, 0, 0),
        ([(3, [{"idle": "1s"}, {"steps": ["1/s", "7/s", "2/s"], "each": "1s"}], 1)], 7, 5, 0),
    ],
    ids=["hold", "one after another", "overlap", "ramps", "burst", "two bursts", "far apart", "copies", "exact",
         "steps"],
)  # fmt: skip
def test_the_most_that_is_asked_at_a_time(loads: list[Any], rate: int, at_s: float, whose: int) -> None:
    phases = TypeAdapter(Load).validate_python
    known = [
        (start * 10**9, phases([*load, {"rate": "0.001/s", "for": "1000s"}] if "idle" in load[0] else load), times)
        for start, load, times in loads
    ]
    found = peak(known)
    assert (math.isclose(found.rate, rate, abs_tol=0.01), found.at_ns, found.whose) == (True, at_s * 10**9, whose)


def test_what_may_begin_any_time_before_counts_as_if_it_fell_together() -> None:
    """With all that goes on from its start to its end at the latest, and with nothing else."""
    phases, one = TypeAdapter(Load).validate_python, Fraction(1)
    waits = phases([{"idle": "5s", "until": "depth == 0"}, {"rate": "10/s", "for": "5s"}])
    steady = phases([{"rate": "20/s", "for": "4s"}])
    assert peak([(0, waits, one), (0, steady, one)]).rate == 30
    assert peak([(0, waits, one), (9 * 10**9, steady, one)]).rate == 30
    assert peak([(0, waits, one), (11 * 10**9, steady, one)]).rate == 20
    assert peak([(4 * 10**9, waits, one), (0, steady, one)]).rate == 20
    bursts = phases([{"burst": 10}, {"idle": "5s", "until": "depth == 0"}, {"burst": 10}])
    assert peak([(0, bursts, one)]).rate == 20


def test_copies_that_are_sent_on_purpose_count_too() -> None:
    text = PLAIN.replace("[{rate: 100/s, for: 10s}, {burst: 50}]", "[{rate: 100/s, for: 10s}]").replace(
        "  base: {", "  base: {resend: {share: 50%, copies: 3}, "
    )
    assert len(refused("guard: {most: 549/s}\n", text)) == 1
    assert refused("guard: {most: 550/s}\n", text) == []


# -- plug-ins --------------------------------------------------------------------------------------------------------


def test_a_plug_in_that_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = registry.load("evload.producers", "http")
    monkeypatch.setattr(model, "reach", AdapterSettings.reach)
    text = PLAIN.replace("producer: own", "producer: api")
    (line,) = refused("guard: {allow: ['*']}\n", text)
    assert line == (
        "load.yaml:3:8: this kind doesn't say whom it speaks to, and the guard of this config has to know; use a "
        "version of its package that declares its reach, or leave it out"
    )
    assert refused("guard: {most: 1000/s}\n", text) == []
