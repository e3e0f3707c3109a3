"""Makes the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

from ...clients.credentials.headers import REFUSED
from ...clients.web import encode_target, has_control
from ...errors import TargetError
from ...model.statuses import expand_statuses
from ...spi.activity import PLACEHOLDER, Outcome, Values, as_text, filled_in
from ...spi.context import Surroundings
from ...spi.secrets import PLACEHOLDER as SECRET
from .._shared.capturing import Capturer
from .._shared.failing import Failed
from .._shared.http_address import json_body
from .._shared.http_calls import Calls, open_calls
from .settings import HttpActivitySettings, WithBody

_FORM = "application/x-www-form-urlencoded"


class Request:
    """The activity."""

    def __init__(self, config: HttpActivitySettings, surroundings: Surroundings, calls: Calls) -> None:
        self._config = config
        self._surroundings = surroundings
        self._calls = calls
        self._target = config.address.endpoint.target
        self._expected = expand_statuses(config.expect)
        self._capturer = Capturer(config.capture)
        self._templates = {name: value for name, value in config.headers.items() if is_template(value)}

    async def perform(self, values: Values) -> Outcome:
        """Make it once."""
        try:
            lines, body = self._lines(values), self._body(values)
        except (TargetError, ValueError) as error:
            return Failed(str(error)).outcome
        target = encode_target(filled_in(self._target, _Quoted(values)))
        try:
            answered = await self._calls.call(self._config.method, target, body, lines, expected=self._expected)
            if not self._config.capture:
                return Outcome()
            answer = self._calls.answer(answered)
            return Outcome(captured=self._capturer.take(answer, answer.as_dict))
        except Failed as failure:
            return failure.outcome

    def _lines(self, values: Values) -> str:
        """The headers that are others each time. Raises ValueError for one that can't be sent."""
        lines = ""
        for name, written in self._templates.items():
            value = as_text(filled_in(written, values))
            if has_control(value) or not value.isascii():
                raise ValueError(f"the header {name!r} would hold what a header can't, such as a line break")
            lines += f"{name.lower()}: {value}\r\n"
        return lines

    def _body(self, values: Values) -> bytes | None:
        """Raises TargetError for a secret that could not be had, ValueError for what can't be sent."""
        config = self._config
        if not isinstance(config, WithBody):
            return None
        if config.has_document:
            return json_body(filled_in(self._with_secrets(config.document), values))
        if config.form is not None:
            form = {name: self._surroundings.filled(value) for name, value in config.form.items()}
            return urlencode({name: as_text(filled_in(value, values)) for name, value in form.items()}).encode()
        if config.body is not None:
            return as_text(filled_in(self._surroundings.filled(config.body), values)).encode()
        return None

    def _with_secrets(self, written: Any) -> Any:
        """Plain data with the values of the moment of the secrets in it. They come first: nothing that a system has
        answered may name one."""
        if isinstance(written, str):
            return self._surroundings.filled(written)
        if isinstance(written, Mapping):
            return {key: self._with_secrets(value) for key, value in written.items()}
        if isinstance(written, list | tuple):
            return [self._with_secrets(value) for value in written]
        return written


class _Quoted(dict[str, str]):
    """Values as they may stand in the path or the query of an address."""

    def __init__(self, values: Values) -> None:
        super().__init__({name: quote(as_text(value), safe="") for name, value in values.items()})


def is_template(header: str) -> bool:
    """Whether a header's value holds placeholders that aren't secrets."""
    return PLACEHOLDER.search(SECRET.sub("", header)) is not None


@asynccontextmanager
async def open_request(config: HttpActivitySettings, surroundings: Surroundings) -> AsyncIterator[Request]:
    """Yield the activity; nothing is asked yet. Raises TargetError."""
    kinds = {}
    if isinstance(config, WithBody):
        if config.has_document:
            kinds["content-type"] = "application/json"
        elif config.form is not None:
            kinds["content-type"] = _FORM
        elif config.body is not None:
            kinds["content-type"] = "text/plain; charset=utf-8"
    own = {name.lower(): value for name, value in config.headers.items()}
    fixed = {name: value for name, value in {**kinds, **own}.items() if not is_template(value)}
    async with open_calls(
        config.address, surroundings, fixed, timeout_ns=config.timeout, proxy=config.proxy, ca_file=config.ca_file,
        verify=config.verify, heeds=REFUSED not in expand_statuses(config.expect),
    ) as calls:  # fmt: skip
        yield Request(config, surroundings, calls)
