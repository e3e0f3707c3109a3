"""The command of a stand-in: starts it, and runs something against it or waits until nobody needs it any more."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import uvloop

from stand_in.knobs import Knobs
from stand_in.record import Record

K = TypeVar("K", bound=Knobs)
RECORD: Final = "record.jsonl"
_UNUSED_S: Final = 1800.0


class Missing(Exception):
    """What a stand-in needs isn't there: `what is missing; how to get it`."""


@dataclass(frozen=True)
class StandIn(Generic[K]):
    """A stand-in that can be started.

    knobs    makes its knobs, as they are when nobody says otherwise
    quick    what --quick turns, so that the profiles called `short` are short
    port     where it listens when nobody says where; one of several services takes the next ones
    running  serves it from a port on (0: free ones); yields the variables by which evload finds it
    servers  what it uses beside itself, with what --help says of it: an option --NAME for its address, which
             `running` gets by that name where it was said
    """

    name: str
    knobs: Callable[[], K]
    quick: Mapping[str, Any]
    port: int
    running: Callable[..., AbstractAsyncContextManager[Mapping[str, str]]]
    servers: Mapping[str, str] = field(default_factory=dict)


def main(stand_in: StandIn[K], arguments: Sequence[str]) -> int:
    """Do what the arguments say, and return the exit code."""
    own, command = parted(arguments)
    asked = _parser(stand_in).parse_args(own)
    knobs = stand_in.knobs()
    try:
        knobs.change({**(stand_in.quick if asked.quick else {}), **dict(map(assigned, asked.set))})
    except ValueError as error:
        print(f"--set: {error}", file=sys.stderr)
        return 2
    port = (0 if command else stand_in.port) if asked.port is None else asked.port
    addresses = {name: value for name in stand_in.servers if (value := getattr(asked, name)) is not None}
    serving = partial(stand_in.running, **addresses)
    with tempfile.TemporaryDirectory(prefix=f"{stand_in.name}-") as passing:
        directory = Path(asked.directory or passing)
        directory.mkdir(parents=True, exist_ok=True)
        with closing(Record(directory / RECORD)) as record:
            try:
                return uvloop.run(_serve(stand_in.name, serving(knobs, record, port), record, directory, command))
            except Missing as missing:
                print(missing, file=sys.stderr)
                return 3
            except KeyboardInterrupt:  # before it was there
                return 130
            except OSError as error:
                print(f"can't listen at port {port}: {error.strerror}; choose another --port", file=sys.stderr)
                return 2


async def _serve(
    name: str,
    running: AbstractAsyncContextManager[Mapping[str, str]],
    record: Record,
    directory: Path,
    command: Sequence[str],
) -> int:
    async with running as environment:
        if command:
            return await run(command, environment)
        print(f"{name}, record in {directory / RECORD}; in your shell:")
        print(*(f"export {key}={value}" for key, value in environment.items()), sep="\n", flush=True)
        await unused(record.counts.total)
        return 0


async def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command against it, to its end. Signals are the command's to obey."""
    loop = asyncio.get_running_loop()
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    except OSError as error:
        print(f"can't run {command[0]}: {error.strerror}; name a program", file=sys.stderr)
        return 2
    # Ctrl-C reaches both: the terminal sends it to the whole group.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, process.terminate)
    return await process.wait()


async def unused(counted: Callable[[], int]) -> None:
    """Until Ctrl-C, the end of standard input where that isn't a terminal, or half an hour with nothing to count."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    if not sys.stdin.isatty():
        loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)))
    before, last = -1, loop.time()
    while not over.is_set() and loop.time() - last < _UNUSED_S:
        if (count := counted()) != before:
            before, last = count, loop.time()
        try:
            await asyncio.wait_for(over.wait(), 1.0)
        except TimeoutError:
            continue


def parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Its own arguments, and the command behind `--`."""
    own = [*arguments]
    at = own.index("--") if "--" in own else len(own)
    return own[:at], own[at + 1 :]


def assigned(text: str) -> tuple[str, object]:
    """A knob and its value, of KNOB=VALUE; JSON, or text as it stands."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _parser(stand_in: StandIn[K]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=stand_in.name,
        description=f"A stand-in for {stand_in.name} on loopback. It ends with COMMAND; without one on Ctrl-C, when "
        "its standard input ends, or after half an hour in which nothing happened.",
        usage=f"python configs/stand-ins/{stand_in.name} [options] [-- COMMAND ...]",
    )
    parser.add_argument("--port", type=int, help=f"default: {stand_in.port}, or with a command a free one")
    parser.add_argument("--directory", help="where its record goes; default: a passing one")
    parser.add_argument("--quick", action="store_true", help="as the profiles short count on")
    for name, said in stand_in.servers.items():
        parser.add_argument(f"--{name}", metavar="URL", help=said)
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE", help="see knobs.py; repeatable")
    return parser
