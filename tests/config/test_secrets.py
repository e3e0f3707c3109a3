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


TOKENS: Final = {
    "a JWT": "eyJhbGciOiJIUzI1NiJ9." + "".join(f"eyJzdWIi{number:x}_-" for number in range(90)) + ".c2ln-_XyZ0",
    "base64": "q+/8" * 30 + "Zm9v==",
    "opaque": "gho_16C7e42F292c6912E7.710c838347Ae178B4a~",
    "a long one": "".join(f"{number:x}-" for number in range(3000)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_that_is_learnt_is_known_in_every_form(token: str, form: str) -> None:
    """The very beginning of another one is not taken for it, and what stands behind it stays."""
    value = TOKENS[token]
    redact = Redactor({})
    assert redact(f"wrong: {value}") == f"wrong: {value}"
    redact.learn("{secrets.t}", value)
    quoted = FORMS[form](value)
    told = redact(f"wrong {value[:6]}! token {quoted} for app")
    if "base64" in form or token == "a long one":
        assert told.startswith(f"wrong {value[:6]}! token ")
        assert "{secrets.t}" in told
        assert len(told) < 80
    else:
        assert told == f"wrong {value[:6]}! token {{secrets.t}} for app"
    assert redact(f"{quoted}{quoted}").count("{secrets.t}") >= 1
    assert redact(value[:-1] + "!") != "{secrets.t}!" or token == "a long one"


def test_values_before_are_known_as_well_as_far_as_anybody_can_quote_them() -> None:
    redact = Redactor({"PW": "pass-word-1"})
    values = [f"token-{number:04}-abcdefgh" for number in range(25)]
    for value in values:
        redact.learn("{secrets.t}", value)
        redact.learn("{secrets.t}", value)
        assert redact(f"no {value}, pass-word-1, {values[0]}").startswith("no {secrets.t}, ${PW}, ")
    assert [redact(value) for value in values] == [*values[:5], *20 * ["{secrets.t}"]]


def test_a_value_that_two_names_have_stays_known_when_one_of_them_has_it_no_more() -> None:
    redact = Redactor({"PW": "pass-word-1"})
    redact.learn("{secrets.t}", "pass-word-1")
    for number in range(25):
        redact.learn("{secrets.t}", f"token-{number:04}-abcdefgh")
    assert redact("pass-word-1") == "${PW}"


@pytest.mark.parametrize(("value", "told"), [("seven77", "a ${T} b seven777"), ("true", "a true b true7")])
def test_a_short_one_that_is_learnt_is_hidden_as_a_word_alone(value: str, told: str) -> None:
    redact = Redactor({})
    redact.learn("${T}", value)
    assert redact(f"a {value} b {value}7") == told
