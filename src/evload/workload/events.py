"""Events: their settings, and a renderer that turns due times into CloudEvents ready for the transport.

What is constant in an event is joined while the config is compiled; per event only the slots are filled.
Attributes are those of CloudEvents 1.0 with the extensions `partitionkey` (where there is a key),
`correlationid`, `testrunid` and `traceparent`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress, repeat
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, Field

from ..model.correlation import CorrelationIds
from ..model.travel import Encoding, Event
from ..settings import Settings
from . import records
from .draws import slots
from .records import DataFileError, Records, RecordSettings
from .segment import WHOLE, Segment
from .templates import (
    SEQ_DIGITS,
    Column,
    Compiler,
    Fill,
    FillAll,
    Late,
    Parts,
    TemplatePath,
    TemplateProblem,
    fill,
    fill_all,
)

_RESERVED: Final = frozenset(
    {
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data",
        "partitionkey", "correlationid", "testrunid", "traceparent",
    }
)  # fmt: skip
_EXTENSION_NAME: Final = re.compile(r"[a-z0-9]{1,20}")
_JSON_TYPE: Final = re.compile(r"(application|text)/([\w.-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_STRUCTURED_TYPE: Final = "application/cloudevents+json; charset=utf-8"

_TOGETHER: Final = 8
"""Fewer events are rendered sooner one by one."""


def _extension_name(name: str) -> str:
    if name in _RESERVED:
        raise ValueError(f"{name!r} is not free for an extension; it is set already, choose another name")
    if not _EXTENSION_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name for an extension; write 1 to 20 lower-case letters and digits")
    return name


class EventSettings(Settings):
    """One type of event. All texts are templates."""

    type: Annotated[str, Field(min_length=1, description="CloudEvents type")]
    source: Annotated[str, Field(min_length=1, description="CloudEvents source")]
    key: Annotated[str | None, Field(description="ordering key; sent as partitionkey")] = None
    subject: Annotated[str | None, Field(description="CloudEvents subject")] = None
    dataschema: Annotated[str | None, Field(description="URI of the schema of data")] = None
    datacontenttype: Annotated[str, Field(min_length=1, description="media type of data")] = "application/json"
    data: Annotated[Any, Field(description="any JSON; its texts are templates")] = None
    records: Annotated[RecordSettings | None, Field(description="data file that fills {record.…}")] = None
    extensions: Annotated[
        dict[Annotated[str, AfterValidator(_extension_name)], str],
        Field(description="more CloudEvents attributes"),
    ] = {}


class Checked(NamedTuple):
    """What `check` found: the loaded data file, and every template that can't be used."""

    records: Records | None
    problems: tuple[TemplateProblem, ...]


@dataclass(frozen=True, slots=True)
class EventType:
    """One of the types of event that a scenario sends.

    index    its number in the plan
    weight   its share of the events is weight / sum of weights; above 0
    records  what `check` loaded
    captured what the set-up has captured, by the names that stand for it
    late     what is known only when it is made
    random   draws all that is drawn for it, in place of generators of its own
    """

    index: int
    name: str
    settings: EventSettings
    weight: float
    records: Records | None
    captured: Mapping[str, Any] = field(default_factory=dict)
    late: Late | None = None
    random: Random | None = None


def check(
    settings: EventSettings,
    base_dir: Path,
    read: records.Read,
    extras: Sequence[str] = (),
    captured: Collection[str] = (),
) -> Checked:
    """Load the data file and try all templates, `extras` (those of a producer, as in its Encoding) included.

    `read` gives what is in a file. `captured` are the names of what the set-up will capture. The path of a problem
    starts at the settings: `("data", "video_id")`; that of an extra is `("extras", index)`.
    """
    loaded: Records | None = None
    if settings.records:
        try:
            loaded = records.load(settings.records, base_dir, read)
        except DataFileError as error:
            # Without the file every {record.…} would be wrong as well, which helps nobody.
            return Checked(None, (TemplateProblem(("records",), error.what, error.cure),))
    event_type = EventType(0, "", settings, 1, loaded, stand_ins(captured))
    compiled = Compiled(event_type, Encoding(extras=tuple(extras)), CorrelationIds(0), "", "")
    return Checked(loaded, compiled.problems)


def stand_ins(captured: Iterable[str]) -> Mapping[str, Any]:
    """What stands for values that nobody has captured yet: their names in braces."""
    return {name: f"{{{name}}}" for name in captured}


class Renderer:
    """The events of one scenario, one after another.

    Event n of the scenario (from 0) has seq = n · scenarios + scenario, so that a seq is unique in the run
    and says nothing about timing. The types follow their weights; what type event n has, and what is in the
    n-th event of a type, depend on the seed alone (the ids, `{run_id}` and `{now}` excepted).

    With a segment it hands out the events of that segment alone. What is drawn for the others is drawn all the same,
    so that every event is the one that it would be in the whole schedule.
    """

    def __init__(
        self,
        *,
        scenario: int,
        scenarios: int,
        types: Sequence[EventType],
        encoding: Encoding,
        ids: CorrelationIds,
        run_id: str,
        seed: str,
        segment: Segment = WHOLE,
    ) -> None:
        """`seed` must differ between scenarios. Raises TemplateProblem if a template can't be used."""
        self._scenario = scenario
        self._segment = segment
        self._scenarios = scenarios
        self._next_seq = scenario
        self._types = [
            Compiled(event_type, encoding, ids, run_id, f"{seed}/{event_type.name}") for event_type in types
        ]
        for compiled in self._types:
            if compiled.problems:
                raise compiled.problems[0]
        self._cumulative = list(accumulate(event_type.weight for event_type in types))
        self._rng = Random(f"{seed}/types")

    def render(self, intended: Sequence[int], now: str) -> list[Event]:
        """The next events, due at `intended` (nanoseconds). `now` is RFC 3339 text and becomes their `time`."""
        seqs = range(self._next_seq, self._next_seq + len(intended) * self._scenarios, self._scenarios)
        self._next_seq = seqs.stop
        if len(self._types) == 1:
            return self._of(self._types[0], seqs, intended, now)
        chosen = self._rng.choices(self._types, cum_weights=self._cumulative, k=len(intended))
        events: list[Event] = []
        for compiled in self._types:
            own = [one is compiled for one in chosen]
            events += self._of(compiled, list(compress(seqs, own)), list(compress(intended, own)), now)
        events.sort(key=attrgetter("seq"))
        return events

    def _of(self, compiled: Compiled, seqs: Sequence[int], intended: Sequence[int], now: str) -> list[Event]:
        """The next events of a type, those of them that belong to the segment."""
        if not seqs:
            return []
        if len(seqs) < _TOGETHER and self._segment.of == 1:
            return [compiled.event(seq, self._scenario, at, now) for seq, at in zip(seqs, intended, strict=True)]
        columns = compiled.draw_all(seqs, now)
        if self._segment.of > 1:
            numbers = [seq // self._scenarios for seq in seqs]
            own = list(map(self._segment.has, numbers, compiled.keys(columns)))
            if not any(own):
                return []
            columns = [list(compress(column, own)) for column in columns]
            seqs, intended = list(compress(seqs, own)), list(compress(intended, own))
        return compiled.events(columns, seqs, self._scenario, intended)


class _Text(NamedTuple):
    """What fills a template: for one event, and for some together."""

    one: Fill
    all: FillAll

    @classmethod
    def of(cls, parts: Parts) -> _Text:
        return cls(fill(parts), fill_all(parts))


class Compiled:
    """One event type, compiled for one encoding."""

    def __init__(
        self, event_type: EventType, encoding: Encoding, ids: CorrelationIds, run_id: str, seed: str
    ) -> None:
        settings = event_type.settings
        fields = {name: getattr(settings, name) for name in ("type", "source", "subject", "key", "data")}
        compiler = Compiler(
            fields, prefix=ids.prefix, run_id=run_id, seed=seed, records=event_type.records,
            captured=event_type.captured, late=event_type.late, random=event_type.random,
        )  # fmt: skip
        self._index = event_type.index
        self._prefix = ids.prefix
        self._draws = compiler.draws
        self._key = _Text.of(compiler.text(settings.key, ("key",))) if settings.key is not None else None
        if encoding.mode == "structured":
            body = _structured_body(compiler, settings, ids)
            headers: list[tuple[str, Parts]] = [("content-type", (_STRUCTURED_TYPE,))]
        else:
            body = _data(compiler, settings)
            headers = [("content-type", compiler.text(settings.datacontenttype, ("datacontenttype",)))]
        if encoding.mode == "binary":
            headers += [
                (encoding.header_prefix + name, compiler.text(template, path))
                for name, template, path in _attributes(settings)
                if name != "datacontenttype"
            ]
            headers.append((f"{encoding.header_prefix}traceparent", _traceparent(ids)))
        self._body = _Text.of(body)
        self._headers = [(name, _Text.of(parts)) for name, parts in headers]
        constant = all(isinstance(part, str) for _, parts in headers for part in parts)
        self._constant_headers = tuple((name, value.one(())) for name, value in self._headers) if constant else None
        self._extras = [_Text.of(compiler.text(extra, ("extras", i))) for i, extra in enumerate(encoding.extras)]
        if settings.data is not None and not isinstance(settings.data, str) and not _is_json(settings):
            what = f"data of type {settings.datacontenttype} isn't text"
            cure = "write it as one text, or use a datacontenttype of JSON"
            compiler.problems.append(TemplateProblem(("data",), what, cure))
        self.problems = tuple(compiler.problems)
        self.needs = frozenset(compiler.used)
        """What is late, and has to be known before one is made."""
        self.draws_at_random = compiler.draws_at_random

    def event(self, seq: int, scenario: int, intended_ns: int, now: str) -> Event:
        """The next one, by itself."""
        values = slots(self._draws, seq, now)
        return Event(
            seq,
            self._prefix + values[SEQ_DIGITS],
            scenario,
            self._index,
            intended_ns,
            self._key.one(values) if self._key else None,
            self._body.one(values).encode(),
            self._constant_headers or [(name, value.one(values)) for name, value in self._headers],
            [extra.one(values) for extra in self._extras] if self._extras else (),
        )

    def draw_all(self, seqs: Sequence[int], now: str) -> list[Column]:
        """What goes into the slots of the next events, one at least."""
        columns: list[Column] = [[f"{seq:012x}" for seq in seqs], [now] * len(seqs), list(map(str, seqs))]
        for draw in self._draws:
            columns += zip(*map(draw, zip(*columns, strict=True)), strict=True)
        return columns

    def keys(self, columns: Sequence[Column]) -> Iterable[str | None]:
        return self._key.all(columns) if self._key else repeat(None, len(columns[0]))

    def events(
        self, columns: Sequence[Column], seqs: Sequence[int], scenario: int, intended: Sequence[int]
    ) -> list[Event]:
        """The events with these slots, one at least: as `event` has them, in two thirds of its time for each."""
        headers: Iterable[Sequence[tuple[str, str]]] = repeat(self._constant_headers or ())
        if self._constant_headers is None:
            pairs = [[(name, text) for text in value.all(columns)] for name, value in self._headers]
            headers = map(list, zip(*pairs, strict=True))
        extras: Iterable[Sequence[str]] = repeat(())
        if self._extras:
            extras = map(list, zip(*[extra.all(columns) for extra in self._extras], strict=True))
        return list(
            map(
                Event,
                seqs,
                [self._prefix + digits for digits in columns[SEQ_DIGITS]],
                repeat(scenario),
                repeat(self._index),
                intended,
                self.keys(columns),
                map(str.encode, self._body.all(columns)),
                headers,
                extras,
            )
        )


def _attributes(settings: EventSettings) -> list[tuple[str, str, TemplatePath]]:
    """Name, template and where it comes from, of all CloudEvents attributes but `traceparent`."""
    attributes: list[tuple[str, str | None, TemplatePath]] = [
        ("specversion", "1.0", ("specversion",)),
        ("id", "{correlation_id}", ("id",)),
        ("source", settings.source, ("source",)),
        ("type", settings.type, ("type",)),
        ("subject", settings.subject, ("subject",)),
        ("time", "{now}", ("time",)),
        ("datacontenttype", settings.datacontenttype, ("datacontenttype",)),
        ("dataschema", settings.dataschema, ("dataschema",)),
        ("partitionkey", settings.key, ("key",)),
        ("correlationid", "{correlation_id}", ("correlationid",)),
        ("testrunid", "{run_id}", ("testrunid",)),
        *((name, template, ("extensions", name)) for name, template in settings.extensions.items()),
    ]
    return [(name, template, path) for name, template, path in attributes if template is not None]


def _traceparent(ids: CorrelationIds) -> Parts:
    """W3C trace context: the correlation id is the trace, its last 64 bits are the span, and it is sampled."""
    trace = ids.prefix.replace("-", "")
    return (f"00-{trace}", SEQ_DIGITS, f"-{trace[-4:]}", SEQ_DIGITS, "-01")


def _structured_body(compiler: Compiler, settings: EventSettings, ids: CorrelationIds) -> Parts:
    body: list[str | int] = []
    for name, template, path in _attributes(settings):
        body += [f'{"," if body else "{"}"{name}":', *compiler.string(template, path)]
    body += [',"traceparent":"', *_traceparent(ids), '"']
    if settings.data is not None:
        body += [',"data":', *compiler.json(settings.data, ("data",))]
    return (*body, "}")


def _data(compiler: Compiler, settings: EventSettings) -> Parts:
    """The data on its own: text that isn't JSON is sent as it stands."""
    if settings.data is None:
        return ()
    if isinstance(settings.data, str) and not _is_json(settings):
        return compiler.text(settings.data, ("data",))
    return compiler.json(settings.data, ("data",))


def _is_json(settings: EventSettings) -> bool:
    return _JSON_TYPE.fullmatch(settings.datacontenttype) is not None
