"""The database of the write side, and the outbox in it: what a command changes and what it tells is one transaction.

What happens is written into the record before anybody can read of it. A line is of one of these kinds:

request    a command or a read was answered: `method`, `route`, `status`, and its correlation id, `id`
written    a row of the outbox: `context`, `aggregate`, `version`, `type`, and `id` of the request behind it
published  it was added to the stream of its context
applied    the read model has it
lost, swapped, skipped, doubled        what bugs did to one
oversold   a reservation of more than there was: `item`, `order`, and how many `units` too many
unseen     a cancellation, a payment or a modification didn't see what came meanwhile: `what`, `aggregate`
charged    a payment that was booked already was booked once more: `aggregate`
forgotten  a payment failed, and nothing was undone: `aggregate`
changed    somebody turned knobs
totals     when it ends: what is in the database and in the streams
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import asyncpg

from stand_in.clock import Clock
from stand_in.command import Missing
from stand_in.record import Record

CONTEXTS: Final = ("customers", "inventory", "orders", "payments", "shipping")

_TABLES: Final = """
CREATE TABLE customers (id text PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL, phone text NOT NULL,
    tier text NOT NULL DEFAULT 'bronze', version int NOT NULL DEFAULT 1);
CREATE TABLE addresses (id text PRIMARY KEY, customer text NOT NULL REFERENCES customers, kind text NOT NULL,
    street text NOT NULL, city text NOT NULL, zip text NOT NULL);
CREATE INDEX ON addresses (customer);
CREATE TABLE items (id text PRIMARY KEY, sku text NOT NULL UNIQUE, name text NOT NULL, price float NOT NULL,
    total int NOT NULL, available int NOT NULL, version int NOT NULL DEFAULT 1);
CREATE TABLE reservations (id text PRIMARY KEY, item text NOT NULL REFERENCES items, order_id text NOT NULL,
    quantity int NOT NULL, status text NOT NULL DEFAULT 'reserved');
CREATE INDEX ON reservations (item);
CREATE INDEX ON reservations (order_id);
CREATE TABLE orders (id text PRIMARY KEY, customer text NOT NULL REFERENCES customers, sku text NOT NULL,
    quantity int NOT NULL, price float NOT NULL, confirmed_total float, status text NOT NULL DEFAULT 'created',
    version int NOT NULL DEFAULT 1);
CREATE TABLE payments (id text PRIMARY KEY, order_id text NOT NULL REFERENCES orders, amount float NOT NULL,
    status text NOT NULL DEFAULT 'initiated', captures int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 1);
CREATE INDEX ON payments (order_id);
CREATE TABLE shipments (id text PRIMARY KEY, order_id text NOT NULL REFERENCES orders, address text NOT NULL,
    status text NOT NULL DEFAULT 'created', version int NOT NULL DEFAULT 1);
CREATE INDEX ON shipments (order_id);
CREATE TABLE keys (key text PRIMARY KEY, made text NOT NULL);
CREATE TABLE outbox (id bigserial PRIMARY KEY, context text NOT NULL, aggregate text NOT NULL, version int NOT NULL,
    type text NOT NULL, state text NOT NULL, about jsonb NOT NULL, correlation text NOT NULL,
    status text NOT NULL DEFAULT 'PENDING');
CREATE INDEX pending ON outbox (id) WHERE status = 'PENDING';
CREATE TABLE views (context text NOT NULL, id text NOT NULL, status text NOT NULL, version int NOT NULL,
    events text[] NOT NULL, about jsonb NOT NULL, PRIMARY KEY (context, id));
"""


@dataclass(frozen=True, slots=True)
class Event:
    """What a command tells the others: that an aggregate of a context is in another state now.

    version  how many events of the aggregate there were with it
    id       the correlation id of the request behind it
    """

    context: str
    aggregate: str
    version: int
    type: str
    state: str
    about: Mapping[str, Any]
    id: str

    def named(self) -> dict[str, Any]:
        """As lines of the record name it."""
        return {
            "context": self.context, "aggregate": self.aggregate, "version": self.version, "type": self.type,
            "id": self.id,
        }  # fmt: skip


class Look:
    """What is there."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def row(self, sql: str, *values: Any) -> Any:
        """The first row of what a statement gives, or None."""
        return await self._connection.fetchrow(sql, *values)

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """All of them."""
        return list(await self._connection.fetch(sql, *values))


class Work(Look):
    """One transaction: what is read, changed and told in it comes to be at once, or not at all."""

    def __init__(self, connection: Any, correlation: str) -> None:
        super().__init__(connection)
        self._correlation = correlation
        self.events: list[Event] = []

    async def run(self, sql: str, *values: Any) -> None:
        """A statement that gives nothing. Raises asyncpg.UniqueViolationError."""
        await self._connection.execute(sql, *values)

    async def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """A statement with each of some values, in their order, at one go."""
        await self._connection.executemany(sql, values)

    def tell(self, context: str, aggregate: str, version: int, kind: str, state: str, **about: Any) -> None:
        """Have a row of it in the outbox."""
        event = Event(context, aggregate, version, kind, state, about, self._correlation)
        self.events.append(event)

    async def flush(self) -> None:
        """Write what was told so far, in its order."""
        await self.many(
            "INSERT INTO outbox (context, aggregate, version, type, state, about, correlation)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                (one.context, one.aggregate, one.version, one.type, one.state, json.dumps(one.about), one.id)
                for one in self.events
            ],
        )


class Store:
    """The database. `committed` is called after each transaction that told something."""

    def __init__(self, pool: Any, record: Record, clock: Clock) -> None:
        self.pool = pool
        self._record, self._clock = record, clock
        self.committed: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def work(self, correlation: str = "") -> AsyncIterator[Work]:
        """A transaction that is committed where the block ends well."""
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                work = Work(connection, correlation)
                yield work
                if work.events:
                    await work.flush()
                    for event in work.events:
                        self.note("written", **event.named())
            if work.events:
                self.committed()

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Look]:
        """For reading alone."""
        async with self.pool.acquire() as connection:
            yield Look(connection)

    def note(self, kind: str, **about: Any) -> None:
        """A line of the record."""
        self._record.note(kind, self._clock.now(), **about)


@asynccontextmanager
async def database(url: str, size: int, record: Record, clock: Clock) -> AsyncIterator[Store]:
    """A schema of its own in the database of that address, which is gone when the block ends. Raises Missing."""
    schema = f"shop_{uuid4().hex[:12]}"
    settings = {"search_path": schema}
    try:
        owner: Any = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError) as error:
        raise Missing(f"there is no PostgreSQL at {url}: {error}; correct --postgres") from error
    try:
        await owner.execute(f"CREATE SCHEMA {schema}; SET search_path TO {schema}; {_TABLES}")
        # Views are asked for while commands wait for locks.
        async with asyncpg.create_pool(url, min_size=1, max_size=size, server_settings=settings) as pool:
            yield Store(pool, record, clock)
    finally:
        await owner.execute(f"DROP SCHEMA {schema} CASCADE")
        await owner.close()
