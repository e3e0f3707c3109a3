"""The command: starts the stand-in, and runs something against it or waits until nobody needs it any more."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import uvloop

from placements.app import running
from placements.knobs import QUICK, Knobs
from placements.queues import REGION
from placements.record import Record
from stand_in.command import RECORD, assigned, parted, run, unused

_PORT: Final = 8790
_DATABASE: Final = "placements.sqlite"


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say, and return the exit code."""
    own, command = parted(arguments)
    asked = _parser().parse_args(own)
    knobs = Knobs()
    try:
        knobs.change({**(QUICK if asked.quick else {}), **dict(map(assigned, asked.set))})
    except ValueError as error:
        print(f"--set: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="placements-") as passing:
        directory = Path(asked.directory or passing)
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob(f"{_DATABASE}*"):
            old.unlink()
        port = (0 if command else _PORT) if asked.port is None else asked.port
        return uvloop.run(_serve(knobs, directory, port, command))


async def _serve(knobs: Knobs, directory: Path, port: int, command: Sequence[str]) -> int:
    with closing(Record(directory / RECORD)) as record:
        async with running(knobs, record, port=port, database=directory / _DATABASE) as system:
            if command:
                return await run(command, environment(system.url))
            print(f"placements on {system.url}, record in {directory / RECORD}; in your shell:")
            print(
                *(f"export {name}={value}" for name, value in environment(system.url).items()), sep="\n", flush=True
            )
            await unused(lambda: record.counts["came"])
            return 0


def environment(url: str) -> dict[str, str]:
    """By which evload, and AWS's SDKs, find it."""
    return {
        "PLACEMENTS": url, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "stand-in",
        "AWS_SECRET_ACCESS_KEY": "stand-in", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="placements",
        description="A stand-in for placements on loopback. It ends with COMMAND; without one on Ctrl-C, when its "
        "standard input ends, or after half an hour without an event.",
        usage="python configs/stand-ins/placements [options] [-- COMMAND ...]",
    )
    parser.add_argument("--port", type=int, help=f"default: {_PORT}, or with a command a free one")
    parser.add_argument("--directory", help="where its record and its database go; default: a passing one")
    parser.add_argument("--quick", action="store_true", help="minutes become seconds, as the profiles short count on")
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE", help="see knobs.py; repeatable")
    return parser
