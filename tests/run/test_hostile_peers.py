"""Runs against peers that mean harm end by themselves with a verdict, in hardly more memory than when all is well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from evload.spi.registry import Group, kinds
from tests.rigs import hostile_activities
from tests.rigs.hostile import IN_TURN, WAYS
from tests.rigs.hostile_runs import DIFFERENCE_KIB, Protocol, of_mysql, of_postgres, of_rabbitmq, protocols, run
from tests.servers.mysql_server import MysqlServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.rabbitmq_node import RabbitNode

BY_THEMSELVES: Final = protocols()
ACTIVITIES: Final = hostile_activities.of_http()
SHARE: Final = ("http-probe", "redis")
"""What every run of the tests has, all ways within two seconds."""
A_MINUTE: Final = 60


SPEAK_TO_NOBODY: Final = {
    "sqlite", "generator", "process", "command", "csv", "files", "hlog", "html", "junit", "markdown",
}  # fmt: skip
"""There is nobody else at the other end. What a command may print has its limits in tests/gauges/test_command.py."""
GROUPS: Final[Sequence[Group]] = ("evload.producers", "evload.probes", "evload.gauges", "evload.sinks")


def assert_holds(name: str, protocol: Protocol, ways: Sequence[str], lasting_s: int, cwd: Path) -> None:
    """A run that speaks this to a hostile peer, in each way."""
    quiet, *hostile = run({name: protocol}, ways, lasting_s, cwd)
    assert (quiet.spoke, [told.way for told in hostile]) == (0, list(ways))
    for told in (quiet, *hostile):
        assert told.ended.code in (0, 1, 2, 3, 4), told.ended.said
        assert "Traceback" not in told.ended.said
        assert "results in out" in told.ended.out
    for told in hostile:
        assert told.spoke > 0, told.way
        assert told.peak_kib - quiet.peak_kib < DIFFERENCE_KIB, (told.way, quiet.peak_kib, told.peak_kib)


def test_all_that_speak_to_somebody_are_held_to_it() -> None:
    known = {name for group in GROUPS for name, point in kinds(group).items() if point.value.startswith("evload.")}
    rows = [*BY_THEMSELVES.values(), *of_rabbitmq(0).values(), *of_postgres(0).values(), *of_mysql(0).values()]
    assert {row.settings["kind"] for row in rows if row.section} == known - SPEAK_TO_NOBODY


def test_all_activities_that_speak_to_somebody_are_held_to_it() -> None:
    known = {name for name, point in kinds("evload.activities").items() if point.value.startswith("evload.")}
    of_sql = [*hostile_activities.of_postgres(0).values(), *hostile_activities.of_mysql(0).values()]
    written = [{*row.settings, row.address[0]} for row in (*ACTIVITIES.values(), *of_sql)]
    assert {kind for keys in written for kind in keys & known} == known - {"shell"}


def assert_performs(protocol: Protocol, ways: Sequence[str], lasting_s: int, cwd: Path) -> None:
    """An activity that is done to a hostile peer, in each way."""
    quiet, *hostile = hostile_activities.perform(protocol, ways, lasting_s, cwd)
    assert (quiet.spoke, [told.way for told in hostile]) == (0, list(ways))
    for told in (quiet, *hostile):
        assert told.ended.code == 0, told.ended
        assert sum(json.loads(told.ended.out).values()) > 0
    for told in hostile:
        assert told.spoke > 0, told.way
        assert told.peak_kib - quiet.peak_kib < DIFFERENCE_KIB, (told.way, quiet.peak_kib, told.peak_kib)


def test_an_activity_that_a_hostile_peer_costs_little(tmp_path: Path) -> None:
    assert_performs(ACTIVITIES["post"], [IN_TURN], 3, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", ACTIVITIES)
def test_a_minute_of_each_way_of_an_activity(name: str, tmp_path: Path) -> None:
    assert_performs(ACTIVITIES[name], WAYS, A_MINUTE, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", hostile_activities.of_postgres(0))
def test_a_minute_of_each_way_of_sql_in_postgres(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    assert_performs(hostile_activities.of_postgres(postgres.port)[name], WAYS, A_MINUTE, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", hostile_activities.of_mysql(0))
def test_a_minute_of_each_way_of_sql_in_mysql(mysql: MysqlServer, name: str, tmp_path: Path) -> None:
    assert_performs(hostile_activities.of_mysql(mysql.port)[name], WAYS, A_MINUTE, tmp_path)


@pytest.mark.parametrize("name", SHARE)
def test_whom_a_hostile_peer_costs_little(name: str, tmp_path: Path) -> None:
    assert_holds(name, BY_THEMSELVES[name], [IN_TURN], 2, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_a_minute_of_each_way_to_be_hostile(name: str, tmp_path: Path) -> None:
    assert_holds(name, BY_THEMSELVES[name], WAYS, A_MINUTE, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", of_rabbitmq(0))
def test_a_minute_of_each_way_in_amqp(rabbitmq: RabbitNode, name: str, tmp_path: Path) -> None:
    rabbitmq.management("/api/queues/%2F/q", "PUT", {})
    assert_holds(name, of_rabbitmq(rabbitmq.port)[name], WAYS, A_MINUTE, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", of_postgres(0))
def test_a_minute_of_each_way_in_postgres(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE IF NOT EXISTS t (id text)")
    assert_holds(name, of_postgres(postgres.port)[name], WAYS, A_MINUTE, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", of_mysql(0))
def test_a_minute_of_each_way_in_mysql(mysql: MysqlServer, name: str, tmp_path: Path) -> None:
    mysql.execute("CREATE DATABASE IF NOT EXISTS shop", "CREATE TABLE IF NOT EXISTS shop.t (id varchar(99))")
    assert_holds(name, of_mysql(mysql.port)[name], WAYS, A_MINUTE, tmp_path)
