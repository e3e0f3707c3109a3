"""The doors through which adapters come in: what a producer, a probe and a sink must be able to do.

An adapter is a pydantic settings model with a `kind` and one method, `open`. The settings are validated
without the adapter's SDK; `open` imports it, connects, and yields the object that does the work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final, TypeVar

from pydantic import Field
from pydantic.config import JsonDict

from ..clock import Clock
from ..model.correlation import CorrelationIds
from ..settings import Settings
from ..units import Duration
from .guard import NO_GUARD, Guard, Reach
from .secrets import Secrets, filled
from .traffic import Traffic


def _unheard(text: str) -> None:
    """Where nobody listens to remarks."""


S = TypeVar("S", bound=Settings)
Began = Callable[[int], Awaitable[None]]
"""Is told of a group of processes, by its number, before anything is done there."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an adapter is given when it opens.

    base_dir  where relative paths of the config start
    remark    takes what whoever reads the results should know of a connection, such as that it isn't encrypted; the
              same twice is said once
    traffic   looks on at what is sent and what comes; nearly always None
    secrets   those whose values may change while the run goes on
    rises     a gauge: those of its values of which an objective asks how much they rise
    wanted    a producer: those of the facts that it can tell, and tells on demand alone, that somebody wants to know
    guard     whom the run may load. What the settings tell of it was looked at before; whoever is led elsewhere by a
              redirect, or by an address that a broker advertises, asks it first
    began     an activity that begins processes: it tells the group in which they are before they do anything, so that
              they can be ended where this process is killed; None: nobody would
    """

    clock: Clock
    run_id: str
    base_dir: Path
    remark: Callable[[str], None] = _unheard
    traffic: Traffic | None = None
    rises: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    secrets: Secrets = field(default_factory=dict)
    guard: Guard = NO_GUARD
    began: Began | None = None

    def filled(self, text: str, *, quoted: bool = False) -> str:
        """A text of the settings with the values of the moment of the secrets in it; `quoted` for one in an address.

        Whoever connects asks each time. Raises TargetError for one that a run could not get.
        """
        return filled(text, self.secrets, quoted=quoted)

    def with_login(self, settings: S) -> S:
        """The settings with the values of the moment in the login of their `url`. Raises TargetError."""
        url = getattr(settings, "url", "")
        told = self.filled(url, quoted=True)
        return settings if told == url else settings.model_copy(update={"url": told})

    @property
    def ids(self) -> CorrelationIds:
        """The correlation ids of this run, for adapters that have to tell whose event it is."""
        return CorrelationIds.for_run(self.run_id)


VERSION: Final = 1
"""Of what is asked of adapters here. It grows when an adapter that was right before is right no more."""


class AdapterSettings(Settings):
    """Base of all settings models: frozen, and an unknown key is an error.

    `spi` is the VERSION that an adapter is written for; one that lives in a package of its own should say so.
    `live` are the names of those settings in which a secret may stand whose value changes: `{secrets.NAME}`. In `url`
    it may be a part of the login alone.
    """

    spi: ClassVar[int] = VERSION
    live: ClassVar[frozenset[str]] = frozenset()

    @property
    def reach(self) -> Reach | None:
        """Whom it speaks to with these settings. None: it doesn't say, so that no guard can let it through."""
        return None

    @property
    def remarks(self) -> Sequence[str]:
        """What whoever reads the results should know of these settings, such as that nobody checks a certificate."""
        return ()


SECRET: Final[JsonDict] = {"format": "password"}
"""For `Field(json_schema_extra=SECRET)`: what stands there is a secret, also where it is written out in a config."""

AnswerTimeout = Annotated[Duration, Field(ge=1_000_000, description="longest wait for an answer")]
"""For a setting called `timeout`: after it a request counts as failed, whatever the peer does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an adapter can do with its settings: it declares that, and nobody has to guess.

    tells            what it may say of an event: of a probe `ended` (that it will never come), `effects`, `position`,
                     `version`, `consumed_at`, `processed_at`, `replica`; of a producer facts such as `status`
    tags             names of the tags that it gives events, by what answers say
    captures         a producer: it takes the id that the target gives an event
    asks_by_capture  a probe: it asks with that id, which is known only after the ack
    pushes           a probe: it is told, and asked only about what has not come by its deadline
    begins_many      a probe: it begins many reads with one call, as a `BatchProbe`
    counts_bytes     it counts the bytes of the answers that it gets: a probe as `ReadResult.bytes_in`, a producer as
                     the fact `bytes_in`
    """

    tells: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    captures: bool = False
    asks_by_capture: bool = False
    pushes: bool = False
    begins_many: bool = False
    counts_bytes: bool = False
