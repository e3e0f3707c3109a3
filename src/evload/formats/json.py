"""The report for scripts, as `summary.json`."""

from __future__ import annotations

from ..model.report import Report
from ..report.document import as_json
from ..spi.format import Files, Format


class JsonFormat(Format):
    """The whole document."""

    def files(self, report: Report) -> Files:
        return {"summary.json": as_json(report)}
