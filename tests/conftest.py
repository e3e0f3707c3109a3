"""What the whole test session shares: the brokers, started when the first test asks for one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import botocore.loaders
import pytest
from hypothesis import HealthCheck, settings

from aws_server import ENVIRONMENT, AwsServer, running_server
from rabbitmq_node import RabbitNode, running_node

_LOADER: Final = cache(botocore.loaders.create_loader)

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("evload", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evload")


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


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials from the environment, nothing from this machine; the SDK reads its models once only."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.session.create_loader", _LOADER)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("openssl is needed to make a certificate; apt-get install openssl")
    directory = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_bytes((directory / "cert.pem").read_bytes() + (directory / "key.pem").read_bytes())
    return both
