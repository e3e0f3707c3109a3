"""A system that wants a token of whoever sends or asks, and gives them; and whole runs against it in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evload.config import load_text
from evload.config.run_config import LoadedConfig
from evload.engine.engine import LEAD_NS
from evload.model.summary import Summary
from evload.model.travel import Observation
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.testing.simulation import MemoryLedger
from evload.testing.virtual_time import virtual_clock
from tests.rigs import memory_network
from tests.servers.httpserver import Request, Step, answer, json_answer, serving

Steps = Sequence[bytes | float | Step]
ENVIRON: Final = {"PW": "pass-word-4711"}


def token_of(number: int) -> str:
    """The value of each token, by its number from 1 on."""
    return f"token+number/{number:04d}~abcdefgh"


def _nothing(now: float) -> None:
    pass


@dataclass
class TokenSystem:
    """Gives tokens at /token, takes events at /events and shows them at /e/ID, to whoever has a token that is good.

    lasts     seconds for which a token is good
    says      what the token endpoint answers the n-th time, instead of a token
    revoked   at these moments, in seconds since the start, no token is good any more
    refuses   nobody gets in, with whatever token
    answers   the token endpoint's, in seconds since the start
    """

    lasts: float = 300.0
    says: Callable[[int], Steps | None] = lambda number: None
    revoked: Sequence[float] = ()
    refuses: Callable[[float], bool] = lambda now: False
    about: Mapping[str, Any] = field(default_factory=lambda: {"expires_in": 300})
    answers: list[float] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    """Ids of events, once for each time."""
    refused: list[Request] = field(default_factory=list)
    good: dict[str, float] = field(default_factory=dict)
    began: float = 0.0

    def script(self, request: Request) -> Steps:
        """What it answers."""
        now = asyncio.get_running_loop().time() - self.began
        if request.target == "/token":
            self.asked.append(request)
            number = len(self.asked)
            if (said := self.says(number)) is not None:
                return said
            self.answers.append(now)
            self.good[token_of(number)] = now
            return (json_answer(json.dumps({"access_token": token_of(number), **self.about}).encode()),)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.refuses(now) or not self._is_good(token, now):
            self.refused.append(request)
            return (answer(401, f"no entry with {token}".encode()),)
        if request.method == "POST":
            events = json.loads(request.body)
            self.accepted += [event["id"] for event in (events if isinstance(events, list) else [events])]
            return (answer(202),)
        return (json_answer(b"{}", 200 if request.target.removeprefix("/e/") in self.accepted else 404),)

    def _is_good(self, token: str, now: float) -> bool:
        given = self.good.get(token)
        return (
            given is not None
            and now < given + self.lasts
            and not any(given < moment <= now for moment in self.revoked)
        )


SECRET: Final = '{post: "URL/token", json: {user: a, password: "${PW}"}, take: body.access_token}'


def config(secret: str = SECRET, load: str = "{rate: 1/s, for: 20s}", *, producer: str = "", probe: str = "") -> str:
    """A config in which producer and probe show a token; URL stands for the address of the system."""
    return f"""\
secrets: {{api: {secret}}}
producers:
  shop: {{kind: http, url: "URL/events", headers: {{Authorization: "Bearer {{secrets.api}}"}}{producer}}}
events: {{e: {{type: t, source: /tests}}}}
probes:
  model: {{kind: http, url: "URL/e/{{correlation_id}}", headers: {{Authorization: "Bearer {{secrets.api}}"}},
          deadline: 30s, confirm: {{reads: 0}}{probe}}}
scenarios: {{s: {{producer: shop, events: [e], probes: [model], load: [{load}]}}}}
"""


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    summary: Summary
    observations: Sequence[Observation]
    loaded: LoadedConfig

    @property
    def counts(self) -> Mapping[str, int]:
        """The sums of the ledger."""
        return self.summary.total().ledger

    @property
    def incidents(self) -> Sequence[str]:
        """Who met what."""
        return [f"{one.source}: {one.reason}" for one in self.summary.vitals.incidents]


def run(
    system: TokenSystem,
    text: str,
    *,
    base_dir: Path = Path(),
    at: Callable[[float], None] = _nothing,
    within_s: float = 600,
) -> Ran:
    """Run the config against the system. `at` is called each tenth of a second with the seconds since the start."""

    async def main() -> Ran:
        clock = virtual_clock()
        system.began = asyncio.get_running_loop().time()
        async with serving(system.script) as server:
            loaded = load_text(text.replace("URL", server.url), "c.yaml", base_dir=base_dir, environ=ENVIRON)
            ledger = MemoryLedger()
            prepared = prepare(loaded.config, "r-1", base_dir=base_dir, redact=loaded.redact, learn=loaded.learn)

            async def events() -> None:
                while True:
                    at(asyncio.get_running_loop().time() - system.began)
                    await asyncio.sleep(0.1)

            happening = asyncio.create_task(events())

            async def start() -> int:
                return clock.now_ns() + LEAD_NS

            try:
                summary = await execute(prepared, clock, ledger, start=start)
            finally:
                happening.cancel()
            return Ran(summary, ledger.observations, loaded)

    return memory_network.run(main(), within_s)
