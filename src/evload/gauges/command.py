"""Numbers that a command prints: whatever a tool on this machine can tell, by JMESPath over its output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from jmespath.exceptions import JMESPathError
from pydantic import Field

from ..clients.commands import NotDone, arguments_of, run, shown
from ..clients.jmes import Expression, kind_of
from ..errors import TargetError
from ..spi.context import AnswerTimeout, Surroundings
from ..spi.gauge import Gauge, Sample
from ..spi.guard import Reach
from ..units import NS_PER_S, Duration, Size
from ._shared.named_values import NamedValues, is_number

_SHOWN: Final = 200


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

    @property
    def reach(self) -> Reach:
        return Reach(opaque="a command")

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        """Run it once, yield the gauge. Raises TargetError if that gives no numbers."""
        gauge = CommandGauge(self, surroundings.base_dir)
        first = await gauge.sample()
        if first.error:
            raise TargetError(f"no value by {shown(self.run)!r}: {first.error}; correct run or value")
        yield gauge


class CommandGauge:
    """Runs the command for each sample, as a process group of its own, which ends with the sample."""

    def __init__(self, settings: CommandGaugeConfig, base_dir: Path) -> None:
        self._settings = settings
        self._base_dir = base_dir
        self._arguments = arguments_of(settings.run)
        self._expressions = {name: Expression(text) for name, text in settings.expressions.items()}
        self._looks_at_code = any(one.looks_at("code") for one in self._expressions.values())

    async def sample(self) -> Sample:
        """All values of one run of it, or none of them."""
        settings = self._settings
        try:
            ran = await run(self._arguments, self._base_dir, timeout_ns=settings.timeout, most=settings.max_output)
            if ran.code and not self._looks_at_code:
                return Sample({}, " ".join(f"it ended with {ran.ended}{ran.complaint}".split()))
            answer = {"code": ran.code, "output": ran.output}
            return Sample({name: _number(by, answer) for name, by in self._expressions.items()})
        except (NotDone, JMESPathError, OSError, ValueError) as failure:
            return Sample({}, " ".join(str(failure).split()))


def _number(expression: Expression, answer: Mapping[str, Any]) -> float:
    value: Any = expression.search(answer)
    if is_number(value):
        return cast(float, value)
    found = repr(value[:_SHOWN]) if isinstance(value, str) else value if isinstance(value, float) else kind_of(value)
    raise ValueError(f"{expression.text!r} is {found}, not a number")
