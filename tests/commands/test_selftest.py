"""What the positive control takes for the truth."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from evload.commands.selftest import compare
from evload.model.correlation import CorrelationIds
from evload.model.facts import LEDGER_KEYS
from evload.model.states import State
from evload.model.travel import Observation
from evload.run.directory import RunDirectory
from evload.sandbox.truth import Truth, TruthFile
from tests.rigs.ledgers import begun

MS = 1_000_000
IDS = CorrelationIds.for_run("r-1")


@pytest.mark.parametrize(
    ("acked_ms", "planted"),
    [
        # Three of a key are sent 10 ms after one another and applied in the order 2, 1, 3.
        ((5, 15, 25), 1),
        ((10, 15, 25), 1),
        # The first was still on its way to the broker when the second was sent: either order is right.
        ((11, 15, 25), 0),
    ],
)
def test_only_what_was_acked_before_another_was_sent_can_be_out_of_order(
    tmp_path: Path, acked_ms: tuple[int, ...], planted: int
) -> None:
    directory = RunDirectory(tmp_path)
    events = [
        Observation(
            seq, 0, 0, State.VISIBLE, seq * 10 * MS, "k", seq * 10 * MS, acked * MS, True, None, 500 * MS, None,
            500 * MS, 900 * MS,
        )
        for seq, acked in enumerate(acked_ms)
    ]  # fmt: skip
    ledger = begun(directory.ledger, 0, {"run_id": "r-1", "plan": [{}]}, threaded=False)
    ledger.append(events)
    ledger.close()
    with TruthFile(directory.truth, wall_ns=0, monotonic_ns=0) as truths:
        truths.write(
            Truth(IDS.id_of(seq), "k", 0, 0, 0, {"r1": 400 * MS}, (), False, 1, False, position)
            for seq, position in enumerate((2, 1, 3))
        )
    ledger_counts = {**dict.fromkeys(LEDGER_KEYS, 0), "acked": 3, "visible": 3, "out_of_order": planted}
    percentiles = dict.fromkeys(("p50", "p90", "p95", "p99"), (0.3, 0.5))
    summary = {"ledger": ledger_counts, "distributions": {"consistency": percentiles}}
    directory.summary.write_bytes(orjson.dumps(summary))
    assert {one.name: (one.planted, one.agrees) for one in compare(directory)}["out of order"] == (str(planted), True)
