"""A PostgreSQL and a Redis of the stand-in's own: loopback only, own directories, gone when the stand-in is gone."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import redis.asyncio
from redis.exceptions import RedisError

from stand_in.command import Missing

_START_S: Final = 60.0
_LOOK_S: Final = 0.02
_WATCH: Final = 'cat >/dev/null; read pid <"$0/pid" && kill -9 "$pid" 2>/dev/null; sleep 0.2; rm -rf "$0"'
"""Reads a pipe that ends with this process, whatever ends it, and leaves nothing of the server behind."""
_POSTGRES: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 64MB
"""


@asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """A PostgreSQL until the block ends; yields its address. Raises Missing where there is none on this machine."""
    cure = "get it with: apt-get install postgresql, or name a server: --postgres postgresql://USER@HOST/DATABASE"
    initdb, program = (_program(name, cure, "usr/lib/postgresql/*/bin/") for name in ("initdb", "postgres"))
    async with _directory("postgres") as directory:
        data, port = directory / "data", _free_port()
        await _run(directory, [
            initdb, "--pgdata", data, "--username", "shop", "--auth", "trust", "--no-sync", "--encoding", "UTF8",
            "--locale", "C", "--no-instructions",
        ])  # fmt: skip
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(_POSTGRES)
        url = f"postgresql://shop@127.0.0.1:{port}/postgres"

        async def answers() -> None:
            connection: Any = await asyncpg.connect(url)
            await connection.close()

        async with _server(directory, [program, "-D", data, "-p", str(port)], signal.SIGINT, answers):
            yield url


@asynccontextmanager
async def redis_server() -> AsyncIterator[str]:
    """A Redis until the block ends; yields its address. Raises Missing where there is none on this machine."""
    cure = "get it with: apt-get install redis-server, or name a server: --redis redis://HOST:PORT/0"
    program = _program("redis-server", cure)
    async with _directory("redis") as directory:
        port = _free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command: list[str | Path] = [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
            "--save",
            "",
        ]

        async def answers() -> None:
            async with redis.asyncio.Redis.from_url(url) as client:
                await client.ping()

        async with _server(directory, command, signal.SIGTERM, answers):
            yield url


@asynccontextmanager
async def _directory(name: str) -> AsyncIterator[Path]:
    """A directory for a server, which is removed with it, also where this process is killed."""
    directory = Path(tempfile.mkdtemp(prefix=f"shop-{name}-"))
    (directory / "pid").write_text("\n")
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    watcher = _spawn(["sh", "-c", _WATCH, directory], stdin=subprocess.PIPE)
    try:
        yield directory
    finally:
        assert watcher.stdin is not None
        watcher.stdin.close()
        await asyncio.to_thread(watcher.wait)
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def _server(
    directory: Path, command: Sequence[str | Path], ending: signal.Signals, answers: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """The server, from when it answers on until the block ends."""
    log = directory / "server.log"
    with log.open("ab") as output:
        process = _spawn(
            [*_as_nobody(), *command], cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    (directory / "pid").write_text(f"{process.pid}\n")
    try:
        until = asyncio.get_running_loop().time() + _START_S
        while True:
            try:
                await answers()
                break
            except (OSError, asyncpg.PostgresError, RedisError) as error:
                if process.poll() is not None or asyncio.get_running_loop().time() > until:
                    said = log.read_text(errors="replace")[-500:].strip().splitlines()
                    raise Missing(f"{command[0]} didn't start: {said[-1] if said else error}") from error
            await asyncio.sleep(_LOOK_S)
        yield
    finally:
        process.send_signal(ending)
        await asyncio.to_thread(process.wait)
        # Its number is free, and may be somebody else's before the watcher has read it.
        (directory / "pid").write_text("\n")


async def _run(directory: Path, command: Sequence[str | Path]) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [*_as_nobody(), *command], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Missing(f"{command[0]}: {done.stderr.strip().splitlines()[-1]}")


def _spawn(command: Sequence[str | Path], **more: Any) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own: Ctrl-C at a terminal is not for it."""
    return subprocess.Popen(command, start_new_session=True, **more)


def _as_nobody() -> list[str]:
    """No database server runs as root."""
    if os.getuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]


def _program(name: str, cure: str, place: str = "usr/bin/") -> Path:
    """Where a server's program is. Raises Missing."""
    # A program that goes by this name elsewhere may be a script that starts another one.
    for path in sorted(Path("/").glob(place + name), reverse=True):
        return path
    if found := shutil.which(name):
        return Path(found)
    raise Missing(f"there is no {name} on this machine; {cure}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
