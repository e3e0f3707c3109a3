"""What a config may hold at most: more is one clear line with its place and what to do, and soon; as much is fine."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from evload.config import load, load_text
from evload.errors import ConfigError, UsageError
from evload.spi import registry
from tests.rigs.commands import evload

LONGEST_S: Final = 20.0
"""CPU time: what has no limit takes minutes, or all of the memory. That nothing takes two seconds is held by the
trials with configs changed at random, which measure again where something came in between."""
CONFIG: Final = """\
producers: {api: {kind: http, url: "http://127.0.0.1:9/e"}}
events: {e: {type: t, source: /s, data: DATA}}
scenarios: {s: {producer: api, events: [e], load: [LOAD]}}
"""
DATA: Final = "c.yaml:2:41: "
"""Where the data begins."""
LOAD: Final = "c.yaml:3:51: "
X: Final = '"{data.x}"'


def config(data: str = "{a: 1}", load: str = "{rate: 1/s, for: 1s}", more: str = "") -> str:
    return CONFIG.replace("DATA", data).replace("LOAD", load) + more


@contextmanager
def soon() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < LONGEST_S


def problems_of(text: str, environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()) -> list[str]:
    """The lines that a person is told; none of a good config."""
    with soon():
        try:
            load_text(text, "c.yaml", environ=environ or {}, sets=sets)
        except ConfigError as error:
            lines = str(error).split("\n")
            assert all(re.fullmatch(r"(c\.yaml:\d+:\d+|--set [^;]*): [^;]+; .+", line) for line in lines), lines
            assert all(len(line) < 1000 for line in lines)
            return lines
    return []


def the_problem_of(text: str, environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()) -> str:
    (line,) = problems_of(text, environ, sets)
    return line


# -- references --------------------------------------------------------------------------------------


def referring(count: int, *, last: str = "x", often: int = 1) -> str:
    """Data of `count` texts, each of which refers to the next, `often` times, and of the last."""
    texts = [f'a{n}: "' + f"{{data.a{n + 1}}}" * often + '"' for n in range(count)]
    return f"{{{', '.join([*texts, f'a{count}: {last}'])}}}"


def test_references_may_follow_on_one_another_fifty_times() -> None:
    assert problems_of(config(referring(50))) == []
    assert the_problem_of(config(referring(51))).endswith(
        ": 'x' is referred to over more than 50 others; refer to it more directly"
    )


@pytest.mark.parametrize("count", [200, 1500])
def test_a_circle_over_hundreds_of_references_is_found(count: int) -> None:
    first, *_ = problems_of(config(referring(count, last='"{data.a0}"')))
    assert first.endswith(": '{data.a52}' is referred to over more than 50 others; refer to it more directly")


@pytest.mark.parametrize("count", [1, 50])
def test_a_circle_over_a_few_is_called_one(count: int) -> None:
    assert the_problem_of(config(referring(count, last='"{data.a0}"'))).endswith(
        "{data.a0} refers to itself in the end; give one of them a value of its own"
    )


@pytest.mark.parametrize("often", [2, 3, 30])
def test_references_to_references_do_not_multiply_without_end(often: int) -> None:
    first, *_ = problems_of(config(referring(40, often=often)))
    assert "this event has more than 10000 placeholders and texts between them, or 4000000 characters" in first
    assert first.endswith("; refer to less, or to shorter texts")
    assert problems_of(config(referring(2, often=often))) == []


@pytest.mark.parametrize("times", [5, 3000])
def test_long_texts_do_not_multiply_either(times: int) -> None:
    long = "y" * 900_000
    first, *_ = problems_of(config(f"{{x: {long}, of_it: [{', '.join([X] * times)}]}}"))
    assert first.endswith(
        ": up to '{data.x}' this event has more than 10000 placeholders and texts between them, or 4000000 "
        "characters, with all that it refers to; refer to less, or to shorter texts"
    )
    assert problems_of(config(f"{{x: {long}, of_it: [{X}, {X}, {X}]}}")) == []


def test_an_event_has_ten_thousand_placeholders_at_most() -> None:
    many = '"' + "{uuid}" * 500 + '"'
    assert problems_of(config(f"[{', '.join([many] * 19)}]")) == []
    assert "more than 10000 placeholders" in problems_of(config(f"[{', '.join([many] * 21)}]"))[0]
    choice = '"{choice:%s}"'
    assert problems_of(config(choice % ("a," * 9999 + "a"))) == []
    assert the_problem_of(config(choice % ("a," * 10_000 + "a"))) == (
        f"{DATA}{{choice:…}} has more than 10000 options; use a data file under records:"
    )


# -- the environment ---------------------------------------------------------------------------------


def defaults(depth: int) -> str:
    return "".join(f"${{A{n}:-" for n in range(depth)) + "x" + "}" * depth


@pytest.mark.parametrize(
    "text", [defaults(21), defaults(5000), "${A:-" * 5000, "${" * 300_000, "${A:-" + "{" * 50_000]
)
def test_a_default_has_twenty_braces_within_each_other_at_most(text: str) -> None:
    assert the_problem_of(config(f'"{text}"')) == (
        f"{DATA}a default has braces within more than 20 others; use fewer"
    )
    assert problems_of(config(f'"{defaults(20)}"')) == []


def test_a_variable_may_be_used_often_but_not_without_end() -> None:
    def used(count: int) -> str:
        return config("[" + ", ".join(['"${L}"'] * count) + "]")

    environ = {"L": "y" * 100_000}
    assert problems_of(used(9), environ) == []
    assert "are longer than 1000000 characters" in the_problem_of(used(11), environ)
    assert the_problem_of(config('"' + "${L}" * 11 + '"'), environ) == (
        f"{DATA}with L the variables are longer than 1000000 characters; use fewer of them"
    )


# -- --set -------------------------------------------------------------------------------------------


def test_a_path_has_fifty_steps_at_most() -> None:
    deep = ".".join("abcdefgh" * 6)
    assert problems_of(config(), sets=[f"events.e.data.{'.'.join('bcdefg' * 7)}=1"]) == []
    assert the_problem_of(config(), sets=[f"events.e.data.{deep}=1"]).endswith(
        "…: it is nested too deeply; use at most 50 levels"
    )
    assert the_problem_of(config(), sets=[".".join(["a"] * 50_000) + "=1"]) == (
        f"--set {'a.' * 50}…: it is nested too deeply; use at most 50 levels"
    )


@pytest.mark.parametrize("index", ["2", "10000", "9" * 20, "9" * 5000, "\u0669" * 5000, "-1", "\u00b2"])
def test_an_index_is_one_of_the_list(index: str) -> None:
    line = the_problem_of(config(), sets=[f"scenarios.s.load.{index}={{idle: 1s}}"])
    assert line.startswith(f"--set scenarios.s.load.{index[:83]}")
    assert line.endswith("; write a number from 0 to 1")
    assert problems_of(config(), sets=["scenarios.s.load.1={idle: 1s}"]) == []


@pytest.mark.parametrize("value", ["[" * 5000, "{a: " * 5000, "[" * 60 + "]" * 60])
def test_what_is_set_is_bounded_as_what_is_written(value: str) -> None:
    assert the_problem_of(config(), sets=[f"seed={value}"]) == (
        "--set seed: it is nested too deeply; use at most 50 levels"
    )
    assert the_problem_of(config(), sets=["name=" + "x" * 1_000_001]) == (
        "--set name: it is longer than 1000000 characters; use at most 1000000, and a data file under records:"
    )


# -- numbers and loads -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "events"),
    [
        ("{burst: 1000000000000000000}", "1,000,000,000,000,000,000"),
        ("{burst: 100000000001}", "100,000,000,001"),
        ("{rate: 1000000000/s, for: 101s}", "101,000,000,000"),
        ("{burst: 99999999999}, {burst: 2}", "100,000,000,001"),
    ],
)
def test_a_load_has_a_hundred_thousand_million_events_at_most(load: str, events: str) -> None:
    assert the_problem_of(config(load=load)) == (
        f"{LOAD[:-2]}: this load has {events} events; write one of 100,000,000,000 or fewer"
    )
    assert problems_of(config(load="{burst: 100000000000}")) == []


@pytest.mark.parametrize(
    ("load", "what"),
    [
        ("{rate: 1/h, for: 36501d}", "'36501d' is too long; write 36500d or less"),
        ("{rate: 1/h, for: 36500d}, {idle: 1s}", "this load lasts longer than a hundred years; write a shorter one"),
        ("{rate: 1000000001/s, for: 1s}", "'1000000001/s' is too high; write 1000000000/s or less"),
        (f"{{rate: 1/s, for: {'9' * 101}s}}", f"'{'9' * 101}s' is not a duration"),
        (f"{{burst: {'9' * 30}}}", "99999999999999999999… is too large a number; write at most 9223372036854775807"),
    ],
)
def test_times_and_rates_and_numbers_have_an_end(load: str, what: str) -> None:
    assert what in the_problem_of(config(load=load))
    assert problems_of(config(load="{rate: 1/h, for: 36500d}")) == []
    assert problems_of(config(load="{rate: 1000000000/s, for: 1s}")) == []


def test_only_the_data_of_an_event_may_hold_any_number() -> None:
    assert problems_of(config(more=f"seed: {2**63 - 1}\n")) == []
    assert the_problem_of(config(more=f"seed: {2**63}\n")) == (
        "c.yaml:4:7: 9223372036854775808… is too large a number; write at most 9223372036854775807"
    )
    assert "is too large a number" in the_problem_of(config(more="seed: ${N}\n"), {"N": str(10**30)})
    assert problems_of(config(data=f"{{n: [{10**300}]}}")) == []


# -- how much of everything --------------------------------------------------------------------------


def test_a_config_has_ten_thousand_values_at_most() -> None:
    assert problems_of(config(f"[{'1,' * 9900}1]")) == []
    told = "there are more than 10000 values; use fewer, and a data file under records:"
    for data in (f"[{'1,' * 10_000}1]", f"[{'1,' * 99_000}1]", f"{{{','.join(f'k{n}: 1' for n in range(6000))}}}"):
        assert the_problem_of(config(data)).endswith(told)
    thousand = "x: &x [" + "1," * 999 + "1]\n"
    assert the_problem_of(thousand + config(f"[{','.join(['*x'] * 10)}]")).endswith(told)


def test_a_config_has_a_million_characters_at_most_also_by_aliases() -> None:
    assert problems_of(config('"' + "y" * 900_000 + '"')) == []
    assert the_problem_of(config('"' + "y" * 1_000_000 + '"')) == (
        "c.yaml:1:1: it is longer than 1000000 characters; use at most 1000000, and a data file under records:"
    )
    long = "name: &x " + "y" * 100_000 + "\n"
    assert the_problem_of(long + config(f"[{','.join(['*x'] * 10)}]")).endswith(
        "the values up to here are longer than 1000000 characters; use fewer aliases"
    )


@pytest.mark.parametrize("opened", ["[", "{a: "])
def test_values_stand_within_fifty_others_at_most(opened: str) -> None:
    closed = "]" if opened == "[" else "}"
    assert problems_of(config(opened * 47 + "1" + closed * 47)) == []
    for depth in (48, 60, 9999):
        assert the_problem_of(config(opened * depth + "1" + closed * depth)).endswith(
            ": it is nested too deeply; use at most 50 levels"
        )


def test_there_are_five_hundred_objectives_and_scenarios_at_most() -> None:
    def scenarios(count: int) -> str:
        more = "".join(f"  s{n}: {{producer: api, events: [e], load: [{{burst: 1}}]}}\n" for n in range(count))
        return config().partition("scenarios:")[0] + "scenarios:\n" + more

    def objectives(count: int) -> str:
        return config(more=f"slos: [{', '.join(['errors == 0'] * count)}]\n")

    assert problems_of(objectives(500)) == []
    assert the_problem_of(objectives(501)) == "c.yaml:4:7: a list is too long; write 500 or less"
    assert problems_of(scenarios(500)) == []
    assert "c.yaml:4:3: a mapping is too long; write 500 or less" in problems_of(scenarios(501))


@pytest.mark.parametrize(("count", "more"), [(99, False), (100, False), (101, True), (4000, True)])
def test_a_hundred_problems_are_told_and_that_there_are_more(count: int, more: bool) -> None:
    lines = problems_of(config(more="".join(f"key{n}: 1\n" for n in range(count))))
    assert len(lines) == min(count, 100) + more
    assert (lines[-1] == "c.yaml:103:1: there are more problems than these; correct these first") == more
    unknown = "[" + ", ".join(f"x{n}" for n in range(count)) + "]"
    assert len(problems_of(config().replace("events: [e]", f"events: {unknown}"))) == min(count, 100) + more


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (f"slos: ['{'p99(' * 300}']\n", "this is longer than 1000 characters; write a shorter objective"),
        ("slos: [{objective: errors < 5, critical: '1e999999999'}]\n", "'1e999999999' is not a number of events"),
        ("gauges: {g: {kind: x}}\nslos: [max(g) < 1e999999999]\n", "unknown kind 'x'"),
        *(
            (f"probes: {{p: {{kind: http, url: 'http://h/{{correlation_id}}', visible: '{by}'}}}}\n", what)
            for by, what in (
                ("(" * 5000, "is nested too deeply; write a simpler expression"),
                ("!" * 2000 + "a", "is nested too deeply; write a simpler expression"),
                ("a" * 10_001, "an expression is longer than 10000 characters; write a shorter one"),
            )
        ),
    ],
)
def test_expressions_are_short(more: str, what: str) -> None:
    assert any(what in line for line in problems_of(config(more=more)))


# -- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4_000_001, 200_000_000, None], ids=["a byte more", "200 MB", "no end"])
def test_a_file_is_read_to_its_limit_and_not_further(tmp_path: Path, size: int | None) -> None:
    path = Path("/dev/zero")
    if size is not None:
        path = tmp_path / "c.yaml"
        path.write_text(config())
        os.truncate(path, size)
    with soon(), pytest.raises(UsageError) as caught:
        load(path, environ={})
    assert str(caught.value) == (
        f"{path}: it is longer than 4 MB, the most that is read; write less, and use a data file under records:"
    )
    assert caught.value.exit_code == 2


def test_a_config_may_come_through_a_pipe() -> None:
    """The control."""
    reader, writer = os.pipe()
    os.write(writer, config().encode())
    os.close(writer)
    try:
        assert load(Path(f"/dev/fd/{reader}"), environ={}).config.scenarios.keys() == {"s"}
    finally:
        os.close(reader)


def records_problem(directory: Path, name: str) -> str:
    text = config().replace("source: /s", f"source: /s, records: {name}")
    with soon(), pytest.raises(ConfigError) as caught:
        load_text(text, "c.yaml", base_dir=directory, environ={})
    return str(caught.value)


def test_a_data_file_is_a_file_with_an_end(tmp_path: Path) -> None:
    told = "c.yaml:2:44: data file '{}' can't be read: {}"
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("zero.csv", "pipe.csv"):
        assert records_problem(tmp_path, name) == told.format(name, "it is no regular file; name a readable file")
    (tmp_path / "long.csv").write_text("id\n1\n")
    os.truncate(tmp_path / "long.csv", 100_000_001)
    assert records_problem(tmp_path, "long.csv") == told.format(
        "long.csv", "it is longer than 100 MB, the most that is read; use fewer records"
    )
    os.truncate(tmp_path / "long.csv", 5)
    text = config(data='{a: "{record.id}"}').replace("source: /s", "source: /s, records: long.csv")
    load_text(text, "c.yaml", base_dir=tmp_path, environ={})


def test_validate_says_the_limit_and_ends_with_2(tmp_path: Path) -> None:
    ended = evload("validate", "/dev/zero", cwd=tmp_path)
    assert ended.code == 2
    assert "it is longer than 4 MB, the most that is read" in ended.err
    (tmp_path / "c.yaml").write_text(config(referring(300, last='"{data.a0}"')))
    ended = evload("validate", "c.yaml", cwd=tmp_path)
    assert ended.code == 2
    assert "c.yaml:2:" in ended.err
    (tmp_path / "good.yaml").write_text(config())
    assert evload("validate", "good.yaml", cwd=tmp_path).code == 0


def test_for_hundreds_of_actions_what_is_installed_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    kinds = registry.kinds

    def counted(group: registry.Group) -> dict[str, EntryPoint]:
        looked.append(group)
        return kinds(group)

    monkeypatch.setattr(registry, "kinds", counted)
    steps = {"do": {"shell": "true"}, "undo": [{"shell": "true"}]}
    config = {
        "producers": {"api": {"kind": "http", "url": "http://localhost/events"}},
        "events": {"order": {"type": "t", "source": "/s"}},
        "scenarios": {"main": {"producer": "api", "events": ["order"], "load": [{"rate": "1/s", "for": "10s"}]}},
        "actions": {f"a{number}": {"at": "1s", "for": "1s", **steps} for number in range(300)},
    }

    assert len(load_text(json.dumps(config), "many.yaml", environ={}).config.actions) == 300
    assert looked.count("evload.activities") <= 2
