"""Asks CloudWatch for the newest value of a metric, no more often than there can be a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

_LATE: Final = timedelta(minutes=10)
"""How far back a newest value is looked for; CloudWatch is a few minutes behind for some services."""
_LATE_PERIODS: Final = 3


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch, as it names them. `period_s` is the seconds that one value covers."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period_s: int


class LatestValue:
    """The newest value of one metric, asked for once in a period at most."""

    def __init__(self, cloudwatch: Any, metric: Metric) -> None:
        self._cloudwatch = cloudwatch
        self._metric = metric
        self._asked: datetime | None = None
        self._known: datetime | None = None

    async def new(self, now: datetime) -> float | None:
        """The newest value if it is newer than the last one given; None if not, or if it isn't time to ask yet.

        `now` is the time of day in UTC. Raises what the SDK raises.
        """
        period = timedelta(seconds=self._metric.period_s)
        if self._asked is not None and now - self._asked < period:
            return None
        self._asked = now
        answer = await self._cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "newest", "MetricStat": self._stat()}],
            StartTime=now - max(_LATE, _LATE_PERIODS * period),
            EndTime=now,
            ScanBy="TimestampDescending",
        )
        result = answer["MetricDataResults"][0]
        if not result["Values"]:
            return None
        at: datetime = result["Timestamps"][0]
        if self._known is not None and at <= self._known:
            return None
        self._known = at
        return float(result["Values"][0])

    def _stat(self) -> dict[str, Any]:
        metric = self._metric
        dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
        return {
            "Metric": {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions},
            "Period": metric.period_s,
            "Stat": metric.statistic,
        }
