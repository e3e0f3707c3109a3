"""What is done by a command: what says that it is done, what is left behind, and that no value is ever a command."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from evload.activities.shell import as_variables
from evload.clock import SystemClock
from evload.spi.activity import Outcome
from evload.spi.context import Surroundings
from evload.testing import check_activity
from tests.rigs.activities import activity, captured, opened, performed
from tests.rigs.commands import wait_until
from tests.rigs.turned_secret import TurnedSecret

NASTY = "$(touch pwned); `touch pwned` 'x' \"y\" \\ & touch pwned | # {id}\n*"


@pytest.mark.parametrize(
    ("written", "outcome"),
    [
        ({"shell": "true"}, Outcome()),
        ({"shell": ["true"]}, Outcome()),
        ({"shell": "exit 3", "expect": 3}, Outcome()),
        ({"shell": "exit 1", "expect": [0, 1]}, Outcome()),
        ({"shell": "true", "expect": 1}, Outcome("it ended with code 0", in_doubt=True)),
        (
            {"shell": "echo some; echo 'no such\tcontainer: db' >&2; echo >&2; exit 4"},
            Outcome("it ended with code 4: no such container: db", in_doubt=True),
        ),
        ({"shell": "kill -9 $$"}, Outcome("it ended with signal 9", in_doubt=True)),
        (
            {"shell": "printf 'not \\033[31mred' >&2; exit 1"},
            Outcome("it ended with code 1: not  [31mred", in_doubt=True),
        ),
        ({"shell": "printf '\\377'", "capture": {"said": "output"}}, Outcome(captured={"said": "\ufffd"})),
        (
            {"shell": "echo waiting >&2; sleep 60", "timeout": "2s"},
            Outcome("it was not done after 2 s: waiting", in_doubt=True),
        ),
        (
            {"shell": ["/no/such/program"]},
            Outcome("it can't be begun: [Errno 2] No such file or directory: '/no/such/program'"),
        ),
        ({"shell": "yes | head -c 3000000"}, Outcome()),
        ({"shell": "echo -n '{\"id\": 5}'", "capture": {"id": "output.id", "c": "code"}},
         Outcome(captured={"id": 5, "c": 0})),
        ({"shell": "echo words", "capture": {"said": "output"}}, Outcome(captured={"said": "words"})),
        ({"shell": "echo words", "capture": {"id": "output.id"}},
         Outcome("it is done, but there is no id: output.id is null", in_doubt=True)),
        ({"shell": "yes | head -c 3000", "max_output": "1KB", "capture": {"said": "output"}},
         Outcome("it is done, but it printed more than 1,000 bytes, too much to capture from", in_doubt=True)),
        ({"shell": "yes | head -c 3000", "max_output": "1KB", "capture": {"c": "code"}}, Outcome(captured={"c": 0})),
    ],
    ids=["text", "list", "code", "codes", "zero", "complaint", "signal", "escape", "no text", "slow", "no program",
         "much", "capture", "text captured", "null", "too much", "enough"],
)  # fmt: skip
def test_what_comes_of_it(written: Mapping[str, Any], outcome: Outcome) -> None:
    assert performed(**written) == outcome


def test_however_much_it_prints_little_is_kept() -> None:
    tracemalloc.start()
    try:
        assert performed(shell="head -c 50000000 /dev/zero", max_output="1KB") == Outcome()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_it_is_done_where_the_config_stands_and_has_no_input(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("db\n")
    outcome = performed(base_dir=tmp_path, shell="cat; cat name", capture={"name": "output"})
    assert captured(outcome) == {"name": "db"}


@pytest.mark.parametrize("shell", ["cat; pwd; echo $PPID >done", ["sh", "-c", "cat; pwd; echo $PPID >done"]])
def test_it_does_nothing_before_somebody_knows_its_processes(shell: str | list[str], tmp_path: Path) -> None:
    """And then the same as ever: it has no input, and what it prints is captured."""
    told: list[tuple[int, bool, bool]] = []

    async def began(group: int) -> None:
        await asyncio.sleep(0.2)
        told.append((group, os.getpgid(group) == group, (tmp_path / "done").exists()))

    async def main() -> Outcome:
        settings = activity(shell=shell, capture={"said": "output"})
        clock = SystemClock()
        async with settings.open(Surroundings(clock, "r", tmp_path, began=began)) as opened:
            return await opened.perform({})

    assert asyncio.run(main()) == Outcome(captured={"said": str(tmp_path)})
    ((_, leads, done),) = told
    assert (leads, done) == (True, False)
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program"])
def test_what_isnt_there_cant_be_begun_whoever_wants_to_know(program: str, tmp_path: Path) -> None:
    async def main() -> Outcome:
        told = Surroundings(SystemClock(), "r", tmp_path, began=lambda group: asyncio.sleep(0))
        async with activity(shell=[program]).open(told) as opened:
            return await opened.perform({})

    assert asyncio.run(main()) == Outcome(f"it can't be begun: [Errno 2] No such file or directory: '{program}'")


def test_it_never_begins_where_nobody_lets_it(tmp_path: Path) -> None:
    """Whoever was to be told of it is gone: so is it, without having done anything."""
    groups = []

    async def began(group: int) -> None:
        groups.append(group)
        await asyncio.sleep(60)

    async def main() -> None:
        told = Surroundings(SystemClock(), "r", tmp_path, began=began)
        async with activity(shell="touch done").open(told) as opened:
            task = asyncio.ensure_future(opened.perform({}))
            while not groups:
                await asyncio.sleep(0.01)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())
    wait_until(lambda: is_over(groups[0]))
    assert not (tmp_path / "done").exists()


def is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_is_too_slow_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    outcome = performed(base_dir=tmp_path, shell="sleep 300 & echo $! > pid; wait", timeout="2s")
    assert outcome.error == "it was not done after 2 s"
    wait_until(partial(is_over, int((tmp_path / "pid").read_text())))


def test_what_it_leaves_behind_goes_on(tmp_path: Path) -> None:
    """A fault may be a process of its own, which the undo ends."""
    outcome = performed(base_dir=tmp_path, shell="sleep 300 >/dev/null 2>&1 & echo $! > pid", timeout="20s")
    pid = int((tmp_path / "pid").read_text())
    try:
        assert outcome == Outcome()
        assert not is_over(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


def test_what_holds_the_output_is_not_waited_for(tmp_path: Path) -> None:
    outcome = performed(
        base_dir=tmp_path, shell="sleep 300 & echo $! > pid; echo 5", timeout="60s", capture={"n": "output"}
    )
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert captured(outcome) == {"n": 5}


def test_what_is_cancelled_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(activity(shell="echo $$ > pid; sleep 300"), tmp_path) as one:
            performing = asyncio.ensure_future(one.perform({}))
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                await asyncio.sleep(0.02)
            performing.cancel()
            with suppress(asyncio.CancelledError):
                await performing

    asyncio.run(main())
    wait_until(partial(is_over, int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize(
    "shell",
    ["printf %s {id}", 'printf %s "{id}"', "printf %s '{id}'", "printf %s ''{id}", "# it's\nprintf %s {id}",
     "printf %s \\''{id}' | tail -c +2", ["printf", "%s", "{id}"]],
    ids=["bare", "double", "single", "beside", "remark", "escaped", "list"],
)  # fmt: skip
def test_a_value_is_what_it_is_and_never_a_command(shell: str | Sequence[str], tmp_path: Path) -> None:
    outcome = performed({"id": NASTY}, tmp_path, shell=shell, capture={"said": "output"})
    assert captured(outcome) == {"said": NASTY}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "shell",
    ["cat <<EOF\nit's\n{id}\nEOF", 'x="$(printf %s {id})"; :', "x=\"$(printf %s '{id}')\"; :"],
    ids=["here", "within", "single within"],
)
def test_no_value_is_a_command_where_quotes_are_hard_to_tell(shell: str, tmp_path: Path) -> None:
    assert performed({"id": "$(touch pwned);touch pwned"}, tmp_path, shell=shell).error == ""
    assert list(tmp_path.iterdir()) == []


def test_braces_that_are_no_values_stay() -> None:
    text = "awk '{print}' ${id} {x} {id.x}"
    assert as_variables(text, {"id": 1, "print_": 2}) == (text, {})
    assert as_variables("{id}{run.id}", {"id": 1, "run.id": [True]}) == (
        '"${EVLOAD_VALUE_1}""${EVLOAD_VALUE_2}"',
        {"EVLOAD_VALUE_1": "1", "EVLOAD_VALUE_2": "[true]"},
    )


def test_a_secret_is_in_the_environment_and_not_in_the_arguments() -> None:
    outcome = performed(
        secrets={"token": TurnedSecret("s3cret")},
        shell="test {secrets.token} = s3cret && tr '\\0' ' ' < /proc/$$/cmdline",
        capture={"arguments": "output"},
    )
    assert "s3cret}" not in captured(outcome)["arguments"]
    assert '"${EVLOAD_VALUE_1}" = s3cret' in captured(outcome)["arguments"]


def test_a_value_that_no_argument_can_hold_is_told() -> None:
    assert performed({"id": "a\0b"}, shell="echo {id}") == Outcome("it can't be begun: embedded null byte")


def test_the_title_is_the_command() -> None:
    assert activity(shell="docker  pause\n db").title == "shell: docker pause db"
    assert activity(shell=["a", "b" * 100]).title == f"shell: a {'b' * 58}…"


def test_it_conforms() -> None:
    settings = activity(shell="echo '{\"id\": 5}'", capture={"id": "output.id"})
    assert asyncio.run(check_activity(settings, SystemClock())) == [Outcome(captured={"id": 5})] * 2


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"shell": "  "}, "shell is empty; write a command, such as docker pause db"),
        ({"shell": []}, "shell is empty"),
        ({"shell": [""]}, "shell is empty"),
        ({"shell": "a\0b"}, "shell holds a NUL"),
        ({"shell": "x", "expect": 256}, "less than or equal to 255"),
        ({"shell": "x", "expect": []}, "no exit code is expected; write expect: 0"),
        ({"shell": "x", "expect": True}, "valid tuple"),
        ({"shell": "x", "capture": {"id": "body.id"}}, "start with one of code, output"),
    ],
    ids=["blank", "none", "no name", "nul", "code", "no code", "true", "expression"],
)
def test_settings_that_make_no_sense_are_refused(written: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        activity(**written)
    assert message in str(raised.value)
