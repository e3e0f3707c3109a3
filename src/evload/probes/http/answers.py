"""What an HTTP answer says about the events that were asked for. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...clients.expression_traffic import watched
from ...clients.http_asking import Answered
from ...clients.jmes import Expression, kind_of
from ...clients.web import Answer
from ...model.states import Seen
from ...model.travel import Read, Target
from ...spi.traffic import Traffic
from .._shared.asked_ids import AskedIds, asked_id
from .._shared.fact_expressions import BadAnswer, FactReader, items_of
from .._shared.facts import Facts
from .settings import HttpProbeSettings

_PRESENT: Final = Seen.PRESENT
_ABSENT: Final = Seen.ABSENT


class AnswerReader:
    """Turns answers into reads by means of the probe's expressions."""

    def __init__(self, config: HttpProbeSettings, traffic: Traffic | None = None) -> None:
        self._facts = FactReader(
            visible=config.visible, effects=config.effects, replica=config.replica, position=config.position,
            consumed_at=config.consumed_at, processed_at=config.processed_at, version=config.version,
            ended=config.ended, tag=config.tag, captures=config.captures, traffic=traffic,
        )  # fmt: skip
        told = config.capabilities.tells or config.visible is not None or config.tag or config.captures
        self.by_status = not told
        """Nothing but the status is looked at."""
        self._adds_up = config.effects is not None
        self._items = None if config.items is None else watched(Expression(config.items), "items", traffic)
        self._id = watched(Expression(config.id), "id", traffic)
        self._by_capture = config.by == "capture"

    def single(self, answered: Answered, body: bytes, target: Target, start_ns: int, end_ns: int) -> Read:
        """Judge an answer about one event; `body` is its readable one. Raises BadAnswer, NotJson or JMESPathError."""
        there = answered.status == 200
        if self.by_status:
            return Read(target.seq, _PRESENT if there else _ABSENT, start_ns, end_ns)
        answer = Answer(answered.status, answered.headers, body)
        return self._facts.facts(answer, self._facts.visible(answer, there)).read(target.seq, start_ns, end_ns)

    def bulk(self, answer: Answer, targets: Sequence[Target], start_ns: int, end_ns: int) -> tuple[list[Read], int]:
        """Judge an answer about many events: the reads, and how many ids nobody asked for.

        Raises like `single`.
        """
        asked = AskedIds(targets, self._by_capture)
        found = self._by_id(answer, asked)
        answer.item = None
        absent = self._facts.facts(answer, False, about_it=False)
        reads = []
        for target in targets:
            items = found.get(asked_id(target, self._by_capture))
            facts = absent if items is None else self._together(items)
            reads.append(facts.read(target.seq, start_ns, end_ns))
        return reads, len(found.keys() - asked.all)

    def _by_id(self, answer: Answer, asked: AskedIds) -> dict[str, list[Facts]]:
        assert self._items is not None
        found: dict[str, list[Facts]] = {}
        for item in items_of(self._items, answer):
            key = self._id.search(item)
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise BadAnswer(f"id {self._id.text!r} gives {kind_of(key)} in an item of the answer, not an id")
            answer.item = item
            facts = self._facts.facts(answer, self._facts.visible(answer, True))
            found.setdefault(asked.as_asked(str(key)), []).append(facts)
        return found

    def _together(self, items: Sequence[Facts]) -> Facts:
        """Several items with one id are that many effects, or as many as their `effects` add up to."""
        present = [facts for facts in items if facts.seen is Seen.PRESENT]
        if not present:
            return items[0]
        if not self._adds_up:
            # As with the rows of a table, each item is one.
            return present[0]._replace(effects=len(present))
        if len(present) == 1:
            return present[0]
        return present[0]._replace(effects=sum(facts.effects or 0 for facts in present))
