"""Who may import whom. The rooms of the house, held by a walk over all imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import evload

ROOT: Final = Path(evload.__file__).parent
PROJECT: Final = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
PURE: Final = (
    "errors", "units", "model", "summary", "timeline", "stats", "workload",
    "measurement/tracker", "measurement/recorder", "measurement/order", "measurement/hops", "measurement/views",
    "measurement/readingplan", "measurement/foldplan", "measurement/latency", "measurement/sampling",
    "measurement/profile", "measurement/budget", "measurement/calm",
    "gate/objective", "gate/scenario", "gate/terms", "gate/grammar", "gate/expressions", "gate/limits",
    "gate/slo", "gate/counters",
    "gate/judgement", "gate/judging_events", "gate/judging_counters", "gate/judging_gauges", "gate/judging_windows",
    "gate/selfcheck", "gate/regression", "gate/generator_checks", "gate/reading_checks", "gate/watching",
    "gate/findings", "gate/findings_over_time", "gate/abort", "gate/verdict",
)  # fmt: skip
ADAPTERS: Final = ("producers", "probes", "sinks", "gauges")
OUTER: Final = ("engine", "config", "cli", "commands", "planning", "session", "measurement", "testing", "sandbox")
WIRES: Final = ("clients/http_wire.py", "clients/http_errors.py")
"""Clients that only what is opened imports, never settings."""
FOR_PEOPLE: Final = ("rich", "typer", "uvloop")
"""What the command line needs. Everything else that isn't a foundation belongs to an adapter."""
FOUNDATIONS: Final = ("jmespath", "orjson", "pydantic", "pydantic_core", "yaml")


class Import(NamedTuple):
    """One import: the full dotted name, whether it runs when the module is imported, and where it stands."""

    name: str
    at_import: bool
    where: str

    @property
    def room(self) -> str | None:
        """The room of the house that it leads to."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "evload" and len(parts) > 1 else None

    def leads_to(self, places: Iterable[str]) -> bool:
        """Whether it leads into one of these rooms or modules."""
        name = self.name.replace(".", "/") + "/"
        return any(name.startswith(f"evload/{place}/") for place in places)


def modules(*rooms: str) -> list[Path]:
    found = []
    for room in rooms:
        found += sorted((ROOT / room).rglob("*.py")) if (ROOT / room).is_dir() else [ROOT / f"{room}.py"]
    return [path for path in found if path.exists()]


def everything() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports_of(path: Path) -> Iterator[Import]:
    """All imports of a module but those for type checkers only."""
    package = ("evload", *path.relative_to(ROOT).parts[:-1])

    def walk(node: ast.AST, at_import: bool) -> Iterator[Import]:
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_import, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from (Import(".".join([*base, alias.name]), at_import, where) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from walk(other, at_import)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_import and not inside)

    yield from walk(ast.parse(path.read_text()), True)


def names(path: Path) -> set[str]:
    """Dotted names that are used in a module, such as `time.perf_counter_ns`."""
    tree = ast.parse(path.read_text())
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_the_walk_sees_imports_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "probes").mkdir()
    module = tmp_path / "probes" / "odd.py"
    module.write_text(
        "import os.path, json as j\nfrom . import sister\nfrom .. import engine\nfrom ..stats.binomial import upper\n"
        "if TYPE_CHECKING:\n    import aiohttp\nelse:\n    import csv\n"
        "class A:\n    def f(self):\n        from ..config import X\n"
    )
    assert {(found.name, found.at_import) for found in imports_of(module)} == {
        ("os.path", True), ("json", True), ("evload.probes.sister", True), ("evload.engine", True),
        ("evload.stats.binomial.upper", True), ("csv", True), ("evload.config.X", False),
    }  # fmt: skip
    assert [found.room for found in imports_of(module)] == [None, None, "probes", "engine", "stats", None, "config"]


def registered() -> set[str]:
    """Modules of the settings that the entry points name: one for each adapter."""
    groups = PROJECT["entry-points"].values()
    return {place.partition(":")[0] for group in groups for place in group.values()}


def test_every_room_that_is_named_here_exists() -> None:
    for place in (*PURE, *OUTER, *ADAPTERS, "clients"):
        assert modules(place), place
    assert {"evload.producers.http", "evload.probes.http"} <= registered()


@pytest.mark.parametrize("path", modules(*PURE), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_rooms_do_no_io_and_read_no_clock(path: Path) -> None:
    forbidden = {"asyncio", "time", "threading", "socket", "subprocess"}
    for found in imports_of(path):
        assert found.name.split(".")[0] not in forbidden, f"{found.where} imports {found.name}"
        assert found.room is None or found.leads_to((*PURE, "ports")), f"{found.where} imports {found.name}"
    assert not {name for name in names(path) if name.endswith((".now", ".utcnow", ".today"))}


@pytest.mark.parametrize("path", modules(*ADAPTERS, "clients"), ids=lambda path: str(path.relative_to(ROOT)))
def test_adapters_know_the_ports_and_not_the_engine_nor_each_other(path: Path) -> None:
    """Two adapters may share a module beside them, and none may lean on another one."""
    for found in imports_of(path):
        assert found.room not in OUTER, f"{found.where} imports {found.name}"
        if found.room in ADAPTERS:
            assert found.room == path.relative_to(ROOT).parts[0], f"{found.where} imports {found.name}"
            assert found.name.rpartition(".")[0] not in registered(), f"{found.where} imports {found.name}"
            assert found.name not in registered(), f"{found.where} imports {found.name}"


def test_the_engine_knows_neither_adapters_nor_the_config() -> None:
    for path in modules("engine", "progress", "measurement/ledger"):
        for found in imports_of(path):
            outer = (*ADAPTERS, "clients", "config", "planning", "cli", "session", "plugins", "sandbox", "commands")
            assert found.room not in outer, found


def test_nothing_but_the_command_line_knows_the_command_line() -> None:
    for path in everything():
        if path.name not in ("cli.py", "__main__.py"):
            assert all(found.room != "cli" for found in imports_of(path)), path


def test_only_the_clock_reads_time() -> None:
    """The sandbox is a process of its own. Wall time is read where a run is given its name and its date."""
    for path in everything():
        room = path.relative_to(ROOT).parts[0]
        if room in ("clock.py", "sandbox"):
            continue
        assert all(found.name.split(".")[0] != "time" for found in imports_of(path)), path
        if path.name != "session.py":
            assert not {n for n in names(path) if n in ("datetime.now", "datetime.utcnow", "date.today")}, path


def sdk_of(found: Import) -> str | None:
    """The package of somebody else that an import leads to, if it does."""
    package = found.name.split(".")[0]
    return None if package == "evload" or package in sys.stdlib_module_names else package


def test_sdks_are_imported_by_adapters_alone() -> None:
    """At import time; and settings are validated without them."""
    for path in everything():
        room = path.relative_to(ROOT).parts[0]
        settings = ".".join(("evload", *path.relative_to(ROOT).with_suffix("").parts)) in registered()
        wire = str(path.relative_to(ROOT)) in WIRES
        if room == "sandbox" or wire or (room in ADAPTERS and not settings):
            continue
        inner = room in (*ADAPTERS, "clients") or path in modules(*PURE)
        allowed = FOUNDATIONS if inner else (*FOUNDATIONS, *FOR_PEOPLE)
        for found in imports_of(path):
            if found.at_import and (sdk := sdk_of(found)):
                assert sdk in allowed, f"{found.where} imports {sdk}"


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("evload.cli", ("scipy", "numpy", "aiohttp", "httptools", "uvloop", "hdrh")),
        ("evload.config", ("scipy", "numpy", "aiohttp", "httptools", "uvloop", "asyncpg", "rich", "typer")),
        ("evload.engine", ("scipy", "numpy", "aiohttp", "httptools", "yaml", "rich", "typer")),
    ],
)
def test_what_is_not_needed_is_not_loaded(module: str, unloaded: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "evload" in loaded
    assert not loaded & set(unloaded)
