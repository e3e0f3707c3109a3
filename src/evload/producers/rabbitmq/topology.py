"""Declares what a run wants to publish to, and removes afterwards what was not there before."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from ...clients.amqp import connection, parse_url
from ...errors import TargetError

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, AbstractConnection

    from .settings import RabbitmqProducerSettings


_LOG: Final = logging.getLogger(__name__)

_Do = Callable[["AbstractChannel"], Awaitable[Any]]


@dataclass(slots=True)
class Topology:
    """What was not there before: names of the exchange and of the queue that the run itself declared."""

    exchange: str | None = None
    queue: str | None = None


async def declare(config: RabbitmqProducerSettings, base_dir: Path, name: str) -> Topology:
    """Declare what `config.declare` names, and see to it that a fixed exchange is there.

    Raises TargetError, after what was declared so far is removed again.
    """
    topology = Topology()
    async with connection(config, base_dir, name) as control:
        try:
            await _declare(config, control, topology)
        except BaseException:
            await _remove(control, topology)
            raise
    return topology


async def remove(config: RabbitmqProducerSettings, base_dir: Path, name: str, topology: Topology) -> None:
    """Remove what the run declared. If that can't be done, a line in the log says so: the run is over."""
    if not topology.exchange and not topology.queue:
        return
    try:
        async with connection(config, base_dir, name) as control:
            await _remove(control, topology)
    except (TargetError, AMQPError) as error:
        left = " and ".join(
            f"{kind} {name!r}" for kind, name in (("queue", topology.queue), ("exchange", topology.exchange)) if name
        )
        _LOG.warning("%s can't be removed: %s", left, error)


async def _declare(config: RabbitmqProducerSettings, control: AbstractConnection, topology: Topology) -> None:
    exchange, wanted = config.exchange, config.declare
    there = not exchange or "{" in exchange or await _is_there(control, partial(_look_for_exchange, name=exchange))
    if wanted is not None and wanted.exchange is not None:
        kind, durable = wanted.exchange.type, wanted.exchange.durable
        await _attempt(
            control,
            f"declare exchange {exchange!r}",
            lambda channel: channel.exchange_declare(exchange, exchange_type=kind, durable=durable),
        )
        topology.exchange = None if there else exchange
    elif not there:
        what = f"there is no exchange {exchange!r} in virtual host {parse_url(config.url).vhost!r}"
        raise TargetError(f"{what}; create it, correct exchange, or write declare.exchange")
    if wanted is None or wanted.queue is None:
        return
    queue = wanted.queue
    there = await _is_there(control, lambda channel: channel.queue_declare(queue.name, passive=True))
    await _attempt(
        control,
        f"declare queue {queue.name!r}",
        lambda channel: channel.queue_declare(queue.name, durable=queue.durable, arguments={**queue.arguments()}),
    )
    topology.queue = None if there else queue.name
    for key in config.bindings():
        await _attempt(
            control,
            f"bind queue {queue.name!r} to exchange {exchange!r}",
            partial(_bind, queue=queue.name, exchange=exchange, key=key),
        )


def _look_for_exchange(channel: AbstractChannel, name: str) -> Awaitable[Any]:
    return channel.exchange_declare(name, passive=True)


def _bind(channel: AbstractChannel, queue: str, exchange: str, key: str) -> Awaitable[Any]:
    return channel.queue_bind(queue, exchange, routing_key=key)


async def _is_there(control: AbstractConnection, look: _Do) -> bool:
    """Whether a passive declare finds what it looks for. Raises TargetError if it isn't allowed to look."""
    channel = await control.channel(publisher_confirms=False)
    try:
        await look(channel)
    except ChannelNotFoundEntity:
        return False
    except AMQPError as error:
        raise _refused("look at what is declared", error) from None
    await channel.close()
    return True


async def _attempt(control: AbstractConnection, what: str, do: _Do) -> None:
    """On a channel of its own, because the broker answers a refusal by closing the channel."""
    channel = await control.channel(publisher_confirms=False)
    try:
        await do(channel)
    except AMQPError as error:
        raise _refused(what, error) from None
    await channel.close()


async def _remove(control: AbstractConnection, topology: Topology) -> None:
    channel = await control.channel(publisher_confirms=False)
    if topology.queue:
        await channel.queue_delete(topology.queue)
    if topology.exchange:
        await channel.exchange_delete(topology.exchange)
    await channel.close()


def _refused(what: str, error: AMQPError) -> TargetError:
    reason = " ".join(str(error.args[-1] if error.args else error).split())
    if reason.startswith("PRECONDITION_FAILED"):
        return TargetError(f"can't {what}: {reason}; it is there already and differs: declare it as it is")
    return TargetError(f"can't {what}: {reason}; give the user permission, or correct declare")
