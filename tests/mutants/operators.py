"""What a change may be. An operator is given a node of the code and yields what could stand in its place.

None of them changes the node that it is given.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")
Node = TypeVar("Node", bound=ast.AST)

_SMALL: Final = 100
"""Up to here a number is changed by one. A larger one is halved and doubled: who sees one nanosecond?"""

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
"""For each comparison the same with the other boundary, and its opposite."""

_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
}  # fmt: skip

_CALLS: Final = (
    ("min", "max"), ("any", "all"), ("append", "appendleft"), ("extend", "extendleft"), ("pop", "popleft"),
    ("floor", "ceil"), ("bisect_left", "bisect_right"), ("startswith", "endswith"), ("removeprefix", "removesuffix"),
    ("partition", "rpartition"), ("union", "intersection"), ("keys", "values"),
)  # fmt: skip
"""What is called instead of each other."""
_OF_DEQUES: Final = frozenset({"appendleft", "extendleft", "popleft"})
"""Not to be had of lists: only where a module uses one of them."""

_WORDS: Final = (
    ("start", "end"), ("begin", "end"), ("lower", "upper"), ("low", "high"), ("min", "max"), ("minimum", "maximum"),
    ("first", "stable"), ("first", "last"), ("stable", "last"), ("sent", "acked"), ("intended", "sent"),
    ("before", "after"), ("within", "beyond"), ("earliest", "latest"), ("oldest", "newest"), ("left", "right"),
    ("failed", "throttled"),
)  # fmt: skip
"""Words that are taken for each other where names are made of them: `start_ns` and `end_ns`."""

_CONVERSIONS: Final = frozenset((
    "all", "any", "bool", "bytes", "cast", "dict", "enumerate", "float", "frozenset", "hash", "id", "int",
    "isinstance", "iter", "len", "list", "max", "min", "next", "range", "repr", "set", "str", "sum", "super", "tuple",
    "type", "vars",
))  # fmt: skip
"""Without one of these what is left is of another type: any test notices, or nobody ever can."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a changed name may be: another one than those that exist is an error, and that is no test's merit."""

    attributes: frozenset[str] = field(default=frozenset())
    """Names of attributes anywhere in the module."""
    variables: frozenset[str] = field(default=frozenset())
    """Names that the function uses."""
    rebound: frozenset[str] = field(default=frozenset())
    """Names that the function binds more than once, its arguments included: one time may be missing."""
    function: str | None = None
    """The function's name, if it is in one."""


Operator = Callable[[ast.AST, Scope], Iterator[ast.AST]]


def comparisons(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """`a < b` includes its boundary, or is turned round."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                yield _with(node, ops=_replaced(node.ops, at, other()))


def constants(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """A number is one more or one less, a truth is the other one."""
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        others = (value + 1, value - 1) if value <= _SMALL else (value * 2, type(value)(value / 2))
        for other in others:
            yield ast.Constant(other) if other >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-other))


def operands(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """One of several conditions is missing, or one of the values that `min` and `max` choose from."""
    if isinstance(node, ast.BoolOp):
        for at in range(len(node.values)):
            rest = _without(node.values, at)
            yield rest[0] if len(rest) == 1 else _with(node, values=rest)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("min", "max") and len(node.args) > 1:
        for at in range(len(node.args)):
            rest = _without(node.args, at)
            single = len(rest) == 1 and not isinstance(rest[0], ast.Starred)
            yield rest[0] if single else _with(node, args=rest)


def arithmetic(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """Plus is minus, and a sign or a `not` is missing."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and (other := _ARITHMETIC.get(type(node.op))):
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
        if not any(_is_text_or_list(side) for side in sides):
            yield _with(node, op=other())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand


def _is_text_or_list(node: ast.expr) -> bool:
    """Whether minus, for one, can't be had from it."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes)
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp)


def names(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """The other of two things that go together: the end for the start, the lower for the upper, `min` for `max`."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        for other in _others(node.attr):
            if other in scope.attributes:
                yield _with(node, attr=other)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        for other in _others(node.id):
            if other in scope.variables:
                yield _with(node, id=other)
    elif isinstance(node, ast.Call):
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        for pair in _CALLS:
            other = pair[1 - pair.index(name)] if name in pair else ""
            if other and (other not in _OF_DEQUES or _OF_DEQUES & scope.attributes):
                changed = {"id": other} if isinstance(called, ast.Name) else {"attr": other}
                yield _with(node, func=_with(called, **changed))


def collapsed(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """Of `a if condition else b` one is taken always."""
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def guards(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """An `if` always holds or never does, a `while` never begins, and a comprehension takes everything."""
    if isinstance(node, ast.If):
        yield _with(node, test=ast.Constant(True))
        yield _with(node, test=ast.Constant(False))
    elif isinstance(node, ast.While) and not isinstance(node.test, ast.Constant):
        yield _with(node, test=ast.Constant(False))
    elif isinstance(node, ast.comprehension):
        for at in range(len(node.ifs)):
            yield _with(node, ifs=_without(node.ifs, at))


def removed(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """A statement is missing, or a function returns nothing."""
    if isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
    elif _may_be_missing(node, scope):
        yield ast.Pass()


def _may_be_missing(node: ast.AST, scope: Scope) -> bool:
    match node:
        case ast.Expr(ast.Constant()):
            return False  # a docstring, or the `...` of a body that isn't one
        case ast.Expr() | ast.Raise() | ast.Break() | ast.Continue() | ast.Delete() | ast.Return() | ast.AugAssign():
            return scope.function is not None
        case ast.Assign(targets=targets):
            return scope.function is not None and all(_may_be_unbound(target, scope) for target in targets)
        case ast.AnnAssign(target=target, value=ast.expr()):
            return scope.function is not None and _may_be_unbound(target, scope)
    return False


def _may_be_unbound(target: ast.expr, scope: Scope) -> bool:
    """Whether what would be set is there without it: otherwise it is an error, or never used."""
    if isinstance(target, ast.Tuple):
        return all(_may_be_unbound(part, scope) for part in target.elts)
    if isinstance(target, ast.Name):
        return target.id in scope.rebound
    return scope.function != "__init__"


def keywords(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """An argument with a name is left to its default."""
    if isinstance(node, ast.Call) and scope.function is not None:
        for at, argument in enumerate(node.keywords):
            if argument.arg not in (None, "strict"):  # `zip(strict=True)` is an assertion
                yield _with(node, keywords=_without(node.keywords, at))


def unwrapped(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """What a call should have made something else of is left as it is: `redact(text)`, `reversed(items)`."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords and scope.function is not None:
        name = ast.unparse(node.func).rpartition(".")[2]
        maker = name.lstrip("_")[:1].isupper()
        if not maker and name not in _CONVERSIONS and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
            yield node.args[0]


def shortened(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """A loop over things that are written down leaves one of them out."""
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        written = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List | ast.Set) else []
        for at in range(len(written) if len(written) > 1 else 0):
            yield _with(node, iter=_with(node.iter, elts=_without(written, at)))


OPERATORS: Final[tuple[Operator, ...]] = (
    comparisons, constants, operands, arithmetic, names, collapsed, guards, removed, keywords, unwrapped, shortened,
)  # fmt: skip


def _others(name: str) -> Iterator[str]:
    """Names that differ from this one by a word that is taken for another."""
    words = name.split("_")
    for at, word in enumerate(words):
        for pair in _WORDS:
            if word in pair:
                yield "_".join([*words[:at], pair[1 - pair.index(word)], *words[at + 1 :]])


def _with(node: Node, **fields: object) -> Node:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _without(parts: Sequence[T], at: int) -> list[T]:
    return [*parts[:at], *parts[at + 1 :]]


def _replaced(parts: Sequence[T], at: int, other: T) -> list[T]:
    return [*parts[:at], other, *parts[at + 1 :]]
