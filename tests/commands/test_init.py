"""`evload init`: what it writes is good for evload and for editors; it overwrites nothing, and asks only a person."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from evload import files
from evload.cli import app
from evload.commands import init
from evload.config.load import load
from evload.config.schema import json_schema
from evload.errors import EvloadError, OutputError
from evload.run.feasibility import cautions, prospects
from tests.rigs.commands import COMMAND, assert_one_clear_line, evload, started, summary_of

MODELINE: Final = re.compile(r"# yaml-language-server: \$schema=(\S+)")
MINIMAL: Final = [name for name in init.names() if "/" not in name]
SCHEMA: Final = "evload.schema.json"


@cache
def schema() -> bytes:
    """As `evload schema` prints it; made once, for it takes a second."""
    return json.dumps(json_schema(print)).encode()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema is taken from the shelf."""
    monkeypatch.setattr("evload.config.schema.json_schema", lambda say: json.loads(schema()))


def written(path: Path, name: str) -> list[str]:
    """What `init` says when it writes this start there."""
    said: list[str] = []
    init.write(path, name, said.append, said.append)
    return said


# --- what is written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", init.names())
def test_each_start_is_a_good_config(
    name: str, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("evload.yaml"), name)
    app(["validate", "evload.yaml"], standalone_mode=False)
    said = capsys.readouterr()
    assert re.fullmatch(r"evload\.yaml: good; \d+ scenario\(s\) over .+\n", said.out)
    assert said.err == "" or "/" in name


@pytest.mark.parametrize("name", init.names())
def test_an_editor_finds_the_schema_beside_it_and_has_nothing_to_say(name: str, quick: None, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shop.yaml"
    path.parent.mkdir()
    written(path, name)
    modeline = MODELINE.fullmatch(path.read_text().splitlines()[0])
    assert modeline is not None
    # Relative to the file, as editors take it.
    found = json.loads((path.parent / modeline[1]).read_bytes())
    assert found == json.loads(schema())
    config = yaml.safe_load(path.read_text())
    assert [error.message for error in Draft202012Validator(found).iter_errors(config)] == []


@pytest.mark.parametrize("name", MINIMAL)
def test_a_minimal_start_is_short_explained_and_decides_all_that_it_asks(
    name: str, quick: None, tmp_path: Path
) -> None:
    path = tmp_path / "evload.yaml"
    written(path, name)
    lines = path.read_text().splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 118
    for section in ("producers:", "events:", "probes:", "scenarios:", "slos:"):
        (line,) = [line for line in lines if line.startswith(section)]
        assert "  # " in line, f"{line} says nothing about itself"
    config = load(path, environ={}).config
    assert all(prospect.decidable for prospect in prospects(config))
    assert [*cautions(config)] == []
    assert (config.sandbox is None) == ("CHANGE" in path.read_text())


def test_the_commands_in_a_comment_are_about_the_file_that_was_written(quick: None, tmp_path: Path) -> None:
    path = tmp_path / "my shop.yaml"
    written(path, "examples/quickstart")
    assert f"#   evload run '{path}'\n" in path.read_text()
    assert "configs/" not in path.read_text()


def test_the_files_with_its_records_lie_beside_it(quick: None, tmp_path: Path) -> None:
    said = written(tmp_path / "shop.yaml", "examples/videos")
    assert said[0] == (
        f"wrote {tmp_path}/shop.yaml, videos-asset.csv and videos-prompts.csv with its records, "
        f"and {SCHEMA} beside it, by which your editor knows its keys"
    )
    config = load(tmp_path / "shop.yaml", environ={}).config
    loaded = config.records["generation"]
    assert loaded is not None
    assert (len(loaded.rows), loaded.rows[0]) == (30, ("product", "A red kettle"))


# --- what is said -----------------------------------------------------------------------------------------


def test_off_a_terminal_it_asks_nothing_and_says_what_comes_next(tmp_path: Path) -> None:
    ended = evload("init", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"wrote evload.yaml, and {SCHEMA} beside it, by which your editor knows its keys",
        "Next:",
        "  evload try evload.yaml    # one event: what was sent and answered, and is it seen?",
        "  evload run evload.yaml    # the verdict",
    ]
    assert (tmp_path / "evload.yaml").read_text() == init.start("sandbox").text
    assert evload("schema", cwd=tmp_path).out == (tmp_path / SCHEMA).read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [SCHEMA, "evload.yaml"]


def test_where_something_has_to_be_changed_it_says_so(quick: None, tmp_path: Path) -> None:
    said = written(tmp_path / "a b.yaml", "http")
    assert said[1:] == [
        "Change the lines that say CHANGE to what your system has. Then:",
        f"  evload try '{tmp_path}/a b.yaml'    # one event: what was sent and answered, and is it seen?",
        f"  evload run '{tmp_path}/a b.yaml'    # the verdict",
    ]


def test_the_list_has_every_start_with_a_sentence_about_it(tmp_path: Path) -> None:
    ended = evload("init", "--list", cwd=tmp_path, env={"COLUMNS": "200"})
    assert (ended.code, ended.err, [*tmp_path.iterdir()]) == (0, "", [])
    found = {line.split()[0]: line.partition("  ")[2].strip() for line in ended.out.splitlines() if line}
    assert set(init.names()) <= found.keys()
    assert found["rabbitmq"] == "Events go to a RabbitMQ exchange, and an HTTP API shows their effect"
    assert all(len(found[name]) > 40 for name in init.names())
    assert init.names()[0] == "sandbox"
    assert {"http", "rabbitmq", "eventbridge", "postgres", "examples/quickstart"} <= set(init.names())


# --- what is there stays ----------------------------------------------------------------------------------


def test_it_overwrites_no_config(tmp_path: Path) -> None:
    (tmp_path / "evload.yaml").write_text("mine")
    ended = evload("init", "--from", "http", cwd=tmp_path)
    cure = "write for example evload init my-evload.yaml --from http"
    assert_one_clear_line(ended, 2, f"evload.yaml: there is a file of that name, and init overwrites nothing; {cure}")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_link_to_nowhere_is_something_too(quick: None, tmp_path: Path) -> None:
    (tmp_path / "evload.yaml").symlink_to("elsewhere.yaml")
    with pytest.raises(EvloadError, match="there is a file of that name"):
        written(tmp_path / "evload.yaml", "http")
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_it_overwrites_no_schema_and_says_how_to_renew_it(quick: None, tmp_path: Path) -> None:
    written(tmp_path / "one.yaml", "http")
    assert written(tmp_path / "two.yaml", "http")[0] == f"wrote {tmp_path}/two.yaml"  # the same schema: no word
    (tmp_path / SCHEMA).write_text("{}")
    note, wrote, *_ = written(tmp_path / "three.yaml", "http")
    place = tmp_path / SCHEMA
    assert note == f"note: {place} was there already and stays as it is; `evload schema > {place}` makes it new"
    assert (wrote, place.read_text()) == (f"wrote {tmp_path}/three.yaml", "{}")


def test_it_overwrites_no_records(quick: None, tmp_path: Path) -> None:
    (tmp_path / "videos-prompts.csv").write_text("prompt\nmine\n")
    with pytest.raises(EvloadError) as raised:
        written(tmp_path / "evload.yaml", "examples/videos")
    what = "there is a file of that name, and init overwrites nothing; move it, or write into another directory"
    assert str(raised.value) == f"{tmp_path}/videos-prompts.csv: {what}"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["prompt\nmine\n"]


def test_the_same_records_may_be_there_already(quick: None, tmp_path: Path) -> None:
    written(tmp_path / "one.yaml", "examples/leases")
    written(tmp_path / "two.yaml", "examples/leases")
    names = {"one.yaml", "two.yaml", "leases-ledgers.csv", SCHEMA}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "kafka"], "--from kafka: there is nothing of that name; choose one of sandbox, eventbridge,"),
        (["--from", "rabitmq"], "--from rabitmq: there is nothing of that name; did you mean rabbitmq?"),
        (["--from", ""], "--from : there is nothing of that name; choose one of sandbox"),
        (["--from", "../evload"], "there is nothing of that name"),
        (["away/shop.yaml"], "away/shop.yaml: there is no directory away; create it, or write elsewhere"),
        (["file/shop.yaml"], "file/shop.yaml: there is no directory file; create it, or write elsewhere"),
        (["."], ".: this is a directory; name a file in it, such as evload.yaml"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_that_says_what_to_write(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_one_clear_line(evload("init", *arguments, cwd=tmp_path), 2, said)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def failing(number: int, name: str) -> Callable[..., None]:
    real = files.write_new

    def write_new(path: Path, content: bytes) -> None:
        if path.name == name:
            raise OSError(number, os.strerror(number))
        real(path, content)

    return write_new


def test_a_full_disk_is_named(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write_new", failing(errno.ENOSPC, "evload.yaml"))
    with pytest.raises(OutputError) as raised:
        written(tmp_path / "evload.yaml", "http")
    cure = "free some space, or write elsewhere"
    assert str(raised.value) == f"can't write {tmp_path}/evload.yaml: No space left on device; {cure}"
    assert [*tmp_path.iterdir()] == []


def test_a_config_without_its_schema_is_of_use_all_the_same(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "write_new", failing(errno.EACCES, SCHEMA))
    note, wrote, *_ = written(tmp_path / "evload.yaml", "http")
    assert note.startswith(f"note: can't write {tmp_path}/{SCHEMA}: Permission denied; your editor won't know")
    assert wrote == f"wrote {tmp_path}/evload.yaml"


# --- on a terminal ----------------------------------------------------------------------------------------


def at_a_terminal(typed: bytes, cwd: Path) -> tuple[int, str]:
    """The exit code of `evload init` where a person types this, and what they see."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "100"}
    with subprocess.Popen(
        [COMMAND, "init"], cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        os.write(ours, typed)  # the terminal keeps it until it is read
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            seen += more
    os.close(ours)
    return process.returncode, seen.decode().replace("\r\n", "\n")


def test_on_a_terminal_it_asks_until_it_knows(tmp_path: Path) -> None:
    code, seen = at_a_terminal(b"htp\nhttp\n", tmp_path)
    assert code == 0, seen
    assert "What does it start from?\n" in seen
    assert re.search(r"^  rabbitmq +Events go to a RabbitMQ exchange", seen, re.MULTILINE)
    assert "--from htp: there is nothing of that name; did you mean http?" in seen
    assert (tmp_path / "evload.yaml").read_text() == init.start("http").text


def test_an_empty_line_is_the_embedded_pipeline(tmp_path: Path) -> None:
    code, seen = at_a_terminal(b"\n", tmp_path)
    assert (code, "Name [sandbox]: " in seen) == (0, True), seen
    assert (tmp_path / "evload.yaml").read_text() == init.start("sandbox").text


def test_whoever_ends_the_input_has_chosen_nothing(tmp_path: Path) -> None:
    code, seen = at_a_terminal(b"\x04", tmp_path)
    assert (code, [*tmp_path.iterdir()]) == (2, [])
    assert "nothing was chosen; write for example evload init --from http" in seen


# --- it runs ----------------------------------------------------------------------------------------------


def test_the_one_for_http_runs_against_the_sandbox(tmp_path: Path) -> None:
    """As its comment says; and `doctor`, which `init` names first, finds all well."""
    assert evload("init", "--from", "http", cwd=tmp_path).code == 0
    with started("sandbox", "--port", "0", "--set", "visibility=50ms", cwd=tmp_path) as running:
        url = running.first_line().split()[2]
        sets = [
            f"--set=producers.api.url={url}/events",
            f"--set=probes.read-model.url={url}/items/{{correlation_id}}",
            "--set=probes.read-model.confirm={reads: 1, over: 500ms}",
            "--set=scenarios.steady.load=[{rate: 50/s, for: 2s}]",
            "--set=self_checks={offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}",
        ]
        examined = evload("doctor", "evload.yaml", *sets, cwd=tmp_path)
        ended = evload("run", "evload.yaml", "--out", "out", "--quiet", *sets, cwd=tmp_path)
    assert "doesn't know an event that was never sent" in " ".join(examined.out.split())
    assert ended.code == 0, ended.said
    summary = summary_of(tmp_path / "out")
    assert (summary["ledger"]["visible"], summary["name"]) == (100, "over-http")
    assert [objective["result"] for objective in summary["objectives"]] == ["pass"] * 3


# --- completion -------------------------------------------------------------------------------------------

COMPLETED: Final = """\
eval "$(evload --show-completion)"
complete -p evload | grep -q -- '-F' || exit 3
read -r -a COMP_WORDS <<<"$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$(complete -p evload | sed 's/.*-F \\([^ ]*\\).*/\\1/')" evload
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does with what was typed when Tab is pressed."""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("evload val", {"validate"}),
        ("evload ", {"run", "validate", "plan", "burst", "doctor", "sandbox", "report", "compare", "init", "schema"}),
        ("evload run --u", {"--ui", "--ui-port"}),
        ("evload burst --pr", {"--probe", "--print-config"}),
        ("evload init --", {"--from", "--list"}),
        ("evload init --from r", {"rabbitmq", "redis", "redis-streams"}),
        (
            "evload init --from examples/k",
            {f"examples/knative-{one}" for one in ("builders", "ceiling", "endurance", "parsers", "stress")},
        ),
    ],
    ids=lambda value: value.strip().replace(" ", "_") if isinstance(value, str) else "",
)
def test_bash_completes_verbs_options_and_starts(typed: str, offered: set[str], tmp_path: Path) -> None:
    environment: dict[str, Any] = {**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETED, "bash", typed], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.split())
    assert offered <= found
    assert found == offered or typed.endswith((" ", "--"))
