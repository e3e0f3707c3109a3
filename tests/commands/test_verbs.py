"""Every verb as a user calls it: the real command, the real embedded pipeline, what is printed and written."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
import typer
import yaml
from typer.core import TyperGroup

from evload import __version__
from evload.cli import app
from evload.commands import selftest as positive_control
from evload.run.directory import RunDirectory
from evload.sandbox.truth import read_truth
from evload.terminal.completion import ASKED, offer
from evload.terminal.verbs import ABOUT, OPTIONS, VERBS, listing
from tests.rigs import counted
from tests.rigs.commands import COMMAND, Ended, assert_closes, assert_one_clear_line, evload, started, summary_of
from tests.rigs.pipelines import EMBEDDED, LENIENT

LEDGER = {
    "scheduled", "unsent", "acked", "rejected", "returned", "in_doubt", "visible", "ended", "lost", "regressed",
    "pending", "unobserved", "regressions", "recovered", "duplicated", "out_of_order", "order_unknown", "resent",
    "non_monotonic", "unread_writes", "retried", "appeared",
}  # fmt: skip
PERCENTILES = {"min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"}


class Run:
    """A run that has ended, and its directory."""

    def __init__(self, ended: Ended, directory: Path) -> None:
        self.ended = ended
        self.directory = directory
        self.summary = summary_of(directory)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the two scenarios, with --json and one --set, which several tests look at."""
    cwd = tmp_path_factory.mktemp("finished")
    (cwd / "short.yaml").write_text(EMBEDDED)
    ended = evload("run", "short.yaml", "--json", "--set", "name=renamed", cwd=cwd)
    (directory,) = (cwd / "runs").iterdir()
    return Run(ended, directory)


@pytest.fixture(scope="module")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox that was started by hand."""
    cwd = tmp_path_factory.mktemp("sandbox")
    with started("sandbox", "--port", "0", "--set", "visibility=20ms", cwd=cwd) as running:
        yield running.first_line().split()[2]


# -- run ---------------------------------------------------------------------------------------------


def test_a_run_passes_and_both_sums_close(finished: Run) -> None:
    assert finished.ended.code == 0, finished.ended
    summary = finished.summary
    assert summary["verdict"] in ("pass", "warn")
    assert summary["ledger"]["scheduled"] == summary["ledger"]["acked"] == 260
    assert summary["scenarios"]["steady"]["ledger"]["visible"] == 200
    assert summary["scenarios"]["unwatched"]["ledger"]["unobserved"] == 60
    assert_closes(summary)


def test_json_puts_the_summary_on_stdout_and_nothing_else(finished: Run) -> None:
    assert finished.ended.out.encode() == (finished.directory / "summary.json").read_bytes()
    assert f"results in runs/{finished.directory.name}" in finished.ended.err


def test_the_summary_has_the_documented_shape(finished: Run) -> None:
    summary = finished.summary
    assert summary["format"] == 1
    assert summary["name"] == "renamed"
    assert summary["run_id"] == finished.directory.name
    assert summary["started_at"].endswith("Z")
    assert 2 < summary["duration"] < 60
    scopes = [summary, *summary["scenarios"].values()]
    assert list(summary["scenarios"]) == ["steady", "unwatched"]
    for scope in scopes:
        assert set(scope["ledger"]) == LEDGER
        for distribution in scope["distributions"].values():
            assert set(distribution) == {"count", "censored"} | PERCENTILES
            for name in PERCENTILES:
                low, high = distribution[name]
                assert 0 <= low <= high
    assert set(summary["distributions"]) == {
        "schedule_delay", "publish", "first_seen", "consistency", "end_to_end"
    }  # fmt: skip
    assert set(summary["scenarios"]["unwatched"]["distributions"]) == {"schedule_delay", "publish"}
    assert isinstance(summary["gauges"], dict)
    first = summary["objectives"][0]
    assert (first["expression"], first["scenario"]) == ("p95(consistency) < 2s", "steady")
    assert (first["result"], first["limit"]) == ("pass", 2)
    low, high = first["observed"]
    assert 0 < low <= high < 2
    closes = summary["self_checks"][0]
    assert {key: closes[key] for key in ("name", "result", "value", "limit")} == {
        "name": "ledger closes", "result": "pass", "value": 0, "limit": 0
    }  # fmt: skip


def test_the_ledger_file_has_a_row_for_each_event(finished: Run) -> None:
    with sqlite3.connect(finished.directory / "events.sqlite") as ledger:
        (rows, seqs) = ledger.execute("SELECT count(*), count(DISTINCT seq) FROM events").fetchone()
        states = dict(
            ledger.execute("SELECT name, count(*) FROM events JOIN states USING (state) GROUP BY name").fetchall()
        )
    ledger.close()
    assert rows == seqs == 260
    assert states == {"visible": 200, "unobserved": 60}


def test_the_config_in_the_run_directory_loads_again(finished: Run) -> None:
    text = (finished.directory / "config.yaml").read_text()
    assert yaml.safe_load(text) == {**yaml.safe_load(EMBEDDED), "name": "renamed"}
    ended = evload("validate", finished.directory / "config.yaml", cwd=finished.directory)
    assert (ended.code, ended.err) == (0, "")


def test_out_set_and_quiet(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(EMBEDDED)
    changes = ["scenarios.steady.load.0.for=1s", "scenarios.steady.load.0.rate=70/s"]
    ended = evload(
        "run", "short.yaml", "--out", "deep/down", "--quiet", *(f"--set={change}" for change in changes), cwd=tmp_path
    )
    assert (ended.code, ended.err) == (0, "")
    verdict, where = ended.out.splitlines()
    assert verdict.startswith(("PASS  short: ", "WARN  short: "))
    assert where == "results in deep/down"
    assert summary_of(tmp_path / "deep/down")["scenarios"]["steady"]["ledger"]["scheduled"] == 70
    assert not (tmp_path / "runs").exists()


def test_a_failed_objective_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(EMBEDDED)
    objective = "--set=slos=[{objective: p50(consistency) < 5ms, scenario: steady}]"
    ended = evload("run", "short.yaml", "--out", "out", objective, "--set=self_checks.horizon=warn", cwd=tmp_path)
    assert ended.code == 1, ended
    assert "FAIL  short: the objective failed: p50(consistency)" in ended.out
    assert summary_of(tmp_path / "out")["verdict"] == "fail"


# -- validate, plan ----------------------------------------------------------------------------------


def test_validate_says_good_or_what_is_wrong_and_where(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(EMBEDDED)
    ended = evload("validate", "short.yaml", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "short.yaml: good; 2 scenario(s) over 2 s\n", "")
    (tmp_path / "bad.yaml").write_text(EMBEDDED.replace("deadline: 6s", "deadlien: 6s"))
    line = 1 + EMBEDDED[: EMBEDDED.index("deadline: 6s")].count("\n")
    ended = evload("validate", "bad.yaml", cwd=tmp_path)
    assert_one_clear_line(ended, 2, f"bad.yaml:{line}:5: unknown key 'deadlien'; did you mean 'deadline'?")


def test_validate_touches_no_target(tmp_path: Path) -> None:
    config = yaml.safe_load(EMBEDDED.replace("{sandbox}", "http://127.0.0.1:9"))
    del config["sandbox"]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert evload("validate", "c.yaml", cwd=tmp_path).code == 0
    assert_one_clear_line(evload("run", "c.yaml", cwd=tmp_path), 3, "http://127.0.0.1:9", "refused", "start")


def test_plan_counts_the_events_and_says_what_can_be_decided(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(EMBEDDED)
    objectives = "--set=slos=[{objective: p95(consistency) < 2s, scenario: steady}, p99(consistency) < 2s]"
    ended = evload("plan", "short.yaml", objectives, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert lines[0] == "short: 260 events in 2 s"
    assert "500 ms 500 ms unwatched burst of 20 broker" in lines
    assert "p95(consistency) < 2s [steady] yes 200 events; 4 may be bad" in lines
    assert "p99(consistency) < 2s no needs 299 events, has 200" in lines
    assert max(map(len, ended.out.splitlines())) <= 80


# -- burst, sandbox ----------------------------------------------------------------------------------


def test_a_burst_needs_no_file_and_the_config_it_prints_runs(sandbox_url: str, tmp_path: Path) -> None:
    burst = [
        "burst", f"{sandbox_url}/events", "--rate", "60/s", "--for", "1s", "--deadline", "5s",
        "--probe", f"{sandbox_url}/items/{{correlation_id}}", "--slo", "lost == 0",
        "--slo", "p95(consistency) < 1500ms", "--set", "probes.read-model.confirm.reads=0",
        "--set", LENIENT.replace(": ", "=", 1).strip(), "--data", '{"id": "{uuid}"}',
    ]  # fmt: skip
    printed = evload(*burst, "--print-config", cwd=tmp_path)
    assert (printed.code, printed.err) == (0, "")
    (tmp_path / "burst.yaml").write_text(printed.out)
    assert not (tmp_path / "runs").exists()
    for out, command in (("direct", burst), ("file", ["run", "burst.yaml"])):
        ended = evload(*command, "--out", out, cwd=tmp_path)
        assert ended.code == 0, ended
        summary = summary_of(tmp_path / out)
        assert (summary["name"], summary["ledger"]["visible"]) == ("burst", 60)
        assert [objective["result"] for objective in summary["objectives"]] == ["pass", "pass"]
        assert_closes(summary)
    direct, file = (yaml.safe_load((tmp_path / out / "config.yaml").read_text()) for out in ("direct", "file"))
    assert direct == file


def test_a_burst_without_a_probe_measures_the_publishes(sandbox_url: str, tmp_path: Path) -> None:
    url = f"{sandbox_url}/events"
    ended = evload(
        "burst", url, "--rate", "50/s", "--for", "1s", "--mode", "binary", "--quiet", "--set",
        "self_checks={headroom: warn, offered_rate: warn}", "--out", "out", cwd=tmp_path,
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(("PASS  burst: every objective is met", "WARN  burst: "))
    summary = summary_of(tmp_path / "out")
    assert summary["ledger"]["acked"] == summary["ledger"]["unobserved"] == 50
    assert set(summary["distributions"]) == {"schedule_delay", "publish"}
    assert [objective["expression"] for objective in summary["objectives"]] == ["errors == 0"]


def test_the_sandbox_answers_at_the_url_it_prints_and_leaves_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    with started("sandbox", "--port", "0", "--truth", truth, "--set", "loss=100%", cwd=tmp_path) as running:
        url = running.first_line().split()[2]
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert json.loads(answer.read()) == {"status": "ok"}
        event = {
            "specversion": "1.0", "id": "1", "source": "/t", "type": "t", "correlationid": "c-1", "data": {}
        }  # fmt: skip
        request = urllib.request.Request(
            f"{url}/events", json.dumps(event).encode(), {"content-type": "application/cloudevents+json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 202
        running.signal(signal.SIGINT)
        ended = running.ended()
    assert (ended.code, ended.err) == (0, "")
    (event_truth,) = read_truth(truth)
    assert (event_truth.correlation_id, event_truth.lost) == ("c-1", True)


def test_a_sandbox_on_a_port_that_is_taken_is_exit_code_3(sandbox_url: str, tmp_path: Path) -> None:
    port = sandbox_url.rpartition(":")[2]
    assert_one_clear_line(
        evload("sandbox", "--port", port, cwd=tmp_path), 3, port, "address already in use", "choose"
    )


# -- selftest ----------------------------------------------------------------------------------------


def test_the_selftest_agrees_and_a_truth_that_was_tampered_with_does_not(tmp_path: Path) -> None:
    ended = evload("selftest", "--out", "kept", cwd=tmp_path)
    assert ended.code == 0, ended
    assert "PASS  selftest: the planted truth was recovered" in ended.out
    assert "disagrees" not in ended.out

    kept = RunDirectory(tmp_path / "kept")
    assert all(comparison.agrees for comparison in positive_control.compare(kept))
    header, *lines = kept.truth.read_text().splitlines()
    truths = [json.loads(line) for line in lines]
    for change, expected in (
        ({"effects": 2}, {"duplicated"}),
        ({"hidden": [[1, 2]]}, {"regressions"}),
        ({"position": -1}, {"out of order"}),
        ({"visible_ns": {"r1": truths[0]["received_ns"]}}, {"brackets that hold"}),
        ({"correlation_id": "00000000-0000-8000-8000-000000000000"}, {"accepted"}),
    ):
        plain = max(
            number
            for number, truth in enumerate(truths)
            if truth["effects"] == 1 and not truth["hidden"] and not truth["swapped"]
        )
        changed: list[dict[str, Any]] = [*truths]
        changed[plain] = {**truths[plain], **change}
        kept.truth.write_text("\n".join([header, *map(json.dumps, changed)]) + "\n")
        disagreeing = {comparison.name for comparison in positive_control.compare(kept) if not comparison.agrees}
        assert expected <= disagreeing, change


# -- report ------------------------------------------------------------------------------------------


def test_report_rebuilds_the_very_summary(finished: Run) -> None:
    ended = evload("report", finished.directory, "--format", "json", cwd=finished.directory)
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert told == finished.summary
    # Both come out of the same fold, so what it gets wrong it gets wrong twice.
    for scenario, number, expected in (
        ("steady", 0, {"scheduled": 200, "acked": 200, "visible": 200}),
        ("unwatched", 1, {"scheduled": 60, "acked": 60, "unobserved": 60}),
    ):
        found = {name: n for name, n in told["scenarios"][scenario]["ledger"].items() if n}
        assert {name: found[name] for name in expected} == expected
        assert found == counted.ledger(finished.directory / "events.sqlite", number)
    rows = counted.rows(finished.directory / "events.sqlite")
    for metric, since in (("consistency", "acked_ns"), ("end_to_end", "intended_ns")):
        summed = told["scenarios"]["steady"]["distributions"][metric]
        assert (summed["count"], summed["censored"]) == (200, 0)
        uppers = sorted(max(0, row["stable_upper_ns"] - row[since]) for row in rows)
        for name, rank in (("min", 1), ("p50", 100), ("p95", 190), ("p99", 198), ("max", 200)):
            assert summed[name][1] == pytest.approx(uppers[rank - 1] / 1e9, rel=0.002), name
        assert summed["mean"][1] == pytest.approx(sum(uppers) / 200 / 1e9, rel=1e-9)


def test_report_prints_what_the_run_printed(finished: Run) -> None:
    ended = evload("report", f"runs/{finished.directory.name}", cwd=finished.directory.parent.parent)
    assert (ended.code, ended.err) == (0, "")
    assert finished.ended.err.endswith(ended.out)
    assert "PASS  renamed: every objective is met" in ended.out or "WARN  renamed: " in ended.out


# -- the rest ----------------------------------------------------------------------------------------


def test_schema_is_json_and_knows_the_config() -> None:
    ended = evload("schema", cwd=Path())
    assert (ended.code, ended.err) == (0, "")
    schema = json.loads(ended.out)
    assert {"producers", "events", "probes", "scenarios", "slos", "sandbox"} <= schema["properties"].keys()


def test_the_help_has_a_whole_sentence_for_each_verb() -> None:
    _, verbs = evload("--help", cwd=Path()).out.split("Commands:\n")
    assert [line for line in verbs.splitlines() if not re.search(r"\w\.$", line)] == []


def test_the_listing_has_each_verb_and_each_option_in_the_words_of_their_own_help() -> None:
    group = cast(TyperGroup, typer.main.get_command(app))
    own = {name: command.get_short_help_str(1000) for name, command in group.commands.items()}
    assert list(own.items()) == list(VERBS.items())
    context = group.make_context("evload", ["run"], resilient_parsing=True)
    told = {", ".join(sorted(one.opts, key=len)): getattr(one, "help", "") for one in group.get_params(context)}
    assert told == OPTIONS


@pytest.mark.parametrize("columns", [20, 52, 60, 80, 200])
def test_the_listing_fits_the_terminal_and_leaves_nothing_out(columns: int) -> None:
    said = listing(columns)
    assert all(len(line) <= min(max(columns - 2, 50), 78) for line in said.splitlines())
    words = " ".join(said.split())
    for name, text in VERBS.items():
        assert f"{name} {text}" in words
    assert ABOUT in words


def test_what_there_is_to_do_is_told_without_loading_anything_for_it() -> None:
    program = (
        "import sys; sys.argv = ['evload', sys.argv[1]]; from evload.__main__ import main; main(); "
        "print({'typer', 'pydantic', 'evload.cli', 'shutil', 'inspect'} & set(sys.modules), file=sys.stderr)"
    )
    for option in ("--help", "-h", "--version"):
        ended = subprocess.run([sys.executable, "-c", program, option], capture_output=True, text=True, check=True)
        assert ended.stderr == "set()\n"
        assert ended.stdout == evload(option, cwd=Path()).out != ""


SHELLS: Final = ({ASKED: "complete_bash"}, {ASKED: "complete_zsh"}, *(
    {ASKED: "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": action} for action in ("get-args", "is-args")
))  # fmt: skip


@pytest.mark.parametrize("typed", ["", "va", "re", "s", "xyz", "v a", "va ", "-", "--ver", "run --", "run x.yaml "])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: "-".join(shell.values()))
def test_a_shell_is_offered_the_verbs_as_the_whole_command_line_would(
    shell: dict[str, str], typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"evload {typed}"
    asked = {**shell, "COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_TYPER_COMPLETE_ARGS": line}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        app(prog_name="evload")
    said = capsys.readouterr().out
    offered = offer(asked)
    assert (offered is not None) == (typed in ("", "va", "re", "s", "xyz"))
    if offered is not None:
        assert offered.code == ended.value.code
        for own, told in zip(offered.text.splitlines(), said.strip().splitlines(), strict=True):
            assert own == told or ("..." in told and own.startswith(told.partition("...")[0]))  # which it cuts short
    assert typed or all(verb in said for verb in VERBS) or shell.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args"


def test_a_shell_is_offered_the_verbs_without_loading_anything_for_it() -> None:
    program = (
        "import sys; sys.argv = ['evload']\nfrom evload.__main__ import main\ntry: main()\n"
        "except SystemExit as end: print(end.code, {'typer', 'pydantic', 'rich', 'inspect'} & set(sys.modules))"
    )
    asked = {**os.environ, ASKED: "complete_bash", "COMP_WORDS": "evload re", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=asked)
    assert (done.stdout, done.stderr) == ("report\n0 set()\n", "")


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [("rnu", "did you mean 'run'?"), ("xyzzy", "see evload --help"), ("repotr", "did you mean 'report'?")],
)
def test_a_verb_that_there_isn_t(wrong: str, cure: str) -> None:
    assert evload(wrong, cwd=Path()) == Ended(2, "", f"there is no verb {wrong}; {cure}\n")


def test_version() -> None:
    assert evload("--version", cwd=Path()) == Ended(0, f"evload {__version__}\n", "")


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("run", ["--out", "--set", "--quiet", "--json"]),
        ("validate", ["--set"]),
        ("plan", ["--set"]),
        (
            "burst",
            ["--rate", "--for", "--probe", "--visible", "--deadline", "--slo", "--mode", "--type", "--data",
             "--arrivals", "--print-config", "--out", "--set", "--quiet", "--json"],
        ),
        ("sandbox", ["--config", "--set", "--port", "--truth"]),
        ("selftest", ["--quiet", "--out"]),
        ("report", ["--format"]),
        ("init", ["--from", "--list"]),
        ("schema", []),
    ],
)  # fmt: skip
def test_the_help_of_each_verb_names_its_options(verb: str, options: list[str]) -> None:
    ended = evload(verb, "--help", cwd=Path())
    assert (ended.code, ended.err) == (0, "")
    for option in options:
        assert f"{option} " in ended.out or f"{option}\n" in ended.out


def test_help_imports_nothing_that_takes_time() -> None:
    script = (
        "import sys; from evload.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'aiohttp', 'jmespath', 'pydantic', 'rich', 'scipy', 'uvloop', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


OF_RUNS: Final = (
    "evload.engine",
    "evload.ledger",
    "evload.judging",
    "evload.report",
    "evload.run.prepare",
    "sqlite3",
)
"""What only a run needs, and whoever looks at one again."""
SHOWN: Final = ("rich", "numpy", "scipy", "bokeh", "evload.formats", "evload.sinks.console", "uvloop", "aiohttp")
"""What only somebody needs who shows something."""


@pytest.mark.parametrize(
    ("arguments", "unloaded"),
    [
        (["validate", "short.yaml"], (*OF_RUNS, *SHOWN)),
        (["burst", "http://127.0.0.1:9", "--print-config"], (*OF_RUNS, *SHOWN)),
        (["plan", "short.yaml"], ("evload.sandbox.world", "bokeh", "aiohttp", "evload.formats")),
    ],
    ids=lambda value: value[0],
)
def test_a_verb_loads_and_builds_nothing_that_it_has_no_use_for(
    arguments: list[str], unloaded: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "short.yaml").write_text(EMBEDDED)
    program = (
        "import sys; from evload.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
        "from evload.clients.credentials.settings import SecretSettings\n"
        "from evload.producers.http import HttpProducerConfig\n"
        "print(HttpProducerConfig.__pydantic_complete__, SecretSettings.__pydantic_complete__, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    used, unused, *loaded = done.stdout.splitlines()[-1].split()
    assert (used, unused) == ("True", "False")
    assert "evload.config.load" in loaded
    assert not set(unloaded) & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Missing argument 'CONFIG'"),
        (["run", "absent.yaml"], "absent.yaml: there is no such file"),
        (["rum"], "there is no verb rum; did you mean 'run'?"),
        (["run", "x.yaml", "--quite"], "No such option: --quite"),
        (["burst", "kafka://localhost"], "can't send to kafka; write a URL that begins with one of http://"),
        (["burst", "http://127.0.0.1:9", "--rate", "5"], "--rate: '5' is not a rate; write a rate such as 5/s"),
        (["burst", "http://127.0.0.1:9", "--data", "{"], "--data isn't JSON"),
        (["burst", "http://127.0.0.1:9", "--visible", "status"], "nobody looks; add --probe URL"),
        (["burst", "http://127.0.0.1:9", "--mode", "loud"], "'loud'"),
        (["burst", "http://127.0.0.1:9", "--slo", "quick"], "'quick'"),
        (["sandbox", "--set", "workers"], "--set workers: there is no value"),
        (["sandbox", "--set", "worker=2"], "worker"),
        (["report", "x", "--format", "pdf"], "--format pdf: no such format; choose"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], said: str, tmp_path: Path) -> None:
    ended = evload(*arguments, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, ""), ended
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_a_reader_that_has_had_enough_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
