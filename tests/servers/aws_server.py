"""EventBridge, SQS and CloudWatch on this machine: moto's server in a process of its own, on a free loopback port."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from evload.clock import SystemClock

REGION: Final = "eu-west-1"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""What a process needs to be somebody, and to look nowhere else."""


@dataclass(frozen=True, slots=True)
class AwsServer:
    """The running server. `url` is the endpoint of all services."""

    url: str

    def client(self, service: str) -> Any:
        """A blocking client of the SDK, for setting up and looking after."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"max_attempts": 1}),
        )

    def queue(self, name: str, **attributes: str) -> str:
        """Make a queue and return its URL."""
        return str(self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def bus_into(self, bus: str, *queue_urls: str) -> None:
        """Make an event bus with a rule that sends every event to these queues, and nowhere else."""
        events, sqs = self.client("events"), self.client("sqs")
        if bus != "default":
            if any(known["Name"] == bus for known in events.list_event_buses(NamePrefix=bus)["EventBuses"]):
                _empty(events, bus)  # several files use the bus that a config names, and one process may run them all
            else:
                events.create_event_bus(Name=bus)
        events.put_rule(Name=f"{bus}-all", EventBusName=bus, EventPattern='{"account": [{"exists": true}]}')
        arns = [
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            for url in queue_urls
        ]
        targets = [{"Id": str(number), "Arn": arn} for number, arn in enumerate(arns)]
        events.put_targets(Rule=f"{bus}-all", EventBusName=bus, Targets=targets)

    def put_metric(self, namespace: str, name: str, value: float, ago: timedelta, **dimensions: str) -> None:
        """Let CloudWatch have a value about a moment that long ago."""
        datum = {
            "MetricName": name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Timestamp": datetime.now(UTC) - ago,
            "Value": value,
        }
        self.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])


def _empty(events: Any, bus: str) -> None:
    """Take the rules of a bus away."""
    for rule in events.list_rules(EventBusName=bus)["Rules"]:
        targets = events.list_targets_by_rule(EventBusName=bus, Rule=rule["Name"])["Targets"]
        events.remove_targets(EventBusName=bus, Rule=rule["Name"], Ids=[target["Id"] for target in targets])
        events.delete_rule(EventBusName=bus, Name=rule["Name"])


class MovableClock(SystemClock):
    """The system's clock, on which the time of day can be another."""

    ahead = timedelta(0)

    def wall(self, at_ns: int) -> datetime:
        return super().wall(at_ns) + self.ahead


@contextmanager
def running_server() -> Iterator[AwsServer]:
    """The server, until the block ends."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__)), "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("moto's server doesn't start; pip install 'evload[dev]'")
            yield AwsServer(url)
        finally:
            process.stdin.close()


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    """The server for all tests; each has names of its own in it."""
    with running_server() as server:
        yield server


def _serve() -> None:
    """Print the address, serve until the parent closes our input or is gone."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    _serve()
