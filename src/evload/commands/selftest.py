"""The positive control: faults planted in the embedded pipeline must be found, all of them and no others.

A run against the sandbox is held against the truth that the sandbox kept on the same clock: counts must be
equal, every event's bracket must contain the moment it became visible, and the brackets of the percentiles
those of the planted times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.load import load_text
from ..ledger.reader import LedgerReader
from ..model.correlation import CorrelationIds
from ..model.facts import PERCENTILES
from ..model.progress import Progress
from ..model.report import Report
from ..model.travel import Observation
from ..run import session
from ..run.directory import RunDirectory
from ..sandbox.truth import Truth, read_truth
from ..sinks.console.sink import ConsoleSink
from ..stats.histogram import rank_of
from ..units import NS_PER_S, format_duration

_INVALID: Final = 5

_CONFIG: Final = """
name: selftest
seed: 1
sandbox:
  seed: 7
  workers: 8
  service: 2ms
  visibility: {lognormal: {median: 150ms, p99: 900ms}}
  loss: 0.5%
  duplicates: {share: 1%, after: 100ms}
  swaps: 1%
  regressions: {share: 0.5%, after: 300ms, lasting: {uniform: {from: 1s, to: 2s}}}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  planted:
    type: planted
    source: /evload/selftest
    key: "{data.group}"
    data: {group: "{int:1..50}"}
probes:
  read-model:
    kind: http
    url: "{sandbox}/items/query"
    ids: {in: body, at: ids}
    items: body.items
    replica: body.replica
    effects: item.effects
    position: item.position
    deadline: 6s
    confirm: {reads: 8, over: 4s}
scenarios:
  control:
    producer: broker
    events: {planted: 1}
    probes: [read-model]
    load: [{rate: 300/s, for: 8s}]
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure: what was planted, what was measured, and whether they agree."""

    name: str
    planted: str
    measured: str
    agrees: bool


def run(console: Console, *, out: Path | None = None, quiet: bool = False) -> int:
    """Run the control, print the comparison, and return the exit code: 0, or 5 if anything disagrees."""
    sink = ConsoleSink(console, quiet=quiet)
    loaded = load_text(_CONFIG, "selftest", base_dir=Path(), environ={})
    with tempfile.TemporaryDirectory() as scratch:
        ended = session.run(loaded, out=out or Path(scratch) / "run", sinks=[_ProgressOnly(sink)], say=console.print)
        if ended.exit_code == session.INTERRUPTED:
            return ended.exit_code
        comparisons = compare(ended.directory)
    agrees = all(comparison.agrees for comparison in comparisons)
    if not quiet:
        console.print(_table(comparisons))
    verdict = Text("PASS", style="bold green") if agrees else Text("INVALID", style="bold magenta")
    verdict.append("  selftest: ", style="default")
    verdict.append("the planted truth was recovered" if agrees else "the measurement disagrees with the truth")
    console.print(verdict, highlight=False)
    return 0 if agrees else _INVALID


def compare(directory: RunDirectory) -> list[Comparison]:
    """Hold a run against the sandbox's truth beside it.

    Raises UsageError if the directory has no ledger, or no truth because the run had no sandbox.
    """
    found = _evidence(directory)
    return [Comparison(name, *compared(found)) for name, compared in _CHECKS]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What was measured, beside what was planted.

    pairs    each event of the run, with the truth about it if it arrived
    arrived  the ids of the events that the sandbox has seen; `acked`: of those that it accepted
    """

    pairs: Sequence[tuple[Observation, Truth | None]]
    truths: Sequence[Truth]
    arrived: AbstractSet[str]
    acked: AbstractSet[str]
    start_ns: int
    ledger: Mapping[str, int]
    consistency: Mapping[str, Sequence[float | None]]


def _evidence(directory: RunDirectory) -> _Evidence:
    truths = {truth.correlation_id: truth for truth in read_truth(directory.truth)}
    with LedgerReader(directory.ledger) as reader:
        ids = CorrelationIds.for_run(reader.meta["run_id"])
        start_ns = int(reader.meta["start_ns"])
        rows = [seen for scenario in range(len(reader.meta["plan"])) for seen in reader.observations(scenario)]
    summary = orjson.loads(directory.summary.read_bytes())
    return _Evidence(
        [(seen, truths.get(ids.id_of(seen.seq))) for seen in rows],
        [*truths.values()],
        truths.keys() & {ids.id_of(seen.seq) for seen in rows},
        {ids.id_of(seen.seq) for seen in rows if seen.acked_ns is not None},
        start_ns,
        summary["ledger"],
        summary["distributions"]["consistency"],
    )


_Compared = tuple[str, str, bool]
"""What was planted, what was measured, and whether they agree."""


def _accepted(found: _Evidence) -> _Compared:
    planted, measured, agrees = _same(len(found.arrived), found.ledger["acked"])
    return planted, measured, agrees and found.acked == found.arrived


def _counted(key: str, planted: Callable[[Truth], bool]) -> Callable[[_Evidence], _Compared]:
    """A count of the ledger against the events of which something is true."""
    return lambda found: _same(sum(planted(truth) for truth in found.truths), found.ledger[key])


def _out_of_order(found: _Evidence) -> _Compared:
    """Events applied after one of their key that was sent when they had been acked: those planted, and those that
    overtook each other behind the broker."""
    lines: dict[tuple[int, str], list[tuple[int, int, int | None, int]]] = {}
    for seen, truth in found.pairs:
        if truth is not None and truth.position is not None and seen.key is not None and seen.sent_ns is not None:
            line = lines.setdefault((seen.scenario, seen.key), [])
            line.append((seen.sent_ns, seen.seq, seen.acked_ns, truth.position))
    late = 0
    for line in lines.values():
        line.sort()
        for number, (_, _, acked_ns, position) in enumerate(line, 1):
            if acked_ns is not None:
                late += any(sent_ns >= acked_ns and place < position for sent_ns, _, _, place in line[number:])
    return _same(late, found.ledger["out_of_order"])


def _brackets(found: _Evidence) -> _Compared:
    """Whether each event's bracket contains the moment it became visible for good."""
    inside = within = 0
    for seen, truth in found.pairs:
        stable = truth.stable_visible_ns if truth is not None else None
        lower = seen.sent_ns if seen.stable_lower_ns is None else seen.stable_lower_ns
        if stable is None or seen.stable_upper_ns is None or lower is None:
            continue
        inside += 1
        within += lower <= stable - found.start_ns <= seen.stable_upper_ns
    planted, measured, agrees = _same(inside, within)
    return planted, measured, agrees and inside > 0


def _percentile(name: str) -> Callable[[_Evidence], _Compared]:
    """Whether [lower, upper] in seconds contains the order statistic of the planted delays."""

    def compared(found: _Evidence) -> _Compared:
        planted = _planted_delays(found)
        true_ns = planted[rank_of(PERCENTILES[name], len(planted)) - 1] if planted else None
        low, high = found.consistency[name]
        low_ns = float("inf") if low is None else low * NS_PER_S
        high_ns = float("inf") if high is None else high * NS_PER_S
        shown = f"{_time(low_ns)} … {_time(high_ns)}"
        # The ends are whole nanoseconds, printed as seconds: half of one is lost at most.
        agrees = true_ns is not None and low_ns - 1 <= true_ns <= high_ns + 1
        return "no data" if true_ns is None else _time(true_ns), shown, agrees

    return compared


def _planted_delays(found: _Evidence) -> list[float]:
    """Nanoseconds from each ack to the moment the event was visible for good, sorted; infinite if never."""
    delays = []
    for seen, truth in found.pairs:
        if truth is None or seen.acked_ns is None:
            continue
        stable = truth.stable_visible_ns
        delays.append(float("inf") if stable is None else float(max(0, stable - found.start_ns - seen.acked_ns)))
    return sorted(delays)


def _same(planted: int, measured: int) -> _Compared:
    return f"{planted:,}", f"{measured:,}", planted == measured


def _time(ns: float) -> str:
    return "never" if ns == float("inf") else format_duration(ns)


_CHECKS: Final[Sequence[tuple[str, Callable[[_Evidence], _Compared]]]] = (
    ("accepted", _accepted),
    ("lost", _counted("lost", lambda truth: truth.lost)),
    ("duplicated", _counted("duplicated", lambda truth: truth.effects > 1)),
    ("regressions", _counted("regressions", lambda truth: bool(truth.hidden))),
    ("out of order", _out_of_order),
    ("brackets that hold", _brackets),
    ("p50 of consistency", _percentile("p50")),
    ("p90 of consistency", _percentile("p90")),
    ("p95 of consistency", _percentile("p95")),
    ("p99 of consistency", _percentile("p99")),
)
"""In the order in which they are shown. One more is a row here and its function."""


class _ProgressOnly:
    """Shows how the run goes, and leaves the end to the comparison."""

    def __init__(self, sink: ConsoleSink) -> None:
        self._sink = sink

    def progress(self, now: Progress) -> None:
        self._sink.progress(now)

    async def finish(self, report: Report) -> None:
        self._sink.close()


def _table(comparisons: Sequence[Comparison]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    table.add_column("planted", justify="right")
    table.add_column("measured", justify="right")
    table.add_column("")
    for comparison in comparisons:
        mark = Text("agrees", style="green") if comparison.agrees else Text("disagrees", style="bold red")
        table.add_row(comparison.name, comparison.planted, comparison.measured, mark)
    return table
