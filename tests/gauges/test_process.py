"""The process gauge: what processes take, by number, name or command line, and that they have ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.process import ProcessGauge, ProcessGaugeConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import Sample
from evload.testing import check_gauge

WORK = """
import sys, time
ballast = bytearray(b"x") * (64 << 20)
until = time.process_time() + 0.2
print("ready", flush=True)
for line in sys.stdin:
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    print("worked", flush=True)
"""


@contextmanager
def worker(*more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds 64 MB and works for 0.2 s when it is told to."""
    with subprocess.Popen(
        [sys.executable, "-c", WORK, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def gauge(**settings: Any) -> ProcessGauge:
    return ProcessGauge(ProcessGaugeConfig.model_validate({"kind": "process", **settings}))


def sampled(watching: ProcessGauge) -> Sample:
    return asyncio.run(watching.sample())


def test_cpu_and_memory_of_a_process_by_its_number() -> None:
    with worker() as process:
        watching = gauge(pid=process.pid)
        first = sampled(watching)
        assert first.values["memory"] > 60 << 20
        assert (first.values["cpu"], first.values["processes"]) == (0, 1), "what it took before isn't known"
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("work\n")
        process.stdin.flush()
        assert process.stdout.readline() == "worked\n"
        assert sampled(watching).values["cpu"] > 0
    assert sampled(watching) == Sample({"processes": 0}), "it has ended"


def test_processes_by_their_command_line_are_added_up() -> None:
    with worker("evload-twin"), worker("evload-twin"), worker("evload-other"):
        two = sampled(gauge(command="*evload-twin*"))
        assert two.values["processes"] == 2
        assert 120 << 20 < two.values["memory"] < 180 << 20
        assert sampled(gauge(command="*evload-none*")) == Sample({"processes": 0})


def test_processes_by_name() -> None:
    with subprocess.Popen(["sleep", "100"]) as sleeping:
        try:
            found = sampled(gauge(name="sleep"))
            assert found.values["processes"] >= 1
            assert found.values["memory"] > 0
        finally:
            sleeping.kill()


def test_children_count_if_they_are_asked_for() -> None:
    shell = f"{sys.executable} -c 'import time; print(1, flush=True); time.sleep(100)'; true"
    with subprocess.Popen(["sh", "-c", shell], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        try:
            assert sampled(gauge(pid=process.pid)).values["processes"] == 1
            both = sampled(gauge(pid=process.pid, children=True))
            assert both.values["processes"] == 2
        finally:
            subprocess.run(["pkill", "-P", str(process.pid)], check=False)
            process.kill()


def test_nobody_by_that_name_is_said_before_the_run() -> None:
    async def opened(**settings: Any) -> None:
        made = ProcessGaugeConfig.model_validate({"kind": "process", **settings})
        async with made.open(Surroundings(SystemClock(), "r", Path())):
            pass

    for settings, text in (
        ({"name": "no-such-program"}, "there is no process with name no-such-program; start it, or correct name"),
        ({"pid": 2**22 + 1}, "there is no process with pid 4194305; start it, or correct pid"),
    ):
        with pytest.raises(TargetError) as raised:
            asyncio.run(opened(**settings))
        assert str(raised.value) == text


def test_it_conforms() -> None:
    with worker() as process:
        made = ProcessGaugeConfig.model_validate({"kind": "process", "pid": process.pid, "every": "30ms"})
        for sample in asyncio.run(check_gauge(made, SystemClock())):
            assert set(sample.values) == set(made.metrics)


@pytest.mark.parametrize("settings", [{}, {"pid": 1, "name": "x"}])
def test_one_way_to_name_them_is_enough(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"write one of pid: 4711, name: redis-server, command"):
        gauge(**settings)
