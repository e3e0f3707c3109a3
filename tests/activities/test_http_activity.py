"""What is done by a request: what is sent, what says that it is done, what may have had its effect all the same."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from evload.errors import TargetError
from evload.spi.activity import Outcome, Values
from evload.spi.secrets import Secrets
from evload.testing import PEERS, Peer, SystemClock, check_activity, check_activity_peer
from tests.rigs.activities import TIMEOUT, activity, captured, opened
from tests.rigs.turned_secret import TurnedSecret
from tests.servers.httpserver import Request, Script, Step, always, answer, json_answer, serving

BASIC_APP_PW = "Basic YXBwOnAvdw=="
"""Of the user app with the password `p/w`."""


def at(url: str, **written: Any) -> dict[str, Any]:
    """Written, with the server's address before each path that stands for a method."""
    return {
        key: url.replace("//", f"//{value[2:].partition('@')[0]}@") + value.partition("@")[2]
        if key in ("get", "post", "put", "patch", "delete") and value.startswith("//")
        else url + value if key in ("get", "post", "put", "patch", "delete") else value
        for key, value in written.items()
    }  # fmt: skip


def asked(
    script: Script, values: Values | None = None, secrets: Secrets | None = None, **written: Any
) -> tuple[Outcome, list[Request]]:
    """What comes of a request, and what the server saw."""

    async def main() -> tuple[Outcome, list[Request]]:
        async with serving(script) as server, opened(activity(**at(server.url, **written)), secrets=secrets) as one:
            return await one.perform(values or {}), server.requests

    return asyncio.run(main())


def done_by(*steps: bytes | float | Step, **written: Any) -> Outcome:
    return asked(always(*steps), **written)[0]


@pytest.mark.parametrize(
    ("written", "method", "target", "content_type", "body"),
    [
        ({"get": "/health"}, "GET", "/health", None, b""),
        ({"post": "/delay?x=1", "json": {"ms": 500}}, "POST", "/delay?x=1", "application/json", b'{"ms": 500}'),
        ({"post": "/empty"}, "POST", "/empty", None, b""),
        ({"post": "/null", "json": None}, "POST", "/null", "application/json", b"null"),
        ({"put": "/form", "form": {"a": "1 2", "b": "ü"}}, "PUT", "/form", "application/x-www-form-urlencoded",
         b"a=1+2&b=%C3%BC"),
        ({"patch": "/text", "body": "slow=ü"}, "PATCH", "/text", "text/plain; charset=utf-8", "slow=ü".encode()),
        ({"patch": "/own", "body": "<a/>", "headers": {"Content-Type": "text/xml"}}, "PATCH", "/own", "text/xml",
         b"<a/>"),
        ({"delete": "/toxics/1"}, "DELETE", "/toxics/1", None, b""),
    ],
    ids=lambda value: next(iter(value)) + value[next(iter(value))] if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_is_sent(
    written: Mapping[str, Any], method: str, target: str, content_type: str | None, body: bytes
) -> None:
    outcome, (request,) = asked(always(answer(204)), **written)
    assert outcome == Outcome()
    assert (request.method, request.target, request.body) == (method, target, body)
    assert request.headers.get("content-type") == content_type


def test_values_stand_in_addresses_headers_and_bodies_as_they_may() -> None:
    values = {"id": "a b/ü?", "count": 3, "flags": ["x"], "on": True}
    document = {
        "id": "{id}",
        "count": "{count}",
        "flags": "{flags}",
        "text": "on={on} {flags} {no}",
        "{count}": 1,
    }
    headers = {"x-trace": "n {count}", "x-on": "{on}"}
    outcome, (request,) = asked(
        always(answer()), values, post="/items/{id}?n={count}&x={nobody}", headers=headers, json=document
    )
    assert outcome == Outcome()
    assert request.target == "/items/a%20b%2F%C3%BC%3F?n=3&x=%7Bnobody%7D"
    assert (request.headers["x-trace"], request.headers["x-on"]) == ("n 3", "true")
    assert json.loads(request.body) == {
        "id": "a b/ü?", "count": 3, "flags": ["x"], "text": 'on=true ["x"] {no}', "{count}": 1,
    }  # fmt: skip
    _, (request,) = asked(always(answer()), values, put="/", form={"f": "{id}"})
    assert request.body == b"f=a+b%2F%C3%BC%3F"
    _, (request,) = asked(always(answer()), values, put="/", body="{count}")
    assert request.body == b"3"


def test_a_value_that_would_end_a_header_is_not_sent() -> None:
    outcome, requests = asked(always(answer()), {"id": "x\r\nx-evil: 1"}, post="/", headers={"x-id": "{id}"})
    assert outcome == Outcome("the header 'x-id' would hold what a header can't, such as a line break")
    assert requests == []


@pytest.mark.parametrize(
    ("steps", "written", "outcome"),
    [
        ([answer(500, b"no\r\nworkers")], {}, Outcome("HTTP 500: no workers", in_doubt=True)),
        ([answer(404)], {}, Outcome("HTTP 404")),
        ([answer(408)], {}, Outcome("HTTP 408", in_doubt=True)),
        ([answer(202)], {"expect": 200}, Outcome("HTTP 202", in_doubt=True)),
        ([answer(302, b"", "Location: /login")], {},
         Outcome("HTTP 302: to /login, and redirects aren't followed", in_doubt=True)),
        ([answer(404)], {"expect": ["2xx", 404]}, Outcome()),
        ([Step.CLOSE], {}, Outcome("connection closed without an answer", in_doubt=True)),
        ([Step.STALL], {"timeout": "200ms"}, Outcome("no answer within 200 ms", in_doubt=True)),
        ([b"SSH-2.0-x\r\n"], {}, Outcome("not HTTP: Expected HTTP/, RTSP/ or ICE/", in_doubt=True)),
        ([answer(200, b"\x1b[31mred")], {"expect": 201}, Outcome("HTTP 200", in_doubt=True)),
    ],
    ids=["500", "404", "408", "202", "302", "expected", "closed", "silent", "nonsense", "escapes"],
)  # fmt: skip
def test_what_goes_wrong_is_told_with_what_was_answered(
    steps: Sequence[bytes | Step], written: Mapping[str, Any], outcome: Outcome
) -> None:
    assert done_by(*steps, **{"post": "/", **written}) == outcome


def test_what_never_left_had_no_effect() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> Outcome:
        async with opened(activity(post=f"http://127.0.0.1:{port}/")) as one:
            return await one.perform({})

    assert asyncio.run(main()) == Outcome("connection refused")


@pytest.mark.parametrize(
    ("capture", "found"),
    [
        ({"id": "body.data.id", "all": "@.status"}, {"id": 7, "all": 201}),
        ({"place": "headers.location"}, {"place": "/items/7"}),
    ],
    ids=["body", "headers"],
)
def test_what_is_captured(capture: Mapping[str, str], found: Mapping[str, Any]) -> None:
    said = json_answer(b'{"data": {"id": 7}}', 201, "Location: /items/7")
    assert captured(done_by(said, post="/", capture=capture)) == found


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (json_answer(b'{"data": {}}'), "it is done, but there is no id: body.data.id is null"),
        (answer(200, b"<p>"), "it is done, but id can't be captured: HTTP 200 with a body that isn't JSON: <p>"),
        (
            answer(200, b"x" * (2 << 20)),
            "it is done, but its answer can't be read: HTTP 200 with a body longer than 1048576 bytes",
        ),
    ],
    ids=["null", "html", "long"],
)
def test_what_can_not_be_captured_is_done_all_the_same(said: bytes, error: str) -> None:
    assert done_by(said, post="/", capture={"id": "body.data.id"}) == Outcome(error, in_doubt=True)


def test_a_secret_is_the_one_of_the_moment_and_renewed_when_it_is_refused() -> None:
    def script(request: Request) -> Sequence[bytes]:
        return [answer(204 if request.headers["authorization"] == "Bearer new" else 401)]

    class Renewing(TurnedSecret):
        async def renewed(self, refused: str) -> bool:
            self.turn("new")
            return True

    token = Renewing("old")
    outcome, requests = asked(
        script, {"id": 1}, {"token": token}, post="/{id}", headers={"authorization": "Bearer {secrets.token}"},
        json={"token": "{secrets.token}"},
    )  # fmt: skip
    assert outcome == Outcome()
    assert [one.headers["authorization"] for one in requests] == ["Bearer old", "Bearer new"]
    assert [json.loads(one.body) for one in requests] == [{"token": "old"}, {"token": "old"}]


def test_a_refusal_that_is_expected_renews_nothing() -> None:
    token = TurnedSecret("old")
    outcome, requests = asked(
        always(answer(401)), None, {"token": token}, get="/", headers={"x-key": "{secrets.token}"}, expect="4xx"
    )
    assert (outcome, len(requests)) == (Outcome(), 1)


def test_secrets_stand_in_all_of_a_body() -> None:
    secrets = {"a b": TurnedSecret("s/1")}
    _, (request,) = asked(always(answer()), {"id": 1}, secrets, post="/", json=[{"k": ["{secrets.a b}", 2, None]}])
    assert json.loads(request.body) == [{"k": ["s/1", 2, None]}]
    _, (request,) = asked(always(answer()), {"id": 1}, secrets, post="/", form={"k": "{secrets.a b} {id}"})
    assert request.body == b"k=s%2F1+1"
    _, (request,) = asked(always(answer()), {"id": 1}, secrets, post="/", body="{secrets.a b} {id}")
    assert request.body == b"s/1 1"


def test_a_secret_in_the_login_of_an_address() -> None:
    outcome, (request,) = asked(always(answer()), None, {"pw": TurnedSecret("p/w")}, post="//app:{secrets.pw}@/x")
    assert outcome == Outcome()
    assert request.headers["authorization"] == BASIC_APP_PW


def test_what_an_answer_held_names_no_secret() -> None:
    _, (request,) = asked(
        always(answer()), {"id": "{secrets.token}"}, {"token": TurnedSecret("s")}, post="/", json={"id": "{id}"}
    )
    assert json.loads(request.body) == {"id": "{secrets.token}"}


def test_a_secret_that_could_not_be_had_is_told() -> None:
    async def main() -> Outcome:
        async with opened(activity(post="http://127.0.0.1:9/", json={"a": "{secrets.token}"})) as one:
            return await one.perform({})

    assert asyncio.run(main()).error.startswith("it needs the secret 'token', which could not be had")
    with pytest.raises(TargetError, match="it needs the secret 'token'"):
        asyncio.run(opened(activity(get="http://x/", headers={"a": "{secrets.token}"})).__aenter__())


def test_the_title_has_neither_login_nor_query() -> None:
    assert activity(put="http://u:pw@host:8080/a/{id}?token=x", json=1).title == "PUT http://host:8080/a/{id}"
    assert activity(get="https://u:{secrets.pw}@host/a", verify=False).remarks == [
        "nobody checks the certificate of https://host/a"
    ]


def test_it_conforms() -> None:
    async def main() -> Sequence[Outcome]:
        async with serving(always(json_answer(b'{"id": 5}'))) as server:
            settings = activity(post=f"{server.url}/", json={}, capture={"id": "body.id"})
            return await check_activity(settings, SystemClock(), times=3)

    assert asyncio.run(main()) == [Outcome(captured={"id": 5})] * 3


@pytest.mark.parametrize("peer", PEERS)
def test_it_conforms_with_a_peer_at_fault(peer: Peer) -> None:
    async def main() -> Outcome:
        async with serving(always(answer())) as server:
            port = int(server.url.rpartition(":")[2])
            return await check_activity_peer(
                lambda port: activity(post=f"http://127.0.0.1:{port}/", timeout=TIMEOUT[peer]), port, peer
            )

    outcome = asyncio.run(main())
    assert bool(outcome.error) == (peer != "slow")
    assert peer != "clogged" or outcome == Outcome("no answer within 3 s", in_doubt=True)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"post": "http://x/", "json": 1, "body": "a"}, "json and body are 2 bodies; keep one of them"),
        ({"post": "http://x/", "json": float("nan")}, "json holds what JSON has no way to write"),
        ({"post": "localhost:80/x"}, "has no scheme; write an address such as"),
        ({"post": "http://{host}/x"}, "has a placeholder in its host"),
        ({"post": "http://x/{secrets.a}"}, "a secret can stand in the login of an address alone"),
        ({"post": "http://x/", "expect": 99}, "99 is not a final HTTP status"),
        ({"post": "http://x/", "capture": {"id": "bdy.id"}}, "did you mean 'body'?"),
        ({"post": "http://x/", "capture": {"Id": "body.id"}}, "'Id' can't be captured as a name; write"),
        ({"post": "http://x/", "headers": {"a": "{secrets.a} {id}"}}, "holds a secret and another placeholder"),
        ({"post": "http://x/", "headers": {"content-length": "1"}}, "is set for you; leave it out"),
        ({"get": "http://x/", "json": 1}, "Extra inputs"),
    ],
    ids=["bodies", "nan", "scheme", "host", "secret", "status", "expression", "name", "header", "own header", "get"],
)
def test_settings_that_make_no_sense_are_refused(written: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        activity(**written)
    assert message in str(raised.value)
