"""Something done by a command of this machine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from ..clients.commands import NotDone, arguments_of, run, shown
from ..errors import TargetError
from ..spi.activity import PLACEHOLDER, Activity, Outcome, Values, as_text, filled_in
from ..spi.context import Surroundings
from ..spi.guard import Reach
from ..spi.secrets import PLACEHOLDER as SECRET
from ..units import Size
from ._shared.capturing import Capturer, Capturing
from ._shared.failing import Failed

_SHOWN: Final = 60
_PLACEHOLDERS: Final = rf"\$\{{|{SECRET.pattern}|{PLACEHOLDER.pattern}"
_NEXT: Final = {
    "": re.compile(rf"\\.|'|\"|(?:(?<=[\s;&|(])|\A)#[^\n]*|{_PLACEHOLDERS}", re.DOTALL),
    '"': re.compile(rf"\\.|\"|{_PLACEHOLDERS}", re.DOTALL),
    "'": re.compile(rf"'|{_PLACEHOLDERS}"),
}
"""What matters of a text for the shell, by the quotes around it: quotes, what is escaped, remarks, placeholders."""


def _codes(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


_CODE: Final = {"type": "integer", "minimum": 0, "maximum": 255}
Codes = Annotated[
    tuple[Annotated[int, Field(ge=0, le=255)], ...],
    BeforeValidator(_codes),
    WithJsonSchema({"anyOf": [_CODE, {"type": "array", "items": _CODE, "minItems": 1}]}),
]


class ShellConfig(Capturing):
    """Settings of a command.

    A text is given to the shell, a list is run as it is; in both cases where the config stands. In a text a
    placeholder becomes a variable of the shell, quoted as it should be: no value is ever read as a command. What the
    command has started ends with it when its time is over; else it may go on, if it closes what it prints to.
    """

    sees: ClassVar = ("code", "output")
    live: ClassVar = frozenset({"shell"})

    shell: Annotated[str | tuple[str, ...], Field(description="for the shell, or a list of arguments")]
    expect: Annotated[Codes, Field(description="exit codes that say that it is done")] = (0,)
    max_output: Annotated[Size, Field(ge=1, description="so much of what it prints is kept to capture from")] = (
        1 << 20
    )

    @field_validator("shell")
    @classmethod
    def _says_something(cls, shell: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not (shell.strip() if isinstance(shell, str) else shell and shell[0].strip()):
            raise ValueError("shell is empty; write a command, such as docker pause db")
        if "\0" in (shell if isinstance(shell, str) else "".join(shell)):
            raise ValueError("shell holds a NUL, which no command can; leave it out")
        return shell

    @field_validator("expect")
    @classmethod
    def _expects_something(cls, codes: tuple[int, ...]) -> tuple[int, ...]:
        if not codes:
            raise ValueError("no exit code is expected; write expect: 0")
        return codes

    @property
    def reach(self) -> Reach:
        return Reach(opaque="a command")

    @property
    def title(self) -> str:
        return f"shell: {shown(self.shell, _SHOWN)}"

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        """Yield what runs the command."""
        yield _Command(self, surroundings)


class _Command:
    def __init__(self, config: ShellConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._surroundings = surroundings
        self._capturer = Capturer(config.capture)

    async def perform(self, values: Values) -> Outcome:
        """Run it once."""
        config = self._config
        try:
            arguments, environment = self._filled(values)
        except TargetError as error:
            return Failed(str(error)).outcome
        try:
            ran = await run(
                arguments, self._surroundings.base_dir, timeout_ns=config.timeout, most=config.max_output,
                environment=environment, may_leave=True, began=self._surroundings.began,
            )  # fmt: skip
        except NotDone as failure:
            return Failed(str(failure), in_doubt=True).outcome
        except (OSError, ValueError) as failure:  # a value may hold what no argument can
            return Failed(f"it can't be begun: {failure}").outcome
        if ran.code not in config.expect:
            return Failed(f"it ended with {ran.ended}{ran.complaint}", in_doubt=True).outcome
        if ran.overlong and self._capturer.looks_at("output"):
            what = f"it is done, but it printed more than {config.max_output:,} bytes, too much to capture from"
            return Failed(what, in_doubt=True).outcome
        try:
            return Outcome(captured=self._capturer.take({"code": ran.code, "output": ran.output}))
        except Failed as failure:
            return failure.outcome

    def _filled(self, values: Values) -> tuple[Sequence[str], Mapping[str, str]]:
        """The arguments, and what is in the environment beside. Raises TargetError."""
        shell, secret = self._config.shell, self._surroundings.filled
        if isinstance(shell, str):
            text, environment = as_variables(shell, values, secret)
            return arguments_of(text), environment
        return [as_text(filled_in(secret(argument), values)) for argument in shell], {}


def as_variables(text: str, values: Values, secret: Callable[[str], str] = str) -> tuple[str, dict[str, str]]:
    """A text for the shell with variables in the place of its placeholders, and what these variables hold.

    However well the quotes around a placeholder are understood: what a variable holds is never read as a command.
    """
    environment: dict[str, str] = {}
    parts, at, look, quote = [], 0, 0, ""
    while token := _NEXT[quote].search(text, look):
        found, look = token[0], token.end()
        if found in ("'", '"'):
            quote = "" if quote else found
        if not found.startswith("{"):
            continue
        if found.startswith("{secrets."):
            value = secret(found)
        elif (name := found[1:-1]) in values:
            value = as_text(values[name])
        else:
            continue
        variable = f"EVLOAD_VALUE_{len(environment) + 1}"
        environment[variable] = value
        instead = {"": f'"${{{variable}}}"', '"': f"${{{variable}}}", "'": f"'\"${{{variable}}}\"'"}[quote]
        parts += [text[at : token.start()], instead]
        at = look
    return "".join(parts) + text[at:], environment
