"""Asks CloudWatch for the newest value of a metric, no more often than there can be a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..clock import Clock

_LATE: Final = timedelta(minutes=15)
"""How far back a newest value is looked for; CloudWatch is a few minutes behind for some services."""
_LATE_PERIODS: Final = 3


def wall_now(clock: Clock) -> datetime:
    """The time of day in UTC, in which CloudWatch dates its values."""
    return clock.wall(clock.now_ns())


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch, as it names them. `period_s` is the seconds that one value covers."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period_s: int

    def stat(self) -> dict[str, Any]:
        """As a query asks for it."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions.items()]
        return {
            "Metric": {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions},
            "Period": self.period_s,
            "Stat": self.statistic,
        }


class PeriodValues:
    """The values of one metric, each with the period that it is about."""

    def __init__(self, cloudwatch: Any, metric: Metric) -> None:
        self._cloudwatch = cloudwatch
        self._metric = metric
        self.period = timedelta(seconds=metric.period_s)

    def begun(self, at: datetime) -> datetime:
        """When the period began in which a moment (UTC) lies."""
        seconds = self._metric.period_s
        return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)

    async def between(self, start: datetime, end: datetime) -> dict[datetime, float]:
        """Of the periods that began from `start` on and before `end` those that have a value, by their beginning.

        Raises what the SDK raises.
        """
        found: dict[datetime, float] = {}
        token: dict[str, str] = {}
        while start < end:
            answer = await self._cloudwatch.get_metric_data(
                MetricDataQueries=[{"Id": "values", "MetricStat": self._metric.stat()}],
                StartTime=start,
                EndTime=end,
                ScanBy="TimestampAscending",
                **token,
            )
            for told in answer["MetricDataResults"]:
                times = [at.astimezone(UTC) for at in told["Timestamps"]]
                found |= dict(zip(times, map(float, told["Values"]), strict=True))
            if not answer.get("NextToken"):
                break
            token = {"NextToken": answer["NextToken"]}
        return found


class LatestValue:
    """The newest value of one metric about the run, asked for once in a period at most."""

    def __init__(self, cloudwatch: Any, metric: Metric, since: datetime) -> None:
        """Periods that ended before `since` (UTC) say nothing about the run, and are left out."""
        self._cloudwatch = cloudwatch
        self._metric = metric
        self._period = timedelta(seconds=metric.period_s)
        self._since = since
        self._asked: datetime | None = None
        self._newest: float | None = None

    async def at(self, now: datetime) -> float | None:
        """The newest value that is known at `now` (UTC), of a period that is over; None if there is none.

        Raises what the SDK raises.
        """
        if self._asked is None or now - self._asked >= self._period:
            seconds = self._metric.period_s
            end = datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)
            answer = await self._cloudwatch.get_metric_data(
                MetricDataQueries=[{"Id": "newest", "MetricStat": self._metric.stat()}],
                StartTime=end - max(_LATE, _LATE_PERIODS * self._period),
                EndTime=end,
                ScanBy="TimestampDescending",
            )
            self._asked = now
            found = answer["MetricDataResults"][0]
            known = bool(found["Values"]) and found["Timestamps"][0] + self._period > self._since
            self._newest = float(found["Values"][0]) if known else None
        return self._newest
