"""What transports wrap around an event is taken off, its id is found however it is written, the rest is counted."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any, Final

import pytest

from evload.model.correlation import CorrelationIds
from evload.probes._shared.attribution import Attribution, by_match
from evload.probes._shared.envelopes import decompressed, layers
from evload.probes._shared.fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT

IDS: Final = CorrelationIds.for_run("r-1")
ID: Final = IDS.id_of(7)
OTHER: Final = CorrelationIds.for_run("r-2").id_of(7)
EVENT: Final = {"specversion": "1.0", "id": "n-1", "correlationid": ID, "data": {"amount": 5}}
TEXT: Final = json.dumps(EVENT)


def sns(message: str) -> dict[str, Any]:
    return {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu:1:t", "Message": message}


def bridge(detail: Any) -> dict[str, Any]:
    return {"version": "0", "id": "b", "detail-type": "created", "source": "shop", "detail": detail}


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


WRAPPED: Final = {
    "bare": EVENT,
    "text": TEXT,
    "text in text": json.dumps(TEXT),
    "sns": sns(TEXT),
    "sns as text": json.dumps(sns(TEXT)),
    "sns of eventbridge": sns(json.dumps(bridge(EVENT))),
    "sns of an id": sns(ID),
    "eventbridge": bridge(EVENT),
    "eventbridge of text": bridge(TEXT),
    "data as text": {"id": "x", "data": TEXT},
    "base64": in_base64(TEXT.encode()),
    "base64 of gzip": in_base64(gzip.compress(TEXT.encode(), mtime=0)),
    "data_base64": {"specversion": "1.0", "id": "x", "data_base64": in_base64(TEXT.encode())},
    "data_base64 of gzip": {"id": "x", "data_base64": in_base64(gzip.compress(TEXT.encode(), mtime=0))},
    "data_base64 of deflate": {"id": "x", "data_base64": in_base64(zlib.compress(TEXT.encode()))},
    "the id itself": ID,
    "the id with a line's end": f"{ID}\n",
}


def attribution(match: str = WHERE_CLOUDEVENTS_HAVE_IT, *, default: bool = True, within: str = "") -> Attribution:
    return Attribution(IDS, by_match(match, default=default), within)


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("default", [True, False])
def test_envelopes_are_taken_off(how: str, default: bool) -> None:
    found = attribution(default=default)
    told = found.find(WRAPPED[how])
    assert told is not None
    assert told[0] == 7
    assert found.take() == (0, "")


@pytest.mark.parametrize("how", [how for how in WRAPPED if "id" not in how])
def test_expressions_get_what_was_within(how: str) -> None:
    within = attribution("body.correlationid", default=False, within="body")
    assert within.find({"headers": {"a": "b"}, "body": WRAPPED[how]}) == (7, {"headers": {"a": "b"}, "body": EVENT})


@pytest.mark.parametrize(
    "name",
    [
        "correlationId",
        "CorrelationID",
        "correlation-id",
        "CORRELATION_ID",
        "X-Correlation-Id",
        "cloudEvents:correlationid",
    ],
)
@pytest.mark.parametrize("where", ["{}", '{{"data": {}}}', '{{"meta": {{"headers": {}}}}}'])
def test_the_field_may_be_spelled_otherwise_where_nobody_said_which_it_is(name: str, where: str) -> None:
    document = json.loads(where.format(json.dumps({name: ID.upper()})))
    assert attribution().find(document) == (7, document)
    found = attribution(default=False)
    assert found.find(document) is None
    assert found.take() == (1, json.dumps(document, separators=(",", ":")))


def test_attributes_of_sns_have_a_value() -> None:
    attributes = {"correlationid": {"Type": "String", "Value": ID}}
    document = {**sns("paid"), "MessageAttributes": attributes}
    assert attribution().find(document) == (7, document)


@pytest.mark.parametrize("name", ["causationid", "parent_correlation_id", "related"])
def test_another_field_with_an_id_of_ours_makes_no_effect_of_it(name: str) -> None:
    assert attribution().find({name: ID}) is None


@pytest.mark.parametrize(
    "document", [OTHER, OTHER.upper(), {"id": OTHER.replace("-", "")}, sns(json.dumps({"id": OTHER}))]
)
def test_events_of_another_run_are_nobodys_business(document: Any) -> None:
    found = attribution()
    assert found.find(document) is None
    assert found.take() == (0, "")


@pytest.mark.parametrize("document", [None, 5, [], {}, "", "{", {"id": 5}, {"id": None}, sns("hello"), b"\xff"])
def test_the_rest_is_counted_and_the_first_of_it_shown(document: Any) -> None:
    found = attribution()
    assert found.find(document) is None
    assert found.find({"id": "later"}) is None
    strange, example = found.take()
    assert strange == 2
    assert "later" not in example
    assert found.take() == (0, "")


def test_an_example_is_short_and_without_secrets() -> None:
    found = attribution()
    found.find({"apiKey": "k-1", "user": {"Password": 'hunter"2', "name": "ann"}, "text": "x" * 9000})
    _, example = found.take()
    assert example.startswith('{"apiKey":"***","user":{"Password":"***","name":"ann"},"text":"xxx')
    assert len(example) == 400


def test_wrapping_without_end_is_given_up() -> None:
    text = "x"
    while len(text) < 1 << 18:
        text = json.dumps(text)
    assert len(list(layers(text))) == 16


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"{}", mtime=0), ""), (gzip.compress(b"{}", mtime=0), "gzip"), (zlib.compress(b"{}"), ""),
        (zlib.compress(b"{}")[2:-4], "deflate"), (zlib.compress(b"{}"), "deflate"), (b"{}", ""), (b"{}", "gzip"),
        (b"{}", "deflate"),
    ],
)  # fmt: skip
def test_bodies_are_decompressed(body: bytes, encoding: str) -> None:
    assert decompressed(body, encoding) == b"{}"


@pytest.mark.parametrize("body", [b"", b"x", b"x^ is no zlib", b"\x1f\x8b", gzip.compress(b"{}" * 99, mtime=0)[:-9]])
def test_what_is_not_whole_is_left_as_it_is(body: bytes) -> None:
    assert decompressed(body) == body


def test_what_would_fill_the_memory_is_left_as_it_is() -> None:
    bomb = gzip.compress(bytes(65 << 20), mtime=0)
    assert decompressed(bomb) is bomb
