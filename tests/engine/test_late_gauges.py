"""Values of gauges that come late, in whole runs in virtual time: each minute of the run has its value once, or is
said to be missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from evload.clock import Clock
from evload.engine.control import RunControl
from evload.gauges.cloudwatch import ByPeriod, CloudWatchConfig
from evload.ledger.reader import LedgerReader
from evload.model.report import Report, Result
from evload.report.build import build_again
from evload.report.document import document
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation

S = 1_000_000_000
MINUTE = 60 * S
Delay = Callable[[datetime], timedelta | None]
"""How long after its end the value of a minute is there; None: never."""


class AnsweredError(Exception):
    """What the SDK raises."""


class _Aws:
    errors = (AnsweredError,)

    @staticmethod
    def explain(error: BaseException) -> str:
        return f"throttled: {error}"


class FakeCloudWatch:
    """Knows of each minute how many minutes since midnight it is, `delay` after it is over."""

    def __init__(self, clock: Clock, delay: Delay, fails: Callable[[int], bool] = lambda call: False) -> None:
        self._clock = clock
        self._delay = delay
        self._fails = fails
        self.asked: list[tuple[datetime, datetime]] = []

    async def get_metric_data(self, **request: Any) -> dict[str, Any]:
        start, end = request["StartTime"], request["EndTime"]
        self.asked.append((start, end))
        if self._fails(len(self.asked)):
            raise AnsweredError("rate exceeded")
        now, minute = self._clock.wall(self._clock.now_ns()), timedelta(minutes=1)
        found: list[tuple[datetime, float]] = []
        at = start
        while at < end:
            late = self._delay(at)
            if late is not None and now >= at + minute + late:
                found.append((at, float(at.hour * 60 + at.minute)))
            at += minute
        # Two at a time, as a long answer comes.
        page = int(request.get("NextToken", "0"))
        more = {"NextToken": str(page + 2)} if page + 2 < len(found) else {}
        told = found[page : page + 2]
        return {"MetricDataResults": [{"Timestamps": [at for at, _ in told], "Values": [v for _, v in told]}], **more}


class Late(GaugeSettings):
    """The CloudWatch gauge, of which only the service is another."""

    kind: Literal["late"] = "late"
    config: CloudWatchConfig
    delay: Delay
    fails: Callable[[int], bool]
    clients: list[Any]

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.config.metrics

    @property
    def counters(self) -> tuple[str, ...]:
        return self.config.metrics

    @property
    def late_ns(self) -> int | None:
        return self.config.late_ns

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        client = FakeCloudWatch(surroundings.clock, self.delay, self.fails)
        self.clients.append(client)
        aws: Any = _Aws()
        yield ByPeriod(aws, self.config, surroundings.clock, client, surroundings.remark)


Rows = Sequence[tuple[int, int, Mapping[str, float]]]


def ran(
    path: Path, delay: Delay, *slos: str, late: str = "3m", fails: Callable[[int], bool] = lambda call: False,
    at: Callable[[RunControl], None] | None = None,
) -> tuple[Simulated, Rows, list[FakeCloudWatch]]:  # fmt: skip
    """A run of four minutes; the samples of its ledger."""
    written = {"kind": "cloudwatch", "namespace": "AWS/Lambda", "metric": "Throttles", "late": late}
    config = CloudWatchConfig.model_validate(written)
    clients: list[Any] = []
    gauge = Late.model_construct(
        config=config, delay=delay, fails=fails, clients=clients, every=MINUTE, scenarios=(), counter=None
    )
    load = ({"rate": "1/s", "for": "4m"},)
    gauges = {"lambda": gauge}
    done = Simulation(MemoryWorld(), load, gauges=gauges, slos=slos, ledger_path=path, watched=False, at=at).run()
    with LedgerReader(path) as ledger:
        return done, [(start, end, values) for _, start, end, values in ledger.samples()], clients


def after(seconds: float) -> Delay:
    return lambda at: timedelta(seconds=seconds)


def whole_minutes(rows: Rows) -> list[float]:
    """The values, which have to be about one minute after another, from the start of the run to its end."""
    assert all(end - start == MINUTE for start, end, _ in rows)
    assert all(rows[n][1] == rows[n + 1][0] for n in range(len(rows) - 1))
    assert rows[0][0] <= 0
    assert rows[-1][1] >= 4 * MINUTE
    return [values["throttles"] for _, _, values in rows]


def reported(path: Path) -> Report:
    with LedgerReader(path) as ledger:
        return build_again(ledger, path.parent)


@pytest.mark.parametrize("seconds", [5, 70, 150])
def test_every_minute_of_the_run_has_its_value_once(seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    done, rows, _ = ran(path, after(seconds), "rise(throttles) >= 3", "max(throttles) < 1440")
    values = whole_minutes(rows)
    assert len(values) in (4, 5)
    assert values == [values[0] + n for n in range(len(values))]
    assert [one.result for one in done.report.objectives] == [Result.PASS, Result.PASS]
    assert done.report.objectives[0].observed == (len(values) - 1,) * 2
    assert done.summary.gauges["lambda"].series["throttles"].count == len(values)
    assert (done.summary.gauges["lambda"].failed, done.summary.gauges["lambda"].missing) == (0, 0)
    assert document(reported(path)) == document(done.report)
    # The run itself was over before; that somebody waited for minutes is no part of it.
    assert done.summary.vitals.duration_ns == pytest.approx(4 * MINUTE, abs=S)


def test_it_is_asked_no_longer_than_until_all_are_there(tmp_path: Path) -> None:
    _, _, (client,) = ran(tmp_path / "a.sqlite", after(70), late="1h")
    ends = [end for _, end in client.asked]
    assert ends[-1] - ends[0] <= timedelta(minutes=6)
    # Once a minute while it runs, four times a minute afterwards, each a few pages long.
    assert len(client.asked) < 60


def test_what_does_not_come_is_said_to_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    done, rows, _ = ran(path, lambda at: None if at.minute % 2 else timedelta(seconds=30), "max(throttles) < 1440")
    values = whole_minutes(rows)
    absent = [value for value in values if value != value]
    assert len(absent) == len(values) // 2 or len(absent) == -(-len(values) // 2)
    assert done.summary.gauges["lambda"].missing == len(absent)
    (remark,) = done.summary.vitals.remarks
    told = (
        f"{len(absent)} of {len(values)} values of Throttles about the run are missing: CloudWatch had none by then"
    )
    assert remark == f"gauge lambda: {told}"
    again = reported(path)
    assert again.summary.vitals.remarks == [remark]
    assert document(again) == document(done.report)


def test_what_comes_later_than_that_is_missing_too(tmp_path: Path) -> None:
    done, rows, _ = ran(tmp_path / "a.sqlite", after(300), late="2m")
    values = whole_minutes(rows)
    known = [value for value in values if value == value]
    assert 0 < len(known) < len(values)
    assert done.summary.gauges["lambda"].missing == len(values) - len(known)


def test_who_interrupts_the_run_does_not_wait(tmp_path: Path) -> None:
    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(100, control.stop)

    done, rows, (client,) = ran(tmp_path / "a.sqlite", after(150), late="1h", at=at)
    assert client.asked[-1][1] - client.asked[0][1] < timedelta(minutes=3)
    assert all(values["throttles"] != values["throttles"] for _, _, values in rows)
    assert done.summary.gauges["lambda"].missing == len(rows)


def test_who_interrupts_the_waiting_has_the_verdict_at_once(tmp_path: Path) -> None:
    def at(control: RunControl) -> None:
        asyncio.get_running_loop().call_later(260, control.stop)

    done, _, (client,) = ran(tmp_path / "a.sqlite", after(150), late="1h", at=at)
    assert client.asked[-1][1] - client.asked[0][1] < timedelta(minutes=6)
    assert done.summary.gauges["lambda"].missing > 0
    assert done.summary.vitals.interrupted


def test_a_failure_is_tried_again_and_told(tmp_path: Path) -> None:
    # The fourth question and the two after it fail.
    done, rows, _ = ran(tmp_path / "a.sqlite", after(20), fails=lambda call: 4 <= call <= 6)
    good = [row for row in rows if row[2]]
    values = whole_minutes(good)
    assert values == [values[0] + n for n in range(len(values))]
    assert done.summary.gauges["lambda"].failed == len(rows) - len(good)
    assert "throttled: rate exceeded" in " ".join(done.summary.vitals.errors)


def test_it_fails_to_the_end(tmp_path: Path) -> None:
    done, _, _ = ran(tmp_path / "a.sqlite", after(20), fails=lambda call: call > 1)
    (remark,) = done.summary.vitals.remarks
    assert remark.endswith("values of Throttles about the run are missing: throttled: rate exceeded")
    assert done.summary.gauges["lambda"].missing >= 4
