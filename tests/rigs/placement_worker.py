"""A stand-in for a system behind EventBridge: takes placements off an SQS queue, and serves a read model of them.

    python -m tests.rigs.placement_worker ENDPOINT QUEUE_URL

Prints the address of the read model, and works until its stdin closes. A placement is there as soon as it was taken
up, and gets its `file_url` when it is done.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aioboto3
from aiohttp import web

from tests.servers.aws_server import ENVIRONMENT, REGION, AwsServer

_MOST: Final = 10
_WORK_S: Final = 0.03


class Placements:
    """The read model: a list of placements for each correlation id, so that a second one would be seen."""

    def __init__(self) -> None:
        self._found: dict[str, list[dict[str, Any]]] = {}

    async def work_off(self, sqs: Any, queue_url: str) -> None:
        """Work until cancelled."""
        while True:
            answer = await sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=_MOST, WaitTimeSeconds=1)
            messages = answer.get("Messages", ())
            placed = [self._take_up(json.loads(message["Body"])["detail"]) for message in messages]
            if placed:
                await asyncio.sleep(_WORK_S)
                for placement in placed:
                    placement["file_url"] = f"https://files.example.com/{placement['id']}.mp4"
                    placement["timestamps"]["processed_at"] = datetime.now(UTC).isoformat()
                handles = [
                    {"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(messages)
                ]
                await sqs.delete_message_batch(QueueUrl=queue_url, Entries=handles)

    def _take_up(self, event: dict[str, Any]) -> dict[str, Any]:
        consumed_at = datetime.now(UTC).isoformat()
        placement: dict[str, Any] = {
            "id": f"placement-{event['id']}",
            "file_url": None,
            "timestamps": {**event["timestamps"], "consumed_at": consumed_at},
            **event["data"],
        }
        self._found.setdefault(event["correlation_id"], []).append(placement)
        return placement

    async def asked(self, request: web.Request) -> web.Response:
        """GET /v1/placements?correlation_id=..."""
        return web.json_response({"items": self._found.get(request.query["correlation_id"], [])})


@contextmanager
def running_worker(server: AwsServer, queue_url: str) -> Iterator[str]:
    """The stand-in in a process of its own, until the block ends; yields the address of its read model."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, server.url, queue_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


async def _main(endpoint: str, queue_url: str) -> None:
    placements = Placements()
    application = web.Application()
    application.router.add_get("/v1/placements", placements.asked)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aioboto3.Session(region_name=REGION).client("sqs", endpoint_url=endpoint) as sqs:
        # One worker: moto may hand a message to two that ask at the same time.
        worker = asyncio.create_task(placements.work_off(sqs, queue_url))
        host, port = runner.addresses[0]
        print(f"http://{host}:{port}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
