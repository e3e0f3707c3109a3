"""The command gauge: what is printed becomes numbers, whatever goes wrong a failed sample that says why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.command import CommandGauge, CommandGaugeConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import Sample
from evload.testing import check_gauge
from tests.rigs.commands import wait_until


def config(**settings: Any) -> CommandGaugeConfig:
    return CommandGaugeConfig.model_validate({"kind": "command", **settings})


def sampled(base_dir: Path = Path(), **settings: Any) -> Sample:
    return asyncio.run(CommandGauge(config(**settings), base_dir).sample())


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"run": "echo 3"}, {"value": 3}),
        ({"run": "printf '%s' -2.5", "as": "depth"}, {"depth": -2.5}),
        ({"run": ["echo", '{"items": [1, 2]}'], "value": "length(output.items)"}, {"value": 2}),
        (
            {"run": 'echo \'{"up": 7, "down": 1}\'', "values": {"up": "output.up", "all": "sum(values(output))"}},
            {"up": 7, "all": 8},
        ),
        ({"run": "exit 3", "value": "code"}, {"value": 3}),
        ({"run": "echo many words", "value": "length(output)"}, {"value": 10}),
        ({"run": "echo noise >&2; echo 5"}, {"value": 5}),
        ({"run": ["cat"], "value": "length(output)"}, {"value": 0}),
    ],
    ids=["number", "named", "list", "several", "code", "text", "stderr", "no input"],
)
def test_what_is_printed_becomes_numbers(settings: Mapping[str, Any], values: Mapping[str, float]) -> None:
    assert sampled(**settings) == Sample(values)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"run": "echo some; echo 'no such pod' >&2; exit 4"}, "it ended with code 4: no such pod"),
        ({"run": "kill -9 $$"}, "it ended with signal 9"),
        ({"run": "echo words"}, "'output' is 'words', not a number"),
        ({"run": "true"}, "'output' is '', not a number"),
        ({"run": "echo true"}, "'output' is a boolean, not a number"),
        ({"run": "echo '{}'", "value": "output.depth"}, "'output.depth' is null, not a number"),
        ({"run": "yes", "max_output": "1KB"}, "it printed more than 1,000 bytes"),
        ({"run": ["/no/such/program"]}, "[Errno 2] No such file or directory: '/no/such/program'"),
        ({"run": "sleep 60", "timeout": "50ms"}, "it was not done after 50 ms"),
    ],
    ids=["code", "signal", "text", "nothing", "boolean", "null", "too much", "no program", "too long"],
)
def test_what_goes_wrong_is_a_failed_sample(settings: Mapping[str, Any], error: str) -> None:
    assert sampled(**settings) == Sample({}, error)


def test_it_runs_where_the_config_stands(tmp_path: Path) -> None:
    (tmp_path / "depth").write_text("12")
    assert sampled(tmp_path, run="cat depth") == Sample({"value": 12})


def is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_a_command_has_started_ends_with_it(tmp_path: Path) -> None:
    """One that is too slow, and one that has left something behind."""
    slow = sampled(tmp_path, run="sleep 300 & echo $! > slow; wait", timeout="2s")
    assert slow.error == "it was not done after 2 s"
    left = sampled(tmp_path, run="sleep 300 >/dev/null 2>&1 & echo $! > left; echo 1")
    assert left == Sample({"value": 1})
    for name in ("slow", "left"):
        pid = int((tmp_path / name).read_text())
        wait_until(partial(is_over, pid))  # being killed takes the system a moment


def test_a_command_without_a_number_is_said_before_the_run() -> None:
    async def opened() -> None:
        async with config(run="echo none").open(Surroundings(SystemClock(), "r", Path())):
            pass

    with pytest.raises(TargetError) as raised:
        asyncio.run(opened())
    assert str(raised.value) == "no value by 'echo none': 'output' is 'none', not a number; correct run or value"


def test_it_conforms() -> None:
    for sample in asyncio.run(check_gauge(config(run="echo 1", every="20ms"), SystemClock())):
        assert sample == Sample({"value": 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"run": ""}, "at least 1"),
        ({"run": "x", "value": "body.x"}, "body"),
        ({"run": "x", "value": "output", "values": {"a": "output"}}, "both value and values are given"),
        ({"run": "x", "values": {"a": "output"}, "as": "b"}, "as names a single value"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        config(**settings)
    assert message in str(raised.value)
