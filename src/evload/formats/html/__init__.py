"""The report as one page that opens offline."""

from __future__ import annotations

from ...model.report import Report
from ...model.timeline import Timeline
from ...spi.format import Files, Format
from ...units import NS_PER_S


class HtmlFormat(Format):
    """The page, with empty charts over time where there is no timeline."""

    def files(self, report: Report) -> Files:
        from .render import render

        timeline = report.timeline or Timeline(NS_PER_S, 1)
        page = render(report, timeline, report.insights, report.config_text)
        return {"report.html": page.encode() + b"\n"}
