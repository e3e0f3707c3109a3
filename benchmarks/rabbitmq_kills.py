"""Kills a RabbitMQ node again and again under load, and looks for events that were acked and are not there.

One producer publishes persistent events to a durable queue all the while, through every SIGKILL and restart. At
the end the queue is emptied, and what it held is compared with the receipts. Takes about eight seconds a kill.
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Final

import uvloop
from tests.rigs.rabbitmq_traffic import Traffic, drain_ids, make_queue, traffic
from tests.servers.rabbitmq_node import RabbitNode, running_node

from evload.model.states import Outcome

from .rig import BenchmarkError

_QUEUE: Final = "kills"
_KILLS: Final = 20


async def torture(node: RabbitNode, kills: int, queue_type: str) -> None:
    """Run it and print what became of the events. Raises BenchmarkError if one is acked and missing."""
    await make_queue(node.url, _QUEUE, queue_type=queue_type)
    await asyncio.to_thread(node.sync)

    async with traffic(node.url, routing_key=_QUEUE) as run:
        load = asyncio.create_task(_publish(run))
        for kill in range(1, kills + 1):
            accepted = run.outcomes()[Outcome.ACCEPTED]
            await run.until(Outcome.ACCEPTED, accepted + random.randrange(200, 3000), within_s=120)
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
            print(f"kill {kill:2}: {_told(run)}", flush=True)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await run.all_settled()
    found = await drain_ids(node.url, _QUEUE)
    told = _told(run)
    try:
        run.hold_against(found)
    except AssertionError as error:
        raise BenchmarkError(f"{told}: {error}") from None
    arrived = len(run.ids(Outcome.IN_DOUBT) & set(found))
    print(f"{kills} kills, {queue_type} queue: {told}; {len(found)} in the queue, {arrived} of those in doubt")
    print("ratio: 0 events acked and missing (target 0)")


async def _publish(run: Traffic) -> None:
    while True:
        await run.publish(run.make(100), 100)
        await asyncio.sleep(0.005)


def _told(run: Traffic) -> str:
    outcomes = run.outcomes()
    return ", ".join(f"{outcomes[outcome]} {outcome.name.lower()}" for outcome in Outcome if outcomes[outcome])


if __name__ == "__main__":
    try:
        with running_node() as running:
            uvloop.run(torture(running, _KILLS, sys.argv[1] if len(sys.argv) > 1 else "classic"))
    except BenchmarkError as error:
        sys.exit(str(error))
