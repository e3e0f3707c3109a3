"""What a page of a feed says about events, and where the next one begins. No I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...clients.expression_traffic import watched
from ...clients.jmes import Expression, kind_of, truthy
from ...clients.web import Answer
from ...model.correlation import CorrelationIds
from ...spi.traffic import Traffic
from .._shared.attribution import Attribution, by_match
from .._shared.fact_expressions import BadAnswer, FactReader, items_of, search
from .._shared.facts import Facts
from .addresses import Addresses
from .settings import HttpFeedSettings

_NO_CONTENT: Final = (204, 304)
_EXACT: Final = 1 << 53
"""A float of this size or more may have been another number in the answer."""


class Page(NamedTuple):
    """One page.

    found   visible events of this run by number; several entries of one are put together
    cursor  for the next request
    last    the feed ends here for now
    strange, example  entries that are about no event of any run, and the beginning of one of them
    """

    found: dict[int, Facts]
    cursor: str
    last: bool
    strange: int = 0
    example: str = ""


class PageReader:
    """Reads pages by means of the probe's expressions.

    adds_up  each entry is so many effects of its own
    """

    def __init__(self, config: HttpFeedSettings, ids: CorrelationIds, traffic: Traffic | None = None) -> None:
        self._attribution = Attribution(ids, by_match(config.id, default="id" not in config.model_fields_set))
        self.addresses = Addresses(config.url)
        self._items = watched(Expression(config.items), "items", traffic)
        self._next = watched(Expression(config.next), "next", traffic)
        self._more = None if config.more is None else watched(Expression(config.more), "more", traffic)
        self._facts = FactReader(
            visible=config.visible, effects=config.effects, replica=None, position=config.position,
            consumed_at=config.consumed_at, processed_at=config.processed_at, version=None, traffic=traffic,
        )  # fmt: skip
        effects = None if config.effects is None else Expression(config.effects)
        self.adds_up = effects is not None and not effects.roots and not effects.whole

    def read(self, answer: Answer, cursor: str) -> Page:
        """The answer to a request with this cursor. Raises BadAnswer, NotJson or JMESPathError."""
        if answer.status in _NO_CONTENT:
            return Page({}, cursor, True)
        items = items_of(self._items, answer)
        found: dict[int, Facts] = {}
        for item in items:
            # A feed may list what is none of ours, in whatever shape.
            about = self._attribution.find(item)
            if about is None:
                continue
            seq, answer.item = about
            if self._facts.visible(answer, True):
                facts = self._facts.facts(answer, True)
                known = found.get(seq)
                found[seq] = facts if known is None else self._together(known, facts)
        answer.item = None
        following = self._cursor(answer)
        if following is not None:
            following = self.addresses.cursor_of(following, cursor)
        if self._more is None:
            last = not items or following is None or following == cursor
        else:
            last = not truthy(search(self._more, answer))
        return Page(found, cursor if following is None else following, last, *self._attribution.take())

    def _together(self, known: Facts, facts: Facts) -> Facts:
        if known.effects is None or facts.effects is None:
            return known
        if self.adds_up:
            return known._replace(effects=known.effects + facts.effects)
        return known._replace(effects=max(known.effects, facts.effects))

    def _cursor(self, answer: Answer) -> str | None:
        value = search(self._next, answer)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadAnswer(f"next {self._next.text!r} gives {kind_of(value)}, not a cursor")
        if isinstance(value, float) and abs(value) >= _EXACT:
            raise BadAnswer(f"next {self._next.text!r} gives a number too large to be exact")
        return str(value)
