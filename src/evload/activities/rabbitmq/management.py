"""Asks the management API for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import quote

from ...clients.web import encode_target
from ...model.statuses import expand_statuses
from ...spi.activity import Outcome, Values, as_text, filled_in
from ...spi.context import Surroundings
from .._shared.capturing import Capturer
from .._shared.failing import Failed
from .._shared.http_address import json_body
from .._shared.http_calls import DONE, Calls, open_calls
from .settings import Call, Connections, Policy, RabbitmqActivitySettings

_GONE: Final = DONE | {404}
"""What says that it isn't there any more."""
_OWN: Final = "evload "
"""How the names of our own connections begin."""
_REASON: Final = "x-reason: closed by evload\r\n"
_COLUMNS: Final = "columns=name,user,user_provided_name"
_MAX_BODY: Final = 8 << 20


class Management:
    """The activity."""

    def __init__(self, config: RabbitmqActivitySettings, calls: Calls) -> None:
        self._config = config
        self._calls = calls
        self._base = config.address.endpoint.target.rstrip("/")
        self._capturer = Capturer(config.capture)

    async def perform(self, values: Values) -> Outcome:
        """Do it once."""
        config = self._config
        vhost = _in_path(config.vhost, values)
        try:
            if config.purge is not None:
                await self._call("DELETE", f"/api/queues/{vhost}/{_in_path(config.purge, values)}/contents")
            elif config.close_connections is not None:
                await self._close(vhost, filled_connections(config.close_connections, values))
            elif config.policy is not None:
                await self._set(vhost, config.policy, values)
            elif config.delete_policy is not None:
                name = _in_path(config.delete_policy, values)
                await self._call("DELETE", f"/api/policies/{vhost}/{name}", expected=_GONE)
            elif config.limits is not None:
                await self._limit(vhost, config.limits)
            elif config.clear_limits is not None:
                for limit in config.clear_limits:
                    await self._call("DELETE", f"/api/vhost-limits/{vhost}/{limit}", expected=_GONE)
            elif config.call is not None:
                return await self._any(config.call, values)
        except Failed as failure:
            return failure.outcome
        return Outcome()

    async def _call(self, method: str, path: str, document: Any = None, **settings: Any) -> Any:
        body = None if document is None else json_body(document)
        return await self._calls.call(method, encode_target(self._base + path), body, **settings)

    async def _set(self, vhost: str, policy: Policy, values: Values) -> None:
        name = _in_path(policy.name, values)
        document = filled_in({"pattern": policy.pattern, "definition": policy.definition}, values)
        more = {"priority": policy.priority, "apply-to": policy.apply_to}
        await self._call("PUT", f"/api/policies/{vhost}/{name}", {**document, **more})

    async def _limit(self, vhost: str, limits: Mapping[Any, int]) -> None:
        done = False
        for limit, value in limits.items():
            try:
                await self._call("PUT", f"/api/vhost-limits/{vhost}/{limit}", {"value": value})
            except Failed as failure:
                failure.in_doubt = failure.in_doubt or done
                raise
            done = True

    async def _close(self, vhost: str, wanted: Connections) -> None:
        try:
            answered = await self._call("GET", f"/api/vhosts/{vhost}/connections?{_COLUMNS}")
            found = [str(one["name"]) for one in self._calls.document(answered) if fits(one, wanted)]
        except Failed as failure:
            failure.in_doubt = False  # nothing was closed yet
            raise
        except (AttributeError, KeyError, TypeError):
            raise Failed("what answers there is no management API") from None
        if not found:
            raise Failed("there is no such connection")
        for closed, name in enumerate(found):
            try:
                path = f"/api/connections/{quote(name, safe='')}"
                await self._call("DELETE", path, lines=_REASON, expected=_GONE)
            except Failed as failure:
                what = f"{closed} of {len(found)} connections are closed: {failure}"
                raise Failed(what, in_doubt=failure.in_doubt or closed > 0) from None

    async def _any(self, call: Call, values: Values) -> Outcome:
        """Raises Failed."""
        path = as_text(filled_in(call.path, {name: quote(as_text(one), safe="") for name, one in values.items()}))
        document = filled_in(call.document, values) if "document" in call.model_fields_set else None
        answered = await self._call(call.method, path, document, expected=expand_statuses(call.expect))
        if not self._config.capture:
            return Outcome()
        answer = self._calls.answer(answered)
        return Outcome(captured=self._capturer.take(answer, answer.as_dict))


def filled_connections(wanted: Connections, values: Values) -> Connections:
    """The same with values in it."""
    named = {name: as_text(filled_in(value, values)) for name, value in wanted if value is not None}
    return wanted.model_copy(update=named)


def fits(connection: Mapping[str, Any], wanted: Connections) -> bool:
    """Whether a connection, as the API tells of it, is one of those that are wanted. Ours are if they are named."""
    given, name = str(connection.get("user_provided_name") or ""), str(connection["name"])
    if wanted.user is not None and connection.get("user") != wanted.user:
        return False
    if given.startswith(_OWN) and not (wanted.name or "").startswith(_OWN):
        return False
    return wanted.name is None or fnmatchcase(given, wanted.name) or fnmatchcase(name, wanted.name)


def _in_path(text: str, values: Values) -> str:
    return quote(as_text(filled_in(text, values)), safe="")


@asynccontextmanager
async def open_management(config: RabbitmqActivitySettings, surroundings: Surroundings) -> AsyncIterator[Management]:
    """Yield the activity; nothing is asked yet. Raises TargetError."""
    # Where it answers with nothing it refuses those who accept JSON alone.
    headers = {"accept": "*/*", "content-type": "application/json"}
    async with open_calls(
        config.address, surroundings, headers, timeout_ns=config.timeout, proxy=config.proxy, ca_file=config.ca_file,
        verify=config.verify, max_body=_MAX_BODY,
    ) as calls:  # fmt: skip
        yield Management(config, calls)
