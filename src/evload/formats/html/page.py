"""Turns charts into what a page needs: Bokeh's script, the data of all charts, and a place for each."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import bokeh
from bokeh.embed import components
from markupsafe import Markup

from ...units import format_duration, format_rate, format_share
from .figures import Chart

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True, slots=True)
class Drawn:
    """`places` has the element of each chart by its name; `script` fills them."""

    places: Mapping[str, Markup]
    script: Markup


def embedded(charts: Sequence[Chart]) -> Drawn:
    """The charts for a page that has the library. Bokeh escapes the texts in them."""
    if not charts:
        return Drawn({}, Markup())
    for chart in charts:
        chart.plot.name = chart.name
    script, places = components({chart.name: chart.plot for chart in charts}, wrap_script=False)
    return Drawn({name: Markup(place) for name, place in places.items()}, Markup(script))


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """A page to be filled in: text is escaped, and a name that nobody gives is an error.

    `filters` are those that it has beside the ones of all pages.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here: who wants only the styles needs none of it

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"duration": format_duration, "share": format_share, "rate": format_rate, **filters}
    return environment.get_template(name)


def look(kind: Literal["css", "js"]) -> bytes:
    """The styles, or the script, that all pages share."""
    return (Path(__file__).parent / "templates" / f"report.{kind}").read_bytes()


def library() -> bytes:
    """Bokeh's script, as it comes with the package."""
    return (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_bytes()


def packed_library() -> str:
    """The same for a page that has it in itself: by gzip, in base64. It is most of what such a page weighs."""
    return b64encode(gzip.compress(library(), 6, mtime=0)).decode()
