"""How long the reads themselves took: of whole runs in virtual time, and read back from their ledgers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evload.formats import csv as tables
from evload.formats.markdown import markdown
from evload.model.summary import Distribution, Summary
from evload.report.document import document
from evload.sandbox.delay import parse_delay
from evload.stats.histogram import coarse
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.rigs.ledgers import read_back

MS = 1_000_000
OF_FIVE = (4_980_736, 5_013_503)
"""The bucket that five milliseconds are in."""


def asked(path: Path | None = None, *, broken: float = 0.0, bulk: int = 500) -> Simulated:
    """25 seconds of a read model whose answers take five milliseconds each."""
    memory = MemoryWorld(answer=parse_delay("5ms"), broken_reads=broken)
    load = ({"rate": "10/s", "for": "25s"},)
    return Simulation(memory, load=load, probe={"bulk": bulk, "deadline": "9s"}, ledger_path=path).run()


@pytest.mark.parametrize("bulk", [500, 1])
def test_a_run_tells_how_long_its_requests_took_and_its_ledger_tells_the_same(tmp_path: Path, bulk: int) -> None:
    path = tmp_path / "events.sqlite"
    run = asked(path, bulk=bulk)
    took, vitals = run.summary.reads["memory"], run.summary.vitals
    assert took.count == vitals.read_requests == vitals.probes["memory"].requests > 100
    assert set(took.figures().values()) == {OF_FIVE}
    assert read_back(path).summary.reads == run.summary.reads
    with sqlite3.connect(path) as ledger:
        times = ledger.execute("SELECT round(at_ns / 1e9), took_ns, answered FROM read_times").fetchall()
    assert {row[1:] for row in times} == {(OF_FIVE[0], 1)}
    assert [at for at, *_ in times][:2] == [10, 20], "a row for each ten seconds and bucket"


def test_requests_that_fail_have_no_upper_end() -> None:
    run = asked(broken=0.2)
    took, reads = run.summary.reads["memory"], run.summary.vitals.probes["memory"]
    assert (took.count, took.censored) == (reads.requests, reads.failed)
    assert 0.1 < reads.failed / reads.requests < 0.3
    assert (took.minimum, took.mean[1], took.maximum[1]) == (OF_FIVE, None, None)
    assert took.figures()["p50"] == OF_FIVE
    assert took.figures()["p99"] == (OF_FIVE[0], None)


def test_reports_show_it() -> None:
    report = asked().report
    requests = report.summary.vitals.read_requests
    latency = document(report)["reads"]["probes"]["memory"]["latency"]
    assert (latency["count"], latency["censored"], latency["p99"]) == (requests, 0, [0.004980736, 0.005013503])
    rows = tables.percentiles(report).decode().splitlines()
    assert f",probe=memory,read,p50,0.004980736,0.005013503,{requests},0" in rows
    assert f"| memory | {' | '.join(['4.98 … 5.01 ms'] * 8)} | {requests:,} | 0 |" in markdown(report).splitlines()


def test_what_probes_of_two_parts_took_adds_up() -> None:
    one, other = Summary(), Summary()
    for summary, low in ((one, 5), (other, 7)):
        summary.reads["a"] = Distribution()
        summary.reads["a"].lower.record(low, 3)
        summary.reads["a"].upper.record(low + 1, 3)
    one.merge(other)
    assert (one.reads["a"].count, one.reads["a"].mean, one.reads["a"].maximum) == (6, (6, 7), (7, 8))
    assert other.reads["a"].count == 3


def test_a_ledger_without_these_times_is_read(tmp_path: Path) -> None:
    """Older ones have no such table."""
    path = tmp_path / "events.sqlite"
    run = asked(path)
    with sqlite3.connect(path) as ledger:
        ledger.execute("DROP TABLE read_times")
    found = read_back(path).summary
    assert found.reads == {}
    assert found.scenarios == run.summary.scenarios


def test_buckets_are_narrow_and_without_gaps() -> None:
    edges = [coarse(value) for value in range(2_000)]
    assert edges[255] == (255, 255)
    assert (edges[256], edges[257], edges[258]) == ((256, 257), (256, 257), (258, 259))
    for value, (low, high) in enumerate(edges):
        assert low <= value <= high
        assert coarse(low) == coarse(high) == (low, high)
        assert high - low <= 0.008 * low
