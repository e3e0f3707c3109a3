"""Jobs, and the workers that make videos of them. What happens is written into the record before anybody can read it.

A line of the record is of one of these kinds; `job` is its id, `correlation_id` that of who submitted it.

came      a job was submitted
refused   a submission, or an upload, was answered with 503
taken     a worker has begun with it
done      its video is there; the next read shows it
failed    it has failed; the next read shows that
lost      a worker has made nothing of it
empty     it is completed, and has no video
again     it was done once more
back      its status is what it was before
stored    an asset was stored; `bytes` of it
sent      a video was downloaded
cut       a download ended before all of the video had come
garbled   a download had another content than the video
removed   what belonged to a test run was removed; `jobs` and `assets` of it
changed   somebody turned knobs
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from stand_in.clock import Clock
from stand_in.knobs import Planted
from stand_in.record import Record
from videos.knobs import VideoKnobs

_MIDDLING: Final = 25
"""Words of a prompt for which a worker takes as long as the knob says."""
QUEUED, PROCESSING, COMPLETED, FAILED = "queued", "processing", "completed", "failed"


@dataclass(slots=True)
class Job:
    """A job. `outputs` are the addresses of what was made of it, `run` is the test run to which it belongs."""

    id: str
    correlation_id: str
    run: str
    prompt: str
    status: str = QUEUED
    error: str | None = None
    outputs: list[str] = field(default_factory=list)


class Jobs:
    """All jobs, and the workers. Figures are what a platform would show.

    busy      jobs that are worked on
    waiting   jobs that nobody works on yet
    ended     how many came to which end
    leaked    bytes that a bug would have kept so far; nothing is really kept
    """

    def __init__(self, knobs: VideoKnobs, clock: Clock, record: Record) -> None:
        self._knobs, self._clock, self._record = knobs, clock, record
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._working: set[asyncio.Task[None]] = set()
        self._failing, self._losing, self._doubling = Planted(), Planted(), Planted()
        self._going_back, self._emptying = Planted(), Planted()
        self.leaked = 0
        self.ended: Counter[str] = Counter()

    @property
    def busy(self) -> int:
        return len(self._working)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def submit(self, prompt: str, correlation_id: str, run: str) -> Job:
        """Take a job in."""
        job = Job(f"job-{uuid4()}", correlation_id, run, prompt)
        self._note("came", job)
        self._jobs[job.id] = job
        self._waiting.append(job)
        self.leaked += self._knobs.leak_kb * 1000
        self._begin()
        return job

    def find(self, name: str) -> Job | None:
        """The job of that id."""
        return self._jobs.get(name)

    def remove(self, run: str) -> int:
        """Forget the jobs of a test run, and return how many they were. What is worked on ends by itself."""
        names = [name for name, job in self._jobs.items() if job.run == run]
        for name in names:
            del self._jobs[name]
        self._waiting = deque(job for job in self._waiting if job.run != run)
        return len(names)

    async def stop(self) -> None:
        """Nobody works any more."""
        self._waiting.clear()
        tasks = [*self._working]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> None:
        """Give waiting jobs to workers that are free."""
        while self._waiting and self.busy < self._knobs.workers:
            task = asyncio.create_task(self._work(self._waiting.popleft()))
            self._working.add(task)
            task.add_done_callback(self._free)

    def _free(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._begin()

    async def _work(self, job: Job) -> None:
        knobs = self._knobs
        takes_s = knobs.work_ms / 1000 * min(2.0, max(0.5, len(job.prompt.split()) / _MIDDLING))
        lost, failed = self._losing.due(knobs.lose), self._failing.due(knobs.fail)
        self._note("taken", job)
        job.status = PROCESSING
        await asyncio.sleep(takes_s)
        if lost:
            self._note("lost", job)
            return
        if failed:
            self._end(job, FAILED)
            return
        twice, back = self._doubling.due(knobs.twice), self._going_back.due(knobs.back)
        if self._emptying.due(knobs.empty):
            self._note("empty", job)
        else:
            job.outputs.append(f"/v1/jobs/{job.id}/video")
        self._end(job, COMPLETED)
        if twice:
            await asyncio.sleep(takes_s / 4)
            self._note("again", job)
            job.outputs.append(f"/v1/jobs/{job.id}/video")
        if back:
            await asyncio.sleep(knobs.back_ms / 1000)
            self._note("back", job)
            job.status = PROCESSING

    def _end(self, job: Job, status: str) -> None:
        self._note("done" if status == COMPLETED else "failed", job)
        self.ended[status] += 1
        job.status = status
        if status == FAILED:
            job.error = "the renderer ran out of memory"

    def _note(self, kind: str, job: Job) -> None:
        self._record.note(kind, self._clock.now(), job=job.id, correlation_id=job.correlation_id)
