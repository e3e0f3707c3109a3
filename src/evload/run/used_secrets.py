"""Which secrets a plan needs: those that its adapters name, and those that these need to be got."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..clients.credentials.settings import SecretSettings
from ..engine.plan import Plan
from ..spi.context import AdapterSettings
from ..spi.secrets import names_in


def used_secrets(plan: Plan, secrets: Mapping[str, SecretSettings]) -> dict[str, SecretSettings]:
    """Their settings by name, in the order of the config."""
    return secrets_of(_adapters(plan), secrets)


def secrets_of(
    adapters: Iterable[AdapterSettings], secrets: Mapping[str, SecretSettings]
) -> dict[str, SecretSettings]:
    """Those that some adapters need, by name, in the order of the config."""
    if not secrets:
        return {}
    named = {name for settings in adapters for name in names_in(settings.model_dump())}
    named |= {other for name in named & secrets.keys() for other in names_in(secrets[name].model_dump())}
    return {name: settings for name, settings in secrets.items() if name in named}


def _adapters(plan: Plan) -> Iterator[AdapterSettings]:
    yield from plan.producers.values()
    yield from (reader.settings for reader in plan.readers)
    yield from plan.gauges.values()
    for action in plan.actions:
        yield from action.do
        yield from action.undo
