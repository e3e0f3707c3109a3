"""Settings of the sinks that a config can name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ._shared.files import Place, _FileSettings, _FilesSettings


class HtmlConfig(_FileSettings):
    """The report as one page that opens offline."""

    form = "html"
    kind: Literal["html"]
    file: Place = Path("report.html")


class JunitConfig(_FileSettings):
    """JUnit XML, with a test case for each objective."""

    form = "junit"
    kind: Literal["junit"]
    file: Place = Path("junit.xml")


class MarkdownConfig(_FileSettings):
    """The report in Markdown."""

    form = "md"
    kind: Literal["markdown"]
    file: Place = Path("report.md")


class CsvConfig(_FilesSettings):
    """Percentiles and time series as CSV."""

    form = "csv"
    kind: Literal["csv"]


class HlogConfig(_FilesSettings):
    """A log of histograms and percentile tables for HdrHistogram's tools."""

    form = "hlog"
    kind: Literal["hlog"]
