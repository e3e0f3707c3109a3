"""Prometheus text through its own parser, and a scrape while a run goes on."""

from __future__ import annotations

import asyncio
import math
import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evload.errors import TargetError
from evload.formats import measures
from evload.formats.prometheus import text
from evload.model.facts import LEDGER_KEYS
from evload.sinks.prometheus.scrape import scraped
from tests.rigs.sink_reports import NASTY, finished, moment, without_anything

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(content: bytes) -> Samples:
    """Every sample by its name and labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(content.decode()):
        assert family.documentation
        for sample in family.samples:
            about = (sample.name, frozenset(sample.labels.items()))
            assert about not in found
            found[about] = sample.value
    return found


def value(samples: Samples, name: str, /, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_the_finished_run() -> None:
    found = parsed(text(measures.of_report(finished())))
    assert value(found, "evload_run_info", run_id="20260131-120000-4f1c", name=NASTY, verdict="fail") == 1
    assert value(found, "evload_duration_seconds") == 61.2
    assert value(found, "evload_started_timestamp_seconds") == finished().started_at.timestamp()
    assert value(found, "evload_reads_total") == 412
    assert value(found, "evload_events_total", state="scheduled", scenario="") == 150
    assert value(found, "evload_events_total", state="lost", scenario=NASTY) == 1
    assert value(found, "evload_events_total", state="lost", scenario="calm") == 0


@pytest.mark.parametrize(("quantile", "low", "high"), [("0.5", 0.1, 0.11), ("0.99", 2, 2.2), ("0.999", 6, math.inf)])
def test_percentiles_with_both_bounds(quantile: str, low: float, high: float) -> None:
    found = parsed(text(measures.of_report(finished())))
    for bound, expected in (("lower", low), ("upper", high)):
        for part in ("", "replica=b"):
            labels = {"quantile": quantile, "bound": bound, "scenario": NASTY, "slice": part}
            assert value(found, "evload_consistency_seconds", **labels) == pytest.approx(expected, rel=1e-3)
    assert value(found, "evload_consistency_events", scenario=NASTY, slice="") == 100
    assert value(found, "evload_consistency_never_seen_events", scenario=NASTY, slice="") == 1


def test_gauges_objectives_and_checks() -> None:
    found = parsed(text(measures.of_report(finished())))
    depth = {"gauge": "work|queue", "value": "queue_depth"}
    assert [value(found, "evload_gauge", **depth, statistic=s) for s in ("min", "mean", "max", "last")] == [
        5,
        8,
        12,
        7,
    ]
    assert value(found, "evload_gauge_failed_samples_total", gauge="work|queue") == 1
    assert value(found, "evload_queue_lag_seconds", gauge="work|queue", quantile="0.5", bound="upper") == 2
    about = {"objective": "p99.9(end_to_end) < 5s", "scenario": "", "slice": "replica=b"}
    assert value(found, "evload_objective_result", **about, result="inconclusive") == 1
    assert value(found, "evload_objective_limit", **about) == 5
    assert value(found, "evload_objective_observed", **about, bound="lower") == 2
    assert ("evload_objective_observed", frozenset({**about, "bound": "upper"}.items())) not in found
    assert value(found, "evload_self_check_result", check="lateness", result="invalid") == 1


def test_an_empty_run_has_its_counters() -> None:
    found = parsed(text(measures.of_report(without_anything())))
    counted = {dict(labels)["state"] for name, labels in found if name == "evload_events_total"}
    assert counted == set(LEDGER_KEYS)


def test_scraping_while_the_run_goes_on() -> None:
    async def main() -> list[Samples]:
        found = []
        async with scraped("127.0.0.1", 0) as (sink, address):
            found.append(parsed(await asyncio.to_thread(scrape, address)))
            sink.progress(moment())
            found.append(parsed(await asyncio.to_thread(scrape, address)))
            await sink.finish(finished())
            found.append(parsed(await asyncio.to_thread(scrape, address)))
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(scrape, address)
        return found

    before, during, after = asyncio.run(main())
    assert before == {}
    assert value(during, "evload_elapsed_seconds") == 5
    assert value(during, "evload_achieved_rate") == 99.5
    assert value(during, "evload_events_total", state="visible", scenario="") == 460
    assert value(during, "evload_events_total", state="lost", scenario="") == 0
    labels = {"quantile": "0.99", "scenario": "", "slice": ""}
    assert value(during, "evload_consistency_seconds", **labels, bound="lower") == 2
    assert math.isinf(value(during, "evload_consistency_seconds", **labels, bound="upper"))
    assert value(after, "evload_events_total", state="lost", scenario="") == 1


def scrape(address: str) -> bytes:
    with urlopen(address, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def test_an_address_that_is_taken() -> None:
    async def main(port: int) -> None:
        async with scraped("127.0.0.1", port):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TargetError, match=f"can't listen on 127.0.0.1:{port}: address already in use; choose"):
            asyncio.run(main(port))
