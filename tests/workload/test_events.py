"""Events: the official CloudEvents SDK reads what we render, and the seed decides what is in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.model.correlation import CorrelationIds
from evload.model.travel import Encoding, Event
from evload.workload.events import EventSettings, EventType, Renderer, check
from evload.workload.segment import WHOLE, Segment
from evload.workload.templates import TemplateProblem

NOW = "2026-01-02T03:04:05.678900Z"
NOW_TIME = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
IDS = CorrelationIds.for_run("run-1")
PLACEMENT: dict[str, Any] = {
    "type": "placement.created",
    "source": "/evload/placements",
    "key": "{data.video_id}",
    "subject": "placements/{seq}",
    "dataschema": "https://example.com/placement.json",
    "extensions": {"tenant": "{choice:acme}", "hop": "{seq}"},
    "data": {"video_id": "{uuid}", "n": "{int:1..1000000}", "text": 'é "quoted" 100%', "range": {"start": 0}},
}


def renderer(
    *types: tuple[dict[str, Any], float],
    encoding: Encoding | None = None,
    seed: str = "1/baseline",
    scenario: int = 0,
    scenarios: int = 1,
    run_id: str = "run-1",
    segment: Segment = WHOLE,
) -> Renderer:
    return Renderer(
        scenario=scenario,
        scenarios=scenarios,
        types=[
            EventType(index, f"type-{index}", EventSettings.model_validate(them), weight, None)
            for index, (them, weight) in enumerate(types)
        ],
        encoding=encoding or Encoding(),
        ids=CorrelationIds.for_run(run_id),
        run_id=run_id,
        seed=seed,
        segment=segment,
    )


def render(
    count: int, *types: dict[str, Any], mode: Literal["structured", "binary", "plain"], extras: Sequence[str] = ()
) -> list[Event]:
    encoding = Encoding(mode=mode, extras=tuple(extras))
    return renderer(*((them, 1) for them in types), encoding=encoding).render(range(count), NOW)


def decode(event: Event, mode: str) -> BaseCloudEvent:
    message = HTTPMessage(dict(event.headers), event.body)
    return (from_structured if mode == "structured" else from_binary)(message, JSONFormat())


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_official_sdk_reads_our_events(mode: Literal["structured", "binary"]) -> None:
    for seq, event in enumerate(render(3, PLACEMENT, mode=mode)):
        cloud_event = decode(event, mode)
        data = cloud_event.get_data()
        assert isinstance(data, dict)
        correlation_id = IDS.id_of(seq)
        trace = correlation_id.replace("-", "")
        assert dict(cloud_event.get_attributes()) == {
            "specversion": "1.0",
            "id": correlation_id,
            "source": "/evload/placements",
            "type": "placement.created",
            "subject": f"placements/{seq}",
            "time": NOW_TIME,
            "datacontenttype": "application/json",
            "dataschema": "https://example.com/placement.json",
            "partitionkey": data["video_id"],
            "correlationid": correlation_id,
            "testrunid": "run-1",
            "traceparent": f"00-{trace}-{trace[16:]}-01",
            "tenant": "acme",
            "hop": str(seq),
        }
        assert data == {**data, "text": 'é "quoted" 100%', "range": {"start": 0}}
        assert isinstance(data["n"], int)
        assert (event.seq, event.correlation_id, event.intended_ns, event.scenario, event.type, event.key) == (
            seq, correlation_id, seq, 0, 0, data["video_id"],
        )  # fmt: skip


@given(
    st.lists(st.integers(0, 40), max_size=4), st.sampled_from(["structured", "binary", "plain"]), st.integers(1, 3)
)
def test_events_that_are_rendered_together_are_those_rendered_one_by_one(
    batches: list[int], mode: Literal["structured", "binary", "plain"], parts: int
) -> None:
    """Of two types, with whatever can be drawn, and of a part of the schedule."""
    data: Mapping[str, Any] = {
        "at": "{now+1h}", "price": "{float:1.00..9.99}", "no": "{seq:06}", "hex": "{hex:8}", "id": 5
    }  # fmt: skip
    note = {"type": "note.{choice:a,b}", "source": "/notes", "key": "{weighted:x=3,y=1}", "data": data}
    placement = {**PLACEMENT, "data": {**PLACEMENT["data"], "id": "{uuid}"}}
    encoding = Encoding(mode, extras=("{data.id}-{seq}", "constant"))

    def rendered(sizes: Sequence[int]) -> list[tuple[Any, ...]]:
        segment = Segment(1, parts) if parts > 1 else WHOLE
        them = renderer((placement, 2), (note, 1), encoding=encoding, segment=segment)
        events, due = [], 0
        for size in sizes:
            events += them.render(range(due, due + size), NOW)
            due += size
        return [tuple(getattr(event, name) for name in Event.__slots__) for event in events]

    assert rendered(batches) == rendered([1] * sum(batches))


def test_a_batch_is_the_structured_bodies_in_brackets() -> None:
    events = render(4, PLACEMENT, mode="structured")
    batch = json.loads(b"[" + b",".join(event.body for event in events) + b"]")
    decoded = [JSONFormat().read(None, json.dumps(one)) for one in batch]
    assert [one.get_id() for one in decoded] == [event.correlation_id for event in events]


def test_the_content_type_of_each_mode() -> None:
    types = {
        mode: dict(render(1, PLACEMENT, mode=mode)[0].headers)["content-type"]
        for mode in ("structured", "binary", "plain")
    }
    assert types == {
        "structured": "application/cloudevents+json; charset=utf-8",
        "binary": "application/json",
        "plain": "application/json",
    }


def test_plain_is_the_data_alone() -> None:
    (event,) = render(1, PLACEMENT, mode="plain")
    assert json.loads(event.body).keys() == PLACEMENT["data"].keys()
    assert list(event.headers) == [("content-type", "application/json")]


def test_every_mode_carries_the_same_content() -> None:
    structured, binary, plain = (render(5, PLACEMENT, mode=mode) for mode in ("structured", "binary", "plain"))
    assert [event.body for event in binary] == [event.body for event in plain]
    assert [json.loads(event.body)["data"] for event in structured] == [json.loads(event.body) for event in plain]


def test_binary_headers_name_every_attribute_once() -> None:
    (event,) = render(1, PLACEMENT, mode="binary")
    assert sorted(name for name, _ in event.headers) == [
        "ce-correlationid", "ce-dataschema", "ce-hop", "ce-id", "ce-partitionkey", "ce-source", "ce-specversion",
        "ce-subject", "ce-tenant", "ce-testrunid", "ce-time", "ce-traceparent", "ce-type", "content-type",
    ]  # fmt: skip


def test_headers_of_another_binding_have_its_prefix() -> None:
    encoding = Encoding(mode="binary", header_prefix="cloudEvents:")
    (event,) = renderer((PLACEMENT, 1), encoding=encoding).render([0], NOW)
    assert dict(event.headers)["cloudEvents:type"] == "placement.created"


def test_optional_attributes_are_left_out() -> None:
    bare = {"type": "t", "source": "s"}
    (structured,) = render(1, bare, mode="structured")
    assert json.loads(structured.body).keys() == {
        "specversion", "id", "source", "type", "time", "datacontenttype", "correlationid", "testrunid", "traceparent",
    }  # fmt: skip
    assert structured.key is None
    assert [render(1, bare, mode=mode)[0].body for mode in ("binary", "plain")] == [b"", b""]


def test_text_that_is_not_json_is_sent_as_it_stands() -> None:
    note = {"type": "t", "source": "s", "datacontenttype": "text/plain", "data": 'say "{seq}"'}
    assert [render(1, note, mode=mode)[0].body for mode in ("binary", "plain")] == [b'say "0"', b'say "0"']
    assert decode(render(1, note, mode="structured")[0], "structured").get_data() == 'say "0"'


def test_extras_share_the_values_of_the_event() -> None:
    extras = ("/videos/{data.video_id}?key={key}", "{type}", "constant")
    for event in render(3, PLACEMENT, mode="plain", extras=extras):
        video = json.loads(event.body)["video_id"]
        assert list(event.extras) == [f"/videos/{video}?key={video}", "placement.created", "constant"]


TEXT = st.text() | st.text(alphabet='"\\{}%\n\x00é😀')


@given(TEXT.filter(bool), TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
@settings(deadline=None)
def test_any_text_in_any_attribute_is_read_back(source: str, subject: str, extension: str, data: Any) -> None:
    def escape(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    them = {
        "type": "t",
        "source": escape(source),
        "subject": escape(subject),
        "extensions": {"x": escape(extension)},
        "data": {name: escape(value) for name, value in data.items()},
    }
    body = json.loads(render(1, them, mode="structured")[0].body)
    assert (body["source"], body["subject"], body["x"], body["data"]) == (source, subject, extension, data)


def contents(events: Sequence[Event]) -> list[tuple[int, Any, str | None]]:
    return [(event.type, json.loads(event.body).get("data"), event.key) for event in events]


FIVE = [({**PLACEMENT, "type": f"t{n}"}, weight) for n, weight in enumerate([3, 2, 2, 1, 1])]


def test_the_seed_alone_decides_types_and_contents() -> None:
    first = renderer(*FIVE).render(range(200), NOW)
    chunked = renderer(*FIVE, run_id="run-2", scenario=1, scenarios=3)
    second = [event for size in (1, 0, 60, 139) for event in chunked.render(range(size), "later")]
    assert contents(first) == contents(second)
    assert contents(first) != contents(renderer(*FIVE, seed="2/baseline").render(range(200), NOW))
    same = renderer(*FIVE).render(range(200), NOW)
    assert [event.body for event in first] == [event.body for event in same]


def test_every_type_draws_for_itself() -> None:
    first, second = render(1, PLACEMENT, mode="plain"), renderer((PLACEMENT, 0.001), (PLACEMENT, 1)).render([0], NOW)
    assert second[0].type == 1
    assert first[0].key != second[0].key


def test_types_follow_their_weights() -> None:
    counts = Counter(event.type for event in renderer(*FIVE).render(range(9000), NOW))
    assert all(abs(counts[index] - 1000 * weight) < 200 for index, (_, weight) in enumerate(FIVE))


def test_numbers_are_unique_among_scenarios_and_follow_one_another_in_each() -> None:
    seqs = []
    for scenario in range(3):
        one = renderer((PLACEMENT, 1), scenario=scenario, scenarios=3)
        events = one.render(range(5), NOW) + one.render(range(5), NOW)
        assert [event.seq for event in events] == [n * 3 + scenario for n in range(10)]
        assert {event.scenario for event in events} == {scenario}
        seqs += [IDS.seq_of(event.correlation_id) for event in events]
    assert sorted(seq for seq in seqs if seq is not None) == list(range(30))


def test_check_loads_the_records_and_the_renderer_uses_them(tmp_path: Path) -> None:
    (tmp_path / "skus.csv").write_text("sku\na\nb\n")
    them = EventSettings(type="t", source="s", records="skus.csv", data={"sku": "{record.sku}"})
    checked = check(them, tmp_path, Path.read_bytes)
    assert not checked.problems
    one = Renderer(
        scenario=0, scenarios=1, types=[EventType(4, "t", them, 1, checked.records)],
        encoding=Encoding(mode="plain"), ids=IDS, run_id="run-1", seed="1",
    )  # fmt: skip
    assert [(event.type, event.body) for event in one.render(range(3), NOW)] == [
        (4, b'{"sku":"a"}'), (4, b'{"sku":"b"}'), (4, b'{"sku":"a"}'),
    ]  # fmt: skip


def test_check_finds_every_problem_in_its_place(tmp_path: Path) -> None:
    them = EventSettings(
        type="{typ}", source="s", key="{data.video}", subject="{sek}", dataschema="{", datacontenttype="text/plain",
        extensions={"x": "}"}, data={"video_id": "{uid}"},
    )  # fmt: skip
    found = check(them, tmp_path, Path.read_bytes, extras=["fine", "{correlationid}"]).problems
    assert {problem.path for problem in found} == {
        ("type",), ("key",), ("subject",), ("dataschema",), ("extensions", "x"), ("data", "video_id"), ("data",),
        ("extras", 1),
    }  # fmt: skip
    assert len(found) == 8


def test_a_missing_data_file_is_the_only_problem_reported(tmp_path: Path) -> None:
    them = EventSettings(type="t", source="s", records="no.csv", data="{record.sku}")
    (problem,) = check(them, tmp_path, Path.read_bytes).problems
    assert problem.path == ("records",)
    assert str(problem).startswith("data file no.csv doesn't exist; put it at ")


def test_a_renderer_refuses_a_wrong_template() -> None:
    with pytest.raises(TemplateProblem, match=r"unknown placeholder \{sek\}; did you mean \{seq\}\?"):
        renderer(({**PLACEMENT, "subject": "{sek}"}, 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Tenant", "write 1 to 20 lower-case letters and digits"),
        ("tenant-id", "write 1 to 20 lower-case letters and digits"),
        ("x" * 21, "write 1 to 20 lower-case letters and digits"),
        ("", "write 1 to 20 lower-case letters and digits"),
        ("time", "choose another name"),
        ("traceparent", "choose another name"),
    ],
)
def test_extensions_have_names_of_their_own(name: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EventSettings(type="t", source="s", extensions={name: "value"})
    (error,) = caught.value.errors()
    assert error["loc"][:2] == ("extensions", name)
    assert message in error["msg"]


def test_a_wrong_key_of_the_settings_is_an_error_in_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        EventSettings.model_validate({"type": "", "source": "s", "records": {"file": "a.csv", "sort": 1}, "dta": {}})
    assert {error["loc"] for error in caught.value.errors()} == {("type",), ("records", "sort"), ("dta",)}
