"""The config for RabbitMQ runs, only shorter, against a private node and a consumer; so do bursts.

And what `evload init` writes. Those of functions run in test_functions.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from uuid import uuid4

import pytest
import yaml

from evload.config import load
from evload.config.guard import held
from evload.config.part import part_of
from evload.errors import EvloadError
from evload.run.feasibility import prospects
from evload.run.prepare import build
from evload.units import format_duration, format_rate, parse_duration, parse_rate
from tests.rigs.commands import Ended, assert_closes, assert_one_clear_line, evload, summary_of
from tests.rigs.queue_consumer import running_consumer
from tests.servers.aws_server import ENVIRONMENT, AwsServer
from tests.servers.rabbitmq_node import RabbitNode

CONFIGS: Final = Path(__file__).parents[2] / "configs"
BUILD, PARSER = "network.notifi.lambda.build.start", "network.notifi.lambda.parser.start"
PATIENT: Final = {
    "offered_rate": "warn",
    "lateness": "warn",
    "headroom": "warn",
    "resolution": "warn",
    "horizon": "warn",
}
"""A busy machine must not decide a test."""
LENIENT: Final = f"self_checks={yaml.safe_dump(PATIENT, default_flow_style=True).strip()}"


def config_of(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CONFIGS / name).read_text())
    return config


def shorter(name: str, directory: Path, *, time: int, rate: int = 1, loads: dict[str, Any] | None = None) -> Path:
    """A copy of a config in which time goes `time` times as fast, and load is divided by `rate`.

    Its objectives stay, but that latencies may be ten times as long and that there are fewer events. `loads` are
    other loads of single scenarios, where too little would be left to decide by.
    """
    config = config_of(name)
    # A merge key in the file makes scenarios that are one object here.
    config["scenarios"] = {key: dict(scenario) for key, scenario in config["scenarios"].items()}
    for key, scenario in config["scenarios"].items():
        scenario["start"] = _divided(scenario.get("start", "0s"), time)
        scenario["load"] = (loads or {}).get(key) or [_scaled(phase, time, rate) for phase in scenario["load"]]
    for probe in config["probes"].values():
        probe.update(deadline="5m", sample="100%", resolution="30%", confirm={"reads": 1, "over": "500ms"})
    config["slos"] = [_relaxed(slo, rate) for slo in config["slos"]]
    config["self_checks"] = PATIENT
    config["reports"] = {}
    path = directory / name
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _divided(duration: str, by: int) -> str:
    return format_duration(parse_duration(duration) // by).replace(" ", "")


def _scaled(phase: dict[str, Any], time: int, rate: int) -> dict[str, Any]:
    scaled = {**phase, "for": _divided(phase["for"], time)} if "for" in phase else dict(phase)
    for key in {"rate", "from", "to"} & phase.keys():
        scaled[key] = format_rate(parse_rate(phase[key]) / rate).replace(" ", "").replace(",", "")
    return scaled


def _relaxed(slo: Any, rate: int) -> Any:
    if isinstance(slo, dict):
        return {**slo, "objective": _relaxed(slo["objective"], rate), "critical": _relaxed(slo["critical"], rate)}
    slo = re.sub(r"(\d+)s\b", lambda found: f"{int(found[1]) * 10}s", slo)
    slo = re.sub(r"(\d+)/s\b", lambda found: f"{int(found[1]) / rate:g}/s", slo)
    return slo.replace("10000", "400").replace("(queue_depth) < 100", "(queue_depth) < 10000")


def run(path: Path, environment: dict[str, str]) -> dict[str, Any]:
    """The summary of a run that passes."""
    out = path.parent / "run"
    ended = evload("run", path, "--out", out, "--quiet", cwd=path.parent, env=environment)
    assert ended.code == 0, ended.said
    summary = summary_of(out)
    assert_closes(summary)
    ledger = summary["ledger"]
    assert ledger["scheduled"] == ledger["acked"] == ledger["visible"]
    assert [objective["result"] for objective in summary["objectives"]] == ["pass"] * len(summary["objectives"])
    return summary


def missing(node: RabbitNode, what: str) -> bool:
    try:
        node.management(f"/api/{what}")
    except HTTPError as error:
        return error.code == 404
    return False


# --- RabbitMQ ---------------------------------------------------------------------------------------------


@pytest.fixture
def vhost(rabbitmq: RabbitNode) -> Iterator[str]:
    """A virtual host of its own: the configs have fixed names. Yields its AMQP address."""
    name = f"configs-{uuid4().hex[:8]}"
    rabbitmq.management(f"/api/vhosts/{name}", "PUT")
    rabbitmq.management(f"/api/permissions/{name}/guest", "PUT", {"configure": ".*", "write": ".*", "read": ".*"})
    yield rabbitmq.url + name
    rabbitmq.management(f"/api/vhosts/{name}", "DELETE")


@contextmanager
def behind(
    node: RabbitNode, url: str, queue: str, key: str, exchange: str = "cloud-events"
) -> Iterator[dict[str, str]]:
    """A system that has its exchange and queue already; yields the environment in which evload finds it."""
    name = url.rpartition("/")[2]
    node.management(f"/api/exchanges/{name}/{exchange}", "PUT", {"type": "topic", "durable": True})
    node.management(f"/api/queues/{name}/{queue}", "PUT", {"durable": True})
    node.management(f"/api/bindings/{name}/e/{exchange}/q/{queue}", "POST", {"routing_key": key})
    with running_consumer(url, queue) as read_model:
        yield {"AMQP_URL": url, "EVLOAD_READ_MODEL": read_model}


def test_rabbitmq_passes_end_to_end_and_leaves_nothing_behind(
    rabbitmq: RabbitNode, vhost: str, tmp_path: Path
) -> None:
    """The consumer waits for the queue that the run declares."""
    path = shorter(
        "rabbitmq.yaml", tmp_path, time=120, loads={"baseline": [{"rate": "150/s", "for": "3s"}, {"burst": 50}]}
    )
    with running_consumer(vhost, "placements") as read_model:
        summary = run(path, {"AMQP_URL": vhost, "EVLOAD_READ_MODEL": read_model})
    assert summary["ledger"]["visible"] == 500
    assert summary["distributions"]["consumed_to_processed"]["count"] > 0
    gauges = summary["gauges"]["placements-queue"]
    assert gauges["queue_lag"]["count"] == 500
    assert gauges["queue_consumers"]["max"] == 1
    name = vhost.rpartition("/")[2]
    assert missing(rabbitmq, f"exchanges/{name}/cloud-events")
    assert missing(rabbitmq, f"queues/{name}/placements")


def test_what_init_writes_for_rabbitmq_passes(rabbitmq: RabbitNode, vhost: str, tmp_path: Path) -> None:
    """With nothing changed in it but what stands at CHANGE, and a shorter load."""
    assert evload("init", "--from", "rabbitmq", cwd=tmp_path).code == 0
    with behind(rabbitmq, vhost, "orders", "order.#", exchange="shop") as environment:
        ended = evload(
            "run", "evload.yaml", "--out", "run", "--quiet",
            "--set", f"probes.read-model.url={environment['EVLOAD_READ_MODEL']}/items/{{correlation_id}}",
            "--set", "probes.read-model.deadline=60s", "--set", "probes.read-model.confirm={reads: 1, over: 500ms}",
            "--set", "scenarios.steady.load=[{rate: 50/s, for: 2s}]", "--set", "slos.0=p95(end_to_end) < 20s",
            "--set", LENIENT, cwd=tmp_path, env=environment,
        )  # fmt: skip
    assert ended.code == 0, ended.said
    summary = summary_of(tmp_path / "run")
    assert summary["ledger"]["visible"] == 100
    assert [objective["result"] for objective in summary["objectives"]] == ["pass"] * 3


# --- what the profiles say --------------------------------------------------------------------------------

TIMELINES: Final = {
    "knative-builders.yaml": (
        372_200,
        {"baseline": "0 s", "ramp": "5 min", "spike": "20 min", "sustained": "25 min", "from-zero": "55 min"},
    ),
    "knative-parsers.yaml": (
        1_338_000,
        {
            "block-burst": "0 s", "trading": "2 min", "parser-1": "13 min", "parser-2": "13 min",
            "parser-3": "13 min", "spike": "19 min", "calm": "20 min",
        },
    ),
    "knative-endurance.yaml": (1_440_000, {"soak": "0 s"}),
    "knative-stress.yaml": (
        354_000,
        {
            "extreme-burst": "0 s", "calm": "60 s", "deletions": "6 min", "exhaustion": "11 min",
            "full-queue": "15 min",
        },
    ),
    "knative-ceiling.yaml": (90_000, {"parsing": "0 s"}),
    "http-broker.yaml": (45_120, {"steady": "0 s", "warm": "15 min", "cold-start": "16 min"}),
    "rabbitmq.yaml": (66_350, {"baseline": "0 s"}),
    "redis-streams.yaml": (66_350, {"baseline": "0 s"}),
    "videos.yaml": (
        16_215,
        {
            "baseline": "0 s", "polling": "0 s", "health": "10.5 min", "stress": "12 min", "spike": "18 min",
            "upload": "22 min",
        },
    ),
    "leases.yaml": (
        108_700,
        {
            "mixed": "1 s", "append": "5.17 min", "create-and-read": "8 min", "same-key": "10 min",
            "same-key-payments": "10 min", "event-storm": "12 min", "creations": "13 min", "amplification": "14 min",
            "post-leases": "15 min", "get-lease": "16.5 min", "attempts": "18 min", "audit": "19.5 min",
        },
    ),
    "leases-capacity.yaml": (60_000, {"creations": "0 s"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TIMELINES)
def test_the_plan_shows_the_profile_and_every_objective_can_be_decided(name: str, tmp_path: Path) -> None:
    ended = evload("plan", CONFIGS / name, cwd=tmp_path)
    assert ended.code == 0, ended.said
    events, starts = TIMELINES[name]
    assert f"{events:,} events in " in ended.out
    for scenario, start in starts.items():
        assert re.search(rf"^ *{start} .* {scenario} ", ended.out, re.MULTILINE), scenario
    assert all(prospect.decidable for prospect in prospects(load(CONFIGS / name, environ={}).config))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[lv]*s*.yaml")), ids=lambda path: path.stem)
def test_of_videos_and_leases_every_objective_can_be_decided_in_every_profile(path: Path) -> None:
    profiles = yaml.safe_load(path.read_text())["profiles"]
    for chosen in ([], *([profile] for profile in profiles)):
        # As `evload plan` has it, which says so of an objective that can't pass.
        config = part_of(load(path, profiles=chosen, environ={}), ()).config
        assert [one for one in prospects(config) if not one.decidable] == [], chosen


@pytest.mark.parametrize("name", [name for name in TIMELINES if name.startswith(("knative", "http"))])
def test_functions_are_loaded_here_and_in_a_test_cluster_and_nowhere_else(name: str, tmp_path: Path) -> None:
    for host, said in (
        ("jobs.test.example.com", ""),
        ("jobs.example.com", "jobs.example.com is outside the guard of this config, which allows localhost, "),
        ("jobs.prod.test.example.com", "denies jobs.prod.test.example.com, by *prod*"),
    ):
        environment = {"EVLOAD_READ_MODEL": f"http://{host}"}
        ended = evload("validate", CONFIGS / name, cwd=tmp_path, env=environment)
        assert ended.code == (2 if said else 0), ended.said
        assert said in ended.err


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("videos.yaml", "VIDEOS"),
        ("leases.yaml", "PAYMENTS"),
        ("leases-capacity.yaml", "AUDIT"),
        ("shop.yaml", "SHOP"),
        ("shop-races.yaml", "SHOP_METRICS"),
        ("videos-journeys.yaml", "VIDEOS"),
        ("leases-journeys.yaml", "PAYMENTS"),
        ("leases-users.yaml", "AUDIT"),
    ],
)
def test_services_are_loaded_here_and_in_a_test_environment_and_nowhere_else(name: str, variable: str) -> None:
    held(load(CONFIGS / name, environ={variable: "http://jobs.test.example.com"}), {})
    for host, said in (
        ("jobs.example.com", "jobs.example.com is outside the guard of this config, which allows localhost, "),
        ("jobs.prod.test.example.com", "denies jobs.prod.test.example.com, by *prod*"),
    ):
        with pytest.raises(EvloadError) as raised:
            held(load(CONFIGS / name, environ={variable: f"http://{host}"}), {})
        assert said in str(raised.value)


def test_an_asset_is_five_megabytes_and_prompts_are_of_many_lengths() -> None:
    plan = build(load(CONFIGS / "videos.yaml", environ={}).config, "r-1")
    scenarios = {scenario.span.name: scenario.renderer for scenario in plan.scenarios}
    (asset,) = scenarios["upload"].render([0], "2026-01-01T00:00:00.000000Z")
    assert len(asset.body) == 5_000_000
    events = scenarios["baseline"].render([0] * 60, "2026-01-01T00:00:00.000000Z")
    prompts = [yaml.safe_load(event.body) for event in events]
    assert prompts[:30] == prompts[30:]
    assert len({one["prompt"] for one in prompts}) == 30
    assert len({one["category"] for one in prompts}) == 6
    lengths = [len(one["prompt"].split()) for one in prompts]
    assert (min(lengths), max(lengths)) == (2, 59)


def test_the_mix_of_calls_follows_its_weights_and_a_storm_has_a_hundred_entries_for_each_ledger() -> None:
    plan = build(load(CONFIGS / "leases.yaml", environ={}).config, "r-1")
    scenarios = {scenario.span.name: scenario.renderer for scenario in plan.scenarios}
    mixed = scenarios["mixed"].render([0] * 4500, "2026-01-01T00:00:00.000000Z")
    calls = Counter((event.extras[1], event.extras[0]) for event in mixed)
    # Nobody has created the lease yet for which {lease} stands.
    assert {call: count / 500 for call, count in calls.items()} == pytest.approx(
        {
            ("POST", "/leases"): 3, ("GET", "/leases/{lease}"): 2, ("GET", "/leases/{lease}/history"): 2,
            ("GET", "/leases?limit=20"): 1, ("GET", "/health"): 1,
        },
        abs=0.3,
    )  # fmt: skip
    storm = scenarios["event-storm"].render([0] * 1000, "2026-01-01T00:00:00.000000Z")
    assert Counter(event.key for event in storm) == {f"storm-{number}": 100 for number in range(10)}
    assert storm[3].extras[0] == "/ledgers/r-1-storm-3/entries"


def test_build_events_follow_their_weights_and_name_their_source() -> None:
    plan = build(load(CONFIGS / "knative-builders.yaml", environ={}).config, "r-1")
    events = plan.scenarios[0].renderer.render([0] * 4000, "2026-01-01T00:00:00.000000Z")
    counts = [sum(event.type == index for event in events) / 40 for index in range(5)]
    assert counts == pytest.approx([30, 25, 20, 15, 10], abs=3)
    assert {event.extras[0] for event in events} == {BUILD}
    for event in events[:50]:
        document = yaml.safe_load(event.body)
        data = document["data"]
        assert document["source"] == f"network.notifi.parsers.{data['third_party_id']}.{data['parser_id']}"


def test_parser_events_have_the_fields_of_a_block() -> None:
    plan = build(load(CONFIGS / "knative-parsers.yaml", environ={}).config, "r-1")
    (event,) = plan.scenarios[0].renderer.render([0], "2026-01-01T00:00:00.000000Z")
    data = yaml.safe_load(event.body)["data"]
    assert data.keys() == {"contextId", "parameters"}
    assert data["parameters"].keys() == {"blockId", "blockchainType", "urlForBlob", "logIndices"}
    assert data["parameters"]["urlForBlob"].endswith(data["contextId"])
    assert all(isinstance(index, int) for index in data["parameters"]["logIndices"])


# --- bursts -----------------------------------------------------------------------------------------------


def test_a_burst_to_an_exchange_is_measured_by_delivery(rabbitmq: RabbitNode, vhost: str, tmp_path: Path) -> None:
    name = vhost.rpartition("/")[2]
    rabbitmq.management(f"/api/exchanges/{name}/direct", "PUT", {"type": "direct"})
    burst = [
        "burst", vhost, "--exchange", "direct", "--routing-key", "k", "--tap", "--rate", "100/s", "--for", "1s",
        "--slo", "p95(consistency) < 20s", "--slo", "duplicates == 0", "--slo", "lost == 0", "--deadline", "60s",
        "--set", "probes.tap.confirm.over=500ms", "--set", LENIENT, "--set", "reports={}", "--mode", "binary",
    ]  # fmt: skip
    printed = evload(*burst, "--print-config", cwd=tmp_path)
    assert (printed.code, printed.err) == (0, "")
    config = yaml.safe_load(printed.out)
    assert config["probes"]["tap"]["routing_key"] == config["producers"]["target"]["routing_key"] == "k"
    ended = evload(*burst, "--out", "out", "--quiet", cwd=tmp_path)
    assert ended.code == 0, ended.said
    summary = summary_of(tmp_path / "out")
    assert_closes(summary)
    assert (summary["ledger"]["visible"], summary["ledger"]["duplicated"]) == (100, 0)


def test_a_burst_to_a_queue_is_watched_by_its_read_model(rabbitmq: RabbitNode, vhost: str, tmp_path: Path) -> None:
    rabbitmq.management(f"/api/queues/{vhost.rpartition('/')[2]}/placements", "PUT", {"durable": True})
    with running_consumer(vhost, "placements") as read_model:
        ended = evload(
            "burst", vhost, "--routing-key", "placements", "--rate", "50/s", "--for", "1s", "--out", "out", "--quiet",
            "--probe", f"{read_model}/items/{{correlation_id}}", "--visible", "body.processed_at",
            "--deadline", "60s", "--slo", "lost == 0", "--set", "probes.read-model.confirm={reads: 1, over: 500ms}",
            "--set", LENIENT, "--set", "reports={}", cwd=tmp_path,
        )  # fmt: skip
    assert ended.code == 0, ended.said
    assert summary_of(tmp_path / "out")["ledger"]["visible"] == 50


def test_a_burst_without_a_route_is_returned(vhost: str, tmp_path: Path) -> None:
    ended = evload(
        "burst", vhost, "--exchange", "amq.topic", "--rate", "20/s", "--for", "1s", "--slo", "returned == 0", "--out",
        "out", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert ended.code == 1, ended.said
    assert summary_of(tmp_path / "out")["ledger"]["returned"] == 20


def test_a_burst_to_a_bus(aws: AwsServer, tmp_path: Path) -> None:
    bus = f"Burst-{uuid4().hex[:8]}"
    queue = aws.queue(bus)
    aws.bus_into(bus, queue)
    ended = evload(
        "burst", f"eventbridge://{bus}", "--rate", "40/s", "--for", "1s", "--slo", "rate(acked) >= 100%", "--out",
        "out", "--quiet", "--set", "producers.target.timeout=60s",
        "--set", LENIENT, "--set", "reports={}",
        cwd=tmp_path, env={**ENVIRONMENT, "AWS_ENDPOINT_URL": aws.url},
    )  # fmt: skip
    assert ended.code == 0, ended.said
    assert summary_of(tmp_path / "out")["ledger"]["acked"] == 40
    with closing(aws.client("sqs")) as sqs:
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "40"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["sqs://queue"], "sqs://queue: can't send to sqs; write a URL that begins with one of http://, https://, amqp://"),
        (["amqp://h/"], "nothing says where in the broker to; add --exchange NAME, or --routing-key QUEUE"),
        (["amqp://h/", "--routing-key", "q", "--tap"], "--tap listens to an exchange, and the default one can't be"),
        (["amqp://h/a/b", "--exchange", "x"], "has a virtual host with a slash; write %2F"),
        (["amqp://h/", "--exchange", "x", "--mode", "batched"], "'batched' is no mode of kind rabbitmq; choose"),
        (["amqp://h/", "--exchange", "x", "--probe", "amqp://h/"], "can't look there; write a URL that"),
        (["http://h/", "--exchange", "x"], "--exchange is for RabbitMQ; leave it out, or send to amqp://HOST/VHOST"),
        (["http://h/", "--routing-key", "x"], "--routing-key is for RabbitMQ; leave it out"),
        (["eventbridge://bus", "--tap"], "--tap is for RabbitMQ; leave it out"),
        (["eventbridge://bus", "--mode", "binary"], "is no mode of kind eventbridge; choose one of"),
        (["eventbridge://"], "eventbridge://: there is no bus in it; write eventbridge://BUS"),
        (["eventbridge://a b"], "'a b' is not an event bus; write its name"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    assert_one_clear_line(evload("burst", *options, "--print-config", cwd=tmp_path), 2, said)


# --- doctor -----------------------------------------------------------------------------------------------


def line_about(what: str, ended: Ended) -> str:
    (line,) = [line for line in ended.out.splitlines() if line.startswith(what)]
    return line


def test_doctor_tries_a_broker_and_what_the_run_would_declare(
    rabbitmq: RabbitNode, vhost: str, tmp_path: Path
) -> None:
    with running_consumer(vhost, "placements") as read_model:
        environment = {"AMQP_URL": vhost, "EVLOAD_READ_MODEL": read_model, "COLUMNS": "200"}
        ended = evload("doctor", CONFIGS / "rabbitmq.yaml", cwd=tmp_path, env=environment)
    assert " ok " in line_about("producer bus", ended)
    assert "doesn't know an event that was never sent" in line_about("probe read-model", ended)
    assert "queue_depth 0" in line_about("gauge placements-queue", ended)
    name = vhost.rpartition("/")[2]
    assert missing(rabbitmq, f"exchanges/{name}/cloud-events")
    assert missing(rabbitmq, f"queues/{name}/placements")


def test_doctor_names_what_a_broker_lacks(vhost: str, tmp_path: Path) -> None:
    environment = {"AMQP_URL": vhost, "EVLOAD_READ_MODEL": "http://127.0.0.1:1", "COLUMNS": "200"}
    ended = evload("doctor", CONFIGS / "knative-builders.yaml", cwd=tmp_path, env=environment)
    assert ended.code == 3
    assert "there is no exchange 'cloud-events' in virtual host" in line_about("producer bus", ended)
    assert "there is no queue 'knative-builders' in virtual host" in line_about("gauge broker-queue", ended)
    assert "refused" in line_about("probe jobs", ended)


def test_doctor_tries_a_bus_and_a_queue(aws: AwsServer, tmp_path: Path) -> None:
    name = f"doctor-{uuid4().hex[:8]}"
    aws.bus_into(name, aws.queue(name))
    ended = evload(
        "doctor", CONFIGS / "eventbridge.yaml", "--set", f"producers.bus.bus={name}",
        "--set", f"gauges.placements-queue={{kind: sqs-queue, queue: {name}}}", "--set", "slos=[lost == 0]",
        cwd=tmp_path,
        env={**ENVIRONMENT, "AWS_ENDPOINT_URL": aws.url, "EVLOAD_READ_MODEL": "http://127.0.0.1:1", "COLUMNS": "200"},
    )  # fmt: skip
    assert ended.code == 3
    assert " ok " in line_about("producer bus", ended)
    assert "queue_depth 0" in line_about("gauge placements-queue", ended)
    assert "refused" in line_about("probe read-model", ended)
