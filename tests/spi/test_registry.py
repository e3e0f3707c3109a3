"""Plug-ins of other packages: found by their entry points, and none of them can take the others along."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.rigs.commands import evload, found_at

GOOD = """
from contextlib import asynccontextmanager
from typing import Literal
from evload.spi import ProducerSettings

class Config(ProducerSettings):
    kind: Literal["pipe"]
"""


Install = Callable[[Mapping[str, str], str], None]
"""Puts modules and entry points where commands find them from then on, as those of another package."""


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Installs such a package beside evload, until the test is over."""
    with ExitStack() as stack:

        def put(modules: Mapping[str, str], entries: str) -> None:
            for name, text in modules.items():
                (tmp_path / f"{name}.py").write_text(text)
            about = tmp_path / "somebody_else-1.0.dist-info"
            about.mkdir()
            (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-else\nVersion: 1.0\n")
            (about / "entry_points.txt").write_text(entries)
            stack.enter_context(found_at(tmp_path))

        yield put


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
    "unread": (
        GOOD.replace("\nclass", "\nclass Thing:\n    def __get_pydantic_core_schema__(*_): 1 / 0\n\nclass")
        + "    thing: Thing\n",
        "can't be imported (division by zero); install what it needs",
    ),
}
"""Modules of plug-ins, and what is said of each."""


def test_a_broken_plug_in_is_one_line_and_the_others_go_on(tmp_path: Path, install: Install) -> None:
    entries = "".join(f"{name} = {name}:Config\n" for name in BROKEN)
    modules = {name: module for name, (module, _) in BROKEN.items()}
    install(modules, f"[evload.producers]\n{entries}")
    lines = {name: f"kind '{name}' is installed by somebody-else but {said}" for name, (_, said) in BROKEN.items()}
    config = tmp_path / "load.yaml"
    for name, line in lines.items():
        config.write_text(CONFIG.format(kind=name))
        done = evload("validate", config, cwd=tmp_path)
        assert (done.code, done.err.strip()) == (2, f"{config}:2:25: {line}")
    schema = evload("schema", cwd=tmp_path)
    assert schema.code == 0
    assert sorted(schema.err.splitlines()) == sorted(f"left out: {line}" for line in lines.values())
    assert '"RabbitmqProducerConfig"' in schema.out
    config.write_text(CONFIG.format(kind="http, url: 'http://localhost:9/'"))
    assert evload("validate", config, cwd=tmp_path).code == 0


def test_a_plug_in_of_another_package_is_part_of_configs_and_schema(tmp_path: Path, install: Install) -> None:
    install({"plumbing": GOOD}, "[evload.producers]\npipe = plumbing:Config\n")
    config = tmp_path / "load.yaml"
    config.write_text(CONFIG.format(kind="pipe"))
    assert evload("validate", config, cwd=tmp_path).code == 0
    schema = evload("schema", cwd=tmp_path)
    assert (schema.err, '"pipe"' in schema.out) == ("", True)


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
    done = evload("run", "c.yaml", "--out", "out", cwd=directory)
    assert done.code == 0, done
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


def test_a_format_of_another_package_is_written_by_report_and_by_a_run(
    tmp_path: Path, finished: Path, install: Install
) -> None:
    install({"summing": FORMAT}, "[evload.formats]\nsum = summing:Summed\n")
    shown = evload("report", finished, "--format", "sum", cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out in SUMMED
    files = tmp_path / "files"
    assert evload("report", finished, "--format", "sum", "--out", files, cwd=tmp_path).code == 0
    assert sorted(path.name for path in files.iterdir()) == ["more.txt", "summed.txt"]
    assert "Formats: text, csv, hlog, html, json, junit, md, otlp, prom, sum." in " ".join(
        evload("report", "--help", cwd=tmp_path).out.split()
    )
    config = tmp_path / "load.yaml"
    config.write_text(SANDBOX + "reports: {mine: {kind: files, format: sum, directory: told}}\n")
    done = evload("run", config, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.code == 0, done
    assert (tmp_path / "out/told/summed.txt").read_text() in SUMMED
    schema = evload("schema", cwd=tmp_path).out
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


def test_a_broken_format_is_one_line_and_the_others_go_on(tmp_path: Path, finished: Path, install: Install) -> None:
    entries = "".join(f"{name} = {name}:Summed\n" for name in BROKEN_FORMATS)
    modules = {name: module for name, (module, _) in BROKEN_FORMATS.items()}
    install(modules, f"[evload.formats]\n{entries}")
    config = tmp_path / "load.yaml"
    for name, (_, said) in BROKEN_FORMATS.items():
        line = f"format '{name}' is installed by somebody-else but {said}"
        done = evload("report", finished, "--format", name, cwd=tmp_path)
        assert (done.code, done.out, done.err.strip()) == (2, "", f"--format {name}: {line}")
        config.write_text(SANDBOX + f"reports: {{mine: {{kind: files, format: {name}}}}}\n")
        done = evload("validate", config, cwd=tmp_path)
        assert (done.code, done.err.strip()) == (2, f"{config}:9:39: {line}")
    assert evload("report", finished, "--format", "md", cwd=tmp_path).code == 0


def test_a_binary_format_goes_to_a_file_or_a_pipe_but_not_onto_a_terminal(
    tmp_path: Path, finished: Path, install: Install
) -> None:
    install({"summing": FORMAT}, "[evload.formats]\npack = summing:Packed\n")
    assert evload("report", finished, "--format", "pack", cwd=tmp_path).out in SUMMED
    master, slave = pty.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "wb") as terminal:
        program = f"import sys; sys.argv = {['evload', 'report', str(finished), '--format', 'pack']!r}"
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; from evload.cli import main; main()"],
            stdout=terminal, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        "--format pack: binary, and no use on a terminal; name a file with --out\n",
    )


def test_a_format_named_as_a_kind_of_report_is_told_how(tmp_path: Path) -> None:
    config = tmp_path / "load.yaml"
    config.write_text(SANDBOX + "reports: {mine: {kind: md}}\n")
    done = evload("validate", config, cwd=tmp_path)
    assert done.err.strip().endswith(": unknown kind 'md'; it is a format: write kind: files and format: md")
