"""Asks S3 whether an event's object exists, and what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from ..clients.aws import THROTTLED, Aws, AwsSettings, code_of, is_denied
from ..clients.aws_traffic import watched_client
from ..errors import TargetError
from ..model.states import Seen
from ..model.travel import ReadResult, Target
from ..spi.context import AnswerTimeout, Surroundings
from ..spi.probe import Probe
from ..units import NS_PER_S, format_duration
from ._shared.facts import ABSENT, Facts
from ._shared.id_template import EventKey, KeyTemplate
from ._shared.looked_into import ValuesLookedInto
from ._shared.stored_value import BadValue, ValueExpression, ValueReader, decoded

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_NO_BUCKET: Final = frozenset({"404", "NoSuchBucket"})
_FORBIDDEN: Final = "403"
_BUSY: Final = THROTTLED | {"503", "ServiceUnavailable"}
"""An answer to HEAD has no body, and so no code but its status."""
_LARGEST: Final = 8 << 20


class S3ProbeConfig(AwsSettings, ValuesLookedInto):
    """Settings of the S3 probe.

    Each read asks about one object: with a HEAD request whether it exists, or with `content` for what is in
    it (JSON, or else text; at most 8 MiB). The identity needs s3:GetObject and also s3:ListBucket, without which
    S3 answers about a missing object as about a forbidden one.
    """

    shown_by: ClassVar[str] = "content"

    kind: Literal["s3"]
    bucket: Annotated[
        str,
        Field(pattern=r"^(arn:aws[\w-]*:s3\S+|[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$", description="name of the bucket"),
    ]
    key: Annotated[EventKey, Field(description="key of an event's object, such as out/{correlation_id}.json")]
    content: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the object: is the event visible? default: it exists"),
    ] = None

    timeout: AnswerTimeout = 5_000_000_000

    @property
    def named(self) -> tuple[str, ...]:
        return (self.bucket,)

    @model_validator(mode="after")
    def _asks_about_one(self) -> Self:
        if self.bulk != 1:
            raise ValueError(f"bulk is {self.bulk}, but S3 answers about one object at a time; leave bulk out")
        return self

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Look at the bucket, yield the probe, disconnect. Raises TargetError."""
        return _open(self, surroundings)


class _S3Reader:
    def __init__(self, aws: Aws, config: S3ProbeConfig, s3: Any, surroundings: Surroundings) -> None:
        self._aws = aws
        self._config = config
        self._bucket = _bucket(aws, config)
        self._s3 = watched_client(s3, surroundings.traffic, surroundings.clock)
        self._clock = surroundings.clock
        self._key = KeyTemplate(config.key)
        self._values = ValueReader(
            config.content, None, captures=config.captures, traffic=surroundings.traffic, name="content"
        )

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """See `Probe`."""
        (target,) = targets
        facts, error, throttled = Facts(Seen.FAILED), "", False
        start_ns = self._clock.now_ns()
        try:
            async with asyncio.timeout(self._config.timeout / NS_PER_S):
                facts = await self._look(self._key.fill(target.correlation_id))
        except TimeoutError:
            error = f"no answer within {format_duration(self._config.timeout)}"
        except BadValue as wrong:
            error = str(wrong)
        except self._aws.errors as failure:
            error, throttled = self._reason(failure), code_of(failure) in _BUSY
        read = facts.read(target.seq, start_ns, self._clock.now_ns())
        return ReadResult([read], error=error, throttled=throttled, instead="no such object")

    async def _look(self, key: str) -> Facts:
        """Raises BadValue and what the SDK raises."""
        from botocore.exceptions import ClientError

        try:
            if self._values.indifferent:
                await self._s3.head_object(**self._bucket, Key=key)
                return Facts(Seen.PRESENT)
            answer = await self._s3.get_object(**self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return ABSENT
            raise
        async with answer["Body"] as body:
            if answer["ContentLength"] > _LARGEST:
                raise BadValue(f"an object is longer than {_LARGEST >> 20} MiB")
            return self._values.judge(decoded(await body.read()))

    def _reason(self, error: Exception) -> str:
        if code_of(error) == _FORBIDDEN or is_denied(error):
            return "access denied, which S3 also says of a missing object where s3:ListBucket isn't granted"
        return self._aws.explain(error).partition(";")[0]


@asynccontextmanager
async def _open(config: S3ProbeConfig, surroundings: Surroundings) -> AsyncIterator[_S3Reader]:
    aws = Aws(config, config.kind, surroundings.guard)
    await aws.credentials()
    async with aws.client("s3") as s3:
        try:
            await s3.head_bucket(**_bucket(aws, config))
        except aws.errors as error:
            raise _refused(aws, config, error) from None
        yield _S3Reader(aws, config, s3, surroundings)


def _bucket(aws: Aws, config: S3ProbeConfig) -> dict[str, str]:
    """Which bucket, and under a guard whose it must be: somebody else's may have been opened to us."""
    owner = {} if aws.account is None else {"ExpectedBucketOwner": aws.account}
    return {"Bucket": config.bucket, **owner}


def _refused(aws: Aws, config: S3ProbeConfig, error: Exception) -> TargetError:
    code = code_of(error)
    if code in _NO_BUCKET:
        return TargetError(f"there is no bucket {config.bucket!r}; create it, or correct its name")
    if code == _FORBIDDEN:
        cure = "give the identity that evload runs as s3:ListBucket on it, and s3:GetObject on its objects"
        return TargetError(f"access to bucket {config.bucket!r} is denied; {cure}")
    return aws.error(error, f"can't look at bucket {config.bucket!r}")
