"""All changes that the operators can make to a module, each with its place and its text before and after."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from .operators import OPERATORS, Operator, Scope, unwrapped

_WIDTH: Final = 100
"""A change is shown with what is around it, up to so many characters."""
_NO_CODE: Final = frozenset({"annotation", "returns", "decorator_list", "bases", "ctx", "op", "ops"})
"""Fields of nodes that hold nothing to change: types, what makes a class, and what belongs to the node itself."""
_HAS_HEAD: Final = (ast.stmt, ast.ExceptHandler, ast.match_case)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
MARK: Final = "__mark__"
"""The function that marked code calls. It returns None."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module."""

    room: str
    module: str
    path: Path
    number: int
    """Which of the module's changes it is, so that another process makes the same one."""
    place: str
    """Dotted: the module, and the class and function in it."""
    kind: str
    """The name of the operator."""
    was: str
    """The changed part of the code, in one line and in the layout of `ast.unparse`: no formatter changes it."""
    now: str
    line: int

    def rank(self, seed: int) -> bytes:
        """Where it comes in the order of a seed. It stays there, whatever else is changed and wherever it moves."""
        packages = self.module.rpartition(".")[0]
        told = (str(seed), self.place.removeprefix(f"{packages}."), self.was, self.now)
        return hashlib.sha256("\0".join(told).encode()).digest()


def parsed(source: str) -> ast.Module:
    """The tree of a module. Python before 3.11.8 now and then takes itself to have lost count (CPython gh-106905)."""
    try:
        return ast.parse(source)
    except SystemError:
        return ast.parse(source)


def mutants(room: str, module: str, path: Path) -> Iterator[Mutant]:
    """All changes of a module."""
    known: dict[ast.AST, str] = {}
    for number, change in enumerate(_changes(parsed(path.read_text()))):
        spot = change.spot
        was, now = change.texts(known)
        place = ".".join((module, *spot.names))
        yield Mutant(room, module, path, number, place, change.operator.__name__, was, now, spot.line)


def mutated(source: str, number: int) -> ast.Module:
    """A module with one of its changes made."""
    tree = parsed(source)
    for at, change in enumerate(_changes(tree)):
        if at == number:
            change.make()
            return ast.fix_missing_locations(tree)
    raise ValueError(f"there is no change {number}")


def marked(source: str, marks: Mapping[int, int]) -> ast.Module:
    """A module that calls `MARK` with a number where one of its changes would be run, or right before.

    What is outside functions is run with the import. Who uses it is not to be seen: whoever runs a function of the
    module is taken to.
    """
    tree = parsed(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    wanted: dict[ast.AST, list[int]] = {}
    for number, change in enumerate(_changes(tree)):
        if number in marks:
            step = change.spot.step
            users = (
                functions if change.spot.scope.function is None else [step] if isinstance(step, _FUNCTIONS) else []
            )
            for place in (step, *(_beginning(function) for function in users)):
                wanted.setdefault(place, []).append(marks[number])
    _Marker(wanted).visit(tree)
    return ast.fix_missing_locations(tree)


def sample(among: Iterable[Mutant], seed: int, count: int) -> list[Mutant]:
    """So many of them as come first in the order of a seed."""
    return sorted(among, key=lambda mutant: mutant.rank(seed))[:count]


def text(node: ast.AST) -> str:
    """The code of a node in one line. Of what has a body, its head."""
    if isinstance(node, _HAS_HEAD):
        node = copy.copy(node)
        for name in ("decorator_list", "orelse", "handlers", "finalbody", "cases"):
            if hasattr(node, name):
                setattr(node, name, [])
        if hasattr(node, "body"):
            node.body = [ast.Expr(ast.Constant(...))]
            return " ".join(ast.unparse(node).split()).removesuffix(" ...")
    return " ".join(ast.unparse(node).split())


class _Spot(NamedTuple):
    """Where a node hangs, what it is in, and what runs when it does."""

    owner: ast.AST
    field: str
    at: int | None
    inside: tuple[ast.AST, ...]
    """The nodes around it, from its statement on. None for a statement."""
    names: tuple[str, ...]
    """Of the classes and functions around it."""
    line: int
    step: ast.AST
    """The statement or the lambda with whose run it is run."""
    scope: Scope

    def hang(self, node: ast.AST) -> None:
        """Put a node in this place."""
        if self.at is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.at] = node


class _Change(NamedTuple):
    spot: _Spot
    operator: Operator
    old: ast.AST
    new: ast.AST

    def make(self) -> None:
        self.spot.hang(ast.copy_location(self.new, self.old))

    def texts(self, known: dict[ast.AST, str]) -> tuple[str, str]:
        """The code before and after, with as much around it as fits a line. Texts that are known needn't be made."""
        whole = self.old
        for node in (self.old, *reversed(self.spot.inside)):
            if node not in known:
                known[node] = text(node)
            if node is not self.old and len(known[node]) > _WIDTH:
                break
            whole = node
        was = known[whole]
        if whole is self.old:
            return was, text(self.new)
        self.spot.hang(self.new)
        now = text(whole)
        self.spot.hang(self.old)
        return was, now


def _changes(tree: ast.Module) -> Iterator[_Change]:
    attributes = frozenset(_attributes(tree))
    start = _Spot(tree, "", None, (), (), 1, tree, Scope(attributes=attributes))
    for spot, node in _walk(tree, start):
        for operator in OPERATORS:
            if operator is unwrapped and isinstance(spot.owner, ast.Expr | ast.Await):
                continue  # `call(argument)` would be `argument`, which is the statement removed
            for new in operator(node, spot.scope):
                yield _Change(spot, operator, node, new)


def _walk(parent: ast.AST, around: _Spot) -> Iterator[tuple[_Spot, ast.AST]]:
    for name, value in ast.iter_fields(parent):
        if name in _NO_CODE or (isinstance(parent, ast.ClassDef) and name == "keywords"):
            continue
        if isinstance(parent, ast.keyword) and parent.arg == "strict":
            continue  # `zip(strict=True)` is an assertion
        for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST) and not _is_for_readers(node):
                spot = _spot(node, around)._replace(owner=parent, field=name, at=at)
                yield spot, node
                yield from _walk(node, _around(node, spot))


def _is_for_readers(node: ast.AST) -> bool:
    """Whether nothing hangs on it when the program runs: imports, what only type checkers read, patterns."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.Global | ast.Nonlocal | ast.pattern)


def _spot(node: ast.AST, around: _Spot) -> _Spot:
    """The spot of a node, but for what it hangs on."""
    if not isinstance(node, _HAS_HEAD):
        return around
    line = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
    return around._replace(inside=(), line=line, step=node if isinstance(node, ast.stmt) else around.step)


def _around(node: ast.AST, spot: _Spot) -> _Spot:
    """What is around the parts of a node."""
    spot = spot._replace(inside=(*spot.inside, node))
    if isinstance(node, ast.ClassDef):
        return spot._replace(names=(*spot.names, node.name))
    if isinstance(node, ast.Lambda):
        return spot._replace(step=node)
    if not isinstance(node, _FUNCTIONS):
        return spot
    known = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    used = [name.id for name in known if isinstance(name.ctx, ast.Load)]
    bound = [name.id for name in known if isinstance(name.ctx, ast.Store)]
    arguments = [part.arg for part in ast.walk(node) if isinstance(part, ast.arg)]
    rebound = frozenset(name for name, times in Counter(bound + arguments).items() if times > 1)
    scope = Scope(spot.scope.attributes, frozenset(used + arguments), rebound, node.name)
    return spot._replace(names=(*spot.names, node.name), scope=scope)


class _Marker(ast.NodeTransformer):
    """Puts marks before statements, and into lambdas."""

    def __init__(self, wanted: Mapping[ast.AST, list[int]]) -> None:
        self._wanted = wanted

    def visit(self, node: ast.AST) -> Any:
        self.generic_visit(node)
        calls: list[ast.expr] = [
            ast.Call(ast.Name(MARK, ast.Load()), [ast.Constant(number)], []) for number in self._wanted.get(node, ())
        ]
        if isinstance(node, ast.Lambda) and calls:
            node.body = ast.BoolOp(ast.Or(), [*calls, node.body])
        elif isinstance(node, ast.stmt):
            return [*(ast.copy_location(ast.Expr(call), node) for call in calls), node]
        return node


def _beginning(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    """Its first statement, or the last one if there is nothing but a docstring."""
    return next((node for node in function.body if not _is_text(node)), function.body[-1])


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _attributes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
