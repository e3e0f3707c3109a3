"""Tests notice changes of the code: a dozen here, hundreds with `make mutants`, and what that says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.mutants.__main__ import main
from tests.mutants.house import ROOT, House

QUICK: Final = ("binomial", "dependence", "dispersion", "sequence", "slope", "windows")
"""Modules of the arithmetic whose own tests take no time."""

TANK: Final = """\
LIMIT = 100

def fill(level, more):
    if level + more > LIMIT:
        raise ValueError("too much")
    return level + more

def empty(level):
    while level > 0:
        level -= 1
    return level

def fee(level):
    return max(level, 10)

def unused(level):
    return level < 0

import functools

@functools.cache
def size():
    return 7
"""
TESTS: Final = """\
import subprocess
from pathlib import Path
import pytest
from cellar import tank

def test_fill():
    assert tank.fill(90, 10) == 100
    with pytest.raises(ValueError):
        tank.fill(90, 11)

def test_empty():
    assert tank.empty(2) == 0

def test_size_is_known():
    assert tank.size()

def test_size():
    assert tank.size() == 7

def test_fee_is_some_number():
    assert tank.fee(11) >= 0

@pytest.fixture
def server():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()

def test_fee_with_a_server(server):
    server.stdin.write(f"{tank.fee(9)}\\n")
    server.stdin.flush()
    assert server.stdout.readline() == "10\\n"

def test_fee_with_a_server_that_is_late_once():
    # It passes when it is run first, and from then on when it is run again.
    assert tank.fee(11) >= 0
    known = Path(__file__).with_name("known")
    was_late = known.exists() and "late" not in globals()
    globals()["late"] = True
    known.touch()
    assert not was_late

@pytest.mark.skip("not today")
def test_fee_where_a_server_is():
    assert tank.fee(9) == 11

def test_broken():
    assert tank.fee(11) == 12
"""
PROGRAM: Final = """\
import sys
from pathlib import Path
from tests.mutants.__main__ import main
from tests.mutants.excused import Excuse
from tests.mutants.house import ROOT, House

package, *modules = sys.argv[1].split()
excuse = Excuse("tank.unused", "return level < 0", "return level <= 0", "nobody calls it")
sys.exit(main(sys.argv[2:], House(Path.cwd(), package, modules), [excuse]))
"""

CHILDREN: Final = """\
import sys
import time
from pathlib import Path
from tests.mutants import children

children._MEMORY = 500 << 20

def work(kind):
    children.allow(0.2 if kind == "busy" else 60, 0.2 if kind == "waiting" else 60)
    if kind == "hungry":
        heap = bytearray(1 << 30)
    while kind in ("busy", "hungry"):
        time.time()
    if kind == "waiting":
        time.sleep(60)
    if kind == "gone":
        sys.exit()
    return kind

for kind, ended in children.each(work, sys.argv[2:], Path(sys.argv[1]), 2):
    print(kind, ended.done, ended.endless)
"""


def changed(cwd: Path, package: str, modules: Sequence[str], *options: str | Path) -> tuple[int, str]:
    """The exit code and what is said when these modules of a package are changed."""
    with started(cwd, package, modules, *options) as process:
        told, _ = process.communicate(timeout=900)
        return process.returncode, told


def started(
    cwd: Path, package: str, modules: Sequence[str], *options: str | Path, path: Sequence[Path] = ()
) -> subprocess.Popen[str]:
    command = (sys.executable, "-c", PROGRAM, " ".join((package, *modules)), *options)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path))), "TMPDIR": str(cwd.parent)}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def is_quick(path: Path) -> bool:
    """Whether the tests of a file look at nothing but these modules."""
    looked_at = set(re.findall(r"\bevload\.([\w.]+)", path.read_text()))
    return bool(looked_at) and looked_at <= {f"stats.{name}" for name in QUICK}


def test_a_dozen_changes_are_noticed() -> None:
    """Which dozen that is stays the same as long as the changed lines do."""
    files = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py") if is_quick(path)]
    modules = [f"stats/{name}.py" for name in QUICK]
    options: list[str | Path] = ["--seed", "7", "--count", "12", "--allowed", "0", "--tests", *files]
    code, told = changed(ROOT, "evload", modules, *options)
    assert "| all | 12 | 12 | 0 | 0 | 0 | 0 | 0.0% |" in told, told
    assert code == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "src" / "cellar").mkdir(parents=True)
    (project / "tests").mkdir()
    (project / "src" / "cellar" / "__init__.py").touch()
    (project / "src" / "cellar" / "tank.py").write_text(TANK)
    (project / "tests" / "test_tank.py").write_text(TESTS)
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return project


def files(project: Path) -> dict[Path, bytes | None]:
    """All there is where a project and the temporary files are."""
    return {path: path.read_bytes() if path.is_file() else None for path in project.parent.rglob("*")}


@pytest.mark.long
def test_what_is_said_of_a_small_project(project: Path) -> None:
    before = files(project)
    code, told = changed(project, "cellar", ["tank.py"])
    assert code == 1
    assert "test_broken fails without a change" in told
    assert "7 tests, without 1 that are skipped and 1 that fail\n" in told
    rows = told.splitlines()
    noticed = "noticed | tests/test_tank.py::test_fill |"
    for row in (
        f"| tank:1 | `LIMIT = 100` → `LIMIT = 101` | {noticed}",
        f"| tank.fill:4 | `if level + more > LIMIT:` → `if level + more >= LIMIT:` | {noticed}",
        f"| tank.fill:5 | `raise ValueError('too much')` → `pass` | {noticed}",
        "| tank.empty:10 | `level -= 1` → `pass` | endless |  |",
        "| tank.fee:14 | `return max(level, 10)` → `return 10` | unnoticed | tests that run it: 3 |",
        "| tank.fee:14 | `return max(level, 10)` → `return level` | noticed | "
        "tests/test_tank.py::test_fee_with_a_server |",
        "| tank.size:23 | `return 7` → `return 8` | noticed | tests/test_tank.py::test_size |",
        "| tank.unused:17 | `return level < 0` → `return None` | unnoticed | no test runs it |",
        "| tank.unused:17 | `return level < 0` → `return level <= 0` | excused | nobody calls it |",
    ):
        assert row in rows, told
    assert files(project) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind(project: Path, number: signal.Signals, code: int) -> None:
    tests = project / "tests" / "test_tank.py"
    tests.write_text(f"{TESTS}\ndef test_that_takes_longer_than_anybody_waits():\n    import time; time.sleep(900)\n")
    before = files(project)
    with started(project, "cellar", ["tank.py"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        told, _ = process.communicate(timeout=900)
    assert process.returncode == code
    assert "Traceback" not in told
    assert files(project) == before


@pytest.mark.parametrize(
    "module",
    [
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n",
        "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))\n",
    ],
    ids=["an import that goes on after anything", "a fork that goes on after anything"],
)
def test_no_interrupt_is_swallowed(project: Path, module: str) -> None:
    (project.parent / "greedy.py").write_text(f"import os, signal\n{module}")
    tests = project / "tests" / "test_tank.py"
    tests.write_text(f"import greedy\n{TESTS}")
    with started(project, "cellar", ["tank.py"], path=(project.parent,)) as process:
        told, _ = process.communicate(timeout=900)
    assert process.returncode == 130, told
    assert "noticed" not in told
    assert not list(project.parent.glob("mutants-*"))


def test_how_a_child_may_end(tmp_path: Path) -> None:
    kinds = ("well", "busy", "waiting", "hungry", "gone")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        (sys.executable, "-c", CHILDREN, tmp_path, *kinds),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.splitlines()) == [
        "busy None True",
        "gone None False",
        "hungry None False",
        "waiting None True",
        "well well False",
    ]


def test_what_there_is_no_time_for_is_not_well(project: Path) -> None:
    code, told = changed(project, "cellar", ["tank.py"], "--count", "2", "--minutes", "0")
    assert "| all | 2 | 0 | 0 | 0 | 0 | 2 | 0.0% |" in told, told
    assert code == 1


def test_without_tests_nothing_is_said(project: Path) -> None:
    (project / "tests" / "test_tank.py").write_text("def test_broken():\n    assert False\n")
    code, told = changed(project, "cellar", ["tank.py"], "--count", "2")
    assert told.endswith("mutants: there is no test that can be used\n")
    assert code == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--only", "attic"], "there is no code in attic; there is in tank.py"),
        (["--tests", "tests/test_gone.py"], "tests/test_gone.py isn't there"),
    ],
)
def test_what_is_not_there_is_said(
    project: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    here = Path.cwd()
    assert main(options, House(project, "cellar", ["tank.py"]), []) == 2
    assert Path.cwd() == here
    assert capsys.readouterr().err == f"mutants: {told}\n"
