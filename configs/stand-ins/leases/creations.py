"""What is created once for each idempotency key: leases, and payments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiohttp import web

from leases.knobs import LeaseKnobs
from leases.ledgers import Entry, Ledgers
from leases.pool import Pool
from stand_in.clock import Clock
from stand_in.record import Record
from stand_in.web import Unusable


@dataclass(slots=True)
class Created:
    """A lease or a payment. It can be read once its first entry is applied, from when on it is `active`.

    reference  the correlation id of who created it
    """

    id: str
    reference: str
    data: Mapping[str, Any]
    active: bool = False

    def shown(self) -> dict[str, Any]:
        """As it is answered."""
        status = "active" if self.active else "pending"
        return {"id": self.id, "reference": self.reference, "status": status, **self.data}


class Creations:
    """All of one kind. Each begins a ledger of its own, which is called as it is."""

    def __init__(
        self, kind: str, knobs: LeaseKnobs, clock: Clock, record: Record, pool: Pool, ledgers: Ledgers
    ) -> None:
        self._kind, self._knobs, self._clock, self._record = kind, knobs, clock, record
        self._pool, self._ledgers = pool, ledgers
        self._of_key: dict[str, Created] = {}
        self._all: dict[str, Created] = {}
        self._of_reference: dict[str, list[Created]] = {}
        self._newest: list[Created] = []

    def find(self, name: str) -> Created:
        """The one of that id. Raises Unusable."""
        found = self._all.get(name)
        if found is None or not found.active:
            raise Unusable(f"there is no such {self._kind} (yet)", status=404)
        return found

    def of_reference(self, references: list[str]) -> list[Created]:
        """Those that were created with these correlation ids: more than one of an id, where it has more."""
        return [one for name in references for one in self._of_reference.get(name, []) if one.active]

    def newest(self, limit: int) -> list[Created]:
        """The last ones, the newest first."""
        return self._newest[: -limit - 1 : -1]

    async def create(self, request: web.Request, data: Mapping[str, Any]) -> web.Response:
        """201 with what was created; 200 with what was, where the key is known. Raises Unusable."""
        key = request.headers.get("Idempotency-Key")
        if not key:
            raise Unusable("there is no Idempotency-Key; write a header with one for each creation", status=400)
        known = self._of_key.get(key) if self._knobs.idempotent else None
        if known is not None:
            async with self._pool.connection(self._knobs.read_ms):
                self._record.note("replayed", self._clock.now(), id=known.reference, key=key)
                return web.json_response(known.shown(), headers={"Idempotent-Replayed": "true"})
        created = Created(f"{self._kind}-{uuid4()}", request.headers.get("X-Correlation-ID", ""), data)
        if not self._knobs.racy:
            # At once: the next request with this key may come while this one waits.
            self._of_key[key] = created
        try:
            async with self._pool.connection(self._knobs.create_ms):
                self._of_key[key] = created
                self._all[created.id] = created
                self._of_reference.setdefault(created.reference, []).append(created)
                self._ledgers.append(Entry(created.reference, created.id, f"{self._kind}.created", data))
                return web.json_response(created.shown(), status=201)
        except Unusable:
            self._of_key.pop(key, None)
            raise

    def applied(self, entry: Entry) -> None:
        """The ledger has an entry."""
        created = self._all.get(entry.ledger)
        if created is not None and not created.active:
            created.active = True
            self._newest.append(created)
