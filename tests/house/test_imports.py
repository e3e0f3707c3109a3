"""Who may import whom: the law of the house, held by a walk over all imports."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

import pytest

import evload
from tests.mutants.changes import parsed

ROOT: Final = Path(evload.__file__).parent
PROJECT: Final = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

FLOORS: Final = (
    ("errors",), ("units", "settings"), ("clock", "files"), ("texts",),
    ("stats",), ("model",), ("spi",), ("workload",), ("tracking",), ("summary",), ("objectives",), ("judging",),
    ("clients", "sandbox"),
    ("producers", "probes", "gauges", "activities"),
    ("ledger",), ("config",), ("report",), ("engine",), ("formats",), ("run",), ("sinks",), ("comparing", "search"),
    ("api",), ("testing",), ("terminal",), ("commands",), ("cli",),
)  # fmt: skip
"""From the ground up. A room stands on those below it alone; rooms of one floor don't know each other."""
FLOOR_OF: Final = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PURE: Final = ("stats", "model", "workload", "tracking", "summary", "objectives", "judging", "report")
"""Rooms without a clock and without I/O. `report` is handed an open ledger to read."""
PURE_TOO: Final = ("search/bisection.py",)
"""Pure modules of other rooms."""
IMPURE: Final = frozenset(
    {
        "asyncio",
        "time",
        "threading",
        "socket",
        "subprocess",
        "sqlite3",
        "selectors",
        "signal",
        "queue",
        "os",
        "shutil",
    }
)
ADAPTERS: Final = ("producers", "probes", "gauges", "activities", "sinks")
KNOWN_TO_ADAPTERS: Final = ("spi", "clients", "model", "units", "errors", "clock", "texts")
KNOWN_TO_SINKS: Final = ("report", "formats")
KNOWN_TO_ACTIVITIES: Final = ("sandbox",)
"""Its settings: an activity turns the knobs of the embedded pipeline."""
FOR_PEOPLE: Final = ("rich", "typer", "uvloop")
"""What the command line needs, or a run. Everything else that isn't a foundation belongs to an adapter."""
FOUNDATIONS: Final = ("jmespath", "orjson", "pydantic", "pydantic_core", "yaml")
WIRES: Final = (
    "clients/amqp_connection.py", "clients/dialing.py", "clients/http_wire.py", "clients/http_asking.py",
    "clients/http_errors.py", "clients/http_serving.py",
)  # fmt: skip
"""Clients that only what is opened imports, never settings."""

PLUGIN: Final = ROOT / "api" / "pytest_plugin.py"
"""Loaded by pytest, in every session."""
ARRAYS: Final = (
    "stats/columns.py", "summary/columns.py", "summary/column_counts.py", "summary/column_hops.py",
    "summary/column_recorder.py", "ledger/columns.py", "ledger/hops.py",
)  # fmt: skip
"""Folds over columns. They import numpy, and only each other and functions that read a ledger import them."""


class Import(NamedTuple):
    """One import: its full dotted name, whether it runs at once, whether type checkers alone see it, and where."""

    name: str
    at_import: bool
    for_types: bool
    where: str

    @property
    def room(self) -> str | None:
        """The room of the house that it leads to."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "evload" and len(parts) > 1 else None


def everything() -> list[Path]:
    """All modules of the house."""
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path: Path, root: Path | None = None) -> str:
    parts = path.relative_to(root or ROOT).with_suffix("").parts
    return ".".join(("evload", *parts)).removesuffix(".__init__")


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """All imports of a module, those in functions and those for type checkers included."""
    return tuple(_walk(path))


def _walk(path: Path) -> Iterator[Import]:
    package = ("evload", *path.relative_to(ROOT).parts[:-1])

    def walk(node: ast.AST, at_import: bool, for_types: bool) -> Iterator[Import]:
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_import, for_types, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from (Import(".".join([*base, alias.name]), at_import, for_types, where) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in node.body:
                yield from walk(inner, at_import, True)
            for inner in node.orelse:
                yield from walk(inner, at_import, for_types)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_import and not inside, for_types)

    yield from walk(parsed(path.read_text()), True, False)


@cache
def names(path: Path) -> set[str]:
    """Dotted names that are used in a module, such as `time.perf_counter_ns`."""
    tree = parsed(path.read_text())
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def by_module(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Each module to the modules that it imports from."""
    paths = list(paths)
    known = {module_of(path, ROOT) for path in paths}
    found: dict[str, set[str]] = {}
    for path in paths:
        leads = found.setdefault(module_of(path, ROOT), set())
        for one in imports_of(path):
            target = one.name if one.name in known else one.name.rpartition(".")[0]
            if target in known:
                leads.add(target)
    return found


def circles(leads: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other, in a circle of whatever length (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_ones: list[str] = []
    found = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        open_ones.append(module)
        for target in leads.get(module, ()):
            if target not in index:
                visit(target)
            if target in open_ones:
                low[module] = min(low[module], low[target])
        if low[module] == index[module]:
            cut = open_ones.index(module)
            group = open_ones[cut:]
            del open_ones[cut:]
            if len(group) > 1 or module in leads.get(module, ()):
                found.append(sorted(group))

    for module in leads:
        if module not in index:
            visit(module)
    return found


def test_the_walk_sees_imports_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "probes").mkdir()
    module = tmp_path / "probes" / "odd.py"
    module.write_text(
        "import os.path, json as j\nfrom . import sister\nfrom .. import engine\nfrom ..stats.binomial import upper\n"
        "if TYPE_CHECKING:\n    import aiohttp\nelse:\n    import csv\n"
        "class A:\n    def f(self):\n        from ..config import X\n"
    )
    assert {(found.name, found.at_import, found.for_types) for found in imports_of(module)} == {
        ("os.path", True, False), ("json", True, False), ("evload.probes.sister", True, False),
        ("evload.engine", True, False), ("evload.stats.binomial.upper", True, False), ("aiohttp", True, True),
        ("csv", True, False), ("evload.config.X", False, False),
    }  # fmt: skip
    assert [found.room for found in imports_of(module)] == [
        None, None, "probes", "engine", "stats", None, None, "config"
    ]  # fmt: skip


def test_the_walk_finds_circles_of_every_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for name, text in {
        "a": "from .b import x", "b": "if TYPE_CHECKING:\n    from .c import x", "c": "def f():\n    from . import a",
        "d": "from .a import x", "e": "from .f import x", "f": "from .e import x", "g": "import json",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
    assert circles(by_module(everything())) == [["evload.a", "evload.b", "evload.c"], ["evload.e", "evload.f"]]


def registered() -> set[str]:
    """Modules that the entry points name: one for each adapter."""
    groups = [group for name, group in PROJECT["entry-points"].items() if name != "evload.formats"]
    return {place.partition(":")[0] for group in groups for place in group.values()}


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(path) for path in everything()} - {"__init__", "__main__"}
    assert rooms == FLOOR_OF.keys()
    assert registered() <= {module_of(path) for path in everything()}


@pytest.mark.parametrize("path", everything(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_stands_on_those_below_it(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for found in imports_of(path):
        if found.room in FLOOR_OF and found.room != room:
            assert FLOOR_OF[found.room] < FLOOR_OF[room], f"{found.where} imports {found.name}, which is not below it"


def test_no_two_modules_import_each_other() -> None:
    """Also not for type checkers, in functions, or by way of a third."""
    assert circles(by_module(everything())) == []


@pytest.mark.parametrize(
    "path",
    [p for p in everything() if room_of(p) in PURE or str(p.relative_to(ROOT)) in PURE_TOO],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_pure_rooms_do_no_io_and_read_no_clock(path: Path) -> None:
    allowed = (*PURE, "errors", "units", "settings", "texts", *(("spi",) if room_of(path) == "report" else ()))
    for found in imports_of(path):
        assert found.name.split(".")[0] not in IMPURE, f"{found.where} imports {found.name}"
        if found.room is not None and not (room_of(path) == "report" and found.room == "ledger"):
            assert found.room in allowed, f"{found.where} imports {found.name}"
    assert not {name for name in names(path) if name.endswith((".now", ".utcnow", ".today"))}


@pytest.mark.parametrize(
    "path", [p for p in everything() if room_of(p) in ADAPTERS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_an_adapter_knows_the_doors_and_no_other_adapter(path: Path) -> None:
    """What several share stands in `_shared`; a sink may also know the report and its formats."""
    room, *below = path.relative_to(ROOT).with_suffix("").parts
    more = {"sinks": KNOWN_TO_SINKS, "activities": KNOWN_TO_ACTIVITIES}.get(room, ())
    allowed = (*KNOWN_TO_ADAPTERS, *more)
    for found in imports_of(path):
        if found.room is None:
            continue
        if found.room != room:
            assert found.room in allowed, f"{found.where} imports {found.name}"
        else:
            its = found.name.split(".")[2:]
            own = its[:1] == below[:1] or its[:1] == ["_shared"]
            assert own, f"{found.where} imports {found.name}"


def test_only_the_command_line_imports_adapters() -> None:
    for path in everything():
        if room_of(path) not in (*ADAPTERS, "commands", "cli"):
            for found in imports_of(path):
                assert found.room not in ADAPTERS, f"{found.where} imports {found.name}"


def test_nobody_takes_what_another_module_keeps_to_itself() -> None:
    for path in everything():
        for found in imports_of(path):
            last = found.name.rpartition(".")[2]
            private = last.startswith("_") and not last.startswith("__") and found.room and last != "_shared"
            assert not private, f"{found.where} imports {found.name}"


def test_only_the_clock_reads_time() -> None:
    """The sandbox is a process of its own. Wall time is read where a run is given its name and its date."""
    for path in everything():
        if room_of(path) in ("clock", "sandbox"):
            continue
        assert all(found.name.split(".")[0] != "time" for found in imports_of(path)), path
        if path.relative_to(ROOT) != Path("run/session.py"):
            assert not {n for n in names(path) if n in ("datetime.now", "datetime.utcnow", "date.today")}, path


def sdk_of(found: Import) -> str | None:
    """The package of somebody else that an import leads to, if it does."""
    package = found.name.split(".")[0]
    return None if package == "evload" or package in sys.stdlib_module_names else package


def test_sdks_are_imported_by_adapters_alone() -> None:
    """At import time; and settings are validated without them."""
    for path in everything():
        room = room_of(path)
        settings = module_of(path) in registered() or path.name == "settings.py"
        wire = str(path.relative_to(ROOT)) in WIRES
        if room == "sandbox" or wire or (room in (*ADAPTERS, "formats") and not settings):
            continue
        inner = room in (*ADAPTERS, "clients", *PURE)
        allowed: tuple[str, ...] = FOUNDATIONS if inner else (*FOUNDATIONS, *FOR_PEOPLE)
        if str(path.relative_to(ROOT)) in ARRAYS:
            allowed = (*FOUNDATIONS, "numpy")
        if path == PLUGIN:
            allowed = ("pytest",)
        for found in imports_of(path):
            if found.at_import and not found.for_types and (sdk := sdk_of(found)):
                assert sdk in allowed, f"{found.where} imports {sdk}"


def test_folds_over_columns_are_imported_late() -> None:
    arrays = {module_of(ROOT / name) for name in ARRAYS}
    for path in everything():
        if str(path.relative_to(ROOT)) not in ARRAYS:
            for found in imports_of(path):
                late = not found.at_import or found.for_types
                assert late or not {found.name, found.name.rpartition(".")[0]} & arrays, found.where


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("evload.report.build", ("scipy", "numpy", "bokeh")),
        ("evload.cli", ("scipy", "numpy", "aiohttp", "httptools", "uvloop", "hdrh", "pydantic")),
        ("evload.cli", ("google", "grpc", "opentelemetry")),
        ("evload.config", ("scipy", "numpy", "aiohttp", "httptools", "uvloop", "asyncpg", "rich", "typer")),
        ("evload.engine.engine", ("scipy", "numpy", "aiohttp", "httptools", "yaml", "rich", "typer")),
        ("evload.sinks.otlp", ("aiohttp", "google", "grpc", "opentelemetry", "requests")),
        (
            "evload.sandbox.process",
            ("scipy", "numpy", "aiohttp", "yaml", "rich", "typer", "evload.spi", "evload.model"),
        ),
        ("evload.spi", ("scipy", "numpy", "aiohttp", "httptools", "yaml", "rich", "typer")),
        ("evload.api.measure", ("scipy", "numpy", "aiohttp", "yaml", "pydantic", "uvloop", "rich", "typer")),
    ],
)
def test_what_is_not_needed_is_not_loaded(module: str, unloaded: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sorted(name for name in sys.modules if name.count('.') < 2))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "evload" in loaded
    assert not loaded & set(unloaded)


def test_to_import_evload_loads_nothing_and_its_plugin_nothing_but_pytest() -> None:
    for program, ours in (
        ("import __future__, evload; evload.__version__; dir(evload)", {"__future__", "evload"}),
        ("import pytest, evload.api.pytest_plugin", {"evload", "evload.api", "evload.api.pytest_plugin"}),
    ):
        shown = f"import sys; before = {{*sys.modules}}; {program}; print(*sorted({{*sys.modules}} - before))"
        done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
        assert loaded == ours if "pytest" not in program else {n for n in loaded if "evload" in n} == ours


def test_a_run_loads_what_few_of_them_need_when_it_needs_it() -> None:
    late = (
        "evload.sandbox.world",
        "evload.run.guarding",
        "evload.run.traffic_log",
        "evload.formats",
        "numpy",
        "bokeh",
    )
    program = f"import sys, evload.run.session, evload.sinks.github; print(*(set({late!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_drawing_of_the_house_shows_every_room_on_its_floor() -> None:
    drawing = ElementTree.parse(Path(__file__).parents[2] / "docs" / "house.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    heights: dict[str, float] = {}
    for text in drawing.iter(f"{svg}text"):
        name = text.find(f"{svg}tspan")
        if name is not None:
            heights[str(name.text)] = float(text.attrib["y"])
    assert heights.keys() == FLOOR_OF.keys()
    for lower, higher in itertools.pairwise(FLOORS):
        if lower in (("errors",), ("units", "settings"), ("commands",)):
            continue  # drawn side by side
        assert heights[higher[0]] < heights[lower[0]], f"{higher} is drawn below {lower}"
