"""What can be changed about the generation of videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stand_in.knobs import Knobs, at_least_one, share


@dataclass(slots=True)
class VideoKnobs(Knobs):
    """All of them, as they are when nobody says otherwise. Times are in milliseconds."""

    work_ms: float = 2000.0
    """What a worker takes for a prompt of middling length; a short one takes half of it, a long one twice that."""
    workers: int = at_least_one(80)
    """Jobs that are worked on at a time; the others wait."""
    fail: float = share(0.05)
    """Share of the jobs that fail."""
    accept_ms: float = 5.0
    """What it takes to take a job in."""
    poll_ms: float = 2.0
    """What it takes to tell the status of a job."""
    upload_ms: float = 20.0
    """What it takes to store each megabyte of an asset."""
    download_ms: float = 0.0
    """What it takes to send each megabyte of a video."""
    video_kb: int = at_least_one(200)
    """How large a video is, in kilobytes."""
    latency_ms: float = 0.0
    """What each answer takes longer."""
    refuse: float = share()
    """Share of the submissions, and of the uploads, that are answered with 503."""
    lose: float = share()
    """A bug: share of the jobs of which a worker makes nothing, so that they are processing for ever."""
    twice: float = share()
    """A bug: share of the jobs that are done twice."""
    back: float = share()
    """A bug: share of the jobs whose status goes back from completed to processing, and stays there."""
    back_ms: float = 300.0
    """How long after that."""
    cut: float = share()
    """A bug: share of the downloads that end before all of the video has come."""
    garbled: float = share()
    """A bug: share of the downloads that have the size of the video, and not its content."""
    shrunk: float = share()
    """A bug: share of the assets of which the last byte isn't stored."""
    empty: float = share()
    """A bug: share of the jobs that are completed and have no video."""
    leak_kb: int = 0
    """A bug: kilobytes that are counted as kept of each job for no reason."""
    limit_mb: int = at_least_one(512)
    """What memory there is, in megabytes."""


QUICK: Mapping[str, Any] = {"work_ms": 300, "workers": 40}
"""So that a job is a matter of tenths of a second: what the profile called `short` counts on."""
