"""Texts of others, by values: what a terminal and a CI server would obey is gone, everything else is as it was."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload import texts

HARMLESS = [
    "p99 1.25 s … 2 s, 3 × HTTP 500: [red]no[/red] :smile:",
    "Größe, обмен, 寿司, 🎉, é, \ue000, \U0001fae8",
    "#5 ## heading ##-[x]",
]
OBEYED = {
    "\x1b[31mred": " [31mred",
    "a\x1b]0;title\x07b": "a ]0;title b",
    "\x9b31m": " 31m",
    "1\r2\n3\t4": "1 2 3 4",
    "\u202eevil\u202c \u2066x\u2069": " evil   x ",
    "a\u200bb\ufeffc\u2028d\u2029e\x85f\x7fg": "a b c d e f g",
    "a\u00a0b\u3000c": "a b c",
    "half \ud83d": "half  ",
    "##[error]x": "# #[error]x",
    "x ##vso[task.setvariable]y ##teamcity[x] ###[x]": "x # #vso[task.setvariable]y # #teamcity[x] ## #[x]",
}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_does_no_harm_is_left_alone(text: str) -> None:
    assert texts.printable(text) == text
    assert texts.name(text) == text
    assert texts.lines(f"{text}\n{text}") == f"{text}\n{text}"
    assert texts.without_commands(text) == text


@pytest.mark.parametrize("text", OBEYED)
def test_what_would_be_obeyed_becomes_blank(text: str) -> None:
    assert texts.printable(text) == OBEYED[text]


def test_several_lines_stay_several() -> None:
    assert texts.lines("a\x1b\n\tb\r\n\u202ec") == "a \n        b \n c"


def test_names_that_differ_in_what_is_not_seen_still_differ() -> None:
    assert [texts.name(f"eu{odd}") for odd in ("", "\x1b[m", "\u202e", "\x9b", "\xa0", "\U000e0041", "\ud83d")] == [
        "eu", r"eu\x1b[m", r"eu\u202e", r"eu\x9b", r"eu\xa0", r"eu\U000e0041", r"eu\ud83d"
    ]  # fmt: skip
    assert texts.name("a\n##[b]") == "a\n# #[b]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", ": :error::x"),
        ("  ::error file=a,line=1::x\nb", "  : :error file=a,line=1::x\nb"),
        ("a\n\xa0::add-mask::1\n::stop-commands::x", "a\n\xa0: :add-mask::1\n: :stop-commands::x"),
        ("\x1b[31m::warning::x", "\x1b[31m: :warning::x"),
        ("a ##[group]b", "a # #[group]b"),
        # nobody takes these for commands
        ("a ::error::b", "a ::error::b"),
        ("::1: connection refused, ::2", "::1: connection refused, ::2"),
        ("std::vector", "std::vector"),
        ("::error", "::error"),
    ],
)
def test_a_line_is_no_command_of_a_ci_server(text: str, shown: str) -> None:
    assert texts.without_commands(text) == shown


def test_whether_a_command_begins_a_line_is_known_across_what_is_printed() -> None:
    assert texts.without_commands("::error::x\n::error::y", started=True) == "::error::x\n: :error::y"
    assert not texts.begins_line("a")
    assert texts.begins_line("a\n")
    assert texts.begins_line("a\n  \x1b[0m")
    assert texts.begins_line("  ")
    assert not texts.begins_line("  ", started=True)
    assert not texts.begins_line("a\n ::")


def test_json_says_the_same_in_characters_that_are_seen() -> None:
    said = {"a": "\x1b[31m\x9b\u202e\U000e0041\x7f ##[error]x ä🎉", "##vso[b]": ["##"]}
    document = texts.plain_json(json.dumps(said, ensure_ascii=False, indent=2).encode())
    assert json.loads(document) == said
    shown = document.decode()
    assert "ä🎉" in shown
    assert "##[" not in shown
    assert "##v" not in shown
    assert all(letter == "\n" or letter.isprintable() for letter in shown)


@given(st.text())
def test_nothing_that_does_something_is_ever_left(text: str) -> None:
    for shown in (texts.printable(text), texts.name(text).replace("\n", ""), texts.lines(text).replace("\n", "")):
        assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert set(shown) == set(shown.encode().decode())
    assert len(texts.printable(text)) == len(text) or "##" in text


def test_what_was_meant_is_looked_for_where_a_person_may_have_mistyped() -> None:
    known = ["visible", "duplicated", *(f"name-{number}" for number in range(400))]
    assert texts.near("visibel", known) == ["visible"]
    assert texts.near("something else", ["visible"]) == []
    assert texts.near("visibel", known, cutoff=0.9) == []
    assert texts.near("name-298", ["x"] * 299 + ["name-299"]) == ["name-299"]
    assert texts.near("name-298", ["x"] * 300 + ["name-299"]) == [], "those after the first hundreds"
    assert texts.near("x" * 100, ["y", "x" * 99]) == ["x" * 99]
    assert texts.near("x" * 101, ["x" * 100]) == []
    assert texts.near("x" * 100, ["x" * 101]) == []
