"""What a format is: how a finished report is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..model.report import Report
from .context import VERSION

Files = Mapping[str, bytes]
"""Name to content; the first is the one to print where only one can be shown."""


class Format:
    """Base of all formats; the name of its entry point is what people call it. `spi` as in AdapterSettings.

    What it needs it imports with its module: then a package that is missing is told of before a run, not after it.
    `binary`: whether the first of its files is no text to show on a terminal.
    """

    spi: ClassVar[int] = VERSION
    binary: ClassVar[bool] = False

    def files(self, report: Report) -> Files:
        """The report as files, at least one. A report without a timeline has no time series."""
        raise NotImplementedError
