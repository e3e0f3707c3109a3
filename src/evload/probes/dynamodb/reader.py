"""Sends the DynamoDB probe's requests, in portions of a hundred keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from ...clients.aws import THROTTLED, Aws, code_of, is_denied
from ...clients.aws_traffic import watched_client
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...units import NS_PER_S, format_duration
from .._shared.facts import ABSENT
from .._shared.id_template import KeyTemplate
from .._shared.stored_value import BadValue, ValueReader
from .settings import DynamodbProbeSettings

_PORTION: Final = 100
"""Most keys in one request that DynamoDB takes."""
_TRIES: Final = 5
_FIRST_PAUSE_S: Final = 0.05
_NOBODY: Final = (1 << 48) - 1
"""Number of an event that no run gets to."""
_NUMBER: Final = "N"

Key = tuple[str, ...]
"""An item's primary key as text, in the order of the config."""
Attributes = Mapping[str, Mapping[str, Any]]


class _Portion(NamedTuple):
    reads: list[Read]
    error: str = ""
    throttled: bool = False


class _KeyAttribute(NamedTuple):
    name: str
    type: str
    template: KeyTemplate


class DynamodbReader:
    """The probe."""

    def __init__(
        self,
        aws: Aws,
        config: DynamodbProbeSettings,
        types: Mapping[str, str],
        dynamodb: Any,
        surroundings: Surroundings,
    ) -> None:
        self._aws = aws
        self._errors: tuple[type[Exception], ...] = (*aws.errors, ValueError)
        self._config = config
        self._dynamodb = watched_client(dynamodb, surroundings.traffic, surroundings.clock)
        self._clock = surroundings.clock
        self._values = ValueReader(
            config.visible,
            config.effects,
            config.version,
            ended=config.ended,
            captures=config.captures,
            traffic=surroundings.traffic,
        )
        self._key = [
            _KeyAttribute(name, types.get(name, _NUMBER if isinstance(value, int) else "S"), KeyTemplate(str(value)))
            for name, value in config.key.items()
        ]
        self._options = self._projection() | {"ConsistentRead": config.consistent}

    def _projection(self) -> dict[str, Any]:
        """Have only those attributes sent that matter."""
        fields = self._values.fields
        if fields is None:
            return {}
        names = {f"#a{number}": name for number, name in enumerate(sorted(fields | self._config.key.keys()))}
        return {"ProjectionExpression": ",".join(names), "ExpressionAttributeNames": names}

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """All targets, in as many requests at the same time as it takes."""
        portions = await asyncio.gather(
            *(self._portion(targets[first : first + _PORTION]) for first in range(0, len(targets), _PORTION))
        )
        reads = [read for portion in portions for read in portion.reads]
        return ReadResult(
            reads,
            error=next((portion.error for portion in portions if portion.error), ""),
            throttled=any(portion.throttled for portion in portions),
            instead="no item of them",
        )

    async def ask(self, targets: Sequence[Target]) -> tuple[dict[Key, Attributes], set[Key]]:
        """The items that are there, and the keys that DynamoDB wouldn't look up. Raises what the SDK raises."""
        table = self._config.table
        asked = [self._key_of(target.correlation_id) for target in targets]
        keys = [
            {attribute.name: {attribute.type: text} for attribute, text in zip(self._key, key, strict=True)}
            for key in asked
        ]
        found: dict[Key, Attributes] = {}
        pause_s = _FIRST_PAUSE_S
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(pause_s)
                pause_s *= 2
            answer = await self._dynamodb.batch_get_item(RequestItems={table: {"Keys": keys, **self._options}})
            for items in answer["Responses"].values():
                found |= {self._key_in(item): item for item in items}
            keys = next((rest["Keys"] for rest in answer.get("UnprocessedKeys", {}).values()), [])
            if not keys:
                break
        return found, {self._key_in(key) for key in keys}

    async def _portion(self, targets: Sequence[Target]) -> _Portion:
        start_ns = self._clock.now_ns()
        try:
            async with asyncio.timeout(self._config.timeout / NS_PER_S):
                found, unprocessed = await self.ask(targets)
            end_ns = self._clock.now_ns()
            return self._judge(targets, found, unprocessed, start_ns, end_ns)
        except TimeoutError:
            error, throttled = f"no answer within {format_duration(self._config.timeout)}", False
        except BadValue as wrong:
            error, throttled = str(wrong), False
        except self._errors as failure:
            error = self._aws.explain(failure).partition(";")[0]
            throttled = code_of(failure) in THROTTLED
        end_ns = self._clock.now_ns()
        return _Portion([Read(target.seq, Seen.FAILED, start_ns, end_ns) for target in targets], error, throttled)

    def _judge(
        self,
        targets: Sequence[Target],
        found: Mapping[Key, Attributes],
        unprocessed: set[Key],
        start_ns: int,
        end_ns: int,
    ) -> _Portion:
        reads, error = [], ""
        for target in targets:
            key = self._key_of(target.correlation_id)
            if key in unprocessed:
                error = f"throttled: DynamoDB left keys unprocessed {_TRIES} times"
                reads.append(Read(target.seq, Seen.FAILED, start_ns, end_ns))
                continue
            item = found.get(key)
            facts = ABSENT if item is None else self._values.judge(_plain({"M": item}))
            reads.append(facts.read(target.seq, start_ns, end_ns))
        return _Portion(reads, error, bool(error))

    def _key_of(self, correlation_id: str) -> Key:
        return tuple(attribute.template.fill(correlation_id) for attribute in self._key)

    def _key_in(self, item: Attributes) -> Key:
        return tuple(str(item[attribute.name][attribute.type]) for attribute in self._key)


def _plain(value: Mapping[str, Any]) -> Any:
    """An attribute as JSON would have it: numbers as numbers, sets as lists, bytes left alone."""
    ((kind, inner),) = value.items()
    match kind:
        case "M":
            return {name: _plain(item) for name, item in inner.items()}
        case "L":
            return [_plain(item) for item in inner]
        case "N":
            return _number(inner)
        case "NS":
            return [_number(item) for item in inner]
        case "NULL":
            return None
        case _:
            return inner


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


@asynccontextmanager
async def open_reader(config: DynamodbProbeSettings, surroundings: Surroundings) -> AsyncIterator[DynamodbReader]:
    """Look at the table and ask once, yield the probe, disconnect. Raises TargetError."""
    aws = Aws(config, config.kind, surroundings.guard)
    errors: tuple[type[Exception], ...] = (*aws.errors, ValueError)
    await aws.credentials()
    async with aws.client("dynamodb") as dynamodb:
        try:
            types = await _key_types(config, dynamodb)
            reader = DynamodbReader(aws, config, types, dynamodb, surroundings)
            await reader.ask([Target(_NOBODY, surroundings.ids.id_of(_NOBODY))])
        except errors as error:
            if code_of(error) == "ResourceNotFoundException":
                where = f"{config.table!r} in {dynamodb.meta.region_name}"
                raise TargetError(f"there is no table {where}; create it, or correct its name or region") from None
            raise aws.error(error, f"can't read table {config.table!r}") from None
        yield reader


async def _key_types(config: DynamodbProbeSettings, dynamodb: Any) -> Mapping[str, str]:
    """The types of the table's key. Without the permission to look, those of the config hold."""
    from botocore.exceptions import ClientError

    try:
        table = (await dynamodb.describe_table(TableName=config.table))["Table"]
    except ClientError as error:
        if is_denied(error):
            return {}
        raise
    names = [element["AttributeName"] for element in table["KeySchema"]]
    if sorted(names) != sorted(config.key):
        told = f"the key of table {config.table!r} is {' and '.join(names)}, not {' and '.join(config.key)}"
        raise TargetError(f"{told}; name {'it' if len(names) == 1 else 'both'} under key")
    types = {element["AttributeName"]: element["AttributeType"] for element in table["AttributeDefinitions"]}
    for name in names:
        if types[name] == "B":
            raise TargetError(
                f"{name!r} in the key of table {config.table!r} is binary; name a table with a text key"
            )
    return types
