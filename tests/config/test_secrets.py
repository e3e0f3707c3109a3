"""Secrets are taken out of texts in whatever form others quote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evload.config.secrets import Redactor
from tests.rigs.quoting import FORMS

SECRET: Final = "pa/ss w&rd<'\"é€?#%+=\\5f2a"


@pytest.mark.parametrize("form", FORMS)
def test_one_that_is_long_enough_is_known_in_every_form(form: str) -> None:
    quoted = FORMS[form](SECRET)
    told = Redactor({"PW": SECRET})(f"wrong password {quoted} for app")
    assert told == "wrong password ${PW} for app" or (
        "base64 after" in form and told.startswith("wrong password ") and "${PW}" in told
    )
    assert quoted not in told


# Letters of which both cases are a single letter: of others no two programs agree on what their other case is.
LETTERS: Final = st.characters(exclude_categories=["Cs"]).filter(
    lambda one: len(one.lower()) == len(one.upper()) == 1
)
AROUND: Final = st.text(st.sampled_from(" :'\"{}()[],\n"), max_size=5)


@given(st.text(LETTERS, min_size=8, max_size=30), st.sampled_from(sorted(FORMS)), AROUND, AROUND)
def test_no_secret_of_eight_letters_or_more_is_left(secret: str, form: str, before: str, after: str) -> None:
    assume(len(secret.strip()) >= 8)
    quoted = FORMS[form](secret)
    told = Redactor({"PW": secret})(f"{before}{quoted}{after}")
    assert "${PW}" in told
    left = told.replace("${PW}", "").removeprefix(before).removesuffix(after)
    # Of base64 what stands around the secret is left, and that is nobody's secret.
    assert left == "" or "base64" in form
    assert quoted not in told


@given(st.dictionaries(st.sampled_from("ABC"), st.text(min_size=8, max_size=12)), st.text(max_size=20))
def test_it_is_taken_out_of_the_middle_of_a_word(given: Mapping[str, str], around: str) -> None:
    redact = Redactor({name: f"\x00{value}" for name, value in given.items()})
    for value in given.values():
        assert f"\x00{value}" not in redact(f"{around}\x00{value}{around}")


@pytest.mark.parametrize(
    ("value", "text", "told"),
    [
        ("dev", "dev, 'dev' and http://h/dev?x=dev", "${V}, '${V}' and http://h/${V}?x=${V}"),
        ("dev", "a developer's device, stddev", "a developer's device, stddev"),
        ("5", "5 of 5", "5 of 5"),
        ("dev", "DEV", "DEV"),
        ("seven77", "seven777", "seven777"),
        ("eight888", "an EIGHT8888", "an ${V}8"),
    ],
)
def test_a_short_one_is_hidden_as_a_word_alone(value: str, text: str, told: str) -> None:
    assert Redactor({"V": value})(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("token hush-5f2a-91", "token ${T}"),
        ("token hush-5f", "token hush-5f"),
        ("token hush-5f2a", "token ${T}"),
        ("token hush-5f2a...", "token ${T}..."),
        ("token HUSH-5F2A-9…", "token ${T}…"),
        ("Basic aHVzaC01ZjJh…", "Basic ${T}…"),
        ("hush-5f2a is a word of its own", "hush-5f2a is a word of its own"),
    ],
)
def test_eight_letters_of_it_where_the_target_cut_it(text: str, told: str) -> None:
    assert Redactor({"T": "hush-5f2a-91c4"})(text) == told


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [1_000, 1_001, 100_000])
def test_nothing_of_a_very_long_one_is_left(form: str, length: int) -> None:
    secret = "".join(f"{number:x}-" for number in range(length))[:length]
    quoted = FORMS[form](secret)
    told = Redactor({"PW": secret})(f"wrong: {quoted}")
    assert "${PW}" in told
    assert len(told) < 40
