"""Plug-ins of other packages: found by their entry points, and none of them can take the others along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
from contextlib import asynccontextmanager
from typing import Literal
from evload.spi import ProducerSettings

class Config(ProducerSettings):
    kind: Literal["pipe"]
"""


def installed(directory: Path, modules: dict[str, str], entries: str) -> dict[str, str]:
    """The environment of a Python that has such a package, beside evload."""
    for name, text in modules.items():
        (directory / f"{name}.py").write_text(text)
    about = directory / "somebody_else-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-else\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])}


def evload(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evload.cli", *arguments]
    program = f"import sys; sys.argv = {command[2:]!r}; from evload.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )


CONFIG = """
producers: {{out: {{kind: {kind}}}}}
events: {{e: {{type: t, source: /s}}}}
scenarios: {{main: {{producer: out, events: [e], load: [{{rate: 1/s, for: 1s}}]}}}}
"""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import nowhere", "can't be imported (No module named 'nowhere'); install what it needs"),
        ("1 / 0", "can't be imported (division by zero); install what it needs"),
        ("def broken(:", "can't be imported (invalid syntax (plumbing.py, line 1)); install what it needs"),
        ("Config = 7", "is no ProducerSettings but plumbing:Config; correct the entry point of its package"),
        ("", "can't be imported (module 'plumbing' has no attribute 'Config'); install what it needs"),
        (
            GOOD + "    spi = 99\n",
            "is written for version 99 of evload.spi, and this evload has 1; install versions that go together",
        ),
    ],
    ids=["missing", "raising", "syntax", "no model", "no attribute", "version"],
)  # fmt: skip
def test_a_broken_plug_in_is_one_line_and_the_others_go_on(tmp_path: Path, module: str, said: str) -> None:
    environment = installed(tmp_path, {"plumbing": module}, "[evload.producers]\npipe = plumbing:Config\n")
    config = tmp_path / "load.yaml"
    config.write_text(CONFIG.format(kind="pipe"))
    done = evload(environment, "validate", str(config))
    assert done.returncode == 2
    line = f"kind 'pipe' is installed by somebody-else but {said}"
    assert done.stderr.strip() == f"{config}:2:25: {line}"
    schema = evload(environment, "schema")
    assert schema.returncode == 0
    assert schema.stderr.strip() == f"left out: {line}"
    assert '"RabbitmqProducerConfig"' in schema.stdout
    config.write_text(CONFIG.format(kind="http, url: 'http://localhost:9/'"))
    assert evload(environment, "validate", str(config)).returncode == 0


def test_a_plug_in_of_another_package_is_part_of_configs_and_schema(tmp_path: Path) -> None:
    environment = installed(tmp_path, {"plumbing": GOOD}, "[evload.producers]\npipe = plumbing:Config\n")
    config = tmp_path / "load.yaml"
    config.write_text(CONFIG.format(kind="pipe"))
    assert evload(environment, "validate", str(config)).returncode == 0
    schema = evload(environment, "schema")
    assert (schema.stderr, '"pipe"' in schema.stdout) == ("", True)
