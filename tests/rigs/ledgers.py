"""Ledger files for tests: begun at once, and read back with all that is worked out from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evload.ledger.reader import LedgerReader
from evload.ledger.replay import Rebuilt, rebuild
from evload.ledger.work_out import work_out
from evload.ledger.writer import LedgerFile


def begun(path: Path, start_ns: int, meta: Mapping[str, Any], *, threaded: bool = True) -> LedgerFile:
    """A ledger whose schedule began at `start_ns`."""
    ledger = LedgerFile(path, meta, threaded=threaded)
    ledger.begin(start_ns, datetime(2026, 1, 31, tzinfo=UTC))
    return ledger


def read_back(path: Path) -> Rebuilt:
    """The run in a ledger file, as `evload report` sees it."""
    with LedgerReader(path) as reader:
        rebuilt = rebuild(reader)
        work_out(rebuilt.summary, reader, rebuilt.criteria)
        return rebuilt
