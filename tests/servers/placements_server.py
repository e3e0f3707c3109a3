"""The stand-in of placements in `configs/stand-ins`, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config

PROGRAM: Final = Path(__file__).parents[2] / "configs" / "stand-ins" / "placements"


@dataclass(frozen=True, slots=True)
class PlacementsServer:
    """The running stand-in. `directory` has its record."""

    url: str
    environment: Mapping[str, str]
    directory: Path

    def client(self, service: str) -> Any:
        """A blocking client of the SDK."""
        return boto3.client(
            service,
            region_name=self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=self.url,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}),
        )

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        """GET, or POST with a body: what was answered."""
        data = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with urlopen(Request(self.url + path, data, named)) as answer:
            return json.load(answer)


@contextmanager
def running_placements(directory: Path, *knobs: str) -> Iterator[PlacementsServer]:
    """The stand-in with these knobs, until the block ends."""
    options = [option for knob in knobs for option in ("--set", knob)]
    with subprocess.Popen(
        [sys.executable, PROGRAM, "--port", "0", "--directory", directory, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            exports = [process.stdout.readline().removeprefix("export ").strip() for _ in range(6)]
            environment = dict(line.split("=", 1) for line in exports)
            yield PlacementsServer(environment["PLACEMENTS"], environment, directory)
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def placements(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlacementsServer]:
    """A stand-in for the tests of one file."""
    with running_placements(tmp_path_factory.mktemp("placements"), "visibility_ms=200") as server:
        yield server
