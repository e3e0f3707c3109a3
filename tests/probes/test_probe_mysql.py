"""The MySQL probe against a real MariaDB server."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pymysql
import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.model.states import Seen
from evload.model.travel import Target
from evload.probes.mysql import MysqlProbeConfig
from evload.spi.probe import Probe
from evload.testing import check_probe
from tests.rigs import asking
from tests.rigs.asking import A, B, failed, read_from, remarks_of, use
from tests.rigs.small_system import measure
from tests.rigs.starts import probe_of
from tests.servers.mysql_server import MysqlServer

QUERY: Final = "SELECT id FROM placements WHERE id IN (:ids)"
PASSWORD: Final = "p@ss:w/rd% ü"


@pytest.fixture(scope="module")
def mysql(mysql: MysqlServer) -> MysqlServer:
    mysql.execute(
        "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "CREATE TABLE shop.placements (id varchar(99), n decimal(9, 1), done bit, at datetime(6), KEY (id))",
        "CREATE TABLE shop.secret (id text)",
        f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        "CREATE USER few@'127.0.0.1' IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 1",
        "GRANT SELECT, INSERT ON shop.placements TO reader@'127.0.0.1', few@'127.0.0.1'",
    )
    return mysql


@pytest.fixture(autouse=True)
def _empty_tables(mysql: MysqlServer) -> None:
    mysql.execute("TRUNCATE shop.placements")


def config_of(server: MysqlServer, query: str = QUERY, **settings: Any) -> MysqlProbeConfig:
    url = server.url("reader", quote(PASSWORD, safe=""))
    return MysqlProbeConfig.model_validate({"kind": "mysql", "url": url, "query": query, **settings})


def refused(config: MysqlProbeConfig) -> str:
    told = asking.refused(config)
    assert PASSWORD not in told
    assert quote(PASSWORD, safe="") not in told
    return told


def insert(server: MysqlServer, *ids: str) -> None:
    server.execute(*(f"INSERT INTO shop.placements (id) VALUES ('{text}')" for text in ids))


def test_the_probe_that_init_writes_finds_what_is_there(mysql: MysqlServer) -> None:
    """Its table and column are made as it names them; the rest stands in the file."""
    mysql.execute(
        "CREATE TABLE shop.orders (correlation_id char(36))", f"INSERT INTO shop.orders VALUES ('{A.correlation_id}')"
    )
    result = read_from(MysqlProbeConfig.model_validate(probe_of("mysql", url=mysql.owner)))
    assert [read.seen for read in result.reads] == [Seen.PRESENT, Seen.ABSENT, Seen.ABSENT], result.error


def test_a_database_that_is_down_in_the_middle_of_a_run(tmp_path: Path, mysql: MysqlServer) -> None:
    connection: Any = None

    async def write(correlation_id: str, copies: int) -> None:
        nonlocal connection
        if connection is None:
            connection = mysql.connect()
        try:
            with connection.cursor() as cursor:
                values = ", ".join(["(%s)"] * copies)
                cursor.execute(f"INSERT INTO shop.placements (id) VALUES {values}", [correlation_id] * copies)
        except pymysql.MySQLError:
            connection.close()
            connection = None
            raise

    def outage() -> None:
        mysql.kill()
        time.sleep(1)
        mysql.start()

    probe = {
        "kind": "mysql",
        "url": mysql.owner,
        "query": QUERY,
        "deadline": "12s",
        "confirm": {"reads": 2, "over": "500ms"},
    }
    run = measure(tmp_path, probe, write, outage)
    run.assert_counts()
    run.assert_brackets()
    run.assert_duplicates()
    assert run.summary["reads"]["failed_requests"] > 5
    assert "read-model: can't connect: connection refused" in run.summary["errors"]
    assert run.summary["reads"]["unexpected_ids"] == 0


def test_all_columns(mysql: MysqlServer) -> None:
    mysql.execute(
        f"INSERT INTO shop.placements VALUES ('{A.correlation_id}', 1.5, 1, '2026-01-01 00:00:00.000001'),"
        f"('{A.correlation_id}', 2, 1, NULL), ('{B.correlation_id}', 3, 0, NULL), ('x', 3, 1, NULL)"
    )
    query = """
        SELECT id, max(done) AS visible, count(*) AS effects, sum(n) AS position, min(at) AS consumed_at,
               unix_timestamp(min(at)) AS processed_at, '100%s' AS replica
        FROM placements WHERE id IN (:ids) OR id = 'x' GROUP BY id
    """
    result = read_from(config_of(mysql, query))
    assert (result.error, result.unexpected) == ("", 1)
    stamp = 1_767_225_600_000_001_000
    first, second, third = result.reads
    assert first[1:2] + first[4:8] == (Seen.PRESENT, 2, "100%s", 3.5, stamp)
    assert first.processed_at is not None
    assert abs(first.processed_at - stamp) < 1000
    assert (second.seen, second.replica, third.seen, third.replica) == (Seen.ABSENT, "100%s", Seen.ABSENT, None)


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES"])
def test_conformance_and_special_characters(mysql: MysqlServer, mode: str) -> None:
    odd = [
        "it's",
        'say "hi"',
        "a,b",
        "%s :ids $1 ?",
        "\\",
        "\\'",
        "ü☃😀",
        "'); DROP TABLE placements; --",
        "",
        "NULL",
    ]
    hexed = [f"INSERT INTO shop.placements (id) VALUES (x'{text.encode().hex()}')" for text in odd]
    mysql.execute(f"SET GLOBAL sql_mode = '{mode}'", *hexed)
    targets = [Target(number, text) for number, text in enumerate([*odd, "missing"])]
    reads = asyncio.run(check_probe(config_of(mysql, bulk=4), SystemClock(), targets))
    assert [reads[number].seen for number in range(len(odd))] == [Seen.PRESENT] * len(odd)
    assert reads[len(odd)].seen is Seen.ABSENT


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT idd FROM placements WHERE id IN (:ids)", "the query is wrong: Unknown column 'idd' in "),
        ("SELECT id FROM placement WHERE id IN (:ids)", "permission denied: SELECT command denied to user"),
        ("SELEC id WHERE id IN (:ids)", "the query is wrong: You have an error in your SQL syntax"),
        ("SELECT id, n FROM placements WHERE id IN (:ids)", "the query has an unknown column 'n'; known columns"),
        ("SELECT id FROM secret WHERE id IN (:ids)", "permission denied: SELECT command denied to user"),
        (
            "INSERT INTO placements (id) SELECT 'x' FROM placements WHERE id IN (:ids)",
            "the query writes: Cannot execute statement in a READ ONLY transaction; write a SELECT",
        ),
        (
            "SELECT 'x' AS id, sleep(9) AS effects WHERE 'x' NOT IN (:ids)",
            "statement timeout: the query took longer than 1 s; add an index",
        ),
    ],
)
def test_a_query_that_can_not_be_asked(mysql: MysqlServer, query: str, told: str) -> None:
    assert refused(config_of(mysql, query, statement_timeout="1s")).startswith(
        f"can't ask mysql://127.0.0.1:{mysql.port}/shop: {told}"
    )


def test_addresses_that_lead_nowhere(mysql: MysqlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(url: str) -> str:
        return refused(MysqlProbeConfig(kind="mysql", url=url, query=QUERY))

    wrong = told(mysql.url("reader", "wrong-pw"))
    assert "login refused: Access denied for user 'reader'@'127.0.0.1' (using password: YES); correct user" in wrong
    assert "wrong-pw" not in wrong
    assert "Unknown database 'no'" in told(mysql.owner.replace("/shop", "/no"))
    assert "can't connect: connection refused; start the database, or correct url" in told("mysql://127.0.0.1:1/x")
    assert "can't connect: no such file or directory" in told("mysql://root@localhost/shop?socket=/nowhere")
    assert told(f"{mysql.owner}?ssl-mode=VERIFY_CA&ssl-ca=no.pem").startswith("can't use ssl-ca no.pem: no such file")
    assert "the server doesn't speak TLS; switch TLS on there" in told(f"{mysql.owner}?ssl-mode=REQUIRED")
    for sdk in ("aiomysql", "pymysql"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, sdk, None)
            assert told(mysql.owner) == "kind mysql needs aiomysql; pip install 'evload[mysql]'"


def test_tls(mysql: MysqlServer) -> None:
    def modes(parameters: str, host: str = "localhost", **settings: Any) -> MysqlProbeConfig:
        url = f"mysql://root@{host}:{mysql.port}/shop?{parameters}"
        query = """
            SELECT variable_value AS id FROM information_schema.session_status
            WHERE variable_name = 'Ssl_version' AND variable_value IN (:ids)
        """
        return MysqlProbeConfig(kind="mysql", url=url, query=query, **settings)

    mysql.kill()
    mysql.start(tls=True)
    try:
        ca = f"ssl-ca={quote(str(mysql.ca_file), safe='')}"
        unchecked = {f"nobody checks the certificate of mysql://127.0.0.1:{mysql.port}/shop"}
        for config, told in (
            (modes("ssl-mode=REQUIRED", "127.0.0.1", verify=False), unchecked),
            (modes("ssl-mode=VERIFY_IDENTITY", "127.0.0.1", verify=False), unchecked),
            (modes(f"ssl-mode=REQUIRED&{ca}", "127.0.0.1"), set()),
            (modes(f"ssl-mode=VERIFY_CA&{ca}", "127.0.0.1"), set()),
            (modes(f"ssl-mode=VERIFY_IDENTITY&{ca}", "localhost"), set()),
        ):
            assert read_from(config, [Target(1, "TLSv1.3")]).reads[0].seen is Seen.PRESENT, config.url
            assert remarks_of(config) == told, config.url
        said = refused(modes("ssl-mode=REQUIRED"))
        assert "TLS: certificate not accepted: self-signed certificate; " in said
        assert said.endswith("; name the authority in ssl-ca in url, or write verify: false")
        assert "certificate not accepted" in refused(modes("ssl-mode=VERIFY_CA"))
        assert "certificate not accepted" in refused(modes(f"ssl-mode=VERIFY_IDENTITY&{ca}", "127.0.0.1"))
    finally:
        mysql.kill()
        mysql.start()


def test_a_connection_in_the_clear_is_told_unless_it_stays_on_this_machine(mysql: MysqlServer) -> None:
    told = {f"the connection to mysql://127.0.0.1:{mysql.port}/shop isn't encrypted"}
    assert remarks_of(config_of(mysql)) == told
    assert remarks_of(config_of(mysql, verify=False)) == told
    url = f"mysql://root@localhost/shop?socket={quote(str(mysql.directory / 'socket'), safe='')}"
    assert remarks_of(MysqlProbeConfig(kind="mysql", url=url, query=QUERY)) == set()


def test_by_socket(mysql: MysqlServer) -> None:
    insert(mysql, A.correlation_id)
    url = f"mysql://root@localhost/shop?socket={quote(str(mysql.directory / 'socket'), safe='')}"
    assert read_from(MysqlProbeConfig(kind="mysql", url=url, query=QUERY)).reads[0].seen is Seen.PRESENT


def test_failures_in_the_middle_are_failed_reads_and_pass(mysql: MysqlServer) -> None:
    async def what(probe: Probe) -> None:
        insert(mysql, A.correlation_id)
        assert [read.seen for read in (await probe.read([A, B])).reads] == [Seen.PRESENT, Seen.ABSENT]

        mysql.execute("REVOKE SELECT ON shop.placements FROM reader@'127.0.0.1'")
        assert failed(await probe.read([A, B])).startswith(
            "permission denied: SELECT command denied to user 'reader'"
        )
        mysql.execute("GRANT SELECT ON shop.placements TO reader@'127.0.0.1'")

        mysql.execute("ALTER TABLE shop.placements RENAME COLUMN id TO di")
        assert failed(await probe.read([A])).startswith("the query is wrong: Unknown column 'id' in ")
        mysql.execute("ALTER TABLE shop.placements RENAME COLUMN di TO id")
        assert (await probe.read([A])).reads[0].seen is Seen.PRESENT

        for (number,) in mysql.execute("SELECT id FROM information_schema.processlist WHERE user = 'reader'"):
            mysql.execute(f"KILL {number}")
        results = [await probe.read([A]) for _ in range(2)]
        assert results[0].error in ("", "connection lost")
        assert results[-1].reads[0].seen is Seen.PRESENT

        mysql.freeze(True)
        try:
            frozen = await probe.read([A])
        finally:
            mysql.freeze(False)
        assert failed(frozen) == "no answer within 3 s"
        assert (await probe.read([A])).reads[0].seen is Seen.PRESENT

    use(config_of(mysql, statement_timeout="1s"), what)


def test_the_database_s_own_limit_of_connections(mysql: MysqlServer) -> None:
    slow = "SELECT id, sleep(0.4) AS effects FROM placements WHERE id IN (:ids)"
    config = MysqlProbeConfig(kind="mysql", url=mysql.url("few", "few"), query=slow, pool=2)

    async def what(probe: Probe) -> None:
        insert(mysql, A.correlation_id)
        first, second = await asyncio.gather(probe.read([A]), probe.read([A]))
        assert first.reads[0].seen is Seen.PRESENT
        assert failed(second).startswith(
            "pool exhausted: User 'few' has exceeded the 'max_user_connections' resource"
        )

    use(config, what)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "localhost/shop"}, "'localhost/shop' has no scheme; write an address such as mysql://reader@"),
        ({"url": "postgresql://u:secret@h/x"}, "'postgresql://h/x' is no mysql address; write an address such as"),
        ({"url": "mysq://u:secret@h/x"}, "'mysq://h/x' is no mysql address; did you mean mysql://?"),
        ({"url": "mysql://u:secret@h:99999/x"}, "'mysql://h:99999/x' has an unusable host or port; write"),
        ({"url": "mysql://h/x?ssl-mod=REQUIRED"}, "unknown parameter 'ssl-mod'; did you mean ssl-mode?"),
        ({"url": "mysql://h/x?charset=latin1"}, "unknown parameter 'charset'; known: ssl-mode, ssl-ca, socket"),
        ({"url": "mysql://h/x?ssl-mode=on"}, "'on' is no ssl-mode; write one of DISABLED, REQUIRED"),
        (
            {"url": "mysql://h/x?ssl-ca=ca.pem"},
            "ssl-ca is of no use with ssl-mode DISABLED; write ssl-mode=VERIFY_ID",
        ),
        ({"query": "SELECT id FROM t WHERE id = ANY(:ids)"}, "can't take a list; write IN (:ids)"),
        (
            {"query": "SELECT id FROM t WHERE id IN (%s)"},
            "query holds no :ids, so it asks for no event; ask for them",
        ),
    ],
)
def test_bad_settings(settings: dict[str, Any], told: str) -> None:
    good = {"kind": "mysql", "url": "mysql://localhost/shop", "query": QUERY}
    with pytest.raises(ValidationError) as caught:
        MysqlProbeConfig.model_validate(good | settings)
    (problem,) = caught.value.errors()
    assert told in problem["msg"]
    assert "secret" not in problem["msg"]
