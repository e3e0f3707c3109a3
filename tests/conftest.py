"""What the whole test session shares: the brokers, started when the first test asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aws_server import AwsServer, running_server

from rabbitmq_node import RabbitNode, running_node


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitNode]:
    """A RabbitMQ node for tests that leave it as they found it. Those that kill it start one of their own."""
    with running_node() as node:
        yield node


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    """EventBridge, SQS and CloudWatch. Each test has names of its own in it."""
    with running_server() as server:
        yield server
