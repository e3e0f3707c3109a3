"""Histograms for HdrHistogram's own tools: a log of all of them, and percentile tables of each.

Of each metric there are two, of the lower and of the upper ends of its brackets. Those tools know no infinite
value, and leaving one out would make every percentile too good; so what was never seen stands at the largest
value that the histogram can hold, and a comment says how many those are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ..model.facts import METRICS, QUEUE_LAG
from ..model.report import Report
from ..spi.format import Files, Format
from ..stats.histogram import Histogram
from ..texts import printable
from ..units import NS_PER_S

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram


_NS_PER_MS: Final = 1e6


class HlogFormat(Format):
    """The log, and a percentile table for each of its tags."""

    def files(self, report: Report) -> Files:
        return {"histograms.hlog": log(report), **percentile_tables(report)}


def log(report: Report) -> bytes:
    """The `.hlog` (format 1.3, V2 compressed): one interval, the whole run, for each tag; values in ns.

    Tags are `METRIC.lower` and `METRIC.upper` for the whole run and `SCENARIO/METRIC.…` for each of several
    scenarios; `queue_lag/GAUGE.…` is the time in a queue. A percent sign and two digits in a tag is a character that
    a tag can't have.
    """
    start = report.started_at.timestamp()
    lines = [
        f"#[evload run {printable(report.run_id)}: {printable(report.name)}]",
        "#[values in nanoseconds, Interval_Max in milliseconds; a percentile lies between the one of TAG.lower and "
        "the one of TAG.upper]",
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {start:.3f} (seconds since epoch), {report.started_at.isoformat(' ')}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    length = report.summary.vitals.duration_ns / NS_PER_S
    for tag, values in _histograms(report):
        histogram = _to_hdr(values)
        if values.never:
            lines.append(
                f"#[{tag}: {values.never} of {values.total} values are infinite (never seen); they stand at "
                f"{histogram.highest_trackable_value} ns]"
            )
        largest = histogram.get_max_value() / _NS_PER_MS
        lines.append(f"Tag={tag},{start:.3f},{length:.3f},{largest:.3f},{histogram.encode().decode()}")
    return ("\n".join(lines) + "\n").encode()


def percentile_tables(report: Report) -> dict[str, bytes]:
    """A `.hgrm` for each tag of the log, by file name; values in milliseconds, as the plotters expect."""
    tables = {}
    for tag, values in _histograms(report):
        table = io.BytesIO()
        _to_hdr(values).output_percentile_distribution(table, _NS_PER_MS)
        if values.never:
            note = f"#[{values.never} of {values.total} values are infinite (never seen) and stand at the maximum]\n"
            table.write(note.encode())
        tables[tag.replace("/", "_") + ".hgrm"] = table.getvalue()
    return tables


def _histograms(report: Report) -> Iterator[tuple[str, Histogram]]:
    summary = report.summary
    scopes = {"": summary.total().distributions}
    if len(summary.scenarios) > 1:
        scopes |= {_tag(name) + "/": scenario.distributions for name, scenario in summary.scenarios.items()}
    found = [
        (prefix + metric, distributions[metric])
        for prefix, distributions in scopes.items()
        for metric in METRICS
        if metric in distributions
    ]
    lags = {name: gauge.lag for name, gauge in summary.gauges.items() if gauge.lag is not None}
    found += [(f"{QUEUE_LAG}/{_tag(name)}", lag) for name, lag in lags.items()]
    for tag, distribution in found:
        if distribution.count:
            yield f"{tag}.lower", distribution.lower
            yield f"{tag}.upper", distribution.upper


def _to_hdr(values: Histogram) -> HdrHistogram:
    histogram = values.to_hdr()
    if values.never:
        histogram.record_value(histogram.highest_trackable_value, values.never)
    return histogram


def _tag(name: str) -> str:
    return quote(name, safe="")
