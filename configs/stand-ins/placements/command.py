"""The command: starts the stand-in, and runs something against it or waits until nobody needs it any more."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from placements.app import System, running
from placements.knobs import QUICK, Knobs
from placements.queues import REGION
from placements.record import opened

_PORT: Final = 8790
_DATABASE: Final = "placements.sqlite"
_RECORD: Final = "record.jsonl"
_UNUSED_S: Final = 1800.0


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say, and return the exit code."""
    own, command = [*arguments], []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    asked = _parser().parse_args(own)
    knobs = Knobs()
    try:
        knobs.change({**(QUICK if asked.quick else {}), **dict(_assigned(text) for text in asked.set)})
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
    with opened(directory / _RECORD) as record:
        async with running(knobs, record, port=port, database=directory / _DATABASE) as system:
            if command:
                return await _run(command, system)
            print(f"placements on {system.url}, record in {directory / _RECORD}; in your shell:")
            print(
                *(f"export {name}={value}" for name, value in environment(system.url).items()), sep="\n", flush=True
            )
            await _unused(system)
            return 0


def environment(url: str) -> dict[str, str]:
    """By which evload, and AWS's SDKs, find it."""
    return {
        "PLACEMENTS": url, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "stand-in",
        "AWS_SECRET_ACCESS_KEY": "stand-in", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


async def _run(command: Sequence[str], system: System) -> int:
    """Run a command against it, to its end. Signals are the command's to obey."""
    loop = asyncio.get_running_loop()
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment(system.url)})
    except OSError as error:
        print(f"can't run {command[0]}: {error.strerror}; name a program", file=sys.stderr)
        return 2
    # Ctrl-C reaches both: the terminal sends it to the whole group.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, process.terminate)
    return await process.wait()


async def _unused(system: System) -> None:
    """Until Ctrl-C, the end of standard input where that isn't a terminal, or half an hour without an event."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    if not sys.stdin.isatty():
        loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)))
    came, last = -1, loop.time()
    while not over.is_set() and loop.time() - last < _UNUSED_S:
        if system.record.counts["came"] != came:
            came, last = system.record.counts["came"], loop.time()
        try:
            await asyncio.wait_for(over.wait(), 1.0)
        except TimeoutError:
            continue


def _assigned(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


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
