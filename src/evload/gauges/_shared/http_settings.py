"""What gauges that ask over HTTP can be told in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, field_validator

from ...clients.web import Url, check_headers, reach_of, unchecked
from ...model.facts import METRICS, QUEUE_LAG
from ...spi.context import AnswerTimeout
from ...spi.gauge import GaugeSettings
from ...spi.guard import Reach
from ...units import Size

_DISTRIBUTIONS: Final = (*METRICS, QUEUE_LAG)


def _is_free(name: str) -> str:
    if name in _DISTRIBUTIONS:
        raise ValueError(f"{name!r} is the name of a distribution; take another, such as {name}_gauge")
    return name


MetricName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_is_free)]
"""A name under which objectives can speak of a value."""


class HttpGaugeSettings(GaugeSettings):
    """A GET of one address, again and again."""

    live: ClassVar[frozenset[str]] = frozenset({"headers"})

    url: Annotated[Url, Field(description="address to ask")]
    headers: Annotated[Mapping[str, str], AfterValidator(check_headers), Field(description="further headers")] = {}
    timeout: AnswerTimeout = 5_000_000_000
    max_body: Annotated[Size, Field(ge=1, description="a longer answer is a failed sample")] = 8 << 20
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the server's certificate")] = True

    @property
    def reach(self) -> Reach:
        return reach_of(self.url)

    @property
    def remarks(self) -> Sequence[str]:
        return unchecked(self.verify, self.url)

    @field_validator("url")
    @classmethod
    def _url_is_no_template(cls, url: str) -> str:
        if "{" in url:
            raise ValueError("url is a template, but a gauge belongs to no event; write a plain address")
        return url
