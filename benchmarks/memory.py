"""What memory a run takes: at 100,000 outstanding events, and over eight hours at 100/s.

    python -m benchmarks.memory [outstanding | soak]

Both are whole runs of the engine in virtual time, with a real ledger file, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import TypeAdapter

from evload.config import RunConfig, Scenario
from evload.ledger.writer import LedgerFile
from evload.model.summary import Summary
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.testing import run_virtual, virtual_clock
from evload.workload.events import EventSettings

from .instant_world import InstantProbeSettings, InstantProducerSettings, InstantWorld, gap_ns

_OUTSTANDING: Final = 100_000
_SOAK_RATE: Final = 100
_SOAK_HOURS: Final = 8
_FLAT_MIB: Final = 5.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20


def outstanding() -> None:
    """Peak of a burst of events that all stay outstanding for seconds, above what the process had before."""
    world = InstantWorld(gap_ns=0, visible_after_ns=3_000_000_000)
    _run(_config(InstantWorld(0, 1_000_000), [{"burst": 1000}], first="1s"))  # Whatever is loaded or cached once.
    before = _rss()
    summary = _run(_config(world, [{"burst": _OUTSTANDING}], first="2s"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert summary.total().ledger["visible"] == _OUTSTANDING
    grown = peak - before
    print(
        f"outstanding: {_OUTSTANDING} watched events, peak RSS {peak / _MIB:.0f} MiB, {grown / _MIB:.0f} MiB above "
        f"the baseline of {before / _MIB:.0f} MiB"
    )
    print(f"ratio: {grown / _OUTSTANDING:.0f} bytes an outstanding event")


def soak() -> None:
    """RSS at minute 1 and at hour 8 of a soak; it must not grow with the length of the run."""
    world = InstantWorld(gap_ns=gap_ns(_SOAK_RATE), visible_after_ns=150_000_000)
    marks = {60: "minute 1", **{hour * 3600: f"hour {hour}" for hour in range(1, _SOAK_HOURS + 1)}}
    seen: dict[str, int] = {}

    def mark(name: str) -> None:
        seen[name] = _rss()
        print(f"soak: {name}, RSS {seen[name] / _MIB:.1f} MiB", flush=True)

    load = [{"rate": f"{_SOAK_RATE}/s", "for": f"{_SOAK_HOURS}h"}]
    config = _config(world, load, first="200ms", sample="10%", deadline="1s", confirm={"reads": 1, "over": "500ms"})
    summary = _run(config, {at_s: (mark, name) for at_s, name in marks.items()})
    ledger = summary.total().ledger
    assert ledger["visible"] == ledger["scheduled"] == _SOAK_RATE * _SOAK_HOURS * 3600
    grown = (seen[f"hour {_SOAK_HOURS}"] - seen["minute 1"]) / _MIB
    print(f"soak: {ledger['visible']} events visible and accounted for")
    print(f"ratio: {grown:+.1f} MiB from minute 1 to hour {_SOAK_HOURS} (target: flat, within {_FLAT_MIB:.0f} MiB)")


def _config(world: InstantWorld, load: list[dict[str, Any]], **probe: Any) -> RunConfig:
    scenario = {"producer": "instant", "events": ["event"], "probes": ["instant"], "load": load}
    return RunConfig(
        name="memory",
        seed=1,
        sandbox=None,
        producers={"instant": InstantProducerSettings(world=world)},
        events={"event": EventSettings(type="kept", source="/evload/bench", data={"id": "{uuid}"})},
        probes={
            "instant": TypeAdapter(InstantProbeSettings).validate_python({"world": world, "bulk": 1000, **probe})
        },
        gauges={},
        scenarios={"main": TypeAdapter(Scenario).validate_python(scenario)},
        slos=(parse("p99(end_to_end) < 5s"),),
        replicas={},
        reports={},
        self_checks=SelfCheckPolicy(),
        settle=60_000_000_000,
        records={"event": None},
    )


def _run(config: RunConfig, calls: dict[int, tuple[Any, ...]] | None = None) -> Summary:
    """Run the config; `calls` are made at those virtual seconds."""

    async def main(directory: str) -> Summary:
        for at_s, (function, *arguments) in (calls or {}).items():
            asyncio.get_running_loop().call_later(at_s, function, *arguments)
        ledger = LedgerFile(Path(directory) / "events.sqlite", {}, threaded=False)
        return await execute(prepare(config, "memory"), virtual_clock(), ledger)

    gc.collect()
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        return run_virtual(main(directory))


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


_PARTS: Final = {"outstanding": outstanding, "soak": soak}


def main() -> None:
    if len(sys.argv) > 1:
        _PARTS[sys.argv[1]]()
    else:
        for part in _PARTS:
            subprocess.run([sys.executable, "-m", "benchmarks.memory", part], check=True)


if __name__ == "__main__":
    main()
