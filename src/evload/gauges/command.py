"""Numbers that a command prints: whatever a tool on this machine can tell, by JMESPath over its output."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from jmespath.exceptions import JMESPathError
from pydantic import Field

from ..clients import exact_json
from ..clients.jmes import Expression, kind_of
from ..errors import TargetError
from ..spi.context import AnswerTimeout, Surroundings
from ..spi.gauge import Gauge, Sample
from ..units import NS_PER_S, Duration, Size, format_duration
from ._shared.named_values import NamedValues, is_number

_SHOWN: Final = 200
_LEAVING_S: Final = 1.0
"""For which what was ended is waited for."""


class CommandGaugeConfig(NamedValues):
    """Settings of the command gauge.

    A text is given to the shell, a list is run as it is; in both cases where the config stands. What is printed is
    JSON, or else a text. A command that fails is a failed sample, unless an expression looks at its `code`.
    """

    sees: ClassVar = ("code", "output")
    example: ClassVar = "output.depth"
    unasked: ClassVar = "output"

    kind: Literal["command"]
    run: Annotated[str | tuple[str, ...], Field(min_length=1, description="for the shell, or a list of arguments")]
    value: Annotated[str | None, Field(description="JMESPath over {code, output}: a number")] = None
    timeout: AnswerTimeout = 5_000_000_000
    max_output: Annotated[Size, Field(ge=1, description="a command that prints more is a failed sample")] = 1 << 20
    every: Annotated[Duration, Field(ge=10_000_000, description="time between two samples")] = 5 * NS_PER_S

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        """Run it once, yield the gauge. Raises TargetError if that gives no numbers."""
        gauge = CommandGauge(self, surroundings.base_dir)
        first = await gauge.sample()
        if first.error:
            raise TargetError(f"no value by {_shown(self.run)}: {first.error}; correct run or value")
        yield gauge


class _NoOutputError(Exception):
    """The command came to nothing; says why."""


class CommandGauge:
    """Runs the command for each sample, as a process group of its own, which ends with the sample."""

    def __init__(self, settings: CommandGaugeConfig, base_dir: Path) -> None:
        self._settings = settings
        self._base_dir = base_dir
        self._arguments = ("/bin/sh", "-c", settings.run) if isinstance(settings.run, str) else settings.run
        self._expressions = {name: Expression(text) for name, text in settings.expressions.items()}
        self._looks_at_code = any(one.whole or "code" in one.roots for one in self._expressions.values())

    async def sample(self) -> Sample:
        """All values of one run of it, or none of them."""
        try:
            code, printed, complaint = await self._run()
            if code and not self._looks_at_code:
                raise _NoOutputError(f"it ended with {_ended(code)}{complaint}")
            answer = {"code": code, "output": _read(printed)}
            return Sample({name: _number(by, answer) for name, by in self._expressions.items()})
        except (_NoOutputError, JMESPathError, OSError, ValueError) as failure:
            return Sample({}, " ".join(str(failure).split()))

    async def _run(self) -> tuple[int, bytes, str]:
        """The exit code, what it printed, and its last complaint."""
        process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._base_dir,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        timeout_ns, most = self._settings.timeout, self._settings.max_output
        try:
            async with asyncio.timeout(timeout_ns / NS_PER_S):
                printed, complaints = await asyncio.gather(
                    *(_all_of(stream, most, partial(_end, process)) for stream in (process.stdout, process.stderr))
                )
                code = await process.wait()
        except TimeoutError:
            raise _NoOutputError(f"it was not done after {format_duration(timeout_ns)}") from None
        finally:
            # Whoever it has started would go on, and a shell is no more than that.
            _end(process)
            if process.returncode is None:
                # It counts as ended once its pipes are empty, unless somebody who fled the group holds them.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVING_S):
                        await asyncio.gather(*(_all_of(one, 0, int) for one in (process.stdout, process.stderr)))
                        await process.wait()
        if len(printed) > most or len(complaints) > most:
            raise _NoOutputError(f"it printed more than {most:,} bytes")
        lines = complaints.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return code, printed, f": {last[:_SHOWN]}" if last else ""


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _all_of(stream: asyncio.StreamReader, most: int, too_much: Callable[[], object]) -> bytes:
    """What comes to its end; beyond `most` bytes the rest is thrown away."""
    found = bytearray()
    while chunk := await stream.read(1 << 16):
        if len(found) <= most:
            found += chunk
            if len(found) > most:
                too_much()
    return bytes(found)


def _read(printed: bytes) -> Any:
    try:
        return exact_json.loads(printed)
    except ValueError:
        return printed.decode(errors="replace").strip()


def _number(expression: Expression, answer: Mapping[str, Any]) -> float:
    value: Any = expression.search(answer)
    if is_number(value):
        return cast(float, value)
    found = repr(value[:_SHOWN]) if isinstance(value, str) else value if isinstance(value, float) else kind_of(value)
    raise ValueError(f"{expression.text!r} is {found}, not a number")


def _ended(code: int) -> str:
    return f"code {code}" if code > 0 else f"signal {-code}"


def _shown(run: str | tuple[str, ...]) -> str:
    text = run if isinstance(run, str) else " ".join(run)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
