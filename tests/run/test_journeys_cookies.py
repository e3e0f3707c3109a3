"""Cookies of users of journeys, from the config to what a server gets, in virtual time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.test_bad_config import lines_of, load
from tests.config.test_bad_journeys import GOOD
from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.servers.httpserver import Request, answer

PRODUCERS = f"""
producers:
  shop: {{kind: http, url: "{SHOP}/api", cookies: true}}
  plain: {{kind: http, url: "{SHOP}"}}
"""
USERS = f"""{PRODUCERS}
journeys:
  visit:
    begin:
      - login: {{to: shop, post: /login, body: "{{user}}"}}
    steps:
      - add: {{to: shop, post: /cart/add, body: "{{user}}"}}
      - look: {{to: shop, get: /cart/view, headers: {{x-user: "{{user}}"}}}}
      - away: {{to: plain, get: /away}}
    end:
      - logout: {{to: shop, post: /logout, body: "{{user}}"}}
  other: {{begin: [{{again: {{to: shop, post: /again}}}}], steps: [{{idle: {{to: shop, get: /idle}}}}]}}
scenarios:
  main: {{journeys: [visit], load: [{{users: 3, for: 2s}}], think: 500ms}}
"""


def handing_out() -> Callable[[Request], list[bytes]]:
    """Each login gets a number; carts have a cookie of their own below their path."""
    given: list[str] = []

    def script(request: Request) -> list[bytes]:
        if request.target == "/api/login":
            given.append(request.body.decode())
            sid = f"Set-Cookie: sid={len(given)}-{given[-1]}; Path=/; HttpOnly"
            return [answer(200, b"", sid, "Set-Cookie: lang=de")]
        if request.target == "/api/cart/add":
            return [answer(200, b"", f"Set-Cookie: cart=of{request.body.decode()}; Max-Age=60")]
        return [answer(200)]

    return script


def test_each_user_sends_back_what_was_set_for_it_and_nobody_elses(tmp_path: Path) -> None:
    ran = run_scripted(USERS, tmp_path, handing_out())
    requests = ran.record.requests
    looks = [request for request in requests if request.target == "/api/cart/view"]
    assert len(looks) == 12
    for request in looks:
        user = request.headers["x-user"]
        found = re.fullmatch(r"cart=of(\d); lang=de; sid=\d-(\d)", request.headers["cookie"])
        assert found is not None, request.headers["cookie"]
        assert found.groups() == (user, user)
    assert {request.headers.get("cookie") for request in requests if request.target == "/away"} == {None}
    assert {request.headers.get("cookie") for request in requests if request.target == "/api/login"} == {None}
    out = [request for request in requests if request.target == "/api/logout"]
    assert sorted(request.body for request in out) == [b"0", b"1", b"2"]
    assert all(re.search(rf"sid=\d-{request.body.decode()}\b", request.headers["cookie"]) for request in out)
    assert ran.report.summary.total().ledger["rejected"] == 0


def test_to_begin_anew_is_to_have_none(tmp_path: Path) -> None:
    """A user of two journeys begins both: the second time it has no cookies any more."""
    text = USERS.replace("journeys: [visit]", "journeys: {visit: 1, other: 1}").replace("users: 3", "users: 1")
    ran = run_scripted(text.replace("for: 2s", "for: 20s"), tmp_path, handing_out())
    targets = [(request.target, request.headers.get("cookie", "")) for request in ran.record.requests]
    begun = [target for target, _ in targets if target in ("/api/login", "/api/again")]
    assert sorted(begun) == ["/api/again", "/api/login"], "each once"
    assert {cookie for target, cookie in targets if target in ("/api/login", "/api/again")} == {""}


def test_in_open_load_each_iteration_has_a_jar_of_its_own(tmp_path: Path) -> None:
    text = f"""{PRODUCERS}
journeys:
  visit:
    steps:
      - first: {{to: shop, get: /first}}
      - add: {{to: shop, post: /cart/add, body: "{{iteration}}"}}
      - look: {{to: shop, get: "/cart/{{iteration}}"}}
      - away: {{to: plain, get: /away}}
scenarios:
  main: {{journeys: [visit], load: [{{rate: 10/s, for: 2s}}]}}
"""
    ran = run_scripted(text, tmp_path, handing_out())
    assert {request.headers.get("cookie") for request in ran.record.requests if request.target == "/api/first"} == {
        None
    }
    looks = {
        request.target.rpartition("/")[2]: request.headers.get("cookie")
        for request in ran.record.requests
        if re.fullmatch(r"/api/cart/\d+", request.target)
    }
    assert looks == {str(number): f"cart=of{number}" for number in range(20)}


def test_cookies_run_out_in_the_time_of_the_run_and_go_with_what_is_sent_again(tmp_path: Path) -> None:
    text = f"""{PRODUCERS}
journeys:
  visit:
    begin: [{{login: {{to: shop, get: /login}}}}]
    steps: [{{look: {{to: shop, get: /look, retry: {{on: [401], times: 1, after: 1s}}}}}}]
scenarios:
  main: {{journeys: [visit], load: [{{users: 1, for: 8m}}], every: 1m}}
"""

    def script(request: Request) -> list[bytes]:
        """A session lasts two minutes."""
        if request.target == "/api/login" or "cookie" not in request.headers:
            status = 200 if request.target == "/api/login" else 401
            return [answer(status, b"", "Set-Cookie: sid=1; Max-Age=119; Path=/api")]
        return [answer(200)]

    ran = run_scripted(text, tmp_path, script)
    (told,) = [one.ledger for one in ran.report.summary.scenarios["main"].journeys().values()]
    assert (told["scheduled"], told["completed"]) == (8, 8)
    tries = ran.rows("SELECT status FROM tries ORDER BY seq, number")
    assert [row["status"] for row in tries] == [401, 200] * 3


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'url: "http://localhost:8080"}', 'url: "http://localhost:8080", cookies: yes please}',
            "load.yaml:3:61: 'yes please' is neither true nor false; write true or false",
        ),
        (
            'url: "http://localhost:8080"}', 'url: "http://localhost:8080", headers: {Cookie: a=1}, cookies: true}',
            "load.yaml:3:85: cookies: true writes the header cookie, which is there already; leave one of them out",
        ),
        (
            "  bus: {", '  side: {kind: http, url: "http://localhost:8080", cookies: true}\n  bus: {',
            "load.yaml:4:61: cookies are kept for users of journeys, and no step sends a request to 'side'; "
            "leave cookies out, or write to: side in a step",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(old: str, new: str, line: str) -> None:
    assert load(GOOD.replace('8080"}', '8080", cookies: true}', 1)).config.producers
    assert lines_of(GOOD.replace(old, new, 1)) == [line]
