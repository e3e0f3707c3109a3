"""Tags: what an answer gives, what several say together, and which are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from evload.model.tags import KnownTags, names_in, tag_of, tags_of, together


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (True, "cold"),
        (False, "cold="),
        (None, "cold="),
        ("", "cold="),
        ("eu", "cold=eu"),
        ("a\n b\x00=c", "cold=a b =c"),
        ("x" * 100, "cold=" + "x" * 60),
        (0, "cold=0"),
        (2.5, "cold=2.5"),
        ({"a": 1}, "cold="),
        (["eu"], "cold="),
    ],
    ids=repr,
)
def test_what_a_value_makes_of_a_tag(value: Any, tag: str) -> None:
    assert tag_of("cold", value) == tag


@pytest.mark.parametrize(
    ("known", "more", "both"),
    [
        ("", "cold", "cold"),
        ("cold", "", "cold"),
        ("cold=", "cold", "cold"),
        ("cold", "cold=", "cold"),
        ("region=eu", "region=us", "region=eu"),
        ("region=eu", "cold", "cold\nregion=eu"),
        ("b=1\nc=", "a\nc=2", "a\nb=1\nc=2"),
    ],
)
def test_of_several_answers_the_first_with_a_value_counts(known: str, more: str, both: str) -> None:
    assert together(known, more) == both


def test_what_an_event_has_and_what_it_was_asked_about() -> None:
    text = "cold\nregion=eu\nwarm="
    assert tags_of(text) == ["cold", "region=eu"]
    assert names_in(text) == {"cold", "region", "warm"}
    assert (tags_of(""), names_in("")) == ([], set())


def test_the_first_eight_are_told_apart_those_asked_for_before_all() -> None:
    known = KnownTags(["n=7", "cold"])
    assert [known.capped(f"n={number}") for number in range(9)] == [
        "n=0", "n=1", "n=2", "n=3", "n=4", "n=5", "n=other", "n=7", "n=other",
    ]  # fmt: skip
    assert known.capped("cold\nn=8\nwarm") == "cold\nn=other\nwarm=other"
    assert known.capped("cold=\nn=3") == "cold=\nn=3"
