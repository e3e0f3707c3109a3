"""Whole runs of journeys against a server that does what a test's script says, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from evload.config.load import load_text
from tests.rigs.virtual_runs import Ran, ran_virtually
from tests.servers.httpserver import Script, Server, serving

PORT = 8080
SHOP = f"http://127.0.0.1:{PORT}"


def run_scripted(text: str, directory: Path, script: Script, *, stop_s: float | None = None) -> Ran[Server]:
    """The run of a config whose producers send to SHOP. Files that it names are in the directory."""
    config = load_text(text, "journeys.yaml", base_dir=directory, environ={}).config
    record = Server(script)

    @asynccontextmanager
    async def serve(wall: Callable[[], datetime]) -> AsyncIterator[None]:
        async with serving(script, port=PORT) as server:
            record.requests = server.requests
            yield

    return ran_virtually(config, directory, serve, record, stop_s)
