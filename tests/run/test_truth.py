"""The measurement of real runs against the truth that the embedded pipeline kept on the same clock."""

from __future__ import annotations

from pathlib import Path

from evload.commands import selftest as positive_control
from evload.ledger.reader import LedgerReader
from evload.model.correlation import CorrelationIds
from evload.run.directory import RunDirectory
from evload.sandbox.truth import read_truth
from tests.rigs.commands import assert_closes, evload, summary_of
from tests.rigs.pipelines import LENIENT

PLANTED = """\
name: planted
sandbox:
  seed: 7
  workers: 8
  service: 2ms
  visibility: {lognormal: {median: 150ms, p99: 900ms}}
"""
REST = (
    """
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  planted: {type: planted, source: /tests, key: "{int:1..50}"}
probes:
  read-model:
    kind: http
    url: "{sandbox}/items/query"
    ids: {in: body, at: ids}
    items: body.items
    replica: body.replica
    effects: item.effects
    position: item.position
    deadline: 8s
    confirm: {reads: 10, over: 5s}
scenarios:
  control:
    producer: broker
    events: {planted: 1}
    probes: [read-model]
    load: [{rate: 300/s, for: 15s}]
slos: [errors == 0]
"""
    + LENIENT
    + "reports: {}\n"
)
FAULTS = """\
  loss: 0.5%
  duplicates: {share: 0.3%, after: 100ms}
  regressions: {share: 0.2%, after: 300ms, lasting: {uniform: {from: 2s, to: 3s}}}
"""
REPLICAS = "  replicas: [{name: a, lag: 100ms}, {name: b, lag: 100ms}, {name: c, lag: 2s}]\n"


def measured(config: str, cwd: Path, *options: str) -> RunDirectory:
    """The directory of a run of this config, which closed its books."""
    (cwd / "planted.yaml").write_text(config)
    ended = evload("run", "planted.yaml", "--out", "out", *options, cwd=cwd)
    assert ended.code == 0, ended
    assert_closes(summary_of(cwd / "out"))
    return RunDirectory(cwd / "out")


def test_planted_faults_are_counted_exactly_and_brackets_hold(tmp_path: Path) -> None:
    run = measured(PLANTED + FAULTS + REST, tmp_path)
    compared = {comparison.name: comparison for comparison in positive_control.compare(run)}
    assert {name for name, comparison in compared.items() if not comparison.agrees} == set()
    assert compared["accepted"].measured == "4,500"
    # A control that planted nothing would agree with a tool that sees nothing.
    assert all(compared[name].planted != "0" for name in ("lost", "duplicated", "regressions"))
    for name, comparison in compared.items():
        print(f"{name}: planted {comparison.planted}, measured {comparison.measured}")


def test_consistency_is_that_of_the_slowest_replica_and_first_seen_that_of_the_first(tmp_path: Path) -> None:
    run = measured(PLANTED + REPLICAS + REST, tmp_path, "--set", "scenarios.control.load=[{rate: 100/s, for: 3s}]")
    assert [comparison.name for comparison in positive_control.compare(run) if not comparison.agrees] == []

    truths = {truth.correlation_id: truth for truth in read_truth(run.truth)}
    with LedgerReader(run.ledger) as reader:
        ids, start_ns = CorrelationIds.for_run(reader.meta["run_id"]), int(reader.meta["start_ns"])
        acked_ns = {ids.id_of(seen.seq): seen.acked_ns for seen in reader.observations(0)}
    first, slowest = [], []
    for correlation_id, acked in acked_ns.items():
        truth = truths[correlation_id]
        assert acked is not None
        assert truth.first_visible_ns is not None
        assert truth.stable_visible_ns is not None
        first.append((truth.first_visible_ns - start_ns - acked) / 1e9)
        slowest.append((truth.stable_visible_ns - start_ns - acked) / 1e9)
    middle = len(first) // 2 - 1
    distributions = summary_of(run.path)["distributions"]
    for metric, planted in (("first_seen", sorted(first)[middle]), ("consistency", sorted(slowest)[middle])):
        low, high = distributions[metric]["p50"]
        print(f"{metric}: planted {planted:.4f}, measured {low:.4f} … {high:.4f}")
        assert low <= planted <= high
    assert sorted(slowest)[middle] > sorted(first)[middle] + 1.8
    assert distributions["first_seen"]["p50"][1] < distributions["consistency"]["p50"][0]
