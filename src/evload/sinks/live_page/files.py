"""What the live page is made of: its HTML, its styles, its scripts and its charts, as a browser asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TEMPLATES: Final = Path(__file__).parent / "templates"
_HTML: Final = "text/html"
_CSS: Final = "text/css"
_SCRIPT: Final = "text/javascript"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    kind: str
    content: bytes


def page_files(name: str, run_id: str, gauges: Sequence[str], lasts_ns: int, token: str) -> Mapping[str, PageFile]:
    """By the path that each is asked for under. Bokeh is loaded and the charts are laid out here, once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from ...formats.html.page import embedded, library, look
    from .charts import MOST_GAUGES, live_charts

    charts = live_charts(gauges, lasts_ns)
    drawn = embedded(charts)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    page = environment.get_template("live.html.j2").render(
        name=name, run_id=run_id, charts=charts, drawn=drawn, token=token, gauges=list(gauges[:MOST_GAUGES])
    )
    return {
        "/": PageFile(_HTML, page.encode()),
        "/page.css": PageFile(_CSS, b"\n".join((look("css"), (_TEMPLATES / "live.css").read_bytes()))),
        "/library.js": PageFile(_SCRIPT, library()),
        "/charts.js": PageFile(_SCRIPT, drawn.script.encode()),
        "/look.js": PageFile(_SCRIPT, look("js")),
        "/live.js": PageFile(_SCRIPT, (_TEMPLATES / "live.js").read_bytes()),
    }
