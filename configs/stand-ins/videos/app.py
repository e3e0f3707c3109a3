"""The API of video generation: jobs, their status, their videos, assets, health; and what the platform shows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import uuid4

from aiohttp import BodyPartReader, web

from stand_in.clock import Clock
from stand_in.command import StandIn
from stand_in.knobs import Planted
from stand_in.record import Record
from stand_in.resources import Resources
from stand_in.web import Admin, Handler, Unusable, application, json_object, late, own, serving
from videos.jobs import COMPLETED, Job, Jobs
from videos.knobs import QUICK, VideoKnobs

_CHUNK: Final = 1 << 16
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Asset:
    """What was uploaded, of which nothing but this is kept."""

    bytes: int
    sha256: str
    run: str


@dataclass(frozen=True, slots=True)
class _Video:
    """What is downloaded, which is the same of all jobs."""

    content: bytes
    sha256: str

    @classmethod
    def of_size(cls, size: int) -> Self:
        content = bytes(size)
        return cls(content, hashlib.sha256(content).hexdigest())


class Api:
    """The handlers."""

    def __init__(
        self,
        knobs: VideoKnobs,
        record: Record,
        clock: Clock,
        jobs: Jobs,
        resources: Resources,
        connections: Callable[[], int],
    ) -> None:
        self._knobs, self._record, self._clock, self._jobs = knobs, record, clock, jobs
        self._resources, self._connections = resources, connections
        self._refusing: defaultdict[str, Planted] = defaultdict(Planted)
        self._cutting, self._garbling, self._shrinking = Planted(), Planted(), Planted()
        self._assets: dict[str, _Asset] = {}
        self._video = _Video.of_size(0)

    def routes(self) -> list[web.RouteDef]:
        """Who answers what."""
        return [
            web.get("/health", self._health),
            web.post("/v1/jobs", self._submit),
            web.get("/v1/jobs/{id}", self._status),
            web.get("/v1/jobs/{id}/video", self._download),
            web.post("/v1/assets", self._upload),
            web.delete("/v1/test-runs/{run}", self._remove),
            web.get("/status", self._platform),
        ]

    @web.middleware
    async def slowed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer later, where a knob says so."""
        if not own(request):
            await late(self._knobs.latency_ms)
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _submit(self, request: web.Request) -> web.Response:
        """POST {"prompt": TEXT, "asset": ID}, the asset or not: 202 with the id by which its status is asked for."""
        body = await json_object(request)
        prompt, asset = body.get("prompt"), body.get("asset")
        if not isinstance(prompt, str) or not prompt.strip():
            raise Unusable("there is no prompt; write what the video is to show")
        if asset is not None and asset not in self._assets:
            raise Unusable("there is no such asset; upload it before", status=404)
        await late(self._knobs.accept_ms)
        self._refuse_some(request)
        job = self._jobs.submit(prompt, _correlation_id(request), _run_of(request))
        return web.json_response(self._shown(job), status=202)

    async def _status(self, request: web.Request) -> web.Response:
        await late(self._knobs.poll_ms)
        return web.json_response(self._shown(self._job(request)))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """The video, as soon as the job is completed."""
        job = self._job(request)
        if job.status != COMPLETED or not job.outputs:
            raise Unusable(f"there is no video: the job is {job.status}", status=404)
        content, knobs = self._made().content, self._knobs
        if self._cutting.due(knobs.cut):
            self._note("cut", job)
            response = web.StreamResponse()
            response.content_type, response.content_length = "video/mp4", len(content)
            await response.prepare(request)
            await response.write(content[: len(content) // 2])
            if request.transport is not None:
                request.transport.close()
            return response
        garbled = self._garbling.due(knobs.garbled)
        await late(knobs.download_ms * len(content) / _MEGABYTE)
        self._note("garbled" if garbled else "sent", job)
        return web.Response(body=content[:-1] + b"?" if garbled else content, content_type="video/mp4")

    async def _upload(self, request: web.Request) -> web.Response:
        """POST of an asset, as it is or as a part of a form: 201 with its size and its digest."""
        self._refuse_some(request)
        if request.content_type.startswith("multipart/"):
            part = await (await request.multipart()).next()
            if not isinstance(part, BodyPartReader):
                raise Unusable("the form has no file in it")
            size, digest = await _digested(part.read_chunk)
        else:
            size, digest = await _digested(request.content.read)
        if not size:
            raise Unusable("the asset is empty")
        await late(self._knobs.upload_ms * size / _MEGABYTE)
        name = f"asset-{uuid4()}"
        size -= self._shrinking.due(self._knobs.shrunk)
        self._record.note("stored", self._clock.now(), asset=name, bytes=size)
        self._assets[name] = _Asset(size, digest, _run_of(request))
        return web.json_response({"id": name, "bytes": size, "sha256": digest}, status=201)

    async def _remove(self, request: web.Request) -> web.Response:
        """DELETE what belongs to a test run. Nothing may belong to it any more."""
        run = request.match_info["run"]
        assets = [name for name, asset in self._assets.items() if asset.run == run]
        for name in assets:
            del self._assets[name]
        removed = {"jobs": self._jobs.remove(run), "assets": len(assets)}
        self._record.note("removed", self._clock.now(), run=run, **removed)
        return web.json_response(removed)

    async def _platform(self, request: web.Request) -> web.Response:
        """GET /status: what the platform shows."""
        jobs, knobs = self._jobs, self._knobs
        memory = self._resources.memory() + jobs.leaked
        counts = self._record.counts
        return web.json_response({
            "cpu": min(1.0, jobs.busy / knobs.workers),
            "memory": memory / (knobs.limit_mb * _MEGABYTE),
            "memory_bytes": memory,
            "connections": self._connections(),
            "queue_depth": jobs.waiting,
            "busy": jobs.busy,
            "jobs": {"submitted": counts["came"], **{one: jobs.ended[one] for one in ("completed", "failed")}},
            "assets": len(self._assets),
        })  # fmt: skip

    def _refuse_some(self, request: web.Request) -> None:
        if self._refusing[request.path].due(self._knobs.refuse):
            self._record.note("refused", self._clock.now(), correlation_id=_correlation_id(request))
            raise Unusable("there is no room for more now", status=503)

    def _job(self, request: web.Request) -> Job:
        job = self._jobs.find(request.match_info["id"])
        if job is None:
            raise Unusable("there is no such job", status=404)
        return job

    def _made(self) -> _Video:
        """What is downloaded of a job that is completed."""
        size = self._knobs.video_kb * 1000
        if len(self._video.content) != size:
            self._video = _Video.of_size(size)
        return self._video

    def _shown(self, job: Job) -> dict[str, Any]:
        """A job as it is answered; once it is completed, with the size and the digest of its video."""
        shown = {"id": job.id, "status": job.status, "outputs": job.outputs, "error": job.error}
        if job.status != COMPLETED:
            return shown
        video = self._made()
        return {**shown, "video": {"bytes": len(video.content), "sha256": video.sha256}}

    def _note(self, kind: str, job: Job) -> None:
        self._record.note(kind, self._clock.now(), job=job.id)


async def _digested(read: Callable[[int], Any]) -> tuple[int, str]:
    """The size and the digest of what comes, of which nothing is kept."""
    size, digest = 0, hashlib.sha256()
    while chunk := await read(_CHUNK):
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _correlation_id(request: web.Request) -> str:
    return request.headers.get("X-Correlation-ID", "")


def _run_of(request: web.Request) -> str:
    return request.headers.get("X-Test-Run", "")


@asynccontextmanager
async def running(
    knobs: VideoKnobs,
    record: Record,
    port: int = 0,
    *,
    clock: Clock | None = None,
    resources: Resources | None = None,
) -> AsyncIterator[Mapping[str, str]]:
    """The stand-in on loopback, until the block ends; yields the variables by which evload finds it."""
    clock = clock or Clock()
    jobs = Jobs(knobs, clock, record)
    counting: list[Callable[[], int]] = []
    api = Api(knobs, record, clock, jobs, resources or Resources(), lambda: counting[0]())
    app = application()
    app.middlewares.append(api.slowed)
    app.add_routes([*api.routes(), *Admin(knobs, record, clock).routes()])
    try:
        async with serving(app, port) as served:
            counting.append(served.connections)
            yield {"VIDEOS": served.url}
    finally:
        await jobs.stop()


STAND_IN: Final = StandIn("videos", VideoKnobs, QUICK, 8791, running)
