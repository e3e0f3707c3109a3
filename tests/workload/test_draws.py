"""What is drawn anew for every event: its shape, its bounds, how often each comes, and that a seed repeats it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.workload.templates import Compiler, TemplateProblem, fill

NOW = "2026-01-02T03:04:05.678900Z"


def rendered(template: str, count: int = 1, seed: str = "seed", now: str = NOW) -> list[str]:
    """The text of a template in so many events."""
    compiler = Compiler({}, prefix="p-", run_id="run-1", seed=seed, records=None)
    text = fill(compiler.text(template, ("subject",)))
    assert compiler.problems == []
    found = []
    for seq in range(count):
        values = [f"{seq:012x}", now, str(seq)]
        for draw in compiler.draws:
            values += draw(values)
        found.append(text(values))
    return found


def as_json(template: str) -> str:
    compiler = Compiler({"data": template}, prefix="p-", run_id="run-1", seed="seed", records=None)
    text = fill(compiler.json(template, ("data",)))
    values = ["0" * 12, NOW, "7"]
    for draw in compiler.draws:
        values += draw(values)
    return text(values)


def problem(template: str) -> TemplateProblem:
    compiler = Compiler({}, prefix="p-", run_id="run-1", seed="seed", records=None)
    compiler.text(template, ("subject",))
    (found,) = compiler.problems
    return found


# -- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "low", "high", "digits"),
    [
        ("9.99..299.99", 9.99, 299.99, 2), ("0..1", 0, 1, 1), ("-1.5..-1.25", -1.5, -1.25, 2),
        (" 0 .. 0.000001 ", 0, 1e-6, 6), ("-0.05..0.05", -0.05, 0.05, 2), ("5..5", 5, 5, 1),
    ],
)  # fmt: skip
def test_a_decimal_number_lies_in_its_range_with_as_many_digits_as_were_written(
    written: str, low: float, high: float, digits: int
) -> None:
    for text in rendered(f"{{float:{written}}}", 300):
        assert re.fullmatch(rf"-?\d+\.\d{{{digits}}}", text)
        assert low <= float(text) <= high


def test_both_ends_of_a_decimal_range_come_and_all_are_alike() -> None:
    found = Counter(rendered("{float:0.1..0.4}", 4000))
    assert set(found) == {"0.1", "0.2", "0.3", "0.4"}
    assert all(880 < count < 1120 for count in found.values())


@given(st.integers(-(10**8), 10**8), st.integers(0, 10**8), st.integers(1, 9))
def test_no_decimal_number_is_outside_or_rounded(low: int, span: int, digits: int) -> None:
    unit = 10**digits
    ends = [f"{'-' if end < 0 else ''}{abs(end) // unit}.{abs(end) % unit:0{digits}}" for end in (low, low + span)]
    for text in rendered(f"{{float:{ends[0]}..{ends[1]}}}", 5):
        whole = int(text.replace(".", ""))
        assert low <= whole <= low + span
        assert text == f"{'-' if whole < 0 else ''}{abs(whole) // unit}.{abs(whole) % unit:0{digits}}"


@pytest.mark.parametrize(
    ("template", "value"),
    [("{float:2.5..2.5}", "2.5"), ("{seq:04}", '"0007"'), ("{hex:1}", '"'), ("{now+1h}", '"2026')],
)
def test_a_number_stands_in_json_as_a_number_and_all_else_as_text(template: str, value: str) -> None:
    assert as_json(template).startswith(value)


def test_hexadecimal_digits() -> None:
    for digits in (1, 7, 8, 64):
        assert all(re.fullmatch(rf"[0-9a-f]{{{digits}}}", text) for text in rendered(f"{{hex:{digits}}}", 200))
    assert set(rendered("{hex:1}", 500)) == set("0123456789abcdef")
    assert len(set(rendered("{hex:16}", 1000))) == 1000


def test_a_number_in_order_is_padded_to_its_width_and_never_cut() -> None:
    assert rendered("{seq:03}", 3) == ["000", "001", "002"]
    assert rendered("order-{seq:01}", 12)[-1] == "order-11"


# -- times ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{now+1h}", "2026-01-02T04:04:05.678900Z"),
        ("{now-30s}", "2026-01-02T03:03:35.678900Z"),
        ("{now + 1d12h}", "2026-01-03T15:04:05.678900Z"),
        ("{now+0s}", NOW),
        ("{now-100us}", "2026-01-02T03:04:05.678800Z"),
        ("valid until {now+36500d}", "valid until 2125-12-09T03:04:05.678900Z"),
    ],
)
def test_a_time_so_far_from_now(template: str, text: str) -> None:
    assert rendered(template) == [text]


@given(st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)), st.integers(0, 10**9))
def test_it_follows_the_time_of_each_event(at: datetime, ms: int) -> None:
    now = at.replace(tzinfo=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    (text,) = rendered(f"{{now+{ms}ms}}", now=now)
    assert datetime.fromisoformat(text) == at.replace(tzinfo=UTC) + timedelta(milliseconds=ms)


# -- choices -------------------------------------------------------------------------------------------------


def test_each_comes_as_often_as_its_weight_says() -> None:
    found = Counter(rendered("{weighted:gold=1,silver=3, none =0.5,never=0}", 9000))
    assert set(found) == {"gold", "silver", "none"}
    assert abs(found["gold"] - 2000) < 150
    assert abs(found["silver"] - 6000) < 200
    assert abs(found["none"] - 1000) < 120
    assert set(rendered("{weighted:a=b=1,c=0}", 50)) == {"a=b"}


def test_what_is_chosen_is_escaped_in_json() -> None:
    assert as_json('{weighted:say "a"=1}') == r'"say \"a\""'


# -- made-up people and places -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("email", r"[^@\s]+@example\.com"), ("phone", r"\+1-[2-9]\d\d-555-01\d\d"), ("name", r"\S+( \S+)+"),
        ("street", r"\d+ .+"), ("city", r"\D+"), ("company", r".+"), ("sentence", r".+"),
    ],
)  # fmt: skip
def test_people_are_made_up_and_nobody_gets_their_mail(kind: str, pattern: str) -> None:
    found = rendered(f"{{fake:{kind}}}", 300)
    assert all(re.fullmatch(pattern, text, re.DOTALL) for text in found), found[:5]
    assert len(set(found)) > 20
    assert found == rendered(f"{{fake:{kind}}}", 300)
    assert found != rendered(f"{{fake:{kind}}}", 300, seed="other")


def test_two_of_a_kind_in_one_event_are_two_people() -> None:
    assert all(one != other for one, other in (text.split("|") for text in rendered("{fake:name}|{fake:name}", 30)))


def test_without_the_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mimesis", None)
    found = problem("{fake:email}")
    assert (found.what, found.cure) == (
        "{fake:email} needs the package mimesis", "install it, with pip install 'evload[data]'"
    )  # fmt: skip
    assert rendered("{fake:phone}")[0].startswith("+1-")


# -- what is wrong -------------------------------------------------------------------------------------------

FLOAT = "isn't a range of numbers with at most 9 digits behind the point"
WRONG: dict[str, tuple[str, str]] = {
    "{float}": (FLOAT, "write one such as {float:9.99..299.99}"),
    "{float:1}": (FLOAT, "write one such as"),
    "{float:1..x}": (FLOAT, "write one such as"),
    "{float:1e3..1e4}": (FLOAT, "write one such as"),
    "{float:0..0.0000000001}": (FLOAT, "write one such as"),
    "{float:2.5..1}": ("the range of {float:2.5..1} is empty", "write {float:1..2.5}"),
    "{hex}": ("isn't a number of digits from 1 to 10000", "write one such as {hex:8}"),
    "{hex:0}": ("isn't a number of digits", "{hex:8}"),
    "{hex:-3}": ("isn't a number of digits", "{hex:8}"),
    "{hex:10001}": ("isn't a number of digits", "{hex:8}"),
    "{hex:999999999999}": ("isn't a number of digits", "{hex:8}"),
    "{seq:}": ("doesn't say how wide", "such as {seq:06}"),
    "{seq:6}": ("doesn't say how wide", "such as {seq:06}"),
    "{seq:0}": ("doesn't say how wide", "such as {seq:06}"),
    "{now+}": ("isn't a time that far from now", "such as {now+1h} or {now-30s}"),
    "{now+1}": ("isn't a time that far from now", "such as {now+1h}"),
    "{now-1 week}": ("isn't a time that far from now", "such as {now+1h}"),
    "{now+99999999d}": ("isn't a time that far from now", "such as {now+1h}"),
    "{weighted:}": ("has nothing to choose from", "such as {weighted:a=3,b=1}"),
    "{weighted:a,b=1}": ("'a' in {weighted:a,b=1} has no weight", "such as {weighted:a=3,b=1}"),
    "{weighted:a=-1}": ("'a=-1' in {weighted:a=-1} has no weight", "such as"),
    "{weighted:a=1e400}": ("has no weight", "such as"),
    "{weighted:a=0,b=0}": ("all weights of {weighted:a=0,b=0} are 0", "write one above 0"),
    "{fake:}": ("nobody makes up {fake:}", "what there is: {fake:email}, {fake:name}, {fake:phone}"),
    "{fake:emial}": ("nobody makes up {fake:emial}", "did you mean {fake:email}?"),
    "{flaot:1..2}": ("unknown placeholder {flaot:1..2}", ""),
    "{{fake:email}}": ("{{fake:email}} is the text {fake:email} in every event", "write {fake:email}"),
    "{{ now+1h }}": ("is the text {now+1h} in every event", "write {now+1h}, in single braces"),
    "{{seq:06}}": ("is the text {seq:06} in every event", "write {seq:06}"),
}  # fmt: skip


@pytest.mark.parametrize("template", WRONG)
def test_what_cant_be_drawn_is_told_with_its_cure(template: str) -> None:
    what, cure = WRONG[template]
    found = problem(template)
    assert what in found.what
    assert cure in found.cure


@given(
    st.sampled_from(["float", "hex", "seq", "weighted", "fake", "int", "choice", "now+", "now-"]),
    st.text(max_size=30),
)
def test_whatever_is_written_is_drawn_or_told(name: str, argument: str) -> None:
    written = f"{{{name}{'' if name.startswith('now') else ':'}{argument}}}"
    compiler = Compiler({}, prefix="p-", run_id="r", seed="s", records=None)
    text: Any = fill(compiler.text(written, ("subject",)))
    if not compiler.problems:
        values = ["0" * 12, NOW, "0"]
        for draw in compiler.draws:
            values += draw(values)
        assert isinstance(text(values), str)
