"""The live page of a run: `evload run --ui`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..config.run_config import LoadedConfig
from ..run.controls import Controls
from ..run.directory import RunDirectory
from ..run.feasibility import total_ns
from ..run.session import Page
from ..sinks.report_files import HtmlConfig
from ..spi.sink import Sink, SinkSettings


def live_page(loaded: LoadedConfig, port: int, say: Callable[[str], None]) -> Page:
    """A page on loopback that shows a run of this config and can stop it. Port 0 takes any free one."""

    @contextmanager
    def serve(run_id: str, directory: RunDirectory, controls: Controls) -> Iterator[Sink]:
        from ..sinks.live_page.sink import served

        config = loaded.config
        gauges = [f"{name} {metric}" for name, gauge in config.gauges.items() for metric in gauge.metrics]
        with served(
            controls, name=loaded.redact(config.name), run_id=run_id, gauges=gauges, lasts_ns=total_ns(config),
            report=_page_of(config.reports, directory), port=port,
        ) as page:  # fmt: skip
            say(f"live page: {page.url}")
            yield page

    return serve


def _page_of(reports: Mapping[str, SinkSettings], directory: RunDirectory) -> Path:
    """Where the HTML report will be."""
    pages = [directory.path / report.file for report in reports.values() if isinstance(report, HtmlConfig)]
    return pages[0] if pages else directory.path / "report.html"
