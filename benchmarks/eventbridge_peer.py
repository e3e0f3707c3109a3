"""What people write themselves: aioboto3's `put_events` in a loop, ten entries a call.

    python -m benchmarks.eventbridge_peer ENDPOINT LOOPS SECONDS

Runs as many such loops side by side and prints how many entries were taken, in what time, as JSON. All entries are
alike and made once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

import aioboto3
import uvloop
from aiobotocore.config import AioConfig

from .rig import peer_body

_ENTRIES: Final = 10


async def _main(endpoint: str, loops: int, seconds: float) -> None:
    entry = {
        "EventBusName": "default",
        "Source": "/evload/bench",
        "DetailType": "placement.created",
        "Detail": peer_body(),
    }
    entries = [entry] * _ENTRIES
    config = AioConfig(max_pool_connections=loops, retries={"mode": "standard"})
    async with aioboto3.Session(region_name="eu-west-1").client(
        "events", endpoint_url=endpoint, config=config
    ) as bus:
        taken = 0
        end = time.perf_counter() + seconds

        async def loop() -> None:
            nonlocal taken
            while time.perf_counter() < end:
                answer = await bus.put_events(Entries=entries)
                taken += _ENTRIES - answer["FailedEntryCount"]

        began, cpu_began = time.perf_counter(), time.process_time()
        await asyncio.gather(*(loop() for _ in range(loops)))
        cpu_s, length_s = time.process_time() - cpu_began, time.perf_counter() - began
        print(json.dumps({"entries": taken, "cpu_s": cpu_s, "length_s": length_s}))


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
