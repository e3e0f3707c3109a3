"""The DynamoDB probe against moto's server, and against one that leaves keys unprocessed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.model.states import Seen
from evload.model.travel import ReadResult, Target
from evload.probes.dynamodb import DynamodbProbeConfig
from evload.testing import check_probe
from tests.rigs.asking import RUN, A, B, C, read_from, refused
from tests.rigs.small_system import measure
from tests.servers.aws_server import ENVIRONMENT, REGION, AwsServer
from tests.servers.httpserver import Request, Step, answer, serving

KEY: Final = {"pk": "placement#{correlation_id}"}
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def make_table(aws: AwsServer, name: str, **key: str) -> Any:
    """A table with this key (names and types), and the client."""
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": attribute, "KeyType": kind}
            for attribute, kind in zip(key, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": kind} for attribute, kind in key.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def config_of(url: str, table: str, **settings: Any) -> DynamodbProbeConfig:
    return DynamodbProbeConfig.model_validate(
        {"kind": "dynamodb", "endpoint": url, "region": REGION, "table": table, "key": KEY, **settings}
    )


def told(result: ReadResult) -> list[tuple[Seen, int | None]]:
    assert result.error == ""
    return [(read.seen, read.effects) for read in result.reads]


def test_items_are_there_or_not(aws: AwsServer) -> None:
    dynamodb = make_table(aws, "plain", pk="S")
    done = {"M": {"n": {"N": "2"}, "all": {"L": [{"N": "1.5"}, {"NULL": True}]}, "set": {"NS": ["1", "2"]}}}
    for target, state in ((A, "done"), (B, "begun")):
        key = f"placement#{target.correlation_id}"
        dynamodb.put_item(TableName="plain", Item={"pk": {"S": key}, "state": {"S": state}, "done": done})
    assert told(read_from(config_of(aws.url, "plain"))) == [(PRESENT, None), (PRESENT, None), (ABSENT, None)]
    by_state = config_of(aws.url, "plain", visible="state == 'done' && done.all[0] > `1`", effects="done.n")
    assert told(read_from(by_state)) == [(PRESENT, 2), (ABSENT, None), (ABSENT, None)]
    whole = config_of(
        aws.url, "plain", visible="contains(keys(@), 'state')", effects="length(done.set)", consistent=True
    )
    assert told(read_from(whole)) == [(PRESENT, 2), (PRESENT, 2), (ABSENT, None)]
    wrong = read_from(config_of(aws.url, "plain", effects="state"))
    assert (wrong.error, {read.seen for read in wrong.reads}) == (
        "effects 'state' gives text, not a number",
        {FAILED},
    )


def test_keys_of_two_parts(aws: AwsServer) -> None:
    dynamodb = make_table(aws, "two", pk="S", sk="N")
    for sort in ("1", "2"):
        dynamodb.put_item(TableName="two", Item={"pk": {"S": A.correlation_id}, "sk": {"N": sort}})
    for sk, seen in ((1, PRESENT), (3, ABSENT), ("2", PRESENT)):
        key = {"pk": "{correlation_id}", "sk": sk}
        assert told(read_from(config_of(aws.url, "two", key=key), [A])) == [(seen, None)]


def test_conformance_special_characters_and_many_keys(aws: AwsServer) -> None:
    dynamodb = make_table(aws, "odd", pk="S")
    odd = ["it's", 'say "hi"', "a b\n", "#x", "\\", "ü☃", *(f"n-{number}" for number in range(244))]
    for text in odd:
        dynamodb.put_item(TableName="odd", Item={"pk": {"S": f"placement#{text}"}})
    targets = [Target(number, text) for number, text in enumerate([*odd, "missing"])]
    reads = asyncio.run(check_probe(config_of(aws.url, "odd", bulk=1000), SystemClock(), targets))
    assert [reads[number].seen for number in range(len(odd))] == [PRESENT] * len(odd)
    assert reads[len(odd)].seen is ABSENT


def test_a_run_finds_exactly_what_a_worker_wrote(tmp_path: Path, aws: AwsServer) -> None:
    dynamodb = make_table(aws, "run", pk="S")

    async def write(correlation_id: str, copies: int) -> None:
        dynamodb.update_item(
            TableName="run", Key={"pk": {"S": f"placement#{correlation_id}"}}, UpdateExpression="ADD n :n",
            ExpressionAttributeValues={":n": {"N": str(copies)}},
        )  # fmt: skip

    probe = {"kind": "dynamodb", "endpoint": aws.url, "region": REGION, "table": "run", "key": KEY, "effects": "n",
             "deadline": "10s", "confirm": {"reads": 2, "over": "1s"}}  # fmt: skip
    run = measure(tmp_path, probe, write)
    run.assert_counts()
    run.assert_brackets()
    assert run.summary["ledger"]["duplicated"] == 10
    assert run.summary["reads"]["failed_requests"] == 0


# --- what is refused ----------------------------------------------------------------------------------------


def test_tables_that_can_not_be_asked(aws: AwsServer) -> None:
    make_table(aws, "strict", pk="S", sk="S")
    make_table(aws, "binary", pk="B")
    assert refused(config_of(aws.url, "nowhere")) == (
        "there is no table 'nowhere' in eu-west-1; create it, or correct its name or region"
    )
    assert (
        refused(config_of(aws.url, "strict")) == "the key of table 'strict' is pk and sk, not pk; name both under key"
    )
    assert refused(config_of(aws.url, "binary")).startswith(
        "'pk' in the key of table 'binary' is binary; name a table"
    )
    assert "can't connect to http://127.0.0.1:1/; start what should" in refused(
        config_of("http://127.0.0.1:1", "plain")
    )


Answer = Callable[[Mapping[str, Any]], tuple[int, Mapping[str, Any]]]


def read_from_stub(batch: Answer, targets: Sequence[Target], **settings: Any) -> tuple[ReadResult, list[Any]]:
    """What is read from a server that answers BatchGetItem like this from its second request on."""
    asked: list[Any] = []

    def script(request: Request) -> Sequence[bytes | float | Step]:
        body = json.loads(request.body)
        document: Mapping[str, Any]
        if request.headers["x-amz-target"].endswith("DescribeTable"):
            status, document = 400, {"__type": "AccessDeniedException", "message": "no"}
        else:
            asked.append(body)
            status, document = batch(body) if len(asked) > 1 else (200, {"Responses": {"t-1": []}})
        return [answer(status, json.dumps(document).encode(), "Content-Type: application/x-amz-json-1.0")]

    async def run() -> ReadResult:
        async with serving(script) as server, config_of(server.url, "t-1", **settings).open(RUN) as probe:
            return await probe.read(targets)

    result = asyncio.run(run())
    return result, asked[1:]


def keys_of(body: Mapping[str, Any]) -> list[Any]:
    keys: list[Any] = body["RequestItems"]["t-1"]["Keys"]
    return keys


def test_unprocessed_keys_are_asked_for_again() -> None:
    def half(body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        keys = keys_of(body)
        done, rest = (keys[:-1], keys[-1:]) if len(keys) > 1 else (keys, [])
        unprocessed = {"t-1": {"Keys": rest}} if rest else {}
        return 200, {"Responses": {"t-1": done}, "UnprocessedKeys": unprocessed}

    result, asked = read_from_stub(half, [A, B, C], consistent=True)
    assert told(result) == [(PRESENT, None)] * 3
    assert [len(keys_of(body)) for body in asked] == [3, 1]
    assert all(body["RequestItems"]["t-1"]["ConsistentRead"] for body in asked)
    assert all(body["RequestItems"]["t-1"]["ProjectionExpression"] == "#a0" for body in asked)


def test_keys_that_stay_unprocessed_are_failed_reads_and_no_others() -> None:
    def never_the_last(body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        *done, last = keys_of(body)
        return 200, {"Responses": {"t-1": done[:1]}, "UnprocessedKeys": {"t-1": {"Keys": [last]}}}

    result, asked = read_from_stub(never_the_last, [A, B, C])
    assert [read.seen for read in result.reads] == [PRESENT, ABSENT, FAILED]
    assert result.error == "throttled: DynamoDB left keys unprocessed 5 times"
    assert len(asked) == 5


def test_a_portion_that_is_refused_fails_alone() -> None:
    targets = [Target(seq, RUN.ids.id_of(seq)) for seq in range(150)]

    def denied(body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        if len(keys_of(body)) == 100:
            return 200, {"Responses": {"t-1": keys_of(body)}}
        return 400, {"__type": "AccessDeniedException", "message": "not authorized to read t-1"}

    result, _ = read_from_stub(denied, targets)
    assert [read.seen for read in result.reads] == [PRESENT] * 100 + [FAILED] * 50
    assert result.error == "access denied: not authorized to read t-1"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"key": {}}, "at least 1 item"),
        ({"key": {"pk": "x"}}, "key is the same for every event; put {correlation_id} into it"),
        ({"key": {"pk": "{id}"}}, "unknown placeholder {id} in '{id}'"),
        ({"key": {"pk": "{correlation_id}", "sk": 1, "x": "y"}}, "at most 2 items"),
        ({"table": "a b"}, "String should match pattern"),
        ({"consistent": "sometimes"}, "valid boolean"),
        ({"visible": "a ="}, "is not JMESPath"),
        ({"effects": "size(a)"}, "calls the unknown function 'size'"),
        ({"region": "europe"}, "'europe' is not the name of a region; write one such as eu-west-1"),
        ({"endpoint": "localhost:8000"}, "has no scheme"),
        ({"tabel": "x"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DynamodbProbeConfig.model_validate({"kind": "dynamodb", "table": "plain", "key": KEY, **settings})
    assert what in str(caught.value)
