"""What the SQL probes share: their settings, and the query with its `:ids`. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from ...clients.jmes import check_expression
from ...spi.context import Capabilities
from ...texts import near
from ...units import Duration
from .asked_ids import AskedBy
from .looked_into import LookedInto

IDS: Final = "ids"
_TOKEN: Final = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | :: | ; | :(?P<name>[A-Za-z_]\w*)""",
    re.DOTALL | re.VERBOSE,
)
"""What a placeholder can't stand in, and the placeholders; strings as in standard SQL."""
_IN_LIST: Final = re.compile(r"\bin\s*(\(\s*)?$", re.IGNORECASE)
_ANY: Final = re.compile(r"\bany\s*\(\s*$", re.IGNORECASE)
_MAY_HAVE: Final = {name: re.compile(rf"\b{name}\b|\*", re.IGNORECASE) for name in ("version", "ended")}
_LEAST_ALLOWANCE: Final = 3 << 19
_FOR_EACH_ID: Final = 384
_VALUE: Final = re.compile(r"\s*\)")


class SqlSettings(LookedInto):
    """What every SQL probe can be told.

    The query is asked about up to `bulk` events at a time, with their ids in place of `:ids`, and answers with
    a row for each visible one. With `by: capture` the ids are those that the target itself gave the events.
    The columns are known by their names: `id`, and if it likes `visible`, `effects`, `position`, `version`,
    `consumed_at`, `processed_at` and `replica`. An id without a row is absent, and so is one whose `visible` is
    false or null. Without an `effects` column each row is one effect; with it the figures of an id's rows add up.
    `version` is how many writes of the event's key the row reflects. Times without a zone are UTC. Replicas are told
    apart best by a query that has a row for each id, visible or not, since a row that isn't there can't name its
    replica.

    A step of a journey that waits looks at each row by its columns, which then may be others, too.
    """

    asks_with: ClassVar[str] = "IN (:ids)"

    query: Annotated[str, Field(min_length=1, description="one SELECT about many events, with :ids for their ids")]
    by: AskedBy = "correlation_id"
    statement_timeout: Annotated[
        Duration, Field(ge=1_000_000, description="longest time for one query; a longer one is a failed read")
    ] = 5_000_000_000
    pool: Annotated[int, Field(ge=1, le=1000, description="most connections; a read waits for a free one")] = 4
    parallel: Annotated[
        int, Field(ge=1, le=10_000, description="most reads at the same time; default: as many as the pool has")
    ] = 4
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one query")] = 1000

    _until: str | None = PrivateAttr(None)

    @property
    def until(self) -> str | None:
        """What a row has to show for somebody who waits, in place of its `visible`; None: that."""
        return self._until

    def waiting(self, until: str | None, within_ns: int, captures: Mapping[str, str]) -> Self:
        for text in captures.values():
            check_expression(text, None)
        waited = self._asked_by_a_step(self.waited(within_ns), captures)
        waited._until = None if until is None else check_expression(until, None)
        return waited

    @property
    def capabilities(self) -> Capabilities:
        # The columns are known only when it is asked, so that all of them are possible, as far as its text shows.
        named = {name for name, word in _MAY_HAVE.items() if word.search(self.query)}
        return Capabilities(
            tells=frozenset({"effects", "position", "consumed_at", "processed_at", "replica"} | named),
            asks_by_capture=self.by == "capture",
        )

    @property
    def longest(self) -> int:
        """What the answers under way may have together, in bytes: a row has some hundred."""
        return max(_LEAST_ALLOWANCE, self.pool * self.bulk * _FOR_EACH_ID)

    @model_validator(mode="before")
    @classmethod
    def _parallel_follows_pool(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "pool" in values and "parallel" not in values:
            return {**values, "parallel": values["pool"]}
        return values

    @field_validator("query")
    @classmethod
    def _query_asks_for_ids(cls, query: str, info: ValidationInfo) -> str:
        pieces = split_query(query)
        if len(pieces) == 1:
            close = [name for name in _placeholders(query) if near(name, [IDS], cutoff=0.5)]
            cure = (
                f"did you mean :{IDS} for :{close[0]}?"
                if close
                else f"ask for them, such as WHERE id {cls.asks_with}"
            )
            raise ValueError(f"query holds no :{IDS}, so it asks for no event; {cure}")
        for before, after in pairwise(pieces):
            cls._check_place(before, after)
        return query

    @classmethod
    def _check_place(cls, before: str, after: str) -> None:
        """Raises ValueError where `:ids` stands in the other databases' way."""
        by_any = cls.asks_with.startswith("=")
        wrong = _IN_LIST.search(before) if by_any else _ANY.search(before)
        bare = not by_any and not (before.rstrip().endswith("(") and _VALUE.match(after))
        if wrong or bare:
            raise ValueError(f"query has :{IDS} where this database can't take a list; write {cls.asks_with}")

    @model_validator(mode="after")
    def _reads_can_get_a_connection(self) -> Self:
        if self.parallel > 100 * self.pool:
            raise ValueError(
                f"{self.parallel} reads at a time can't share {self.pool} connections; "
                "raise pool, or leave parallel out"
            )
        return self


def split_query(query: str) -> list[str]:
    """The query's parts before, between and after `:ids`, without a semicolon at its end.

    Raises ValueError, `what is wrong; what would be right`, if it is more than one statement.
    """
    query = query.rstrip().removesuffix(";")
    pieces, end = [], 0
    for token in _TOKEN.finditer(query):
        if token[0] == ";":
            raise ValueError("query is more than one statement; write one SELECT")
        if token["name"] == IDS:
            pieces.append(query[end : token.start()])
            end = token.end()
    return [*pieces, query[end:]]


def _placeholders(query: str) -> list[str]:
    return [token["name"] for token in _TOKEN.finditer(query) if token["name"]]
