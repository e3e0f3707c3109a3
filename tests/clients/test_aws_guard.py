"""Which AWS account is loaded: AWS is asked whose the credentials are, before anything else is asked of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from evload.clients.aws import Aws, AwsSettings
from evload.clock import SystemClock
from evload.errors import GuardError, TargetError
from evload.probes.s3 import S3ProbeConfig
from evload.producers.eventbridge import EventBridgeProducerConfig
from evload.spi.context import AdapterSettings, Surroundings
from evload.spi.guard import NO_GUARD, Guard, Rules
from tests.servers.aws_server import AwsServer

pytestmark = pytest.mark.usefixtures("aws_environment")

ACCOUNT = "123456789012"
ALLOWED = Guard((Rules("the guard", (ACCOUNT,)),), places={"producer bus": "load.yaml:3:8"})
OTHERS = Guard((Rules("the guard", ("999999999999",)),), places={"producer bus": "load.yaml:3:8"})


@pytest.fixture
def as_aws(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    """What answers on this machine passes for AWS."""
    monkeypatch.setattr("evload.clients.aws.is_aws", lambda host: True)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    return aws


def opened(settings: AdapterSettings, guard: Guard, tmp_path: Any) -> None:
    async def main() -> None:
        surroundings = Surroundings(SystemClock(), "run", tmp_path, guard=guard.of("producer bus"))
        async with settings.open(surroundings):  # type: ignore[attr-defined]
            pass

    asyncio.run(main())


def test_one_that_is_not_allowed_is_not_spoken_to(as_aws: AwsServer, tmp_path: Any) -> None:
    bus = EventBridgeProducerConfig(kind="eventbridge", endpoint=as_aws.url)
    opened(bus, ALLOWED, tmp_path)
    opened(bus, NO_GUARD, tmp_path)
    with pytest.raises(GuardError, match=f"load.yaml:3:8: {ACCOUNT} is outside the guard, which allows 9999"):
        opened(bus, OTHERS, tmp_path)
    denied = Guard((Rules("the guard", None, (ACCOUNT,)),))
    with pytest.raises(GuardError, match=f"producer bus: the guard denies {ACCOUNT}"):
        opened(bus, denied, tmp_path)


def test_a_bucket_has_to_belong_to_it(as_aws: AwsServer, tmp_path: Any) -> None:
    as_aws.client("s3").create_bucket(
        Bucket="guarded-one", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    asked: list[dict[str, Any]] = []

    async def main() -> None:
        settings = S3ProbeConfig(kind="s3", bucket="guarded-one", key="{correlation_id}", endpoint=as_aws.url)
        async with settings.open(Surroundings(SystemClock(), "run", tmp_path, guard=ALLOWED)) as probe:
            asked.append(probe._bucket)  # type: ignore[attr-defined]

    asyncio.run(main())
    assert asked == [{"Bucket": "guarded-one", "ExpectedBucketOwner": ACCOUNT}]


def test_one_that_nobody_tells_is_not_taken_for_another(as_aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")

    async def main() -> None:
        async with Aws(AwsSettings(endpoint=as_aws.url), "x", ALLOWED).client("sqs"):
            pass

    with pytest.raises(TargetError, match="can't tell which AWS account this is, and the guard has to know"):
        asyncio.run(main())


def test_where_it_is_may_be_said_by_the_environment(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is a host like any, and not AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)

    async def main(guard: Guard) -> str:
        async with Aws(AwsSettings(), "x", guard).client("sqs") as sqs:
            return str(sqs.meta.endpoint_url)

    assert asyncio.run(main(Guard((Rules("the guard", ("localhost", ACCOUNT)),)))) == aws.url
    with pytest.raises(GuardError, match=r"127\.0\.0\.1 is outside the guard"):
        asyncio.run(main(ALLOWED))
