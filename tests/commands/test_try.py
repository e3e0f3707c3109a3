"""`evload try`: what it shows of one event of each kind, and the reason that it names when a probe sees nothing."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from tests.rigs.commands import assert_one_clear_line, evload, started
from tests.rigs.tried_systems import Steps, found, no_such, tried
from tests.servers.aws_server import ENVIRONMENT, REGION, AwsServer
from tests.servers.httpserver import Request, answer, json_answer
from tests.servers.postgres_server import PostgresServer
from tests.servers.rabbitmq_node import RabbitNode
from tests.servers.redis_server import RedisServer

ORDERS: Final = "/orders/"
PROBE: Final = '{kind: http, url: "{url}/orders/{correlation_id}", deadline: 600ms}'

Event = Mapping[str, Any]


def probe(**more: str) -> str:
    """The probe, with further settings."""
    return PROBE.removesuffix("}") + "".join(f", {name}: {value}" for name, value in more.items()) + "}"


def orders(request: Request, event: Event | None, key: str, document: Any) -> Steps:
    """A read model that has one order, under `key`."""
    if not request.target.startswith(ORDERS):
        return no_such(f"route: {request.target}")
    return found(document) if event is not None and request.target == ORDERS + key else no_such("order")


def by_id(request: Request, event: Event | None) -> Steps:
    """The order, under its event's id."""
    return orders(request, event, event["id"] if event else "", {"state": "done"})


# --- a probe that sees it ---------------------------------------------------------------------------------


def test_a_probe_that_sees_it_shows_the_request_each_answer_once_and_what_expressions_find(tmp_path: Path) -> None:
    looks = 0

    def read(request: Request, event: Event | None) -> Steps:
        nonlocal looks
        if event is None:
            return no_such("order")
        looks += 1
        document = {"order": {"state": "done" if looks > 4 else "new", "lines": [1, 2], "at": "n-7"}}
        return orders(request, event, event["id"], document)

    seeing = probe(
        visible="\"body.order.state == 'done'\"", effects='"length(body.order.lines)"', position="body.order.at"
    )
    ended = tried(tmp_path, seeing.replace("600ms", "30s"), read, options=()).ended
    assert ended.code == 0, ended.said
    told = ended.out
    event_id = told.partition("/orders/")[2].partition(" ")[0]
    assert told.startswith("order-created, sent by api (scenario main): seen after ")
    assert "\n  POST /events HTTP/1.1\n" in told
    assert f'"correlationid":"{event_id}"' in told
    assert f"\n  GET /orders/{event_id} HTTP/1.1\n" in told
    assert told.count('"state":"new"') == 1
    assert "\n4 times the same, from " in told
    assert told.count("  visible: body.order.state == 'done'  gives  false\n") == 1
    seen = told.partition('"state":"done"')[2]
    assert "  visible: body.order.state == 'done'  gives  true\n" in seen
    assert "  effects: length(body.order.lines)  gives  2\n" in seen
    assert '  position: body.order.at  gives  "n-7"\n' in seen
    assert told.endswith("seen in time: 1 of 1 events\n")
    assert "why" not in told.splitlines()


def test_the_sandbox_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("""
sandbox: {}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  one: {type: t.one, source: /s}
  two: {type: t.two, source: /s}
probes:
  read-model: {kind: http, url: "{sandbox}/items/{correlation_id}", consumed_at: body.consumed_at}
scenarios:
  main: {producer: broker, events: {one: 1, two: 0.001}, probes: [read-model], load: [{rate: 10/s, for: 1s}]}
  again: {producer: broker, events: [two], probes: [read-model], load: [{rate: 10/s, for: 1s}]}
""")
    ended = evload("try", "c.yaml", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.said
    told = json.loads(ended.out)
    assert [event["event"] for event in told["events"]] == ["one", "two"]
    assert len({event["correlation_id"] for event in told["events"]}) == 2
    for event in told["events"]:
        (found_stamp,) = [one for one in event["probes"][0]["answers"][-1]["found"] if one["name"] == "consumed_at"]
        assert int(found_stamp["value"]) > 10**18
        assert f'"type":"t.{event["event"]}"' in event["publish"][0]["sent"]["body"]


# --- ten planted reasons, and more of their kinds -----------------------------------------------------------


def test_wrong_path(tmp_path: Path) -> None:
    out = tried(tmp_path, PROBE.replace("/orders/", "/order/"), by_id)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "wrong-path")
    asked = f"GET /order/{out.event['correlation_id']}"
    assert f"{asked} is answered just as a path that no server has (HTTP 404)" in said
    assert "correct url of read-model" in said
    assert len(out.reasons) == 1


def test_a_path_and_an_event_that_are_missing_alike_are_both_said(tmp_path: Path) -> None:
    out = tried(tmp_path, PROBE, lambda request, event: [answer(404)])
    assert [kind for kind, _ in out.reasons] == ["wrong-path", "never"]


def test_a_path_that_only_lacks_its_slash(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return orders(request, event, f"{event['id']}/" if event else "", {})

    kind, said = tried(tmp_path, PROBE, read).reason
    assert kind == "elsewhere"
    assert "at the same path with a slash at its end" in said


def test_wrong_id_because_the_target_gives_its_own(tmp_path: Path) -> None:
    out = tried(
        tmp_path, PROBE, lambda request, event: orders(request, event, "ord-17", {}),
        accept=lambda event: [json_answer(b'{"order":{"number":"ord-17"}}', 201)],
    )  # fmt: skip
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "other-id")
    assert "`body.order.number`" in said
    assert "write capture: body.order.number at the producer, and ask with {capture}" in said


def test_wrong_id_because_the_read_model_goes_by_a_field_of_the_event(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return orders(request, event, event["data"]["order_id"] if event else "", {})

    kind, said = tried(tmp_path, PROBE, read).reason
    assert kind == "other-id"
    assert 'write order_id: "{correlation_id}" in the event' in said


def test_an_id_elsewhere_in_the_items_of_a_list_and_without_hyphens(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        order = {"id": 17, "data": {"order": {"correlationId": event["id"].replace("-", "") if event else "x"}}}
        return found({"items": [{"id": 16, "data": {}}, order] if event else []})

    listing = '{kind: http, url: "{url}/query", ids: {in: body, at: ids}, items: body.items, deadline: 600ms}'
    kind, said = tried(tmp_path, listing, read).reason
    assert kind == "id-place"
    assert said.startswith("`id` is in `data.order.correlationId`, without hyphens, in an item of the list")
    assert said.endswith("write id: data.order.correlationId")


FEED: Final = (
    '{kind: http-feed, url: "{url}/changes?since={cursor}", items: body.entries, next: body.next, every: 20ms, '
    "id: ref, deadline: 30s}"
)


def test_a_feed_that_lists_it(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return found({"entries": [{"ref": event["id"]}] if event else [], "next": "1"})

    out = tried(tmp_path, FEED, read, options=())
    assert out.ended.code == 0, out.ended.said
    assert "\n  GET /changes?since=" in out.ended.out
    assert f'"entries":[{{"ref":"{out.system.event["id"] if out.system.event else ""}"}}]' in out.ended.out


def test_a_feed_that_lists_it_under_another_field(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return found({"entries": [{"order": {"ref": event["id"]}}] if event else [], "next": "1"})

    kind, said = tried(tmp_path, FEED.replace("30s", "600ms"), read).reason
    assert kind == "id-place"
    assert said == "`id` is in `order.ref`, in an item of the list; write id: order.ref"


def test_an_item_that_is_listed_and_not_visible_says_what_is_missing(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        if request.target != "/query":
            return no_such("route")
        asked = event is not None and event["id"] in request.body.decode()
        return found({"items": [{"id": event["id"], "state": "new"}] if event and asked else []})

    listing = (
        '{kind: http, url: "{url}/query", ids: {in: body, at: ids}, items: body.items, deadline: 600ms, '
        "visible: \"item.state == 'done'\"}"
    )
    ((kind, said),) = tried(tmp_path, listing, read).reasons
    assert kind == "value"
    assert '`item.state` is "new"' in said


def test_an_id_in_capitals(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return orders(request, event, event["id"].upper() if event else "", {})

    out = tried(tmp_path, PROBE, read)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "spelling")
    assert f"under its id in capitals ({out.event['correlation_id'].upper()})" in said


def test_404_for_ever(tmp_path: Path) -> None:
    out = tried(tmp_path, PROBE, lambda request, event: orders(request, None, "", {}))
    kind, said = out.reason
    assert (out.ended.code, kind, len(out.reasons)) == (1, "never", 1)
    assert "reads was answered HTTP 404, as for an event that was never sent; the path is known there" in said
    assert f"look for {out.event['correlation_id']} in the system's logs" in said


LOSING: Final = """
sandbox: {loss: 100%}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  event: {type: t, source: /s}
probes:
  read-model: {kind: http, url: "{sandbox}/items/{correlation_id}", deadline: DEADLINE}
scenarios:
  main: {producer: broker, events: [event], probes: [read-model], load: [{rate: 10/s, for: 1s}]}
"""
"""A pipeline that loses every event."""


def test_404_for_ever_of_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(LOSING.replace("DEADLINE", "600ms"))
    ended = evload("try", "c.yaml", "--wait", "0s", cwd=tmp_path)
    assert ended.code == 1
    assert "HTTP 404, as for an event that was never sent; the path is known there" in ended.out
    assert ended.out.endswith("seen in time: 0 of 1 events\n")


@pytest.mark.parametrize("given", ["", ', headers: {authorization: "Bearer old"}'], ids=["none", "old"])
def test_401(tmp_path: Path, given: str) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return [json_answer(b'{"error":"who are you?"}', 401, 'WWW-Authenticate: Bearer realm="orders"')]

    out = tried(tmp_path, PROBE.removesuffix("}") + given + "}", read)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "refused")
    assert "read-model is refused: every read failed: HTTP 401" in said
    assert ("correct the credentials that the probe sends" if given else "give the probe credentials") in said
    assert "Bearer old" not in out.ended.said


def test_401_of_the_publish(tmp_path: Path) -> None:
    out = tried(tmp_path, PROBE, by_id, accept=lambda event: [json_answer(b'{"error":"no token"}', 401)])
    (clue,) = out.event["why"]
    assert (out.ended.code, out.event["outcome"], clue["kind"]) == (1, "rejected", "refused")
    assert "HTTP 401" in clue["text"]
    assert "give the producer credentials (auth)" in clue["text"]
    assert out.probe["answers"] == []


def test_an_envelope_around_the_answer(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return orders(request, event, event["id"] if event else "", {"data": {"file_url": "s3://x"}, "meta": {}})

    out = tried(tmp_path, probe(visible='"status == `200` && body.file_url"'), read)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "envelope")
    assert "`body.file_url` is null, and the answer has it in `body.data.file_url`" in said
    assert said.endswith("write visible: status == `200` && body.data.file_url")


def test_an_envelope_around_what_is_pushed(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def accept(event: Event) -> Steps:
        document = {"meta": {"ref": event["id"]}, "order": {"state": "done"}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/", json.dumps(document).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()
        return [answer(202)]

    webhook = f'{{kind: webhook, listen: "127.0.0.1:{port}", deadline: 600ms}}'
    out = tried(tmp_path, webhook, by_id, accept=accept)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "id-place")
    assert "`id` is in `body.meta.ref` of what came" in said
    assert '"state":"done"' in out.probe["answers"][0]["exchanges"][0]["came"]["body"]


def test_gzip_that_nobody_declares(tmp_path: Path) -> None:
    zipped = gzip.compress(b'{"state":"done"}', mtime=0)

    def read(request: Request, event: Event | None) -> Steps:
        if event is None or request.target != ORDERS + event["id"]:
            return no_such("order")
        return [json_answer(zipped)]

    out = tried(tmp_path, probe(visible="\"body.state == 'done'\""), read)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "compressed")
    assert "a body in gzip, which it doesn't declare" in said
    assert "have it declare content-encoding: gzip" in said


def test_gzip_that_is_declared_is_shown_as_what_it_is(tmp_path: Path) -> None:
    zipped = gzip.compress(b'{"state":"done"}', mtime=0)

    def read(request: Request, event: Event | None) -> Steps:
        if event is None or request.target != ORDERS + event["id"]:
            return no_such("order")
        return [json_answer(zipped, 200, "Content-Encoding: gzip")]

    out = tried(tmp_path, probe(visible="\"body.state == 'done'\"").replace("600ms", "30s"), read)
    assert out.ended.code == 0
    assert out.probe["answers"][-1]["exchanges"][0]["came"]["body"] == '{"state":"done"}'


def test_jmespath_on_text(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        if event is None or request.target != ORDERS + event["id"]:
            return no_such("order")
        return [answer(200, b"the order is done", "Content-Type: text/plain")]

    out = tried(tmp_path, probe(visible="\"body.state == 'done'\""), read)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "text")
    assert "isn't JSON: the order is done" in said
    assert "visible can't look into text" in said


def test_jmespath_on_json_as_text_within_json(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        document = {"payload": json.dumps({"state": "done"})}
        return orders(request, event, event["id"] if event else "", document)

    kind, said = tried(tmp_path, probe(visible="\"body.payload.state == 'done'\""), read).reason
    assert kind == "text"
    assert "`body.payload` is text, so that `body.payload.state` finds nothing in it" in said
    assert "the text is JSON with a field 'state'" in said


def test_another_database(tmp_path: Path, postgres: PostgresServer) -> None:
    table = "CREATE TABLE IF NOT EXISTS orders (id text)"
    postgres.execute(table)
    postgres.execute("CREATE DATABASE shop")
    there = postgres.owner.replace("/postgres", "/shop")

    async def store(event: Event) -> None:
        connection: Any = await asyncpg.connect(there)
        try:
            await connection.execute(table)
            await connection.execute("INSERT INTO orders VALUES ($1)", event["id"])
        finally:
            await connection.close()

    def accept(event: Event) -> Steps:
        _in_a_thread(store(event))
        return [answer(202)]

    query = 'query: "SELECT id FROM orders WHERE id = ANY(:ids)"'
    config = f'{{kind: postgres, url: "{postgres.owner}", {query}, deadline: 600ms}}'
    out = tried(tmp_path, config, by_id, accept=accept)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "elsewhere")
    assert said.startswith("the event is in the database 'shop' of the same server")
    assert out.probe["answers"][0]["exchanges"][0]["came"]["head"] == "0 rows"


def test_another_database_of_redis(tmp_path: Path, redis: RedisServer) -> None:
    import redis as sdk

    def accept(event: Event) -> Steps:
        with sdk.Redis(port=redis.port, db=3) as client:
            client.set(f"order:{event['id']}", "done")
        return [answer(202)]

    config = f'{{kind: redis, url: "{redis.url}", key: "order:{{correlation_id}}", deadline: 600ms}}'
    out = tried(tmp_path, config, by_id, accept=accept)
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "elsewhere")
    assert said.startswith("the event is in the database 3 of the same server")
    assert said.endswith("end url in /3")
    sent = out.probe["answers"][0]["exchanges"][0]["sent"]
    assert sent["head"] == f"MGET order:{out.event['correlation_id']}"


def test_a_deadline_that_is_too_short(tmp_path: Path) -> None:
    looks = 0

    def read(request: Request, event: Event | None) -> Steps:
        nonlocal looks
        looks += event is not None and request.target == ORDERS + event["id"]
        return by_id(request, event if looks > 15 else None)

    out = tried(tmp_path, PROBE.replace("600ms", "100ms"), read, options=("--json", "--wait", "50s"))
    kind, said = out.reason
    assert (out.ended.code, kind) == (1, "late")
    assert out.probe["seen"]
    assert not out.probe["in_time"]
    assert "and its deadline is 100 ms; write deadline: " in said
    assert "note: read-model: not seen within its deadline; looking on for 50 s" in out.ended.err


# --- near misses of other kinds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "kind", "said"),
    [
        ("status == '200'", "type", "`status` is a number and `'200'` is text"),
        ("body.State == 'done'", "name", "write visible: body.state == 'done'"),
        ("body.state == 'DONE'", "case", "only capitals or blanks differ"),
        ("body.state == 'paid'", "value", '`body.state` is "done"'),
        ("body.progress", "value", "`body` has state"),
    ],
    ids=["type", "name", "case", "value", "missing"],
)
def test_an_expression_that_does_not_hold_says_why(tmp_path: Path, visible: str, kind: str, said: str) -> None:
    out = tried(tmp_path, probe(visible=f'"{visible}"'), by_id)
    assert out.ended.code == 1
    ((found_kind, text),) = out.reasons
    assert found_kind == kind
    assert said in text


def test_a_probe_that_sees_what_was_never_sent_has_seen_nothing(tmp_path: Path) -> None:
    out = tried(tmp_path, probe(visible='"status == `404` || status == `200`"'), by_id)
    assert (out.ended.code, out.reason[0]) == (1, "anything")
    assert "an event that was never sent" in out.reason[1]


def test_a_capture_that_finds_nothing(tmp_path: Path) -> None:
    out = tried(
        tmp_path, PROBE.replace("{correlation_id}", "{capture}"), by_id,
        producer=", capture: body.number", accept=lambda event: [json_answer(b'{"order":{"number":"o-1"}}', 201)],
    )  # fmt: skip
    assert out.ended.code == 1
    assert out.event["found"] == [{"name": "capture", "expression": "body.number", "value": "null", "failed": False}]
    first, second = (clue["text"] for clue in out.event["why"])
    assert "the capture found nothing" in first
    assert "write capture: body.order.number" in second


def test_an_id_that_was_never_sent(tmp_path: Path) -> None:
    def accept(event: Event) -> Steps:
        return [answer(202)]

    out = tried(tmp_path, PROBE, lambda request, event: no_such("order"), producer=", mode: plain", accept=accept)
    assert out.reason[0] == "id-not-sent"
    assert "nothing that was sent holds it; write {correlation_id} into data or into a header" in out.reason[1]


def test_dynamodb_and_s3_are_shown_as_they_were_asked(tmp_path: Path, aws: AwsServer) -> None:
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    dynamodb.create_table(
        TableName="tried",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3.create_bucket(Bucket="tried", CreateBucketConfiguration={"LocationConstraint": REGION})

    def accept(event: Event) -> Steps:
        dynamodb.put_item(TableName="tried", Item={"pk": {"S": event["id"]}, "state": {"S": "done"}})
        s3.put_object(Bucket="tried", Key=f"orders/{event['id']}", Body=b'{"state":"new"}')
        return [answer(202)]

    where = f"endpoint: '{aws.url}', region: {REGION}, deadline: 30s"
    table = f'{{kind: dynamodb, {where}, table: tried, key: {{pk: "{{correlation_id}}"}}, visible: state}}'
    out = tried(tmp_path, table, by_id, accept=accept, env=ENVIRONMENT)
    assert out.ended.code == 0, out.ended.said
    exchange = out.probe["answers"][-1]["exchanges"][0]
    assert exchange["sent"]["head"] == "batch_get_item"
    assert '{"S": "done"}' in exchange["came"]["body"]
    bucket = f'{{kind: s3, {where}, bucket: tried, key: "orders/{{correlation_id}}", content: "state == \'done\'"}}'
    out = tried(tmp_path, bucket.replace("30s", "600ms"), by_id, accept=accept, env=ENVIRONMENT)
    assert (out.ended.code, out.reason[0]) == (1, "value")
    assert '`state` is "new"' in out.reason[1]
    assert out.probe["answers"][0]["exchanges"][0]["sent"]["head"] == "get_object"


def test_rabbitmq_and_what_comes_to_a_tap(tmp_path: Path, rabbitmq: RabbitNode) -> None:
    (tmp_path / "c.yaml").write_text(f"""
producers:
  bus:
    kind: rabbitmq
    url: "{rabbitmq.url}"
    exchange: tried
    routing_key: "{{type}}"
    declare: {{exchange: {{type: topic}}}}
events:
  event: {{type: order.created, source: /s}}
probes:
  tap: {{kind: rabbitmq-tap, url: "{rabbitmq.url}", exchange: tried, routing_key: "order.*", deadline: 30s}}
scenarios:
  main: {{producer: bus, events: [event], probes: [tap], load: [{{rate: 10/s, for: 1s}}]}}
""")
    ended = evload("try", "c.yaml", cwd=tmp_path)
    assert ended.code == 0, ended.said
    assert "  basic.publish exchange='tried' routing_key='order.created'" in ended.out
    assert "\n  basic.ack\n" in ended.out
    assert "\ntap (rabbitmq-tap): 1 came\n" in ended.out
    assert ended.out.count('"correlationid":"') == 2  # as it was sent, and as it came
    other = ("--set", "probes.tap.routing_key=shop.*", "--wait", "0s")
    missed = evload("try", "c.yaml", *other, cwd=tmp_path)
    assert missed.code == 1, missed.said
    assert "\n  basic.return" in missed.out
    assert "  - no queue takes the event" in missed.out


# --- how it ends --------------------------------------------------------------------------------------------


def test_a_target_that_cannot_be_reached_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    out = tried(tmp_path, PROBE.replace("{url}", "http://127.0.0.1:1"), by_id)
    assert_one_clear_line(out.ended, 3, "http://127.0.0.1:1", "connection refused", "read model")


def test_a_config_that_is_wrong_is_exit_code_2(tmp_path: Path) -> None:
    out = tried(tmp_path, probe(visibel="body"), by_id)
    assert_one_clear_line(out.ended, 2, "visibel", "did you mean 'visible'?")
    assert_one_clear_line(tried(tmp_path, PROBE, by_id, options=("--wait", "soon")).ended, 2, "--wait", "soon")


def test_without_a_probe_an_event_is_good_if_it_was_accepted(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("""
sandbox: {}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  event: {type: t, source: /s}
scenarios:
  main: {producer: broker, events: [event], load: [{rate: 10/s, for: 1s}]}
""")
    ended = evload("try", "c.yaml", cwd=tmp_path)
    assert ended.code == 0
    assert "accepted; no probe looks for it" in ended.out
    refused = evload("try", "c.yaml", "--set", "producers.broker.url='{sandbox}/nowhere'", cwd=tmp_path)
    assert refused.code == 1
    assert "the target refused the event: HTTP 404" in refused.out


def test_an_interrupt_tells_what_was_seen_until_then(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(LOSING.replace("DEADLINE", "10ms"))
    with started("try", "c.yaml", "--wait", "10m", cwd=tmp_path) as running:
        assert running.process.stderr is not None
        assert "Ctrl-C ends it" in running.process.stderr.readline()
        running.signal(signal.SIGINT)
        ended = running.ended()
    assert ended.code == 130
    assert "not seen by read-model yet" in ended.out
    assert "HTTP 404" in ended.out


WRITTEN: Final = ("written-in-the-config", "in-the-address")


def test_secrets_appear_nowhere(tmp_path: Path) -> None:
    token, password = "t0p-s3cret-token", "hunter2-and-more"

    def read(request: Request, event: Event | None) -> Steps:
        told = {"you": dict(request.headers), "api_token": "not-from-the-environment", "at": request.target}
        document = {**told, "state": "new"}
        key = event["id"] if event else ""
        if event is None or not request.target.startswith(f"{ORDERS}{key}?"):
            return no_such("order")
        return found(document, "Set-Cookie: id=cookie-of-the-server", f"X-Echo: {token}")

    config = (
        PROBE.replace("http, url", "http, headers: {x-api-key: \"written-in-the-config\"}, url")
        .replace("{correlation_id}", "{correlation_id}?key=${TOKEN}&access_token=in-the-address")
    )  # fmt: skip
    config = config.removesuffix("}") + ", visible: \"body.state == '${TOKEN}' && body.you\"}"
    for options in (("--wait", "0s"), ("--wait", "0s", "--json")):
        out = tried(
            tmp_path, config, read, options=options, env={"TOKEN": token, "PASSWORD": password},
            producer=', auth: {bearer: "${PASSWORD}"}',
        )  # fmt: skip
        assert out.ended.code == 1, out.ended.said
        assert any(token in request.target for request in out.system.asked)
        for secret in (token, password, *WRITTEN, "cookie-of-the-server", "not-from-the-environment"):
            assert secret not in out.ended.said
        assert "/orders/" in out.ended.out
        assert "${TOKEN}" in out.ended.out


def test_what_is_a_secret_by_its_name_is_sent_nowhere_else(tmp_path: Path) -> None:
    """A token in the answer to the publish is none of the ids that the read model is asked for."""
    out = tried(
        tmp_path, PROBE, lambda request, event: no_such("order"),
        accept=lambda event: [json_answer(b'{"access_token":"tok-1","number":"ord-9"}', 201)],
    )  # fmt: skip
    targets = {request.target for request in out.system.asked}
    assert "/orders/ord-9" in targets
    assert "/orders/tok-1" not in targets
    assert "tok-1" not in out.ended.said


def test_what_targets_say_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    def read(request: Request, event: Event | None) -> Steps:
        return [answer(404, b"\x1b[31mred\x1b[0m ##[error]x \xe2\x80\xae", "Content-Type: text/plain")]

    out = tried(tmp_path, PROBE, read, options=("--wait", "0s"))
    assert out.ended.code == 1
    assert all(letter == "\n" or letter.isprintable() for letter in out.ended.said)
    assert "##[" not in out.ended.said
    assert "# #[error]x" in out.ended.out


def _in_a_thread(work: Any) -> None:
    """Run a coroutine to its end although a loop runs here."""
    import asyncio
    import threading

    thread = threading.Thread(target=asyncio.run, args=(work,))
    thread.start()
    thread.join()
