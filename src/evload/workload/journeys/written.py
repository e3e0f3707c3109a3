"""How a journey is written in a config, and what is meant by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal, NoReturn, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from ...model.iteration import Awaits
from ...model.statuses import Statuses, expand_statuses
from ...settings import Name, Settings
from ...units import SIZE_RANGE_HELP, Duration, DurationRange, Size, format_size, parse_size_range, told
from .placeholders import TAKEN, placeholders
from .settings import (
    TAKE_WITHIN_NS,
    Branch,
    Capture,
    Choose,
    Continue,
    Counted,
    EventStep,
    FileSettings,
    JourneySettings,
    RequestStep,
    Retry,
    Step,
    Think,
    WaitStep,
)
from .uploads import MOST
from .wanted import SHA256_HELP, check_sha256

T = TypeVar("T")

METHODS: Final[tuple[str, ...]] = ("get", "post", "put", "patch", "delete", "head", "options")
_BODIES: Final[tuple[str, ...]] = ("json", "form", "body", "file")
_OF_REQUESTS: Final = (
    *_BODIES, "files", "headers", "query", "expect", "refused", "capture", "check", "size", "sha256", "retry", "else",
)  # fmt: skip
_OF_WAITS: Final[Mapping[Awaits, Sequence[str]]] = {
    "wait": ("of", "until", "within", "capture", "on_failed"),
    "absent": ("of", "for", "on_failed"),
    "gone": ("of", "within", "on_failed"),
}
"""What can be said of a step that waits for a probe, by what it waits for."""
_NOT_OF_ALL: Final = {
    "until": "until goes with wait: PROBE; leave it out",
    "capture": "nothing can be captured of what isn't there; leave it out",
    "for": "for goes with absent: PROBE; write within: for how long it waits at most",
    "within": "within goes with what is waited for; write for: how long nothing may appear",
}
"""What belongs to another kind of them."""
_KEYWORDS: Final = ("think", "choose", "continue", "finally", "else")
_VARIABLE: Final = re.compile(r"[a-z_][A-Za-z0-9_]{0,99}")
_STEP_HELP: Final = "write its name and what it does, such as pay: {to: shop, post: /payments}"
_DOES_HELP: Final = "write a method with a path, such as post: /orders, or event: NAME"
_MOST_RETRIES: Final = 100
_SIZE_PATTERN: Final = r"\s*[0-9.]+\s*(B|KB|MB|GB|KiB|MiB|GiB)\s*"
_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(?:;[ \t]*[\w.+-]+=[\w.+\"-]+)*", re.ASCII)
_TYPES: Final[Mapping[str, str]] = {
    ".csv": "text/csv", ".gif": "image/gif", ".gz": "application/gzip", ".html": "text/html", ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg", ".json": "application/json", ".mp3": "audio/mpeg", ".mp4": "video/mp4",
    ".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml", ".txt": "text/plain",
    ".webm": "video/webm", ".webp": "image/webp", ".xml": "application/xml", ".zip": "application/zip",
}  # fmt: skip
"""What a file holds by the end of its name, on every machine alike."""
Found = tuple[tuple[str | int, ...], str]
"""A place in the data, and what is wrong there: `what; cure`."""


def refuse(title: str, found: Iterable[Found]) -> NoReturn:
    raise ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(type="value_error", loc=place, input=..., ctx={"error": ValueError(text)})
            for place, text in found
        ],
    )


def of_key(*place: str | int) -> tuple[str | int, ...]:
    """The place of a key, and not of its value."""
    return (*place, "[key]")


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        cure = "write a small letter, and then letters, digits and '_'"
        raise ValueError(f"{text!r} is not a name that can stand in braces; {cure}")
    if text in TAKEN:
        raise ValueError(f"{{{text}}} stands for something else already; call it otherwise, such as the_{text}")
    return text


def _some(written: tuple[T, ...]) -> tuple[T, ...]:
    """Not by `min_length`, which would tell once more, further up, of each mistake in the only item."""
    if not written:
        raise ValueError(f"there is no step; {_STEP_HELP}")
    return written


def _is_template(value: Any) -> bool:
    """Whether it is made of what is known when the step is sent. Raises ValueError where that was meant."""
    if isinstance(value, Mapping) and len(value) == 1 and None in value.values():
        name = next(iter(value))
        raise ValueError(f'{{{name}}} without quotes is a mapping, and no placeholder; write "{{{name}}}"')
    return isinstance(value, str) and bool(placeholders(value))


def _as_size(value: Any) -> Any:
    """A template is left as it is: what it gives is looked at when it is there."""
    if not _is_template(value):
        parse_size_range(value)
    return value


def _as_sha256(value: Any) -> Any:
    if not _is_template(value):
        check_sha256(value)
    return value


WantedSize = Annotated[
    str,
    BeforeValidator(_as_size),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^({_SIZE_PATTERN}(\.\.\s*{_SIZE_PATTERN})?|.*\{{.*\}}.*)$",
            "examples": ["100KB..50MB"],
        }
    ),
]
WantedSha256 = Annotated[
    str,
    BeforeValidator(_as_sha256),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9a-fA-F]{64}|.*\{.*\}.*)$"}),
]


def _with_values(written: Any) -> Any:
    """Say of probes for which nothing is said to be asked what would be right."""
    example = '{order-view: "{order}"}'
    if isinstance(written, Mapping):
        if not written:
            raise ValueError(f"no probe is named; write probes: {example}, or leave it out")
        return written
    names = [written] if isinstance(written, str) else written if isinstance(written, list) else []
    if names and isinstance(names[0], str):
        example = f'{{{names[0]}: "{{order}}"}}'
    raise ValueError(f"nothing says what to ask these probes for; write probes: {example}")


Variable = Annotated[str, AfterValidator(_variable)]
NotEmpty = Annotated[tuple[T, ...], AfterValidator(_some), Field(json_schema_extra={"minItems": 1})]


class WrittenCapture(Settings):
    """What is taken out of an answer."""

    model_config = ConfigDict(title="Capture")

    from_: Annotated[str, Field(alias="from", description="JMESPath over status, headers, body and vars")]
    secret: Annotated[bool, Field(description="it appears in no output")] = False


_RETRY_HELP: Final = "write one such as {on: [429], times: 3}, or leave it out"
_FILE_HELP: Final = "write one such as {path: logo.png} or {size: 5MB}, or leave it out"


class WrittenRetry(Settings):
    """When a request is sent once more."""

    model_config = ConfigDict(title="Retry")

    on: Annotated[Statuses, Field(description="statuses of an answer after which it is sent again")]
    times: Annotated[int, Field(ge=1, le=_MOST_RETRIES, description="how often at most, beside the first time")]
    after: Annotated[
        Duration | Literal["retry-after"], Field(description="the wait before it, or as the answer asks for")
    ] = "retry-after"

    def meant(self) -> Retry:
        return Retry(expand_statuses(self.on), self.times, self.after if isinstance(self.after, int) else None)


class WrittenFile(Settings):
    """A file that is sent: one that there is, or so many bytes that are drawn."""

    model_config = ConfigDict(
        title="File", json_schema_extra={"anyOf": [{"required": ["path"]}, {"required": ["size"]}]}
    )

    path: Annotated[str | None, Field(min_length=1, description="where it is, seen from the config")] = None
    size: Annotated[Size | None, Field(description="so many bytes, drawn from the seed; the same each time")] = None
    type: Annotated[str, Field(description="what it holds, such as image/png")] = ""
    as_: Annotated[
        Variable | None,
        Field(alias="as", description="name for {NAME.sha256} and {NAME.size}; that of the file else"),
    ] = None

    @field_validator("type")
    @classmethod
    def _is_a_type(cls, text: str) -> str:
        if text and not _TYPE.fullmatch(text):
            raise ValueError(f"{text!r} is no type of content; write one such as image/png")
        return text

    @field_validator("size")
    @classmethod
    def _is_not_too_large(cls, size: int | None) -> int | None:
        if size is not None and size > MOST:
            raise ValueError(f"{format_size(size)} is too large to be sent; write {format_size(MOST)} or less")
        return size

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.path is None) == (self.size is None):
            which = "neither a path nor a size" if self.path is None else "a path and a size"
            raise ValueError(f"this file has {which}; write {{path: logo.png}} or {{size: 5MB}}")
        return self

    def meant(self, field: str) -> FileSettings:
        """`field` is what it is called where it stands."""
        path = PurePosixPath(self.path or "")
        guessed = _TYPES.get(path.suffix.lower(), "application/octet-stream")
        named = (self.as_, path.stem, field)
        known_as = next((name for name in named if name and _VARIABLE.fullmatch(name) and name not in TAKEN), "")
        return FileSettings(self.path, self.size, self.type or guessed, path.name or f"{field}.bin", known_as)


class WrittenBranch(Settings):
    """Steps that are chosen as often as their weight says."""

    model_config = ConfigDict(title="Branch")

    weight: Annotated[float, Field(gt=0, allow_inf_nan=False, description="its share is this of the sum of weights")]
    steps: Annotated[NotEmpty[WrittenStep], Field(description="what is done then")]


class WrittenSending(Settings):
    """A step that sends a request or an event, or waits for what a probe shows, or doesn't show."""

    model_config = ConfigDict(
        title="Request, event or wait",
        json_schema_extra={
            "anyOf": [
                {"required": ["to"]},
                {"required": ["wait", "of"]},
                {"required": ["absent", "of", "for"]},
                {"required": ["gone", "of"]},
            ]
        },
    )

    to: Annotated[str, Field(description="name of a producer; of kind http for a request")] = ""
    event: Annotated[str, Field(description="name of the event that is sent")] = ""
    get: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    post: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    put: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    patch: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    delete: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    head: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    options: Annotated[str, Field(description="path below the producer's address, and its query")] = ""
    json_: Annotated[Any, Field(alias="json", description="a JSON body; its texts are templates")] = None
    form: Annotated[Mapping[str, str], Field(description="a body as browsers send a form; texts are templates")] = {}
    body: Annotated[str, Field(description="a body as it is, a template")] = ""
    file: Annotated[WrittenFile | None, Field(description="a file as the body")] = None
    files: Annotated[
        Mapping[str, WrittenFile],
        Field(
            description="files in a form, by the names of their fields, beside those of form: (multipart/form-data)"
        ),
    ] = {}
    headers: Annotated[Mapping[str, str], Field(description="headers of this request alone, templates")] = {}
    query: Annotated[Mapping[str, str], Field(description="parameters behind the path, templates")] = {}
    expect: Annotated[Statuses, Field(description="statuses of an answer that is ok")] = ("2xx",)
    refused: Annotated[Statuses, Field(description="statuses of a legitimate no, which ends the iteration")] = ()
    capture: Annotated[
        Mapping[Variable, str | WrittenCapture],
        Field(description="what later steps know: an expression over the answer by the name for it"),
    ] = {}
    check: Annotated[Mapping[Name, str], Field(description="what has to be true of the answer, each by a name")] = {}
    size: Annotated[
        WantedSize | None,
        Field(description='bytes of the body of the answer: a size, a range such as 100KB..50MB, or "{captured}"'),
    ] = None
    sha256: Annotated[
        WantedSha256 | None,
        Field(description='hash of the body of the answer: 64 hexadecimal digits, or "{captured}"'),
    ] = None
    retry: Annotated[WrittenRetry | None, Field(description="when it is sent once more")] = None
    else_: Annotated[
        NotEmpty[WrittenStep],
        Field(alias="else", description="what is done after a refusal; continue: true goes on then"),
    ] = ()
    give: Annotated[Mapping[Name, str], Field(description="what is put into pools after it: a template by pool")] = {}
    take: Annotated[
        Mapping[Variable, Name],
        Field(description="what is taken out of pools before: the pool by the name for it"),
    ] = {}
    probes: Annotated[
        Mapping[str, str],
        BeforeValidator(_with_values),
        Field(
            description="who follows its effect after an answer that is ok: what to ask for, a template, by probe",
            json_schema_extra={"minProperties": 1},
        ),
    ] = {}
    wait: Annotated[str, Field(description="name of a probe: go on once it shows what is asked for")] = ""
    absent: Annotated[str, Field(description="name of a probe: it must not show what is asked for")] = ""
    gone: Annotated[str, Field(description="name of a probe: go on once it shows no more what it showed before")] = ""
    of: Annotated[str, Field(description="the id that the probe is asked for, a template")] = ""
    for_: Annotated[Duration | None, Field(alias="for", ge=1, description="how long it must stay absent")] = None
    until: Annotated[
        str, Field(description="JMESPath in place of the probe's visible, such as body.status == 'paid'")
    ] = ""
    on_failed: Annotated[
        NotEmpty[WrittenStep],
        Field(description="what is done where it doesn't come to that in time; continue: true goes on then"),
    ] = ()
    within: Annotated[Duration | None, Field(description="how long it waits, for that or for what it takes")] = None

    @property
    def _given(self) -> list[str]:
        """The keys that are written, in the order of the fields."""
        return [name.removesuffix("_") for name in type(self).model_fields if name in self.model_fields_set]

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if found := [*self._contradictions()]:
            refuse("step", found)
        return self

    def _contradictions(self) -> Iterable[Found]:
        given = self._given
        for name, cure in (("within", "write one such as 10s, or leave it out"), ("for", "write one such as 5s")):
            if name in given and getattr(self, "for_" if name == "for" else name) is None:
                yield (name,), f"nothing stands behind {name}; {cure}"
        if self._awaits is not None:
            yield from self._about_wait(self._awaits, given)
            return
        for name in ("of", "until", "on_failed", "for"):
            if name in given:
                with_what = "absent" if name == "for" else "wait"
                yield of_key(name), f"{name} goes with {with_what}: PROBE; leave it out"
        if "to" not in given:
            yield (), "nothing says where this step sends; add to: PRODUCER"
        methods = [name for name in METHODS if name in given]
        if "event" in given:
            for name in methods:
                yield of_key(name), f"{name} and event are two things to do; make them two steps"
            for name in _OF_REQUESTS if not methods else ():
                if name in given:
                    yield of_key(name), f"{name} belongs to a request, and this is an event; leave it out"
        elif not methods:
            yield (), f"nothing says what this step does; {_DOES_HELP}"
        for name in methods[1:]:
            yield of_key(name), f"{methods[0]} and {name} are two requests; make them two steps"
        for name in methods:
            if wrong := _wrong_with_path(getattr(self, name)):
                yield (name,), wrong
        bodies = [name for name in _BODIES if name in given]
        for name in bodies[1:]:
            yield of_key(name), f"a request has one body, and this has {bodies[0]} and {name}; keep one of them"
        for name in bodies if self.files else ():
            if name != "form":
                yield (
                    of_key(name),
                    f"files are sent in a form, and this has {name}, too; keep one of them, or use form",
                )
        if (self.files or self.file) and (given_type := _find(self.headers, "content-type")):
            cure = "write type: of the file" if self.file else "leave it out"
            yield ("headers", given_type, "[key]"), f"the content type is that of what is uploaded; {cure}"
        expected = "expected" if "expect" in given else "expected, as it is where nothing else is said,"
        if both := expand_statuses(self.refused) & expand_statuses(self.expect):
            cure = "leave it out of one of them" if "expect" in given else "write expect: without it"
            yield ("refused",), f"{min(both)} is {expected} and refused; {cure}"
        if "else" in given and not self.refused:
            yield of_key("else"), "no answer is refused, so else: is never done; write refused: [409] or the like"
        for name, cure in (("retry", _RETRY_HELP), ("file", _FILE_HELP)):
            if name in given and getattr(self, name) is None:
                yield (name,), f"nothing stands behind {name}; {cure}"
        for name, cure in (("size", SIZE_RANGE_HELP), ("sha256", SHA256_HELP)):
            if name in given and getattr(self, name) is None:
                yield (name,), f"nothing stands behind {name}; {cure}"
            elif name in given and methods == ["head"]:
                yield (
                    of_key(name),
                    f"an answer to head has no body, so {name} can't be told; leave it out, or use get",
                )
        if "within" in given and not self.take:
            yield of_key("within"), "within goes with take: nothing is waited for; leave it out"

    @property
    def _awaits(self) -> Awaits | None:
        """What it waits for at a probe, if it does."""
        return next((kind for kind in _OF_WAITS if kind in self._given), None)

    def _about_wait(self, kind: Awaits, given: Sequence[str]) -> Iterable[Found]:
        does = "watches" if kind == "absent" else "waits"
        for name in given:
            if name == kind or name in _OF_WAITS[kind]:
                continue
            if name in _OF_WAITS:
                yield of_key(name), f"{kind} and {name} are two things to wait for; make them two steps"
            elif name in _NOT_OF_ALL:
                yield of_key(name), _NOT_OF_ALL[name]
            else:
                yield of_key(name), f"{name} belongs to what is sent, and this step {does}; leave it out"
        if "of" not in given:
            yield (), f'nothing says what it {does} for; add of:, such as of: "{{order}}"'
        if kind == "absent" and "for" not in given:
            yield (), "nothing says for how long nothing may appear; add for:, such as for: 5s"

    def meant(self, name: str) -> Counted:
        given = self._given
        within = TAKE_WITHIN_NS if self.within is None else self.within
        captures = {
            variable: Capture(one) if isinstance(one, str) else Capture(one.from_, one.secret)
            for variable, one in self.capture.items()
        }
        if (kind := self._awaits) is not None:
            return WaitStep(
                name, getattr(self, kind), self.of, self.until or None,
                within if self.for_ is None else self.for_, captures,
                meant_steps(self.on_failed) if "on_failed" in given else None, kind,
            )  # fmt: skip
        if "event" in given:
            return EventStep(name, self.to, self.event, self.give, self.take, within, self.probes)
        method = next(one for one in METHODS if one in given)
        return RequestStep(
            name,
            self.to,
            method.upper(),
            getattr(self, method),
            json=self.json_,
            has_json="json" in given,
            form=self.form if "form" in given else None,
            body=self.body if "body" in given else None,
            file=None if self.file is None else self.file.meant("file"),
            files={field: one.meant(field) for field, one in self.files.items()},
            headers=self.headers,
            query=self.query,
            expect=expand_statuses(self.expect),
            refused=expand_statuses(self.refused),
            capture=captures,
            check=self.check,
            size=self.size,
            sha256=self.sha256,
            retry=None if self.retry is None else self.retry.meant(),
            else_=meant_steps(self.else_) if "else" in given else None,
            give=self.give,
            take=self.take,
            within=within,
            probes=self.probes,
        )


def _find(headers: Iterable[str], name: str) -> str:
    return next((one for one in headers if one.lower() == name), "")


def _wrong_with_path(path: str) -> str:
    """Nothing, or `what; cure`."""
    if "://" in path.partition("{")[0]:
        return f"{path!r} is a whole address; write the path alone, to: says where"
    if not path.startswith(("/", "{")):
        return f"{path!r} is not a path; write one such as /orders"
    if "#" in path:
        return f"{path!r} has a fragment, which is never sent; leave out what follows '#', or write %23"
    return ""


def _check_shape(value: Any) -> Any:
    """Refuse what isn't one name with what stands behind it, before anything in it is looked at."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{told(value)} is no step; {_STEP_HELP}")
    if len(value) != 1:
        what = f"{' and '.join(map(str, value))} stand in one step" if value else "there is nothing in this step"
        cure = "give each of them a - of its own" if value else _STEP_HELP
        raise ValueError(f"{what}; {cure}")
    name, does = next(iter(value.items()))
    if name in _KEYWORDS and isinstance(does, Mapping):
        refuse("step", [(of_key(name), f"{name!r} can't be the name of a step; give it another")])
    if name in ("finally", "else"):
        refuse("step", [(of_key(name), f"{name!r} is no step; move it out of the list")])
    return value


def _check_continue(value: Any) -> Any:
    if value is not True:
        raise ValueError(f"{told(value)} says nothing here; write continue: true, or leave the step out")
    return value


class WrittenStep(Settings):
    """One step: a mapping with one key, which is its name and has what it sends, or says what else it is."""

    model_config = ConfigDict(title="Step", extra="allow", json_schema_extra={"minProperties": 1, "maxProperties": 1})
    __pydantic_extra__: dict[str, WrittenSending]

    think: Annotated[DurationRange | None, Field(description="a pause of so long, or drawn from a range")] = None
    choose: Annotated[NotEmpty[WrittenBranch], Field(description="one of these, drawn by their weights")] = ()
    continue_: Annotated[
        Literal[True] | None,
        BeforeValidator(_check_continue),
        Field(alias="continue", description="the iteration goes on after a refusal"),
    ] = None

    _one_key = model_validator(mode="before")(_check_shape)

    @model_validator(mode="after")
    def _name(self) -> Self:
        for name in self.__pydantic_extra__:
            if not STEP_NAME.fullmatch(name):
                what = f"{name!r} is not a name of a step"
                refuse("step", [(of_key(name), f"{what}; write letters, digits, spaces, '-' and '_'")])
        return self

    def meant(self) -> Step:
        for name, sends in self.__pydantic_extra__.items():
            return sends.meant(name)
        if self.think is not None:
            return Think(*self.think)
        if self.choose:
            return Choose(tuple(Branch(one.weight, meant_steps(one.steps)) for one in self.choose))
        return Continue()


STEP_NAME: Final = re.compile(r"\w[\w -]{0,99}")
"""Without a point: the name of its journey comes before it, with one between them."""


def meant_steps(steps: Iterable[WrittenStep]) -> tuple[Step, ...]:
    return tuple(step.meant() for step in steps)


class WrittenJourney(Settings):
    """Steps that depend on one another, done again and again: each pass is an iteration."""

    model_config = ConfigDict(title="Journey")

    vars: Annotated[
        Mapping[Variable, Any],
        Field(description="values by name, drawn for each iteration; texts are templates"),
    ] = {}
    begin: Annotated[
        tuple[WrittenStep, ...], Field(description="what each user does once, before the first iteration")
    ] = ()
    steps: Annotated[NotEmpty[WrittenStep], Field(description="one iteration")]
    finally_: Annotated[
        tuple[WrittenStep, ...],
        Field(
            alias="finally",
            description="done after the steps, after a failure too, where its names are known",
        ),
    ] = ()
    end: Annotated[tuple[WrittenStep, ...], Field(description="what each user does once, after the last")] = ()

    def meant(self) -> JourneySettings:
        return JourneySettings(
            steps=meant_steps(self.steps),
            vars=self.vars,
            begin=meant_steps(self.begin),
            finally_=meant_steps(self.finally_),
            end=meant_steps(self.end),
        )
