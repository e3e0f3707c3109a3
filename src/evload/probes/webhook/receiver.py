"""Listens for what a system posts where events take effect."""

from __future__ import annotations

import errno
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientError, web

from ...clients.host_port import parse_host_port
from ...clients.http_serving import quiet_server
from ...clients.web import reason_of
from ...errors import TargetError
from ...model.travel import ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import Inbox, Tell, nothing_of
from .._shared.pushed import PushedReader
from .delivery import BadDelivery, documents_of, handshake_of, validation_code
from .settings import WebhookProbeSettings

_ACCEPTED: Final = 202
_CLOSING_S: Final = 1.0
_BESIDE: Final = 4 << 20
"""Bytes that the bodies under way may have beside the longest one that is taken."""
_CURES: Final = {
    errno.EADDRINUSE: "end what listens there, or name another port",
    errno.EACCES: "name a port from 1024 on",
    errno.EADDRNOTAVAIL: "name an address of this machine, such as 127.0.0.1 or 0.0.0.0",
}


class _Refused(Exception):
    """A delivery is not taken; the text is why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WebhookReceiver:
    """The probe. `port` is the one that it listens on."""

    def __init__(self, config: WebhookProbeSettings, surroundings: Surroundings) -> None:
        self.port = 0
        self._config = config
        self._clock = surroundings.clock
        self._pushed = PushedReader(
            surroundings, match=config.match, by_default="match" not in config.model_fields_set,
            visible=config.visible, position=config.position, consumed_at=config.consumed_at,
            processed_at=config.processed_at, version=config.version, within="body",
        )  # fmt: skip
        self._inbox = Inbox()
        self._refusal = ""
        """Why a delivery was refused that may have been about any event."""
        self._keeping = 0
        """Bytes of the bodies that are under way."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request, whatever it is."""
        try:
            return await self._take(request)
        except _Refused as refused:
            headers = {"allow": "POST"} if refused.status == 405 else None
            response = web.Response(status=refused.status, text=f"{refused}\n", headers=headers)
            # The rest of its body may still be under way.
            response.force_close()
            return response

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`."""
        self._inbox.attend(report)
        while True:
            await self._inbox.news()
            self._inbox.tell()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless a delivery was refused that could have been about them."""
        self._inbox.tell()
        now_ns = self._clock.now_ns()
        return nothing_of(targets, now_ns, now_ns, self._refusal or self._pushed.unreadable)

    async def _take(self, request: web.BaseRequest) -> web.Response:
        """The answer. Raises _Refused."""
        if request.path != self._config.path:
            raise _Refused(404, "nothing is taken at this path")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.method == "OPTIONS" and (allowed := handshake_of(headers)):
            return web.Response(status=200, headers=allowed)
        if request.method != "POST":
            raise _Refused(405, "send a POST")
        secret = self._config.secret
        if secret is not None:
            given = request.headers.get(secret.header, "")
            if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.value.encode()):
                raise _Refused(401, "the secret is missing or wrong")
        try:
            body = await self._body(request)
            at_ns = self._clock.now_ns()
            documents = documents_of(headers, body)
        except BadDelivery as bad:
            raise self._refuse(400, str(bad)) from bad
        except (web.RequestPayloadError, ClientError, OSError) as error:
            raise self._refuse(400, "the body can't be read") from error
        if len(documents) == 1 and (code := validation_code(documents[0])):
            return web.json_response({"validationResponse": code})
        found = [told for told in map(self._pushed.read, documents) if told is not None]
        self._inbox.complaint = self._pushed.complaint or self._inbox.complaint
        self._pushed.complaint = ""
        self._inbox.put(facts.pushed(seq, at_ns) for seq, facts in found)
        self._inbox.put_strange(*self._pushed.attribution.take())
        return web.Response(status=_ACCEPTED)

    async def _body(self, request: web.BaseRequest) -> bytes:
        limit = self._config.max_body
        body = bytearray()
        try:
            async for chunk in request.content.iter_any():
                self._keeping += len(chunk)
                body += chunk
                if len(body) > limit:
                    raise self._refuse(413, f"the body is longer than {limit} bytes")
                if self._keeping > limit + _BESIDE:
                    raise self._refuse(503, f"the bodies under way are together longer than {limit + _BESIDE} bytes")
            return bytes(body)
        finally:
            self._keeping -= len(body)
            # Whoever keeps the refusal would keep it too.
            body.clear()

    def _refuse(self, status: int, reason: str) -> _Refused:
        self._refusal = self._inbox.complaint = f"a delivery was refused with HTTP {status}: {reason}"
        self._inbox.wake()
        return _Refused(status, reason)


@asynccontextmanager
async def open_receiver(config: WebhookProbeSettings, surroundings: Surroundings) -> AsyncIterator[WebhookReceiver]:
    """Listen, yield the probe, stop. Raises TargetError."""
    receiver = WebhookReceiver(config, surroundings)
    runner = web.ServerRunner(quiet_server(receiver.handle), shutdown_timeout=_CLOSING_S)
    await runner.setup()
    try:
        host, port = parse_host_port(config.listen)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = reason_of(error)
            cure = _CURES.get(error.errno or 0, "correct listen")
            raise TargetError(f"can't listen on {config.listen}: {reason}; {cure}") from error
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()
