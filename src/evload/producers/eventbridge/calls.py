"""Signs PutEvents calls with the SDK's signer, and says what their answers mean. No I/O of its own.

The SDK's `put_events` spends most of its time on validating, serialising, resolving the endpoint and parsing, for
every call anew. Here a call is one signed head and a body of entries that are rendered already; what stays
the SDK's are the credentials with their renewal, the endpoint, and Signature Version 4.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from ...clients.web import Endpoint
from ...units import NS_PER_S

_TARGET: Final = "AWSEvents.PutEvents"
_CONTENT_TYPE: Final = "application/x-amz-json-1.1"
_RENEW_NS: Final = 30 * NS_PER_S
"""How often the SDK is asked whether the credentials are due for renewal; it does so minutes before their end."""
_THROTTLED: Final = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "RequestLimitExceeded", "LimitExceededException", "SlowDown",
        "PriorRequestNotComplete", "BandwidthLimitExceeded",
    }
)  # fmt: skip
_FAILURES: Final = frozenset(
    {"InternalFailure", "InternalException", "InternalServiceException", "InternalServerError", "ServiceUnavailable"}
)


class Refusal(NamedTuple):
    """Why an entry or a whole call was not taken.

    again  it may be sent again: the service was throttling, or failed itself
    """

    code: str
    message: str
    again: bool

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Signer:
    """Makes signed requests with the SDK's credentials, which it keeps fresh while it is entered."""

    def __init__(self, credentials: Any, endpoint: Endpoint, region: str) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        self._auth = SigV4Auth
        self._request = AWSRequest
        self._credentials = credentials
        self._region = region
        self._url = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}{endpoint.target}"
        self._host = endpoint.authority
        self._start_line = f"POST {endpoint.target} HTTP/1.1\r\n"

    async def __aenter__(self) -> Signer:
        """Get the credentials, and begin to renew them. Raises what the SDK raises."""
        self._frozen = await self._credentials.get_frozen_credentials()
        self._renewal = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._renewal.cancel()
        await asyncio.gather(self._renewal, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_NS / NS_PER_S)
            # Whatever a provider may raise: calls go on with the old ones; once they have expired, refusals say so.
            with contextlib.suppress(Exception):
                self._frozen = await self._credentials.get_frozen_credentials()

    def request(self, body: bytes) -> tuple[bytes, bytes]:
        """Head and body of a signed call."""
        headers = {"Host": self._host, "Content-Type": _CONTENT_TYPE, "X-Amz-Target": _TARGET}
        request = self._request("POST", self._url, headers, body)
        self._auth(self._frozen, "events", self._region).add_auth(request)
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = f"{self._start_line}{lines}User-Agent: evload\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode(), body


def entry_refusals(body: bytes, count: int) -> list[Refusal | None]:
    """For each of the `count` entries of a call that was answered with 200: None if it was taken.

    Raises ValueError if the answer isn't one to such a call.
    """
    try:
        answer = orjson.loads(body)
        entries = answer["Entries"]
        if len(entries) != count:
            raise ValueError(f"{len(entries)} results for {count} entries")
        return [_entry_refusal(entry) for entry in entries]
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise ValueError("not an answer of EventBridge") from error


def _entry_refusal(entry: dict[str, Any]) -> Refusal | None:
    code = entry.get("ErrorCode")
    if not code:
        return None
    return Refusal(str(code), str(entry.get("ErrorMessage") or ""), code in _THROTTLED or code in _FAILURES)


def call_refusal(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Refusal:
    """Why a whole call was refused: status other than 200."""
    code, message = "", ""
    try:
        answer = orjson.loads(body)
        code = str(answer.get("__type") or answer.get("code") or "")
        message = str(answer.get("message") or answer.get("Message") or "")
    except (AttributeError, orjson.JSONDecodeError):
        pass
    if not code:
        code = next((value.decode("latin-1") for name, value in headers if name.lower() == b"x-amzn-errortype"), "")
    # Both may carry a namespace in front, and the header an address behind.
    code = code.rpartition("#")[2].partition(":")[0] or f"HTTP {status}"
    again = code in _THROTTLED or code in _FAILURES or status in (429, 500, 502, 503, 504)
    return Refusal(code, " ".join(message.split()), again)
