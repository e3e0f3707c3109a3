"""What there is to know of the connections of a run: in its summary, its reports and on the terminal."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic import TypeAdapter

from evload.gauges.http_json.settings import HttpJsonGaugeSettings
from evload.gauges.rabbitmq_queue.settings import RabbitmqQueueGaugeSettings
from evload.gauges.redis_group.settings import RedisGroupSettings
from evload.probes.http.settings import HttpProbeSettings
from evload.probes.http_feed.settings import HttpFeedSettings
from evload.probes.rabbitmq_tap.settings import RabbitmqTapSettings
from evload.probes.redis.settings import RedisProbeSettings
from evload.probes.redis_stream_tap.settings import RedisStreamTapSettings
from evload.probes.sse.settings import SseProbeSettings
from evload.producers.http.settings import HttpProducerSettings
from evload.producers.rabbitmq.settings import RabbitmqProducerSettings
from evload.producers.redis_stream.settings import RedisStreamProducerSettings
from tests.rigs.commands import Ended, evload, summary_of
from tests.servers.httpserver import answer, json_answer, serving

UNCHECKED: Final = "nobody checks the certificate of "
AMQP: Final = {"url": "amqps://u:secret@host/v"}
SETTINGS: Final[dict[str, tuple[Any, dict[str, Any], list[str]]]] = {
    "http producer": (HttpProducerSettings, {"kind": "http", "url": "https://u:secret@host/x?token=secret"},
                      ["https://host/x"]),
    "http probe": (HttpProbeSettings, {"kind": "http", "url": "https://host/{correlation_id}"},
                   ["https://host/{correlation_id}"]),
    "feed": (HttpFeedSettings, {"kind": "http-feed", "url": "https://host/{cursor}", "items": "body",
                                "next": "body.n"}, ["https://host/{cursor}"]),
    "sse": (SseProbeSettings, {"kind": "sse", "url": "https://host/"}, ["https://host/"]),
    "gauge": (HttpJsonGaugeSettings, {"kind": "http-json", "url": "https://host/", "value": "body"}, ["https://host/"]),
    "rabbitmq producer": (RabbitmqProducerSettings, {"kind": "rabbitmq", "exchange": "x", **AMQP}, ["amqps://host/v"]),
    "tap": (RabbitmqTapSettings, {"kind": "rabbitmq-tap", "exchange": "x", **AMQP}, ["amqps://host/v"]),
    "queue": (RabbitmqQueueGaugeSettings, {"kind": "rabbitmq-queue", "queue": "q", **AMQP,
                                           "management": "https://host:15671"},
              ["amqps://host/v", "https://host:15671/"]),
}  # fmt: skip


def test_a_redis_that_nobody_checks_is_a_remark() -> None:
    def remarks(url: str) -> list[str]:
        settings = {"kind": "redis", "url": url, "key": "seen:{correlation_id}"}
        return list(RedisProbeSettings.model_validate(settings).remarks)

    assert remarks("rediss://u:secret@host/0?ssl_cert_reqs=none") == [f"{UNCHECKED}rediss://host/0"]
    assert remarks("rediss://u:secret@host/0") == remarks("rediss://host?ssl_cert_reqs=required") == []
    assert remarks("redis://host/0?ssl_cert_reqs=none") == []
    for model, settings in (
        (RedisStreamProducerSettings, {"kind": "redis-stream"}),
        (RedisStreamTapSettings, {"kind": "redis-stream-tap"}),
        (RedisGroupSettings, {"kind": "redis-group", "group": "g"}),
    ):  # fmt: skip
        settings |= {"url": "rediss://u:secret@host/0?ssl_cert_reqs=none", "stream": "s"}
        assert [*model.model_validate(settings).remarks] == [f"{UNCHECKED}rediss://host/0"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_certificate_that_nobody_checks_is_a_remark(name: str) -> None:
    model, written, shown = SETTINGS[name]
    read = TypeAdapter(model).validate_python
    assert list(read({**written, "verify": False}).remarks) == [UNCHECKED + one for one in shown]
    assert list(read(written).remarks) == []
    plain = {key: text.replace("https:", "http:").replace("amqps:", "amqp:") for key, text in written.items()}
    assert list(read({**plain, "verify": False}).remarks) == [], "there is no certificate to check"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> tuple[Path, Ended]:
    """A run of two targets whose certificates nobody checks, and of one whose certificate is checked."""
    directory = tmp_path_factory.mktemp("remarks")

    def config(url: str) -> dict[str, Any]:
        probe = {"kind": "http", "url": f"{url}/{{correlation_id}}", "visible": "body.done", "confirm": {"reads": 0}}
        return {
            "producers": {"p": {"kind": "http", "url": f"{url}/events", "verify": False}},
            "events": {"e": {"type": "t", "source": "/tests"}},
            "probes": {"careless": {**probe, "verify": False}, "careful": {**probe, "ca_file": str(certificate)}},
            "scenarios": {"s": {"producer": "p", "events": ["e"], "probes": ["careless", "careful"],
                                "load": [{"rate": "10/s", "for": "1s"}]}},
            "reports": {"page": {"kind": "html"}, "text": {"kind": "markdown"}},
        }  # fmt: skip

    async def main() -> Ended:
        def script(request: Any) -> list[Any]:
            return [answer(202) if request.method == "POST" else json_answer(b'{"done": true}')]

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        async with serving(script, tls) as server:
            (directory / "c.yaml").write_text(yaml.safe_dump(config(server.url)))
            return await asyncio.to_thread(evload, "run", "c.yaml", "--out", "out", cwd=directory)

    return directory, asyncio.run(main())


def test_a_run_says_whose_certificates_nobody_checked(told: tuple[Path, Ended]) -> None:
    directory, ended = told
    summary = summary_of(directory / "out")
    assert [one.partition(UNCHECKED)[0] for one in summary["remarks"]] == ["probe careless: ", "producer p: "]
    said = " ".join(ended.out.split())
    page, text = (directory / "out/report.html").read_text(), (directory / "out/report.md").read_text()
    for source in ("Producer p", "Probe careless"):
        assert f"{source}: {UNCHECKED}https://127.0.0.1:" in said
        assert f"{source}: {UNCHECKED}https://127.0.0.1:" in page
        assert f"{source}: {UNCHECKED}" in text
    assert "robe careful: " not in page + text + said


def test_it_is_the_same_from_the_ledger(told: tuple[Path, Ended]) -> None:
    directory, _ = told
    again = evload("report", "out", "--format", "json", cwd=directory)
    assert json.loads(again.out)["remarks"] == summary_of(directory / "out")["remarks"]


def test_doctor_says_it_before_the_run(told: tuple[Path, Ended]) -> None:
    """Though nobody is there any more."""
    directory, _ = told
    said = " ".join(evload("doctor", "c.yaml", cwd=directory).out.split())
    assert f"producer p note {UNCHECKED}https://127.0.0.1:" in said
    assert f"probe careless note {UNCHECKED}https://127.0.0.1:" in said
    assert "probe careful note" not in said
