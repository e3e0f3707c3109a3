"""Tries a config with one event of each kind and once through each journey, and shows everything: `evload try`."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Sequence
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
from ...texts import meant, plain_json
from ...units import parse_duration
from .document import document_of
from .following import Trial
from .going import Going, Ways, made_in
from .gone import JourneyTried
from .looking import Tried
from .telling import lines_of
from .telling_journeys import lines_of_journey

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
    journeys: Sequence[str] = (),
    wait: str | None = None,
    say: Callable[[str], None],
    document: Callable[[bytes], None] | None = None,
) -> int:
    """Try it, print what was seen, and return the exit code.

    0 every event was seen in time (one that no probe looks for: it was accepted) and every journey completed, 1 one
    wasn't or didn't, 130 interrupted. `journeys` are those to go through, and nothing else; none: all, beside the
    events. `wait` is how long to look on after a deadline, `say` takes remarks. With `document` nothing is printed:
    it is given all of it as JSON. Raises TargetError if a target can't be reached, and UsageError for a `wait` that
    is no duration and a journey that there isn't.
    """
    made = made_in(loaded.config)
    for name in journeys:
        if name not in made:
            cure = meant(name, made, f"choose of {', '.join(made)}" if made else "write it under journeys:")
            known = name in loaded.config.journeys
            what = "no scenario goes through it" if known else "there is no such journey"
            raise UsageError(f"--journey {name}: {what}; {cure}")
    try:
        wait_ns = None if wait is None else parse_duration(wait)
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error

    def done(tried: Tried | JourneyTried) -> None:
        if document is None:
            redact = loaded.redact
            for line in lines_of(tried, redact) if isinstance(tried, Tried) else lines_of_journey(tried, redact):
                style = "bold" if line in _HEADINGS else None
                console.print(loaded.redact(line), soft_wrap=True, style=style)
            console.print()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tried, gone, interrupted = runner.run(
            _run(loaded, journeys, wait_ns, lambda text: say(loaded.redact(text)), done)
        )
    if document is not None:
        report = document_of(tried, gone, loaded.redact)
        document(plain_json(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)))
    else:
        if tried or not gone:
            console.print(f"seen in time: {sum(one.good for one in tried)} of {len(tried)} events")
        if gone:
            followed = any(step.followed for one in gone for step in one.steps)
            how = "completed, and what they sent seen in time" if followed else "completed"
            console.print(f"{how}: {sum(one.good for one in gone)} of {len(gone)} journeys")
    if interrupted:
        return INTERRUPTED
    return 0 if all(one.good for one in tried) and all(one.good for one in gone) else NOT_SEEN


async def _run(
    loaded: LoadedConfig,
    journeys: Sequence[str],
    wait_ns: int | None,
    say: Callable[[str], None],
    done: Callable[[Tried | JourneyTried], None],
) -> tuple[list[Tried], list[JourneyTried], bool]:
    """The events and the journeys that were tried, and whether somebody had enough before its end."""
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
            kinds = [] if journeys else kinds_of(config, run_id)
            trial = Trial(plan, kinds, around, wait_ns=wait_ns, enough=enough, say=say)
            ways = Ways(clock, trial.publish, trial.look, trial.follow, trial.pause, enough, say, loaded.learn)
            gone: list[JourneyTried] = []

            async def go() -> None:
                gone.extend(await Going(config, run_id, ways).through(journeys or made_in(config), done))

            return await trial.run(done, go), gone, enough.is_set()
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
