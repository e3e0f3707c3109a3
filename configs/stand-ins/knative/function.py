"""One function, a process of its own that needs nothing but Python: reads events on stdin, answers on stdout.

    python -I -S function.py COLD_START_MS

Once it has started it says `"ready"`. A line on stdin is a JSON list: an id, how long this event takes in
milliseconds, how many bytes the function forgets to give back for it, and the event. It works on all that it was
given at a time, as a function that waits for others does, and answers each with a line of JSON: the id and what was
made of the event. It ends with its stdin.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import sys
import time
import zlib
from typing import Any

_LARGEST = 1 << 16


def result_of(event: dict[str, Any]) -> dict[str, Any]:
    """What a function makes of an event: the job that builds a parser, or what a parser found in a block."""
    data = event["data"]
    if event["type"].endswith("build.start"):
        return {"job": f"build-{data['third_party_id']}-{data['parser_id']}-{event['id']}"}
    asked = data["parameters"]
    found = [zlib.crc32(f"{asked['blockId']}/{index}".encode()) for index in asked["logIndices"]]
    return {"context": data["contextId"], "chain": asked["blockchainType"], "logs": found}


def _main(cold_start_ms: float) -> None:
    time.sleep(cold_start_ms / 1000)
    os.write(1, b'"ready"\n')
    due: list[tuple[float, int, str]] = []
    kept: list[bytearray] = []
    number, rest = 0, b""
    while True:
        now = time.monotonic()
        answers = []
        while due and due[0][0] <= now:
            answers.append(heapq.heappop(due)[2])
        if answers:
            os.write(1, ("\n".join(answers) + "\n").encode())
        wait = max(0.0, due[0][0] - time.monotonic()) if due else None
        if not select.select([0], [], [], wait)[0]:
            continue
        read = os.read(0, _LARGEST)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        now = time.monotonic()
        for line in lines:
            event_id, service_ms, leak, event = json.loads(line)
            if leak:
                kept.append(bytearray(os.urandom(1024)) * (leak // 1024))
            number += 1
            answer = json.dumps([event_id, result_of(event)], separators=(",", ":"))
            heapq.heappush(due, (now + service_ms / 1000, number, answer))


if __name__ == "__main__":
    _main(float(sys.argv[1]))
