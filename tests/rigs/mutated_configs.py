"""Configs as nobody means to write them: those that come with evload, changed at random."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = {
    path.name: path for path in [*sorted((ROOT / "configs").glob("*.yaml")), ROOT / "examples/evload-mqtt/shop.yaml"]
}
ENVIRON: Final = {
    "BROKER_TOKEN": "hush-5f2a",
    "SHORT": "5",
    "TEXT": "hush-hush",
    "LONG": "y" * 50_000,
    "EMPTY": "",
    "NUMBER": "1" + "0" * 18,
}

_TELLING: Final = (
    # what each kind of value looks like, and its extremes
    "5s", "0s", "1ns", "36500d", "36501d", "1m30s", "-5s", "9" * 200 + "s", "1." + "0" * 90 + "1s", "100/s", "0/s",
    "1000000000/s", "1000000001/s", "1/h", "0%", "100%", "101%", "95%", "0B", "1KiB", "1073741824GiB", "1e999",
    "1e-999999999", "0x10", "0o7", "010", "1_000", ".inf", "nan", "true", "null", "~", "on", "1:30", "2026-01-01",
    # templates, variables, addresses, expressions
    "{", "}", "{{}}", "{data}", "{data.x}", "{data.0}", "{uuid}", "{seq}", "{int:1..9}", "{int:9..1}", "{choice:a,b}",
    "{choice:}", "{record.x}", "{correlation_id}", "{capture}", "{key}", "{type}", "{now}{run_id}", "{uuid}" * 300,
    "{sandbox}", "{sandbox}/events", "${SHORT}", "${TEXT}", "${LONG}", "${EMPTY}", "${NUMBER}", "${MISSING}",
    "${MISSING:-x}", "${MISSING:-${MISSING:-5}}", "${", "${}", "$$", "${A:-" * 30 + "}" * 30, "${LONG}" * 30,
    "http://[", "http://localhost:99999/", "http://user:p%40ss@host/{correlation_id}?a=1#b", "amqp://localhost/%2f",
    "postgresql://u@h/d?sslmode=x", "redis://", "unix:///x", "//", "s3://", "http://\u00e4.example/", "https://h:0/",
    "status == `200`", "body.x", "body[?a=='b'].c | [0]", "a || b && !c", "length(@)", "foo(", "`" * 9, "(" * 300,
    "!" * 2000, "a" + "|b" * 300, "select 1", "select :ids", ":id", "p99(consistency) < 1s", "lost == 0",
    "share(publish < 1s) >= 95%", "max(queue_depth) < 1e300", "rate(errors) < 0%", "drain(x) < 5m", "p99(x", "(a+)+$",
    "[", "*" * 40, "application/json", "text/plain", "../../etc/passwd", "/dev/null", "no.csv", ".", "",
    # characters
    "\u0000", "\u001b[31m", "\u202eevil", "\u200d", "\ufeff", "\u0085", "\u2028", "\U0001f389", "\ud7ff", "\ue000",
    "\u00e9" * 200, "a\nb", "\t", " ", "'", '"', "::error::x", "##[x]", "[/red]", ":smile:", "x" * 100, "x" * 20_000,
)  # fmt: skip
_NUMBERS: Final = (
    0, -1, 1, 2, 255, 65_536, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**18, 10**30, 10**300, 0.0, -0.0,
    0.5, 1e-320, 1e300, 1.7e308,
)  # fmt: skip
_SCALARS: Final = (
    st.sampled_from((None, True, False))
    | st.sampled_from(_NUMBERS)
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(_TELLING)
)
_MOST: Final = 3000
"""Items of a list; with more it takes longer to write the config than to read it."""
_KEYS: Final = st.text(max_size=6) | st.sampled_from(("kind", "url", "at", "x", "1", "<<", "a.b", "x" * 101))


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


_LARGE: Final = st.sampled_from((
    _nested(20), _nested(49), _nested(60), _nested(150), list(range(3000)), [["a"] * 30] * 90,
    {f"k{number}": number for number in range(2000)}, ["{uuid}"] * 500,
    {f"a{number}": f"{{data.a{number + 1}}}{{data.a{number + 1}}}" for number in range(40)},
    {f"a{number}": f"{{data.a{number + 1}}}" for number in range(200)},
))  # fmt: skip
VALUES: Final = (
    st.recursive(
        _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
    )
    | _SCALARS
    | _LARGE
)


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, Any]:
    """The name of a config that comes with evload, and what became of its data."""
    name = draw(st.sampled_from(sorted(SHIPPED)))
    data: Any = {"a": copy.deepcopy(_plain(name))}  # so that the whole of it has a place as well
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(data))
        *around, last = draw(st.sampled_from(places))
        holder = _at(data, around)
        change = draw(st.sampled_from(("set", "set", "set", "drop", "rename", "add", "swap", "wrap", "repeat")))
        match change:
            case "set":
                holder[last] = copy.deepcopy(draw(VALUES))
            case "drop" if around:
                del holder[last]
            case "rename" if isinstance(holder, dict) and around:
                holder[draw(_KEYS)] = holder.pop(last)
            case "add" if isinstance(holder[last], dict):
                holder[last][draw(_KEYS)] = copy.deepcopy(draw(VALUES))
            case "add" if isinstance(holder[last], list):
                holder[last].append(copy.deepcopy(draw(VALUES)))
            case "swap":
                holder[last] = copy.deepcopy(_at(data, draw(st.sampled_from(places))))
            case "wrap":
                holder[last] = draw(st.sampled_from(([holder[last]], {"a": holder[last]})))
            case "repeat" if isinstance(holder[last], list):
                holder[last] = (holder[last] * draw(st.sampled_from((2, 100, 600))))[:_MOST]
            case "repeat" if isinstance(holder[last], str):
                holder[last] = (holder[last] * draw(st.sampled_from((2, 100, 5000))))[:1_200_000]
    return name, data["a"]


@st.composite
def slight_mutants(draw: st.DrawFn) -> tuple[str, Any]:
    """The same with one single value that is another one, gone, or called otherwise."""
    name = draw(st.sampled_from(sorted(SHIPPED)))
    data = copy.deepcopy(_plain(name))
    *around, last = draw(st.sampled_from(list(_places(data))))
    holder = _at(data, around)
    change = draw(st.sampled_from(("set", "set", "set", "drop", "rename")))
    if change == "rename" and isinstance(holder, dict):
        holder[draw(_KEYS)] = holder.pop(last)
    elif change == "drop":
        del holder[last]
    else:
        holder[last] = draw(_SCALARS)
    return name, data


def as_text(data: Any) -> str:
    """YAML of it."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1_000_000)


@cache
def _plain(name: str) -> Any:
    return _unshared(yaml.safe_load(SHIPPED[name].read_text()))


def _unshared(data: Any) -> Any:
    # Anchors and merge keys make one object of several places.
    if isinstance(data, dict):
        return {key: _unshared(value) for key, value in data.items()}
    return [_unshared(value) for value in data] if isinstance(data, list) else data


def _places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, item in items:
        yield (*path, key)
        if len(path) < 12:
            yield from _places(item, (*path, key))


def _at(data: Any, path: Any) -> Any:
    for step in path:
        data = data[step]
    return data
