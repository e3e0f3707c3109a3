"""What a probe is: it reads the read model, or is told what becomes visible."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol, Self, runtime_checkable

from pydantic import Field

from ..model.travel import ReadResult, Target
from ..units import Duration, Rate, Share
from .context import AdapterSettings, Capabilities, Surroundings

_AT_ONCE_NS: Final = 1_000_000


class Probe(Protocol):
    """Reads the read model."""

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One read about all `targets` (at most `ProbeSettings.bulk`).

        Returns one Read for each of them. A failure is `Seen.FAILED`, never an exception.
        """
        ...


@runtime_checkable
class PushProbe(Probe, Protocol):
    """A probe to which the system pushes what becomes visible, so that nothing has to be polled.

    `read` is called for events of which nothing has come by their deadline: ABSENT if the probe has
    listened without a gap since it opened, FAILED with the reason if it has not.
    """

    async def listen(self, report: Callable[[ReadResult], None]) -> None:
        """Report what arrives, as `Read`s that are PRESENT and exact, until cancelled.

        Ids of this run (`Surroundings.ids`) are reported, others ignored.
        """
        ...


@runtime_checkable
class BatchProbe(Probe, Protocol):
    """A probe that begins many reads with one call, each about one event: a task for each would cost more than the
    read. Its `ProbeSettings.bulk` is 1, and `Capabilities.begins_many` says so.
    """

    def begin(self, targets: Sequence[Target], report: Callable[[ReadResult], None]) -> None:
        """Begin a read of its own about each of `targets`, and return at once.

        `report` takes what they say, after this has returned, in any order: one Read for each target in the end. A
        ReadResult may hold several; what else it says is then true of each of them.
        """
        ...


class Confirm(AdapterSettings):
    """Reads after the first positive one, to notice what disappears again."""

    reads: Annotated[int, Field(ge=0, le=1000, description="how many; 0 switches them off")] = 5
    over: Annotated[
        Duration | None,
        Field(description="spread over this long; default: the longer of twice the tightest objective and 5s"),
    ] = None


class ProbeSettings(AdapterSettings):
    """What every probe can be told: when to read, and how much."""

    deadline: Annotated[Duration, Field(description="an event not seen this long after its ack is lost")] = (
        15 * 1_000_000_000
    )
    first: Annotated[
        Duration, Field(ge=1_000_000, description="the first read, this long after the event was sent")
    ] = 20_000_000
    resolution: Annotated[Share, Field(gt=0, lt=1, description="widest bracket, as a share of the time elapsed")] = (
        0.1
    )
    max_gap: Annotated[Duration | None, Field(description="longest pause between two reads of one event")] = None
    sample: Annotated[
        Share,
        Field(description="share of the events followed closely; the others are read once, at their deadline"),
    ] = 1.0
    confirm: Confirm = Confirm()
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one read")] = 1
    parallel: Annotated[int, Field(ge=1, le=10_000, description="most reads at the same time")] = 64
    replicas: Annotated[
        tuple[str, ...],
        Field(description="names of the replicas behind the address; learned from the answers if left out"),
    ] = ()
    at: Annotated[
        Mapping[str, Mapping[str, Any]],
        Field(description="replicas or regions with an address each: name to the settings that differ there"),
    ] = {}
    reading: Annotated[
        Literal["geometric", "adaptive"],
        Field(description="the whole grid for every event, or only where events were seen to become visible"),
    ] = "geometric"
    max_reads: Annotated[
        Rate | None,
        Field(description="most event reads per second; gaps grow, and brackets with them, where it is not enough"),
    ] = None
    max_requests: Annotated[
        Rate | None, Field(description="most requests per second, each of which may ask for many ids (bulk)")
    ] = None
    session: Annotated[
        bool, Field(description="read each event right after its ack too, as the session that wrote it would")
    ] = False

    @property
    def most_reads(self) -> Rate | None:
        """Most event reads per second that its limits leave; None: any number."""
        limits = [limit for limit in (self.max_reads, self.max_requests and self.max_requests * self.bulk) if limit]
        return min(limits, default=None)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with these settings."""
        return Capabilities()

    def waiting(self, until: str | None, within_ns: int, captures: Mapping[str, str]) -> Self:
        """The same probe for a step of a journey that waits until it shows something, at most so long.

        `until` is in place of what makes an event visible; `captures`, expressions by name, are looked for in the
        answer that shows it, and what they find is in `Read.captured`. It is asked for any id, which stands in for
        the correlation id and the captured one.

        Raises ValueError, `what is wrong; what would be right`, for what it can't.
        """
        if self.capabilities.pushes:
            raise ValueError("nobody can ask it about an id; name a probe that reads")
        if until is not None or captures:
            raise ValueError("it has no answers that an expression could look into; leave until and capture out")
        return self.model_copy(update=self.waited(within_ns))

    @property
    def following(self) -> Self:
        """The same probe for a step of a journey whose effect is followed: it is asked for any id, as in `waiting`.

        Raises ValueError, `what is wrong; what would be right`, where it can't be.
        """
        if self.capabilities.pushes:
            raise ValueError("nobody can ask it about an id; name a probe that reads")
        return self

    def waited(self, within_ns: int) -> dict[str, Any]:
        """What changes where somebody waits: what is waited for may be there already, so it is looked for at once,
        and each is followed, because somebody waits."""
        first = {} if "first" in self.model_fields_set else {"first": _AT_ONCE_NS}
        return {"deadline": within_ns, "sample": 1.0, **first}

    @property
    def asking_that_alone(self) -> Self:
        """The same probe for whoever asks whether something is there and nothing else."""
        return self.model_copy(update={"session": False})

    @property
    def looking_once(self) -> Self:
        """The same probe where what was seen may well go again: nobody looks twice."""
        return self.model_copy(update={"confirm": Confirm(reads=0)})

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect, yield the probe, close. Raises TargetError if the read model can't be reached."""
        raise NotImplementedError

    async def elsewhere(self, surroundings: Surroundings) -> AsyncIterator[Elsewhere]:
        """Other places where an event may be that isn't seen, the likeliest first. `evload try` looks there.

        A few at most, and none that anybody could mind being looked at: what these settings may read, and no more.
        Raises TargetError if they can't be had.
        """
        return
        yield


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same probe with one thing changed.

    where    in words, such as `in the database 'orders' of the same server`
    settings its settings, to be opened like any
    cure     what to write if events are there
    nowhere  it is a place that can't be: what is answered there is what the target says to a mistake
    """

    where: str
    settings: ProbeSettings
    cure: str = ""
    nowhere: bool = False
