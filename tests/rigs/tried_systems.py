"""A system behind HTTP with one thing wrong with it, or with the config, and what `evload try` says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.rigs.commands import Ended, evload
from tests.servers.httpserver import Request, Server, Step, answer, json_answer, serving

CONFIG: Final = """\
producers:
  api: {{kind: http, url: "{url}/events"{producer}}}
events:
  order-created: {{type: order.created, source: /tests, data: {{order_id: "{{uuid}}"}}}}
probes:
  read-model: {probe}
scenarios:
  main: {{producer: api, events: [order-created], probes: [read-model], load: [{{rate: 1/s, for: 1s}}]}}
"""

Steps = Sequence[bytes | float | Step]
Read = Callable[[Request, Mapping[str, Any] | None], Steps]
"""What the system answers to a request that publishes nothing, given the event that it has."""


@dataclass
class System:
    """Takes events at `/events` and answers whatever else is asked by `read`."""

    read: Read
    accept: Callable[[Mapping[str, Any]], Steps] = lambda event: [answer(202)]
    event: Mapping[str, Any] | None = None
    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Steps:
        if request.target == "/events":
            self.event = json.loads(request.body)
            return self.accept(self.event)
        self.asked.append(request)
        return self.read(request, self.event)


@dataclass(frozen=True)
class TriedOut:
    """What `evload try` said of a system, as JSON where that was asked for."""

    ended: Ended
    system: System

    @property
    def event(self) -> dict[str, Any]:
        """All that is said of its event."""
        (event,) = json.loads(self.ended.out)["events"]
        found: dict[str, Any] = event
        return found

    @property
    def probe(self) -> dict[str, Any]:
        """All that is said of its probe."""
        (probe,) = self.event["probes"]
        found: dict[str, Any] = probe
        return found

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """The kinds of the reasons that the probe doesn't see it, each with its sentence."""
        return [(clue["kind"], clue["text"]) for clue in self.probe["why"]]

    @property
    def reason(self) -> tuple[str, str]:
        """The first of them."""
        return self.reasons[0]


def tried(
    directory: Path,
    probe: str,
    read: Read,
    *,
    accept: Callable[[Mapping[str, Any]], Steps] | None = None,
    producer: str = "",
    options: Sequence[str] = ("--json", "--wait", "0s"),
    env: Mapping[str, str] | None = None,
) -> TriedOut:
    """Try a config with this probe, in which `{url}` is the system's address, against a system that reads so."""
    system = System(read) if accept is None else System(read, accept)

    def config(server: Server) -> str:
        return CONFIG.format(url=server.url, producer=producer, probe=probe.replace("{url}", server.url))

    async def run() -> Ended:
        async with serving(system) as server:
            (directory / "config.yaml").write_text(config(server))
            return await asyncio.to_thread(evload, "try", "config.yaml", *options, cwd=directory, env=env)

    return TriedOut(asyncio.run(run()), system)


def found(document: Any, *headers: str) -> Steps:
    """An answer with JSON."""
    return [json_answer(json.dumps(document, separators=(",", ":")).encode(), 200, *headers)]


def no_such(what: str, *headers: str) -> Steps:
    """An answer that says that there is none."""
    return [json_answer(json.dumps({"error": f"no such {what}"}).encode(), 404, *headers)]
