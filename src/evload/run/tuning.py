"""What a process that sends on time needs of its interpreter and of the system."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tuned() -> Iterator[None]:
    """For as long as a run goes on."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    _allow_connections()
    # Collections that walk all that is loaded stall the loop for tens of milliseconds; there is no need: what set-up
    # made is left out of every collection from here on, and full ones become rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    # The thread that writes the ledger may hold the interpreter for 5 ms by default, which makes events late.
    sys.setswitchinterval(200e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _allow_connections() -> None:
    """The usual soft limit of 1,024 open files would end a pool of a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
