"""Logins that change while a run goes on: whoever connects again comes with the password of the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, cast

import pytest

from evload.clients.amqp import parse_url
from evload.config import load_text
from evload.errors import ConfigError, TargetError
from evload.gauges.rabbitmq_queue import RabbitmqQueueGaugeConfig
from evload.gauges.redis_group import RedisGroupConfig
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.probes.mysql import MysqlProbeConfig
from evload.probes.postgres import PostgresProbeConfig
from evload.probes.postgres_listen import PostgresListenConfig
from evload.probes.rabbitmq_tap import RabbitmqTapConfig
from evload.probes.redis import RedisProbeConfig
from evload.probes.redis_stream_tap import RedisStreamTapConfig
from evload.producers.rabbitmq import RabbitmqProducerConfig
from evload.producers.redis_stream import RedisStreamProducerConfig
from evload.spi.probe import ProbeSettings, PushProbe
from evload.spi.producer import Producer
from tests.rigs.asking import RUN, A
from tests.rigs.turned_secret import TurnedSecret
from tests.servers.mysql_server import MysqlServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.rabbitmq_node import RabbitNode
from tests.servers.redis_server import RedisServer

OLD, NEW = "old:p@ss/1", "new:p@ss/2"
LOGIN: Final = "{secrets.pw}"
PATIENCE_S: Final = 30.0


def opened(secret: TurnedSecret) -> Any:
    return replace(RUN, secrets={"pw": secret})


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that others are about to do."""
    async with asyncio.timeout(PATIENCE_S):
        while not await true():
            await asyncio.sleep(0.05)


async def is_accepted(publisher: Producer, receipts: list[Receipt]) -> bool:
    """Whether one more event is, once it is settled; its receipt comes to the others."""
    event = Event(len(receipts), RUN.ids.id_of(len(receipts)), 0, 0, 0, None, b"{}", (), ())
    before = len(receipts)
    await publisher.publish([event], receipts.extend)

    async def settled() -> bool:
        return len(receipts) > before

    await until(settled)
    return receipts[-1].outcome is Outcome.ACCEPTED


def reads_on(config: ProbeSettings, turn: Callable[[], None]) -> None:
    """It reads; the password is turned and all connections are cut; it reads again. The wrong one is refused."""
    secret = TurnedSecret(OLD)

    async def run() -> None:
        async with config.open(opened(secret)) as probe:
            assert (await probe.read([A])).error == ""
            await asyncio.to_thread(turn)
            secret.turn(NEW)

            async def reads() -> bool:
                return (await probe.read([A])).error == ""

            await until(reads)

    asyncio.run(run())
    with pytest.raises(TargetError) as refused:
        asyncio.run(_open(config))
    assert OLD not in str(refused.value)


async def _open(config: ProbeSettings) -> None:
    async with config.open(opened(TurnedSecret(OLD))):
        pass


def test_redis(redis: RedisServer) -> None:
    client: Any = redis.client
    client.execute_command("ACL", "SETUSER", "reader", "on", f">{OLD}", "~*", "+@all")
    client.set("e", "1")

    def turn() -> None:
        client.execute_command("ACL", "SETUSER", "reader", "resetpass", f">{NEW}")
        client.execute_command("CLIENT", "KILL", "USER", "reader")

    url = f"redis://reader:{LOGIN}@127.0.0.1:{redis.port}/0"
    reads_on(RedisProbeConfig(kind="redis", url=url, key="{correlation_id}"), turn)


def test_redis_streams(redis: RedisServer) -> None:
    client: Any = redis.client
    client.execute_command("ACL", "SETUSER", "streamer", "on", f">{OLD}", "~*", "+@all")
    client.xgroup_create("turned", "g", "$", mkstream=True)
    url, secret = f"redis://streamer:{LOGIN}@127.0.0.1:{redis.port}/0", TurnedSecret(OLD)

    async def run() -> None:
        producer = RedisStreamProducerConfig(kind="redis-stream", url=url, stream="turned")
        gauge = RedisGroupConfig(kind="redis-group", url=url, stream="turned", group="g")
        tap = RedisStreamTapConfig(kind="redis-stream-tap", url=url, stream="turned")
        receipts: list[Receipt] = []
        around = opened(secret)
        async with producer.open(around) as publisher, gauge.open(around) as depth, tap.open(around) as listener:
            listening = asyncio.create_task(listener.listen(lambda result: None))
            client.execute_command("ACL", "SETUSER", "streamer", "resetpass", f">{NEW}")
            client.execute_command("CLIENT", "KILL", "USER", "streamer")
            secret.turn(NEW)

            async def publishes() -> bool:
                return await is_accepted(publisher, receipts)

            async def samples() -> bool:
                return (await depth.sample()).error == ""

            async def taps() -> bool:
                return (await listener.read([A])).error == ""

            for works in (publishes, samples, taps):
                await until(works)
            listening.cancel()

    asyncio.run(run())
    with pytest.raises(TargetError) as refused:
        asyncio.run(_open(RedisStreamTapConfig(kind="redis-stream-tap", url=url, stream="turned")))
    assert OLD not in str(refused.value)


def test_postgres(postgres: PostgresServer) -> None:
    postgres.execute(f"CREATE TABLE turned (id uuid); CREATE ROLE turned LOGIN PASSWORD '{OLD}'")
    postgres.execute("GRANT SELECT ON turned TO turned")

    def turn() -> None:
        postgres.execute(f"ALTER ROLE turned PASSWORD '{NEW}'")
        postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turned'")

    query = "SELECT id FROM turned WHERE id = ANY(:ids)"
    reads_on(PostgresProbeConfig(kind="postgres", url=postgres.url("turned", LOGIN), query=query), turn)
    postgres.execute(f"ALTER ROLE turned PASSWORD '{OLD}'")

    async def listen() -> None:
        secret = TurnedSecret(OLD)
        config = PostgresListenConfig(kind="postgres-listen", url=postgres.url("turned", LOGIN), channel="c")
        async with config.open(opened(secret)) as probe:
            said: list[str] = []
            listening = asyncio.create_task(probe.listen(lambda result: said.append(result.error)))
            await asyncio.to_thread(turn)
            secret.turn(NEW)

            async def back() -> bool:
                return (await probe.read([A])).error.startswith("the listener was cut off for")

            await until(back)
            listening.cancel()

    asyncio.run(listen())


def test_mysql(mysql: MysqlServer) -> None:
    mysql.execute("CREATE DATABASE turned", "CREATE TABLE turned.t (id VARCHAR(36))")
    mysql.execute(f"CREATE USER turned IDENTIFIED BY '{OLD}'", "GRANT SELECT ON turned.t TO turned")

    def turn() -> None:
        mysql.execute(f"SET PASSWORD FOR turned = PASSWORD('{NEW}')", "KILL USER turned")

    url = mysql.url("turned", LOGIN).replace("/shop", "/turned")
    query = "SELECT id FROM turned.t WHERE id IN (:ids)"
    reads_on(MysqlProbeConfig(kind="mysql", url=url, query=query), turn)


def test_rabbitmq(rabbitmq: RabbitNode) -> None:
    address = parse_url(rabbitmq.url)
    rabbitmq.rabbitmqctl("add_user", "turned", OLD)
    rabbitmq.rabbitmqctl("set_permissions", "turned", ".*", ".*", ".*")
    url = f"amqp://turned:{LOGIN}@{address.host}:{address.port}/"
    secret = TurnedSecret(OLD)

    async def run() -> None:
        declare = {"queue": {"name": "turned"}}
        producer = RabbitmqProducerConfig(
            kind="rabbitmq", url=url, exchange="", routing_key="turned", declare=declare, on_connection_lost="pause"
        )
        gauge = RabbitmqQueueGaugeConfig(kind="rabbitmq-queue", url=url, queue="turned")
        tap = RabbitmqTapConfig(kind="rabbitmq-tap", url=url, exchange="amq.fanout")
        receipts: list[Receipt] = []
        around = opened(secret)
        async with producer.open(around) as publisher, gauge.open(around) as depth, tap.open(around) as listener:
            listening = asyncio.create_task(cast(PushProbe, listener).listen(lambda result: None))
            await asyncio.to_thread(rabbitmq.rabbitmqctl, "change_password", "turned", NEW)
            await asyncio.to_thread(rabbitmq.rabbitmqctl, "close_all_user_connections", "turned", "turned")
            secret.turn(NEW)

            async def publishes() -> bool:
                return await is_accepted(publisher, receipts)

            async def samples() -> bool:
                return (await depth.sample()).error == ""

            async def taps() -> bool:
                return "was cut off for" in (await listener.read([A])).error

            for works in (publishes, samples, taps):
                await until(works)
            listening.cancel()

    asyncio.run(run())


CONFIG: Final = """\
secrets: {{pw: {{file: /run/secrets/pw}}}}
producers: {{p: {{kind: http, url: "http://h/"}}}}
events: {{e: {{type: t, source: /x}}}}
probes: {{r: {{{}}}}}
scenarios: {{s: {{producer: p, events: [e], probes: [r], load: [{{burst: 1}}]}}}}
"""


@pytest.mark.parametrize(
    "probe",
    [
        'kind: redis, key: "{correlation_id}", url: "redis://u:{secrets.pw}@h/0"',
        'kind: redis-stream-tap, stream: s, url: "redis://u:{secrets.pw}@h/0"',
        'kind: postgres, query: "select id from t where id = ANY(:ids)", url: "postgresql://u:{secrets.pw}@h/d"',
        'kind: mysql, query: "select id from t where id in (:ids)", url: "mysql://u:{secrets.pw}@h/d"',
        'kind: postgres-listen, channel: c, url: "postgresql://u:{secrets.pw}@h/d"',
        'kind: rabbitmq-tap, exchange: x, url: "amqp://u:{secrets.pw}@h/v"',
    ],
    ids=lambda text: text.partition(",")[0].removeprefix("kind: "),
)
def test_a_config_may_name_it_and_keeps_the_name(probe: str) -> None:
    loaded = load_text(CONFIG.format(probe), "c.yaml", environ={})
    assert "u:{secrets.pw}@h" in loaded.as_run()
    for wrong in (probe.replace("@h/", "@{secrets.pw}/"), probe.replace("h/", "h/{secrets.pw}")):
        with pytest.raises(ConfigError) as refused:
            load_text(CONFIG.format(wrong), "c.yaml", environ={})
        assert "{secrets.pw} can stand in the login of an address alone; write scheme://user:" in str(refused.value)
