"""Settings of the sinks that a config can name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ..spi.registry import BrokenPlugin, UnknownKind, kinds, load_format
from ._shared.files import FileSettings, FilesSettings, Place


class HtmlConfig(FileSettings):
    """The report as one page that opens offline."""

    form = "html"
    kind: Literal["html"]
    file: Place = Path("report.html")


class JunitConfig(FileSettings):
    """JUnit XML, with a test case for each objective."""

    form = "junit"
    kind: Literal["junit"]
    file: Place = Path("junit.xml")


class MarkdownConfig(FileSettings):
    """The report in Markdown."""

    form = "md"
    kind: Literal["markdown"]
    file: Place = Path("report.md")


class CsvConfig(FilesSettings):
    """Percentiles and time series as CSV."""

    form = "csv"
    kind: Literal["csv"]


class HlogConfig(FilesSettings):
    """A log of histograms and percentile tables for HdrHistogram's tools."""

    form = "hlog"
    kind: Literal["hlog"]


def _check_format(name: str) -> str:
    try:
        load_format(name)
    except (UnknownKind, BrokenPlugin) as error:
        raise ValueError(str(error)) from error
    return name


def _add_names(schema: dict[str, Any]) -> None:
    schema["enum"] = sorted(kinds("evload.formats"))


class FilesConfig(FilesSettings):
    """The report in any format that is installed."""

    kind: Literal["files"]
    format: Annotated[
        str,
        AfterValidator(_check_format),
        Field(description="as evload report --format knows it", json_schema_extra=_add_names),
    ]

    @property
    def writes(self) -> str:
        return self.format
