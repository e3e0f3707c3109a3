"""Whom a pattern of a guard means, and what several guards let through together."""

from __future__ import annotations

from fractions import Fraction

import pytest

from evload.errors import GuardError
from evload.spi.guard import NO_GUARD, NOBODY, Guard, Reach, Rules, check_pattern, is_aws, is_meant


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("localhost", "localhost"),
        ("localhost", "127.0.0.1"),
        ("localhost", "127.8.9.10"),
        ("localhost", "::1"),
        ("localhost", "[::1]"),
        ("localhost", "::ffff:127.0.0.1"),
        ("localhost", "shop.localhost"),
        ("LocalHost", "LOCALHOST."),
        ("*.staging.example.com", "api.staging.example.com"),
        ("*.staging.example.com", "API.Staging.Example.COM."),
        ("*.prod.*", "db.prod.example.com"),
        ("10.1.0.0/16", "10.1.200.3"),
        ("10.1.0.0/16", "0x0a.1.200.3"),
        ("10.1.2.3", "167838211"),
        ("10.1.2.3", "10.66051"),
        ("fd00::/8", "fd12:3456::1"),
        ("fe80::1", "fe80:0:0::1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "a.xn--bcher-kva.example"),
        ("123456789012", "123456789012"),
        ("*", "123456789012"),
        ("*", "anything.example"),
    ],
)
def test_a_pattern_means(pattern: str, name: str) -> None:
    assert is_meant(pattern, name)
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("localhost", "localhost.example.com"),
        ("localhost", "126.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("*.staging.example.com", "staging.example.com"),
        ("*.staging.example.com", "staging.example.com.evil.example"),
        ("*.prod.*", "prod.example.com"),
        ("10.1.0.0/16", "10.2.0.1"),
        ("10.1.0.0/16", "ten.example"),
        ("123456789012", "123456789013"),
        ("example.com", "examplexcom"),
    ],
)
def test_it_means_nobody_else(pattern: str, name: str) -> None:
    assert not is_meant(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("https://shop.example", "is an address and no host"),
        ("user@shop.example", "is an address and no host"),
        ("shop.example:8080", "has a port"),
        ("10.1.0.0/99", "is no network"),
        ("shop.example/orders", "is no network"),
        ("", "is no host"),
        ("two hosts", "is no host"),
    ],
    ids=["url", "login", "port", "mask", "path", "empty", "two"],
)
def test_what_can_mean_nobody_is_refused(pattern: str, what: str) -> None:
    with pytest.raises(ValueError, match=what) as raised:
        check_pattern(pattern)
    assert "; " in str(raised.value)


OURS = Rules("the guard of this config", ("localhost", "*.staging.example.com"), ("*.prod.*",))
THEIRS = Rules("the guard of this machine (g.yaml)", None, ("api.staging.example.com",))


def test_one_more_guard_only_takes_away() -> None:
    alone, both = Guard((OURS,)), Guard((OURS, THEIRS))
    assert alone.refusal("api.staging.example.com") == ""
    told = "the guard of this machine (g.yaml) denies api.staging.example.com, by api.staging.example.com"
    assert both.refusal("api.staging.example.com").startswith(told)
    assert both.refusal("web.staging.example.com") == ""
    assert Guard((THEIRS,)).refusal("shop.example") == ""
    assert both.refusal("shop.example") == (
        "shop.example is outside the guard of this config, which allows localhost, *.staging.example.com; "
        "add it there, or say --i-may-load shop.example"
    )
    narrower = Rules("narrower", ("localhost",))
    assert "outside narrower" in Guard((OURS, narrower)).refusal("web.staging.example.com")


def test_who_says_so_may_load_what_is_not_allowed_and_nothing_that_is_denied() -> None:
    guard = Guard((OURS, THEIRS), frozenset({"shop.example", "db.prod.example.com", "api.staging.example.com"}))
    assert guard.refusal("shop.example") == ""
    assert "denies db.prod.example.com, by *.prod.*" in guard.refusal("db.prod.example.com")
    assert "denies api.staging" in guard.refusal("api.staging.example.com")
    assert "outside" in guard.refusal("other.example")


def test_what_turns_out_later_is_told_with_its_place() -> None:
    guard = Guard((OURS,), places={"probe view": "load.yaml:7:3"})
    with pytest.raises(GuardError, match=r"load\.yaml:7:3: shop\.example is outside") as raised:
        guard.of("probe view@eu").check("localhost", "shop.example")
    assert raised.value.exit_code == 2
    guard.of("probe view").check_denied("shop.example")
    with pytest.raises(GuardError, match=r"producer api: .* denies a\.prod\.b"):
        guard.of("producer api").check_denied("a.prod.b")
    NO_GUARD.of("probe view").check("shop.example")


@pytest.mark.parametrize(
    ("rules", "reach", "told"),
    [
        ((), None, []),
        ((OURS,), None, ["doesn't say whom it speaks to, and the guard of this config has"]),
        ((Rules("g", most=Fraction(5)),), None, []),
        ((OURS,), NOBODY, []),
        ((OURS,), Reach(("127.0.0.1", "a.staging.example.com")), []),
        ((OURS,), Reach(("a.example", "b.prod.example")), ["a.example is outside", "denies b.prod.example"]),
        ((OURS,), Reach(opaque="a command"), ["nobody can tell whom a command speaks to, and the guard of"]),
        ((Rules("g"),), Reach(opaque="a command"), ["nobody can tell whom a command speaks to, and g"]),
        ((Rules("g", shell=True), OURS), Reach(opaque="a command"), ["the guard of this config doesn't allow it"]),
        ((Rules("g", ("x",), shell=True),), Reach(opaque="a command"), []),
        ((OURS,), Reach(unknown="url names no host"), ["url names no host, and the guard of this config has"]),
        ((OURS,), Reach(aws=True), ["speaks to an AWS account, and the guard of this config allows none"]),
        ((Rules("g", ("123456789012",)),), Reach(aws=True), []),
        ((Rules("g", ("*",)),), Reach(aws=True), []),
        ((THEIRS,), Reach(aws=True), []),
        ((Rules("g", ("123456789012",)),), Reach(aws=True, accounts=("123456789012",)), []),
        ((Rules("g", ("123456789012",)),), Reach(aws=True, accounts=("999999999999",)), ["999999999999 is outside"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_against_an_adapter(rules: tuple[Rules, ...], reach: Reach | None, told: list[str]) -> None:
    found = list(Guard(rules).refusals(reach))
    assert len(found) == len(told), found
    for refusal, beginning in zip(found, told, strict=True):
        assert beginning in refusal
        assert "; " in refusal


def test_whose_the_credentials_are_matters_where_a_guard_speaks_of_that() -> None:
    assert not NO_GUARD.asks_for_accounts
    assert not Guard((THEIRS,)).asks_for_accounts
    assert Guard((OURS,)).asks_for_accounts
    assert Guard((Rules("g", None, ("9999*",)),)).asks_for_accounts


def test_what_is_aws() -> None:
    assert is_aws("sqs.eu-west-1.amazonaws.com")
    assert is_aws("SQS.cn-north-1.amazonaws.com.cn.")
    assert not is_aws("amazonaws.com.evil.example")
    assert not is_aws("localhost")
