"""What targets, disks and directories can do to a run: one clear line, the right exit code, sums that close."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.rigs.commands import Ended, assert_closes, assert_one_clear_line, evload, summary_of
from tests.servers.httpserver import Request, Script, Step, answer, json_answer, serving

LENIENT: Final = {"offered_rate": "warn", "lateness": "warn", "headroom": "warn", "resolution": "warn"}
EVENTS: Final = 20
"""In each scenario, all within a second."""

Doing = Sequence[bytes | float | Step]


def run_config(config: dict[str, Any], cwd: Path, *options: str | Path, env: dict[str, str] | None = None) -> Ended:
    """Run a config into `cwd/out`."""
    (cwd / "c.yaml").write_text(yaml.safe_dump(config))
    return evload("run", "c.yaml", "--out", "out", *options, cwd=cwd, env=env)


def run_against(script: Script, config: Callable[[str], dict[str, Any]], cwd: Path) -> Ended:
    """Run a config, made for the address of a server that follows the script."""

    async def run() -> Ended:
        async with serving(script) as server:
            return await asyncio.to_thread(run_config, config(server.url), cwd)

    return asyncio.run(run())


def scenario(producer: str, probes: Sequence[str] = ()) -> dict[str, Any]:
    """Twenty events in a second."""
    load = [{"rate": f"{EVENTS}/s", "for": "1s"}]
    return {"producer": producer, "events": {"e": 1}, "probes": list(probes), "load": load}


def publishing(url: str, **changes: Any) -> dict[str, Any]:
    """A config with one producer."""
    return {
        "producers": {"p": {"kind": "http", "url": f"{url}/events", "timeout": "30s", **changes}},
        "events": {"e": {"type": "t", "source": "/tests"}},
        "scenarios": {"s": scenario("p")},
        "self_checks": LENIENT,
        "reports": {},
    }


# -- brokers -----------------------------------------------------------------------------------------


class Broker(NamedTuple):
    """What one broker does, in which state its events end, and what is said about it."""

    does: Doing
    state: str
    said: str = ""
    fails: bool = True


BROKERS: Final[dict[str, Broker]] = {
    "fine": Broker([answer(202)], "acked", fails=False),
    "fails": Broker([answer(500, b"out of  memory\n")], "rejected", "HTTP 500: out of memory"),
    "not-found": Broker([answer(404)], "rejected", "HTTP 404"),
    "throttles": Broker([answer(429, b"slow down")], "rejected", "HTTP 429: slow down"),
    "redirects": Broker([answer(302, b"", "Location: http://127.0.0.1:9/")], "rejected", "HTTP 302"),
    "garbage": Broker([b"220 mail.example ESMTP\r\n\r\n", Step.CLOSE], "in_doubt", "not HTTP"),
    "cut-off": Broker([b"HTTP/1.1 202 X\r\nContent-Length: 99\r\n\r\nok", Step.CLOSE], "in_doubt", "closed"),
    "resets": Broker([Step.RESET], "in_doubt", "connection reset"),
    "hangs-up": Broker([Step.CLOSE], "in_doubt", "closed"),
    "silent": Broker([Step.STALL], "in_doubt", "no answer within 1 s"),
    "slow": Broker([0.3, answer(202)], "acked", fails=False),
    "huge": Broker([answer(202, b"x" * 3_000_000)], "acked", fails=False),
    "closes": Broker([answer(202, b"", "Connection: close"), Step.CLOSE], "acked", fails=False),
    "continues": Broker([b"HTTP/1.1 100 Continue\r\n\r\n", answer(202)], "acked", fails=False),
}


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, dict[str, Any]]:
    """One run with a scenario for each of them."""

    def config(url: str) -> dict[str, Any]:
        return {
            "producers": {name: {"kind": "http", "url": f"{url}/{name}", "timeout": "1s"} for name in BROKERS},
            "events": {"e": {"type": "t", "source": "/tests"}},
            "scenarios": {name: scenario(name) for name in BROKERS},
            "slos": [{"objective": "rate(errors) < 1%", "scenario": name} for name in BROKERS],
            "self_checks": LENIENT,
            "reports": {},
        }

    cwd = tmp_path_factory.mktemp("brokers")
    ended = run_against(lambda request: BROKERS[request.target[1:]].does, config, cwd)
    return ended, summary_of(cwd / "out")


def test_a_run_with_broken_brokers_ends_with_a_failed_objective(brokers: tuple[Ended, dict[str, Any]]) -> None:
    ended, summary = brokers
    assert (ended.code, ended.err) == (1, "")
    assert "Traceback" not in ended.out
    assert_closes(summary)
    assert summary["ledger"]["scheduled"] == EVENTS * len(BROKERS)


@pytest.mark.parametrize("name", BROKERS)
def test_broker(name: str, brokers: tuple[Ended, dict[str, Any]]) -> None:
    broker, (_, summary) = BROKERS[name], brokers
    ledger = summary["scenarios"][name]["ledger"]
    assert {state: ledger[state] for state in ("unsent", "acked", "rejected", "in_doubt") if ledger[state]} == {
        broker.state: EVENTS
    }
    (objective,) = [one for one in summary["objectives"] if one["scenario"] == name]
    assert objective["result"] == ("fail" if broker.fails else "pass")
    reasons = [reason for reason in summary["errors"] if broker.said and broker.said in reason]
    assert bool(reasons) == bool(broker.said), summary["errors"]
    assert all("\n" not in reason for reason in reasons)


def test_a_broker_that_hangs_up_without_warning_loses_nothing_unnoticed(tmp_path: Path) -> None:
    ended = run_against(lambda _: [answer(202), Step.CLOSE], publishing, tmp_path)
    assert ended.err == ""
    summary = summary_of(tmp_path / "out")
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["acked"] + ledger["in_doubt"] == EVENTS
    assert ledger["acked"] > 0


# -- read models -------------------------------------------------------------------------------------


class ReadModel(NamedTuple):
    """What one read model does, what is said about it, and in which state the events end."""

    does: Doing
    said: str = ""
    state: str = "unobserved"
    settings: dict[str, Any] = {}  # noqa: RUF012 (read only)


def _found(**fields: Any) -> list[bytes]:
    return [json_answer(json.dumps({"done": True, **fields}).encode())]


READ_MODELS: Final[dict[str, ReadModel]] = {
    "fine": ReadModel(_found(), state="visible"),
    "html": ReadModel([answer(200, b"<html>\n<p>Hello</p>")], "a body that isn't JSON: <html> <p>Hello</p>"),
    "empty": ReadModel([answer(200)], "an empty body, not JSON"),
    "fails": ReadModel([answer(500, b"no")], "HTTP 500"),
    "throttles": ReadModel([answer(429)], "HTTP 429"),
    "redirects": ReadModel([answer(301, b"", "Location: /login?next=x")], "a redirect to '/login', which is not"),
    "truncated": ReadModel([answer(200, b'{"done": tr')], "a body that isn't JSON"),
    "cut-off": ReadModel([b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{", Step.CLOSE], "cut off"),
    "huge": ReadModel(_found(x="x" * 300_000), "a body longer than 100000 bytes", settings={"max_body": "100KB"}),
    "resets": ReadModel([Step.RESET], "connection reset"),
    "hangs-up": ReadModel([Step.CLOSE], "connection closed without an answer"),
    "garbage": ReadModel([b"\x16\x03\x01 nonsense\r\n\r\n", Step.CLOSE], "not HTTP"),
    "silent": ReadModel([Step.STALL], "no answer within 200 ms", settings={"timeout": "200ms"}),
    "list": ReadModel([json_answer(b"[1, 2]")], state="lost"),
    "null": ReadModel([json_answer(b"null")], state="lost"),
    "missing": ReadModel([answer(404)], state="lost", settings={"visible": "status == `200`"}),
    "odd-effects": ReadModel(_found(effects="many"), "effects", settings={"effects": "body.effects"}),
    "odd-position": ReadModel(_found(position=[1]), "position", settings={"position": "body.position"}),
    "odd-replica": ReadModel(_found(replica={"a": 1}), "replica", settings={"replica": "body.replica"}),
    "odd-stamp": ReadModel(_found(at="noon"), state="visible", settings={"consumed_at": "body.at"}),
    "odd-types": ReadModel(_found(text="x"), "invalid type for value: x", settings={"visible": "abs(body.text)"}),
    "bulk-object": ReadModel([json_answer(b'{"items": {"a": 1}}')], "items", settings={"bulk": 100}),
    "bulk-null": ReadModel([json_answer(b'{"items": null}')], "items", settings={"bulk": 100}),
    "bulk-no-ids": ReadModel([json_answer(b'{"items": [{"x": 1}]}')], "id", settings={"bulk": 100}),
}


def _probe(url: str, name: str) -> dict[str, Any]:
    settings = {
        "kind": "http", "url": f"{url}/{name}/{{correlation_id}}", "visible": "body.done", "deadline": "400ms",
        "first": "100ms", "confirm": {"reads": 0}, **READ_MODELS[name].settings,
    }  # fmt: skip
    if "bulk" in settings:
        settings |= {"url": f"{url}/{name}/", "ids": {"in": "body", "at": "ids"}, "items": "body.items"}
        del settings["visible"]
    return settings


@pytest.fixture(scope="module")
def read_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, dict[str, Any]]:
    """One run with a scenario for each of them."""

    def script(request: Request) -> Doing:
        name = request.target.split("/")[1]
        return [answer(202)] if name == "events" else READ_MODELS[name].does

    def config(url: str) -> dict[str, Any]:
        return publishing(url) | {
            "probes": {name: _probe(url, name) for name in READ_MODELS},
            "scenarios": {name: scenario("p", [name]) for name in READ_MODELS},
            "slos": [
                {"objective": objective, "scenario": name}
                for name in READ_MODELS
                for objective in ("share(consistency < 400ms) >= 50%", "lost == 0")
            ],
            "self_checks": {**LENIENT, "horizon": "warn", "evidence": "warn"},
        }

    cwd = tmp_path_factory.mktemp("read_models")
    ended = run_against(script, config, cwd)
    return ended, summary_of(cwd / "out")


def test_a_run_with_broken_read_models_is_no_pass(read_models: tuple[Ended, dict[str, Any]]) -> None:
    ended, summary = read_models
    assert (ended.code, ended.err) == (4, ""), "of what was never seen nobody knows why"
    assert "Traceback" not in ended.out
    assert_closes(summary)
    assert summary["ledger"]["acked"] == EVENTS * len(READ_MODELS)


@pytest.mark.parametrize("name", READ_MODELS)
def test_read_model(name: str, read_models: tuple[Ended, dict[str, Any]]) -> None:
    read_model, (_, summary) = READ_MODELS[name], read_models
    ledger = summary["scenarios"][name]["ledger"]
    settled = ("visible", "ended", "lost", "regressed", "pending", "unobserved")
    assert {state: ledger[state] for state in settled if ledger[state]} == {read_model.state: EVENTS}
    results = [one["result"] for one in summary["objectives"] if one["scenario"] == name]
    assert ("pass" in results) == (read_model.state == "visible"), results
    reasons = [reason for reason in summary["errors"] if reason.startswith(f"{name}: ")]
    assert bool(reasons) == bool(read_model.said), summary["errors"]
    assert all(read_model.said in reason and "\n" not in reason for reason in reasons)


def test_an_answer_about_an_event_nobody_asked_for_makes_the_run_invalid(tmp_path: Path) -> None:
    def script(request: Request) -> Doing:
        if request.target == "/events":
            return [answer(202)]
        items = [{"id": name} for name in [*json.loads(request.body)["ids"], "a-stranger"]]
        return [json_answer(json.dumps({"items": items}).encode())]

    def config(url: str) -> dict[str, Any]:
        probe = {
            "kind": "http", "url": url, "ids": {"in": "body"}, "items": "body.items", "deadline": "6s",
            "confirm": {"reads": 0},
        }  # fmt: skip
        return publishing(url) | {
            "probes": {"r": probe}, "scenarios": {"s": scenario("p", ["r"])}, "slos": ["lost == 0"]
        }  # fmt: skip

    ended = run_against(script, config, tmp_path)
    assert (ended.code, ended.err) == (5, "")
    assert "unexpected ids in answers" in ended.out
    summary = summary_of(tmp_path / "out")
    assert summary["ledger"]["visible"] == EVENTS
    assert summary["self_checks"][0]["result"] == "invalid"
    assert summary["reads"]["unexpected_ids"] == summary["self_checks"][0]["value"] > 0


# -- targets that can't be reached from the start ----------------------------------------------------


def _closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("target", ["p", "r"])
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:{closed}", "connection refused"),
        ("http://nowhere.invalid", "the host name can't be resolved"),
        ("https://127.0.0.1:{closed}", "connection refused"),
    ],
)
def test_a_target_that_is_not_there(target: str, address: str, reason: str, tmp_path: Path) -> None:
    bad = address.format(closed=_closed_port())
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        good = f"http://127.0.0.1:{listener.getsockname()[1]}"
        probe = {"kind": "http", "url": f"{bad if target == 'r' else good}/{{correlation_id}}"}
        config = publishing(bad if target == "p" else good) | {
            "probes": {"r": probe}, "scenarios": {"s": scenario("p", ["r"])}
        }  # fmt: skip
        ended = run_config(config, tmp_path)
    cure = "start the target, or correct url" if target == "p" else "start the read model, or correct url"
    assert_one_clear_line(ended, 3, f"can't connect to {bad}", reason, cure)


def test_tls_to_a_port_that_speaks_none(tmp_path: Path) -> None:
    async def run() -> Ended:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.to_thread(run_config, publishing(f"https://127.0.0.1:{port}"), tmp_path)

    assert_one_clear_line(asyncio.run(run()), 3, "can't connect to https://127.0.0.1:", "TLS: ")


# -- the run directory -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that went well."""
    cwd = tmp_path_factory.mktemp("good_run")
    ended = run_against(lambda _: [answer(202)], publishing, cwd)
    assert ended.code == 0, ended
    return cwd / "out"


def _no_target() -> dict[str, Any]:
    return publishing("http://127.0.0.1:9")


def test_out_that_holds_a_run_already(good_run: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in good_run.iterdir()}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(_no_target()))
    ended = evload("run", "c.yaml", "--out", good_run, cwd=tmp_path)
    assert_one_clear_line(ended, 2, f"{good_run} holds a run already; choose another directory")
    assert {path.name: path.read_bytes() for path in good_run.iterdir()} == before


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_out_where_no_directory_can_be(out: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(_no_target()))
    (tmp_path / "file").write_text("")
    ended = evload("run", "c.yaml", "--out", out, cwd=tmp_path)
    assert_one_clear_line(ended, 3, f"can't create {out}: ", "choose a directory with --out")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "isn't the directory of a run"),
        (lambda path: path.mkdir(), "isn't the directory of a run"),
        (lambda path: path.write_text("{}"), "isn't the directory of a run"),
    ],
    ids=["missing", "empty", "a file"],
)
def test_report_on_what_is_no_run(make: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    make(tmp_path / "x")
    assert_one_clear_line(evload("report", "x", cwd=tmp_path), 2, "x ", said)


def _damage(statement: str) -> Callable[[Path], None]:
    def damage(ledger: Path) -> None:
        with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
            database.execute(statement)

    return damage


def _tear(ledger: Path) -> None:
    content = ledger.read_bytes()
    ledger.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_damage("UPDATE meta SET value = '4' WHERE key = 'format'"), "has format 4, and this version of evload"),
        (_damage("DROP TABLE meta"), "isn't a ledger of evload: no such table: meta"),
        (_damage("DROP TABLE events"), "is damaged"),
        (_damage("UPDATE meta SET value = '{' WHERE key = 'plan'"), "isn't a ledger of evload"),
        (_damage("DELETE FROM meta WHERE key = 'plan'"), "is damaged: no 'plan'"),
        (_damage("UPDATE events SET state = 99 WHERE seq = 3"), "is damaged: in events, state is 99"),
        (_tear, "events.sqlite "),
        (lambda ledger: ledger.write_bytes(b"PK\x03\x04 nothing of ours" * 100), "isn't a ledger of evload"),
        (lambda ledger: ledger.write_bytes(b""), "isn't a ledger of evload"),
    ],
    ids=["newer", "foreign", "no events", "bad JSON", "no plan", "odd state", "torn", "no database", "empty"],
)  # fmt: skip
def test_report_on_a_ledger_that_is_no_use(
    damage: Callable[[Path], object], said: str, good_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(good_run, tmp_path / "run")
    damage(tmp_path / "run/events.sqlite")
    assert_one_clear_line(evload("report", "run", cwd=tmp_path), 2, "run/events.sqlite ", said, "; ")


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """The run goes on, and its summary is printed; the exit code says that the directory is incomplete."""
    small_files = ["sh", "-c", 'ulimit -f 600; exec "$@"', "sh"]

    async def run() -> Ended:
        async with serving(lambda _: [answer(202)]) as server:
            config = publishing(server.url)
            config["scenarios"]["s"]["load"] = [{"rate": "1000/s", "for": "2s"}]
            (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
            return await asyncio.to_thread(
                evload, "run", "c.yaml", "--out", "out", "--json", cwd=tmp_path, through=small_files
            )

    ended = asyncio.run(run())
    assert ended.code == 3, ended
    summary = json.loads(ended.out)
    assert summary == summary_of(tmp_path / "out")
    assert summary["ledger"]["acked"] == 2000
    assert_closes(summary)
    (said,) = [line for line in ended.err.splitlines() if "is incomplete" in line]
    assert said.startswith("out/events.sqlite is incomplete: ")
    assert said.endswith("free some space and run again")
    assert "Traceback" not in ended.err


# -- secrets -----------------------------------------------------------------------------------------


def test_a_secret_is_nowhere_in_the_results(tmp_path: Path) -> None:
    """Though it is part of the address, of a header, and of what the targets answer."""
    secret = 's3cr3t/"+%41'
    seen: list[Request] = []

    def script(request: Request) -> Doing:
        seen.append(request)
        text = f"{request.headers['x-token']} is not {request.headers['authorization']}"
        if request.method == "GET":
            return [answer(200, text.encode())]
        return [answer(202)] if len(seen) % 2 else [answer(403, text.encode())]

    def config(url: str) -> dict[str, Any]:
        host = url.removeprefix("http://")
        headers = {"x-token": "${TOKEN}"}
        return publishing(f"http://robot:${{QUOTED}}@{host}", headers=headers) | {
            "name": "a ${TOKEN_NAME} run",
            "probes": {
                "r": {
                    "kind": "http", "url": f"http://robot:${{QUOTED}}@{host}/{{correlation_id}}", "headers": headers,
                    "visible": "body.done", "deadline": "300ms", "confirm": {"reads": 0},
                }
            },
            "scenarios": {"s": scenario("p", ["r"])},
            "slos": ["lost == 0"],
        }  # fmt: skip

    quoted = "s3cr3t%2F%22%2B%2541"

    async def run() -> Ended:
        async with serving(script) as server:
            env = {"TOKEN": secret, "QUOTED": quoted, "TOKEN_NAME": "top-hush"}
            return await asyncio.to_thread(run_config, config(server.url), tmp_path, env=env)

    ended = asyncio.run(run())
    assert (ended.code, ended.err) == (4, ""), "reads that all fail say nothing of losses"
    assert {request.headers["x-token"] for request in seen} == {secret}
    basic = "Basic " + base64.b64encode(f"robot:{secret}".encode()).decode()
    assert {request.headers["authorization"] for request in seen} == {basic}
    ledger = summary_of(tmp_path / "out")["ledger"]
    assert ledger["rejected"] > 0
    assert ledger["unobserved"] > 0
    files = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    for trace in ("s3cr3t", basic.removeprefix("Basic "), "top-hush"):
        assert trace not in ended.said, trace
        assert not any(trace.encode() in content for content in files), trace
    report = evload("report", "out", cwd=tmp_path)
    assert "s3cr3t" not in report.said
    said = " ".join(report.out.split())
    assert "HTTP 403: ${TOKEN} is not Basic ${QUOTED}" in said
    assert "r: HTTP 200 with a body that isn't JSON: ${TOKEN} is not" in said
