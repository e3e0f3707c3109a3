"""Looks at a RabbitMQ queue: a passive declare over AMQP, and the management API if there is one."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from ...clients.amqp import parse_url, refusal
from ...clients.amqp_connection import ConnectionClosed
from ...clients.credentials.headers import Fill, held
from ...clients.dialing import Dialer
from ...clients.web import parse_url as parse_web_url
from ...clients.web import reason_of
from ...errors import TargetError
from ...spi.context import Surroundings
from ...spi.gauge import Sample
from ...units import NS_PER_S, format_duration
from .._shared.http_get import NoAnswer, Page, open_page
from .asker import Asker, NoQueueError

if TYPE_CHECKING:
    from .settings import RabbitmqQueueGaugeSettings


_RATES: Final = {"publish_rate": "publish_details", "deliver_rate": "deliver_get_details", "ack_rate": "ack_details"}
_NOT_FOUND: Final = 404
_UNAUTHORIZED: Final = 401


class _NotThere(Exception):
    """The queue can't be looked at; the text is why, `cure` what to do about it before a run."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


class QueueReader:
    """The gauge. It connects when it has to, so a broker that comes back is looked at again."""

    def __init__(self, config: RabbitmqQueueGaugeSettings, surroundings: Surroundings, page: Page | None) -> None:
        self._config = config
        self._surroundings = surroundings
        self._page = page
        address = parse_url(config.url)
        self._dialer = Dialer(address.host, address.port)
        self._asker: Asker | None = None

    async def sample(self) -> Sample:
        """The values now; those that the management API doesn't have yet are left out."""
        try:
            return Sample(await self.look())
        except (_NotThere, TargetError) as error:
            return Sample({}, " ".join(str(error).split()))

    async def look(self) -> dict[str, float]:
        """The values. Raises TargetError, or _NotThere."""
        try:
            async with asyncio.timeout(self._config.timeout / NS_PER_S):
                values = await self._declared()
                return values if self._page is None else values | await self._managed(self._page)
        except TimeoutError:
            # Who doesn't answer takes no leave, either.
            if self._asker is not None:
                self._asker.abort()
            raise _NotThere(
                f"no answer within {format_duration(self._config.timeout)}", "look after the broker"
            ) from None

    async def close(self) -> None:
        """Hang up."""
        asker, self._asker = self._asker, None
        if asker is not None:
            await asker.close()

    async def _declared(self) -> dict[str, float]:
        queue = self._config.queue
        asker = self._asker
        if asker is None or asker.ended.done():
            asker = self._asker = await self._connected()
        try:
            messages, consumers = await asker.look(queue)
        except NoQueueError:
            raise _NotThere(f"there is no queue {queue!r}", "create it, or correct queue") from None
        except ConnectionClosed as error:
            raise _NotThere(f"can't look at queue {queue!r}: {error.reason}", "name another queue") from None
        return {"queue_depth": messages, "queue_consumers": consumers}

    async def _connected(self) -> Asker:
        """A new connection. Raises TargetError."""
        config, surroundings = self._config, self._surroundings
        address = parse_url(surroundings.with_login(config).url)
        asker = Asker(address, external=config.auth == "external", name=f"evload {surroundings.run_id} gauge")
        try:
            await asker.connect(self._dialer, config.tls(surroundings.base_dir))
        except ConnectionClosed as error:
            raise refusal(config, error.reason, error.code) from None
        except OSError as error:
            raise refusal(config, reason_of(error)) from None
        return asker

    async def _managed(self, page: Page) -> dict[str, float]:
        try:
            answer = await page.get()
        except NoAnswer as error:
            raise _NotThere(f"no answer by the management API: {error}", "start it, or correct management") from None
        if answer.status == _UNAUTHORIZED:
            raise _NotThere(
                "the management API refuses the login", "give the user the tag monitoring, or correct the login"
            )
        if answer.status == _NOT_FOUND:
            raise _NotThere(f"the management API knows no queue {self._config.queue!r}", "correct management")
        if answer.status != 200:
            raise _NotThere(f"the management API answers HTTP {answer.status}", "correct management")
        try:
            return _figures(orjson.loads(answer.body))
        except (AttributeError, TypeError, ValueError):
            raise _NotThere("what answers under management is no management API", "correct management") from None


def _figures(queue: Mapping[str, Any]) -> dict[str, float]:
    """Figures of the API's queue object; those that it doesn't have are left out, as it does at first.

    A queue on which nothing has happened has no `message_stats`: its rates are zero.
    """
    unacked = queue.get("messages_unacknowledged")
    if unacked is None:
        return {}
    stats = queue.get("message_stats", {})
    rates = {name: float(stats.get(key, {}).get("rate", 0.0)) for name, key in _RATES.items()}
    return {"queue_unacked": float(unacked), **rates}


@asynccontextmanager
async def open_reader(config: RabbitmqQueueGaugeSettings, surroundings: Surroundings) -> AsyncIterator[QueueReader]:
    """Look once, yield the gauge, close. Raises TargetError."""
    async with AsyncExitStack() as stack:
        page = None
        if config.management is not None:
            page = await stack.enter_async_context(open_management(config, config.management, surroundings))
        reader = QueueReader(config, surroundings, page)
        stack.push_async_callback(reader.close)
        try:
            await reader.look()
        except _NotThere as error:
            address = parse_url(config.url)
            where = f"in virtual host {address.vhost!r} of {address.shown}"
            raise TargetError(f"{error} {where}; {error.cure}") from None
        yield reader


def open_management(
    config: RabbitmqQueueGaugeSettings, url: str, surroundings: Surroundings
) -> AbstractAsyncContextManager[Page]:
    """The queue's page, with the login of the AMQP address if this one has none."""
    address = parse_url(config.url)
    path = f"/api/queues/{quote(address.vhost, safe='')}/{quote(config.queue, safe='')}"

    def login(fill: Fill) -> str:
        return "Basic " + b64encode(f"{fill(address.user)}:{fill(address.password)}".encode()).decode()

    headers, made = {"accept": "application/json"}, {}
    if parse_web_url(url).credentials is None and held(address.user + address.password):
        made["authorization"] = login
    elif parse_web_url(url).credentials is None:
        headers["authorization"] = login(str)
    return open_page(
        url.rstrip("/") + path, surroundings, headers=headers, made=made, timeout_ns=config.timeout,
        ca_file=config.ca_file, verify=config.verify,
    )  # fmt: skip
