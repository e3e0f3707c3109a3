"""One metric of a Prometheus endpoint, summed up over the series that its labels choose; quantiles of histograms."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.gauge import Gauge
from .settings import PrometheusGaugeSettings


class PrometheusGaugeConfig(PrometheusGaugeSettings):
    """Settings of the gauge. `labels` must be equal; labels that aren't named may be anything.

    `values` are quantiles of histograms: of what all chosen series observed in the time `over` before a sample, by
    what their buckets gained between samples. A value is the upper bound of the bucket in which the quantile lies.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Ask once, yield the gauge. Raises TargetError if nothing answers with metrics, or if what is to rise is no
        counter there.

        A metric that isn't there yet is fine: labelled ones appear with their first value, others perhaps with the
        first event of all.
        """
        from .reader import open_reader

        return open_reader(self, surroundings)
