"""A jar keeps and sends what RFC 6265 says, in virtual time, and never more than so much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.clients.cookies import LONGEST, MOST, CookieJar

S = 1_000_000_000
WALL = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOST = "shop.example.com"


def jar(*lines: str, host: str = HOST, path: str = "/cart/view?x=/y/z", now_ns: int = 0) -> CookieJar:
    kept = CookieJar()
    kept.take(lines, host, path, now_ns, WALL + timedelta(microseconds=now_ns // 1000))
    return kept


def sent(kept: CookieJar, path: str = "/cart/x", host: str = HOST, now_ns: int = 0, *, secure: bool = False) -> str:
    return kept.header(host, path, now_ns, secure=secure)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1", "a=1"), ("a=1; HttpOnly; SameSite=Lax; Priority=High", "a=1"), (" a = 1 ;Path=/", "a=1"),
        ("a=", "a="), ("a=b=c", "a=b=c"), ('a="quoted"', 'a="quoted"'), ("a", ""), ("=1", ""), ("", ""), (";a=1", ""),
        ("a=1\x01", ""), ("a=caf\xe9", "a=caf\xe9"), ("A=1", "A=1"),
    ],
)  # fmt: skip
def test_name_and_value(line: str, expected: str) -> None:
    assert sent(jar(line)) == expected


@pytest.mark.parametrize(
    ("attribute", "path", "is_sent"),
    [
        ("", "/cart", True), ("", "/cart/x", True), ("", "/carts", False), ("", "/", False), ("", "/cart?a", True),
        ("Path=/", "/any", True), ("path=/shop", "/shop", True), ("Path=/shop", "/shop/a", True),
        ("Path=/shop", "/shopping", False), ("Path=/shop/", "/shop/a", True), ("Path=/shop/", "/shop", False),
        ("Path=shop", "/cart", True), ("Path=", "/cart", True), ("Path=shop", "/shop", False),
        ("Path=/a; Path=/b", "/b", True), ("Path=/a; Path=/b", "/a", False),
    ],
)  # fmt: skip
def test_a_path_is_said_or_is_that_of_the_request_up_to_its_last_slash(
    attribute: str, path: str, is_sent: bool
) -> None:
    assert sent(jar(f"a=1; {attribute}"), path) == ("a=1" if is_sent else "")


@pytest.mark.parametrize(("asked", "path"), [("/", "/x"), ("/login", "/x"), ("", "/x"), ("/a/", "/a/b")])
def test_without_a_path_above_the_last_slash_it_is_all(asked: str, path: str) -> None:
    assert sent(jar("a=1", path=asked), path) == "a=1"


@pytest.mark.parametrize(
    ("attribute", "host", "is_sent"),
    [
        ("", HOST, True), ("", "www.shop.example.com", False), ("", "example.com", False),
        ("Domain=example.com", HOST, True), ("Domain=.example.com", "api.example.com", True),
        ("domain=EXAMPLE.com", "example.com", True), ("Domain=example.com", "badexample.com", False),
        (f"Domain={HOST}", f"www.{HOST}", True), ("Domain=", HOST, True), ("Domain=", f"www.{HOST}", False),
        ("Domain=other.com", HOST, False), ("Domain=www.shop.example.com", HOST, False), ("Domain=com", HOST, False),
        ("Domain=hop.example.com", HOST, False),
    ],
)  # fmt: skip
def test_a_host_sets_for_itself_alone_or_for_a_domain_that_it_belongs_to(
    attribute: str, host: str, is_sent: bool
) -> None:
    assert sent(jar(f"a=1; {attribute}; Path=/"), host=host) == ("a=1" if is_sent else "")


def test_addresses_and_names_without_a_dot_are_hosts_and_no_domains() -> None:
    assert sent(jar("a=1; Domain=0.0.1", host="127.0.0.1"), host="127.0.0.1") == ""
    assert sent(jar("a=1; Domain=127.0.0.1", host="127.0.0.1"), host="127.0.0.1") == "a=1"
    assert sent(jar("a=1; Domain=localhost", host="localhost"), host="localhost") == "a=1"
    assert sent(jar("a=1; Domain=localhost", host="localhost"), host="x.localhost") == ""
    assert sent(jar("a=1; Domain=0.1", host="0.1"), host="7.0.0.1") == ""
    assert [len(jar(f"a=1; Domain={domain}")) for domain in ("com", "example.com")] == [0, 1]


def test_what_is_secure_goes_through_tls_alone() -> None:
    kept = jar("a=1; Secure", "b=2")
    assert sent(kept) == "b=2"
    assert sent(kept, secure=True) == "a=1; b=2"


def test_the_longest_path_comes_first_and_of_one_length_the_oldest() -> None:
    kept = jar("a=1; Path=/", "b=2; Path=/cart/x", "c=3; Path=/cart", "d=4; Path=/")
    kept.take(["a=9; Path=/"], HOST, "/", 0, WALL)
    assert sent(kept, "/cart/x") == "b=2; c=3; a=9; d=4"


@pytest.mark.parametrize(
    ("attributes", "lasts_s"),
    [
        ("Max-Age=60", 60), ("max-age=060", 60), ("Max-Age=0", 0), ("Max-Age=-5", 0), ("Max-Age=60; Max-Age=5", 5),
        ("Max-Age=1m", None), ("Max-Age=", None), ("Max-Age=9" + "9" * 400, 400 * 86_400),
        ("Expires=Sun, 01 Mar 2026 12:01:00 GMT", 60), ("Expires=Sunday, 01-Mar-26 12:01:00 GMT", 60),
        ("Expires=Sun Mar  1 12:01:00 2026", 60), ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Expires=Sun, 01 Mar 2026 12:01:00 GMT; Max-Age=5", 5), ("Max-Age=5; Expires=Thu, 01 Jan 1970 0:0:0", 5),
        ("Expires=Tue, 19 Jan 2099 00:00:00 GMT", 400 * 86_400), ("Expires=later", None), ("Expires=0", None),
        ("Expires=Sun, 31 Feb 2026 12:01:00 GMT", None), ("Expires=Sun, 01 Mar 2026 25:01:00 GMT", None),
        ("Expires=Sun, 01 Mar 1500 12:01:00 GMT", None),
    ],
)  # fmt: skip
def test_how_long_one_is_kept(attributes: str, lasts_s: int | None) -> None:
    kept = jar(f"a=1; {attributes}", now_ns=7 * S)
    since = 7 * S if "Max-Age" in attributes or "max-age" in attributes else 0
    if lasts_s is None:
        assert sent(kept, now_ns=10**6 * 86_400 * S) == "a=1"
        return
    if lasts_s == 400 * 86_400:
        since = 7 * S
    assert sent(kept, now_ns=since + lasts_s * S) == ""
    kept = jar(f"a=1; {attributes}", now_ns=7 * S)
    assert sent(kept, now_ns=max(7 * S, since + lasts_s * S - 1)) == ("a=1" if lasts_s else "")


FORMATS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y", "%H:%M:%S %Y %b %d")


@given(st.datetimes(datetime(2026, 3, 1, 12, 1), datetime(2027, 3, 1)), st.sampled_from(FORMATS[:3]))
def test_dates_as_the_field_writes_them(date: datetime, form: str) -> None:
    date = date.replace(microsecond=0)
    until_ns = int((date.replace(tzinfo=UTC) - WALL).total_seconds()) * S
    kept = jar(f"a=1; Expires={date.strftime(form)}")
    assert sent(kept, now_ns=until_ns - 1) == "a=1"
    assert sent(kept, now_ns=until_ns) == ""


def test_a_cookie_is_taken_back_by_one_that_is_over() -> None:
    kept = jar("a=1; Path=/", "b=2; Path=/")
    kept.take(["a=; Path=/; Max-Age=0"], HOST, "/cart/x", 0, WALL)
    assert sent(kept) == "b=2"
    kept.take(["b=; Max-Age=0"], HOST, "/cart/x", 0, WALL)
    assert sent(kept) == "b=2", "of another path"
    kept.clear()
    assert (sent(kept), len(kept)) == ("", 0)


def test_a_jar_holds_so_many_and_forgets_what_is_over_and_then_the_oldest() -> None:
    kept = jar("old=1; Path=/", *(f"c{n}=1; Path=/; Max-Age=5" for n in range(3)))
    for n in range(MOST - 4):
        kept.take([f"n{n}=1; Path=/"], HOST, "/", 6 * S, WALL)
    assert len(kept) == MOST
    kept.take(["more=1; Path=/"], HOST, "/", 6 * S, WALL)
    assert len(kept) == MOST - 2
    assert "old=1" in sent(kept, now_ns=6 * S)
    for n in range(1000):
        kept.take([f"m{n}=1; Path=/"], HOST, "/", 6 * S, WALL)
    assert len(kept) == MOST
    assert "old=1" not in sent(kept, now_ns=6 * S)
    kept.clear()
    kept.take([f"long={'x' * LONGEST}", f"fits={'x' * (LONGEST - 5)}"], HOST, "/", 0, WALL)
    assert sent(kept, "/") == f"fits={'x' * (LONGEST - 5)}"


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=60), max_size=8), st.text("/ab?", max_size=8))
def test_whatever_is_set_makes_a_header_that_can_be_sent(lines: Sequence[str], path: str) -> None:
    found = sent(jar(*lines, path=f"/{path}"), f"/{path}")
    assert not any(ord(letter) < 32 and letter != "\t" for letter in found)
    found.encode("latin-1")
