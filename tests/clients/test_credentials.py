"""Tokens that are fetched and renewed, as the servers and the ledger of whole runs see them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from evload.clients.credentials.grant import Grant, GrantReader, NoGrant
from evload.clients.credentials.live import LiveSecret
from evload.clients.web import Answer
from evload.errors import TargetError
from evload.testing import run_virtual, virtual_clock
from tests.rigs.token_system import SECRET, Steps, TokenSystem, config, run, token_of
from tests.servers.httpserver import Step, answer, json_answer

OAUTH2 = '{oauth2: {token_url: "URL/token", client_id: "shop:1 &", client_secret: "${PW}", scope: "read write"}}'


def test_an_hour_with_tokens_of_five_minutes_loses_nothing() -> None:
    """Renewed ahead, at 80 %: nobody is refused but where all tokens are revoked at once, which costs one renewal."""
    system = TokenSystem(revoked=[1000.05])
    ran = run(system, config(OAUTH2, "{rate: 2/s, for: 1h}"), within_s=4000)
    assert (ran.counts["scheduled"], ran.counts["acked"], ran.counts["visible"]) == (7200, 7200, 7200)
    assert len(system.accepted) == len(set(system.accepted)) == 7200
    # One at the start, one each 240 s, and one more for the revocation, from which on the 240 s count anew.
    assert len(system.answers) == 16
    assert system.answers[:5] == pytest.approx([0, 240, 480, 720, 960], abs=0.1)
    assert system.answers[5:7] == pytest.approx([1000, 1240], abs=0.6)
    assert 1 <= len(system.refused) <= 3
    assert ran.incidents == ["shop: accepted after HTTP 401, once"]
    assert ran.summary.vitals.failed_reads == 0


def test_what_a_client_sends_to_get_a_token() -> None:
    """RFC 6749: the grant as a form, and the login encoded before it is put together."""
    system = TokenSystem()
    run(system, config(OAUTH2))
    (request,) = system.asked
    login = base64.b64decode(request.headers["authorization"].removeprefix("Basic "))
    assert login == b"shop%3A1+%26:pass-word-4711"
    assert request.body == b"grant_type=client_credentials&scope=read+write"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_client_may_say_who_it_is_in_the_body() -> None:
    system = TokenSystem()
    run(system, config(OAUTH2.replace("scope:", "auth: body, audience: shop, params: {tenant: t 1}, scope:")))
    (request,) = system.asked
    assert "authorization" not in request.headers
    assert request.body == (
        b"grant_type=client_credentials&scope=read+write&audience=shop&tenant=t+1"
        b"&client_id=shop%3A1+%26&client_secret=pass-word-4711"
    )


@pytest.mark.parametrize(
    ("secret", "method", "kind", "body"),
    [
        (SECRET, "POST", "application/json", b'{"user":"a","password":"pass-word-4711"}'),
        ('{post: "URL/token", form: {a: "b c"}, take: body.access_token}', "POST",
         "application/x-www-form-urlencoded", b"a=b+c"),
        ('{get: "URL/token", headers: {X-Key: "${PW}"}, take: body.access_token}', "GET", None, b""),
    ],
    ids=["json", "form", "get"],
)  # fmt: skip
def test_a_request_of_ones_own(secret: str, method: str, kind: str | None, body: bytes) -> None:
    system = TokenSystem()
    assert run(system, config(secret)).counts["visible"] == 20
    (request,) = system.asked
    assert (request.method, request.headers.get("content-type"), request.body) == (method, kind, body)
    assert request.headers.get("x-key") == ("pass-word-4711" if method == "GET" else None)


def test_a_secret_may_need_one_that_stands_in_a_file(tmp_path: Any) -> None:
    (tmp_path / "pw").write_text("from-a-file-88\n")
    text = config(SECRET.replace("${PW}", "{secrets.pw}")).replace("secrets: {", "secrets: {pw: {file: pw}, ")
    system = TokenSystem()
    run(system, text, base_dir=tmp_path)
    assert system.asked[0].body == b'{"user":"a","password":"from-a-file-88"}'


def sooner(system: TokenSystem, load: str = "{rate: 1/s, for: 100s}", secret: str = SECRET) -> Any:
    return run(system, config(secret, load))


@pytest.mark.parametrize(
    ("about", "more", "at"),
    [
        ({"expires_in": 50}, "", [0, 40, 80]),
        ({"expires_in": "50"}, "", [0, 40, 80]),
        ({"expires_in": 50}, "renew: 50%", [0, 25, 50, 75, 100]),
        ({"ttl": 30}, "expires: body.ttl", [0, 24, 48, 72, 96]),
        ({}, "lifetime: 50s", [0, 40, 80]),
        ({"expires_in": 50}, "lifetime: 5s", [0, 40, 80]),
        ({}, "", [0]),
        ({"expires_in": 0}, "", [0]),
        ({"expires_in": "soon"}, "", [0]),
    ],
)
def test_when_a_token_is_renewed(about: dict[str, Any], more: str, at: list[float]) -> None:
    system = TokenSystem(about=about)
    ran = sooner(system, secret=SECRET.replace("take:", f"{more}, take:") if more else SECRET)
    assert system.answers == pytest.approx(at, abs=0.2)
    unsaid = [remark for remark in ran.summary.vitals.remarks if "how long it is good for" in remark]
    assert len(unsaid) == (len(at) == 1)
    assert ran.counts["visible"] == 100


def test_a_renewal_that_fails_is_tried_again_and_told_once() -> None:
    """The old token stays in use until it is refused."""
    down: Callable[[int], Steps | None] = lambda number: (answer(503, b"busy"),) if 2 <= number <= 4 else None  # noqa: E731
    system = TokenSystem(lasts=50, about={"expires_in": 50}, says=down)
    ran = sooner(system, "{rate: 1/s, for: 60s}")
    # At 40 s, and after pauses of 1, 2 and 4 s.
    assert system.answers == pytest.approx([0, 47], abs=0.2)
    assert len(system.asked) == 5
    assert ran.incidents == ["secret api: HTTP 503: busy; the value from before stays in use"]
    assert (ran.counts["visible"], system.refused) == (60, [])


def test_a_renewal_that_takes_its_time_holds_nobody_up() -> None:
    slow: Callable[[int], Steps | None] = lambda number: (  # noqa: E731
        (8.0, json_answer(json.dumps({"access_token": token_of(1), "expires_in": 500}).encode()))
        if number == 2
        else None
    )
    system = TokenSystem(lasts=100, about={"expires_in": 50}, says=slow)
    ran = sooner(system, "{rate: 1/s, for: 60s}")
    assert len(system.asked) == 2
    assert max(one.acked_ns - one.sent_ns for one in ran.observations) < 10_000_000
    assert (ran.counts["visible"], system.refused, ran.incidents) == (60, [], [])


def test_a_refusal_in_the_middle_is_one_renewal_for_all_that_wait() -> None:
    """A burst of 50 that is refused as one: it is sent again as one, with one new token, and accepted once."""
    system = TokenSystem(revoked=[9.9])
    ran = run(system, config(load="{idle: 10s}, {burst: 50}, {idle: 1s}, {rate: 1/s, for: 5s}"))
    assert len(system.asked) == 2
    assert sum(one.method == "POST" for one in system.refused) == 50
    assert (ran.counts["acked"], ran.counts["visible"], len(system.accepted)) == (55, 55, 55)
    details = [one.detail for one in ran.observations]
    assert details.count("accepted after HTTP 401, once") == 50


def test_in_a_batch_the_refused_request_is_sent_again_as_it_was() -> None:
    system = TokenSystem(revoked=[9.9])
    ran = run(system, config(load="{idle: 10s}, {burst: 30}", producer=", mode: batched, batch: 10"))
    assert (ran.counts["visible"], len(system.accepted)) == (30, 30)
    refused = [[event["id"] for event in json.loads(one.body)] for one in system.refused if one.method == "POST"]
    accepted = [system.accepted[at : at + 10] for at in range(0, 30, 10)]
    assert sorted(refused) == sorted(accepted)


def test_a_second_refusal_is_an_error_and_a_storm_of_them_is_no_storm_of_renewals() -> None:
    """20 events a second are refused for half a minute: a renewal at most each ten seconds."""
    system = TokenSystem(refuses=lambda now: 10 <= now < 40)
    ran = run(system, config(load="{rate: 20/s, for: 60s}"))
    during = [moment for moment in system.answers if 10 <= moment < 41]
    assert len(during) <= 4
    assert all(later - sooner >= 9.9 for sooner, later in pairwise(during))
    assert ran.counts["rejected"] == pytest.approx(600, abs=3)
    assert ran.counts["rejected"] + ran.counts["acked"] == 1200
    assert ran.counts["acked"] == ran.counts["visible"] == len(system.accepted)
    refused = [text for text in ran.incidents if text.startswith("shop: HTTP 401")]
    assert refused == ["shop: HTTP 401: no entry with {secrets.api}"]


def test_what_waits_for_a_renewal_when_the_run_ends_was_refused() -> None:
    """And is neither in doubt nor unsent."""
    system = TokenSystem(revoked=[5.0], says=lambda number: (Step.STALL,) if number > 1 else None)
    secret = SECRET.replace("take:", "timeout: 50s, take:")
    ran = run(system, config(secret, "{rate: 1/s, for: 10s}"))
    assert (ran.counts["scheduled"], ran.counts["in_doubt"], ran.counts["unsent"]) == (10, 0, 0)
    assert ran.counts["rejected"] == pytest.approx(5, abs=1)
    assert "acked" in ran.counts


def test_one_whose_second_attempt_has_no_answer_is_in_doubt() -> None:
    system = TokenSystem(revoked=[5.0])
    script = system.script
    again: list[str] = []

    def cut(request: Any) -> Steps:
        steps = script(request)
        if request.target == "/events" and token_of(2) in request.headers["authorization"] and not again:
            again.append(json.loads(request.body)["id"])
            system.accepted.pop()
            return (Step.RESET,)
        return steps

    system.script = cut  # type: ignore[method-assign]
    ran = run(system, config(load="{rate: 1/s, for: 10s}"))
    assert (ran.counts["in_doubt"], ran.counts["acked"]) == (1, 9)


def test_a_401_that_is_expected_is_an_answer_like_any() -> None:
    system = TokenSystem(refuses=lambda now: True)
    ran = run(
        system,
        config(load="{rate: 1/s, for: 5s}", producer=", expect: [2xx, 401]", probe=", expect: [2xx, 401]"),
    )
    assert (ran.counts["acked"], len(system.asked)) == (5, 1)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((answer(401, b'{"error":"invalid_client"}'),), 'HTTP 401: {"error":"invalid_client"}; correct what it is'),
        ((answer(503),), "HTTP 503; look after the token endpoint"),
        ((answer(302, b"", "Location: /x"),), "HTTP 302; correct the address"),
        ((answer(200, b"<html>token-in-html"),), "HTTP 200 with a body that isn't JSON; correct the address, or"),
        ((json_answer(b'{"acces_token": "t0ken-in-answer"}'),),
         "'body.access_token' is null, not text; did you mean take: body.acces_token?"),
        ((json_answer(b'{"jwt": "t0ken-in-answer"}'),), "is null, not text; correct take; the body has jwt"),
        ((json_answer(b'{"access_token": {"a": 1}}'),), "'body.access_token' is an object, not text"),
        ((json_answer(b'{"access_token": ""}'),), "'body.access_token' is empty"),
        ((json_answer(b'{"access_token": "a\\nb: c"}'),), "a line break or a control character"),
        ((json_answer(b'{"access_token": "%s"}' % (b"x" * 70_000)),), "is longer than 65536 characters"),
        ((json_answer(b'{"access_token": "%s"}' % (b"x" * 2_000_000)),), "a body longer than 1048576 bytes"),
        ((Step.STALL,), "no answer within 10 s; start the token endpoint"),
        ((Step.CLOSE,), "connection closed without an answer"),
        ((b"SSH-2.0-x\r\n",), "not HTTP"),
    ],
    ids=["401", "503", "302", "html", "misspelt", "other", "object", "empty", "break", "long", "huge", "slow",
         "closed", "garbage"],
)  # fmt: skip
def test_a_token_that_can_t_be_had_at_the_start_ends_the_run(steps: Steps, told: str) -> None:
    system = TokenSystem(says=lambda number: steps)
    with pytest.raises(TargetError) as refused:
        run(system, config())
    text = str(refused.value)
    assert refused.value.exit_code == 3
    assert text.startswith("secret api: can't get it from http://127.0.0.1:")
    assert told in text
    assert "t0ken" not in text
    assert "token-in-html" not in text
    assert system.accepted == []


def test_no_value_that_ever_was_is_shown() -> None:
    """The target quotes the token in each refusal; the values before, and the encodings, are known as well."""
    system = TokenSystem(refuses=lambda now: now > 5, about={"expires_in": 4})
    ran = run(system, config(load="{rate: 5/s, for: 20s}"))
    said = repr(ran.summary) + repr(ran.observations)
    assert len(system.asked) > 4
    assert "token+number" not in said
    assert "no entry with {secrets.api}" in said
    for number in range(1, len(system.asked) + 1):
        encoded = base64.b64encode(token_of(number).encode()).decode()
        for form in (token_of(number), token_of(number).upper(), encoded, token_of(number).encode().hex()):
            told = ran.loaded.redact(f"a {form} b")
            assert form not in told
            assert "{secrets.api}" in told


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def jwt(**claims: Any) -> str:
    parts = [json.dumps({"alg": "none"}), json.dumps(claims), "sig"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def lifetime(body: dict[str, Any], expires: str | None = None) -> float | None:
    reader = GrantReader("body.t", expires, None)
    found = reader.read(Answer(200, [], json.dumps(body).encode()), NOW).lifetime_ns
    return None if found is None else found / 1e9


@pytest.mark.parametrize(
    ("body", "expires", "seconds"),
    [
        ({"t": "x", "expires_in": 60.5}, None, 60.5),
        ({"t": "x", "end": NOW.timestamp() + 60}, "body.end", 60),
        ({"t": "x", "end": "2026-01-01T00:01:00Z"}, "body.end", 60),
        ({"t": "x", "end": "2026-01-01T01:01:00+01:00"}, "body.end", 60),
        ({"t": "x", "end": "2026-01-01T00:01:00"}, "body.end", 60),
        ({"t": jwt(exp=NOW.timestamp() + 60)}, None, 60),
        ({"t": jwt(exp=NOW.timestamp() + 60, iat=NOW.timestamp() - 40)}, None, 60),
        # Our clock is behind, or ahead of theirs by an hour.
        ({"t": jwt(exp=NOW.timestamp() + 3660, iat=NOW.timestamp() + 3600)}, None, 60),
        ({"t": jwt(exp=NOW.timestamp() - 3540, iat=NOW.timestamp() - 3600)}, None, 60),
        ({"t": jwt(exp=NOW.timestamp() - 3540)}, None, None),
        ({"t": jwt(exp=NOW.timestamp() + 60), "expires_in": 30}, None, 30),
        ({"t": jwt(exp="soon")}, None, None),
        ({"t": "a.b.c"}, None, None),
        ({"t": "x", "expires_in": True}, None, None),
        ({"t": "x", "expires_in": -1}, None, None),
    ],
)
def test_how_long_a_token_is_good_for(body: dict[str, Any], expires: str | None, seconds: float | None) -> None:
    assert lifetime(body, expires) == (None if seconds is None else pytest.approx(seconds))


def test_a_value_may_stand_in_a_header_of_an_answer_without_a_body() -> None:
    system = TokenSystem(says=lambda number: (answer(204, b"", f"X-Token: {token_of(1)}"),))
    system.good[token_of(1)] = 0.0
    ran = run(system, config("""{get: "URL/token", take: 'headers."x-token"'}"""))
    assert (ran.counts["visible"], len(system.asked)) == (20, 1)


def test_an_end_that_was_asked_for_and_is_none_is_an_error_without_the_token() -> None:
    with pytest.raises(NoGrant) as none:
        lifetime({"t": "hush-hush-hush"}, "body.t")
    assert str(none.value) == "HTTP 200, in which 'body.t' is text, no time that lies ahead"


def test_all_that_are_refused_at_once_wait_for_one_renewal() -> None:
    """A producer and its probes each find out for themselves that a token is good no more."""
    asked: list[str] = []

    class Source:
        async def get(self) -> Grant:
            await asyncio.sleep(1)
            asked.append(f"token-{len(asked)}")
            return Grant(asked[-1])

    async def main() -> list[bool]:
        secret = LiveSecret("api", Source(), virtual_clock(), renew=0.8, learn=lambda *_: None, tell=lambda *_: None)
        await secret.begin()
        return await asyncio.gather(*(secret.renewed("token-0") for _ in range(3)))

    assert run_virtual(main()) == [True, True, True]
    assert asked == ["token-0", "token-1"]
