"""Templates: what each placeholder becomes, escaping that survives any text, and errors that help."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.model.correlation import CorrelationIds
from evload.workload.records import Records
from evload.workload.templates import Compiler, TemplateProblem, fill

NOW = "2026-01-02T03:04:05.678900Z"
IDS = CorrelationIds.for_run("run-1")
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
RECORDS = Records(("sku", "price", "tags"), (('a "1"', 1.5, ["x"]), ("b", None, {"y": 2})), "sequential")


class Rendered:
    """A few events of one type: their data and some texts beside it, as the renderer would fill them."""

    def __init__(
        self,
        data: Any,
        *texts: str,
        seed: str = "seed",
        records: Records | None = None,
        captured: Mapping[str, Any] = {},
        **fields: str,
    ) -> None:
        self.compiler = Compiler(
            {"data": data, **fields}, prefix=IDS.prefix, run_id="run-1", seed=seed, records=records, captured=captured
        )
        self._texts = [fill(self.compiler.text(text, ("texts", i))) for i, text in enumerate(texts)]
        self._data = fill(self.compiler.json(data, ("data",)))
        self._seq = 0

    def next(self) -> tuple[Any, list[str]]:
        values = [f"{self._seq:012x}", NOW, str(self._seq)]
        for draw in self.compiler.draws:
            values += draw(values)
        self._seq += 1
        return json.loads(self._data(values)), [text(values) for text in self._texts]

    def data(self, count: int) -> list[Any]:
        return [self.next()[0] for _ in range(count)]


def problems(data: Any, *texts: str, **more: Any) -> list[TemplateProblem]:
    return Rendered(data, *texts, **more).compiler.problems


def braced(value: Any) -> Any:
    """The template that stands for a JSON value as it is."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, list):
        return [braced(item) for item in value]
    return {key: braced(item) for key, item in value.items()} if isinstance(value, dict) else value


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text(alphabet='{}"\\%\x00\n\u2028é😀s'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
@settings(deadline=None)
def test_any_json_comes_out_as_it_went_in(value: Any) -> None:
    rendered = Rendered(braced(value))
    assert rendered.data(1) == [value]
    assert not rendered.compiler.problems


@given(json_values, st.text())
@settings(deadline=None)
def test_any_text_survives_around_and_inside_placeholders(value: Any, text: str) -> None:
    records = Records(("it",), ((value,),), "sequential")
    around = f"{braced(text)}{{record.it}}%s{{seq}}"
    rendered = Rendered({"whole": "{record.it}", "inside": around, "text": "{record.it!s}"}, around, records=records)
    as_text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    data, (beside,) = rendered.next()
    assert data == {"whole": value, "inside": f"{text}{as_text}%s0", "text": as_text}
    assert beside == data["inside"]


def test_a_cell_is_escaped_inside_a_json_string() -> None:
    got, (beside,) = Rendered({"label": "<{record.sku}>"}, "<{record.sku}>", records=RECORDS).next()
    assert got["label"] == beside == '<a "1">'


def test_a_cell_that_is_no_text_is_escaped_there_too() -> None:
    label = "<{record.tags}|{record.price}>"
    rendered = Rendered({"label": label}, label, records=RECORDS)
    told = [(got["label"], beside) for got, (beside,) in (rendered.next(), rendered.next())]
    assert told == [('<["x"]|1.5>', '<["x"]|1.5>'), ('<{"y":2}|null>', '<{"y":2}|null>')]


def test_what_each_placeholder_becomes() -> None:
    data = {
        "id": "{correlation_id}", "run": "{run_id}", "seq": "{seq}", "text": "{seq!s}", "at": "{now}",
        "int": "{int:-2..-2}", "int text": "{int:7..7!s}", "inside": "n{int:3..3}", "pick": "{choice: only }",
        "uuid": "{uuid}", "type": "{type}/{key}",
    }  # fmt: skip
    rendered = Rendered(data, type="placement.created", key="k-{seq}")
    for seq, got in enumerate(rendered.data(3)):
        assert UUID4.fullmatch(got["uuid"])
        assert uuid.UUID(got["uuid"]).version == 4
        assert got == {
            "id": IDS.id_of(seq), "run": "run-1", "seq": seq, "text": str(seq), "at": NOW,
            "int": -2, "int text": "7", "inside": "n3", "pick": "only",
            "uuid": got["uuid"], "type": f"placement.created/k-{seq}",
        }  # fmt: skip


def test_draws_cover_their_range_evenly() -> None:
    rendered = Rendered({"n": "{int:1..4}", "c": '{choice:a,"b",a}', "u": "{uuid}"})
    got = rendered.data(4000)
    assert all(abs(count - 1000) < 150 for count in Counter(event["n"] for event in got).values())
    assert {event["n"] for event in got} == {1, 2, 3, 4}
    assert abs(Counter(event["c"] for event in got)["a"] - 2667) < 150
    assert {event["c"] for event in got} == {"a", '"b"'}
    assert len({event["u"] for event in got}) == 4000


def test_a_reference_is_the_value_drawn_for_the_data() -> None:
    data = {
        "video": {"id": "{uuid}"},
        "list": ["zero", {"n": "{int:1..1000000}"}],
        "label": "{data.video.id}/{data.list.1.n}",
        "n": "{data.list.1.n}",
        "flag": True,
        "copy": "{data.flag}",
        "gone": None,
    }
    rendered = Rendered(data, "/{data.video.id}?n={data.n}&{data.label}", "{data.flag}{data.list.0}{data.gone}")
    seen = set()
    for _ in range(20):
        got, (first, second) = rendered.next()
        video, n = got["video"]["id"], got["list"][1]["n"]
        assert got["label"] == f"{video}/{n}"
        assert (got["n"], got["copy"]) == (n, True)
        assert first == f"/{video}?n={n}&{video}/{n}"
        assert second == "truezeronull"
        seen.add(video)
    assert len(seen) == 20


def test_the_seed_decides_what_is_drawn() -> None:
    data = {"u": "{uuid}", "n": "{int:1..1000000}", "c": "{choice:a,b,c}"}
    assert Rendered(data).data(10) == Rendered(data).data(10) != Rendered(data, seed="other").data(10)


def test_another_placeholder_leaves_the_values_of_the_others_alone() -> None:
    few = Rendered({"u": "{uuid}"}).data(5)
    more = Rendered({"first": "{uuid}", "u": "{uuid}"}, "{uuid}").data(5)
    assert [event["u"] for event in more] == [event["u"] for event in few]
    assert all(event["first"] != event["u"] for event in more)


def test_records_in_sequence_start_again() -> None:
    rendered = Rendered({"sku": "{record.sku}", "price": "{record.price}", "tags": "{record.tags}"}, records=RECORDS)
    rows = [{"sku": 'a "1"', "price": 1.5, "tags": ["x"]}, {"sku": "b", "price": None, "tags": {"y": 2}}]
    assert rendered.data(5) == [rows[0], rows[1], rows[0], rows[1], rows[0]]


def test_random_records_stay_whole() -> None:
    rows = tuple((n, -n) for n in range(50))
    rendered = Rendered({"a": "{record.a}", "b": "{record.b}"}, records=Records(("a", "b"), rows, "random"))
    got = rendered.data(500)
    assert all(event["a"] == -event["b"] for event in got)
    assert len({event["a"] for event in got}) == 50
    assert [event["a"] for event in got[:50]] != list(range(50))


@pytest.mark.parametrize(
    ("template", "what", "cure"),
    [
        ("{correlationid}", "unknown placeholder {correlationid}", "did you mean {correlation_id}?"),
        ("{runid!s}", "unknown placeholder {runid}", "did you mean {run_id}?"),
        ("{}", "unknown placeholder {}", "write {{ and }} for braces"),
        ('{"a": 1}', 'unknown placeholder {"a": 1}', "write {{ and }} for braces"),
        ("{video_id}", "unknown placeholder {video_id}", "did you mean {data.video_id}?"),
        ("{seq", "a lone { in '{seq'", "write {{ for the brace itself"),
        ("seq}", "a lone } in 'seq}'", "write }} for the brace itself"),
        ("{int}", "{int} isn't a range", "{int:1..100}"),
        ("{int:1..x}", "{int:1..x} isn't a range", "{int:1..100}"),
        ("{int:5..1}", "the range of {int:5..1} is empty", "write {int:1..5}"),
        ("{choice}", "{choice} has nothing to choose from", "{choice:a,b}"),
        ("{data.vido_id}", "there is no {data.vido_id}", "did you mean {data.video_id}?"),
        ("{data.list.2}", "there is no {data.list.2}", "{data.list."),
        ("{data.list.-1}", "there is no {data.list.-1}", "{data.list."),
        ("{data.video_id.x.y.z}", "there is no {data.video_id.x.y.z}", "{data.video_id}"),
        ("{data.range}", "{data.range} isn't a single value", "{data.range.start}"),
        ("{data}", "{data} isn't a single value", "{data.video_id}"),
        ("{key}", "{key} in an event without key", "add key: to the event"),
        ("{record.sku}", "{record.sku} without a data file", "records:"),
        ("half \ud800 a pair", "half of a surrogate pair", "the whole character"),
    ],
)
def test_a_wrong_template_says_what_would_be_right(template: str, what: str, cure: str) -> None:
    data = {"video_id": "{uuid}", "list": [1, 2], "range": {"start": 0}}
    (problem,) = problems(data, template)
    assert problem.path == ("texts", 0)
    assert what in problem.what
    assert cure in problem.cure
    assert str(problem) == f"{problem.what}; {problem.cure}"


def test_an_unknown_field_of_a_record_is_suggested() -> None:
    (problem,) = problems(None, "{record.skew}", records=RECORDS)
    assert str(problem) == "the data file has no 'skew'; did you mean {record.sku}?"


def test_all_problems_are_found_each_in_its_place() -> None:
    data = {"a": "{sek}", "b": ["fine", "{uid}"], 3: 1, "c": float("nan"), "d": "{data.a}"}
    assert [problem.path for problem in problems(data)] == [
        ("data", "a"), ("data", "b", 1), ("data", 3), ("data", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"a": "{data.a}"},
        {"a": "x{data.b}", "b": "{data.c}", "c": "{data.a!s}"},
        {"a": "{key}"},
    ],
)
def test_a_circle_of_references_is_found(data: dict[str, str]) -> None:
    (problem,) = problems(data, key="{data.a}")
    assert "refers to itself in the end" in problem.what


def test_data_that_is_not_there_has_no_fields() -> None:
    (problem,) = problems(None, "{data.a}")
    assert str(problem) == "{data.a} in an event without data; add data: to the event, or leave this out"


# -- what a set-up captured --------------------------------------------------------------------------------


@given(json_values)
@settings(deadline=None)
def test_a_captured_value_keeps_its_type_alone_and_is_text_in_a_text(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    rendered = Rendered({"of": "{item}", "in": "<{item}>", "to": "{data.of}"}, "{item}", captured={"item": value})
    assert rendered.next() == ({"of": value, "in": f"<{text}>", "to": value}, [text])
    assert not rendered.compiler.problems


def test_braces_in_a_captured_value_stand_for_nothing() -> None:
    assert Rendered("{item}", captured={"item": "{seq} {{"}).data(1) == ["{seq} {{"]


def test_what_stands_for_something_of_each_event_goes_before_what_was_captured() -> None:
    assert Rendered("{seq}", captured={"seq": "x"}).data(2) == [0, 1]


def test_what_nobody_captures_is_told_with_how_to() -> None:
    (problem,) = problems("{shop}", captured={"item": 1})
    assert (problem.what, problem.cure) == (
        "unknown placeholder {shop}",
        "capture it in a step of setup:, capture: {shop: …}, or write {{ and }} for braces that are no placeholder",
    )
    (problem,) = problems("{itm}", captured={"item": 1})
    assert problem.cure == "did you mean {item}?"


def test_a_captured_value_in_double_braces_is_a_mistake() -> None:
    (problem,) = problems("{{ item }}", captured={"item": 1})
    assert (problem.what, problem.cure) == (
        "{{ item }} is the text {item} in every event", "write {item}, in single braces"
    )  # fmt: skip
    assert Rendered("{{ other }}", captured={"item": 1}).data(1) == ["{ other }"]
