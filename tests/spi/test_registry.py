"""Plug-ins of other packages: found by their entry points, and none of them can take the others along."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Final

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


BROKEN: Final = {
    "missing": ("import nowhere", "can't be imported (No module named 'nowhere'); install what it needs"),
    "raising": ("1 / 0", "can't be imported (division by zero); install what it needs"),
    "syntax": ("def broken(:", "can't be imported (invalid syntax (syntax.py, line 1)); install what it needs"),
    "no_model": ("Config = 7", "is no ProducerSettings but no_model:Config; correct the entry point of its package"),
    "nothing": ("", "can't be imported (module 'nothing' has no attribute 'Config'); install what it needs"),
    "version": (
        GOOD + "    spi = 99\n",
        "is written for version 99 of evload.spi, and this evload has 1; install versions that go together",
    ),
}
"""Modules of plug-ins, and what is said of each."""


def test_a_broken_plug_in_is_one_line_and_the_others_go_on(tmp_path: Path) -> None:
    entries = "".join(f"{name} = {name}:Config\n" for name in BROKEN)
    modules = {name: module for name, (module, _) in BROKEN.items()}
    environment = installed(tmp_path, modules, f"[evload.producers]\n{entries}")
    lines = {name: f"kind '{name}' is installed by somebody-else but {said}" for name, (_, said) in BROKEN.items()}
    config = tmp_path / "load.yaml"
    for name, line in lines.items():
        config.write_text(CONFIG.format(kind=name))
        done = evload(environment, "validate", str(config))
        assert (done.returncode, done.stderr.strip()) == (2, f"{config}:2:25: {line}")
    schema = evload(environment, "schema")
    assert schema.returncode == 0
    assert sorted(schema.stderr.splitlines()) == sorted(f"left out: {line}" for line in lines.values())
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


FORMAT = """
from evload.spi import Files, Format, Report

class Summed(Format):
    def files(self, report: Report) -> Files:
        return {"summed.txt": f"{report.name}: {report.verdict}\\n".encode(), "more.txt": b"more\\n"}

class Packed(Summed):
    binary = True
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run."""
    directory = tmp_path_factory.mktemp("run")
    (directory / "c.yaml").write_text(SANDBOX)
    done = evload(dict(os.environ), "run", str(directory / "c.yaml"), "--out", str(directory / "out"))
    assert done.returncode == 0, done
    return directory / "out"


SANDBOX = """
name: brief
sandbox: {}
producers: {out: {kind: http, url: "{sandbox}/events"}}
events: {e: {type: t, source: /s}}
scenarios: {main: {producer: out, events: [e], load: [{rate: 20/s, for: 1s}]}}
slos: ["rate(errors) < 1%"]
self_checks: {offered_rate: warn, lateness: warn, headroom: warn, evidence: warn}
"""

SUMMED = ("brief: pass\n", "brief: warn\n")
"""What the format makes of it; a busy machine is worth a warning."""


def test_a_format_of_another_package_is_written_by_report_and_by_a_run(tmp_path: Path, finished: Path) -> None:
    environment = installed(tmp_path, {"summing": FORMAT}, "[evload.formats]\nsum = summing:Summed\n")
    shown = evload(environment, "report", str(finished), "--format", "sum")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout in SUMMED
    files = tmp_path / "files"
    assert evload(environment, "report", str(finished), "--format", "sum", "--out", str(files)).returncode == 0
    assert sorted(path.name for path in files.iterdir()) == ["more.txt", "summed.txt"]
    assert "Formats: text, csv, hlog, html, json, junit, md, otlp, prom, sum." in " ".join(
        evload(environment, "report", "--help").stdout.split()
    )
    config = tmp_path / "load.yaml"
    config.write_text(SANDBOX + "reports: {mine: {kind: files, format: sum, directory: told}}\n")
    done = evload(environment, "run", str(config), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done
    assert (tmp_path / "out/told/summed.txt").read_text() in SUMMED
    schema = evload(environment, "schema").stdout
    assert '"sum"' in schema


BROKEN_FORMATS: Final = {
    "missing": ("import nowhere", "can't be imported (No module named 'nowhere'); install what it needs"),
    "no_format": ("Summed = 7", "is no Format but no_format:Summed; correct the entry point of its package"),
    "version": (
        FORMAT + "Summed.spi = 99\n",
        "is written for version 99 of evload.spi, and this evload has 1; install versions that go together",
    ),
}
"""Modules of formats, and what is said of each."""


def test_a_broken_format_is_one_line_and_the_others_go_on(tmp_path: Path, finished: Path) -> None:
    entries = "".join(f"{name} = {name}:Summed\n" for name in BROKEN_FORMATS)
    modules = {name: module for name, (module, _) in BROKEN_FORMATS.items()}
    environment = installed(tmp_path, modules, f"[evload.formats]\n{entries}")
    config = tmp_path / "load.yaml"
    for name, (_, said) in BROKEN_FORMATS.items():
        line = f"format '{name}' is installed by somebody-else but {said}"
        done = evload(environment, "report", str(finished), "--format", name)
        assert (done.returncode, done.stdout, done.stderr.strip()) == (2, "", f"--format {name}: {line}")
        config.write_text(SANDBOX + f"reports: {{mine: {{kind: files, format: {name}}}}}\n")
        done = evload(environment, "validate", str(config))
        assert (done.returncode, done.stderr.strip()) == (2, f"{config}:9:39: {line}")
    assert evload(environment, "report", str(finished), "--format", "md").returncode == 0


def test_a_binary_format_goes_to_a_file_or_a_pipe_but_not_onto_a_terminal(tmp_path: Path, finished: Path) -> None:
    environment = installed(tmp_path, {"summing": FORMAT}, "[evload.formats]\npack = summing:Packed\n")
    assert evload(environment, "report", str(finished), "--format", "pack").stdout in SUMMED
    master, slave = pty.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "wb") as terminal:
        program = f"import sys; sys.argv = {['evload', 'report', str(finished), '--format', 'pack']!r}"
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; from evload.cli import main; main()"],
            env=environment, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        "--format pack: binary, and no use on a terminal; name a file with --out\n",
    )


def test_a_format_named_as_a_kind_of_report_is_told_how(tmp_path: Path) -> None:
    config = tmp_path / "load.yaml"
    config.write_text(SANDBOX + "reports: {mine: {kind: md}}\n")
    done = evload(dict(os.environ), "validate", str(config))
    assert done.stderr.strip().endswith(": unknown kind 'md'; it is a format: write kind: files and format: md")
