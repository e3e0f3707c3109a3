"""The tool that changes the code: what it changes, which of it is a seed's sample, what is excused, what is told."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.changes import MARK, Mutant, marked, mutants, mutated, sample
from tests.mutants.excused import Excuse, needless
from tests.mutants.house import ROOT, House, UnusableError
from tests.mutants.told import Fate, Result, change, rooms, share, table, unnoticed
from tests.mutants.trials import Known, Took
from tests.mutants.trying import trial


def made(path: Path, source: str, kind: str | None = None) -> list[Mutant]:
    """All changes of a module, or those of one kind."""
    path.write_text(source)
    return [mutant for mutant in mutants("room", "house.room.module", path) if kind in (None, mutant.kind)]


def in_function(statement: str) -> str:
    return "def f(self, a, b, c):\n" + "".join(f"    {line}\n" for line in statement.splitlines())


@pytest.mark.parametrize(
    ("kind", "statement", "changed"),
    [
        ("comparisons", "a < b", ["a <= b", "a >= b"]),
        ("comparisons", "a >= b", ["a > b", "a < b"]),
        ("comparisons", "a == b", ["a != b"]),
        ("comparisons", "a is None", ["a is not None"]),
        ("comparisons", "a not in b", ["a in b"]),
        ("comparisons", "a < b <= c", ["a <= b <= c", "a >= b <= c", "a < b < c", "a < b > c"]),
        ("constants", "a + 1", ["a + 2", "a + 0"]),
        ("constants", "a[0]", ["a[1]", "a[-1]"]),
        ("constants", "a * 1_000_000_000", ["a * 2000000000", "a * 500000000"]),
        ("constants", "f(True)", ["f(False)"]),
        ("constants", "zip(a, b, strict=True)", []),
        ("constants", "a * 0.5", ["a * 1.5", "a * -0.5"]),
        ("constants", "'text'", []),
        ("operands", "a and b", ["b", "a"]),
        ("operands", "a or b or c", ["b or c", "a or c", "a or b"]),
        ("operands", "max(a, b)", ["b", "a"]),
        ("operands", "min(a, b, c, key=f)", ["min(b, c, key=f)", "min(a, c, key=f)", "min(a, b, key=f)"]),
        ("operands", "max(0, *a)", ["max(*a)", "0"]),
        ("operands", "max(a)", []),
        ("arithmetic", "a + b", ["a - b"]),
        ("arithmetic", "a // b", ["a * b"]),
        ("arithmetic", "a += b", ["a -= b"]),
        ("arithmetic", "-a", ["a"]),
        ("arithmetic", "not a", ["a"]),
        ("arithmetic", "a + 'text'", []),
        ("arithmetic", "a + [b]", []),
        ("names", "max(a, b)", ["min(a, b)"]),
        ("names", "all(a)", ["any(a)"]),
        ("names", "a.append(b)", []),
        ("names", "a.append(b)\na.popleft()", ["a.appendleft(b)", "a.pop()"]),
        ("names", "a.start_ns - a.end_ns", ["a.end_ns - a.end_ns", "a.start_ns - a.start_ns"]),
        ("names", "a.start_ns - a.began_ns", []),
        ("names", "a.first - b.last - c.stable", [
            "a.stable - b.last - c.stable", "a.last - b.last - c.stable", "a.first - b.first - c.stable",
            "a.first - b.stable - c.stable", "a.first - b.last - c.first", "a.first - b.last - c.last",
        ]),
        ("names", "lower = upper", []),
        ("names", "f(lower)\nf(upper)", ["f(upper)", "f(lower)"]),
        ("names", "a.start_ns = b.end_ns", ["a.start_ns = b.start_ns"]),
        ("collapsed", "a if b else c", ["a", "c"]),
        ("guards", "if a:\n    return", ["if True:", "if False:"]),
        ("guards", "if a:\n    return\nelif b:\n    return", ["if True:", "if False:", "if True:", "if False:"]),
        ("guards", "while a:\n    b()", ["while False:"]),
        ("guards", "while True:\n    b()", []),
        ("guards", "[x for x in a if x if b]", ["[x for x in a if b]", "[x for x in a if x]"]),
        ("removed", "a.go()", ["pass"]),
        ("removed", "a.b = c", ["pass"]),
        ("removed", "a[b] = c", ["pass"]),
        ("removed", "x += 1", ["pass"]),
        ("removed", "x = b", []),
        ("removed", "a = b", ["pass"]),
        ("removed", "x = 1\nx = 2", ["pass", "pass"]),
        ("removed", "x, self.y = b", []),
        ("removed", "self.x: int = 1", ["pass"]),
        ("removed", "raise ValueError(a)", ["pass"]),
        ("removed", "return a", ["return None"]),
        ("removed", "return", ["pass"]),
        ("removed", "return None", []),
        ("removed", "for x in a:\n    continue", ["pass"]),
        ("removed", "yield a", ["pass"]),
        ("removed", "...", []),
        ("removed", "'''A docstring.'''", []),
        ("keywords", "f(a, b=1, c=2)", ["f(a, c=2)", "f(a, b=1)"]),
        ("keywords", "f(**a)", []),
        ("keywords", "zip(a, b, strict=True)", []),
        ("unwrapped", "x = self.redact(a)", ["x = a"]),
        ("unwrapped", "x = reversed(a)", ["x = a"]),
        ("unwrapped", "x = len(a)", []),
        ("unwrapped", "x = Path(a)", []),
        ("unwrapped", "self.redact(a)", []),
        ("shortened", "for x in (a, b):\n    c(x)", ["for x in (b,):", "for x in (a,):"]),
        ("shortened", "for x in (a,):\n    c(x)", []),
        ("shortened", "[x for x in [a, b]]", ["[x for x in [b]]", "[x for x in [a]]"]),
    ],
)  # fmt: skip
def test_what_is_changed(tmp_path: Path, kind: str, statement: str, changed: list[str]) -> None:
    found = made(tmp_path / "module.py", in_function(statement), kind)
    assert [mutant.now for mutant in found] == changed


SOURCE = '''"""A module."""
from __future__ import annotations
import os
if TYPE_CHECKING:
    import b
    LIMIT = 1
LIMIT: Final = 5
@dataclass(frozen=True)
class Tank(Base, final=True):
    """A tank."""
    size: int = 3
    def __init__(self, size: Literal[1]) -> None:
        self.size = size
    def fill(self, by: int = 2) -> Annotated[int, 4]:
        assert by > 0
        if (
            by > self.size
        ):
            raise ValueError(f"at most {self.size - 6}")
        def inner():
            return 7
        try:
            return inner()
        except OSError if by == 8 else ValueError:
            return self.fill(
                by=9)
'''


def test_where_things_are_changed(tmp_path: Path) -> None:
    found = made(tmp_path / "module.py", SOURCE)
    known = {(mutant.was, mutant.now): (mutant.place.removeprefix("house.room."), mutant.line) for mutant in found}
    assert known["LIMIT: Final = 5", "LIMIT: Final = 6"] == ("module", 7)
    assert known["size: int = 3", "size: int = 4"] == ("module.Tank", 11)
    assert known["if by > self.size:", "if by >= self.size:"] == ("module.Tank.fill", 16)
    raised = "raise ValueError(f'at most {self.size - 6}')"
    assert known[raised, "pass"] == ("module.Tank.fill", 19)
    assert known[raised, raised.replace("-", "+")] == ("module.Tank.fill", 19)
    assert known["return 7", "return 8"] == ("module.Tank.fill.inner", 21)
    assert known["return self.fill(by=9)", "return self.fill()"] == ("module.Tank.fill", 25)
    handler = "except OSError if by == 8 else ValueError:"
    assert known[handler, handler.replace("==", "!=")] == ("module.Tank.fill", 24)
    default = next(where for (was, now), where in known.items() if "by: int=3" in now)
    assert default == ("module.Tank.fill", 14)


def test_what_only_readers_and_type_checkers_see_is_left_alone(tmp_path: Path) -> None:
    texts = " ".join(mutant.now for mutant in made(tmp_path / "module.py", SOURCE))
    for left_alone in ("import", "frozen", "final", "Literal[0]", "Annotated[int, 5]", "assert", "A tank"):
        assert left_alone not in texts
    assert not made(tmp_path / "module.py", "if TYPE_CHECKING:\n    LIMIT = 1\nassert LIMIT == 1\n")


def test_an_attribute_is_not_missing_where_it_is_made(tmp_path: Path) -> None:
    source = "class A:\n    def __init__(self):\n        self.a = None\n        self.go()\n"
    assert [mutant.was for mutant in made(tmp_path / "module.py", source, "removed")] == ["self.go()"]


def test_a_change_is_shown_with_what_is_around_it_on_its_line(tmp_path: Path) -> None:
    long = " + ".join(f"number_{n}" for n in range(30))
    (short, _), (alone, _) = (
        [mutant.was for mutant in made(tmp_path / "module.py", in_function(code), "constants")]
        for code in ("x = g(a, [b, 1])", f"x = {long} + g(a, [b, 1])")
    )
    assert short == "x = g(a, [b, 1])"
    assert alone == "g(a, [b, 1])"


def test_the_changed_module_does_what_the_change_says(tmp_path: Path) -> None:
    source = "def f(a, b):\n    if a < b:\n        return max(a, 1)\n    return -b\n"
    found = made(tmp_path / "module.py", source)
    told = {}
    for mutant in found:
        space: dict[str, object] = {}
        exec(compile(mutated(source, mutant.number), "module.py", "exec"), space)
        told[mutant.was, mutant.now] = space["f"](0, 5), space["f"](5, 5)  # type: ignore[operator]
    assert told["if a < b:", "if a <= b:"] == (1, 5)
    assert told["if a < b:", "if a >= b:"] == (-5, 5)
    assert told["if a < b:", "if False:"] == (-5, -5)
    assert told["return max(a, 1)", "return max(a, 2)"] == (2, -5)
    assert told["return max(a, 1)", "return min(a, 1)"] == (0, -5)
    assert told["return max(a, 1)", "return None"] == (None, -5)
    assert told["return -b", "return b"] == (1, 5)
    assert len(told) == len(found) == 12


MARKED = '''"""A module."""
LIMIT = 5
class Tank:
    size = 3
    def fill(self, by=2):
        """Fill it."""
        if by > 8:
            return 9
        elif by == 7:
            by += 4
        take = lambda: 6
        while by > 10:
            by -= 11
        try:
            return by + int("x")
        except (OSError if by == 12 else ValueError):
            return take
def idle():
    return 13
'''


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("None", ()),
        ("tank.fill(1)", (5, 3, 2, 8, 7, 10, 12)),
        ("tank.fill(1)()", (5, 3, 2, 8, 7, 10, 12, 6)),
        ("tank.fill(7)", (5, 3, 2, 8, 7, 4, 10, 11, 12)),
        ("tank.fill(9)", (5, 3, 2, 8, 9)),
        ("idle()", (5, 3, 13)),
    ],
)
def test_who_runs_what_would_be_changed_is_seen(tmp_path: Path, call: str, expected: tuple[int, ...]) -> None:
    """The mark of a change is the number that it changes: each is in the code once."""
    found = made(tmp_path / "module.py", MARKED, "constants")
    marks = {
        mutant.number: number
        for mutant in found
        for number in range(2, 14)
        if mutant.now == mutant.was.replace(str(number), str(number + 1))
    }
    seen: set[int] = set()
    space: dict[str, object] = {MARK: seen.add}
    exec(compile(marked(MARKED, marks), "module.py", "exec"), space)
    assert seen == {5, 3, 2}, "what the import runs"
    exec("tank = Tank()", space)
    assert space["Tank"].fill.__doc__ == "Fill it."  # type: ignore[attr-defined]
    seen.clear()
    exec(call, space)
    assert seen == set(expected)


def test_there_is_no_change_beyond_the_last(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no change 1"):
        mutated("x = True\n", 1)


def test_to_tell_the_changes_leaves_the_code_as_it_is(tmp_path: Path) -> None:
    """One change is made at a time, not on top of those before it."""
    for mutant in made(tmp_path / "module.py", SOURCE):
        changed = ast.unparse(mutated(SOURCE, mutant.number)).splitlines()
        whole = ast.unparse(ast.parse(SOURCE)).splitlines()
        assert len(set(whole) - set(changed)) <= 1, mutant


FIRST = "def f(a):\n    return a + 1\n"
SECOND = "def g(a, b):\n    if a < b and b > 3:\n        return a * 2\n    return max(a, b)\n"


def test_a_seed_says_which_changes_are_tried(tmp_path: Path) -> None:
    found = made(tmp_path / "module.py", FIRST + SECOND)
    assert sample(found, 1, 5) == sample(reversed(found), 1, 5)
    assert len(set(sample(found, 1, 5))) == 5
    assert sample(found, 1, 5) != sample(found, 2, 5)
    assert sample(found, 1, 3) == sample(found, 1, 5)[:3]
    assert set(sample(found, 1, 1000)) == set(found)


def test_a_sample_stays_when_other_code_changes_or_the_module_moves(tmp_path: Path) -> None:
    def chosen(source: str, module: str) -> list[tuple[str, str]]:
        path = tmp_path / "module.py"
        path.write_text(source)
        found = mutants("room", module, path)
        return [(mutant.was, mutant.now) for mutant in sample(found, 1, 1000) if mutant.place.endswith(".g")]

    before = chosen(FIRST + SECOND, "house.room.module")
    assert len(before) > 10
    assert chosen("LIMIT = 7\n" + SECOND.replace(" and ", " and\\\n  "), "house.other.deep.module") == before
    assert chosen(FIRST + SECOND, "house.room.other") != before


def mutant(**others: object) -> Mutant:
    known = Mutant(
        "room", "house.room.tank", Path("/root/src/house/room/tank.py"), 0, "house.room.tank.Tank.fill", "constants",
        "return 1", "return 2", 7,
    )  # fmt: skip
    return replace(known, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("excuse", "fits"),
    [
        (Excuse("tank.Tank.fill", "return 1", "return 2", "why"), True),
        (Excuse("Tank.fill", "return 1", "return 2", "why"), True),
        (Excuse("house.room.tank.Tank.fill", "return   1", "return\n2", "why"), True),
        (Excuse("ank.fill", "return 1", "return 2", "why"), False),
        (Excuse("other.Tank.fill", "return 1", "return 2", "why"), False),
        (Excuse("tank.Tank", "return 1", "return 2", "why"), False),
        (Excuse("tank.Tank.fill", "return 1", "return 0", "why"), False),
        (Excuse("tank.Tank.fill", "return 0", "return 2", "why"), False),
    ],
)
def test_an_excuse_is_for_one_change(excuse: Excuse, fits: bool) -> None:
    assert excuse.fits(mutant()) is fits
    assert excuse.fits(mutant(line=99, number=5, module="house.tank", path=Path("/elsewhere.py"))) is fits
    assert needless([excuse], [mutant(was="other"), mutant()]) == ([] if fits else [excuse])


def test_an_excuse_says_why(tmp_path: Path) -> None:
    path = tmp_path / "excused.toml"
    assert Excuse.read(path) == []
    entry = '[[excused]]\nplace = "tank.fill"\nwas = "1"\nnow = "2"\n'
    path.write_text(entry + 'why = "nobody sees it"\n')
    assert Excuse.read(path) == [Excuse("tank.fill", "1", "2", "nobody sees it")]
    for without in ("", 'why = " "\n', 'why = "so"\nline = "7"\n'):
        path.write_text(entry + without)
        with pytest.raises(ValueError, match="an excuse has a place, was, now and why"):
            Excuse.read(path)


def test_every_excuse_is_for_a_change_that_can_be_made() -> None:
    house = House(ROOT, "evload")
    excuses = Excuse.read()
    assert needless(excuses, house.mutants() if excuses else ()) == []


def test_rooms_exist_and_have_something_to_change() -> None:
    house = House(ROOT, "evload")
    for room in house.rooms:
        assert next(house.mutants([room])).room == room


def test_a_room_is_a_folder_or_a_file_with_code(tmp_path: Path) -> None:
    (tmp_path / "src" / "pack" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "pack" / "deep" / "module.py").write_text("A = 1\n")
    (tmp_path / "src" / "pack" / "deep" / "__init__.py").write_text("B = 1\n")
    house = House(tmp_path, "pack", ["deep", "gone"])
    assert {found.place for found in house.mutants(["deep"])} == {"pack.deep", "pack.deep.module"}
    assert {found.place for found in house.mutants(["deep/module.py"])} == {"pack.deep.module"}
    with pytest.raises(UnusableError, match="there is no code in gone; there is in deep, gone"):
        list(house.mutants())


def test_tests_are_found_wherever_they_are(tmp_path: Path) -> None:
    for name in ("test_a.py", "deep/test_b.py", "deep/rig.py", "test_mutants.py"):
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    house = House(tmp_path, "pack")
    assert house.tests() == [tmp_path / "tests" / "deep" / "test_b.py", tmp_path / "tests" / "test_a.py"]
    assert house.tests(["tests/deep/test_b.py"]) == [tmp_path / "tests" / "deep" / "test_b.py"]
    with pytest.raises(UnusableError, match=r"tests/test_b.py isn't there"):
        house.tests(["tests/test_a.py", "tests/test_b.py"])


def known(runs: list[str], **seconds: float) -> Known:
    return Known({test: Took(took, took) for test, took in seconds.items()}, runs={mutant(): runs})


@pytest.mark.parametrize(
    ("patience_s", "expected"),
    [
        (100, [("slow", ["c"]), ("quick", ["a", "b"]), ("slow", ["d"]), ("quick", ["e"]), ("imports", ["f"])]),
        (6, [("slow", ["c"]), ("quick", ["a", "b"])]),
        (4, [("quick", ["a"]), ("slow", ["c"])]),
        (0, [("quick", ["a"])]),
    ],
)
def test_the_quickest_tests_that_run_it_come_first(patience_s: float, expected: list[tuple[str, list[str]]]) -> None:
    """Then those that might look at what others have filled; files that take less first."""
    files = {
        Path("quick"): known(["a", "b"], a=1, b=3, e=4),
        Path("slow"): known(["c"], c=2, d=3.5),
        Path("imports"): known([], f=5),
        Path("else"): replace(known([], g=0.1), runs={}),
    }
    found = trial(mutant(), files, patience_s)
    assert [(path.name, list(tests)) for path, tests in found.tests] == expected
    assert not trial(mutant(now="return 9"), files, patience_s).tests


def test_whoever_is_run_first_may_take_what_the_slowest_of_the_file_takes_besides() -> None:
    """Else a change would be called endless because a test pays for what another one had paid for before."""
    file = Known({"a": Took(1, 2), "b": Took(5, 3), "c": Took(2, 9)}, runs={mutant(): ["a", "b"]})
    ((_, tests),) = trial(mutant(), {Path("file"): file}, 6).tests
    assert tests == {"a": Took(6, 11), "b": Took(10, 12)}


RESULTS = [
    Result(mutant(), Fate.NOTICED, "tests/test_tank.py::test_it"),
    Result(mutant(now="return 0"), Fate.UNNOTICED, "tests that run it: 3"),
    Result(mutant(room="attic", now="pass"), Fate.EXCUSED, "it's empty"),
    Result(mutant(room="attic", now='return "|"'), Fate.ENDLESS, ""),
    Result(mutant(room="attic"), Fate.UNTRIED, "no time was left"),
]


def test_what_is_told() -> None:
    assert list(table(RESULTS))[2:] == [
        "| tank.Tank.fill:7 | `return 1` → `pass` | excused | it's empty |",
        '| tank.Tank.fill:7 | `return 1` → `return "\\|"` | endless |  |',
        "| tank.Tank.fill:7 | `return 1` → `return 2` | untried | no time was left |",
        "| tank.Tank.fill:7 | `return 1` → `return 2` | noticed | tests/test_tank.py::test_it |",
        "| tank.Tank.fill:7 | `return 1` → `return 0` | unnoticed | tests that run it: 3 |",
    ]
    assert list(rooms(RESULTS)) == [
        "| room | changes | noticed | endless | excused | unnoticed | untried | share unnoticed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| attic | 3 | 0 | 1 | 1 | 0 | 1 | 0.0% |",
        "| room | 2 | 1 | 0 | 0 | 1 | 0 | 50.0% |",
        "| all | 5 | 1 | 1 | 1 | 1 | 1 | 25.0% |",
    ]
    assert share(RESULTS) == 0.25, "one of the four that were tried"
    assert share([]) == 0


def test_what_is_unnoticed_is_told_as_it_could_be_excused(tmp_path: Path) -> None:
    result = Result(mutant(now='return "\\"'), Fate.UNNOTICED, "tests that run it: 3")
    told = "\n".join(unnoticed([result, *RESULTS[:1]], Path("/root")))
    assert told.startswith("# src/house/room/tank.py:7, tests that run it: 3\n[[excused]]\n")
    path = tmp_path / "excused.toml"
    path.write_text(told.replace('why = ""', 'why = "so"'))
    (excuse,) = Excuse.read(path)
    assert excuse.fits(result.mutant)


def test_of_a_long_change_what_differs_is_shown() -> None:
    same = ", ".join(f"number_{n}" for n in range(20))
    assert change(mutant(was=f"f({same}, start, {same})", now=f"f({same}, end, {same})")) == (
        "`…_17, number_18, number_19, start, number_0, number_1, number_2, n…` → "
        "`…_17, number_18, number_19, end, number_0, number_1, number_2, num…`"
    )
