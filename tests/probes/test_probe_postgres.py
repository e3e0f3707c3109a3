"""The PostgreSQL probe and the NOTIFY probe against a real server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes.postgres import PostgresProbeConfig
from evload.probes.postgres_listen import PostgresListenConfig
from evload.spi.probe import Probe, ProbeSettings, PushProbe
from evload.testing import check_probe
from tests.rigs import asking
from tests.rigs.asking import RUN, A, B, C, failed, read_from, remarks_of, use
from tests.rigs.small_system import measure
from tests.rigs.starts import probe_of
from tests.servers.postgres_server import PostgresServer

QUERY: Final = "SELECT id FROM placements WHERE id = ANY(:ids)"
PASSWORD: Final = "p@ss:w/rd% ü"


@pytest.fixture(scope="module")
def postgres(postgres: PostgresServer) -> PostgresServer:
    postgres.execute(f"""
        CREATE TABLE placements (id text, file_url text, n int, at timestamptz);
        CREATE INDEX ON placements (id);
        CREATE TABLE keyed (id uuid);
        CREATE TABLE secret (id text);
        CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}';
        CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 1;
        GRANT SELECT ON placements, keyed TO reader, few;
    """)
    return postgres


@pytest.fixture(autouse=True)
def _empty_tables(postgres: PostgresServer) -> None:
    postgres.execute("TRUNCATE placements, keyed")


def config_of(server: PostgresServer, query: str = QUERY, **settings: Any) -> PostgresProbeConfig:
    url = server.url("reader", quote(PASSWORD, safe=""))
    return PostgresProbeConfig.model_validate({"kind": "postgres", "url": url, "query": query, **settings})


def refused(config: ProbeSettings) -> str:
    told = asking.refused(config)
    assert PASSWORD not in told
    assert quote(PASSWORD, safe="") not in told
    return told.removeprefix("can't ask postgresql://127.0.0.1:").partition("/postgres: ")[2] or told


@asynccontextmanager
async def owner(server: PostgresServer) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(server.owner)
    try:
        yield connection
    finally:
        await connection.close()


# --- whole runs ---------------------------------------------------------------------------------------------

PROBE: Final = {"kind": "postgres", "query": QUERY, "confirm": {"reads": 2, "over": "500ms"}}


def writer(server: PostgresServer) -> Callable[[str, int], Awaitable[None]]:
    async def write(correlation_id: str, copies: int) -> None:
        async with owner(server) as connection:
            await connection.execute(
                "INSERT INTO placements (id) SELECT $1 FROM generate_series(1, $2)", correlation_id, copies
            )

    return write


def test_a_database_that_is_down_in_the_middle_hides_but_never_lies(tmp_path: Path, postgres: PostgresServer) -> None:
    def outage() -> None:
        postgres.kill()
        time.sleep(1.5)
        postgres.start()

    run = measure(tmp_path, PROBE | {"url": postgres.owner, "deadline": "12s"}, writer(postgres), outage)
    run.assert_counts()
    run.assert_brackets()
    run.assert_duplicates()
    assert run.summary["reads"]["unexpected_ids"] == 0
    assert run.summary["reads"]["failed_requests"] > 5
    assert "read-model: can't connect: connection refused" in run.summary["errors"]


def _down_for_ten_seconds(server: PostgresServer) -> None:
    server.kill()
    time.sleep(10)
    server.start()


def _forbidden_for_two_seconds(server: PostgresServer) -> None:
    server.execute("REVOKE SELECT ON placements FROM reader")
    time.sleep(2)
    server.execute("GRANT SELECT ON placements TO reader")


def _locked_for_two_seconds(server: PostgresServer) -> None:
    server.execute("BEGIN; LOCK placements; SELECT pg_sleep(2); COMMIT")


@pytest.mark.parametrize(
    ("strike", "lasting_s", "reason", "settings"),
    [
        (_down_for_ten_seconds, 8, "can't connect: connection refused", {}),
        (_forbidden_for_two_seconds, 1, "permission denied for table placements", {}),
        (_locked_for_two_seconds, 1, "statement timeout: the query took longer than 200 ms",
         {"statement_timeout": "200ms"}),
    ],
)  # fmt: skip
def test_an_outage_stands_in_the_timeline_and_makes_no_wrong_window(
    tmp_path: Path,
    postgres: PostgresServer,
    strike: Callable[[PostgresServer], None],
    lasting_s: float,
    reason: str,
    settings: dict[str, str],
) -> None:
    url = postgres.url("reader", quote(PASSWORD, safe=""))
    probe = PROBE | {"url": url, "deadline": "25s"} | settings
    run = measure(tmp_path, probe, writer(postgres), lambda: strike(postgres))
    run.assert_counts()
    run.assert_brackets()
    incidents = [one for one in run.summary["incidents"] if one["reason"] == reason]
    assert {one["source"] for one in incidents} == {"read-model"}
    assert max(one["last"] for one in incidents) - min(one["first"] for one in incidents) > lasting_s
    assert (run.summary["verdict"], run.ended.code) == ("warn", 0), "what was hidden for a while was seen in the end"
    (reads,) = [check for check in run.summary["self_checks"] if check["name"] == "observer effect"]
    assert reads["result"] == "warn"


# --- single reads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM keyed WHERE id = ANY(:ids)",
        "SELECT id FROM keyed WHERE id = ANY(:ids::uuid[]);",
        "SELECT id::text FROM keyed WHERE id::text = ANY(:ids)",
        "SELECT upper(id::text) AS id FROM keyed WHERE id = ANY(:ids)",
        "SELECT k.id FROM unnest(:ids::uuid[]) AS asked(id) JOIN keyed k USING (id)",
        "SELECT a AS id, k.id IS NOT NULL AS visible FROM unnest(:ids::uuid[]) a LEFT JOIN keyed k ON k.id = a",
    ],
)
def test_ids_that_are_uuids(postgres: PostgresServer, query: str) -> None:
    postgres.execute(f"INSERT INTO keyed VALUES ('{A.correlation_id}'), ('{C.correlation_id}')")
    result = read_from(config_of(postgres, query))
    assert (result.error, result.unexpected) == ("", 0)
    assert [read.seen for read in result.reads] == [Seen.PRESENT, Seen.ABSENT, Seen.PRESENT]


def test_all_columns(postgres: PostgresServer) -> None:
    postgres.execute(f"""
        INSERT INTO placements VALUES
        ('{A.correlation_id}', 'u', 1, '2026-01-01T00:00:00.000001Z'),
        ('{A.correlation_id}', 'u', 2, '2026-01-01T00:00:00.000001Z'),
        ('{B.correlation_id}', NULL, 3, NULL), ('x', 'u', 4, NULL)
    """)
    result = read_from(
        config_of(
            postgres,
            """
            SELECT id, bool_or(file_url IS NOT NULL) AS visible, count(*) AS effects, sum(n)::numeric / 2 AS position,
                   min(at) AS consumed_at, min(at)::timestamp AS processed_at, 'eu-' || 1 AS replica
            FROM placements WHERE id = ANY(:ids) OR id = 'x' GROUP BY id
            """,
        )
    )
    assert result.unexpected == 1
    stamp = 1_767_225_600_000_001_000
    assert [read[1:2] + read[4:9] for read in result.reads] == [
        (Seen.PRESENT, 2, "eu-1", 1.5, stamp, stamp),
        (Seen.ABSENT, None, "eu-1", None, None, None),
        (Seen.ABSENT, None, None, None, None, None),
    ]


def test_conformance_and_special_characters(postgres: PostgresServer) -> None:
    odd = ["it's", 'say "hi"', "a,b", "{x}", "%s :ids $1 ?", "\\", "ü☃", "'); DROP TABLE placements; --", "", "NULL"]

    async def insert() -> None:
        async with owner(postgres) as connection:
            await connection.executemany("INSERT INTO placements (id) VALUES ($1)", [(text,) for text in odd])

    asyncio.run(insert())
    targets = [Target(number, text) for number, text in enumerate([*odd, "missing"])]
    reads = asyncio.run(check_probe(config_of(postgres, bulk=4), SystemClock(), targets))
    assert [reads[number].seen for number in range(len(odd))] == [Seen.PRESENT] * len(odd)
    assert reads[len(odd)].seen is Seen.ABSENT


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (
            "SELECT idd FROM placements WHERE id = ANY(:ids)",
            'the query is wrong: column "idd" does not exist; correct query',
        ),
        (
            "SELECT id FROM nowhere WHERE id = ANY(:ids)",
            'the query is wrong: relation "nowhere" does not exist; correct',
        ),
        ("SELEC id WHERE id = ANY(:ids)", 'the query is wrong: syntax error at or near "SELEC"; correct query'),
        (
            "SELECT id, n FROM placements WHERE id = ANY(:ids)",
            "the query has an unknown column 'n'; known columns: id",
        ),
        ("SELECT id FROM placements WHERE id = :ids", "the query takes :ids for one text; write = ANY(:ids)"),
        (
            "SELECT n::text AS id FROM placements WHERE n = ANY(:ids)",
            "the ids can't be compared with that column; write id::text = ANY(:ids)",
        ),
        (
            "SELECT id FROM secret WHERE id = ANY(:ids)",
            "permission denied for table secret; grant it to the user in url",
        ),
        (
            "WITH w AS (INSERT INTO placements VALUES ('x') RETURNING id) SELECT id FROM w WHERE id = ANY(:ids)",
            "the query writes: cannot execute SELECT in a read-only transaction; write a SELECT",
        ),
        (
            "SELECT :ids::text[] AS id, pg_sleep(9)::text AS replica",
            "statement timeout: the query took longer than 1 s; add an index",
        ),
    ],
)
def test_a_query_that_can_not_be_asked(postgres: PostgresServer, query: str, told: str) -> None:
    if "INSERT" in query:
        postgres.execute("GRANT INSERT ON placements TO reader")
    assert refused(config_of(postgres, query, statement_timeout="1s")).startswith(told)


def test_addresses_that_lead_nowhere(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(url: str) -> str:
        with pytest.raises(TargetError) as caught:
            read_from(PostgresProbeConfig(kind="postgres", url=url, query=QUERY))
        assert "wrong-pw" not in str(caught.value)
        return str(caught.value)

    base = f"127.0.0.1:{postgres.port}"
    assert told(f"postgresql://reader:wrong-pw@{base}/postgres") == (
        f"can't ask postgresql://{base}/postgres: login refused: password authentication failed for user "
        '"reader"; correct user and password in url'
    )
    assert 'database "shop" does not exist; create it' in told(f"postgresql://owner:wrong-pw@{base}/shop")
    assert "can't connect: connection refused; start the database, or correct url" in told(
        "postgresql://127.0.0.1:1/x"
    )
    assert "the server doesn't speak TLS; switch TLS on there" in told(f"{postgres.owner}?sslmode=require")
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    assert told(postgres.owner) == "kind postgres needs asyncpg; pip install 'evload[postgres]'"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("application_name=shop%20tests", "shop tests"),
        ("fallback_application_name=shop", "shop"),
        ("", "evload"),
        ("connect_timeout=10&target_session_attrs=read-write&sslmode=prefer&search_path=pg_temp", "evload"),
        ("connect_timeout=0&target_session_attrs=any&options=-csearch_path%3Dpg_temp", "evload"),
        ("search_path=pg_temp&sslmode=", "evload"),
    ],
)
def test_parameters_of_libpq_hold(postgres: PostgresServer, parameters: str, expected: str) -> None:
    told = " || ' ' || ".join(
        f"current_setting('{name}')" for name in ("application_name", "search_path", "default_transaction_read_only")
    )
    query = f"SELECT {told} AS replica, a AS id FROM unnest(:ids::text[]) a"
    config = PostgresProbeConfig(kind="postgres", url=f"{postgres.owner}?{parameters}", query=query)
    (read,) = read_from(config, [A]).reads
    path = "pg_temp" if "pg_temp" in parameters else '"$user", public'
    assert read.replica == f"{expected} {path} on"

    async def names() -> str:
        listening = PostgresListenConfig.model_validate(
            {"kind": "postgres-listen", "url": f"{postgres.owner}?{parameters}", "channel": "c"}
        )
        async with owner(postgres) as connection, listening.open(RUN):
            return str(
                await connection.fetchval("SELECT application_name FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            )

    assert asyncio.run(names()) == expected


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (
            "target_session_attrs=standby",
            "no host in url is what target_session_attrs=standby asks for; correct one of them",
        ),
        (
            "pgbouncer=true",
            'unrecognized configuration parameter "pgbouncer"; correct the parameters in url, or leave that one out',
        ),
        ("work_mem=lots", 'invalid value for parameter "work_mem": "lots"; correct the parameters in url'),
        ("port=1&connect_timeout=1", ""),
    ],
)
def test_parameters_that_the_server_refuses_are_no_wrong_query(
    postgres: PostgresServer, parameters: str, told: str
) -> None:
    url = f"{postgres.owner}?{parameters}"
    if not told:
        assert read_from(PostgresProbeConfig(kind="postgres", url=url, query=QUERY), [A]).error == ""
        return
    with pytest.raises(TargetError) as caught:
        read_from(PostgresProbeConfig(kind="postgres", url=url, query=QUERY))
    reason = str(caught.value).removeprefix(f"can't ask postgresql://127.0.0.1:{postgres.port}/postgres: ")
    assert "query" not in reason
    assert told.lower() in reason.lower()


def test_connect_timeout_is_told_by_its_own_figure() -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"postgresql://u@127.0.0.1:{port}/shop?sslmode=disable&connect_timeout=1"
            with pytest.raises(TargetError, match=r"shop: no connection within 1 s, the connect_timeout in url; "):
                async with PostgresProbeConfig(kind="postgres", url=url, query=QUERY).open(RUN):
                    pass
            listen = PostgresListenConfig.model_validate({"kind": "postgres-listen", "url": url, "channel": "c"})
            with pytest.raises(TargetError, match=r"shop: no connection within 1 s, the connect_timeout in url; "):
                async with listen.open(RUN):
                    pass

    asyncio.run(main())


# --- failures in the middle ---------------------------------------------------------------------------------


def test_failures_in_the_middle_are_failed_reads_and_pass(postgres: PostgresServer) -> None:
    async def what(probe: Probe) -> None:
        async with owner(postgres) as connection:
            await connection.execute("INSERT INTO placements (id) VALUES ($1)", A.correlation_id)
            assert [read.seen for read in (await probe.read([A, B])).reads] == [Seen.PRESENT, Seen.ABSENT]

            await connection.execute("REVOKE SELECT ON placements FROM reader")
            assert failed(await probe.read([A, B])) == "permission denied for table placements"
            await connection.execute("GRANT SELECT ON placements TO reader")

            async with connection.transaction():
                await connection.execute("LOCK placements")
                assert failed(await probe.read([A])) == "statement timeout: the query took longer than 1 s"
            assert (await probe.read([A])).reads[0].seen is Seen.PRESENT

            await connection.execute("ALTER TABLE placements RENAME id TO di")
            assert failed(await probe.read([A])) == 'the query is wrong: column "id" does not exist'
            await connection.execute("ALTER TABLE placements RENAME di TO id")
            assert (await probe.read([A])).reads[0].seen is Seen.PRESENT

            await connection.execute("ALTER TABLE placements ALTER id TYPE varchar(99)")
            results = [await probe.read([A]) for _ in range(2)]
            assert results[-1].reads[0].seen is Seen.PRESENT
            await connection.execute("ALTER TABLE placements ALTER id TYPE text")
            await probe.read([A])

            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'"
            )
            results = [await probe.read([A]) for _ in range(2)]
            assert results[0].error in ("", "connection lost")
            assert results[-1].reads[0].seen is Seen.PRESENT

    use(config_of(postgres, statement_timeout="1s"), what)


def test_a_database_that_hangs_is_a_failed_read(postgres: PostgresServer) -> None:
    async def what(probe: Probe) -> None:
        postgres.freeze(True)
        try:
            # The backend isn't frozen, only who would accept a connection, so the first read still works.
            first, second = await asyncio.gather(probe.read([A]), probe.read([A]))
        finally:
            postgres.freeze(False)
        assert sorted(result.error for result in (first, second)) == ["", "no answer within 3 s"]
        assert (await probe.read([A])).reads[0].seen is Seen.ABSENT

    use(config_of(postgres, statement_timeout="1s"), what)


def test_the_database_s_own_limit_of_connections(postgres: PostgresServer) -> None:
    config = PostgresProbeConfig(kind="postgres", url=postgres.url("few", "few"), query=QUERY, pool=2)

    async def what(probe: Probe) -> None:
        async with owner(postgres) as connection, connection.transaction():
            await connection.execute("LOCK placements")
            first = asyncio.create_task(probe.read([A]))
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'few' AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
            assert failed(await probe.read([B])) == 'pool exhausted: too many connections for role "few"'
        assert (await first).reads[0].seen is Seen.ABSENT

    use(config, what)


# --- TLS ----------------------------------------------------------------------------------------------------


def test_tls_where_it_is_asked_for_checks_the_certificate(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    query = "SELECT version AS id FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND version = ANY(:ids)"

    def modes(parameters: str, host: str = "localhost", **settings: Any) -> PostgresProbeConfig:
        url = f"postgresql://owner@{host}:{postgres.port}/postgres?{parameters}"
        return PostgresProbeConfig(kind="postgres", url=url, query=query, **settings)

    def listener(config: PostgresProbeConfig) -> PostgresListenConfig:
        settings = {"kind": "postgres-listen", "url": config.url, "channel": "c", "verify": config.verify}
        return PostgresListenConfig.model_validate(settings)

    monkeypatch.setenv("HOME", str(tmp_path))
    ca = f"sslrootcert={quote(str(postgres.ca_file), safe='')}"
    postgres.kill()
    postgres.start(tls=True)
    try:
        unchecked = {f"nobody checks the certificate of postgresql://127.0.0.1:{postgres.port}/postgres"}
        for config, told in (
            (modes(f"sslmode=require&{ca}", "127.0.0.1"), set()),
            (modes(f"sslmode=verify-ca&{ca}", "127.0.0.1"), set()),
            (modes(f"sslmode=verify-full&{ca}"), set()),
            (modes("sslmode=require", "127.0.0.1", verify=False), unchecked),
            (modes("sslmode=verify-full", "127.0.0.1", verify=False), unchecked),
            (modes("sslmode=prefer", "127.0.0.1"), unchecked),
        ):
            assert read_from(config, [Target(1, "TLSv1.3")]).reads[0].seen is Seen.PRESENT, config.url
            assert remarks_of(config) == remarks_of(listener(config)) == told, config.url
        for config in (modes("sslmode=require"), modes(f"sslmode=verify-full&{ca}", "127.0.0.1")):
            said = refused(config)
            assert "TLS: certificate not accepted: " in said, config.url
            assert said.endswith("; name the authority in sslrootcert in url, or write verify: false")
            with pytest.raises(TargetError, match="TLS: certificate not accepted"):
                remarks_of(listener(config))
        with monkeypatch.context() as patch:
            patch.setenv("PGSSLMODE", "require")
            assert "certificate not accepted" in refused(modes(""))
        with monkeypatch.context() as patch:
            # A certificate to log in with is taken from where libpq takes it.
            patch.setenv("HOME", str(tmp_path / "other"))
            (tmp_path / "other/.postgresql").mkdir(parents=True)
            (tmp_path / "other/.postgresql/postgresql.crt").write_text("none")
            assert refused(modes("sslmode=require")).endswith("; correct sslmode and the files in url")
    finally:
        postgres.kill()
        postgres.start()


def test_a_connection_in_the_clear_is_told(postgres: PostgresServer) -> None:
    told = {f"the connection to postgresql://127.0.0.1:{postgres.port}/postgres isn't encrypted"}
    assert remarks_of(config_of(postgres)) == remarks_of(listening(postgres)) == told


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "localhost/shop"}, "'localhost/shop' has no scheme; write an address such as postgresql://reader@"),
        ({"url": "mysql://u:secret@h/x"}, "'mysql://h/x' is no postgresql address; write an address such as"),
        ({"url": "postgre://u:secret@h/x"}, "'postgre://h/x' is no postgresql address; did you mean postgres://?"),
        ({"url": "postgresql://u:secret@h:port/x"}, "'postgresql://h:port/x' has an unusable host or port; write"),
        ({"url": "postgresql://h:port/x?password=secret"}, "'postgresql://h:port/x' has an unusable host or port"),
        (
            {"url": "postgresql://u:/secret@h/x"},
            "'postgresql://h/x' has a / in its user or password; write %2F for it",
        ),
        ({"url": "postgresql://u:secret@h/x y"}, "holds a space or a control character; write it as %20"),
        ({"query": "SELECT id FROM t WHERE id IN (:ids)"}, "can't take a list; write = ANY(:ids)"),
        (
            {"query": "SELECT id FROM t WHERE id = ANY($1)"},
            "query holds no :ids, so it asks for no event; ask for them",
        ),
        ({"statement_timeout": "10us"}, "greater than or equal to 1000000"),
        ({"pools": 4}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], told: str) -> None:
    good = {"kind": "postgres", "url": "postgresql://localhost/shop", "query": QUERY}
    with pytest.raises(ValidationError) as caught:
        PostgresProbeConfig.model_validate(good | settings)
    (problem,) = caught.value.errors()
    assert told in problem["msg"]
    assert "secret" not in problem["msg"]


# --- NOTIFY -------------------------------------------------------------------------------------------------


def listening(server: PostgresServer, **settings: Any) -> PostgresListenConfig:
    url = server.url("reader", quote(PASSWORD, safe=""))
    return PostgresListenConfig.model_validate({"kind": "postgres-listen", "url": url, "channel": "Done", **settings})


def hear(config: PostgresListenConfig, what: Callable[[PushProbe, list[Read]], Awaitable[None]]) -> list[ReadResult]:
    """What was reported."""
    results: list[ReadResult] = []

    async def run() -> None:
        async with config.open(RUN) as probe:
            heard: list[Read] = []

            def report(result: ReadResult) -> None:
                results.append(result)
                heard.extend(result.reads)

            listener = asyncio.create_task(probe.listen(report))
            try:
                await what(probe, heard)
            finally:
                listener.cancel()
                await asyncio.wait([listener])

    asyncio.run(run())
    return results


async def notify(connection: Any, *payloads: str) -> None:
    for payload in payloads:
        await connection.execute("SELECT pg_notify('Done', $1)", payload)


def test_each_notification_of_this_run_is_an_exact_effect(postgres: PostgresServer) -> None:
    async def what(probe: PushProbe, heard: list[Read]) -> None:
        async with owner(postgres) as connection:
            before = RUN.clock.now_ns()
            await notify(connection, A.correlation_id, "nothing", f'{{"correlationid": "{B.correlation_id}"}}')
            await notify(connection, '{"id": 5}', "{broken", "[1]", "", A.correlation_id.upper())
            absent = await probe.read([C])
        assert [(read.seq, read.position) for read in heard] == [(1, 1), (2, 3), (1, 8)]
        for read in heard:
            assert (read.seen, read.exact, read.start_ns) == (Seen.PRESENT, True, read.end_ns)
            assert before < read.start_ns
        assert (absent.error, absent.reads[0].seen) == ("", Seen.ABSENT)

    results = hear(listening(postgres), what)
    assert sum(result.strange for result in results) == 5
    assert next(result.example for result in results if result.strange) == "nothing"


def test_match_says_where_the_id_is(postgres: PostgresServer) -> None:
    async def what(probe: PushProbe, heard: list[Read]) -> None:
        async with owner(postgres) as connection:
            await notify(connection, f'{{"id": "{A.correlation_id}", "row": ["{B.correlation_id}"]}}')
            await probe.read([C])
        assert [read.seq for read in heard] == [2]

    hear(listening(postgres, match="row[0]"), what)


def test_what_came_before_listening_is_not_lost(postgres: PostgresServer) -> None:
    async def run() -> None:
        heard: list[Read] = []
        async with listening(postgres).open(RUN) as probe:
            assert isinstance(probe, PushProbe)
            async with owner(postgres) as connection:
                await notify(connection, A.correlation_id)
            listener = asyncio.create_task(probe.listen(lambda result: heard.extend(result.reads)))
            while not heard:
                await asyncio.sleep(0.01)
            listener.cancel()
            await asyncio.wait([listener])
        assert [read.seq for read in heard] == [1]

    asyncio.run(run())


def test_a_cut_in_the_listening_is_never_taken_for_absence(postgres: PostgresServer) -> None:
    async def what(probe: PushProbe, heard: list[Read]) -> None:
        async with owner(postgres) as connection:
            await notify(connection, A.correlation_id)
            assert (await probe.read([B])).reads[0].seen is Seen.ABSENT
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'"
            )
            while "was cut off" not in (await probe.read([B])).error:
                await asyncio.sleep(0.01)
            await notify(connection, C.correlation_id)
            told = failed(await probe.read([B]))
        assert told.startswith("the listener was cut off for ")
        assert told.endswith(": connection lost")
        assert [read.seq for read in heard] == [1, 3]

    hear(listening(postgres), what)


def test_the_listener_passes_conformance_and_names_its_troubles(postgres: PostgresServer) -> None:
    reads = asyncio.run(check_probe(listening(postgres, bulk=2), SystemClock(), [A, B, C]))
    assert {read.seen for read in reads.values()} == {Seen.ABSENT}
    with pytest.raises(
        TargetError, match=r"can't listen to postgresql://127.0.0.1:1/x: can't connect: connection refused"
    ):
        read_from(PostgresListenConfig(kind="postgres-listen", url="postgresql://u:pw@127.0.0.1:1/x", channel="x"))
    with pytest.raises(ValidationError, match="is not JMESPath"):
        listening(postgres, match="a ==")
    with pytest.raises(ValidationError, match="at least 1 character"):
        listening(postgres, channel="")


def test_the_probe_that_init_writes_finds_what_is_there(tmp_path: Path, postgres: PostgresServer) -> None:
    """Its table and column are made as it names them; the rest stands in the file."""
    postgres.execute("CREATE TABLE orders (correlation_id text PRIMARY KEY, total int)")

    async def write(correlation_id: str, copies: int) -> None:
        async with owner(postgres) as connection:
            await connection.execute("INSERT INTO orders VALUES ($1, $2)", correlation_id, copies)

    probe = probe_of("postgres", url=postgres.owner, confirm={"reads": 1, "over": "500ms"})
    run = measure(tmp_path, probe, write, objectives=("lost == 10", "duplicates == 0"))
    run.assert_counts()
    assert run.ended.code == 0, run.ended.said


def test_a_run_that_is_told_by_notifications(tmp_path: Path, postgres: PostgresServer) -> None:
    async def write(correlation_id: str, copies: int) -> None:
        async with owner(postgres) as connection:
            await notify(connection, *[correlation_id] * copies)

    probe = {"kind": "postgres-listen", "url": postgres.owner, "channel": "Done", "deadline": "8s",
             "confirm": {"reads": 1, "over": "2s"}}  # fmt: skip
    run = measure(tmp_path, probe, write)
    run.assert_counts()
    run.assert_duplicates()
