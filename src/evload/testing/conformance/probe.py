"""Holds a probe against what the engine relies on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ...clock import Clock, SystemClock
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.probe import BatchProbe, Probe, ProbeSettings, PushProbe
from ...units import NS_PER_S
from ..relay import Relay
from .peers import Peer, disturb
from .promises import Promises
from .samples import RUN_ID, sample_targets

_ANSWER_S: Final = 30.0
"""For all reads that were begun with one call."""
_STOP_S: Final = 10.0
"""For a listener that was cancelled to end."""

Push = Callable[[Sequence[str]], Awaitable[None]]
"""Has the system show the events with these correlation ids, each once."""


class _Heard:
    """What a probe reports while it listens.

    was_cut  it may have missed a moment since, and know only between which two it lay
    """

    def __init__(self, clock: Clock, promises: Promises) -> None:
        self.reads: list[Read] = []
        self.was_cut = False
        self._clock = clock
        self._promises = promises
        self._began_ns = clock.now_ns()

    def __call__(self, result: ReadResult) -> None:
        now_ns = self._clock.now_ns()
        for read in result.reads:
            if read.seen is not Seen.PRESENT:
                self._promises.broken(f"what is reported has become visible, and this has not: {read}")
            if not self._began_ns <= read.start_ns <= read.end_ns <= now_ns:
                self._promises.broken(f"stamps out of order or not on the clock given: {read}")
            if read.exact and read.start_ns != read.end_ns and not self.was_cut:
                self._promises.broken(f"an exact moment that is a span: {read}")
        self.reads += result.reads

    def seqs(self) -> set[int]:
        """Of which events anything was reported."""
        return {read.seq for read in self.reads}


async def check_probe(
    settings: ProbeSettings, clock: Clock, targets: Sequence[Target], *, base_dir: Path | None = None
) -> Mapping[int, Read]:
    """Read `targets` in portions of `settings.bulk` and hold the answers against what the engine relies on.

    A probe that listens is listened to meanwhile; one that begins many reads with one call also begins them all so.
    Returns the reads by seq. Raises AssertionError that says what is
    wrong: a target without a read or with two, a read of something else, stamps out of order, a listener that
    ends by itself, or doesn't when it is cancelled, capabilities that aren't those of the probe.
    """
    reads: dict[int, Read] = {}
    promises = Promises()
    heard = _Heard(clock, promises)
    async with (
        settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as probe,
        _listened_to(settings, probe, heard, promises),
    ):
        for first in range(0, len(targets), settings.bulk):
            asked = targets[first : first + settings.bulk]
            reads.update(await _read(probe, asked, clock, promises))
        if settings.capabilities.begins_many:
            reads.update(await _begin(settings, probe, targets, clock, promises))
    promises.hold()
    return reads


async def check_push_probe(
    settings: ProbeSettings,
    clock: Clock,
    push: Push,
    *,
    events: int = 20,
    within_s: float = 30.0,
    base_dir: Path | None = None,
) -> Sequence[Read]:
    """Let the system show half of `events` events, and also some of another run; hold what the probe says against it.

    Returns what was reported. Raises AssertionError as `check_probe` does, and if an event isn't reported within
    `within_s`, or more than once although each report is an effect, or if one is reported that wasn't shown.
    """
    promises = Promises()
    heard = _Heard(clock, promises)
    targets = sample_targets(events)
    shown, silent = targets[: events // 2], targets[events // 2 :]
    strangers = sample_targets(3, "another run")
    async with (
        settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as probe,
        _listened_to(settings, probe, heard, promises),
    ):
        await push([target.correlation_id for target in (*strangers, *shown)])
        await _until_heard(heard, shown, clock, within_s, promises)
        for first in range(0, len(silent), settings.bulk):
            read = await _read(probe, silent[first : first + settings.bulk], clock, promises)
            for answer in read.values():
                if answer.seen is not Seen.ABSENT:
                    promises.broken(f"nothing was shown of it, and nothing went wrong: {answer}")
    _check_reported(heard, shown, promises)
    promises.hold()
    return heard.reads


async def check_probe_peer(
    settings_at: Callable[[int], ProbeSettings],
    port: int,
    peer: Peer,
    targets: Sequence[Target],
    *,
    within_s: float = 30.0,
    base_dir: Path | None = None,
) -> Mapping[int, Read]:
    """Read `targets` while the peer is at fault, and again when it is well.

    settings_at  makes settings for a port on 127.0.0.1, through which the read model is reached
    port         where the read model listens on 127.0.0.1
    within_s     how long one read takes at most, and the way back to a peer that is well again; take settings
                 with a short time limit

    Returns the reads of the time of the fault. Wrong is also: an exception, no answer within the time, an
    answer from a clogged peer other than FAILED, and FAILED when the peer has long been well.
    """
    clock, promises = SystemClock(), Promises()
    reads: dict[int, Read] = {}
    async with Relay(port) as relay:
        settings = settings_at(relay.port)
        async with settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as probe:
            asked = targets[: settings.bulk]
            await _read(probe, asked, clock, promises)
            disturb(relay, peer, refuse=True)
            reads.update(await _read_within(probe, asked, clock, promises, within_s))
            relay.flow()
            if peer == "clogged":
                for read in reads.values():
                    if read.seen is not Seen.FAILED:
                        promises.broken(f"an answer that a silent peer can't have given: {read}")
            deadline_ns = clock.now_ns() + int(within_s * NS_PER_S)
            while True:
                again = await _read_within(probe, asked, clock, promises, within_s)
                if all(read.seen is not Seen.FAILED for read in again.values()):
                    break
                if clock.now_ns() > deadline_ns:
                    promises.broken(f"reads still fail {within_s:g} s after the peer was well again: {again}")
                    break
                await asyncio.sleep(0.05)
    promises.hold()
    return reads


async def check_push_peer(
    settings_at: Callable[[int], ProbeSettings],
    port: int,
    push: Push,
    *,
    events: int = 20,
    within_s: float = 30.0,
    base_dir: Path | None = None,
) -> Sequence[Read]:
    """Hang up on a probe that listens, and have events shown before and after.

    Returns what was reported. Wrong is, beside what `check_push_probe` finds: a listener that ends, one that doesn't
    come back within `within_s`, and an event called absent although it could have been shown during the cut.
    """
    clock, promises = SystemClock(), Promises()
    targets = sample_targets(events)
    before, after, silent = targets[: events // 3], targets[events // 3 : 2 * events // 3], targets[-1:]
    async with Relay(port) as relay:
        settings = settings_at(relay.port)
        heard = _Heard(clock, promises)
        async with (
            settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as probe,
            _listened_to(settings, probe, heard, promises),
        ):
            await push([target.correlation_id for target in before])
            await _until_heard(heard, before, clock, within_s, promises)
            relay.hang_up(refuse=True)
            heard.was_cut = True
            deadline_ns = clock.now_ns() + int(within_s * NS_PER_S)
            while (await _read_within(probe, silent, clock, promises, within_s))[silent[0].seq].seen is Seen.ABSENT:
                if clock.now_ns() > deadline_ns:
                    promises.broken("the listener is cut off and still calls an event absent")
                    break
                await asyncio.sleep(0.02)
            relay.flow()
            # It is back when it hears again; what comes before that may be missed, so it is shown until it is heard.
            for target in after:
                if clock.now_ns() > deadline_ns:
                    break
                await push([target.correlation_id])
                await asyncio.sleep(0.3)
                if heard.seqs() & {target.seq for target in after}:
                    break
            else:
                await _until_heard(heard, after[-1:], clock, within_s, promises)
    promises.hold()
    return heard.reads


@asynccontextmanager
async def _listened_to(
    settings: ProbeSettings, probe: Probe, heard: _Heard, promises: Promises
) -> AsyncIterator[None]:
    pushes = isinstance(probe, PushProbe)
    if pushes != settings.capabilities.pushes:
        promises.broken(f"capabilities.pushes is {settings.capabilities.pushes}, and listen is {pushes}")
    if not isinstance(probe, PushProbe):
        yield
        return
    listening = asyncio.ensure_future(probe.listen(heard))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        if listening.done() and not listening.cancelled():
            promises.broken(f"listen ended by itself: {listening.exception()!r}")
        listening.cancel()
        if not (await asyncio.wait([listening], timeout=_STOP_S))[0]:
            promises.broken("listen goes on after it was cancelled")


async def _read(probe: Probe, asked: Sequence[Target], clock: Clock, promises: Promises) -> dict[int, Read]:
    """One read, held against what is promised of each."""
    began_ns = clock.now_ns()
    result = await probe.read(asked)
    ended_ns = clock.now_ns()
    if sorted(read.seq for read in result.reads) != sorted(target.seq for target in asked):
        promises.broken(f"asked about {[t.seq for t in asked]}, answered about {[r.seq for r in result.reads]}")
    for read in result.reads:
        if not began_ns <= read.start_ns <= read.end_ns <= ended_ns:
            promises.broken(f"stamps out of order or not on the clock given: {read}")
        if read.seen is Seen.FAILED and not result.error:
            promises.broken(f"a failed read without a reason: {read}")
    return {read.seq: read for read in result.reads}


async def _begin(
    settings: ProbeSettings, probe: Probe, asked: Sequence[Target], clock: Clock, promises: Promises
) -> dict[int, Read]:
    """Reads that are begun with one call, held against what is promised of them."""
    if not isinstance(probe, BatchProbe):
        promises.broken("capabilities.begins_many is True, and there is no begin")
        return {}
    if settings.bulk != 1:
        promises.broken(f"bulk is {settings.bulk}, and what is begun is about one event each")
    reads: list[Read] = []
    began_ns = clock.now_ns()

    def report(result: ReadResult) -> None:
        for read in result.reads:
            if not began_ns <= read.start_ns <= read.end_ns <= clock.now_ns():
                promises.broken(f"stamps out of order or not on the clock given: {read}")
            if read.seen is Seen.FAILED and not result.error:
                promises.broken(f"a failed read without a reason: {read}")
        reads.extend(result.reads)

    probe.begin(asked, report)
    if reads:
        promises.broken("begin reported before it returned")
    deadline_ns = clock.now_ns() + int(_ANSWER_S * NS_PER_S)
    while len(reads) < len(asked) and clock.now_ns() < deadline_ns:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    if sorted(read.seq for read in reads) != sorted(target.seq for target in asked):
        promises.broken(f"begun about {[t.seq for t in asked]}, answered about {[r.seq for r in reads]}")
    return {read.seq: read for read in reads}


async def _read_within(
    probe: Probe, asked: Sequence[Target], clock: Clock, promises: Promises, within_s: float
) -> dict[int, Read]:
    """As `_read`. Raises AssertionError if there is no answer in time, or an exception instead."""
    reading = asyncio.ensure_future(_read(probe, asked, clock, promises))
    done, _ = await asyncio.wait([reading], timeout=within_s)
    if not done:
        reading.cancel()
        raise AssertionError(f"a read has no answer after {within_s:g} s")
    if (error := reading.exception()) is not None:
        raise AssertionError(f"read raised {error!r}; a failure is Seen.FAILED") from error
    return reading.result()


async def _until_heard(
    heard: _Heard, shown: Sequence[Target], clock: Clock, within_s: float, promises: Promises
) -> None:
    deadline_ns = clock.now_ns() + int(within_s * NS_PER_S)
    wanted = {target.seq for target in shown}
    while missing := wanted - heard.seqs():
        if clock.now_ns() > deadline_ns:
            promises.broken(f"events {sorted(missing)} were shown, and not reported within {within_s:g} s")
            return
        await asyncio.sleep(0.01)


def _check_reported(heard: _Heard, shown: Sequence[Target], promises: Promises) -> None:
    if unknown := heard.seqs() - {target.seq for target in shown}:
        promises.broken(f"events {sorted(unknown)} were reported and never shown")
    for target in shown:
        reports = [read for read in heard.reads if read.seq == target.seq]
        if len(reports) > 1 and any(read.exact for read in reports):
            promises.broken(f"event {target.seq} was shown once, and reported {len(reports)} times: {reports}")
