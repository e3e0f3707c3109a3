"""The stand-in as a whole: `python configs/stand-ins/knative [--amqp URL] [-- COMMAND …]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aiormq
from aiohttp import web

from knative.broker import TYPES, Broker
from knative.functions import Function, Jobs, Knobs
from knative.pods import Pods
from knative.record import Record
from knative.web import Api, Front

_LARGEST: Final = 1 << 25


@asynccontextmanager
async def serving(options: argparse.Namespace, record: Record) -> AsyncIterator[dict[str, str]]:
    """The system, until the block ends; yields the environment in which the configs find it.

    Raises OSError or aiormq.AMQPError if there is no RabbitMQ.
    """
    broker = await Broker.connected(options.amqp)
    await broker.declare(options.backlog)
    jobs, pods = Jobs(), Pods()
    functions = {name: Function(name, _knobs(options), pods.start, record, jobs) for name in TYPES}
    front = Front(broker.publish, record)
    ingress, api = web.Application(client_max_size=_LARGEST), web.Application(client_max_size=_LARGEST)
    ingress.add_routes([web.post("/{path:.*}", front.post)])
    api.add_routes(Api(functions, jobs, front, record).routes())
    runners = [web.AppRunner(application, access_log=None) for application in (ingress, api)]
    try:
        urls = []
        for runner, port in zip(runners, (options.broker_port, options.api_port), strict=True):
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        server = runners[0].server
        assert server is not None
        front.connected = lambda: len(server.connections)
        for function in functions.values():
            function.begin()
            await broker.consume(function)
        yield {
            "AMQP_URL": options.amqp,
            "RABBITMQ_API": options.management or _management(options.amqp),
            "RABBITMQ_VHOST": unquote(urlsplit(options.amqp).path[1:]) or "/",
            "EVLOAD_BROKER": f"{urls[0]}/default/default",
            "EVLOAD_READ_MODEL": urls[1],
            "EVLOAD_METRICS": f"{urls[1]}/metrics",
            "EVLOAD_ADMIN": f"{urls[1]}/admin",
        }
    finally:
        for function in functions.values():
            function.end()
        await pods.started()
        for runner in runners:
            await runner.cleanup()
        await broker.close()


def _management(amqp: str) -> str:
    """Where the management API of that RabbitMQ is, unless somebody moved it."""
    url = urlsplit(amqp)
    login, at, _ = url.netloc.rpartition("@")
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"http://{login}{at}{host}:15672"


def _knobs(options: argparse.Namespace) -> Knobs:
    return Knobs(**{each.name: getattr(options, each.name) for each in fields(Knobs)})


async def _serve(options: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Ctrl-C reaches the command as well, which then decides when it is over.
        beside = options.command and number == signal.SIGINT
        loop.add_signal_handler(number, (lambda: None) if beside else stop.set)
    record = Record(options.record, time.monotonic_ns)
    try:
        async with serving(options, record) as environment:
            if options.command:
                return await _beside(options.command, environment, stop)
            for name, value in environment.items():
                print(f"export {name}={value}", flush=True)
            print(f"# the record is {options.record}", flush=True)
            await stop.wait()
            return 0
    except (OSError, aiormq.exceptions.AMQPError) as error:
        print(f"no RabbitMQ at {options.amqp}: {error}; see README.md beside the stand-in", file=sys.stderr)
        return 3
    finally:
        record.close()


async def _beside(command: Sequence[str], environment: dict[str, str], stop: asyncio.Event) -> int:
    """Run a command in that environment, and return its exit code. Who ends the stand-in interrupts it."""
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    ended = asyncio.create_task(process.wait())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ended.done():
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    return await ended


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python configs/stand-ins/knative",
        description="Builder and parser functions on one machine. With a command behind -- it lasts as long as that.",
    )
    parser.add_argument("--amqp", default=os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/"))
    parser.add_argument("--management", default=os.environ.get("RABBITMQ_API", ""), help="RabbitMQ's management API")
    parser.add_argument("--broker-port", type=int, default=0, help="of the broker front; 0: any")
    parser.add_argument("--api-port", type=int, default=0, help="of read model, metrics and admin calls; 0: any")
    parser.add_argument("--backlog", type=int, default=100_000, help="events in a queue that refuses further ones")
    parser.add_argument("--record", type=Path, help="where to write what really happened; a new file in /tmp")
    for each in fields(Knobs):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=type(each.default), default=each.default)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    options = parser.parse_args(arguments)
    options.command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.record is None:
        options.record = Path(tempfile.mkdtemp(prefix="knative-")) / "record.jsonl"
    return options


def main(arguments: Sequence[str]) -> int:
    """Serve until it is told to stop, or until the command is over. Returns the exit code."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_serve(_options(arguments)))
    return uvloop.run(_serve(_options(arguments)))
