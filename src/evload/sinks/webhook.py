"""POSTs the verdict as JSON to an address when a run has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final, Literal

import orjson
from pydantic import Field

from ..clients.web import Url, reach_of
from ..model.progress import Progress
from ..model.report import Report
from ..report.document import document
from ..spi.guard import Reach
from ..spi.sink import Sink, SinkSurroundings
from ._shared.http_settings import HttpSettings

if TYPE_CHECKING:
    from ._shared.posting import Recipient

_TOLD: Final = (
    "format", "run_id", "name", "labels", "params", "profiles", "started_at", "duration", "verdict", "interrupted",
    "aborted", "crashed", "ledger", "warmup", "distributions", "objectives", "self_checks", "actions", "not_undone",
)  # fmt: skip


class WebhookSink:
    """Tells `recipient`; if it can't be told, says so and leaves it at that."""

    def __init__(self, recipient: Recipient, say: Callable[[str], None]) -> None:
        self._recipient = recipient
        self._say = say

    def progress(self, now: Progress) -> None:
        """Nothing is sent before the end."""

    async def finish(self, report: Report) -> None:
        await asyncio.sleep(0)  # files come first: whoever makes one holds up the loop, and this has a time limit
        refusal = (await self._recipient.post(message(report))).refusal
        if refusal:
            self._say(f"webhook {self._recipient.shown}: {refusal}; the verdict was not delivered")


def message(report: Report) -> bytes:
    """What `summary.json` says of the run as a whole, under the same names."""
    whole = document(report)
    return orjson.dumps({name: whole[name] for name in _TOLD if name in whole})


class WebhookConfig(HttpSettings):
    """A POST with the verdict when the run has ended."""

    kind: Literal["webhook"]
    url: Annotated[Url, Field(description="whom to tell")]

    @property
    def reach(self) -> Reach:
        return reach_of(self.url)

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        from ._shared.posting import open_recipient

        async with open_recipient(self.url, self.headers, self.timeout) as recipient:
            yield WebhookSink(recipient, surroundings.say)
