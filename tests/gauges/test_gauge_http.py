"""The gauges on HTTP: numbers in JSON and Prometheus metrics, and one line about everything that isn't one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.http_json import HttpJsonGaugeConfig
from evload.gauges.prometheus import PrometheusGaugeConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import GaugeSettings, Sample
from evload.testing import check_gauge
from tests.servers.httpserver import Request, Script, Step, always, answer, json_answer, serving

GOOD_JSON = json_answer(
    b'{"depth": 7, "workers": [{"busy": 2}, {"busy": 3}], "rate": 1.5, "name": "q"}', 200, "X-N: 9"
)
GOOD_TEXT = answer(
    200,
    b"# HELP queue_depth Messages\n# TYPE queue_depth gauge\n"
    b'queue_depth{queue="a",host="1"} 5\nqueue_depth{queue="a",host="2"} 7\nqueue_depth{queue="b",host="1"} 100\n'
    b"queue_depth_max 1e6\nup 1\nnothing NaN\n# TYPE seen counter\n# TYPE slow histogram\n"
    b'slow_bucket{le="0.1"} 3\nslow_bucket{le="+Inf"} 4\nslow_sum 2.5\nslow_count 4\n',
)


def json_gauge(url: str, **settings: Any) -> HttpJsonGaugeConfig:
    source = {} if "values" in settings else {"value": "body.depth"}
    return HttpJsonGaugeConfig.model_validate({"kind": "http-json", "url": url, **source, **settings})


def prometheus_gauge(url: str, **settings: Any) -> PrometheusGaugeConfig:
    return PrometheusGaugeConfig.model_validate(
        {"kind": "prometheus", "url": url, "metric": "queue_depth", **settings}
    )


def one_sample(make: Any, script: Script, **settings: Any) -> Sample:
    async def run() -> Sample:
        async with serving(script) as server, opened(make(f"{server.url}/m", **settings)) as gauge:
            sample: Sample = await gauge.sample()
            return sample

    return asyncio.run(run())


def opened(settings: GaugeSettings, base_dir: Path = Path()) -> Any:
    return settings.open(Surroundings(SystemClock(), "r-1", base_dir))


def then(first: bytes, *later: bytes | float | Step) -> Script:
    """The first request gets one answer, all others get another."""
    asked = False

    def script(request: Request) -> Any:
        nonlocal asked
        asked, before = True, asked
        return later if before else (first,)

    return script


# --- JSON -------------------------------------------------------------------------------------------------


def test_json_values() -> None:
    assert one_sample(json_gauge, always(GOOD_JSON)) == Sample({"value": 7})
    assert one_sample(json_gauge, always(GOOD_JSON), **{"as": "queue_depth"}) == Sample({"queue_depth": 7})
    values = {
        "busy": "sum(body.workers[].busy)",
        "rate": "body.rate",
        "code": "status",
        "n": 'to_number(headers."x-n")',
    }
    assert json_gauge("http://h/", values=values).metrics == ("busy", "rate", "code", "n")
    assert one_sample(json_gauge, always(GOOD_JSON), values=values) == Sample(
        {"busy": 5, "rate": 1.5, "code": 200, "n": 9}
    )
    assert one_sample(json_gauge, always(answer(503, b"<html>")), value="status") == Sample({"value": 503})


@pytest.mark.parametrize(("length", "settings", "limit"), [(8 << 20, {}, 8 << 20), (1000, {"max_body": "1KB"}, 1000)])
def test_an_answer_has_a_limit(length: int, settings: dict[str, str], limit: int) -> None:
    """Of a gauge that is sampled every second nobody wants the megabytes of a page that it wasn't meant to ask."""
    for make, page in ((json_gauge, b'{"depth": 7}'), (prometheus_gauge, b"queue_depth 7\n")):
        good, long = (answer(200, page.rjust(size, b"\n")) for size in (length, length + 1))
        assert list(one_sample(make, always(good), **settings).values.values()) == [7]
        sample = one_sample(make, then(good, long), **settings)
        assert (dict(sample.values), sample.error) == ({}, f"HTTP 200 with a body longer than {limit} bytes")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (json_answer(b'{"depth": null}'), "HTTP 200, in which 'body.depth' is null, not a number"),
        (json_answer(b'{"depth": "7"}', 404), "HTTP 404, in which 'body.depth' is text, not a number"),
        (json_answer(b'{"depth": true}'), "is a boolean, not a number"),
        (json_answer(b'{"depth": [7]}'), "is a list, not a number"),
        (answer(500, b"<html>oops</html>"), "HTTP 500 with a body that isn't JSON: <html>oops</html>"),
        (answer(200, b'{"depth": 7'), "HTTP 200 with a body that isn't JSON"),
        (answer(204), "HTTP 204 with an empty body, not JSON"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (Step.CLOSE, "connection closed without an answer"),
        (Step.RESET, "connection reset"),
        (Step.STALL, "no answer within 1 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "no answer within 1 s"),
    ],
)
def test_json_samples_that_can_not_be_taken(reply: bytes | Step, error: str) -> None:
    sample = one_sample(json_gauge, then(GOOD_JSON, reply), timeout="1s" if "1 s" in error else "20s")
    assert dict(sample.values) == {}
    assert error in sample.error


def test_a_function_on_the_wrong_type_is_an_error_of_the_sample() -> None:
    sample = one_sample(json_gauge, then(GOOD_JSON, json_answer(b"{}")), value="length(body.workers)")
    assert sample.values == {}
    assert "length" in sample.error


# --- Prometheus -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({}, 112),
        ({"labels": {"queue": "a"}}, 12),
        ({"labels": {"queue": "a", "host": "2"}}, 7),
        ({"aggregate": "max"}, 100),
        ({"aggregate": "min"}, 5),
        ({"labels": {"queue": "a"}, "aggregate": "avg"}, 6),
        ({"metric": "slow_bucket", "labels": {"le": "+Inf"}}, 4),
        ({"metric": "queue_depth_max"}, 1e6),
    ],
)
def test_prometheus_values(settings: dict[str, Any], value: float) -> None:
    name = settings.get("metric", "queue_depth")
    assert one_sample(prometheus_gauge, always(GOOD_TEXT), **settings) == Sample({name: value})


def test_prometheus_value_under_another_name() -> None:
    settings = {"as": "backlog", "labels": {"host": "1"}}
    assert prometheus_gauge("http://h/", **settings).metrics == ("backlog",)
    assert one_sample(prometheus_gauge, always(GOOD_TEXT), **settings) == Sample({"backlog": 105})


def test_what_the_official_client_exposes() -> None:
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("orders", 'Orders "taken"\nso far', ["shop"], registry=registry)
    first = answer(200, prometheus_client.generate_latest(registry))
    counter.labels('back\\slash "quoted", and more}').inc(3)
    counter.labels("other").inc(4)
    script = then(first, answer(200, prometheus_client.generate_latest(registry)))
    labels = {"shop": 'back\\slash "quoted", and more}'}
    assert one_sample(prometheus_gauge, script, metric="orders_total", labels=labels) == Sample({"orders_total": 3})


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(200, b'queue_depth{queue="a"} NaN\n'), "queue_depth is nan"),
        (answer(200, b'queue_depth{queue="a"} +Inf\n'), "queue_depth is inf"),
        (answer(200, b'queue_depth{queue="a" 1\n'), "not Prometheus text"),
        (answer(200, b"queue_depth ten\n"), "not Prometheus text"),
        (answer(503, b"queue_depth 1\n"), "HTTP 503"),
        (answer(302, b"", "Location: /x"), "HTTP 302"),
        (Step.CLOSE, "connection closed without an answer"),
    ],
)
def test_prometheus_samples_that_can_not_be_taken(reply: bytes | Step, error: str) -> None:
    sample = one_sample(prometheus_gauge, then(GOOD_TEXT, reply), labels={"queue": "a"})
    assert dict(sample.values) == {}
    assert error in sample.error


def test_a_metric_that_is_announced_may_get_its_series_later() -> None:
    assert one_sample(prometheus_gauge, always(GOOD_TEXT), metric="seen_total") == Sample({}, missing=True)


@pytest.mark.parametrize("reply", [b"up 1\n", b'queue_depth{queue="b"} 1\n'])
def test_a_series_that_is_not_there_yet_has_no_value(reply: bytes) -> None:
    """Neither before its first value nor when it is gone."""
    script = then(answer(200, reply), GOOD_TEXT)
    assert one_sample(prometheus_gauge, script, labels={"queue": "a"}) == Sample({"queue_depth": 12})
    script = then(GOOD_TEXT, answer(200, reply))
    assert one_sample(prometheus_gauge, script, labels={"queue": "a"}) == Sample({}, missing=True)


def test_a_metric_that_is_not_there_yet_is_remarked() -> None:
    told: list[str] = []

    async def run() -> Sample:
        async with serving(then(answer(200, b"queue_dept 1\n"), GOOD_TEXT)) as server:
            surroundings = Surroundings(SystemClock(), "r-1", Path(), told.append)
            async with prometheus_gauge(server.url).open(surroundings) as gauge:
                return await gauge.sample()

    assert asyncio.run(run()) == Sample({"queue_depth": 112})
    (remark,) = told
    assert re.fullmatch(r"there is no metric queue_depth at \S+ yet, only for example queue_dept", remark)


# --- counters ---------------------------------------------------------------------------------------------


def rising(texts: Sequence[str], **settings: Any) -> list[Sample]:
    """Samples of `hits_total`, of which an objective asks how much it rises; the first text is for the opening."""
    script = iter(texts)

    async def run() -> list[Sample]:
        async with serving(lambda _: (answer(200, next(script).encode()),)) as server:
            surroundings = Surroundings(SystemClock(), "r-1", Path(), rises=frozenset({"hits_total"}))
            async with prometheus_gauge(server.url, metric="hits_total", **settings).open(surroundings) as gauge:
                return [await gauge.sample() for _ in texts[1:]]

    return asyncio.run(run())


COUNTER = "# TYPE hits_total counter\n"


def test_what_each_series_counts_stays_counted_when_it_begins_anew_or_goes() -> None:
    """A sum of raw values would fall when a pod dies, and then jump by all that the others ever counted."""
    texts = [
        COUNTER,
        COUNTER + 'hits_total{pod="a"} 100\nhits_total{pod="b"} 50\n',
        COUNTER + 'hits_total{pod="a"} 101\n',
        COUNTER + 'hits_total{pod="a"} 2\nhits_total{pod="c"} 1\n',
    ]
    assert [dict(sample.values) for sample in rising(texts)] == [
        {"hits_total": 150}, {"hits_total": 151}, {"hits_total": 154},
    ]  # fmt: skip
    largest = rising(texts, aggregate="max")
    assert [dict(sample.values) for sample in largest] == [
        {"hits_total": 100}, {"hits_total": 101}, {"hits_total": 103},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind"),
    [("# TYPE hits_total gauge\nhits_total 5\n", "gauge"), ("hits_total 5\n", "metric without a type")],
    ids=["gauge", "untyped"],
)
def test_what_is_no_counter_by_its_type_can_not_rise(text: str, kind: str) -> None:
    """At once if it is there when the run begins, and later a failed sample."""
    wrong = f"hits_total is a {kind}, not a counter, so its rise says nothing"
    with pytest.raises(TargetError) as raised:
        rising([text])
    assert str(raised.value) == f"{wrong}; write counter: true if it only ever grows, or ask for its max"
    assert rising(["up 1\n", text]) == [Sample({}, wrong)]
    assert rising([text, text], counter=True) == [Sample({"hits_total": 5})]


def test_parts_of_a_histogram_are_counters_and_counters_may_be_announced_without_their_ending() -> None:
    assert rising(["# TYPE hits counter\nhits_total 5\n"] * 2) == [Sample({"hits_total": 5})]

    async def run() -> Sample:
        async with serving(always(GOOD_TEXT)) as server:
            surroundings = Surroundings(SystemClock(), "r-1", Path(), rises=frozenset({"slow_count"}))
            async with prometheus_gauge(server.url, metric="slow_count").open(surroundings) as gauge:
                return await gauge.sample()

    assert asyncio.run(run()) == Sample({"slow_count": 4})
    assert prometheus_gauge("http://h/").counters == ("queue_depth",)
    assert prometheus_gauge("http://h/", counter=False).counters == ()


# --- both -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [json_gauge, prometheus_gauge])
def test_they_conform(make: Any) -> None:
    async def run() -> None:
        async with serving(always(GOOD_JSON if make is json_gauge else GOOD_TEXT)) as server:
            samples = await check_gauge(make(server.url, every="10ms"), SystemClock())
            assert [sample.error for sample in samples] == ["", "", ""]
            assert server.connections == 1, "a connection is kept"

    asyncio.run(run())


def test_headers_and_credentials_are_sent() -> None:
    async def run() -> None:
        async with serving(always(GOOD_JSON)) as server:
            url = server.url.replace("://", "://joe:s%20p@") + "/q?x=ä"
            async with opened(json_gauge(url, headers={"X-Tenant": "t"})):
                (request,) = server.requests
                assert request.target == "/q?x=%C3%A4"
                assert request.headers["x-tenant"] == "t"
                assert request.headers["authorization"] == "Basic am9lOnMgcA=="

    asyncio.run(run())


@pytest.mark.parametrize(
    ("make", "reply", "settings", "text"),
    [
        (json_gauge, json_answer(b"{}"), {}, "is null, not a number; correct url or value"),
        (json_gauge, answer(404), {}, "no value at http://127.0.0.1"),
        (prometheus_gauge, answer(404), {}, "HTTP 404; start the endpoint, or correct url"),
        (prometheus_gauge, answer(200, b"<html></html>"), {}, "it answers with something else; correct url"),
    ],
)
def test_nothing_to_look_at(make: Any, reply: bytes, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(TargetError) as caught:
        one_sample(make, always(reply), **settings)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [json_gauge, prometheus_gauge])
def test_nobody_there(make: Any, tmp_path: Path) -> None:
    async def run(url: str, **settings: Any) -> None:
        async with opened(make(url, **settings), tmp_path):
            pass

    with pytest.raises(TargetError, match="connection refused; "):
        asyncio.run(run("http://user:secret@127.0.0.1:1/m"))
    with pytest.raises(TargetError, match="name a PEM file"):
        asyncio.run(run("https://127.0.0.1:1/m", ca_file="none.pem"))


@pytest.mark.parametrize(
    ("make", "settings", "text"),
    [
        (json_gauge, {"value": None}, "neither value nor values is given"),
        (json_gauge, {"values": {"a": "body.a"}, "value": "body.b"}, "both value and values are given"),
        (json_gauge, {"values": {"a": "body.a"}, "as": "b"}, "as names a single value"),
        (json_gauge, {"value": "body..a"}, "is not JMESPath"),
        (json_gauge, {"values": {"a": "bdy.a"}}, "did you mean 'body'?"),
        (json_gauge, {"values": {"a-b": "body.a"}}, "should match pattern"),
        (json_gauge, {"as": "consistency"}, "'consistency' is the name of a distribution"),
        (json_gauge, {"as": "queue_lag"}, "'queue_lag' is the name of a distribution"),
        (json_gauge, {"url": "http://h/{correlation_id}"}, "a gauge belongs to no event"),
        (json_gauge, {"headers": {"Host:": "x"}}, "is not a header name"),
        (json_gauge, {"every": "1ms"}, "greater than or equal to"),
        (json_gauge, {"method": "POST"}, "Extra inputs"),
        (prometheus_gauge, {"metric": "queue depth"}, "should match pattern"),
        (prometheus_gauge, {"metric": 'up{job="x"}'}, "should match pattern"),
        (prometheus_gauge, {"labels": {"a-b": "c"}}, "should match pattern"),
        (prometheus_gauge, {"labels": {"a": 7}}, "valid string"),
        (prometheus_gauge, {"aggregate": "p99"}, "'sum', 'max', 'min' or 'avg'"),
        (prometheus_gauge, {"url": "localhost:9090/metrics"}, "has no scheme"),
    ],
)
def test_bad_settings(make: Any, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make(settings.pop("url", "http://h/"), **settings)
    assert text in str(caught.value)
