"""Tries a config with one event of each kind, and shows everything: `evload try`."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

import orjson
import uvloop
from rich.console import Console

from ...clients.credentials.opening import open_secrets
from ...clock import SystemClock
from ...config.run_config import LoadedConfig
from ...errors import EvloadError, UsageError
from ...run.prepare import build, kinds_of
from ...run.used_secrets import used_secrets
from ...sandbox.process import sandbox_process
from ...spi.context import Surroundings
from ...texts import plain_json
from ...units import parse_duration
from .document import document_of
from .following import Trial
from .looking import Tried
from .telling import lines_of

NOT_SEEN: Final = 1
INTERRUPTED: Final = 130
_HEADINGS: Final = ("sent", "why")


class _InterruptedError(EvloadError):
    """Somebody didn't want to wait for its end."""

    exit_code = INTERRUPTED


def run(
    loaded: LoadedConfig,
    console: Console,
    *,
    wait: str | None = None,
    say: Callable[[str], None],
    document: Callable[[bytes], None] | None = None,
) -> int:
    """Try it, print what was seen, and return the exit code.

    0 every event was seen in time (one that no probe looks for: it was accepted), 1 one wasn't, 130 interrupted.
    `wait` is how long to look on after a deadline, `say` takes remarks. With `document` nothing is printed: it is
    given all of it as JSON. Raises TargetError if a target can't be reached, and UsageError for a `wait` that is no
    duration.
    """
    try:
        wait_ns = None if wait is None else parse_duration(wait)
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error

    def done(tried: Tried) -> None:
        if document is None:
            for line in lines_of(tried, loaded.redact):
                style = "bold" if line in _HEADINGS else None
                console.print(loaded.redact(line), soft_wrap=True, style=style)
            console.print()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tried, interrupted = runner.run(_run(loaded, wait_ns, lambda text: say(loaded.redact(text)), done))
    good = sum(one.good for one in tried)
    if document is not None:
        report = document_of(tried, loaded.redact)
        document(plain_json(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)))
    else:
        console.print(f"seen in time: {good} of {len(tried)} events")
    if interrupted:
        return INTERRUPTED
    return 0 if good == len(tried) else NOT_SEEN


async def _run(
    loaded: LoadedConfig, wait_ns: int | None, say: Callable[[str], None], done: Callable[[Tried], None]
) -> tuple[list[Tried], bool]:
    """What was tried, and whether somebody had enough before its end."""
    clock, enough = SystemClock(), asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.callback(clock.close)
        config = loaded.config
        if config.sandbox is not None:
            sandbox = await stack.enter_async_context(sandbox_process(config.sandbox))
            config = loaded.at_sandbox(sandbox.url)
        run_id = f"try-{secrets.token_hex(4)}"
        plan = build(config, run_id)
        _heed(enough, stack)
        try:
            got = await stack.enter_async_context(
                open_secrets(used_secrets(plan, config.secrets), clock, loaded.base_dir, loaded.learn)
            )
            got.troubles.attend(lambda who, reason: say(f"{who}: {reason}"))
            around = Surroundings(clock, run_id, loaded.base_dir, secrets=got, guard=config.guard)
            kinds = kinds_of(config, run_id)
            if not kinds:
                raise UsageError(
                    "all scenarios make journeys, and this tries single events; run them with one user for a moment "
                    "instead, such as --set 'scenarios.NAME.load=[{users: 1, for: 5s}]'"
                )
            trial = Trial(plan, kinds, around, wait_ns=wait_ns, enough=enough, say=say)
            return await trial.run(done), enough.is_set()
        except asyncio.CancelledError:
            raise _InterruptedError("interrupted") from None
        except EvloadError as error:
            error.args = (loaded.redact(str(error)),)  # it may hold what a target said
            raise


def _heed(enough: asyncio.Event, stack: AsyncExitStack) -> None:
    """The first signal ends the looking, and what was seen is told; the second ends all."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stop() -> None:
        if enough.is_set() and task is not None:
            task.cancel()
        enough.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, stop)
            stack.callback(loop.remove_signal_handler, number)
