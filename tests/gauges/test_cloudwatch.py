"""The CloudWatch gauge against moto, and when it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evload.clients.cloudwatch import LatestValue, Metric
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.cloudwatch import CloudWatchConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import Sample
from evload.testing import check_gauge
from tests.servers.aws_server import AwsServer, MovableClock
from tests.servers.httpserver import answer, serving

pytestmark = pytest.mark.usefixtures("aws_environment")

START = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def gauge_of(**settings: Any) -> CloudWatchConfig:
    return CloudWatchConfig.model_validate(
        {"kind": "cloudwatch", "namespace": "AWS/Lambda", "metric": "Throttles", **settings}
    )


class FakeCloudWatch:
    """Knows one value per minute, from the beginning of that minute, and only once that minute is asked for."""

    def __init__(self, values: Mapping[datetime, float]) -> None:
        self.values = values
        self.asked: list[tuple[datetime, datetime]] = []

    async def get_metric_data(self, **request: Any) -> dict[str, Any]:
        start, end = request["StartTime"], request["EndTime"]
        self.asked.append((start, end))
        assert request["ScanBy"] == "TimestampDescending"
        found = sorted(((at, value) for at, value in self.values.items() if start <= at < end), reverse=True)
        return {"MetricDataResults": [{"Timestamps": [at for at, _ in found], "Values": [v for _, v in found]}]}


def values_at(fake: FakeCloudWatch, *moments: timedelta) -> list[float | None]:
    """What the newest value is at these times after START, where a run began 10 s before noon."""

    async def run() -> list[float | None]:
        metric = Metric("AWS/Lambda", "Throttles", {}, "Sum", 60)
        latest = LatestValue(fake, metric, START - timedelta(seconds=10))
        return [await latest.at(START + moment) for moment in moments]

    return asyncio.run(run())


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_only_whole_periods_that_reach_into_the_run_count() -> None:
    fake = FakeCloudWatch({START - minutes(2): 100.0, START - minutes(1): 7.0, START: 8.0})
    assert values_at(fake, minutes(0.5)) == [7.0], "it ended after the run began"
    fake = FakeCloudWatch({START - minutes(2): 100.0})
    assert values_at(fake, minutes(0.5)) == [None], "it was over before the run began"
    fake = FakeCloudWatch({START: 8.0})
    assert values_at(fake, minutes(0.5), minutes(1.5)) == [None, 8.0], "the minute under way is not whole"


def test_it_asks_once_a_period_and_keeps_the_newest_in_between() -> None:
    fake = FakeCloudWatch({START + minutes(n): float(n) for n in range(4)})
    moments = [minutes(1.1), minutes(1.6), minutes(2.05), minutes(2.2), minutes(3.3)]
    assert values_at(fake, *moments) == [0.0, 0.0, 0.0, 1.0, 2.0]
    assert [end for _, end in fake.asked] == [START + minutes(1), START + minutes(2), START + minutes(3)]
    assert {end - start for start, end in fake.asked} == {minutes(15)}


def test_a_value_that_is_too_old_is_no_value() -> None:
    fake = FakeCloudWatch({START: 1.0})
    assert values_at(fake, minutes(2), minutes(30)) == [1.0, None]


def test_the_gauge_samples_any_metric(aws: AwsServer) -> None:
    """The run begins five minutes ago; CloudWatch has values about the minute before last."""
    clock = MovableClock()
    settings = gauge_of(namespace="Shop", metric="OrdersFailed", dimensions={"Stage": "test"}, statistic="Sum")

    async def run() -> list[Sample]:
        clock.ahead = minutes(-5)
        async with settings.open(Surroundings(clock, "r", Path())) as gauge:
            samples = [await gauge.sample()]
            clock.ahead = minutes(0)
            for value in (3.0, 4.0):
                aws.put_metric("Shop", "OrdersFailed", value, minutes(2), Stage="test")
            aws.put_metric("Shop", "OrdersFailed", 100.0, minutes(2), Stage="live")
            return [*samples, await gauge.sample()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", aws.url)
        before, after = asyncio.run(run())
    assert before == Sample({}, "CloudWatch has no value of OrdersFailed about this run (yet)")
    assert after == Sample({"orders_failed": 7.0})


def test_the_gauge_holds_what_the_engine_relies_on(aws: AwsServer) -> None:
    settings = gauge_of(endpoint=aws.url, every="1s")
    samples = asyncio.run(check_gauge(settings, SystemClock(), samples=1))
    assert samples[0].values == {}


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("Throttles", "throttles"),
        ("ApproximateAgeOfOldestMessage", "approximate_age_of_oldest_message"),
        ("CPUUtilization", "cpu_utilization"),
        ("db.load", "db_load"),
    ],
)
def test_objectives_call_it_by_its_metric(metric: str, name: str) -> None:
    assert gauge_of(metric=metric).metrics == (name,)
    assert gauge_of(**{"metric": metric, "as": "mine"}).metrics == ("mine",)


def test_who_may_not_ask_is_told_so() -> None:
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>"
    said = opening_against(answer(403, body))
    assert said.startswith("can't ask CloudWatch about Throttles: access denied: not authorized; give the identity")


def test_what_is_not_aws_is_noticed() -> None:
    for reply in (answer(200, b"<html>welcome</html>"), answer(200, b"{}"), answer(404, b"not found")):
        said = opening_against(reply)
        assert said.startswith("can't ask CloudWatch about Throttles: ")
        assert "\n" not in said


def opening_against(reply: bytes) -> str:
    """The error with which opening fails if everything is answered so."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(serving(lambda _: [reply]))
            await stack.enter_async_context(
                gauge_of(endpoint=server.url).open(Surroundings(SystemClock(), "r", Path()))
            )

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"namespace": ""}, "String should match pattern"),
        ({"metric": ""}, "at least 1 character"),
        ({"metric": "5XXError"}, "'5XXError' makes no name for objectives; give it one, such as as: errors_5xx"),
        ({"statistic": "Avg"}, "'Avg' is not a statistic of CloudWatch; write one of Average, Sum,"),
        ({"statistic": "p101"}, "'p101' is not a statistic of CloudWatch;"),
        ({"period": "45s"}, "CloudWatch has no such period; write 1s, 5s, 10s, 30s or whole minutes such as 1m"),
        ({"period": "0s"}, "CloudWatch has no such period;"),
        ({"as": "end_to_end"}, "'end_to_end' is the name of a distribution;"),
        ({"as": "my gauge"}, "String should match pattern"),
        ({"dimensions": ["x"]}, "should be a valid dictionary"),
        ({"every": "100ms"}, "greater than or equal to 1000000000"),
        ({"unit": "Count"}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        gauge_of(**settings)
    assert message in str(caught.value)
