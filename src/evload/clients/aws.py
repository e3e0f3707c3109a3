"""What the AWS adapters share: where and as whom they call, and errors in words that say what to change.

Credentials come from the SDK's own chain: environment, shared config and credentials files, SSO, container
and instance roles. A role to assume is named in a profile (`role_arn` with `source_profile`, or
`credential_source`), and the SDK assumes and renews it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from ..errors import TargetError
from ..spi.context import AdapterSettings
from ..spi.guard import NO_GUARD, Guard, Reach, is_aws
from ..texts import meant
from .bounded import CURE, LONGEST, TooLong
from .web import Url, parse_url

_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_OWNER: Final = re.compile(r"(?:\barn:[\w-]+:[\w-]+:[\w-]*:|://\S+/)(\d{12})(?=[:/])")
_CONNECT_S: Final = 5
_READ_MARGIN_S: Final = 10
_CONNECTIONS: Final = 100
_RETRIES: Final = {"mode": "standard", "max_attempts": 3}
_TOGETHER: Final = 12 << 20
"""Most that is kept of the answers to one client that are under way."""
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
_UNKNOWN_KEYS: Final = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"})
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_BAD_SIGNATURE: Final = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"})


def _check_region(region: str) -> str:
    if not _REGION.fullmatch(region):
        raise ValueError(f"{region!r} is not the name of a region; write one such as eu-west-1")
    return region


class AwsSettings(AdapterSettings):
    """Where an AWS adapter calls, and as whom; what is left out comes from the SDK's own chain."""

    region: Annotated[
        Annotated[str, AfterValidator(_check_region)] | None, Field(description="region, such as eu-west-1")
    ] = None
    profile: Annotated[
        str | None, Field(min_length=1, description="profile of the shared config, which may assume a role")
    ] = None
    endpoint: Annotated[Url | None, Field(description="address to call instead of the region's own")] = None

    @property
    def named(self) -> tuple[str, ...]:
        """What may say whose it is: ARNs, and addresses of queues."""
        return ()

    @property
    def reach(self) -> Reach:
        if self.endpoint is not None and not is_aws(host := parse_url(self.endpoint).host):
            return Reach((host,))
        if any("{" in text for text in self.named):
            return Reach(aws=True, unknown="what is named differs from one event to the next, and so may whose it is")
        return Reach(aws=True, accounts=tuple(dict.fromkeys(_OWNER.findall(" ".join(self.named)))))


class Aws:
    """The SDK's session of one adapter. What it raises is a TargetError of one line.

    errors  what calls of a client raise: they failed, or what answered isn't AWS
    """

    def __init__(self, settings: AwsSettings, kind: str, guard: Guard = NO_GUARD) -> None:
        self._guard = guard
        self._held = False
        self.account: str | None = None
        """Whose credentials these are, where the guard had to know that."""
        try:
            import aioboto3
            from aiobotocore.session import AioSession
            from botocore.exceptions import BotoCoreError, ClientError
            from botocore.parsers import ResponseParserError
        except ImportError as error:
            raise TargetError(f"kind {kind} needs aioboto3; pip install 'evload[aws]'") from error
        self.errors: tuple[type[Exception], ...] = (
            BotoCoreError,
            ClientError,
            ResponseParserError,
            LookupError,
            TooLong,
        )
        self._settings = settings
        self._core = AioSession()
        try:
            self._session = aioboto3.Session(
                profile_name=settings.profile, region_name=settings.region, botocore_session=self._core
            )
        except self.errors as error:
            raise self.error(error) from None

    @asynccontextmanager
    async def client(self, service: str, *, wait_s: int = 0) -> AsyncIterator[Any]:
        """The SDK's client for `service`, which retries as the SDK's standard mode does.

        `wait_s` is how long the service may hold an answer back (long polling).
        """
        from aiobotocore.config import AioConfig

        config = AioConfig(
            retries=_RETRIES,
            connect_timeout=_CONNECT_S,
            read_timeout=wait_s + _READ_MARGIN_S,
            max_pool_connections=_CONNECTIONS,
        )
        try:
            endpoint = None if service == "sts" else self._settings.endpoint
            opening = self._session.client(service, endpoint_url=endpoint, config=config)
            client = await opening.__aenter__()
        except self.errors as error:
            raise self.error(error) from None
        client._endpoint.http_session = _Bounded(client._endpoint.http_session)
        client._make_api_call = _parsed(client._make_api_call)
        try:
            await self._hold(parse_url(client.meta.endpoint_url).host, service)
            yield client
        finally:
            await opening.__aexit__(None, None, None)

    async def _hold(self, host: str, service: str) -> None:
        """Raises GuardError if this is outside of what may be loaded: the environment has its say in where it is, and
        the credentials in whose. Raises TargetError if AWS doesn't say whose they are."""
        if not is_aws(host):
            self._guard.check(host)
            return
        self._guard.check_denied(host)
        if service == "sts" or self._held or not self._guard.asks_for_accounts or self._settings.reach.accounts:
            return
        async with self.client("sts") as sts:
            try:
                self.account = str((await sts.get_caller_identity())["Account"])
            except self.errors as error:
                raise self.error(error, "can't tell which AWS account this is, and the guard has to know") from None
        self._guard.check(self.account)
        self._held = True

    async def credentials(self) -> Any:
        """The SDK's credentials, which renew themselves where they expire; it has got hold of them once."""
        from botocore.exceptions import NoCredentialsError

        try:
            credentials = await self._session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            await credentials.get_frozen_credentials()
        except self.errors as error:
            raise self.error(error) from None
        return credentials

    def trusted(self) -> Path:
        """The file of certificate authorities that the SDK trusts."""
        from botocore.httpsession import get_cert_path

        return Path(self._core.get_config_variable("ca_bundle") or get_cert_path(True))

    def error(self, error: Exception, doing: str = "") -> TargetError:
        """An error of the SDK as one for people. `doing` says what failed, such as `can't look at queue 'q'`."""
        what = self.explain(error)
        return TargetError(f"{doing}: {what}" if doing else what)

    def explain(self, error: Exception) -> str:
        """An error of the SDK in one line: what is wrong; what would be right."""
        return explain(error, self._settings)


class _Bounded:
    """The SDK's HTTP session, which reads each answer whole, however long it is: with an end to that.

    Bodies that the SDK gives to be read bit by bit are left alone.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._keeping = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def __aenter__(self) -> _Bounded:
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._session.__aexit__(*error)

    async def send(self, request: Any) -> Any:
        """The answer. Raises TooLong, and what the session raises."""
        if request.stream_output:
            return await self._session.send(request)
        request.stream_output = True
        try:
            answer = await self._session.send(request)
        finally:
            request.stream_output = False
        answer._content = await self._body_of(answer.raw, request)
        return answer

    async def _body_of(self, raw: Any, request: Any) -> bytes:
        import aiohttp
        from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError

        # Not put together before it is whole: what has to be moved while it grows is twice there meanwhile.
        pieces: list[bytes] = []
        piece = b""
        length = 0
        try:
            async for piece in raw.content.iter_any():
                pieces.append(piece)
                length += len(piece)
                self._keeping += len(piece)
                if length > LONGEST:
                    raise TooLong(f"an answer is longer than {LONGEST >> 20} MiB")
                if self._keeping > _TOGETHER:
                    raise TooLong(f"the answers under way are together longer than {_TOGETHER >> 20} MiB")
            return b"".join(pieces)
        except TooLong:
            raise
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except aiohttp.ServerDisconnectedError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
        except (aiohttp.ClientError, OSError) as error:
            raise HTTPClientError(error=error) from error
        finally:
            self._keeping -= length
            # Whoever keeps an error keeps what is in this frame.
            pieces.clear()
            piece = b""
            if not raw.content.at_eof():
                raw.close()


def _parsed(call: Callable[[str, Any], Awaitable[Any]]) -> Callable[[str, Any], Awaitable[Any]]:
    """The SDK's calls, of which whatever its parser trips over in an answer is its error for that."""
    from botocore.exceptions import BotoCoreError
    from botocore.parsers import ResponseParserError

    async def parsed(operation: str, parameters: Any) -> Any:
        try:
            return await call(operation, parameters)
        except (BotoCoreError, TooLong) as error:
            # Frames keep errors that keep the frames, and with them what has come of the answer.
            kept: BaseException | None = error
            while kept is not None:
                kept.__traceback__ = None
                kept = kept.__cause__ or kept.__context__
            raise error from None
        except (AttributeError, TypeError, RecursionError) as error:
            raise ResponseParserError(f"{operation} can't be parsed: {error}") from error

    return parsed


def code_of(error: Exception) -> str:
    """The service's own code for an error, such as `AccessDeniedException`; empty if it isn't one of the service."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def is_denied(error: Exception) -> bool:
    """Whether the service says that the permission is missing."""
    return code_of(error) in _DENIED


def explain(error: Exception, settings: AwsSettings) -> str:
    """An error of the SDK in one line: what is wrong; what would be right."""
    code = code_of(error)
    if code:
        message = " ".join(str(getattr(error, "response", {})["Error"].get("Message", "")).split())
        return refusal(code, message)
    name = type(error).__name__
    text = " ".join(str(error).split()).rstrip(".")
    if name == "ProfileNotFound":
        return f"there is no AWS profile {_quoted(text)}; correct profile or AWS_PROFILE, or add it: aws configure"
    if name in ("NoRegionError", "InvalidRegionError"):
        return "no AWS region is set; add region: to the config, or set AWS_REGION"
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        cure = "name a profile, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return f"no AWS credentials: {_lower(text)}; {cure}"
    if "SSO" in name or name == "TokenRetrievalError":
        return f"no AWS credentials: {_lower(text)}; log in: aws sso login"
    if name in ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ReadTimeoutError"):
        return _unreachable(error, settings)
    if isinstance(error, TooLong):
        return f"{error}; {CURE if hasattr(settings, 'parallel') else 'correct endpoint, which may not be AWS'}"
    no_http = type(getattr(error, "kwargs", {}).get("error")).__name__ == "ClientResponseError"
    if no_http or name == "ResponseParserError" or isinstance(error, LookupError | ValueError):
        return f"what answers at {settings.endpoint or 'the endpoint'} isn't AWS; correct endpoint"
    if name == "SSLError":
        return f"TLS to AWS failed: {text}; set AWS_CA_BUNDLE to the authorities to trust"
    return f"the AWS SDK can't be used: {_lower(text)}; check the shared config and the environment"


def refusal(code: str, message: str) -> str:
    """What a service answered, in one line with what to do about it."""
    said = f"{code}: {message}" if message else code
    if code in _DENIED:
        return f"access denied: {message or code}; give the identity that evload runs as this permission"
    if code in _UNKNOWN_KEYS:
        return f"AWS doesn't know these credentials ({said}); correct the access key, or the profile"
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({said}); renew them"
    if code in _BAD_SIGNATURE:
        return f"AWS refused the signature ({said}); check the secret key, and this machine's clock"
    return said


def _unreachable(error: Exception, settings: AwsSettings) -> str:
    fields: Any = getattr(error, "kwargs", {})
    url = str(fields.get("endpoint_url", ""))
    shown = parse_url(url).shown if "://" in url else "the endpoint"
    if settings.endpoint is not None:
        return f"can't connect to {shown}; start what should listen there, or correct endpoint"
    if settings.region is not None and settings.region not in (known := _regions()):
        cure = meant(settings.region, known, "correct region")
        return f"can't connect to {shown}, and the SDK knows no region {settings.region!r}; {cure}"
    return f"can't connect to {shown}; check the network and the region"


def _regions() -> list[str]:
    import boto3

    session = boto3.Session(region_name="us-east-1")
    return [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sqs", partition)
    ]


def _quoted(text: str) -> str:
    found = re.search(r"\(([^)]*)\)", text)
    return repr(found[1]) if found else text


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)
