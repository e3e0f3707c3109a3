"""Confirmed events per second to RabbitMQ on one client core: `evload run` against aio-pika and a bare loop."""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from tests.servers.rabbitmq_node import RabbitNode, running_node

from .rabbitmq_peers import SIZE
from .rig import CORES, SERVER_CORE, BenchmarkError, evload_run, run

_QUEUE: Final = "bench"
_ROUNDS: Final = 5
_TASKS_COUNT: Final = 40_000
_COUNT: Final = 150_000
_OFFERED: Final = 75_000
"""Events per second that are asked of evload: more than it can do, so that it does what it can."""


def main() -> None:
    """Run the peers and evload in turns and print the medians of the rounds."""
    rates: dict[str, list[float]] = {"aio-pika tasks": [], "bare loop": [], "evload run": []}
    with _node() as node:
        for _ in range(_ROUNDS):
            rates["aio-pika tasks"].append(_peer(node, "tasks", _TASKS_COUNT))
            rates["bare loop"].append(_peer(node, "bare", _COUNT))
            rates["evload run"].append(_evload(node))
    for name, measured in rates.items():
        print(f"{name:15} {statistics.median(measured):7.0f}/s   ({', '.join(f'{rate:.0f}' for rate in measured)})")
    tasks, bare, own = rates.values()
    # Round by round, because what else runs on the machine changes from one round to the next.
    over_tasks = statistics.median(mine / theirs for mine, theirs in zip(own, tasks, strict=True))
    over_bare = statistics.median(mine / theirs for mine, theirs in zip(own, bare, strict=True))
    print(f"ratio: {over_tasks:.2f} x aio-pika (target 3), {over_bare:.2f} x bare loop (target 0.85)")


@contextmanager
def _node() -> Iterator[RabbitNode]:
    """A node on the server's core, with a classic queue to publish to."""
    os.sched_setaffinity(0, {SERVER_CORE})
    with running_node() as node:
        os.sched_setaffinity(0, CORES)
        node.management(f"/api/queues/%2F/{_QUEUE}", "PUT", {"durable": True})
        yield node


def _peer(node: RabbitNode, peer: str, count: int) -> float:
    rate = float(
        run([sys.executable, "-m", "benchmarks.rabbitmq_peers", peer, node.url, _QUEUE, str(count)], timeout_s=120)
    )
    _take(node, count)
    return rate


def _evload(node: RabbitNode) -> float:
    """Confirms per second between the first and the last, with all events in the ledger and in the queue."""
    with (
        evload_run(_config(node.url), timeout_s=120) as out,
        closing(sqlite3.connect(out / "events.sqlite")) as ledger,
    ):
        acked: list[int] = sorted(
            row[0] for row in ledger.execute("SELECT acked_ns FROM events WHERE acked_ns IS NOT NULL")
        )
        (rows,) = ledger.execute("SELECT count(*) FROM events").fetchone()
    if not rows == len(acked) == _COUNT:
        raise BenchmarkError(f"of {_COUNT} events {rows} are in the ledger and {len(acked)} are acked")
    _take(node, _COUNT)
    return (len(acked) - 1) / (acked[-1] - acked[0]) * 1e9


def _take(node: RabbitNode, count: int) -> None:
    """Empty the queue. Raises BenchmarkError if it doesn't hold what was confirmed."""
    messages = int(node.rabbitmqctl("list_queues", "messages", "--no-table-headers").split()[-1])
    if messages != count:
        raise BenchmarkError(f"the queue holds {messages} messages of {count}")
    node.rabbitmqctl("purge_queue", _QUEUE)


def _config(url: str) -> dict[str, Any]:
    """An overload of events whose data alone, sent as they are, have the size of the peers' bodies."""
    frame = len('{"id":"","at":"","pad":""}') + 36 + 27
    return {
        "name": "benchmark",
        "producers": {
            "bus": {
                "kind": "rabbitmq", "url": url, "routing_key": _QUEUE, "mode": "plain", "persistent": False,
                "timeout": "60s",
            }
        },
        "events": {
            "placed": {
                "type": "placement.created",
                "source": "/evload/bench",
                "data": {"id": "{correlation_id}", "at": "{now}", "pad": "x" * (SIZE - frame)},
            }
        },
        "scenarios": {
            "load": {
                "producer": "bus",
                "events": {"placed": 1},
                "load": [{"rate": f"{_OFFERED}/s", "for": f"{_COUNT // _OFFERED}s"}],
            }
        },
    }  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(str(error))
