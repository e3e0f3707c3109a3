"""Activities against peers that mean harm, each in a process of its own: `python -m … SETTINGS SECONDS`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from tests.rigs import hostile, peak
from tests.rigs.activities import activity, opened
from tests.rigs.commands import Ended
from tests.rigs.hostile import Hostile
from tests.rigs.hostile_runs import Protocol, Told, by_script
from tests.servers.httpserver import answer, json_answer

ROOT: Final = Path(__file__).parents[2]
_VALUE: Final = {"capture": {"value": "body.value"}, "timeout": "1s"}
_HTTP: Final = "http://127.0.0.1:{port}/"


def of_http() -> dict[str, Protocol]:
    """All that ask over HTTP, by their kind."""
    well = by_script(lambda _: [json_answer(b'{"value": 1}')])
    asking = {
        kind: Protocol("activities", _VALUE, (kind, _HTTP), hostile.IN_JSON, well)
        for kind in ("get", "post", "put", "patch", "delete")
    }
    return asking | {
        "sandbox": Protocol(
            "activities", {"sandbox": {"workers": 1}, "timeout": "1s"}, ("at", _HTTP), hostile.IN_JSON,
            by_script(lambda _: [answer(200)]),
        ),
        "rabbitmq": Protocol(
            "activities", {"close_connections": "*", "timeout": "1s"}, ("rabbitmq", _HTTP), hostile.IN_JSON,
            by_script(lambda _: [json_answer(b"[]")]),
        ),
    }  # fmt: skip


def of_postgres(port: int) -> dict[str, Protocol]:
    """With a server at that port that lets in whoever comes."""
    return _of_sql(port, "postgresql://owner@127.0.0.1:{port}/postgres", {
        "sql-postgres": (hostile.IN_POSTGRES, 3, False), "sql-postgres-login": (hostile.IN_POSTGRES_LOGIN, 1, False),
    })  # fmt: skip


def of_mysql(port: int) -> dict[str, Protocol]:
    """With a server at that port that lets in whoever comes."""
    return _of_sql(port, "mysql://root@127.0.0.1:{port}/", {
        "sql-mysql": (hostile.IN_MYSQL, 2, False), "sql-mysql-login": (hostile.IN_MYSQL_LOGIN, 0, True),
    })  # fmt: skip


def _of_sql(port: int, on: str, rows: Mapping[str, tuple[hostile.Speech, int, bool]]) -> dict[str, Protocol]:
    settings = {"sql": "SELECT 1 AS value", "capture": {"value": "value"}, "timeout": "1s"}
    return {
        name: Protocol(
            "activities",
            settings,
            ("on", on),
            speech,
            lambda: nullcontext(port),
            greetings=greetings,
            unasked=unasked,
        )
        for name, (speech, greetings, unasked) in rows.items()
    }


def perform(protocol: Protocol, ways: Sequence[str], lasting_s: int, cwd: Path) -> list[Told]:
    """At the same time: an activity again and again while its peer is well, and one in each of the ways."""

    async def main() -> list[Told]:
        return await asyncio.gather(*(_perform(protocol, way, lasting_s, cwd) for way in (hostile.QUIET, *ways)))

    return asyncio.run(main())


async def _perform(protocol: Protocol, way: str, lasting_s: int, cwd: Path) -> Told:
    async with protocol.well() as port, Hostile(
        port, protocol.speech, way, greetings=protocol.greetings, unasked=protocol.unasked
    ) as peer:  # fmt: skip
        peer.turn()
        key, address = protocol.address
        settings = json.dumps({**protocol.settings, key: address.format(port=peer.port)})
        result = cwd / way.replace(" ", "-").replace(",", "")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", peak.__file__, str(result),
            sys.executable, "-m", "tests.rigs.hostile_activities", settings, str(lasting_s),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), lasting_s + 120)
        finally:
            if process.returncode is None:
                process.terminate()
        assert process.returncode is not None
        return Told(way, Ended(process.returncode, out.decode(), err.decode()), int(result.read_text()), peer.spoke)


async def _again_and_again(settings: Mapping[str, Any], lasting_s: float) -> dict[str, int]:
    outcomes: dict[str, int] = {}
    until = time.monotonic() + lasting_s
    async with opened(activity(**settings)) as one:
        while time.monotonic() < until:
            outcome = await one.perform({})
            told = outcome.error or "done"
            outcomes[told] = outcomes.get(told, 0) + 1
            await asyncio.sleep(0.02)
    return outcomes


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_again_and_again(json.loads(sys.argv[1]), float(sys.argv[2])))))
