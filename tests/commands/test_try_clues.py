"""What `evload try` makes of answers, without a system: ids in any spelling, and expressions that don't hold."""

from __future__ import annotations

from typing import Any, Final

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.clients.jmes import truthy
from evload.commands.trying.expressions import why_false, written
from evload.commands.trying.ids import places_of
from evload.model.correlation import CorrelationIds
from evload.run.shown_traffic import shown
from evload.spi import Message

ID: Final = CorrelationIds.for_run("r").id_of(0xAB)
BARE: Final = ID.replace("-", "")


@pytest.mark.parametrize(
    ("document", "path", "spelt"),
    [
        ({"id": ID}, "id", ""),
        ({"a": [{"x-id": ID.upper()}]}, 'a[0]."x-id"', "in capitals"),
        ({"a": {"b": BARE}}, "a.b", "without hyphens"),
        ({"a": BARE.upper()}, "a", "in capitals and without hyphens"),
        ({"a": f"{{{ID}}}"}, "a", "in braces"),
        ({"a": f"urn:uuid:{ID}"}, "a", "as a URN"),
        ({ID: 1}, f'"{ID}"', ""),
    ],
    ids=["plain", "capitals", "bare", "bare-capitals", "braces", "urn", "key"],
)
def test_an_id_is_found_in_every_spelling(document: Any, path: str, spelt: str) -> None:
    (place,) = places_of(document, ID)
    assert (written(place.path), place.spelt, place.within) == (path, spelt, False)


def test_an_id_within_a_longer_text_and_that_of_another_event() -> None:
    (place,) = places_of({"a": f"/orders/{ID.upper()}?x"}, ID)
    assert (written(place.path), place.within) == ("a", True)
    assert not list(places_of({"a": CorrelationIds.for_run("r").id_of(0xAC)}, ID))


def reasons(text: str, document: Any) -> list[str]:
    return [clue.text for clue in why_false("visible", text, document)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("body.order.state == 'done'", "write visible: body.data.order.state == 'done'"),
        ("body.orders[0].state", "`body.orders[0].state` is null"),
        ("body.list.state == 'done'", "write visible: body.list[0].state == 'done'"),
        ("status == `200` && (body.x || body.data.order.State)", "write visible: status == `200` && (body.x || "),
        ("body.data.order.nr == '5'", "compare with `5`"),
        ("!(body.data)", "`body.data` is {"),
        ("body.token == 'a'", "`body.token` is ***"),
        ("contains(body.list, 'a')", "`contains(body.list, 'a')` is false"),
    ],
    ids=["envelope", "index", "list", "or", "number", "not", "secret", "function"],
)
def test_why_an_expression_does_not_hold(text: str, said: str) -> None:
    body = {"data": {"order": {"state": "done", "nr": 5}}, "list": [{"state": "done"}], "token": "t-1"}
    found = reasons(text, {"status": 200, "headers": {}, "body": body})
    assert any(said in one for one in found), found
    assert "t-1" not in "".join(found)


KEYS: Final = st.sampled_from(["body", "data", "state", "status", "list", "x-id", "State"])
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["done", '{"state":"done"}', "5", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)
EXPRESSIONS: Final = (
    "body.state == 'done'", "body.data.state", "status == '5' && body.state", "!body.state", "!(body.list)",
    "body.list[0].state == `5`", "length(body.list) > `0`", "body.state || data.state", "@",
    "body.list[?state=='done']", 'body."x-id"', "contains(body.data, 'x') && body", "body.state < `5`",
    "body.* | [0]",
)  # fmt: skip


@given(st.sampled_from(EXPRESSIONS), st.dictionaries(KEYS, JSON, max_size=4))
def test_whatever_is_false_has_a_reason_and_what_is_sure_works(text: str, document: dict[str, Any]) -> None:
    try:
        holds = truthy(jmespath.search(text, document))
    except jmespath.exceptions.JMESPathError:
        return
    if holds:
        return
    clues = list(why_false("visible", text, document))
    assert clues
    for clue in clues:
        if clue.kind in ("envelope", "name") and clue.sure:
            better = clue.text.rpartition("; write visible: ")[2]
            assert "…" in better or truthy(jmespath.search(better, document)), clue


@pytest.mark.parametrize(
    ("head", "body", "hidden"),
    [
        ("GET /a?token=abc&b=1 HTTP/1.1", b"", "abc"),
        ("GET / HTTP/1.1\nAuthorization: Basic abc", b"", "abc"),
        ("HTTP 302\nlocation: https://x/?access_token=abc", b"", "abc"),
        ("HTTP 200\nset-cookie: sid=abc; Path=/", b"", "abc"),
        ("", b'{"a": {"apiKey" : "abc", "b": 1}}', "abc"),
        ("", b'{"password":"ab\\"abc"}', "abc"),
        ("", b'{"pin_secret": 4711}', "4711"),
        ("", b"grant=x&client_secret=abc&b=1", "abc"),
    ],
    ids=["query", "header", "location", "cookie", "field", "quoted", "number", "form"],
)
def test_what_is_a_secret_by_its_name_is_not_shown(head: str, body: bytes, hidden: str) -> None:
    told = shown(Message(head, body), str)
    assert hidden not in told.head + told.body
    assert "***" in told.head + told.body


def test_a_long_body_is_cut_and_one_that_is_no_text_is_told_as_such() -> None:
    assert shown(Message("", b"x" * 3000), str).body == "x" * 2000 + "…"
    assert shown(Message("", b"\xff\xfe\x00"), str).body == "3 bytes that are no text: fffe00…"
    assert shown(Message("", b"x" * 3000), str).size == 3000
