"""What came from the environment is taken out of every text of a report, wherever it got into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from evload.model.report import CheckResult, Insight, Report, Result, Severity, WorstEvent
from evload.model.timeline import LatencyOverTime, Timeline
from evload.report.document import document
from evload.report.redaction import redacted
from tests.rigs.sink_reports import finished
from tests.rigs.summaries import scenario

SECRET: Final = "hush"


def masked(text: str) -> str:
    return text.replace(SECRET, "${TOKEN}")


def talkative() -> Report:
    """A report of which every text that an answer, an error or the config can be part of holds the secret."""
    told = finished()
    first, *others = told.objectives
    worst = WorstEvent(
        "01234567-89ab-8cde-8000-000000000007", "00-0-0-01", "calm", "created", "hush-key", "lost",
        ((0.1, "due"), (0.2, "answered: hush is not welcome")),
    )  # fmt: skip
    loud = replace(first, expression="p99(publish) < hush", scope="key=hush-*", note="no hush", worst=(worst,))
    told.summary.scenarios["calm"].slices = {"key=hush-*": scenario({}, visible=7)}
    told.summary.vitals.aborted = "p99(publish) < hush [key=hush-*]"
    told.summary.vitals.abort_note = "ended after 40s: hush came to 3"
    told.summary.vitals.replicas = {"read-model": ["hush-1", "b"]}
    latency = LatencyOverTime([{}], [{}], [0])
    evidence: dict[str, float | str] = {"key": "hush-key", "events": 3, "at_s": 0.5}
    return replace(
        told,
        name="a hush run",
        not_undone="NOT UNDONE: slow (hush says no)",
        objectives=[loud, *others],
        checks=[CheckResult("resolution", Result.INVALID, 0.5, 0.1, "p99(publish) < hush: 5 can't be told")],
        insights=[Insight("lost", Severity.BAD, "3 were lost, with the key hush-key.", evidence, (0, 5))],
        timeline=Timeline(
            1_000_000_000, 1,
            parts={("calm", "read-model", "hush-1"): latency, ("calm", "read-model", ""): latency},
            keys={("calm", "lost"): [("hush-key", 3), ("other", 1)]},
        ),
    )  # fmt: skip


def texts(part: Any) -> Iterator[str]:
    """Every text in a structure, also those that are names in it."""
    if isinstance(part, str):
        yield part
    elif is_dataclass(part):
        for each in fields(part):
            yield from texts(getattr(part, each.name))
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from texts(key)
            yield from texts(value)
    elif isinstance(part, Sequence | Set):
        for each in part:
            yield from texts(each)


def test_no_text_of_a_report_keeps_a_secret() -> None:
    before = talkative()
    assert len([text for text in texts(before) if SECRET in text]) == 16
    assert [text for text in texts(redacted(before, masked)) if SECRET in text] == []


def test_the_texts_are_the_same_but_for_the_secret_and_all_figures_stay() -> None:
    before = talkative()
    assert document(redacted(before, masked)) == _masked(document(before))
    told = redacted(before, masked)
    assert told.name == "a ${TOKEN} run"
    (insight,) = told.insights
    assert (insight.sentence, insight.span_ns) == ("3 were lost, with the key ${TOKEN}-key.", (0, 5))
    assert insight.evidence == {"key": "${TOKEN}-key", "events": 3, "at_s": 0.5}
    assert told.timeline is not None
    assert list(told.timeline.parts) == [("calm", "read-model", "${TOKEN}-1"), ("calm", "read-model", "")]
    assert told.timeline.keys == {("calm", "lost"): [("${TOKEN}-key", 3), ("other", 1)]}


def test_a_report_without_a_timeline_or_a_key_has_none_afterwards() -> None:
    bare = replace(talkative(), timeline=None)
    objective = replace(bare.objectives[0], worst=(replace(bare.objectives[0].worst[0], key=None),))
    told = redacted(replace(bare, objectives=[objective]), masked)
    assert (told.timeline, told.objectives[0].worst[0].key) == (None, None)


def _masked(data: Any) -> Any:
    if isinstance(data, str):
        return masked(data)
    if isinstance(data, dict):
        return {_masked(key): _masked(value) for key, value in data.items()}
    return [_masked(one) for one in data] if isinstance(data, list) else data
