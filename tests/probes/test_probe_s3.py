"""The S3 probe against moto's server, and against one that refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import ReadResult, Target
from evload.probes.s3 import S3ProbeConfig
from evload.testing import check_probe
from tests.rigs.asking import RUN, A, B, C, refused
from tests.rigs.small_system import measure
from tests.servers.aws_server import ENVIRONMENT, REGION, AwsServer
from tests.servers.httpserver import Request, Step, answer, serving

KEY: Final = "out/{correlation_id}.json"
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def make_bucket(aws: AwsServer, name: str, *objects: tuple[Target, bytes]) -> Any:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    for target, body in objects:
        s3.put_object(Bucket=name, Key=KEY.format(correlation_id=target.correlation_id), Body=body)
    return s3


def config_of(url: str, bucket: str, **settings: Any) -> S3ProbeConfig:
    return S3ProbeConfig.model_validate(
        {"kind": "s3", "endpoint": url, "region": REGION, "bucket": bucket, "key": KEY, **settings}
    )


def read_from(config: S3ProbeConfig, *targets: Target) -> list[ReadResult]:
    async def run() -> list[ReadResult]:
        async with config.open(RUN) as probe:
            return [await probe.read([target]) for target in targets]

    return asyncio.run(run())


def told(results: Sequence[ReadResult]) -> list[tuple[Seen, str]]:
    return [(result.reads[0].seen, result.error) for result in results]


def test_objects_are_there_or_not(aws: AwsServer) -> None:
    make_bucket(aws, "plain", (A, b""), (B, b"\xff" * 10))
    assert told(read_from(config_of(aws.url, "plain"), A, B, C)) == [(PRESENT, ""), (PRESENT, ""), (ABSENT, "")]


def test_content(aws: AwsServer) -> None:
    make_bucket(aws, "content", (A, b'{"state": "done"}'), (B, b'{"state": "begun"}'))
    config = config_of(aws.url, "content", content="state == 'done'")
    assert told(read_from(config, A, B, C)) == [(PRESENT, ""), (ABSENT, ""), (ABSENT, "")]


def test_content_that_says_nothing(aws: AwsServer) -> None:
    make_bucket(aws, "nothing", (A, b"text"), (B, b"\xff\x00"), (C, b"x" * ((8 << 20) + 1)))
    assert told(read_from(config_of(aws.url, "nothing", content="keys(@)"), A, B, C)) == [
        (
            FAILED,
            "In function keys(), invalid type for value: text, expected one of: ['object'], received: \"string\"",
        ),
        (FAILED, "a value is neither JSON nor UTF-8 text, so no expression can look at it"),
        (FAILED, "an object is longer than 8 MiB"),
    ]


def test_conformance_and_special_characters(aws: AwsServer) -> None:
    odd = ["it's", 'say "hi"', "a b", "a+b", "a%2Fb", "{x}", "?x=1&y", "#", "ü☃", "*"]
    targets = [Target(number, text) for number, text in enumerate([*odd, "missing"])]
    make_bucket(aws, "odd", *((target, b"") for target in targets[:-1]))
    reads = asyncio.run(check_probe(config_of(aws.url, "odd"), SystemClock(), targets))
    assert [reads[target.seq].seen for target in targets] == [PRESENT] * len(odd) + [ABSENT]


def test_a_run_finds_exactly_what_a_worker_wrote(tmp_path: Path, aws: AwsServer) -> None:
    s3 = make_bucket(aws, "run")

    async def write(correlation_id: str, copies: int) -> None:
        s3.put_object(Bucket="run", Key=KEY.format(correlation_id=correlation_id), Body=b"x")

    # moto's server takes some 5 ms for an answer, so few of them.
    probe = {
        "kind": "s3", "endpoint": aws.url, "region": REGION, "bucket": "run", "key": KEY, "deadline": "12s",
        "first": "200ms", "resolution": "40%", "parallel": 4, "confirm": {"reads": 1, "over": "500ms"},
    }  # fmt: skip
    run = measure(tmp_path, probe, write, objectives=["lost == 10"])
    run.assert_counts()
    run.assert_brackets()
    assert run.summary["reads"]["failed_requests"] == 0


def test_buckets_that_can_not_be_asked(aws: AwsServer) -> None:
    assert refused(config_of(aws.url, "nowhere")) == "there is no bucket 'nowhere'; create it, or correct its name"


def stubbed(bucket_status: int, object_status: int) -> list[tuple[Seen, str]]:
    def script(request: Request) -> Sequence[bytes | float | Step]:
        return [answer(bucket_status if request.target.count("/") < 2 else object_status)]

    async def run() -> list[tuple[Seen, str]]:
        async with serving(script) as server, config_of(server.url, "bucket").open(RUN) as probe:
            return told([await probe.read([A])])

    return asyncio.run(run())


def test_a_missing_object_that_looks_forbidden_is_a_failed_read() -> None:
    assert stubbed(200, 403) == [
        (FAILED, "access denied, which S3 also says of a missing object where s3:ListBucket isn't granted")
    ]
    assert stubbed(200, 404) == [(ABSENT, "")]
    with pytest.raises(
        TargetError, match="access to bucket 'bucket' is denied; give the identity that evload runs as s3:L"
    ):
        stubbed(403, 200)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"bucket": "Upper_Case"}, "String should match pattern"),
        ({"bucket": ""}, "String should match pattern"),
        ({"key": "out.json"}, "'out.json' is the same for every event; put {correlation_id} into it"),
        ({"key": "{correlation}"}, "did you mean {correlation_id}?"),
        ({"key": "{correlation_id}}"}, "a lone } in"),
        ({"content": "a =="}, "is not JMESPath"),
        ({"content": "len(a)"}, "calls the unknown function 'len'"),
        ({"bulk": 5}, "bulk is 5, but S3 answers about one object at a time; leave bulk out"),
        ({"region": "eu"}, "'eu' is not the name of a region"),
        ({"effects": "n"}, "Extra inputs"),
        ({"endpoint": "ftp://x"}, "is not an http or https address"),
    ],
)
def test_bad_settings(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        S3ProbeConfig.model_validate({"kind": "s3", "bucket": "plain", "key": KEY, **settings})
    assert what in str(caught.value)
